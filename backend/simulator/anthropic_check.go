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

// claudeCheck collects the first thing that is wrong with a Messages request,
// in Anthropic's words.
type claudeCheck struct {
	f     *failure
	t     *turn
	model claude
	betas []string
	marks []string // ttl of every cache_control in order
	ids   map[string]bool
	cut   strings.Builder // what stands before the next cache mark
}

func (c *claudeCheck) fail(format string, args ...any) {
	if c.f == nil {
		c.f = invalid(fmt.Sprintf(format, args...))
	}
}

// claudeFields is every field of a request; a value names the beta flag that a
// field needs.
var claudeFields = map[string]string{
	"model": "", "max_tokens": "", "messages": "", "system": "", "stream": "", "temperature": "", "top_p": "", "top_k": "",
	"stop_sequences": "", "tools": "", "tool_choice": "", "thinking": "", "output_config": "", "metadata": "",
	"cache_control": "", "service_tier": "", "inference_geo": "", "container": "", "diagnostics": "",
	"context_management": "context-management-", "speed": "fast-mode-", "mcp_servers": "mcp-client-",
	"output_format": "structured-outputs-", "fallbacks": "fallback", "fallback_credit_token": "fallback-credit-",
}

func (c *claudeCheck) beta(prefix string) bool {
	return slices.ContainsFunc(c.betas, func(b string) bool { return strings.HasPrefix(b, prefix) })
}

// read checks a request as the API does and takes out what the answer needs.
func (d *anthropic) read(o map[string]any, betas []string, counting bool) (*turn, *failure) {
	c := &claudeCheck{t: &turn{n: 1, parallel: true}, betas: betas, ids: map[string]bool{}}
	c.shape(o, counting)
	if c.f != nil {
		return nil, c.f
	}
	t := c.t
	t.model, t.stream = o["model"].(string), o["stream"] == true
	var ok bool
	if c.model, ok = d.find(t.model); !ok {
		return nil, &failure{kind: failNotFound, model: t.model}
	}
	t.stops = texts(o["stop_sequences"])
	c.tools(o)
	c.choice(o)
	c.system(o)
	c.limits(o, counting)
	c.thinking(o)
	c.output(o)
	c.messages(o)
	c.breakpoints(o)
	return t, c.f
}

// shape checks names and kinds of the top-level fields.
func (c *claudeCheck) shape(o map[string]any, counting bool) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		flag, known := claudeFields[name]
		if !known || (flag != "" && !c.beta(flag)) {
			c.fail("%s: Extra inputs are not permitted", name)
		}
	}
	needed := []string{"model", "messages"}
	if !counting {
		needed = append(needed, "max_tokens")
	}
	for _, name := range needed {
		if _, ok := o[name]; !ok {
			c.fail("%s: Field required", name)
		}
	}
	kinds := map[string]string{"model": "string", "messages": "list", "max_tokens": "integer", "stream": "boolean",
		"temperature": "number", "top_p": "number", "top_k": "integer", "stop_sequences": "list", "tools": "list",
		"tool_choice": "dictionary", "thinking": "dictionary", "output_config": "dictionary", "metadata": "dictionary"}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		v := o[name]
		if v == nil && !slices.Contains(needed, name) {
			continue
		}
		if got := claudeKind(v); got != kinds[name] && (got != "integer" || kinds[name] != "number") {
			c.fail("%s: Input should be a valid %s", name, kinds[name])
		}
	}
	if s, _ := o["model"].(string); s == "" {
		c.fail("model: String should have at least 1 character")
	}
	c.metadata(o)
}

// metadata takes only user_id.
func (c *claudeCheck) metadata(o map[string]any) {
	m, _ := o["metadata"].(map[string]any)
	for _, name := range sortedKeys(m) {
		if name != "user_id" {
			c.fail("metadata.%s: Extra inputs are not permitted", name)
		}
	}
	if v := m["user_id"]; v != nil {
		if _, ok := v.(string); !ok {
			c.fail("metadata.user_id: Input should be a valid string")
		}
	}
}

func claudeKind(v any) string {
	switch n := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "list"
	case map[string]any:
		return "dictionary"
	case json.Number:
		if !strings.ContainsAny(n.String(), ".eE") {
			return "integer"
		}
		return "number"
	}
	return "null"
}

// claudeToolName is the pattern of tool names; older models stop at 64.
var claudeToolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

