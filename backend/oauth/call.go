package oauth

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
)

// answerLimit bounds what a token endpoint may answer.
const answerLimit = 1 << 20

// Call is one call of a service's login: to a token endpoint, a device endpoint, a registration.
type Call struct {
	URL    string
	Params map[string]string // the members of the form or of the JSON object
	JSON   bool
	// Body is sent as it is instead of Params, as JSON.
	Body   []byte
	Header http.Header
	// Client and Secret go into the Authorization header if Client is not empty (RFC 6749, section 2.3.1).
	Client, Secret string
	// Secrets must not appear in any error, besides the values of Params.
	Secrets []string
}

// Answer is what a login endpoint answered, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	url    string
	hide   []string
}

// Do sends the call through the account's client. The error is *apierror.Error: trouble of the line, nothing else.
func (c Call) Do(ctx context.Context, env provider.Env) (*Answer, error) {
	tc := transport.Call{Method: http.MethodPost, URL: c.URL, Header: c.Header.Clone(), Provider: env.Provider, Account: env.AccountID}
	if tc.Header == nil {
		tc.Header = http.Header{}
	}
	tc.Secrets = c.hidden()
	switch {
	case c.Body != nil:
		tc.Body = c.Body
		setDefault(tc.Header, "Content-Type", "application/json")
	case c.JSON:
		b, err := json.Marshal(c.Params, json.Deterministic(true))
		if err != nil {
			return nil, apierror.New(apierror.Internal, "a value of the login is not valid text")
		}
		tc.Body = b
		setDefault(tc.Header, "Content-Type", "application/json")
	default:
		form := url.Values{}
		for k, v := range c.Params {
			form.Set(k, v)
		}
		tc.Body = []byte(form.Encode())
		setDefault(tc.Header, "Content-Type", "application/x-www-form-urlencoded")
	}
	setDefault(tc.Header, "Accept", "application/json")
	if c.Client != "" {
		pair := url.QueryEscape(c.Client) + ":" + url.QueryEscape(c.Secret)
		basic := base64.StdEncoding.EncodeToString([]byte(pair))
		tc.Header.Set("Authorization", "Basic "+basic)
		tc.Secrets = append(tc.Secrets, basic)
	}
	a, err := transport.Do(transport.Untapped(ctx), env.HTTP, tc)
	if err != nil {
		return nil, err
	}
	body, err := transport.ReadAll(a.Body, answerLimit)
	if err != nil {
		return nil, tc.Fill(err)
	}
	return &Answer{Status: a.Status, Header: a.Header, Body: body, url: c.URL, hide: tc.Secrets}, nil
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// public are parameters whose values may stand in messages.
var public = []string{"client_id", "clientId", "grant_type", "grantType", "redirect_uri", "scope", "scopes", "response_type", "startUrl", "loginProvider"}

func (c Call) hidden() []string {
	out := slices.Clone(c.Secrets)
	for k, v := range c.Params {
		if v != "" && !slices.Contains(public, k) {
			out = append(out, v)
		}
	}
	return out
}

// OK reports whether the status says success.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Read reads the body as JSON into dst, which may use the tags of go-json-experiment. A page instead of JSON is Upstream5xx:
// it does not come from the login itself.
func (a *Answer) Read(dst any) error {
	if err := json.Unmarshal(a.Body, dst, json.MatchCaseInsensitiveNames(false), jsontext.AllowDuplicateNames(true)); err != nil {
		return a.fill(apierror.New(apierror.Upstream5xx, "%s answered something that is no token: a login page of the network or a filter may stand in between; try again", a.host()))
	}
	return nil
}

func (a *Answer) host() string { return cmp.Or(transport.HostOf(a.url), "the service") }

func (a *Answer) fill(e *apierror.Error) *apierror.Error {
	e.Upstream.Status = a.Status
	e.Upstream.Body = string(a.Body[:min(len(a.Body), 2*transport.KeptBody)])
	transport.Scrub(e, a.hide...)
	return e
}

// Code returns the machine-readable word of a refusal and the text with it, both "" if there is none. It knows the form of
// RFC 6749 ({"error":"invalid_grant"}), error objects ({"error":{"code":...}}), and AWS's header and "__type".
func (a *Answer) Code() (code, text string) {
	var body struct {
		Error       jsontext.Value `json:"error"`
		Description string         `json:"error_description"`
		Type        string         `json:"__type"`
		Message     string         `json:"message"`
		Status      string         `json:"status"`
	}
	// Members of another type than expected are no reason to miss the others.
	_ = json.Unmarshal(a.Body, &body, jsontext.AllowDuplicateNames(true))
	switch body.Error.Kind() {
	case '"':
		_ = json.Unmarshal(body.Error, &code) // its kind says that it is a string
	case '{':
		var o struct {
			Code    jsontext.Value `json:"code"`
			Type    string         `json:"type"`
			Message string         `json:"message"`
		}
		_ = json.Unmarshal(body.Error, &o, jsontext.AllowDuplicateNames(true))
		if o.Code.Kind() == '"' {
			_ = json.Unmarshal(o.Code, &code) // its kind says that it is a string
		}
		code, text = cmp.Or(code, o.Type), o.Message
	}
	if code == "" {
		code = awsCode(cmp.Or(a.Header.Get("X-Amzn-Errortype"), body.Type))
	}
	return code, clean(cmp.Or(text, body.Description, body.Message))
}

// awsCode turns "com.amazonaws...#InvalidGrantException:http://..." into "invalid_grant".
func awsCode(name string) string {
	if i := strings.LastIndexByte(name, '#'); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, ":")
	name = strings.TrimSuffix(name, "Exception")
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Words of refusals that end a login: RFC 6749 and 8628, and what OpenAI's and AWS's token endpoints are known to say.
var endings = []string{
	"invalid_grant", "expired_token", "token_expired", "token_revoked", "revoked", "revoked_token", "access_denied", "invalid_token",
	"refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated", "refresh_token_revoked",
}

// foreign are words that say: this token was given to another registration.
var foreign = []string{"unauthorized_client", "invalid_client"}

// Step says what a refused call was for, so that its message fits.
type Step uint8

// The steps.
const (
	StepExchange Step = iota // a code for a token
	StepRefresh
	StepDevice // asking for a device code, or for its outcome
)

// Refused returns what a refusal means: AuthExpired if it ends the login or the sign-in, RateLimited, or Upstream5xx for
// whatever may pass. It is also the reading of an answer that says 200 and holds an error or no token.
func (a *Answer) Refused(step Step) *apierror.Error {
	code, text := a.Code()
	e := &apierror.Error{Kind: apierror.Upstream5xx}
	e.Upstream.Code = code
	said := cmp.Or(text, code)
	if text != "" && code != "" && !strings.Contains(text, code) {
		said = code + ": " + text
	}
	if said != "" {
		said = " (" + said + ")"
	}
	switch {
	case a.Status == http.StatusTooManyRequests:
		e.Kind, e.RetryAfter = apierror.RateLimited, RetryAfter(a.Header)
		e.Msg = a.host() + " wants fewer sign-ins and renewals; wait a minute" + said
	case a.Status >= 500:
		e.Msg = fmt.Sprintf("%s failed with status %d%s; try again later", a.host(), a.Status, said)
	case slices.Contains(foreign, code):
		e.Kind, e.Msg = apierror.AuthExpired, foreignText[step]+said
	case slices.Contains(endings, code), a.Status == http.StatusUnauthorized:
		e.Kind, e.Msg = apierror.AuthExpired, endedText(step, code)+said
	case a.OK():
		e.Msg = a.host() + " answered without a token" + said + "; try again"
	case step != StepRefresh:
		e.Kind, e.Msg = apierror.AuthExpired, fmt.Sprintf("%s refused the sign-in with status %d%s; start it again", a.host(), a.Status, said)
	default:
		e.Msg = fmt.Sprintf("%s refused to renew the login with status %d%s", a.host(), a.Status, said)
	}
	return a.fill(e)
}

var foreignText = map[Step]string{
	StepExchange: "the service does not know this program's registration; update Patchbay, or use an API key",
	StepRefresh:  "this login was made for another program's registration and cannot be renewed here: sign in again with Patchbay",
	StepDevice:   "the service does not offer sign-in by code to this registration; sign in with the browser instead",
}

func endedText(step Step, code string) string {
	switch {
	case code == "access_denied":
		return "the sign-in was refused on the service's page: start it again and allow the access"
	case step == StepDevice:
		return "the code is over or was used up: start the sign-in again"
	case step == StepExchange:
		return "the code was used already or is too old: start the sign-in again"
	case code == "refresh_token_reused":
		return "another program used this login's refresh token, which ended the login: sign in again, and only here"
	default:
		return "the service no longer accepts this login: sign in again"
	}
}

// RetryAfter reads the header of that name as seconds or a date; 0 = none.
func RetryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseFloat(v, 64); err == nil && n > 0 {
		return time.Duration(n * float64(time.Second))
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// Token is the answer of a standard token endpoint.
type Token struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	// Expires is a number of seconds, also as a string.
	Expires jsontext.Value            `json:"expires_in"`
	Rest    map[string]jsontext.Value `json:",embed"`
}

// Token reads a standard answer. One that holds no token is refused, whatever its status.
func (a *Answer) Token(step Step) (Token, error) {
	var t Token
	if !a.OK() {
		return t, a.Refused(step)
	}
	if err := a.Read(&t); err != nil {
		return t, err
	}
	if t.Access == "" {
		return t, a.Refused(step)
	}
	return t, nil
}

// unknownLife is taken for the life of a token whose service does not say, if it can be renewed.
const unknownLife = time.Hour

// Credential returns what the answer gives, with who signed in as far as an ID token says.
func (t Token) Credential() provider.Credential {
	now := time.Now()
	c := provider.Credential{Access: secret.New(t.Access), Refresh: secret.New(t.Refresh), Issued: now, Extra: map[string]string{}}
	seconds, err := strconv.ParseFloat(strings.Trim(string(t.Expires), `"`), 64)
	var claims struct {
		Issuer  string  `json:"iss"`
		Subject string  `json:"sub"`
		Email   string  `json:"email"`
		End     float64 `json:"exp"`
	}
	switch {
	case err == nil && seconds > 0:
		c.Expiry = now.Add(time.Duration(seconds * float64(time.Second)))
	case Claims(t.Access, &claims) == nil && claims.End > 0:
		c.Expiry = time.Unix(int64(claims.End), 0)
	case t.Refresh != "":
		c.Expiry = now.Add(unknownLife)
	}
	claims.Issuer, claims.Subject, claims.Email = "", "", ""
	if t.ID != "" && Claims(t.ID, &claims) == nil {
		if claims.Subject != "" {
			c.Extra[provider.ExtraIdentity] = claims.Issuer + "|" + claims.Subject
		}
		if claims.Email != "" {
			c.Extra[provider.ExtraEmail] = claims.Email
		}
	}
	return c
}

// Claims reads the payload of a JSON web token into dst. It does not check the signature: the token came from its maker over
// TLS, and what it says decides nothing about safety.
func Claims(token string, dst any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a JSON web token")
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return errors.New("not a JSON web token")
	}
	if err := json.Unmarshal(b, dst, jsontext.AllowDuplicateNames(true)); err != nil {
		return errors.New("the token's claims are of another form than expected") // the cause would quote them
	}
	return nil
}
