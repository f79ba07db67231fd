package simulator

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
)

// fill makes arguments for a tool: what a listing wants where the name of a
// property tells, else the smallest valid value. The n-th call of a turn gets
// values of its own.
func fill(t *tool, n int) string {
	if t.custom {
		return "ls"
	}
	props, _ := t.schema["properties"].(map[string]any)
	out := ordered{}
	for _, name := range required(t.schema, props) {
		out = append(out, member{name, argument(t.schema, name, props[name], n)})
	}
	text, _ := json.Marshal(out)
	return string(text)
}

// required lists the needed properties in the schema's order. A tool that
// needs nothing but has a command is no use without one.
func required(schema, props map[string]any) []string {
	var out []string
	list, _ := schema["required"].([]any)
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		for _, name := range []string{"command", "cmd", "commands", "path", "pattern"} {
			if props[name] != nil {
				return []string{name}
			}
		}
	}
	return out
}

// argument is the value of one property of a listing tool.
func argument(root map[string]any, name string, schema any, n int) any {
	texts := map[string]string{
		"command": "ls", "cmd": "ls", "commands": "ls", "script": "ls", "description": "List the files",
		"path": ".", "dir_path": ".", "directory": ".", "dir": ".", "cwd": ".", "workdir": ".", "target_directory": ".",
		"pattern": "*", "glob": "*", "query": "files", "file_path": "README.md", "filePath": "README.md", "absolute_path": "README.md",
		"url": "https://example.test/", "prompt": "List the files", "city": "Paris",
	}
	text, known := texts[name]
	if known && n > 0 && name == "city" {
		text = []string{"Rome", "Oslo", "Bern"}[(n-1)%3]
	}
	s, _ := schema.(map[string]any)
	if !known || s["enum"] != nil || s["const"] != nil {
		return build(root, schema, name, 0)
	}
	switch kind := firstType(s); kind {
	case "array":
		if items, _ := s["items"].(map[string]any); items != nil && firstType(items) != "string" && firstType(items) != "" {
			return build(root, schema, name, 0)
		}
		return []any{text}
	case "", "string":
		return text
	}
	return build(root, schema, name, 0)
}

// instance makes a value that is valid under the schema; a property called
// title gets words of the prompt.
func instance(schema any, prompt string) any {
	root, ok := schema.(map[string]any)
	if !ok {
		return ordered{}
	}
	v := build(root, schema, "", 0)
	if o, ok := v.(ordered); ok {
		for i, m := range o {
			if _, text := m.value.(string); text && m.name == "title" {
				if p, _ := root["properties"].(map[string]any); p["title"] != nil && p["title"].(map[string]any)["enum"] == nil {
					o[i].value = title(prompt)
				}
			}
		}
	}
	return v
}

// build makes the smallest valid value of a schema.
func build(root map[string]any, schema any, name string, depth int) any {
	s, ok := schema.(map[string]any)
	if !ok || depth > 12 {
		return name
	}
	if ref, ok := s["$ref"].(string); ok {
		return build(root, resolve(root, ref), name, depth+1)
	}
	if v, ok := s["const"]; ok {
		return v
	}
	if list, ok := s["enum"].([]any); ok && len(list) > 0 {
		return list[0]
	}
	if v, ok := s["default"]; ok {
		return v
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		if list, ok := s[word].([]any); ok && len(list) > 0 && s["properties"] == nil {
			return build(root, list[0], name, depth+1)
		}
	}
	if list, ok := s["allOf"].([]any); ok {
		return build(root, merge(root, s, list), name, depth+1)
	}
	switch kind := firstType(s); kind {
	case "object":
		return buildObject(root, s, depth)
	case "array":
		return buildArray(root, s, name, depth)
	case "integer", "number":
		return buildNumber(s)
	case "boolean":
		return true
	case "null":
		return nil
	}
	return buildString(s, name)
}

