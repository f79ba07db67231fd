package account

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
	gen      int // of the entry when the lease began
	begun    time.Time
	released bool              // guarded by Pools.mu
	held     string            // the scope that Hold keeps from others; guarded by Pools.mu
	names    map[string]string // the account's own names for models
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
	return l.good(now)
}

// good does so with the lock held. That other calls wait out a short pause is no reason against it.
func (l *Lease) good(now time.Time) bool {
	e := l.entry
	return e.usable() && e.words.serve(l.model) && e.longest(l.model, now, false) == nil
}

// Acquire reserves an account for one attempt: the one that the query pins, else the one that its conversation is bound to,
// if that can serve, else of those that are enabled, hold a usable login, have the model and the tags asked for, are not
// cooling down and are not skipped, one of the lowest priority number, chosen by the strategy of the pool.
//
// Where every account that could serve is at its limit of calls, it waits up to Query.Wait for one to come free; at most
// maxWaiting calls of a provider wait.
//
// The error is apierror.NotConfigured if the provider has no account, ModelNotFound if no account has the model, and
// otherwise NoAccount with the time at which the first will be free and why each one was passed over.
func (p *Pools) Acquire(ctx context.Context, q Query) (*Lease, error) {
	var patience <-chan time.Time
	for {
		e, gen, err := p.reserve(&q)
		if err != nil {
			if q.Wait <= 0 {
				return nil, err
			}
			if patience == nil {
				timer := time.NewTimer(q.Wait)
				defer timer.Stop()
				patience = timer.C
			}
			switch p.awaitFree(ctx, &q, patience) {
			case useless:
				return nil, err
			case overdue:
				q.Wait = 0 // one last look, which also tells the times of now
			}
			continue
		}
		up, err := p.upstream(ctx, e, gen)
		if err == nil {
			return p.lease(e, gen, up, &q), nil
		}
		if !p.giveUp(e, err) {
			if ctx.Err() != nil {
				return nil, &apierror.Error{Kind: apierror.Canceled, Msg: "the client went away", Err: ctx.Err()}
			}
			return nil, apierror.From(err)
		}
	}
}

func (p *Pools) lease(e *entry, gen int, up provider.Upstream, q *Query) *Lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &Lease{pools: p, entry: e, upstream: up, id: e.row.ID, name: e.row.Name, model: q.Model, names: e.words.names, gen: gen, begun: time.Now()}
}

// reserve chooses an account and counts the call.
func (p *Pools) reserve(q *Query) (*entry, int, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[q.Provider]
	if pl == nil || len(pl.all) == 0 {
		return nil, 0, apierror.New(apierror.NotConfigured, "%s has no account yet: add one on the page or with: patchbay accounts add", q.Provider)
	}
	pl.wakeUp(now)
	if rest := p.modelRest(pl, q, now); rest > 0 {
		return nil, 0, p.nobody(pl, q, now, rest)
	}
	e := p.choose(pl, q, now)
	if e == nil {
		return nil, 0, p.nobody(pl, q, now, 0)
	}
	e.lastUsed = now
	e.take()
	if pl.sticks(q) {
		p.bound.set(binding{q.Provider, q.Conversation}, e, now, now.Add(pl.set.StickyFor))
	}
	return e, e.generation, nil
}

// sticks reports whether the conversation of a call stays on an account.
func (pl *pool) sticks(q *Query) bool {
	return q.Conversation != "" && q.Account == "" && (pl.set.Sticky == StickAll || pl.set.Sticky == StickSession && !q.Guessed)
}

