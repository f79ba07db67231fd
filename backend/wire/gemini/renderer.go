package gemini

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// NewRenderer renders one streamed answer, as server-sent events or as a JSON array.
func (Codec) NewRenderer(req *canon.Request) wire.Renderer {
	return &renderer{req: req, array: len(req.Ext[arrayMember]) > 0, model: req.ModelAsked, thoughts: showThoughts(req)}
}

// showThoughts reports whether the client asked to see thoughts. Google sends none without includeThoughts, and programs
// that join all text would show them as the answer.
func showThoughts(req *canon.Request) bool {
	return req.Reasoning.Summary != "" && req.Reasoning.Summary != "none"
}

// renderer writes every event as a GenerateContentResponse with the new parts only. The framing is exact because
// gemini-cli 0.61.0 (SDK 1.30) and the Go SDK v1.77.0 read nothing else: `data: ` with the space, JSON on one line, a blank
// line; never a comment or an event line.
type renderer struct {
	req      *canon.Request
	array    bool
	thoughts bool
	model    string
	id       string
	tail     []byte // what stands behind the candidates of every frame

	parts    []livePart
	ends     []canon.Finish // of choices, told in the last frame
	usage    *canon.Usage
	ext      map[string]jsontext.Value
	frames   int
	verbatim bool
	finished bool // a copied frame had a finishReason
	done     bool
}

// livePart is a part that is being written.
type livePart struct {
	part      canon.Part
	args, sig []byte
	ended     bool
}

// ContentType tells the framing.
func (r *renderer) ContentType() string {
	if r.array {
		return mimeJSON
	}
	return "text/event-stream"
}

// AppendPing appends an empty event: two line ends, which every tested client reads over. A comment blocks gemini-cli's
// parser for the rest of the stream, a single line end breaks the Go SDK. The array has no keep-alive.
func (r *renderer) AppendPing(dst []byte) []byte {
	if r.array || r.done {
		return dst
	}
	return append(dst, "\n\n"...)
}

// AppendEvent renders one event.
func (r *renderer) AppendEvent(dst []byte, ev canon.Event) []byte {
	if r.done {
		return dst
	}
	if ev.Usage != nil {
		r.addUsage(ev.Usage)
	}
	if ev.Kind == canon.KindStart {
		r.verbatim = ev.Verbatim
		r.id = ev.ID
	}
	if r.verbatim {
		return r.copied(dst, ev)
	}
	switch ev.Kind {
	case canon.KindPartStart:
		r.start(ev)
	case canon.KindDelta:
		return r.delta(dst, ev)
	case canon.KindPartEnd:
		return r.end(dst, ev)
	case canon.KindChoiceFinish:
		r.choiceEnd(ev)
	case canon.KindFinish:
		return r.finish(dst, ev)
	}
	return dst
}

// copied passes an upstream's own frame on. The last frame of our own is only written if theirs did not come.
func (r *renderer) copied(dst []byte, ev canon.Event) []byte {
	if len(ev.Raw) > 0 {
		dst = r.open(dst)
		dst = appendModelVersion(dst, ev.Raw, r.model)
		dst = r.close(dst)
		r.finished = r.finished || bytes.Contains(ev.Raw, []byte(`"finishReason"`)) || bytes.Contains(ev.Raw, []byte(`"blockReason"`))
	}
	if ev.Kind != canon.KindFinish {
		return dst
	}
	if r.finished {
		r.done = true
		return r.closeAll(dst)
	}
	return r.finish(dst, ev)
}

func (r *renderer) addUsage(u *canon.Usage) {
	if r.usage == nil {
		n := canon.UnknownUsage()
		r.usage = &n
	}
	r.usage.Merge(*u)
}

// at returns the part with an index, nil for one that was never started.
func (r *renderer) at(index int) *livePart {
	if index < 0 || index >= len(r.parts) || r.parts[index].part.Type == 0 {
		return nil
	}
	return &r.parts[index]
}

const maxParts = 1 << 16 // an answer with more is no answer

