package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/secret"
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
	if own == "" {
		var err error
		if proxy, err = b.withLogin(proxySetting(cfg, id), proxy); err != nil {
			return &http.Client{Transport: failing{err}}
		}
	}
	c, err := b.clients.Client(proxy)
	if err != nil {
		return &http.Client{Transport: failing{err}}
	}
	return c
}

// proxySetting is the setting that the proxy of a provider comes from.
func proxySetting(cfg *config.Config, id string) string {
	if cfg.Providers[id].Proxy != "" {
		return "providers." + id + ".proxy"
	}
	return "network.proxy"
}

// proxyRef is where the whole of a proxy stands whose setting hides its password.
func proxyRef(key string) secret.Ref { return secret.Ref{Scope: "proxy", ID: key} }

// vaultTime is how long a call waits for the vault to give a proxy's password.
const vaultTime = 5 * time.Second

// withLogin gives a proxy from the settings its user and password. Without them it is an error: it would be refused anyway, and
// nothing goes around it.
func (b *Backend) withLogin(key, proxy string) (string, error) {
	if !transport.HidesLogin(proxy) {
		return proxy, nil
	}
	kept, err := b.keptProxy(key)
	if err == nil {
		if _, whole, err := transport.HideLogin(proxy, kept); err == nil && whole != "" {
			return whole, nil
		}
	}
	e := apierror.New(apierror.Transport, "the password of the proxy in %s cannot be read: enter the proxy again, or unlock the secrets; nothing was sent", key)
	e.Err = err
	return "", e
}

// keptProxy returns the whole of a proxy that the vault holds, "" if there is none.
func (b *Backend) keptProxy(key string) (string, error) {
	if v, ok := b.proxyLogins.Load(key); ok {
		return v.(secret.Value).Reveal(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), vaultTime)
	defer cancel()
	v, err := b.vault.Get(ctx, proxyRef(key))
	if errors.Is(err, secret.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	b.proxyLogins.Store(key, v)
	return v.Reveal(), nil
}

// keepProxy keeps the whole of a proxy in the vault; "" takes it out.
func (b *Backend) keepProxy(ctx context.Context, key, whole string) error {
	if whole == "" {
		b.proxyLogins.Delete(key)
		return b.vault.Delete(ctx, proxyRef(key))
	}
	if err := b.vault.Put(ctx, proxyRef(key), secret.New(whole)); err != nil {
		return err
	}
	b.proxyLogins.Store(key, secret.New(whole))
	return nil
}

// proxiesIn returns the settings among values that are proxies, by key, with what puts another value in their place. Such a
// setting may stand in the group of its provider.
func proxiesIn(values map[string]any) map[string]func(any) {
	out := map[string]func(any){}
	for key, v := range values {
		id, of := strings.CutPrefix(key, "providers.")
		group, isGroup := v.(map[string]any)
		switch {
		case key == "network.proxy", of && strings.HasSuffix(id, ".proxy") && strings.Count(id, ".") == 1:
			out[key] = func(v any) { values[key] = v }
		case of && isGroup && !strings.Contains(id, "."):
			if _, ok := group["proxy"]; ok {
				out[key+".proxy"] = func(v any) { group["proxy"] = v }
			}
		}
	}
	return out
}

func proxyIn(values map[string]any, key string) any {
	if v, ok := values[key]; ok {
		return v
	}
	group, _ := values[strings.TrimSuffix(key, ".proxy")].(map[string]any)
	return group["proxy"]
}

// changeSettings changes settings. What is secret in a proxy's address goes into the vault and not into the file.
func (b *Backend) changeSettings(ctx context.Context, values map[string]any) error {
	values = cloneValues(values)
	before := map[string]string{} // what the vault held of proxies that have changed
	undo := func() {
		for key, kept := range before {
			if err := b.keepProxy(ctx, key, kept); err != nil {
				b.log.Logger().Warn("What the vault held of a proxy could not be put back", "key", key, "err", err)
			}
		}
	}
	var drop []string
	for key, put := range proxiesIn(values) {
		text, _ := proxyIn(values, key).(string)
		kept, err := b.keptProxy(key)
		if err != nil && text != "" && (transport.HidesLogin(text) || strings.Contains(text, "@")) {
			undo()
			return fmt.Errorf("reading the proxy's password: %w", err)
		}
		shown, whole, err := transport.HideLogin(text, kept)
		switch {
		case err != nil: // the settings say what is wrong with it
			continue
		case whole == "" && transport.HidesLogin(text):
			undo()
			return apierror.Invalid(key, "the user and password of this proxy are not known any more: write them out")
		case whole == "":
			if kept != "" {
				drop = append(drop, key)
			}
			continue
		}
		put(shown)
		if whole == kept {
			continue
		}
		before[key] = kept
		if err := b.keepProxy(ctx, key, whole); err != nil {
			undo()
			return fmt.Errorf("keeping the proxy's password: %w", err)
		}
	}
	for key, v := range values {
		if id, of := strings.CutPrefix(key, "providers."); of && v == nil && !strings.Contains(id, ".") {
			drop = append(drop, key+".proxy")
		}
	}
	if err := b.settings.Change(values); err != nil {
		undo()
		return err
	}
	if len(before) > 0 { // a new password under an address that is shown as before is no change of the settings
		for _, o := range *b.offers.Load() {
			b.accounts.Reopen(o.info.ID)
		}
	}
	for _, key := range drop {
		if err := b.keepProxy(ctx, key, ""); err != nil {
			b.log.Logger().Warn("The password of a proxy that is gone stays in the vault", "key", key, "err", err)
		}
	}
	return nil
}

// cloneValues copies settings and their groups, which belong to the caller.
func cloneValues(values map[string]any) map[string]any {
	out := maps.Clone(values)
	for k, v := range out {
		if group, ok := v.(map[string]any); ok {
			out[k] = maps.Clone(group)
		}
	}
	return out
}

// systemProxy returns the address of a proxy; for the system's it asks how this computer is set.
func systemProxy(proxy string) string {
	if proxy != "" {
		return proxy
	}
	u, err := transport.System(&http.Request{URL: &url.URL{Scheme: "https", Host: "example.com"}})
	if err != nil || u == nil {
		return "" // a broken variable fails the call itself
	}
	return u.String()
}
