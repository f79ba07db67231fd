package app

import (
	"patchbay/app/autostart"
	"patchbay/app/tray"
	"patchbay/backend/api"
)

// hidden is how the system starts Patchbay: without a window.
const hidden = "--hidden"

// loginItem is starting at login. Tests have their own.
type loginItem interface {
	read() api.LoginItem
	state() tray.Login
	set(on bool) error
}

// systemLogin asks the system each time: it is what counts.
type systemLogin struct{}

func (systemLogin) read() api.LoginItem {
	exe, err := autostart.Program()
	if err != nil {
		return api.LoginItem{State: "unknown", Note: err.Error()}
	}
	st, err := autostart.Read(exe, hidden)
	if err != nil {
		return api.LoginItem{State: "unknown", Note: err.Error()}
	}
	return api.LoginItem{State: string(st.State), Path: st.Path}
}

func (l systemLogin) state() tray.Login {
	switch autostart.State(l.read().State) {
	case autostart.Off:
		return tray.LoginOff
	case autostart.On:
		return tray.LoginOn
	case autostart.Stale:
		return tray.LoginOff // what it would start is not this program
	case autostart.Blocked:
		return tray.LoginBlocked
	}
	return tray.LoginUnknown
}

func (systemLogin) set(on bool) error {
	if !on {
		return autostart.Disable()
	}
	exe, err := autostart.Program()
	if err != nil {
		return err
	}
	return autostart.Enable(exe, hidden)
}

// mend has an entry start this program again after it was moved.
func (l systemLogin) mend() error {
	if l.read().State != string(autostart.Stale) {
		return nil
	}
	return l.set(true)
}
