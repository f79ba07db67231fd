package kiro

import (
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// fact is what is known of a model besides a live list.
type fact struct {
	id      string
	window  int64
	efforts []string
	text    bool // takes no pictures
}

var (
	efforts5 = []string{"low", "medium", "high", "xhigh", "max"}
	efforts4 = []string{"low", "medium", "high", "max"}
	effortsG = []string{"none", "low", "medium", "high", "xhigh", "max"}
)

// facts are the models that the service was known to have in 2026-08, for a live list that fails: AIClient-2-API, kiro.rs,
// opencodex and captures of the live list. Windows of the 4.6 and newer models since 2026-03-24.
var facts = []fact{
	{id: "auto", window: 1_000_000},
	{id: "claude-sonnet-4.5", window: 200_000},
	{id: "claude-sonnet-4", window: 200_000},
	{id: "claude-sonnet-4.6", window: 1_000_000, efforts: efforts4},
	{id: "claude-haiku-4.5", window: 200_000},
	{id: "claude-opus-4.5", window: 200_000},
	{id: "claude-opus-4.6", window: 1_000_000, efforts: efforts4},
	{id: "claude-opus-4.7", window: 1_000_000, efforts: efforts5},
	{id: "claude-opus-4.8", window: 1_000_000, efforts: efforts5},
	{id: "claude-sonnet-5", window: 1_000_000, efforts: efforts5},
	{id: "claude-opus-5", window: 1_000_000, efforts: efforts5},
	{id: "claude-fable-5", window: 1_000_000, efforts: efforts5},
	{id: "gpt-5.6-sol", window: 272_000, efforts: effortsG},
	{id: "gpt-5.6-terra", window: 272_000, efforts: effortsG},
	{id: "gpt-5.6-luna", window: 272_000, efforts: effortsG},
	{id: "deepseek-3.2", window: 128_000, text: true},
	{id: "minimax-m2.1", window: 196_000, text: true},
	{id: "minimax-m2.5", window: 196_000, text: true},
	{id: "glm-5", window: 200_000, text: true},
	{id: "qwen3-coder-next", window: 256_000, text: true},
}

// defaultWindow is the context of a model that nothing is known of.
const defaultWindow = 200_000

func factOf(id string) (fact, bool) {
	for _, f := range facts {
		if f.id == id {
			return f, true
		}
	}
	return fact{id: id, window: defaultWindow}, false
}

func (f fact) model() canon.Model {
	m := canon.Model{ID: f.id, Context: f.window, Efforts: f.efforts, Tools: canon.Yes, Images: canon.Yes, Thinking: canon.Yes,
		Sampling: canon.No, Schema: canon.No, Audio: canon.No, Embeddings: canon.No, Documents: canon.No,
		BudgetMin: budgetMin, BudgetMax: budgetMax}
	if f.text {
		m.Images = canon.No
	}
	return m
}

func fallbackModels() []canon.Model {
	out := make([]canon.Model, len(facts))
	for i, f := range facts {
		out[i] = f.model()
	}
	return out
}

// name is a client's model name taken apart.
type name struct {
	id     string
	think  bool   // it had the suffix -thinking
	effort string // it had a level as its suffix
}

var (
	dateSuffix   = regexp.MustCompile(`-\d{8}$`)
	effortSuffix = regexp.MustCompile(`-(low|medium|high|xhigh|max)$`)
	dashVersion  = regexp.MustCompile(`-(\d+)-(\d{1,2})$`)
	reversed     = regexp.MustCompile(`^claude-(\d+(?:\.\d+)?)-(opus|sonnet|haiku)$`)
)

// oldIDs are ids that the service had before it named models as people do (AIClient-2-API).
var oldIDs = map[string]string{"claude-3-7-sonnet": "CLAUDE_3_7_SONNET_20250219_V1_0", "claude-3.7-sonnet": "CLAUDE_3_7_SONNET_20250219_V1_0"}

// modelID turns a client's name of a model into the service's. A name that is not known passes: the service says so.
func modelID(asked string) name {
	s := strings.TrimSpace(asked)
	if s == strings.ToUpper(s) && strings.Contains(s, "_") {
		return name{id: s}
	}
	n := name{id: strings.ToLower(s)}
	for _, p := range []string{"kiro/", "kiro-", "amazonq-"} {
		n.id = strings.TrimPrefix(n.id, p)
	}
	for changed := true; changed; {
		before := n.id
		n.id = strings.TrimSuffix(n.id, "[1m]")
		n.id = strings.TrimSuffix(strings.TrimSuffix(n.id, "-latest"), "-agentic")
		if rest, ok := strings.CutSuffix(n.id, "-thinking"); ok {
			n.id, n.think = rest, true
		}
		if m := effortSuffix.FindStringSubmatch(n.id); m != nil {
			n.id, n.effort = strings.TrimSuffix(n.id, m[0]), m[1]
		}
		n.id = dateSuffix.ReplaceAllString(n.id, "")
		changed = n.id != before
	}
	if old, ok := oldIDs[n.id]; ok {
		n.id = old
		return n
	}
	n.id = dashVersion.ReplaceAllString(n.id, "-$1.$2")
	if m := reversed.FindStringSubmatch(n.id); m != nil {
		n.id = "claude-" + m[2] + "-" + m[1]
	}
	return n
}

// familyOf tells the maker of a model, who alone can read its signatures.
func familyOf(id string) string {
	switch {
	case strings.HasPrefix(strings.ToLower(id), "claude"), id == "auto":
		return wire.FamilyClaude
	case strings.HasPrefix(id, "gpt"):
		return wire.FamilyOpenAI
	default:
		return "kiro"
	}
}

// fields says which members of additionalModelRequestFields a model has.
type fields struct {
	effort    []string // levels, under output_config.effort or reasoning.effort
	reasoning bool     // under reasoning.effort
	disabled  bool     // thinking.type may be "disabled"
	maxTokens int64    // the most that max_tokens may be; 0 = there is none
	minTokens int64
}

// fieldsOf is what is known of a model of which no live list was read.
func fieldsOf(id string) fields {
	f, _ := factOf(id)
	return fields{effort: f.efforts, reasoning: strings.HasPrefix(id, "gpt")}
}

// listed is one entry of the service's model list. Any member but the id may be missing.
type listed struct {
	ID     string   `json:"modelId"`
	Name   string   `json:"modelName"`
	Inputs []string `json:"supportedInputTypes"`
	Limits struct {
		In  *float64 `json:"maxInputTokens"`
		Out *float64 `json:"maxOutputTokens"`
	} `json:"tokenLimits"`
	Schema jsontext.Value `json:"additionalModelRequestFieldsSchema"`
}

// parseModels reads one page of the service's model list.
func parseModels(body []byte) (list []listed, next string, err error) {
	var in struct {
		Models []jsontext.Value `json:"models"`
		Next   string           `json:"nextToken"`
	}
	o, err := canon.ParseObject(body)
	if err == nil && !o.Has("models") {
		err = canon.ErrNotObject
	}
	if err == nil {
		err = wire.ReadValue(body, "", &in)
	}
	if err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service sent no list of models")
		e.Err = err
		return nil, "", e
	}
	for _, raw := range in.Models {
		var m listed
		if wire.ReadValue(raw, "", &m) == nil && m.ID != "" { // an entry of another form is left out
			list = append(list, m)
		}
	}
	return list, in.Next, nil
}

