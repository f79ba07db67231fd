package kiro

import (
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// reader turns the frames of one answer into events.
type reader struct {
	x     *exchange
	yield func(canon.Event, error) bool
	queue []canon.Event

	started, stopped bool
	sent             bool // a part went out: nothing can be repeated any more
	visible          bool // text that is no white space, or a call
	thought          bool
	index            int
	open             int // index of the open part, -1 for none
	typ              canon.PartType
	text             strings.Builder
	parts            []canon.Part // for the estimate of the usage

	split *splitter // nil: no tags were asked for
	leaks *leaks    // nil: the request has no tools
	stops stopper

	call   *openCall
	ended  map[string]bool // calls that are over, by id
	called map[string]bool // calls that went out, by name and arguments
	calls  int
	broken bool // a call was cut off

	reason  string // of the end, as the service says
	percent float64
	counted *tokenUsage
	tooLong bool // the answer ran into the service's limit of length
	credits float64
	events  int
}

// openCall is a call whose arguments are coming.
type openCall struct {
	id, name string
	args     strings.Builder
}

// read reads an answer. It never closes r.
func (x *exchange) read(contentType string, r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		s := &reader{x: x, yield: yield, open: -1, ended: map[string]bool{}, called: map[string]bool{}, stops: stopper{words: x.req.Stop}}
		if x.tags {
			s.split = &splitter{}
		}
		if x.leaks {
			s.leaks = &leaks{known: func(n string) bool { _, ok := x.tools[n]; return ok }}
		}
		if strings.HasPrefix(contentType, "text/html") {
			s.fail(apierror.New(apierror.Upstream5xx, "the service answered with a web page; a filter or login page of the network may stand in between"))
			return
		}
		f := frames{r: r}
		for !s.stopped {
			fr, err := f.next()
			switch {
			case err == io.EOF:
				s.finish()
			case err != nil:
				s.fail(apierror.From(err))
			default:
				s.frame(&fr)
			}
		}
	}
}

func (s *reader) fail(e *apierror.Error) {
	if !s.stopped {
		s.queue = s.queue[:0]
		s.stopped = true
		s.yield(canon.Event{}, e)
	}
}

func (s *reader) emit(ev canon.Event) { s.queue = append(s.queue, ev) }

// flush yields what a frame brought, or a sign of life.
func (s *reader) flush() {
	if len(s.queue) == 0 && !s.stopped {
		s.emit(canon.Event{Kind: canon.KindPing})
	}
	for i, ev := range s.queue {
		ev.More = i < len(s.queue)-1
		if !s.yield(ev, nil) {
			s.stopped = true
			break
		}
	}
	clear(s.queue)
	s.queue = s.queue[:0]
}

// frame reads one frame.
func (s *reader) frame(f *frame) {
	switch f.messageType {
	case "event":
	case "exception":
		s.exception(exceptionName(f.exception), exceptionError(f.exception, f.payload))
		return
	case "error":
		payload := f.payload
		if f.message != "" {
			payload = append(wire.AppendString([]byte(`{"message":`), f.message), '}')
		}
		s.exception(exceptionName(f.code), exceptionError(f.code, payload))
		return
	default:
		s.fail(damaged("a frame is of a type that nobody knows"))
		return
	}
	s.events++
	if !s.started {
		s.started = true
		s.emit(canon.Event{Kind: canon.KindStart, Model: s.x.model.id, Dropped: s.x.dropped})
	}
	if e := s.event(f.event, f.payload); e != nil {
		s.exception("", e)
		return
	}
	s.flush()
}

// exception ends the answer with an error, unless it only says that the answer became too long.
func (s *reader) exception(name string, e *apierror.Error) {
	if name == "contentlengthexceeded" && s.sent {
		s.tooLong = true
		s.finish()
		return
	}
	s.fail(e)
}

// payload is what the events hold, all in one.
type payload struct {
	Content    string         `json:"content"`
	ToolUseID  string         `json:"toolUseId"`
	Name       string         `json:"name"`
	Input      jsontext.Value `json:"input"`
	Stop       bool           `json:"stop"`
	Text       string         `json:"text"`
	Signature  string         `json:"signature"`
	Redacted   string         `json:"redactedContent"`
	StopReason string         `json:"stopReason"`
	Usage      jsontext.Value `json:"usage"`
	Tokens     *tokenUsage    `json:"tokenUsage"`
	Percent    float64        `json:"contextUsagePercentage"`
	Type       string         `json:"_type"`
	Error      jsontext.Value `json:"error"`
	Message    string         `json:"message"`
	Reason     string         `json:"reason"`
}

type tokenUsage struct {
	Uncached int64 `json:"uncachedInputTokens"`
	Output   int64 `json:"outputTokens"`
	Read     int64 `json:"cacheReadInputTokens"`
	Write    int64 `json:"cacheWriteInputTokens"`
}

