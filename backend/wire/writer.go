package wire

import (
	"net/http"
	"sync"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// Time limits of a Writer.
const (
	// KeepAlive is the silence after which a stream gets a keep-alive.
	KeepAlive = 15 * time.Second
	// HeadAfter is how long the head of a stream waits for the first content, so that a failure can still have its own
	// HTTP status.
	HeadAfter = 10 * time.Second
	// stuckAfter is how long one write may wait for a client that does not read.
	stuckAfter = 2 * time.Minute
)

// Writer sends one streamed answer to a client: it renders events, flushes each unless more is certain to come, and
// keeps the connection alive through silences. It is safe for concurrent use with its own timer.
type Writer struct {
	mu    sync.Mutex // guards everything below
	w     http.ResponseWriter
	ctl   *http.ResponseController
	out   Renderer
	head  func(http.Header)
	buf   []byte
	sent  bool // the head is out
	ended bool
	err   error // of a write: the client is gone
	last  time.Time
	alive time.Duration
	timer *time.Timer
	first time.Time // when the first content went out
}

// NewWriter returns a writer for an answer. head is called once, just before the head goes out, to add headers that are
// known only then; it must not call the writer. alive is the pause between keep-alives, KeepAlive if 0.
func NewWriter(w http.ResponseWriter, out Renderer, alive time.Duration, head func(http.Header)) *Writer {
	if alive <= 0 {
		alive = KeepAlive
	}
	s := &Writer{w: w, ctl: http.NewResponseController(w), out: out, head: head, alive: alive}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(HeadAfter, s.tick)
	return s
}

// Event renders and sends one event. An error means that the client is gone.
func (s *Writer) Event(ev canon.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.ended {
		return s.err
	}
	s.buf = s.out.AppendEvent(s.buf, ev)
	if ev.Content() && s.first.IsZero() {
		s.first = time.Now()
	}
	if !s.sent && !ev.Content() { // the head waits for content, or for the timer
		return nil
	}
	return s.send(!ev.More)
}

// Fail ends the answer with an error. It reports false, and sends nothing, if the head has not gone out: then the error
// can be a real HTTP status.
func (s *Writer) Fail(e *apierror.Error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sent {
		s.ended = true
		return false
	}
	if s.err == nil && !s.ended {
		s.buf = s.out.AppendError(s.buf, e)
		_ = s.send(true) // the answer is over either way
	}
	s.ended = true
	return true
}

// FirstContent returns when the first content was sent, zero if none was.
func (s *Writer) FirstContent() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// Close stops the keep-alives and sends what still waits. After it the http.ResponseWriter is no longer used.
func (s *Writer) Close() {
	s.timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.ended && len(s.buf) > 0 && s.sent {
		_ = s.send(true) // nobody is left to tell
	}
	if s.sent {
		_ = s.ctl.SetWriteDeadline(time.Time{}) // the connection serves the next request
	}
	s.ended = true
}

// send writes the buffer. The caller holds mu.
func (s *Writer) send(flush bool) error {
	if !s.sent {
		s.sendHead()
	}
	if len(s.buf) > 0 {
		if _, err := s.w.Write(s.buf); err != nil {
			s.err = err
			return err
		}
		s.buf = s.buf[:0]
		if cap(s.buf) > 1<<20 { // a picture went through; do not keep its size
			s.buf = nil
		}
	}
	if flush {
		if err := s.ctl.Flush(); err != nil {
			s.err = err
			return err
		}
	}
	s.last = time.Now()
	return nil
}

func (s *Writer) sendHead() {
	h := s.w.Header()
	h.Set("Content-Type", s.out.ContentType())
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	if s.head != nil {
		s.head(h)
	}
	s.w.WriteHeader(http.StatusOK)
	s.sent = true
	s.last = time.Now()
	_ = s.ctl.SetWriteDeadline(s.last.Add(stuckAfter)) // not every ResponseWriter can; then only the connection's own limit holds
	s.timer.Reset(s.alive)
}

// tick sends a keep-alive after a silence, and the head if it is still waiting. While a write hangs it cannot take the
// lock, so the write deadline is not moved and the hanging write ends.
func (s *Writer) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.err != nil {
		return
	}
	if quiet := time.Since(s.last); s.sent && quiet < s.alive {
		_ = s.ctl.SetWriteDeadline(time.Now().Add(stuckAfter)) // as in sendHead
		s.timer.Reset(s.alive - quiet)
		return
	}
	s.buf = s.out.AppendPing(s.buf)
	if s.send(true) == nil {
		_ = s.ctl.SetWriteDeadline(time.Now().Add(stuckAfter)) // as in sendHead
		s.timer.Reset(s.alive)
	}
}
