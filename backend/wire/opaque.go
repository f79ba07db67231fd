package wire

import (
	"bytes"
	"encoding/base64"
	"strings"

	"patchbay/backend/canon"
)

// Model families: the makers of models, who alone can read their signatures.
const (
	FamilyClaude = "claude"
	FamilyGemini = "gemini"
	FamilyOpenAI = "openai"
	FamilyGrok   = "grok"
)

// Kinds of opaque data: what it belongs to.
const (
	OpaqueThink = "think"
	OpaqueCall  = "call"
	OpaqueText  = "text"
)

const wrapPrefix = "pb1."

// Wrap writes opaque data of another family into one string that a client keeps and sends back: it is marked with the
// family, so that it never reaches another maker.
func Wrap(o canon.Opaque) string {
	return wrapPrefix + o.Family + "." + o.Kind + "." + base64.RawURLEncoding.EncodeToString([]byte(o.Data))
}

// Unwrap reads what Wrap wrote. ok is false for anything else.
func Unwrap(s string) (o canon.Opaque, ok bool) {
	rest, ok := strings.CutPrefix(s, wrapPrefix)
	if !ok {
		return o, false
	}
	family, rest, ok := strings.Cut(rest, ".")
	if !ok {
		return o, false
	}
	kind, payload, ok := strings.Cut(rest, ".")
	if !ok {
		return o, false
	}
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return o, false
	}
	return canon.Opaque{Family: family, Kind: kind, Data: string(data)}, true
}

// Wrapped reports whether a body may hold wrapped opaque data.
func Wrapped(body []byte) bool { return bytes.Contains(body, []byte(`"`+wrapPrefix)) }

// ReadOpaque makes opaque data of a signature that a client sent: unwrapped if Wrap wrote it, else classified by its
// bytes. An empty string gives nil, and so does a wrapped one that was damaged.
func ReadOpaque(s, kind string) *canon.Opaque {
	if s == "" {
		return nil
	}
	if o, ok := Unwrap(s); ok {
		return &o
	}
	if strings.HasPrefix(s, wrapPrefix) { // damaged on its way
		return nil
	}
	return &canon.Opaque{Family: Classify(s), Kind: kind, Data: s}
}

// ShowOpaque returns the string that a client whose own family is own gets for o: as it is, or wrapped.
func ShowOpaque(o *canon.Opaque, own string) string {
	if o == nil || o.Data == "" {
		return ""
	}
	if o.Family == own || o.Family == "" {
		return o.Data
	}
	return Wrap(*o)
}

// Classify tells the maker of a signature of unknown origin by its envelope, "" if it cannot: a Fernet token is OpenAI's,
// `C` and `R` are Claude's, `E` is Claude's or Gemini's depending on the first inner field.
func Classify(s string) string {
	if len(s) == 0 {
		return ""
	}
	switch s[0] {
	case 'g':
		return FamilyOpenAI
	case 'R', 'C':
		return FamilyClaude
	case 'E':
		return classifyE(s)
	default:
		return ""
	}
}

// classifyE looks into a protocol buffer whose first field is number 2. In Claude's, field 1 of that message is itself a
// message that starts with field 1 or 3, a small number (11, 12 or 16 in the 4.6 and newer models, 2 in older ones:
// published examples of Anthropic); in Gemini's it is plain bytes.
func classifyE(s string) string {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		if raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "=")); err != nil {
			return ""
		}
	}
	outer, ok := protoBytes(raw, 2)
	if !ok {
		return ""
	}
	inner, ok := protoBytes(outer, 1)
	if !ok {
		return FamilyGemini
	}
	if len(inner) >= 2 && (inner[0] == 0x08 || inner[0] == 0x18) && inner[1] < 0x20 {
		return FamilyClaude
	}
	return FamilyGemini
}

// protoBytes returns the length-delimited field at the head of b if it has that number. A length past the end is cut:
// prefixes of signatures classify alike.
func protoBytes(b []byte, field byte) ([]byte, bool) {
	if len(b) < 2 || b[0] != field<<3|2 {
		return nil, false
	}
	n, i := 0, 1
	for shift := 0; ; shift += 7 {
		if i >= len(b) || shift > 28 {
			return nil, false
		}
		c := b[i]
		i++
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			break
		}
	}
	return b[i:min(i+n, len(b))], true
}

// PlaceSignatures gives signatures of other families that a thinking block carried for a call or a text back to the part
// they belong to. A call's stands before it, a text's after it.
func PlaceSignatures(parts []canon.Part) []canon.Part {
	out := parts[:0:len(parts)]
	for i := range parts {
		p := &parts[i]
		if p.Type != canon.PartReasoning || p.Opaque == nil || p.Opaque.Kind == OpaqueThink || p.Opaque.Kind == "" {
			out = append(out, *p)
			continue
		}
		var owner *canon.Part
		if p.Opaque.Kind == OpaqueCall {
			owner = unsigned(parts[i+1:], canon.PartToolCall, false)
		} else {
			owner = unsigned(out, canon.PartText, true)
		}
		if owner == nil {
			out = append(out, *p)
			continue
		}
		owner.Opaque = p.Opaque
		if p.Text != "" || len(p.Summary) > 0 {
			p.Opaque = nil
			out = append(out, *p)
		}
	}
	return out
}

// unsigned returns the first part of a type without a signature, or the last one.
func unsigned(parts []canon.Part, t canon.PartType, last bool) *canon.Part {
	for n := range parts {
		i := n
		if last {
			i = len(parts) - 1 - n
		}
		if parts[i].Type == t && parts[i].Opaque == nil {
			return &parts[i]
		}
	}
	return nil
}
