package openai

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

type wireMessage struct {
	Role         string                    `json:"role"`
	Content      jsontext.Value            `json:"content"`
	Name         string                    `json:"name"`
	Refusal      string                    `json:"refusal"`
	ToolCalls    []wireCall                `json:"tool_calls"`
	ToolCallID   string                    `json:"tool_call_id"`
	FunctionCall *callFunction             `json:"function_call"`
	Reasoning    jsontext.Value            `json:"reasoning_content"`
	ReasoningAlt jsontext.Value            `json:"reasoning"`
	Details      jsontext.Value            `json:"reasoning_details"`
	Cache        jsontext.Value            `json:"cache_control"`
	Ext          map[string]jsontext.Value `json:",embed"`
}

type wireCall struct {
	ID       string        `json:"id"`
	Type     string        `json:"type"`
	Function *callFunction `json:"function"`
	Custom   *struct {
		Name  string `json:"name"`
		Input string `json:"input"`
	} `json:"custom"`
	Cache jsontext.Value            `json:"cache_control"`
	Ext   map[string]jsontext.Value `json:",embed"`
}

type callFunction struct {
	Name      string         `json:"name"`
	Arguments jsontext.Value `json:"arguments"`
}

// chat finishes a chat request: the conversation is read now, or later if the body is long.
func (d *decoder) chat() (*canon.Request, error) {
	v := d.o.Get("messages")
	if len(v) == 0 || v.Kind() == 'n' {
		return nil, apierror.Invalid("messages", "messages is required: send at least one message")
	}
	if v.Kind() != '[' {
		return nil, apierror.Invalid("messages", "messages must be an array")
	}
	d.req.Seed = seedOf(v)
	d.req.Defer(readMessages)
	if len(d.o.Raw) > wire.EagerLimit {
		return d.req, nil
	}
	return d.req, d.req.Expand()
}

// readMessages reads the conversation out of the body.
func readMessages(req *canon.Request) error {
	var in []wireMessage
	if err := wire.ReadValue(req.Body.Get("messages"), "messages", &in); err != nil {
		return err
	}
	var h history
	for i := range in {
		if err := h.add(&in[i], i); err != nil {
			return err
		}
	}
	if len(h.messages) == 0 && len(h.system) > 0 {
		h.messages = []canon.Message{{Role: canon.RoleUser, Parts: h.system[len(h.system)-1:]}}
		h.system = h.system[:len(h.system)-1]
	}
	if len(h.messages) == 0 {
		return apierror.Invalid("messages", "messages: at least one message is required")
	}
	req.System, req.Messages = h.system, h.messages
	return nil
}

// history collects the messages of a request.
type history struct {
	started  bool // a message that is not system text was seen
	results  bool // the last message is a user's and holds tool results only
	system   []canon.Part
	messages []canon.Message
	open     []canon.Part // calls of the last assistant message that have no result yet
}

func (h *history) add(m *wireMessage, i int) error {
	dropNulls(m.Ext)
	path := "messages[" + strconv.Itoa(i) + "]"
	switch m.Role {
	case "system", "developer":
		return h.addSystem(m, path)
	case "user":
		return h.addUser(m, path)
	case "assistant":
		return h.addAssistant(m, path, i)
	case "tool", "function":
		return h.addResult(m, path)
	case "":
		return apierror.Invalid(path+".role", "%s.role is required", path)
	default:
		return apierror.Invalid(path+".role", "%s.role must be developer, system, user, assistant or tool", path)
	}
}

// dropNulls leaves out what the SDKs send back as null.
func dropNulls(ext map[string]jsontext.Value) {
	for name, v := range ext {
		if v.Kind() == 'n' {
			delete(ext, name)
		}
	}
}

