package transfer

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

func TestMain(m *testing.M) {
	workFactor = 10 // the real one takes half a second and 128 MiB each time
	os.Exit(m.Run())
}

var passphrase = secret.New("correct horse battery")

type driver struct{ info provider.Info }

func (d driver) Info() provider.Info { return d.info }

func (driver) Open(provider.Env) (provider.Upstream, error) { return nil, errors.New("not asked for") }

// computer is one installation.
type computer struct {
	Owners
	db   *store.DB
	file string
}

func newComputer(t *testing.T, settings string) *computer {
	t.Helper()
	dir := t.TempDir()
	c := &computer{file: filepath.Join(dir, "config.yaml")}
	check(t, os.WriteFile(c.file, []byte(settings), 0o600))
	db, _, err := store.Open(t.Context(), filepath.Join(dir, "patchbay.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	c.db, c.Version = db, "1.2.3"
	c.Settings, err = config.Load(config.Options{Path: c.file, Env: []string{}, Builtin: []string{"kiro"}})
	check(t, err)
	c.Keys, err = clientkey.Open(t.Context(), db)
	check(t, err)
	c.open(t, strings.Repeat("k", 32))
	return c
}

// open opens the accounts with that vault key.
func (c *computer) open(t *testing.T, key string) {
	t.Helper()
	vault := secret.NewVault(c.db, secret.EnvKey{Text: secret.New(base64.StdEncoding.EncodeToString([]byte(key)))})
	pools, err := account.New(t.Context(), account.Needs{
		Store: c.db, Secrets: vault, Bus: &events.Bus{}, HTTP: func(string, string) *http.Client { return nil },
		Driver: func(id string) (provider.Driver, map[string]string, error) {
			if _, own := c.Settings.Current().Providers[id]; !own && id != "kiro" {
				return nil, nil, fmt.Errorf("there is no provider %q", id)
			}
			return driver{provider.Info{ID: id, Name: id, NoKey: id == "home", Fields: []provider.Field{{Key: "pin", Secret: true}}}}, nil, nil
		},
	})
	check(t, err)
	t.Cleanup(pools.Close)
	c.Accounts = pools
}

const settings = `default_provider: home
server:
  listen: 127.0.0.1:9999
providers:
  home:
    kind: openai
    base_url: http://10.0.0.1/v1
    models: [one, "two: three"]
routing:
  aliases:
    gpt-4.1: home/one
  chains:
    kiro: [home]
record:
  retention:
    days: 3
`

// full is a computer with one of everything.
func full(t *testing.T) (c *computer, key secret.Value) {
	keep := 20
	c = newComputer(t, settings)
	for _, a := range []struct {
		account.Account
		provider.Credential
	}{
		{account.Account{Provider: "kiro", Name: "by key", Priority: 2, Tags: []string{"paid"}, Weight: 4, Reserve: &keep, Enabled: true, Proxy: "http://u:canary-proxy@h:1"}, provider.Credential{Access: secret.New("canary-key")}},
		{account.Account{Provider: "kiro", Name: "signed in", Priority: 1, Login: "social", Settings: map[string]string{"pin": "canary-pin", "region": "eu"}}, provider.Credential{
			Access: secret.New("canary-access"), Refresh: secret.New("canary-refresh"), Secret: secret.New("canary-secret"),
			Issued: time.UnixMilli(1_800_000_000_000), Expiry: time.UnixMilli(1_800_000_100_000), Extra: map[string]string{provider.ExtraEmail: "me@example.com", "n": "1"},
		}},
		{account.Account{Provider: "home", Name: "no key", Enabled: true, MaxConcurrent: 3}, provider.Credential{}},
	} {
		_, err := c.Accounts.Add(t.Context(), a.Account, a.Credential)
		check(t, err)
	}
	_, key, err := c.Keys.Add(t.Context(), "cline", secret.Value{}, clientkey.Limits{Models: []string{"gpt-*"}, Expires: time.UnixMilli(4_000_000_000_000)})
	check(t, err)
	old, _, err := c.Keys.Add(t.Context(), "old", secret.Value{}, clientkey.Limits{})
	check(t, err)
	check(t, c.Keys.Revoke(t.Context(), old.ID))
	return c, key
}

func (c *computer) export(t *testing.T) ([]byte, Report) {
	t.Helper()
	data, r, err := Export(t.Context(), c.Owners, passphrase)
	check(t, err)
	return data, r
}

func (c *computer) restore(t *testing.T, data []byte, replace bool) Report {
	t.Helper()
	r, err := Restore(t.Context(), c.Owners, data, passphrase, replace)
	check(t, err)
	return r
}

// carried is everything about the accounts, secrets too.
func (c *computer) carried(t *testing.T) []account.Carried {
	t.Helper()
	all, _, err := c.Accounts.Carry(t.Context())
	check(t, err)
	return all
}

var plain = cmp.Transformer("reveal", func(v secret.Value) string { return v.Reveal() })

func TestEverythingArrivesOnAnotherComputer(t *testing.T) {
	from, key := full(t)
	data, made := from.export(t)
	want := []Item{
		{KindAccount, "home/no key", ""}, {KindAccount, "kiro/signed in", renewsNote}, {KindAccount, "kiro/by key", ""}, {KindKey, "cline", ""},
		{KindSetting, "default_provider", ""}, {KindSetting, "providers.home.base_url", ""}, {KindSetting, "providers.home.kind", ""},
		{KindSetting, "providers.home.models", ""}, {KindSetting, "record.retention.days", ""}, {KindSetting, "routing.aliases.gpt-4.1", ""}, {KindSetting, "routing.chains.kiro", ""},
	}
	diff(t, want, made.Taken)
	diff(t, []Item{{KindSetting, "server.listen", "it is about this computer"}}, made.Skipped)

	to := newComputer(t, "# mine\nserver:\n  listen: 127.0.0.1:1111\n")
	r := to.restore(t, data, false)
	if len(r.Skipped) > 0 || r.Program != "1.2.3" || !r.Made.Equal(made.Made) {
		t.Errorf("%+v", r)
	}
	diff(t, from.carried(t), to.carried(t))
	got, ok := to.Keys.Check(key.Reveal())
	if !ok || got.Name != "cline" || !slices.Equal(got.Limits.Models, []string{"gpt-*"}) || got.Limits.Expires.UnixMilli() != 4_000_000_000_000 {
		t.Errorf("%+v", got)
	}
	diff(t, 1, len(to.Keys.List()))
	cfg := to.Settings.Current()
	if cfg.DefaultProvider != "home" || cfg.Server.Listen != "127.0.0.1:1111" || cfg.Routing.Aliases["gpt-4.1"] != "home/one" || cfg.Record.Retention.Days != 3 ||
		!slices.Equal(cfg.Providers["home"].Models, []string{"one", "two: three"}) {
		t.Errorf("%+v", cfg)
	}
	text, err := os.ReadFile(to.file)
	check(t, err)
	if !strings.HasPrefix(string(text), "# mine\n") {
		t.Error(string(text))
	}

	before := to.carried(t)
	again := to.restore(t, data, false) // nothing comes twice
	diff(t, 0, len(again.Taken))
	diff(t, []Item{
		{KindSetting, "providers.home", "it is the same here"}, {KindSetting, "default_provider", "it is the same here"}, {KindSetting, "record.retention.days", "it is the same here"},
		{KindSetting, "routing.aliases.gpt-4.1", "it is the same here"}, {KindSetting, "routing.chains.kiro", "it is the same here"},
		{KindAccount, "home/no key", "it is there already, as no key"}, {KindAccount, "kiro/signed in", "it is there already, as signed in"},
		{KindAccount, "kiro/by key", "it is there already, as by key"}, {KindKey, "cline", "it is there already"},
	}, again.Skipped)
	diff(t, before, to.carried(t))
}

func TestWhatIsHereStaysUnlessReplaced(t *testing.T) {
	from, _ := full(t)
	data, _ := from.export(t)
	to := newComputer(t, "default_provider: kiro\nproviders:\n  home:\n    kind: openai\n    base_url: http://other/v1\n")
	to.restore(t, data, false)
	if to.Settings.Current().DefaultProvider != "kiro" || to.Settings.Current().Providers["home"].BaseURL != "http://other/v1" {
		t.Error("a choice was overwritten")
	}
	// The person changes things here; the login is renewed.
	for _, a := range to.Accounts.List() {
		_, err := to.Accounts.Update(t.Context(), a.ID, func(a *account.Account) { a.Name += " (changed)" })
		check(t, err)
		switch a.Name {
		case "by key":
			check(t, to.Accounts.SetCredential(t.Context(), a.ID, provider.Credential{Access: secret.New("another-key")}))
		case "signed in":
			check(t, to.Accounts.SetCredential(t.Context(), a.ID, provider.Credential{
				Access: secret.New("a2"), Refresh: secret.New("r2"), Issued: time.UnixMilli(1_800_000_050_000),
			}))
		}
	}
	r := to.restore(t, data, true)
	if !slices.Contains(r.Skipped, Item{KindAccount, "kiro/signed in", "its login here is newer"}) {
		t.Errorf("an old copy went over a login that was renewed: %+v", r)
	}
	for _, c := range to.carried(t) {
		text := c.Secret.Reveal()
		switch {
		case c.Provider == "home" && c.Name != "no key", c.Name == "by key" && !strings.Contains(text, "canary-key"):
			t.Errorf("%+v was not replaced", c)
		case strings.HasPrefix(c.Name, "signed in") && !strings.Contains(text, `"r2"`):
			t.Error("the renewed login is lost")
		}
	}
	if to.Settings.Current().DefaultProvider != "home" {
		t.Error("the setting was not replaced")
	}
}

func TestTheSameLoginComesOnce(t *testing.T) {
	from, _ := full(t)
	data, _ := from.export(t)
	to := newComputer(t, "")
	_, err := to.Accounts.Add(t.Context(), account.Account{Provider: "kiro", Name: "mine", Enabled: true}, provider.Credential{Access: secret.New("canary-key")})
	check(t, err)
	_, err = to.Accounts.Add(t.Context(), account.Account{Provider: "kiro", Name: "me"}, provider.Credential{
		Access: secret.New("x"), Refresh: secret.New("y"), Extra: map[string]string{provider.ExtraEmail: "me@example.com"},
	})
	check(t, err)
	r := to.restore(t, data, true)
	for _, want := range []Item{{KindAccount, "kiro/by key", "it is there already, as mine"}, {KindAccount, "kiro/signed in", "it is there already, as me"}} {
		if !slices.Contains(r.Skipped, want) {
			t.Errorf("%+v is missing in %+v", want, r.Skipped)
		}
	}
}

func TestNothingCanBeReadOfTheFile(t *testing.T) {
	from, key := full(t)
	data, _ := from.export(t)
	if !IsExport(data) || IsExport(data[:5]) {
		t.Error("it is not known as an export")
	}
	for _, canary := range []string{"canary", "me@example.com", "signed in", "10.0.0.1", key.Reveal(), passphrase.Reveal(), "patchbay"} {
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%q stands in the file", canary)
		}
	}
	other, _ := from.export(t)
	if bytes.Equal(data, other) {
		t.Error("two exports are the same")
	}
}

func TestFilesThatDoNotOpen(t *testing.T) {
	from, _ := full(t)
	data, _ := from.export(t)
	to := newComputer(t, "")
	flipped := bytes.Clone(data)
	flipped[len(data)-20] ^= 1
	for name, c := range map[string]struct {
		data        []byte
		pass        string
		param, text string
	}{
		"wrong passphrase": {data, "wrong horse battery", "passphrase", "does not open this file"},
		"no passphrase":    {data, "", "passphrase", "its passphrase is needed"},
		"not encrypted":    {[]byte(`{"canary":1}`), passphrase.Reveal(), "data", "no export"},
		"empty":            {nil, passphrase.Reveal(), "data", "no export"},
		"head only":        {data[:40], passphrase.Reveal(), "data", "cut off or damaged"},
		"cut off":          {data[:len(data)-30], passphrase.Reveal(), "data", "cut off or damaged"},
		"flipped bit":      {flipped, passphrase.Reveal(), "data", "cut off or damaged"},
		"something else":   {sealed(t, `{"canary":1}`, 10), passphrase.Reveal(), "data", "no export"},
		"no JSON":          {sealed(t, `canary`, 10), passphrase.Reveal(), "data", "no export"},
		"newer":            {sealed(t, `{"format":"patchbay-export","version":2,"program":"9.9"}`, 10), passphrase.Reveal(), "data", "newer version of Patchbay (9.9)"},
		"costly":           {costly(t), passphrase.Reveal(), "data", "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Restore(t.Context(), to.Owners, c.data, secret.New(c.pass), true)
			e := apierror.From(err)
			if err == nil || e.Kind != apierror.InvalidRequest || e.Param != c.param || !strings.Contains(e.Msg, c.text) {
				t.Errorf("%v (%s)", err, e.Param)
			}
			if text := fmt.Sprintf("%v %v", err, e.Err); strings.Contains(text, "canary") || c.pass != "" && strings.Contains(text, c.pass) {
				t.Error("the error tells:", text)
			}
		})
	}
	if n := len(to.Accounts.List()) + len(to.Keys.List()); n > 0 {
		t.Error("something was taken from a file that does not open")
	}
	for i := range 40 { // a cut anywhere is an error and no panic
		if _, err := decrypt(data[:len(data)*i/40], passphrase); err == nil {
			t.Errorf("%d of 40 parts opened", i)
		}
	}
}

