package anthropic

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// NewRenderer renders one streamed answer.
func (Codec) NewRenderer(req *canon.Request) wire.Renderer {
	return &renderer{req: req, usage: canon.UnknownUsage(), ids: map[string]bool{}}
}

// renderer writes the event stream. One block is open at a time: of several open parts the lowest is written as it comes,
// the others wait in full.
type renderer struct {
	req     *canon.Request
	usage   canon.Usage
	ids     map[string]bool
	started bool // message_start is out
	ended   bool // the terminal event is out
	calls   bool
	next    int // index of the next block
	open    bool
	held    bool // the open block is thinking that has ended: it may still get the signature of the call after it

	cur     *livePart
	waiting []*livePart // in order of their index

	verbatim bool
	delta    bool // verbatim: message_delta is out
}

// livePart is a part that has begun.
type livePart struct {
	index   int
	part    canon.Part
	deltas  []smallDelta // not written yet
	end     *canon.Part  // how it ended, while it waits
	ended   bool
	begun   bool // its block is open
	args    bool // arguments have been written
	sig     []byte
	summary int // number of the summary being written
	sums    bool
}

// smallDelta is what of a delta has to be kept.
type smallDelta struct {
	kind    canon.DeltaKind
	summary int
	text    string
}

// ContentType returns the type of an event stream.
func (r *renderer) ContentType() string { return "text/event-stream" }

// AppendPing renders the keep-alive.
func (r *renderer) AppendPing(dst []byte) []byte {
	if r.ended {
		return dst
	}
	return append(dst, "event: ping\ndata: {\"type\":\"ping\"}\n\n"...)
}

// AppendError ends the answer with an error event. Without a message_start before it SDKs fail on their own account.
func (r *renderer) AppendError(dst []byte, e *apierror.Error) []byte {
	if r.ended {
		return dst
	}
	dst = r.start(dst, "")
	r.ended = true
	dst = append(dst, "event: error\ndata: "...)
	return append(appendError(dst, e, ""), "\n\n"...)
}

// AppendEvent renders one event.
func (r *renderer) AppendEvent(dst []byte, ev canon.Event) []byte {
	if r.ended {
		return dst
	}
	if ev.Usage != nil {
		r.usage.Merge(*ev.Usage)
	}
	if ev.Kind == canon.KindStart && ev.Verbatim && !r.started {
		r.verbatim = true
	}
	if r.verbatim {
		return r.copyFrame(dst, ev)
	}
	if ev.Choice > 0 { // there is one answer here
		return dst
	}
	switch ev.Kind {
	case canon.KindStart:
		return r.start(dst, ev.ID)
	case canon.KindPartStart:
		return r.partStart(r.start(dst, ""), ev)
	case canon.KindDelta:
		return r.partDelta(dst, ev)
	case canon.KindPartEnd:
		return r.partEnd(dst, ev)
	case canon.KindPing:
		return r.AppendPing(dst)
	case canon.KindFinish:
		return r.finish(dst, ev)
	}
	return dst
}

// event writes the framing around one event's data.
func event(dst []byte, name string, body func(w *writer)) []byte {
	dst = append(append(dst, "event: "...), name...)
	dst = append(dst, "\ndata: "...)
	at := len(dst)
	dst = append(dst, `{"type":"`...)
	dst = append(append(dst, name...), '"')
	w := writer{b: dst}
	body(&w)
	w.close('}')
	if bytes.ContainsAny(w.b[at:], "\r\n") { // raw members may span lines, frames may not
		w.b = append(w.b[:at], wire.Compact(w.b[at:])...)
	}
	return append(w.b, "\n\n"...)
}

func (r *renderer) start(dst []byte, id string) []byte {
	if r.started {
		return dst
	}
	r.started = true
	return event(dst, "message_start", func(w *writer) {
		w.begin("message", '{')
		w.head(messageID(r.req, id), r.req.ModelAsked)
		w.raw("content", jsontext.Value("[]"))
		w.raw("stop_reason", jsontext.Value("null"))
		w.raw("stop_sequence", jsontext.Value("null"))
		w.usage(&r.usage, nil)
		w.close('}')
	})
}

