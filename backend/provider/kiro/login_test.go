package kiro

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
)

// desk is a service that answers sign-in calls as told, and an environment that leads there.
type desk struct {
	answers map[string]string // "200 {...}" by path
	asked   []string          // path and body
	agents  []string
}

func newDesk(t *testing.T, answers map[string]string) (*desk, provider.Env) {
	d := &desk{answers: answers}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 4<<10)
		n, _ := r.Body.Read(b) // the bodies are short
		d.asked, d.agents = append(d.asked, r.URL.Path+" "+string(b[:n])), append(d.agents, r.Header.Get("User-Agent"))
		status, body, _ := strings.Cut(d.answers[r.URL.Path], " ")
		code := 404
		_, _ = fmt.Sscan(status, &code) // no answer for this path leaves 404
		w.Header().Set("Content-Type", "application/json")
		if name, rest, ok := strings.Cut(body, " "); ok && strings.HasPrefix(name, "@") {
			w.Header().Set("X-Amzn-Errortype", name[1:])
			body = rest
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	return d, envAt(t, map[string]string{provider.SettingBaseURL: srv.URL, provider.SettingLoginURL: srv.URL})
}

func envAt(t *testing.T, settings map[string]string) provider.Env {
	t.Helper()
	clients := transport.NewClients(transport.Options{Version: "test"})
	t.Cleanup(clients.CloseIdle)
	client, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	notes := map[string]string{}
	return provider.Env{Provider: "kiro", AccountID: "a", HTTP: client, Settings: settings, Note: func(k string) string { return notes[k] }, Remember: func(k, v string) { notes[k] = v }}
}

func loginOfID(id string) provider.Login {
	for _, l := range info.Logins {
		if l.Key() == id {
			return l
		}
	}
	return provider.Login{}
}

// teamStart is an organisation's sign-in.
const teamStart = "https://d-1234567890.awsapps.com/start"

const canary = "aor-canary-0123456789"

func old(kind string, extra ...string) provider.Credential {
	c := provider.Credential{Access: secret.New("aoa-canary"), Refresh: secret.New(canary), Secret: secret.New("canary-client-secret"), Extra: map[string]string{extraKind: kind, extraClient: "client-1"}}
	for i := 0; i+1 < len(extra); i += 2 {
		c.Extra[extra[i]] = extra[i+1]
	}
	return c
}

func TestRefreshByKind(t *testing.T) {
	const fresh = `200 {"accessToken":"aoaNew","refreshToken":"aorNew","expiresIn":1800,"profileArn":"` + socialARN + `"}`
	d, env := newDesk(t, map[string]string{"/auth/refreshToken": fresh, "/oidc/token": `200 {"accessToken":"aoaNew","refreshToken":null,"tokenType":"Bearer"}`, "/idp": `200 {"access_token":"a.b.c","expires_in":60}`})
	c, err := (Driver{}).Refresh(t.Context(), env, old(kindSocial))
	if err != nil || c.Refresh.Reveal() != "aorNew" || c.Extra[extraARN] != socialARN || time.Until(c.Expiry) > 30*time.Minute || d.asked[0] != `/auth/refreshToken {"refreshToken":"`+canary+`"}` || d.agents[0] != socialClient {
		t.Errorf("%v %+v %v", err, c, d.asked)
	}
	for _, kind := range []string{kindBuilder, kindIDC} {
		c, err = (Driver{}).Refresh(t.Context(), env, old(kind, extraClientEnd, fmt.Sprint(time.Now().Add(time.Hour).Unix())))
		if err != nil || !c.Refresh.Empty() || time.Until(c.Expiry) < 55*time.Minute {
			t.Errorf("%s: %v %+v", kind, err, c)
		}
	}
	if last := d.asked[len(d.asked)-1]; last != `/oidc/token {"clientId":"client-1","clientSecret":"canary-client-secret","grantType":"refresh_token","refreshToken":"`+canary+`"}` {
		t.Error(last)
	}
	if d.agents[1] != "Patchbay/test" {
		t.Errorf("AWS needs no borrowed name: %s", d.agents[1])
	}
	idp := strings.TrimSuffix(env.Settings[provider.SettingBaseURL], "/") + "/idp"
	if c, err = (Driver{}).Refresh(t.Context(), env, old(kindExternal, extraEndpoint, idp, extraIDPClient, "cid")); err != nil || c.Access.Reveal() != "a.b.c" || !strings.Contains(d.asked[len(d.asked)-1], "client_id=cid") {
		t.Errorf("external: %v %+v %v", err, c, d.asked[len(d.asked)-1])
	}
	calls := len(d.asked)
	for name, c := range map[string]provider.Credential{
		"a key": old(kindKey), "no registration": {Refresh: secret.New("r"), Extra: map[string]string{extraKind: kindBuilder}},
		"registration over": old(kindIDC, extraClientEnd, fmt.Sprint(time.Now().Add(10*time.Minute).Unix())), "no region": old(kindIDC, extraRegion, "../x"),
		"no endpoint": old(kindExternal), "plain http": old(kindExternal, extraEndpoint, "http://idp.example.test/token"),
	} {
		if _, err := (Driver{}).Refresh(t.Context(), env, c); apierror.KindOf(err) != apierror.AuthExpired || len(d.asked) != calls {
			t.Errorf("%s: %v after %v", name, err, d.asked[calls:])
		}
	}
}

