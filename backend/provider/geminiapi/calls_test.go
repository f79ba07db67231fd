package geminiapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/openai"
)

// fake is a service that answers requests in turn and keeps them.
type fake struct {
	t       *testing.T
	srv     *httptest.Server
	answers []string // "400 {...}" or "200 ..."
	bodies  []string
	uris    []string
	headers []http.Header
	log     strings.Builder
}

const ok = `200 {"candidates":[{"content":{"role":"model","parts":[{"text":"fine"}]},"finishReason":"STOP"}]}`

func newFake(t *testing.T, answers ...string) *fake {
	f := &fake{t: t, answers: answers}
	f.srv = httptest.NewServer(f)
	t.Cleanup(f.srv.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	f.bodies, f.uris, f.headers = append(f.bodies, string(b)), append(f.uris, r.Method+" "+r.URL.RequestURI()), append(f.headers, r.Header)
	status, body, _ := strings.Cut(f.answers[min(len(f.bodies), len(f.answers))-1], " ")
	code := 200
	if _, err := fmt.Sscan(status, &code); err != nil {
		f.t.Error(err)
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body) // the client may be gone
}

func (f *fake) open(settings map[string]string) *upstream {
	f.t.Helper()
	cl, err := transport.NewClients(transport.Options{}).Client("")
	if err != nil {
		f.t.Fatal(err)
	}
	env := provider.Env{
		AccountID: "a", HTTP: cl, Settings: map[string]string{provider.SettingBaseURL: f.srv.URL},
		Token: func(context.Context) (provider.Credential, error) {
			return provider.Credential{Access: secret.New("canary-key")}, nil
		},
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	}
	for k, v := range settings {
		env.Settings[k] = v
	}
	up, err := New(provider.Info{ID: "mine"}).Open(env)
	if err != nil {
		f.t.Fatal(err)
	}
	return up.(*upstream)
}

func ask(t *testing.T, u *upstream, req *canon.Request) (*canon.Response, *apierror.Error) {
	t.Helper()
	return providertest.Follow(t, u.Stream(t.Context(), req))
}

func say(parts ...canon.Part) *canon.Request {
	return &canon.Request{Format: "openai", ModelAsked: "asked", Model: "gemini-3-pro-preview", Messages: []canon.Message{{Role: canon.RoleUser, Parts: parts}}}
}

var hi = canon.Part{Type: canon.PartText, Text: "hi"}

func TestAddressesInAllSpellings(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                        "https://generativelanguage.googleapis.com",
		"https://host/":                           "https://host",
		"https://host/v1beta":                     "https://host",
		"https://host/v1beta/":                    "https://host",
		"https://host/v1":                         "https://host",
		"https://host/gate/v1beta/models":         "https://host/gate",
		"https://host/v1beta/openai":              "https://host",
		"generativelanguage.googleapis.com":       "https://generativelanguage.googleapis.com",
		"127.0.0.1:9":                             "http://127.0.0.1:9",
		"https://aiplatform.googleapis.com/v1/x1": "https://aiplatform.googleapis.com/v1/x1",
	} {
		up, err := Driver{}.Open(provider.Env{HTTP: &http.Client{}, Settings: map[string]string{provider.SettingBaseURL: raw}})
		if err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		if got := up.(*upstream).base; got != want {
			t.Errorf("%q: %s", raw, got)
		}
	}
	for _, env := range []provider.Env{{HTTP: &http.Client{}, Settings: map[string]string{provider.SettingBaseURL: "ftp://x"}}, {}} {
		if _, err := (Driver{}).Open(env); err == nil {
			t.Errorf("%+v was opened", env)
		}
	}
}