func (r *renderer) start(ev canon.Event) {
	if ev.Part == nil || ev.Index < 0 || ev.Index > maxParts {
		return
	}
	for len(r.parts) <= ev.Index {
		r.parts = append(r.parts, livePart{})
	}
	r.parts[ev.Index] = livePart{part: *ev.Part}
}

func (r *renderer) delta(dst []byte, ev canon.Event) []byte {
	p := r.at(ev.Index)
	if p == nil || p.ended {
		return dst
	}
	switch ev.Delta {
	case canon.DeltaArgs:
		p.args = append(p.args, ev.Text...)
	case canon.DeltaSignature:
		p.sig = append(p.sig, ev.Text...)
	case canon.DeltaText, canon.DeltaSummary:
		switch p.part.Type {
		case canon.PartToolCall:
			p.args = append(p.args, ev.Text...)
		case canon.PartText, canon.PartRefusal:
			return r.text(dst, ev, false)
		case canon.PartReasoning:
			if r.thoughts {
				return r.text(dst, ev, true)
			}
		}
	}
	return dst
}

// text writes a frame with one piece of text: the hot path.
func (r *renderer) text(dst []byte, ev canon.Event, thought bool) []byte {
	if ev.Text == "" {
		return dst
	}
	dst = r.open(dst)
	dst = append(dst, `{"candidates":[{"content":{"role":"model","parts":[{"text":`...)
	dst = wire.AppendString(dst, ev.Text)
	if thought {
		dst = append(dst, `,"thought":true`...)
	}
	dst = append(dst, `}]},"index":`...)
	dst = strconv.AppendInt(dst, int64(ev.Choice), 10)
	if len(ev.Logprobs) > 0 {
		dst = append(append(dst, `,"logprobsResult":`...), geminiLogprobs(ev.Logprobs)...)
	}
	dst = append(append(dst, "}]"...), r.foot()...)
	return r.close(dst)
}

// end writes what a part can only say when it is whole: a call with its signature, a signature of text, a picture.
func (r *renderer) end(dst []byte, ev canon.Event) []byte {
	p := r.at(ev.Index)
	if p == nil || p.ended {
		return dst
	}
	p.ended = true
	whole := p.part
	if ev.Part != nil && ev.Part.Type != 0 {
		whole = *ev.Part
	}
	if len(p.sig) > 0 && (whole.Opaque == nil || whole.Opaque.Data == "") {
		o := canon.Opaque{}
		if whole.Opaque != nil {
			o = *whole.Opaque
		}
		o.Data = string(p.sig)
		whole.Opaque = &o
	}
	if whole.Type == canon.PartToolCall && len(whole.Args) == 0 {
		if whole.Custom && whole.Text == "" {
			whole.Text = string(p.args)
		} else if !whole.Custom {
			whole.SetArgs(string(p.args))
		}
	}
	if ev.Part != nil && ev.Part.Text != "" && whole.Type != canon.PartToolCall {
		whole.Text = "" // it went out in pieces
	}
	p.args, p.sig = nil, nil
	w := writer{}
	if !r.part(&w, &whole, true) {
		return dst
	}
	dst = r.open(dst)
	dst = append(dst, `{"candidates":[{"content":{"role":"model","parts":[`...)
	dst = append(dst, w.b...)
	dst = append(dst, `]},"index":`...)
	dst = strconv.AppendInt(dst, int64(ev.Choice), 10)
	dst = append(append(dst, "}]"...), r.foot()...)
	return r.close(dst)
}

// part appends a part of an answer. rest says that its text has gone out already. It reports false, and appends nothing,
// for a part that says nothing to this client.
func (r *renderer) part(w *writer, p *canon.Part, rest bool) bool {
	sig := showSignature(p.Opaque, p.Redacted)
	switch p.Type {
	case canon.PartToolCall:
		appendCall(w, p, sig)
		return true
	case canon.PartText, canon.PartRefusal:
		if rest && sig == "" || p.Text == "" && sig == "" {
			return false
		}
		appendText(w, p.Text, false, sig)
		return true
	case canon.PartReasoning:
		return r.reasoning(w, p, sig, rest)
	case canon.PartImage, canon.PartAudio, canon.PartVideo, canon.PartDocument:
		if p.Media == nil || len(p.Media.Data) == 0 {
			return false
		}
		appendBlob(w, p.Media, sig, p.Ext)
		return true
	case canon.PartServer:
		if p.Opaque == nil || p.Opaque.Family != wire.FamilyGemini || p.Server.Kind() != '{' {
			return false
		}
		appendServer(w, p)
		return true
	}
	return false
}

