package backend

import (
	"context"
	"strings"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/preset"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
)

// Presets implements api.Service.
func (b *Backend) Presets(context.Context) ([]api.PresetView, error) {
	readErr := b.readPresets() // a person may have changed their file
	if readErr != nil {
		return nil, &apierror.Error{Kind: apierror.InvalidRequest, Msg: readErr.Error()}
	}
	used := map[string]string{}
	for _, k := range *b.offers.Load() {
		if k.preset != "" && used[k.preset] == "" {
			used[k.preset] = k.info.ID
		}
	}
	all := b.presets.Load().All()
	out := make([]api.PresetView, len(all))
	for i, p := range all {
		out[i] = presetView(p)
		out[i].Provider = used[p.ID]
	}
	return out, nil
}

func presetView(p preset.Preset) api.PresetView {
	v := api.PresetView{
		ID: p.ID, Name: p.Name, Kind: p.Kind, Usable: kinds[p.Kind] != nil, BaseURL: p.BaseURL, Example: p.Example, Region: p.Region, Group: p.Group,
		KeyURL: p.KeyURL, KeyEnv: p.KeyEnv, KeyForm: p.KeyForm, NoKey: p.NoKey, Models: p.Models.List, Quirks: p.Quirks,
		Notes: p.Notes, AsOf: p.AsOf, Source: p.Source,
	}
	for _, m := range p.Models.Known {
		v.Known = append(v.Known, m.ID)
	}
	return v
}

// AddProvider implements api.Service.
func (b *Backend) AddProvider(_ context.Context, p api.NewProvider) (api.ProviderView, error) {
	if _, there := b.offered(p.ID); there {
		return api.ProviderView{}, apierror.Invalid("id", "there is a provider %s already; choose another id", p.ID)
	}
	entry, err := b.newProvider(p)
	if err != nil {
		return api.ProviderView{}, err
	}
	err = b.settings.Update(func(c *config.Config) error {
		if c.Providers == nil {
			c.Providers = map[string]config.Provider{}
		}
		c.Providers[p.ID] = entry
		return nil
	})
	if err != nil {
		return api.ProviderView{}, explain(err)
	}
	k, ok := b.offered(p.ID)
	if !ok {
		return api.ProviderView{}, apierror.New(apierror.Unsupported, "%s was written into the settings, but this version of Patchbay cannot serve its kind, %s", p.ID, p.Kind)
	}
	return providerView(k), nil
}

// newProvider makes the entry of a provider in the settings.
func (b *Backend) newProvider(p api.NewProvider) (config.Provider, error) {
	entry := config.Provider{Preset: p.Preset, Kind: p.Kind, Name: p.Name}
	if p.Preset != "" {
		pre, err := b.usablePreset(p.Preset)
		if err != nil {
			return entry, apierror.Invalid("preset", "%s", err)
		}
		if p.BaseURL == "" && pre.BaseURL == "" {
			return entry, apierror.Invalid("base_url", "%s needs your own address, for example %s", pre.Name, pre.Example)
		}
		if p.BaseURL == "" || p.BaseURL == pre.BaseURL {
			return entry, nil
		}
	}
	var err error
	entry.BaseURL, err = b.cleanBase(p.BaseURL)
	return entry, err
}

// endpoints are ends of addresses that people paste although they are no part of the base URL.
var endpoints = []string{"/chat/completions", "/completions", "/responses", "/messages", "/embeddings", "/images/generations", "/images/edits", "/models", "/api/chat", "/api/tags", "/api/generate"}

// cleanBase mends an address as people paste it, and refuses Patchbay's own: its requests would go round in circles.
func (b *Backend) cleanBase(raw string) (string, error) {
	base, err := transport.BaseURL(raw, endpoints...)
	if err != nil {
		return "", apierror.Invalid("base_url", "%s", apierror.From(err).Msg)
	}
	if loopsBack(base, b.listeningAt()) {
		return "", apierror.Invalid("base_url", "%s is Patchbay's own address; give the address of the service", base)
	}
	return base, nil
}

// Models implements api.Service.
func (b *Backend) Models(ctx context.Context, providerID string) ([]api.ModelView, error) {
	if b.Base() == "" {
		b.refreshLists(ctx) // nobody else has read the lists in this process
	}
	models, err := b.router.Models(ctx, providerID)
	if err != nil {
		return nil, err
	}
	presets := b.presets.Load()
	out := make([]api.ModelView, len(models))
	for i, m := range models {
		v := api.ModelView{ID: m.ID, Name: m.Name, Provider: m.Provider, Context: m.Context, MaxOutput: m.MaxOutput, Stale: m.Stale}
		if c, o := presets.Assumed(m.ID); m.Context == 0 && m.MaxOutput == 0 && c > 0 {
			v.Context, v.MaxOutput, v.Assumed = c, o, true
		}
		out[i] = v
	}
	return out, nil
}

// RefreshModels implements api.Service.
func (b *Backend) RefreshModels(ctx context.Context, providerID string) error {
	if providerID != "" {
		if _, ok := b.offered(providerID); !ok {
			return apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", providerID)
		}
	}
	b.accounts.RefreshModels(providerID)
	b.refreshLists(ctx)
	return nil
}

// TestAccount implements api.Service.
func (b *Backend) TestAccount(ctx context.Context, id string, t api.AccountTest) (api.TestView, error) {
	st, k, err := b.testable(id)
	if err != nil {
		return api.TestView{}, err
	}
	if t.Generate {
		return b.tryOut(ctx, st, t.Model)
	}
	found, err := b.accounts.Test(ctx, id)
	v := api.TestView{OK: err == nil, Message: found.Note, Models: found.Models}
	if err != nil {
		e := apierror.From(err)
		v.Kind, v.Message = e.Kind.String(), e.Msg
		if e.Kind == apierror.AuthExpired && len(k.info.Regions) > 0 {
			v.Message += "; keys belong to one region or plan: this one may belong to " + joinOr(k.info.Regions)
		}
	}
	if found.BaseURL == "" {
		return v, nil
	}
	if err := b.keepBase(ctx, st.ID, k, found.BaseURL); err != nil {
		return v, err
	}
	v.BaseURL = found.BaseURL
	return v, nil
}

// AccountQuota implements api.Service.
func (b *Backend) AccountQuota(ctx context.Context, id string) ([]api.QuotaView, error) {
	windows, err := b.accounts.Quota(ctx, id)
	return quotaViews(windows), explain(err)
}

func joinOr(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// keepBase stores the address that works where the other one came from: with the provider, or with the account.
func (b *Backend) keepBase(ctx context.Context, id string, k offered, base string) error {
	st, _ := b.accounts.Get(id)
	own := st.Settings[provider.SettingBaseURL] != ""
	if k.own && !own && k.settings[provider.SettingBaseURL] != "" {
		if b.settings.Set("providers."+k.info.ID+".base_url", base) == nil {
			return nil
		} // else a variable or a flag holds it: then the account remembers
	}
	_, err := b.accounts.Update(ctx, id, func(a *account.Account) {
		if a.Settings == nil {
			a.Settings = map[string]string{}
		}
		a.Settings[provider.SettingBaseURL] = base
	})
	return explain(err)
}
