package gemini

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// How a model is told how much to think.
const (
	ThinkBudget = "budget" // a number of tokens: Gemini 2.5
	ThinkLevel  = "level"  // a level: Gemini 3 and newer
	ThinkNone   = "none"   // not at all
)

// What a Claude model on Google's hosts may write, thinking included, and what of it is kept for the answer: its budget must be
// smaller than maxOutputTokens (Antigravity, as CLIProxyAPI has it in 2026-08).
const (
	claudeOutput = 64000
	claudeRest   = 8192
)

// The limits of all current Gemini text models (as of 2026-08).
const (
	defaultContext = 1048576
	defaultOutput  = 65536
)

var (
	levelsAll   = []string{"minimal", "low", "medium", "high"}
	levelsPro   = []string{"low", "medium", "high"}
	levelsTwo   = []string{"low", "high"}
	levelsImage = []string{"minimal", "high"}
	knownLevels = []levelsOf{
		{"gemini-3-pro", levelsTwo}, {"gemini-3.1-pro", levelsPro}, {"gemini-3.1-flash-image", levelsImage}, {"gemini-3-flash", levelsAll},
		{"gemini-pro-latest", levelsPro}, {"gemini-flash-latest", levelsAll}, {"gemini-flash-lite-latest", levelsAll},
	}
	knownBudgets = []budgetsOf{{"gemini-2.5-pro", 128, 32768}, {"gemini-2.5-flash-lite", 512, 24576}, {"gemini-2.5-flash", 1, 24576}}
)

type levelsOf struct {
	prefix string
	levels []string
}

type budgetsOf struct {
	prefix   string
	min, max int64
}

// KnownModel returns what is known of a model by its name, as published by Google and listed by CLIProxyAPI in 2026-08.
// The zero value but for ID means that nothing is known.
func KnownModel(id string) canon.Model {
	id = strings.TrimPrefix(id, modelPrefix)
	m := canon.Model{ID: id}
	if strings.Contains(id, "embedding") {
		m.Embeddings, m.Tools, m.Thinking = canon.Yes, canon.No, canon.No
		return m
	}
	if !strings.HasPrefix(id, "gemini-") {
		return m
	}
	m.Context, m.MaxOutput = defaultContext, defaultOutput
	m.Tools, m.Images, m.Documents, m.Audio = canon.Yes, canon.Yes, canon.Yes, canon.Yes
	m.Sampling, m.Schema = canon.Yes, canon.Yes
	if old(id) {
		m.Context, m.MaxOutput, m.Thinking = defaultContext, 8192, canon.No
		return m
	}
	if strings.Contains(id, "image") || strings.Contains(id, "tts") || strings.Contains(id, "audio") {
		m.Context, m.MaxOutput = 0, 0
		m.Tools, m.Schema = canon.Unknown, canon.Unknown
		if !strings.HasPrefix(id, "gemini-3.1-flash-image") {
			return m
		}
	}
	m.Thinking = canon.Yes
	for _, b := range knownBudgets {
		if strings.HasPrefix(id, b.prefix) {
			m.BudgetMin, m.BudgetMax = b.min, b.max
			return m
		}
	}
	m.Efforts = levels(id)
	return m
}

// old reports whether a model is older than those that think.
func old(id string) bool {
	return strings.HasPrefix(id, "gemini-1") || strings.HasPrefix(id, "gemini-2.0") || strings.HasPrefix(id, "gemini-pro-vision") || id == "gemini-pro"
}

// levels returns the levels of a model of generation 3 or newer; unknown ones are taken for their kin.
func levels(id string) []string {
	for _, l := range knownLevels {
		if strings.HasPrefix(id, l.prefix) {
			return l.levels
		}
	}
	if strings.Contains(id, "pro") {
		return levelsPro
	}
	return levelsAll
}

// familyOfModel tells the maker of a model that is served in this format: Antigravity also has Claude and GPT-OSS.
func familyOfModel(id string) string {
	switch {
	case strings.Contains(id, "claude"):
		return wire.FamilyClaude
	case strings.Contains(id, "gpt-"):
		return wire.FamilyOpenAI
	default:
		return wire.FamilyGemini
	}
}

// thinker knows how to tell one model how much to think.
type thinker struct {
	style    string
	efforts  []string
	min, max int64
	zero     bool // may be turned off by a budget of 0
}

