package wire

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// geminiCleaner makes the Schema message of the Gemini API out of JSON schema. Any member that the message does not have
// is refused there (400 `Unknown name "..."`), so only known ones are written; what cannot be said becomes a hint in the
// description.
type geminiCleaner struct {
	left int // nodes that may still be written: branches repeat what stands beside them
}

func (c *geminiCleaner) clean(n *node, depth int) *node {
	c.left--
	if n.kind != '{' {
		return newObject() // true: anything
	}
	if n.opaque || depth > maxSchemaDepth || c.left < 0 {
		out := newObject()
		out.set("type", stringNode("OBJECT"))
		return out
	}
	mergeAll(n)
	b := geminiBuild{c: c, depth: depth, from: n, out: newObject()}
	if branches := b.branches(); len(branches) > 1 {
		return b.union(branches)
	}
	b.typ = b.pickType()
	if b.typ != "" {
		b.out.set("type", stringNode(b.typ))
	}
	for _, m := range slices.Clone(n.members) {
		b.member(m.name, m.value)
	}
	return b.finish()
}

// mergeAll folds allOf into n.
func mergeAll(n *node) {
	for range maxSchemaDepth {
		list := n.get("allOf")
		if list == nil {
			return
		}
		n.remove("allOf")
		for _, branch := range list.elems {
			if branch.kind == '{' {
				mergeAll(branch)
				mergeBranch(n, branch, true)
			}
		}
	}
}

type geminiBuild struct {
	c        *geminiCleaner
	depth    int
	from     *node
	out      *node
	typ      string
	nullable bool
	hints    []string
}

// branches takes anyOf and oneOf out of the schema and returns what is left to choose from. A branch for null makes the
// schema nullable; a single branch, and the branches of an object with properties, are folded into it.
func (b *geminiBuild) branches() []*node {
	n := b.from
	var list []*node
	for _, keyword := range [...]string{"anyOf", "oneOf"} {
		if l := n.get(keyword); l != nil {
			list = append(list, l.elems...)
			n.remove(keyword)
		}
	}
	list = slices.DeleteFunc(list, func(e *node) bool {
		t, _ := e.get("type").text()
		b.nullable = b.nullable || t == "null"
		return t == "null" || e.kind != '{'
	})
	if props := n.get("properties"); props != nil && len(props.members) > 0 || len(list) == 1 {
		for _, branch := range list {
			mergeAll(branch)
			mergeBranch(n, branch, len(list) == 1)
		}
		if len(list) == 1 && n.hasAny("anyOf", "oneOf", "allOf") { // that branch had branches of its own
			mergeAll(n)
			return b.branches()
		}
		return nil
	}
	return list
}

// union writes anyOf alone: "When using any_of, it must be the only field set". What stands beside the branches holds
// for each of them.
func (b *geminiBuild) union(branches []*node) *node {
	var list []*node
	for _, branch := range branches {
		whole := newObject()
		whole.members = slices.Clone(branch.members)
		for _, m := range b.from.members {
			if whole.get(m.name) == nil {
				whole.set(m.name, m.value)
			}
		}
		if b.nullable {
			whole.set("nullable", literalNode('t', "true"))
		}
		list = append(list, b.c.clean(whole, b.depth+1))
	}
	b.out.set("anyOf", arrayNode(list))
	return b.out
}

// pickType returns the one type of the schema in upper case: the first that is not null, or what its members imply.
func (b *geminiBuild) pickType() string {
	if b.from.hasAny("enum", "const") {
		if t := b.from.get("type"); t != nil && t.kind == '[' && b.from.isType("null") {
			b.nullable = true
		}
		return "STRING"
	}
	t := b.from.get("type")
	if s, ok := t.text(); ok {
		return strings.ToUpper(s)
	}
	if t != nil {
		first := ""
		for _, e := range t.elems {
			s, _ := e.text()
			if s == "null" {
				b.nullable = true
			} else if first == "" {
				first = strings.ToUpper(s)
			}
		}
		if first == "" && b.nullable {
			return "NULL"
		}
		if first != "" {
			return first
		}
	}
	switch {
	case b.from.hasAny("properties", "$ref"):
		return "OBJECT"
	case b.from.hasAny("items", "prefixItems"):
		return "ARRAY"
	default:
		return ""
	}
}

// member writes one member of the schema in the message's form, or as a hint.
func (b *geminiBuild) member(name string, v *node) {
	switch name {
	case "title", "description", "pattern":
		if v.kind == '"' {
			b.out.set(name, v)
		}
	case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties":
		if v.kind == '0' {
			b.out.set(name, v)
		}
	case "default", "example":
		if b.typ == "STRING" && (v.kind == '0' || v.kind == 't' || v.kind == 'f') {
			v = stringNode(string(v.raw))
		}
		b.out.set(name, v)
	case "propertyOrdering":
		if v.kind == '[' {
			b.out.set(name, v)
		}
	case "nullable":
		b.nullable = b.nullable || v.kind == 't'
	case "enum", "const":
		b.enum(name, v)
	case "format":
		b.format(v)
	case "items", "prefixItems":
		b.items(name, v)
	case "properties":
		b.properties(v)
	case "required":
		b.required(v)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		b.bound(name, v)
	default:
		b.hint(name, v)
	}
}

