package transfer

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"patchbay/backend/secret"
)

// plan is what the files hold, sorted out, before anything is taken.
type plan struct {
	files    map[string]finding // by name, those that others may refer to
	referred map[string]bool    // files that an account of a pool names
	arrivals []arrival
	keys     []keyWish
	fallback wish // the default provider
	chains   []chainWish

	fallbackModels []aliasWish // models that go to a model of another provider when nobody else can serve them
	aliases        []aliasWish
	settings       []settingWish
	pooling        []settingWish   // by the name in a pool, for each provider that gets accounts
	prompts        map[string]bool // files that are a text for apps, and nothing else
	general        wish            // the proxy of CLIProxyAPI's logins, with its file
	proxies        []wish          // by member, for more than one account
	said           []ImportItem
	left           map[leftKey]int // members that nothing here corresponds to, with how many accounts had them
}

// arrival is an account that a file brings.
type arrival struct {
	from, name  string
	old         string // the name of its provider there
	id          string // by which a second import knows it again; "" = by its login alone
	to          target
	key         secret.Value
	login       *finding // of a sign-in; nil for a key
	off         bool
	priority    int
	concurrent  int
	weight      int
	proxy       secret.Value
	settings    map[string]string
	aliases     map[string]string // names of models at its provider
	notes       []string
	impossible  string // why it cannot be taken
	general     string // the file that gave it its proxy, for all accounts of its sort; "" = it has one of its own, or none
	taken       bool
	email, more string // of a login: what its program noted beside it
}

// target is the provider of an arrival: one that is known by its id, or one by its kind and address.
type target struct {
	id, kind, base string
	name           string // for one that is to be made
}

type wish struct{ from, value string }

type keyWish struct {
	from string
	text secret.Value
}

type settingWish struct{ from, key, value string }

type chainWish struct {
	from, of string
	to       []string
}

type aliasWish struct{ from, name, provider, model string }

type leftKey struct{ from, member, why string }

func newPlan(found []finding) *plan {
	p := &plan{files: map[string]finding{}, referred: map[string]bool{}, prompts: map[string]bool{}, left: map[leftKey]int{}}
	for _, f := range found {
		p.files[f.Name] = f
	}
	// Settings and pools first: what they say of a login counts for its file.
	for _, want := range []form{formConfig, formPools, formProxy, formModels} {
		for _, f := range found {
			if f.form == want {
				p.read(f)
			}
		}
	}
	p.proxied()
	for _, f := range found {
		switch f.form {
		case formLogin, formKey:
			if !p.referred[f.Name] {
				p.arrivals = append(p.arrivals, p.single(f))
			}
		case formUnknown:
			if p.prompts[f.Name] {
				continue // it was what its settings said of it
			}
			if len(found) == 1 && f.Problem == "" {
				f.why += "; " + expected
			}
			p.say(Skipped, kindFile, f.Name, f.Name, f.why)
		case formDeclined:
			p.say(Skipped, kindFile, f.Name, f.Name, f.why)
		}
	}
	p.sayLeft()
	return p
}

func (p *plan) read(f finding) {
	switch f.form {
	case formConfig:
		p.config(f)
	case formPools:
		p.pools(f)
	case formProxy:
		p.cliProxy(f)
	case formModels:
		p.models(f)
	}
}

func (p *plan) say(o Outcome, kind, name, from, note string) {
	p.said = append(p.said, ImportItem{Outcome: o, Kind: kind, Name: name, From: from, Note: note})
}

// leave notes a member of an account that has no place here; it is reported once for all.
func (p *plan) leave(from, member, why string) { p.left[leftKey{from, member, why}]++ }

// leaveRest notes the members of an account that nobody asked for.
func (p *plan) leaveRest(from string, d object) {
	for name := range d.m {
		if !d.used[name] && !strings.HasPrefix(name, "_") {
			p.leave(from, shownName(name), "it is not known here")
		}
	}
}

func (p *plan) sayLeft() {
	keys := slices.SortedFunc(maps.Keys(p.left), func(a, b leftKey) int {
		return strings.Compare(a.from+"\x00"+a.member, b.from+"\x00"+b.member)
	})
	for _, k := range keys {
		p.say(Skipped, kindMember, k.member, k.from, fmt.Sprintf("%s (at %s)", k.why, counted(p.left[k], "account")))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// single is the account of a file that no pool names.
func (p *plan) single(f finding) arrival {
	a := arrival{from: f.Name, to: target{id: f.provider}}
	if f.form == formKey {
		a.key = secret.New(f.doc.text("OPENAI_API_KEY"))
		return a
	}
	withLogin(&a, f)
	if f.program != "" {
		a.weight = p.weight(f.Name, f.doc)
	}
	if f.program != "" && p.general.value != "" && a.proxy.Empty() && f.doc.text("proxy_url") == "" {
		a.proxy, a.general = secret.New(p.general.value), p.general.from
	}
	return a
}

// withLogin makes an arrival one of a login. Programs write their own members beside the vendor's.
func withLogin(a *arrival, f finding) {
	a.login = &f
	if f.program != "" {
		a.off = a.off || f.doc.yes("disabled")
		if p := f.doc.text("proxy_url"); a.proxy.Empty() && p != "" && p != "direct" && p != "none" {
			a.proxy = secret.New(p)
		}
		if f.doc.has("prefix") && f.doc.text("prefix") != "" {
			a.notes = append(a.notes, "its prefix has no place here")
		}
	}
	a.email = f.doc.text("email")
	if !strings.Contains(a.email, "@") || len(a.email) > 200 {
		a.email = ""
	}
	if a.more = f.doc.text("project_id"); a.more == "" {
		a.more = f.doc.object("token").text("project_id")
	}
}

// stableID makes an account's id of what another program calls it.
func stableID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base32.StdEncoding.EncodeToString(sum[:])[:12]
}

// find returns the file that a reference means.
func (p *plan) find(from, ref string) (finding, bool) {
	for _, name := range places(from, ref) {
		if f, ok := p.files[name]; ok {
			return f, true
		}
	}
	return finding{}, false
}

// shownPath is a path from a file for a report: its last two parts.
func shownPath(ref string) string {
	ref = strings.ReplaceAll(ref, `\`, "/")
	return path.Join(path.Base(path.Dir(ref)), path.Base(ref))
}
