package simulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func (c call) codex(t *testing.T, s *Server, who string) answer {
	t.Helper()
	c.upstream = Codex
	if c.path == "" {
		c.path = codexRoot + "/responses"
	}
	g, ok := s.SignIn(Codex).Issue(who)
	if !ok {
		t.Fatal(who)
	}
	if c.key == "" {
		c.key = g.Access
	}
	head := map[string]string{"Chatgpt-Account-Id": callerOf(g.User).account}
	for k, v := range c.head {
		head[k] = v
	}
	c.head = head
	return c.do(t, s)
}

// codexAsks is a request as the service wants it.
func codexAsks(more ...any) m {
	said := []any{m{"type": "message", "role": "user", "content": []any{m{"type": "input_text", "text": "hi"}}}}
	return asks(said, append([]any{"stream", true, "store", false, "instructions", "", "include", []any{"reasoning.encrypted_content"}}, more...)...)
}

const ann, bob = "ann@example.test", "bob@example.test"

func TestCodexTakesOnlyWhatItsOwnProgramsSend(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		body m
		says string
	}{
		"stored":      {codexAsks("store", true), "Store must be set to false"},
		"not told":    {codexAsks("store", nil), "Store must be set to false"},
		"whole":       {codexAsks("stream", false), "Stream must be set to true"},
		"temperature": {codexAsks("temperature", 1), "Unsupported parameter: temperature"},
		"a limit":     {codexAsks("max_output_tokens", 100), "Unsupported parameter: max_output_tokens"},
		"a user":      {codexAsks("user", "u"), "Unsupported parameter: user"},
		"a string":    {codexAsks("input", "hi"), "Input must be a list"},
		"system":      {codexAsks("input", []any{m{"role": "system", "content": "x"}}), "System messages are not allowed"},
		"a tier":      {codexAsks("service_tier", "flex"), "service_tier"},
		"parallel":    {codexAsks("parallel_tool_calls", true), "only allowed with tools"},
		"a model":     {codexAsks("model", "gpt-4.1"), "not supported when using Codex"},
		"an id":       {codexAsks("input", []any{m{"type": "message", "role": "user", "id": "msg_" + strings.Repeat("x", 64), "content": "x"}}), "64"},
		"no output":   {codexAsks("input", []any{m{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}}), "No tool output found"},
	} {
		if a := (call{body: c.body}).codex(t, s, ann); a.status != 400 || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := call{body: codexAsks("prompt_cache_key", "k", "client_metadata", m{"a": "b"})}.codex(t, s, ann)
	r := responseOf(t, a)
	if a.status != 200 || len(r["output"].([]any)) != 0 || !strings.Contains(a.body, "You said: hi") || !strings.Contains(a.body, "codex.rate_limits") || r["prompt_cache_key"] != "k" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a.head.Get("X-Codex-Primary-Used-Percent") != "42.5" || a.head.Get("X-Codex-Turn-State") == "" {
		t.Errorf("%v", a.head)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := string(enc.EncodeAll(encode(codexAsks()), nil))
	if a := (call{body: packed, head: map[string]string{"Content-Encoding": "zstd"}}).codex(t, s, ann); a.status != 200 {
		t.Errorf("zstd: %d %s", a.status, a.body)
	}
	for body, encoding := range map[string]string{"{": "", "x": "zstd", "y": "br"} {
		if a := (call{body: body, head: map[string]string{"Content-Encoding": encoding}}).codex(t, s, ann); a.status != 400 {
			t.Errorf("%s: %d %s", encoding, a.status, a.body)
		}
	}
}

func TestCodexKnowsWhoAsks(t *testing.T) {
	s := start(t)
	if a := (call{body: codexAsks(), key: "sk-sim-one"}).codex(t, s, ann); a.status != 401 || at(a.json(t), "error", "code") != "token_expired" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{body: codexAsks(), head: map[string]string{"Chatgpt-Account-Id": "other"}}).codex(t, s, ann); a.status != 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{body: codexAsks("model", "gpt-6.1-sol")}).codex(t, s, bob); a.status != 400 {
		t.Errorf("a model that the plan does not have: %d %s", a.status, a.body)
	}
	for path, want := range map[string]string{
		"/backend-api/wham/accounts/check": "NO_CONSTRAINT", "/backend-api/wham/usage": `"limit_window_seconds":18000`,
		codexRoot + "/models?client_version=1": "gpt-6.1-sol",
	} {
		if a := (call{method: "GET", path: path}).codex(t, s, ann); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a := (call{method: "GET", path: path, key: "x"}).codex(t, s, ann); a.status != 401 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for path, status := range map[string]int{codexRoot + "/models": 400, codexRoot + "/responses": 426, "/nothing": 404} {
		if a := (call{method: "GET", path: path}).codex(t, s, ann); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestCodexSignInWantsItsParameters(t *testing.T) {
	s := start(t)
	good := url.Values{"response_type": {"code"}, "client_id": {"app_EMoamEEZ73f0CkXaXp7hrann"}, "redirect_uri": {"http://localhost:1455/auth/callback"}, "state": {"s"},
		"code_challenge": {"c"}, "code_challenge_method": {"S256"}, "scope": {"openid offline_access"}, "originator": {"x"},
		"id_token_add_organizations": {"true"}, "codex_cli_simplified_flow": {"true"}}
	get := func(q url.Values) int {
		resp, err := http.Get(s.LoginURL(Codex) + "/oauth/authorize?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if n := get(good); n != 200 {
		t.Fatal(n)
	}
	for name := range good {
		q := url.Values{}
		for k, v := range good {
			if k != name {
				q[k] = v
			}
		}
		if n := get(q); n != 400 {
			t.Errorf("without %s: %d", name, n)
		}
	}
	good.Set("redirect_uri", "http://localhost:1456/auth/callback")
	if n := get(good); n != 400 {
		t.Errorf("another port: %d", n)
	}
}

func TestCodexTokensRotate(t *testing.T) {
	s := start(t)
	o := s.SignIn(Codex)
	g, _ := o.Issue(ann)
	renew := func(p url.Values, kind string) answer {
		p.Set("client_id", "app_EMoamEEZ73f0CkXaXp7hrann")
		return call{upstream: Codex, path: "/oauth/token", body: p.Encode(), head: map[string]string{"Content-Type": kind}}.do(t, s)
	}
	const form = "application/x-www-form-urlencoded"
	p := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.Refresh}}
	a := renew(p, form)
	fresh, _ := a.json(t)["refresh_token"].(string)
	if a.status != 200 || fresh == g.Refresh || fresh == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := renew(p, form); a.status != 401 || at(a.json(t), "error", "code") != "refresh_token_reused" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := renew(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fresh}}, form); a.status != 401 || at(a.json(t), "error", "code") != "refresh_token_invalidated" {
		t.Errorf("the login is over: %d %s", a.status, a.body)
	}
	if a := renew(url.Values{"grant_type": {"x"}}, form); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{upstream: Codex, path: "/oauth/token", body: "{"}).do(t, s); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{upstream: Codex, path: "/oauth/token", body: m{"client_id": "x"}}).do(t, s); a.status != 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if c := o.Counts(); c.Refreshes != 1 || c.Reuses != 1 {
		t.Errorf("%+v", c)
	}
}

