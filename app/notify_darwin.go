package app

import (
	"context"
	"log/slog"
	"os/exec"
	"time"
)

// systemNotifications shows notifications by AppleScript, which needs no signed bundle; a click on one leads nowhere.
// The texts are arguments of the script and never part of it.
func systemNotifications(*slog.Logger) (show func(n note, clicked func()) error, stop func()) {
	return func(n note, _ func()) error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		const script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
		return exec.CommandContext(ctx, "/usr/bin/osascript", "-e", script, n.title, n.body).Run()
	}, func() {}
}
