package account

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// fakeDriver is a provider whose upstreams do nothing but keep their Env and list models.
type fakeDriver struct {
	info   provider.Info
	models func(ctx context.Context, account string) ([]canon.Model, error)
	fail   error

	mu     sync.Mutex // guards opened
	opened int
}

type fakeUpstream struct {
	driver *fakeDriver
	env    provider.Env
}

func (d *fakeDriver) Info() provider.Info { return d.info }

func (d *fakeDriver) Open(env provider.Env) (provider.Upstream, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened++
	if d.fail != nil {
		return nil, d.fail
	}
	return &fakeUpstream{d, env}, nil
}

func (u *fakeUpstream) Stream(context.Context, *canon.Request) canon.Stream { panic("not asked for") }

func (u *fakeUpstream) Models(ctx context.Context) ([]canon.Model, error) {
	return u.driver.models(ctx, u.env.AccountID)
}

// house is the room with one provider "kiro".
type house struct {
	*Pools
	t      testing.TB
	needs  Needs
	driver *fakeDriver
	ids    map[string]string // by name
	close  func()
	path   string // of the database
}

var vaultKey = secret.EnvKey{Text: secret.New("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")}

var errUnknown = apierror.New(apierror.NotConfigured, "no such provider")

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, driver: &fakeDriver{info: provider.Info{ID: "kiro", Name: "Kiro"}}, ids: map[string]string{}}
	h.path = filepath.Join(t.TempDir(), "patchbay.db")
	db, warning, err := store.Open(t.Context(), h.path)
	if err != nil || warning != "" {
		t.Fatal(warning, err)
	}
	h.close = sync.OnceFunc(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.close)
	h.needs = Needs{
		Store: db, Secrets: secret.NewVault(db, vaultKey), Bus: &events.Bus{},
		Driver: func(id string) (provider.Driver, map[string]string, error) {
			if id != "kiro" {
				return nil, nil, errUnknown
			}
			return h.driver, map[string]string{"base_url": "https://shared", "region": "shared"}, nil
		},
		HTTP: func(_, proxy string) *http.Client { return &http.Client{Transport: proxied(proxy)} },
	}
	h.restart()
	return h
}

// proxied is a transport that only remembers its proxy.
type proxied string

func (proxied) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no network here")
}

// restart reads everything from the store again.
func (h *house) restart() {
	h.t.Helper()
	p, err := New(h.t.Context(), h.needs)
	check(h.t, err)
	h.Pools = p
}

func (h *house) add(name string, priority int) string {
	h.t.Helper()
	s, err := h.Add(h.t.Context(), Account{Provider: "kiro", Name: name, Priority: priority, Enabled: true}, key("key of "+name))
	check(h.t, err)
	h.ids[name] = s.ID
	return s.ID
}

func key(text string) provider.Credential { return provider.Credential{Access: secret.New(text)} }

// take acquires an account for model m.
func (h *house) take(q Query) (*Lease, error) {
	if q.Provider == "" {
		q.Provider = "kiro"
	}
	if q.Model == "" {
		q.Model = "m"
	}
	return h.Acquire(h.t.Context(), q)
}

// must takes an account and fails if there is none.
func (h *house) must(q Query) *Lease {
	h.t.Helper()
	l, err := h.take(q)
	check(h.t, err)
	return l
}

// use makes a call with model m that ends with err.
func (h *house) use(err error) string {
	h.t.Helper()
	l := h.must(Query{})
	l.Release(err)
	return l.Label()
}

// none expects that no account is free and returns the error.
func (h *house) none(q Query) *apierror.Error {
	h.t.Helper()
	l, err := h.take(q)
	if err == nil {
		h.t.Fatalf("%s is free", l.Label())
	}
	return apierror.From(err)
}

func (h *house) status(name string) Status {
	h.t.Helper()
	s, ok := h.Get(h.ids[name])
	if !ok {
		h.t.Fatalf("%s is gone", name)
	}
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t testing.TB, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
