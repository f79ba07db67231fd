// Package hops tests the way of requests through the whole program: fallbacks to providers of another kind, and what the trace
// tells of them.
package hops

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
	"patchbay/backend/trace"
)

// hopConfig makes hop-PROVIDER a model of another provider, which goes to that provider when the other one cannot serve it.
const hopConfig = `
default_provider: compat
routing:
  aliases:
    hop-openai: anthropic/claude-sonnet-4-5
    hop-compat: gemini/gemini-2.5-flash
    hop-anthropic: "openai:gpt-4.1"
    hop-gemini: anthropic/claude-sonnet-4-5
    hop-openai-responses: gemini/gemini-2.5-flash
    hop-home-ollama: openai-responses/gpt-4.1
    hop-kiro: "openai:gpt-4.1"
  model_fallback:
    hop-openai: [openai/gpt-4.1]
    hop-compat: [compat/sim-chat]
    hop-anthropic: [anthropic/claude-sonnet-4-5]
    hop-gemini: [gemini/gemini-2.5-flash]
    hop-openai-responses: [openai-responses/gpt-4.1]
    hop-home-ollama: [home-ollama/qwen3-vl:8b]
    hop-kiro: [kiro/claude-sonnet-4.6]
`

// dot is a picture of one pixel.
const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// rich is a request of each protocol with system text, a tool, a picture, and a call with its result before the last words.
var rich = map[string]struct{ path, body string }{
	"openai": {"/v1/chat/completions", `{"model":"MODEL","messages":[{"role":"system","content":"Be brief."},
		{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + dot + `"}}]},
		{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"look","arguments":"{\"b\":1,\"a\":2}"}}]},
		{"role":"tool","tool_call_id":"call_1","content":"a dot"},{"role":"user","content":"Go on."}],
		"tools":[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"integer"}}}}}]}`},
	"responses": {"/v1/responses", `{"model":"MODEL","instructions":"Be brief.","input":[
		{"role":"user","content":[{"type":"input_text","text":"What is it?"},{"type":"input_image","image_url":"data:image/png;base64,` + dot + `"}]},
		{"type":"function_call","call_id":"call_1","name":"look","arguments":"{\"b\":1,\"a\":2}"},{"type":"function_call_output","call_id":"call_1","output":"a dot"},
		{"role":"user","content":"Go on."}],
		"tools":[{"type":"function","name":"look","description":"Looks.","parameters":{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"integer"}}}}]}`},
	"anthropic": {"/v1/messages", `{"model":"MODEL","max_tokens":900,"system":"Be brief.","messages":[
		{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + dot + `"}}]},
		{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"look","input":{"b":1,"a":2}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"a dot"},{"type":"text","text":"Go on."}]}],
		"tools":[{"name":"look","description":"Looks.","input_schema":{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"integer"}}}}]}`},
	"gemini": {"/v1beta/models/MODEL:generateContent", `{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[
		{"role":"user","parts":[{"text":"What is it?"},{"inlineData":{"mimeType":"image/png","data":"` + dot + `"}}]},
		{"role":"model","parts":[{"functionCall":{"id":"call_1","name":"look","args":{"b":1,"a":2}}}]},
		{"role":"user","parts":[{"functionResponse":{"id":"call_1","name":"look","response":{"output":"a dot"}}}]},{"role":"user","parts":[{"text":"Go on."}]}],
		"tools":[{"functionDeclarations":[{"name":"look","description":"Looks.","parametersJsonSchema":{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"integer"}}}}]}]}`},
	"ollama": {"/api/chat", `{"model":"MODEL","stream":false,"messages":[{"role":"system","content":"Be brief."},
		{"role":"user","content":"What is it?","images":["` + dot + `"]},
		{"role":"assistant","tool_calls":[{"function":{"name":"look","arguments":{"b":1,"a":2}}}]},{"role":"tool","tool_name":"look","content":"a dot"},
		{"role":"user","content":"Go on."}],
		"tools":[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"integer"}}}}}]}`},
}

// simOf names the simulated service behind each provider, models what is asked of it.
var (
	simOf = map[string]string{"openai": simulator.OpenAI, "compat": simulator.Compatible, "anthropic": simulator.Anthropic, "gemini": simulator.Gemini,
		"openai-responses": simulator.Responses, "home-ollama": simulator.Ollama, "kiro": simulator.Kiro}
	models = map[string]string{"openai": "gpt-4.1", "compat": "sim-chat", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash",
		"openai-responses": "gpt-4.1", "home-ollama": "qwen3-vl:8b", "kiro": "claude-sonnet-4.6"}
)

// rested ends all pauses.
func rested(t *testing.T, b *testkit.Bay) {
	t.Helper()
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if _, err := b.Backend.ClearAccount(t.Context(), a.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// holds fails unless text has every piece; a piece that begins with ! must not be there.
func holds(t *testing.T, what, text string, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if not := strings.HasPrefix(p, "!"); strings.Contains(text, strings.TrimPrefix(p, "!")) == not {
			t.Errorf("%s: %s is not as it should be in\n%.3000s", what, p, text)
		}
	}
}

// TestAHopLosesNothing has one provider refuse each client's request and another one of another kind answer it: what that one
// gets is byte for byte what it would have got at once.
func TestAHopLosesNothing(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: testkit.Every(), Config: hopConfig})
	firsts := map[string]string{"openai": "anthropic", "compat": "gemini", "anthropic": "openai", "gemini": "anthropic", "openai-responses": "gemini",
		"home-ollama": "openai-responses", "kiro": "openai"}
	for format, ask := range rich {
		for target, first := range firsts {
			t.Run(format+" from "+first+" to "+target, func(t *testing.T) {
				rested(t, b)
				b.Sim.Reset()
				send := func(provider, model string) (*http.Response, string) {
					path := provider + strings.ReplaceAll(ask.path, "MODEL", model)
					return b.Do(t, http.MethodPost, path, strings.ReplaceAll(ask.body, "MODEL", model), "anthropic-version", "2023-06-01")
				}
				resp, text := send("/"+target, models[target])
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("at once: %s %s", resp.Status, text)
				}
				want := string(b.Last(t, simOf[target]).Body)
				b.Sim.Script(simOf[first], "rate_limit:retry_after=30")
				front := ""
				if format == "ollama" {
					front = "/ollama"
				}
				resp, text = send(front, "hop-"+target)
				if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Patchbay-Provider") != target || resp.Header.Get("X-Patchbay-Attempts") != "2" {
					t.Fatalf("%s %v %s", resp.Status, resp.Header, text)
				}
				if d := cmp.Diff(want, string(b.Last(t, simOf[target]).Body)); d != "" {
					t.Error("-at once +after the hop\n" + d)
				}
				for _, r := range b.Sim.Requests() {
					if r.Refused != "" {
						t.Errorf("%s refused: %s\n%s", r.Upstream, r.Refused, r.Body)
					}
				}
			})
		}
	}
}

