package account

import "time"

// bindings remembers which account a conversation is bound to. It is bounded, and a binding ends when it was not used for a
// while: what was used last stays.
type bindings struct {
	of           map[binding]*bound
	newest, last *bound
}

type binding struct{ provider, conversation string }

// bound is one conversation, in a list by when it was used last.
type bound struct {
	key          binding
	account      *entry
	until        time.Time
	newer, older *bound
}

// maxBindings is how many conversations are remembered, of all providers.
const maxBindings = 8192

// get returns the account that a conversation is bound to, nil if to none.
func (b *bindings) get(key binding, now time.Time) *entry {
	x := b.of[key]
	if x == nil {
		return nil
	}
	if !x.until.After(now) {
		b.drop(x)
		return nil
	}
	return x.account
}

// set binds a conversation to an account until a time.
func (b *bindings) set(key binding, e *entry, now, until time.Time) {
	x := b.of[key]
	if x == nil {
		if b.of == nil {
			b.of = map[binding]*bound{}
		}
		for b.last != nil && (len(b.of) >= maxBindings || !b.last.until.After(now)) {
			b.drop(b.last)
		}
		x = &bound{key: key}
		b.of[key] = x
	} else {
		x.account.bound--
		b.unlink(x)
	}
	x.account, x.until = e, until
	e.bound++
	if x.older = b.newest; x.older != nil {
		x.older.newer = x
	}
	b.newest = x
	if b.last == nil {
		b.last = x
	}
}

func (b *bindings) drop(x *bound) {
	x.account.bound--
	delete(b.of, x.key)
	b.unlink(x)
}

func (b *bindings) unlink(x *bound) {
	if x.newer != nil {
		x.newer.older = x.older
	} else {
		b.newest = x.older
	}
	if x.older != nil {
		x.older.newer = x.newer
	} else {
		b.last = x.newer
	}
	x.newer, x.older = nil, nil
}

// sweep ends what is over, so that a count tells what is bound now.
func (b *bindings) sweep(now time.Time) {
	for b.last != nil && !b.last.until.After(now) {
		b.drop(b.last)
	}
}

// forget ends the bindings that are chosen.
func (b *bindings) forget(which func(*bound) bool) {
	for x := b.newest; x != nil; {
		older := x.older
		if which(x) {
			b.drop(x)
		}
		x = older
	}
}
