package openai

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
	facts canon.Model
	same  bool // the client speaks this format, so its extensions are the upstream's
	body  []byte
	ids   oai.CallIDs
	notes []string // system lines that stand for what the upstream cannot be told otherwise
}

func (w *writer) warn(field, detail string) {
	for _, d := range w.x.Dropped {
		if d.Field == field {
			return
		}
	}
	w.x.Dropped = append(w.x.Dropped, canon.Warning{Field: field, Detail: detail})
}

// put adds a member unless the upstream refuses it.
func (w *writer) put(name string, v jsontext.Value) {
	if len(v) == 0 {
		return
	}
	if slices.Contains(w.o.Drop, name) {
		w.warn(name, "the service does not take it")
		return
	}
	if to := w.o.Rename[name]; to != "" {
		name = to
	}
	if len(w.body) > 1 {
		w.body = append(w.body, ',')
	}
	w.body = append(wire.AppendString(w.body, name), ':')
	w.body = append(w.body, v...)
}

func (w *writer) request() error {
	w.same = w.req.Format == Name && w.req.Op == string(OpChat)
	w.x.names = wire.NewNames(w.req, nil)
	w.body = append(make([]byte, 0, w.size()+1024), '{')
	w.put("model", wire.AppendString(nil, w.req.Model))
	tools, err := w.toolMembers()
	if err != nil {
		return err
	}
	output := w.outputMember()
	messages, err := w.messages()
	if err != nil {
		return err
	}
	w.put("messages", messages)
	if w.x.Stream {
		w.put("stream", jsontext.Value("true"))
		if !w.o.NoStreamOptions {
			w.put("stream_options", jsontext.Value(`{"include_usage":true}`))
		}
	} else if w.same && w.req.Body.Has("stream") {
		w.put("stream", jsontext.Value("false"))
	}
	for _, m := range tools {
		w.put(m.Name, m.Value)
	}
	w.limit()
	w.sampling()
	w.put("response_format", output)
	w.reasoning()
	w.rest()
	if err := w.modalities(); err != nil {
		return err
	}
	w.extras()
	w.body = append(w.body, '}')
	return nil
}

// size guesses the length of the messages: about that of the client's own body.
func (w *writer) size() int { return len(w.req.Body.Raw) + len(w.req.Body.Raw)/16 + 1024 }

func (w *writer) limit() {
	n := w.o.DefaultMaxTokens
	if w.req.MaxTokens != nil {
		n = *w.req.MaxTokens
	}
	if n > 0 {
		w.put(w.o.limitField(), appendInt(nil, n))
	}
}

// sampling writes the numbers that steer token choice.
func (w *writer) sampling() {
	s, refused := &w.req.Sampling, oai.RefusesSampling(w.req, w.facts)
	put := func(name string, v jsontext.Value) {
		switch {
		case v == nil:
		case refused && slices.Contains(samplingFields, name):
			w.warn(name, "the model does not take it")
		case slices.Contains(extensionFields, name) && (w.o.OwnHost || w.o.NoExtensions):
			w.warn(name, "the service does not take it")
		default:
			w.put(name, v)
		}
	}
	put("temperature", optFloat(s.Temperature))
	put("top_p", optFloat(s.TopP))
	put("top_k", optInt(s.TopK))
	put("min_p", optFloat(s.MinP))
	put("presence_penalty", optFloat(s.Presence))
	put("frequency_penalty", optFloat(s.Frequency))
	put("repetition_penalty", optFloat(s.Repeat))
	put("seed", optInt(s.Seed))
	put("n", optInt(s.N))
	put("logit_bias", s.LogitBias)
	put("logprobs", optBool(s.Logprobs))
	put("top_logprobs", optInt(s.TopLogprobs))
	w.stop()
}

// maxStops is how many stop strings OpenAI takes.
const maxStops = 4

func (w *writer) stop() {
	stops := w.req.Stop
	if len(stops) == 0 {
		return
	}
	if len(stops) > maxStops {
		stops = stops[:maxStops]
		w.warn("stop", "only four stop strings are taken")
	}
	if w.same && len(stops) == 1 && jsontext.Value(w.req.Body.Get("stop")).Kind() == '"' {
		w.put("stop", wire.AppendString(nil, stops[0]))
		return
	}
	v, _ := wire.Marshal(stops) // strings: cannot fail
	w.put("stop", v)
}

