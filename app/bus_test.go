//go:build linux && !race

package app

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"patchbay/backend"
)

// Without the race detector: fyne.io/systray v1.12.2 has data races of its own.

// panel plays the desktop's part on a session bus: icons register with it.
type panel struct{ items chan string }

func (p *panel) RegisterStatusNotifierItem(_ string, sender dbus.Sender) *dbus.Error {
	p.items <- string(sender)
	return nil
}

// Get is the part of org.freedesktop.DBus.Properties that is asked for: a host is there.
func (p *panel) Get(_, _ string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant(true), nil }

// sessionBus starts a bus that starts nothing by itself.
func sessionBus(t *testing.T) (address string, kill func()) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "bus.conf")
	err := os.WriteFile(conf, []byte(`<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "dbus-daemon", "--config-file="+conf, "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), func() { _ = cmd.Process.Kill(); _ = cmd.Wait() } // killed is what it says
}

// TestPatchbayOutlivesItsSessionBus ends the bus under a running Patchbay, as the end of a session does, and has it change its
// icon, which the tray's module answers with a panic.
func TestPatchbayOutlivesItsSessionBus(t *testing.T) {
	if os.Getenv("PATCHBAY_TEST_BUS") == "" {
		t.Skip("there is one tray in the life of a process: make tray")
	}
	address, kill := sessionBus(t)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const watcher = "org.kde.StatusNotifierWatcher"
	p := &panel{items: make(chan string, 4)}
	for _, iface := range []string{watcher, "org.freedesktop.DBus.Properties"} {
		if err := conn.Export(p, "/StatusNotifierWatcher", iface); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestName(watcher, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	paths, _, cancel, ended := desktopOn(t, address, "server: {listen: 127.0.0.1:0}\n")
	<-p.items
	client, err := backend.Running(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	tray := func(want string) func() bool {
		return func() bool { st, err := client.Status(t.Context()); return err == nil && st.Tray == want }
	}
	soon(t, "the tray is there", tray("registered"))
	kill()
	soon(t, "it is known that the tray has gone", tray("none"))
	st, err := client.Pause(t.Context())
	if err != nil || !st.Paused {
		t.Error(st, err)
	}
	if st, err = client.Resume(t.Context()); err != nil || st.Paused {
		t.Error(st, err)
	}
	if code, body := call(t, "GET", st.Base+"/health", ""); code != http.StatusOK {
		t.Error(code, body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
