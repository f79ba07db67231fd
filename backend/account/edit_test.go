package account

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

func TestAddedAccountIsThereAfterARestart(t *testing.T) {
	h := newHouse(t)
	h.driver.info.Fields = []provider.Field{{Key: "client_secret", Secret: true}, {Key: "region"}}
	keep := 10
	in := Account{
		Provider: "kiro", Name: " Ann's\n ", Priority: 3, Enabled: true, MaxConcurrent: 2, Proxy: "socks5://ann:canary1@proxy:1080",
		Tags: []string{"work", " Paid", "work"}, Reserve: &keep,
		Settings: map[string]string{"region": "eu", "client_secret": "canary2", "header.X-Api-Key": "canary3", "header.X-Title": "t"},
	}
	cred := provider.Credential{
		Access: secret.New("canary4"), Refresh: secret.New("canary5"), Secret: secret.New("canary6"),
		Expiry: time.UnixMilli(1_800_000_000_000), Extra: map[string]string{"project": "p"},
	}
	added, err := h.Add(t.Context(), in, cred)
	check(t, err)
	want := Account{
		ID: added.ID, Provider: "kiro", Name: "Ann's", Priority: 3, Enabled: true, MaxConcurrent: 2, Proxy: "socks5://***@proxy:1080", Owner: Ours,
		Settings: map[string]string{"region": "eu", "header.X-Title": "t"}, SecretSettings: []string{"client_secret", "header.X-Api-Key"}, Created: added.Created,
		Renews: true, Expires: cred.Expiry, Weight: 1, Tags: []string{"paid", "work"}, Reserve: &keep,
	}
	diff(t, want, added.Account)

	h.restart()
	env := h.must(Query{}).Upstream().(*fakeUpstream).env
	diff(t, map[string]string{"region": "eu", "header.X-Title": "t", "client_secret": "canary2", "header.X-Api-Key": "canary3", "base_url": "https://shared"}, env.Settings)
	diff(t, proxied("socks5://ann:canary1@proxy:1080"), env.HTTP.Transport.(proxied))
	diff(t, []string{"kiro", added.ID, "Ann's"}, []string{env.Provider, env.AccountID, env.Label})
	got, err := env.Token(t.Context())
	check(t, err)
	diff(t, []string{"canary4", "canary5", "canary6", "p"}, []string{got.Access.Reveal(), got.Refresh.Reveal(), got.Secret.Reveal(), got.Extra["project"]})
	if !got.Expiry.Equal(cred.Expiry) {
		t.Error(got.Expiry)
	}
	status, _ := h.Get(added.ID)
	want.Created = status.Created // milliseconds are kept
	diff(t, want, status.Account)
}

func TestNothingSecretInTheDatabase(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	_, err := h.Add(t.Context(), Account{Provider: "kiro", Proxy: "http://u:canary@h", Settings: map[string]string{"header.Authorization": "canary"}}, key("canary"))
	check(t, err)
	check(t, h.needs.Store.Batch(t.Context(), func(context.Context) error { return nil }))
	h.close()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "patchbay.db*"))
	check(t, err)
	if len(files) == 0 {
		t.Fatal("no database found")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		check(t, err)
		if strings.Contains(string(b), "canary") {
			t.Errorf("%s tells a secret", f)
		}
	}
}

func TestNamesAreMade(t *testing.T) {
	h := newHouse(t)
	for _, want := range []string{"Kiro", "Kiro 2", "Kiro 3"} {
		s, err := h.Add(t.Context(), Account{Provider: "kiro"}, key("k"))
		check(t, err)
		diff(t, want, s.Name)
	}
	diff(t, 100, len(cleanName(strings.Repeat("x", 200))))
}

func TestBadAccountsAreRefused(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		a    Account
		c    provider.Credential
		kind apierror.Kind
	}{
		"unknown provider": {Account{Provider: "nobody"}, key("k"), apierror.NotConfigured},
		"no key":           {Account{Provider: "kiro"}, provider.Credential{}, apierror.InvalidRequest},
		"bad proxy":        {Account{Provider: "kiro", Proxy: "proxy:1080"}, key("k"), apierror.InvalidRequest},
		"not UTF-8":        {Account{Provider: "kiro"}, key("canary\xff"), apierror.Internal},
	} {
		_, err := h.Add(t.Context(), c.a, c.c)
		if apierror.KindOf(err) != c.kind || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	diff(t, 0, len(h.List()))
	h.driver.info.NoKey = true
	_, err := h.Add(t.Context(), Account{Provider: "kiro", Enabled: true}, provider.Credential{})
	check(t, err)
	h.use(nil)
}

