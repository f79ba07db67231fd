package wire

import (
	"bytes"
	"errors"
	"io"
	"iter"
)

// MaxFrame bounds one event of a stream: an image is one line.
const MaxFrame = 64 << 20

// ErrFrameTooLarge reports an event of more than MaxFrame bytes.
var ErrFrameTooLarge = errors.New("an event of the stream is larger than 64 MiB")

// Sizes of a stream's buffer. A line that does not fit makes it grow, and so does a service that sends faster than it is
// read. It shrinks as soon as little comes at a time, for thousands of slow streams may be open at once.
const (
	firstBuffer = 4 << 10
	slowBuffer  = 512
	fastBuffer  = 16 << 10
)

// Frame is one server-sent event.
type Frame struct {
	Name string // of the event, "" if it has none
	// Data is valid until the next frame. Several data lines are joined by a line feed.
	Data []byte
	// More says that another whole frame is in the buffer already. A reader that gets it yields at least one event for
	// this frame's successor, so that a writer may put off its flush.
	More bool
}

// Frames splits an event stream. It takes `data:` with and without a space, CR, LF and CRLF, comments, a byte order mark
// and a last event without its blank line; comments and empty events yield nothing. Any cut of the bytes into reads
// gives the same frames. A read error is yielded last; io.EOF is not an error.
func Frames(r io.Reader) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		s := scanner{r: r, buf: make([]byte, 0, firstBuffer)}
		var data, joined []byte // joined holds data of several lines
		var name string
		lines, first := 0, true
		emit := func() bool {
			defer func() { lines, name, data = 0, "", nil }()
			if lines == 0 {
				return true
			}
			return yield(Frame{Name: name, Data: data, More: s.frameBuffered()}, nil)
		}
		for {
			line, err := s.line(lines > 0)
			if err != nil {
				if err == io.EOF {
					emit()
					return
				}
				yield(Frame{}, err)
				return
			}
			if first {
				line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
				first = false
			}
			if len(line) == 0 {
				if !emit() {
					return
				}
				s.release()
				continue
			}
			field, value, _ := bytes.Cut(line, []byte{':'})
			if len(value) > 0 && value[0] == ' ' {
				value = value[1:]
			}
			switch string(field) {
			case "data":
				if lines == 0 {
					data = value
				} else {
					if lines == 1 {
						joined = append(joined[:0], data...)
					}
					joined = append(append(joined, '\n'), value...)
					data = joined
				}
				lines++
			case "event":
				name = knownName(value)
			}
			if len(data) > MaxFrame {
				yield(Frame{}, ErrFrameTooLarge)
				return
			}
		}
	}
}

// Lines splits a stream of lines (NDJSON). Blank lines yield nothing. A line is valid until the next one.
func Lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s := scanner{r: r, buf: make([]byte, 0, firstBuffer)}
		for {
			line, err := s.line(false)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(bytes.TrimSpace(line)) > 0 && !yield(line, nil) {
				return
			}
			s.release()
		}
	}
}

// knownNames saves an allocation per event for the names that make up nearly all streams.
var knownNames = func() map[string]string {
	m := map[string]string{}
	for _, n := range []string{
		"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "ping", "error",
		"response.output_text.delta", "response.function_call_arguments.delta", "response.reasoning_summary_text.delta",
	} {
		m[n] = n
	}
	return m
}()

func knownName(b []byte) string {
	if n, ok := knownNames[string(b)]; ok {
		return n
	}
	return string(b)
}

// scanner cuts lines out of a growing buffer. Lines handed out since the last release stay valid.
type scanner struct {
	r     io.Reader
	buf   []byte
	start int  // of the bytes not handed out yet
	kept  int  // of the oldest line that must stay valid
	seen  int  // bytes after start that hold no line end
	slow  bool // the last read left most of the buffer empty
	eof   bool
	cr    bool // the last line ended with CR: a LF that follows belongs to it
	err   error
}

// release lets the buffer forget the lines handed out so far.
func (s *scanner) release() { s.kept = s.start }

// line returns the next line without its end. keep says that lines handed out before must stay valid.
func (s *scanner) line(keep bool) ([]byte, error) {
	if !keep {
		s.release()
	}
	for {
		if s.cr && s.start < len(s.buf) {
			if s.buf[s.start] == '\n' {
				s.start++
				s.seen = 0
			}
			s.cr = false
		}
		rest := s.buf[s.start:]
		if i := lineEnd(rest[min(s.seen, len(rest)):]); i >= 0 {
			i += s.seen
			s.cr = rest[i] == '\r'
			s.start += i + 1
			s.seen = 0
			return rest[:i], nil
		}
		s.seen = len(rest)
		if s.eof {
			if s.err != nil {
				return nil, s.err
			}
			if len(rest) == 0 {
				return nil, io.EOF
			}
			s.start = len(s.buf)
			s.seen = 0
			return rest, nil
		}
		if len(rest) > MaxFrame {
			return nil, ErrFrameTooLarge
		}
		s.fill()
	}
}

// lineEnd returns the index of the first CR or LF, -1 if there is none.
func lineEnd(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	head := b
	if i >= 0 {
		head = b[:i]
	}
	if j := bytes.IndexByte(head, '\r'); j >= 0 {
		return j
	}
	return i
}

// fill reads more. Bytes before kept are given up; lines handed out after it move only into a new array, so they stay
// what they were.
func (s *scanner) fill() {
	live := s.buf[s.kept:]
	switch full := len(s.buf) == cap(s.buf); {
	case len(live) == 0: // nothing is in use: start over
		if size := s.wanted(full); size != cap(s.buf) {
			s.buf = make([]byte, 0, size)
		}
		s.buf, s.start, s.kept = s.buf[:0], 0, 0
	case full && s.kept == s.start && len(live) <= cap(s.buf)/2 && s.wanted(true) == cap(s.buf): // no line is in use
		s.buf, s.start, s.kept = s.buf[:copy(s.buf, live)], 0, 0
	case full:
		grown := make([]byte, len(live), max(s.wanted(true), 2*len(live)))
		copy(grown, live)
		s.buf, s.start, s.kept = grown, s.start-s.kept, 0
	}
	n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	s.slow = n < cap(s.buf)/4
	if err != nil {
		s.eof = true
		if err != io.EOF {
			s.err = err
		}
	}
}

// wanted is the size of the buffer that suits what came last.
func (s *scanner) wanted(full bool) int {
	switch size := cap(s.buf); {
	case full && size < fastBuffer:
		return 2 * size
	case s.slow && size > slowBuffer:
		return slowBuffer
	default:
		return size
	}
}

// frameBuffered reports whether a whole event waits in the buffer: a blank line after some text.
func (s *scanner) frameBuffered() bool {
	rest := s.buf[s.start:]
	if s.cr && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	if len(rest) == 0 || rest[0] == ':' || rest[0] == '\n' || rest[0] == '\r' {
		return false
	}
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		if bytes.HasPrefix(rest, []byte("\n")) || bytes.HasPrefix(rest, []byte("\r\n")) {
			return true
		}
	}
}
