package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/events"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
	"patchbay/backend/store"
)

// direct calls a handler in the caller's goroutine.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	return w.Result(), nil
}

// loginHouse is a house whose accounts sign in at a simulated server.
type loginHouse struct {
	*house
	sim *simulator.OAuth
}

func newLoginHouse(t *testing.T, o simulator.OAuthOptions) *loginHouse {
	t.Helper()
	o.Client = "sim-client"
	l := &loginHouse{house: newHouse(t), sim: simulator.NewOAuth(o)}
	l.driver.info.Logins = logins("http://auth.example.test")
	l.driver.models = func(context.Context, string) ([]canon.Model, error) { return nil, nil }
	l.needs.HTTP = func(_, proxy string) *http.Client {
		if proxy != "" {
			return &http.Client{Transport: proxied(proxy)}
		}
		return &http.Client{Transport: direct{l.sim.Handler()}}
	}
	l.restart()
	return l
}

func logins(base string) []provider.Login {
	return []provider.Login{{Kind: provider.LoginBrowser, AuthURL: base + "/authorize", TokenURL: base + "/token", Client: "sim-client"}}
}

// over is a login whose access token has come to its end.
func (l *loginHouse) over(t *testing.T, email string) SignIn {
	t.Helper()
	g, ok := l.sim.Issue(email)
	if !ok {
		t.Fatal(email)
	}
	return SignIn{Provider: "kiro", Login: "browser", Credential: provider.Credential{
		Access: secret.New(g.Access), Refresh: secret.New(g.Refresh), Issued: time.Now().Add(-time.Hour), Expiry: time.Now().Add(-time.Minute),
		Extra: map[string]string{provider.ExtraEmail: email, "project": "p"},
	}}
}

func (l *loginHouse) stored(t *testing.T, id string) provider.Credential {
	t.Helper()
	s, err := l.unseal(t.Context(), id)
	check(t, err)
	return s.credential()
}

func TestSignInFindsItsAccount(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	in := l.over(t, "ann@example.test")
	in.Notes, in.Settings = map[string]string{"project": "p1"}, map[string]string{"region": "eu"}
	ann, isNew, err := l.SignIn(t.Context(), in)
	check(t, err)
	diff(t, []any{true, "ann@example.test", Ours, "browser", "ann@example.test", true}, []any{isNew, ann.Name, ann.Owner, ann.Login, ann.Identity, ann.Renews})

	_, err = l.Update(t.Context(), ann.ID, func(a *Account) { a.Name, a.Owner, a.Identity, a.Login = "work", CLI, "mallory", "x" })
	check(t, err)
	l.Pools.mu.Lock()
	l.entries[ann.ID].setState(NeedsLogin, "", "over")
	l.Pools.mu.Unlock()
	again, isNew, err := l.SignIn(t.Context(), l.over(t, "ann@example.test"))
	check(t, err)
	diff(t, []any{ann.ID, false, "work", Ready, Ours, "browser", "eu"}, []any{again.ID, isNew, again.Name, again.State, again.Owner, again.Login, again.Settings["region"]})

	// Somebody else than the wanted account's: an account of its own, and the wanted one stays as it is.
	in = l.over(t, "bob@example.test")
	in.Account = ann.ID
	bob, isNew, err := l.SignIn(t.Context(), in)
	check(t, err)
	if bob.ID == ann.ID || !isNew || bob.Name != "bob@example.test" {
		t.Error(bob, isNew)
	}
	in.Account = "gone"
	_, _, err = l.SignIn(t.Context(), in)
	if apierror.KindOf(err) != apierror.InvalidRequest {
		t.Error(err)
	}

	// Who is not known makes a new account each time, but signs in again where that was asked for.
	in = l.over(t, "ann@example.test")
	in.Extra = nil
	first, _, err := l.SignIn(t.Context(), in)
	check(t, err)
	second, isNew, err := l.SignIn(t.Context(), in)
	check(t, err)
	if first.ID == second.ID || !isNew || first.Name == second.Name {
		t.Error(first, second)
	}
	in.Account = second.ID
	third, isNew, err := l.SignIn(t.Context(), in)
	check(t, err)
	diff(t, []any{second.ID, false}, []any{third.ID, isNew})

	l.restart()
	st, _ := l.Get(ann.ID)
	diff(t, []any{"browser", "ann@example.test", true}, []any{st.Login, st.Identity, st.Renews})
	if st.Expires.IsZero() {
		t.Error(st)
	}
}

