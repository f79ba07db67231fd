package openai

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// webSearchOptions is the server type of the tool that stands for the field web_search_options.
const webSearchOptions = "web_search_options"

type wireTool struct {
	Type     string                    `json:"type"`
	Function *wireFunction             `json:"function"`
	Custom   *wireCustom               `json:"custom"`
	Cache    jsontext.Value            `json:"cache_control"`
	Ext      map[string]jsontext.Value `json:",embed"`
}

type wireFunction struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Parameters  jsontext.Value `json:"parameters"`
	Strict      *bool          `json:"strict"`
	Cache       jsontext.Value `json:"cache_control"`
}

type wireCustom struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Format      jsontext.Value `json:"format"`
}

func readTools(d *decoder, name string, v jsontext.Value) error {
	var raw []jsontext.Value
	if err := wire.ReadValue(v, name, &raw); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, r := range raw {
		path := fmt.Sprintf("%s[%d]", name, i)
		t, err := readTool(r, path)
		if err != nil {
			return err
		}
		if t.Kind != canon.ToolServer {
			if seen[t.Name] {
				return apierror.Invalid(path, "%s: there are two tools with the name %q", path, t.Name)
			}
			seen[t.Name] = true
		}
		d.req.Tools = append(d.req.Tools, t)
	}
	return nil
}

func readTool(v jsontext.Value, path string) (canon.Tool, error) {
	var w wireTool
	if err := wire.ReadValue(v, path, &w); err != nil {
		return canon.Tool{}, err
	}
	cache, err := readCache(w.Cache, path+".cache_control")
	if err != nil {
		return canon.Tool{}, err
	}
	switch {
	case w.Type == "custom" && w.Custom != nil:
		t := canon.Tool{Kind: canon.ToolCustom, Name: w.Custom.Name, Description: w.Custom.Description, Grammar: w.Custom.Format, Raw: v, Cache: cache, Ext: w.Ext}
		return t, needName(t.Name, path+".custom.name")
	case w.Function != nil && (w.Type == "function" || w.Type == ""):
		t, err := functionTool(*w.Function, path+".function")
		if cache != nil {
			t.Cache = cache
		}
		t.Raw, t.Ext = v, w.Ext
		return t, err
	case w.Type == "" || w.Type == "function" || w.Type == "custom":
		return canon.Tool{}, apierror.Invalid(path, "%s needs a type and the member of that name", path)
	default: // a tool that the vendor runs itself, such as Kimi's builtin_function
		return canon.Tool{Kind: canon.ToolServer, ServerType: w.Type, Name: w.Type, Raw: v}, nil
	}
}

func functionTool(f wireFunction, path string) (canon.Tool, error) {
	if k := f.Parameters.Kind(); len(f.Parameters) > 0 && k != 'n' && k != '{' {
		return canon.Tool{}, apierror.Invalid(path+".parameters", "%s.parameters must be an object", path)
	}
	cache, err := readCache(f.Cache, path+".cache_control")
	if err != nil {
		return canon.Tool{}, err
	}
	t := canon.Tool{Kind: canon.ToolFunction, Name: f.Name, Description: f.Description, Schema: f.Parameters, Strict: f.Strict, Cache: cache}
	return t, needName(t.Name, path+".name")
}

func needName(name, path string) error {
	if name == "" {
		return apierror.Invalid(path, "%s is required", path)
	}
	return nil
}

// readFunctions reads the old form of tools. The member stays in Ext: it tells the renderer to answer in the old form.
func readFunctions(d *decoder, name string, v jsontext.Value) error {
	var fs []wireFunction
	if err := wire.ReadValue(v, name, &fs); err != nil {
		return err
	}
	if d.o.Has("tools") && len(fs) > 0 {
		return apierror.Invalid(name, "send tools or functions, not both")
	}
	for i, f := range fs {
		t, err := functionTool(f, fmt.Sprintf("%s[%d]", name, i))
		if err != nil {
			return err
		}
		d.req.Tools = append(d.req.Tools, t)
	}
	return keep(d, name, v)
}

