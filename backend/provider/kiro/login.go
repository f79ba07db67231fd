package kiro

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/wire"
)

// Names in Device.State.
const (
	stateDevice = "device_code"
	stateClient = "client_id"
	stateSecret = "client_secret"
	stateEnd    = "client_expires"
	stateRegion = "region"
	stateStart  = "start_url"
)

// identityNames are the names that Kiro's sign-in service has for the two.
var identityNames = map[string]string{loginGoogle: "Google", loginGithub: "Github"}

// post sends a JSON object to AWS's SSO.
func post(ctx context.Context, env provider.Env, address string, body any, hide ...string) (*oauth.Answer, error) {
	return send(ctx, env, address, http.Header{}, body, hide)
}

// postKiro sends a JSON object to Kiro's own sign-in service, which tells programs apart by their user agent.
func postKiro(ctx context.Context, env provider.Env, address string, body any, hide ...string) (*oauth.Answer, error) {
	return send(ctx, env, address, http.Header{"User-Agent": {socialClient}}, body, hide)
}

func send(ctx context.Context, env provider.Env, address string, h http.Header, body any, hide []string) (*oauth.Answer, error) {
	b, err := wire.Marshal(body)
	if err != nil {
		return nil, apierror.New(apierror.Internal, "a value of the login is not valid text")
	}
	return oauth.Call{URL: address, Body: b, Header: h, Secrets: hide}.Do(ctx, env)
}

// object is a JSON object to send.
type object map[string]any

// BeginDevice asks for a code that the person types on Kiro's, AWS's or an organisation's page.
func (d Driver) BeginDevice(ctx context.Context, env provider.Env, login provider.Login, fields map[string]string) (*provider.Device, error) {
	h, err := hostsOf(env.Settings)
	if err != nil {
		return nil, err
	}
	if name := identityNames[login.Key()]; name != "" {
		return beginSocial(ctx, env, h, name)
	}
	start, regions := builderStart, []string{regionUS}
	if login.Key() == loginIDC {
		if start, err = startURL(fields[settingStart]); err != nil {
			return nil, err
		}
		regions = oidcRegions
		if r := strings.TrimSpace(fields[settingSSORegion]); r != "" {
			if !regionShape.MatchString(r) {
				return nil, apierror.Invalid("fields."+settingSSORegion, "%q is no AWS region like eu-central-1", r)
			}
			regions = []string{r}
		}
		if arn := fields[settingProfile]; arn != "" && !validARN(arn) {
			return nil, apierror.Invalid("fields."+settingProfile, "this is no profile ARN like arn:aws:codewhisperer:us-east-1:111122223333:profile/EXAMPLE")
		}
	}
	return beginOIDC(ctx, env, h, start, regions)
}

func beginSocial(ctx context.Context, env provider.Env, h hosts, name string) (*provider.Device, error) {
	a, err := postKiro(ctx, env, h.auth+"/oauth/device/authorization", object{"clientId": socialClient, "loginProvider": name})
	if err != nil {
		return nil, err
	}
	var in struct {
		Device   string  `json:"deviceCode"`
		User     string  `json:"userCode"`
		URI      string  `json:"verificationUri"`
		Complete string  `json:"verificationUriComplete"`
		Expires  float64 `json:"expiresInMilliseconds"`
		Interval float64 `json:"intervalInMilliseconds"`
	}
	if !a.OK() {
		return nil, a.Refused(oauth.StepDevice)
	}
	if err := a.Read(&in); err != nil {
		return nil, err
	}
	if in.Device == "" || in.User == "" {
		return nil, a.Refused(oauth.StepDevice)
	}
	return &provider.Device{UserCode: in.User, URL: cmp.Or(in.URI, in.Complete), Complete: in.Complete,
		Interval: millis(in.Interval, 5*time.Second), Expires: time.Now().Add(millis(in.Expires, 5*time.Minute)),
		State: map[string]secret.Value{stateDevice: secret.New(in.Device)}}, nil
}

func millis(n float64, otherwise time.Duration) time.Duration {
	if n <= 0 || n > 1e9 {
		return otherwise
	}
	return time.Duration(n * float64(time.Millisecond))
}

