package app

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"time"

	"patchbay/app/window"
	"patchbay/backend"
)

// waiting is the page that says who has Patchbay's port and offers another one, and where it is served. Nothing else can show
// it: Patchbay's own page stands behind the very port.
type waiting struct {
	room *backend.WaitingRoom
	path string // nobody else knows it
}

// openRoom opens the page, unless it is open already.
func (a *App) openRoom(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting != nil {
		return nil
	}
	w := &waiting{path: "/ui/" + rand.Text() + "/"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+w.path+"{$}", a.writeTaken)
	mux.HandleFunc("GET "+w.path+"link", a.writeLink)
	mux.HandleFunc("POST "+w.path+"use", a.useOffered)
	mux.HandleFunc("POST "+w.path+"again", func(http.ResponseWriter, *http.Request) { a.tryPort() })
	room, err := a.b.OpenWaitingRoom(ctx, mux, a.cancel)
	if err != nil {
		return err
	}
	w.room, a.waiting = room, w
	return nil
}

// farewell is how long the page is served after Patchbay listens: a browser asks once a second where to go on.
const farewell = 5 * time.Second

// leave ends the page a while later, or at once when Patchbay ends.
func (w *waiting) leave(ctx context.Context) {
	t := time.NewTimer(farewell)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	w.room.Close()
}

// leaveRoom ends the page when Patchbay ends while its port is taken.
func (a *App) leaveRoom() {
	a.mu.Lock()
	w := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	if w != nil {
		w.room.Close()
	}
}

// waitingPage is the address of the page; "" = the port is Patchbay's.
func (a *App) waitingPage() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		return ""
	}
	return a.waiting.room.Base + a.waiting.path
}

func (a *App) writeTaken(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'")
	a.mu.Lock()
	p := a.port
	a.mu.Unlock()
	if p == nil {
		w.WriteHeader(http.StatusNoContent) // it is Patchbay's meanwhile, and the page is led on
		return
	}
	port := strconv.Itoa(p.Number)
	page := window.Taken{
		Title: a.say("notify.port.title", "port", port), Body: a.say("window.port.body", "owner", p.Owner), Again: a.say("window.port.again", "port", port),
	}
	if p.Free != 0 {
		page.Use, page.After = a.say("tray.portUse", "port", strconv.Itoa(p.Free)), a.say("window.port.after")
	}
	if err := page.Write(w); err != nil {
		a.report("writing the page about the port", err)
	}
}

// writeLink says where a browser goes on; an open window is sent there instead.
func (a *App) writeLink(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if a.b.Base() == "" || a.window.isOpen() {
		return
	}
	t, err := a.b.OpenPage(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte(t.URL.Reveal())) // who has gone needs no address
}

// useOffered takes the port that the page offers.
func (a *App) useOffered(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	p := a.port
	a.mu.Unlock()
	if p == nil || p.Free == 0 {
		return // it was taken by a click on the menu
	}
	if err := a.usePort(strconv.Itoa(p.Free)); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}
