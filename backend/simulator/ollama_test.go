package simulator

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// local is a request to /api/chat.
func local(text string, more ...any) m {
	o := m{"model": "qwen3:8b", "messages": []any{m{"role": "user", "content": text}}}
	for i := 0; i+1 < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

func (c call) ollama(t *testing.T, s *Server) answer {
	t.Helper()
	c.upstream = Ollama
	if c.path == "" {
		c.path = "/api/chat"
	}
	if c.head == nil {
		c.head = map[string]string{"Authorization": ""}
	}
	return c.do(t, s)
}

// lines are the pieces of an answer, one JSON value on each line.
func (a answer) lines(t *testing.T) []m {
	t.Helper()
	var out []m
	for line := range strings.SplitSeq(strings.TrimSuffix(a.body, "\n"), "\n") {
		var v m
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v\n%s", err, a.body)
		}
		out = append(out, v)
	}
	return out
}

// whole joins the pieces of a chat answer.
func (a answer) whole(t *testing.T) (text, thinking string, calls []any, last m) {
	t.Helper()
	for _, l := range a.lines(t) {
		piece, _ := at(l, "message", "content").(string)
		thought, _ := at(l, "message", "thinking").(string)
		list, _ := at(l, "message", "tool_calls").([]any)
		text, thinking, calls, last = text+piece, thinking+thought, append(calls, list...), l
	}
	return text, thinking, calls, last
}

func TestOllamaStreams(t *testing.T) {
	s := start(t)
	a := call{body: local("[[text:text=One two,in=40,out=50]]", "think", false)}.ollama(t, s)
	want := `{"model":"qwen3:8b","created_at":"2026-09-21T14:13:20Z","message":{"role":"assistant","content":"One"},"done":false}
{"model":"qwen3:8b","created_at":"2026-09-21T14:13:20Z","message":{"role":"assistant","content":" two"},"done":false}
{"model":"qwen3:8b","created_at":"2026-09-21T14:13:20Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":1041000000,"load_duration":1000000,"prompt_eval_count":40,"prompt_eval_duration":40000000,"eval_count":50,"eval_duration":1000000000}
`
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Error(diff)
	}
	if a.head.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%v", a.head)
	}
	a = call{body: local("[[text:text=One two]]", "think", false, "stream", false)}.ollama(t, s)
	if v := a.json(t); at(v, "message", "content") != "One two" || v["done"] != true || !strings.HasPrefix(a.head.Get("Content-Type"), "application/json") {
		t.Errorf("%s", a.body)
	}
	a = call{path: "/api/generate", body: m{"model": "llama3.2", "prompt": "hello", "system": "Be brief."}}.ollama(t, s)
	said := ""
	for _, l := range a.lines(t) {
		said += l["response"].(string)
		if l["message"] != nil {
			t.Errorf("%v", l)
		}
		if l["done"] == true && l["context"] == nil {
			t.Errorf("the last line has a context: %v", l)
		}
	}
	if said != "You said: hello\nsystem prompt: Be brief." {
		t.Errorf("%q", said)
	}
}

