package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// errorBody is an error in either protocol's shape.
type errorBody struct {
	Type      string
	RequestID string `json:"request_id"`
	Error     struct {
		Type, Message string
		Param, Code   *string
	}
}

const (
	chatPath     = "/v1/chat/completions"
	messagesPath = "/v1/messages"
)

// fails sends a body and checks the status and the shape of the error; it returns the error.
func fails(t *testing.T, b *testkit.Bay, path, body string, status int, headers ...string) errorBody {
	t.Helper()
	resp, text := b.Do(t, http.MethodPost, path, body, headers...)
	var e errorBody
	if err := json.Unmarshal([]byte(text), &e); err != nil || e.Error.Message == "" || e.Error.Type == "" {
		t.Fatalf("%s: %s %.300s", path, resp.Status, text)
	}
	if resp.StatusCode != status {
		t.Errorf("%s: %s, wanted %d: %s", path, resp.Status, status, text)
	}
	if strings.HasSuffix(path, messagesPath) {
		if e.Type != "error" || e.RequestID == "" {
			t.Errorf("%s: not the shape of the protocol: %s", path, text)
		}
	} else if !strings.Contains(text, `"param":`) || !strings.Contains(text, `"code":`) {
		t.Errorf("%s: not the shape of the protocol: %s", path, text)
	}
	return e
}

func TestBadInputGetsAClearError(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for name, c := range map[string]struct{ chat, messages, says string }{
		"no body":                 {``, ``, "no body"},
		"no JSON":                 {`{"model":`, `{"model":`, "invalid JSON"},
		"no object":               {`[1]`, `[1]`, "JSON object"},
		"no model":                {`{"messages":[{"role":"user","content":"x"}]}`, `{"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, "model"},
		"model of a wrong type":   {`{"model":5,"messages":[]}`, `{"model":5,"max_tokens":9,"messages":[]}`, "model"},
		"no messages":             {`{"model":"gpt-4.1","messages":[]}`, `{"model":"gpt-4.1","max_tokens":9,"messages":[]}`, "at least one message"},
		"content of a wrong type": {`{"model":"gpt-4.1","messages":[{"role":"user","content":5}]}`, `{"model":"gpt-4.1","max_tokens":9,"messages":[{"role":"user","content":5}]}`, "messages[0].content"},
		"a wrong type deep down":  {`{"model":"gpt-4.1","messages":[{"role":"user","content":[{"type":"text","text":{}}]}]}`, `{"model":"gpt-4.1","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":{}}]}]}`, "messages[0].content[0].text"},
		"a limit of a wrong type": {`{"model":"gpt-4.1","max_tokens":"many","messages":[{"role":"user","content":"x"}]}`, `{"model":"gpt-4.1","max_tokens":"many","messages":[{"role":"user","content":"x"}]}`, "max_tokens"},
		"10,000 levels deep":      {`{"model":"gpt-4.1","messages":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, `{"model":"gpt-4.1","messages":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for path, body := range map[string]string{chatPath: c.chat, messagesPath: c.messages} {
				e := fails(t, b, path, body, http.StatusBadRequest)
				if !strings.Contains(e.Error.Message, c.says) || e.Error.Type != "invalid_request_error" {
					t.Errorf("%s: %q does not say %q", path, e.Error.Message, c.says)
				}
			}
		})
	}
	for _, r := range b.Sim.Requests() {
		if r.Method == http.MethodPost { // the others read model lists
			t.Errorf("%s got %s", r.Upstream, r.Body)
		}
	}
}

func TestUnknownModelAndPath(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\n"})
	e := fails(t, b, messagesPath, `{"model":"gpt-4.11","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, http.StatusNotFound)
	if e.Error.Type != "not_found_error" || !strings.Contains(e.Error.Message, "gpt-4.1") {
		t.Errorf("%+v", e)
	}
	e = fails(t, b, "/openai/v1/chat/completions", `{"model":"gpt-0","messages":[{"role":"user","content":"x"}]}`, http.StatusNotFound)
	if e.Error.Code == nil || *e.Error.Code != "model_not_found" {
		t.Errorf("%+v", e)
	}
	for _, path := range []string{"/v1/nothing", "/nobody/v1/chat/completions", "/v1/audio/speech"} {
		fails(t, b, path, `{}`, http.StatusNotFound)
	}
	e = fails(t, b, "/v1/nothing", `{}`, http.StatusNotFound)
	for _, want := range []string{b.URL + "/v1 for OpenAI clients", b.URL + " for Anthropic and Gemini clients", b.URL + "/ollama for Ollama clients"} {
		if !strings.Contains(e.Error.Message, want) {
			t.Errorf("no %q in %q", want, e.Error.Message)
		}
	}
	fails(t, b, "/grok-web/v1/chat/completions", `{}`, http.StatusBadRequest)
	resp, text := b.Do(t, http.MethodGet, chatPath, "")
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" || !strings.Contains(text, `"error"`) {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestPathsAreTolerated(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	body := `{"model":"gpt-4.1","messages":[{"role":"user","content":"say tern"}]}`
	for _, path := range []string{"/v1/chat/completions", "/v1/v1/chat/completions", "/chat/completions", "//v1//chat/completions/", "/openai/v1/chat/completions", "/openai/chat/completions", "/openai-custom/v1/v1/chat/completions", "/auto/v1/chat/completions"} {
		if resp, text := b.Do(t, http.MethodPost, path, body); resp.StatusCode != http.StatusOK || !strings.Contains(text, "tern") {
			t.Errorf("%s: %s %s", path, resp.Status, text)
		}
	}
	for _, path := range []string{"/", "/openai", "/claude-custom/"} {
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			if resp, _ := b.Do(t, method, path, "", "Authorization", ""); resp.StatusCode != http.StatusOK {
				t.Errorf("%s %s: %s", method, path, resp.Status)
			}
		}
	}
}

