package gemini

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Signatures that Google documents for calls which another model made: the server does not check them. They cost some
// thinking, and are good only on functionCall parts of Gemini models.
const (
	skipValidator   = "skip_thought_signature_validator"
	skipEngineering = "context_engineering_is_the_way_to_go"
)

// turn is one content: neighbouring messages of one role joined.
type turn struct {
	role  canon.Role
	parts []canon.Part
}

// turnsOf joins messages of one role. System text in the middle becomes a reminder in the user's turn before it, else in
// the next one: moving it to the head would change the prompt's prefix with every turn.
func turnsOf(req *canon.Request) []turn {
	var turns []turn
	var waiting []canon.Part
	for i := range req.Messages {
		m := &req.Messages[i]
		last := len(turns) - 1
		if m.Role == canon.RoleSystem {
			p := reminder(m.Parts)
			switch {
			case p.Text == "":
			case last >= 0 && turns[last].role == canon.RoleUser:
				turns[last].parts = append(turns[last].parts, p)
			default:
				waiting = append(waiting, p)
			}
			continue
		}
		if says := func(p canon.Part) bool { return p.Type != canon.PartText || p.Text != "" || p.Opaque != nil }; !slices.ContainsFunc(m.Parts, says) {
			continue
		}
		if last < 0 || turns[last].role != m.Role {
			turns = append(turns, turn{role: m.Role})
			last++
		}
		t := &turns[last]
		t.parts = append(t.parts, m.Parts...)
		if m.Role == canon.RoleUser && len(waiting) > 0 {
			at := 0
			for at < len(t.parts) && t.parts[at].Type == canon.PartToolResult {
				at++
			}
			t.parts = append(t.parts[:at:at], append(waiting, t.parts[at:]...)...)
			waiting = nil
		}
	}
	if len(waiting) > 0 {
		turns = append(turns, turn{canon.RoleUser, waiting})
	}
	return turns
}

func reminder(parts []canon.Part) canon.Part {
	text := joinText(parts, "\n")
	if text != "" {
		text = "<system-reminder>\n" + text + "\n</system-reminder>"
	}
	return canon.Part{Type: canon.PartText, Text: text}
}

func joinText(parts []canon.Part, sep string) string {
	var texts []string
	for i := range parts {
		if (parts[i].Type == canon.PartText || parts[i].Type == canon.PartRefusal) && parts[i].Text != "" {
			texts = append(texts, parts[i].Text)
		}
	}
	return strings.Join(texts, sep)
}

// turnWriter writes the parts of turns.
type turnWriter struct {
	x *Exchange
	w *writer
}

// contents writes the conversation.
func (x *Exchange) contents(w *writer) error {
	turns := turnsOf(x.req)
	if !same(x.req) {
		turns = continued(turns)
	}
	w.begin("contents", '[')
	t := turnWriter{x: x, w: w}
	var calls []canon.Part
	count := 0
	write := func(role string, f func() error) error {
		mark := len(w.b)
		w.open('{')
		w.str("role", role)
		w.begin("parts", '[')
		empty := len(w.b)
		if err := f(); err != nil {
			return err
		}
		if len(w.b) == empty {
			w.b = w.b[:mark]
			return nil
		}
		w.close(']')
		w.close('}')
		if count++; count == 1 && role == "model" && !same(x.req) { // the first content must be the user's
			w.b = slices.Insert(w.b, mark, []byte(`{"role":"user","parts":[{"text":"(continue)"}]},`)...)
		}
		return nil
	}
	for i := range turns {
		var err error
		if turns[i].role == canon.RoleAssistant {
			calls = callsOf(turns[i].parts)
			err = write("model", func() error { return t.model(turns[i].parts) })
		} else {
			err = write("user", func() error { return t.user(turns[i].parts, calls) })
			calls = nil
		}
		if err != nil {
			return err
		}
	}
	if len(calls) > 0 {
		if err := write("user", func() error { return t.user(nil, calls) }); err != nil {
			return err
		}
	}
	if count == 0 {
		return apierror.Invalid(wire.Field(x.req.Format, "messages"), "%s: at least one message is required", wire.Field(x.req.Format, "messages"))
	}
	w.close(']')
	return nil
}

// continued replaces a last turn of the model, which other services go on with, by a request to do so.
func continued(turns []turn) []turn {
	last := len(turns) - 1
	if last < 0 || turns[last].role != canon.RoleAssistant || len(callsOf(turns[last].parts)) > 0 {
		return turns
	}
	text := strings.TrimRight(joinText(turns[last].parts, ""), " \t\r\n")
	turns = turns[:last]
	if text == "" {
		return turns
	}
	p := canon.Part{Type: canon.PartText, Text: "Continue exactly from: " + text}
	if last > 0 && turns[last-1].role == canon.RoleUser {
		t := turns[last-1]
		t.parts = append(t.parts[:len(t.parts):len(t.parts)], p)
		return append(turns[:last-1:last-1], t)
	}
	return append(turns, turn{canon.RoleUser, []canon.Part{p}})
}

