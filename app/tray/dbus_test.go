//go:build linux && !race

package tray

import (
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// Without the race detector: fyne.io/systray v1.12.2 has data races of its own.

// watcher plays the desktop's part: panels register with it, and it is told of icons.
type watcher struct{ items chan string }

func (w *watcher) RegisterStatusNotifierItem(_ string, sender dbus.Sender) *dbus.Error {
	w.items <- string(sender)
	return nil
}

// Get is the part of org.freedesktop.DBus.Properties that is asked for: a host is there.
func (w *watcher) Get(_, _ string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant(true), nil }

type node struct {
	ID       int32
	Props    map[string]dbus.Variant
	Children []dbus.Variant
}

// desktop is the session as the test sees it.
type desktop struct {
	t    *testing.T
	menu dbus.BusObject
	icon dbus.BusObject
}

// root reads the menu as panels do. The first answer is one level deep, so it is asked twice.
func (d desktop) root() (n node) {
	d.t.Helper()
	var revision uint32
	for range 2 {
		if err := d.menu.Call("com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &n); err != nil {
			d.t.Fatal(err)
		}
	}
	return n
}

// find finds an entry by its label, below another one or at the top. Hidden ones are not there.
func (d desktop) find(path ...string) (node, bool) {
	d.t.Helper()
	n := d.root()
next:
	for _, want := range path {
		for _, v := range n.Children {
			var c node
			if dbus.Store([]any{v.Value()}, &c) != nil || c.Props["label"].Value() != want {
				continue
			}
			if visible, ok := c.Props["visible"]; ok && visible.Value() == false {
				continue
			}
			n = c
			continue next
		}
		return node{}, false
	}
	return n, true
}

func (d desktop) click(path ...string) {
	d.t.Helper()
	n, ok := d.find(path...)
	if !ok {
		d.t.Fatalf("there is no entry %q", path)
	}
	if err := d.menu.Call("com.canonical.dbusmenu.Event", 0, n.ID, "clicked", dbus.MakeVariant(int32(0)), uint32(0)).Err; err != nil {
		d.t.Fatal(err)
	}
}

// until waits for something that the tray does on its own time.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// TestTrayOnASessionBus shows a menu to a desktop that the test plays, and clicks on it. There is one tray in the life of a
// process, so this is one story.
func TestTrayOnASessionBus(t *testing.T) {
	if os.Getenv("PATCHBAY_TEST_BUS") == "" {
		t.Skip("needs a session bus of its own: make tray")
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := &watcher{items: make(chan string, 4)}
	for _, iface := range []string{watcherName, "org.freedesktop.DBus.Properties"} {
		if err := conn.Export(w, watcherPath, iface); err != nil {
			t.Fatal(err)
		}
	}

	var mu sync.Mutex
	var clicks []Click
	clicked := func() []Click { mu.Lock(); defer mu.Unlock(); return append([]Click{}, clicks...) }
	hosts := make(chan bool, 4)
	english := say(t, "en")
	s := working()
	tr := New(Options{
		Menu:  Build(s, english),
		Click: func(c Click) { mu.Lock(); clicks = append(clicks, c); mu.Unlock() },
		Host:  func(shown bool) { hosts <- shown },
		Log:   slog.New(slog.DiscardHandler),
	})
	ran := make(chan error, 1)
	go func() { ran <- tr.Run() }()
	if shown := <-hosts; shown {
		t.Error("a host was seen before there was one")
	}

	// The desktop's part comes later, as after a crash of the panel.
	if _, err := conn.RequestName(watcherName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	item := <-w.items
	if shown := <-hosts; !shown {
		t.Error("the host was not seen")
	}
	d := desktop{t, conn.Object(item, "/StatusNotifierItem/menu"), conn.Object(item, "/StatusNotifierItem")}

	id, err := d.icon.GetProperty("org.kde.StatusNotifierItem.Id")
	if err != nil || id.Value() != "patchbay" {
		t.Errorf("the icon's id is %v (%v), by which panels remember its place", id, err)
	}
	if n, ok := d.find("Ready: 2 of 4 accounts"); !ok || n.Props["enabled"].Value() != false {
		t.Errorf("the first line: %v %v", ok, n.Props)
	}
	if n, ok := d.find("Default provider", "Codex · 1 of 3 ready"); !ok || n.Props["toggle-state"].Value() != int32(1) {
		t.Errorf("the default provider has no mark: %v %v", ok, n.Props)
	}
	if _, ok := d.find("Go on"); ok {
		t.Error("an entry of another state is there")
	}
	d.click("Default provider", "Anthropic · ready")
	d.click("Sign in again: Codex, studio@example.com")
	until(t, "two clicks arrive", func() bool { return len(clicked()) == 2 })
	want := map[Click]bool{{SetDefault, "anthropic"}: true, {OpenSignIn, "a2"}: true}
	for _, c := range clicked() {
		if !want[c] {
			t.Errorf("somebody clicked on %v", c)
		}
	}

	// Another state, with names that hold the marks of mnemonics.
	s.Paused, s.Providers[0].Default, s.Providers[1].Default = true, false, true
	s.Accounts[0].Name, s.Accounts[1].Ready, s.Accounts[1].NeedsSignIn = "my_key", true, false
	tr.Set(Build(s, english))
	until(t, "the menu follows", func() bool { _, ok := d.find("Go on"); return ok })
	if n, ok := d.find("Default provider", "Anthropic · ready"); !ok || n.Props["toggle-state"].Value() != int32(1) {
		t.Errorf("the mark did not move: %v %v", ok, n.Props)
	}
	if _, ok := d.find("Resting", "my__key, until 17:52"); !ok {
		t.Error("the underscore is not written twice")
	}
	if _, ok := d.find("Sign in again: Codex, studio@example.com"); ok {
		t.Error("who has signed in is still asked to")
	}
	before := len(clicked())
	d.click("Go on")
	if err := d.icon.Call("org.kde.StatusNotifierItem.Activate", 0, int32(0), int32(0)).Err; err != nil {
		t.Fatal(err)
	}
	until(t, "a click on the entry and one on the icon arrive", func() bool { return len(clicked()) == before+2 })

	for range 50 { // far more than the tray shows: only the last one counts
		s.InFlight++
		tr.Set(Build(s, english))
	}
	until(t, "the last menu is shown", func() bool { _, ok := d.find("127.0.0.1:8390 · 50 requests running"); return ok })

	tr.Stop()
	tr.Stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

func TestNoSessionBusIsNoTray(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	if err := New(Options{Log: slog.New(slog.DiscardHandler)}).Run(); err != ErrNoTray { //nolint:errorlint // exactly this one
		t.Errorf("without a bus: %v", err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if err := New(Options{Log: slog.New(slog.DiscardHandler)}).Run(); err != ErrNoTray { //nolint:errorlint // exactly this one
		t.Errorf("without an address: %v", err)
	}
}
