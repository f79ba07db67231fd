package tray

import (
	"errors"
	"log/slog"
	"runtime"
	"sync"
)

// ErrNoTray reports that there can be no tray here: no session bus, or a build without one. Everything else goes on.
var ErrNoTray = errors.New("this session has no notification area")

// Options are what a Tray needs.
type Options struct {
	Menu  Menu        // to begin with
	Click func(Click) // is told what the person wants; each call has a goroutine of its own
	// Ended is called on the event loop when the system ends the session: what must not be lost is written before it returns.
	Ended func()
	// Host is told whether something shows the icon, once that is known and whenever it changes; may be nil.
	Host func(shown bool)
	Log  *slog.Logger
}

// Tray is the icon on screen. There can be one in the life of a process (systray's quit runs once).
type Tray struct {
	o       Options
	changed chan struct{} // holds one: there is a menu to be shown
	done    chan struct{} // closed by Stop
	stop    sync.Once

	mu   sync.Mutex // guards what follows
	want Menu
}

// New makes a tray; Run shows it.
func New(o Options) *Tray {
	return &Tray{o: o, want: o.Menu, changed: make(chan struct{}, 1), done: make(chan struct{})}
}

// Set says what is to be shown from now on. It never blocks: only the latest menu counts.
func (t *Tray) Set(m Menu) {
	t.mu.Lock()
	t.want = m
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default: // it is told already
	}
}

func (t *Tray) wanted() Menu {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.want
}

// Stop takes the icon away and lets Run return. It may be called at any time and more than once.
func (t *Tray) Stop() { t.stop.Do(func() { close(t.done) }) }

// guard does something with the tray that may fail badly: the module panics when its connection to the desktop is gone
// (fyne.io/systray v1.12.2, SetIcon). A tray that fails must not take anything else with it.
func (t *Tray) guard(what string, do func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			t.o.Log.Debug("The tray failed", "what", what, "err", r)
			ok = false
		}
	}()
	do()
	return true
}

// iconNames are the names of the files of the icons.
var iconNames = map[Icon]string{IconReady: "ok", IconNeeds: "attention", IconDown: "down", IconPaused: "paused"}

// icon returns the picture of an icon for a background.
func icon(i Icon, variant string) []byte {
	b, err := icons.ReadFile(iconFile(iconNames[i], variant))
	if err != nil {
		b, _ = icons.ReadFile(iconFile(iconNames[IconReady], variant)) // a test finds the missing one
	}
	return b
}

const goos = runtime.GOOS
