package oauth

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// Book keeps the credentials. Package account fulfils it.
type Book interface {
	// Renewable lists the accounts whose login can and may be renewed ahead of time: switched on, ours, not waiting for a
	// person. It opens no secret.
	Renewable() []Entry
	// Load opens what is stored for an account now, not what was stored when the program started.
	Load(ctx context.Context, id string) (Holding, error)
	// Replace stores fresh, durably and whole, if old is still what is stored; ErrChanged otherwise, ErrGone if the account
	// was removed.
	Replace(ctx context.Context, id string, old, fresh provider.Credential) error
	// Adopt takes note of a credential that another process stored.
	Adopt(id string, c provider.Credential)
	// Refused takes note that the login old came to its end: a person must act. A login that was replaced meanwhile stays.
	Refused(ctx context.Context, id string, old provider.Credential, err *apierror.Error)
}

var (
	// ErrChanged reports that the stored credential is another one than was expected.
	ErrChanged = errors.New("the stored login has changed")
	// ErrGone reports that the account was removed.
	ErrGone = errors.New("the account is gone")
)

// Entry is one account of which the renewal can be planned.
type Entry struct {
	ID, Provider   string
	Issued, Expiry time.Time
	Policy         provider.Policy
}

// Holding is a stored login with all that is needed to renew it.
type Holding struct {
	Driver     provider.Driver
	Env        provider.Env   // its HTTP goes through the account's proxy
	Login      provider.Login // zero for a login that cannot be renewed by the standard calls
	Credential provider.Credential
	// Borrowed says that a vendor's own program owns the login: its refresh token is not ours to use.
	Borrowed bool
	Policy   provider.Policy
}

// Leases are locks among processes; store.Leases fulfils it.
type Leases interface {
	Acquire(ctx context.Context, name string, ttl time.Duration) (fence int64, ok bool, err error)
	Release(ctx context.Context, name string) error
}

// TokenNeeds is what Tokens works with.
type TokenNeeds struct {
	Book   Book
	Leases Leases
	// Reread reads a borrowed login from where its owner keeps it; nil if nothing does.
	Reread func(ctx context.Context, id string) (provider.Credential, error)
	Log    *slog.Logger
	// LeaseTime is how long the lock of a process that died is honoured; 0 = 15 s. A living one prolongs it.
	LeaseTime time.Duration
}

// Limits of one renewal.
const (
	renewLimit   = 30 * time.Second
	leaseTime    = 15 * time.Second
	longestLead  = 5 * time.Minute
	shortRetry   = time.Second     // after the first failure of the line
	longestRetry = 5 * time.Minute // after many
	storeTries   = 3

	// longestMargin is how long before the end of a token callers wait for the next one, and patience how long while the old
	// one is still good: a clock may be off, or the service far away.
	longestMargin = 3 * time.Minute
	patience      = 5 * time.Second
)

// Tokens hands out the access tokens of accounts, and renews them. It is safe for concurrent use.
type Tokens struct {
	needs  TokenNeeds
	group  singleflight.Group
	flying sync.WaitGroup // renewals under way, which Close waits for
	wake   chan struct{}

	mu     sync.Mutex // guards what follows, and every held
	held   map[string]*held
	shut   map[string]time.Time // logins that the queue could not open: not before
	epoch  map[string]uint64    // how often an account was forgotten: what was read before does not come back
	serial uint64
	closed bool
}

// held is the credential of one account in memory.
type held struct {
	Holding
	version  uint64 // grows with every change, over all accounts
	due      time.Time
	retry    time.Time // no renewal before this, after a failure
	failures int
	last     error                // of the latest failed renewal
	over     bool                 // last is final
	unsaved  *provider.Credential // what was stored when a renewal worked that could not be stored
}

// NewTokens returns a Tokens that knows no account yet: each is loaded when it is first asked for.
func NewTokens(n TokenNeeds) *Tokens {
	if n.Log == nil {
		n.Log = slog.New(slog.DiscardHandler)
	}
	if n.LeaseTime <= 0 {
		n.LeaseTime = leaseTime
	}
	return &Tokens{needs: n, wake: make(chan struct{}, 1), held: map[string]*held{}, epoch: map[string]uint64{}}
}

// Lead returns how long before its end a login should be renewed: 10 % of its life, at most five minutes, unless the
// provider's policy says otherwise.
func Lead(issued, expiry time.Time, p provider.Policy) time.Duration {
	life := expiry.Sub(issued)
	if issued.IsZero() || life <= 0 {
		life = time.Hour
	}
	if p.RefreshLead > 0 {
		return min(p.RefreshLead, life/2) // a lead longer than the life would renew without end
	}
	return min(life/10, longestLead)
}

