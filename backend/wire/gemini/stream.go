package gemini

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// ReadStream reads an event stream. It never closes r. The end is the end of r: after the frame with finishReason another
// one with token counts may come. A stream without finishReason ends with a Truncated error.
func (x *Exchange) ReadStream(r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		s := newReader(x, yield)
		for f, err := range wire.Frames(r) {
			if err != nil {
				s.broken(err)
				return
			}
			if !s.frame(f.Data, f.More) {
				return
			}
		}
		s.close()
	}
}

// readArray reads the answer of a stream without alt=sse: a JSON array that grows.
func (x *Exchange) readArray(r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		s := newReader(x, yield)
		d := jsontext.NewDecoder(r, wire.Lenient)
		_, err := d.ReadToken()
		for err == nil && d.PeekKind() != ']' {
			var v jsontext.Value
			if v, err = d.ReadValue(); err == nil && !s.frame(v, false) {
				return
			}
		}
		if err == nil {
			_, err = d.ReadToken()
		}
		if err != nil {
			s.broken(err)
			return
		}
		s.close()
	}
}

// ReadWhole reads an answer in one piece and yields the same events as a stream would.
func (x *Exchange) ReadWhole(body []byte) canon.Stream {
	if jsontext.Value(body).Kind() == '[' {
		return x.readArray(bytes.NewReader(body))
	}
	return func(yield func(canon.Event, error) bool) {
		s := newReader(x, yield)
		s.copies = false
		if x.verbatim {
			s.whole = body
		}
		if s.frame(body, false) {
			s.close()
		}
	}
}

// maxAnswer bounds an answer in one piece.
const maxAnswer = 64 << 20

// Read decides by the first byte between an event stream, an array and one object: an error may come as JSON under the
// content type of an event stream.
func (x *Exchange) Read(contentType string, r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) { x.form(contentType, r)(yield) }
}

// form tells how an answer has to be read.
func (x *Exchange) form(contentType string, r io.Reader) canon.Stream {
	c, r, err := wire.First(r)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return x.broken(err)
	case err == nil && c == '[':
		return x.readArray(r)
	case err == nil && c != '{' && c != '<', err != nil && strings.Contains(contentType, "event-stream"):
		return x.ReadStream(r)
	}
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = wire.ErrFrameTooLarge
	}
	if err != nil {
		return x.broken(err)
	}
	return x.ReadWhole(body)
}

// broken is the stream of an answer that could not be read.
func (x *Exchange) broken(err error) canon.Stream {
	return func(yield func(canon.Event, error) bool) { newReader(x, yield).broken(err) }
}

// streamReader turns frames into events.
type streamReader struct {
	x      *Exchange
	yield  func(canon.Event, error) bool
	chunk  chunkJSON
	queue  []canon.Event // of one frame
	copies bool          // frames are hung on events
	whole  []byte

	started bool
	counted bool // token counts were told once
	usage   usageJSON
	next    int // index of the next part
	choices []liveChoice
	blocked *feedbackJSON
	ext     map[string]jsontext.Value
}

// liveChoice is one of several answers.
type liveChoice struct {
	open   canon.PartType // the part that text goes on in, 0 for none
	index  int
	text   strings.Builder
	sig    string
	logs   []byte
	parts  int
	calls  bool
	finish canon.Finish
	ended  bool
}

func newReader(x *Exchange, yield func(canon.Event, error) bool) *streamReader {
	return &streamReader{x: x, yield: yield, copies: x.verbatim}
}

// frame takes in one frame and yields its events. It reports false when the stream is over.
func (s *streamReader) frame(data []byte, more bool) bool {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || !strings.ContainsRune("{[<", rune(data[0])) || string(data) == "[DONE]" {
		return true // nothing of ours; a stream of it has no end and says so
	}
	data, ok := s.parse(data)
	if !ok {
		return false
	}
	s.queue = s.queue[:0]
	s.start()
	c := &s.chunk
	if c.Usage != (usageJSON{}) {
		s.usage = c.Usage
		s.count()
	}
	if c.Feedback != nil && c.Feedback.BlockReason != "" {
		s.blocked = c.Feedback
	}
	for i := range c.Candidates {
		if err := s.candidate(&c.Candidates[i]); err != nil {
			s.yield(canon.Event{}, err)
			return false
		}
	}
	return s.flush(data, more)
}

