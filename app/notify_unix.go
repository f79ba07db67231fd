//go:build !windows && !darwin

package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = "/org/freedesktop/Notifications"
)

// busNotes shows notifications by the service of the desktop (freedesktop.org, Desktop Notifications 1.2), over a connection
// of its own that is made when it is needed.
type busNotes struct {
	mu      sync.Mutex // guards what follows
	conn    *dbus.Conn
	clicked map[uint32]func() // by the number of the notification
	closed  bool
}

func systemNotifications(*slog.Logger) (show func(n note, clicked func()) error, stop func()) {
	b := &busNotes{clicked: map[uint32]func(){}}
	return b.show, b.close
}

func (b *busNotes) show(n note, clicked func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.connect(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var id uint32
	err := b.conn.Object(notifyName, notifyPath).CallWithContext(ctx, notifyName+".Notify", 0,
		"Patchbay", uint32(0), "dev.patchbay.Patchbay", n.title, escapeMarkup(n.body), []string{"default", ""},
		map[string]dbus.Variant{"desktop-entry": dbus.MakeVariant("dev.patchbay.Patchbay")}, int32(-1)).Store(&id)
	if err != nil {
		return err
	}
	b.clicked[id] = clicked
	return nil
}

// connect makes the connection if there is none. The caller holds the lock.
func (b *busNotes) connect() error {
	if b.closed {
		return errors.New("the program is about to end")
	}
	if b.conn != nil && b.conn.Connected() {
		return nil
	}
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		if _, err := os.Stat(os.Getenv("XDG_RUNTIME_DIR") + "/bus"); err != nil {
			return errors.New("this session has no bus") // the library would start one and leave it behind
		}
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(notifyName), dbus.WithMatchObjectPath(notifyPath)); err != nil {
		conn.Close()
		return err
	}
	b.conn = conn
	go b.listen(signals) // ends with the connection, which closes the channel
	return nil
}

func (b *busNotes) listen(signals <-chan *dbus.Signal) {
	for s := range signals {
		if len(s.Body) == 0 {
			continue
		}
		id, _ := s.Body[0].(uint32)
		b.mu.Lock()
		clicked := b.clicked[id]
		if s.Name == notifyName+".NotificationClosed" {
			delete(b.clicked, id)
		}
		b.mu.Unlock()
		if s.Name == notifyName+".ActionInvoked" && clicked != nil {
			go clicked() // ends with what it does; the next signal must not wait for it
		}
	}
}

func (b *busNotes) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.conn != nil {
		b.conn.Close()
	}
}