func buildObject(root, s map[string]any, depth int) any {
	props, _ := s["properties"].(map[string]any)
	out := ordered{}
	done := map[string]bool{}
	list, _ := s["required"].([]any)
	for _, v := range list {
		name, _ := v.(string)
		done[name] = true
		out = append(out, member{name, build(root, props[name], name, depth+1)})
	}
	if len(list) > 0 {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		if !done[name] && depth < 4 {
			out = append(out, member{name, build(root, props[name], name, depth+1)})
		}
	}
	return out
}

func buildArray(root, s map[string]any, name string, depth int) any {
	out := []any{}
	n := max(int(number(s["minItems"], 1)), 1)
	if most := number(s["maxItems"], math.Inf(1)); float64(n) > most {
		n = int(most)
	}
	if depth > 4 {
		n = int(number(s["minItems"], 0))
	}
	for range n {
		out = append(out, build(root, s["items"], name, depth+1))
	}
	return out
}

func buildNumber(s map[string]any) any {
	low := number(s["minimum"], math.Inf(-1))
	if v := number(s["exclusiveMinimum"], math.Inf(-1)); v+1 > low {
		low = v + 1
	}
	high := number(s["maximum"], math.Inf(1))
	if v := number(s["exclusiveMaximum"], math.Inf(1)); v-1 < high {
		high = v - 1
	}
	v := min(max(1, low), high)
	if step := number(s["multipleOf"], 0); step > 0 {
		v = math.Ceil(v/step) * step
	}
	if firstType(s) == "integer" {
		return int64(math.Ceil(v))
	}
	return v
}

func buildString(s map[string]any, name string) any {
	known := map[string]string{
		"date-time": "2026-01-02T03:04:05Z", "date": "2026-01-02", "time": "03:04:05Z", "email": "ann@example.test",
		"uri": "https://example.test/", "url": "https://example.test/", "uuid": "00000000-0000-4000-8000-000000000001",
		"ipv4": "192.0.2.1", "hostname": "example.test",
	}
	format, _ := s["format"].(string)
	text, ok := known[format]
	if !ok {
		text = "simulated"
		if name != "" {
			text += " " + name
		}
	}
	if least := int(number(s["minLength"], 0)); len(text) < least {
		text += strings.Repeat("x", least-len(text))
	}
	if most := int(number(s["maxLength"], math.MaxInt32)); len(text) > most {
		text = text[:most]
	}
	return text
}

// merge joins the branches of an allOf with the schema around them.
func merge(root, s map[string]any, branches []any) map[string]any {
	out := map[string]any{"type": "object"}
	props, needed := map[string]any{}, []any{}
	for _, b := range append([]any{s}, branches...) {
		m, _ := b.(map[string]any)
		if ref, ok := m["$ref"].(string); ok {
			m, _ = resolve(root, ref).(map[string]any)
		}
		if p, ok := m["properties"].(map[string]any); ok {
			maps.Copy(props, p)
		}
		if r, ok := m["required"].([]any); ok {
			needed = append(needed, r...)
		}
		if t, ok := m["type"]; ok {
			out["type"] = t
		}
	}
	out["properties"], out["required"] = props, needed
	return out
}

// resolve follows a local reference (`#/$defs/x`).
func resolve(root map[string]any, ref string) any {
	var at any = root
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#"), "/") {
		if step == "" {
			continue
		}
		m, _ := at.(map[string]any)
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	return at
}

// firstType is the schema's type, the first that is not null when there are
// several, and object or array when the keywords tell.
func firstType(s map[string]any) string {
	switch v := s["type"].(type) {
	case string:
		return strings.ToLower(v)
	case []any:
		for _, one := range v {
			if name, ok := one.(string); ok && name != "null" {
				return name
			}
		}
	}
	if s["properties"] != nil {
		return "object"
	}
	if s["items"] != nil {
		return "array"
	}
	return ""
}

func number(v any, otherwise float64) float64 {
	switch n := v.(type) {
	case json.Number:
		if f, err := n.Float64(); err == nil {
			return f
		}
	case float64:
		return n
	}
	return otherwise
}
