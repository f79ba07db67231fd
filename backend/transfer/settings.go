package transfer

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/config"
)

// providerFor finds the provider of an account, and makes one where the address is none that is known.
func (t *taker) providerFor(a *arrival) (string, error) {
	to := a.to
	if to.base == "" {
		if _, ok := t.offer(to.id); ok {
			return to.id, nil
		}
		p, ok := t.host.Presets().Get(to.id)
		switch {
		case to.id == "":
			return "", apierror.Invalid("base_url", "it has no address")
		case !ok:
			return "", apierror.Invalid("provider", "this version has no provider %s", to.id)
		}
		return t.make(target{id: p.ID}, p.ID)
	}
	base, err := t.host.CleanBase(to.base)
	if err != nil {
		return "", err
	}
	to.base = base
	if id := t.at(to); id != "" {
		return id, nil
	}
	if to.kind == "forward" { // one service, whose address may differ by account
		a.settings["base_url"] = base
		return to.id, nil
	}
	for _, p := range t.host.Presets().All() {
		if p.Kind == to.kind && p.BaseURL != "" && near(p.BaseURL, base) && t.free(p.ID) {
			return t.make(target{id: p.ID}, p.ID)
		}
	}
	wish := cmp.Or(slug(to.name), hostSlug(base))
	id := wish
	for n := 2; !t.free(id); n++ {
		id = fmt.Sprintf("%s-%d", wish, n)
	}
	return t.make(to, id)
}

// at returns the provider at an address, "" if there is none.
func (t *taker) at(to target) string {
	if id := t.made[target{kind: to.kind, base: to.base}]; id != "" {
		return id
	}
	for _, o := range t.host.Offers() {
		if o.Info.BaseURL != "" && near(o.Info.BaseURL, to.base) && (o.Info.ID == to.id || o.Info.Wire == to.kind) {
			return o.Info.ID
		}
	}
	return ""
}

// near reports whether two addresses are of one service: a missing /v1 or a slash at the end do not matter.
func near(a, b string) bool {
	cut := func(s string) string {
		s = strings.TrimRight(strings.ToLower(s), "/")
		s = strings.TrimSuffix(s, "/v1")
		return strings.TrimSuffix(s, "/v1beta")
	}
	return cut(a) == cut(b)
}

// free reports whether an id can be that of a new provider.
func (t *taker) free(id string) bool {
	if _, there := t.offer(id); there || config.Reserved(id) || !config.ValidID(id) {
		return false
	}
	for _, made := range t.made {
		if made == id {
			return false
		}
	}
	return true
}

// make adds a provider to the settings: a preset, or one of the person's own.
func (t *taker) make(to target, id string) (string, error) {
	key := target{kind: to.kind, base: to.base}
	presetID, note := "", "for the accounts at "+to.base
	if to.base == "" {
		key, presetID, note = target{id: id}, id, ""
		if made := t.made[key]; made != "" {
			return made, nil
		}
		if p, ok := t.host.Presets().Get(id); ok {
			t.made[target{kind: p.Kind, base: p.BaseURL}] = id
		}
	}
	if !t.o.DryRun {
		if err := t.host.AddProvider(t.ctx, id, presetID, to.kind, to.base, to.name); err != nil {
			return "", err
		}
	}
	t.made[key] = id
	t.say(Taken, kindProvider, id, "", note)
	return id, nil
}

// slug makes an id of a name.
func slug(name string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		}
		return '-'
	}, name)
	out = strings.Trim(out[:min(len(out), 40)], "-")
	for strings.Contains(out, "--") {
		out = strings.ReplaceAll(out, "--", "-")
	}
	if out == "" || config.Reserved(out) {
		return ""
	}
	return out
}

// hostSlug makes an id of an address: api.deepseek.com is deepseek.
func hostSlug(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "imported"
	}
	host := u.Hostname()
	if labels := strings.Split(host, "."); len(labels) > 1 && strings.ContainsAny(labels[len(labels)-1], "abcdefghijklmnopqrstuvwxyz") {
		host = labels[len(labels)-2]
	} else if u.Port() != "" {
		host += "-" + u.Port()
	}
	return cmp.Or(slug(host), "imported")
}

// routing takes what says which provider serves what. It comes last: the providers must be there.
func (t *taker) routing() {
	done := map[string]bool{} // accounts of one service bring the same
	for _, a := range t.plan.arrivals {
		for _, alias := range slices.Sorted(maps.Keys(a.aliases)) {
			if key := a.to.id + "\x00" + alias; a.impossible == "" && a.to.id != "" && !done[key] {
				done[key] = true
				t.set("providers."+a.to.id+".aliases."+alias, a.aliases[alias], a.from, alias)
			}
		}
	}
	if w := t.plan.fallback; w.value != "" {
		if ids := t.here(w.value); len(ids) > 0 {
			t.set("default_provider", ids[0], w.from, "")
		} else {
			t.say(Skipped, KindSetting, "default_provider", w.from, "there is no provider for "+shownName(w.value))
		}
	}
	for _, c := range t.plan.chains {
		t.chain(c)
	}
	t.pooling()
	for _, w := range t.plan.settings {
		t.set(w.key, w.value, w.from, "")
	}
	for _, m := range t.plan.fallbackModels {
		if ids := t.here(m.provider); len(ids) > 0 {
			t.set("routing.model_fallback."+m.name, "["+ids[0]+"/"+m.model+"]", m.from, m.name)
		} else {
			t.say(Skipped, KindSetting, "modelFallbackMapping "+shownName(m.name), m.from, "there is no provider for "+shownName(m.provider))
		}
	}
	for _, a := range t.plan.aliases {
		if ids := t.here(a.provider); len(ids) > 0 {
			t.set("routing.aliases."+a.name, ids[0]+"/"+a.model, a.from, a.name)
		} else {
			t.say(Skipped, KindSetting, shownName(a.name), a.from, "there is no provider for "+shownName(a.provider))
		}
	}
}

