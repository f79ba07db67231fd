// Package record keeps what happened: one row per request, usage counters with what they cost by a table of prices, the
// numbers of the metrics page, and, only when the person turned that on, the bodies of requests and answers. Callers hand a
// row over and go on; one writer commits whatever is waiting at once, so that kill -9 can lose only rows that were
// milliseconds old. Who may ask is not known here.
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
	"patchbay/backend/trace"
)

// Tokens are the counters of one request; -1 means unknown.
type Tokens = store.Tokens

// Filter narrows a query.
type Filter = store.RequestFilter

// HungUp is the kind of a row whose client went away before its answer was whole.
const HungUp = store.HungUp

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
	Trace                    []trace.Step
	Estimated                bool   // Tokens are an estimate: the service reported none
	Metered                  bool   // by an account that pays per token; the log finds out
	ReplayOf                 string // id of the request that was sent again
	Running                  bool   // not over yet: Total is the time so far, Status is 0
}

// Options bounds what is kept. Zero values take the defaults.
type Options struct {
	Queue int           // rows that wait for the writer, 4096
	Age   time.Duration // of rows, 30 days
	Rows  int           // 100,000
	Usage time.Duration // age of usage counters, 400 days
	// Metered reports whether an account pays per token for a model, by a key of its owner's; nil = none does.
	Metered func(account, model string) bool
	// Prices returns what services ask for, by the provider's id; nil = nothing is known.
	Prices func() *Prices
}

// Log takes rows. It is safe for concurrent use.
type Log struct {
	db      *store.DB
	bus     *events.Bus
	log     *slog.Logger
	opt     Options
	keep    atomic.Pointer[Options] // what may change at run time: Age, Rows, Usage
	queue   chan *Row
	dropped atomic.Int64
	failed  atomic.Int64
	lostAt  atomic.Int64 // Unix milliseconds of the latest row that was lost
	stats   stats
	live    live
}

// NewLog returns the log over db. Nothing is written until Run runs.
func NewLog(db *store.DB, bus *events.Bus, log *slog.Logger, opt Options) *Log {
	if opt.Queue <= 0 {
		opt.Queue = 4096
	}
	l := &Log{db: db, bus: bus, log: log, opt: opt, queue: make(chan *Row, opt.Queue), stats: newStats()}
	l.SetRetention(opt)
	return l
}

// SetRetention changes how much is kept, from the next clean-up on: Age, Rows and Usage of opt count, zero values take the
// defaults and negative ones do not bound.
func (l *Log) SetRetention(opt Options) {
	if opt.Age == 0 {
		opt.Age = 30 * 24 * time.Hour
	}
	if opt.Rows == 0 {
		opt.Rows = 100_000
	}
	if opt.Usage == 0 {
		opt.Usage = 400 * 24 * time.Hour
	}
	l.keep.Store(&opt)
}

// Begin counts a request as running and shows it with what is known of it. now completes that whenever somebody looks; it is
// called from any goroutine and may be nil. The returned function takes the row when the request has ended; calling it again
// does nothing.
func (l *Log) Begin(r Row, now func(*Row)) (end func(Row)) {
	l.stats.inFlight.Add(1)
	l.live.begin(r, now)
	l.Changed(r.ID)
	var ended atomic.Bool
	return func(r Row) {
		if ended.CompareAndSwap(false, true) {
			l.stats.inFlight.Add(-1)
			l.live.end(&r)
			l.Add(r)
		}
	}
}

// Changed tells those who look on that a running request went on.
func (l *Log) Changed(id string) { l.bus.Publish(events.Request, id, nil) }

// Add hands a row over. It never waits: when the queue is full the row is dropped and counted.
func (l *Log) Add(r Row) {
	l.stats.observe(&r)
	select {
	case l.queue <- &r:
	default:
		l.live.forget(r.ID)
		l.lostAt.Store(time.Now().UnixMilli())
		if l.dropped.Add(1) == 1 {
			l.log.Warn("Request log cannot keep up, rows are dropped", "queue", cap(l.queue))
		}
	}
}

// Dropped returns how many rows were lost because the queue was full or the database refused them.
func (l *Log) Dropped() int64 { return l.dropped.Load() + l.failed.Load() }

