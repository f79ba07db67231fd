// Package api is the management API: what a person may see and change, as one interface, the HTTP face of it under
// /api/, and a client of that face. The commands use the same interface whether they talk to a running instance or open
// the store themselves.
//
// It owns no state and decides nothing: the owners do. It never gives a secret away, but for a new client key, once.
package api

import (
	"context"
	"time"

	"patchbay/backend/doctor"
	"patchbay/backend/secret"
)

// Service is everything the management API can do. It is safe for concurrent use. Errors are *apierror.Error with a
// message for people: InvalidRequest names the field, RouteNotFound says that there is no such thing.
type Service interface {
	Status(ctx context.Context) (Status, error)

	// Accounts lists the accounts by provider, priority and name.
	Accounts(ctx context.Context) ([]AccountView, error)
	AddAccount(ctx context.Context, a NewAccount) (AccountView, error)
	// ChangeAccount changes what c names.
	ChangeAccount(ctx context.Context, id string, c AccountChange) (AccountView, error)
	// ClearAccount ends the pauses of an account for a model, or with model "" all of them and whatever else keeps it from
	// being used.
	ClearAccount(ctx context.Context, id, model string) (AccountView, error)
	RemoveAccount(ctx context.Context, id string) error
	// TestAccount asks the account's service for what is free, or has a model answer if t says so. What it finds wrong with
	// the account is in the answer; an error means that it could not be tested. An address that works better than the one at
	// hand is kept.
	TestAccount(ctx context.Context, id string, t AccountTest) (TestView, error)
	// TestCost says what a test costs in which a model answers; model "" means the one that would be asked.
	TestCost(ctx context.Context, id, model string) (TestCost, error)
	// AccountQuota asks the account's service how much of each allowance is left, which costs nothing.
	AccountQuota(ctx context.Context, id string) ([]QuotaView, error)
	// RenewAccount replaces the token of an account's login now.
	RenewAccount(ctx context.Context, id string) (AccountView, error)

	// Logins lists the sign-ins of the last minutes, latest first.
	Logins(ctx context.Context) ([]LoginView, error)
	// StartLogin begins a sign-in: a new account, or the one that is named signs in again. For a provider that a person must
	// turn on first, or with a risk to know, AcceptRisk is that deliberate act.
	StartLogin(ctx context.Context, l NewLogin) (LoginView, error)
	// Login returns a sign-in as soon as it is further than seq, at the latest after some twenty seconds.
	Login(ctx context.Context, id string, seq int) (LoginView, error)
	// PasteLogin gives a sign-in the code, or the address that the browser ended on.
	PasteLogin(ctx context.Context, id string, text secret.Value) (LoginView, error)
	CancelLogin(ctx context.Context, id string) error

	// Keys lists the client keys, revoked ones too.
	Keys(ctx context.Context) ([]KeyView, error)
	// AddKey makes a key, or takes the one that is given. The answer is the only place where a made key can be seen.
	AddKey(ctx context.Context, k NewKey) (CreatedKey, error)
	// ChangeKey changes what c names; limits hold from the next request on.
	ChangeKey(ctx context.Context, id string, c KeyChange) (KeyView, error)
	// RevokeKey ends a key and what runs for it; it stays in the list.
	RevokeKey(ctx context.Context, id string) error
	// RemoveKey does the same and takes it out of the list.
	RemoveKey(ctx context.Context, id string) error

	Providers(ctx context.Context) ([]ProviderView, error)
	// Presets lists the services that may be added by name.
	Presets(ctx context.Context) ([]PresetView, error)
	// AddProvider writes a user-defined provider into the settings.
	AddProvider(ctx context.Context, p NewProvider) (ProviderView, error)
	// DefaultProvider returns the id of the default provider, "" if none is set.
	DefaultProvider(ctx context.Context) (string, error)
	// SetDefaultProvider changes it; "" unsets it.
	SetDefaultProvider(ctx context.Context, id string) error

	// Models lists what apps see; of one provider, or of all for "".
	Models(ctx context.Context, provider string) ([]ModelView, error)
	// RefreshModels asks the services for their models anew; one provider, or all for "".
	RefreshModels(ctx context.Context, provider string) error
	Doctor(ctx context.Context) ([]Finding, error)

	PoolService
	FileService
	RoutingService
	PromptService
	ProxyService
	RecordService
	DesktopService
	BodyService
	VaultService
	TransferService
	PasswordService
	UpdateService
	SettingsService
	ProgramService
}

