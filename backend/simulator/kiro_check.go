package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// kiroCheck reads a body and collects the first thing that is wrong with it.
// The service answers most faults of form with one text that says nothing;
// the record says which rule it was.
type kiroCheck struct {
	d      *kiro
	f      *failure
	t      *turn
	target bool // the command-line program's form
	tools  map[string]bool
	used   map[string]string // names of calls, by id
}

// malformed refuses with the service's misleading text.
func (c *kiroCheck) malformed(format string, args ...any) {
	if c.f == nil {
		c.f = &failure{kind: failInvalid, message: "Improperly formed request.", details: []any{fmt.Sprintf(format, args...)}}
	}
}

// because refuses with a reason that the service names.
func (c *kiroCheck) because(reason, text string) {
	if c.f == nil {
		c.f = &failure{kind: failInvalid, message: text, param: reason}
	}
}

// kiroMaxBody is where the misleading refusal of large bodies begins on models
// of 200 K (kiro-gateway; pictures do not count).
const kiroMaxBody = 615_000

func (c *kiroCheck) read(o map[string]any) {
	c.empty(o, "")
	c.only(o, "", "conversationState", "profileArn", "agentMode", "additionalModelRequestFields", "source")
	state := c.object(o, "conversationState", "")
	c.only(state, "conversationState", "conversationId", "agentContinuationId", "agentTaskType", "chatTriggerType", "currentMessage", "history",
		"workspaceId", "customizationArn")
	c.t.conversation, _ = state["conversationId"].(string)
	if c.t.conversation != "" && !kiroUUID.MatchString(c.t.conversation) {
		c.because("INVALID_CONVERSATION_ID", "Invalid conversation id")
	}
	if state["chatTriggerType"] != "MANUAL" {
		c.malformed("chatTriggerType is %v", state["chatTriggerType"])
	}
	if v, ok := state["agentTaskType"]; ok && v != "vibe" && v != "spectask" {
		c.malformed("agentTaskType is %v", v)
	}
	history := list(state["history"])
	if len(history) > 10_000 {
		c.malformed("history has %d messages", len(history))
	}
	messages := append(slices.Clone(history), state["currentMessage"])
	c.used = map[string]string{}
	c.declared(object(object(object(state["currentMessage"])["userInputMessage"])["userInputMessageContext"])["tools"])
	text := 0
	var before map[string]any
	for i, v := range messages {
		m := object(v)
		text += c.message(m, before, i, i == len(messages)-1)
		before = m
	}
	if m, _ := c.d.find(c.t.model); c.f == nil && text > kiroMaxBody && m.window <= 200_000 {
		c.malformed("the texts have %d bytes", text)
	}
	c.t.messages = len(messages)
	c.t.tagged = c.t.thinking
	c.fields(o["additionalModelRequestFields"])
}

// empty refuses null and empty arrays anywhere but in what belongs to tools.
func (c *kiroCheck) empty(v any, path string) {
	switch v := v.(type) {
	case nil:
		c.malformed("%s is null", path)
	case []any:
		if len(v) == 0 {
			c.malformed("%s is empty", path)
		}
		for i, e := range v {
			c.empty(e, fmt.Sprintf("%s[%d]", path, i))
		}
	case map[string]any:
		for _, name := range sortedKeys(v) {
			if name != "input" && name != "json" && name != "additionalModelRequestFields" {
				c.empty(v[name], path+"."+name)
			}
		}
	}
}

func (c *kiroCheck) only(o map[string]any, path string, names ...string) {
	for _, n := range sortedKeys(o) {
		if !slices.Contains(names, n) {
			c.malformed("%s.%s is not known", path, n)
		}
	}
}

func (c *kiroCheck) object(o map[string]any, name, path string) map[string]any {
	v, ok := o[name].(map[string]any)
	if !ok {
		c.malformed("%s.%s is no object", path, name)
	}
	return v
}

var kiroID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// declared reads the tools of the current message.
func (c *kiroCheck) declared(v any) {
	c.tools = map[string]bool{}
	for _, e := range list(v) {
		s := object(object(e)["toolSpecification"])
		name, _ := s["name"].(string)
		description, _ := s["description"].(string)
		schema, ok := object(s["inputSchema"])["json"].(map[string]any)
		switch {
		case !kiroID.MatchString(name):
			c.malformed("tool name %q", name)
		case c.tools[name]:
			c.because("TOOL_DUPLICATE", "Duplicate tool names: "+name)
		case description == "" || len([]rune(description)) > 10_000:
			c.malformed("description of %s", name)
		case !ok || schema["type"] != "object":
			c.because("TOOL_SCHEMA_INVALID", "Invalid schema of tool "+name)
		}
		if bad := kiroBadSchema(schema, true); bad != "" {
			c.malformed("schema of %s has %s", name, bad)
		}
		c.tools[name] = true
		c.t.tools = append(c.t.tools, tool{name: name, description: description, schema: schema})
	}
}

