package record

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/backend/store"
)

// maxLive bounds the table of running requests; what comes above it is only counted.
const maxLive = 2000

// live is the table of the requests that run, and of those that have ended and wait for the writer.
type live struct {
	mu   sync.Mutex // guards rows
	rows map[string]*running
}

// running is a request that is not written yet.
type running struct {
	row Row
	now func(*Row) // nil once it has ended
}

func (l *live) begin(r Row, now func(*Row)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows = map[string]*running{}
	}
	if len(l.rows) < maxLive && r.ID != "" {
		r.Running, r.Tokens, r.First = true, unknown, -1
		l.rows[r.ID] = &running{row: r, now: now}
	}
}

var unknown = Tokens{Input: -1, Cached: -1, CacheWrite: -1, Output: -1, Reasoning: -1}

func (l *live) end(r *Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if run := l.rows[r.ID]; run != nil {
		run.row, run.now = *r, nil
	}
}

func (l *live) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rows, id)
}

// snapshot returns the rows that are not written yet, the latest first.
func (l *live) snapshot() []Row {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Row, 0, len(l.rows))
	for _, run := range l.rows {
		out = append(out, run.show())
	}
	slices.SortFunc(out, latest)
	return out
}

func latest(a, b Row) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ID, a.ID)) }

// show returns the row as it is now. now asks the request, which takes no lock of this table.
func (r *running) show() Row {
	out := r.row
	if out.Running {
		out.Total = time.Since(out.At)
		if r.now != nil {
			r.now(&out)
		}
	}
	return out
}

// Page is a part of the request log.
type Page struct {
	Rows   []Row
	Next   string // id to ask for older rows with, "" if there are none
	Counts Counts
}

// Counts are numbers of rows that a filter finds but for its own choice among them; -1 = not counted.
type Counts struct{ All, Failed, Retried int64 }

// Page returns rows, the latest first. The first page begins with all that is running, and counts.
func (l *Log) Page(ctx context.Context, f Filter) (Page, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	page := Page{Counts: Counts{-1, -1, -1}}
	var waiting []Row
	if f.BeforeID == "" {
		waiting = l.live.snapshot()
	}
	ask := f
	ask.Limit++
	rows, err := l.Latest(ctx, ask)
	if err != nil {
		return page, err
	}
	if len(rows) > f.Limit {
		rows = rows[:f.Limit]
		page.Next = rows[f.Limit-1].ID
	}
	if f.BeforeID == "" {
		n, err := l.db.CountRequests(ctx, f)
		if err != nil {
			return page, fmt.Errorf("counting the request log: %w", err)
		}
		page.Counts = Counts(n)
		rows = page.add(rows, waiting, f)
	}
	page.Rows = rows
	return page, nil
}

// add puts rows that are not written yet among those that are. One that was written in between is there already.
func (p *Page) add(rows, waiting []Row, f Filter) []Row {
	written := make(map[string]bool, len(rows))
	for i := range rows {
		written[rows[i].ID] = true
	}
	wide := f
	wide.Failed, wide.OK, wide.Retried = false, false, false
	for i := range waiting {
		r := &waiting[i]
		if written[r.ID] || !matches(&wide, r) {
			continue
		}
		p.Counts.All++
		if failed(r) {
			p.Counts.Failed++
		}
		if r.Attempts > 1 {
			p.Counts.Retried++
		}
		if matches(&f, r) {
			rows = append(rows, *r)
		}
	}
	slices.SortStableFunc(rows, latest)
	return rows
}

// Row returns one request, running or over.
func (l *Log) Row(ctx context.Context, id string) (Row, bool, error) {
	l.live.mu.Lock()
	run := l.live.rows[id]
	var r Row
	if run != nil {
		r = run.show()
	}
	l.live.mu.Unlock()
	if run != nil {
		return r, true, nil
	}
	rows, err := l.Latest(ctx, Filter{ID: id, Limit: 1})
	if err != nil || len(rows) == 0 {
		return Row{}, false, err
	}
	return rows[0], true, nil
}

func failed(r *Row) bool { return r.Kind != "" && r.Kind != store.HungUp }

// matches says of a row what the database says of those it holds.
func matches(f *Filter, r *Row) bool {
	for _, c := range [][2]string{
		{f.ID, r.ID}, {f.Provider, r.Provider}, {f.Account, r.Account}, {f.Model, r.Model}, {f.Key, r.Key}, {f.Kind, r.Kind},
	} {
		if c[0] != "" && c[0] != c[1] {
			return false
		}
	}
	switch {
	case f.Failed && !failed(r), f.OK && (r.Running || r.Kind != ""), f.Retried && r.Attempts < 2, f.Status != 0 && f.Status != r.Status,
		!f.Since.IsZero() && r.At.Before(f.Since), !f.Until.IsZero() && !r.At.Before(f.Until):
		return false
	}
	return f.Search == "" || found(strings.ToLower(f.Search), f.SearchOwners, r)
}

func found(text string, owners []string, r *Row) bool {
	if strings.HasPrefix(r.ID, text) || strings.HasPrefix(r.ID, "req_"+text) || slices.Contains(owners, r.Account) || slices.Contains(owners, r.Key) {
		return true
	}
	return slices.ContainsFunc([]string{r.Asked, r.Model, r.Provider, r.Client, r.Kind, r.Message}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), text)
	})
}