// Finding is one thing the doctor looked at.
type Finding = doctor.Finding

// Status is the state of the program.
type Status struct {
	Version         string    `json:"version"`
	Health          string    `json:"health"` // ok, degraded or down
	Reasons         []string  `json:"reasons,omitempty"`
	Base            string    `json:"base,omitempty"` // http://127.0.0.1:8390; "" when nothing listens
	PID             int       `json:"pid,omitempty"`
	Started         time.Time `json:"started,omitzero"`
	InFlight        int64     `json:"in_flight"`
	Paused          bool      `json:"paused,omitempty"` // by the person: apps get an error
	Tray            string    `json:"tray,omitempty"`   // registered, none, or starting; "" without a desktop
	DefaultProvider string    `json:"default_provider,omitempty"`
	ConfigPath      string    `json:"config_path,omitempty"`
	DatabasePath    string    `json:"database_path,omitempty"`
	LogDir          string    `json:"log_dir,omitempty"`
}

// AccountView is one account with its health. It holds no secret.
type AccountView struct {
	ID            string            `json:"id"`
	Provider      string            `json:"provider"`
	Name          string            `json:"name"`
	State         string            `json:"state"`            // ready, cooling, needs_login, needs_action, blocked, disabled, discontinued
	Kind          string            `json:"kind,omitempty"`   // of the reason: the kind of an error, reserve, no_login, lost_login, not_opened, borrowed, service_end
	Reason        string            `json:"reason,omitempty"` // a sentence
	Since         time.Time         `json:"since,omitzero"`   // since when it is in this state, where that is known
	Until         time.Time         `json:"until,omitzero"`   // when a cooling one is ready again
	Locked        bool              `json:"locked,omitempty"` // whatever the state: its login or key is sealed, and the keychain is locked
	Enabled       bool              `json:"enabled"`
	Priority      int               `json:"priority"`
	Owner         string            `json:"owner,omitempty"`
	Settings      map[string]string `json:"settings,omitempty"`
	Proxy         string            `json:"proxy,omitempty"` // without its password
	MaxConcurrent int               `json:"max_concurrent,omitempty"`
	Limit         int               `json:"limit,omitempty"` // calls at a time that hold, from the account, the settings or the provider
	InFlight      int               `json:"in_flight"`
	Bound         int               `json:"bound,omitempty"` // conversations that stay on it
	Tags          []string          `json:"tags,omitempty"`
	Weight        int               `json:"weight"`
	Reserve       *int              `json:"reserve,omitempty"` // percent of each allowance that is left alone; none = what the pool says
	Cooling       []CoolDownView    `json:"cooling,omitempty"`
	LastUsed      time.Time         `json:"last_used,omitzero"`
	Served        int64             `json:"served"` // calls that went well
	Failed        int64             `json:"failed"`
	Recent        []OutcomeView     `json:"recent,omitempty"` // the last twenty calls, oldest first
	Quota         *QuotaReading     `json:"quota,omitempty"`
	Check         *CheckView        `json:"check,omitempty"`
	Origin        OriginView        `json:"origin"`
	Created       time.Time         `json:"created,omitzero"`
	Login         string            `json:"login,omitempty"`    // id of the login by which it signed in; none for a key
	Identity      string            `json:"identity,omitempty"` // who signed in, as the service says
	Renews        bool              `json:"renews,omitempty"`   // the login is renewed without a person
	Expires       time.Time         `json:"expires,omitzero"`   // end of the present token
	Next          *NextStep         `json:"next,omitempty"`     // what a person has to do, if anything
}

// NextStep is what a person can do about an account that cannot be used.
type NextStep struct {
	Text    string `json:"text"`
	Link    string `json:"link,omitempty"`    // a page for it
	Command string `json:"command,omitempty"` // a command for it
}

// LoginOption is one way to get an account of a provider.
type LoginOption struct {
	ID     string      `json:"id"`
	Kind   string      `json:"kind"` // browser, device, key, file
	Label  string      `json:"label,omitempty"`
	Text   string      `json:"text,omitempty"`
	Fields []FieldView `json:"fields,omitempty"` // asked for first
}

