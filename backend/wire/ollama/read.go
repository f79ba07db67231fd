package ollama

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Read reads an answer, lines of JSON or one. It never closes r. An answer without a last line of its own ends with a
// Truncated error.
func (x *Exchange) Read(_ string, r io.Reader) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		s := newReader(x, yield)
		for line, err := range wire.Lines(r) {
			if err != nil {
				s.fail(wire.ReadError(err))
				return
			}
			if !s.line(bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")))) {
				return
			}
		}
		switch {
		case s.started:
			s.fail(apierror.New(apierror.Truncated, "the service closed the stream early; try again"))
		default:
			s.fail(apierror.New(apierror.Upstream5xx, "the service sent an empty answer"))
		}
	}
}

// answerLine is one line of an answer to chat or generate.
type answerLine struct {
	Model   string `json:"model"`
	Created string `json:"created_at"`
	Message struct {
		Content  string     `json:"content"`
		Thinking string     `json:"thinking"`
		Images   []string   `json:"images"`
		Calls    []wireCall `json:"tool_calls"`
	} `json:"message"`
	Response   string         `json:"response"`
	Thinking   string         `json:"thinking"`
	Logprobs   jsontext.Value `json:"logprobs"`
	Done       bool           `json:"done"`
	DoneReason string         `json:"done_reason"`
	Error      jsontext.Value `json:"error"`
	In         *int64         `json:"prompt_eval_count"`
	Out        *int64         `json:"eval_count"`
	Total      int64          `json:"total_duration"`
	Load       int64          `json:"load_duration"`
	Prompt     int64          `json:"prompt_eval_duration"`
	Eval       int64          `json:"eval_duration"`
}

// reader is the state of one answer.
type reader struct {
	x     *Exchange
	yield func(canon.Event, error) bool
	queue []canon.Event // of the line at hand

	started bool
	stopped bool
	index   int // of the next part
	open    int // index of the open part of text or thinking, -1 for none
	typ     canon.PartType
	text    []byte // of the open part
	logs    []jsontext.Value
	calls   int
	usage   canon.Usage

	splitting bool // the text may begin with <think>
	tags      wire.ThinkTags
}

// newReader puts the state on the heap: it would make the stack of every open stream larger.
//
//go:noinline
func newReader(x *Exchange, yield func(canon.Event, error) bool) *reader {
	return &reader{x: x, yield: yield, usage: canon.UnknownUsage(), open: -1, splitting: x.foreign}
}

func (s *reader) fail(err *apierror.Error) {
	if !s.stopped {
		s.stopped = true
		s.yield(canon.Event{}, err)
	}
}

// keptEvents is how many events a line has in the long run; the first line has more.
const keptEvents = 2

func (s *reader) emit(ev canon.Event) { s.queue = append(s.queue, ev) }

// flush yields the events of a line. raw is the line, for a client of this format: the first event carries it, and of
// the last line the Finish does, for nothing of it may go out before the end is certain.
func (s *reader) flush(raw []byte, done bool) bool {
	at := 0
	if done {
		at = len(s.queue) - 1
	}
	for i := range s.queue {
		ev := &s.queue[i]
		if i == at && s.x.verbatim {
			ev.Raw = raw
		}
		ev.More = i < len(s.queue)-1
		if !s.yield(*ev, nil) {
			s.stopped = true
			break
		}
	}
	clear(s.queue)
	s.queue = s.queue[:0]
	if cap(s.queue) > keptEvents {
		s.queue = nil
	}
	return !s.stopped
}

// line reads one line. It reports false when the answer is over.
func (s *reader) line(data []byte) bool {
	if len(data) > 0 && data[0] == '<' {
		s.fail(htmlError(200))
		return false
	}
	l, err := s.parse(data)
	if err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service sent damaged JSON in its answer; try again")
		e.Err = err
		s.fail(e)
		return false
	}
	if failed(l.Error) {
		s.fail(ParseError(200, nil, data))
		return false
	}
	whole := l.Done && !s.started
	if !s.started {
		s.started = true
		s.emit(canon.Event{Kind: canon.KindStart, Model: l.Model, Created: unix(l.Created), Dropped: s.x.Dropped, Verbatim: s.x.verbatim})
	}
	if err := s.content(&l); err != nil {
		s.fail(err)
		return false
	}
	if !l.Done {
		if len(s.queue) == 0 {
			kind := canon.KindPing
			if s.x.verbatim {
				kind = canon.KindFrame
			}
			s.emit(canon.Event{Kind: kind})
		}
		return s.flush(data, false)
	}
	s.finish(&l)
	if whole && s.x.verbatim {
		s.queue[len(s.queue)-1].Whole = bytes.Clone(data)
	}
	s.flush(data, true)
	s.stopped = true
	return false
}