// event reads one event. Events that mean nothing to a client are passed over.
func (s *reader) event(kind string, body []byte) *apierror.Error {
	switch kind {
	case "assistantResponseEvent", "codeEvent", "toolUseEvent", "reasoningContentEvent", "metadataEvent", "contextUsageEvent", "meteringEvent", "invalidStateEvent":
	default:
		return nil
	}
	var p payload
	if err := wire.ReadValue(unwrapped(body, kind), "", &p); err != nil {
		e := damaged("an event is no valid JSON")
		e.Err = err
		return e
	}
	if p.Type != "" || p.Error.Kind() == '"' || p.Error.Kind() == '{' {
		return exceptionError(p.Type, body)
	}
	switch kind {
	case "assistantResponseEvent", "codeEvent":
		s.said(p.Content)
	case "toolUseEvent":
		return s.toolUse(&p)
	case "reasoningContentEvent":
		s.reasoned(&p)
	case "metadataEvent":
		if p.StopReason != "" {
			s.reason = p.StopReason
		}
		if p.Tokens != nil {
			s.counted = p.Tokens
		}
		s.percent = max(s.percent, p.Percent)
	case "contextUsageEvent":
		s.percent = max(s.percent, p.Percent)
	case "meteringEvent":
		var n float64
		if wire.ReadValue(p.Usage, "", &n) == nil {
			s.credits += n
		}
	case "invalidStateEvent":
		return apierror.New(apierror.Upstream5xx, "the service is in a state that it cannot answer from (%s %s); try again", p.Reason, p.Message)
	}
	return nil
}

// unwrapped takes off the second wrapping that some builds put around an event.
func unwrapped(body []byte, kind string) []byte {
	if o, err := canon.ParseObject(body); err == nil && len(o.Members) == 1 && o.Members[0].Name == kind {
		if v := o.Get(kind); v.Kind() == '{' {
			return v
		}
	}
	return body
}

// said takes a piece of the answer's text.
func (s *reader) said(text string) {
	if s.split == nil {
		s.words(text)
		return
	}
	s.pieces(s.split.feed(text))
}

func (s *reader) pieces(list []piece) {
	for _, p := range list {
		if p.thought {
			s.thought = true
			s.piece(canon.PartReasoning, p.text)
		} else {
			s.words(p.text)
		}
	}
}

// words takes text of which the thoughts were taken out.
func (s *reader) words(text string) {
	if s.leaks == nil {
		s.visibleText(text)
		return
	}
	s.leaked(s.leaks.feed(text))
}

func (s *reader) leaked(list []leak) {
	for _, l := range list {
		if l.name == "" {
			s.visibleText(l.text)
			continue
		}
		if !s.called[callKey(l.name, l.args)] {
			s.whole(s.x.req.NewID("call_", 8), l.name, l.args)
		}
	}
}

// visibleText is what a client sees, up to a stop sequence.
func (s *reader) visibleText(text string) {
	out, hit := s.stops.feed(text)
	s.visible = s.visible || strings.TrimSpace(out) != ""
	s.piece(canon.PartText, out)
	if hit {
		s.finish()
	}
}

// boundary gives out what was held back, because something else than text comes, or the end.
func (s *reader) boundary() {
	if s.split != nil {
		s.pieces(s.split.boundary())
	}
	if s.leaks != nil {
		s.leaked(s.leaks.boundary())
	}
	if rest := s.stops.rest(); rest != "" {
		s.visible = s.visible || strings.TrimSpace(rest) != ""
		s.piece(canon.PartText, rest)
	}
}

// reasoned takes thinking that the service itself marks as such.
func (s *reader) reasoned(p *payload) {
	s.boundary()
	if s.stopped {
		return
	}
	s.thought = true
	s.piece(canon.PartReasoning, p.Text)
	if p.Signature != "" {
		s.sign(p.Signature)
	}
	if p.Redacted != "" {
		s.close()
		part := canon.Part{Type: canon.PartReasoning, Redacted: true, Opaque: s.opaque(p.Redacted)}
		s.solid(part, canon.DeltaSignature, p.Redacted)
	}
}

func (s *reader) opaque(data string) *canon.Opaque {
	return &canon.Opaque{Family: familyOf(s.x.model.id), Kind: wire.OpaqueThink, Data: data}
}

// sign ends the open thought with its signature; a signature alone stands for a thought without a text.
func (s *reader) sign(signature string) {
	if s.open < 0 || s.typ != canon.PartReasoning {
		s.close()
		s.begin(canon.PartReasoning)
	}
	s.emit(canon.Event{Kind: canon.KindDelta, Index: s.open, Delta: canon.DeltaSignature, Text: signature})
	s.end(s.opaque(signature))
}

// piece emits a bit of text or thinking.
func (s *reader) piece(typ canon.PartType, text string) {
	if text == "" || s.stopped {
		return
	}
	if s.open >= 0 && s.typ != typ {
		s.close()
	}
	if s.open < 0 {
		s.begin(typ)
	}
	s.text.WriteString(text)
	if !s.held() {
		s.emit(canon.Event{Kind: canon.KindDelta, Index: s.open, Delta: canon.DeltaText, Text: text})
	}
}

// held reports whether the open part goes out only when it is whole: text that must be JSON may stand in a fence.
func (s *reader) held() bool { return s.x.standIn && s.typ == canon.PartText }

