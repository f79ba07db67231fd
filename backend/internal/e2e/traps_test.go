package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// trap is a way in which proxies between these protocols were seen to fail. The numbers are those of the product's own
// list of known traps, which this table is; comments elsewhere name them.
type trap struct {
	symptom string
	run     func(t *testing.T, b *testkit.Bay)
}

// knownTraps is the list, in its order.
var knownTraps = []trap{
	{"a system message in the middle is refused", trapSystemInTheMiddle},
	{"Gemini: function call is missing a thought_signature", trapMissingThoughtSignature},
	{"a conversation is dead after a switch of the model", trapModelSwitch},
	{"the placeholder for Gemini's signature is sent to Claude", trapPlaceholder},
	{"Claude expects a thinking block in a tool loop of a chat client", trapExpectedThinking},
	{"budget_tokens is not below max_tokens", trapBudgetRepair},
	{"the stream closed before response.completed", trapResponseCompleted},
	{"an answer without text although tokens were used", trapEmptyOutput},
	{"the agent stops after one turn", trapStopsAfterOneTurn},
	{"an empty or malformed response of status 200", trapEmptyAnswer},
	{"message_stop without a current message", trapMessageStartFirst},
	{"a Messages stream without event lines", trapEventLines},
	{"an incomplete JSON segment at the end", trapGeminiFrames},
	{"tool_calls[0].index fails type validation", trapVendorCalls},
	{"404 for a version that stands in the path twice", trapDoubledVersion},
	{"Gemini: unknown name $schema, const, propertyNames", trapUnknownName},
	{"properties named like keywords are eaten", trapKeywordProperties},
	{"the number of function response parts differs", trapResponseParts},
	{"tool_use ids were found without tool_result blocks", trapMissingResults},
	{"text content blocks must be non-empty", trapEmptyBlocks},
	{"the id of a tool call is refused", trapToolIDs},
	{"arguments of a call are an empty text", trapEmptyArguments},
	{"parallel calls are merged into one", trapParallelCalls},
	{"the context meter shows twice as much, or nothing", trapUsage},
	{"temperature 0 becomes 1", trapZero},
	{"every budget becomes the effort high", trapBudgets},
	{"Ollama clients wait for a stream and get one object", trapOllamaStreams},
	{"pictures and tools of Ollama clients are lost", trapOllamaMessages},
	{"Codex's apply_patch never works", trapCustomTools},
	{"tools in a namespace are dropped", trapNamespaces},
	{"a WebSocket is half accepted", trapWebSocket},
	{"Ollama clients get 401 where Ollama asks for no key", trapOllamaNoKey},
	{"Gemini ignores a picture by address", trapPictureByAddress},
	{"a picture in a tool result is lost", trapPictureInResult},
	{"tool use with function calling is unsupported", trapSearchAndFunctions},
	{"the developer's instructions vanish", trapDeveloper},
	{"an upstream's 401 is told to the client", trapUpstream401},
	{"404 while no account is free", trapNoAccount},
	{"a used-up quota looks like a busy minute", trapQuota},
	{"usage is null, or comes unasked", trapUsageChunk},
	{"embeddings in the wrong encoding", trapEmbeddings},
	{"long silent thinking is cut by idle timers", trapSilence},
	{"a line longer than 64 KiB breaks the stream", trapLongLines},
	{"arguments are escaped and their keys sorted", trapRawArguments},
	{"tool names of two conversations mix", trapToolNames},
	{"Claude Code's billing block reaches other services", trapBillingBlock},
	{"Claude Code discovers no model", trapDiscovery},
	{"the stand-in for structured output shows as a tool call", trapStructuredOutput},
	{"the text is doubled after a retry", trapRetryAfterContent},
	{"a client that leaves counts against the account", trapClientLeaves},
}

func TestKnownTraps(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: testkit.Every()})
	for i, tr := range knownTraps {
		t.Run(fmt.Sprintf("%02d %s", i+1, tr.symptom), func(t *testing.T) {
			rested(t, b)
			b.Sim.Reset()
			tr.run(t, b)
		})
	}
}

