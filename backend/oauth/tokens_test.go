package oauth

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// shelf is a Book in memory, with the leases that go with it. Two Tokens on one shelf are two processes on one database.
type shelf struct {
	sim    *simulator.OAuth
	driver provider.Driver
	http   *http.Client

	mu       sync.Mutex // guards what follows
	rows     map[string]provider.Credential
	policy   provider.Policy
	borrowed map[string]bool
	resting  map[string]bool // not renewable
	refused  map[string]*apierror.Error
	fail     []error // of Replace
	writes   int
	leases   map[string]lease
	after    func() // called after the next Replace
	loaded   func() // called after the next Load
}

type lease struct {
	owner string
	until time.Time
}

func newShelf(o simulator.OAuthOptions) *shelf {
	o.Client = "sim-client"
	s := &shelf{sim: simulator.NewOAuth(o), rows: map[string]provider.Credential{}, borrowed: map[string]bool{}, resting: map[string]bool{},
		refused: map[string]*apierror.Error{}, leases: map[string]lease{}}
	s.driver = driver{plainInfo("http://auth.example.test")}
	s.http = &http.Client{Transport: direct{s.sim.Handler()}}
	return s
}

// signIn gives an account a login of the simulated server.
func (s *shelf) signIn(id string) provider.Credential {
	g, _ := s.sim.Issue("ann@example.test")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[id] = cred(g.Access, g.Refresh, g.Life)
	return s.rows[id]
}

func (s *shelf) tokens(owner string) *Tokens {
	return NewTokens(TokenNeeds{Book: s, Leases: leaseOf{s, owner}})
}

func (s *shelf) Renewable() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Entry
	for id, c := range s.rows {
		if !s.borrowed[id] && s.refused[id] == nil && !s.resting[id] {
			out = append(out, Entry{ID: id, Provider: "sim", Issued: c.Issued, Expiry: c.Expiry, Policy: s.policy})
		}
	}
	return out
}

func (s *shelf) Load(_ context.Context, id string) (Holding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.rows[id]
	if !ok {
		return Holding{}, apierror.Invalid("id", "no account")
	}
	c.Extra = maps.Clone(c.Extra)
	if loaded := s.loaded; loaded != nil {
		s.loaded = nil
		s.mu.Unlock()
		loaded()
		s.mu.Lock()
	}
	return Holding{Driver: s.driver, Env: provider.Env{Provider: "sim", AccountID: id, HTTP: s.http}, Login: LoginOf(s.driver.Info(), "browser"),
		Credential: c, Borrowed: s.borrowed[id], Policy: s.policy}, nil
}

func (s *shelf) Replace(_ context.Context, id string, old, fresh provider.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fail) > 0 {
		err := s.fail[0]
		s.fail = s.fail[1:]
		return err
	}
	now, ok := s.rows[id]
	if !ok {
		return ErrGone
	}
	if !same(now, old) {
		return ErrChanged
	}
	s.rows[id] = fresh
	s.writes++
	if after := s.after; after != nil {
		s.after = nil
		s.mu.Unlock()
		after()
		s.mu.Lock()
	}
	return nil
}

func (s *shelf) Adopt(string, provider.Credential) {}

func (s *shelf) Refused(_ context.Context, id string, old provider.Credential, err *apierror.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.borrowed[id] || same(s.rows[id], old) {
		s.refused[id] = err
	}
}

func (s *shelf) stored(id string) provider.Credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[id]
}

type leaseOf struct {
	s     *shelf
	owner string
}

func (l leaseOf) Acquire(_ context.Context, name string, ttl time.Duration) (int64, bool, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if h, ok := l.s.leases[name]; ok && h.owner != l.owner && time.Now().Before(h.until) {
		return 0, false, nil
	}
	l.s.leases[name] = lease{l.owner, time.Now().Add(ttl)}
	return 1, true, nil
}

func (l leaseOf) Release(_ context.Context, name string) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.leases[name].owner == l.owner {
		delete(l.s.leases, name)
	}
	return nil
}

