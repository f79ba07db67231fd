package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// turn is one message as it will be written. Roles alternate, except for system messages of models that take them.
type turn struct {
	role  canon.Role
	parts []canon.Part
	ext   map[string]jsontext.Value
}

// buildTurns brings the conversation into the order that the API demands: roles alternate, the first is the user's, each
// tool call is answered by the next message, results stand first.
func (c *conversion) buildTurns() error {
	for i := range c.req.Messages {
		m := &c.req.Messages[i]
		if m.Role == canon.RoleSystem {
			c.addSystem(i)
			continue
		}
		parts, err := c.keepParts(m)
		if err != nil {
			return err
		}
		c.addTurn(m.Role, parts, m.Ext)
	}
	c.pairResults()
	if len(c.turns) == 0 || c.turns[0].role != canon.RoleUser {
		c.turns = slices.Insert(c.turns, 0, turn{role: canon.RoleUser, parts: []canon.Part{textPart("(continue)")}})
	}
	last := &c.turns[len(c.turns)-1]
	if last.role == canon.RoleAssistant {
		trimEnd(last)
		if len(last.parts) == 0 {
			c.turns = c.turns[:len(c.turns)-1]
		}
	}
	return nil
}

func textPart(s string) canon.Part { return canon.Part{Type: canon.PartText, Text: s} }

// addTurn appends parts, to the turn before if that has the same role.
func (c *conversion) addTurn(role canon.Role, parts []canon.Part, ext map[string]jsontext.Value) {
	if len(parts) == 0 {
		return
	}
	if n := len(c.turns); n > 0 && c.turns[n-1].role == role {
		c.turns[n-1].parts = append(c.turns[n-1].parts, parts...)
		return
	}
	if !c.own {
		ext = nil
	}
	c.turns = append(c.turns, turn{role: role, parts: slices.Clone(parts), ext: ext})
}

// addSystem puts system text in the middle: as a message of its own where the API takes one, else as a reminder in the
// user's words. It never goes to the head: that would change the prompt's beginning on every turn.
func (c *conversion) addSystem(i int) {
	parts := withoutEmpty(c.req.Messages[i].Parts)
	if len(parts) == 0 {
		return
	}
	if c.nativeSystem(i) {
		c.addTurn(canon.RoleSystem, parts, c.req.Messages[i].Ext)
		return
	}
	c.addTurn(canon.RoleUser, []canon.Part{textPart(reminder(joinLines(parts)))}, nil)
}

func joinLines(parts []canon.Part) string {
	texts := make([]string, 0, len(parts))
	for i := range parts {
		texts = append(texts, parts[i].Text)
	}
	return strings.Join(texts, "\n")
}

func reminder(text string) string { return "<system-reminder>\n" + text + "\n</system-reminder>" }

// takesSystem reports whether a model of the upstream takes system messages in the middle.
func takesSystem(model string, o Options) bool {
	traits, _ := traitsOf(model)
	return o.OwnHost && !o.NoSystemRole && traits&midSystem != 0
}

// nativeSystem checks the places where the API allows a system message: after a user's turn, or after a turn of the model
// that ends in a tool of the service; at the end or before a turn of the model. Neighbours are merged.
func (c *conversion) nativeSystem(i int) bool {
	if !takesSystem(c.req.Model, c.o) || len(c.turns) == 0 {
		return false
	}
	before := c.turns[len(c.turns)-1]
	switch before.role {
	case canon.RoleAssistant:
		if before.parts[len(before.parts)-1].Type != canon.PartServer {
			return false
		}
	case canon.RoleUser, canon.RoleSystem:
	}
	for _, m := range c.req.Messages[i+1:] {
		if m.Role != canon.RoleSystem {
			return m.Role == canon.RoleAssistant
		}
	}
	return true
}

