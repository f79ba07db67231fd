// Package autostart starts Patchbay when the person logs in: by a file of github.com/emersion/go-autostart on Linux and macOS,
// by the registry on Windows. What was written is read back, because only that is what the system will do.
//
// The module has faults that this package works around: it changes the caller's arguments, escapes for Go instead of for
// desktop files and property lists, and takes any file for an entry that works. On Windows it needs a C compiler.
package autostart

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// State says what the system does when the person logs in.
type State string

// The states.
const (
	Off     State = "off"
	On      State = "on"
	Stale   State = "stale"   // it would start something else, for example where Patchbay was before it was moved
	Blocked State = "blocked" // there is an entry, and the system's own settings keep it from being started
)

// Status is the state, with the program that would be started.
type Status struct {
	State State
	Path  string // "" when off
}

const (
	id   = "dev.patchbay.Patchbay"
	name = "Patchbay"
)

// ErrTranslocated reports that macOS runs the program from a temporary place, because it was started where it was downloaded.
var ErrTranslocated = errors.New("move Patchbay to the Applications folder first: macOS runs it from a temporary place now")

// Program returns the path of the running program as it should be started: that of the AppImage if it runs from one, whose
// contents lie in a folder that is gone afterwards.
func Program() (string, error) {
	if image := os.Getenv("APPIMAGE"); image != "" && runtime.GOOS == "linux" {
		if _, err := os.Stat(image); err == nil {
			return image, nil
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the own program: %w", err)
	}
	if runtime.GOOS == "darwin" && strings.Contains(exe, "/AppTranslocation/") {
		return "", ErrTranslocated
	}
	return exe, nil
}

// Enable has the system start a command at login. What it does then is read back: an error says that it would do something
// else.
func Enable(exe string, args ...string) error {
	command := append([]string{exe}, args...)
	if err := enable(command); err != nil {
		return fmt.Errorf("starting at login: %w", err)
	}
	st, err := Read(exe, args...)
	if err != nil {
		return err
	}
	if st.State != On {
		return fmt.Errorf("starting at login: the system says %q after it was switched on", st.State)
	}
	return nil
}

// Disable takes the entry away; none is fine too.
func Disable() error {
	if err := disable(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no longer starting at login: %w", err)
	}
	return nil
}

// Read says what the system does at login, for a command that should be started.
func Read(exe string, args ...string) (Status, error) {
	command, blocked, err := read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Status{State: Off}, nil
	case err != nil:
		return Status{}, fmt.Errorf("reading what starts at login: %w", err)
	}
	st := Status{State: On}
	if len(command) > 0 {
		st.Path = command[0]
	}
	switch {
	case !slices.Equal(command, append([]string{exe}, args...)):
		st.State = Stale
	case blocked:
		st.State = Blocked
	}
	return st, nil
}
