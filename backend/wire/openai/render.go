package openai

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// NewRenderer renders one streamed answer as chunks.
func (Codec) NewRenderer(req *canon.Request) wire.Renderer {
	return &renderer{req: req, legacy: req.Op == string(OpCompletions), old: oldForm(req), usage: canon.UnknownUsage()}
}

// renderer turns events into chunks. Several tool calls may be open at once: each has its own index.
type renderer struct {
	req    *canon.Request
	legacy bool // the answer is a legacy completion
	old    bool // the client used functions: it is answered with function_call

	prefix   []byte // of every chunk, up to the choices
	started  bool
	ended    bool
	verbatim bool // the upstream's own chunks go out
	copies   bool // one has gone out
	usageOut bool // one of them was the usage
	usage    canon.Usage
	hasUsage bool
	choices  []outChoice
	parts    []outPart
}

type outChoice struct {
	opened, finished bool
	calls            int
	said             int // characters of a legacy completion so far
}

type outPart struct {
	typ    canon.PartType
	custom bool
	choice int
	slot   int // index of the tool call
	sent   int // bytes that went out as deltas
	sums   int // of the summary that is being written
	open   bool
}

// ContentType returns the type of an event stream.
func (*renderer) ContentType() string { return "text/event-stream; charset=utf-8" }

// AppendPing appends the comment that chat clients step over (seen with qwen-code 0.15.10, opencode 1.18.33 and cline
// 3.0.65).
func (r *renderer) AppendPing(dst []byte) []byte {
	if r.ended {
		return dst
	}
	return append(dst, ": ping\n\n"...)
}

// AppendError ends the answer with an error chunk and without [DONE]: the SDKs throw at it.
func (r *renderer) AppendError(dst []byte, e *apierror.Error) []byte {
	if r.ended {
		return dst
	}
	r.ended = true
	return append(oai.AppendError(append(dst, "data: "...), e), "\n\n"...)
}

// AppendEvent appends what an event means.
func (r *renderer) AppendEvent(dst []byte, ev canon.Event) []byte {
	if r.ended {
		return dst
	}
	if ev.Usage != nil {
		r.usage.Merge(*ev.Usage)
		r.hasUsage = true
	}
	if ev.Kind == canon.KindStart {
		r.start(ev)
	}
	if r.verbatim && (!ev.Anew || ev.Kind == canon.KindFinish) {
		return r.copied(dst, ev)
	}
	switch ev.Kind {
	case canon.KindStart:
		return r.open(dst, 0)
	case canon.KindPartStart:
		return r.partStart(dst, ev)
	case canon.KindDelta:
		return r.delta(dst, ev)
	case canon.KindPartEnd:
		return r.partEnd(dst, ev)
	case canon.KindChoiceFinish:
		return r.finishChoice(dst, ev.Choice, ev.Finish)
	case canon.KindFinish:
		return r.finish(dst, ev)
	}
	return dst
}

func (r *renderer) start(ev canon.Event) {
	if r.started {
		return
	}
	r.started, r.verbatim = true, ev.Verbatim
	r.prefix = r.head(nil, ev.ID, ev.Created, ev.Ext, true)
}

// head appends the beginning of a chunk or of a whole answer, up to the choices.
func (r *renderer) head(dst []byte, id string, created int64, ext map[string]jsontext.Value, chunk bool) []byte {
	if id == "" {
		id = r.req.NewID(map[bool]string{true: "cmpl-", false: "chatcmpl-"}[r.legacy], 24)
	}
	if created <= 0 {
		created = time.Now().Unix()
	}
	object := "chat.completion"
	switch {
	case r.legacy:
		object = "text_completion"
	case chunk:
		object = "chat.completion.chunk"
	}
	dst = wire.AppendString(append(dst, `{"id":`...), id)
	dst = append(append(append(dst, `,"object":"`...), object...), '"')
	dst = strconv.AppendInt(append(dst, `,"created":`...), created, 10)
	dst = wire.AppendString(append(dst, `,"model":`...), r.req.ModelAsked)
	for _, name := range []string{"system_fingerprint", "service_tier"} {
		if v := ext[name]; len(v) > 0 {
			dst = append(append(append(append(dst, `,"`...), name...), `":`...), v...)
		}
	}
	return append(dst, `,"choices":[`...)
}

// chunk appends the beginning of a chunk of one choice.
func (r *renderer) chunk(dst []byte, choice int) []byte {
	dst = append(append(dst, "data: "...), r.prefix...)
	return strconv.AppendInt(append(dst, `{"index":`...), int64(choice), 10)
}

