package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// openAICheck collects the first thing that is wrong with a request, in
// OpenAI's words and with the path of the field.
type openAICheck struct{ f *failure }

func (c *openAICheck) fail(param, code, format string, args ...any) {
	if c.f == nil {
		c.f = &failure{kind: failInvalid, param: param, code: code, message: fmt.Sprintf(format, args...)}
	}
}

// kindName names a JSON kind as OpenAI's messages do.
func kindName(v any) string {
	switch n := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case json.Number:
		if !strings.ContainsAny(n.String(), ".eE") {
			return "an integer"
		}
	}
	return "a decimal"
}

func (c *openAICheck) wrongType(param, want string, v any) {
	c.fail(param, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", param, want, kindName(v))
}

// text reads a string that has to be there.
func (c *openAICheck) text(o map[string]any, path, name string) string {
	param := join(path, name)
	v, ok := o[name]
	if !ok {
		c.fail(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
		return ""
	}
	s, ok := v.(string)
	if !ok {
		c.wrongType(param, "a string", v)
	}
	return s
}

func (c *openAICheck) object(o map[string]any, path, name string) map[string]any {
	param := join(path, name)
	v, ok := o[name]
	if !ok {
		c.fail(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		c.wrongType(param, "an object", v)
	}
	return m
}

// oneOf checks an enumeration.
func (c *openAICheck) oneOf(param, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	quoted := make([]string, len(allowed))
	for i, a := range allowed {
		quoted[i] = "'" + a + "'"
	}
	c.fail(param, "invalid_value", "Invalid value: '%s'. Supported values are: %s.", value, strings.Join(quoted, ", "))
}

// longest checks a length.
func (c *openAICheck) longest(param, value string, most int) {
	if len(value) > most {
		c.fail(param, "string_above_max_length",
			"Invalid '%s': string too long. Expected a string with maximum length %d, but got a string with length %d instead.", param, most, len(value))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// rule is what OpenAI documents of one top-level field.
type rule struct {
	kinds     string // allowed kinds, separated by |
	low, high float64
	enum      string // values separated by spaces
}

// openAIFields is every documented field of a chat request (openai npm 6.49.0).
var openAIFields = map[string]rule{
	"model": {kinds: "a string"}, "messages": {kinds: "an array"},
	"max_completion_tokens": {kinds: "an integer", low: 1, high: 1 << 31}, "max_tokens": {kinds: "an integer", low: 1, high: 1 << 31},
	"temperature": {kinds: "a decimal", low: 0, high: 2}, "top_p": {kinds: "a decimal", low: 0, high: 1},
	"presence_penalty": {kinds: "a decimal", low: -2, high: 2}, "frequency_penalty": {kinds: "a decimal", low: -2, high: 2},
	"stop": {kinds: "a string|an array"}, "n": {kinds: "an integer", low: 1, high: 128}, "seed": {kinds: "an integer"},
	"logit_bias": {kinds: "an object"}, "logprobs": {kinds: "a boolean"}, "top_logprobs": {kinds: "an integer", low: 0, high: 20},
	"stream": {kinds: "a boolean"}, "stream_options": {kinds: "an object"}, "tools": {kinds: "an array"},
	"tool_choice": {kinds: "a string|an object"}, "parallel_tool_calls": {kinds: "a boolean"},
	"functions": {kinds: "an array"}, "function_call": {kinds: "a string|an object"}, "response_format": {kinds: "an object"},
	"reasoning_effort": {kinds: "a string", enum: "none minimal low medium high xhigh max"},
	"verbosity":        {kinds: "a string", enum: "low medium high"},
	"modalities":       {kinds: "an array"}, "audio": {kinds: "an object"}, "prediction": {kinds: "an object"},
	"web_search_options": {kinds: "an object"}, "moderation": {kinds: "an object"},
	"service_tier": {kinds: "a string", enum: "auto default flex scale priority"},
	"store":        {kinds: "a boolean"}, "metadata": {kinds: "an object"}, "user": {kinds: "a string"},
	"safety_identifier": {kinds: "a string"}, "prompt_cache_key": {kinds: "a string"},
	"prompt_cache_retention": {kinds: "a string", enum: "in_memory in-memory 24h"}, "prompt_cache_options": {kinds: "an object"},
}

// fields checks every top-level field: known, of the right kind, in range.
func (c *openAICheck) fields(o map[string]any, strict bool) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		r, known := openAIFields[name]
		if !known {
			if strict {
				c.fail(name, "unknown_parameter", "Unknown parameter: '%s'.", name)
			}
			continue
		}
		c.field(name, o[name], r)
	}
	for _, name := range []string{"model", "messages"} {
		if o[name] == nil {
			c.fail(name, "missing_required_parameter", "Missing required parameter: '%s'.", name)
		}
	}
}

func (c *openAICheck) field(name string, v any, r rule) {
	if v == nil {
		return // null is absent
	}
	kind := kindName(v)
	if kind == "an integer" && r.kinds == "a decimal" {
		kind = "a decimal"
	}
	if !slices.Contains(strings.Split(r.kinds, "|"), kind) {
		c.wrongType(name, strings.ReplaceAll(r.kinds, "|", " or "), v)
		return
	}
	if n, ok := v.(json.Number); ok && r.low != r.high {
		f, _ := n.Float64()
		if f < r.low {
			c.fail(name, boundCode(r, "below_min"), "Invalid '%s': %s below minimum value. Expected a value >= %v, but got %s instead.", name, boundWord(r), r.low, n)
		}
		if f > r.high {
			c.fail(name, boundCode(r, "above_max"), "Invalid '%s': %s above maximum value. Expected a value <= %v, but got %s instead.", name, boundWord(r), r.high, n)
		}
	}
	if s, ok := v.(string); ok && r.enum != "" {
		c.oneOf(name, s, strings.Fields(r.enum)...)
	}
}

func boundWord(r rule) string { return strings.TrimPrefix(strings.TrimPrefix(r.kinds, "an "), "a ") }

func boundCode(r rule, side string) string { return boundWord(r) + "_" + side + "_value" }

// relations checks the fields against one another.
func (c *openAICheck) relations(o map[string]any, strict bool) {
	if o["stream_options"] != nil && o["stream"] != true {
		c.fail("stream_options", "", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	if list, ok := o["stop"].([]any); ok {
		if len(list) > 4 {
			c.fail("stop", "array_above_max_length",
				"Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length %d instead.", len(list))
		}
		for i, v := range list {
			if _, ok := v.(string); !ok {
				c.wrongType(index("stop", i), "a string", v)
			}
		}
	}
	if o["top_logprobs"] != nil && o["logprobs"] != true {
		c.fail("top_logprobs", "", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
	}
	tools, _ := o["tools"].([]any)
	if !strict {
		return
	}
	if o["tools"] != nil && len(tools) == 0 {
		c.fail("tools", "empty_array", "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	for _, name := range []string{"tool_choice", "parallel_tool_calls"} {
		if o[name] != nil && len(tools) == 0 {
			c.fail(name, "", "Invalid value for '%s': '%s' is only allowed when 'tools' are specified.", name, name)
		}
	}
	if o["max_tokens"] != nil && o["max_completion_tokens"] != nil {
		c.fail("max_tokens", "invalid_parameter_combination", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	}
}

// model checks what the kind of the model forbids.
func (c *openAICheck) model(o map[string]any) {
	name, _ := o["model"].(string)
	if !reasoningModel.MatchString(name) {
		if o["reasoning_effort"] != nil {
			c.fail("reasoning_effort", "unsupported_parameter", "Unsupported parameter: 'reasoning_effort' is not supported with this model.")
		}
		return
	}
	if o["max_tokens"] != nil {
		c.fail("max_tokens", "unsupported_parameter",
			"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
	}
	if o["reasoning_effort"] == "none" {
		return
	}
	if v, ok := o["temperature"].(json.Number); ok && number(v, 1) != 1 {
		c.fail("temperature", "unsupported_value",
			"Unsupported value: 'temperature' does not support %s with this model. Only the default (1) value is supported.", v)
	}
	for _, field := range []string{"top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"} {
		if o[field] != nil && o[field] != false {
			c.fail(field, "unsupported_parameter", "Unsupported parameter: '%s' is not supported with this model.", field)
		}
	}
}

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

func (c *openAICheck) name(path, name string) {
	c.longest(path, name, 64)
	if !toolName.MatchString(name) {
		c.fail(path, "invalid_value", "Invalid '%s': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", path)
	}
}

// tools reads the tools and the choice among them.
func (c *openAICheck) tools(t *turn, o map[string]any, strict bool) {
	list, _ := o["tools"].([]any)
	for i, v := range list {
		path := index("tools", i)
		m, ok := v.(map[string]any)
		if !ok {
			c.wrongType(path, "an object", v)
			return
		}
		switch kind := c.text(m, path, "type"); kind {
		case "function":
			c.function(t, m, path, "function", strict)
		case "custom":
			f := c.object(m, path, "custom")
			name := c.text(f, path+".custom", "name")
			c.name(path+".custom.name", name)
			description, _ := f["description"].(string)
			t.tools = append(t.tools, tool{name: name, description: description, custom: true})
		default:
			c.oneOf(path+".type", kind, "function", "custom")
		}
	}
	old, _ := o["functions"].([]any)
	for i, v := range old {
		m := map[string]any{"function": v}
		c.function(t, m, index("functions", i), "function", strict)
		t.oldCalls = true
	}
	c.choice(t, o)
}

func (c *openAICheck) function(t *turn, m map[string]any, path, name string, strict bool) {
	f := c.object(m, path, name)
	if f == nil {
		return
	}
	path = join(path, name)
	tl := tool{name: c.text(f, path, "name")}
	c.name(path+".name", tl.name)
	tl.description, _ = f["description"].(string)
	if v := f["parameters"]; v != nil {
		schema, ok := v.(map[string]any)
		if !ok {
			c.wrongType(path+".parameters", "an object", v)
		}
		tl.schema = schema
		if kind := schema["type"]; ok && kind != nil && kind != "object" {
			c.fail(path+".parameters", "invalid_function_parameters",
				"Invalid schema for function '%s': schema must be a JSON Schema of 'type: \"object\"', got 'type: %q'.", tl.name, fmt.Sprint(kind))
		}
		if strict && f["strict"] == true {
			if why := notStrict(schema, nil); why != "" {
				c.fail(path+".parameters", "invalid_function_parameters", "Invalid schema for function '%s': %s", tl.name, why)
			}
		}
	}
	if slices.ContainsFunc(t.tools, func(o tool) bool { return o.name == tl.name }) {
		c.fail(path+".name", "invalid_value", "Invalid value for '%s.name': the name '%s' is used more than once.", path, tl.name)
	}
	t.tools = append(t.tools, tl)
}

// choice reads tool_choice.
func (c *openAICheck) choice(t *turn, o map[string]any) {
	v := o["tool_choice"]
	if t.oldCalls && v == nil {
		v = o["function_call"]
	}
	t.parallel = o["parallel_tool_calls"] != false
	switch choice := v.(type) {
	case string:
		c.oneOf("tool_choice", choice, "none", "auto", "required")
		t.choice = choice
	case map[string]any:
		kind, _ := choice["type"].(string)
		if t.oldCalls {
			kind, choice = "function", map[string]any{"function": choice}
		}
		switch kind {
		case "function", "custom":
			t.choice = c.text(c.object(choice, "tool_choice", kind), "tool_choice."+kind, "name")
			if !slices.ContainsFunc(t.tools, func(tl tool) bool { return tl.name == t.choice }) {
				c.fail("tool_choice", "", "Invalid value for 'tool_choice': 'tool_choice.%s.name' does not match any of the specified 'tools'.", kind)
			}
		case "allowed_tools":
			allowed := c.object(choice, "tool_choice", "allowed_tools")
			t.choice = c.text(allowed, "tool_choice.allowed_tools", "mode")
			c.oneOf("tool_choice.allowed_tools.mode", t.choice, "auto", "required")
		default:
			c.oneOf("tool_choice.type", kind, "function", "custom", "allowed_tools")
		}
	}
}

// format reads response_format.
func (c *openAICheck) format(t *turn, o map[string]any, strict bool) {
	f, ok := o["response_format"].(map[string]any)
	if !ok {
		return
	}
	switch kind := c.text(f, "response_format", "type"); kind {
	case "text":
	case "json_object":
		t.jsonMode = true
	case "json_schema":
		js := c.object(f, "response_format", "json_schema")
		name := c.text(js, "response_format.json_schema", "name")
		c.name("response_format.json_schema.name", name)
		schema, isObject := js["schema"].(map[string]any)
		if !isObject && js != nil {
			c.fail("response_format.json_schema.schema", "missing_required_parameter", "Missing required parameter: 'response_format.json_schema.schema'.")
		}
		if firstType(schema) != "object" {
			c.fail("response_format", "", "Invalid schema for response_format '%s': schema must be a JSON Schema of 'type: \"object\"'.", name)
		}
		if strict && js["strict"] == true {
			if why := notStrict(schema, nil); why != "" {
				c.fail("response_format", "", "Invalid schema for response_format '%s': %s", name, why)
			}
		}
		t.schema, t.schemaOK = schema, true
	default:
		c.oneOf("response_format.type", kind, "json_object", "json_schema", "text")
	}
}

// notStrict says why a schema may not be used with strict:true: every object
// needs additionalProperties:false and all its properties in required.
func notStrict(v any, at []string) string {
	s, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	context := "In context=(" + strings.Join(at, ", ") + "), "
	props, _ := s["properties"].(map[string]any)
	if firstType(s) == "object" {
		if s["additionalProperties"] != false {
			return context + "'additionalProperties' is required to be supplied and to be false."
		}
		needed, _ := s["required"].([]any)
		for _, name := range slices.Sorted(maps.Keys(props)) {
			if !slices.Contains(needed, any(name)) {
				return context + "'required' is required to be supplied and to be an array including every key in properties. Missing '" + name + "'."
			}
		}
	}
	for _, word := range []string{"properties", "$defs", "definitions"} {
		m, _ := s[word].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if why := notStrict(m[name], append(at, "'"+word+"'", "'"+name+"'")); why != "" {
				return why
			}
		}
	}
	if list, ok := s["anyOf"].([]any); ok {
		for i, one := range list {
			if why := notStrict(one, append(at, "'anyOf'", strconv.Itoa(i))); why != "" {
				return why
			}
		}
	}
	return notStrict(s["items"], append(at, "'items'"))
}
