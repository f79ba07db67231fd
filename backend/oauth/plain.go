package oauth

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// AuthURL returns the address of a standard sign-in page (RFC 6749, section 4.1.1).
func AuthURL(login provider.Login, a provider.AuthRequest) string {
	c := oauth2.Config{ClientID: login.Client, Scopes: login.Scopes, Endpoint: oauth2.Endpoint{AuthURL: login.AuthURL}}
	opts := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam(cmp.Or(login.RedirectParam, "redirect_uri"), a.Redirect)}
	if a.Challenge != "" {
		opts = append(opts, oauth2.SetAuthURLParam("code_challenge", a.Challenge), oauth2.SetAuthURLParam("code_challenge_method", "S256"))
	}
	for _, k := range slices.Sorted(maps.Keys(login.Params)) {
		opts = append(opts, oauth2.SetAuthURLParam(k, login.Params[k]))
	}
	if a.Hint != "" && strings.Contains(a.Hint, "@") {
		opts = append(opts, oauth2.SetAuthURLParam("login_hint", a.Hint))
	}
	return c.AuthCodeURL(a.State, opts...)
}

// Exchange turns a code into a credential at a standard token endpoint (RFC 6749, section 4.1.3).
func Exchange(ctx context.Context, env provider.Env, g provider.Grant) (provider.Credential, error) {
	params := map[string]string{"grant_type": "authorization_code", "code": g.Code.Reveal(), "redirect_uri": g.Redirect}
	if !g.Verifier.Empty() {
		params["code_verifier"] = g.Verifier.Reveal()
	}
	t, err := tokenCall(ctx, env, g.Login, params, StepExchange)
	if err != nil {
		return provider.Credential{}, err
	}
	return t.Credential(), nil
}

// Refresh renews a credential at a standard token endpoint (RFC 6749, section 6). What the answer leaves out stays empty.
func Refresh(ctx context.Context, env provider.Env, login provider.Login, old provider.Credential) (provider.Credential, error) {
	t, err := tokenCall(ctx, env, login, map[string]string{"grant_type": "refresh_token", "refresh_token": old.Refresh.Reveal()}, StepRefresh)
	if err != nil {
		return provider.Credential{}, err
	}
	return t.Credential(), nil
}

func tokenCall(ctx context.Context, env provider.Env, login provider.Login, params map[string]string, step Step) (Token, error) {
	a, err := NewCall(login, login.TokenURL, params).Do(ctx, env)
	if err != nil {
		return Token{}, err
	}
	return a.Token(step)
}

// NewCall returns a call of one of a login's endpoints with its client and extra parameters.
func NewCall(login provider.Login, url string, params map[string]string) Call {
	c := Call{URL: url, Params: maps.Clone(params), JSON: login.JSON}
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	for k, v := range login.TokenParams {
		c.Params[k] = v
	}
	if login.BasicAuth {
		c.Client, c.Secret = login.Client, login.ClientSecret
		return c
	}
	c.Params["client_id"] = login.Client
	if login.ClientSecret != "" {
		c.Params["client_secret"] = login.ClientSecret
	}
	return c
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// Limits of device codes where the service says nothing or too much (RFC 8628, section 3.2: five seconds).
const (
	deviceInterval = 5 * time.Second
	deviceLife     = 10 * time.Minute
	deviceLongest  = 30 * time.Minute
)

// Names in Device.State of a standard device login.
const (
	stateDevice   = "device_code"
	stateVerifier = "code_verifier"
)

// BeginDevice asks a standard device endpoint for a code (RFC 8628, section 3.1).
func BeginDevice(ctx context.Context, env provider.Env, login provider.Login) (*provider.Device, error) {
	params := map[string]string{"scope": strings.Join(login.Scopes, " ")}
	verifier := ""
	if login.PKCE {
		verifier = oauth2.GenerateVerifier()
		params["code_challenge"], params["code_challenge_method"] = oauth2.S256ChallengeFromVerifier(verifier), "S256"
	}
	a, err := NewCall(login, login.DeviceURL, params).Do(ctx, env)
	if err != nil {
		return nil, err
	}
	var body struct {
		Device   string         `json:"device_code"`
		User     string         `json:"user_code"`
		URI      string         `json:"verification_uri"`
		URL      string         `json:"verification_url"` // Google's name for it
		Complete string         `json:"verification_uri_complete"`
		Expires  jsontext.Value `json:"expires_in"`
		Interval jsontext.Value `json:"interval"`
	}
	if !a.OK() {
		return nil, a.Refused(StepDevice)
	}
	if err := a.Read(&body); err != nil {
		return nil, err
	}
	if body.Device == "" || body.User == "" {
		return nil, a.Refused(StepDevice)
	}
	return &provider.Device{
		UserCode: clean(body.User), URL: cmp.Or(body.URI, body.URL), Complete: body.Complete,
		Interval: Seconds(body.Interval, deviceInterval), Expires: time.Now().Add(min(Seconds(body.Expires, deviceLife), deviceLongest)),
		State: map[string]secret.Value{stateDevice: secret.New(body.Device), stateVerifier: secret.New(verifier)},
	}, nil
}

// PollDevice asks a standard token endpoint for the outcome (RFC 8628, section 3.4).
func PollDevice(ctx context.Context, env provider.Env, login provider.Login, d *provider.Device) (provider.Credential, error) {
	params := map[string]string{"grant_type": deviceGrant, "device_code": d.State[stateDevice].Reveal()}
	if v := d.State[stateVerifier]; !v.Empty() {
		params["code_verifier"] = v.Reveal()
	}
	a, err := NewCall(login, login.TokenURL, params).Do(ctx, env)
	if err != nil {
		return provider.Credential{}, err
	}
	switch code, _ := a.Code(); code {
	case "authorization_pending":
		return provider.Credential{}, provider.ErrPending
	case "slow_down":
		return provider.Credential{}, provider.ErrSlowDown
	}
	t, err := a.Token(StepDevice)
	if err != nil {
		return provider.Credential{}, err
	}
	return t.Credential(), nil
}

// Seconds reads a number of seconds, also one in a string; otherwise is the value for none.
func Seconds(v jsontext.Value, otherwise time.Duration) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(string(v), `"`), 64)
	if err != nil || n <= 0 || n > 1e9 {
		return otherwise
	}
	return time.Duration(n * float64(time.Second))
}

// exchange asks the driver, or the standard endpoint.
func exchange(ctx context.Context, d provider.Driver, env provider.Env, g provider.Grant) (provider.Credential, error) {
	if a, ok := d.(provider.Authenticator); ok {
		return a.Exchange(ctx, env, g)
	}
	return Exchange(ctx, env, g)
}

// refresh asks the driver, or the standard endpoint.
func refresh(ctx context.Context, d provider.Driver, env provider.Env, login provider.Login, old provider.Credential) (provider.Credential, error) {
	if a, ok := d.(provider.Authenticator); ok {
		return a.Refresh(ctx, env, old)
	}
	if login.TokenURL == "" {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "this login cannot be renewed: sign in again")
	}
	return Refresh(ctx, env, login, old)
}

// LoginOf returns the login of a service by its id; "" or one that is gone gives the first that can be renewed.
func LoginOf(info provider.Info, id string) provider.Login {
	var first provider.Login
	for _, l := range info.Logins {
		if l.Key() == id {
			return l
		}
		if first.TokenURL == "" {
			first = l
		}
	}
	return first
}
