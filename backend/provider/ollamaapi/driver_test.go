package ollamaapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
)

func TestConformance(t *testing.T) {
	for name, end := range map[string]string{"address": "", "address of its API": "/api/", "address of its compatible endpoint": "/v1"} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, providertest.Subject{
				Driver: func(idle time.Duration) provider.Driver {
					return New(provider.Info{ID: "mine", Name: "Mine", Policy: provider.Policy{Idle: idle}})
				},
				Format:   providertest.Ollama(),
				Settings: func(base string) map[string]string { return map[string]string{provider.SettingBaseURL: base + end} },
			})
		})
	}
}

func TestConformanceOfTheCompatibleEndpoint(t *testing.T) {
	f := providertest.OpenAI()
	f.Models, f.Embeddings, f.NoSignatures = nil, nil, true // those are asked for by Ollama's own API
	f.Verbatim = nil
	providertest.Run(t, providertest.Subject{
		Driver: func(idle time.Duration) provider.Driver {
			return New(provider.Info{ID: "mine", Name: "Mine", Policy: provider.Policy{Idle: idle}})
		},
		Format: f,
		Settings: func(base string) map[string]string {
			return map[string]string{provider.SettingBaseURL: base, provider.SettingQuirks: "v1"}
		},
	})
}

// fake is an Ollama that answers requests in turn and keeps them.
type fake struct {
	srv *httptest.Server

	mu      sync.Mutex // guards the rest
	answers []string   // "400 {...}" or "200 ..."; the last one stays
	bodies  []string
	paths   []string
	notes   map[string]string
	show    func(model string) string
}

