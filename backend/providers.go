package backend

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"patchbay/backend/config"
	"patchbay/backend/preset"
	"patchbay/backend/provider"
	"patchbay/backend/provider/anthropiccompat"
	"patchbay/backend/provider/codeassist"
	"patchbay/backend/provider/codex"
	"patchbay/backend/provider/forward"
	"patchbay/backend/provider/geminiapi"
	"patchbay/backend/provider/iflow"
	"patchbay/backend/provider/kiro"
	"patchbay/backend/provider/ollamaapi"
	"patchbay/backend/provider/openaicompat"
	"patchbay/backend/provider/qwen"
	"patchbay/backend/route"
	"patchbay/backend/transport"
)

// providers is every upstream service Patchbay knows by itself, in the order people see them.
var providers = []provider.Driver{
	openaicompat.Driver{},
	openaicompat.Responses{},
	anthropiccompat.Driver{},
	geminiapi.Driver{},
	codex.Driver{},
	codeassist.Antigravity(),
	kiro.Driver{},
	codeassist.GeminiCLI(),
	qwen.New(),
	iflow.New(),
	forward.Driver{},
}

// kinds makes the driver of a provider that a person added, by its kind.
var kinds = map[string]func(provider.Info) provider.Driver{
	"openai":           func(i provider.Info) provider.Driver { return openaicompat.New(i) },
	"openai-responses": func(i provider.Info) provider.Driver { return openaicompat.NewResponses(i) },
	"anthropic":        func(i provider.Info) provider.Driver { return anthropiccompat.New(i) },
	"gemini":           func(i provider.Info) provider.Driver { return geminiapi.New(i) },
	"ollama":           func(i provider.Info) provider.Driver { return ollamaapi.New(i) },
	"forward":          func(i provider.Info) provider.Driver { return forward.New(i) },
}

// offered is one provider under the settings of the moment.
type offered struct {
	driver   provider.Driver
	info     provider.Info
	own      bool   // a person added it
	preset   string // the service it is by the person's word, "" = none
	enabled  bool
	settings map[string]string
}

// offers are the providers that the settings leave, built-in ones first, then a person's own by id.
func offers(cfg *config.Config, presets *preset.Set) []offered {
	var out []offered
	known := map[string]bool{}
	for _, d := range providers {
		id := d.Info().ID
		known[id] = true
		out = append(out, offer(d, cfg, id, cfg.Providers[id]))
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.Providers)) {
		if known[id] {
			continue
		}
		p := cfg.Providers[id]
		info := provider.Info{ID: id, Status: provider.StatusActive, NoKey: true}
		if pre, ok := presets.Get(p.Preset); ok {
			p = pre.Under(p)
			describe(&info, pre, presets)
		}
		make, ok := kinds[p.Kind]
		if !ok {
			continue // what this version cannot serve is refused where the settings are checked
		}
		info.Name, info.Wire, info.BaseURL = nameOf(id, p), p.Kind, p.BaseURL
		o := offer(make(info), cfg, id, p)
		o.own, o.preset = true, cfg.Providers[id].Preset
		out = append(out, o)
	}
	return out
}

// describe puts what a preset knows into the description of a provider.
func describe(info *provider.Info, p preset.Preset, presets *preset.Set) {
	info.KeyURL, info.KeyEnv, info.NoKey = p.KeyURL, p.KeyEnv, p.NoKey
	info.Models, info.Static, info.Only, info.Hide = p.List(), p.Models.List == preset.ListStatic, p.Models.Only, p.Models.Hide
	info.Regions, info.ModelsURL = presets.Elsewhere(p.ID), p.Models.URL
}

func nameOf(id string, p config.Provider) string {
	if p.Name != "" {
		return p.Name
	}
	return id
}

// offer is a provider under the settings p, which may have a preset below them.
func offer(d provider.Driver, cfg *config.Config, id string, p config.Provider) offered {
	o := offered{driver: d, info: d.Info(), enabled: !d.Info().Off, settings: settingsOf(p)}
	if p.Name != "" {
		o.info.Name = p.Name
	}
	if p.Enabled != nil {
		o.enabled = *p.Enabled
	}
	// The default is left out: a driver knows better for a server on this machine.
	switch idle := cfg.TimeoutsFor(id).Idle; {
	case idle == 0:
		o.settings[provider.SettingIdle] = transport.NoLimit
	case idle != config.Default().Timeouts.Idle || p.Timeouts.Idle != 0:
		o.settings[provider.SettingIdle] = idle.String()
	}
	if hosts := strings.Join(cfg.Media.AllowedHosts, ","); hosts != "" {
		o.settings[provider.SettingMediaHosts] = hosts
	}
	return o
}

// settingsOf are a provider's settings in the form that drivers read.
func settingsOf(p config.Provider) map[string]string {
	s := map[string]string{}
	set := func(key, value string) {
		if value != "" {
			s[key] = value
		}
	}
	set(provider.SettingBaseURL, p.BaseURL)
	set(provider.SettingLoginURL, p.LoginURL)
	set(provider.SettingAuthHeader, p.AuthHeader)
	set(provider.SettingAuthPrefix, p.AuthPrefix)
	set(provider.SettingModels, strings.Join(p.Models, ","))
	set(provider.SettingQuirks, strings.Join(p.Quirks, ","))
	if n := p.Limits.Concurrent; n > 0 {
		set(provider.SettingConcurrent, strconv.Itoa(n))
	}
	for name, value := range p.Headers {
		set(provider.SettingHeaderPrefix+name, value)
	}
	return s
}

// defaultPriority is the place of a provider whose settings name none.
const defaultPriority = 100

// routed are the offers as the router sees them.
func routed(list []offered, cfg *config.Config) []route.Provider {
	out := make([]route.Provider, 0, len(list))
	for _, o := range list {
		p := cfg.Providers[o.info.ID]
		r := route.Provider{
			ID: o.info.ID, Name: o.info.Name, Aliases: slices.Clone(o.info.Aliases), Labels: o.info.Labels, Wire: o.info.Wire,
			Priority: p.Priority, Enabled: o.enabled, Raw: o.info.Raw, Models: p.Aliases,
		}
		if r.Priority <= 0 {
			r.Priority = defaultPriority
		}
		for old, id := range config.OldNames {
			if id == r.ID && !slices.Contains(r.Aliases, old) {
				r.Aliases = append(r.Aliases, old)
			}
		}
		out = append(out, r)
	}
	return out
}