// traceOf returns the trace of the latest request, once it is written.
func traceOf(t *testing.T, b *testkit.Bay, id string) []api.TraceStep {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if d, err := b.Backend.Request(t.Context(), id); err == nil && d.Status != 0 {
			return d.Trace
		}
	}
	t.Fatal("the request has no row")
	return nil
}

func storyOf(steps []api.TraceStep) []string {
	var out []string
	for _, s := range steps {
		parts := []string{string(s.What)}
		for _, p := range []string{string(s.Rule), s.Provider, s.Label, s.Model, s.Kind, string(s.Next)} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func TestTheTraceTellsTheWholeWay(t *testing.T) {
	b := testkit.Start(t, testkit.Options{
		Accounts: map[string][]string{"openai": {"sk-sim-one", "sk-sim-two", "sk-sim-three"}, "anthropic": {"sk-ant-sim-one"}, "home-ollama": {""}},
		Config:   "routing:\n  chains:\n    openai: [home-ollama/qwen3:8b, gemini, anthropic/claude-sonnet-4-5]\n",
	})
	off := false
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Name == "openai-1" {
			if _, err := b.Backend.ChangeAccount(t.Context(), a.ID, api.AccountChange{Enabled: &off}); err != nil {
				t.Fatal(err)
			}
		}
	}
	body := strings.ReplaceAll(rich["openai"].body, "MODEL", "gpt-4.1")
	b.Sim.Script(simulator.OpenAI, "rate_limit:retry_after=30", "rate_limit:retry_after=60")
	resp, text := b.Do(t, http.MethodPost, "/openai/v1/chat/completions", body)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Patchbay-Provider") != "anthropic" {
		t.Fatal(resp.Status, text)
	}
	steps := traceOf(t, b, resp.Header.Get("X-Patchbay-Request-Id"))
	want := []string{
		"asked gpt-4.1 openai",
		"rule path openai gpt-4.1",
		"skipped openai openai-1 gpt-4.1 disabled",
		"tried openai openai-2 gpt-4.1 rate_limited next_account",
		"tried openai openai-3 gpt-4.1 rate_limited next_step",
		"skipped home-ollama qwen3:8b lacks",
		"skipped gemini no_account",
		"step anthropic claude-sonnet-4-5",
		"answered anthropic anthropic-1 claude-sonnet-4-5",
	}
	if d := cmp.Diff(want, storyOf(steps)); d != "" {
		t.Error("-want +got\n" + d)
	}
	for _, s := range steps {
		if s.What == trace.Tried && (s.Until.IsZero() || s.Message == "") {
			t.Errorf("%+v", s)
		}
	}

	// What would happen now is told in the same words, and nothing is sent.
	sent := len(b.Sim.Requests())
	v, err := b.Backend.Explain(t.Context(), api.RouteQuery{Model: "gpt-4.1", PathProvider: "openai", Needs: api.RouteNeeds{Images: true, Tools: true}})
	if err != nil {
		t.Fatal(err)
	}
	want = []string{
		"asked gpt-4.1 openai",
		"rule path openai gpt-4.1",
		"skipped openai openai-1 gpt-4.1 disabled",
		"skipped openai openai-2 gpt-4.1 resting",
		"skipped openai openai-3 gpt-4.1 resting",
		"skipped home-ollama qwen3:8b lacks",
		"skipped gemini no_account",
		"step anthropic claude-sonnet-4-5",
		"ready anthropic anthropic-1 claude-sonnet-4-5",
	}
	if d := cmp.Diff(want, storyOf(v.Trace)); d != "" {
		t.Error("-want +got\n" + d)
	}
	if a := v.Answer; a.Outcome != "account" || a.Label != "anthropic-1" || a.Rule != trace.ByPath || len(b.Sim.Requests()) != sent {
		t.Errorf("%+v", a)
	}

	// When all are out, the app hears at once when it may come again, and why of each.
	b.Sim.Script(simulator.Anthropic, "rate_limit:retry_after=90")
	resp, text = b.Do(t, http.MethodPost, "/openai/v1/chat/completions", body)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Error(resp.Status, resp.Header)
	}
	holds(t, "all are out", text, "openai-1: switched off", "openai-2: rests", "openai-3: rests", "anthropic-1", "home-ollama/qwen3:8b: skipped, it cannot see images",
		"gemini: skipped, it has no account")
	steps = traceOf(t, b, resp.Header.Get("X-Patchbay-Request-Id"))
	if last := steps[len(steps)-1]; last.What != trace.Ended || last.Until.IsZero() {
		t.Errorf("%+v", last)
	}
	if v, err = b.Backend.Explain(t.Context(), api.RouteQuery{Model: "gpt-4.1", PathProvider: "openai", Needs: api.RouteNeeds{Images: true}}); err != nil || v.Answer.Outcome != "nobody" || v.Answer.Status != 429 || v.Answer.Until.IsZero() {
		t.Errorf("%+v, %v", v.Answer, err)
	}
}