func TestModelsHaveTheirPath(t *testing.T) {
	for model, want := range map[string]string{
		"gemini-2.5-pro":             "/v1beta/models/gemini-2.5-pro:m",
		"models/gemini-2.5-pro":      "/v1beta/models/gemini-2.5-pro:m",
		"tunedModels/mine":           "/v1beta/tunedModels/mine:m",
		"publishers/google/models/x": "/v1beta/publishers/google/models/x:m",
		"vendor/model:8b":            "/v1beta/models/vendor/model:8b:m",
		"odd name?x=1#y/%2e/{gemini": "/v1beta/models/odd%20name%3Fx=1%23y/%252e/%7Bgemini:m",
		"../../upload/x":             "", "a/./b": "", "a//b": "", "": "",
	} {
		got, err := resource(model, "m")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s %v", model, got, err)
		}
	}
	req := say(hi)
	req.Model = "../x"
	f := newFake(t, ok)
	if _, e := ask(t, f.open(nil), req); e == nil || e.Kind != apierror.ModelNotFound || e.Provider != "mine" || len(f.bodies) != 0 {
		t.Errorf("%v", e)
	}
}

func TestTheKeyIsInItsHeaderOnly(t *testing.T) {
	for settings, want := range map[string]map[string]string{
		"":                          {"X-Goog-Api-Key": "canary-key"},
		"auth_header=Authorization": {"Authorization": "Bearer canary-key"},
		"auth_header=X-Key":         {"X-Key": "canary-key"},
	} {
		f := newFake(t, ok)
		s := map[string]string{provider.SettingHeaderPrefix + "X-Title": "mine"}
		if k, v, ok := strings.Cut(settings, "="); ok {
			s[k] = v
		}
		req := say(hi)
		req.Stream = true
		if _, e := ask(t, f.open(s), req); e != nil {
			t.Fatal(e)
		}
		if f.uris[0] != "POST /v1beta/models/gemini-3-pro-preview:streamGenerateContent?alt=sse" || f.headers[0].Get("X-Title") != "mine" {
			t.Errorf("%s %v", f.uris[0], f.headers[0])
		}
		got := map[string]string{}
		for name, v := range f.headers[0] {
			if strings.Contains(v[0], "canary-key") {
				got[name] = v[0]
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", settings, d)
		}
	}
}

func TestRefusedSignatureStripsTheHistoryOnce(t *testing.T) {
	bad := `400 {"error":{"code":400,"message":"Function call is missing a thought_signature in functionCall parts.","status":"INVALID_ARGUMENT"}}`
	history := func() *canon.Request {
		req := say(hi)
		req.Messages = append(req.Messages,
			canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartToolCall, CallID: "1", Name: "f", Args: []byte("{}"), Opaque: &canon.Opaque{Family: "gemini", Kind: "call", Data: "CpwB"}}}},
			canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "1", Result: []canon.Part{hi}}}})
		return req
	}
	f := newFake(t, bad, ok)
	if r, e := ask(t, f.open(nil), history()); e != nil || r.Parts[0].Text != "fine" {
		t.Fatal(e)
	}
	if !strings.Contains(f.bodies[0], "CpwB") || strings.Contains(f.bodies[1], "CpwB") || !strings.Contains(f.bodies[1], "skip_thought_signature_validator") {
		t.Errorf("%v", f.bodies)
	}
	f = newFake(t, bad)
	if _, e := ask(t, f.open(nil), history()); e == nil || !e.BadSignature || e.Kind != apierror.InvalidRequest || len(f.bodies) != 2 {
		t.Errorf("%v after %d requests", e, len(f.bodies))
	}
}