// modelRest returns how long the model still rests at this provider. A request that was already tried here goes on: it
// may be the one that found the model busy, and one more account may have room.
func (p *Pools) modelRest(pl *pool, q *Query, now time.Time) time.Duration {
	if len(p.rests) == 0 {
		return 0
	}
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

// manyClasses is from how many classes in a tier on a search looks at so many that can serve, and takes the best of them.
// There are as many only where accounts rest for very different models.
const manyClasses = 64

func (p *Pools) choose(pl *pool, q *Query, now time.Time) *entry {
	set := pl.scopes.of(q.Model)
	fits := func(e *entry) bool { return e.fits(q, set, now) }
	if q.Account != "" {
		if e := p.entries[q.Account]; e != nil && e.pool == pl && e.free() && fits(e) {
			return e
		}
		return nil
	}
	if pl.sticks(q) {
		if e := p.bound.get(binding{q.Provider, q.Conversation}, now); e != nil && e.pool == pl && e.free() && fits(e) {
			return e
		}
	}
	for _, t := range pl.tiers {
		if e := t.choose(set, fits); e != nil {
			return e
		}
	}
	return nil
}

// choose returns the best account of a tier that fits; set is what it must not rest for.
func (t *tier) choose(set uint64, fits func(*entry) bool) *entry {
	var best *entry
	n, seen, from := len(t.rests), 0, 0
	if n > manyClasses {
		t.turn++
		from = t.turn % n
	}
	for i := range n {
		at := from + i
		if at >= n {
			at -= n
		}
		if t.rests[at]&set != 0 {
			continue
		}
		e := t.classes[at].first(0, fits)
		if e == nil {
			continue
		}
		if best == nil || e.place.rank.less(best.place.rank) {
			best = e
		}
		if seen++; seen >= manyClasses {
			break
		}
	}
	return best
}

// free reports whether the account can take any call now.
func (e *entry) free() bool { return e.place.class != nil }

// fits reports whether an account that is free can take this call; set is what it must not rest for.
func (e *entry) fits(q *Query, set uint64, now time.Time) bool {
	if e.place.rests&set != 0 {
		return false
	}
	if len(q.Skip) > 0 {
		if _, skip := q.Skip[e.row.ID]; skip {
			return false
		}
	}
	for _, tag := range q.Tags {
		if !slices.Contains(e.row.Tags, tag) {
			return false
		}
	}
	return e.place.rests&manyScopes == 0 || !e.rests(q.Model, now)
}

// shownReasons is how many accounts an error names.
const shownReasons = 10

// nobody explains why no account was found; rest is how long the model has no capacity, whoever asks. The caller holds
// the lock.
func (p *Pools) nobody(pl *pool, q *Query, now time.Time, rest time.Duration) *apierror.Error {
	if rest > 0 {
		return p.findNobody(pl, q, now, rest)
	}
	e := pl.refused(q, now)
	if e == nil {
		e = p.findNobody(pl, q, now, 0)
		pl.remember(q, e, now)
	}
	return e
}

// findNobody does so by looking at all accounts.
func (p *Pools) findNobody(pl *pool, q *Query, now time.Time, rest time.Duration) *apierror.Error {
	e := apierror.New(apierror.NoAccount, "")
	e.Provider = q.Provider
	var reasons []string
	absent, enabled, waits := 0, 0, false
	asked := pl.all
	if q.Account != "" {
		asked = p.pinned(q.Account)
	}
	for _, a := range asked {
		why := a.why(q, now, len(reasons) < shownReasons)
		if rest > 0 && why.kind == passedNot {
			why = passed{kind: passedBusy, text: "no capacity for " + q.Model + " at the service", wait: rest}
		}
		if a.row.Enabled {
			enabled++
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
	if more := len(asked) - len(reasons); more > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more", more))
	}
	switch {
	case q.Account != "" && len(reasons) == 0:
		e.Msg = fmt.Sprintf("%s: the account that the request asks for, %s, is not there; `patchbay accounts` lists them", q.Provider, q.Account)
	case q.Account != "":
		e.Msg = q.Provider + ": the account that the request asks for cannot serve (" + reasons[0] + ")"
	default:
		e.Msg = q.Provider + ": no usable account (" + strings.Join(reasons, "; ") + ")"
	}
	if absent > 0 && absent == enabled {
		e.Kind = apierror.ModelNotFound
		e.Msg = fmt.Sprintf("%s: no account has the model %q; look at the model list, or ask for another one", q.Provider, q.Model)
	}
	e.NoRetry = e.RetryAfter == 0 && !waits // only a person can help
	return e
}

// pinned returns the account of an id, or none.
func (p *Pools) pinned(id string) []*entry {
	if e := p.entries[id]; e != nil {
		return []*entry{e}
	}
	return nil
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
	passedTag                      // it lacks a tag that is asked for
	passedBusy                     // it will be free
	passedAbsent                   // it does not have the model
	passedTried                    // it was tried for this request
)

// why says why the account cannot take the call, with words if they are wanted: most accounts of a large pool are not
// named. The caller holds the lock.
func (e *entry) why(q *Query, now time.Time, words bool) passed {
	switch {
	case !e.row.Enabled:
		return passed{kind: passedPerson, text: "switched off"}
	case e.state != Ready:
		return passed{kind: passedPerson, text: cmp.Or(e.reason, string(e.state))}
	case e.pool != nil && !e.tagged(e.pool.set.Tags):
		return passed{kind: passedTag, text: "has none of the tags that its pool asks for"}
	}
	for _, tag := range q.Tags {
		if !slices.Contains(e.row.Tags, tag) {
			return passed{kind: passedTag, text: "does not have the tag " + tag}
		}
	}
	if !e.words.serve(q.Model) {
		return passed{kind: passedAbsent, text: "is set not to serve " + q.Model}
	}
	if c := e.pause(q.Model, now); c != nil {
		p := passed{kind: passedBusy, wait: c.until.Sub(now)}
		switch {
		case c.absent:
			p = passed{kind: passedAbsent}
			if words {
				p.text = "does not have " + q.Model
			}
		case words:
			p.text = withText("rests for "+round(p.wait).String(), c.reason)
		}
		return p
	}
	if _, skip := q.Skip[e.row.ID]; skip {
		if e.lastFault == "" {
			return passed{kind: passedTried, text: "was tried"}
		}
		return passed{kind: passedTried, text: e.lastFault}
	}
	if e.limit > 0 && e.inflight >= e.limit {
		if !words {
			return passed{kind: passedBusy, wait: time.Second}
		}
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
