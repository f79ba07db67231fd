package app

import (
	"context"
	"net"
	"strconv"
	"time"

	"patchbay/app/tray"
	"patchbay/backend/api"
	"patchbay/backend/config"
)

// How often what the menu shows is read anew, at most and at least.
const (
	readPace   = 500 * time.Millisecond
	readAnyway = time.Minute
)

// follow keeps the menu, the window and the notifications up with the backend.
func (a *App) follow(ctx context.Context) {
	go func() { // ends with ctx
		for range a.b.Events(ctx) {
			a.changed()
		}
	}()
	var old tray.State
	first := true
	anyway := time.NewTimer(0)
	defer anyway.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-a.dirty:
		case <-anyway.C:
		case <-ctx.Done():
			return
		}
		a.setLanguage()
		s := a.state(ctx)
		a.tray.Set(tray.Build(s, a.say))
		a.window.moved(s.Base)
		if !first {
			for _, n := range news(old, s, a.wants(), a.say) {
				a.notify.send(n)
			}
		}
		old, first = s, false
		anyway.Reset(nextLook(s))
		pause.Reset(readPace)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// nextLook is when the menu changes without anybody saying so: somebody's rest ends.
func nextLook(s tray.State) time.Duration {
	d := readAnyway
	for _, acc := range s.Accounts {
		if left := acc.Until.Sub(s.Now); left > 0 && left+time.Second < d {
			d = left + time.Second
		}
	}
	return d
}

// state asks the owners for what the menu shows. What cannot be had now is left out.
func (a *App) state(ctx context.Context) tray.State {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	now := time.Now()
	_, lan := a.b.DesktopSettings()
	s := tray.State{Now: now, LAN: lan, Locked: a.b.Locked(), Login: a.login.state()}
	a.mu.Lock()
	s.Port, s.Problem = a.port, a.problem
	a.mu.Unlock()
	if st, err := a.b.Status(ctx); err == nil {
		s.Base, s.InFlight, s.Paused = st.Base, st.InFlight, st.Paused
	}
	// The menu shows no numbers of models, for which services may have to be asked; a start would wait for them.
	asked, stop := context.WithCancel(ctx)
	stop()
	providers, _ := a.b.Providers(asked)
	accounts, _ := a.b.Accounts(ctx)
	byID := map[string]api.ProviderView{}
	for _, p := range providers {
		byID[p.ID] = p
	}
	has := map[string]bool{}
	for _, v := range accounts {
		acc := accountOf(v, byID[v.Provider])
		has[v.Provider] = has[v.Provider] || acc.Enabled
		s.Accounts = append(s.Accounts, acc)
	}
	for _, p := range providers {
		if has[p.ID] && p.Enabled && p.Kind != "forward" && p.Kind != "" {
			s.Providers = append(s.Providers, tray.Provider{ID: p.ID, Name: p.Name, Default: p.Default})
		}
	}
	s.Failure = a.lastFailure(ctx, now)
	if u, err := a.b.Update(ctx); err == nil {
		s.Update.Can = u.Possible
		if u.Available != nil {
			s.Update.Version = u.Available.Version
		}
	}
	return s
}

// accountOf is an account as the menu sees it.
func accountOf(v api.AccountView, p api.ProviderView) tray.Account {
	acc := tray.Account{
		ID: v.ID, Name: v.Name, Provider: v.Provider, ProviderName: p.Name, Enabled: v.Enabled && v.State != "discontinued",
		Ready: v.State == "ready" && v.Reason == "" && !v.Locked, NeedsSignIn: v.State == "needs_login",
	}
	if v.Identity != "" && v.Name == "" {
		acc.Name = v.Identity
	}
	for _, c := range v.Cooling {
		if c.Model == "" && c.Until.After(acc.Until) && v.State == "cooling" {
			acc.Until = c.Until
		}
	}
	return acc
}

// lastFailure is the latest request that failed within the last hour.
func (a *App) lastFailure(ctx context.Context, now time.Time) *tray.Failure {
	rows, err := a.b.Requests(ctx, api.RequestQuery{State: api.RequestFailed, Limit: 1, Since: now.Add(-time.Hour)})
	if err != nil || len(rows.Items) == 0 {
		return nil
	}
	r := rows.Items[0]
	return &tray.Failure{ID: r.ID, App: r.KeyName, Kind: r.Kind, At: r.At}
}

// wants is what the person wants to be told.
func (a *App) wants() config.Notifications {
	set, _ := a.b.DesktopSettings()
	return set.Notifications
}

// freePort looks for a port near one that is taken; 0 = there is none.
func freePort(taken int) int {
	for n := taken + 1; n <= taken+20 && n < 1<<16; n++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
		if err == nil {
			l.Close()
			return n
		}
	}
	return 0
}
