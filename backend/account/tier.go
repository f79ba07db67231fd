package account

import (
	"cmp"
	"slices"
	"time"
)

// pool is the accounts of one provider. Those that may be used now stand in heaps, so that a choice looks at a few of them
// and not at all: per tier one heap for all accounts that rest for the same models and have the same tags.
type pool struct {
	set     PoolSettings
	all     []*entry
	tiers   []*tier // by priority
	scopes  scopes
	timers  []*entry // a heap: accounts by when a pause of theirs ends
	clock   uint64   // counts choices and ends of calls
	changes uint64   // counts what may change who can serve
	full    int      // accounts that stand in no heap because of their limit of calls alone

	refusals  refusals
	heldUntil time.Time // when the last of the accounts that calls wait for in Lease.Hold is free, or before

	waiting int           // calls that wait for an account to come free
	freed   chan struct{} // closed when a call ends; nil while nobody waits
}

// tier is the accounts of one priority.
type tier struct {
	priority int
	members  int
	classes  []*class
	rests    []uint64 // of classes, side by side: most of a search is looking at these
	turn     int      // where a search among many classes begins
	pass     uint64   // of the account that was chosen last by weight
}

// class is the accounts of a tier that are alike for a choice, as a heap by rank.
type class struct {
	rests uint64
	tags  []string
	heap  []*entry
}

// place is where an account stands: in no heap, or in one class of its tier.
type place struct {
	class *class
	at    int    // in the class's heap
	rests uint64 // scopes for which it rests, as bits of the pool's scopes
	whole bool   // it rests for every model
	rank  rank
	full  bool // counted in pool.full
	timer int  // place in the pool's timers, from 1; 0 = it has none
	wake  time.Time

	order  uint64 // in which accounts came
	stamp  uint64 // when its number of calls changed last
	chosen uint64 // when it was chosen last
	pass   uint64 // how far it is ahead of its weight
	resets int64  // Unix milliseconds of the soonest end of an allowance of which something is left; 0 = unknown
}

// rank orders accounts: the lowest is chosen.
type rank struct{ a, b, c uint64 }

func (r rank) less(o rank) bool {
	if r.a != o.a {
		return r.a < o.a
	}
	if r.b != o.b {
		return r.b < o.b
	}
	return r.c < o.c
}

func (pl *pool) add(e *entry) {
	if e.place.order == 0 {
		pl.clock++
		e.place.order, e.place.stamp, e.place.chosen = pl.clock, pl.clock, pl.clock
	}
	pl.all = append(pl.all, e)
	i, ok := slices.BinarySearchFunc(pl.tiers, e.row.Priority, func(t *tier, prio int) int { return cmp.Compare(t.priority, prio) })
	if !ok {
		pl.tiers = slices.Insert(pl.tiers, i, &tier{priority: e.row.Priority})
	}
	e.pool, e.tier = pl, pl.tiers[i]
	e.tier.members++
	e.refresh(time.Now())
}

func (pl *pool) remove(e *entry) {
	pl.changes++
	e.leave()
	e.setFull(false)
	pl.setTimer(e, time.Time{})
	pl.scopes.release(e.place.rests)
	e.place.rests = 0
	pl.all = slices.DeleteFunc(pl.all, func(o *entry) bool { return o == e })
	t := e.tier
	e.pool, e.tier = nil, nil
	t.members--
	if t.members == 0 {
		pl.tiers = slices.DeleteFunc(pl.tiers, func(o *tier) bool { return o == t })
	}
}

// usable reports whether the account may be used at all.
func (e *entry) usable() bool {
	return e.row.Enabled && e.state == Ready && e.pool != nil && e.tagged(e.pool.set.Tags)
}

// tagged reports whether the account has one of the tags, if any are asked for.
func (e *entry) tagged(any []string) bool {
	return len(any) == 0 || slices.ContainsFunc(any, func(tag string) bool { return slices.Contains(e.row.Tags, tag) })
}

// refresh finds out for which models the account rests now, and when that changes, and puts it where it belongs.
func (e *entry) refresh(now time.Time) {
	pl := e.pool
	if pl == nil {
		return
	}
	pl.changes++
	var rests uint64
	var wake time.Time
	whole := false
	for scope, c := range e.cool {
		if !c.until.After(now) {
			continue
		}
		if wake.IsZero() || c.until.Before(wake) {
			wake = c.until
		}
		if scope == allModels {
			whole = true
		} else {
			rests |= pl.scopes.hold(scope)
		}
	}
	rests |= e.words.hold(&pl.scopes)
	pl.scopes.release(e.place.rests)
	e.place.rests, e.place.whole = rests, whole
	e.place.resets = soonestReset(e.quota, now)
	if at := time.UnixMilli(e.place.resets); e.place.resets > 0 && (wake.IsZero() || at.Before(wake)) {
		wake = at
	}
	pl.setTimer(e, wake)
	e.settle()
}