func (h *history) addSystem(m *wireMessage, path string) error {
	parts, err := readContent(m.Content, path+".content")
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.Type != canon.PartText {
			return apierror.Invalid(path+".content", "%s.content may hold text only", path)
		}
	}
	if err := markCache(parts, m.Cache, path); err != nil {
		return err
	}
	if !h.started {
		h.system = append(h.system, dropEmpty(parts)...)
		return nil
	}
	h.push(canon.Message{Role: canon.RoleSystem, Name: m.Name, Parts: dropEmpty(parts), Ext: m.Ext})
	return nil
}

// dropEmpty leaves empty texts out: no vendor takes them as a block.
func dropEmpty(parts []canon.Part) []canon.Part {
	out := parts[:0]
	for _, p := range parts {
		if p.Type != canon.PartText || p.Text != "" {
			out = append(out, p)
		}
	}
	return out
}

func (h *history) addUser(m *wireMessage, path string) error {
	h.started = true
	parts, err := readContent(m.Content, path+".content")
	if err != nil {
		return err
	}
	if err := markCache(parts, m.Cache, path); err != nil {
		return err
	}
	parts = dropEmpty(parts)
	if h.results && len(parts) > 0 { // the user's own words follow the results in the same turn
		last := &h.messages[len(h.messages)-1]
		last.Parts = append(last.Parts, parts...)
		last.Name, last.Ext = m.Name, m.Ext
		h.results, h.open = false, nil
		return nil
	}
	h.push(canon.Message{Role: canon.RoleUser, Name: m.Name, Parts: parts, Ext: m.Ext})
	return nil
}

// push adds a message unless nothing is in it.
func (h *history) push(m canon.Message) {
	h.started = true
	if len(m.Parts) == 0 {
		return
	}
	h.results = false
	if m.Role != canon.RoleSystem {
		h.open = nil
	}
	h.messages = append(h.messages, m)
}

func (h *history) addAssistant(m *wireMessage, path string, at int) error {
	h.started = true
	parts, err := readReasoningHistory(m, path)
	if err != nil {
		return err
	}
	content, err := readContent(m.Content, path+".content")
	if err != nil {
		return err
	}
	if err := markCache(content, m.Cache, path); err != nil {
		return err
	}
	parts = append(parts, dropEmpty(content)...)
	if m.Refusal != "" {
		parts = append(parts, canon.Part{Type: canon.PartRefusal, Text: m.Refusal})
	}
	first := len(parts)
	for j := range m.ToolCalls {
		p, err := readCall(&m.ToolCalls[j], fmt.Sprintf("%s.tool_calls[%d]", path, j))
		if err != nil {
			return err
		}
		if p.CallID == "" {
			p.CallID = oai.PositionID(p.Name, at, j)
		}
		parts = append(parts, p)
	}
	if f := m.FunctionCall; f != nil && f.Name != "" {
		p := canon.Part{Type: canon.PartToolCall, Name: f.Name, CallID: oai.PositionID(f.Name, at, 0)}
		p.SetArgs(argsText(f.Arguments))
		parts = append(parts, p)
	}
	h.push(canon.Message{Role: canon.RoleAssistant, Name: m.Name, Parts: parts, Ext: m.Ext})
	h.open = append([]canon.Part(nil), parts[first:]...)
	return nil
}

// readReasoningHistory reads what a client sent back of the model's thinking. Chat clients keep the text at best, never
// a signature.
func readReasoningHistory(m *wireMessage, path string) ([]canon.Part, error) {
	p := canon.Part{Type: canon.PartReasoning}
	for _, f := range []struct {
		name string
		v    jsontext.Value
	}{{"reasoning_content", m.Reasoning}, {"reasoning", m.ReasoningAlt}} {
		if len(f.v) == 0 || f.v.Kind() == 'n' || p.Text != "" {
			continue
		}
		if err := wire.ReadValue(f.v, path+"."+f.name, &p.Text); err != nil {
			return nil, err
		}
	}
	if len(m.Details) > 0 && m.Details.Kind() == '[' && string(m.Details) != "[]" {
		p.Ext = map[string]jsontext.Value{"reasoning_details": m.Details}
		if p.Text == "" {
			p.Text = detailsText(m.Details)
		}
	}
	if p.Text == "" && p.Ext == nil {
		return nil, nil
	}
	return []canon.Part{p}, nil
}