func (s *reader) begin(typ canon.PartType) {
	s.open, s.typ = s.index, typ
	s.index++
	s.sent = true
	s.emit(canon.Event{Kind: canon.KindPartStart, Index: s.open, Part: s.skeleton()})
}

func (s *reader) skeleton() *canon.Part { return &canon.Part{Type: s.typ} }

func (s *reader) close() { s.end(nil) }

func (s *reader) end(o *canon.Opaque) {
	if s.open < 0 {
		return
	}
	p := s.skeleton()
	p.Text, p.Opaque = s.text.String(), o
	if s.held() {
		p.Text = unfenced(p.Text)
		s.emit(canon.Event{Kind: canon.KindDelta, Index: s.open, Delta: canon.DeltaText, Text: p.Text})
	}
	s.emit(canon.Event{Kind: canon.KindPartEnd, Index: s.open, Part: p})
	s.parts = append(s.parts, *p)
	s.open = -1
	s.text = strings.Builder{}
}

// unfenced takes a fence of Markdown off an answer that must be JSON.
func unfenced(s string) string {
	t := strings.TrimSpace(s)
	if !strings.HasPrefix(t, "```") || !strings.HasSuffix(t, "```") || len(t) < 6 {
		return s
	}
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(t[3:], "```"), "json"))
}

// solid emits a part that came whole.
func (s *reader) solid(p canon.Part, delta canon.DeltaKind, text string) {
	s.close()
	at := s.index
	s.index++
	s.sent = true
	skeleton := p
	skeleton.Args, skeleton.Text = nil, ""
	if p.Opaque != nil {
		skeleton.Opaque = &canon.Opaque{Family: p.Opaque.Family, Kind: p.Opaque.Kind}
	}
	s.emit(canon.Event{Kind: canon.KindPartStart, Index: at, Part: &skeleton})
	s.emit(canon.Event{Kind: canon.KindDelta, Index: at, Delta: delta, Text: text})
	s.emit(canon.Event{Kind: canon.KindPartEnd, Index: at, Part: &p})
	s.parts = append(s.parts, p)
}

// toolUse takes a piece of a call. A call goes out only when it is whole and valid.
func (s *reader) toolUse(p *payload) *apierror.Error {
	if p.ToolUseID != "" && s.ended[p.ToolUseID] {
		return nil // a call that is over is repeated
	}
	if s.call != nil && p.ToolUseID != "" && p.ToolUseID != s.call.id {
		s.endCall() // a new one closes the former
	}
	if s.call == nil {
		s.boundary()
		if s.stopped {
			return nil
		}
		s.call = &openCall{id: p.ToolUseID}
		if s.call.id == "" {
			s.call.id = s.x.req.NewID("call_", 24)
		}
	}
	if p.Name != "" {
		s.call.name = p.Name
	}
	switch p.Input.Kind() {
	case '"':
		s.call.args.WriteString(oai.Text(p.Input))
	case '{': // the whole of it, growing with every event
		s.call.args.Reset()
		s.call.args.Write(p.Input)
	}
	if s.call.args.Len() > maxCall {
		return apierror.New(apierror.Upstream5xx, "the service sent a call with more than %d MiB of arguments", maxCall>>20)
	}
	if p.Stop {
		s.endCall()
	}
	return nil
}

// endCall emits the open call if it is good. One that was cut off is never mended: half a file written is worse than an error.
func (s *reader) endCall() {
	c := s.call
	s.call = nil
	s.ended[c.id] = true
	args := strings.TrimSpace(c.args.String())
	if args == "" {
		args = "{}"
	}
	v := jsontext.Value(args)
	if c.name == "" || v.Kind() != '{' || !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		s.cutCall(c.name)
		return
	}
	s.whole(c.id, c.name, v)
}

// whole emits a call.
func (s *reader) whole(id, name string, args jsontext.Value) {
	if s.stopped {
		return
	}
	s.calls++
	s.visible = true
	s.called[callKey(name, args)] = true
	t, known := s.x.tools[name]
	if !known {
		t = tool{name: s.x.names.Back(name)}
	}
	p := canon.Part{Type: canon.PartToolCall, CallID: id, Name: t.name, Space: t.space}
	if t.custom {
		p.Custom, p.Text = true, oai.CustomInput(string(args))
		s.solid(p, canon.DeltaText, p.Text)
		return
	}
	p.SetArgs(string(args))
	s.solid(p, canon.DeltaArgs, string(p.Args))
}

func callKey(name string, args jsontext.Value) string {
	v := args.Clone()
	if v.Canonicalize() != nil {
		v = args
	}
	return name + "\x00" + string(v)
}

// cutCall notes a call that was cut off, and tells the model about it in the answer's own text.
func (s *reader) cutCall(name string) {
	if name == "" {
		name = "a tool"
	}
	if !s.sent {
		s.fail(apierror.New(apierror.Truncated, "the service cut the model's call of %s off; try again", name))
		return
	}
	s.broken = true
	s.piece(canon.PartText, "[The model's call to "+name+" was cut off by the Kiro service and was not executed. Write large content in several smaller calls.]")
}
