// Package kiro is the driver for Kiro, Amazon's coding assistant (CodeWhisperer and Amazon Q Developer before), with a
// person's own login: Google or GitHub, AWS Builder ID, an organisation's IAM Identity Center, or an API key of a paid plan. Its
// wire format is its own and stands in this package: one JSON request that holds the whole conversation, and an answer in
// AWS's binary event stream.
//
// What the service demands of a client, and where that is known from, is in constants.go.
package kiro

import (
	"strings"
	"time"

	"patchbay/backend/provider"
	"patchbay/backend/transport"
)

// Wire is the name of the wire format. No client speaks it.
const Wire = "kiro"

// Driver serves Kiro. The zero value is ready.
type Driver struct {
	idle time.Duration // silence inside an answer; 0 = the policy's. Tests set it.
}

var (
	_ provider.Driver              = Driver{}
	_ provider.Authenticator       = Driver{}
	_ provider.URLAuthenticator    = Driver{}
	_ provider.DeviceAuthenticator = Driver{}
	_ provider.Completer           = Driver{}
)

// Settings of accounts, besides those that every provider has.
const (
	settingProfile    = "profile_arn"
	settingRegion     = "api_region"
	settingWire       = "wire"
	settingVersion    = "ide_version"
	settingLeaks      = "text_calls"
	settingStart      = "start_url"
	settingSSORegion  = "sso_region"
	settingAuth       = "auth_url"
	settingPortal     = "portal_url"
	settingOIDC       = "oidc_url"
	settingRuntime    = "runtime_url"
	settingQ          = "q_url"
	settingCW         = "codewhisperer_url"
	settingManagement = "management_url"
)

// Ids of the ways to sign in.
const (
	loginGoogle  = "google"
	loginGithub  = "github"
	loginBrowser = "social"
	loginBuilder = "builder-id"
	loginIDC     = "idc"
	loginKey     = "key"
)

var info = provider.Info{
	ID: "kiro", Name: "Kiro", Aliases: []string{"claude-kiro-oauth"}, Labels: []string{"Kiro OAuth"}, Wire: Wire,
	Status: provider.StatusActive, Off: true, BaseURL: ownBase, KeyURL: defaultPortal, KeyEnv: []string{"KIRO_API_KEY"},
	Models: fallbackModels(),
	Risk: &provider.Risk{
		Level: "reported", Since: "2026-11-22",
		Text: "Kiro's terms are reported to forbid driving a subscription from other programs, and accounts of people who did so were suspended in 2026. " +
			"Patchbay signs in with your own account and names Kiro's program towards the service, which lets no other in. Use it at your own risk",
	},
	Policy: provider.Policy{
		Repeats: 2, ShortWait: 2 * time.Second, FirstEvent: 180 * time.Second, Idle: 300 * time.Second,
		RefreshLead: refreshLead, RefreshParallel: 1, RefreshSpread: 3 * time.Second,
	},
	Logins: []provider.Login{
		{ID: loginGoogle, Kind: provider.LoginDevice, Label: "Google", Text: "Opens Kiro's page for a Google account."},
		{ID: loginGithub, Kind: provider.LoginDevice, Label: "GitHub", Text: "Opens Kiro's page for a GitHub account."},
		{ID: loginBuilder, Kind: provider.LoginDevice, Label: "AWS Builder ID", Text: "Opens AWS's page for a Builder ID."},
		{ID: loginIDC, Kind: provider.LoginDevice, Label: "Organisation (IAM Identity Center)", Text: "Opens your organisation's page.",
			Fields: []provider.Field{
				{Key: settingStart, Label: "Start URL, for example https://d-1234567890.awsapps.com/start", Kind: "url", Required: true},
				{Key: settingSSORegion, Label: "AWS region of the directory, if you know it", Kind: "text"},
				{Key: settingProfile, Label: "Profile ARN, if you have several profiles", Kind: "text"},
			}},
		{ID: loginBrowser, Kind: provider.LoginBrowser, Label: "Browser (Google or GitHub)", Text: "The browser comes back to this machine by itself.",
			PKCE: true, BareRedirect: true, CallbackHost: "localhost", CallbackPath: "/oauth/callback", CallbackPaths: []string{"/signin/callback"},
			CallbackPorts: callbackPorts},
		{ID: loginKey, Kind: provider.LoginKey, Label: "API key (begins with ksk_, paid plans)"},
	},
	Fields: []provider.Field{
		{Key: provider.SettingBaseURL, Label: "Base URL, instead of Kiro's own hosts", Kind: "url"},
		{Key: settingProfile, Label: "Profile ARN", Kind: "text"},
		{Key: settingRegion, Label: "Region of the API", Kind: "text", Options: []string{regionUS, regionEU}},
		{Key: settingWire, Label: "Form of requests", Kind: "text", Default: "auto", Options: []string{"auto", "A", "B"}},
		{Key: settingVersion, Label: "Version of Kiro's program to name", Kind: "text"},
		{Key: settingLeaks, Label: "Take calls that a model prints as text for calls", Kind: "text", Default: "on", Options: []string{"on", "off"}},
		{Key: provider.SettingModels, Label: "Models, instead of the service's list", Kind: "list"},
		{Key: settingAuth, Label: "Sign-in service", Kind: "url"},
		{Key: settingPortal, Label: "Sign-in page", Kind: "url"},
		{Key: settingOIDC, Label: "AWS SSO", Kind: "url"},
		{Key: settingRuntime, Label: "Inference host", Kind: "url"},
		{Key: settingQ, Label: "Older inference host", Kind: "url"},
		{Key: settingCW, Label: "Oldest inference host", Kind: "url"},
		{Key: settingManagement, Label: "Management host", Kind: "url"},
	},
	Files: files,
}