func TestRefusedRefreshes(t *testing.T) {
	for answer, want := range map[string]apierror.Kind{
		`400 {"error":"invalid_grant","error_description":"Invalid refresh token provided"}`: apierror.AuthExpired,
		`400 {"error":"expired_token"}`: apierror.AuthExpired, `400 {"error":"refresh_token_reused"}`: apierror.AuthExpired, `400 {"error":"revoked"}`: apierror.AuthExpired,
		`400 {"error":"access_denied"}`: apierror.AuthExpired, `401 {"message":"Unauthorized"}`: apierror.AuthExpired,
		`401 {"error":"invalid_client","error_description":"Client is expired"}`: apierror.AuthExpired, `400 @ExpiredClientException {}`: apierror.AuthExpired,
		`400 @InvalidGrantException {}`: apierror.AuthExpired,
		`403 {"message":"Account temporarily is suspended","reason":"TEMPORARILY_SUSPENDED"}`: apierror.AccountBlocked,
		`423 {"__type":"AccountSuspendedException","message":"x"}`:                            apierror.AccountBlocked,
		`429 {"message":"slow"}`:                  apierror.RateLimited,
		`503 {"message":"later"}`:                 apierror.Upstream5xx,
		`200 <html>`:                              apierror.Upstream5xx,
		`200 {"accessToken":""}`:                  apierror.Upstream5xx,
		`400 {"message":"` + canary + ` is odd"}`: apierror.Upstream5xx,
	} {
		_, env := newDesk(t, map[string]string{"/auth/refreshToken": answer, "/oidc/token": answer})
		for _, kind := range []string{kindSocial, kindBuilder} {
			_, err := (Driver{}).Refresh(t.Context(), env, old(kind))
			e := apierror.From(err)
			if e == nil || e.Kind != want || strings.Contains(fmt.Sprintf("%+v %v", *e, e.Err), "canary") {
				t.Errorf("%s, %s: %+v", kind, answer, e)
			}
			if e.Kind == apierror.RateLimited && e.RetryAfter != time.Minute {
				t.Errorf("%s", e.RetryAfter)
			}
		}
	}
	_, env := newDesk(t, nil)
	env.Settings = map[string]string{provider.SettingLoginURL: "http://127.0.0.1:1"}
	if _, err := (Driver{}).Refresh(t.Context(), env, old(kindSocial)); apierror.KindOf(err) != apierror.Transport {
		t.Errorf("%v", err)
	}
	for _, key := range []string{provider.SettingLoginURL, settingAuth} {
		env.Settings = map[string]string{key: "ftp://x"}
		if _, err := (Driver{}).Refresh(t.Context(), env, old(kindSocial)); err == nil {
			t.Error("a bad address is taken")
		}
	}
}

func TestSocialPolls(t *testing.T) {
	l := loginOfID(loginGoogle)
	for answer, want := range map[string]any{
		`200 {"status":"authorization_pending"}`: provider.ErrPending, `400 {"status":"authorization_pending"}`: provider.ErrPending, `400 {"error":"slow_down"}`: provider.ErrSlowDown,
		`200 {"status":"slow_down"}`: provider.ErrSlowDown, `500 oops`: provider.ErrPending, `200 <html>`: provider.ErrPending,
		`200 {"status":"expired_token"}`: apierror.AuthExpired, `200 {"status":"denied"}`: apierror.AuthExpired, `403 {"message":"no"}`: apierror.AuthExpired,
		`200 {"status":"authorized","accessToken":"aoa"}`: apierror.AuthExpired, // no profile
		`200 {"status":"authorized"}`:                     apierror.Upstream5xx,
	} {
		_, env := newDesk(t, map[string]string{"/auth/oauth/device/poll": answer})
		_, err := (Driver{}).PollDevice(t.Context(), env, l, &provider.Device{State: map[string]secret.Value{stateDevice: secret.New("dc")}})
		switch want := want.(type) {
		case apierror.Kind:
			if err == nil || apierror.KindOf(err) != want {
				t.Errorf("%s: %v", answer, err)
			}
		case error:
			if !errors.Is(err, want) {
				t.Errorf("%s: %v", answer, err)
			}
		}
	}
}

