package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// Forms of the chat protocol that vendors write and OpenAI does not: each is read as what it means. The client speaks another
// protocol; what clients of the same one get is told by the test of known traps.
func TestLenientServicesAreUnderstood(t *testing.T) {
	vendors := map[string]string{simulator.MiniMax: "MiniMax-M2.5", simulator.GLM: "glm-5.1", simulator.OpenRouter: "openai/gpt-4.1", simulator.LMStudio: "qwen3-8b"}
	settings, accounts := "", map[string][]string{"compat": {"sk-sim-one"}}
	for name := range vendors {
		accounts["my-"+name] = []string{"sk-sim-one"}
	}
	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	for name := range vendors {
		settings += "  my-" + name + ":\n    kind: openai\n    base_url: " + sim.BaseURL(name) + "\n"
	}
	b := testkit.Start(t, testkit.Options{Config: settings, Accounts: accounts})
	const tools = `,"tools":[{"name":"Bash","input_schema":{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}]`
	ask := func(provider, model, scenario, stream string) (int, string) {
		resp, body := b.Do(t, "POST", "/"+provider+"/v1/messages",
			`{"model":"`+model+`","max_tokens":1000,"stream":`+stream+tools+`,"messages":[{"role":"user","content":"[[`+scenario+`]] go"}]}`, "anthropic-version", "2023-06-01")
		return resp.StatusCode, body
	}
	for _, stream := range []string{"true", "false"} {
		for _, scenario := range []string{"text+null_delta", "text+no_envelope", "text+json_to_stream", "text+sse_to_json", "text+crlf", "text+no_space", "text+comments",
			"text+usage_every_chunk", "text+no_usage", "text+gzip", "text+text_plain", "text+finish:reason=eos", "text+finish:reason=end_turn"} {
			name, args, _ := strings.Cut(scenario, ":")
			status, body := ask("compat", "sim-chat", strings.TrimSuffix(name+":text=marker-3,"+args, ","), stream)
			if status != 200 || readMessage(body).text != "marker-3" {
				t.Errorf("%s, stream %s: %d %s", scenario, stream, status, body)
			}
		}
		for _, scenario := range []string{"tool_call+object_args", "tool_call+no_index", "tool_call+no_call_id", "tool_call+json_to_stream", "tool_call+finish:reason=stop"} {
			status, body := ask("compat", "sim-chat", scenario, stream)
			if m := readMessage(body); status != 200 || m.calls != 1 || m.id == "" || m.name != "Bash" || m.args != `{"command":"ls"}` {
				t.Errorf("%s, stream %s: %d %s", scenario, stream, status, body)
			}
		}
		for _, scenario := range []string{"error_200", "error_200:form=code", "error_200:form=type", "base_resp", "html_200", "empty_200"} {
			if status, body := ask("compat", "sim-chat", scenario, stream); status < 400 {
				t.Errorf("%s, stream %s: %d %s", scenario, stream, status, body)
			}
			rested(t, b)
		}
		for name, model := range vendors {
			status, body := ask("my-"+name, model, "reasoning", stream)
			if m := readMessage(body); status != 200 || m.text != "It is 4." {
				t.Errorf("%s, stream %s: %d %s", name, stream, status, body)
			}
			status, body = ask("my-"+name, model, "tool_call", stream)
			if m := readMessage(body); status != 200 || m.args != `{"command":"ls"}` {
				t.Errorf("%s, a call, stream %s: %d %s", name, stream, status, body)
			}
			if status, body = ask("my-"+name, model, "rate_limit:retry_after=1", stream); status != 429 {
				t.Errorf("%s, a limit, stream %s: %d %s", name, stream, status, body)
			}
			rested(t, b)
		}
	}
}

// message is what a Messages answer says, streamed or not.
type message struct {
	text, id, name, args string
	calls                int
}

func readMessage(body string) (m message) {
	type block struct {
		Type, Text, ID, Name string
		Input                json.RawMessage
		Partial              string `json:"partial_json"`
	}
	for line := range strings.SplitSeq(body, "\n") {
		var e struct {
			Content []block
			Start   *block `json:"content_block"`
			Delta   *block
		}
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &e) != nil {
			continue // the names of events
		}
		if e.Delta != nil {
			m.text, m.args = m.text+e.Delta.Text, m.args+e.Delta.Partial
		}
		if e.Start != nil && e.Start.Type == "tool_use" {
			m.id, m.name, m.calls = e.Start.ID, e.Start.Name, m.calls+1
		}
		for _, c := range e.Content {
			m.text += c.Text
			if c.Type == "tool_use" {
				m.id, m.name, m.args, m.calls = c.ID, c.Name, string(c.Input), m.calls+1
			}
		}
	}
	return m
}

// rested makes every account usable again.
func rested(t *testing.T, b *testkit.Bay) {
	t.Helper()
	for _, a := range must(b.Backend.Accounts(t.Context()))(t) {
		must(b.Backend.ClearAccount(t.Context(), a.ID, ""))(t)
	}
}
