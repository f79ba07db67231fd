package clientkey

import (
	"context"
	"fmt"
	"sync"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/store"
)

// ErrRevoked is the cause of a context that ends because its client key was revoked.
var ErrRevoked = apierror.New(apierror.ClientUnauthorized, "the client key was revoked")

// Use is what a key has been used for.
type Use struct {
	InFlight int   // requests now
	Minute   int   // requests in the last minute
	Requests int64 // today, in local time
	Tokens   int64 // input and output, today
}

// use counts for one key.
type use struct {
	mu       sync.Mutex // guards what follows
	day      int        // 20261128, of the counters
	requests int64
	tokens   int64
	dirty    bool // the counters are not written yet
	minute   window
	running  map[*running]struct{}
}

// running is one request of a key.
type running struct{ cancel context.CancelCauseFunc }

func (k *Keys) use(id string) *use {
	k.mu.Lock()
	defer k.mu.Unlock()
	u := k.uses[id]
	if u == nil {
		u = &use{running: map[*running]struct{}{}}
		k.uses[id] = u
	}
	return u
}

// Enter counts a request of a key in, or says why the key must wait. The returned context ends with ErrRevoked when the key
// is revoked; done must be called once, with the tokens that the request took.
func (k *Keys) Enter(ctx context.Context, id string) (_ context.Context, done func(tokens int64), err error) {
	u := k.use(id)
	u.mu.Lock()
	defer u.mu.Unlock()
	key, ok := k.hot.Load().byID[id] // below the lock: who revokes replaces the table first and ends what runs then
	now := time.Now()
	if !ok || !key.Valid(now) {
		return nil, nil, ErrRevoked
	}
	u.turn(now)
	if err := u.full(&key, now); err != nil {
		return nil, nil, err
	}
	u.minute.add(now)
	u.requests++
	u.dirty = true
	k.changed()
	ctx, cancel := context.WithCancelCause(ctx)
	r := &running{cancel}
	u.running[r] = struct{}{}
	return ctx, func(tokens int64) { k.leave(u, r, tokens) }, nil
}

func (k *Keys) leave(u *use, r *running, tokens int64) {
	r.cancel(nil)
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.running, r)
	u.turn(time.Now())
	u.tokens += tokens
	u.dirty = true
	k.changed()
}

// turn begins a new day where one has begun.
func (u *use) turn(now time.Time) {
	if day := dayOf(now); day != u.day {
		u.day, u.requests, u.tokens = day, 0, 0
	}
}

// full says which limit is reached, if one is.
func (u *use) full(key *Key, now time.Time) error {
	l := &key.Limits
	if l.TokensPerDay > 0 && u.tokens >= l.TokensPerDay {
		y, m, d := now.Local().Date()
		midnight := time.Date(y, m, d+1, 0, 0, 0, 0, time.Local)
		return limited(key.Name, midnight.Sub(now), "has used %d tokens today and may use %d a day; it is good again after midnight",
			u.tokens, l.TokensPerDay)
	}
	if l.Concurrent > 0 && len(u.running) >= l.Concurrent {
		return limited(key.Name, time.Second, "has %d requests running and may have %d at a time; wait until one has ended", len(u.running), l.Concurrent)
	}
	if l.PerMinute > 0 {
		if wait := u.minute.wait(now, l.PerMinute); wait > 0 {
			return limited(key.Name, wait, "may make %d requests a minute and has made them; wait %d s", l.PerMinute, int(wait.Seconds()+0.999))
		}
	}
	return nil
}

// stop ends all running requests.
func (u *use) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for r := range u.running {
		r.cancel(ErrRevoked)
	}
}

// Used tells what a key has been used for.
func (k *Keys) Used(id string) Use {
	k.mu.Lock()
	u := k.uses[id]
	k.mu.Unlock()
	if u == nil {
		return Use{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.turn(now)
	return Use{InFlight: len(u.running), Minute: u.minute.count(now), Requests: u.requests, Tokens: u.tokens}
}

func dayOf(t time.Time) int {
	y, m, d := t.Local().Date()
	return y*10000 + int(m)*100 + d
}

// window counts events of the last minute by the second. It has one second more than a minute, so that no 60 seconds ever
// hold more than the limit, however they lie.
type window struct {
	last int64 // Unix seconds of the latest event
	seen [seconds]int32
}

const seconds = 61

// roll empties the seconds that have passed.
func (w *window) roll(now int64) {
	if w.last == 0 || now-w.last >= seconds {
		clear(w.seen[:])
	} else {
		for s := w.last + 1; s <= now; s++ {
			w.seen[s%seconds] = 0
		}
	}
	w.last = max(w.last, now)
}

func (w *window) add(t time.Time) {
	w.roll(t.Unix())
	w.seen[w.last%seconds]++
}

func (w *window) count(t time.Time) int {
	w.roll(t.Unix())
	n := 0
	for _, c := range w.seen {
		n += int(c)
	}
	return n
}

// wait is how long until one more event fits, 0 if it does now.
func (w *window) wait(t time.Time, limit int) time.Duration {
	over := w.count(t) - limit + 1
	if over <= 0 {
		return 0
	}
	for s := w.last - seconds + 1; s <= w.last; s++ {
		if over -= int(w.seen[(s+seconds)%seconds]); over <= 0 {
			return time.Unix(s+seconds, 0).Sub(t)
		}
	}
	return time.Minute
}

func (k *Keys) changed() {
	select {
	case k.dirty <- struct{}{}:
	default: // it is told already
	}
}

// readUses reads the counters of today.
func (k *Keys) readUses(ctx context.Context) error {
	rows, err := k.db.ClientKeyUses(ctx)
	if err != nil {
		return fmt.Errorf("reading what the client keys used: %w", err)
	}
	for _, r := range rows {
		u := k.use(r.Key)
		u.day, u.requests, u.tokens = r.Day, r.Requests, r.Tokens
	}
	return nil
}

// writePause is how long counters gather before they are written.
const writePause = 300 * time.Millisecond

// Run writes the counters of the day behind, until ctx ends; then it writes what waits.
func (k *Keys) Run(ctx context.Context) error {
	for {
		select {
		case <-k.dirty:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
			defer cancel()
			return k.Flush(ctx)
		}
		if err := k.Flush(context.WithoutCancel(ctx)); err != nil {
			k.changed() // it is tried again after the pause
		}
		select {
		case <-time.After(writePause):
		case <-ctx.Done():
		}
	}
}

// Flush writes the counters that have changed.
func (k *Keys) Flush(ctx context.Context) error {
	k.mu.Lock()
	all := make(map[string]*use, len(k.uses))
	for id, u := range k.uses {
		all[id] = u
	}
	k.mu.Unlock()
	var rows []store.ClientKeyUse
	for id, u := range all {
		u.mu.Lock()
		if u.dirty {
			rows = append(rows, store.ClientKeyUse{Key: id, Day: u.day, Requests: u.requests, Tokens: u.tokens})
			u.dirty = false
		}
		u.mu.Unlock()
	}
	if len(rows) == 0 {
		return nil
	}
	if err := k.db.SetClientKeyUses(ctx, rows); err != nil {
		for _, r := range rows {
			u := all[r.Key]
			u.mu.Lock()
			u.dirty = true
			u.mu.Unlock()
		}
		return fmt.Errorf("writing what the client keys used: %w", err)
	}
	return nil
}
