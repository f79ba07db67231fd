package app

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"patchbay/app/tray"
	"patchbay/backend/api"
)

// The places of the page that the menu and the notifications lead to. A test compares them with the page's own source.
const (
	placeActivity = "#/activity"
	placeRequest  = "#/activity/" // and its id
	placeApps     = "#/apps"
	placeAccounts = "#/accounts"
	placeAdd      = "#/accounts?add=1"
	placeSignIn   = "#/accounts?signin=" // and the account's id
	placeNetwork  = "#/settings/address"
	placeUpdates  = "#/settings/updates"
)

// place is where an entry of the menu leads to; ok is false for one that leads nowhere.
func place(c tray.Click) (page string, ok bool) {
	switch c.Do {
	case tray.Open:
		return "", true
	case tray.OpenActivity:
		return placeActivity, true
	case tray.OpenRequest:
		return placeRequest + url.PathEscape(c.ID), true
	case tray.OpenConnect:
		return placeApps, true
	case tray.OpenAccounts:
		return placeAccounts, true
	case tray.OpenAddAccount:
		return placeAdd, true
	case tray.OpenSignIn:
		return placeSignIn + url.QueryEscape(c.ID), true
	case tray.OpenNetwork:
		return placeNetwork, true
	case tray.ShowUpdate:
		return placeUpdates, true
	}
	return "", false
}

// clickTime is how long what a click asks for may take. Unlocking a keychain waits for a person.
const clickTime = time.Minute

// click does what an entry of the menu says. Where nothing on screen would show that it did not work, a notification does.
func (a *App) click(c tray.Click) {
	ctx, cancel := context.WithTimeout(context.Background(), clickTime)
	defer cancel()
	if err := a.do(ctx, c); err != nil {
		a.report(string(c.Do), err)
		a.notify.send(note{title: a.say("notify.failed.title"), body: err.Error()})
	}
	a.changed()
}

func (a *App) do(ctx context.Context, c tray.Click) (err error) {
	if page, ok := place(c); ok {
		return a.Show(page)
	}
	switch c.Do {
	case tray.OpenBrowser:
		err = a.window.inBrowser("")
	case tray.SetDefault:
		err = a.b.SetDefaultProvider(ctx, c.ID)
	case tray.UseNow:
		_, err = a.b.ClearAccount(ctx, c.ID, "")
	case tray.Copy:
		a.copyAddress(c.ID)
	case tray.NewKey:
		err = a.newKey(ctx)
	case tray.Pause:
		_, err = a.b.Pause(ctx)
	case tray.GoOn:
		_, err = a.b.Resume(ctx)
	case tray.Unlock:
		_, err = a.b.UnlockVault(ctx)
	case tray.UsePort:
		err = a.usePort(c.ID)
	case tray.CheckUpdates:
		err = a.checkUpdates(ctx)
	case tray.StartAtLogin:
		err = a.SetStartAtLogin(c.ID == "on")
	case tray.Quit:
		a.log.Info("Quitting, as asked for in the menu")
		a.cancel()
	}
	return err
}

// copyAddress copies an address, or shows it where there is no clipboard.
func (a *App) copyAddress(address string) {
	n := note{title: a.say("notify.copied.title"), body: address}
	if err := copyText(address); err != nil {
		a.log.Info("Nothing can be copied here", "err", err)
		n = note{title: a.say("tray.copy"), body: a.say("notify.noCopy.body", "address", address)}
	}
	a.notify.send(n)
}

// newKey makes a key for an app and copies it. A key that could not be copied would be lost, so it is taken back, and the page
// is opened, which can show one.
func (a *App) newKey(ctx context.Context) error {
	name := "app " + time.Now().Format("2006-01-02 15:04:05")
	k, err := a.b.AddKey(ctx, api.NewKey{Name: name})
	if err != nil {
		return err
	}
	if err := copyText(k.Key.Reveal()); err != nil {
		a.log.Info("A key cannot be copied here; the page makes one", "err", err)
		if err := a.b.RemoveKey(ctx, k.ID); err != nil {
			return err
		}
		return a.Show(placeApps)
	}
	a.notify.send(note{title: a.say("notify.key.title"), body: a.say("notify.key.body", "name", name), page: placeApps})
	return nil
}

// usePort listens on another port than the one that is taken.
func (a *App) usePort(number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	if err := a.b.UsePort(n); err != nil {
		return err
	}
	a.tryPort()
	return nil
}

// tryPort has the port tried again at once.
func (a *App) tryPort() {
	select {
	case a.retry <- struct{}{}:
	default: // it is told already
	}
}

// checkUpdates asks the publisher and says what it found; a newer version also appears in the menu.
func (a *App) checkUpdates(ctx context.Context) error {
	u, err := a.b.CheckUpdate(ctx)
	switch {
	case err != nil:
		return err
	case u.Problem != "":
		return fmt.Errorf("%s", u.Problem)
	case u.Available != nil:
		return a.Show(placeUpdates)
	}
	a.notify.send(note{title: a.say("notify.upToDate.title"), body: a.say("notify.upToDate.body", "version", u.Version)})
	return nil
}
