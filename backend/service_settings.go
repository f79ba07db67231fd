package backend

import (
	"context"
	"strings"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
)

// Settings implements api.Service.
func (b *Backend) Settings(_ context.Context, provider string) (api.SettingsView, error) {
	if provider != "" {
		if _, ok := b.offered(provider); !ok {
			return api.SettingsView{}, apierror.Invalid("provider", "there is no provider %q", provider)
		}
	}
	v := api.SettingsView{Path: b.settings.Path()}
	if p := b.settings.Problem(); p != nil {
		v.Problem = &api.SettingsProblem{Message: p.Err.Error(), Since: p.Since}
		if list := config.Errors(p.Err); len(list) > 0 {
			first := list[0]
			v.Problem.Message, v.Problem.Key, v.Problem.Line, v.Problem.Excerpt = first.Msg, first.Key, first.Line, first.Excerpt
		}
	}
	for _, f := range b.settings.Describe(provider) {
		v.Items = append(v.Items, settingView(f))
	}
	return v, nil
}

func settingView(f config.Field) api.SettingView {
	v := api.SettingView{
		Key: f.Key, Section: f.Section, Kind: f.Kind, About: f.About, Unit: f.Unit, Allowed: f.Allowed, Value: f.Value, Default: f.Default,
		Source: string(f.Source.Kind), Variable: f.Variable,
	}
	switch f.Source.Kind {
	case config.FromFile:
		v.Line = f.Source.Line
	case config.FromEnv, config.FromFlag:
		v.From, v.Locked = f.Source.Name, true
	}
	if f.Source.Kind == config.FromEnv {
		v.Source = "env"
	}
	return v
}

// ChangeSettings implements api.Service.
func (b *Backend) ChangeSettings(ctx context.Context, values map[string]any) (api.SettingsView, error) {
	for key, v := range values {
		if text, ok := v.(string); ok && strings.Contains(text, "[secret]") {
			return api.SettingsView{}, apierror.Invalid(key, "what is shown as [secret] cannot be given back: write it out, or leave this setting alone")
		}
	}
	if err := b.changeSettings(ctx, values); err != nil {
		return api.SettingsView{}, explain(err)
	}
	return b.Settings(ctx, "")
}
