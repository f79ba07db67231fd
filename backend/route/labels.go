package route

import (
	"context"
	"strings"

	"patchbay/backend/canon"
)

// A label names a provider in front of a model: "[Kiro] claude-sonnet-4-5". Ollama's clients know no other way to tell
// the models of several providers apart (AIClient-2-API).

// label is the word that stands for a provider: its name if that means no other one and can stand in brackets.
func (x *index) label(p *Provider) string {
	if x.byLabel[strings.ToLower(p.Name)] == p && !strings.Contains(p.Name, "]") {
		return p.Name
	}
	return p.ID
}

// Labelled lists every model as "[Label] id", by the providers' priority and then by id, and the person's own names as
// they are. With a provider, only its own.
func (r *Router) Labelled(ctx context.Context, provider string) ([]canon.Model, error) {
	list, err := r.Models(ctx, provider) // waits for the lists, and checks the provider
	if err != nil {
		return nil, err
	}
	x := r.index.Load()
	var out []canon.Model
	for _, p := range x.providers {
		if !p.Enabled || provider != "" && p.ID != provider {
			continue
		}
		for _, m := range x.ownList(p) {
			r.assume(&m)
			m.ID = "[" + x.label(p) + "] " + m.ID
			out = append(out, m)
		}
	}
	for _, m := range list {
		if m.Provider == "" { // an alias
			out = append(out, m)
		}
	}
	return out, nil
}

// Permitted leaves of a list what a request by each of its names would be allowed to use. q is such a request without the
// model. An entry that stands for several providers becomes that of the one that would serve.
func (r *Router) Permitted(list []canon.Model, q Query) []canon.Model {
	x := r.index.Load()
	out := make([]canon.Model, 0, len(list))
	for _, m := range list {
		q.Model = m.ID
		c, _, err := r.choose(x, q)
		if err != nil || !q.allows(c.Provider, c.Model, c.Named) {
			continue
		}
		if m.Provider != "" && m.Provider != c.Provider {
			id := m.ID
			m = c.Facts
			m.ID, m.Provider = id, c.Provider
			r.assume(&m)
		}
		out = append(out, m)
	}
	return out
}

// Label describes a model of a provider under the name that Labelled has for it.
func (r *Router) Label(provider, model string) canon.Model {
	x := r.index.Load()
	m := x.listed[provider][model]
	m.ID, m.Provider = model, provider
	r.assume(&m)
	if p := x.provider(provider); p != nil {
		m.ID = "[" + x.label(p) + "] " + model
	}
	return m
}

// assume fills in the usual context of a model of which none is known.
func (r *Router) assume(m *canon.Model) {
	if r.o.Assumed != nil && m.Context == 0 && m.MaxOutput == 0 {
		m.Context, m.MaxOutput = r.o.Assumed(m.ID)
	}
}

// Find tells which model a name means. It finds nothing where a request would go to a model that its provider is known
// not to list.
func (r *Router) Find(ctx context.Context, q Query) (canon.Model, bool) {
	plan, err := r.Plan(ctx, q)
	if err != nil {
		return canon.Model{}, false
	}
	c := plan.Candidates[0]
	if !q.allows(c.Provider, c.Model, c.Named) {
		return canon.Model{}, false
	}
	x := r.index.Load()
	m, listed := x.listed[c.Provider][c.Model]
	m.ID, m.Provider = c.Model, c.Provider
	r.assume(&m)
	return m, listed || !x.known[c.Provider]
}

// spelled returns a name as it is listed, where a client's own spelling differs: Ollama's clients do not mind case, and
// put ":latest" behind a name without a tag, or leave it out. A name that is listed stays.
func (x *index) spelled(model string, only *Provider) string {
	if len(x.byModel[model]) > 0 && only == nil {
		return model
	}
	if _, ok := x.settings.Aliases[model]; ok {
		return model
	}
	p, rest := x.splitPrefix(model)
	if only != nil && p != only { // the prefix of another provider is part of the name
		p, rest = only, model
	}
	head := model[:len(model)-len(rest)]
	const latest = ":latest"
	bare := rest
	if n := len(rest) - len(latest); n > 0 && strings.EqualFold(rest[n:], latest) {
		bare = rest[:n]
	}
	for _, want := range []string{rest, bare, rest + latest} {
		if id, ok := x.sameName(p, want); ok {
			return head + id
		}
	}
	return model
}

// sameName finds a name in any case: a model of p, or of any provider if p is nil, or an alias.
func (x *index) sameName(p *Provider, want string) (string, bool) {
	low := strings.ToLower(want)
	if p != nil {
		if _, ok := x.resolve(p, want); ok {
			return want, true
		}
		id, ok := x.folded[p.ID][low]
		return id, ok
	}
	if len(x.byModel[want]) > 0 {
		return want, true
	}
	if _, ok := x.settings.Aliases[want]; ok {
		return want, true
	}
	id, ok := x.folded[""][low]
	return id, ok
}

// fold fills the index of names in lower case.
func (x *index) fold() {
	x.folded = map[string]map[string]string{"": {}}
	add := func(provider, name string) {
		m := x.folded[provider]
		if m == nil {
			m = map[string]string{}
			x.folded[provider] = m
		}
		if low := strings.ToLower(name); m[low] == "" || name < m[low] {
			m[low] = name
		}
	}
	for id, models := range x.listed {
		for name := range models {
			add(id, name)
			add("", name)
		}
		for alias := range x.provider(id).Models {
			add(id, alias)
			add("", alias)
		}
	}
	for alias := range x.settings.Aliases {
		if !strings.HasSuffix(alias, "*") {
			add("", alias)
		}
	}
}
