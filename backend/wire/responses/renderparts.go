package responses

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// write writes a delta of the current part.
func (r *renderer) write(dst []byte, p *livePart, kind canon.DeltaKind, summary int, text string, logprobs jsontext.Value) []byte {
	switch p.part.Type {
	case canon.PartText, canon.PartRefusal:
		return r.writeText(dst, p, kind, text, logprobs)
	case canon.PartReasoning:
		return r.writeReasoning(dst, p, kind, summary, text)
	case canon.PartToolCall:
		return r.writeCall(dst, p, kind, text)
	default:
		return dst
	}
}

func (r *renderer) writeText(dst []byte, p *livePart, kind canon.DeltaKind, text string, logprobs jsontext.Value) []byte {
	switch kind {
	case canon.DeltaText:
	case canon.DeltaCitation:
		return r.annotation(dst, p, jsontext.Value(text))
	default:
		return dst
	}
	dst = r.openContent(dst, p)
	p.item.text = append(p.item.text, text...)
	name := "response.output_text.delta"
	if p.part.Type == canon.PartRefusal {
		name = "response.refusal.delta"
	}
	dst = append(r.at(r.event(dst, name), p, true), `,"content_index":0,"delta":`...)
	dst = wire.AppendString(dst, text)
	if p.part.Type == canon.PartRefusal {
		return append(dst, "}\n\n"...)
	}
	entries := tokenEntries(logprobs)
	p.item.logprobs = joined(p.item.logprobs, entries)
	dst = append(append(dst, `,"logprobs":[`...), entries...)
	return append(dst, "]}\n\n"...)
}

// joined adds entries to a list without brackets.
func joined(list, more []byte) []byte {
	if len(more) == 0 {
		return list
	}
	if len(list) > 0 {
		list = append(list, ',')
	}
	return append(list, more...)
}

// openContent begins a message with its one part.
func (r *renderer) openContent(dst []byte, p *livePart) []byte {
	if p.begun {
		return dst
	}
	dst = r.begin(dst, p)
	p.inner = true
	dst = append(r.at(r.event(dst, "response.content_part.added"), p, true), `,"content_index":0,"part":`...)
	return append(p.item.appendContent(dst, nil, nil, nil), "}\n\n"...)
}

func (r *renderer) annotation(dst []byte, p *livePart, v jsontext.Value) []byte {
	a := annotation(v)
	if a == nil {
		return dst
	}
	dst = r.openContent(dst, p)
	p.item.notes = joined(p.item.notes, a)
	dst = append(r.at(r.event(dst, "response.output_text.annotation.added"), p, true), `,"content_index":0,"annotation_index":`...)
	dst = strconv.AppendInt(dst, int64(p.notes), 10)
	p.notes++
	return append(append(append(dst, `,"annotation":`...), a...), "}\n\n"...)
}

// writeReasoning writes thinking. A model's own text is told as such; everything else is a summary, in as many parts as it
// came in.
func (r *renderer) writeReasoning(dst []byte, p *livePart, kind canon.DeltaKind, summary int, text string) []byte {
	switch {
	case kind == canon.DeltaSignature:
		p.sig = append(p.sig, text...)
		return dst
	case p.part.Redacted:
		return dst
	case kind == canon.DeltaText && p.part.RawText:
		return r.rawReasoning(dst, p, text)
	case kind == canon.DeltaText:
		summary = max(p.summary, 0)
	case kind != canon.DeltaSummary:
		return dst
	}
	if !p.begun {
		dst = r.begin(dst, p)
	}
	for p.summary < summary {
		dst = r.closeSummary(dst, p)
		p.summary++
		p.item.summary = append(p.item.summary, nil)
		p.inner = true
		dst = r.summaryPart(dst, p, "response.reasoning_summary_part.added", nil)
	}
	s := &p.item.summary[p.summary]
	*s = append(*s, text...)
	dst = r.summaryHead(dst, p, "response.reasoning_summary_text.delta")
	return append(wire.AppendString(append(dst, `,"delta":`...), text), "}\n\n"...)
}

func (r *renderer) summaryHead(dst []byte, p *livePart, name string) []byte {
	dst = append(r.at(r.event(dst, name), p, true), `,"summary_index":`...)
	return strconv.AppendInt(dst, int64(p.summary), 10)
}

func (r *renderer) summaryPart(dst []byte, p *livePart, name string, text []byte) []byte {
	dst = append(r.summaryHead(dst, p, name), `,"part":`...)
	return append(appendSummary(dst, text), "}\n\n"...)
}

func (r *renderer) closeSummary(dst []byte, p *livePart) []byte {
	if !p.inner {
		return dst
	}
	p.inner = false
	text := p.item.summary[p.summary]
	dst = r.summaryHead(dst, p, "response.reasoning_summary_text.done")
	dst = append(wire.AppendString(append(dst, `,"text":`...), string(text)), "}\n\n"...)
	return r.summaryPart(dst, p, "response.reasoning_summary_part.done", text)
}

func (r *renderer) rawReasoning(dst []byte, p *livePart, text string) []byte {
	if !p.begun {
		dst = r.begin(dst, p)
	}
	p.item.text = append(p.item.text, text...)
	dst = append(r.at(r.event(dst, "response.reasoning_text.delta"), p, true), `,"content_index":0,"delta":`...)
	return append(wire.AppendString(dst, text), "}\n\n"...)
}

