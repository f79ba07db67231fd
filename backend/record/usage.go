package record

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"patchbay/backend/store"
)

// sum folds rows into the usage counters. Unknown counts add nothing and are counted as such.
func sum(rows []store.Request) []store.Usage {
	type key struct {
		slot                          int64
		client, provider, acct, model string
	}
	at := map[key]int{}
	var out []store.Usage
	for i := range rows {
		r := &rows[i]
		slot := r.At.Truncate(store.Slot)
		k := key{slot.Unix(), r.Key, r.Provider, r.Account, r.Model}
		j, ok := at[k]
		if !ok {
			j = len(out)
			at[k] = j
			out = append(out, store.Usage{At: slot, Key: r.Key, Provider: r.Provider, Account: r.Account, Model: r.Model})
		}
		count(&out[j], r)
	}
	return out
}

func count(u *store.Usage, r *store.Request) {
	u.Requests++
	switch r.Kind {
	case "":
		if r.Estimated || r.Tokens.Input < 0 && r.Tokens.Output < 0 {
			u.Untold++
		}
		if r.FirstMS >= 0 {
			if u.First == nil {
				u.First = map[int]int64{}
			}
			u.First[step(r.FirstMS)]++
		}
	case store.HungUp:
		u.HungUp++
	default:
		u.Errors++
	}
	if r.Metered {
		u.Metered++
	}
	addTokens(&u.Tokens, r.Tokens)
	for _, c := range []struct {
		n    int64
		told *int64
	}{
		{r.Tokens.Input, &u.Told.Input}, {r.Tokens.Cached, &u.Told.Cached}, {r.Tokens.CacheWrite, &u.Told.CacheWrite},
		{r.Tokens.Output, &u.Told.Output}, {r.Tokens.Reasoning, &u.Told.Reasoning},
	} {
		if c.n >= 0 {
			*c.told++
		}
	}
}

func addTokens(t *Tokens, n Tokens) {
	t.Input += max(n.Input, 0)
	t.Cached += max(n.Cached, 0)
	t.CacheWrite += max(n.CacheWrite, 0)
	t.Output += max(n.Output, 0)
	t.Reasoning += max(n.Reasoning, 0)
}

// Times to the first content are counted in steps of five per cent, so that the median and the worst of any span can be
// told from counters, long after the rows have gone, at most 2.5 % off.
const stepRatio = 1.05

func step(ms int64) int { return int(math.Round(math.Log(float64(max(ms, 1))) / math.Log(stepRatio))) }

func stepMS(step int) int64 { return int64(math.Round(math.Pow(stepRatio, float64(step)))) }

// Dimension is one of the things by which usage is told apart.
type Dimension string

// The dimensions.
const (
	ByProvider Dimension = "provider"
	ByAccount  Dimension = "account"
	ByModel    Dimension = "model"
	ByKey      Dimension = "key"
)

// Dimensions are all of them.
var Dimensions = []Dimension{ByProvider, ByAccount, ByModel, ByKey}

// The lengths of time into which usage is divided.
const (
	Hours = "hour"
	Days  = "day"
)

// UsageQuery says which usage is added up, and how.
type UsageQuery struct {
	Since, Until                  time.Time // zero ends are open
	Key, Provider, Account, Model string    // "" does not narrow
	By                            []Dimension
	Bucket                        string         // Hours or Days; "" = one sum over all the time
	Zone                          *time.Location // of the days and hours; nil = that of this machine
}

// Usage is a sum of requests. Which of Key, Provider, Account and Model are set depends on what was asked for; a model comes
// with its provider, an account too.
type Usage struct {
	Start                         time.Time // of the hour or day; zero without a bucket
	Key, Provider, Account, Model string
	Requests, Errors, HungUp      int64
	Untold                        int64  // answered, but the service reported no tokens: those counted are estimates
	Tokens                        Tokens // -1 = no request told this count
	FirstMedian, FirstWorst       int64  // milliseconds to the first content, half and 95 % were faster; -1 = unknown
	Cost                          float64
	Priced, Unpriced              int64 // requests by accounts that pay per token: with a price, without one

	told  Tokens
	first map[int]int64
}

// Usage returns sums in order of time, those of the same time with the most requests first, and the sum of all.
func (l *Log) Usage(ctx context.Context, q UsageQuery) (rows []Usage, total Usage, err error) {
	if q.Zone == nil {
		q.Zone = time.Local
	}
	var prices *Prices
	if l.opt.Prices != nil {
		prices = l.opt.Prices()
	}
	at := map[usageKey]*Usage{}
	for _, f := range l.spans(q) {
		found, err := l.db.Usage(ctx, f)
		if err != nil {
			return nil, Usage{}, fmt.Errorf("reading the usage: %w", err)
		}
		for i := range found {
			u := &found[i]
			k := q.key(u, f.Since)
			row := at[k]
			if row == nil {
				row = &Usage{Key: k.key, Provider: k.provider, Account: k.account, Model: k.model}
				if q.Bucket != "" {
					row.Start = time.UnixMilli(k.start).In(q.Zone)
				}
				at[k] = row
			}
			row.add(u, prices)
			total.add(u, prices)
		}
	}
	for row := range maps.Values(at) {
		row.settle()
		rows = append(rows, *row)
	}
	total.settle()
	slices.SortFunc(rows, byTime)
	return rows, total, nil
}

