package ollama

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

const (
	jsonType   = "application/json; charset=utf-8"
	streamType = "application/x-ndjson"
)

// NewRenderer renders one streamed answer as lines of JSON.
func (Codec) NewRenderer(req *canon.Request) wire.Renderer {
	return &renderer{answer: newAnswer(req)}
}

// renderer turns events into lines. Text and thinking go out as they come, a tool call when it is whole: its arguments
// are an object, which cannot be sent in pieces.
type renderer struct {
	answer
	ended    bool
	verbatim bool // the upstream's own lines go out
	final    bool // and the last one did
	parts    []outPart
}

type outPart struct {
	typ  canon.PartType
	sent int // bytes that went out as deltas
	sums int // the summary that is being written
	open bool
}

// ContentType returns the type of lines of JSON.
func (*renderer) ContentType() string { return streamType }

// AppendPing appends nothing: a blank line breaks clients that parse line by line.
func (*renderer) AppendPing(dst []byte) []byte { return dst }

// AppendError ends the answer with an error line, at which the official clients throw.
func (r *renderer) AppendError(dst []byte, e *apierror.Error) []byte {
	if r.ended {
		return dst
	}
	r.ended = true
	return append(appendError(dst, e), '\n')
}

// AppendEvent appends what an event means.
func (r *renderer) AppendEvent(dst []byte, ev canon.Event) []byte {
	if r.ended {
		return dst
	}
	r.observe(ev)
	if ev.Kind == canon.KindStart {
		r.verbatim = r.verbatim || ev.Verbatim
	}
	if r.verbatim {
		return r.copied(dst, ev)
	}
	switch ev.Kind {
	case canon.KindPartStart:
		return r.partStart(dst, ev)
	case canon.KindDelta:
		return r.delta(dst, ev)
	case canon.KindPartEnd:
		return r.partEnd(dst, ev)
	case canon.KindFinish:
		return r.finish(dst, ev)
	}
	return dst
}

// copied passes an upstream's own line on, with the model's name put back.
func (r *renderer) copied(dst []byte, ev canon.Event) []byte {
	if len(ev.Raw) > 0 {
		dst = append(appendModelBack(dst, bytes.TrimSpace(ev.Raw), r.req.ModelAsked), '\n')
		r.final = ev.Kind == canon.KindFinish
	}
	if ev.Kind != canon.KindFinish {
		return dst
	}
	if r.final {
		r.ended = true
		return dst
	}
	return r.finish(dst, ev)
}

func (r *renderer) partStart(dst []byte, ev canon.Event) []byte {
	if ev.Part == nil || ev.Index < 0 || ev.Choice > 0 {
		return dst
	}
	for len(r.parts) <= ev.Index {
		r.parts = append(r.parts, outPart{})
	}
	if p := &r.parts[ev.Index]; p.typ == 0 {
		*p = outPart{typ: ev.Part.Type, open: true}
	}
	return dst
}

func (r *renderer) delta(dst []byte, ev canon.Event) []byte {
	if ev.Index < 0 || ev.Index >= len(r.parts) || !r.parts[ev.Index].open || ev.Choice > 0 {
		return dst
	}
	p := &r.parts[ev.Index]
	switch {
	case ev.Delta == canon.DeltaSummary && ev.Summary > p.sums: // a new paragraph
		p.sums = ev.Summary
		if p.sent > 0 {
			dst = r.piece(dst, p, "\n\n", nil)
		}
	case ev.Delta != canon.DeltaText && ev.Delta != canon.DeltaSummary:
		return dst
	}
	return r.piece(dst, p, ev.Text, ev.Logprobs)
}

// piece appends a line with a bit of text or thinking.
func (r *renderer) piece(dst []byte, p *outPart, s string, logprobs jsontext.Value) []byte {
	if s == "" && len(logprobs) == 0 {
		return dst
	}
	switch p.typ {
	case canon.PartReasoning:
		dst = r.line(dst, "", s, nil, nil)
	case canon.PartText, canon.PartRefusal:
		dst = r.line(dst, s, "", nil, nil)
	default:
		return dst
	}
	p.sent += len(s)
	dst = appendLogprobs(dst, logprobs)
	return append(dst, `,"done":false}`+"\n"...)
}

// partEnd appends what no delta has told: calls and pictures, and parts that came in one piece.
func (r *renderer) partEnd(dst []byte, ev canon.Event) []byte {
	if ev.Part == nil || ev.Index < 0 || ev.Choice > 0 {
		return dst
	}
	if ev.Index >= len(r.parts) || r.parts[ev.Index].typ == 0 {
		dst = r.partStart(dst, ev)
	}
	p := &r.parts[ev.Index]
	if !p.open {
		return dst
	}
	p.open = false
	switch {
	case p.typ == canon.PartToolCall && ev.Part.Type == canon.PartToolCall && !r.generate:
		dst = append(r.line(dst, "", "", []*canon.Part{ev.Part}, nil), `,"done":false}`+"\n"...)
		r.calls++
		return dst
	case p.typ == canon.PartImage && ev.Part.Media != nil && !r.generate:
		return append(r.line(dst, "", "", nil, []*canon.Part{ev.Part}), `,"done":false}`+"\n"...)
	case p.sent == 0:
		return r.piece(dst, p, visible(ev.Part), nil)
	}
	return dst
}

