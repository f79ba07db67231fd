package account

import (
	"context"
	"math/rand/v2"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
)

// CheckResult is what the last check of an account found.
type CheckResult struct {
	At   time.Time
	Kind string // of what is wrong, "" = nothing
	Note string // what is wrong, or good to know
}

// How services are asked for what is free: how much is left after an account was used, at most every quotaEvery and not
// before quotaDelay, and one question at a time with askPace between them.
const (
	quotaEvery = 5 * time.Minute
	quotaDelay = time.Minute
	askPace    = 5 * time.Second
	askLimit   = 30 * time.Second
)

// question is what an account's service is asked.
type question uint8

const (
	askNothing question = iota
	askQuota
	askCheck
)

// RunChecks asks services, until ctx ends, for what is free: how much is left for accounts that were used, and whether
// accounts are well where the settings of their pool want that.
func (p *Pools) RunChecks(ctx context.Context) error {
	for {
		id, what, next := p.due(time.Now())
		switch what {
		case askQuota:
			ask, cancel := context.WithTimeout(ctx, askLimit)
			_, _ = p.Quota(ask, id) // why there is no answer stands in the reading
			cancel()
		case askCheck:
			p.lookAfter(ctx, id)
		}
		pause := time.NewTimer(askPace)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
		if what != askNothing {
			continue
		}
		var later <-chan time.Time
		if !next.IsZero() {
			later = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wakeAsk:
		case <-later:
		}
	}
}

// due returns what is to be asked now, or when something will be.
func (p *Pools) due(now time.Time) (id string, what question, next time.Time) {
	soonest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for provider, pl := range p.pools {
		if p.needs.On != nil && !p.needs.On(provider) {
			continue
		}
		for _, e := range pl.all {
			if !e.row.Enabled || e.state != Ready {
				continue
			}
			if at := e.quotaDue(); !at.IsZero() && !at.After(now) {
				return e.row.ID, askQuota, now
			} else if !at.IsZero() {
				soonest(at)
			}
			if pl.set.CheckEvery <= 0 {
				e.nextCheck = time.Time{}
				continue
			}
			if e.nextCheck.IsZero() {
				e.nextCheck = now.Add(rand.N(min(pl.set.CheckEvery, quotaEvery)))
			}
			if !e.nextCheck.After(now) {
				e.nextCheck = now.Add(pl.set.CheckEvery - rand.N(pl.set.CheckEvery/10+1))
				return e.row.ID, askCheck, now
			}
			soonest(e.nextCheck)
		}
	}
	return "", askNothing, next
}

// quotaDue returns when to ask how much is left, the zero time where there is no reason to.
func (e *entry) quotaDue() time.Time {
	if e.usedSince.IsZero() || e.quota != nil && e.quota.None {
		return time.Time{}
	}
	at := e.usedSince.Add(quotaDelay)
	if polite := e.asked.Add(quotaEvery); polite.After(at) {
		return polite
	}
	return at
}

// lookAfter checks an account by what is free. A pause for faults of the service or the line ends when it is well; an end of
// its login or of the account is noted. A bare key that is refused here is told and harms nothing: many services answer
// chats for keys that may not list models.
func (p *Pools) lookAfter(ctx context.Context, id string) {
	ask, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	p.mu.Lock()
	gen := 0
	if e := p.entries[id]; e != nil {
		gen = e.generation
	}
	p.mu.Unlock()
	found, err := p.Test(ask, id)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	if e == nil || e.generation != gen {
		return
	}
	e.check = &CheckResult{At: now, Note: found.Note}
	usable := e.usable()
	if err == nil {
		e.faults = 0
		if c := e.cool[allModels]; c != nil && faultKinds[c.kind] && c.until.After(now) {
			delete(e.cool, allModels)
			e.coolChanged(now)
		}
	} else {
		why := apierror.From(err)
		e.check.Kind, e.check.Note = why.Kind.String(), reasonOf(e, why)
		switch apierror.PolicyOf(why.Kind).Effect {
		case apierror.NeedsLogin:
			if e.renews {
				p.refusedBy(e, &Lease{gen: gen}, why, reasonOf(e, why), now)
			}
		case apierror.Blocked:
			e.setBlocked(why, reasonOf(e, why))
		}
	}
	p.changed(id)
	if usable && !e.usable() {
		p.needs.Bus.Publish(events.Notice, id, e.row.Name+": "+e.reason)
	}
}

// faultKinds are kinds of failures of the service or the line: a check that goes well says that they are over.
var faultKinds = map[string]bool{
	apierror.Upstream5xx.String(): true, apierror.Transport.String(): true, apierror.Timeout.String(): true, apierror.Truncated.String(): true,
	apierror.Overloaded.String(): true,
}
