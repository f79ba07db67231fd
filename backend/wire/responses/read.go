package responses

import (
	"bytes"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// Read reads an answer of either form. It never closes r.
func (x *Exchange) Read(_ string, r io.Reader) canon.Stream {
	return wire.ReadEither(r, x.ReadStream, x.ReadWhole)
}

// ReadStream reads an event stream. It never closes r. A stream without an end of its own ends with a Truncated error.
func (x *Exchange) ReadStream(r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		s := newReader(x, yield)
		for f, err := range wire.Frames(r) {
			if err != nil {
				s.fail(wire.ReadError(err))
				return
			}
			if !s.frame(f) {
				return
			}
		}
		s.fail(apierror.New(apierror.Truncated, "the service closed the stream early; try again"))
	}
}

// reader is the state of one stream.
type reader struct {
	x     *Exchange
	yield func(canon.Event, error) bool

	held    canon.Event // the last event, until it is known whether more come
	holding bool
	stopped bool // nothing may be yielded any more

	raw     []byte // the frame, until its first event takes it
	rawName string

	started  bool
	finished bool // the answer has ended
	items    []*readItem
	index    int // of the next part
	calls    bool
	usage    canon.Usage
	hasUsage bool
}

// readItem is an item of the output.
type readItem struct {
	parts []*readPart // of a message by content_index; other items have one at most
	id    string
	ext   map[string]jsontext.Value
	done  bool
	raw   []byte // the whole item, to put the output together where the last event leaves it out
}

// newReader puts the state on the heap: it would make the stack of every open stream larger.
//
//go:noinline
func newReader(x *Exchange, yield func(canon.Event, error) bool) *reader {
	return &reader{x: x, yield: yield, usage: canon.UnknownUsage()}
}

// emit yields ev once it is known what follows.
func (s *reader) emit(ev canon.Event) {
	if s.raw != nil {
		ev.Raw, ev.RawName, s.raw = s.raw, s.rawName, nil
	}
	s.release(true)
	s.held, s.holding = ev, true
}

// release yields the event that is held. It reports false when nothing may follow.
func (s *reader) release(more bool) bool {
	if s.stopped || !s.holding {
		return !s.stopped
	}
	s.holding = false
	s.held.More = more
	if !s.yield(s.held, nil) {
		s.stopped = true
	}
	return !s.stopped
}

// fail ends the stream with an error.
func (s *reader) fail(err *apierror.Error) {
	if s.release(false) {
		s.stopped = true
		s.yield(canon.Event{}, err)
	}
	s.stopped = true
}

// frame reads one event of the stream. It reports false when the stream is over.
func (s *reader) frame(f wire.Frame) bool {
	data := bytes.TrimSpace(f.Data)
	s.raw = nil
	if s.x.verbatim {
		s.raw, s.rawName = data, f.Name
	}
	if err := s.event(f.Name, data); err != nil {
		s.fail(err)
		return false
	}
	if s.finished {
		s.release(false)
		s.stopped = true
		return false
	}
	if !s.holding && !s.stopped { // the event meant nothing to others
		s.emit(canon.Event{Kind: canon.KindFrame})
	}
	return s.release(f.More)
}

// members of an event, where they lie.
type members struct {
	kind                                    string
	item, part, response, delta, text, args []byte
	input, refusal, annotation, logprobs    []byte
	outputIndex, contentIndex, summaryIndex int
	failed                                  bool
	damaged                                 bool
}

func readMembers(name string, data []byte) members {
	m := members{kind: name}
	at := func(v []byte) int { return int(min(max(oai.Number(v), 0), maxIndex)) }
	c := oai.WalkObject(data)
	for c.Next() {
		switch string(c.Name) {
		case "type":
			if !quotes(c.Value, name) {
				m.kind = oai.Text(c.Value)
			}
		case "output_index":
			m.outputIndex = at(c.Value)
		case "content_index":
			m.contentIndex = at(c.Value)
		case "summary_index":
			m.summaryIndex = at(c.Value)
		case "item":
			m.item = c.Value
		case "part":
			m.part = c.Value
		case "response":
			m.response = c.Value
		case "delta":
			m.delta = c.Value
		case "text":
			m.text = c.Value
		case "arguments":
			m.args = c.Value
		case "input":
			m.input = c.Value
		case "refusal":
			m.refusal = c.Value
		case "annotation":
			m.annotation = c.Value
		case "logprobs":
			m.logprobs = c.Value
		case "error":
			m.failed = !oai.IsNull(c.Value)
		}
	}
	m.damaged = c.Bad
	return m
}

