// Package openaicompat has the drivers for services that speak OpenAI Chat or OpenAI Responses: OpenAI itself, and whatever a
// person adds as a provider of kind "openai" or "openai-responses". What a service does differently is data: settings,
// quirks, and what it was seen to refuse. The wire formats are in backend/wire/openai and backend/wire/responses.
package openaicompat

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/openai"
)

// Driver serves one provider of this kind. The zero value is OpenAI.
type Driver struct {
	info    *provider.Info
	special *Special
}

var _ provider.Driver = Driver{}

// New returns the driver of a provider that is not built in. What info leaves open is filled in: the wire format, the
// form of its settings, and a login by key.
func New(info provider.Info) Driver {
	info.Wire = openai.Name
	if info.Status == "" {
		info.Status = provider.StatusActive
	}
	if info.Fields == nil {
		info.Fields = fields
	}
	if info.Logins == nil {
		info.Logins = []provider.Login{{Kind: "key", Label: "API key"}}
	}
	return Driver{info: &info}
}

// fields are the settings of any service of this kind.
var fields = []provider.Field{
	{Key: provider.SettingBaseURL, Label: "Base URL", Kind: "url"},
	{Key: provider.SettingAuthHeader, Label: "Header for the key", Kind: "text", Default: "Authorization"},
	{Key: provider.SettingAuthPrefix, Label: "Text before the key", Kind: "text", Default: "Bearer "},
	{Key: provider.SettingHeaderPrefix, Label: "Further headers", Kind: "headers"},
	{Key: provider.SettingModels, Label: "Models, instead of the service's list", Kind: "list"},
	{Key: provider.SettingMaxTokens, Label: "Name of the token limit", Kind: "text"},
	{Key: provider.SettingQuirks, Label: "Quirks", Kind: "list"},
}

const ownHost = "api.openai.com"

// endpoints are ends of addresses that people paste although they are no part of the base URL.
var endpoints = []string{"/chat/completions", "/responses/compact", "/responses", "/models", "/embeddings", "/images/generations", "/images/edits", "/completions"}

// builtIn is OpenAI. Base URL and forms of keys: OpenAI's public API reference.
var builtIn = New(provider.Info{
	ID: "openai", Name: "OpenAI", Aliases: []string{"openai-custom"}, BaseURL: "https://" + ownHost + "/v1",
	KeyURL: "https://platform.openai.com/api-keys", KeyEnv: []string{"OPENAI_API_KEY"},
	Models: []canon.Model{openai.KnownModel("gpt-5"), openai.KnownModel("gpt-5-mini")},
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
	u, err := d.open(env)
	if err != nil {
		return nil, err
	}
	u.options = u.configured()
	return u, nil
}

// open prepares what both endpoints for answers have in common.
func (d Driver) open(env provider.Env) (*upstream, error) {
	info := d.Info()
	raw := env.Settings[provider.SettingBaseURL]
	if raw == "" {
		raw = info.BaseURL
	}
	base, err := transport.BaseURL(raw, endpoints...)
	if err != nil {
		return nil, err
	}
	if env, err = env.Complete(info); err != nil {
		return nil, err
	}
	u := &upstream{env: env, base: base, idle: transport.Idle(env.Settings[provider.SettingIdle], info.Policy.Idle, base), memory: memory{note: env.Note, remember: env.Remember}}
	if d.special != nil {
		u.special = *d.special
	}
	if info.ModelsURL != "" {
		u.list = transport.OriginOf(base) + info.ModelsURL
	}
	return u, nil
}

type upstream struct {
	env     provider.Env
	base    string
	list    string // address of the model list, where it is not the usual one
	idle    time.Duration
	options openai.Options // as configured, before anything that was learned
	special Special
	memory  memory
}

var (
	_ provider.Upstream = (*upstream)(nil)
	_ provider.Embedder = (*upstream)(nil)
	_ provider.Tester   = (*upstream)(nil)
)

// configured makes the options of the wire format out of host and settings.
func (u *upstream) configured() openai.Options {
	o := openai.Options{
		OwnHost:        transport.HostOf(u.base) == ownHost,
		MaxTokensField: u.env.Settings[provider.SettingMaxTokens],
	}
	for _, name := range append(slices.Clone(u.special.Quirks), provider.List(u.env.Settings[provider.SettingQuirks])...) {
		if !applyQuirk(&o, name) {
			u.env.Log.Warn("Unknown quirk is ignored", "provider", u.env.Provider, "quirk", name)
		}
	}
	return o
}

// Stream sends req and yields the answer. A request that the service refuses for a parameter it does not know, or for a
// signature in the history, is mended and sent once more.
func (u *upstream) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) { u.ask(ctx, req)(yield) }
}

