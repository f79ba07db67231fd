package gemini

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// nameTools makes the table of tool names: the upstream's form, and what the client knows each as.
func (x *Exchange) nameTools() {
	short := toolNameFor
	if x.family == wire.FamilyClaude {
		short = nil
	}
	x.names = wire.NewNames(x.req, short)
	x.tools = map[string]toolName{}
	for i := range x.req.Tools {
		t := &x.req.Tools[i]
		if t.Kind == canon.ToolServer {
			continue
		}
		x.tools[x.out(t.Space, t.Name)] = toolName{
			name: t.Name, space: t.Space, custom: t.Kind == canon.ToolCustom,
			placeholder: x.o.Validated && t.Kind == canon.ToolFunction && !hasProperties(t.Schema),
		}
	}
}

// out returns the upstream's name of a tool.
func (x *Exchange) out(space, name string) string {
	if x.names == nil { // a turn of a request that goes out as it came
		return name
	}
	return x.names.Out(wire.FlatName(space, name))
}

// toolNameFor returns a name in the form that Gemini takes: letters, digits and _.:- with a letter or underscore first.
// Google's page says 128 characters, Code Assist takes 64.
func toolNameFor(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.', r == ':', r == '-':
			return r
		}
		return '_'
	}, name)
	if clean == "" || clean[0] != '_' && !isLetter(clean[0]) {
		clean = "_" + clean
	}
	if len(clean) > wire.MaxToolName {
		return wire.ShortName(name)
	}
	return clean
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// writeTools writes the tools in the client's order, with neighbouring functions in one entry.
func (x *Exchange) writeTools(w *writer) error {
	functions := slices.ContainsFunc(x.req.Tools, func(t canon.Tool) bool { return t.Kind != canon.ToolServer })
	mark := len(w.b)
	w.begin("tools", '[')
	empty := len(w.b)
	inside := false // an entry of functions is open
	seen := map[string]bool{}
	for i := range x.req.Tools {
		t := &x.req.Tools[i]
		if t.Kind == canon.ToolServer {
			v, err := x.serverTool(t, functions)
			if err != nil {
				return err
			}
			if v == nil {
				continue
			}
			if inside {
				w.b = append(w.b, "]}"...)
				inside = false
			}
			w.value(v)
			continue
		}
		if !x.allowed(t) {
			continue
		}
		name := x.out(t.Space, t.Name)
		if seen[name] {
			return apierror.Invalid("tools", "tools: the function %q is declared twice", t.Name)
		}
		seen[name] = true
		if !inside {
			w.open('{')
			w.begin("functionDeclarations", '[')
			inside = true
		}
		x.declaration(w, t, name)
	}
	if inside {
		w.b = append(w.b, "]}"...)
	}
	if len(w.b) == empty {
		w.b = w.b[:mark]
		return nil
	}
	w.close(']')
	return nil
}

// allowed reports whether a tool may be offered: a choice among some, or none, of them is told by leaving the others out.
func (x *Exchange) allowed(t *canon.Tool) bool {
	c := x.req.ToolChoice
	return c.Mode != canon.ChoiceAllowed || same(x.req) || slices.Contains(c.Names, t.Name) || slices.Contains(c.Names, wire.FlatName(t.Space, t.Name))
}

func (x *Exchange) declaration(w *writer, t *canon.Tool, name string) {
	if same(x.req) && !x.o.Strict && x.o.CleanSchema == nil && len(t.Raw) > 0 && name == t.Name {
		w.value(t.Raw)
		return
	}
	w.open('{')
	w.str("name", name)
	w.opt("description", t.Description)
	member := "parametersJsonSchema"
	if x.o.Strict && !x.o.StrictInJSONSchema {
		member = "parameters"
	}
	switch {
	case t.Kind == canon.ToolCustom:
		w.raw(member, x.schema(customSchema(t)))
	case x.tools[name].placeholder:
		w.raw(member, x.schema(jsontext.Value(placeholderSchema)))
	case hasProperties(t.Schema):
		clean := x.schema(t.Schema)
		w.raw(member, clean)
		if x.o.CleanSchema != nil {
			entry := x.tools[name]
			entry.clean = clean
			x.tools[name] = entry
		}
	case len(t.Schema) > 0 && !x.o.Strict: // the strict message refuses an object without properties
		w.raw(member, x.schema(t.Schema))
	}
	if same(x.req) {
		x.declarationExt(w, t)
	}
	w.close('}')
}

// declarationExt writes what else a client of this format declared; schemas of results are cleaned as well.
func (x *Exchange) declarationExt(w *writer, t *canon.Tool) {
	ext := map[string]jsontext.Value{}
	for name, v := range t.Ext {
		if (name == "response" || name == "responseJsonSchema") && v.Kind() == '{' {
			v = x.schema(v)
		}
		ext[name] = v
	}
	w.ext(ext)
}

// placeholderSchema gives VALIDATED mode the property that it wants of every object.
const placeholderSchema = `{"type":"object","properties":{"reason":{"type":"string","description":"why this function is called"}},"required":["reason"]}`

const placeholderName = "reason"

// maxGrammar bounds the grammar of a custom tool that goes into a description.
const maxGrammar = 4000

