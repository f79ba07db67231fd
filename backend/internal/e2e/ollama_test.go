package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
)

// knock sends a request with the headers given and no others: no key.
func knock(t *testing.T, base, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(out)
}

// errorIn returns the text of an error in Ollama's shape, "" for anything else.
func errorIn(body string) string {
	var in struct {
		Error any `json:"error"`
	}
	_ = json.Unmarshal([]byte(body), &in) // what is no JSON is no error in this shape
	s, _ := in.Error.(string)
	return s
}

const ollamaAsk = `{"model":"[compat] sim-chat","messages":[{"role":"user","content":"hi"}]}`

// Trap: codex --oss and other clients of Ollama send no key to version, tags and the rest, and stop at a 401.
func TestOllamaClientsLookAroundWithoutAKey(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for _, c := range []struct {
		method, path, body string
		status             int
		in                 string
	}{
		{"GET", "/ollama", "", 200, "Ollama is running"},
		{"GET", "/ollama/", "", 200, "Ollama is running"},
		{"HEAD", "/ollama", "", 200, ""},
		{"GET", "/ollama/api/version", "", 200, `{"version":"`},
		{"HEAD", "/ollama/api/version", "", 200, ""},
		{"GET", "/compat/api/version", "", 200, `{"version":"`},
		{"GET", "/ollama/api/tags", "", 200, `{"models":[{"name":"[`},
		{"HEAD", "/ollama/api/tags", "", 200, ""},
		{"GET", "/ollama/compat/api/tags", "", 200, `"name":"[compat] sim-chat"`},
		{"GET", "/ollama/api/ps", "", 200, `{"models":[]}`},
		{"POST", "/ollama/api/show", `{"model":"[Compat] SIM-CHAT:latest"}`, 200, `"capabilities":["completion","tools"`},
		{"POST", "/ollama/api/show", `{"name":"nothing"}`, 404, "model 'nothing' not found"},
		{"POST", "/ollama/api/show", `{}`, 400, "model is required"},
		{"POST", "/ollama/api/show", `x`, 400, "invalid JSON"},
		{"POST", "/ollama/api/chat", ollamaAsk, 401, "unauthorized"},
		{"POST", "/ollama/api/generate", `{"model":"sim-chat","prompt":"x"}`, 401, "unauthorized"},
		{"POST", "/ollama/api/pull", `{"model":"sim-chat"}`, 401, "unauthorized"},
		{"POST", "/ollama/api/embed", `{"model":"sim-chat"}`, 401, "unauthorized"},
		{"GET", "/ollama/v1/models", "", 401, "no valid client key"},
		{"GET", "/api/tags", "", 401, ""}, // the management API, on the main address
		{"GET", "//api/tags", "", 404, "there is nothing at"},
	} {
		resp, body := knock(t, b.URL, c.method, c.path, c.body)
		if resp.StatusCode != c.status || !strings.Contains(body, c.in) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, resp.StatusCode, body)
		}
	}
	// A wrong key changes nothing, a page of another origin gets nothing.
	if resp, _ := knock(t, b.URL, "GET", "/ollama/api/tags", "", "Authorization", "Bearer wrong"); resp.StatusCode != 200 {
		t.Errorf("with a wrong key: %d", resp.StatusCode)
	}
	for _, h := range [][2]string{{"Origin", "https://evil.example"}, {"Host", "evil.example"}} {
		if resp, _ := knock(t, b.URL, "GET", "/ollama/api/tags", "", h[0], h[1]); resp.StatusCode != 403 {
			t.Errorf("%s: %d", h, resp.StatusCode)
		}
	}
}

