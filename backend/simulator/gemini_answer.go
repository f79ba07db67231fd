package simulator

import "encoding/json"

// finish translates the end of an answer. Calls end with STOP.
func (d *gemini) finish(r *reply) string {
	switch r.finish {
	case finLength:
		return "MAX_TOKENS"
	case finFilter:
		return "SAFETY"
	case finMalformed:
		return "MALFORMED_FUNCTION_CALL"
	case finNamed:
		return r.native
	}
	return "STOP"
}

// usage writes the numbers; what was thought stands beside what was said.
func (d *gemini) usage(r *reply, last bool) ordered {
	u := r.usage
	out := obj("promptTokenCount", u.in)
	total := u.in
	if last {
		out = out.with("candidatesTokenCount", u.out-u.reasoning)
		total += u.out
	}
	out = out.with("totalTokenCount", total)
	if u.cached > 0 {
		out = out.with("cachedContentTokenCount", u.cached).with("cacheTokensDetails", modality(u.cached))
	}
	out = out.with("promptTokensDetails", modality(u.in))
	if last && u.reasoning > 0 {
		out = out.with("thoughtsTokenCount", u.reasoning)
	}
	return out
}

// parts writes a piece of the answer's part; the signature comes with the
// piece that ends it.
func (d *gemini) part(t *turn, p *part, text string, sealed bool) (ordered, bool) {
	var out ordered
	switch p.kind {
	case reasoningPart:
		if t.hidden {
			return nil, false
		}
		out = obj("text", text, "thought", true)
		if sealed && p.seal != "" { // Claude's
			out = out.with("thoughtSignature", p.seal)
		}
		return out, true
	case imagePart:
		return obj("inlineData", obj("mimeType", "image/png", "data", text)), true
	case redactedPart:
		return nil, false
	case callPart:
		args := p.args
		if args == "" {
			args = "{}"
		}
		if !json.Valid([]byte(args)) {
			return nil, false // a call that was cut is not sent
		}
		call := obj("name", p.name, "args", json.RawMessage(args))
		if p.id != "" {
			call = call.with("id", p.id)
		}
		out = obj("functionCall", call)
	default:
		out = obj("text", text)
	}
	if sealed && p.seal != "" {
		out = out.with("thoughtSignature", p.seal)
	}
	return out, true
}

// response is one GenerateContentResponse.
func (d *gemini) response(r *reply, parts []any, last bool) ordered {
	candidates := []ordered{}
	for i := range r.n {
		content := obj("role", "model")
		if len(parts) > 0 {
			content = obj("parts", parts, "role", "model")
		}
		c := obj("content", content)
		if last {
			c = c.with("finishReason", d.finish(r))
			if r.finish == finMalformed {
				c = c.with("finishMessage", "Malformed function call: print(default_api.get_weather(city=")
			}
		}
		candidates = append(candidates, c.with("index", i))
	}
	out := obj("candidates", candidates)
	if r.finish == finBlocked {
		out = obj("promptFeedback", obj("blockReason", "PROHIBITED_CONTENT"))
	}
	if !r.noUsage {
		out = out.with("usageMetadata", d.usage(r, last))
	}
	return out.with("modelVersion", r.model).with("responseId", r.id)
}

// body is the answer to a request without stream.
func (d *gemini) body(t *turn, r *reply) any {
	parts := []any{}
	for i := range r.parts {
		if p, ok := d.part(t, &r.parts[i], r.parts[i].text, true); ok {
			parts = append(parts, p)
		}
	}
	return d.response(r, parts, true)
}

// frames is the answer as pieces, each a response of its own. Models of 2.5
// end with their last piece, those of 3.x with an empty one, on which the
// signature of a text stands.
func (d *gemini) frames(t *turn, r *reply) []frame {
	if r.finish == finBlocked {
		f := jsonFrame("", d.response(r, nil, true))
		f.last = true
		return []frame{f}
	}
	var pieces []ordered
	seal := ""
	for i := range r.parts {
		p := &r.parts[i]
		texts := p.cut()
		if p.kind == callPart {
			texts = []string{""}
		} else if p.seal != "" && p.kind != reasoningPart {
			seal = p.seal
		}
		for n, text := range texts {
			if piece, ok := d.part(t, p, text, p.kind == callPart || p.kind == reasoningPart && n == len(texts)-1); ok {
				pieces = append(pieces, piece)
			}
		}
	}
	var out []frame
	for i, piece := range pieces {
		parts := []any{piece}
		f := frame{data: encode(d.response(r, parts, false)), content: true}
		if i == len(pieces)-1 && !t.third {
			f.bare, f.data, f.last = f.data, encode(d.response(r, parts, true)), true
		}
		out = append(out, f)
	}
	if t.third || len(pieces) == 0 {
		parts := []any{}
		if len(pieces) > 0 {
			end := obj("text", "")
			if seal != "" {
				end = end.with("thoughtSignature", seal)
			}
			parts = append(parts, end)
		}
		out = append(out, frame{data: encode(d.response(r, parts, true)), last: true})
	}
	return out
}
