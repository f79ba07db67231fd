package simulator

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// start runs a server for one test.
func start(t *testing.T) *Server {
	t.Helper()
	s := New(Options{Now: func() time.Time { return time.Unix(1790000000, 0) }})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// call is one request of a test.
type call struct {
	upstream string // "" = openai
	path     string // "" = the upstream's main endpoint
	method   string
	body     any
	key      string
	head     map[string]string // "" takes a header away
	ctx      context.Context
}

func (c call) request(t *testing.T, s *Server) *http.Request {
	t.Helper()
	if c.upstream == "" {
		c.upstream = OpenAI
	}
	if c.path == "" {
		c.path = "/v1/chat/completions"
		if c.upstream == Anthropic {
			c.path = "/v1/messages"
		}
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.key == "" {
		c.key = "sk-sim-one"
	}
	var body []byte
	switch b := c.body.(type) {
	case nil:
	case string:
		body = []byte(b)
	default:
		body = encode(b)
	}
	if c.ctx == nil {
		c.ctx = t.Context()
	}
	req, err := http.NewRequestWithContext(c.ctx, c.method, s.URL()+"/"+c.upstream+c.path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.upstream == Anthropic {
		req.Header.Set("X-Api-Key", c.key)
		req.Header.Set("Anthropic-Version", "2023-06-01")
	} else {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for k, v := range c.head {
		if v == "" {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, v)
		}
	}
	return req
}

// answer is what came back; err is a broken connection.
type answer struct {
	status int
	head   http.Header
	body   string
	err    error
}

func (c call) do(t *testing.T, s *Server) answer {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(c.request(t, s))
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, head: resp.Header, body: string(body), err: err}
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("body is not JSON: %v\n%s", err, a.body)
	}
	return v
}

// event is one server-sent event as a plain reader sees it.
type event struct {
	name string
	data map[string]any
	raw  string
}

func (a answer) events(t *testing.T) []event {
	t.Helper()
	var out []event
	var cur event
	sc := bufio.NewScanner(strings.NewReader(a.body))
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		line := strings.TrimSuffix(sc.Text(), "\r")
		switch {
		case line == "" && cur.raw != "":
			_ = json.Unmarshal([]byte(cur.raw), &cur.data)
			out = append(out, cur)
			cur = event{}
		case strings.HasPrefix(line, "event:"):
			cur.name = strings.TrimSpace(line[6:])
		case strings.HasPrefix(line, "data:"):
			cur.raw = strings.TrimPrefix(line[5:], " ")
		}
	}
	return out
}

// at walks into decoded JSON: names and indexes.
func at(v any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k < 0 || k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}

type m = map[string]any

