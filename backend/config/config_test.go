package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/events"
)

func load(t *testing.T, text string, o Options) (*Settings, string) {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "config.yaml")
	}
	write(t, o.Path, text)
	s, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, o.Path
}

func loadErr(t *testing.T, text string, o Options) error {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "config.yaml")
	write(t, o.Path, text)
	_, err := Load(o)
	if err == nil {
		t.Fatalf("%q was taken", text)
	}
	return err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMissingFileMeansDefaults(t *testing.T) {
	s, err := Load(Options{Path: filepath.Join(t.TempDir(), "none", "config.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), s.Current()); diff != "" {
		t.Error(diff)
	}
	if err := s.Reload(); err != nil || s.Problem() != nil {
		t.Errorf("%v %v", err, s.Problem())
	}
}

func TestFileIsReadOverTheDefaults(t *testing.T) {
	s, _ := load(t, `
server: {listen: "[::1]:9000", limits: {body_bytes: 8 MiB, read_timeout: off}}
providers:
  deepseek:
    enabled: yes
    kind: openai
    base_url: https://api.deepseek.com/v1
    name: 123
    models: deepseek-chat
    headers: {X-Title: Patchbay}
    timeouts: {first_event: 10m, idle: 1m30s, total: 1h}
    quirks:
timeouts: {total: 30 m}
routing:
  aliases: {fast: deepseek/deepseek-chat}
log:
  packages: {provider/kiro: debug}
`, Options{})
	yes := true
	want := Default()
	want.Server.Listen, want.Server.Limits.BodyBytes, want.Server.Limits.ReadTimeout = "[::1]:9000", 8<<20, 0
	want.Timeouts.Total = 30 * time.Minute
	want.Providers = map[string]Provider{"deepseek": {Enabled: &yes, Kind: "openai", BaseURL: "https://api.deepseek.com/v1", Name: "123",
		Models: []string{"deepseek-chat"}, Headers: map[string]string{"X-Title": "Patchbay"},
		Timeouts: ProviderTimeouts{FirstEvent: 10 * time.Minute, Idle: 90 * time.Second, Total: time.Hour}}}
	want.Routing.Aliases = map[string]string{"fast": "deepseek/deepseek-chat"}
	want.Log.Packages = map[string]string{"provider/kiro": "debug"}
	if diff := cmp.Diff(want, s.Current()); diff != "" {
		t.Error(diff)
	}
	tm := s.Current().TimeoutsFor("deepseek")
	if tm.FirstEvent != 10*time.Minute || tm.Idle != 90*time.Second || tm.Total != time.Hour || tm.Connect != 10*time.Second {
		t.Errorf("%+v", tm)
	}
	if got := s.Current().TimeoutsFor("nobody"); got != s.Current().Timeouts {
		t.Errorf("%+v", got)
	}
}

func TestErrorsNameKeyLineAndExcerpt(t *testing.T) {
	err := loadErr(t, "server:\n  listen: 127.0.0.1:1\n  lisen: x\nbogus: 1\n", Options{})
	list := Errors(err)
	if len(list) != 2 {
		t.Fatalf("%v", err)
	}
	want := `there is no setting "lisen"; did you mean "listen"?`
	if e := list[0]; e.Key != "server.lisen" || e.Line != 3 || e.Msg != want || !strings.Contains(e.Excerpt, ">   3 |   lisen: x\n      |   ^") {
		t.Errorf("%+v", e)
	}
	if e := list[1]; e.Key != "bogus" || e.Line != 4 || !strings.Contains(e.Msg, "known are schema_version, default_provider") {
		t.Errorf("%+v", e)
	}
	if text := err.Error(); !strings.Contains(text, "config.yaml:3: server.lisen: there is") || !strings.Contains(text, "config.yaml:4: bogus") {
		t.Error(text)
	}
	if Errors(errors.New("x")) != nil {
		t.Error("a foreign error has parts")
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"broken YAML", "server:\n  a: [1\n", "config.yaml:2:"},
		{"two documents", "a: 1\n---\nb: 2\n", "second YAML document"},
		{"a list at the top", "- a\n", "a group of settings"},
		{"a text at the top", "hello", "a group of settings"},
		{"a key twice", "log: {level: info}\nlog: {level: debug}\n", "already defined"},
		{"a group where a value belongs", "default_provider: {a: b}\n", "default_provider: a single value"},
		{"a list where a value belongs", "default_provider: [a]\n", "default_provider: a single value"},
		{"a value where a group belongs", "server: 3\n", "server: a group of settings"},
		{"a map where a list belongs", "server: {allowed_hosts: {a: b}}\n", "server.allowed_hosts: a list"},
		{"an anchor", "default_provider: &x codex\n", "anchors"},
		{"a tag", "default_provider: !!str codex\n", "tags"},
		{"a bad duration", "timeouts: {idle: 5 bananas}\n", "timeouts.idle: \"5 bananas\" is no length of time"},
		{"a bare number as a duration", "timeouts: {idle: 300}\n", "write 30s"},
		{"a bad size", "server: {limits: {body_bytes: lots}}\n", "server.limits.body_bytes"},
		{"a bad truth value", "server: {lan: maybe}\n", "server.lan: \"maybe\" is neither"},
		{"a bad number", "routing: {max_attempts: many}\n", "routing.max_attempts: \"many\""},
		{"a key that is no name", "? [a]\n: 1\n", ""},
		{"a newer file", "schema_version: 99\n", "newer Patchbay"},
		{"a bad version", "schema_version: none\n", "schema_version"},
		{"not UTF-8", "\xff\xfea\x00", "UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := loadErr(t, c.text, Options{}); !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwants %q", err, c.want)
			}
		})
	}
}