// FieldView is one thing that a sign-in or an account asks for.
type FieldView struct {
	Key      string   `json:"key"`
	Label    string   `json:"label,omitempty"`
	Kind     string   `json:"kind,omitempty"`
	Default  string   `json:"default,omitempty"`
	Options  []string `json:"options,omitempty"`
	Required bool     `json:"required,omitempty"`
	Secret   bool     `json:"secret,omitempty"`
}

// NewLogin is a sign-in to be started.
type NewLogin struct {
	Provider string            `json:"provider,omitempty"`
	Account  string            `json:"account,omitempty"` // id of the account that signs in again
	Login    string            `json:"login,omitempty"`   // id of a LoginOption; "" = the first that suits the mode
	Mode     string            `json:"mode,omitempty"`    // browser, paste (the browser is on another machine), device; "" = any
	Name     string            `json:"name,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
	Proxy    secret.Value      `json:"proxy,omitzero"` // of a new account; the sign-in goes through it too
	// AcceptRisk says that the person has read the provider's label and wants it all the same. It turns the provider on.
	AcceptRisk bool `json:"accept_risk,omitempty"`
}

// LoginView is a sign-in under way, or how it ended.
type LoginView struct {
	ID        string `json:"id"`
	Provider  string `json:"provider"`
	Login     string `json:"login,omitempty"`
	Kind      string `json:"kind"`  // browser, paste or device
	State     string `json:"state"` // waiting, finishing, done, failed, canceled, expired
	Seq       int    `json:"seq"`
	URL       string `json:"url,omitempty"`        // the page to open
	UserCode  string `json:"user_code,omitempty"`  // what to type there, for a device login
	VerifyURL string `json:"verify_url,omitempty"` // where to type it on another machine
	Paste     bool   `json:"paste,omitempty"`      // a code or an address can be pasted
	PasteHint string `json:"paste_hint,omitempty"`
	Note      string `json:"note,omitempty"`      // good to know meanwhile: who holds a port
	NoReturn  bool   `json:"no_return,omitempty"` // the browser cannot come back by itself: what it ends on has to be pasted
	Text      string `json:"text,omitempty"`      // how it ended and what to do next
	// Outcome is that for programs: new, renewed, another or unusable when done; timeout, denied, not_allowed,
	// canceled or the kind of the error.
	Outcome string    `json:"outcome,omitempty"`
	Account string    `json:"account,omitempty"`
	Label   string    `json:"label,omitempty"` // the account's name
	Started time.Time `json:"started,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
}

// Over reports that nothing more will happen.
func (l LoginView) Over() bool { return l.State != "waiting" && l.State != "finishing" }

// CoolDownView is a pause of an account for one model; "" means the whole account.
type CoolDownView struct {
	Model  string    `json:"model,omitempty"`
	Kind   string    `json:"kind,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until"`
	Absent bool      `json:"absent,omitempty"` // the account does not have the model
}

// NewAccount is an account to be added.
type NewAccount struct {
	Provider string            `json:"provider"`
	Name     string            `json:"name,omitempty"` // "" lets Patchbay choose one
	Key      secret.Value      `json:"key,omitzero"`
	Settings map[string]string `json:"settings,omitempty"`
	Priority int               `json:"priority,omitzero"`
	Proxy    secret.Value      `json:"proxy,omitzero"` // a URL, which may hold a password
	Tags     []string          `json:"tags,omitempty"`
	Weight   int               `json:"weight,omitzero"`
	Reserve  *int              `json:"reserve,omitzero"`
	// AcceptRisk turns a provider on that is off until a person has read its label.
	AcceptRisk bool `json:"accept_risk,omitempty"`
}

// AccountChange names what is to change; nil leaves it alone.
type AccountChange struct {
	Name     *string       `json:"name,omitzero"`
	Enabled  *bool         `json:"enabled,omitzero"`
	Priority *int          `json:"priority,omitzero"`
	Proxy    *secret.Value `json:"proxy,omitzero"` // an empty one takes the proxy away
	Key      *secret.Value `json:"key,omitzero"`

	MaxConcurrent *int      `json:"max_concurrent,omitzero"` // 0 = what the provider says
	Tags          *[]string `json:"tags,omitzero"`
	Weight        *int      `json:"weight,omitzero"`
	Reserve       *int      `json:"reserve,omitzero"` // below 0: what the pool says

	SupportedModels    *[]string          `json:"supported_models,omitzero"`     // patterns of the models that it serves, no others; none = all
	NotSupportedModels *[]string          `json:"not_supported_models,omitzero"` // patterns of models that it does not serve
	ModelNames         *map[string]string `json:"model_names,omitzero"`          // its own names for models
}

