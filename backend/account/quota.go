package account

import (
	"context"
	"fmt"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// QuotaReading is what a service said is left of an account's allowances.
type QuotaReading struct {
	Windows []provider.Quota
	TakenAt time.Time // zero = it never said
	Note    string    // why the last question was not answered, "" = it was
	None    bool      // the service does not tell
}

// Stale reports whether more may have been used since, or a window has ended.
func (q *QuotaReading) Stale(now time.Time) bool {
	if q.TakenAt.IsZero() || now.Sub(q.TakenAt) > quotaFresh {
		return true
	}
	for _, w := range q.Windows {
		if w.ResetsAt > 0 && w.ResetsAt <= now.UnixMilli() {
			return true
		}
	}
	return false
}

// quotaFresh is how long a reading counts as the present state.
const quotaFresh = 15 * time.Minute

// Quota asks an account's service how much of each allowance is left, which costs nothing, and keeps the answer. The error
// is apierror.Unsupported where the service does not tell. It changes no health, but what is to be kept back of an allowance
// is.
func (p *Pools) Quota(ctx context.Context, id string) (windows []provider.Quota, err error) {
	e, up, err := p.opened(ctx, id)
	if err != nil {
		return nil, err
	}
	q, ok := up.(provider.QuotaReporter)
	if !ok {
		err := apierror.New(apierror.Unsupported, "this service does not tell how much is left")
		p.noteQuota(e, nil, err)
		return nil, err
	}
	err = p.renewing(ctx, e, id, func(ctx context.Context) (err error) {
		windows, err = q.Quota(ctx)
		return err
	})
	if ctx.Err() == nil {
		p.noteQuota(e, windows, err)
	}
	return windows, err
}

// noteQuota keeps an answer, or why there was none.
func (p *Pools) noteQuota(e *entry, windows []provider.Quota, err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	e.asked, e.usedSince = now, time.Time{}
	r := QuotaReading{}
	if e.quota != nil {
		r = *e.quota
	}
	switch {
	case err == nil:
		r = QuotaReading{Windows: windows, TakenAt: now}
	case apierror.KindOf(err) == apierror.Unsupported:
		r = QuotaReading{None: true, Note: apierror.From(err).Msg}
	default:
		r.Note = apierror.From(err).Msg
	}
	e.quota = &r
	if err == nil {
		p.useChanged(e)
	}
	e.keepBack(now)
	e.refresh(now)
	if e.pool != nil {
		p.changed(e.row.ID)
	}
}

// reserve returns how many percent of an allowance of the account are left alone.
func (e *entry) reserve() int {
	if e.row.Reserve >= 0 || e.pool == nil {
		return max(e.row.Reserve, 0)
	}
	return e.pool.set.Reserve
}

// keepBack rests the account where no more is left of an allowance than is to be kept back, until the allowance is filled
// up, and ends such a rest that holds no longer. It reports whether anything changed. The caller holds the lock.
func (e *entry) keepBack(now time.Time) (changed bool) {
	want := map[string]cooldown{}
	if keep := e.reserve(); keep > 0 && e.quota != nil {
		for _, w := range e.quota.Windows {
			until := time.UnixMilli(w.ResetsAt)
			left, known := leftOf(w)
			if !known || left > float64(keep) || !until.After(now) || !until.After(e.unreserved) {
				continue
			}
			scope := allModels
			if len(w.Models) > 0 {
				scope = strings.Join(w.Models, ",")
			}
			if old, ok := want[scope]; !ok || until.After(old.until) {
				why := fmt.Sprintf("%.0f %% of %q is left, and %d %% is kept in reserve", left, w.Name, keep)
				want[scope] = cooldown{until: until, kind: KindReserve, reason: why}
			}
		}
	}
	for scope, c := range e.cool {
		if _, still := want[scope]; c.kind == KindReserve && !still {
			delete(e.cool, scope)
			changed = true
		}
	}
	for scope, c := range want {
		if old := e.cool[scope]; old != nil && old.kind != KindReserve && old.until.After(now) {
			continue // it rests for another reason, and longer or shorter: that one was the service's word
		}
		e.setCool(scope, c)
		changed = true
	}
	if changed {
		e.coolChanged(now)
	}
	return changed
}

// leftOf returns how many percent of an allowance are left, where that can be told.
func leftOf(w provider.Quota) (percent float64, known bool) {
	if w.Limit <= 0 {
		return 0, false
	}
	return max(0, (w.Limit-w.Used)/w.Limit*100), true
}

// soonestReset returns when the first allowance is filled up of which something is left, in Unix milliseconds, 0 where that
// is not known.
func soonestReset(q *QuotaReading, now time.Time) (soonest int64) {
	if q == nil {
		return 0
	}
	for _, w := range q.Windows {
		left, known := leftOf(w)
		if known && left > 0 && w.ResetsAt > now.UnixMilli() && (soonest == 0 || w.ResetsAt < soonest) {
			soonest = w.ResetsAt
		}
	}
	return soonest
}
