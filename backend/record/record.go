// Package record keeps what happened: one row per request, counters per hour, and the numbers of the metrics page. It holds
// no prompt and no answer. Callers hand a row over and go on; one writer commits whatever is waiting at once, so that
// kill -9 can lose only rows that were milliseconds old. What a request cost and who may ask is not known here.
package record

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/events"
	"patchbay/backend/store"
)

// Tokens are the counters of one request; -1 means unknown.
type Tokens = store.Tokens

// Usage is a sum of requests and tokens.
type Usage = store.Usage

// Filter narrows a query.
type Filter = store.RequestFilter

// Attempt is one step of a route: an account that was tried, or passed over.
type Attempt struct {
	Provider string `json:"provider"`
	Account  string `json:"account,omitzero"` // id
	Label    string `json:"label,omitzero"`
	Model    string `json:"model,omitzero"`
	MS       int64  `json:"ms"`
	Kind     string `json:"kind,omitzero"` // of the error; "" = it answered
	Message  string `json:"message,omitzero"`
}

// Row is one request.
type Row struct {
	ID                       string // of the request, as in the header X-Patchbay-Request-Id
	At                       time.Time
	Key                      string // id of the client key
	Client, Op               string // the client's wire format and endpoint
	Stream                   bool
	Asked                    string // the model as the client named it
	Provider, Account, Model string // what served, or was tried last; Account is an id
	Attempts                 int
	Status                   int
	Kind, Message            string // of the error; "" = none
	Tokens                   Tokens
	First, Total             time.Duration // to the first content (negative: it never came) and to the end
	Dropped                  []string      // what could not be carried over
	Trace                    []Attempt
}

// Options bounds what is kept. Zero values take the defaults.
type Options struct {
	Queue int           // rows that wait for the writer, 4096
	Age   time.Duration // of rows, 30 days
	Rows  int           // 100,000
	Usage time.Duration // age of hourly counters, 400 days
}

// Log takes rows. It is safe for concurrent use.
type Log struct {
	db      *store.DB
	bus     *events.Bus
	log     *slog.Logger
	opt     Options
	queue   chan *Row
	dropped atomic.Int64
	failed  atomic.Int64
	stats   stats
}

// NewLog returns the log over db. Nothing is written until Run runs.
func NewLog(db *store.DB, bus *events.Bus, log *slog.Logger, opt Options) *Log {
	if opt.Queue <= 0 {
		opt.Queue = 4096
	}
	if opt.Age <= 0 {
		opt.Age = 30 * 24 * time.Hour
	}
	if opt.Rows <= 0 {
		opt.Rows = 100_000
	}
	if opt.Usage <= 0 {
		opt.Usage = 400 * 24 * time.Hour
	}
	return &Log{db: db, bus: bus, log: log, opt: opt, queue: make(chan *Row, opt.Queue), stats: newStats()}
}

// Begin counts a request as running; the returned function takes its row when it has ended. Calling it again does nothing.
func (l *Log) Begin() (end func(Row)) {
	l.stats.inFlight.Add(1)
	var ended atomic.Bool
	return func(r Row) {
		if ended.CompareAndSwap(false, true) {
			l.stats.inFlight.Add(-1)
			l.Add(r)
		}
	}
}

// Add hands a row over. It never waits: when the queue is full the row is dropped and counted.
func (l *Log) Add(r Row) {
	l.stats.observe(&r)
	select {
	case l.queue <- &r:
	default:
		if l.dropped.Add(1) == 1 {
			l.log.Warn("Request log cannot keep up, rows are dropped", "queue", cap(l.queue))
		}
	}
}

// Dropped returns how many rows were lost because the queue was full or the database refused them.
func (l *Log) Dropped() int64 { return l.dropped.Load() + l.failed.Load() }

// maxBatch bounds one transaction.
const maxBatch = 1000

// Run writes rows as they come and deletes old ones, until ctx ends; then it writes what waits.
func (l *Log) Run(ctx context.Context) error {
	trim := time.NewTicker(time.Hour)
	defer trim.Stop()
	first := time.After(time.Minute) // not while the program starts
	for {
		select {
		case r := <-l.queue:
			l.write(ctx, r)
		case <-first:
			l.trim(ctx)
		case <-trim.C:
			l.trim(ctx)
		case <-ctx.Done():
			return l.drain(ctx)
		}
	}
}

func (l *Log) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	for {
		select {
		case r := <-l.queue:
			l.write(ctx, r)
		default:
			return nil
		}
	}
}

