package qwen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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
	f.Models, f.Embeddings, f.Verbatim = nil, nil, nil // no list, and everything is written anew: one system message
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
	g, _ := b.sim.SignIn(simulator.Qwen).Issue("ann@example.test")
	b.cred = provider.Credential{Access: secret.New(g.Access), Refresh: secret.New(g.Refresh), Issued: time.Now().Add(-time.Hour)}
	b.env = provider.Env{AccountID: "a", HTTP: plainClient(t),
		Settings: map[string]string{provider.SettingBaseURL: b.sim.BaseURL(simulator.Qwen), provider.SettingLoginURL: b.sim.LoginURL(simulator.Qwen)},
		Token:    func(context.Context) (provider.Credential, error) { return b.cred, nil }}
	return b
}

func (b *bay) ask(body string) (*canon.Response, *apierror.Error) {
	b.t.Helper()
	up, err := New().Open(b.env)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := openai.Codec{}.Decode(openai.OpChat, httptest.NewRequest("POST", "/", nil), []byte(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Model = "coder-model"
	return providertest.Follow(b.t, up.Stream(b.t.Context(), req))
}

const hi = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

func TestRequestsAreInTheServicesForm(t *testing.T) {
	b := newBay(t)
	r, e := b.ask(`{"model":"m","reasoning_effort":"high","tool_choice":"required","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],` +
		`"messages":[{"role":"system","content":"one"},{"role":"user","content":"hi"},{"role":"developer","content":"two"},{"role":"user","content":"use the f tool"}]}`)
	all := b.sim.Requests()
	got := all[len(all)-1]
	if e != nil || r.Finish.Reason != canon.FinishTools {
		t.Fatalf("%v\n%s", e, got.Body)
	}
	for _, want := range []string{`"stream":true`, `"include_usage":true`, `"max_tokens":8192`, `"vl_high_resolution_images":true`, `"enable_thinking":true`, `"tool_choice":"auto"`} {
		if !strings.Contains(string(got.Body), want) {
			t.Errorf("%s is missing in %s", want, got.Body)
		}
	}
	if h := got.Header; h.Get("X-Dashscope-Cachecontrol") != "enable" || strings.Contains(h.Get("User-Agent"), "Qwen") || h.Get("Authorization") == "" {
		t.Errorf("%v", h)
	}
	if _, e := b.ask(hi); e != nil {
		t.Fatal(e)
	}
	all = b.sim.Requests()
	if body := string(all[len(all)-1].Body); !strings.Contains(body, `"tools":[`) {
		t.Errorf("a stream without tools goes wrong: %s", body)
	}
}

func TestIrregularAnswers(t *testing.T) {
	b := newBay(t)
	for sc, parts := range map[simulator.Scenario]int{"parallel_tools+same_index": 2, "no_space": 1, "reasoning": 2, "json_to_stream": 1} {
		b.sim.Script(simulator.Qwen, sc)
		if r, e := b.ask(hi); e != nil || len(r.Parts) != parts {
			t.Errorf("%s: %v %+v", sc, e, r)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := newBay(t)
	for sc, c := range map[simulator.Scenario]struct {
		kind  apierror.Kind
		scope string
	}{
		"unauthorized": {apierror.AuthExpired, ""}, "insufficient_quota": {apierror.QuotaExhausted, "*"}, "rate_limit_no_time": {apierror.RateLimited, ""},
		"billing": {apierror.AccountBlocked, ""}, "timeout": {apierror.Upstream5xx, ""}, "server_error": {apierror.Upstream5xx, ""},
		"unsupported_parameter:param=messages": {apierror.InvalidRequest, ""}, "context_too_long": {apierror.ContextTooLong, ""}, "not_found": {apierror.ModelNotFound, ""},
	} {
		b.sim.Script(simulator.Qwen, sc)
		_, e := b.ask(hi)
		if e == nil || e.Kind != c.kind || e.Scope != c.scope {
			t.Errorf("%s: %+v", sc, e)
		}
		if sc == "insufficient_quota" && (e.RetryAfter <= 0 || e.RetryAfter > 24*time.Hour) {
			t.Errorf("until tomorrow: %s", e.RetryAfter)
		}
		if sc == "billing" && e.Action == "" {
			t.Errorf("%+v", e)
		}
	}
	b.cred.Issued = time.Now()
	b.sim.Script(simulator.Qwen, "unauthorized")
	if _, e := b.ask(hi); e == nil || e.Kind != apierror.AccountBlocked || !strings.Contains(e.Msg, "2026-04-15") || !strings.Contains(e.Msg, "qwen-coding-plan") {
		t.Errorf("a login that was just renewed is refused: %+v", e)
	}
}

func TestQuotaWordsAndTheirEnd(t *testing.T) {
	at := time.Date(2026, 3, 1, 15, 30, 0, 0, time.UTC) // 23:30 in Beijing
	if d := untilTomorrow(at); d != 30*time.Minute {
		t.Error(d)
	}
	e := &apierror.Error{Kind: apierror.RateLimited, Msg: "Free allocated quota exceeded", RetryAfter: time.Minute, Upstream: apierror.Upstream{Status: 429}}
	if refine(e, http.Header{"Retry-After": {"60"}}, provider.Credential{}); e.Kind != apierror.QuotaExhausted || e.RetryAfter != time.Minute {
		t.Errorf("the service's own time counts: %+v", e)
	}
	e = &apierror.Error{Kind: apierror.AccountBlocked, Msg: "no", Upstream: apierror.Upstream{Status: 403}}
	if refine(e, nil, provider.Credential{}); e.Kind != apierror.AuthExpired {
		t.Errorf("%+v", e)
	}
}

func TestWhereCallsGo(t *testing.T) {
	for raw, want := range map[string]string{
		"portal.qwen.ai": "https://portal.qwen.ai/v1", "https://portal.qwen.ai/": "https://portal.qwen.ai/v1", "https://portal.qwen.ai/v1": "https://portal.qwen.ai/v1",
		"dashscope.aliyuncs.com/compatible-mode": "https://dashscope.aliyuncs.com/compatible-mode/v1", "": "",
		"evil.test": "", "http://portal.qwen.ai": "", "https://portal.qwen.ai.evil.test": "", "https://portal.qwen.ai@evil.test": "", "https://portal.qwen.ai:1": "",
		"https://evilqwen.ai": "", "https://a\nb": "", "https://portal.qwen.ai/?x=1": "",
	} {
		if got := base(provider.Credential{Extra: map[string]string{extraResource: raw}}); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
	b := newBay(t)
	b.cred.Extra = map[string]string{extraResource: "portal.qwen.ai"}
	if _, e := b.ask(hi); e != nil {
		t.Errorf("a person's address counts more than the login's: %v", e)
	}
}

func TestDeviceSignIn(t *testing.T) {
	b := newBay(t)
	d, in := New(), b.sim.SignIn(simulator.Qwen)
	login := info.Logins[0].At(b.sim.LoginURL(simulator.Qwen))
	begin := func() *provider.Device {
		t.Helper()
		dev, err := d.BeginDevice(t.Context(), b.env, login, nil)
		if err != nil || dev.UserCode == "" || !strings.Contains(dev.Complete, dev.UserCode) || dev.Interval != time.Second {
			t.Fatalf("%+v %v", dev, err)
		}
		return dev
	}
	dev := begin()
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); !errors.Is(err, provider.ErrPending) {
		t.Fatal(err)
	}
	dev.Interval = 8 * time.Second
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); !errors.Is(err, provider.ErrPending) || dev.Interval != longest {
		t.Fatalf("%v %s", err, dev.Interval)
	}
	in.Trouble(simulator.TroubleNoToken, simulator.TroubleBusy, simulator.TroublePage)
	for _, kind := range []apierror.Kind{apierror.Internal, apierror.AuthExpired, apierror.Upstream5xx} {
		if _, err := d.PollDevice(t.Context(), b.env, login, dev); apierror.KindOf(err) != kind || kind == apierror.Internal && !errors.Is(err, provider.ErrPending) {
			t.Errorf("%v, want %s", err, kind)
		}
	}
	in.Approve(dev.UserCode, "ann@example.test")
	in.Advance(time.Minute)
	c, err := d.PollDevice(t.Context(), b.env, login, dev)
	if err != nil || c.Extra[extraResource] != "portal.qwen.ai" || c.Refresh.Empty() || time.Until(c.Expiry) < 5*time.Hour || c.Identity() != "" {
		t.Fatalf("%+v %v", c, err)
	}
	dev = begin()
	in.Deny(dev.UserCode)
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	dev = begin()
	in.Advance(time.Hour)
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	if _, err := d.Exchange(t.Context(), b.env, provider.Grant{}); apierror.KindOf(err) != apierror.Unsupported {
		t.Error(err)
	}

	old := c
	if c, err = d.Refresh(t.Context(), b.env, old); err != nil || c.Refresh.Reveal() == old.Refresh.Reveal() {
		t.Fatalf("%+v %v", c, err)
	}
	for _, trouble := range []simulator.OAuthTrouble{simulator.TroublePage, simulator.TroubleError, simulator.TroubleServer, simulator.TroubleNoToken} {
		in.Trouble(trouble)
		if _, err := d.Refresh(t.Context(), b.env, c); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Errorf("%s: %v", trouble, err)
		}
	}
	if _, err := d.Refresh(t.Context(), b.env, old); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("a token that was spent: %v", err)
	}
	if _, err := d.Refresh(t.Context(), b.env, provider.Credential{}); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	b.sim.Close()
	if _, err := d.Refresh(t.Context(), b.env, c); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
	if _, err := d.BeginDevice(t.Context(), b.env, login, nil); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
	if _, err := d.PollDevice(t.Context(), b.env, login, dev); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
}

func TestOddAnswersOfTheLogin(t *testing.T) {
	status, body := 200, ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer srv.Close()
	env := provider.Env{HTTP: plainClient(t), Settings: map[string]string{provider.SettingLoginURL: srv.URL}}
	login := info.Logins[0].At(srv.URL)
	for _, c := range []struct {
		status int
		body   string
	}{{200, `{}`}, {200, `<html>`}, {500, `{}`}} {
		status, body = c.status, c.body
		if _, err := New().BeginDevice(t.Context(), env, login, nil); err == nil {
			t.Errorf("%v begins", c)
		}
	}
	status, body = 400, `{"error":"anything"}`
	if _, err := New().Refresh(t.Context(), env, provider.Credential{Refresh: secret.New("r")}); apierror.KindOf(err) != apierror.AuthExpired {
		t.Errorf("400 ends a login: %v", err)
	}
}

func TestFiles(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for text, ends := range map[string]time.Time{
		`{"access_token":"at","refresh_token":"rt","token_type":"Bearer","resource_url":"portal.qwen.ai","expiry_date":1795383415000}`: time.UnixMilli(1795383415000),
		`{"access_token":"at","refresh_token":"rt","type":"qwen","expired":"2026-11-22T01:00:00Z","email":"my label"}`:                 now.Add(time.Hour),
		`{"access_token":"at","expires_in":60}`: now.Add(time.Minute), `{"access_token":"at"}`: {}, `{"access_token":"at","expiry_date":"x"}`: {},
	} {
		l, err := New().ReadFile(provider.File{Data: []byte(text), Modified: now})
		if err != nil || l.Access.Reveal() != "at" || !l.Expiry.Equal(ends) || !strings.Contains(l.Note, "2026-04-15") || l.Login != provider.LoginDevice {
			t.Errorf("%s: %+v %v", text, l, err)
		}
	}
	for text, none := range map[string]bool{`{}`: true, `{"type":"codex","access_token":"CANARY"}`: true, `{"access_token":"CANARY`: false, ``: false} {
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
	if i.Status != provider.StatusDiscontinued || !i.Off || i.Instead == "" || i.Risk == nil || !i.Static || i.Wire != openai.Name {
		t.Errorf("%+v", i)
	}
	b := newBay(t)
	up, err := New().Open(b.env)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := up.Models(t.Context()); list != nil || err != nil {
		t.Error(list, err)
	}
	if tested, err := up.(provider.Tester).Test(t.Context()); err != nil || tested.Note == "" || len(b.sim.Requests()) != 0 {
		t.Error(tested, err)
	}
}
