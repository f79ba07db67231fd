package simulator

import (
	"fmt"
	"slices"
	"strings"
)

// responsesFields is every field of a request (openai-go v3.96.0), with
// client_metadata, which Codex CLI 0.169.0 sends and the service takes.
var responsesFields = map[string]rule{
	"model": {kinds: "a string"}, "input": {kinds: "a string|an array"}, "instructions": {kinds: "a string"},
	"background": {kinds: "a boolean"}, "context_management": {kinds: "an array"}, "conversation": {kinds: "a string|an object"},
	"include": {kinds: "an array"}, "max_output_tokens": {kinds: "an integer", low: 16, high: 1 << 31},
	"max_tool_calls": {kinds: "an integer", low: 1, high: 1 << 31}, "metadata": {kinds: "an object"}, "moderation": {kinds: "an object"},
	"parallel_tool_calls": {kinds: "a boolean"}, "previous_response_id": {kinds: "a string"}, "prompt": {kinds: "an object"},
	"prompt_cache_key": {kinds: "a string"}, "prompt_cache_options": {kinds: "an object"},
	"prompt_cache_retention": {kinds: "a string", enum: "in_memory in-memory 24h"}, "reasoning": {kinds: "an object"},
	"safety_identifier": {kinds: "a string"}, "service_tier": {kinds: "a string", enum: "auto default flex scale priority"},
	"store": {kinds: "a boolean"}, "stream": {kinds: "a boolean"}, "stream_options": {kinds: "an object"},
	"temperature": {kinds: "a decimal", low: 0, high: 2}, "text": {kinds: "an object"}, "tool_choice": {kinds: "a string|an object"},
	"tools": {kinds: "an array"}, "top_logprobs": {kinds: "an integer", low: 0, high: 20}, "top_p": {kinds: "a decimal", low: 0, high: 1},
	"truncation": {kinds: "a string", enum: "auto disabled"}, "user": {kinds: "a string"}, "client_metadata": {kinds: "an object"},
	"access_programs": {kinds: "an object"},
}

// compactFields are the fields of POST /v1/responses/compact.
var compactFields = map[string]rule{
	"model": {kinds: "a string"}, "input": {kinds: "a string|an array"}, "instructions": {kinds: "a string"},
	"previous_response_id": {kinds: "a string"}, "prompt_cache_key": {kinds: "a string"}, "prompt_cache_options": {kinds: "an object"},
	"prompt_cache_retention": {kinds: "a string", enum: "in_memory in-memory 24h"}, "service_tier": {kinds: "a string"},
	// Codex CLI 0.169.0 sends the tools and the settings of its turns along.
	"tools": {kinds: "an array"}, "parallel_tool_calls": {kinds: "a boolean"}, "reasoning": {kinds: "an object"}, "text": {kinds: "an object"},
}

// movedFields are chat fields that have another place here; the service says
// which.
var movedFields = map[string]string{
	"messages": "input", "response_format": "text.format", "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens",
	"reasoning_effort": "reasoning.effort", "verbosity": "text.verbosity", "functions": "tools", "function_call": "tool_choice",
}

// read checks a request as the service does and takes out what the answer
// depends on.
func (d *responses) read(o map[string]any, fields map[string]rule) (*turn, *failure) {
	c := &openAICheck{}
	t := &turn{n: 1, stream: o["stream"] == true, request: o}
	c.known(o, fields)
	t.model = c.text(o, "", "model")
	if c.f == nil && (!d.knows(t.model) || strings.HasPrefix(t.model, "text-embedding") || strings.HasPrefix(t.model, "gpt-image")) {
		return nil, &failure{kind: failNotFound, model: t.model}
	}
	c.responsesModel(o, t)
	c.responsesRelations(o)
	c.responsesTools(t, o)
	c.responsesFormat(t, o)
	t.system, _ = o["instructions"].(string)
	if c.f == nil {
		d.input(c, t, o)
	}
	return t, c.f
}

// known checks names and kinds of the top-level fields.
func (c *openAICheck) known(o map[string]any, fields map[string]rule) {
	for _, name := range sortedKeys(o) {
		if to, moved := movedFields[name]; moved {
			c.fail(name, "unsupported_parameter", "Unsupported parameter: '%s'. In the Responses API, this parameter has moved to '%s'. "+
				"Try again with the new parameter. See the API documentation for more information: "+
				"https://platform.openai.com/docs/api-reference/responses/create.", name, to)
		}
		r, ok := fields[name]
		if !ok {
			c.fail(name, "unknown_parameter", "Unknown parameter: '%s'.", name)
			continue
		}
		c.field(name, o[name], r)
	}
}