func TestStrangersStayOutside(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	body := `{"model":"gpt-4.1","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	e := fails(t, b, chatPath, body, http.StatusUnauthorized, "Authorization", "Bearer wrong")
	if e.Error.Code == nil || *e.Error.Code != "invalid_api_key" {
		t.Errorf("%+v", e)
	}
	if e = fails(t, b, messagesPath, body, http.StatusUnauthorized, "Authorization", ""); e.Error.Type != "authentication_error" {
		t.Errorf("%+v", e)
	}
	for _, c := range [][]string{{"Host", "evil.example"}, {"Origin", "https://evil.example"}} {
		if resp, text := b.Do(t, http.MethodPost, chatPath, body, c...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s %s", c, resp.Status, text)
		}
	}
	for _, path := range []string{"/api/accounts", "/api/keys", "/api/status"} {
		if resp, text := b.Do(t, http.MethodGet, path, ""); resp.StatusCode == http.StatusOK {
			t.Errorf("a client key opens %s: %s", path, text)
		}
	}
	if resp, text := b.Do(t, http.MethodGet, "/health", "", "Authorization", ""); resp.StatusCode != http.StatusOK || !strings.Contains(text, `"status":"ok"`) || strings.Contains(text, "reasons") {
		t.Errorf("%s %s", resp.Status, text)
	}
	if resp, text := b.Do(t, http.MethodGet, "/metrics", "", "Authorization", ""); resp.StatusCode != http.StatusOK || !strings.Contains(text, "patchbay_") {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestBodyOf65MiB(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	body := `{"model":"gpt-4.1","max_tokens":9,"messages":[{"role":"user","content":"` + strings.Repeat("x", 65<<20) + `"}]}`
	if e := fails(t, b, chatPath, body, http.StatusRequestEntityTooLarge); !strings.Contains(e.Error.Message, "64 MiB") {
		t.Errorf("%+v", e)
	}
	if e := fails(t, b, messagesPath, body, http.StatusRequestEntityTooLarge); e.Error.Type != "request_too_large" {
		t.Errorf("%+v", e)
	}
	if resp, _ := b.Do(t, http.MethodGet, "/health", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("after it: %s", resp.Status)
	}
}

func TestBodyThatNeverComes(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "timeouts:\n  keep_alive: 1s\n"})
	rewrite(t, b, "  listen: 127.0.0.1:0", "  listen: 127.0.0.1:0\n  limits:\n    read_timeout: 50ms", func() bool { return strings.Contains(b.Log.String(), "Settings changed") })
	body, keep := io.Pipe()
	defer keep.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+chatPath, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.Key)
	req.ContentLength = 100
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "read_timeout") {
		t.Errorf("%s %s %v", resp.Status, text, err)
	}
	// A stream may last longer than that.
	if _, text := b.Do(t, http.MethodPost, chatPath, `{"model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"[[slow:delay=30ms,chunks=6]] tern"}]}`); !strings.Contains(text, "[DONE]") {
		t.Errorf("%s", text)
	}
}

