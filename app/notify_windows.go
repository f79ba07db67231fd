package app

import (
	"log/slog"
	"sync"

	"git.sr.ht/~jackmordaunt/go-toast/v2"
)

// appID is what Windows knows notifications by; the installer registers the same one.
const appID = "dev.patchbay.Patchbay"

// systemNotifications shows toasts. A click comes back with the page as its argument.
func systemNotifications(log *slog.Logger) (show func(n note, clicked func()) error, stop func()) {
	var mu sync.Mutex
	pending := map[string]func(){}
	if err := toast.SetAppData(toast.AppData{AppID: appID, GUID: "{6F0B2C55-6C3A-4E0B-9F0E-6C0A2B7F7D11}"}); err != nil {
		log.Debug("Notifications are not set up", "err", err)
	}
	toast.SetActivationCallback(func(args string, _ []toast.UserData) {
		mu.Lock()
		clicked := pending[args]
		mu.Unlock()
		if clicked != nil {
			go clicked() // ends with what it does
		}
	})
	return func(n note, clicked func()) error {
		arg := "page:" + n.page
		mu.Lock()
		pending[arg] = clicked // one for each place of the page
		mu.Unlock()
		t := toast.Notification{AppID: appID, Title: n.title, Body: n.body, ActivationArguments: arg}
		return t.Push()
	}, func() {}
}
