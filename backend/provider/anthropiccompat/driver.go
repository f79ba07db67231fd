// Package anthropiccompat is the driver for services that speak Anthropic Messages: Anthropic itself by API key, and
// whatever a person adds as a provider of kind "anthropic". What a service does differently is data. The wire format is in
// backend/wire/anthropic.
package anthropiccompat

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/anthropic"
)

// Driver serves one provider of this kind. The zero value is Anthropic.
type Driver struct{ info *provider.Info }

var _ provider.Driver = Driver{}

// New returns the driver of a provider that is not built in. What info leaves open is filled in: the wire format, the
// form of its settings, and a login by key.
func New(info provider.Info) Driver {
	info.Wire = anthropic.Name
	if info.Status == "" {
		info.Status = provider.StatusActive
	}
	if info.Fields == nil {
		info.Fields = fields
	}
	if info.Logins == nil {
		info.Logins = []provider.Login{{Kind: "key", Label: "API key"}}
	}
	return Driver{&info}
}

// fields are the settings of any service of this kind.
var fields = []provider.Field{
	{Key: provider.SettingBaseURL, Label: "Base URL", Kind: "url"},
	{Key: provider.SettingAuthHeader, Label: "Header for the key", Kind: "text"},
	{Key: provider.SettingAuthPrefix, Label: "Text before the key", Kind: "text"},
	{Key: provider.SettingHeaderPrefix, Label: "Further headers", Kind: "headers"},
	{Key: provider.SettingModels, Label: "Models, instead of the service's list", Kind: "list"},
	{Key: provider.SettingQuirks, Label: "Quirks", Kind: "list"},
}

const ownHost = "api.anthropic.com"

// builtIn is Anthropic by API key. Base URL and form of the key: Anthropic's public API reference.
var builtIn = New(provider.Info{
	ID: "anthropic", Name: "Anthropic", Aliases: []string{"claude-custom", "claude"}, BaseURL: "https://" + ownHost,
	KeyURL: "https://console.anthropic.com/settings/keys", KeyEnv: []string{"ANTHROPIC_API_KEY"},
	Models: []canon.Model{anthropic.KnownModel("claude-opus-4-8"), anthropic.KnownModel("claude-sonnet-5"), anthropic.KnownModel("claude-haiku-4-5")},
})

// Info describes the service.
func (d Driver) Info() provider.Info {
	if d.info == nil {
		return *builtIn.info
	}
	return *d.info
}

// Open prepares the service for one account.
func (d Driver) Open(env provider.Env) (provider.Upstream, error) {
	info := d.Info()
	raw := env.Settings[provider.SettingBaseURL]
	if raw == "" {
		raw = info.BaseURL
	}
	base, err := transport.BaseURL(raw, "/messages/count_tokens", "/messages", "/models")
	if err != nil {
		return nil, err
	}
	if env, err = env.Complete(info); err != nil {
		return nil, err
	}
	// one program wants the address with the version, another without: /v1 is always ours to add
	u := &upstream{env: env, base: strings.TrimSuffix(base, "/v1"), idle: transport.Idle(env.Settings[provider.SettingIdle], info.Policy.Idle, base)}
	u.options = u.configured()
	return u, nil
}

type upstream struct {
	env     provider.Env
	base    string // without /v1
	idle    time.Duration
	options anthropic.Options
}

var (
	_ provider.Upstream     = (*upstream)(nil)
	_ provider.TokenCounter = (*upstream)(nil)
)

// configured makes the options of the wire format out of host and settings.
func (u *upstream) configured() anthropic.Options {
	// a long answer in one piece runs into time limits on the way: it is asked as a stream and folded
	o := anthropic.Options{OwnHost: transport.HostOf(u.base) == ownHost, AlwaysStream: true}
	for _, name := range provider.List(u.env.Settings[provider.SettingQuirks]) {
		if !applyQuirk(&o, name) {
			u.env.Log.Warn("Unknown quirk is ignored", "provider", u.env.Provider, "quirk", name)
		}
	}
	return o
}

// Stream sends req and yields the answer. If the service refuses a signature in the history, the request goes out once
// more without the thinking of earlier turns; if it refuses a beta flag, without that.
func (u *upstream) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) { u.ask(ctx, req)(yield) }
}

func (u *upstream) ask(ctx context.Context, req *canon.Request) canon.Stream {
	call, err := u.call(ctx, "/v1/messages")
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	o := u.options
	o.DenyBetas = append(slices.Clip(o.DenyBetas), u.deniedBetas()...)
	x, err := anthropic.NewExchange(req, o)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	repair := func(e *apierror.Error) (transport.Try, bool) {
		second, ok := u.mend(x, req, o, e)
		if !ok {
			return transport.Try{}, false
		}
		return try(call, second), true
	}
	return transport.Ask(ctx, u.env.HTTP, try(call, x), repair)
}

func try(call transport.Call, x *anthropic.Exchange) transport.Try {
	call.Body, x.Body = x.Body, nil // whoever has it lets go of it once it was sent
	call.Header = withHeader(call.Header, x.Header)
	if x.Stream {
		call.Header.Set("Accept", "text/event-stream")
	}
	return transport.Try{Call: call, Read: x.Read, Refused: anthropic.ParseError}
}

// withHeader joins two headers. The account's own static headers win, except that beta flags are added up.
func withHeader(own, wire http.Header) http.Header {
	h := own.Clone()
	for name, values := range wire {
		switch {
		case name == "Anthropic-Beta" && h.Get(name) != "":
			h.Set(name, joinBetas(h.Get(name), values[0]))
		case h.Get(name) == "":
			h[name] = values
		}
	}
	return h
}

