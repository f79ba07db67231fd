package account

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
)

// limited is a house with one account that takes one call at a time.
func limited(t *testing.T) *house {
	h := newHouse(t)
	h.add("one", 1)
	_, err := h.Update(t.Context(), h.ids["one"], func(a *Account) { a.MaxConcurrent = 1 })
	check(t, err)
	return h
}

func TestCallWaitsForAnAccountAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limited(t)
		defer h.close()
		first := h.must(Query{})
		begun := time.Now()
		go func() {
			time.Sleep(3 * time.Second)
			first.Release(nil)
		}()
		l, err := h.take(Query{Wait: 10 * time.Second})
		check(t, err)
		diff(t, 3*time.Second, time.Since(begun))
		if _, err := h.take(Query{Wait: 10 * time.Second}); apierror.KindOf(err) != apierror.NoAccount {
			t.Errorf("%v", err)
		}
		diff(t, 13*time.Second, time.Since(begun))
		l.Release(nil)
		diff(t, 0, h.pools["kiro"].waiting)
	})
}

func TestWaitingEndsWithTheClientAndIsOfNoUseForOtherReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limited(t)
		defer h.close()
		first := h.must(Query{})
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Acquire(ctx, Query{Provider: "kiro", Wait: time.Minute}); err == nil {
			t.Error("an account from nowhere")
		}
		diff(t, time.Second, time.Since(begun))
		first.Release(&apierror.Error{Kind: apierror.RateLimited, RetryAfter: time.Hour})
		if e := h.none(Query{Wait: time.Minute}); e.RetryAfter != time.Hour {
			t.Errorf("%+v", e)
		}
		diff(t, time.Second, time.Since(begun)) // a rest is told at once
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := limited(t)
		defer h.close()
		first := h.must(Query{})
		h.pools["kiro"].waiting = maxWaiting
		begun := time.Now()
		h.none(Query{Wait: time.Minute})
		diff(t, time.Duration(0), time.Since(begun))
		h.pools["kiro"].waiting = 0
		first.Release(nil)
	})
}
