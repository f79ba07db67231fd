package simulator

import "encoding/json"

// ending translates the end of an answer.
func (d *anthropic) ending(r *reply) (reason string, sequence, details any) {
	switch r.finish {
	case finLength:
		return "max_tokens", nil, nil
	case finTools:
		return "tool_use", nil, nil
	case finSequence:
		return "stop_sequence", r.sequence, nil
	case finPause:
		return "pause_turn", nil, nil
	case finNamed:
		return r.native, nil, nil
	case finFilter, finBlocked:
		return "refusal", nil, obj("type", "refusal", "category", nil, "explanation", "The request was stopped by a filter.")
	}
	for _, p := range r.parts {
		if p.kind == refusalPart {
			return "refusal", nil, obj("type", "refusal", "category", nil, "explanation", p.text)
		}
	}
	return "end_turn", nil, nil
}

// usage writes the numbers: input_tokens leaves out what the cache gave.
func (d *anthropic) usage(r *reply, out int) ordered {
	u := r.usage
	return obj("input_tokens", max(u.in-u.cached-u.written, 0), "cache_creation_input_tokens", u.written,
		"cache_read_input_tokens", u.cached,
		"cache_creation", obj("ephemeral_5m_input_tokens", u.written-u.writtenHour, "ephemeral_1h_input_tokens", u.writtenHour),
		"output_tokens", out)
}

func (d *anthropic) finalUsage(r *reply) ordered {
	return append(d.usage(r, r.usage.out), obj("output_tokens_details", obj("thinking_tokens", r.usage.reasoning),
		"server_tool_use", nil, "service_tier", "standard")...)
}

// block writes one part as a content block; start leaves its content out as a
// stream does.
func (d *anthropic) block(t *turn, p *part, start bool) ordered {
	switch p.kind {
	case reasoningPart:
		if start {
			return obj("type", "thinking", "thinking", "", "signature", "")
		}
		return obj("type", "thinking", "thinking", d.thought(t, p), "signature", p.name)
	case redactedPart:
		return obj("type", "redacted_thinking", "data", p.name)
	case callPart:
		input := json.RawMessage("{}")
		if !start && p.args != "" && json.Valid([]byte(p.args)) {
			input = json.RawMessage(p.args)
		}
		return obj("type", "tool_use", "id", p.id, "name", p.name, "input", input)
	}
	text := p.text
	if start {
		text = ""
	}
	return obj("type", "text", "text", text)
}

// thought is the visible text of a thought.
func (d *anthropic) thought(t *turn, p *part) string {
	if t.hidden {
		return ""
	}
	return p.text
}

// message is the answer's envelope.
func (d *anthropic) message(r *reply, content any) ordered {
	return obj("id", r.id, "type", "message", "role", "assistant", "model", r.model, "content", content)
}

func (d *anthropic) body(t *turn, r *reply) any {
	content := []ordered{}
	for i := range r.parts {
		content = append(content, d.block(t, &r.parts[i], false))
	}
	reason, sequence, details := d.ending(r)
	out := append(d.message(r, content), obj("stop_reason", reason, "stop_sequence", sequence)...)
	if details != nil {
		out = out.with("stop_details", details)
	}
	if !r.noUsage {
		out = out.with("usage", d.finalUsage(r))
	}
	return out
}

// frames is the answer as events: message_start, a ping, the blocks one after
// another, message_delta with the reason, message_stop.
func (d *anthropic) frames(t *turn, r *reply) []frame {
	event := func(name string, pairs ...any) frame {
		return jsonFrame(name, append(obj("type", name), obj(pairs...)...))
	}
	begin := append(d.message(r, []any{}), obj("stop_reason", nil, "stop_sequence", nil)...)
	if !r.noUsage {
		begin = begin.with("usage", d.usage(r, 1))
	}
	out := []frame{event("message_start", "message", begin), event("ping")}
	for i := range r.parts {
		p := &r.parts[i]
		out = append(out, event("content_block_start", "index", i, "content_block", d.block(t, p, true)))
		for _, delta := range d.deltas(t, p) {
			f := event("content_block_delta", "index", i, "delta", delta)
			f.content = true
			out = append(out, f)
			if r.usageEvery {
				out = append(out, event("ping"))
			}
		}
		out = append(out, event("content_block_stop", "index", i))
	}
	reason, sequence, details := d.ending(r)
	end := obj("stop_reason", reason, "stop_sequence", sequence)
	if details != nil {
		end = end.with("stop_details", details)
	}
	pairs := []any{"delta", end}
	if !r.noUsage {
		pairs = append(pairs, "usage", append(d.usage(r, r.usage.out), obj("output_tokens_details", obj("thinking_tokens", r.usage.reasoning))...))
	}
	out = append(out, event("message_delta", pairs...))
	stop := event("message_stop")
	stop.last = true
	return append(out, stop)
}

// deltas cuts one part into its pieces.
func (d *anthropic) deltas(t *turn, p *part) []ordered {
	var out []ordered
	switch p.kind {
	case reasoningPart:
		if !t.hidden {
			for _, piece := range p.cut() {
				out = append(out, obj("type", "thinking_delta", "thinking", piece))
			}
		}
		return append(out, obj("type", "signature_delta", "signature", p.name))
	case callPart:
		out = append(out, obj("type", "input_json_delta", "partial_json", ""))
		for _, piece := range cutArgs(p.args) {
			out = append(out, obj("type", "input_json_delta", "partial_json", piece))
		}
		return out
	case redactedPart:
		return nil
	}
	for _, piece := range p.cut() {
		out = append(out, obj("type", "text_delta", "text", piece))
	}
	return out
}
