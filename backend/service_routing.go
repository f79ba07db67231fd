package backend

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
	"patchbay/backend/gateway"
	"patchbay/backend/route"
	"patchbay/backend/trace"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/oai"
)

// routing are the person's rules for the router.
func (b *Backend) routing() route.Settings {
	cfg := b.settings.Current()
	return route.Settings{
		Default: cfg.DefaultProvider, Aliases: cfg.Routing.Aliases, Chains: cfg.Routing.Chains,
		ModelFallback: cfg.Routing.ModelFallback, Hidden: cfg.Routing.Hidden,
	}
}

// thinking is how much the models of a provider think by the person's word.
func (b *Backend) thinking(id string) gateway.Thinking {
	t := b.settings.Current().Providers[id].Thinking
	return gateway.ParseThinking(t.Default, t.Max)
}

// models are the models of a provider: those its accounts have, and those that the person added.
func (b *Backend) models(ctx context.Context, id string) []canon.Model {
	list := b.accounts.Models(ctx, id)
	for _, extra := range b.settings.Current().Providers[id].Extra {
		if !slices.ContainsFunc(list, func(m canon.Model) bool { return m.ID == extra }) {
			m := b.knownModel(extra)
			list = append(list, m)
		}
	}
	return list
}

// knownModel is what the tables of the wire formats and of the presets know of a model by its name. They are dated.
func (b *Backend) knownModel(id string) canon.Model {
	name := id
	if i := strings.LastIndexByte(name, '/'); i >= 0 { // services that resell put the maker in front
		name = name[i+1:]
	}
	m := anthropic.KnownModel(name)
	m.Fill(gemini.KnownModel(name))
	m.Fill(oai.KnownModel(name))
	m.Fill(b.presets.Load().Known(name))
	m.ID = id
	return m
}

// Routing implements api.Service.
func (b *Backend) Routing(context.Context) (api.RoutingView, error) {
	cfg, def := b.settings.Current(), b.router.Default()
	v := api.RoutingView{
		Default:        api.RoutingDefault{Provider: def, Name: b.nameOf(def), Chosen: def != "" && cfg.DefaultProvider == def, LockedBy: b.lockedBy("default_provider")},
		Chains:         b.chainViews(cfg, def),
		Aliases:        b.aliasViews(cfg),
		ModelFallbacks: []api.ModelFallbackView{},
		Hidden:         api.HiddenView{Patterns: append([]string{}, cfg.Routing.Hidden...), LockedBy: b.lockedBy("routing.hidden")},
		Thinking:       []api.ThinkingView{},
		MaxAttempts:    cfg.Routing.MaxAttempts,
	}
	pools := b.poolStates()
	for _, model := range slices.Sorted(maps.Keys(cfg.Routing.ModelFallback)) {
		f := api.ModelFallbackView{Model: model, LockedBy: b.lockedBy("routing.model_fallback." + model), Steps: []api.ChainStepView{}}
		for _, to := range cfg.Routing.ModelFallback[model] {
			f.Steps = append(f.Steps, b.stepView(b.router.Link(to), pools))
		}
		v.ModelFallbacks = append(v.ModelFallbacks, f)
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.Providers)) {
		t := cfg.Providers[id].Thinking
		if t == (config.Thinking{}) {
			continue
		}
		key := "providers." + id + ".thinking"
		v.Thinking = append(v.Thinking, api.ThinkingView{Provider: id, Default: t.Default, Max: t.Max, LockedBy: cmp.Or(b.lockedBy(key+".default"), b.lockedBy(key+".max"))})
	}
	return v, nil
}

// lockedBy names the variable or flag that holds a setting, "" if it can be changed.
func (b *Backend) lockedBy(key string) string {
	if s := b.settings.Source(key); s.Kind == config.FromEnv || s.Kind == config.FromFlag {
		return s.Name
	}
	return ""
}

func (b *Backend) nameOf(provider string) string {
	k, _ := b.offered(provider)
	return k.info.Name
}

func (b *Backend) chainViews(cfg *config.Config, def string) []api.ChainView {
	pools := b.poolStates()
	starts := slices.Sorted(maps.Keys(cfg.Routing.Chains))
	if def != "" {
		starts = slices.Insert(slices.DeleteFunc(starts, func(s string) bool { return s == def }), 0, def)
	}
	out := []api.ChainView{}
	for _, of := range starts {
		c := api.ChainView{Of: of, Default: of == def, Steps: []api.ChainStepView{}, LockedBy: b.lockedBy("routing.chains." + of)}
		for _, l := range b.router.Chain(of) {
			c.Steps = append(c.Steps, b.stepView(l, pools))
		}
		out = append(out, c)
	}
	return out
}

// poolState is how the accounts of a provider are.
type poolState struct {
	accounts, ready, resting int
	until                    time.Time // when the first that rests is back
}

func (b *Backend) poolStates() map[string]poolState {
	out := map[string]poolState{}
	for _, a := range b.accounts.List() {
		p := out[a.Provider]
		p.accounts++
		switch a.State {
		case account.Ready:
			p.ready++
		case account.Cooling:
			p.resting++
			for _, c := range a.Cooling {
				if c.Model == "*" && (p.until.IsZero() || c.Until.Before(p.until)) {
					p.until = c.Until
				}
			}
		}
		out[a.Provider] = p
	}
	return out
}

