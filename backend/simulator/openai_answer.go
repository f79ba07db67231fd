package simulator

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/http"
)

// finish translates the end of an answer.
func (d *openAI) finish(t *turn, r *reply) string {
	if word := d.quirks.ends[r.finish]; word != "" {
		return word
	}
	switch r.finish {
	case finLength:
		return "length"
	case finFilter, finBlocked:
		return "content_filter"
	case finNamed:
		return r.native
	case finTools:
		if t.oldCalls {
			return "function_call"
		}
		return "tool_calls"
	}
	return "stop"
}

func (d *openAI) usage(r *reply) any {
	u := r.usage
	return obj("prompt_tokens", u.in, "completion_tokens", u.out, "total_tokens", u.in+u.out,
		"prompt_tokens_details", obj("cached_tokens", u.cached, "cache_write_tokens", u.written, "audio_tokens", 0),
		"completion_tokens_details", obj("reasoning_tokens", u.reasoning, "audio_tokens", 0,
			"accepted_prediction_tokens", 0, "rejected_prediction_tokens", 0))
}

// spoken gathers an answer's parts as a chat message has them.
type spoken struct {
	reasoning, content, refusal []string
	calls                       []part
	said                        bool
	seal                        string // signature of the thought
}

func (d *openAI) gather(r *reply, t *turn) spoken {
	var s spoken
	for i := range r.parts {
		p := &r.parts[i]
		switch p.kind {
		case reasoningPart:
			if r.thinkTags {
				s.content = append(s.content, "<th", "ink>", p.text, "</thi", "nk>")
			} else if !t.hidden {
				s.seal = p.seal
				s.reasoning = append(s.reasoning, p.cut()...)
			}
		case textPart:
			s.said = true
			s.content = append(s.content, p.cut()...)
		case refusalPart:
			s.refusal = append(s.refusal, p.cut()...)
		case callPart:
			s.calls = append(s.calls, *p)
		}
	}
	return s
}

func all(pieces []string) string {
	out := ""
	for _, p := range pieces {
		out += p
	}
	return out
}

// callArgs writes a call as the message has it: arguments are never empty.
func callObject(p part, args string) ordered {
	if p.custom {
		return obj("id", p.id, "type", "custom", "custom", obj("name", p.name, "input", args))
	}
	return obj("id", p.id, "type", "function", "function", obj("name", p.name, "arguments", args))
}

func (p part) arguments() string {
	if p.args == "" && !p.custom {
		return "{}"
	}
	return p.args
}

// thoughts names the field that shows the reasoning.
func (d *openAI) thoughts() string {
	if d.local || d.quirks.thinks == "reasoning" {
		return "reasoning"
	}
	return "reasoning_content"
}

// body is the answer to a request without stream.
func (d *openAI) body(t *turn, r *reply) any {
	s := d.gather(r, t)
	content, refusal := any(nil), any(nil)
	if s.said || len(s.content) > 0 {
		content = all(s.content)
	}
	if len(s.refusal) > 0 {
		refusal = all(s.refusal)
	}
	message := obj("role", "assistant", "content", content, "refusal", refusal)
	if len(s.reasoning) > 0 {
		message = message.with(d.thoughts(), all(s.reasoning))
		if d.quirks.detail || d.quirks.thinks == "tags" {
			message = message.with("reasoning_details", details(all(s.reasoning), s.seal))
		}
	}
	if len(s.calls) > 0 && t.oldCalls {
		message = message.with("function_call", obj("name", s.calls[0].name, "arguments", s.calls[0].arguments()))
	} else if len(s.calls) > 0 {
		calls := []ordered{}
		for _, p := range s.calls {
			calls = append(calls, oddCall(r, callObject(p, p.arguments())))
		}
		message = message.with("tool_calls", calls)
	}
	message = message.with("annotations", []any{})
	choices := []ordered{}
	for i := range r.n {
		choices = append(choices, obj("index", i, "message", message, "logprobs", d.logprobs(r, all(s.content)), "finish_reason", d.finish(t, r)))
	}
	if r.odd == oddNoChoices {
		choices = []ordered{}
	}
	out := obj("id", r.id, "object", "chat.completion", "created", r.created.Unix(), "model", r.model, "choices", choices)
	if !r.noUsage {
		out = out.with("usage", d.usage(r))
	}
	if d.name == MiniMax {
		out = out.with("base_resp", obj("status_code", 0, "status_msg", ""))
	}
	if r.odd == oddNoEnvelope {
		return obj("choices", choices)
	}
	return out.with("service_tier", "default").with("system_fingerprint", "fp_simulator")
}

