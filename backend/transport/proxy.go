package transport

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"patchbay/backend/apierror"
)

// ProxyDirect as an account's proxy means: none, whatever the environment says.
const ProxyDirect = "direct"

// CheckProxy reports what is wrong with an account's proxy setting, nil if it can be used.
func CheckProxy(proxy string) error {
	if proxy == "" || proxy == ProxyDirect {
		return nil
	}
	_, err := parseProxy(proxy)
	return err
}

// pastLocal asks the environment for a proxy, except for targets that it cannot reach.
func pastLocal(environment func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		if Local(r.URL.Hostname()) {
			return nil, nil
		}
		return environment(r)
	}
}

func parseProxy(proxy string) (*url.URL, error) {
	u, err := url.Parse(proxy)
	if err != nil || u.Hostname() == "" { // the cause would quote the password
		return nil, badProxy("it is not a URL like http://host:8080 or socks5://user:password@host:1080")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, badProxy("it must start with http://, https:// or socks5://")
	}
	return u, nil
}

func badProxy(why string) error {
	return apierror.New(apierror.Transport, "the proxy of this account cannot be used: %s; nothing was sent", why)
}

// Local reports whether a host name or address is this machine or one of the private network: such a target is never
// reached through the environment's proxy.
func Local(host string) bool {
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || !strings.Contains(host, ".") { // localhost, the name of a machine or a container
		return true
	}
	for _, end := range [...]string{".localhost", ".local", ".lan", ".internal", ".home.arpa"} {
		if strings.HasSuffix(host, end) {
			return true
		}
	}
	return false
}
