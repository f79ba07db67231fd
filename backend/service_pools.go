package backend

import (
	"cmp"
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/provider"
)

// setPools takes up how the settings want the accounts of each provider to be used.
func (b *Backend) setPools(cfg *config.Config) {
	for _, o := range *b.offers.Load() {
		p := cfg.Providers[o.info.ID].Pool
		b.accounts.Configure(o.info.ID, account.PoolSettings{
			Strategy: account.Strategy(p.Strategy), Sticky: account.Stickiness(p.Sticky), StickyFor: p.StickyFor, Reserve: p.Reserve,
			Tags: p.Tags, CheckEvery: p.Checks.Every,
		})
	}
}

// Pools implements api.Service.
func (b *Backend) Pools(context.Context) ([]api.PoolView, error) {
	cfg := b.settings.Current()
	var out []api.PoolView
	for _, o := range *b.offers.Load() {
		written := cfg.Providers[o.info.ID].Pool
		if b.accounts.HasAccounts(o.info.ID) || written.Strategy != "" || written.Sticky != "" || written.Reserve != 0 || len(written.Tags) > 0 {
			out = append(out, b.poolView(o))
		}
	}
	return out, nil
}

func (b *Backend) poolView(o offered) api.PoolView {
	st := b.accounts.Pool(o.info.ID)
	v := api.PoolView{
		Provider: o.info.ID, Name: o.info.Name, Enabled: o.enabled, Default: o.info.ID == b.router.Default(),
		Strategy: string(st.Strategy), Sticky: string(st.Sticky), StickyFor: api.SecondsOf(st.StickyFor), Reserve: st.Reserve, Tags: st.Tags,
		Checks: api.ChecksView{Every: api.SecondsOf(st.CheckEvery)}, Accounts: len(st.Accounts), Order: st.Accounts,
		InFlight: st.InFlight, Waiting: st.Waiting, Bound: st.Bound, Soonest: st.Soonest,
	}
	if len(st.States) > 0 {
		v.States = map[string]int{}
		for s, n := range st.States {
			v.States[string(s)] = n
		}
	}
	return v
}

// ChangePool implements api.Service. What is changed is kept in the settings.
func (b *Backend) ChangePool(ctx context.Context, id string, c api.PoolChange) (api.PoolView, error) {
	id = cmp.Or(config.OldNames[id], id)
	if _, ok := b.offered(id); !ok {
		return api.PoolView{}, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", id)
	}
	if err := b.settings.Update(func(cfg *config.Config) error {
		p := cfg.Providers[id]
		was := p.Pool
		assign(&p.Pool.Strategy, c.Strategy)
		assign(&p.Pool.Sticky, c.Sticky)
		assign(&p.Pool.Reserve, c.Reserve)
		assign(&p.Pool.Tags, c.Tags)
		if c.StickyFor != nil {
			p.Pool.StickyFor = c.StickyFor.Duration()
		}
		if c.CheckEvery != nil {
			p.Pool.Checks.Every = c.CheckEvery.Duration()
		}
		if samePool(was, p.Pool) {
			return nil
		}
		if cfg.Providers == nil {
			cfg.Providers = map[string]config.Provider{}
		}
		cfg.Providers[id] = p
		return nil
	}); err != nil {
		e := apierror.From(memberError("providers."+id+".pool", err))
		if e.Param == "checks.every" {
			e.Param = "check_every"
		}
		return api.PoolView{}, e
	}
	if c.Enabled != nil {
		for _, a := range b.accounts.List() {
			if a.Provider != id || a.Enabled == *c.Enabled {
				continue
			}
			if err := b.accounts.SetEnabled(ctx, a.ID, *c.Enabled); err != nil {
				return api.PoolView{}, explain(err)
			}
		}
	}
	o, _ := b.offered(id)
	return b.poolView(o), nil
}

func samePool(a, b config.Pool) bool {
	return a.Strategy == b.Strategy && a.Sticky == b.Sticky && a.StickyFor == b.StickyFor && a.Reserve == b.Reserve && slices.Equal(a.Tags, b.Tags) &&
		a.Checks == b.Checks
}

// OrderAccounts implements api.Service.
func (b *Backend) OrderAccounts(ctx context.Context, o api.AccountOrder) ([]api.AccountView, error) {
	tiers := o.Tiers
	if len(tiers) == 0 {
		for _, id := range o.IDs {
			tiers = append(tiers, []string{id})
		}
	} else if len(o.IDs) > 0 {
		return nil, apierror.Invalid("ids", "give ids, one after the other, or tiers, not both")
	}
	if len(tiers) == 0 {
		return nil, apierror.Invalid("ids", "name the accounts in the order in which they are to be used")
	}
	places := map[string]int{}
	for i, tier := range tiers {
		for _, id := range tier {
			st, ok := b.accounts.Get(id)
			switch _, twice := places[id]; {
			case !ok || st.Provider != o.Provider:
				return nil, apierror.Invalid("ids", "%s has no account %q; it may have been removed", o.Provider, id)
			case twice:
				return nil, apierror.Invalid("ids", "the account %q is named twice", id)
			}
			places[id] = i + 1
		}
	}
	for _, a := range b.accounts.List() { // those that are not named come behind, as they were among themselves
		if _, named := places[a.ID]; a.Provider == o.Provider && !named {
			places[a.ID] = max(a.Priority, len(tiers)+1)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(places)) {
		if st, ok := b.accounts.Get(id); !ok || st.Priority == places[id] {
			continue
		}
		if _, err := b.accounts.Update(ctx, id, func(a *account.Account) { a.Priority = places[id] }); err != nil {
			return nil, explain(err)
		}
	}
	var out []api.AccountView
	for _, a := range b.accounts.List() {
		if a.Provider == o.Provider {
			out = append(out, b.accountView(a))
		}
	}
	return out, nil
}

// quotaReading is what a service said is left, as the API shows it.
func quotaReading(q *account.QuotaReading) *api.QuotaReading {
	if q == nil {
		return nil
	}
	return &api.QuotaReading{Windows: quotaViews(q.Windows), TakenAt: q.TakenAt, Stale: !q.None && q.Stale(time.Now()), Note: q.Note, None: q.None}
}

func quotaViews(windows []provider.Quota) []api.QuotaView {
	out := make([]api.QuotaView, len(windows))
	for i, w := range windows {
		out[i] = api.QuotaView{Name: w.Name, Unit: w.Unit, Models: w.Models, Used: w.Used, Limit: w.Limit, ResetsAt: w.ResetsAt}
	}
	return out
}

// origin says where an account comes from.
func (b *Backend) origin(a account.Status) api.OriginView {
	v := api.OriginView{Kind: provider.LoginKey, Plan: a.Plan}
	k, _ := b.offered(a.Provider)
	for _, l := range k.info.Logins {
		if a.Login != "" && l.Key() == a.Login {
			v.Kind, v.Login = l.Kind, l.Label
		}
	}
	if a.Owner != account.CLI {
		return v
	}
	v.Kind, v.Path = provider.LoginFile, a.Settings[provider.SettingFile]
	name := path.Base(strings.ReplaceAll(v.Path, `\`, "/"))
	for _, f := range k.info.Files {
		if v.Program == "" || path.Base(f.Path) == name {
			v.Program = f.Program
		}
	}
	return v
}
