package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// OAuthUser is somebody who can sign in on a simulated page.
type OAuthUser struct {
	ID, Email, Name string
	// Claims go into ID tokens (and into access tokens that are JSON web tokens) beside the usual ones.
	Claims map[string]any
}

// OAuthOptions shapes a simulated authorisation server. The zero value is a strict server for a public client with rotating
// refresh tokens.
type OAuthOptions struct {
	Client, Secret string // "" Client: any; "" Secret: none is asked for
	// Redirects are the redirects that count, with * for any text inside a part: "http://127.0.0.1:*/callback". Empty: any
	// path and port of this machine.
	Redirects     []string
	RedirectParam string // "" = redirect_uri
	// PKCE: "" = checked where the page was given a challenge, "required" = nothing goes without.
	PKCE  string
	Life  time.Duration // of access tokens; 0 = an hour
	Users []OAuthUser   // empty: Ann and Bob
	// Steady keeps refresh tokens: a renewal brings none and kills none, as Google's does.
	Steady bool
	// Leeway gives a client that lost the answer of a renewal the same answer again, until the new tokens are first used.
	// Without it the second use of a refresh token ends the login.
	Leeway bool
	// Objects writes errors as {"error":{"code":...}} instead of {"error":"..."}.
	Objects bool
	// IDTokens adds an ID token to answers, JWT makes access tokens JSON web tokens.
	IDTokens, JWT bool
	// Prefix begins every token, for example "ya29." for access tokens and "1//" for refresh tokens.
	AccessPrefix, RefreshPrefix string
	DeviceLife, DeviceInterval  time.Duration // 0 = ten minutes, five seconds
	DeviceURL                   string        // where people type codes; "" = the handler's own /device
	Now                         func() time.Time
}

// OAuth is a simulated authorisation server. Its handlers can be mounted under any path; what a vendor says in a form of its
// own is built on the methods that take no request. It is safe for concurrent use.
type OAuth struct {
	opts OAuthOptions

	mu      sync.Mutex // guards what follows
	ahead   time.Duration
	serial  int
	codes   map[string]*oauthCode
	devices map[string]*oauthDevice // by device code
	access  map[string]*oauthAccess
	refresh map[string]*oauthRefresh
	trouble []OAuthTrouble
	counts  OAuthCounts
}

// OAuthCounts are what happened at a simulated authorisation server.
type OAuthCounts struct {
	Exchanges int // codes redeemed
	Refreshes int // renewals that worked
	Repeated  int // renewals answered again within the leeway
	Reuses    int // spent refresh tokens that came back and ended their login
	Replays   int // spent codes that came back and ended their login
	Refused   int // other refusals
	Polls     int
}

// OAuthTrouble is something that goes wrong with the next token call.
type OAuthTrouble string

// The troubles.
const (
	TroubleServer  OAuthTrouble = "500"           // the server fails before it looks at the call
	TroubleBusy    OAuthTrouble = "429"           // with Retry-After: 1
	TroublePage    OAuthTrouble = "page"          // 200 with a web page
	TroubleError   OAuthTrouble = "error_in_200"  // 200 with an error body
	TroubleNoToken OAuthTrouble = "no_token"      // 200 without a token
	TroubleRevoked OAuthTrouble = "invalid_grant" // the login is over
	TroubleForeign OAuthTrouble = "unauthorized_client"
	TroubleDropped OAuthTrouble = "dropped" // the tokens rotate, and the answer is lost on the way
)

type oauthLogin struct {
	user OAuthUser
	over bool // ended by reuse, replay or Revoke
}

type oauthCode struct {
	login     *oauthLogin
	redirect  string
	challenge string
	end       time.Time
	used      bool
}

type oauthAccess struct {
	login *oauthLogin
	end   time.Time
	from  *oauthRefresh // the refresh token of the same answer
}

type oauthRefresh struct {
	login  *oauthLogin
	spent  bool
	answer *OAuthGrant // what it was spent for
}

// OAuthGrant is a pair of tokens that was given out.
type OAuthGrant struct {
	User    OAuthUser
	Access  string
	Refresh string // "" = the old one stays
	ID      string
	Life    time.Duration
}

// OAuthError is a refusal by its word in RFC 6749 or 8628.
type OAuthError struct {
	Status     int
	Code, Text string
}

// Error returns the word and the text.
func (e *OAuthError) Error() string { return e.Code + ": " + e.Text }

func refuse(status int, code, text string) *OAuthError { return &OAuthError{status, code, text} }

