package update

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Kinds returns the kinds of packages that can replace this installation, best first. getenv and exists are the system's.
func Kinds(goos, exe string, getenv func(string) string, exists func(string) bool) []string {
	switch goos {
	case "windows":
		if strings.EqualFold(filepath.Base(filepath.Dir(exe)), "Patchbay") && exists(filepath.Join(filepath.Dir(exe), "uninstall.exe")) {
			return []string{"setup"}
		}
		return []string{"zip", "setup"}
	case "darwin":
		return []string{"dmg"}
	}
	switch {
	case getenv("APPIMAGE") != "":
		return []string{"appimage"}
	case strings.HasPrefix(exe, "/usr/bin/") && exists("/var/lib/dpkg/info/patchbay.list"):
		return []string{"deb"}
	}
	return []string{"tar.gz"}
}

// KindsHere are those of this very installation.
func KindsHere() []string {
	exe, err := os.Executable()
	if err != nil {
		exe = "" // then it is an archive
	}
	return Kinds(runtime.GOOS, exe, os.Getenv, func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// HowToInstall says what a person does with a package of a kind. Patchbay replaces nothing by itself.
func HowToInstall(kind, path string) string {
	switch kind {
	case "deb":
		return "Install it with: sudo apt install " + path
	case "appimage":
		return "Quit Patchbay, make it executable (chmod +x) and start it in place of the old one."
	case "setup":
		return "Start it: it asks the running Patchbay to quit and installs over it."
	case "dmg":
		return "Open it, quit Patchbay and drag the new one over the old."
	}
	return "Quit Patchbay, unpack it over the old one and start it again."
}
