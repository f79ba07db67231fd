package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"patchbay/backend/logging"
)

// decoder reads a parsed file into a Config and collects everything that is wrong with it.
type decoder struct {
	text  []byte
	where string
	file  bool           // secrets are refused
	lines map[string]int // where each setting stands
	errs  errorList
}

// decodeFile reads text over the defaults and returns the lines of the settings in it.
func decodeFile(where string, text []byte) (*Config, map[string]int, error) {
	d := &decoder{text: text, where: where, file: true, lines: map[string]int{}}
	root, err := parseText(where, text)
	if err != nil {
		return nil, nil, err
	}
	cfg := Default()
	if root != nil {
		d.node(root, reflect.ValueOf(cfg).Elem(), nil)
	}
	cfg.SchemaVersion = Version
	return cfg, d.lines, d.errs.join()
}

// parseText parses one YAML document; nil for one without content.
func parseText(where string, text []byte) (root ast.Node, err error) {
	defer func() { // a parser's fault must not end the program over a typing error
		if r := recover(); r != nil {
			root, err = nil, &Error{Where: where, Msg: fmt.Sprintf("this is not readable as YAML (%v)", r)}
		}
	}()
	if !utf8.Valid(text) {
		return nil, &Error{Where: where, Msg: "this is not UTF-8 text: save the file as UTF-8"}
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, syntaxError(where, text, err)
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, &Error{Where: where, Line: doc.Body.GetToken().Position.Line, Msg: "there is a second YAML document: remove the line ---"}
		}
		root = doc.Body
	}
	return root, nil
}

func syntaxError(where string, text []byte, err error) *Error {
	e := &Error{Where: where, Msg: "this is not readable as YAML"}
	if y, ok := errors.AsType[yaml.Error](err); ok {
		e.Msg = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			e.Line = t.Position.Line
			e.Excerpt = excerpt(text, e.Line, t.Position.Column)
		}
	}
	return e
}

// pairs returns the members of a mapping, ok false for other nodes.
func pairs(n ast.Node) (list []*ast.MappingValueNode, ok bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// scalarText returns the text of a scalar, ok false for other nodes.
func scalarText(n ast.Node) (text string, ok bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *decoder) fail(n ast.Node, path []string, format string, args ...any) {
	e := &Error{Key: strings.Join(path, "."), Msg: fmt.Sprintf(format, args...), Where: d.where}
	if t := n.GetToken(); t != nil && t.Position != nil && d.file {
		e.Line = t.Position.Line
		e.Excerpt = excerpt(d.text, e.Line, t.Position.Column)
	}
	d.errs = append(d.errs, e)
}

// node reads n into v.
func (d *decoder) node(n ast.Node, v reflect.Value, path []string) {
	switch n.(type) {
	case *ast.NullNode: // "name:" without a value says nothing
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.fail(n, path, "anchors, aliases and tags of YAML are not read here: write the value out")
		return
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path []string) {
	members, ok := pairs(n)
	if !ok {
		d.fail(n, path, "%s is expected here", describe(v.Type()))
		return
	}
	for _, m := range members {
		name, ok := scalarText(m.Key)
		if !ok || name == "" {
			d.fail(m.Key, path, "a name is expected before the colon")
			continue
		}
		at := append(path[:len(path):len(path)], name)
		d.lines[strings.Join(at, ".")] = m.Key.GetToken().Position.Line
		if v.Kind() == reflect.Struct {
			i := fieldNamed(v.Type(), name)
			if i < 0 {
				d.fail(m.Key, at, "%s", unknownMsg(name, v.Type()))
				continue
			}
			d.node(m.Value, v.Field(i), at)
			continue
		}
		if d.file && logging.SecretName(name) && len(path) > 0 && path[len(path)-1] == "headers" {
			d.fail(m.Key, at, "%s", secretHint(path))
			continue
		}
		entry := reflect.New(v.Type().Elem()).Elem()
		d.node(m.Value, entry, at)
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(name), entry)
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value, path []string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		// One value where a list is expected is a list of one.
		if _, ok := scalarText(n); !ok {
			d.fail(n, path, "a list is expected here")
			return
		}
		seq = &ast.SequenceNode{Values: []ast.Node{n}}
	}
	out := reflect.MakeSlice(v.Type(), 0, len(seq.Values))
	for _, item := range seq.Values {
		entry := reflect.New(v.Type().Elem()).Elem()
		d.node(item, entry, path)
		out = reflect.Append(out, entry)
	}
	v.Set(out)
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, path []string) {
	text, ok := scalarText(n)
	if !ok {
		d.fail(n, path, "a single value is expected here")
		return
	}
	if d.file && logging.LooksSecret(text) {
		d.fail(n, path, "%s", secretHint(path))
		return
	}
	val, err := parseLeaf(v.Type(), text)
	if err != nil {
		d.fail(n, path, "%v", err)
		return
	}
	v.Set(val)
}

// secretHint says where a secret belongs that was found at path.
func secretHint(path []string) string {
	const head = "this looks like a secret, which does not belong in config.yaml: "
	switch {
	case len(path) > 0 && path[0] == "database":
		return head + "give the password by PATCHBAY_DATABASE, or by PostgreSQL's own variables or password file"
	case len(path) > 1 && path[0] == "providers":
		return head + "remove it and run: patchbay accounts add " + path[1]
	default:
		return head + "remove it and run: patchbay accounts add PROVIDER"
	}
}

// unknownMsg names an unknown setting, and the one that was probably meant.
func unknownMsg(name string, t reflect.Type) string {
	if logging.SecretName(name) {
		return "there is no such setting, and a secret does not belong in config.yaml: remove it and run: patchbay accounts add PROVIDER"
	}
	best, dist := "", 3
	for _, known := range fieldNames(t) {
		if n := editDistance(strings.ToLower(name), known); n < dist {
			best, dist = known, n
		}
	}
	if best != "" {
		return fmt.Sprintf("there is no setting %q; did you mean %q?", name, best)
	}
	return fmt.Sprintf("there is no setting %q here; known are %s", name, strings.Join(fieldNames(t), ", "))
}

// editDistance counts the letters to change, add or remove between two short names.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, diag+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// parseValue reads the text of a setting that came from a flag, a variable or a page. Lists may be written with commas,
// lists and maps as YAML on one line.
func parseValue(t reflect.Type, text, where string, path []string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	if t.Kind() != reflect.Slice && t.Kind() != reflect.Map {
		val, err := parseLeaf(t, text)
		if err != nil {
			return v, &Error{Key: strings.Join(path, "."), Msg: err.Error(), Where: where}
		}
		return val, nil
	}
	if t.Kind() == reflect.Slice && !strings.HasPrefix(strings.TrimSpace(text), "[") {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				v.Set(reflect.Append(v, reflect.ValueOf(item)))
			}
		}
		return v, nil
	}
	d := &decoder{text: []byte(text), where: where, lines: map[string]int{}}
	root, err := parseText(where, d.text)
	if err != nil {
		return v, err
	}
	if root != nil {
		d.node(root, v, path)
	}
	return v, d.errs.join()
}

// normalText takes the byte order mark off and makes all line ends \n; crlf says what to restore.
func normalText(data []byte) (text []byte, crlf bool) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.Contains(data, []byte("\r\n")) {
		return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), true
	}
	return data, false
}
