package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

const pngHead = "\x89PNG\r\n\x1a\n0123"

// gallery is a server of files by path.
func gallery(t *testing.T, tls bool) *httptest.Server {
	t.Helper()
	files := map[string][2]string{
		"/a.png": {"image/png", pngHead}, "/b.jpg": {"IMAGE/JPEG; q=1", "jpeg bytes"}, "/doc": {"application/pdf", "%PDF-1.7"},
		"/vague": {"application/octet-stream", pngHead}, "/untyped.pdf": {"binary/octet-stream", "%PDF-1.7"},
		"/page": {"text/html", "<html>"}, "/vague-text": {"application/octet-stream", "hello"}, "/empty": {"image/png", ""},
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization"} {
			if r.Header.Get(name) != "" {
				t.Errorf("%s went out", name)
			}
		}
		switch p := r.URL.Path; {
		case files[p][0] != "":
			w.Header().Set("Content-Type", files[p][0])
			io.WriteString(w, files[p][1])
		case p == "/to":
			http.Redirect(w, r, r.URL.Query().Get("u"), http.StatusFound)
		case p == "/big":
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Length", "20971521")
		case p == "/endless":
			w.Header().Set("Content-Type", "image/png")
			for block := bytes.Repeat([]byte("x"), 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		default:
			http.NotFound(w, r)
		}
	})
	srv := httptest.NewUnstartedServer(h)
	if tls {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func hostOfServer(srv *httptest.Server) string { return srv.Listener.Addr().String() }

func fetchOne(t *testing.T, cl *http.Client, address string, typ canon.PartType, allow ...string) (canon.Media, *apierror.Error) {
	t.Helper()
	got, err := FetchMedia(t.Context(), cl, []canon.MediaURL{{URL: address, Type: typ}}, allow)
	if err != nil {
		e := apierror.From(err)
		if u, perr := url.Parse(address); perr == nil && u.Hostname() != "" && !strings.Contains(e.Msg, u.Hostname()) {
			t.Errorf("the message does not name the host: %s", e.Msg)
		}
		if all := e.Error(); strings.Contains(all, "canary") {
			t.Errorf("the address leaks: %s", all)
		}
		return canon.Media{}, e
	}
	return got[address], nil
}

func TestMediaOfAllowedHosts(t *testing.T) {
	for _, tls := range []bool{false, true} {
		srv := gallery(t, tls)
		o := Options{}
		if tls {
			o.TLS = trusting(srv)
		}
		cl := clientFor(t, o, "")
		for _, c := range []struct {
			path string
			typ  canon.PartType
			mime string
		}{
			{"/a.png", canon.PartImage, "image/png"},
			{"/b.jpg?secret=canary", canon.PartImage, "image/jpeg"},
			{"/vague", canon.PartImage, "image/png"},
			{"/doc", canon.PartDocument, "application/pdf"},
			{"/untyped.pdf", canon.PartDocument, "application/pdf"},
			{"/to?u=/a.png", canon.PartImage, "image/png"},
		} {
			for _, allow := range []string{"127.0.0.1", hostOfServer(srv)} {
				m, e := fetchOne(t, cl, srv.URL+c.path, c.typ, allow)
				if e != nil || m.MIME != c.mime || len(m.Data) == 0 {
					t.Errorf("%s with %s: %+v %v", c.path, allow, m, e)
				}
			}
		}
	}
}

func TestMediaThatIsRefused(t *testing.T) {
	srv := gallery(t, false)
	host := hostOfServer(srv)
	hop := func(to string) string { return srv.URL + "/to?u=" + url.QueryEscape(to) }
	other := gallery(t, false)
	for name, c := range map[string]struct {
		address string
		typ     canon.PartType
		says    string
	}{
		"a web page":               {srv.URL + "/page?canary", canon.PartImage, "text/html"},
		"no picture after all":     {srv.URL + "/vague-text", canon.PartImage, "text/plain"},
		"a PDF for a picture":      {srv.URL + "/doc", canon.PartImage, "no picture"},
		"a picture for a PDF":      {srv.URL + "/a.png", canon.PartDocument, "no PDF"},
		"nothing":                  {srv.URL + "/empty", canon.PartImage, "empty"},
		"not there":                {srv.URL + "/none?canary", canon.PartImage, "404"},
		"too large, as announced":  {srv.URL + "/big", canon.PartImage, "20 MiB"},
		"too large, as it came":    {srv.URL + "/endless", canon.PartImage, "20 MiB"},
		"a file":                   {"file:///etc/passwd", canon.PartImage, "no valid address"},
		"another scheme":           {"ftp://example.com/canary", canon.PartImage, "http and https"},
		"a password":               {"http://ann:canary@" + host + "/a.png", canon.PartImage, "password"},
		"loopback":                 {other.URL + "/a.png", canon.PartImage, "media.allowed_hosts"},
		"loopback by name":         {strings.Replace(other.URL, "127.0.0.1", "localhost", 1) + "/a.png", canon.PartImage, "media.allowed_hosts"},
		"loopback in other digits": {"http://[::ffff:127.0.0.1]:1/a.png", canon.PartImage, "media.allowed_hosts"},
		"the private network":      {"http://192.168.1.1/a.png", canon.PartImage, "media.allowed_hosts"},
		"metadata of a cloud":      {"http://169.254.169.254/latest/canary", canon.PartImage, "media.allowed_hosts"},
		"a way in by redirect":     {hop(other.URL + "/a.png?canary"), canon.PartImage, "media.allowed_hosts"},
		"a file by redirect":       {hop("file:///etc/passwd"), canon.PartImage, "http and https"},
		"four redirects":           {hop(hop(hop(hop(srv.URL + "/a.png")))), canon.PartImage, "too often"},
		"an unknown name":          {"http://nowhere.invalid/canary.png", canon.PartImage, "cannot be found"},
	} {
		t.Run(name, func(t *testing.T) {
			_, e := fetchOne(t, clientFor(t, Options{}, ""), c.address, c.typ, host)
			if e == nil || e.Kind != apierror.InvalidRequest || !strings.Contains(e.Msg, c.says) {
				t.Errorf("%v", e)
			}
		})
	}
	if m, e := fetchOne(t, clientFor(t, Options{}, ""), hop(hop(hop(srv.URL+"/a.png"))), canon.PartImage, host); e != nil || m.MIME != "image/png" {
		t.Errorf("three redirects: %v", e)
	}
}

func TestInnerAddresses(t *testing.T) {
	for ip, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "10.1.2.3": true, "172.31.0.1": true, "192.168.0.1": true, "169.254.169.254": true, "0.0.0.0": true,
		"0.1.2.3": true, "100.100.100.200": true, "224.0.0.1": true, "255.255.255.255": true, "::": true, "::1": true, "fe80::1%eth0": true,
		"fd00:ec2::254": true, "ff02::1": true, "::ffff:10.0.0.1": true, "64:ff9b::7f00:1": true, "64:ff9b:1::1": true, "2002:7f00:1::": true, "::127.0.0.1": true,
		"fec0::1": true,
		"8.8.8.8": false, "172.32.0.1": false, "100.128.0.1": false, "198.18.0.1": false, "2606:4700::1": false, "64:ff9b::808:808": false, "2002:808:808::": false,
		"::ffff:8.8.8.8": false,
	} {
		if got := inner(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
}

// bend is an HTTP proxy that connects everything to one place.
type bend struct {
	to   string
	mu   sync.Mutex // guards seen
	seen []string
}

func (b *bend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.seen = append(b.seen, r.Method+" "+r.Host)
	b.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != "Basic YW5uOnB3" { // ann:pw
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	up, err := net.Dial("tcp", b.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		up.Close()
		return
	}
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	join(conn, up)
}

func (b *bend) targets() []string { b.mu.Lock(); defer b.mu.Unlock(); return b.seen }

// names makes a client resolve all names to ips, for media behind a proxy.
func names(cl *http.Client, ips ...string) *http.Client {
	cl.Transport.(agent).media.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		var out []netip.Addr
		for _, s := range ips {
			out = append(out, netip.MustParseAddr(s))
		}
		return out, nil
	}
	return cl
}

func TestMediaGoesThroughTheProxyToTheAddressThatWasLookedAt(t *testing.T) {
	for _, tls := range []bool{false, true} {
		srv := gallery(t, false)
		b := &bend{to: hostOfServer(srv)}
		proxy := httptest.NewUnstartedServer(b)
		o := Options{}
		if tls {
			proxy.StartTLS()
			o.TLS = trusting(proxy)
		} else {
			proxy.Start()
		}
		t.Cleanup(proxy.Close)
		address := strings.Replace(proxy.URL, "://", "://ann:pw@", 1)

		m, e := fetchOne(t, names(clientFor(t, o, address), "2606:4700::1", "8.8.8.8"), "http://pictures.example/a.png", canon.PartImage)
		if e != nil || m.MIME != "image/png" || b.targets()[0] != "CONNECT 8.8.8.8:80" {
			t.Fatalf("%v %v", b.targets(), e)
		}
		// one bad address of several is one too many
		_, e = fetchOne(t, names(clientFor(t, o, address), "8.8.8.8", "10.0.0.1"), "http://pictures.example/a.png", canon.PartImage)
		if e == nil || len(b.targets()) != 1 || !strings.Contains(e.Msg, "media.allowed_hosts") {
			t.Errorf("%v %v", b.targets(), e)
		}
		// what the person allowed goes by name
		_, e = fetchOne(t, names(clientFor(t, o, address)), "http://pictures.example/a.png", canon.PartImage, "pictures.example")
		if e != nil || b.targets()[1] != "CONNECT pictures.example:80" {
			t.Errorf("%v %v", b.targets(), e)
		}
		_, e = fetchOne(t, names(clientFor(t, o, address)), "http://pictures.example/a.png", canon.PartImage)
		if e == nil || !strings.Contains(e.Msg, "cannot be found") {
			t.Errorf("%v", e)
		}
		wrong := strings.Replace(proxy.URL, "://", "://ann:canary@", 1)
		_, e = fetchOne(t, names(clientFor(t, o, wrong), "8.8.8.8"), "http://pictures.example/a.png", canon.PartImage)
		if e == nil || e.Kind != apierror.InvalidRequest || !strings.Contains(e.Msg, "proxy") {
			t.Errorf("%v", e)
		}
	}
}

func TestMediaThroughSOCKS(t *testing.T) {
	srv := gallery(t, false)
	addr, used := socksProxy(t, "ann", "pw")
	cl := clientFor(t, Options{}, "socks5://ann:pw@"+addr)
	if m, e := fetchOne(t, cl, srv.URL+"/a.png", canon.PartImage, "127.0.0.1"); e != nil || m.MIME != "image/png" || !used() {
		t.Errorf("%v, proxy used: %v", e, used())
	}
	if _, e := fetchOne(t, cl, srv.URL+"/a.png", canon.PartImage); e == nil || !strings.Contains(e.Msg, "media.allowed_hosts") {
		t.Errorf("%v", e)
	}
}

func TestMediaThroughTheProxyOfTheEnvironment(t *testing.T) {
	srv := gallery(t, false)
	b := &bend{to: hostOfServer(srv)}
	proxy := httptest.NewServer(b)
	t.Cleanup(proxy.Close)
	env := func(*http.Request) (*url.URL, error) {
		return url.Parse(strings.Replace(proxy.URL, "://", "://ann:pw@", 1))
	}
	if m, e := fetchOne(t, names(clientFor(t, Options{Environment: env}, ""), "8.8.8.8"), "http://pictures.example/a.png", canon.PartImage); e != nil || m.MIME != "image/png" {
		t.Errorf("%v", e)
	}
	before := len(b.targets())
	if _, e := fetchOne(t, clientFor(t, Options{Environment: env}, ProxyDirect), srv.URL+"/a.png", canon.PartImage, "127.0.0.1"); e != nil || len(b.targets()) != before {
		t.Errorf("%v %v", b.targets(), e)
	}
}

func TestMediaTogether(t *testing.T) {
	srv := gallery(t, false)
	cl := clientFor(t, Options{}, "")
	list := []canon.MediaURL{{URL: srv.URL + "/a.png", Type: canon.PartImage}, {URL: srv.URL + "/b.jpg", Type: canon.PartImage}, {URL: srv.URL + "/doc", Type: canon.PartDocument}}
	got, err := FetchMedia(t.Context(), cl, list, []string{"127.0.0.1"})
	if err != nil || len(got) != 3 {
		t.Errorf("%v %v", got, err)
	}
	list = append(list, canon.MediaURL{URL: srv.URL + "/none", Type: canon.PartImage})
	if _, err := FetchMedia(t.Context(), cl, list, []string{"127.0.0.1"}); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Errorf("%v", err)
	}
	if got, err := FetchMedia(t.Context(), &http.Client{}, nil, nil); got != nil || err != nil {
		t.Errorf("%v %v", got, err)
	}
	if _, err := FetchMedia(t.Context(), &http.Client{}, list, nil); err == nil {
		t.Error("a client that guards nothing was used")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FetchMedia(ctx, cl, list, nil); apierror.KindOf(err) != apierror.Canceled {
		t.Errorf("%v", err)
	}
}

func TestMediaThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		go io.Copy(io.Discard, there) // ends with the pipe
		cl := &http.Client{Transport: agent{name: "test", media: &mediaDialer{
			opts: Options{Environment: func(*http.Request) (*url.URL, error) { return nil, nil }}, proxy: ProxyDirect,
			dial: func(context.Context, string, string) (net.Conn, error) { return here, nil },
		}}}
		begun := time.Now()
		_, err := FetchMedia(t.Context(), cl, []canon.MediaURL{{URL: "http://slow.example/a.png", Type: canon.PartImage}}, nil)
		if e := apierror.From(err); e == nil || e.Kind != apierror.InvalidRequest || !strings.Contains(e.Msg, "10s") || time.Since(begun) != MediaLimit {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}