func TestErrorsOfTheService(t *testing.T) {
	info := `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"37s"}`
	quota := func(id string) string {
		return `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m","quotaId":"` + id + `","quotaValue":"20"}]}`
	}
	body := func(code int, status, msg, details string) string {
		return fmt.Sprintf(`%d {"error":{"code":%d,"message":"%s","status":"%s","details":[%s]}}`, code, code, msg, status, details)
	}
	for name, c := range map[string]struct {
		answer string
		kind   apierror.Kind
		wait   func(time.Duration) bool
	}{
		"a wrong key":     {body(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}`), apierror.AuthExpired, nil},
		"no permission":   {body(403, "PERMISSION_DENIED", "denied", ""), apierror.AccountBlocked, nil},
		"a minute":        {body(429, "RESOURCE_EXHAUSTED", "slow", quota("GenerateRequestsPerMinutePerProjectPerModel")+","+info), apierror.RateLimited, func(d time.Duration) bool { return d == 37*time.Second }},
		"a day":           {body(429, "RESOURCE_EXHAUSTED", "no more", quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")+","+info), apierror.QuotaExhausted, func(d time.Duration) bool { return d > 0 && d <= 25*time.Hour }},
		"another country": {body(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", ""), apierror.PolicyRefused, nil},
		"overloaded":      {body(503, "UNAVAILABLE", "The model is overloaded.", ""), apierror.Overloaded, nil},
		"broken":          {body(500, "INTERNAL", "oops", ""), apierror.Upstream5xx, nil},
		"no such model":   {body(404, "NOT_FOUND", "models/x is not found", ""), apierror.ModelNotFound, nil},
		"an array":        {`429 [{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]`, apierror.RateLimited, nil},
		"inside a stream": {`200 data: {"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}` + "\n\n", apierror.Overloaded, nil},
		"inside an array": {`200 [{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[` + info + `]}}]`, apierror.RateLimited, func(d time.Duration) bool { return d == 37*time.Second }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.answer)
			req := say(hi)
			req.Stream = true
			_, e := ask(t, f.open(nil), req)
			if e == nil || e.Kind != c.kind || c.wait != nil && !c.wait(e.RetryAfter) || len(f.bodies) != 1 {
				t.Errorf("%v, wait %s, %d requests", e, e.RetryAfter, len(f.bodies))
			}
		})
	}
}

func TestABlockedPromptIsARefusal(t *testing.T) {
	f := newFake(t, `200 {"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}`)
	r, e := ask(t, f.open(nil), say(hi))
	if e != nil || r.Finish.Reason != canon.FinishFilter || len(r.Parts) != 1 || r.Parts[0].Type != canon.PartRefusal || !strings.Contains(r.Parts[0].Text, "PROHIBITED_CONTENT") {
		t.Errorf("%+v %v", r, e)
	}
}

func picture(url string) canon.Part {
	return canon.Part{Type: canon.PartImage, Media: &canon.Media{URL: url}}
}

func TestPicturesByAddressAreFetched(t *testing.T) {
	pictures := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = io.WriteString(w, "abc")
	}))
	t.Cleanup(pictures.Close)
	f := newFake(t, ok)
	allowed := map[string]string{provider.SettingMediaHosts: "nas.lan, 127.0.0.1"}
	if _, e := ask(t, f.open(allowed), say(hi, picture(pictures.URL+"/a"), picture(pictures.URL+"/a"))); e != nil {
		t.Fatal(e)
	}
	if strings.Count(f.bodies[0], `{"inlineData":{"mimeType":"image/png","data":"YWJj"}}`) != 2 {
		t.Error(f.bodies[0])
	}
	for format, field := range map[string]string{"openai": "messages", "responses": "input", "anthropic": "messages"} {
		req := say(picture(pictures.URL + "/a?token=canary"))
		req.Format = format
		_, e := ask(t, f.open(nil), req)
		if e == nil || e.Kind != apierror.InvalidRequest || e.Param != field || !strings.Contains(e.Msg, "127.0.0.1") || strings.Contains(e.Error(), "canary") || e.Provider != "mine" {
			t.Errorf("%s: %+v", format, e)
		}
	}
	if len(f.bodies) != 1 {
		t.Errorf("%d requests were sent", len(f.bodies))
	}
	own, err := gemini.Codec{}.Decode(gemini.OpGenerate, httptest.NewRequest(http.MethodPost, "/v1beta/models/x:generateContent", nil),
		[]byte(`{"contents":[{"parts":[{"fileData":{"mimeType":"image/png","fileUri":"https://pictures.example/a"}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	own.Model = "gemini-2.5-pro"
	if _, e := ask(t, f.open(nil), own); e != nil || !strings.Contains(f.bodies[1], "https://pictures.example/a") {
		t.Errorf("what Google fetches itself: %v %v", e, f.bodies)
	}
}

func TestCountTakesContentsOnly(t *testing.T) {
	f := newFake(t, `200 {"totalTokens":31}`, `200 {"totalTokens":0}`)
	req := say(hi)
	req.System, req.Tools = []canon.Part{hi}, []canon.Tool{{Kind: canon.ToolFunction, Name: "f", Schema: []byte(`{"type":"object"}`)}}
	u := f.open(nil)
	if n, err := u.CountTokens(t.Context(), req); n != 31 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if f.bodies[0] != `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}` || f.uris[0] != "POST /v1beta/models/gemini-3-pro-preview:countTokens" {
		t.Errorf("%s %s", f.uris[0], f.bodies[0])
	}
	if _, err := u.CountTokens(t.Context(), req); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("a prompt of no tokens: %v", err)
	}
	if _, err := u.CountTokens(t.Context(), say(picture("http://127.0.0.1:1/x"))); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Errorf("%v", err)
	}
	if _, err := u.CountTokens(t.Context(), say()); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Errorf("nothing to count: %v", err)
	}
}

func TestModelListHasPagesAndFacts(t *testing.T) {
	page := func(names, next string) string {
		return `200 {"models":[` + names + `]` + next + `}`
	}
	f := newFake(t,
		page(`{"name":"models/gemini-2.5-flash","displayName":"Flash","inputTokenLimit":1048576,"outputTokenLimit":65536,"supportedGenerationMethods":["generateContent","countTokens"],"thinking":true},
		 {"name":"models/imagen-4.0","supportedGenerationMethods":["predict"]}`, `,"nextPageToken":"a/b="`),
		page(`{"name":"models/gemini-3-pro-preview","supportedGenerationMethods":["generateContent"]},{"name":"models/gemini-embedding-001","supportedGenerationMethods":["embedContent"]}`, ""))
	models, err := f.open(nil).Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range models {
		ids = append(ids, m.ID)
	}
	if d := cmp.Diff([]string{"gemini-2.5-flash", "gemini-3-pro-preview", "gemini-embedding-001"}, ids); d != "" {
		t.Error(d)
	}
	if m := models[0]; m.Context != 1048576 || m.MaxOutput != 65536 || m.Thinking != canon.Yes || m.BudgetMax != 24576 || m.Name != "Flash" {
		t.Errorf("%+v", m)
	}
	if d := cmp.Diff([]string{"GET /v1beta/models?pageSize=1000", "GET /v1beta/models?pageSize=1000&pageToken=a%2Fb%3D"}, f.uris); d != "" {
		t.Error(d)
	}
	endless := newFake(t, page(`{"name":"models/gemini-x","supportedGenerationMethods":["generateContent"]}`, `,"nextPageToken":"again"`))
	if models, err := endless.open(nil).Models(t.Context()); err != nil || len(models) != maxPages {
		t.Errorf("%d models, %v", len(models), err)
	}
	if models, err := newFake(t, `404 {}`).open(nil).Models(t.Context()); models != nil || err != nil {
		t.Errorf("a service without a list: %v %v", models, err)
	}
	if _, err := newFake(t, `200 [`).open(nil).Models(t.Context()); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
	own, err := f.open(map[string]string{provider.SettingModels: "gemini-2.5-pro, mine"}).Models(t.Context())
	if err != nil || len(own) != 2 || own[0].BudgetMax != 32768 || own[1].ID != "mine" {
		t.Errorf("%+v %v", own, err)
	}
}

func TestEmbeddingsOneAndMany(t *testing.T) {
	f := newFake(t, `200 {"embedding":{"values":[1,2]}}`, `200 {"embeddings":[{"values":[1]},{"values":[2]}]}`, `200 {"embeddings":[{"values":[1]}]}`, `200 {}`)
	u := f.open(nil)
	one := &canon.Embed{Format: "openai", Model: "gemini-embedding-001", Inputs: []string{"a"}}
	two := &canon.Embed{Format: "openai", Model: "gemini-embedding-001", Inputs: []string{"a", "b"}}
	if got, err := u.Embed(t.Context(), one); err != nil || len(got.Vectors) != 1 || f.uris[0] != "POST /v1beta/models/gemini-embedding-001:embedContent" {
		t.Errorf("%v %v", f.uris, err)
	}
	if got, err := u.Embed(t.Context(), two); err != nil || len(got.Vectors) != 2 || f.uris[1] != "POST /v1beta/models/gemini-embedding-001:batchEmbedContents" {
		t.Errorf("%v %v", f.uris, err)
	}
	for _, name := range []string{"too few", "none"} {
		if _, err := u.Embed(t.Context(), two); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := u.Embed(t.Context(), &canon.Embed{Tokens: [][]int64{{1}}}); apierror.From(err).Param != "input" {
		t.Errorf("token ids: %v", err)
	}
}

func TestQuirksChangeTheRequest(t *testing.T) {
	f := newFake(t, ok)
	u := f.open(map[string]string{provider.SettingQuirks: "strict_schema,thinking=budget,no_such_quirk"})
	req := say(hi)
	req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "f", Schema: []byte(`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`)}}
	req.Reasoning = canon.Reasoning{Mode: canon.ReasonOn, Effort: "low"}
	if _, e := ask(t, u, req); e != nil {
		t.Fatal(e)
	}
	if !strings.Contains(f.bodies[0], `"parameters":{"type":"OBJECT"`) || !strings.Contains(f.bodies[0], `"thinkingBudget":1024`) {
		t.Error(f.bodies[0])
	}
	if !strings.Contains(f.log.String(), "no_such_quirk") {
		t.Errorf("no word of the unknown quirk: %s", f.log.String())
	}
}

func TestALoginThatFailsIsToldEverywhere(t *testing.T) {
	f := newFake(t, ok)
	u := f.open(nil)
	u.env.Token = func(context.Context) (provider.Credential, error) {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "sign in again")
	}
	_, e := ask(t, u, say(hi))
	_, models := u.Models(t.Context())
	_, count := u.CountTokens(t.Context(), say(hi))
	_, embed := u.Embed(t.Context(), &canon.Embed{Model: "m", Inputs: []string{"a"}})
	for i, err := range []error{e, models, count, embed} {
		if apierror.KindOf(err) != apierror.AuthExpired || apierror.From(err).Provider != "mine" {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(f.bodies) != 0 {
		t.Error("the service was asked all the same")
	}
}

func TestBadRequestsDoNotLeave(t *testing.T) {
	f := newFake(t, ok)
	req := say(hi)
	req.State.Background = true
	if _, e := ask(t, f.open(nil), req); e == nil || e.Param != "background" || len(f.bodies) != 0 {
		t.Errorf("%v", e)
	}
}

func TestWhatPeopleReadOfTheProvider(t *testing.T) {
	info := Driver{}.Info()
	if info.ID != "gemini" || info.Wire != gemini.Name || info.BaseURL == "" || len(info.Logins) != 1 || info.Off || !slices.Contains(info.KeyEnv, "GEMINI_API_KEY") {
		t.Errorf("%+v", info)
	}
	for _, m := range info.Models {
		if m.Embeddings != canon.Yes && m.Thinking != canon.No && len(m.Efforts) == 0 && m.BudgetMax == 0 && !strings.Contains(m.ID, "image") {
			t.Errorf("%s: nothing says how it thinks", m.ID)
		}
	}
	if got := New(provider.Info{ID: "x", Status: provider.StatusExperimental}).Info(); got.Status != provider.StatusExperimental || got.Wire != gemini.Name {
		t.Errorf("%+v", got)
	}
}

func TestOnlyTheIdempotencyKeyOfAClientGoesOn(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1beta/models/x:generateContent", nil)
	r.Header.Set("Idempotency-Key", "i1")
	r.Header.Set("X-Goog-Api-Key", "client-canary")
	req, err := gemini.Codec{}.Decode(gemini.OpGenerate, r, []byte(`{"contents":[{"parts":[{"text":"x"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "m"
	f := newFake(t, ok)
	if _, e := ask(t, f.open(nil), req); e != nil || f.headers[0].Get("Idempotency-Key") != "i1" || f.headers[0].Get("X-Goog-Api-Key") != "canary-key" {
		t.Errorf("%v %v", e, f.headers)
	}
	chat, err := openai.Codec{}.Decode(openai.OpChat, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil), []byte(`{"model":"x","messages":[{"role":"user","content":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	chat.Model, chat.Headers = "m", map[string][]string{"Idempotency-Key": {"i2"}}
	if _, e := ask(t, f.open(nil), chat); e != nil || f.headers[1].Get("Idempotency-Key") != "" {
		t.Errorf("%v %v", e, f.headers)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(f.bodies[1]), &body); err != nil || body["contents"] == nil {
		t.Errorf("%v %s", err, f.bodies[1])
	}
}
