// Package config owns the settings: one typed struct, read from config.yaml, the environment and the command line's flags,
// edited in place, saved atomically, and reloaded when the file is changed from outside. It owns no accounts and no
// secrets: those live in the database, and a secret in the file is refused.
package config

import (
	"net"
	"slices"
	"strings"
	"time"
)

// Version is the newest schema_version.
const Version = 1

// Config is every setting. A *Config that came from Settings is shared and must not be changed.
type Config struct {
	SchemaVersion   int                 `yaml:"schema_version"`
	DefaultProvider string              `yaml:"default_provider"` // "" = the first usable one by priority
	Database        string              `yaml:"database"`         // "" = the embedded SQLite file, else postgres://...
	Server          Server              `yaml:"server"`
	Providers       map[string]Provider `yaml:"providers"`
	Routing         Routing             `yaml:"routing"`
	Prompts         map[string]Prompt   `yaml:"prompts"`
	Timeouts        Timeouts            `yaml:"timeouts"`
	Media           Media               `yaml:"media"`
	Network         Network             `yaml:"network"`
	CredentialFiles CredentialFiles     `yaml:"credential_files"`
	Record          Record              `yaml:"record"`
	Desktop         Desktop             `yaml:"desktop"`
	Log             Log                 `yaml:"log"`
	Updates         Updates             `yaml:"updates"`
}

// Server says where Patchbay listens and whom it lets in.
type Server struct {
	Listen         string       `yaml:"listen"` // address:port
	LAN            bool         `yaml:"lan"`    // other machines may connect
	AllowedHosts   []string     `yaml:"allowed_hosts"`
	AllowedOrigins []string     `yaml:"allowed_origins"`
	TrustedProxies []string     `yaml:"trusted_proxies"` // addresses or networks whose forwarding headers count
	Limits         ServerLimits `yaml:"limits"`

	OllamaListener OllamaListener `yaml:"ollama_listener"`
}

// OllamaListener is a second address, for apps that look for Ollama at its own and cannot be told otherwise. Ollama's
// protocol and the others are served there, the management API is not.
type OllamaListener struct {
	Enabled bool   `yaml:"enabled"` // off by default: a real Ollama may own the address
	Listen  string `yaml:"listen"`  // address:port
	NoKey   bool   `yaml:"no_key"`  // programs on this machine need no client key there
}

// ServerLimits bounds what one request may take.
type ServerLimits struct {
	BodyBytes     Size          `yaml:"body_bytes"`     // after decompression
	HeaderTimeout time.Duration `yaml:"header_timeout"` // to send the head
	ReadTimeout   time.Duration `yaml:"read_timeout"`   // to send the whole request
}

// Provider changes a built-in provider, or makes one of the person's own (Preset set, or Kind and BaseURL).
type Provider struct {
	Enabled    *bool             `yaml:"enabled"` // nil = as the provider comes
	Preset     string            `yaml:"preset"`  // of a provider of the person's own: a service that is known by this name
	Kind       string            `yaml:"kind"`    // of a provider of the person's own without a preset; one of Kinds
	Name       string            `yaml:"name"`    // label; "" = the provider's own
	BaseURL    string            `yaml:"base_url"`
	LoginURL   string            `yaml:"login_url"` // host of the sign-in pages and token endpoints, instead of the service's own
	AuthHeader string            `yaml:"auth_header"`
	AuthPrefix string            `yaml:"auth_prefix"`
	Headers    map[string]string `yaml:"headers"` // static, not secret
	Proxy      string            `yaml:"proxy"`
	Models     []string          `yaml:"models"`       // a fixed list instead of the live one
	Extra      []string          `yaml:"extra_models"` // models beside those of the list
	Aliases    map[string]string `yaml:"aliases"`      // other names of its models
	Quirks     []string          `yaml:"quirks"`       // names of known oddities
	Priority   int               `yaml:"priority"`     // lower comes first
	Limits     ProviderLimits    `yaml:"limits"`
	Pool       Pool              `yaml:"pool"`
	Timeouts   ProviderTimeouts  `yaml:"timeouts"`
	Thinking   Thinking          `yaml:"thinking"`
}

// Thinking says how much models think: a level (minimal, low, medium, high, xhigh, max), a number of tokens, auto or off.
type Thinking struct {
	Default string `yaml:"default"` // where a request says nothing; "" = as the service does by itself
	Max     string `yaml:"max"`     // at most: a level or a number of tokens
}

// ProviderLimits bounds one account's use.
type ProviderLimits struct {
	Concurrent int `yaml:"concurrent"` // calls at once per account, 0 = the provider's own limit
}

// Pool says how the accounts of a provider are used.
type Pool struct {
	Strategy  string        `yaml:"strategy"`   // one of Strategies; "" = least-loaded
	Sticky    string        `yaml:"sticky"`     // one of Stickinesses; "" = on
	StickyFor time.Duration `yaml:"sticky_for"` // how long a conversation stays bound after its last request; 0 = an hour
	Reserve   int           `yaml:"reserve"`    // percent of each allowance that is left alone
	Tags      []string      `yaml:"tags"`       // only accounts with one of these are used; none = all
	Checks    Checks        `yaml:"checks"`
}