func (w *writer) reasoning() {
	members, dropped := w.o.reasoningMembers(w.req, w.facts)
	for _, m := range members {
		w.put(m.Name, m.Value)
	}
	if dropped {
		w.warn("reasoning", "the service does not take it")
	}
}

// rest writes the members that need no thought. Those that only OpenAI's own service knows go there, and to whoever a
// client of this format addressed them to.
func (w *writer) rest() {
	r, own := w.req, w.o.OwnHost || w.same
	str := func(name, v string, ok bool) {
		switch {
		case v == "":
		case !ok:
			w.warn(name, "the service does not take it")
		default:
			w.put(name, wire.AppendString(nil, v))
		}
	}
	str("verbosity", r.Verbosity, own)
	str("service_tier", r.ServiceTier, w.same)
	key := r.PromptCacheKey
	if key == "" && !w.same && (w.o.OwnHost || w.o.PromptCacheKey) {
		key = r.Conversation
	}
	if own || w.o.PromptCacheKey {
		str("prompt_cache_key", oai.AtMost64(key), true)
	}
	if !w.same || text(r.Ext["safety_identifier"]) != r.UserID {
		str("user", oai.AtMost64(r.UserID), own)
	}
	if len(r.Metadata) > 0 && w.same {
		w.put("metadata", r.Metadata)
	}
	if w.same {
		w.put("store", optBool(r.State.Store))
	}
	if r.Cache != nil && w.o.CacheControl {
		w.put("cache_control", cacheMark(r.Cache))
	} else if r.Cache != nil {
		w.warn("cache_control", "the service caches by itself")
	}
	if !w.same {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.Ext)) {
		if name != "functions" {
			w.put(name, r.Ext[name])
		}
	}
}

// extras adds what the upstream wants and no client sends.
func (w *writer) extras() {
	for _, m := range w.o.extras(w.req) {
		if w.req.Ext[m.Name] == nil {
			w.put(m.Name, m.Value)
		}
	}
}

// outputMember writes response_format, or the system line that stands for it.
func (w *writer) outputMember() jsontext.Value {
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
	schema, strict := wire.RepairSchema(out.Schema), out.Strict
	if w.o.NoJSONSchema {
		w.notes = append(w.notes, "Answer with one JSON object only. It must match this JSON schema:\n"+string(schema))
		return jsontext.Value(`{"type":"json_object"}`)
	}
	if !w.same {
		want := strict != nil && *strict
		var ok bool
		if schema, ok = wire.SchemaForOpenAI(out.Schema, want); want {
			strict = &ok
		}
	}
	name := wire.ShortName(out.Name)
	if name == "" {
		name = "answer"
	}
	b := append(jsontext.Value(`{"type":"json_schema","json_schema":{"name":`), wire.AppendString(nil, name)...)
	if out.Description != "" {
		b = wire.AppendString(append(b, `,"description":`...), out.Description)
	}
	b = append(append(b, `,"schema":`...), schema...)
	if strict != nil && !w.o.NoStrict {
		b = strconv.AppendBool(append(b, `,"strict":`...), *strict)
	}
	return append(b, "}}"...)
}

func (w *writer) mentionsJSON() bool {
	has := func(parts []canon.Part) bool {
		return slices.ContainsFunc(parts, func(p canon.Part) bool { return strings.Contains(strings.ToLower(p.Text), "json") })
	}
	return has(w.req.System) || slices.ContainsFunc(w.req.Messages, func(m canon.Message) bool { return has(m.Parts) })
}

func cacheMark(c *canon.Cache) jsontext.Value {
	if c.TTL == "" {
		return jsontext.Value(`{"type":"ephemeral"}`)
	}
	return jsontext.Value(`{"type":"ephemeral","ttl":` + strconv.Quote(c.TTL) + `}`)
}

func appendInt(dst []byte, n int64) jsontext.Value { return strconv.AppendInt(dst, n, 10) }

func optInt(n *int64) jsontext.Value {
	if n == nil {
		return nil
	}
	return appendInt(nil, *n)
}

func optFloat(f *float64) jsontext.Value {
	if f == nil {
		return nil
	}
	v, _ := wire.Marshal(*f) // it was read from JSON, so it is finite
	return v
}

func optBool(b *bool) jsontext.Value {
	if b == nil {
		return nil
	}
	return strconv.AppendBool(nil, *b)
}
