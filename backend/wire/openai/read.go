package openai

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
				s.broken(err)
				return
			}
			if !s.frame(f) {
				return
			}
		}
		s.end(nil)
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
	copying bool   // the frame goes to the client as it is
	anew    bool   // it does not, though others may: its events are rendered
	finish  string // of the choice at hand, if it ends with this frame

	irregular bool // the first chunk lacks what clients rely on: all are written anew
	started   bool
	index     int // of the next part
	choices   []*choice
	usage     canon.Usage
	hasUsage  bool
	ended     bool // a finish reason has come for every choice
}

// newReader puts the state on the heap: it would make the stack of every open stream larger.
//
//go:noinline
func newReader(x *Exchange, yield func(canon.Event, error) bool) *reader {
	return &reader{x: x, yield: yield, usage: canon.UnknownUsage()}
}

// emit yields ev once it is known what follows. It reports false when the consumer has stopped.
func (s *reader) emit(ev canon.Event) bool {
	if s.raw != nil {
		ev.Raw, ev.RawName, s.raw = s.raw, s.rawName, nil
	}
	ev.Anew = s.anew
	ok := s.release(true)
	s.held, s.holding = ev, true
	return ok
}

// release yields the event that is held.
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

// broken handles a connection that broke. After a finish reason nothing was lost but the end.
func (s *reader) broken(err error) {
	if s.ended {
		s.end(nil)
		return
	}
	s.fail(wire.ReadError(err))
}

var done = []byte("[DONE]")

// frame reads one event of the stream. It reports false when the stream is over.
func (s *reader) frame(f wire.Frame) bool {
	data := bytes.TrimSpace(f.Data)
	s.raw = nil
	s.copying, s.anew = s.x.verbatim && !s.irregular, false
	if s.copying {
		s.raw, s.rawName = f.Data, f.Name
	}
	if bytes.Equal(data, done) {
		s.end(f.Data)
		return false
	}
	before := s.started
	if err := s.chunk(f.Name, data); err != nil {
		s.fail(err)
		return false
	}
	if !s.holding && !s.stopped { // the frame meant nothing
		kind := canon.KindPing
		if s.raw != nil && before {
			kind = canon.KindFrame
		} else {
			s.raw = nil
		}
		s.emit(canon.Event{Kind: kind})
	}
	return s.release(f.More)
}

// chunkParts are the members of a chunk, where they lie.
type chunkParts struct {
	id, object, model, created, choices, usage, fingerprint, tier []byte
}

func (s *reader) chunk(name string, data []byte) *apierror.Error {
	var p chunkParts
	c := walkObject(data)
	failed := name == "error" || name == "response.failed"
	for c.Next() {
		switch string(c.Name) {
		case "id":
			p.id = c.Value
		case "object":
			p.object = c.Value
		case "model":
			p.model = c.Value
		case "created":
			p.created = c.Value
		case "choices":
			p.choices = c.Value
		case "usage":
			p.usage = c.Value
		case "system_fingerprint":
			p.fingerprint = c.Value
		case "service_tier":
			p.tier = c.Value
		case "x_groq": // Groq's place for usage
			if u := member(c.Value, "usage"); u != nil && p.usage == nil {
				p.usage = u
			}
		case "error":
			failed = failed || !isNull(c.Value) && string(c.Value) != "false" && string(c.Value) != `""`
		case "type":
			failed = failed || string(c.Value) == `"error"`
		case "base_resp":
			failed = failed || number(member(c.Value, "status_code")) > 0
		}
	}
	if failed || p.choices == nil && oai.IsErrorBody(data) {
		return oai.InsideError(data)
	}
	if c.Bad {
		if len(data) > 0 && data[0] == '{' {
			return apierror.New(apierror.Upstream5xx, "the service sent damaged JSON in its stream; try again")
		}
		s.raw = nil // a comment in disguise: it is no frame for a client
		return nil
	}
	if s.started && (isNull(p.id) || isNull(p.object) || isNull(p.model) || p.choices == nil || number(p.created) < 0) {
		s.giveUp()
	}
	if !s.started && (p.choices != nil || p.id != nil || p.usage != nil) {
		s.start(&p)
	}
	if err := s.readChoices(p.choices); err != nil {
		return err
	}
	s.readUsage(p.usage)
	return nil
}

