package ollama

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
	Role       string                    `json:"role"`
	Content    *string                   `json:"content"`
	Thinking   string                    `json:"thinking"`
	Images     []string                  `json:"images"`
	ToolCalls  []wireCall                `json:"tool_calls"`
	ToolName   string                    `json:"tool_name"`
	Name       string                    `json:"name"` // the older spelling of tool_name
	ToolCallID string                    `json:"tool_call_id"`
	Ext        map[string]jsontext.Value `json:",embed"`
}

type wireCall struct {
	ID       string        `json:"id"`
	Type     string        `json:"type"`
	Function *callFunction `json:"function"`
}

type callFunction struct {
	Index     *int64         `json:"index"`
	Name      string         `json:"name"`
	Arguments jsontext.Value `json:"arguments"`
}

// chat finishes a chat request. The conversation is read now, or later if the body is long. Without messages it only
// asks to load the model.
func (d *decoder) chat() (*canon.Request, error) {
	v := d.o.Get("messages")
	if blank(v) {
		return d.req, nil
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

// generate finishes a generate request: one turn of a user.
func (d *decoder) generate() (*canon.Request, error) {
	var prompt, system, suffix string
	var images []string
	for _, m := range []struct {
		name string
		dst  any
	}{{"prompt", &prompt}, {"system", &system}, {"suffix", &suffix}, {"images", &images}} {
		if err := wire.ReadMember(d.o, m.name, m.dst); err != nil {
			return nil, err
		}
	}
	if suffix != "" {
		return nil, apierror.Invalid("suffix", "%s does not support insert", d.req.ModelAsked)
	}
	if prompt == "" {
		return d.req, nil
	}
	if system != "" {
		d.req.System = []canon.Part{{Type: canon.PartText, Text: system}}
	}
	parts := []canon.Part{{Type: canon.PartText, Text: prompt}}
	more, err := readImages(images, "images")
	if err != nil {
		return nil, err
	}
	d.req.Messages = []canon.Message{{Role: canon.RoleUser, Parts: append(parts, more...)}}
	d.req.Seed = "system\x00" + head(system) + "user\x00" + head(prompt)
	return d.req, nil
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
	if len(h.messages) == 0 && len(h.system) > 0 { // system text alone is what the model is asked
		h.messages = []canon.Message{{Role: canon.RoleUser, Parts: h.system[len(h.system)-1:]}}
		h.system = h.system[:len(h.system)-1]
	}
	if len(h.messages) == 0 {
		return apierror.Invalid("messages", "messages: at least one message must say something")
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
	path := "messages[" + strconv.Itoa(i) + "]"
	for name, v := range m.Ext {
		if v.Kind() == 'n' {
			delete(m.Ext, name)
		}
	}
	switch m.Role {
	case "system", "developer":
		return h.addSystem(m, path)
	case "user":
		return h.addUser(m, path)
	case "assistant":
		return h.addAssistant(m, path, i)
	case "tool":
		return h.addResult(m, path, i)
	case "":
		return apierror.Invalid(path+".role", "%s.role is required", path)
	default:
		return apierror.Invalid(path+".role", "%s.role must be system, user, assistant or tool", path)
	}
}

func (m *wireMessage) text() string {
	if m.Content == nil {
		return ""
	}
	return *m.Content
}

func (h *history) addSystem(m *wireMessage, path string) error {
	if len(m.Images) > 0 {
		return apierror.Invalid(path+".images", "%s.images: system text takes no images", path)
	}
	if m.text() == "" {
		return nil
	}
	p := canon.Part{Type: canon.PartText, Text: m.text()}
	if !h.started {
		h.system = append(h.system, p)
		return nil
	}
	h.push(canon.Message{Role: canon.RoleSystem, Parts: []canon.Part{p}, Ext: m.Ext})
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

func (h *history) addUser(m *wireMessage, path string) error {
	h.started = true
	var parts []canon.Part
	if m.text() != "" {
		parts = append(parts, canon.Part{Type: canon.PartText, Text: m.text()})
	}
	images, err := readImages(m.Images, path+".images")
	if err != nil {
		return err
	}
	parts = append(parts, images...)
	if h.results && len(parts) > 0 { // the user's own words follow the results in the same turn
		last := &h.messages[len(h.messages)-1]
		last.Parts, last.Ext = append(last.Parts, parts...), m.Ext
		h.results, h.open = false, nil
		return nil
	}
	h.push(canon.Message{Role: canon.RoleUser, Parts: parts, Ext: m.Ext})
	return nil
}

// readImages reads base64 without a data: prefix; one with it is let through. Ollama tells the type by the first bytes,
// and so does this.
func readImages(list []string, path string) ([]canon.Part, error) {
	var out []canon.Part
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		var data []byte
		var err error
		if strings.HasPrefix(s, "data:") {
			_, data, err = wire.ParseDataURL(s)
		} else {
			data, err = wire.DecodeBase64(s)
		}
		if err != nil {
			return nil, apierror.Invalid(at, "%s is not valid base64", at)
		}
		mime := wire.SniffImage(data)
		if !strings.HasPrefix(mime, "image/") {
			return nil, apierror.Invalid(at, "%s is no image that is known: png, jpeg, gif and webp are", at)
		}
		out = append(out, canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: mime, Data: data}})
	}
	return out, nil
}

func (h *history) addAssistant(m *wireMessage, path string, at int) error {
	h.started = true
	var parts []canon.Part
	if m.Thinking != "" {
		parts = append(parts, canon.Part{Type: canon.PartReasoning, Text: m.Thinking, RawText: true})
	}
	if m.text() != "" {
		parts = append(parts, canon.Part{Type: canon.PartText, Text: m.text()})
	}
	images, err := readImages(m.Images, path+".images")
	if err != nil {
		return err
	}
	parts = append(parts, images...)
	first := len(parts)
	for j := range m.ToolCalls {
		c := &m.ToolCalls[j]
		at2 := fmt.Sprintf("%s.tool_calls[%d].function", path, j)
		if c.Function == nil || c.Function.Name == "" {
			return apierror.Invalid(at2+".name", "%s.name is required", at2)
		}
		p := canon.Part{Type: canon.PartToolCall, CallID: c.ID, Name: c.Function.Name}
		if p.CallID == "" {
			p.CallID = oai.PositionID(p.Name, at, j)
			p.Ext = map[string]jsontext.Value{noIDMember: yes}
		}
		p.SetArgs(argsText(c.Function.Arguments))
		parts = append(parts, p)
	}
	h.push(canon.Message{Role: canon.RoleAssistant, Parts: parts, Ext: m.Ext})
	h.open = append([]canon.Part(nil), parts[first:]...)
	return nil
}

// argsText returns the arguments of a call as text: the object itself, or the text that some clients send instead.
func argsText(v jsontext.Value) string {
	switch v.Kind() {
	case 0, 'n':
		return ""
	case '"':
		return unquote(v)
	default:
		return string(v)
	}
}

func unquote(v jsontext.Value) string {
	b, _ := jsontext.AppendUnquote(nil, v) // valid JSON; what is broken inside is replaced
	return string(b)
}

// addResult reads a tool message. Neighbours share one user message.
func (h *history) addResult(m *wireMessage, path string, at int) error {
	h.started = true
	p := canon.Part{Type: canon.PartToolResult, CallID: m.ToolCallID, Name: m.ToolName, Ext: m.Ext}
	if p.Name == "" {
		p.Name = m.Name
	}
	if m.text() != "" {
		p.Result = append(p.Result, canon.Part{Type: canon.PartText, Text: m.text()})
	}
	images, err := readImages(m.Images, path+".images")
	if err != nil {
		return err
	}
	p.Result = append(p.Result, images...)
	h.match(&p, at)
	if !h.results {
		h.messages = append(h.messages, canon.Message{Role: canon.RoleUser})
		h.results = true
	}
	last := &h.messages[len(h.messages)-1]
	last.Parts = append(last.Parts, p)
	return nil
}

// match gives a result its call: by id, or without one by name and order among the open calls. A result whose call is
// not there keeps an id of its place.
func (h *history) match(p *canon.Part, at int) {
	noID := p.CallID == ""
	for i := range h.open {
		c := &h.open[i]
		if !noID && c.CallID != p.CallID || noID && p.Name != "" && c.Name != p.Name {
			continue
		}
		p.CallID, p.Name = c.CallID, c.Name
		h.open = append(h.open[:i:i], h.open[i+1:]...)
		break
	}
	if !noID {
		return
	}
	if p.CallID == "" {
		p.CallID = oai.PositionID(p.Name, at, 0)
	}
	ext := map[string]jsontext.Value{noIDMember: yes}
	for name, v := range p.Ext {
		ext[name] = v
	}
	p.Ext = ext
}

// seedMessages is how many messages are looked at for the seed.
const seedMessages = 16

// seedOf returns the head of the system text and of the first user text.
func seedOf(messages jsontext.Value) string {
	var b strings.Builder
	d := jsontext.NewDecoder(strings.NewReader(string(messages[:min(len(messages), 64<<10)])), wire.Lenient)
	if _, err := d.ReadToken(); err != nil {
		return ""
	}
	for n := 0; n < seedMessages && d.PeekKind() == '{'; n++ {
		v, err := d.ReadValue()
		if err != nil {
			break // the head of a long message; what was found so far is enough
		}
		var m struct {
			Role    string         `json:"role"`
			Content jsontext.Value `json:"content"`
		}
		if wire.ReadValue(v, "", &m) != nil {
			continue
		}
		if m.Role == "system" || m.Role == "user" {
			b.WriteString(m.Role)
			b.WriteByte(0)
			b.WriteString(head(argsText(m.Content)))
		}
		if m.Role == "user" {
			break
		}
	}
	return b.String()
}

const seedBytes = 2 << 10

func head(s string) string { return s[:min(len(s), seedBytes)] }