func TestBorrowedBecomesOurs(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	in := l.over(t, "ann@example.test")
	in.Owner = CLI
	st, _, err := l.SignIn(t.Context(), in)
	check(t, err)
	if len((book{l.Pools}).Renewable()) != 0 {
		t.Error("a borrowed login would be renewed")
	}
	lease := l.must(Query{})
	if ok, err := lease.Renew(t.Context()); ok || apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(ok, err)
	}
	lease.Release(nil)
	if st, _ = l.Get(st.ID); st.State != NeedsLogin || !strings.Contains(st.Reason, "use that program once") {
		t.Error(st)
	}
	if l.sim.Counts().Refreshes != 0 {
		t.Error("a borrowed refresh token was spent")
	}
	st, isNew, err := l.SignIn(t.Context(), l.over(t, "ann@example.test"))
	check(t, err)
	diff(t, []any{false, Ours, Ready}, []any{isNew, st.Owner, st.State})
}

func TestRereadOfABorrowedLogin(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	g, _ := l.sim.Issue("ann@example.test")
	l.needs.Reread = func(_ context.Context, a Account) (provider.Credential, error) {
		if a.Owner != CLI {
			return provider.Credential{}, errors.New("not borrowed")
		}
		return provider.Credential{Access: secret.New(g.Access), Expiry: time.Now().Add(time.Hour)}, nil
	}
	l.restart()
	in := l.over(t, "ann@example.test")
	in.Owner = CLI
	_, _, err := l.SignIn(t.Context(), in)
	check(t, err)
	c, err := l.must(Query{}).Upstream().(*fakeUpstream).env.Token(t.Context())
	check(t, err)
	diff(t, g.Access, c.Access.Reveal())
}

func TestExpiredLoginIsRenewedOnce(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	st, _, err := l.SignIn(t.Context(), l.over(t, "ann@example.test"))
	check(t, err)
	// A second process on the same file.
	db, _, err := store.Open(t.Context(), l.path)
	check(t, err)
	defer db.Close()
	needs := l.needs
	needs.Store, needs.Secrets = db, secret.NewVault(db, vaultKey)
	other, err := New(t.Context(), needs)
	check(t, err)

	var wg sync.WaitGroup
	got := make([]string, 50)
	for i := range got {
		wg.Go(func() {
			lease, err := []*Pools{l.Pools, other}[i%2].Acquire(t.Context(), Query{Provider: "kiro", Model: "m"})
			if err != nil {
				t.Error(err)
				return
			}
			defer lease.Release(nil)
			c, err := lease.Upstream().(*fakeUpstream).env.Token(t.Context())
			if err != nil {
				t.Error(err)
			}
			got[i] = c.Access.Reveal()
		})
	}
	wg.Wait()
	if n := l.sim.Counts(); n.Refreshes != 1 || n.Refused+n.Reuses != 0 {
		t.Errorf("%+v", n)
	}
	now := l.stored(t, st.ID)
	for _, a := range got {
		if a != now.Access.Reveal() {
			t.Error("another token than the stored one was used")
		}
	}
	if _, ok := l.sim.Access(got[0]); !ok || now.Extra["project"] != "p" {
		t.Error(ok, now.Extra)
	}
	if st, _ = l.Get(st.ID); !st.Expires.After(time.Now()) {
		t.Error(st.Expires)
	}
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	in := l.over(t, "ann@example.test")
	in.Expiry = time.Now().Add(time.Hour)
	st, _, err := l.SignIn(t.Context(), in)
	check(t, err)
	lease := l.must(Query{})
	_, err = lease.Upstream().(*fakeUpstream).env.Token(lease.Track(t.Context()))
	check(t, err)
	for range 3 { // callers that were refused with the same token
		if ok, err := lease.Renew(t.Context()); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	lease.Release(nil)
	diff(t, 1, l.sim.Counts().Refreshes)
	check(t, l.Renew(t.Context(), st.ID))
	diff(t, 2, l.sim.Counts().Refreshes)

	l.sim.RevokeAll()
	lease = l.must(Query{})
	ok, err := lease.Renew(t.Context())
	if ok || apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(ok, err)
	}
	lease.Release(err)
	st, _ = l.Get(st.ID)
	diff(t, NeedsLogin, st.State)
	if !strings.Contains(st.Reason, "sign in again") {
		t.Error(st.Reason)
	}
	if l.stored(t, st.ID).Refresh.Empty() {
		t.Error("the login was deleted")
	}
	check(t, l.Flush(t.Context()))
	l.restart()
	if st, _ = l.Get(st.ID); st.State != NeedsLogin {
		t.Error("forgotten over a restart", st)
	}
	if err := l.Renew(t.Context(), "gone"); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Error(err)
	}
	l.add("key", 0)
	if err := l.Renew(t.Context(), l.ids["key"]); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Error(err)
	}
	if ok, err := l.must(Query{}).Renew(t.Context()); ok || err != nil {
		t.Error("a key was renewed", ok, err)
	}
}