// models are those that the traps ask, by provider.
var trapModels = map[string]string{"openai": "gpt-4.1", "compat": "sim-chat", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash",
	"openai-responses": "gpt-4.1", "home-ollama": "qwen3-vl:8b"}

// simOf names the simulated service behind each provider.
var simOf = map[string]string{"openai": simulator.OpenAI, "compat": simulator.Compatible, "anthropic": simulator.Anthropic, "gemini": simulator.Gemini,
	"openai-responses": simulator.Responses, "home-ollama": simulator.Ollama}

// tell asks a provider in the words of a client's protocol and returns the answer, which must have the status. What the
// upstream itself refuses is Patchbay's fault.
func tell(t *testing.T, b *testkit.Bay, provider, path, body string, status int) string {
	t.Helper()
	resp, text := b.Do(t, http.MethodPost, "/"+provider+path, body, "anthropic-version", "2023-06-01")
	if resp.StatusCode != status {
		t.Errorf("%s%s: %s\n%s\n%.2000s", provider, path, resp.Status, body, text)
	}
	for _, r := range b.Sim.Requests() {
		if r.Refused != "" {
			t.Errorf("%s%s: the service refused: %s\n%s", provider, path, r.Refused, r.Body)
		}
	}
	return text
}

// passes does the same and returns what the upstream got.
func passes(t *testing.T, b *testkit.Bay, provider, path, body string) string {
	t.Helper()
	tell(t, b, provider, path, body, http.StatusOK)
	return string(b.Last(t, simOf[provider]).Body)
}

// holds fails unless text has every piece; a piece that begins with ! must not be there.
func holds(t *testing.T, what, text string, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		not := strings.HasPrefix(p, "!")
		if strings.Contains(text, strings.TrimPrefix(p, "!")) == not {
			t.Errorf("%s: %s is not as it should be in\n%.3000s", what, p, text)
		}
	}
}

// Bodies of clients. members are added to the object; %s in none of them.

func messagesOf(model, messages, members string) string {
	return `{"model":"` + model + `","max_tokens":9000,"messages":[` + messages + `]` + members + `}`
}

func chatOf(model, messages, members string) string {
	return `{"model":"` + model + `","messages":[` + messages + `]` + members + `}`
}

const (
	bashMessages = `,"tools":[{"name":"Bash","description":"run","input_schema":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}]`
	bashChat     = `,"tools":[{"type":"function","function":{"name":"Bash","description":"run","parameters":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}}]`
	streamed     = `,"stream":true`
	onePixel     = smallPicture
)

// say is a user message of Chat, Messages and Ollama.
func say(text string) string { return `{"role":"user","content":"` + text + `"}` }

func trapSystemInTheMiddle(t *testing.T, b *testkit.Bay) {
	body := func(model string) string {
		return messagesOf(model, say("hello")+`,{"role":"system","content":"Date: today."},`+say("go on"), `,"system":"Be brief."`)
	}
	for provider, want := range map[string]string{
		"compat": `{"role":"system","content":"Date: today."}`, "openai": `Date: today.`, "openai-responses": `Date: today.`,
		"home-ollama": `{"role":"system","content":"Date: today."}`, "anthropic": `<system-reminder>\nDate: today.\n</system-reminder>`,
		"gemini": `<system-reminder>\nDate: today.\n</system-reminder>`,
	} {
		got := passes(t, b, provider, messagesPath, body(trapModels[provider]))
		holds(t, provider, got, want)
		if strings.Index(got, "hello") > strings.Index(got, "Date: today.") && provider != "gemini" {
			t.Errorf("%s: the word in the middle was moved to the front: %s", provider, got)
		}
	}
}

