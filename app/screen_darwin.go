package app

// canShow reports whether a window can be shown: the toolkit's web view is part of macOS.
func canShow() bool { return true }
