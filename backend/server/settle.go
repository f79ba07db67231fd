package server

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// settleChange is how many streams must have begun or ended since memory was given back last.
	settleChange = 100
	// settleQuiet is how long none must have begun or ended for a burst to be over, settleAtMost how long it may take.
	settleQuiet  = 2 * time.Second
	settleAtMost = 8 * time.Second
)

// settler collects garbage once after a burst of requests has begun or ended, and gives the memory back. Starting a stream
// leaves more garbage and a deeper stack behind than its chunks do in minutes, so the collector by itself would come late.
type settler struct {
	collect func()

	mu      sync.Mutex // guards everything below
	streams int
	settled int // streams at the last collection
	timer   *time.Timer
	begun   time.Time // when the burst was noticed; zero = there is none
}

func newSettler() *settler { return &settler{collect: giveBack} }

// giveBack collects twice: a sync.Pool lets go of what it holds only at the second time.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
	dropProgram()
}

// started tells that the program has come up: that is a burst too.
func (s *settler) started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		s.begin()
	}
}

// begin notes that a burst has begun; the lock is held.
func (s *settler) begin() {
	s.begun = time.Now()
	s.timer = time.AfterFunc(settleQuiet, s.settle)
}

// add tells that streams have begun, or ended.
func (s *settler) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams += n
	switch d := s.streams - s.settled; {
	case !s.begun.IsZero():
		if time.Since(s.begun) < settleAtMost-settleQuiet {
			s.timer.Reset(settleQuiet)
		}
	case d >= settleChange || -d >= settleChange:
		s.begin()
	}
}

func (s *settler) settle() {
	s.mu.Lock()
	s.settled, s.begun = s.streams, time.Time{}
	s.mu.Unlock()
	s.collect()
}
