package route

import (
	"context"
	"slices"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// Query is what a plan depends on.
type Query struct {
	PathProvider   string // provider id from the path
	HeaderProvider string // from a header, as sent
	Model          string // as the client named it
	Format         string // the client's wire format
	Needs          Needs
	PromptTokens   int64 // an estimate, 0 = unknown
	Pictures       bool  // images are to be made: without a model the first one that makes some will do
	// Allowed says whether the client may use a provider, for a model by any of its names; without names, whether it may at
	// all. It guides the choice among several that could serve; nil allows everything. Who plans checks the candidates.
	Allowed func(provider string, names ...string) bool
}

func (q *Query) allows(provider string, names ...string) bool {
	return q.Allowed == nil || q.Allowed(provider, names...)
}

// Needs are abilities that a fallback must have.
type Needs struct{ Tools, Images, Documents, Thinking bool }

// Plan is where a request may go, best first.
type Plan struct {
	Candidates []Candidate
	Reason     string   // why the first one
	Steps      []string // what was decided and who was left out, for the log
}

// Candidate is one provider and model to try.
type Candidate struct {
	Provider, Model string
	Named           string           // the model as the client named it, without prefix and suffix; "" for a fallback
	Wire            string           // wire format of the upstream
	Facts           canon.Model      // what is known of the model
	Reasoning       *canon.Reasoning // wins over what the request says, if set
}

// Plan decides where a request may go. Errors: NotConfigured, ModelNotFound, InvalidRequest.
func (r *Router) Plan(ctx context.Context, q Query) (Plan, error) {
	x := r.index.Load()
	if q.PathProvider == "" && len(x.providers) > 1 {
		r.awaitLists(ctx)
		x = r.index.Load()
	}
	c, reason, err := r.choose(x, q)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Reason: reason, Steps: []string{reason}}
	if r.usable(x, c.Provider) {
		plan.Candidates = append(plan.Candidates, c)
	} else {
		plan.Steps = append(plan.Steps, apierror.From(r.notConfigured(x, c.Provider)).Msg)
	}
	r.chain(x, &plan, c, q)
	if len(plan.Candidates) == 0 {
		return plan, r.notConfigured(x, c.Provider)
	}
	return plan, nil
}

func (r *Router) usable(x *index, provider string) bool {
	p := x.provider(provider)
	return p != nil && p.Enabled && r.o.HasAccounts(provider)
}

// choose applies the order of precedence: path, model prefix, header, alias, the default provider if it lists the model,
// another one that lists it, the default provider.
func (r *Router) choose(x *index, q Query) (Candidate, string, error) {
	model := strings.TrimSpace(q.Model)
	if model == "" && q.Pictures {
		return r.pictures(x, q)
	}
	if model == "" {
		return Candidate{}, "", apierror.Invalid("model", "model is required")
	}
	if q.Format == looseNames {
		model = x.spelled(model, x.provider(q.PathProvider))
	}
	if q.PathProvider != "" {
		c, err := x.below(q.PathProvider, model, q.Format)
		return c, "the path names " + q.PathProvider, err
	}
	if id, declines := x.declinedPrefix(model); declines {
		return Candidate{}, "", errDeclined(id)
	}
	if p, rest := x.splitPrefix(model); p != nil {
		c, err := x.fixed(p.ID, rest, q.Format)
		return c, "the model's prefix names " + p.ID, err
	}
	if name := q.HeaderProvider; name != "" && name != "auto" {
		p := x.byName[strings.ToLower(name)]
		switch {
		case declined[strings.ToLower(name)]:
			return Candidate{}, "", errDeclined(name)
		case p == nil:
			return Candidate{}, "", apierror.Invalid("X-Patchbay-Provider", "the header X-Patchbay-Provider names %q, which is no provider", name)
		}
		c, err := x.below(p.ID, model, q.Format)
		return c, "the header names " + p.ID, err
	}
	if target, ok := x.alias(model); ok {
		return r.aliased(x, model, target, q)
	}
	// An alias may carry a suffix: "fast(high)".
	if s := parseSuffix(model, q.Format, func(name string) bool { _, ok := x.alias(name); return ok }); s.model != model {
		if target, ok := x.alias(s.model); ok {
			c, reason, err := r.aliased(x, s.model, target, q)
			if s.reasoning != nil {
				c.Reasoning = s.reasoning
			}
			return c, reason, err
		}
	}
	return r.byLists(x, model, q)
}

// pictures chooses a model that makes images for a request that names none: the default provider's, else the first.
func (r *Router) pictures(x *index, q Query) (Candidate, string, error) {
	only := q.PathProvider
	if p := x.byName[strings.ToLower(q.HeaderProvider)]; only == "" && p != nil {
		only = p.ID
	}
	var best *Provider
	var model string
	for _, p := range x.providers {
		if !r.usable(x, p.ID) || only != "" && p.ID != only {
			continue
		}
		i := slices.IndexFunc(x.lists[p.ID], func(m canon.Model) bool { return m.Pictures == canon.Yes && q.allows(p.ID, m.ID) })
		if i >= 0 && (best == nil || p.ID == r.Default()) {
			best, model = p, x.lists[p.ID][i].ID
		}
	}
	if best == nil {
		return Candidate{}, "", apierror.Invalid("model", "model is required: no provider here lists a model that makes images")
	}
	return x.candidate(best, suffixed{model: model}), best.ID + " lists a model that makes images", nil
}