// toolLoop is a history whose last turn has two calls, in the words of Messages. thinking stands before the calls.
func toolLoop(model, thinking, members string) string {
	return messagesOf(model, say("go")+`,{"role":"assistant","content":[`+thinking+`{"type":"tool_use","id":"toolu_a","name":"Bash","input":{"command":"ls"}},{"type":"tool_use","id":"toolu_b","name":"Bash","input":{"command":"pwd"}}]},`+
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_b","content":"/p"},{"type":"tool_result","tool_use_id":"toolu_a","content":"x"}]}`, members+bashMessages)
}

const geminiSkip = "skip_thought_signature_validator"

func trapMissingThoughtSignature(t *testing.T, b *testkit.Bay) {
	got := passes(t, b, "gemini", messagesPath, toolLoop("gemini-3-pro-preview", "", ""))
	holds(t, "another model's history", got, `"thoughtSignature":"`+geminiSkip+`"`)
	if strings.Count(got, geminiSkip) != 1 {
		t.Errorf("not at the first call alone: %s", got)
	}
}

func trapModelSwitch(t *testing.T, b *testkit.Bay) {
	const think = `,"thinking":{"type":"enabled","budget_tokens":2000}` + bashMessages
	ask := say("[[reasoning_tool]] files?")
	first := map[string]string{"anthropic": "claude-sonnet-4-5", "gemini": "gemini-3-pro-preview", "openai-responses": "gpt-5.5"}
	for from, model := range first {
		content, id := assistantOf(t, tell(t, b, from, messagesPath, messagesOf(model, ask, think), http.StatusOK))
		history := ask + `,{"role":"assistant","content":` + content + `},{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + id + `","content":"a.txt"}]}`
		sign := signatureOf(t, content)
		for to, other := range first {
			got := passes(t, b, to, messagesPath, messagesOf(other, history, think))
			switch {
			case to == from && to == "anthropic":
				holds(t, "back to "+to, got, sign)
			case to != from:
				holds(t, from+" to "+to, got, "!"+sign, "a.txt", "Bash")
			}
		}
	}
}

func trapPlaceholder(t *testing.T, b *testkit.Bay) {
	body := `{"contents":[{"role":"user","parts":[{"text":"go"}]},{"role":"model","parts":[{"functionCall":{"name":"Bash","args":{}},"thoughtSignature":"` + geminiSkip + `"}]},
		{"role":"user","parts":[{"functionResponse":{"name":"Bash","response":{"output":"x"}}}]}],"tools":[{"functionDeclarations":[{"name":"Bash","parametersJsonSchema":{"type":"object"}}]}]}`
	for _, provider := range []string{"anthropic", "compat", "openai-responses"} {
		holds(t, provider, passes(t, b, provider, "/v1beta/models/"+trapModels[provider]+":generateContent", body), "!"+geminiSkip)
	}
	holds(t, "Claude from Messages", passes(t, b, "anthropic", messagesPath, toolLoop("claude-sonnet-4-5", "", "")), "!"+geminiSkip)
}

const chatLoop = `{"role":"user","content":"go"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"ls\"}"}}]},{"role":"tool","tool_call_id":"call_a","content":"x"}`

func trapExpectedThinking(t *testing.T, b *testkit.Bay) {
	got := passes(t, b, "anthropic", chatPath, chatOf("claude-sonnet-4-5", chatLoop, `,"reasoning_effort":"high"`+bashChat))
	holds(t, "no thought is known", got, `!"type":"enabled"`)
	// A history that was made here has its thoughts put back.
	ask := say("[[reasoning_tool]] files?")
	call := chatCall(t, tell(t, b, "anthropic", chatPath, chatOf("claude-sonnet-4-5", ask, `,"reasoning_effort":"high"`+bashChat), http.StatusOK))
	history := ask + `,{"role":"assistant","content":"Looking.","tool_calls":[{"id":"` + call.ID + `","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"ls\"}"}}]},{"role":"tool","tool_call_id":"` + call.ID + `","content":"x"}`
	got = passes(t, b, "anthropic", chatPath, chatOf("claude-sonnet-4-5", history, `,"reasoning_effort":"high"`+bashChat))
	holds(t, "a thought is known", got, `"type":"enabled"`, `"type":"thinking"`, `"signature":"`)
}

func trapBudgetRepair(t *testing.T, b *testkit.Bay) {
	got := passes(t, b, "anthropic", messagesPath, `{"model":"claude-sonnet-4-5","max_tokens":8000,"thinking":{"type":"enabled","budget_tokens":32000},"messages":[`+say("x")+`]}`)
	holds(t, "below the model's limit", got, `"budget_tokens":32000`, `"max_tokens":40000`)
	got = passes(t, b, "anthropic", messagesPath, `{"model":"claude-sonnet-4-5","max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":64000},"messages":[`+say("x")+`]}`)
	holds(t, "at the model's limit", got, `"budget_tokens":62976`, `"max_tokens":64000`)
}

func trapResponseCompleted(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		one, text := respond(t, b, provider, `{"model":"`+model+`","stream":true,"input":"[[text:text=plover]]"}`)
		if strings.Count(text, "event: response.completed\n") != 1 || one.text(t) != "plover" {
			t.Errorf("%s: %s", provider, text)
		}
	}
}

