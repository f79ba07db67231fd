package account

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
)

// A Lease is one attempt's hold on an account. Release must be called once; more calls do nothing.
type Lease struct {
	pools    *Pools
	entry    *entry
	upstream provider.Upstream
	id, name string
	model    string
	gen      int  // of the entry when the lease began
	released bool // guarded by Pools.mu
	use      oauth.Use
}

// Upstream answers calls with the account.
func (l *Lease) Upstream() provider.Upstream { return l.upstream }

// AccountID returns the account's id.
func (l *Lease) AccountID() string { return l.id }

// Label returns the account's name as people see it.
func (l *Lease) Label() string { return l.name }

// Good reports whether another attempt may be made with the lease: neither a person nor a call that ended meanwhile has put
// the account aside.
func (l *Lease) Good() bool {
	now := time.Now()
	l.pools.mu.Lock()
	defer l.pools.mu.Unlock()
	e := l.entry
	return e.pool != nil && e.usable() && !e.rests(l.model, now)
}

// Acquire reserves an account for one attempt. Among those that are enabled, hold a usable login, have the model, are
// not cooling down for it and are not skipped, it takes the lowest priority number; inside that tier the one bound to
// the conversation, else the one with the fewest calls in flight, else the one that was idle longest.
//
// Where every account that could serve is at its limit of calls, it waits up to Query.Wait for one to come free; at most
// maxWaiting calls of a provider wait.
//
// The error is apierror.NotConfigured if the provider has no account, ModelNotFound if no account has the model, and
// otherwise NoAccount with the time at which the first will be free and why each one was passed over.
func (p *Pools) Acquire(ctx context.Context, q Query) (*Lease, error) {
	var patience <-chan time.Time
	for {
		e, gen, err := p.reserve(q)
		if err != nil {
			if q.Wait <= 0 {
				return nil, err
			}
			if patience == nil {
				timer := time.NewTimer(q.Wait)
				defer timer.Stop()
				patience = timer.C
			}
			if !p.awaitFree(ctx, q, patience) {
				return nil, err
			}
			continue
		}
		up, err := p.upstream(ctx, e, gen)
		if err == nil {
			return p.lease(e, gen, up, q), nil
		}
		if !p.giveUp(e, err) {
			if ctx.Err() != nil {
				return nil, &apierror.Error{Kind: apierror.Canceled, Msg: "the client went away", Err: ctx.Err()}
			}
			return nil, apierror.From(err)
		}
	}
}

func (p *Pools) lease(e *entry, gen int, up provider.Upstream, q Query) *Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &Lease{pools: p, entry: e, upstream: up, id: e.row.ID, name: e.row.Name, model: q.Model, gen: gen}
}

// reserve chooses an account and counts the call.
func (p *Pools) reserve(q Query) (*entry, int, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[q.Provider]
	if pl == nil || len(pl.all) == 0 {
		return nil, 0, apierror.New(apierror.NotConfigured, "%s has no account yet: add one on the page or with: patchbay accounts add", q.Provider)
	}
	rest := p.modelRest(pl, q, now)
	if rest > 0 {
		return nil, 0, p.nobody(pl, q, now, rest)
	}
	e := p.choose(pl, q, now)
	if e == nil {
		return nil, 0, p.nobody(pl, q, now, 0)
	}
	e.lastUsed = now
	e.addCall(+1)
	if q.Conversation != "" {
		p.bound.set(q.Provider, q.Conversation, e)
	}
	return e, e.generation, nil
}

// modelRest returns how long the model still rests at this provider. A request that was already tried here goes on: it
// may be the one that found the model busy, and one more account may have room.
func (p *Pools) modelRest(pl *pool, q Query, now time.Time) time.Duration {
	until := p.rests[modelKey{q.Provider, q.Model}]
	if !until.After(now) {
		return 0
	}
	for id := range q.Skip {
		if e := p.entries[id]; e != nil && e.pool == pl {
			return 0
		}
	}
	return until.Sub(now)
}

func (p *Pools) choose(pl *pool, q Query, now time.Time) *entry {
	var sticky *entry
	if q.Conversation != "" {
		sticky = p.bound.get(q.Provider, q.Conversation)
	}
	for _, t := range pl.tiers {
		if sticky != nil && sticky.tier == t && sticky.usable() && sticky.free(q, now) {
			return sticky
		}
		for i := range t.lists {
			for e := t.lists[i].head; e != nil; e = e.next {
				if e.free(q, now) {
					return e
				}
			}
		}
	}
	return nil
}

