package simulator

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Request is the record of one request that an upstream received.
type Request struct {
	ID       int         `json:"id"` // counts from 1 over all upstreams
	Upstream string      `json:"upstream"`
	Method   string      `json:"method"`
	Path     string      `json:"path"` // below the upstream's prefix
	Query    string      `json:"query,omitempty"`
	Header   http.Header `json:"header"`
	Body     []byte      `json:"-"`   // as it came
	Key      string      `json:"key"` // the credential, without its scheme
	Time     time.Time   `json:"time"`
	Scenario Scenario    `json:"scenario,omitempty"` // what was chosen; empty: by the request itself
	Status   int         `json:"status"`             // 0: no head was sent
	// Refused says why the request itself was wrong; empty when it was not, or
	// when a scenario made the failure.
	Refused string `json:"refused,omitempty"`
	// Finished is set when the handler has returned.
	Finished bool `json:"finished"`
	// Disconnected is set when the client went away before the answer's end.
	Disconnected bool `json:"disconnected"`
}

// Requests returns copies of the recorded requests, oldest first. Headers and
// bodies are shared with the record and must not be changed.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.records))
	for i, r := range s.records {
		out[i] = *r
	}
	return out
}

// Await returns the first recorded request that satisfies ok, and waits for it
// until ctx ends. It lets a test wait for "the client went away was noticed".
func (s *Server) Await(ctx context.Context, ok func(Request) bool) (Request, error) {
	var found Request
	err := s.await(ctx, func(list []*Request) bool {
		i := slices.IndexFunc(list, func(r *Request) bool { return ok(*r) })
		if i >= 0 {
			found = *list[i]
		}
		return i >= 0
	})
	return found, err
}

// await waits until the records satisfy ok, which is called under the lock.
func (s *Server) await(ctx context.Context, ok func([]*Request) bool) error {
	for {
		s.mu.Lock()
		done, changed := ok(s.records), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// record adds a request to the list and drops the oldest when it is full.
func (s *Server) record(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, r)
	if over := len(s.records) - s.opts.Keep; over > 0 {
		s.records, s.dropped = s.records[over:], s.dropped+over
	}
	r.ID = s.dropped + len(s.records)
	s.notify()
}

// update changes a record under the lock and wakes those who wait.
func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.notify()
}

// notify wakes everyone in Await; the lock is held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}
