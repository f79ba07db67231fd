package account

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

func rowOf(name string) store.Account {
	return store.Account{ID: name, Provider: "kiro", Name: name, Enabled: true}
}

// restsFor returns how long model m cannot be used, in whole seconds.
func (h *house) restsFor() time.Duration {
	h.t.Helper()
	e := h.none(Query{})
	return e.RetryAfter
}

func TestEffectsOfEachKind(t *testing.T) {
	for name, c := range map[string]struct {
		errs  []*apierror.Error
		rest  time.Duration // of model m
		other bool          // another model is still served
		state State
	}{
		"the service's wish":          {[]*apierror.Error{{Kind: apierror.RateLimited, RetryAfter: time.Minute}}, time.Minute, true, Ready},
		"a wish of a week is cut":     {[]*apierror.Error{{Kind: apierror.RateLimited, RetryAfter: 7 * 24 * time.Hour}}, 24 * time.Hour, true, Ready},
		"quota without a time":        {[]*apierror.Error{{Kind: apierror.QuotaExhausted}}, time.Hour, true, Ready},
		"quota of the whole account":  {[]*apierror.Error{{Kind: apierror.QuotaExhausted, Scope: "*", RetryAfter: time.Hour}}, time.Hour, false, Cooling},
		"quota of some models":        {[]*apierror.Error{{Kind: apierror.QuotaExhausted, Scope: "x, m*", RetryAfter: time.Hour}}, time.Hour, true, Ready},
		"no credit":                   {[]*apierror.Error{{Kind: apierror.NoCredit}}, 30 * time.Minute, false, Cooling},
		"key refused once":            {[]*apierror.Error{{Kind: apierror.AuthExpired}}, 30 * time.Minute, true, Ready},
		"blocked":                     {[]*apierror.Error{{Kind: apierror.AccountBlocked}}, 0, false, Blocked},
		"model busy everywhere":       {[]*apierror.Error{{Kind: apierror.ModelBusy}}, 15 * time.Second, true, Ready},
		"two faults":                  {[]*apierror.Error{{Kind: apierror.Upstream5xx}, {Kind: apierror.Transport}}, -1, true, Ready},
		"three faults":                {[]*apierror.Error{{Kind: apierror.Upstream5xx}, {Kind: apierror.Timeout}, {Kind: apierror.Truncated}}, 30 * time.Second, false, Cooling},
		"a success between":           {[]*apierror.Error{{Kind: apierror.Upstream5xx}, {Kind: apierror.Timeout}, nil, {Kind: apierror.Truncated}}, -1, true, Ready},
		"overloaded is not its fault": {[]*apierror.Error{{Kind: apierror.Overloaded}, {Kind: apierror.Overloaded}, {Kind: apierror.Overloaded}}, -1, true, Ready},
		"the request's own fault":     {[]*apierror.Error{{Kind: apierror.InvalidRequest}, {Kind: apierror.ContextTooLong}}, -1, true, Ready},
		"a client that leaves":        {[]*apierror.Error{{Kind: apierror.Canceled}, {Kind: apierror.Canceled}, {Kind: apierror.Canceled}}, -1, true, Ready},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				defer h.close()
				h.add("a", 0)
				for _, err := range c.errs {
					if err == nil {
						h.use(nil)
						continue
					}
					h.use(err)
				}
				if c.rest < 0 {
					h.use(nil)
				} else {
					diff(t, c.rest, h.restsFor())
				}
				_, err := h.take(Query{Model: "other"})
				diff(t, c.other, err == nil)
				diff(t, c.state, h.status("a").State)
				if c.rest > 0 {
					time.Sleep(c.rest)
					h.use(nil)
					diff(t, Ready, h.status("a").State)
				}
			})
		})
	}
}

func TestPausesGrowUntilASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("a", 0)
		limited := apierror.New(apierror.RateLimited, "slow down")
		for n := range 14 {
			h.use(limited)
			got, full := h.restsFor(), min(time.Second<<n, 30*time.Minute)
			if got > full || got <= full*3/4 {
				t.Errorf("pause %d is %v of %v", n, got, full)
			}
			time.Sleep(got)
		}
		h.use(nil)
		h.use(limited)
		if got := h.restsFor(); got > time.Second {
			t.Errorf("after a success the pause is %v", got)
		}
	})
}

func TestCallsThatFailTogetherAreOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("a", 0)
		leases := []*Lease{h.must(Query{}), h.must(Query{}), h.must(Query{}), h.must(Query{})}
		leases[0].Release(apierror.New(apierror.RateLimited, ""))
		leases[1].Release(apierror.New(apierror.RateLimited, ""))
		if got := h.restsFor(); got > time.Second {
			t.Errorf("%v", got)
		}
		leases[2].Release(&apierror.Error{Kind: apierror.RateLimited, RetryAfter: time.Minute})
		diff(t, time.Minute, h.restsFor()) // the later time counts
		leases[3].Release(nil)
		diff(t, time.Minute, h.restsFor()) // and a call that began before does not end it
	})
}

func TestKeyRefusedTwiceNeedsAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.add("a", 0)
		refused := apierror.New(apierror.AuthExpired, "kiro: the service answered 401")
		h.use(refused)
		time.Sleep(refusedPause) // more than ten minutes apart
		h.use(refused)
		diff(t, Ready, h.status("a").State)
		h.must(Query{Model: "other"}).Release(refused)
		s := h.status("a")
		diff(t, []any{NeedsLogin, "the service answered 401; the service refuses this key: enter a new one"}, []any{s.State, s.Reason})
		if e := h.none(Query{Model: "third"}); !e.NoRetry {
			t.Errorf("%+v", e)
		}
		old := h.entries[h.ids["a"]]
		check(t, h.SetCredential(t.Context(), h.ids["a"], key("new")))
		diff(t, 0, len(old.cool))
		l := h.must(Query{})
		c, err := l.Upstream().(*fakeUpstream).env.Token(t.Context())
		check(t, err)
		diff(t, "new", c.Access.Reveal())
	})
}

func TestKeyRefusedToCallsSideBySideIsRefusedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.add("a", 1)
		refused := apierror.New(apierror.AuthExpired, "kiro: the service answered 401")
		first, second := h.must(Query{}), h.must(Query{})
		time.Sleep(time.Second)
		first.Release(refused)
		time.Sleep(time.Second)
		second.Release(refused)
		if s := h.status("a"); s.State != Ready || len(s.Cooling) != 1 {
			t.Errorf("%+v", s)
		}
		h.must(Query{Model: "other"}).Release(refused)
		if s := h.status("a"); s.State != NeedsLogin {
			t.Errorf("a call that began afterwards: %+v", s)
		}
		h.close()
	})
}

func TestRefusalOfAnOldKeyDoesNotHarmTheNewOne(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	leases := []*Lease{h.must(Query{}), h.must(Query{}), h.must(Query{})}
	check(t, h.SetCredential(t.Context(), h.ids["a"], key("new")))
	leases[0].Release(apierror.New(apierror.AuthExpired, ""))
	leases[1].Release(apierror.New(apierror.AuthExpired, ""))
	leases[2].Release(apierror.New(apierror.AccountBlocked, ""))
	h.use(nil)
	diff(t, Ready, h.status("a").State)
}

func TestLoginThatRefreshesIsRefusedOnce(t *testing.T) {
	h := newHouse(t)
	s, err := h.Add(t.Context(), Account{Provider: "kiro", Enabled: true}, provider.Credential{Access: secret.New("a"), Refresh: secret.New("r")})
	check(t, err)
	h.ids["Kiro"] = s.ID
	h.use(apierror.New(apierror.AuthExpired, ""))
	diff(t, []any{NeedsLogin, "sign in again"}, []any{h.status("Kiro").State, h.status("Kiro").Reason})
}

func TestHealthSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		ctx, cancel := context.WithCancel(t.Context())
		h.add("blocked", 0)
		h.add("cooling", 1)
		h.add("absent", 2)
		done := make(chan error)
		go func() { done <- h.Run(ctx) }() // ends with cancel
		h.use(apierror.New(apierror.AccountBlocked, "stop"))
		l := h.must(Query{})
		l.Upstream().(*fakeUpstream).env.Remember("project", "p1")
		l.Release(&apierror.Error{Kind: apierror.RateLimited, Msg: "slow", RetryAfter: time.Hour})
		h.use(apierror.New(apierror.ModelNotFound, "none"))
		cancel()
		check(t, <-done)
		want := h.List()
		h.restart()
		for i := range want {
			want[i].SecretSettings = nil
		}
		got := h.List()
		diff(t, want, got)
		diff(t, 1, len(got[1].Cooling))
		time.Sleep(time.Hour)
		l = h.must(Query{})
		diff(t, "p1", l.Upstream().(*fakeUpstream).env.Note("project"))
	})
}

func TestFailedSaveIsRepeated(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	h.use(apierror.New(apierror.AccountBlocked, "stop"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if h.Flush(ctx) == nil {
		t.Fatal("saved with a canceled context")
	}
	check(t, h.Flush(t.Context()))
	h.restart()
	diff(t, Blocked, h.status("a").State)
}

func TestRunTriesAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.add("a", 0)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }() // ends with cancel
		h.use(nil)
		h.close()
		h.use(apierror.New(apierror.AccountBlocked, "stop"))
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err == nil {
			t.Error("a closed store took the last write")
		}
	})
}

func TestClearEndsPauses(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	id := h.ids["a"]
	h.use(&apierror.Error{Kind: apierror.QuotaExhausted, Scope: "m*"})
	h.must(Query{Model: "other"}).Release(&apierror.Error{Kind: apierror.QuotaExhausted})
	check(t, h.Clear(id, "m"))
	h.use(nil)
	h.none(Query{Model: "other"})
	h.use(apierror.New(apierror.ModelBusy, ""))
	h.none(Query{})
	check(t, h.Clear(id, ""))
	h.use(apierror.New(apierror.ModelBusy, ""))
	check(t, h.Clear(id, "m"))
	h.must(Query{Model: "other"}).Release(apierror.New(apierror.AccountBlocked, ""))
	check(t, h.Clear(id, ""))
	h.use(nil)
	diff(t, apierror.InvalidRequest, apierror.KindOf(h.Clear("none", "")))
}

func TestWatchersHearOfChanges(t *testing.T) {
	h := newHouse(t)
	var got []string
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := h.needs.Bus.Subscribe(ctx, 100)
	h.add("Ann's", 0)
	h.use(nil) // nothing changed
	h.use(&apierror.Error{Kind: apierror.RateLimited, RetryAfter: time.Hour})
	h.must(Query{Model: "n"}).Release(apierror.New(apierror.AccountBlocked, "blocked; call them"))
	check(t, h.Remove(t.Context(), h.ids["Ann's"]))
	h.needs.Bus.Publish(events.Config, "end", nil)
	for ev := range seen {
		if ev.Topic == events.Config {
			break
		}
		got = append(got, fmt.Sprintf("%s %v %v", ev.Topic, ev.ID == h.ids["Ann's"], ev.Data))
	}
	diff(t, []string{"account true <nil>", "account true <nil>", "account true <nil>", "notice true Ann's: blocked; call them", "account true <nil>"}, got)
}

func TestWhatAnAccountRemembersIsBounded(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	for i := range 3 * maxPauses {
		h.must(Query{Model: fmt.Sprint("m", i)}).Release(apierror.New(apierror.ModelNotFound, ""))
	}
	if n := len(h.status("a").Cooling); n > maxPauses {
		t.Error(n)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		scope, model string
		want         bool
	}{
		{"gemini-3*", "gemini-3-pro", true}, {"gemini-3*", "gemini-2", false}, {"a, b*c", "b/x/c", true}, {"a, b*c", "b/x/d", false},
		{"*pro*", "gemini-pro-3", true}, {"m", "m", true}, {"m", "mm", false}, {"*", "", true},
	} {
		if got := matches(c.scope, c.model); got != c.want {
			t.Errorf("%q and %q: %v", c.scope, c.model, got)
		}
	}
}
