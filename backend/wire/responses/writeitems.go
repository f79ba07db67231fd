package responses

import (
	"fmt"
	"strings"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

const noResult = "No result was recorded for this call."

// conversation writes the items of input and returns the instructions.
func (w *writer) conversation() (instructions string, err error) {
	instructions = w.system()
	w.matchCalls()
	for i := range w.req.Messages {
		m := &w.req.Messages[i]
		switch m.Role {
		case canon.RoleAssistant:
			err = w.assistant(m, i == len(w.req.Messages)-1)
		case canon.RoleSystem:
			w.systemMessage("developer", m.Parts)
		default:
			err = w.user(m)
		}
		if err != nil {
			return "", err
		}
	}
	return instructions, nil
}

// item starts an item.
func (w *writer) item(head string) {
	if len(w.items) > 0 {
		w.items = append(w.items, ',')
	}
	w.items = append(w.items, head...)
}

func (w *writer) str(name, v string) {
	w.items = append(append(append(w.items, `,"`...), name...), `":`...)
	w.items = wire.AppendString(w.items, v)
}

func (w *writer) raw(s string) { w.items = append(w.items, s...) }

// system returns the leading system text as instructions. What a client of this format sent as messages stays messages.
func (w *writer) system() string {
	var texts []string
	for i := 0; i < len(w.req.System); i++ {
		p := &w.req.System[i]
		role := oai.Text(p.Ext[extRole])
		switch {
		case p.Text == "" || !w.same && strings.HasPrefix(p.Text, "x-anthropic-billing-header:"): // changes with every call and spoils caches
		case w.same && role != "" && !w.o.Instructions:
			if w.o.NoSystemRole {
				role = "developer"
			}
			w.systemMessage(role, w.req.System[i:i+1])
		default:
			texts = append(texts, p.Text)
			if p.Cache != nil {
				w.cacheLost()
			}
		}
	}
	return strings.Join(append(texts, w.notes...), "\n\n")
}

func (w *writer) cacheLost() { w.x.warn("cache_control", "the service caches by itself") }

func (w *writer) systemMessage(role string, parts []canon.Part) {
	w.item(`{"type":"message","role":"` + role + `","content":[`)
	first := true
	for i := range parts {
		if parts[i].Text == "" {
			continue
		}
		if !first {
			w.raw(",")
		}
		first = false
		w.textPart("input_text", &parts[i])
	}
	w.raw("]}")
}

func (w *writer) textPart(kind string, p *canon.Part) {
	w.raw(`{"type":"` + kind + `"`)
	w.str("text", p.Text)
	w.ending(p)
}

// ending closes a part, after the boundary of a cache where the client wrote one in OpenAI's own form.
func (w *writer) ending(p *canon.Part) {
	if b := p.Ext[breakpoint]; w.same && b != nil {
		w.raw(`,"` + breakpoint + `":`)
		w.items = append(w.items, b...)
	} else if p.Cache != nil {
		w.cacheLost()
	}
	w.raw("}")
}

// matchCalls finds the result of each call, and gives each call the id that the upstream takes.
func (w *writer) matchCalls() {
	w.ids = map[string]string{}
	for i := range w.req.Messages {
		parts := w.req.Messages[i].Parts
		for j := range parts {
			p := &parts[j]
			switch p.Type {
			case canon.PartToolCall:
				w.ids[p.CallID] = oai.FitCallID(p.CallID)
			case canon.PartToolResult:
				w.results[p.CallID] = p
			}
		}
	}
}

// assistant writes a turn of the model. A call without a result gets a stand-in: the service takes none that was never
// answered.
func (w *writer) assistant(m *canon.Message, last bool) error {
	if last && !w.same && endsInText(m.Parts) { // a beginning that the model shall go on from
		w.item(`{"type":"message","role":"user","content":[`)
		w.textPart("input_text", &canon.Part{Text: "Continue exactly from: " + joinText(m.Parts)})
		w.raw("]}")
		return nil
	}
	var thoughts []*canon.Part // wait for what they led to: alone at the end of a turn the service refuses them
	flush := func() {
		for _, p := range thoughts {
			w.reasoningItem(p)
		}
		thoughts = nil
	}
	var unanswered []*canon.Part
	for i := 0; i < len(m.Parts); i++ {
		p := &m.Parts[i]
		switch p.Type {
		case canon.PartReasoning:
			if w.ownThought(p) {
				thoughts = append(thoughts, p)
			}
		case canon.PartText, canon.PartRefusal:
			n := w.run(m.Parts[i:])
			flush()
			w.assistantText(m.Parts[i : i+n])
			i += n - 1
		case canon.PartToolCall:
			flush()
			w.call(p)
			if w.results[p.CallID] == nil {
				unanswered = append(unanswered, p)
			}
		case canon.PartServer:
			if p.Opaque == nil || p.Opaque.Family != w.x.family() || !w.same {
				w.x.warn("input.server_tools", "only the service that ran them can read them")
				continue
			}
			flush()
			w.item(string(p.Server))
		default:
			w.x.warn("input."+p.Type.String(), "an assistant message cannot hold it")
		}
	}
	for _, p := range unanswered {
		w.resultItem(p.CallID, p.Custom, func() { w.items = wire.AppendString(w.items, noResult) })
	}
	return nil
}

// run returns how many parts from the first on make one message: texts with the same id.
func (w *writer) run(parts []canon.Part) int {
	n := 1
	for n < len(parts) && (parts[n].Type == canon.PartText || parts[n].Type == canon.PartRefusal) && parts[n].ItemID == parts[0].ItemID {
		n++
	}
	return n
}

func endsInText(parts []canon.Part) bool {
	text := false
	for i := range parts {
		switch parts[i].Type {
		case canon.PartToolCall:
			return false
		case canon.PartText:
			text = text || parts[i].Text != ""
		}
	}
	return text
}

func joinText(parts []canon.Part) string {
	var b strings.Builder
	for i := range parts {
		if parts[i].Type != canon.PartText || parts[i].Text == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(parts[i].Text)
	}
	return b.String()
}

// ownThought reports whether reasoning goes back to this upstream: only what its own maker encrypted.
func (w *writer) ownThought(p *canon.Part) bool {
	if w.o.StripReasoning || p.Opaque == nil || p.Opaque.Data == "" {
		return false
	}
	return p.Opaque.Family == w.x.family() || p.Opaque.Family == "" && w.same
}

func (w *writer) reasoningItem(p *canon.Part) {
	w.item(`{"type":"reasoning"`)
	if w.same && strings.HasPrefix(p.ItemID, "rs_") {
		w.str("id", p.ItemID)
	}
	w.raw(`,"summary":[`)
	for i, s := range p.Summary {
		if i > 0 {
			w.raw(",")
		}
		w.items = appendSummary(w.items, []byte(s))
	}
	w.raw("]")
	if p.Text != "" && p.RawText && w.same {
		w.items = wire.AppendString(append(w.items, `,"content":[{"type":"reasoning_text","text":`...), p.Text)
		w.raw("}]")
	}
	w.str("encrypted_content", p.Opaque.Data)
	w.raw("}")
}

func (w *writer) assistantText(parts []canon.Part) {
	w.item(`{"type":"message","role":"assistant","content":[`)
	for i := range parts {
		if i > 0 {
			w.raw(",")
		}
		if p := &parts[i]; p.Type == canon.PartRefusal {
			w.raw(`{"type":"refusal"`)
			w.str("refusal", p.Text)
			w.raw("}")
		} else {
			w.textPart("output_text", p)
		}
	}
	w.raw("]")
	if phase := parts[0].Ext[extPhase]; w.same && phase != nil {
		w.raw(`,"phase":` + string(phase))
	}
	w.raw("}")
}

func (w *writer) call(p *canon.Part) {
	kind := itemCall
	switch {
	case p.Custom:
		kind = itemCustom
	case w.same && isSearch(w.req, p):
		kind = itemSearch
	}
	w.item(`{"type":"` + kind + `"`)
	w.str("call_id", w.ids[p.CallID])
	if kind == itemSearch {
		w.raw(`,"execution":"client","arguments":`)
		w.items = append(w.items, p.ArgsObject()...)
		w.raw("}")
		return
	}
	w.str("name", w.nameOf(p.Space, p.Name))
	if w.same && p.Space != "" {
		w.str("namespace", p.Space)
	}
	if p.Custom {
		w.str("input", p.Text)
	} else {
		w.str("arguments", p.ArgsText())
	}
	if p.Cache != nil {
		w.cacheLost()
	}
	w.raw("}")
}

func (w *writer) resultItem(callID string, custom bool, output func()) {
	kind := itemCallOutput
	if custom {
		kind = itemCustomOutput
	}
	w.item(`{"type":"` + kind + `"`)
	w.str("call_id", w.ids[callID])
	w.raw(`,"output":`)
	output()
	w.raw("}")
}

// result writes the result of a call. One whose call is not there is told in words.
func (w *writer) result(p *canon.Part) error {
	if found := p.Ext[itemSearchOutput]; w.same && found != nil {
		w.item(`{"type":"tool_search_output","execution":"client","status":"completed"`)
		w.str("call_id", w.ids[p.CallID])
		w.raw(`,"tools":` + string(found) + `}`)
		return nil
	}
	parts, err := w.adapted(p.Result)
	if err != nil {
		return err
	}
	if p.Cache != nil {
		w.cacheLost()
	}
	plain := true
	for i := range parts {
		plain = plain && parts[i].Type == canon.PartText
	}
	if plain {
		text := joinText(parts)
		if p.IsError && !strings.HasPrefix(strings.ToLower(text), "error") {
			text = "Error: " + text
		}
		w.resultItem(p.CallID, p.Custom, func() { w.items = wire.AppendString(w.items, text) })
		return nil
	}
	if p.IsError {
		parts = append([]canon.Part{{Type: canon.PartText, Text: "Error:"}}, parts...)
	}
	w.resultItem(p.CallID, p.Custom, func() {
		w.raw("[")
		w.parts(parts)
		w.raw("]")
	})
	return nil
}

// user writes a user's turn: results in their order, and what the user said as one message.
func (w *writer) user(m *canon.Message) error {
	var said []canon.Part
	flush := func() error {
		parts, err := w.adapted(said)
		said = nil
		if err != nil || len(parts) == 0 {
			return err
		}
		w.item(`{"type":"message","role":"user","content":[`)
		w.parts(parts)
		w.raw("]}")
		return nil
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		_, known := w.ids[p.CallID]
		switch {
		case p.Type == canon.PartToolResult && known && w.results[p.CallID] == p:
			if err := flush(); err != nil {
				return err
			}
			if err := w.result(p); err != nil {
				return err
			}
		case p.Type == canon.PartToolResult && !known:
			said = append(said, canon.Part{Type: canon.PartText, Text: "[result of unknown tool call " + p.CallID + "]: " + joinText(p.Result)})
		case p.Type == canon.PartToolResult: // a second result of the same call; the last one counts
		default:
			said = append(said, *p)
		}
	}
	return flush()
}

// adapted returns parts as the upstream takes them, or refuses one that it cannot take.
func (w *writer) adapted(parts []canon.Part) ([]canon.Part, error) {
	out := make([]canon.Part, 0, len(parts))
	for _, p := range parts {
		m := p.Media
		foreign := m != nil && m.FileID != "" && !w.same
		switch p.Type {
		case canon.PartText:
			if p.Text == "" {
				continue
			}
		case canon.PartRefusal:
			p.Type = canon.PartText
		case canon.PartImage:
			if w.req.Facts.Images == canon.No {
				w.x.warn("input.image", "the model reads text only")
				p = canon.Part{Type: canon.PartText, Text: fmt.Sprintf("[image omitted: %s, %d bytes]", m.MIME, len(m.Data))}
			}
		case canon.PartDocument:
			if text := wire.DocumentText(m); text != "" && !w.same {
				p = canon.Part{Type: canon.PartText, Text: titleOf(m) + "\n\n" + text, Cache: p.Cache}
			}
		case canon.PartAudio:
			if !w.same {
				return nil, unsupported(wire.Field(w.req.Format, "messages"), "audio input is not supported by %s", w.req.ModelAsked)
			}
		case canon.PartVideo:
			if !w.same {
				return nil, unsupported(wire.Field(w.req.Format, "messages"), "video input is not supported by %s", w.req.ModelAsked)
			}
		default:
			w.x.warn("input."+p.Type.String(), "a message cannot hold it")
			continue
		}
		if foreign {
			return nil, unsupported(wire.Field(w.req.Format, "messages"), "%s cannot read a file that was uploaded elsewhere; send the file itself", w.req.ModelAsked)
		}
		out = append(out, p)
	}
	return out, nil
}

func titleOf(m *canon.Media) string {
	for _, s := range []string{m.Title, m.FileName} {
		if s != "" {
			return s
		}
	}
	return "Document"
}

// parts writes parts that adapted has seen.
func (w *writer) parts(parts []canon.Part) {
	for i := range parts {
		if i > 0 {
			w.raw(",")
		}
		w.part(&parts[i])
	}
}

func (w *writer) part(p *canon.Part) {
	m := p.Media
	switch p.Type {
	case canon.PartImage:
		w.raw(`{"type":"input_image"`)
		switch {
		case m.FileID != "":
			w.str("file_id", m.FileID)
		case len(m.Data) > 0:
			w.str("image_url", wire.DataURL(m.MIME, m.Data))
		default:
			w.str("image_url", m.URL)
		}
		if m.Detail != "" {
			w.str("detail", m.Detail)
		}
	case canon.PartDocument:
		w.document(m)
	case canon.PartAudio:
		data := wire.DataURL("", m.Data)[len("data:;base64,"):]
		w.raw(`{"type":"input_audio","input_audio":{"data":"` + data + `"`)
		w.str("format", strings.TrimPrefix(m.MIME, "audio/"))
		w.raw("}")
	case canon.PartVideo:
		w.raw(`{"type":"input_video"`)
		url := m.URL
		if len(m.Data) > 0 {
			url = wire.DataURL(m.MIME, m.Data)
		}
		w.str("video_url", url)
	default:
		w.textPart("input_text", p)
		return
	}
	w.ending(p)
}

func (w *writer) document(m *canon.Media) {
	w.raw(`{"type":"input_file"`)
	name := m.FileName
	if name == "" {
		name = m.Title
	}
	switch {
	case m.FileID != "":
		w.str("file_id", m.FileID)
	case m.URL != "":
		w.str("file_url", m.URL)
	default:
		data := m.Data
		if m.Text != "" {
			data = []byte(m.Text)
		}
		if name == "" {
			name = "document.pdf"
		}
		w.str("file_data", wire.DataURL(m.MIME, data))
	}
	if name != "" {
		w.str("filename", name)
	}
}
