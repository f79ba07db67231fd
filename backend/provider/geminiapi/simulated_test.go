package geminiapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/openai"
)

// simulated is an account at the simulated Gemini API, which refuses what Google refuses.
func simulated(t *testing.T) (*upstream, *simulator.Server) {
	t.Helper()
	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	clients := transport.NewClients(transport.Options{})
	t.Cleanup(func() {
		clients.CloseIdle()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	cl, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	up, err := Driver{}.Open(provider.Env{AccountID: "a", HTTP: cl, Settings: map[string]string{provider.SettingBaseURL: sim.BaseURL(simulator.Gemini)},
		Token: func(context.Context) (provider.Credential, error) {
			return provider.Credential{Access: secret.New("sk-sim-one")}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return up.(*upstream), sim
}

// decode reads a client's body of a format.
func decode(t *testing.T, format, body string) *canon.Request {
	t.Helper()
	c := map[string]struct {
		codec wire.Codec
		op    wire.Op
		path  string
	}{
		"chat":     {openai.Codec{}, openai.OpChat, "/v1/chat/completions"},
		"messages": {anthropic.Codec{}, anthropic.OpMessages, "/v1/messages"},
		"gemini":   {gemini.Codec{}, gemini.OpStream, "/v1beta/models/asked:streamGenerateContent?alt=sse"},
	}[format]
	req, err := c.codec.Decode(c.op, httptest.NewRequest(http.MethodPost, c.path, nil), []byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if err := req.Expand(); err != nil {
		t.Fatal(err)
	}
	return req
}

var simModels = []string{"gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview", "gemini-3-flash-preview", "gemini-3.7-flash", "gemini-flash-latest"}

const (
	chatTool   = `{"type":"function","function":{"name":"Bash","description":"run","parameters":{"$schema":"x","type":"object","properties":{"command":{"type":"string"},"title":{"type":["string","null"],"const":"v"},"n":{"type":"integer","exclusiveMinimum":0}},"required":["command"],"additionalProperties":false}}}`
	oddTool    = `{"type":"function","function":{"name":"9mcp/odd name","parameters":null}}`
	claudeTool = `{"name":"Bash","description":"run","input_schema":{"$schema":"x","type":"object","properties":{"command":{"type":"string"}},"required":["command"],"additionalProperties":false}}`
	searchTool = `{"type":"web_search_20250305","name":"web_search"}`
	call1      = `{"id":"c1","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"ls\"}"}}`
	call2      = `{"id":"c2","type":"function","function":{"name":"Bash","arguments":""}}`
	hello      = `"messages":[{"role":"user","content":"hello"}]`
	pixel      = `iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==`
)

// bodies are requests in clients' words that a service must take.
var bodies = map[string][2]string{
	"plain":                {"chat", `{"model":"m",` + hello + `}`},
	"all numbers":          {"chat", `{"model":"m","temperature":0,"top_p":0.5,"presence_penalty":0.5,"frequency_penalty":-0.5,"seed":7,"max_tokens":100,"stop":["a","b","","c","d"],` + hello + `}`},
	"a limit too large":    {"chat", `{"model":"m","max_tokens":9999999,` + hello + `}`},
	"effort none":          {"chat", `{"model":"m","reasoning_effort":"none",` + hello + `}`},
	"effort minimal":       {"chat", `{"model":"m","reasoning_effort":"minimal",` + hello + `}`},
	"effort medium":        {"chat", `{"model":"m","reasoning_effort":"medium",` + hello + `}`},
	"effort xhigh":         {"chat", `{"model":"m","reasoning_effort":"xhigh",` + hello + `}`},
	"a budget":             {"messages", `{"model":"m","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":1024},` + hello + `}`},
	"a huge budget":        {"messages", `{"model":"m","max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":63000},` + hello + `}`},
	"adaptive":             {"messages", `{"model":"m","max_tokens":9000,"thinking":{"type":"adaptive"},"output_config":{"effort":"max"},` + hello + `}`},
	"thinking off":         {"messages", `{"model":"m","max_tokens":9000,"thinking":{"type":"disabled"},` + hello + `}`},
	"a level":              {"gemini", `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}}`},
	"a budget of its own":  {"gemini", `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192}}}`},
	"no budget":            {"gemini", `{"contents":[{"parts":[{"text":"x"}]}],"generation_config":{"thinking_config":{"thinking_budget":0}}}`},
	"tools":                {"chat", `{"model":"m","tools":[` + chatTool + `,` + oddTool + `],` + hello + `}`},
	"choice none":          {"chat", `{"model":"m","tools":[` + chatTool + `],"tool_choice":"none",` + hello + `}`},
	"choice required":      {"chat", `{"model":"m","tools":[` + chatTool + `],"tool_choice":"required",` + hello + `}`},
	"choice named":         {"chat", `{"model":"m","tools":[` + chatTool + `,` + oddTool + `],"tool_choice":{"type":"function","function":{"name":"9mcp/odd name"}},` + hello + `}`},
	"choice allowed":       {"chat", `{"model":"m","tools":[` + chatTool + `,` + oddTool + `],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"Bash"}}]}},` + hello + `}`},
	"choice without tools": {"chat", `{"model":"m","tool_choice":"auto",` + hello + `}`},
	"search":               {"messages", `{"model":"m","max_tokens":9,"tools":[` + searchTool + `],` + hello + `}`},
	"search and functions": {"messages", `{"model":"m","max_tokens":9,"tools":[` + searchTool + `,` + claudeTool + `],` + hello + `}`},
	"json":                 {"chat", `{"model":"m","response_format":{"type":"json_object"},` + hello + `}`},
	"schema":               {"chat", `{"model":"m","response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"$schema":"s","type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}},` + hello + `}`},
	"schema and tools":     {"chat", `{"model":"m","tools":[` + chatTool + `],"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"type":"string"}}}}},` + hello + `}`},
	"history of another":   {"chat", `{"model":"m","tools":[` + chatTool + `],"messages":[{"role":"developer","content":"d"},{"role":"assistant","content":"I begin"},{"role":"user","content":"a"},{"role":"system","content":"mid"},{"role":"assistant","content":"","tool_calls":[` + call1 + `,` + call2 + `]},{"role":"tool","tool_call_id":"c2","content":"two"},{"role":"user","content":"go on"}]}`},
	"results missing":      {"chat", `{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[` + call1 + `]}]}`},
	"prefill":              {"messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"So far "}]}`},
	"a picture":            {"chat", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + pixel + `"}}]}]}`},
	"a picture in a result": {"messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"ErUBCkYIARgC"},{"type":"tool_use","id":"a","name":"Bash","input":{}}]},
	 {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + pixel + `"}}]}]}],"tools":[` + claudeTool + `]}`},
	"an error result":  {"messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Bash","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","is_error":true,"content":"no"},{"type":"text","text":"and?"}]}],"tools":[` + claudeTool + `]}`},
	"ids left out":     {"gemini", `{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f","args":{}}}]},{"parts":[{"functionResponse":{"name":"f","response":{"a":1}}},{"functionResponse":{"name":"f","response":{"a":2}}}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}`},
	"a foreign signed": {"gemini", `{"contents":[{"parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":"cGIxLmNsYXVkZS50aGluay5SWEU="},{"functionCall":{"id":"a","name":"f","args":{}},"thoughtSignature":"cGIxLmNsYXVkZS5jYWxsLlJYRQ=="}]},{"parts":[{"functionResponse":{"id":"a","name":"f","response":{"a":1}}}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}`},
}

func TestTheServiceTakesWhatClientsSend(t *testing.T) {
	u, sim := simulated(t)
	for name, b := range bodies {
		t.Run(name, func(t *testing.T) {
			for _, model := range simModels {
				for _, stream := range []bool{false, true} {
					req := decode(t, b[0], b[1])
					req.Model, req.Stream = model, stream
					if _, e := ask(t, u, req); e != nil {
						all := sim.Requests()
						t.Errorf("%s, stream %v: %v\n%s", model, stream, e, all[len(all)-1].Body)
					}
				}
			}
		})
	}
}

func TestTheServiceCountsWhatClientsSend(t *testing.T) {
	u, sim := simulated(t)
	for name, b := range bodies {
		req := decode(t, b[0], b[1])
		req.Model = "gemini-3.7-flash"
		if n, err := u.CountTokens(t.Context(), req); err != nil || n < 1 {
			all := sim.Requests()
			t.Errorf("%s: %d %v\n%s", name, n, err, all[len(all)-1].Body)
		}
	}
}

func TestAToolLoopKeepsItsSignatures(t *testing.T) {
	for _, model := range simModels[3:] { // those before sign nothing
		for _, stream := range []bool{false, true} {
			u, sim := simulated(t)
			req := decode(t, "chat", `{"model":"m","tools":[`+chatTool+`],"messages":[{"role":"user","content":"list the files with two tool calls"}]}`)
			req.Model, req.Stream = model, stream
			called := 0
			for turn := range 4 {
				r, e := ask(t, u, req)
				if e != nil {
					all := sim.Requests()
					t.Fatalf("%s, turn %d: %v\n%s", model, turn, e, all[len(all)-1].Body)
				}
				next := []canon.Part{{Type: canon.PartText, Text: "list the files again"}}
				for _, p := range r.Parts {
					if p.Type != canon.PartToolCall {
						continue
					}
					if called++; next[0].Type == canon.PartText {
						next = nil
					}
					next = append(next, canon.Part{Type: canon.PartToolResult, CallID: p.CallID, Name: p.Name, Result: []canon.Part{{Type: canon.PartText, Text: "a.txt"}}})
				}
				req.Messages = append(req.Messages, canon.Message{Role: canon.RoleAssistant, Parts: r.Parts}, canon.Message{Role: canon.RoleUser, Parts: next})
			}
			all := sim.Requests()
			if last := string(all[len(all)-1].Body); called < 2 || strings.Contains(last, "skip_thought_signature_validator") || !strings.Contains(last, "thoughtSignature") {
				t.Errorf("%s: %d calls, and a signature was lost: %s", model, called, last)
			}
		}
	}
}
