package openai

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

const noResult = "No result was recorded for this call."

// outMessage is one message of the new body. Text parts and others are held apart until it is known whether the content
// is a string.
type outMessage struct {
	role, name, callID string
	parts              []jsontext.Value // of array content
	text               string           // of string content
	array              bool
	null               bool
	calls              []jsontext.Value
	reasoning          []canon.Edit
	refusal            string
	ext                map[string]jsontext.Value
}

// conversation writes the messages one after the other.
type conversation struct {
	w        *writer
	out      []outMessage
	used     map[*canon.Part]bool // results that stand behind their call already
	reminder string               // system text that waits for the next user message
	images   []canon.Part         // of tool results, for the user message behind them
}

func (w *writer) messages() (jsontext.Value, error) {
	c := conversation{w: w, used: map[*canon.Part]bool{}}
	c.system()
	for i := range w.req.Messages {
		var err error
		switch m := &w.req.Messages[i]; m.Role {
		case canon.RoleAssistant:
			err = c.assistant(i)
		case canon.RoleSystem:
			err = c.middle(m)
		default:
			err = c.user(m)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	b := append(make(jsontext.Value, 0, w.size()), '[')
	for i := range c.out {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.out[i].append(b)
	}
	return append(b, ']'), nil
}

// systemRole is developer where OpenAI wants it: its reasoning models.
func (w *writer) systemRole() string {
	if w.o.OwnHost && !w.o.NoDeveloperRole && w.facts.Sampling == canon.No {
		return "developer"
	}
	return "system"
}

// system writes the leading system text as one message.
func (c *conversation) system() {
	parts := slices.DeleteFunc(slices.Clone(c.w.req.System), func(p canon.Part) bool {
		return p.Text == "" || strings.HasPrefix(p.Text, "x-anthropic-billing-header:") // changes with every call and spoils caches
	})
	for _, n := range c.w.notes {
		parts = append(parts, canon.Part{Type: canon.PartText, Text: n})
	}
	if len(parts) == 0 {
		return
	}
	c.out = append(c.out, c.textMessage(c.w.systemRole(), parts))
}

// textMessage writes text parts as one string, or as parts if a cache mark must stand on one of them.
func (c *conversation) textMessage(role string, parts []canon.Part) outMessage {
	m := outMessage{role: role}
	marked := slices.ContainsFunc(parts, func(p canon.Part) bool { return p.Cache != nil })
	if marked && c.w.keepsCache() {
		m.array = true
		for i := range parts {
			m.parts = append(m.parts, c.textPart(&parts[i]))
		}
		return m
	}
	if marked {
		c.w.warn("cache_control", "the service caches by itself")
	}
	m.text = joinText(parts)
	return m
}

// keepsCache reports whether cache marks go out.
func (w *writer) keepsCache() bool {
	return !w.o.StringContent && (w.o.CacheControl || w.o.OwnHost && w.same)
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

// middle writes system text in the middle of a conversation at its place, or as a reminder in the user's turn where only
// one system message is taken. It is never moved to the head: that would change the prompt's beginning on every turn.
func (c *conversation) middle(m *canon.Message) error {
	if !c.w.o.OneSystem {
		out := c.textMessage(c.w.systemRole(), m.Parts)
		c.own(&out, m)
		c.out = append(c.out, out)
		return nil
	}
	text := "<system-reminder>\n" + joinText(m.Parts) + "\n</system-reminder>"
	if n := len(c.out); n > 0 && c.out[n-1].role == "user" {
		c.out[n-1].addText(text)
		return nil
	}
	if c.reminder != "" {
		c.reminder += "\n"
	}
	c.reminder += text
	return nil
}

// own gives a message what a client of this format put beside its content.
func (c *conversation) own(out *outMessage, m *canon.Message) {
	if !c.w.same {
		return
	}
	if !c.w.o.NoNames {
		out.name = m.Name
	}
	if !c.w.o.ClosedMessages {
		out.ext = m.Ext
	}
}

// addText adds text behind the content of a message.
func (m *outMessage) addText(s string) {
	switch {
	case m.array:
		m.parts = append(m.parts, plainText(s))
	case m.text == "":
		m.text = s
	default:
		m.text += "\n\n" + s
	}
}

func plainText(s string) jsontext.Value {
	return append(wire.AppendString(jsontext.Value(`{"type":"text","text":`), s), '}')
}

// assistant writes a turn of the model with the results of its calls behind it, one message per result, in the order of
// the calls.
func (c *conversation) assistant(at int) error {
	if err := c.flush(); err != nil {
		return err
	}
	m := &c.w.req.Messages[at]
	last := at == len(c.w.req.Messages)-1
	out := outMessage{role: "assistant", null: true}
	c.own(&out, m)
	var texts []canon.Part
	var calls []*canon.Part
	for i := range m.Parts {
		p := &m.Parts[i]
		switch p.Type {
		case canon.PartText:
			texts = append(texts, *p)
		case canon.PartRefusal:
			out.refusal += p.Text
		case canon.PartToolCall:
			calls = append(calls, p)
		case canon.PartReasoning:
		case canon.PartServer:
			c.w.warn("messages.server_tools", "only the service that ran them can read them")
		default:
			c.w.warn("messages."+p.Type.String(), "an assistant message cannot hold it")
		}
	}
	if last && len(calls) == 0 && !c.w.same && len(texts) > 0 { // a beginning that the model shall go on from
		c.out = append(c.out, outMessage{role: "user", text: "Continue exactly from: " + joinText(texts)})
		return nil
	}
	c.assistantContent(&out, texts)
	ids := c.w.ids.Turn(calls, c.w.o.ShortCallIDs)
	for i, p := range calls {
		out.calls = append(out.calls, c.w.call(p, ids[i]))
	}
	out.reasoning = c.w.reasoningBack(m.Parts, len(calls) > 0)
	if out.null && len(calls) == 0 && out.refusal == "" {
		return nil // some services refuse an empty assistant message
	}
	c.out = append(c.out, out)
	return c.results(at, calls, ids)
}

func (c *conversation) assistantContent(out *outMessage, texts []canon.Part) {
	if len(texts) == 0 {
		out.null = !c.w.o.StringContent
		return
	}
	t := c.textMessage("assistant", texts)
	out.parts, out.text, out.array, out.null = t.parts, t.text, t.array, false
}

// results writes the results of calls, which stand in the messages up to the next turn of the model. A call without one
// gets a stand-in: no service takes a call that was never answered.
func (c *conversation) results(at int, calls []*canon.Part, ids []string) error {
	if len(calls) == 0 {
		return nil
	}
	var open []*canon.Part
	for i := at + 1; i < len(c.w.req.Messages) && c.w.req.Messages[i].Role != canon.RoleAssistant; i++ {
		for j := range c.w.req.Messages[i].Parts {
			if p := &c.w.req.Messages[i].Parts[j]; p.Type == canon.PartToolResult {
				open = append(open, p)
			}
		}
	}
	for i, call := range calls {
		j := slices.IndexFunc(open, func(r *canon.Part) bool {
			if r.CallID != "" || call.CallID != "" {
				return r.CallID == call.CallID
			}
			return r.Name == "" || r.Name == call.Name
		})
		m := outMessage{role: "tool", callID: ids[i], text: noResult}
		if j >= 0 {
			r := open[j]
			open = slices.Delete(open, j, j+1)
			c.used[r] = true
			if err := c.result(&m, r); err != nil {
				return err
			}
		}
		c.out = append(c.out, m)
	}
	return nil
}

// result fills a tool message. Its images go into a user message behind all results of the turn: a tool message takes
// text only.
func (c *conversation) result(m *outMessage, r *canon.Part) error {
	var texts []canon.Part
	pictures := 0
	for _, p := range r.Result {
		switch p.Type {
		case canon.PartText:
			texts = append(texts, p)
		case canon.PartImage, canon.PartDocument:
			pictures++
			c.images = append(c.images, p)
		}
	}
	m.text = joinText(texts)
	if pictures > 0 {
		if m.text != "" {
			m.text += "\n\n"
		}
		m.text += "(image attached below)"
	}
	if r.IsError && !strings.HasPrefix(strings.ToLower(m.text), "error") {
		m.text = "Error: " + m.text
	}
	if r.Cache != nil && c.w.keepsCache() {
		p := canon.Part{Type: canon.PartText, Text: m.text, Cache: r.Cache}
		m.array, m.parts = true, []jsontext.Value{c.textPart(&p)}
	}
	if c.w.same && !c.w.o.ClosedMessages {
		m.ext = r.Ext
	}
	return nil
}

// user writes a user's turn. Results whose call was not found are told in words.
func (c *conversation) user(m *canon.Message) error {
	out := outMessage{role: "user"}
	c.own(&out, m)
	var parts []canon.Part
	if c.reminder != "" {
		parts, c.reminder = append(parts, canon.Part{Type: canon.PartText, Text: c.reminder}), ""
	}
	parts, c.images = append(parts, c.images...), nil
	for i := range m.Parts {
		p := &m.Parts[i]
		switch {
		case p.Type == canon.PartToolResult && c.used[p]:
		case p.Type == canon.PartToolResult:
			parts = append(parts, canon.Part{Type: canon.PartText, Text: "[result of unknown tool call " + p.CallID + "]: " + joinText(p.Result)})
		case p.Type == canon.PartText && p.Text == "":
		default:
			parts = append(parts, *p)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	if err := c.userContent(&out, parts); err != nil {
		return err
	}
	c.out = append(c.out, out)
	return nil
}

// flush writes what waits for a user message that did not come.
func (c *conversation) flush() error {
	if c.reminder == "" && len(c.images) == 0 {
		return nil
	}
	return c.user(&canon.Message{Role: canon.RoleUser})
}

func (c *conversation) userContent(out *outMessage, parts []canon.Part) error {
	for i := range parts {
		if err := c.w.adapt(&parts[i]); err != nil {
			return err
		}
	}
	plain := !slices.ContainsFunc(parts, func(p canon.Part) bool { return p.Type != canon.PartText })
	if c.w.o.StringContent && plain {
		out.text = joinText(parts)
		return nil
	}
	marked := slices.ContainsFunc(parts, func(p canon.Part) bool { return p.Cache != nil })
	if marked && !c.w.keepsCache() {
		c.w.warn("cache_control", "the service caches by itself")
		marked = false
	}
	if plain && len(parts) == 1 && !marked && (!c.w.same || len(parts[0].Ext) == 0) {
		out.text = parts[0].Text
		return nil
	}
	out.array = true
	for i := range parts {
		v, err := c.part(&parts[i])
		if err != nil {
			return err
		}
		out.parts = append(out.parts, v)
	}
	return nil
}

// append writes the message.
func (m *outMessage) append(b jsontext.Value) jsontext.Value {
	b = append(append(append(b, `{"role":"`...), m.role...), '"')
	if m.callID != "" {
		b = wire.AppendString(append(b, `,"tool_call_id":`...), m.callID)
	}
	if m.name != "" {
		b = wire.AppendString(append(b, `,"name":`...), m.name)
	}
	b = append(b, `,"content":`...)
	switch {
	case m.array:
		b = appendList(b, m.parts)
	case m.null && m.text == "":
		b = append(b, "null"...)
	default:
		b = wire.AppendString(b, m.text)
	}
	if m.refusal != "" {
		b = wire.AppendString(append(b, `,"refusal":`...), m.refusal)
	}
	for _, r := range m.reasoning {
		b = append(append(wire.AppendString(append(b, ','), r.Name), ':'), r.Value...)
	}
	if len(m.calls) > 0 {
		b = appendList(append(b, `,"tool_calls":`...), m.calls)
	}
	return append(appendExt(b, m.ext), '}')
}

func appendList(b jsontext.Value, list []jsontext.Value) jsontext.Value {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

// appendExt adds members behind the others of an object, in the order of their names.
func appendExt(b jsontext.Value, ext map[string]jsontext.Value) jsontext.Value {
	for _, name := range slices.Sorted(maps.Keys(ext)) {
		b = append(append(wire.AppendString(append(b, ','), name), ':'), ext[name]...)
	}
	return b
}
