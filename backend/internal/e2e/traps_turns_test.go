package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// The traps of turns, tools and signatures, and what they share.

// assistantOf returns the content of a Messages answer as the client sends it back, and the id of its call.
func assistantOf(t *testing.T, text string) (content, id string) {
	t.Helper()
	var m struct{ Content json.RawMessage }
	var blocks []struct{ Type, ID string }
	if json.Unmarshal([]byte(text), &m) != nil || json.Unmarshal(m.Content, &blocks) != nil || len(blocks) == 0 {
		t.Fatalf("no answer: %s", text)
	}
	for _, c := range blocks {
		if c.Type == "tool_use" {
			id = c.ID
		}
	}
	return string(m.Content), id
}

// signatureOf returns the signature in a Messages answer.
func signatureOf(t *testing.T, content string) string {
	t.Helper()
	for rest := content; ; {
		_, after, ok := strings.Cut(rest, `"signature":"`)
		if !ok {
			t.Fatalf("no signature in %s", content)
		}
		sig, _, _ := strings.Cut(after, `"`)
		if sig != "" {
			return sig
		}
		rest = after
	}
}

func trapVendorCalls(t *testing.T, b *testkit.Bay) {
	for _, scenario := range []string{"tool_call+object_args", "tool_call+no_index", "tool_call+no_call_id", "parallel_tools+same_index:count=2", "tool_call+no_envelope", "tool_call+null_delta",
		"tool_call+finish:reason=stop", "no_args_tool", "parallel_tools:count=2"} {
		for _, more := range []string{streamed, ""} {
			text := tell(t, b, "compat", chatPath, chatOf("sim-chat", say("[["+scenario+"]] go"), bashChat+more), http.StatusOK)
			checkChat(t, scenario, text, strings.Contains(scenario, "parallel"))
		}
	}
}

// checkChat reads a chat answer with calls as a client that trusts the protocol does.
func checkChat(t *testing.T, what, text string, two bool) {
	t.Helper()
	type call struct {
		Index    *int
		ID       string
		Function struct {
			Name      string
			Arguments *string
		}
	}
	found, finish := map[int]*[3]string{}, ""
	for line := range strings.SplitSeq(text, "\n") {
		var c struct {
			ID, Object, Model string
			Created           int64
			Choices           []struct {
				Delta, Message *struct {
					Calls []call `json:"tool_calls"`
				}
				Finish string `json:"finish_reason"`
			}
		}
		data := strings.TrimPrefix(line, "data: ")
		if data == "" || data == "[DONE]" {
			continue
		}
		if err := json.Unmarshal([]byte(data), &c); err != nil || c.ID == "" || c.Object == "" || c.Model == "" || c.Created == 0 {
			t.Errorf("%s: %v in %s", what, err, data)
		}
		for _, ch := range c.Choices {
			finish += ch.Finish
			said := ch.Delta
			if said == nil {
				said = ch.Message
			}
			if said == nil {
				t.Errorf("%s: no delta in %s", what, data)
				continue
			}
			for i, x := range said.Calls {
				if x.Index == nil && ch.Delta != nil {
					t.Fatalf("%s: no index in %s", what, data)
				}
				at := i
				if x.Index != nil {
					at = *x.Index
				}
				if found[at] == nil {
					found[at] = &[3]string{}
				}
				args := ""
				if x.Function.Arguments != nil {
					args = *x.Function.Arguments
				}
				for n, s := range []string{x.ID, x.Function.Name, args} {
					found[at][n] += s
				}
			}
		}
	}
	for i := range len(found) {
		c := found[i]
		if c == nil || c[0] == "" || c[1] != "Bash" || !json.Valid([]byte(c[2])) || i > 0 && c[0] == found[0][0] {
			t.Errorf("%s: calls %v in %s", what, found, text)
			return
		}
	}
	if want := map[bool]int{false: 1, true: 2}[two]; len(found) != want || finish != "tool_calls" {
		t.Errorf("%s: %d calls, finish %q in %s", what, len(found), finish, text)
	}
}