// Checks says whether accounts are looked after without being used. They cost nothing.
type Checks struct {
	Every time.Duration `yaml:"every"` // 0 = never
}

// Strategies are the ways to choose among the accounts of a pool.
var Strategies = []string{"least-loaded", "round-robin", "fill-first", "weighted", "soonest-reset"}

// Stickinesses say which conversations stay on one account: all, those that the app names, or none.
var Stickinesses = []string{"on", "session", "off"}

// MaxReserve is the largest share of an allowance that can be kept back, in percent, and LeastCheck the shortest time
// between two checks of an account.
const (
	MaxReserve = 90
	LeastCheck = time.Minute
)

// ProviderTimeouts replaces Timeouts for one provider where it is not 0.
type ProviderTimeouts struct {
	FirstEvent time.Duration `yaml:"first_event"`
	OnePiece   time.Duration `yaml:"one_piece"`
	Idle       time.Duration `yaml:"idle"`
	Total      time.Duration `yaml:"total"`
}

// Routing says which provider serves what.
type Routing struct {
	Aliases       map[string]string   `yaml:"aliases"`        // model name, or pattern ending in *, to model or provider/model
	Chains        map[string][]string `yaml:"chains"`         // provider, or provider/model, to what is tried next
	ModelFallback map[string][]string `yaml:"model_fallback"` // model name, or pattern with *, to provider/model, after the chains
	Hidden        []string            `yaml:"hidden"`         // patterns of models, or of provider/model, that no list shows
	MaxAttempts   int                 `yaml:"max_attempts"`   // per request
}

// Prompt is a rule for the system text of requests: a text of the person's own, replacements, or both.
type Prompt struct {
	Mode          string            `yaml:"mode"`           // override, append or prepend; "" = append
	Text          string            `yaml:"text"`           // or
	File          string            `yaml:"file"`           // a whole path; read again when the file changes
	Providers     []string          `yaml:"providers"`      // empty = all
	Keys          []string          `yaml:"keys"`           // names or ids of client keys; empty = all
	Replace       map[string]string `yaml:"replace"`        // text to text
	ReplaceRegexp map[string]string `yaml:"replace_regexp"` // regular expression to text
	Order         int               `yaml:"order"`          // among the rules of the same reach, the lowest first; then by name
}

// Timeouts are the time limits of every call; 0 = none.
type Timeouts struct {
	Connect    time.Duration `yaml:"connect"`
	FirstEvent time.Duration `yaml:"first_event"`
	OnePiece   time.Duration `yaml:"one_piece"`  // the same for an answer that is no stream: nothing of it comes before its end
	Idle       time.Duration `yaml:"idle"`       // silence between two events
	Total      time.Duration `yaml:"total"`      // the whole answer
	KeepAlive  time.Duration `yaml:"keep_alive"` // silence after which a client gets a sign of life
}

// Network says how services are reached.
type Network struct {
	Proxy string `yaml:"proxy"` // an address, system or direct; "" = system
}

// Media says what is fetched for requests that name pictures and documents by address.
type Media struct {
	AllowedHosts []string `yaml:"allowed_hosts"` // on this machine or its network; all others there are refused
}

// CredentialFiles says where logins of vendors' own programs are looked for. None is used before the person says so.
type CredentialFiles struct {
	Enabled bool                `yaml:"enabled"`
	Paths   map[string][]string `yaml:"paths"` // provider to further files
}

// Record says how much of the past is kept.
type Record struct {
	Retention Retention    `yaml:"retention"`
	Bodies    RecordBodies `yaml:"bodies"`
	PromptLog PromptLog    `yaml:"prompt_log"`
}

// RecordBodies says whose requests and answers are kept whole, before and after the conversion. None are by default.
type RecordBodies struct {
	Enabled   bool     `yaml:"enabled"`   // of all requests
	Keys      []string `yaml:"keys"`      // or of these client keys: names or ids
	Providers []string `yaml:"providers"` // or of what these providers serve
	MaxBody   Size     `yaml:"max_body"`  // kept of each body
	MaxDisk   Size     `yaml:"max_disk"`  // of all together
	Days      int      `yaml:"days"`      // 0 = no bound
}

// PromptLog says where prompts and answers are written as text for people.
type PromptLog struct {
	To       string `yaml:"to"`        // off, console or file
	MaxSize  Size   `yaml:"max_size"`  // of one file
	MaxFiles int    `yaml:"max_files"` // the newest included
	Days     int    `yaml:"days"`      // of a file that is full; 0 = no bound
}