// sealed encrypts a text of the test's own.
func sealed(t *testing.T, text string, factor int) []byte {
	t.Helper()
	to, err := age.NewScryptRecipient(passphrase.Reveal())
	check(t, err)
	to.SetWorkFactor(factor)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	check(t, err)
	_, err = w.Write([]byte(text))
	check(t, errors.Join(err, w.Close()))
	return out.Bytes()
}

// costly is a file that asks for 2^22 rounds: four gigabytes.
func costly(t *testing.T) []byte {
	t.Helper()
	return bytes.Replace(sealed(t, "{}", 10), []byte(" 10\n"), []byte(" 22\n"), 1)
}

func TestWhatCannotBeTakenIsTold(t *testing.T) {
	doc := bundle{
		Format: format, Version: version,
		Accounts: []accountDoc{
			{ID: "a", Provider: "nobody", Name: "x", Secret: jsontext.Value(`{"access":"canary"}`)},
			{ID: "b", Provider: "kiro", Name: "damaged", Secret: jsontext.Value(`["canary"]`)},
			{ID: "c", Provider: "kiro", Name: "good", Enabled: true, Secret: jsontext.Value(`{"access":"k","unknown":{"x":[1.50]}}`)},
		},
		Keys:     []keyDoc{{ID: "k", Name: "bad hash", SHA256: "zz"}, {ID: "k", Name: "good", SHA256: strings.Repeat("ab", 32)}, {ID: "k", Name: "same id", SHA256: strings.Repeat("cd", 32)}},
		Settings: map[string]string{"server.lan": "true", "no.such": "1", "record.retention.days": "many", "default_provider": "nobody", "log.level": "debug"},
	}
	text, err := json.Marshal(doc)
	check(t, err)
	to := newComputer(t, "")
	r := to.restore(t, sealed(t, string(text), 10), false)
	diff(t, []Item{{KindAccount, "kiro/good", ""}, {KindKey, "good", ""}, {KindKey, "same id", ""}}, r.Taken)
	why := map[string]string{}
	for _, it := range r.Skipped {
		why[it.Name] = it.Why
	}
	for name, text := range map[string]string{
		"nobody/x": "no provider", "kiro/damaged": "its login is damaged", "bad hash": "hash is damaged", "server.lan": "about the other computer", "log.level": "about the other computer",
		"no.such": "no.such", "record.retention.days": "many", "default_provider": "nobody",
	} {
		if !strings.Contains(why[name], text) || strings.Contains(why[name], "canary") {
			t.Errorf("%s: %q, want %q", name, why[name], text)
		}
	}
	if to.Settings.Current().Server.LAN {
		t.Error("an export opened this computer to the network")
	}
	if got := to.carried(t)[0].Secret.Reveal(); got != `{"access":"k","unknown":{"x":[1.50]}}` {
		t.Error("the login was changed:", got)
	}
}

