package secret

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// ringMayExist reports whether there is a session bus. Without one the bus library would start one of its own, which nobody
// ever ends and on which there is no keychain.
func ringMayExist() bool {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(os.Getuid())} {
		if _, err := os.Stat(filepath.Join(dir, "bus")); dir != "" && err == nil {
			return true
		}
	}
	return false
}

// Names of the Secret Service API (specifications.freedesktop.org/secret-service).
const (
	secretsName       = "org.freedesktop.secrets"
	secretsLogin      = "/org/freedesktop/secrets/collection/login"
	secretsDefault    = "/org/freedesktop/secrets/aliases/default"
	secretsCollection = "org.freedesktop.Secret.Collection"
)

// lookPatience is how long the bus may take to say whether the keychain is locked; no person is asked for that.
const lookPatience = 2 * time.Second

// ringLocked looks at the collection that go-keyring uses, over a connection of its own.
func ringLocked() (locked, known bool) {
	if !ringMayExist() {
		return false, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookPatience)
	defer cancel()
	conn, err := dbus.ConnectSessionBus(dbus.WithContext(ctx))
	if err != nil {
		return false, false
	}
	defer conn.Close()
	for _, path := range []dbus.ObjectPath{secretsLogin, secretsDefault} {
		var v dbus.Variant
		call := conn.Object(secretsName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, secretsCollection, "Locked")
		if call.Store(&v) != nil {
			continue
		}
		if locked, ok := v.Value().(bool); ok {
			return locked, true
		}
	}
	return false, false
}

// ringMissing reports an error which says that no keychain answers on the bus, or that there is no bus.
func ringMissing(err error) bool {
	var e dbus.Error
	if errors.As(err, &e) {
		return e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" ||
			strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Spawn.")
	}
	var pe *os.PathError
	return errors.Is(err, os.ErrNotExist) || errors.As(err, &pe) || strings.Contains(err.Error(), "dial unix")
}