// usageKey is what a sum stands for.
type usageKey struct {
	start                         int64
	key, provider, account, model string
}

// key says which sum u goes into. A day that begins in a span before the one that u comes from begins when that day did.
func (q *UsageQuery) key(u *store.Usage, since time.Time) usageKey {
	var k usageKey
	for _, d := range q.By {
		switch d {
		case ByProvider:
			k.provider = u.Provider
		case ByAccount:
			k.provider, k.account = u.Provider, u.Account
		case ByModel:
			k.provider, k.model = u.Provider, u.Model
		case ByKey:
			k.key = u.Key
		}
	}
	at := u.At
	if at.Before(since) {
		at = since
	}
	switch q.Bucket {
	case Days:
		y, m, d := at.In(q.Zone).Date()
		k.start = time.Date(y, m, d, 0, 0, 0, 0, q.Zone).UnixMilli()
	case Hours:
		k.start = u.At.UnixMilli()
	}
	return k
}

// spans divides the time where the clocks of the zone change: inside one span each day and hour begins at a multiple of
// its length.
func (l *Log) spans(q UsageQuery) []store.UsageFilter {
	f := store.UsageFilter{Since: q.Since, Until: q.Until, Key: q.Key, Provider: q.Provider, Account: q.Account, Model: q.Model}
	if !f.Since.IsZero() {
		f.Since = f.Since.Truncate(store.Slot)
	}
	switch q.Bucket {
	case Days:
		f.Span = 24 * time.Hour
	case Hours:
		f.Span = time.Hour
	default:
		return []store.UsageFilter{f}
	}
	if f.Since.IsZero() {
		f.Since = time.Now().Add(-max(l.keep.Load().Usage, 0)).Truncate(store.Slot)
	}
	end := f.Until
	if end.IsZero() {
		end = time.Now().Add(time.Hour)
	}
	var out []store.UsageFilter
	for at := f.Since; at.Before(end); {
		one := f
		one.Since = at
		_, offset := at.In(q.Zone).Zone()
		one.Offset = time.Duration(offset) * time.Second
		_, next := at.In(q.Zone).ZoneBounds()
		if next.IsZero() || !next.Before(end) {
			next = end
		}
		one.Until = next
		out = append(out, one)
		at = next
	}
	return out
}

func (u *Usage) add(from *store.Usage, prices *Prices) {
	u.Requests += from.Requests
	u.Errors += from.Errors
	u.HungUp += from.HungUp
	u.Untold += from.Untold
	addTokens(&u.Tokens, from.Tokens)
	addTokens(&u.told, from.Told)
	for s, n := range from.First {
		if u.first == nil {
			u.first = map[int]int64{}
		}
		u.first[s] += n
	}
	if from.Metered == 0 {
		return
	}
	if p, ok := prices.Find(from.Provider, from.Model); ok {
		u.Cost += p.Cost(from.Tokens)
		u.Priced += from.Metered
	} else {
		u.Unpriced += from.Metered
	}
}

// settle turns what was collected into what is told.
func (u *Usage) settle() {
	for _, c := range []struct {
		n    *int64
		told int64
	}{
		{&u.Tokens.Input, u.told.Input}, {&u.Tokens.Cached, u.told.Cached}, {&u.Tokens.CacheWrite, u.told.CacheWrite},
		{&u.Tokens.Output, u.told.Output}, {&u.Tokens.Reasoning, u.told.Reasoning},
	} {
		if c.told == 0 {
			*c.n = -1
		}
	}
	u.FirstMedian, u.FirstWorst = quantile(u.first, 0.5), quantile(u.first, 0.95)
	u.told, u.first = Tokens{}, nil
}

// quantile returns the time that a share of the requests did not exceed, -1 if there is none.
func quantile(steps map[int]int64, share float64) int64 {
	var all int64
	for _, n := range steps {
		all += n
	}
	rank := int64(math.Ceil(share * float64(all)))
	for _, s := range slices.Sorted(maps.Keys(steps)) {
		if rank -= steps[s]; rank <= 0 {
			return stepMS(s)
		}
	}
	return -1
}

func byTime(a, b Usage) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Provider, b.Provider),
		strings.Compare(a.Account, b.Account), strings.Compare(a.Model, b.Model), strings.Compare(a.Key, b.Key))
}
