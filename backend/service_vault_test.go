package backend

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/doctor"
	"patchbay/backend/events"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// memoryRing is a keychain that can be locked.
type memoryRing struct {
	mu     sync.Mutex // guards what follows
	items  map[string]string
	locked bool
	prompt chan struct{} // calls wait until it is closed
}

func (r *memoryRing) do(f func() error) error {
	r.mu.Lock()
	prompt := r.prompt
	r.mu.Unlock()
	if prompt != nil {
		<-prompt
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locked {
		return errors.New("the keychain is locked")
	}
	return f()
}

func (r *memoryRing) Get(service, account string) (text string, err error) {
	err = r.do(func() error {
		var ok bool
		if text, ok = r.items[service+account]; !ok {
			return secret.ErrNoItem
		}
		return nil
	})
	return text, err
}

func (r *memoryRing) Set(service, account, text string) error {
	return r.do(func() error { r.items[service+account] = text; return nil })
}

func (r *memoryRing) Delete(service, account string) error {
	return r.do(func() error { delete(r.items, service+account); return nil })
}

func (r *memoryRing) Locked() (locked, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.locked, true
}

func (r *memoryRing) lock(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locked = on
}

// again opens the program anew over the files of b, as a new process does.
func again(t *testing.T, paths config.Paths, change func(*Options)) *Backend {
	t.Helper()
	o := Options{Paths: paths, Env: []string{"HOME=" + t.TempDir()}, Version: "1.2.3", Flags: map[string]string{"server.listen": "127.0.0.1:0"}}
	change(&o)
	return ok(Open(t.Context(), o))(t)
}

// TestLockedKeychainStopsOnlyWhatNeedsIt starts with a locked keychain, serves an account without a key, and goes on with
// the others as soon as it is unlocked.
func TestLockedKeychainStopsOnlyWhatNeedsIt(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a server at home: no key
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			io.WriteString(w, `{"object":"list","data":[{"id":"gpt-4.1","object":"model"}]}`)
			return
		}
		io.WriteString(w, `{"id":"x","object":"chat.completion","model":"gpt-4.1","choices":[{"index":0,"message":{"role":"assistant","content":"no key needed"},"finish_reason":"stop"}]}`)
	}))
	defer local.Close()
	ring := &memoryRing{items: map[string]string{}}
	paths := tempPaths(t)
	if err := os.MkdirAll(paths.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	settings := "providers:\n  openai:\n    base_url: " + sim.BaseURL(simulator.OpenAI) + "\n  open:\n    kind: openai\n    base_url: " + local.URL + "/v1\n"
	if err := os.WriteFile(paths.Config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	b := again(t, paths, func(o *Options) { o.Ring = ring })
	ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-sim-1")}))(t)
	if v := ok(b.Vault(t.Context()))(t); v.State != "ok" || v.Source != "os" || v.Secrets != 1 || v.Fix != "" || len(v.Places) != 3 {
		t.Errorf("%+v", v)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	ring.lock(true)
	up := make(chan string, 1)
	b = again(t, paths, func(o *Options) { o.Ring, o.Ready = ring, func(base string) { up <- base } })
	t.Cleanup(func() { b.Close() })
	ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "open"}))(t) // needs no secret
	heard := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	hints := b.bus.Subscribe(ctx, 64)
	go func() { // ends with ctx
		for ev := range hints {
			if ev.Topic == events.Notice && ev.ID == "vault" {
				heard <- ev.Data.(string)
			}
		}
	}()
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }() // ends with cancel
	base := <-up
	if text := <-heard; !strings.Contains(text, "locked") {
		t.Error(text)
	}
	key, _ := b.FirstKey()
	if got := request(t, base+"/open/v1/chat/completions", key); !strings.Contains(got, "no key needed") {
		t.Error("the account without a key does not serve:", got)
	}
	if got := request(t, base+"/openai/v1/chat/completions", key); !strings.Contains(got, "vault with the logins is locked") {
		t.Error(got)
	}
	for _, a := range ok(b.Accounts(t.Context()))(t) {
		if a.Locked != (a.Provider == "openai") {
			t.Errorf("%s: locked %v", a.Provider, a.Locked)
		}
	}
	if got := request(t, base+"/health", key); !strings.Contains(got, "the secrets are locked") || !strings.Contains(got, "degraded") {
		t.Error(got)
	}
	if f := find(t, b, "vault"); f.Level != doctor.Problem || !strings.Contains(f.Fix, "vault unlock") {
		t.Errorf("%+v", f)
	}
	c := ok(Running(t.Context(), paths))(t)
	_, err := c.MoveVault(t.Context(), "file")
	refused(t, err, apierror.Internal, "", "locked")
	if v := ok(c.UnlockVault(t.Context()))(t); v.State != "locked" || v.Source != "os" || v.Fix == "" {
		t.Errorf("%+v", v)
	}

	ring.lock(false)
	if got := request(t, base+"/openai/v1/chat/completions", key); !strings.Contains(got, "You said: Hello") {
		t.Error("the account does not serve although the keychain is open:", got)
	}
	if v := ok(c.UnlockVault(t.Context()))(t); v.State != "ok" {
		t.Errorf("%+v", v)
	}
	if text := <-heard; !strings.Contains(text, "open") {
		t.Error(text)
	}
	if got := request(t, base+"/health", key); strings.Contains(got, "secrets") {
		t.Error(got)
	}
	m := ok(c.MoveVault(t.Context(), "file"))(t)
	if m.From != "os" || m.To != "file" || m.Sealed != 1 || m.Note != "" || len(ring.items) != 0 {
		t.Errorf("%+v", m)
	}
	_, err = c.MoveVault(t.Context(), "file")
	refused(t, err, apierror.InvalidRequest, "to", "already")
	_, err = c.MoveVault(t.Context(), "env")
	refused(t, err, apierror.InvalidRequest, "to", "not set")
	_, err = c.RenewVault(t.Context())
	refused(t, err, apierror.InvalidRequest, "", "not lost")
	if got := request(t, base+"/openai/v1/chat/completions", key); !strings.Contains(got, "You said: Hello") {
		t.Error(got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLostKeyIsToldAndComesBack takes the key away and brings it back.
func TestLostKeyIsToldAndComesBack(t *testing.T) {
	paths := tempPaths(t)
	b := again(t, paths, func(*Options) {})
	kept := ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Name: "kept", Key: secret.New("sk-canary-1")}))(t)
	ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Name: "other", Key: secret.New("sk-canary-2")}))(t)
	file := filepath.Join(paths.Data, "vault.key")
	before := ok(os.ReadFile(file))(t)
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = again(t, paths, func(*Options) {})
	v := ok(b.Vault(t.Context()))(t)
	if v.State != "lost" || v.Secrets != 2 || !strings.Contains(v.Fix, "vault renew") {
		t.Errorf("%+v", v)
	}
	b.vaultChanged(t.Context(), b.vault.Status(t.Context()), true)
	if a := ok(b.accountByID(kept.ID))(t); a.State != string(account.NeedsLogin) {
		t.Errorf("%+v", a)
	}
	if h := b.health(); h.Status != "down" || !strings.Contains(strings.Join(h.Reasons, "\n"), "missing or wrong") {
		t.Errorf("%+v", h)
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	b.vaultChanged(t.Context(), b.vault.Status(t.Context()), false)
	if a := ok(b.accountByID(kept.ID))(t); a.State != string(account.Ready) {
		t.Errorf("%+v", a)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	if err := os.Remove(file); err != nil { // gone for good
		t.Fatal(err)
	}
	b = again(t, paths, func(*Options) {})
	defer b.Close()
	if v := ok(b.RenewVault(t.Context()))(t); v.State != "ok" || v.OtherKey != 2 {
		t.Errorf("%+v", v)
	}
	fresh := secret.New("sk-canary-3")
	ok(b.ChangeAccount(t.Context(), kept.ID, api.AccountChange{Key: &fresh}))(t)
	if v := ok(b.Vault(t.Context()))(t); v.OtherKey != 1 {
		t.Errorf("%+v", v)
	}
	after := ok(os.ReadFile(file))(t)
	if string(before) == string(after) {
		t.Error("the same key came back")
	}
	for _, dir := range []string{paths.Data, paths.State, paths.Dir()} {
		noCanary(t, dir, "sk-canary", string(before[:20]))
	}
}

// noCanary fails if a secret stands in any file below dir.
func noCanary(t *testing.T, dir string, canaries ...string) {
	t.Helper()
	files := ok(filepath.Glob(filepath.Join(dir, "*")))(t)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a folder
		}
		for _, c := range canaries {
			if strings.Contains(string(b), c) {
				t.Errorf("%s holds %q", f, c)
			}
		}
	}
}

