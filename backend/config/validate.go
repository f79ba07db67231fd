package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"patchbay/backend/logging"
)

// checker collects what is wrong with the values of a Config.
type checker struct {
	cfg     *Config
	builtin []string // ids of the built-in providers; nil = unknown
	errs    errorList
}

// validate checks all values. The errors name the settings; who calls it adds where they stand.
func validate(cfg *Config, builtin []string) errorList {
	c := &checker{cfg: cfg, builtin: builtin}
	c.server()
	c.database()
	for id, p := range cfg.Providers {
		c.provider("providers."+id, id, p)
	}
	c.routing()
	c.prompts()
	c.files()
	c.limits()
	c.address("network.proxy", cfg.Network.Proxy, "http", "https", "socks5", "socks5h")
	c.desktop()
	c.log()
	c.updates()
	return c.errs
}

func (c *checker) fail(key, msg string) {
	c.errs = append(c.errs, &Error{Key: key, Msg: msg})
}

func (c *checker) desktop() {
	d := c.cfg.Desktop
	if d.Language != "" && !slices.Contains(Languages, d.Language) {
		c.fail("desktop.language", strconv.Quote(d.Language)+" is no language of Patchbay: "+strings.Join(Languages, ", ")+" are, and nothing means that of the system")
	}
	if d.Theme != "" && d.Theme != "light" && d.Theme != "dark" {
		c.fail("desktop.theme", strconv.Quote(d.Theme)+" is no theme: light and dark are, and nothing means that of the system")
	}
}

func (c *checker) server() {
	s := c.cfg.Server
	c.listen("server.listen", s.Listen, Default().Server.Listen)
	c.listen("server.ollama_listener.listen", s.OllamaListener.Listen, Default().Server.OllamaListener.Listen)
	if o := s.OllamaListener; o.Enabled && samePort(o.Listen, s.Listen) {
		c.fail("server.ollama_listener.listen", o.Listen+" is the address of server.listen: the two need a port each")
	}
	for _, h := range s.AllowedHosts {
		if !hostish(h) {
			c.fail("server.allowed_hosts", strconv.Quote(h)+" is no host name: write it as a browser sends it, for example patchbay.example.com")
		}
	}
	for _, h := range c.cfg.Media.AllowedHosts {
		if !hostish(h) {
			c.fail("media.allowed_hosts", strconv.Quote(h)+" is no host name: write it as it stands in the address, for example nas.lan or 10.0.0.5:8080")
		}
	}
	for _, o := range s.AllowedOrigins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
			c.fail("server.allowed_origins", strconv.Quote(o)+" is no origin: write scheme and host, for example https://app.example.com")
		}
	}
	for _, p := range s.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			if _, err := netip.ParseAddr(p); err != nil {
				c.fail("server.trusted_proxies", strconv.Quote(p)+" is neither an address nor a network: write 10.0.0.2 or 10.0.0.0/8")
			}
		}
	}
	if s.Limits.BodyBytes < 1<<10 {
		c.fail("server.limits.body_bytes", "less than 1KiB leaves no room for a request")
	}
}

// listen checks an address to listen on.
func (c *checker) listen(key, addr, example string) {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || perr != nil:
		c.fail(key, strconv.Quote(addr)+" is no address: write "+example)
	case n > 0 && !c.cfg.Server.LAN && !loopback(host):
		c.fail(key, addr+" can be reached by other machines: set server.lan to true if that is wanted, else listen on 127.0.0.1")
	case host != "" && host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil:
		c.fail(key, strconv.Quote(host)+" is no IP address: write 127.0.0.1, or an address of this machine")
	}
}

// samePort reports whether two addresses have the same port, other than "any free one".
func samePort(a, b string) bool {
	_, p, aerr := net.SplitHostPort(a)
	_, q, berr := net.SplitHostPort(b)
	return aerr == nil && berr == nil && p == q && p != "0"
}

func (c *checker) database() {
	db := c.cfg.Database
	if db != "" && !strings.HasPrefix(db, "postgres://") && !strings.HasPrefix(db, "postgresql://") {
		c.fail("database", "this is neither empty (the embedded database) nor a postgres:// address")
	}
}

func (c *checker) updates() {
	if address := c.cfg.Updates.URL; address != "" {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" && !loopback(u.Hostname()) || u.Host == "" {
			c.fail("updates.url", strconv.Quote(address)+" is no https address")
		}
	}
}

// ValidID reports whether id has the form of a provider's id: [a-z0-9-]+.
func ValidID(id string) bool {
	return id != "" && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
}

