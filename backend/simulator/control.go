package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// control serves the control plane:
//
//	GET    /_control/scenarios             every scenario with a sentence
//	GET    /_control/requests              the records; ?finished=N&wait=5s waits for N finished ones
//	DELETE /_control/requests, POST /_control/reset
//	POST   /_control/script                {"upstream":"openai","scenarios":["rate_limit:retry_after=2"]}
//	POST   /_control/keys                  {"key":"sk-sim-a","scenario":"unauthorized"}
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_control/scenarios", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"scenarios": Describe()})
	})
	mux.HandleFunc("GET /_control/requests", s.controlRequests)
	reset := func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("DELETE /_control/requests", reset)
	mux.HandleFunc("POST /_control/reset", reset)
	mux.HandleFunc("POST /_control/script", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Upstream  string     `json:"upstream"`
			Scenarios []Scenario `json:"scenarios"`
		}
		controlApply(w, r, &in, func() error { return s.enqueue(in.Upstream, in.Scenarios) })
	})
	mux.HandleFunc("POST /_control/keys", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Key      string   `json:"key"`
			Scenario Scenario `json:"scenario"`
		}
		controlApply(w, r, &in, func() error {
			if in.Key == "" {
				return errors.New("key is missing")
			}
			return s.setKey(in.Key, in.Scenario)
		})
	})
	return mux
}

// controlApply reads a command into in and carries it out.
func controlApply(w http.ResponseWriter, r *http.Request, in any, apply func() error) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	err := dec.Decode(in)
	if err == nil {
		err = apply()
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// recordJSON is a record as scripts read it: the body is text.
type recordJSON struct {
	Request
	Body   string `json:"body,omitempty"`
	Base64 []byte `json:"body_base64,omitempty"` // instead of body when it is not UTF-8
}

func (s *Server) controlRequests(w http.ResponseWriter, r *http.Request) {
	if want, err := strconv.Atoi(r.URL.Query().Get("finished")); err == nil {
		d, err := time.ParseDuration(r.URL.Query().Get("wait"))
		if err != nil {
			d = 5 * time.Second
		}
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		// When the time is over the caller sees fewer records and can tell.
		_ = s.await(ctx, func(list []*Request) bool {
			n := 0
			for _, q := range list {
				if q.Finished {
					n++
				}
			}
			return n >= want
		})
	}
	out := []recordJSON{}
	for _, q := range s.Requests() {
		rec := recordJSON{Request: q}
		if utf8.Valid(q.Body) {
			rec.Body = string(q.Body)
		} else {
			rec.Base64 = q.Body
		}
		out = append(out, rec)
	}
	writeJSON(w, http.StatusOK, map[string]any{"requests": out})
}