// tail appends the end of a chunk of one choice.
func (r *renderer) tail(dst []byte) []byte {
	dst = append(dst, "}]"...)
	if r.req.IncludeUsage {
		dst = append(dst, `,"usage":null`...)
	}
	return append(dst, "}\n\n"...)
}

// begin appends a chunk up to the inside of its delta.
func (r *renderer) begin(dst []byte, choice int) []byte {
	return append(r.chunk(dst, choice), `,"delta":{`...)
}

// close ends what begin began.
func (r *renderer) close(dst []byte, logprobs jsontext.Value) []byte {
	dst = append(dst, '}')
	if len(logprobs) > 0 {
		dst = append(append(append(dst, `,"logprobs":{"content":`...), logprobs...), `,"refusal":null}`...)
	}
	return r.tail(append(dst, `,"finish_reason":null`...))
}

// open makes sure that a choice has begun: the role goes out once.
func (r *renderer) open(dst []byte, choice int) []byte {
	if !r.started {
		r.start(canon.Event{})
	}
	for len(r.choices) <= choice {
		r.choices = append(r.choices, outChoice{})
	}
	c := &r.choices[choice]
	if c.opened || r.copies {
		return dst
	}
	c.opened = true
	if r.legacy {
		return r.legacyText(dst, choice, echoOf(r.req, choice), nil)
	}
	dst = append(r.chunk(dst, choice), `,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null`...)
	return r.tail(dst)
}

func (r *renderer) partStart(dst []byte, ev canon.Event) []byte {
	if ev.Part == nil || ev.Index < 0 {
		return dst
	}
	dst = r.open(dst, ev.Choice)
	p := r.begun(ev)
	if p == nil || p.typ != canon.PartToolCall || r.legacy {
		return dst
	}
	return r.callStart(dst, p, ev.Part)
}

// begun notes a part that has begun; nil means that it was known.
func (r *renderer) begun(ev canon.Event) *outPart {
	for len(r.parts) <= ev.Index {
		r.parts = append(r.parts, outPart{})
	}
	p := &r.parts[ev.Index]
	if p.typ != 0 {
		return nil
	}
	*p = outPart{typ: ev.Part.Type, custom: ev.Part.Custom, choice: ev.Choice, open: true}
	if p.typ == canon.PartToolCall {
		c := &r.choices[ev.Choice]
		p.slot = c.calls
		c.calls++
	}
	return p
}

// callStart appends the first entry of a call: id and name come whole, and only here.
func (r *renderer) callStart(dst []byte, p *outPart, part *canon.Part) []byte {
	name := wire.FlatName(part.Space, part.Name)
	dst = r.begin(dst, p.choice)
	switch {
	case r.old:
		dst = wire.AppendString(append(dst, `"function_call":{"name":`...), name)
		dst = append(dst, `,"arguments":""}`...)
	case p.custom:
		dst = wire.AppendString(r.callHead(dst, p.slot, `,"id":`), part.CallID)
		dst = wire.AppendString(append(dst, `,"type":"custom","custom":{"name":`...), name)
		dst = append(dst, `,"input":""}}]`...)
	default:
		dst = wire.AppendString(r.callHead(dst, p.slot, `,"id":`), part.CallID)
		dst = wire.AppendString(append(dst, `,"type":"function","function":{"name":`...), name)
		dst = append(dst, `,"arguments":""}}]`...)
	}
	return r.close(dst, nil)
}

func (r *renderer) callHead(dst []byte, slot int, next string) []byte {
	dst = strconv.AppendInt(append(dst, `"tool_calls":[{"index":`...), int64(slot), 10)
	return append(dst, next...)
}

func (r *renderer) delta(dst []byte, ev canon.Event) []byte {
	if ev.Index < 0 || ev.Index >= len(r.parts) || !r.parts[ev.Index].open {
		return dst
	}
	p := &r.parts[ev.Index]
	switch ev.Delta {
	case canon.DeltaSignature, canon.DeltaCitation:
		return dst
	case canon.DeltaSummary:
		if ev.Summary > p.sums { // a new paragraph
			p.sums = ev.Summary
			if p.sent > 0 {
				dst = r.piece(dst, p, "\n\n", nil)
			}
		}
	}
	return r.piece(dst, p, ev.Text, ev.Logprobs)
}

