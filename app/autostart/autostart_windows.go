package autostart

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

const (
	runKey = `Software\Microsoft\Windows\CurrentVersion\Run`
	// approvedKey is where the task manager keeps what a person switched off: the first byte is odd then.
	approvedKey = `Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run`
)

// enable writes the entry. What the person switched off in the task manager they switch on here.
func enable(command []string) error {
	k, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := k.SetStringValue(name, windows.ComposeCommandLine(command)); err != nil {
		return err
	}
	if a, err := registry.OpenKey(registry.CURRENT_USER, approvedKey, registry.SET_VALUE); err == nil {
		_ = a.DeleteValue(name) // usually there is none
		a.Close()
	}
	return nil
}

func disable() error {
	k, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return notThere(err)
	}
	defer k.Close()
	return notThere(k.DeleteValue(name))
}

func read() (command []string, blocked bool, err error) {
	k, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if err != nil {
		return nil, false, notThere(err)
	}
	defer k.Close()
	line, _, err := k.GetStringValue(name)
	if err != nil {
		return nil, false, notThere(err)
	}
	command, err = windows.DecomposeCommandLine(line)
	if err != nil {
		return nil, false, err
	}
	if a, err := registry.OpenKey(registry.CURRENT_USER, approvedKey, registry.QUERY_VALUE); err == nil {
		defer a.Close()
		if b, _, err := a.GetBinaryValue(name); err == nil && len(b) > 0 {
			blocked = b[0]%2 == 1
		}
	}
	return command, blocked, nil
}

func notThere(err error) error {
	if errors.Is(err, registry.ErrNotExist) {
		return os.ErrNotExist
	}
	return err
}
