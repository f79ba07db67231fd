package anthropiccompat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
	"patchbay/backend/wire/anthropic"
)

// fake is a service that answers requests in turn and keeps them.
type fake struct {
	t       *testing.T
	srv     *httptest.Server
	answers []string // "400 {...}" or "200 ..."
	bodies  []string
	headers []http.Header
	paths   []string
	notes   map[string]string
}

const ok = `200 {"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"fine"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`

func newFake(t *testing.T, answers ...string) *fake {
	f := &fake{t: t, answers: answers, notes: map[string]string{}}
	f.srv = httptest.NewServer(f)
	t.Cleanup(f.srv.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	f.bodies, f.headers, f.paths = append(f.bodies, string(b)), append(f.headers, r.Header), append(f.paths, r.URL.RequestURI())
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

// message decodes a client's request of the same format.
func message(t *testing.T, body, betas string) *canon.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "/v1/messages", nil)
	if betas != "" {
		r.Header.Set("Anthropic-Beta", betas)
	}
	req, err := anthropic.Codec{}.Decode(anthropic.OpMessages, r, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "m"
	return req
}

const hi = `{"model":"x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`

func refusal(msg string) string {
	return `400 {"type":"error","error":{"type":"invalid_request_error","message":"` + msg + `"}}`
}

func TestRefusedSignatureStripsThinkingOnce(t *testing.T) {
	body := `{"model":"x","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"deep thought","signature":"EqQBxx"},{"type":"text","text":"yes"}]},{"role":"user","content":"go on"}]}`
	bad := refusal("messages.1.content.0: Invalid `signature` in `thinking` block")
	f := newFake(t, bad, ok)
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), message(t, body, ""))); e != nil {
		t.Fatal(e)
	}
	if !strings.Contains(f.bodies[0], "deep thought") || strings.Contains(f.bodies[1], "deep thought") || !strings.Contains(f.bodies[1], "go on") {
		t.Errorf("%s", f.bodies)
	}
	f = newFake(t, bad)
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), message(t, body, ""))); e == nil || !e.BadSignature || len(f.bodies) != 2 {
		t.Errorf("%v after %d requests", e, len(f.bodies))
	}
}

func TestRefusedBetaFlagIsLeftOutAndRemembered(t *testing.T) {
	f := newFake(t, refusal("Unexpected value(s) `context-1m-2025-08-07` for the `anthropic-beta` header"), ok)
	u := f.open(nil, "k")
	req := message(t, hi, "context-1m-2025-08-07, other-2026-01-01")
	for range 2 {
		if _, e := providertest.Follow(t, u.Stream(t.Context(), req)); e != nil {
			t.Fatal(e)
		}
	}
	if f.headers[0].Get("Anthropic-Beta") != "context-1m-2025-08-07,other-2026-01-01" {
		t.Errorf("%v", f.headers[0])
	}
	for i := 1; i < 3; i++ {
		if got := f.headers[i].Get("Anthropic-Beta"); got != "other-2026-01-01" {
			t.Errorf("request %d: %q", i, got)
		}
	}
	if f.notes[betaKey] != "context-1m-2025-08-07" {
		t.Errorf("%v", f.notes)
	}
}

func TestOtherRefusalsAreFinal(t *testing.T) {
	f := newFake(t, refusal("max_tokens: must be less"))
	_, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), message(t, hi, "b-1")))
	if e == nil || e.Kind != apierror.InvalidRequest || len(f.bodies) != 1 {
		t.Errorf("%v after %d requests", e, len(f.bodies))
	}
	f = newFake(t, `529 {"type":"error","error":{"type":"overloaded_error","message":"b-1 is busy"}}`)
	if _, e := providertest.Follow(t, f.open(nil, "k").Stream(t.Context(), message(t, hi, "b-1"))); e == nil || len(f.bodies) != 1 {
		t.Errorf("%v", e)
	}
}

