package responses

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// NewRenderer renders one streamed answer.
func (Codec) NewRenderer(req *canon.Request) wire.Renderer {
	return &renderer{req: req, usage: canon.UnknownUsage()}
}

// renderer writes the event stream. Items never overlap: of several open parts the lowest is written as it comes, the
// others wait in full.
type renderer struct {
	req      *canon.Request
	env      envelope
	seq      int64 // of the next event
	usage    canon.Usage
	hasUsage bool
	started  bool
	ended    bool // the terminal event is out
	output   []byte
	next     int // output_index of the next item
	lastID   string

	cur     *livePart
	waiting []*livePart // in order of their index
	// held is a reasoning item that has ended without a signature of its own: it may still get that of the call behind it.
	held *livePart

	verbatim bool
}

// livePart is a part that has begun, with its item.
type livePart struct {
	index  int
	part   canon.Part
	deltas []keptDelta // not written yet
	end    *canon.Part // how it ended, while it waits
	ended  bool
	cut    bool // by the end of the answer

	item    *liveItem
	at      int  // output_index
	begun   bool // its item is out
	inner   bool // the content or summary part is open
	summary int  // number of the summary being written
	notes   int  // annotations written
	sig     []byte
}

// keptDelta is what of a delta has to be kept.
type keptDelta struct {
	kind     canon.DeltaKind
	summary  int
	text     string
	logprobs jsontext.Value
}

// ContentType returns the type of an event stream.
func (*renderer) ContentType() string { return "text/event-stream; charset=utf-8" }

// AppendPing appends the comment that clients step over (seen with Codex CLI 0.169.0 and opencode 1.18.33).
func (r *renderer) AppendPing(dst []byte) []byte {
	if r.ended {
		return dst
	}
	return append(dst, ": ping\n\n"...)
}

// AppendError ends the answer with response.failed, which holds what came before.
func (r *renderer) AppendError(dst []byte, e *apierror.Error) []byte {
	if r.ended {
		return dst
	}
	dst = r.start(dst, canon.Event{})
	for _, p := range []*livePart{r.held, r.cur} {
		if p != nil && p.begun {
			p.item.status = statusIncomplete
			r.collect(p.item)
		}
	}
	return r.terminal(dst, "response.failed", ending{status: statusFailed, err: e})
}

// AppendEvent renders one event.
func (r *renderer) AppendEvent(dst []byte, ev canon.Event) []byte {
	if r.ended {
		return dst
	}
	if ev.Usage != nil {
		r.usage.Merge(*ev.Usage)
		r.hasUsage = true
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
		return r.start(dst, ev)
	case canon.KindPartStart:
		return r.partStart(r.start(dst, canon.Event{}), ev)
	case canon.KindDelta:
		return r.partDelta(dst, ev)
	case canon.KindPartEnd:
		return r.partEnd(dst, ev)
	case canon.KindFinish:
		return r.finish(dst, ev)
	}
	return dst
}

// event appends the head of an event, up to its own members.
func (r *renderer) event(dst []byte, name string) []byte {
	dst = append(append(dst, "event: "...), name...)
	dst = append(append(dst, "\ndata: {\"type\":\""...), name...)
	dst = strconv.AppendInt(append(dst, `","sequence_number":`...), r.seq, 10)
	r.seq++
	return dst
}

func (r *renderer) terminal(dst []byte, name string, e ending) []byte {
	if r.hasUsage {
		e.usage = &r.usage
	}
	dst = r.env.append(append(r.event(dst, name), `,"response":`...), e, r.output)
	r.ended = true
	return append(dst, "}\n\n"...)
}

