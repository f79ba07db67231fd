package secret_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/secret"
	"patchbay/backend/secret/secrettest"
)

var key = []byte("0123456789abcdef0123456789ABCDEF")

func envKey(b []byte) secret.KeySource {
	return secret.EnvKey{Text: secret.New(base64.StdEncoding.EncodeToString(b))}
}

var ref = secret.Ref{Scope: "account", ID: "a"}

func TestStores(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		secrettest.Run(t, func(*testing.T) secret.Store { return secret.NewMemory() })
	})
	t.Run("vault", func(t *testing.T) {
		secrettest.Run(t, func(t *testing.T) secret.Store {
			return secret.NewVault(&rows{}, secret.FileKey{Path: filepath.Join(t.TempDir(), "new", "vault.key")})
		})
	})
}

func TestRowsShowNothingAndDiffer(t *testing.T) {
	r := &rows{}
	v := secret.NewVault(r, envKey(key))
	check(t, v.Put(t.Context(), ref, secret.New("canary")))
	first := r.m[ref]
	check(t, v.Put(t.Context(), ref, secret.New("canary")))
	if strings.Contains(string(first.Sealed), "canary") || string(first.Sealed) == string(r.m[ref].Sealed) {
		t.Error("the sealed row tells something")
	}
}

func TestRowMovedToAnotherNameDoesNotOpen(t *testing.T) {
	r := &rows{}
	v := secret.NewVault(r, envKey(key))
	check(t, v.Put(t.Context(), ref, secret.New("x")))
	other := secret.Ref{Scope: "account", ID: "b"}
	r.m[other] = r.m[ref]
	if _, err := v.Get(t.Context(), other); !errors.Is(err, secret.ErrLost) {
		t.Error(err)
	}
	row := r.m[ref]
	row.Nonce = row.Nonce[1:]
	r.m[ref] = row
	if _, err := v.Get(t.Context(), ref); !errors.Is(err, secret.ErrLost) {
		t.Error(err)
	}
}

func TestWrongKeyIsLostAndChangesNothing(t *testing.T) {
	r := &rows{}
	check(t, secret.NewVault(r, envKey(key)).Put(t.Context(), ref, secret.New("x")))
	before := fmt.Sprint(r.m)
	wrong := secret.NewVault(r, envKey([]byte(strings.Repeat("w", 32))))
	if s := wrong.Status(t.Context()); s.State != secret.Lost || s.Source != "env" {
		t.Errorf("%+v", s)
	}
	if err := wrong.Put(t.Context(), ref, secret.New("y")); !errors.Is(err, secret.ErrLost) {
		t.Error(err)
	}
	diff(t, before, fmt.Sprint(r.m))

	check(t, wrong.Renew(t.Context()))
	if _, err := wrong.Get(t.Context(), ref); !errors.Is(err, secret.ErrLost) {
		t.Error("a row of the old key opened", err)
	}
	check(t, wrong.Put(t.Context(), ref, secret.New("y")))
	diff(t, secret.OK, wrong.Status(t.Context()).State)
}

func TestKeyFileIsMadeOnceAndNeverReplaced(t *testing.T) {
	r := &rows{}
	path := filepath.Join(t.TempDir(), "vault.key")
	source := secret.FileKey{Path: path}
	v := secret.NewVault(r, source)
	check(t, v.Put(t.Context(), ref, secret.New("x")))
	if s := v.Status(t.Context()); s.State != secret.OK || !strings.Contains(s.Note, "file only") {
		t.Errorf("%+v", s)
	}
	st, err := os.Stat(path)
	check(t, err)
	if runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Error(st.Mode())
	}
	got, err := secret.NewVault(r, source).Get(t.Context(), ref)
	check(t, err)
	diff(t, "x", got.Reveal())

	check(t, os.Rename(path, path+".away"))
	again := secret.NewVault(r, source)
	diff(t, secret.Lost, again.Status(t.Context()).State)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a new key was made although rows of the old one are there")
	}
	check(t, os.Rename(path+".away", path)) // and it opens again without a new start
	diff(t, secret.OK, again.Status(t.Context()).State)
}

func TestKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits")
	}
	path := filepath.Join(t.TempDir(), "vault.key")
	v := secret.NewVault(&rows{}, secret.FileKey{Path: path})
	check(t, os.WriteFile(path, []byte(hex.EncodeToString(key)), 0o600))
	check(t, os.Chmod(path, 0o640))
	if s := v.Status(t.Context()); s.State != secret.Locked || !strings.Contains(s.Note, "chmod 600") {
		t.Errorf("%+v", s)
	}
	check(t, os.Chmod(path, 0o600))
	diff(t, secret.OK, v.Status(t.Context()).State)
}

func TestKeyFileWithoutAKeyIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.key")
	check(t, os.WriteFile(path, []byte("half a ke"), 0o600))
	_, err := secret.FileKey{Path: path}.Keep(t.Context(), key)
	if !errors.Is(err, secret.ErrLost) {
		t.Error(err)
	}
	_, err = secret.FileKey{Path: filepath.Join(path, "x")}.Keep(t.Context(), key) // a file where the folder should be
	if !errors.Is(err, secret.ErrLocked) {
		t.Error(err)
	}
}

