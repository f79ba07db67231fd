//go:build !windows && !darwin

package tray

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"fyne.io/systray"
	"github.com/godbus/dbus/v5"
)

const (
	watcherName = "org.kde.StatusNotifierWatcher"
	watcherPath = "/StatusNotifierWatcher"
)

// hostPatience is how long a desktop has after our start to show tray icons: panels start at the same time as we do.
const hostPatience = 3 * time.Second

// present reports whether there can be a tray: it is a service on the session bus. Without an address the D-Bus library would
// start a bus of its own and leave it behind.
func present() error {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" && !exists(os.Getenv("XDG_RUNTIME_DIR")+"/bus") {
		return ErrNoTray
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return ErrNoTray
	}
	conn.Close()
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// prepare says what the module must know before it starts: by the title a panel remembers where the icon was, and whether a
// click on the icon does something is told once.
func (a *actor) prepare() {
	systray.SetTitle("patchbay")
	a.setIcon(a.t.wanted())
	systray.SetOnTapped(func() { go a.t.o.Click(Click{Do: Open}) })
}

// darkPanels and lightPanels are desktops whose panel is so as they come, whatever the colours of the windows are.
var (
	darkPanels  = []string{"GNOME", "Unity", "Pantheon", "Budgie", "X-Cinnamon"}
	lightPanels = []string{"XFCE", "MATE", "LXDE"}
)

// background is what the icon lies on, as far as that can be known.
func background() string {
	for _, d := range strings.Split(os.Getenv("XDG_CURRENT_DESKTOP"), ":") {
		switch {
		case slices.Contains(darkPanels, d):
			return "dark"
		case slices.Contains(lightPanels, d):
			return "light"
		}
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return "dark"
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	var v dbus.Variant
	err = conn.Object("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop").CallWithContext(ctx,
		"org.freedesktop.portal.Settings.Read", dbus.FlagNoAutoStart, "org.freedesktop.appearance", "color-scheme").Store(&v)
	if err != nil {
		return "dark" // most panels are
	}
	for {
		inner, ok := v.Value().(dbus.Variant) // the portal wraps it twice
		if !ok {
			break
		}
		v = inner
	}
	if n, ok := v.Value().(uint32); ok && n == 2 { // prefers light
		return "light"
	}
	return "dark"
}

// watchHost tells whether something shows the icon. GNOME shows none without an extension, and a panel may come later.
func watchHost(t *Tray) (stop func()) {
	if t.o.Host == nil {
		return func() {}
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.o.Host(false)
		return func() {}
	}
	go func() { // ends when conn does: stop closes it, or the bus goes
		first := time.NewTimer(hostPatience)
		defer first.Stop()
		signals := make(chan *dbus.Signal, 16)
		conn.Signal(signals)
		// Without the signals the first look is the only one.
		_ = conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, watcherName))
		_ = conn.AddMatchSignal(dbus.WithMatchInterface(watcherName), dbus.WithMatchObjectPath(watcherPath))
		known, shown := false, false
		tell := func(now bool) {
			if !known || now != shown {
				known, shown = true, now
				t.o.Host(now)
			}
		}
		for {
			select {
			case <-first.C:
				tell(hasHost(conn))
			case s := <-signals:
				if s != nil && (known || hasHost(conn)) {
					tell(hasHost(conn))
				}
			case <-conn.Context().Done():
				select {
				case <-t.done:
				default:
					tell(false) // the session's bus is gone, and with it the icon
				}
				return
			}
		}
	}()
	return func() { conn.Close() }
}

// hasHost reports whether something shows tray icons now.
func hasHost(conn *dbus.Conn) bool {
	ctx, cancel := context.WithTimeout(conn.Context(), time.Second)
	defer cancel()
	var v dbus.Variant
	err := conn.Object(watcherName, watcherPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart,
		watcherName, "IsStatusNotifierHostRegistered").Store(&v)
	if err != nil {
		return false
	}
	shown, ok := v.Value().(bool)
	return ok && shown
}
