package kiro

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// The body of GenerateAssistantResponse, as the SDK's schemas have it (codewhisperer-streaming-client 1.0.45). What is absent is
// left out: the service refuses null and empty arrays.
type (
	requestBody struct {
		State      conversationState `json:"conversationState"`
		ProfileARN string            `json:"profileArn,omitzero"`
		AgentMode  string            `json:"agentMode,omitzero"`
		Fields     jsontext.Value    `json:"additionalModelRequestFields,omitzero"`
	}
	conversationState struct {
		ID       string         `json:"conversationId"`
		TaskType string         `json:"agentTaskType"`
		Trigger  string         `json:"chatTriggerType"`
		History  []historyEntry `json:"history,omitzero"`
		Current  historyEntry   `json:"currentMessage"`
	}
	historyEntry struct {
		User      *userMessage      `json:"userInputMessage,omitzero"`
		Assistant *assistantMessage `json:"assistantResponseMessage,omitzero"`
	}
	userMessage struct {
		Content string          `json:"content"`
		Model   string          `json:"modelId"`
		Origin  string          `json:"origin"`
		Images  []imageBlock    `json:"images,omitzero"`
		Context *messageContext `json:"userInputMessageContext,omitzero"`
	}
	imageBlock struct {
		Format string `json:"format"`
		Source struct {
			Bytes string `json:"bytes"`
		} `json:"source"`
	}
	messageContext struct {
		Results []toolResult `json:"toolResults,omitzero"`
		Tools   []toolSpec   `json:"tools,omitzero"`
	}
	toolResult struct {
		ID      string        `json:"toolUseId"`
		Status  string        `json:"status"`
		Content []resultBlock `json:"content"`
	}
	resultBlock struct {
		Text string `json:"text"`
	}
	toolSpec struct {
		Spec specification `json:"toolSpecification"`
	}
	specification struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Schema      struct {
			JSON jsontext.Value `json:"json"`
		} `json:"inputSchema"`
	}
	assistantMessage struct {
		Content   string            `json:"content"`
		Uses      []toolUse         `json:"toolUses,omitzero"`
		Reasoning *reasoningContent `json:"reasoningContent,omitzero"`
	}
	toolUse struct {
		ID    string         `json:"toolUseId"`
		Name  string         `json:"name"`
		Input jsontext.Value `json:"input"`
	}
	reasoningContent struct {
		Text     *reasoningText `json:"reasoningText,omitzero"`
		Redacted string         `json:"redactedContent,omitzero"`
	}
	reasoningText struct {
		Text      string `json:"text"`
		Signature string `json:"signature"`
	}
)

// write makes the body.
func (c *conversion) write() error {
	b := requestBody{ProfileARN: c.x.o.arn, Fields: c.extra}
	if c.x.o.formB {
		b.AgentMode = "vibe"
	}
	b.State = conversationState{ID: c.conversationID(), TaskType: "vibe", Trigger: "MANUAL"}
	for i := range c.turns {
		e, err := c.entry(i)
		if err != nil {
			return err
		}
		if i == len(c.turns)-1 {
			b.State.Current = e
		} else {
			b.State.History = append(b.State.History, e)
		}
	}
	var err error
	if c.x.body, err = wire.Marshal(b); err != nil {
		e := apierror.New(apierror.Internal, "Patchbay could not write the request for Kiro; its log says more")
		e.Err = err
		return e
	}
	return nil
}

func (c *conversion) entry(i int) (historyEntry, error) {
	t := &c.turns[i]
	if !t.user {
		m := &assistantMessage{Content: c.words(i), Reasoning: t.native}
		for _, u := range t.uses {
			m.Uses = append(m.Uses, toolUse{u.id, u.name, u.args})
		}
		return historyEntry{Assistant: m}, nil
	}
	m := &userMessage{Content: c.words(i), Model: c.x.model.id, Origin: c.x.o.origin}
	for _, img := range t.images {
		block, err := c.image(img)
		if err != nil {
			return historyEntry{}, err
		}
		m.Images = append(m.Images, block)
	}
	var ctx messageContext
	for _, r := range t.results {
		out := toolResult{ID: r.id, Status: "success", Content: []resultBlock{{r.text}}}
		if r.failed {
			out.Status = "error"
		}
		ctx.Results = append(ctx.Results, out)
	}
	if i == len(c.turns)-1 {
		ctx.Tools = c.specs
	}
	if len(ctx.Results)+len(ctx.Tools) > 0 {
		m.Context = &ctx
	}
	return historyEntry{User: m}, nil
}