func callsOf(parts []canon.Part) []canon.Part {
	var out []canon.Part
	for i := range parts {
		if parts[i].Type == canon.PartToolCall {
			out = append(out, parts[i])
		}
	}
	return out
}

// signature returns the signature that the upstream's model can read, "" for none.
func (t *turnWriter) signature(o *canon.Opaque) string {
	if o == nil || o.Data == "" || t.x.o.StripReasoning || o.Family != t.x.family {
		return ""
	}
	if o.Family == wire.FamilyClaude && o.Data[0] != 'R' { // Google's hosts want Claude's in a second layer of base64
		return base64.StdEncoding.EncodeToString([]byte(o.Data))
	}
	return o.Data
}

// model writes the parts of a model's turn. A signature that came on a part of its own goes to the call or text it belongs
// to; the first call of a turn must have one, the others stay as they are.
func (t *turnWriter) model(parts []canon.Part) error {
	var forCall, forText string
	called, bareText := false, false // bareText: the last part written is text without a signature
	for i := range parts {
		p := &parts[i]
		sig := t.signature(p.Opaque)
		wasBare := bareText
		bareText = false
		switch p.Type {
		case canon.PartReasoning:
			bareText = wasBare
			switch {
			case sig != "" && p.Opaque.Kind == wire.OpaqueCall:
				forCall = sig
			case sig != "" && p.Opaque.Kind == wire.OpaqueText && wasBare:
				t.w.b = t.w.b[:len(t.w.b)-1]
				t.w.str("thoughtSignature", sig)
				t.w.close('}')
				bareText = false
			case sig != "" && p.Opaque.Kind == wire.OpaqueText:
				forText = sig
			case t.thought(p, sig):
				bareText = false
			}
		case canon.PartText, canon.PartRefusal:
			if sig == "" {
				sig, forText = forText, ""
			}
			if p.Text == "" && sig == "" {
				bareText = wasBare
				continue
			}
			appendText(t.w, p.Text, false, sig)
			t.ext(p)
			bareText = sig == "" && len(p.Ext) == 0
		case canon.PartToolCall:
			if sig == "" && !called {
				sig, forCall = forCall, ""
				if sig == "" && t.x.family == wire.FamilyGemini {
					sig = skipValidator
				}
			}
			called = true
			t.call(p, sig)
		case canon.PartServer:
			if p.Opaque != nil && p.Opaque.Family == t.x.family && p.Server.Kind() == '{' {
				appendServer(t.w, p)
			}
		default:
			if err := t.media(p); err != nil {
				return err
			}
		}
	}
	if forText != "" {
		appendText(t.w, "", false, forText)
	}
	return nil
}

// thought writes a thought that the upstream's model can read again: one with its own signature, or one that a client of
// this format sent without any.
func (t *turnWriter) thought(p *canon.Part, sig string) bool {
	plain := same(t.x.req) && p.Opaque == nil && t.x.family == wire.FamilyGemini && !t.x.o.StripReasoning
	if sig == "" && !plain {
		return false
	}
	text := p.Text
	if text == "" {
		text = strings.Join(p.Summary, "")
	}
	appendText(t.w, text, true, sig)
	t.ext(p)
	return true
}

// ext puts what a client of this format sent beside the data into the part that was just written.
func (t *turnWriter) ext(p *canon.Part) {
	if len(p.Ext) == 0 || !t.x.keepsExt() {
		return
	}
	t.w.b = t.w.b[:len(t.w.b)-1]
	t.w.ext(p.Ext)
	t.w.close('}')
}

func (t *turnWriter) call(p *canon.Part, sig string) {
	out := *p
	out.Name, out.Space = t.x.out(p.Space, p.Name), ""
	out.CallID = t.x.callID(p.CallID)
	if !t.x.keepsExt() {
		out.Ext = nil
	}
	appendCall(t.w, &out, sig)
}

// keepsExt reports whether members that the client sent beside the known ones go back to the upstream.
func (x *Exchange) keepsExt() bool { return same(x.req) && x.family == wire.FamilyGemini }

// callID is a call's id for the upstream: Claude's models take only some characters.
func (x *Exchange) callID(id string) string {
	if x.family == wire.FamilyClaude {
		return wire.CleanID(id)
	}
	return id
}

