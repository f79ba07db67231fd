package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gorilla/websocket"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/session"
)

// Limits of one call.
const (
	bodyLimit = 1 << 20
	timeLimit = 30 * time.Second
	// testLimit is that of a call in which a model answers: one on this computer may have to be loaded first. The service has
	// an earlier end of its own, which it can explain.
	testLimit = 2 * time.Minute
)

// SeqHeader is the header of every answer that says up to which hint of the feed the answer is known to be new.
const SeqHeader = "X-Patchbay-Seq"

// Options are what the HTTP face needs besides the service.
type Options struct {
	Token    func() string     // of this instance, for the commands; "" lets none in by it
	Sessions *session.Sessions // of the page; nil = there is no page
	Bus      *events.Bus       // hints for the feed; nil = there is no feed
	Base     func() string     // the address under which the page is opened; nil = that of the request
	Done     <-chan struct{}   // ends feeds; nil = they end with their connection
}

type handler struct {
	svc Service
	o   Options
	mux *http.ServeMux
	// description is made when it is first asked for.
	description func() []byte
}

// Handler serves svc under /api/. Every call needs the instance's token or that of a session; without both none is let in.
//
// No page of another origin may call, and none is ever told that it may: the rule that lets browser apps use the model
// endpoints does not reach here. The Host is checked by the server in front.
func Handler(svc Service, o Options) http.Handler {
	h := &handler{svc: svc, o: o, mux: http.NewServeMux(), description: sync.OnceValue(description)}
	for _, e := range endpoints {
		h.mux.HandleFunc(e.pattern, func(w http.ResponseWriter, r *http.Request) { h.serve(e, w, r) })
	}
	return h
}

// openPatterns are the calls that need no token.
var openPatterns = func() map[string]bool {
	out := map[string]bool{}
	for _, e := range endpoints {
		if e.open {
			out[e.pattern] = true
		}
	}
	return out
}()

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if o := r.Header.Get("Origin"); o != "" && o != "http://"+r.Host && o != "https://"+r.Host {
		// A foreign page is told so first, so that its developer sees the reason.
		fail(w, apierror.New(apierror.ClientForbidden, "pages of %s may not call the management API", clip(o)))
		return
	}
	_, pattern := h.mux.Handler(r)
	if !openPatterns[pattern] && !h.admits(r) {
		fail(w, apierror.New(apierror.ClientUnauthorized, "the management API needs the token of a session; client keys do not open it. "+
			"`patchbay open` opens the page with one"))
		return
	}
	if pattern == "" {
		unmatched(w, r, h.mux)
		return
	}
	if h.o.Bus != nil {
		// Before the owners are asked: what changes meanwhile has a larger number and is asked for again.
		head.Set(SeqHeader, strconv.FormatUint(h.o.Bus.Seq(), 10))
	}
	h.mux.ServeHTTP(w, r)
}

// admits lets in who holds a token.
func (h *handler) admits(r *http.Request) bool {
	given := bearerOf(r)
	if given == "" {
		return false
	}
	if h.o.Token != nil {
		// Hashes have the same length, so that the comparison tells nothing about the token.
		token := h.o.Token()
		want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(given))
		if token != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1 {
			return true
		}
	}
	if h.o.Sessions == nil {
		return false
	}
	_, ok := h.o.Sessions.Check(r.Context(), given)
	return ok
}

// bearerOf returns the token of a request. A browser cannot set headers of a WebSocket; there it comes as a protocol.
func bearerOf(r *http.Request) string {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(given)
	}
	if websocket.IsWebSocketUpgrade(r) {
		for _, p := range websocket.Subprotocols(r) {
			if token, ok := strings.CutPrefix(p, "bearer."); ok {
				return token
			}
		}
	}
	return ""
}

// clip keeps what a stranger sent short.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

func (h *handler) serve(e endpoint, w http.ResponseWriter, r *http.Request) {
	if t := r.Header.Get("Content-Type"); r.ContentLength != 0 && !isJSON(t) {
		fail(w, apierror.Invalid("", "send the body as application/json"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, cmp.Or(e.limit, bodyLimit))
	if e.raw != nil {
		e.raw(h, w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(e.time, timeLimit))
	defer cancel()
	body, err := e.call(h.svc, r.WithContext(ctx))
	if err != nil {
		fail(w, err)
		return
	}
	status := max(e.status, http.StatusOK)
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	opts := json.JoinOptions()
	if e.reveals {
		opts = revealing
	}
	write(w, status, body, opts)
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "application/json"
}

func write(w http.ResponseWriter, status int, body any, opts json.Options) {
	b, err := json.Marshal(body, opts)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the caller may be gone
}

// statuses are the HTTP statuses of kinds; any other kind is the service's fault, 500.
var statuses = map[apierror.Kind]int{
	apierror.InvalidRequest:     http.StatusBadRequest,
	apierror.Unsupported:        http.StatusBadRequest,
	apierror.NotConfigured:      http.StatusBadRequest,
	apierror.ClientUnauthorized: http.StatusUnauthorized,
	apierror.ClientForbidden:    http.StatusForbidden,
	apierror.ClientLimited:      http.StatusTooManyRequests,
	apierror.PolicyRefused:      http.StatusForbidden,
	apierror.RouteNotFound:      http.StatusNotFound,
	apierror.ModelNotFound:      http.StatusNotFound,
	apierror.BodyTooLarge:       http.StatusRequestEntityTooLarge,
	apierror.AuthExpired:        http.StatusConflict, // of an account, which is not the caller's own standing
	apierror.AccountBlocked:     http.StatusConflict,
	apierror.Transport:          http.StatusBadGateway,
	apierror.Upstream5xx:        http.StatusBadGateway,
	apierror.RateLimited:        http.StatusBadGateway,
	apierror.Timeout:            http.StatusGatewayTimeout,
	apierror.Shutdown:           http.StatusServiceUnavailable,
}

// fail answers with an error. What the cause was goes to nobody: it may hold what is not for show.
func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		err = apierror.New(apierror.Timeout, "Patchbay took too long for this; try again")
	}
	if mb, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = apierror.New(apierror.BodyTooLarge, "the body is larger than %d bytes", mb.Limit)
	}
	e := apierror.From(err)
	status, ok := statuses[e.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if e.RetryAfter > 0 && status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	write(w, status, Failure{FailureBody{e.Kind.String(), e.Msg, e.Param}}, json.JoinOptions())
}

// unmatched answers a path that is not there, or not with this method.
func unmatched(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := mux.Handler(probe); pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		fail(w, apierror.New(apierror.RouteNotFound, "the management API has nothing at %s", clip(r.URL.Path)))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	body := Failure{FailureBody{apierror.InvalidRequest.String(), r.URL.Path + " takes " + strings.Join(allowed, " or "), ""}}
	write(w, http.StatusMethodNotAllowed, body, json.JoinOptions())
}
