package server

import (
	"bytes"
	"net/http"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/gateway"
	"patchbay/backend/wire"
)

// images serves a request for images.
func (s *Server) images(w http.ResponseWriter, r *http.Request, c wire.Codec, op wire.Op) {
	body, err := s.body(w, r)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	ic := c.(wire.ImageCodec)
	req, err := ic.DecodeImage(op, r, body)
	if err != nil {
		s.fail(w, r, c, err)
		return
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	call := s.o.Gateway.Images(req, callerOf(r))
	if req.Stream {
		s.imageStream(w, r, c, req, call)
		return
	}
	var steps []canon.ImageEvent
	for ev, err := range call.Steps(r.Context()) {
		if err != nil {
			routeHeaders(w.Header(), call.Route())
			s.fail(w, r, c, err)
			return
		}
		if !ev.Done {
			ev.Raw = bytes.Clone(ev.Raw) // it lies in the reader's buffer
		}
		steps = append(steps, ev)
	}
	routeHeaders(w.Header(), call.Route())
	writeJSON(w, http.StatusOK, ic.AppendImages(nil, steps))
}

// imageStream sends images as they are made.
func (s *Server) imageStream(w http.ResponseWriter, r *http.Request, c wire.Codec, req *canon.ImageRequest, call *gateway.ImageCall) {
	ic := c.(wire.ImageCodec)
	out := wire.NewWriter(w, ic.NewImageRenderer(req), s.o.Settings().KeepAlive, func(h http.Header) { routeHeaders(h, call.Route()) })
	defer out.Close()
	for ev, err := range call.Steps(r.Context()) {
		if err != nil {
			if e := apierror.From(err); !out.Fail(e) {
				routeHeaders(w.Header(), call.Route())
				s.fail(w, r, c, e)
			}
			return
		}
		if len(ev.Pictures) > 0 {
			ev.Raw = ic.AppendImages(nil, []canon.ImageEvent{ev})
		}
		if out.Event(wire.ImageStep(ev)) != nil {
			return // the client is gone; leaving the loop stops the upstream
		}
	}
}