func TestVaultThatDoesNotOpen(t *testing.T) {
	from, _ := full(t)
	data, _ := from.export(t)
	from.open(t, strings.Repeat("x", 32)) // another key: lost
	_, r, err := Export(t.Context(), from.Owners, passphrase)
	check(t, err)
	if want := (Item{KindAccount, "kiro/by key", "its login cannot be opened any more"}); !slices.Contains(r.Skipped, want) {
		t.Errorf("%+v", r)
	}
	if _, err := Restore(t.Context(), from.Owners, data, passphrase, true); !errors.Is(err, secret.ErrLost) {
		t.Error(err)
	}
	from.open(t, "short") // locked
	if _, _, err := Export(t.Context(), from.Owners, passphrase); !errors.Is(err, secret.ErrLocked) {
		t.Error(err)
	}
	if _, err := Restore(t.Context(), from.Owners, data, passphrase, true); !errors.Is(err, secret.ErrLocked) {
		t.Error(err)
	}
}

func TestBorrowedLoginsStay(t *testing.T) {
	from := newComputer(t, "")
	_, err := from.Accounts.Add(t.Context(), account.Account{Provider: "kiro", Name: "theirs", Owner: account.CLI}, provider.Credential{Access: secret.New("k")})
	check(t, err)
	_, r := from.export(t)
	if len(r.Taken) > 0 || len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0].Why, "borrowed") {
		t.Errorf("%+v", r)
	}
}

func TestWeakPassphrasesAreRefused(t *testing.T) {
	from := newComputer(t, "")
	for _, p := range []string{"", "short", "ééééééééé"} {
		if _, _, err := Export(t.Context(), from.Owners, secret.New(p)); apierror.From(err).Param != "passphrase" {
			t.Error(err)
		}
	}
}

func TestFailureOfTheDatabaseIsAnError(t *testing.T) {
	from, _ := full(t)
	data, _ := from.export(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Export(ctx, from.Owners, passphrase); err == nil {
		t.Error("an export without its rows")
	}
	if _, err := Restore(ctx, from.Owners, data, passphrase, true); err == nil {
		t.Error("a restore that wrote nothing")
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, plain); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
