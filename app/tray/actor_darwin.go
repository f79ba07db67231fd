//go:build cgo

package tray

// present reports whether there can be a tray; on macOS there always is one.
func present() error { return nil }

// prepare has nothing to do: on macOS a click opens the menu, and a title would stand beside the icon.
func (a *actor) prepare() {}

func background() string { return "" }

func watchHost(t *Tray) (stop func()) {
	if t.o.Host != nil {
		t.o.Host(true)
	}
	return func() {}
}
