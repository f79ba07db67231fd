package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// The traps of numbers, errors, streams and everything around them.

func trapUsage(t *testing.T, b *testkit.Bay) {
	const numbers = "[[usage:in=1200,out=34,cached=960]] x"
	for _, provider := range sorted() {
		model := trapModels[provider]
		cached := 960
		if provider == "home-ollama" { // its protocol has no word for it
			cached = 0
		}
		var m struct {
			Usage struct {
				In   int `json:"input_tokens"`
				Read int `json:"cache_read_input_tokens"`
				Made int `json:"cache_creation_input_tokens"`
				Out  int `json:"output_tokens"`
			}
		}
		var c struct {
			Usage struct {
				In      int `json:"prompt_tokens"`
				Out     int `json:"completion_tokens"`
				Total   int `json:"total_tokens"`
				Details struct {
					Cached int `json:"cached_tokens"`
				} `json:"prompt_tokens_details"`
			}
		}
		var g struct {
			Usage struct{ PromptTokenCount, CachedContentTokenCount, CandidatesTokenCount, TotalTokenCount int } `json:"usageMetadata"`
		}
		var o struct {
			In  int `json:"prompt_eval_count"`
			Out int `json:"eval_count"`
		}
		for _, ask := range []struct {
			path, body string
			into       any
		}{
			{messagesPath, messagesOf(model, say(numbers), ""), &m}, {chatPath, chatOf(model, say(numbers), ""), &c},
			{"/v1beta/models/" + model + ":generateContent", `{"contents":[{"parts":[{"text":"` + numbers + `"}]}]}`, &g},
			{"/api/chat", `{"model":"` + model + `","stream":false,"messages":[` + say(numbers) + `]}`, &o},
		} {
			text := tell(t, b, provider, ask.path, ask.body, http.StatusOK)
			if err := json.Unmarshal([]byte(text), ask.into); err != nil {
				t.Errorf("%v %s", err, text)
			}
		}
		if u := m.Usage; u.In+u.Made != 1200-cached || u.Read != cached || u.Out != 34 {
			t.Errorf("%s to Messages: %+v", provider, u)
		}
		if u := c.Usage; u.In != 1200 || u.Out != 34 || u.Total != 1234 || u.Details.Cached != cached {
			t.Errorf("%s to Chat: %+v", provider, u)
		}
		if u := g.Usage; u.PromptTokenCount != 1200 || u.CandidatesTokenCount != 34 || u.TotalTokenCount != 1234 || u.CachedContentTokenCount != cached {
			t.Errorf("%s to Gemini: %+v", provider, u)
		}
		if o.In != 1200 || o.Out != 34 {
			t.Errorf("%s to Ollama: %+v", provider, o)
		}
	}
}

func trapZero(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		got := passes(t, b, provider, messagesPath, messagesOf(model, say("x"), `,"temperature":0`))
		holds(t, provider, got, `"temperature":0`, `!"temperature":0.`, `!"top_p"`, `!"topP"`)
		got = passes(t, b, provider, chatPath, chatOf(model, say("x"), ""))
		holds(t, provider+", nothing said", got, `!"temperature"`, `!"top_p"`, `!"topP"`)
	}
}

func trapBudgets(t *testing.T, b *testkit.Bay) {
	for budget, effort := range map[string]string{"1024": "low", "8192": "medium", "8193": "high", "24576": "high"} {
		think := `,"thinking":{"type":"enabled","budget_tokens":` + budget + `}`
		ask := `{"model":"gpt-5.5","max_tokens":30000,"messages":[` + say("x") + `]` + think + `}`
		holds(t, "Chat", passes(t, b, "openai", messagesPath, ask), `"reasoning_effort":"`+effort+`"`)
		holds(t, "Responses", passes(t, b, "openai-responses", messagesPath, ask), `"effort":"`+effort+`"`)
		holds(t, "Claude", passes(t, b, "anthropic", "/v1beta/models/claude-opus-4-6:generateContent", `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":`+budget+`}}}`), `"effort":"`+effort+`"`)
	}
	for effort, budget := range map[string]string{"low": "1024", "medium": "8192", "high": "24576"} {
		holds(t, "Claude by budget", passes(t, b, "anthropic", chatPath, chatOf("claude-sonnet-4-5", say("x"), `,"reasoning_effort":"`+effort+`"`)), `"budget_tokens":`+budget)
		holds(t, "Gemini by budget", passes(t, b, "gemini", chatPath, chatOf("gemini-2.5-flash", say("x"), `,"reasoning_effort":"`+effort+`"`)), `"thinkingBudget":`+budget)
	}
}

