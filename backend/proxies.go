package backend

import (
	"cmp"
	"net/http"
	"net/url"

	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/transport"
)

// proxyFor returns the proxy of calls to a provider: the account's own, else the provider's, else the one of all. "" is the
// system's. Every call that leaves Patchbay asks here: sign-in, renewal, allowances and traffic.
func proxyFor(cfg *config.Config, id, own string) string {
	switch p := cmp.Or(own, cfg.Providers[id].Proxy, cfg.Network.Proxy); p {
	case "system":
		return ""
	case "none":
		return transport.ProxyDirect
	default:
		return p
	}
}

// client returns the client for calls to a provider, with the proxy of the account if it has one. A proxy that cannot be
// used gives one that fails: no call goes around it.
func (b *Backend) client(id, own string) *http.Client {
	cfg := b.settings.Current()
	proxy := proxyFor(cfg, id, own)
	if through := systemProxy(proxy); through != "" && through != transport.ProxyDirect && loopsBack(through, ownAddresses(cfg)) {
		return &http.Client{Transport: failing{apierror.New(apierror.Transport,
			"the proxy is Patchbay itself, so calls would go round in circles: give the address of the proxy, or direct; nothing was sent")}}
	}
	c, err := b.clients.Client(proxy)
	if err != nil {
		return &http.Client{Transport: failing{err}}
	}
	return c
}

// systemProxy returns the address of a proxy; for the system's it asks the environment.
func systemProxy(proxy string) string {
	if proxy != "" {
		return proxy
	}
	u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: "example.com"}})
	if err != nil || u == nil {
		return "" // a broken variable fails the call itself
	}
	return u.String()
}
