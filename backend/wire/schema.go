package wire

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const emptySchema = `{"type":"object","properties":{}}`

// RepairSchema mends what is no JSON schema of an object: a missing one becomes the empty object, a bare map of
// properties is wrapped, an object gets its properties and a list of required names that exist, types in upper case are
// lowered. A schema that needs none of it comes back as it is.
func RepairSchema(s jsontext.Value) jsontext.Value {
	n, ok := readSchema(s)
	if !ok {
		return fallbackSchema(s)
	}
	return repairRoot(n).bytes()
}

// SchemaForClaude returns s in the form that Anthropic takes for tools: an object at the root without anyOf, oneOf or
// allOf there. References inside the schema are replaced by what they name.
func SchemaForClaude(s jsontext.Value) jsontext.Value {
	n, ok := readSchema(s)
	if !ok {
		return fallbackSchema(s)
	}
	n, _ = inlineRefs(repairRoot(n), s)
	objectRoot(n)
	return n.bytes()
}

// SchemaForOpenAI returns s in the form that OpenAI takes, and whether strict may be asked: every object closed and every
// property required. Where that is not so, the request must go out without strict instead of being refused.
func SchemaForOpenAI(s jsontext.Value, strict bool) (out jsontext.Value, strictOK bool) {
	n, ok := readSchema(s)
	if !ok {
		return fallbackSchema(s), false
	}
	n = repairRoot(n)
	n.remove("$schema")
	if strict && meetsStrict(n, 0) && n.isType("object") { // references are allowed there, also recursive ones
		return n.bytes(), true
	}
	n, _ = inlineRefs(n, s)
	n.remove("$schema")
	objectRoot(n)
	// OpenAI: "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level"
	n.remove("enum")
	n.remove("not")
	return n.bytes(), strict && meetsStrict(n, 0) && n.isType("object")
}

// SchemaForGemini returns s in the form that Gemini's own Schema message takes (strict): only the members which that has,
// types in upper case. Otherwise it returns JSON schema without references and without $schema, $id and $comment.
func SchemaForGemini(s jsontext.Value, strict bool) jsontext.Value {
	n, ok := readSchema(s)
	if !ok {
		n, _ = readSchema(jsontext.Value(emptySchema))
	}
	n, _ = inlineRefs(repairRoot(n), s)
	if strict {
		c := geminiCleaner{left: maxSchemaNodes}
		return c.clean(n, 0).bytes()
	}
	removeAnnotations(n)
	return n.bytes()
}

// fallbackSchema is for what cannot be read: nothing at all, no JSON, no object, or far too large to be touched.
func fallbackSchema(s jsontext.Value) jsontext.Value {
	if len(s) > maxSchemaBytes && s.Kind() == '{' {
		return s
	}
	return jsontext.Value(emptySchema)
}

func removeAnnotations(n *node) *node {
	if n.kind != '{' {
		return n
	}
	for _, name := range [...]string{"$schema", "$id", "$comment"} {
		n.remove(name)
	}
	n.eachSchema(removeAnnotations)
	return n
}

// repairRoot mends the whole schema and makes sure that its root says what it is.
func repairRoot(n *node) *node {
	if bareProperties(n) {
		wrapped := newObject()
		wrapped.set("type", stringNode("object"))
		wrapped.set("properties", n)
		n = wrapped
	}
	if t := n.get("type"); t != nil && t.kind == 'n' {
		n.remove("type")
	}
	if n.get("type") == nil && !n.hasAny("$ref", "anyOf", "oneOf", "allOf", "enum", "const", "items", "not") {
		n.prepend("type", stringNode("object"))
	}
	return repairNode(n)
}

// bareProperties reports whether n is a map of properties that stands where a schema should: all its values are schemas,
// and one of its names means nothing in a schema.
func bareProperties(n *node) bool {
	if len(n.members) == 0 {
		return false
	}
	strange := false
	for _, m := range n.members {
		if !looksLikeSchema(m.value) {
			return false
		}
		_, isKeyword := schemaKeywords[m.name]
		// "type", "title" or "description" with a schema as value can only be a property's name
		strange = strange || !isKeyword || slices.Contains(scalarKeywords, m.name)
	}
	return strange
}

var scalarKeywords = []string{"type", "title", "description", "format", "pattern", "$ref", "required"}

func looksLikeSchema(n *node) bool {
	if n.kind != '{' {
		return false
	}
	if t := n.get("type"); t != nil {
		return t.kind == '"' || t.kind == '['
	}
	return n.hasAny("$ref", "anyOf", "oneOf", "allOf", "enum", "const", "properties", "items", "description")
}

// repairNode mends one schema and those inside it.
func repairNode(n *node) *node {
	if n.kind != '{' || n.opaque {
		return n
	}
	lowerTypes(n)
	if p := n.get("properties"); p != nil && p.kind != '{' {
		n.set("properties", newObject()) // null, or the empty array that PHP makes of an empty map
	}
	if n.get("properties") == nil && n.isType("object") {
		n.set("properties", newObject())
	}
	liftRequired(n)
	pruneRequired(n)
	n.eachSchema(repairNode)
	return n
}

// jsonTypes are the types of JSON schema.
var jsonTypes = []string{"string", "number", "integer", "boolean", "array", "object", "null"}

func lowerTypes(n *node) {
	t := n.get("type")
	if t == nil {
		return
	}
	if low, changed := lowerType(t); changed {
		n.set("type", low)
	}
	for i, e := range t.elems {
		if low, changed := lowerType(e); changed {
			t.elems[i], t.edited = low, true
		}
	}
}