func (r *renderer) find(index int) *livePart {
	if r.cur != nil && r.cur.index == index {
		return r.cur
	}
	for _, p := range r.waiting {
		if p.index == index {
			return p
		}
	}
	return nil
}

func (r *renderer) partStart(dst []byte, ev canon.Event) []byte {
	if ev.Part == nil || r.find(ev.Index) != nil {
		return dst
	}
	p := &livePart{index: ev.Index, part: *ev.Part, summary: -1}
	if r.cur == nil {
		r.cur = p
		return r.begin(dst, p)
	}
	at := len(r.waiting)
	for at > 0 && r.waiting[at-1].index > p.index {
		at--
	}
	r.waiting = append(r.waiting, nil)
	copy(r.waiting[at+1:], r.waiting[at:])
	r.waiting[at] = p
	return dst
}

func (r *renderer) partDelta(dst []byte, ev canon.Event) []byte {
	p := r.find(ev.Index)
	if p == nil || p.ended || ev.Text == "" {
		return dst
	}
	if p == r.cur {
		return r.write(dst, p, ev.Delta, ev.Summary, ev.Text)
	}
	p.deltas = append(p.deltas, smallDelta{ev.Delta, ev.Summary, ev.Text})
	return dst
}

func (r *renderer) partEnd(dst []byte, ev canon.Event) []byte {
	p := r.find(ev.Index)
	if p == nil || p.ended {
		return dst
	}
	p.end, p.ended = ev.Part, true
	if p != r.cur {
		return dst
	}
	return r.advance(r.end(dst, p))
}

// advance writes the parts that waited, up to one that is still going on.
func (r *renderer) advance(dst []byte) []byte {
	r.cur = nil
	for len(r.waiting) > 0 {
		p := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.cur = p
		dst = r.begin(dst, p)
		for _, d := range p.deltas {
			dst = r.write(dst, p, d.kind, d.summary, d.text)
		}
		p.deltas = nil
		if !p.ended {
			return dst
		}
		dst = r.end(dst, p)
		r.cur = nil
	}
	return dst
}

// begin opens a part's block, if it is certain to have one: a text opens with its first words, because empty text is
// refused when it comes back.
func (r *renderer) begin(dst []byte, p *livePart) []byte {
	switch p.part.Type {
	case canon.PartReasoning:
		if !p.part.Redacted {
			return r.openThinking(dst, p)
		}
	case canon.PartToolCall:
		return r.openCall(dst, p)
	}
	return dst
}

func (r *renderer) openBlock(dst []byte, body func(w *writer)) []byte {
	dst = r.closeBlock(dst)
	r.open = true
	return event(dst, "content_block_start", func(w *writer) {
		w.int("index", int64(r.next))
		w.begin("content_block", '{')
		body(w)
		w.close('}')
	})
}

// closeBlock ends the open block, if there is one.
func (r *renderer) closeBlock(dst []byte) []byte {
	if !r.open {
		return dst
	}
	r.open, r.held = false, false
	dst = append(dst, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":"...)
	dst = strconv.AppendInt(dst, int64(r.next), 10)
	r.next++
	return append(dst, "}\n\n"...)
}

func (r *renderer) openThinking(dst []byte, p *livePart) []byte {
	p.begun = true
	return r.emptyThinking(dst)
}

func (r *renderer) emptyThinking(dst []byte) []byte {
	return r.openBlock(dst, func(w *writer) {
		w.str("type", typeThinking)
		w.str("thinking", "")
		w.str("signature", "")
	})
}

// openCall opens a tool's block. The signature of another family that belongs to the call goes into a thinking block
// before it: the one that has just ended, if it has none of its own, else an empty one.
func (r *renderer) openCall(dst []byte, p *livePart) []byte {
	if sig := carriedSignature(&p.part); sig != "" {
		if !r.held {
			dst = r.emptyThinking(dst)
		}
		dst = r.signature(dst, sig)
	}
	p.begun, r.calls = true, true
	id := callID(r.req, r.ids, p.part.CallID)
	return r.openBlock(dst, func(w *writer) {
		w.str("type", typeToolUse)
		w.str("id", id)
		w.str("name", wire.FlatName(p.part.Space, p.part.Name))
		w.raw("input", jsontext.Value("{}"))
		w.ext(p.part.Ext)
	})
}

