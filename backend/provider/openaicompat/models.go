package openaicompat

import (
	"context"
	"regexp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/openai"
)

// Models lists what the service has: the person's own list, else the service's. Many gateways have no list at all; that
// is no fault of the key.
func (u *upstream) Models(ctx context.Context) ([]canon.Model, error) {
	if names := provider.List(u.env.Settings[provider.SettingModels]); len(names) > 0 {
		out := make([]canon.Model, len(names))
		for i, n := range names {
			out[i] = openai.KnownModel(n)
			out[i].ID = n
		}
		return out, nil
	}
	if u.special.NoList {
		return nil, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("model list", transport.ListLimit))
	defer cancel()
	models, err := u.listed(ctx)
	if transport.Missing(err) {
		return nil, nil
	}
	return models, err
}

// listed asks the special address of a service first, where it has one: what cannot be had there may stand at the usual one.
func (u *upstream) listed(ctx context.Context) ([]canon.Model, error) {
	if u.list != "" {
		if models, err := u.fetchList(ctx, u.list); err == nil && len(models) > 0 {
			return models, nil
		}
	}
	return u.fetchList(ctx, u.base+"/models")
}

func (u *upstream) fetchList(ctx context.Context, address string) ([]canon.Model, error) {
	call, cred, err := u.callAs(ctx, "")
	if err != nil {
		return nil, call.Fill(err)
	}
	call.URL = address
	call.Header.Del("Content-Type")
	body, err := u.get(ctx, call, cred, transport.MaxList)
	if err != nil {
		return nil, err
	}
	models, err := openai.ParseModels(body)
	if err != nil {
		return nil, call.Fill(err)
	}
	return models, nil
}

// versioned matches an address whose path names a version of the API: "/v1", "/api/paas/v4", "/v1beta/openai".
var versioned = regexp.MustCompile(`/v[0-9]+[a-z0-9]*(/|$)`)

// Test asks for the model list, which costs nothing. An address without a version is tried with /v1 as well, and the one
// that works is told, so that nobody has to guess it at every call.
func (u *upstream) Test(ctx context.Context) (provider.Tested, error) {
	if u.special.NoList {
		_, err := u.credential(ctx)
		return provider.Tested{Note: "the service has no model list, so the login could not be checked without spending anything"}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*transport.ListLimit, transport.LimitError("model list", 2*transport.ListLimit))
	defer cancel()
	models, err := u.listed(ctx)
	if err == nil && len(models) > 0 {
		return provider.Tested{Models: len(models)}, nil
	}
	if err != nil && apierror.KindOf(err) == apierror.Transport { // nobody is there: another path will not help
		return provider.Tested{}, err
	}
	if !versioned.MatchString(u.base) {
		other := u.base + "/v1"
		if found, again := u.fetchList(ctx, other+"/models"); again == nil && len(found) > 0 {
			return provider.Tested{BaseURL: other, Models: len(found)}, nil
		} else if err == nil || transport.Missing(err) {
			err = again
			if refusesKey(again) { // a service stands there, and it looked at the key
				return provider.Tested{BaseURL: other}, again
			}
		}
	}
	if err == nil || transport.Missing(err) {
		return provider.Tested{Note: "the service has no model list, so the key could not be checked without spending anything"}, nil
	}
	return provider.Tested{}, err
}

func refusesKey(err error) bool {
	k := apierror.KindOf(err)
	return k == apierror.AuthExpired || k == apierror.AccountBlocked
}
