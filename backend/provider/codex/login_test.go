package codex

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"patchbay/backend/apierror"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// browser signs somebody in on the simulated page and exchanges the code.
func (b *bay) browser(user string, again bool) (provider.Credential, error) {
	b.t.Helper()
	login := builtIn.Logins[0].At(b.sim.LoginURL(simulator.Codex))
	redirect := "http://localhost:1455/auth/callback"
	const verifier = "a-verifier-of-more-than-forty-three-characters-in-all"
	req := provider.AuthRequest{Redirect: redirect, State: "state", Challenge: oauth2.S256ChallengeFromVerifier(verifier), Again: again}
	page, err := Driver{}.AuthURL(b.env, login, req)
	if err != nil {
		b.t.Fatal(err)
	}
	if (page == "") == again {
		b.t.Fatalf("again %v: %q", again, page)
	}
	if page == "" {
		page = oauth.AuthURL(login, req)
	} else if !strings.Contains(page, "prompt=login") {
		b.t.Errorf("a second account is not asked for: %s", page)
	}
	code := b.click(page, user)
	return Driver{}.Exchange(b.t.Context(), b.env, provider.Grant{Login: login, Code: secret.New(code), Redirect: redirect, Verifier: secret.New(verifier)})
}

// click answers the page without going where it leads: that is another program's port.
func (b *bay) click(page, user string) string {
	b.t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.PostForm(page, url.Values{"user": {user}})
	if err != nil {
		b.t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	c.CloseIdleConnections()
	at, err := resp.Location()
	if err != nil {
		b.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return at.Query().Get("code")
}

func TestBrowserSignIn(t *testing.T) {
	b := newBay(t)
	c, err := b.browser("ann@example.test", false)
	if err != nil {
		t.Fatal(err)
	}
	if c.Extra[provider.ExtraEmail] != "ann@example.test" || c.Extra[provider.ExtraPlan] != "plus" || c.Extra[extraAccount] != "3f1c0a52-0000-4000-8000-000000000001" ||
		c.Identity() != "user-Ann/3f1c0a52-0000-4000-8000-000000000001" || c.Refresh.Empty() {
		t.Errorf("%+v", c.Extra)
	}
	if left := time.Until(c.Expiry); left < 239*time.Hour || left > 241*time.Hour {
		t.Errorf("it ends in %s", left)
	}
	other, err := b.browser("ann@work.example.test", true)
	if err != nil || other.Identity() == c.Identity() || other.Extra[provider.ExtraPlan] != "business" {
		t.Errorf("one person's workspaces are two accounts: %v %v", other.Extra, err)
	}
	c, err = Driver{}.Complete(t.Context(), b.env, c)
	if err != nil || b.notes[noteRouting] != "" || b.notes[notePlan] != "plus" || b.notes[noteChecked] == "" {
		t.Errorf("%v %v", err, b.notes)
	}
	b.sim.Script("codex/accounts", "not_found")
	if _, err = (Driver{}).Complete(t.Context(), b.env, c); err != nil {
		t.Errorf("a service without that address: %v", err)
	}
}

func TestRefusedExchanges(t *testing.T) {
	b := newBay(t)
	login := builtIn.Logins[0].At(b.sim.LoginURL(simulator.Codex))
	_, err := Driver{}.Exchange(t.Context(), b.env, provider.Grant{Login: login, Code: secret.New("CANARY-none"), Redirect: "x"})
	if e := apierror.From(err); e.Kind != apierror.AuthExpired || strings.Contains(err.Error()+e.Upstream.Body, "CANARY") {
		t.Error(err)
	}
	e := explainLogin(&apierror.Error{Kind: apierror.AuthExpired, Upstream: apierror.Upstream{Body: `{"error":"x","error_description":"missing_codex_entitlement"}`}})
	if !strings.Contains(apierror.From(e).Msg, "administrator") {
		t.Error(e)
	}
	b.sim.Close()
	_, err = Driver{}.Exchange(t.Context(), b.env, provider.Grant{Login: login, Code: secret.New("c")})
	if apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
}

func TestRenewing(t *testing.T) {
	b := newBay(t)
	d, sim := Driver{}, b.sim.SignIn(simulator.Codex)
	old := b.cred
	fresh, err := d.Refresh(t.Context(), b.env, old)
	if err != nil || fresh.Refresh.Reveal() == old.Refresh.Reveal() || fresh.Access.Reveal() == old.Access.Reveal() || fresh.Extra[extraAccount] == "" {
		t.Fatalf("%+v %v", fresh, err)
	}
	for trouble, kind := range map[simulator.OAuthTrouble]apierror.Kind{
		simulator.TroubleServer: apierror.Upstream5xx, simulator.TroubleBusy: apierror.RateLimited, simulator.TroublePage: apierror.Upstream5xx,
		simulator.TroubleError: apierror.Upstream5xx, simulator.TroubleNoToken: apierror.Upstream5xx, simulator.TroubleForeign: apierror.AuthExpired,
		simulator.TroubleRevoked: apierror.AuthExpired,
	} {
		sim.Trouble(trouble)
		if _, err := d.Refresh(t.Context(), b.env, fresh); apierror.KindOf(err) != kind {
			t.Errorf("%s: %v, want %s", trouble, err, kind)
		}
	}
	if fresh, err = d.Refresh(t.Context(), b.env, fresh); err != nil {
		t.Fatalf("troubles of the moment ended the login: %v", err)
	}
	_, err = d.Refresh(t.Context(), b.env, old)
	if e := apierror.From(err); e.Kind != apierror.AuthExpired || e.Upstream.Code != "refresh_token_reused" || !strings.Contains(e.Msg, "only here") {
		t.Errorf("a token that was spent: %+v", err)
	}
	if _, err = d.Refresh(t.Context(), b.env, fresh); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("the login is over after that: %v", err)
	}
	if _, err = d.Refresh(t.Context(), b.env, provider.Credential{Access: secret.New("x")}); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("a lone access token: %v", err)
	}
}

