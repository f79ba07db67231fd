package account

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
)

// order makes n calls, each released at once, and returns who served them.
func (h *house) order(n int) string {
	var names []string
	for range n {
		names = append(names, h.use(nil))
	}
	return strings.Join(names, " ")
}

func TestStrategies(t *testing.T) {
	for _, c := range []struct {
		strategy      Strategy
		idle, running string // who serves six calls one after the other, and four that go on
	}{
		{LeastLoaded, "a b c a b c", "a b c a"},
		{RoundRobin, "a b c a b c", "a b c a"},
		{FillFirst, "a a a a a a", "a a a b"},
		{Weighted, "a b c c a c", "c b c a"},
	} {
		t.Run(string(c.strategy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				defer h.close()
				for i, name := range []string{"a", "b", "c"} {
					h.add(name, 1)
					_, err := h.Update(t.Context(), h.ids[name], func(a *Account) {
						a.MaxConcurrent, a.Weight = 3, 1+i
					})
					check(t, err)
					time.Sleep(time.Second)
				}
				h.Configure("kiro", PoolSettings{Strategy: c.strategy})
				served := h.order(6)
				if c.strategy == Weighted {
					counts := map[string]int{}
					for range 594 {
						counts[h.use(nil)]++
					}
					for i, name := range []string{"a", "b", "c"} {
						if want := 100 * (1 + i); counts[name] < want-3 || counts[name] > want+3 {
							t.Errorf("%s served %d of 594", name, counts[name])
						}
					}
					return
				}
				diff(t, c.idle, served)
				var names []string
				for range 4 {
					names = append(names, h.must(Query{}).Label())
				}
				diff(t, c.running, strings.Join(names, " "))
			})
		})
	}
}

func TestSoonestResetIsUsedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		in := func(d time.Duration) int64 { return time.Now().Add(d).UnixMilli() }
		for name, w := range map[string][]provider.Quota{
			"unknown": nil,
			"late":    {{Name: "week", Limit: 100, Used: 5, ResetsAt: in(48 * time.Hour)}},
			"soon":    {{Name: "week", Limit: 100, Used: 5, ResetsAt: in(time.Hour)}},
			"empty":   {{Name: "hours", Limit: 100, Used: 100, ResetsAt: in(time.Minute)}},
		} {
			h.noteQuota(h.entries[h.add(name, 1)], w, nil)
		}
		h.Configure("kiro", PoolSettings{Strategy: SoonestReset})
		diff(t, "soon soon soon", h.order(3))
		time.Sleep(time.Hour) // its allowance is full again, and when it ends next is not known
		diff(t, "late", h.order(1))
	})
}

func TestPriorityThatIsNoneIsTheDefault(t *testing.T) {
	h := newHouse(t)
	for _, n := range []int{0, -5} {
		diff(t, DefaultPriority, h.status(nameOf(h, n)).Priority)
	}
	h.add("first", 99)
	diff(t, "first", h.use(nil))
}

func nameOf(h *house, priority int) string {
	name := fmt.Sprint("p", priority)
	h.add(name, priority)
	return name
}

func TestConversationMovesOnlyWhenItsAccountCannotServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("first", 1)
		h.add("second", 2)
		talk := Query{Conversation: "talk"}
		h.must(talk).Release(&apierror.Error{Kind: apierror.RateLimited, RetryAfter: time.Minute})
		diff(t, "second", h.must(talk).Label())
		time.Sleep(2 * time.Minute)
		diff(t, "second", h.must(talk).Label()) // although the first is back
		diff(t, []int{0, 1}, []int{h.status("first").Bound, h.status("second").Bound})
		time.Sleep(DefaultStickyFor)
		diff(t, 0, h.status("second").Bound)
		diff(t, "first", h.must(talk).Label())
	})
}

