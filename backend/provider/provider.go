// Package provider defines what an upstream service must be able to do. It holds no service itself.
package provider

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
)

// A Driver is one kind of upstream service. It holds no account and no state.
type Driver interface {
	// Info describes the service to people and to the router.
	Info() Info
	// Open prepares the service for one account. It does no network I/O: an account with an expired login still opens,
	// and its first call says so.
	Open(env Env) (Upstream, error)
}

// An Upstream answers calls with one account. It is safe for concurrent use.
//
// Upstreams may also implement TokenCounter, Embedder, Imager, Compactor, Forwarder, Tester or QuotaReporter; who needs one asks
// by type assertion.
type Upstream interface {
	// Stream sends req and yields the answer. It tries once: retrying, switching accounts and falling back are the
	// gateway's work. Errors are *apierror.Error; a stream that ends before Finish is an error.
	Stream(ctx context.Context, req *canon.Request) canon.Stream
	// Models lists what this account may use. An empty list with a nil error means "ask Info".
	Models(ctx context.Context) ([]canon.Model, error)
}

// TokenCounter counts the tokens of a request without answering it.
type TokenCounter interface {
	// CountTokens returns the tokens of the prompt. An Unsupported error means "estimate it yourself".
	CountTokens(ctx context.Context, req *canon.Request) (int64, error)
}

// Embedder makes embeddings.
type Embedder interface {
	Embed(ctx context.Context, req *canon.Embed) (*canon.Embeddings, error)
}

// Imager makes images.
type Imager interface {
	// Images sends req and yields what comes back: pictures in the making, then one event that is Done. It tries once.
	Images(ctx context.Context, req *canon.ImageRequest) iter.Seq2[canon.ImageEvent, error]
}

// Forwarder passes requests on as they are, whatever they mean.
type Forwarder interface {
	// Forward sends r with the account's own credentials and returns the answer as soon as its head is there. A refusal
	// that another account may not get (of the key, of the pace, of a failing service) is an *apierror.Error, with the
	// answer beside it where it may be shown to the client if nobody else answers; any other answer is passed on, whatever
	// its status. The caller closes the body.
	Forward(ctx context.Context, r *RawRequest) (*RawAnswer, error)
}

// RawRequest is a request that is passed on as it is.
type RawRequest struct {
	Method string
	Path   string      // below the service's base URL, escaped, as the client sent it
	Query  string      // without a client key
	Header http.Header // of the client; a Forwarder passes on only what is nobody's credential
	Body   []byte      // nil = none
}

// RawAnswer is what came back.
type RawAnswer struct {
	Status int
	Header http.Header
	Body   io.ReadCloser
}

// Tester checks an account without spending anything.
type Tester interface {
	// Test asks the service for what is free. An error is why the account cannot be used, as far as that can be told.
	Test(ctx context.Context) (Tested, error)
}

// Tested is what a test found.
type Tested struct {
	BaseURL string // another address of the service that works, to be used from now on; "" = the one at hand does
	Models  int    // how many models the service lists; 0 = it lists none, which says nothing about the key
	Note    string // what a person should know, "" = nothing
}

// Compactor has a conversation shortened by the service. The answer is the service's own: only clients of its wire format
// can read it, and only the service can read what it holds.
type Compactor interface {
	Compact(ctx context.Context, req *canon.Request) (jsontext.Value, error)
}

// QuotaReporter tells how much is left without spending any of it.
type QuotaReporter interface {
	Quota(ctx context.Context) ([]Quota, error)
}

// Env is what a driver gets to work with for one account.
type Env struct {
	Provider  string            // the provider's id: one driver may serve several user-defined providers
	AccountID string            // "" while a new account signs in
	Login     string            // id of the Login by which the account signed in, "" if by none
	Label     string            // the account's name as people see it
	HTTP      *http.Client      // carries the account's proxy and time-outs, no credentials
	Settings  map[string]string // the provider's and the account's fields, as listed in Info
	Log       *slog.Logger

	// Token returns a credential whose access token or key is valid now, refreshing it when needed, with its Extra.
	// After an answer that means AuthExpired the gateway has it refreshed once and repeats.
	Token func(ctx context.Context) (Credential, error)

	// Note and Remember read and keep small facts that the driver learned about this account (a parameter the upstream
	// refuses, a project ID). Not secret; stored with the account.
	Note     func(key string) string
	Remember func(key, value string)
}