// Retention bounds the request log; 0 = no bound of that sort.
type Retention struct {
	Days      int `yaml:"days"`
	Rows      int `yaml:"rows"`
	UsageDays int `yaml:"usage_days"` // of the usage counters
}

// Desktop is how Patchbay shows itself: the page, the tray and the notifications.
type Desktop struct {
	Language      string        `yaml:"language"` // en, zh-CN or ja; "" = the system's
	Theme         string        `yaml:"theme"`    // light or dark; "" = the system's
	Notifications Notifications `yaml:"notifications"`
}

// Notifications says what the desktop is told.
type Notifications struct {
	SignIn    bool `yaml:"sign_in"`   // a login was refused
	Exhausted bool `yaml:"exhausted"` // no account of the default provider can answer
	Port      bool `yaml:"port"`      // the port is taken, or another one now
	Update    bool `yaml:"update"`    // there is a newer version
}

// Languages are the languages of the page and the tray.
var Languages = []string{"en", "zh-CN", "ja"}

// Log says what is logged.
type Log struct {
	Level    string            `yaml:"level"`
	Packages map[string]string `yaml:"packages"` // levels of single packages
	MaxSize  Size              `yaml:"max_size"` // of one log file
	MaxFiles int               `yaml:"max_files"`
}

// Updates says whether a newer version is looked for. Nothing is ever installed unasked.
type Updates struct {
	Check bool   `yaml:"check"` // once a day; off by default
	URL   string `yaml:"url"`   // of a mirror of the signed list of releases; "" = the publisher's own
}

// Kinds are the kinds of a provider of the person's own.
var Kinds = []string{"openai", "openai-responses", "anthropic", "gemini", "ollama", "forward"}

// OldNames are the provider names of AIClient-2-API, whose URLs go on working.
var OldNames = map[string]string{
	"gemini-cli-oauth":       "gemini-cli",
	"gemini-antigravity":     "antigravity",
	"claude-kiro-oauth":      "kiro",
	"openai-qwen-oauth":      "qwen-code",
	"openai-iflow":           "iflow",
	"openai-codex-oauth":     "codex",
	"openai-custom":          "openai",
	"openaiResponses-custom": "openai-responses",
	"claude-custom":          "anthropic",
	"claude":                 "anthropic",
	"forward-api":            "forward",
}

// Declined are names of other programs' providers that Patchbay will not have.
var Declined = []string{"grok-web"}

var reserved = []string{"api", "ui", "v1", "v1beta", "ollama", "auto", "health", "metrics"}

// Reserved reports whether id cannot be a provider's id because paths or old names use it. Case does not count.
func Reserved(id string) bool {
	id = strings.ToLower(id)
	if slices.Contains(reserved, id) || slices.Contains(Declined, id) {
		return true
	}
	for old := range OldNames {
		if strings.ToLower(old) == id {
			return true
		}
	}
	return false
}

// Default returns the settings of a fresh installation.
func Default() *Config {
	return &Config{
		SchemaVersion: Version,
		Server: Server{
			Listen: "127.0.0.1:8390",
			Limits: ServerLimits{BodyBytes: 64 << 20, HeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute},
			// Ollama v0.17.4 listens here unless OLLAMA_HOST says otherwise.
			OllamaListener: OllamaListener{Listen: "127.0.0.1:11434"},
		},
		Routing:         Routing{MaxAttempts: 8},
		Timeouts:        Timeouts{Connect: 10 * time.Second, FirstEvent: 120 * time.Second, OnePiece: 600 * time.Second, Idle: 300 * time.Second, KeepAlive: 15 * time.Second},
		CredentialFiles: CredentialFiles{Enabled: true},
		Record: Record{
			Retention: Retention{Days: 30, Rows: 100_000, UsageDays: 400},
			Bodies:    RecordBodies{MaxBody: 1 << 20, MaxDisk: 256 << 20, Days: 7},
			PromptLog: PromptLog{To: "off", MaxSize: 10 << 20, MaxFiles: 3, Days: 7},
		},
		Desktop: Desktop{Notifications: Notifications{SignIn: true, Exhausted: true, Port: true, Update: true}},
		Log:     Log{Level: "info", MaxSize: 10 << 20, MaxFiles: 3},
	}
}

// TimeoutsFor returns the time limits of calls to a provider.
func (c *Config) TimeoutsFor(id string) Timeouts {
	t, own := c.Timeouts, c.Providers[id].Timeouts
	if own.FirstEvent != 0 {
		t.FirstEvent = own.FirstEvent
	}
	if own.OnePiece != 0 {
		t.OnePiece = own.OnePiece
	}
	if own.Idle != 0 {
		t.Idle = own.Idle
	}
	if own.Total != 0 {
		t.Total = own.Total
	}
	return t
}

// ListenAddr returns the address to listen on: every network of the machine if LAN is on and Listen names a loopback
// address.
func (s Server) ListenAddr() string {
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil || !s.LAN || !loopback(host) {
		return s.Listen
	}
	return ":" + port
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