func TestThinkingByThePersonsWordReachesTheService(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"anthropic": {"sk-ant-sim-one"}, "gemini": {"sk-sim-one"}}})
	def, most := "low", "2000"
	if _, err := b.Backend.SetThinking(t.Context(), api.ThinkingChange{Provider: "anthropic", Default: &def, Max: &most}); err != nil {
		t.Fatal(err)
	}
	const chat, messages = "/anthropic/v1/chat/completions", "/anthropic/v1/messages"
	const said = `"messages":[{"role":"user","content":"x"}]`
	for name, c := range map[string]struct{ path, body, want, dropped, note string }{
		"nothing is said":    {chat, `{"model":"claude-sonnet-4-5",` + said + `}`, `"budget_tokens":1024`, "", "as set for the provider (low)"},
		"the same protocol":  {messages, `{"model":"claude-sonnet-4-5","max_tokens":9000,` + said + `}`, `"budget_tokens":1024`, "", "as set for the provider (low)"},
		"more than may be":   {messages, `{"model":"claude-sonnet-4-5","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":8000},` + said + `}`, `"budget_tokens":2000`, "thinking", "2000 tokens instead of 8000 tokens"},
		"a level too high":   {chat, `{"model":"claude-sonnet-4-5","reasoning_effort":"high",` + said + `}`, `"budget_tokens":1024`, "reasoning_effort", "low instead of high"},
		"as much as may be":  {messages, `{"model":"claude-sonnet-4-5","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000},` + said + `}`, `"budget_tokens":2000`, "", ""},
		"a suffix":           {chat, `{"model":"claude-sonnet-4-5(high)",` + said + `}`, `"budget_tokens":1024`, "reasoning_effort", "low instead of high"},
		"a suffix in tokens": {chat, `{"model":"claude-sonnet-4-5(1500)",` + said + `}`, `"budget_tokens":1500`, "", "by the name of the model (1500 tokens)"},
		"a suffix first":     {chat, `{"model":"claude-sonnet-4-5(1500)","reasoning_effort":"low",` + said + `}`, `"budget_tokens":1500`, "reasoning_effort", "(1500 tokens) instead of low"},
		"the same twice":     {chat, `{"model":"claude-sonnet-4-5(low)","reasoning_effort":"low",` + said + `}`, `"budget_tokens":1024`, "", "by the name of the model (low)"},
		"off is off":         {chat, `{"model":"claude-sonnet-4-5(none)",` + said + `}`, `!budget_tokens`, "", "by the name of the model (off)"},
		"another provider":   {"/gemini/v1/chat/completions", `{"model":"gemini-2.5-flash",` + said + `}`, `!thinkingBudget`, "", ""},
	} {
		resp, text := b.Do(t, http.MethodPost, c.path, c.body, "anthropic-version", "2023-06-01")
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", name, resp.Status, text)
			continue
		}
		sim := simulator.Anthropic
		if strings.HasPrefix(c.path, "/gemini") {
			sim = simulator.Gemini
		}
		holds(t, name, string(b.Last(t, sim).Body), c.want)
		if got := resp.Header.Get("X-Patchbay-Dropped"); got != c.dropped {
			t.Errorf("%s: dropped %q, want %q", name, got, c.dropped)
		}
		notes := notesOf(traceOf(t, b, resp.Header.Get("X-Patchbay-Request-Id")), "thinking")
		if (notes == "") != (c.note == "") || !strings.Contains(notes, c.note) {
			t.Errorf("%s: the way says %q, want %q", name, notes, c.note)
		}
	}
}

