package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// What the simulated upstreams refuse was Patchbay's fault: they are told nothing else here than what clients say.
func TestEveryUpstreamTakesWhatIsSentToIt(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: testkit.Every()})
	const tool = `{"type":"function","function":{"name":"Bash","description":"run","parameters":{"$schema":"x","type":"object","properties":{"command":{"type":"string"}},"required":["command"],"additionalProperties":false}}}`
	for provider, upstream := range map[string]string{"openai": simulator.OpenAI, "openai-responses": simulator.Responses, "gemini": simulator.Gemini, "compat": simulator.Compatible, "anthropic": simulator.Anthropic, "home-ollama": simulator.Ollama, "kiro": simulator.Kiro} {
		model := map[string]string{"openai": "gpt-4.1", "openai-responses": "gpt-5.5", "gemini": "gemini-3.5-flash", "compat": "sim-chat", "anthropic": "claude-sonnet-4-5", "home-ollama": "qwen3:8b", "kiro": "claude-sonnet-4.5"}[provider]
		for _, stream := range []string{"true", "false"} {
			history := `{"role":"system","content":"Help."},{"role":"user","content":"list the files with one tool call"}`
			ask := func() string {
				return `{"model":"` + model + `","stream":` + stream + `,"tools":[` + tool + `],"messages":[` + history + `]}`
			}
			resp, body := b.Do(t, "POST", "/"+provider+"/v1/chat/completions", ask())
			call := chatCall(t, body)
			if resp.StatusCode != 200 || call.Function.Name != "Bash" || call.Function.Arguments != `{"command":"ls"}` {
				t.Errorf("%s, stream %s: %d %s", provider, stream, resp.StatusCode, body)
				continue
			}
			call.Type = "function"
			asked, _ := json.Marshal(map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{call}})
			history += "," + string(asked) + `,{"role":"tool","tool_call_id":"` + call.ID + `","content":"marker-8.txt"}`
			resp, body = b.Do(t, "POST", "/"+provider+"/v1/chat/completions", ask())
			if resp.StatusCode != 200 || !strings.Contains(strings.Join(chatPieces(body), ""), "The Bash said: marker-8.txt") {
				t.Errorf("%s, stream %s, the second turn: %d %s", provider, stream, resp.StatusCode, body)
			}
			if last := b.Last(t, upstream); last.Refused != "" {
				t.Errorf("%s refused: %s\n%s", provider, last.Refused, last.Body)
			}
		}
	}
}

type chatToolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatPiece struct {
	Choices []struct {
		Message, Delta struct {
			Content   string         `json:"content"`
			ToolCalls []chatToolCall `json:"tool_calls"`
		}
	}
}

// chatRead reads a chat answer, streamed or not.
func chatRead(body string) []chatPiece {
	var out []chatPiece
	for line := range strings.SplitSeq(body, "\n") {
		var p chatPiece
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &p) == nil && len(p.Choices) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// chatPieces are the pieces of the text.
func chatPieces(body string) []string {
	var out []string
	for _, p := range chatRead(body) {
		out = append(out, p.Choices[0].Message.Content+p.Choices[0].Delta.Content)
	}
	return out
}

// chatCall is the one tool call of an answer.
func chatCall(t *testing.T, body string) chatToolCall {
	t.Helper()
	var out chatToolCall
	for _, p := range chatRead(body) {
		for _, c := range append(p.Choices[0].Message.ToolCalls, p.Choices[0].Delta.ToolCalls...) {
			out.ID += c.ID
			out.Function.Name += c.Function.Name
			out.Function.Arguments += c.Function.Arguments
		}
	}
	return out
}

// A service may send its client elsewhere; a key goes to the host that it was given for and to no other.
func TestRedirectsNeverTakeTheKeyAlong(t *testing.T) {
	accounts := testkit.Every()
	b := testkit.Start(t, testkit.Options{Accounts: accounts})
	for provider := range accounts {
		b.Do(t, "POST", "/"+provider+"/v1/chat/completions", `{"model":"sim-chat","messages":[{"role":"user","content":"[[redirect]]"}]}`)
	}
	asked := 0
	for _, r := range b.Sim.Requests() {
		switch {
		case r.Scenario != "":
			asked++
		case r.Upstream == simulator.Elsewhere && r.Key != "":
			t.Errorf("%s %s took the key along: %v", r.Method, r.Path, r.Header)
		}
	}
	if asked < len(accounts) {
		t.Errorf("only %d requests were redirected", asked)
	}
}
