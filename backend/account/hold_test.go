package account

import (
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
)

func shortly(d time.Duration) *apierror.Error {
	return &apierror.Error{Kind: apierror.RateLimited, Msg: "slow down", RetryAfter: d}
}

func TestOthersLeaveAHeldAccountAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("one", 1)
		h.add("two", 2)
		waiting := h.must(Query{})
		waiting.Hold(shortly(3 * time.Second))
		for range 3 {
			l := h.must(Query{Wait: time.Minute})
			diff(t, "two", l.Label())
			l.Release(nil)
		}
		other := h.must(Query{Model: "other"}) // only the model that was refused
		diff(t, "one", other.Label())
		other.Release(nil)
		if s := h.status("one"); s.State != Ready && s.State != Cooling || len(s.Cooling) != 1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(3 * time.Second)
		diff(t, true, waiting.Resume())
		waiting.Release(nil)
		diff(t, "one", h.use(nil))
		diff(t, 0, len(h.status("one").Cooling))
	})
}

// Where no other account can serve, nobody is refused because one call waits.
func TestCallsWaitForAHeldAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("one", 1)
		begun := time.Now()
		waiting := h.must(Query{})
		waiting.Hold(shortly(3 * time.Second))
		if e := h.none(Query{}); e.RetryAfter != 3*time.Second || e.NoRetry {
			t.Errorf("%+v", e) // who does not wait is told when to come again
		}
		if e := h.none(Query{Wait: time.Second}); e.RetryAfter != 2*time.Second {
			t.Errorf("%+v", e)
		}
		diff(t, time.Second, time.Since(begun))
		l, err := h.take(Query{Wait: 10 * time.Second})
		check(t, err)
		diff(t, 3*time.Second, time.Since(begun))
		l.Release(nil)
		diff(t, true, waiting.Resume())
		waiting.Release(nil)
	})
}

// A call that resumes, or gives the account back, before its pause is over lets the others in at once.
func TestResumeLetsOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("one", 1)
		for name, end := range map[string]func(*Lease){"resumed": func(l *Lease) { l.Resume() }, "given back": func(l *Lease) { l.Release(nil) }} {
			begun := time.Now()
			waiting := h.must(Query{})
			waiting.Hold(shortly(5 * time.Second))
			go func() {
				time.Sleep(time.Second)
				end(waiting)
			}()
			l, err := h.take(Query{Wait: 10 * time.Second})
			check(t, err)
			if d := time.Since(begun); d != time.Second {
				t.Errorf("%s: %v", name, d)
			}
			l.Release(nil)
			waiting.Release(nil)
		}
	})
}

func TestTwoCallsHoldTheSameAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("one", 1)
		for _, waits := range [][2]time.Duration{{2, 4}, {4, 2}} {
			a, b := h.must(Query{}), h.must(Query{})
			a.Hold(shortly(waits[0] * time.Second))
			b.Hold(shortly(waits[1] * time.Second))
			time.Sleep(2 * time.Second)
			first, last := a, b
			if waits[0] > waits[1] {
				first, last = b, a
			}
			diff(t, true, first.Resume())
			first.Release(nil)
			time.Sleep(2 * time.Second)
			diff(t, true, last.Resume())
			last.Release(nil)
			diff(t, 0, len(h.status("one").Cooling))
		}
	})
}

// What other calls learn meanwhile counts more than a short wait, and how often an account was refused is not forgotten.
func TestHoldGivesWayToWhatOthersLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("one", 1)
		waiting, other := h.must(Query{}), h.must(Query{})
		waiting.Hold(shortly(2 * time.Second))
		other.Release(shortly(time.Minute))
		time.Sleep(2 * time.Second)
		diff(t, false, waiting.Resume())
		waiting.Release(shortly(time.Second))
		if e := h.none(Query{Wait: time.Minute}); e.RetryAfter != 58*time.Second {
			t.Errorf("%+v", e)
		}
		time.Sleep(time.Minute)

		l := h.must(Query{})
		l.Hold(shortly(time.Second))
		time.Sleep(time.Second)
		diff(t, true, l.Resume())
		l.Release(&apierror.Error{Kind: apierror.RateLimited})
		if d := h.none(Query{}).RetryAfter; d < 1500*time.Millisecond {
			t.Errorf("the second refusal rests the account for %v, as if it were the first", d)
		}
	})
}
