package simulator

import (
	"slices"
	"strings"
)

// responseStatus translates the end of an answer.
func responseStatus(r *reply) (status string, details any) {
	switch r.finish {
	case finLength:
		return "incomplete", obj("reason", "max_output_tokens")
	case finFilter, finBlocked:
		return "incomplete", obj("reason", "content_filter")
	}
	return "completed", nil
}

func (d *responses) usage(r *reply) any {
	u := r.usage
	return obj("input_tokens", u.in, "input_tokens_details", obj("cached_tokens", u.cached, "cache_write_tokens", u.written),
		"output_tokens", u.out, "output_tokens_details", obj("reasoning_tokens", u.reasoning), "total_tokens", u.in+u.out)
}

// summary cuts a thought into the parts of its summary, at empty lines.
func summary(t *turn, p *part) []string {
	if t.hidden || p.kind == redactedPart || p.text == "" {
		return nil
	}
	return strings.Split(p.text, "\n\n")
}

// thoughtItem is a reasoning item; with is false while it is being written.
func (d *responses) thoughtItem(t *turn, p *part, with bool) ordered {
	list := []ordered{}
	if with {
		for _, text := range summary(t, p) {
			list = append(list, obj("type", "summary_text", "text", text))
		}
	}
	out := obj("id", p.item, "type", "reasoning", "summary", list)
	if t.encrypted && with {
		out = out.with("encrypted_content", p.seal)
	}
	return out
}

// textContent is the one content part of a message.
func (d *responses) textContent(t *turn, p *part, text string) ordered {
	if p.kind == refusalPart {
		return obj("type", "refusal", "refusal", text)
	}
	return obj("type", "output_text", "text", text, "annotations", []any{}, "logprobs", d.tokenProbs(t, text))
}

func (d *responses) tokenProbs(t *turn, text string) any {
	if o, ok := d.logprobs(&reply{logprobs: t.logprobs}, text).(ordered); ok {
		return o[0].value
	}
	return []any{}
}

// outputItem writes one part as an item in this status.
func (d *responses) outputItem(t *turn, p *part, status string) ordered {
	done := status != "in_progress"
	switch p.kind {
	case reasoningPart, redactedPart:
		return d.thoughtItem(t, p, done)
	case callPart:
		kind, name, value := "function_call", "arguments", ""
		if p.custom {
			kind, name = "custom_tool_call", "input"
		}
		if done {
			value = p.arguments()
		}
		out := obj("id", p.item, "type", kind, "status", status, "call_id", p.id, "name", p.name, name, value)
		if p.space != "" {
			out = out.with("namespace", p.space)
		}
		return out
	}
	content := []ordered{}
	if done {
		content = append(content, d.textContent(t, p, p.text))
	}
	return obj("id", p.item, "type", "message", "status", status, "role", "assistant", "content", content)
}

// itemStatus is the state in which an item ends: what the limit cut is
// incomplete.
func itemStatus(r *reply, i int) string {
	if status, _ := responseStatus(r); status == "incomplete" && i == len(r.parts)-1 {
		return status
	}
	return "completed"
}

// items are all parts of an answer in their final form.
func (d *responses) items(t *turn, r *reply) []ordered {
	out := []ordered{}
	for i := range r.parts {
		out = append(out, d.outputItem(t, &r.parts[i], itemStatus(r, i)))
	}
	return out
}

