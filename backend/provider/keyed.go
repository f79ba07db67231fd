package provider

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"

	"patchbay/backend/apierror"
)

// What the drivers of services by key have in common.

// List splits a setting that is a comma list and drops what is blank.
func List(s string) []string {
	out := strings.Split(s, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// KeyHeader tells the header that carries an account's key and what stands before the key: as the settings say, else the
// header name fallback. A key in Authorization is a bearer token unless the settings say otherwise.
func KeyHeader(settings map[string]string, fallback string) (name, prefix string) {
	name = cmp.Or(settings[SettingAuthHeader], fallback)
	prefix, set := settings[SettingAuthPrefix]
	if !set && strings.EqualFold(name, "Authorization") {
		prefix = "Bearer"
	}
	if prefix != "" && isLetter(prefix[len(prefix)-1]) { // forms trim the space
		prefix += " "
	}
	return name, prefix
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// Complete returns env with what may be missing in it filled in. An Env without connections is an error.
func (env Env) Complete(info Info) (Env, error) {
	if env.HTTP == nil {
		return env, apierror.New(apierror.Internal, "this account has no connection set up")
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Provider == "" {
		env.Provider = info.ID
	}
	return env, nil
}

// KeyFields are the settings that every service by key has.
func KeyFields() []Field {
	return []Field{
		{Key: SettingBaseURL, Label: "Base URL", Kind: "url"},
		{Key: SettingAuthHeader, Label: "Header for the key", Kind: "text"},
		{Key: SettingAuthPrefix, Label: "Text before the key", Kind: "text"},
		{Key: SettingHeaderPrefix, Label: "Further headers", Kind: "headers"},
		{Key: SettingModels, Label: "Models, instead of the service's list", Kind: "list"},
	}
}
