// Command unlock opens the login keyring of a gnome-keyring as a prompt does once the person has typed the password, for tests
// on desktops that nobody sits at: unlock PASSWORD.
package main

import (
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: unlock PASSWORD")
		os.Exit(2)
	}
	if err := unlock(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "unlock:", err)
		os.Exit(1)
	}
}

// unlock uses gnome-keyring's own call (daemon/dbus/gkd-secret-service.c): the public one asks by a prompt.
func unlock(password string) error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer conn.Close()
	service := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
	var none dbus.Variant
	master := struct {
		Session    dbus.ObjectPath
		Parameters []byte
		Value      []byte
		Type       string
	}{Value: []byte(password), Type: "text/plain"}
	if err := service.Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&none, &master.Session); err != nil {
		return err
	}
	return service.Call("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0,
		dbus.ObjectPath("/org/freedesktop/secrets/collection/login"), master).Err
}
