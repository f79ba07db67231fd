package clientkey

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

func open(t testing.TB, path string) (*Keys, *store.DB) {
	t.Helper()
	db, _, err := store.Open(t.Context(), path)
	check(t, err)
	t.Cleanup(func() { db.Close() })
	k, err := Open(t.Context(), db)
	check(t, err)
	return k, db
}

func newKeys(t testing.TB) (*Keys, *store.DB) {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "patchbay.db"))
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

func TestKeyWorksAfterARestartAndIsNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	k, db := open(t, path)
	limits := Limits{Providers: []string{"kiro"}, PerMinute: 3}
	key, text, err := k.Add(t.Context(), " cline ", secret.Value{}, limits)
	check(t, err)
	diff(t, []any{"cline", limits, len(Prefix) + 43}, []any{key.Name, key.Limits, len(text.Reveal())})
	if !strings.HasPrefix(text.Reveal(), key.Shown) || !strings.HasPrefix(key.Shown, Prefix) || len(key.Shown) > 7 {
		t.Error(key.Shown)
	}
	again, _ := open(t, path)
	got, ok := again.Check(text.Reveal())
	diff(t, []any{true, key}, []any{ok, got})
	for _, wrong := range []string{"", "pb-", text.Reveal() + "x", strings.ToUpper(text.Reveal())} {
		if _, ok := again.Check(wrong); ok {
			t.Errorf("%q was let in", wrong)
		}
	}
	check(t, db.Close())
	files, err := filepath.Glob(path + "*")
	check(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		check(t, err)
		if strings.Contains(string(b), text.Reveal()) {
			t.Errorf("%s holds the key", f)
		}
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		seen[generate()] = true
	}
	diff(t, 100, len(seen))
}

func TestGivenKeys(t *testing.T) {
	k, _ := newKeys(t)
	for text, want := range map[string]bool{
		"123456789012345": false, "1234567890123456": true, "with spaces in it 12": false, "ümlaut1234567890123": false,
		"line\nbreak1234567890": false, strings.Repeat("x", 513): false, strings.Repeat("x", 512): true,
	} {
		_, got, err := k.Add(t.Context(), "n", secret.New(text), Limits{})
		if (err == nil) != want || (want && got.Reveal() != text) {
			t.Errorf("%q: %v", text, err)
		}
		if !want && apierror.From(err).Param != "key" {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, _, err := k.Add(t.Context(), "n", secret.New("1234567890123456"), Limits{})
	diff(t, apierror.InvalidRequest, apierror.KindOf(err)) // twice
	_, _, err = k.Add(t.Context(), " ", secret.Value{}, Limits{})
	diff(t, "name", apierror.From(err).Param)
	_, _, err = k.Add(t.Context(), "n", secret.Value{}, Limits{Models: []string{"\xff"}})
	diff(t, "limits", apierror.From(err).Param)
}

func TestRevokedKeyEndsAtOnce(t *testing.T) {
	k, _ := newKeys(t)
	a, text, err := k.Add(t.Context(), "a", secret.Value{}, Limits{})
	check(t, err)
	_, other, err := k.Add(t.Context(), "b", secret.Value{}, Limits{})
	check(t, err)
	check(t, k.Revoke(t.Context(), a.ID))
	if _, ok := k.Check(text.Reveal()); ok {
		t.Error("a revoked key was let in")
	}
	if _, ok := k.Check(other.Reveal()); !ok {
		t.Error("another key was revoked too")
	}
	list := k.List()
	diff(t, []string{"a", "b"}, []string{list[0].Name, list[1].Name})
	if list[0].Revoked.IsZero() {
		t.Error("the list does not tell")
	}
	diff(t, apierror.InvalidRequest, apierror.KindOf(k.Revoke(t.Context(), a.ID)))
	_, _, err = k.Add(t.Context(), "again", text, Limits{})
	diff(t, "key", apierror.From(err).Param)
}

func TestExpiredKeyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, db := newKeys(t)
		defer db.Close()
		_, text, err := k.Add(t.Context(), "a", secret.Value{}, Limits{Expires: time.Now().Add(time.Hour)})
		check(t, err)
		_, ok := k.Check(text.Reveal())
		diff(t, true, ok)
		time.Sleep(time.Hour)
		_, ok = k.Check(text.Reveal())
		diff(t, false, ok)
	})
}

func TestFirstKeyIsMadeOnce(t *testing.T) {
	k, _ := newKeys(t)
	text, ok, err := k.First(t.Context(), "first")
	check(t, err)
	if _, valid := k.Check(text.Reveal()); !ok || !valid {
		t.Error(ok, valid)
	}
	check(t, k.Revoke(t.Context(), k.List()[0].ID))
	_, ok, err = k.First(t.Context(), "first") // a revoked one was there: nobody asked for another
	check(t, err)
	diff(t, false, ok)
}

func TestFailures(t *testing.T) {
	k, db := newKeys(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := k.Add(ctx, "a", secret.Value{}, Limits{}); err == nil {
		t.Error("added")
	}
	if _, ok, err := k.First(ctx, "a"); ok || err == nil {
		t.Error("made")
	}
	if err := k.Revoke(ctx, "a"); err == nil || apierror.KindOf(err) != apierror.Internal {
		t.Error(err)
	}
	for _, row := range []store.ClientKey{{ID: "1", Hash: "abcd", Limits: "{}"}, {ID: "2", Hash: strings.Repeat("ab", 32), Limits: "{"}} {
		check(t, db.Write(t.Context(), func(ctx context.Context) error { return db.AddClientKey(ctx, row) }))
		if _, err := Open(t.Context(), db); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Error(err)
		}
	}
	if _, err := Open(ctx, db); err == nil {
		t.Error("opened")
	}
}

func TestManyCheckWhileKeysChange(t *testing.T) {
	k, _ := newKeys(t)
	_, text, err := k.Add(t.Context(), "stays", secret.Value{}, Limits{})
	check(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if _, ok := k.Check(text.Reveal()); !ok {
					t.Error("refused")
				}
			}
		})
	}
	for range 10 {
		key, _, err := k.Add(t.Context(), "comes", secret.Value{}, Limits{})
		check(t, err)
		check(t, k.Revoke(t.Context(), key.ID))
	}
	wg.Wait()
}

func BenchmarkCheck(b *testing.B) {
	k, _ := newKeys(b)
	_, text, err := k.Add(b.Context(), "a", secret.Value{}, Limits{})
	check(b, err)
	for b.Loop() {
		k.Check(text.Reveal())
	}
}