// signature writes the signature of the open thinking block: whole, for SDKs replace and do not add.
func (r *renderer) signature(dst []byte, sig string) []byte {
	r.held = false
	return r.piece(dst, `signature_delta","signature":`, sig)
}

// piece writes a delta. head is the delta's type and the name of its member, as JSON.
func (r *renderer) piece(dst []byte, head, text string) []byte {
	dst = append(dst, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"...)
	dst = strconv.AppendInt(dst, int64(r.next), 10)
	dst = append(dst, `,"delta":{"type":"`...)
	dst = append(dst, head...)
	dst = wire.AppendString(dst, text)
	return append(dst, "}}\n\n"...)
}

// write writes a delta of the current part.
func (r *renderer) write(dst []byte, p *livePart, kind canon.DeltaKind, summary int, text string) []byte {
	switch p.part.Type {
	case canon.PartText, canon.PartRefusal:
		return r.writeText(dst, p, kind, text)
	case canon.PartReasoning:
		return r.writeThinking(dst, p, kind, summary, text)
	case canon.PartToolCall:
		return r.writeArgs(dst, p, kind, text)
	default:
		return dst
	}
}

func (r *renderer) writeText(dst []byte, p *livePart, kind canon.DeltaKind, text string) []byte {
	switch kind {
	case canon.DeltaText:
		dst = r.openText(dst, p)
		return r.piece(dst, `text_delta","text":`, text)
	case canon.DeltaCitation:
		v := jsontext.Value(text)
		if !ownCitations(jsontext.Value("["+text+"]")) || !v.IsValid(wire.Lenient) {
			return dst
		}
		dst = r.openText(dst, p)
		return event(dst, "content_block_delta", func(w *writer) {
			w.int("index", int64(r.next))
			w.begin("delta", '{')
			w.str("type", "citations_delta")
			w.raw("citation", wire.Compact(v))
			w.close('}')
		})
	default:
		return dst
	}
}

func (r *renderer) openText(dst []byte, p *livePart) []byte {
	if p.begun {
		return dst
	}
	p.begun = true
	return r.openBlock(dst, func(w *writer) {
		w.str("type", typeText)
		w.str("text", "")
	})
}

func (r *renderer) writeThinking(dst []byte, p *livePart, kind canon.DeltaKind, summary int, text string) []byte {
	switch {
	case kind == canon.DeltaSignature:
		p.sig = append(p.sig, text...)
		return dst
	case p.part.Redacted:
		return dst
	case kind == canon.DeltaSummary:
		if p.sums && summary != p.summary {
			dst = r.piece(dst, `thinking_delta","thinking":`, "\n\n")
		}
		p.sums, p.summary = true, summary
	case kind != canon.DeltaText:
		return dst
	}
	return r.piece(dst, `thinking_delta","thinking":`, text)
}

func (r *renderer) writeArgs(dst []byte, p *livePart, kind canon.DeltaKind, text string) []byte {
	switch {
	case p.part.Custom && kind == canon.DeltaText:
		quoted := wire.AppendString(nil, text)
		inner := string(quoted[1 : len(quoted)-1])
		if !p.args {
			inner = `{"input":"` + inner
		}
		p.args = true
		return r.piece(dst, `input_json_delta","partial_json":`, inner)
	case !p.part.Custom && kind == canon.DeltaArgs:
		p.args = true
		return r.piece(dst, `input_json_delta","partial_json":`, text)
	default:
		return dst
	}
}

// end writes what is left of the current part.
func (r *renderer) end(dst []byte, p *livePart) []byte {
	whole := p.part
	if p.end != nil && p.end.Type != 0 {
		whole = *p.end
	}
	switch p.part.Type {
	case canon.PartReasoning:
		return r.endThinking(dst, p, &whole)
	case canon.PartToolCall:
		return r.endCall(dst, p, &whole)
	case canon.PartText, canon.PartRefusal:
		if !p.begun && whole.Text != "" {
			dst = r.writeText(dst, p, canon.DeltaText, whole.Text)
		}
		if p.begun {
			dst = r.closeBlock(dst)
		}
	case canon.PartServer:
		if ownServer(&whole) {
			dst = r.server(dst, whole.Server)
		}
	default:
		dst = r.openText(dst, p)
		dst = r.closeBlock(r.piece(dst, `text_delta","text":`, omitted(&whole)))
	}
	return dst
}

func (r *renderer) endThinking(dst []byte, p *livePart, whole *canon.Part) []byte {
	o := whole.Opaque
	if (o == nil || o.Data == "") && len(p.sig) > 0 {
		o = &canon.Opaque{Kind: wire.OpaqueThink, Data: string(p.sig)}
		if p.part.Opaque != nil {
			o.Family = p.part.Opaque.Family
		}
	}
	sig := wire.ShowOpaque(o, wire.FamilyClaude)
	if p.part.Redacted {
		switch {
		case sig == "":
			return dst
		case ownOpaque(o):
			dst = r.openBlock(dst, func(w *writer) {
				w.str("type", typeRedacted)
				w.str("data", sig)
			})
			return r.closeBlock(dst)
		}
		dst = r.emptyThinking(dst)
	}
	if sig != "" {
		return r.closeBlock(r.signature(dst, sig))
	}
	r.held = true
	return dst
}

func (r *renderer) endCall(dst []byte, p *livePart, whole *canon.Part) []byte {
	switch {
	case p.part.Custom && p.args:
		dst = r.piece(dst, `input_json_delta","partial_json":`, `"}`)
	case p.part.Custom:
		dst = r.piece(dst, `input_json_delta","partial_json":`, string(callInput(whole)))
	case !p.args && len(whole.Args) > 0:
		dst = r.piece(dst, `input_json_delta","partial_json":`, string(wire.Compact(whole.ArgsObject())))
	}
	return r.closeBlock(dst)
}

// server writes a block of a tool that Anthropic runs: the call with its input as a delta, all others whole.
func (r *renderer) server(dst []byte, v jsontext.Value) []byte {
	o, err := canon.ParseObject(wire.Compact(v))
	if err != nil {
		return dst
	}
	block, input := o.Raw, o.Get("input")
	if blockType(v) == "server_tool_use" && len(input) > 0 {
		block = o.AppendEdited(nil, canon.Edit{Name: "input", Value: jsontext.Value("{}")})
	} else {
		input = nil
	}
	dst = r.closeBlock(dst)
	r.open = true
	dst = event(dst, "content_block_start", func(w *writer) {
		w.int("index", int64(r.next))
		w.raw("content_block", block)
	})
	if input != nil {
		dst = r.piece(dst, `input_json_delta","partial_json":`, string(input))
	}
	return r.closeBlock(dst)
}

// finish ends whatever is open and the message.
func (r *renderer) finish(dst []byte, ev canon.Event) []byte {
	dst = r.start(dst, "")
	for _, p := range r.waiting {
		p.ended = true
	}
	if r.cur != nil {
		r.cur.ended = true
		dst = r.advance(r.end(dst, r.cur))
	}
	dst = r.closeBlock(dst)
	dst = r.messageDelta(dst, ev)
	r.ended = true
	return append(dst, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"...)
}

func (r *renderer) messageDelta(dst []byte, ev canon.Event) []byte {
	return event(dst, "message_delta", func(w *writer) {
		w.begin("delta", '{')
		w.str("stop_reason", stopReason(ev.Finish.Reason, r.calls))
		w.stopSequence(ev.Finish)
		w.ext(ev.Ext, knownAnswer...)
		w.close('}')
		w.usage(&r.usage, usageExt(ev.Ext))
	})
}
