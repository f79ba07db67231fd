package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/gateway"
	"patchbay/backend/route"
	"patchbay/backend/wire"
)

type callerKey struct{}

// callerOf returns who asks; middleware has put it there.
func callerOf(r *http.Request) gateway.Caller {
	c, _ := r.Context().Value(callerKey{}).(*gateway.Caller)
	if c == nil {
		return gateway.Caller{}
	}
	return *c
}

// ServeHTTP guards, cleans the path and hands over to an endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, caller := identify(w, r)
	defer s.recoverPanic(w, r)
	if !s.turnedAway(w, r) {
		s.dispatch(w, r, caller)
	}
}

// identify gives a request its id and a place for what is found out about its sender.
func identify(w http.ResponseWriter, r *http.Request) (*http.Request, *gateway.Caller) {
	caller := &gateway.Caller{RequestID: requestID(), HeaderProvider: headerProvider(r), Account: r.Header.Get("X-Patchbay-Account"), Tags: headerTags(r)}
	h := w.Header()
	h.Set("X-Patchbay-Request-Id", caller.RequestID)
	h.Set("X-Request-Id", caller.RequestID)
	h.Set("Request-Id", caller.RequestID)
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)), caller
}

// turnedAway answers what the guard lets not through, and what is no request for a model endpoint.
func (s *Server) turnedAway(w http.ResponseWriter, r *http.Request) (done bool) {
	guard := s.o.Settings().Guard
	if !guard.hostAllowed(r.Host) {
		http.Error(w, "this host name is not known to Patchbay; add it to server.allowed_hosts if it should be", http.StatusForbidden)
		return true
	}
	if s.o.API != nil && strings.HasPrefix(r.URL.Path, "/api/") {
		s.o.API.ServeHTTP(w, r) // no page of another origin ever reaches it: the rules below are for the model endpoints
		return true
	}
	if s.o.UI != nil && (r.URL.Path == "/ui" || strings.HasPrefix(r.URL.Path, "/ui/")) {
		s.o.UI.ServeHTTP(w, r)
		return true
	}
	if fromOwnPage(r) && r.Method != http.MethodOptions {
		return false
	}
	return guard.cors(w, r)
}

// headerTags reads the header that names tags which an account must have.
func headerTags(r *http.Request) (tags []string) {
	for tag := range strings.SplitSeq(r.Header.Get("X-Patchbay-Tag"), ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// headerProvider reads the header that names a provider; the second one is AIClient-2-API's.
func headerProvider(r *http.Request) string {
	if p := r.Header.Get("X-Patchbay-Provider"); p != "" {
		return p
	}
	return r.Header.Get("Model-Provider")
}

func requestID() string {
	var b [12]byte
	rand.Read(b[:]) // crypto/rand: never fails
	return "req_" + hex.EncodeToString(b[:])
}

// dispatch finds the endpoint. Provider segments are resolved before keys are asked for, so that HEAD / and HEAD
// /{provider} answer Claude Code's first call, which has no key.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, caller *gateway.Caller) {
	sent := r.URL.EscapedPath()
	path, at := cleanPath(sent), s.host
	first, rest := splitProvider(path)
	if h := s.hosts[first]; h != nil {
		path, at, sent = rest, h, behindFirst(sent)
		first, rest = splitProvider(path)
	}
	if first == "api" && at == nil { // the common root has the management API there, and nothing else
		s.notFound(w, r, path)
		return
	}
	if !ownSegments[first] {
		id, kind := s.o.Models.ResolvePath(first)
		switch kind {
		case route.PathDeclined:
			s.fail(w, r, s.codecFor(r, rest), apierror.New(apierror.Unsupported, "%s is not supported by Patchbay; use one of the providers that GET /v1/models lists", first))
			return
		case route.PathUnknown:
			s.notFound(w, r, path)
			return
		}
		caller.PathProvider = id
		path = rest
	}
	setPath(r, path)
	if path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		s.root(w, r, at)
		return
	}
	if raw, ok := s.rawTarget(sent, first, caller); ok {
		s.forward(w, r, raw, caller)
		return
	}
	if path == "/" {
		s.root(w, r, at)
		return
	}
	_, pattern := s.mux.Handler(r)
	if !s.admitted(r, pattern, caller) {
		s.fail(w, r, s.codecFor(r, path), noKey())
		return
	}
	if pattern == "" {
		s.unmatched(w, r, path)
		return
	}
	s.hand(w, r, caller, s.mux)
}

// ownSegments are first segments that are never a provider.
var ownSegments = map[string]bool{"": true, "v1": true, "v1beta": true, "health": true, "metrics": true, "api": true, "ui": true}