func newFake(t *testing.T, answers ...string) *fake {
	f := &fake{answers: answers, notes: map[string]string{}}
	f.srv = httptest.NewServer(f)
	t.Cleanup(f.srv.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bodies, f.paths = append(f.bodies, string(b)), append(f.paths, r.URL.Path)
	if f.show != nil && r.URL.Path == "/api/show" {
		var in struct{ Model string }
		_ = json.Unmarshal(b, &in) // the driver's own request
		f.answer(w, f.show(in.Model))
		return
	}
	next := f.answers[0]
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	f.answer(w, next)
}

func (f *fake) answer(w http.ResponseWriter, text string) {
	status, body, _ := strings.Cut(text, " ")
	code := 200
	fmt.Sscan(status, &code)
	w.WriteHeader(code)
	io.WriteString(w, body)
}

func (f *fake) open(t *testing.T, settings map[string]string) provider.Upstream {
	t.Helper()
	clients := transport.NewClients(transport.Options{Version: "test"})
	t.Cleanup(clients.CloseIdle)
	client, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{provider.SettingBaseURL: f.srv.URL}
	for k, v := range settings {
		all[k] = v
	}
	up, err := New(provider.Info{ID: "home"}).Open(provider.Env{
		AccountID: "a", HTTP: client, Settings: all,
		Note:     func(k string) string { f.mu.Lock(); defer f.mu.Unlock(); return f.notes[k] },
		Remember: func(k, v string) { f.mu.Lock(); defer f.mu.Unlock(); f.notes[k] = v },
	})
	if err != nil {
		t.Fatal(err)
	}
	return up
}

const fine = `200 {"model":"m","message":{"role":"assistant","content":"fine"},"done":true,"done_reason":"stop"}`

func request(parts ...canon.Part) *canon.Request {
	return &canon.Request{Format: "anthropic", Op: "messages", ModelAsked: "asked", Model: "m", Messages: []canon.Message{{Role: canon.RoleUser, Parts: parts}}}
}

func said(s string) canon.Part { return canon.Part{Type: canon.PartText, Text: s} }

func answer(t *testing.T, up provider.Upstream, req *canon.Request) string {
	t.Helper()
	r, err := canon.Collect(up.Stream(t.Context(), req))
	if err != nil {
		t.Fatal(err)
	}
	return r.Parts[0].Text
}

func TestAddressesAsPeopleWriteThem(t *testing.T) {
	for in, want := range map[string]string{
		"0.0.0.0":                         "http://127.0.0.1:11434",
		"0.0.0.0:5000":                    "http://127.0.0.1:5000",
		":5000":                           "http://127.0.0.1:5000",
		"[::]:5000":                       "http://127.0.0.1:5000",
		"localhost":                       "http://localhost:11434",
		"192.168.1.5":                     "http://192.168.1.5:11434",
		"http://127.0.0.1":                "http://127.0.0.1",
		"http://127.0.0.1:11434/":         "http://127.0.0.1:11434",
		"http://127.0.0.1:11434/v1":       "http://127.0.0.1:11434",
		"http://host/ollama/api/chat":     "http://host/ollama",
		"https://ollama.com":              "https://ollama.com",
		"ollama.com":                      "https://ollama.com",
		"http://127.0.0.1:11434/api/tags": "http://127.0.0.1:11434",
	} {
		if got, err := baseURL(in); got != want || err != nil {
			t.Errorf("%s: %s %v", in, got, err)
		}
	}
	for _, in := range []string{"", "ftp://x"} {
		if _, err := New(provider.Info{ID: "x", BaseURL: in}).Open(provider.Env{HTTP: http.DefaultClient}); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
	if _, err := New(provider.Info{ID: "x", BaseURL: "localhost"}).Open(provider.Env{}); err == nil {
		t.Error("an account without connections opens")
	}
}

func TestInfoSaysWhatLoadingAModelNeeds(t *testing.T) {
	i := New(provider.Info{ID: "x"}).Info()
	if i.Wire != "ollama" || i.Status != provider.StatusActive || i.Policy.FirstEvent != 600*time.Second || len(i.Fields) == 0 || len(i.Logins) == 0 {
		t.Errorf("%+v", i)
	}
}

func TestModelsAreDescribedOnce(t *testing.T) {
	f := newFake(t, `200 {"models":[{"model":"qwen3:8b","modified_at":"2026-01-02T03:04:05Z"},{"model":"nomic"},{"model":"broken"}]}`)
	shows := map[string]int{}
	f.show = func(model string) string {
		shows[model]++
		switch model {
		case "qwen3:8b":
			return `200 {"capabilities":["completion","tools"],"model_info":{"general.architecture":"qwen3","qwen3.context_length":40960}}`
		case "nomic":
			return `200 {"capabilities":["embedding"]}`
		default:
			return `500 {"error":"boom"}`
		}
	}
	up := f.open(t, nil)
	for range 2 {
		list, err := up.Models(t.Context())
		if err != nil || len(list) != 3 {
			t.Fatalf("%v %+v", err, list)
		}
		if m := list[0]; m.Context != 40960 || m.Tools != canon.Yes || m.Images != canon.No || list[1].Embeddings != canon.Yes || list[2].Tools != canon.Unknown {
			t.Errorf("%+v", list)
		}
	}
	if d := cmp.Diff(map[string]int{"qwen3:8b": 1, "nomic": 1, "broken": 2}, shows); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	up = f.open(t, map[string]string{provider.SettingModels: "qwen3:8b"})
	if list, err := up.Models(t.Context()); err != nil || len(list) != 1 || list[0].Context != 40960 {
		t.Errorf("a list of one's own: %v %+v", err, list)
	}
}

func TestModelThatCannotThinkIsAskedWithout(t *testing.T) {
	f := newFake(t, `400 {"error":"\"m\" does not support thinking"}`, fine)
	up := f.open(t, nil)
	req := request(said("x"))
	req.Reasoning.Mode = canon.ReasonOn
	for range 2 {
		if got := answer(t, up, req); got != "fine" {
			t.Error(got)
		}
	}
	var think []bool
	for _, b := range f.bodies {
		think = append(think, strings.Contains(b, `"think":true`))
	}
	if d := cmp.Diff([]bool{true, false, false}, think); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestContextGrowsOnceWhenItWasTooSmall(t *testing.T) {
	const tooLong = `400 {"error":"the input length exceeds the context length"}`
	ctxOf := func(f *fake) (out []string) {
		for _, b := range f.bodies {
			_, rest, _ := strings.Cut(b, `"num_ctx":`)
			n, _, _ := strings.Cut(rest, "}")
			out = append(out, n)
		}
		return out
	}
	f := newFake(t, tooLong, fine)
	if got := answer(t, f.open(t, nil), request(said(strings.Repeat("x", 12000)))); got != "fine" {
		t.Error(got)
	}
	if d := cmp.Diff([]string{"8192", "16384"}, ctxOf(f)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	f = newFake(t, tooLong)
	req := request(said(strings.Repeat("x", 120000)))
	req.Facts.Context = 8192
	_, err := canon.Collect(f.open(t, nil).Stream(t.Context(), req))
	if apierror.KindOf(err) != apierror.ContextTooLong || len(f.bodies) != 1 {
		t.Errorf("past the model's own limit: %v after %d calls", err, len(f.bodies))
	}
	f = newFake(t, tooLong)
	_, err = canon.Collect(f.open(t, map[string]string{provider.SettingQuirks: "num_ctx=32768, nonsense"}).Stream(t.Context(), request(said("x"))))
	if d := cmp.Diff([]string{"32768"}, ctxOf(f)); d != "" || apierror.KindOf(err) != apierror.ContextTooLong {
		t.Errorf("the person's own size: %v -want +got\n%s", err, d)
	}
}

func TestQuirkChatsByTheCompatibleEndpoint(t *testing.T) {
	f := newFake(t, `200 {"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"fine","reasoning":"hm"},"finish_reason":"stop"}]}`)
	req := request(said("x"))
	req.Reasoning = canon.Reasoning{Mode: canon.ReasonOn, Effort: "xhigh"}
	req.Facts.Thinking = canon.Yes
	r, err := canon.Collect(f.open(t, map[string]string{provider.SettingQuirks: "v1,convert"}).Stream(t.Context(), req))
	if err != nil || len(r.Parts) != 2 || r.Parts[0].Text != "hm" || f.paths[0] != "/v1/chat/completions" || !strings.Contains(f.bodies[0], `"reasoning_effort":"high"`) {
		t.Errorf("%v %+v %v %v", err, r, f.paths, f.bodies)
	}
	req.Facts.Thinking = canon.No
	answer(t, f.open(t, map[string]string{provider.SettingQuirks: "v1"}), req)
	if strings.Contains(f.bodies[1], "reasoning") {
		t.Errorf("%s", f.bodies[1])
	}
	req.Messages[0].Parts = []canon.Part{{Type: canon.PartAudio, Media: &canon.Media{}}}
	if _, err := canon.Collect(f.open(t, map[string]string{provider.SettingQuirks: "v1"}).Stream(t.Context(), req)); apierror.KindOf(err) != apierror.Unsupported {
		t.Errorf("%v", err)
	}
}

func TestOllamaThatWasNotStarted(t *testing.T) {
	f := newFake(t, fine)
	up := f.open(t, nil)
	f.srv.Close()
	host := strings.TrimPrefix(f.srv.URL, "http://")
	check := func(where string, err error) {
		e := apierror.From(err)
		if e == nil || e.Kind != apierror.Transport || e.Msg != "Ollama is not running at "+host+"; start it, or check the base URL" || e.AccountID != "a" {
			t.Errorf("%s: %v", where, err)
		}
	}
	_, err := canon.Collect(up.Stream(t.Context(), request(said("x"))))
	check("chat", err)
	_, err = up.Models(t.Context())
	check("models", err)
	_, err = up.(provider.Embedder).Embed(t.Context(), &canon.Embed{Model: "m", Inputs: []string{"x"}})
	check("embeddings", err)
}

func TestWhatCannotBeSentIsRefusedBeforeTheCall(t *testing.T) {
	f := newFake(t, `200 {"embeddings":[[1]]}`)
	up := f.open(t, nil)
	for name, req := range map[string]*canon.Request{
		"sound":            request(canon.Part{Type: canon.PartAudio, Media: &canon.Media{}}),
		"a private file":   request(canon.Part{Type: canon.PartImage, Media: &canon.Media{URL: f.srv.URL + "/x.png"}}),
		"another protocol": request(canon.Part{Type: canon.PartImage, Media: &canon.Media{URL: "ftp://h/x.png"}}),
	} {
		if _, err := canon.Collect(up.Stream(t.Context(), req)); err == nil {
			t.Errorf("%s went out", name)
		}
	}
	if _, err := up.(provider.Embedder).Embed(t.Context(), &canon.Embed{Model: "m", Tokens: [][]int64{{1}}}); apierror.KindOf(err) != apierror.Unsupported {
		t.Errorf("%v", err)
	}
	if len(f.bodies) > 0 {
		t.Errorf("%v", f.paths)
	}
	if _, err := up.(provider.Embedder).Embed(t.Context(), &canon.Embed{Model: "m", Inputs: []string{"a", "b"}}); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("one vector for two texts: %v", err)
	}
	allowed := f.open(t, map[string]string{provider.SettingMediaHosts: strings.TrimPrefix(f.srv.URL, "http://")})
	f.answers = []string{"200 \x89PNG\r\n\x1a\n", fine}
	if got := answer(t, allowed, request(said("x"), canon.Part{Type: canon.PartImage, Media: &canon.Media{URL: f.srv.URL + "/x.png"}})); got != "fine" || !strings.Contains(f.bodies[len(f.bodies)-1], `"images":["iVBORw0KGgo="]`) {
		t.Errorf("%s: %s", got, f.bodies[len(f.bodies)-1])
	}
}

func TestLoginThatFails(t *testing.T) {
	lost := apierror.New(apierror.AuthExpired, "sign in again")
	up, err := New(provider.Info{ID: "x", BaseURL: "localhost"}).Open(provider.Env{HTTP: http.DefaultClient, Token: func(context.Context) (provider.Credential, error) {
		return provider.Credential{Access: secret.New("k")}, lost
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := canon.Collect(up.Stream(t.Context(), request(said("x")))); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	if _, err := up.Models(t.Context()); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	if _, err := up.(provider.Embedder).Embed(t.Context(), &canon.Embed{}); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
}
