package backend

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// guardedProxy is a proxy for one user; it answers for every target itself.
func guardedProxy(t *testing.T, login string) (proxy *httptest.Server, served *atomic.Int64) {
	t.Helper()
	served = &atomic.Int64{}
	proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(login)):
			w.WriteHeader(http.StatusProxyAuthRequired)
		case r.URL.Host == "gone.example":
			w.WriteHeader(http.StatusBadGateway)
		default:
			served.Add(1)
			w.WriteHeader(http.StatusUnauthorized) // a service without a key says so: it was reached
		}
	}))
	t.Cleanup(proxy.Close)
	return proxy, served
}

// TestPasswordOfAProxyIsSealed has a password that is given with a proxy stand in no file, count, and come back after a restart.
func TestPasswordOfAProxyIsSealed(t *testing.T) {
	proxy, served := guardedProxy(t, "ann:pw-canary")
	withPassword := strings.Replace(proxy.URL, "://", "://ann:pw-canary@", 1)
	shown := strings.Replace(proxy.URL, "://", "://***@", 1)
	b := openTest(t, "providers:\n  openai: {base_url: http://one.example/v1}\n", nil)
	ctx := t.Context()
	if _, err := b.ChangeSettings(ctx, map[string]any{"network.proxy": withPassword, "providers.kiro": map[string]any{"proxy": withPassword, "enabled": true}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.settings.Path())
	if err != nil || strings.Contains(string(text), "canary") || !strings.Contains(string(text), shown) {
		t.Fatalf("%v:\n%s", err, text)
	}
	if s := settingOf(t, b, "network.proxy"); s.Value != shown {
		t.Errorf("%+v", s)
	}
	v := ok(b.TestProxy(ctx, api.ProxyTest{Provider: "openai"}))(t)
	if !v.OK || v.Proxy != shown || v.Exit[0].Host != "one.example" || v.LatencyMS < 1 || served.Load() != 1 {
		t.Errorf("%+v", v)
	}
	b.proxyLogins.Clear() // as after a restart
	if v = ok(b.TestProxy(ctx, api.ProxyTest{Provider: "openai"}))(t); !v.OK {
		t.Errorf("%+v", v)
	}
	// the form that is shown means the password that is there; another one takes its place
	if _, err := b.ChangeSettings(ctx, map[string]any{"network.proxy": shown}); err != nil {
		t.Error(err)
	}
	if _, err := b.ChangeSettings(ctx, map[string]any{"network.proxy": strings.Replace(withPassword, "canary", "other", 1)}); err != nil {
		t.Error(err)
	}
	if v = ok(b.TestProxy(ctx, api.ProxyTest{Provider: "openai"}))(t); v.OK || !strings.Contains(v.Message, "password") {
		t.Errorf("%+v", v)
	}
	// what is refused changes nothing in the vault either
	_, err = b.ChangeSettings(ctx, map[string]any{"network.proxy": withPassword, "timeouts.idle": "soon"})
	refused(t, err, apierror.InvalidRequest, "timeouts.idle", "")
	if kept, _ := b.keptProxy("network.proxy"); !strings.Contains(kept, "pw-other") {
		t.Error(kept)
	}
	if _, err := b.ChangeSettings(ctx, map[string]any{"network.proxy": "direct", "providers.kiro": nil}); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"network.proxy", "providers.kiro.proxy"} {
		if kept, err := b.keptProxy(key); kept != "" || err != nil {
			t.Error(key, kept, err)
		}
	}
	_, err = b.ChangeSettings(ctx, map[string]any{"network.proxy": shown})
	refused(t, err, apierror.InvalidRequest, "network.proxy", "not known any more")
}

// TestProxyWhosePasswordIsGoneIsNotPassed has nothing sent when the vault lacks the password of a proxy.
func TestProxyWhosePasswordIsGoneIsNotPassed(t *testing.T) {
	b := openTest(t, "network: {proxy: \"http://***@127.0.0.1:1\"}\n", nil)
	v := ok(b.TestProxy(t.Context(), api.ProxyTest{Provider: "openai"}))(t)
	if v.OK || !strings.Contains(v.Message, "network.proxy cannot be read") {
		t.Errorf("%+v", v)
	}
}

func TestProxyTestSaysWhatIsReached(t *testing.T) {
	proxy, _ := guardedProxy(t, "ann:pw")
	withPassword := strings.Replace(proxy.URL, "://", "://ann:pw@", 1)
	b := openTest(t, "providers:\n  openai: {base_url: http://one.example/v1}\n  anthropic: {base_url: http://gone.example}\n  mine: {kind: openai, base_url: http://127.0.0.1:1/v1}\n", nil)
	ctx := t.Context()
	a := ok(b.AddAccount(ctx, api.NewAccount{Provider: "openai", Name: "work", Key: secret.New("sk"), Proxy: secret.New(withPassword)}))(t)
	for _, id := range []string{"anthropic", "mine"} {
		if _, err := b.AddAccount(ctx, api.NewAccount{Provider: id, Key: secret.New("sk")}); err != nil {
			t.Fatal(err)
		}
	}
	hidden := strings.Replace(proxy.URL, "://", "://***@", 1)
	if a.Proxy != hidden {
		t.Error(a.Proxy)
	}
	for _, q := range []api.ProxyTest{{Account: a.ID}, {Account: a.ID, Proxy: secret.New(hidden)}, {Proxy: secret.New(withPassword), Provider: "openai-custom"}} {
		if v := ok(b.TestProxy(ctx, q))(t); !v.OK || len(v.Exit) != 1 || v.Message != "" {
			t.Errorf("%+v: %+v", q, v)
		}
	}
	v := ok(b.TestProxy(ctx, api.ProxyTest{Proxy: secret.New(withPassword)}))(t)
	if !v.OK || len(v.Exit) != 2 || !strings.Contains(v.Message, "gone.example: it was not reached") {
		t.Errorf("%+v", v)
	}
	v = ok(b.TestProxy(ctx, api.ProxyTest{Proxy: secret.New("socks5://127.0.0.1:1"), Provider: "mine"}))(t)
	if v.OK || !strings.Contains(v.Message, "the proxy does not work") || strings.Contains(v.Message, "account") {
		t.Errorf("%+v", v)
	}
	_, err := b.TestProxy(ctx, api.ProxyTest{Proxy: secret.New("ftp://x")})
	refused(t, err, apierror.InvalidRequest, "proxy", "http://")
	_, err = b.TestProxy(ctx, api.ProxyTest{Provider: "nowhere"})
	refused(t, err, apierror.InvalidRequest, "provider", "nowhere")
	_, err = b.TestProxy(ctx, api.ProxyTest{Account: "nobody"})
	refused(t, err, apierror.InvalidRequest, "account", "nobody")
	direct := secret.New("direct")
	if a = ok(b.ChangeAccount(ctx, a.ID, api.AccountChange{Proxy: &direct}))(t); a.Proxy != "direct" {
		t.Error(a.Proxy)
	}
}