// maxIndex bounds the indexes that a service may use.
const maxIndex = 4095

// quotes reports whether v is the JSON string of s.
func quotes(v []byte, s string) bool {
	return len(v) == len(s)+2 && string(v[1:len(v)-1]) == s
}

// event reads what one event says.
func (s *reader) event(name string, data []byte) *apierror.Error {
	m := readMembers(name, data)
	switch {
	case m.damaged && bytes.Equal(data, []byte("[DONE]")): // some gateways send Chat's end as well
		s.raw = nil
		return nil
	case m.damaged && len(data) > 0 && data[0] == '{':
		return apierror.New(apierror.Upstream5xx, "the service sent damaged JSON in its stream; try again")
	case m.damaged:
		s.raw = nil
		return nil
	case m.kind == "error", m.failed && !strings.HasPrefix(m.kind, "response."):
		return oai.InsideError(data)
	case !strings.HasPrefix(m.kind, "response.") || m.kind == "response.metadata":
		s.raw = nil // bookkeeping between the service and its own program
		return nil
	}
	switch m.kind {
	case "response.failed", "response.cancelled":
		return failure(m.response, data)
	case "response.completed", "response.done", "response.incomplete":
		return s.end(&m, data)
	}
	if !s.started {
		s.start(m.response)
	}
	s.content(&m)
	return nil
}

// failure reads the error of a response.
func failure(response, data []byte) *apierror.Error {
	e := oai.Member(response, "error")
	if oai.IsNull(e) {
		return apierror.New(apierror.Upstream5xx, "the service failed during the answer; try again")
	}
	return oai.InsideError(append(append([]byte(`{"error":`), e...), '}'))
}

func (s *reader) start(response []byte) {
	s.started = true
	s.emit(canon.Event{
		Kind: canon.KindStart, ID: oai.Text(oai.Member(response, "id")), Model: oai.Text(oai.Member(response, "model")),
		Created: max(oai.Number(oai.Member(response, "created_at")), 0), Dropped: s.x.Dropped, Verbatim: s.x.verbatim,
	})
}

// content reads an event that adds to an item.
func (s *reader) content(m *members) {
	switch m.kind {
	case "response.output_item.added":
		s.added(m.outputIndex, m.item)
	case "response.output_item.done":
		s.itemDone(m.outputIndex, m.item)
	case "response.content_part.added":
		s.contentPart(m.outputIndex, m.contentIndex, m.part)
	case "response.content_part.done":
		s.partDone(m.outputIndex, m.contentIndex, m.part)
	case "response.output_text.delta":
		p := s.part(m.outputIndex, m.contentIndex, canon.Part{Type: canon.PartText})
		s.text(p, oai.Text(m.delta), entriesOf(m.logprobs))
	case "response.refusal.delta":
		s.text(s.part(m.outputIndex, m.contentIndex, canon.Part{Type: canon.PartRefusal}), oai.Text(m.delta), nil)
	case "response.output_text.done":
		s.rest(s.part(m.outputIndex, m.contentIndex, canon.Part{Type: canon.PartText}), oai.Text(m.text))
	case "response.refusal.done":
		s.rest(s.part(m.outputIndex, m.contentIndex, canon.Part{Type: canon.PartRefusal}), oai.Text(m.refusal))
	case "response.output_text.annotation.added":
		p := s.part(m.outputIndex, m.contentIndex, canon.Part{Type: canon.PartText})
		s.cite(p, m.annotation)
	case "response.reasoning_summary_text.delta":
		s.summary(s.thought(m.outputIndex, nil), m.summaryIndex, oai.Text(m.delta))
	case "response.reasoning_summary_text.done":
		if p := s.thought(m.outputIndex, nil); p.summaryLen(m.summaryIndex) == 0 {
			s.summary(p, m.summaryIndex, oai.Text(m.text))
		}
	case "response.reasoning_text.delta", "response.reasoning.delta":
		p := s.thought(m.outputIndex, nil)
		p.part.RawText = true
		s.text(p, oai.Text(m.delta), nil)
	case "response.reasoning_text.done", "response.reasoning.done":
		p := s.thought(m.outputIndex, nil)
		p.part.RawText = true
		s.rest(p, oai.Text(m.text))
	case "response.function_call_arguments.delta":
		s.args(s.at(m.outputIndex, 0), oai.Text(m.delta))
	case "response.function_call_arguments.done": // the whole once more: it counts only if nothing came before
		if p := s.at(m.outputIndex, 0); p != nil && p.args.Len() == 0 {
			s.args(p, oai.Text(m.args))
		}
	case "response.custom_tool_call_input.delta":
		s.input(s.at(m.outputIndex, 0), oai.Text(m.delta))
	case "response.custom_tool_call_input.done":
		if p := s.at(m.outputIndex, 0); p != nil && p.buf.Len() == 0 {
			s.input(p, oai.Text(m.input))
		}
	}
}

