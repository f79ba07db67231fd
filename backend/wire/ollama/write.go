package ollama

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// writer writes a canonical request as a new body.
type writer struct {
	x     *Exchange
	o     Options
	req   *canon.Request
	body  jsontext.Value
	notes []string // system lines that stand for what the upstream cannot be told otherwise
}

// put adds a member.
func (w *writer) put(name string, v jsontext.Value) {
	if len(v) == 0 {
		return
	}
	if len(w.body) > 1 {
		w.body = append(w.body, ',')
	}
	w.body = append(append(wire.AppendString(w.body, name), ':'), v...)
}

func (w *writer) request() error {
	if n := w.req.Sampling.N; n != nil && *n > 1 {
		return unsupported(wire.Field(w.req.Format, "n"), "%s gives one answer at a time; ask for n of 1", w.req.ModelAsked)
	}
	w.body = append(make(jsontext.Value, 0, len(w.req.Body.Raw)+2048), '{')
	w.put("model", wire.AppendString(nil, w.req.Model))
	tools, err := w.tools()
	if err != nil {
		return err
	}
	messages, err := w.messages()
	if err != nil {
		return err
	}
	w.put("messages", messages)
	w.put("stream", strconv.AppendBool(nil, w.x.Stream))
	w.put("tools", tools)
	w.output()
	w.options()
	w.think()
	if l := w.req.Sampling.Logprobs; l != nil {
		w.put("logprobs", strconv.AppendBool(nil, *l))
	}
	if n := w.req.Sampling.TopLogprobs; n != nil {
		w.put("top_logprobs", strconv.AppendInt(nil, min(*n, maxTopLogprobs), 10))
	}
	w.rest()
	w.body = append(w.body, '}')
	w.x.Body = w.body
	return nil
}

func (w *writer) output() {
	switch out := &w.req.Output; out.Kind {
	case canon.OutputJSON:
		w.put("format", jsontext.Value(`"json"`))
	case canon.OutputSchema:
		w.put("format", wire.RepairSchema(out.Schema))
	}
}

// options writes the numbers that steer the answer. What a client of this format wrote goes back as it is.
func (w *writer) options() {
	opts := w.req.Ext[optionsMember]
	if w.x.foreign {
		opts = w.ownOptions()
	}
	if n := w.numCtx(); n > 0 {
		var set bool
		if opts, set = withNumCtx(opts, n); set {
			w.x.NumCtx = n
		}
	}
	w.put("options", opts)
}

func (w *writer) ownOptions() jsontext.Value {
	b := jsontext.Value{'{'}
	put := func(name string, v jsontext.Value) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(append(b, '"'), name...), `":`...), v...)
	}
	s := &w.req.Sampling
	for _, f := range []struct {
		name string
		v    *float64
	}{
		{"temperature", s.Temperature}, {"top_p", s.TopP}, {"min_p", s.MinP}, {"presence_penalty", s.Presence},
		{"frequency_penalty", s.Frequency}, {"repeat_penalty", s.Repeat},
	} {
		if f.v != nil {
			v, _ := wire.Marshal(*f.v) // it was read from JSON, so it is finite
			put(f.name, v)
		}
	}
	for _, f := range []struct {
		name string
		v    *int64
	}{{"top_k", s.TopK}, {"seed", s.Seed}, {"num_predict", w.req.MaxTokens}} {
		if f.v != nil {
			put(f.name, strconv.AppendInt(nil, *f.v, 10))
		}
	}
	if len(w.req.Stop) > 0 {
		v, _ := wire.Marshal(w.req.Stop) // strings: cannot fail
		put("stop", v)
	}
	if len(b) == 1 {
		return nil
	}
	return append(b, '}')
}

// DefaultCtx is the context that Ollama takes unless it is told otherwise, or more on a computer with much memory (Ollama
// v0.17.4, its FAQ).
const DefaultCtx = 4096

// Each other size has Ollama load the model anew, so sizes grow in steps of two.
const (
	firstCtx    = 8192
	answerSpace = 2048 // tokens left for an answer of unknown length
)

// numCtx returns the context to ask for, 0 to leave it to the service.
func (w *writer) numCtx() int64 {
	if w.o.NumCtx > 0 {
		return w.o.NumCtx
	}
	need := int64(0)
	if w.x.foreign { // a client of this format sets it by itself, as with any Ollama
		need = wire.EstimateTokens(w.req)
		need += need / 4 // the estimate is a rough one
		if n := w.req.MaxTokens; n != nil && *n < 8*answerSpace {
			need += *n
		} else {
			need += answerSpace
		}
	}
	need = max(need, w.o.MinCtx)
	if need <= DefaultCtx {
		return 0
	}
	n := int64(firstCtx)
	for n < need {
		n *= 2
	}
	if limit := w.req.Facts.Context; limit > 0 {
		n = min(n, limit)
	}
	return n
}

// levelModels are the beginnings of names of models that take a level of thinking; others refuse one (Ollama v0.17.4).
const levelModels = "gpt-oss"

