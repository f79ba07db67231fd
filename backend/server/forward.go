package server

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/gateway"
	"patchbay/backend/provider"
)

// rawTarget is a request that is passed on as it is.
type rawTarget struct {
	provider string
	path     string // escaped, as the client sent it
	err      error  // why the provider cannot serve
}

// rawTarget tells whether path or header lead to a provider that gets requests as they are. Its path is what the client
// sent, not what it was mended to: nothing is known of the service's endpoints.
func (s *Server) rawTarget(sent, first string, caller *gateway.Caller) (rawTarget, bool) {
	name, path := caller.PathProvider, sent
	if name != "" {
		path = behindFirst(sent)
	} else if name = caller.HeaderProvider; name == "" || first == "health" || first == "metrics" {
		return rawTarget{}, false
	}
	id, raw, err := s.o.Models.Raw(name)
	return rawTarget{provider: id, path: path, err: err}, raw
}

// behindFirst takes the first segment off a path.
func behindFirst(path string) string {
	path = strings.TrimLeft(path, "/")
	_, rest, _ := strings.Cut(path, "/")
	return "/" + rest
}

// forward passes a request on and its answer back.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, t rawTarget, caller *gateway.Caller) {
	c := s.o.Codecs[0]
	if !s.admitted(r, "", caller) { // no endpoint of ours, so none that is open
		s.fail(w, r, c, noKey())
		return
	}
	if t.err != nil {
		s.fail(w, r, c, t.err)
		return
	}
	s.hand(w, r, caller, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.passOnRaw(w, r, t, caller) }))
}

func (s *Server) passOnRaw(w http.ResponseWriter, r *http.Request, t rawTarget, caller *gateway.Caller) {
	c := s.o.Codecs[0]
	if cap := captureOf(r); cap != nil {
		cap.Call("forward", r.Method)
	}
	body, err := s.rawBody(w, r)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	if len(body) == 0 && r.ContentLength <= 0 {
		body = nil
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	begun := false
	raw := &provider.RawRequest{Method: r.Method, Path: t.path, Query: withoutKey(r.URL.RawQuery), Header: r.Header, Body: body}
	err = s.o.Gateway.Forward(r.Context(), t.provider, raw, *caller, func(a *provider.RawAnswer, rt gateway.Route) error {
		begun = true
		return passOn(w, a, rt)
	})
	switch {
	case err == nil:
	case !begun:
		s.fail(w, r, c, err)
	default:
		panic(http.ErrAbortHandler) // the answer is cut: its end must not look like one
	}
}

// withoutKey takes a client key out of a query and leaves the rest as it is.
func withoutKey(query string) string {
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if n, err := url.QueryUnescape(name); err == nil && n == "key" || part == "" {
			continue
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, "&")
}

// keptBack are headers of an answer that belong to the connection, or that are Patchbay's own to say.
var keptBack = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true, "Set-Cookie": true, "Alt-Svc": true, "Strict-Transport-Security": true, "Www-Authenticate": true, "X-Request-Id": true, "Request-Id": true,
	"Access-Control-Allow-Origin": true, "Access-Control-Allow-Credentials": true, "Access-Control-Allow-Headers": true,
	"Access-Control-Allow-Methods": true, "Access-Control-Expose-Headers": true, "Access-Control-Max-Age": true,
}

// passOn writes an answer as it comes. An error of the reader is the service's, one of the writer means that the client is
// gone.
func passOn(w http.ResponseWriter, a *provider.RawAnswer, rt gateway.Route) error {
	h, named := w.Header(), map[string]bool{}
	for _, list := range a.Header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			named[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	for name, values := range a.Header {
		if !keptBack[name] && !named[name] && !strings.HasPrefix(name, "X-Patchbay-") {
			h[name] = values
		}
	}
	routeHeaders(h, rt)
	h.Del("X-Patchbay-Model") // no model is known
	w.WriteHeader(a.Status)
	ctl := http.NewResponseController(w)
	_ = ctl.Flush() // where it cannot be done, the bytes go when the buffer is full
	buf := make([]byte, 32<<10)
	for {
		n, err := a.Body.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return gateway.ErrClientGone
			}
			_ = ctl.Flush()
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func noKey() *apierror.Error {
	return apierror.New(apierror.ClientUnauthorized, "no valid client key: send a key that `patchbay keys` lists as a bearer token, x-api-key or x-goog-api-key")
}
