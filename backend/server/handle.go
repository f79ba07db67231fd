package server

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/gateway"
	"patchbay/backend/route"
	"patchbay/backend/wire"
)

// answer serves a request for a model's answer in any format: read, decode, ask the gateway, render.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c wire.Codec, op wire.Op) {
	req, err := s.decode(w, r, c, op)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	if im, ok := c.(wire.Immediate); ok {
		if body, ok := im.AppendImmediate(nil, req); ok {
			s.immediate(w, r, c, req, body)
			return
		}
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	calls, stream := s.calls(r, c, req)
	if req.Stream {
		s.memory.add(1)
		defer s.memory.add(-1)
		s.stream(w, r, c, req, calls, stream)
		return
	}
	resp, err := canon.Collect(stream)
	routeHeaders(w.Header(), calls[0].Route())
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	body, err := c.AppendResponse(nil, req, resp)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// calls starts a call per prompt, one for all but legacy completions, and joins their answers.
func (s *Server) calls(r *http.Request, c wire.Codec, req *canon.Request) ([]*gateway.Call, canon.Stream) {
	reqs := []*canon.Request{req}
	if sp, ok := c.(wire.Splitter); ok {
		reqs = sp.Split(req)
	}
	calls := make([]*gateway.Call, len(reqs))
	streams := make([]canon.Stream, len(reqs))
	for i, one := range reqs {
		caller := callerOf(r)
		if i > 0 {
			caller.RequestID += "-" + strconv.Itoa(i)
		}
		calls[i] = s.o.Gateway.Call(one, caller)
		streams[i] = calls[i].Stream(r.Context())
	}
	if cap := captureOf(r); cap != nil {
		streams[0] = cap.Watch(streams[0])
	}
	each := 1
	if n := req.Sampling.N; n != nil {
		each = int(*n)
	}
	return calls, canon.Concat(each, streams...)
}

// stream sends a streamed answer.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, c wire.Codec, req *canon.Request, calls []*gateway.Call, stream canon.Stream) {
	out := wire.NewWriter(w, c.NewRenderer(req), s.o.Settings().KeepAlive, func(h http.Header) { routeHeaders(h, calls[0].Route()) })
	defer out.Close()
	defer func() { // after a panic the stream still gets its end
		if p := recover(); p != nil {
			if !out.Fail(apierror.New(apierror.Internal, "Patchbay failed; its log says more")) {
				panic(p)
			}
			s.logPanic(r, p)
		}
	}()
	for ev, err := range stream {
		if err != nil {
			if e := apierror.From(err); !out.Fail(e) {
				routeHeaders(w.Header(), calls[0].Route())
				s.fail(w, r, c, e)
			}
			return
		}
		if out.Event(ev) != nil {
			return // the client is gone; leaving the loop stops the upstream
		}
	}
}

func (s *Server) decode(w http.ResponseWriter, r *http.Request, c wire.Codec, op wire.Op) (*canon.Request, error) {
	body, err := s.body(w, r)
	if err != nil {
		return nil, err
	}
	req, err := c.Decode(op, r, body)
	if err != nil {
		return nil, err
	}
	if req.Conversation == "" {
		sum := sha256.Sum256([]byte(callerOf(r).KeyID + "\n" + req.Seed))
		req.Conversation, req.ConversationGuessed = hex.EncodeToString(sum[:16]), true
	}
	return req, nil
}

// body reads the client's body within its bounds of size and time.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return s.bodyBy(w, r, readBody)
}

// rawBody is body for one that is passed on as it came, packed or not.
func (s *Server) rawBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return s.bodyBy(w, r, func(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
		return readEncoded(w, r, limit, "")
	})
}

func (s *Server) bodyBy(w http.ResponseWriter, r *http.Request, read func(http.ResponseWriter, *http.Request, int64) ([]byte, error)) ([]byte, error) {
	settings := s.o.Settings()
	if settings.BodyTime > 0 {
		ctl := http.NewResponseController(w)
		_ = ctl.SetReadDeadline(time.Now().Add(settings.BodyTime)) // where it cannot be set, only the connection's own limits hold
		out, err := read(w, r, settings.BodyLimit)
		noteBody(r, out)
		if err == nil { // else it goes on: net/http reads what is left of the body before it closes
			_ = ctl.SetReadDeadline(time.Time{})
		}
		return out, err
	}
	out, err := read(w, r, settings.BodyLimit)
	noteBody(r, out)
	return out, err
}

func (s *Server) count(w http.ResponseWriter, r *http.Request, c wire.Codec, op wire.Op) {
	req, err := s.decode(w, r, c, op)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	n, err := s.o.Gateway.CountTokens(r.Context(), req, callerOf(r))
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	writeJSON(w, http.StatusOK, c.(wire.CountCodec).AppendCount(nil, n))
}

