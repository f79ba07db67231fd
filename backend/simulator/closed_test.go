package simulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// formPost posts a form to a sign-in.
func formPost(t *testing.T, s *Server, upstream, path string, p url.Values, head map[string]string) answer {
	t.Helper()
	h := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": ""}
	for k, v := range head {
		h[k] = v
	}
	return call{upstream: upstream, path: path, body: p.Encode(), head: h}.do(t, s)
}

func TestQwenDeviceLogin(t *testing.T) {
	s := start(t)
	o := s.SignIn(Qwen)
	good := url.Values{"client_id": {o.opts.Client}, "scope": {"openid model.completion"}, "code_challenge": {"c"}, "code_challenge_method": {"S256"}}
	const codes, tokens = "/api/v1/oauth2/device/code", "/api/v1/oauth2/token"
	for name := range good {
		bad := url.Values{}
		for k, v := range good {
			if k != name {
				bad[k] = v
			}
		}
		if a := formPost(t, s, Qwen, codes, bad, nil); a.status != 400 {
			t.Errorf("without %s: %d", name, a.status)
		}
	}
	for _, path := range []string{codes, tokens} {
		if a := formPost(t, s, Qwen, path, good, map[string]string{"Content-Type": "application/json"}); a.status != 400 {
			t.Errorf("%s takes JSON", path)
		}
	}
	a := formPost(t, s, Qwen, codes, good, nil).json(t)
	if !strings.HasPrefix(a["verification_uri_complete"].(string), s.LoginURL(Qwen)+"/authorize?user_code=") {
		t.Errorf("%v", a)
	}
	poll := url.Values{"client_id": {o.opts.Client}, "grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {a["device_code"].(string)}, "code_verifier": {"x"}}
	if a := formPost(t, s, Qwen, tokens, poll, nil); a.status != 401 {
		t.Errorf("another verifier: %d %s", a.status, a.body)
	}
	if a := formPost(t, s, Qwen, tokens, url.Values{"client_id": {o.opts.Client}, "grant_type": {"x"}}, nil); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := formPost(t, s, Qwen, tokens, url.Values{}, nil); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	g, _ := o.Issue("ann@example.test")
	renew := url.Values{"client_id": {o.opts.Client}, "grant_type": {"refresh_token"}, "refresh_token": {g.Refresh}}
	if a := formPost(t, s, Qwen, tokens, renew, nil); a.status != 200 || a.json(t)["resource_url"] != "portal.qwen.ai" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := formPost(t, s, Qwen, tokens, renew, nil); a.status != 400 {
		t.Errorf("a token that was spent: %d %s", a.status, a.body)
	}
	o.Trouble(TroublePage)
	if a := formPost(t, s, Qwen, tokens, renew, nil); a.status != 200 || !strings.Contains(a.body, "<html>") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestQwenTakesOneSystemMessage(t *testing.T) {
	s := start(t)
	key, _ := s.Token(Qwen, "ann@example.test")
	for name, body := range map[string]m{
		"two":    {"messages": []any{m{"role": "system", "content": "a"}, m{"role": "system", "content": "b"}, m{"role": "user", "content": "x"}}},
		"late":   {"messages": []any{m{"role": "user", "content": "x"}, m{"role": "system", "content": "b"}}},
		"forced": {"messages": []any{m{"role": "user", "content": "x"}}, "tool_choice": "required", "tools": []any{m{"type": "function", "function": m{"name": "f"}}}},
		"effort": {"messages": []any{m{"role": "user", "content": "x"}}, "reasoning_effort": "high"},
	} {
		body["model"] = "coder-model"
		if a := (call{upstream: Qwen, key: key, body: body}).do(t, s); a.status != 400 || at(a.json(t), "error", "code") != "invalid_parameter_error" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	body := m{"model": "coder-model", "messages": []any{m{"role": "user", "content": "x"}}}
	if a := (call{upstream: Qwen, key: "other", body: body}).do(t, s); a.status != 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{upstream: Qwen, key: key, body: body}).do(t, s); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	body["model"] = "gpt-4.1"
	if a := (call{upstream: Qwen, key: key, body: body}).do(t, s); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestIFlowSignIn(t *testing.T) {
	s := start(t)
	o := s.SignIn(IFlow)
	get := func(q string) int {
		resp, err := http.Get(s.LoginURL(IFlow) + "/oauth?" + q)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	const good = "loginMethod=phone&type=phone&redirect=http%3A%2F%2Flocalhost%3A1%2Foauth2callback&state=s&client_id=10009311001"
	if get(good) != 200 || get(strings.Replace(good, "redirect=", "redirect_uri=", 1)) != 400 {
		t.Error("the page's parameters")
	}
	g, _ := o.Issue("ann@example.test")
	p := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh}, "client_id": {o.opts.Client}, "client_secret": {o.opts.Secret}}
	if a := formPost(t, s, IFlow, "/oauth/token", p, nil); a.status != 401 {
		t.Errorf("the secret in the form alone: %d", a.status)
	}
	basic := map[string]string{"Authorization": "Basic MTAwMDkzMTEwMDE6NFozWWpYeWNWc1F2eUdGMWV0aU5sSUJCNFJzcVNEdFc="}
	if a := formPost(t, s, IFlow, "/oauth/token", url.Values{"grant_type": {"x"}}, basic); a.status != 401 {
		t.Errorf("the secret in the header alone: %d", a.status)
	}
	o.Trouble(TroubleError)
	if a := formPost(t, s, IFlow, "/oauth/token", p, basic); a.status != 200 || a.json(t)["success"] != false {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := formPost(t, s, IFlow, "/oauth/token", p, basic); a.status != 200 || a.json(t)["access_token"] == nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := formPost(t, s, IFlow, "/oauth/token", p, basic); a.status != 400 {
		t.Errorf("a token that was spent: %d %s", a.status, a.body)
	}
	p.Set("grant_type", "x")
	if a := formPost(t, s, IFlow, "/oauth/token", p, basic); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{upstream: IFlow, method: "GET", path: "/api/oauth/getUserInfo?accessToken=x"}).do(t, s); a.json(t)["success"] != false {
		t.Errorf("%s", a.body)
	}
	if a := (call{upstream: IFlow, method: "GET", path: "/v1/models"}).do(t, s); a.status != 400 {
		t.Errorf("%d", a.status)
	}
}

func TestIFlowWantsASignature(t *testing.T) {
	s := start(t)
	key, _ := s.Token(IFlow, "ann@example.test")
	body := m{"model": "glm-5", "messages": []any{m{"role": "user", "content": "x"}}}
	if a := (call{upstream: IFlow, key: key, body: body}).do(t, s); a.status != http.StatusNotAcceptable {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{upstream: IFlow, key: "other", body: body}).do(t, s); a.status != 200 || a.json(t)["status"] != "434" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if _, ok := s.Token(OpenAI, "ann@example.test"); ok {
		t.Error("OpenAI signs nobody in")
	}
	if _, ok := s.Token(Codex, "nobody"); ok {
		t.Error("nobody signs in")
	}
	s.SignIn(IFlow).Advance(time.Hour)
}
