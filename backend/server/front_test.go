package server

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"patchbay/backend/apierror"
)

func TestPathsAreBroughtToOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"/v1/chat/completions":                 "/v1/chat/completions",
		"/v1/chat/completions/":                "/v1/chat/completions",
		"//v1//chat/completions":               "/v1/chat/completions",
		"/v1/v1/chat/completions":              "/v1/chat/completions",
		"/v1/v1/v1/messages":                   "/v1/messages",
		"/chat/completions":                    "/v1/chat/completions",
		"/models":                              "/v1/models",
		"/messages":                            "/v1/messages",
		"/v1beta/v1beta/models/x":              "/v1beta/models/x",
		"/v1/v1beta/models/x":                  "/v1beta/models/x",
		"/v1/models/a%2Fb":                     "/v1/models/a%2Fb",
		"/v1beta/openai/chat/completions":      "/v1/chat/completions",
		"/v1beta/openai/v1/models":             "/v1/models",
		"/v1/v1beta/openai/embeddings":         "/v1/embeddings",
		"/v1beta/models/a%2Fb:generateContent": "/v1beta/models/a%2Fb:generateContent",
		"/health":                              "/health",
		"/":                                    "/",
		"":                                     "/",
		"/kiro/v1/messages":                    "/kiro/v1/messages",
		"/./v1/./models":                       "/v1/models",
	} {
		if got := cleanPath(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string][2]string{
		"/kiro/v1/v1/messages":         {"kiro", "/v1/messages"},
		"/kiro/chat/completions":       {"kiro", "/v1/chat/completions"},
		"/gemini/v1beta/openai/models": {"gemini", "/v1/models"},
		"/kiro":                        {"kiro", "/"},
		"/my%2Dllm/v1/models":          {"my-llm", "/v1/models"},
	} {
		first, rest := splitProvider(in)
		if first != want[0] || rest != want[1] {
			t.Errorf("%q: %q %q", in, first, rest)
		}
	}
}

func TestOnlyThisMachinesNamesAreHosts(t *testing.T) {
	g := Guard{AllowedHosts: []string{"bay.example", "with.port:8390"}}
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8390": true, "LOCALHOST": true, "localhost.": true, "127.0.0.1:8390": true, "127.9.9.9": true, "[::1]:8390": true, "::1": true,
		"bay.example": true, "bay.example:80": true, "with.port:8390": true,
		"evil.example": false, "127.0.0.1.evil.example": false, "192.168.1.2:8390": false, "": false, "localhost.evil.example": false, "0.0.0.0:8390": false,
	} {
		if got := g.hostAllowed(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
	if !(Guard{LAN: true}).hostAllowed("192.168.1.2") {
		t.Error("with LAN on, the machine's address is no host")
	}
}

func TestOrigins(t *testing.T) {
	g := Guard{AllowedOrigins: []string{"https://chat.example"}}
	for origin, want := range map[string]bool{
		"http://localhost:3000": true, "https://127.0.0.1": true, "http://[::1]:5": true, "app://obsidian.md": true, "file://": true, "tauri://localhost": true,
		"vscode-webview://x": true, "chrome-extension://abc": true, "https://chat.example": true,
		"https://evil.example": false, "null": false, "http://localhost.evil.example": false, "https://chat.example.evil": false, "": false, "ftp://localhost": false,
	} {
		if got := g.originAllowed(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
}

func TestPreflight(t *testing.T) {
	ask := func(origin, method string) (*httptest.ResponseRecorder, bool) {
		r := httptest.NewRequest(method, "/v1/models", nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		r.Header.Set("Access-Control-Request-Headers", "authorization,x-mine")
		w := httptest.NewRecorder()
		return w, Guard{}.cors(w, r)
	}
	w, done := ask("http://localhost:3000", http.MethodOptions)
	if !done || w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Headers") != "authorization,x-mine" || w.Header().Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
		t.Errorf("%v %d %v", done, w.Code, w.Header())
	}
	if w, done = ask("https://evil.example", http.MethodPost); !done || w.Code != http.StatusForbidden || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign page: %v %d", done, w.Code)
	}
	if w, done = ask("", http.MethodPost); done || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("a program is no page")
	}
	if w, done = ask("", http.MethodOptions); !done || w.Code != http.StatusNoContent {
		t.Error("OPTIONS without an origin")
	}
	if w, done = ask("app://x", http.MethodPost); done || w.Header().Get("Access-Control-Allow-Origin") != "app://x" {
		t.Error("a page of a local app")
	}
}

func TestFirstKeyPresentCounts(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		query  string
		want   string
	}{
		"bearer":                   {map[string]string{"Authorization": "Bearer a", "X-Api-Key": "b"}, "", "a"},
		"bearer in another case":   {map[string]string{"Authorization": "bearer  a "}, "", "a"},
		"an empty bearer is none":  {map[string]string{"Authorization": "Bearer ", "X-Api-Key": "b"}, "", "b"},
		"another scheme is none":   {map[string]string{"Authorization": "Basic a", "X-Goog-Api-Key": "c"}, "", "c"},
		"anthropic before gemini":  {map[string]string{"X-Api-Key": "b", "X-Goog-Api-Key": "c"}, "", "b"},
		"azure":                    {map[string]string{"Api-Key": "d"}, "?key=e", "d"},
		"both, as Gemini CLI does": {map[string]string{"Authorization": "Bearer a", "X-Goog-Api-Key": "a"}, "", "a"},
		"query":                    {nil, "?alt=sse&key=e", "e"},
		"nothing":                  {nil, "?alt=sse", ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/models"+c.query, nil)
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		if got := presentedKey(r); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestBodiesAreUnpackedAndBounded(t *testing.T) {
	text := strings.Repeat("hello ", 200)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(text))
	z.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	read := func(body []byte, encoding string, limit int64) (string, error) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Encoding", encoding)
		out, err := readBody(httptest.NewRecorder(), r, limit)
		return string(out), err
	}
	for encoding, body := range map[string][]byte{"": []byte(text), "identity": []byte(text), "gzip": zipped.Bytes(), "zstd": enc.EncodeAll([]byte(text), nil)} {
		if got, err := read(body, encoding, int64(len(text))); err != nil || got != text {
			t.Errorf("%q: %d bytes, %v", encoding, len(got), err)
		}
		if _, err := read(body, encoding, int64(len(text))-1); apierror.KindOf(err) != apierror.BodyTooLarge {
			t.Errorf("%q past the limit: %v", encoding, err)
		}
	}
	for encoding, body := range map[string]string{"gzip": "plain", "zstd": "plain", "br": "x"} {
		if _, err := read([]byte(body), encoding, 100); apierror.KindOf(err) != apierror.InvalidRequest {
			t.Errorf("%q: %v", encoding, err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("short"))
	r.ContentLength = 10
	if _, err := readBody(httptest.NewRecorder(), r, 100); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Errorf("a body shorter than it says: %v", err)
	}
	r = httptest.NewRequest(http.MethodPost, "/", nil)
	r.ContentLength = -1
	r.Body = http.NoBody
	if b, err := readBody(httptest.NewRecorder(), r, 100); err != nil || len(b) != 0 {
		t.Errorf("no body: %v", err)
	}
}
