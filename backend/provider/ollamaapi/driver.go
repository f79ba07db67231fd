// Package ollamaapi is the driver for Ollama: on this machine, on another one, or in its maker's cloud. Models are listed
// and described by its own API; chats go there too, because only there the size of the context can be asked for, or by a
// quirk to its OpenAI-compatible endpoint. The wire format is in backend/wire/ollama.
package ollamaapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/ollama"
	"patchbay/backend/wire/openai"
)

// Driver serves one provider of this kind.
type Driver struct{ info provider.Info }

var _ provider.Driver = Driver{}

// firstEvent is how long the first call may take: Ollama loads the model before it says anything.
const firstEvent = 10 * time.Minute

// New returns the driver of a provider. What info leaves open is filled in: the wire format, the form of its settings, a
// login by key, and the patience that loading a model needs.
func New(info provider.Info) Driver {
	info.Wire = ollama.Name
	if info.Status == "" {
		info.Status = provider.StatusActive
	}
	if info.Fields == nil {
		info.Fields = append(provider.KeyFields(), provider.Field{Key: provider.SettingQuirks, Label: "Quirks", Kind: "list"})
	}
	if info.Logins == nil {
		info.Logins = []provider.Login{{Kind: "key", Label: "API key"}}
	}
	if info.Policy.FirstEvent == 0 {
		info.Policy.FirstEvent = firstEvent
	}
	return Driver{info}
}

// Info describes the service.
func (d Driver) Info() provider.Info { return d.info }

// Open prepares the service for one account.
func (d Driver) Open(env provider.Env) (provider.Upstream, error) {
	raw := env.Settings[provider.SettingBaseURL]
	if raw == "" {
		raw = d.info.BaseURL
	}
	base, err := baseURL(raw)
	if err != nil {
		return nil, err
	}
	if env, err = env.Complete(d.info); err != nil {
		return nil, err
	}
	u := &upstream{env: env, base: base, known: map[string]described{}}
	u.idle = transport.Idle(env.Settings[provider.SettingIdle], d.info.Policy.Idle, base)
	u.configure()
	return u, nil
}

// defaultPort is Ollama's own (Ollama v0.17.4).
const defaultPort = "11434"

// baseURL reads an address as people write it, also in the forms of OLLAMA_HOST: a bare host has Ollama's port, and what
// a server listens on (":11434", "0.0.0.0", "[::]") is called at this machine.
func baseURL(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	if strings.HasPrefix(raw, ":") {
		raw = "127.0.0.1" + raw
	}
	bare := !strings.Contains(raw, "://")
	base, err := transport.BaseURL(raw, "/v1/chat/completions", "/v1", "/api/chat", "/api/generate", "/api/tags", "/api/show", "/api/embed", "/api")
	if err != nil {
		return "", err
	}
	base = strings.Replace(base, "//[::]", "//127.0.0.1", 1)
	if u, err := url.Parse(base); bare && err == nil && u.Port() == "" && transport.Local(u.Hostname()) {
		u.Host += ":" + defaultPort
		base = u.String()
	}
	return base, nil
}

type upstream struct {
	env     provider.Env
	base    string
	idle    time.Duration
	options ollama.Options
	compat  bool // chats by the OpenAI-compatible endpoint

	mu    sync.Mutex // guards known
	known map[string]described
}

var (
	_ provider.Upstream = (*upstream)(nil)
	_ provider.Embedder = (*upstream)(nil)
)

// configure reads the quirks: "v1" chats by /v1/chat/completions, "convert" never passes a client's bytes on,
// "num_ctx=32768" asks for that context each time.
func (u *upstream) configure() {
	for _, quirk := range provider.List(u.env.Settings[provider.SettingQuirks]) {
		name, value, _ := strings.Cut(quirk, "=")
		switch n, err := strconv.ParseInt(value, 10, 64); {
		case quirk == "v1":
			u.compat = true
		case quirk == "convert":
			u.options.ForceConvert = true
		case name == "num_ctx" && err == nil && n > 0:
			u.options.NumCtx = n
		default:
			u.env.Log.Warn("Unknown quirk is ignored", "provider", u.env.Provider, "quirk", quirk)
		}
	}
}

// Stream sends req and yields the answer. A request that the service refuses because the model cannot think, or because
// the context asked for was too small, is mended and sent once more.
func (u *upstream) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		u.start(ctx, req)(func(ev canon.Event, err error) bool { return yield(ev, u.explain(err)) })
	}
}

func (u *upstream) start(ctx context.Context, req *canon.Request) canon.Stream {
	call, err := u.call(ctx, "")
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	ask := u.ask
	if u.compat {
		ask = u.askCompat
	}
	answer, err := ask(ctx, call, req)
	if err != nil {
		return canon.Failed(call.Fill(err))
	}
	return answer
}

// ask chats by Ollama's own API. The error is one before anything was sent.
func (u *upstream) ask(ctx context.Context, call transport.Call, req *canon.Request) (canon.Stream, error) {
	o := u.options
	o.NoThink = u.note(thinkNote, req.Model) != ""
	var err error
	if o.Media, err = u.media(ctx, req); err != nil {
		return nil, err
	}
	x, err := ollama.NewExchange(req, o)
	if err != nil {
		return nil, err
	}
	repair := func(e *apierror.Error) (transport.Try, bool) {
		if !u.mend(&o, req, x, e) {
			return transport.Try{}, false
		}
		second, err := ollama.NewExchange(req, o)
		if err != nil {
			return transport.Try{}, false
		}
		return u.try(call, second), true
	}
	return transport.Ask(ctx, u.env.HTTP, u.try(call, x), repair), nil
}