// notesOf joins the remarks of a kind.
func notesOf(steps []api.TraceStep, kind string) string {
	var out []string
	for _, s := range steps {
		if s.What == trace.Note && s.Kind == kind {
			out = append(out, s.Message)
		}
	}
	return strings.Join(out, "; ")
}

// TestRefusedThoughtsAreLeftOutOnce has services refuse the thinking of earlier turns, which another one signed: they are asked
// once more without it, never twice, the app and the log learn of it, and the account is not to blame.
func TestRefusedThoughtsAreLeftOutOnce(t *testing.T) {
	keys := testkit.Every()
	for id, list := range testkit.Assist() {
		keys[id] = list
	}
	b := testkit.Start(t, testkit.Options{Accounts: keys})
	for provider, c := range map[string]struct{ sim, model string }{
		"anthropic": {simulator.Anthropic, "claude-sonnet-4-5"}, "gemini": {simulator.Gemini, "gemini-2.5-flash"}, "openai-responses": {simulator.Responses, "gpt-5.5"},
		"kiro": {simulator.Kiro, "claude-sonnet-4.6"}, "antigravity": {simulator.Antigravity, "claude-sonnet-4-6"},
	} {
		for _, stream := range []string{"", `,"stream":true`} {
			ask := func(scenarios ...simulator.Scenario) (*http.Response, string, int) {
				b.Sim.Reset()
				b.Sim.Script(c.sim, scenarios...)
				resp, text := b.Do(t, http.MethodPost, "/"+provider+"/v1/chat/completions", `{"model":"`+c.model+`","messages":[{"role":"user","content":"x"}]`+stream+`}`)
				n := 0
				for _, r := range b.Sim.Requests() {
					if r.Upstream == c.sim && r.Method == http.MethodPost && strings.Contains(string(r.Body), `"x"`) {
						n++
					}
				}
				return resp, text, n
			}
			resp, text, n := ask("invalid_signature")
			if resp.StatusCode != http.StatusOK || n != 2 || !strings.Contains(resp.Header.Get("X-Patchbay-Dropped"), "reasoning") {
				t.Errorf("%s%s: %s after %d calls, %v %s", provider, stream, resp.Status, n, resp.Header, text)
			}
			id := resp.Header.Get("X-Patchbay-Request-Id")
			if notes := notesOf(traceOf(t, b, id), "reasoning"); strings.Count(notes, "asked once more without it") != 1 {
				t.Errorf("%s%s: the way says %q", provider, stream, notes)
			}
			if row, err := b.Backend.Request(t.Context(), id); err != nil || !strings.Contains(strings.Join(row.Dropped, ","), "reasoning") {
				t.Errorf("%s%s: the log has %v, %v", provider, stream, row.Dropped, err)
			}
			resp, text, n = ask("invalid_signature", "invalid_signature", "invalid_signature")
			if resp.StatusCode != http.StatusBadRequest || n != 2 {
				t.Errorf("%s%s, for ever: %s after %d calls, %s", provider, stream, resp.Status, n, text)
			}
		}
	}
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.State != "ready" {
			t.Errorf("%s is %s", a.Name, a.State)
		}
	}
}

