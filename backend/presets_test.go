package backend

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/config"
	"patchbay/backend/preset"
	"patchbay/backend/provider"
	"patchbay/backend/provider/anthropiccompat"
	"patchbay/backend/provider/openaicompat"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
	"patchbay/backend/wire/openai"
)

func TestEveryQuirkOfAPresetIsOneOfItsKind(t *testing.T) {
	knows := map[string]func(string) bool{"openai": openaicompat.KnowsQuirk, "anthropic": anthropiccompat.KnowsQuirk}
	builtin := map[string]bool{}
	for _, d := range providers {
		builtin[d.Info().ID] = true
	}
	for _, p := range preset.BuiltIn().All() {
		if builtin[p.ID] {
			t.Errorf("%s is the id of a built-in provider", p.ID)
		}
		for _, q := range p.Quirks {
			if know := knows[p.Kind]; know == nil || !know(q) {
				t.Errorf("%s: the kind %s has no quirk %q", p.ID, p.Kind, q)
			}
		}
	}
}

func TestPresetIsAddedByOneWord(t *testing.T) {
	b := openTest(t, "# mine\n", nil)
	ctx := t.Context()
	p := ok(b.AddProvider(ctx, api.NewProvider{ID: "deepseek", Preset: "deepseek"}))(t)
	if p.Kind != "openai" || p.BaseURL != "https://api.deepseek.com" || p.Name != "DeepSeek" || p.Preset != "deepseek" || p.KeyURL == "" || p.NoKey {
		t.Errorf("%+v", p)
	}
	text, err := os.ReadFile(b.o.Paths.Config)
	if err != nil || !strings.Contains(string(text), "preset: deepseek") || strings.Contains(string(text), "base_url") {
		t.Errorf("only the name belongs into the settings: %s %v", text, err)
	}
	for _, pv := range ok(b.Presets(ctx))(t) {
		if (pv.Provider == "deepseek") != (pv.ID == "deepseek") {
			t.Errorf("%s is used as %q", pv.ID, pv.Provider)
		}
	}
	_, settings, err := b.driver("deepseek")
	if err != nil || !strings.Contains(settings[provider.SettingQuirks], "string_content") {
		t.Errorf("%v %v", settings, err)
	}
	_, err = b.AddAccount(ctx, api.NewAccount{Provider: "deepseek"})
	refused(t, err, apierror.InvalidRequest, "key", "needs a key")
	for _, c := range []struct {
		p           api.NewProvider
		param, text string
	}{
		{api.NewProvider{ID: "x", Preset: "unheard-of"}, "preset", "patchbay providers presets"},
		{api.NewProvider{ID: "x", Preset: "azure-openai"}, "base_url", "RESOURCE"},
		{api.NewProvider{ID: "ollama", Preset: "lm-studio"}, "providers.ollama", "local-ollama"},
	} {
		_, err := b.AddProvider(ctx, c.p)
		refused(t, err, apierror.InvalidRequest, c.param, c.text)
	}
	azure := ok(b.AddProvider(ctx, api.NewProvider{ID: "azure", Preset: "azure-openai", BaseURL: "mine.openai.azure.com/openai/v1/chat/completions"}))(t)
	if azure.BaseURL != "https://mine.openai.azure.com/openai/v1" {
		t.Errorf("%+v", azure)
	}
}

