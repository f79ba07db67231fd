package tray

import (
	"fyne.io/systray"
	"golang.org/x/sys/windows/registry"
)

// present reports whether there can be a tray; on Windows there always is one.
func present() error { return nil }

func (a *actor) prepare() {
	systray.SetOnTapped(func() { go a.t.o.Click(Click{Do: Open}) })
}

// background is what the icon lies on: the taskbar has a theme of its own.
func background() string {
	k, err := registry.OpenKey(registry.CURRENT_USER, `Software\Microsoft\Windows\CurrentVersion\Themes\Personalize`, registry.QUERY_VALUE)
	if err != nil {
		return "dark"
	}
	defer k.Close()
	if light, _, err := k.GetIntegerValue("SystemUsesLightTheme"); err == nil && light == 1 {
		return "light"
	}
	return "dark"
}

func watchHost(t *Tray) (stop func()) {
	if t.o.Host != nil {
		t.o.Host(true)
	}
	return func() {}
}
