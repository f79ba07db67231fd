package oauth

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

func TestQueueRenewsAheadOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		for i := range 6 {
			s.signIn("a" + strconv.Itoa(i))
		}
		s.signIn("borrowed")
		s.borrowed["borrowed"] = true
		s.signIn("off")
		s.resting["off"] = true
		s.rows["key"] = provider.Credential{Access: secret.New("sk")}
		s.slow(2 * time.Second)
		tk := s.tokens("x")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tk.Run(ctx) }()
		time.Sleep(53 * time.Minute)
		if n := s.sim.Counts().Refreshes; n != 0 {
			t.Error("too early", n)
		}
		time.Sleep(3 * time.Minute)
		if n := s.sim.Counts().Refreshes; n != 6 {
			t.Error("not in time", n)
		}
		time.Sleep(3 * time.Hour)
		if n := s.sim.Counts(); n.Refreshes != 6*4 || n.Refused+n.Reuses != 0 {
			t.Errorf("%+v", n)
		}
		cancel()
		check(t, <-done)
	})
}

func TestQueueSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		for i := range 5 {
			s.signIn("a" + strconv.Itoa(i))
		}
		time.Sleep(3 * time.Hour) // the machine slept: all are over
		s.policy = provider.Policy{RefreshParallel: 1, RefreshSpread: time.Minute}
		s.slow(5 * time.Second)
		tk := s.tokens("x")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tk.Run(ctx) }()
		for want := 1; want <= 5; want++ {
			time.Sleep(30 * time.Second)
			diff(t, want, s.sim.Counts().Refreshes)
			time.Sleep(30 * time.Second)
		}
		cancel()
		check(t, <-done)
	})
}

func TestQueueLeavesLoginsThatAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		s.sim.RevokeAll()
		tk := s.tokens("x")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tk.Run(ctx) }()
		time.Sleep(5 * time.Hour)
		if n := s.sim.Counts().Refused; n != 1 {
			t.Error(n)
		}
		cancel()
		check(t, <-done)
	})
}

// TestSoak is an hour of two processes with tokens that live for a minute, busy callers, and a service that refuses tokens
// now and then before their end.
func TestSoak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{Life: time.Minute})
		ids := []string{"a", "b", "c"}
		for _, id := range ids {
			s.signIn(id)
		}
		s.slow(300 * time.Millisecond)
		end := time.Now().Add(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		var wg, queues sync.WaitGroup
		for p := range 2 {
			tk := s.tokens(strconv.Itoa(p))
			queues.Go(func() { _ = tk.Run(ctx) })
			for n := range 4 {
				wg.Go(func() {
					for i := n; time.Now().Before(end); i++ {
						id := ids[i%len(ids)]
						var u Use
						c, err := tk.Token(Track(ctx, &u), id)
						if err != nil {
							t.Error(err)
							return
						}
						if _, ok := s.sim.Access(c.Access.Reveal()); !ok {
							if ok, err := tk.Renew(ctx, id, &u); !ok {
								t.Error("renewing after a refusal:", err)
								return
							}
						}
						time.Sleep(time.Duration(700+100*n) * time.Millisecond)
					}
				})
			}
		}
		wg.Go(func() {
			for time.Now().Before(end) {
				time.Sleep(7 * time.Minute)
				s.sim.ExpireAccess()
			}
		})
		wg.Wait()
		cancel()
		queues.Wait()
		n := s.sim.Counts()
		if n.Reuses != 0 || n.Refused != 0 || n.Refreshes < 150 {
			t.Errorf("%+v", n)
		}
		for _, id := range ids {
			if !s.sim.Works(s.stored(id).Refresh.Reveal()) {
				t.Error(id, "is lost")
			}
		}
	})
}
