package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"patchbay/backend/canon"
	"patchbay/backend/route"
	"patchbay/backend/wire"
)

// Thinking is how much the models of a provider think by the person's word. The zero value leaves it to requests.
type Thinking struct {
	Default   *canon.Reasoning // where a request says nothing of it
	MaxBudget int64            // tokens of thinking at most, 0 = no limit
	MaxEffort string           // the highest level within MaxBudget
}

// ParseThinking reads a default and a maximum as they stand in the settings, which have checked them: a level, a number of
// tokens, and for the default also auto or off.
func ParseThinking(def, most string) Thinking {
	t := Thinking{Default: reasoningOf(def)}
	n, err := strconv.ParseInt(most, 10, 64)
	if err != nil {
		n, _ = wire.BudgetOfEffort(most)
	}
	if n > 0 {
		t.MaxBudget, t.MaxEffort = n, "minimal"
		for _, level := range []string{"low", "medium", "high", "xhigh", "max"} {
			if b, _ := wire.BudgetOfEffort(level); b <= n {
				t.MaxEffort = level
			}
		}
	}
	return t
}

func reasoningOf(word string) *canon.Reasoning {
	switch word {
	case "":
		return nil
	case "off":
		return &canon.Reasoning{Mode: canon.ReasonOff, Source: "setting"}
	case "auto":
		return &canon.Reasoning{Mode: canon.ReasonAuto, Source: "setting"}
	}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return &canon.Reasoning{Mode: canon.ReasonOn, Budget: &n, Source: "setting"}
	}
	return &canon.Reasoning{Mode: canon.ReasonOn, Effort: word, Source: "setting"}
}

// apply returns what a request asks of thinking within the person's words, and what was changed, "" for nothing. less says
// that it is less than was asked for.
func (t *Thinking) apply(r canon.Reasoning) (_ canon.Reasoning, said string, less bool) {
	if r.Mode == "" && r.Effort == "" && r.Budget == nil && t.Default != nil {
		summary := r.Summary
		r = *t.Default
		r.Summary = summary
		said = "thinking as set for the provider (" + worded(&r) + ")"
	}
	if t.MaxBudget == 0 || r.Mode == canon.ReasonOff || r.Mode == "" && r.Effort == "" && r.Budget == nil {
		return r, said, false
	}
	asked := worded(&r)
	effort, known := wire.BudgetOfEffort(r.Effort)
	switch {
	case r.Budget != nil && *r.Budget > t.MaxBudget, r.Budget != nil && *r.Budget < 0:
		n := t.MaxBudget
		r.Budget = &n
	case r.Budget != nil:
		return r, said, false
	case r.Effort != "" && known && effort >= 0 && effort <= t.MaxBudget:
		return r, said, false
	default: // more than may be, or as much as the model likes
		r.Effort = t.MaxEffort
	}
	r.Mode = canon.ReasonOn
	return r, fmt.Sprintf("thinking held at the provider's limit: %s instead of %s", worded(&r), asked), said == ""
}

func worded(r *canon.Reasoning) string {
	switch {
	case r.Budget != nil && *r.Budget >= 0:
		return fmt.Sprintf("%d tokens", *r.Budget)
	case r.Effort != "":
		return r.Effort
	case r.Mode == canon.ReasonOff:
		return "off"
	default:
		return "auto"
	}
}

// suffixed takes up how much to think by the name of the model: it wins over what the request says. req is the candidate's
// own copy.
func (c *Call) suffixed(req *canon.Request, cand *route.Candidate) {
	r, named := req.Reasoning, *cand.Reasoning
	named.Summary = cmp.Or(named.Summary, r.Summary)
	req.Reasoning = named
	said := "thinking by the name of the model (" + worded(&named) + ")"
	if r.Mode != "" && worded(&r) != worded(&named) {
		said += " instead of " + worded(&r)
		c.hold(said)
	}
	c.trace.Note("thinking", cand.Provider+": "+said)
}

// hold notes that the candidate's request does not think as the client asked.
func (c *Call) hold(said string) {
	field := wire.Field(c.req.Format, "reasoning_effort")
	if !slices.ContainsFunc(c.held, func(w canon.Warning) bool { return w.Field == field }) {
		c.held = append(c.held, canon.Warning{Field: field, Detail: said})
	}
}

// think holds the thinking of one candidate's request within the person's words. req is the candidate's own copy.
func (c *Call) think(req *canon.Request, cand *route.Candidate) error {
	if c.g.thinking == nil || cand.Facts.Thinking == canon.No || req.Op == "completions" {
		return nil
	}
	t := c.g.thinking(cand.Provider)
	if t.Default == nil && t.MaxBudget == 0 {
		return nil
	}
	if err := req.Expand(); err != nil {
		return err
	}
	r, said, less := t.apply(req.Reasoning)
	if said == "" {
		return nil
	}
	req.Reasoning = r
	req.Body = canon.Object{} // what the client wrote about reasoning no longer holds
	c.trace.Note("thinking", cand.Provider+": "+said)
	if less {
		c.hold(said)
	}
	return nil
}