// pooling gives the pools that have accounts of the other program its ways of choosing among them.
func (t *taker) pooling() {
	for _, w := range t.plan.pooling {
		done := map[string]bool{}
		for _, a := range t.plan.arrivals {
			of := a.from == w.from || a.login != nil && a.login.program != ""
			if id := a.to.id; of && !done[id] && (a.taken || t.host.Accounts.HasAccounts(id)) {
				done[id] = true
				t.set("providers."+id+".pool."+w.key, w.value, w.from, "")
			}
		}
		if len(done) == 0 {
			t.say(Skipped, KindSetting, "pool."+w.key, w.from, "no account was taken that it is meant for")
		}
	}
}

func (t *taker) chain(c chainWish) {
	name := "routing.chains." + shownName(newName(c.of))
	var to, gone []string
	for _, old := range c.to {
		ids := t.here(old)
		if len(ids) == 0 {
			gone = append(gone, shownName(old))
		}
		to = append(to, ids...)
	}
	of := t.here(c.of)
	if len(of) == 0 || len(to) == 0 {
		t.say(Skipped, KindSetting, name, c.from, "its providers are not there")
		return
	}
	for _, id := range of {
		t.chainOf(id, to, c.from)
	}
	if len(gone) > 0 {
		t.say(Skipped, KindSetting, name, c.from, "without "+strings.Join(gone, ", ")+", for which there is no provider")
	}
}

// chainOf makes the chain of a provider. The other program follows no chain of a chain, so that two providers may stand in for
// each other there. Here such a pair is a circle: who comes later goes without the step that leads back.
func (t *taker) chainOf(id string, to []string, from string) {
	key := "routing.chains." + id
	if _, there := t.host.Settings.Chosen()[key]; there {
		t.set(key, "["+strings.Join(to, ", ")+"]", from, "")
		return
	}
	var steps, back []string
	for _, step := range to {
		switch {
		case step == id || slices.Contains(steps, step):
		case t.leads(step, id):
			back = append(back, step)
		default:
			steps = append(steps, step)
		}
	}
	if len(steps) > 0 {
		t.set(key, "["+strings.Join(steps, ", ")+"]", from, "")
		t.links[id] = steps
	}
	if len(back) > 0 {
		t.say(Skipped, KindSetting, key, from, "without "+strings.Join(back, ", ")+", whose own chain leads back to "+id)
	}
}

// leads reports whether the chains lead from one provider to another.
func (t *taker) leads(from, to string) bool {
	if t.links == nil {
		t.links = map[string][]string{}
		for key, value := range t.host.Settings.Chosen() {
			if of, ok := strings.CutPrefix(key, "routing.chains."); ok {
				for _, step := range strings.Split(strings.Trim(value, "[]"), ",") {
					head := func(s string) string { h, _, _ := strings.Cut(strings.Trim(s, ` "'`), "/"); return newName(h) }
					t.links[head(of)] = append(t.links[head(of)], head(step))
				}
			}
		}
	}
	seen := map[string]bool{}
	var follow func(string) bool
	follow = func(at string) bool {
		if at == to {
			return true
		}
		if seen[at] {
			return false
		}
		seen[at] = true
		return slices.ContainsFunc(t.links[at], follow)
	}
	return follow(from)
}

// set makes a setting, unless the person has chosen it already. A name that stands in it is shown only if it is one.
func (t *taker) set(key, value, from, named string) {
	shown := key
	if named != "" && shownName(named) != named {
		shown = strings.TrimSuffix(key, named) + shownName(named)
	}
	here := t.host.Settings.Chosen()
	switch has, ok := here[key]; {
	case ok && has == value:
		t.say(Skipped, KindSetting, shown, from, "it is the same here")
		return
	case ok:
		t.say(Skipped, KindSetting, shown, from, "it was set here already")
		return
	}
	if !t.o.DryRun {
		if err := t.host.Settings.Adopt(map[string]string{key: value}); err != nil {
			t.say(Skipped, KindSetting, shown, from, firstLine(err))
			return
		}
	}
	if value = strings.Trim(value, "[]"); shownName(value) != value {
		value = ""
	}
	t.say(Taken, KindSetting, shown, from, value)
}

// proxies says which proxies accounts have got that were not theirs alone.
func (t *taker) proxies() {
	for _, p := range t.plan.proxies {
		n := 0
		for _, a := range t.plan.arrivals {
			if a.taken && a.general == p.from {
				n++
			}
		}
		if n > 0 {
			t.say(Taken, KindSetting, p.value, p.from, "it is the proxy of "+counted(n, "account"))
		} else {
			t.say(Skipped, KindSetting, p.value, p.from, "no account was taken that it is meant for; an account gets one with --proxy-file")
		}
	}
}