// parse reads one line. Of the lines of a stream nearly all can be read quickly; the first one alone tells the model and the
// time, and is read whole.
func (s *reader) parse(data []byte) (answerLine, error) {
	var quick answerLine
	if s.started && quick.quick(data) {
		return quick, nil
	}
	l := new(answerLine)
	err := wire.ReadValue(data, "", l)
	return *l, err
}

// quick reads a line with a bit of text or thinking, but for the members that mean something on the first line only. It
// leaves false and a line of no use for any other.
func (l *answerLine) quick(data []byte) bool {
	q := wire.NewQuick(data)
	for name := range q.Members {
		switch string(name) {
		case "model", "created_at":
			q.Text()
		case "message":
			for name := range q.Members {
				switch string(name) {
				case "role":
					q.Skip()
				case "content":
					l.Message.Content = string(q.Text())
				case "thinking":
					l.Message.Thinking = string(q.Text())
				default:
					return false
				}
			}
		case "response":
			l.Response = string(q.Text())
		case "thinking":
			l.Thinking = string(q.Text())
		case "done":
			if l.Done = q.Bool(); l.Done {
				return false
			}
		default:
			return false
		}
	}
	return q.Done()
}

func failed(v jsontext.Value) bool {
	return len(v) > 0 && v.Kind() != 'n' && string(v) != `""` && string(v) != "false"
}

func unix(stamp string) int64 {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || t.Unix() < 0 {
		return 0
	}
	return t.Unix()
}

// content reads what a line says.
func (s *reader) content(l *answerLine) *apierror.Error {
	s.piece(canon.PartReasoning, l.Message.Thinking+l.Thinking, nil)
	s.said(l.Message.Content+l.Response, l.Logprobs)
	if len(l.Message.Images)+len(l.Message.Calls) > 0 {
		s.endTags()
	}
	for _, data := range l.Message.Images {
		s.close()
		raw, err := wire.DecodeBase64(data)
		if err != nil {
			return apierror.New(apierror.Upstream5xx, "the service sent a picture that is no base64")
		}
		s.whole(canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: wire.SniffImage(raw), Data: raw}})
	}
	for i := range l.Message.Calls {
		s.close()
		s.call(&l.Message.Calls[i])
	}
	return nil
}

// said emits text. A model that Ollama does not know to think does so in tags; a client of this format gets what it would
// get from any Ollama.
func (s *reader) said(text string, logprobs jsontext.Value) {
	if !s.splitting || text == "" {
		s.piece(canon.PartText, text, logprobs)
		return
	}
	thought, text, over := s.tags.Feed(text)
	s.splitting = !over
	s.piece(canon.PartReasoning, thought, nil)
	s.piece(canon.PartText, text, logprobs)
}

// endTags emits what was held back because it might have been a tag.
func (s *reader) endTags() {
	if !s.splitting {
		return
	}
	thought, text := s.tags.Rest()
	s.piece(canon.PartReasoning, thought, nil)
	s.piece(canon.PartText, text, nil)
}

// piece emits a bit of text or thinking.
func (s *reader) piece(typ canon.PartType, text string, logprobs jsontext.Value) {
	if text == "" {
		return
	}
	if s.open >= 0 && s.typ != typ {
		s.close()
	}
	if s.open < 0 {
		s.open, s.typ = s.index, typ
		s.index++
		s.emit(canon.Event{Kind: canon.KindPartStart, Index: s.open, Part: s.skeleton()})
	}
	ev := canon.Event{Kind: canon.KindDelta, Index: s.open, Delta: canon.DeltaText, Text: text}
	if len(logprobs) > 0 && logprobs.Kind() == '[' {
		ev.Logprobs = logprobs.Clone()
		s.logs = append(s.logs, ev.Logprobs)
	}
	s.text = append(s.text, text...)
	s.emit(ev)
}

