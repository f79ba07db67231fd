package oauth

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"patchbay/backend/apierror"
)

// lease takes the lock of an account among all processes, waiting for who has it. The lock is prolonged until it is given
// back, so that it may be short: one whose holder died is free soon.
func (t *Tokens) lease(ctx context.Context, id string) (release func(), err error) {
	name, ttl := "refresh/"+id, t.needs.LeaseTime
	for {
		_, ok, err := t.needs.Leases.Acquire(ctx, name, ttl)
		if ok {
			break
		}
		if err == nil && pause(ctx, ttl/60+rand.N(ttl/60+1)) {
			continue
		}
		if ctx.Err() != nil {
			return nil, apierror.New(apierror.Timeout, "another Patchbay is renewing this login and does not come to an end")
		}
		return nil, &apierror.Error{Kind: apierror.Internal, Msg: "the lock for renewing a login cannot be had; the log says more", Err: err}
	}
	stop := make(chan struct{})
	var kept sync.WaitGroup
	kept.Go(func() { // ended by release
		tick := time.NewTicker(ttl / 4)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, ok, err := t.needs.Leases.Acquire(ctx, name, ttl); !ok {
					t.needs.Log.Warn("The lock for renewing a login was lost", "account", id, "err", err)
				}
			}
		}
	})
	return func() {
		close(stop)
		kept.Wait()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if err := t.needs.Leases.Release(last, name); err != nil {
			t.needs.Log.Warn("Giving back the lock for renewing a login failed; it ends by itself", "account", id, "err", err)
		}
	}, nil
}