// parse reads a frame into the reused chunk, unwrapping Code Assist's envelope. Frames that are an array (an error may be)
// count by their first element.
func (s *streamReader) parse(data []byte) ([]byte, bool) {
	if s.chunk.quick(data) {
		return data, true
	}
	for depth := 0; ; depth++ {
		s.chunk.reset()
		err := json.Unmarshal(data, &s.chunk, wire.Lenient)
		switch {
		case data[0] == '<':
			e := apierror.New(apierror.Upstream5xx, "the service answered with a web page")
			s.yield(canon.Event{}, e)
			return nil, false
		case err != nil && data[0] == '[' && depth == 0:
			var all []jsontext.Value
			if json.Unmarshal(data, &all, wire.Lenient) != nil || len(all) == 0 {
				break
			}
			data = all[0]
			continue
		case err == nil && s.chunk.Response.Kind() == '{' && depth < 2:
			data = s.chunk.Response.Clone()
			continue
		case err == nil && present(s.chunk.Error):
			s.yield(canon.Event{}, ParseError(200, nil, data))
			return nil, false
		}
		if err != nil {
			e := apierror.New(apierror.Upstream5xx, "the service sent an answer that cannot be read")
			e.Err = err
			s.yield(canon.Event{}, e)
			return nil, false
		}
		return data, true
	}
}

func (s *streamReader) emit(ev canon.Event) { s.queue = append(s.queue, ev) }

// flush yields the events of a frame, with the frame on the first of them.
func (s *streamReader) flush(raw []byte, more bool) bool {
	if len(s.queue) == 0 {
		s.emit(canon.Event{Kind: canon.KindFrame})
	}
	if s.copies && raw != nil {
		s.queue[0].Raw = raw
	}
	for i := range s.queue {
		s.queue[i].More = more || i < len(s.queue)-1
		if !s.yield(s.queue[i], nil) {
			return false
		}
	}
	if cap(s.queue) > keptEvents {
		s.queue = nil
	}
	return true
}

// keptEvents is how many events a frame has in the long run; the first frame has more.
const keptEvents = 2

func (s *streamReader) start() {
	if s.started {
		return
	}
	s.started = true
	ev := canon.Event{Kind: canon.KindStart, ID: s.chunk.ID, Model: s.chunk.Model, Dropped: s.x.Dropped, Verbatim: s.copies}
	if t, err := time.Parse(time.RFC3339Nano, s.chunk.Created); err == nil {
		ev.Created = t.Unix()
	}
	s.emit(ev)
}

// count tells the prompt's tokens as soon as they are known: clients show them before the answer.
func (s *streamReader) count() {
	if s.counted {
		return
	}
	s.counted = true
	u := s.usage.canon()
	s.emit(canon.Event{Kind: canon.KindUsage, Usage: &u})
}

func (s *streamReader) choice(i int) *liveChoice {
	for len(s.choices) <= i {
		s.choices = append(s.choices, liveChoice{})
	}
	return &s.choices[i]
}

const maxChoices = 64 // Google gives 8 at most

func (s *streamReader) candidate(c *candidateJSON) error {
	if c.Index < 0 || c.Index >= maxChoices {
		return apierror.New(apierror.Upstream5xx, "the service sent an answer that cannot be read")
	}
	at := c.Index
	live := s.choice(at)
	if live.ended {
		return nil
	}
	var logs jsontext.Value
	if present(c.Logprobs) {
		logs = chatLogprobs(c.Logprobs)
	}
	for i := range c.Content.Parts {
		s.part(live, at, &c.Content.Parts[i], logs)
		logs = nil
	}
	if at == 0 && len(c.Ext) > 0 && same(s.x.req) {
		for name, v := range c.Ext {
			keep(&s.ext, name, v)
		}
	}
	if c.FinishReason != "" && c.FinishReason != "FINISH_REASON_UNSPECIFIED" {
		s.end(live, at)
		live.ended = true
		return s.ended(live, c)
	}
	return nil
}