// think writes how much to think.
func (w *writer) think() {
	r := &w.req.Reasoning
	if r.Mode == "" {
		return
	}
	if w.o.NoThink || w.req.Facts.Thinking == canon.No {
		if r.Mode != canon.ReasonOff {
			w.x.warn("think", "the model does not think")
		}
		return
	}
	levels := len(w.req.Facts.Efforts) > 0 || strings.Contains(strings.ToLower(w.req.Model), levelModels)
	switch {
	case r.Mode == canon.ReasonOff:
		w.put("think", jsontext.Value("false"))
	case levels && levelOf(r) != "":
		w.put("think", wire.AppendString(nil, levelOf(r)))
	default:
		w.put("think", jsontext.Value("true"))
	}
}

// levelOf is the level among Ollama's three that is nearest to what was asked for.
func levelOf(r *canon.Reasoning) string {
	effort := r.Effort
	if r.Budget != nil {
		effort = wire.EffortOfBudget(*r.Budget)
	}
	switch effort {
	case "minimal", "low":
		return "low"
	case "medium":
		return "medium"
	case "high", "xhigh", "max":
		return "high"
	default:
		return ""
	}
}

// rest writes what only clients of this format say, and reports what others said in vain.
func (w *writer) rest() {
	r := w.req
	if !w.x.foreign {
		for _, name := range slices.Sorted(maps.Keys(r.Ext)) {
			switch {
			case strings.HasPrefix(name, "$"), name == optionsMember:
			case r.Op == string(OpGenerate) && (name == "template" || name == "raw" || name == "context"):
				w.x.warn(name, "only a completion that is passed on as it came can have it")
			default:
				w.put(name, r.Ext[name])
			}
		}
		return
	}
	// A prompt that is too long shall be refused: Ollama would cut its beginning off without a word.
	w.put("truncate", jsontext.Value("false"))
	for _, d := range []struct {
		field string
		lost  bool
	}{
		{"logit_bias", len(r.Sampling.LogitBias) > 0},
		{"parallel_tool_calls", r.Parallel != nil && !*r.Parallel},
		{"verbosity", r.Verbosity != ""},
		{"service_tier", r.ServiceTier != ""},
		{"cache_control", hasCache(r)},
	} {
		if d.lost {
			w.x.warn(d.field, "Ollama has no such field")
		}
	}
}

func hasCache(r *canon.Request) bool {
	marked := func(parts []canon.Part) bool {
		return slices.ContainsFunc(parts, func(p canon.Part) bool { return p.Cache != nil })
	}
	return r.Cache != nil || marked(r.System) ||
		slices.ContainsFunc(r.Messages, func(m canon.Message) bool { return marked(m.Parts) }) ||
		slices.ContainsFunc(r.Tools, func(t canon.Tool) bool { return t.Cache != nil })
}

// tools writes the functions, and the system lines that stand for a forced choice: Ollama has no tool_choice.
func (w *writer) tools() (jsontext.Value, error) {
	choice := w.req.ToolChoice
	if choice.Mode == canon.ChoiceNone {
		return nil, nil
	}
	allowed := func(t *canon.Tool) bool {
		if choice.Mode != canon.ChoiceAllowed && choice.Mode != canon.ChoiceAllowReq {
			return true
		}
		return slices.Contains(choice.Names, t.Name) || slices.Contains(choice.Names, wire.FlatName(t.Space, t.Name))
	}
	b := jsontext.Value{'['}
	var lost []string
	for i := range w.req.Tools {
		t := &w.req.Tools[i]
		switch {
		case t.Kind == canon.ToolServer && strings.HasPrefix(t.ServerType, "mcp"):
			return nil, unsupported("tools", "%s cannot run the tool %q: remote MCP tools need the service they were made for", w.req.ModelAsked, t.Name)
		case t.Kind == canon.ToolServer:
			lost = append(lost, t.Name)
			w.x.warn("tools."+t.ServerType, "the service cannot run it")
		case allowed(t):
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = w.tool(b, t)
		}
	}
	forced := choice.Mode == canon.ChoiceNamed && len(choice.Names) == 1 && slices.Contains(lost, choice.Names[0])
	if len(lost) > 0 && (forced || len(b) == 1) {
		return nil, unsupported("tools", "%s cannot run the tool %q", w.req.ModelAsked, lost[0])
	}
	if len(b) == 1 {
		return nil, nil
	}
	switch choice.Mode {
	case canon.ChoiceRequired, canon.ChoiceAllowReq:
		w.notes = append(w.notes, "Answer by calling at least one of the tools.")
	case canon.ChoiceNamed:
		w.notes = append(w.notes, "Answer by calling the tool "+choice.Names[0]+".")
	}
	return append(b, ']'), nil
}

func (w *writer) tool(b jsontext.Value, t *canon.Tool) jsontext.Value {
	if !w.x.foreign && len(t.Raw) > 0 {
		return append(b, t.Raw...)
	}
	name := wire.FlatName(t.Space, t.Name)
	schema := t.Schema
	if t.Kind == canon.ToolCustom {
		if w.x.custom == nil {
			w.x.custom = map[string]bool{}
		}
		w.x.custom[name] = true
		schema = oai.InputSchema(t)
	}
	b = wire.AppendString(append(b, `{"type":"function","function":{"name":`...), name)
	b = wire.AppendString(append(b, `,"description":`...), t.Description)
	return append(append(append(b, `,"parameters":`...), wire.RepairSchema(schema)...), "}}"...)
}