func (c *checker) provider(key, id string, p Provider) {
	isBuiltin := slices.Contains(c.builtin, id)
	switch {
	case !ValidID(id):
		c.fail(key, "a provider's id consists of small letters, digits and '-'")
		return
	case !isBuiltin && Reserved(id):
		c.fail(key, strconv.Quote(id)+" is a reserved word: choose another id"+reservedHint(id))
		return
	case p.Kind != "" && !slices.Contains(Kinds, p.Kind):
		c.fail(key+".kind", strconv.Quote(p.Kind)+" is no kind of provider: use one of "+strings.Join(Kinds, ", "))
	case isBuiltin && p.Kind != "":
		c.fail(key+".kind", id+" is built in and has its own kind: remove this line, or choose another id")
	case isBuiltin && p.Preset != "":
		c.fail(key+".preset", id+" is built in: remove this line, or choose another id")
	case p.Preset != "" && p.Kind != "":
		c.fail(key+".kind", "the preset says what the service speaks: remove this line, or the preset")
	case p.Preset == "" && p.Kind == "" && c.builtin != nil && !isBuiltin:
		c.fail(key+".kind", "this is missing: a provider of your own needs a preset, or a kind ("+strings.Join(Kinds, ", ")+") and a base_url")
	case p.Kind != "" && p.BaseURL == "":
		c.fail(key+".base_url", "this is missing: a provider of your own needs the address of its service")
	}
	c.address(key+".base_url", p.BaseURL, "http", "https")
	c.address(key+".login_url", p.LoginURL, "http", "https")
	c.address(key+".proxy", p.Proxy, "http", "https", "socks5", "socks5h")
	for name, value := range p.Headers {
		if !headerName(name) || strings.ContainsAny(value, "\r\n\x00") {
			c.fail(key+".headers."+name, "this is no HTTP header")
		}
	}
	if p.AuthHeader != "" && !headerName(p.AuthHeader) {
		c.fail(key+".auth_header", strconv.Quote(p.AuthHeader)+" is no name of an HTTP header")
	}
	c.thinking(key+".thinking", p.Thinking)
	if p.Limits.Concurrent < 0 {
		c.fail(key+".limits.concurrent", "this cannot be less than 0")
	}
	c.pool(key+".pool", p.Pool)
}

// pool checks how the accounts of a provider are used.
func (c *checker) pool(key string, p Pool) {
	if p.Strategy != "" && !slices.Contains(Strategies, p.Strategy) {
		c.fail(key+".strategy", strconv.Quote(p.Strategy)+" is no strategy: use one of "+strings.Join(Strategies, ", "))
	}
	if p.Sticky != "" && !slices.Contains(Stickinesses, p.Sticky) {
		c.fail(key+".sticky", strconv.Quote(p.Sticky)+" is not known here: use one of "+strings.Join(Stickinesses, ", "))
	}
	if p.Reserve < 0 || p.Reserve > MaxReserve {
		c.fail(key+".reserve", "this is a share of each allowance in percent, from 0 to "+strconv.Itoa(MaxReserve))
	}
	if e := p.Checks.Every; e != 0 && e < LeastCheck {
		c.fail(key+".checks.every", "services take more than one check a minute for misuse: write 1m or more, or off")
	}
}

// hostish reports whether h may be a host, with or without a port.
func hostish(h string) bool { return h != "" && !strings.ContainsAny(h, "/*, \t") }

func reservedHint(id string) string {
	switch id {
	case "ollama":
		return ", for example local-ollama"
	case "grok-web":
		return "; Patchbay does not serve grok-web"
	}
	for old, now := range OldNames {
		if strings.EqualFold(old, id) {
			return ", or use " + now + ", which it stands for"
		}
	}
	return ""
}

func (c *checker) address(key, text string, schemes ...string) {
	if text == "" || key == "" {
		return
	}
	if strings.HasSuffix(key, ".proxy") && (text == "direct" || text == "none" || text == "system") {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		c.fail(key, strconv.Quote(logging.Redact(text))+" is no address: it starts with "+strings.Join(schemes, "://, ")+":// and names a host")
	}
}

func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// known reports whether a name stands for a provider that there is.
func (c *checker) known(name string) bool {
	if c.builtin == nil {
		return true
	}
	if now, ok := OldNames[name]; ok {
		name = now
	}
	_, own := c.cfg.Providers[name]
	return own || slices.Contains(c.builtin, name)
}

