package oai

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
)

// maxGrammar bounds the grammar that goes into a description.
const maxGrammar = 4000

// InputSchema is the schema of a function that stands for a custom tool: one string.
func InputSchema(t *canon.Tool) jsontext.Value {
	hint := Text(Member(t.Grammar, "definition"))
	if g := Member(t.Grammar, "grammar"); g != nil && hint == "" {
		hint = Text(Member(g, "definition"))
	}
	if len(hint) > maxGrammar {
		hint = strings.ToValidUTF8(hint[:maxGrammar], "")
	}
	if hint == "" {
		hint = "The input of the tool, as plain text."
	}
	b := AppendString(jsontext.Value(`{"type":"object","properties":{"input":{"type":"string","description":`), hint)
	return append(b, `}},"required":["input"]}`...)
}

// CustomInput returns the input of a custom tool that went out as a function with one string.
func CustomInput(args string) string {
	if v := Member([]byte(args), "input"); len(v) > 0 && v[0] == '"' {
		return Text(v)
	}
	return args
}

// InputStream takes the string of {"input":"..."} out of pieces of JSON text.
type InputStream struct {
	buf        string
	open, done bool
}

// Feed takes the next piece and returns what of the string is certain.
func (u *InputStream) Feed(s string) string {
	if u.done {
		return ""
	}
	u.buf += s
	if !u.open && !u.find() {
		return ""
	}
	n, done := wholeEscapes(u.buf)
	out := Text([]byte(`"` + u.buf[:n] + `"`))
	u.buf, u.done = u.buf[n:], done
	return out
}

// find looks for the start of the string.
func (u *InputStream) find() bool {
	rest := strings.TrimLeft(u.buf, " \t\r\n")
	for _, tok := range []string{"{", `"input"`, ":", `"`} {
		after, ok := strings.CutPrefix(rest, tok)
		if !ok {
			return false
		}
		rest = strings.TrimLeft(after, " \t\r\n")
		if tok == `"` {
			rest = after
		}
	}
	u.buf, u.open = rest, true
	return true
}

// wholeEscapes returns the length of the head of s that holds no cut escape; done says that the closing quote follows.
func wholeEscapes(s string) (n int, done bool) {
	for i := 0; i < len(s); {
		if s[i] == '"' {
			return i, true
		}
		size := 1
		if s[i] == '\\' {
			size = escapeLen(s[i:])
		}
		if size == 0 {
			return i, false
		}
		i += size
	}
	return len(s), false
}

// escapeLen returns the length of the escape at the head of s, 0 if it is cut. A surrogate pair is one escape.
func escapeLen(s string) int {
	switch {
	case len(s) < 2:
		return 0
	case s[1] != 'u':
		return 2
	case len(s) < 6:
		return 0
	}
	if high := strings.ToLower(s[2:4]); high < "d8" || high > "db" {
		return 6
	}
	switch {
	case len(s) < 12 && strings.HasPrefix(`\u`, s[6:min(len(s), 8)]), len(s) > 7 && len(s) < 12 && s[6:8] == `\u`:
		return 0
	case len(s) >= 12 && s[6:8] == `\u`:
		return 12
	default:
		return 6
	}
}
