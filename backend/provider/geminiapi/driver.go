// Package geminiapi is the driver for services that speak Gemini's generateContent with a key: Google's Gemini API, and
// whatever a person adds as a provider of kind "gemini". The wire format is in backend/wire/gemini.
package geminiapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/gemini"
)

// Driver serves one provider of this kind. The zero value is Google's Gemini API.
type Driver struct{ info *provider.Info }

var _ provider.Driver = Driver{}

// New returns the driver of a provider that is not built in. What info leaves open is filled in: the wire format, the
// form of its settings, and a login by key.
func New(info provider.Info) Driver {
	info.Wire = gemini.Name
	if info.Status == "" {
		info.Status = provider.StatusActive
	}
	if info.Fields == nil {
		info.Fields = append(provider.KeyFields(), provider.Field{Key: provider.SettingQuirks, Label: "Quirks", Kind: "list"})
	}
	if info.Logins == nil {
		info.Logins = []provider.Login{{Kind: "key", Label: "API key"}}
	}
	return Driver{&info}
}

const ownHost = "generativelanguage.googleapis.com"

// builtIn is Google's Gemini API. Base URL and form of the key: Google's public API reference.
var builtIn = New(provider.Info{
	ID: "gemini", Name: "Gemini", BaseURL: "https://" + ownHost,
	KeyURL: "https://aistudio.google.com/apikey", KeyEnv: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"},
	Models: fallbackModels(),
})

// fallback are the models that the service was known to have in 2026-08, as listed by CLIProxyAPI, for a live list that
// fails. What each can do stands in package gemini.
var fallback = []string{
	"gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview", "gemini-3.1-pro-preview", "gemini-3-flash-preview",
	"gemini-3.1-flash-lite-preview", "gemini-3.5-flash", "gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.7-flash",
	"gemini-pro-latest", "gemini-flash-latest", "gemini-flash-lite-latest", "gemini-3.1-flash-image-preview", "gemini-3-pro-image-preview",
	"gemini-embedding-001",
}

func fallbackModels() []canon.Model {
	out := make([]canon.Model, len(fallback))
	for i, id := range fallback {
		out[i] = gemini.KnownModel(id)
	}
	return out
}

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
	base, err := transport.BaseURL(raw, "/models", "/openai")
	if err != nil {
		return nil, err
	}
	if env, err = env.Complete(info); err != nil {
		return nil, err
	}
	// the version is ours to add, with and without it in the address
	base = strings.TrimSuffix(strings.TrimSuffix(base, "/v1beta"), "/v1")
	u := &upstream{env: env, base: base, idle: transport.Idle(env.Settings[provider.SettingIdle], info.Policy.Idle, base)}
	u.options = u.configured()
	return u, nil
}

type upstream struct {
	env     provider.Env
	base    string // without the version
	idle    time.Duration
	options gemini.Options
}

var (
	_ provider.Upstream     = (*upstream)(nil)
	_ provider.TokenCounter = (*upstream)(nil)
	_ provider.Embedder     = (*upstream)(nil)
)

// quirks are what services of this kind do differently.
var quirks = map[string]func(*gemini.Options){
	"convert":           func(o *gemini.Options) { o.ForceConvert = true },
	"strict_schema":     func(o *gemini.Options) { o.Strict = true },
	"images_in_results": func(o *gemini.Options) { o.ImagesInResults = true },
	"no_server_tools":   func(o *gemini.Options) { o.NoServerTools = true },
	"thinking=budget":   func(o *gemini.Options) { o.Thinking = gemini.ThinkBudget },
	"thinking=level":    func(o *gemini.Options) { o.Thinking = gemini.ThinkLevel },
	"thinking=none":     func(o *gemini.Options) { o.Thinking = gemini.ThinkNone },
}

// configured makes the options of the wire format out of the settings.
func (u *upstream) configured() gemini.Options {
	var o gemini.Options
	for _, name := range provider.List(u.env.Settings[provider.SettingQuirks]) {
		set := quirks[name]
		if set == nil {
			u.env.Log.Warn("Unknown quirk is ignored", "provider", u.env.Provider, "quirk", name)
			continue
		}
		set(&o)
	}
	return o
}

// Stream sends req and yields the answer. If the service refuses a signature in the history, the request goes out once
// more without the thinking of earlier turns.
func (u *upstream) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) { u.ask(ctx, req)(yield) }
}

func (u *upstream) ask(ctx context.Context, req *canon.Request) canon.Stream {
	method := "generateContent"
	if req.Stream {
		method = "streamGenerateContent?alt=sse"
	}
	call, err := u.modelCall(ctx, req.Model, method)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	o, err := u.withMedia(ctx, req)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	x, err := gemini.NewExchange(req, o)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	if req.Format == gemini.Name {
		transport.Forward(call.Header, req.Headers, "Idempotency-Key")
	}
	repair := func(e *apierror.Error) (transport.Try, bool) {
		if !e.BadSignature {
			return transport.Try{}, false
		}
		second, err := x.WithoutReasoning()
		if err != nil {
			return transport.Try{}, false
		}
		return try(call, second), true
	}
	return transport.Ask(ctx, u.env.HTTP, try(call, x), repair)
}

func try(call transport.Call, x *gemini.Exchange) transport.Try {
	call.Body, x.Body = x.Body, nil // whoever has it lets go of it once it was sent
	call.Header = call.Header.Clone()
	if x.Stream {
		call.Header.Set("Accept", "text/event-stream")
	}
	return transport.Try{Call: call, Read: x.Read, Refused: gemini.ParseError}
}

