package wire

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// AssistSchema says how a schema must look for Google's Code Assist service, which takes fewer members than the Gemini API
// and no branches. What it does not take becomes a hint in the description. As CLIProxyAPI's cleaners for this service have
// it (2026-08).
type AssistSchema struct {
	// Nullable says null as "nullable": true. Otherwise it is a hint, and the property is not required.
	Nullable bool
	// NoEnums leaves out the lists of allowed values, NoBounds the limits of numbers, each with a hint.
	NoEnums, NoBounds bool
	// Closed keeps "additionalProperties": false.
	Closed bool
	// Placeholders gives every object the required property that the mode VALIDATED wants; see StripPlaceholders.
	Placeholders bool
}

// Texts by which placeholders are known again.
const (
	placeholderReason = "Why this function is called (added by Patchbay)"
	placeholderFlag   = "Always true (added by Patchbay)"
)

// SchemaForAssist returns s in the form that Code Assist takes.
func SchemaForAssist(s jsontext.Value, o AssistSchema) jsontext.Value {
	n, ok := readSchema(s)
	if !ok {
		n, _ = readSchema(jsontext.Value(emptySchema))
	}
	n, _ = inlineRefs(repairRoot(n), s)
	c := assistCleaner{o: o, left: maxSchemaNodes}
	out, _ := c.clean(n, 0)
	return out.bytes()
}

type assistCleaner struct {
	o    AssistSchema
	left int
}

// assistBuild is one schema on its way.
type assistBuild struct {
	c     *assistCleaner
	depth int
	from  *node
	out   *node
	null  bool
	hints []string
}

// clean returns the schema, and whether null is allowed.
func (c *assistCleaner) clean(n *node, depth int) (out *node, null bool) {
	c.left--
	if n.kind != '{' || n.opaque || depth > maxSchemaDepth || c.left < 0 {
		out = newObject()
		if n.kind == '{' {
			out.set("type", stringNode("object"))
		} else {
			out.set("type", stringNode("string")) // true: anything
		}
		return out, false
	}
	b := assistBuild{c: c, depth: depth, from: n, out: newObject()}
	mergeAll(n)
	b.conditions()
	b.branches()
	b.typ()
	if d, ok := n.get("description").text(); ok && d != "" {
		b.out.set("description", n.get("description"))
	}
	b.values()
	if v := n.get("items"); v != nil || b.out.isType("array") {
		b.items(v)
	}
	if b.out.isType("object") {
		p := n.get("properties")
		if p == nil || p.kind != '{' {
			p = newObject()
		}
		b.properties(p)
	}
	b.bounds()
	b.note()
	b.finish()
	return b.out, b.null
}

// conditions folds then and else into the schema: what they add may be there.
func (b *assistBuild) conditions() {
	for _, keyword := range [...]string{"then", "else"} {
		if branch := b.from.get(keyword); branch != nil && branch.kind == '{' {
			mergeAll(branch)
			if p := branch.get("properties"); p != nil && p.kind == '{' {
				own := b.from.get("properties")
				if own == nil {
					own = newObject()
					b.from.set("properties", own)
				}
				for _, m := range p.members {
					if own.get(m.name) == nil {
						own.set(m.name, m.value)
					}
				}
			}
		}
	}
}

