package route

import (
	"slices"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/trace"
)

// maxCandidates bounds a plan.
const maxCandidates = 8

// chain appends the fallbacks of the first choice: the chains of providers, followed step by step, then where the person
// sends the model itself.
func (r *Router) chain(x *index, plan *Plan, first Candidate) {
	seen := map[string]bool{first.Provider + "/" + first.Model: true}
	add := func(target string) (Candidate, bool) {
		c, passed := r.fallback(x, target, first)
		if passed != nil {
			plan.After = append(plan.After, *passed)
			return c, false
		}
		key := c.Provider + "/" + c.Model
		if seen[key] || len(plan.Candidates) >= maxCandidates {
			return c, false
		}
		seen[key] = true
		c.Passed, plan.After = plan.After, nil
		plan.Candidates = append(plan.Candidates, c)
		return c, true
	}
	done := map[string]bool{} // targets, so that a circle ends
	for queue := x.next(first); len(queue) > 0; queue = queue[1:] {
		if target := queue[0]; !done[target] {
			done[target] = true
			if c, ok := add(target); ok {
				queue = append(queue, x.next(c)...)
			}
		}
	}
	for _, target := range x.modelFallback(first) {
		if !done[target] {
			done[target] = true
			add(target)
		}
	}
}

// next is what the chains name after a candidate: those of the very model first, then those of its provider.
func (x *index) next(c Candidate) []string {
	return slices.Concat(x.chains[c.Provider+"/"+c.Model], x.chains[c.Provider])
}

// modelFallback is where the person sends a model when its provider cannot serve it: by the name that was asked for, else by
// the upstream's. A whole name wins over a pattern, a long pattern over a short one.
func (x *index) modelFallback(c Candidate) []string {
	for _, name := range []string{c.Named, c.Model} {
		if to, ok := x.settings.ModelFallback[name]; ok && name != "" {
			return to
		}
	}
	for _, name := range []string{c.Named, c.Model} {
		for _, p := range x.fallbackPatterns {
			if name != "" && provider.Match(p, name) {
				return x.settings.ModelFallback[p]
			}
		}
	}
	return nil
}

// fallback makes the candidate of one entry of a chain, or says why it cannot serve.
func (r *Router) fallback(x *index, target string, first Candidate) (Candidate, *trace.Step) {
	name, model, named := strings.Cut(target, "/")
	p := x.byName[strings.ToLower(name)]
	passed := func(kind, why string) (Candidate, *trace.Step) {
		s := trace.Step{What: trace.Skipped, Provider: name, Model: model, Kind: kind, Message: why}
		if p != nil {
			s.Provider = p.ID
		}
		return Candidate{}, &s
	}
	switch {
	case p == nil:
		return passed(trace.KindUnknown, "there is no such provider")
	case !p.Enabled:
		return passed(trace.KindOff, "it is turned off")
	case p.Raw:
		return passed(trace.KindLacks, "it passes requests on as they are")
	case !r.o.HasAccounts(p.ID):
		return passed(trace.KindNoAccount, "it has no account")
	}
	if !named {
		model = x.standsIn(p, first)
	}
	c := x.candidate(p, suffixed{model: model, reasoning: first.Reasoning})
	c.Named, c.Fallback, c.Can = "", true, r.abilities(c.Facts)
	return c, nil
}

// standsIn is the model of a provider that a chain names without one: the same, by the name that was asked for or the
// upstream's, else the first that holds conversations.
func (x *index) standsIn(p *Provider, first Candidate) string {
	for _, name := range []string{first.Model, first.Named} {
		if _, ok := x.resolve(p, name); ok && name != "" {
			return name
		}
	}
	if !x.known[p.ID] {
		return first.Model
	}
	return x.defaultModel(p, isSmall(first.Model))
}

// abilities completes what a list says of a model by what is known of such a name.
func (r *Router) abilities(facts canon.Model) canon.Model {
	if r.o.Known != nil {
		facts.Fill(r.o.Known(facts.ID))
	}
	return facts
}

// Sift leaves the fallbacks of a plan that can do what a request needs; where they lack something that it can go without they
// come last. The first choice stays whatever it lacks: it was asked for.
func (p *Plan) Sift(q Query) {
	p.Keep(func(c *Candidate) (string, string) {
		if !c.Fallback {
			return "", ""
		}
		return trace.KindLacks, Lacks(&c.Can, q)
	})
	var late []Candidate
	kept := p.Candidates[:0:0]
	var passed []trace.Step // of those that moved away
	for _, c := range p.Candidates {
		if c.Fallback {
			c.Late = prefers(&c.Can, q)
		}
		if c.Late != "" {
			passed, c.Passed = append(passed, c.Passed...), nil
			late = append(late, c)
			continue
		}
		c.Passed, passed = append(passed, c.Passed...), nil
		kept = append(kept, c)
	}
	if len(late) > 0 {
		late[0].Passed = append(passed, p.After...)
		p.After = nil
	}
	p.Candidates = append(kept, late...)
}

