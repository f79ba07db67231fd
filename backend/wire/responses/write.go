package responses

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// writer writes a canonical request as a new body.
type writer struct {
	x       *Exchange
	o       Options
	req     *canon.Request
	facts   canon.Model
	same    bool // the client speaks this format, so its extensions are the upstream's
	body    []byte
	notes   []string               // system lines that stand for what the upstream cannot be told otherwise
	results map[string]*canon.Part // of calls, by id
	ids     map[string]string      // of calls, as they go out
	items   []byte
}

const (
	notTaken   = "the service does not take it"
	noSuchHere = "Responses has no such field"
)

// put adds a member unless the upstream refuses it.
func (w *writer) put(name string, v jsontext.Value) {
	if len(v) == 0 {
		return
	}
	if !w.o.sends(name) {
		if len(w.o.Only) == 0 {
			w.x.warn(name, notTaken)
		}
		return
	}
	if len(w.body) > 1 {
		w.body = append(w.body, ',')
	}
	w.body = append(wire.AppendString(w.body, name), ':')
	w.body = append(w.body, v...)
}

func (w *writer) request() error {
	if n := w.req.Sampling.N; n != nil && *n > 1 {
		return unsupported(wire.Field(w.req.Format, "n"), "%s gives one answer at a time; leave n out or send 1", w.req.ModelAsked)
	}
	if slices.Contains(w.req.Modalities, "audio") {
		return unsupported(wire.Field(w.req.Format, "modalities"), "%s cannot answer in audio", w.req.ModelAsked)
	}
	text := w.text()
	tools, err := w.toolMembers()
	if err != nil {
		return err
	}
	size := len(w.req.Body.Raw) + len(w.req.Body.Raw)/16 + 1024
	w.items = make([]byte, 0, size)
	instructions, err := w.conversation()
	if err != nil {
		return err
	}
	if s := &w.req.State; len(w.items) == 0 && s.PreviousResponse == "" && s.Conversation == "" && s.Prompt == "" {
		return apierror.Invalid("input", "nothing of the conversation can be sent to %s", w.req.ModelAsked)
	}
	w.body = append(make([]byte, 0, size+1024), '{')
	w.put("model", wire.AppendString(nil, w.req.Model))
	if w.x.Stream {
		w.put("stream", jsontext.Value("true"))
	}
	if instructions != "" || w.o.Instructions {
		w.put("instructions", wire.AppendString(nil, instructions))
	}
	w.put("input", append(append(jsontext.Value{'['}, w.items...), ']'))
	for _, m := range tools {
		w.put(m.Name, m.Value)
	}
	if n := w.req.MaxTokens; n != nil {
		w.put("max_output_tokens", strconv.AppendInt(nil, w.limit(*n), 10))
	}
	w.sampling()
	w.put("reasoning", w.reasoning())
	w.put("text", text)
	w.rest()
	w.body = append(w.body, '}')
	return nil
}

// minTokens is the smallest limit that OpenAI takes (public API reference); clients of other formats ask for less to see
// whether a key works.
const minTokens = 16

func (w *writer) limit(n int64) int64 {
	if w.same {
		return n
	}
	return max(n, minTokens)
}

func (w *writer) sampling() {
	s := &w.req.Sampling
	refused := oai.RefusesSampling(w.req, w.facts)
	num := func(name string, f *float64) {
		switch {
		case f == nil:
		case refused:
			w.x.warn(name, "the model does not take it")
		default:
			w.put(name, floatText(*f))
		}
	}
	num("temperature", s.Temperature)
	num("top_p", s.TopP)
	if w.same {
		num("presence_penalty", s.Presence)
		num("frequency_penalty", s.Frequency)
	}
	if n := s.TopLogprobs; n != nil && !refused {
		w.put("top_logprobs", strconv.AppendInt(nil, *n, 10))
	}
	for _, f := range []struct {
		name  string
		there bool
	}{
		{"presence_penalty", s.Presence != nil && !w.same}, {"frequency_penalty", s.Frequency != nil && !w.same}, {"top_k", s.TopK != nil},
		{"min_p", s.MinP != nil}, {"repetition_penalty", s.Repeat != nil}, {"seed", s.Seed != nil}, {"logit_bias", len(s.LogitBias) > 0},
		{"logprobs", refused && (s.Logprobs != nil && *s.Logprobs || s.TopLogprobs != nil)},
	} {
		if f.there {
			w.x.warn(f.name, noSuchHere)
		}
	}
}

// reasoning writes how much the model shall think and what it shall tell of it.
func (w *writer) reasoning() jsontext.Value {
	r := &w.req.Reasoning
	if w.same && r.Source != "suffix" {
		if v := w.req.Body.Get("reasoning"); !oai.IsNull(v) {
			v, _ = w.x.withoutRefused("reasoning", v)
			return v
		}
	}
	if r.Mode == "" && r.Summary == "" {
		return nil
	}
	if w.facts.Thinking == canon.No {
		if r.Mode != "" && r.Mode != canon.ReasonOff {
			w.x.warn("reasoning", "the model does not think")
		}
		return nil
	}
	b := jsontext.Value{'{'}
	if effort := w.effort(); effort != "" && !slices.Contains(w.o.Drop, DropEffort) {
		b = wire.AppendString(append(b, `"effort":`...), effort)
	}
	summary := r.Summary
	if summary == "" && !w.same && r.Mode != canon.ReasonOff {
		summary = "auto"
	}
	if summary != "" && summary != "none" && !slices.Contains(w.o.Drop, DropSummary) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = wire.AppendString(append(b, `"summary":`...), summary)
	}
	if len(b) == 1 {
		return nil
	}
	return append(b, '}')
}