// KeyView is one client key. It holds its beginning, not the key.
type KeyView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Prefix  string    `json:"prefix"`
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
	Limits  KeyLimits `json:"limits,omitzero"`
	Used    KeyUse    `json:"used,omitzero"`
}

// KeyLimits are what a key may do. Empty lists and zeros limit nothing; in a pattern, * stands for any text.
type KeyLimits struct {
	Models       []string `json:"models,omitempty"`    // patterns of models, or of provider/model
	Providers    []string `json:"providers,omitempty"` // ids, or patterns of ids
	Protocols    []string `json:"protocols,omitempty"` // openai, responses, anthropic, gemini, ollama, forward
	PerMinute    int      `json:"per_minute,omitempty"`
	TokensPerDay int64    `json:"tokens_per_day,omitempty"` // input and output; the day is that of the machine's time zone
	Concurrent   int      `json:"concurrent,omitempty"`     // requests at a time
	Account      string   `json:"account,omitempty"`        // id of the only account that serves it; a name will do to set it
	Tags         []string `json:"tags,omitempty"`           // all of which an account must have to serve it
}

// KeyUse is what a key has been used for.
type KeyUse struct {
	InFlight      int   `json:"in_flight,omitempty"`      // requests now
	Minute        int   `json:"minute,omitempty"`         // requests in the last minute
	RequestsToday int64 `json:"requests_today,omitempty"` // since midnight on this machine
	TokensToday   int64 `json:"tokens_today,omitempty"`
}

// KeyChange names what is to change of a key; nil leaves it alone.
type KeyChange struct {
	Name         *string    `json:"name,omitzero"`
	Expires      *time.Time `json:"expires,omitempty"` // the zero time means never, so omitzero would leave it out
	Models       *[]string  `json:"models,omitzero"`   // an empty list limits nothing
	Providers    *[]string  `json:"providers,omitzero"`
	Protocols    *[]string  `json:"protocols,omitzero"`
	PerMinute    *int       `json:"per_minute,omitzero"` // 0 limits nothing
	TokensPerDay *int64     `json:"tokens_per_day,omitzero"`
	Concurrent   *int       `json:"concurrent,omitzero"`
	Account      *string    `json:"account,omitzero"` // "" = any
	Tags         *[]string  `json:"tags,omitzero"`
}

// NewKey is a client key to be made, or one that the person brings.
type NewKey struct {
	Name    string       `json:"name"`
	Key     secret.Value `json:"key,omitzero"` // empty: one is made
	Expires time.Time    `json:"expires,omitzero"`
	Limits  KeyLimits    `json:"limits,omitzero"`
}

// CreatedKey is a new client key with its text.
type CreatedKey struct {
	KeyView
	Key secret.Value `json:"key"`
}

// ProviderView is one provider.
type ProviderView struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Kind        string         `json:"kind"`   // wire format of the upstream
	Status      string         `json:"status"` // active, licensed, experimental, discontinued
	Enabled     bool           `json:"enabled"`
	UserDefined bool           `json:"user_defined"`
	Preset      string         `json:"preset,omitempty"` // the known service that it is
	Default     bool           `json:"default"`
	BaseURL     string         `json:"base_url,omitempty"`
	KeyURL      string         `json:"key_url,omitempty"`
	KeyEnv      []string       `json:"key_env,omitempty"` // variables in which people keep such a key
	NoKey       bool           `json:"no_key,omitempty"`  // accounts need no key
	Instead     string         `json:"instead,omitempty"` // what to use instead, when discontinued
	Risk        *RiskView      `json:"risk,omitempty"`
	Logins      []LoginOption  `json:"logins,omitempty"`
	Models      int            `json:"models"`             // as far as known without asking the service
	Accounts    map[string]int `json:"accounts,omitempty"` // by state
}

// RiskView is what a person should know before using a provider. Since is a date.
type RiskView struct {
	Level string `json:"level"`
	Text  string `json:"text"`
	Since string `json:"since,omitempty"`
}