// withMedia fetches what the request names by address: the service takes data only.
func (u *upstream) withMedia(ctx context.Context, req *canon.Request) (gemini.Options, error) {
	o := u.options
	list, err := gemini.FetchURLs(req, o)
	if err != nil {
		return o, err
	}
	o.Media, err = transport.FetchMedia(ctx, u.env.HTTP, list, provider.List(u.env.Settings[provider.SettingMediaHosts]))
	if e := apierror.From(err); e != nil && e.Kind == apierror.InvalidRequest {
		e.Param = wire.Field(req.Format, "messages")
	}
	return o, err
}

// resource is the path of a model's method. Tuned models and those of publishers have collections of their own. A name with
// dots for segments would lead to other paths of the service.
func resource(model, method string) (string, error) {
	segments := strings.Split(strings.TrimPrefix(model, "models/"), "/")
	for i, s := range segments {
		if s == "" || s == "." || s == ".." {
			e := apierror.New(apierror.ModelNotFound, "the model %q does not exist", model)
			e.Param = "model"
			return "", e
		}
		segments[i] = url.PathEscape(s)
	}
	path := strings.Join(segments, "/") + ":" + method
	if len(segments) > 1 && (segments[0] == "tunedModels" || segments[0] == "publishers") {
		return "/v1beta/" + path, nil
	}
	return "/v1beta/models/" + path, nil
}

// modelCall prepares the call of a model's method.
func (u *upstream) modelCall(ctx context.Context, model, method string) (transport.Call, error) {
	path, err := resource(model, method)
	if err != nil {
		return transport.Call{Provider: u.env.Provider, Account: u.env.AccountID}, err
	}
	return u.call(ctx, path)
}

// call prepares a call with the account's key and headers. The call is good for Fill also when there is an error. The key
// never goes into the query: addresses are logged everywhere.
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
	name, prefix := provider.KeyHeader(u.env.Settings, "x-goog-api-key")
	transport.SetAuth(c.Header, name, prefix, key)
	c.Secrets = append(c.Secrets, transport.SetStatic(c.Header, u.env.Settings, provider.SettingHeaderPrefix)...)
	return c, nil
}

// maxPages bounds a model list that never ends.
const maxPages = 10

// Models lists what the service has: the person's own list, else the service's. A gateway without a list is no fault of
// the key.
func (u *upstream) Models(ctx context.Context) ([]canon.Model, error) {
	if names := provider.List(u.env.Settings[provider.SettingModels]); len(names) > 0 {
		out := make([]canon.Model, len(names))
		for i, n := range names {
			out[i] = gemini.KnownModel(n)
		}
		return out, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("model list", transport.ListLimit))
	defer cancel()
	const list = "/v1beta/models?pageSize=1000"
	call, err := u.call(ctx, list)
	if err != nil {
		return nil, call.Fill(err)
	}
	call.Header.Del("Content-Type")
	var all []canon.Model
	for range maxPages {
		body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxList, gemini.ParseError)
		if err != nil {
			if transport.Missing(err) {
				return nil, nil
			}
			return nil, err
		}
		models, next, err := gemini.ParseModels(body)
		if err != nil {
			return nil, call.Fill(err)
		}
		all = append(all, models...)
		if next == "" {
			break
		}
		call.URL = u.base + list + "&pageToken=" + url.QueryEscape(next)
	}
	return all, nil
}

// CountTokens asks the service for the tokens of a prompt. A service without that endpoint is Unsupported.
func (u *upstream) CountTokens(ctx context.Context, req *canon.Request) (int64, error) {
	call, err := u.modelCall(ctx, req.Model, "countTokens")
	if err != nil {
		return 0, call.Fill(err)
	}
	o, err := u.withMedia(ctx, req)
	if err != nil {
		return 0, call.Fill(err)
	}
	if call.Body, err = gemini.NewCount(req, o); err != nil {
		return 0, call.Fill(err)
	}
	body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxErrorBody, gemini.ParseError)
	if err != nil {
		if transport.Missing(err) {
			return 0, call.Fill(apierror.New(apierror.Unsupported, "the service does not count tokens"))
		}
		return 0, err
	}
	n, err := gemini.ParseCount(body)
	if err != nil {
		return 0, call.Fill(err)
	}
	return n, nil
}

// Embed makes embeddings.
func (u *upstream) Embed(ctx context.Context, req *canon.Embed) (*canon.Embeddings, error) {
	body, batch, err := gemini.NewEmbed(req)
	method := "embedContent"
	if batch {
		method = "batchEmbedContents"
	}
	call, cerr := u.modelCall(ctx, req.Model, method)
	if err == nil {
		err = cerr
	}
	if err != nil {
		return nil, call.Fill(err)
	}
	call.Body = body
	answer, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxAnswer, gemini.ParseError)
	if err != nil {
		return nil, err
	}
	out, err := gemini.ParseEmbed(answer)
	if err != nil {
		return nil, call.Fill(err)
	}
	if len(out.Vectors) != len(req.Inputs) {
		return nil, call.Fill(apierror.New(apierror.Upstream5xx, "the service sent %d embeddings for %d texts", len(out.Vectors), len(req.Inputs)))
	}
	return out, nil
}