// TestThoughtsOfAnotherAccountAreLeftOut sends a thought back that was signed elsewhere, as an app does whose person changed
// accounts in the middle of a conversation.
func TestThoughtsOfAnotherAccountAreLeftOut(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"anthropic": {"sk-ant-sim-one"}}})
	const head = `{"model":"claude-sonnet-4-5","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"[[reasoning:thought=hm,text=four]] x"}`
	_, text := b.Do(t, http.MethodPost, "/anthropic/v1/messages", head+`]}`, "anthropic-version", "2023-06-01")
	var first struct {
		Content []struct{ Type, Thinking, Signature string }
	}
	if err := json.Unmarshal([]byte(text), &first); err != nil || len(first.Content) != 2 || first.Content[0].Signature == "" {
		t.Fatalf("%v %s", err, text)
	}
	turn := func(thought string) string {
		return head + `,{"role":"assistant","content":[{"type":"thinking","thinking":"` + thought + `","signature":"` + first.Content[0].Signature + `"},{"type":"text","text":"four"}]},{"role":"user","content":"and now?"}]}`
	}
	for thought, refused := range map[string]int{"hm": 0, "what another account thought": 1} {
		b.Sim.Reset()
		resp, text := b.Do(t, http.MethodPost, "/anthropic/v1/messages", turn(thought), "anthropic-version", "2023-06-01")
		dropped := resp.Header.Get("X-Patchbay-Dropped")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Patchbay-Attempts") != "1" || (dropped == "reasoning") != (refused == 1) {
			t.Errorf("%s: %s %v %s", thought, resp.Status, resp.Header, text)
		}
		n := 0
		for _, r := range b.Sim.Requests() {
			if r.Refused != "" {
				n++
			}
		}
		if last := string(b.Last(t, simulator.Anthropic).Body); n != refused || strings.Contains(last, first.Content[0].Signature) != (refused == 0) {
			t.Errorf("%s: refused %d times, then sent %s", thought, n, last)
		}
	}
}