func TestPresetsInTheSettingsAreChecked(t *testing.T) {
	for settings, want := range map[string]string{
		"providers:\n  x: {preset: unheard-of}\n":                       "unheard-of",
		"providers:\n  x: {preset: azure-openai}\n":                     "RESOURCE",
		"providers:\n  x: {preset: deepseek, kind: openai}\n":           "preset says",
		"providers:\n  openai: {preset: deepseek}\n":                    "built in",
		"providers:\n  x: {kind: telepathy, base_url: \"https://h\"}\n": "telepathy",
	} {
		paths := tempPaths(t)
		if err := os.MkdirAll(paths.Dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(paths.Config, []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(t.Context(), Options{Paths: paths, Env: []string{}, Flags: map[string]string{"server.listen": "127.0.0.1:0"}})
		if err == nil {
			_ = b.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestAPersonsPresetsAreUsed(t *testing.T) {
	b := openTest(t, "", nil)
	own := "presets:\n  - {id: house, name: House, kind: openai, base_url: \"http://10.9.8.7/v1\", models: {list: static, known: [{id: big}]}}\n"
	if err := os.WriteFile(b.o.Paths.Presets(), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(b.AddProvider(t.Context(), api.NewProvider{ID: "mine", Preset: "house"}))(t)
	ok(b.AddAccount(t.Context(), api.NewAccount{Provider: "mine", Key: secret.New("k")}))(t)
	models := ok(b.Models(t.Context(), "mine"))(t)
	if len(models) != 1 || models[0].ID != "big" || !models[0].Assumed || models[0].Context == 0 {
		t.Errorf("%+v", models)
	}
	if err := os.WriteFile(b.o.Paths.Presets(), []byte("presets:\n  - {id: house, nmae: House}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := b.Presets(t.Context())
	refused(t, err, apierror.InvalidRequest, "", "nmae")
}

func TestLoopIsRefusedWhenSettingsChange(t *testing.T) {
	b := openTest(t, "providers:\n  x: {kind: openai, base_url: \"http://127.0.0.1:9/v1\"}\n", func(o *Options) {
		o.Flags = map[string]string{"server.listen": "127.0.0.1:8390"}
	})
	err := b.settings.Set("providers.x.base_url", "http://localhost:8390/v1")
	refused(t, explain(err), apierror.InvalidRequest, "providers.x.base_url", "own address")
}

// history is a tool loop in its second turn, of a client of another format.
func history() *canon.Request {
	call := canon.Part{Type: canon.PartToolCall, CallID: "toolu_012345", Name: "look", Args: jsontext.Value(`{"at":1}`)}
	return &canon.Request{
		Format: "anthropic", Op: "messages", ModelAsked: "sim-chat", Model: "sim-chat",
		System: []canon.Part{{Type: canon.PartText, Text: "Be brief."}},
		Tools:  []canon.Tool{{Kind: canon.ToolFunction, Name: "look", Schema: jsontext.Value(`{"type":"object","properties":{"at":{"type":"integer"}}}`)}},
		Messages: []canon.Message{
			{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "look"}, {Type: canon.PartText, Text: "closely"}}},
			{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartReasoning, Text: "I look"}, call}},
			{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "toolu_012345", Result: []canon.Part{{Type: canon.PartText, Text: "nothing"}}}}},
		},
	}
}

// chatHistory is the same of a chat client that sends no thinking back, or all of it.
func chatHistory(t *testing.T, thinking string) *canon.Request {
	t.Helper()
	body := `{"model":"sim-chat","messages":[{"role":"developer","content":[{"type":"text","text":"Be brief."}]},{"role":"user","content":[{"type":"text","text":"look"},{"type":"text","text":"closely"}]},` +
		`{"role":"assistant","content":null` + thinking + `,"tool_calls":[{"id":"call_0123456789","type":"function","function":{"name":"look","arguments":"{\"at\":1}"}}]},` +
		`{"role":"tool","tool_call_id":"call_0123456789","content":"nothing"}],"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}}]}`
	req, err := openai.Codec{}.Decode(openai.OpChat, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "sim-chat"
	return req
}

// presetUpstream opens a preset whose service is at another address.
func presetUpstream(t *testing.T, id, base string) provider.Upstream {
	t.Helper()
	cfg := config.Default()
	cfg.Providers = map[string]config.Provider{id: {Preset: id, BaseURL: base}}
	for _, o := range offers(cfg, preset.BuiltIn()) {
		if o.info.ID != id {
			continue
		}
		up, err := o.driver.Open(provider.Env{
			Provider: id, HTTP: http.DefaultClient, Settings: o.settings,
			Token: func(context.Context) (provider.Credential, error) {
				return provider.Credential{Access: secret.New("sk-sim-one")}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return up
	}
	t.Fatalf("%s is not offered", id)
	return nil
}

func TestVendorsTakeAToolLoop(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	for id, upstream := range map[string]string{
		"deepseek": simulator.DeepSeek, "kimi": simulator.Kimi, "mistral": simulator.Mistral, "groq": simulator.Groq,
		"minimax": simulator.MiniMax, "zai": simulator.GLM, "openrouter": simulator.OpenRouter,
	} {
		up := presetUpstream(t, id, sim.BaseURL(upstream))
		for name, req := range map[string]*canon.Request{
			"another format": history(), "chat without thinking": chatHistory(t, ""), "chat with thinking": chatHistory(t, `,"reasoning_content":"I look"`),
		} {
			if _, err := canon.Collect(up.Stream(t.Context(), req)); err != nil {
				t.Errorf("%s, %s: %v", id, name, err)
			}
		}
	}
}

// recorder answers everything and keeps what it got.
type recorder struct {
	*httptest.Server
	bodies  []string
	headers []http.Header
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.bodies, r.headers = append(r.bodies, string(b)), append(r.headers, req.Header)
		_, _ = io.WriteString(w, `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`)
	}))
	t.Cleanup(r.Close)
	return r
}

func TestWhatEachPresetSends(t *testing.T) {
	high := canon.Reasoning{Mode: canon.ReasonOn, Effort: "xhigh", Source: "effort"}
	off := canon.Reasoning{Mode: canon.ReasonOff, Source: "bool"}
	for _, c := range []struct {
		id         string
		change     func(*canon.Request)
		want, none []string
	}{
		{"deepseek", func(r *canon.Request) { r.Reasoning = high }, []string{`"reasoning_effort":"max"`, `"thinking":{"type":"enabled"}`, `"reasoning_content":"I look"`, `"content":"look\n\nclosely"`}, nil},
		{"deepseek", func(r *canon.Request) { r.Reasoning.Mode, r.Reasoning.Effort = canon.ReasonOn, "low" }, []string{`"reasoning_effort":"high"`}, nil},
		{"deepseek", func(r *canon.Request) { r.Reasoning = off }, []string{`"thinking":{"type":"disabled"}`}, []string{"reasoning_effort"}},
		{"kimi", func(r *canon.Request) { r.Messages[1].Parts = r.Messages[1].Parts[1:] }, []string{`"reasoning_content":" "`, `"max_tokens":32768`}, nil},
		{"kimi", func(r *canon.Request) { r.Reasoning = off }, []string{`"thinking":{"type":"disabled"}`}, nil},
		{"minimax", func(r *canon.Request) {
			r.Messages = append(r.Messages, canon.Message{Role: canon.RoleSystem, Parts: []canon.Part{{Type: canon.PartText, Text: "later"}}})
		}, []string{`"reasoning_split":true`, `\nlater\n`}, []string{`{"role":"system","content":"later"}`}},
		{"zai", func(r *canon.Request) {
			r.Stream, r.Reasoning = true, high
			r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceRequired}
		}, []string{`"tool_stream":true`, `"tool_choice":"auto"`, `"thinking":{"type":"enabled"}`}, []string{"reasoning_effort"}},
		{"dashscope", func(r *canon.Request) {
			n := int64(2000)
			r.Reasoning = canon.Reasoning{Mode: canon.ReasonOn, Budget: &n, Source: "budget"}
			r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceRequired}
			r.System[0].Cache = &canon.Cache{}
		}, []string{`"enable_thinking":true`, `"thinking_budget":2000`, `"tool_choice":"auto"`, `"max_tokens":8192`, `"cache_control":{"type":"ephemeral"}`}, []string{"reasoning_effort"}},
		{"dashscope", func(r *canon.Request) { r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNone} }, []string{`"tool_choice":"none"`}, nil},
		{"dashscope", func(r *canon.Request) { r.Stream, r.Tools, r.Messages = true, nil, r.Messages[:1] }, []string{`do_not_call_me`}, nil},
		{"openrouter", func(r *canon.Request) {
			r.Reasoning = high
			r.Messages[1].Parts[0].Ext = map[string]jsontext.Value{"reasoning_details": jsontext.Value(`[{"type":"reasoning.text","text":"I look","signature":"s"}]`)}
		}, []string{`"reasoning":{"effort":"high"}`, `"reasoning_details":[{"type":"reasoning.text","text":"I look","signature":"s"}]`}, nil},
		{"mistral", func(r *canon.Request) { n := int64(3); r.Sampling.Seed = &n }, []string{`"random_seed":3`}, []string{"reasoning_content", "toolu_012345", "stream_options"}},
		{"groq", func(*canon.Request) {}, nil, []string{"reasoning_content"}},
		{"modelscope", func(r *canon.Request) { r.Reasoning = high }, []string{`"enable_thinking":true`}, []string{"stream_options"}},
		{"siliconflow", func(r *canon.Request) { r.Reasoning = off }, []string{`"enable_thinking":false`}, nil},
	} {
		rec := newRecorder(t)
		req := history()
		c.change(req)
		if _, err := canon.Collect(presetUpstream(t, c.id, rec.URL+"/v1").Stream(t.Context(), req)); err != nil {
			t.Errorf("%s: %v", c.id, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(rec.bodies[0], w) {
				t.Errorf("%s: %s is missing in %s", c.id, w, rec.bodies[0])
			}
		}
		for _, w := range c.none {
			if strings.Contains(rec.bodies[0], w) {
				t.Errorf("%s: %s is in %s", c.id, w, rec.bodies[0])
			}
		}
	}
}

func TestHeadersOfPresets(t *testing.T) {
	rec := newRecorder(t)
	for i, c := range []struct{ id, header, want string }{
		{"openrouter", "X-Openrouter-Title", "Patchbay"}, {"azure-openai", "Api-Key", "sk-sim-one"}, {"deepseek", "Authorization", "Bearer sk-sim-one"},
	} {
		if _, err := canon.Collect(presetUpstream(t, c.id, rec.URL+"/v1").Stream(t.Context(), history())); err != nil {
			t.Fatal(err)
		}
		if got := rec.headers[i].Get(c.header); got != c.want {
			t.Errorf("%s: %s is %q", c.id, c.header, got)
		}
		if c.header == "Api-Key" && rec.headers[i].Get("Authorization") != "" {
			t.Error("azure gets the key twice")
		}
	}
	if slices.ContainsFunc(rec.headers, func(h http.Header) bool { return h.Get("Referer") != "" }) {
		t.Error("a referer went out")
	}
}

func TestAccountTestKeepsTheAddressThatWorks(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/v1/models":
			http.NotFound(w, r)
		case r.Header.Get("Authorization") != "Bearer good":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":{"message":"bad key"}}`)
		default:
			_, _ = io.WriteString(w, `{"data":[{"id":"a"},{"id":"b"}]}`)
		}
	}))
	t.Cleanup(srv.Close)
	b := openTest(t, "", nil)
	ctx := t.Context()
	ok(b.AddProvider(ctx, api.NewProvider{ID: "mine", Kind: "openai", BaseURL: srv.URL}))(t)
	a := ok(b.AddAccount(ctx, api.NewAccount{Provider: "mine", Key: secret.New("good")}))(t)
	got := ok(b.TestAccount(ctx, a.ID, api.AccountTest{}))(t)
	if want := (api.TestView{OK: true, Models: 2, BaseURL: srv.URL + "/v1"}); got != want {
		t.Errorf("%+v", got)
	}
	if p, _ := b.offered("mine"); p.baseURL() != srv.URL+"/v1" {
		t.Errorf("the provider stays at %s", p.baseURL())
	}
	if got := ok(b.TestAccount(ctx, a.ID, api.AccountTest{}))(t); got.BaseURL != "" || !got.OK {
		t.Errorf("the second time: %+v", got)
	}

	own := ok(b.AddAccount(ctx, api.NewAccount{Provider: "mine", Key: secret.New("bad"), Settings: map[string]string{"base_url": srv.URL}}))(t)
	got = ok(b.TestAccount(ctx, own.ID, api.AccountTest{}))(t)
	if got.OK || got.Kind != "auth_expired" || got.BaseURL != srv.URL+"/v1" {
		t.Errorf("a refused key: %+v", got)
	}
	if v, _ := b.accounts.Get(own.ID); v.Settings["base_url"] != srv.URL+"/v1" || v.State != "ready" {
		t.Errorf("%+v", v)
	}
	_, err := b.TestAccount(ctx, "gone", api.AccountTest{})
	refused(t, err, apierror.RouteNotFound, "", "gone")

	ok(b.AddProvider(ctx, api.NewProvider{ID: "ds", Preset: "dashscope-us", BaseURL: srv.URL + "/v1"}))(t)
	far := ok(b.AddAccount(ctx, api.NewAccount{Provider: "ds", Key: secret.New("bad")}))(t)
	if got := ok(b.TestAccount(ctx, far.ID, api.AccountTest{}))(t); !strings.Contains(got.Message, "may belong to") || !strings.Contains(got.Message, "dashscope-intl") {
		t.Errorf("no word of other regions: %+v", got)
	}
}

