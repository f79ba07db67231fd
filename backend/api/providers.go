package api

import (
	"net/http"

	"patchbay/backend/apierror"
)

var providerEndpoints = []endpoint{
	{pattern: "GET /api/providers", call: listProviders, gives: of[items[ProviderView]](), about: "The providers in the order of the window"},
	{pattern: "GET /api/presets", call: listPresets, gives: of[items[PresetView]](), about: "The services that may be added by name"},
	{
		pattern: "POST /api/providers", call: addProvider, takes: of[NewProvider](), gives: of[ProviderView](), status: http.StatusCreated,
		about: "Adds a provider: an id, and a preset, or a kind and a base_url",
	},
	{pattern: "GET /api/default-provider", call: getDefault, gives: of[provider](), about: "The default provider, empty if none is set"},
	{
		pattern: "PUT /api/default-provider", call: setDefault, takes: of[provider](), gives: of[provider](),
		about: "Sets the default provider; an empty one unsets it",
	},
	{
		pattern: "GET /api/models", call: listModels, gives: of[items[ModelView]](),
		query: []param{{"provider", "string", "only its models"}}, about: "What apps see as models",
	},
	{
		pattern: "POST /api/models/refresh", call: refreshModels, status: http.StatusNoContent,
		query: []param{{"provider", "string", "only this service"}}, about: "Asks the services for their models anew",
	},
}

func listProviders(svc Service, r *http.Request) (any, error) {
	return list(svc.Providers(r.Context()))
}

func listPresets(svc Service, r *http.Request) (any, error) { return list(svc.Presets(r.Context())) }

func addProvider(svc Service, r *http.Request) (any, error) {
	var p NewProvider
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	needed := []struct{ name, value string }{{"id", p.ID}, {"kind", p.Kind}, {"base_url", p.BaseURL}}
	if p.Preset != "" {
		needed = needed[:1]
		if p.Kind != "" {
			return nil, apierror.Invalid("kind", "the preset says what the service speaks: leave out the kind, or the preset")
		}
	}
	for _, m := range needed {
		if m.value == "" {
			return nil, apierror.Invalid(m.name, "a provider needs an id, and a preset or a kind and a base_url")
		}
	}
	return svc.AddProvider(r.Context(), p)
}

func getDefault(svc Service, r *http.Request) (any, error) {
	id, err := svc.DefaultProvider(r.Context())
	return provider{id}, err
}

func setDefault(svc Service, r *http.Request) (any, error) {
	var p provider
	if err := decode(r.Body, &p); err != nil {
		return nil, err
	}
	return p, svc.SetDefaultProvider(r.Context(), p.Provider)
}

func listModels(svc Service, r *http.Request) (any, error) {
	return list(svc.Models(r.Context(), r.FormValue("provider")))
}

func refreshModels(svc Service, r *http.Request) (any, error) {
	return nil, svc.RefreshModels(r.Context(), r.FormValue("provider"))
}
