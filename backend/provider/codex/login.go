package codex

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/wire/oai"
)

// Addresses of the login by code and its redirect, which only the token endpoint sees (captured from Codex CLI 0.169.0).
const (
	deviceCodeURL  = issuer + "/api/accounts/deviceauth/usercode"
	devicePollURL  = issuer + "/api/accounts/deviceauth/token"
	devicePage     = issuer + "/codex/device"
	deviceRedirect = issuer + "/deviceauth/callback"
)

// deviceLife is how long a code is good (Codex CLI 0.169.0).
const deviceLife = 15 * time.Minute

// unknownLife is taken for a token that names no end: Codex CLI renews after that time (openai/codex, 2026-08).
const unknownLife = 8 * 24 * time.Hour

// Members of a credential's Extra and notes of an account besides those of all providers.
const extraAccount = "account_id" // of the workspace, sent with every call

// at returns an address of the login where the settings have it.
func at(env provider.Env, address string) string {
	return provider.At(address, env.Settings[provider.SettingLoginURL])
}

// AuthURL returns the address of the sign-in page. When another account is to be added the page is made to ask for one:
// otherwise the browser's session would sign the first one in again.
func (d Driver) AuthURL(_ provider.Env, login provider.Login, a provider.AuthRequest) (string, error) {
	if !a.Again {
		return "", nil
	}
	params := map[string]string{"prompt": "login"}
	for k, v := range login.Params {
		params[k] = v
	}
	login.Params = params
	return oauth.AuthURL(login, a), nil
}

// Exchange turns a code into a credential.
func (d Driver) Exchange(ctx context.Context, env provider.Env, g provider.Grant) (provider.Credential, error) {
	params := map[string]string{"grant_type": "authorization_code", "code": g.Code.Reveal(), "redirect_uri": g.Redirect}
	if !g.Verifier.Empty() {
		params["code_verifier"] = g.Verifier.Reveal()
	}
	a, err := oauth.NewCall(g.Login, g.Login.TokenURL, params).Do(ctx, env)
	if err != nil {
		return provider.Credential{}, err
	}
	t, err := a.Token(oauth.StepExchange)
	if err != nil {
		return provider.Credential{}, explainLogin(err)
	}
	return credential(t), nil
}

// Refresh renews a login. The refresh token is spent by it: whoever sends it once more ends the login.
func (d Driver) Refresh(ctx context.Context, env provider.Env, old provider.Credential) (provider.Credential, error) {
	login := builtIn.Logins[0].At(env.Settings[provider.SettingLoginURL]) // all are renewed in the same way
	if old.Refresh.Empty() {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "this access token is over and cannot be renewed: sign in with ChatGPT")
	}
	call := oauth.NewCall(login, login.TokenURL, map[string]string{"grant_type": "refresh_token", "refresh_token": old.Refresh.Reveal()})
	call.JSON = true
	a, err := call.Do(ctx, env)
	if err != nil {
		return provider.Credential{}, err
	}
	if !a.OK() {
		return provider.Credential{}, a.Refused(oauth.StepRefresh)
	}
	var t oauth.Token
	if err := a.Read(&t); err != nil {
		return provider.Credential{}, err
	}
	switch {
	case t.Access != "":
		return credential(t), nil
	case t.Refresh != "": // the old one is spent: the new one must be kept whatever else is missing
		c := old
		c.Refresh = secret.New(t.Refresh)
		return c, a.Refused(oauth.StepRefresh)
	default:
		return provider.Credential{}, a.Refused(oauth.StepRefresh)
	}
}

// explainLogin says in words what the code of a refusal means that people can do something about.
func explainLogin(err error) error {
	e := apierror.From(err)
	if e.Upstream.Code == "missing_codex_entitlement" || strings.Contains(e.Upstream.Body, "missing_codex_entitlement") {
		e.Msg = "this workspace has no access to Codex: ask its administrator, or sign in to another workspace"
	}
	return e
}

// claims are what both tokens tell. They are not verified: they came from their maker over TLS, and decide what is shown and
// which account id is sent, which the service checks itself.
type claims struct {
	Email   string  `json:"email"`
	End     float64 `json:"exp"`
	Account struct {
		ID    string `json:"chatgpt_account_id"`
		User  string `json:"chatgpt_user_id"`
		Other string `json:"user_id"`
		Plan  string `json:"chatgpt_plan_type"`
	} `json:"https://api.openai.com/auth"`
	Profile struct {
		Email string `json:"email"`
	} `json:"https://api.openai.com/profile"`
}

// read takes over from a token what is not known yet.
func (c *claims) read(token string) {
	var other claims
	if oauth.Claims(token, &other) != nil {
		return
	}
	c.Email = cmp.Or(c.Email, other.Email, other.Profile.Email)
	c.Account.ID = cmp.Or(c.Account.ID, other.Account.ID)
	c.Account.User = cmp.Or(c.Account.User, other.Account.User, other.Account.Other)
	c.Account.Plan = cmp.Or(c.Account.Plan, other.Account.Plan)
}

// endOf returns when an access token ends by its own word, zero if it does not say.
func endOf(token string) time.Time {
	var c claims
	if oauth.Claims(token, &c) != nil || c.End <= 0 || c.End > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(c.End), 0)
}

