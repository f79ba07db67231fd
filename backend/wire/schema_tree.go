package wire

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what the schema cleaners look at. What lies deeper stays as it is, or is cut where it must be cleaned.
const (
	maxSchemaDepth = 64
	maxSchemaBytes = 1 << 20
	maxSchemaNodes = 50_000 // that references may add
)

// node is a JSON value of a schema. Until it or something inside it is edited it is written as it came.
type node struct {
	kind         jsontext.Kind
	raw          jsontext.Value
	members      []nodeMember // of an object, in order
	elems        []*node      // of an array
	edited       bool
	opaque       bool // an object or array below maxSchemaDepth: only raw counts
	alternatives bool // an anyOf that mergeProperties made
}

type nodeMember struct {
	name  string
	value *node
}

// readSchema parses s if it is an object of a size that can be handled.
func readSchema(s jsontext.Value) (*node, bool) {
	if len(s) == 0 || len(s) > maxSchemaBytes || s.Kind() != '{' {
		return nil, false
	}
	r := nodeReader{src: s, d: jsontext.NewDecoder(bytes.NewBuffer(s), Lenient)}
	n, err := r.read(0)
	return n, err == nil
}

type nodeReader struct {
	src jsontext.Value
	d   *jsontext.Decoder
}

func (r *nodeReader) read(depth int) (*node, error) {
	n := &node{kind: r.d.PeekKind()}
	if n.kind != '{' && n.kind != '[' || depth > maxSchemaDepth {
		v, err := r.d.ReadValue()
		end := int(r.d.InputOffset())
		n.raw, n.opaque = r.src[end-len(v):end], n.kind == '{' || n.kind == '['
		return n, err
	}
	if _, err := r.d.ReadToken(); err != nil {
		return nil, err
	}
	start := int(r.d.InputOffset()) - 1
	for k := r.d.PeekKind(); k != '}' && k != ']'; k = r.d.PeekKind() {
		var name string
		if n.kind == '{' {
			t, err := r.d.ReadToken()
			if err != nil {
				return nil, err
			}
			name = t.String()
		}
		v, err := r.read(depth + 1)
		if err != nil {
			return nil, err
		}
		if n.kind == '{' {
			n.members = append(n.members, nodeMember{name, v})
		} else {
			n.elems = append(n.elems, v)
		}
	}
	if _, err := r.d.ReadToken(); err != nil {
		return nil, err
	}
	n.raw = r.src[start:r.d.InputOffset()]
	return n, nil
}

func newObject() *node { return &node{kind: '{', edited: true} }

func arrayNode(elems []*node) *node { return &node{kind: '[', elems: elems, edited: true} }

func stringNode(s string) *node { return &node{kind: '"', raw: AppendString(nil, s)} }

func literalNode(kind jsontext.Kind, raw string) *node {
	return &node{kind: kind, raw: jsontext.Value(raw)}
}

// bytes returns the JSON of n.
func (n *node) bytes() jsontext.Value {
	n.settle()
	return n.append(nil)
}

// settle marks everything that holds something edited.
func (n *node) settle() bool {
	for _, m := range n.members {
		if m.value.settle() {
			n.edited = true
		}
	}
	for _, e := range n.elems {
		if e.settle() {
			n.edited = true
		}
	}
	return n.edited
}

func (n *node) append(dst []byte) []byte {
	switch {
	case !n.edited:
		return append(dst, n.raw...)
	case n.kind == '{':
		dst = append(dst, '{')
		for i, m := range n.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, m.name), ':')
			dst = m.value.append(dst)
		}
		return append(dst, '}')
	default:
		dst = append(dst, '[')
		for i, e := range n.elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.append(dst)
		}
		return append(dst, ']')
	}
}

// same reports whether two nodes have the same JSON.
func (n *node) same(o *node) bool { return bytes.Equal(n.bytes(), o.bytes()) }

// clone copies n; *left counts down the nodes that may still be made. Once it is negative the copy is not to be used.
func (n *node) clone(left *int) *node {
	*left--
	if *left < 0 {
		return n
	}
	c := *n
	c.members = slices.Clone(n.members)
	for i := range c.members {
		c.members[i].value = c.members[i].value.clone(left)
	}
	c.elems = slices.Clone(n.elems)
	for i := range c.elems {
		c.elems[i] = c.elems[i].clone(left)
	}
	return &c
}

func (n *node) find(name string) int {
	for i := len(n.members) - 1; i >= 0; i-- { // the last of a repeated name counts
		if n.members[i].name == name {
			return i
		}
	}
	return -1
}

