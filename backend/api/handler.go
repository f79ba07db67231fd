package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
)

// Limits of one call.
const (
	bodyLimit = 1 << 20
	timeLimit = 30 * time.Second
)

// Handler serves svc under /api/. Every call needs the token; while token returns "" none is let in.
//
// No page of another origin may call, and none is ever told that it may: the rule that lets browser apps use the model
// endpoints does not reach here. The Host is checked by the server in front.
func Handler(svc Service, token func() string) http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.HandleFunc(e.pattern, func(w http.ResponseWriter, r *http.Request) { e.serve(svc, w, r) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if err := admit(r, token()); err != nil {
			fail(w, err)
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			unmatched(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// admit lets in who holds the token. A foreign page is told so first, so that its developer sees the reason.
func admit(r *http.Request, token string) error {
	if o := r.Header.Get("Origin"); o != "" && o != "http://"+r.Host && o != "https://"+r.Host {
		return apierror.New(apierror.ClientForbidden, "pages of %s may not call the management API", clip(o))
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Hashes have the same length, so that the comparison tells nothing about the token.
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(strings.TrimSpace(given)))
	same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	if token == "" || !same || !strings.EqualFold(scheme, "Bearer") {
		return apierror.New(apierror.ClientUnauthorized, "the management API needs its token; client keys do not open it")
	}
	return nil
}

// clip keeps what a stranger sent short.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}

func (e endpoint) serve(svc Service, w http.ResponseWriter, r *http.Request) {
	if t := r.Header.Get("Content-Type"); r.ContentLength != 0 && !isJSON(t) {
		fail(w, apierror.Invalid("", "send the body as application/json"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeLimit)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, cmp.Or(e.limit, bodyLimit))
	body, err := e.call(svc, r)
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
		err = apierror.New(apierror.Timeout, "Patchbay took longer than %s for this; try again", timeLimit)
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
	write(w, status, failure{failureBody{e.Kind.String(), e.Msg, e.Param}}, json.JoinOptions())
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
	body := failure{failureBody{apierror.InvalidRequest.String(), r.URL.Path + " takes " + strings.Join(allowed, " or "), ""}}
	write(w, http.StatusMethodNotAllowed, body, json.JoinOptions())
}