// files checks the paths of credential files. Whether they are there is no question of the settings.
func (c *checker) files() {
	for id, paths := range c.cfg.CredentialFiles.Paths {
		key := "credential_files.paths." + id
		if !c.known(id) {
			c.fail(key, strconv.Quote(id)+" is no provider: use the id of a built-in one whose program keeps its login in a file")
		}
		for _, p := range paths {
			if !filepath.IsAbs(p) && !strings.HasPrefix(p, "~/") && !strings.HasPrefix(p, `~\`) {
				c.fail(key, strconv.Quote(p)+" is no whole path: begin at the root of the disk, or with ~/")
			}
		}
	}
}

// prompts checks the rules for system text. Whether a file is there is no question of the settings: a rule goes on without.
func (c *checker) prompts() {
	for name, p := range c.cfg.Prompts {
		key := "prompts." + name
		switch p.Mode {
		case "", "override", "append", "prepend":
		default:
			c.fail(key+".mode", strconv.Quote(p.Mode)+" is no mode: use override, append or prepend")
		}
		switch {
		case p.Text != "" && p.File != "":
			c.fail(key+".file", "a rule has a text or a file, not both")
		case p.Mode != "" && p.Text == "" && p.File == "":
			c.fail(key+".text", "this is missing: give a text or a file")
		case p.Text == "" && p.File == "" && len(p.Replace)+len(p.ReplaceRegexp) == 0:
			c.fail(key, "the rule does nothing: give a text, a file or replacements")
		}
		if p.File != "" && !filepath.IsAbs(p.File) {
			c.fail(key+".file", strconv.Quote(p.File)+" is no whole path: begin at the root of the disk")
		}
		for _, id := range p.Providers {
			if !c.known(id) {
				c.fail(key+".providers", strconv.Quote(id)+" is no provider")
			}
		}
		if _, empty := p.Replace[""]; empty {
			c.fail(key+".replace", "an empty text stands everywhere: it cannot be replaced")
		}
		for from := range p.ReplaceRegexp {
			if _, err := regexp.Compile(from); err != nil {
				c.fail(key+".replace_regexp", strconv.Quote(from)+" is no regular expression: "+err.Error())
			}
		}
	}
}

func (c *checker) limits() {
	if c.cfg.Timeouts.Connect == 0 {
		c.fail("timeouts.connect", "this cannot be off: a dead address would never be given up")
	}
	c.record()
}

func (c *checker) record() {
	r := c.cfg.Record
	for key, n := range map[string]int{
		"record.retention.days": r.Retention.Days, "record.retention.rows": r.Retention.Rows, "record.retention.usage_days": r.Retention.UsageDays,
		"record.bodies.days": r.Bodies.Days, "record.prompt_log.days": r.PromptLog.Days,
	} {
		if n < 0 {
			c.fail(key, "this cannot be less than 0")
		}
	}
	if r.Bodies.MaxBody < 1<<10 || r.Bodies.MaxBody > 64<<20 {
		c.fail("record.bodies.max_body", "this must be between 1KiB and 64MiB")
	}
	if r.Bodies.MaxDisk < 1<<20 {
		c.fail("record.bodies.max_disk", "less than 1MiB holds no useful record")
	}
	for _, id := range r.Bodies.Providers {
		if !c.known(id) {
			c.fail("record.bodies.providers", strconv.Quote(id)+" is no provider")
		}
	}
	if to := r.PromptLog.To; to != "off" && to != "console" && to != "file" {
		c.fail("record.prompt_log.to", strconv.Quote(to)+" is no place: use off, console or file")
	}
	if r.PromptLog.MaxSize < 64<<10 {
		c.fail("record.prompt_log.max_size", "less than 64KiB holds no useful log")
	}
	if r.PromptLog.MaxFiles < 1 || r.PromptLog.MaxFiles > 100 {
		c.fail("record.prompt_log.max_files", "this must be between 1 and 100")
	}
}

func (c *checker) log() {
	l := c.cfg.Log
	if _, err := logging.ParseLevel(l.Level); err != nil {
		c.fail("log.level", err.Error())
	}
	for pkg, level := range l.Packages {
		if _, err := logging.ParseLevel(level); err != nil {
			c.fail("log.packages."+pkg, err.Error())
		}
	}
	if l.MaxSize < 64<<10 {
		c.fail("log.max_size", "less than 64KiB holds no useful log")
	}
	if l.MaxFiles < 1 || l.MaxFiles > 100 {
		c.fail("log.max_files", "this must be between 1 and 100")
	}
}