// piece appends a bit of a part's text or arguments.
func (r *renderer) piece(dst []byte, p *outPart, s string, logprobs jsontext.Value) []byte {
	if s == "" && len(logprobs) == 0 {
		return dst
	}
	p.sent += len(s)
	if r.legacy {
		if p.typ != canon.PartText {
			return dst
		}
		return r.legacyText(dst, p.choice, s, logprobs)
	}
	dst = r.begin(dst, p.choice)
	switch p.typ {
	case canon.PartReasoning:
		dst = wire.AppendString(append(dst, `"reasoning_content":`...), s)
	case canon.PartRefusal:
		dst = wire.AppendString(append(dst, `"refusal":`...), s)
	case canon.PartToolCall:
		dst = r.callPiece(dst, p, s)
	default:
		dst = wire.AppendString(append(dst, `"content":`...), s)
	}
	return r.close(dst, logprobs)
}

func (r *renderer) callPiece(dst []byte, p *outPart, s string) []byte {
	switch {
	case r.old:
		dst = wire.AppendString(append(dst, `"function_call":{"arguments":`...), s)
		return append(dst, '}')
	case p.custom:
		dst = wire.AppendString(r.callHead(dst, p.slot, `,"custom":{"input":`), s)
	default:
		dst = wire.AppendString(r.callHead(dst, p.slot, `,"function":{"arguments":`), s)
	}
	return append(dst, "}}]"...)
}

// partEnd appends what no delta has told.
func (r *renderer) partEnd(dst []byte, ev canon.Event) []byte {
	if ev.Part == nil || ev.Index < 0 {
		return dst
	}
	if ev.Index >= len(r.parts) || r.parts[ev.Index].typ == 0 {
		dst = r.partStart(dst, ev)
	}
	p := &r.parts[ev.Index]
	if !p.open {
		return dst
	}
	if p.typ == canon.PartImage && !r.legacy {
		dst = appendImages(append(r.begin(dst, p.choice), `"images":`...), []canon.Part{*ev.Part})
		dst = r.close(dst, nil)
	} else if p.typ == canon.PartAudio && !r.legacy {
		if a := r.answerAudio(ev.Part); a != nil {
			dst = r.close(append(append(r.begin(dst, p.choice), `"audio":`...), a...), nil)
		}
	} else if p.sent == 0 {
		dst = r.piece(dst, p, visible(ev.Part), nil)
	}
	p.open = false
	return dst
}

// visible is the text of a part as a chat client sees it.
func visible(p *canon.Part) string {
	switch {
	case p.Type == canon.PartToolCall && !p.Custom:
		return p.ArgsText()
	case p.Type == canon.PartReasoning && p.Redacted, p.Type == canon.PartServer:
		return ""
	case p.Type == canon.PartReasoning && p.Text == "":
		return joinSummary(p.Summary)
	default:
		return p.Text
	}
}

func joinSummary(s []string) string {
	var b []byte
	for i, t := range s {
		if i > 0 {
			b = append(b, "\n\n"...)
		}
		b = append(b, t...)
	}
	return string(b)
}

// reasons are the words that chat has for why an answer ended.
var reasons = map[canon.FinishReason]string{
	canon.FinishStop: "stop", canon.FinishStopSequence: "stop", canon.FinishTools: "tool_calls", canon.FinishLength: "length",
	canon.FinishContext: "length", canon.FinishFilter: "content_filter", canon.FinishPause: "stop",
}

// reason returns the finish_reason, which is never null in a complete answer.
func (r *renderer) reason(f canon.Finish) string {
	word := reasons[f.Reason]
	switch {
	case word == "", r.legacy && word == "tool_calls":
		return "stop"
	case r.old && word == "tool_calls":
		return "function_call"
	default:
		return word
	}
}

func (r *renderer) finishChoice(dst []byte, choice int, f canon.Finish) []byte {
	dst = r.open(dst, choice)
	c := &r.choices[choice]
	if c.finished {
		return dst
	}
	c.finished = true
	dst = r.chunk(dst, choice)
	if r.legacy {
		dst = append(dst, `,"text":"","logprobs":null`...)
	} else {
		dst = append(dst, `,"delta":{}`...)
	}
	dst = append(append(append(dst, `,"finish_reason":"`...), r.reason(f)...), '"')
	return r.tail(dst)
}

func (r *renderer) finish(dst []byte, ev canon.Event) []byte {
	dst = r.open(dst, 0)
	for i := range r.choices {
		dst = r.finishChoice(dst, i, ev.Finish)
	}
	return r.done(dst)
}

