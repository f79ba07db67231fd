package transfer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// The settings file of CLIProxyAPI as its config.example.yaml shows it (2026-08-22).

// proxyLists are its lists of API keys, with the provider here.
var proxyLists = []struct {
	member string
	to     target
}{
	{"gemini-api-key", target{id: "gemini", kind: "gemini"}},
	{"claude-api-key", target{id: "anthropic", kind: "anthropic"}},
	{"codex-api-key", target{id: "openai-responses", kind: "openai-responses"}},
	{"xai-api-key", target{id: "xai", kind: "openai"}},
}

func (p *plan) cliProxy(f finding) {
	d := f.doc
	for _, key := range d.texts("api-keys") {
		p.keys = append(p.keys, keyWish{f.Name, secret.New(key)})
	}
	general := d.text("proxy-url")
	for _, l := range proxyLists {
		for _, e := range d.objects(l.member) {
			a := p.proxyEntry(f, e, l.to, general)
			a.key, a.to.base = secret.New(e.text("api-key")), e.text("base-url")
			p.leaveRest(f.Name, e)
			p.arrivals = append(p.arrivals, a)
		}
	}
	if n := len(d.list("vertex-api-key")); n > 0 {
		p.say(Skipped, kindProvider, "vertex-api-key", f.Name, "there is no provider for Vertex AI; its "+counted(n, "account")+" stayed there")
	}
	for _, e := range d.objects("openai-compatibility") {
		p.compatible(f, e, general)
	}
	if general != "" {
		p.general = wish{f.Name, general}
		p.proxies = append(p.proxies, wish{f.Name, "proxy-url"})
	}
	p.pooled(f, d.object("routing"))
	if port := d.text("port"); port != "" {
		p.say(Skipped, KindSetting, "port", f.Name, "Patchbay stays at its own address; server.listen moves it")
	}
	d.used["auth-dir"] = true
	var rest []string
	for name, v := range d.m {
		if !d.used[name] && v.Kind() != 'n' {
			rest = append(rest, shownName(name))
		}
	}
	if slices.Sort(rest); len(rest) > 0 {
		p.say(Skipped, KindSetting, strings.Join(slices.Compact(rest), ", "), f.Name, "nothing here corresponds to it")
	}
}

// strategies are its ways to choose among accounts, with the names here.
var strategies = map[string]string{"round-robin": "round-robin", "weighted-round-robin": "weighted", "fill-first": "fill-first"}

// pooled takes over how it chooses among accounts, for every provider that has some of them.
func (p *plan) pooled(f finding, r object) {
	if old := r.text("strategy"); old != "" {
		if strategy, ok := strategies[old]; ok {
			p.pooling = append(p.pooling, settingWish{f.Name, "strategy", strategy})
		} else {
			p.say(Skipped, KindSetting, "routing.strategy", f.Name, "there is no such strategy here; patchbay pools set --strategy has others")
		}
	}
	ttl, hasTTL := r.text("session-affinity-ttl"), r.has("session-affinity-ttl")
	switch {
	case !r.has("session-affinity") && !hasTTL:
	case !r.yes("session-affinity"):
		p.say(Skipped, KindSetting, "routing.session-affinity", f.Name,
			"a conversation stays on one account here, which keeps its prompt cache; patchbay pools set --sticky off ends that")
	case hasTTL && ttl != "":
		if d, err := time.ParseDuration(ttl); err != nil || d <= 0 {
			p.say(Skipped, KindSetting, "routing.session-affinity-ttl", f.Name, "it is no length of time")
		} else {
			p.pooling = append(p.pooling, settingWish{f.Name, "sticky_for", d.String()})
		}
	default:
		p.say(Skipped, KindSetting, "routing.session-affinity", f.Name, "it is so here anyway: a conversation stays on one account")
	}
}

// weight reads the share of calls that an entry of its settings, or the file of a login, gives an account; 0 = none.
func (p *plan) weight(from string, e object) int {
	if !e.has("weight") {
		return 0
	}
	n := e.number("weight", 0)
	if n < 1 || n > account.MaxWeight {
		p.leave(from, "weight", "a weight here is a number from 1 to "+strconv.Itoa(account.MaxWeight))
		return 0
	}
	return n
}

// compatible reads a service that speaks OpenAI's protocol: one account for each of its keys.
func (p *plan) compatible(f finding, e object, general string) {
	name := e.text("name")
	to := target{kind: "openai", base: e.text("base-url"), name: name}
	base := p.proxyEntry(f, e, to, general)
	keys := e.objects("api-key-entries")
	for _, key := range e.texts("api-keys") { // the form of older versions
		a := base
		a.key = secret.New(key)
		p.arrivals = append(p.arrivals, a)
	}
	p.leaveRest(f.Name, e)
	for _, k := range keys {
		a := base
		a.key = secret.New(k.text("api-key"))
		p.ownProxy(f, k, &a, general)
		p.leaveRest(f.Name, k)
		p.arrivals = append(p.arrivals, a)
	}
	if len(keys) == 0 && len(e.texts("api-keys")) == 0 { // a server without keys
		base.id = stableID("keyless", base.to.kind, base.to.base)
		p.arrivals = append(p.arrivals, base)
	}
}

// proxyEntry reads what all entries have.
func (p *plan) proxyEntry(f finding, e object, to target, general string) arrival {
	a := arrival{from: f.Name, to: to, off: e.yes("disabled"), settings: map[string]string{}, aliases: map[string]string{}}
	p.ownProxy(f, e, &a, general)
	headers := e.object("headers")
	for name := range headers.m {
		if v := headers.text(name); v != "" && shownName(name) == name {
			a.settings[provider.SettingHeaderPrefix+name] = v
		}
	}
	for _, m := range e.objects("models") {
		model, alias := m.text("name"), m.text("alias")
		if model != "" && alias != "" && model != alias {
			a.aliases[alias] = model
		}
		for _, n := range []string{"max-context-length", "input-modalities"} {
			if m.has(n) {
				p.leave(f.Name, "models."+n, "what a model can do comes from the service's list here")
			}
		}
	}
	if e.has("prefix") && e.text("prefix") != "" {
		p.leave(f.Name, "prefix", "any model may be called PROVIDER/MODEL here")
	}
	if list := e.texts("excluded-models"); len(list) > 0 {
		a.settings[provider.SettingServesNot] = strings.Join(list, ",")
	}
	return a
}

func (p *plan) ownProxy(f finding, e object, a *arrival, general string) {
	proxy := e.text("proxy-url")
	a.proxy, a.general = secret.Value{}, ""
	if proxy == "" && general != "" {
		proxy, a.general = general, f.Name
	}
	if proxy != "" && proxy != "direct" && proxy != "none" {
		a.proxy = secret.New(proxy)
	}
	a.weight = cmp.Or(p.weight(f.Name, e), a.weight) // an entry of a list may have its own
}