func TestOllamaEndpointsWithAKey(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for _, c := range []struct {
		method, path, body string
		status             int
		in                 string
	}{
		{"POST", "/ollama/api/chat", `{"model":"[compat] sim-chat"}`, 200, `"done":true,"done_reason":"load"}`},
		{"POST", "/ollama/api/generate", `{"model":"[compat] sim-chat","keep_alive":0}`, 200, `"done":true,"done_reason":"unload"}`},
		{"POST", "/ollama/api/chat", `{"model":"[nobody] nothing"}`, 404, "not found"},
		{"POST", "/ollama/api/chat", `{"model":"sim-chat","messages":[{"role":"robot"}]}`, 400, "messages[0].role"},
		{"POST", "/ollama/api/pull", `{"model":"[compat] sim-chat"}`, 200, "{\"status\":\"success\"}\n"},
		{"POST", "/ollama/api/pull", `{"model":"nothing"}`, 500, "pull model manifest: file does not exist"},
		{"POST", "/ollama/api/create", `{}`, 405, "not supported by Patchbay"},
		{"POST", "/ollama/api/copy", `{}`, 405, "not supported by Patchbay"},
		{"POST", "/compat/api/push", `{}`, 405, "not supported by Patchbay"},
		{"DELETE", "/ollama/api/delete", `{}`, 405, "not supported by Patchbay"},
		{"HEAD", "/ollama/api/blobs/sha256:0", ``, 405, ""},
		{"GET", "/ollama/api/chat", ``, 405, "use POST"},
		{"GET", "/ollama/api/status", ``, 404, "there is nothing at"},
		{"GET", "/ollama/v1/models", ``, 200, `{"object":"list"`},
		{"POST", "/ollama/v1/chat/completions", `{"model":"compat/sim-chat","messages":[{"role":"user","content":"hi"}]}`, 200, `"object":"chat.completion"`},
	} {
		resp, body := b.Do(t, c.method, c.path, c.body)
		if resp.StatusCode != c.status || !strings.Contains(body, c.in) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, resp.StatusCode, body)
		}
		if c.status >= 400 && c.method != "HEAD" && errorIn(body) == "" {
			t.Errorf("%s %s: no error in Ollama's shape: %s", c.method, c.path, body)
		}
	}
}

// line is one line of a chat answer.
type line struct {
	Model   string
	Created string `json:"created_at"`
	Message struct {
		Content, Thinking string
		Calls             []struct {
			ID       string
			Function struct {
				Name      string
				Arguments map[string]any
			}
		} `json:"tool_calls"`
	}
	Done     bool
	Reason   string `json:"done_reason"`
	Total    int64  `json:"total_duration"`
	Prompt   int64  `json:"prompt_eval_duration"`
	Eval     int64  `json:"eval_duration"`
	In       int64  `json:"prompt_eval_count"`
	Out      int64  `json:"eval_count"`
	Error    string
	Response *string
}

func linesOf(t *testing.T, body string) []line {
	t.Helper()
	var out []line
	sc := bufio.NewScanner(strings.NewReader(body))
	for sc.Scan() {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatalf("%v in %q", err, sc.Text())
		}
		out = append(out, l)
	}
	return out
}

func TestOllamaChatIsServedByOtherServices(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for _, model := range []string{"[compat] sim-chat", "[Compat] Sim-Chat:latest", "compat/sim-chat", "[Anthropic] claude-sonnet-4-5"} {
		resp, body := b.Do(t, "POST", "/ollama/api/chat", strings.Replace(ollamaAsk, "[compat] sim-chat", model, 1))
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("%s: %d %v %s", model, resp.StatusCode, resp.Header, body)
		}
		lines := linesOf(t, body)
		text, last := "", lines[len(lines)-1]
		for i, l := range lines {
			text += l.Message.Content
			if l.Model != model || l.Done != (i == len(lines)-1) || l.Error != "" {
				t.Errorf("%s: line %d: %+v", model, i, l)
			}
			if _, err := time.Parse(time.RFC3339Nano, l.Created); err != nil {
				t.Error(err)
			}
		}
		if text == "" || last.Reason != "stop" || last.In == 0 || last.Out == 0 || last.Total <= 0 || last.Prompt <= 0 || last.Eval <= 0 || last.Total < last.Eval {
			t.Errorf("%s: %q %+v", model, text, last)
		}
	}
	resp, body := b.Do(t, "POST", "/compat/api/chat", strings.Replace(strings.Replace(ollamaAsk, "[compat] sim-chat", "sim-chat", 1), "{", `{"stream":false,`, 1))
	whole := linesOf(t, body)
	if resp.StatusCode != 200 || len(whole) != 1 || !whole[0].Done || whole[0].Message.Content == "" {
		t.Errorf("whole: %d %s", resp.StatusCode, body)
	}
	resp, body = b.Do(t, "POST", "/ollama/api/generate", `{"model":"[compat] sim-chat","prompt":"hi"}`)
	lines := linesOf(t, body)
	if last := lines[len(lines)-1]; resp.StatusCode != 200 || lines[0].Response == nil || !last.Done || !strings.Contains(body, `"context":[]`) {
		t.Errorf("generate: %d %s", resp.StatusCode, body)
	}
	_, body = knock(t, b.URL, "GET", "/ollama/api/ps", "")
	var ps struct {
		Models []struct {
			Name    string
			Expires time.Time `json:"expires_at"`
			Context int       `json:"context_length"`
		}
	}
	if err := json.Unmarshal([]byte(body), &ps); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range ps.Models {
		names = append(names, m.Name)
		if m.Context == 0 || time.Until(m.Expires) > 5*time.Minute {
			t.Errorf("%+v", m)
		}
	}
	if d := cmp.Diff([]string{"[compat] sim-chat", "[Anthropic] claude-sonnet-4-5"}, names); d != "" {
		t.Errorf("ps: -want +got\n%s", d)
	}
	if _, body = knock(t, b.URL, "GET", "/anthropic/api/ps", ""); strings.Contains(body, "sim-chat") || !strings.Contains(body, "claude") {
		t.Errorf("ps of one provider: %s", body)
	}
}

