//go:build !windows && !darwin

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// copyText puts a text on the clipboard. Linux has no single way: the tools of Wayland and X11 do it where they are installed
// (they stay, to hand the text on), KDE by its own service. The text goes through a pipe, for it may be a key.
func copyText(text string) error {
	tools := [][]string{{"xclip", "-selection", "clipboard"}, {"xsel", "--clipboard", "--input"}}
	if os.Getenv("WAYLAND_DISPLAY") != "" {
		tools = append([][]string{{"wl-copy"}}, tools...)
	}
	for _, tool := range tools {
		path, err := exec.LookPath(tool[0])
		if err != nil {
			continue
		}
		if pipeTo(text, path, tool[1:]...) == nil {
			return nil
		}
	}
	if err := klipper(text); err == nil {
		return nil
	}
	return errors.New("no program for the clipboard is installed: wl-clipboard, xclip or xsel")
}

func pipeTo(text, path string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(text)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("copying with %s: %w", path, err)
	}
	return nil
}

func klipper(text string) error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return conn.Object("org.kde.klipper", "/klipper").CallWithContext(ctx, "org.kde.klipper.klipper.setClipboardContents", dbus.FlagNoAutoStart, text).Err
}
