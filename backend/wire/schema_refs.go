package wire

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// inlineRefs replaces references inside a schema by what they name; members beside a reference win over those of its
// target. A reference to something that is being replaced already is cut. cut reports that this happened. source is
// the schema as it came, in which references are looked up.
func inlineRefs(n *node, source jsontext.Value) (out *node, cut bool) {
	r := refs{source: source, left: maxSchemaNodes, open: []string{"#"}}
	out = r.inline(n, 0)
	if !r.used {
		return out, false
	}
	if !r.unknown {
		out.remove("$defs")
		out.remove("definitions")
	}
	if out != n { // the root itself was a reference
		out = repairRoot(out)
	}
	return out, r.cut
}

type refs struct {
	source  jsontext.Value
	root    *node    // source as a tree that is only mended, read when the first reference is met
	open    []string // the references being replaced
	left    int
	used    bool
	unknown bool
	cut     bool
}

func (r *refs) inline(n *node, depth int) *node {
	if n.kind != '{' || n.opaque {
		return n
	}
	if ref, ok := n.get("$ref").text(); ok {
		if target := r.lookup(ref); target != nil {
			return r.replace(n, ref, target, depth)
		}
		r.unknown = true
	}
	// definitions are taken out when something names them
	n.eachSchema(func(sub *node) *node { return r.inline(sub, depth+1) }, "$defs", "definitions")
	return n
}

func (r *refs) replace(n *node, ref string, target *node, depth int) *node {
	r.used = true
	if slices.Contains(r.open, ref) || r.left <= 0 || depth > maxSchemaDepth {
		r.cut = true
		return recursive(ref)
	}
	copied := target.clone(&r.left)
	if r.left < 0 {
		r.cut = true
		return recursive(ref)
	}
	if copied.kind != '{' { // true or false
		n.remove("$ref")
		if len(n.members) == 0 {
			return copied
		}
		return n
	}
	for _, m := range n.members {
		if m.name != "$ref" {
			copied.set(m.name, m.value)
		}
	}
	copied.edited = true
	r.open = append(r.open, ref)
	out := r.inline(copied, depth+1)
	r.open = r.open[:len(r.open)-1]
	return out
}

func recursive(ref string) *node {
	name := ref[strings.LastIndexByte(ref, '/')+1:]
	if name == "#" || name == "" {
		name = "the whole schema"
	}
	out := newObject()
	out.set("type", stringNode("object"))
	out.set("description", stringNode("recursive: "+name))
	return out
}

// lookup returns what a reference inside the schema names, nil if there is nothing.
func (r *refs) lookup(ref string) *node {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok || pointer != "" && pointer[0] != '/' {
		return nil
	}
	if r.root == nil {
		if r.root, ok = readSchema(r.source); !ok {
			return nil
		}
		repairNode(r.root)
	}
	n := r.root
	for tok := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		if plain, err := url.PathUnescape(tok); err == nil {
			tok = plain
		}
		tok = strings.ReplaceAll(strings.ReplaceAll(tok, "~1", "/"), "~0", "~")
		if n.kind == '[' {
			i, err := strconv.Atoi(tok)
			if err != nil || i < 0 || i >= len(n.elems) {
				return nil
			}
			n = n.elems[i]
			continue
		}
		if n = n.get(tok); n == nil {
			return nil
		}
	}
	if n.kind != '{' && n.kind != 't' && n.kind != 'f' {
		return nil
	}
	return n
}
