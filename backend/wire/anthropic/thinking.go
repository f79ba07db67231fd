package anthropic

import (
	"slices"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// thinking is what is sent of it.
type thinking struct {
	kind   string // "", enabled, adaptive, disabled, raw
	budget int64
	effort string // of output_config
}

func (t thinking) on() bool { return t.kind == "enabled" || t.kind == "adaptive" || t.kind == "raw" }

// decideThinking chooses the form that the model takes, mends what contradicts other fields, and leaves thinking out
// where it would be refused.
func (c *conversion) decideThinking() {
	c.thinking = wantedThinking(c.req, c.o, c.facts)
	t := &c.thinking
	if t.effort != "" && c.o.NoOutputConfig {
		t.effort = ""
	}
	if c.own && t.on() && c.req.Ext["thinking"] != nil && c.req.Reasoning.Source != "suffix" {
		t.kind = "raw"
	}
	if !t.on() {
		return
	}
	if m := c.choice.Mode; m == canon.ChoiceRequired || m == canon.ChoiceNamed || m == canon.ChoiceAllowReq {
		c.leaveOut("the model does not think when a tool is forced")
		return
	}
	if t.kind != "enabled" {
		return
	}
	if c.unsignedCalls() {
		c.drop("thinking", "the history lacks the thinking before its last tool call")
		t.kind = "disabled"
		return
	}
	if c.maxTok == 0 { // only fills the prompt cache
		c.leaveOut("max_tokens is 0")
		return
	}
	t.budget, c.maxTok = repairBudget(t.budget, c.maxTok, c.facts)
	if t.budget == 0 {
		c.leaveOut("max_tokens leaves no room for thinking")
	}
}

func (c *conversion) leaveOut(why string) {
	c.thinking.kind = ""
	c.drop("thinking", why)
}

// wantedThinking translates what the client asked for into a form that the model takes.
func wantedThinking(req *canon.Request, o Options, m canon.Model) thinking {
	r := req.Reasoning
	asked := r.Mode != "" || r.Budget != nil || r.Effort != "" && (!same(req) || r.Source == "suffix")
	off := r.Mode == canon.ReasonOff || r.Effort == "none" || r.Budget != nil && *r.Budget == 0
	adaptive := len(m.Efforts) > 0 && !o.NoOutputConfig
	switch {
	case !asked && r.Effort == "":
		return thinking{}
	case m.Thinking == canon.No:
		return thinking{}
	case !asked: // effort alone steers how much is written, without thinking
		if !adaptive {
			return thinking{}
		}
		return thinking{effort: claudeEffort(r.Effort, m.Efforts)}
	case off:
		return thinking{kind: "disabled"}
	case same(req) && r.Budget != nil && *r.Budget > 0 && (m.BudgetMax > 0 || m.MaxOutput == 0), !adaptive: // a model that is not known: as the client says
		t := thinking{kind: "enabled", budget: budgetOf(r)}
		if adaptive && r.Effort != "" {
			t.effort = claudeEffort(r.Effort, m.Efforts)
		}
		return t
	default:
		effort := r.Effort
		if r.Budget != nil {
			effort = wire.EffortOfBudget(*r.Budget)
		}
		if effort == "auto" {
			effort = ""
		}
		return thinking{kind: "adaptive", effort: claudeEffort(effort, m.Efforts)}
	}
}

// claudeEffort returns the level of a Claude model for an effort: what lies below its lowest becomes that, xhigh becomes
// the highest if the model does not list it.
func claudeEffort(effort string, known []string) string {
	switch {
	case effort == "":
		return ""
	case effort == "xhigh" && !slices.Contains(known, "xhigh") && slices.Contains(known, "max"):
		return "max"
	default:
		return wire.ClampEffort(effort, known)
	}
}

// budgetOf returns the thinking tokens that a request asks for.
func budgetOf(r canon.Reasoning) int64 {
	switch {
	case r.Budget != nil && *r.Budget > 0:
		return *r.Budget
	case r.Budget == nil && r.Effort != "" && r.Effort != "auto":
		if n, ok := wire.BudgetOfEffort(r.Effort); ok {
			return n
		}
		return 8192
	case r.Mode == canon.ReasonOn:
		return 8192
	default: // up to the model: what the newer ones take for themselves
		return 24576
	}
}

// repairBudget makes the budget fit: at least 1024, at most what the model takes, and less than max_tokens, which is
// raised first. A budget of 0 means that there is no room.
func repairBudget(budget, maxTokens int64, m canon.Model) (int64, int64) {
	budget = max(budget, minBudget)
	if m.BudgetMax > 0 {
		budget = min(budget, m.BudgetMax)
	}
	if budget < maxTokens {
		return budget, maxTokens
	}
	raised := budget + maxTokens
	if m.MaxOutput > 0 {
		raised = min(raised, m.MaxOutput)
	}
	raised = max(raised, maxTokens)
	if budget >= raised {
		budget = raised - minBudget
	}
	if budget < minBudget {
		return 0, maxTokens
	}
	return budget, raised
}

// unsignedCalls reports whether the last turn of the model calls tools without the thinking that led to them: with a
// budget for thinking the API refuses that.
func (c *conversion) unsignedCalls() bool {
	for i := len(c.turns) - 1; i >= 0; i-- {
		t := &c.turns[i]
		if t.role != canon.RoleAssistant {
			continue
		}
		calls := slices.ContainsFunc(t.parts, func(p canon.Part) bool { return p.Type == canon.PartToolCall })
		return calls && t.parts[0].Type != canon.PartReasoning
	}
	return false
}

func (c *conversion) writeThinking(w *writer) {
	t := c.thinking
	switch t.kind {
	case "":
		return
	case "raw":
		w.raw("thinking", c.req.Ext["thinking"])
		return
	}
	w.begin("thinking", '{')
	w.str("type", t.kind)
	if t.kind == "enabled" {
		w.int("budget_tokens", t.budget)
	}
	if t.kind != "disabled" && (c.o.OwnHost || c.own) {
		switch c.req.Reasoning.Summary {
		case "none":
			w.str("display", "omitted")
		case "auto", "concise", "detailed":
			w.str("display", "summarized")
		}
	}
	w.close('}')
}
