// Package app is Patchbay on a desktop: the life of the resident process, the tray with its menu, the window, notifications
// and what a sleeping machine does to connections. Each of them may be missing, and none may keep the backend from serving.
//
// The order of starting is: instance lock, settings, store, vault, listener, tray. Quitting runs it backwards.
package app

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"time"

	"patchbay/app/tray"
	"patchbay/backend"
	"patchbay/backend/api"
	"patchbay/frontend"
)

// Grace is how long streams may go on after Quit. They then end with their protocol's error event: all is over in three
// seconds.
const Grace = 1500 * time.Millisecond

// Options say how the desktop is started.
type Options struct {
	Backend backend.Options // Ready, Grace and Version are seen to here
	Hidden  bool            // start without a window, as at login
	Ready   func(base string)
	Browse  func(address string) error // opens a page in the person's browser
	Exe     string                     // the running program; "" = there is none to start windows from
}

// App is the resident process of a desktop.
type App struct {
	o      Options
	b      *backend.Backend
	log    *slog.Logger
	rooms  sync.WaitGroup // waiting rooms that are being left
	tray   *tray.Tray
	window *opener
	memory *memory
	notify *notifier
	login  loginItem
	cancel context.CancelFunc
	up     chan struct{} // closed when it listens, or knows that it cannot
	upOnce sync.Once
	done   chan struct{} // closed when the backend is closed
	retry  chan struct{} // holds one: listen again
	dirty  chan struct{} // holds one: something changed

	mu        sync.Mutex // guards what follows
	err       error      // why the backend ended
	port      *tray.Port // the port is taken
	waiting   *waiting   // the page of that; nil = there is none
	problem   string
	trayState string
	texts     *frontend.Texts
	language  string
}

var _ backend.Desktop = (*App)(nil)

// Run opens Patchbay and shows it until it is asked to quit. It must be called from the main goroutine, where macOS and
// Windows want the tray. The error is backend.ErrRunning if another one runs already.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &App{
		o: o, cancel: cancel, trayState: "starting", up: make(chan struct{}), done: make(chan struct{}),
		retry: make(chan struct{}, 1), dirty: make(chan struct{}, 1), login: systemLogin{},
	}
	bo := o.Backend
	bo.Grace = Grace
	bo.Ready = func(base string) { a.ready(ctx, base) }
	b, err := backend.Open(ctx, bo)
	if err != nil {
		return err
	}
	a.b, a.log = b, b.Log("app")
	// The modules of the tray and the window talk to the standard logger.
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(a.log.Handler(), slog.LevelDebug).Writer())
	a.memory = openMemory(bo.Paths.Data)
	a.setLanguage()
	a.window = newOpener(a)
	a.notify = newNotifier(a.log, func(page string) { a.report("showing the window", a.Show(page)) })
	a.tray = tray.New(tray.Options{Menu: tray.Build(a.state(ctx), a.say), Click: a.click, Ended: a.sessionEnds, Host: a.hostSeen, Log: a.log})
	b.SetDesktop(a)
	a.report("mending start at login", systemLogin{}.mend())

	go a.serve(ctx) // ends with ctx, and closes done
	select {
	case <-a.up:
	case <-a.done:
		return a.failure()
	}
	go a.follow(ctx)                                                                           // ends with ctx
	go watchClock(ctx, lookAtClock, clocks(), networks, func(back time.Duration, why string) { // ends with ctx
		a.log.Info("Time or network changed; connections and waiting times are looked at anew", "why", why)
		a.b.Wake(back)
		a.changed()
	})
	if !o.Hidden || !a.memory.get().Seen {
		go func() { a.report("showing the window", a.Show("")) }() // a window may take a second; ends with it
	}
	if err := a.tray.Run(); err != nil {
		a.log.Info("There is no tray; Patchbay goes on without one", "why", err)
		a.hostSeen(false)
	}
	<-a.done
	return a.failure()
}

func (a *App) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// ready is called when the backend listens.
func (a *App) ready(ctx context.Context, base string) {
	a.mu.Lock()
	room := a.waiting
	a.port, a.problem, a.waiting = nil, "", nil
	a.mu.Unlock()
	if room != nil {
		a.rooms.Go(func() { room.leave(ctx) })
	}
	if a.o.Ready != nil {
		a.o.Ready(base)
	}
	a.upOnce.Do(func() { close(a.up) })
	a.changed()
}

// portPatience is how long a taken port is left before it is tried again: who has it may end.
const portPatience = 10 * time.Second

