package simulator

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

func TestVendorsHaveDemandsOfTheirOwn(t *testing.T) {
	s := start(t)
	history := func(reasoning any, content any) m {
		h := toolHistory(m{"role": "tool", "tool_call_id": "call_1", "content": content})
		if reasoning != nil {
			h[1].(m)["reasoning_content"] = reasoning
		}
		return chat("", "model", "sim-chat", "messages", h)
	}
	parts := []any{m{"type": "text", "text": "x"}}
	for name, c := range map[string]struct {
		upstream string
		body     m
		status   int
		words    string
	}{
		"deepseek parts":    {DeepSeek, history("r", parts), 400, "expected a string"},
		"deepseek no words": {DeepSeek, history(nil, "x"), 400, "Missing `reasoning_content`"},
		"deepseek empty":    {DeepSeek, history("", "x"), 200, ""},
		"kimi empty":        {Kimi, history("", "x"), 400, "reasoning_content is missing"},
		"kimi good":         {Kimi, history(" ", parts), 200, ""},
		"mistral words":     {Mistral, history("r", "x"), 422, "Extra inputs are not permitted"},
		"mistral good":      {Mistral, history(nil, parts), 200, ""},
		"groq words":        {Groq, history("r", "x"), 400, "property 'reasoning_content' is unsupported"},
		"groq good":         {Groq, history(nil, "x"), 200, ""},
		"anyone else":       {Compatible, history("r", parts), 200, ""},
	} {
		a := call{upstream: c.upstream, path: "/v1/chat/completions", body: c.body}.do(t, s)
		if a.status != c.status || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if s.Upstream(Kimi) == nil || s.Upstream("nobody") != nil || s.OpenAI() == nil || s.Compatible() == nil || s.Anthropic() == nil || s.Handler() == nil {
		t.Error("handlers by name")
	}
}

func TestImagesAreRecognised(t *testing.T) {
	webp := func(kind string) []byte {
		b := make([]byte, 32)
		copy(b, "RIFF....WEBP"+kind)
		b[24], b[27], b[26], b[28] = 2, 1, 0, 2
		return b
	}
	for name, c := range map[string]struct {
		data          []byte
		mime          string
		width, height int
	}{
		"extended": {webp("VP8X"), "image/webp", 3, 514},
		"lossy":    {webp("VP8 "), "image/webp", 256, 2},
		"lossless": {webp("VP8L"), "image/webp", 0, 0},
		"jpeg":     {[]byte("\xff\xd8\xff\xe0"), "image/jpeg", 0, 0},
		"gif":      {[]byte("GIF89a\x05\x00\x04\x00\x00\x00\x00;"), "image/gif", 5, 4},
		"none":     {[]byte("hello"), "", 0, 0},
	} {
		got, ok := sniffImage(c.data)
		if ok != (c.mime != "") || got.mime != c.mime || got.width != c.width || got.height != c.height {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// vendor asks one of them at the address that a person would type.
func vendor(t *testing.T, s *Server, name, path, method string, body any) answer {
	t.Helper()
	root := strings.TrimPrefix(s.BaseURL(name), s.URL()+"/"+name)
	return call{upstream: name, method: method, path: root + path, body: body}.do(t, s)
}

func TestMiniMax(t *testing.T) {
	s := start(t)
	ask := func(text string, more ...any) answer {
		return vendor(t, s, MiniMax, "/chat/completions", "POST", chat(text, append([]any{"model", "MiniMax-M2.5"}, more...)...))
	}
	a := ask("[[reasoning]]", "stream", true)
	var pieces []string
	for _, e := range a.events(t) {
		if piece, ok := at(e.data, "choices", 0, "delta", "content").(string); ok && piece != "" {
			pieces = append(pieces, piece)
		}
	}
	if got := strings.Join(pieces, "|"); !strings.HasPrefix(got, "<th|ink>|The person") || !strings.Contains(got, "|</thi|nk>|It") {
		t.Errorf("tags are cut: %s", got)
	}
	a = ask("[[reasoning]]", "reasoning_split", true)
	if msg := at(a.json(t), "choices", 0, "message"); at(msg, "content") != "It is 4." || at(msg, "reasoning_details", 0, "type") != "reasoning.text" || at(msg, "reasoning_content") == nil || at(a.json(t), "base_resp", "status_code") != 0.0 {
		t.Errorf("%s", a.body)
	}
	a = ask("[[reasoning]]", "reasoning_split", true, "stream", true)
	if !strings.Contains(a.body, `"reasoning_details":[{"type":"reasoning.text"`) || strings.Contains(a.body, "ink>") {
		t.Errorf("%s", a.body)
	}
	for scenario, code := range map[string]float64{"rate_limit": 1002, "unauthorized": 1004, "billing": 1008, "context_too_long": 1039, "server_error": 1000, "unsupported_parameter": 2013} {
		if a := ask("[[" + scenario + "]]"); a.status != 200 || at(a.json(t), "base_resp", "status_code") != code {
			t.Errorf("%s: %d %s", scenario, a.status, a.body)
		}
	}
	late := []any{m{"role": "user", "content": "a"}, m{"role": "system", "content": "b"}}
	if a := ask("", "messages", late); at(a.json(t), "base_resp", "status_code") != 2013.0 || !strings.Contains(a.body, "only one system message") {
		t.Errorf("%s", a.body)
	}
	if a := vendor(t, s, MiniMax, "/models", "GET", nil); !strings.Contains(a.body, "base_resp") {
		t.Errorf("there is no list: %s", a.body)
	}
}

func TestGLM(t *testing.T) {
	s := start(t)
	if got := s.BaseURL(GLM); !strings.HasSuffix(got, "/glm/api/paas/v4") {
		t.Fatal(got)
	}
	ask := func(text string, more ...any) answer {
		return vendor(t, s, GLM, "/chat/completions", "POST", chat(text, append([]any{"model", "glm-5.1"}, more...)...))
	}
	for scenario, want := range map[string]struct {
		status int
		code   string
	}{"rate_limit": {429, "1302"}, "billing": {429, "1113"}, "unauthorized": {401, "1002"}, "context_too_long": {400, "1261"}, "overload": {429, "1305"}, "not_found": {400, "1211"},
		"unsupported_parameter": {400, "1210"}, "timeout": {504, "500"}} {
		if a := ask("[[" + scenario + "]]"); a.status != want.status || at(a.json(t), "error", "code") != want.code {
			t.Errorf("%s: %d %s", scenario, a.status, a.body)
		}
	}
	if a := ask("hi", "tools", []any{bashTool}, "tool_choice", "required"); a.status != 400 || at(a.json(t), "error", "code") != "1210" {
		t.Errorf("%s", a.body)
	}
	fragments := func(a answer) int { return strings.Count(a.body, `"tool_calls":[`) }
	if a := ask("[[tool_call]]", "tools", []any{bashTool}, "tool_choice", "auto", "stream", true); fragments(a) != 1 {
		t.Errorf("arguments come in one piece: %s", a.body)
	}
	if a := ask("[[tool_call]]", "tools", []any{bashTool}, "tool_stream", true, "stream", true); fragments(a) < 3 {
		t.Errorf("arguments come in pieces: %s", a.body)
	}
	if a := ask("[[content_filter]]"); at(a.json(t), "choices", 0, "finish_reason") != "sensitive" {
		t.Errorf("%s", a.body)
	}
}

func TestOpenRouter(t *testing.T) {
	s := start(t)
	ask := func(text string, more ...any) answer {
		return vendor(t, s, OpenRouter, "/chat/completions", "POST", chat(text, append([]any{"model", "openai/gpt-4.1"}, more...)...))
	}
	a := ask("[[reasoning]]", "stream", true)
	if !strings.HasPrefix(a.body, ": OPENROUTER PROCESSING\n\n") || !strings.Contains(a.body, `"delta":{"reasoning":`) {
		t.Errorf("%s", a.body)
	}
	a = ask("[[error_chunk:after=1]] go on", "stream", true)
	list := a.events(t)
	if last := list[len(list)-1].data; at(last, "error", "code") != 502.0 || at(last, "choices", 0, "finish_reason") != "error" {
		t.Errorf("%s", a.body)
	}
	a = ask("[[reasoning_tool]]", "tools", []any{bashTool})
	msg, _ := at(a.json(t), "choices", 0, "message").(m)
	history := func(details any) answer {
		msg["reasoning_details"] = details
		return ask("", "tools", []any{bashTool}, "messages", []any{m{"role": "user", "content": "x"}, msg, m{"role": "tool", "tool_call_id": at(msg, "tool_calls", 0, "id"), "content": "marker-6"}})
	}
	if a := history(msg["reasoning_details"]); a.status != 200 || !strings.Contains(a.body, "marker-6") {
		t.Errorf("%s", a.body)
	}
	if a := history([]any{m{"type": "reasoning.text", "text": "another", "signature": at(msg, "reasoning_details", 0, "signature")}}); a.status != 400 || !strings.Contains(a.body, "signature") {
		t.Errorf("%s", a.body)
	}
	for scenario, status := range map[string]int{"rate_limit": 429, "billing": 402, "insufficient_quota": 402, "server_error": 500, "forbidden": 403} {
		if a := ask("[[" + scenario + "]]"); a.status != status || at(a.json(t), "error", "code") != float64(status) {
			t.Errorf("%s: %d %s", scenario, a.status, a.body)
		}
	}
	open := call{upstream: OpenRouter, method: "GET", path: "/api/v1/models", head: map[string]string{"Authorization": ""}}.do(t, s)
	if at(open.json(t), "data", 1, "id") != "deepseek/deepseek-chat:free" || at(open.json(t), "data", 0, "top_provider", "max_completion_tokens") == nil {
		t.Errorf("%s", open.body)
	}
	if a := vendor(t, s, OpenRouter, "/key", "GET", nil); at(a.json(t), "data", "limit_remaining") != 8.5 {
		t.Errorf("%s", a.body)
	}
}

func TestLMStudioNeedsNoKey(t *testing.T) {
	s := start(t)
	bare := map[string]string{"Authorization": ""}
	if a := (call{upstream: LMStudio, body: chat("hi", "model", "qwen3-8b"), head: bare}).do(t, s); a.status != 200 {
		t.Errorf("%s", a.body)
	}
	if a := (call{upstream: LMStudio, method: "GET", path: "/api/v0/models", head: bare}).do(t, s); at(a.json(t), "data", 0, "state") != "loaded" || at(a.json(t), "data", 1, "max_context_length") != 131072.0 {
		t.Errorf("%s", a.body)
	}
}

func TestFormsThatOnlyLenientReadersUnderstand(t *testing.T) {
	s := start(t)
	ask := func(scenario string, stream bool) answer {
		return call{upstream: Compatible, body: chat("[["+scenario+"]]", "model", "sim-chat", "tools", []any{bashTool}, "stream", stream)}.do(t, s)
	}
	for name, c := range map[string]struct {
		scenario string
		stream   bool
		has, not string
	}{
		"no choices":      {"text+empty_choices:text=x", false, `"choices":[]`, ""},
		"a first chunk":   {"text+empty_choices:text=x", true, `"prompt_filter_results":[]`, ""},
		"null":            {"text+null_delta:text=x", true, `"delta":null`, ""},
		"bare chunks":     {"text+no_envelope:text=x", true, `data: {"choices":[{"index":0`, `"created"`},
		"bare":            {"text+no_envelope:text=x", false, `{"choices":[{"index":0`, `"created"`},
		"object":          {"tool_call+object_args", false, `"arguments":{"command":"ls","timeout":5}`, ""},
		"object, chunks":  {"tool_call+object_args", true, `"arguments":{"command":"ls","timeout":5}`, ""},
		"no index":        {"tool_call+no_index", true, `"tool_calls":[{"function":{"arguments":`, `"tool_calls":[{"index"`},
		"no id":           {"tool_call+no_call_id", true, `"name":"Bash"`, `"id":"call_`},
		"no id, whole":    {"tool_call+no_call_id", false, `"name":"Bash"`, `"id":"call_`},
		"one index":       {"parallel_tools+same_index", true, `"index":0`, `[{"index":1`},
		"an error code":   {"error_200:form=code,status=429", false, `{"code":429,"message"`, ""},
		"an error type":   {"error_200:form=type", false, `{"type":"error","status":503`, ""},
		"an error stream": {"error_200", true, `data: {"error":{"code":503`, ""},
		"own end":         {"text+finish:text=x,reason=end_turn", true, `"finish_reason":"end_turn"`, ""},
	} {
		a := ask(c.scenario, c.stream)
		if a.status != 200 || !strings.Contains(a.body, c.has) || (c.not != "" && strings.Contains(a.body, c.not)) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, stream := range []bool{true, false} {
		a := ask("text+gzip:text=packed", stream)
		if a.head.Get("Content-Encoding") != "gzip" && !strings.Contains(a.body, "packed") {
			t.Errorf("%v %q", a.head, a.body)
		}
		raw := call{upstream: Compatible, body: chat("[[text+gzip:text=packed]]", "model", "sim-chat", "stream", stream), head: map[string]string{"Accept-Encoding": "identity"}}.do(t, s)
		z, err := gzip.NewReader(strings.NewReader(raw.body))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(z); err != nil || !strings.Contains(string(text), "packed") || raw.head.Get("Content-Encoding") != "gzip" {
			t.Errorf("%v %s", err, text)
		}
	}
}

func TestListThatIsABareArray(t *testing.T) {
	s := start(t)
	s.Script(Compatible+"/models", "bare_list")
	if a := (call{upstream: Compatible, method: "GET", path: "/v1/models"}).do(t, s); a.status != 200 || !strings.HasPrefix(a.body, `[{"id":"sim-chat"`) {
		t.Errorf("%s", a.body)
	}
}

func TestRedirectLeadsToAnotherHost(t *testing.T) {
	s := start(t)
	a := call{body: chat("[[redirect]]")}.do(t, s)
	place := a.head.Get("Location")
	if a.status != 307 || !strings.HasPrefix(place, "http://localhost:") || !strings.HasSuffix(place, "/elsewhere/v1/chat/completions") {
		t.Fatalf("%d %s", a.status, place)
	}
	if a := (call{upstream: Elsewhere, path: "/v1/chat/completions", body: m{}}).do(t, s); a.status != 200 {
		t.Errorf("%s", a.body)
	}
	if seen := s.Requests(); seen[1].Upstream != Elsewhere || seen[1].Key != "sk-sim-one" {
		t.Errorf("what came there is not noted: %+v", seen[1])
	}
	if a := (call{body: chat("[[redirect:status=301,to=https://example.test/x]]")}).do(t, s); a.status != 301 || a.head.Get("Location") != "https://example.test/x" {
		t.Errorf("%d %v", a.status, a.head)
	}
	s.Script(OpenAI+"/models", "redirect")
	if a := (call{method: "GET", path: "/v1/models"}).do(t, s); a.status != 307 {
		t.Errorf("%d", a.status)
	}
}
