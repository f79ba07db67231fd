package kiro

import (
	"math"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// finish ends the answer. The service has no word for the end: it is where the frames end.
func (s *reader) finish() {
	if s.stopped {
		return
	}
	if s.stops.hit == "" {
		s.boundary()
	}
	if s.stopped {
		return
	}
	if s.call != nil {
		name := s.call.name
		s.call = nil
		s.cutCall(name)
		if s.stopped {
			return
		}
	}
	if e := s.nothing(); e != nil {
		s.fail(e)
		return
	}
	f := s.outcome()
	if !s.visible && !s.broken && s.thought { // clients take an answer of thoughts alone for an empty success
		s.close()
		s.piece(canon.PartText, " ")
	}
	s.close()
	u := s.usage()
	s.emit(canon.Event{Kind: canon.KindUsage, Usage: &u})
	s.emit(canon.Event{Kind: canon.KindFinish, Finish: f, Usage: &u})
	s.flush()
	s.stopped = true
}

// nothing returns the error for an answer in which there is nothing.
func (s *reader) nothing() *apierror.Error {
	malformed := s.reason == "MALFORMED_TOOL_USE" || s.reason == "MALFORMED_MODEL_OUTPUT"
	switch {
	case s.visible || s.broken || s.stops.hit != "":
		return nil
	case malformed:
		return apierror.New(apierror.Upstream5xx, "the model wrote something that the service could not read (%s); try again", s.reason)
	case s.thought && s.reason != "TOOL_USE":
		return nil
	case filtered[s.reason], s.tooLong, s.reason == "MAX_TOKENS", s.reason == "MODEL_CONTEXT_WINDOW_EXCEEDED", s.percent >= 100:
		return nil
	case s.sent: // white space, at the client already
		return nil
	case s.events == 0:
		return apierror.New(apierror.Upstream5xx, "the service sent an empty answer; try again")
	default:
		return apierror.New(apierror.Upstream5xx, "the service ended its answer without saying anything (%q); try again", s.reason)
	}
}

var filtered = map[string]bool{"CONTENT_FILTERED": true, "GUARDRAIL_INTERVENED": true}

// outcome tells why the answer ended; the first that fits decides.
func (s *reader) outcome() canon.Finish {
	f := canon.Finish{Raw: s.reason, Reason: canon.FinishStop}
	switch {
	case s.stops.hit != "":
		f.Reason, f.StopSequence = canon.FinishStopSequence, s.stops.hit
	case s.broken, s.reason == "MAX_TOKENS", s.tooLong:
		f.Reason = canon.FinishLength
	case s.reason == "MODEL_CONTEXT_WINDOW_EXCEEDED", s.percent >= 100:
		f.Reason = canon.FinishContext
	case s.calls > 0:
		f.Reason = canon.FinishTools
	case filtered[s.reason]:
		f.Reason = canon.FinishFilter
	case !s.visible && s.thought:
		f.Reason = canon.FinishLength
	}
	return f
}

// usage counts the tokens: as the service says, else by the part of the model's window that it says is full, else by an
// estimate. Nothing is ever invented about caches.
func (s *reader) usage() canon.Usage {
	u := canon.UnknownUsage()
	if t := s.counted; t != nil {
		u.Input, u.CacheRead, u.CacheWrite, u.Output = t.Uncached+t.Read+t.Write, t.Read, t.Write, t.Output
		return u
	}
	u.Estimated = true
	u.Output = wire.EstimateOutput(s.parts)
	if s.percent > 0 {
		u.Input = contextInput(s.x.window, s.percent, u.Output)
		return u
	}
	u.Input = wire.EstimateTokens(s.x.req)
	return u
}

// contextInput is the prompt's share of a window that is full to so many percent, the answer included.
func contextInput(window int64, percent float64, output int64) int64 {
	return max(int64(math.Round(float64(window)*percent/100))-output, 0)
}