func (u *upstream) ask(ctx context.Context, req *canon.Request) canon.Stream {
	o := u.options
	apply(&o, u.memory.learned(req.Model))
	call, cred, err := u.callAs(ctx, "/chat/completions")
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	if req.Format == openai.Name {
		transport.Forward(call.Header, req.Headers, "OpenAI-Beta", "Idempotency-Key")
	}
	first, err := u.try(call, cred, req, o)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	repair := func(e *apierror.Error) (transport.Try, bool) {
		if !u.mend(&o, req.Model, e) && (u.special.Again == nil || !u.special.Again(e)) {
			return transport.Try{}, false
		}
		second, err := u.try(call, cred, req, o)
		return second, err == nil
	}
	return transport.Ask(ctx, u.env.HTTP, first, repair)
}

func (u *upstream) try(call transport.Call, cred provider.Credential, req *canon.Request, o openai.Options) (transport.Try, error) {
	if u.special.Options != nil {
		u.special.Options(&o, req)
	}
	// models that think aloud do so at any service but OpenAI's; a client of this format gets the text as it came
	o.SplitThinkTags = o.SplitThinkTags || req.Format != openai.Name && !o.OwnHost
	x, err := openai.NewExchange(req, o)
	if err != nil {
		return transport.Try{}, err
	}
	call.Body, x.Body = x.Body, nil // whoever has it lets go of it once it was sent
	call.Header = call.Header.Clone()
	if x.Stream {
		call.Header.Set("Accept", "text/event-stream")
	}
	u.sign(call.Header, cred, req)
	return transport.Try{Call: call, Read: u.reading(x, cred), Refused: u.refusedTo(cred)}, nil
}

// mend changes o so that the service will not refuse the same thing again.
func (u *upstream) mend(o *openai.Options, model string, e *apierror.Error) bool {
	if e.BadSignature {
		if o.ReasoningContent == openai.ReasoningNever {
			return false
		}
		o.ReasoningContent = openai.ReasoningNever
		return true
	}
	param, ok := refusedParam(e)
	if !ok {
		return u.learn(o, model, e)
	}
	if !apply(o, []string{param}) {
		return false
	}
	u.env.Log.Info("Service refuses a parameter, repeating without it", "provider", u.env.Provider, "account", u.env.AccountID, "model", model, "param", param)
	if lasting(e, param) {
		u.memory.learn(model, param)
	}
	return true
}

// learn changes o by what a refusal shows of the service.
func (u *upstream) learn(o *openai.Options, model string, e *apierror.Error) bool {
	quirks := taught(e)
	if !apply(o, quirks) {
		return false
	}
	u.env.Log.Info("Service takes less than it was sent, repeating in its form", "provider", u.env.Provider, "account", u.env.AccountID, "model", model, "quirks", quirks)
	for _, q := range quirks {
		u.memory.learn(model, q)
	}
	return true
}

// call prepares a call with the account's key and headers. The call is good for Fill also when there is an error.
func (u *upstream) call(ctx context.Context, path string) (transport.Call, error) {
	c, _, err := u.callAs(ctx, path)
	return c, err
}

// callAs tells with which login the call is made, too.
func (u *upstream) callAs(ctx context.Context, path string) (transport.Call, provider.Credential, error) {
	cred, err := u.credential(ctx)
	c := transport.Call{URL: u.baseOf(cred) + path, Header: http.Header{}, Idle: u.idle, Provider: u.env.Provider, Account: u.env.AccountID}
	c.Header.Set("Accept", "application/json")
	c.Header.Set("Content-Type", "application/json")
	if err != nil {
		return c, cred, err
	}
	key := cred.Access.Reveal()
	if key != "" {
		c.Secrets = append(c.Secrets, key)
	}
	name, prefix := u.auth()
	transport.SetAuth(c.Header, name, prefix, key)
	c.Secrets = append(c.Secrets, transport.SetStatic(c.Header, u.env.Settings, provider.SettingHeaderPrefix)...)
	return c, cred, nil
}

// auth tells the header that carries the key and what stands before the key.
func (u *upstream) auth() (name, prefix string) {
	if strings.HasSuffix(transport.HostOf(u.base), ".openai.azure.com") {
		return provider.KeyHeader(u.env.Settings, "api-key")
	}
	return provider.KeyHeader(u.env.Settings, "Authorization")
}

// Embed makes embeddings.
func (u *upstream) Embed(ctx context.Context, req *canon.Embed) (*canon.Embeddings, error) {
	call, cred, err := u.callAs(ctx, "/embeddings")
	if err != nil {
		return nil, call.Fill(err)
	}
	o := u.options
	apply(&o, u.memory.learned(req.Model))
	var refused *apierror.Error
	for range 2 {
		if call.Body, err = openai.EmbedRequest(req, o); err != nil {
			return nil, call.Fill(err)
		}
		body, err := u.get(ctx, call, cred, transport.MaxAnswer)
		if err != nil {
			refused = apierror.From(err)
			if u.mend(&o, req.Model, refused) {
				continue
			}
			return nil, refused
		}
		out, err := openai.ParseEmbeddings(body)
		if err != nil {
			return nil, call.Fill(err)
		}
		return out, nil
	}
	return nil, refused
}
