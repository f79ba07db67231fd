package iflow

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

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
	"patchbay/backend/transport"
	"patchbay/backend/wire/openai"
)

func TestConformance(t *testing.T) {
	f := providertest.OpenAI()
	f.Models, f.Embeddings, f.Verbatim = nil, nil, nil // no list, and its answers are written anew
	providertest.Run(t, providertest.Subject{
		Driver: func(idle time.Duration) provider.Driver {
			i := info
			i.Policy.Idle = idle
			return newDriver(i)
		},
		Format:   f,
		Settings: func(base string) map[string]string { return map[string]string{provider.SettingBaseURL: base + "/v1"} },
	})
}

// bay is an account at the simulated service.
type bay struct {
	t    *testing.T
	sim  *simulator.Server
	env  provider.Env
	cred provider.Credential
}

func plainClient(t *testing.T) *http.Client {
	t.Helper()
	clients := transport.NewClients(transport.Options{Version: "test"})
	t.Cleanup(clients.CloseIdle)
	c, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newBay(t *testing.T) *bay {
	t.Helper()
	b := &bay{t: t, sim: simulator.New(simulator.Options{})}
	if err := b.sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.sim.Close(); err != nil {
			t.Error(err)
		}
	})
	key, ok := b.sim.Token(simulator.IFlow, "ann@example.test")
	if !ok {
		t.Fatal("nobody is there")
	}
	b.cred = provider.Credential{Access: secret.New(key)}
	b.env = provider.Env{AccountID: "a", HTTP: plainClient(t),
		Settings: map[string]string{provider.SettingBaseURL: b.sim.BaseURL(simulator.IFlow), provider.SettingLoginURL: b.sim.LoginURL(simulator.IFlow)},
		Token:    func(context.Context) (provider.Credential, error) { return b.cred, nil }}
	return b
}