// LostAt returns when the latest row was lost, the zero time if none was.
func (l *Log) LostAt() time.Time {
	if ms := l.lostAt.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

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

// Flush writes what waits while Run does not run: a command without a running instance leaves its rows too.
func (l *Log) Flush(ctx context.Context) error { return l.drain(ctx) }

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
	rows := []store.Request{l.toStore(r)}
	for len(rows) < maxBatch {
		select {
		case r := <-l.queue:
			rows = append(rows, l.toStore(r))
			continue
		default:
		}
		break
	}
	err := l.db.AddRequests(ctx, rows, sum(rows))
	for i := range rows {
		l.live.forget(rows[i].ID)
	}
	if err != nil {
		l.failed.Add(int64(len(rows)))
		l.lostAt.Store(time.Now().UnixMilli())
		l.log.Error("Writing the request log failed", "rows", len(rows), "err", err)
		return
	}
	for i := range rows {
		l.bus.Publish(events.Request, rows[i].ID, nil)
	}
}

// trim deletes what is too old or too much, in small steps so that rows get in between.
func (l *Log) trim(ctx context.Context) {
	now, keep := time.Now(), l.keep.Load()
	var before time.Time
	if keep.Age > 0 {
		before = now.Add(-keep.Age)
	}
	if err := l.clear(ctx, before, max(keep.Rows, 0)); err != nil {
		l.log.Warn("Deleting old rows of the request log failed", "err", err)
		return
	}
	if keep.Usage < 0 {
		return
	}
	if err := l.db.TrimUsage(ctx, now.Add(-keep.Usage)); err != nil {
		l.log.Warn("Deleting old usage counters failed", "err", err)
	}
}

func (l *Log) clear(ctx context.Context, before time.Time, keep int) error {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = l.db.TrimRequests(ctx, before, keep); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ClearRows deletes the rows that are older than before.
func (l *Log) ClearRows(ctx context.Context, before time.Time) error {
	if err := l.clear(ctx, before, 0); err != nil {
		return fmt.Errorf("deleting rows of the request log: %w", err)
	}
	return nil
}

// ClearUsage deletes the usage counters that are older than before.
func (l *Log) ClearUsage(ctx context.Context, before time.Time) error {
	if err := l.db.TrimUsage(ctx, before); err != nil {
		return fmt.Errorf("deleting usage counters: %w", err)
	}
	return nil
}

// Size is what the log takes.
type Size = store.LogSize

// Size returns what the log takes; Bytes are those of the whole database.
func (l *Log) Size(ctx context.Context) (Size, error) {
	s, err := l.db.LogSize(ctx)
	if err != nil {
		err = fmt.Errorf("measuring the request log: %w", err)
	}
	return s, err
}

// Waiting returns how many rows wait to be written.
func (l *Log) Waiting() int { return len(l.queue) }

// Latest returns rows that are over, the latest first. Filter.BeforeID asks for the next page.
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

// maxText bounds each text of a row: a model name is what a client sends.
const maxText = 1000

// toStore makes the row as it goes to disk: redacted and cut.
func (l *Log) toStore(r *Row) store.Request {
	steps := make([]trace.Step, len(r.Trace))
	for i, s := range r.Trace {
		s.Message, s.Model = clean(s.Message), clean(s.Model)
		steps[i] = s
	}
	text, err := json.Marshal(steps)
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
		Dropped: dropped, Trace: string(text), Estimated: r.Estimated, ReplayOf: r.ReplayOf,
		Metered: r.Metered || r.Account != "" && l.opt.Metered != nil && l.opt.Metered(r.Account, r.Model),
	}
}

func fromStore(r *store.Request) Row {
	var steps []trace.Step
	if err := json.Unmarshal([]byte(r.Trace), &steps); err != nil {
		steps = nil // a damaged trace hides no row
	}
	for i := range steps {
		if s := &steps[i]; s.What == "" { // of a version before steps said what they are
			s.What = oldStep(s)
		}
	}
	return Row{
		ID: r.ID, At: r.At, Key: r.Key, Client: r.Client, Op: r.Op, Stream: r.Stream, Asked: r.Asked,
		Provider: r.Provider, Account: r.Account, Model: r.Model, Attempts: r.Attempts, Status: r.Status, Kind: r.Kind, Message: r.Message,
		Tokens: r.Tokens, First: time.Duration(r.FirstMS) * time.Millisecond, Total: time.Duration(r.TotalMS) * time.Millisecond,
		Dropped: r.Dropped, Trace: steps, Estimated: r.Estimated, Metered: r.Metered, ReplayOf: r.ReplayOf,
	}
}

// oldStep tells what a step of a row is that an older version wrote.
func oldStep(s *trace.Step) trace.What {
	switch s.Kind {
	case "":
		return trace.Answered
	case "route", "usage":
		return trace.Note
	default:
		return trace.Tried
	}
}
