package providertest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"patchbay/backend/provider"
)

// service is the other side: it answers from a script and keeps what it was asked.
type service struct {
	format Format
	srv    *httptest.Server

	mu      sync.Mutex // guards what follows
	plays   []play     // for the next requests; the last one stays
	asked   []request
	left    chan struct{}
	leftOne sync.Once // closes left
}

// request is what arrived.
type request struct {
	endpoint Endpoint
	header   http.Header
	path     string
	body     []byte
	key      string
	streams  bool
}

// play is how a request is answered: a Reply, and what goes wrong on the way.
type play struct {
	reply func(r request) Reply
	cutAt int // cut the connection after so many pieces; -1 = before the head, 0 = not at all
	hush  int // fall silent after so many pieces, until the client goes away; 0 = not at all
	// done is told whether all pieces could be written.
	done func(all bool)
}

func newService(t *testing.T, f Format) *service {
	s := &service{format: f, left: make(chan struct{})}
	s.srv = httptest.NewServer(s)
	t.Cleanup(func() {
		s.srv.CloseClientConnections()
		s.srv.Close()
	})
	return s
}

func (s *service) url() string { return s.srv.URL }

// next sets how the next requests are answered.
func (s *service) next(plays ...play) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plays = plays
}

// says lets the service answer with a, in the form that is asked for.
func (s *service) says(a Answer) {
	s.next(play{reply: func(r request) Reply { return s.format.Answer(a, r.streams) }})
}

// replies lets the service answer with fixed bytes.
func (s *service) replies(list ...Reply) {
	var plays []play
	for _, r := range list {
		plays = append(plays, play{reply: func(request) Reply { return r }})
	}
	s.next(plays...)
}

func (s *service) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.asked...)
}

func (s *service) last() request {
	all := s.requests()
	if len(all) == 0 {
		return request{}
	}
	return all[len(all)-1]
}

// ServeHTTP plays the next entry of the script.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	req := request{endpoint: s.format.Endpoint(r), header: r.Header.Clone(), path: r.URL.RequestURI(), body: body, key: s.format.Key(r)}
	req.streams = req.endpoint == EndpointAnswer && s.format.Streams(r, body)
	s.mu.Lock()
	s.asked = append(s.asked, req)
	var p play
	if len(s.plays) > 0 {
		p = s.plays[0]
		if len(s.plays) > 1 {
			s.plays = s.plays[1:]
		}
	}
	s.mu.Unlock()
	if p.reply == nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	all := p.perform(w, r.Context(), req, s.noteLeft)
	if p.done != nil {
		p.done(all)
	}
}

func (p play) perform(w http.ResponseWriter, ctx context.Context, req request, left func()) (all bool) {
	if p.cutAt < 0 {
		panic(http.ErrAbortHandler)
	}
	reply := p.reply(req)
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	if reply.Status == 0 {
		reply.Status = http.StatusOK
	}
	w.WriteHeader(reply.Status)
	rc := http.NewResponseController(w)
	for i, piece := range reply.Pieces {
		if p.cutAt > 0 && i == p.cutAt {
			panic(http.ErrAbortHandler)
		}
		if p.hush > 0 && i == p.hush {
			<-ctx.Done()
			left()
			return false
		}
		if _, err := w.Write(piece); err != nil {
			return false
		}
		if rc.Flush() != nil {
			return false
		}
	}
	return true
}

func (s *service) noteLeft() { s.leftOne.Do(func() { close(s.left) }) }

// awaitLeft waits until the service has seen the client go.
func (h *harness) awaitLeft() {
	h.t.Helper()
	select {
	case <-h.service.left:
	case <-time.After(30 * time.Second): // only to fail instead of hanging
		h.t.Error("the connection to the service is still open")
	}
}

func (h *harness) credential(context.Context) (provider.Credential, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return provider.Credential{Access: secretOf(h.token), Extra: h.s.Extra}, nil
}