// The list names every model of every provider once, and each name leads there.
func TestOllamaNamesLeadWhereTheySay(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "routing:\n  aliases:\n    fast: compat/sim-chat\n"})
	_, body := knock(t, b.URL, "GET", "/ollama/api/tags", "")
	var tags struct {
		Models []struct{ Name, Model, Digest string }
	}
	if err := json.Unmarshal([]byte(body), &tags); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range tags.Models {
		if seen[m.Name] || m.Name != m.Model || len(m.Digest) != 64 || m.Name != "fast" && !strings.HasPrefix(m.Name, "[") {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
		if resp, out := knock(t, b.URL, "POST", "/ollama/api/show", fmt.Sprintf(`{"model":%q}`, strings.ToUpper(m.Name)+":latest")); resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", m.Name, resp.StatusCode, out)
		}
	}
	if !seen["[OpenAI] sim-chat"] || !seen["[compat] sim-chat"] || !seen["fast"] {
		t.Errorf("%v", seen)
	}
	for model, provider := range map[string]string{"[OpenAI] sim-chat": "openai", "[compat] sim-chat": "compat", "FAST:latest": "compat"} {
		resp, out := b.Do(t, "POST", "/ollama/api/chat", strings.Replace(ollamaAsk, "[compat] sim-chat", model, 1))
		if got := resp.Header.Get("X-Patchbay-Provider"); got != provider {
			t.Errorf("%s: served by %q: %s", model, got, out)
		}
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func awaitOllama(t *testing.T, b *testkit.Bay, ok func(base string) bool) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(b.Backend.OllamaBase()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the listener is at %q:\n%s", b.Backend.OllamaBase(), b.Log)
		}
	}
	return b.Backend.OllamaBase()
}

func isOpen(base string) bool { return base != "" }