// user writes the parts of a user's turn. All results of the model's turn before come first, as many as there were calls
// and in their order ("the number of function response parts is equal to the number of function call parts").
func (t *turnWriter) user(parts, calls []canon.Part) error {
	used := make([]bool, len(parts))
	for i := range calls {
		c := &calls[i]
		at := findResult(parts, used, c)
		if at < 0 {
			t.result(&canon.Part{Type: canon.PartToolResult, IsError: true, Result: []canon.Part{{Type: canon.PartText, Text: "no result"}}}, c)
			continue
		}
		used[at] = true
		t.result(&parts[at], c)
		if err := t.pictures(&parts[at]); err != nil {
			return err
		}
	}
	for i := range parts {
		p := &parts[i]
		if used[i] {
			continue
		}
		switch p.Type {
		case canon.PartToolResult:
			appendText(t.w, "[result of unknown tool call "+p.CallID+"]: "+joinText(p.Result, "\n"), false, "")
			if err := t.mediaOf(p.Result); err != nil {
				return err
			}
		case canon.PartText, canon.PartRefusal:
			if p.Text != "" {
				appendText(t.w, p.Text, false, "")
				t.ext(p)
			}
		case canon.PartServer:
			if p.Opaque != nil && p.Opaque.Family == t.x.family && p.Server.Kind() == '{' {
				appendServer(t.w, p)
			}
		case canon.PartReasoning, canon.PartToolCall:
		default:
			if err := t.media(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// findResult returns the index of the result of a call: by its id, else the first without an id that has its name or none.
func findResult(parts []canon.Part, used []bool, c *canon.Part) int {
	for i := range parts {
		if !used[i] && parts[i].Type == canon.PartToolResult && parts[i].CallID != "" && parts[i].CallID == c.CallID {
			return i
		}
	}
	for i := range parts {
		if !used[i] && parts[i].Type == canon.PartToolResult && parts[i].CallID == "" && (parts[i].Name == "" || parts[i].Name == c.Name) {
			return i
		}
	}
	return -1
}

// result writes the functionResponse that answers a call.
func (t *turnWriter) result(p, call *canon.Part) {
	w := t.w
	w.open('{')
	w.begin("functionResponse", '{')
	if len(call.Ext[noIDMember]) == 0 || !t.x.keepsExt() {
		w.opt("id", t.x.callID(call.CallID))
	}
	w.str("name", t.x.out(call.Space, call.Name))
	w.raw("response", t.response(p))
	if t.x.o.ImagesInResults || same(t.x.req) {
		t.resultParts(p)
	}
	if t.x.keepsExt() {
		w.inner(p.Ext)
	}
	w.close('}')
	if t.x.keepsExt() {
		w.ext(p.Ext)
	}
	w.close('}')
}

func (t *turnWriter) resultParts(p *canon.Part) {
	first := true
	for i := range p.Result {
		m := t.data(p.Result[i].Media)
		if m == nil {
			continue
		}
		if first {
			t.w.begin("parts", '[')
			first = false
		}
		appendBlob(t.w, m, "", p.Result[i].Ext)
	}
	if !first {
		t.w.close(']')
	}
}

// data returns media whose bytes are there, nil for none.
func (t *turnWriter) data(m *canon.Media) *canon.Media {
	if m == nil || len(m.Data) > 0 {
		return m
	}
	if got, ok := t.x.o.Media[m.URL]; ok && m.URL != "" && len(got.Data) > 0 {
		own := *m
		own.Data, own.URL = got.Data, ""
		if got.MIME != "" {
			own.MIME = got.MIME
		}
		return &own
	}
	return nil
}

// response writes a result as the object that Google wants: a JSON object as it is, text under the key of the upstream, an
// error under "error".
func (t *turnWriter) response(p *canon.Part) jsontext.Value {
	if v := p.Ext[responseMember]; len(v) > 0 && same(t.x.req) {
		return v
	}
	text := joinText(p.Result, "\n")
	key := t.x.o.ResultKey
	if key == "" {
		key = "output"
	}
	switch v := jsontext.Value(strings.TrimSpace(text)); {
	case p.IsError:
		key = "error"
	case len(v) > 1 && v.Kind() == '{' && v.IsValid():
		return v
	case text == "" && hasMedia(p.Result):
		text = "(image attached)"
	}
	w := writer{}
	w.open('{')
	w.str(key, text)
	w.close('}')
	return w.b
}

func hasMedia(parts []canon.Part) bool {
	for i := range parts {
		if parts[i].Media != nil {
			return true
		}
	}
	return false
}

// pictures writes the media of a result beside it, where they are not inside.
func (t *turnWriter) pictures(p *canon.Part) error {
	if t.x.o.ImagesInResults || same(t.x.req) {
		for i := range p.Result {
			if m := p.Result[i].Media; m != nil && t.data(m) == nil {
				if err := t.media(&p.Result[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return t.mediaOf(p.Result)
}
