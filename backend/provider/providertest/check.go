package providertest

import (
	"fmt"
	"strings"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// Follow reads a stream to its end and checks that it keeps the rules: Start first and once, parts counted in order of
// their first appearance and each of them ended, one Finish, nothing after it. It returns the answer as far as it came,
// and the error that ended it.
func Follow(t testing.TB, stream canon.Stream) (*canon.Response, *apierror.Error) {
	t.Helper()
	var c follower
	for ev, err := range stream {
		if c.failed != nil {
			t.Errorf("%s comes after the error", ev.Kind)
		}
		if err != nil {
			e, ok := err.(*apierror.Error)
			if !ok {
				t.Errorf("%T is no *apierror.Error: %v", err, err)
				e = apierror.From(err)
			}
			c.failed = e
			continue
		}
		if wrong := c.event(ev); wrong != "" {
			t.Errorf("event %d, %s: %s", c.n, ev.Kind, wrong)
		}
		c.n++
		c.fold.Add(ev.Clone())
	}
	if c.failed == nil && !c.finished {
		t.Error("the stream ended with neither Finish nor an error")
	}
	if c.failed == nil && c.open > 0 {
		t.Errorf("%d parts were not ended", c.open)
	}
	return c.fold.Response(), c.failed
}

type follower struct {
	n, parts, open    int
	started, finished bool
	failed            *apierror.Error
	fold              canon.Fold
}

// event returns what is wrong with the next event, "" if nothing is.
func (c *follower) event(ev canon.Event) string {
	switch {
	case c.finished:
		return "nothing may follow Finish"
	case ev.Kind == canon.KindStart && c.started:
		return "a second Start"
	case ev.Kind != canon.KindStart && !c.started && ev.Kind != canon.KindPing && ev.Kind != canon.KindFrame:
		return "comes before Start"
	}
	switch ev.Kind {
	case canon.KindStart:
		c.started = true
	case canon.KindPartStart:
		if ev.Index != c.parts {
			return fmt.Sprintf("part %d, want %d", ev.Index, c.parts)
		}
		if ev.Part == nil {
			return "a part without its skeleton"
		}
		c.parts++
		c.open++
	case canon.KindDelta:
		if ev.Index >= c.parts {
			return fmt.Sprintf("part %d is not there yet", ev.Index)
		}
	case canon.KindPartEnd:
		c.open--
	case canon.KindFinish:
		c.finished = true
		if ev.Finish.Reason == "" {
			return "without a reason"
		}
	}
	return ""
}

// texts joins the visible text of an answer.
func texts(r *canon.Response) string {
	var b strings.Builder
	for _, p := range r.Parts {
		if p.Type == canon.PartText {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// calls lists the tool calls of an answer.
func calls(r *canon.Response) (out []Call) {
	for _, p := range r.Parts {
		if p.Type == canon.PartToolCall {
			out = append(out, Call{p.CallID, p.Name, string(p.Args)})
		}
	}
	return out
}

// answer runs a request and fails the test on an error.
func (h *harness) answer(req *canon.Request) *canon.Response {
	h.t.Helper()
	r, e := Follow(h.t, h.up.Stream(h.t.Context(), req))
	if e != nil {
		h.t.Fatalf("%v (the service sent: %s)", e, e.Upstream.Body)
	}
	return r
}

// refused runs a request that must fail and returns its error, which it has searched for secrets.
func (h *harness) refused(req *canon.Request) *apierror.Error {
	h.t.Helper()
	_, e := Follow(h.t, h.up.Stream(h.t.Context(), req))
	if e == nil {
		h.t.Fatal("no error")
	}
	h.checkError(e)
	return e
}

func (h *harness) checkError(e *apierror.Error) {
	h.t.Helper()
	h.noSecret("an error", fmt.Sprintf("%s | %+v | %s", e.Error(), *e, e.Err))
	if e.Msg == "" || len(e.Upstream.Body) > 4<<10 {
		h.t.Errorf("message %q, %d bytes of body", e.Msg, len(e.Upstream.Body))
	}
	if e.Provider == "" || e.AccountID != "account-1" {
		h.t.Errorf("whose error is it? provider %q, account %q", e.Provider, e.AccountID)
	}
}
