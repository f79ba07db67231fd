package anthropic

import (
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/wire"
)

// A custom tool's free text travels as the only member of an object.
const inputMember = "input"

var inputHead = regexp.MustCompile(`^\s*\{\s*"input"\s*:\s*"`)

// inputScanner takes the text out of the fragments of `{"input":"..."}` as they come, with escapes undone. Arguments of
// another shape give nothing here; customInput reads them at the end.
type inputScanner struct {
	head   string // what came before the text began
	inside bool
	closed bool
	rest   string // an escape that is not complete yet
	sent   int    // bytes of text handed out
}

// feed returns the text that a fragment adds.
func (s *inputScanner) feed(fragment string) string {
	if s.closed {
		return ""
	}
	if !s.inside {
		s.head += fragment
		at := inputHead.FindStringIndex(s.head)
		if at == nil {
			s.closed = len(s.head) > 256
			return ""
		}
		fragment, s.inside = s.head[at[1]:], true
	}
	fragment = s.rest + fragment
	n := s.whole(fragment)
	s.rest = fragment[n:]
	quoted := make([]byte, 0, n+2)
	quoted = append(append(append(quoted, '"'), fragment[:n]...), '"')
	out, _ := jsontext.AppendUnquote(nil, quoted) // what is invalid is replaced
	s.sent += len(out)
	return string(out)
}

// whole returns how much of f can be unquoted now: up to the closing quote or an escape that is cut.
func (s *inputScanner) whole(f string) int {
	for i := 0; i < len(f); {
		switch {
		case f[i] == '"':
			s.closed = true
			return i
		case f[i] != '\\':
			i++
		default:
			n := escapeLen(f[i:])
			if n == 0 {
				return i
			}
			i += n
		}
	}
	return len(f)
}

// escapeLen returns the length of the escape at the head of f, with the second half of a surrogate pair; 0 if more has to
// come.
func escapeLen(f string) int {
	if len(f) < 2 {
		return 0
	}
	if f[1] != 'u' {
		return 2
	}
	if len(f) < 6 {
		return 0
	}
	if h := strings.ToLower(f[2:4]); h < "d8" || h > "db" {
		return 6
	}
	if len(f) >= 8 && f[6:8] != `\u` || len(f) == 7 && f[6] != '\\' {
		return 6 // half a pair
	}
	if len(f) < 12 {
		return 0
	}
	return 12
}

// customInput returns the text of a custom tool's arguments; the arguments themselves if they are of another shape.
func customInput(args string) string {
	var m struct {
		Input *string `json:"input"`
	}
	if json.Unmarshal([]byte(args), &m, wire.Lenient) == nil && m.Input != nil {
		return *m.Input
	}
	return args
}