func TestSecretsInTheFileAreRefusedAndNotShown(t *testing.T) {
	const canary = "CANARY7f3a9c0123456789"
	for name, text := range map[string]string{
		"an unknown key":        "providers:\n  deepseek:\n    api_key: " + canary + "\n",
		"a header by name":      "providers:\n  deepseek:\n    headers: {Authorization: " + canary + "}\n",
		"a header over lines":   "providers:\n  deepseek:\n    headers:\n      x-api-key: " + canary + "\n",
		"a header by shape":     "providers:\n  deepseek:\n    headers:\n      X-Foo: sk-" + canary + "\n",
		"an address's query":    "providers:\n  g:\n    base_url: https://h.example/v1?key=" + canary + "\n",
		"a proxy's password":    "providers:\n  g:\n    proxy: http://u:" + canary + "@p.example:1\n",
		"a database's password": "database: postgres://u:" + canary + "@db.example/p\n",
		"a database's option":   "database: postgres://db.example/p?password=" + canary + "\n",
		"a list":                "providers:\n  g:\n    models: [sk-" + canary + "]\n",
		"another key":           "default_provider: sk-" + canary + "\n",
	} {
		err := loadErr(t, text, Options{})
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
		if !strings.Contains(err.Error(), "patchbay accounts add") && !strings.Contains(err.Error(), "PATCHBAY_DATABASE") {
			t.Errorf("%s: no hint in %v", name, err)
		}
	}
	s, path := load(t, "providers: {deepseek: {enabled: false}}\n", Options{})
	if err := s.Set("providers.deepseek.proxy", "http://u:"+canary+"@p.example"); err == nil || strings.Contains(read(t, path), canary) {
		t.Errorf("a secret was written: %v", err)
	}
}

