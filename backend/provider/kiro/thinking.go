package kiro

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// native reports whether the model thinks by a field of its own and not by tags in the prompt. Only the newer body has it.
func (c *conversion) native() bool { return c.x.o.formB && len(c.x.o.fields.effort) > 0 }

// thinking decides how the model is told to think: by fields where it has them, else by tags in front of the system prompt,
// and then the answer is searched for the tags.
func (c *conversion) thinking() {
	r := c.wanted()
	f := c.x.o.fields
	var members []string
	if c.native() {
		members = nativeFields(r, f)
	} else if tags := tagsOf(r); tags != "" && !c.tagged() {
		c.lead, c.x.tags = tags, true
	}
	if n := c.req.MaxTokens; n != nil && c.x.o.formB && f.maxTokens > 0 {
		limit := max(min(*n, f.maxTokens), f.minTokens)
		members = append(members, `"max_tokens":`+strconv.FormatInt(limit, 10))
	}
	if len(members) > 0 {
		c.extra = jsontext.Value("{" + strings.Join(members, ",") + "}")
	}
}

// wanted is what the request says about thinking; the model's name may say it as well.
func (c *conversion) wanted() canon.Reasoning {
	r := c.req.Reasoning
	if r.Mode != "" || r.Budget != nil || r.Effort != "" {
		return r
	}
	switch n := c.x.model; {
	case n.effort != "":
		return canon.Reasoning{Mode: canon.ReasonOn, Effort: n.effort}
	case n.think:
		return canon.Reasoning{Mode: canon.ReasonOn}
	}
	return r
}

func thinkingOff(r canon.Reasoning) bool {
	switch {
	case r.Mode == canon.ReasonOff, r.Effort == "none":
		return true
	case r.Mode == canon.ReasonOn, r.Mode == canon.ReasonAuto:
		return false
	}
	return r.Effort == "" && (r.Budget == nil || *r.Budget == 0)
}

// nativeFields are the members of additionalModelRequestFields. A number of tokens has no place there: it becomes a level.
func nativeFields(r canon.Reasoning, f fields) []string {
	if thinkingOff(r) {
		asked := r.Mode != "" || r.Effort != "" || r.Budget != nil
		switch {
		case asked && f.disabled:
			return []string{`"thinking":{"type":"disabled"}`}
		case asked && f.reasoning && slices.Contains(f.effort, "none"):
			return []string{`"reasoning":{"effort":"none"}`}
		}
		return nil
	}
	effort := r.Effort
	if r.Budget != nil && *r.Budget > 0 {
		effort = wire.EffortOfBudget(*r.Budget)
	}
	if effort == "" || effort == "auto" {
		effort = "high"
	}
	levels := slices.DeleteFunc(slices.Clone(f.effort), func(s string) bool { return s == "none" })
	effort = string(wire.AppendString(nil, wire.ClampEffort(effort, levels)))
	if f.reasoning {
		return []string{`"reasoning":{"effort":` + effort + `}`}
	}
	// without display the visible thinking of Claude's models may stay empty (pi-provider-kiro 0.9.2)
	return []string{`"thinking":{"type":"adaptive","display":"summarized"}`, `"output_config":{"effort":` + effort + `}`}
}

// tagsOf is the text that makes a model think (AIClient-2-API), "" for a request that wants none.
func tagsOf(r canon.Reasoning) string {
	switch {
	case thinkingOff(r), r.Effort == "minimal" && r.Budget == nil:
		return ""
	case r.Budget != nil && *r.Budget >= 0, r.Effort == "" && r.Mode == canon.ReasonOn:
		n := int64(0)
		if r.Budget != nil {
			n = *r.Budget
		}
		return "<thinking_mode>enabled</thinking_mode><max_thinking_length>" + strconv.FormatInt(clampBudget(n), 10) + "</max_thinking_length>"
	default:
		effort := r.Effort
		if effort != "low" && effort != "medium" {
			effort = "high"
		}
		return "<thinking_mode>adaptive</thinking_mode><thinking_effort>" + effort + "</thinking_effort>"
	}
}

// clampBudget brings a number of thinking tokens into what the tags take.
func clampBudget(n int64) int64 {
	if n <= 0 {
		return budgetDefault
	}
	return max(budgetMin, min(n, budgetMax))
}

// tagged reports whether the client's system prompt holds such tags already: then they are the client's business, and so is
// what the model makes of them.
func (c *conversion) tagged() bool {
	return slices.ContainsFunc(c.req.System, func(p canon.Part) bool {
		for _, tag := range []string{"<thinking_mode>", "<max_thinking_length>", "<thinking_effort>"} {
			if strings.Contains(p.Text, tag) {
				return true
			}
		}
		return false
	})
}
