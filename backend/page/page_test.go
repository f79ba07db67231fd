package page_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"patchbay/backend/page"
)

var files = fstest.MapFS{
	"index.html":             {Data: []byte("<!doctype html>" + strings.Repeat("<p>hello</p>", 200))},
	"assets/index-1a2b.js":   {Data: []byte(strings.Repeat("let a = 1;\n", 200))},
	"assets/icon-1a2b.woff2": {Data: []byte{1, 2, 3}},
}

func get(t *testing.T, h http.Handler, method, path string, head map[string]string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for k, v := range head {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPageIsServed(t *testing.T) {
	h := page.Handler(files)
	for _, c := range []struct {
		path, kind, cache string
		status            int
	}{
		{"/ui/", "text/html; charset=utf-8", "no-cache", 200},
		{"/ui/index.html", "text/html; charset=utf-8", "no-cache", 200},
		{"/ui/assets/index-1a2b.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", 200},
		{"/ui/assets/icon-1a2b.woff2", "font/woff2", "public, max-age=31536000, immutable", 200},
		{"/ui/assets/", "text/plain; charset=utf-8", "", 404},
		{"/ui/assets", "text/plain; charset=utf-8", "", 404},
		{"/ui/nothing.js", "text/plain; charset=utf-8", "", 404},
		{"/ui/../go.mod", "text/plain; charset=utf-8", "", 404},
		{"/ui//index.html", "text/plain; charset=utf-8", "", 404},
	} {
		resp := get(t, h, "GET", c.path, nil)
		if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != c.kind || resp.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d %v", c.path, resp.StatusCode, resp.Header)
		}
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "script-src 'self';") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", c.path, resp.Header)
		}
	}
	if resp := get(t, h, "GET", "/ui", nil); resp.StatusCode != 302 || resp.Header.Get("Location") != "/ui/" {
		t.Error(resp.Status)
	}
	if resp := get(t, h, "POST", "/ui/", nil); resp.StatusCode != 405 {
		t.Error(resp.Status)
	}
	if resp := get(t, h, "HEAD", "/ui/", nil); resp.StatusCode != 200 || text(t, resp.Body) != "" {
		t.Error(resp.Status)
	}
}

func TestPageIsPackedAndKept(t *testing.T) {
	h := page.Handler(files)
	resp := get(t, h, "GET", "/ui/", map[string]string{"Accept-Encoding": "br, gzip;q=0.8"})
	if resp.Header.Get("Content-Encoding") != "gzip" || resp.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatal(resp.Header)
	}
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, z); got != string(files["index.html"].Data) {
		t.Errorf("%.80s", got)
	}
	for _, refuses := range []string{"", "gzip;q=0", "identity"} {
		if resp := get(t, h, "GET", "/ui/", map[string]string{"Accept-Encoding": refuses}); resp.Header.Get("Content-Encoding") != "" || text(t, resp.Body) != string(files["index.html"].Data) {
			t.Errorf("%q: %v", refuses, resp.Header)
		}
	}
	tag := resp.Header.Get("ETag")
	if resp := get(t, h, "GET", "/ui/", map[string]string{"If-None-Match": tag}); resp.StatusCode != 304 {
		t.Error(resp.Status)
	}
	if resp := get(t, h, "GET", "/ui/assets/icon-1a2b.woff2", map[string]string{"Accept-Encoding": "gzip"}); resp.Header.Get("Content-Encoding") != "" {
		t.Error("what cannot be packed is packed")
	}
}

func TestMissingPageIsExplained(t *testing.T) {
	resp := get(t, page.Handler(fstest.MapFS{}), "GET", "/ui/", nil)
	if body := text(t, resp.Body); resp.StatusCode != 503 || body != page.Missing || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Error(resp.Status, body)
	}
}