// Token returns a credential that is good now. One that is near its end is renewed on the side while it is still used; only
// one that is over makes the caller wait.
func (t *Tokens) Token(ctx context.Context, id string) (provider.Credential, error) {
	h, err := t.hold(ctx, id)
	if err != nil {
		return provider.Credential{}, err
	}
	now := time.Now()
	used(ctx, h.version)
	if h.unsaved != nil {
		return t.whileUnsaved(ctx, id, h)
	}
	c := h.Credential
	if c.Expiry.IsZero() || now.Before(h.due) {
		return c, nil
	}
	lead := c.Expiry.Sub(h.due)
	if now.Before(c.Expiry.Add(-min(3*lead/10, longestMargin))) {
		if !h.over && !now.Before(h.retry) {
			t.start(ctx, id, h.version) // its outcome is the next caller's
		}
		return c, nil
	}
	if h.over || now.Before(h.retry) {
		if now.Before(c.Expiry) {
			return c, nil
		}
		return provider.Credential{}, h.last
	}
	return t.wait(ctx, id, h)
}

// whileUnsaved tries again to store a new token, and meanwhile gives the old one as long as it is good.
func (t *Tokens) whileUnsaved(ctx context.Context, id string, h held) (provider.Credential, error) {
	now, old := time.Now(), *h.unsaved
	oldGood := now.Before(old.Expiry)
	switch {
	case oldGood && now.Before(h.retry):
		return old, nil
	case oldGood:
		t.start(ctx, id, h.version) // its outcome is the next caller's
		return old, nil
	case now.Before(h.retry):
		return provider.Credential{}, h.last
	}
	return t.wait(ctx, id, h)
}

// wait renews and falls back on the old token while that is good.
func (t *Tokens) wait(ctx context.Context, id string, h held) (provider.Credential, error) {
	var enough <-chan time.Time
	if left := time.Until(h.Credential.Expiry); h.unsaved == nil && left > patience {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-enough:
		return h.Credential, nil
	case r := <-t.start(ctx, id, h.version):
		if r.Err != nil {
			if h.unsaved == nil && !permanent(r.Err) && time.Now().Before(h.Credential.Expiry) {
				return h.Credential, nil
			}
			return provider.Credential{}, r.Err
		}
		got := r.Val.(held)
		used(ctx, got.version)
		return got.Credential, nil
	case <-ctx.Done():
		return provider.Credential{}, &apierror.Error{Kind: apierror.Canceled, Msg: "the client went away", Err: ctx.Err()}
	}
}

// Renew replaces a credential that the service refused although it should be good. It does nothing if the credential that
// the call used was replaced already. It reports false for a login that cannot be replaced: a key.
func (t *Tokens) Renew(ctx context.Context, id string, u *Use) (bool, error) {
	h, err := t.hold(ctx, id)
	if err != nil {
		return false, err
	}
	if v := u.Version(); v != 0 && v != h.version {
		return true, nil
	}
	switch {
	case h.over:
		return false, h.last
	case !h.Borrowed && h.Credential.Refresh.Empty():
		return false, nil
	case time.Now().Before(h.retry):
		return false, h.last
	}
	select {
	case r := <-t.start(ctx, id, h.version):
		return r.Err == nil, r.Err
	case <-ctx.Done():
		return false, &apierror.Error{Kind: apierror.Canceled, Msg: "the client went away", Err: ctx.Err()}
	}
}

// Forget drops what is held of an account, because a person signed in again or removed it.
func (t *Tokens) Forget(id string) {
	t.mu.Lock()
	t.epoch[id]++
	delete(t.held, id)
	delete(t.shut, id)
	t.mu.Unlock()
	t.nudge()
}

// Changed has what belongs to an account's login, its proxy for example, read again. The login itself is the same.
func (t *Tokens) Changed(id string) {
	t.mu.Lock()
	if h := t.held[id]; h != nil && h.unsaved == nil { // else it is the only copy of a new token
		delete(t.held, id)
	}
	t.mu.Unlock()
	t.nudge()
}

// Close waits for the renewals under way: a new token that is not stored would be a lost login. No further one begins.
func (t *Tokens) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.flying.Wait()
}