// get returns a member's value, nil if there is none.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	if i := n.find(name); i >= 0 {
		return n.members[i].value
	}
	return nil
}

func (n *node) hasAny(names ...string) bool {
	return slices.ContainsFunc(n.members, func(m nodeMember) bool { return slices.Contains(names, m.name) })
}

func (n *node) set(name string, v *node) {
	n.edited = true
	if i := n.find(name); i >= 0 {
		n.members[i].value = v
		return
	}
	n.members = append(n.members, nodeMember{name, v})
}

// prepend sets a member; a new one comes first.
func (n *node) prepend(name string, v *node) {
	if n.find(name) >= 0 {
		n.set(name, v)
		return
	}
	n.edited = true
	n.members = slices.Insert(n.members, 0, nodeMember{name, v})
}

func (n *node) remove(name string) {
	before := len(n.members)
	n.members = slices.DeleteFunc(n.members, func(m nodeMember) bool { return m.name == name })
	n.edited = n.edited || len(n.members) != before
}

// require adds a name to the list of required ones.
func (n *node) require(name string) {
	r := n.get("required")
	if r == nil || r.kind != '[' {
		n.set("required", arrayNode([]*node{stringNode(name)}))
		return
	}
	for _, e := range r.elems {
		if s, _ := e.text(); s == name {
			return
		}
	}
	r.elems, r.edited = append(r.elems, stringNode(name)), true
}

// text returns the text of a string.
func (n *node) text() (string, bool) {
	if n == nil || n.kind != '"' {
		return "", false
	}
	b, _ := jsontext.AppendUnquote(nil, n.raw) // valid: the decoder has read it, or we wrote it
	return string(b), true
}

// isType reports whether a schema names the type, alone or among others.
func (n *node) isType(name string) bool {
	t := n.get("type")
	if s, ok := t.text(); ok {
		return s == name
	}
	return t != nil && slices.ContainsFunc(t.elems, func(e *node) bool { s, _ := e.text(); return s == name })
}

// Where schemas stand inside a schema. Whatever is under another name is data, and the names inside a map are names:
// a property may be called title, default or $ref.
type holds uint8

const (
	holdsNone holds = iota
	holdsOne
	holdsMap
	holdsList
)

var schemaKeywords = map[string]holds{
	"properties": holdsMap, "patternProperties": holdsMap, "$defs": holdsMap, "definitions": holdsMap,
	"dependentSchemas": holdsMap, "dependencies": holdsMap,
	"anyOf": holdsList, "oneOf": holdsList, "allOf": holdsList, "prefixItems": holdsList,
	"items": holdsOne, "additionalItems": holdsOne, "additionalProperties": holdsOne, "unevaluatedItems": holdsOne,
	"unevaluatedProperties": holdsOne, "propertyNames": holdsOne, "contains": holdsOne, "contentSchema": holdsOne,
	"not": holdsOne, "if": holdsOne, "then": holdsOne, "else": holdsOne,
	"type": holdsNone, "enum": holdsNone, "const": holdsNone, "required": holdsNone, "title": holdsNone,
	"description": holdsNone, "default": holdsNone, "examples": holdsNone, "format": holdsNone, "pattern": holdsNone,
	"$ref": holdsNone, "$schema": holdsNone, "$id": holdsNone, "$comment": holdsNone,
}

// forSchemas calls f for the schemas that stand directly in a member of a schema.
func forSchemas(m nodeMember, f func(i int, sub *node)) {
	switch h := schemaKeywords[m.name]; {
	case h == holdsOne && m.value.kind == '[', h == holdsList: // items may be a list
		for i, e := range m.value.elems {
			f(i, e)
		}
	case h == holdsMap:
		for i, sub := range m.value.members {
			if sub.value.kind != '[' { // dependencies may list names
				f(i, sub.value)
			}
		}
	case h == holdsOne:
		f(-1, m.value)
	}
}

// eachSchema calls f for every schema directly inside n; what f returns takes its place. Members named in skip are left
// out.
func (n *node) eachSchema(f func(*node) *node, skip ...string) {
	for i := range n.members {
		m := n.members[i]
		if slices.Contains(skip, m.name) {
			continue
		}
		forSchemas(m, func(at int, sub *node) {
			now := f(sub)
			if now == sub {
				return
			}
			n.edited = true
			switch {
			case at < 0:
				n.members[i].value = now
			case m.value.kind == '[':
				m.value.elems[at], m.value.edited = now, true
			default:
				m.value.members[at].value, m.value.edited = now, true
			}
		})
	}
}