func TestCodexDeviceLogin(t *testing.T) {
	s := start(t)
	o := s.SignIn(Codex)
	post := func(path string, body m) answer {
		return call{upstream: Codex, path: "/api/accounts/deviceauth/" + path, body: body}.do(t, s)
	}
	if a := post("usercode", m{"client_id": "x"}); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	a := post("usercode", m{"client_id": "app_EMoamEEZ73f0CkXaXp7hrann"}).json(t)
	if _, text := a["interval"].(string); !text {
		t.Errorf("%v", a)
	}
	ask := m{"device_auth_id": a["device_auth_id"], "user_code": a["user_code"]}
	if a := post("token", ask); a.status != 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := post("token", m{"device_auth_id": a["device_auth_id"], "user_code": "x"}); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	o.Approve(a["user_code"].(string), bob)
	o.Advance(time.Minute)
	if a := post("token", ask); a.status != 200 || a.json(t)["code_verifier"] == nil {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEveryCodexRefusalIsReachable(t *testing.T) {
	s := start(t)
	for which, r := range codexRefusals {
		s.Script(Codex, Scenario("codex_refusal:which="+which))
		if a := (call{body: codexAsks()}).codex(t, s, ann); a.status != r.status {
			t.Errorf("%s: %d %s", which, a.status, a.body)
		}
	}
	for _, kind := range []string{"rate_limit", "insufficient_quota", "overload", "context_too_long", "unauthorized", "forbidden", "billing", "timeout", "not_found", "invalid_signature", "server_error"} {
		s.Script(Codex, Scenario(kind))
		if a := (call{body: codexAsks()}).codex(t, s, ann); a.status < 400 {
			t.Errorf("%s: %d %s", kind, a.status, a.body)
		}
	}
	s.Script(OpenAI, "codex_refusal")
	if a := (call{body: m{"model": "gpt-4.1", "messages": []any{m{"role": "user", "content": "x"}}}}).do(t, s); a.status != 500 {
		t.Errorf("elsewhere: %d", a.status)
	}
	s.Script(Codex, "error_event", "codex_failed:which=at_capacity")
	for _, want := range []string{"event: error", "response.failed"} {
		if a := (call{body: codexAsks()}).codex(t, s, ann); !strings.Contains(a.body, want) {
			t.Error(a.body)
		}
	}
}