// TestUnlockWaitsForThePrompt has a person who takes longer than a call to the keychain is waited for.
func TestUnlockWaitsForThePrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prompt := make(chan struct{})
		ring := &memoryRing{items: map[string]string{}, locked: true, prompt: prompt}
		b := &Backend{bus: &events.Bus{}, look: make(chan struct{}, 1), vault: secret.NewVault(&memoryRows{}, &secret.OSKey{Ring: ring, Required: true})}
		go func() { // a person; ends after typing
			time.Sleep(10 * time.Second)
			ring.lock(false)
			close(prompt)
		}()
		start := time.Now()
		if v := ok(b.UnlockVault(t.Context()))(t); v.State != "ok" || time.Since(start) > 11*time.Second {
			t.Errorf("%+v after %s", v, time.Since(start))
		}
		never := make(chan struct{})
		defer close(never)
		ring = &memoryRing{items: map[string]string{}, prompt: never}
		b.vault = secret.NewVault(&memoryRows{}, &secret.OSKey{Ring: ring, Required: true})
		start = time.Now()
		if v := ok(b.UnlockVault(t.Context()))(t); v.State != "locked" || time.Since(start) > 25*time.Second {
			t.Errorf("%+v after %s", v, time.Since(start))
		}
	})
}

// memoryRows are sealed rows that are forgotten.
type memoryRows struct {
	row  *secret.Row
	meta string
}