// Info describes the service.
func (d Driver) Info() provider.Info {
	i := info
	if d.idle > 0 {
		i.Policy.Idle = d.idle
	}
	return i
}

// Open prepares the service for one account.
func (d Driver) Open(env provider.Env) (provider.Upstream, error) {
	env, err := env.Complete(d.Info())
	if err != nil {
		return nil, err
	}
	h, err := hostsOf(env.Settings)
	if err != nil {
		return nil, err
	}
	return &upstream{env: env, hosts: h, idle: transport.Idle(env.Settings[provider.SettingIdle], d.Info().Policy.Idle, h.runtime)}, nil
}

// hosts are where the parts of the service are; {region} stands for a region.
type hosts struct{ auth, portal, oidc, runtime, q, cw, management string }

// ownBase is where most accounts are answered; regionStandIn is a region's place in an address while it is checked.
var ownBase = in(defaultRuntime, regionUS)

const regionStandIn = "region-of-the-account"

// hostsOf reads the settings. A base URL stands for all hosts of the API, a login URL for those of the sign-in, which see codes
// and refresh tokens; each has a path of its own there.
func hostsOf(settings map[string]string) (hosts, error) {
	h := hosts{defaultAuth, defaultPortal, defaultOIDC, defaultRuntime, defaultQ, defaultCW, defaultManagement}
	const api, login = provider.SettingBaseURL, provider.SettingLoginURL
	list := []struct {
		dst             *string
		key, path, base string
	}{
		{&h.auth, settingAuth, "/auth", login}, {&h.portal, settingPortal, "/portal", login}, {&h.oidc, settingOIDC, "/oidc", login},
		{&h.runtime, settingRuntime, "/runtime", api}, {&h.q, settingQ, "/q", api}, {&h.cw, settingCW, "/codewhisperer", api},
		{&h.management, settingManagement, "/management", api},
	}
	for _, e := range list {
		raw := settings[e.base]
		if raw == "" || raw == ownBase {
			continue
		}
		base, err := transport.BaseURL(raw)
		if err != nil {
			return h, err
		}
		*e.dst = base + e.path
	}
	for _, e := range list {
		if raw := settings[e.key]; raw != "" {
			base, err := transport.BaseURL(strings.ReplaceAll(raw, "{region}", regionStandIn))
			if err != nil {
				return h, err
			}
			*e.dst = strings.ReplaceAll(base, regionStandIn, "{region}")
		}
	}
	return h, nil
}

// in puts a region into a host.
func in(host, region string) string { return strings.ReplaceAll(host, "{region}", region) }
