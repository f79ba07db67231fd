package transport

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
)

func clientFor(t *testing.T, o Options, proxy string) *http.Client {
	t.Helper()
	c := NewClients(o)
	t.Cleanup(c.CloseIdle)
	cl, err := c.Client(proxy)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func trusting(servers ...*httptest.Server) *tls.Config {
	pool := x509.NewCertPool()
	for _, s := range servers {
		pool.AddCert(s.Certificate())
	}
	return &tls.Config{RootCAs: pool}
}

// get returns the body of a call, or its error.
func get(t *testing.T, cl *http.Client, url string) (string, *apierror.Error) {
	t.Helper()
	a, err := Do(t.Context(), cl, Call{URL: url})
	if err != nil {
		return "", apierror.From(err)
	}
	data, err := ReadAll(a.Body, 1<<20)
	if err != nil {
		return "", apierror.From(err)
	}
	return string(data), nil
}

func TestClientsAreSharedByProxy(t *testing.T) {
	c := NewClients(Options{})
	a, _ := c.Client("")
	b, _ := c.Client("")
	d, _ := c.Client(ProxyDirect)
	if a != b || a == d {
		t.Error("one client per proxy was expected")
	}
}

func TestHTTPProxyWithPassword(t *testing.T) {
	plain, _ := target(t, false)
	secure, _ := target(t, true)
	p := &httpProxy{auth: "ann:pass word"}
	overHTTP, overTLS := httptest.NewServer(p), httptest.NewTLSServer(p)
	defer overHTTP.Close()
	defer overTLS.Close()
	for _, proxy := range []*httptest.Server{overHTTP, overTLS} {
		addr := strings.Replace(proxy.URL, "://", "://ann:pass%20word@", 1)
		cl := clientFor(t, Options{Version: "1.2.3", TLS: trusting(secure, overTLS)}, addr)
		for _, srv := range []*httptest.Server{plain, secure} {
			got, err := get(t, cl, srv.URL)
			if err != nil || got != "ok Patchbay/1.2.3" {
				t.Errorf("%s over %s: %q, %v", srv.URL, proxy.URL, got, err)
			}
		}
	}
	host := strings.TrimPrefix(plain.URL, "http://")
	if !strings.Contains(p.targets(), "GET "+host) || !strings.Contains(p.targets(), "CONNECT ") {
		t.Errorf("the proxy saw %s", p.targets())
	}
}

func TestSOCKS5Proxy(t *testing.T) {
	srv, calls := target(t, true)
	addr, used := socksProxy(t, "ann", "sesame-canary")
	if got, err := get(t, clientFor(t, Options{TLS: trusting(srv)}, "socks5://ann:sesame-canary@"+addr), srv.URL); err != nil || !strings.HasPrefix(got, "ok") {
		t.Fatalf("%q, %v", got, err)
	}
	if !used() || calls() != 1 {
		t.Error("the call went past the proxy")
	}
	_, err := get(t, clientFor(t, Options{TLS: trusting(srv)}, "socks5://ann:wrong-canary@"+addr), srv.URL)
	if err == nil || err.Kind != apierror.Transport || strings.Contains(err.Error(), "canary") || calls() != 1 {
		t.Errorf("%v after %d calls", err, calls())
	}
}

func TestProxyFailsClosed(t *testing.T) {
	plain, plainCalls := target(t, false)
	secure, secureCalls := target(t, true)
	dead := deadAddr(t)
	locked := httptest.NewServer(&httpProxy{auth: "ann:right"})
	defer locked.Close()
	lockedAddr := strings.TrimPrefix(locked.URL, "http://")
	for _, proxy := range []string{
		"http://" + dead, "https://" + dead, "socks5://" + dead, "socks5h://" + dead,
		"http://ann:canary-wrong@" + lockedAddr, "http://" + lockedAddr, "https://" + lockedAddr, "socks5://" + lockedAddr,
	} {
		cl := clientFor(t, Options{TLS: trusting(secure), Connect: func() time.Duration { return 100 * time.Millisecond }}, proxy)
		for _, srv := range []*httptest.Server{plain, secure} {
			_, err := get(t, cl, srv.URL)
			if err == nil || err.Kind != apierror.Transport && err.Kind != apierror.Timeout {
				t.Errorf("%s over %s: %v", srv.URL, proxy, err)
				continue
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the password is in %q", err)
			}
		}
	}
	if plainCalls()+secureCalls() != 0 {
		t.Error("a call went past a proxy that does not work")
	}
}

func TestUnusableProxyIsAnError(t *testing.T) {
	for _, proxy := range []string{"host:8080", "ftp://host:21", "http://", "http://user:can\x01ary@host", "://", "socks4://canary@h:1"} {
		cl, err := NewClients(Options{}).Client(proxy)
		if cl != nil || apierror.KindOf(err) != apierror.Transport || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v, %v", proxy, cl, err)
		}
		if CheckProxy(proxy) == nil {
			t.Errorf("%q passes the check", proxy)
		}
	}
	if err := CheckProxy("socks5://u:p@127.0.0.1:1080"); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentProxy(t *testing.T) {
	srv, calls := target(t, false)
	p := &httpProxy{}
	proxy := httptest.NewServer(p)
	defer proxy.Close()
	env := func(addr string) Options {
		u, _ := url.Parse(addr)
		return Options{Environment: http.ProxyURL(u)}
	}
	if _, err := get(t, clientFor(t, env("http://"+deadAddr(t)), ""), srv.URL); err != nil || calls() != 1 {
		t.Errorf("a loopback target must pass by the environment's proxy: %v", err)
	}
	if _, err := get(t, clientFor(t, env("http://"+deadAddr(t)), ""), "http://vendor.example/"); err == nil || err.Kind != apierror.Transport {
		t.Errorf("a dead proxy of the environment: %v", err)
	}
	get(t, clientFor(t, env(proxy.URL), ""), "http://vendor.invalid/")
	if p.targets() != "GET vendor.invalid" {
		t.Errorf("the environment's proxy saw %q", p.targets())
	}
	if _, err := get(t, clientFor(t, env("http://"+deadAddr(t)), ProxyDirect), srv.URL); err != nil {
		t.Errorf("direct: %v", err)
	}
	if _, err := get(t, clientFor(t, Options{}, proxy.URL), srv.URL); err != nil || !strings.Contains(p.targets(), srv.Listener.Addr().String()) {
		t.Errorf("an account's own proxy serves loopback targets, too: %v, %s", err, p.targets())
	}
}

func TestLocal(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "[::1]": true, "10.1.2.3": true, "192.168.0.9": true, "172.16.0.1": true, "169.254.1.1": true, "0.0.0.0": true,
		"::ffff:127.0.0.1": true, "fd00::1": true, "localhost": true, "LOCALHOST.": true, "nas": true, "nas.local": true, "host.docker.internal": true, "": true,
		"8.8.8.8": false, "172.32.0.1": false, "api.openai.com": false, "local.example": false, "2606:4700::1": false,
	} {
		if got := Local(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestRedirectsKeepCredentialsAtHome(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.Header.Get("X-Api-Key")) }))
	defer other.Close()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	otherName := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	for path, to := range map[string]struct {
		code int
		url  string
	}{
		"/other": {307, otherName + "/"}, "/port": {308, other.URL + "/"}, "/moved": {301, "/end"}, "/found": {302, "/end"}, "/keep": {307, "/end"}, "/loop": {307, "/loop"}, "/nowhere": {302, ""},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if to.url != "" {
				w.Header().Set("Location", to.url)
			}
			w.WriteHeader(to.code)
		})
	}
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Method+" "+string(b)+" "+r.Header.Get("X-Api-Key"))
	})
	cl := clientFor(t, Options{}, "")
	post := func(path string) (string, error) {
		a, err := Do(t.Context(), cl, Call{URL: srv.URL + path, Body: []byte("body"), Header: http.Header{"X-Api-Key": {"canary"}}})
		if err != nil {
			return "", err
		}
		b, err := ReadAll(a.Body, 1<<20)
		return string(b), err
	}
	if got, err := post("/keep"); err != nil || got != "POST body canary" {
		t.Errorf("%q, %v", got, err)
	}
	for _, path := range []string{"/other", "/port", "/moved", "/found", "/loop", "/nowhere"} {
		_, err := post(path)
		if e := apierror.From(err); err == nil || e.Kind != apierror.Transport || !strings.Contains(e.Msg, "redirect") || e.Upstream.Status < 300 {
			t.Errorf("%s: %v", path, err)
		}
	}
	if elsewhere != nil {
		t.Errorf("another host got the key: %v", elsewhere)
	}
}