// response is the object that every answer and the first and last events of a
// stream carry. It repeats the settings of the request.
func (d *responses) response(t *turn, r *reply, status string, output []ordered, f *failure) ordered {
	q := t.request
	usage, completed, broken, details := any(nil), any(nil), any(nil), any(nil)
	switch status {
	case "completed", "incomplete":
		if _, details = responseStatus(r); !r.noUsage {
			usage = d.usage(r)
		}
		if status == "completed" {
			completed = r.created.Unix()
		}
	case "failed":
		broken = obj("code", failedCode(f), "message", d.words(f))
	}
	or := func(name string, otherwise any) any {
		if v := q[name]; v != nil {
			return v
		}
		return otherwise
	}
	return obj("id", r.id, "object", "response", "created_at", r.created.Unix(), "status", status, "background", or("background", false),
		"completed_at", completed, "error", broken, "frequency_penalty", 0.0, "incomplete_details", details, "instructions", or("instructions", nil),
		"max_output_tokens", or("max_output_tokens", nil), "max_tool_calls", or("max_tool_calls", nil), "model", r.model, "output", output,
		"parallel_tool_calls", or("parallel_tool_calls", true), "presence_penalty", 0.0, "previous_response_id", or("previous_response_id", nil),
		"prompt_cache_key", or("prompt_cache_key", nil), "reasoning", d.effort(t), "safety_identifier", or("safety_identifier", nil),
		"service_tier", "default", "store", or("store", true), "temperature", or("temperature", 1.0), "text", responseText(q),
		"tool_choice", or("tool_choice", "auto"), "tools", responseTools(q), "top_logprobs", or("top_logprobs", 0), "top_p", or("top_p", 1.0),
		"truncation", or("truncation", "disabled"), "usage", usage, "user", or("user", nil), "metadata", or("metadata", ordered{}))
}

func (d *responses) effort(t *turn) any {
	q, _ := t.request["reasoning"].(map[string]any)
	effort := q["effort"]
	if effort == nil && reasoningModel.MatchString(t.model) {
		effort = "medium"
	}
	return obj("effort", effort, "summary", q["summary"])
}

// responseText repeats the wished form of the text.
func responseText(q map[string]any) any {
	text, _ := q["text"].(map[string]any)
	out := obj("format", obj("type", "text"), "verbosity", "medium")
	if f, ok := text["format"].(map[string]any); ok {
		out[0].value = f
		if f["type"] == "json_schema" {
			out[0].value = obj("type", "json_schema", "description", f["description"], "name", f["name"], "schema", f["schema"], "strict", f["strict"] == true)
		}
	}
	if v := text["verbosity"]; v != nil {
		out[1].value = v
	}
	return out
}

// responseTools repeats the tools with their defaults filled in.
func responseTools(q map[string]any) []any {
	list, _ := q["tools"].([]any)
	out := []any{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		if m["type"] != "function" {
			out = append(out, m)
			continue
		}
		strict := m["strict"]
		if strict == nil {
			strict = notStrict(m["parameters"], nil) == ""
		}
		out = append(out, obj("type", "function", "description", m["description"], "name", m["name"], "parameters", m["parameters"], "strict", strict))
	}
	return out
}

// body is the answer to a request without stream.
func (d *responses) body(t *turn, r *reply) any {
	if t.request["background"] == true {
		return d.response(t, r, "queued", []ordered{}, nil)
	}
	status, _ := responseStatus(r)
	return d.response(t, r, status, d.items(t, r), nil)
}

// failedCode is the code of a response that failed. Codex CLI 0.169.0 knows
// them by these names.
func failedCode(f *failure) string {
	codes := map[string]string{failOverload: "server_is_overloaded", failRate: "rate_limit_exceeded", failQuota: "insufficient_quota",
		failTooLong: "context_length_exceeded", failInvalid: "invalid_prompt"}
	if code := codes[f.kind]; code != "" {
		return code
	}
	return "server_error"
}

// words is the sentence of a failure.
func (d *responses) words(f *failure) string {
	_, _, body := d.refuse(f)
	return body.(ordered)[0].value.(ordered)[0].value.(string)
}

// errorFrames is a failed response, or a bare error event; nothing follows it.
func (d *responses) errorFrames(f *failure, t *turn, r *reply, sent int) []frame {
	if f.bare {
		_, _, body := d.refuse(f)
		e := body.(ordered)[0].value.(ordered)
		return []frame{jsonFrame("error", obj("type", "error", "sequence_number", sent, "error",
			obj("type", e[1].value, "code", failedCode(f), "message", e[0].value, "param", nil)))}
	}
	return []frame{jsonFrame("response.failed", obj("type", "response.failed", "sequence_number", sent, "response", d.failed(f, t, r)))}
}

// failed is the response of a turn that broke; without a stream it comes with
// status 200.
func (d *responses) failed(f *failure, t *turn, r *reply) any {
	return d.response(t, r, "failed", []ordered{}, f)
}

