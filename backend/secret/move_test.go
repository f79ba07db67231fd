package secret_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"patchbay/backend/secret"
)

// house is a vault with all three places, and what survives a kill: the rows, the keychain and the folder.
type house struct {
	rows *rows
	ring *fakeRing
	dir  string
	env  []byte
}

func newHouse(t *testing.T) *house {
	return &house{rows: &rows{}, ring: newRing(), dir: t.TempDir(), env: []byte("0123456789abcdef0123456789ABCDEF")}
}

// vault opens the vault as a new process does; step is asked before each change of anything.
func (h *house) vault(first string, step func(string) error) *secret.Vault {
	h.rows.step, h.ring.step = step, step
	env := secret.EnvKey{Text: secret.New(base64.StdEncoding.EncodeToString(h.env))}
	all := []secret.KeySource{env, &secret.OSKey{Ring: h.ring}, killable{secret.FileKey{Path: filepath.Join(h.dir, "vault.key")}, step}}
	for i, s := range all {
		if s.Name() == first {
			all[0], all[i] = all[i], all[0]
		}
	}
	return secret.NewVault(h.rows, all...)
}

// killable is a place whose changes can be stopped.
type killable struct {
	secret.KeySource
	step func(string) error
}

func (k killable) Keep(ctx context.Context, key []byte) ([]byte, error) {
	if k.step != nil {
		if err := k.step("keep"); err != nil {
			return nil, err
		}
	}
	return k.KeySource.Keep(ctx, key)
}

func (k killable) Drop(ctx context.Context, id string) error {
	if k.step != nil {
		if err := k.step("drop"); err != nil {
			return err
		}
	}
	return k.KeySource.Drop(ctx, id)
}

func (h *house) fill(t *testing.T, v *secret.Vault) {
	t.Helper()
	for i := range 3 {
		check(t, v.Put(t.Context(), secret.Ref{Scope: "account", ID: fmt.Sprint(i)}, secret.New(fmt.Sprint("secret ", i))))
	}
}

// whole checks that every secret opens, in a new process.
func (h *house) whole(t *testing.T, v *secret.Vault) {
	t.Helper()
	for i := range 3 {
		got, err := v.Get(t.Context(), secret.Ref{Scope: "account", ID: fmt.Sprint(i)})
		if err != nil || got.Reveal() != fmt.Sprint("secret ", i) {
			t.Errorf("secret %d is lost: %v", i, err)
		}
	}
}

// keys counts the keys that lie around outside of the environment. What a killed probe leaves is none.
func (h *house) keys() (n int) {
	if _, err := os.Stat(filepath.Join(h.dir, "vault.key")); err == nil {
		n++
	}
	for account := range h.ring.items {
		if strings.Contains(account, "vault-key") {
			n++
		}
	}
	return n
}

var moves = []struct{ from, to string }{{"file", "os"}, {"os", "file"}, {"file", "env"}, {"env", "file"}, {"os", "env"}, {"env", "os"}}

func TestMove(t *testing.T) {
	for _, c := range moves {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			h := newHouse(t)
			v := h.vault(c.from, nil)
			h.fill(t, v)
			before := h.rows.m[ref0]
			m, err := v.Move(t.Context(), c.to)
			check(t, err)
			diff(t, secret.Moved{From: c.from, To: c.to, Sealed: 3}, m)
			h.whole(t, v)
			h.whole(t, h.vault("env", nil))
			want := 1
			if c.to == "env" {
				want = 0
			}
			if n := h.keys(); n != want {
				t.Errorf("%d keys are left, want %d", n, want)
			}
			if before.KeyID == h.rows.m[ref0].KeyID {
				t.Error("the secrets are still sealed under the old key")
			}
			if _, err := v.Move(t.Context(), c.to); !errors.Is(err, secret.ErrThere) {
				t.Error(err)
			}
		})
	}
}

