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

// HiddenLogin stands for the user and password of a proxy where its address is shown, or kept in the open.
const HiddenLogin = "***"

// HidesLogin reports that a proxy's address is written without the user and password that belong to it.
func HidesLogin(proxy string) bool {
	u, err := url.Parse(proxy)
	return err == nil && u.User.Username() == HiddenLogin
}

// HideLogin returns a proxy's address as it may be shown, and the whole of it where it has a user and password. An address
// that hides them means those of kept; without any there it stays as it is, and whole is "".
func HideLogin(proxy, kept string) (shown, whole string, err error) {
	if proxy == "" || proxy == ProxyDirect || proxy == "none" || proxy == "system" {
		return proxy, "", nil
	}
	u, err := parseProxy(proxy)
	if err != nil {
		return "", "", err
	}
	if u.User == nil {
		return proxy, "", nil
	}
	user := u.User
	if user.Username() == HiddenLogin {
		user = nil
		if old, err := url.Parse(kept); err == nil {
			user = old.User
		}
	}
	u.User = nil
	bare := u.String()
	shown = strings.Replace(bare, "://", "://"+HiddenLogin+"@", 1)
	if user == nil {
		return shown, "", nil
	}
	u.User = user
	return shown, u.String(), nil
}

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
	return apierror.New(apierror.Transport, "the proxy cannot be used: %s; nothing was sent", why)
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
