// Package testkit starts the whole of Patchbay inside a test: simulated upstreams, accounts for them, one client key, and a
// check that nothing is left running afterwards. Only tests import it.
package testkit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/backend"
	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// Bay is a running Patchbay with its simulated upstreams.
type Bay struct {
	Backend *backend.Backend
	Sim     *simulator.Server
	URL     string // http://127.0.0.1:PORT
	Key     string // a client key
	Home    string
	Log     *Buffer // what the program logged
	Stop    func()  // ends Patchbay before the test does; streams get a moment
}

// Options shape a Bay.
type Options struct {
	Config string // further settings, as YAML at the top level
	// Accounts are keys by provider; nil = one account of each that has a key but openai-responses. For codex, qwen-code and
	// iflow a key is the e-mail of somebody who can sign in at the simulated service (ann@example.test); their models are
	// gpt-5.5 and its like, coder-model, and glm-4.7 and its like.
	Accounts map[string][]string
}

// Every is one account of each provider that leads to a simulated upstream.
func Every() map[string][]string {
	return map[string][]string{"openai": {"sk-sim-one"}, "compat": {"sk-sim-one"}, "anthropic": {"sk-ant-sim-one"}, "gemini": {"sk-sim-one"},
		"openai-responses": {"sk-sim-one"}, "home-ollama": {""}, "kiro": {"ksk_sim-one"}}
}

// Assist is one account of each provider that reaches Google's Code Assist service: "gemini-cli", whose simulated service has the
// models gemini-2.5-pro, gemini-3-pro-preview and gemini-3-flash among others, and "antigravity" with claude-sonnet-4-6,
// claude-opus-4-6-thinking, gemini-3-flash-agent (thinks by budget), gemini-3.7-flash-high (by level) and gpt-oss-120b-medium.
// Ask for them by prefix ("antigravity/claude-sonnet-4-6"): others come first for a bare name.
func Assist() map[string][]string {
	return map[string][]string{"gemini-cli": {"sk-sim-one"}, "antigravity": {"sk-sim-one"}}
}