// TestNamesOfAnAccountReachEveryCall asks by a name that only one account has for the model, besides the calls that answer.
func TestNamesOfAnAccountReachEveryCall(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"openai": {"sk-sim-one", "sk-sim-two"}, "anthropic": {"sk-ant-sim-one"}, "openai-responses": {"sk-sim-one"}}})
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{"openai-2": "mine=text-embedding-3-small", "anthropic-1": "mine=claude-sonnet-4-5", "openai-responses-1": "mine=gpt-5.5"}
	for _, a := range accounts {
		not := []string{"*"}
		if a.Name == "openai-1" { // it must be passed over for what it does not serve
			if _, err := b.Backend.ChangeAccount(t.Context(), a.ID, api.AccountChange{NotSupportedModels: &not}); err != nil {
				t.Fatal(err)
			}
		}
		if name, model, ok := strings.Cut(own[a.Name], "="); ok {
			if _, err := b.Backend.SetAlias(t.Context(), api.AliasChange{Name: name, Target: model, Account: a.ID}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct{ path, body, account, sim, sent string }{
		{"/openai/v1/embeddings", `{"model":"mine","input":"x"}`, "openai-2", simulator.OpenAI, `"model":"text-embedding-3-small"`},
		{"/anthropic/v1/messages/count_tokens", `{"model":"mine","messages":[{"role":"user","content":"x"}]}`, "", simulator.Anthropic, `"model":"claude-sonnet-4-5"`},
		{"/openai-responses/v1/responses/compact", `{"model":"mine","input":"x"}`, "openai-responses-1", simulator.Responses, `"model":"gpt-5.5"`},
	} {
		b.Sim.Reset()
		resp, text := b.Do(t, http.MethodPost, c.path, c.body, "anthropic-version", "2023-06-01")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Patchbay-Account") != c.account && c.account != "" {
			t.Errorf("%s: %s %v %s", c.path, resp.Status, resp.Header, text)
			continue
		}
		all := b.Sim.Requests()
		if len(all) == 0 || !strings.Contains(string(all[len(all)-1].Body), c.sent) {
			t.Errorf("%s: nobody was asked for %s: %v", c.path, c.sent, all)
		}
	}
}

func TestAnAccountServesWhatItsOwnerSays(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"openai": {"sk-sim-one", "sk-sim-two"}}})
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	not := []string{"gpt-4*"}
	if _, err := b.Backend.ChangeAccount(t.Context(), accounts[0].ID, api.AccountChange{NotSupportedModels: &not}); err != nil {
		t.Fatal(err)
	}
	if v, err := b.Backend.SetAlias(t.Context(), api.AliasChange{Name: "mine", Target: "gpt-4.1", Account: accounts[1].ID}); err != nil || len(v.Aliases) != 1 || v.Aliases[0].Scope != "account" {
		t.Fatalf("%+v, %v", v.Aliases, err)
	}
	for _, model := range []string{"gpt-4.1", "mine"} {
		resp, text := b.Do(t, http.MethodPost, "/openai/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"x"}]}`)
		if model == "mine" && resp.Header.Get("X-Patchbay-Account") == "openai-1" {
			continue // it has no such name and was asked first; its service does not know it
		}
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Patchbay-Account") != "openai-2" {
			t.Errorf("%s: %s %v %s", model, resp.Status, resp.Header, text)
		}
		holds(t, model, string(b.Last(t, simulator.OpenAI).Body), `"model":"gpt-4.1"`)
	}
	all := []string{"*"}
	if _, err := b.Backend.ChangeAccount(t.Context(), accounts[1].ID, api.AccountChange{NotSupportedModels: &all}); err != nil {
		t.Fatal(err)
	}
	resp, text := b.Do(t, http.MethodPost, "/openai/v1/chat/completions", `{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}`)
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(text, "no account has the model") {
		t.Error(resp.Status, text)
	}
	bad := []string{"a, b"}
	if _, err := b.Backend.ChangeAccount(t.Context(), accounts[1].ID, api.AccountChange{SupportedModels: &bad}); err == nil {
		t.Error("a list in one pattern was taken")
	}
}