func TestUpgradeToHTTPSOfTheSameHostIsFollowed(t *testing.T) {
	secure, _ := target(t, true)
	plain := httptest.NewServer(http.RedirectHandler(secure.URL+"/x", http.StatusPermanentRedirect))
	defer plain.Close()
	cl := clientFor(t, Options{TLS: trusting(secure)}, "")
	if got, err := get(t, cl, plain.URL); err != nil || !strings.HasPrefix(got, "ok") {
		t.Errorf("%q, %v", got, err)
	}
	back := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusPermanentRedirect))
	defer back.Close()
	if _, err := get(t, clientFor(t, Options{TLS: trusting(back)}, ""), back.URL); err == nil {
		t.Error("a redirect to plain http was followed")
	}
}

func TestConnectionsAreReusedAndUserAgentKept(t *testing.T) {
	var from, agents []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		agents = append(agents, r.UserAgent())
	}))
	defer srv.Close()
	cl := clientFor(t, Options{}, "")
	for range 3 {
		if _, err := get(t, cl, srv.URL); err != nil {
			t.Fatal(err)
		}
	}
	if len(slices.Compact(from)) != 1 {
		t.Errorf("calls came from %v", from)
	}
	a, err := Do(t.Context(), cl, Call{URL: srv.URL, Header: http.Header{"User-Agent": {"codex/1"}}})
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if want := []string{"Patchbay/dev", "Patchbay/dev", "Patchbay/dev", "codex/1"}; !slices.Equal(agents, want) {
		t.Errorf("%q", agents)
	}
}

