package kiro

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// The kinds of login. They decide how a token is renewed, which headers go out and whether a profile is named.
const (
	kindSocial   = "social"
	kindBuilder  = "builder-id"
	kindIDC      = "idc"
	kindExternal = "external-idp"
	kindKey      = "api-key"
)

// Members of Credential.Extra. None of them is secret.
const (
	extraKind      = "kind"
	extraARN       = "profile_arn"
	extraRegion    = "sso_region"
	extraStart     = "start_url"
	extraClient    = "client_id"
	extraClientEnd = "client_expires" // Unix seconds; "" = unknown
	extraEndpoint  = "token_endpoint"
	extraIDPClient = "idp_client_id"
	extraProvider  = "idp"      // Google, Github, BuilderId, Enterprise, Internal
	extraProfiles  = "profiles" // "ARN name" lines, when there are several and none was chosen
)

// Notes about an account.
const (
	noteMachine = "machine_id"
	noteRoute   = "route"
	noteControl = "control"
)

// login is what a credential says.
type login struct {
	kind, arn, region, start, idp string
	profiles                      string
}

// loginOf reads a credential. One that says nothing is told by its token.
func loginOf(c provider.Credential, settings map[string]string) login {
	l := login{kind: c.Extra[extraKind], arn: cmp.Or(settings[settingProfile], c.Extra[extraARN]), region: c.Extra[extraRegion],
		start: c.Extra[extraStart], idp: c.Extra[extraProvider], profiles: c.Extra[extraProfiles]}
	if l.kind == "" {
		l.kind = kindOfToken(c.Access.Reveal())
	}
	if !validARN(l.arn) {
		l.arn = ""
	}
	return l
}

func kindOfToken(token string) string {
	switch {
	case strings.HasPrefix(token, "ksk_"):
		return kindKey
	case strings.Count(token, ".") == 2:
		return kindExternal
	default:
		return kindSocial
	}
}

var (
	arnShape    = regexp.MustCompile(`^arn:[a-z0-9-]+:codewhisperer:[a-z0-9-]+:\d{12}:profile/[A-Za-z0-9-]+$`)
	regionShape = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
)

func validARN(arn string) bool { return len(arn) <= 256 && arnShape.MatchString(arn) }

// apiRegion is where the API of an account is: what its profile says, else what is nearest to its sign-in. The profile of
// Builder ID is the service's own and says nothing.
func (l login) apiRegion(setting string) string {
	switch {
	case setting == regionUS || setting == regionEU:
		return setting
	case l.arn != "" && l.arn != builderARN:
		if f := strings.Split(l.arn, ":"); regionShape.MatchString(f[3]) {
			return f[3]
		}
	}
	return nearest(l.region)
}

func nearest(region string) string {
	if strings.HasPrefix(region, "eu-") {
		return regionEU
	}
	return regionUS
}

// tokenType is the header that tells the service how to read a token, "" for most.
func (l login) tokenType() string {
	switch l.kind {
	case kindKey:
		return "API_KEY"
	case kindExternal:
		return "EXTERNAL_IDP"
	default:
		return ""
	}
}

// needsProfile returns the error for a login that cannot work without a profile and has none.
func (l login) needsProfile() *apierror.Error {
	if l.arn != "" || l.kind != kindIDC && l.kind != kindExternal {
		return nil
	}
	e := apierror.New(apierror.AccountBlocked, "this account has no Kiro profile")
	e.Action, e.NoRetry = noProfile, true
	if l.profiles != "" {
		e.Msg = "this account has several Kiro profiles and none was chosen"
		e.Action = "profile: sign in again and name one of these as the profile ARN: " + strings.ReplaceAll(l.profiles, "\n", "; ")
	}
	return e
}

// machineID names this installation towards the service: random, made once for each account, and kept with it.
func machineID(env provider.Env) string {
	if env.Note != nil {
		if id := env.Note(noteMachine); id != "" {
			return id
		}
	}
	b := make([]byte, 32)
	rand.Read(b) // crypto/rand: never fails
	id := hex.EncodeToString(b)
	if env.Remember != nil {
		env.Remember(noteMachine, id)
	}
	return id
}

// uuid makes a random id of one call.
func uuid() string {
	b := make([]byte, 16)
	rand.Read(b) // crypto/rand: never fails
	return uuidOf(b)
}

// startURL checks the address of an organisation's sign-in.
func startURL(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", apierror.Invalid("fields."+settingStart, "the start URL must be like https://d-1234567890.awsapps.com/start")
	}
	u.Fragment, u.RawQuery = "", ""
	return strings.TrimRight(u.String(), "/"), nil
}
