package gateway

import (
	"context"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// TestConversationIsLetGoOnceContentCame watches what a service and its driver still see of a request: all of it at each
// attempt, none of it after the first content of a stream. A whole answer is rendered from the request, so it stays.
func TestConversationIsLetGoOnceContentCame(t *testing.T) {
	for _, stream := range []bool{true, false} {
		var before, after []int
		answers := func(ctx context.Context, req *canon.Request, yield func(canon.Event, error) bool) {
			before = append(before, len(req.Messages))
			ok("hello")(ctx, req, func(ev canon.Event, err error) bool {
				more := yield(ev, err)
				if ev.Kind == canon.KindDelta {
					after = append(after, len(req.Messages))
				}
				return more
			})
		}
		refuses := func(ctx context.Context, req *canon.Request, yield func(canon.Event, error) bool) {
			before = append(before, len(req.Messages))
			fails(apierror.RateLimited)(ctx, req, yield)
		}
		s := &script{id: "a", wire: "openai", steps: map[string][]step{"1": {refuses}, "2": {answers}}}
		r := newRig(t, one("a"), s)
		req := &canon.Request{Format: "openai", ModelAsked: "m", Stream: stream, Messages: []canon.Message{{Role: canon.RoleUser}}}
		if text, _, err := r.call(req); err != nil || text != "hello" {
			t.Fatalf("%q, %v", text, err)
		}
		for _, n := range before {
			if n != 1 {
				t.Errorf("stream %v: an attempt had %d messages", stream, n)
			}
		}
		left := 1
		if stream {
			left = 0
		}
		if len(before) == 0 || len(after) == 0 || after[0] != left || len(req.Messages) != left {
			t.Errorf("stream %v: %d attempts; %v messages after the first content, %d at the end", stream, len(before), after, len(req.Messages))
		}
	}
}
