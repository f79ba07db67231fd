package transport

import (
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/backend/canon"
)

// System tells the proxy that this computer is set to use for a request: the one of the environment (HTTP_PROXY, HTTPS_PROXY,
// NO_PROXY) if it names any, else that of the settings of Windows or macOS. Scripts for automatic configuration are not run:
// where the settings have one and nothing else, there is no proxy.
func System(r *http.Request) (*url.URL, error) {
	if inEnvironment() {
		return http.ProxyFromEnvironment(r)
	}
	return settings.now().proxy(r.URL), nil
}

// inEnvironment reports whether the environment names a proxy. It is read once, as net/http does.
var inEnvironment = sync.OnceValue(func() bool {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if os.Getenv(name) != "" || os.Getenv(strings.ToLower(name)) != "" {
			return true
		}
	}
	return false
})

// osProxies are the settings of an operating system.
type osProxies struct {
	http, https, socks *url.URL // by the scheme of the service; nil = none
	past               []string // patterns of hosts that are reached without a proxy
	pastPlain          bool     // the same for names without a dot
}

// proxy returns the proxy for a service, nil for none.
func (p *osProxies) proxy(to *url.URL) *url.URL {
	host := strings.ToLower(to.Hostname())
	if p.pastPlain && !strings.Contains(host, ".") {
		return nil
	}
	for _, pattern := range p.past {
		if pastHost(pattern, host) {
			return nil
		}
	}
	own := p.https
	if to.Scheme == "http" {
		own = p.http
	}
	if own == nil {
		own = p.socks
	}
	return own
}

// pastHost compares a host with an entry of a list of exceptions: a name or address in which * stands for any text, a domain
// with a dot in front, or a network like 169.254/16. A scheme or port in the entry is not looked at.
func pastHost(pattern, host string) bool {
	pattern = strings.ToLower(strings.TrimSpace(pattern))
	if _, behind, ok := strings.Cut(pattern, "://"); ok {
		pattern = behind
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if network, ok := shortNetwork(pattern); ok {
			return network.Contains(ip.Unmap())
		}
	}
	if i := strings.LastIndexByte(pattern, ':'); i > 0 && strings.Count(pattern, ":") == 1 {
		pattern = pattern[:i]
	}
	if domain, ok := strings.CutPrefix(pattern, "."); ok {
		return domain != "" && (host == domain || strings.HasSuffix(host, pattern))
	}
	return pattern != "" && canon.Matches(pattern, host)
}

// shortNetwork reads 10.0.0.0/8, fe80::/10, and 169.254/16 as macOS writes it.
func shortNetwork(text string) (netip.Prefix, bool) {
	addr, bits, ok := strings.Cut(text, "/")
	if !ok {
		return netip.Prefix{}, false
	}
	for strings.Count(addr, ".") < 3 && !strings.Contains(addr, ":") {
		addr += ".0"
	}
	p, err := netip.ParsePrefix(addr + "/" + bits)
	return p, err == nil
}

// osProxyURL makes the address of a proxy of what an operating system has: mostly a host and a port.
func osProxyURL(scheme, address string) *url.URL {
	address = strings.TrimSpace(address)
	if address == "" {
		return nil
	}
	if !strings.Contains(address, "://") {
		address = scheme + "://" + address
	}
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil || u.Hostname() == "" {
		return nil
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u
	case "socks", "socks4":
		u.Scheme = "socks5" // what the settings call SOCKS is version 5 nowadays
		return u
	default:
		return nil
	}
}

// settingsFresh is how long the settings of the operating system are taken for known. A person who changes them expects to
// see that soon; asking costs a program's start on macOS.
const settingsFresh = 15 * time.Second

// settings are those of this computer.
var settings = osSettings{read: readSystemProxies}

// osSettings keeps the settings of an operating system for a moment.
type osSettings struct {
	read  func() osProxies
	first sync.Once
	mu    sync.Mutex // held by the one who reads again; the others go on with what was there
	last  atomic.Pointer[osProxies]
	until atomic.Int64 // Unix nanoseconds
}

func (s *osSettings) now() *osProxies {
	s.first.Do(s.look)
	if time.Now().UnixNano() >= s.until.Load() && s.mu.TryLock() {
		if time.Now().UnixNano() >= s.until.Load() {
			s.look()
		}
		s.mu.Unlock()
	}
	return s.last.Load()
}

func (s *osSettings) look() {
	p := s.read()
	s.last.Store(&p)
	s.until.Store(time.Now().Add(settingsFresh).UnixNano())
}