// slow makes the calls of a shelf take their time, so that callers meet.
func (s *shelf) slow(d time.Duration) {
	s.http = &http.Client{Transport: delayed{direct{s.sim.Handler()}, d}}
}

type delayed struct {
	next http.RoundTripper
	d    time.Duration
}

func (d delayed) RoundTrip(r *http.Request) (*http.Response, error) {
	if !pause(r.Context(), d.d) {
		return nil, r.Context().Err()
	}
	return d.next.RoundTrip(r)
}

func TestManyCallersOneRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		old := s.signIn("a")
		s.slow(time.Second)
		time.Sleep(2 * time.Hour)
		a, b := s.tokens("a"), s.tokens("b")
		var wg sync.WaitGroup
		got := make([]string, 100)
		for i := range got {
			wg.Go(func() {
				c, err := []*Tokens{a, b}[i%2].Token(t.Context(), "a")
				if err != nil {
					t.Error(err)
				}
				got[i] = c.Access.Reveal()
			})
		}
		wg.Wait()
		if n := s.sim.Counts(); n.Refreshes != 1 || n.Refused+n.Reuses != 0 {
			t.Errorf("%+v", n)
		}
		slices.Sort(got)
		if u := slices.Compact(got); len(u) != 1 || u[0] != s.stored("a").Access.Reveal() || u[0] == old.Access.Reveal() {
			t.Error(u)
		}
	})
}

func TestRenewalOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		s.slow(5 * time.Second)
		time.Sleep(2 * time.Hour)
		tk := s.tokens("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := tk.Token(ctx, "a")
		says(t, err, apierror.Canceled)
		tk.Close() // waits for it
		if n := s.sim.Counts().Refreshes; n != 1 || s.writes != 1 || !s.sim.Works(s.stored("a").Refresh.Reveal()) {
			t.Error(n, s.writes)
		}
		_, err = tk.Renew(t.Context(), "a", nil)
		says(t, err, apierror.Shutdown, "stopping")
	})
}

func TestNearItsEndTheOldTokenServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		old := s.signIn("a")
		s.slow(time.Second)
		tk := s.tokens("a")
		time.Sleep(54 * time.Minute)
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(old), secretsOf(c))
		synctest.Wait()
		if n := s.sim.Counts().Refreshes; n != 0 {
			t.Error("renewed too early", n)
		}
		time.Sleep(2 * time.Minute)
		begun := time.Now()
		c, err = tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(old), secretsOf(c))
		if time.Since(begun) != 0 {
			t.Error("the caller had to wait")
		}
		time.Sleep(2 * time.Second)
		c, err = tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))
		if n := s.sim.Counts().Refreshes; n != 1 {
			t.Error(n)
		}
	})
}

func TestLead(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ life, policy, want time.Duration }{
		{time.Hour, 0, 5 * time.Minute}, {10 * time.Minute, 0, time.Minute}, {10 * 24 * time.Hour, 24 * time.Hour, 24 * time.Hour},
		{time.Minute, time.Hour, 30 * time.Second},
	} {
		diff(t, c.want, Lead(now, now.Add(c.life), provider.Policy{RefreshLead: c.policy}))
	}
	diff(t, 5*time.Minute, Lead(time.Time{}, now, provider.Policy{}))
}

func TestTroubleOfTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		old := s.signIn("a")
		tk := s.tokens("a")
		time.Sleep(59*time.Minute + 30*time.Second) // callers wait by now, but the token is still good
		s.sim.Trouble(simulator.TroubleServer)
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(old), secretsOf(c))
		time.Sleep(time.Minute)
		for _, trouble := range []simulator.OAuthTrouble{simulator.TroublePage, simulator.TroubleNoToken, simulator.TroubleError, simulator.TroubleServer, simulator.TroubleBusy} {
			s.sim.Trouble(trouble)
			_, err = tk.Token(t.Context(), "a")
			if k := apierror.KindOf(err); k != apierror.Upstream5xx && k != apierror.RateLimited {
				t.Error(trouble, err)
			}
			if _, again := tk.Token(t.Context(), "a"); again == nil || again.Error() != err.Error() {
				t.Error("asked again at once", again)
			}
			time.Sleep(10 * time.Minute)
		}
		diff(t, secretsOf(old), secretsOf(s.stored("a")))
		if s.refused["a"] != nil || s.writes != 0 {
			t.Error(s.refused, s.writes)
		}
		_, err = tk.Token(t.Context(), "a")
		check(t, err)
	})
}

