package backend

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
)

const (
	mostExits = 8                // services that are tried at once
	exitTime  = 20 * time.Second // for all of them
)

// exitTo is a service that is tried.
type exitTo struct {
	provider string
	url      *url.URL
}

// TestProxy implements api.Service.
func (b *Backend) TestProxy(ctx context.Context, q api.ProxyTest) (api.ProxyTestView, error) {
	id, base, kept := newID(q.Provider), "", ""
	if q.Account != "" {
		st, in, err := b.accounts.Inside(ctx, q.Account)
		if err != nil {
			e := *apierror.From(explain(err))
			if e.Kind == apierror.InvalidRequest {
				e.Param = "account"
			}
			return api.ProxyTestView{}, &e
		}
		id, base, kept = st.Provider, in.Settings[provider.SettingBaseURL], in.Proxy
	}
	if id != "" {
		if _, ok := b.offered(id); !ok {
			return api.ProxyTestView{}, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", id)
		}
	}
	own, err := b.proxyToTest(q, id, kept)
	if err != nil {
		return api.ProxyTestView{}, err
	}
	cfg := b.settings.Current()
	shown, _, _ := transport.HideLogin(cmp.Or(own, cfg.Providers[id].Proxy, cfg.Network.Proxy, "system"), "")
	targets := b.exits(id, base)
	if len(targets) == 0 {
		return api.ProxyTestView{}, apierror.Invalid("provider", "there is no address to try: name a provider, or add an account")
	}
	ctx, cancel := context.WithTimeout(ctx, exitTime)
	defer cancel()
	v := api.ProxyTestView{Proxy: shown, Exit: make([]api.ProxyExit, len(targets))}
	var wg sync.WaitGroup
	for i, to := range targets {
		wg.Go(func() { v.Exit[i] = reach(ctx, b.client(cmp.Or(id, to.provider), own), to) })
	}
	wg.Wait()
	var bad []string
	for _, e := range v.Exit {
		if !e.OK {
			bad = append(bad, e.Host+": "+e.Message)
			continue
		}
		if v.OK = true; v.LatencyMS == 0 || e.LatencyMS < v.LatencyMS {
			v.LatencyMS = e.LatencyMS
		}
	}
	v.Message = strings.Join(bad, "; ")
	if !v.OK && !slices.ContainsFunc(v.Exit, func(e api.ProxyExit) bool { return e.Message != v.Exit[0].Message }) {
		v.Message = v.Exit[0].Message // the same for all: it is the way out
	}
	return v, nil
}

// proxyToTest returns the address that is meant, with its password; "" is the one in force.
func (b *Backend) proxyToTest(q api.ProxyTest, id, kept string) (string, error) {
	text := q.Proxy.Reveal()
	if text == "" {
		return kept, nil
	}
	if transport.HidesLogin(text) && kept == "" {
		var err error
		if kept, err = b.keptProxy(proxySetting(b.settings.Current(), id)); err != nil {
			return "", explain(err)
		}
	}
	_, whole, err := transport.HideLogin(text, kept)
	switch {
	case err != nil:
		return "", apierror.Invalid("proxy", "%s", apierror.From(err).Msg)
	case whole == "" && transport.HidesLogin(text):
		return "", apierror.Invalid("proxy", "the user and password of this proxy are not known any more: write them out")
	}
	return cmp.Or(whole, text), nil
}

// exits are the services to try: that of a provider, or those that have accounts, or else some that everybody knows. What
// stands on this network is tried only when it is asked for.
func (b *Backend) exits(id, base string) []exitTo {
	var out, rest []exitTo
	seen := map[string]bool{}
	for _, o := range *b.offers.Load() {
		if id != "" && o.info.ID != id {
			continue
		}
		u, err := url.Parse(cmp.Or(base, o.baseURL()))
		if err != nil || u.Host == "" || seen[u.Host] || id == "" && transport.Local(u.Hostname()) {
			continue
		}
		seen[u.Host] = true
		to := exitTo{o.info.ID, &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}}
		if id != "" || b.accounts.HasAccounts(o.info.ID) {
			out = append(out, to)
		} else if o.enabled {
			rest = append(rest, to)
		}
	}
	if len(out) == 0 {
		out = rest[:min(len(rest), 3)]
	}
	return out[:min(len(out), mostExits)]
}

// reach asks a service for anything. Whatever it answers, it was reached.
func reach(ctx context.Context, client *http.Client, to exitTo) api.ProxyExit {
	v := api.ProxyExit{Provider: to.provider, Host: to.url.Host}
	begun := time.Now()
	a, err := transport.Do(ctx, client, transport.Call{Method: http.MethodHead, URL: to.url.String(), Provider: to.provider})
	v.LatencyMS = max(time.Since(begun).Milliseconds(), 1)
	status := 0
	if err == nil {
		status = a.Status
		a.Body.Close()
	} else if e := apierror.From(err); e.Upstream.Status >= 300 && e.Upstream.Status < 400 {
		status = e.Upstream.Status
	} else {
		v.LatencyMS, v.Message = 0, e.Msg
		return v
	}
	if to.url.Scheme == "http" && (status == http.StatusBadGateway || status == http.StatusGatewayTimeout) {
		v.LatencyMS, v.Message = 0, "it was not reached: what stands between answers "+http.StatusText(status)
		return v
	}
	v.OK = true
	return v
}
