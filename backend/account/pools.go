package account

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/store"
)

// Pools holds the accounts of all providers. It is safe for concurrent use.
type Pools struct {
	needs   Needs
	wake    chan struct{} // tells Run that something changed
	wakeUse chan struct{} // tells Run that an account was used
	wakeAsk chan struct{} // tells RunChecks that there may be something to ask
	edit    sync.Mutex    // held by one change of a person at a time, over its database write
	signing sync.Mutex    // held by one finished sign-in at a time
	listed  lists
	tokens  *oauth.Tokens

	mu      sync.Mutex // guards all below, and every field of an entry that says so
	entries map[string]*entry
	pools   map[string]*pool
	rests   map[modelKey]time.Time // models that have no capacity, whoever asks
	bound   bindings
	dirty   map[string]struct{}
	used    []*entry // whose use is to be written
}

type modelKey struct{ provider, model string }

// entry is one account with its health. The fields are guarded by Pools.mu.
type entry struct {
	row    store.Account // Settings without secrets, Proxy without password
	hidden []string      // names of sealed settings, known once the login was opened
	state  State
	kind   string // of the reason
	reason string
	since  time.Time
	link   string

	cool       map[string]*cooldown // by model, pattern or allModels
	patterns   int                  // how many keys of cool are patterns
	faults     int                  // failures in a row
	refused    int                  // refusals of the key in a row
	refusedAt  time.Time
	lastFault  string
	lastUsed   time.Time
	inflight   int
	limit      int // calls at a time, 0 = none
	words      words
	renews     bool // its login can be refreshed, so that a refusal is final
	generation int  // grows when settings or login change: an Upstream opened before is not used again

	served, failed int64
	recent         []Outcome // the last ones, oldest first
	useDirty       bool      // something of its use or its allowances is to be written
	bound          int       // conversations that stay on it
	quota          *QuotaReading
	asked          time.Time // when the service was last asked how much is left
	usedSince      time.Time // when it was first used after that; zero = it was not
	check          *CheckResult
	nextCheck      time.Time
	unreserved     time.Time // until then a person wants no part of an allowance kept back

	pool  *pool
	tier  *tier
	place place

	open opened // has its own lock
}

// New restores the accounts from the store. It opens no login and no connection.
func New(ctx context.Context, needs Needs) (*Pools, error) {
	if needs.Log == nil {
		needs.Log = slog.New(slog.DiscardHandler)
	}
	if needs.Bus == nil {
		needs.Bus = &events.Bus{}
	}
	p := &Pools{
		needs: needs, wake: make(chan struct{}, 1), wakeUse: make(chan struct{}, 1), wakeAsk: make(chan struct{}, 1), entries: map[string]*entry{}, pools: map[string]*pool{},
		rests: map[modelKey]time.Time{}, dirty: map[string]struct{}{},
	}
	p.tokens = oauth.NewTokens(oauth.TokenNeeds{
		Book: book{p}, Leases: needs.Store.Leases("process/" + rand.Text()), Log: needs.Log, Reread: p.reread(), LeaseTime: needs.LeaseTime,
	})
	rows, err := needs.Store.Accounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the accounts: %w", err)
	}
	cooling, err := needs.Store.Cooldowns(ctx, time.Now())
	if err != nil {
		return nil, fmt.Errorf("reading the cool-downs: %w", err)
	}
	for _, row := range rows {
		p.insert(row)
	}
	if kept, err := needs.Store.ModelLists(ctx); err != nil {
		needs.Log.Warn("The model lists that were kept cannot be read; the services are asked again", "err", err)
	} else {
		p.restore(kept)
	}
	for _, c := range cooling {
		if e := p.entries[c.Account]; e != nil {
			e.setCool(c.Model, cooldown{until: c.Until, kind: c.Kind, reason: c.Reason, since: c.Since, level: c.Level, absent: c.Absent})
		}
	}
	if uses, err := needs.Store.Uses(ctx); err != nil {
		needs.Log.Warn("What the accounts were used for cannot be read; counting begins anew", "err", err)
	} else {
		p.restoreUse(uses)
	}
	return p, nil
}

