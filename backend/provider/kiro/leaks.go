package kiro

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/wire"
)

// leaks finds calls that a model printed as text instead of calling: "[Called NAME with args: {...}]", and the XML of Claude's
// own training. Only calls of tools that the request declares count; everything else stays text.
type leaks struct {
	known func(name string) bool
	buf   string
}

// leak is a bit of text, or a call.
type leak struct {
	text string
	name string
	args jsontext.Value
}

const (
	bracketHead = "[called "
	maxLeak     = 64 << 10
)

var (
	bracketShape = regexp.MustCompile(`^(?i)\[called ([\w.-]+) with args:\s*`)
	invokeShape  = regexp.MustCompile(`^(?s)(?:<function_calls>\s*)?<invoke name="([^"<>]+)">(.*?)</invoke>(?:\s*</function_calls>)?`)
	paramShape   = regexp.MustCompile(`(?s)<parameter name="([^"<>]+)">(.*?)</parameter>`)
	looseKey     = regexp.MustCompile(`([{,]\s*)([A-Za-z_][\w-]*)(\s*:)`)
	looseComma   = regexp.MustCompile(`,(\s*[}\]])`)
	xmlHeads     = []string{"<function_calls>", `<invoke name="`}
)

// feed takes the next piece of text.
func (l *leaks) feed(text string) []leak {
	l.buf += text
	return l.run(false)
}

// boundary ends the text: nothing is held back.
func (l *leaks) boundary() []leak { return l.run(true) }

func (l *leaks) run(end bool) []leak {
	var out []leak
	give := func(n int) {
		if n > 0 {
			if k := len(out); k > 0 && out[k-1].name == "" {
				out[k-1].text += l.buf[:n]
			} else {
				out = append(out, leak{text: l.buf[:n]})
			}
			l.buf = l.buf[n:]
		}
	}
	for l.buf != "" {
		at, maybe := l.find()
		if at < 0 {
			keep := 0
			if !end {
				keep = maybe
			}
			give(len(l.buf) - keep)
			break
		}
		give(at)
		call, n, more := l.read()
		switch {
		case n > 0:
			out = append(out, call)
			l.buf = l.buf[n:]
		case more && !end && len(l.buf) < maxLeak:
			return out
		default:
			give(1) // no call: go on behind its first character
		}
	}
	return out
}

// find returns where a call may begin, -1 for nowhere; held is how many bytes at the end may become the beginning of one.
func (l *leaks) find() (at, held int) {
	low := lowASCII(l.buf)
	at = -1
	for _, head := range append([]string{bracketHead}, xmlHeads...) {
		if i := strings.Index(low, head); i >= 0 && (at < 0 || i < at) {
			at = i
		}
		held = max(held, suffixOf(low, head))
	}
	return at, held
}

// lowASCII lowers letters without moving any byte.
func lowASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// read reads a call at the beginning of the buffer: its length in bytes, 0 if there is none. more says that it may still come.
func (l *leaks) read() (c leak, n int, more bool) {
	if l.buf[0] == '<' {
		return l.readXML()
	}
	m := bracketShape.FindStringSubmatch(l.buf)
	if m == nil {
		open, _, _ := strings.Cut(l.buf[1:], "{")
		return c, 0, len(open) == len(l.buf)-1 && !strings.ContainsAny(open, "]\n") && len(open) < 200
	}
	if !l.known(m[1]) {
		return c, 0, false
	}
	end := closing(l.buf)
	if end < 0 {
		return c, 0, true
	}
	args, ok := looseObject(l.buf[len(m[0]):end])
	if !ok {
		return c, 0, false
	}
	return leak{name: m[1], args: args}, end + 1, false
}

// closing returns the place of the bracket that closes the first one, brackets in strings left aside; -1 for none yet.
func closing(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[':
			depth++
		case c == ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// looseObject reads a JSON object, also one with trailing commas and bare keys.
func looseObject(s string) (jsontext.Value, bool) {
	s = strings.TrimSpace(s)
	for _, try := range []string{s, looseKey.ReplaceAllString(looseComma.ReplaceAllString(s, "$1"), `$1"$2"$3`)} {
		if v := jsontext.Value(try); v.Kind() == '{' && v.IsValid(jsontext.AllowDuplicateNames(true)) {
			return v, true
		}
	}
	return nil, false
}

func (l *leaks) readXML() (c leak, n int, more bool) {
	if strings.HasPrefix(l.buf, xmlHeads[0]) && !strings.Contains(l.buf, "</function_calls>") {
		return c, 0, true
	}
	m := invokeShape.FindStringSubmatch(l.buf)
	if m == nil {
		return c, 0, !strings.Contains(l.buf, "</invoke>")
	}
	if !l.known(m[1]) {
		return c, 0, false
	}
	args := jsontext.Value{'{'}
	for _, p := range paramShape.FindAllStringSubmatch(m[2], -1) {
		if len(args) > 1 {
			args = append(args, ',')
		}
		args = append(append(wire.AppendString(args, p[1]), ':'), xmlValue(p[2])...)
	}
	return leak{name: m[1], args: append(args, '}')}, len(m[0]), false
}

func xmlValue(s string) []byte {
	t := strings.TrimSpace(s)
	if _, err := strconv.ParseFloat(t, 64); t == "true" || t == "false" || t == "null" || err == nil && jsontext.Value(t).IsValid() {
		return []byte(t)
	}
	return wire.AppendString(nil, s)
}