func (r *memoryRows) ReadSecret(context.Context, secret.Ref) (secret.Row, error) {
	if r.row == nil {
		return secret.Row{}, secret.ErrNotFound
	}
	return *r.row, nil
}

func (r *memoryRows) WriteSecret(_ context.Context, _ secret.Ref, row *secret.Row) error {
	r.row = row
	return nil
}

func (r *memoryRows) SecretRefs(context.Context) ([]secret.Ref, error) { return nil, nil }

func (r *memoryRows) Meta(context.Context, string) (string, error) { return r.meta, nil }

func (r *memoryRows) SetMeta(_ context.Context, _, value string) error {
	r.meta = value
	return nil
}

func (r *memoryRows) Write(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }

// TestVaultTellsNoSecret does everything that has to do with secrets and looks for them in what is said of it.
func TestVaultTellsNoSecret(t *testing.T) {
	ring := &memoryRing{items: map[string]string{}}
	var log bytes.Buffer
	b := openTest(t, "log:\n  level: debug\n", func(o *Options) { o.Ring, o.Stderr = ring, &log })
	ctx := t.Context()
	pass, wrong := secret.New("canary passphrase"), secret.New("canary other phrase")
	ok(b.AddAccount(ctx, api.NewAccount{Provider: "openai", Key: secret.New("canary-key"), Proxy: secret.New("http://u:canary-proxy@127.0.0.1:1")}))(t)
	hidden := []string{"canary"}
	var said []any
	for _, to := range []string{"file", "os", "nowhere", "env"} {
		m, err := b.MoveVault(ctx, to)
		said = append(said, m, err)
		for _, text := range ring.items {
			hidden = append(hidden, text)
		}
		if text, err := os.ReadFile(filepath.Join(b.o.Paths.Data, "vault.key")); err == nil {
			hidden = append(hidden, strings.TrimSpace(string(text)))
		}
	}
	out := ok(b.Export(ctx, pass))(t)
	r, err := b.Restore(ctx, api.RestoreRequest{Passphrase: wrong, Data: out.Data})
	said = append(said, r, err)
	r, err = b.Restore(ctx, api.RestoreRequest{Passphrase: pass, Data: out.Data, Replace: true})
	said = append(said, r, err, string(out.Data), out.Report)
	ring.lock(true)
	said = append(said, ok(b.Vault(ctx))(t), ok(b.Doctor(ctx))(t), ok(b.Accounts(ctx))(t), ok(b.Status(ctx))(t), b.health())
	for _, s := range append(said, log.String()) {
		text := fmt.Sprintf("%+v %#v", s, s)
		for _, h := range hidden {
			if strings.Contains(text, h) {
				t.Errorf("%q stands in %s", h, text)
			}
		}
	}
	if len(hidden) < 3 {
		t.Error("the keys were not seen, so that they could not be looked for")
	}
	for _, dir := range []string{b.o.Paths.Data, b.o.Paths.State, b.o.Paths.Dir()} {
		noCanary(t, dir, hidden[0])
	}
}

func TestKeyringVariableIsChecked(t *testing.T) {
	o := Options{Paths: tempPaths(t), Env: []string{"PATCHBAY_KEYRING=perhaps"}}
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "os, file or off") {
		t.Error(err)
	}
}

// TestKeychainIsLeftAloneByDefault: who opens the program for a test gets no keychain, whatever the machine has.
func TestKeychainIsLeftAloneByDefault(t *testing.T) {
	b := openTest(t, "", nil)
	for _, p := range ok(b.Vault(t.Context()))(t).Places {
		if p.Name == "os" && p.Usable {
			t.Error("a test reaches the keychain")
		}
	}
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	b = openTest(t, "", func(o *Options) { o.Env = append(o.Env, "PATCHBAY_VAULT_KEY="+key) })
	if v := ok(b.Vault(t.Context()))(t); v.Source != "env" || v.State != "ok" || v.Note != "" {
		t.Errorf("%+v", v)
	}
}
