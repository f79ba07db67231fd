package oauth

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// How many logins are renewed ahead of time at once: over all, and of one provider unless its policy says so.
const (
	parallelAll      = 4
	parallelProvider = 2
)

// longestSleep bounds how long the queue trusts its plan: the machine may have slept, or its clock may have been set.
const longestSleep = time.Minute

// Run renews logins before they end, until ctx ends; also those of accounts that rest, so that they are good when the rest
// is over. Borrowed logins are left to their owners.
func (t *Tokens) Run(ctx context.Context) error {
	q := &queue{t: t, busy: map[string]bool{}, count: map[string]int{}, last: map[string]time.Time{}}
	defer q.jobs.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
		case <-timer.C:
		}
		timer.Reset(q.round(ctx))
	}
}

// Wake has Run look at once at what is due: its timer may have stood still while the machine slept.
func (t *Tokens) Wake() { t.nudge() }

// nudge tells the queue that something changed.
func (t *Tokens) nudge() {
	select {
	case t.wake <- struct{}{}:
	default: // it knows
	}
}

type queue struct {
	t    *Tokens
	jobs sync.WaitGroup

	mu    sync.Mutex // guards what follows
	busy  map[string]bool
	count map[string]int       // running ones, by provider
	last  map[string]time.Time // begin of the latest one, by provider
}

// round starts what is due and may start now, and returns how long nothing else will be.
func (q *queue) round(ctx context.Context) time.Duration {
	now := time.Now()
	type job struct {
		Entry
		at time.Time
	}
	var plan []job
	for _, e := range q.t.needs.Book.Renewable() {
		if at, ok := q.t.plan(e); ok {
			plan = append(plan, job{e, at})
		}
	}
	slices.SortFunc(plan, func(a, b job) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.ID, b.ID)) })
	sleep := longestSleep
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range plan {
		if q.busy[j.ID] {
			continue // its end wakes us
		}
		at := j.at
		if last, ok := q.last[j.Provider]; ok && j.Policy.RefreshSpread > 0 {
			at = latest(at, last.Add(j.Policy.RefreshSpread))
		}
		if at.After(now) {
			sleep = min(sleep, at.Sub(now))
			continue
		}
		if len(q.busy) >= parallelAll || q.count[j.Provider] >= cmp.Or(j.Policy.RefreshParallel, parallelProvider) {
			continue // the end of another wakes us
		}
		q.begin(ctx, j.ID, j.Provider, now)
	}
	return max(sleep, 10*time.Millisecond)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// begin starts one renewal. The caller holds the lock.
func (q *queue) begin(ctx context.Context, id, provider string, now time.Time) {
	q.busy[id], q.last[provider] = true, now
	q.count[provider]++
	q.jobs.Go(func() { // ends with the renewal, which has a time limit
		q.t.ahead(ctx, id)
		q.mu.Lock()
		delete(q.busy, id)
		q.count[provider]--
		q.mu.Unlock()
		q.t.nudge()
	})
}

// ahead renews one login if it is still due.
func (t *Tokens) ahead(ctx context.Context, id string) {
	h, err := t.hold(ctx, id)
	if err != nil {
		t.unopened(id)
		return
	}
	if h.Borrowed || h.over || h.Credential.Expiry.IsZero() || time.Now().Before(h.due.Add(-early(id, h.Credential.Expiry.Sub(h.due)))) {
		return
	}
	select {
	case <-t.start(ctx, id, h.version): // its outcome is noted where it happens
	case <-ctx.Done():
	}
}

// unopened keeps the queue from asking for a login that cannot be opened all the time.
func (t *Tokens) unopened(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut == nil {
		t.shut = map[string]time.Time{}
	}
	t.shut[id] = time.Now().Add(longestSleep)
}

// plan says when an account's login is to be renewed ahead of time.
func (t *Tokens) plan(e Entry) (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[e.ID]; h != nil {
		if h.Borrowed || h.over || h.Credential.Expiry.IsZero() {
			return time.Time{}, false
		}
		return latest(h.due.Add(-early(e.ID, h.Credential.Expiry.Sub(h.due))), h.retry), true
	}
	if e.Expiry.IsZero() {
		return time.Time{}, false
	}
	lead := Lead(e.Issued, e.Expiry, e.Policy)
	return latest(e.Expiry.Add(-lead-early(e.ID, lead)), t.shut[e.ID]), true
}

// early is by how much the queue is ahead of callers: up to a quarter of the lead, by the account's id, so that accounts that
// signed in together are not renewed together.
func early(id string, lead time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash takes everything
	return time.Duration(float64(lead) / 4 * float64(h.Sum32()) / float64(1<<32))
}
