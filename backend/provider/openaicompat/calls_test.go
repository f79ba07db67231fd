package openaicompat

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
	"patchbay/backend/wire/openai"
)

// fake is a service that answers requests in turn and keeps them.
type fake struct {
	t       *testing.T
	srv     *httptest.Server
	answers []string // "400 {...}" or "200 ..."
	bodies  []map[string]any
	headers []http.Header
	paths   []string
	notes   map[string]string
	log     strings.Builder
}

const ok = `200 {"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}`

func newFake(t *testing.T, answers ...string) *fake {
	f := &fake{t: t, answers: answers, notes: map[string]string{}}
	f.srv = httptest.NewServer(f)
	t.Cleanup(f.srv.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	var m map[string]any
	if len(b) > 0 {
		json.Unmarshal(b, &m)
	}
	f.bodies, f.headers, f.paths = append(f.bodies, m), append(f.headers, r.Header), append(f.paths, r.URL.Path)
	status, body, _ := strings.Cut(f.answers[min(len(f.bodies), len(f.answers))-1], " ")
	code := 200
	fmt.Sscan(status, &code)
	w.WriteHeader(code)
	io.WriteString(w, body)
}

func (f *fake) open(settings map[string]string, key string) *upstream {
	f.t.Helper()
	cl, err := transport.NewClients(transport.Options{}).Client("")
	if err != nil {
		f.t.Fatal(err)
	}
	env := provider.Env{
		AccountID: "a", HTTP: cl, Settings: map[string]string{provider.SettingBaseURL: f.srv.URL + "/v1"},
		Token: func(context.Context) (provider.Credential, error) {
			return provider.Credential{Access: secret.New(key)}, nil
		},
		Note:     func(k string) string { return f.notes[k] },
		Remember: func(k, v string) { f.notes[k] = v },
		Log:      slog.New(slog.NewTextHandler(&f.log, nil)),
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

// chat decodes a client's request of the same format.
func chat(t *testing.T, body string) *canon.Request {
	t.Helper()
	req, err := openai.Codec{}.Decode(openai.OpChat, httptest.NewRequest("POST", "/v1/chat/completions", nil), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "m"
	return req
}

func plain() *canon.Request {
	temp, limit := 0.5, int64(10)
	return &canon.Request{
		Format: "test", Model: "m", MaxTokens: &limit, Sampling: canon.Sampling{Temperature: &temp},
		Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "hi"}}}},
	}
}

func unsupported(param string) string {
	return `400 {"error":{"message":"Unsupported parameter: '` + param + `' is not supported with this model.","type":"invalid_request_error","param":"` + param + `","code":"unsupported_parameter"}}`
}

func TestRefusedParameterIsLeftOutOnceAndRemembered(t *testing.T) {
	for _, same := range []bool{false, true} {
		f := newFake(t, unsupported("temperature"), ok)
		req := plain()
		if same {
			req = chat(t, `{"model":"x","temperature":0.5,"messages":[{"role":"user","content":"hi"}]}`)
		}
		u := f.open(nil, "k")
		r, e := providertest.Follow(t, u.Stream(t.Context(), req))
		if e != nil {
			t.Fatal(e)
		}
		if _, sent := f.bodies[1]["temperature"]; sent || f.bodies[0]["temperature"] != 0.5 {
			t.Errorf("same format %v: %v", same, f.bodies)
		}
		if !slices.ContainsFunc(r.Dropped, func(w canon.Warning) bool { return w.Field == "temperature" }) {
			t.Errorf("not reported: %v", r.Dropped)
		}
		if f.notes["refused/m"] != "temperature" {
			t.Errorf("notes %v", f.notes)
		}
		providertest.Follow(t, u.Stream(t.Context(), req))
		if _, sent := f.bodies[2]["temperature"]; sent || len(f.bodies) != 3 {
			t.Errorf("the next request asked again: %v", f.bodies[2:])
		}
	}
}

func TestTokenLimitIsRenamed(t *testing.T) {
	f := newFake(t, unsupported("max_tokens"), ok)
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), plain())); e != nil {
		t.Fatal(e)
	}
	if f.bodies[0]["max_tokens"] != 10.0 || f.bodies[1]["max_completion_tokens"] != 10.0 || f.bodies[1]["max_tokens"] != nil {
		t.Errorf("%v", f.bodies)
	}
}

func TestOneRepairPerRequest(t *testing.T) {
	f := newFake(t, unsupported("temperature"), unsupported("max_tokens"), ok)
	_, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), plain()))
	if e == nil || e.Param != "max_tokens" || len(f.bodies) != 2 {
		t.Errorf("%v after %d requests", e, len(f.bodies))
	}
}

