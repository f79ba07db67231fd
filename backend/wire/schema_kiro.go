package wire

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// SchemaForKiro returns s in the form that Kiro takes for tools: an object at the root without branches, no references, and no
// keyword that has made the service answer "Improperly formed request." (kiro-gateway, kiro.rs, opencodex and
// pi-provider-kiro, 2026). What was taken out of a property is told in its description where that is short.
func SchemaForKiro(s jsontext.Value) jsontext.Value {
	n, ok := readSchema(s)
	if !ok {
		return jsontext.Value(emptySchema)
	}
	n, _ = inlineRefs(repairRoot(n), s)
	objectRoot(n)
	if !n.isType("object") {
		return jsontext.Value(emptySchema)
	}
	n = kiroClean(n, 0)
	pruneRequired(n)
	return n.bytes()
}

// kiroRefused are keywords that the service does not take; the second list is told in the description.
var (
	kiroRefused = []string{"$schema", "$id", "$comment", "$ref", "$defs", "definitions", "additionalProperties", "patternProperties",
		"propertyNames", "unevaluatedProperties", "unevaluatedItems", "dependentRequired", "dependentSchemas", "dependencies", "if", "then", "else",
		"not", "contains", "minContains", "maxContains", "contentEncoding", "contentMediaType", "contentSchema", "examples", "deprecated", "readOnly",
		"writeOnly", "nullable", "prefixItems", "additionalItems"}
	kiroTold = []string{"format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"}
)

// kiroHint bounds a description to which facts are added.
const kiroHint = 200

func kiroClean(n *node, depth int) *node {
	switch {
	case n.kind == 't': // any value
		return newObject()
	case n.kind != '{':
		return n
	case n.opaque || depth > maxSchemaDepth:
		return newObject()
	}
	for range maxSchemaDepth { // a branch may have branches of its own
		kiroBranches(n)
		if !n.hasAny("oneOf", "allOf") {
			break
		}
	}
	if c := n.get("const"); c != nil {
		n.remove("const")
		n.set("enum", arrayNode([]*node{c}))
	}
	kiroType(n)
	var told []string
	for _, k := range kiroTold {
		if v := n.get(k); v != nil {
			told = append(told, k+" "+strings.Trim(string(v.bytes()), `"`))
		}
		n.remove(k)
	}
	for _, k := range kiroRefused {
		n.remove(k)
	}
	n.eachSchema(func(sub *node) *node { return kiroClean(sub, depth+1) })
	if r := n.get("required"); r != nil && (r.kind != '[' || len(r.elems) == 0 || slices.ContainsFunc(r.elems, func(e *node) bool { return e.kind != '"' })) {
		n.remove("required")
	}
	text, _ := n.get("description").text()
	if hint := "[" + strings.Join(told, ", ") + "]"; len(told) > 0 && len(text)+len(hint) < kiroHint {
		n.set("description", stringNode(strings.TrimSpace(text+" "+hint)))
	}
	return n
}

// kiroType makes one type of several: the first that is not null.
func kiroType(n *node) {
	t := n.get("type")
	if t == nil || t.kind != '[' {
		return
	}
	n.remove("type")
	for _, e := range t.elems {
		if s, ok := e.text(); ok && s != "null" {
			n.set("type", e)
			return
		}
	}
}

// kiroBranches keeps anyOf where all its branches are plain, and takes the first object of other branches.
func kiroBranches(n *node) {
	if n.get("allOf") != nil {
		mergeBranches(n, 0)
		return
	}
	for _, k := range [...]string{"anyOf", "oneOf"} {
		list := n.get(k)
		if list == nil || list.kind != '[' {
			n.remove(k)
			continue
		}
		n.remove(k)
		branches := slices.DeleteFunc(slices.Clone(list.elems), func(b *node) bool { s, _ := b.get("type").text(); return b.kind != '{' || s == "null" })
		plain := !slices.ContainsFunc(branches, func(b *node) bool { return b.hasAny("anyOf", "oneOf", "allOf", "properties") })
		switch {
		case len(branches) == 0:
		case len(branches) > 1 && plain:
			n.set("anyOf", arrayNode(branches))
		default:
			pick := branches[0]
			if i := slices.IndexFunc(branches, func(b *node) bool { return b.isType("object") }); i >= 0 {
				pick = branches[i]
			}
			for _, m := range pick.members {
				if n.get(m.name) == nil {
					n.set(m.name, m.value)
				}
			}
		}
	}
}
