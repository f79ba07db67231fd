package openai

import (
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
	var out []canon.Edit
	choice := w.req.ToolChoice
	list, search, err := w.toolList(choice)
	if err != nil {
		return nil, err
	}
	if search != nil {
		out = append(out, canon.Edit{Name: webSearchOptions, Value: search})
	}
	if len(list) == 0 {
		return out, nil
	}
	b := jsontext.Value{'['}
	for i, t := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t...)
	}
	out = append(out, canon.Edit{Name: "tools", Value: append(b, ']')})
	if v := w.choice(choice); v != nil {
		out = append(out, canon.Edit{Name: "tool_choice", Value: v})
	}
	if p := w.req.Parallel; p != nil {
		if w.o.NoParallelCalls {
			w.warn("parallel_tool_calls", "the service does not take it")
		} else {
			out = append(out, canon.Edit{Name: "parallel_tool_calls", Value: optBool(p)})
		}
	}
	return out, nil
}

// toolList writes each tool that the upstream can take.
func (w *writer) toolList(choice canon.ToolChoice) (list []jsontext.Value, search jsontext.Value, err error) {
	if choice.Mode == canon.ChoiceNone && w.o.NoToolChoice {
		return nil, nil, nil
	}
	narrowed := (choice.Mode == canon.ChoiceAllowed || choice.Mode == canon.ChoiceAllowReq) && !w.o.OwnHost
	var lost []string
	for i := range w.req.Tools {
		t := &w.req.Tools[i]
		switch {
		case t.Kind == canon.ToolServer && w.same && t.ServerType == webSearchOptions:
			search = t.Raw
		case t.Kind == canon.ToolServer && w.same:
			list = append(list, t.Raw)
		case t.Kind == canon.ToolServer && w.searches(t):
			search = jsontext.Value("{}")
		case t.Kind == canon.ToolServer:
			lost = append(lost, t.Name)
			if strings.HasPrefix(t.ServerType, "mcp") {
				return nil, nil, unsupported("tools", "%s cannot run the tool %q: remote MCP tools need the service they were made for", w.req.ModelAsked, t.Name)
			}
			w.warn("tools."+t.ServerType, "the service cannot run it")
		case narrowed && !slices.Contains(choice.Names, t.Name) && !slices.Contains(choice.Names, wire.FlatName(t.Space, t.Name)):
		default:
			list = append(list, w.tool(t))
		}
	}
	forced := choice.Mode == canon.ChoiceNamed && len(choice.Names) == 1 && slices.Contains(lost, choice.Names[0])
	if len(lost) > 0 && (forced || len(list) == 0 && search == nil) {
		return nil, nil, unsupported("tools", "%s cannot run the tool %q", w.req.ModelAsked, lost[0])
	}
	return list, search, nil
}

// searches reports whether a web search tool can be one of OpenAI's search models' own.
func (w *writer) searches(t *canon.Tool) bool {
	return w.o.OwnHost && strings.Contains(w.req.Model, "-search") && strings.Contains(strings.ToLower(t.ServerType), "search")
}

func (w *writer) tool(t *canon.Tool) jsontext.Value {
	name := w.x.names.Out(wire.FlatName(t.Space, t.Name))
	if t.Kind == canon.ToolCustom && (w.o.OwnHost || w.o.CustomTools) {
		b := wire.AppendString(jsontext.Value(`{"type":"custom","custom":{"name":`), name)
		if t.Description != "" {
			b = wire.AppendString(append(b, `,"description":`...), t.Description)
		}
		if len(t.Grammar) > 0 && t.Grammar.Kind() == '{' {
			b = append(append(b, `,"format":`...), chatGrammar(t.Grammar)...)
		}
		return append(b, "}}"...)
	}
	schema, strict := t.Schema, t.Strict
	switch {
	case t.Kind == canon.ToolCustom:
		if w.x.custom == nil {
			w.x.custom = map[string]bool{}
		}
		w.x.custom[name] = true
		schema, strict = oai.InputSchema(t), nil
	case w.same && len(schema) == 0:
	case w.same:
	default:
		want := strict != nil && *strict
		var ok bool
		if schema, ok = wire.SchemaForOpenAI(t.Schema, want); want {
			strict = &ok
		}
	}
	b := wire.AppendString(jsontext.Value(`{"type":"function","function":{"name":`), name)
	if t.Description != "" {
		b = wire.AppendString(append(b, `,"description":`...), t.Description)
	}
	if len(schema) > 0 {
		b = append(append(b, `,"parameters":`...), schema...)
	}
	if strict != nil && !w.o.NoStrict {
		b = strconv.AppendBool(append(b, `,"strict":`...), *strict)
	}
	b = append(b, '}')
	b = w.appendCache(b, t.Cache, nil)
	if w.same {
		b = appendExt(b, t.Ext)
	}
	return append(b, '}')
}

// chatGrammar wraps a grammar in the member that chat has for it; Responses has the same flat.
func chatGrammar(g jsontext.Value) jsontext.Value {
	if text(member(g, "type")) != "grammar" || member(g, "grammar") != nil {
		return g
	}
	b := wire.AppendString(jsontext.Value(`{"type":"grammar","grammar":{"syntax":`), text(member(g, "syntax")))
	b = wire.AppendString(append(b, `,"definition":`...), text(member(g, "definition")))
	return append(b, "}}"...)
}

// choice writes tool_choice.
func (w *writer) choice(c canon.ToolChoice) jsontext.Value {
	if c.Mode == "" {
		return nil
	}
	if w.o.NoToolChoice {
		if c.Mode != canon.ChoiceAuto {
			w.warn("tool_choice", "the service takes auto only")
		}
		return jsontext.Value(`"auto"`)
	}
	if w.o.NoForcedTools && forces(c) {
		w.warn("tool_choice", "the service takes auto and none only")
		return jsontext.Value(`"auto"`)
	}
	switch c.Mode {
	case canon.ChoiceNamed:
		return w.choiceEntry(c.Names[0])
	case canon.ChoiceAllowed, canon.ChoiceAllowReq:
		mode := "auto"
		if c.Mode == canon.ChoiceAllowReq {
			mode = "required"
		}
		if !w.o.OwnHost {
			return jsontext.Value(strconv.Quote(mode))
		}
		b := jsontext.Value(`{"type":"allowed_tools","allowed_tools":{"mode":"` + mode + `","tools":[`)
		for i, n := range c.Names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, w.choiceEntry(n)...)
		}
		return append(b, "]}}"...)
	default:
		return jsontext.Value(strconv.Quote(c.Mode))
	}
}

// choiceEntry names one tool as its kind is named.
func (w *writer) choiceEntry(name string) jsontext.Value {
	kind := "function"
	for i := range w.req.Tools {
		t := &w.req.Tools[i]
		if t.Name != name && wire.FlatName(t.Space, t.Name) != name {
			continue
		}
		name = wire.FlatName(t.Space, t.Name)
		if t.Kind == canon.ToolCustom && (w.o.OwnHost || w.o.CustomTools) {
			kind = "custom"
		}
		break
	}
	b := jsontext.Value(`{"type":"` + kind + `","` + kind + `":{"name":`)
	return append(wire.AppendString(b, w.x.names.Out(name)), "}}"...)
}