func (s *reader) skeleton() *canon.Part {
	return &canon.Part{Type: s.typ}
}

// close ends the open part of text or thinking.
func (s *reader) close() {
	if s.open < 0 {
		return
	}
	p := s.skeleton()
	p.Text = string(s.text)
	p.Logprobs = joined(s.logs)
	s.emit(canon.Event{Kind: canon.KindPartEnd, Index: s.open, Part: p})
	s.open, s.text, s.logs = -1, s.text[:0], nil
}

// joined makes one array of several.
func joined(arrays []jsontext.Value) jsontext.Value {
	if len(arrays) == 0 {
		return nil
	}
	out := jsontext.Value{'['}
	for _, a := range arrays {
		inner := bytes.TrimSpace(a[1 : len(a)-1])
		if len(inner) > 0 && len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, inner...)
	}
	return append(out, ']')
}

// whole emits a part that came in one piece.
func (s *reader) whole(p canon.Part) {
	skeleton := p
	skeleton.Args, skeleton.Text = nil, ""
	at := s.index
	s.index++
	s.emit(canon.Event{Kind: canon.KindPartStart, Index: at, Part: &skeleton})
	switch {
	case p.Custom && p.Text != "":
		s.emit(canon.Event{Kind: canon.KindDelta, Index: at, Delta: canon.DeltaText, Text: p.Text})
	case p.Type == canon.PartToolCall && !p.Custom:
		s.emit(canon.Event{Kind: canon.KindDelta, Index: at, Delta: canon.DeltaArgs, Text: p.ArgsText()})
	}
	s.emit(canon.Event{Kind: canon.KindPartEnd, Index: at, Part: &p})
}

func (s *reader) call(c *wireCall) {
	if c.Function == nil || c.Function.Name == "" {
		return
	}
	s.calls++
	p := canon.Part{Type: canon.PartToolCall, CallID: c.ID, Name: c.Function.Name}
	if p.CallID == "" {
		p.CallID = s.x.newID()
	}
	if s.x.custom[p.Name] {
		var in struct {
			Input string `json:"input"`
		}
		if wire.ReadValue(c.Function.Arguments, "", &in) == nil {
			p.Custom, p.Text = true, in.Input
			s.whole(p)
			return
		}
	}
	p.SetArgs(argsText(c.Function.Arguments))
	p.Args = p.Args.Clone()
	s.whole(p)
}

// finishes are what a last line may say. What is not here is a plain stop.
var finishes = map[string]canon.FinishReason{
	"stop": canon.FinishStop, "length": canon.FinishLength, "load": canon.FinishStop, "unload": canon.FinishStop,
}

// finishOf returns the reason for what the upstream said. Calls decide, not words, unless the answer was cut.
func finishOf(raw string, calls int) canon.FinishReason {
	switch r := finishes[raw]; {
	case r == canon.FinishLength:
		return r
	case calls > 0:
		return canon.FinishTools
	default:
		return canon.FinishStop
	}
}

func (s *reader) finish(l *answerLine) {
	s.endTags()
	s.close()
	ev := canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: finishOf(l.DoneReason, s.calls), Raw: l.DoneReason}}
	if l.In != nil || l.Out != nil {
		if l.In != nil {
			s.usage.Input = max(*l.In, 0)
		}
		if l.Out != nil {
			s.usage.Output = max(*l.Out, 0)
		}
		u := s.usage
		ev.Usage = &u
		s.emit(canon.Event{Kind: canon.KindUsage, Usage: &u})
	}
	if !s.x.foreign {
		ev.Ext = map[string]jsontext.Value{}
		for name, n := range map[string]int64{memberTotal: l.Total, memberLoad: l.Load, memberPrompt: l.Prompt, memberEval: l.Eval} {
			if n > 0 {
				ev.Ext[name] = strconv.AppendInt(nil, n, 10)
			}
		}
	}
	s.emit(ev)
}
