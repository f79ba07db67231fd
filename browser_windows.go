package main

import "golang.org/x/sys/windows"

// startBrowser has the shell open an address.
func startBrowser(address string) error {
	verb, err := windows.UTF16PtrFromString("open")
	if err != nil {
		return err
	}
	file, err := windows.UTF16PtrFromString(address)
	if err != nil {
		return err
	}
	return windows.ShellExecute(0, verb, file, nil, nil, windows.SW_SHOWNORMAL)
}

// hasScreen reports whether a person looks at a desktop here.
func hasScreen() bool { return true }
