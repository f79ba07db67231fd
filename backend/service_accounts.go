package backend

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/provider"
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
		out[i] = b.accountView(a)
	}
	return out, nil
}

func (b *Backend) accountView(a account.Status) api.AccountView {
	v := api.AccountView{
		ID: a.ID, Provider: a.Provider, Name: a.Name, State: string(a.State), Kind: a.Kind, Reason: a.Reason, Since: a.Since, Until: a.Until,
		Enabled: a.Enabled, Priority: a.Priority, Owner: string(a.Owner), Settings: a.Settings, Proxy: a.Proxy,
		MaxConcurrent: a.MaxConcurrent, Limit: a.Limit, InFlight: a.InFlight, Bound: a.Bound, Tags: a.Tags, Weight: a.Weight, Reserve: a.Reserve,
		LastUsed: a.LastUsed, Served: a.Served, Failed: a.Failed, Quota: quotaReading(a.Quota), Origin: b.origin(a), Created: a.Created,
		Login: a.Login, Identity: a.Identity, Renews: a.Renews, Expires: a.Expires, Next: nextStep(a),
	}
	for _, c := range a.Cooling {
		v.Cooling = append(v.Cooling, api.CoolDownView{Model: c.Model, Kind: c.Kind, Reason: c.Reason, Since: c.Since, Until: c.Until, Absent: c.Absent})
	}
	for _, o := range a.Recent {
		v.Recent = append(v.Recent, api.OutcomeView{At: o.At, Kind: o.Kind})
	}
	if b.Locked() && a.Owner != account.CLI { // what other programs keep lies in their own files
		k, known := b.offered(a.Provider)
		v.Locked = known && !k.info.NoKey
	}
	if c := a.Check; c != nil {
		v.Check = &api.CheckView{At: c.At, OK: c.Kind == "", Kind: c.Kind, Note: c.Note}
	}
	return v
}

// AddAccount implements api.Service.
func (b *Backend) AddAccount(ctx context.Context, n api.NewAccount) (api.AccountView, error) {
	k, ok := b.offered(n.Provider)
	if !ok {
		return api.AccountView{}, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", n.Provider)
	}
	if err := checkNew(n); err != nil {
		return api.AccountView{}, err
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
		Tags: n.Tags, Weight: n.Weight, Reserve: n.Reserve,
	}, provider.Credential{Access: n.Key})
	if err != nil {
		return api.AccountView{}, explain(err)
	}
	return b.accountView(st), nil
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
	if err := checkChange(c); err != nil {
		return api.AccountView{}, err
	}
	if c.Name != nil || c.Priority != nil || c.Proxy != nil || c.MaxConcurrent != nil || c.Tags != nil || c.Weight != nil || c.Reserve != nil ||
		c.SupportedModels != nil || c.NotSupportedModels != nil || c.ModelNames != nil {
		_, err := b.accounts.Update(ctx, id, func(a *account.Account) {
			assign(&a.Name, c.Name)
			assign(&a.Priority, c.Priority)
			assign(&a.MaxConcurrent, c.MaxConcurrent)
			assign(&a.Tags, c.Tags)
			assign(&a.Weight, c.Weight)
			wordsOf(a, c)
			if c.Proxy != nil {
				a.Proxy = c.Proxy.Reveal()
			}
			if a.Reserve = cmp.Or(c.Reserve, a.Reserve); a.Reserve != nil && *a.Reserve < 0 {
				a.Reserve = nil
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

// wordsOf puts what a change says of an account's models into its settings.
func wordsOf(a *account.Account, c api.AccountChange) {
	set := func(key, value string) {
		if a.Settings == nil {
			a.Settings = map[string]string{}
		}
		if a.Settings[key] = value; value == "" {
			delete(a.Settings, key)
		}
	}
	if c.SupportedModels != nil {
		set(provider.SettingServes, strings.Join(*c.SupportedModels, ","))
	}
	if c.NotSupportedModels != nil {
		set(provider.SettingServesNot, strings.Join(*c.NotSupportedModels, ","))
	}
	if c.ModelNames != nil {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(*c.ModelNames)) {
			pairs = append(pairs, name+"="+(*c.ModelNames)[name])
		}
		set(provider.SettingModelNames, strings.Join(pairs, ","))
	}
}

// namesOf reads an account's own names for models.
func namesOf(settings map[string]string) map[string]string {
	out := map[string]string{}
	for _, pair := range provider.List(settings[provider.SettingModelNames]) {
		if name, model, ok := strings.Cut(pair, "="); ok {
			out[strings.TrimSpace(name)] = strings.TrimSpace(model)
		}
	}
	return out
}

// checkWords refuses patterns and names that would be read as something else.
func checkWords(c api.AccountChange) error {
	for field, list := range map[string]*[]string{"supported_models": c.SupportedModels, "not_supported_models": c.NotSupportedModels} {
		if list == nil {
			continue
		}
		for _, p := range *list {
			if strings.TrimSpace(p) == "" || strings.ContainsAny(p, ", \t") {
				return apierror.Invalid(field, "%q is no pattern of models: write a name, in which * stands for any text", p)
			}
		}
	}
	if c.ModelNames != nil {
		for name, model := range *c.ModelNames {
			if name == "" || model == "" || strings.ContainsAny(name+model, ",= \t") {
				return apierror.Invalid("model_names", "%q cannot stand for %q: both are names of models, without spaces, commas and =", name, model)
			}
		}
	}
	return nil
}

// checkNew holds a new account to what a change of one must keep. A weight of 0 is that of an account for which none is named.
func checkNew(n api.NewAccount) error {
	c := api.AccountChange{Reserve: n.Reserve, Tags: &n.Tags}
	if n.Weight != 0 {
		c.Weight = &n.Weight
	}
	return checkChange(c)
}

// checkChange refuses what would be taken for something else.
func checkChange(c api.AccountChange) error {
	switch {
	case c.MaxConcurrent != nil && *c.MaxConcurrent < 0:
		return apierror.Invalid("max_concurrent", "an account takes some calls at a time, or 0 for as many as its provider says")
	case c.Weight != nil && (*c.Weight < 1 || *c.Weight > account.MaxWeight):
		return apierror.Invalid("weight", "a weight is a number from 1 to %d", account.MaxWeight)
	case c.Reserve != nil && *c.Reserve > account.MaxReserve:
		return apierror.Invalid("reserve", "a reserve is a share of each allowance in percent, from 0 to %d", account.MaxReserve)
	case c.Tags != nil && slices.ContainsFunc(*c.Tags, func(t string) bool { return strings.Contains(t, ",") }):
		return apierror.Invalid("tags", "a tag holds no comma: requests name several tags with commas between")
	}
	return checkWords(c)
}

func (b *Backend) accountByID(id string) (api.AccountView, error) {
	st, ok := b.accounts.Get(id)
	if !ok {
		return api.AccountView{}, apierror.New(apierror.RouteNotFound, "there is no account %q; it may have been removed", id)
	}
	return b.accountView(st), nil
}

// ClearAccount implements api.Service.
func (b *Backend) ClearAccount(_ context.Context, id, model string) (api.AccountView, error) {
	if err := b.accounts.Clear(id, model); err != nil {
		return api.AccountView{}, explain(err)
	}
	return b.accountByID(id)
}

// RemoveAccount implements api.Service.
func (b *Backend) RemoveAccount(ctx context.Context, id string) error {
	defer b.files.Refresh() // it may have followed a file
	return explain(b.accounts.Remove(ctx, id))
}