// Info is everything the rest of Patchbay knows about a service. The window draws it; nothing else names a provider.
type Info struct {
	ID, Name  string
	Aliases   []string         // old names in paths and prefixes
	Labels    []string         // old labels of "[Label] model" names, besides Name
	Wire      string           // wire format of the upstream
	Status    string           // active, licensed, experimental, discontinued
	Off       bool             // off until the person turns it on
	Instead   string           // what to use instead, when discontinued
	BaseURL   string           // where the service is, unless a setting says otherwise
	KeyURL    string           // where a person gets a key
	KeyEnv    []string         // names of environment variables in which people keep such a key
	Raw       bool             // its upstreams are Forwarders and nothing else: paths and headers lead there, models never do
	NoKey     bool             // an account may have no key at all (local servers)
	Logins    []Login          // how to get an account: browser, device code, key, import of a file
	Fields    []Field          // settings per account, drawn as a form
	Files     []CredentialFile // see FileReader
	Models    []canon.Model    // dated fallback for a live list that fails, and facts that such a list leaves out
	Static    bool             // Models is the list: the service has none
	ModelsURL string           // path of the list on the service's host, where it is not the usual one
	Only      []string         // patterns of the models that are shown; none = all
	Hide      []string         // patterns of models that are not
	Regions   []string         // providers or presets for the same service elsewhere: a key refused here may belong there
	Risk      *Risk            // shown before the first login; dated
	Policy    Policy           // what this service needs instead of the defaults
}

// Names of settings that every provider by key understands; they stand in Env.Settings.
const (
	SettingBaseURL      = "base_url"
	SettingLoginURL     = "login_url"            // see Login.At
	SettingAuthHeader   = "auth_header"          // "Authorization" or another header name; "" = the driver's default
	SettingAuthPrefix   = "auth_prefix"          // "Bearer " unless the header is another one
	SettingHeaderPrefix = "header."              // "header.X-Title": a static extra header
	SettingModels       = "models"               // comma list: a static model list instead of the live one
	SettingQuirks       = "quirks"               // comma list of quirk names
	SettingMaxTokens    = "max_tokens_as"        // the name of the token limit field for kind openai
	SettingIdle         = "idle"                 // silence allowed inside an answer, as a duration ("90s")
	SettingFile         = "credential_file"      // of a borrowed account: the file of another program that holds its login
	SettingServes       = "supported_models"     // of an account, comma list of patterns: the models that it serves, no others
	SettingServesNot    = "not_supported_models" // of an account, comma list of patterns: models that it does not serve
	SettingModelNames   = "model_names"          // of an account, comma list of name=model: its own names for models
	SettingMediaHosts   = "media_hosts"          // comma list: hosts on this machine or its network that media may be fetched from
	SettingConcurrent   = "concurrent"           // calls at a time per account, instead of the provider's own limit
)

// Status values of Info.
const (
	StatusActive       = "active"
	StatusLicensed     = "licensed"
	StatusExperimental = "experimental"
	StatusDiscontinued = "discontinued"
)

type (
	// Quota is one window of an account's allowance.
	Quota struct {
		Name, Unit  string   // "Weekly limit", "percent"
		Models      []string // patterns of the models that share it; empty = all
		Used, Limit float64
		ResetsAt    int64 // Unix milliseconds
	}
	// Policy is what a service asks for instead of the defaults of the attempt loop and of time limits.
	Policy struct {
		Repeats       int           // on the same account; 0 = the default (1), negative = none
		ShortWait     time.Duration // a rate limit up to this long is waited out once on the same account; 0 = never
		FirstEvent    time.Duration // 0 = the default
		Idle          time.Duration // silence between events; 0 = the default
		MaxConcurrent int           // per account, 0 = no limit

		// RefreshLead is how long before its end a login is renewed; 0 = 10 % of its life, at most 5 minutes.
		RefreshLead time.Duration
		// RefreshParallel is how many accounts are renewed ahead of time at once; 0 = 2. RefreshSpread is the least time
		// between two such renewals: some services take many at once for an attack.
		RefreshParallel int
		RefreshSpread   time.Duration
		// RefreshBorrowed says that a refresh token stays good when it is used, so that renewing a login that belongs to a
		// vendor's own program harms nothing. It is then renewed in memory and never written back.
		RefreshBorrowed bool
	}
	// Field is one setting of an account, or one thing that a sign-in asks for first.
	Field struct {
		Key, Label, Kind, Default string
		Secret                    bool
		Required                  bool     // a sign-in cannot begin without it
		Options                   []string // the values it may have; empty = any
	}
	// Risk is what a person should know before signing in. Level is low (nothing forbids it), reported (the terms are said to
	// forbid it), forbidden (the vendor says so) or ended (the service has). Since is a date.
	Risk struct{ Level, Text, Since string }
)
