package account

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"patchbay/backend/canon"
)

// How long a list of models is good, how soon a failed one is asked for again, how long asking may take, and how many
// accounts are asked at a time.
const (
	listFresh   = 6 * time.Hour
	listRetry   = time.Minute
	listTimeout = 15 * time.Second
	listAtATime = 8
)

// lists keeps the model lists of accounts.
type lists struct {
	mu sync.Mutex // guards m
	m  map[string]*modelList
}

// modelList is the list of one account.
type modelList struct {
	provider string

	// turn is held while the account is asked, so that it is asked once, and guards the fields below. Waiting for it ends
	// with the caller's context, as waiting for a mutex would not.
	turn chan struct{}
	good []canon.Model
	next time.Time // when to ask again
}

func (l *lists) of(id, provider string) *modelList {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[string]*modelList{}
	}
	ml := l.m[id]
	if ml == nil {
		ml = &modelList{provider: provider, turn: make(chan struct{}, 1)}
		l.m[id] = ml
	}
	return ml
}

func (l *lists) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, id)
}

func (l *lists) forgetProvider(provider string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, ml := range l.m {
		if ml.provider == provider {
			delete(l.m, id)
		}
	}
}

// Models returns what the usable accounts of a provider offer, each model once, in the order of the accounts. A list is
// kept for six hours; one that cannot be fetched is replaced by the last good one, else by the driver's own. Failing to
// list harms no account: many services answer chats for keys that may not list.
func (p *Pools) Models(ctx context.Context, providerID string) []canon.Model {
	accounts := p.usable(providerID)
	found := make([][]canon.Model, len(accounts))
	slots := make(chan struct{}, listAtATime)
	var wg sync.WaitGroup
	for i, e := range accounts {
		slots <- struct{}{}
		wg.Go(func() { // ends with the account's answer, at most listTimeout
			defer func() { <-slots }()
			found[i] = p.list(ctx, e.e, e.id, providerID)
		})
	}
	wg.Wait()
	var out []canon.Model
	seen := map[string]bool{}
	for _, models := range found {
		for _, m := range models {
			if !seen[m.ID] {
				seen[m.ID] = true
				out = append(out, m)
			}
		}
	}
	if len(out) == 0 {
		return slices.Clone(p.info(providerID).Models)
	}
	return out
}

type listable struct {
	e        *entry
	id       string
	priority int
	created  time.Time
}

// usable returns the accounts that may be asked, in the order of their priority.
func (p *Pools) usable(providerID string) []listable {
	p.mu.Lock()
	defer p.mu.Unlock()
	pl := p.pools[providerID]
	if pl == nil {
		return nil
	}
	var out []listable
	for _, e := range pl.all {
		if e.usable() {
			out = append(out, listable{e, e.row.ID, e.row.Priority, e.row.Created})
		}
	}
	slices.SortStableFunc(out, func(a, b listable) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	return out
}

// list returns the models of one account.
func (p *Pools) list(ctx context.Context, e *entry, id, providerID string) []canon.Model {
	ml := p.listed.of(id, providerID)
	if !ml.take(ctx) {
		return nil
	}
	defer func() { <-ml.turn }()
	now := time.Now()
	if now.Before(ml.next) {
		return p.orOwn(ml, providerID)
	}
	models, err := p.ask(ctx, e)
	switch {
	case err == nil:
		ml.good, ml.next = models, now.Add(listFresh)
	case ctx.Err() == nil:
		ml.next = now.Add(listRetry)
		p.needs.Log.Debug("Listing models failed", "account", id, "provider", providerID, "err", err)
	}
	return p.orOwn(ml, providerID)
}

// take waits for the turn. A free one is taken whatever the context says: what is at hand is given to anybody.
func (ml *modelList) take(ctx context.Context) bool {
	select {
	case ml.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case ml.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Pools) orOwn(ml *modelList, providerID string) []canon.Model {
	if len(ml.good) > 0 {
		return ml.good
	}
	return p.info(providerID).Models
}

func (p *Pools) ask(ctx context.Context, e *entry) ([]canon.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	p.mu.Lock()
	gen := e.generation
	p.mu.Unlock()
	up, err := p.upstream(ctx, e, gen)
	if err != nil {
		return nil, err
	}
	return up.Models(ctx)
}
