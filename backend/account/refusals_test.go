package account

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
)

// What a call was told is told to others only as long as it is true.
func TestRefusalsAreAsTrueAsWhenFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("one", 1)
		h.add("two", 1)
		told := func(q Query, after time.Duration, words ...string) {
			t.Helper()
			e := h.none(q)
			if e.RetryAfter != after {
				t.Errorf("come again in %v, not %v: %s", e.RetryAfter, after, e.Msg)
			}
			for _, w := range words {
				if !strings.Contains(e.Msg, w) {
					t.Errorf("no %q in %q", w, e.Msg)
				}
			}
		}
		rest := func(l *Lease, d time.Duration) {
			l.Release(&apierror.Error{Kind: apierror.RateLimited, Msg: "slow", RetryAfter: d})
		}
		first, second := h.must(Query{}), h.must(Query{})
		rest(first, time.Minute)
		rest(second, 2*time.Minute)
		told(Query{}, time.Minute, "rests for 1m0s")
		time.Sleep(400 * time.Millisecond)
		told(Query{}, time.Minute-400*time.Millisecond) // what was found, at the time that it is now
		time.Sleep(10 * time.Second)
		told(Query{}, time.Minute-10400*time.Millisecond, "rests for 50s")
		told(Query{Tags: []string{"mine"}}, 0, "does not have the tag mine")
		other := h.must(Query{Model: "other"}) // another model is another question
		other.Release(nil)

		off := func(a *Account) { a.Enabled = false }
		_, err := h.Update(t.Context(), first.AccountID(), off)
		check(t, err)
		told(Query{}, 2*time.Minute-10400*time.Millisecond, first.Label()+": switched off")
		h.must(Query{Model: "other"}).Release(&apierror.Error{Kind: apierror.AccountBlocked, Msg: "no more"})
		told(Query{}, 0, second.Label()+": no more")
		check(t, h.Clear(second.AccountID(), ""))
		h.must(Query{}).Release(&apierror.Error{Kind: apierror.RateLimited, Msg: "slow", RetryAfter: 500 * time.Millisecond})
		told(Query{}, 500*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		h.must(Query{}).Release(nil) // its time is over
	})
}