func TestOllamaThinksAndCalls(t *testing.T) {
	s := start(t)
	tool := bashTool
	for _, stream := range []bool{true, false} {
		a := call{body: local("[[reasoning_tool]]", "tools", []any{tool}, "tool_choice", "auto", "stream", stream)}.ollama(t, s)
		text, thinking, calls, last := a.whole(t)
		if text != "Looking." || thinking != "I should look first." || len(calls) != 1 || at(calls[0], "function", "arguments", "command") != "ls" || last["done_reason"] != "stop" {
			t.Errorf("%s", a.body)
		}
		if id, _ := at(calls[0], "id").(string); !strings.HasPrefix(id, "call_") {
			t.Errorf("%v", calls)
		}
		a = call{body: local("[[reasoning]]", "think", false, "stream", stream)}.ollama(t, s)
		if text, thinking, _, _ := a.whole(t); thinking != "" || text != "It is 4." {
			t.Errorf("%s", a.body)
		}
		a = call{body: local("[[parallel_tools:count=3]]", "tools", []any{tool}, "think", "low", "stream", stream)}.ollama(t, s)
		if _, thinking, calls, _ := a.whole(t); len(calls) != 3 || at(calls[2], "function", "index") != 2.0 || thinking == "" {
			t.Errorf("%s", a.body)
		}
	}
	history := []any{m{"role": "system", "content": "Help."}, m{"role": "user", "content": "list the files"},
		m{"role": "assistant", "content": "", "thinking": "hm", "tool_calls": []any{m{"id": "call_1", "type": "function", "function": m{"name": "Bash", "arguments": m{"command": "ls"}}}}},
		m{"role": "tool", "tool_call_id": "call_1", "content": "marker-5.txt"}}
	a := call{body: local("", "messages", history, "tools", []any{tool})}.ollama(t, s)
	if text, _, _, _ := a.whole(t); text != "The Bash said: marker-5.txt" {
		t.Errorf("%q", text)
	}
	a = call{body: local("", "messages", append(history[:3:3], m{"role": "tool", "tool_name": "ls", "content": "x"}, m{"role": "assistant", "content": "ok"}, m{"role": "system", "content": "late"}, m{"role": "user", "content": "and?"}))}.ollama(t, s)
	if text, _, _, _ := a.whole(t); !strings.Contains(text, "You said: and?") || !strings.Contains(text, "in between: late") || !strings.Contains(text, "thoughts returned: 1") {
		t.Errorf("%q", text)
	}
	png := base64.StdEncoding.EncodeToString(pngImage(t, 3, 2))
	a = call{body: local("", "model", "gemma3:4b", "messages", []any{m{"role": "user", "content": "see", "images": []any{png}}})}.ollama(t, s)
	if text, _, _, _ := a.whole(t); !strings.Contains(text, "images: 1 (image/png 3x2") {
		t.Errorf("%q", text)
	}
	schema := m{"type": "object", "properties": m{"title": m{"type": "string"}}, "required": []any{"title"}}
	a = call{body: local("name this talk", "format", schema)}.ollama(t, s)
	if text, _, _, _ := a.whole(t); text != `{"title":"name this talk"}` {
		t.Errorf("%q", text)
	}
	a = call{body: local("name this talk", "format", "json")}.ollama(t, s)
	if text, _, _, _ := a.whole(t); text != `{"echo":"name this talk"}` {
		t.Errorf("%q", text)
	}
}

func TestOllamaEnds(t *testing.T) {
	s := start(t)
	for scenario, want := range map[string]string{"length": "length", "stop_sequence": "stop", "refusal": "stop", "empty": "stop", "finish:reason=eos": "eos", "cut_call": "length"} {
		a := call{body: local("[[" + scenario + "]]")}.ollama(t, s)
		if _, _, calls, last := a.whole(t); last["done_reason"] != want || last["done"] != true || len(calls) != 0 {
			t.Errorf("%s: %s", scenario, a.body)
		}
	}
	a := call{body: local("[[missing_done]]")}.ollama(t, s)
	if strings.Contains(a.body, `"done":true`) {
		t.Errorf("%s", a.body)
	}
	a = call{body: local("[[no_usage]]")}.ollama(t, s)
	if strings.Contains(a.body, "eval_count") {
		t.Errorf("%s", a.body)
	}
	a = call{body: local("[[error_chunk:after=1]] go on", "think", false)}.ollama(t, s)
	if l := a.lines(t); l[len(l)-1]["error"] != "llama runner process has terminated: exit status 2" {
		t.Errorf("%s", a.body)
	}
	for scenario, want := range map[string]string{"rate_limit:retry_after=7": "429 too many requests", "unauthorized": "401 unauthorized", "not_found": `404 model "qwen3:8b" not found, try pulling it first`,
		"overload": "503 server busy, please try again.  maximum pending requests exceeded", "server_error": "500 llama runner process has terminated: exit status 2", "context_too_long": "400 the input length exceeds the context length"} {
		a := call{body: local("[[" + scenario + "]]")}.ollama(t, s)
		if got := strconv.Itoa(a.status) + " " + a.json(t)["error"].(string); got != want {
			t.Errorf("%s: %s", scenario, got)
		}
	}
	a = call{body: m{"model": "qwen3:8b", "messages": []any{}}}.ollama(t, s)
	if v := a.json(t); v["done_reason"] != "load" || at(v, "message", "content") != "" || v["done"] != true {
		t.Errorf("%s", a.body)
	}
	a = call{path: "/api/generate", body: m{"model": "qwen3:8b", "keep_alive": 0}}.ollama(t, s)
	if v := a.json(t); v["done_reason"] != "unload" || v["response"] != "" {
		t.Errorf("%s", a.body)
	}
}