func joinBetas(a, b string) string {
	out := provider.List(a)
	for _, f := range provider.List(b) {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return strings.Join(out, ",")
}

// mend returns the request in a form that the service will not refuse again for the same reason.
func (u *upstream) mend(x *anthropic.Exchange, req *canon.Request, o anthropic.Options, e *apierror.Error) (*anthropic.Exchange, bool) {
	if e.BadSignature && !o.StripReasoning {
		second, err := x.WithoutReasoning()
		return second, err == nil
	}
	beta := refusedBeta(e, x.Header.Get("Anthropic-Beta"))
	if beta == "" {
		return nil, false
	}
	u.env.Log.Info("Service refuses a beta flag, repeating without it", "provider", u.env.Provider, "account", u.env.AccountID, "beta", beta)
	u.learnBeta(beta)
	o.DenyBetas = append(slices.Clip(o.DenyBetas), beta)
	second, err := anthropic.NewExchange(req, o)
	return second, err == nil
}

// refusedBeta returns the flag of those sent that a refusal names.
func refusedBeta(e *apierror.Error, sent string) string {
	if e.Upstream.Status != http.StatusBadRequest {
		return ""
	}
	for _, flag := range provider.List(sent) {
		if strings.Contains(e.Msg, flag) {
			return flag
		}
	}
	return ""
}

const betaKey = "refused/betas"

func (u *upstream) deniedBetas() []string {
	if u.env.Note == nil {
		return nil
	}
	return provider.List(u.env.Note(betaKey))
}

func (u *upstream) learnBeta(flag string) {
	if u.env.Remember != nil {
		u.env.Remember(betaKey, joinBetas(strings.Join(u.deniedBetas(), ","), flag))
	}
}

// call prepares a call with the account's key and headers. The call is good for Fill also when there is an error.
func (u *upstream) call(ctx context.Context, path string) (transport.Call, error) {
	c := transport.Call{URL: u.base + path, Header: http.Header{}, Idle: u.idle, Provider: u.env.Provider, Account: u.env.AccountID}
	c.Header.Set("Accept", "application/json")
	c.Header.Set("Content-Type", "application/json")
	key := ""
	if u.env.Token != nil {
		cred, err := u.env.Token(ctx)
		if err != nil {
			return c, err
		}
		key = cred.Access.Reveal()
		c.Secrets = append(c.Secrets, key)
	}
	name, prefix := u.auth()
	transport.SetAuth(c.Header, name, prefix, key)
	c.Secrets = append(c.Secrets, transport.SetStatic(c.Header, u.env.Settings, provider.SettingHeaderPrefix)...)
	return c, nil
}

// auth tells the header that carries the key and what stands before the key. Anthropic's own host wants x-api-key, other
// services mostly Authorization (CLIProxyAPI 2026-08); never both.
func (u *upstream) auth() (name, prefix string) {
	if u.options.OwnHost {
		return provider.KeyHeader(u.env.Settings, "x-api-key")
	}
	return provider.KeyHeader(u.env.Settings, "Authorization")
}

// maxPages bounds a model list that never ends.
const maxPages = 10

// Models lists what the service has: the person's own list, else the service's. Many gateways have no list at all; that
// is no fault of the key.
func (u *upstream) Models(ctx context.Context) ([]canon.Model, error) {
	if names := provider.List(u.env.Settings[provider.SettingModels]); len(names) > 0 {
		out := make([]canon.Model, len(names))
		for i, n := range names {
			out[i] = anthropic.KnownModel(n)
		}
		return out, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("model list", transport.ListLimit))
	defer cancel()
	call, err := u.call(ctx, "/v1/models?limit=1000")
	if err != nil {
		return nil, call.Fill(err)
	}
	call.Header.Del("Content-Type")
	call.Header.Set("Anthropic-Version", anthropic.Version)
	var all []canon.Model
	for range maxPages {
		body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxList, anthropic.ParseError)
		if err != nil {
			if transport.Missing(err) {
				return nil, nil
			}
			return nil, err
		}
		models, page, err := anthropic.ParseModels(body)
		if err != nil {
			return nil, call.Fill(err)
		}
		all = append(all, models...)
		if !page.More || page.LastID == "" {
			break
		}
		call.URL = u.base + "/v1/models?limit=1000&after_id=" + url.QueryEscape(page.LastID)
	}
	return all, nil
}

// CountTokens asks the service for the tokens of a prompt. A service without that endpoint is Unsupported.
func (u *upstream) CountTokens(ctx context.Context, req *canon.Request) (int64, error) {
	call, err := u.call(ctx, "/v1/messages/count_tokens")
	if err != nil {
		return 0, call.Fill(err)
	}
	o := u.options
	o.DenyBetas = append(slices.Clip(o.DenyBetas), u.deniedBetas()...)
	x, err := anthropic.NewCount(req, o)
	if err != nil {
		return 0, call.Fill(err)
	}
	call.Body, call.Header = x.Body, withHeader(call.Header, x.Header)
	body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxErrorBody, anthropic.ParseError)
	if err != nil {
		if transport.Missing(err) {
			return 0, call.Fill(apierror.New(apierror.Unsupported, "the service does not count tokens"))
		}
		return 0, err
	}
	n, err := anthropic.ParseCount(body)
	if err != nil {
		return 0, call.Fill(err)
	}
	return n, nil
}
