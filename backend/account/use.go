package account

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/store"
)

// shownOutcomes is how many of its last calls an account remembers, and useEvery how often what was used is written: a crash
// may lose so much of it, and nothing else.
const (
	shownOutcomes = 20
	useEvery      = 15 * time.Second
)

// noteUse notes how a call ended. What is nobody's fault, or the request's own, says nothing about the account. The caller
// holds the lock.
func (p *Pools) noteUse(e *entry, err error, now time.Time) {
	if e.usedSince.IsZero() {
		e.usedSince = now
		select {
		case p.wakeAsk <- struct{}{}:
		default: // RunChecks has been told already
		}
	}
	kind := ""
	if err != nil {
		k := apierror.KindOf(err)
		if apierror.PolicyOf(k).NextAccount == apierror.Never {
			p.useChanged(e) // it was used all the same
			return
		}
		kind = k.String()
		e.failed++
	} else {
		e.served++
	}
	if len(e.recent) < shownOutcomes {
		if e.recent == nil {
			e.recent = make([]Outcome, 0, shownOutcomes)
		}
		e.recent = append(e.recent, Outcome{now, kind})
	} else {
		copy(e.recent, e.recent[1:])
		e.recent[shownOutcomes-1] = Outcome{now, kind}
	}
	p.useChanged(e)
}

// useChanged notes that the use of an account is to be written. The caller holds the lock.
func (p *Pools) useChanged(e *entry) {
	if e.useDirty {
		return
	}
	e.useDirty = true
	p.used = append(p.used, e)
	select {
	case p.wakeUse <- struct{}{}:
	default: // Run has been told already
	}
}

// flushUse writes what accounts were used for.
func (p *Pools) flushUse(ctx context.Context) error {
	p.mu.Lock()
	used := p.used
	p.used = nil
	rows := make([]store.Use, 0, len(used))
	for _, e := range used {
		e.useDirty = false
		rows = append(rows, e.use())
	}
	p.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	err := p.needs.Store.Batch(ctx, func(ctx context.Context) error {
		for _, u := range rows {
			if err := p.needs.Store.SaveUse(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range used {
		p.useChanged(e)
	}
	return errors.Join(errors.New("saving the use of accounts"), err)
}

// use is the row of what the account was used for. The caller holds the lock.
func (e *entry) use() store.Use {
	u := store.Use{Account: e.row.ID, LastUsed: e.lastUsed, Served: e.served, Failed: e.failed, Recent: make([]store.Outcome, len(e.recent))}
	for i, o := range e.recent {
		u.Recent[i] = store.Outcome{At: o.At.UnixMilli(), Kind: o.Kind}
	}
	if q := e.quota; q != nil && !q.TakenAt.IsZero() {
		u.QuotaAt = q.TakenAt
		if b, err := json.Marshal(q.Windows, json.Deterministic(true)); err == nil {
			u.Quota = string(b)
		}
	}
	return u
}

// restoreUse takes up what was kept in the store.
func (p *Pools) restoreUse(uses []store.Use) {
	now := time.Now()
	for _, u := range uses {
		e := p.entries[u.Account]
		if e == nil {
			continue
		}
		e.lastUsed, e.served, e.failed = u.LastUsed, u.Served, u.Failed
		for _, o := range u.Recent[max(len(u.Recent)-shownOutcomes, 0):] {
			e.recent = append(e.recent, Outcome{time.UnixMilli(o.At), o.Kind})
		}
		q := &QuotaReading{TakenAt: u.QuotaAt}
		if u.Quota != "" && json.Unmarshal([]byte(u.Quota), &q.Windows) == nil {
			e.quota = q
			e.refresh(now)
		}
	}
}