func trapPictureByAddress(t *testing.T, b *testkit.Bay) {
	for _, provider := range []string{"gemini", "home-ollama"} {
		text := tell(t, b, provider, chatPath, chatOf(trapModels[provider], `{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"http://127.0.0.1:9/a.png?canary"}}]}`, ""), http.StatusBadRequest)
		holds(t, provider, text, "127.0.0.1", "!canary")
	}
}

func trapPictureInResult(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		got := passes(t, b, provider, messagesPath, messagesOf(model, say("go")+`,{"role":"assistant","content":[{"type":"tool_use","id":"toolu_a","name":"Bash","input":{"command":"x"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_a","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"`+onePixel+`"}}]}]}`, bashMessages))
		holds(t, provider, got, onePixel)
	}
}

func trapDeveloper(t *testing.T, b *testkit.Bay) {
	for provider, want := range map[string]string{"anthropic": `"system":`, "gemini": `"systemInstruction":{"parts":[{"text":"Obey."}`, "compat": `{"role":"system","content":"Obey."}`, "home-ollama": `{"role":"system","content":"Obey."}`, "openai": `"Obey."`, "openai-responses": `Obey.`} {
		got := passes(t, b, provider, chatPath, chatOf(trapModels[provider], `{"role":"developer","content":"Obey."},`+say("x")+`,{"role":"developer","content":"Whisper."},`+say("y"), ""))
		holds(t, provider, got, want, "Obey.", "Whisper.")
		got = passes(t, b, provider, responsesPath, `{"model":"`+trapModels[provider]+`","instructions":"Obey.","input":[{"role":"developer","content":"Be kind."},{"role":"user","content":"x"}]}`)
		holds(t, provider, got, "Obey.", "Be kind.")
	}
}

// clients are the paths of all protocols with a request for a model, its prompt in the place of PROMPT.
var trapClients = map[string]string{
	chatPath: `{"model":"MODEL","messages":[{"role":"user","content":"PROMPT"}]}`, messagesPath: `{"model":"MODEL","max_tokens":9000,"messages":[{"role":"user","content":"PROMPT"}]}`,
	responsesPath: `{"model":"MODEL","input":"PROMPT"}`, "/v1beta/models/MODEL:generateContent": `{"contents":[{"parts":[{"text":"PROMPT"}]}]}`,
	"/api/chat": `{"model":"MODEL","stream":false,"messages":[{"role":"user","content":"PROMPT"}]}`,
}

// everyClient asks compat in each protocol and checks the status by path.
func everyClient(t *testing.T, b *testkit.Bay, scenario string, statuses map[string]int, check func(path string, resp *http.Response, text string)) {
	t.Helper()
	for path, body := range trapClients {
		rested(t, b)
		fill := strings.NewReplacer("MODEL", "sim-chat", "PROMPT", "[["+scenario+"]] x")
		resp, text := b.Do(t, http.MethodPost, "/compat"+fill.Replace(path), fill.Replace(body))
		want, ok := statuses[path]
		if !ok {
			want = statuses[""]
		}
		if resp.StatusCode != want {
			t.Errorf("%s, %s: %s %s", scenario, path, resp.Status, text)
		}
		if check != nil {
			check(path, resp, text)
		}
	}
}

func trapUpstream401(t *testing.T, b *testkit.Bay) {
	for _, scenario := range []string{"unauthorized", "forbidden"} {
		everyClient(t, b, scenario, map[string]int{"": 503, messagesPath: 529}, func(path string, resp *http.Response, text string) {
			holds(t, path, text, "compat", "compat-1")
			if resp.Header.Get("X-Should-Retry") != "false" && resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %v", path, resp.Header)
			}
		})
	}
}

func trapNoAccount(t *testing.T, b *testkit.Bay) {
	for _, a := range must(b.Backend.Accounts(t.Context()))(t) {
		if a.Provider == "compat" {
			off, on := false, true
			must(b.Backend.ChangeAccount(t.Context(), a.ID, api.AccountChange{Enabled: &off}))(t)
			t.Cleanup(func() { must(b.Backend.ChangeAccount(context.Background(), a.ID, api.AccountChange{Enabled: &on}))(t) })
		}
	}
	for path, body := range trapClients {
		fill := strings.NewReplacer("MODEL", "sim-chat", "PROMPT", "x")
		resp, text := b.Do(t, http.MethodPost, "/compat"+fill.Replace(path), fill.Replace(body))
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusUnauthorized || resp.StatusCode < 400 {
			t.Errorf("%s: %s %s", path, resp.Status, text)
		}
	}
}

