package secret_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"patchbay/backend/secret"
)

// rows keeps sealed rows in memory, where a test can look at them and change them. A transaction is a copy that is taken
// over at its end.
type rows struct {
	one  sync.Mutex // the only writer
	mu   sync.Mutex // guards m and meta
	m    map[secret.Ref]secret.Row
	meta map[string]string
	err  error
	step func(what string) error // called before each write and each commit; may be nil
}

type inTx struct{ r *rows }

// at returns the state that ctx sees.
func (r *rows) at(ctx context.Context) *rows {
	if tx, ok := ctx.Value(inTx{r}).(*rows); ok {
		return tx
	}
	return r
}

func (r *rows) before(what string) error {
	if r.step == nil {
		return nil
	}
	return r.step(what)
}

func (r *rows) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Row, error) {
	r = r.at(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	row, ok := r.m[ref]
	if r.err == nil && !ok {
		return row, secret.ErrNotFound
	}
	return row, r.err
}

func (r *rows) WriteSecret(ctx context.Context, ref secret.Ref, row *secret.Row) error {
	if tx := r.at(ctx); tx == r {
		r.one.Lock()
		defer r.one.Unlock()
	} else {
		r = tx
	}
	if err := errors.Join(r.err, r.before("write")); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = map[secret.Ref]secret.Row{}
	}
	if row == nil {
		delete(r.m, ref)
		return nil
	}
	r.m[ref] = *row
	return nil
}

func (r *rows) SecretRefs(ctx context.Context) ([]secret.Ref, error) {
	r = r.at(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.m)), r.err
}

func (r *rows) Meta(ctx context.Context, name string) (string, error) {
	r = r.at(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.meta[name], r.err
}

func (r *rows) SetMeta(ctx context.Context, name, value string) error {
	if tx := r.at(ctx); tx == r {
		r.one.Lock()
		defer r.one.Unlock()
	} else {
		r = tx
	}
	if err := errors.Join(r.err, r.before("note")); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.meta == nil {
		r.meta = map[string]string{}
	}
	r.meta[name] = value
	return nil
}

func (r *rows) Write(ctx context.Context, fn func(context.Context) error) error {
	if r.at(ctx) != r {
		return fn(ctx)
	}
	r.one.Lock()
	defer r.one.Unlock()
	r.mu.Lock()
	tx := &rows{m: maps.Clone(r.m), meta: maps.Clone(r.meta), err: r.err, step: r.step}
	r.mu.Unlock()
	if err := fn(context.WithValue(ctx, inTx{r}, tx)); err != nil {
		return err
	}
	if err := r.before("commit"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m, r.meta = tx.m, tx.meta
	return nil
}

// fakeRing is a keychain in memory that can be locked, be away, hang, forget and count.
type fakeRing struct {
	mu      sync.Mutex // guards what follows
	items   map[string]string
	err     error                   // what every call returns
	forgets bool                    // it takes everything and gives nothing right back
	locked  bool                    // as Locked tells it, if tells is set
	tells   bool                    // it can be looked at
	hang    chan struct{}           // calls wait until it is closed
	step    func(what string) error // called before each change; may be nil
	calls   int
}

func newRing() *fakeRing { return &fakeRing{items: map[string]string{}} }

func (r *fakeRing) enter(what string) error {
	r.mu.Lock()
	r.calls++
	hang, err, step := r.hang, r.err, r.step
	r.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err == nil && step != nil && what != "get" {
		err = step(what)
	}
	return err
}

func (r *fakeRing) Get(service, account string) (string, error) {
	if err := r.enter("get"); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok := r.items[service+"/"+account]
	if !ok && !r.forgets {
		return "", secret.ErrNoItem
	}
	return text, nil
}

func (r *fakeRing) Set(service, account, text string) error {
	if err := r.enter("set"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.forgets {
		r.items[service+"/"+account] = text
	}
	return nil
}

func (r *fakeRing) Delete(service, account string) error {
	if err := r.enter("delete"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.items[service+"/"+account]; !ok && !r.forgets {
		return secret.ErrNoItem
	}
	delete(r.items, service+"/"+account)
	return nil
}

func (r *fakeRing) Locked() (bool, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.locked, r.tells
}

// set changes the keychain under its lock.
func (r *fakeRing) set(f func(*fakeRing)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

// asked returns how many calls there were.
func (r *fakeRing) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}