func lowerType(t *node) (*node, bool) {
	s, ok := t.text()
	if !ok {
		return nil, false
	}
	low := strings.ToLower(s)
	if low == s || !slices.Contains(jsonTypes, low) {
		return nil, false
	}
	return stringNode(low), true
}

// liftRequired turns "required": true on a property, as draft 3 has it, into an entry of the object's own list.
func liftRequired(n *node) {
	props := n.get("properties")
	if props == nil {
		return
	}
	for _, m := range props.members {
		r := m.value.get("required")
		if r == nil || r.kind != 't' && r.kind != 'f' {
			continue
		}
		m.value.remove("required")
		if r.kind == 't' {
			n.require(m.name)
		}
	}
}

// pruneRequired takes names out of the list of required ones that are no property. Where the properties may stand
// elsewhere, in a branch or behind a reference, the list stays.
func pruneRequired(n *node) {
	r := n.get("required")
	if r == nil {
		return
	}
	if r.kind != '[' {
		if r.kind != 't' && r.kind != 'f' { // booleans belong to the parent, see liftRequired
			n.remove("required")
		}
		return
	}
	props := n.get("properties")
	if props == nil || n.hasAny("$ref", "anyOf", "oneOf", "allOf") {
		return
	}
	keep := slices.DeleteFunc(slices.Clone(r.elems), func(e *node) bool {
		name, ok := e.text()
		return !ok || props.get(name) == nil
	})
	switch {
	case len(keep) == len(r.elems):
	case len(keep) == 0:
		n.remove("required")
	default:
		n.set("required", arrayNode(keep))
	}
}

// objectRoot makes the root an object without branches, as function tools want it.
func objectRoot(n *node) {
	mergeBranches(n, 0)
	if t := n.get("type"); t == nil || t.kind == '[' && n.isType("object") {
		n.prepend("type", stringNode("object"))
	}
	if n.isType("object") && n.get("properties") == nil {
		n.set("properties", newObject())
	}
}

// mergeBranches folds allOf, anyOf and oneOf into the object n: the properties of all branches are its own then. Names
// that a branch requires stay required only if all branches hold at once.
func mergeBranches(n *node, depth int) {
	if depth > maxSchemaDepth || !n.hasAny("allOf", "anyOf", "oneOf") {
		return
	}
	for _, keyword := range [...]string{"allOf", "anyOf", "oneOf"} {
		list := n.get(keyword)
		if list == nil {
			continue
		}
		n.remove(keyword)
		for _, branch := range list.elems {
			if branch.kind != '{' {
				continue
			}
			mergeBranches(branch, depth+1)
			mergeBranch(n, branch, keyword == "allOf")
		}
	}
	pruneRequired(n)
}

func mergeBranch(n, branch *node, all bool) {
	for _, m := range branch.members {
		switch {
		case m.name == "properties" && m.value.kind == '{':
			mergeProperties(n, m.value, all)
		case m.name == "required":
			for _, e := range m.value.elems {
				if name, ok := e.text(); ok && all {
					n.require(name)
				}
			}
		case all && n.get(m.name) == nil:
			n.set(m.name, m.value)
		}
	}
}

// mergeProperties adds properties of a branch. Of two schemas for one name either may hold, unless both must: then the
// first stands.
func mergeProperties(n, props *node, all bool) {
	own := n.get("properties")
	if own == nil {
		own = newObject()
		n.set("properties", own)
	}
	for _, m := range props.members {
		have := own.get(m.name)
		switch {
		case have == nil:
			own.set(m.name, m.value)
		case all || have.same(m.value):
		case have.alternatives:
			list := have.get("anyOf")
			if !slices.ContainsFunc(list.elems, m.value.same) {
				list.elems = append(list.elems, m.value)
			}
		default:
			either := newObject()
			either.set("anyOf", arrayNode([]*node{have, m.value}))
			either.alternatives = true
			own.set(m.name, either)
		}
	}
}

// notStrict are keywords that OpenAI refuses in a strict schema.
var notStrict = []string{"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies",
	"patternProperties", "propertyNames", "uniqueItems", "contains", "prefixItems", "default", "minLength", "maxLength",
	"unevaluatedProperties", "unevaluatedItems", "minProperties", "maxProperties"}

// meetsStrict reports whether n is what OpenAI takes with strict: every object closed, every property required.
func meetsStrict(n *node, depth int) bool {
	if n.kind != '{' || n.opaque || depth > maxSchemaDepth || n.hasAny(notStrict...) {
		return false
	}
	if ref, ok := n.get("$ref").text(); ok && !strings.HasPrefix(ref, "#") {
		return false
	}
	if depth == 0 && n.hasAny("anyOf", "enum") {
		return false
	}
	if n.isType("object") || n.get("properties") != nil {
		if extra := n.get("additionalProperties"); extra == nil || extra.kind != 'f' || !allRequired(n) {
			return false
		}
	}
	ok := true
	for _, m := range n.members {
		if m.name == "additionalProperties" {
			continue
		}
		forSchemas(m, func(_ int, sub *node) { ok = ok && meetsStrict(sub, depth+1) })
	}
	return ok
}

func allRequired(n *node) bool {
	required := map[string]bool{}
	if r := n.get("required"); r != nil {
		for _, e := range r.elems {
			name, _ := e.text()
			required[name] = true
		}
	}
	if props := n.get("properties"); props != nil {
		for _, m := range props.members {
			if !required[m.name] {
				return false
			}
		}
	}
	return true
}
