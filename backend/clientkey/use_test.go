package clientkey

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

func add(t testing.TB, k *Keys, l Limits) Key {
	t.Helper()
	key, _, err := k.Add(t.Context(), "app", secret.Value{}, l)
	check(t, err)
	return key
}

// enter lets one request in and fails the test if it is refused.
func enter(t testing.TB, k *Keys, id string) (context.Context, func(int64)) {
	t.Helper()
	ctx, done, err := k.Enter(t.Context(), id)
	check(t, err)
	return ctx, done
}

// refused checks that a request is told to wait, and how long.
func refused(t testing.TB, k *Keys, id, says string, min, max time.Duration) {
	t.Helper()
	_, _, err := k.Enter(t.Context(), id)
	if err == nil {
		t.Fatal("let in")
	}
	e := apierror.From(err)
	if e.Kind != apierror.ClientLimited || !strings.Contains(e.Msg, says) || e.RetryAfter < min || e.RetryAfter > max {
		t.Errorf("after %v: %v", e.RetryAfter, err)
	}
}

func TestRequestsPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, db := newKeys(t)
		defer db.Close()
		id := add(t, k, Limits{PerMinute: 3}).ID
		for range 3 {
			_, done := enter(t, k, id)
			done(0)
			time.Sleep(10 * time.Second)
		}
		refused(t, k, id, "3 requests a minute", 30*time.Second, 31*time.Second)
		diff(t, 3, k.Used(id).Minute)
		time.Sleep(31 * time.Second)
		_, done := enter(t, k, id)
		done(0)
		refused(t, k, id, "minute", time.Second, 11*time.Second)
		time.Sleep(time.Hour)
		diff(t, 0, k.Used(id).Minute)
		diff(t, int64(4), k.Used(id).Requests)
	})
}

// TestNoMinuteHoldsMoreThanTheLimit sends as fast as it may for a while and looks at every span of a minute.
func TestNoMinuteHoldsMoreThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, db := newKeys(t)
		defer db.Close()
		id := add(t, k, Limits{PerMinute: 5}).ID
		var at []time.Time
		for begin := time.Now(); time.Since(begin) < 5*time.Minute; {
			_, done, err := k.Enter(t.Context(), id)
			if err != nil {
				time.Sleep(apierror.From(err).RetryAfter)
				continue
			}
			done(0)
			at = append(at, time.Now())
			time.Sleep(700 * time.Millisecond)
		}
		for i := range at {
			if i >= 5 && at[i].Sub(at[i-5]) < time.Minute {
				t.Errorf("six requests within %v", at[i].Sub(at[i-5]))
			}
		}
		if len(at) < 20 {
			t.Errorf("only %d requests in five minutes: a wait that was told was too long", len(at))
		}
	})
}

func TestConcurrentRequests(t *testing.T) {
	k, _ := newKeys(t)
	id := add(t, k, Limits{Concurrent: 2}).ID
	_, first := enter(t, k, id)
	_, second := enter(t, k, id)
	refused(t, k, id, "at a time", time.Second, time.Second)
	diff(t, 2, k.Used(id).InFlight)
	first(0)
	_, third := enter(t, k, id)
	third(0)
	second(0)
	diff(t, 0, k.Used(id).InFlight)
}

func TestTokensOfTheDayEndAtMidnightAndSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	synctest.Test(t, func(t *testing.T) {
		k, db := open(t, path)
		id := add(t, k, Limits{TokensPerDay: 100}).ID
		_, done := enter(t, k, id)
		done(60)
		_, done = enter(t, k, id) // what is left is enough to begin
		done(60)
		refused(t, k, id, "120 tokens today", time.Minute, 25*time.Hour)
		if _, _, err := k.Enter(t.Context(), id); apierror.From(err).Row() != apierror.RowQuota {
			t.Error("a pause of hours is told as a quota, so that clients do not wait it out")
		}
		check(t, k.Flush(t.Context()))
		check(t, db.Close())

		k, db = open(t, path)
		defer db.Close()
		refused(t, k, id, "120 tokens today", time.Minute, 25*time.Hour)
		_, _, err := k.Enter(t.Context(), id)
		time.Sleep(apierror.From(err).RetryAfter)
		diff(t, Use{}, k.Used(id))
		ctx, done := enter(t, k, id)
		done(1)
		if ctx.Err() == nil {
			t.Error("the context of a request that is over goes on")
		}
	})
}

func TestCountersAreWrittenBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, db := newKeys(t)
		defer db.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { check(t, k.Run(ctx)) })
		a, b := add(t, k, Limits{}).ID, add(t, k, Limits{}).ID
		_, done := enter(t, k, a)
		done(5)
		time.Sleep(2 * writePause)
		written := func() map[string]int64 {
			rows, err := db.ClientKeyUses(t.Context())
			check(t, err)
			out := map[string]int64{}
			for _, r := range rows {
				out[r.Key] = r.Tokens
			}
			return out
		}
		diff(t, map[string]int64{a: 5}, written())
		_, done = enter(t, k, b)
		done(7)
		cancel()
		wg.Wait()
		diff(t, map[string]int64{a: 5, b: 7}, written())
		check(t, k.Remove(t.Context(), a))
		diff(t, map[string]int64{b: 7}, written())
	})
}

func TestUnwrittenCountersAreTriedAgain(t *testing.T) {
	k, _ := newKeys(t)
	id := add(t, k, Limits{}).ID
	_, done := enter(t, k, id)
	done(5)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Flush(gone); err == nil {
		t.Error("written")
	}
	check(t, k.Flush(t.Context()))
	rows, err := k.db.ClientKeyUses(t.Context())
	check(t, err)
	diff(t, []store.ClientKeyUse{{Key: id, Day: dayOf(time.Now()), Requests: 1, Tokens: 5}}, rows)
	check(t, k.Flush(gone)) // nothing to write
}

