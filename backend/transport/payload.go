package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// payload is the body of a call. It is let go of as soon as it was sent and the head of the answer is there: net/http
// keeps the request until the answer has been read to its end, and a stream may last for many minutes after a prompt of
// megabytes.
type payload struct {
	mu   sync.Mutex // guards everything below
	data []byte
	// reader is the latest one that net/http got. It must be a plain bytes.Reader, or the head is sent in a packet of its
	// own; so it may be touched only when nobody reads it any more.
	reader         *bytes.Reader
	written, ended bool // reader was read to its end; the call needs the data no more
}

// trace returns a context under which the payload hears when it was written.
func (p *payload) trace(ctx context.Context, data []byte) context.Context {
	p.data = data
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.written = true
		p.release()
	}})
}

var errPayloadGone = errors.New("the body of an answered call is not kept")

// open returns a reader of the data, for the first time or for a repetition on another connection.
func (p *payload) open() (io.ReadCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.data == nil {
		return nil, errPayloadGone
	}
	p.written = false
	p.reader = bytes.NewReader(p.data)
	if len(p.data) == 0 {
		return http.NoBody, nil
	}
	return io.NopCloser(p.reader), nil
}

// answered says that the call needs its data no more.
func (p *payload) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data, p.ended = nil, true
	p.release()
}

// release empties the reader once both ends are through with it. The caller holds mu.
func (p *payload) release() {
	if p.written && p.ended && p.reader != nil {
		p.reader.Reset(nil)
	}
}
