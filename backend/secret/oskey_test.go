package secret_test

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"

	"patchbay/backend/secret"
	"patchbay/backend/secret/secrettest"
)

func osVault(r *rows, ring secret.Ring) *secret.Vault {
	return secret.NewVault(r, secret.EnvKey{}, &secret.OSKey{Ring: ring})
}

func TestVaultInTheKeychain(t *testing.T) {
	secrettest.Run(t, func(*testing.T) secret.Store { return osVault(&rows{}, newRing()) })
}

func TestKeychainHoldsOneKeyPerVault(t *testing.T) {
	ring := newRing()
	first, second := &rows{}, &rows{}
	check(t, osVault(first, ring).Put(t.Context(), ref, secret.New("one")))
	check(t, osVault(second, ring).Put(t.Context(), ref, secret.New("two")))
	if len(ring.items) != 2 {
		t.Error("the probe left something, or a key was overwritten:", slices.Collect(maps.Keys(ring.items)))
	}
	for text, r := range map[string]*rows{"one": first, "two": second} {
		got, err := osVault(r, ring).Get(t.Context(), ref)
		check(t, err)
		diff(t, text, got.Reveal())
	}
	for account, item := range ring.items {
		if !strings.HasPrefix(account, "dev.patchbay.Patchbay/vault-key-v1-") || len(item) != 44 {
			t.Error(account, len(item))
		}
	}
}

func TestKeychainWithoutItsItemIsLostAndGetsNoOther(t *testing.T) {
	ring, r := newRing(), &rows{}
	check(t, osVault(r, ring).Put(t.Context(), ref, secret.New("x")))
	kept := maps.Clone(ring.items)
	for name, change := range map[string]func(*fakeRing){
		"gone":    func(r *fakeRing) { clear(r.items) },
		"garbage": func(r *fakeRing) { r.items[first(kept)] = "canary" },
		"another": func(r *fakeRing) { r.items[first(kept)] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" },
	} {
		t.Run(name, func(t *testing.T) {
			ring.set(func(r *fakeRing) { r.items = maps.Clone(kept); change(r) })
			before := maps.Clone(ring.items)
			v := osVault(r, ring)
			s := v.Status(t.Context())
			if s.State != secret.Lost || s.Source != "os" || strings.Contains(s.Note, "canary") {
				t.Errorf("%+v", s)
			}
			if err := v.Put(t.Context(), ref, secret.New("y")); !errors.Is(err, secret.ErrLost) {
				t.Error(err)
			}
			diff(t, before, ring.items)
			ring.set(func(r *fakeRing) { r.items = maps.Clone(kept) }) // and it opens again without a new start
			got, err := v.Get(t.Context(), ref)
			check(t, err)
			diff(t, "x", got.Reveal())
		})
	}
}

func first(m map[string]string) string {
	for k := range m {
		return k
	}
	return ""
}

func TestKeychainThatIsAwayIsNotReplacedByAFile(t *testing.T) {
	ring, r, dir := newRing(), &rows{}, t.TempDir()
	none := func(string) string { return "" }
	places, err := secret.Places(none, dir, ring)
	check(t, err)
	check(t, secret.NewVault(r, places...).Put(t.Context(), ref, secret.New("x")))
	off := func(n string) string { return map[string]string{"PATCHBAY_KEYRING": "file"}[n] }
	for name, c := range map[string]struct {
		getenv func(string) string
		ring   secret.Ring
		says   string
	}{
		"no keychain":    {none, nil, "no keychain was found"},
		"gone":           {none, &fakeRing{err: secret.ErrNoRing}, "no keychain was found"},
		"locked":         {none, &fakeRing{err: errors.New("the keychain is locked")}, "is locked"},
		"left alone":     {off, ring, "PATCHBAY_KEYRING=file"},
		"variable unset": {none, nil, "locked"},
	} {
		t.Run(name, func(t *testing.T) {
			places, err := secret.Places(c.getenv, dir, c.ring)
			check(t, err)
			v := secret.NewVault(r, places...)
			if s := v.Status(t.Context()); s.State != secret.Locked || s.Source != "os" || !strings.Contains(s.Note, c.says) {
				t.Errorf("%+v", s)
			}
			if err := v.Put(t.Context(), ref, secret.New("y")); !errors.Is(err, secret.ErrLocked) {
				t.Error(err)
			}
			if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) > 0 {
				t.Error("a key file was made:", files)
			}
		})
	}
}

func TestKeychainThatWaitsForItsPasswordHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, r := newRing(), &rows{}
		check(t, osVault(r, ring).Put(t.Context(), ref, secret.New("x")))
		hang := make(chan struct{})
		ring.set(func(r *fakeRing) { r.hang, r.calls = hang, 0 })
		v := osVault(r, ring)
		start := time.Now()
		if s := v.Status(t.Context()); s.State != secret.Locked || !s.Waiting || !strings.Contains(s.Note, "waiting for its password") {
			t.Errorf("%+v", s)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Error("it took", d)
		}
		start = time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := v.Get(t.Context(), ref); !errors.Is(err, secret.ErrLocked) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d > 0 {
			t.Error("those who came later waited for", d)
		}
		if n := ring.asked(); n != 1 {
			t.Error("the person was asked", n, "times")
		}
		ring.set(func(r *fakeRing) { r.hang = nil })
		close(hang) // the person has typed it
		synctest.Wait()
		got, err := v.Get(t.Context(), ref)
		check(t, err)
		diff(t, "x", got.Reveal())
	})
}

func TestPromptThatNobodyAnswersIsAskedAgainOnDemandOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, r := newRing(), &rows{}
		check(t, osVault(r, ring).Put(t.Context(), ref, secret.New("x")))
		hang := make(chan struct{})
		defer close(hang)
		ring.set(func(r *fakeRing) { r.hang, r.calls, r.tells, r.locked = hang, 0, true, true })
		v := osVault(r, ring)
		for range 10 {
			diff(t, secret.Locked, v.Status(t.Context()).State)
			time.Sleep(time.Minute)
		}
		diff(t, 1, ring.asked())
		v.Retry()
		diff(t, secret.Locked, v.Status(t.Context()).State)
		diff(t, 2, ring.asked())
		time.Sleep(3 * time.Minute)
		ring.set(func(r *fakeRing) { r.hang, r.locked = nil, false }) // opened from elsewhere, the prompt stays
		diff(t, secret.OK, v.Status(t.Context()).State)
	})
}

func TestLockedKeychainIsLookedAtWithoutAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, r := newRing(), &rows{}
		check(t, osVault(r, ring).Put(t.Context(), ref, secret.New("x")))
		ring.set(func(r *fakeRing) { r.err, r.calls, r.tells, r.locked = errors.New("locked"), 0, true, true })
		v := osVault(r, ring)
		for range 5 {
			diff(t, secret.Locked, v.Status(t.Context()).State)
			time.Sleep(time.Minute)
		}
		diff(t, 2, ring.asked()) // the first time, and once more: a stray signal may look like a refusal
		ring.set(func(r *fakeRing) { r.err, r.locked = nil, false })
		diff(t, secret.OK, v.Status(t.Context()).State)

		ring.set(func(r *fakeRing) { r.err, r.calls, r.tells = errors.New("locked"), 0, false }) // it cannot be looked at
		v = osVault(r, ring)
		diff(t, secret.Locked, v.Status(t.Context()).State)
		diff(t, secret.Locked, v.Status(t.Context()).State)
		diff(t, 2, ring.asked())
		time.Sleep(31 * time.Second)
		diff(t, secret.Locked, v.Status(t.Context()).State)
		diff(t, 4, ring.asked())
	})
}

// panickingRing does what go-keyring does when the bus goes away while it waits for a prompt.
type panickingRing struct{ *fakeRing }

func (panickingRing) Get(string, string) (string, error) { panic("canary") }

func TestKeychainThatPanicsOrTellsTheKey(t *testing.T) {
	ring, r := newRing(), &rows{}
	check(t, osVault(r, ring).Put(t.Context(), ref, secret.New("x")))
	s := osVault(r, panickingRing{ring}).Status(t.Context())
	if s.State != secret.Locked || strings.Contains(s.Note, "canary") {
		t.Errorf("%+v", s)
	}
}

// TestSystemRing runs over go-keyring's own fake: no test touches a real keychain.
func TestSystemRing(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "no-bus"))
	ring := secret.SystemRing()
	keyring.MockInit()
	secrettest.Run(t, func(*testing.T) secret.Store { return osVault(&rows{}, ring) })
	if _, err := ring.Get("s", "a"); !errors.Is(err, secret.ErrNoItem) {
		t.Error(err)
	}
	for want, err := range map[string]error{
		"no keychain was found":       keyring.ErrUnsupportedPlatform,
		"the keychain is locked":      errors.New("failed to unlock correct collection '/x'"),
		"the keychain refused":        errors.New("bad: canary-secret"),
		"the keychain refused: wrong": errors.New("wrong"),
	} {
		keyring.MockInitWithError(err)
		if err := ring.Set("s", "a", "canary-secret"); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	keyring.MockInit()
	if locked, known := ring.Locked(); locked || known {
		t.Error("a bus that is not there told something")
	}
}