// ended takes down why a choice ended. Reasons that are a failure of the model's are one only if nothing of the answer
// went out.
func (s *streamReader) ended(live *liveChoice, c *candidateJSON) error {
	live.finish = canon.Finish{Reason: finishOf(c.FinishReason), Raw: c.FinishReason, Detail: c.FinishMessage}
	if failures[c.FinishReason] && s.next == 0 {
		e := apierror.New(apierror.Upstream5xx, "the model made no usable answer (%s); send the request again", c.FinishReason)
		e.BadSignature = c.FinishReason == missingSignature
		e.Upstream.Code = c.FinishReason
		return e
	}
	if live.calls && live.finish.Reason != canon.FinishLength {
		live.finish.Reason = canon.FinishTools
	}
	return nil
}

// part turns one part into events. Text and thoughts go on in the open part of their kind; everything else is whole.
func (s *streamReader) part(live *liveChoice, choice int, p *answerPartJSON, logs jsontext.Value) {
	server, v := p.server()
	switch {
	case p.FunctionCall != nil:
		s.call(live, choice, p)
	case p.InlineData != nil:
		s.blob(live, choice, p)
	case p.FileData != nil:
		if one, err := file(p.FileData, ""); err == nil {
			s.solid(live, choice, one)
		}
	case server != "":
		w := writer{}
		w.open('{')
		w.raw(server, v)
		w.close('}')
		s.solid(live, choice, canon.Part{Type: canon.PartServer, Server: w.b,
			Opaque: &canon.Opaque{Family: s.x.family, Kind: wire.OpaqueCall, Data: p.ThoughtSignature}})
	case p.Thought:
		s.text(live, choice, canon.PartReasoning, p, nil)
	case p.Text != "" || live.open == canon.PartText && p.ThoughtSignature != "":
		s.text(live, choice, canon.PartText, p, logs)
	case p.ThoughtSignature != "": // a signature alone
		s.end(live, choice)
		s.solid(live, choice, canon.Part{Type: canon.PartReasoning, Opaque: s.opaque(p.ThoughtSignature, wire.OpaqueText)})
	}
}

func (p *answerPartJSON) server() (string, jsontext.Value) {
	in := partJSON{ExecutableCode: p.ExecutableCode, CodeResult: p.CodeResult, ToolCall: p.ToolCall, ToolResponse: p.ToolResponse}
	return in.server()
}

// opaque makes opaque data of a signature. Claude's come from Google's hosts in a second layer of base64.
func (s *streamReader) opaque(sig, kind string) *canon.Opaque {
	if sig == "" {
		return nil
	}
	if s.x.family == wire.FamilyClaude && sig[0] == 'R' {
		if raw, err := wire.DecodeBase64(sig); err == nil {
			sig = string(raw)
		}
	}
	return &canon.Opaque{Family: s.x.family, Kind: kind, Data: sig}
}

// text goes on with the open part of a type, or begins it.
func (s *streamReader) text(live *liveChoice, choice int, t canon.PartType, p *answerPartJSON, logs jsontext.Value) {
	if live.open != t || live.sig != "" && p.Text != "" {
		s.end(live, choice)
		live.open, live.index = t, s.next
		s.next++
		live.parts++
		s.emit(canon.Event{Kind: canon.KindPartStart, Choice: choice, Index: live.index, Part: &canon.Part{Type: t}})
	}
	if p.Text != "" {
		live.text.WriteString(p.Text)
		if !s.x.standIn || t != canon.PartText {
			s.emit(canon.Event{Kind: canon.KindDelta, Choice: choice, Index: live.index, Delta: canon.DeltaText, Text: p.Text, Logprobs: logs})
		}
		if len(logs) > 2 {
			live.logs = append(live.logs, logs[1:len(logs)-1]...)
			live.logs = append(live.logs, ',')
		}
	}
	if p.ThoughtSignature != "" {
		live.sig = p.ThoughtSignature
	}
}