func TestUpstreamRefusalIsNeverTheClients(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for scenario, says := range map[string]string{"unauthorized": "openai-1", "forbidden": "openai-1"} {
		body := `{"model":"gpt-4.1","max_tokens":9,"messages":[{"role":"user","content":"[[` + scenario + `]]"}]}`
		for path, status := range map[string]int{chatPath: 503, messagesPath: 529} {
			list, err := b.Backend.Accounts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				if _, err := b.Backend.ClearAccount(t.Context(), a.ID, ""); err != nil {
					t.Fatal(err)
				}
			}
			e := fails(t, b, "/openai"+path, body, status)
			if !strings.Contains(e.Error.Message, says) || !strings.HasPrefix(e.Error.Message, "openai: no usable account") {
				t.Errorf("%s %s: %q", scenario, path, e.Error.Message)
			}
			resp, _ := b.Do(t, http.MethodPost, "/openai"+path, body)
			if resp.Header.Get("X-Should-Retry") != "false" && resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s %s: the client is told nothing about trying again: %v", scenario, path, resp.Header)
			}
		}
	}
}

func TestNextKeyTakesOverBeforeTheFirstContent(t *testing.T) {
	for _, scenario := range []simulator.Scenario{"rate_limit:retry_after=60", "rate_limit_no_time", "insufficient_quota", "unauthorized", "forbidden", "server_error", "overload", "overload_in_200:after=0", "cut_before", "html", "garbage:after=0"} {
		t.Run(string(scenario), func(t *testing.T) {
			b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"openai": {"sk-sim-bad", "sk-sim-good"}}})
			b.Sim.SetKey("sk-sim-bad", scenario)
			for _, stream := range []string{"false", "true"} {
				resp, text := b.Do(t, http.MethodPost, chatPath, `{"model":"gpt-4.1","stream":`+stream+`,"messages":[{"role":"user","content":"say tern"}]}`)
				if resp.StatusCode != http.StatusOK || !strings.Contains(text, "tern") || resp.Header.Get("X-Patchbay-Account") != "openai-2" {
					t.Errorf("stream %s: %s by %s: %.400s", stream, resp.Status, resp.Header.Get("X-Patchbay-Account"), text)
				}
			}
		})
	}
}

func TestNothingIsRetriedAfterContent(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"openai": {"sk-sim-bad", "sk-sim-good"}}})
	b.Sim.SetKey("sk-sim-bad", "cut:after=2")
	_, text := b.Do(t, http.MethodPost, chatPath, `{"model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"say tern and more"}]}`)
	if strings.Count(text, `"error"`) != 1 || strings.Contains(text, "[DONE]") {
		t.Errorf("%s", text)
	}
	if r := b.Last(t, simulator.OpenAI); r.Key != "sk-sim-bad" {
		t.Errorf("a second account was asked after content had gone out")
	}
}

