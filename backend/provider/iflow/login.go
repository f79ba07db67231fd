package iflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
	"patchbay/backend/wire/openai"
)

// AuthURL returns the address of the sign-in page, whose parameters are its own.
func (d Driver) AuthURL(_ provider.Env, login provider.Login, a provider.AuthRequest) (string, error) {
	q := url.Values{"loginMethod": {"phone"}, "type": {"phone"}, "redirect": {a.Redirect}, "state": {a.State}, "client_id": {login.Client}}
	return login.AuthURL + "?" + q.Encode(), nil
}

// Exchange turns a code into a login, and asks for the key that comes with it.
func (d Driver) Exchange(ctx context.Context, env provider.Env, g provider.Grant) (provider.Credential, error) {
	t, err := tokens(ctx, env, g.Login, map[string]string{"grant_type": "authorization_code", "code": g.Code.Reveal(), "redirect_uri": g.Redirect}, oauth.StepExchange)
	if err != nil {
		return provider.Credential{}, err
	}
	return withKey(ctx, env, t, provider.Credential{})
}

// Refresh renews a login. Its refresh token is spent by that, and the key may be another one afterwards.
func (d Driver) Refresh(ctx context.Context, env provider.Env, old provider.Credential) (provider.Credential, error) {
	if old.Refresh.Empty() {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "this key cannot be renewed. "+closed)
	}
	login := info.Logins[0].At(env.Settings[provider.SettingLoginURL])
	t, err := tokens(ctx, env, login, map[string]string{"grant_type": "refresh_token", "refresh_token": old.Refresh.Reveal()}, oauth.StepRefresh)
	if err != nil {
		return provider.Credential{}, err
	}
	return withKey(ctx, env, t, old)
}

// tokens asks the token endpoint, which wants the client's secret in the form and in the header.
func tokens(ctx context.Context, env provider.Env, login provider.Login, params map[string]string, step oauth.Step) (oauth.Token, error) {
	call := oauth.NewCall(login, login.TokenURL, params)
	call.Client, call.Secret = login.Client, login.ClientSecret
	a, err := call.Do(ctx, env)
	if err != nil {
		return oauth.Token{}, err
	}
	return a.Token(step)
}

// withKey asks for the API key of a login. A new refresh token is returned also when that fails, with the old key: the one
// before is spent.
func withKey(ctx context.Context, env provider.Env, t oauth.Token, old provider.Credential) (provider.Credential, error) {
	c := t.Credential()
	c.Secret, c.Access = secret.New(t.Access), old.Access
	address := provider.At(infoURL, env.Settings[provider.SettingLoginURL]) + "?" + url.Values{"accessToken": {t.Access}}.Encode()
	body, err := get(ctx, env, address, t.Access)
	if err != nil {
		return c, err
	}
	var v struct {
		OK   bool `json:"success"`
		Data struct {
			Key   string `json:"apiKey"`
			Email string `json:"email"`
			Phone string `json:"phone"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &v, jsontext.AllowDuplicateNames(true)) != nil {
		return c, apierror.New(apierror.Upstream5xx, "iFlow answered something else than the account's data; try again")
	}
	if !v.OK || v.Data.Key == "" {
		return c, apierror.New(apierror.Upstream5xx, "iFlow gave no key for this login. "+closed)
	}
	c.Access = secret.New(v.Data.Key)
	if v.Data.Email != "" {
		c.Extra[provider.ExtraEmail] = v.Data.Email
	} else if v.Data.Phone != "" {
		c.Extra[provider.ExtraIdentity] = v.Data.Phone
	}
	return c, nil
}

// get asks for the account's data. The token stands in the address, which no error shows.
func get(ctx context.Context, env provider.Env, address, token string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, transport.ListLimit, transport.LimitError("answer", transport.ListLimit))
	defer cancel()
	call := transport.Call{URL: address, Header: http.Header{"Accept": {"application/json"}}, Provider: env.Provider, Account: env.AccountID, Secrets: []string{token}}
	return transport.Fetch(ctx, env.HTTP, call, transport.MaxErrorBody, openai.ParseError)
}

// stored is a login or a key in a file: of iFlow's own program, of iflow2api or of CLIProxyAPI.
type stored struct {
	Access   string         `json:"access_token"`
	Refresh  string         `json:"refresh_token"`
	OldToken string         `json:"oauth_refresh_token"`
	Key      string         `json:"apiKey"`
	OtherKey string         `json:"api_key"`
	Base     string         `json:"baseUrl"`
	Expiry   jsontext.Value `json:"expiry_date"` // milliseconds since 1970
	Expired  string         `json:"expired"`
	Email    string         `json:"email"`
	Type     string         `json:"type"`
}

// ReadFile reads a login of iFlow's own program.
func (d Driver) ReadFile(f provider.File) (provider.FileLogin, error) {
	if f.Rows != nil {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	var s stored
	if err := json.Unmarshal(f.Data, &s, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return provider.FileLogin{}, errors.New("the file is no login of iFlow, or is being written") // the cause would quote it
	}
	key := s.Key
	if key == "" {
		key = s.OtherKey
	}
	switch {
	case s.Type != "" && s.Type != "iflow":
		return provider.FileLogin{}, fmt.Errorf("%w: it belongs to another service", provider.ErrNoLogin)
	case key == "":
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	refresh := s.Refresh
	if refresh == "" {
		refresh = s.OldToken
	}
	c := provider.Credential{Access: secret.New(key), Refresh: secret.New(refresh), Secret: secret.New(s.Access), Extra: map[string]string{}}
	if s.Email != "" {
		c.Extra[provider.ExtraEmail] = s.Email
	}
	var ms float64
	if end, err := time.Parse(time.RFC3339Nano, s.Expired); err == nil {
		c.Expiry = end
	} else if json.Unmarshal(s.Expiry, &ms) == nil && ms > 0 && ms < 1<<50 {
		c.Expiry = time.UnixMilli(int64(ms))
	}
	l := provider.FileLogin{Credential: c, Note: closed + "."}
	if refresh != "" {
		l.Login = provider.LoginBrowser
	}
	if s.Base != "" && s.Base != baseURL {
		l.Settings = map[string]string{provider.SettingBaseURL: s.Base}
	}
	return l, nil
}
