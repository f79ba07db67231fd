package backend

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/api"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// ask makes a call to the program as its listener would.
func ask(t *testing.T, b *Backend, method, path, body string, head map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8390"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range head {
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	return w
}

// signIn opens a session.
func signIn(t *testing.T, b *Backend) string {
	t.Helper()
	ticket, _ := b.sessions.Ticket()
	s, err := b.sessions.Redeem(t.Context(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	return s.Token.Reveal()
}

func TestPageMayAskModels(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	b := openTest(t, "providers:\n  openai:\n    base_url: "+sim.BaseURL("openai")+"\n", nil)
	if _, err := b.AddAccount(t.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-sim-demo")}); err != nil {
		t.Fatal(err)
	}
	bearer := "Bearer " + signIn(t, b)
	const chat = `{"model":"openai/gpt-4.1","messages":[{"role":"user","content":"Hello"}]}`
	w := ask(t, b, "POST", "/v1/chat/completions", chat, map[string]string{"Authorization": bearer, "Origin": "http://127.0.0.1:8390"})
	if w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	for name, head := range map[string]map[string]string{
		"foreign page": {"Authorization": bearer, "Origin": "https://evil.example"},
		"other port":   {"Authorization": bearer, "Origin": "http://127.0.0.1:3000"},
		"foreign host": {"Authorization": bearer, "Host": "evil.example"},
		"no session":   {"Authorization": "Bearer x"},
	} {
		if w := ask(t, b, "POST", "/v1/chat/completions", chat, head); w.Code != 401 && w.Code != 403 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if err := b.sessions.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := ask(t, b, "POST", "/v1/chat/completions", chat, map[string]string{"Authorization": bearer}); w.Code != 401 {
		t.Error("a session that ended asks models")
	}
	if got := b.keyNames()[PlaygroundKey]; got != "Playground" {
		t.Error(got)
	}
}

func TestPageIsServedAndGuarded(t *testing.T) {
	b := openTest(t, "", func(o *Options) { o.Page = fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}} })
	if w := ask(t, b, "GET", "/ui/", "", nil); w.Code != 200 || w.Body.String() != "<!doctype html>" || w.Header().Get("Content-Security-Policy") == "" {
		t.Error(w.Code, w.Body)
	}
	if w := ask(t, b, "GET", "/", "", map[string]string{"Accept": "text/html,*/*"}); w.Code != 302 || w.Header().Get("Location") != "/ui/" {
		t.Error(w.Code, w.Header())
	}
	if w := ask(t, b, "GET", "/", "", nil); w.Code != 200 || !strings.Contains(w.Body.String(), "running") {
		t.Error(w.Code, w.Body)
	}
	for _, path := range []string{"/", "/ui/", "/api/status", "/api/feed", "/v1/models", "/health"} {
		if w := ask(t, b, "GET", path, "", map[string]string{"Host": "evil.example:8390", "Authorization": "Bearer " + b.token.Reveal()}); w.Code != http.StatusForbidden {
			t.Errorf("%s by a foreign name: %d", path, w.Code)
		}
	}
}

// TestEveryCallRefusesForeigners takes the calls from the description that Patchbay serves of itself: a page elsewhere that had
// its name point here (DNS rebinding), that sends a form, or that opens a WebSocket, is refused even with a token that counts.
func TestEveryCallRefusesForeigners(t *testing.T) {
	b := openTest(t, "", func(o *Options) { o.Page = fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}} })
	bearer := "Bearer " + b.token.Reveal()
	w := ask(t, b, "GET", "/api/openapi.json", "", map[string]string{"Authorization": bearer})
	var described struct {
		Paths map[string]map[string]jsontext.Value `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &described); err != nil {
		t.Fatal(w.Code, err)
	}
	calls := [][2]string{{"GET", "/api/feed"}, {"GET", "/api/openapi.json"}, {"GET", "/api/nothing"}}
	for path, methods := range described.Paths {
		for method := range methods {
			calls = append(calls, [2]string{strings.ToUpper(method), strings.NewReplacer("{", "", "}", "").Replace(path)})
		}
	}
	if len(calls) < 90 {
		t.Error("the description names only", len(calls), "calls")
	}
	for _, call := range calls {
		for name, head := range map[string]map[string]string{
			"foreign name":           {"Host": "evil.example:8390"},
			"foreign name and page":  {"Host": "evil.example:8390", "Origin": "http://evil.example:8390"},
			"form of a foreign page": {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"},
			"form of a file":         {"Origin": "null", "Content-Type": "text/plain"},
			"WebSocket of a foreign page": {
				"Origin": "https://evil.example", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13",
				"Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Websocket-Protocol": "patchbay.v1, bearer." + b.token.Reveal(),
			},
		} {
			head["Authorization"] = bearer
			if w := ask(t, b, call[0], call[1], "x=1", head); w.Code != http.StatusForbidden {
				t.Errorf("%s %s, %s: %d %s", call[0], call[1], name, w.Code, w.Body)
			}
		}
	}
	if w := ask(t, b, "GET", "/api/status", "", map[string]string{"Authorization": bearer}); w.Code != http.StatusOK {
		t.Error("the token did not count, or a stranger's call did something:", w.Code, w.Body)
	}
}