func TestEveryAccountRests(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"openai": {"sk-sim-a", "sk-sim-b"}}})
	b.Sim.SetKey("sk-sim-a", "rate_limit:retry_after=50")
	b.Sim.SetKey("sk-sim-b", "rate_limit:retry_after=20")
	body := `{"model":"gpt-4.1","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	for range 2 { // the second time nobody is asked any more
		resp, text := b.Do(t, http.MethodPost, chatPath, body)
		wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if resp.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 20 || !strings.Contains(text, "openai-1") || !strings.Contains(text, "openai-2") {
			t.Errorf("%s after %q: %s", resp.Status, resp.Header.Get("Retry-After"), text)
		}
	}
	if n := len(b.Sim.Requests()); n > 6 {
		t.Errorf("%d requests", n)
	}
}

func TestShutdownEndsStreamsProperly(t *testing.T) {
	for path, end := range map[string]string{"/openai" + chatPath: `data: {"error"`, "/openai" + messagesPath: "event: error"} {
		b := testkit.Start(t, testkit.Options{})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+path, strings.NewReader(`{"model":"gpt-4.1","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"[[slow:delay=50ms,chunks=1000]]"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.Key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		r := bufio.NewReader(resp.Body)
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		b.Stop()
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Errorf("%s: the connection broke: %v", path, err)
		}
		if strings.Count(string(rest), end) != 1 || !strings.Contains(string(rest), "stopping") || strings.Contains(string(rest), "[DONE]") || strings.Contains(string(rest), "message_stop") {
			t.Errorf("%s: the stream ended with: %s", path, rest[max(0, len(rest)-300):])
		}
	}
}

func TestNoSecretIsLeftAnywhere(t *testing.T) {
	const canary = "sk-sim-canary-7c1f9e2ab4d05836"
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"openai": {canary}, "anthropic": {"sk-ant-sim-canary-55aa77bb99cc"}}})
	var shown bytes.Buffer
	for _, scenario := range []string{"", "unauthorized", "rate_limit", "server_error", "html", "cut:after=1", "garbage", "context_too_long", "insufficient_quota", "forbidden"} {
		for _, path := range []string{"/openai" + chatPath, "/anthropic" + messagesPath, "/anthropic" + chatPath} {
			for _, stream := range []string{"true", "false"} {
				resp, text := b.Do(t, http.MethodPost, path, `{"model":"`+map[bool]string{true: "gpt-4.1", false: "claude-sonnet-4-5"}[strings.HasPrefix(path, "/openai")]+`","max_tokens":99,"stream":`+stream+`,"messages":[{"role":"user","content":"[[`+scenario+`]] hello"}]}`)
				if err := resp.Header.Write(&shown); err != nil {
					t.Fatal(err)
				}
				shown.WriteString(text)
			}
		}
	}
	for _, path := range []string{"/v1/models", "/health", "/metrics", "/v1/models?key=" + b.Key} {
		_, text := b.Do(t, http.MethodGet, path, "")
		shown.WriteString(text)
	}
	for _, ask := range []func() (any, error){
		func() (any, error) { return b.Backend.Accounts(t.Context()) },
		func() (any, error) { return b.Backend.Keys(t.Context()) },
		func() (any, error) { return b.Backend.Doctor(t.Context()) },
		func() (any, error) { return b.Backend.Status(t.Context()) },
	} {
		v, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(text)
	}
	time.Sleep(50 * time.Millisecond) // for the rows that are being written
	look := func(where string, text []byte) {
		for _, s := range []string{canary, "sk-ant-sim-canary-55aa77bb99cc", b.Key} {
			if bytes.Contains(text, []byte(s)) {
				t.Errorf("%s holds %s", where, s)
			}
		}
	}
	look("an answer", shown.Bytes())
	look("the log", []byte(b.Log.String()))
	err := filepath.WalkDir(b.Home, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		look(path, text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