// enum writes the allowed values as strings.
func (b *geminiBuild) enum(name string, v *node) {
	values := v.elems
	if name == "const" {
		if b.from.get("enum") != nil {
			return
		}
		values = []*node{v}
	}
	var list []*node
	for _, e := range values {
		switch e.kind {
		case 'n':
			b.nullable = true
		case '"':
			list = append(list, e)
		default:
			list = append(list, stringNode(string(Compact(e.bytes()))))
		}
	}
	if len(list) > 0 {
		b.out.set("enum", arrayNode(list))
	}
}

// geminiFormats are the formats that each type knows.
var geminiFormats = map[string][]string{
	"STRING": {"enum", "date-time"}, "NUMBER": {"float", "double"}, "INTEGER": {"int32", "int64"},
}

func (b *geminiBuild) format(v *node) {
	f, ok := v.text()
	switch {
	case !ok:
	case slices.Contains(geminiFormats[b.typ], f):
		b.out.set("format", v)
	default:
		b.addHint("format " + f)
	}
}

// items writes what an array holds; a list of schemas by position becomes a choice of them.
func (b *geminiBuild) items(name string, v *node) {
	if name == "prefixItems" && b.from.get("items") != nil && b.from.get("items").kind == '{' || b.out.get("items") != nil {
		return
	}
	switch {
	case v.kind == '{':
		b.out.set("items", b.c.clean(v, b.depth+1))
	case len(v.elems) == 1:
		b.out.set("items", b.c.clean(v.elems[0], b.depth+1))
	case len(v.elems) > 1:
		either := newObject()
		either.set("anyOf", arrayNode(v.elems))
		b.out.set("items", b.c.clean(either, b.depth+1))
		b.addHint("a tuple of " + strconv.Itoa(len(v.elems)))
	}
}

func (b *geminiBuild) properties(v *node) {
	out := newObject()
	for _, m := range v.members {
		out.set(m.name, b.c.clean(m.value, b.depth+1))
	}
	b.out.set("properties", out)
}

func (b *geminiBuild) required(v *node) {
	props := b.from.get("properties")
	var keep []*node
	for _, e := range v.elems {
		if name, ok := e.text(); ok && props.get(name) != nil {
			keep = append(keep, e)
		}
	}
	if len(keep) > 0 {
		b.out.set("required", arrayNode(keep))
	}
}

// zodBound is the largest integer of JavaScript, which zod writes as a bound of every integer: it says nothing, and is
// refused.
const zodBound = 1<<53 - 1

// bound writes a limit of a number. Open limits do not exist: an integer's moves by one, another number's closes.
func (b *geminiBuild) bound(name string, v *node) {
	if v.kind != '0' {
		return // draft 4: true beside minimum, see openBound
	}
	target, open := "minimum", strings.HasPrefix(name, "exclusive")
	step := int64(1)
	if strings.HasSuffix(strings.ToLower(name), "maximum") {
		target, step = "maximum", -1
	}
	if flag := b.from.get("exclusiveM" + target[1:]); flag != nil && flag.kind == 't' {
		open = true
	}
	whole, err := strconv.ParseInt(string(v.raw), 10, 64)
	if err == nil && (whole >= zodBound || whole <= -zodBound) {
		return
	}
	if open && b.typ == "INTEGER" && err == nil {
		v = literalNode('0', strconv.FormatInt(whole+step, 10))
	}
	if have := b.out.get(target); have != nil && !tighter(v, have, step) {
		return
	}
	b.out.set(target, v)
}

// tighter reports whether the limit a says more than b; step is 1 for lower limits.
func tighter(a, b *node, step int64) bool {
	x, errX := strconv.ParseFloat(string(a.raw), 64)
	y, errY := strconv.ParseFloat(string(b.raw), 64)
	return errX == nil && errY == nil && (x-y)*float64(step) > 0
}

// hint says in words what the message has no member for.
func (b *geminiBuild) hint(name string, v *node) {
	switch name {
	case "additionalProperties":
		if v.kind == 'f' {
			b.addHint("no extra properties")
		}
	case "uniqueItems":
		if v.kind == 't' {
			b.addHint("no item twice")
		}
	case "multipleOf":
		b.addHint("a multiple of " + string(v.raw))
	case "not":
		b.addHint("not " + excerpt(v))
	case "contains":
		b.addHint("contains " + excerpt(v))
	case "propertyNames":
		b.addHint("property names: " + excerpt(v))
	case "examples":
		b.addHint("examples: " + excerpt(v))
	case "$ref":
		b.addHint("see " + excerpt(v))
	case "if":
		b.addHint("if " + excerpt(v) + " then " + excerpt(b.from.get("then")) + " else " + excerpt(b.from.get("else")))
	case "patternProperties":
		for _, m := range v.members {
			b.addHint("property names may match " + m.name)
		}
	}
}

// excerpt returns a value as text that is short enough for a description.
func excerpt(v *node) string {
	if v == nil {
		return "nothing"
	}
	s := string(Compact(jsontext.Value(v.bytes())))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}

func (b *geminiBuild) addHint(s string) { b.hints = append(b.hints, s) }

// finish adds what goes with the members: the hints, nullable, and the items that an array must have.
func (b *geminiBuild) finish() *node {
	if b.typ == "ARRAY" && b.out.get("items") == nil { // 400 "items: missing field"
		text := newObject()
		text.set("type", stringNode("STRING"))
		b.out.set("items", text)
	}
	if b.nullable && b.typ != "NULL" {
		b.out.set("nullable", literalNode('t', "true"))
	}
	at := 0
	if b.typ != "" {
		at = 1 // after the type
	}
	describe(b.out, b.hints, at)
	return b.out
}
