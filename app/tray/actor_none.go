//go:build darwin && !cgo

package tray

// Run reports ErrNoTray: a build for macOS without cgo has no tray.
func (t *Tray) Run() error { return ErrNoTray }
