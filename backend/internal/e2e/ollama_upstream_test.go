package e2e

import (
	"fmt"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// startHome runs Patchbay with a simulated Ollama behind it, under the id home, as an account without a key.
func startHome(t *testing.T, more string) (*testkit.Bay, *simulator.Server) {
	t.Helper()
	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	b := testkit.Start(t, testkit.Options{
		Config:   fmt.Sprintf("  home:\n    kind: ollama\n    name: Home\n    base_url: %s\n%s", sim.BaseURL(simulator.Ollama), more),
		Accounts: map[string][]string{"home": {""}, "compat": {"sk-sim-one"}},
	})
	return b, sim
}

const smallPicture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func TestOllamaIsAProvider(t *testing.T) {
	b, sim := startHome(t, "")
	_, tags := knock(t, b.URL, "GET", "/home/api/tags", "")
	if !strings.Contains(tags, `"name":"[Home] qwen3:8b"`) {
		t.Errorf("tags: %s", tags)
	}
	_, show := knock(t, b.URL, "POST", "/ollama/api/show", `{"model":"[Home] qwen3-vl:8b"}`)
	if !strings.Contains(show, `.context_length":262144`) || !strings.Contains(show, `"capabilities":["completion","tools","vision","thinking"]`) {
		t.Errorf("what the service tells of a model does not arrive: %s", show)
	}
	for name, c := range map[string]struct{ path, body, in string }{
		"openai, stream":      {"/home/v1/chat/completions", `{"model":"qwen3:8b","stream":true,"messages":[{"role":"user","content":"hi"}]}`, "data: [DONE]"},
		"openai, whole":       {"/home/v1/chat/completions", `{"model":"qwen3:8b","messages":[{"role":"user","content":"hi"}]}`, `"finish_reason":"stop"`},
		"openai, tool":        {"/home/v1/chat/completions", `{"model":"qwen3:8b","messages":[{"role":"user","content":"[[tool_call]] go"}],"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}}]}`, `"finish_reason":"tool_calls"`},
		"anthropic, picture":  {"/home/v1/messages", `{"model":"qwen3-vl:8b","max_tokens":100,"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + smallPicture + `"}}]}]}`, `"stop_reason":"end_turn"`},
		"responses":           {"/home/v1/responses", `{"model":"qwen3:8b","input":"hi"}`, `"status":"completed"`},
		"gemini":              {"/home/v1beta/models/qwen3:8b:generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]}`, `"finishReason":"STOP"`},
		"ollama, stream":      {"/ollama/api/chat", `{"model":"[Home] QWEN3:8b","messages":[{"role":"user","content":"hi"}]}`, `"done":true`},
		"ollama, whole":       {"/ollama/api/chat", `{"model":"[home] llama3.2","stream":false,"messages":[{"role":"user","content":"hi"}]}`, `{"model":"[home] llama3.2",`},
		"ollama, thinking":    {"/home/api/chat", `{"model":"gpt-oss:20b","think":"low","messages":[{"role":"user","content":"hi"}]}`, `"thinking":`},
		"ollama, completion":  {"/home/api/generate", `{"model":"qwen3:8b","prompt":"hi","system":"Be brief."}`, `"response":`},
		"ollama, vectors":     {"/home/api/embed", `{"model":"nomic-embed-text","input":["a","b"]}`, `"embeddings":[[`},
		"ollama, old vectors": {"/home/api/embeddings", `{"model":"nomic-embed-text:latest","prompt":"a"}`, `{"embedding":[`},
		"openai, vectors":     {"/home/v1/embeddings", `{"model":"nomic-embed-text:latest","input":"a"}`, `"object":"embedding"`},
	} {
		resp, body := b.Do(t, "POST", c.path, c.body)
		if resp.StatusCode != 200 || !strings.Contains(body, c.in) || resp.Header.Get("X-Patchbay-Provider") != "home" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	for _, r := range sim.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s had a key: %q", r.Method, r.Path, r.Header.Get("Authorization"))
		}
	}
	resp, body := b.Do(t, "POST", "/home/v1/chat/completions", `{"model":"nothing","messages":[{"role":"user","content":"hi"}]}`)
	if resp.StatusCode != 404 || !strings.Contains(body, "pull") {
		t.Errorf("a model that was not pulled: %d %s", resp.StatusCode, body)
	}
}

// Long prompts of other protocols get a context that holds them; what a client of Ollama asks for itself stays.
func TestOllamaContextHoldsThePrompt(t *testing.T) {
	b, sim := startHome(t, "")
	lastBody := func() string {
		all := sim.Requests()
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].Path == "/api/chat" {
				return string(all[i].Body)
			}
		}
		return ""
	}
	long := strings.Repeat("some words ", 3000)
	for _, c := range []struct{ path, body, ctx string }{
		{"/home/v1/chat/completions", `{"model":"qwen3:8b","messages":[{"role":"user","content":"hi"}]}`, ""},
		{"/home/v1/chat/completions", `{"model":"qwen3:8b","messages":[{"role":"user","content":"` + long + `"}]}`, `"num_ctx":16384`},
		{"/home/api/chat", `{"model":"qwen3:8b","messages":[{"role":"user","content":"` + long + `"}],"options":{"num_ctx":32768}}`, `"num_ctx":32768`},
	} {
		resp, out := b.Do(t, "POST", c.path, c.body)
		if got := lastBody(); resp.StatusCode != 200 || strings.Contains(got, "num_ctx") != (c.ctx != "") || !strings.Contains(got, c.ctx) {
			t.Errorf("%s: %d %.200s: sent %.300s", c.path, resp.StatusCode, out, got[max(0, len(got)-300):])
		}
	}
}

func TestOllamaByItsCompatibleEndpoint(t *testing.T) {
	b, sim := startHome(t, "    quirks: [v1]\n")
	resp, body := b.Do(t, "POST", "/home/v1/messages", `{"model":"qwen3:8b","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}`)
	if resp.StatusCode != 200 || !strings.Contains(body, `"stop_reason":"end_turn"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	used := false
	for _, r := range sim.Requests() {
		used = used || r.Path == "/v1/chat/completions"
		if r.Path == "/api/chat" {
			t.Error("the own API was used")
		}
	}
	if !used {
		t.Error("the compatible endpoint was not used")
	}
}

// What codex 0.169.0 (--oss) asks for, in its order and without a key, on the listener that stands for Ollama.
func TestCodexFindsItsOllama(t *testing.T) {
	b, _ := startHome(t, "")
	rewrite(t, b, "listen: 127.0.0.1:0", "listen: 127.0.0.1:0\n  ollama_listener: {enabled: true, listen: \"127.0.0.1:0\", no_key: true}", func() bool { return b.Backend.OllamaBase() != "" })
	base := b.Backend.OllamaBase()
	for _, c := range []struct{ method, path, body, in string }{
		{"GET", "/v1/models", "", `"id":"gpt-oss:20b"`},
		{"GET", "/api/version", "", `"version":"0.`},
		{"GET", "/api/tags", "", `"[Home] gpt-oss:20b"`},
		{"POST", "/v1/responses", `{"model":"gpt-oss:20b","stream":true,"store":false,"instructions":"You are Codex.","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"tools":[{"type":"function","name":"shell","parameters":{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}}}}}],"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"medium","summary":"auto"}}`, "event: response.completed"},
	} {
		resp, body := knock(t, base, c.method, c.path, c.body)
		if resp.StatusCode != 200 || !strings.Contains(body, c.in) {
			t.Errorf("%s %s: %d %s", c.method, c.path, resp.StatusCode, body)
		}
	}
}
