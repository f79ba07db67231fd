package backend

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"patchbay/backend/config"
	"patchbay/backend/doctor"
	"patchbay/backend/events"
	"patchbay/backend/server"
	"patchbay/backend/wire/ollama"
)

// retryListen is the pause after which a taken address is tried again: the program that holds it may have ended.
const retryListen = 30 * time.Second

// second is the listener of server.ollama_listener. It is never a reason for the program to end.
type second struct {
	addr   string // what the settings ask for, "" if it is off
	base   string // where it listens, "" if it does not
	err    error  // why it does not
	server *server.Server
}

// serveOllama keeps the second listener as the settings say, until ctx ends.
func (b *Backend) serveOllama(ctx context.Context) error {
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		if !b.openOllama(ctx) {
			retry.Reset(retryListen)
		}
		select {
		case <-b.moved2:
		case <-retry.C:
		case <-ctx.Done():
			return b.closeOllama(b.o.Grace)
		}
	}
}

// openOllama brings the listener to what the settings say. It reports false if its address cannot be had.
func (b *Backend) openOllama(ctx context.Context) bool {
	want := ""
	if o := b.settings.Current().Server.OllamaListener; o.Enabled {
		want = o.Listen
	}
	b.mu.Lock()
	now := b.second
	b.mu.Unlock()
	if want == now.addr && (now.base != "" || want == "") {
		return true
	}
	if now.server != nil {
		go func() { // ends when the streams of the old address do, or after the grace they have
			if err := now.server.Shutdown(b.o.Grace); err != nil {
				b.log.Logger().Warn("The old Ollama listener did not end cleanly", "err", err)
			}
		}()
	}
	next := second{addr: want}
	if want == "" {
		b.log.Logger().Info("The Ollama listener is off")
		b.setSecond(next)
		return true
	}
	var l net.Listener
	err := b.circles(want)
	if err == nil {
		l, err = b.bind(ctx, want, "server.ollama_listener.listen in the settings")
	}
	if err != nil {
		next.err = err
		if now.addr != want || now.err == nil || now.err.Error() != err.Error() { // not at each try
			b.log.Logger().Warn("The Ollama listener cannot have its address; everything else goes on", "addr", want, "err", err)
			b.bus.Publish(events.Notice, "ollama_listener", err.Error())
		}
		b.setSecond(next)
		return false
	}
	next.base = "http://" + l.Addr().String()
	next.server = server.New(b.ollamaOptions())
	b.setSecond(next)
	go func() { // ends when openOllama or closeOllama shuts the server down
		if err := next.server.Serve(l); err != nil {
			b.log.Logger().Error("The Ollama listener failed", "addr", want, "err", err)
		}
	}()
	b.log.Logger().Info("The Ollama listener is on", "base", next.base, "no_key", b.settings.Current().Server.OllamaListener.NoKey)
	return true
}

func (b *Backend) setSecond(s second) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.second = s
}

func (b *Backend) closeOllama(grace time.Duration) error {
	b.mu.Lock()
	s := b.second.server
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Shutdown(grace)
}

// ollamaOptions are those of the main server for a host root of Ollama's own.
func (b *Backend) ollamaOptions() server.Options {
	o := b.serverOptions()
	o.API, o.UI, o.Session, o.Health, o.Metrics = nil, nil, nil, nil, nil
	o.Host = ollama.Name
	o.NoKey = func() bool { return b.settings.Current().Server.OllamaListener.NoKey }
	return o
}

// OllamaBase returns where the second listener is, "" if there is none.
func (b *Backend) OllamaBase() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.second.base
}

// ollamaProblem says why the second listener is not on although the settings ask for it.
func (b *Backend) ollamaProblem() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.second.err
}

// secondFacts are what the doctor wants to know; running says whether this process serves at all.
func (b *Backend) secondFacts(running bool) doctor.Second {
	o := b.settings.Current().Server.OllamaListener
	if !o.Enabled {
		return doctor.Second{}
	}
	return doctor.Second{Listen: o.Listen, Running: running, Err: b.ollamaProblem(), NoKey: o.NoKey}
}

// inFlight counts the requests of both listeners.
func (b *Backend) inFlight() int64 {
	n := b.server.InFlight()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.second.server != nil {
		n += b.second.server.InFlight()
	}
	return n
}

// circles refuses an address that a provider points at: requests to it would go round in circles. Settings are checked
// for that when they change, but not those that the program starts with.
func (b *Backend) circles(addr string) error {
	for _, o := range *b.offers.Load() {
		if o.enabled && doctor.Loops(o.baseURL(), addr, nil) {
			return fmt.Errorf("the provider %s is at %s itself: give one of the two another address", o.info.ID, addr)
		}
	}
	return nil
}

// ownAddresses are the addresses that Patchbay answers at by its settings.
func ownAddresses(cfg *config.Config) []string {
	out := []string{cfg.Server.Listen}
	if o := cfg.Server.OllamaListener; o.Enabled {
		out = append(out, o.Listen)
	}
	return out
}

// listeningAt adds those that it answers at now.
func (b *Backend) listeningAt() []string {
	out := ownAddresses(b.settings.Current())
	for _, base := range []string{b.Base(), b.OllamaBase()} {
		if base != "" {
			out = append(out, hostPort(base))
		}
	}
	return out
}

// loopsBack reports whether a base URL is one of Patchbay's own addresses.
func loopsBack(baseURL string, own []string) bool {
	return slices.ContainsFunc(own, func(addr string) bool { return doctor.Loops(baseURL, addr, nil) })
}
