package record

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay/backend/events"
	"patchbay/backend/store"
	"patchbay/backend/trace"
)

var moment = time.UnixMilli(1_795_000_000_000)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t testing.TB, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func newLog(t testing.TB, opt Options) (*Log, *store.DB) {
	t.Helper()
	db, _, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "patchbay.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	return NewLog(db, &events.Bus{}, slog.New(slog.DiscardHandler), opt), db
}

func diffUsage(t testing.TB, want, got []Usage) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Usage{}), cmpopts.EquateApprox(0, 1e-9)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// run lets the log write what waits.
func run(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, l.Run(ctx))
}

func row(id string) Row {
	return Row{
		ID: id, At: moment, Key: "k", Client: "anthropic", Op: "messages", Stream: true, Asked: "m", Provider: "kiro", Account: "a", Model: "M",
		Attempts: 2, Status: 200, Tokens: Tokens{Input: 10, Cached: -1, CacheWrite: -1, Output: 5, Reasoning: 2},
		First: 300 * time.Millisecond, Total: 2 * time.Second, Dropped: []string{"top_k"},
		Trace: []trace.Step{{What: trace.Tried, Provider: "kiro", Account: "b", Label: "Bo's", Model: "M", MS: 5, Kind: "rate_limited", Message: "slow"}, {What: trace.Answered, Provider: "kiro", Account: "a", MS: 9}},
	}
}

func TestRowsComeBackWhole(t *testing.T) {
	l, _ := newLog(t, Options{})
	bad := row("2")
	bad.At, bad.Kind, bad.Message, bad.First, bad.Trace, bad.Dropped = moment.Add(time.Second), "timeout", "nothing came", -time.Millisecond, []trace.Step{}, nil
	end := l.Begin(row("1"), nil)
	end(row("1"))
	end(row("again"))
	l.Add(bad)
	seen := l.bus.Subscribe(t.Context(), 10)
	run(t, l)
	got, err := l.Latest(t.Context(), Filter{})
	check(t, err)
	diff(t, []Row{bad, row("1")}, got)
	for ev := range seen {
		diff(t, "1", ev.ID)
		break
	}
	usage, _, err := l.Usage(t.Context(), UsageQuery{By: Dimensions})
	check(t, err)
	want := Usage{Key: "k", Provider: "kiro", Account: "a", Model: "M", Requests: 2, Errors: 1, Tokens: Tokens{Input: 20, Cached: -1, CacheWrite: -1, Output: 10, Reasoning: 4}, FirstMedian: stepMS(step(300)), FirstWorst: stepMS(step(300))}
	diffUsage(t, []Usage{want}, usage)
}

func TestSecretsAndLongTextsDoNotReachTheDisk(t *testing.T) {
	l, db := newLog(t, Options{})
	const canary = "sk-ant-api03-canarycanarycanarycanarycanary"
	r := row("1")
	r.Message, r.Asked, r.Dropped[0] = "refused "+canary, canary, canary
	r.Trace[0].Message, r.Trace[1].Model = canary, canary
	long := row("2")
	long.Asked = strings.Repeat("é", maxText)
	long.Trace[0].Label = "\xff"
	l.Add(r)
	l.Add(long)
	run(t, l)
	got, err := l.Latest(t.Context(), Filter{})
	check(t, err)
	if s := fmt.Sprintf("%+v", got); strings.Contains(s, "canary") {
		t.Error(s)
	}
	if n := len(got[0].Asked); n > maxText+3 || len(got[0].Trace) != 0 {
		t.Errorf("%d bytes, %v", n, got[0].Trace)
	}
	path := filepath.Join(filepath.Dir(t.TempDir()), "*", "patchbay.db*")
	check(t, db.Close())
	files, err := filepath.Glob(path)
	check(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		check(t, err)
		if strings.Contains(string(b), canary) {
			t.Errorf("%s tells a secret", f)
		}
	}
}

func TestFullQueueIsCountedAndNeverBlocks(t *testing.T) {
	l, _ := newLog(t, Options{Queue: 2})
	for i := range 5 {
		l.Add(row(fmt.Sprint(i)))
	}
	diff(t, int64(3), l.Dropped())
	run(t, l)
	got, err := l.Latest(t.Context(), Filter{})
	check(t, err)
	diff(t, 2, len(got))
	if text := string(l.AppendMetrics(nil, nil)); !strings.Contains(text, "patchbay_request_log_dropped_total 3\n") {
		t.Error(text)
	}
}

