//go:build !windows && !darwin

package autostart

import (
	"os"
	"path/filepath"
	"strings"

	module "github.com/emersion/go-autostart"
)

// started is where the module puts its file: it reads the environment once, when the program starts.
var started = folder()

func folder() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".config")
	}
	return filepath.Join(dir, "autostart")
}

func file() string { return filepath.Join(started, id+".desktop") }

// enable writes the file through the module, which quotes every argument as Go does: the backslash it puts before a
// backslash is the second quoting of desktop files. It cannot write a double quote; that file is written here.
func enable(command []string) error {
	escaped := make([]string, len(command)) // a fresh one: the module changes it
	through := true
	for i, arg := range command {
		for _, r := range arg {
			through = through && r != '"' && r != '\uFFFD' && r >= ' '
		}
		escaped[i] = strings.NewReplacer("`", "\\`", `$`, `\$`, `\`, `\\`, `%`, `%%`).Replace(arg)
	}
	if through {
		a := module.App{Name: id, DisplayName: name, Icon: id, Exec: escaped}
		if err := a.Enable(); err != nil {
			return err
		}
		if back, _, err := read(); err == nil && equal(back, command) {
			return nil
		}
	}
	if err := os.MkdirAll(started, 0o700); err != nil {
		return err
	}
	return os.WriteFile(file(), []byte(desktopFile(command)), 0o600)
}

func equal(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

func disable() error { return (&module.App{Name: id}).Disable() }

func read() (command []string, blocked bool, err error) {
	b, err := os.ReadFile(file())
	if err != nil {
		return nil, false, err
	}
	return parseDesktop(string(b))
}
