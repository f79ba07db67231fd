//go:build linux

package secret_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"patchbay/backend/secret"
	"patchbay/backend/secret/secrettest"
)

// TestGNOMEKeyring runs against a real keychain, in the private session that build/ci/keyring.sh makes. It never runs by
// itself: it would ask the person's own keychain.
func TestGNOMEKeyring(t *testing.T) {
	if os.Getenv("PATCHBAY_TEST_KEYRING") != "1" {
		t.Skip("run by `make keyring`, in a session of its own")
	}
	if home, err := os.UserHomeDir(); err != nil || !strings.HasPrefix(home, os.TempDir()) {
		t.Fatal("this is not the private session of `make keyring`")
	}
	ring := secret.SystemRing()
	if ring == nil {
		t.Fatal("there is no session bus")
	}

	t.Run("set and get", func(t *testing.T) {
		secrettest.Run(t, func(*testing.T) secret.Store { return osVault(&rows{}, ring) })
		if locked, known := ring.Locked(); locked || !known {
			t.Error(locked, known)
		}
	})

	t.Run("first choice", func(t *testing.T) {
		places, err := secret.Places(func(string) string { return "" }, t.TempDir(), ring)
		check(t, err)
		diff(t, secret.Status{State: secret.OK, Source: "os"}, secret.NewVault(&rows{}, places...).Status(t.Context()))
	})

	r := &rows{}
	check(t, osVault(r, ring).Put(t.Context(), ref, secret.New("x")))
	account := "vault-key-v1-" + r.m[ref].KeyID

	t.Run("absent and lost", func(t *testing.T) {
		if _, err := ring.Get("dev.patchbay.Patchbay", "nobody"); !errors.Is(err, secret.ErrNoItem) {
			t.Error(err)
		}
		text, err := ring.Get("dev.patchbay.Patchbay", account)
		check(t, err)
		check(t, ring.Delete("dev.patchbay.Patchbay", account))
		if s := osVault(r, ring).Status(t.Context()); s.State != secret.Lost {
			t.Errorf("%+v", s)
		}
		check(t, ring.Set("dev.patchbay.Patchbay", account, text))
		diff(t, secret.OK, osVault(r, ring).Status(t.Context()).State)
	})

	t.Run("the item as other programs see it", func(t *testing.T) {
		out, err := exec.Command("secret-tool", "lookup", "service", "dev.patchbay.Patchbay", "username", account).Output()
		if err != nil || len(strings.TrimSpace(string(out))) != 44 {
			t.Errorf("%v, %d characters", err, len(out))
		}
	})

	t.Run("moved away and back", func(t *testing.T) {
		r := &rows{}
		places, err := secret.Places(func(string) string { return "" }, t.TempDir(), ring)
		check(t, err)
		v := secret.NewVault(r, places...)
		check(t, v.Put(t.Context(), ref, secret.New("y")))
		for _, to := range []string{"file", "os"} {
			account := "vault-key-v1-" + r.m[ref].KeyID
			m, err := v.Move(t.Context(), to)
			check(t, err)
			diff(t, 1, m.Sealed)
			if m.Kept != nil {
				t.Error(m.Kept)
			}
			if _, err := ring.Get("dev.patchbay.Patchbay", account); to == "file" && !errors.Is(err, secret.ErrNoItem) {
				t.Error("the old key is still in the keychain:", err)
			}
		}
		got, err := secret.NewVault(r, places...).Get(t.Context(), ref)
		check(t, err)
		diff(t, "y", got.Reveal())
	})

	t.Run("locked", func(t *testing.T) {
		lockKeyring(t)
		if locked, known := ring.Locked(); !locked || !known {
			t.Fatal("it is not locked", locked, known)
		}
		start := time.Now()
		v := osVault(r, ring)
		if s := v.Status(t.Context()); s.State != secret.Locked || s.Source != "os" {
			t.Errorf("%+v", s)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Error("a locked keychain held the program up for", d)
		}
		if err := v.Put(t.Context(), ref, secret.New("z")); !errors.Is(err, secret.ErrLocked) {
			t.Error(err)
		}
		unlockKeyring(t)
		got, err := v.Get(t.Context(), ref) // the same vault: nothing was started anew
		check(t, err)
		diff(t, "x", got.Reveal())
	})
}

const loginCollection = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")

// lockKeyring does what the session does when its screen is locked.
func lockKeyring(t *testing.T) {
	t.Helper()
	onKeyring(t, func(service dbus.BusObject) error {
		return service.Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{loginCollection}).Err
	})
}

// unlockKeyring does what a prompt does once the person has typed the password. The call is gnome-keyring's own
// (daemon/dbus/gkd-secret-service.c), for there is no prompt without a display.
func unlockKeyring(t *testing.T) {
	t.Helper()
	onKeyring(t, func(service dbus.BusObject) error {
		var none dbus.Variant
		master := struct {
			Session    dbus.ObjectPath
			Parameters []byte
			Value      []byte
			Type       string
		}{Value: []byte(os.Getenv("PATCHBAY_TEST_KEYRING_PASSWORD")), Type: "text/plain"}
		err := service.Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&none, &master.Session)
		if err != nil {
			return err
		}
		return service.Call("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0, loginCollection, master).Err
	})
}

func onKeyring(t *testing.T, do func(service dbus.BusObject) error) {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	check(t, err)
	defer conn.Close()
	check(t, do(conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets")))
}

// TestSessionWithoutAKeychain needs the bus of a session, but no keychain on it.
func TestSessionWithoutAKeychain(t *testing.T) {
	if os.Getenv("PATCHBAY_TEST_KEYRING") != "none" {
		t.Skip("run by `make keyring`, in a session of its own")
	}
	places, err := secret.Places(func(string) string { return "" }, t.TempDir(), secret.SystemRing())
	check(t, err)
	if s := secret.NewVault(&rows{}, places...).Status(t.Context()); s.State != secret.OK || s.Source != "file" {
		t.Errorf("%+v", s)
	}
	if err := places[1].Usable(t.Context()); !errors.Is(err, secret.ErrUnusable) || !errors.Is(err, secret.ErrNoRing) {
		t.Error(err)
	}
}