// responseEvents builds the stream of one answer.
type responseEvents struct {
	d      *responses
	t      *turn
	r      *reply
	hidden bool // the padding of deltas is wanted
	out    []frame
}

func (w *responseEvents) add(kind string, pairs ...any) {
	w.out = append(w.out, jsonFrame(kind, append(obj("type", kind, "sequence_number", len(w.out)), obj(pairs...)...)))
}

// delta adds a piece of content.
func (w *responseEvents) delta(kind, piece string, pairs ...any) {
	pairs = append(slices.Clone(pairs), "delta", piece)
	if kind == "response.output_text.delta" {
		pairs = append(pairs, "logprobs", w.d.tokenProbs(w.t, piece))
	}
	if w.hidden {
		pairs = append(pairs, "obfuscation", obfuscation(len(w.out)))
	}
	w.add(kind, pairs...)
	w.out[len(w.out)-1].content = true
}

// frames is the answer as events, each numbered: created, in_progress, the
// items one after another, and the response as a whole.
func (d *responses) frames(t *turn, r *reply) []frame {
	options, _ := t.request["stream_options"].(map[string]any)
	w := &responseEvents{d: d, t: t, r: r, hidden: options["include_obfuscation"] != false}
	w.add("response.created", "response", d.response(t, r, "in_progress", []ordered{}, nil))
	w.add("response.in_progress", "response", d.response(t, r, "in_progress", []ordered{}, nil))
	for i := range r.parts {
		p := &r.parts[i]
		w.add("response.output_item.added", "output_index", i, "item", d.outputItem(t, p, "in_progress"))
		switch p.kind {
		case reasoningPart, redactedPart:
			w.thought(i, p)
		case callPart:
			w.call(i, p)
		default:
			w.text(i, p)
		}
		w.add("response.output_item.done", "output_index", i, "item", d.outputItem(t, p, itemStatus(r, i)))
	}
	status, _ := responseStatus(r)
	output := d.items(t, r)
	if r.bareEnd {
		output = []ordered{}
	}
	w.add("response."+status, "response", d.response(t, r, status, output, nil))
	w.out[len(w.out)-1].last = true
	return w.out
}

func (w *responseEvents) thought(i int, p *part) {
	for k, text := range summary(w.t, p) {
		at := []any{"item_id", p.item, "output_index", i, "summary_index", k}
		add := func(kind string, more ...any) { w.add(kind, append(slices.Clone(at), more...)...) }
		add("response.reasoning_summary_part.added", "part", obj("type", "summary_text", "text", ""))
		for _, piece := range (&part{text: text}).cut() {
			w.delta("response.reasoning_summary_text.delta", piece, at...)
		}
		add("response.reasoning_summary_text.done", "text", text)
		add("response.reasoning_summary_part.done", "part", obj("type", "summary_text", "text", text))
	}
}

func (w *responseEvents) call(i int, p *part) {
	at := []any{"item_id", p.item, "output_index", i}
	kind, name := "response.function_call_arguments", "arguments"
	if p.custom {
		kind, name = "response.custom_tool_call_input", "input"
	}
	for _, piece := range cutArgs(p.arguments()) {
		w.delta(kind+".delta", piece, at...)
	}
	done := append(slices.Clone(at), name, p.arguments())
	if !p.custom {
		done = append(done, "name", p.name)
	}
	w.add(kind+".done", done...)
}

func (w *responseEvents) text(i int, p *part) {
	at := []any{"item_id", p.item, "output_index", i, "content_index", 0}
	add := func(kind string, more ...any) { w.add(kind, append(slices.Clone(at), more...)...) }
	add("response.content_part.added", "part", w.d.textContent(w.t, p, ""))
	if p.kind == refusalPart {
		for _, piece := range p.cut() {
			w.delta("response.refusal.delta", piece, at...)
		}
		add("response.refusal.done", "refusal", p.text)
	} else {
		for _, piece := range p.cut() {
			w.delta("response.output_text.delta", piece, at...)
		}
		add("response.output_text.done", "text", p.text, "logprobs", w.d.tokenProbs(w.t, p.text))
	}
	add("response.content_part.done", "part", w.d.textContent(w.t, p, p.text))
}
