package ollama

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

type wireTool struct {
	Type     string                    `json:"type"`
	Function *wireFunction             `json:"function"`
	Ext      map[string]jsontext.Value `json:",embed"`
}

type wireFunction struct {
	Name        string                    `json:"name"`
	Description string                    `json:"description"`
	Parameters  jsontext.Value            `json:"parameters"`
	Ext         map[string]jsontext.Value `json:",embed"`
}

// readTools reads the functions that the model may call.
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
		if seen[t.Name] {
			return apierror.Invalid(path, "%s: there are two tools with the name %q", path, t.Name)
		}
		seen[t.Name] = true
		d.req.Tools = append(d.req.Tools, t)
	}
	return nil
}

func readTool(v jsontext.Value, path string) (canon.Tool, error) {
	var w wireTool
	if err := wire.ReadValue(v, path, &w); err != nil {
		return canon.Tool{}, err
	}
	f := w.Function
	switch {
	case w.Type != "function" && w.Type != "":
		return canon.Tool{}, apierror.Invalid(path+".type", "%s.type must be function", path)
	case f == nil:
		return canon.Tool{}, apierror.Invalid(path+".function", "%s.function is required", path)
	case f.Name == "":
		return canon.Tool{}, apierror.Invalid(path+".function.name", "%s.function.name is required", path)
	}
	t := canon.Tool{Kind: canon.ToolFunction, Name: f.Name, Description: f.Description, Raw: v}
	switch f.Parameters.Kind() {
	case '{':
		t.Schema = f.Parameters
	case 0, 'n':
	default:
		return t, apierror.Invalid(path+".function.parameters", "%s.function.parameters must be an object", path)
	}
	return t, nil
}
