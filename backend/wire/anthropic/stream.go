package anthropic

import (
	"bytes"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// ReadStream reads an event stream. It never closes r. A stream that ends without message_stop or error ends with a
// Truncated error.
func (x *Exchange) ReadStream(r io.Reader) canon.Stream {
	return x.shape(func(yield func(canon.Event, error) bool) {
		newStreamReader(x, yield).run(r)
	})
}

// frameJSON is any event of the stream.
type frameJSON struct {
	Type    string         `json:"type"`
	Index   int            `json:"index"`
	Message jsontext.Value `json:"message"`
	Block   jsontext.Value `json:"content_block"`
	Delta   deltaJSON      `json:"delta"`
	Usage   jsontext.Value `json:"usage"`
	Error   jsontext.Value `json:"error"`
}

type deltaJSON struct {
	Type         string                    `json:"type"`
	Text         string                    `json:"text"`
	Thinking     string                    `json:"thinking"`
	PartialJSON  string                    `json:"partial_json"`
	Signature    string                    `json:"signature"`
	Citation     jsontext.Value            `json:"citation"`
	StopReason   string                    `json:"stop_reason"`
	StopSequence string                    `json:"stop_sequence"`
	Ext          map[string]jsontext.Value `json:",embed"`
}

// streamReader turns frames into events. Events of a frame are held back by one, so that each knows whether another one
// follows.
type streamReader struct {
	x     *Exchange
	yield func(canon.Event, error) bool

	blocks  []*liveBlock
	counts  counter
	finish  canon.Finish
	ext     map[string]jsontext.Value
	started bool
	calls   bool // a tool was called
	done    bool

	held    canon.Event
	holding bool
	raw     []byte // of the frame, until an event has taken it
	rawName string
}

// newStreamReader puts the state on the heap: it would make the stack of every open stream a page larger.
//
//go:noinline
func newStreamReader(x *Exchange, yield func(canon.Event, error) bool) *streamReader {
	return &streamReader{x: x, yield: yield, counts: newCounter()}
}

// liveBlock is a content block that has begun.
type liveBlock struct {
	wireIndex, index int
	part             canon.Part
	raw              jsontext.Value // of a block that is kept whole
	text, args, sig  []byte
	cites            []byte
	input            *inputScanner // of a custom tool
	ended            bool
}

func (s *streamReader) run(r io.Reader) {
	for f, err := range wire.Frames(r) {
		if err != nil {
			s.yield(canon.Event{}, readFailure(err))
			return
		}
		if s.x.verbatim {
			s.raw, s.rawName = f.Data, f.Name
		}
		if e := s.frame(f); e != nil {
			s.yield(canon.Event{}, e)
			return
		}
		if !s.flush(f.More && !s.done) || s.done {
			return
		}
	}
	s.yield(canon.Event{}, apierror.New(apierror.Truncated, "the service closed the stream before its end"))
}

// emit takes an event of the current frame. It returns nothing: a consumer that has gone is noticed by flush.
func (s *streamReader) emit(ev canon.Event) {
	if s.holding {
		s.held.More = true
		if !s.yield(s.held, nil) {
			s.done, s.yield = true, func(canon.Event, error) bool { return false }
		}
	}
	if s.raw != nil {
		ev.Raw, ev.RawName, s.raw = s.raw, s.rawName, nil
	}
	s.held, s.holding = ev, true
}

// flush ends a frame. It reports whether the consumer wants more.
func (s *streamReader) flush(more bool) bool {
	if !s.holding { // every frame gives an event
		s.emit(canon.Event{Kind: canon.KindFrame})
	}
	s.held.More = more
	s.holding = false
	return s.yield(s.held, nil)
}

func (s *streamReader) frame(f wire.Frame) *apierror.Error {
	if index, kind, text, ok := fastDelta(f.Data); ok && s.started {
		s.delta(index, kind, text)
		return nil
	}
	data := bytes.TrimSpace(f.Data)
	if len(data) == 0 || string(data) == "[DONE]" {
		return nil
	}
	var m frameJSON
	if err := json.Unmarshal(data, &m, wire.Lenient); err != nil {
		return &apierror.Error{Kind: apierror.Upstream5xx, Msg: "the service sent an event that cannot be read", Err: err}
	}
	if m.Type == "error" || f.Name == "error" || notNull(m.Error) != nil {
		return ParseError(200, nil, data)
	}
	s.event(&m)
	return nil
}

func (s *streamReader) event(m *frameJSON) {
	switch m.Type {
	case "message_start":
		s.start(m.Message)
	case "ping":
		s.emit(canon.Event{Kind: canon.KindPing})
	case "content_block_start":
		s.begin(m.Index, m.Block)
	case "content_block_delta":
		s.blockDelta(m)
	case "content_block_stop":
		s.end(s.block(m.Index))
	case "message_delta":
		s.messageDelta(m)
	case "message_stop":
		s.stop()
	}
}

// start reads message_start. A stream without one gets an empty one.
func (s *streamReader) start(v jsontext.Value) {
	if s.started {
		return
	}
	s.started, s.x.req = true, nil // it will not be sent again
	var m struct {
		ID    string         `json:"id"`
		Model string         `json:"model"`
		Usage jsontext.Value `json:"usage"`
	}
	if len(v) > 0 {
		_ = json.Unmarshal(v, &m, wire.Lenient) // what cannot be read stays empty
	}
	ev := canon.Event{Kind: canon.KindStart, ID: m.ID, Model: m.Model, Dropped: s.x.Dropped, Verbatim: s.x.verbatim}
	s.emit(ev)
	if s.counts.add(m.Usage) {
		s.emit(canon.Event{Kind: canon.KindUsage, Usage: s.counts.usage()})
	}
}

func (s *streamReader) block(wireIndex int) *liveBlock {
	for i := len(s.blocks) - 1; i >= 0; i-- {
		if s.blocks[i].wireIndex == wireIndex {
			return s.blocks[i]
		}
	}
	return nil
}

// begin reads content_block_start.
func (s *streamReader) begin(wireIndex int, v jsontext.Value) {
	s.start(nil)
	if v.Kind() != '{' {
		v = jsontext.Value(`{"type":"text"}`)
	}
	r := reader{answer: true, family: s.x.family}
	p, err := r.block(v, "content_block")
	if err != nil {
		p = serverPart(v)
	}
	b := &liveBlock{wireIndex: wireIndex, index: len(s.blocks), part: p}
	s.blocks = append(s.blocks, b)
	skeleton := s.prepare(b, v)
	s.emit(canon.Event{Kind: canon.KindPartStart, Index: b.index, Part: &skeleton})
	if len(b.text) > 0 {
		s.emit(canon.Event{Kind: canon.KindDelta, Index: b.index, Delta: canon.DeltaText, Text: string(b.text)})
	}
}

// prepare moves what a block's start holds already into the accumulators and returns the part's skeleton.
func (s *streamReader) prepare(b *liveBlock, v jsontext.Value) canon.Part {
	p := &b.part
	switch p.Type {
	case canon.PartText:
		b.text, p.Text = []byte(p.Text), ""
		if p.Citations != nil && string(p.Citations) != "[]" {
			b.cites = append([]byte(nil), bytes.TrimSuffix(p.Citations, []byte("]"))...)
		}
		p.Citations = nil
	case canon.PartReasoning:
		if p.Redacted {
			break
		}
		b.text, p.Text = []byte(p.Text), ""
		if p.Opaque != nil {
			b.sig = []byte(p.Opaque.Data)
		}
		p.Opaque = &canon.Opaque{Family: s.x.family, Kind: wire.OpaqueThink}
	case canon.PartToolCall:
		s.calls = true
		if ref, ok := s.x.tools[p.Name]; ok {
			p.Name, p.Space, p.Custom = ref.name, ref.space, ref.custom
		}
		if p.Custom {
			b.input = &inputScanner{}
		}
		b.raw, p.Args, p.BadArgs = p.ArgsObject(), nil, false
	case canon.PartServer:
		b.raw = p.Server
	}
	skeleton := *p
	if p.Type == canon.PartServer {
		skeleton.Server = nil
	}
	return skeleton
}

func (s *streamReader) blockDelta(m *frameJSON) {
	switch d := &m.Delta; d.Type {
	case "text_delta":
		s.delta(m.Index, canon.DeltaText, d.Text)
	case "thinking_delta":
		s.delta(m.Index, canon.DeltaText, d.Thinking)
	case "input_json_delta":
		s.delta(m.Index, canon.DeltaArgs, d.PartialJSON)
	case "signature_delta":
		s.delta(m.Index, canon.DeltaSignature, d.Signature)
	case "citations_delta":
		if notNull(d.Citation) != nil {
			s.delta(m.Index, canon.DeltaCitation, string(wire.Compact(d.Citation)))
		}
	}
}

// delta adds to a block and tells of it. A delta for a block that never began opens a text.
func (s *streamReader) delta(wireIndex int, kind canon.DeltaKind, text string) {
	b := s.block(wireIndex)
	if b == nil {
		if kind != canon.DeltaText {
			return
		}
		s.begin(wireIndex, nil)
		b = s.block(wireIndex)
	}
	if b.ended || text == "" {
		return
	}
	switch kind {
	case canon.DeltaText:
		b.text = append(b.text, text...)
	case canon.DeltaSignature:
		b.sig = append(b.sig, text...)
	case canon.DeltaCitation:
		if len(b.cites) == 0 {
			b.cites = append(b.cites, '[')
		} else {
			b.cites = append(b.cites, ',')
		}
		b.cites = append(b.cites, text...)
	case canon.DeltaArgs:
		b.args = append(b.args, text...)
		if b.part.Type == canon.PartServer {
			return
		}
		if b.input != nil {
			if text = b.input.feed(text); text == "" {
				return
			}
			kind = canon.DeltaText
		}
	}
	s.emit(canon.Event{Kind: canon.KindDelta, Index: b.index, Delta: kind, Text: text})
}

// end completes a block.
func (s *streamReader) end(b *liveBlock) {
	if b == nil || b.ended {
		return
	}
	b.ended = true
	p := b.part
	switch p.Type {
	case canon.PartText, canon.PartReasoning:
		p.Text = string(b.text)
		if len(b.cites) > 0 {
			p.Citations = append(b.cites, ']')
		}
		if p.Type == canon.PartReasoning && !p.Redacted {
			p.Opaque = nil
			if len(b.sig) > 0 {
				p.Opaque = &canon.Opaque{Family: s.x.family, Kind: wire.OpaqueThink, Data: string(b.sig)}
			}
		}
	case canon.PartToolCall:
		s.endCall(b, &p)
	case canon.PartServer:
		p.Server = withInput(b.raw, b.args)
	}
	b.text, b.args, b.sig = nil, nil, nil
	s.emit(canon.Event{Kind: canon.KindPartEnd, Index: b.index, Part: &p})
}

// endCall sets the arguments of a call. Those that came whole with the block's start are told now.
func (s *streamReader) endCall(b *liveBlock, p *canon.Part) {
	args := string(b.args)
	if args == "" {
		args = string(b.raw)
	}
	if !p.Custom {
		if len(b.args) == 0 {
			s.emit(canon.Event{Kind: canon.KindDelta, Index: b.index, Delta: canon.DeltaArgs, Text: args})
		}
		p.SetArgs(args)
		return
	}
	p.Text = customInput(args)
	if rest := p.Text[min(b.input.sent, len(p.Text)):]; rest != "" {
		s.emit(canon.Event{Kind: canon.KindDelta, Index: b.index, Delta: canon.DeltaText, Text: rest})
	}
}

// withInput returns a provider-run tool's block with the input that was streamed after its start.
func withInput(block jsontext.Value, args []byte) jsontext.Value {
	if len(args) == 0 || !jsontext.Value(args).IsValid(wire.Lenient) {
		return block
	}
	o, err := canon.ParseObject(block)
	if err != nil {
		return block
	}
	return o.AppendEdited(nil, canon.Edit{Name: "input", Value: args})
}

func (s *streamReader) messageDelta(m *frameJSON) {
	if m.Delta.StopReason != "" {
		s.finish = canon.Finish{Reason: readReason(m.Delta.StopReason), StopSequence: m.Delta.StopSequence, Raw: m.Delta.StopReason}
	}
	for name, v := range m.Delta.Ext {
		if s.x.own && notNull(v) != nil {
			if s.ext == nil {
				s.ext = map[string]jsontext.Value{}
			}
			s.ext[name] = v
		}
	}
	s.finish.Detail = firstOf(explanation(m.Delta.Ext["stop_details"]), s.finish.Detail)
	if s.counts.add(m.Usage) {
		s.emit(canon.Event{Kind: canon.KindUsage, Usage: s.counts.usage()})
	}
}

// explanation returns the reason of a refusal.
func explanation(v jsontext.Value) string {
	var d struct {
		Explanation string `json:"explanation"`
	}
	if v.Kind() != '{' || json.Unmarshal(v, &d, wire.Lenient) != nil {
		return ""
	}
	return d.Explanation
}

// stop ends the answer. Blocks that were left open are ended first.
func (s *streamReader) stop() {
	s.start(nil)
	for _, b := range s.blocks {
		s.end(b)
	}
	if len(s.counts.ext) > 0 && s.x.own {
		s.ext = withUsage(s.ext, s.counts.ext)
	}
	s.finish.Reason = settle(s.finish.Reason, s.calls)
	s.emit(canon.Event{Kind: canon.KindFinish, Finish: s.finish, Usage: s.counts.usage(), Ext: s.ext})
	s.done = true
}

// withUsage puts unknown members of usage beside an answer's other unknown members.
func withUsage(ext, usage map[string]jsontext.Value) map[string]jsontext.Value {
	w := writer{b: []byte("{")}
	w.ext(usage)
	w.close('}')
	if ext == nil {
		ext = map[string]jsontext.Value{}
	}
	ext[usageMember] = w.b
	return ext
}

// The usual spelling of a delta, which makes up nearly all of a stream.
var (
	deltaHead  = []byte(`{"type":"content_block_delta","index":`)
	deltaMid   = []byte(`,"delta":{"type":"`)
	deltaKinds = []struct {
		mark []byte
		kind canon.DeltaKind
	}{
		{[]byte(`text_delta","text":`), canon.DeltaText},
		{[]byte(`thinking_delta","thinking":`), canon.DeltaText},
		{[]byte(`input_json_delta","partial_json":`), canon.DeltaArgs},
	}
)

// fastDelta reads a delta in its usual spelling without a JSON decoder. Anything else is left to the decoder.
func fastDelta(data []byte) (index int, kind canon.DeltaKind, text string, ok bool) {
	rest, found := bytes.CutPrefix(data, deltaHead)
	if !found {
		return
	}
	n := 0
	for n < len(rest) && n < 6 && rest[n] >= '0' && rest[n] <= '9' {
		index = index*10 + int(rest[n]-'0')
		n++
	}
	if rest, found = bytes.CutPrefix(rest[n:], deltaMid); !found || n == 0 {
		return
	}
	for i := range deltaKinds {
		if rest, found = bytes.CutPrefix(rest, deltaKinds[i].mark); found {
			text, ok = lastString(rest)
			return index, deltaKinds[i].kind, text, ok
		}
	}
	return
}

// lastString reads a JSON string that is followed by two closing braces only.
func lastString(b []byte) (string, bool) {
	end := len(bytes.TrimRight(b, " \t\r\n"))
	for range 2 {
		if end == 0 || b[end-1] != '}' {
			return "", false
		}
		end = len(bytes.TrimRight(b[:end-1], " \t\r\n"))
	}
	if end < 2 || b[0] != '"' || b[end-1] != '"' {
		return "", false
	}
	plain := true
	for i := 1; i < end-1; i++ {
		switch c := b[i]; {
		case c == '\\':
			plain = false
			i++
			if i >= end-1 {
				return "", false
			}
		case c == '"' || c < 0x20:
			return "", false
		}
	}
	if plain && utf8.Valid(b[1:end-1]) {
		return string(b[1 : end-1]), true
	}
	text, err := jsontext.AppendUnquote(nil, b[:end])
	return string(text), err == nil
}
