package server

import (
	"net/http"
	"time"

	"patchbay/backend/canon"
	"patchbay/backend/route"
	"patchbay/backend/wire"
)

// host is a codec's own host root: it answers like a server of that protocol, and serves what the common root serves.
type host struct {
	codec wire.Codec
	text  string // what GET / answers
}

func (s *Server) addHost(c wire.Codec, h wire.Hosted) {
	segment, text := h.Host()
	own := &host{codec: c, text: text}
	s.hosts[segment] = own
	if s.o.Host == c.Name() {
		s.host = own
	}
}

// immediate answers a request that needs no model's answer, if it could be had.
func (s *Server) immediate(w http.ResponseWriter, r *http.Request, c wire.Codec, req *canon.Request, body []byte) {
	if err := s.o.Gateway.Check(r.Context(), req, callerOf(r)); err != nil {
		s.fail(w, r, c, err)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// lookup answers a question about the model that the body names.
func (s *Server) lookup(w http.ResponseWriter, r *http.Request, c wire.Codec, op wire.Op) {
	body, err := s.body(w, r)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	l := c.(wire.Lookup)
	name, err := l.LookupName(op, body)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	caller := callerOf(r)
	var found *canon.Model
	q := route.Query{PathProvider: caller.PathProvider, HeaderProvider: caller.HeaderProvider, Model: name, Format: c.Name()}
	if caller.Limits.Narrow() {
		q.Allowed = caller.Limits.Allows
	}
	if m, ok := s.o.Models.Find(r.Context(), q); ok {
		found = &m
	}
	status, contentType, out := l.AppendLookup(nil, op, body, name, found)
	w.Header().Set("Content-Type", contentType)
	writeJSON(w, status, out)
}

// inUse is how long a model counts as running after it was used (Ollama unloads a model after five minutes by default).
const inUse = 5 * time.Minute

// running lists the models that were used a short while ago.
func (s *Server) running(w http.ResponseWriter, r *http.Request, c wire.Codec) {
	var list []wire.Running
	caller := callerOf(r)
	only := caller.PathProvider
	for _, u := range s.o.Gateway.Recent(inUse) {
		if (only == "" || u.Provider == only) && caller.Limits.Allows(u.Provider, u.Model) {
			list = append(list, wire.Running{Model: s.o.Models.Label(u.Provider, u.Model), Until: u.At.Add(inUse)})
		}
	}
	writeJSON(w, http.StatusOK, c.(wire.RunningCodec).AppendRunning(nil, list))
}
