// Package forward is the driver for services whose protocol Patchbay does not read: requests and answers pass through as
// they are, with the account's credentials in place of the client's. Paths and headers lead here, models never do.
package forward

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire/openai"
)

// Name stands for the wire format of such a service: whichever it is.
const Name = "forward"

// Driver serves one provider of this kind. The zero value is the built-in one, whose address comes with its accounts.
type Driver struct{ info *provider.Info }

var _ provider.Driver = Driver{}

// New returns the driver of a provider that is not built in.
func New(info provider.Info) Driver {
	info.Wire, info.Raw = Name, true
	info.Status = cmp.Or(info.Status, provider.StatusActive)
	if info.Fields == nil {
		info.Fields = fields
	}
	if info.Logins == nil {
		info.Logins = []provider.Login{{Kind: "key", Label: "API key"}}
	}
	return Driver{&info}
}

var fields = []provider.Field{
	{Key: provider.SettingBaseURL, Label: "Base URL", Kind: "url"},
	{Key: provider.SettingAuthHeader, Label: "Header for the key", Kind: "text", Default: "Authorization"},
	{Key: provider.SettingAuthPrefix, Label: "Text before the key", Kind: "text", Default: "Bearer "},
	{Key: provider.SettingHeaderPrefix, Label: "Further headers", Kind: "headers"},
}

// builtIn takes the place of AIClient-2-API's provider of the old name.
var builtIn = New(provider.Info{ID: "forward", Name: "Forward", Aliases: []string{"forward-api"}})

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
	base, err := transport.BaseURL(cmp.Or(env.Settings[provider.SettingBaseURL], info.BaseURL))
	if err != nil {
		return nil, err
	}
	if env, err = env.Complete(info); err != nil {
		return nil, err
	}
	return &upstream{env: env, base: base, idle: transport.Idle(env.Settings[provider.SettingIdle], info.Policy.Idle, base)}, nil
}

type upstream struct {
	env  provider.Env
	base string
	idle time.Duration
}

var (
	_ provider.Upstream  = (*upstream)(nil)
	_ provider.Forwarder = (*upstream)(nil)
	_ provider.Tester    = (*upstream)(nil)
)

// Stream refuses: there is no way to ask a service whose protocol is not known.
func (u *upstream) Stream(context.Context, *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		e := apierror.New(apierror.Unsupported, "%s passes requests on as they are: use the path /%s/... or the header X-Patchbay-Provider, not a model's name", u.env.Provider, u.env.Provider)
		e.Provider, e.AccountID = u.env.Provider, u.env.AccountID
		yield(canon.Event{}, e)
	}
}

// Models lists nothing.
func (u *upstream) Models(context.Context) ([]canon.Model, error) { return nil, nil }

// Test asks whether anybody answers. What an answer means depends on the service.
func (u *upstream) Test(ctx context.Context) (provider.Tested, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("test", transport.ListLimit))
	defer cancel()
	call, err := u.call(ctx, &provider.RawRequest{Method: http.MethodGet})
	if err != nil {
		return provider.Tested{}, call.Fill(err)
	}
	a, err := transport.Do(ctx, u.env.HTTP, call)
	if err != nil {
		return provider.Tested{}, err
	}
	a.ErrorBody()
	return provider.Tested{Note: "the service answers; whether it takes the key cannot be told without knowing its protocol"}, nil
}

// passed are the headers of a client that say what its request is, or that belong to a protocol; every other one stays
// here: credentials, cookies, where a page came from, and the ids of other keys.
var passed = []string{
	"Accept", "Accept-Language", "Content-Type", "Content-Encoding", "Range", "If-None-Match", "If-Modified-Since",
	"Anthropic-Version", "Anthropic-Beta", "Openai-Beta", "Idempotency-Key", "Session-Id",
}

// Forward sends r. The statuses that another account may not get are errors; the answer comes beside them, for the case
// that there is no other account.
func (u *upstream) Forward(ctx context.Context, r *provider.RawRequest) (*provider.RawAnswer, error) {
	call, err := u.call(ctx, r)
	if err != nil {
		return nil, call.Fill(err)
	}
	a, err := transport.Do(ctx, u.env.HTTP, call)
	if err != nil {
		return nil, err
	}
	if !failover(a.Status) {
		return &provider.RawAnswer{Status: a.Status, Header: a.Header, Body: a.Body}, nil
	}
	body := a.ErrorBody()
	e := openai.ParseError(a.Status, a.Header, body) // it reads the shapes of most services
	if e.Scope == "" {
		e.Scope = "*" // no model is known that could pause alone
	}
	e.Upstream.Status = a.Status
	spare := &provider.RawAnswer{Status: a.Status, Header: a.Header, Body: io.NopCloser(bytes.NewReader(body))}
	if len(body) == transport.MaxErrorBody || refusesLogin(a.Status) {
		spare = nil // cut, or none of the client's business
	}
	return spare, call.Fill(e)
}

func failover(status int) bool {
	return refusesLogin(status) || status == http.StatusTooManyRequests || status >= 500
}

func refusesLogin(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusPaymentRequired || status == http.StatusForbidden
}

// call prepares a call with the account's key and headers. The call is good for Fill also when there is an error.
func (u *upstream) call(ctx context.Context, r *provider.RawRequest) (transport.Call, error) {
	c := transport.Call{
		Method: r.Method, URL: u.address(r), Header: http.Header{}, Body: r.Body, Idle: u.idle, Unbounded: true,
		Provider: u.env.Provider, Account: u.env.AccountID,
	}
	transport.Forward(c.Header, r.Header, passed...)
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

var version = regexp.MustCompile(`^v[0-9]+[a-z0-9]*$`)

// address joins the base URL with the client's path. A version that ends the one and begins the other stands there once:
// clients put it into their path whatever the base URL has.
func (u *upstream) address(r *provider.RawRequest) string {
	path := r.Path
	if last := u.base[strings.LastIndexByte(u.base, '/')+1:]; version.MatchString(last) {
		if rest, ok := strings.CutPrefix(path, "/"+last); ok && (rest == "" || rest[0] == '/') {
			path = rest
		}
	}
	address := u.base + path
	if r.Query != "" {
		address += "?" + r.Query
	}
	return address
}