// Start runs Patchbay until the test ends. The providers openai (treated as OpenAI's own host), compat (a compatible
// service that shows its reasoning), anthropic, gemini, openai-responses, home-ollama, kiro, gemini-cli and antigravity lead to the
// simulated upstreams. At the end the test fails if goroutines are left.
//
// Kiro's keys begin with "ksk_sim-"; its models are auto, claude-sonnet-4.5 (thinks by tags), claude-haiku-4.5,
// claude-sonnet-4.6 and claude-opus-5 (think by fields of their own), and qwen3-coder-next.
func Start(t testing.TB, o Options) *Bay {
	t.Helper()
	before := goroutines()
	b := &Bay{Sim: simulator.New(simulator.Options{}), Home: t.TempDir(), Log: &Buffer{}}
	must(t, b.Sim.Start())
	b.Stop = sync.OnceFunc(b.run(t, o))
	t.Cleanup(func() {
		b.Stop()
		if err := b.Sim.Close(); err != nil {
			t.Errorf("closing the simulated upstreams: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
		settle(t, before)
	})
	if o.Accounts == nil {
		o.Accounts = map[string][]string{"openai": {"sk-sim-one"}, "compat": {"sk-sim-one"}, "anthropic": {"sk-ant-sim-one"}, "gemini": {"sk-sim-one"}}
	}
	for provider, keys := range o.Accounts {
		for i, key := range keys {
			key := b.token(t, provider, key)
			_, err := b.Backend.AddAccount(t.Context(), api.NewAccount{Provider: provider, Name: fmt.Sprintf("%s-%d", provider, i+1), Key: secret.New(key), Priority: i + 1, AcceptRisk: true})
			must(t, err)
		}
	}
	made, err := b.Backend.AddKey(t.Context(), api.NewKey{Name: "test"})
	must(t, err)
	b.Key = made.Key.Reveal()
	b.awaitLists(t, o.Accounts)
	return b
}

// token makes an access token for a person who can sign in at a provider's simulated service; any other key is what it is.
func (b *Bay) token(t testing.TB, provider, key string) string {
	t.Helper()
	if b.Sim.SignIn(provider) == nil || !strings.Contains(key, "@") {
		return key
	}
	token, ok := b.Sim.Token(provider, key)
	if !ok {
		t.Fatalf("nobody at %s is called %s", provider, key)
	}
	return token
}

// awaitLists waits for the model lists of the accounts just added: they are read in the background, and which provider a
// bare model name leads to depends on them. A service that refuses to list is not waited for long.
func (b *Bay) awaitLists(t testing.TB, accounts map[string][]string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for id := range accounts {
		for id != "forward" && time.Now().Before(deadline) { // forward has no list
			if list, err := b.Backend.Models(t.Context(), id); err == nil && len(list) > 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (b *Bay) run(t testing.TB, o Options) (stop func()) {
	t.Helper()
	text := "server:\n  listen: 127.0.0.1:0\nproviders:\n"
	for _, p := range []struct{ id, more, upstream string }{
		{"openai", "    quirks: [own_host]\n", simulator.OpenAI},
		{"compat", "    kind: openai\n", simulator.Compatible},
		{"anthropic", "", simulator.Anthropic},
		{"gemini", "", simulator.Gemini},
		{"openai-responses", "", simulator.Responses},
		{"home-ollama", "    kind: ollama\n", simulator.Ollama},
		{"codex", "    login_url: " + b.Sim.LoginURL(simulator.Codex) + "\n", simulator.Codex},
		{"qwen-code", "    login_url: " + b.Sim.LoginURL(simulator.Qwen) + "\n", simulator.Qwen},
		{"iflow", "    login_url: " + b.Sim.LoginURL(simulator.IFlow) + "\n", simulator.IFlow},
		{"kiro", "    enabled: true\n    login_url: " + b.Sim.LoginURL(simulator.Kiro) + "\n", simulator.Kiro},
	} {
		text += "  " + p.id + ":\n    base_url: " + b.Sim.BaseURL(p.upstream) + "\n" + p.more
	}
	for _, name := range []string{simulator.GeminiCLI, simulator.Antigravity} {
		text += "  " + name + ":\n    enabled: true\n    priority: 900\n    limits:\n      concurrent: 64\n    base_url: " + b.Sim.BaseURL(name) +
			"\n    login_url: " + b.Sim.BaseURL(name) + "\n"
	}
	text += o.Config
	file := filepath.Join(b.Home, "config.yaml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	ready := make(chan struct{})
	var err error
	b.Backend, err = backend.Open(t.Context(), backend.Options{
		Paths: config.Paths{Config: file, Data: b.Home, State: filepath.Join(b.Home, "logs")}, Env: []string{}, Version: "test",
		Stderr: b.Log, Grace: 100 * time.Millisecond, Ready: func(string) { close(ready) },
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- b.Backend.Run(ctx) }() // ends with cancel
	select {
	case <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("running: %v", err)
	}
	b.URL = b.Backend.Base()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running: %v", err)
		}
		if err := b.Backend.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
}

// Do sends a request with the client key and reads the whole answer. Headers are given as name, value pairs.
func (b *Bay) Do(t testing.TB, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.URL+path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+b.Key)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(out)
}

// Last returns the latest request that an upstream got.
func (b *Bay) Last(t testing.TB, upstream string) simulator.Request {
	t.Helper()
	all := b.Sim.Requests()
	for i := len(all) - 1; i >= 0; i-- {
		if r := all[i]; r.Upstream == upstream && r.Method == http.MethodPost {
			return r
		}
	}
	t.Fatalf("%s got no request", upstream)
	return simulator.Request{}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func goroutines() int { return runtime.NumGoroutine() }

// settle waits for the goroutines to end that were not there before; connections take a moment to close.
func settle(t testing.TB, before int) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for goroutines() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines are left of %d:\n%s", goroutines(), before, stacks[:runtime.Stack(stacks, true)])
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Buffer collects what is written to it, from any goroutine.
type Buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns everything written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
