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
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
			defer cancel()
			return p.Flush(last)
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
			if err := p.needs.Store.SaveHealth(ctx, h.id, h.state, h.reason, h.link, h.notes, h.cooling); err != nil {
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

type health struct {
	id, state, reason, link string
	notes                   map[string]string
	cooling                 []store.Cooldown
}

func (p *Pools) takeDirty() []health {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []health
	for id := range p.dirty {
		e := p.entries[id]
		if e == nil {
			continue
		}
		h := health{id: id, state: string(e.state), reason: e.reason, link: e.link, notes: maps.Clone(e.row.Notes)}
		for scope, c := range e.cool {
			if c.until.After(now) {
				h.cooling = append(h.cooling, store.Cooldown{Account: id, Model: scope, Absent: c.absent, Until: c.until, Reason: c.reason, Level: c.level})
			}
		}
		out = append(out, h)
	}
	clear(p.dirty)
	return out
}

func (p *Pools) putBack(rows []health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range rows {
		p.dirty[h.id] = struct{}{}
	}
}
