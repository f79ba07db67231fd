package oai

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Cursor walks the members of a JSON object or the elements of an array where they lie, without decoding or copying
// them. It is made for chunks of a stream: it does not check what it steps over, so a value that goes on to somebody else
// as JSON must be checked with Valid first.
type Cursor struct {
	b      []byte
	i      int
	object bool
	Bad    bool   // the bytes are not what they should be
	Name   []byte // of the member, without quotes, escapes left in
	Value  []byte
	At     int // where Value starts in the bytes walked over
}

// WalkObject starts a walk over the members of an object.
func WalkObject(b []byte) Cursor { return walk(b, '{') }

// WalkArray starts a walk over the elements of an array.
func WalkArray(b []byte) Cursor { return walk(b, '[') }

func walk(b []byte, open byte) Cursor {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != open {
		return Cursor{Bad: true}
	}
	return Cursor{b: b, i: i + 1, object: open == '{'}
}

// Next steps to the next member or element. It returns false at the end, and then Bad tells whether the end was a
// proper one.
func (c *Cursor) Next() bool {
	if c.Bad {
		return false
	}
	c.i = skipSpace(c.b, c.i)
	if c.i < len(c.b) && c.b[c.i] == ',' {
		c.i = skipSpace(c.b, c.i+1)
	}
	if c.i >= len(c.b) {
		c.Bad = true
		return false
	}
	if c.b[c.i] == '}' || c.b[c.i] == ']' {
		return false
	}
	if c.object && !c.readName() {
		c.Bad = true
		return false
	}
	end, ok := skipValue(c.b, c.i)
	if !ok {
		c.Bad = true
		return false
	}
	c.At, c.Value, c.i = c.i, c.b[c.i:end], end
	return true
}

func (c *Cursor) readName() bool {
	end, ok := skipString(c.b, c.i)
	if !ok {
		return false
	}
	c.Name = c.b[c.i+1 : end-1]
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

// Text returns the value of a JSON string, "" for anything else.
func Text(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return strings.ToValidUTF8(string(v[1:len(v)-1]), "\uFFFD")
	}
	b, _ := jsontext.AppendUnquote(nil, v) // what is broken is replaced
	return string(b)
}

// Word returns a string or the text of a scalar: codes come as either.
func Word(v []byte) string {
	if len(v) == 0 || IsNull(v) || v[0] == '{' || v[0] == '[' {
		return ""
	}
	if v[0] == '"' {
		return Text(v)
	}
	return string(v)
}

// IsNull reports whether v is null or nothing.
func IsNull(v []byte) bool { return len(v) == 0 || v[0] == 'n' }

// Number returns an integer, or -1 for anything that is none.
func Number(v []byte) int64 {
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

// Member returns a member of an object where it lies, nil if there is none.
func Member(b []byte, name string) []byte {
	c := WalkObject(b)
	for c.Next() {
		if string(c.Name) == name {
			return c.Value
		}
	}
	return nil
}

// Valid reports whether v is one JSON value.
func Valid(v []byte) bool {
	return jsontext.Value(v).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
