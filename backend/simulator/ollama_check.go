package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ollamaCheck collects the first thing that is wrong with a request, in the
// words of Go's JSON decoder and of the server's handlers. Fields that the
// server does not know are no fault.
type ollamaCheck struct {
	f     *failure
	t     *turn
	model ollamaModel
}

func (c *ollamaCheck) fail(format string, args ...any) {
	if c.f == nil {
		c.f = invalid(fmt.Sprintf(format, args...))
	}
}

// goKind names a JSON kind as Go's decoder does.
func goKind(v any) string {
	switch v.(type) {
	case bool:
		return "bool"
	case string:
		return "string"
	case json.Number:
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// want checks a field's kind; absent and null are fine.
func (c *ollamaCheck) want(m map[string]any, name, path, kind, typ string) any {
	v := m[name]
	if v != nil && goKind(v) != kind {
		c.fail("json: cannot unmarshal %s into Go struct field %s.%s of type %s", goKind(v), path, name, typ)
		return nil
	}
	return v
}

func (c *ollamaCheck) text(m map[string]any, name, path string) string {
	s, _ := c.want(m, name, path, "string", "string").(string)
	return s
}

func (c *ollamaCheck) read(o map[string]any) {
	if c.f != nil {
		return
	}
	t := c.t
	path := "ChatRequest"
	if t.prompt {
		path = "GenerateRequest"
	}
	t.model, _ = o["model"].(string)
	c.want(o, "stream", path, "bool", "bool")
	t.stream = o["stream"] != false // absent means a stream
	c.keepAlive(o["keep_alive"])
	c.options(c.want(o, "options", path, "object", "map[string]interface {}"))
	c.format(o["format"])
	if n := number(o["top_logprobs"], 0); n < 0 || n > 20 {
		c.fail("top_logprobs must be between 0 and 20")
	}
	if t.prompt {
		c.generate(o)
	} else {
		c.chat(o)
	}
	c.think(o["think"])
}

// keepAlive reads how long the model stays; 0 with nothing to answer unloads.
func (c *ollamaCheck) keepAlive(v any) {
	c.t.load = "load"
	switch k := v.(type) {
	case json.Number:
		if number(k, 1) == 0 {
			c.t.load = "unload"
		}
	case string:
		d, err := time.ParseDuration(k)
		if err != nil {
			c.fail("%s", err.Error())
		}
		if err == nil && d == 0 {
			c.t.load = "unload"
		}
	case nil:
	default:
		c.fail("Unsupported type: 'map[string]interface {}'")
	}
}

// ollamaOptions are the options by kind.
var ollamaOptions = map[string]string{
	"num_keep": "integer", "seed": "integer", "num_predict": "integer", "top_k": "integer", "repeat_last_n": "integer", "num_ctx": "integer",
	"num_batch": "integer", "num_gpu": "integer", "main_gpu": "integer", "num_thread": "integer", "top_p": "float32", "min_p": "float32",
	"typical_p": "float32", "temperature": "float32", "repeat_penalty": "float32", "presence_penalty": "float32", "frequency_penalty": "float32",
	"use_mmap": "boolean", "stop": "array",
}

func (c *ollamaCheck) options(v any) {
	o := object(v)
	for _, name := range sortedKeys(o) {
		kind := ollamaOptions[name] // unknown ones are only logged
		want := map[string]string{"integer": "number", "float32": "number", "boolean": "bool", "array": "array"}[kind]
		if kind != "" && o[name] != nil && goKind(o[name]) != want {
			c.fail("option %q must be of type %s", name, kind)
		}
	}
	for _, s := range list(o["stop"]) {
		if _, ok := s.(string); !ok {
			c.fail("option \"stop\" must be of an array of strings")
		}
	}
	c.t.stops = texts(o["stop"])
}

func (c *ollamaCheck) format(v any) {
	switch f := v.(type) {
	case nil:
	case string:
		if f != "" && f != "json" {
			c.fail("invalid format: %q; expected \"json\" or a valid JSON Schema object", encode(f))
		}
		c.t.jsonMode = f == "json"
	case map[string]any:
		c.t.schema, c.t.schemaOK = f, true
	default:
		c.fail("invalid format: %q; expected \"json\" or a valid JSON Schema object", encode(f))
	}
}

// think reads the wish to think; a model that can does unless it must not.
func (c *ollamaCheck) think(v any) {
	can := c.model.able("thinking")
	wanted := can
	switch k := v.(type) {
	case nil:
	case bool:
		wanted = k
	case string:
		if !slices.Contains([]string{"high", "medium", "low", "max"}, k) {
			c.fail("invalid think value: %q (must be \"high\", \"medium\", \"low\", \"max\", true, or false)", k)
		}
		wanted = true
	default:
		c.fail("think must be a boolean or string (\"high\", \"medium\", \"low\", \"max\", true, or false)")
	}
	if wanted && !can {
		c.fail("%q does not support thinking", c.t.model)
	}
	c.t.thinking, c.t.hidden = wanted, !wanted
}

// needs refuses what the model cannot do.
func (c *ollamaCheck) needs(what string) {
	if !c.model.able(what) {
		c.fail("registry.ollama.ai/library/%s does not support %s", c.model.name, what)
	}
}

func (c *ollamaCheck) generate(o map[string]any) {
	t := c.t
	if !c.model.able("completion") {
		c.fail("%q does not support generate", t.model)
	}
	if c.text(o, "suffix", "GenerateRequest") != "" {
		c.needs("insert")
	}
	t.system = c.text(o, "system", "GenerateRequest")
	t.lastUser, t.messages = c.text(o, "prompt", "GenerateRequest"), 1
	if o["raw"] == true && t.system != "" {
		c.fail("raw mode does not support template, system, or context")
	}
	c.images(o, "GenerateRequest")
	if t.lastUser != "" {
		t.load = ""
	}
}

func (c *ollamaCheck) chat(o map[string]any) {
	if !c.model.able("completion") {
		c.fail("%q does not support chat", c.t.model)
	}
	tools, _ := c.want(o, "tools", "ChatRequest", "array", "api.Tools").([]any)
	for _, v := range tools {
		c.tool(object(v))
	}
	if len(tools) > 0 {
		c.needs("tools")
	}
	messages, _ := c.want(o, "messages", "ChatRequest", "array", "[]api.Message").([]any)
	if len(messages) > 0 {
		c.t.load = ""
	}
	c.t.messages = len(messages)
	names := map[string]string{}
	leading := true
	for _, v := range messages {
		m, ok := v.(map[string]any)
		if !ok {
			c.fail("json: cannot unmarshal %s into Go struct field ChatRequest.messages of type api.Message", goKind(v))
			return
		}
		leading = c.message(m, names, leading)
	}
}

func (c *ollamaCheck) tool(m map[string]any) {
	const path = "ChatRequest.tools.function"
	f := object(c.want(m, "function", "ChatRequest.tools", "object", "api.ToolFunction"))
	tl := tool{name: c.text(f, "name", path), description: c.text(f, "description", path)}
	schema := object(c.want(f, "parameters", path, "object", "api.ToolFunctionParameters"))
	c.text(schema, "type", path+".parameters")
	c.want(schema, "required", path+".parameters", "array", "[]string")
	props := object(c.want(schema, "properties", path+".parameters", "object", "map[string]api.ToolProperty"))
	for _, name := range sortedKeys(props) {
		p, ok := props[name].(map[string]any)
		if !ok {
			c.fail("json: cannot unmarshal %s into Go struct field %s.parameters.properties of type api.ToolProperty", goKind(props[name]), path)
		}
		c.text(p, "description", path+".parameters.properties")
		c.want(p, "enum", path+".parameters.properties", "array", "[]interface {}")
		if kind := p["type"]; kind != nil && goKind(kind) != "string" && goKind(kind) != "array" {
			c.fail("invalid property type: %s", encode(kind))
		}
	}
	tl.schema = schema
	c.t.tools = append(c.t.tools, tl)
}

// message reads one message and says whether only system messages came so far.
func (c *ollamaCheck) message(m map[string]any, names map[string]string, leading bool) bool {
	const path = "ChatRequest.messages"
	role := strings.ToLower(c.text(m, "role", path))
	if !slices.Contains([]string{"system", "user", "assistant", "tool"}, role) {
		c.fail("invalid role: %q, role must be one of [\"system\", \"user\", \"assistant\", \"tool\"]", role)
	}
	content := c.text(m, "content", path)
	thinking := c.text(m, "thinking", path)
	if thinking != "" {
		c.t.thoughts++
	}
	images := c.images(m, path)
	calls, _ := c.want(m, "tool_calls", path, "array", "[]api.ToolCall").([]any)
	for _, v := range calls {
		c.call(object(v), names)
	}
	t := c.t
	switch role {
	case "system":
		if leading {
			t.system = strings.TrimPrefix(t.system+"\n"+content, "\n")
		} else {
			t.midwords = append(t.midwords, content)
		}
		return leading
	case "user":
		if visible(content) {
			t.lastUser, t.rounds, t.results = content, 0, nil
		}
	case "assistant":
		t.results = nil
		if len(calls) > 0 {
			t.rounds++
		}
	case "tool":
		id := c.text(m, "tool_call_id", path)
		name := c.text(m, "tool_name", path)
		if name == "" {
			name = names[id]
		}
		t.results = append(t.results, result{id: id, name: name, text: content, images: images})
	}
	return false
}

func (c *ollamaCheck) call(m map[string]any, names map[string]string) {
	const path = "ChatRequest.messages.tool_calls"
	f := object(c.want(m, "function", path, "object", "api.ToolCallFunction"))
	name := c.text(f, "name", path+".function")
	c.want(f, "arguments", path+".function", "object", "map[string]interface {}")
	c.want(f, "index", path+".function", "number", "int")
	names[c.text(m, "id", path)] = name
}

// images reads base64 without a data: prefix.
func (c *ollamaCheck) images(m map[string]any, path string) int {
	images, _ := c.want(m, "images", path, "array", "[]api.ImageData").([]any)
	for _, v := range images {
		text, ok := v.(string)
		if !ok {
			c.fail("json: cannot unmarshal %s into Go struct field %s.images of type []uint8", goKind(v), path)
			return 0
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			c.fail("%s", err.Error())
			return 0
		}
		img, ok := sniffImage(data)
		if !ok && c.model.able("vision") {
			c.fail("Failed to load image or audio file")
		}
		c.t.images = append(c.t.images, img)
	}
	if len(images) > 0 && !c.model.able("vision") {
		c.fail("this model is missing data required for image input")
	}
	return len(images)
}
