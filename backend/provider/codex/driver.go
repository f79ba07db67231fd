// Package codex has the driver for OpenAI's Codex by a ChatGPT login: the Responses service behind ChatGPT, its sign-ins in the
// browser and by code, its model list, and the windows of the plan. The wire format is in backend/wire/responses.
package codex

import (
	"sync"
	"time"

	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/responses"
)

// What the service demands. All of it captured from Codex CLI 0.169.0, unless something else is said.
const (
	issuer  = "https://auth.openai.com"
	baseURL = "https://chatgpt.com/backend-api/codex"
	// client is the public registration of OpenAI's own Codex programs. The service has no other one for this sign-in.
	client = "app_EMoamEEZ73f0CkXaXp7hrann"
	// protocolLevel is what the model list is asked for: models that demand more are left out of it. It says which protocol
	// is spoken, not which program speaks it.
	protocolLevel = "0.169.0"
	// originator says which program this is. OpenAI's own programs send other names.
	originator = "patchbay"
)

const settingLevel = "client_version"

// Driver serves Codex.
type Driver struct {
	info *provider.Info // nil = built in
}

var (
	_ provider.Driver              = Driver{}
	_ provider.Authenticator       = Driver{}
	_ provider.URLAuthenticator    = Driver{}
	_ provider.DeviceAuthenticator = Driver{}
	_ provider.Completer           = Driver{}
)

var builtIn = provider.Info{
	ID: "codex", Name: "Codex", Aliases: []string{"openai-codex-oauth"}, Labels: []string{"OpenAI Codex"}, Wire: responses.Name,
	Status: provider.StatusActive, BaseURL: baseURL,
	Logins: []provider.Login{
		{
			Kind: provider.LoginBrowser, Label: "Sign in with ChatGPT", Text: "Uses the Codex allowance of your ChatGPT plan.",
			AuthURL: issuer + "/oauth/authorize", TokenURL: issuer + "/oauth/token", Client: client, PKCE: true,
			// Codex CLI 0.169.0 asks for connectors as well; for answers these are enough (openai/codex and router-for-me/CLIProxyAPI, 2026-08).
			Scopes: []string{"openid", "profile", "email", "offline_access"},
			Params: map[string]string{"id_token_add_organizations": "true", "codex_cli_simplified_flow": "true", "originator": originator},
			// Host, path and ports stand in the registration.
			CallbackHost: "localhost", CallbackPath: "/auth/callback", CallbackPorts: []int{1455, 1457},
		},
		{
			Kind: provider.LoginDevice, Label: "Sign in with a code", Text: "For a machine without a browser. The workspace must allow it in its security settings.",
			TokenURL: issuer + "/oauth/token", Client: client,
		},
		{
			Kind: provider.LoginKey, Label: "Access token", Text: "Works until the token ends, some days, and cannot be renewed. Sign in instead where you can.",
		},
	},
	Fields: []provider.Field{
		{Key: provider.SettingBaseURL, Label: "Base URL", Kind: "url"},
		{Key: settingLevel, Label: "Protocol level for the model list", Kind: "text", Default: protocolLevel},
		{Key: provider.SettingModels, Label: "Models, instead of the service's list", Kind: "list"},
	},
	Files:  files,
	Models: catalogue(),
	Risk: &provider.Risk{
		Level: "low", Since: "2026-11-22",
		Text: "OpenAI tolerates other programs on a ChatGPT plan, for the person whose account it is: no sharing, no resale. " +
			"Do not use one login in two programs: each renewal ends the other one's login, so sign in here instead of copying auth.json.",
	},
	Policy: provider.Policy{
		Repeats: 2, ShortWait: 5 * time.Second, Idle: transport.IdleLimit,
		RefreshLead: 24 * time.Hour, // tokens live for about ten days
	},
}

// Info describes the service.
func (d Driver) Info() provider.Info {
	if d.info == nil {
		return builtIn
	}
	return *d.info
}

// Open prepares the service for one account.
func (d Driver) Open(env provider.Env) (provider.Upstream, error) {
	raw, own := env.Settings[provider.SettingBaseURL], false
	if raw == "" {
		raw, own = baseURL, true
	}
	base, err := transport.BaseURL(raw, "/responses/compact", "/responses", "/models")
	if err != nil {
		return nil, err
	}
	info := d.Info()
	if env, err = env.Complete(info); err != nil {
		return nil, err
	}
	return &upstream{
		env: env, base: base, own: own, idle: transport.Idle(env.Settings[provider.SettingIdle], info.Policy.Idle, base),
	}, nil
}

// upstream is the service for one account.
type upstream struct {
	env  provider.Env
	base string
	own  bool // base is the service's own address, so that what the service says of other addresses of it counts
	idle time.Duration

	mu         sync.Mutex // guards what follows
	seen       []provider.Quota
	seenAt     time.Time
	asked      time.Time // when the quota was last asked for
	challenges int       // pages of the edge in a row
	turns      turnStates
}

var (
	_ provider.Upstream      = (*upstream)(nil)
	_ provider.Compactor     = (*upstream)(nil)
	_ provider.QuotaReporter = (*upstream)(nil)
	_ provider.Tester        = (*upstream)(nil)
)

// note reads a fact that was remembered of the account.
func (u *upstream) note(key string) string {
	if u.env.Note == nil {
		return ""
	}
	return u.env.Note(key)
}

func (u *upstream) remember(key, value string) {
	if u.env.Remember != nil && u.note(key) != value {
		u.env.Remember(key, value)
	}
}

// catalogue is the fallback for the model list: what Codex CLI 0.169.0 brings along and shows, as of 2026-11-22. Which of them an
// account may use depends on its plan.
func catalogue() []canon.Model {
	toMax := []string{"low", "medium", "high", "xhigh", "max"}
	var out []canon.Model
	for _, m := range []struct {
		id      string
		context int64
		efforts []string
	}{
		{"gpt-6.1-sol", 272_000, toMax}, {"gpt-6.1-terra", 500_000, toMax}, {"gpt-6-astra", 272_000, toMax}, {"gpt-6-sol", 272_000, toMax},
		{"gpt-6-luna", 272_000, toMax}, {"gpt-5.6-sol", 272_000, toMax}, {"gpt-5.6-terra", 272_000, toMax}, {"gpt-5.6-luna", 272_000, toMax},
		{"gpt-5.5", 272_000, toMax[:4]},
	} {
		out = append(out, canon.Model{
			ID: m.id, Context: m.context, Efforts: m.efforts, Tools: canon.Yes, Images: canon.Yes, Thinking: canon.Yes, Sampling: canon.No, Schema: canon.Yes,
		})
	}
	return out
}