// branches takes the best of anyOf and oneOf: an object before an array before anything else. The branches of an object
// with properties of its own are folded into it.
func (b *assistBuild) branches() {
	var list []*node
	for _, keyword := range [...]string{"anyOf", "oneOf"} {
		if l := b.from.get(keyword); l != nil {
			list = append(list, l.elems...)
			b.from.remove(keyword)
		}
	}
	list = slices.DeleteFunc(list, func(e *node) bool {
		t, _ := e.get("type").text()
		b.null = b.null || t == "null"
		return t == "null" || e.kind != '{'
	})
	if len(list) == 0 {
		return
	}
	for _, e := range list {
		mergeAll(e)
	}
	if props := b.from.get("properties"); props != nil && len(props.members) > 0 {
		for _, e := range list {
			mergeBranch(b.from, e, len(list) == 1)
		}
		return
	}
	best := list[0]
	rank := func(e *node) int {
		switch {
		case e.isType("object") || e.get("properties") != nil:
			return 2
		case e.isType("array") || e.get("items") != nil:
			return 1
		}
		return 0
	}
	var kinds []string
	for _, e := range list {
		if rank(e) > rank(best) {
			best = e
		}
		if k := kindOf(e); k != "" && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) > 1 {
		b.hints = append(b.hints, "Accepts: "+strings.Join(kinds, " | "))
	}
	mergeBranch(b.from, best, true)
	if b.from.hasAny("anyOf", "oneOf", "allOf") { // it had branches of its own
		mergeAll(b.from)
		b.branches()
	}
}

func kindOf(n *node) string {
	if s, ok := n.get("type").text(); ok {
		return s
	}
	switch {
	case n.get("properties") != nil:
		return "object"
	case n.get("items") != nil:
		return "array"
	}
	return ""
}

// typ writes the one type of the schema.
func (b *assistBuild) typ() {
	t := b.from.get("type")
	name, ok := t.text()
	if !ok && t != nil {
		var kinds []string
		for _, e := range t.elems {
			if s, _ := e.text(); s == "null" {
				b.null = true
			} else if s != "" {
				kinds = append(kinds, s)
			}
		}
		if len(kinds) > 0 {
			name = kinds[0]
		}
		if len(kinds) > 1 {
			b.hints = append(b.hints, "Accepts: "+strings.Join(kinds, " | "))
		}
	}
	if name == "null" {
		b.null, name = true, ""
	}
	if name == "" {
		if name = kindOf(b.from); name == "" {
			name = "string"
		}
	}
	b.out.set("type", stringNode(name))
}

// values writes the allowed values as strings, as the service wants them; for another type than string a hint must do.
func (b *assistBuild) values() {
	list := b.from.get("enum")
	if v := b.from.get("const"); v != nil && list == nil {
		list = arrayNode([]*node{v})
	}
	if list == nil || list.kind != '[' || len(list.elems) == 0 {
		return
	}
	var texts []string
	var nodes []*node
	for _, e := range list.elems {
		switch s, ok := e.text(); {
		case e.kind == 'n':
			b.null = true
		case ok && s != "":
			texts, nodes = append(texts, s), append(nodes, e)
		case ok:
		default:
			s = string(Compact(e.bytes()))
			texts, nodes = append(texts, s), append(nodes, stringNode(s))
		}
	}
	if len(texts) > 0 && len(texts) <= maxHintedValues {
		b.hints = append(b.hints, "Allowed: "+strings.Join(texts, ", "))
	}
	if len(nodes) > 0 && !b.c.o.NoEnums && b.out.isType("string") {
		b.out.set("enum", arrayNode(nodes))
	}
}

const maxHintedValues = 10

func (b *assistBuild) items(v *node) {
	switch {
	case v != nil && v.kind == '[' && len(v.elems) > 0:
		v = v.elems[0]
	case v == nil && len(elemsOf(b.from.get("prefixItems"))) > 0:
		v = b.from.get("prefixItems").elems[0]
	case v == nil || v.kind != '{':
		v = newObject()
		v.set("type", stringNode("string"))
	}
	if !b.out.isType("array") {
		return
	}
	out, _ := b.c.clean(v, b.depth+1)
	b.out.set("items", out)
}

func elemsOf(n *node) []*node {
	if n == nil {
		return nil
	}
	return n.elems
}

// properties writes the properties, and which of them are required.
func (b *assistBuild) properties(p *node) {
	props := newObject()
	optional := map[string]bool{}
	for _, m := range p.members {
		out, null := b.c.clean(m.value, b.depth+1)
		optional[m.name] = null && !b.c.o.Nullable
		props.set(m.name, out)
	}
	var required []*node
	for _, e := range elemsOf(b.from.get("required")) {
		if name, ok := e.text(); ok && props.get(name) != nil && !optional[name] {
			required = append(required, e)
		}
	}
	if b.c.o.Placeholders && len(required) == 0 && (len(props.members) == 0 || b.depth > 0) {
		required = append(required, placeholder(props))
	}
	b.out.set("properties", props)
	if len(required) > 0 {
		b.out.set("required", arrayNode(required))
	}
}

