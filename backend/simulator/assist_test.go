package simulator

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// assistTest is a client of the simulated Code Assist service.
type assistTest struct {
	t     *testing.T
	s     *Server
	token string
	agent string
}

func newAssistTest(t *testing.T, upstream, email string) *assistTest {
	s := New(Options{})
	g, ok := s.Assist(upstream).Issue(email)
	if !ok {
		t.Fatal(email)
	}
	return &assistTest{t, s, g.Access, "antigravity/hub/2.9.1 darwin/arm64"}
}

func (a *assistTest) call(upstream, method, body string) (int, string) {
	r := httptest.NewRequest("POST", "/"+upstream+"/v1internal:"+method, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("User-Agent", a.agent)
	w := httptest.NewRecorder()
	a.s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// ask sends a request in a good envelope.
func (a *assistTest) ask(upstream, model, inner string) (int, string) {
	if upstream == GeminiCLI {
		return a.call(upstream, "generateContent", `{"model":"`+model+`","project":"`+assistProject+`","user_prompt_id":"x","request":`+inner+`}`)
	}
	return a.call(upstream, "streamGenerateContent?alt=sse", `{"model":"`+model+`","project":"`+assistProject+
		`","userAgent":"antigravity","requestType":"agent","requestId":"agent-7d8f6e1c-0f0b-4f7e-9b38-3a1c2f4d5e6a","request":`+inner+`}`)
}

// TestAssistRequests: each of these is refused with words that name what is wrong, or answered.
func TestAssistRequests(t *testing.T) {
	const hi = `"contents":[{"role":"user","parts":[{"text":"hi"}]}]`
	tool := func(schema string) string {
		return `{` + hi + `,"tools":[{"functionDeclarations":[{"name":"f","parameters":` + schema + `}]}]}`
	}
	jsonTool := func(schema string) string {
		return strings.Replace(tool(schema), "parameters", "parametersJsonSchema", 1)
	}
	thought := func(text string) string {
		sig := base64.StdEncoding.EncodeToString([]byte(mint("hm", "claude", 1)))
		return `{"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"thought":true,"text":"` + text + `","thoughtSignature":"` + sig +
			`"},{"text":"x"}]},{"role":"user","parts":[{"text":"on"}]}]}`
	}
	for name, c := range map[string]struct {
		upstream, model, inner string
		status                 int
		says                   string
	}{
		"plain":                     {GeminiCLI, "gemini-2.5-pro", `{` + hi + `,"session_id":"b6d1"}`, 200, `"response":{"candidates"`},
		"a model that is not":       {GeminiCLI, "gemini-1", `{` + hi + `}`, 404, "Requested entity was not found."},
		"an unknown member":         {GeminiCLI, "gemini-2.5-pro", `{` + hi + `,"store":true}`, 400, `Unknown name \"store\" at 'request': Cannot find field.`},
		"an unknown setting":        {GeminiCLI, "gemini-2.5-pro", `{` + hi + `,"generationConfig":{"imageConfig":{}}}`, 400, `Unknown name \"imageConfig\"`},
		"no role":                   {GeminiCLI, "gemini-2.5-pro", `{"contents":[{"parts":[{"text":"hi"}]}]}`, 400, "valid role"},
		"begins with the model":     {GeminiCLI, "gemini-2.5-pro", `{"contents":[{"role":"model","parts":[{"text":"a"}]},{"role":"user","parts":[{"text":"hi"}]}]}`, 400, "begin with a user turn"},
		"an empty part":             {GeminiCLI, "gemini-2.5-pro", `{"contents":[{"role":"user","parts":[{}]}]}`, 400, "required oneof field 'data'"},
		"a text for instructions":   {GeminiCLI, "gemini-2.5-pro", `{` + hi + `,"systemInstruction":"x"}`, 400, "system_instruction"},
		"search beside functions":   {GeminiCLI, "gemini-2.5-pro", `{` + hi + `,"tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"f"}]}]}`, 400, "Tool use with function calling"},
		"a schema":                  {GeminiCLI, "gemini-2.5-pro", jsonTool(`{"type":"object","properties":{"format":{"type":"string"}}}`), 200, ""},
		"a keyword too many":        {GeminiCLI, "gemini-2.5-pro", jsonTool(`{"type":"object","properties":{"a":{"type":"string","default":"x"}}}`), 400, `Unknown name \"default\"`},
		"both ways of thinking":     {GeminiCLI, "gemini-3-pro-preview", `{` + hi + `,"generationConfig":{"thinkingConfig":{"thinkingBudget":1,"thinkingLevel":"LOW"}}}`, 400, "only one of thinking budget"},
		"a call without signature":  {GeminiCLI, "gemini-3-pro-preview", `{"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, 400, "missing a thought_signature"},
		"antigravity":               {Antigravity, "gemini-3-flash-agent", `{` + hi + `,"sessionId":"-12"}`, 200, `data: {"response"`},
		"a session of another kind": {Antigravity, "gemini-3-flash-agent", `{` + hi + `,"sessionId":"b6d1"}`, 400, "session_id"},
		"JSON schema there":         {Antigravity, "gemini-3-flash-agent", jsonTool(`{"type":"object","properties":{}}`), 400, `Unknown name \"parametersJsonSchema\"`},
		"values of a list there":    {Antigravity, "gemini-3-flash-agent", tool(`{"type":"object","properties":{"a":{"type":"string","enum":["x"]}}}`), 400, `Unknown name \"enum\"`},
		"a level for a budget":      {Antigravity, "gemini-3-flash-agent", `{` + hi + `,"generationConfig":{"thinkingConfig":{"thinkingLevel":"low"}}}`, 400, "Thinking level LOW is not supported"},
		"over the limit":            {Antigravity, "gemini-3-flash-agent", `{` + hi + `,"generationConfig":{"maxOutputTokens":131072}}`, 400, "max_output_tokens 131072"},
		"claude":                    {Antigravity, "claude-sonnet-4-6", `{` + hi + `}`, 200, ""},
		"claude without VALIDATED":  {Antigravity, "claude-sonnet-4-6", tool(`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`), 400, "VALIDATED is expected"},
		"an object that demands nothing": {Antigravity, "claude-sonnet-4-6", strings.TrimSuffix(tool(`{"type":"object","properties":{"a":{"type":"object","properties":{}}}}`), "}") +
			`,"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}}`, 400, "needs a required property"},
		"a budget over the limit":   {Antigravity, "claude-sonnet-4-6", `{` + hi + `,"generationConfig":{"maxOutputTokens":2000,"thinkingConfig":{"thinkingBudget":4000}}}`, 400, "must be greater than"},
		"claude's thought":          {Antigravity, "claude-sonnet-4-6", thought("hm"), 200, ""},
		"a thought that was edited": {Antigravity, "claude-sonnet-4-6", thought("other"), 400, "Invalid `signature`"},
		"an empty text for claude":  {Antigravity, "claude-sonnet-4-6", `{"contents":[{"role":"user","parts":[{"text":""},{"text":"x"}]}]}`, 400, "non-empty"},
		"a prefill for claude":      {Antigravity, "claude-sonnet-4-6", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"y"}]}]}`, 400, "prefill"},
		"claude's ids": {Antigravity, "claude-sonnet-4-6", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{},"id":"a b"}},{"text":"late"}]},` +
			`{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, 400, "should match pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAssistTest(t, c.upstream, "ann@example.test")
			status, body := a.ask(c.upstream, c.model, c.inner)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// TestAssistEnvelopes: what stands around a request is checked too.
func TestAssistEnvelopes(t *testing.T) {
	a := newAssistTest(t, Antigravity, "ann@example.test")
	const hi = `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`
	for body, says := range map[string]string{
		`{"model":"gemini-3-flash","request":` + hi + `}`:                                                             "a project is required",
		`{"model":"gemini-3-flash","project":"p","request":` + hi + `}`:                                               "CONSUMER_INVALID",
		`{"model":"gemini-3-flash","project":"` + assistProject + `"}`:                                                "request is required",
		`{"model":"gemini-3-flash","project":"` + assistProject + `","request":` + hi + `}`:                           "antigravity is expected",
		`{"model":"gemini-3-flash","project":"` + assistProject + `","userAgent":"antigravity","request":` + hi + `}`: "request_type",
		`{"x":`: "Invalid JSON payload",
	} {
		if status, got := a.call(Antigravity, "streamGenerateContent?alt=sse", body); status < 400 || !strings.Contains(got, says) {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
	a.agent = "antigravity/1.15.8 windows/amd64"
	if status, got := a.ask(Antigravity, "gemini-pro-agent", hi); status != 404 || !strings.Contains(got, "NOT_FOUND") {
		t.Error(status, got)
	}
	a.token = "ya29.nobody"
	if status, got := a.ask(Antigravity, "gemini-3-flash", hi); status != 401 || !strings.Contains(got, "UNAUTHENTICATED") {
		t.Error(status, got)
	}
	r := httptest.NewRequest("POST", "/antigravity/v1internal:loadCodeAssist", strings.NewReader(`{}`))
	r.Header.Set("Anthropic-Version", "x")
	w := httptest.NewRecorder()
	if a.s.Handler().ServeHTTP(w, r); w.Code != 400 || !strings.Contains(w.Body.String(), "header of another client") {
		t.Error(w.Code, w.Body)
	}
}

// TestAssistSetUp: the calls of the set-up, and what they refuse.
func TestAssistSetUp(t *testing.T) {
	a := newAssistTest(t, GeminiCLI, "new@example.test")
	for _, c := range []struct{ method, body, says string }{
		{"loadCodeAssist", `{"metadata":{"ideType":"MINE"}}`, "Invalid value at 'metadata.ide_type'"},
		{"loadCodeAssist", `{"metadata":{"ideType":"IDE_UNSPECIFIED"}}`, `"allowedTiers":[{"id":"free-tier"`},
		{"onboardUser", `{"tierId":"none-such"}`, "unknown tier"},
		{"onboardUser", `{"tierId":"free-tier","cloudaicompanionProject":"p"}`, "FAILED_PRECONDITION"},
		{"onboardUser", `{"tierId":"free-tier"}`, `"done":false`},
		{"onboardUser", `{"tierId":"free-tier"}`, `"done":false`},
		{"onboardUser", `{"tierId":"free-tier"}`, `"done":true,"response":{"cloudaicompanionProject":{"id":"` + assistProject},
		{"loadCodeAssist", `{}`, `"currentTier":{"id":"standard-tier"`},
		{"retrieveUserQuota", `{"project":"` + assistProject + `"}`, `"remainingFraction":1`},
		{"fetchAvailableModels", `{}`, "Requested entity was not found."},
		{"countTokens", `{"request":{"model":"m","contents":[]}}`, "unexpected model name format"},
		{"countTokens", `{"request":{"contents":[{"parts":[{"thought":true,"text":"x"}]}]}}`, "required oneof field"},
		{"countTokens", `{"request":{"contents":[]}}`, "contents is not specified"},
	} {
		if _, got := a.call(GeminiCLI, c.method, c.body); !strings.Contains(got, c.says) {
			t.Errorf("%s %s: %s", c.method, c.body, got)
		}
	}
	a.s.Reset()
	if _, got := a.call(GeminiCLI, "loadCodeAssist", `{}`); !strings.Contains(got, "allowedTiers") || strings.Contains(got, "currentTier") {
		t.Error("what was set up is not forgotten:", got)
	}
}

// TestAssistQuota: each host counts for itself, and a used-up share is left out.
func TestAssistQuota(t *testing.T) {
	a := newAssistTest(t, Antigravity, "ann@example.test")
	const hi = `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`
	a.ask(Antigravity, "claude-sonnet-4-6", hi)
	body := `{"project":"` + assistProject + `"}`
	if _, got := a.call(Antigravity, "retrieveUserQuotaSummary", body); !strings.Contains(got, `"remainingFraction":0.999`) {
		t.Error(got)
	}
	if _, got := a.call(AntigravityProd, "retrieveUserQuotaSummary", body); strings.Contains(got, "0.999") || !strings.HasPrefix(got, `{"response":`) {
		t.Error(got)
	}
	st := a.s.assists[Antigravity]
	st.mu.Lock()
	st.used["antigravity ann@example.test gemini"] = assistLimit
	st.mu.Unlock()
	_, got := a.call(Antigravity, "retrieveUserQuotaSummary", body)
	if n := strings.Count(got, "remainingFraction"); n != 2 {
		t.Error(n, got)
	}
	if _, got := a.call(Antigravity, "fetchAvailableModels", `{}`); strings.Count(got, `"remainingFraction":1`) != len(antigravityModels) {
		t.Error("without a project all is there:", got)
	}
}

// TestAssistPage: the sign-in page wants what Google's needs for a login that can be renewed.
func TestAssistPage(t *testing.T) {
	s := New(Options{})
	open := func(change func(url.Values)) (int, string) {
		q := url.Values{"client_id": {assistGeminiRules.client}, "response_type": {"code"}, "redirect_uri": {"http://127.0.0.1:1/oauth2callback"}, "state": {"s"},
			"access_type": {"offline"}, "prompt": {"consent"},
			"scope": {"https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile"}}
		change(q)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/gemini-cli/o/oauth2/v2/auth?"+q.Encode(), nil))
		return w.Code, w.Body.String()
	}
	if status, body := open(func(url.Values) {}); status != 200 || !strings.Contains(body, "Sign in as ann@example.test") {
		t.Error(status, body)
	}
	for says, change := range map[string]func(url.Values){
		"Missing scope": func(q url.Values) { q.Set("scope", "x") }, "no refresh token": func(q url.Values) { q.Del("prompt") },
		"client was not found": func(q url.Values) { q.Set("client_id", "x") }, "redirect_uri_mismatch": func(q url.Values) { q.Set("redirect_uri", "http://else.where/x") },
	} {
		if status, body := open(change); status != http.StatusBadRequest || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s", says, status, body)
		}
	}
}

// TestAssistRows: every row has a body that is JSON, in each form.
func TestAssistRows(t *testing.T) {
	for _, form := range []string{"object", "array", "nested", "event"} {
		a := newAssistTest(t, GeminiCLI, "ann@example.test")
		a.s.Script(GeminiCLI, Scenario("google:row=quota,form="+form))
		status, body := a.ask(GeminiCLI, "gemini-2.5-pro", `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`)
		if status != 429 || !strings.Contains(body, "QUOTA_EXHAUSTED") || !json.Valid([]byte(strings.TrimPrefix(strings.TrimSpace(body), "data: "))) {
			t.Errorf("%s: %d %s", form, status, body)
		}
	}
	if status, _ := assistRow("none-such", ""); status != 400 {
		t.Error(status)
	}
}
