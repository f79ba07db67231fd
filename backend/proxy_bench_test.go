package backend

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/secret"
)

// BenchmarkProxy sends requests through the whole backend to an upstream in the same process, so that a CPU profile shows
// where a request's time goes. The comparison with other proxies is `make bench`.
func BenchmarkProxy(b *testing.B) {
	for name, c := range map[string]struct{ path, body string }{
		"small same protocol":  {"/openai/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`},
		"2 MB same protocol":   {"/openai/v1/chat/completions", long()},
		"2 MB cross protocol":  {"/openai/v1/messages", long()},
		"small cross protocol": {"/openai/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`},
	} {
		b.Run(name, func(b *testing.B) {
			base, key := startForBench(b)
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, base+c.path, strings.NewReader(c.body))
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+key)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				out, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatalf("%s %s %v", resp.Status, out, err)
				}
			}
		})
	}
}

func long() string {
	var out bytes.Buffer
	out.WriteString(`{"model":"m","stream":true,"max_tokens":1000,"messages":[`)
	for out.Len() < 2<<20 {
		fmt.Fprintf(&out, `{"role":"user","content":"%s"},{"role":"assistant","content":[{"type":"text","text":"%s"}]},`,
			strings.Repeat(`func main() {\n\tfmt.Println(\"hello, 世界\")\n}\n`, 20), strings.Repeat("These are plain words. ", 60))
	}
	out.WriteString(`{"role":"user","content":"Go on."}]}`)
	return out.String()
}

func startForBench(b *testing.B) (base, key string) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
	}))
	b.Cleanup(up.Close)
	home := b.TempDir()
	text := "server:\n  listen: 127.0.0.1:0\nproviders:\n  openai:\n    base_url: " + up.URL + "/v1\n    models: [m]\n"
	if err := os.WriteFile(filepath.Join(home, "config.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	ready := make(chan struct{})
	bay, err := Open(b.Context(), Options{
		Paths: config.Paths{Config: filepath.Join(home, "config.yaml"), Data: home, State: home}, Env: []string{}, Ready: func(string) { close(ready) },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- bay.Run(ctx) }() // ends with cancel below
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := bay.Close(); err != nil {
			b.Error(err)
		}
	})
	<-ready
	if _, err := bay.AddAccount(b.Context(), api.NewAccount{Provider: "openai", Key: secret.New("sk-test-0123456789")}); err != nil {
		b.Fatal(err)
	}
	made, err := bay.AddKey(b.Context(), api.NewKey{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	return bay.Base(), made.Key.Reveal()
}