func (u *upstream) try(call transport.Call, x *ollama.Exchange) transport.Try {
	call.URL += x.Path
	call.Body, x.Body = x.Body, nil // whoever has it lets go of it once it was sent
	call.Header = call.Header.Clone()
	if x.Stream {
		call.Header.Set("Accept", "application/x-ndjson")
	}
	return transport.Try{Call: call, Read: x.Read, Refused: ollama.ParseError}
}

// thinkNote is the fact that a model refuses think.
const thinkNote = "no_think"

// mend changes o so that the service will not refuse the same thing again.
func (u *upstream) mend(o *ollama.Options, req *canon.Request, x *ollama.Exchange, e *apierror.Error) bool {
	switch {
	case ollama.RefusesThink(e) && !o.NoThink:
		o.NoThink = true
		if u.env.Remember != nil {
			u.env.Remember(thinkNote+"/"+req.Model, "true")
		}
		return true
	case e.Kind == apierror.ContextTooLong && req.Format != ollama.Name && u.options.NumCtx == 0:
		// the estimate was too low; twice as much is the next step
		more := 2 * max(x.NumCtx, ollama.DefaultCtx)
		if limit := req.Facts.Context; limit > 0 && x.NumCtx >= limit {
			return false
		}
		o.MinCtx = more
		return true
	default:
		return false
	}
}

func (u *upstream) note(what, model string) string {
	if u.env.Note == nil {
		return ""
	}
	return u.env.Note(what + "/" + model)
}

// media fetches what the request names by address: Ollama takes data only.
func (u *upstream) media(ctx context.Context, req *canon.Request) (map[string]canon.Media, error) {
	list, err := ollama.FetchURLs(req, u.options)
	if err != nil {
		return nil, err
	}
	got, err := transport.FetchMedia(ctx, u.env.HTTP, list, provider.List(u.env.Settings[provider.SettingMediaHosts]))
	if e := apierror.From(err); e != nil && e.Kind == apierror.InvalidRequest {
		e.Param = wire.Field(req.Format, "messages")
	}
	return got, err
}

// compatOptions are what is known of Ollama's OpenAI-compatible endpoint (its openai package, v0.17.4).
var compatOptions = openai.Options{Efforts: []string{"low", "medium", "high"}, NoStrict: true, NoDeveloperRole: true}

// askCompat chats by the OpenAI-compatible endpoint.
func (u *upstream) askCompat(ctx context.Context, call transport.Call, req *canon.Request) (canon.Stream, error) {
	o := compatOptions
	o.ForceConvert = u.options.ForceConvert
	o.SplitThinkTags = req.Format != openai.Name
	if req.Facts.Thinking == canon.No {
		o.ThinkingStyle = openai.ThinkNone
	}
	x, err := openai.NewExchange(req, o)
	if err != nil {
		return nil, err
	}
	call.URL += "/v1/chat/completions"
	call.Body, x.Body = x.Body, nil // whoever has it lets go of it once it was sent
	if x.Stream {
		call.Header.Set("Accept", "text/event-stream")
	}
	return transport.Ask(ctx, u.env.HTTP, transport.Try{Call: call, Read: x.Read, Refused: openai.ParseError}, nil), nil
}

// wsaRefused is what Windows says (winsock2.h) where others say ECONNREFUSED.
const wsaRefused = syscall.Errno(10061)

// explain says what a refused connection means here: most often Ollama was not started.
func (u *upstream) explain(err error) error {
	if err == nil {
		return nil
	}
	e := apierror.From(err)
	if e.Kind == apierror.Transport && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaRefused)) {
		e.Msg = "Ollama is not running at " + strings.TrimPrefix(strings.TrimPrefix(u.base, "http://"), "https://") + "; start it, or check the base URL"
	}
	return e
}

// call prepares a call with the account's key and headers; without a key there is no header for one. The call is good for
// Fill also when there is an error.
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
	name, prefix := provider.KeyHeader(u.env.Settings, "Authorization")
	transport.SetAuth(c.Header, name, prefix, key)
	c.Secrets = append(c.Secrets, transport.SetStatic(c.Header, u.env.Settings, provider.SettingHeaderPrefix)...)
	return c, nil
}

// Embed makes embeddings.
func (u *upstream) Embed(ctx context.Context, req *canon.Embed) (*canon.Embeddings, error) {
	call, err := u.call(ctx, "/api/embed")
	if err == nil {
		call.Body, err = ollama.EmbedRequest(req)
	}
	if err != nil {
		return nil, call.Fill(err)
	}
	body, err := transport.Fetch(ctx, u.env.HTTP, call, transport.MaxAnswer, ollama.ParseError)
	if err != nil {
		return nil, u.explain(err)
	}
	out, err := ollama.ParseEmbeddings(body)
	if err == nil && len(out.Vectors) != len(req.Inputs) {
		err = apierror.New(apierror.Upstream5xx, "the service sent %d embeddings for %d texts", len(out.Vectors), len(req.Inputs))
	}
	if err != nil {
		return nil, call.Fill(err)
	}
	return out, nil
}