func (c *claudeCheck) tools(o map[string]any) {
	list, _ := o["tools"].([]any)
	seen := map[string]bool{}
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			c.fail("tools.%d: Input should be a valid dictionary", i)
			return
		}
		c.cut.Write(encode(m))
		c.mark(m, fmt.Sprintf("tools.%d", i))
		name, _ := m["name"].(string)
		kind, _ := m["type"].(string)
		if kind == "mcp_toolset" {
			continue
		}
		if seen[name] {
			c.fail("tools: Tool names must be unique.")
		}
		seen[name] = true
		if kind != "" && kind != "custom" {
			continue // a tool that the vendor runs
		}
		c.tool(m, name, fmt.Sprintf("tools.%d.custom", i))
	}
}

var claudeToolFields = []string{"name", "description", "input_schema", "cache_control", "strict", "defer_loading",
	"eager_input_streaming", "input_examples", "allowed_callers", "type"}

func (c *claudeCheck) tool(m map[string]any, name, path string) {
	for _, field := range sortedKeys(m) {
		if !slices.Contains(claudeToolFields, field) {
			c.fail("%s.%s: Extra inputs are not permitted", path, field)
		}
	}
	if _, ok := m["name"]; !ok {
		c.fail("%s.name: Field required", path)
	}
	if !claudeToolName.MatchString(name) {
		c.fail("%s.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", path)
	}
	schema, ok := m["input_schema"].(map[string]any)
	switch {
	case m["input_schema"] == nil:
		c.fail("%s.input_schema: Field required", path)
	case !ok:
		c.fail("%s.input_schema: Input should be a valid dictionary", path)
	case schema["type"] == nil:
		c.fail("%s.input_schema.type: Field required", path)
	case schema["type"] != "object":
		c.fail("%s.input_schema.type: Input should be 'object'", path)
	}
	for _, word := range []string{"anyOf", "oneOf", "allOf"} {
		if schema[word] != nil {
			c.fail("%s.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level", path)
		}
	}
	description, _ := m["description"].(string)
	c.t.tools = append(c.t.tools, tool{name: name, description: description, schema: schema})
}

func (c *claudeCheck) choice(o map[string]any) {
	m, ok := o["tool_choice"].(map[string]any)
	if !ok {
		return
	}
	kind, _ := m["type"].(string)
	list, _ := o["tools"].([]any)
	if len(list) == 0 && kind != "none" && kind != "auto" {
		c.fail("tool_choice: Tools must be provided when `tool_choice` is set")
	}
	switch kind {
	case "auto", "none":
		c.t.choice = kind
	case "any":
		c.t.choice = "required"
	case "tool":
		name, ok := m["name"].(string)
		if !ok {
			c.fail("tool_choice.tool.name: Field required")
		}
		known := slices.ContainsFunc(list, func(v any) bool {
			t, _ := v.(map[string]any)
			return t["name"] == name
		})
		if !known {
			c.fail("tool_choice.tool.name: Tool '%s' not found in provided tools", name)
		}
		c.t.choice = name
	default:
		c.fail("tool_choice: Input tag '%s' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'", kind)
	}
	c.t.parallel = m["disable_parallel_tool_use"] != true
}

func (c *claudeCheck) system(o map[string]any) {
	switch v := o["system"].(type) {
	case nil:
	case string:
		c.t.system = v
		c.cut.WriteString(v)
	case []any:
		for i, one := range v {
			b, ok := one.(map[string]any)
			path := "system." + strconv.Itoa(i)
			if !ok || b["type"] != "text" {
				c.fail("%s: Input should be a valid text block", path)
				return
			}
			text := c.textBlock(b, path, "system")
			c.t.system = strings.TrimPrefix(c.t.system+"\n"+text, "\n")
			c.cut.WriteString(text)
			c.mark(b, path)
		}
	default:
		c.fail("system: Input should be a valid string or list")
	}
}

