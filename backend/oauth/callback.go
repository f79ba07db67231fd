package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"patchbay/backend/provider"
)

// hub owns the loopback listeners. Sign-ins that need the same fixed port share its listener: the state tells them apart.
type hub struct {
	holder func(port int) string // names who holds a port, "" if nobody knows

	mu     sync.Mutex // guards doors and the sessions of each
	doors  map[int]*door
	closed sync.WaitGroup
}

// door is one port that the browser may come back to.
type door struct {
	port      int
	listeners []net.Listener
	server    *http.Server
	sessions  map[*session]struct{} // guarded by hub.mu
}

// taken is a fixed port that somebody else holds.
type taken struct {
	port int
	by   string
}

func (t taken) String() string {
	if t.by == "" {
		return "port " + strconv.Itoa(t.port) + " is taken by another program"
	}
	return "port " + strconv.Itoa(t.port) + " is taken by " + t.by
}

// open makes s reachable on the first port that can be had. No port is no error: the person can paste.
func (h *hub) open(s *session, login provider.Login) (port int, busy []taken) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ports := login.CallbackPorts
	if len(ports) == 0 {
		ports = []int{0}
	}
	for _, p := range ports {
		if d := h.doors[p]; d != nil && p != 0 {
			d.sessions[s] = struct{}{}
			return p, busy
		}
		listeners, err := listen(p, login.CallbackHost)
		if err != nil {
			t := taken{port: p}
			if inUse(err) && h.holder != nil {
				t.by = h.holder(p)
			}
			busy = append(busy, t)
			continue
		}
		d := h.serve(listeners)
		d.sessions[s] = struct{}{}
		return d.port, busy
	}
	return 0, busy
}

// inUse reports that a port cannot be had because another program has it. 10048 is Windows' own number for that
// (WSAEADDRINUSE of winsock2.h), for which Go has no portable name.
func inUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.Errno(10048))
}

// listen opens a port of this machine for IPv4 and IPv6: "localhost" may mean either to a browser. A machine without IPv6 is
// fine, a port that another program holds there is not.
func listen(port int, host string) ([]net.Listener, error) {
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	port = v4.Addr().(*net.TCPAddr).Port
	v6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	switch {
	case err == nil:
		return []net.Listener{v4, v6}, nil
	case inUse(err) && host == "localhost":
		return nil, errors.Join(err, v4.Close())
	default:
		return []net.Listener{v4}, nil
	}
}

// serve answers on the listeners. The caller holds the lock.
func (h *hub) serve(listeners []net.Listener) *door {
	d := &door{port: listeners[0].Addr().(*net.TCPAddr).Port, listeners: listeners, sessions: map[*session]struct{}{}}
	d.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.answer(d, w, r) }),
		ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	d.server.SetKeepAlivesEnabled(false)
	for _, l := range listeners {
		h.closed.Go(func() { _ = d.server.Serve(l) }) // ends when its listener is closed, with just that error
	}
	if h.doors == nil {
		h.doors = map[int]*door{}
	}
	h.doors[d.port] = d
	return d
}

// leave takes s off its port, which is closed after its last session. A page that is being written is finished first.
func (h *hub) leave(s *session, port int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.doors[port]
	if d == nil {
		return
	}
	delete(d.sessions, s)
	if len(d.sessions) > 0 {
		return
	}
	delete(h.doors, port)
	for _, l := range d.listeners {
		_ = l.Close() // now, so that the port is free for the next sign-in
	}
	h.closed.Go(func() { // ends when the last page is written, at most five seconds
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if d.server.Shutdown(ctx) != nil {
			_ = d.server.Close() // whoever is still there was given time
		}
	})
}

// answer is what the browser gets that comes back from a sign-in page.
func (h *hub) answer(d *door, w http.ResponseWriter, r *http.Request) {
	if !loopbackHost(r.Host) { // a page elsewhere that made its name point here
		http.Error(w, "this is a page for the browser on this machine only", http.StatusForbidden)
		return
	}
	q := r.URL.Query()
	here, known := h.find(d, r.URL.Path, q.Get("state"))
	if !known || r.Method != http.MethodGet { // a browser also asks for an icon
		http.NotFound(w, r)
		return
	}
	if here == nil {
		h.strange(d, r.URL.Path, q)
		writePage(w, http.StatusBadRequest, page{Title: "This sign-in is not known",
			Text: "It is over, was started by another program, or was changed on the way. Nothing was taken from it. Start the sign-in again in Patchbay."})
		return
	}
	err := here.offer(offered{query: q, path: r.URL.Path})
	if err != nil {
		writePage(w, http.StatusConflict, page{Title: "This sign-in was used already", Text: "Look at Patchbay: it says how it went."})
		return
	}
	writePage(w, http.StatusOK, here.outcome(r.Context()))
}

// find returns the session with this state at a door; known says whether any session there waits at this path at all.
func (h *hub) find(d *door, path, state string) (s *session, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range d.sessions {
		if !c.takes(path) {
			continue
		}
		known = true
		if subtle.ConstantTimeCompare([]byte(c.state), []byte(state)) == 1 {
			s = c
		}
	}
	return s, known
}

// strange tells the only session at a path that somebody came back with an error and without its state: some services leave
// it out. The sign-in goes on, for anybody can send that.
func (h *hub) strange(d *door, path string, q url.Values) {
	if q.Get("error") == "" || q.Get("state") != "" {
		return
	}
	h.mu.Lock()
	var only *session
	for c := range d.sessions {
		if c.takes(path) {
			if only != nil {
				only = nil
				break
			}
			only = c
		}
	}
	h.mu.Unlock()
	if only != nil {
		only.note("The browser came back with an error: " + saidBy(q) + ". Try again on the page, or cancel.")
	}
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// saidBy is the error that a sign-in page gave.
func saidBy(q url.Values) string {
	code, text := clean(q.Get("error")), clean(q.Get("error_description"))
	switch {
	case text == "":
		return code
	case code == "":
		return text
	}
	return fmt.Sprintf("%s (%s)", text, code)
}
