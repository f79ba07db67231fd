package responses

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// toolMembers writes tools, tool_choice and parallel_tool_calls.
func (w *writer) toolMembers() ([]canon.Edit, error) {
	list, err := w.toolList()
	if err != nil || list == nil {
		return nil, err
	}
	out := []canon.Edit{{Name: "tools", Value: list}}
	if v := w.choice(); v != nil {
		out = append(out, canon.Edit{Name: "tool_choice", Value: v})
	}
	if p := w.req.Parallel; p != nil {
		out = append(out, canon.Edit{Name: "parallel_tool_calls", Value: strconv.AppendBool(nil, *p)})
	}
	return out, nil
}

// toolList writes each tool that the upstream can take, those of a namespace together; nil if there is none.
func (w *writer) toolList() (jsontext.Value, error) {
	b := jsontext.Value{'['}
	add := func(v jsontext.Value) {
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	var lost *canon.Tool
	space := ""
	leave := func(next string) {
		if space != "" && space != next {
			b = append(b, "]}"...)
		}
	}
	for i := range w.req.Tools {
		t := &w.req.Tools[i]
		if t.Kind == canon.ToolServer {
			v, err := w.serverTool(t)
			if err != nil {
				return nil, err
			}
			if v == nil {
				lost = t
				continue
			}
			leave("")
			space = ""
			add(v)
			continue
		}
		inside := ""
		if w.same {
			inside = t.Space
		}
		if inside != space {
			leave(inside)
			if inside != "" {
				add(spaceHead(t))
			}
			space = inside
		}
		add(w.tool(t))
	}
	leave("")
	forced := lost != nil && w.req.ToolChoice.Mode == canon.ChoiceNamed && slices.Contains(w.req.ToolChoice.Names, lost.Name)
	if lost != nil && (forced || len(b) == 1) {
		return nil, unsupported("tools", "%s cannot run the tool %q", w.req.ModelAsked, lost.Name)
	}
	if len(b) == 1 {
		return nil, nil
	}
	return append(b, ']'), nil
}

func spaceHead(t *canon.Tool) jsontext.Value {
	b := wire.AppendString(jsontext.Value(`{"type":"namespace","name":`), t.Space)
	if d := t.Ext[spaceText]; d != nil {
		b = append(append(b, `,"description":`...), d...)
	}
	return append(b, `,"tools":[`...)
}

// serverTool writes a tool that the service runs, nil if it cannot.
func (w *writer) serverTool(t *canon.Tool) (jsontext.Value, error) {
	switch {
	case w.same:
		return t.Raw, nil
	case strings.HasPrefix(t.ServerType, "mcp"):
		return nil, unsupported("tools", "%s cannot run the tool %q: remote MCP tools need the service they were made for", w.req.ModelAsked, t.Name)
	case w.o.OwnHost && searches(t):
		return jsontext.Value(`{"type":"web_search"}`), nil
	}
	w.x.warn("tools."+t.ServerType, "the service cannot run it")
	return nil, nil
}

// nameOf is a tool's name as it goes out: flat for clients of other formats, its own inside its namespace.
func (w *writer) nameOf(space, name string) string {
	if !w.same {
		name = wire.FlatName(space, name)
	}
	return w.x.names.Out(name)
}

func (w *writer) tool(t *canon.Tool) jsontext.Value {
	if t.ServerType == toolSearch && w.same {
		return t.Raw
	}
	name := w.nameOf(t.Space, t.Name)
	if t.Kind == canon.ToolCustom {
		b := wire.AppendString(jsontext.Value(`{"type":"custom","name":`), name)
		b = appendDescription(b, t)
		if g := flatGrammar(t.Grammar); g != nil {
			b = append(append(b, `,"format":`...), g...)
		}
		return append(w.appendExt(b, t.Ext), '}')
	}
	schema, strict := t.Schema, t.Strict
	if !w.same {
		want := strict != nil && *strict
		ok := false
		schema, ok = wire.SchemaForOpenAI(t.Schema, want)
		ok = ok && want // left out, strict would be true here
		strict = &ok
	}
	b := wire.AppendString(jsontext.Value(`{"type":"function","name":`), name)
	b = appendDescription(b, t)
	if len(schema) > 0 {
		b = append(append(b, `,"parameters":`...), schema...)
	}
	if strict != nil {
		b = strconv.AppendBool(append(b, `,"strict":`...), *strict)
	}
	if t.Cache != nil && !w.same {
		w.x.warn("cache_control", "the service caches by itself")
	}
	return append(w.appendExt(b, t.Ext), '}')
}

func appendDescription(b jsontext.Value, t *canon.Tool) jsontext.Value {
	if t.Description == "" {
		return b
	}
	return wire.AppendString(append(b, `,"description":`...), t.Description)
}

// appendExt adds what a client of this format sent and canon has no word for, in the order of the names.
func (w *writer) appendExt(b jsontext.Value, ext map[string]jsontext.Value) jsontext.Value {
	if !w.same || len(ext) == 0 {
		return b
	}
	for _, name := range slices.Sorted(maps.Keys(ext)) {
		if name == "" || name[0] == '$' {
			continue
		}
		b = append(append(wire.AppendString(append(b, ','), name), ':'), ext[name]...)
	}
	return b
}

// flatGrammar returns the format of a custom tool; Chat has the grammar in a member of its own.
func flatGrammar(g jsontext.Value) jsontext.Value {
	if g.Kind() != '{' {
		return nil
	}
	inner := oai.Member(g, "grammar")
	if inner == nil {
		return g
	}
	b := wire.AppendString(jsontext.Value(`{"type":"grammar","syntax":`), oai.Text(oai.Member(inner, "syntax")))
	b = wire.AppendString(append(b, `,"definition":`...), oai.Text(oai.Member(inner, "definition")))
	return append(b, '}')
}

// choice writes tool_choice.
func (w *writer) choice() jsontext.Value {
	c := w.req.ToolChoice
	switch c.Mode {
	case "":
		return nil
	case canon.ChoiceNamed:
		return w.choiceEntry(c.Names[0])
	case canon.ChoiceAllowed, canon.ChoiceAllowReq:
		mode := "auto"
		if c.Mode == canon.ChoiceAllowReq {
			mode = "required"
		}
		b := jsontext.Value(`{"type":"allowed_tools","mode":"` + mode + `","tools":[`)
		for i, n := range c.Names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, w.choiceEntry(n)...)
		}
		return append(b, "]}"...)
	default:
		return jsontext.Value(strconv.Quote(c.Mode))
	}
}

// choiceEntry names one tool as its kind is named.
func (w *writer) choiceEntry(name string) jsontext.Value {
	t := findTool(w.req.Tools, name)
	switch {
	case t == nil:
		t = &canon.Tool{Kind: canon.ToolFunction, Name: name}
	case t.Kind == canon.ToolServer:
		kind := t.ServerType
		if !w.same {
			kind = "web_search"
		}
		return append(wire.AppendString(jsontext.Value(`{"type":`), kind), '}')
	case t.ServerType == toolSearch && w.same:
		return jsontext.Value(`{"type":"tool_search"}`)
	}
	kind := "function"
	if t.Kind == canon.ToolCustom {
		kind = "custom"
	}
	b := wire.AppendString(jsontext.Value(`{"type":"`+kind+`","name":`), w.nameOf(t.Space, t.Name))
	if w.same && t.Space != "" {
		b = wire.AppendString(append(b, `,"namespace":`...), t.Space)
	}
	return append(b, '}')
}
