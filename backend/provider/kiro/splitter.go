package kiro

import "strings"

// splitter takes <thinking>...</thinking> out of a text that comes in pieces cut anywhere. It is used only on answers whose
// request asked for these tags. What it returns does not depend on where the text was cut.
//
// A tag in quotes is text. A closing tag counts if a line ends before or after it, or if only white space follows until a
// boundary: a tool call, native reasoning, or the end.
type splitter struct {
	state splitState
	buf   string
	last  byte   // the last character that was given out: it may be a quote beside a tag
	end   string // the closing tag that belongs to the opening one
	skip  int    // line ends that may still be dropped
	begun bool   // something that is no white space was seen
}

type splitState uint8

const (
	splitBefore splitState = iota
	splitInside
	splitAfter
)

// piece is a bit of thinking or text.
type piece struct {
	thought bool
	text    string
}

const (
	tagOpen  = "<thinking>"
	tagClose = "</thinking>"
)

// firstTags also open a thought when they are the very first output (kiro-gateway).
var firstTags = []string{"<think>", "<reasoning>", "<thought>"}

// feed takes the next piece of text.
func (s *splitter) feed(text string) []piece {
	s.buf += text
	return s.run(false)
}

// boundary ends the text, for now or for good: nothing is held back.
func (s *splitter) boundary() []piece { return s.run(true) }

func (s *splitter) run(boundary bool) []piece {
	var out []piece
	for {
		var more bool
		switch s.state {
		case splitBefore:
			more = s.before(&out, boundary)
		case splitInside:
			more = s.inside(&out, boundary)
		default:
			s.after(&out, boundary)
		}
		if !more {
			return out
		}
	}
}

func (s *splitter) give(out *[]piece, thought bool, text string) {
	if text == "" {
		return
	}
	s.last = text[len(text)-1]
	if n := len(*out); n > 0 && (*out)[n-1].thought == thought {
		(*out)[n-1].text += text
		return
	}
	*out = append(*out, piece{thought, text})
}

// before looks for the opening tag.
func (s *splitter) before(out *[]piece, boundary bool) (more bool) {
	if !s.begun {
		trimmed := strings.TrimLeft(s.buf, " \t\r\n")
		for _, tag := range firstTags {
			switch {
			case strings.HasPrefix(trimmed, tag):
				s.open("</"+tag[1:], trimmed[len(tag):])
				return true
			case !boundary && strings.HasPrefix(tag, trimmed):
				return false // it may become one; blank output is held back as well
			}
		}
		if trimmed == "" && !boundary {
			return false
		}
	}
	i, wait := s.findOpen(boundary)
	switch {
	case i >= 0 && !wait:
		if lead := s.buf[:i]; s.begun || strings.TrimSpace(lead) != "" {
			s.give(out, false, lead)
		}
		s.open(tagClose, s.buf[i+len(tagOpen):])
		return true
	case i >= 0: // the next character tells whether it is quoted
		s.flushText(out, i)
	case boundary:
		s.flushText(out, len(s.buf))
	default:
		s.flushText(out, len(s.buf)-suffixOf(s.buf, tagOpen))
	}
	return false
}

// flushText gives out the first n bytes as text, unless nothing but white space was seen so far.
func (s *splitter) flushText(out *[]piece, n int) {
	if !s.begun && strings.TrimSpace(s.buf[:n]) == "" && n < len(s.buf) {
		return
	}
	s.begun = s.begun || strings.TrimSpace(s.buf[:n]) != ""
	s.give(out, false, s.buf[:n])
	s.buf = s.buf[n:]
}

func (s *splitter) open(end, rest string) {
	s.end = end
	s.state, s.buf, s.skip, s.last = splitInside, rest, 1, '>'
}

// findOpen returns the place of the first opening tag that stands in no quotes, -1 for none. wait says that this is not
// certain yet.
func (s *splitter) findOpen(boundary bool) (at int, wait bool) {
	for from := 0; ; {
		i := strings.Index(s.buf[from:], tagOpen)
		if i < 0 {
			return -1, false
		}
		i += from
		end := i + len(tagOpen)
		if end == len(s.buf) && !boundary && !isQuote(s.charBefore(i)) {
			return i, true
		}
		if !isQuote(s.charBefore(i)) && (end == len(s.buf) || !isQuote(s.buf[end])) {
			return i, false
		}
		from = end
	}
}

func (s *splitter) charBefore(i int) byte {
	if i > 0 {
		return s.buf[i-1]
	}
	return s.last
}

// inside looks for the closing tag.
func (s *splitter) inside(out *[]piece, boundary bool) (more bool) {
	if !s.dropBreaks(boundary) && !boundary {
		return false
	}
	at, wait := s.findClose(boundary)
	switch {
	case at >= 0 && !wait:
		s.give(out, true, s.buf[:at])
		s.buf, s.state, s.skip = s.buf[at+len(s.end):], splitAfter, 2
		return true
	case at >= 0:
		s.give(out, true, s.buf[:at])
		s.buf = s.buf[at:]
	case boundary:
		s.give(out, true, s.buf)
		s.buf, s.state, s.skip = "", splitAfter, 0
	default:
		n := len(s.buf) - suffixOf(s.buf, s.end)
		s.give(out, true, s.buf[:n])
		s.buf = s.buf[n:]
	}
	return false
}

// findClose returns the place of the first closing tag that counts, -1 for none.
func (s *splitter) findClose(boundary bool) (at int, wait bool) {
	for from := 0; ; {
		i := strings.Index(s.buf[from:], s.end)
		if i < 0 {
			return -1, false
		}
		i += from
		end := i + len(s.end)
		before, rest := s.charBefore(i), s.buf[end:]
		blank := strings.TrimSpace(rest) == ""
		switch {
		case isQuote(before):
		case before == '\n', rest != "" && (rest[0] == '\n' || rest[0] == '\r'), boundary && blank:
			return i, false
		case blank:
			return i, true
		}
		from = end
	}
}

// after is text to the end, without the line ends behind the tag.
func (s *splitter) after(out *[]piece, boundary bool) {
	if !s.dropBreaks(boundary) {
		return
	}
	s.give(out, false, s.buf)
	s.buf = ""
}

// dropBreaks takes the line ends away that may go. It reports false when the next piece is needed to know.
func (s *splitter) dropBreaks(boundary bool) bool {
	for s.skip > 0 {
		switch {
		case strings.HasPrefix(s.buf, "\r\n"):
			s.buf = s.buf[2:]
			s.last = '\n'
		case strings.HasPrefix(s.buf, "\n"):
			s.buf = s.buf[1:]
			s.last = '\n'
		case s.buf == "" || s.buf == "\r" && !boundary:
			return false
		default:
			s.skip = 0
			return true
		}
		s.skip--
	}
	return true
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// suffixOf returns how many bytes at the end of s are a proper beginning of tag.
func suffixOf(s, tag string) int {
	for n := min(len(s), len(tag)-1); n > 0; n-- {
		if strings.HasPrefix(tag, s[len(s)-n:]) {
			return n
		}
	}
	return 0
}