func trapDoubledVersion(t *testing.T, b *testkit.Bay) {
	for _, path := range []string{"/v1/v1/chat/completions", "/v1//v1/chat/completions/", "/chat/completions"} {
		tell(t, b, "compat", path, chatOf("sim-chat", say("x"), ""), http.StatusOK)
	}
	tell(t, b, "compat", "/v1/v1/messages", messagesOf("sim-chat", say("x"), ""), http.StatusOK)
	tell(t, b, "compat", "/v1beta/v1beta/models/sim-chat:generateContent", `{"contents":[{"parts":[{"text":"x"}]}]}`, http.StatusOK)
}

// oddSchema has what Google's services do not know, and properties that are named like keywords.
const oddSchema = `{"$schema":"http://json-schema.org/draft-07/schema#","$id":"i","type":"object","additionalProperties":false,"propertyNames":{"pattern":"a"},
	"properties":{"title":{"type":"string"},"format":{"const":"v"},"default":{"type":"integer","exclusiveMinimum":0},"$ref":{"type":"string"},"required":{"type":"boolean"},"properties":{"$ref":"#/$defs/d"}},
	"required":["title","$ref"],"$defs":{"d":{"type":"object","properties":{"type":{"type":"string"}}}}}`

func trapUnknownName(t *testing.T, b *testkit.Bay) {
	got := passes(t, b, "gemini", messagesPath, messagesOf("gemini-2.5-flash", say("x"), `,"tools":[{"name":"odd","input_schema":`+oddSchema+`}]`))
	holds(t, "a tool", got, `!"$schema"`, `!"$id"`, `!"$defs"`, `!#/$defs`, `"parametersJsonSchema"`)
	got = passes(t, b, "openai", messagesPath, messagesOf("gpt-4.1", say("x"), `,"tools":[{"name":"odd","input_schema":`+oddSchema+`}]`))
	holds(t, "a tool for OpenAI", got, `!"$schema"`)
}

func trapKeywordProperties(t *testing.T, b *testkit.Bay) {
	const args = `{"title":"t","format":"v","default":1,"$ref":"r","required":true,"$schema":"s","properties":{"type":"x"}}`
	body := func(model string) string {
		return messagesOf(model, say("x")+`,{"role":"assistant","content":[{"type":"tool_use","id":"toolu_a","name":"odd","input":`+args+`}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_a","content":"y"}]}`,
			`,"tools":[{"name":"odd","input_schema":`+oddSchema+`}]`)
	}
	for provider, model := range trapModels {
		got := passes(t, b, provider, messagesPath, body(model))
		plain := strings.ReplaceAll(got, `\"`, `"`)
		holds(t, provider, plain, args)
		for _, name := range []string{"title", "format", "default", "$ref", "required", "properties"} {
			if i := strings.Index(got, `"properties":{`); i < 0 || !strings.Contains(got[i:], `"`+name+`":{`) {
				t.Errorf("%s: the property %s is gone: %s", provider, name, got)
			}
		}
	}
}

func trapResponseParts(t *testing.T, b *testkit.Bay) {
	call := func(id string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"Bash","arguments":"{}"}}`
	}
	got := passes(t, b, "gemini", chatPath, chatOf("gemini-2.5-flash", say("go")+`,{"role":"assistant","tool_calls":[`+call("a")+","+call("b")+","+call("c")+`]},{"role":"tool","tool_call_id":"c","content":"3"},
		{"role":"tool","tool_call_id":"a","content":"1"},`+say("next"), bashChat))
	if strings.Count(got, `"functionResponse"`) != 3 || strings.Index(got, `"output":"1"`) > strings.Index(got, `"output":"3"`) {
		t.Errorf("not three in the order of the calls: %s", got)
	}
	holds(t, "the missing one", got, `"response":{"error":"no result"}`)
}

func trapMissingResults(t *testing.T, b *testkit.Bay) {
	aborted := say("go") + `,{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"Bash","arguments":"{}"}}]},` + say("never mind") + `,{"role":"tool","tool_call_id":"call_z","content":"late"}`
	got := passes(t, b, "anthropic", chatPath, chatOf("claude-sonnet-4-5", aborted, bashChat))
	holds(t, "Claude", got, `"is_error":true`, "No result was recorded for this call.", "[result of unknown tool call call_z]: late")
	if strings.Index(got, `"tool_result"`) > strings.Index(got, "never mind") {
		t.Errorf("the result does not come first: %s", got)
	}
}

func trapEmptyBlocks(t *testing.T, b *testkit.Bay) {
	for provider, path := range map[string]string{"anthropic": chatPath, "gemini": chatPath} {
		got := passes(t, b, provider, path, chatOf(trapModels[provider], `{"role":"system","content":""},{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"q"}]},{"role":"assistant","content":""},`+say("more")+`,{"role":"assistant","content":"so far \n"}`, ""))
		holds(t, provider, got, `!"text":""`, `!so far \n"`, "so far")
	}
}

