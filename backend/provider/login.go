package provider

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strings"
	"time"

	"patchbay/backend/secret"
)

// How a sign-in goes. Package oauth carries it out and asks the driver only where the service is not plain OAuth 2.0. What a
// driver must bring, from nothing to everything:
//
//   - A Login of kind browser with AuthURL and TokenURL, or of kind device with DeviceURL and TokenURL, is plain: URL, PKCE,
//     exchange, polling and refresh are done for it (RFC 6749, 7636, 8628).
//   - Completer looks up once, after any sign-in, what a token alone does not say: the e-mail, a project, a profile.
//   - URLAuthenticator builds the address of the sign-in page where that page has parameters of its own.
//   - Authenticator exchanges and refreshes where the token calls are not the standard ones.
//   - DeviceAuthenticator runs a device login of the service's own making: a client that registers itself first, a poll that
//     brings a code.
//
// A driver may implement any of them, and its Logins may mix plain and own ways.

// The kinds of Login.
const (
	LoginBrowser = "browser" // a page in the browser, back by a loopback address or by pasting
	LoginDevice  = "device"  // a code that is typed on the service's page, on any machine
	LoginKey     = "key"     // an API key
	LoginFile    = "file"    // a file that a vendor's own program made
)

// Login is one way to get an account.
type Login struct {
	// ID tells the logins of a provider apart and stands with the account; "" = Kind.
	ID string
	// Kind is one of the Login constants.
	Kind        string
	Label, Text string // Text stands above the button
	// Fields are asked for before the sign-in begins, for example the start URL of an organisation. The answers reach the
	// driver as Grant.Fields and become settings of the account.
	Fields []Field

	AuthURL, DeviceURL, TokenURL string
	Client, ClientSecret         string // of a public registration: not confidential
	Scopes                       []string
	PKCE                         bool
	Params                       map[string]string // extra parameters of the authorisation URL
	TokenParams                  map[string]string // extra parameters of every token call
	RedirectParam                string            // name of the parameter that holds the redirect; "" = redirect_uri
	// BasicAuth sends the client's id and secret in the Authorization header instead of the form.
	BasicAuth bool
	// JSON sends token calls as a JSON object instead of a form.
	JSON bool

	// CallbackHost is the host in the redirect, "localhost" or "127.0.0.1" ("" = 127.0.0.1); both loopback addresses are
	// listened on. CallbackPath is where the browser comes back; CallbackPaths are further paths that count.
	CallbackHost, CallbackPath string
	CallbackPaths              []string
	CallbackPorts              []int // tried in order; empty = any free port
	// BareRedirect sends the redirect without its path, which the service appends itself.
	BareRedirect bool
	// PasteURL is a hosted redirect whose page shows the code, for a browser on another machine. Without it the person
	// pastes the address that the browser ended on.
	PasteURL string
}

// Key returns the login's id.
func (l Login) Key() string {
	if l.ID != "" {
		return l.ID
	}
	return l.Kind
}

// At returns the login with its pages and token endpoints at another host, each under its own path; "" leaves it as it is.
// That host sees codes and refresh tokens: it is for a simulated service, or for a gateway that a person trusts with them.
func (l Login) At(base string) Login {
	for _, address := range []*string{&l.AuthURL, &l.DeviceURL, &l.TokenURL, &l.PasteURL} {
		*address = At(*address, base)
	}
	return l
}