// imageFormats are the pictures that the service takes.
var imageFormats = map[string]string{"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}

func (c *conversion) image(m *canon.Media) (imageBlock, error) {
	var b imageBlock
	at := wire.Field(c.req.Format, "messages")
	mime, data := m.MIME, m.Data
	if sniffed := wire.SniffImage(data); imageFormats[sniffed] != "" {
		mime = sniffed // clients mislabel pictures, and the service looks
	}
	format, ok := imageFormats[strings.ToLower(mime)]
	if !ok {
		return b, unsupported(at, "Kiro takes PNG, JPEG, GIF and WebP pictures, not %s", mime)
	}
	if base64.StdEncoding.EncodedLen(len(data)) > maxImageBase64 {
		small, err := shrink(data)
		if err != nil {
			return b, apierror.Invalid(at, "a picture is larger than the %d bytes that Kiro takes and cannot be made smaller here; send a smaller one", maxImageBase64*3/4)
		}
		data, format = small, "jpeg"
	}
	b.Format, b.Source.Bytes = format, base64.StdEncoding.EncodeToString(data)
	return b, nil
}

var emptySchema = jsontext.Value(`{"type":"object","properties":{}}`)

func specOf(name, description string, schema jsontext.Value) toolSpec {
	var s toolSpec
	s.Spec.Name, s.Spec.Description, s.Spec.Schema.JSON = name, description, schema
	return s
}

// readTools declares the client's tools, and notes what the service cannot be told otherwise.
func (c *conversion) readTools() error {
	choice := c.req.ToolChoice
	c.output()
	if choice.Mode == canon.ChoiceNone {
		c.flat = true
		return nil
	}
	var lost []string
	for i := range c.req.Tools {
		t := &c.req.Tools[i]
		flat := wire.FlatName(t.Space, t.Name)
		limited := choice.Mode == canon.ChoiceAllowed || choice.Mode == canon.ChoiceAllowReq
		switch {
		case t.Kind == canon.ToolServer && strings.HasPrefix(t.ServerType, "mcp"):
			return unsupported("tools", "%s cannot run the tool %q: remote MCP tools need the service they were made for", c.req.ModelAsked, t.Name)
		case t.Kind == canon.ToolServer:
			lost = append(lost, t.Name)
			c.x.drop("tools."+t.ServerType, "the service cannot run it")
		case limited && !slices.Contains(choice.Names, t.Name) && !slices.Contains(choice.Names, flat):
		default:
			c.declare(t, flat)
		}
	}
	forced := choice.Mode == canon.ChoiceNamed && len(choice.Names) == 1 && slices.Contains(lost, choice.Names[0])
	if len(lost) > 0 && (forced || len(c.specs) == 0) {
		return unsupported("tools", "%s cannot run the tool %q", c.req.ModelAsked, lost[0])
	}
	if len(c.specs) == 0 {
		return nil
	}
	c.x.declared, c.x.leaks = true, c.x.o.leaks
	switch choice.Mode {
	case canon.ChoiceRequired, canon.ChoiceAllowReq:
		c.notes = append(c.notes, "Answer by calling at least one of the tools.")
	case canon.ChoiceNamed:
		if len(choice.Names) == 1 {
			c.notes = append(c.notes, "Answer by calling the tool "+c.x.names.Out(choice.Names[0])+".")
		}
	}
	return nil
}

func (c *conversion) declare(t *canon.Tool, flat string) {
	name := c.x.names.Out(flat)
	if _, twice := c.x.tools[name]; twice {
		return // a tool that a later message repeats
	}
	c.x.tools[name] = tool{name: t.Name, space: t.Space, custom: t.Kind == canon.ToolCustom}
	schema := t.Schema
	if t.Kind == canon.ToolCustom {
		schema = oai.InputSchema(t)
	}
	description := strings.TrimSpace(t.Description)
	if description == "" {
		description = "Tool: " + name
	}
	if utf8.RuneCountInString(description) > maxDescription {
		head := []rune(description)[:maxDescription-len(moreBelow)]
		c.rest = append(c.rest, "## Tool: "+name+"\n"+string([]rune(description)[len(head):]))
		description = string(head) + moreBelow
	}
	c.specs = append(c.specs, specOf(name, description, wire.SchemaForKiro(schema)))
}

// moreBelow ends a description whose rest stands in the system prompt.
const moreBelow = "\n(The description goes on in the system prompt.)"

// output asks in words for the form of the answer.
func (c *conversion) output() {
	switch out := &c.req.Output; out.Kind {
	case canon.OutputJSON:
		c.x.standIn = true
		c.notes = append(c.notes, "Answer with one JSON object only, without any other text.")
	case canon.OutputSchema:
		c.x.standIn = true
		c.notes = append(c.notes, "Answer with one JSON value only, without any other text. It must be valid under this JSON schema:\n"+
			string(wire.Compact(wire.RepairSchema(out.Schema))))
	}
}
