package backend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/config"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// signInDriver is a provider that people sign in to.
type signInDriver struct{ info provider.Info }

func (d signInDriver) Info() provider.Info { return d.info }

func (d signInDriver) Open(env provider.Env) (provider.Upstream, error) {
	return signInUpstream{env}, nil
}

type signInUpstream struct{ env provider.Env }

func (signInUpstream) Stream(context.Context, *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		yield(canon.Event{}, apierror.New(apierror.Unsupported, "it only signs in"))
	}
}

func (u signInUpstream) Models(ctx context.Context) ([]canon.Model, error) {
	_, err := u.env.Token(ctx)
	return nil, err
}

// signInTest opens a Backend with a provider "sim" that is off and has a label, and the server behind it.
func signInTest(t *testing.T, env ...string) (*Backend, *simulator.OAuth) {
	t.Helper()
	sim := simulator.NewOAuth(simulator.OAuthOptions{Client: "sim-client", IDTokens: true, AccessPrefix: "CANARY-at-", RefreshPrefix: "CANARY-rt-"})
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	before := providers
	t.Cleanup(func() { providers = before })
	providers = append(slices.Clone(providers), signInDriver{provider.Info{
		ID: "sim", Name: "Sim", Off: true, Status: provider.StatusActive, Risk: &provider.Risk{Level: "high", Text: "Its terms forbid it.", Since: "2026-11-01"},
		Logins: []provider.Login{
			{Kind: provider.LoginBrowser, Label: "Sign in", AuthURL: srv.URL + "/authorize", TokenURL: srv.URL + "/token", Client: "sim-client", PKCE: true,
				CallbackPath: "/cb", Fields: []provider.Field{{Key: "region", Label: "Region", Default: "eu", Options: []string{"eu", "us"}}}},
			{Kind: provider.LoginDevice, DeviceURL: srv.URL + "/device/code", TokenURL: srv.URL + "/token", Client: "sim-client"},
		},
	}})
	return openTest(t, "# mine\n", func(o *Options) { o.Env = append(o.Env, env...) }), sim
}

// over waits for the end of a sign-in.
func over(t *testing.T, svc api.Service, v api.LoginView) api.LoginView {
	t.Helper()
	for !v.Over() {
		v = ok(svc.Login(t.Context(), v.ID, v.Seq))(t)
	}
	return v
}