func TestListingRenewsARefusedLogin(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	in := l.over(t, "ann@example.test")
	in.Expiry = time.Now().Add(time.Hour)
	_, _, err := l.SignIn(t.Context(), in)
	check(t, err)
	asked := 0
	l.driver.models = func(context.Context, string) ([]canon.Model, error) {
		if asked++; asked == 1 {
			return nil, apierror.New(apierror.AuthExpired, "refused")
		}
		return []canon.Model{{ID: "m1"}}, nil
	}
	if m := l.Models(t.Context(), "kiro"); len(m) != 1 || l.sim.Counts().Refreshes != 1 {
		t.Error(m, l.sim.Counts())
	}
	asked = 0
	if found, err := l.Test(t.Context(), l.List()[0].ID); err != nil || found.Models != 1 || l.sim.Counts().Refreshes != 2 {
		t.Error(found, err, l.sim.Counts())
	}
}

// shut is a driver whose service shuts accounts when they are renewed.
type shut struct {
	*fakeDriver
	err error
}

func (shut) Exchange(context.Context, provider.Env, provider.Grant) (provider.Credential, error) {
	return provider.Credential{}, nil
}

func (s shut) Refresh(context.Context, provider.Env, provider.Credential) (provider.Credential, error) {
	return provider.Credential{}, s.err
}

func TestWhatAPersonMustDoIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		err   *apierror.Error
		state State
		link  string
	}{
		"blocked": {&apierror.Error{Kind: apierror.AccountBlocked, Msg: "suspended"}, Blocked, ""},
		"verify": {&apierror.Error{Kind: apierror.AccountBlocked, Msg: "not verified", Action: "confirm your identity", Link: "https://verify.example.test/x"},
			NeedsAction, "https://verify.example.test/x"},
		"bad link": {&apierror.Error{Kind: apierror.AccountBlocked, Msg: "x", Action: "look", Link: "javascript:alert(1)"}, NeedsAction, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoginHouse(t, simulator.OAuthOptions{})
			l.needs.Driver = func(string) (provider.Driver, map[string]string, error) { return shut{l.driver, c.err}, nil, nil }
			l.restart()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			told := l.needs.Bus.Subscribe(ctx, 16)
			st, _, err := l.SignIn(t.Context(), l.over(t, "ann@example.test"))
			check(t, err)
			lease := l.must(Query{})
			_, err = lease.Upstream().(*fakeUpstream).env.Token(t.Context())
			lease.Release(err)
			check(t, l.Flush(t.Context()))
			l.restart()
			st, _ = l.Get(st.ID)
			diff(t, []any{c.state, c.link}, []any{st.State, st.Link})
			if !strings.Contains(st.Reason, c.err.Action) {
				t.Error(st.Reason)
			}
			for ev := range told {
				if ev.Topic == events.Notice {
					break // told once, else this does not end
				}
			}
			check(t, l.Clear(st.ID, ""))
			if st, _ = l.Get(st.ID); st.State != Ready || st.Link != "" {
				t.Error(st)
			}
		})
	}
}

func TestRenewableAccounts(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{Users: []simulator.OAuthUser{{Email: "a"}, {Email: "b"}, {Email: "c"}, {Email: "d"}}})
	ids := map[string]string{}
	for _, who := range []string{"a", "b", "c", "d"} {
		st, _, err := l.SignIn(t.Context(), l.over(t, who))
		check(t, err)
		ids[who] = st.ID
	}
	l.add("key", 0)
	check(t, l.SetEnabled(t.Context(), ids["b"], false))
	l.Pools.mu.Lock()
	l.entries[ids["c"]].setState(NeedsLogin, "", "over")
	l.entries[ids["d"]].rest(allModels, time.Hour, "", "resting", time.Now())
	l.Pools.mu.Unlock()
	got := map[string]bool{}
	for _, e := range (book{l.Pools}).Renewable() {
		got[e.ID] = true
	}
	diff(t, map[string]bool{ids["a"]: true, ids["d"]: true}, got)
	l.Pools.needs.On = func(id string) bool { return id != "kiro" }
	if left := (book{l.Pools}).Renewable(); len(left) != 0 {
		t.Error("logins of a provider that is off are renewed", left)
	}
}