func (s *reader) start(p *chunkParts) {
	s.started = true
	if isNull(p.id) || isNull(p.object) || number(p.created) < 0 || isNull(p.model) || p.choices == nil {
		s.irregular, s.copying, s.raw = true, false, nil
	}
	ev := canon.Event{Kind: canon.KindStart, ID: text(p.id), Model: text(p.model), Created: max(number(p.created), 0), Dropped: s.x.Dropped, Verbatim: s.x.verbatim && !s.irregular}
	if !s.x.foreign {
		ev.Ext = answerExt(p.fingerprint, p.tier)
	}
	s.emit(ev)
}

// answerExt keeps the members of an answer that chat clients know and canon does not.
func answerExt(fingerprint, tier []byte) map[string]jsontext.Value {
	var ext map[string]jsontext.Value
	for name, v := range map[string][]byte{"system_fingerprint": fingerprint, "service_tier": tier} {
		if s := text(v); s != "" {
			if ext == nil {
				ext = map[string]jsontext.Value{}
			}
			ext[name] = wire.AppendString(nil, s)
		}
	}
	return ext
}

func (s *reader) readUsage(v []byte) {
	if isNull(v) {
		return
	}
	u, ok := oai.ParseUsage(v)
	if !ok {
		return
	}
	if s.raw != nil && !s.usageOnly() { // the raw of a usage event is the extra chunk
		s.emit(canon.Event{Kind: canon.KindFrame})
	}
	s.usage.Merge(u)
	s.hasUsage = true
	s.emit(canon.Event{Kind: canon.KindUsage, Usage: &u})
}

// usageOnly reports whether the frame at hand has no choices: the extra chunk that a client may not have asked for.
func (s *reader) usageOnly() bool {
	c := walkArray(member(s.raw, "choices"))
	return !c.Next()
}

func (s *reader) readChoices(v []byte) *apierror.Error {
	if isNull(v) {
		return nil
	}
	list := walkArray(v)
	for at := 0; list.Next(); at++ {
		var delta, finish, logprobs, usage, legacy []byte
		n, regular, foreign := at, false, false
		c := walkObject(list.Value)
		for c.Next() {
			switch string(c.Name) {
			case "index":
				if i := number(c.Value); i >= 0 && i < 128 {
					n, regular = int(i), true
				}
			case "delta":
				if !isNull(c.Value) {
					delta = c.Value
				}
			case "message": // some services' name for it
				if !isNull(c.Value) && delta == nil {
					delta, foreign = c.Value, true
				}
			case "finish_reason":
				finish = c.Value
			case "logprobs":
				logprobs = c.Value
			case "usage": // Kimi's place for it
				usage = c.Value
			case "text":
				legacy = c.Value
			case "error":
				if !isNull(c.Value) {
					return oai.InsideError(list.Value)
				}
			}
		}
		ch := s.choice(n)
		s.finish = text(finish)
		if !regular || delta == nil || foreign || n > 0 && bytes.Contains(v, []byte(wordCalls)) {
			s.giveUp() // the first of several choices takes the frame along: the calls of another one are seen too late
		}
		if legacy != nil && delta == nil {
			ch.plain(text(legacy), tokenEntries(logprobs))
		}
		ch.delta(delta, tokenEntries(logprobs))
		if err := ch.finishReason(s.finish); err != nil {
			return err
		}
		s.readUsage(usage)
	}
	return nil
}