// NewOAuth makes an authorisation server.
func NewOAuth(o OAuthOptions) *OAuth {
	if len(o.Users) == 0 {
		o.Users = []OAuthUser{
			{ID: "u-ann", Email: "ann@example.test", Name: "Ann"},
			{ID: "u-bob", Email: "bob@example.test", Name: "Bob"},
		}
	}
	if o.Life <= 0 {
		o.Life = time.Hour
	}
	if o.DeviceLife <= 0 {
		o.DeviceLife = 10 * time.Minute
	}
	if o.DeviceInterval <= 0 {
		o.DeviceInterval = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RedirectParam == "" {
		o.RedirectParam = "redirect_uri"
	}
	if o.AccessPrefix == "" {
		o.AccessPrefix = "sim-at-"
	}
	if o.RefreshPrefix == "" {
		o.RefreshPrefix = "sim-rt-"
	}
	return &OAuth{
		opts: o, codes: map[string]*oauthCode{}, devices: map[string]*oauthDevice{},
		access: map[string]*oauthAccess{}, refresh: map[string]*oauthRefresh{},
	}
}

// Handler serves /authorize, /token, /device/code, /device, /paste (a hosted redirect that shows the code) and /userinfo.
func (o *OAuth) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/authorize", o.Authorize)
	mux.HandleFunc("POST /token", o.Token)
	mux.HandleFunc("POST /device/code", o.DeviceCode)
	mux.HandleFunc("/device", o.DevicePage)
	mux.HandleFunc("GET /paste", o.HostedPage)
	mux.HandleFunc("GET /userinfo", o.UserInfo)
	return mux
}

// Now returns the server's time.
func (o *OAuth) Now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now()
}

func (o *OAuth) now() time.Time { return o.opts.Now().Add(o.ahead) }

// Advance puts the server's clock forward.
func (o *OAuth) Advance(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ahead += d
}

// Trouble queues what goes wrong with the next token calls, one after the other.
func (o *OAuth) Trouble(t ...OAuthTrouble) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trouble = append(o.trouble, t...)
}

// NextTrouble takes the trouble of one token call, "" if there is none: for token endpoints in a vendor's own form.
func (o *OAuth) NextTrouble() OAuthTrouble {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.trouble) == 0 {
		return ""
	}
	t := o.trouble[0]
	o.trouble = o.trouble[1:]
	return t
}

// Counts returns what happened so far.
func (o *OAuth) Counts() OAuthCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts
}

// RevokeAll ends every login, as a change of password does.
func (o *OAuth) RevokeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.refresh {
		r.login.over = true
	}
	for _, a := range o.access {
		a.login.over = true
	}
}

// ExpireAccess ends every access token; the logins stay.
func (o *OAuth) ExpireAccess() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.access)
}

// Works reports whether a refresh token would be renewed now, without renewing it.
func (o *OAuth) Works(refresh string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.refresh[refresh]
	return r != nil && !r.login.over && (!r.spent || o.again(r))
}

// Access returns who an access token belongs to, and takes note that it is used: from then on the refresh token before it is
// dead for good.
func (o *OAuth) Access(token string) (OAuthUser, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.access[token]
	if a == nil || a.login.over || !o.now().Before(a.end) {
		return OAuthUser{}, false
	}
	for _, r := range o.refresh {
		if r.answer != nil && r.answer.Access == token {
			r.answer = nil
		}
	}
	return a.login.user, true
}

// again reports that a spent refresh token may still be answered like the first time.
func (o *OAuth) again(r *oauthRefresh) bool { return o.opts.Leeway && r.spent && r.answer != nil }

