package account

import (
	"cmp"
	"slices"
)

// pool is the accounts of one provider. Those that may be used stand in lists by the number of their calls, the one that
// was idle longest first, so that a choice looks at one account and not at all of them.
type pool struct {
	all   []*entry
	tiers []*tier // by priority

	waiting int           // calls that wait for an account to come free
	freed   chan struct{} // closed when a call ends; nil while nobody waits
}

// tier is the accounts of one priority; lists[n] holds those with n calls in flight.
type tier struct {
	priority int
	members  int
	lists    []list
}

type list struct{ head, tail *entry }

func (pl *pool) add(e *entry) {
	pl.all = append(pl.all, e)
	i, ok := slices.BinarySearchFunc(pl.tiers, e.row.Priority, func(t *tier, prio int) int { return cmp.Compare(t.priority, prio) })
	if !ok {
		pl.tiers = slices.Insert(pl.tiers, i, &tier{priority: e.row.Priority})
	}
	e.pool, e.tier = pl, pl.tiers[i]
	e.tier.members++
	e.relink()
}

func (pl *pool) remove(e *entry) {
	e.unlink()
	pl.all = slices.DeleteFunc(pl.all, func(o *entry) bool { return o == e })
	t := e.tier
	e.pool, e.tier = nil, nil
	t.members--
	if t.members == 0 {
		pl.tiers = slices.DeleteFunc(pl.tiers, func(o *tier) bool { return o == t })
	}
}

// usable reports whether the account may be used at all.
func (e *entry) usable() bool { return e.row.Enabled && e.state == Ready }

// relink puts the account where its number of calls belongs, or nowhere if it may not be used.
func (e *entry) relink() {
	e.unlink()
	if e.tier == nil || !e.usable() {
		return
	}
	t := e.tier
	for len(t.lists) <= e.inflight {
		t.lists = append(t.lists, list{})
	}
	l := &t.lists[e.inflight]
	e.prev, e.next, e.linked, e.slot = l.tail, nil, true, e.inflight
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
}

func (e *entry) unlink() {
	if !e.linked {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	l := &e.tier.lists[e.slot]
	if l.head == e {
		l.head = e.next
	}
	if l.tail == e {
		l.tail = e.prev
	}
	e.prev, e.next, e.linked = nil, nil, false
}

// addCall changes the number of calls in flight by n.
func (e *entry) addCall(n int) {
	e.unlink()
	e.inflight += n
	e.relink()
}