var ref0 = secret.Ref{Scope: "account", ID: "0"}

// TestMoveKilledAtEachStep ends the process before every single change that a move makes.
func TestMoveKilledAtEachStep(t *testing.T) {
	killed := errors.New("killed")
	for _, c := range moves {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			for last := 0; ; last++ {
				h := newHouse(t)
				h.fill(t, h.vault(c.from, nil))
				n, dead := 0, ""
				v := h.vault(c.from, func(what string) error {
					if n++; n > last {
						if dead == "" {
							dead = what
						}
						return killed
					}
					return nil
				})
				m, err := v.Move(t.Context(), c.to)
				if err == nil && m.Kept == nil && dead == "" {
					if last < 6 {
						t.Errorf("only %d steps were seen", last)
					}
					return
				}
				after := h.vault("env", nil)
				h.whole(t, after)
				check(t, after.Tidy(t.Context()))
				h.whole(t, h.vault("file", nil))
				if n := h.keys(); n > 1 {
					t.Errorf("killed before step %d (%s): %d keys are left", last, dead, n)
				}
				m, err = after.Move(t.Context(), c.to) // and the next try succeeds
				if err != nil && !errors.Is(err, secret.ErrThere) {
					t.Errorf("killed before step %d (%s): the next move fails: %v", last, dead, err)
				}
				h.whole(t, h.vault("os", nil))
				if t.Failed() {
					return
				}
			}
		})
	}
}

func TestMoveWhereItCannotGo(t *testing.T) {
	h := newHouse(t)
	v := h.vault("file", nil)
	h.fill(t, v)
	h.ring.set(func(r *fakeRing) { r.err = errors.New("refused") })
	if _, err := v.Move(t.Context(), "os"); !errors.Is(err, secret.ErrUnusable) {
		t.Error(err)
	}
	if _, err := v.Move(t.Context(), "nowhere"); !errors.Is(err, secret.ErrUnusable) {
		t.Error(err)
	}
	h.env = nil
	v = h.vault("file", nil)
	if _, err := v.Move(t.Context(), "env"); !errors.Is(err, secret.ErrUnusable) || !strings.Contains(err.Error(), "not set") {
		t.Error(err)
	}
	h.whole(t, v)
	check(t, os.Remove(filepath.Join(h.dir, "vault.key")))
	if _, err := h.vault("file", nil).Move(t.Context(), "os"); !errors.Is(err, secret.ErrLost) {
		t.Error(err)
	}
}

func TestMoveKeepsRowsOfAKeyThatWasLost(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.vault("file", nil))
	path := filepath.Join(h.dir, "vault.key")
	check(t, os.Rename(path, path+".lost"))
	v := h.vault("file", nil)
	check(t, v.Renew(t.Context()))
	check(t, v.Put(t.Context(), ref0, secret.New("secret 0")))
	all, other, err := v.Count(t.Context())
	check(t, err)
	diff(t, [2]int{3, 2}, [2]int{all, other})
	m, err := v.Move(t.Context(), "os")
	check(t, err)
	diff(t, secret.Moved{From: "file", To: "os", Sealed: 1, Left: 2}, m)
	if _, err := v.Get(t.Context(), secret.Ref{Scope: "account", ID: "1"}); !errors.Is(err, secret.ErrLost) {
		t.Error(err)
	}
}