func TestValidation(t *testing.T) {
	own := "providers: {x: {kind: openai, base_url: https://h.example, "
	for _, c := range []struct{ text, want string }{
		{"server: {listen: nowhere}", "server.listen: "},
		{"server: {listen: 0.0.0.0:8390}", "server.lan"},
		{"server: {listen: my-host:8390, lan: true}", "is no IP address"},
		{"server: {ollama_listener: {listen: \"11434\"}}", "write 127.0.0.1:11434"},
		{"server: {ollama_listener: {listen: \"0.0.0.0:11434\"}}", "server.ollama_listener.listen: "},
		{"server: {ollama_listener: {enabled: true, listen: \"127.0.0.1:8390\"}}", "need a port each"},
		{"server: {allowed_hosts: [http://x]}", "server.allowed_hosts: "},
		{"media: {allowed_hosts: [http://x]}", "media.allowed_hosts: "},
		{"prompts: {a: {mode: replace, text: x}}", "prompts.a.mode: "},
		{"prompts: {a: {text: x, file: /x}}", "prompts.a.file: "},
		{"prompts: {a: {mode: override}}", "prompts.a.text: "},
		{"prompts: {a: {providers: [openai]}}", "prompts.a: "},
		{"prompts: {a: {file: x.md}}", "prompts.a.file: "},
		{"prompts: {a: {text: x, providers: [nobody-knows]}}", "prompts.a.providers: "},
		{"prompts: {a: {replace: {'': x}}}", "prompts.a.replace: "},
		{"prompts: {a: {replace_regexp: {'(': x}}}", "prompts.a.replace_regexp: "},
		{"credential_files: {paths: {codex: [auth.json]}}", "credential_files.paths.codex: "},
		{"credential_files: {paths: {nobody: [/auth.json]}}", "credential_files.paths.nobody: "},
		{"server: {allowed_origins: [app.example.com]}", "server.allowed_origins: "},
		{"server: {trusted_proxies: [proxy]}", "server.trusted_proxies: "},
		{"server: {limits: {body_bytes: 5}}", "server.limits.body_bytes: "},
		{"database: mysql://x", "database: "},
		{"providers: {Bad_Id: {enabled: true}}", "providers.Bad_Id: "},
		{"providers: {v1: {kind: openai}}", "reserved word"},
		{"providers: {ollama: {kind: ollama}}", "local-ollama"},
		{"providers: {grok-web: {kind: openai}}", "does not serve grok-web"},
		{"providers: {openai-iflow: {enabled: true}}", "use iflow"},
		{"providers: {x: {base_url: https://h.example}}", "providers.x.kind: this is missing"},
		{"providers: {x: {kind: openai}}", "providers.x.base_url: this is missing"},
		{"providers: {x: {kind: grpc, base_url: https://h.example}}", "providers.x.kind: "},
		{"providers: {codex: {kind: openai}}", "providers.codex.kind: codex is built in"},
		{"providers: {x: {kind: openai, base_url: h.example}}", "providers.x.base_url: "},
		{own + "proxy: ftp://p}}", "providers.x.proxy: "},
		{own + "headers: {a b: c}}}", "providers.x.headers.a b: "},
		{own + "auth_header: 'a:b'}}", "providers.x.auth_header: "},
		{own + "limits: {concurrent: -1}}}", "providers.x.limits.concurrent: "},
		{"default_provider: nobody", "default_provider: "},
		{"routing: {aliases: {fast: ''}}", "routing.aliases.fast: "},
		{"routing: {aliases: {'a*b': c}}", "routing.aliases.a*b: "},
		{`routing: {aliases: {"a\n": c}}`, "routing.aliases: "},
		{"routing: {chains: {nobody: [codex]}}", "routing.chains.nobody: "},
		{"routing: {chains: {codex: [nobody/m]}}", "routing.chains.codex: "},
		{"routing: {max_attempts: 0}", "routing.max_attempts: "},
		{"timeouts: {connect: off}", "timeouts.connect: "},
		{"record: {retention: {days: -1}}", "record.retention.days: "},
		{"log: {level: loud}", "log.level: "},
		{"log: {packages: {route: loud}}", "log.packages.route: "},
		{"log: {max_size: 1}", "log.max_size: "},
		{"log: {max_files: 0}", "log.max_files: "},
	} {
		err := loadErr(t, c.text+"\n", Options{Builtin: []string{"codex", "kiro"}})
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "config.yaml:1: ") {
			t.Errorf("%s: %v\nwants %q", c.text, err, c.want)
		}
	}
	load(t, `server: {listen: 0.0.0.0:0, lan: true, allowed_origins: ["https://a.example", "app://x"], trusted_proxies: [10.0.0.1, 10.0.0.0/8]}
providers: {codex: {proxy: direct}, my-1: {kind: openai, base_url: http://h, proxy: "socks5://127.0.0.1:1080"}}
default_provider: openai-codex-oauth
routing: {chains: {codex/gpt-5: [my-1, kiro/m]}, aliases: {"claude-*": codex/gpt-5}}
database: postgres://u@h/db
`, Options{Builtin: []string{"codex", "kiro"}})
}