func TestDeviceCodesThatCannotBeHad(t *testing.T) {
	for id, paths := range map[string][]string{loginGithub: {"/auth/oauth/device/authorization"}, loginBuilder: {"/oidc/client/register", "/oidc/device_authorization"}} {
		good := map[string]string{"/auth/oauth/device/authorization": `200 {"deviceCode":"d","userCode":"u"}`, "/oidc/client/register": `200 {"clientId":"c","clientSecret":"s"}`, "/oidc/device_authorization": `200 {"deviceCode":"d","userCode":"u"}`}
		_, env := newDesk(t, good)
		dev, err := (Driver{}).BeginDevice(t.Context(), env, loginOfID(id), nil)
		if err != nil || dev.Interval != 5*time.Second || time.Until(dev.Expires) < 4*time.Minute {
			t.Errorf("%s: %v %+v", id, err, dev)
		}
		for _, path := range paths {
			for _, bad := range []string{`400 {"error":"invalid_scope"}`, `200 <html>`, `200 {}`} {
				answers := map[string]string{}
				for k, v := range good {
					answers[k] = v
				}
				answers[path] = bad
				_, env := newDesk(t, answers)
				if _, err := (Driver{}).BeginDevice(t.Context(), env, loginOfID(id), nil); err == nil {
					t.Errorf("%s, %s: %s is taken", id, path, bad)
				}
			}
		}
	}
}

func TestRegionOfAnOrganisationIsFound(t *testing.T) {
	d, env := newDesk(t, map[string]string{
		"/eu-central-1/client/register": `200 {"clientId":"c","clientSecret":"s","clientSecretExpiresAt":1802776000}`, "/us-east-1/client/register": `200 {"clientId":"c","clientSecret":"s"}`,
		"/us-east-1/device_authorization":    `400 {"error":"invalid_request","error_description":"Invalid start url"}`,
		"/eu-central-1/device_authorization": `200 {"deviceCode":"d","userCode":"u","verificationUri":"v","interval":0,"expiresIn":600}`,
	})
	env.Settings[settingOIDC] = env.Settings[provider.SettingLoginURL] + "/{region}"
	dev, err := (Driver{}).BeginDevice(t.Context(), env, loginOfID(loginIDC), map[string]string{settingStart: teamStart})
	if err != nil || dev.State[stateRegion].Reveal() != "eu-central-1" || dev.State[stateEnd].Reveal() != "1802776000" || dev.Interval < time.Second {
		t.Fatalf("%v %+v %v", err, dev, d.asked)
	}
	d.answers = map[string]string{}
	if _, err := (Driver{}).BeginDevice(t.Context(), env, loginOfID(loginIDC), map[string]string{settingStart: teamStart}); err == nil || !strings.Contains(err.Error(), "no AWS region knows this start URL") {
		t.Errorf("%v", err)
	}
}

func TestBrowserSignIn(t *testing.T) {
	h := newHouse(t, keyed(), nil)
	l := loginOfID(loginBrowser)
	const verifier = "0123456789012345678901234567890123456789012"
	page, err := (Driver{}).AuthURL(h.env, l, provider.AuthRequest{Redirect: "http://localhost:3128", State: "st", Challenge: "EGvtWUvbUuxtuCKQmRqTBlgC0dyhl7r8Q4KHtAnUkVQ"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(page)
	if err != nil || u.Query().Get("redirect_from") != "kirocli" || u.Query().Get("code_challenge_method") != "S256" {
		t.Fatalf("%v %s", err, page)
	}
	code, ok := h.sim.KiroLogins(kindSocial).NewCode("ann@example.test", "http://localhost:3128/oauth/callback?login_option=google", "")
	if !ok {
		t.Fatal("no code")
	}
	g := provider.Grant{Login: l, Code: secret.New(code), Redirect: "http://localhost:3128", RedirectPath: "/oauth/callback", Verifier: secret.New(verifier), Query: url.Values{"login_option": {"google"}}}
	c, err := (Driver{}).Exchange(t.Context(), h.env, g)
	if err != nil || c.Extra[extraKind] != kindSocial || c.Extra[extraARN] != h.sim.KiroProfile(kindSocial) {
		t.Errorf("%v %+v", err, c)
	}
	if c, err = (Driver{}).Complete(t.Context(), h.env, c); err != nil || c.Extra[provider.ExtraEmail] != "ann@example.test" || c.Extra[provider.ExtraPlan] != "KIRO PRO" || c.Identity() == "" {
		t.Errorf("%v %+v", err, c.Extra)
	}
	if _, err = (Driver{}).Exchange(t.Context(), h.env, g); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("a code twice: %v", err)
	}
	for option, word := range map[string]string{"": "whole address", "awsidc": "Builder ID"} {
		g.Query = url.Values{"login_option": {option}}
		if _, err := (Driver{}).Exchange(t.Context(), h.env, g); apierror.KindOf(err) != apierror.AuthExpired || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v", option, err)
		}
	}
}