// visible is the text of a part as people see it.
func visible(p *canon.Part) string {
	switch {
	case p.Type == canon.PartReasoning && p.Redacted:
		return ""
	case p.Type == canon.PartReasoning && p.Text == "":
		var b []byte
		for i, s := range p.Summary {
			if i > 0 {
				b = append(b, "\n\n"...)
			}
			b = append(b, s...)
		}
		return string(b)
	default:
		return p.Text
	}
}

func (r *renderer) finish(dst []byte, ev canon.Event) []byte {
	r.ended = true
	dst = r.line(dst, "", "", nil, nil)
	return append(r.ending(dst, ev.Finish, ev.Ext), '\n')
}

// answer knows what both forms of an answer say at their end.
type answer struct {
	req      *canon.Request
	generate bool
	prefix   []byte // `{"model":"...","created_at":"`
	calls    int    // tool calls written so far
	first    time.Time
	usage    canon.Usage
}

func newAnswer(req *canon.Request) answer {
	a := answer{req: req, generate: req.Op == string(OpGenerate), usage: canon.UnknownUsage()}
	a.prefix = append(wire.AppendString([]byte(`{"model":`), req.ModelAsked), `,"created_at":"`...)
	return a
}

// observe takes note of what the end of the answer tells.
func (a *answer) observe(ev canon.Event) {
	if a.first.IsZero() && ev.Content() {
		a.first = a.req.Now()
	}
	if ev.Usage != nil {
		a.usage.Merge(*ev.Usage)
	}
}

// stamp is RFC 3339 in UTC, always with a fraction: strict clients expect one.
const stamp = "2006-01-02T15:04:05.000000Z"