// write commits r with whatever else waits. It does not wait for more: one row alone goes at once, and under load the rows
// that came while the last transaction ran go together.
func (l *Log) write(ctx context.Context, r *Row) {
	ctx = context.WithoutCancel(ctx) // a row that was taken is written
	rows := []store.Request{toStore(r)}
	for len(rows) < maxBatch {
		select {
		case r := <-l.queue:
			rows = append(rows, toStore(r))
			continue
		default:
		}
		break
	}
	if err := l.db.AddRequests(ctx, rows, sum(rows)); err != nil {
		l.failed.Add(int64(len(rows)))
		l.log.Error("Writing the request log failed", "rows", len(rows), "err", err)
		return
	}
	for i := range rows {
		l.bus.Publish(events.Request, rows[i].ID, nil)
	}
}

// trim deletes what is too old or too much, in small steps so that rows get in between.
func (l *Log) trim(ctx context.Context) {
	now := time.Now()
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = l.db.TrimRequests(ctx, now.Add(-l.opt.Age), l.opt.Rows); err != nil {
			l.log.Warn("Deleting old rows of the request log failed", "err", err)
			return
		}
	}
	if err := l.db.TrimUsage(ctx, now.Add(-l.opt.Usage)); err != nil {
		l.log.Warn("Deleting old usage counters failed", "err", err)
	}
}

// Latest returns rows, the latest first. Filter.BeforeID asks for the next page.
func (l *Log) Latest(ctx context.Context, f Filter) ([]Row, error) {
	found, err := l.db.Requests(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("reading the request log: %w", err)
	}
	out := make([]Row, len(found))
	for i := range found {
		out[i] = fromStore(&found[i])
	}
	return out, nil
}

// Usage returns sums per client key, provider, account and model; a zero time does not narrow.
func (l *Log) Usage(ctx context.Context, since, until time.Time) ([]Usage, error) {
	u, err := l.db.Usage(ctx, since, until)
	if err != nil {
		return nil, fmt.Errorf("reading the usage: %w", err)
	}
	return u, nil
}

// sum folds rows into the hourly counters. Unknown counts add nothing.
func sum(rows []store.Request) []Usage {
	type key struct {
		hour                          int64
		client, provider, acct, model string
	}
	at := map[key]int{}
	var out []Usage
	for i := range rows {
		r := &rows[i]
		hour := r.At.Truncate(time.Hour)
		k := key{hour.Unix(), r.Key, r.Provider, r.Account, r.Model}
		j, ok := at[k]
		if !ok {
			j = len(out)
			at[k] = j
			out = append(out, Usage{Hour: hour, Key: r.Key, Provider: r.Provider, Account: r.Account, Model: r.Model})
		}
		u := &out[j]
		u.Requests++
		if r.Kind != "" {
			u.Errors++
		}
		addTokens(&u.Tokens, r.Tokens)
	}
	return out
}

func addTokens(t *Tokens, n Tokens) {
	t.Input += max(n.Input, 0)
	t.Cached += max(n.Cached, 0)
	t.CacheWrite += max(n.CacheWrite, 0)
	t.Output += max(n.Output, 0)
	t.Reasoning += max(n.Reasoning, 0)
}

// maxText bounds each text of a row: a model name is what a client sends.
const maxText = 1000

// toStore makes the row as it goes to disk: redacted and cut.
func toStore(r *Row) store.Request {
	trace := make([]Attempt, len(r.Trace))
	for i, a := range r.Trace {
		a.Message, a.Model = clean(a.Message), clean(a.Model)
		trace[i] = a
	}
	text, err := json.Marshal(trace)
	if err != nil {
		text = []byte("[]") // a label that is not UTF-8: the row matters more than its trace
	}
	dropped := make([]string, len(r.Dropped))
	for i, d := range r.Dropped {
		dropped[i] = clean(d)
	}
	first := r.First.Milliseconds()
	if r.First < 0 {
		first = -1
	}
	return store.Request{
		ID: r.ID, At: r.At, Key: r.Key, Client: r.Client, Op: r.Op, Stream: r.Stream, Asked: clean(r.Asked),
		Provider: r.Provider, Account: r.Account, Model: clean(r.Model), Attempts: r.Attempts, Status: r.Status,
		Kind: r.Kind, Message: clean(r.Message), Tokens: r.Tokens, FirstMS: first, TotalMS: r.Total.Milliseconds(),
		Dropped: dropped, Trace: string(text),
	}
}

func fromStore(r *store.Request) Row {
	var trace []Attempt
	if err := json.Unmarshal([]byte(r.Trace), &trace); err != nil {
		trace = nil // a damaged trace hides no row
	}
	return Row{
		ID: r.ID, At: r.At, Key: r.Key, Client: r.Client, Op: r.Op, Stream: r.Stream, Asked: r.Asked,
		Provider: r.Provider, Account: r.Account, Model: r.Model, Attempts: r.Attempts, Status: r.Status, Kind: r.Kind, Message: r.Message,
		Tokens: r.Tokens, First: time.Duration(r.FirstMS) * time.Millisecond, Total: time.Duration(r.TotalMS) * time.Millisecond,
		Dropped: r.Dropped, Trace: trace,
	}
}
