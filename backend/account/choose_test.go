package account

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

func TestLowestPriorityIsUsedFirst(t *testing.T) {
	h := newHouse(t)
	h.add("second", 2)
	h.add("first", 1)
	for range 3 {
		if l := h.must(Query{}); l.Label() != "first" || l.AccountID() != h.ids["first"] {
			t.Errorf("%s was used", l.Label()) // not released: calls in flight matter inside a tier only
		}
	}
	skip := map[string]struct{}{h.ids["first"]: {}}
	diff(t, "second", h.must(Query{Skip: skip}).Label())
}

func TestInsideATierTheLeastBusyThenTheLongestIdle(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"a", "b", "c"} {
		h.add(name, 0)
	}
	a, b, c := h.must(Query{}), h.must(Query{}), h.must(Query{})
	diff(t, "a b c", a.Label()+" "+b.Label()+" "+c.Label())
	c.Release(nil)
	a.Release(nil)
	diff(t, "c", h.use(nil)) // idle, and for longer than a
	diff(t, "a", h.must(Query{}).Label())
	diff(t, "c", h.must(Query{}).Label())
	b.Release(nil)
	b.Release(nil) // the second one does nothing
	diff(t, "b", h.must(Query{}).Label())
	for _, name := range []string{"a", "b", "c"} {
		diff(t, 1, h.status(name).InFlight)
	}
}

func TestConversationStaysOnItsAccount(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"a", "b", "c"} {
		h.add(name, 0)
	}
	talk := Query{Conversation: "talk"}
	first := h.must(talk)
	for range 3 {
		diff(t, first.Label(), h.must(talk).Label())
	}
	if other := h.must(Query{Conversation: "other"}); other.Label() == first.Label() {
		t.Error("another conversation went to the busy account")
	}
	first.Release(apierror.New(apierror.NoCredit, "no balance"))
	next := h.must(talk)
	if next.Label() == first.Label() {
		t.Error("the conversation stayed on an account that rests")
	}
	diff(t, next.Label(), h.must(talk).Label())
}

func TestBindingsAreBoundedAndEnd(t *testing.T) {
	var b bindings
	e, now := &entry{}, time.Now()
	key := func(i int) binding { return binding{"kiro", fmt.Sprint(i)} }
	for i := range maxBindings + 10 {
		b.set(key(i), e, now, now.Add(time.Hour))
	}
	diff(t, []int{maxBindings, maxBindings}, []int{len(b.of), e.bound})
	if b.get(key(9), now) != nil || b.get(key(10), now) != e || b.get(key(maxBindings+9), now) != e {
		t.Error("the wrong ones were dropped")
	}
	b.set(key(10), e, now, now.Add(2*time.Hour)) // used again
	diff(t, maxBindings, e.bound)
	later := now.Add(time.Hour)
	if b.get(key(11), later) != nil || b.get(key(10), later) != e {
		t.Error("a binding lasts from its last use on")
	}
	b.sweep(later)
	diff(t, []int{1, 1}, []int{len(b.of), e.bound})
	b.forget(func(*bound) bool { return true })
	if len(b.of) != 0 || e.bound != 0 || b.newest != nil || b.last != nil {
		t.Errorf("%+v", b)
	}
}

func TestProviderWithoutAccounts(t *testing.T) {
	h := newHouse(t)
	diff(t, apierror.NotConfigured, h.none(Query{}).Kind)
	if h.HasAccounts("kiro") {
		t.Error("an account out of nowhere")
	}
	h.add("a", 0)
	if !h.HasAccounts("kiro") || h.HasAccounts("codex") {
		t.Error("HasAccounts")
	}
	diff(t, []string{"kiro"}, h.Providers())
	check(t, h.Remove(t.Context(), h.ids["a"]))
	diff(t, apierror.NotConfigured, h.none(Query{}).Kind)
}

func TestNoAccountSaysWhyForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		ctx := t.Context()
		h.add("Ann's Kiro", 1)
		h.use(apierror.New(apierror.AccountBlocked, "kiro: the service answered 403; sign in again"))
		e := h.none(Query{})
		diff(t, "kiro: no usable account (Ann's Kiro: the service answered 403; sign in again)", e.Msg)
		diff(t, []any{apierror.NoAccount, true, time.Duration(0), "kiro"}, []any{e.Kind, e.NoRetry, e.RetryAfter, e.Provider})

		h.add("cooling", 2)
		h.use(&apierror.Error{Kind: apierror.RateLimited, Msg: "too many requests", RetryAfter: 42 * time.Second})
		h.add("long", 3)
		h.use(&apierror.Error{Kind: apierror.QuotaExhausted, Msg: "weekly limit", RetryAfter: 90*time.Minute + time.Second})
		h.add("off", 4)
		check(t, h.SetEnabled(ctx, h.ids["off"], false))
		h.add("busy", 5)
		_, err := h.Update(ctx, h.ids["busy"], func(a *Account) { a.MaxConcurrent = 1 })
		check(t, err)
		h.must(Query{})
		h.add("tried", 6)
		skip := map[string]struct{}{h.ids["tried"]: {}}
		e = h.none(Query{Skip: skip})
		diff(t, "kiro: no usable account (Ann's Kiro: the service answered 403; sign in again; cooling: rests for 42s, too many requests; "+
			"long: rests for 1h30m0s, weekly limit; off: switched off; busy: is busy with 1 calls, its limit; tried: was tried)", e.Msg)
		diff(t, time.Second, e.RetryAfter)
		h.use(apierror.New(apierror.Overloaded, "kiro: the service is overloaded"))
		if e = h.none(Query{Skip: skip}); !strings.Contains(e.Msg, "tried: the service is overloaded)") || e.NoRetry {
			t.Errorf("%+v", e)
		}
	})
}

func TestLongListOfReasonsIsCut(t *testing.T) {
	h := newHouse(t)
	for i := range shownReasons + 3 {
		id := h.add(fmt.Sprint("n", i), 0)
		check(t, h.SetEnabled(t.Context(), id, false))
	}
	e := h.none(Query{})
	if !strings.Contains(e.Msg, "; and 3 more)") || !e.NoRetry {
		t.Error(e.Msg)
	}
}

func TestModelThatNoAccountHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("a", 0)
		h.add("b", 0)
		h.use(apierror.New(apierror.ModelNotFound, "no such model"))
		diff(t, "b", h.use(apierror.New(apierror.ModelNotFound, "no such model")))
		diff(t, apierror.ModelNotFound, h.none(Query{}).Kind)
		h.must(Query{Model: "other"}).Release(nil)
		time.Sleep(absentPause)
		h.must(Query{}).Release(nil)
	})
}

func TestBusyModelLetsARunningRequestTryOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("a", 0)
		h.add("b", 0)
		h.use(apierror.New(apierror.ModelBusy, "no capacity"))
		e := h.none(Query{Skip: map[string]struct{}{"of another provider": {}}})
		diff(t, modelPause, e.RetryAfter)
		diff(t, "kiro: no usable account (a: no capacity for m at the service; b: no capacity for m at the service)", e.Msg)
		diff(t, "b", h.must(Query{Skip: map[string]struct{}{h.ids["a"]: {}}}).Label())
	})
}

func TestProvidersLimitOfCallsHolds(t *testing.T) {
	h := newHouse(t)
	h.driver.info.Policy.MaxConcurrent = 2
	h.add("a", 0)
	h.must(Query{})
	h.must(Query{}).Release(nil)
	h.must(Query{})
	if e := h.none(Query{}); e.RetryAfter != time.Second || e.NoRetry {
		t.Errorf("%+v", e)
	}
}

func TestAccountThatCannotBeOpenedIsPassedOver(t *testing.T) {
	h := newHouse(t)
	h.add("a", 1)
	h.add("b", 2)
	check(t, h.needs.Secrets.Delete(t.Context(), refOf(h.ids["a"])))
	h.restart()
	diff(t, "b", h.use(nil))
	s := h.status("a")
	diff(t, []any{NeedsLogin, 0}, []any{s.State, s.InFlight})
	h.driver.fail = apierror.New(apierror.InvalidRequest, "base_url is no URL")
	h.Reopen("kiro")
	if e := h.none(Query{}); !strings.Contains(e.Msg, "b: cannot be opened: base_url is no URL") {
		t.Error(e.Msg)
	}
	diff(t, NeedsAction, h.status("b").State)
	h.driver.fail = nil
	check(t, h.Clear(h.ids["b"], ""))
	diff(t, "b", h.use(nil))
}

func TestCanceledAcquire(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	h.restart()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Acquire(ctx, Query{Provider: "kiro", Model: "m"})
	diff(t, apierror.Canceled, apierror.KindOf(err))
	diff(t, Ready, h.status("a").State)
	diff(t, 0, h.status("a").InFlight)
}

