package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// mediaDialer makes connections for files that a request names, by the way of one account.
type mediaDialer struct {
	opts  Options
	proxy string // as in Clients.Client
	// lookup resolves names for targets behind a proxy; nil is the system's resolver.
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dial   dialFunc // connects in tests; nil is the network
}

// transport returns a transport for one request. Its connection is looked at where it is made: an address that a name
// stood for a moment ago does not count. Behind a proxy the name is resolved here and the proxy gets the address, for the
// proxy may sit on this machine; only the hosts that the person allowed go to it by name.
func (m *mediaDialer) transport(req *http.Request, allowed bool) (*http.Transport, error) {
	proxy, err := m.proxyFor(req)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		TLSClientConfig: m.opts.TLS.Clone(), TLSHandshakeTimeout: m.opts.Handshake, DisableKeepAlives: true,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
	if proxy == nil {
		dialer := net.Dialer{}
		if !allowed {
			dialer.ControlContext = refuseInner
		}
		t.DialContext = m.opts.dial(dialer)
		if m.dial != nil {
			t.DialContext = m.dial
		}
		return t, nil
	}
	dial := m.opts.dial(net.Dialer{})
	tunnel := connectDial(proxy, dial, m.opts)
	if strings.HasPrefix(proxy.Scheme, "socks5") {
		tunnel = socksDial(proxy, dial, m.opts.Connect)
	}
	t.DialContext = tunnel
	if !allowed {
		t.DialContext = m.pinned(tunnel)
	}
	return t, nil
}

// proxyFor returns the proxy of a request, nil for none.
func (m *mediaDialer) proxyFor(req *http.Request) (*url.URL, error) {
	switch m.proxy {
	case ProxyDirect:
		return nil, nil
	case "":
		u, err := pastLocal(m.opts.Environment)(req)
		if err != nil || u == nil {
			return nil, err
		}
		return parseProxy(u.String())
	default:
		return parseProxy(m.proxy)
	}
}

// refuseInner looks at the address of a connection before it is made.
func refuseInner(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || inner(ap.Addr()) {
		return errMediaLocal
	}
	return nil
}

// pinned resolves a name and lets next connect to the address.
func (m *mediaDialer) pinned(next dialFunc) dialFunc {
	lookup := m.lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		ips, err := lookup(ctx, "ip", host)
		if err != nil {
			return nil, err
		}
		if len(ips) == 0 {
			return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
		}
		ip := ips[0]
		for _, one := range ips {
			if inner(one) {
				return nil, errMediaLocal
			}
			if one.Unmap().Is4() && !ip.Unmap().Is4() { // a proxy reaches these more often
				ip = one
			}
		}
		return next(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
	}
}

// connectDial connects through an HTTP proxy with the method CONNECT, also to targets without TLS: an http.Transport
// would give the proxy the name.
func connectDial(proxy *url.URL, dial dialFunc, o Options) dialFunc {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, net.JoinHostPort(proxy.Hostname(), port))
		if err != nil {
			return nil, &net.OpError{Op: "proxyconnect", Net: network, Err: err}
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(o.Connect())) // cannot fail on an open connection
		if proxy.Scheme == "https" {
			conf := o.TLS.Clone()
			if conf == nil {
				conf = &tls.Config{}
			}
			conf.ServerName = proxy.Hostname()
			conn = tls.Client(conn, conf)
		}
		err = connectHello(conn, proxy.User, addr)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			conn.Close()
			return nil, &net.OpError{Op: "proxyconnect", Net: network, Err: err}
		}
		conn.SetDeadline(time.Time{})
		return conn, nil
	}
}

// connectHello asks an HTTP proxy for a connection (RFC 9110, 9.3.6).
func connectHello(conn net.Conn, user *url.Userinfo, addr string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", addr, addr)
	if user != nil {
		password, _ := user.Password()
		fmt.Fprintf(&b, "Proxy-Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	b.WriteString("\r\n")
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the proxy answers %d", resp.StatusCode)
	case r.Buffered() > 0: // whoever connects speaks first, with TLS and without
		return errors.New("the proxy speaks out of turn")
	}
	return nil
}