func (l *listed) model() canon.Model {
	m := canon.Model{ID: l.ID, Name: l.Name, Tools: canon.Yes, Sampling: canon.No, Schema: canon.No, Embeddings: canon.No}
	if l.Limits.In != nil {
		m.Context = int64(*l.Limits.In)
	}
	if l.Limits.Out != nil {
		m.MaxOutput = int64(*l.Limits.Out)
	}
	for _, t := range l.Inputs {
		if m.Images == canon.Unknown {
			m.Images = canon.No
		}
		if strings.EqualFold(t, "IMAGE") {
			m.Images = canon.Yes
		}
	}
	m.Efforts = l.fields().effort
	return m
}

// fields reads what the model's schema lets through. output_config is looked at first; an empty list of levels is none.
func (l *listed) fields() fields {
	type leaf struct {
		Enum []string `json:"enum"`
		Min  float64  `json:"minimum"`
		Max  float64  `json:"maximum"`
	}
	type nested struct {
		Properties struct {
			Effort leaf `json:"effort"`
			Type   leaf `json:"type"`
		} `json:"properties"`
	}
	var s struct {
		Properties struct {
			Output    nested `json:"output_config"`
			Reasoning nested `json:"reasoning"`
			Thinking  nested `json:"thinking"`
			MaxTokens *leaf  `json:"max_tokens"`
		} `json:"properties"`
	}
	var f fields
	if l.Schema.Kind() != '{' || wire.ReadValue(l.Schema, "", &s) != nil {
		return f
	}
	p := &s.Properties
	if f.effort = p.Output.Properties.Effort.Enum; len(f.effort) == 0 {
		f.effort = p.Reasoning.Properties.Effort.Enum
		f.reasoning = len(f.effort) > 0
	}
	for _, t := range p.Thinking.Properties.Type.Enum {
		f.disabled = f.disabled || t == "disabled"
	}
	if m := p.MaxTokens; m != nil && m.Max > 0 {
		f.minTokens, f.maxTokens = int64(m.Min), int64(m.Max)
	}
	return f
}
