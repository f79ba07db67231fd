package anthropic

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// AppendResponse renders a whole answer.
func (Codec) AppendResponse(dst []byte, req *canon.Request, resp *canon.Response) ([]byte, error) {
	if len(resp.Whole) > 0 {
		return append(dst, renamed(resp.Whole, req.ModelAsked)...), nil
	}
	parts := resp.Parts
	if n := len(parts); n > 0 && resp.Finish.Reason == canon.FinishLength && parts[n-1].Type == canon.PartToolCall && parts[n-1].BadArgs {
		parts = parts[:n-1] // the limit cut the call: nobody could run it
	}
	w := writer{b: append(dst, '{')}
	w.head(messageID(req, resp.ID), req.ModelAsked)
	w.begin("content", '[')
	b := blockWriter{w: &w, req: req, ids: map[string]bool{}}
	for i := range parts {
		b.part(&parts[i])
	}
	b.flush("")
	w.close(']')
	w.str("stop_reason", stopReason(resp.Finish.Reason, b.calls))
	w.stopSequence(resp.Finish)
	w.usage(resp.Usage, usageExt(resp.Ext))
	w.ext(resp.Ext, knownAnswer...)
	w.close('}')
	return w.b, nil
}

// knownAnswer are the members of an answer that are never taken from Ext.
var knownAnswer = []string{"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"}

func (w *writer) head(id, model string) {
	w.str("id", id)
	w.str("type", "message")
	w.str("role", "assistant")
	w.str("model", model)
}

func (w *writer) stopSequence(f canon.Finish) {
	if f.StopSequence != "" && f.Reason == canon.FinishStopSequence {
		w.str("stop_sequence", f.StopSequence)
		return
	}
	w.raw("stop_sequence", jsontext.Value("null"))
}

func messageID(req *canon.Request, id string) string {
	if id != "" {
		return id
	}
	return req.NewID("msg_", 24)
}

// usageExt returns the members of usage that were kept for this format.
func usageExt(ext map[string]jsontext.Value) map[string]jsontext.Value {
	v := ext[usageMember]
	if v == nil {
		return nil
	}
	o, err := canon.ParseObject(v)
	if err != nil {
		return nil
	}
	out := map[string]jsontext.Value{}
	for _, m := range o.Members {
		out[m.Name] = o.Get(m.Name)
	}
	return out
}

// renamed returns a whole message with the model's name that the client knows.
func renamed(body []byte, model string) []byte {
	o, err := canon.ParseObject(body)
	if err != nil {
		return body
	}
	return renamedObject(o, model)
}

func renamedObject(o canon.Object, model string) []byte {
	name := wire.AppendString(nil, model)
	if old := o.Get("model"); len(old) == 0 || bytes.Equal(old, name) {
		return o.Raw
	}
	return o.AppendEdited(nil, canon.Edit{Name: "model", Value: name})
}

// blockWriter renders the parts of a whole answer as blocks.
type blockWriter struct {
	w     *writer
	req   *canon.Request
	ids   map[string]bool
	calls bool
	// open is a thinking block without a signature that is not closed yet: it may carry the signature of the call after it.
	open bool
}

// flush closes an open thinking block, with a signature.
func (b *blockWriter) flush(sig string) {
	if b.open {
		b.w.str("signature", sig)
		b.w.close('}')
		b.open = false
	}
}

func (b *blockWriter) part(p *canon.Part) {
	carried := carriedSignature(p)
	if p.Type == canon.PartToolCall && carried != "" {
		if !b.open {
			b.thinking("")
		}
		b.flush(carried)
	}
	b.flush("")
	w := b.w
	switch p.Type {
	case canon.PartText, canon.PartRefusal:
		if p.Text != "" {
			b.text(p.Text, p)
		}
	case canon.PartReasoning:
		b.reasoning(p)
	case canon.PartToolCall:
		b.calls = true
		w.open('{')
		w.str("type", typeToolUse)
		w.str("id", callID(b.req, b.ids, p.CallID))
		w.str("name", wire.FlatName(p.Space, p.Name))
		w.raw("input", callInput(p))
		w.ext(p.Ext)
		w.close('}')
	case canon.PartServer:
		if ownServer(p) {
			w.value(p.Server)
		}
	case canon.PartImage, canon.PartAudio, canon.PartVideo, canon.PartDocument:
		b.text(omitted(p), p)
	}
	if p.Type != canon.PartToolCall && carried != "" {
		b.thinking("")
		b.flush(carried)
	}
}

func (b *blockWriter) text(s string, p *canon.Part) {
	w := b.w
	w.open('{')
	w.str("type", typeText)
	w.str("text", s)
	if ownCitations(p.Citations) {
		w.raw("citations", p.Citations)
	}
	w.ext(p.Ext)
	w.close('}')
}

// thinking starts a thinking block and leaves it open for a signature.
func (b *blockWriter) thinking(text string) {
	b.w.open('{')
	b.w.str("type", typeThinking)
	b.w.str("thinking", text)
	b.open = true
}

func (b *blockWriter) reasoning(p *canon.Part) {
	sig := wire.ShowOpaque(p.Opaque, wire.FamilyClaude)
	if p.Redacted && ownOpaque(p.Opaque) {
		b.w.open('{')
		b.w.str("type", typeRedacted)
		b.w.str("data", sig)
		b.w.close('}')
		return
	}
	text := reasoningText(p)
	if text == "" && sig == "" {
		return
	}
	b.thinking(text)
	if sig != "" {
		b.flush(sig)
	}
}

// carriedSignature returns the wrapped signature of a call, which has no field for one here: a thinking block before it
// carries it. The signature of a text is left out. It comes after the text, Gemini checks it on calls only, and
// claude-code 2.1.197 takes the last block of a turn for its result: a thinking block there leaves it with nothing.
func carriedSignature(p *canon.Part) string {
	if p.Type != canon.PartToolCall || p.Opaque == nil || p.Opaque.Data == "" || p.Opaque.Family == wire.FamilyClaude {
		return ""
	}
	o := *p.Opaque
	if o.Kind == "" || o.Kind == wire.OpaqueThink {
		o.Kind = wire.OpaqueCall
	}
	return wire.Wrap(o)
}

func ownOpaque(o *canon.Opaque) bool {
	return o != nil && o.Data != "" && (o.Family == wire.FamilyClaude || o.Family == "")
}

func ownServer(p *canon.Part) bool {
	return len(p.Server) > 0 && p.Opaque != nil && p.Opaque.Family == wire.FamilyClaude
}

// ownCitations reports whether citations are in this format's shape.
func ownCitations(v jsontext.Value) bool {
	return v.Kind() == '[' && (len(v) == 2 || bytes.Contains(v, []byte(`"cited_text"`)))
}

func callInput(p *canon.Part) jsontext.Value {
	if p.Custom {
		return append(wire.AppendString([]byte(`{"input":`), p.Text), '}')
	}
	return p.ArgsObject()
}

// callID returns a legal id that no other call of the answer has.
func callID(req *canon.Request, used map[string]bool, id string) string {
	id = wire.CleanID(id)
	if id == "" {
		id = req.NewID("toolu_", 24)
	}
	base := id
	for n := 2; used[id]; n++ {
		id = fmt.Sprintf("%s_%d", base, n)
	}
	used[id] = true
	return id
}