func trapEmptyOutput(t *testing.T, b *testkit.Bay) {
	for path, body := range map[string]string{
		chatPath:     chatOf("gpt-4.1", say("[[text+empty_output:text=plover]]"), ""),
		messagesPath: messagesOf("gpt-4.1", say("[[text+empty_output:text=plover]]"), ""),
		"/api/chat":  `{"model":"gpt-4.1","stream":false,"messages":[` + say("[[text+empty_output:text=plover]]") + `]}`,
	} {
		holds(t, path, tell(t, b, "openai-responses", path, strings.Replace(body, `"model"`, `"stream":true,"model"`, 1), http.StatusOK), "plover")
	}
}

func trapStopsAfterOneTurn(t *testing.T, b *testkit.Bay) {
	for provider, scenario := range map[string]string{"compat": "tool_call+finish:reason=stop", "gemini": "tool_call", "home-ollama": "tool_call", "openai-responses": "tool_call"} {
		for _, more := range []string{"", streamed} {
			ask := say("[[" + scenario + "]] go")
			holds(t, provider, tell(t, b, provider, messagesPath, messagesOf(trapModels[provider], ask, bashMessages+more), http.StatusOK), `"stop_reason":"tool_use"`)
			holds(t, provider, tell(t, b, provider, chatPath, chatOf(trapModels[provider], ask, bashChat+more), http.StatusOK), `"finish_reason":"tool_calls"`)
		}
	}
}

func trapEmptyAnswer(t *testing.T, b *testkit.Bay) {
	for _, provider := range []string{"compat", "openai-responses", "home-ollama"} {
		for _, more := range []string{"", streamed} {
			rested(t, b)
			tell(t, b, provider, messagesPath, messagesOf(trapModels[provider], say("[[empty]]"), more), http.StatusInternalServerError)
		}
	}
}

func trapMessageStartFirst(t *testing.T, b *testkit.Bay) {
	for _, provider := range []string{"compat", "anthropic", "gemini", "openai-responses", "home-ollama"} {
		for _, scenario := range []string{"text", "refusal", "cut:after=1", "error_chunk:after=1", "tool_call"} {
			rested(t, b)
			resp, text := b.Do(t, http.MethodPost, "/"+provider+messagesPath, messagesOf(trapModels[provider], say("[["+scenario+"]] some more words than one"), streamed+bashMessages))
			if resp.StatusCode == http.StatusOK && !strings.HasPrefix(text, "event: message_start\n") || strings.Count(text, "event: message_stop")+strings.Count(text, "event: error") > 1 {
				t.Errorf("%s, %s: %s %s", provider, scenario, resp.Status, text)
			}
		}
	}
}

func trapEventLines(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		text := tell(t, b, provider, messagesPath, messagesOf(model, say("[[reasoning_tool]] go"), streamed+bashMessages), http.StatusOK)
		for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
			name, rest, _ := strings.Cut(strings.TrimPrefix(block, "event: "), "\n")
			if !strings.HasPrefix(block, "event: ") || !strings.HasPrefix(rest, "data: {") || !strings.Contains(rest, `"type":"`+name+`"`) {
				t.Errorf("%s: %q", provider, block)
			}
		}
	}
}

func trapGeminiFrames(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		text := tell(t, b, provider, "/v1beta/models/"+model+":streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"[[text:text=one%0Atwo%E2%80%A8three]]"}]}]}`, http.StatusOK)
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			if line != "" && (!strings.HasPrefix(line, "data: {") || !strings.HasSuffix(line, "}")) {
				t.Errorf("%s: %q", provider, line)
			}
		}
	}
}
