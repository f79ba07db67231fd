package wire

import "strings"

// ThinkTags splits <think>...</think> off the start of a text, also where the tags are cut across chunks. Tags
// elsewhere are text. The zero value is ready.
type ThinkTags struct {
	buf    string
	inside bool
	begun  bool // some thinking was seen: line ends in front of it are gone
	passed bool // the closing tag was seen: white space after it goes away
}

const (
	thinkOpen  = "<think>"
	thinkClose = "</think>"
)

// Feed takes the next piece. over says that whatever follows is plain text.
func (t *ThinkTags) Feed(s string) (thought, said string, over bool) {
	t.buf += s
	if !t.inside && !t.passed {
		trimmed := strings.TrimLeft(t.buf, " \t\r\n")
		switch {
		case len(trimmed) < len(thinkOpen) && strings.HasPrefix(thinkOpen, trimmed):
			return "", "", false
		case !strings.HasPrefix(trimmed, thinkOpen):
			return "", t.buf, true
		}
		t.inside, t.buf = true, trimmed[len(thinkOpen):]
	}
	if t.inside {
		if !t.begun {
			t.buf = strings.TrimLeft(t.buf, "\r\n")
			t.begun = t.buf != ""
		}
		i := strings.Index(t.buf, thinkClose)
		if i < 0 {
			keep := heldBack(t.buf)
			thought, t.buf = t.buf[:len(t.buf)-keep], t.buf[len(t.buf)-keep:]
			return thought, "", false
		}
		thought = t.buf[:i]
		t.buf, t.inside, t.passed = t.buf[i+len(thinkClose):], false, true
	}
	said = strings.TrimLeft(t.buf, " \t\r\n")
	t.buf = ""
	return thought, said, said != ""
}

// Rest returns what was held back when the text ends.
func (t *ThinkTags) Rest() (thought, said string) {
	s := t.buf
	t.buf = ""
	if t.inside {
		return s, ""
	}
	return "", s
}

// heldBack returns how many bytes at the end of s may be the beginning of the closing tag.
func heldBack(s string) int {
	for n := min(len(s), len(thinkClose)-1); n > 0; n-- {
		if strings.HasPrefix(thinkClose, s[len(s)-n:]) {
			return n
		}
	}
	return 0
}