func TestAuthHeader(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings map[string]string
		key      string
		want     http.Header
	}{
		{"of a compatible service", nil, "k", http.Header{"Authorization": {"Bearer k"}}},
		{"of Anthropic's own host", map[string]string{"quirks": "own_host"}, "k", http.Header{"X-Api-Key": {"k"}}},
		{"as set", map[string]string{"auth_header": "X-Key", "auth_prefix": "Key"}, "k", http.Header{"X-Key": {"Key k"}}},
		{"no key", nil, "", http.Header{}},
		{"further ones", map[string]string{"header.anthropic-beta": "mine-1", "header.X-Title": "T"}, "", http.Header{"Anthropic-Beta": {"mine-1,theirs-2"}, "X-Title": {"T"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, ok)
			betas := ""
			if c.name == "further ones" {
				betas = "theirs-2,mine-1"
			}
			if _, e := providertest.Follow(t, f.open(c.settings, c.key).Stream(t.Context(), message(t, hi, betas))); e != nil {
				t.Fatal(e)
			}
			got := f.headers[0].Clone()
			if got.Get("Anthropic-Version") == "" {
				t.Error("no version")
			}
			for _, name := range []string{"Accept", "Accept-Encoding", "Content-Length", "Content-Type", "User-Agent", "Anthropic-Version"} {
				got.Del(name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestBaseURLs(t *testing.T) {
	for in, want := range map[string]string{
		"https://h/anthropic": "https://h/anthropic", "https://h/v1": "https://h", "https://h/v1/messages": "https://h", "https://h/": "https://h", "": "https://api.anthropic.com",
	} {
		up, err := Driver{}.Open(provider.Env{HTTP: http.DefaultClient, Settings: map[string]string{"base_url": in}})
		if err != nil || up.(*upstream).base != want {
			t.Errorf("%q: %+v, %v", in, up, err)
		}
	}
	if up, _ := (Driver{}).Open(provider.Env{HTTP: http.DefaultClient}); !up.(*upstream).options.OwnHost || up.(*upstream).idle != 0 {
		t.Error("Anthropic's own host is not known")
	}
	for _, env := range []provider.Env{{Settings: map[string]string{"base_url": "ftp://h"}, HTTP: http.DefaultClient}, {}} {
		if _, err := (Driver{}).Open(env); err == nil {
			t.Errorf("%+v opens", env)
		}
	}
}

func TestInfo(t *testing.T) {
	info := Driver{}.Info()
	if info.ID != "anthropic" || info.Wire != "anthropic" || len(info.Fields) == 0 || len(info.Logins) == 0 || info.Models[0].ID == "" || info.Status != provider.StatusActive {
		t.Errorf("%+v", info)
	}
}

func TestEveryQuirkChangesSomething(t *testing.T) {
	all := []string{"max_tokens=4096", "deny_beta=context-1m-*", "family=claude"}
	for name := range switches {
		all = append(all, name)
	}
	start := anthropic.Options{AlwaysStream: true}
	for _, q := range all {
		o := start
		if !applyQuirk(&o, q) || cmp.Equal(o, start) {
			t.Errorf("%s does nothing", q)
		}
	}
	for _, q := range []string{"unheard_of", "max_tokens=x", "deny_beta", "family="} {
		o := start
		if applyQuirk(&o, q) || !cmp.Equal(o, start) {
			t.Errorf("%s is taken: %+v", q, o)
		}
	}
	if o := newFake(t).open(map[string]string{"quirks": "unheard_of, convert"}, "").options; !o.ForceConvert {
		t.Errorf("%+v", o)
	}
}

func TestModelsArePaged(t *testing.T) {
	f := newFake(t, `200 {"data":[{"id":"a"}],"has_more":true,"last_id":"a b"}`, `200 {"data":[{"id":"b"}],"has_more":false}`)
	models, err := f.open(nil, "k").Models(t.Context())
	if err != nil || len(models) != 2 || models[1].ID != "b" {
		t.Errorf("%v, %v", models, err)
	}
	if diff := cmp.Diff([]string{"/v1/models?limit=1000", "/v1/models?limit=1000&after_id=a+b"}, f.paths); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if f.headers[0].Get("Anthropic-Version") == "" {
		t.Error("no version")
	}
	f = newFake(t, `200 {"data":[{"id":"a"}],"has_more":true,"last_id":"a"}`)
	if models, err := f.open(nil, "k").Models(t.Context()); err != nil || len(models) != maxPages {
		t.Errorf("a list without an end: %d, %v", len(models), err)
	}
	models, err = newFake(t).open(map[string]string{"models": "a,b"}, "").Models(t.Context())
	if err != nil || len(models) != 2 || models[0].ID != "a" {
		t.Errorf("%v, %v", models, err)
	}
	if models, err := newFake(t, "404 no").open(nil, "k").Models(t.Context()); models != nil || err != nil {
		t.Errorf("a service without a list: %v, %v", models, err)
	}
	if _, err := newFake(t, `200 "x"`).open(nil, "k").Models(t.Context()); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
}

func TestNoLoginIsTheErrorOfTheLogin(t *testing.T) {
	f := newFake(t, ok)
	u := f.open(nil, "k")
	u.env.Token = func(context.Context) (provider.Credential, error) {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "sign in again")
	}
	_, e := providertest.Follow(t, u.Stream(t.Context(), message(t, hi, "")))
	_, models := u.Models(t.Context())
	_, count := u.CountTokens(t.Context(), message(t, hi, ""))
	for _, err := range []error{e, models, count} {
		if e := apierror.From(err); e.Kind != apierror.AuthExpired || e.Provider != "mine" {
			t.Errorf("%v", err)
		}
	}
	if len(f.bodies) != 0 {
		t.Error("something was sent")
	}
}

func TestCountReadsGarbageAsAnError(t *testing.T) {
	if _, err := newFake(t, "200 x").open(nil, "k").CountTokens(t.Context(), message(t, hi, "")); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
}

func TestWhatCannotBeCarriedOverIsNotSent(t *testing.T) {
	f := newFake(t, ok)
	req := &canon.Request{Format: "test", Model: "m", Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartVideo, Media: &canon.Media{MIME: "video/mp4", Data: []byte("x")}}}}}}
	u := f.open(nil, "k")
	_, e := providertest.Follow(t, u.Stream(t.Context(), req))
	_, err := u.CountTokens(t.Context(), req)
	if e == nil || err == nil || e.Kind != apierror.Unsupported && e.Kind != apierror.InvalidRequest || len(f.bodies) != 0 {
		t.Errorf("%v, %v", e, err)
	}
}
