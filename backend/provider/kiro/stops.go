package kiro

import "strings"

// stopper ends an answer at a stop sequence: the service has none of its own. What may become one is held back.
type stopper struct {
	words []string
	buf   string
	hit   string
}

// feed takes the next piece of text and returns what of it is certain. hit says that a stop sequence was met: what follows is
// not to be shown.
func (s *stopper) feed(text string) (out string, hit bool) {
	if s.hit != "" {
		return "", true
	}
	s.buf += text
	at, keep := -1, 0
	for _, w := range s.words {
		if w == "" {
			continue
		}
		if i := strings.Index(s.buf, w); i >= 0 && (at < 0 || i < at) {
			at, s.hit = i, w
		}
		keep = max(keep, suffixOf(s.buf, w))
	}
	if at >= 0 {
		out, s.buf = s.buf[:at], ""
		return out, true
	}
	out, s.buf = s.buf[:len(s.buf)-keep], s.buf[len(s.buf)-keep:]
	return out, false
}

// rest returns what was held back.
func (s *stopper) rest() string {
	out := s.buf
	s.buf = ""
	return out
}