// tokens is a token endpoint that answers always the same.
func tokens(t *testing.T, status int, answer string) provider.Env {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	return provider.Env{HTTP: plainClient(t), Settings: map[string]string{provider.SettingLoginURL: srv.URL}}
}

func TestAnswersOfTheTokenEndpoint(t *testing.T) {
	old := provider.Credential{Access: secret.New("a"), Refresh: secret.New("r"), Extra: map[string]string{extraAccount: "w"}}
	c, err := Driver{}.Refresh(t.Context(), tokens(t, 200, `{"refresh_token":"new"}`), old)
	if err == nil || c.Refresh.Reveal() != "new" || c.Access.Reveal() != "a" {
		t.Errorf("the new refresh token must be kept: %+v %v", c, err)
	}
	c, err = Driver{}.Refresh(t.Context(), tokens(t, 200, `{"access_token":"opaque","refresh_token":"new","surprise":[1]}`), old)
	if err != nil || time.Until(c.Expiry) < 7*24*time.Hour {
		t.Errorf("no end is named: %+v %v", c.Expiry, err)
	}
	c, err = Driver{}.Refresh(t.Context(), tokens(t, 200, `{"access_token":"opaque"}`), old)
	if err != nil || !c.Refresh.Empty() || len(c.Extra) != 0 {
		t.Errorf("what is missing stays as it was: %+v %v", c, err)
	}
	for body, kind := range map[string]apierror.Kind{
		`{"error":"invalid_grant","error_description":"x"}`:              apierror.AuthExpired,
		`{"error":{"message":"x","code":"refresh_token_expired"}}`:       apierror.AuthExpired,
		`{"error":{"message":"x","code":"something","type":"whatever"}}`: apierror.AuthExpired, // every 401 ends it
	} {
		if _, err := (Driver{}).Refresh(t.Context(), tokens(t, 401, body), old); apierror.KindOf(err) != kind {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestDeviceSignIn(t *testing.T) {
	b := newBay(t)
	d, sim := Driver{}, b.sim.SignIn(simulator.Codex)
	login := builtIn.Logins[1].At(b.sim.LoginURL(simulator.Codex))
	dev, err := d.BeginDevice(t.Context(), b.env, login, nil)
	if err != nil || dev.UserCode == "" || dev.Interval != time.Second || !strings.HasSuffix(dev.URL, "/codex/device") || time.Until(dev.Expires) > deviceLife {
		t.Fatalf("%+v %v", dev, err)
	}
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); !errors.Is(err, provider.ErrPending) {
		t.Fatal(err)
	}
	if !sim.Approve(dev.UserCode, "bob@example.test") {
		t.Fatal("nobody waits")
	}
	sim.Advance(10 * time.Second)
	c, err := d.PollDevice(t.Context(), b.env, login, dev)
	if err != nil || c.Extra[provider.ExtraEmail] != "bob@example.test" || c.Extra[provider.ExtraPlan] != "free" {
		t.Fatalf("%+v %v", c, err)
	}
	b.cred = c
	if _, e := ask(t, b.open(), asking("gpt-5.5")); e != nil {
		t.Error(e)
	}

	dev, err = d.BeginDevice(t.Context(), b.env, login, nil)
	if err != nil {
		t.Fatal(err)
	}
	sim.Advance(time.Hour)
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); apierror.KindOf(err) != apierror.AuthExpired || apierror.From(err).Upstream.Code != "expired_token" {
		t.Errorf("a code that is over: %v", err)
	}
	dev.State[stateDevice] = secret.New("unknown")
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("a code that is not known: %v", err)
	}
	b.sim.Script("codex/deviceauth", "not_found", "server_error", "server_error")
	if _, err := d.BeginDevice(t.Context(), b.env, login, nil); apierror.KindOf(err) != apierror.Unsupported || !strings.Contains(err.Error(), "browser") {
		t.Errorf("switched off: %v", err)
	}
	if _, err := d.BeginDevice(t.Context(), b.env, login, nil); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Error(err)
	}
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Error(err)
	}
	for _, body := range []string{`{}`, `[]`, `{"device_auth_id":"d"}`} {
		if _, err := d.BeginDevice(t.Context(), tokens(t, 200, body), login, nil); err == nil {
			t.Errorf("%s begins", body)
		}
		if _, err := d.PollDevice(t.Context(), tokens(t, 200, body), login, dev); err == nil {
			t.Errorf("%s signs in", body)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.BeginDevice(gone, b.env, login, nil); err == nil {
		t.Error("it begins although nobody waits")
	}
	if _, err := d.PollDevice(gone, b.env, login, dev); err == nil {
		t.Error("it polls although nobody waits")
	}
}

func TestALoneAccessTokenIsEnough(t *testing.T) {
	b := newBay(t)
	b.cred = provider.Credential{Access: b.cred.Access}
	if _, e := ask(t, b.open(), asking("gpt-5.5")); e != nil {
		t.Fatal(e)
	}
	b.cred = provider.Credential{Access: secret.New("no token of this kind")}
	if _, e := ask(t, b.open(), asking("gpt-5.5")); e == nil || e.Kind != apierror.AuthExpired {
		t.Error(e)
	}
	b.env.Token = func(context.Context) (provider.Credential, error) {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "sign in again")
	}
	u := b.open()
	if _, e := ask(t, u, asking("gpt-5.5")); e == nil || e.Kind != apierror.AuthExpired || e.Provider != "codex" {
		t.Error(e)
	}
	if _, err := u.Models(t.Context()); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	if _, err := u.lookAt(t.Context()); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
}

func TestClaimsThatCannotBeRead(t *testing.T) {
	for _, token := range []string{"", "a.b.c", "a.e30.c", "a.eyJleHAiOi0xfQ.c", "a.eyJleHAiOiJ4In0.c"} {
		if end := endOf(token); !end.IsZero() {
			t.Errorf("%q ends at %s", token, end)
		}
	}
}