func TestSecretsWrittenWhileTheVaultMoves(t *testing.T) {
	h := newHouse(t)
	v := h.vault("file", nil)
	h.fill(t, v)
	other := h.vault("file", nil) // another process, which knows the old key
	h.whole(t, other)
	_, err := v.Move(t.Context(), "os")
	check(t, err)
	check(t, other.Put(t.Context(), ref0, secret.New("secret 0")))
	h.whole(t, other)
	h.whole(t, v)

	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for range 50 {
				if _, err := v.Get(t.Context(), secret.Ref{Scope: "account", ID: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, to := range []string{"file", "os", "env", "file"} {
		_, err := v.Move(t.Context(), to)
		check(t, err)
	}
	wg.Wait()
	h.whole(t, h.vault("env", nil))
}

// TestBeginningThatWasTakenBack puts a secret into a new vault in a transaction that fails.
func TestBeginningThatWasTakenBack(t *testing.T) {
	h := newHouse(t)
	v := h.vault("os", nil)
	full := errors.New("disk full")
	err := h.rows.Write(t.Context(), func(ctx context.Context) error {
		check(t, v.Put(ctx, ref0, secret.New("taken back")))
		return full
	})
	if !errors.Is(err, full) {
		t.Fatal(err)
	}
	h.fill(t, v)
	h.whole(t, h.vault("file", nil))
	diff(t, 1, len(h.ring.items))
}

func TestVariableThatIsNotTheKeyIsTold(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.vault("file", nil))
	v := h.vault("env", nil)
	h.whole(t, v)
	if s := v.Status(t.Context()); s.State != secret.OK || s.Source != "file" || !strings.Contains(s.Note, "vault move --to env") {
		t.Errorf("%+v", s)
	}
	diff(t, v.Status(t.Context()), v.Last())
	places := v.Places(t.Context())
	if len(places) != 3 || places[1].Name != "os" || places[1].Usable != nil {
		t.Errorf("%+v", places)
	}
	h.ring.set(func(r *fakeRing) { r.locked, r.tells, r.calls = true, true, 0 })
	if err := v.Places(t.Context())[1].Usable; !errors.Is(err, secret.ErrUnusable) || h.ring.asked() != 0 {
		t.Error("looking asked a locked keychain", err)
	}
}

func TestVariableWithTheKeyOfTheFileWins(t *testing.T) {
	h := newHouse(t)
	check(t, os.WriteFile(filepath.Join(h.dir, "vault.key"), []byte(base64.StdEncoding.EncodeToString(h.env)), 0o600))
	h.fill(t, h.vault("file", nil))
	v := h.vault("env", nil)
	diff(t, "env", v.Status(t.Context()).Source)
	_, err := v.Move(t.Context(), "env") // the same key: only the file goes
	check(t, err)
	diff(t, 0, h.keys())
	h.whole(t, h.vault("os", nil))
}

func TestDatabaseThatDoesNotSayWhereItsKeyIs(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.vault("file", nil))
	h.rows.meta = nil // as the first databases were
	h.env = nil
	h.whole(t, h.vault("os", nil))
	h.rows.meta = map[string]string{"vault": `{"v":2,"source":"moon"}`}
	if s := h.vault("file", nil).Status(t.Context()); s.State != secret.Locked {
		t.Errorf("%+v", s)
	}
	h.rows.meta = map[string]string{"vault": `{"v":1,"source":"moon"}`}
	if s := h.vault("file", nil).Status(t.Context()); s.State != secret.Locked || !strings.Contains(s.Note, "moon") {
		t.Errorf("%+v", s)
	}
}

func TestOldKeyThatCannotBeRemovedIsToldAndTriedAgain(t *testing.T) {
	h := newHouse(t)
	v := h.vault("os", nil)
	h.fill(t, v)
	stuck := errors.New("stuck")
	account := first(h.ring.items)
	h.ring.step = func(what string) error {
		h.ring.mu.Lock()
		defer h.ring.mu.Unlock()
		if _, there := h.ring.items[account]; there && what == "delete" && len(h.ring.items) == 1 {
			return stuck
		}
		return nil
	}
	m, err := v.Move(t.Context(), "file")
	check(t, err)
	if !errors.Is(m.Kept, stuck) || h.keys() != 2 {
		t.Error(m.Kept, h.keys())
	}
	h.ring.step = nil
	check(t, h.vault("file", nil).Tidy(t.Context()))
	diff(t, 1, h.keys())
}
