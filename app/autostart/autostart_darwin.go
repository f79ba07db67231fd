package autostart

import (
	"os"
	"path/filepath"

	module "github.com/emersion/go-autostart"
)

// enable writes the launch agent through the module, which puts texts into XML as they are.
func enable(command []string) error {
	escaped := make([]string, len(command))
	for i, arg := range command {
		escaped[i] = xmlText(arg)
	}
	return (&module.App{Name: id, DisplayName: name, Exec: escaped}).Enable()
}

// disable removes the file only: asking launchd to forget the agent would end the Patchbay that it has started.
func disable() error { return (&module.App{Name: id}).Disable() }

func read() (command []string, blocked bool, err error) {
	b, err := os.ReadFile(filepath.Join(os.Getenv("HOME"), "Library", "LaunchAgents", id+".plist"))
	if err != nil {
		return nil, false, err
	}
	return parsePlist(string(b))
}
