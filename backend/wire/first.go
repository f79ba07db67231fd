package wire

import (
	"io"
	"strings"
)

// First looks at the first byte of an answer that is no white space and no byte order mark: it tells a stream from JSON
// in one piece. The returned reader begins with that byte; what stood before it means nothing, for some services send
// empty lines while a request waits. An error of r, io.EOF too, is returned and comes again from the reader.
func First(r io.Reader) (byte, io.Reader, error) {
	buf := make([]byte, 512) // small: what it holds is read at once, and then it is gone
	for {
		n, err := r.Read(buf)
		head := buf[:n]
		for len(head) > 0 && strings.IndexByte(" \t\r\n\xef\xbb\xbf", head[0]) >= 0 {
			head = head[1:]
		}
		if len(head) > 0 {
			return head[0], &headed{r: r, head: head, err: err}, nil
		}
		if err != nil {
			return 0, &headed{err: err}, err
		}
	}
}

// headed reads head, then what r holds.
type headed struct {
	r    io.Reader
	head []byte
	err  error // of the read that gave head
}

func (h *headed) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		if h.head = h.head[n:]; len(h.head) == 0 {
			h.head = nil // the buffer goes
		}
		return n, nil
	}
	if h.err != nil {
		return 0, h.err
	}
	return h.r.Read(p)
}
