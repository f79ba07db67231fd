package credfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/account"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// fake is a provider whose program keeps {"access","refresh","email","expires","kind"} in ~/.fake/auth.json.
type fake struct {
	info     provider.Info
	renewals atomic.Int64
	complete func(context.Context, provider.Env, provider.Credential) (provider.Credential, error)
}

func (d *fake) Info() provider.Info { return d.info }

func (d *fake) Open(provider.Env) (provider.Upstream, error) {
	return nil, errors.New("it answers nothing")
}

func (d *fake) Complete(ctx context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
	if d.complete == nil {
		return c, nil
	}
	return d.complete(ctx, env, c)
}

func (d *fake) Exchange(context.Context, provider.Env, provider.Grant) (provider.Credential, error) {
	return provider.Credential{}, errors.New("nobody signs in here")
}

func (d *fake) Refresh(_ context.Context, _ provider.Env, old provider.Credential) (provider.Credential, error) {
	d.renewals.Add(1)
	return provider.Credential{Access: secret.New("CANARY-renewed"), Refresh: old.Refresh, Expiry: time.Now().Add(time.Hour)}, nil
}

func (d *fake) ReadFile(f provider.File) (provider.FileLogin, error) {
	if f.Rows != nil {
		rows, err := f.Rows("SELECT value FROM auth")
		if err != nil {
			return provider.FileLogin{}, err
		}
		f.Data = []byte(rows[0][0])
	}
	var v struct{ Access, Refresh, Email, Kind, Expires string }
	if err := json.Unmarshal(f.Data, &v); err != nil {
		return provider.FileLogin{}, errors.New("it is no JSON")
	}
	if v.Kind == "apikey" {
		return provider.FileLogin{}, fmt.Errorf("%w: it holds an API key", provider.ErrNoLogin)
	}
	if v.Access == "" && v.Refresh == "" {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	out := provider.FileLogin{Login: provider.LoginBrowser, Settings: map[string]string{"region": "eu"}, Credential: provider.Credential{
		Access: secret.New(v.Access), Refresh: secret.New(v.Refresh), Extra: map[string]string{provider.ExtraPlan: "plus"},
	}}
	if v.Email != "" {
		out.Extra[provider.ExtraEmail], out.Extra[provider.ExtraIdentity] = v.Email, "id/"+v.Email
	}
	if v.Expires != "" {
		out.Expiry, _ = time.Parse(time.RFC3339, v.Expires)
	}
	return out, nil
}

// login is the text of a file. Its tokens are canaries: they may turn up nowhere but in the vault.
func login(n, email string, more ...string) string {
	m := map[string]string{"Access": "CANARY-at-" + n, "Refresh": "CANARY-rt-" + n, "Email": email}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	b, _ := json.Marshal(m, json.Deterministic(true)) // strings always can
	return string(b)
}

// lab is the room with its neighbours: one provider "fake", an empty home, a store.
type lab struct {
	*Files
	t        *testing.T
	home     string
	path     string // of the default file
	env      map[string]string
	settings Settings
	driver   *fake
	offers   []Offer
	accounts *account.Pools
	vault    *secret.Vault
	bus      *events.Bus
	log      *buffer
}

// buffer is a log that goroutines may write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var vaultKey = secret.EnvKey{Text: secret.New("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, home: t.TempDir(), env: map[string]string{}, settings: Settings{Enabled: true}, bus: &events.Bus{}, log: &buffer{}}
	l.path = filepath.Join(l.home, ".fake", "auth.json")
	l.driver = &fake{info: provider.Info{
		ID: "fake", Name: "Fake", Logins: []provider.Login{{Kind: provider.LoginBrowser}},
		Files: []provider.CredentialFile{{Path: "~/.fake/auth.json", Format: "fake", Program: "Fake CLI", Env: "FAKE_HOME", Base: "~/.fake"}},
	}}
	l.offers = []Offer{{Driver: l.driver, Info: l.driver.info, Settings: map[string]string{"base_url": "http://shared"}}}
	db, note, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "patchbay.db"))
	if err != nil || note != "" {
		t.Fatal(note, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l.vault = secret.NewVault(db, vaultKey)
	l.accounts, err = account.New(t.Context(), account.Needs{
		Store: db, Secrets: l.vault, Bus: l.bus, Log: slog.New(slog.DiscardHandler),
		Driver: func(id string) (provider.Driver, map[string]string, error) {
			i := slices.IndexFunc(l.offers, func(o Offer) bool { return o.Info.ID == id })
			if i < 0 {
				return nil, nil, errors.New("no such provider")
			}
			return l.offers[i].Driver, nil, nil
		},
		HTTP:   func(string, string) *http.Client { return &http.Client{} },
		Reread: func(ctx context.Context, a account.Account) (provider.Credential, error) { return l.Reread(ctx, a) },
	})
	must(t, err)
	t.Cleanup(l.accounts.Close)
	l.Files = New(Needs{
		Home: l.home, Getenv: func(name string) string { return l.env[name] }, Settings: func() Settings { return l.settings },
		Offers: func() []Offer { return l.offers }, Accounts: l.accounts, HTTP: func(_, proxy string) *http.Client { return &http.Client{Transport: proxied(proxy)} }, Bus: l.bus,
		Log: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	t.Cleanup(func() {
		if text := l.log.String(); strings.Contains(text, "CANARY") {
			t.Errorf("the log tells a token:\n%s", text)
		}
	})
	return l
}

// one returns the only file that is found.
func (l *lab) one() Found {
	l.t.Helper()
	list := l.List(l.t.Context())
	if len(list) != 1 {
		l.t.Fatalf("found %d files: %+v", len(list), list)
	}
	if text := fmt.Sprintf("%+v", list); strings.Contains(text, "CANARY") {
		l.t.Errorf("the list tells a token: %s", text)
	}
	return list[0]
}

// borrow has an account follow the default file.
func (l *lab) borrow() account.Status {
	l.t.Helper()
	st, err := l.Borrow(l.t.Context(), l.one().ID, Use{})
	must(l.t, err)
	return st
}

func (l *lab) get(id string) account.Status {
	l.t.Helper()
	st, ok := l.accounts.Get(id)
	if !ok {
		l.t.Fatalf("the account %s is gone", id)
	}
	return st
}

// stored is what the vault holds of an account.
func (l *lab) stored(id string) string {
	l.t.Helper()
	v, err := l.vault.Get(l.t.Context(), secret.Ref{Scope: "account", ID: id})
	must(l.t, err)
	return v.Reveal()
}

// run has the room watch, and returns a function that waits until the account is as wanted.
func (l *lab) run() (await func(id, what string, ok func(account.Status) bool)) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	ended := make(chan error)
	news := make(chan struct{}, 1)
	changes := l.bus.Subscribe(ctx, 100)
	go func() { // ends with ctx
		for range changes {
			select {
			case news <- struct{}{}:
			default:
			}
		}
	}()
	go func() { ended <- l.Run(ctx) }() // ends with cancel
	l.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
	})
	return func(id, what string, ok func(account.Status) bool) {
		l.t.Helper()
		late := time.After(patience)
		for !ok(l.get(id)) {
			select {
			case <-news:
			case <-late:
				l.t.Fatalf("the account did not become %s: %+v", what, l.get(id))
			}
		}
	}
}

func is(s account.State) func(account.Status) bool {
	return func(a account.Status) bool { return a.State == s }
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v, want an error with %q", err, part)
	}
	if err != nil && strings.Contains(err.Error(), "CANARY") {
		t.Errorf("an error tells a token: %v", err)
	}
}
