package responses

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// Types of items that are more than their own bytes here.
const (
	itemMessage      = "message"
	itemCall         = "function_call"
	itemCallOutput   = "function_call_output"
	itemCustom       = "custom_tool_call"
	itemCustomOutput = "custom_tool_call_output"
	itemReasoning    = "reasoning"
	itemReference    = "item_reference"
	itemSearch       = "tool_search_call"
	itemSearchOutput = "tool_search_output"
	itemMoreTools    = "additional_tools"
	itemImage        = "image_generation_call"
)

// Members of Part.Ext that only this package reads: the role of leading system text that was a message, and the phase of
// an assistant's message.
const (
	extRole  = "$role"
	extPhase = "$phase"
)

type wireItem struct {
	Type      string         `json:"type"`
	Role      string         `json:"role"`
	ID        string         `json:"id"`
	Phase     string         `json:"phase"`
	Content   jsontext.Value `json:"content"`
	CallID    string         `json:"call_id"`
	Name      string         `json:"name"`
	Namespace string         `json:"namespace"`
	Arguments jsontext.Value `json:"arguments"`
	Input     jsontext.Value `json:"input"`
	Output    jsontext.Value `json:"output"`
	Summary   jsontext.Value `json:"summary"`
	Encrypted string         `json:"encrypted_content"`
	Tools     jsontext.Value `json:"tools"`
}

// readConversation reads the conversation out of the body.
func readConversation(req *canon.Request) error {
	h := history{req: req, calls: map[string]*canon.Part{}}
	if v := req.Body.Get("instructions"); !oai.IsNull(v) {
		if s := oai.Text(v); s != "" {
			h.system = append(h.system, canon.Part{Type: canon.PartText, Text: s})
		}
	}
	switch v := req.Body.Get("input"); {
	case oai.IsNull(v):
	case v.Kind() == '"':
		if s := oai.Text(v); s != "" {
			h.push(canon.RoleUser, canon.Part{Type: canon.PartText, Text: s})
		}
	default:
		c := oai.WalkArray(v)
		for i := 0; c.Next(); i++ {
			if err := h.item(c.Value, i); err != nil {
				return err
			}
		}
	}
	if len(h.messages) == 0 && len(h.system) > 0 {
		p := h.system[len(h.system)-1]
		h.system = h.system[:len(h.system)-1]
		h.push(canon.RoleUser, canon.Part{Type: p.Type, Text: p.Text, Cache: p.Cache})
	}
	if s := &req.State; len(h.messages) == 0 && s.PreviousResponse == "" && s.Conversation == "" && s.Prompt == "" && s.Item == "" {
		return apierror.Invalid("input", "input: at least one message is required")
	}
	for i := range h.messages {
		if m := &h.messages[i]; m.Role == canon.RoleAssistant {
			m.Parts = wire.PlaceSignatures(m.Parts)
		}
	}
	req.System, req.Messages = h.system, h.messages
	return nil
}

// history collects the messages of a request.
type history struct {
	req      *canon.Request
	system   []canon.Part
	messages []canon.Message
	results  bool                   // the last message is a user's and holds tool results only
	calls    map[string]*canon.Part // by their ids
}

func (h *history) item(raw jsontext.Value, i int) error {
	path := "input[" + strconv.Itoa(i) + "]"
	if raw.Kind() == '"' { // a bare string is let through as a user's text
		h.push(canon.RoleUser, canon.Part{Type: canon.PartText, Text: oai.Text(raw)})
		return nil
	}
	var it wireItem
	if err := wire.ReadValue(raw, path, &it); err != nil {
		return err
	}
	switch it.Type {
	case itemMessage:
		return h.message(&it, path)
	case "":
		if it.Role == "" {
			return apierror.Invalid(path+".type", "%s.type is required", path)
		}
		return h.message(&it, path)
	case itemReasoning:
		return h.reasoning(&it, path)
	case itemCall, itemCustom, itemSearch:
		return h.call(&it, path, i)
	case itemCallOutput, itemCustomOutput:
		return h.output(&it, path)
	case itemSearchOutput:
		return h.searchOutput(&it, path, i)
	case itemMoreTools:
		return h.moreTools(it.Tools, path+".tools")
	case itemReference:
		if h.req.State.Item == "" {
			h.req.State.Item = it.ID
		}
		return nil
	default: // a tool of the service, or something new: only the service it came from can read it
		h.push(canon.RoleAssistant, canon.Part{
			Type: canon.PartServer, ItemID: it.ID, Server: raw, Opaque: &canon.Opaque{Family: wire.FamilyOpenAI, Kind: it.Type},
		})
		return nil
	}
}

// push adds parts to the conversation. What the model wrote up to the next item of somebody else is one turn.
func (h *history) push(role canon.Role, parts ...canon.Part) {
	if len(parts) == 0 {
		return
	}
	n := len(h.messages)
	joins := n > 0 && h.messages[n-1].Role == role && (role == canon.RoleAssistant || role == canon.RoleUser && h.results)
	if !joins {
		h.messages = append(h.messages, canon.Message{Role: role})
		n++
	}
	h.results = false
	m := &h.messages[n-1]
	m.Parts = append(m.Parts, parts...)
}

func (h *history) message(it *wireItem, path string) error {
	parts, err := readContent(it.Content, path+".content")
	if err != nil {
		return err
	}
	switch it.Role {
	case "system", "developer":
		return h.systemText(it, parts, path)
	case "user":
		h.push(canon.RoleUser, parts...)
	case "assistant":
		for i := range parts {
			parts[i].ItemID = it.ID
			if it.Phase != "" {
				parts[i].Ext = map[string]jsontext.Value{extPhase: wire.AppendString(nil, it.Phase)}
			}
		}
		h.push(canon.RoleAssistant, parts...)
	default:
		return apierror.Invalid(path+".role", "%s.role must be user, assistant, system or developer", path)
	}
	return nil
}