// logprobs is one made-up probability per piece of text.
func (d *openAI) logprobs(r *reply, text string) any {
	if !r.logprobs || text == "" {
		return nil
	}
	list := []ordered{}
	for i, piece := range (&part{text: text}).cut() {
		bytes := []int{}
		for _, b := range []byte(piece) {
			bytes = append(bytes, int(b))
		}
		p := -0.01 * float64(i+1)
		list = append(list, obj("token", piece, "logprob", p, "bytes", bytes,
			"top_logprobs", []ordered{obj("token", piece, "logprob", p, "bytes", bytes)}))
	}
	return obj("content", list, "refusal", nil)
}

// frames is the answer as chunks, in the order OpenAI sends them: role, then
// reasoning, text and calls, then the reason, then (if asked) the usage.
func (d *openAI) frames(t *turn, r *reply) []frame {
	s := d.gather(r, t)
	w := &chunks{d: d, t: t, r: r}
	opening := obj("role", "assistant", "content", "", "refusal", nil)
	if len(s.calls) > 0 && !s.said {
		opening = obj("role", "assistant", "content", nil)
	}
	w.opening()
	for i := range r.n {
		w.add(i, opening, nil, nil, false)
	}
	for _, field := range []struct {
		name   string
		pieces []string
	}{{d.thoughts(), s.reasoning}, {"content", s.content}, {"refusal", s.refusal}} {
		for k, piece := range field.pieces {
			for i := range r.n {
				if field.name == d.thoughts() && (d.quirks.detail || d.quirks.thinks == "tags") {
					seal := "" // it comes with the last piece
					if k == len(field.pieces)-1 {
						seal = s.seal
					}
					w.add(i, obj(field.name, piece, "reasoning_details", details(piece, seal)), nil, nil, true)
					continue
				}
				var lp any
				if field.name == "content" {
					lp = d.logprobs(r, piece)
				}
				w.add(i, obj(field.name, piece), lp, nil, true)
			}
		}
	}
	for i := range r.n {
		w.calls(i, s.calls)
	}
	for i := range r.n {
		w.add(i, ordered{}, nil, d.finish(t, r), false)
	}
	if t.usage && !r.noUsage {
		w.out = append(w.out, jsonFrame("", w.chunk([]ordered{}, d.usage(r))))
	}
	return append(w.out, frame{data: []byte("[DONE]"), last: true})
}

// chunks builds the stream of one answer.
type chunks struct {
	d    *openAI
	t    *turn
	r    *reply
	out  []frame
	sent int
}

func (w *chunks) chunk(choices []ordered, usage any) ordered {
	if w.r.odd == oddNoEnvelope {
		return obj("choices", choices)
	}
	c := obj("id", w.r.id, "object", "chat.completion.chunk", "created", w.r.created.Unix(), "model", w.r.model,
		"service_tier", "default", "system_fingerprint", "fp_simulator", "choices", choices)
	if (w.t.usage || w.r.usageEvery) && !w.r.noUsage {
		c = c.with("usage", usage)
	}
	return c
}

func (w *chunks) add(choice int, delta ordered, logprobs, finish any, content bool) {
	var usage any
	if w.r.usageEvery {
		// Vendors that send usage all the time count up to the last one.
		part := *w.r
		w.sent++
		if part.usage.out = min(w.sent, part.usage.out); finish != nil {
			part.usage.out = w.r.usage.out
		}
		part.usage.reasoning = min(part.usage.reasoning, part.usage.out)
		usage = w.d.usage(&part)
	}
	f := jsonFrame("", w.chunk([]ordered{obj("index", choice, "delta", delta, "logprobs", logprobs, "finish_reason", finish)}, usage))
	f.content = content
	w.out = append(w.out, f)
}