// effort returns the level that the model knows and that is nearest to what was asked, "" to leave it to the model.
func (w *writer) effort() string {
	r, known := &w.req.Reasoning, w.o.Efforts
	if len(known) == 0 {
		known = w.facts.Efforts
	}
	effort := r.Effort
	switch {
	case r.Mode == canon.ReasonOff:
		if len(known) == 0 {
			return ""
		}
		return wire.ClampEffort("none", known)
	case r.Budget != nil:
		effort = wire.EffortOfBudget(*r.Budget)
	}
	if effort == "" || effort == "auto" {
		return ""
	}
	return wire.ClampEffort(effort, known)
}

// text writes the form of the answer's text.
func (w *writer) text() jsontext.Value {
	format, verbosity := w.format(), w.req.Verbosity
	if verbosity != "" && slices.Contains(w.o.Drop, DropVerbosity) {
		w.x.warn(DropVerbosity, notTaken)
		verbosity = ""
	}
	if format == nil && verbosity == "" {
		return nil
	}
	b := jsontext.Value{'{'}
	if format != nil {
		b = append(append(b, `"format":`...), format...)
	}
	if verbosity != "" {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = wire.AppendString(append(b, `"verbosity":`...), verbosity)
	}
	return append(b, '}')
}

func (w *writer) format() jsontext.Value {
	out := &w.req.Output
	switch {
	case out.Kind == canon.OutputText && w.same:
		return jsontext.Value(`{"type":"text"}`)
	case out.Kind == canon.OutputJSON:
		if !w.same && !w.mentionsJSON() { // OpenAI refuses json_object if no message speaks of JSON
			w.notes = append(w.notes, "Answer with one JSON object only.")
		}
		return jsontext.Value(`{"type":"json_object"}`)
	case out.Kind != canon.OutputSchema:
		return nil
	}
	schema, strict := out.Schema, out.Strict
	if !w.same {
		ok, want := false, strict != nil && *strict
		schema, ok = wire.SchemaForOpenAI(out.Schema, want)
		strict = &ok
		if !want {
			strict = new(bool)
		}
	}
	name := wire.ShortName(out.Name)
	if name == "" {
		name = "answer"
	}
	b := wire.AppendString(jsontext.Value(`{"type":"json_schema","name":`), name)
	if out.Description != "" {
		b = wire.AppendString(append(b, `,"description":`...), out.Description)
	}
	b = append(append(b, `,"schema":`...), schema...)
	if strict != nil {
		b = strconv.AppendBool(append(b, `,"strict":`...), *strict)
	}
	return append(b, '}')
}

func (w *writer) mentionsJSON() bool {
	has := func(parts []canon.Part) bool {
		return slices.ContainsFunc(parts, func(p canon.Part) bool { return strings.Contains(strings.ToLower(p.Text), "json") })
	}
	return has(w.req.System) || slices.ContainsFunc(w.req.Messages, func(m canon.Message) bool { return has(m.Parts) })
}

// rest writes the members that need no thought.
func (w *writer) rest() {
	r := w.req
	store := "false"
	if w.o.Store && w.same && r.State.Store != nil && *r.State.Store {
		store = "true"
	}
	w.put("store", jsontext.Value(store))
	w.put("include", w.included())
	key := r.PromptCacheKey
	if key == "" && !w.same {
		key = r.Conversation
	}
	if key != "" {
		w.put("prompt_cache_key", wire.AppendString(nil, oai.AtMost64(key)))
	}
	if r.UserID != "" && (!w.same || oai.Text(r.Ext["safety_identifier"]) != r.UserID) {
		w.put("user", wire.AppendString(nil, oai.AtMost64(r.UserID)))
	}
	if r.Cache != nil {
		w.x.warn("cache_control", "the service caches by itself")
	}
	if !w.same {
		for _, f := range []struct {
			name  string
			there bool
		}{{"service_tier", r.ServiceTier != ""}, {"metadata", len(r.Metadata) > 0}} {
			if f.there {
				w.x.warn(f.name, "only clients of this format can set it")
			}
		}
		return
	}
	if r.ServiceTier != "" {
		w.put("service_tier", wire.AppendString(nil, r.ServiceTier))
	}
	w.put("metadata", r.Metadata)
	for _, f := range []struct{ name, v string }{{"previous_response_id", r.State.PreviousResponse}} {
		if f.v != "" {
			w.put(f.name, wire.AppendString(nil, f.v))
		}
	}
	for _, name := range []string{"conversation", "prompt"} {
		w.put(name, r.Body.Get(name))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Ext)) {
		if name != "client_metadata" || w.o.ClientMetadata {
			w.put(name, r.Ext[name])
		}
	}
}

// included asks for what the client wants, and for encrypted reasoning: without it the model has forgotten its thoughts on
// the next turn. Models that do not think refuse it.
func (w *writer) included() jsontext.Value {
	var want []string
	if w.same {
		want = slices.Clone(w.req.Include)
	}
	add := func(s string) {
		if !slices.Contains(want, s) {
			want = append(want, s)
		}
	}
	if w.facts.Thinking != canon.No {
		add(includeReasoning)
	}
	if l := w.req.Sampling.Logprobs; l != nil && *l && !oai.RefusesSampling(w.req, w.facts) {
		add(includeLogprobs)
	}
	for _, s := range w.o.Include {
		add(s)
	}
	if len(want) == 0 {
		return nil
	}
	v, _ := wire.Marshal(want) // strings: cannot fail
	return v
}
