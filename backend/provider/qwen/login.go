package qwen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"

	"patchbay/backend/apierror"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// How often the outcome is asked for, and how seldom at most (qwen-code 0.15.10; RFC 8628 would add without end).
const (
	interval = 3 * time.Second
	longest  = 10 * time.Second
	codeLife = 15 * time.Minute
)

// Names in Device.State.
const (
	stateDevice   = "device_code"
	stateVerifier = "code_verifier"
)

// Exchange is never asked: there is no page that gives a code.
func (d Driver) Exchange(context.Context, provider.Env, provider.Grant) (provider.Credential, error) {
	return provider.Credential{}, apierror.New(apierror.Unsupported, "Qwen has a sign-in by a code on its page only")
}

// BeginDevice asks for a code.
func (d Driver) BeginDevice(ctx context.Context, env provider.Env, login provider.Login, _ map[string]string) (*provider.Device, error) {
	verifier := oauth2.GenerateVerifier()
	a, err := oauth.NewCall(login, provider.At(codeURL, env.Settings[provider.SettingLoginURL]), map[string]string{
		"scope": strings.Join(login.Scopes, " "), "code_challenge": oauth2.S256ChallengeFromVerifier(verifier), "code_challenge_method": "S256",
	}).Do(ctx, env)
	if err != nil {
		return nil, err
	}
	if !a.OK() {
		return nil, a.Refused(oauth.StepDevice)
	}
	var body struct {
		Device   string         `json:"device_code"`
		User     string         `json:"user_code"`
		URI      string         `json:"verification_uri"`
		Complete string         `json:"verification_uri_complete"`
		Expires  jsontext.Value `json:"expires_in"`
		Interval jsontext.Value `json:"interval"`
	}
	if err := a.Read(&body); err != nil {
		return nil, err
	}
	if body.Device == "" || body.User == "" {
		return nil, a.Refused(oauth.StepDevice)
	}
	return &provider.Device{
		UserCode: body.User, URL: body.URI, Complete: body.Complete, Interval: oauth.Seconds(body.Interval, interval),
		Expires: time.Now().Add(min(oauth.Seconds(body.Expires, codeLife), 2*codeLife)),
		State:   map[string]secret.Value{stateDevice: secret.New(body.Device), stateVerifier: secret.New(verifier)},
	}, nil
}

// PollDevice asks once whether the person is through.
func (d Driver) PollDevice(ctx context.Context, env provider.Env, login provider.Login, dev *provider.Device) (provider.Credential, error) {
	a, err := oauth.NewCall(login, login.TokenURL, map[string]string{
		"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": dev.State[stateDevice].Reveal(), "code_verifier": dev.State[stateVerifier].Reveal(),
	}).Do(ctx, env)
	if err != nil {
		return provider.Credential{}, err
	}
	switch code, _ := a.Code(); {
	case code == "authorization_pending":
		return provider.Credential{}, provider.ErrPending
	case code == "slow_down":
		dev.Interval = min(dev.Interval*3/2, longest)
		return provider.Credential{}, provider.ErrPending
	case a.Status == http.StatusTooManyRequests: // asking on would make it worse
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "Qwen takes no more sign-ins from here at the moment; start again in some minutes")
	}
	if !a.OK() {
		return provider.Credential{}, a.Refused(oauth.StepDevice)
	}
	var t oauth.Token
	if err := a.Read(&t); err != nil {
		return provider.Credential{}, err
	}
	if t.Access == "" {
		return provider.Credential{}, provider.ErrPending
	}
	return credential(t), nil
}

// Refresh renews a login. A refresh token that comes back takes the place of the old one.
func (d Driver) Refresh(ctx context.Context, env provider.Env, old provider.Credential) (provider.Credential, error) {
	login := info.Logins[0].At(env.Settings[provider.SettingLoginURL])
	if old.Refresh.Empty() {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "this access token is over and cannot be renewed. "+use)
	}
	a, err := oauth.NewCall(login, login.TokenURL, map[string]string{"grant_type": "refresh_token", "refresh_token": old.Refresh.Reveal()}).Do(ctx, env)
	if err != nil {
		return provider.Credential{}, err
	}
	t, err := a.Token(oauth.StepRefresh)
	if err != nil {
		e := apierror.From(err)
		if a.Status == http.StatusBadRequest { // whatever the word: this refresh token is dead
			e.Kind = apierror.AuthExpired
		}
		return provider.Credential{}, e
	}
	return credential(t), nil
}

func credential(t oauth.Token) provider.Credential {
	c := t.Credential()
	var address string
	if json.Unmarshal(t.Rest[extraResource], &address) == nil && address != "" {
		c.Extra[extraResource] = address
	}
	return c
}

// stored is a login in a file: Qwen Code's own, AIClient-2-API's (the same), or CLIProxyAPI's.
type stored struct {
	Access   string         `json:"access_token"`
	Refresh  string         `json:"refresh_token"`
	Resource string         `json:"resource_url"`
	Expiry   jsontext.Value `json:"expiry_date"` // milliseconds since 1970
	Expired  string         `json:"expired"`
	Expires  jsontext.Value `json:"expires_in"`
	Email    string         `json:"email"` // a label that a person gave
	Type     string         `json:"type"`
}

// ReadFile reads a login of Qwen Code.
func (d Driver) ReadFile(f provider.File) (provider.FileLogin, error) {
	if f.Rows != nil {
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	var s stored
	if err := json.Unmarshal(f.Data, &s, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return provider.FileLogin{}, errors.New("the file is no login of Qwen Code, or is being written") // the cause would quote it
	}
	switch {
	case s.Type != "" && s.Type != "qwen":
		return provider.FileLogin{}, fmt.Errorf("%w: it belongs to another service", provider.ErrNoLogin)
	case s.Access == "":
		return provider.FileLogin{}, provider.ErrNoLogin
	}
	c := provider.Credential{Access: secret.New(s.Access), Refresh: secret.New(s.Refresh), Extra: map[string]string{}}
	if s.Resource != "" {
		c.Extra[extraResource] = s.Resource
	}
	if s.Email != "" {
		c.Extra[provider.ExtraEmail] = s.Email
	}
	left := oauth.Seconds(s.Expires, 0)
	if end, err := time.Parse(time.RFC3339Nano, s.Expired); err == nil {
		c.Expiry = end
	} else if ms := milliseconds(s.Expiry); ms > 0 {
		c.Expiry = time.UnixMilli(ms)
	} else if left > 0 && !f.Modified.IsZero() { // AIClient-2-API may have written the answer as it came
		c.Expiry = f.Modified.Add(left)
	}
	return provider.FileLogin{Credential: c, Login: provider.LoginDevice, Note: use + "."}, nil
}

func milliseconds(v jsontext.Value) int64 {
	var n float64
	if json.Unmarshal(v, &n) != nil || n <= 0 || n > 1<<50 {
		return 0
	}
	return int64(n)
}