func TestOllamaRefusesWhatTheServerRefuses(t *testing.T) {
	s := start(t)
	says := func(v any) m { return local("", "messages", []any{v}) }
	tool := func(parameters any) m {
		return local("hi", "tools", []any{m{"type": "function", "function": m{"name": "a", "parameters": parameters}}})
	}
	png := base64.StdEncoding.EncodeToString(pngImage(t, 1, 1))
	for name, c := range map[string]struct {
		path   string
		body   any
		status int
		words  string
	}{
		"no body":               {"", "", 400, "missing request body"},
		"not JSON":              {"", "{", 400, "unexpected EOF"},
		"a list":                {"", "[]", 400, "json: cannot unmarshal array"},
		"no model":              {"", m{"messages": []any{}}, 400, "model is required"},
		"no such model":         {"", local("hi", "model", "nobody"), 404, `model "nobody" not found, try pulling it first`},
		"arguments as text":     {"", says(m{"role": "assistant", "tool_calls": []any{m{"function": m{"name": "a", "arguments": "{}"}}}}), 400, "cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments of type map[string]interface {}"},
		"content as parts":      {"", says(m{"role": "user", "content": []any{m{"type": "text", "text": "hi"}}}), 400, "cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"},
		"a role":                {"", says(m{"role": "developer", "content": "x"}), 400, `invalid role: "developer"`},
		"a message as text":     {"", says("hi"), 400, "ChatRequest.messages of type api.Message"},
		"an image address":      {"", says(m{"role": "user", "content": "x", "images": []any{"data:image/png;base64," + png}}), 400, "illegal base64 data at input byte 4"},
		"an image of a kind":    {"", says(m{"role": "user", "content": "x", "images": []any{5}}), 400, "of type []uint8"},
		"an image for the deaf": {"", says(m{"role": "user", "content": "x", "images": []any{png}}), 400, "missing data required for image input"},
		"no image":              {"", local("", "model", "gemma3:4b", "messages", []any{m{"role": "user", "images": []any{"aGVsbG8="}}}), 400, "Failed to load image"},
		"stream as text":        {"", local("hi", "stream", "yes"), 400, "ChatRequest.stream of type bool"},
		"tools":                 {"", local("hi", "model", "gemma3:4b", "tools", []any{bashTool}), 400, "registry.ollama.ai/library/gemma3:4b does not support tools"},
		"parameters as text":    {"", tool("{}"), 400, "ChatRequest.tools.function.parameters of type api.ToolFunctionParameters"},
		"type of an object":     {"", tool(m{"type": []any{"object"}}), 400, "parameters.type of type string"},
		"a property as a truth": {"", tool(m{"type": "object", "properties": m{"a": true}}), 400, "of type api.ToolProperty"},
		"a property's type":     {"", tool(m{"type": "object", "properties": m{"a": m{"type": 5}}}), 400, "invalid property type"},
		"thinking":              {"", local("hi", "model", "llama3.2", "think", true), 400, `"llama3.2" does not support thinking`},
		"a level":               {"", local("hi", "think", "xhigh"), 400, `invalid think value: "xhigh"`},
		"think as a number":     {"", local("hi", "think", 5), 400, "think must be a boolean or string"},
		"an option":             {"", local("hi", "options", m{"num_ctx": "8192"}), 400, `option "num_ctx" must be of type integer`},
		"stop as text":          {"", local("hi", "options", m{"stop": "x"}), 400, `option "stop" must be of type array`},
		"stop of numbers":       {"", local("hi", "options", m{"stop": []any{1}}), 400, "array of strings"},
		"a format":              {"", local("hi", "format", "xml"), 400, "invalid format"},
		"a format as a number":  {"", local("hi", "format", 5), 400, "invalid format"},
		"keep alive":            {"", local("hi", "keep_alive", "soon"), 400, "invalid duration"},
		"keep alive of a kind":  {"", local("hi", "keep_alive", m{}), 400, "Unsupported type"},
		"logprobs":              {"", local("hi", "top_logprobs", 21), 400, "between 0 and 20"},
		"an embedding model":    {"", local("hi", "model", "nomic-embed-text"), 400, `"nomic-embed-text" does not support chat`},
		"generate, embedding":   {"/api/generate", m{"model": "nomic-embed-text", "prompt": "x"}, 400, "does not support generate"},
		"suffix":                {"/api/generate", m{"model": "qwen3:8b", "prompt": "x", "suffix": "y"}, 400, "registry.ollama.ai/library/qwen3:8b does not support insert"},
		"raw with system":       {"/api/generate", m{"model": "qwen3:8b", "prompt": "x", "system": "y", "raw": true}, 400, "raw mode does not support"},
		"show nothing":          {"/api/show", m{}, 400, "model is required"},
		"show nobody":           {"/api/show", m{"name": "nobody"}, 404, "model 'nobody' not found"},
		"embed nobody":          {"/api/embed", m{"model": "nobody", "input": "x"}, 404, "try pulling it first"},
		"embed numbers":         {"/api/embed", m{"model": "nomic-embed-text", "input": 5}, 400, "invalid input type"},
		"embed a list of them":  {"/api/embed", m{"model": "nomic-embed-text", "input": []any{5}}, 400, "invalid input type"},
		"old embed nobody":      {"/api/embeddings", m{"model": "nobody", "prompt": "x"}, 404, "try pulling it first"},
		"pull nobody":           {"/api/pull", m{"model": "nobody", "stream": false}, 500, "pull model manifest: file does not exist"},
	} {
		a := call{path: c.path, body: c.body}.ollama(t, s)
		if a.status != c.status || !strings.Contains(a.json(t)["error"].(string), c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for name, body := range map[string]m{
		"unknown fields": local("hi", "tool_choice", "auto", "n", 2, "options", m{"num_ctx": 8192.0, "temperature": 0, "mirostat": 1, "stop": []any{"END"}}, "keep_alive", "5m", "truncate", true),
		"any model":      local("hi", "model", "sim-text", "think", "high", "tools", []any{bashTool}),
		"another case":   local("hi", "model", "LLAMA3.2:Latest"),
		"union types":    tool(m{"type": "object", "properties": m{"a": m{"type": []any{"string", "null"}, "anyOf": []any{}}}}),
	} {
		if a := (call{body: body}).ollama(t, s); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestOllamaCatalogue(t *testing.T) {
	s := start(t)
	get := func(path string) answer { return call{method: "GET", path: path}.ollama(t, s) }
	if a := get("/"); a.body != "Ollama is running" {
		t.Errorf("%s", a.body)
	}
	if a := get("/nothing"); a.status != 404 {
		t.Errorf("%d", a.status)
	}
	if a := get("/api/version"); a.json(t)["version"] != "0.17.4" {
		t.Errorf("%s", a.body)
	}
	if a := get("/api/tags"); at(a.json(t), "models", 0, "name") != "qwen3:8b" || len(at(a.json(t), "models", 0, "digest").(string)) != 64 {
		t.Errorf("%s", a.body)
	}
	if a := get("/api/ps"); len(a.json(t)["models"].([]any)) != 0 {
		t.Errorf("%s", a.body)
	}
	call{body: local("hi")}.ollama(t, s)
	if a := get("/api/ps"); at(a.json(t), "models", 0, "name") != "qwen3:8b" {
		t.Errorf("%s", a.body)
	}
	a := call{path: "/api/show", body: m{"model": "qwen3"}}.ollama(t, s)
	if a.status != 404 {
		t.Errorf("a tag that is not latest must be named: %s", a.body)
	}
	a = call{path: "/api/show", body: m{"model": "qwen3:8b"}}.ollama(t, s)
	if v := a.json(t); at(v, "model_info", "qwen3.context_length") != 40960.0 || at(v, "capabilities", 2) != "thinking" {
		t.Errorf("%s", a.body)
	}
	a = call{path: "/api/embed", body: m{"model": "nomic-embed-text", "input": []any{"a", "b"}, "dimensions": 4}}.ollama(t, s)
	if v, _ := at(a.json(t), "embeddings", 1).([]any); len(v) != 4 {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/api/embed", body: m{"model": "nomic-embed-text", "input": "a"}}).ollama(t, s); len(a.json(t)["embeddings"].([]any)) != 1 {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/api/embeddings", body: m{"model": "nomic-embed-text", "prompt": "a"}}).ollama(t, s); len(a.json(t)["embedding"].([]any)) != 8 {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/api/pull", body: m{"model": "qwen3:8b"}}).ollama(t, s); !strings.HasSuffix(a.body, "{\"status\":\"success\"}\n") {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/api/pull", body: m{"model": "nobody"}}).ollama(t, s); !strings.Contains(a.body, "file does not exist") {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/api/pull", body: m{"model": "qwen3:8b", "stream": false}}).ollama(t, s); a.json(t)["status"] != "success" {
		t.Errorf("%s", a.body)
	}
	for path, queue := range map[string]string{"/api/version": "/version", "/api/tags": "/tags", "/api/ps": "/ps"} {
		s.Script(Ollama+queue, "server_error")
		if a := get(path); a.status != 500 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestOllamaSpeaksOpenAIsChat(t *testing.T) {
	s := start(t)
	a := call{path: "/v1/chat/completions", body: chat("[[reasoning]]", "model", "qwen3:8b")}.ollama(t, s)
	if at(a.json(t), "choices", 0, "message", "reasoning") == nil || strings.Contains(a.body, "reasoning_content") {
		t.Errorf("%s", a.body)
	}
	a = call{path: "/v1/chat/completions", body: chat("[[reasoning]]", "model", "llama3.2", "stream", true)}.ollama(t, s)
	if !strings.Contains(a.body, `"delta":{"reasoning":`) {
		t.Errorf("%s", a.body)
	}
	a = call{path: "/v1/chat/completions", body: chat("hi", "model", "nobody")}.ollama(t, s)
	if at(a.json(t), "error", "type") != "not_found_error" || at(a.json(t), "error", "message") != "model 'nobody' not found" {
		t.Errorf("%s", a.body)
	}
	a = call{path: "/v1/chat/completions", body: chat("hi", "model", "qwen3:8b", "reasoning_effort", "xhigh")}.ollama(t, s)
	if a.status != 400 {
		t.Errorf("%s", a.body)
	}
	if a := (call{method: "GET", path: "/v1/models"}).ollama(t, s); at(a.json(t), "data", 0, "id") != "qwen3:8b" {
		t.Errorf("%s", a.body)
	}
	if s.BaseURL(Ollama) != s.URL()+"/ollama" || s.Upstream(Ollama) == nil || s.Ollama() == nil || s.Gemini() == nil || s.Responses() == nil {
		t.Error("addresses and handlers")
	}
}
