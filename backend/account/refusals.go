package account

import (
	"time"

	"patchbay/backend/apierror"
)

// Where nobody can serve a model, requests come as before, or faster: to look at each of thousands of accounts for every one of
// them would hold up those that other accounts could serve. What was found is good until something changes.

// refusals are what nobody said for models lately.
type refusals struct {
	changes uint64 // the pool's when they were found
	of      map[string]refusal
}

type refusal struct {
	err     apierror.Error
	at      time.Time
	soonest time.Time // zero where no time is known
}

// maxRefusals is how many models are remembered, and refusalAge for how long: the words tell times.
const (
	maxRefusals = 64
	refusalAge  = time.Second
)

// plain reports whether a call asks for a model and for nothing else, so that what it is told holds for others.
func (q *Query) plain() bool { return q.Account == "" && len(q.Tags) == 0 && len(q.Skip) == 0 }

// refused returns what calls were told lately, nil if that must be found anew. The caller holds the lock.
func (pl *pool) refused(q *Query, now time.Time) *apierror.Error {
	if pl.refusals.changes != pl.changes || !q.plain() {
		return nil
	}
	r, ok := pl.refusals.of[q.Model]
	if !ok || now.Sub(r.at) >= refusalAge || !r.soonest.IsZero() && !r.soonest.After(now) {
		return nil
	}
	e := r.err
	if !r.soonest.IsZero() {
		e.RetryAfter = r.soonest.Sub(now)
	}
	return &e
}

// remember keeps what a call is told. It is not kept while accounts are at their limit of calls: when they come free nobody
// knows. The caller holds the lock.
func (pl *pool) remember(q *Query, e *apierror.Error, now time.Time) {
	if !q.plain() || pl.full > 0 {
		return
	}
	if pl.refusals.changes != pl.changes || len(pl.refusals.of) >= maxRefusals || pl.refusals.of == nil {
		pl.refusals = refusals{changes: pl.changes, of: map[string]refusal{}}
	}
	r := refusal{err: *e, at: now}
	if e.RetryAfter > 0 {
		r.soonest = now.Add(e.RetryAfter)
	}
	pl.refusals.of[q.Model] = r
}
