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
	Priority           int // the lowest number is used first
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
	Reason   string // what happened and what to do, "" when ready
	Link     string // a page where a person can mend it, "" if there is none
	Cooling  []CoolDown
	InFlight int
	LastUsed time.Time
}

// CoolDown is a pause of an account for one model, for models that share a quota (a pattern), or for all ("*"). Absent
// means that the account does not have the model.
type CoolDown struct {
	Model, Reason string
	Until         time.Time
	Absent        bool
}

// Query says what an attempt needs.
type Query struct {
	Provider, Model string
	Conversation    string              // calls with the same one stay on one account where they can; "" = no matter
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
	HTTP func(proxy string) *http.Client
	// Reread reads the login of an account whose Owner is a CLI from where that keeps it; nil if nothing does.
	Reread func(ctx context.Context, a Account) (provider.Credential, error)
	// LeaseTime is how long the lock for renewing a login outlives a process that died; 0 = what package oauth says.
	LeaseTime time.Duration
}

// statusOf makes the snapshot of e. The caller holds the lock.
func statusOf(e *entry, now time.Time) Status {
	s := Status{Account: e.account(), State: e.state, Reason: e.reason, Link: e.link, InFlight: e.inflight, LastUsed: e.lastUsed}
	for model, c := range e.cool {
		if c.until.After(now) {
			s.Cooling = append(s.Cooling, CoolDown{Model: model, Reason: c.reason, Until: c.until, Absent: c.absent})
		}
	}
	slices.SortFunc(s.Cooling, func(a, b CoolDown) int { return cmp.Compare(a.Model, b.Model) })
	switch c, ok := e.cool[allModels]; {
	case !e.row.Enabled:
		s.State = Disabled
	case s.State == Ready && ok && c.until.After(now):
		s.State, s.Reason = Cooling, c.reason
	}
	return s
}

func compareStatus(a, b Status) int {
	return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
}
