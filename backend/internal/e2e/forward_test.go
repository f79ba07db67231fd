package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
)

// rawService answers by path and keeps what it got.
type rawService struct {
	*httptest.Server
	mu   sync.Mutex // guards got
	got  []rawRequest
	gone chan struct{} // closed when a caller of /hang went away
}

type rawRequest struct {
	method, uri, key, body string
	header                 http.Header
}

func newRawService(t *testing.T) *rawService {
	s := &rawService{gone: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *rawService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key := r.Header.Get("X-Service-Key")
	s.mu.Lock()
	s.got = append(s.got, rawRequest{r.Method, r.URL.RequestURI(), key, string(body), r.Header.Clone()})
	s.mu.Unlock()
	w.Header().Set("X-Service", "yes")
	w.Header().Set("Set-Cookie", "canary=1")
	status := func(code int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/limited") && strings.HasSuffix(key, "one"):
		w.Header().Set("Retry-After", "30")
		status(429, `{"error":{"message":"slow down"}}`)
	case strings.HasSuffix(r.URL.Path, "/refused"):
		status(401, `{"error":{"message":"bad key `+key+`"}}`)
	case strings.HasSuffix(r.URL.Path, "/failing"):
		status(503, `{"own":"words"}`)
	case strings.HasSuffix(r.URL.Path, "/mistake"):
		status(422, `{"detail":"no"}`)
	case strings.HasSuffix(r.URL.Path, "/cut"):
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	case strings.HasSuffix(r.URL.Path, "/hang"):
		_, _ = io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(s.gone)
	case strings.HasSuffix(r.URL.Path, "/gzip"):
		_, _ = io.WriteString(w, packing(body))
	default:
		_, _ = io.WriteString(w, "answer to "+r.Method)
	}
}

// packing tells whether a body is still packed.
func packing(b []byte) string {
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return "packed"
	}
	return "unpacked"
}

func (s *rawService) last(t *testing.T) rawRequest {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) == 0 {
		t.Fatal("the service got nothing")
	}
	return s.got[len(s.got)-1]
}

func (s *rawService) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func startRaw(t *testing.T, s *rawService) *testkit.Bay {
	return testkit.Start(t, testkit.Options{
		Config: "  raw:\n    kind: forward\n    base_url: " + s.URL + "/base/v1\n    auth_header: X-Service-Key\n    auth_prefix: 'Key '\n    headers: {X-Extra: mine}\n",
		Accounts: map[string][]string{
			"openai": {"sk-sim-one"}, "raw": {"service-one", "service-two"},
		},
	})
}

func TestForwardPassesEverythingButCredentials(t *testing.T) {
	s := newRawService(t)
	b := startRaw(t, s)
	resp, out := b.Do(t, "DELETE", "/raw/v2//things/a%2Fb/?x=1&key="+b.Key+"&y=%20z&x=2", "{ \"odd\" : 1.0 }",
		"Cookie", "c=canary", "Origin", "http://localhost", "Referer", "http://localhost/x", "OpenAI-Organization", "org-of-another-key", "OpenAI-Beta", "b=1",
		"Anthropic-Version", "2023-06-01", "X-Api-Key", b.Key, "Content-Type", "application/json", "X-Other", "no", "Authorization", "Bearer "+b.Key)
	if resp.StatusCode != 200 || out != "answer to DELETE" || resp.Header.Get("X-Service") != "yes" || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("%d %q %v", resp.StatusCode, out, resp.Header)
	}
	if resp.Header.Get("X-Patchbay-Provider") != "raw" || resp.Header.Get("X-Patchbay-Account") != "raw-1" || resp.Header.Get("X-Patchbay-Attempts") != "1" {
		t.Errorf("route: %v", resp.Header)
	}
	got := s.last(t)
	if got.method != "DELETE" || got.uri != "/base/v1/v2//things/a%2Fb/?x=1&y=%20z&x=2" || got.body != "{ \"odd\" : 1.0 }" || got.key != "Key service-one" {
		t.Errorf("%+v", got)
	}
	for name, want := range map[string]string{
		"X-Extra": "mine", "Openai-Beta": "b=1", "Anthropic-Version": "2023-06-01", "Content-Type": "application/json",
		"Authorization": "", "Cookie": "", "Origin": "", "Referer": "", "Openai-Organization": "", "X-Api-Key": "", "X-Other": "", "X-Forwarded-For": "",
	} {
		if v := got.header.Get(name); v != want {
			t.Errorf("%s: %q", name, v)
		}
	}
	for _, values := range got.header {
		if strings.Contains(strings.Join(values, " "), b.Key) {
			t.Error("the client's key went out")
		}
	}

	b.Do(t, "POST", "/raw/v1/x", "") // the version stands in the base URL already
	if got := s.last(t); got.uri != "/base/v1/x" || got.method != "POST" || got.body != "" {
		t.Errorf("%+v", got)
	}
	b.Do(t, "PUT", "/v1/anything", "z", "X-Patchbay-Provider", "RAW")
	if got := s.last(t); got.uri != "/base/v1/anything" || got.method != "PUT" || got.header.Get("X-Patchbay-Provider") != "" {
		t.Errorf("by header: %+v", got)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("hello"))
	_ = z.Close()
	if _, out := b.Do(t, "POST", "/raw/gzip", packed.String(), "Content-Encoding", "gzip"); out != "packed" {
		t.Error("the body was unpacked on the way")
	}
}

