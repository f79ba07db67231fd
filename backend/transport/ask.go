package transport

import (
	"context"
	"io"
	"net/http"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// Try is one way to ask for an answer: what to send, and how to read what comes back.
type Try struct {
	Call Call
	// Read reads an answer with a status of success.
	Read func(contentType string, r io.Reader) canon.Stream
	// Refused reads any other answer.
	Refused func(status int, header http.Header, body []byte) *apierror.Error
}

// Ask sends a Try and yields the answer. Whatever ends the loop, also a break, closes the connection first.
//
// If the service refuses the request before it answered anything, repair may give another Try, once: a request without
// the parameter that the service does not know counts as the same attempt. repair may be nil.
func Ask(ctx context.Context, client *http.Client, first Try, repair func(*apierror.Error) (Try, bool)) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		refused := first.once(ctx, client, yield)
		if refused == nil {
			return
		}
		if repair != nil {
			if second, ok := repair(refused); ok {
				if refused = second.once(ctx, client, yield); refused == nil {
					return
				}
			}
		}
		yield(canon.Event{}, refused)
	}
}

// once yields the answer of one call. An error that comes before anything else is returned instead of being yielded.
func (t Try) once(ctx context.Context, client *http.Client, yield func(canon.Event, error) bool) *apierror.Error {
	a, err := Do(ctx, client, t.Call)
	if err != nil {
		return apierror.From(err)
	}
	if !a.OK() {
		return t.Call.refusal(a, t.Refused)
	}
	defer a.Body.Close()
	begun, done := false, false
	for ev, err := range t.Read(a.ContentType(), a.Body) {
		if err != nil {
			e := t.Call.fill(apierror.From(err), a.Status, nil)
			if begun {
				yield(canon.Event{}, e)
				return nil
			}
			return e
		}
		begun, done = true, done || ev.Kind == canon.KindFinish
		if !yield(ev, nil) {
			return nil
		}
	}
	if done {
		return nil
	}
	e := t.Call.fill(apierror.New(apierror.Truncated, "the service ended its answer before it was complete"), a.Status, nil)
	if begun {
		yield(canon.Event{}, e)
		return nil
	}
	return e
}

// Fetch sends a call and returns the whole answer, at most limit bytes of it. Every status that does not say success is
// an error, read by refused.
func Fetch(ctx context.Context, client *http.Client, c Call, limit int64, refused func(int, http.Header, []byte) *apierror.Error) ([]byte, error) {
	a, err := Do(ctx, client, c)
	if err != nil {
		return nil, err
	}
	if !a.OK() {
		return nil, c.refusal(a, refused)
	}
	body, err := ReadAll(a.Body, limit)
	if err != nil {
		return nil, c.fill(apierror.From(err), a.Status, nil)
	}
	return body, nil
}

// Missing reports that a service answered as one does that has no such endpoint.
func Missing(err error) bool {
	if err == nil {
		return false
	}
	switch apierror.From(err).Upstream.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// Fill completes an error that reading a good answer of this call gave, as Ask and Fetch do with theirs.
func (c Call) Fill(err error) *apierror.Error { return c.fill(apierror.From(err), 0, nil) }

func (c Call) refusal(a *Answer, refused func(int, http.Header, []byte) *apierror.Error) *apierror.Error {
	body := a.ErrorBody()
	return c.fill(refused(a.Status, a.Header, body), a.Status, body)
}

// fill completes an error: whose it is, what of the answer is kept for the log, and no secret anywhere.
func (c Call) fill(e *apierror.Error, status int, body []byte) *apierror.Error {
	if e.Upstream.Status == 0 {
		e.Upstream.Status = status
	}
	if e.Upstream.Body == "" {
		e.Upstream.Body = string(body[:min(len(body), 2*KeptBody)])
	}
	if e.Provider == "" {
		e.Provider = c.Provider
	}
	if e.AccountID == "" {
		e.AccountID = c.Account
	}
	Scrub(e, c.Secrets...)
	return e
}