func (r *renderer) start(dst []byte, ev canon.Event) []byte {
	if r.started {
		return dst
	}
	r.started = true
	r.env = newEnvelope(r.req, ev.ID, ev.Created)
	for _, name := range []string{"response.created", "response.in_progress"} {
		dst = r.env.append(append(r.event(dst, name), `,"response":`...), ending{status: statusRunning}, nil)
		dst = append(dst, "}\n\n"...)
	}
	return dst
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
	nameBack(r.req, &p.part)
	if r.cur == nil {
		r.cur = p
		return r.open(dst, p)
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
	if p == nil || p.ended || ev.Text == "" && len(ev.Logprobs) == 0 {
		return dst
	}
	if p == r.cur {
		return r.write(dst, p, ev.Delta, ev.Summary, ev.Text, ev.Logprobs)
	}
	p.deltas = append(p.deltas, keptDelta{ev.Delta, ev.Summary, ev.Text, append(jsontext.Value(nil), ev.Logprobs...)})
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
		dst = r.open(dst, p)
		for _, d := range p.deltas {
			dst = r.write(dst, p, d.kind, d.summary, d.text, d.logprobs)
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

// open begins the item of a part that is certain to have one. Texts and reasoning begin with their first words.
func (r *renderer) open(dst []byte, p *livePart) []byte {
	if p.part.Type != canon.PartToolCall {
		return dst
	}
	if sig := carriedSignature(r.req, &p.part); sig != "" {
		dst = r.carry(dst, sig)
	}
	if p.part.CallID == "" {
		p.part.CallID = r.req.NewID("call_", 24)
	}
	return r.begin(dst, p)
}

// carry gives the client a signature that has no field of its own: the reasoning item before it has, and one that is empty
// is made where there is none.
func (r *renderer) carry(dst []byte, sig string) []byte {
	if p := r.held; p != nil {
		p.item.sig = sig
		return r.release(dst)
	}
	p := &livePart{part: canon.Part{Type: canon.PartReasoning}, summary: -1}
	dst = r.begin(dst, p)
	p.item.sig = sig
	return r.done(dst, p)
}

// release ends the reasoning item that was held.
func (r *renderer) release(dst []byte) []byte {
	p := r.held
	if p == nil {
		return dst
	}
	r.held = nil
	return r.done(dst, p)
}

// begin appends response.output_item.added.
func (r *renderer) begin(dst []byte, p *livePart) []byte {
	dst = r.release(dst)
	p.begun = true
	p.item = r.newItem(kindOf(r.req, &p.part), p.part)
	p.at = r.next
	r.next++
	dst = append(r.at(r.event(dst, "response.output_item.added"), p, false), `,"item":`...)
	return append(p.item.append(dst, true), "}\n\n"...)
}

// done appends response.output_item.done and keeps the item for the whole response.
func (r *renderer) done(dst []byte, p *livePart) []byte {
	p.item.status = statusCompleted
	if p.cut {
		p.item.status = statusIncomplete
	}
	dst = append(r.at(r.event(dst, "response.output_item.done"), p, false), `,"item":`...)
	at := len(r.output)
	r.collect(p.item)
	item := r.output[at:]
	if at > 0 {
		item = item[1:]
	}
	return append(append(dst, item...), "}\n\n"...)
}

func (r *renderer) collect(it *liveItem) {
	if len(r.output) > 0 {
		r.output = append(r.output, ',')
	}
	r.output = it.append(r.output, false)
}

// at appends the place of an event: the output_index, and the id of the item where it is wanted.
func (r *renderer) at(dst []byte, p *livePart, id bool) []byte {
	if id {
		dst = append(append(append(dst, `,"item_id":"`...), p.item.id...), '"')
	}
	return strconv.AppendInt(append(dst, `,"output_index":`...), int64(p.at), 10)
}

// finish ends whatever is open and the response.
func (r *renderer) finish(dst []byte, ev canon.Event) []byte {
	dst = r.start(dst, canon.Event{})
	out := resultOf(ev.Finish)
	cut := out.status == statusIncomplete
	for _, p := range r.waiting {
		p.cut = cut && !p.ended
		p.ended = true
	}
	if r.cur != nil {
		r.cur.ended, r.cur.cut = true, cut
		dst = r.advance(r.end(dst, r.cur))
	}
	dst = r.release(dst)
	name := "response.completed"
	if out.status == statusIncomplete {
		name = "response.incomplete"
	}
	if !r.hasUsage { // clients count on it
		r.hasUsage = true
	}
	return r.terminal(dst, name, ending{status: out.status, incomplete: out.incomplete})
}
