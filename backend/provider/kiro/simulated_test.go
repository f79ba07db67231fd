package kiro

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
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
	"patchbay/backend/simulator"
	"patchbay/backend/transport"
)

// house is a simulated Kiro with an account at it.
type house struct {
	t    testing.TB
	sim  *simulator.Server
	env  provider.Env
	up   provider.Upstream
	mu   sync.Mutex // guards notes and cred
	note map[string]string
	cred provider.Credential
}

func newHouse(t testing.TB, c provider.Credential, settings map[string]string) *house {
	t.Helper()
	h := &house{t: t, sim: simulator.New(simulator.Options{}), note: map[string]string{}, cred: c}
	if err := h.sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.sim.Close() })
	clients := transport.NewClients(transport.Options{Version: "test"})
	t.Cleanup(clients.CloseIdle)
	client, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{provider.SettingBaseURL: h.sim.BaseURL(simulator.Kiro), provider.SettingLoginURL: h.sim.BaseURL(simulator.Kiro)}
	maps.Copy(all, settings)
	h.env = provider.Env{Provider: "kiro", AccountID: "account-1", Label: "Ann", HTTP: client, Settings: all, Log: slog.New(slog.DiscardHandler),
		Token: func(context.Context) (provider.Credential, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.cred, nil
		},
		Note:     func(k string) string { h.mu.Lock(); defer h.mu.Unlock(); return h.note[k] },
		Remember: func(k, v string) { h.mu.Lock(); defer h.mu.Unlock(); h.note[k] = v }}
	if h.up, err = (Driver{}).Open(h.env); err != nil {
		t.Fatal(err)
	}
	return h
}

