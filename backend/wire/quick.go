package wire

import (
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Quick walks over JSON of a shape that is known beforehand, without reflection and in one go: the chunks of a stream are all
// alike, and their number makes decoding them the dearest thing that a stream does. It takes JSON as services write it and is
// strict about that. At anything else it turns odd, for good, and whoever walks decodes the whole value properly instead. So
// what a walk yields must be what the decoder would have yielded, and nothing else depends on it.
type Quick struct {
	b     []byte
	i     int
	depth int // of a value that is stepped over
	odd   bool
}

// maxQuickDepth bounds how deep a value that is stepped over may be nested.
const maxQuickDepth = 8

// NewQuick starts a walk over one JSON value.
func NewQuick(b []byte) Quick { return Quick{b: b} }

// Done reports whether the walk has come to the end of the value without anything odd.
func (q *Quick) Done() bool {
	q.space()
	return !q.odd && q.i == len(q.b)
}

// GiveUp turns the walk odd: the value has something that the caller does not know.
func (q *Quick) GiveUp() { q.odd = true }

// Members yields the names of an object's members. For each one the caller walks over its value before the next.
func (q *Quick) Members(yield func(name []byte) bool) {
	for more := q.begin('{', '}'); more; more = q.goesOn('}') {
		name, bare := q.quoted()
		if !bare || !q.expect(':') || !yield(name) {
			q.odd = true
			return
		}
	}
}

// Elements yields the indices of an array. For each one the caller walks over the element before the next.
func (q *Quick) Elements(yield func(int) bool) {
	n := 0
	for more := q.begin('[', ']'); more; more = q.goesOn(']') {
		if !yield(n) {
			q.odd = true
			return
		}
		n++
	}
}

// Text walks over a string. The result is valid as long as the bytes walked over are.
func (q *Quick) Text() []byte {
	start := q.i
	s, bare := q.quoted()
	if bare || q.odd {
		return s
	}
	for q.b[start] != '"' {
		start++
	}
	s, err := jsontext.AppendUnquote(nil, q.b[start:q.i])
	if err != nil {
		q.odd = true
	}
	return s
}

// Int walks over a whole number that is not negative.
func (q *Quick) Int() int64 {
	q.space()
	start, n := q.i, int64(0)
	for ; q.i < len(q.b) && '0' <= q.b[q.i] && q.b[q.i] <= '9'; q.i++ {
		n = n*10 + int64(q.b[q.i]-'0')
	}
	if digits := q.i - start; digits == 0 || digits > 18 || digits > 1 && q.b[start] == '0' {
		q.odd = true
	}
	return n
}

// Bool walks over true or false.
func (q *Quick) Bool() bool {
	q.space()
	if q.word("true") {
		return true
	}
	if !q.word("false") {
		q.odd = true
	}
	return false
}

// Skip walks over a value of any kind.
func (q *Quick) Skip() {
	q.space()
	if q.i >= len(q.b) || q.depth == maxQuickDepth {
		q.odd = true
		return
	}
	q.depth++
	defer func() { q.depth-- }()
	switch q.b[q.i] {
	case '{':
		for range q.Members {
			q.Skip()
		}
	case '[':
		for range q.Elements {
			q.Skip()
		}
	case '"':
		q.Text()
	case 't', 'f':
		q.Bool()
	case 'n':
		q.odd = !q.word("null")
	default:
		q.Int()
	}
}

// quoted walks over a string and returns what stands between its quotes. bare says that this is the text itself: it has no
// escapes and is valid UTF-8.
func (q *Quick) quoted() (s []byte, bare bool) {
	if !q.expect('"') {
		return nil, false
	}
	start, ascii, escaped := q.i, true, false
	for ; q.i < len(q.b); q.i++ {
		switch c := q.b[q.i]; {
		case c == '"':
			s = q.b[start:q.i]
			q.i++
			return s, !escaped && (ascii || utf8.Valid(s))
		case c == '\\':
			escaped = true
			q.i++
		case c < ' ':
			q.odd = true
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	q.odd = true
	return nil, false
}

func (q *Quick) begin(open, end byte) bool { return q.expect(open) && !q.token(end) }

func (q *Quick) goesOn(end byte) bool { return !q.odd && !q.token(end) && q.expect(',') }

// expect walks over a token that must be there.
func (q *Quick) expect(c byte) bool {
	if !q.token(c) {
		q.odd = true
	}
	return !q.odd
}

// token walks over a token if it is there.
func (q *Quick) token(c byte) bool {
	q.space()
	if q.i >= len(q.b) || q.b[q.i] != c {
		return false
	}
	q.i++
	return true
}

func (q *Quick) word(w string) bool {
	if len(q.b)-q.i < len(w) || string(q.b[q.i:q.i+len(w)]) != w {
		return false
	}
	q.i += len(w)
	return true
}

func (q *Quick) space() {
	for q.i < len(q.b) && (q.b[q.i] == ' ' || q.b[q.i] == '\n' || q.b[q.i] == '\t' || q.b[q.i] == '\r') {
		q.i++
	}
}
