package events

import (
	"context"
	"testing"
)

func TestSlowSubscriberSeesAGap(t *testing.T) {
	var b Bus
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := b.Subscribe(ctx, 2)
	for range 5 {
		b.Publish(Account, "a", nil)
	}
	var got []Event
	for ev := range events {
		got = append(got, ev)
		if len(got) == 2 {
			b.Publish(Account, "b", nil)
		}
		if len(got) == 3 {
			cancel()
		}
	}
	if len(got) != 3 || got[0].Seq != 1 || got[1].Seq != 2 || got[2].Topic != Gap {
		t.Errorf("%+v", got)
	}
	if b.Seq() != 6 {
		t.Errorf("seq %d", b.Seq())
	}
}

func TestGapIsToldWithoutAFurtherEvent(t *testing.T) {
	var b Bus
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := b.Subscribe(ctx, 2)
	for range 3 {
		b.Publish(Account, "a", nil)
	}
	var got []Event
	for ev := range events {
		if got = append(got, ev); len(got) == 3 {
			break
		}
	}
	if got[2].Topic != Gap || got[2].Seq != 3 {
		t.Errorf("%+v", got)
	}
}

func TestSubscriptionEndsWithItsContext(t *testing.T) {
	var b Bus
	ctx, cancel := context.WithCancel(t.Context())
	b.Subscribe(ctx, 1) // never ranged over
	cancel()
	for range b.Subscribe(ctx, 1) {
		t.Error("an event after the end")
	}
}
