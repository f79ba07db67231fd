package backend

import (
	"context"
	"net"
	"net/http"
	"os"
	"time"

	"patchbay/backend/api"
)

// WaitingRoom is where a desktop can be reached while its port is taken: by commands, so that a second start shows something
// and an installer can end it, and by a page for the person. It has a port that the system chose, which no app is told:
// apps are answered at the address of the settings or not at all.
type WaitingRoom struct {
	Base   string // http://127.0.0.1:45123
	server *http.Server
	ended  chan struct{}
}

// OpenWaitingRoom opens one that serves page under /ui/ until it is closed. quit is what Quit does until Run listens.
func (b *Backend) OpenWaitingRoom(ctx context.Context, page http.Handler, quit func()) (*WaitingRoom, error) {
	l, err := b.bind(ctx, "127.0.0.1:0", otherPort)
	if err != nil {
		return nil, err
	}
	at := l.Addr().String()
	w := &WaitingRoom{Base: "http://" + at, ended: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/api/", api.Handler(b, api.Options{Token: func() string { return b.token.Reveal() }, Base: func() string { return w.Base }}))
	mux.Handle("/ui/", page)
	w.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Host != at { // a page of the web whose name leads here
			http.Error(rw, "this is not an address of Patchbay", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(rw, r)
	})}
	go func() { // ends with Close
		defer close(w.ended)
		_ = w.server.Serve(l)
	}()
	b.mu.Lock()
	b.quit = quit
	b.mu.Unlock()
	if err := b.lock.Publish(Instance{PID: os.Getpid(), Port: l.Addr().(*net.TCPAddr).Port, Token: b.token, Version: b.o.Version, Base: w.Base}); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Close ends it. Calls that are being answered get a second.
func (w *WaitingRoom) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close() // the second is over
	}
	<-w.ended
}
