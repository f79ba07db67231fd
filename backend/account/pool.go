package account

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Strategy says which of the accounts of a tier is chosen.
type Strategy string

// The strategies.
const (
	LeastLoaded  Strategy = "least-loaded"  // the fewest calls in flight, then the one that was idle longest
	RoundRobin   Strategy = "round-robin"   // in turn
	FillFirst    Strategy = "fill-first"    // the oldest that can serve
	Weighted     Strategy = "weighted"      // in proportion to the weights
	SoonestReset Strategy = "soonest-reset" // that whose allowance is filled up soonest, so that less of it goes to waste
)

// Strategies lists them, the default first.
var Strategies = []Strategy{LeastLoaded, RoundRobin, FillFirst, Weighted, SoonestReset}

// Stickiness says which conversations stay on an account.
type Stickiness string

// Kinds of stickiness.
const (
	StickAll     Stickiness = "on"      // every conversation, known by what the app says or by how it begins
	StickSession Stickiness = "session" // only those that the app names
	StickNone    Stickiness = "off"
)

// Stickinesses lists them, the default first.
var Stickinesses = []Stickiness{StickAll, StickSession, StickNone}

// DefaultStickyFor is how long a conversation stays bound after its last request: longer than services keep their caches.
const DefaultStickyFor = time.Hour

// MaxReserve is the largest share of an allowance that can be kept back, in percent.
const MaxReserve = 90

// MaxWeight is the largest weight of an account.
const MaxWeight = 1000

// PoolSettings say how the accounts of a provider are used. The zero value is the default.
type PoolSettings struct {
	Strategy  Strategy
	Sticky    Stickiness
	StickyFor time.Duration
	Reserve   int      // percent of each allowance that is left alone
	Tags      []string // only accounts with one of these are used; none = all
	// CheckEvery is how often the accounts are checked by what is free; 0 = never.
	CheckEvery time.Duration
}

func (s PoolSettings) withDefaults() PoolSettings {
	s.Strategy = cmp.Or(s.Strategy, LeastLoaded)
	s.Sticky = cmp.Or(s.Sticky, StickAll)
	s.StickyFor = cmp.Or(s.StickyFor, DefaultStickyFor)
	return s
}

// PoolStatus is a pool as people see it.
type PoolStatus struct {
	Provider string
	PoolSettings
	States   map[State]int
	Accounts []string  // ids in the order in which they come: by priority, then by age
	InFlight int       // calls
	Waiting  int       // calls that wait for an account
	Bound    int       // conversations
	Soonest  time.Time // when the first of those that rest is ready again; zero while one is ready, or where none rests
}

// Configure takes up how the accounts of a provider are to be used. Running calls go on.
func (p *Pools) Configure(provider string, set PoolSettings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl, now := p.pool(provider), time.Now()
	set = set.withDefaults()
	was := pl.set
	pl.set = set
	if was.CheckEvery != set.CheckEvery {
		for _, e := range pl.all {
			e.nextCheck = time.Time{}
		}
		select {
		case p.wakeAsk <- struct{}{}:
		default: // RunChecks has been told already
		}
	}
	if was.Strategy == set.Strategy && was.Reserve == set.Reserve && slices.Equal(was.Tags, set.Tags) && was.Sticky == set.Sticky {
		return
	}
	if set.Sticky == StickNone {
		p.bound.forget(func(b *bound) bool { return b.key.provider == provider })
	}
	for _, e := range pl.all {
		if e.keepBack(now) {
			p.changed(e.row.ID)
		}
		e.refresh(now)
	}
}

// pool returns the pool of a provider, a new one if there is none yet. The caller holds the lock.
func (p *Pools) pool(provider string) *pool {
	pl := p.pools[provider]
	if pl == nil {
		pl = &pool{set: PoolSettings{}.withDefaults()}
		p.pools[provider] = pl
	}
	return pl
}

// Pool returns what is to be known of the pool of a provider; one without accounts has settings only.
func (p *Pools) Pool(provider string) PoolStatus {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bound.sweep(now)
	pl := p.pools[provider]
	if pl == nil {
		return PoolStatus{Provider: provider, PoolSettings: PoolSettings{}.withDefaults()}
	}
	out := PoolStatus{Provider: provider, PoolSettings: pl.set, States: map[State]int{}, Waiting: pl.waiting}
	out.Tags = slices.Clone(pl.set.Tags)
	for _, e := range slices.SortedFunc(slices.Values(pl.all), compareEntries) {
		st := statusOf(e, now)
		out.States[st.State]++
		out.Accounts = append(out.Accounts, st.ID)
		out.InFlight += st.InFlight
		out.Bound += st.Bound
		if st.State == Cooling && (out.Soonest.IsZero() || st.Until.Before(out.Soonest)) {
			out.Soonest = st.Until
		}
	}
	if out.States[Ready] > 0 {
		out.Soonest = time.Time{}
	}
	return out
}

// compareEntries is the order in which the accounts of a pool come.
func compareEntries(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.row.Priority, b.row.Priority), a.row.Created.Compare(b.row.Created), cmp.Compare(a.row.ID, b.row.ID))
}

// stride is what a choice costs an account of weight 1.
const stride = 1 << 20

// ranked returns the account's place among its like, by the strategy of its pool.
func (e *entry) ranked() rank {
	at := &e.place
	switch e.pool.set.Strategy {
	case RoundRobin:
		return rank{a: at.chosen}
	case FillFirst:
		return rank{a: uint64(max(e.row.Created.UnixMilli(), 0)), b: at.order}
	case Weighted:
		return rank{a: at.pass, b: at.chosen}
	case SoonestReset:
		if at.resets == 0 {
			return rank{a: 1 << 62, b: uint64(e.inflight), c: at.stamp}
		}
		return rank{a: uint64(at.resets), b: uint64(e.inflight), c: at.stamp}
	default:
		return rank{a: uint64(e.inflight), b: at.stamp}
	}
}

// choose counts that the account was chosen.
func (e *entry) take() {
	pl := e.pool
	pl.clock++
	e.place.chosen = pl.clock
	e.tier.pass = max(e.tier.pass, e.place.pass)
	e.place.pass += stride / uint64(max(e.row.Weight, 1))
	e.addCall(+1)
}

// CleanTags makes tags comparable: small letters, each once, sorted.
func CleanTags(tags []string) []string {
	var out []string
	for _, t := range tags {
		if t = strings.ToLower(cleanName(t)); t != "" {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
