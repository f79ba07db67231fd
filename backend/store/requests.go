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
	Estimated                bool   // the tokens are an estimate: the service told none
	Metered                  bool   // by an account that pays per token
	ReplayOf                 string // id of the request that was sent again
}

// Tokens are the counters of one request, or sums of many.
type Tokens struct{ Input, Cached, CacheWrite, Output, Reasoning int64 }

const requestColumns = `id, at, client_key, client, op, stream, asked, provider, account, model, attempts, status, kind, message,
  input, cached, cache_write, output, reasoning, first_ms, total_ms, dropped, trace, estimated, metered, replay_of`

// AddRequests writes rows and adds to the usage counters, all in one transaction.
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
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26) ON CONFLICT (id) DO NOTHING`,
		r.ID, millis(r.At), r.Key, r.Client, r.Op, r.Stream, r.Asked, r.Provider, r.Account, r.Model, r.Attempts, r.Status, r.Kind, r.Message,
		t.Input, t.Cached, t.CacheWrite, t.Output, t.Reasoning, r.FirstMS, r.TotalMS, strings.Join(r.Dropped, "\n"), r.Trace,
		r.Estimated, r.Metered, r.ReplayOf)
	return err
}

// HungUp is the kind of a row whose client went away before its answer was whole. It is neither a success nor a failure.
const HungUp = "client_closed"

// RequestFilter narrows a query of the log; zero fields do not narrow.
type RequestFilter struct {
	ID                                  string
	Provider, Account, Model, Key, Kind string
	Failed                              bool // only rows with an error of their own
	OK                                  bool // only rows that were answered
	Retried                             bool // only rows with more than one attempt
	Status                              int
	Since, Until                        time.Time // Since included, Until not
	BeforeID                            string    // rows older than this one: the next page
	Limit                               int       // 0 = 100
	// Search is a text that stands anywhere in a row, or begins its id; rows of the accounts and keys listed are found too.
	Search       string
	SearchOwners []string // ids
}

// Requests returns rows of the log, the latest first.
func (d *DB) Requests(ctx context.Context, f RequestFilter) ([]Request, error) {
	w := f.where()
	if f.Limit <= 0 {
		f.Limit = 100
	}
	w.args = append(w.args, f.Limit)
	return all(ctx, d.from(ctx), scanRequest,
		`SELECT `+requestColumns+` FROM requests`+w.String()+fmt.Sprintf(` ORDER BY at DESC, id DESC LIMIT $%d`, len(w.args)), w.args...)
}

// RequestCounts are numbers of rows.
type RequestCounts struct{ All, Failed, Retried int64 }

// CountRequests counts the rows that a filter finds; its Failed, OK, Retried, BeforeID and Limit are left out of account.
func (d *DB) CountRequests(ctx context.Context, f RequestFilter) (c RequestCounts, err error) {
	f.Failed, f.OK, f.Retried, f.BeforeID = false, false, false, ""
	w := f.where()
	err = d.from(ctx).QueryRowContext(ctx, `SELECT count(*), coalesce(sum(CASE WHEN kind NOT IN ('', '`+HungUp+`') THEN 1 ELSE 0 END), 0),
  coalesce(sum(CASE WHEN attempts > 1 THEN 1 ELSE 0 END), 0) FROM requests`+w.String(), w.args...).Scan(&c.All, &c.Failed, &c.Retried)
	return c, err
}

func (f *RequestFilter) where() *where {
	w := &where{}
	w.equal("id", f.ID)
	w.equal("provider", f.Provider)
	w.equal("account", f.Account)
	w.equal("model", f.Model)
	w.equal("client_key", f.Key)
	w.equal("kind", f.Kind)
	w.span("at", f.Since, f.Until)
	if f.Failed {
		w.add(`kind NOT IN ('', '` + HungUp + `')`)
	}
	if f.OK {
		w.add(`kind = ''`)
	}
	if f.Retried {
		w.add(`attempts > 1`)
	}
	if f.Status != 0 {
		w.add(`status = %s`, f.Status)
	}
	if f.Search != "" {
		w.search(f.Search, f.SearchOwners)
	}
	if f.BeforeID != "" {
		w.add(`(at, id) < (SELECT at, id FROM requests WHERE id = %s)`, f.BeforeID)
	}
	return w
}

// likeEscape makes a text one that LIKE takes word for word.
var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// search finds a text in what people see of a row.
func (w *where) search(text string, owners []string) {
	text = likeEscape.Replace(strings.ToLower(text))
	conds, args := []string{`id LIKE %s ESCAPE '\'`, `id LIKE %s ESCAPE '\'`}, []any{text + "%", `req\_` + text + "%"}
	for _, column := range []string{"asked", "model", "provider", "client", "kind", "message"} {
		conds, args = append(conds, `lower(`+column+`) LIKE %s ESCAPE '\'`), append(args, "%"+text+"%")
	}
	for _, id := range owners {
		conds, args = append(conds, `account = %s`, `client_key = %s`), append(args, id, id)
	}
	w.add(`(`+strings.Join(conds, ` OR `)+`)`, args...)
}

func scanRequest(row scanner) (Request, error) {
	var r Request
	var at int64
	var dropped string
	t := &r.Tokens
	err := row.Scan(&r.ID, &at, &r.Key, &r.Client, &r.Op, &r.Stream, &r.Asked, &r.Provider, &r.Account, &r.Model, &r.Attempts, &r.Status,
		&r.Kind, &r.Message, &t.Input, &t.Cached, &t.CacheWrite, &t.Output, &t.Reasoning, &r.FirstMS, &r.TotalMS, &dropped, &r.Trace,
		&r.Estimated, &r.Metered, &r.ReplayOf)
	r.At = fromMillis(at)
	if dropped != "" {
		r.Dropped = strings.Split(dropped, "\n")
	}
	return r, err
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
