package backend

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/secret"
)

func TestProxyOfTheAccountComesFirst(t *testing.T) {
	cfg := config.Default()
	cfg.Providers = map[string]config.Provider{"kiro": {Proxy: "http://provider:1"}, "codex": {Proxy: "direct"}, "gemini": {Proxy: "system"}, "openai": {Proxy: "none"}}
	for _, c := range []struct{ global, id, own, want string }{
		{"", "anthropic", "", ""}, {"system", "anthropic", "", ""}, {"http://all:1", "anthropic", "", "http://all:1"},
		{"http://all:1", "kiro", "", "http://provider:1"}, {"http://all:1", "kiro", "socks5://own:1", "socks5://own:1"}, {"http://all:1", "kiro", "direct", "direct"},
		{"http://all:1", "codex", "", "direct"}, {"http://all:1", "gemini", "", ""}, {"http://all:1", "openai", "", "direct"}, {"direct", "anthropic", "system", ""},
	} {
		cfg.Network.Proxy = c.global
		if got := proxyFor(cfg, c.id, c.own); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestProxyOfAProviderIsUsedAndNotPassed has all calls of a provider go through its proxy, and none around one that is gone.
func TestProxyOfAProviderIsUsedAndNotPassed(t *testing.T) {
	var direct, proxied atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		direct.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer service.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.IsAbs() {
			t.Errorf("%s is no call to a proxy", r.URL)
		}
		proxied.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"object":"list","data":[{"id":"m","object":"model"}]}`))
	}))
	b := openTest(t, "providers:\n  openai: {base_url: "+service.URL+", proxy: "+proxy.URL+"}\n", nil)
	ctx := t.Context()
	a, err := b.AddAccount(ctx, api.NewAccount{Provider: "openai", Key: secret.New("sk-x")})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := b.TestAccount(ctx, a.ID, api.AccountTest{}); err != nil || !v.OK || proxied.Load() == 0 || direct.Load() != 0 {
		t.Fatalf("%+v %v: %d calls through the proxy, %d around it", v, err, proxied.Load(), direct.Load())
	}
	proxy.Close()
	if v, err := b.TestAccount(ctx, a.ID, api.AccountTest{}); err == nil && v.OK || direct.Load() != 0 {
		t.Errorf("%+v %v: %d calls around a proxy that is gone", v, err, direct.Load())
	}
}

func TestPatchbayIsNotItsOwnProxy(t *testing.T) {
	b := openTest(t, "server: {listen: \"127.0.0.1:18399\"}\nnetwork: {proxy: \"http://localhost:18399\"}\n", func(o *Options) { o.Flags = nil })
	resp, err := b.client("openai", "").Get("http://127.0.0.1:1/")
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "round in circles") {
		t.Error(err)
	}
}

// TestAProxyComesBeforeTheAddressOfAProvider is the order of AIClient-2-API, where one proxy for all, an address of a provider
// (a relay) and neither are told apart: with a proxy the relay is reached through it, without one directly, and without either
// the service itself is. Changes count from the next call on.
func TestAProxyComesBeforeTheAddressOfAProvider(t *testing.T) {
	var mu sync.Mutex // guards asked
	var asked []string
	server := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked = append(asked, name+" "+r.Host)
			mu.Unlock()
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"object":"list","data":[{"id":"m","object":"model"}]}`))
		}))
		t.Cleanup(s.Close)
		return s
	}
	relay, first, second := server("relay"), server("first"), server("second")
	at := strings.TrimPrefix(relay.URL, "http://")
	b := openTest(t, "providers:\n  openai: {base_url: "+relay.URL+"}\n", nil)
	ctx := t.Context()
	a, err := b.AddAccount(ctx, api.NewAccount{Provider: "openai", Key: secret.New("sk-x")})
	if err != nil {
		t.Fatal(err)
	}
	set := func(key string, value any) {
		t.Helper()
		if _, err := b.ChangeSettings(ctx, map[string]any{key: value}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"only an address of the provider", func() {}, "relay " + at},
		{"a proxy for all", func() { set("network.proxy", first.URL) }, "first " + at},
		{"one of the provider before it", func() { set("providers.openai.proxy", second.URL) }, "second " + at},
		{"none for the provider", func() { set("providers.openai.proxy", "direct") }, "relay " + at},
		{"none at all", func() { set("providers.openai.proxy", nil); set("network.proxy", nil) }, "relay " + at},
	} {
		step.do()
		mu.Lock()
		asked = nil
		mu.Unlock()
		if v, err := b.TestAccount(ctx, a.ID, api.AccountTest{}); err != nil || !v.OK {
			t.Fatalf("%s: %+v %v", step.what, v, err)
		}
		mu.Lock()
		for _, got := range asked {
			if got != step.want {
				t.Errorf("%s: asked %q, want %q", step.what, got, step.want)
			}
		}
		if len(asked) == 0 {
			t.Errorf("%s: nobody was asked", step.what)
		}
		mu.Unlock()
	}
	set("providers.openai.base_url", nil)
	if k, _ := b.offered("openai"); k.baseURL() != "https://api.openai.com/v1" {
		t.Errorf("without an address of its own it goes to %s", k.baseURL())
	}
}