// placeholder adds the property that VALIDATED wants of an object that demands nothing.
func placeholder(props *node) *node {
	name, kind, text := "reason", "string", placeholderReason
	if len(props.members) > 0 {
		name, kind, text = "_", "boolean", placeholderFlag
	}
	one := newObject()
	one.set("type", stringNode(kind))
	one.set("description", stringNode(text))
	props.set(name, one)
	return stringNode(name)
}

func (b *assistBuild) bounds() {
	for _, name := range [...]string{"minimum", "maximum"} {
		v := b.from.get(name)
		switch {
		case v == nil || v.kind != '0' || isZodBound(v):
		case b.c.o.NoBounds:
			b.hints = append(b.hints, name+": "+string(v.raw))
		default:
			b.out.set(name, v)
		}
	}
}

func isZodBound(n *node) bool {
	s := strings.TrimPrefix(string(n.raw), "-")
	return s == "9007199254740991"
}

// hinted are the members that become words.
var hinted = []string{"minLength", "maxLength", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minItems", "maxItems", "uniqueItems", "format", "default",
	"examples", "multipleOf", "not", "$ref"}

// note says in words what has no member.
func (b *assistBuild) note() {
	for _, m := range b.from.members {
		switch {
		case m.name == "additionalProperties" && m.value.kind == 'f' && b.c.o.Closed && b.out.isType("object"):
			b.out.set(m.name, m.value)
		case m.name == "additionalProperties" && m.value.kind == 'f':
			b.hints = append(b.hints, "No extra properties allowed")
		case slices.Contains(hinted, m.name) && !(m.value.kind == '0' && isZodBound(m.value)):
			text, ok := m.value.text()
			if !ok || len(text) > 200 {
				text = excerpt(m.value)
			}
			b.hints = append(b.hints, m.name+": "+text)
		}
	}
}

func (b *assistBuild) finish() {
	switch {
	case b.null && b.c.o.Nullable:
		b.out.set("nullable", literalNode('t', "true"))
	case b.null:
		b.hints = append(b.hints, "nullable")
	}
	describe(b.out, b.hints, 1)
}

// describe puts hints into a description; a new one comes at the given place among the members.
func describe(out *node, hints []string, at int) {
	if len(hints) == 0 {
		return
	}
	text := strings.Join(hints, "; ")
	if own, ok := out.get("description").text(); ok && own != "" {
		out.set("description", stringNode(own+" ("+text+")"))
		return
	}
	out.remove("description")
	out.members = slices.Insert(out.members, min(at, len(out.members)), nodeMember{"description", stringNode(text)})
}

// StripPlaceholders takes the placeholders that SchemaForAssist put into a schema out of arguments that were made for it.
func StripPlaceholders(args, schema jsontext.Value) jsontext.Value {
	if !strings.Contains(string(schema), placeholderReason) && !strings.Contains(string(schema), placeholderFlag) {
		return args
	}
	v, ok := readSchema(args) // any JSON object reads as one
	s, ok2 := readSchema(schema)
	if !ok || !ok2 {
		return args
	}
	stripPlaceholders(v, s)
	return v.bytes()
}

func stripPlaceholders(v, schema *node) {
	if v == nil || schema == nil {
		return
	}
	for _, e := range v.elems {
		stripPlaceholders(e, schema.get("items"))
	}
	props := schema.get("properties")
	if v.kind != '{' || props == nil {
		return
	}
	for _, m := range slices.Clone(v.members) {
		text, _ := props.get(m.name).get("description").text()
		if text == placeholderReason || text == placeholderFlag {
			v.remove(m.name)
			continue
		}
		stripPlaceholders(m.value, props.get(m.name))
	}
}