func TestHTTP2IsSpoken(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	if got, err := get(t, clientFor(t, Options{TLS: trusting(srv)}, ""), srv.URL); err != nil || got != "HTTP/2.0" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestGzipStreamArrivesPieceByPiece(t *testing.T) {
	more := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "data: one\n\n")
		z.Flush()
		w.(http.Flusher).Flush()
		select { // the second piece leaves when the first has arrived
		case <-more:
		case <-r.Context().Done():
		}
		io.WriteString(z, "data: two\n\n")
		z.Close()
	}))
	defer srv.Close()
	a, err := Do(t.Context(), clientFor(t, Options{}, ""), Call{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	one := make([]byte, 11)
	if _, err := io.ReadFull(a.Body, one); err != nil || string(one) != "data: one\n\n" {
		t.Fatalf("%q, %v", one, err)
	}
	close(more)
	if rest, err := io.ReadAll(a.Body); err != nil || string(rest) != "data: two\n\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	srv, _ := target(t, true)
	_, err := get(t, clientFor(t, Options{}, ""), srv.URL)
	if err == nil || err.Kind != apierror.Transport || !strings.Contains(err.Msg, "certificate") {
		t.Errorf("%v", err)
	}
}

func TestBadURLsAreErrorsWithoutTheURL(t *testing.T) {
	for _, u := range []string{"", "/x", "http://h\x7f/canary", "://canary"} {
		_, err := Do(context.Background(), http.DefaultClient, Call{URL: u})
		if apierror.KindOf(err) != apierror.Transport || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", u, err)
		}
	}
	_, err := Do(context.Background(), http.DefaultClient, Call{URL: "http://h", Method: "a b"})
	if apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
}

func TestErrorsHideTheURL(t *testing.T) {
	_, err := get(t, clientFor(t, Options{}, ""), "http://"+deadAddr(t)+"/v1?key=canary-in-the-url")
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Msg, "nothing answers at") {
		t.Errorf("%v", err)
	}
	if errors.Unwrap(err) == nil {
		t.Error("the cause is missing")
	}
}

func TestConnectLimitIsAskedAtEachConnection(t *testing.T) {
	srv, calls := target(t, false)
	limit := time.Nanosecond
	cl := clientFor(t, Options{Connect: func() time.Duration { return limit }}, ProxyDirect)
	if _, err := get(t, cl, srv.URL); err == nil || err.Kind != apierror.Timeout || !strings.Contains(err.Msg, `"connect" of 1ns`) {
		t.Errorf("%v", err)
	}
	limit = time.Minute
	if _, err := get(t, cl, srv.URL); err != nil || calls() != 1 {
		t.Errorf("%v after %d calls", err, calls())
	}
}
