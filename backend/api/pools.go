package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"patchbay/backend/apierror"
)

// PoolService is the part of Service that concerns pools: all accounts of a provider, and how they are used.
type PoolService interface {
	// Pools lists the pools of the providers that have accounts, or a pool in the settings.
	Pools(ctx context.Context) ([]PoolView, error)
	// ChangePool changes what c names; it holds from the next request on.
	ChangePool(ctx context.Context, provider string, c PoolChange) (PoolView, error)
	// OrderAccounts gives accounts of one provider the order in which they are used.
	OrderAccounts(ctx context.Context, o AccountOrder) ([]AccountView, error)
}

// PoolView is the pool of a provider.
type PoolView struct {
	Provider  string         `json:"provider"`
	Name      string         `json:"name"`
	Enabled   bool           `json:"enabled"` // the provider is turned on
	Default   bool           `json:"default"`
	Strategy  string         `json:"strategy"` // least-loaded, round-robin, fill-first, weighted, soonest-reset
	Sticky    string         `json:"sticky"`   // on, session, off
	StickyFor Seconds        `json:"sticky_for"`
	Reserve   int            `json:"reserve"` // percent of each allowance that is left alone
	Tags      []string       `json:"tags,omitempty"`
	Checks    ChecksView     `json:"checks"`
	Accounts  int            `json:"accounts"`
	States    map[string]int `json:"states,omitempty"` // accounts by state
	Order     []string       `json:"order,omitempty"`  // ids: by priority, then by age
	InFlight  int            `json:"in_flight"`
	Waiting   int            `json:"waiting"` // requests that wait for an account
	Bound     int            `json:"bound"`   // conversations that stay on an account
	Soonest   time.Time      `json:"soonest,omitzero"`
}

// ChecksView says how often the accounts of a pool are looked after by what is free.
type ChecksView struct {
	Every Seconds `json:"every"` // 0 = never
}

// Seconds is a length of time in whole seconds.
type Seconds int64

// SecondsOf returns a length of time in seconds.
func SecondsOf(d time.Duration) Seconds { return Seconds(d / time.Second) }

// Duration returns the length of time.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// PoolChange names what is to change; nil leaves it alone.
type PoolChange struct {
	Strategy   *string   `json:"strategy,omitzero"`
	Sticky     *string   `json:"sticky,omitzero"`
	StickyFor  *Seconds  `json:"sticky_for,omitzero"`
	Reserve    *int      `json:"reserve,omitzero"`
	Tags       *[]string `json:"tags,omitzero"` // an empty list asks for none
	CheckEvery *Seconds  `json:"check_every,omitzero"`
	// Enabled switches all accounts of the pool on or off, as a person would one by one.
	Enabled *bool `json:"enabled,omitzero"`
}

// AccountOrder is the order in which accounts of a provider are used. Each tier has accounts that are used alike; those that
// are not named come last, as they were.
type AccountOrder struct {
	Provider string     `json:"provider"`
	IDs      []string   `json:"ids,omitempty"`   // one after the other
	Tiers    [][]string `json:"tiers,omitempty"` // instead of ids
}

// QuotaReading is what a service said is left of an account's allowances.
type QuotaReading struct {
	Windows []QuotaView `json:"windows"`
	TakenAt time.Time   `json:"taken_at,omitzero"` // none = it never said
	Stale   bool        `json:"stale,omitempty"`   // more may have been used since
	Note    string      `json:"note,omitempty"`    // why the last question was not answered
	None    bool        `json:"none,omitempty"`    // the service does not tell
}

// OutcomeView is how one call of an account ended.
type OutcomeView struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind,omitempty"` // of the error, "" = it went well
}

// CheckView is what the last check of an account found.
type CheckView struct {
	At   time.Time `json:"at"`
	OK   bool      `json:"ok"`
	Kind string    `json:"kind,omitempty"`
	Note string    `json:"note,omitempty"`
}

// OriginView says where an account comes from. The page makes its second line of it.
type OriginView struct {
	Kind    string `json:"kind"`              // key, browser, device, file
	Login   string `json:"login,omitempty"`   // label of the login by which it signed in
	Plan    string `json:"plan,omitempty"`    // at the service
	Program string `json:"program,omitempty"` // of another vendor, from whose file it is read
	Path    string `json:"path,omitempty"`    // of that file
}

var poolEndpoints = []endpoint{
	{pattern: "GET /api/pools", call: listPools, gives: of[items[PoolView]](), about: "How the accounts of each provider are used together"},
	{
		pattern: "PATCH /api/pools/{provider}", call: changePool, takes: of[PoolChange](), gives: of[PoolView](),
		about: "Changes what is named of a pool",
	},
	{
		pattern: "POST /api/accounts/order", call: orderAccounts, takes: of[AccountOrder](), gives: of[items[AccountView]](),
		about: "Puts the accounts of a provider in order",
	},
}

func listPools(svc Service, r *http.Request) (any, error) { return list(svc.Pools(r.Context())) }

func changePool(svc Service, r *http.Request) (any, error) {
	var c PoolChange
	if err := decode(r.Body, &c); err != nil {
		return nil, err
	}
	return svc.ChangePool(r.Context(), r.PathValue("provider"), c)
}

func orderAccounts(svc Service, r *http.Request) (any, error) {
	var o AccountOrder
	if err := decode(r.Body, &o); err != nil {
		return nil, err
	}
	if o.Provider == "" {
		return nil, apierror.Invalid("provider", "name the provider whose accounts are put in order")
	}
	return list(svc.OrderAccounts(r.Context(), o))
}

// Pools implements Service.
func (c *Client) Pools(ctx context.Context) ([]PoolView, error) {
	return getItems[PoolView](ctx, c, "/api/pools", nil)
}

// ChangePool implements Service.
func (c *Client) ChangePool(ctx context.Context, provider string, ch PoolChange) (out PoolView, err error) {
	err = c.do(ctx, http.MethodPatch, "/api/pools/"+url.PathEscape(provider), ch, &out)
	return out, err
}

// OrderAccounts implements Service.
func (c *Client) OrderAccounts(ctx context.Context, o AccountOrder) ([]AccountView, error) {
	var out items[AccountView]
	err := c.do(ctx, http.MethodPost, "/api/accounts/order", o, &out)
	return out.Items, err
}