// entriesOf returns log probabilities in Chat's shape, which is the same.
func entriesOf(v []byte) jsontext.Value {
	if len(v) < 3 || v[0] != '[' || !oai.Valid(v) {
		return nil
	}
	return v
}

// end finishes the answer at its last event.
func (s *reader) end(m *members, data []byte) *apierror.Error {
	if e := oai.Member(m.response, "error"); !oai.IsNull(e) {
		return failure(m.response, data)
	}
	if !s.started {
		raw := s.raw
		s.raw = nil // the frame belongs to the end
		s.start(m.response)
		s.raw = raw
	}
	output := oai.Member(m.response, "output")
	raw := s.raw
	s.raw = nil
	list := oai.WalkArray(output)
	n := 0
	for ; list.Next(); n++ { // what was never streamed
		if n > maxIndex {
			break
		}
		if n >= len(s.items) || s.items[n] == nil || !s.items[n].done {
			s.itemDone(n, list.Value)
		}
	}
	s.closeAll()
	if u, ok := oai.ParseUsage(oai.Member(m.response, "usage")); ok {
		s.usage.Merge(u)
		s.hasUsage = true
	}
	ev := canon.Event{Kind: canon.KindFinish, Finish: s.finish(m.kind, m.response)}
	if s.hasUsage {
		u := s.usage
		ev.Usage = &u
	}
	if raw != nil {
		if n == 0 {
			raw = s.withOutput(raw)
		}
		if m.kind == "response.done" { // only some services call it so
			raw = renamed(raw, "response.completed")
			s.rawName = "response.completed"
		}
		if !s.x.req.Stream {
			at, end := memberAt(raw, "response")
			if at >= 0 && oai.Valid(raw[at:end]) {
				ev.Whole = bytes.Clone(raw[at:end])
			}
		}
		s.raw = raw
	}
	s.emit(ev)
	s.finished = true
	return nil
}

func renamed(raw []byte, kind string) []byte {
	at, end := memberAt(raw, "type")
	if at < 0 {
		return raw
	}
	out := append([]byte(nil), raw[:at]...)
	return append(wire.AppendString(out, kind), raw[end:]...)
}

// withOutput puts the items that were streamed into a last event that leaves them out: clients that look at nothing else
// would see an empty answer (seen with ChatGPT's Codex service; router-for-me/CLIProxyAPI 2610).
func (s *reader) withOutput(raw []byte) []byte {
	at, end := memberAt(raw, "response")
	if at < 0 {
		return raw
	}
	o, err := canon.ParseObject(raw[at:end])
	if err != nil {
		return raw
	}
	list := jsontext.Value{'['}
	for _, it := range s.items {
		if it != nil && len(it.raw) > 0 {
			if len(list) > 1 {
				list = append(list, ',')
			}
			list = append(list, it.raw...)
		}
	}
	if len(list) == 1 {
		return raw
	}
	out := append(make([]byte, 0, len(raw)+len(list)), raw[:at]...)
	out = o.AppendEdited(out, canon.Edit{Name: "output", Value: append(list, ']')})
	return append(out, raw[end:]...)
}

// finish reads why the answer ended. Calls decide, not words, except that a cut at the limit stays one.
func (s *reader) finish(kind string, response []byte) canon.Finish {
	status := oai.Text(oai.Member(response, "status"))
	if status == "" || status == statusRunning {
		status = strings.TrimPrefix(kind, "response.")
	}
	reason := oai.Text(oai.Member(oai.Member(response, "incomplete_details"), "reason"))
	f := canon.Finish{Raw: status, Reason: canon.FinishStop}
	switch {
	case status == statusIncomplete && reason == "content_filter":
		f.Raw, f.Reason = reason, canon.FinishFilter
	case status == statusIncomplete:
		f.Reason = canon.FinishLength
		if reason != "" {
			f.Raw = reason
		}
	case s.calls:
		f.Reason = canon.FinishTools
	}
	return f
}