func TestUpdateKeepsWhatIsSealed(t *testing.T) {
	h := newHouse(t)
	s, err := h.Add(t.Context(), Account{
		Provider: "kiro", Name: "a", Enabled: true, Proxy: "http://u:p@h:1",
		Settings: map[string]string{"header.X-Key": "k1", "header.X-Token": "t1", "plain": "1"},
	}, key("k"))
	check(t, err)
	l := h.must(Query{})
	s, err = h.Update(t.Context(), s.ID, func(a *Account) {
		a.ID, a.Provider, a.Name, a.Priority, a.Proxy = "x", "y", "b", 5, strings.Replace(a.Proxy, "h:1", "h:2", 1)
		a.Settings = map[string]string{"header.X-Token": ""}
	})
	check(t, err)
	diff(t, []any{"kiro", "b", 5, []string{"header.X-Key"}}, []any{s.Provider, s.Name, s.Priority, s.SecretSettings})
	h.restart()
	env := h.must(Query{}).Upstream().(*fakeUpstream).env
	diff(t, map[string]string{"header.X-Key": "k1", "base_url": "https://shared", "region": "shared"}, env.Settings)
	diff(t, proxied("http://u:p@h:2"), env.HTTP.Transport.(proxied))
	l.Release(nil) // of the old one: no harm
	_, err = h.Update(t.Context(), s.ID, func(a *Account) { a.Proxy = "" })
	check(t, err)
	diff(t, proxied(""), h.must(Query{}).Upstream().(*fakeUpstream).env.HTTP.Transport.(proxied))
	_, err = h.Update(t.Context(), s.ID, func(a *Account) { a.Proxy = "nonsense" })
	diff(t, apierror.InvalidRequest, apierror.KindOf(err))
	_, err = h.Update(t.Context(), "none", func(*Account) {})
	diff(t, apierror.InvalidRequest, apierror.KindOf(err))
}

func TestChangedPriorityMovesTheAccount(t *testing.T) {
	h := newHouse(t)
	h.add("a", 1)
	h.add("b", 2)
	diff(t, "a", h.use(nil))
	_, err := h.Update(t.Context(), h.ids["a"], func(a *Account) { a.Priority = 3 })
	check(t, err)
	diff(t, "b", h.use(nil))
	diff(t, []string{"b", "a"}, []string{h.List()[0].Name, h.List()[1].Name})
}

func TestRemovedAccountIsGoneWithItsLogin(t *testing.T) {
	h := newHouse(t)
	id := h.add("a", 0)
	l := h.must(Query{})
	check(t, h.Remove(t.Context(), id))
	l.Release(apierror.New(apierror.AccountBlocked, "")) // its last call ends later
	check(t, h.Flush(t.Context()))
	if _, err := h.needs.Secrets.Get(t.Context(), refOf(id)); !errors.Is(err, secret.ErrNotFound) {
		t.Error(err)
	}
	if _, ok := h.Get(id); ok {
		t.Error("still there")
	}
	diff(t, apierror.InvalidRequest, apierror.KindOf(h.Remove(t.Context(), id)))
	h.restart()
	diff(t, 0, len(h.List()))
}

// lockedStore is a vault that cannot be opened.
type lockedStore struct{ err error }

func (s lockedStore) Get(context.Context, secret.Ref) (secret.Value, error) {
	return secret.Value{}, s.err
}
func (s lockedStore) Put(context.Context, secret.Ref, secret.Value) error { return s.err }
func (s lockedStore) Delete(context.Context, secret.Ref) error            { return nil }

func TestLockedVaultHarmsNoAccount(t *testing.T) {
	h := newHouse(t)
	id := h.add("a", 0)
	real := h.needs.Secrets
	h.needs.Secrets = lockedStore{secret.ErrLocked}
	h.restart()
	e := h.none(Query{})
	if e.Kind != apierror.NoAccount || !strings.Contains(e.Msg, "locked") || !errors.Is(e, secret.ErrLocked) {
		t.Error(e)
	}
	diff(t, []any{Ready, 0}, []any{h.status("a").State, h.status("a").InFlight})
	check(t, h.SetEnabled(t.Context(), id, false)) // needs no secret
	_, err := h.Update(t.Context(), id, func(a *Account) { a.Name, a.Enabled = "b", true })
	check(t, err)
	if err := h.SetCredential(t.Context(), id, key("new")); !errors.Is(err, secret.ErrLocked) {
		t.Error(err)
	}
	h.needs.Secrets = real
	h.restart()
	diff(t, "b", h.use(nil))
}

func TestLostLoginAsksForANewOne(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	h.needs.Secrets = lockedStore{secret.ErrLost}
	h.restart()
	h.none(Query{})
	diff(t, NeedsLogin, h.status("a").State)
	h.needs.Secrets = lockedStore{errors.New("disk")}
	check(t, h.Clear(h.ids["a"], ""))
	h.restart()
	diff(t, apierror.Internal, h.none(Query{}).Kind)
}

func TestDamagedLoginTellsNothing(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	check(t, h.needs.Secrets.Put(t.Context(), refOf(h.ids["a"]), secret.New(`{"access": canary`)))
	h.restart()
	if e := h.none(Query{}); strings.Contains(e.Error(), "canary") {
		t.Error(e)
	}
	diff(t, NeedsLogin, h.status("a").State)
}

func TestVanishedProviderIsShown(t *testing.T) {
	h := newHouse(t)
	h.add("a", 0)
	h.needs.Driver = func(string) (provider.Driver, map[string]string, error) { return nil, nil, errUnknown }
	h.restart()
	if e := h.none(Query{}); !strings.Contains(e.Msg, "a: its provider is not available: no such provider") {
		t.Error(e.Msg)
	}
	diff(t, 0, len(h.Models(t.Context(), "kiro")))
}

func TestModelsAreCollectedAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.driver.info.Models = []canon.Model{{ID: "builtin"}}
		var mu sync.Mutex // guards asked: accounts are asked side by side
		asked := 0
		lists := map[string][]canon.Model{}
		var fail error
		h.driver.models = func(_ context.Context, account string) ([]canon.Model, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return lists[account], fail
		}
		ids := func() (out string) {
			for _, m := range h.Models(t.Context(), "kiro") {
				out += m.ID + " "
			}
			return out
		}
		diff(t, "builtin ", ids())
		lists[h.add("second", 2)] = []canon.Model{{ID: "x"}, {ID: "y"}}
		diff(t, "x y ", ids())
		lists[h.add("first", 1)] = []canon.Model{{ID: "y"}, {ID: "z"}}
		diff(t, "y z x ", ids())
		diff(t, 2, asked)

		fail = errors.New("the service answered 500")
		time.Sleep(listFresh - time.Second)
		diff(t, "y z x ", ids())
		diff(t, 2, asked)
		time.Sleep(time.Second)
		for range 2 {
			diff(t, "y z x ", ids()) // the last good ones
		}
		diff(t, 4, asked)
		diff(t, Ready, h.status("first").State)

		h.Reopen("kiro") // the settings of something else have changed
		diff(t, "y z x ", ids())
		diff(t, 4, asked)
		base := h.needs.Driver
		h.Pools.needs.Driver = func(id string) (provider.Driver, map[string]string, error) {
			d, _, err := base(id)
			return d, map[string]string{"base_url": "https://elsewhere"}, err
		}
		h.Reopen("kiro")
		diff(t, "builtin ", ids()) // another service: the old list says nothing of it
		fail = nil
		time.Sleep(listRetry)
		diff(t, "y z x ", ids())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		diff(t, 3, len(h.Models(ctx, "kiro"))) // at hand, or built in: never an error
	})
}

func TestModelListsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		asked := 0
		var fail error
		h.driver.models = func(context.Context, string) ([]canon.Model, error) {
			asked++
			return []canon.Model{{ID: "x", Context: int64(asked), Tools: canon.Yes, Efforts: []string{"low"}}}, fail
		}
		h.add("a", 0)
		h.Models(t.Context(), "kiro")
		h.restart()
		time.Sleep(listFresh - time.Second)
		diff(t, []canon.Model{{ID: "x", Context: 1, Tools: canon.Yes, Efforts: []string{"low"}}}, h.Models(t.Context(), "kiro"))
		diff(t, 1, asked)

		h.RefreshModels("kiro")
		diff(t, int64(2), h.Models(t.Context(), "kiro")[0].Context)
		h.RefreshModels("")
		fail = errors.New("down")
		diff(t, []canon.Model{{ID: "x", Context: 2, Tools: canon.Yes, Efforts: []string{"low"}, Stale: true}}, h.Models(t.Context(), "kiro"))
		diff(t, 3, asked)
		diff(t, Ready, h.status("a").State)
		h.restart() // what was marked was a copy
		diff(t, false, h.Models(t.Context(), "kiro")[0].Stale)

		h.driver.info.Static, h.driver.info.Models = true, []canon.Model{{ID: "fixed"}}
		h.RefreshModels("")
		diff(t, []canon.Model{{ID: "fixed"}}, h.Models(t.Context(), "kiro"))
		diff(t, 3, asked)
	})
}

func TestAccountIsTested(t *testing.T) {
	h := newHouse(t)
	var fail error
	var models []canon.Model
	h.driver.models = func(context.Context, string) ([]canon.Model, error) { return models, fail }
	id := h.add("a", 0)
	got, err := h.Pools.Test(t.Context(), id)
	if err != nil || got.Note == "" {
		t.Errorf("no list: %v %v", got, err)
	}
	models = []canon.Model{{ID: "x"}}
	got, err = h.Pools.Test(t.Context(), id)
	diff(t, provider.Tested{Models: 1}, got)
	check(t, err)
	fail = apierror.New(apierror.AuthExpired, "the key is refused")
	if _, err = h.Pools.Test(t.Context(), id); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	diff(t, Ready, h.status("a").State) // a test harms nothing
	if _, err = h.Pools.Test(t.Context(), "gone"); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Error(err)
	}
	h.driver.fail = errors.New("no")
	h.Reopen("kiro")
	if _, err = h.Pools.Test(t.Context(), id); !strings.Contains(apierror.From(err).Msg, "cannot be opened") {
		t.Error(err)
	}
}

func TestSilentListEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.close()
		h.driver.info.Models = []canon.Model{{ID: "builtin"}}
		h.driver.models = func(ctx context.Context, _ string) ([]canon.Model, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		h.add("a", 0)
		begin := time.Now()
		diff(t, 1, len(h.Models(t.Context(), "kiro")))
		diff(t, listTimeout, time.Since(begin))
	})
}
