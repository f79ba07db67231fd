package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"patchbay/backend/canon"
)

// MaxToolName is the length of a tool's name that every upstream takes.
const MaxToolName = 64

// ShortName returns name in at most MaxToolName characters of [a-zA-Z0-9_-]. A long MCP name keeps its prefix and the
// end; other long names keep their head; both get 8 hex digits of the whole name's hash.
func ShortName(name string) string {
	clean := CleanID(name)
	if len(clean) <= MaxToolName {
		return clean
	}
	return hashedName(clean, name)
}

func hashedName(clean, name string) string {
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4])
	head := clean
	if rest, ok := strings.CutPrefix(clean, "mcp__"); ok {
		if i := strings.LastIndex(rest, "__"); i >= 0 {
			rest = rest[i+2:]
		}
		head = "mcp__" + rest
	}
	return head[:min(len(head), MaxToolName-len(tail))] + tail
}

// CleanID replaces every character outside [a-zA-Z0-9_-] by an underscore: what Anthropic and OpenAI take as a tool's
// name or a call's id.
func CleanID(s string) string {
	ok := true
	for i := range len(s) {
		if !idByte(s[i]) {
			ok = false
			break
		}
	}
	if ok {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 && idByte(byte(r)) {
			return r
		}
		return '_'
	}, s)
}

func idByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// Names maps the tool names of one request to names that an upstream takes, and back. There is no state across requests.
type Names struct {
	out, back map[string]string
	short     func(string) string
}

// NewNames makes the table for the tools of req and for the calls in its history. short gives the upstream's form of a
// name; nil means ShortName.
func NewNames(req *canon.Request, short func(string) string) *Names {
	if short == nil {
		short = ShortName
	}
	n := &Names{short: short}
	for i := range req.Tools {
		n.Out(FlatName(req.Tools[i].Space, req.Tools[i].Name))
	}
	for i := range req.Messages {
		for j := range req.Messages[i].Parts {
			if p := &req.Messages[i].Parts[j]; p.Type == canon.PartToolCall {
				n.Out(FlatName(p.Space, p.Name))
			}
		}
	}
	return n
}

// Out returns the upstream's form of a client's name; two names never share one.
func (n *Names) Out(name string) string {
	if s, ok := n.out[name]; ok {
		return s
	}
	s := n.short(name)
	if other, taken := n.back[s]; taken && other != name {
		s = hashedName(s, name)
	}
	if n.out == nil {
		n.out, n.back = map[string]string{}, map[string]string{}
	}
	n.out[name], n.back[s] = s, name
	return s
}

// Back returns the client's name for an upstream's.
func (n *Names) Back(name string) string {
	if n == nil {
		return name
	}
	if s, ok := n.back[name]; ok {
		return s
	}
	return name
}

// FlatName joins a namespace and a tool's name for formats without namespaces. A name that has the prefix already, and
// an MCP name, stay as they are.
func FlatName(space, name string) string {
	if space == "" || strings.HasPrefix(name, space+"__") || strings.HasPrefix(name, "mcp__") {
		return name
	}
	return space + "__" + name
}
