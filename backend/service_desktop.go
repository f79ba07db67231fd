package backend

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/events"
	"patchbay/backend/secret"
)

// Desktop is what only a desktop can do. Package app gives it; without one Patchbay serves headless.
type Desktop interface {
	// Show opens the window or brings it to the front, at a place of the page; "" = where it is.
	Show(page string) error
	OpenLink(address string) error
	Tray() string // registered, none or starting
	View() api.DesktopView
	SetStartAtLogin(on bool) error
}

// SetDesktop says what serves the desktop's part of the API. It is called before Run.
func (b *Backend) SetDesktop(d Desktop) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.desktop = d
}

func (b *Backend) theDesktop() (Desktop, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.desktop == nil {
		return nil, apierror.New(apierror.Unsupported, "this Patchbay runs without a desktop (patchbay serve); open its page in a browser: patchbay open")
	}
	return b.desktop, nil
}

func (b *Backend) trayState() string {
	d, err := b.theDesktop()
	if err != nil {
		return ""
	}
	return d.Tray()
}

// Pause implements api.Service.
func (b *Backend) Pause(ctx context.Context) (api.Status, error) { return b.setPaused(ctx, true) }

// Resume implements api.Service.
func (b *Backend) Resume(ctx context.Context) (api.Status, error) { return b.setPaused(ctx, false) }

// setPaused lasts until the program ends: who starts Patchbay wants it to answer.
func (b *Backend) setPaused(ctx context.Context, paused bool) (api.Status, error) {
	if b.paused.Swap(paused) != paused {
		b.bus.Publish(events.Config, "paused", nil)
		b.log.Logger().Info("Paused or resumed by the person", "paused", paused)
	}
	return b.Status(ctx)
}

// Quit implements api.Service. The answer is written before the listener ends: it is one of the requests that get a moment.
func (b *Backend) Quit(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quit == nil {
		return apierror.New(apierror.Unsupported, "Patchbay does not run")
	}
	b.quit()
	return nil
}

// Desktop implements api.Service.
func (b *Backend) Desktop(context.Context) (api.DesktopView, error) {
	d, err := b.theDesktop()
	if err != nil {
		return api.DesktopView{}, nil //nolint:nilerr // headless is an answer too
	}
	return d.View(), nil
}

// ShowWindow implements api.Service.
func (b *Backend) ShowWindow(_ context.Context, page string) error {
	d, err := b.theDesktop()
	if err != nil {
		return err
	}
	return d.Show(page)
}

// OpenLink implements api.Service.
func (b *Backend) OpenLink(_ context.Context, address string) error {
	d, err := b.theDesktop()
	if err != nil {
		return err
	}
	return d.OpenLink(address)
}

// SetStartAtLogin implements api.Service.
func (b *Backend) SetStartAtLogin(_ context.Context, on bool) (api.DesktopView, error) {
	d, err := b.theDesktop()
	if err != nil {
		return api.DesktopView{}, err
	}
	if err := d.SetStartAtLogin(on); err != nil {
		return api.DesktopView{}, apierror.New(apierror.Internal, "%s", err.Error())
	}
	b.bus.Publish(events.Config, "start_at_login", nil)
	return d.View(), nil
}

// Wake looks at everything that waits for a time or holds a connection: after a sleep of the machine, a change of its network,
// or when its clock was set (back is how far back).
func (b *Backend) Wake(back time.Duration) {
	b.clients.CloseIdle() // the other ends are gone, and nobody has said so
	b.accounts.Wake(back)
	b.lookAtVault()
}

// Events yields hints about changes until ctx ends; a desktop re-reads what it shows.
func (b *Backend) Events(ctx context.Context) func(yield func(events.Event) bool) {
	return b.bus.Subscribe(ctx, 64)
}

// Locked reports whether the keychain does not open; it does no work.
func (b *Backend) Locked() bool { return b.vault.Last().State == secret.Locked }

// DesktopSettings are the settings that concern the desktop, and whether other machines may connect.
func (b *Backend) DesktopSettings() (set config.Desktop, lan bool) {
	cfg := b.settings.Current()
	return cfg.Desktop, cfg.Server.LAN
}

// UsePort has Patchbay listen on another port of the address it has, now and after the next start.
func (b *Backend) UsePort(port int) error {
	host, _, err := net.SplitHostPort(b.settings.Current().Server.Listen)
	if err != nil {
		host = "127.0.0.1"
	}
	return explain(b.settings.Set("server.listen", net.JoinHostPort(host, strconv.Itoa(port))))
}

// Log returns the logger of a part of the program that has no room of its own in the backend.
func (b *Backend) Log(name string) *slog.Logger { return b.log.For(name) }