func (b *bay) ask(model, body string) (*canon.Response, *apierror.Error) {
	b.t.Helper()
	up, err := New().Open(b.env)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := openai.Codec{}.Decode(openai.OpChat, httptest.NewRequest("POST", "/", nil), []byte(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Model, req.Conversation = model, "c"
	return providertest.Follow(b.t, up.Stream(b.t.Context(), req))
}

func (b *bay) last() simulator.Request {
	all := b.sim.Requests()
	return all[len(all)-1]
}

const (
	hi     = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	stream = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`
)

func said(r *canon.Response) (out string) {
	for _, p := range r.Parts {
		if p.Type == canon.PartText {
			out += p.Text
		}
	}
	return out
}

func TestRequestsAreSigned(t *testing.T) {
	b := newBay(t)
	r, e := b.ask("glm-4.7", stream)
	if e != nil || !strings.Contains(said(r), "You said: hi") {
		t.Fatalf("%v %+v", e, r)
	}
	first := b.last().Header.Get("Session-Id")
	if _, e := b.ask("glm-4.7", hi); e != nil || b.last().Header.Get("Session-Id") != first {
		t.Errorf("%v: a conversation keeps its session", e)
	}
	if a, c := uuid("session", ""), uuid("session", ""); a == c || len(a) != 36 {
		t.Errorf("%s %s", a, c)
	}
	b.cred.Access = secret.New("sk-iflow-wrong")
	if _, e := b.ask("glm-4.7", hi); e == nil || e.Kind != apierror.AuthExpired {
		t.Error(e)
	}
}

func TestThinkingIsSwitchedPerModel(t *testing.T) {
	b := newBay(t)
	for model, want := range map[string]string{
		"glm-4.7": `"chat_template_kwargs":{"enable_thinking":true,"clear_thinking":false}`, "glm-5": `"enable_thinking":true,"thinking":{"type":"enabled"}`,
		"deepseek-v3.2": `"reasoning":true,"thinking_mode":true`, "kimi-k2.5": `"thinking":{"type":"enabled"}`, "minimax-m2.5": `"reasoning_split":true`,
	} {
		body := strings.Replace(hi, `"model":"m"`, `"model":"m","reasoning_effort":"high"`, 1)
		if _, e := b.ask(model, body); e != nil || !strings.Contains(string(b.last().Body), want) || strings.Contains(string(b.last().Body), "reasoning_effort") {
			t.Errorf("%s: %v %s", model, e, b.last().Body)
		}
		if _, e := b.ask(model, hi); e != nil || strings.Contains(string(b.last().Body), want) {
			t.Errorf("%s without a wish: %v %s", model, e, b.last().Body)
		}
	}
	if switches("kimi-k2-thinking") == nil || switches("qwen3-max") != nil {
		t.Error("which models think")
	}
}

func TestIrregularAnswers(t *testing.T) {
	b := newBay(t)
	for _, body := range []string{hi, stream, strings.Replace(stream, `"stream"`, `"tools":[],"stream"`, 1)} {
		for sc, want := range map[simulator.Scenario]string{"text:text=fine": "fine", "json_to_stream+text:text=fine": "fine", "only_thoughts:thought=It is 4": "It is 4", "reasoning:text=It is 5": "It is 5"} {
			b.sim.Script(simulator.IFlow, sc)
			if r, e := b.ask("glm-5", body); e != nil || said(r) != want {
				t.Errorf("%s: %v %+v", sc, e, r)
			}
		}
		b.sim.Script(simulator.IFlow, "empty+finish:reason=network_error")
		if _, e := b.ask("glm-5", body); e == nil || e.Kind != apierror.Upstream5xx {
			t.Errorf("network_error: %v", e)
		}
	}
	b.sim.Script(simulator.IFlow, "tool_call")
	if r, e := b.ask("glm-5", stream); e != nil || r.Finish.Reason != canon.FinishTools {
		t.Errorf("%v %+v", e, r)
	}
}

func TestErrorsInsideStatus200(t *testing.T) {
	b := newBay(t)
	for sc, c := range map[simulator.Scenario]struct {
		kind apierror.Kind
		says string
	}{
		"rate_limit_no_time": {apierror.RateLimited, "rate limit"}, "unauthorized": {apierror.AuthExpired, "apiKey"}, "forbidden": {apierror.AccountBlocked, "2026-04-17"},
		"location": {apierror.AccountBlocked, "2026-04-17"}, "not_found": {apierror.ModelNotFound, "not support"}, "billing": {apierror.AuthExpired, "expired"},
		"overload": {apierror.Overloaded, ""}, "server_error:status=502": {apierror.Upstream5xx, ""}, "server_error": {apierror.Upstream5xx, ""}, "context_too_long": {apierror.ContextTooLong, ""},
	} {
		for _, body := range []string{hi, stream} {
			b.sim.Script(simulator.IFlow, sc)
			_, e := b.ask("glm-4.7", body)
			if e == nil || e.Kind != c.kind || !strings.Contains(e.Msg, c.says) {
				t.Errorf("%s: %+v", sc, e)
			}
			if sc == "rate_limit_no_time" && (e.RetryAfter != 2*time.Second || e.Scope != "*") {
				t.Errorf("%+v", e)
			}
		}
	}
	for status, kind := range map[int]apierror.Kind{436: apierror.Upstream5xx, 451: apierror.AccountBlocked, 400: apierror.AccountBlocked, 439: apierror.AuthExpired} {
		e := &apierror.Error{Kind: apierror.AccountBlocked, Upstream: apierror.Upstream{Status: status}}
		if refine(e, nil, provider.Credential{}); e.Kind != kind {
			t.Errorf("%d: %s", status, e.Kind)
		}
	}
}

func TestAnOldSignatureIsMadeAnewOnce(t *testing.T) {
	var stamps []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stamps = append(stamps, r.Header.Get("X-Iflow-Timestamp"))
		w.WriteHeader(http.StatusNotAcceptable)
	}))
	defer srv.Close()
	b := newBay(t)
	b.env.Settings[provider.SettingBaseURL] = srv.URL + "/v1"
	_, e := b.ask("glm-5", hi)
	if e == nil || e.Kind != apierror.AccountBlocked || !strings.Contains(e.Msg, "clock") || len(stamps) != 2 || stamps[0] == "" {
		t.Errorf("%v after %v", e, stamps)
	}
}

func TestOneCallAtATime(t *testing.T) {
	if New().Info().Policy.MaxConcurrent != 1 {
		t.Error("a second call at once is refused")
	}
	b := newBay(t)
	b.sim.Script(simulator.IFlow, "slow:delay=200ms")
	done := make(chan *apierror.Error)
	go func() { // ends with the answer
		_, e := b.ask("glm-5", stream)
		done <- e
	}()
	if _, err := b.sim.Await(t.Context(), func(r simulator.Request) bool { return r.Scenario != "" }); err != nil {
		t.Fatal(err)
	}
	if _, e := b.ask("glm-5", hi); e == nil || e.Kind != apierror.RateLimited {
		t.Errorf("a second call at once: %v", e)
	}
	if e := <-done; e != nil {
		t.Error(e)
	}
}

// code signs somebody in on the simulated page.
func (b *bay) code(user string) (code, redirect string) {
	b.t.Helper()
	redirect = "http://localhost:11451/oauth2callback"
	page, err := New().AuthURL(b.env, info.Logins[0].At(b.sim.LoginURL(simulator.IFlow)), provider.AuthRequest{Redirect: redirect, State: "s"})
	if err != nil {
		b.t.Fatal(err)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.PostForm(page, url.Values{"user": {user}})
	if err != nil {
		b.t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	c.CloseIdleConnections()
	at, err := resp.Location()
	if err != nil {
		b.t.Fatalf("%s: %d %s", page, resp.StatusCode, text)
	}
	return at.Query().Get("code"), redirect
}

func TestSignInGivesAKeyThatChanges(t *testing.T) {
	b := newBay(t)
	d, in := New(), b.sim.SignIn(simulator.IFlow)
	login := info.Logins[0].At(b.sim.LoginURL(simulator.IFlow))
	code, redirect := b.code("ann@example.test")
	c, err := d.Exchange(t.Context(), b.env, provider.Grant{Login: login, Code: secret.New(code), Redirect: redirect})
	if err != nil || c.Extra[provider.ExtraEmail] != "ann@example.test" || !strings.HasPrefix(c.Access.Reveal(), "sk-iflow-") || c.Refresh.Empty() || time.Until(c.Expiry) < 47*time.Hour {
		t.Fatalf("%+v %v", c, err)
	}
	code, redirect = b.code("138****0000")
	phone, err := d.Exchange(t.Context(), b.env, provider.Grant{Login: login, Code: secret.New(code), Redirect: redirect})
	if err != nil || phone.Identity() != "138****0000" {
		t.Errorf("%+v %v", phone, err)
	}
	if _, err := d.Exchange(t.Context(), b.env, provider.Grant{Login: login, Code: secret.New(code), Redirect: redirect}); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("a code that was used: %v", err)
	}
	fresh, err := d.Refresh(t.Context(), b.env, c)
	if err != nil || fresh.Access.Reveal() == c.Access.Reveal() || fresh.Refresh.Reveal() == c.Refresh.Reveal() {
		t.Fatalf("%+v %v", fresh, err)
	}
	b.cred = fresh
	if _, e := b.ask("glm-5", hi); e != nil {
		t.Error(e)
	}
	for trouble, kind := range map[simulator.OAuthTrouble]apierror.Kind{simulator.TroubleError: apierror.Upstream5xx, simulator.TroubleNoToken: apierror.Upstream5xx,
		simulator.TroublePage: apierror.Upstream5xx, simulator.TroubleServer: apierror.Upstream5xx, simulator.TroubleRevoked: apierror.AuthExpired} {
		in.Trouble(trouble)
		if _, err := d.Refresh(t.Context(), b.env, fresh); apierror.KindOf(err) != kind {
			t.Errorf("%s: %v", trouble, err)
		}
	}
	if _, err := d.Refresh(t.Context(), b.env, fresh); err != nil {
		t.Errorf("troubles of the moment ended the login: %v", err)
	}
	if _, err := d.Refresh(t.Context(), b.env, provider.Credential{Access: secret.New("sk")}); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
}

func TestANewRefreshTokenIsKeptWhateverFails(t *testing.T) {
	answer := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			_, _ = io.WriteString(w, `{"access_token":"CANARY-at","refresh_token":"new","expires_in":60}`)
			return
		}
		if answer == "" {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer srv.Close()
	env := provider.Env{HTTP: plainClient(t), Settings: map[string]string{provider.SettingLoginURL: srv.URL}}
	for _, answer = range []string{"", "<html>", `{"success":false}`, `{"success":true,"data":{"apiKey":""}}`} {
		c, err := New().Refresh(t.Context(), env, provider.Credential{Access: secret.New("old key"), Refresh: secret.New("old")})
		if err == nil || c.Refresh.Reveal() != "new" || c.Access.Reveal() != "old key" || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %+v %v", answer, c, err)
		}
	}
}

func TestFiles(t *testing.T) {
	for text, want := range map[string]provider.FileLogin{
		`{"access_token":"at","refresh_token":"rt","expiry_date":1795383415000,"apiKey":"sk"}`:                {Login: provider.LoginBrowser, Credential: provider.Credential{Expiry: time.UnixMilli(1795383415000)}},
		`{"type":"iflow","api_key":"sk","refresh_token":"rt","expired":"2026-11-22T00:00:00Z","email":"e@x"}`: {Login: provider.LoginBrowser, Credential: provider.Credential{Expiry: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}},
		`{"selectedAuthType":"api-key","apiKey":"sk","baseUrl":"https://mine.example.test/v1"}`:               {Settings: map[string]string{provider.SettingBaseURL: "https://mine.example.test/v1"}},
		`{"apiKey":"sk","oauth_refresh_token":"rt","baseUrl":"https://apis.iflow.cn/v1"}`:                     {Login: provider.LoginBrowser},
	} {
		l, err := New().ReadFile(provider.File{Data: []byte(text)})
		if err != nil || l.Access.Reveal() != "sk" || l.Login != want.Login || !l.Expiry.Equal(want.Expiry) || l.Settings[provider.SettingBaseURL] != want.Settings[provider.SettingBaseURL] ||
			!strings.Contains(l.Note, "2026-04-17") || (l.Login != "") == l.Refresh.Empty() {
			t.Errorf("%s: %+v %v", text, l, err)
		}
	}
	for text, none := range map[string]bool{`{}`: true, `{"access_token":"CANARY"}`: true, `{"type":"qwen","apiKey":"CANARY"}`: true, `{"apiKey":"CANARY`: false} {
		if _, err := New().ReadFile(provider.File{Data: []byte(text)}); err == nil || errors.Is(err, provider.ErrNoLogin) != none || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := New().ReadFile(provider.File{Rows: func(string) ([][]string, error) { return nil, nil }}); !errors.Is(err, provider.ErrNoLogin) {
		t.Error(err)
	}
}

func TestInfo(t *testing.T) {
	i := New().Info()
	if i.Status != provider.StatusDiscontinued || !i.Off || i.Instead == "" || i.Risk == nil || !i.Static || len(i.Models) < 20 {
		t.Errorf("%+v", i)
	}
}