func trapQuota(t *testing.T, b *testkit.Bay) {
	everyClient(t, b, "rate_limit:retry_after=7200", map[string]int{"": 429}, func(path string, resp *http.Response, text string) {
		if path != "/api/chat" && !strings.HasPrefix(path, "/v1beta") && resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %v", path, resp.Header)
		}
		if strings.HasPrefix(path, "/v1beta") {
			holds(t, path, text, "PerDay")
		}
	})
	everyClient(t, b, "rate_limit:retry_after=20", map[string]int{"": 429}, func(path string, resp *http.Response, text string) {
		holds(t, path, text, "!PerDay", "!insufficient_quota")
		if after := resp.Header.Get("Retry-After"); after == "" || resp.Header.Get("X-Should-Retry") == "false" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	})
}

func trapUsageChunk(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		text := tell(t, b, provider, chatPath, chatOf(model, say("[[text]]"), streamed), http.StatusOK)
		holds(t, provider+", not asked", text, `!"usage":{`, `!"choices":[]`)
		text = tell(t, b, provider, chatPath, chatOf(model, say("[[text]]"), streamed+`,"stream_options":{"include_usage":true}`), http.StatusOK)
		holds(t, provider+", asked", text, `"choices":[],"usage":{`)
		if strings.Count(text, `"usage":null`) < 2 && provider != "compat" && provider != "openai" {
			t.Errorf("%s: usage is not null in the other chunks: %s", provider, text)
		}
	}
}

func trapEmbeddings(t *testing.T, b *testkit.Bay) {
	for provider, model := range map[string]string{"openai": "text-embedding-3-small", "gemini": "gemini-embedding-001", "home-ollama": "nomic-embed-text"} {
		holds(t, provider, tell(t, b, provider, "/v1/embeddings", `{"model":"`+model+`","input":"a","encoding_format":"base64"}`, http.StatusOK), `"embedding":"`)
		holds(t, provider, tell(t, b, provider, "/v1/embeddings", `{"model":"`+model+`","input":"a"}`, http.StatusOK), `"embedding":[`)
	}
}

func trapSilence(t *testing.T, _ *testkit.Bay) {
	b := testkit.Start(t, testkit.Options{Config: "timeouts:\n  keep_alive: 20ms\n", Accounts: map[string][]string{"compat": {"sk-sim-one"}}})
	const silent = "[[silence:after=1,for=300ms]] hello"
	holds(t, "Chat", tell(t, b, "compat", chatPath, chatOf("sim-chat", say(silent), streamed), http.StatusOK), ": ping\n\n", "[DONE]")
	holds(t, "Messages", tell(t, b, "compat", messagesPath, messagesOf("sim-chat", say(silent), streamed), http.StatusOK), "event: ping\n", "!\n: ", "event: message_stop")
	holds(t, "Gemini", tell(t, b, "compat", "/v1beta/models/sim-chat:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"`+silent+`"}]}]}`, http.StatusOK), "\n\n\n", "!\n:")
	holds(t, "whole", tell(t, b, "compat", chatPath, chatOf("sim-chat", say(silent), ""), http.StatusOK), "!\n\n")
}

func trapLongLines(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		for path, end := range map[string]string{chatPath: "[DONE]", messagesPath: "event: message_stop"} {
			_, text := b.Do(t, http.MethodPost, "/"+provider+path, messagesOf(model, say("[[big_line:mb=1]]"), streamed))
			if len(text) < 1<<20 || !strings.Contains(text, end) {
				t.Errorf("%s%s: %d bytes end with %q", provider, path, len(text), text[max(0, len(text)-200):])
			}
		}
	}
}

func trapRawArguments(t *testing.T, b *testkit.Bay) {
	const args = `{"z":1.50,"a":"<b>&</b> é","command":"x"}`
	quoted, _ := json.Marshal(args)
	quoted = []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted)))
	history := strings.ReplaceAll(chatLoop, `"{\"command\":\"ls\"}"`, string(quoted))
	for provider, model := range trapModels {
		got := strings.ReplaceAll(passes(t, b, provider, chatPath, chatOf(model, history, bashChat)), `\"`, `"`)
		holds(t, provider, got, args)
	}
	for _, provider := range []string{"compat", "anthropic", "openai-responses"} { // the others hold objects whose bytes the simulator makes
		call := chatCall(t, tell(t, b, provider, chatPath, chatOf(trapModels[provider], `{"role":"user","content":"[[tool_call:args=`+strings.ReplaceAll(args, `"`, `\"`)+`]] go"}`, bashChat+streamed), http.StatusOK))
		if call.Function.Arguments != args && provider != "anthropic" || !json.Valid([]byte(call.Function.Arguments)) {
			t.Errorf("%s: %q", provider, call.Function.Arguments)
		}
	}
}