func TestRefreshAsksTheServicesAnew(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if asked > 2 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `[{"id":"m`+strings.Repeat("x", asked)+`"}]`)
	}))
	t.Cleanup(srv.Close)
	b := openTest(t, "", nil)
	ctx := t.Context()
	ok(b.AddProvider(ctx, api.NewProvider{ID: "mine", Kind: "openai", BaseURL: srv.URL + "/v1"}))(t)
	a := ok(b.AddAccount(ctx, api.NewAccount{Provider: "mine", Key: secret.New("k")}))(t)
	first := ok(b.Models(ctx, "mine"))(t)
	if err := b.RefreshModels(ctx, "mine"); err != nil {
		t.Fatal(err)
	}
	second := ok(b.Models(ctx, "mine"))(t)
	if len(first) != 1 || len(second) != 1 || first[0].ID == second[0].ID || second[0].Stale {
		t.Errorf("%+v %+v", first, second)
	}
	if err := b.RefreshModels(ctx, ""); err != nil {
		t.Fatal(err)
	}
	third := ok(b.Models(ctx, "mine"))(t)
	if len(third) != 1 || third[0].ID != second[0].ID || !third[0].Stale {
		t.Errorf("%+v", third)
	}
	if v, _ := b.accounts.Get(a.ID); v.State != "ready" {
		t.Errorf("a failing list harmed the account: %+v", v)
	}
	refused(t, b.RefreshModels(ctx, "unheard-of"), apierror.InvalidRequest, "provider", "unheard-of")
}
