package app

import (
	"log/slog"
	"net/url"
	"sync"
	"time"

	"patchbay/app/tray"
	"patchbay/backend/config"
)

// note is one notification. A click on it opens the window at page.
type note struct {
	cause       string // what it is about: at most one an hour; "" = the answer to a click, always shown
	title, body string
	page        string
}

// quiet is how long a cause is not told again.
const quiet = time.Hour

// notifier shows notifications. Where the system has none, nothing happens.
type notifier struct {
	log  *slog.Logger
	show func(n note, clicked func()) error
	stop func()
	open func(page string)

	mu   sync.Mutex // guards what follows
	last map[string]time.Time
}

func newNotifier(log *slog.Logger, open func(page string)) *notifier {
	show, stop := systemNotifications(log)
	return &notifier{log: log, show: show, stop: stop, open: open, last: map[string]time.Time{}}
}

// send shows a notification, unless its cause was told within the last hour. It never blocks for long and reports nothing:
// what it says also stands in the menu and on the page.
func (n *notifier) send(x note) {
	now := time.Now()
	n.mu.Lock()
	if x.cause != "" {
		if at, told := n.last[x.cause]; told && now.Sub(at) < quiet {
			n.mu.Unlock()
			return
		}
		for cause, at := range n.last {
			if now.Sub(at) >= quiet {
				delete(n.last, cause)
			}
		}
		n.last[x.cause] = now
	}
	n.mu.Unlock()
	if err := n.show(x, func() { n.open(x.page) }); err != nil {
		n.log.Debug("A notification is not shown", "title", x.title, "err", err)
	}
}

func (n *notifier) close() { n.stop() }

// news is what has happened between two states that a person should hear of even when they do not look.
func news(old, now tray.State, want config.Notifications, say tray.Say) []note {
	var out []note
	if want.SignIn {
		asked := map[string]bool{}
		for _, a := range old.Accounts {
			asked[a.ID] = a.NeedsSignIn && a.Enabled
		}
		for _, a := range now.Accounts {
			if a.NeedsSignIn && a.Enabled && !asked[a.ID] {
				out = append(out, note{
					cause: "sign in/" + a.ID, title: say("notify.signIn.title"),
					body: say("notify.signIn.body", "provider", a.ProviderName, "account", a.Name), page: placeSignIn + url.QueryEscape(a.ID),
				})
			}
		}
	}
	if p, until, out1 := exhausted(now); want.Exhausted && out1 {
		if q, _, was := exhausted(old); !was || q.ID != p.ID {
			body := say("notify.exhausted.act")
			if !until.IsZero() {
				body = say("notify.exhausted.until", "time", tray.Clock(until, now.Now))
			}
			out = append(out, note{cause: "exhausted/" + p.ID, title: say("notify.exhausted.title", "provider", p.Name), body: body, page: placeAccounts})
		}
	}
	if want.Port && old.Base != "" && now.Base != "" && old.Base != now.Base {
		out = append(out, note{cause: "moved/" + now.Base, title: say("notify.moved.title"), body: say("notify.moved.body", "address", now.Base), page: placeApps})
	}
	if v := now.Update.Version; want.Update && v != "" && v != old.Update.Version {
		out = append(out, note{
			cause: "update/" + v, title: say("notify.update.title", "version", v), body: say("notify.update.body"), page: placeUpdates,
		})
	}
	return out
}

// exhausted reports whether the default provider has accounts and none of them can answer, and until when at least.
func exhausted(s tray.State) (p tray.Provider, until time.Time, out bool) {
	for _, p = range s.Providers {
		if p.Default {
			break
		}
	}
	if !p.Default {
		return p, until, false
	}
	n := 0
	for _, a := range s.Accounts {
		if a.Provider != p.ID || !a.Enabled {
			continue
		}
		if a.Ready {
			return p, until, false
		}
		n++
		if a.Until.After(s.Now) && (until.IsZero() || a.Until.Before(until)) {
			until = a.Until
		}
	}
	return p, until, n > 0
}
