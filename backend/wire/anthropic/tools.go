package anthropic

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// toolJSON is an entry of the tools member. What a typed tool of Anthropic's own holds besides is kept raw.
type toolJSON struct {
	Type         *string                   `json:"type"`
	Name         string                    `json:"name"`
	Description  string                    `json:"description"`
	InputSchema  jsontext.Value            `json:"input_schema"`
	Strict       *bool                     `json:"strict"`
	CacheControl jsontext.Value            `json:"cache_control"`
	Ext          map[string]jsontext.Value `json:",embed"`
}

// readTools reads tools and tool_choice.
func readTools(req *canon.Request, o canon.Object) error {
	req.Tools = nil
	v := o.Get("tools")
	if notNull(v) != nil && v.Kind() != '[' {
		return apierror.Invalid("tools", "tools must be an array")
	}
	seen := map[string]bool{}
	if v.Kind() == '[' {
		err := elements(v, func(i int, e jsontext.Value) error {
			path := "tools[" + strconv.Itoa(i) + "]"
			t, err := readTool(e, path)
			if err != nil {
				return err
			}
			if t.Name != "" && seen[t.Name] {
				return apierror.Invalid(path+".name", "%s.name: the tool %q is there twice", path, t.Name)
			}
			seen[t.Name] = true
			req.Tools = append(req.Tools, t)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return readChoice(req, o, seen)
}

func readTool(v jsontext.Value, path string) (canon.Tool, error) {
	var t toolJSON
	if err := wire.ReadValue(v, path, &t); err != nil {
		return canon.Tool{}, err
	}
	cache, extra, err := readCache(t.CacheControl, path)
	if err != nil {
		return canon.Tool{}, err
	}
	out := canon.Tool{Kind: canon.ToolFunction, Name: t.Name, Description: t.Description, Strict: t.Strict, Raw: v, Cache: cache, Ext: t.Ext}
	if t.Type != nil && *t.Type != "custom" {
		out.Kind, out.ServerType, out.Ext = canon.ToolServer, *t.Type, nil
		return out, nil
	}
	if extra || t.Type != nil {
		if out.Ext == nil {
			out.Ext = map[string]jsontext.Value{}
		}
		if extra {
			out.Ext[cacheMember] = t.CacheControl
		}
		if t.Type != nil {
			out.Ext["type"] = jsontext.Value(`"custom"`)
		}
	}
	if t.Name == "" {
		return canon.Tool{}, apierror.Invalid(path+".name", "%s.name is required", path)
	}
	if s := notNull(t.InputSchema); s != nil {
		if s.Kind() != '{' {
			return canon.Tool{}, apierror.Invalid(path+".input_schema", "%s.input_schema must be an object", path)
		}
		out.Schema = s
	}
	return out, nil
}

func readChoice(req *canon.Request, o canon.Object, tools map[string]bool) error {
	var c struct {
		Type            string `json:"type"`
		Name            string `json:"name"`
		DisableParallel *bool  `json:"disable_parallel_tool_use"`
	}
	if err := wire.ReadMember(o, "tool_choice", &c); err != nil {
		return err
	}
	if c.DisableParallel != nil {
		parallel := !*c.DisableParallel
		req.Parallel = &parallel
	}
	switch c.Type {
	case "":
	case "auto":
		req.ToolChoice.Mode = canon.ChoiceAuto
	case "any":
		req.ToolChoice.Mode = canon.ChoiceRequired
	case "none":
		req.ToolChoice.Mode = canon.ChoiceNone
	case "tool":
		req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{c.Name}}
		if !tools[c.Name] {
			return apierror.Invalid("tool_choice.name", "tool_choice.name: %q is not among the tools", c.Name)
		}
	default:
		return apierror.Invalid("tool_choice.type", "tool_choice.type must be auto, any, tool or none")
	}
	return nil
}