func TestEndOfALogin(t *testing.T) {
	for trouble, words := range map[simulator.OAuthTrouble][]string{
		simulator.TroubleRevoked: {"no longer accepts this login", "sign in again"},
		simulator.TroubleForeign: {"another program's registration", "sign in again with Patchbay"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf(simulator.OAuthOptions{})
			old := s.signIn("a")
			time.Sleep(2 * time.Hour)
			tk := s.tokens("a")
			s.sim.Trouble(trouble)
			for range 3 {
				_, err := tk.Token(t.Context(), "a")
				says(t, err, apierror.AuthExpired, words...)
			}
			_, err := tk.Renew(t.Context(), "a", nil)
			says(t, err, apierror.AuthExpired)
			if n := s.sim.Counts(); n.Refreshes+n.Refused != 0 {
				t.Errorf("a login that is over was tried again: %+v", n)
			}
			diff(t, secretsOf(old), secretsOf(s.stored("a"))) // never deleted
			if s.refused["a"] == nil {
				t.Error("not told")
			}
			s.signIn("a")
			tk.Forget("a")
			_, err = tk.Token(t.Context(), "a")
			check(t, err)
		})
	}
}

func TestReusedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{Objects: true})
		old := s.signIn("a")
		_, refused := s.sim.RedeemRefresh(old.Refresh.Reveal()) // another program has a copy
		if refused != nil {
			t.Fatal(refused)
		}
		time.Sleep(2 * time.Hour)
		_, err := s.tokens("a").Token(t.Context(), "a")
		says(t, err, apierror.AuthExpired, "another program used this login", "sign in again")
	})
}

func TestAnotherProcessWasFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		one, two := s.tokens("1"), s.tokens("2")
		_, err := one.Token(t.Context(), "a")
		check(t, err)
		var u Use
		_, err = two.Token(Track(t.Context(), &u), "a")
		check(t, err)
		s.sim.ExpireAccess() // both hold a token that is refused now
		ok, err := two.Renew(t.Context(), "a", &u)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ok, err = two.Renew(t.Context(), "a", &u); !ok || err != nil { // a later caller with the old token
			t.Fatal(ok, err)
		}
		ok, err = one.Renew(t.Context(), "a", nil)
		if !ok || err != nil || s.sim.Counts().Refreshes != 1 {
			t.Error(ok, err, s.sim.Counts())
		}
		c, err := one.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))
	})
}

func TestDeadHolderOfTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		time.Sleep(2 * time.Hour)
		_, _, _ = leaseOf{s, "dead"}.Acquire(t.Context(), "refresh/a", leaseTime)
		begun := time.Now()
		_, err := s.tokens("b").Token(t.Context(), "a")
		check(t, err)
		if d := time.Since(begun); d < leaseTime || d > leaseTime+2*time.Second {
			t.Error(d)
		}
		// A living one keeps it: the lock is prolonged while the call takes long.
		s.slow(25 * time.Second)
		time.Sleep(2 * time.Hour)
		var wg sync.WaitGroup
		for _, owner := range []string{"x", "y"} {
			wg.Go(func() {
				if _, err := s.tokens(owner).Token(t.Context(), "a"); err != nil {
					t.Error(owner, err)
				}
			})
		}
		wg.Wait()
		if n := s.sim.Counts(); n.Refreshes != 2 || n.Reuses != 0 {
			t.Errorf("%+v", n)
		}
		s.slow(time.Hour)
		time.Sleep(2 * time.Hour)
		for _, owner := range []string{"x", "y"} {
			wg.Go(func() {
				_, err := s.tokens(owner).Token(t.Context(), "a")
				says(t, err, apierror.Timeout)
			})
		}
		wg.Wait()
	})
}

func TestTokenIsStoredBeforeItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		old := s.signIn("a")
		tk := s.tokens("a")
		disk := errors.New("disk full")
		s.fail = []error{disk, disk, disk, disk, disk, disk}
		time.Sleep(56 * time.Minute)
		_, err := tk.Renew(t.Context(), "a", nil)
		says(t, err, apierror.Internal, "cannot be stored", "doctor")
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(old), secretsOf(c)) // the new one is not given to anybody
		time.Sleep(10 * time.Minute)
		_, err = tk.Token(t.Context(), "a")
		says(t, err, apierror.Internal, "cannot be stored")
		_, err = tk.Token(t.Context(), "a")
		says(t, err, apierror.Internal, "cannot be stored")
		time.Sleep(10 * time.Minute)
		c, err = tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))
		if n := s.sim.Counts(); n.Refreshes != 1 || n.Refused != 0 {
			t.Errorf("%+v", n)
		}
	})
}

func TestSignedInOrRemovedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		s.slow(time.Second)
		tk := s.tokens("a")
		time.Sleep(2 * time.Hour)
		time.AfterFunc(time.Second/2, func() { s.signIn("a") })
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))
		time.Sleep(2 * time.Hour)
		time.AfterFunc(time.Second/2, func() { s.mu.Lock(); delete(s.rows, "a"); s.mu.Unlock() })
		_, err = tk.Token(t.Context(), "a")
		says(t, err, apierror.AuthExpired, "removed")
		if len(s.rows) != 0 {
			t.Error("a removed account came back")
		}
	})
}

// halfway renews the token, and then fails at the second step.
type halfway struct {
	driver
	err error
}

func (halfway) Exchange(context.Context, provider.Env, provider.Grant) (provider.Credential, error) {
	return provider.Credential{}, nil
}

func (h halfway) Refresh(ctx context.Context, env provider.Env, old provider.Credential) (provider.Credential, error) {
	c, err := Refresh(ctx, env, LoginOf(h.Info(), "browser"), old)
	if err == nil && h.err != nil {
		c.Access, err = secret.Value{}, h.err
	}
	return c, err
}

func TestHalfARenewalIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.driver = halfway{driver{s.driver.Info()}, apierror.New(apierror.Transport, "the second step failed")}
		old := s.signIn("a")
		old.Extra = map[string]string{"project": "p"}
		s.rows["a"] = old
		tk := s.tokens("a")
		time.Sleep(2 * time.Hour)
		_, err := tk.Token(t.Context(), "a")
		says(t, err, apierror.Transport, "second step")
		now := s.stored("a")
		if now.Refresh == old.Refresh || now.Access != old.Access || !s.sim.Works(now.Refresh.Reveal()) {
			t.Error("the new refresh token was lost")
		}
		s.driver = halfway{driver{s.driver.Info()}, nil}
		tk.Forget("a")
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, "p", c.Extra["project"])
		if s.sim.Counts().Reuses != 0 {
			t.Error("a spent token was used")
		}
	})
}

func TestBorrowedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		s.borrowed["a"] = true
		var file provider.Credential
		var readErr error
		tk := s.tokens("x")
		tk.needs.Reread = func(context.Context, string) (provider.Credential, error) { return file, readErr }
		_, err := tk.Token(t.Context(), "a")
		check(t, err)
		time.Sleep(59*time.Minute + 50*time.Second) // no lead: the owner renews when it likes
		_, err = tk.Token(t.Context(), "a")
		check(t, err)
		g, _ := s.sim.RedeemRefresh(s.stored("a").Refresh.Reveal())
		file = cred(g.Access, g.Refresh, time.Hour)
		time.Sleep(time.Minute)
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(file), secretsOf(c))
		if ok, err := tk.Renew(t.Context(), "a", nil); ok || err == nil {
			t.Error("nothing new, but no error")
		}
		if s.refused["a"] == nil {
			t.Fatal("not told")
		}
		says(t, s.refused["a"], apierror.AuthExpired, "belongs to the vendor's own program", "use that program once")
		if n := s.sim.Counts(); n.Refreshes != 1 || s.writes != 0 {
			t.Errorf("a borrowed login was renewed or written: %+v %d", n, s.writes)
		}

		s.policy.RefreshBorrowed = true // Google's way
		s.sim = simulator.NewOAuth(simulator.OAuthOptions{Client: "sim-client", Steady: true})
		s.http = &http.Client{Transport: direct{s.sim.Handler()}}
		s.signIn("g")
		s.borrowed["g"] = true
		readErr = errors.New("no file")
		time.Sleep(2 * time.Hour)
		for range 3 {
			c, err = tk.Token(t.Context(), "g")
			check(t, err)
		}
		if s.sim.Counts().Refreshes != 1 || s.writes != 0 || c.Access == s.stored("g").Access {
			t.Error(s.sim.Counts(), s.writes)
		}
		s.sim.Trouble(simulator.TroubleRevoked)
		_, err = tk.Renew(t.Context(), "g", nil)
		says(t, err, apierror.AuthExpired)
		if s.refused["g"] == nil {
			t.Error("not told")
		}
	})
}