// At returns an address with its host replaced by base, which may have a path of its own in front. An empty address or base
// changes nothing.
func At(address, base string) string {
	if base == "" || address == "" {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return strings.TrimSuffix(base, "/") + u.RequestURI()
}

// AuthRequest is what the address of a sign-in page is made of.
type AuthRequest struct {
	Redirect  string // what goes out as the redirect: without its path if the login says BareRedirect
	State     string
	Challenge string // PKCE, S256; "" if the login has none
	Fields    map[string]string
	// Again says that an account of this provider exists, so that the page should offer another one.
	Again bool
	// Hint is the e-mail of the account that signs in again; "" if none is known.
	Hint string
}

// Grant is what a sign-in page gave.
type Grant struct {
	Login Login
	Code  secret.Value
	// Redirect is what the sign-in page was told; RedirectPath is the path that the browser really came back to, "" after a
	// paste of a bare code.
	Redirect, RedirectPath string
	Verifier               secret.Value // PKCE; empty if the login has none
	Fields                 map[string]string
	// Query is everything that came with the code, the code itself left out.
	Query url.Values
}

// Device is a device login under way.
type Device struct {
	UserCode string // what the person types
	URL      string // where
	Complete string // the same with the code filled in; "" if the service has none
	Interval time.Duration
	Expires  time.Time
	// State is what PollDevice needs: the device code, a verifier, a client registration. PollDevice may change it.
	State map[string]secret.Value
}

var (
	// ErrPending reports that the person has not finished yet.
	ErrPending = errors.New("the sign-in is not finished yet")
	// ErrSlowDown reports that the service wants to be asked less often: five seconds are added (RFC 8628, section 3.5). A
	// service that counts otherwise gets Device.Interval changed by its driver, with ErrPending.
	ErrSlowDown = errors.New("the service wants to be asked less often")
)

// An Authenticator is a Driver whose token calls are not plain OAuth 2.0. It is asked for all logins of its driver but for
// the polling of plain device logins; Grant.Login and Env.Login say which one it is, and oauth.Exchange and oauth.Refresh do
// the plain ones for it.
//
// Errors are *apierror.Error, and their kind decides: AuthExpired means that this refresh token or code will never work
// again and a person must sign in; AccountBlocked that the account is shut (with Action set: until the person did that);
// anything else is a passing trouble, and what is stored stays. When a new refresh token was given out and a later step
// failed, the credential is returned beside the error: it is stored, so that the login is not lost, and the error counts.
type Authenticator interface {
	// Exchange turns a code into a credential.
	Exchange(ctx context.Context, env Env, g Grant) (Credential, error)
	// Refresh renews a credential. What the answer leaves out (a refresh token that stays, Secret, members of Extra) is
	// taken over from old by the caller.
	Refresh(ctx context.Context, env Env, old Credential) (Credential, error)
}

// A URLAuthenticator is a Driver whose sign-in page has an address of its own making.
type URLAuthenticator interface {
	// AuthURL returns the address to open. It does no I/O. "" means that this login is a plain one.
	AuthURL(env Env, login Login, a AuthRequest) (string, error)
}

// A DeviceAuthenticator is a Driver with a device login of its own making. Logins that have a DeviceURL are plain and do not
// come here.
type DeviceAuthenticator interface {
	// BeginDevice asks for a code.
	BeginDevice(ctx context.Context, env Env, login Login, fields map[string]string) (*Device, error)
	// PollDevice asks once whether the person is through: a credential, ErrPending, ErrSlowDown, or why it will not work
	// (AuthExpired for a code that is over or refused). Trouble of the line is asked again.
	PollDevice(ctx context.Context, env Env, login Login, d *Device) (Credential, error)
}

// A Completer is a Driver that looks up, once after every sign-in, what a token alone does not say. It may be called again
// after a failure of the line, with the same credential. env.Note and env.Remember work on what the account will keep.
type Completer interface {
	// Complete returns c with what was found, the Extra members first of all.
	Complete(ctx context.Context, env Env, c Credential) (Credential, error)
}

// Members of Credential.Extra that mean the same for every driver.
const (
	// ExtraIdentity is the stable, not secret id of who signed in, for example "user-1/workspace-2". A person who signs in
	// again is found by it; without it by ExtraEmail, and without both every sign-in makes a new account.
	ExtraIdentity = "identity"
	ExtraEmail    = "email" // what the account is called, unless a person named it
	ExtraPlan     = "plan"  // "plus", "pro"...: shown
)

// Credential is what an account's login consists of.
type Credential struct {
	Access, Refresh secret.Value
	Secret          secret.Value      // what else must be sealed: a client registration's secret, an id token
	Issued, Expiry  time.Time         // of Access; a zero Expiry means that it has no end, a zero Issued that nobody knows
	Extra           map[string]string // not secret: project ID, profile ARN, region, account ID, machine ID
}

// Identity returns who signed in, "" if the service did not say.
func (c Credential) Identity() string {
	if id := c.Extra[ExtraIdentity]; id != "" {
		return id
	}
	return c.Extra[ExtraEmail]
}

// Under returns c with the members of Extra that it lacks taken from known: what a service once said of the account.
func (c Credential) Under(known map[string]string) Credential {
	extra := maps.Clone(known)
	if extra == nil {
		extra = map[string]string{}
	}
	maps.Copy(extra, c.Extra)
	c.Extra = extra
	return c
}