func (r *renderer) writeCall(dst []byte, p *livePart, kind canon.DeltaKind, text string) []byte {
	want, name := canon.DeltaArgs, "response.function_call_arguments.delta"
	if p.item.kind == itemCustom {
		want, name = canon.DeltaText, "response.custom_tool_call_input.delta"
	}
	if kind != want || text == "" {
		return dst
	}
	p.item.text = append(p.item.text, text...)
	if p.item.kind == itemSearch { // its arguments are an object, which has no pieces
		return dst
	}
	dst = append(r.at(r.event(dst, name), p, true), `,"delta":`...)
	return append(wire.AppendString(dst, text), "}\n\n"...)
}

// end writes what is left of the current part.
func (r *renderer) end(dst []byte, p *livePart) []byte {
	whole := p.part
	if p.end != nil && p.end.Type == p.part.Type {
		whole = *p.end
	}
	switch p.part.Type {
	case canon.PartText, canon.PartRefusal:
		return r.endText(dst, p, &whole)
	case canon.PartReasoning:
		return r.endReasoning(dst, p, &whole)
	case canon.PartToolCall:
		return r.endCall(dst, p, &whole)
	case canon.PartAudio: // what was said stands in for the sound, which has no item
		if whole.Text == "" {
			return dst
		}
		p.part.Type = canon.PartText
		dst = r.writeText(dst, p, canon.DeltaText, whole.Text, nil)
		return r.endText(dst, p, &whole)
	}
	if kindOf(r.req, &whole) == "" {
		return dst
	}
	p.part = whole
	dst = r.begin(dst, p)
	return r.done(dst, p)
}

func (r *renderer) endText(dst []byte, p *livePart, whole *canon.Part) []byte {
	if !p.begun && whole.Text != "" {
		dst = r.writeText(dst, p, canon.DeltaText, whole.Text, whole.Logprobs)
	}
	if p.begun {
		if len(p.item.notes) == 0 && len(whole.Citations) > 0 {
			p.item.notes = annotations(whole.Citations)
		}
		if len(p.item.logprobs) == 0 {
			p.item.logprobs = tokenEntries(whole.Logprobs)
		}
		p.item.part.Ext = whole.Ext
		dst = r.closeContent(dst, p)
		dst = r.done(dst, p)
	}
	if sig := carriedSignature(r.req, whole); sig != "" {
		dst = r.carry(dst, sig)
	}
	return dst
}

func (r *renderer) closeContent(dst []byte, p *livePart) []byte {
	p.inner = false
	if p.part.Type == canon.PartRefusal {
		dst = append(r.at(r.event(dst, "response.refusal.done"), p, true), `,"content_index":0,"refusal":`...)
		dst = append(wire.AppendString(dst, string(p.item.text)), "}\n\n"...)
	} else {
		dst = append(r.at(r.event(dst, "response.output_text.done"), p, true), `,"content_index":0,"text":`...)
		dst = append(wire.AppendString(dst, string(p.item.text)), `,"logprobs":[`...)
		dst = append(append(dst, p.item.logprobs...), "]}\n\n"...)
	}
	dst = append(r.at(r.event(dst, "response.content_part.done"), p, true), `,"content_index":0,"part":`...)
	return append(p.item.appendContent(dst, p.item.text, p.item.notes, p.item.logprobs), "}\n\n"...)
}

func (r *renderer) endReasoning(dst []byte, p *livePart, whole *canon.Part) []byte {
	if !p.begun && !p.part.Redacted { // what no delta has told
		for i, s := range whole.Summary {
			dst = r.writeReasoning(dst, p, canon.DeltaSummary, i, s)
		}
		if whole.Text != "" {
			p.part.RawText = whole.RawText
			dst = r.writeReasoning(dst, p, canon.DeltaText, 0, whole.Text)
		}
	}
	if (whole.Opaque == nil || whole.Opaque.Data == "") && len(p.sig) > 0 {
		o := canon.Opaque{Kind: wire.OpaqueThink}
		if p.part.Opaque != nil {
			o = *p.part.Opaque
		}
		o.Data = string(p.sig)
		whole.Opaque = &o
	}
	sig := visibleSignature(r.req, whole)
	if !p.begun && sig == "" {
		return dst
	}
	if !p.begun {
		dst = r.begin(dst, p)
	}
	dst = r.closeSummary(dst, p)
	if len(p.item.text) > 0 {
		dst = append(r.at(r.event(dst, "response.reasoning_text.done"), p, true), `,"content_index":0,"text":`...)
		dst = append(wire.AppendString(dst, string(p.item.text)), "}\n\n"...)
	}
	p.item.sig = sig
	if sig == "" {
		r.held = p
		return dst
	}
	return r.done(dst, p)
}

func (r *renderer) endCall(dst []byte, p *livePart, whole *canon.Part) []byte {
	it := p.item
	if len(it.text) == 0 {
		text, kind := whole.ArgsText(), canon.DeltaArgs
		if it.kind == itemCustom {
			text, kind = whole.Text, canon.DeltaText
		}
		dst = r.writeCall(dst, p, kind, text)
	}
	switch it.kind {
	case itemCustom:
		dst = append(r.at(r.event(dst, "response.custom_tool_call_input.done"), p, true), `,"input":`...)
		dst = append(wire.AppendString(dst, string(it.text)), "}\n\n"...)
	case itemSearch:
		it.part.SetArgs(string(it.text))
	default:
		dst = append(r.at(r.event(dst, "response.function_call_arguments.done"), p, true), `,"name":`...)
		dst = append(wire.AppendString(dst, it.part.Name), `,"arguments":`...)
		dst = append(wire.AppendString(dst, string(it.text)), "}\n\n"...)
	}
	return r.done(dst, p)
}