// insert adds a row to the hot copy. The caller holds the lock, or is New.
func (p *Pools) insert(row store.Account) *entry {
	if row.Notes == nil {
		row.Notes = map[string]string{}
	}
	row.Priority, row.Tags = cleanPriority(row.Priority), CleanTags(row.Tags)
	e := &entry{
		row: row, state: State(row.State), kind: row.Kind, reason: row.Reason, since: row.Since, link: row.Link, limit: row.MaxConcurrent,
		renews: row.Renews,
	}
	e.words = wordsOf(row.Settings)
	if e.state == "" {
		e.state = Ready
	}
	p.entries[row.ID] = e
	p.pool(row.Provider).add(e)
	return e
}

// account returns what a person sees of the row. The caller holds the lock.
func (e *entry) account() Account {
	r := e.row
	a := Account{
		ID: r.ID, Provider: r.Provider, Name: r.Name, Priority: r.Priority, Enabled: r.Enabled, Owner: Owner(r.Owner),
		Settings: maps.Clone(r.Settings), SecretSettings: slices.Clone(e.hidden), Proxy: r.Proxy, MaxConcurrent: r.MaxConcurrent, Created: r.Created,
		Login: r.Login, Identity: r.Identity, Renews: r.Renews, Expires: r.Expires, Tags: slices.Clone(r.Tags), Weight: max(r.Weight, 1),
	}
	if r.Reserve >= 0 {
		a.Reserve = &r.Reserve
	}
	return a
}

// List returns a snapshot of all accounts, sorted by provider, priority and name.
func (p *Pools) List() []Status {
	now := time.Now()
	p.mu.Lock()
	p.bound.sweep(now)
	out := make([]Status, 0, len(p.entries))
	for _, e := range p.entries {
		out = append(out, statusOf(e, now))
	}
	p.mu.Unlock()
	slices.SortFunc(out, compareStatus)
	return out
}

// Get returns one account.
func (p *Pools) Get(id string) (Status, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.entries[id]
	if !ok {
		return Status{}, false
	}
	now := time.Now()
	p.bound.sweep(now)
	return statusOf(e, now), true
}

// Find returns the account that a person means: by its id, provider/name, or a name that only one has.
func (p *Pools) Find(ref string) (id, provider string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[ref]; e != nil {
		return e.row.ID, e.row.Provider, nil
	}
	var found *entry
	for _, e := range p.entries {
		if !strings.EqualFold(e.row.Name, ref) && !strings.EqualFold(e.row.Provider+"/"+e.row.Name, ref) {
			continue
		}
		if found != nil {
			return "", "", apierror.Invalid("account", "more than one account is called %q; say which one by its id", ref)
		}
		found = e
	}
	if found == nil {
		return "", "", apierror.Invalid("account", "there is no account %q; `patchbay accounts` lists them", ref)
	}
	return found.row.ID, found.row.Provider, nil
}

// HasAccounts reports whether a provider has any account, usable or not.
func (p *Pools) HasAccounts(provider string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[provider]
	return pl != nil && len(pl.all) > 0
}

// Providers returns the ids of the providers that have accounts, sorted.
func (p *Pools) Providers() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for id, pl := range p.pools {
		if len(pl.all) > 0 {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Reopen makes the accounts of a provider take up its changed settings with their next call. Running calls end as they
// began.
func (p *Pools) Reopen(provider string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl := p.pools[provider]; pl != nil {
		for _, e := range pl.all {
			e.generation++
		}
	}
}

// changed notes that the health of an account is to be written and tells who watches. The caller holds the lock.
func (p *Pools) changed(id string) {
	p.dirty[id] = struct{}{}
	select {
	case p.wake <- struct{}{}:
	default: // Run has been told already
	}
	p.needs.Bus.Publish(events.Account, id, nil)
}

// info returns the description of a provider, empty if there is none.
func (p *Pools) info(id string) provider.Info {
	d, _, err := p.needs.Driver(id)
	if err != nil {
		return provider.Info{}
	}
	return d.Info()
}