func TestRevokedAndRemovedKeysEndWhatRuns(t *testing.T) {
	for name, end := range map[string]func(*Keys, context.Context, string) error{"revoke": (*Keys).Revoke, "remove": (*Keys).Remove} {
		k, _ := newKeys(t)
		id, other := add(t, k, Limits{}).ID, add(t, k, Limits{}).ID
		ctx, done := enter(t, k, id)
		bystander, otherDone := enter(t, k, other)
		check(t, end(k, t.Context(), id))
		if context.Cause(ctx) != error(ErrRevoked) {
			t.Errorf("%s: %v", name, context.Cause(ctx))
		}
		if bystander.Err() != nil {
			t.Errorf("%s: another key's request ended", name)
		}
		if _, _, err := k.Enter(t.Context(), id); err != error(ErrRevoked) {
			t.Errorf("%s: %v", name, err)
		}
		done(3)
		otherDone(3)
		if err := end(k, t.Context(), id); apierror.KindOf(err) != apierror.InvalidRequest {
			t.Errorf("%s twice: %v", name, err)
		}
		_, err := k.Set(t.Context(), id, Change{})
		diff(t, apierror.InvalidRequest, apierror.KindOf(err))
	}
}

func TestLimitsChangeWithoutARestart(t *testing.T) {
	k, _ := newKeys(t)
	id := add(t, k, Limits{Concurrent: 1, Models: []string{"gpt-*"}}).ID
	_, done := enter(t, k, id)
	refused(t, k, id, "at a time", time.Second, time.Second)
	name := "other"
	key, err := k.Set(t.Context(), id, Change{Name: &name, Limits: func(l *Limits) { l.Concurrent = 2 }})
	check(t, err)
	diff(t, Limits{Concurrent: 2, Models: []string{"gpt-*"}}, key.Limits)
	diff(t, "other", key.Name)
	_, second := enter(t, k, id)
	second(0)
	done(0)
	empty := " "
	_, err = k.Set(t.Context(), id, Change{Name: &empty})
	diff(t, "name", apierror.From(err).Param)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Set(gone, id, Change{}); err == nil || apierror.KindOf(err) != apierror.Internal {
		t.Error(err)
	}
	if err := k.Remove(gone, id); err == nil || apierror.KindOf(err) != apierror.Internal {
		t.Error(err)
	}
}

func TestWrongLimitsAreNamed(t *testing.T) {
	k, _ := newKeys(t)
	id := add(t, k, Limits{}).ID
	for field, l := range map[string]Limits{
		"models": {Models: []string{" x"}}, "providers": {Providers: make([]string, maxPatterns+1)}, "protocols": {Protocols: []string{"smtp"}},
		"per_minute": {PerMinute: -1}, "tokens_per_day": {TokensPerDay: -1}, "concurrent": {Concurrent: -1},
	} {
		_, err := k.Set(t.Context(), id, Change{Limits: func(have *Limits) { *have = l }})
		if e := apierror.From(err); e == nil || e.Kind != apierror.InvalidRequest || e.Param != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	diff(t, Limits{}, k.List()[0].Limits)
}

func TestWhatLimitsAllow(t *testing.T) {
	var none *Limits
	l := &Limits{Providers: []string{"open*", "kiro"}, Models: []string{"gpt-*", "kiro/*"}, Protocols: []string{"OpenAI"}}
	for name, c := range map[string]struct {
		l        *Limits
		provider string
		names    []string
		want     bool
	}{
		"no limits":               {none, "x", []string{"y"}, true},
		"fits":                    {l, "openai", []string{"gpt-5"}, true},
		"any case":                {l, "OpenAI", []string{"GPT-5"}, true},
		"one of its names":        {l, "openai", []string{"real", "gpt-5"}, true},
		"another model":           {l, "openai", []string{"o3"}, false},
		"another provider":        {l, "anthropic", []string{"gpt-5"}, false},
		"with the provider":       {l, "kiro", []string{"claude"}, true},
		"the provider alone":      {l, "openai", nil, true},
		"a model nobody knows":    {l, "openai", []string{""}, false},
		"no name is no wild card": {l, "kiro", []string{""}, false},
	} {
		if got := c.l.Allows(c.provider, c.names...); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !l.AllowsProtocol("openai") || l.AllowsProtocol("anthropic") || !none.AllowsProtocol("x") || none.Narrow() || !l.Narrow() {
		t.Error("protocols")
	}
	err := l.Refuse("app", "the model o3")
	if e := apierror.From(err); e.Kind != apierror.ClientForbidden ||
		e.Msg != `the client key "app" may not use the model o3; it may use: models gpt-*, kiro/*; providers open*, kiro; protocols OpenAI` {
		t.Error(err)
	}
}

func TestManyEnterWhileTheKeyIsRevoked(t *testing.T) {
	k, _ := newKeys(t)
	id := add(t, k, Limits{}).ID
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				ctx, done, err := k.Enter(t.Context(), id)
				if err != nil {
					return
				}
				if ctx.Err() == nil { // it was let in before the end, so it hears of it
					<-ctx.Done()
				}
				done(1)
			}
		})
	}
	check(t, k.Revoke(t.Context(), id))
	wg.Wait()
	diff(t, 0, k.Used(id).InFlight)
}

func BenchmarkEnter(b *testing.B) {
	k, _ := newKeys(b)
	id := add(b, k, Limits{PerMinute: 1 << 30, Concurrent: 100, TokensPerDay: 1 << 40}).ID
	for b.Loop() {
		_, done, err := k.Enter(b.Context(), id)
		check(b, err)
		done(1)
	}
}
