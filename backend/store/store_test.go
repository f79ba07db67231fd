package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/secret"
)

// open opens a new database for one test.
func open(t testing.TB) *DB {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "patchbay.db"))
}

func reopen(t testing.TB, path string) *DB {
	t.Helper()
	db, warning, err := Open(t.Context(), path)
	if err != nil || warning != "" {
		t.Fatalf("opening %s: %q, %v", path, warning, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

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

var moment = time.UnixMilli(1_795_000_000_000)

func TestFolderAndFileAreTheOwnersOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits")
	}
	path := filepath.Join(t.TempDir(), "a b?c#d%20", "patchbay.db")
	db := reopen(t, path)
	check(t, db.SetMeta(t.Context(), "a", "b"))
	for _, name := range []string{path, path + "-wal"} {
		st, err := os.Stat(name)
		check(t, err)
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, st.Mode())
		}
	}
	st, err := os.Stat(filepath.Dir(path))
	check(t, err)
	if st.Mode().Perm() != 0o700 {
		t.Error(st.Mode())
	}
}

func TestBrokenFileIsKeptAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	old := bytes.Repeat([]byte("this is no database\n"), 500)
	check(t, os.WriteFile(path, old, 0o600))
	db, warning, err := Open(t.Context(), path)
	check(t, err)
	defer db.Close()
	check(t, db.SetMeta(t.Context(), "works", "yes"))
	kept, err := filepath.Glob(path + ".broken-*")
	check(t, err)
	if len(kept) != 1 || !strings.Contains(warning, kept[0]) {
		t.Fatalf("%q, warning %q", kept, warning)
	}
	got, err := os.ReadFile(kept[0])
	check(t, err)
	if !bytes.Equal(old, got) {
		t.Error("the kept file is not what was there")
	}
}

func TestSideFilesMoveWithTheirDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	for _, side := range []string{"", "-wal", "-shm"} {
		check(t, os.WriteFile(path+side, []byte(side), 0o600))
	}
	kept, err := keepAside(path)
	check(t, err)
	for _, side := range []string{"", "-wal", "-shm"} {
		got, err := os.ReadFile(kept + side)
		check(t, err)
		diff(t, side, string(got))
	}
}

func TestFileThatCannotBeOpenedStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "patchbay.db")
	check(t, os.Mkdir(dir, 0o700))
	if db, _, err := Open(t.Context(), dir); err == nil {
		db.Close()
		t.Error("a folder was opened as a database")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

func TestNewerDatabaseIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	db := reopen(t, path)
	_, err := db.exec(t.Context(), `INSERT INTO migrations(version, at) VALUES ($1, 0)`, len(migrations)+1)
	check(t, err)
	if _, warning, err := Open(t.Context(), path); !errors.Is(err, ErrNewer) || warning != "" {
		t.Errorf("%q, %v", warning, err)
	}
}

func TestEachMigrationRunsOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	var wg sync.WaitGroup
	for range 4 { // several processes may start at once
		wg.Go(func() {
			db, _, err := Open(context.WithoutCancel(t.Context()), path)
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
	db := reopen(t, path)
	v, err := db.version(t.Context(), db.read)
	check(t, err)
	diff(t, len(migrations), v)
}

func TestTransactionIsWholeOrNothing(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	ref := secret.Ref{Scope: "account", ID: "a"}
	stop := errors.New("stop")
	err := db.Write(ctx, func(ctx context.Context) error {
		check(t, db.PutAccount(ctx, Account{ID: "a", Provider: "kiro"}))
		check(t, db.WriteSecret(ctx, ref, &secret.Row{KeyID: "k", Nonce: []byte("n"), Sealed: []byte("s")}))
		if got, err := db.Accounts(ctx); err != nil || len(got) != 1 {
			t.Errorf("the transaction does not see its own row: %v %v", got, err)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	got, err := db.Accounts(ctx)
	check(t, err)
	if len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if _, err := db.ReadSecret(ctx, ref); !errors.Is(err, secret.ErrNotFound) {
		t.Error(err)
	}
}

func TestCanceledCallChangesNothing(t *testing.T) {
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Write(ctx, func(ctx context.Context) error {
		check(t, db.SetMeta(ctx, "a", "b"))
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	v, err := db.Meta(t.Context(), "a")
	check(t, err)
	diff(t, "", v)
	check(t, db.SetMeta(t.Context(), "a", "c")) // and the writer is free again
}

func TestAccountsAndCooldowns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	db := reopen(t, path)
	ctx := t.Context()
	a := Account{ID: "a", Provider: "kiro", Name: "Ann's", Priority: 2, Enabled: true, Owner: "ours", State: "ready",
		Settings: map[string]string{"z": "1", "base_url": "https://x"}, Notes: map[string]string{}, Proxy: "socks5://h", MaxConcurrent: 3, Created: moment,
		Tags: []string{"work", "paid"}, Weight: 3, Reserve: 10}
	b := Account{ID: "b", Provider: "kiro", Name: "Bo's", Priority: 1, Settings: map[string]string{}, Notes: map[string]string{}, Tags: []string{}}
	check(t, db.PutAccount(ctx, a))
	check(t, db.PutAccount(ctx, b))
	a.Name, a.Enabled = "Ann", false
	check(t, db.PutAccount(ctx, a))
	cool := []Cooldown{
		{Account: "a", Model: "*", Until: moment.Add(time.Hour), Kind: "no_credit", Reason: "no credit", Since: moment},
		{Account: "a", Model: "m", Absent: true, Until: moment.Add(time.Minute), Level: 3},
		{Account: "a", Model: "over", Until: moment.Add(-time.Minute)},
	}
	check(t, db.SaveHealth(ctx, Health{ID: "a", State: "needs_login", Kind: "auth_expired", Reason: "refused", Since: moment, Notes: map[string]string{"k": "v"}, Cooling: cool}))
	check(t, db.SaveHealth(ctx, Health{ID: "gone", State: "ready", Cooling: cool}))
	a.State, a.Kind, a.Reason, a.Since, a.Notes = "needs_login", "auth_expired", "refused", moment, map[string]string{"k": "v"}

	again := reopen(t, path)
	got, err := again.Accounts(ctx)
	check(t, err)
	diff(t, []Account{b, a}, got)
	pauses, err := again.Cooldowns(ctx, moment)
	check(t, err)
	diff(t, cool[:2], pauses)

	check(t, db.SaveHealth(ctx, Health{ID: "a", State: "ready"}))
	pauses, err = db.Cooldowns(ctx, moment)
	check(t, err)
	diff(t, []Cooldown(nil), pauses)
	check(t, db.DeleteAccount(ctx, "a"))
	if err := db.DeleteAccount(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestRemovedAccountTakesItsCooldownsAlong(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	check(t, db.PutAccount(ctx, Account{ID: "a"}))
	check(t, db.SaveHealth(ctx, Health{ID: "a", Cooling: []Cooldown{{Model: "m", Until: moment}}}))
	check(t, db.DeleteAccount(ctx, "a"))
	got, err := db.Cooldowns(ctx, time.Time{})
	check(t, err)
	diff(t, 0, len(got))
}

func TestUseOfAccounts(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	check(t, db.PutAccount(ctx, Account{ID: "a"}))
	u := Use{Account: "a", LastUsed: moment, Served: 7, Failed: 2, Recent: []Outcome{{At: 1}, {At: 2, Kind: "timeout"}}, QuotaAt: moment, Quota: "[]"}
	check(t, db.SaveUse(ctx, Use{Account: "a", Served: 1}))
	check(t, db.SaveUse(ctx, u))
	check(t, db.SaveUse(ctx, Use{Account: "gone", Served: 1}))
	got, err := db.Uses(ctx)
	check(t, err)
	diff(t, []Use{u}, got)
	check(t, db.DeleteAccount(ctx, "a"))
	got, err = db.Uses(ctx)
	check(t, err)
	diff(t, 0, len(got))
}

func TestSecretsRoundTrip(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	ref := secret.Ref{Scope: "account", ID: "a"}
	for _, row := range []secret.Row{{KeyID: "k1", Nonce: []byte{0, 1}, Sealed: []byte{0xff, 0}}, {KeyID: "k2", Nonce: []byte{2}, Sealed: []byte{3}}} {
		check(t, db.WriteSecret(ctx, ref, &row))
		got, err := db.ReadSecret(ctx, ref)
		check(t, err)
		diff(t, row, got)
	}
	check(t, db.WriteSecret(ctx, ref, nil))
	if _, err := db.ReadSecret(ctx, ref); !errors.Is(err, secret.ErrNotFound) {
		t.Error(err)
	}
}

func TestClientKeys(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	k := ClientKey{ID: "1", Name: "first", Hash: "h", Prefix: "pb-ab", Created: moment, Expires: moment.Add(time.Hour), Limits: "{}"}
	check(t, db.AddClientKey(ctx, k))
	if err := db.AddClientKey(ctx, ClientKey{ID: "2", Hash: "h"}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	k.Revoked = moment.Add(time.Minute)
	check(t, db.RevokeClientKey(ctx, "1", k.Revoked))
	if err := db.RevokeClientKey(ctx, "1", moment); !errors.Is(err, ErrNotFound) {
		t.Error("revoked twice", err)
	}
	got, err := db.ClientKeys(ctx)
	check(t, err)
	diff(t, []ClientKey{k}, got)
}

func row(id string, minute int) Request {
	return Request{ID: id, At: moment.Add(time.Duration(minute) * time.Minute), Key: "k", Client: "anthropic", Op: "messages", Stream: true,
		Asked: "m", Provider: "kiro", Account: "a", Model: "M", Attempts: 2, Status: 200,
		Tokens: Tokens{Input: 10, Cached: -1, CacheWrite: -1, Output: 5, Reasoning: 0}, FirstMS: 7, TotalMS: -1, Dropped: []string{"a", "b"}, Trace: "[]"}
}

func TestRequestsAreFiltered(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	bad := row("3", 3)
	bad.Provider, bad.Kind, bad.Message, bad.Status, bad.Dropped = "codex", "timeout", "nothing came", 504, nil
	rows := []Request{row("1", 1), row("2", 2), bad, row("4", 3)}
	check(t, db.AddRequests(ctx, rows, nil))
	check(t, db.AddRequests(ctx, rows[:1], nil)) // the same row again is not a second one
	for name, c := range map[string]struct {
		f    RequestFilter
		want []Request
	}{
		"all, latest first": {RequestFilter{}, []Request{rows[3], rows[2], rows[1], rows[0]}},
		"limit":             {RequestFilter{Limit: 1}, []Request{rows[3]}},
		"next page":         {RequestFilter{BeforeID: "3"}, []Request{rows[1], rows[0]}},
		"provider":          {RequestFilter{Provider: "codex"}, []Request{bad}},
		"failed":            {RequestFilter{Failed: true, Account: "a", Model: "M", Key: "k", Kind: "timeout"}, []Request{bad}},
		"span":              {RequestFilter{Since: rows[1].At, Until: bad.At}, []Request{rows[1]}},
	} {
		got, err := db.Requests(ctx, c.f)
		check(t, err)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}

func TestUsageAddsUp(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	hour := moment.Truncate(time.Hour)
	u := Usage{At: hour, Key: "k", Provider: "kiro", Account: "a", Model: "m", Requests: 2, Errors: 1, HungUp: 1, Untold: 1, Metered: 2, Tokens: Tokens{1, 2, 3, 4, 5}, Told: Tokens{1, 1, 1, 1, 1}, First: map[int]int64{7: 1, 9: 2}}
	next := u
	next.At = hour.Add(time.Hour)
	check(t, db.AddRequests(ctx, nil, []Usage{u, next}))
	check(t, db.AddRequests(ctx, nil, []Usage{u}))
	got, err := db.Usage(ctx, UsageFilter{Until: next.At})
	check(t, err)
	twice := Usage{Key: "k", Provider: "kiro", Account: "a", Model: "m", Requests: 4, Errors: 2, HungUp: 2, Untold: 2, Metered: 4, Tokens: Tokens{2, 4, 6, 8, 10}, Told: Tokens{2, 2, 2, 2, 2}, First: map[int]int64{7: 2, 9: 4}}
	diff(t, []Usage{twice}, got)
	// Hours of a zone that lies half an hour off begin there.
	got, err = db.Usage(ctx, UsageFilter{Span: time.Hour, Offset: 30 * time.Minute, Model: "m"})
	check(t, err)
	twice.At, next.At = hour.Add(-30*time.Minute), hour.Add(30*time.Minute)
	diff(t, []Usage{twice, next}, got)
	check(t, db.TrimUsage(ctx, hour.Add(time.Hour)))
	got, err = db.Usage(ctx, UsageFilter{})
	check(t, err)
	next.At = time.Time{}
	diff(t, []Usage{next}, got)
	if got, err = db.Usage(ctx, UsageFilter{Key: "nobody"}); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func TestTrimKeepsTheLatest(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	for i := range 9 {
		check(t, db.AddRequests(ctx, []Request{row(string(rune('1'+i)), i)}, nil))
	}
	left := func() (ids string) {
		rows, err := db.Requests(ctx, RequestFilter{})
		check(t, err)
		for _, r := range rows {
			ids += r.ID
		}
		return ids
	}
	for _, c := range []struct {
		before time.Time
		keep   int
		want   string
	}{{time.Time{}, 0, "987654321"}, {moment.Add(2 * time.Minute), 0, "9876543"}, {time.Time{}, 20, "9876543"}, {moment, 4, "9876"}} {
		more, err := db.TrimRequests(ctx, c.before, c.keep)
		check(t, err)
		if more {
			t.Error("more than 5000 rows?")
		}
		diff(t, c.want, left())
	}
}

func TestOneOfManyRacersGetsTheLease(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, ok, err := db.Leases(string(rune('a'+i))).Acquire(ctx, "refresh/x", time.Minute)
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	diff(t, int32(1), won.Load())
}

func TestFenceGrowsWithEachOwner(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	a, b := db.Leases("a"), db.Leases("b")
	take := func(l Leases, ttl time.Duration, wantFence int64, wantOK bool) {
		t.Helper()
		fence, ok, err := l.Acquire(ctx, "x", ttl)
		check(t, err)
		diff(t, []any{wantFence, wantOK}, []any{fence, ok})
	}
	take(a, time.Minute, 1, true)
	take(a, time.Minute, 1, true)
	take(b, time.Minute, 0, false)
	check(t, b.Release(ctx, "x")) // not b's to give
	take(b, time.Minute, 0, false)
	check(t, a.Release(ctx, "x"))
	take(b, -time.Minute, 2, true) // expired at once
	take(a, time.Minute, 3, true)
}

func TestMetaKeepsTheLast(t *testing.T) {
	db := open(t)
	ctx := t.Context()
	check(t, db.SetMeta(ctx, "a", "1"))
	check(t, db.SetMeta(ctx, "a", "2"))
	v, err := db.Meta(ctx, "a")
	check(t, err)
	diff(t, "2", v)
}

func TestClosedDatabaseSaysSo(t *testing.T) {
	db, _, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	check(t, err)
	check(t, db.Close())
	if db.SetMeta(t.Context(), "a", "b") == nil {
		t.Error("a closed database took a row")
	}
	if _, err := db.Accounts(t.Context()); err == nil {
		t.Error("a closed database gave rows")
	}
}

// TestKilledProgramLosesNothing runs this test again as a child that writes and is killed in the middle of it.
func TestKilledProgramLosesNothing(t *testing.T) {
	path := os.Getenv("STORE_TEST_CHILD")
	if path != "" {
		writeForever(t, path)
	}
	path = filepath.Join(t.TempDir(), "patchbay.db")
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledProgramLosesNothing$")
		cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+path)
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		told := make([]byte, 0, 64)
		buf := make([]byte, 1)
		for len(told) < 20+round*7 { // each byte is one committed row
			if _, err := out.Read(buf); err != nil {
				t.Fatal(err)
			}
			told = append(told, buf[0])
		}
		check(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		db := reopen(t, path)
		rows, err := db.Requests(t.Context(), RequestFilter{Limit: 1 << 20})
		check(t, err)
		if len(rows) < len(told) {
			t.Fatalf("%d rows of at least %d", len(rows), len(told))
		}
		check(t, db.Batch(t.Context(), func(ctx context.Context) error {
			_, err := db.exec(ctx, `DELETE FROM requests`)
			return err
		}))
	}
}

func writeForever(t *testing.T, path string) {
	db, _, err := Open(t.Context(), path)
	check(t, err)
	for i := 0; ; i++ {
		check(t, db.AddRequests(t.Context(), []Request{row(time.Now().String(), i)}, nil))
		os.Stdout.WriteString(".")
	}
}

func BenchmarkOpenExisting(b *testing.B) {
	path := filepath.Join(b.TempDir(), "patchbay.db")
	reopen(b, path)
	for b.Loop() {
		db, _, err := Open(b.Context(), path)
		check(b, err)
		check(b, db.Close())
	}
}

func BenchmarkOpenNew(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		db, _, err := Open(b.Context(), filepath.Join(dir, time.Now().String()))
		check(b, err)
		check(b, db.Close())
	}
}

func BenchmarkAddRequest(b *testing.B) {
	db := open(b)
	r := row("", 1)
	for b.Loop() {
		r.ID = time.Now().String()
		check(b, db.AddRequests(b.Context(), []Request{r}, []Usage{{Key: "k"}}))
	}
}
