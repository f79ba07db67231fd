package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Guard says which hosts and pages may call.
type Guard struct {
	LAN            bool     // any Host is let through: the listener is open to the network by the person's own choice
	AllowedHosts   []string // besides localhost and loopback addresses
	AllowedOrigins []string // besides the usual ones of local apps
}

// hostAllowed refuses a Host that is not this machine's loopback: a page elsewhere can point its own name at 127.0.0.1
// (DNS rebinding), but it cannot make the browser send another Host.
func (g Guard) hostAllowed(host string) bool {
	if g.LAN {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if name == "localhost" || slices.ContainsFunc(g.AllowedHosts, func(a string) bool { return strings.EqualFold(a, name) || strings.EqualFold(a, host) }) {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback()
}

// schemes of pages that run inside local apps; Ollama lets the same ones through by default.
var localSchemes = []string{"app", "file", "tauri", "vscode-webview", "vscode-file", "chrome-extension", "moz-extension", "safari-web-extension"}

// originAllowed says whether a page of that origin may call the model endpoints.
func (g Guard) originAllowed(origin string) bool {
	if slices.Contains(g.AllowedOrigins, origin) || slices.Contains(g.AllowedOrigins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if slices.Contains(localSchemes, u.Scheme) {
		return true
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	host := u.Hostname()
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// cors answers a preflight and marks answers to pages that may read them. It reports true when the request is done.
func (g Guard) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		return false
	}
	w.Header().Add("Vary", "Origin")
	if !g.originAllowed(origin) {
		http.Error(w, "this page may not call Patchbay; add its origin to server.allowed_origins if it should", http.StatusForbidden)
		return true
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Patchbay-Provider, X-Patchbay-Account, X-Patchbay-Model, X-Patchbay-Attempts, X-Patchbay-Request-Id, X-Patchbay-Dropped, Retry-After")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// presentedKey returns the client key of a request and whether it came in the query. The first one present wins, an empty
// bearer counts as absent.
func presentedKey(r *http.Request) string {
	if auth := r.Header.Get("Authorization"); auth != "" {
		scheme, key, _ := strings.Cut(auth, " ")
		if key = strings.TrimSpace(key); strings.EqualFold(scheme, "Bearer") && key != "" {
			return key
		}
	}
	for _, name := range []string{"x-api-key", "x-goog-api-key", "api-key"} {
		if key := strings.TrimSpace(r.Header.Get(name)); key != "" {
			return key
		}
	}
	if r.URL.RawQuery == "" {
		return ""
	}
	return r.URL.Query().Get("key")
}

// fromOwnPage reports whether the page of this very server asks, as far as a browser tells.
func fromOwnPage(r *http.Request) bool {
	o := r.Header.Get("Origin")
	return o == "" || o == "http://"+r.Host || o == "https://"+r.Host
}

// fromLoopback reports whether the peer is this machine.
func fromLoopback(r *http.Request) bool {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}