func TestStickinessCanBeNarrowed(t *testing.T) {
	h := newHouse(t)
	h.add("a", 1)
	h.add("b", 1)
	named, guessed := Query{Conversation: "n"}, Query{Conversation: "g", Guessed: true}
	one := func(q Query) string {
		l := h.must(q)
		l.Release(nil)
		return l.Label()
	}
	two := func(q Query) bool { // else the two take turns
		first := one(q)
		return first == one(q)
	}
	if !two(named) || !two(guessed) {
		t.Error("a conversation was moved")
	}
	h.Configure("kiro", PoolSettings{Sticky: StickSession})
	if !two(named) || two(guessed) {
		t.Error("session")
	}
	h.Configure("kiro", PoolSettings{Sticky: StickNone})
	if two(named) || two(guessed) || h.Pool("kiro").Bound != 0 {
		t.Error("off")
	}
}

func TestPinnedAccountServesOrSaysWhy(t *testing.T) {
	h := newHouse(t)
	h.add("a", 1)
	h.add("b", 2)
	pinned := Query{Account: h.ids["b"]}
	diff(t, "b", h.must(pinned).Label())
	e := h.none(Query{Account: h.ids["b"], Skip: map[string]struct{}{h.ids["b"]: {}}})
	diff(t, "kiro: the account that the request asks for cannot serve (b: was tried)", e.Msg)
	check(t, h.SetEnabled(t.Context(), h.ids["b"], false))
	e = h.none(pinned)
	diff(t, []any{"kiro: the account that the request asks for cannot serve (b: switched off)", true}, []any{e.Msg, e.NoRetry})
	if e = h.none(Query{Account: "gone"}); !strings.Contains(e.Msg, "gone, is not there") {
		t.Error(e.Msg)
	}
	for ref, want := range map[string]string{h.ids["a"]: "a", "KIRO/a": "a", "B": "b"} {
		id, where, err := h.Find(ref)
		check(t, err)
		diff(t, []string{h.ids[want], "kiro"}, []string{id, where})
	}
	h.add("a", 3)
	for _, ref := range []string{"a", "c"} {
		if _, _, err := h.Find(ref); err == nil {
			t.Errorf("%q was found", ref)
		}
	}
}

func TestTags(t *testing.T) {
	h := newHouse(t)
	h.add("free", 1)
	h.add("paid", 2)
	_, err := h.Update(t.Context(), h.ids["paid"], func(a *Account) { a.Tags = []string{"Paid", "eu"} })
	check(t, err)
	diff(t, "paid", h.must(Query{Tags: []string{"paid"}}).Label())
	diff(t, "paid", h.must(Query{Tags: []string{"eu", "paid"}}).Label())
	diff(t, "free", h.must(Query{}).Label())
	e := h.none(Query{Tags: []string{"us"}})
	diff(t, []any{"kiro: no usable account (free: does not have the tag us; paid: does not have the tag us)", true}, []any{e.Msg, e.NoRetry})
	h.Configure("kiro", PoolSettings{Tags: []string{"paid", "gone"}})
	diff(t, "paid", h.must(Query{}).Label())
	h.Configure("kiro", PoolSettings{})
	diff(t, "free", h.must(Query{}).Label())
}

func TestReserveStopsEarlyAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		id := h.add("a", 1)
		read := func(used float64) {
			h.noteQuota(h.entries[id], []provider.Quota{
				{Name: "5 h", Limit: 100, Used: used, ResetsAt: time.Now().Add(time.Hour).UnixMilli()},
				{Name: "opus", Models: []string{"opus*"}, Limit: 10, Used: 9.5, ResetsAt: time.Now().Add(2 * time.Hour).UnixMilli()},
			}, nil)
		}
		read(92)
		h.use(nil) // nothing is kept back
		h.Configure("kiro", PoolSettings{Reserve: 10})
		s := h.status("a")
		diff(t, []any{Cooling, KindReserve, `8 % of "5 h" is left, and 10 % is kept in reserve`, time.Hour}, []any{s.State, s.Kind, s.Reason, time.Until(s.Until).Round(time.Second)})
		if e := h.none(Query{}); e.RetryAfter.Round(time.Second) != time.Hour {
			t.Errorf("%+v", e)
		}
		five := 5
		_, err := h.Update(t.Context(), id, func(a *Account) { a.Reserve = &five })
		check(t, err)
		h.use(nil)                     // its own word counts
		h.none(Query{Model: "opus-4"}) // 5 % of that is left
		read(96)
		h.none(Query{})
		check(t, h.Clear(id, "")) // a person wants it used
		read(97)
		h.use(nil)
		time.Sleep(time.Hour + time.Second)
		read(10)
		diff(t, Ready, h.status("a").State)
	})
}

func TestOutcomesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("a", 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }() // ends with cancel
		for range shownOutcomes {
			h.use(nil)
		}
		h.use(apierror.New(apierror.Timeout, "slow"))
		h.use(apierror.New(apierror.InvalidRequest, "the request's own fault"))
		time.Sleep(useEvery + time.Second)
		want := h.status("a")
		diff(t, []any{int64(20), int64(1), shownOutcomes, "timeout"}, []any{want.Served, want.Failed, len(want.Recent), want.Recent[shownOutcomes-1].Kind})
		h.restart() // as after a crash: nothing was written at the end
		got := h.status("a")
		diff(t, []any{want.Served, want.Failed, want.Recent[19].Kind}, []any{got.Served, got.Failed, got.Recent[19].Kind})
		if !got.LastUsed.Equal(want.LastUsed) {
			t.Error(got.LastUsed, want.LastUsed)
		}
		cancel()
		check(t, <-done)
	})
}

func TestEndedServiceIsNoMatterOfSigningIn(t *testing.T) {
	h := newHouse(t)
	h.driver.info.Status, h.driver.info.Instead = provider.StatusDiscontinued, "use a key of theirs"
	h.add("a", 1)
	h.use(apierror.New(apierror.AuthExpired, "the service answered 401"))
	s := h.status("a")
	diff(t, []any{Discontinued, KindServiceEnd, "the service answered 401; use a key of theirs"}, []any{s.State, s.Kind, s.Reason})
}

// quotaUpstream tells how much is left.
type quotaUpstream struct {
	fakeUpstream
	mu    *sync.Mutex // guards asked
	asked *[]time.Time
}

func (u *quotaUpstream) Quota(context.Context) ([]provider.Quota, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	*u.asked = append(*u.asked, time.Now())
	return []provider.Quota{{Name: "week", Limit: 100, Used: 1}}, nil
}

func TestAllowancesAreAskedForAfterUseAndPolitely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		var mu sync.Mutex // guards asked
		var asked []time.Time
		h.entries[h.add("a", 1)].open.upstream = &quotaUpstream{mu: &mu, asked: &asked}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.RunChecks(ctx) }() // ends with cancel
		time.Sleep(time.Hour)
		mu.Lock()
		diff(t, 0, len(asked)) // it was not used
		mu.Unlock()
		begun := time.Now()
		for range 20 { // ten minutes of use
			h.use(nil)
			time.Sleep(30 * time.Second)
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if len(asked) != 3 || asked[0].Sub(begun) < quotaDelay || asked[1].Sub(asked[0]) < quotaEvery || asked[2].Sub(asked[1]) < quotaEvery {
			t.Error(asked, begun)
		}
		q := h.status("a").Quota
		if q == nil || q.Windows[0].Name != "week" || !q.Stale(time.Now()) {
			t.Errorf("%+v", q)
		}
		cancel()
		check(t, <-done)
	})
}

func TestChecksAreOffAndHarmOnlyLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		var lists atomic.Int32
		var refuse atomic.Bool
		h.driver.models = func(context.Context, string) ([]canon.Model, error) {
			lists.Add(1)
			if refuse.Load() {
				return nil, apierror.New(apierror.AuthExpired, "401")
			}
			return []canon.Model{{ID: "m"}}, nil
		}
		h.add("key", 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.RunChecks(ctx) }() // ends with cancel
		time.Sleep(time.Hour)
		diff(t, int32(0), lists.Load())
		h.Configure("kiro", PoolSettings{CheckEvery: 10 * time.Minute})
		time.Sleep(time.Hour)
		if n := lists.Load(); n < 5 || n > 8 {
			t.Error(n)
		}
		diff(t, "", h.status("key").Check.Kind)
		for range faultsInARow {
			h.use(apierror.New(apierror.Transport, "no line"))
		}
		diff(t, Cooling, h.status("key").State)
		refuse.Store(true)
		time.Sleep(time.Hour)
		s := h.status("key")
		diff(t, []any{Ready, "auth_expired"}, []any{s.State, s.Check.Kind}) // told, and no harm done
		cancel()
		check(t, <-done)
	})
}

// TestChoicesAgreeWithALookAtAll holds the heaps against the plain rule, over random changes.
func TestChoicesAgreeWithALookAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		rnd := rand.New(rand.NewPCG(1, 2))
		const accounts = 12
		for i := range accounts {
			h.add(fmt.Sprint(i), 1+i%3)
			_, err := h.Update(t.Context(), h.ids[fmt.Sprint(i)], func(a *Account) { a.MaxConcurrent = 2 })
			check(t, err)
		}
		models := make([]string, 80) // more than there are bits
		for i := range models {
			models[i] = fmt.Sprint("m", i)
		}
		var leases []*Lease
		kinds := []apierror.Kind{apierror.RateLimited, apierror.NoCredit, apierror.ModelNotFound, apierror.Timeout}
		for step := range 6000 {
			switch rnd.IntN(6) {
			case 0, 1, 2:
				q := Query{Provider: "kiro", Model: models[rnd.IntN(len(models))]}
				want, can := h.plainChoice(q.Model)
				l, err := h.Acquire(t.Context(), q)
				if (err == nil) != can {
					t.Fatalf("step %d: %v, though an account could serve: %v", step, err, can)
				}
				if err != nil {
					continue
				}
				if !slices.Contains(want, l.AccountID()) {
					t.Fatalf("step %d: %s was chosen", step, l.Label())
				}
				leases = append(leases, l)
			case 3, 4:
				if len(leases) == 0 {
					continue
				}
				i := rnd.IntN(len(leases))
				l := leases[i]
				leases = slices.Delete(leases, i, i+1)
				if rnd.IntN(3) > 0 {
					l.Release(nil)
					continue
				}
				e := &apierror.Error{Kind: kinds[rnd.IntN(len(kinds))], Msg: "no", RetryAfter: time.Duration(rnd.IntN(120)+1) * time.Second}
				if e.Kind == apierror.RateLimited && rnd.IntN(4) == 0 {
					e.Scope = "m1*,m2"
				}
				l.Release(e)
			case 5:
				time.Sleep(time.Duration(rnd.IntN(20000)) * time.Millisecond)
			}
		}
		for _, l := range leases {
			l.Release(nil)
		}
	})
}

// plainChoice returns the accounts that may be chosen for a model: free ones of the first tier with the fewest calls.
func (h *house) plainChoice(model string) (ids []string, can bool) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var best []*entry
	for _, e := range h.pools["kiro"].all {
		if !e.usable() || e.limit > 0 && e.inflight >= e.limit || e.rests(model, now) {
			continue
		}
		switch {
		case len(best) == 0 || e.row.Priority < best[0].row.Priority || e.row.Priority == best[0].row.Priority && e.inflight < best[0].inflight:
			best = []*entry{e}
		case e.row.Priority == best[0].row.Priority && e.inflight == best[0].inflight:
			best = append(best, e)
		}
	}
	for _, e := range best {
		ids = append(ids, e.row.ID)
	}
	return ids, len(best) > 0
}