// tokenEntries returns the content entries of a logprobs object.
func tokenEntries(v []byte) jsontext.Value {
	if isNull(v) {
		return nil
	}
	e := member(v, "content")
	if isNull(e) || e[0] != '[' || !valid(e) {
		return nil
	}
	return e
}

func (s *reader) choice(n int) *choice {
	for len(s.choices) <= n {
		s.choices = append(s.choices, &choice{s: s, n: len(s.choices), splitting: s.x.o.SplitThinkTags})
	}
	s.ended = false
	return s.choices[n]
}

// end finishes the answer, at [DONE] or where the connection ends. raw is the last frame.
func (s *reader) end(raw []byte) {
	if s.stopped {
		return
	}
	s.raw, s.copying, s.anew = nil, false, false
	finished := raw != nil || s.allFinished()
	if !finished {
		s.fail(apierror.New(apierror.Truncated, "the service closed the stream early; try again"))
		return
	}
	if !s.started {
		if raw == nil || s.x.o.ErrorOnEmptyReply {
			s.fail(apierror.New(apierror.Upstream5xx, "the service sent an empty answer"))
			return
		}
		s.start(&chunkParts{})
	}
	for _, c := range s.choices {
		c.close()
	}
	if s.x.o.ErrorOnEmptyReply && s.index == 0 {
		s.fail(apierror.New(apierror.Upstream5xx, "the service sent an empty answer"))
		return
	}
	if len(s.choices) > 1 {
		for _, c := range s.choices {
			s.emit(canon.Event{Kind: canon.KindChoiceFinish, Choice: c.n, Finish: c.result()})
		}
	}
	ev := canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishStop}}
	if len(s.choices) > 0 {
		ev.Finish = s.choices[0].result()
	}
	if s.hasUsage {
		u := s.usage
		ev.Usage = &u
	}
	if s.x.verbatim && !s.irregular {
		s.raw = raw
	}
	s.emit(ev)
	s.release(false)
	s.stopped = true
}

func (s *reader) allFinished() bool {
	for _, c := range s.choices {
		if c.finish == "" {
			return false
		}
	}
	return len(s.choices) > 0
}

// finishes maps what services say, in lower case. What is not here is a plain stop.
var finishes = map[string]canon.FinishReason{
	"stop": canon.FinishStop, "eos": canon.FinishStop, "end_turn": canon.FinishStop, "stop_sequence": canon.FinishStop,
	"length": canon.FinishLength, "max_tokens": canon.FinishLength, "max_output_tokens": canon.FinishLength,
	"tool_calls": canon.FinishTools, "function_call": canon.FinishTools, "tool_use": canon.FinishTools,
	"content_filter": canon.FinishFilter, "sensitive": canon.FinishFilter, "safety": canon.FinishFilter, "refusal": canon.FinishFilter,
	"model_length": canon.FinishContext, "model_context_window_exceeded": canon.FinishContext,
	"pause_turn": canon.FinishPause,
}

// finishOf returns the reason for what an upstream said. Calls decide, not words: an answer with a call ends in tools
// whatever the service says, and one without never does. Only a cut at the token limit stays one.
func finishOf(raw string, calls bool) canon.FinishReason {
	r, ok := finishes[strings.ToLower(raw)]
	switch {
	case r == canon.FinishLength || r == canon.FinishContext:
		return r
	case calls:
		return canon.FinishTools
	case !ok || r == canon.FinishTools:
		return canon.FinishStop
	default:
		return r
	}
}

// failedFinish returns the error for a finish reason that is one.
func failedFinish(raw string) *apierror.Error {
	switch raw {
	case "error", "network_error": // OpenRouter, GLM
		return apierror.New(apierror.Upstream5xx, "the service failed during the answer (%s); try again", raw)
	case "insufficient_system_resource": // DeepSeek
		return apierror.New(apierror.Overloaded, "the service ran out of resources during the answer; try again")
	}
	return nil
}
