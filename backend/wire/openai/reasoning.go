package openai

import (
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Where a request may say how much to think; the first one that does wins.
const (
	fromExtraAnthropic = iota
	fromExtraGoogle
	fromThinking
	fromGoogle
	fromReasoning
	fromEffort
	fromEnable
	reasonPlaces
)

// reasonSources collects what each place said.
type reasonSources struct {
	said   [reasonPlaces]*canon.Reasoning
	enable *bool
	budget *int64
}

// pick returns what counts.
func (s *reasonSources) pick() canon.Reasoning {
	if s.enable != nil || s.budget != nil {
		r := canon.Reasoning{Mode: canon.ReasonOn, Source: "bool"}
		if s.budget != nil {
			r = ofBudget(*s.budget)
		}
		if s.enable != nil && !*s.enable {
			r = canon.Reasoning{Mode: canon.ReasonOff, Source: "bool"}
		}
		s.said[fromEnable] = &r
	}
	for _, r := range s.said {
		if r != nil {
			return *r
		}
	}
	return canon.Reasoning{}
}

// ofBudget reads a number of thinking tokens: 0 is off, a negative one leaves it to the model.
func ofBudget(n int64) canon.Reasoning {
	r := canon.Reasoning{Mode: canon.ReasonOn, Budget: &n, Source: "budget"}
	switch {
	case n == 0:
		r.Mode = canon.ReasonOff
	case n < 0:
		r.Mode, r.Budget = canon.ReasonAuto, nil
	}
	return r
}

// ofEffort reads a level.
func ofEffort(effort, path string) (canon.Reasoning, error) {
	r := canon.Reasoning{Mode: canon.ReasonOn, Effort: effort, Source: "effort"}
	switch effort {
	case "none":
		r.Mode, r.Effort = canon.ReasonOff, ""
	case "auto":
		r.Mode, r.Effort = canon.ReasonAuto, ""
	default:
		if _, ok := wire.BudgetOfEffort(effort); !ok {
			return r, apierror.Invalid(path, "%s must be one of none, minimal, low, medium, high, xhigh, max", path)
		}
	}
	return r, nil
}

func readEffort(d *decoder, name string, v jsontext.Value) error {
	var effort string
	if err := wire.ReadValue(v, name, &effort); err != nil {
		return err
	}
	if effort == "" {
		return nil
	}
	r, err := ofEffort(effort, name)
	d.reason.said[fromEffort] = &r
	return err
}

// readReasoning reads OpenRouter's form, which Ollama takes as well.
func readReasoning(d *decoder, name string, v jsontext.Value) error {
	var in struct {
		Effort    string         `json:"effort"`
		MaxTokens jsontext.Value `json:"max_tokens"`
		Exclude   bool           `json:"exclude"`
		Enabled   *bool          `json:"enabled"`
		Summary   string         `json:"summary"`
	}
	if err := wire.ReadValue(v, name, &in); err != nil {
		return err
	}
	var r canon.Reasoning
	var err error
	switch {
	case len(in.MaxTokens) > 0 && in.MaxTokens.Kind() != 'n':
		var n *int64
		if n, err = readInt(in.MaxTokens, name+".max_tokens", -1); err != nil {
			return err
		}
		r = ofBudget(*n)
	case in.Effort != "":
		if r, err = ofEffort(in.Effort, name+".effort"); err != nil {
			return err
		}
	case in.Enabled != nil:
		r = onOff(*in.Enabled)
	}
	r.Summary = in.Summary
	if in.Exclude {
		r.Summary = "none"
	}
	d.reason.said[fromReasoning] = &r
	return nil
}

func onOff(on bool) canon.Reasoning {
	if on {
		return canon.Reasoning{Mode: canon.ReasonOn, Source: "bool"}
	}
	return canon.Reasoning{Mode: canon.ReasonOff, Source: "bool"}
}

// readThinking reads Claude's form, with the effort that AIClient-2-API allows in it; GLM, Kimi and DeepSeek use its
// type alone.
func readThinking(place int) field {
	return func(d *decoder, name string, v jsontext.Value) error {
		if k := v.Kind(); k == 't' || k == 'f' {
			r := onOff(k == 't')
			d.reason.said[place] = &r
			return nil
		}
		var in struct {
			Type    string         `json:"type"`
			Budget  jsontext.Value `json:"budget_tokens"`
			Effort  string         `json:"effort"`
			Display string         `json:"display"`
		}
		if err := wire.ReadValue(v, name, &in); err != nil {
			return err
		}
		r := canon.Reasoning{Mode: canon.ReasonOn, Source: "bool"}
		var err error
		switch {
		case in.Type == "disabled":
			r.Mode = canon.ReasonOff
		case len(in.Budget) > 0 && in.Budget.Kind() != 'n':
			var n *int64
			if n, err = readInt(in.Budget, name+".budget_tokens", -1); err != nil {
				return err
			}
			r = ofBudget(*n)
		case in.Effort != "":
			r, err = ofEffort(in.Effort, name+".effort")
		case in.Type == "adaptive" || in.Type == "auto":
			r.Mode = canon.ReasonAuto
		case in.Type != "enabled":
			err = apierror.Invalid(name+".type", "%s.type must be enabled, adaptive or disabled", name)
		}
		if in.Display == "omitted" {
			r.Summary = "none"
		}
		d.reason.said[place] = &r
		return err
	}
}

func readEnable(d *decoder, name string, v jsontext.Value) error {
	return wire.ReadValue(v, name, &d.reason.enable)
}

func readThinkBudget(d *decoder, name string, v jsontext.Value) (err error) {
	d.reason.budget, err = readInt(v, name, -1)
	return err
}

func readAnthropic(d *decoder, name string, v jsontext.Value) error {
	return d.anthropic(name, v, fromExtraAnthropic)
}

func readGoogle(d *decoder, name string, v jsontext.Value) error {
	return d.google(name, v, fromGoogle)
}

// anthropic reads an object that holds thinking.
func (d *decoder) anthropic(name string, v jsontext.Value, place int) error {
	if t := jsontext.Value(member(v, "thinking")); len(t) > 0 && t.Kind() != 'n' {
		return readThinking(place)(d, name+".thinking", t)
	}
	return nil
}

// google reads an object that holds thinking_config (Cherry Studio).
func (d *decoder) google(name string, v jsontext.Value, place int) error {
	for _, key := range []string{"thinking_config", "thinkingConfig"} {
		if t := jsontext.Value(member(v, key)); len(t) > 0 && t.Kind() != 'n' {
			return d.googleConfig(name+"."+key, t, place)
		}
	}
	return nil
}

func (d *decoder) googleConfig(name string, v jsontext.Value, place int) error {
	var in struct {
		Budget   jsontext.Value `json:"thinking_budget"`
		BudgetC  jsontext.Value `json:"thinkingBudget"`
		Level    string         `json:"thinking_level"`
		LevelC   string         `json:"thinkingLevel"`
		Include  *bool          `json:"include_thoughts"`
		IncludeC *bool          `json:"includeThoughts"`
	}
	if err := wire.ReadValue(v, name, &in); err != nil {
		return err
	}
	budget, level, include := in.Budget, in.Level, in.Include
	if len(budget) == 0 {
		budget = in.BudgetC
	}
	if level == "" {
		level = in.LevelC
	}
	if include == nil {
		include = in.IncludeC
	}
	var r canon.Reasoning
	switch {
	case len(budget) > 0 && budget.Kind() != 'n':
		n, err := readInt(budget, name+".thinking_budget", -1)
		if err != nil {
			return err
		}
		r = ofBudget(*n)
	case level != "":
		var err error
		if r, err = ofEffort(lower(level), name+".thinking_level"); err != nil {
			return err
		}
		r.Source = "level"
	}
	if include != nil {
		r.Summary = map[bool]string{true: "auto", false: "none"}[*include]
	}
	d.reason.said[place] = &r
	return nil
}