// Issue signs a user in without a page and gives the first pair of tokens.
func (o *OAuth) Issue(email string) (OAuthGrant, bool) {
	u, ok := o.user(email)
	if !ok {
		return OAuthGrant{}, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.give(&oauthLogin{user: u}, true), true
}

func (o *OAuth) user(email string) (OAuthUser, bool) {
	i := slices.IndexFunc(o.opts.Users, func(u OAuthUser) bool { return u.Email == email || u.ID == email })
	if i < 0 {
		return OAuthUser{}, false
	}
	return o.opts.Users[i], true
}

// give makes tokens. The caller holds the lock.
func (o *OAuth) give(login *oauthLogin, withRefresh bool) OAuthGrant {
	o.serial++
	now := o.now()
	g := OAuthGrant{User: login.user, Life: o.opts.Life, Access: fmt.Sprintf("%s%06d-%s", o.opts.AccessPrefix, o.serial, login.user.ID)}
	if o.opts.JWT {
		g.Access = o.jwt(login.user, now.Add(o.opts.Life), o.serial)
	}
	if o.opts.IDTokens {
		g.ID = o.jwt(login.user, now.Add(o.opts.Life), 0)
	}
	a := &oauthAccess{login: login, end: now.Add(o.opts.Life)}
	if withRefresh {
		g.Refresh = fmt.Sprintf("%s%06d-%s", o.opts.RefreshPrefix, o.serial, login.user.ID)
		a.from = &oauthRefresh{login: login}
		o.refresh[g.Refresh] = a.from
	}
	o.access[g.Access] = a
	return g
}

// jwt makes an unsigned JSON web token with the claims of a user.
func (o *OAuth) jwt(u OAuthUser, end time.Time, serial int) string {
	claims := map[string]any{"iss": "https://sim.example.test", "sub": u.ID, "email": u.Email, "exp": end.Unix(), "aud": o.opts.Client}
	if serial > 0 {
		claims["jti"] = serial
	}
	for k, v := range u.Claims {
		claims[k] = v
	}
	head, _ := json.Marshal(map[string]string{"alg": "none", "typ": "JWT"}) // strings always marshal
	body, _ := json.Marshal(claims)                                         // the claims are made here
	enc := base64.RawURLEncoding.EncodeToString
	return enc(head) + "." + enc(body) + ".c2ln"
}

// NewCode gives a user a code for a redirect, as the page does.
func (o *OAuth) NewCode(email, redirect, challenge string) (string, bool) {
	u, ok := o.user(email)
	if !ok {
		return "", false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serial++
	code := fmt.Sprintf("sim-code-%06d", o.serial)
	o.codes[code] = &oauthCode{login: &oauthLogin{user: u}, redirect: redirect, challenge: challenge, end: o.now().Add(5 * time.Minute)}
	return code, true
}

// RedeemCode exchanges a code. One that comes twice ends the login that it gave (RFC 6749, section 4.1.2).
func (o *OAuth) RedeemCode(code, redirect, verifier string) (OAuthGrant, *OAuthError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.codes[code]
	sum := sha256.Sum256([]byte(verifier))
	switch {
	case c == nil:
		return OAuthGrant{}, o.no("invalid_grant", "Malformed auth code.")
	case c.used:
		c.login.over = true
		o.counts.Replays++
		return OAuthGrant{}, o.no("invalid_grant", "The code was used already.")
	case !o.now().Before(c.end):
		return OAuthGrant{}, o.no("invalid_grant", "The code has expired.")
	case c.redirect != redirect:
		return OAuthGrant{}, o.no("redirect_uri_mismatch", "The redirect is another one than the page was given.")
	case c.challenge != "" && verifier == "":
		return OAuthGrant{}, o.no("invalid_request", "Missing code verifier.")
	case c.challenge != "" && base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge:
		return OAuthGrant{}, o.no("invalid_grant", "Invalid code verifier.")
	}
	c.used = true
	o.counts.Exchanges++
	return o.give(c.login, true), nil
}

// RedeemRefresh renews a login.
func (o *OAuth) RedeemRefresh(token string) (OAuthGrant, *OAuthError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.refresh[token]
	switch {
	case r == nil || r.login.over:
		return OAuthGrant{}, o.no("invalid_grant", "Token has been expired or revoked.")
	case o.again(r):
		o.counts.Repeated++
		return *r.answer, nil
	case r.spent:
		r.login.over = true
		o.counts.Reuses++
		if o.opts.Objects {
			return OAuthGrant{}, o.no("refresh_token_reused", "Your refresh token was already used.")
		}
		return OAuthGrant{}, o.no("invalid_grant", "The refresh token was already used.")
	}
	o.counts.Refreshes++
	g := o.give(r.login, !o.opts.Steady)
	if !o.opts.Steady {
		r.spent, r.answer = true, &g
	}
	return g, nil
}

// no counts a refusal. The caller holds the lock.
func (o *OAuth) no(code, text string) *OAuthError {
	o.counts.Refused++
	return refuse(http.StatusBadRequest, code, text)
}

// allowed reports whether a page may send the browser there.
func (o *OAuth) allowed(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil || u.Host == "" {
		return false
	}
	if len(o.opts.Redirects) == 0 {
		return u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname())
	}
	return slices.ContainsFunc(o.opts.Redirects, func(pattern string) bool {
		if pattern == redirect {
			return true
		}
		ok, err := path.Match(strings.ReplaceAll(pattern, "[", "\\["), redirect)
		return err == nil && ok
	})
}