// kiroBadSchema finds a keyword that the service refuses.
func kiroBadSchema(s map[string]any, root bool) string {
	for _, k := range sortedKeys(s) {
		switch k {
		case "additionalProperties", "$schema", "$ref", "$defs", "definitions", "patternProperties", "const", "not", "if":
			return k
		case "anyOf", "oneOf", "allOf":
			if root || k != "anyOf" {
				return k
			}
		case "type":
			if _, many := s[k].([]any); many {
				return "a list of types"
			}
		case "properties":
			for _, name := range sortedKeys(object(s[k])) {
				if bad := kiroBadSchema(object(object(s[k])[name]), false); bad != "" {
					return bad
				}
			}
		case "items":
			if bad := kiroBadSchema(object(s[k]), false); bad != "" {
				return bad
			}
		}
	}
	return ""
}

// message checks one message against the one before it and returns the size of
// its text.
func (c *kiroCheck) message(m, before map[string]any, i int, last bool) int {
	user, isUser := m["userInputMessage"].(map[string]any)
	answer, isAnswer := m["assistantResponseMessage"].(map[string]any)
	switch {
	case len(m) != 1 || isUser == isAnswer:
		c.malformed("message %d is neither a user's nor an assistant's", i)
	case isUser != (i%2 == 0):
		c.malformed("ALTERNATING_MESSAGES at %d", i)
	case last && !isUser:
		c.malformed("ENDS_WITH_USER_MESSAGE")
	case isAnswer:
		return c.answer(answer, i)
	default:
		return c.user(user, object(before["assistantResponseMessage"]), i, last)
	}
	return 0
}

func (c *kiroCheck) answer(m map[string]any, i int) int {
	c.only(m, "assistantResponseMessage", "content", "toolUses", "messageId", "reasoningContent", "cachePoint")
	content, ok := m["content"].(string)
	if !ok || content == "" {
		c.malformed("message %d has no content", i)
	}
	for _, v := range list(m["toolUses"]) {
		u := object(v)
		id, _ := u["toolUseId"].(string)
		name, _ := u["name"].(string)
		_, isObject := u["input"].(map[string]any)
		switch {
		case !kiroID.MatchString(id), !kiroID.MatchString(name):
			c.because("REQUEST_BODY_INVALID", "Invalid tool use format.")
		case !isObject:
			c.malformed("input of %s is no object", name)
		case !c.tools[name]:
			c.malformed("the tool %s is used and not declared", name)
		case c.used[id] != "":
			c.because("TOOL_USE_RESULT_MISMATCH", "Repeated tool use id "+id)
		}
		c.used[id] = name
	}
	if r, ok := m["reasoningContent"].(map[string]any); ok {
		c.t.thoughts++
		if t, ok := r["reasoningText"].(map[string]any); ok {
			text, _ := t["text"].(string)
			signature, _ := t["signature"].(string)
			if !verify(text, signature) && c.f == nil {
				c.f = &failure{kind: failSignature}
			}
		}
	}
	if strings.Contains(content, "<thinking>") {
		c.t.thoughts++
	}
	c.t.results, c.t.images = nil, nil
	return len(content)
}

func (c *kiroCheck) user(m, before map[string]any, i int, last bool) int {
	c.only(m, "userInputMessage", "content", "modelId", "origin", "images", "documents", "userInputMessageContext", "userIntent", "cachePoint", "clientCacheConfig")
	content, ok := m["content"].(string)
	ctx := object(m["userInputMessageContext"])
	c.only(ctx, "userInputMessageContext", "toolResults", "tools", "envState")
	origin, _ := m["origin"].(string)
	if want := map[bool]string{true: "KIRO_CLI", false: "AI_EDITOR"}[c.target]; origin != want {
		c.malformed("origin of message %d is %q", i, origin)
	}
	model, _ := m["modelId"].(string)
	switch _, known := c.d.find(model); {
	case !known && c.f == nil:
		c.f = &failure{kind: failNotFound}
	case c.t.model != "" && c.t.model != model:
		c.malformed("message %d is for another model", i)
	}
	c.t.model = model
	results := list(ctx["toolResults"])
	if !ok || strings.TrimSpace(content) == "" && len(results) == 0 {
		c.malformed("NON_EMPTY_USER_MESSAGE at %d", i)
	}
	if len(content) > 600_000 {
		c.f = &failure{kind: failTooLong}
	}
	if !last && ctx["tools"] != nil {
		c.malformed("tools in message %d", i)
	}
	c.results(results, list(before["toolUses"]), i)
	c.pictures(list(m["images"]))
	if i == 0 {
		c.t.thinking = strings.HasPrefix(content, "<thinking_mode>")
		c.form(content)
	}
	if len(results) == 0 || strings.TrimSpace(content) != "" && content != "Tool results provided." {
		c.t.lastUser, c.t.rounds = content, 0
	}
	if len(results) > 0 {
		c.t.rounds++
	}
	return len(content)
}

