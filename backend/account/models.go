package account

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/store"
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
	turn   chan struct{}
	good   []canon.Model
	source string    // what the list came from: another address has other models
	next   time.Time // when to ask again
	failed bool      // the last time, so that good is an old one

	again atomic.Bool // ask although it is not time yet
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

// changed makes the list of an account be asked for anew.
func (l *lists) changed(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ml := l.m[id]; ml != nil {
		ml.again.Store(true)
	}
}

// askAgain makes the lists of a provider, or of all for "", be asked for when they are next wanted.
func (l *lists) askAgain(provider string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ml := range l.m {
		if provider == "" || ml.provider == provider {
			ml.again.Store(true)
		}
	}
}

// restore takes up the lists that were kept in the store, so that a restart has them before any service answers.
func (p *Pools) restore(kept []store.ModelList) {
	for _, k := range kept {
		e := p.entries[k.Account]
		if e == nil {
			continue
		}
		ml := p.listed.of(k.Account, e.row.Provider)
		ml.good, ml.source = k.Models, k.Source
		ml.next = k.At.Add(listFresh)
		if late := time.Now().Add(listFresh); ml.next.After(late) { // the clock was set back
			ml.next = late
		}
	}
}

// RefreshModels makes the next Models of a provider, or of all for "", ask the services.
func (p *Pools) RefreshModels(providerID string) { p.listed.askAgain(providerID) }

// Models returns what the usable accounts of a provider offer, each model once, in the order of the accounts. A list is
// kept for six hours, also over a restart; one that cannot be fetched is replaced by the last good one, else by the
// driver's own, and marked as stale. Failing to list harms no account: many services answer chats for keys that may not
// list.
func (p *Pools) Models(ctx context.Context, providerID string) []canon.Model {
	accounts := p.usable(providerID)
	found := make([][]canon.Model, len(accounts))
	slots := make(chan struct{}, listAtATime)
	var wg sync.WaitGroup
	for i, e := range accounts {
		slots <- struct{}{}
		wg.Go(func() { // ends with the account's answer, at most listTimeout
			defer func() { <-slots }()
			found[i] = e.words.listed(p.list(ctx, e.e, e.id, providerID))
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
	if len(out) == 0 && !slices.ContainsFunc(accounts, func(e listable) bool { return e.words.only != "" || e.words.not != "" }) {
		return slices.Clone(p.info(providerID).Models)
	}
	return out
}

type listable struct {
	e        *entry
	id       string
	priority int
	created  time.Time
	words    words
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
			out = append(out, listable{e, e.row.ID, e.row.Priority, e.row.Created, e.words})
		}
	}
	slices.SortStableFunc(out, func(a, b listable) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	return out
}

// list returns the models of one account.
func (p *Pools) list(ctx context.Context, e *entry, id, providerID string) []canon.Model {
	driver, shared, err := p.needs.Driver(providerID)
	if err != nil {
		return nil
	}
	info := driver.Info()
	p.mu.Lock()
	own := e.row.Settings
	p.mu.Unlock()
	if info.Static && own[provider.SettingModels] == "" {
		return info.Models
	}
	ml := p.listed.of(id, providerID)
	if !ml.take(ctx) {
		return nil
	}
	defer func() { <-ml.turn }()
	if source := sourceOf(shared, own); ml.source != source {
		ml.good, ml.source, ml.next, ml.failed = nil, source, time.Time{}, false
	}
	now := time.Now()
	if again := ml.again.Swap(false); now.Before(ml.next) && !again {
		return ml.shown(info)
	}
	models, err := p.ask(ctx, e)
	switch {
	case err == nil:
		ml.good, ml.next, ml.failed = models, now.Add(listFresh), false
		p.keep(ctx, id, ml, now)
	case ctx.Err() == nil:
		ml.next, ml.failed = now.Add(listRetry), true
		p.needs.Log.Debug("Listing models failed", "account", id, "provider", providerID, "err", err)
	}
	return ml.shown(info)
}

// keep stores a list for the next start. A failure costs a question to the service then, nothing more.
func (p *Pools) keep(ctx context.Context, id string, ml *modelList, at time.Time) {
	err := p.needs.Store.SaveModels(ctx, store.ModelList{Account: id, Source: ml.source, At: at, Models: ml.good})
	if err != nil && ctx.Err() == nil {
		p.needs.Log.Debug("Keeping a model list failed", "account", id, "err", err)
	}
}

// sourceOf names the settings that a list depends on.
func sourceOf(shared, own map[string]string) string {
	h := sha256.New()
	for _, settings := range []map[string]string{shared, own} {
		for _, key := range slices.Sorted(maps.Keys(settings)) {
			fmt.Fprintf(h, "%q=%q\n", key, settings[key])
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
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

// shown is what people see of the list, or of the driver's own where the service gave none.
func (ml *modelList) shown(info provider.Info) []canon.Model {
	out := info.Models
	if len(ml.good) > 0 {
		out = info.Listed(ml.good)
	}
	if !ml.failed {
		return out
	}
	out = slices.Clone(out)
	for i := range out {
		out[i].Stale = true
	}
	return out
}

func (p *Pools) ask(ctx context.Context, e *entry) ([]canon.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	p.mu.Lock()
	gen, id := e.generation, e.row.ID
	p.mu.Unlock()
	up, err := p.upstream(ctx, e, gen)
	if err != nil {
		return nil, err
	}
	var models []canon.Model
	err = p.renewing(ctx, e, id, func(ctx context.Context) (err error) {
		models, err = up.Models(ctx)
		return err
	})
	return models, err
}

// renewing makes a call with an account's login, and once more with a renewed one if the service refuses it.
func (p *Pools) renewing(ctx context.Context, e *entry, id string, call func(context.Context) error) error {
	var use oauth.Use
	err := call(oauth.Track(ctx, &use))
	if err == nil || apierror.KindOf(err) != apierror.AuthExpired {
		return err
	}
	p.mu.Lock()
	renews := e.renews
	p.mu.Unlock()
	if !renews {
		return err
	}
	if again, renewErr := p.tokens.Renew(ctx, id, &use); !again {
		return cmp.Or(renewErr, err)
	}
	return call(ctx)
}

// opened returns an account with its upstream, for what a person asks of its service.
func (p *Pools) opened(ctx context.Context, id string) (*entry, provider.Upstream, error) {
	p.mu.Lock()
	e, gen := p.entries[id], 0
	if e != nil {
		gen = e.generation
	}
	p.mu.Unlock()
	if e == nil {
		return nil, nil, gone(id)
	}
	up, err := p.upstream(ctx, e, gen)
	if f, ok := errors.AsType[*failure](err); ok {
		return nil, nil, apierror.New(apierror.AuthExpired, "the account %s", f.text)
	}
	return e, up, err
}

// Test checks an account at its service without spending anything. It changes no health: a person asked, and gets told.
func (p *Pools) Test(ctx context.Context, id string) (provider.Tested, error) {
	e, up, err := p.opened(ctx, id)
	if err != nil {
		return provider.Tested{}, err
	}
	var found provider.Tested
	err = p.renewing(ctx, e, id, func(ctx context.Context) (err error) {
		if t, ok := up.(provider.Tester); ok {
			found, err = t.Test(ctx)
			return err
		}
		models, err := up.Models(ctx)
		found = provider.Tested{Models: len(models)}
		if err == nil && len(models) == 0 {
			found.Note = "the service has no model list, so the key could not be checked without spending anything"
		}
		return err
	})
	return found, err
}
