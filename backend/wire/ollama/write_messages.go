package ollama

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// conversation writes the messages one after the other.
type conversation struct {
	w      *writer
	b      jsontext.Value
	names  map[string]string // of calls, by id
	order  map[string]int    // of the calls of the last turn, by id
	images []canon.Part      // of tool results, for the user message behind them
}

func (w *writer) messages() (jsontext.Value, error) {
	c := conversation{w: w, b: append(make(jsontext.Value, 0, len(w.req.Body.Raw)+1024), '['), names: map[string]string{}}
	c.system()
	for i := range w.req.Messages {
		var err error
		switch m := &w.req.Messages[i]; m.Role {
		case canon.RoleAssistant:
			err = c.assistant(m, i == len(w.req.Messages)-1)
		case canon.RoleSystem:
			c.text("system", joinText(m.Parts), m)
		default:
			err = c.user(m)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(c.b, ']'), nil
}

// system writes the leading system text: of a client of this format message by message, of others as one.
func (c *conversation) system() {
	parts := slices.DeleteFunc(slices.Clone(c.w.req.System), func(p canon.Part) bool {
		return p.Text == "" || strings.HasPrefix(p.Text, "x-anthropic-billing-header:") // changes with every call and spoils caches
	})
	for _, n := range c.w.notes {
		parts = append(parts, canon.Part{Type: canon.PartText, Text: n})
	}
	if !c.w.x.foreign {
		for i := range parts {
			c.text("system", parts[i].Text, nil)
		}
		return
	}
	if len(parts) > 0 {
		c.text("system", joinText(parts), nil)
	}
}

func joinText(parts []canon.Part) string {
	var b strings.Builder
	for i := range parts {
		if parts[i].Type != canon.PartText && parts[i].Type != canon.PartRefusal || parts[i].Text == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(parts[i].Text)
	}
	return b.String()
}

// begin starts a message up to its content.
func (c *conversation) begin(role, content string) {
	if len(c.b) > 1 {
		c.b = append(c.b, ',')
	}
	c.b = append(append(append(c.b, `{"role":"`...), role...), `","content":`...)
	c.b = wire.AppendString(c.b, content)
}

// end closes a message, with what canon has no word for if the client speaks this format.
func (c *conversation) end(ext map[string]jsontext.Value) {
	if !c.w.x.foreign {
		c.b = appendExt(c.b, ext)
	}
	c.b = append(c.b, '}')
}

// text writes a message of text alone; m may be nil.
func (c *conversation) text(role, content string, m *canon.Message) {
	c.begin(role, content)
	if m != nil {
		c.end(m.Ext)
	} else {
		c.end(nil)
	}
}

func (c *conversation) assistant(m *canon.Message, last bool) error {
	c.order = map[string]int{}
	var calls []*canon.Part
	var images []canon.Part
	thinking := ""
	for i := range m.Parts {
		p := &m.Parts[i]
		switch p.Type {
		case canon.PartToolCall:
			calls = append(calls, p)
			c.names[p.CallID] = wire.FlatName(p.Space, p.Name)
			c.order[p.CallID] = len(calls)
		case canon.PartReasoning:
			if p.Opaque == nil || p.Opaque.Data == "" { // what somebody signed was not this model's
				thinking += visible(p)
			}
		case canon.PartImage:
			images = append(images, *p)
		case canon.PartText, canon.PartRefusal:
		case canon.PartServer:
			c.w.x.warn("messages.server_tools", "only the service that ran them can read them")
		default:
			c.w.x.warn("messages."+p.Type.String(), "an assistant message cannot hold it")
		}
	}
	content := joinText(m.Parts)
	if last && c.w.x.foreign && len(calls) == 0 && content != "" { // a beginning that the model shall go on from
		c.text("user", "Continue exactly from: "+content, nil)
		return nil
	}
	if c.w.x.foreign && len(calls) == 0 {
		thinking = "" // only turns with calls need it
	}
	if content == "" && thinking == "" && len(calls) == 0 && len(images) == 0 {
		return nil
	}
	c.begin("assistant", content)
	if thinking != "" {
		c.b = wire.AppendString(append(c.b, `,"thinking":`...), thinking)
	}
	if err := c.pictures(images); err != nil {
		return err
	}
	for i, p := range calls {
		c.b = append(c.b, map[bool]string{true: `,"tool_calls":[`, false: `,`}[i == 0]...)
		c.call(p)
	}
	if len(calls) > 0 {
		c.b = append(c.b, ']')
	}
	c.end(m.Ext)
	return nil
}

func (c *conversation) call(p *canon.Part) {
	c.b = append(c.b, '{')
	if p.CallID != "" && (c.w.x.foreign || p.Ext[noIDMember] == nil) {
		c.b = append(wire.AppendString(append(c.b, `"id":`...), p.CallID), ',')
	}
	c.b = wire.AppendString(append(c.b, `"function":{"name":`...), wire.FlatName(p.Space, p.Name))
	c.b = append(append(append(c.b, `,"arguments":`...), argsObject(p)...), "}}"...)
}

// user writes a user's turn: the results of calls, each a message of its own and in the order of the calls, then their
// pictures and the user's own words.
func (c *conversation) user(m *canon.Message) error {
	var results []*canon.Part
	var parts []canon.Part
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Type == canon.PartToolResult {
			results = append(results, p)
		} else {
			parts = append(parts, *p)
		}
	}
	if c.w.x.foreign {
		slices.SortStableFunc(results, func(a, b *canon.Part) int { return c.order[a.CallID] - c.order[b.CallID] })
	}
	for _, r := range results {
		c.result(r)
	}
	parts, c.images = append(c.images, parts...), nil
	return c.words(parts, m)
}

// result writes a tool message. It takes text only, so its pictures go into the user message behind it.
func (c *conversation) result(r *canon.Part) {
	pictures := 0
	for _, p := range r.Result {
		if p.Type == canon.PartImage || p.Type == canon.PartDocument {
			pictures++
			c.images = append(c.images, p)
		}
	}
	content := joinText(r.Result)
	if pictures > 0 {
		if content != "" {
			content += "\n\n"
		}
		content += "(image attached below)"
	}
	if r.IsError && !strings.HasPrefix(strings.ToLower(content), "error") {
		content = "Error: " + content
	}
	c.begin("tool", content)
	name := r.Name
	if n := c.names[r.CallID]; n != "" {
		name = n
	}
	if name != "" {
		c.b = wire.AppendString(append(c.b, `,"tool_name":`...), name)
	}
	if r.CallID != "" && (c.w.x.foreign || r.Ext[noIDMember] == nil) {
		c.b = wire.AppendString(append(c.b, `,"tool_call_id":`...), r.CallID)
	}
	c.end(r.Ext)
}

func (c *conversation) words(parts []canon.Part, m *canon.Message) error {
	var texts, images []canon.Part
	for i := range parts {
		p := parts[i]
		switch p.Type {
		case canon.PartText, canon.PartRefusal:
			texts = append(texts, p)
		case canon.PartImage:
			if c.w.req.Facts.Images == canon.No {
				c.w.x.warn("messages.image", "the model reads text only")
				texts = append(texts, canon.Part{Type: canon.PartText, Text: fmt.Sprintf("[image omitted: %s, %d bytes]", p.Media.MIME, len(p.Media.Data))})
				continue
			}
			images = append(images, p)
		case canon.PartDocument:
			if p.Media.Text == "" {
				return unsupported(wire.Field(c.w.req.Format, "messages"), "document input is not supported by %s", c.w.req.ModelAsked)
			}
			texts = append(texts, canon.Part{Type: canon.PartText, Text: titled(p.Media)})
		case canon.PartReasoning, canon.PartServer:
		default:
			return unsupported(wire.Field(c.w.req.Format, "messages"), "%s input is not supported by %s", p.Type, c.w.req.ModelAsked)
		}
	}
	content := joinText(texts)
	if content == "" && len(images) == 0 {
		return nil
	}
	c.begin("user", content)
	if err := c.pictures(images); err != nil {
		return err
	}
	c.end(m.Ext)
	return nil
}

func titled(m *canon.Media) string {
	for _, title := range []string{m.Title, m.FileName} {
		if title != "" {
			return title + "\n\n" + m.Text
		}
	}
	return "Document\n\n" + m.Text
}

// pictures writes images as base64. Ollama takes no addresses: whoever has a URL must read it before.
func (c *conversation) pictures(images []canon.Part) error {
	for i := range images {
		m := images[i].Media
		if got, ok := c.w.o.Media[m.URL]; ok && m.URL != "" {
			m = &got
		}
		if len(m.Data) == 0 {
			return unsupported(wire.Field(c.w.req.Format, "messages"),
				"%s takes images only as data, not by their address; send the image itself", c.w.req.ModelAsked)
		}
		c.b = append(c.b, map[bool]string{true: `,"images":["`, false: `,"`}[i == 0]...)
		c.b = append(base64.StdEncoding.AppendEncode(c.b, m.Data), '"')
	}
	if len(images) > 0 {
		c.b = append(c.b, ']')
	}
	return nil
}