// customSchema is the schema of a function that stands for a custom tool: one string, with the grammar as its description.
func customSchema(t *canon.Tool) jsontext.Value {
	text := string(t.Grammar)
	var g struct {
		Definition string `json:"definition"`
		Grammar    struct {
			Definition string `json:"definition"`
		} `json:"grammar"`
	}
	if json.Unmarshal(t.Grammar, &g, wire.Lenient) == nil {
		if d := g.Definition + g.Grammar.Definition; d != "" {
			text = d
		}
	}
	if len(text) > maxGrammar {
		text = strings.ToValidUTF8(text[:maxGrammar], "")
	}
	w := writer{b: []byte(`{"type":"object","properties":{"input":{"type":"string"`)}
	w.opt("description", text)
	w.b = append(w.b, `}},"required":["input"]}`...)
	return w.b
}

// hasProperties reports whether a schema says anything about arguments.
func hasProperties(s jsontext.Value) bool {
	o, err := canon.ParseObject(s)
	if err != nil {
		return false
	}
	for _, m := range o.Members {
		switch m.Name {
		case "type", "description", "title", "$schema", "additionalProperties", "required":
		case "properties":
			if props, err := canon.ParseObject(o.Get("properties")); err == nil && len(props.Members) > 0 {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// serverTool returns a tool that Google runs itself, nil for one that is left out. Search and functions do not mix ("Tool
// use with function calling is unsupported").
func (x *Exchange) serverTool(t *canon.Tool, functions bool) (jsontext.Value, error) {
	if same(x.req) && len(t.Raw) > 0 && !x.o.NoServerTools {
		return t.Raw, nil
	}
	kind := strings.ToLower(t.ServerType)
	if strings.HasPrefix(kind, "mcp") {
		return nil, unsupported("tools", "tools: MCP servers are not supported by this model's service; connect them in your program instead")
	}
	var v jsontext.Value
	switch {
	case strings.HasPrefix(kind, "web_search"), kind == "googlesearch":
		v = jsontext.Value(`{"googleSearch":{}}`)
	case strings.HasPrefix(kind, "web_fetch"), kind == "urlcontext":
		v = jsontext.Value(`{"urlContext":{}}`)
	}
	if v != nil && !functions && !x.o.NoServerTools && x.family == wire.FamilyGemini {
		return v, nil
	}
	c := x.req.ToolChoice
	forced := (c.Mode == canon.ChoiceNamed || c.Mode == canon.ChoiceAllowReq) && (slices.Contains(c.Names, t.Name) || slices.Contains(c.Names, t.ServerType))
	if forced || len(x.req.Tools) == 1 {
		return nil, unsupported("tools", "tools: "+t.ServerType+" is not supported by this model's service; choose another model or leave the tool out")
	}
	x.warn("tools."+t.ServerType, "the service cannot run it beside functions")
	return nil, nil
}

// toolConfig writes the tool choice.
func (x *Exchange) toolConfig(w *writer) error {
	if v := x.req.Ext["toolConfig"]; len(v) > 0 && same(x.req) && !x.o.Validated && !x.renamed() {
		w.raw("toolConfig", v)
		return nil
	}
	c := x.req.ToolChoice
	var names []string
	for _, n := range c.Names {
		up, ok := x.upstreamName(n)
		if !ok && c.Mode != canon.ChoiceAllowed {
			return apierror.Invalid("tool_choice", "tool_choice names %q, which is not among the tools", n)
		}
		names = append(names, up)
	}
	mode := ""
	switch c.Mode {
	case canon.ChoiceAuto, canon.ChoiceAllowed:
		mode, names = "AUTO", nil
	case canon.ChoiceNone:
		mode, names = "NONE", nil
	case canon.ChoiceRequired:
		mode, names = "ANY", nil
	case canon.ChoiceNamed, canon.ChoiceAllowReq:
		mode = "ANY"
	}
	if len(x.tools) == 0 {
		return nil
	}
	if x.o.Validated && mode != "NONE" {
		mode, names = "VALIDATED", nil
	}
	if mode == "" {
		return nil
	}
	w.begin("toolConfig", '{')
	w.begin("functionCallingConfig", '{')
	w.str("mode", mode)
	if len(names) > 0 {
		w.begin("allowedFunctionNames", '[')
		for _, n := range names {
			w.text(n)
		}
		w.close(']')
	}
	w.close('}')
	w.close('}')
	return nil
}

// renamed reports whether a tool has another name for the upstream than for the client.
func (x *Exchange) renamed() bool {
	for up, t := range x.tools {
		if up != t.name {
			return true
		}
	}
	return false
}

// upstreamName finds the tool that a choice names, with or without its namespace.
func (x *Exchange) upstreamName(name string) (string, bool) {
	for i := range x.req.Tools {
		t := &x.req.Tools[i]
		if t.Kind != canon.ToolServer && (t.Name == name || wire.FlatName(t.Space, t.Name) == name) {
			return x.out(t.Space, t.Name), true
		}
	}
	return name, false
}

// back gives a call the client's own name of the tool, and takes a placeholder out of its arguments.
func (x *Exchange) back(p *canon.Part) {
	t, ok := x.tools[p.Name]
	if !ok {
		p.Name = x.names.Back(p.Name)
		return
	}
	p.Name, p.Space = t.name, t.space
	if t.placeholder {
		if o, err := canon.ParseObject(p.Args); err == nil {
			p.Args = o.AppendEdited(nil, canon.Edit{Name: placeholderName})
		}
	}
	if len(t.clean) > 0 {
		p.Args = wire.StripPlaceholders(p.Args, t.clean)
	}
	if !t.custom {
		return
	}
	var in struct {
		Input *string `json:"input"`
	}
	p.Custom = true
	if json.Unmarshal(p.Args, &in, wire.Lenient) == nil && in.Input != nil {
		p.Text = *in.Input
	} else {
		p.Text = string(bytes.TrimSpace(p.Args))
	}
	p.Args = nil
}
