package anthropic

import (
	"encoding/base64"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// writeTurn writes one message.
func (c *conversion) writeTurn(w *writer, i int) {
	t := &c.turns[i]
	w.open('{')
	w.str("role", string(t.role))
	w.begin("content", '[')
	for j := range t.parts {
		c.writePart(w, &t.parts[j], c.marks.turns[i][j])
	}
	w.close(']')
	w.ext(t.ext)
	w.close('}')
}

// ext returns what a part keeps for this format, nothing for other clients.
func (c *conversion) ext(p *canon.Part) map[string]jsontext.Value {
	if c.own {
		return p.Ext
	}
	return nil
}

func (c *conversion) writePart(w *writer, p *canon.Part, mark *canon.Cache) {
	if whole := c.ext(p)[blockMember]; whole != nil {
		w.value(whole)
		return
	}
	switch p.Type {
	case canon.PartReasoning:
		c.writeReasoning(w, p)
	case canon.PartServer:
		w.value(p.Server)
	case canon.PartText, canon.PartRefusal:
		c.writeText(w, p, mark)
	case canon.PartImage, canon.PartDocument:
		c.writeMedia(w, p, mark)
	case canon.PartToolCall:
		w.open('{')
		w.str("type", typeToolUse)
		w.str("id", p.CallID)
		w.str("name", c.names.Out(wire.FlatName(p.Space, p.Name)))
		w.key("input")
		if p.Custom {
			w.b = append(w.b, `{"input":`...)
			w.b = append(wire.AppendString(w.b, p.Text), '}')
		} else {
			w.b = append(w.b, p.ArgsObject()...)
		}
		c.endBlock(w, p, mark)
	case canon.PartToolResult:
		c.writeResult(w, p, mark)
	}
}

// endBlock writes what any block may have at its end.
func (c *conversion) endBlock(w *writer, p *canon.Part, mark *canon.Cache) {
	if mark != nil {
		writeCache(w, mark, c.ext(p))
	}
	w.ext(c.ext(p), cacheMember, "source")
	w.close('}')
}

// writeCache writes a cache mark; one with members that canon has no word for goes out as it came.
func writeCache(w *writer, mark *canon.Cache, ext map[string]jsontext.Value) {
	if v := ext[cacheMember]; v != nil {
		w.raw(cacheMember, v)
		return
	}
	w.begin(cacheMember, '{')
	w.str("type", "ephemeral")
	w.opt("ttl", mark.TTL)
	w.close('}')
}

func (c *conversion) writeText(w *writer, p *canon.Part, mark *canon.Cache) {
	w.open('{')
	w.str("type", typeText)
	w.str("text", p.Text)
	if c.own && p.Citations != nil {
		w.raw("citations", p.Citations)
	}
	c.endBlock(w, p, mark)
}

func (c *conversion) writeReasoning(w *writer, p *canon.Part) {
	w.open('{')
	if p.Redacted {
		w.str("type", typeRedacted)
		w.str("data", p.Opaque.Data)
	} else {
		w.str("type", typeThinking)
		w.str("thinking", reasoningText(p))
		sig := ""
		if p.Opaque != nil {
			sig = p.Opaque.Data
		}
		w.str("signature", sig)
	}
	c.endBlock(w, p, nil)
}

func (c *conversion) writeMedia(w *writer, p *canon.Part, mark *canon.Cache) {
	w.open('{')
	w.str("type", p.Type.String())
	m := p.Media
	if v := c.ext(p)["source"]; v != nil {
		w.raw("source", v)
	} else {
		writeSource(w, p.Type, m)
	}
	if p.Type == canon.PartDocument {
		w.opt("title", firstOf(m.Title, m.FileName))
		w.opt("context", m.Context)
	}
	c.endBlock(w, p, mark)
}

func writeSource(w *writer, t canon.PartType, m *canon.Media) {
	w.begin("source", '{')
	switch {
	case m.URL != "":
		w.str("type", "url")
		w.str("url", m.URL)
	case m.FileID != "":
		w.str("type", "file")
		w.str("file_id", m.FileID)
	case t == canon.PartDocument && m.MIME != "application/pdf":
		w.str("type", "text")
		w.str("media_type", "text/plain")
		w.str("data", firstOf(m.Text, string(m.Data)))
	default:
		mime := m.MIME
		if mime == "" {
			mime = wire.SniffImage(m.Data)
		}
		w.str("type", "base64")
		w.str("media_type", mime)
		w.key("data")
		w.b = append(w.b, '"')
		w.b = base64.StdEncoding.AppendEncode(w.b, m.Data)
		w.b = append(w.b, '"')
	}
	w.close('}')
}

func (c *conversion) writeResult(w *writer, p *canon.Part, mark *canon.Cache) {
	w.open('{')
	w.str("type", typeResult)
	w.str("tool_use_id", p.CallID)
	parts := withoutEmpty(p.Result)
	switch {
	case len(parts) == 1 && parts[0].Type == canon.PartText && parts[0].Cache == nil && len(c.ext(&parts[0])) == 0:
		w.str("content", parts[0].Text)
	case len(parts) > 0:
		w.begin("content", '[')
		for i := range parts {
			inner := parts[i].Cache
			if c.o.NoCacheControl || !c.own {
				inner = nil
			}
			c.writePart(w, &parts[i], inner)
		}
		w.close(']')
	}
	if p.IsError {
		w.bool("is_error", true)
	}
	c.endBlock(w, p, mark)
}

// maxMarks is how many cache marks Claude takes.
const maxMarks = 4

// marks are the cache marks that are written, by place.
type marks struct {
	tools, system []*canon.Cache
	turns         [][]*canon.Cache
}

// placeMarks collects the client's cache marks, at most the last four in the order tools, system, messages. A client of
// another format that set none gets four of them: tool loops are unaffordable without.
func (c *conversion) placeMarks() *marks {
	m := &marks{tools: make([]*canon.Cache, len(c.tools)), system: make([]*canon.Cache, len(c.system)), turns: make([][]*canon.Cache, len(c.turns))}
	for i := range c.turns {
		m.turns[i] = make([]*canon.Cache, len(c.turns[i].parts))
	}
	if c.o.NoCacheControl {
		return m
	}
	var all []**canon.Cache
	take := func(dst **canon.Cache, v *canon.Cache) {
		if v != nil {
			*dst = v
			all = append(all, dst)
		}
	}
	for i := range c.tools {
		take(&m.tools[i], c.tools[i].Cache)
	}
	for i := range c.system {
		take(&m.system[i], c.system[i].Cache)
	}
	for i := range c.turns {
		for j := range c.turns[i].parts {
			if p := &c.turns[i].parts[j]; p.Type != canon.PartReasoning && p.Type != canon.PartServer {
				take(&m.turns[i][j], p.Cache)
			}
		}
	}
	if len(all) == 0 && !c.own && c.req.Cache == nil {
		c.autoMarks(m)
		return m
	}
	for len(all) > maxMarks {
		*all[0] = nil
		all = all[1:]
	}
	short := false // a mark of an hour must not come after one of five minutes
	for _, p := range all {
		if (*p).TTL != "1h" {
			short = true
		} else if short {
			*p = &canon.Cache{}
		}
	}
	return m
}

// autoMarks marks the last tool, the last system block and the last block of the last two user messages.
func (c *conversion) autoMarks(m *marks) {
	mark := &canon.Cache{}
	if n := len(m.tools); n > 0 {
		m.tools[n-1] = mark
	}
	if n := len(m.system); n > 0 {
		m.system[n-1] = mark
	}
	left := 2
	for i := len(c.turns) - 1; i >= 0 && left > 0; i-- {
		if c.turns[i].role == canon.RoleUser {
			m.turns[i][len(m.turns[i])-1] = mark
			left--
		}
	}
}

// pickTools chooses the tools that the upstream gets.
func (c *conversion) pickTools() error {
	c.choice = c.req.ToolChoice
	allowed := c.choice.Mode == canon.ChoiceAllowed || c.choice.Mode == canon.ChoiceAllowReq
	for i := range c.req.Tools {
		t := c.req.Tools[i]
		if allowed && !slices.Contains(c.choice.Names, t.Name) && !slices.Contains(c.choice.Names, wire.FlatName(t.Space, t.Name)) {
			continue
		}
		if t.Kind == canon.ToolServer {
			ok, err := c.serverTool(&t)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
		} else {
			c.remember(&t)
		}
		c.tools = append(c.tools, t)
	}
	switch c.choice.Mode {
	case canon.ChoiceAllowed:
		c.choice = canon.ToolChoice{Mode: canon.ChoiceAuto}
	case canon.ChoiceAllowReq:
		c.choice = canon.ToolChoice{Mode: canon.ChoiceRequired}
	case canon.ChoiceNamed:
		return c.checkNamed()
	}
	return nil
}

func (c *conversion) checkNamed() error {
	if len(c.choice.Names) == 1 {
		for i := range c.tools {
			if t := &c.tools[i]; t.Name == c.choice.Names[0] || wire.FlatName(t.Space, t.Name) == c.choice.Names[0] {
				c.choice.Names = []string{c.names.Out(wire.FlatName(t.Space, t.Name))}
				if t.Kind == canon.ToolServer {
					c.choice.Names = []string{t.Name}
				}
				return nil
			}
		}
	}
	return unsupported("tool_choice", "tool_choice names a tool that is not among the tools, or that this service does not have")
}

// remember notes under which name the upstream will call a tool.
func (c *conversion) remember(t *canon.Tool) {
	flat := wire.FlatName(t.Space, t.Name)
	out := c.names.Out(flat)
	if out == t.Name && t.Space == "" && t.Kind != canon.ToolCustom {
		return
	}
	if c.x.tools == nil {
		c.x.tools = map[string]toolName{}
	}
	c.x.tools[out] = toolName{name: t.Name, space: t.Space, custom: t.Kind == canon.ToolCustom}
}