func TestStreamOptionsAreLeftOut(t *testing.T) {
	f := newFake(t, unsupported("stream_options"), "200 data: [DONE]\n\n")
	req := plain()
	req.Stream = true
	providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), req))
	if f.bodies[0]["stream_options"] == nil || f.bodies[1]["stream_options"] != nil {
		t.Errorf("%v", f.bodies)
	}
}

func TestWhichRefusalsAreMended(t *testing.T) {
	for _, c := range []struct {
		kind             apierror.Kind
		param, code, msg string
		want             string
	}{
		{apierror.InvalidRequest, "temperature", "unsupported_value", "", "temperature"},
		{apierror.InvalidRequest, "top_k", "unknown_parameter", "", "top_k"},
		{apierror.InvalidRequest, "reasoning.effort", "unsupported_value", "", "reasoning"},
		{apierror.InvalidRequest, "seed", "", "Extra inputs are not permitted", "seed"},
		{apierror.InvalidRequest, "logprobs", "", "property 'logprobs' is unsupported", "logprobs"},
		{apierror.InvalidRequest, "temperature", "", "invalid temperature: only 1 is allowed for this model", "temperature"},
		{apierror.InvalidRequest, "store", "", "Unrecognized request argument supplied: store", "store"},
		{apierror.InvalidRequest, "temperature", "invalid_type", "expected a decimal, but got a string", ""},
		{apierror.InvalidRequest, "messages", "unsupported_value", "unsupported", ""},
		{apierror.InvalidRequest, "tools", "unsupported_parameter", "unsupported", ""},
		{apierror.InvalidRequest, "", "unsupported_parameter", "unsupported", ""},
		{apierror.RateLimited, "temperature", "unsupported_parameter", "unsupported", ""},
	} {
		e := &apierror.Error{Kind: c.kind, Param: c.param, Msg: c.msg, Upstream: apierror.Upstream{Code: c.code}}
		got, ok := refusedParam(e)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%+v: %q, %v", c, got, ok)
		}
	}
}

func TestOneUnknownEffortIsNotRemembered(t *testing.T) {
	f := newFake(t, `400 {"error":{"message":"Unsupported value: 'reasoning_effort' does not support 'xhigh'.","param":"reasoning_effort","code":"unsupported_value"}}`, ok)
	req := chat(t, `{"model":"x","reasoning_effort":"xhigh","messages":[{"role":"user","content":"hi"}]}`)
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), req)); e != nil {
		t.Fatal(e)
	}
	if len(f.notes) != 0 || f.bodies[1]["reasoning_effort"] != nil {
		t.Errorf("%v %v", f.notes, f.bodies[1])
	}
}

func TestRefusedSignatureStripsThinkingOnce(t *testing.T) {
	bad := "400 {\"error\":{\"message\":\"Invalid `signature` in thinking block\"}}"
	f := newFake(t, bad, ok)
	req := chat(t, `{"model":"x","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yes","reasoning_content":"deep thought"},{"role":"user","content":"go on"}]}`)
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), req)); e != nil {
		t.Fatal(e)
	}
	first, second := fmt.Sprint(f.bodies[0]), fmt.Sprint(f.bodies[1])
	if !strings.Contains(first, "deep thought") || strings.Contains(second, "deep thought") || !strings.Contains(second, "go on") {
		t.Errorf("%s\n%s", first, second)
	}
	f = newFake(t, bad)
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), req)); e == nil || !e.BadSignature || len(f.bodies) != 2 {
		t.Errorf("%v after %d requests", e, len(f.bodies))
	}
}

func TestErrorInsideGoodStatus(t *testing.T) {
	f := newFake(t, `200 {"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`)
	_, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), plain()))
	if e == nil || e.Kind != apierror.NoCredit || e.Provider != "mine" || e.AccountID != "a" {
		t.Errorf("%+v", e)
	}
}

func TestThinkingAloudIsSplitOffForOtherFormats(t *testing.T) {
	aloud := strings.Replace(ok, "fine", "<think>hm</think>fine", 1)
	first := func(settings map[string]string, req *canon.Request) canon.Part {
		r, e := providertest.Follow(t, newFake(t, aloud).open(settings, "k").Stream(t.Context(), req))
		if e != nil || len(r.Parts) == 0 {
			t.Fatalf("%+v, %v", r, e)
		}
		return r.Parts[0]
	}
	if p := first(nil, plain()); p.Type != canon.PartReasoning || p.Text+strings.Join(p.Summary, "") != "hm" {
		t.Errorf("%+v", p)
	}
	own := map[string]string{"quirks": "own_host"}
	for _, p := range []canon.Part{first(own, plain()), first(nil, chat(t, `{"model":"x","messages":[{"role":"user","content":"hi"}]}`))} {
		if p.Type != canon.PartText || p.Text != "<think>hm</think>fine" {
			t.Errorf("%+v", p)
		}
	}
}