func TestBookReplacesWhatItKnows(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	st, _, err := l.SignIn(t.Context(), l.over(t, "ann@example.test"))
	check(t, err)
	b, old := book{l.Pools}, l.stored(t, st.ID)
	fresh := provider.Credential{Access: secret.New("a2"), Refresh: secret.New("r2"), Expiry: time.Now().Add(time.Hour)}
	check(t, b.Replace(t.Context(), st.ID, old, fresh))
	if err := b.Replace(t.Context(), st.ID, old, key("x")); !errors.Is(err, oauth.ErrChanged) {
		t.Error(err)
	}
	diff(t, "r2", l.stored(t, st.ID).Refresh.Reveal())
	b.Refused(t.Context(), st.ID, old, apierror.New(apierror.AuthExpired, "over")) // another login than the present one
	if st, _ = l.Get(st.ID); st.State != Ready {
		t.Error(st)
	}
	check(t, l.Remove(t.Context(), st.ID))
	if err := b.Replace(t.Context(), st.ID, fresh, key("x")); !errors.Is(err, oauth.ErrGone) {
		t.Error(err)
	}
	b.Refused(t.Context(), st.ID, fresh, apierror.New(apierror.AuthExpired, "over"))
	if _, err := b.Load(t.Context(), st.ID); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Error(err)
	}
}

