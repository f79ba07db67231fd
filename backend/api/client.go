package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// Client is a Service that lives in another process.
type Client struct {
	base  string
	token secret.Value
	http  *http.Client
}

var _ Service = (*Client)(nil)

// answerLimit bounds what a client reads: a thousand request rows are far below it.
const answerLimit = 64 << 20

// NewClient returns a client of the instance at base ("http://127.0.0.1:8390"). It never uses a proxy and follows no
// redirect: the token goes to that address and to no other.
func NewClient(base string, token secret.Value) *Client {
	return &Client{
		base:  strings.TrimSuffix(base, "/"),
		token: token,
		http: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			Timeout:       timeLimit + 5*time.Second, // the server's own limit comes first, with a better message
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Base returns the address of the instance.
func (c *Client) Base() string { return c.base }

// do makes one call and reads the answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in, revealing)
		if err != nil {
			return apierror.From(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return apierror.From(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return c.unreachable(err)
	}
	if resp.StatusCode >= 300 {
		return readFailure(resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if text, ok := out.(*[]byte); ok {
		*text = b
		return nil
	}
	if err := json.Unmarshal(b, out, reading); err != nil {
		e := apierror.New(apierror.Internal, "the running Patchbay answered something unexpected; it may be of another version: restart it")
		e.Err = err
		return e
	}
	return nil
}

func (c *Client) unreachable(err error) error {
	kind := apierror.Transport
	if errors.Is(err, context.Canceled) {
		kind = apierror.Canceled
	}
	e := apierror.New(kind, "Patchbay at %s does not answer", c.base)
	e.Err = err
	return e
}

func readFailure(status int, body []byte) error {
	var f Failure
	if err := json.Unmarshal(body, &f); err != nil || f.Error.Message == "" {
		e := apierror.New(apierror.Internal, "the running Patchbay answered with status %d; it may be of another version: restart it", status)
		e.Err = err
		return e
	}
	return &apierror.Error{Kind: kinds[f.Error.Kind], Msg: f.Error.Message, Param: f.Error.Param}
}

// get makes a call that returns one value.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (out T, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	err = c.do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

// getItems makes a call that returns a list.
func getItems[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	out, err := get[items[T]](ctx, c, path, query)
	return out.Items, err
}

// Status implements Service.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/api/status", nil)
}

// Accounts implements Service.
func (c *Client) Accounts(ctx context.Context) ([]AccountView, error) {
	return getItems[AccountView](ctx, c, "/api/accounts", nil)
}

// AddAccount implements Service.
func (c *Client) AddAccount(ctx context.Context, a NewAccount) (out AccountView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/accounts", a, &out)
	return out, err
}

// ChangeAccount implements Service.
func (c *Client) ChangeAccount(ctx context.Context, id string, ch AccountChange) (out AccountView, err error) {
	err = c.do(ctx, http.MethodPatch, "/api/accounts/"+url.PathEscape(id), ch, &out)
	return out, err
}

// ClearAccount implements Service.
func (c *Client) ClearAccount(ctx context.Context, id, model string) (out AccountView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/accounts/"+url.PathEscape(id)+"/clear", cleared{model}, &out)
	return out, err
}

// RemoveAccount implements Service.
func (c *Client) RemoveAccount(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/api/accounts/"+url.PathEscape(id), nil, nil)
}

// TestAccount implements Service.
func (c *Client) TestAccount(ctx context.Context, id string, t AccountTest) (out TestView, err error) {
	patient := *c
	if t.Generate {
		client := *c.http
		client.Timeout = testLimit + 5*time.Second
		patient.http = &client
	}
	err = patient.do(ctx, http.MethodPost, "/api/accounts/"+url.PathEscape(id)+"/test", t, &out)
	return out, err
}

// TestCost implements Service.
func (c *Client) TestCost(ctx context.Context, id, model string) (TestCost, error) {
	q := url.Values{}
	if model != "" {
		q.Set("model", model)
	}
	return get[TestCost](ctx, c, "/api/accounts/"+url.PathEscape(id)+"/test", q)
}

// AccountQuota implements Service.
func (c *Client) AccountQuota(ctx context.Context, id string) ([]QuotaView, error) {
	var out items[QuotaView]
	err := c.do(ctx, http.MethodGet, "/api/accounts/"+url.PathEscape(id)+"/quota", nil, &out)
	return out.Items, err
}

// RenewAccount implements Service.
func (c *Client) RenewAccount(ctx context.Context, id string) (out AccountView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/accounts/"+url.PathEscape(id)+"/refresh", nil, &out)
	return out, err
}

// Logins implements Service.
func (c *Client) Logins(ctx context.Context) ([]LoginView, error) {
	return getItems[LoginView](ctx, c, "/api/logins", nil)
}

// StartLogin implements Service.
func (c *Client) StartLogin(ctx context.Context, l NewLogin) (out LoginView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/logins", l, &out)
	return out, err
}

// Login implements Service.
func (c *Client) Login(ctx context.Context, id string, seq int) (LoginView, error) {
	return get[LoginView](ctx, c, "/api/logins/"+url.PathEscape(id), url.Values{"seq": {strconv.Itoa(seq)}})
}

// PasteLogin implements Service.
func (c *Client) PasteLogin(ctx context.Context, id string, text secret.Value) (out LoginView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/logins/"+url.PathEscape(id)+"/paste", pasted{text}, &out)
	return out, err
}

// CancelLogin implements Service.
func (c *Client) CancelLogin(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/api/logins/"+url.PathEscape(id), nil, nil)
}

// Keys implements Service.
func (c *Client) Keys(ctx context.Context) ([]KeyView, error) {
	return getItems[KeyView](ctx, c, "/api/keys", nil)
}

// AddKey implements Service.
func (c *Client) AddKey(ctx context.Context, k NewKey) (out CreatedKey, err error) {
	err = c.do(ctx, http.MethodPost, "/api/keys", k, &out)
	return out, err
}

// ChangeKey implements Service.
func (c *Client) ChangeKey(ctx context.Context, id string, ch KeyChange) (out KeyView, err error) {
	err = c.do(ctx, http.MethodPatch, "/api/keys/"+url.PathEscape(id), ch, &out)
	return out, err
}

// RemoveKey implements Service.
func (c *Client) RemoveKey(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/api/keys/"+url.PathEscape(id)+"?remove=true", nil, nil)
}

// RevokeKey implements Service.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/api/keys/"+url.PathEscape(id), nil, nil)
}

// Providers implements Service.
func (c *Client) Providers(ctx context.Context) ([]ProviderView, error) {
	return getItems[ProviderView](ctx, c, "/api/providers", nil)
}

// Presets implements Service.
func (c *Client) Presets(ctx context.Context) ([]PresetView, error) {
	return getItems[PresetView](ctx, c, "/api/presets", nil)
}

// AddProvider implements Service.
func (c *Client) AddProvider(ctx context.Context, p NewProvider) (out ProviderView, err error) {
	err = c.do(ctx, http.MethodPost, "/api/providers", p, &out)
	return out, err
}

// DefaultProvider implements Service.
func (c *Client) DefaultProvider(ctx context.Context) (string, error) {
	out, err := get[provider](ctx, c, "/api/default-provider", nil)
	return out.Provider, err
}

// SetDefaultProvider implements Service.
func (c *Client) SetDefaultProvider(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPut, "/api/default-provider", provider{id}, nil)
}

// Models implements Service.
func (c *Client) Models(ctx context.Context, provider string) ([]ModelView, error) {
	q := url.Values{}
	set(q, "provider", provider)
	return getItems[ModelView](ctx, c, "/api/models", q)
}

// RefreshModels implements Service.
func (c *Client) RefreshModels(ctx context.Context, provider string) error {
	q := url.Values{}
	set(q, "provider", provider)
	path := "/api/models/refresh"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return c.do(ctx, http.MethodPost, path, nil, nil)
}

// Doctor implements Service.
func (c *Client) Doctor(ctx context.Context) ([]Finding, error) {
	return getItems[Finding](ctx, c, "/api/doctor", nil)
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func setTime(q url.Values, name string, t time.Time) {
	if !t.IsZero() {
		q.Set(name, t.Format(time.RFC3339Nano))
	}
}