// hold returns what is held of an account, loading it first if need be.
func (t *Tokens) hold(ctx context.Context, id string) (held, error) {
	for {
		h, epoch := t.peek(id)
		if h != nil {
			return *h, nil
		}
		loaded, err := t.needs.Book.Load(ctx, id)
		if err != nil {
			return held{}, err
		}
		t.mu.Lock()
		h, again := t.held[id], t.epoch[id] != epoch
		if h == nil && !again {
			got := t.put(id, loaded)
			t.mu.Unlock()
			return got, nil
		}
		t.mu.Unlock()
		if h != nil { // somebody was faster
			return *h, nil
		}
	}
}

// peek returns a copy of what is held of an account, nil for nothing, and the account's epoch.
func (t *Tokens) peek(id string) (*held, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[id]; h != nil {
		c := *h
		return &c, t.epoch[id]
	}
	return nil, t.epoch[id]
}

// put holds a loaded login. The caller holds the lock.
func (t *Tokens) put(id string, l Holding) held {
	h := t.wrap(l)
	t.held[id] = &h
	return h
}

// wrap plans the renewal of a login. The caller holds the lock.
func (t *Tokens) wrap(l Holding) held {
	t.serial++
	h := held{Holding: l, version: t.serial, due: l.Credential.Expiry}
	if ours := !l.Borrowed || l.Policy.RefreshBorrowed; ours && !h.due.IsZero() {
		h.due = l.Credential.Expiry.Add(-Lead(l.Credential.Issued, l.Credential.Expiry, l.Policy))
	}
	return h
}

// take holds a new credential and returns it. If the account was forgotten meanwhile it is not held: somebody signed in
// again, and the next caller loads that.
func (t *Tokens) take(id string, epoch uint64, l Holding, c provider.Credential) held {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.Credential = c
	if t.epoch[id] != epoch {
		return t.wrap(l)
	}
	return t.put(id, l)
}

// start begins a renewal of the credential of this version, or joins the one under way. It goes on when ctx ends: a
// refresh token that was spent must not be lost because one caller went away.
func (t *Tokens) start(ctx context.Context, id string, version uint64) <-chan singleflight.Result {
	return t.group.DoChan(id, func() (any, error) {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return nil, apierror.New(apierror.Shutdown, "Patchbay is stopping; send the request again in a moment")
		}
		t.flying.Add(1) // under the lock, so that Close does not miss it
		t.mu.Unlock()
		defer t.flying.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
		defer cancel()
		h, err := t.renew(ctx, id, version)
		if err != nil {
			return nil, t.failed(id, version, err)
		}
		t.nudge()
		return h, nil
	})
}