func TestReserved(t *testing.T) {
	for _, id := range []string{"api", "ui", "v1", "v1beta", "ollama", "auto", "health", "metrics", "claude", "openairesponses-custom", "openaiResponses-custom", "grok-web"} {
		if !Reserved(id) {
			t.Errorf("%s is not reserved", id)
		}
	}
	if Reserved("deepseek") {
		t.Error("deepseek is reserved")
	}
}

func TestEnvironmentAndFlagsWin(t *testing.T) {
	o := Options{
		Env: []string{"PATCHBAY_SERVER_LISTEN=127.0.0.1:1", "PATCHBAY_DEFAULT_PROVIDER=codex", "PATCHBAY_PROVIDERS_HOME_OLLAMA_BASE_URL=http://10.0.0.9:11434",
			"PATCHBAY_PROVIDERS_X_AUTH_HEADER=x-key-name", "PATCHBAY_SERVER_ALLOWED_HOSTS=a.example, b.example", "PATCHBAY_ROUTING_ALIASES={fast: codex/m, \"a.b\": c}",
			"PATCHBAY_TIMEOUTS_FIRST_EVENT=1m", "PATCHBAY_PROVIDERS_HOME_OLLAMA_LIMITS_CONCURRENT=2", "PATCHBAY_SERVER_LIMITS_BODY_BYTES=2MiB",
			"PATCHBAY_DATABASE=postgres://u:pw12345678@h/db", "PATCHBAY_LOG_LEVEL=", "PATCHBAY_HOME=/x", "PATCHBAY_PORT=tcp://10.0.0.1:8390", "PATCHBAY_PROVIDERS_X=1", "HOME=/y"},
		Flags: map[string]string{"server.listen": "127.0.0.1:2"},
	}
	s, path := load(t, "server: {listen: 127.0.0.1:3, lan: true}\nproviders:\n  home-ollama: {kind: ollama, base_url: http://h}\n  x: {kind: openai, base_url: http://h}\nrouting: {aliases: {gone: x/y}}\n", o)
	c := s.Current()
	if c.Server.Listen != "127.0.0.1:2" || c.DefaultProvider != "codex" || c.Providers["home-ollama"].BaseURL != "http://10.0.0.9:11434" ||
		c.Providers["home-ollama"].Kind != "ollama" || c.Providers["x"].AuthHeader != "x-key-name" || c.Timeouts.FirstEvent != time.Minute ||
		c.Providers["home-ollama"].Limits.Concurrent != 2 || c.Server.Limits.BodyBytes != 2<<20 || c.Database != "postgres://u:pw12345678@h/db" {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([]string{"a.example", "b.example"}, c.Server.AllowedHosts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"fast": "codex/m", "a.b": "c"}, c.Routing.Aliases); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"PATCHBAY_PORT", "PATCHBAY_PROVIDERS_X"}, s.Unknown()); diff != "" {
		t.Error(diff)
	}
	for key, want := range map[string]Source{
		"server.listen":                  {Kind: FromFlag, Name: "--listen"},
		"server.lan":                     {Kind: FromFile, Name: path, Line: 1},
		"providers.home-ollama.base_url": {Kind: FromEnv, Name: "PATCHBAY_PROVIDERS_HOME_OLLAMA_BASE_URL"},
		"providers.home-ollama.kind":     {Kind: FromFile, Name: path, Line: 3},
		"routing.aliases.fast":           {Kind: FromEnv, Name: "PATCHBAY_ROUTING_ALIASES"},
		"timeouts.idle":                  {Kind: FromDefault},
		"server.trusted_proxies":         {Kind: FromDefault},
	} {
		if diff := cmp.Diff(want, s.Source(key)); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	err := s.Set("server.listen", "127.0.0.1:4")
	if err == nil || !strings.Contains(err.Error(), "set by the flag --listen") {
		t.Errorf("%v", err)
	}
	for _, set := range s.List() {
		if strings.Contains(set.Value, "pw12345678") {
			t.Errorf("%+v shows the password", set)
		}
		if set.Key == "providers.home-ollama.limits.concurrent" && (set.Variable != "PATCHBAY_PROVIDERS_HOME_OLLAMA_LIMITS_CONCURRENT" || set.Value != "2") {
			t.Errorf("%+v", set)
		}
	}
}

