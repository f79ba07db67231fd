package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/doctor"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/server"
	"patchbay/backend/simulator"
	"patchbay/backend/store"
)

// openTest opens a Backend in a folder of its own with these settings and options.
func openTest(t *testing.T, settings string, change func(*Options)) *Backend {
	t.Helper()
	paths := tempPaths(t)
	if err := os.MkdirAll(paths.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths.Config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Paths: paths, Env: []string{"HOME=" + t.TempDir()}, Version: "1.2.3", Flags: map[string]string{"server.listen": "127.0.0.1:0"}}
	if change != nil {
		change(&o)
	}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// refused fails unless err is for people, of a kind, names the field and holds a text.
func refused(t *testing.T, err error, kind apierror.Kind, param, text string) {
	t.Helper()
	e := apierror.From(err)
	if err == nil || e.Kind != kind || e.Param != param || !strings.Contains(e.Msg, text) {
		t.Errorf("got %v (param %q), want %s %q %q", err, e.Param, kind, param, text)
	}
}

func ok[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestOwnProviderServesAtOnce(t *testing.T) {
	b := openTest(t, "# mine\n", nil)
	ctx := t.Context()
	p := ok(b.AddProvider(ctx, api.NewProvider{ID: "deepseek", Kind: "openai", BaseURL: " api.deepseek.com/v1/chat/completions ", Name: "DeepSeek"}))(t)
	want := api.ProviderView{ID: "deepseek", Name: "DeepSeek", Kind: "openai", Status: provider.StatusActive, Enabled: true, UserDefined: true, BaseURL: "https://api.deepseek.com/v1", NoKey: true,
		Logins: []api.LoginOption{{ID: "key", Kind: "key", Label: "API key"}}}
	if d := cmp.Diff(want, p); d != "" {
		t.Error("-want +got\n" + d)
	}
	text, err := os.ReadFile(b.o.Paths.Config)
	if err != nil || !strings.Contains(string(text), "# mine") || !strings.Contains(string(text), "deepseek:") {
		t.Error(string(text), err)
	}
	for _, c := range []struct {
		p           api.NewProvider
		param, text string
	}{
		{api.NewProvider{ID: "deepseek", Kind: "openai", BaseURL: "https://x"}, "id", "already"},
		{api.NewProvider{ID: "openai", Kind: "openai", BaseURL: "https://x"}, "id", "already"},
		{api.NewProvider{ID: "v1", Kind: "openai", BaseURL: "https://x"}, "providers.v1", "reserved"},
		{api.NewProvider{ID: "Big", Kind: "openai", BaseURL: "https://x"}, "providers.Big", "small letters"},
		{api.NewProvider{ID: "x", Kind: "grpc", BaseURL: "https://x"}, "providers.x.kind", "grpc"},
		{api.NewProvider{ID: "x", Kind: "openai", BaseURL: "ftp://x"}, "base_url", "http"},
		{api.NewProvider{ID: "x", Kind: "openai", BaseURL: "https://u:p@x"}, "base_url", "password"},
	} {
		_, err := b.AddProvider(ctx, c.p)
		refused(t, err, apierror.InvalidRequest, c.param, c.text)
	}
	if n := len(ok(b.Providers(ctx))(t)); n != len(providers)+1 {
		t.Error("a refused provider is there", n)
	}
}

func TestPatchbayIsNoProviderOfItself(t *testing.T) {
	b := openTest(t, "", func(o *Options) { o.Flags = map[string]string{"server.listen": "127.0.0.1:8390"} })
	_, err := b.AddProvider(t.Context(), api.NewProvider{ID: "me", Kind: "openai", BaseURL: "http://localhost:8390/v1"})
	refused(t, err, apierror.InvalidRequest, "base_url", "own address")
	_, err = b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-1"), Settings: map[string]string{"base_url": "http://127.0.0.1:8390"}})
	refused(t, err, apierror.InvalidRequest, "base_url", "own address")
}

func TestAccountsLiveThroughTheService(t *testing.T) {
	b := openTest(t, "providers:\n  anthropic:\n    enabled: false\n", nil)
	ctx := t.Context()
	a := ok(b.AddAccount(ctx, api.NewAccount{
		Provider: "openai", Name: "work", Key: secret.New("sk-1"), Priority: 2, Proxy: secret.New("http://u:secret@proxy:1"),
		Settings: map[string]string{"base_url": "host.example/v1/models"},
	}))(t)
	if a.Settings["base_url"] != "https://host.example/v1" || strings.Contains(a.Proxy, "secret") || a.State != "ready" || !a.Enabled {
		t.Error(a)
	}
	for _, c := range []struct {
		n           api.NewAccount
		param, text string
	}{
		{api.NewAccount{Provider: "nobody", Key: secret.New("x")}, "provider", "patchbay providers"},
		{api.NewAccount{Provider: "anthropic", Key: secret.New("x")}, "provider", "turned off"},
		{api.NewAccount{Provider: "openai"}, "key", "needs a key"},
		{api.NewAccount{Provider: "openai", Key: secret.New("x"), Proxy: secret.New("gopher://x")}, "proxy", "proxy"},
		{api.NewAccount{Provider: "openai", Key: secret.New("x"), Settings: map[string]string{"base_url": "ftp://x"}}, "base_url", "http"},
	} {
		_, err := b.AddAccount(ctx, c.n)
		refused(t, err, apierror.InvalidRequest, c.param, c.text)
	}

	off, name, prio, none, key := false, "home", 7, secret.Value{}, secret.New("sk-2")
	a = ok(b.ChangeAccount(ctx, a.ID, api.AccountChange{Name: &name, Enabled: &off, Priority: &prio, Proxy: &none, Key: &key}))(t)
	if a.Name != "home" || a.Enabled || a.Priority != 7 || a.Proxy != "" || a.State != "disabled" {
		t.Error(a)
	}
	_, err := b.ChangeAccount(ctx, a.ID, api.AccountChange{Key: &none})
	refused(t, err, apierror.InvalidRequest, "key", "empty")
	for _, c := range []api.AccountChange{{Name: &name}, {Enabled: &off}, {Key: &key}} {
		_, err := b.ChangeAccount(ctx, "gone", c)
		refused(t, err, apierror.InvalidRequest, "id", "gone")
	}
	_, err = b.ChangeAccount(ctx, "gone", api.AccountChange{})
	refused(t, err, apierror.RouteNotFound, "", "gone")

	until := time.Now().Add(time.Hour)
	if err := b.accounts.Clear(a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := b.db.SaveHealth(ctx, store.Health{ID: a.ID, State: "needs_login", Reason: "refused", Cooling: []store.Cooldown{{Account: a.ID, Model: "m", Until: until, Since: until.Add(-2 * time.Hour), Reason: "limit"}}}); err != nil {
		t.Fatal(err)
	}
	if a = ok(b.ClearAccount(ctx, a.ID, ""))(t); a.Cooling != nil || a.Reason != "" {
		t.Error(a)
	}
	_, err = b.ClearAccount(ctx, "gone", "")
	refused(t, err, apierror.InvalidRequest, "id", "gone")
	if err := b.RemoveAccount(ctx, a.ID); err != nil || len(ok(b.Accounts(ctx))(t)) != 0 {
		t.Error(err)
	}
	refused(t, b.RemoveAccount(ctx, a.ID), apierror.InvalidRequest, "id", a.ID)
}

func TestPausesAreShown(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	a := ok(b.AddAccount(ctx, api.NewAccount{Provider: "openai", Key: secret.New("sk-1")}))(t)
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	if err := b.db.SaveHealth(ctx, store.Health{ID: a.ID, State: "ready", Cooling: []store.Cooldown{{Account: a.ID, Model: "m", Until: until, Since: until.Add(-2 * time.Hour), Reason: "limit"}}}); err != nil {
		t.Fatal(err)
	}
	paths := b.o.Paths
	if err := b.db.Close(); err != nil { // the hot copy has no pause, so it must not be written over the row
		t.Fatal(err)
	}
	if err := b.lock.Release(); err != nil {
		t.Fatal(err)
	}
	b.accounts, b.db, b.lock = nil, nil, nil
	again := openTest(t, "", func(o *Options) { o.Paths = paths })
	got := ok(again.Accounts(ctx))(t)[0]
	if d := cmp.Diff([]api.CoolDownView{{Model: "m", Reason: "limit", Since: until.Add(-2 * time.Hour), Until: until}}, got.Cooling); d != "" {
		t.Error("-want +got\n" + d)
	}
	if p := ok(again.Providers(ctx))(t)[0]; p.Accounts["ready"] != 1 || !p.Default {
		t.Error(p)
	}
}

func TestKeysLiveThroughTheService(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	expires := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	made := ok(b.AddKey(ctx, api.NewKey{Name: "app", Expires: expires}))(t)
	if k, good := b.keys.Check(made.Key.Reveal()); !good || k.ID != made.ID || !made.Expires.Equal(expires) {
		t.Error(made)
	}
	_, err := b.AddKey(ctx, api.NewKey{Name: "short", Key: secret.New("short")})
	refused(t, err, apierror.InvalidRequest, "key", "16")
	if err := b.RevokeKey(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	if k := ok(b.Keys(ctx))(t)[0]; k.Name != "app" || k.Revoked.IsZero() || !strings.HasPrefix(made.Key.Reveal(), k.Prefix) {
		t.Error(k)
	}
	refused(t, b.RevokeKey(ctx, made.ID), apierror.InvalidRequest, "id", made.ID)
}

func TestDefaultProviderIsKept(t *testing.T) {
	b := openTest(t, "default_provider: anthropic # for now\n", nil)
	ctx := t.Context()
	if id := ok(b.DefaultProvider(ctx))(t); id != "anthropic" {
		t.Error(id)
	}
	refused(t, b.SetDefaultProvider(ctx, "nobody"), apierror.InvalidRequest, "provider", "nobody")
	if err := b.SetDefaultProvider(ctx, "openai"); err != nil || ok(b.DefaultProvider(ctx))(t) != "openai" {
		t.Error(err)
	}
	text, err := os.ReadFile(b.o.Paths.Config)
	if err != nil || !strings.Contains(string(text), "default_provider: openai # for now") {
		t.Error(string(text), err)
	}
	if err := b.SetDefaultProvider(ctx, ""); err != nil || ok(b.DefaultProvider(ctx))(t) != "" {
		t.Error(err)
	}
}

func TestHeldDefaultProviderChangesForThisRunOnly(t *testing.T) {
	b := openTest(t, "", func(o *Options) { o.Env = append(o.Env, "PATCHBAY_DEFAULT_PROVIDER=anthropic") })
	ctx := t.Context()
	if err := b.SetDefaultProvider(ctx, "openai"); err != nil || ok(b.DefaultProvider(ctx))(t) != "openai" {
		t.Error(err)
	}
	if text, err := os.ReadFile(b.o.Paths.Config); err != nil || len(text) > 0 {
		t.Error(string(text), err)
	}
	refused(t, b.SetDefaultProvider(ctx, ""), apierror.InvalidRequest, "provider", "PATCHBAY_DEFAULT_PROVIDER")
}

func TestRecordsNameAccountsAndKeys(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	a := ok(b.AddAccount(ctx, api.NewAccount{Provider: "openai", Name: "work", Key: secret.New("sk-1")}))(t)
	k := ok(b.AddKey(ctx, api.NewKey{Name: "app"}))(t)
	at := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	rows := []store.Request{{
		ID: "r1", At: at, Key: k.ID, Client: "openai", Op: "chat", Stream: true, Asked: "m", Provider: "openai", Account: a.ID, Model: "M", Attempts: 2, Status: 429,
		Kind: "rate_limited", Message: "slow", Tokens: store.Tokens{Input: 1, Cached: -1, Output: 2}, FirstMS: -1, TotalMS: 12, Dropped: []string{"seed"}, Trace: "[]",
	}, {ID: "r0", At: at.Add(-time.Second), Provider: "gone", Account: "gone", FirstMS: 3, TotalMS: 4, Trace: "[]"}}
	usage := []store.Usage{
		{At: at, Provider: "openai", Account: a.ID, Model: "M", Key: k.ID, Requests: 2, Errors: 1, Tokens: store.Tokens{Input: 5, Output: 6}, Told: store.Tokens{Input: 1, Output: 1}},
		{At: at, Provider: "gone", Requests: 1, Tokens: store.Tokens{Input: 1}, Told: store.Tokens{Input: 1}},
	}
	if err := b.db.AddRequests(ctx, rows, usage); err != nil {
		t.Fatal(err)
	}
	page := ok(b.Requests(ctx, api.RequestQuery{}))(t)
	got := page.Items
	want := []api.RequestView{{
		ID: "r1", At: at, State: "failed", Key: k.ID, KeyName: "app", Client: "openai", Op: "chat", Stream: true, Asked: "m", Provider: "openai", Account: a.ID, Label: "work", Model: "M",
		Attempts: 2, Status: 429, Kind: "rate_limited", Message: "slow", Tokens: api.Tokens{Input: 1, Cached: -1, Output: 2}, FirstMS: -1, DurationMS: 12, Dropped: []string{"seed"},
	}, {ID: "r0", At: at.Add(-time.Second), State: "ok", Provider: "gone", Account: "gone", FirstMS: 3, DurationMS: 4}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got\n" + d)
	}
	if c := page.Counts; c == nil || *c != (api.RequestCounts{All: 2, Failed: 1, Retried: 1}) || page.Next != "" {
		t.Error(c, page.Next)
	}
	if rest := ok(b.Requests(ctx, api.RequestQuery{Before: "r1", Limit: 9999}))(t); len(rest.Items) != 1 || rest.Counts != nil {
		t.Error(rest)
	}
	for query, want := range map[api.RequestQuery]string{
		{Limit: 1}: "r1", {State: "ok"}: "r0", {State: "failed"}: "r1", {Retried: true}: "r1", {Status: 429}: "r1", {Search: "WORK"}: "r1", {Search: "app"}: "r1", {Search: "r0"}: "r0",
		{Search: "gone"}: "r0", {Search: "no%such"}: "",
	} {
		ids := ""
		for _, r := range ok(b.Requests(ctx, query))(t).Items {
			ids += r.ID
		}
		if ids != want {
			t.Errorf("%+v: %q", query, ids)
		}
	}
	u := ok(b.Usage(ctx, api.UsageQuery{}))(t)
	if len(u.Rows) != 2 || u.Rows[0].Label != "work" || u.Rows[0].KeyName != "app" || u.Total.Requests != 3 || u.Total.Tokens.Input != 6 || u.Total.Errors != 1 {
		t.Error(u)
	}
}

func find(t *testing.T, b *Backend, id string) api.Finding {
	t.Helper()
	for _, f := range ok(b.Doctor(t.Context()))(t) {
		if f.ID == id {
			return f
		}
	}
	t.Errorf("the doctor says nothing of %s", id)
	return api.Finding{}
}

func TestDoctorKnowsTheOwners(t *testing.T) {
	b := openTest(t, "", nil)
	for id, level := range map[string]doctor.Level{"config": doctor.OK, "port": doctor.OK, "database": doctor.OK, "vault": doctor.Warn, "client_keys": doctor.Problem, "accounts": doctor.Problem} {
		if f := find(t, b, id); f.Level != level {
			t.Errorf("%+v", f)
		}
	}
	if f := find(t, b, "vault"); f.Detail != filepath.Join(b.o.Paths.Data, "vault.key") {
		t.Errorf("%+v", f)
	}
	ok(b.AddKey(t.Context(), api.NewKey{Name: "app"}))(t)
	ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-1")}))(t)
	if f := find(t, b, "accounts"); f.Level != doctor.OK {
		t.Errorf("%+v", f)
	}
}

func TestLockedSecretsAreToldAndNothingIsLost(t *testing.T) {
	b := openTest(t, "", func(o *Options) { o.Env = append(o.Env, "PATCHBAY_VAULT_KEY=too short") })
	_, err := b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-1")})
	refused(t, err, apierror.Internal, "", "locked")
	if f := find(t, b, "vault"); f.Level != doctor.Problem || !strings.Contains(f.Detail, "PATCHBAY_VAULT_KEY") {
		t.Errorf("%+v", f)
	}
	if n := len(ok(b.Accounts(t.Context()))(t)); n != 0 {
		t.Error(n)
	}
	if e := apierror.From(explain(secret.ErrLost)); !strings.Contains(e.Msg, "missing or wrong") {
		t.Error(e)
	}
}

// TestServingInstanceIsReachedByCommands runs a whole instance against simulated services.
func TestServingInstanceIsReachedByCommands(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	up := make(chan string, 1)
	b := openTest(t, "providers:\n  openai:\n    base_url: "+sim.BaseURL(simulator.OpenAI)+"\n", func(o *Options) { o.Ready = func(base string) { up <- base } })
	if st := ok(b.Status(t.Context()))(t); st.Health != "down" || st.Base != "" {
		t.Error(st)
	}
	ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-sim-1")}))(t)
	if models := ok(b.Models(t.Context(), "openai"))(t); len(models) < 3 { // nothing listens yet: it asks the service itself
		t.Error(models)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }() // ends with cancel
	base := <-up
	c := ok(Running(t.Context(), b.o.Paths))(t)
	st := ok(c.Status(t.Context()))(t)
	if st.Base != base || st.Health != "ok" || st.Version != "1.2.3" || st.PID != os.Getpid() || st.DefaultProvider != "openai" {
		t.Error(st)
	}
	if _, err := Open(t.Context(), b.o); err == nil {
		t.Error("a second instance opened")
	}
	p := ok(c.Providers(t.Context()))(t)[0]
	if models := ok(c.Models(t.Context(), ""))(t); len(models) < 3 || p.Models < 3 {
		t.Error(models, p)
	}
	if _, err := c.Models(t.Context(), "nobody"); err == nil {
		t.Error("models of nobody")
	}
	_, err := c.AddProvider(t.Context(), api.NewProvider{ID: "me", Kind: "openai", BaseURL: base})
	refused(t, err, apierror.InvalidRequest, "base_url", "own address")
	if f := find(t, b, "port"); f.Level != doctor.OK || !strings.Contains(f.Title, "listens on") {
		t.Errorf("%+v", f)
	}
	key, made := b.FirstKey()
	if !made || key.Empty() {
		t.Error("no first key")
	}
	for path, want := range map[string]string{"/v1/chat/completions": "You said: Hello", "/metrics": `state="ready"`, "/health": `"status":"ok"`} {
		if got := request(t, base+path, key); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// request asks for a path, or posts a chat to the path that wants one.
func request(t *testing.T, url string, key secret.Value) string {
	t.Helper()
	method, body := http.MethodGet, ""
	if strings.HasSuffix(url, "/completions") {
		method, body = http.MethodPost, `{"model":"gpt-4.1","messages":[{"role":"user","content":"Hello"}]}`
	}
	req := ok(http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body)))(t)
	req.Header.Set("Authorization", "Bearer "+key.Reveal())
	req.Header.Set("Content-Type", "application/json")
	resp := ok(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	return string(ok(io.ReadAll(resp.Body))(t))
}

func TestFailureToOpenClosesWhatIsOpen(t *testing.T) {
	b := openTest(t, "", nil)
	o := b.o
	if _, err := Open(t.Context(), o); !errors.Is(err, ErrRunning) {
		t.Error(err)
	}
	o.Paths = tempPaths(t)
	for name, harm := range map[string]func(*Options){
		"flag":     func(o *Options) { o.Flags = map[string]string{"server.listen": "nowhere"} },
		"variable": func(o *Options) { o.Env = []string{"PATCHBAY_SERVER_LAN=perhaps"} },
		"engine":   func(o *Options) { o.Env = []string{"PATCHBAY_DATABASE=postgres://h/d"} },
		"folder":   func(o *Options) { o.Paths.Data = o.Paths.Config },
	} {
		bad := o
		harm(&bad)
		if name == "folder" { // a file stands where the folder should be
			if err := os.MkdirAll(filepath.Dir(o.Paths.Config), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(o.Paths.Config, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(t.Context(), bad); err == nil {
			t.Errorf("%s: it opened", name)
		}
		l := take(t, o.Paths) // the lock is free again
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	l := ok(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	b := openTest(t, "", func(o *Options) { o.Flags = map[string]string{"server.listen": l.Addr().String()} })
	err := b.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "--listen") {
		t.Error(err)
	}
	if runtime.GOOS == "linux" && !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Error("the holder is this process:", err)
	}
}

func TestHealthSaysWhy(t *testing.T) {
	b := openTest(t, "", nil)
	if h := b.health(); h.Status != server.HealthDegraded || len(h.Reasons) != 1 {
		t.Error(h)
	}
	a := ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-1")}))(t)
	if h := b.health(); h.Status != server.HealthOK {
		t.Error(h)
	}
	off := false
	ok(b.ChangeAccount(t.Context(), a.ID, api.AccountChange{Enabled: &off}))(t)
	if h := b.health(); h.Status != server.HealthDown {
		t.Error(h)
	}
}
