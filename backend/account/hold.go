package account

import (
	"cmp"
	"time"

	"patchbay/backend/apierror"
)

// A service may ask for so short a pause that a call waits it out with the account in hand. Others leave the account alone
// meanwhile: they take another one, and where there is none they wait as well instead of being refused.

// Hold keeps other calls from the account for as long as the service asked. The lease's own call goes on with Resume.
func (l *Lease) Hold(err *apierror.Error) {
	p, e, now := l.pools, l.entry, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.released || e.pool == nil || err.RetryAfter <= 0 {
		return
	}
	scope, until := cmp.Or(err.Scope, l.model, allModels), now.Add(err.RetryAfter)
	c := cooldown{until: until, kind: err.Kind.String(), reason: reasonOf(e, err), held: true}
	if old := e.cool[scope]; old != nil {
		if old.until.After(now) && (!old.held || old.until.After(until)) {
			return // other calls learned more, or wait longer
		}
		c.level = old.level
	}
	e.setCool(scope, c)
	l.held = scope
	if until.After(e.pool.heldUntil) {
		e.pool.heldUntil = until
	}
}

// Resume ends the wait of Hold, and reports whether another attempt may be made, as Good does.
func (l *Lease) Resume() bool {
	now := time.Now()
	l.pools.mu.Lock()
	defer l.pools.mu.Unlock()
	l.letGo(now)
	return l.good(now)
}

// letGo lets others use what Hold kept from them. The caller holds the lock.
func (l *Lease) letGo(now time.Time) {
	if l.held == "" {
		return
	}
	e := l.entry
	if c := e.cool[l.held]; c != nil && c.held {
		if c.level == 0 {
			delete(e.cool, l.held)
		} else {
			c.until, c.held = now, false // it stays known how often the account was refused
		}
		e.coolChanged(now)
		e.pool.wake()
	}
	l.held = ""
}

// heldFor returns how long the account is held by a call that waits, where nothing else keeps it from serving a call; 0 = it
// is not. The caller holds the lock.
func (e *entry) heldFor(q *Query, now time.Time) time.Duration {
	if !e.usable() || q.Account != "" && e.row.ID != q.Account {
		return 0
	}
	if why := e.why(q, now, false); why.kind != passedBusy || why.wait <= 0 {
		return 0
	}
	if c := e.pause(q.Model, now); c != nil && c.held {
		return c.until.Sub(now)
	}
	return 0
}