// serve runs the backend until it is asked to quit. A port that is taken is no reason to end: the person may choose another
// one in the menu.
func (a *App) serve(ctx context.Context) {
	defer close(a.done)
	defer a.tray.Stop()
	window := make(chan struct{})
	go func() { // ends with ctx: the window goes while streams come to their end
		defer close(window)
		<-ctx.Done()
		a.window.quit()
	}()
	var err error
	for {
		err = a.b.Run(ctx)
		taken, is := errors.AsType[*backend.PortTaken](err)
		if !is {
			break
		}
		a.portTaken(ctx, taken)
		wait := time.NewTimer(portPatience)
		select {
		case <-wait.C:
		case <-a.retry:
		case <-ctx.Done():
		}
		wait.Stop()
		if ctx.Err() != nil {
			err = nil
			break
		}
	}
	if errors.Is(err, context.Canceled) {
		err = nil // it was asked to quit
	}
	a.cancel()
	<-window
	a.leaveRoom()
	a.rooms.Wait()
	a.notify.close()
	err = errors.Join(err, a.b.Close())
	a.mu.Lock()
	a.err = err
	a.mu.Unlock()
}

// portTaken says who has the port and looks for another one; nothing moves by itself.
func (a *App) portTaken(ctx context.Context, e *backend.PortTaken) {
	a.mu.Lock()
	known := a.port != nil && a.port.Number == e.Port
	if !known {
		a.port = &tray.Port{Number: e.Port, Owner: e.Owner, Free: freePort(e.Port)}
	}
	a.mu.Unlock()
	if known {
		return
	}
	a.log.Error("The port is taken", "port", e.Port, "owner", e.Owner)
	a.report("telling who has the port", a.openRoom(ctx))
	a.upOnce.Do(func() { close(a.up) })
	n := fmt.Sprint(e.Port)
	if a.wants().Port {
		a.notify.send(note{cause: "port/" + n, title: a.say("notify.port.title", "port", n), body: a.say("notify.port.body", "owner", e.Owner)})
	}
	a.changed()
}

// sessionEnds is called on the tray's event loop when the system ends the session: the process may be gone when it returns.
func (a *App) sessionEnds() {
	a.cancel()
	select {
	case <-a.done:
	case <-time.After(Grace + time.Second):
	}
}

// hostSeen notes whether anything shows the icon. Where nothing does, the person is told once, since nothing else would say
// that Patchbay goes on after its window was closed.
func (a *App) hostSeen(shown bool) {
	a.mu.Lock()
	a.trayState = map[bool]string{true: "registered", false: "none"}[shown]
	a.mu.Unlock()
	a.log.Info("The tray is looked for", "shown", shown)
	if !shown && a.memory.once(func(m *remembered) *bool { return &m.ToldNoTray }) {
		a.notify.send(note{cause: "no tray", title: "Patchbay", body: a.say("tray.noHost")})
	}
}

// Show implements backend.Desktop.
func (a *App) Show(page string) error { return a.window.show(page) }

// OpenLink implements backend.Desktop.
func (a *App) OpenLink(address string) error {
	if err := a.o.Browse(address); err != nil {
		return fmt.Errorf("opening the browser: %w; open this address yourself: %s", err, address)
	}
	return nil
}

// Tray implements backend.Desktop.
func (a *App) Tray() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trayState
}

// View implements backend.Desktop.
func (a *App) View() api.DesktopView {
	return api.DesktopView{Desktop: true, Tray: a.Tray(), Window: a.window.kind(), StartAtLogin: a.login.read()}
}

// SetStartAtLogin implements backend.Desktop.
func (a *App) SetStartAtLogin(on bool) error {
	defer a.changed()
	return a.login.set(on)
}

// changed has the menu looked at anew.
func (a *App) changed() {
	select {
	case a.dirty <- struct{}{}:
	default: // it is told already
	}
}

// report logs what went wrong where nobody waits for an answer.
func (a *App) report(doing string, err error) {
	if err != nil {
		a.log.Error("Something asked for on the desktop did not work", "what", doing, "err", err)
	}
}

// say returns a text in the person's language.
func (a *App) say(key string, values ...string) string {
	a.mu.Lock()
	t := a.texts
	a.mu.Unlock()
	return t.Say(key, values...)
}

// setLanguage follows the settings, and the system where they say nothing.
func (a *App) setLanguage() {
	set, _ := a.b.DesktopSettings()
	l := set.Language
	if l == "" {
		l = frontend.Language(SystemLanguages()...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l == a.language {
		return
	}
	t, err := frontend.LoadTexts(l, "tray")
	if err != nil {
		a.log.Error("The texts cannot be read", "language", l, "err", err)
		if a.texts != nil {
			return
		}
		t = &frontend.Texts{} // it says the keys, which is better than nothing
	}
	a.texts, a.language = t, l
}