// line appends a line up to the inside of its object.
func (a *answer) line(dst []byte, content, thinking string, calls, images []*canon.Part) []byte {
	dst = a.req.Now().UTC().AppendFormat(append(dst, a.prefix...), stamp)
	if a.generate {
		dst = wire.AppendString(append(dst, `","response":`...), content)
		if thinking != "" {
			dst = wire.AppendString(append(dst, `,"thinking":`...), thinking)
		}
		return dst
	}
	dst = wire.AppendString(append(dst, `","message":{"role":"assistant","content":`...), content)
	if thinking != "" {
		dst = wire.AppendString(append(dst, `,"thinking":`...), thinking)
	}
	for i, p := range images {
		dst = append(dst, map[bool]string{true: `,"images":["`, false: `,"`}[i == 0]...)
		dst = append(base64.StdEncoding.AppendEncode(dst, p.Media.Data), '"')
	}
	if len(images) > 0 {
		dst = append(dst, ']')
	}
	for i, p := range calls {
		dst = append(dst, map[bool]string{true: `,"tool_calls":[`, false: `,`}[i == 0]...)
		dst = appendCall(dst, p, a.calls+i)
	}
	if len(calls) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendCall appends a call with its arguments as an object. The input of a custom tool is one string in it.
func appendCall(dst []byte, p *canon.Part, index int) []byte {
	dst = wire.AppendString(append(dst, `{"id":`...), p.CallID)
	dst = strconv.AppendInt(append(dst, `,"function":{"index":`...), int64(index), 10)
	dst = wire.AppendString(append(dst, `,"name":`...), wire.FlatName(p.Space, p.Name))
	dst = append(dst, `,"arguments":`...)
	return append(append(dst, wire.Compact(argsObject(p))...), "}}"...)
}

func argsObject(p *canon.Part) jsontext.Value {
	if p.Custom {
		return append(wire.AppendString(jsontext.Value(`{"input":`), p.Text), '}')
	}
	return p.ArgsObject()
}

func appendLogprobs(dst []byte, entries jsontext.Value) []byte {
	if len(entries) == 0 {
		return dst
	}
	return append(append(dst, `,"logprobs":`...), wire.Compact(entries)...)
}

// reasons are the words that Ollama has for why an answer ended.
var reasons = map[canon.FinishReason]string{
	canon.FinishStop: "stop", canon.FinishStopSequence: "stop", canon.FinishTools: "stop", canon.FinishLength: "length",
	canon.FinishContext: "length", canon.FinishFilter: "stop", canon.FinishPause: "stop",
}

// ending appends what the last line has besides its message, up to the end of the object.
func (a *answer) ending(dst []byte, f canon.Finish, ext map[string]jsontext.Value) []byte {
	reason := reasons[f.Reason]
	if reason == "" {
		reason = "stop"
	}
	dst = append(append(append(dst, `,"done":true,"done_reason":"`...), reason...), '"')
	if a.generate {
		dst = append(dst, `,"context":[]`...)
	}
	num := func(name string, n int64) {
		dst = strconv.AppendInt(append(append(append(dst, `,"`...), name...), `":`...), n, 10)
	}
	t := a.times(ext)
	num("total_duration", t.total)
	num("load_duration", t.load)
	num("prompt_eval_count", canon.Known(a.usage.Input))
	num("prompt_eval_duration", t.prompt)
	num("eval_count", canon.Known(a.usage.Output))
	num("eval_duration", t.eval)
	return append(dst, '}')
}

// times are the durations of an answer in nanoseconds, as clients divide by them: none but load is ever 0.
type times struct{ total, load, prompt, eval int64 }

// onePiece is the time between the first content and the end below which an answer was not streamed but came in one
// piece.
const onePiece = time.Millisecond

// times returns what an upstream of this format measured, else the wall clock from the request to the first content and
// from there to the end. Of an answer in one piece nobody can tell the two apart: both are then the whole, so that a rate
// made of them is too low rather than endless.
func (a *answer) times(ext map[string]jsontext.Value) times {
	end := a.req.Now()
	began := a.req.Began
	if began.IsZero() || began.After(end) {
		began = end
	}
	first := a.first
	if first.Before(began) || first.After(end) {
		first = end
	}
	t := times{total: int64(end.Sub(began)), prompt: int64(first.Sub(began)), eval: int64(end.Sub(first))}
	if end.Sub(first) < onePiece {
		t.prompt, t.eval = t.total, t.total
	}
	for name, dst := range map[string]*int64{memberTotal: &t.total, memberLoad: &t.load, memberPrompt: &t.prompt, memberEval: &t.eval} {
		if n, err := strconv.ParseInt(string(ext[name]), 10, 64); err == nil && n > 0 {
			*dst = n
		}
	}
	t.total, t.prompt, t.eval = max(t.total, 1), max(t.prompt, 1), max(t.eval, 1)
	return t
}

// Members of the last line that tell how long an answer took.
const (
	memberTotal  = "total_duration"
	memberLoad   = "load_duration"
	memberPrompt = "prompt_eval_duration"
	memberEval   = "eval_duration"
)

// AppendResponse renders a whole answer: the last line's members with the full message.
func (Codec) AppendResponse(dst []byte, req *canon.Request, resp *canon.Response) ([]byte, error) {
	if len(resp.Whole) > 0 {
		return appendModelBack(dst, bytes.TrimSpace(resp.Whole), req.ModelAsked), nil
	}
	a := newAnswer(req)
	a.first = resp.First
	if resp.Usage != nil {
		a.usage.Merge(*resp.Usage)
	}
	var content, thinking []byte
	var calls, images []*canon.Part
	var logprobs jsontext.Value
	for i := range resp.Parts {
		p := &resp.Parts[i]
		switch p.Type {
		case canon.PartText, canon.PartRefusal:
			content = append(content, p.Text...)
			if len(p.Logprobs) > 0 {
				logprobs = p.Logprobs
			}
		case canon.PartReasoning:
			s := visible(p)
			if s != "" && len(thinking) > 0 {
				thinking = append(thinking, "\n\n"...)
			}
			thinking = append(thinking, s...)
		case canon.PartToolCall:
			if !a.generate {
				calls = append(calls, p)
			}
		case canon.PartImage:
			if p.Media != nil && !a.generate {
				images = append(images, p)
			}
		}
	}
	dst = a.line(dst, string(content), string(thinking), calls, images)
	return a.ending(appendLogprobs(dst, logprobs), resp.Finish, resp.Ext), nil
}

// AppendImmediate answers a request without a prompt at once: it only asks to load the model, or with keep_alive 0 to let
// it go, and there is nothing to load here.
func (Codec) AppendImmediate(dst []byte, req *canon.Request) ([]byte, bool) {
	prompt := "messages"
	if req.Op == string(OpGenerate) {
		prompt = "prompt"
	}
	if !blank(req.Body.Get(prompt)) {
		return dst, false
	}
	reason := "load"
	if unloads(req.Ext["keep_alive"]) {
		reason = "unload"
	}
	a := newAnswer(req)
	dst = append(a.line(dst, "", "", nil, nil), `,"done":true,"done_reason":"`...)
	return append(append(dst, reason...), `"}`...), true
}

// unloads reports whether keep_alive says 0, as a number or as a duration.
func unloads(v jsontext.Value) bool {
	if v.Kind() == '0' {
		f, err := strconv.ParseFloat(string(v), 64)
		return err == nil && f == 0
	}
	if v.Kind() != '"' {
		return false
	}
	d, err := time.ParseDuration(unquote(v))
	return err == nil && d == 0
}

// appendModelBack appends a line with the name of the model that the client asked for. The name is the first member in
// all that Ollama writes; elsewhere it is looked for.
func appendModelBack(dst, raw []byte, asked string) []byte {
	const head = `{"model":"`
	if bytes.HasPrefix(raw, []byte(head)) {
		if end := bytes.IndexAny(raw[len(head):], `"\`); end >= 0 && raw[len(head)+end] == '"' {
			dst = wire.AppendString(append(dst, `{"model":`...), asked)
			return append(dst, raw[len(head)+end+1:]...)
		}
	}
	o, err := canon.ParseObject(raw)
	if err != nil || !o.Has("model") {
		return append(dst, raw...)
	}
	return o.AppendEdited(dst, canon.Edit{Name: "model", Value: wire.AppendString(nil, asked)})
}
