package chaos

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// line carries calls to the simulated services inside the process, so that a bubble of virtual time holds both ends. It
// is what package transport is in the program: one per outbound proxy.
type line struct {
	world *world
	proxy string
}

// RoundTrip asks the world what happens to a call, and has the simulated service do it.
func (l line) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close() // a RoundTripper must
		if err != nil {
			return nil, err
		}
	}
	if r.URL.Hostname() == loginHost {
		return l.renew(r, body)
	}
	c := l.world.arrive(l.proxy, r, body)
	if c.verdict == proxyDead {
		l.world.leave(c)
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &url.Error{Op: "dial", URL: "tcp", Err: syscall.ECONNREFUSED}}
	}
	if c.answer != "" { // a refusal in a form that the simulated service has no scenario for
		defer l.world.leave(c)
		if err := pause(r.Context(), c.latency); err != nil {
			return nil, err
		}
		l.world.told(c)
		return &http.Response{Status: strconv.Itoa(c.status), StatusCode: c.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(c.answer)), ContentLength: -1}, nil
	}
	if c.scenario != "" {
		body = bytes.Replace(body, []byte(c.req.asks()), []byte(c.req.asks()+" [["+c.scenario+"]]"), 1)
	}
	resp, err := l.serve(r, body, func() { l.world.leave(c) })
	if err != nil {
		return nil, err
	}
	l.world.told(c)
	if c.verdict == limitSilent {
		for name := range resp.Header {
			if strings.Contains(name, "Ratelimit") {
				delete(resp.Header, name) // they tell a time
			}
		}
	}
	return resp, nil
}

// renew is a call to a token endpoint.
func (l line) renew(r *http.Request, body []byte) (*http.Response, error) {
	if err := pause(r.Context(), 300*time.Millisecond); err != nil {
		return nil, err
	}
	if refused := l.world.renewing(l.proxy, string(body)); refused != "" {
		return &http.Response{Status: "400", StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(refused)), ContentLength: -1}, nil
	}
	resp, err := l.serve(r, body, func() {})
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	l.world.renewed(string(body), string(data))
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, nil
}

// serve runs the handler in a goroutine of its own and returns with the head of its answer. done is called when it ends.
func (l line) serve(r *http.Request, body []byte, done func()) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	p := &pipe{cancel: cancel, head: http.Header{}, ready: make(chan struct{})}
	p.more.L = &p.mu
	stop := context.AfterFunc(ctx, func() { p.end(context.Cause(ctx)) })
	in := r.Clone(ctx)
	in.Body, in.ContentLength, in.RequestURI, in.RemoteAddr = io.NopCloser(bytes.NewReader(body)), int64(len(body)), r.URL.RequestURI(), "127.0.0.1:1"
	go func() { // ends with the handler, which the context bounds
		defer done()
		defer stop()
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			} else if v != nil {
				p.end(io.ErrUnexpectedEOF)
			}
			p.end(io.EOF)
		}()
		l.world.services.ServeHTTP(p, in)
		p.WriteHeader(http.StatusOK)
	}()
	<-p.ready
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status == 0 {
		cancel()
		if p.err == io.ErrUnexpectedEOF {
			return nil, io.EOF // as net/http tells of a connection that ends before a head
		}
		return nil, p.err
	}
	return &http.Response{
		Status: strconv.Itoa(p.status), StatusCode: p.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.sent, Body: p, ContentLength: -1, Request: r,
	}, nil
}

// pipe is both ends of an answer on its way: an http.ResponseWriter, and the body that the client reads.
type pipe struct {
	cancel context.CancelFunc
	head   http.Header
	ready  chan struct{} // closed with the head, or with the end

	mu     sync.Mutex // guards what follows
	more   sync.Cond
	sent   http.Header
	status int
	buf    []byte
	err    error // the end: io.EOF, or what broke
}

func (p *pipe) Header() http.Header { return p.head }

func (p *pipe) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status == 0 && p.err == nil {
		p.status, p.sent = status, p.head.Clone()
		close(p.ready)
	}
}

func (p *pipe) Write(data []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	p.buf = append(p.buf, data...)
	p.more.Broadcast()
	return len(data), nil
}

func (p *pipe) Flush() {}

func (p *pipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	if p.status == 0 {
		close(p.ready)
	}
	p.more.Broadcast()
}

func (p *pipe) Read(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && p.err == nil {
		p.more.Wait()
	}
	if len(p.buf) > 0 && (p.err == nil || p.err == io.EOF || p.err == io.ErrUnexpectedEOF) {
		n := copy(data, p.buf)
		p.buf = p.buf[n:]
		return n, nil
	}
	return 0, p.err
}

func (p *pipe) Close() error {
	p.cancel()
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sink is the connection of a client: it takes the answer of Patchbay's server.
type sink struct {
	gone atomic.Bool // the client hung up
	head http.Header
	word []byte // what the content begins with

	mu     sync.Mutex // guards what follows
	status int
	body   []byte
	begun  bool // content has come
}

func (s *sink) Header() http.Header { return s.head }

func (s *sink) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 {
		s.status = status
	}
}

func (s *sink) Write(data []byte) (int, error) {
	if s.gone.Load() {
		return 0, net.ErrClosed
	}
	s.WriteHeader(http.StatusOK)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = append(s.body, data...)
	s.begun = s.begun || bytes.Contains(data, s.word)
	return len(data), nil
}

func (s *sink) Flush() {}

func (s *sink) hasBegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}