func TestOllamaListenerIsAHostOfItsOwn(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: ""})
	if b.Backend.OllamaBase() != "" {
		t.Fatal("it is on by default")
	}
	rewrite(t, b, "listen: 127.0.0.1:0", "listen: 127.0.0.1:0\n  ollama_listener: {enabled: true, listen: \"127.0.0.1:0\", no_key: false}", func() bool { return b.Backend.OllamaBase() != "" })
	base := awaitOllama(t, b, isOpen)
	key := []string{"Authorization", "Bearer " + b.Key}
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		in                 string
	}{
		{"GET", "/", "", nil, 200, "Ollama is running"},
		{"HEAD", "/", "", nil, 200, ""},
		{"GET", "/api/version", "", nil, 200, `{"version":"`},
		{"GET", "/api/tags", "", nil, 200, `"[compat] sim-chat"`},
		{"POST", "/api/chat", ollamaAsk, nil, 401, "unauthorized"},
		{"POST", "/api/chat", ollamaAsk, key, 200, `"done":true`},
		{"POST", "/compat/api/chat", ollamaAsk, key, 200, `"done":true`},
		{"GET", "/v1/models", "", key, 200, `{"object":"list"`},
		{"GET", "/v1/models", "", nil, 401, ""},
		{"GET", "/api/accounts", "", key, 404, "there is nothing at"}, // the management API is not here
		{"GET", "/api/status", "", key, 404, "there is nothing at"},
		{"GET", "/health", "", key, 404, ""},
		{"GET", "/metrics", "", key, 404, ""},
		{"GET", "/api/tags", "", []string{"Host", "evil.example"}, 403, "host name"},
		{"GET", "/api/tags", "", []string{"Origin", "https://evil.example"}, 403, "origin"},
	} {
		resp, body := knock(t, base, c.method, c.path, c.body, c.headers...)
		if resp.StatusCode != c.status || !strings.Contains(body, c.in) {
			t.Errorf("%s %s %v: %d %s", c.method, c.path, c.headers, resp.StatusCode, body)
		}
	}
	// With no_key the whole host is open to this machine, and still closed to pages and to other names.
	rewrite(t, b, "no_key: false", "no_key: true", func() bool {
		resp, _ := knock(t, base, "POST", "/api/chat", ollamaAsk)
		return resp.StatusCode == 200
	})
	for path, body := range map[string]string{"/v1/chat/completions": `{"model":"compat/sim-chat","messages":[{"role":"user","content":"hi"}]}`, "/api/generate": `{"model":"compat/sim-chat","prompt":"x"}`} {
		if resp, out := knock(t, base, "POST", path, body); resp.StatusCode != 200 {
			t.Errorf("%s without a key: %d %s", path, resp.StatusCode, out)
		}
	}
	if resp, _ := knock(t, base, "POST", "/api/chat", ollamaAsk, "Host", "evil.example"); resp.StatusCode != 403 {
		t.Errorf("another host: %d", resp.StatusCode)
	}
	if resp, _ := knock(t, b.URL, "POST", "/ollama/api/chat", ollamaAsk); resp.StatusCode != 401 {
		t.Errorf("the main address lost its keys: %d", resp.StatusCode)
	}
	// It moves and ends with the settings.
	to := freeAddr(t)
	rewrite(t, b, `enabled: true, listen: "127.0.0.1:0"`, `enabled: true, listen: "`+to+`"`, func() bool { return b.Backend.OllamaBase() == "http://"+to })
	rewrite(t, b, "enabled: true", "enabled: false", func() bool { return b.Backend.OllamaBase() == "" })
	if _, err := net.DialTimeout("tcp", to, time.Second); err == nil {
		t.Error("it still listens")
	}
}

func TestTakenOllamaAddressIsToldAndHarmsNothing(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	b := testkit.Start(t, testkit.Options{Config: ""})
	rewrite(t, b, "listen: 127.0.0.1:0", "listen: 127.0.0.1:0\n  ollama_listener: {enabled: true, listen: \""+busy.Addr().String()+"\"}", func() bool {
		_, body := b.Do(t, "GET", "/health", "")
		return strings.Contains(body, "the Ollama listener: port ")
	})
	if _, body := b.Do(t, "GET", "/health", ""); !strings.Contains(body, `"status":"degraded"`) || !strings.Contains(body, "server.ollama_listener.listen") {
		t.Errorf("health: %s", body)
	}
	if !strings.Contains(b.Log.String(), "The Ollama listener cannot have its address") {
		t.Errorf("log: %s", b.Log)
	}
	if f := finding(t, b, "ollama_listener"); f.Level != "warn" || !strings.Contains(f.Detail, "is in use by") {
		t.Errorf("doctor: %+v", f)
	}
	if resp, body := b.Do(t, "POST", "/ollama/api/chat", ollamaAsk); resp.StatusCode != 200 {
		t.Errorf("the rest: %d %s", resp.StatusCode, body)
	}
	// A provider there would make requests go round in circles if the address were had.
	rewrite(t, b, "  compat:\n", "  mine: {kind: openai, base_url: \"http://"+busy.Addr().String()+"/v1\"}\n  compat:\n", func() bool {
		return strings.Contains(finding(t, b, "config").Detail, "is Patchbay's own address")
	})
}

func finding(t *testing.T, b *testkit.Bay, id string) api.Finding {
	t.Helper()
	all, err := b.Backend.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.ID == id {
			return f
		}
	}
	return api.Finding{}
}