func thinkerOf(model string, facts canon.Model, style string) thinker {
	known := KnownModel(model)
	if len(facts.Efforts) == 0 {
		facts.Efforts = known.Efforts
	}
	if facts.BudgetMax == 0 {
		facts.BudgetMin, facts.BudgetMax = known.BudgetMin, known.BudgetMax
	}
	t := thinker{style: style, efforts: facts.Efforts, min: facts.BudgetMin, max: facts.BudgetMax}
	t.zero = !strings.HasPrefix(model, "gemini-2.5-pro")
	if familyOfModel(model) == wire.FamilyClaude {
		t.min, t.zero = 1024, true
		if t.max == 0 {
			t.max = claudeOutput
		}
		t.max = min(t.max, cmp.Or(facts.MaxOutput, claudeOutput)-claudeRest)
		if style == "" {
			t.style = ThinkBudget
		}
		return t
	}
	if t.style != "" {
		return t
	}
	switch {
	case facts.Thinking == canon.No:
		t.style = ThinkNone
	case known.BudgetMax > 0:
		t.style = ThinkBudget
	case len(t.efforts) > 0:
		t.style = ThinkLevel
	case t.max > 0:
		t.style = ThinkBudget
	default:
		t.style = ThinkNone
	}
	return t
}

// budget returns the number of tokens to ask for, nil for none in particular.
func (t thinker) budget(r canon.Reasoning) *int64 {
	var n int64
	switch {
	case r.Mode == canon.ReasonOff:
	case r.Budget != nil:
		n = *r.Budget
	case r.Effort != "":
		b, ok := wire.BudgetOfEffort(r.Effort)
		if !ok {
			return nil
		}
		n = b
	case r.Mode == canon.ReasonAuto:
		n = -1
	default:
		return nil
	}
	switch {
	case n < 0:
		n = -1
	case n == 0 && t.zero:
	default:
		n = max(n, t.min, 1)
		if t.max > 0 {
			n = min(n, t.max)
		}
	}
	return &n
}

// level returns the level to ask for, "" for none in particular.
func (t thinker) level(r canon.Reasoning) string {
	effort := r.Effort
	switch {
	case r.Mode == canon.ReasonOff:
		effort = "none"
	case r.Budget != nil:
		effort = wire.EffortOfBudget(*r.Budget)
	}
	if effort == "" || effort == "auto" {
		return ""
	}
	efforts := t.efforts
	if len(efforts) == 0 {
		efforts = levelsTwo
	}
	return strings.ToUpper(wire.ClampEffort(effort, efforts))
}

// config returns a thinkingConfig, nil if nothing is to be said. own says that the client spoke this format: what it left
// out stays out.
func (t thinker) config(r canon.Reasoning, own bool) jsontext.Value {
	if t.style == ThinkNone || r.Mode == "" && r.Effort == "" && r.Budget == nil && (r.Summary == "" || r.Summary == "none" && !own) {
		return nil
	}
	w := writer{}
	w.open('{')
	switch {
	case r.Summary == "none":
		w.bool("includeThoughts", false)
	case r.Mode == canon.ReasonOff || own && r.Summary == "":
	default:
		w.bool("includeThoughts", true)
	}
	switch t.style {
	case ThinkBudget:
		w.optInt("thinkingBudget", t.budget(r))
	case ThinkLevel:
		w.opt("thinkingLevel", t.level(r))
	}
	w.close('}')
	return w.b
}

// fits reports whether a client's thinkingConfig can go to this model as it is.
func (t thinker) fits(c *thinkingJSON) bool {
	named := c.ThinkingLevel != "" && !strings.EqualFold(c.ThinkingLevel, "THINKING_LEVEL_UNSPECIFIED")
	switch t.style {
	case ThinkLevel:
		if c.ThinkingBudget != nil {
			return false
		}
		return !named || len(t.efforts) == 0 || slices.Contains(t.efforts, strings.ToLower(c.ThinkingLevel))
	case ThinkBudget:
		if named || c.ThinkingBudget == nil {
			return !named
		}
		n := *c.ThinkingBudget
		return n < 0 || n == 0 && t.zero || n >= t.min && (t.max == 0 || n <= t.max)
	default:
		return true
	}
}
