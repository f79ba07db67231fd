package responses

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// toolSearch is the tool by which a client loads further tools when the model asks for them (Codex CLI 0.169.0). For every
// other format it is a function of that name.
const toolSearch = "tool_search"

// spaceText is where the description of a namespace is kept, on each of its tools.
const spaceText = "$namespace"

type wireTool struct {
	Type        string                    `json:"type"`
	Name        string                    `json:"name"`
	Description string                    `json:"description"`
	Parameters  jsontext.Value            `json:"parameters"`
	Strict      *bool                     `json:"strict"`
	Format      jsontext.Value            `json:"format"`
	Tools       jsontext.Value            `json:"tools"`
	Execution   string                    `json:"execution"`
	Ext         map[string]jsontext.Value `json:",embed"`
}

func readTools(d *decoder, name string, v jsontext.Value) error {
	tools, err := toolsOf(v, name)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range tools {
		t := &tools[i]
		if t.Kind == canon.ToolServer {
			continue
		}
		key := t.Space + "\x00" + t.Name
		if seen[key] {
			return apierror.Invalid(name, "%s: there are two tools with the name %q", name, t.Name)
		}
		seen[key] = true
	}
	d.req.Tools = tools
	return nil
}

// toolsOf reads an array of tools. Those of a namespace stand in the list one by one, with its name.
func toolsOf(v jsontext.Value, path string) ([]canon.Tool, error) {
	if v.Kind() != '[' {
		return nil, apierror.Invalid(path, "%s must be an array", path)
	}
	var out []canon.Tool
	c := oai.WalkArray(v)
	for i := 0; c.Next(); i++ {
		list, err := readTool(c.Value, fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func readTool(v jsontext.Value, path string) ([]canon.Tool, error) {
	var w wireTool
	if err := wire.ReadValue(v, path, &w); err != nil {
		return nil, err
	}
	t := canon.Tool{Name: w.Name, Description: w.Description, Raw: v}
	switch w.Type {
	case "function", "custom":
		if w.Name == "" {
			return nil, apierror.Invalid(path+".name", "%s.name is required", path)
		}
		t.Ext = w.Ext
		if w.Type == "custom" {
			t.Kind, t.Grammar = canon.ToolCustom, w.Format
			return []canon.Tool{t}, nil
		}
		if k := w.Parameters.Kind(); len(w.Parameters) > 0 && k != 'n' && k != '{' {
			return nil, apierror.Invalid(path+".parameters", "%s.parameters must be an object", path)
		}
		t.Kind, t.Strict = canon.ToolFunction, w.Strict
		if w.Parameters.Kind() == '{' {
			t.Schema = w.Parameters
		}
		return []canon.Tool{t}, nil
	case "namespace":
		return readSpace(w, path)
	case toolSearch:
		if w.Execution == "server" {
			break
		}
		t.Kind, t.Name, t.ServerType, t.Schema = canon.ToolFunction, toolSearch, toolSearch, w.Parameters
		return []canon.Tool{t}, nil
	case "":
		return nil, apierror.Invalid(path+".type", "%s.type is required", path)
	}
	t.Kind, t.ServerType = canon.ToolServer, w.Type // the service runs it itself
	t.Name, t.Description = w.Type, ""
	return []canon.Tool{t}, nil
}

func readSpace(w wireTool, path string) ([]canon.Tool, error) {
	if w.Name == "" {
		return nil, apierror.Invalid(path+".name", "%s.name is required", path)
	}
	if oai.IsNull(w.Tools) {
		return nil, nil
	}
	inner, err := toolsOf(w.Tools, path+".tools")
	if err != nil {
		return nil, err
	}
	for i := range inner {
		t := &inner[i]
		if t.Space != "" || t.Kind == canon.ToolServer {
			return nil, apierror.Invalid(path+".tools", "%s.tools may hold functions and custom tools only", path)
		}
		t.Space = w.Name
		if w.Description != "" {
			if t.Ext == nil {
				t.Ext = map[string]jsontext.Value{}
			}
			t.Ext[spaceText] = wire.AppendString(nil, w.Description)
		}
	}
	return inner, nil
}

type wireChoice struct {
	Type  string       `json:"type"`
	Name  string       `json:"name"`
	Space string       `json:"namespace"`
	Mode  string       `json:"mode"`
	Tools []wireChoice `json:"tools"`
}

// tool is the name of the tool that an entry means. Tools of the service have none but their type.
func (c wireChoice) tool() string {
	switch {
	case c.Name == "":
		return c.Type
	default:
		return wire.FlatName(c.Space, c.Name)
	}
}

// readChoice reads tool_choice, once the tools are known.
func (d *decoder) readChoice() error {
	const name = "tool_choice"
	v := d.choice
	if len(v) == 0 {
		return nil
	}
	if v.Kind() == '"' {
		switch mode := oai.Text(v); mode {
		case canon.ChoiceAuto, canon.ChoiceNone, canon.ChoiceRequired:
			d.req.ToolChoice = canon.ToolChoice{Mode: mode}
			return nil
		}
		return apierror.Invalid(name, "%s must be none, auto, required or an object", name)
	}
	var w wireChoice
	if err := wire.ReadValue(v, name, &w); err != nil {
		return err
	}
	c := canon.ToolChoice{Mode: canon.ChoiceNamed}
	switch w.Type {
	case "":
		return apierror.Invalid(name+".type", "%s.type is required", name)
	case "allowed_tools":
		c.Mode = canon.ChoiceAllowed
		if w.Mode == canon.ChoiceRequired {
			c.Mode = canon.ChoiceAllowReq
		}
		for _, t := range w.Tools {
			c.Names = append(c.Names, t.tool())
		}
	default:
		c.Names = []string{w.tool()}
	}
	for _, n := range c.Names {
		if findTool(d.req.Tools, n) == nil {
			return apierror.Invalid(name, "%s names the tool %q, which is not among the tools", name, n)
		}
	}
	d.req.ToolChoice = c
	return nil
}

// findTool returns the tool with a name, flat or its own.
func findTool(tools []canon.Tool, name string) *canon.Tool {
	for i := range tools {
		if wire.FlatName(tools[i].Space, tools[i].Name) == name {
			return &tools[i]
		}
	}
	for i := range tools {
		if tools[i].Name == name {
			return &tools[i]
		}
	}
	return nil
}