// signIn gives the account a login of a kind.
func (h *house) signIn(kind, email string) provider.Credential {
	h.t.Helper()
	g, ok := h.sim.KiroLogins(kind).Issue(email)
	if !ok {
		h.t.Fatal("no such person")
	}
	c := provider.Credential{Access: secret.New(g.Access), Refresh: secret.New(g.Refresh), Issued: time.Now().Add(-time.Hour), Expiry: time.Now().Add(time.Hour), Extra: map[string]string{extraKind: kind}}
	if kind != kindBuilder {
		c.Extra[extraARN] = h.sim.KiroProfile(kind)
	}
	if kind != kindSocial {
		id, hidden := h.sim.KiroClient()
		c.Extra[extraClient], c.Secret, c.Extra[extraRegion] = id, secret.New(hidden), regionUS
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cred = c
	return c
}

func keyed() provider.Credential { return provider.Credential{Access: secret.New("ksk_sim-one")} }

func (h *house) ask(req *canon.Request) (*canon.Response, *apierror.Error) {
	h.t.Helper()
	return providertest.Follow(h.t, h.up.Stream(h.t.Context(), req))
}

func hello(text string, mutate ...func(*canon.Request)) *canon.Request {
	return ask(append([]func(*canon.Request){noTools, func(r *canon.Request) { r.Messages[0].Parts[0].Text = text }}, mutate...)...)
}

func answerText(r *canon.Response) string {
	var b strings.Builder
	for _, p := range r.Parts {
		if p.Type == canon.PartText {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// inference lists the calls of the inference endpoints, as host and status.
func (h *house) inference() []string {
	var out []string
	for _, r := range h.sim.Requests() {
		if r.Upstream == simulator.Kiro && !strings.HasPrefix(r.Path, "/management") && r.Method == http.MethodPost {
			out = append(out, strings.Split(r.Path, "/")[1]+" "+http.StatusText(r.Status))
		}
	}
	return out
}

func TestEveryKindOfAccountIsAnswered(t *testing.T) {
	for _, kind := range []string{kindSocial, kindBuilder, kindIDC, kindKey} {
		t.Run(kind, func(t *testing.T) {
			h := newHouse(t, keyed(), nil)
			if kind != kindKey {
				h.signIn(kind, "ann@example.test")
			}
			r, e := h.ask(hello("Say this"))
			if e != nil || !strings.Contains(answerText(r), "You said: Say this") || r.Usage == nil || r.Usage.Input <= 0 || r.Usage.Output <= 0 {
				t.Fatalf("%v %+v", e, r)
			}
			for _, q := range h.sim.Requests() {
				if q.Refused != "" {
					t.Errorf("%s refused: %s\n%s", q.Path, q.Refused, q.Body)
				}
			}
			models, err := h.up.Models(t.Context())
			if err != nil || len(models) != 6 || models[4].ID != "claude-opus-5" || len(models[4].Efforts) != 5 || models[1].Context != 200_000 {
				t.Errorf("%v %+v", err, models)
			}
			if got, err := h.up.(provider.Tester).Test(t.Context()); err != nil || got.Models != 6 {
				t.Errorf("%v %+v", err, got)
			}
			q, err := h.up.(provider.QuotaReporter).Quota(t.Context())
			if kind == kindKey {
				if err == nil {
					t.Error("a key reads the usage")
				}
				return
			}
			if err != nil || len(q) != 1 || q[0].Used != 312.47 || q[0].Limit != 1000 || q[0].ResetsAt == 0 || q[0].Unit != "credits" || !strings.Contains(q[0].Name, "KIRO PRO") {
				t.Errorf("%v %+v", err, q)
			}
		})
	}
}

func TestWaysAreTriedInTurnAndKept(t *testing.T) {
	for name, c := range map[string]struct {
		kind, era string
		setup     func(*house)
		first     []string
		then      []string
	}{
		"builder id today":   {kindBuilder, "", nil, []string{"runtime OK"}, []string{"runtime OK"}},
		"builder id in May":  {kindBuilder, "2026-05", nil, []string{"runtime Forbidden", "q Forbidden", "q OK"}, []string{"q OK"}},
		"social, no runtime": {kindSocial, "", func(h *house) { h.sim.Script(simulator.Kiro, "aws_error:status=404,message=x") }, []string{"runtime Not Found", "q OK"}, []string{"q OK"}},
		"organisation, a gate": {kindIDC, "", func(h *house) {
			h.sim.Script(simulator.Kiro, "aws_error:status=403,message=User is not authorized to make this call.")
		}, []string{"runtime Forbidden", "q OK"}, []string{"q OK"}},
		"a key, another surface": {kindKey, "", func(h *house) {
			h.sim.Script(simulator.Kiro, "aws_error:status=403,message=Your subscription does not support this application")
		}, []string{"runtime Forbidden", "q OK"}, []string{"q OK"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, keyed(), nil)
			if c.kind != kindKey {
				h.signIn(c.kind, "ann@example.test")
			}
			h.sim.KiroEra(c.era)
			if c.setup != nil {
				c.setup(h)
			}
			if _, e := h.ask(hello("one")); e != nil {
				t.Fatal(e)
			}
			if diff := cmp.Diff(c.first, h.inference()); diff != "" {
				t.Errorf("first: -want +got\n%s", diff)
			}
			h.sim.Reset()
			h.sim.KiroEra(c.era)
			if _, e := h.ask(hello("two")); e != nil {
				t.Fatal(e)
			}
			if diff := cmp.Diff(c.then, h.inference()); diff != "" {
				t.Errorf("then: -want +got\n%s", diff)
			}
		})
	}
}

func TestNoOtherWayForWhatIsNoFaultOfTheWay(t *testing.T) {
	for sc, want := range map[simulator.Scenario]struct {
		kind  apierror.Kind
		calls int
	}{
		"unauthorized":          {apierror.AuthExpired, 1},
		"forbidden":             {apierror.AccountBlocked, 1},
		"rate_limit":            {apierror.RateLimited, 1},
		"overload":              {apierror.ModelBusy, 1},
		"server_error":          {apierror.Upstream5xx, 1},
		"context_too_long":      {apierror.ContextTooLong, 1},
		"not_found":             {apierror.ModelNotFound, 1},
		"unsupported_parameter": {apierror.InvalidRequest, 1},
		"invalid_signature":     {apierror.InvalidRequest, 2}, // once more without the reasoning of the history
		"html":                  {apierror.Upstream5xx, 1},
		"html_200":              {apierror.Upstream5xx, 1},
		"empty_200":             {apierror.Upstream5xx, 1},
		"cut":                   {apierror.Truncated, 1},
		"frames:kind=half":      {apierror.Truncated, 1},
		"frames:kind=crc":       {apierror.Upstream5xx, 1},
		"frames:kind=prelude":   {apierror.Upstream5xx, 1},
		"frames:kind=giant":     {apierror.Upstream5xx, 1},
		"frames:kind=error":     {apierror.Upstream5xx, 1},
		"aws_exception":         {apierror.RateLimited, 1},
		"aws_exception:type=ValidationException,after=2,reason=CONTENT_LENGTH_EXCEEDS_THRESHOLD": {apierror.ContextTooLong, 1},
		"overload_in_200": {apierror.ModelBusy, 1},
		"empty":           {apierror.Upstream5xx, 1},
		"malformed_call":  {apierror.Upstream5xx, 1},
		"location":        {apierror.AccountBlocked, 3}, // no way of this account works
	} {
		t.Run(string(sc), func(t *testing.T) {
			h := newHouse(t, keyed(), nil)
			h.signIn(kindSocial, "ann@example.test")
			h.sim.Script(simulator.Kiro, sc, sc, sc, sc)
			_, e := h.ask(hello("x"))
			if e == nil || e.Kind != want.kind || len(h.inference()) != want.calls || e.Provider != "kiro" || e.AccountID != "account-1" {
				t.Errorf("%v after %v", e, h.inference())
			}
		})
	}
}

func TestFriendlyScenarios(t *testing.T) {
	h := newHouse(t, keyed(), nil)
	for sc, want := range map[simulator.Scenario]string{
		"frames:kind=unknown": "You said: hello", "multi_byte": "你好，世界", "length": "longer than the limit", "stop_sequence": "Everything before",
		"usage_every_chunk": "You said", "no_usage": "You said", "long:chunks=50": "word49", "big_line:mb=3": "0123456789abcdef",
	} {
		h.sim.Script(simulator.Kiro, sc)
		if r, e := h.ask(hello("hello")); e != nil || !strings.Contains(answerText(r), want) {
			t.Errorf("%s: %v %.200q", sc, e, answerText(r))
		}
	}
	h.sim.Script(simulator.Kiro, "usage:in=120,out=34,cached=96")
	if r, e := h.ask(hello("hello")); e != nil || r.Usage.Input != 120 || r.Usage.CacheRead != 96 || r.Usage.Output != 34 || r.Usage.Estimated {
		t.Errorf("%v %+v", e, r.Usage)
	}
}

func TestThinkingEitherWay(t *testing.T) {
	h := newHouse(t, keyed(), nil)
	think := func(model string) (*canon.Response, *canon.Request) {
		t.Helper()
		req := hello("[[reasoning]] 2+2?", func(r *canon.Request) { r.Model = model; r.Reasoning = canon.Reasoning{Mode: canon.ReasonOn} })
		r, e := h.ask(req)
		if e != nil || len(r.Parts) != 2 || r.Parts[0].Type != canon.PartReasoning || !strings.Contains(r.Parts[0].Text, "Two and two") || r.Parts[1].Text != "It is 4." {
			t.Fatalf("%s: %v %+v", model, e, r)
		}
		return r, req
	}
	if r, _ := think("claude-sonnet-4-5"); r.Parts[0].Opaque != nil {
		t.Errorf("tags: %+v", r.Parts[0])
	}
	r, req := think("claude-opus-5")
	if o := r.Parts[0].Opaque; o == nil || o.Family != "claude" || o.Data == "" {
		t.Fatalf("native: %+v", r.Parts[0])
	}
	// the next turn sends the thought back, and the service checks its signature
	req.Messages = append(req.Messages, canon.Message{Role: canon.RoleAssistant, Parts: r.Parts}, canon.Message{Role: canon.RoleUser, Parts: []canon.Part{said0("and?")}})
	if r, e := h.ask(req); e != nil || !strings.Contains(answerText(r), "thoughts returned: 1") {
		t.Errorf("%v %q", e, answerText(r))
	}
	req.Messages[1].Parts[0].Opaque = &canon.Opaque{Family: "claude", Kind: "think", Data: "EforgedXXXX"}
	h.sim.Reset()
	if r, e := h.ask(req); e != nil || strings.Contains(answerText(r), "thoughts returned") || len(h.inference()) != 2 {
		t.Errorf("a bad signature: %v %q %v", e, answerText(r), h.inference())
	}
}

func TestToolLoop(t *testing.T) {
	for _, sc := range []string{"", "[[printed_call]] ", "[[printed_call:form=xml]] ", "[[parallel_tools:count=3]] ", "[[reasoning_tool]] "} {
		h := newHouse(t, keyed(), nil)
		req := ask(func(r *canon.Request) {
			r.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "Bash", Schema: []byte(`{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}`)}}
			r.Messages[0].Parts[0].Text = sc + "list the files with one tool call"
		})
		r, e := h.ask(req)
		if e != nil || r.Finish.Reason != canon.FinishTools {
			t.Fatalf("%s: %v %+v", sc, e, r)
		}
		var results []canon.Part
		for _, p := range r.Parts {
			if p.Type == canon.PartToolCall {
				if p.Name != "Bash" || string(p.Args) != `{"command":"ls"}` {
					t.Errorf("%s: %s %s", sc, p.Name, p.Args)
				}
				results = append(results, canon.Part{Type: canon.PartToolResult, CallID: p.CallID, Result: []canon.Part{said0("marker-8.txt")}})
			}
		}
		req.Messages = append(req.Messages, canon.Message{Role: canon.RoleAssistant, Parts: r.Parts}, canon.Message{Role: canon.RoleUser, Parts: results})
		if r, e = h.ask(req); e != nil || !strings.Contains(answerText(r), "The Bash said: marker-8.txt") {
			t.Errorf("%s, the second turn: %v %q", sc, e, answerText(r))
		}
	}
}

func TestCutCallIsNotExecuted(t *testing.T) {
	h := newHouse(t, keyed(), nil)
	h.sim.Script(simulator.Kiro, "cut_call:text=Writing")
	r, e := h.ask(ask(func(r *canon.Request) { r.Messages[0].Parts[0].Text = "list the files" }))
	if e != nil || r.Finish.Reason != canon.FinishLength || !strings.Contains(answerText(r), "was cut off by the Kiro service") {
		t.Errorf("%v %+v", e, r)
	}
	for _, p := range r.Parts {
		if p.Type == canon.PartToolCall {
			t.Errorf("%+v", p)
		}
	}
}

func TestFormOfTheAnswerInWords(t *testing.T) {
	h := newHouse(t, keyed(), nil)
	for want, out := range map[string]canon.Output{
		`{"bird":"`: {Kind: canon.OutputSchema, Schema: []byte(`{"type":"object","properties":{"bird":{"type":"string"}},"required":["bird"]}`)},
		`{"echo":"`: {Kind: canon.OutputJSON},
	} {
		r, e := h.ask(hello("Name a bird.", func(r *canon.Request) { r.Output = out }))
		if e != nil || !strings.HasPrefix(answerText(r), want) {
			t.Errorf("%v %q", e, answerText(r))
		}
	}
}
