package app

import "github.com/wailsapp/go-webview2/webviewloader"

// canShow reports whether a window can be shown: WebView2 comes with Windows 11 and has to be installed on some others.
func canShow() bool {
	v, err := webviewloader.GetAvailableCoreWebView2BrowserVersionString("")
	return err == nil && v != ""
}