// The same service's own protocol, where the client's bytes pass: what Claude refuses at the end is mended all the same.
func TestPrefillAndNoTokensOfMessagesClients(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: testkit.Every()})
	got := passes(t, b, "anthropic", messagesPath, messagesOf("claude-sonnet-4-5", say("Name a city.")+`,{"role":"assistant","content":"The city is "}`, ""))
	holds(t, "white space at the end", got, `The city is"`, `!The city is "`)
	got = passes(t, b, "anthropic", messagesPath, messagesOf("claude-opus-4-6", say("Name a city.")+`,{"role":"assistant","content":"The city is"}`, ""))
	holds(t, "a model without prefill", got, "Continue exactly from: The city is")
	none := `{"model":"MODEL","max_tokens":0,"messages":[` + say("x") + `]}`
	tell(t, b, "anthropic", messagesPath, strings.Replace(none, "MODEL", "claude-sonnet-4-5", 1), http.StatusOK)
	for _, provider := range []string{"openai", "compat", "gemini", "openai-responses", "home-ollama"} {
		text := tell(t, b, provider, messagesPath, strings.Replace(none, "MODEL", trapModels[provider], 1), http.StatusBadRequest)
		holds(t, provider, text, "max_tokens", "invalid_request_error")
	}
}

func trapToolIDs(t *testing.T, b *testkit.Bay) {
	const odd = "functions.Bash:0"
	long := "toolu_" + strings.Repeat("a", 394)
	loop := strings.ReplaceAll(chatLoop, "call_a", odd)
	got := passes(t, b, "anthropic", chatPath, chatOf("claude-sonnet-4-5", loop, bashChat))
	holds(t, "Claude", got, `"id":"functions_Bash_0"`, `"tool_use_id":"functions_Bash_0"`)
	for _, provider := range []string{"openai", "openai-responses"} {
		got = passes(t, b, provider, messagesPath, strings.ReplaceAll(toolLoop(trapModels[provider], "", ""), "toolu_a", long))
		holds(t, provider, got, "!"+long[:70])
	}
}

func trapEmptyArguments(t *testing.T, b *testkit.Bay) {
	for _, provider := range []string{"openai", "compat"} {
		for _, more := range []string{streamed, ""} {
			call := chatCall(t, tell(t, b, provider, chatPath, chatOf(trapModels[provider], say("[[no_args_tool]] go"), bashChat+more), http.StatusOK))
			m := readMessage(tell(t, b, provider, messagesPath, messagesOf(trapModels[provider], say("[[no_args_tool]] go"), bashMessages+more), http.StatusOK))
			if call.Function.Arguments != "{}" || m.args != "{}" && m.args != "" || m.calls != 1 {
				t.Errorf("%s: %+v %+v", provider, call, m)
			}
		}
	}
	blank := strings.ReplaceAll(chatLoop, `"{\"command\":\"ls\"}"`, `""`)
	holds(t, "Claude", passes(t, b, "anthropic", chatPath, chatOf("claude-sonnet-4-5", blank, bashChat)), `"input":{}`)
	holds(t, "Gemini", passes(t, b, "gemini", chatPath, chatOf("gemini-2.5-flash", blank, bashChat)), `"args":{}`)
	holds(t, "Ollama", passes(t, b, "home-ollama", chatPath, chatOf("qwen3-vl:8b", blank, bashChat)), `"arguments":{}`)
}