func (h *history) systemText(it *wireItem, parts []canon.Part, path string) error {
	for i := range parts {
		if parts[i].Type != canon.PartText {
			return apierror.Invalid(path+".content", "%s.content may hold text only", path)
		}
	}
	if len(h.messages) > 0 {
		if len(parts) > 0 {
			h.messages = append(h.messages, canon.Message{Role: canon.RoleSystem, Parts: parts})
			h.results = false
		}
		return nil
	}
	for i := range parts {
		if parts[i].Ext == nil {
			parts[i].Ext = map[string]jsontext.Value{}
		}
		parts[i].Ext[extRole] = wire.AppendString(nil, it.Role)
	}
	h.system = append(h.system, parts...)
	return nil
}

// reasoning reads what a client sent back of the model's thinking. Whose it is tells its encrypted content.
func (h *history) reasoning(it *wireItem, path string) error {
	p := canon.Part{Type: canon.PartReasoning, ItemID: it.ID}
	summary, err := readContent(it.Summary, path+".summary")
	if err != nil {
		return err
	}
	for _, s := range summary {
		p.Summary = append(p.Summary, s.Text)
	}
	if !oai.IsNull(it.Content) {
		var content []struct {
			Text string `json:"text"`
		}
		if err := wire.ReadValue(it.Content, path+".content", &content); err != nil {
			return err
		}
		for _, c := range content {
			p.Text += c.Text
		}
		p.RawText = p.Text != ""
	}
	p.Opaque = wire.ReadOpaque(it.Encrypted, wire.OpaqueThink)
	if p.Opaque != nil && p.Opaque.Kind == opaqueRedacted {
		p.Opaque.Kind, p.Redacted = wire.OpaqueThink, true
	}
	h.push(canon.RoleAssistant, p)
	return nil
}

// opaqueRedacted marks reasoning that its maker has hidden as a whole, so that it comes back as such.
const opaqueRedacted = "redacted"

func (h *history) call(it *wireItem, path string, i int) error {
	p := canon.Part{Type: canon.PartToolCall, CallID: it.CallID, ItemID: it.ID, Name: it.Name, Space: it.Namespace}
	switch it.Type {
	case itemSearch:
		p.Name = toolSearch
		p.SetArgs(argsText(it.Arguments))
	case itemCustom:
		p.Custom, p.Text = true, argsText(it.Input)
	default:
		p.SetArgs(argsText(it.Arguments))
	}
	if p.Name == "" {
		return apierror.Invalid(path+".name", "%s.name is required", path)
	}
	if p.CallID == "" {
		if it.Type != itemSearch {
			return apierror.Invalid(path+".call_id", "%s.call_id is required", path)
		}
		p.CallID = oai.PositionID(p.Name, i, 0)
	}
	h.push(canon.RoleAssistant, p)
	h.calls[p.CallID] = &p
	return nil
}

// argsText returns the arguments of a call as text; some clients send the object itself.
func argsText(v jsontext.Value) string {
	switch {
	case oai.IsNull(v):
		return ""
	case v.Kind() == '"':
		return oai.Text(v)
	default:
		return string(v)
	}
}

// output reads the result of a call. Neighbours share one user message.
func (h *history) output(it *wireItem, path string) error {
	if it.CallID == "" {
		return apierror.Invalid(path+".call_id", "%s.call_id is required", path)
	}
	content, err := readContent(it.Output, path+".output")
	if err != nil {
		return err
	}
	h.result(canon.Part{Type: canon.PartToolResult, CallID: it.CallID, ItemID: it.ID, Result: content, Custom: it.Type == itemCustomOutput})
	return nil
}

func (h *history) result(p canon.Part) {
	if c := h.calls[p.CallID]; c != nil {
		p.Name, p.Space, p.Custom = c.Name, c.Space, c.Custom
	}
	n := len(h.messages)
	if n == 0 || !h.results {
		h.messages = append(h.messages, canon.Message{Role: canon.RoleUser})
		n++
	}
	h.results = true
	h.messages[n-1].Parts = append(h.messages[n-1].Parts, p)
}

// searchOutput reads what a search for tools found: the tools join the others, and the model sees their names as the
// result of its call.
func (h *history) searchOutput(it *wireItem, path string, i int) error {
	id := it.CallID
	if id == "" { // the one right before it
		id = oai.PositionID(toolSearch, i-1, 0)
	}
	found := it.Tools
	if oai.IsNull(found) {
		found = jsontext.Value("[]")
	}
	if err := h.moreTools(found, path+".tools"); err != nil {
		return err
	}
	h.result(canon.Part{Type: canon.PartToolResult, CallID: id, ItemID: it.ID, Name: toolSearch,
		Result: []canon.Part{{Type: canon.PartText, Text: string(wire.Compact(found))}}, Ext: map[string]jsontext.Value{itemSearchOutput: found}})
	return nil
}

// moreTools adds tools that stand in the conversation to those of the request.
func (h *history) moreTools(v jsontext.Value, path string) error {
	if oai.IsNull(v) {
		return nil
	}
	tools, err := toolsOf(v, path)
	if err != nil {
		return err
	}
	for _, t := range tools {
		known := false
		for i := range h.req.Tools {
			known = known || h.req.Tools[i].Name == t.Name && h.req.Tools[i].Space == t.Space
		}
		if !known {
			h.req.Tools = append(slices.Clip(h.req.Tools), t) // a copy of the request may share them
		}
	}
	return nil
}
