package transfer

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A settings file in YAML is written by a person and is small. The bounds keep the parser, which works in depth, from
// being sent into a depth that nobody means.
const (
	maxYAML     = 256 << 10
	maxYAMLLine = 16 << 10
	maxYAMLDeep = 100
)

// fromYAML recognises the settings of CLIProxyAPI.
func fromYAML(f *finding) {
	doc, err := readYAML(f.Data)
	if err != nil {
		f.why = err.Error()
		return
	}
	if !doc.hasAny("api-keys", "auth-dir", "gemini-api-key", "claude-api-key", "codex-api-key", "openai-compatibility", "remote-management", "proxy-url") {
		f.why = "its form is not known: " + memberList(doc)
		return
	}
	f.form, f.doc = formProxy, doc
}

// readYAML reads an object. Its errors name the line and quote nothing: there are keys in such files.
func readYAML(data []byte) (object, error) {
	if len(data) > maxYAML {
		return object{}, errors.New("it is larger than any settings file")
	}
	deep := 0
	for n, line := range bytes.Split(data, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.IndexByte(indent, '\t') >= 0 && len(bytes.TrimSpace(line)) > 0 {
			return object{}, fmt.Errorf("line %d begins with a tab, which YAML does not allow; put spaces in its place", n+1)
		}
		if len(line) > maxYAMLLine || len(indent) > maxYAMLDeep {
			return object{}, fmt.Errorf("line %d is longer or deeper than any in a settings file", n+1)
		}
		if deep += bytes.Count(line, []byte("[")) + bytes.Count(line, []byte("{")) - bytes.Count(line, []byte("]")) - bytes.Count(line, []byte("}")); deep > maxYAMLDeep {
			return object{}, fmt.Errorf("line %d is longer or deeper than any in a settings file", n+1)
		}
		if bytes.Count(line, []byte("- "))+bytes.Count(line, []byte("? ")) > maxYAMLDeep || bytes.Count(line, []byte("[")) > maxYAMLDeep || bytes.Count(line, []byte("{")) > maxYAMLDeep {
			return object{}, fmt.Errorf("line %d is longer or deeper than any in a settings file", n+1)
		}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return object{}, yamlError(err)
	}
	if len(file.Docs) != 1 {
		return object{}, errors.New("it holds more than one document, or none")
	}
	// An alias stands for a part of the file as often as it likes: a small file can mean a gigantic one.
	if len(ast.Filter(ast.AliasType, file.Docs[0])) > 0 {
		return object{}, errors.New("it uses references of YAML (*name), which are not read here; write the values out")
	}
	var v any
	if err := yaml.NodeToValue(file.Docs[0].Body, &v); err != nil {
		return object{}, yamlError(err)
	}
	o, ok := objectOf(compact(jsonable(v)))
	if !ok {
		return object{}, errors.New("it holds no settings (name: value)")
	}
	return o, nil
}

// jsonable makes the names of all members text, as JSON has them.
func jsonable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, in := range v {
			v[k] = jsonable(in)
		}
	case map[any]any:
		out := map[string]any{}
		for k, in := range v {
			out[fmt.Sprint(k)] = jsonable(in)
		}
		return out
	case []any:
		for i, in := range v {
			v[i] = jsonable(in)
		}
	}
	return v
}

func yamlError(err error) error {
	line := 0
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil && e.GetToken().Position != nil {
		line = e.GetToken().Position.Line
	}
	if line == 0 {
		return errors.New("it is no YAML; look for a wrong indentation or a missing quote")
	}
	return fmt.Errorf("it is no YAML: look at line %d for a wrong indentation or a missing quote", line)
}
