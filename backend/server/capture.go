package server

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"patchbay/backend/gateway"
	"patchbay/backend/record"
	"patchbay/backend/transport"
)

type captureKey struct{}

// captured is a request of which notes are taken.
type captured struct {
	*record.Capture
	path string // as the client sent it, without its key
	key  string // that it presented
}

// captureOf returns who takes notes of a request, nil if nobody does.
func captureOf(r *http.Request) *captured {
	c, _ := r.Context().Value(captureKey{}).(*captured)
	return c
}

// hand gives a request to its endpoint; notes are taken of it where that is wanted.
func (s *Server) hand(w http.ResponseWriter, r *http.Request, caller *gateway.Caller, to http.Handler) {
	if s.o.Bodies == nil || r.Method != http.MethodPost {
		to.ServeHTTP(w, r)
		return
	}
	c := s.o.Bodies.Start(caller.RequestID, caller.KeyID, caller.KeyName)
	if c == nil {
		to.ServeHTTP(w, r)
		return
	}
	defer c.End()
	path, query, _ := strings.Cut(r.RequestURI, "?") // the URL may have been mended by now
	if query = withoutKey(query); query != "" {
		path += "?" + query
	}
	ctx := context.WithValue(r.Context(), captureKey{}, &captured{Capture: c, path: path, key: presentedKey(r)})
	to.ServeHTTP(&noting{ResponseWriter: w, c: c}, r.WithContext(transport.WithTap(ctx, tap{c})))
}

// noteBody notes what a client sent.
func noteBody(r *http.Request, body []byte) {
	if c := captureOf(r); c != nil {
		c.Client(r.Method, c.path, r.Header, body, c.key)
	}
}

// noting notes what goes to the client.
type noting struct {
	http.ResponseWriter
	c    *record.Capture
	head bool
}

// WriteHeader notes the head of an answer.
func (n *noting) WriteHeader(status int) {
	if !n.head && status >= http.StatusOK {
		n.head = true
		n.c.Head(status, n.Header())
	}
	n.ResponseWriter.WriteHeader(status)
}

// Write notes a piece of an answer.
func (n *noting) Write(p []byte) (int, error) {
	if !n.head {
		n.head = true
		n.c.Head(http.StatusOK, n.Header())
	}
	n.c.Write(p)
	return n.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (n *noting) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// tap notes calls to services.
type tap struct{ c *record.Capture }

// Call implements transport.Tap.
func (t tap) Call(c *transport.Call, header http.Header) transport.TappedCall {
	method := c.Method
	if method == "" {
		method = http.MethodGet
		if c.Body != nil {
			method = http.MethodPost
		}
	}
	return t.c.Upstream(c.Provider, c.Account, method, c.URL, header, c.Body, c.Secrets)
}

// notSentAgain are headers of a client that belonged to its connection, or to the body as it came.
var notSentAgain = map[string]bool{"Content-Length": true, "Content-Encoding": true, "Accept-Encoding": true, "Connection": true}

// Replay sends a request again that was kept, for the client key of caller, and returns its new id at once. The answer goes
// nowhere but into the record.
func (s *Server) Replay(k *record.Kept, caller gateway.Caller) (string, error) {
	r, err := http.NewRequestWithContext(s.base, k.Request.Method, "http://127.0.0.1"+k.Request.URL, bytes.NewReader([]byte(k.Request.Body)))
	if err != nil {
		return "", err
	}
	r.RequestURI = k.Request.URL
	for name, value := range k.Request.Header {
		if value != record.Hidden && !notSentAgain[name] {
			r.Header.Set(name, value)
		}
	}
	caller.RequestID, caller.ReplayOf, caller.HeaderProvider = requestID(), k.ID, headerProvider(r)
	w := &nowhere{header: http.Header{}}
	go func() { // ends with the answer, or when the server stops
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { // that one says that an answer was cut
				s.logPanic(r, p)
			}
		}()
		s.dispatch(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, &caller)), &caller)
	}()
	return caller.RequestID, nil
}

// nowhere takes an answer that nobody reads.
type nowhere struct{ header http.Header }

// Header implements http.ResponseWriter.
func (n *nowhere) Header() http.Header { return n.header }

// Write implements http.ResponseWriter.
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (n *nowhere) WriteHeader(int) {}

// Flush lets a stream be sent piece by piece.
func (n *nowhere) Flush() {}