// free reports whether a usable account can take this call now.
func (e *entry) free(q Query, now time.Time) bool {
	if e.limit > 0 && e.inflight >= e.limit {
		return false
	}
	if len(q.Skip) > 0 {
		if _, skip := q.Skip[e.row.ID]; skip {
			return false
		}
	}
	return !e.rests(q.Model, now)
}

// shownReasons is how many accounts an error names.
const shownReasons = 10

// nobody explains why no account was found; rest is how long the model has no capacity, whoever asks. The caller holds
// the lock.
func (p *Pools) nobody(pl *pool, q Query, now time.Time, rest time.Duration) *apierror.Error {
	e := apierror.New(apierror.NoAccount, "")
	e.Provider = q.Provider
	var reasons []string
	absent, waits := 0, false
	for _, a := range pl.all {
		why := a.why(q, now)
		if rest > 0 && why.kind == passedNot {
			why = passed{kind: passedBusy, text: "no capacity for " + q.Model + " at the service", wait: rest}
		}
		if why.wait > 0 && (e.RetryAfter == 0 || why.wait < e.RetryAfter) {
			e.RetryAfter = why.wait
		}
		if why.kind == passedAbsent {
			absent++
		}
		waits = waits || why.kind == passedBusy || why.kind == passedTried
		if len(reasons) < shownReasons {
			reasons = append(reasons, a.row.Name+": "+why.text)
		}
	}
	if more := len(pl.all) - len(reasons); more > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more", more))
	}
	e.Msg = q.Provider + ": no usable account (" + strings.Join(reasons, "; ") + ")"
	if absent > 0 && absent == pl.enabled() {
		e.Kind = apierror.ModelNotFound
		e.Msg = fmt.Sprintf("%s: no account has the model %q; look at the model list, or ask for another one", q.Provider, q.Model)
	}
	e.NoRetry = e.RetryAfter == 0 && !waits // only a person can help
	return e
}

func (pl *pool) enabled() (n int) {
	for _, e := range pl.all {
		if e.row.Enabled {
			n++
		}
	}
	return n
}

// passed says why an account was passed over, and for how long where that is known.
type passed struct {
	kind passedKind
	text string
	wait time.Duration
}

type passedKind uint8

const (
	passedNot    passedKind = iota // it was not
	passedPerson                   // only a person can help
	passedBusy                     // it will be free
	passedAbsent                   // it does not have the model
	passedTried                    // it was tried for this request
)

// why says why the account cannot take the call. The caller holds the lock.
func (e *entry) why(q Query, now time.Time) passed {
	switch {
	case !e.row.Enabled:
		return passed{kind: passedPerson, text: "switched off"}
	case e.state != Ready:
		return passed{kind: passedPerson, text: cmp.Or(e.reason, string(e.state))}
	}
	if c := e.pause(q.Model, now); c != nil {
		if c.absent {
			return passed{kind: passedAbsent, text: "does not have " + q.Model}
		}
		wait := c.until.Sub(now)
		return passed{kind: passedBusy, text: withText("rests for "+round(wait).String(), c.reason), wait: wait}
	}
	if _, skip := q.Skip[e.row.ID]; skip {
		if e.lastFault == "" {
			return passed{kind: passedTried, text: "was tried"}
		}
		return passed{kind: passedTried, text: e.lastFault}
	}
	if e.limit > 0 && e.inflight >= e.limit {
		return passed{kind: passedBusy, text: fmt.Sprintf("is busy with %d calls, its limit", e.inflight), wait: time.Second}
	}
	return passed{}
}

func withText(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ", " + reason
}

// round makes a wait readable: seconds up to an hour, minutes beyond.
func round(d time.Duration) time.Duration {
	if d < time.Hour {
		return max(d.Round(time.Second), time.Second)
	}
	return d.Round(time.Minute)
}

// bindings remembers which account a conversation is bound to. It has two halves of bounded size: when the young one is
// full the old one is dropped, so that what was used lately stays.
type bindings struct{ young, old map[binding]*entry }

type binding struct{ provider, conversation string }

const maxBindings = 4096

func (b *bindings) get(provider, conversation string) *entry {
	key := binding{provider, conversation}
	if e := b.young[key]; e != nil {
		return e
	}
	return b.old[key]
}

func (b *bindings) set(provider, conversation string, e *entry) {
	if b.young == nil || len(b.young) >= maxBindings {
		b.old, b.young = b.young, map[binding]*entry{}
	}
	b.young[binding{provider, conversation}] = e
}