// limits checks numbers that do not depend on thinking.
func (c *claudeCheck) limits(o map[string]any, counting bool) {
	most := int(number(o["max_tokens"], 1))
	switch {
	case most < 0:
		c.fail("max_tokens: Input should be greater than or equal to 0")
	case most > c.model.output:
		c.fail("max_tokens: %d > %d, which is the maximum allowed number of output tokens for %s", most, c.model.output, c.t.model)
	}
	c.t.noAnswer = most == 0 && !counting
	for name, high := range map[string]float64{"temperature": 1, "top_p": 1} {
		if v := number(o[name], 0); v < 0 || v > high {
			c.fail("%s: Input should be between 0 and 1", name)
		}
	}
	for _, s := range c.t.stops {
		if strings.TrimSpace(s) == "" {
			c.fail("stop_sequences: each stop sequence must contain non-whitespace")
		}
	}
	if c.model.modern {
		for _, name := range []string{"temperature", "top_p", "top_k"} {
			if v := o[name]; v != nil && (name == "top_k" || number(v, 1) != 1) {
				c.fail("`%s` is deprecated for this model.", name)
			}
		}
	}
	if (c.model.modern || c.model.adaptive || strings.Contains(c.model.id, "-4-5") || strings.Contains(c.model.id, "-4-1")) && o["temperature"] != nil && o["top_p"] != nil {
		c.fail("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
	}
}

const thinkingDocs = "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"

func (c *claudeCheck) thinking(o map[string]any) {
	m, ok := o["thinking"].(map[string]any)
	if !ok {
		return
	}
	kind, _ := m["type"].(string)
	switch kind {
	case "disabled", "between_tools":
		return
	case "enabled":
		c.budget(o, m)
	case "adaptive":
		if !c.model.adaptive {
			c.fail("adaptive thinking is not supported on this model")
		}
		if m["effort"] != nil {
			c.fail("thinking.adaptive.effort: Extra inputs are not permitted")
		}
		if m["budget_tokens"] != nil {
			c.fail("thinking.adaptive.budget_tokens: Extra inputs are not permitted")
		}
	default:
		c.fail("thinking: Input tag '%s' found using 'type' does not match any of the expected tags: 'adaptive', 'disabled', 'enabled'", kind)
	}
	if d, ok := m["display"].(string); ok && d != "summarized" && d != "omitted" {
		c.fail("thinking.%s.display: Input should be 'summarized' or 'omitted'", kind)
	}
	c.t.thinking, c.t.hidden = true, m["display"] == "omitted"
	if v := o["temperature"]; v != nil && number(v, 1) != 1 {
		c.fail("`temperature` may only be set to 1 when thinking is enabled. %s", thinkingDocs)
	}
	if v := o["top_p"]; v != nil && number(v, 1) < 0.95 {
		c.fail("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled. %s", thinkingDocs)
	}
	if o["top_k"] != nil {
		c.fail("`top_k` must be unset when thinking is enabled. %s", thinkingDocs)
	}
	if choice := c.t.choice; choice != "" && choice != "auto" && choice != "none" {
		c.fail("Thinking may not be enabled when tool_choice forces tool use.")
	}
}

func (c *claudeCheck) budget(o, m map[string]any) {
	if !c.model.budgets {
		if c.model.adaptive {
			c.fail("\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.")
		}
		c.fail("thinking is not supported on this model")
	}
	if m["budget_tokens"] == nil {
		c.fail("thinking.enabled.budget_tokens: Field required")
	}
	n := number(m["budget_tokens"], 0)
	if n < 1024 {
		c.fail("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
	}
	if o["max_tokens"] != nil && number(o["max_tokens"], 0) <= n {
		c.fail("`max_tokens` must be greater than `thinking.budget_tokens`. %s#max-tokens-and-context-window-size", thinkingDocs)
	}
}

func (c *claudeCheck) output(o map[string]any) {
	m, _ := o["output_config"].(map[string]any)
	for _, name := range sortedKeys(m) {
		if name != "effort" && name != "format" && name != "task_budget" {
			c.fail("output_config.%s: Extra inputs are not permitted", name)
		}
	}
	if e := m["effort"]; e != nil {
		if !slices.Contains([]any{"low", "medium", "high", "xhigh", "max"}, e) {
			c.fail("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
		}
		if !c.model.adaptive && !strings.HasPrefix(c.model.id, "claude-opus-4-5") {
			c.fail("This model does not support the effort parameter.")
		}
	}
	format, _ := m["format"].(map[string]any)
	if f, ok := o["output_format"].(map[string]any); ok {
		format = f
	}
	if format == nil {
		return
	}
	schema, ok := format["schema"].(map[string]any)
	switch {
	case format["type"] != "json_schema":
		c.fail("output_config.format.type: Input should be 'json_schema'")
	case !ok:
		c.fail("output_config.format.schema: Field required")
	default:
		if why := notClosed(schema, schema); why != "" {
			c.fail("output_config.format.schema: %s", why)
		}
	}
	c.t.schema, c.t.schemaOK = schema, true
}

// notClosed says why a schema is no good for structured output: every object
// needs additionalProperties:false.
func notClosed(root map[string]any, v any) string {
	s, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	if firstType(s) == "object" && s["additionalProperties"] != false {
		return "For 'object' type, 'additionalProperties' must be explicitly set to false"
	}
	for _, word := range []string{"properties", "$defs"} {
		m, _ := s[word].(map[string]any)
		for _, name := range sortedKeys(m) {
			if why := notClosed(root, m[name]); why != "" {
				return why
			}
		}
	}
	return notClosed(root, s["items"])
}
