package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"patchbay/backend/doctor"
	"patchbay/backend/events"
	"patchbay/backend/record"
	"patchbay/backend/server"
)

// DefaultGrace is how long streams may go on when Patchbay stops.
const DefaultGrace = 10 * time.Second

// listen opens the listener and tells commands where it is.
func (b *Backend) listen(ctx context.Context) error {
	l, err := b.bind(ctx, b.settings.Current().Server.ListenAddr(), otherPort)
	if err != nil {
		return err
	}
	return b.listensOn(l)
}

// listensOn takes note of where apps find Patchbay.
func (b *Backend) listensOn(l net.Listener) error {
	port := l.Addr().(*net.TCPAddr).Port
	base := "http://" + net.JoinHostPort(showHost(l.Addr()), strconv.Itoa(port))
	b.mu.Lock()
	b.listener, b.base = l, base
	b.mu.Unlock()
	return b.lock.Publish(Instance{PID: os.Getpid(), Port: port, Token: b.token, Version: b.o.Version, Base: base})
}

// move takes the listener to another address. The old one is closed first, for the new one may be the same port; open
// connections go on. If the new address cannot be had, the old one is taken back and the log says why.
func (b *Backend) move(ctx context.Context, from, to string) (net.Listener, error) {
	b.mu.Lock()
	old := b.listener
	b.mu.Unlock()
	kept := old.Addr().String()
	_ = old.Close() // it is given up either way
	l, err := b.bind(ctx, to, otherPort)
	if err != nil {
		b.log.Logger().Error("Patchbay cannot listen on the new address and stays where it was", "new", to, "old", from, "err", err)
		if l, err = b.bind(ctx, kept, otherPort); err != nil {
			return nil, err
		}
	}
	if err := b.listensOn(l); err != nil {
		return nil, err
	}
	b.log.Logger().Info("Patchbay listens on another address", "base", b.Base())
	b.bus.Publish(events.Notice, "address", b.Base()) // open pages lead there
	return l, nil
}

// showHost is the host that apps on this machine use for a listener.
func showHost(a net.Addr) string {
	ip := a.(*net.TCPAddr).IP
	if ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return ip.String()
}

// otherPort says how to choose another port for the main listener.
const otherPort = "patchbay serve --listen 127.0.0.1:PORT (or server.listen in the settings)"

// bind opens a listener. other says where another port is chosen, if this one is taken.
func (b *Backend) bind(ctx context.Context, addr, other string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, taken(addr, other)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return l, nil
}

// PortTaken reports that another program listens where Patchbay should. It is left to the person to choose another port.
type PortTaken struct {
	Port  int
	Owner string // who seems to have it
	other string // how to choose another one
}

// Error says who has the port and what to do.
func (e *PortTaken) Error() string {
	return fmt.Sprintf("port %d is in use by %s; stop it, or choose another port: %s", e.Port, e.Owner, e.other)
}

// taken says who has the port.
func taken(addr, other string) error {
	_, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil {
		return fmt.Errorf("the address %s is in use", addr)
	}
	e := &PortTaken{Port: int(n), Owner: "another program", other: other}
	if p, ok := doctor.Holder(uint16(n)); ok {
		e.Owner = p.String()
	}
	return e
}

// serve answers until ctx ends, then lets streams finish. It follows the setting server.listen.
func (b *Backend) serve(ctx context.Context) error {
	ended := make(chan error)
	open := 0
	start := func(l net.Listener) {
		open++
		go func() { ended <- b.server.Serve(l) }() // ends when l is closed: by move, or by Shutdown below
	}
	b.mu.Lock()
	l := b.listener
	b.mu.Unlock()
	start(l)
	at := b.settings.Current().Server.ListenAddr()
	for {
		select {
		case <-b.moved:
			to := b.settings.Current().Server.ListenAddr()
			if to == at {
				continue
			}
			l, err := b.move(ctx, at, to)
			if err != nil {
				return errors.Join(err, b.stopServing(ended, open))
			}
			at = to
			start(l)
		case err := <-ended:
			open--
			if !errors.Is(err, net.ErrClosed) { // else move has closed it
				return errors.Join(fmt.Errorf("serving: %w", err), b.stopServing(ended, open))
			}
		case <-ctx.Done():
			return b.stopServing(ended, open)
		}
	}
}

// stopServing lets streams finish and waits for the listeners that are open.
func (b *Backend) stopServing(ended <-chan error, open int) error {
	close(b.stopping)
	err := b.server.Shutdown(b.o.Grace)
	for range open {
		<-ended
	}
	return err
}

// listsAge is how long model lists are kept before they are asked for again; the accounts keep their own for as long.
const listsAge = 6 * time.Hour

// watchLists reads the model lists at start, when accounts or providers come and go, and every few hours.
func (b *Backend) watchLists(ctx context.Context) error {
	changed := b.bus.Subscribe(ctx, 64)
	seen := b.accountSet()
	b.refreshLists(ctx)
	go b.refreshEvery(ctx) // ends with ctx
	for ev := range changed {
		if ev.Topic != events.Account && ev.Topic != events.Config && ev.Topic != events.Gap {
			continue
		}
		if now := b.accountSet(); ev.Topic != events.Account || !slices.Equal(now, seen) {
			seen = now
			b.refreshLists(ctx)
		}
	}
	return nil
}

func (b *Backend) refreshEvery(ctx context.Context) {
	t := time.NewTicker(listsAge)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			b.refreshLists(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (b *Backend) refreshLists(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	b.router.Refresh(ctx)
}

// accountSet tells when accounts came or went; their health changes far more often.
func (b *Backend) accountSet() []string {
	var out []string
	for _, a := range b.accounts.List() {
		if a.Enabled {
			out = append(out, a.ID)
		}
	}
	return out
}

// health says how well requests can be answered now.
func (b *Backend) health() server.Health {
	h := server.Health{Status: server.HealthOK, Version: b.o.Version}
	usable := 0
	list := b.accounts.List()
	for _, a := range list {
		switch {
		case !a.Enabled:
		case a.Reason == "":
			usable++
		default:
			h.Reasons = append(h.Reasons, a.Provider+": "+a.Name+": "+a.Reason)
		}
	}
	switch {
	case len(list) == 0:
		h.Status, h.Reasons = server.HealthDegraded, []string{"there is no account yet"}
	case usable == 0:
		h.Status = server.HealthDown
	case len(h.Reasons) > 0:
		h.Status = server.HealthDegraded
	}
	degraded := func(why string) {
		h.Reasons = append(h.Reasons, why)
		if h.Status == server.HealthOK {
			h.Status = server.HealthDegraded
		}
	}
	if why := b.vaultReason(); why != "" {
		degraded(why)
	}
	if p := b.settings.Problem(); p != nil {
		degraded("the settings file cannot be read; the last good settings are in force")
	}
	if err := b.ollamaProblem(); err != nil {
		degraded("the Ollama listener: " + err.Error())
	}
	return h
}

func (b *Backend) metrics(dst []byte) []byte {
	type key struct{ provider, state string }
	count := map[key]int{}
	var order []key
	for _, a := range b.accounts.List() {
		k := key{a.Provider, string(a.State)}
		if count[k] == 0 {
			order = append(order, k)
		}
		count[k]++
	}
	slices.SortFunc(order, func(a, b key) int {
		return strings.Compare(a.provider+" "+a.state, b.provider+" "+b.state)
	})
	rows := make([]record.AccountCount, len(order))
	for i, k := range order {
		rows[i] = record.AccountCount{Provider: k.provider, State: k.state, N: count[k]}
	}
	return b.record.AppendMetrics(dst, rows)
}