func errDeclined(name string) error {
	return apierror.New(apierror.Unsupported, "%s is not supported by Patchbay; use one of the providers that `patchbay providers` lists", name)
}

// declinedPrefix tells a name that begins with a service which Patchbay will not have.
func (x *index) declinedPrefix(model string) (string, bool) {
	i := strings.IndexAny(model, "/:")
	if i <= 0 || len(x.byModel[model]) > 0 {
		return "", false
	}
	id := strings.ToLower(model[:i])
	return id, declined[id]
}

// below makes the candidate of a provider that the path or a header names. A prefix that names the same provider only
// repeats it, any other one is part of the name; an alias that leads to this provider counts.
func (x *index) below(provider, model, format string) (Candidate, error) {
	named := ""
	if p, rest := x.splitPrefix(model); p != nil && p.ID == provider {
		model = rest
	} else if target, ok := x.alias(model); ok {
		if p, rest := x.splitPrefix(target); p != nil && p.ID == provider {
			named, model = model, rest
		} else if p == nil {
			named, model = model, target
		}
	}
	c, err := x.fixed(provider, model, format)
	if named != "" {
		c.Named = named
	}
	return c, err
}

func (r *Router) aliased(x *index, alias, target string, q Query) (Candidate, string, error) {
	if p, rest := x.splitPrefix(target); p != nil {
		c, err := x.fixed(p.ID, rest, q.Format)
		c.Named = alias
		return c, "the alias " + alias + " stands for " + target, err
	}
	c, reason, err := r.byLists(x, target, q)
	c.Named = alias
	return c, "the alias " + alias + " stands for " + target + "; " + reason, err
}

func (r *Router) byLists(x *index, model string, q Query) (Candidate, string, error) {
	def := r.defaultFor(x, &q)
	s := parseSuffix(model, q.Format, func(name string) bool { return len(x.byModel[name]) > 0 })
	owners := x.byModel[s.model]
	usable := slices.DeleteFunc(slices.Clone(owners), func(p *Provider) bool { return !r.o.HasAccounts(p.ID) })
	if q.Allowed != nil { // if none is, the first one is named, so that the refusal says what was asked for
		may := slices.DeleteFunc(slices.Clone(usable), func(p *Provider) bool { return !q.Allowed(p.ID, x.candidate(p, s).Model, s.model) })
		if len(may) > 0 {
			usable = may
		}
	}
	for _, p := range usable {
		if p.ID == def {
			return x.candidate(p, s), def + " is the default provider and lists the model", nil
		}
	}
	if len(usable) > 0 {
		return x.candidate(usable[0], s), usable[0].ID + " lists the model", nil
	}
	if def == "" {
		return Candidate{}, "", r.unknown(x, model, q)
	}
	p := x.provider(def)
	if p == nil {
		return Candidate{}, "", apierror.New(apierror.NotConfigured, "the default provider %q does not exist; set default_provider to one that `patchbay providers` lists", def)
	}
	if side, ok := x.sideModel(p, s.model, q.Format); ok && x.known[def] {
		s.model = side
		return x.candidate(p, s), def + " is the default provider; " + side + " stands in for " + model, nil
	}
	if !x.known[def] || sameFamily(p.Wire, q.Format) {
		return x.candidate(p, s), def + " is the default provider", nil
	}
	return Candidate{}, "", r.unknown(x, model, q)
}

// defaultFor is the default provider, or the first one that the client may use where it may not use that.
func (r *Router) defaultFor(x *index, q *Query) string {
	def := r.Default()
	if q.allows(def) {
		return def
	}
	for _, p := range x.providers {
		if !p.Raw && r.usable(x, p.ID) && q.allows(p.ID) {
			return p.ID
		}
	}
	return def
}

// unknown names models whose names are close, of those that the client may use.
func (r *Router) unknown(x *index, model string, q Query) error {
	e := apierror.New(apierror.ModelNotFound, "the model %q is not known", model)
	e.Param = "model"
	if near := x.near(model, func(m *canon.Model) bool { return q.allows(m.Provider, m.ID) }); len(near) > 0 {
		e.Msg += "; did you mean " + strings.Join(near, ", ") + "?"
	} else if len(x.all) > 0 {
		e.Msg += "; GET /v1/models lists those that are"
	}
	for _, p := range x.providers {
		if p.Enabled && r.o.HasAccounts(p.ID) {
			return e
		}
	}
	return &apierror.Error{Kind: apierror.NotConfigured, Msg: "no provider has an account yet; add one with `patchbay accounts add PROVIDER` (`patchbay providers` lists them)"}
}

