//go:build desktop

package window

import (
	"os"
	"path/filepath"
)

// webviewFolder is where WebView2 keeps its data; its own choice would be the roaming profile.
func webviewFolder() string {
	return filepath.Join(os.Getenv("LOCALAPPDATA"), "Patchbay", "webview")
}
