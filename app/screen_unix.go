//go:build !windows && !darwin

package app

import "os"

// canShow reports whether there is a screen for a window.
func canShow() bool { return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" }
