// Package transport makes the HTTP clients that talk to services, and holds what every call to a service needs: the
// account's proxy, limits of time and size, transport failures as *apierror.Error, and texts without secrets.
//
// It knows no provider and no wire format, and decides nothing about repeating a call.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"patchbay/backend/apierror"
)

// Limits of building up a connection.
const (
	ConnectLimit = 10 * time.Second
	TLSLimit     = 10 * time.Second
)

const (
	maxRedirects = 5
	idlePerHost  = 32 // a tool loop with sub-agents keeps a dozen calls to one host open
)

// Options say what all clients have in common. The zero value is good.
type Options struct {
	Version string // of Patchbay, for the User-Agent
	// Environment tells the proxy that this computer is set to use for a request; nil is System.
	Environment func(*http.Request) (*url.URL, error)
	TLS         *tls.Config // extra certificate authorities
	// Connect tells the limit of the moment on building up a connection; nil is ConnectLimit. Handshake replaces TLSLimit.
	Connect   func() time.Duration
	Handshake time.Duration
}

// dial connects within the limit, which an error names.
func (o *Options) dial(dialer net.Dialer) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialer := dialer // calls side by side have a limit each
		dialer.Timeout = o.Connect()
		conn, err := dialer.DialContext(ctx, network, addr)
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && ctx.Err() == nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: &slowDial{dialer.Timeout}}
		}
		return conn, err
	}
}

// slowDial is a connection that was not there within its limit. It is a net.Error.
type slowDial struct{ limit time.Duration }

func (e *slowDial) Error() string   { return "no connection within " + e.limit.String() }
func (e *slowDial) Timeout() bool   { return true }
func (e *slowDial) Temporary() bool { return true }

// Clients makes and keeps one client per proxy, so that accounts share connections. It is safe for concurrent use.
type Clients struct {
	opts Options

	mu      sync.Mutex // guards byProxy
	byProxy map[string]*http.Client
}

// NewClients returns an empty set of clients.
func NewClients(o Options) *Clients {
	if o.Environment == nil {
		o.Environment = System
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Connect == nil {
		o.Connect = func() time.Duration { return ConnectLimit }
	}
	if o.Handshake == 0 {
		o.Handshake = TLSLimit
	}
	return &Clients{opts: o, byProxy: map[string]*http.Client{}}
}

// Client returns the client for a proxy: "" takes this computer's, ProxyDirect none, a URL that one and no other. A
// proxy that cannot be used is an error here or on the first call; nothing ever goes past it. The error is
// *apierror.Error and holds no password.
func (c *Clients) Client(proxy string) (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl, ok := c.byProxy[proxy]; ok {
		return cl, nil
	}
	next, err := c.transport(proxy)
	if err != nil {
		return nil, err
	}
	cl := &http.Client{
		Transport:     agent{next: next, name: "Patchbay/" + c.opts.Version, media: &mediaDialer{opts: c.opts, proxy: proxy}},
		CheckRedirect: checkRedirect,
	}
	c.byProxy[proxy] = cl
	return cl, nil
}

// CloseIdle closes connections that no call uses.
func (c *Clients) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.byProxy {
		cl.CloseIdleConnections()
	}
}

func (c *Clients) transport(proxy string) (*http.Transport, error) {
	t := c.direct()
	if proxy == ProxyDirect {
		return t, nil
	}
	if proxy == "" {
		t.Proxy = pastLocal(c.opts.Environment)
		return t, nil
	}
	u, err := parseProxy(proxy)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(u.Scheme, "socks5") {
		t.DialContext = socksDial(u, t.DialContext, c.opts.Connect)
		return t, nil
	}
	t.Proxy = http.ProxyURL(u)
	return t, nil
}

func (c *Clients) direct() *http.Transport {
	return &http.Transport{
		DialContext:           c.opts.dial(net.Dialer{KeepAlive: 30 * time.Second}),
		TLSClientConfig:       c.opts.TLS.Clone(),
		TLSHandshakeTimeout:   c.opts.Handshake,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          8 * idlePerHost,
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		// Small buffers: each stream has its own connection for minutes. A long prompt is written past the buffer at once.
		WriteBufferSize: 1 << 10,
		ReadBufferSize:  1 << 10,
		// a connection that died while the machine slept must not cost a call its first-event limit
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// agent names Patchbay to the service unless the request names another program.
type agent struct {
	next  http.RoundTripper
	name  string
	media *mediaDialer // the same way, for files that a request names
}

// RoundTrip sends req.
func (a agent) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, ok := req.Header["User-Agent"]; !ok {
		c := *req
		c.Header = req.Header.Clone()
		if c.Header == nil {
			c.Header = http.Header{}
		}
		a.sign(c.Header)
		req = &c
	}
	return a.next.RoundTrip(req)
}

// sign names Patchbay in a header that belongs to the caller. A request that was signed needs no copy.
func (a agent) sign(h http.Header) {
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{a.name}
	}
}

// CloseIdleConnections closes connections that no call uses.
func (a agent) CloseIdleConnections() {
	if t, ok := a.next.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// checkRedirect follows a redirect only where the request stays what it was and its credentials stay with their host.
// Otherwise the redirect itself is the answer.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects,
		req.Method != first.Method, // 301 and 302 make a GET of a POST
		req.URL.Hostname() != first.URL.Hostname(),
		req.URL.Scheme != first.URL.Scheme && req.URL.Scheme != "https",
		req.URL.Scheme == first.URL.Scheme && req.URL.Port() != first.URL.Port():
		return http.ErrUseLastResponse
	}
	return nil
}

// Redirected returns the error for an answer that points elsewhere, nil for any other.
func Redirected(resp *http.Response) *apierror.Error {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return nil
	}
	e := apierror.New(apierror.Transport, "the service answered with a redirect; check its base URL")
	if loc, err := resp.Location(); err == nil && loc.Host != "" {
		e.Msg = "the service answered with a redirect to " + loc.Scheme + "://" + loc.Host + "; check its base URL"
	}
	e.Upstream.Status = resp.StatusCode
	return e
}
