package account

import (
	"context"
	"slices"
	"time"
)

// maxWaiting is how many calls of a provider wait for an account at once; more are refused at once.
const maxWaiting = 256

// awaitFree waits until a call of the provider ends, where accounts are passed over for their limit of calls only or because
// calls hold them for a short pause.
func (p *Pools) awaitFree(ctx context.Context, q *Query, patience <-chan time.Time) waited {
	pl, freed, held := p.enqueue(q)
	if pl == nil {
		return useless
	}
	defer p.dequeue(pl)
	var over <-chan time.Time
	if held > 0 {
		timer := time.NewTimer(held)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-freed:
		return freeAgain
	case <-over:
		return freeAgain
	case <-patience:
		return overdue
	case <-ctx.Done():
		return useless
	}
}

// waited says how waiting for an account ended.
type waited uint8

const (
	useless   waited = iota // nothing that waiting helps against, or the client has gone
	freeAgain               // choosing again makes sense
	overdue                 // patience is at its end
)

// enqueue counts a waiting call; nil means that waiting is of no use. The channel is closed when an account comes free; held
// is how long the first is held for a pause, 0 if none is.
func (p *Pools) enqueue(q *Query) (_ *pool, freed <-chan struct{}, held time.Duration) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[q.Provider]
	if pl == nil || pl.waiting >= maxWaiting || p.modelRest(pl, q, now) > 0 {
		return nil, nil, 0
	}
	pl.wakeUp(now)
	if p.choose(pl, q, now) != nil { // it came free since it was looked at
		pl.waiting++
		return pl, closed, 0
	}
	full := p.fullFor(pl, q, now)
	if pl.heldUntil.After(now) {
		for _, e := range pl.all {
			if d := e.heldFor(q, now); d > 0 && (held == 0 || d < held) {
				held = d
			}
		}
	}
	if !full && held == 0 {
		return nil, nil, 0
	}
	pl.waiting++
	if pl.freed == nil {
		pl.freed = make(chan struct{})
	}
	return pl, pl.freed, held
}

// fullFor reports whether an account could take the call but for its limit of calls.
func (p *Pools) fullFor(pl *pool, q *Query, now time.Time) bool {
	if pl.full == 0 {
		return false
	}
	set := pl.scopes.of(q.Model)
	return slices.ContainsFunc(pl.all, func(e *entry) bool {
		return e.place.full && (q.Account == "" || e.row.ID == q.Account) && e.fits(q, set, now)
	})
}

// closed is a channel that is always ready.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (p *Pools) dequeue(pl *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl.waiting--
}

// wake tells those who wait that a call ended. pl is nil where the account was removed meanwhile. The caller holds the lock.
func (pl *pool) wake() {
	if pl != nil && pl.freed != nil {
		close(pl.freed)
		pl.freed = nil
	}
}