func trapParallelCalls(t *testing.T, b *testkit.Bay) {
	const two = `,"tools":[{"name":"Bash","input_schema":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}},{"name":"Read","input_schema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}]`
	for provider, model := range trapModels {
		checkChat(t, provider, tell(t, b, provider, chatPath, chatOf(model, say("[[parallel_tools:count=2,name=Bash]] go"), bashChat+streamed), http.StatusOK), true)
		for _, more := range []string{streamed, ""} {
			text := tell(t, b, provider, messagesPath, messagesOf(model, say("[[parallel_tools:count=2]] go"), two+more), http.StatusOK)
			if m := readMessage(text); m.calls != 2 || !strings.Contains(text, `"Bash"`) || !strings.Contains(text, `"Read"`) || strings.Count(m.args, "{") != 2 && more != "" {
				t.Errorf("%s: %+v %s", provider, m, text)
			}
		}
	}
}

func trapCustomTools(t *testing.T, b *testkit.Bay) {
	for provider, model := range responsesModels {
		one, text := respond(t, b, provider, `{"model":"`+model+`","tools":[{"type":"custom","name":"apply_patch","description":"d","format":{"type":"grammar","syntax":"lark","definition":"start: x"}}],"input":"[[tool_call:name=apply_patch]] patch it"}`)
		if call := one.call(t, "custom_tool_call"); call.Name != "apply_patch" || call.Input == "" || call.Arguments != "" {
			t.Errorf("%s: %s", provider, text)
		}
	}
}

func trapNamespaces(t *testing.T, b *testkit.Bay) {
	for _, provider := range []string{"compat", "anthropic", "gemini", "home-ollama"} {
		body := `{"model":"` + trapModels[provider] + `","tools":[{"type":"namespace","name":"docs","description":"d","tools":[{"type":"function","name":"find","parameters":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}}]}],"input":"[[tool_call]] go"}`
		one, text := respond(t, b, provider, body)
		if call := one.call(t, "function_call"); call.Name != "find" || call.Namespace != "docs" {
			t.Errorf("%s: %s", provider, text)
		}
		holds(t, provider, string(b.Last(t, simOf[provider]).Body), `"docs__find"`)
	}
}

func trapWebSocket(t *testing.T, b *testkit.Bay) {
	resp, text := b.Do(t, http.MethodGet, responsesPath, "", "Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	if resp.StatusCode != http.StatusUpgradeRequired || !strings.Contains(text, `"error"`) {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func trapOllamaNoKey(t *testing.T, b *testkit.Bay) {
	for _, path := range []string{"/ollama/api/version", "/ollama/api/tags", "/ollama/api/ps", "/ollama", "/compat/api/tags"} {
		if resp, text := bare(t, b, http.MethodGet, path, ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, resp.Status, text)
		}
	}
	if resp, text := bare(t, b, http.MethodPost, "/ollama/api/chat", ollamaAsk); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a call that costs something: %s %s", resp.Status, text)
	}
}

func trapOllamaStreams(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		text := tell(t, b, provider, "/api/chat", `{"model":"`+model+`","messages":[`+say("[[text:text=one two three four]]")+`]}`, http.StatusOK)
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if len(lines) < 2 || strings.Count(text, `"done":true`) != 1 || !strings.Contains(lines[len(lines)-1], `"done":true`) {
			t.Errorf("%s: %s", provider, text)
		}
	}
}

func trapOllamaMessages(t *testing.T, b *testkit.Bay) {
	for provider, model := range trapModels {
		got := passes(t, b, provider, "/api/chat", `{"model":"`+model+`","stream":false,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"see","images":["`+onePixel+`"]},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"look","arguments":{"q":"z"}}}]},{"role":"tool","tool_name":"look","content":"seen"}],
			"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}}]}`)
		holds(t, provider, got, "Be brief.", onePixel, `"look"`, "seen")
	}
}

// sorted are the providers in an order that does not change.
func sorted() []string { return slices.Sorted(maps.Keys(trapModels)) }

func trapSearchAndFunctions(t *testing.T, b *testkit.Bay) {
	body := messagesOf("gemini-2.5-flash", say("x"), `,"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"Bash","input_schema":{"type":"object"}}]`)
	resp, _ := b.Do(t, http.MethodPost, "/gemini"+messagesPath, body)
	got := string(b.Last(t, simulator.Gemini).Body)
	holds(t, "Gemini 2.5", got, "!googleSearch", `"Bash"`)
	if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("X-Patchbay-Dropped"), "tools") {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}
