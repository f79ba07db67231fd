package account

import (
	"context"
	"errors"
	"maps"
	"time"

	"patchbay/backend/store"
)

// Run writes changes of health as they come, until ctx ends; then it writes what is left. A call never waits for it.
func (p *Pools) Run(ctx context.Context) error {
	const again = 5 * time.Second // after a failed write
	var retry, uses <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
			defer cancel()
			return errors.Join(p.Flush(last), p.flushUse(last))
		case <-p.wakeUse:
			if uses == nil {
				uses = time.After(useEvery)
			}
			continue
		case <-uses:
			uses = nil
			if err := p.flushUse(ctx); err != nil && ctx.Err() == nil {
				p.needs.Log.Warn("Saving the use of accounts failed", "err", err)
				uses = time.After(useEvery)
			}
			continue
		case <-p.wake:
		case <-retry:
		}
		retry = nil
		if err := p.Flush(ctx); err != nil && ctx.Err() == nil {
			p.needs.Log.Warn("Saving the health of accounts failed", "err", err)
			retry = time.After(again)
		}
	}
}

// Flush writes every change of health that is not yet written.
func (p *Pools) Flush(ctx context.Context) error {
	rows := p.takeDirty()
	err := p.needs.Store.Batch(ctx, func(ctx context.Context) error {
		for _, h := range rows {
			if err := p.needs.Store.SaveHealth(ctx, h); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.putBack(rows)
		return errors.Join(errors.New("saving the health of accounts"), err)
	}
	return nil
}

func (p *Pools) takeDirty() []store.Health {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []store.Health
	for id := range p.dirty {
		e := p.entries[id]
		if e == nil {
			continue
		}
		h := store.Health{ID: id, State: string(e.state), Kind: e.kind, Reason: e.reason, Since: e.since, Link: e.link, Notes: maps.Clone(e.row.Notes)}
		for scope, c := range e.cool {
			if c.until.After(now) {
				h.Cooling = append(h.Cooling, store.Cooldown{
					Account: id, Model: scope, Absent: c.absent, Until: c.until, Kind: c.kind, Reason: c.reason, Since: c.since, Level: c.level,
				})
			}
		}
		out = append(out, h)
	}
	clear(p.dirty)
	return out
}

func (p *Pools) putBack(rows []store.Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range rows {
		p.dirty[h.ID] = struct{}{}
	}
}