// Keep takes candidates out of a plan for which f gives a reason, and notes that they were passed over.
func (p *Plan) Keep(f func(*Candidate) (kind, why string)) {
	kept := make([]Candidate, 0, len(p.Candidates))
	var passed []trace.Step
	for i := range p.Candidates {
		c := p.Candidates[i]
		if kind, why := f(&c); why != "" {
			passed = append(append(passed, c.Passed...), trace.Step{What: trace.Skipped, Provider: c.Provider, Model: c.Model, Kind: kind, Message: why})
			continue
		}
		c.Passed, passed = append(passed, c.Passed...), nil
		kept = append(kept, c)
	}
	p.Candidates = kept
	p.After = append(passed, p.After...)
}

// Lacks says what a model is known not to do of what a request cannot go without, "" if it can serve.
func Lacks(m *canon.Model, q Query) string {
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

// prefers says what a model is known not to do of what a request would like to have: an answer without it is worse, and
// better than none.
func prefers(m *canon.Model, q Query) string {
	switch {
	case q.Needs.Thinking && m.Thinking == canon.No:
		return "it cannot think"
	case q.Needs.Output > 0 && m.MaxOutput > 0 && q.Needs.Output > m.MaxOutput:
		return "its answers are shorter than asked for"
	default:
		return ""
	}
}

// Link is a step of a chain as people see it.
type Link struct {
	Target, Provider string
	Model            string // "" = it depends on the request
	SameModel        bool   // the model that was asked for, where the provider lists it
	From             string // the chain whose step it is, where it is another one's
	Kind, Problem    string // why it cannot serve at all
	Can              canon.Model
}

// Chain follows the chain of a provider, or of provider/model, from its start on. No request is looked at.
func (r *Router) Chain(of string) []Link {
	x := r.index.Load()
	out := []Link{r.Link(of)}
	seen := map[string]bool{out[0].key(): true}
	type step struct{ target, from string }
	var queue []step
	follow := func(l Link) {
		for _, key := range []string{l.Provider + "/" + l.Model, l.Provider} {
			for _, target := range x.chains[key] {
				queue = append(queue, step{target, key})
			}
		}
	}
	start := out[0].key()
	for follow(out[0]); len(queue) > 0 && len(out) < maxCandidates; queue = queue[1:] {
		l := r.Link(queue[0].target)
		if seen[l.key()] {
			continue
		}
		seen[l.key()] = true
		if queue[0].from != start {
			l.From = queue[0].from
		}
		out = append(out, l)
		follow(l)
	}
	return out
}

func (l *Link) key() string {
	if l.Model == "" {
		return l.Provider
	}
	return l.Provider + "/" + l.Model
}

// Link describes a step of a chain: provider, or provider/model.
func (r *Router) Link(target string) Link {
	x := r.index.Load()
	name, model, _ := strings.Cut(target, "/")
	l := Link{Target: target, Provider: name, Model: model, SameModel: model == ""}
	p := x.byName[strings.ToLower(name)]
	if p == nil {
		l.Kind, l.Problem = trace.KindUnknown, "there is no provider "+name
		return l
	}
	l.Provider = p.ID
	if !r.usable(x, p.ID) {
		l.Kind, l.Problem = r.missing(x, p.ID), apierror.From(r.notConfigured(x, p.ID)).Msg
	}
	if model != "" {
		real, listed := x.resolve(p, model)
		facts := x.listed[p.ID][real]
		facts.ID = real
		l.Can = r.abilities(facts)
		if !listed && x.known[p.ID] && l.Problem == "" {
			l.Problem = p.ID + " does not list the model " + model
		}
	}
	return l
}

// Lists reports whether a provider lists a model, or may have it because its list is not known; near are names like it.
func (r *Router) Lists(provider, model string) (ok bool, near []string) {
	x := r.index.Load()
	p := x.byName[strings.ToLower(provider)]
	if p == nil {
		return false, nil
	}
	if _, listed := x.resolve(p, model); listed || !x.known[p.ID] {
		return true, nil
	}
	return false, x.near(model, func(m *canon.Model) bool { return m.Provider == p.ID })
}