// credential makes a credential of an answer of the token endpoint. One person can have several workspaces, so both ids make
// up the identity.
func credential(t oauth.Token) provider.Credential {
	c := t.Credential()
	if end := endOf(t.Access); !end.IsZero() {
		c.Expiry = end // expires_in is only a copy of it
	} else if oauth.Seconds(t.Expires, 0) == 0 && t.Refresh != "" {
		c.Expiry = c.Issued.Add(unknownLife)
	}
	var who claims
	who.read(t.ID)
	who.read(t.Access)
	c.Extra = map[string]string{}
	set := func(key, value string) {
		if value != "" {
			c.Extra[key] = value
		}
	}
	set(provider.ExtraEmail, who.Email)
	set(provider.ExtraPlan, who.Account.Plan)
	set(extraAccount, who.Account.ID)
	if who.Account.User != "" {
		set(provider.ExtraIdentity, who.Account.User+"/"+who.Account.ID)
	}
	return c
}

// accountOf returns the workspace that a credential belongs to; a lone access token names it itself.
func accountOf(c provider.Credential) string {
	if id := c.Extra[extraAccount]; id != "" {
		return id
	}
	var who claims
	who.read(c.Access.Reveal())
	return who.Account.ID
}

// Names in Device.State.
const (
	stateDevice = "device_auth_id"
	stateUser   = "user_code"
)

// BeginDevice asks for a code. The service has a way of its own for it, not that of RFC 8628.
func (d Driver) BeginDevice(ctx context.Context, env provider.Env, _ provider.Login, _ map[string]string) (*provider.Device, error) {
	a, err := oauth.Call{URL: at(env, deviceCodeURL), JSON: true, Params: map[string]string{"client_id": client}}.Do(ctx, env)
	if err != nil {
		return nil, err
	}
	if a.Status == http.StatusNotFound {
		return nil, apierror.New(apierror.Unsupported, "OpenAI does not offer the sign-in by code here; sign in with the browser instead")
	}
	if !a.OK() {
		return nil, a.Refused(oauth.StepDevice)
	}
	var body struct {
		Device   string         `json:"device_auth_id"`
		User     string         `json:"user_code"`
		Other    string         `json:"usercode"`
		Interval jsontext.Value `json:"interval"` // a number of seconds in a string
	}
	if err := a.Read(&body); err != nil {
		return nil, err
	}
	code := cmp.Or(body.User, body.Other)
	if body.Device == "" || code == "" {
		return nil, a.Refused(oauth.StepDevice)
	}
	return &provider.Device{
		UserCode: code, URL: at(env, devicePage), Interval: oauth.Seconds(body.Interval, 5*time.Second), Expires: time.Now().Add(deviceLife),
		State: map[string]secret.Value{stateDevice: secret.New(body.Device), stateUser: secret.New(code)},
	}, nil
}

// PollDevice asks once whether the person is through. What comes is a code and the PKCE verifier that the service made itself.
func (d Driver) PollDevice(ctx context.Context, env provider.Env, login provider.Login, dev *provider.Device) (provider.Credential, error) {
	a, err := oauth.Call{URL: at(env, devicePollURL), JSON: true, Params: map[string]string{
		stateDevice: dev.State[stateDevice].Reveal(), stateUser: dev.State[stateUser].Reveal(),
	}}.Do(ctx, env)
	if err != nil {
		return provider.Credential{}, err
	}
	if a.Status == http.StatusForbidden || a.Status == http.StatusNotFound {
		return provider.Credential{}, provider.ErrPending
	}
	if !a.OK() {
		return provider.Credential{}, a.Refused(oauth.StepDevice)
	}
	var body struct {
		Code     string `json:"authorization_code"`
		Verifier string `json:"code_verifier"`
	}
	if err := a.Read(&body); err != nil {
		return provider.Credential{}, err
	}
	if body.Code == "" {
		return provider.Credential{}, a.Refused(oauth.StepDevice)
	}
	login.TokenURL = cmp.Or(login.TokenURL, at(env, issuer+"/oauth/token"))
	return d.Exchange(ctx, env, provider.Grant{
		Login: login, Code: secret.New(body.Code), Redirect: deviceRedirect, Verifier: secret.New(body.Verifier),
	})
}

// Complete asks once where the workspace's calls belong and what its plan is. A service that does not answer it is used as
// before: it is known since 2026 only.
func (d Driver) Complete(ctx context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
	env.Token = func(context.Context) (provider.Credential, error) { return c, nil }
	up, err := d.Open(env)
	if err != nil {
		return c, err
	}
	u := up.(*upstream) // Open makes nothing else
	found, err := u.lookAt(ctx)
	switch {
	case err != nil && apierror.KindOf(err) == apierror.AccountBlocked:
		return c, err
	case err != nil:
		env.Log.Debug("The workspace was not found out about", "provider", env.Provider, "err", err)
		return c, nil
	case found.Plan != "":
		c.Extra[provider.ExtraPlan] = found.Plan
	}
	return c, nil
}

// detailed is the error that x-error-json holds, nil if there is none.
func detailed(h http.Header) []byte {
	b, err := base64.StdEncoding.DecodeString(h.Get("X-Error-Json"))
	if err != nil || len(b) == 0 || len(b) > 64<<10 || oai.LooksHTML(b) {
		return nil
	}
	return b
}