func TestForwardNeedsAKeyAndAnAccount(t *testing.T) {
	s := newRawService(t)
	b := startRaw(t, s)
	for _, how := range [][2]string{{"/raw/v1/x", ""}, {"/v1/x", "raw"}} {
		if resp, out := b.Do(t, "POST", how[0], "{}", "Authorization", "", "X-Patchbay-Provider", how[1]); resp.StatusCode != 401 || !strings.Contains(out, `"error":{"message"`) {
			t.Errorf("%v: %d %s", how, resp.StatusCode, out)
		}
	}
	if resp, _ := b.Do(t, "HEAD", "/raw", "", "Authorization", ""); resp.StatusCode != 200 {
		t.Errorf("HEAD /raw: %d", resp.StatusCode)
	}
	if resp, out := b.Do(t, "POST", "/forward/v1/x", "{}"); resp.StatusCode != 400 || !strings.Contains(out, "has no account") {
		t.Errorf("%d %s", resp.StatusCode, out)
	}
	if resp, out := b.Do(t, "POST", "/forward-api/v1/x", "{}"); resp.StatusCode != 400 || !strings.Contains(out, "forward has no account") {
		t.Errorf("the old name: %d %s", resp.StatusCode, out)
	}
	if s.count() != 0 {
		t.Error("something was forwarded")
	}
	if _, err := b.Backend.AddAccount(t.Context(), api.NewAccount{Provider: "forward"}); err == nil || !strings.Contains(err.Error(), "base-url") {
		t.Errorf("an account without an address: %v", err)
	}
	if err := b.Backend.SetDefaultProvider(t.Context(), "raw"); err == nil {
		t.Error("it can be the default")
	}
	resp, out := b.Do(t, "POST", "/v1/chat/completions", `{"model":"raw/some-model","messages":[{"role":"user","content":"hi"}]}`)
	if resp.StatusCode != 400 || !strings.Contains(out, "/raw/...") {
		t.Errorf("by a model's name: %d %s", resp.StatusCode, out)
	}
}

func TestForwardTriesTheNextAccount(t *testing.T) {
	s := newRawService(t)
	b := startRaw(t, s)
	resp, out := b.Do(t, "POST", "/raw/limited", "body")
	if resp.StatusCode != 200 || out != "answer to POST" || resp.Header.Get("X-Patchbay-Attempts") != "2" || s.last(t).key != "Key service-two" || s.last(t).body != "body" {
		t.Errorf("%d %s %v", resp.StatusCode, out, resp.Header)
	}
	for _, a := range must(b.Backend.Accounts(t.Context()))(t) {
		if (a.Name == "raw-1") != (a.State == "cooling") {
			t.Errorf("%s is %s", a.Name, a.State)
		}
	}
	if resp, _ := b.Do(t, "POST", "/raw/x", ""); resp.Header.Get("X-Patchbay-Account") != "raw-2" {
		t.Error("the account that rests was asked")
	}
	// the request's own mistake goes back as it came, and is nobody's fault
	if resp, out := b.Do(t, "POST", "/raw/mistake", ""); resp.StatusCode != 422 || out != `{"detail":"no"}` || resp.Header.Get("X-Patchbay-Attempts") != "1" {
		t.Errorf("%d %s", resp.StatusCode, out)
	}
	// a service that fails for everybody is heard in its own words
	if resp, out := b.Do(t, "POST", "/raw/failing", ""); resp.StatusCode != 503 || out != `{"own":"words"}` {
		t.Errorf("%d %s", resp.StatusCode, out)
	}
}

func TestForwardNeverPassesARefusedLoginOn(t *testing.T) {
	s := newRawService(t)
	b := startRaw(t, s)
	resp, out := b.Do(t, "GET", "/raw/refused", "")
	if resp.StatusCode != 503 || !strings.Contains(out, `"error":{"message"`) || strings.Contains(out, "service-one") || strings.Contains(out, "service-two") {
		t.Errorf("%d %s", resp.StatusCode, out)
	}
	if s.count() != 2 {
		t.Errorf("asked %d times", s.count())
	}
	rows := must(b.Backend.Requests(t.Context(), api.RequestQuery{Provider: "raw", Limit: 1}))(t).Items
	for len(rows) == 0 { // it is written in the background
		rows = must(b.Backend.Requests(t.Context(), api.RequestQuery{Provider: "raw", Limit: 1}))(t).Items
	}
	if r := rows[0]; r.Client != "forward" || r.Op != "GET" || r.Asked != "/refused" || r.Status != 503 || r.Attempts != 2 || strings.Contains(r.Message, "service-one") {
		t.Errorf("%+v", r)
	}
}

func TestForwardStreamsAndCancels(t *testing.T) {
	s := newRawService(t)
	b := startRaw(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+"/raw/hang", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 64)
	if n, err := resp.Body.Read(buf); err != nil || string(buf[:n]) != "data: first\n\n" {
		t.Fatalf("%q %v: nothing comes before the end", buf[:n], err)
	}
	cancel()
	<-s.gone // the service sees that nobody listens
}

func TestForwardedAnswerThatIsCutLooksCut(t *testing.T) {
	s := newRawService(t)
	b := startRaw(t, s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /raw/cut HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "+b.Key+"\r\n\r\n")
	all, _ := io.ReadAll(conn)
	if text := string(all); !strings.HasSuffix(text, "half") || !strings.Contains(text, "Content-Length: 100") {
		t.Errorf("%q", text)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
