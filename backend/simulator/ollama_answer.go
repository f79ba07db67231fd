package simulator

import (
	"encoding/json"
	"time"
)

// ending translates the end of an answer. Calls end with stop.
func (d *ollama) ending(r *reply) string {
	switch r.finish {
	case finLength:
		return "length"
	case finNamed:
		return r.native
	}
	return "stop"
}

// line is one piece of an answer without its end.
func (d *ollama) line(t *turn, r *reply, text, thinking string, calls []ordered) ordered {
	out := obj("model", r.model, "created_at", r.created.UTC().Format(time.RFC3339Nano))
	if t.prompt {
		out = out.with("response", text)
		if thinking != "" {
			out = out.with("thinking", thinking)
		}
		return out
	}
	message := obj("role", "assistant", "content", text)
	if thinking != "" {
		message = message.with("thinking", thinking)
	}
	if len(calls) > 0 {
		message = message.with("tool_calls", calls)
	}
	return out.with("message", message)
}

// end is what the last piece adds. Times are in nanoseconds: fifty tokens in a
// second.
func (d *ollama) end(t *turn, r *reply) ordered {
	out := obj("done", true, "done_reason", d.ending(r))
	if t.prompt {
		out = out.with("context", []int{1, 2, 3})
	}
	if r.noUsage {
		return out
	}
	const token = int64(20 * time.Millisecond)
	u := r.usage
	read, said := int64(u.in)*token/20, int64(u.out)*token
	return append(out, obj("total_duration", read+said+1_000_000, "load_duration", 1_000_000, "prompt_eval_count", u.in, "prompt_eval_duration", read,
		"eval_count", u.out, "eval_duration", said)...)
}

// toolCall writes a call; its arguments are an object. A call that was cut
// cannot be written.
func (d *ollama) toolCall(p *part, i int) (ordered, bool) {
	args := p.args
	if args == "" {
		args = "{}"
	}
	return obj("id", p.id, "function", obj("index", i, "name", p.name, "arguments", json.RawMessage(args))), json.Valid([]byte(args))
}

func (d *ollama) body(t *turn, r *reply) any {
	text, thinking := "", ""
	var calls []ordered
	for i := range r.parts {
		p := &r.parts[i]
		switch p.kind {
		case reasoningPart:
			if !t.hidden {
				thinking += p.text
			}
		case callPart:
			if call, ok := d.toolCall(p, len(calls)); ok {
				calls = append(calls, call)
			}
		case textPart, refusalPart:
			text += p.text
		}
	}
	return append(d.line(t, r, text, thinking, calls), d.end(t, r)...)
}

// frames is the answer as lines: thought, text, calls, each of them whole, and
// the end.
func (d *ollama) frames(t *turn, r *reply) []frame {
	var out []frame
	add := func(text, thinking string, calls []ordered) {
		out = append(out, frame{data: encode(d.line(t, r, text, thinking, calls).with("done", false)), content: true})
	}
	calls := 0
	for i := range r.parts {
		p := &r.parts[i]
		switch p.kind {
		case reasoningPart:
			for _, piece := range p.cut() {
				if !t.hidden {
					add("", piece, nil)
				}
			}
		case callPart:
			if call, ok := d.toolCall(p, calls); ok {
				add("", "", []ordered{call})
				calls++
			}
		case textPart, refusalPart:
			for _, piece := range p.cut() {
				add(piece, "", nil)
			}
		}
	}
	return append(out, frame{data: encode(append(d.line(t, r, "", "", nil), d.end(t, r)...)), last: true})
}
