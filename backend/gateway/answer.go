package gateway

import (
	"slices"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// answer passes one attempt's events on: held back until content comes, then as they come.
type answer struct {
	call     *Call
	provider string
	yield    yieldFunc

	held  []canon.Event
	seen  time.Time // when the first content came, zero before
	open  bool      // committed
	parts bool      // something with content was in it
	done  bool      // Finish has come
	keep  bool      // fold the parts for the signature store
	fold  canon.Fold
}

// maxHeld bounds what is held back before the content of a stream: a healthy upstream sends a handful of events.
const maxHeld = 1024

func (a *answer) event(ev *canon.Event) error {
	if a.done {
		return nil // an upstream that goes on after its end
	}
	if err := a.observe(ev); err != nil {
		return err
	}
	if a.done && a.call.usage.Input < 0 && a.call.usage.Output < 0 {
		if err := a.pass(a.estimate()); err != nil {
			return err
		}
	}
	return a.pass(ev)
}

// pass hands an event on, or holds it back while nothing with content has come. For a client that wants no stream all is
// held back until the end: nothing goes out to it before, so that an answer that breaks off can still be had elsewhere.
func (a *answer) pass(ev *canon.Event) error {
	begins := !a.open
	if begins {
		if a.seen.IsZero() && ev.Content() {
			a.seen = time.Now()
		}
		stream := a.call.req.Stream
		if !ev.Content() || !stream && ev.Kind != canon.KindFinish {
			if !stream || len(a.held) < maxHeld {
				a.held = append(a.held, ev.Clone())
			}
			return nil
		}
		if err := a.commit(); err != nil {
			return err
		}
	}
	if !a.yield(*ev, nil) {
		return errStopped
	}
	if begins {
		a.letGo()
	}
	return nil
}

// estimate makes the usage of an answer that came without: clients steer their compaction by it.
func (a *answer) estimate() *canon.Event {
	c := a.call
	c.usage.Estimated = true
	c.usage.Output = (c.outBytes.Load() + 3) / 4
	if !a.open {
		c.estimatePrompt()
	}
	c.usage.Input = c.prompt
	u := c.usage
	return &canon.Event{Kind: canon.KindUsage, Usage: &u, More: true}
}

// commit lets go of what was held back. From here on nothing is retried.
func (a *answer) commit() error {
	a.open = true
	a.call.start(a.seen)
	a.call.noteUse()
	for _, ev := range a.held {
		ev.More = true
		if !a.yield(ev, nil) {
			return errStopped
		}
	}
	a.held = nil
	return nil
}

// letGo frees the conversation once the first content went out. A client that wants no stream has its answer rendered from the request at the end; it
// keeps it for that long.
func (a *answer) letGo() {
	a.call.estimatePrompt()
	if a.call.req.Stream {
		a.call.req.Release()
		a.call.sent.Release() // a driver may still hold it
		a.call.sent = nil
	}
}

func (c *Call) estimatePrompt() {
	if c.req.Expanded() {
		c.prompt = wire.EstimateTokens(c.req)
	}
}

// observe takes notes for the log, and refuses an answer that is none.
func (a *answer) observe(ev *canon.Event) error {
	c := a.call
	switch ev.Kind {
	case canon.KindStart:
		if len(ev.Dropped) > 0 {
			c.drop(ev.Dropped)
		}
	case canon.KindPartStart:
		a.parts = true
	case canon.KindDelta:
		c.outBytes.Add(int64(len(ev.Text)))
	case canon.KindFinish:
		if !a.parts && a.hollow(ev.Finish.Reason) {
			return apierror.New(apierror.Upstream5xx, "the upstream sent an empty answer")
		}
		a.done = true
		c.finish = ev.Finish
	}
	if ev.Usage != nil {
		c.usage.Merge(*ev.Usage)
	}
	if a.keep {
		a.fold.Add(*ev)
	}
	return nil
}

// drop notes what an attempt could not carry over, besides what the person's words took from the request.
func (c *Call) drop(list []canon.Warning) {
	c.setRoute(func(r *Route) { r.Dropped = append(slices.Clip(c.held), list...) })
	for _, w := range list {
		if w.OnWay {
			c.trace.Note(w.Field, c.Route().Provider+": "+w.Detail)
		}
	}
}

// hollow reports whether an answer without any part is a fault. It is not where the reason to stop explains it, or where
// the client asked for no output: Claude Code takes an empty answer for a broken proxy.
func (a *answer) hollow(r canon.FinishReason) bool {
	if m := a.call.req.MaxTokens; m != nil && *m == 0 {
		return false
	}
	return r == canon.FinishStop || r == canon.FinishTools
}

// remember keeps signatures that the client's protocol cannot carry, for the next turn.
func (a *answer) remember(store *opaqueStore) {
	if a.keep {
		store.save(a.call.req, a.fold.Response().Parts)
	}
}
