package account

import (
	"cmp"
	"slices"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/trace"
)

// Considered is an account as a choice sees it: for the trace of a request, and for a look at where one would go.
type Considered struct {
	ID, Name string
	Priority int
	InFlight int
	Chosen   bool      // it is the one that would be taken now
	Kind     string    // why it is passed over: a kind of package trace, or a state; "" = it is not
	Text     string    // the same in words
	Until    time.Time // when that is over, where it is known
}

// Considered lists the accounts of a provider in the order of a choice: by priority, and inside a tier those that are passed
// over first. It reserves nothing. At most limit accounts are looked at (0 = all): a request is not to wait for a pool of
// thousands. more is how many were not.
func (p *Pools) Considered(q Query, limit int) (_ []Considered, more int) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[q.Provider]
	if pl == nil {
		return nil, 0
	}
	var chosen *entry
	pl.wakeUp(now)
	rest := p.modelRest(pl, &q, now)
	if rest == 0 {
		chosen = p.choose(pl, &q, now)
	}
	look := pl.all
	if limit > 0 && len(look) > limit && q.Account == "" {
		look, more = look[:limit], len(look)-limit
	}
	out := make([]Considered, 0, len(look))
	for _, e := range look {
		if q.Account != "" && e.row.ID != q.Account {
			continue
		}
		c := Considered{ID: e.row.ID, Name: e.row.Name, Priority: e.row.Priority, InFlight: e.inflight, Chosen: e == chosen}
		if !c.Chosen {
			e.passedOver(&c, &q, now, rest)
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b Considered) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.turn(), b.turn()))
	})
	return out, more
}

// turn orders accounts of one tier.
func (c *Considered) turn() int {
	switch {
	case c.Kind != "":
		return 0
	case c.Chosen:
		return 1
	default:
		return 2
	}
}

// passedOver notes why the account cannot take the call. The caller holds the lock.
func (e *entry) passedOver(c *Considered, q *Query, now time.Time, rest time.Duration) {
	why := e.why(q, now, true)
	if why.kind == passedNot && rest > 0 {
		why = passed{kind: passedBusy, text: "no capacity for " + q.Model + " at the service", wait: rest}
	}
	if why.kind == passedNot {
		return
	}
	c.Text = why.text
	switch {
	case !e.row.Enabled:
		c.Kind = string(Disabled)
	case e.state != Ready:
		c.Kind = string(e.state)
	case why.kind == passedTag:
		c.Kind = trace.KindNoTag
	case !e.words.serve(q.Model):
		c.Kind = trace.KindNotServed
	case why.kind == passedAbsent:
		c.Kind = trace.KindAbsent
	case why.kind == passedTried:
		c.Kind = trace.KindWasTried
	case rest == 0 && e.limit > 0 && e.inflight >= e.limit && !e.rests(q.Model, now):
		c.Kind = trace.KindBusy
		return // when a call ends is not known
	default:
		c.Kind = trace.KindResting
	}
	if why.wait > 0 {
		c.Until = now.Add(why.wait)
	}
}

// Nobody is the error of a choice that finds no account.
func (p *Pools) Nobody(q Query) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[q.Provider]
	if pl == nil || len(pl.all) == 0 {
		return apierror.New(apierror.NotConfigured, "%s has no account yet: add one on the page or with: patchbay accounts add", q.Provider)
	}
	return p.nobody(pl, &q, now, p.modelRest(pl, &q, now))
}
