package account

import (
	"context"
	"time"
)

// maxWaiting is how many calls of a provider wait for an account at once; more are refused at once.
const maxWaiting = 256

// awaitFree waits until a call of the provider ends, where accounts are passed over for their limit of calls only. It
// reports whether choosing again makes sense.
func (p *Pools) awaitFree(ctx context.Context, q *Query, patience <-chan time.Time) bool {
	pl, freed := p.enqueue(q)
	if pl == nil {
		return false
	}
	defer p.dequeue(pl)
	select {
	case <-freed:
		return true
	case <-patience:
		return false
	case <-ctx.Done():
		return false
	}
}

// enqueue counts a waiting call; nil means that waiting is of no use. The channel is closed when an account comes free.
func (p *Pools) enqueue(q *Query) (*pool, <-chan struct{}) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[q.Provider]
	if pl == nil || pl.waiting >= maxWaiting || p.modelRest(pl, q, now) > 0 {
		return nil, nil
	}
	pl.wakeUp(now)
	if p.choose(pl, q, now) != nil { // it came free since it was looked at
		pl.waiting++
		return pl, closed
	}
	if pl.full == 0 {
		return nil, nil
	}
	set := pl.scopes.of(q.Model)
	for _, e := range pl.all {
		if !e.place.full || q.Account != "" && e.row.ID != q.Account || !e.fits(q, set, now) {
			continue
		}
		pl.waiting++
		if pl.freed == nil {
			pl.freed = make(chan struct{})
		}
		return pl, pl.freed
	}
	return nil, nil
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