// only refuses members of an object that are not on the list.
func (c *openAICheck) only(m map[string]any, path, names string) {
	allowed := strings.Fields(names)
	for _, name := range sortedKeys(m) {
		if !slices.Contains(allowed, name) {
			c.fail(join(path, name), "unknown_parameter", "Unknown parameter: '%s'.", join(path, name))
		}
	}
}

// responsesModel checks what the kind of the model forbids. A model that hides
// a scenario (`sim-...`) takes everything.
func (c *openAICheck) responsesModel(o map[string]any, t *turn) {
	reasoning, _ := o["reasoning"].(map[string]any)
	c.only(reasoning, "reasoning", "effort summary generate_summary context mode")
	effort, _ := reasoning["effort"].(string)
	if reasoning["effort"] != nil {
		c.field("reasoning.effort", reasoning["effort"], rule{kinds: "a string", enum: "none minimal low medium high xhigh max"})
	}
	summary := reasoning["summary"]
	if summary == nil {
		summary = reasoning["generate_summary"]
	}
	if summary != nil {
		c.field("reasoning.summary", summary, rule{kinds: "a string", enum: "auto concise detailed"})
	}
	for _, v := range texts(o["include"]) {
		c.includes(v, t)
	}
	t.hidden = summary == nil
	if strings.HasPrefix(t.model, "sim-") {
		t.thinking = summary != nil || (effort != "" && effort != "none")
		return
	}
	if !reasoningModel.MatchString(t.model) {
		for _, name := range []string{"effort", "summary"} {
			if reasoning[name] != nil {
				c.fail("reasoning."+name, "unsupported_parameter", "Unsupported parameter: 'reasoning.%s' is not supported with this model.", name)
			}
		}
		if t.encrypted {
			c.fail("include", "", "Encrypted content is not supported with this model.")
		}
		return
	}
	t.thinking = effort != "none"
	if effort == "none" {
		return
	}
	for _, name := range []string{"temperature", "top_p", "top_logprobs"} {
		if v := o[name]; v != nil && (name == "top_logprobs" || number(v, 1) != 1) {
			c.fail(name, "unsupported_parameter", "Unsupported parameter: '%s' is not supported with this model.", name)
		}
	}
}

// includes reads one value of `include`.
func (c *openAICheck) includes(v string, t *turn) {
	c.oneOf("include", v, "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
		"message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
		"reasoning.encrypted_content", "message.output_text.logprobs")
	switch v {
	case "reasoning.encrypted_content":
		t.encrypted = true
	case "message.output_text.logprobs":
		t.logprobs = true
	}
}