// failed takes note of a failed renewal.
func (t *Tokens) failed(id string, version uint64, err error) error {
	e := apierror.From(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.held[id]; h != nil && (h.version == version || !good(*h, time.Now())) {
		h.failures++
		h.last, h.over = e, permanent(e)
		wait := min(shortRetry<<min(h.failures-1, 10), longestRetry)
		h.retry = time.Now().Add(max(wait-rand.N(wait/4), min(e.RetryAfter, longestRetry)))
	}
	if !permanent(e) {
		t.needs.Log.Warn("Renewing a login failed; it is tried again", "account", id, "kind", e.Kind.String(), "err", e.Msg)
	}
	return e
}

// renew does the work of one renewal, alone in this process.
func (t *Tokens) renew(ctx context.Context, id string, version uint64) (held, error) {
	_, epoch := t.peek(id)
	h, err := t.hold(ctx, id)
	if err != nil || h.version != version {
		return h, err // a renewal that ended just before did it
	}
	if h.Borrowed {
		return t.reread(ctx, id, epoch, h)
	}
	if h.unsaved != nil {
		return t.save(ctx, id, epoch, h.Holding, *h.unsaved, h.Credential)
	}
	release, err := t.lease(ctx, id)
	if err != nil {
		return held{}, err
	}
	defer release()
	now, err := t.needs.Book.Load(ctx, id) // under the lease: somebody may have renewed it before us
	if err != nil {
		return held{}, err
	}
	if !same(now.Credential, h.Credential) {
		got := t.adopt(id, epoch, now)
		if good(got, time.Now()) {
			return got, nil
		}
	}
	return t.spend(ctx, id, epoch, now)
}

// good reports whether a credential needs no renewal yet.
func good(h held, now time.Time) bool { return h.Credential.Expiry.IsZero() || now.Before(h.due) }

// adopt takes what another process stored.
func (t *Tokens) adopt(id string, epoch uint64, l Holding) held {
	t.needs.Book.Adopt(id, l.Credential)
	return t.take(id, epoch, l, l.Credential)
}

// spend redeems the refresh token and stores what it brought. The caller holds the lease.
func (t *Tokens) spend(ctx context.Context, id string, epoch uint64, l Holding) (held, error) {
	old := l.Credential
	if old.Refresh.Empty() {
		err := apierror.New(apierror.AuthExpired, "the login is over and cannot be renewed: sign in again")
		t.needs.Book.Refused(ctx, id, old, err)
		return held{}, err
	}
	fresh, err := refresh(ctx, l.Driver, l.Env, l.Login, old)
	if err != nil && fresh.Refresh.Empty() {
		return t.refused(ctx, id, epoch, l, err)
	}
	got, saveErr := t.save(ctx, id, epoch, l, old, merged(old, fresh))
	if err != nil { // the first half worked and is kept
		return held{}, err
	}
	return got, saveErr
}

// refused decides what a failed refresh means. Before a login is given up it is looked up again: one that somebody else
// renewed meanwhile is not over.
func (t *Tokens) refused(ctx context.Context, id string, epoch uint64, l Holding, err error) (held, error) {
	if !permanent(err) {
		return held{}, err
	}
	now, loadErr := t.needs.Book.Load(ctx, id)
	if loadErr == nil && !same(now.Credential, l.Credential) {
		if got := t.adopt(id, epoch, now); good(got, time.Now()) {
			return got, nil
		}
	}
	t.needs.Book.Refused(ctx, id, l.Credential, apierror.From(err))
	return held{}, err
}

// save stores fresh in place of old, and only then lets anybody use it. What cannot be stored is kept in memory, unused, and
// stored by the next renewal: the service has forgotten the old one.
func (t *Tokens) save(ctx context.Context, id string, epoch uint64, l Holding, old, fresh provider.Credential) (held, error) {
	var err error
	for n := range storeTries {
		if n > 0 && !pause(ctx, shortRetry<<n/4) {
			break
		}
		err = t.needs.Book.Replace(ctx, id, old, fresh)
		switch {
		case err == nil:
			return t.take(id, epoch, l, fresh), nil
		case errors.Is(err, ErrGone):
			t.Forget(id)
			return held{}, apierror.New(apierror.AuthExpired, "the account was removed")
		case errors.Is(err, ErrChanged):
			now, err := t.needs.Book.Load(ctx, id)
			if err != nil {
				return held{}, err
			}
			return t.adopt(id, epoch, now), nil
		}
	}
	t.keepUnsaved(id, epoch, l, old, fresh, unsaved(err))
	return held{}, unsaved(err)
}

// keepUnsaved holds a new token that could not be stored. It is due at once, whenever it is asked for.
func (t *Tokens) keepUnsaved(id string, epoch uint64, l Holding, old, fresh provider.Credential, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch[id] != epoch {
		return // it belongs to a login that was replaced
	}
	t.serial++
	l.Credential = fresh
	t.held[id] = &held{Holding: l, version: t.serial, unsaved: &old, last: err, failures: 1, retry: time.Now().Add(shortRetry), due: time.Unix(1, 0)}
}

func unsaved(err error) *apierror.Error {
	return &apierror.Error{Kind: apierror.Internal, Msg: "the renewed login cannot be stored and is not used before it is; look at the disk and at the vault (`patchbay doctor`)", Err: err}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reread brings a borrowed login up to date: from its owner's file, or, where that harms nothing, by its refresh token, in
// memory only.
func (t *Tokens) reread(ctx context.Context, id string, epoch uint64, h held) (held, error) {
	if t.needs.Reread != nil {
		c, err := t.needs.Reread(ctx, id)
		if err != nil {
			t.needs.Log.Info("Reading a borrowed login again failed", "account", id, "err", err)
		} else if !same(c, h.Credential) && !c.Access.Empty() && (c.Expiry.IsZero() || time.Now().Before(c.Expiry)) {
			return t.take(id, epoch, h.Holding, c), nil
		}
	}
	if h.Policy.RefreshBorrowed && !h.Credential.Refresh.Empty() {
		fresh, err := refresh(ctx, h.Driver, h.Env, h.Login, h.Credential)
		if err == nil {
			return t.take(id, epoch, h.Holding, merged(h.Credential, fresh)), nil
		}
		if permanent(err) {
			t.needs.Book.Refused(ctx, id, h.Credential, apierror.From(err))
		}
		return held{}, err
	}
	err := apierror.New(apierror.AuthExpired,
		"this login belongs to the vendor's own program and is over there: use that program once so that it renews it, or sign in here with an account of Patchbay's own")
	t.needs.Book.Refused(ctx, id, h.Credential, err)
	return held{}, err
}
