package openai

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A cursor walks the members of a JSON object or the elements of an array where they lie, without decoding or copying
// them. It is made for chunks of a stream: it does not check what it steps over, so a value that goes on to somebody else
// as JSON must be checked with valid first.
type cursor struct {
	b      []byte
	i      int
	object bool
	bad    bool   // the bytes are not what they should be
	name   []byte // of the member, without quotes, escapes left in
	value  []byte
	at     int // where value starts in b
}

// walkObject starts a walk over the members of an object.
func walkObject(b []byte) cursor { return walk(b, '{') }

// walkArray starts a walk over the elements of an array.
func walkArray(b []byte) cursor { return walk(b, '[') }

func walk(b []byte, open byte) cursor {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != open {
		return cursor{bad: true}
	}
	return cursor{b: b, i: i + 1, object: open == '{'}
}

// next steps to the next member or element. It returns false at the end, and then bad tells whether the end was a
// proper one.
func (c *cursor) next() bool {
	if c.bad {
		return false
	}
	c.i = skipSpace(c.b, c.i)
	if c.i < len(c.b) && c.b[c.i] == ',' {
		c.i = skipSpace(c.b, c.i+1)
	}
	if c.i >= len(c.b) {
		c.bad = true
		return false
	}
	if c.b[c.i] == '}' || c.b[c.i] == ']' {
		return false
	}
	if c.object && !c.readName() {
		c.bad = true
		return false
	}
	end, ok := skipValue(c.b, c.i)
	if !ok {
		c.bad = true
		return false
	}
	c.at, c.value, c.i = c.i, c.b[c.i:end], end
	return true
}

func (c *cursor) readName() bool {
	end, ok := skipString(c.b, c.i)
	if !ok {
		return false
	}
	c.name = c.b[c.i+1 : end-1]
	c.i = skipSpace(c.b, end)
	if c.i >= len(c.b) || c.b[c.i] != ':' {
		return false
	}
	c.i = skipSpace(c.b, c.i+1)
	return true
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i.
func skipString(b []byte, i int) (int, bool) {
	if i >= len(b) || b[i] != '"' {
		return i, false
	}
	for i++; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return i, false
		}
		esc := bytes.IndexByte(b[i:i+n], '\\')
		if esc < 0 {
			return i + n + 1, true
		}
		i += esc + 1 // the escaped byte is stepped over by the loop
	}
	return i, false
}

// skipValue returns the index after the value that starts at i.
func skipValue(b []byte, i int) (int, bool) {
	if i >= len(b) {
		return i, false
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
	default:
		start := i
		for i < len(b) && !strings.ContainsRune(",]} \t\r\n", rune(b[i])) {
			i++
		}
		return i, i > start
	}
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			end, ok := skipString(b, i)
			if !ok {
				return i, false
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1, true
			}
		}
		i++
	}
	return i, false
}

// text returns the value of a JSON string, "" for anything else.
func text(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return strings.ToValidUTF8(string(v[1:len(v)-1]), "\uFFFD")
	}
	b, _ := jsontext.AppendUnquote(nil, v) // what is broken is replaced
	return string(b)
}

// word returns a string or the text of a scalar: codes come as either.
func word(v []byte) string {
	if len(v) == 0 || isNull(v) || v[0] == '{' || v[0] == '[' {
		return ""
	}
	if v[0] == '"' {
		return text(v)
	}
	return string(v)
}

func isNull(v []byte) bool { return len(v) == 0 || v[0] == 'n' }

// number returns an integer, or -1 for anything that is none.
func number(v []byte) int64 {
	if len(v) == 0 || len(v) > 18 {
		return -1
	}
	var n int64
	for i, c := range v {
		if c == '.' && i > 0 { // 12.0
			break
		}
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// member returns a member of an object where it lies, nil if there is none.
func member(b []byte, name string) []byte {
	c := walkObject(b)
	for c.next() {
		if string(c.name) == name {
			return c.value
		}
	}
	return nil
}

// valid reports whether v is one JSON value.
func valid(v []byte) bool {
	return jsontext.Value(v).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
