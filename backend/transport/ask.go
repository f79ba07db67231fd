package transport

import (
	"context"
	"io"
	"net/http"
	"slices"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// Try is one way to ask for an answer: what to send, and how to read what comes back.
type Try struct {
	Call Call
	// Head sees the header of an answer with a status of success, before Read; it may be nil.
	Head func(http.Header)
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
	a := &asking{ctx: ctx, client: client, try: first, repair: repair}
	return a.run
}

// asking is a call of Ask. It lies on the heap, and not on the stack that every open stream holds; and it lets go of what
// it needs no more.
type asking struct {
	ctx    context.Context
	client *http.Client
	try    Try
	repair func(*apierror.Error) (Try, bool)
	bare   bool // the thinking of earlier turns was left out, which the first event has to tell
}

func (a *asking) run(yield func(canon.Event, error) bool) {
	refused := a.once(yield)
	if refused != nil && a.mended(refused) {
		refused = a.once(yield)
	}
	if refused != nil {
		yieldError(yield, refused)
	}
}

// mended puts the repaired call in the place of the first one. It does so once.
//
//go:noinline
func (a *asking) mended(refused *apierror.Error) (ok bool) {
	if a.repair == nil {
		return false
	}
	a.try, ok = a.repair(refused)
	a.repair, a.bare = nil, refused.BadSignature
	return ok
}

// yieldError ends a stream. It is no part of its callers, for an empty event would lie on their stacks all the time that a
// stream waits; see decision 0005.
//
//go:noinline
func yieldError(yield func(canon.Event, error) bool, err error) { yield(canon.Event{}, err) }

// once yields the answer of one call. An error that comes before anything else is returned instead of being yielded.
func (a *asking) once(yield func(canon.Event, error) bool) *apierror.Error {
	t := &a.try
	body, status, events, err := a.open()
	if err != nil {
		return err
	}
	defer body.Close()
	begun, done := false, false
	for ev, err := range events {
		if err != nil {
			return t.broken(begun, err, status, yield)
		}
		if !begun {
			begun, a.repair = true, nil
		}
		if a.bare && ev.Kind == canon.KindStart {
			a.bare, ev.Dropped = false, append(slices.Clip(ev.Dropped), canon.ThoughtsRefused())
		}
		done = done || ev.Kind == canon.KindFinish
		if !yield(ev, nil) {
			return nil
		}
	}
	if done {
		return nil
	}
	return t.broken(begun, apierror.New(apierror.Truncated, "the service ended its answer before it was complete"), status, yield)
}

// open sends the call, and returns the events of its answer once the head is there. What it needs for that lies on the stack
// no more while a stream waits.
//
//go:noinline
func (a *asking) open() (body io.ReadCloser, status int, events canon.Stream, refused *apierror.Error) {
	t := &a.try
	answer, err := Do(a.ctx, a.client, t.Call)
	t.Call.Body, t.Call.Header = nil, nil // sent
	if err != nil {
		return nil, 0, nil, apierror.From(err)
	}
	if !answer.OK() {
		return nil, 0, nil, t.Call.refusal(answer, t.Refused)
	}
	if t.Head != nil {
		t.Head(answer.Header)
		t.Head = nil
	}
	return answer.Body, answer.Status, t.Read(answer.ContentType(), answer.Body), nil
}

// broken tells of an answer that went wrong: to the reader, if it has seen something of it.
func (t *Try) broken(begun bool, err error, status int, yield func(canon.Event, error) bool) *apierror.Error {
	e := t.Call.fill(apierror.From(err), status, nil)
	if !begun {
		return e
	}
	yieldError(yield, e)
	return nil
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

// fill returns err completed: whose it is, what of the answer is kept for the log, and no secret anywhere. It is a copy:
// err may be the cause that many contexts ended with (Patchbay is stopping, a key was revoked).
func (c Call) fill(err *apierror.Error, status int, body []byte) *apierror.Error {
	e := new(*err)
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