func TestKeyTextForms(t *testing.T) {
	odd := []byte(strings.Repeat("\xfb\xff", 16)) // base64 of it has + and /
	for _, text := range []string{hex.EncodeToString(odd), base64.StdEncoding.EncodeToString(odd), base64.RawURLEncoding.EncodeToString(odd) + "\n"} {
		got, err := secret.EnvKey{Text: secret.New(text)}.Keep(t.Context(), nil)
		check(t, err)
		diff(t, odd, got)
	}
	for _, text := range []string{"", "short", hex.EncodeToString(odd[:31]), strings.Repeat("!", 43)} {
		_, err := secret.EnvKey{Text: secret.New(text)}.Keep(t.Context(), nil)
		if !errors.Is(err, secret.ErrLocked) || (text != "" && strings.Contains(err.Error(), text)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOrderOfPlaces(t *testing.T) {
	ring := newRing()
	for name, c := range map[string]struct {
		env  map[string]string
		ring secret.Ring
		want string
	}{
		"environment first":   {map[string]string{"PATCHBAY_VAULT_KEY": base64.StdEncoding.EncodeToString(key)}, ring, "env"},
		"then the keychain":   {nil, ring, "os"},
		"then the file":       {nil, nil, "file"},
		"forced off":          {map[string]string{"PATCHBAY_KEYRING": "off"}, ring, "file"},
		"forced to the file":  {map[string]string{"PATCHBAY_KEYRING": "file"}, ring, "file"},
		"forced to the ring":  {map[string]string{"PATCHBAY_KEYRING": "os"}, ring, "os"},
		"ring that refuses":   {nil, &fakeRing{err: errors.New("refused")}, "file"},
		"ring that forgets":   {nil, &fakeRing{forgets: true}, "file"},
		"ring that is absent": {nil, &fakeRing{err: secret.ErrNoRing}, "file"},
	} {
		t.Run(name, func(t *testing.T) {
			places, err := secret.Places(func(n string) string { return c.env[n] }, t.TempDir(), c.ring)
			check(t, err)
			s := secret.NewVault(&rows{}, places...).Status(t.Context())
			s.Note = ""
			diff(t, secret.Status{State: secret.OK, Source: c.want}, s)
		})
	}
	places, err := secret.Places(func(n string) string { return map[string]string{"PATCHBAY_KEYRING": "os"}[n] }, t.TempDir(), nil)
	check(t, err)
	if s := secret.NewVault(&rows{}, places...).Status(t.Context()); s.State != secret.Locked || !strings.Contains(s.Note, "PATCHBAY_KEYRING=os") {
		t.Error("a new vault was kept in a weaker place than the one asked for:", s)
	}
	if _, err := secret.Places(func(string) string { return "maybe" }, "", nil); err == nil || !strings.Contains(err.Error(), "os, file or off") {
		t.Error(err)
	}
}

type lockedKey struct{ secret.EnvKey }

func (lockedKey) Usable(context.Context) error { return secret.ErrLocked }

type shortKey struct{ secret.EnvKey }

func (shortKey) Usable(context.Context) error { return nil }

func (shortKey) Keep(context.Context, []byte) ([]byte, error) { return []byte("short"), nil }

func TestVaultWithoutItsKey(t *testing.T) {
	for _, source := range []secret.KeySource{lockedKey{}, shortKey{}} {
		v := secret.NewVault(&rows{}, source)
		diff(t, secret.Locked, v.Status(t.Context()).State)
		if _, err := v.Get(t.Context(), ref); !errors.Is(err, secret.ErrNotFound) { // that is known without a key
			t.Error(err)
		}
		if err := v.Put(t.Context(), ref, secret.New("x")); !errors.Is(err, secret.ErrLocked) {
			t.Error(err)
		}
		if err := v.Renew(t.Context()); !errors.Is(err, secret.ErrLocked) {
			t.Error(err)
		}
		check(t, v.Delete(t.Context(), ref)) // needs no key
	}
}

func TestVaultWhoseRowsFail(t *testing.T) {
	disk := errors.New("disk full")
	r := &rows{m: map[secret.Ref]secret.Row{}, err: disk}
	v := secret.NewVault(r, envKey(key))
	for _, err := range []error{v.Put(t.Context(), ref, secret.New("canary")), v.Renew(t.Context())} {
		if !errors.Is(err, disk) || strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
	}
	r.m[secret.Ref{Scope: "vault", ID: "mark"}] = secret.Row{}
	if s := v.Status(t.Context()); s.State != secret.Locked {
		t.Errorf("%+v", s)
	}
}

func TestValueNeverPrints(t *testing.T) {
	v := secret.New("canary")
	text, err := v.MarshalText()
	check(t, err)
	all := fmt.Sprintf("%s %v %+v %#v %s %s", v, v, v, v, text, slog.AnyValue(v).Resolve())
	if strings.Contains(all, "canary") || v.Empty() || !secret.New("").Empty() {
		t.Error(all)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