func (b *Backend) stepView(l route.Link, pools map[string]poolState) api.ChainStepView {
	p := pools[l.Provider]
	v := api.ChainStepView{
		Target: l.Target, Provider: l.Provider, Name: b.nameOf(l.Provider), Model: l.Model, SameModel: l.SameModel, From: l.From,
		Ready: p.ready, Accounts: p.accounts, Problem: l.Problem,
		Can: api.Abilities{
			Tools: yesOrNo(l.Can.Tools), Images: yesOrNo(l.Can.Images), Documents: yesOrNo(l.Can.Documents), Thinking: yesOrNo(l.Can.Thinking),
			Context: l.Can.Context, MaxOutput: l.Can.MaxOutput,
		},
	}
	switch {
	case l.Kind != "":
		v.State = l.Kind
	case p.ready > 0:
		v.State = "ready"
	case p.resting > 0:
		v.State, v.Until = "resting", p.until
	default:
		v.State = "needs_you"
	}
	return v
}

func yesOrNo(k canon.Known3) string {
	switch k {
	case canon.Yes:
		return "yes"
	case canon.No:
		return "no"
	default:
		return ""
	}
}

func (b *Backend) aliasViews(cfg *config.Config) []api.AliasView {
	out := []api.AliasView{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routing.Aliases)) {
		target := cfg.Routing.Aliases[name]
		v := api.AliasView{Name: name, Target: target, Scope: "global", LockedBy: b.lockedBy("routing.aliases." + name)}
		if head, _, named := strings.Cut(target, "/"); named {
			if k, ok := b.offered(newID(head)); ok {
				v.Provider = k.info.ID
			}
		}
		out = append(out, v)
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.Providers)) {
		names := cfg.Providers[id].Aliases
		for _, name := range slices.Sorted(maps.Keys(names)) {
			out = append(out, api.AliasView{Name: name, Target: names[name], Scope: "provider", Provider: id, LockedBy: b.lockedBy("providers." + id + ".aliases." + name)})
		}
	}
	for _, a := range b.accounts.List() {
		names := namesOf(a.Settings)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			out = append(out, api.AliasView{Name: name, Target: names[name], Scope: "account", Provider: a.Provider, Account: a.ID, Label: a.Name})
		}
	}
	return out
}

func newID(name string) string {
	for old, id := range config.OldNames {
		if strings.EqualFold(old, name) {
			return id
		}
	}
	return name
}

// setOrUnset writes a setting, or takes it out where value is "".
func (b *Backend) setOrUnset(key, value string) error {
	if value == "" {
		return b.settings.Unset(key)
	}
	return b.settings.Set(key, value)
}

// named gives an error of the settings the name of the field of the call.
func named(field string, err error) error {
	if err == nil {
		return nil
	}
	e := *apierror.From(explain(err))
	if e.Kind == apierror.InvalidRequest {
		e.Param = field
	}
	return &e
}