// compact has a conversation shortened by the service that answers it.
func (s *Server) compact(w http.ResponseWriter, r *http.Request, c wire.Codec, op wire.Op) {
	req, err := s.decode(w, r, c, op)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	answer, route, err := s.o.Gateway.Compact(r.Context(), req, callerOf(r))
	routeHeaders(w.Header(), route)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	writeJSON(w, http.StatusOK, c.(wire.CompactCodec).AppendCompact(nil, req, answer))
}

// upgrade refuses a WebSocket, so that the client goes on by POST at once: Codex CLI 0.169.0 tries one first, and hangs at
// one that is half accepted.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, c wire.Codec) {
	if r.Header.Get("Upgrade") == "" {
		s.unmatched(w, r, r.URL.Path)
		return
	}
	_, _, body := c.Error(apierror.New(apierror.RouteNotFound, "Patchbay does not speak WebSocket; send the request by POST"), callerOf(r).RequestID)
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "HTTP/1.1") // a 426 must name what would do (RFC 9110)
	writeJSON(w, http.StatusUpgradeRequired, body)
}

func (s *Server) embed(w http.ResponseWriter, r *http.Request, c wire.Codec, op wire.Op) {
	body, err := s.body(w, r)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	ec := c.(wire.EmbedCodec)
	req, err := ec.DecodeEmbed(op, r, body)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	resp, route, err := s.o.Gateway.Embed(r.Context(), req, callerOf(r))
	routeHeaders(w.Header(), route)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	out, err := ec.AppendEmbed(nil, req, resp)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) models(w http.ResponseWriter, r *http.Request, c wire.Codec, labels bool) {
	list := s.o.Models.Models
	if labels {
		list = s.o.Models.Labelled
	}
	models, err := list(r.Context(), callerOf(r).PathProvider)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	models = s.permitted(r, c, models)
	body, err := c.AppendModels(nil, r, models)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// permitted leaves of a list what the client key may use.
func (s *Server) permitted(r *http.Request, c wire.Codec, models []canon.Model) []canon.Model {
	caller := callerOf(r)
	if !caller.Limits.Narrow() {
		return models
	}
	return s.o.Models.Permitted(models, route.Query{PathProvider: caller.PathProvider, Format: c.Name(), Allowed: caller.Limits.Allows})
}

func (s *Server) model(w http.ResponseWriter, r *http.Request, c wire.Codec) {
	list, err := s.o.Models.Models(r.Context(), callerOf(r).PathProvider)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	id := r.PathValue("id")
	for _, m := range s.permitted(r, c, list) {
		if m.ID == id {
			body, err := c.AppendModel(nil, r, m)
			if err != nil {
				s.fail(w, r, c, err)
				return
			}
			writeJSON(w, http.StatusOK, body)
			return
		}
	}
	e := apierror.New(apierror.ModelNotFound, "the model %q does not exist here; GET /v1/models lists those that do", id)
	e.Param = "model"
	s.fail(w, r, c, e)
}

// fail answers with an error in the format's own shape. The client's own end is only logged.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, c wire.Codec, err error) {
	e := apierror.From(err)
	if e.Kind == apierror.Internal {
		s.o.Logger.Error("Request failed inside Patchbay", "req", callerOf(r).RequestID, "err", e.Err)
	}
	status, header, body := c.Error(e, callerOf(r).RequestID)
	h := w.Header()
	for k, v := range header {
		h[k] = v
	}
	if e.RetryAfter > 0 && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retryAfter(e.RetryAfter))
	}
	if e.NoRetry || e.Row() == apierror.RowQuota {
		h.Set("X-Should-Retry", "false")
	}
	if e.Kind == apierror.BodyTooLarge {
		h.Set("Connection", "close")
	}
	writeJSON(w, status, body)
}

// retryAfter is in whole seconds, rounded up: a client that waits less is refused again.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; nobody is left to tell
}

// routeHeaders names the way an answer came. Values hold no secret.
func routeHeaders(h http.Header, rt gateway.Route) {
	if rt.Attempts == 0 {
		return
	}
	h.Set("X-Patchbay-Provider", rt.Provider)
	h.Set("X-Patchbay-Account", headerText(rt.Account))
	h.Set("X-Patchbay-Model", headerText(rt.Model))
	h.Set("X-Patchbay-Attempts", strconv.Itoa(rt.Attempts))
	if len(rt.Dropped) == 0 {
		return
	}
	var names []string
	seen := map[string]bool{}
	for _, d := range rt.Dropped {
		if !seen[d.Field] {
			seen[d.Field] = true
			names = append(names, d.Field)
		}
	}
	h.Set("X-Patchbay-Dropped", headerText(strings.Join(names, ",")))
}

// headerText replaces what a header must not hold.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
