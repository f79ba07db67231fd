// Package events tells the user interfaces what changed.
//
// An event is a hint, not state: a subscriber that missed some re-reads the owner. So Publish never blocks, and a slow
// subscriber loses events and sees a Gap instead of slowing the proxy down.
package events

import (
	"context"
	"iter"
	"sync"
)

// Event names a change. Seq grows by one per event, so a reader can see that it missed some.
type Event struct {
	Seq   uint64
	Topic Topic
	ID    string // what changed, for example an account ID
	Data  any    // small, optional, already redacted
}

// Topic says what kind of thing changed.
type Topic string

// The topics.
const (
	Gap     Topic = "gap" // events were dropped: re-read everything you show
	Account Topic = "account"
	Request Topic = "request"
	Config  Topic = "config"
	Login   Topic = "login"  // a sign-in went on
	Route   Topic = "route"  // the default provider or the model lists
	Files   Topic = "files"  // the logins that were found in files of other programs
	Logs    Topic = "log"    // there are new lines
	Notice  Topic = "notice" // something a person should see: login needed, port changed
)

// Bus is what owners publish on and user interfaces listen to. The zero value is ready.
type Bus struct {
	mu   sync.Mutex // guards seq and subs
	seq  uint64
	subs map[*subscriber]struct{}
}

type subscriber struct {
	ch     chan Event
	missed bool // guarded by Bus.mu
}

// Publish tells every subscriber. It never blocks.
func (b *Bus) Publish(topic Topic, id string, data any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	ev := Event{Seq: b.seq, Topic: topic, ID: id, Data: data}
	for s := range b.subs {
		if s.missed { // room for the gap mark first, then the events after it
			select {
			case s.ch <- Event{Seq: b.seq, Topic: Gap}:
				s.missed = false
			default:
			}
			continue
		}
		select {
		case s.ch <- ev:
		default:
			s.missed = true
		}
	}
}

// Seq returns the number of the latest event, to go with a snapshot.
func (b *Bus) Seq() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

// Subscribe yields events from now on until ctx ends or the caller breaks. It holds at most buffer events.
func (b *Bus) Subscribe(ctx context.Context, buffer int) iter.Seq[Event] {
	s := &subscriber{ch: make(chan Event, max(buffer, 1))}
	b.mu.Lock()
	if b.subs == nil {
		b.subs = map[*subscriber]struct{}{}
	}
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	context.AfterFunc(ctx, func() { b.drop(s) })
	return func(yield func(Event) bool) {
		defer b.drop(s)
		for {
			select {
			case ev := <-s.ch:
				if !yield(ev) {
					return
				}
				if gap, ok := b.missed(s); ok && !yield(gap) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// missed returns the mark of a gap when a subscriber has read all that it could hold and no later event has told it.
func (b *Bus) missed(s *subscriber) (Event, bool) {
	if len(s.ch) > 0 {
		return Event{}, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !s.missed || len(s.ch) > 0 {
		return Event{}, false
	}
	s.missed = false
	return Event{Seq: b.seq, Topic: Gap}, true
}

func (b *Bus) drop(s *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subs, s)
}
