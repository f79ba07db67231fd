package logging

import (
	"context"
	"iter"
	"sync"
)

// ring keeps the newest lines and hands new ones to followers.
type ring struct {
	mu        sync.Mutex // guards all below
	lines     []Line     // a circle: the line of number n stands at (n-1) % len
	seq       uint64     // of the newest line
	followers map[chan Line]struct{}
}

func newRing(size int) *ring {
	if size <= 0 {
		size = DefaultRing
	}
	return &ring{lines: make([]Line, size), followers: map[chan Line]struct{}{}}
}

func (r *ring) add(line Line) Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	line.Seq = r.seq
	r.lines[(r.seq-1)%uint64(len(r.lines))] = line
	for ch := range r.followers {
		select {
		case ch <- line:
		default: // the reader sees the gap by Seq
		}
	}
	return line
}

func (r *ring) after(seq uint64, limit int) []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := seq
	if n := uint64(len(r.lines)); r.seq > n {
		first = max(first, r.seq-n)
	}
	if limit > 0 && r.seq > uint64(limit) {
		first = max(first, r.seq-uint64(limit))
	}
	if first >= r.seq {
		return nil
	}
	out := make([]Line, 0, r.seq-first)
	for n := first; n < r.seq; n++ {
		out = append(out, r.lines[n%uint64(len(r.lines))])
	}
	return out
}

func (r *ring) follow(ctx context.Context) iter.Seq[Line] {
	ch := make(chan Line, 256)
	r.mu.Lock()
	r.followers[ch] = struct{}{}
	r.mu.Unlock()
	drop := func() {
		r.mu.Lock()
		delete(r.followers, ch)
		r.mu.Unlock()
	}
	context.AfterFunc(ctx, drop)
	return func(yield func(Line) bool) {
		defer drop()
		for {
			select {
			case line := <-ch:
				if !yield(line) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
