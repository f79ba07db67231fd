package app

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// copyText puts a text on the clipboard, through a pipe, for it may be a key.
func copyText(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/pbcopy")
	cmd.Stdin = strings.NewReader(text)
	return cmd.Run()
}