func clickAs(t *testing.T, v api.LoginView, user string) *url.URL {
	t.Helper()
	at, _, err := simulator.Click(t.Context(), http.DefaultClient, v.URL, user)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestSignInTurnsTheProviderOn(t *testing.T) {
	b, _ := signInTest(t)
	ctx := t.Context()
	_, err := b.StartLogin(ctx, api.NewLogin{Provider: "sim"})
	refused(t, err, apierror.InvalidRequest, "accept_risk", "Sim (2026-11-01): Its terms forbid it. Confirm")
	_, err = b.AddAccount(ctx, api.NewAccount{Provider: "sim", Key: secret.New("sk")})
	refused(t, err, apierror.InvalidRequest, "accept_risk", "forbid")
	_, err = b.StartLogin(ctx, api.NewLogin{Provider: "nope"})
	refused(t, err, apierror.InvalidRequest, "provider", "no provider")
	_, err = b.StartLogin(ctx, api.NewLogin{Account: "nope"})
	refused(t, err, apierror.InvalidRequest, "account", "no account")
	_, err = b.StartLogin(ctx, api.NewLogin{Provider: "sim", AcceptRisk: true, Fields: map[string]string{"region": "mars"}})
	refused(t, err, apierror.InvalidRequest, "fields.region", "one of: eu, us")

	v := ok(b.StartLogin(ctx, api.NewLogin{Provider: "sim", AcceptRisk: true}))(t)
	clickAs(t, v, "ann@example.test")
	v = over(t, b, v)
	if v.State != "done" || v.Text != "The account ann@example.test is ready." {
		t.Fatal(v)
	}
	a := ok(b.Accounts(ctx))(t)[0]
	if a.ID != v.Account || a.Login != "browser" || !a.Renews || a.Expires.IsZero() || a.Settings["region"] != "eu" || a.Next != nil || a.Owner != "ours" {
		t.Error(a)
	}
	text, err := os.ReadFile(b.o.Paths.Config)
	if err != nil || !strings.Contains(string(text), "enabled: true") || !strings.Contains(string(text), "# mine") {
		t.Error(string(text), err)
	}
	// The label was read: the second account needs no confirmation.
	v = ok(b.StartLogin(ctx, api.NewLogin{Provider: "sim", Name: "b"}))(t)
	clickAs(t, v, "bob@example.test")
	if v = over(t, b, v); v.Label != "b" {
		t.Error(v)
	}
	// Signing in again as somebody else is told.
	v = ok(b.StartLogin(ctx, api.NewLogin{Account: a.ID}))(t)
	clickAs(t, v, "bob@example.test")
	if v = over(t, b, v); !strings.Contains(v.Text, "another account than ann@example.test") || !strings.Contains(v.Text, "still needs its own sign-in") {
		t.Error(v.Text)
	}
	v = ok(b.StartLogin(ctx, api.NewLogin{Account: a.ID}))(t)
	clickAs(t, v, "ann@example.test")
	if v = over(t, b, v); v.Account != a.ID || !strings.Contains(v.Text, "signed in again") {
		t.Error(v)
	}
	if n := len(ok(b.Accounts(ctx))(t)); n != 2 {
		t.Error(n)
	}
	if n := len(ok(b.Logins(ctx))(t)); n != 4 {
		t.Error(n)
	}
	p := ok(b.Providers(ctx))(t)
	i := slices.IndexFunc(p, func(p api.ProviderView) bool { return p.ID == "sim" })
	if p := p[i]; !p.Enabled || len(p.Logins) != 2 || p.Logins[0].Fields[0].Key != "region" || p.Logins[1].ID != "device" {
		t.Error(p)
	}
}

func TestProviderThatAPersonTurnedOff(t *testing.T) {
	b, _ := signInTest(t)
	off := false
	err := b.settings.Update(func(c *config.Config) error {
		c.Providers = map[string]config.Provider{"openai": {Enabled: &off}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-1"), AcceptRisk: true})
	refused(t, err, apierror.InvalidRequest, "provider", "set providers.openai.enabled to true")
}

func TestNobodySignsInWhileTheVaultIsLocked(t *testing.T) {
	b, sim := signInTest(t, "PATCHBAY_VAULT_KEY=no key")
	_, err := b.StartLogin(t.Context(), api.NewLogin{Provider: "sim", AcceptRisk: true})
	refused(t, err, apierror.Internal, "", "the secrets are locked")
	if len(ok(b.Logins(t.Context()))(t)) != 0 || sim.Counts().Exchanges != 0 {
		t.Error("a sign-in began")
	}
}

func TestSignInOverHTTP(t *testing.T) {
	b, sim := signInTest(t)
	srv := httptest.NewServer(api.Handler(b, api.Options{Token: func() string { return "token" }}))
	defer srv.Close()
	c := api.NewClient(srv.URL, secret.New("token"))
	v := ok(c.StartLogin(t.Context(), api.NewLogin{Provider: "sim", AcceptRisk: true, Mode: "paste"}))(t)
	_, err := c.PasteLogin(t.Context(), v.ID, secret.New("two words"))
	refused(t, err, apierror.InvalidRequest, "text", "does not look like a code")
	u, _ := url.Parse(v.URL)
	code, _ := sim.NewCode("ann@example.test", u.Query().Get("redirect_uri"), u.Query().Get("code_challenge"))
	ok(c.PasteLogin(t.Context(), v.ID, secret.New(code)))(t)
	if v = over(t, c, v); v.State != "done" {
		t.Error(v)
	}
	v = ok(c.StartLogin(t.Context(), api.NewLogin{Provider: "sim", Mode: "device"}))(t)
	if v.UserCode == "" || v.VerifyURL == "" {
		t.Error(v)
	}
	if err := c.CancelLogin(t.Context(), v.ID); err != nil {
		t.Error(err)
	}
	if v = over(t, c, v); v.State != "canceled" || !strings.Contains(v.Text, "canceled") {
		t.Error(v)
	}
	refused(t, c.CancelLogin(t.Context(), "gone"), apierror.RouteNotFound, "", "start it again")
	_, err = c.StartLogin(t.Context(), api.NewLogin{})
	refused(t, err, apierror.InvalidRequest, "provider", "name the provider")
	_, err = c.StartLogin(t.Context(), api.NewLogin{Provider: "sim", Mode: "magic"})
	refused(t, err, apierror.InvalidRequest, "mode", "browser, paste or device")
	if n := len(ok(c.Logins(t.Context()))(t)); n != 2 {
		t.Error(n)
	}
}

func TestLoginThatEndsSaysWhatToDo(t *testing.T) {
	b, sim := signInTest(t)
	ctx := t.Context()
	v := ok(b.StartLogin(ctx, api.NewLogin{Provider: "sim", AcceptRisk: true}))(t)
	clickAs(t, v, "ann@example.test")
	id := over(t, b, v).Account
	a := ok(b.RenewAccount(ctx, id))(t)
	if sim.Counts().Refreshes != 1 {
		t.Error(a, sim.Counts())
	}
	sim.RevokeAll()
	_, err := b.RenewAccount(ctx, id)
	refused(t, err, apierror.AuthExpired, "", "sign in again")
	a = ok(b.Accounts(ctx))(t)[0]
	if a.State != "needs_login" || a.Next == nil || a.Next.Command != "patchbay login sim --account "+id {
		t.Error(a)
	}
	for state, word := range map[account.State]string{account.NeedsAction: "confirm", account.Blocked: "shut", account.Ready: ""} {
		next := nextStep(account.Status{State: state, Reason: "confirm your identity", Link: "https://x.test"})
		if (next == nil) != (word == "") || next != nil && (!strings.Contains(next.Text, word) || next.Link == "") {
			t.Error(state, next)
		}
	}
	if next := nextStep(account.Status{State: account.NeedsLogin}); !strings.Contains(next.Command, "--new-key") {
		t.Error(next)
	}
}

// TestSignInLeaksNothing looks for tokens, codes and proxy passwords wherever people and other programs can look.
func TestSignInLeaksNothing(t *testing.T) {
	b, sim := signInTest(t)
	ctx := t.Context()
	var texts []string
	see := func(v any, err error) {
		text, jsonErr := json.Marshal(v)
		if jsonErr != nil {
			t.Error(jsonErr)
		}
		texts = append(texts, string(text))
		if err != nil {
			texts = append(texts, fmt.Sprintf("%v %+v", err, apierror.From(err)))
		}
	}
	v := ok(b.StartLogin(ctx, api.NewLogin{Provider: "sim", AcceptRisk: true}))(t)
	see(v, nil)
	at, page, err := simulator.Click(ctx, http.DefaultClient, v.URL, "ann@example.test")
	if err != nil {
		t.Fatal(err)
	}
	code := at.Query().Get("code")
	texts = append(texts, page)
	v = over(t, b, v)
	see(v, nil)
	see(b.RenewAccount(ctx, v.Account))
	for _, trouble := range []simulator.OAuthTrouble{simulator.TroublePage, simulator.TroubleError, simulator.TroubleServer, simulator.TroubleRevoked} {
		w := ok(b.StartLogin(ctx, api.NewLogin{Provider: "sim"}))(t)
		sim.Trouble(trouble)
		clickAs(t, w, "ann@example.test")
		see(over(t, b, w), nil)
	}
	w, err := b.StartLogin(ctx, api.NewLogin{Provider: "sim", Mode: "device", Proxy: secret.New("http://ann:CANARY-pw@127.0.0.1:1")})
	see(w, err)
	if err == nil || !strings.Contains(apierror.From(err).Msg, "proxy") {
		t.Error("the proxy was not used:", w, err)
	}
	see(b.PasteLogin(ctx, v.ID, secret.New("CANARY-pasted")))
	sim.RevokeAll()
	see(b.RenewAccount(ctx, v.Account))
	see(b.Accounts(ctx))
	see(b.Logins(ctx))
	see(b.Providers(ctx))
	see(b.Doctor(ctx))
	if err := b.accounts.Flush(ctx); err != nil {
		t.Error(err)
	}
	root := b.o.Paths.Dir()
	for _, dir := range []string{root, b.o.Paths.State, b.o.Paths.Data} {
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			text, err := io.ReadAll(f)
			texts = append(texts, string(text))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, text := range texts {
		for _, canary := range []string{"CANARY", code} {
			if i := strings.Index(text, canary); i >= 0 {
				t.Errorf("%s is shown: %q", canary, text[max(0, i-150):min(len(text), i+60)])
			}
		}
	}
}