// reasoning appends a thought, or its signature alone. A signature of another maker whose text the client did not want
// to see is of no use without that text, except where it holds everything itself.
func (r *renderer) reasoning(w *writer, p *canon.Part, sig string, rest bool) bool {
	text := ""
	if !rest && r.thoughts {
		text = p.Text
		for _, s := range p.Summary {
			text += s
		}
	}
	if text == "" && sig == "" {
		return false
	}
	if o := p.Opaque; o != nil && !r.thoughts && o.Family == wire.FamilyClaude && !p.Redacted {
		return false
	}
	kind := ""
	if p.Opaque != nil {
		kind = p.Opaque.Kind
	}
	appendText(w, text, kind != wire.OpaqueText && kind != wire.OpaqueCall, sig)
	return true
}

func (r *renderer) choiceEnd(ev canon.Event) {
	if ev.Choice < 0 || ev.Choice > maxParts {
		return
	}
	for len(r.ends) <= ev.Choice {
		r.ends = append(r.ends, canon.Finish{Reason: canon.FinishStop})
	}
	r.ends[ev.Choice] = ev.Finish
}

// finish writes the last frame: the only one with finishReason.
func (r *renderer) finish(dst []byte, ev canon.Event) []byte {
	r.done = true
	r.ext = ev.Ext
	ends := r.ends
	if len(ends) == 0 {
		ends = []canon.Finish{ev.Finish}
	}
	dst = r.open(dst)
	w := writer{b: append(dst, '{')}
	w.begin("candidates", '[')
	for i, f := range ends {
		w.open('{')
		w.begin("content", '{')
		w.str("role", "model")
		w.raw("parts", jsontext.Value(`[{"text":""}]`))
		w.close('}')
		r.candidateEnd(&w, i, f)
	}
	w.close(']')
	w.usage(r.usage)
	dst = append(w.b, r.foot()...)
	return r.closeAll(r.close(dst))
}

func (r *renderer) candidateEnd(w *writer, i int, f canon.Finish) {
	w.str("finishReason", finishWord(f))
	if i == 0 {
		w.ext(r.ext, "index", "content", "finishReason")
	}
	w.int("index", int64(i))
	w.close('}')
}

// AppendError ends the answer with an error: both SDKs make an ApiError of such a frame.
func (r *renderer) AppendError(dst []byte, e *apierror.Error) []byte {
	if r.done {
		return dst
	}
	r.done = true
	dst = r.open(dst)
	dst = appendError(dst, e, "")
	return r.closeAll(r.close(dst))
}

// open starts a frame.
func (r *renderer) open(dst []byte) []byte {
	r.frames++
	switch {
	case !r.array:
		return append(dst, "data: "...)
	case r.frames == 1:
		return append(dst, '[')
	default:
		return append(dst, ",\r\n"...)
	}
}

// close ends a frame.
func (r *renderer) close(dst []byte) []byte {
	if r.array {
		return dst
	}
	return append(dst, "\n\n"...)
}

// closeAll ends the answer.
func (r *renderer) closeAll(dst []byte) []byte {
	switch {
	case !r.array:
		return dst
	case r.frames == 0:
		return append(dst, "[]"...)
	default:
		return append(dst, ']')
	}
}

// foot returns what stands behind the candidates in every frame.
func (r *renderer) foot() []byte {
	if r.tail == nil {
		if r.id == "" {
			r.id = r.req.NewID("", 22)
		}
		w := writer{b: []byte("}")} // makes the comma
		w.str("modelVersion", r.model)
		w.str("responseId", r.id)
		w.close('}')
		r.tail = w.b[1:]
	}
	return r.tail
}