// oldForm reports whether the request used functions instead of tools.
func oldForm(req *canon.Request) bool { return req.Ext["functions"] != nil }

// oldChoice reads function_call, once the functions are known.
func (d *decoder) oldChoice() error {
	if len(d.functionCall) == 0 || d.req.ToolChoice.Mode != "" {
		return d.checkChoice("tool_choice")
	}
	if d.functionCall.Kind() == '"' {
		return readToolChoice(d, "function_call", d.functionCall)
	}
	var f struct {
		Name string `json:"name"`
	}
	if err := wire.ReadValue(d.functionCall, "function_call", &f); err != nil {
		return err
	}
	d.req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{f.Name}}
	return d.checkChoice("function_call")
}

func readWebSearch(d *decoder, name string, v jsontext.Value) error {
	if v.Kind() != '{' {
		return apierror.Invalid(name, "%s must be an object", name)
	}
	d.req.Tools = append(d.req.Tools, canon.Tool{Kind: canon.ToolServer, ServerType: webSearchOptions, Name: "web_search", Raw: v})
	return nil
}

func readToolChoice(d *decoder, name string, v jsontext.Value) error {
	if v.Kind() == '"' {
		var mode string
		if err := wire.ReadValue(v, name, &mode); err != nil {
			return err
		}
		modes := map[string]string{"auto": canon.ChoiceAuto, "none": canon.ChoiceNone, "required": canon.ChoiceRequired, "any": canon.ChoiceRequired}
		if modes[mode] == "" {
			return apierror.Invalid(name, "%s must be none, auto, required or an object", name)
		}
		d.req.ToolChoice = canon.ToolChoice{Mode: modes[mode]}
		return nil
	}
	var w struct {
		Type     string    `json:"type"`
		Function *toolName `json:"function"`
		Custom   *toolName `json:"custom"`
		Allowed  *struct {
			Mode  string        `json:"mode"`
			Tools []allowedTool `json:"tools"`
		} `json:"allowed_tools"`
	}
	if err := wire.ReadValue(v, name, &w); err != nil {
		return err
	}
	switch {
	case w.Allowed != nil:
		c := canon.ToolChoice{Mode: canon.ChoiceAllowed}
		if w.Allowed.Mode == "required" {
			c.Mode = canon.ChoiceAllowReq
		}
		for _, t := range w.Allowed.Tools {
			c.Names = append(c.Names, t.name())
		}
		d.req.ToolChoice = c
	case w.Function != nil:
		d.req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{w.Function.Name}}
	case w.Custom != nil:
		d.req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{w.Custom.Name}}
	case w.Type == "auto" || w.Type == "none" || w.Type == "required":
		d.req.ToolChoice = canon.ToolChoice{Mode: w.Type}
	default:
		return apierror.Invalid(name, "%s must name a function, a custom tool or allowed_tools", name)
	}
	return nil
}

type toolName struct {
	Name string `json:"name"`
}

type allowedTool struct {
	Name     string    `json:"name"`
	Function *toolName `json:"function"`
	Custom   *toolName `json:"custom"`
}

func (t allowedTool) name() string {
	switch {
	case t.Function != nil:
		return t.Function.Name
	case t.Custom != nil:
		return t.Custom.Name
	default:
		return t.Name
	}
}

// checkChoice refuses a choice of a tool that is not there.
func (d *decoder) checkChoice(name string) error {
	for _, n := range d.req.ToolChoice.Names {
		if !hasTool(d.req.Tools, n) {
			return apierror.Invalid(name, "%s names the tool %q, which is not among the tools", name, n)
		}
	}
	return nil
}

func hasTool(tools []canon.Tool, name string) bool {
	for i := range tools {
		if tools[i].Name == name || wire.FlatName(tools[i].Space, tools[i].Name) == name {
			return true
		}
	}
	return false
}

func lower(s string) string { return strings.ToLower(s) }
