package gemini

import (
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// readTools reads the tools in the order of the client, and checks what the choice names.
func readTools(req *canon.Request) error {
	var entries oneOrMany[toolJSON]
	if err := readMember(req.Body, "tools", &entries); err != nil {
		return err
	}
	req.Tools = nil
	seen := map[string]bool{}
	for i := range entries {
		path := "tools[" + strconv.Itoa(i) + "]"
		for j, raw := range entries[i].Declarations {
			t, err := readDeclaration(raw, path+".functionDeclarations["+strconv.Itoa(j)+"]")
			if err != nil {
				return err
			}
			if seen[t.Name] {
				return invalid(path+".functionDeclarations["+strconv.Itoa(j)+"].name", "%q is declared twice", t.Name)
			}
			seen[t.Name] = true
			req.Tools = append(req.Tools, t)
		}
		ext := camelKeys(entries[i].Ext)
		for _, name := range slices.Sorted(maps.Keys(ext)) {
			w := writer{}
			w.open('{')
			w.raw(name, ext[name])
			w.close('}')
			req.Tools = append(req.Tools, canon.Tool{Kind: canon.ToolServer, ServerType: name, Raw: w.b})
		}
	}
	for i, name := range req.ToolChoice.Names {
		if !seen[name] {
			return invalid("toolConfig.functionCallingConfig.allowedFunctionNames["+strconv.Itoa(i)+"]", "names %q, which is not among the tools", name)
		}
	}
	return nil
}

func readDeclaration(raw jsontext.Value, path string) (canon.Tool, error) {
	var d declarationJSON
	if err := readValue(raw, path, &d); err != nil {
		return canon.Tool{}, err
	}
	t := canon.Tool{Kind: canon.ToolFunction, Name: d.Name, Description: d.Description, Raw: raw, Ext: camelKeys(d.Ext)}
	if d.Name == "" {
		return t, invalid(path+".name", "must not be empty")
	}
	name, schema := "parametersJsonSchema", d.JSONSchema
	if !present(schema) {
		name, schema = "parameters", d.Parameters
	}
	if present(schema) {
		if schema.Kind() != '{' {
			return t, invalid(path+"."+name, "must be a JSON schema")
		}
		t.Schema = wire.RepairSchema(schema)
	}
	return t, nil
}
