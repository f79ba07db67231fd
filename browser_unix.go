//go:build !windows

package main

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// openers open an address on Linux, in the order of preference; each with its arguments before the address.
var openers = [][]string{{"xdg-open"}, {"gio", "open"}, {"x-www-browser"}}

// startBrowser starts what opens an address here.
func startBrowser(address string) error {
	if runtime.GOOS == "darwin" {
		return start(exec.Command("/usr/bin/open", address))
	}
	if !hasScreen() {
		return errNoBrowser // a text browser would take the terminal
	}
	for _, o := range openers {
		path, err := exec.LookPath(o[0])
		if err != nil {
			continue
		}
		cmd := exec.Command(path, append(slices.Clone(o[1:]), address)...)
		cmd.Env = outside(os.Environ())
		if start(cmd) == nil {
			return nil
		}
	}
	return errNoBrowser
}

// hasScreen reports whether a person looks at a desktop here, and not at a terminal of a server.
func hasScreen() bool {
	return runtime.GOOS == "darwin" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// start does not wait: some openers live as long as the browser.
func start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // ends with the opener; without it a dead child would stay in the process table
	return nil
}

// outside takes out of an environment what an AppImage puts in for its own libraries: a browser does not start with them.
func outside(env []string) []string {
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "APPIMAGE=") }) {
		return env
	}
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"LD_LIBRARY_PATH", "GTK_PATH", "GIO_MODULE_DIR"}, name)
	})
}
