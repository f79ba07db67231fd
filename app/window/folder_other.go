//go:build desktop && !windows

package window

// webviewFolder is for Windows only.
func webviewFolder() string { return "" }