func TestBadVariablesAndFlagsAreErrors(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]Options{
		"PATCHBAY_SERVER_LAN":      {Env: []string{"PATCHBAY_SERVER_LAN=perhaps"}},
		"PATCHBAY_ROUTING_ALIASES": {Env: []string{"PATCHBAY_ROUTING_ALIASES={a: [}"}},
		"PATCHBAY_LOG_LEVEL":       {Env: []string{"PATCHBAY_LOG_LEVEL=loud"}},
		"--listen":                 {Flags: map[string]string{"server.listen": "nowhere"}},
		"--no.such":                {Flags: map[string]string{"no.such": "1"}},
		"--server":                 {Flags: map[string]string{"server": "1"}},
	} {
		o.Path = filepath.Join(dir, "config.yaml")
		if _, err := Load(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryLeafHasAVariable(t *testing.T) {
	for key := range flatten(Default()) {
		if want := "PATCHBAY_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_")); key != "schema_version" && Variable(key) != want {
			t.Errorf("%s has %q, want %q", key, Variable(key), want)
		}
	}
	if Variable("routing.aliases.x") != "" || Variable("server") != "" || Variable("no.such") != "" {
		t.Error("something that is no leaf has a variable")
	}
}

func TestSetRefusesWhatIsNoSetting(t *testing.T) {
	s, path := load(t, sample, Options{})
	for _, key := range []string{"", "server", "server.", "server.no", "providers.deepseek", "server.listen.x", "providers..kind"} {
		if err := s.Set(key, "1"); err == nil {
			t.Errorf("%q was set", key)
		}
	}
	for key, value := range map[string]string{"server.lan": "perhaps", "server.listen": "nowhere", "routing.aliases": "{a: [", "routing.chains": "{a: {b: c}}"} {
		if err := s.Set(key, value); err == nil {
			t.Errorf("%s was set to %s", key, value)
		}
	}
	if err := s.Unset("no.such"); err == nil {
		t.Error("no.such was unset")
	}
	if read(t, path) != sample {
		t.Error("the file changed")
	}
}