// beginOIDC registers Patchbay at AWS's SSO and asks for a code, in the first region that knows the start URL.
func beginOIDC(ctx context.Context, env provider.Env, h hosts, start string, regions []string) (*provider.Device, error) {
	var first error
	for _, region := range regions {
		dev, err := beginOIDCIn(ctx, env, in(h.oidc, region), start, region)
		if err == nil {
			return dev, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(regions) > 1 {
		e := apierror.From(first)
		e.Msg = "no AWS region knows this start URL; check it, and name the region of your directory (" + e.Msg + ")"
		return nil, e
	}
	return nil, first
}

// registration is what RegisterClient answers.
type registration struct {
	ID      string  `json:"clientId"`
	Secret  string  `json:"clientSecret"`
	Expires float64 `json:"clientSecretExpiresAt"`
}

func beginOIDCIn(ctx context.Context, env provider.Env, host, start, region string) (*provider.Device, error) {
	a, err := post(ctx, env, host+"/client/register", object{"clientName": clientName, "clientType": "public", "scopes": oidcScopes,
		"grantTypes": []string{grantDevice, "refresh_token"}, "issuerUrl": start})
	if err != nil {
		return nil, err
	}
	var reg registration
	if !a.OK() {
		return nil, a.Refused(oauth.StepDevice)
	}
	if err := a.Read(&reg); err != nil {
		return nil, err
	}
	if reg.ID == "" || reg.Secret == "" {
		return nil, a.Refused(oauth.StepDevice)
	}
	a, err = post(ctx, env, host+"/device_authorization", object{"clientId": reg.ID, "clientSecret": reg.Secret, "startUrl": start}, reg.Secret)
	if err != nil {
		return nil, err
	}
	var in struct {
		Device   string         `json:"deviceCode"`
		User     string         `json:"userCode"`
		URI      string         `json:"verificationUri"`
		Complete string         `json:"verificationUriComplete"`
		Expires  jsontext.Value `json:"expiresIn"`
		Interval jsontext.Value `json:"interval"`
	}
	if !a.OK() {
		return nil, a.Refused(oauth.StepDevice)
	}
	if err := a.Read(&in); err != nil {
		return nil, err
	}
	if in.Device == "" || in.User == "" {
		return nil, a.Refused(oauth.StepDevice)
	}
	return &provider.Device{UserCode: in.User, URL: cmp.Or(in.URI, in.Complete), Complete: in.Complete,
		Interval: max(oauth.Seconds(in.Interval, 5*time.Second), time.Second), Expires: time.Now().Add(oauth.Seconds(in.Expires, 10*time.Minute)),
		State: map[string]secret.Value{stateDevice: secret.New(in.Device), stateClient: secret.New(reg.ID), stateSecret: secret.New(reg.Secret),
			stateEnd: secret.New(strconv.FormatInt(int64(reg.Expires), 10)), stateRegion: secret.New(region), stateStart: secret.New(start)}}, nil
}

const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// PollDevice asks once whether the person is through.
func (d Driver) PollDevice(ctx context.Context, env provider.Env, login provider.Login, dev *provider.Device) (provider.Credential, error) {
	h, err := hostsOf(env.Settings)
	if err != nil {
		return provider.Credential{}, err
	}
	device := dev.State[stateDevice].Reveal()
	if identityNames[login.Key()] != "" {
		a, err := postKiro(ctx, env, h.auth+"/oauth/device/poll", object{"deviceCode": device, "clientId": socialClient}, device)
		if err != nil {
			return provider.Credential{}, err
		}
		return polledSocial(a)
	}
	region, clientID, clientSecret := dev.State[stateRegion].Reveal(), dev.State[stateClient].Reveal(), dev.State[stateSecret].Reveal()
	a, err := post(ctx, env, in(h.oidc, region)+"/token",
		object{"clientId": clientID, "clientSecret": clientSecret, "grantType": grantDevice, "deviceCode": device}, device, clientSecret)
	if err != nil {
		return provider.Credential{}, err
	}
	switch code, _ := a.Code(); code {
	case "authorization_pending":
		return provider.Credential{}, provider.ErrPending
	case "slow_down":
		return provider.Credential{}, provider.ErrSlowDown
	}
	c, err := tokensOf(a, oauth.StepDevice)
	if err != nil {
		return c, err
	}
	c.Secret = dev.State[stateSecret]
	kind := kindBuilder
	if login.Key() == loginIDC {
		kind = kindIDC
	}
	maps.Copy(c.Extra, map[string]string{extraKind: kind, extraClient: clientID, extraClientEnd: dev.State[stateEnd].Reveal(), extraRegion: region,
		extraStart: dev.State[stateStart].Reveal()})
	return c, nil
}

// polledSocial reads an answer of Kiro's own device login, which says how far it is in a member and not by its status.
func polledSocial(a *oauth.Answer) (provider.Credential, error) {
	var in struct {
		Status string `json:"status"`
	}
	if a.Status >= 500 || a.OK() && a.Read(&in) != nil {
		return provider.Credential{}, provider.ErrPending
	}
	_ = a.Read(&in) // a refusal may say it as well
	switch code, _ := a.Code(); cmp.Or(in.Status, code) {
	case "authorization_pending":
		return provider.Credential{}, provider.ErrPending
	case "slow_down":
		return provider.Credential{}, provider.ErrSlowDown
	case "authorized":
		c, err := tokensOf(a, oauth.StepDevice)
		if err != nil {
			return c, err
		}
		return social(c)
	case "expired_token":
		e := apierror.New(apierror.AuthExpired, "the code is over: start the sign-in again")
		e.Upstream.Code = "expired_token"
		return provider.Credential{}, e
	default:
		if a.OK() {
			return provider.Credential{}, apierror.New(apierror.AuthExpired, "the sign-in was refused (%s): start it again", in.Status)
		}
		return provider.Credential{}, a.Refused(oauth.StepDevice)
	}
}

// social marks a credential of Kiro's own sign-in. Without a profile it would be of no use.
func social(c provider.Credential) (provider.Credential, error) {
	if !validARN(c.Extra[extraARN]) {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "the sign-in brought no profile for this account: open Kiro once, then sign in again")
	}
	c.Extra[extraKind] = kindSocial
	return c, nil
}

// tokensOf reads the token answers of both services.
func tokensOf(a *oauth.Answer, step oauth.Step) (provider.Credential, error) {
	if !a.OK() {
		return provider.Credential{}, refusedToken(a, step)
	}
	var in struct {
		Access   string         `json:"accessToken"`
		Refresh  string         `json:"refreshToken"`
		Expires  jsontext.Value `json:"expiresIn"`
		ARN      string         `json:"profileArn"`
		Identity string         `json:"identityProvider"`
	}
	if err := a.Read(&in); err != nil {
		return provider.Credential{}, err
	}
	if in.Access == "" {
		return provider.Credential{}, a.Refused(step)
	}
	now := time.Now()
	c := provider.Credential{Access: secret.New(in.Access), Refresh: secret.New(in.Refresh), Issued: now,
		Expiry: now.Add(oauth.Seconds(in.Expires, unknownLife)), Extra: map[string]string{}}
	if validARN(in.ARN) {
		c.Extra[extraARN] = in.ARN
	}
	if in.Identity != "" {
		c.Extra[extraProvider] = in.Identity
	}
	return c, nil
}

// refusedToken reads a refusal of a token call: one that shuts the account is not the end of a login.
func refusedToken(a *oauth.Answer, step oauth.Step) *apierror.Error {
	s := said{status: a.Status, header: a.Header, name: exceptionName(a.Header.Get("X-Amzn-Errortype"))}
	s.read(a.Body)
	if low := strings.ToLower(s.message); errorRows[0].fits(&s, low) {
		e := errorRows[0].make(&s, time.Now())
		e.Upstream.Status = a.Status
		return e
	}
	e := a.Refused(step)
	if code, _ := a.Code(); code == "invalid_client" || contains(strings.ToLower(s.message), "client is expired") || s.name == "expiredclient" {
		e.Kind, e.Msg = apierror.AuthExpired, "this login's registration at AWS has ended: sign in again"
	}
	if e.Kind == apierror.RateLimited && e.RetryAfter == 0 {
		e.RetryAfter = time.Minute
	}
	return e
}

// AuthURL returns the address of Kiro's sign-in page for a browser on this machine.
func (d Driver) AuthURL(env provider.Env, login provider.Login, a provider.AuthRequest) (string, error) {
	h, err := hostsOf(env.Settings)
	if err != nil {
		return "", err
	}
	q := url.Values{"state": {a.State}, "code_challenge": {a.Challenge}, "code_challenge_method": {"S256"}, "redirect_uri": {a.Redirect},
		"redirect_from": {"kirocli"}}
	return h.portal + "/signin?" + q.Encode(), nil
}

// Exchange turns the code of the browser sign-in into a credential.
func (d Driver) Exchange(ctx context.Context, env provider.Env, g provider.Grant) (provider.Credential, error) {
	h, err := hostsOf(env.Settings)
	if err != nil {
		return provider.Credential{}, err
	}
	option := strings.ToLower(g.Query.Get("login_option"))
	switch option {
	case "google", "github":
	case "":
		return provider.Credential{}, apierror.New(apierror.AuthExpired,
			"the code alone is not enough: paste the whole address of the page that the browser ended on")
	default:
		return provider.Credential{}, apierror.New(apierror.AuthExpired,
			"this page signed in with %q; start again and choose AWS Builder ID or the organisation's sign-in", option)
	}
	redirect := g.Redirect + cmp.Or(g.RedirectPath, g.Login.CallbackPath) + "?login_option=" + option
	a, err := postKiro(ctx, env, h.auth+"/oauth/token", object{"code": g.Code.Reveal(), "code_verifier": g.Verifier.Reveal(), "redirect_uri": redirect},
		g.Code.Reveal(), g.Verifier.Reveal())
	if err != nil {
		return provider.Credential{}, err
	}
	c, err := tokensOf(a, oauth.StepExchange)
	if err != nil {
		return c, err
	}
	return social(c)
}

// Refresh renews a login at the service that gave it.
func (d Driver) Refresh(ctx context.Context, env provider.Env, old provider.Credential) (provider.Credential, error) {
	h, err := hostsOf(env.Settings)
	if err != nil {
		return provider.Credential{}, err
	}
	l, token := loginOf(old, nil), old.Refresh.Reveal()
	switch l.kind {
	case kindKey:
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "an API key is not renewed: make another one on Kiro's page")
	case kindExternal:
		return refreshExternal(ctx, env, old)
	case kindBuilder, kindIDC:
		if old.Secret.Empty() || old.Extra[extraClient] == "" {
			return provider.Credential{}, apierror.New(apierror.AuthExpired, "this login came without its registration at AWS and cannot be renewed: sign in again")
		}
		if end, err := strconv.ParseInt(old.Extra[extraClientEnd], 10, 64); err == nil && end > 0 && time.Now().After(time.Unix(end, 0).Add(-registrationLead)) {
			return provider.Credential{}, apierror.New(apierror.AuthExpired, "this login's registration at AWS has ended: sign in again")
		}
		region := cmp.Or(l.region, regionUS)
		if !regionShape.MatchString(region) {
			return provider.Credential{}, apierror.New(apierror.AuthExpired, "this login names no valid AWS region: sign in again")
		}
		a, err := post(ctx, env, in(h.oidc, region)+"/token", object{"clientId": old.Extra[extraClient], "clientSecret": old.Secret.Reveal(),
			"grantType": "refresh_token", "refreshToken": token}, token, old.Secret.Reveal())
		if err != nil {
			return provider.Credential{}, err
		}
		return tokensOf(a, oauth.StepRefresh)
	default:
		a, err := postKiro(ctx, env, h.auth+"/refreshToken", object{"refreshToken": token}, token)
		if err != nil {
			return provider.Credential{}, err
		}
		return tokensOf(a, oauth.StepRefresh)
	}
}

// refreshExternal renews a login of a company's own identity provider, which speaks plain OAuth 2.0.
func refreshExternal(ctx context.Context, env provider.Env, old provider.Credential) (provider.Credential, error) {
	u, err := url.Parse(old.Extra[extraEndpoint])
	if err != nil || u.Scheme != "https" && u.Hostname() != "127.0.0.1" || u.Host == "" {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "this login names no place where it could be renewed: open Kiro once, then import it again")
	}
	return oauth.Refresh(ctx, env, provider.Login{TokenURL: u.String(), Client: old.Extra[extraIDPClient]}, old)
}