// fixed makes the candidate of a provider that was named. A model that it does not list goes there all the same: lists
// are often incomplete. Only the names that a client invents for itself are replaced.
func (x *index) fixed(provider, model, format string) (Candidate, error) {
	p := x.provider(provider)
	if p == nil {
		return Candidate{}, apierror.New(apierror.NotConfigured, "there is no provider %q", provider)
	}
	if model == "" {
		return Candidate{}, apierror.Invalid("model", "model is required: the name %q holds only a provider", provider)
	}
	s := parseSuffix(model, format, func(name string) bool { _, ok := x.resolve(p, name); return ok })
	if _, ok := x.resolve(p, s.model); !ok && x.known[p.ID] {
		if side, ok := x.sideModel(p, s.model, format); ok {
			s.model = side
		}
	}
	return x.candidate(p, s), nil
}

// resolve returns the upstream's name of a model that p lists or that the person named.
func (x *index) resolve(p *Provider, name string) (string, bool) {
	if target, ok := p.Models[name]; ok {
		return target, true
	}
	_, ok := x.listed[p.ID][name]
	return name, ok
}

func (x *index) candidate(p *Provider, s suffixed) Candidate {
	model, _ := x.resolve(p, s.model)
	facts := x.listed[p.ID][model]
	facts.ID = model
	return Candidate{Provider: p.ID, Model: model, Named: s.model, Wire: p.Wire, Facts: facts, Reasoning: s.reasoning}
}

// splitPrefix takes a provider off a model's name: "id/model", "id:model" or "[Label] model". The whole name wins where
// it is itself a listed model or an alias: OpenRouter's "openai/gpt-5" and Ollama's "x:8b" stay whole.
func (x *index) splitPrefix(model string) (*Provider, string) {
	if len(x.byModel[model]) > 0 {
		return nil, model
	}
	if _, ok := x.settings.Aliases[model]; ok {
		return nil, model
	}
	if label, rest, ok := strings.Cut(model, "]"); ok && strings.HasPrefix(label, "[") {
		if p := x.byLabel[strings.ToLower(label[1:])]; p != nil && strings.HasPrefix(rest, " ") {
			return p, strings.TrimLeft(rest, " ")
		}
	}
	if i := strings.IndexAny(model, "/:"); i > 0 {
		if p := x.byName[strings.ToLower(model[:i])]; p != nil {
			return p, model[i+1:]
		}
	}
	return nil, model
}

// chain appends the fallbacks of the first choice: the chains of providers, followed step by step, without those that
// could not do what the request needs.
func (r *Router) chain(x *index, plan *Plan, first Candidate, q Query) {
	seen := map[string]bool{first.Provider + "/" + first.Model: true}
	queue := x.next(first)
	for len(queue) > 0 && len(plan.Candidates) < maxCandidates {
		target := queue[0]
		queue = queue[1:]
		c, why := r.fallback(x, target, first, q)
		if why != "" {
			plan.Steps = append(plan.Steps, target+": skipped, "+why)
			continue
		}
		if key := c.Provider + "/" + c.Model; !seen[key] {
			seen[key] = true
			plan.Candidates = append(plan.Candidates, c)
			plan.Steps = append(plan.Steps, "fallback: "+key)
			queue = append(queue, x.next(c)...)
		}
	}
}

const maxCandidates = 8

// next is what the chains name after a candidate: those of the very model first, then those of its provider.
func (x *index) next(c Candidate) []string {
	return slices.Concat(x.settings.Chains[c.Provider+"/"+c.Model], x.settings.Chains[c.Provider])
}

// fallback makes the candidate of one entry of a chain, or says why it cannot serve.
func (r *Router) fallback(x *index, target string, first Candidate, q Query) (Candidate, string) {
	id, model, named := strings.Cut(target, "/")
	p := x.provider(id)
	switch {
	case p == nil:
		return Candidate{}, "there is no such provider"
	case !p.Enabled:
		return Candidate{}, "it is turned off"
	case !r.o.HasAccounts(id):
		return Candidate{}, "it has no account"
	}
	if !named {
		model = first.Model
		if _, ok := x.resolve(p, model); !ok && x.known[id] {
			model = x.defaultModel(p, false)
		}
	}
	c := x.candidate(p, suffixed{model: model, reasoning: first.Reasoning})
	c.Named = ""
	return c, lacks(c.Facts, q)
}

// lacks says what a model is known not to do of what a request needs.
func lacks(m canon.Model, q Query) string {
	switch {
	case q.Needs.Tools && m.Tools == canon.No:
		return "it cannot call tools"
	case q.Needs.Images && m.Images == canon.No:
		return "it cannot see images"
	case q.Needs.Documents && m.Documents == canon.No:
		return "it cannot read documents"
	case q.PromptTokens > 0 && m.Context > 0 && q.PromptTokens > m.Context:
		return "its context is too small"
	default:
		return ""
	}
}