func readCall(c *wireCall, path string) (canon.Part, error) {
	cache, err := readCache(c.Cache, path+".cache_control")
	if err != nil {
		return canon.Part{}, err
	}
	p := canon.Part{Type: canon.PartToolCall, CallID: c.ID, Cache: cache, Ext: c.Ext}
	switch {
	case c.Custom != nil:
		p.Name, p.Text, p.Custom = c.Custom.Name, c.Custom.Input, true
		return p, needName(p.Name, path+".custom.name")
	case c.Function != nil:
		p.Name = c.Function.Name
		p.SetArgs(argsText(c.Function.Arguments))
		return p, needName(p.Name, path+".function.name")
	default:
		return p, apierror.Invalid(path+".function", "%s.function is required", path)
	}
}

// argsText returns the arguments of a call as text; some clients and servers send the object itself.
func argsText(v jsontext.Value) string {
	switch {
	case isNull(v):
		return ""
	case v.Kind() == '"':
		return text(v)
	default:
		return string(v)
	}
}

// addResult reads a tool message. Neighbours share one user message.
func (h *history) addResult(m *wireMessage, path string) error {
	h.started = true
	content, err := readContent(m.Content, path+".content")
	if err != nil {
		return err
	}
	p := canon.Part{Type: canon.PartToolResult, CallID: m.ToolCallID, Result: dropEmpty(content), Ext: m.Ext}
	if p.Cache, err = readCache(m.Cache, path+".cache_control"); err != nil {
		return err
	}
	if !h.match(&p, m) {
		return apierror.Invalid(path+".tool_call_id", "%s.tool_call_id is required", path)
	}
	if !h.results {
		h.messages = append(h.messages, canon.Message{Role: canon.RoleUser})
		h.results = true
	}
	last := &h.messages[len(h.messages)-1]
	last.Parts = append(last.Parts, p)
	return nil
}

// match gives a result its call: by id, or without one by name and order among the open calls.
func (h *history) match(p *canon.Part, m *wireMessage) bool {
	for i := range h.open {
		c := &h.open[i]
		byID := p.CallID != "" && c.CallID == p.CallID
		byOrder := p.CallID == "" && (m.Role == "tool" && m.Name == "" || c.Name == m.Name)
		if byID || byOrder {
			p.CallID, p.Name, p.Custom = c.CallID, c.Name, c.Custom
			h.open = append(h.open[:i:i], h.open[i+1:]...)
			return true
		}
	}
	p.Name = m.Name
	if p.CallID == "" && m.Role == "function" {
		p.CallID = oai.PositionID(m.Name, len(h.messages), 0)
	}
	return p.CallID != ""
}

// seedOf returns the head of the system text and of the first user text. It looks at the first messages only.
func seedOf(messages jsontext.Value) string {
	var b strings.Builder
	c := walkArray(messages)
	for n := 0; n < 16 && c.Next(); n++ {
		role := text(member(c.Value, "role"))
		if role == "system" || role == "developer" || role == "user" {
			b.WriteString(role)
			b.WriteByte(0)
			b.WriteString(head(contentText(member(c.Value, "content"))))
		}
		if role == "user" {
			break
		}
	}
	return b.String()
}

const seedBytes = 2 << 10

func head(s string) string { return s[:min(len(s), seedBytes)] }

// contentText returns the text of a content member, string or parts.
func contentText(v []byte) string {
	if len(v) > 0 && v[0] == '"' {
		if len(v) > 6*seedBytes { // enough of it, even if every character is escaped
			cut := v[:6*seedBytes]
			return strings.Trim(strings.ToValidUTF8(string(cut), ""), `"`)
		}
		return text(v)
	}
	var b strings.Builder
	c := walkArray(v)
	for c.Next() && b.Len() < seedBytes {
		b.WriteString(text(member(c.Value, "text")))
	}
	return b.String()
}