// responsesRelations checks the fields against one another.
func (c *openAICheck) responsesRelations(o map[string]any) {
	if o["stream_options"] != nil && o["stream"] != true {
		c.fail("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	options, _ := o["stream_options"].(map[string]any)
	c.only(options, "stream_options", "include_obfuscation")
	if o["previous_response_id"] != nil && o["conversation"] != nil {
		c.fail("previous_response_id", "mutually_exclusive_parameters",
			"Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing one.")
	}
	if id, ok := o["conversation"].(string); ok {
		c.fail("conversation", "conversation_not_found", "Conversation with id '%s' not found.", id)
	}
	if o["background"] == true && o["store"] == false {
		c.fail("background", "", "Background mode requires 'store' to be true.")
	}
	if metadata, ok := o["metadata"].(map[string]any); ok {
		for _, name := range sortedKeys(metadata) {
			if _, text := metadata[name].(string); !text {
				c.wrongType("metadata."+name, "a string", metadata[name])
			}
		}
	}
}

// responsesToolKinds are the tools that the service runs or knows by name.
var responsesToolKinds = []string{"function", "custom", "namespace", "tool_search", "web_search", "web_search_2025_08_26", "web_search_preview",
	"web_search_preview_2025_03_11", "file_search", "code_interpreter", "image_generation", "mcp", "local_shell", "shell", "apply_patch",
	"computer", "computer_use_preview"}

func (c *openAICheck) responsesTools(t *turn, o map[string]any) {
	list, _ := o["tools"].([]any)
	c.toolList(t, list, "tools", "")
	t.parallel = o["parallel_tool_calls"] != false
	switch v := o["tool_choice"].(type) {
	case string:
		c.oneOf("tool_choice", v, "none", "auto", "required")
		if v == "required" && len(list) == 0 && len(t.tools) == 0 {
			c.fail("tool_choice", "", "Tool choice 'required' must be specified with 'tools' parameter.")
		}
		t.choice = v
	case map[string]any:
		c.responsesChoice(t, v, list)
	}
}

// toolList reads tools; space is the namespace they stand in.
func (c *openAICheck) toolList(t *turn, list []any, path, space string) {
	for i, v := range list {
		at := index(path, i)
		m, ok := v.(map[string]any)
		if !ok {
			c.wrongType(at, "an object", v)
			return
		}
		kind := c.text(m, at, "type")
		c.oneOf(at+".type", kind, responsesToolKinds...)
		switch kind {
		case "function", "custom":
			c.responsesTool(t, m, at, kind, space)
		case "namespace":
			name := c.text(m, at, "name")
			c.name(at+".name", name)
			c.only(m, at, "type name description tools")
			inner, _ := m["tools"].([]any)
			c.toolList(t, inner, at+".tools", name)
		}
	}
}

// responsesTool reads a function or a custom tool: flat, not nested as in chat.
func (c *openAICheck) responsesTool(t *turn, m map[string]any, at, kind, space string) {
	tl := tool{name: c.text(m, at, "name"), custom: kind == "custom", space: space}
	c.name(at+".name", tl.name)
	tl.description, _ = m["description"].(string)
	if tl.custom {
		c.only(m, at, "type name description format defer_loading allowed_callers")
		t.tools = append(t.tools, tl)
		return
	}
	c.only(m, at, "type name description parameters strict defer_loading output_schema allowed_callers")
	if v := m["parameters"]; v != nil {
		schema, ok := v.(map[string]any)
		if !ok {
			c.wrongType(at+".parameters", "an object", v)
		}
		tl.schema = schema
		if kind := schema["type"]; ok && kind != nil && kind != "object" {
			c.fail(at+".parameters", "invalid_function_parameters",
				"Invalid schema for function '%s': schema must be a JSON Schema of 'type: \"object\"', got 'type: %q'.", tl.name, fmt.Sprint(kind))
		}
		if m["strict"] == true {
			if why := notStrict(schema, nil); why != "" {
				c.fail(at+".parameters", "invalid_function_parameters", "Invalid schema for function '%s': %s", tl.name, why)
			}
		}
	}
	t.tools = append(t.tools, tl)
}

func (c *openAICheck) responsesChoice(t *turn, choice map[string]any, list []any) {
	kind := c.text(choice, "tool_choice", "type")
	switch kind {
	case "function", "custom":
		t.choice = c.text(choice, "tool_choice", "name")
		if !slices.ContainsFunc(t.tools, func(tl tool) bool { return tl.name == t.choice && tl.custom == (kind == "custom") }) {
			c.fail("tool_choice", "", "Tool choice '%s' not found in 'tools' parameter.", t.choice)
		}
	case "allowed_tools":
		t.choice = c.text(choice, "tool_choice", "mode")
		c.oneOf("tool_choice.mode", t.choice, "auto", "required")
		if _, ok := choice["tools"].([]any); !ok {
			c.fail("tool_choice.tools", "missing_required_parameter", "Missing required parameter: 'tool_choice.tools'.")
		}
	default:
		c.oneOf("tool_choice.type", kind, append([]string{"allowed_tools"}, responsesToolKinds...)...)
		if !slices.ContainsFunc(list, func(v any) bool { m, _ := v.(map[string]any); return m["type"] == kind }) {
			c.fail("tool_choice", "", "Tool choice '%s' not found in 'tools' parameter.", kind)
		}
	}
}

// responsesFormat reads text.format, whose schema is flat.
func (c *openAICheck) responsesFormat(t *turn, o map[string]any) {
	text, _ := o["text"].(map[string]any)
	c.only(text, "text", "format verbosity")
	if text["verbosity"] != nil {
		c.field("text.verbosity", text["verbosity"], rule{kinds: "a string", enum: "low medium high"})
	}
	f, ok := text["format"].(map[string]any)
	if !ok {
		if text["format"] != nil {
			c.wrongType("text.format", "an object", text["format"])
		}
		return
	}
	switch kind := c.text(f, "text.format", "type"); kind {
	case "text":
	case "json_object":
		t.jsonMode = true
	case "json_schema":
		name := c.text(f, "text.format", "name")
		c.name("text.format.name", name)
		c.only(f, "text.format", "type name schema strict description")
		schema := c.object(f, "text.format", "schema")
		if firstType(schema) != "object" {
			c.fail("text.format.schema", "invalid_json_schema",
				"Invalid schema for response_format '%s': schema must be a JSON Schema of 'type: \"object\"'.", name)
		}
		if f["strict"] == true {
			if why := notStrict(schema, nil); why != "" {
				c.fail("text.format.schema", "invalid_json_schema", "Invalid schema for response_format '%s': %s", name, why)
			}
		}
		t.schema, t.schemaOK = schema, true
	default:
		c.oneOf("text.format.type", kind, "json_object", "json_schema", "text")
	}
}