func TestKeysAreLeftAlone(t *testing.T) {
	s := newShelf(simulator.OAuthOptions{})
	s.rows["k"] = provider.Credential{Access: secret.New("sk-1")}
	tk := s.tokens("x")
	c, err := tk.Token(t.Context(), "k")
	check(t, err)
	diff(t, "sk-1", c.Access.Reveal())
	if ok, err := tk.Renew(t.Context(), "k", nil); ok || err != nil {
		t.Error(ok, err)
	}
	s.rows["once"] = cred("at", "", -time.Hour)
	_, err = tk.Token(t.Context(), "once")
	says(t, err, apierror.AuthExpired, "sign in again")
	_, err = tk.Token(t.Context(), "gone")
	says(t, err, apierror.InvalidRequest)
}

func TestSigningInAgainBeatsARenewalUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		s.slow(2 * time.Second)
		tk := s.tokens("x")
		time.Sleep(2 * time.Hour)
		var wg sync.WaitGroup
		s.after = func() { // the renewed login is stored, and is replaced before anybody holds it
			s.signIn("a")
			tk.Forget("a")
		}
		wg.Go(func() { _, _ = tk.Token(t.Context(), "a") }) // whichever it gets was good when it asked
		wg.Wait()
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))

		tk.Forget("a")
		s.loaded = func() { // the old login is read, and is replaced before anybody holds it
			s.signIn("a")
			tk.Forget("a")
		}
		c, err = tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))
	})
}

func TestUnsavedTokenSurvivesAnEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		s.signIn("a")
		tk := s.tokens("x")
		disk := errors.New("disk full")
		s.fail = []error{disk, disk, disk}
		_, err := tk.Renew(t.Context(), "a", nil)
		says(t, err, apierror.Internal, "cannot be stored")
		tk.Changed("a") // the account got another name
		time.Sleep(2 * time.Hour)
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))
		if n := s.sim.Counts(); n.Reuses != 0 || !s.sim.Works(c.Refresh.Reveal()) {
			t.Errorf("%+v", n)
		}
		tk.Changed("a")
		c, err = tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))

		// Somebody who signs in again wants the new login and not the unsaved one.
		s.fail = []error{disk, disk, disk}
		s.slow(time.Second)
		time.AfterFunc(1100*time.Millisecond, func() { s.signIn("a"); tk.Forget("a") })
		_, err = tk.Renew(t.Context(), "a", nil)
		says(t, err, apierror.Internal)
		c, err = tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(s.stored("a")), secretsOf(c))
	})
}

func TestCallersDoNotWaitLongForALineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(simulator.OAuthOptions{})
		old := s.signIn("a")
		s.slow(time.Hour)
		tk := s.tokens("x")
		time.Sleep(59 * time.Minute)
		begun := time.Now()
		c, err := tk.Token(t.Context(), "a")
		check(t, err)
		diff(t, secretsOf(old), secretsOf(c))
		diff(t, patience, time.Since(begun))
		time.Sleep(2 * time.Minute)
		_, err = tk.Token(t.Context(), "a")
		if apierror.KindOf(err) != apierror.Timeout && apierror.KindOf(err) != apierror.Canceled {
			t.Error(err)
		}
	})
}