func TestProfilesAreChosen(t *testing.T) {
	const other = "arn:aws:codewhisperer:eu-central-1:111122223333:profile/OTHER1"
	two := `200 {"profiles":[{"arn":"` + socialARN + `","profileName":"Team A"},{"arn":"` + other + `"},{"arn":"nonsense"},5]}`
	for name, c := range map[string]struct {
		answers map[string]string
		wanted  string
		arn     string
		several bool
		kind    apierror.Kind // Internal: none
	}{
		"one":            {map[string]string{"/management/List-Available-Profiles": `200 {"profiles":[{"arn":"` + socialARN + `"}]}`}, "", socialARN, false, apierror.Internal},
		"several":        {map[string]string{"/management/List-Available-Profiles": two}, "", "", true, apierror.Internal},
		"a chosen one":   {map[string]string{"/management/List-Available-Profiles": two}, other, other, false, apierror.Internal},
		"a foreign one":  {map[string]string{"/management/List-Available-Profiles": two}, builderARN, "", false, apierror.InvalidRequest},
		"none":           {map[string]string{"/management/List-Available-Profiles": `200 {"profiles":[]}`}, "", "", false, apierror.Unsupported},
		"refused":        {map[string]string{"/management/List-Available-Profiles": `403 {"message":"no","reason":null}`}, "", "", false, apierror.Unsupported},
		"by target":      {map[string]string{"/management/": `200 {"profiles":[{"arn":"` + socialARN + `"}]}`}, "", socialARN, false, apierror.Internal},
		"by the old way": {map[string]string{"/q/ListAvailableProfiles": `200 {"profiles":[{"arn":"` + socialARN + `"}]}`}, "", socialARN, false, apierror.Internal},
		"trouble":        {map[string]string{"/management/List-Available-Profiles": `500 {"message":"x"}`}, "", "", false, apierror.Upstream5xx},
		"no list":        {map[string]string{"/management/List-Available-Profiles": `200 []`}, "", "", false, apierror.Upstream5xx},
	} {
		_, env := newDesk(t, c.answers)
		if c.wanted != "" {
			env.Settings[settingProfile] = c.wanted
		}
		cred := old(kindIDC, extraStart, teamStart)
		got, err := (Driver{}).Complete(t.Context(), env, cred)
		if c.kind != apierror.Internal {
			if err == nil || apierror.KindOf(err) != c.kind {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || got.Extra[extraARN] != c.arn || (got.Extra[extraProfiles] != "") != c.several {
			t.Errorf("%s: %v %+v", name, err, got.Extra)
		}
	}
}

func TestAccountsWithoutAProfile(t *testing.T) {
	for _, kind := range []string{kindIDC, kindExternal} {
		h := newHouse(t, provider.Credential{Access: secret.New("x"), Extra: map[string]string{extraKind: kind}}, nil)
		_, e := h.ask(hello("x"))
		if e == nil || e.Kind != apierror.AccountBlocked || !strings.HasPrefix(e.Action, "profile") || e.AccountID != "account-1" || len(h.sim.Requests()) != 0 {
			t.Errorf("%s: %v", kind, e)
		}
		if _, err := h.up.Models(t.Context()); apierror.KindOf(err) != apierror.AccountBlocked {
			t.Errorf("%v", err)
		}
	}
	h := newHouse(t, keyed(), nil)
	h.env.Token = nil
	up, _ := Driver{}.Open(h.env)
	if _, err := up.Models(context.Background()); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("%v", err)
	}
}

func TestOpen(t *testing.T) {
	if _, err := (Driver{}).Open(provider.Env{}); err == nil {
		t.Error("an account without connections opens")
	}
	for _, key := range []string{provider.SettingBaseURL, settingRuntime} {
		if _, err := (Driver{}).Open(provider.Env{HTTP: http.DefaultClient, Settings: map[string]string{key: "ftp://x"}}); err == nil {
			t.Errorf("%s: a bad address is taken", key)
		}
	}
	h, err := hostsOf(map[string]string{provider.SettingBaseURL: ownBase})
	if err != nil || h.runtime != defaultRuntime || in(h.q, regionEU) != "https://q.eu-central-1.amazonaws.com" {
		t.Errorf("%v %+v", err, h)
	}
}