// NewProvider is a user-defined provider.
type NewProvider struct {
	ID      string `json:"id"`
	Preset  string `json:"preset,omitempty"` // the name of a known service, instead of kind and base_url
	Kind    string `json:"kind,omitempty"`   // openai, openai-responses, anthropic, gemini, ollama, forward
	BaseURL string `json:"base_url,omitempty"`
	Name    string `json:"name,omitempty"`
}

// PresetView is a service that may be added by name.
type PresetView struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Usable   bool     `json:"usable"` // this version serves its kind
	BaseURL  string   `json:"base_url,omitempty"`
	Example  string   `json:"example,omitempty"` // of a base URL, where each person has one of their own
	Region   string   `json:"region,omitempty"`
	Group    string   `json:"group,omitempty"` // presets of one service: regions, plans and protocols
	KeyURL   string   `json:"key_url,omitempty"`
	KeyEnv   []string `json:"key_env,omitempty"`
	KeyForm  string   `json:"key_form,omitempty"`
	NoKey    bool     `json:"no_key,omitempty"`
	Models   string   `json:"models"` // live or static
	Known    []string `json:"known_models,omitempty"`
	Quirks   []string `json:"quirks,omitempty"`
	Notes    string   `json:"notes,omitempty"`
	AsOf     string   `json:"as_of"`
	Source   string   `json:"source,omitempty"`
	Provider string   `json:"provider,omitempty"` // the provider in the settings that uses it, "" = none
}

// AccountTest says how an account is tested.
type AccountTest struct {
	Generate bool   `json:"generate,omitempty"` // have a model write a few words, which costs tokens; else only what is free
	Model    string `json:"model,omitempty"`    // that is asked; "" = the cheapest that the account has, as far as prices are known
}

// TestCost is what a test costs in which a model answers, at most.
type TestCost struct {
	Model    string   `json:"model"`
	Input    int64    `json:"input"`  // tokens, an estimate
	Output   int64    `json:"output"` // tokens, at most
	Paid     string   `json:"paid"`   // by what: tokens, plan (its allowance) or nothing (a service without a key)
	Cost     *float64 `json:"cost,omitempty"`
	Currency string   `json:"currency,omitempty"`
	Prices   string   `json:"prices,omitempty"` // the day on which the price held
}

// TestView is what a test of an account found.
type TestView struct {
	OK      bool      `json:"ok"`
	Kind    string    `json:"kind,omitempty"`     // of what is wrong
	Message string    `json:"message,omitempty"`  // what is wrong, or what a person should know
	Next    *NextStep `json:"next,omitempty"`     // what a person can do about it
	Models  int       `json:"models,omitempty"`   // how many the service lists
	BaseURL string    `json:"base_url,omitempty"` // the address that works, kept from now on; "" = it has not changed

	// What follows is told of a test in which a model answered.
	Model      string   `json:"model,omitempty"` // that answered, or was asked
	Answer     string   `json:"answer,omitempty"`
	DurationMS int64    `json:"duration_ms,omitzero"` // until the whole answer was there
	Tokens     *Tokens  `json:"tokens,omitempty"`     // that it cost
	Estimated  bool     `json:"estimated,omitzero"`   // the service told none
	Cost       *float64 `json:"cost,omitempty"`       // of keys that are paid per token, if the price is known
	Currency   string   `json:"currency,omitempty"`
	Request    string   `json:"request,omitempty"` // its id in the log
}

// QuotaView is one window of an account's allowance.
type QuotaView struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`             // "percent", "requests", "credits"...
	Models   []string `json:"models,omitempty"` // patterns of those that share it; none = all
	Used     float64  `json:"used"`
	Limit    float64  `json:"limit"`               // 0 = unknown
	ResetsAt int64    `json:"resets_at,omitempty"` // Unix milliseconds; 0 = unknown
}

// ModelView is one entry of the model list. Zero means unknown.
type ModelView struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	Provider  string `json:"provider,omitempty"`
	Context   int64  `json:"context,omitempty"` // tokens
	MaxOutput int64  `json:"max_output,omitempty"`
	Assumed   bool   `json:"assumed,omitempty"` // the limits are what is usual for such a name
	Stale     bool   `json:"stale,omitempty"`   // the service did not give its list when it was last asked
}