// settle puts the account into the heap where it belongs, or into none. It is asked for whenever something that counts has
// changed.
func (e *entry) settle() {
	if e.pool == nil {
		return
	}
	ok := e.usable() && !e.place.whole
	busy := e.limit > 0 && e.inflight >= e.limit
	e.setFull(ok && busy)
	if !ok || busy {
		e.leave()
		return
	}
	c := e.place.class
	if c == nil || c.rests != e.place.rests || !slices.Equal(c.tags, e.row.Tags) {
		e.leave()
		if c == nil {
			e.place.pass = max(e.place.pass, e.tier.pass) // who was away has no claim to what went by
		}
		c = e.tier.class(e)
		e.place.class, e.place.at = c, len(c.heap)
		c.heap = append(c.heap, e)
	}
	e.place.rank = e.ranked()
	c.up(e.place.at)
	c.down(e.place.at)
}

func (e *entry) setFull(full bool) {
	if e.place.full == full {
		return
	}
	e.place.full = full
	e.pool.changes++
	if full {
		e.pool.full++
	} else {
		e.pool.full--
	}
}

// leave takes the account out of its heap.
func (e *entry) leave() {
	c := e.place.class
	if c == nil {
		return
	}
	last := len(c.heap) - 1
	i := e.place.at
	c.swap(i, last)
	c.heap[last] = nil
	c.heap = c.heap[:last]
	if i < last {
		c.up(i)
		c.down(i)
	}
	e.place.class = nil
	if last == 0 {
		e.tier.close(c)
	}
}

// class returns the class that the account belongs to, a new one if there is none yet.
func (t *tier) class(e *entry) *class {
	for i, rests := range t.rests {
		if rests == e.place.rests && slices.Equal(t.classes[i].tags, e.row.Tags) {
			return t.classes[i]
		}
	}
	c := &class{rests: e.place.rests, tags: e.row.Tags}
	t.classes, t.rests = append(t.classes, c), append(t.rests, e.place.rests)
	return c
}

func (t *tier) close(c *class) {
	i, last := slices.Index(t.classes, c), len(t.classes)-1
	t.classes[i], t.rests[i] = t.classes[last], t.rests[last]
	t.classes[last] = nil
	t.classes, t.rests = t.classes[:last], t.rests[:last]
}

func (c *class) swap(i, j int) {
	c.heap[i], c.heap[j] = c.heap[j], c.heap[i]
	c.heap[i].place.at, c.heap[j].place.at = i, j
}

func (c *class) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !c.heap[i].place.rank.less(c.heap[parent].place.rank) {
			return
		}
		c.swap(i, parent)
		i = parent
	}
}

func (c *class) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(c.heap) && c.heap[child].place.rank.less(c.heap[least].place.rank) {
				least = child
			}
		}
		if least == i {
			return
		}
		c.swap(i, least)
		i = least
	}
}

// first returns the account of the lowest rank below i that fits. Below one that fits nothing better can stand, so that
// only those that do not fit are looked past.
func (c *class) first(i int, fits func(*entry) bool) *entry {
	if i >= len(c.heap) {
		return nil
	}
	if fits(c.heap[i]) {
		return c.heap[i]
	}
	left, right := c.first(2*i+1, fits), c.first(2*i+2, fits)
	if left == nil || right != nil && right.place.rank.less(left.place.rank) {
		return right
	}
	return left
}

// addCall changes the number of calls in flight by n.
func (e *entry) addCall(n int) {
	e.inflight += n
	if e.pool != nil {
		e.pool.clock++
		e.place.stamp = e.pool.clock
	}
	e.settle()
}

// wakeUp brings those back whose pause is over.
func (pl *pool) wakeUp(now time.Time) {
	for len(pl.timers) > 0 && !pl.timers[0].place.wake.After(now) {
		pl.timers[0].refresh(now)
	}
}

// setTimer notes when refresh must look at the account again; the zero time means never.
func (pl *pool) setTimer(e *entry, at time.Time) {
	i := e.place.timer - 1
	switch {
	case at.IsZero() && i < 0:
		return
	case at.IsZero():
		last := len(pl.timers) - 1
		pl.swapTimers(i, last)
		pl.timers[last] = nil
		pl.timers = pl.timers[:last]
		e.place.timer = 0
		if i < last {
			pl.sortTimer(i)
		}
		return
	case i < 0:
		pl.timers = append(pl.timers, e)
		i = len(pl.timers) - 1
		e.place.timer = i + 1
	}
	e.place.wake = at
	pl.sortTimer(i)
}

func (pl *pool) swapTimers(i, j int) {
	pl.timers[i], pl.timers[j] = pl.timers[j], pl.timers[i]
	pl.timers[i].place.timer, pl.timers[j].place.timer = i+1, j+1
}

// sortTimer moves the timer at i to where it belongs.
func (pl *pool) sortTimer(i int) {
	before := func(i, j int) bool { return pl.timers[i].place.wake.Before(pl.timers[j].place.wake) }
	for i > 0 && before(i, (i-1)/2) {
		pl.swapTimers(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(pl.timers) && before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		pl.swapTimers(i, least)
		i = least
	}
}