// done appends the usage, if it was asked for, and the end.
func (r *renderer) done(dst []byte) []byte {
	if r.req.IncludeUsage && !r.usageOut {
		dst = append(append(dst, "data: "...), r.prefix...)
		dst = append(dst, `],"usage":`...)
		dst = append(appendUsage(dst, r.usage), "}\n\n"...)
	}
	r.ended = true
	return append(dst, "data: [DONE]\n\n"...)
}

// copied passes an upstream's own chunk on, with the model's name put back. A usage chunk that the client did not ask
// for stays here.
func (r *renderer) copied(dst []byte, ev canon.Event) []byte {
	if ev.Kind == canon.KindFinish {
		if ev.Finish.Raw == "" { // the upstream never said why it ended
			dst = r.finishChoice(dst, 0, ev.Finish)
		}
		return r.done(dst)
	}
	if ev.Kind == canon.KindUsage {
		if len(ev.Raw) > 0 && !r.req.IncludeUsage {
			return dst
		}
		r.usageOut = true
	}
	r.observe(ev)
	if len(ev.Raw) == 0 {
		return dst
	}
	r.copies = true
	raw := ev.Raw
	if bytes.IndexByte(raw, '\n') >= 0 || bytes.IndexByte(raw, '\r') >= 0 {
		raw = wire.Compact(raw)
	}
	if ev.RawName != "" {
		dst = append(append(append(dst, "event: "...), ev.RawName...), '\n')
	}
	dst = append(dst, "data: "...)
	return append(appendModelBack(dst, raw, r.req.ModelAsked), "\n\n"...)
}

// observe notes what copied chunks have told, for those that are rendered between them.
func (r *renderer) observe(ev canon.Event) {
	if ev.Index < 0 || ev.Choice < 0 {
		return
	}
	switch ev.Kind {
	case canon.KindPartStart:
		for len(r.choices) <= ev.Choice {
			r.choices = append(r.choices, outChoice{})
		}
		if ev.Part != nil {
			r.begun(ev)
		}
	case canon.KindDelta:
		if ev.Index < len(r.parts) {
			r.parts[ev.Index].sent += len(ev.Text)
		}
	case canon.KindPartEnd:
		if ev.Index < len(r.parts) {
			r.parts[ev.Index].open = false
		}
	}
}

// appendModelBack appends an answer or a chunk with the name of the model that the client asked for.
func appendModelBack(dst, raw []byte, asked string) []byte {
	c := walkObject(raw)
	for c.Next() {
		if string(c.Name) != "model" {
			continue
		}
		if text(c.Value) == asked {
			break
		}
		dst = append(dst, raw[:c.At]...)
		dst = wire.AppendString(dst, asked)
		return append(dst, raw[c.At+len(c.Value):]...)
	}
	return append(dst, raw...)
}

// appendUsage appends token counts in chat's arithmetic: the prompt includes what was cached, the completion the
// thinking.
func appendUsage(dst []byte, u canon.Usage) []byte {
	num := func(name string, n int64) {
		dst = strconv.AppendInt(append(dst, name...), canon.Known(n), 10)
	}
	num(`{"prompt_tokens":`, u.Input)
	num(`,"completion_tokens":`, u.Output)
	num(`,"total_tokens":`, canon.Known(u.Input)+canon.Known(u.Output))
	num(`,"prompt_tokens_details":{"cached_tokens":`, u.CacheRead)
	num(`,"cache_write_tokens":`, u.CacheWrite)
	dst = append(dst, `,"audio_tokens":0}`...)
	num(`,"completion_tokens_details":{"reasoning_tokens":`, u.Reasoning)
	return append(dst, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`...)
}

func appendImages(dst []byte, parts []canon.Part) []byte {
	dst = append(dst, '[')
	for i := range parts {
		m := parts[i].Media
		if m == nil {
			continue
		}
		url := m.URL
		if len(m.Data) > 0 {
			url = wire.DataURL(m.MIME, m.Data)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(append(dst, `{"type":"image_url","image_url":{"url":`...), url)
		dst = append(dst, "}}"...)
	}
	return append(dst, ']')
}

// legacyText appends a piece of a legacy completion.
func (r *renderer) legacyText(dst []byte, choice int, s string, logprobs jsontext.Value) []byte {
	if s == "" {
		return dst
	}
	dst = wire.AppendString(append(r.chunk(dst, choice), `,"text":`...), s)
	at := 0
	if choice < len(r.choices) {
		at = r.choices[choice].said
		r.choices[choice].said += utf8.RuneCountInString(s)
	}
	dst = appendLegacyLogprobs(append(dst, `,"logprobs":`...), logprobs, at)
	return r.tail(append(dst, `,"finish_reason":null`...))
}