func TestSubscribersVerifyThenCommit(t *testing.T) {
	var bus events.Bus
	s, path := load(t, sample, Options{Bus: &bus})
	var log []string
	refuse := errors.New("not this one")
	cancel := s.Subscribe(Subscriber{
		Verify: func(old, new *Config) error {
			log = append(log, "verify "+old.DefaultProvider+">"+new.DefaultProvider)
			if new.DefaultProvider == "kiro" {
				return refuse
			}
			return nil
		},
		Commit: func(_, new *Config) { log = append(log, "commit "+new.DefaultProvider) },
	})
	s.Subscribe(Subscriber{Commit: func(_, new *Config) { log = append(log, "second "+new.DefaultProvider) }})
	if err := s.Set("default_provider", "kiro"); !errors.Is(err, refuse) {
		t.Errorf("%v", err)
	}
	if read(t, path) != sample || s.Current().DefaultProvider != "" || bus.Seq() != 0 {
		t.Error("a refused change changed something")
	}
	if err := s.Set("default_provider", "codex"); err != nil || bus.Seq() != 1 {
		t.Error(err, bus.Seq())
	}
	cancel()
	if err := s.Set("default_provider", "iflow"); err != nil {
		t.Error(err)
	}
	want := []string{"verify >kiro", "verify >codex", "commit codex", "second codex", "second iflow"}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Error(diff)
	}
}