func TestChangesNeverBringAnOldLoginBack(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	l.driver.info.Fields = []provider.Field{{Key: "pin", Secret: true}}
	st, _, err := l.SignIn(t.Context(), l.over(t, "ann@example.test"))
	check(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 30 {
			if err := l.Renew(t.Context(), st.ID); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range 60 {
			_, err := l.Update(t.Context(), st.ID, func(a *Account) { a.Settings = map[string]string{"pin": fmt.Sprint(i)} })
			if err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	check(t, l.Renew(t.Context(), st.ID))
	if n := l.sim.Counts(); n.Reuses+n.Refused != 0 || !l.sim.Works(l.stored(t, st.ID).Refresh.Reveal()) {
		t.Errorf("%+v", n)
	}
}

func TestInside(t *testing.T) {
	l := newLoginHouse(t, simulator.OAuthOptions{})
	l.driver.info.Logins[0].Fields = []provider.Field{{Key: "pin", Secret: true}}
	in := l.over(t, "ann@example.test")
	in.Proxy, in.Settings, in.Notes = "http://u:canary@proxy:1", map[string]string{"pin": "canary", "region": "eu"}, map[string]string{"n": "1"}
	st, _, err := l.SignIn(t.Context(), in)
	check(t, err)
	_, got, err := l.Inside(t.Context(), st.ID)
	check(t, err)
	diff(t, Secrets{Proxy: in.Proxy, Settings: in.Settings, Notes: in.Notes, Email: "ann@example.test"}, got)
	_, _, err = l.Inside(t.Context(), "gone")
	if apierror.KindOf(err) != apierror.InvalidRequest {
		t.Error(err)
	}
	// Nothing goes around a proxy whose password cannot be read.
	l.needs.Secrets = secret.NewMemory()
	l.restart()
	if _, _, err = l.Inside(t.Context(), st.ID); err == nil {
		t.Error("the proxy was left out")
	}
}

func TestTokensAppearNowhere(t *testing.T) {
	var log bytes.Buffer
	l := newLoginHouse(t, simulator.OAuthOptions{AccessPrefix: "CANARY-at-", RefreshPrefix: "CANARY-rt-"})
	l.needs.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.restart()
	st, _, err := l.SignIn(t.Context(), l.over(t, "ann@example.test"))
	check(t, err)
	check(t, l.Renew(t.Context(), st.ID))
	texts := []string{fmt.Sprintf("%+v", l.List())}
	for _, trouble := range []simulator.OAuthTrouble{
		simulator.TroubleServer, simulator.TroublePage, simulator.TroubleError, simulator.TroubleNoToken, simulator.TroubleBusy, simulator.TroubleRevoked,
	} {
		l.tokens.Forget(st.ID)
		l.sim.Trouble(trouble)
		err := l.Renew(t.Context(), st.ID)
		if err == nil {
			t.Error(trouble)
		}
		texts = append(texts, fmt.Sprintf("%v %+v", err, apierror.From(err)))
	}
	check(t, l.Flush(t.Context()))
	dir := filepath.Dir(l.path)
	l.close()
	files, err := os.ReadDir(dir)
	check(t, err)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		check(t, err)
		texts = append(texts, string(b))
	}
	for _, text := range append(texts, log.String()) {
		if i := strings.Index(text, "CANARY"); i >= 0 {
			t.Errorf("a token is shown: %q", text[max(0, i-100):min(len(text), i+40)])
		}
	}
}

const helperEnv = "PATCHBAY_TEST_RENEWER"

// TestRenewer is no test: it is the program that TestKilledWhileRenewing kills.
func TestRenewer(t *testing.T) {
	path, base, ok := strings.Cut(os.Getenv(helperEnv), "|")
	if !ok {
		t.Skip("run by TestKilledWhileRenewing")
	}
	db, _, err := store.Open(t.Context(), path)
	check(t, err)
	pools, err := New(t.Context(), killNeeds(db, base))
	check(t, err)
	for {
		lease, err := pools.Acquire(t.Context(), Query{Provider: "kiro", Model: "m"})
		check(t, err)
		_, err = lease.Renew(t.Context())
		check(t, err)
		c, err := lease.Upstream().(*fakeUpstream).env.Token(t.Context())
		check(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/userinfo", nil)
		check(t, err)
		req.Header.Set("Authorization", "Bearer "+c.Access.Reveal())
		resp, err := http.DefaultClient.Do(req)
		check(t, err)
		resp.Body.Close()
		lease.Release(nil)
	}
}

func killNeeds(db *store.DB, base string) Needs {
	d := &fakeDriver{info: provider.Info{ID: "kiro", Name: "Kiro", Logins: logins(base)}}
	return Needs{
		Store: db, Secrets: secret.NewVault(db, vaultKey), LeaseTime: 200 * time.Millisecond,
		Driver: func(string) (provider.Driver, map[string]string, error) { return d, nil, nil },
		HTTP:   func(string, string) *http.Client { return http.DefaultClient },
	}
}

// deadly is a handler that kills a process at a chosen instant of its n-th call: before the work, between the work and the
// answer, or a moment after the answer, while the token is being stored.
type deadly struct {
	next http.Handler

	mu    sync.Mutex // guards what follows
	left  int
	when  int
	kill  func()
	ended chan struct{}
}

func (d *deadly) arm(n, when int, kill func()) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.when, d.kill, d.ended = n, when, kill, make(chan struct{})
	return d.ended
}

func (d *deadly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.left--
	now, when, end := d.left == 0, d.when, func() { close(d.ended); d.kill() }
	d.mu.Unlock()
	if now && when == 0 {
		end()
		return
	}
	d.next.ServeHTTP(w, r)
	switch {
	case now && when == 1:
		end()
	case now:
		time.AfterFunc(time.Duration(rand.IntN(4000))*time.Microsecond, end)
	}
}

// TestKilledWhileRenewing kills a program that does nothing but renew its login and use it, again and again. The server
// gives who lost an answer the same one again, until the new token is used: a token that was used before it was stored
// would cost the login.
func TestKilledWhileRenewing(t *testing.T) {
	sim := simulator.NewOAuth(simulator.OAuthOptions{Client: "sim-client", Leeway: true})
	killer := &deadly{next: sim.Handler()}
	srv := httptest.NewServer(killer)
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "patchbay.db")
	open := func(fn func(*Pools)) {
		t.Helper()
		db, warning, err := store.Open(t.Context(), path)
		check(t, err)
		if warning != "" {
			t.Fatal(warning)
		}
		defer db.Close()
		pools, err := New(t.Context(), killNeeds(db, srv.URL))
		check(t, err)
		fn(pools)
	}
	l := &loginHouse{sim: sim}
	var id string
	open(func(p *Pools) {
		st, _, err := p.SignIn(t.Context(), l.over(t, "ann@example.test"))
		check(t, err)
		id = st.ID
	})
	for round := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRenewer$", "-test.count=1")
		cmd.Env = append(os.Environ(), helperEnv+"="+path+"|"+srv.URL)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		started := make(chan struct{})
		killed := killer.arm(1+rand.IntN(7), round%3, func() {
			<-started
			_ = cmd.Process.Kill() // it may have ended
		})
		check(t, cmd.Start())
		close(started)
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }() // ends with the process
		err := <-exited
		select {
		case <-killed:
		default:
			t.Fatalf("round %d: it ended by itself: %v\n%s", round, err, &out)
		}
		open(func(p *Pools) {
			s, err := p.unseal(t.Context(), id)
			check(t, err)
			if st, _ := p.Get(id); st.State != Ready || !sim.Works(s.Refresh) {
				t.Fatalf("round %d: the login is lost: %s %s %+v", round, st.State, st.Reason, sim.Counts())
			}
		})
	}
	if n := sim.Counts(); n.Reuses != 0 || n.Refreshes == 0 {
		t.Errorf("%+v", n)
	}
}
