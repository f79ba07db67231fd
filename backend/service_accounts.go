package backend

import (
	"context"
	"net/url"
	"strings"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/record"
)

// hostPort takes the host and port out of a base URL of ours.
func hostPort(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Host
}

// Accounts implements api.Service.
func (b *Backend) Accounts(context.Context) ([]api.AccountView, error) {
	list := b.accounts.List()
	out := make([]api.AccountView, len(list))
	for i, a := range list {
		out[i] = accountView(a)
	}
	return out, nil
}

func accountView(a account.Status) api.AccountView {
	v := api.AccountView{
		ID: a.ID, Provider: a.Provider, Name: a.Name, State: string(a.State), Reason: a.Reason, Enabled: a.Enabled, Priority: a.Priority,
		Owner: string(a.Owner), Settings: a.Settings, Proxy: a.Proxy, MaxConcurrent: a.MaxConcurrent, InFlight: a.InFlight, Created: a.Created,
		Login: a.Login, Identity: a.Identity, Renews: a.Renews, Expires: a.Expires, Next: nextStep(a),
	}
	for _, c := range a.Cooling {
		v.Cooling = append(v.Cooling, api.CoolDownView{Model: c.Model, Reason: c.Reason, Until: c.Until})
	}
	return v
}

// AddAccount implements api.Service.
func (b *Backend) AddAccount(ctx context.Context, n api.NewAccount) (api.AccountView, error) {
	k, ok := b.offered(n.Provider)
	if !ok {
		return api.AccountView{}, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", n.Provider)
	}
	if err := b.admit(k, n.AcceptRisk); err != nil {
		return api.AccountView{}, err
	}
	if raw := n.Settings[provider.SettingBaseURL]; raw != "" {
		base, err := b.cleanBase(raw)
		if err != nil {
			return api.AccountView{}, err
		}
		n.Settings[provider.SettingBaseURL] = base
	} else if k.baseURL() == "" {
		return api.AccountView{}, apierror.Invalid("base_url", "say where the service is (--base-url URL): %s has no address of its own", k.info.Name)
	}
	st, err := b.accounts.Add(ctx, account.Account{
		Provider: n.Provider, Name: n.Name, Priority: n.Priority, Enabled: true, Settings: n.Settings, Proxy: n.Proxy.Reveal(),
	}, provider.Credential{Access: n.Key})
	if err != nil {
		return api.AccountView{}, explain(err)
	}
	return accountView(st), nil
}

// ChangeAccount implements api.Service. Switching needs no secret, so it works while they are locked.
func (b *Backend) ChangeAccount(ctx context.Context, id string, c api.AccountChange) (api.AccountView, error) {
	if c.Key != nil {
		if c.Key.Empty() {
			return api.AccountView{}, apierror.Invalid("key", "the key is empty")
		}
		if err := b.accounts.SetCredential(ctx, id, provider.Credential{Access: *c.Key}); err != nil {
			return api.AccountView{}, explain(err)
		}
	}
	if c.Name != nil || c.Priority != nil || c.Proxy != nil {
		_, err := b.accounts.Update(ctx, id, func(a *account.Account) {
			if c.Name != nil {
				a.Name = *c.Name
			}
			if c.Priority != nil {
				a.Priority = *c.Priority
			}
			if c.Proxy != nil {
				a.Proxy = c.Proxy.Reveal()
			}
		})
		if err != nil {
			return api.AccountView{}, explain(err)
		}
	}
	if c.Enabled != nil {
		if err := b.accounts.SetEnabled(ctx, id, *c.Enabled); err != nil {
			return api.AccountView{}, explain(err)
		}
	}
	return b.accountByID(id)
}

func (b *Backend) accountByID(id string) (api.AccountView, error) {
	st, ok := b.accounts.Get(id)
	if !ok {
		return api.AccountView{}, apierror.New(apierror.RouteNotFound, "there is no account %q; it may have been removed", id)
	}
	return accountView(st), nil
}

// ClearAccount implements api.Service.
func (b *Backend) ClearAccount(_ context.Context, id string) (api.AccountView, error) {
	if err := b.accounts.Clear(id, ""); err != nil {
		return api.AccountView{}, explain(err)
	}
	return b.accountByID(id)
}

// RemoveAccount implements api.Service.
func (b *Backend) RemoveAccount(ctx context.Context, id string) error {
	defer b.files.Refresh() // it may have followed a file
	return explain(b.accounts.Remove(ctx, id))
}

// Requests implements api.Service.
func (b *Backend) Requests(ctx context.Context, q api.RequestQuery) ([]api.RequestView, error) {
	rows, err := b.record.Latest(ctx, record.Filter{
		Provider: q.Provider, Account: q.Account, Model: q.Model, Key: q.Key, Kind: q.Kind, Failed: q.Failed,
		Since: q.Since, Until: q.Until, BeforeID: q.Before, Limit: min(q.Limit, api.MaxRequests),
	})
	if err != nil {
		return nil, explain(err)
	}
	labels, keys := b.labels(), b.keyNames()
	out := make([]api.RequestView, len(rows))
	for i := range rows {
		r := &rows[i]
		out[i] = api.RequestView{
			ID: r.ID, At: r.At, Key: r.Key, KeyName: keys[r.Key], Client: r.Client, Op: r.Op, Stream: r.Stream, Asked: r.Asked,
			Provider: r.Provider, Account: r.Account, Label: labels[r.Account], Model: r.Model, Attempts: r.Attempts, Status: r.Status,
			Kind: r.Kind, Message: r.Message, Tokens: tokens(r.Tokens), FirstMS: r.First.Milliseconds(), DurationMS: r.Total.Milliseconds(), Dropped: r.Dropped,
		}
		if r.First < 0 {
			out[i].FirstMS = -1
		}
	}
	return out, nil
}

func tokens(t record.Tokens) api.Tokens {
	return api.Tokens{Input: t.Input, Cached: t.Cached, CacheWrite: t.CacheWrite, Output: t.Output, Reasoning: t.Reasoning}
}

// labels returns the names of accounts by id. Removed ones have none any more.
func (b *Backend) labels() map[string]string {
	out := map[string]string{}
	for _, a := range b.accounts.List() {
		out[a.ID] = a.Name
	}
	return out
}

func (b *Backend) keyNames() map[string]string {
	out := map[string]string{}
	for _, k := range b.keys.List() {
		out[k.ID] = strings.TrimSpace(k.Name)
	}
	return out
}

// Usage implements api.Service.
func (b *Backend) Usage(ctx context.Context, q api.UsageQuery) (api.UsageView, error) {
	sums, err := b.record.Usage(ctx, q.Since, q.Until)
	if err != nil {
		return api.UsageView{}, explain(err)
	}
	labels, keys := b.labels(), b.keyNames()
	out := api.UsageView{Rows: make([]api.UsageRow, len(sums))}
	for i, u := range sums {
		out.Rows[i] = api.UsageRow{
			Provider: u.Provider, Account: u.Account, Label: labels[u.Account], Model: u.Model, Key: u.Key, KeyName: keys[u.Key],
			Requests: u.Requests, Errors: u.Errors, Tokens: tokens(u.Tokens),
		}
		out.Total.Add(out.Rows[i])
	}
	return out, nil
}