func TestParallelCallsKeepTheLimitAndEndAtZero(t *testing.T) {
	h := newHouse(t)
	const accounts, limit = 5, 3
	for i := range accounts {
		h.add(fmt.Sprint(i), i%2)
	}
	h.driver.info.Policy.MaxConcurrent = limit
	for _, s := range h.List() { // opens each, so that its limit is known
		h.must(Query{Skip: others(h, s.ID)}).Release(nil)
	}
	var most, now atomic.Int32
	var wg sync.WaitGroup
	outcomes := []error{nil, nil, apierror.New(apierror.Overloaded, "busy"), apierror.New(apierror.Upstream5xx, "500"), nil,
		&apierror.Error{Kind: apierror.RateLimited, RetryAfter: time.Nanosecond}}
	for i := range 32 {
		wg.Go(func() {
			for j := range 200 {
				l, err := h.take(Query{Conversation: fmt.Sprint(i % 7), Model: fmt.Sprint("m", j%3)})
				if err != nil {
					continue
				}
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				now.Add(-1)
				l.Release(outcomes[(i+j)%len(outcomes)])
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			h.List()
			id := h.List()[0].ID
			check(t, h.SetEnabled(t.Context(), id, false))
			check(t, h.SetEnabled(t.Context(), id, true))
			check(t, h.Flush(t.Context()))
		}
	})
	wg.Wait()
	if most.Load() > accounts*limit {
		t.Errorf("%d calls at a time", most.Load())
	}
	for _, s := range h.List() {
		if s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func others(h *house, id string) map[string]struct{} {
	out := map[string]struct{}{}
	for _, s := range h.List() {
		if s.ID != id {
			out[s.ID] = struct{}{}
		}
	}
	return out
}

// benchHouse is a pool of 2,000 accounts. rests says for which models number i rests.
func benchHouse(b *testing.B, rests func(i int) []string) *house {
	h := newHouse(b)
	for i := range 2000 {
		h.mu.Lock()
		e := h.insert(rowOf(fmt.Sprint(i)))
		e.open = opened{upstream: &fakeUpstream{}}
		for _, m := range rests(i) {
			e.setCool(m, cooldown{until: time.Now().Add(time.Hour)})
		}
		h.mu.Unlock()
	}
	return h
}

// BenchmarkAcquire is one choice among 2,000 accounts with the end of the call, for pools in which more and more rest.
func BenchmarkAcquire(b *testing.B) {
	for _, c := range []struct {
		name  string
		rests func(i int) []string
	}{
		{"all ready", func(int) []string { return nil }},
		{"half rest for the model", func(i int) []string { return []string{"m", "other"}[i%2 : i%2+1] }},
		{"one is ready", func(i int) []string {
			if i == 1999 {
				return nil
			}
			return []string{[]string{"*", "m"}[i%2]}
		}},
		{"each rests for other models", func(i int) (out []string) {
			for bit := range 11 {
				if i>>bit&1 == 1 {
					out = append(out, fmt.Sprint("m", bit))
				}
			}
			if i > 0 {
				out = append(out, "m")
			}
			return out
		}},
	} {
		for _, s := range Strategies {
			b.Run(c.name+"/"+string(s), func(b *testing.B) {
				h := benchHouse(b, c.rests)
				h.Configure("kiro", PoolSettings{Strategy: s})
				q := Query{Provider: "kiro", Model: "m"}
				b.ReportAllocs()
				for b.Loop() {
					l, err := h.Acquire(b.Context(), q)
					check(b, err)
					l.Release(nil)
				}
			})
		}
	}
}

func BenchmarkAcquireBound(b *testing.B) {
	h := benchHouse(b, func(int) []string { return nil })
	q := Query{Provider: "kiro", Model: "m", Conversation: "c"}
	b.ReportAllocs()
	for b.Loop() {
		l, err := h.Acquire(b.Context(), q)
		check(b, err)
		l.Release(nil)
	}
}

func BenchmarkAcquireParallel(b *testing.B) {
	h := benchHouse(b, func(int) []string { return nil })
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := h.Acquire(context.Background(), Query{Provider: "kiro", Model: "m"})
			check(b, err)
			l.Release(nil)
		}
	})
}

// BenchmarkRefusal is the answer where all of 2,000 accounts rest.
func BenchmarkRefusal(b *testing.B) {
	h := benchHouse(b, func(int) []string { return []string{"m"} })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Acquire(b.Context(), Query{Provider: "kiro", Model: "m"}); err == nil {
			b.Fatal("an account from nowhere")
		}
	}
}

// BenchmarkRefusalFound is the same where something changed since the last one.
func BenchmarkRefusalFound(b *testing.B) {
	h := benchHouse(b, func(int) []string { return []string{"m"} })
	b.ReportAllocs()
	for b.Loop() {
		h.pools["kiro"].changes++
		if _, err := h.Acquire(b.Context(), Query{Provider: "kiro", Model: "m"}); err == nil {
			b.Fatal("an account from nowhere")
		}
	}
}

// BenchmarkConsidered is a look at the accounts for the trace of a request that nobody of 2,000 can serve.
func BenchmarkConsidered(b *testing.B) {
	h := benchHouse(b, func(int) []string { return []string{"m"} })
	for name, limit := range map[string]int{"64": 64, "all": 0} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Considered(Query{Provider: "kiro", Model: "m"}, limit)
			}
		})
	}
}

var _ provider.Driver = (*fakeDriver)(nil)