// yamlList writes a list as a setting is given.
func yamlList(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quoteYAML(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func quoteYAML(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
}

// SetChain implements api.Service.
func (b *Backend) SetChain(ctx context.Context, c api.ChainChange) (api.RoutingView, error) {
	steps, err := b.steps("steps", c.Steps)
	if err != nil {
		return api.RoutingView{}, err
	}
	value := ""
	if len(steps) > 0 {
		value = yamlList(steps)
	}
	if err := b.setOrUnset("routing.chains."+c.Of, value); err != nil {
		return api.RoutingView{}, named("steps", err)
	}
	return b.Routing(ctx)
}

// steps checks the steps of a chain against the model lists: what is not listed anywhere would fail when it is needed.
func (b *Backend) steps(field string, steps []string) ([]string, error) {
	out := make([]string, 0, len(steps))
	for _, s := range steps {
		s = strings.TrimSpace(s)
		if s == "" {
			return nil, apierror.Invalid(field, "a step is empty: name a provider, or provider/model")
		}
		out = append(out, s)
		id, model, named := strings.Cut(s, "/")
		if _, ok := b.offered(newID(id)); !ok {
			return nil, apierror.Invalid(field, "there is no provider %q; `patchbay providers` lists them", id)
		}
		if !named {
			continue
		}
		if ok, near := b.router.Lists(newID(id), model); !ok {
			e := apierror.Invalid(field, "%s does not list the model %q", id, model)
			if len(near) > 0 {
				e.Msg += "; did you mean " + strings.Join(near, ", ") + "?"
			} else {
				e.Msg += "; if it has it all the same, add it to providers." + newID(id) + ".extra_models"
			}
			return nil, e
		}
	}
	return out, nil
}

// SetAlias implements api.Service.
func (b *Backend) SetAlias(ctx context.Context, a api.AliasChange) (api.RoutingView, error) {
	switch {
	case a.Account != "":
		st, ok := b.accounts.Get(a.Account)
		if !ok {
			return api.RoutingView{}, apierror.Invalid("account", "there is no account %q; it may have been removed", a.Account)
		}
		names := namesOf(st.Settings)
		if names[a.Name] = a.Target; a.Target == "" {
			delete(names, a.Name)
		}
		if _, err := b.ChangeAccount(ctx, a.Account, api.AccountChange{ModelNames: &names}); err != nil {
			return api.RoutingView{}, named("target", err)
		}
	case a.Provider != "":
		if _, ok := b.offered(a.Provider); !ok {
			return api.RoutingView{}, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", a.Provider)
		}
		if err := b.setOrUnset("providers."+a.Provider+".aliases."+a.Name, a.Target); err != nil {
			return api.RoutingView{}, named("target", err)
		}
	default:
		if err := b.setOrUnset("routing.aliases."+a.Name, a.Target); err != nil {
			return api.RoutingView{}, named("target", err)
		}
	}
	return b.Routing(ctx)
}

// SetModelFallback implements api.Service.
func (b *Backend) SetModelFallback(ctx context.Context, f api.ModelFallbackChange) (api.RoutingView, error) {
	targets, err := b.steps("targets", f.Targets)
	if err != nil {
		return api.RoutingView{}, err
	}
	value := ""
	if len(targets) > 0 {
		value = yamlList(targets)
	}
	if err := b.setOrUnset("routing.model_fallback."+f.Model, value); err != nil {
		return api.RoutingView{}, named("targets", err)
	}
	return b.Routing(ctx)
}

// SetHidden implements api.Service.
func (b *Backend) SetHidden(ctx context.Context, patterns []string) (api.RoutingView, error) {
	value := ""
	if len(patterns) > 0 {
		value = yamlList(patterns)
	}
	if err := b.setOrUnset("routing.hidden", value); err != nil {
		return api.RoutingView{}, named("patterns", err)
	}
	return b.Routing(ctx)
}

// SetThinking implements api.Service.
func (b *Backend) SetThinking(ctx context.Context, t api.ThinkingChange) (api.RoutingView, error) {
	if _, ok := b.offered(t.Provider); !ok {
		return api.RoutingView{}, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", t.Provider)
	}
	for _, m := range []struct {
		field string
		value *string
	}{{"default", t.Default}, {"max", t.Max}} {
		if m.value == nil {
			continue
		}
		if err := b.setOrUnset("providers."+t.Provider+".thinking."+m.field, *m.value); err != nil {
			return api.RoutingView{}, named(m.field, err)
		}
	}
	return b.Routing(ctx)
}

// Explain implements api.Service.
func (b *Backend) Explain(ctx context.Context, q api.RouteQuery) (api.RouteView, error) {
	if b.Base() == "" {
		b.refreshLists(ctx) // nobody else has read the lists in this process
	}
	caller := gateway.Caller{HeaderProvider: q.HeaderProvider}
	format := cmp.Or(q.Protocol, "openai")
	if !slices.Contains([]string{"openai", "responses", "anthropic", "gemini", "ollama"}, format) {
		return api.RouteView{}, apierror.Invalid("protocol", "%q is no protocol: use openai, responses, anthropic, gemini or ollama", format)
	}
	if q.PathProvider != "" {
		id, kind := b.router.ResolvePath(q.PathProvider)
		if kind != route.PathProvider && kind != route.PathAuto {
			return api.RouteView{}, apierror.Invalid("path_provider", "there is no provider %q; `patchbay providers` lists them", q.PathProvider)
		}
		caller.PathProvider = id
	}
	if q.Key != "" {
		keys := b.keys.List()
		i := slices.IndexFunc(keys, func(k clientkey.Key) bool { return k.ID == q.Key })
		if i < 0 {
			return api.RouteView{}, apierror.Invalid("key", "there is no client key %q", q.Key)
		}
		k := keys[i]
		caller.KeyID, caller.KeyName, caller.Limits = k.ID, k.Name, &k.Limits
	}
	f := b.gateway.Lookup(ctx, gateway.Lookup{
		Model: q.Model, Format: format, PromptTokens: q.Tokens,
		Needs: route.Needs{Tools: q.Needs.Tools, Images: q.Needs.Images, Documents: q.Needs.Documents, Thinking: q.Needs.Thinking, Output: q.MaxOutput},
	}, caller)
	return b.routeView(f), nil
}

func (b *Backend) routeView(f gateway.Found) api.RouteView {
	v := api.RouteView{Answer: api.RouteAnswer{Outcome: "account", Rule: f.Rule}, Trace: f.Trace}
	if v.Trace == nil {
		v.Trace = []trace.Step{}
	}
	a := &v.Answer
	if c := f.Candidate; c != nil {
		a.Provider, a.Name, a.Model, a.Account, a.Label = c.Provider, b.nameOf(c.Provider), c.Model, f.Account, f.Label
	}
	if f.Err == nil {
		return v
	}
	e := apierror.From(f.Err)
	a.Kind, a.Message, a.Status, a.Until = e.Kind.String(), e.Msg, gateway.Status(e), gateway.Until(e)
	if a.Outcome = "nobody"; f.Candidate == nil {
		a.Outcome = "refused"
	}
	return v
}
