package record

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skip("this machine knows no time zones:", err)
	}
	return z
}

func TestDaysBeginAtTheAskersMidnight(t *testing.T) {
	for name, at := range map[string][2]string{
		"Asia/Kathmandu":      {"2026-11-20T23:59:00+05:45", "2026-11-21T00:01:00+05:45"},
		"Asia/Kolkata":        {"2026-11-20T23:59:00+05:30", "2026-11-21T00:01:00+05:30"},
		"Europe/Berlin":       {"2026-10-25T01:00:00+02:00", "2026-10-25T23:30:00+01:00"}, // one day of 25 hours
		"America/Los_Angeles": {"2026-11-20T23:59:00-08:00", "2026-11-21T00:00:00-08:00"},
	} {
		l, _ := newLog(t, Options{})
		for i, text := range at {
			r := row(fmt.Sprint(i))
			var err error
			r.At, err = time.Parse(time.RFC3339, text)
			check(t, err)
			l.Add(r)
		}
		run(t, l)
		z := zone(t, name)
		since, err := time.Parse(time.RFC3339, at[0])
		check(t, err)
		rows, total, err := l.Usage(t.Context(), UsageQuery{Since: since.AddDate(0, 0, -2), Until: since.AddDate(0, 0, 3), By: []Dimension{ByProvider}, Bucket: Days, Zone: z})
		check(t, err)
		want := 2
		if name == "Europe/Berlin" {
			want = 1
		}
		if len(rows) != want || total.Requests != 2 {
			t.Errorf("%s: %+v", name, rows)
			continue
		}
		for _, r := range rows {
			if h, m, _ := r.Start.In(z).Clock(); h != 0 || m != 0 || r.Provider != "kiro" || r.Model != "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

func TestTimesToTheFirstContent(t *testing.T) {
	l, _ := newLog(t, Options{})
	for i := range 100 {
		r := row(fmt.Sprint(i))
		r.First = time.Duration(i+1) * 10 * time.Millisecond
		l.Add(r)
	}
	run(t, l)
	_, total, err := l.Usage(t.Context(), UsageQuery{})
	check(t, err)
	for got, want := range map[int64]float64{total.FirstMedian: 500, total.FirstWorst: 950} {
		if d := float64(got)/want - 1; d < -0.03 || d > 0.03 {
			t.Errorf("%d ms, want some %v", got, want)
		}
	}
}

func TestCostsCountWhatIsPaidPerTokenOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), PricesFile)
	one, two, tenth := 1.0, 2.0, 0.1
	check(t, WritePrices(file, []Price{{Models: []string{"M*"}, Input: &one, Cached: &tenth, Output: &two, AsOf: "2026-11-22"}}))
	prices, err := LoadPrices(file, nil)
	check(t, err)
	l, _ := newLog(t, Options{Prices: func() *Prices { return prices }, Metered: func(account, _ string) bool { return account == "a" }})
	own := row("1")
	own.Tokens = Tokens{Input: 1_000_000, Cached: 500_000, CacheWrite: -1, Output: 1_000_000, Reasoning: -1}
	plan := own
	plan.ID, plan.Account = "2", "subscribed"
	odd := own
	odd.ID, odd.Model = "3", "unknown"
	told := own
	told.ID, told.Tokens, told.Kind = "4", unknown, HungUp
	for _, r := range []Row{own, plan, odd, told} {
		l.Add(r)
	}
	run(t, l)
	_, total, err := l.Usage(t.Context(), UsageQuery{})
	check(t, err)
	if total.Cost < 2.549 || total.Cost > 2.551 || total.Priced != 2 || total.Unpriced != 1 || total.HungUp != 1 || total.Errors != 0 || total.Tokens.Reasoning != -1 || total.Tokens.Input != 3_000_000 {
		t.Errorf("%+v", total)
	}
}

func TestPricesAreFoundByWhatNamesThemBest(t *testing.T) {
	file := filepath.Join(t.TempDir(), PricesFile)
	p, err := LoadPrices(file, func(id string) []string { return []string{id, "anthropic"} })
	check(t, err)
	for _, price := range p.List() {
		check(t, price.Check())
		if price.Source == "" || price.Own {
			t.Errorf("%+v", price)
		}
	}
	for model, want := range map[string]float64{"claude-opus-5-5": 4, "claude-opus-5": 5, "claude-opus-4-1-20250805": 15, "claude-haiku-4-5": 1} {
		if got, ok := p.Find("mine", model); !ok || *got.Input != want {
			t.Errorf("%s: %+v", model, got)
		}
	}
	if _, ok := p.Find("mine", "gpt-5"); ok {
		t.Error("the price of another service")
	}
	check(t, os.WriteFile(file, []byte("prices: [{models: [m], input: -1, output: 1, as_of: \"2026-11-22\"}]"), 0o600))
	if p, err = LoadPrices(file, nil); err == nil || len(p.List()) == 0 {
		t.Error("a wrong file hides the built-in table, or is no error", err)
	}
	check(t, WritePrices(file, nil))
	if _, err := os.Stat(file); err == nil {
		t.Error("an empty table stays")
	}
}

func TestRunningRequestsStandInTheFirstPage(t *testing.T) {
	l, _ := newLog(t, Options{})
	l.Add(row("old"))
	run(t, l)
	first := row("new")
	first.At = moment.Add(time.Minute)
	end := l.Begin(Row{ID: "new", At: first.At, Asked: "m"}, func(r *Row) { r.Provider, r.First = "kiro", time.Second })
	see := func(f Filter) (ids string, p Page) {
		p, err := l.Page(t.Context(), f)
		check(t, err)
		for _, r := range p.Rows {
			ids += r.ID + " "
		}
		return ids, p
	}
	ids, p := see(Filter{Provider: "kiro"})
	if ids != "new old " || !p.Rows[0].Running || p.Rows[0].First != time.Second || p.Counts.All != 2 {
		t.Error(ids, p)
	}
	if ids, _ := see(Filter{BeforeID: "old"}); ids != "" {
		t.Error(ids)
	}
	if ids, _ := see(Filter{Failed: true}); ids != "" {
		t.Error(ids)
	}
	end(first)
	if ids, p := see(Filter{OK: true}); ids != "new old " || p.Rows[0].Running {
		t.Error("an ended request is not shown before it is written:", ids)
	}
	run(t, l)
	if ids, p := see(Filter{Limit: 1}); ids != "new " || p.Next != "new" || p.Counts.All != 2 {
		t.Error(ids, p)
	}
	if len(l.live.rows) != 0 {
		t.Error("a written row still waits")
	}
}
