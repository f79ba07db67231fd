package store

import (
	"context"
	"fmt"
	"time"
)

// Slot is the length of time that one row of the usage counters covers: the days and hours of every time zone begin at a
// multiple of it.
const Slot = 15 * time.Minute

// Usage is one row of the usage counters, or a sum of several. Of Tokens, -1 in a sum means that no request told that count.
type Usage struct {
	At                            time.Time // beginning of the slot, or of the span that was asked for
	Key, Provider, Account, Model string
	Requests, Errors, HungUp      int64
	Untold                        int64 // answered requests whose service reported no tokens
	Metered                       int64 // requests by accounts that pay per token
	Tokens                        Tokens
	Told                          Tokens        // how many requests told each count
	First                         map[int]int64 // requests by the step of their time to the first content
}

// usageTokens are the columns of Tokens.
const usageTokens = `input, cached, cache_write, output, reasoning, told_input, told_cached, told_cache_write, told_output, told_reasoning`

func (d *DB) addUsage(ctx context.Context, u *Usage) error {
	t, n := u.Tokens, u.Told
	_, err := d.exec(ctx, `INSERT INTO usage_slots(slot, client_key, provider, account, model, requests, errors, hung_up, untold, metered, `+usageTokens+`)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT (slot, client_key, provider, account, model) DO UPDATE SET
  requests = usage_slots.requests + excluded.requests, errors = usage_slots.errors + excluded.errors,
  hung_up = usage_slots.hung_up + excluded.hung_up, untold = usage_slots.untold + excluded.untold, metered = usage_slots.metered + excluded.metered,
  input = usage_slots.input + excluded.input, cached = usage_slots.cached + excluded.cached,
  cache_write = usage_slots.cache_write + excluded.cache_write, output = usage_slots.output + excluded.output,
  reasoning = usage_slots.reasoning + excluded.reasoning,
  told_input = usage_slots.told_input + excluded.told_input, told_cached = usage_slots.told_cached + excluded.told_cached,
  told_cache_write = usage_slots.told_cache_write + excluded.told_cache_write, told_output = usage_slots.told_output + excluded.told_output,
  told_reasoning = usage_slots.told_reasoning + excluded.told_reasoning`,
		millis(u.At), u.Key, u.Provider, u.Account, u.Model, u.Requests, u.Errors, u.HungUp, u.Untold, u.Metered,
		t.Input, t.Cached, t.CacheWrite, t.Output, t.Reasoning, n.Input, n.Cached, n.CacheWrite, n.Output, n.Reasoning)
	if err != nil {
		return err
	}
	for step, n := range u.First {
		_, err := d.exec(ctx, `INSERT INTO usage_first(slot, client_key, provider, account, model, step, n) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (slot, client_key, provider, account, model, step) DO UPDATE SET n = usage_first.n + excluded.n`,
			millis(u.At), u.Key, u.Provider, u.Account, u.Model, step, n)
		if err != nil {
			return err
		}
	}
	return nil
}

// UsageFilter says which counters are added up, and how. A zero time or an empty text does not narrow.
type UsageFilter struct {
	Since, Until                  time.Time // Since included, Until not
	Key, Provider, Account, Model string
	// Span is the length of time of one sum, 0 = all of it; spans begin at multiples of it in a time zone that is Offset
	// ahead of UTC.
	Span, Offset time.Duration
}

// Usage returns sums per span, client key, provider, account and model, in this order. At is the beginning of the span.
func (d *DB) Usage(ctx context.Context, f UsageFilter) ([]Usage, error) {
	span, w := f.parts()
	out, err := all(ctx, d.from(ctx), f.scan, `SELECT `+span+` AS span, client_key, provider, account, model,
  sum(requests), sum(errors), sum(hung_up), sum(untold), sum(metered), sum(input), sum(cached), sum(cache_write), sum(output), sum(reasoning),
  sum(told_input), sum(told_cached), sum(told_cache_write), sum(told_output), sum(told_reasoning) FROM usage_slots`+w.String()+`
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5`, w.args...)
	if err != nil {
		return nil, err
	}
	return out, d.firsts(ctx, f, out)
}

func (f UsageFilter) parts() (span string, w *where) {
	w = &where{}
	w.equal("client_key", f.Key)
	w.equal("provider", f.Provider)
	w.equal("account", f.Account)
	w.equal("model", f.Model)
	w.span("slot", f.Since, f.Until)
	if f.Span <= 0 {
		return "0", w
	}
	return fmt.Sprintf("(slot + %d) / %d", f.Offset.Milliseconds(), f.Span.Milliseconds()), w
}

func (f UsageFilter) begin(span int64) time.Time {
	if f.Span <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(span*f.Span.Milliseconds() - f.Offset.Milliseconds())
}

func (f UsageFilter) scan(row scanner) (Usage, error) {
	var u Usage
	var span int64
	t, n := &u.Tokens, &u.Told
	err := row.Scan(&span, &u.Key, &u.Provider, &u.Account, &u.Model, &u.Requests, &u.Errors, &u.HungUp, &u.Untold, &u.Metered,
		&t.Input, &t.Cached, &t.CacheWrite, &t.Output, &t.Reasoning, &n.Input, &n.Cached, &n.CacheWrite, &n.Output, &n.Reasoning)
	u.At = f.begin(span)
	return u, err
}

// firsts adds the times to the first content to sums.
func (d *DB) firsts(ctx context.Context, f UsageFilter, sums []Usage) error {
	type key struct {
		at                            int64
		client, provider, acct, model string
	}
	at := make(map[key]*Usage, len(sums))
	for i := range sums {
		u := &sums[i]
		at[key{millis(u.At), u.Key, u.Provider, u.Account, u.Model}] = u
	}
	span, w := f.parts()
	rows, err := d.from(ctx).QueryContext(ctx, `SELECT `+span+` AS span, client_key, provider, account, model, step, sum(n) FROM usage_first`+w.String()+`
GROUP BY 1, 2, 3, 4, 5, 6`, w.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k key
		var step int
		var n int64
		if err := rows.Scan(&k.at, &k.client, &k.provider, &k.acct, &k.model, &step, &n); err != nil {
			return err
		}
		k.at = millis(f.begin(k.at))
		if u := at[k]; u != nil {
			if u.First == nil {
				u.First = map[int]int64{}
			}
			u.First[step] += n
		}
	}
	return rows.Err()
}

// TrimUsage deletes counters older than before.
func (d *DB) TrimUsage(ctx context.Context, before time.Time) error {
	return d.Batch(ctx, func(ctx context.Context) error {
		for _, table := range []string{"usage_slots", "usage_first"} {
			if _, err := d.exec(ctx, `DELETE FROM `+table+` WHERE slot < $1`, millis(before)); err != nil {
				return err
			}
		}
		return nil
	})
}

// LogSize is what the request log and the usage counters take.
type LogSize struct {
	Rows, Usage int64
	Oldest      time.Time // row
	Bytes       int64     // of the whole database
}

// LogSize measures the request log.
func (d *DB) LogSize(ctx context.Context) (s LogSize, err error) {
	q := d.from(ctx)
	var oldest int64
	if err = q.QueryRowContext(ctx, `SELECT count(*), coalesce(min(at), 0) FROM requests`).Scan(&s.Rows, &oldest); err != nil {
		return s, err
	}
	s.Oldest = fromMillis(oldest)
	if err = q.QueryRowContext(ctx, `SELECT count(*) FROM usage_slots`).Scan(&s.Usage); err != nil {
		return s, err
	}
	s.Bytes, err = d.size(ctx)
	return s, err
}
