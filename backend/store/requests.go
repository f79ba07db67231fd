package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Request is one row of the request log. Token counts are -1 where nobody told them; it holds no prompt and no answer.
type Request struct {
	ID                       string
	At                       time.Time
	Key                      string // id of the client key
	Client, Op               string // the client's wire format and endpoint
	Stream                   bool
	Asked                    string // the model as the client named it
	Provider, Account, Model string // what served, or was tried last
	Attempts, Status         int
	Kind, Message            string // of the error
	Tokens                   Tokens
	FirstMS, TotalMS         int64 // to the first content, to the end; -1 = never came
	Dropped                  []string
	Trace                    string // JSON
}

// Tokens are the counters of one request, or sums of many.
type Tokens struct{ Input, Cached, CacheWrite, Output, Reasoning int64 }

// Usage is one row of the hourly counters, or a sum of several.
type Usage struct {
	Hour                          time.Time
	Key, Provider, Account, Model string
	Requests, Errors              int64
	Tokens                        Tokens
}

const requestColumns = `id, at, client_key, client, op, stream, asked, provider, account, model, attempts, status, kind, message,
  input, cached, cache_write, output, reasoning, first_ms, total_ms, dropped, trace`

// AddRequests writes rows and adds to the hourly counters, all in one transaction.
func (d *DB) AddRequests(ctx context.Context, rows []Request, usage []Usage) error {
	return d.Batch(ctx, func(ctx context.Context) error {
		for i := range rows {
			if err := d.addRequest(ctx, &rows[i]); err != nil {
				return err
			}
		}
		for i := range usage {
			if err := d.addUsage(ctx, &usage[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *DB) addRequest(ctx context.Context, r *Request) error {
	t := r.Tokens
	_, err := d.exec(ctx, `INSERT INTO requests(`+requestColumns+`)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) ON CONFLICT (id) DO NOTHING`,
		r.ID, millis(r.At), r.Key, r.Client, r.Op, r.Stream, r.Asked, r.Provider, r.Account, r.Model, r.Attempts, r.Status, r.Kind, r.Message,
		t.Input, t.Cached, t.CacheWrite, t.Output, t.Reasoning, r.FirstMS, r.TotalMS, strings.Join(r.Dropped, "\n"), r.Trace)
	return err
}

func (d *DB) addUsage(ctx context.Context, u *Usage) error {
	t := u.Tokens
	_, err := d.exec(ctx, `INSERT INTO usage_hourly(hour, client_key, provider, account, model, requests, errors, input, cached, cache_write, output, reasoning)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (hour, client_key, provider, account, model) DO UPDATE SET
  requests = usage_hourly.requests + excluded.requests, errors = usage_hourly.errors + excluded.errors,
  input = usage_hourly.input + excluded.input, cached = usage_hourly.cached + excluded.cached,
  cache_write = usage_hourly.cache_write + excluded.cache_write, output = usage_hourly.output + excluded.output,
  reasoning = usage_hourly.reasoning + excluded.reasoning`,
		millis(u.Hour), u.Key, u.Provider, u.Account, u.Model, u.Requests, u.Errors, t.Input, t.Cached, t.CacheWrite, t.Output, t.Reasoning)
	return err
}

// RequestFilter narrows a query of the log; zero fields do not narrow.
type RequestFilter struct {
	Provider, Account, Model, Key, Kind string
	Failed                              bool      // only rows with an error
	Since, Until                        time.Time // Since included, Until not
	BeforeID                            string    // rows older than this one: the next page
	Limit                               int       // 0 = 100
}

// Requests returns rows of the log, the latest first.
func (d *DB) Requests(ctx context.Context, f RequestFilter) ([]Request, error) {
	w := &where{}
	w.equal("provider", f.Provider)
	w.equal("account", f.Account)
	w.equal("model", f.Model)
	w.equal("client_key", f.Key)
	w.equal("kind", f.Kind)
	w.span("at", f.Since, f.Until)
	if f.Failed {
		w.add(`kind <> ''`)
	}
	if f.BeforeID != "" {
		w.add(`(at, id) < (SELECT at, id FROM requests WHERE id = %s)`, f.BeforeID)
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	w.args = append(w.args, f.Limit)
	return all(ctx, d.from(ctx), scanRequest,
		`SELECT `+requestColumns+` FROM requests`+w.String()+fmt.Sprintf(` ORDER BY at DESC, id DESC LIMIT $%d`, len(w.args)), w.args...)
}

func scanRequest(row scanner) (Request, error) {
	var r Request
	var at int64
	var dropped string
	t := &r.Tokens
	err := row.Scan(&r.ID, &at, &r.Key, &r.Client, &r.Op, &r.Stream, &r.Asked, &r.Provider, &r.Account, &r.Model, &r.Attempts, &r.Status,
		&r.Kind, &r.Message, &t.Input, &t.Cached, &t.CacheWrite, &t.Output, &t.Reasoning, &r.FirstMS, &r.TotalMS, &dropped, &r.Trace)
	r.At = fromMillis(at)
	if dropped != "" {
		r.Dropped = strings.Split(dropped, "\n")
	}
	return r, err
}

// Usage returns the sums between two times per client key, provider, account and model, the largest number of requests
// first. A zero time does not narrow.
func (d *DB) Usage(ctx context.Context, since, until time.Time) ([]Usage, error) {
	w := &where{}
	w.span("hour", since, until)
	return all(ctx, d.from(ctx), scanUsage, `SELECT client_key, provider, account, model, sum(requests), sum(errors),
  sum(input), sum(cached), sum(cache_write), sum(output), sum(reasoning) FROM usage_hourly`+w.String()+`
GROUP BY client_key, provider, account, model ORDER BY sum(requests) DESC, provider, account, model, client_key`, w.args...)
}

func scanUsage(row scanner) (Usage, error) {
	var u Usage
	t := &u.Tokens
	err := row.Scan(&u.Key, &u.Provider, &u.Account, &u.Model, &u.Requests, &u.Errors, &t.Input, &t.Cached, &t.CacheWrite, &t.Output, &t.Reasoning)
	return u, err
}

// TrimRequests deletes rows older than before and all but the latest keep rows; a zero time or number does not limit. It
// deletes at most a few thousand at once, so that nobody waits long for the writer; more says that there is more to do.
func (d *DB) TrimRequests(ctx context.Context, before time.Time, keep int) (more bool, err error) {
	const step = 5000
	limit := millis(before)
	if keep > 0 {
		var at int64
		err := d.from(ctx).QueryRowContext(ctx, `SELECT coalesce(max(at), 0) FROM (SELECT at FROM requests ORDER BY at DESC, id DESC LIMIT 1 OFFSET $1) AS first`, keep).Scan(&at)
		if err != nil {
			return false, err
		}
		if at > 0 {
			limit = max(limit, at+1)
		}
	}
	if limit == 0 {
		return false, nil
	}
	var n int64
	err = d.Batch(ctx, func(ctx context.Context) error {
		n, err = d.exec(ctx, `DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE at < $1 ORDER BY at LIMIT $2)`, limit, step)
		return err
	})
	return n == step, err
}

// TrimUsage deletes counters older than before.
func (d *DB) TrimUsage(ctx context.Context, before time.Time) error {
	_, err := d.exec(ctx, `DELETE FROM usage_hourly WHERE hour < $1`, millis(before))
	return err
}

// where collects the conditions of a query and numbers their parameters.
type where struct {
	conds []string
	args  []any
}

// add appends a condition; each %s in it becomes the parameter of one arg.
func (w *where) add(cond string, args ...any) {
	marks := make([]any, len(args))
	for i := range args {
		marks[i] = fmt.Sprintf("$%d", len(w.args)+i+1)
	}
	w.conds = append(w.conds, fmt.Sprintf(cond, marks...))
	w.args = append(w.args, args...)
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+` = %s`, value)
	}
}

func (w *where) span(column string, since, until time.Time) {
	if !since.IsZero() {
		w.add(column+` >= %s`, millis(since))
	}
	if !until.IsZero() {
		w.add(column+` < %s`, millis(until))
	}
}

func (w *where) String() string {
	if len(w.conds) == 0 {
		return ""
	}
	return ` WHERE ` + strings.Join(w.conds, ` AND `)
}