func chat(text string, more ...any) m {
	o := m{"model": "gpt-4.1", "messages": []any{m{"role": "user", "content": text}}}
	for i := 0; i+1 < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

func claudeSays(text string, more ...any) m {
	o := m{"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": []any{m{"role": "user", "content": text}}}
	for i := 0; i+1 < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// chatText joins the content of a chat answer, streamed or not.
func chatText(t *testing.T, a answer) string {
	t.Helper()
	if !strings.HasPrefix(a.body, "{") {
		var b strings.Builder
		for _, e := range a.events(t) {
			s, _ := at(e.data, "choices", 0, "delta", "content").(string)
			b.WriteString(s)
		}
		return b.String()
	}
	s, _ := at(a.json(t), "choices", 0, "message", "content").(string)
	return s
}

// claudeText joins the text of a Messages answer.
func claudeText(t *testing.T, a answer) string {
	t.Helper()
	var b strings.Builder
	if strings.HasPrefix(a.body, "{") {
		list, _ := a.json(t)["content"].([]any)
		for _, c := range list {
			s, _ := at(c, "text").(string)
			b.WriteString(s)
		}
		return b.String()
	}
	for _, e := range a.events(t) {
		s, _ := at(e.data, "delta", "text").(string)
		b.WriteString(s)
	}
	return b.String()
}

func names(list []event) []string {
	var out []string
	for _, e := range list {
		if n := len(out); n == 0 || out[n-1] != e.name {
			out = append(out, e.name)
		}
	}
	return out
}

func TestScenarioIsChosenInOrder(t *testing.T) {
	s := start(t)
	s.SetKey("sk-sim-keyed", "text:text=by key")
	s.Script(OpenAI, "text:text=by script")
	body := chat("[[text:text=by marker]]", "model", "gpt-4.1@text:text=by model")
	for _, want := range []string{"by script", "by key"} {
		if got := chatText(t, call{body: body, key: "sk-sim-keyed"}.do(t, s)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := chatText(t, call{body: body}.do(t, s)); got != "by model" {
		t.Errorf("model: got %q", got)
	}
	if got := chatText(t, call{body: chat("[[text:text=by%20marker%2C]]")}.do(t, s)); got != "by marker," {
		t.Errorf("marker: got %q", got)
	}
	if got := chatText(t, call{body: chat("[[nonsense]] hello")}.do(t, s)); !strings.Contains(got, "You said: [[nonsense]] hello") {
		t.Errorf("unknown marker: got %q", got)
	}
	var chosen []Scenario
	for _, r := range s.Requests() {
		chosen = append(chosen, r.Scenario)
	}
	want := []Scenario{"text:text=by script", "text:text=by key", "text:text=by model", "text:text=by%20marker%2C", ""}
	if !slices.Equal(chosen, want) {
		t.Errorf("recorded %q, want %q", chosen, want)
	}
}

func TestKeysTellTheirScenario(t *testing.T) {
	s := start(t)
	for key, want := range map[string]int{
		"sk-sim-ratelimit": 429, "sk-sim-rate_limit-2": 429, "sk-sim-unauthorized": 401, "sk-sim-forbidden-b": 403,
		"sk-sim-long-lived": 200, "sk-sim-": 200, "sk-other": 401,
	} {
		if got := (call{body: chat("hi"), key: key}).do(t, s); got.status != want {
			t.Errorf("%s: status %d, want %d", key, got.status, want)
		}
		if got := (call{path: "/v1/models", method: "GET", key: key}).do(t, s); got.status != want {
			t.Errorf("%s: models status %d, want %d", key, got.status, want)
		}
	}
}

func TestConfiguredKeysAreTheOnlyOnes(t *testing.T) {
	s := New(Options{Keys: []string{"mine"}, Addr: "127.0.0.1:0"})
	if s.URL() != "" {
		t.Error("an address before Start")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Start(); err == nil {
		t.Error("started twice")
	}
	s.SetKey("also", "")
	for key, want := range map[string]int{"mine": 200, "also": 200, "sk-sim-one": 401} {
		if got := (call{body: chat("hi"), key: key}).do(t, s); got.status != want {
			t.Errorf("%s: status %d, want %d", key, got.status, want)
		}
	}
	if got, want := s.BaseURL(OpenAI), s.URL()+"/openai/v1"; got != want {
		t.Errorf("base %s, want %s", got, want)
	}
	if got, want := s.BaseURL(Anthropic), s.URL()+"/anthropic"; got != want {
		t.Errorf("base %s, want %s", got, want)
	}
}

func TestRecordsHoldWhatArrived(t *testing.T) {
	s := start(t)
	call{body: `{"model":"gpt-4.1", "messages":[]}`, path: "/v1/chat/completions?x=1", head: map[string]string{"X-Title": "a"}}.do(t, s)
	list := s.Requests()
	if len(list) != 1 {
		t.Fatalf("%d records", len(list))
	}
	r := list[0]
	if r.ID != 1 || r.Upstream != OpenAI || r.Path != "/v1/chat/completions" || r.Query != "x=1" || r.Key != "sk-sim-one" ||
		r.Header.Get("X-Title") != "a" || string(r.Body) != `{"model":"gpt-4.1", "messages":[]}` || r.Status != 400 ||
		!r.Finished || r.Disconnected || !strings.Contains(r.Refused, "empty array") || r.Time.Unix() != 1790000000 {
		t.Errorf("record %+v", r)
	}
	s.Reset()
	if len(s.Requests()) != 0 {
		t.Error("records after Reset")
	}
}

func TestOldRecordsGo(t *testing.T) {
	s := New(Options{Keep: 2})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		call{body: chat("hi")}.do(t, s)
	}
	if l := s.Requests(); len(l) != 2 || l[0].ID != 2 || l[1].ID != 3 {
		t.Errorf("kept %+v", l)
	}
}

func TestClientThatLeavesIsNoticed(t *testing.T) {
	s := start(t)
	for _, sc := range []Scenario{"silence:after=1", "silence:after=-1", "slow:delay=1h", "first_byte:delay=1h"} {
		for _, stream := range []bool{true, false} {
			s.Reset()
			s.Script(OpenAI, sc)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				call{body: chat("hello you", "stream", stream), ctx: ctx}.do(t, s)
			}()
			if _, err := s.Await(t.Context(), func(r Request) bool { return r.Scenario != "" }); err != nil {
				t.Fatal(err)
			}
			cancel()
			<-done
			if r, err := s.Await(t.Context(), func(r Request) bool { return r.Finished }); err != nil || !r.Disconnected {
				t.Errorf("%s stream=%v: %+v %v", sc, stream, r, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Await(ctx, func(Request) bool { return false }); err == nil {
		t.Error("Await outlived its context")
	}
}

func TestSilenceEnds(t *testing.T) {
	s := start(t)
	for _, stream := range []bool{true, false} {
		a := call{body: chat("[[silence:after=1,for=1ms]] hi", "stream", stream)}.do(t, s)
		if !strings.Contains(chatText(t, a), "hi") {
			t.Errorf("stream=%v: %q", stream, a.body)
		}
	}
}

func TestMistakesInScriptsPanic(t *testing.T) {
	s := New(Options{})
	for name, f := range map[string]func(){
		"scenario": func() { s.Script(OpenAI, "nonsense") },
		"upstream": func() { s.Script("nowhere", "text") },
		"argument": func() { s.Script(OpenAI, "slow:fast") },
		"key":      func() { s.SetKey("k", "nonsense") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestControlPlane(t *testing.T) {
	s := start(t)
	send := func(method, path, body string) (int, string) {
		req, _ := http.NewRequestWithContext(t.Context(), method, s.URL()+"/_control/"+path, strings.NewReader(body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "script", `{"upstream":"openai","scenarios":["text:text=scripted"]}`, 204, ""},
		{"POST", "keys", `{"key":"k","scenario":"overload"}`, 204, ""},
		{"POST", "keys", `{"scenario":"overload"}`, 400, "key is missing"},
		{"POST", "script", `{"upstream":"x","scenarios":[]}`, 400, "no upstream"},
		{"POST", "script", `{"upstream":"openai","scenarios":["x"]}`, 400, "no scenario"},
		{"POST", "script", `{"typo":1}`, 400, "unknown field"},
		{"GET", "scenarios", "", 200, `"name":"rate_limit"`},
		{"GET", "requests?finished=1&wait=1ms", "", 200, `{"requests":[]}`},
	} {
		status, text := send(c.method, c.path, c.body)
		if status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, status, text)
		}
	}
	if got := chatText(t, call{body: chat("hi")}.do(t, s)); got != "scripted" {
		t.Errorf("script: %q", got)
	}
	if got := (call{body: chat("hi"), key: "k"}).do(t, s); got.status != 503 {
		t.Errorf("key: %d", got.status)
	}
	call{body: "\xff"}.do(t, s)
	_, text := send("GET", "requests?finished=3", "")
	for _, want := range []string{`"scenario":"text:text=scripted"`, `"body":"{\"messages\"`, `"body_base64":"/w=="`, `"finished":true`} {
		if !strings.Contains(text, want) {
			t.Errorf("records lack %s: %s", want, text)
		}
	}
	if status, _ := send("POST", "reset", ""); status != 204 || len(s.Requests()) != 0 {
		t.Errorf("reset: %d, %d records", status, len(s.Requests()))
	}
	resp, err := http.Get(s.URL() + "/")
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("root: %v %v", resp, err)
	}
	resp.Body.Close()
	if resp, _ = http.Get(s.URL() + "/nowhere"); resp.StatusCode != 404 {
		t.Errorf("nowhere: %d", resp.StatusCode)
	}
	resp.Body.Close()
}

func TestEveryScenarioIsDescribedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Describe() {
		if seen[flatten(d.Name)] || d.Name == "" || !strings.HasSuffix(d.Text, ".") {
			t.Errorf("bad entry %+v", d)
		}
		seen[flatten(d.Name)] = true
		sc := Scenario(d.Name)
		if d.Args != "" {
			sc += Scenario(":" + d.Args)
		}
		if _, err := sc.parse(); err != nil {
			t.Errorf("%s: the example does not parse: %v", d.Name, err)
		}
	}
}