func TestAuthHeader(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings map[string]string
		key      string
		want     http.Header
	}{
		{"by default", nil, "k", http.Header{"Authorization": {"Bearer k"}}},
		{"no key", nil, "", http.Header{}},
		{"another header", map[string]string{"auth_header": "api-key"}, "k", http.Header{"Api-Key": {"k"}}},
		{"another prefix", map[string]string{"auth_prefix": "Token"}, "k", http.Header{"Authorization": {"Token k"}}},
		{"no prefix", map[string]string{"auth_prefix": ""}, "k", http.Header{"Authorization": {"k"}}},
		{"static headers", map[string]string{"header.X-Title": "Mine", "header.X-Token": "s3cret"}, "k", http.Header{"Authorization": {"Bearer k"}, "X-Title": {"Mine"}, "X-Token": {"s3cret"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, ok)
			if _, e := providertest.Follow(t, f.open(c.settings, c.key).Stream(t.Context(), plain())); e != nil {
				t.Fatal(e)
			}
			got := f.headers[0].Clone()
			for _, name := range []string{"Accept", "Accept-Encoding", "Content-Length", "Content-Type", "User-Agent"} {
				got.Del(name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	u := newFake(t).open(map[string]string{"base_url": "https://me.openai.azure.com/openai/v1"}, "")
	if name, prefix := u.auth(); name != "api-key" || prefix != "" {
		t.Errorf("Azure: %q %q", name, prefix)
	}
}

func TestClientHeadersOfTheSameFormatAreForwarded(t *testing.T) {
	f := newFake(t, ok)
	req := chat(t, `{"model":"x","messages":[{"role":"user","content":"hi"}]}`)
	req.Headers = map[string][]string{"Openai-Beta": {"b"}, "Idempotency-Key": {"i"}, "Openai-Organization": {"another"}, "X-Stainless-Lang": {"js"}}
	u := f.open(nil, "k")
	providertest.Follow(t, u.Stream(t.Context(), req))
	req.Format = "anthropic"
	providertest.Follow(t, u.Stream(t.Context(), req))
	if h := f.headers[0]; h.Get("OpenAI-Beta") != "b" || h.Get("Idempotency-Key") != "i" || h.Get("OpenAI-Organization") != "" || h.Get("X-Stainless-Lang") != "" {
		t.Errorf("%v", h)
	}
	if h := f.headers[1]; h.Get("OpenAI-Beta") != "" {
		t.Errorf("%v", h)
	}
}

func TestBaseURLs(t *testing.T) {
	for in, want := range map[string]string{
		"https://h/v1/chat/completions": "https://h/v1", "h.example/api/paas/v4/": "https://h.example/api/paas/v4",
		"localhost:1234/v1": "http://localhost:1234/v1", "https://h": "https://h", "": "https://api.openai.com/v1",
	} {
		up, err := Driver{}.Open(provider.Env{HTTP: http.DefaultClient, Settings: map[string]string{"base_url": in}})
		if err != nil || up.(*upstream).base != want {
			t.Errorf("%q: %+v, %v", in, up, err)
		}
	}
	if up, _ := (Driver{}).Open(provider.Env{HTTP: http.DefaultClient}); !up.(*upstream).options.OwnHost || up.(*upstream).idle != 0 {
		t.Error("OpenAI's own host is not known")
	}
	if up, _ := New(provider.Info{BaseURL: "127.0.0.1:1/v1"}).Open(provider.Env{HTTP: http.DefaultClient}); up.(*upstream).idle != 10*time.Minute {
		t.Error("a local server may load a model first")
	}
	for _, env := range []provider.Env{{Settings: map[string]string{"base_url": "ftp://h"}, HTTP: http.DefaultClient}, {}} {
		if _, err := (Driver{}).Open(env); err == nil {
			t.Errorf("%+v opens", env)
		}
	}
}

func TestInfo(t *testing.T) {
	info := Driver{}.Info()
	if info.ID != "openai" || info.Wire != "openai" || len(info.Fields) == 0 || len(info.Logins) == 0 || info.Models[0].ID == "" || info.Status != provider.StatusActive {
		t.Errorf("%+v", info)
	}
	own := New(provider.Info{ID: "x", Status: provider.StatusExperimental, Fields: []provider.Field{}, Logins: []provider.Login{}}).Info()
	if own.ID != "x" || own.Status != provider.StatusExperimental || len(own.Fields) != 0 || len(own.Logins) != 0 {
		t.Errorf("%+v", own)
	}
}

func TestEveryQuirkChangesSomething(t *testing.T) {
	all := []string{"max_tokens=4096", "reasoning_content=never", "reasoning_filler", "thinking=enable_thinking", "efforts=high|max", "effort=xhigh>max", "drop=seed", "rename=seed>random_seed"}
	for name := range switches {
		all = append(all, name)
	}
	for _, q := range all {
		var o openai.Options
		if !applyQuirk(&o, q) || cmp.Equal(o, openai.Options{}) {
			t.Errorf("%s does nothing", q)
		}
	}
	if len(all) != len(switches)+len(values) {
		t.Error("a quirk with a value is missing here")
	}
	for _, q := range []string{"unheard_of", "max_tokens=x", "max_tokens", "reasoning_content=now", "thinking=loud", "efforts", "effort=high", "drop", "rename=a", "convert=1"} {
		var o openai.Options
		if applyQuirk(&o, q) || !cmp.Equal(o, openai.Options{}) {
			t.Errorf("%s is taken: %+v", q, o)
		}
	}
}

func TestQuirksAndNamesOfSettings(t *testing.T) {
	f := newFake(t, ok)
	u := f.open(map[string]string{"quirks": "no_strict, nonsense", "max_tokens_as": "max_output"}, "k")
	if _, e := providertest.Follow(t, u.Stream(t.Context(), plain())); e != nil {
		t.Fatal(e)
	}
	if !u.options.NoStrict || f.bodies[0]["max_output"] != 10.0 || !strings.Contains(f.log.String(), "nonsense") {
		t.Errorf("%+v %v %s", u.options, f.bodies[0], f.log.String())
	}
}

func TestModels(t *testing.T) {
	f := newFake(t, "200 {}")
	models, err := f.open(map[string]string{"models": "a, b"}, "k").Models(t.Context())
	if err != nil || len(models) != 2 || models[1].ID != "b" || len(f.paths) != 0 {
		t.Errorf("%v, %v", models, err)
	}
	for answer, want := range map[string]apierror.Kind{`200 "x"`: apierror.Upstream5xx, `401 {}`: apierror.AuthExpired} {
		_, err := newFake(t, answer).open(nil, "k").Models(t.Context())
		if e := apierror.From(err); err == nil || e.Kind != want || e.Provider != "mine" {
			t.Errorf("%s: %v", answer, err)
		}
	}
	if models, err := newFake(t, "404 no").open(nil, "k").Models(t.Context()); models != nil || err != nil {
		t.Errorf("a service without a list: %v, %v", models, err)
	}
}

func TestEmbedMendsOnceAndReadsErrors(t *testing.T) {
	dims := int64(8)
	req := &canon.Embed{Model: "m", Inputs: []string{"a"}, Dimensions: &dims}
	f := newFake(t, unsupported("dimensions"), `200 {"data":[{"index":0,"embedding":[1]}]}`)
	out, err := f.open(nil, "k").Embed(t.Context(), req)
	if err != nil || len(out.Vectors) != 1 || f.bodies[1]["dimensions"] != nil {
		t.Errorf("%v, %v, %v", out, err, f.bodies)
	}
	f = newFake(t, unsupported("dimensions"), unsupported("user"))
	if _, err := f.open(nil, "k").Embed(t.Context(), req); err == nil || len(f.bodies) != 2 {
		t.Errorf("%v after %d", err, len(f.bodies))
	}
	if _, err := newFake(t, "200 {}").open(nil, "k").Embed(t.Context(), req); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
}

func TestNoLoginIsTheErrorOfTheLogin(t *testing.T) {
	f := newFake(t, ok)
	u := f.open(nil, "k")
	u.env.Token = func(context.Context) (provider.Credential, error) {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "sign in again")
	}
	check := func(err error) {
		t.Helper()
		if e := apierror.From(err); e.Kind != apierror.AuthExpired || e.Provider != "mine" {
			t.Errorf("%v", err)
		}
	}
	_, e := providertest.Follow(t, u.Stream(t.Context(), plain()))
	check(e)
	_, err := u.Models(t.Context())
	check(err)
	_, err = u.Embed(t.Context(), &canon.Embed{Model: "m", Inputs: []string{"a"}})
	check(err)
	if len(f.bodies) != 0 {
		t.Error("something was sent")
	}
}

func TestWhatCannotBeCarriedOverIsNotSent(t *testing.T) {
	f := newFake(t, ok)
	req := plain()
	req.Messages[0].Parts = append(req.Messages[0].Parts, canon.Part{Type: canon.PartVideo, Media: &canon.Media{MIME: "video/mp4", Data: []byte("x")}})
	_, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), req))
	if e == nil || e.Kind != apierror.Unsupported && e.Kind != apierror.InvalidRequest || len(f.bodies) != 0 {
		t.Errorf("%v", e)
	}
}