func setPath(r *http.Request, escaped string) {
	r.URL.RawPath = escaped
	if p, err := url.PathUnescape(escaped); err == nil {
		r.URL.Path = p
	} else {
		r.URL.Path = escaped
	}
}

// admitted checks the client key where one is needed. pattern is that of the endpoint, "" if there is none.
func (s *Server) admitted(r *http.Request, pattern string, caller *gateway.Caller) bool {
	if caller.ReplayOf != "" {
		return true // it was let in by whoever asked for it to be sent again
	}
	presented := presentedKey(r)
	key, ok := s.o.Keys.Check(presented)
	if !ok && s.o.Session != nil && fromOwnPage(r) {
		key, ok = s.o.Session(r.Context(), presented)
		caller.Own = ok
	}
	if ok {
		caller.KeyID, caller.KeyName = key.ID, key.Name
		if key.Limits.Narrow() {
			limits := key.Limits // key itself stays off the heap where nothing is ruled out
			caller.Limits = &limits
		}
		return true
	}
	switch {
	case s.o.NoKey != nil && s.o.NoKey() && fromLoopback(r):
		return true
	case pattern == "GET /health":
		return true
	case pattern == "GET /metrics":
		return fromLoopback(r)
	}
	switch s.access[pattern] {
	case wire.AccessAll:
		return true
	case wire.AccessLocal:
		return fromLoopback(r)
	default:
		return false
	}
}

// root answers GET and HEAD of /, of a provider's own root and of a codec's.
func (s *Server) root(w http.ResponseWriter, r *http.Request, at *host) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.notFound(w, r, "/")
		return
	}
	if at == nil && s.o.UI != nil && callerOf(r).PathProvider == "" && wantsPage(r) {
		http.Redirect(w, r, "/ui/", http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	text := "Patchbay is running\n"
	if at != nil {
		text = at.text
	}
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte(text)) // the client may be gone
	}
}

// wantsPage reports whether a person's browser asks: no client library asks for HTML.
func wantsPage(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// unmatched answers a path that exists under another method, or not at all.
func (s *Server) unmatched(w http.ResponseWriter, r *http.Request, path string) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := s.mux.Handler(probe); pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		s.notFound(w, r, path)
		return
	}
	c := s.codecFor(r, path)
	_, _, body := c.Error(apierror.New(apierror.RouteNotFound, "%s does not take %s; use %s", path, r.Method, strings.Join(allowed, " or ")), callerOf(r).RequestID)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeJSON(w, http.StatusMethodNotAllowed, body)
}

// notFound names the base URLs that are right: a wrong one is the most common mistake of all.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request, path string) {
	base := "http://" + r.Host
	s.fail(w, r, s.codecFor(r, path), apierror.New(apierror.RouteNotFound,
		"there is nothing at %s. Base URLs: %s; with /PROVIDER after the host for one provider", path, s.addresses(base)))
}

// addresses lists the base URLs of all formats, clients of one and the same together.
func (s *Server) addresses(base string) string {
	var urls []string
	clients := map[string][]string{}
	for _, c := range s.o.Codecs {
		a, ok := c.(wire.Addressed)
		if !ok {
			continue
		}
		name, suffix := a.Address()
		if s.host != nil && s.host.codec.Name() == c.Name() {
			suffix = "" // this server is the format's own host
		}
		if url := base + suffix; !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
		clients[base+suffix] = append(clients[base+suffix], name)
	}
	for i, url := range urls {
		urls[i] = url + " for " + strings.Join(clients[url], " and ") + " clients"
	}
	return strings.Join(urls, ", ")
}

// codecFor guesses the format a request speaks, for errors before an endpoint was found.
func (s *Server) codecFor(r *http.Request, path string) wire.Codec {
	for _, c := range s.o.Codecs {
		if a, ok := c.(wire.Addressed); ok && a.Likely(r, path) {
			return c
		}
	}
	if s.host != nil {
		return s.host.codec
	}
	return s.o.Codecs[0]
}

// recoverPanic keeps the process up. What was sent stays sent: a stream has ended itself by then.
func (s *Server) recoverPanic(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.logPanic(r, p)
	s.fail(w, r, s.codecFor(r, r.URL.Path), apierror.New(apierror.Internal, "Patchbay failed; its log says more"))
}

func (s *Server) logPanic(r *http.Request, p any) {
	s.o.Logger.Error("A request handler crashed", "req", callerOf(r).RequestID, "panic", p, "stack", string(debug.Stack()))
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	h := s.o.Health()
	if callerOf(r).KeyID == "" {
		h.Reasons = nil
	}
	body, err := json.Marshal(h)
	if err != nil {
		s.fail(w, r, s.o.Codecs[0], err)
		return
	}
	status := http.StatusOK
	if h.Status == HealthDown {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, body)
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	writeJSON(w, http.StatusOK, s.o.Metrics(nil))
}
