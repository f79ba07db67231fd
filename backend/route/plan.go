package route

import (
	"context"
	"slices"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/trace"
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
type Needs struct {
	Tools, Images, Documents, Thinking bool
	Output                             int64 // tokens of the answer, 0 = unknown
}

// Plan is where a request may go, best first.
type Plan struct {
	Candidates []Candidate
	After      []trace.Step // what was passed over after the last candidate
	Rule       trace.Rule   // why the first one
	Reason     string       // the same in words
	Steps      []trace.Step // what was decided; who was passed over later stands with the candidates
}

// Candidate is one provider and model to try.
type Candidate struct {
	Provider, Model string
	Named           string           // the model as the client named it, without prefix and suffix; "" for a fallback
	Wire            string           // wire format of the upstream
	Facts           canon.Model      // what is known of the model
	Reasoning       *canon.Reasoning // wins over what the request says, if set
	Fallback        bool             // it is only there for when others before it cannot serve
	Can             canon.Model      // of a fallback: what is known of its abilities, from its list or else from a dated table
	Passed          []trace.Step     // what was passed over between the candidate before it and this one
	Late            string           // of a fallback that comes after all others: what it lacks
}

// Plan decides where a request may go. Errors: NotConfigured, ModelNotFound, InvalidRequest.
func (r *Router) Plan(ctx context.Context, q Query) (Plan, error) {
	x := r.index.Load()
	if q.PathProvider == "" && len(x.providers) > 1 {
		r.awaitLists(ctx)
		x = r.index.Load()
	}
	asked := trace.Step{What: trace.Asked, Model: q.Model, Kind: q.Format}
	c, why, err := r.choose(x, q)
	if err != nil {
		return Plan{Steps: []trace.Step{asked}}, err
	}
	plan := Plan{Rule: why.rule, Reason: why.text, Steps: []trace.Step{
		asked, {What: trace.Chosen, Rule: why.rule, Provider: c.Provider, Model: c.Model, Message: why.text},
	}}
	if r.usable(x, c.Provider) {
		plan.Candidates = append(plan.Candidates, c)
	} else {
		e := apierror.From(r.notConfigured(x, c.Provider))
		plan.Steps = append(plan.Steps, trace.Step{What: trace.Skipped, Provider: c.Provider, Model: c.Model, Kind: r.missing(x, c.Provider), Message: e.Msg})
	}
	r.chain(x, &plan, c)
	plan.Sift(q)
	if len(plan.Candidates) == 0 {
		return plan, r.notConfigured(x, c.Provider)
	}
	return plan, nil
}

// because says why a provider was chosen.
type because struct {
	rule trace.Rule
	text string
}

// missing is the kind of why a provider cannot serve at all.
func (r *Router) missing(x *index, provider string) string {
	switch p := x.provider(provider); {
	case p == nil:
		return trace.KindUnknown
	case !p.Enabled:
		return trace.KindOff
	default:
		return trace.KindNoAccount
	}
}

func (r *Router) usable(x *index, provider string) bool {
	p := x.provider(provider)
	return p != nil && p.Enabled && r.o.HasAccounts(provider)
}

// choose applies the order of precedence: path, model prefix, header, alias, the default provider if it lists the model,
// another one that lists it, the default provider.
func (r *Router) choose(x *index, q Query) (Candidate, because, error) {
	model := strings.TrimSpace(q.Model)
	if model == "" && q.Pictures {
		return r.pictures(x, q)
	}
	if model == "" {
		return Candidate{}, because{}, apierror.Invalid("model", "model is required")
	}
	if q.Format == looseNames {
		model = x.spelled(model, x.provider(q.PathProvider))
	}
	if q.PathProvider != "" {
		c, err := x.below(q.PathProvider, model, q.Format)
		return c, because{trace.ByPath, "the path names " + q.PathProvider}, err
	}
	if id, declines := x.declinedPrefix(model); declines {
		return Candidate{}, because{}, errDeclined(id)
	}
	if p, rest := x.splitPrefix(model); p != nil {
		c, err := x.fixed(p.ID, rest, q.Format)
		return c, because{trace.ByPrefix, "the model's prefix names " + p.ID}, err
	}
	if name := q.HeaderProvider; name != "" && name != "auto" {
		p := x.byName[strings.ToLower(name)]
		switch {
		case declined[strings.ToLower(name)]:
			return Candidate{}, because{}, errDeclined(name)
		case p == nil:
			return Candidate{}, because{}, apierror.Invalid("X-Patchbay-Provider", "the header X-Patchbay-Provider names %q, which is no provider", name)
		}
		c, err := x.below(p.ID, model, q.Format)
		return c, because{trace.ByHeader, "the header names " + p.ID}, err
	}
	if target, ok := x.alias(model); ok {
		return r.aliased(x, model, target, q)
	}
	// An alias may carry a suffix: "fast(high)".
	if s := parseSuffix(model, q.Format, func(name string) bool { _, ok := x.alias(name); return ok }); s.model != model {
		if target, ok := x.alias(s.model); ok {
			c, why, err := r.aliased(x, s.model, target, q)
			if s.reasoning != nil {
				c.Reasoning = s.reasoning
			}
			return c, why, err
		}
	}
	return r.byLists(x, model, q)
}

// pictures chooses a model that makes images for a request that names none: the default provider's, else the first.
func (r *Router) pictures(x *index, q Query) (Candidate, because, error) {
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
		return Candidate{}, because{}, apierror.Invalid("model", "model is required: no provider here lists a model that makes images")
	}
	return x.candidate(best, suffixed{model: model}), because{trace.ByPictures, best.ID + " lists a model that makes images"}, nil
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

func (r *Router) aliased(x *index, alias, target string, q Query) (Candidate, because, error) {
	if p, rest := x.splitPrefix(target); p != nil {
		c, err := x.fixed(p.ID, rest, q.Format)
		c.Named = alias
		return c, because{trace.ByAlias, "the alias " + alias + " stands for " + target}, err
	}
	c, why, err := r.byLists(x, target, q)
	c.Named = alias
	return c, because{trace.ByAlias, "the alias " + alias + " stands for " + target + "; " + why.text}, err
}

func (r *Router) byLists(x *index, model string, q Query) (Candidate, because, error) {
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
			return x.candidate(p, s), because{trace.ByDefaultLists, def + " is the default provider and lists the model"}, nil
		}
	}
	if len(usable) > 0 {
		return x.candidate(usable[0], s), because{trace.ByList, listsIt(usable)}, nil
	}
	if def == "" {
		return Candidate{}, because{}, r.unknown(x, model, q)
	}
	p := x.provider(def)
	if p == nil {
		return Candidate{}, because{}, apierror.New(apierror.NotConfigured, "the default provider %q does not exist; set default_provider to one that `patchbay providers` lists", def)
	}
	if side, ok := x.sideModel(p, s.model, q.Format); ok && x.known[def] {
		s.model = side
		return x.candidate(p, s), because{trace.ByDefault, def + " is the default provider; " + side + " stands in for " + model}, nil
	}
	if !x.known[def] || sameFamily(p.Wire, q.Format) {
		return x.candidate(p, s), because{trace.ByDefault, def + " is the default provider"}, nil
	}
	return Candidate{}, because{}, r.unknown(x, model, q)
}

// listsIt words why the first of several providers was taken.
func listsIt(usable []*Provider) string {
	if len(usable) > 1 {
		return usable[0].ID + " is the first by priority that lists the model"
	}
	return usable[0].ID + " lists the model"
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