// calls writes the tool calls of one choice: name and id first, then the
// arguments in pieces, mixed between the calls when the scenario wants it.
func (w *chunks) calls(choice int, list []part) {
	if len(list) == 0 {
		return
	}
	if w.t.oldCalls {
		w.add(choice, obj("function_call", obj("name", list[0].name, "arguments", "")), nil, nil, true)
		for _, piece := range cutArgs(list[0].arguments()) {
			w.add(choice, obj("function_call", obj("arguments", piece)), nil, nil, true)
		}
		return
	}
	if w.r.odd != "" || (w.d.quirks.whole && !w.t.flow) {
		w.oddCalls(choice, list)
		return
	}
	pieces := make([][]string, len(list))
	first := func(i int) {
		pieces[i] = cutArgs(list[i].args)
		w.add(choice, obj("tool_calls", []ordered{append(obj("index", i), callObject(list[i], "")...)}), nil, nil, true)
	}
	next := func(i int) {
		field, name := "function", "arguments"
		if list[i].custom {
			field, name = "custom", "input"
		}
		w.add(choice, obj("tool_calls", []ordered{obj("index", i, field, obj(name, pieces[i][0]))}), nil, nil, true)
		pieces[i] = pieces[i][1:]
	}
	if !w.r.interleave {
		for i := range list {
			for first(i); len(pieces[i]) > 0; next(i) {
				continue
			}
		}
		return
	}
	for i := range list {
		first(i)
	}
	for again := true; again; {
		again = false
		for i := range list {
			if len(pieces[i]) > 0 {
				next(i)
				again = true
			}
		}
	}
}

// embed answers POST /v1/embeddings: the same text gives the same vector.
func (d *openAI) embed(x *exchange) {
	if !d.authorized(x) {
		return
	}
	o, f := x.object()
	if f == nil {
		f = checkEmbed(o)
	}
	if f == nil {
		if model, _ := o["model"].(string); !d.knows(model) {
			f = &failure{kind: failNotFound, model: model}
		}
	}
	if f != nil {
		x.refuse(f)
		return
	}
	if x.blocked(&turn{}) {
		return
	}
	inputs := embedInputs(o["input"])
	data, used := []ordered{}, 0
	for i, in := range inputs {
		v := vector(string(encode(in)), int(number(o["dimensions"], 8)))
		used += len(encode(in))/4 + 1
		value := any(v)
		if o["encoding_format"] == "base64" {
			raw := make([]byte, 0, 4*len(v))
			for _, n := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(n))
			}
			value = base64.StdEncoding.EncodeToString(raw)
		}
		data = append(data, obj("object", "embedding", "index", i, "embedding", value))
	}
	d.head(x.w.Header(), &plan{})
	writeJSON(x.w, http.StatusOK, obj("object", "list", "data", data, "model", o["model"],
		"usage", obj("prompt_tokens", used, "total_tokens", used)))
}

func checkEmbed(o map[string]any) *failure {
	c := &openAICheck{}
	c.text(o, "", "model")
	if o["input"] == nil {
		c.fail("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	} else if len(embedInputs(o["input"])) == 0 {
		c.fail("input", "", "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
	}
	if format, ok := o["encoding_format"].(string); ok {
		c.oneOf("encoding_format", format, "float", "base64")
	}
	if o["dimensions"] != nil {
		c.field("dimensions", o["dimensions"], rule{kinds: "an integer", low: 1, high: 4096})
	}
	for _, name := range sortedKeys(o) {
		switch name {
		case "model", "input", "encoding_format", "dimensions", "user":
		default:
			c.fail(name, "unknown_parameter", "Unknown parameter: '%s'.", name)
		}
	}
	return c.f
}

// embedInputs splits the input: a text, texts, token ids, or lists of them.
func embedInputs(v any) []any {
	list, ok := v.([]any)
	if !ok {
		if s, ok := v.(string); ok && s != "" {
			return []any{s}
		}
		return nil
	}
	for _, one := range list {
		switch kindName(one) {
		case "an integer":
			return []any{list}
		case "a string", "an array":
		default:
			return nil
		}
	}
	return list
}

// vector makes a unit vector out of a text.
func vector(text string, n int) []float32 {
	out, sum := make([]float32, n), 0.0
	for i := range out {
		h := fnv.New32a()
		_, _ = h.Write([]byte(text)) // a hash never fails
		_, _ = h.Write([]byte{byte(i), byte(i >> 8)})
		f := float64(h.Sum32())/math.MaxUint32 - 0.5
		out[i] = float32(f)
		sum += f * f
	}
	for i := range out {
		out[i] /= float32(math.Sqrt(sum))
	}
	return out
}