// keepParts drops what the API refuses and turns what it has no block for into text.
func (c *conversion) keepParts(m *canon.Message) ([]canon.Part, error) {
	out := make([]canon.Part, 0, len(m.Parts))
	for i := range m.Parts {
		p := m.Parts[i]
		switch p.Type {
		case canon.PartText, canon.PartRefusal:
			if p.Text == "" {
				continue
			}
			p.Type = canon.PartText
		case canon.PartReasoning:
			if m.Role != canon.RoleAssistant || !c.keepReasoning(&p) {
				continue
			}
		case canon.PartServer:
			if p.Opaque == nil || p.Opaque.Family != wire.FamilyClaude || c.o.NoTypedTools {
				c.drop("content", "a block of another service's own tool")
				continue
			}
		case canon.PartToolCall:
			if m.Role != canon.RoleAssistant {
				continue
			}
		case canon.PartToolResult:
			if err := c.checkResult(&p); err != nil {
				return nil, err
			}
		default:
			if m.Role == canon.RoleAssistant {
				p = textPart(omitted(&p))
				break
			}
			if err := c.checkMedia(&p); err != nil {
				return nil, err
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// omitted stands for media where only text can be.
func omitted(p *canon.Part) string {
	n, mime := 0, p.Type.String()
	if p.Media != nil {
		n, mime = len(p.Media.Data), firstOf(p.Media.MIME, mime)
	}
	return fmt.Sprintf("[%s omitted: %s, %d bytes]", p.Type, mime, n)
}

// keepReasoning reports whether thinking goes back to this upstream: only its own, and whole.
func (c *conversion) keepReasoning(p *canon.Part) bool {
	if c.o.StripReasoning {
		return false
	}
	if c.o.NoSignatureCheck && !p.Redacted {
		p.Opaque = nil
		p.Text = reasoningText(p)
		return p.Text != ""
	}
	if p.Opaque == nil || p.Opaque.Data == "" {
		return c.own && c.x.family == "" && p.Text != ""
	}
	return p.Opaque.Family == c.x.family && (p.Opaque.Kind == wire.OpaqueThink || p.Opaque.Kind == "")
}

func reasoningText(p *canon.Part) string {
	if p.Text != "" {
		return p.Text
	}
	return strings.Join(p.Summary, "\n\n")
}

func (c *conversion) checkResult(p *canon.Part) error {
	p.Result = slices.Clone(p.Result)
	for i := range p.Result {
		r := &p.Result[i]
		if r.Type == canon.PartText || r.Type == canon.PartServer || r.Type == canon.PartRefusal {
			continue
		}
		if err := c.checkMedia(r); err != nil {
			return err
		}
	}
	return nil
}

// checkMedia refuses what Claude cannot look at.
func (c *conversion) checkMedia(p *canon.Part) error {
	m := p.Media
	switch {
	case p.Type != canon.PartImage && p.Type != canon.PartDocument || m == nil:
		return unsupported(wire.Field(c.req.Format, "messages"), "%s input is not supported by %s", p.Type, c.req.Model)
	case m.FileID != "" && !c.own:
		return unsupported(wire.Field(c.req.Format, "messages"), "the file %q is stored at another service; send its content instead", m.FileID)
	case p.Type == canon.PartDocument && len(m.Data) > 0 && m.MIME != "application/pdf" && !strings.HasPrefix(m.MIME, "text/"):
		return unsupported(wire.Field(c.req.Format, "messages"), "documents of type %q are not supported by %s", m.MIME, c.req.Model)
	}
	return nil
}

// noResult stands for a result that never came, as after an abort.
const noResult = "No result was recorded for this call."

// pairResults cleans the ids of calls, gives each call its result in the next message, and turns results without a call
// into text.
func (c *conversion) pairResults() {
	ids := idTable{used: map[string]bool{}}
	for i := 0; i < len(c.turns); i++ {
		t := &c.turns[i]
		var calls []call
		if t.role == canon.RoleAssistant {
			calls = ids.calls(t, i)
		} else if t.role == canon.RoleUser && (i == 0 || c.turns[i-1].role != canon.RoleAssistant) {
			t.parts = ordered(t.parts, nil)
		}
		if len(calls) == 0 {
			if t.role == canon.RoleAssistant && i+1 < len(c.turns) && c.turns[i+1].role == canon.RoleUser {
				c.turns[i+1].parts = ordered(c.turns[i+1].parts, nil)
			}
			continue
		}
		if i+1 == len(c.turns) || c.turns[i+1].role != canon.RoleUser {
			c.turns = slices.Insert(c.turns, i+1, turn{role: canon.RoleUser})
		}
		c.turns[i+1].parts = ordered(c.turns[i+1].parts, calls)
	}
}

// call is a tool call that waits for its result.
type call struct{ asked, id string }

// ordered returns a user's parts with the results of calls first. A call without one gets a stand-in; a result without a
// call becomes text.
func ordered(parts []canon.Part, calls []call) []canon.Part {
	results := make([]canon.Part, 0, len(parts)+len(calls))
	var rest []canon.Part
	for i := range parts {
		p := parts[i]
		if p.Type != canon.PartToolResult {
			rest = append(rest, p)
			continue
		}
		at := slices.IndexFunc(calls, func(c call) bool { return c.asked == p.CallID })
		if at < 0 {
			rest = append(rest, orphan(&p)...)
			continue
		}
		p.CallID = calls[at].id
		calls = slices.Delete(slices.Clone(calls), at, at+1)
		results = append(results, p)
	}
	for _, c := range calls {
		results = append(results, canon.Part{Type: canon.PartToolResult, CallID: c.id, IsError: true, Result: []canon.Part{textPart(noResult)}})
	}
	return append(results, rest...)
}

// orphan tells of a result whose call is not there.
func orphan(p *canon.Part) []canon.Part {
	out := []canon.Part{textPart("[result of unknown tool call " + p.CallID + "]: " + joinText(p.Result))}
	for i := range p.Result {
		if t := p.Result[i].Type; t == canon.PartImage || t == canon.PartDocument {
			out = append(out, p.Result[i])
		}
	}
	return out
}

// idTable makes the ids of one request legal and unique.
type idTable struct{ used map[string]bool }

func (t *idTable) calls(tn *turn, at int) []call {
	var out []call
	for i := range tn.parts {
		p := &tn.parts[i]
		if p.Type != canon.PartToolCall {
			continue
		}
		id := wire.CleanID(p.CallID)
		if id == "" { // a hash of place and content, so that every turn gives the same
			sum := sha256.Sum256([]byte(strconv.Itoa(at) + "." + strconv.Itoa(i) + p.Name + p.ArgsText() + p.Text))
			id = "toolu_" + hex.EncodeToString(sum[:12])
		}
		base := id
		for n := 2; t.used[id]; n++ {
			id = base + "_" + strconv.Itoa(n)
		}
		t.used[id] = true
		out = append(out, call{asked: p.CallID, id: id})
		p.CallID = id
	}
	return out
}

// trimEnd removes white space at the end of the model's last text, which the API refuses.
func trimEnd(t *turn) {
	n := len(t.parts)
	if n == 0 || t.parts[n-1].Type != canon.PartText {
		return
	}
	t.parts[n-1].Text = strings.TrimRight(t.parts[n-1].Text, " \t\r\n")
	if t.parts[n-1].Text == "" {
		t.parts = t.parts[:n-1]
	}
}

// prefill deals with a conversation that ends with the model's own words. Models that refuse to go on from there are asked
// to in the user's words.
func (c *conversion) prefill() {
	last := &c.turns[len(c.turns)-1]
	if last.role != canon.RoleAssistant {
		return
	}
	if last.parts[len(last.parts)-1].Type != canon.PartText {
		return
	}
	traits, _ := traitsOf(c.req.Model)
	if traits&noPrefill == 0 && !c.thinking.on() {
		return
	}
	text := joinText(last.parts)
	c.turns = c.turns[:len(c.turns)-1]
	if n := len(c.turns); n > 0 && c.turns[n-1].role == canon.RoleSystem { // it may not stand before a user's turn
		c.turns[n-1].role = canon.RoleUser
		c.turns[n-1].parts = []canon.Part{textPart(reminder(joinLines(c.turns[n-1].parts)))}
		if n > 1 && c.turns[n-2].role == canon.RoleUser {
			c.turns[n-2].parts = append(c.turns[n-2].parts, c.turns[n-1].parts...)
			c.turns = c.turns[:n-1]
		}
	}
	c.addTurn(canon.RoleUser, []canon.Part{textPart("Continue exactly from: " + text)}, nil)
}