func TestRowsThatCannotBeWrittenAreCounted(t *testing.T) {
	l, db := newLog(t, Options{})
	check(t, db.Close())
	l.Add(row("1"))
	run(t, l)
	diff(t, int64(1), l.Dropped())
	l.trim(t.Context()) // only logs
	if _, err := l.Latest(t.Context(), Filter{}); err == nil {
		t.Error("rows of a closed database")
	}
	if _, _, err := l.Usage(t.Context(), UsageQuery{}); err == nil {
		t.Error("usage of a closed database")
	}
}

func TestRowsAreWrittenAsTheyComeAndOldOnesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, db := newLog(t, Options{Age: 24 * time.Hour, Rows: 3, Usage: 48 * time.Hour})
		defer db.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }() // ends with cancel
		ids := func() (out string) {
			rows, err := l.Latest(t.Context(), Filter{})
			check(t, err)
			for _, r := range rows {
				out += r.ID
			}
			return out
		}
		add := func(id string, age time.Duration) {
			r := row(id)
			r.At = time.Now().Add(-age)
			seen := l.bus.Subscribe(ctx, 1)
			l.Add(r)
			for range seen { // written
				break
			}
		}
		add("1", 25*time.Hour)
		add("2", 72*time.Hour)
		diff(t, "12", ids())
		time.Sleep(time.Minute + time.Second)
		diff(t, "", ids())
		for i := range 5 {
			add(fmt.Sprint(i), -time.Duration(i)*time.Second)
		}
		diff(t, "43210", ids())
		time.Sleep(time.Hour)
		diff(t, "432", ids())
		_, usage, err := l.Usage(t.Context(), UsageQuery{})
		check(t, err)
		diff(t, int64(6), usage.Requests) // those of the last two days
		cancel()
		check(t, <-done)
	})
}

func TestManyRowsGoInFewTransactions(t *testing.T) {
	l, _ := newLog(t, Options{})
	for i := range maxBatch + 5 {
		l.Add(row(fmt.Sprint(i)))
	}
	run(t, l)
	got, err := l.Latest(t.Context(), Filter{Limit: 2 * maxBatch})
	check(t, err)
	diff(t, maxBatch+5, len(got))
}

func TestMetricsText(t *testing.T) {
	l, _ := newLog(t, Options{})
	l.Begin(row("0"), nil)
	l.Add(row("1"))
	bad := row("2")
	bad.Status, bad.Kind, bad.First, bad.Total = 504, "timeout", -1, time.Hour
	l.Add(bad)
	text := string(l.AppendMetrics([]byte("before\n"), []AccountCount{{`a"\` + "\n", "ready", 2}}))
	for _, want := range []string{
		"before\n# HELP patchbay_requests_in_flight Requests being answered now.\n# TYPE patchbay_requests_in_flight gauge\npatchbay_requests_in_flight 1\n",
		`patchbay_accounts{provider="a\"\\\n",state="ready"} 2` + "\n",
		"patchbay_request_log_waiting 2\n",
		`patchbay_requests_total{provider="kiro",status="200"} 1` + "\n" + `patchbay_requests_total{provider="kiro",status="504"} 1` + "\n",
		`patchbay_tokens_total{provider="kiro",type="input"} 20` + "\n",
		`patchbay_tokens_total{provider="kiro",type="cached"} 0` + "\n",
		`patchbay_first_content_seconds_bucket{provider="kiro",le="0.25"} 0` + "\n",
		`patchbay_first_content_seconds_bucket{provider="kiro",le="0.5"} 1` + "\n",
		`patchbay_first_content_seconds_count{provider="kiro"} 1` + "\n",
		`patchbay_request_duration_seconds_bucket{provider="kiro",le="600"} 1` + "\n",
		`patchbay_request_duration_seconds_bucket{provider="kiro",le="+Inf"} 2` + "\n",
		`patchbay_request_duration_seconds_sum{provider="kiro"} 3602` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestSeriesAreBounded(t *testing.T) {
	s := newStats()
	for i := range 2 * maxSeries {
		r := row("1")
		r.Provider = fmt.Sprint(i)
		s.observe(&r)
	}
	if len(s.requests) > maxSeries+1 || len(s.total) > maxSeries+1 {
		t.Error(len(s.requests), len(s.total))
	}
	diff(t, int64(maxSeries), s.requests[requestLabel{"other", 0}])
}

func TestDamagedTraceHidesNoRow(t *testing.T) {
	diff(t, "1", fromStore(&store.Request{ID: "1", Trace: "{"}).ID)
}

func BenchmarkAdd(b *testing.B) {
	l, _ := newLog(b, Options{})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }() // ends with cancel
	r := row("x")
	for b.Loop() {
		l.Add(r)
	}
	cancel()
	check(b, <-done)
}
