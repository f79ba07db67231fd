// Package account owns the accounts: which there are, how healthy they are, and whose turn it is. It keeps a hot copy of
// all of them in memory and writes it on change; their logins are sealed rows, opened when an account is first used. Which
// provider and model a request wants is route's business, and what to try next after a failure is gateway's.
package account

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// State is how usable an account is, whatever the model.
type State string

// The states. Cooling and Disabled are never stored: they follow from pauses and from the switch.
const (
	Ready        State = "ready"
	Cooling      State = "cooling"
	NeedsLogin   State = "needs_login"
	NeedsAction  State = "needs_action"
	Blocked      State = "blocked"
	Disabled     State = "disabled"
	Discontinued State = "discontinued"
)

// Owner says whose login it is: Ours may be refreshed by Patchbay, a CLI's is only read.
type Owner string

// The owners.
const (
	Ours Owner = "ours"
	CLI  Owner = "cli"
)

// Account is what a person decides about an account.
type Account struct {
	ID, Provider, Name string
	Priority           int // the lowest number is used first; what is not above 0 becomes DefaultPriority
	Enabled            bool
	Owner              Owner
	// Settings are the account's fields. Secret ones are sealed: they are accepted here and never shown; SecretSettings
	// names those that are set. Setting one to "" removes it.
	Settings       map[string]string
	SecretSettings []string
	// Proxy is the outbound proxy's URL. Its user and password are sealed and shown as "***".
	Proxy         string
	MaxConcurrent int // calls at a time; 0 = what the provider says
	Created       time.Time
	// Tags are words by which a pool, a client key or a request asks for some of the accounts. Weight is the account's share
	// of the calls where the pool goes by weights, 0 = 1. Reserve is how many percent of each allowance are left alone, nil =
	// what the pool says.
	Tags    []string
	Weight  int
	Reserve *int

	// Login is the id of the provider's login by which it signed in, "" for a key; Identity who signed in, as the service
	// says; Renews whether its login is renewed without a person, and Expires when the present token ends (zero = never).
	// They are set by SignIn.
	Login, Identity string
	Renews          bool
	Expires         time.Time
}

// Status is an account as people see it.
type Status struct {
	Account
	State    State
	Kind     string    // of the reason: the name of an apierror.Kind, or one of the kinds of this room
	Reason   string    // what happened and what to do, "" when ready
	Since    time.Time // since when it is in this state, where that is known
	Until    time.Time // when a cooling one is ready again
	Link     string    // a page where a person can mend it, "" if there is none
	Cooling  []CoolDown
	InFlight int
	Limit    int // calls at a time, 0 = no limit
	Bound    int // conversations that stay on it
	LastUsed time.Time
	Plan     string // of the account at the service, where that is known

	Served, Failed int64
	Recent         []Outcome // the last ones, oldest first
	Quota          *QuotaReading
	Check          *CheckResult
}

// Kinds of reasons besides those of package apierror.
const (
	KindReserve    = "reserve"     // a part of its allowance is kept back
	KindNoLogin    = "no_login"    // its login is not there
	KindLostLogin  = "lost_login"  // its login does not open with the vault's key
	KindNotOpened  = "not_opened"  // its settings do not fit its provider
	KindBorrowed   = "borrowed"    // the program that owns its login changed it
	KindSwitched   = "switched"    // a person switched it off
	KindServiceEnd = "service_end" // its service is closed
)

// CoolDown is a pause of an account for one model, for models that share a quota (a pattern), or for all ("*"). Absent
// means that the account does not have the model.
type CoolDown struct {
	Model, Kind, Reason string
	Since, Until        time.Time
	Absent              bool
}

// Outcome is how one call of an account ended; Kind is "" if it went well.
type Outcome struct {
	At   time.Time
	Kind string
}

// DefaultPriority is the place of an account that nobody gave one.
const DefaultPriority = 100

// cleanPriority makes DefaultPriority of what is no place.
func cleanPriority(n int) int {
	if n < 1 {
		return DefaultPriority
	}
	return n
}

// Query says what an attempt needs.
type Query struct {
	Provider, Model string
	Conversation    string              // calls with the same one stay on one account where they can; "" = no matter
	Guessed         bool                // the conversation is known by how it begins only, not by what the app says
	Account         string              // id of the only account that may serve; "" = any
	Tags            []string            // all of which an account must have
	Skip            map[string]struct{} // ids of accounts that were tried
	Wait            time.Duration       // how long to wait where accounts are at their limit of calls only; 0 = not at all
}

// Needs is what Pools is built from.
type Needs struct {
	Store   *store.DB
	Secrets secret.Store
	Bus     *events.Bus
	Log     *slog.Logger
	// Driver returns the driver of a provider id and the settings that all its accounts share.
	Driver func(id string) (provider.Driver, map[string]string, error)
	// On reports whether a provider is turned on; logins of one that is off are not renewed ahead of time. nil = all are.
	On func(id string) bool
	// HTTP returns the client for an outbound proxy, "" = none. It fails closed: never around the proxy.
	HTTP func(provider, proxy string) *http.Client
	// Reread reads the login of an account whose Owner is a CLI from where that keeps it; nil if nothing does.
	Reread func(ctx context.Context, a Account) (provider.Credential, error)
	// LeaseTime is how long the lock for renewing a login outlives a process that died; 0 = what package oauth says.
	LeaseTime time.Duration
}

// statusOf makes the snapshot of e. The caller holds the lock.
func statusOf(e *entry, now time.Time) Status {
	s := Status{
		Account: e.account(), State: e.state, Kind: e.kind, Reason: e.reason, Since: e.since, Link: e.link, InFlight: e.inflight, Limit: e.limit,
		LastUsed: e.lastUsed, Plan: e.row.Notes[provider.ExtraPlan], Bound: e.bound, Served: e.served, Failed: e.failed, Recent: slices.Clone(e.recent),
		Quota: e.quota, Check: e.check,
	}
	for model, c := range e.cool {
		if c.until.After(now) {
			s.Cooling = append(s.Cooling, CoolDown{Model: model, Kind: c.kind, Reason: c.reason, Since: c.since, Until: c.until, Absent: c.absent})
		}
	}
	slices.SortFunc(s.Cooling, func(a, b CoolDown) int { return cmp.Compare(a.Model, b.Model) })
	switch c, ok := e.cool[allModels]; {
	case !e.row.Enabled:
		s.State = Disabled
	case s.State == Ready && ok && c.until.After(now):
		s.State, s.Kind, s.Reason, s.Since, s.Until = Cooling, c.kind, c.reason, c.since, c.until
	}
	return s
}

func compareStatus(a, b Status) int {
	return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
}
