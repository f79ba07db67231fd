package transport

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"patchbay/backend/apierror"
)

// BaseURL normalises the address of a service as people paste it: white space, a missing scheme, a query, trailing
// slashes and the paths of known endpoints at its end ("/chat/completions") are mended. The error is *apierror.Error.
func BaseURL(raw string, endpoints ...string) (string, error) {
	s := strings.TrimSpace(raw)
	if s == "" {
		return "", badBase("it is empty")
	}
	if !strings.Contains(s, "://") {
		host, _, _ := strings.Cut(s, "/")
		if Local(hostName(host)) {
			s = "http://" + s
		} else {
			s = "https://" + s
		}
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return "", badBase("it is not a URL like https://host/v1")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", badBase("it must start with http:// or https://")
	case u.User != nil:
		return "", badBase("it must not hold a user name or password")
	}
	if u.Hostname() == "0.0.0.0" { // what a server listens on is no address to call
		u.Host = strings.Replace(u.Host, "0.0.0.0", "127.0.0.1", 1)
	}
	path := strings.TrimRight(u.Path, "/")
	for _, e := range endpoints {
		if rest, ok := strings.CutSuffix(path, e); ok {
			path = strings.TrimRight(rest, "/")
			break
		}
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + path, nil
}

func badBase(why string) error {
	e := apierror.New(apierror.Transport, "the base URL of this service cannot be used: %s", why)
	e.Param = "base_url"
	return e
}

// HostOf returns the host of a URL without its port.
func HostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// OriginOf returns scheme and host of a URL, "" if it has none.
func OriginOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// SetAuth puts a key into a header. Without a key it sets nothing: "Bearer " alone is refused by some servers.
func SetAuth(h http.Header, name, prefix, key string) {
	if key != "" {
		h.Set(name, prefix+key)
	}
}

// notStatic are headers that a setting must not replace: they belong to the connection.
var notStatic = []string{"Host", "Content-Length", "Connection", "Transfer-Encoding", "Accept-Encoding"}

// SetStatic puts the settings that start with prefix into the header, their rest being the name, and returns those
// values that look like credentials.
func SetStatic(h http.Header, settings map[string]string, prefix string) (secrets []string) {
	for key, value := range settings {
		name, ok := strings.CutPrefix(key, prefix)
		if !ok || name == "" || strings.ContainsAny(name+value, "\r\n") {
			continue
		}
		name = http.CanonicalHeaderKey(name)
		if slices.Contains(notStatic, name) {
			continue
		}
		h.Set(name, value)
		low := strings.ToLower(name)
		for _, word := range [...]string{"auth", "key", "token", "secret", "cookie"} {
			if strings.Contains(low, word) {
				secrets = append(secrets, value)
				break
			}
		}
	}
	return secrets
}

// Forward copies the named headers of a client. Nothing else of a client's headers ever reaches a service.
func Forward(h http.Header, client map[string][]string, names ...string) {
	for _, name := range names {
		if v := client[http.CanonicalHeaderKey(name)]; len(v) > 0 {
			h[http.CanonicalHeaderKey(name)] = slices.Clone(v)
		}
	}
}