func trapToolNames(t *testing.T, b *testkit.Bay) {
	same := "mcp__" + strings.Repeat("a", 65) // both shorten to the same first letters
	for _, name := range []string{same + "_one", same + "_two"} {
		m := readMessage(tell(t, b, "openai", messagesPath, messagesOf("gpt-4.1", say("[[tool_call]] go"), `,"tools":[{"name":"`+name+`","input_schema":{"type":"object","properties":{"command":{"type":"string"}}}}]`), http.StatusOK))
		if m.name != name {
			t.Errorf("%s came back as %s", name, m.name)
		}
	}
}

func trapBillingBlock(t *testing.T, b *testkit.Bay) {
	const system = `,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cc_entrypoint=cli;"},{"type":"text","text":"Be brief."}]`
	for provider, model := range trapModels {
		got := passes(t, b, provider, messagesPath, messagesOf(model, say("x"), system))
		want := []string{"Be brief.", "!x-anthropic-billing-header"}
		if provider == "anthropic" {
			want[1] = "x-anthropic-billing-header"
		}
		holds(t, provider, got, want...)
	}
}

func trapDiscovery(t *testing.T, b *testkit.Bay) {
	_, text := b.Do(t, http.MethodGet, "/v1/models?limit=1000", "", "anthropic-version", "2023-06-01", "User-Agent", "claude-code/2.1.197")
	var list struct{ Data []struct{ ID string } }
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Data) < 10 {
		t.Fatalf("%v %s", err, text)
	}
	for _, m := range list.Data {
		if !strings.HasPrefix(m.ID, "claude") && !strings.HasPrefix(m.ID, "anthropic") {
			t.Errorf("%s is never shown", m.ID)
		}
	}
	holds(t, "the list", text, `"id":"claude-sonnet-4-5-20250929"`, `"id":"claude-via/sim-chat","display_name":"sim-chat"`)
	for _, more := range []string{"", streamed} {
		text = tell(t, b, "auto", messagesPath, messagesOf("claude-via/sim-chat", say("[[text:text=plover]]"), more), http.StatusOK)
		holds(t, "a name from the list", text, `"model":"claude-via/sim-chat"`, "plover")
	}
	_, text = b.Do(t, http.MethodGet, "/v1/models?limit=1000", "", "anthropic-version", "2023-06-01")
	holds(t, "the list of others", text, `"id":"sim-chat"`, "!claude-via")
}

func trapStructuredOutput(t *testing.T, b *testkit.Bay) {
	const schema = `,"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}}`
	for _, model := range []string{"claude-3-7-sonnet", "claude-sonnet-4-5"} {
		for _, more := range []string{"", streamed} {
			text := tell(t, b, "anthropic", chatPath, chatOf(model, say("where?"), schema+more), http.StatusOK)
			said := strings.Join(chatPieces(text), "")
			if !json.Valid([]byte(said)) || !strings.Contains(said, `"city"`) || strings.Contains(text, "tool_calls") {
				t.Errorf("%s: %s", model, text)
			}
		}
	}
}

func trapRetryAfterContent(t *testing.T, _ *testkit.Bay) {
	for _, path := range []string{chatPath, messagesPath} {
		b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"compat": {"sk-sim-bad", "sk-sim-good"}}})
		b.Sim.SetKey("sk-sim-bad", "cut:after=2")
		_, text := b.Do(t, http.MethodPost, path, messagesOf("sim-chat", say("say tern and more"), streamed))
		if strings.Count(text, `"error"`) == 0 || strings.Contains(text, "[DONE]") || strings.Contains(text, "message_stop") || b.Last(t, simulator.Compatible).Key != "sk-sim-bad" {
			t.Errorf("%s: %s", path, text)
		}
	}
}

func trapClientLeaves(t *testing.T, b *testkit.Bay) {
	for path, body := range map[string]string{chatPath: chatOf("sim-chat", say("[[long+slow:delay=20ms,chunks=500]]"), streamed), messagesPath: messagesOf("sim-chat", say("[[long+slow:delay=20ms,chunks=500]]"), streamed)} {
		for range 4 { // three failures in a row would rest an account
			ctx, leave := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+"/compat"+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+b.Key)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
				t.Error(err)
			}
			n := len(b.Sim.Requests())
			leave()
			resp.Body.Close()
			wait, stop := context.WithTimeout(t.Context(), 10*time.Second)
			if _, err := b.Sim.Await(wait, func(r simulator.Request) bool { return r.ID >= n && r.Disconnected }); err != nil {
				t.Error("the call to the service went on")
			}
			stop()
		}
	}
	tell(t, b, "compat", chatPath, chatOf("sim-chat", say("x"), ""), http.StatusOK)
}
