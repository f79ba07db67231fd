package openai

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// style returns how this upstream is told to think, with the default decided.
func (o *Options) style(req *canon.Request, facts canon.Model) string {
	if o.ThinkingStyle != ThinkDefault {
		return o.ThinkingStyle
	}
	switch {
	case facts.Thinking == canon.No:
		return ThinkNone
	case o.OwnHost, req.Format == Name, facts.Thinking == canon.Yes, len(o.Efforts) > 0, len(facts.Efforts) > 0:
		return ThinkEffort
	default:
		return ThinkNone
	}
}

// ownReasoning lists the members that the upstream knows.
func (o *Options) ownReasoning(req *canon.Request, facts canon.Model) []string {
	switch o.style(req, facts) {
	case ThinkEnable:
		return []string{"enable_thinking", "thinking_budget"}
	case ThinkType:
		if len(o.Efforts) > 0 {
			return []string{"thinking", "reasoning_effort"}
		}
		return []string{"thinking"}
	case ThinkReasoning:
		return []string{"reasoning", "reasoning_effort"}
	case ThinkEffort:
		return []string{"reasoning_effort"}
	default:
		return nil
	}
}

// efforts lists the levels that the upstream takes, empty if nothing is known.
func (o *Options) efforts(facts canon.Model) []string {
	if len(o.Efforts) > 0 {
		return o.Efforts
	}
	return facts.Efforts
}

// effortFits reports whether the level that the client wrote can stay as it is.
func (o *Options) effortFits(req *canon.Request, facts canon.Model) bool {
	e := req.Reasoning.Effort
	if req.Reasoning.Mode == canon.ReasonOff && req.Reasoning.Source == "effort" {
		e = "none"
	}
	if e == "" {
		return true
	}
	if o.EffortMap[e] != "" {
		return false
	}
	known := o.efforts(facts)
	return len(known) == 0 || slices.Contains(known, e)
}

// level returns the effort to write, "" for none at all.
func (o *Options) level(r canon.Reasoning, facts canon.Model) string {
	known := o.efforts(facts)
	e := r.Effort
	switch {
	case r.Mode == canon.ReasonOff:
		if len(known) == 0 && !o.OwnHost {
			return ""
		}
		if len(known) == 0 {
			return "minimal"
		}
		return wire.ClampEffort("none", known)
	case r.Budget != nil:
		e = wire.EffortOfBudget(*r.Budget)
	case e == "" && r.Mode == canon.ReasonOn:
		e = "medium"
	}
	if e == "" || e == "auto" {
		return ""
	}
	if m := o.EffortMap[e]; m != "" {
		e = m
	}
	return wire.ClampEffort(e, known)
}

// reasoningMembers returns the members that tell this upstream how much to think. dropped reports that the client asked
// for something that cannot be said.
func (o *Options) reasoningMembers(req *canon.Request, facts canon.Model) (out []canon.Edit, dropped bool) {
	r := req.Reasoning
	if r.Mode == "" && r.Effort == "" && r.Budget == nil {
		return nil, false
	}
	add := func(name, value string) { out = append(out, canon.Edit{Name: name, Value: jsontext.Value(value)}) }
	off := r.Mode == canon.ReasonOff
	switch o.style(req, facts) {
	case ThinkEffort:
		if e := o.level(r, facts); e != "" {
			add("reasoning_effort", strconv.Quote(e))
		}
	case ThinkEnable:
		add("enable_thinking", strconv.FormatBool(!off))
		if n := budgetOf(r); !off && n > 0 {
			add("thinking_budget", strconv.FormatInt(n, 10))
		}
	case ThinkType:
		if off {
			add("thinking", `{"type":"disabled"}`)
			break
		}
		add("thinking", `{"type":"enabled"}`)
		if e := o.level(r, facts); e != "" && len(o.Efforts) > 0 && (r.Effort != "" || r.Budget != nil) {
			add("reasoning_effort", strconv.Quote(e))
		}
	case ThinkReasoning:
		add("reasoning", o.openRouter(r, facts))
	default:
		return nil, !off
	}
	return out, false
}

// openRouter writes the object that OpenRouter takes.
func (o *Options) openRouter(r canon.Reasoning, facts canon.Model) string {
	exclude := ""
	if r.Summary == "none" {
		exclude = `,"exclude":true`
	}
	switch {
	case r.Mode == canon.ReasonOff:
		return `{"enabled":false}`
	case r.Budget != nil && *r.Budget > 0:
		return `{"max_tokens":` + strconv.FormatInt(*r.Budget, 10) + exclude + `}`
	case r.Effort != "":
		return `{"effort":` + strconv.Quote(o.level(r, facts)) + exclude + `}`
	default:
		return `{"enabled":true` + exclude + `}`
	}
}

// budgetOf returns the thinking tokens a request asks for, 0 if it does not say.
func budgetOf(r canon.Reasoning) int64 {
	if r.Budget != nil {
		return *r.Budget
	}
	n, ok := wire.BudgetOfEffort(r.Effort)
	if !ok {
		return 0
	}
	return n
}