// end ends the open part of a choice.
func (s *streamReader) end(live *liveChoice, choice int) {
	if live.open == 0 {
		return
	}
	p := canon.Part{Type: live.open, Text: live.text.String()}
	kind := wire.OpaqueText
	if live.open == canon.PartReasoning {
		kind = wire.OpaqueThink
	}
	p.Opaque = s.opaque(live.sig, kind)
	if s.x.standIn && live.open == canon.PartText {
		p.Text = unfenced(p.Text)
		s.emit(canon.Event{Kind: canon.KindDelta, Choice: choice, Index: live.index, Delta: canon.DeltaText, Text: p.Text})
	}
	if p.Opaque != nil && live.open == canon.PartReasoning {
		s.emit(canon.Event{Kind: canon.KindDelta, Choice: choice, Index: live.index, Delta: canon.DeltaSignature, Text: p.Opaque.Data})
	}
	if n := len(live.logs); n > 0 {
		p.Logprobs = append(append(jsontext.Value{'['}, live.logs[:n-1]...), ']')
	}
	s.emit(canon.Event{Kind: canon.KindPartEnd, Choice: choice, Index: live.index, Part: &p})
	live.open, live.sig, live.logs = 0, "", nil
	live.text = strings.Builder{}
}

// unfenced takes a fence of Markdown off an answer that must be JSON.
func unfenced(s string) string {
	t := strings.TrimSpace(s)
	if !strings.HasPrefix(t, "```") || !strings.HasSuffix(t, "```") || len(t) < 6 {
		return s
	}
	t = strings.TrimSuffix(t[3:], "```")
	return strings.TrimSpace(strings.TrimPrefix(t, "json"))
}

// solid emits a part that came whole.
func (s *streamReader) solid(live *liveChoice, choice int, p canon.Part) {
	s.end(live, choice)
	index := s.next
	s.next++
	live.parts++
	skeleton := p
	skeleton.Args, skeleton.Text = nil, ""
	if p.Type == canon.PartReasoning {
		skeleton.Opaque = &canon.Opaque{Family: p.Opaque.Family, Kind: p.Opaque.Kind}
	}
	s.emit(canon.Event{Kind: canon.KindPartStart, Choice: choice, Index: index, Part: &skeleton})
	if p.Type == canon.PartReasoning {
		s.emit(canon.Event{Kind: canon.KindDelta, Choice: choice, Index: index, Delta: canon.DeltaSignature, Text: p.Opaque.Data})
	}
	if p.Type == canon.PartToolCall {
		delta := canon.Event{Kind: canon.KindDelta, Choice: choice, Index: index, Delta: canon.DeltaArgs}
		if p.Custom {
			delta.Delta, delta.Text = canon.DeltaText, p.Text
		} else {
			delta.Text = string(p.Args)
		}
		s.emit(delta)
	}
	s.emit(canon.Event{Kind: canon.KindPartEnd, Choice: choice, Index: index, Part: &p})
}

// call emits a function call. Its arguments come whole; models before Gemini 3 send no id.
func (s *streamReader) call(live *liveChoice, choice int, in *answerPartJSON) {
	c := in.FunctionCall
	p := canon.Part{Type: canon.PartToolCall, CallID: c.ID, Name: c.Name, Opaque: s.opaque(in.ThoughtSignature, wire.OpaqueCall)}
	p.SetArgs(string(c.Args))
	if !present(c.Args) {
		p.SetArgs("")
	}
	if p.CallID == "" {
		p.CallID = s.x.req.NewID("fc_", 16)
	}
	s.x.back(&p)
	live.calls = true
	s.solid(live, choice, p)
}

func (s *streamReader) blob(live *liveChoice, choice int, in *answerPartJSON) {
	p, err := blob(in.InlineData, "")
	if err != nil {
		return
	}
	p.Opaque = s.opaque(in.ThoughtSignature, wire.OpaqueText)
	if p.Type == canon.PartReasoning || in.Thought { // a draft of a picture
		return
	}
	s.solid(live, choice, p)
}