// form does what a model does with words about the form of its answer: the
// service has no field for that.
func (c *kiroCheck) form(content string) {
	_, rest, found := strings.Cut(content, "JSON schema:")
	if !found {
		c.t.jsonMode = strings.Contains(content, "one JSON object only")
		return
	}
	var schema any
	if json.NewDecoder(strings.NewReader(rest)).Decode(&schema) == nil {
		c.t.schema, c.t.schemaOK = schema, true
	}
}

func (c *kiroCheck) results(results, uses []any, i int) {
	want := map[string]bool{}
	for _, u := range uses {
		id, _ := object(u)["toolUseId"].(string)
		want[id] = true
	}
	for _, v := range results {
		r := object(v)
		id, _ := r["toolUseId"].(string)
		if !want[id] {
			c.because("TOOL_USE_RESULT_MISMATCH", "No tool use for the result "+id)
		}
		delete(want, id)
		status := r["status"]
		if status != "success" && status != "error" {
			c.malformed("status of a result is %v", status)
		}
		var said []string
		for _, b := range list(r["content"]) {
			text, ok := object(b)["text"].(string)
			if _, isJSON := object(b)["json"]; !ok && !isJSON {
				c.malformed("content of a result")
			}
			said = append(said, text)
		}
		if len(said) == 0 {
			c.malformed("a result without content")
		}
		c.t.results = append(c.t.results, result{id: id, name: c.used[id], text: strings.Join(said, "\n"), failed: status == "error"})
	}
	if len(want) > 0 {
		c.because("TOOL_USE_RESULT_MISMATCH", fmt.Sprintf("%d tool uses of message %d have no result", len(want), i-1))
	}
}

func (c *kiroCheck) pictures(images []any) {
	if len(images) > 10 {
		c.because("IMAGE_COUNT_EXCEEDED", "Too many images")
	}
	for _, v := range images {
		format, _ := object(v)["format"].(string)
		data, _ := object(object(v)["source"])["bytes"].(string)
		raw, err := base64.StdEncoding.DecodeString(data)
		m, ok := sniffImage(raw)
		switch {
		case err != nil:
			c.malformed("the bytes of an image are no base64")
		case !slices.Contains([]string{"png", "jpeg", "gif", "webp"}, format):
			c.because("IMAGE_FORMAT_UNSUPPORTED", "Unsupported image format "+format)
		case !ok || m.mime != "image/"+format:
			c.because("IMAGE_MIME_MISMATCH", "The image is no "+format)
		case len(data) > 3_932_160:
			c.because("IMAGE_SIZE_EXCEEDED", "The image is too large")
		}
		c.t.images = append(c.t.images, m)
	}
}

// fields checks the additional fields against the model's schema.
func (c *kiroCheck) fields(v any) {
	if v == nil {
		return
	}
	o := object(v)
	m, _ := c.d.find(c.t.model)
	bad := func() { c.because("REQUEST_BODY_INVALID", "additionalModelRequestFields do not fit the model") }
	if len(m.efforts) == 0 {
		bad()
	}
	for _, k := range sortedKeys(o) {
		member := object(o[k])
		switch k {
		case "thinking":
			if kind := member["type"]; kind != "adaptive" && kind != "disabled" || member["budget_tokens"] != nil {
				bad()
			}
			c.t.thinking = c.t.thinking || member["type"] == "adaptive"
		case "output_config":
			if effort, _ := member["effort"].(string); !slices.Contains(m.efforts, effort) {
				bad()
			}
		case "max_tokens":
			n, ok := o[k].(json.Number)
			if v, err := n.Int64(); !ok || err != nil || v < 1024 || v > 128_000 {
				bad()
			}
		default:
			bad()
		}
	}
}