func TestOutsideChangesAreTakenOverBeforeAnEdit(t *testing.T) {
	s, path := load(t, "default_provider: codex\n", Options{})
	write(t, path, "default_provider: codex\nserver:\n  lan: true # by hand\n")
	if err := s.Set("default_provider", "kiro"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("default_provider: kiro\nserver:\n  lan: true # by hand\n", read(t, path)); diff != "" {
		t.Error(diff)
	}
	if !s.Current().Server.LAN {
		t.Error("the change by hand is not in force")
	}
}

func TestBrokenFileKeepsTheLastGoodSettings(t *testing.T) {
	var bus events.Bus
	s, path := load(t, "default_provider: codex\n", Options{Bus: &bus})
	write(t, path, "default_provider: [\n")
	for range 2 {
		if err := s.Reload(); err == nil || s.Problem() == nil || s.Current().DefaultProvider != "codex" {
			t.Fatalf("%v %v %v", err, s.Problem(), s.Current().DefaultProvider)
		}
	}
	if bus.Seq() != 1 {
		t.Errorf("the problem was told %d times", bus.Seq())
	}
	if err := s.Set("default_provider", "kiro"); err == nil || read(t, path) != "default_provider: [\n" {
		t.Errorf("a broken file was written over: %v", err)
	}
	write(t, path, "default_provider: iflow\n")
	if err := s.Reload(); err != nil || s.Problem() != nil || s.Current().DefaultProvider != "iflow" {
		t.Errorf("%v %v %v", err, s.Problem(), s.Current().DefaultProvider)
	}
	write(t, path, "default_provider: [\n")
	s.Reload()
	write(t, path, "default_provider: iflow\n") // back to the text that is in force
	if err := s.Reload(); err != nil || s.Problem() != nil {
		t.Errorf("%v %v", err, s.Problem())
	}
	os.Remove(path)
	if err := s.Reload(); err == nil || s.Problem() == nil || s.Current().DefaultProvider != "iflow" {
		t.Errorf("%v %v", err, s.Problem())
	}
	if err := s.Set("server.lan", "true"); err != nil || s.Problem() != nil {
		t.Errorf("%v %v", err, s.Problem())
	}
	if diff := cmp.Diff("default_provider: iflow\nserver:\n  lan: true\n", read(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenFileAtStartUsesTheLastGoodCopy(t *testing.T) {
	dir := t.TempDir()
	o := Options{Path: filepath.Join(dir, "config.yaml"), LastGood: filepath.Join(dir, "state", "config.last-good.yaml")}
	load(t, "default_provider: codex\n", o)
	write(t, o.Path, "nonsense: [")
	s, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Current().DefaultProvider != "codex" || s.Problem() == nil || !strings.Contains(s.Problem().Err.Error(), "config.yaml") {
		t.Errorf("%v %v", s.Current().DefaultProvider, s.Problem())
	}
	write(t, o.Path, "default_provider: kiro\n")
	if err := s.Reload(); err != nil || s.Problem() != nil || s.Current().DefaultProvider != "kiro" {
		t.Errorf("%v %v", err, s.Problem())
	}
	if read(t, o.LastGood) != "default_provider: kiro\n" {
		t.Error("the copy is old")
	}
	write(t, o.LastGood, "also: [")
	write(t, o.Path, "nonsense: [")
	if _, err := Load(o); err == nil {
		t.Error("two broken files were taken")
	}
	write(t, o.Path, strings.Repeat("# too much\n", maxFile/8))
	if _, err := Load(Options{Path: o.Path}); err == nil || !strings.Contains(err.Error(), "no settings file") {
		t.Errorf("%v", err)
	}
}

func TestSaveThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s, path := load(t, "default_provider: codex\n", Options{Path: filepath.Join(dir, "config.yaml")})
	os.Remove(path)
	os.Mkdir(path, 0o700) // nothing can be renamed onto a folder
	os.WriteFile(filepath.Join(path, "x"), nil, 0o600)
	if err := s.Set("default_provider", "kiro"); err == nil || s.Current().DefaultProvider != "codex" {
		t.Errorf("%v %v", err, s.Current().DefaultProvider)
	}
	if err := writeFile(path, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if err := writeFile(filepath.Join(dir, "config.yaml", "x", "y"), nil); err == nil {
		t.Error("a file was made below a file")
	}
	if _, err := WriteStarter(filepath.Join(path, "x", "y")); err == nil {
		t.Error("a starter was made below a file")
	}
	if _, err := WriteStarter(dir); err != nil {
		t.Error(err) // it exists, whatever it is
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("a temporary file stayed: %v", entries)
	}
}

func TestRunReloadsChangedFiles(t *testing.T) {
	s, path := load(t, "default_provider: codex\n", Options{})
	s.debounce = time.Millisecond
	commits := make(chan string, 10)
	s.Subscribe(Subscriber{Commit: func(_, new *Config) { commits <- new.DefaultProvider }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	write(t, path, "default_provider: kiro\n")
	got := <-commits
	for got == "" { // written in place, and seen between emptying and writing: a millisecond is not enough to settle
		got = <-commits
	}
	if got != "kiro" {
		t.Errorf("%s", got)
	}
	for _, id := range []string{"iflow", "codex"} { // two replacements in a row, as editors do it
		tmp := path + ".swp"
		write(t, tmp, "default_provider: "+id+"\n")
		if err := os.Rename(tmp, path); err != nil {
			t.Fatal(err)
		}
		if got := <-commits; got != id {
			t.Errorf("%s, want %s", got, id)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFileThatIsBeingWrittenIsReadLater(t *testing.T) {
	s, path := load(t, "default_provider: codex\n", Options{})
	s.debounce = time.Hour
	for age, want := range map[time.Duration]bool{time.Minute: true, 2 * time.Hour: false, -2 * time.Hour: false} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if got := s.unsettled(); got != want {
			t.Errorf("written %v ago: unsettled is %v", age, got)
		}
	}
	if err := os.Remove(path); err != nil || s.unsettled() {
		t.Error("a missing file is waited for", err)
	}
}

func TestMigration(t *testing.T) {
	before, after := read(t, "testdata/v1/before.yaml"), read(t, "testdata/v1/after.yaml")
	got, from, err := migrate("config.yaml", before, steps)
	if err != nil || from != 1 {
		t.Fatal(from, err)
	}
	if diff := cmp.Diff(after, got); diff != "" {
		t.Error(diff)
	}
	if _, _, err := decodeFile("config.yaml", []byte(got)); err != nil {
		t.Error(err)
	}
	rename := func(text string) (string, error) {
		return strings.Replace(text, "default_provider:", "favourite:", 1), nil
	}
	got, _, err = migrate("config.yaml", before, []step{rename, rename})
	if err != nil || !strings.Contains(got, "schema_version: 3\nfavourite: codex   # my favourite\n") {
		t.Errorf("%v\n%s", err, got)
	}
	fails := func(string) (string, error) { return "", errors.New("cannot") }
	if _, _, err := migrate("config.yaml", "a: 1\n", []step{fails}); err == nil {
		t.Error("a failed step was taken")
	}
}

func TestOldFileIsKeptWhenANewFormIsSaved(t *testing.T) {
	s, path := load(t, "default_provider: codex\n", Options{})
	s.from = 0 // as if the file were one version older
	if err := s.Set("default_provider", "kiro"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(filepath.Dir(path), "config.v0.yaml")); got != "default_provider: codex\n" {
		t.Errorf("%q", got)
	}
}

func TestPaths(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			if i := slices.Index(pairs, name); i >= 0 {
				return pairs[i+1]
			}
			return ""
		}
	}
	for _, c := range []struct {
		name, goos string
		env        func(string) string
		want       Paths
	}{
		{"linux", "linux", env("HOME", "/h"), Paths{"/h/.config/patchbay/config.yaml", "/h/.local/share/patchbay", "/h/.local/state/patchbay"}},
		{"linux with XDG", "linux", env("HOME", "/h", "XDG_CONFIG_HOME", "/c", "XDG_DATA_HOME", "/d", "XDG_STATE_HOME", "relative"), Paths{"/c/patchbay/config.yaml", "/d/patchbay", "/h/.local/state/patchbay"}},
		{"macOS", "darwin", env("HOME", "/h"), Paths{"/h/Library/Application Support/patchbay/config.yaml", "/h/Library/Application Support/patchbay", "/h/Library/Logs/patchbay"}},
		{"Windows", "windows", env("APPDATA", "/a", "LOCALAPPDATA", "/l"), Paths{"/a/patchbay/config.yaml", "/l/patchbay", "/l/patchbay"}},
		{"one folder for all", "linux", env("HOME", "/h", "PATCHBAY_HOME", "/p"), Paths{"/p/config.yaml", "/p", "/p/logs"}},
	} {
		got, err := pathsOf(c.goos, c.env)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
	if _, err := pathsOf("linux", env()); err == nil {
		t.Error("no home, and no error")
	}
	t.Setenv("PATCHBAY_HOME", "/p")
	p, err := FindPaths()
	if err != nil || p.Database() != "/p/patchbay.db" || p.Dir() != "/p" || p.LastGood() != "/p/logs/config.last-good.yaml" {
		t.Errorf("%+v %v", p, err)
	}
}

func TestListenAddr(t *testing.T) {
	for _, c := range []struct {
		s    Server
		want string
	}{
		{Server{Listen: "127.0.0.1:8390"}, "127.0.0.1:8390"},
		{Server{Listen: "127.0.0.1:8390", LAN: true}, ":8390"},
		{Server{Listen: "localhost:8390", LAN: true}, ":8390"},
		{Server{Listen: "192.168.1.5:80", LAN: true}, "192.168.1.5:80"},
	} {
		if got := c.s.ListenAddr(); got != c.want {
			t.Errorf("%+v: %s", c.s, got)
		}
	}
}

func TestSizesAndDurationsRoundTrip(t *testing.T) {
	for text, want := range map[string]Size{"64MiB": 64 << 20, "64 mib": 64 << 20, "1GB": 1e9, "512": 512, "3KiB": 3 << 10, "0": 0, "7B": 7} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
		if again, err := parseSize(got.String()); err != nil || again != got {
			t.Errorf("%s comes back as %d, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "-1", "MiB", "9999999999GiB", "1.5MiB"} {
		if _, err := parseSize(text); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
	for d, want := range map[time.Duration]string{0: "off", time.Hour: "1h", 90 * time.Second: "1m30s", 2 * time.Minute: "2m", time.Hour + time.Second: "1h0m1s", 250 * time.Millisecond: "250ms"} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is written %s", d, got)
		}
		if again, err := parseDuration(want); err != nil || again != d {
			t.Errorf("%s comes back as %v, %v", want, again, err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "config.yaml")
	os.WriteFile(path, []byte(sample), 0o600)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(Options{Path: path, Env: os.Environ()}); err != nil {
			b.Fatal(err)
		}
	}
}
