// Patchbay gives every AI app on a computer one local address, behind which stand the person's own accounts.
//
// This package is the command line: it reads arguments, talks to a running instance or opens the store itself, and prints
// tables. What is done stands in package backend.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // Windows and small containers have no time zones of their own, by which usage can be asked for

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = ""

func main() {
	// Without this a double click on Windows prints a text and exits (cobra, command_win.go).
	cobra.MousetrapHelpText = ""
	if os.Getenv("GOGC") == "" {
		// The heap is small and some 200 bytes are allocated per chunk of a stream, so collecting four times as often costs
		// next to nothing; see decision 0005.
		debug.SetGCPercent(25)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, newApp(), os.Args[1:])
	stop()
	os.Exit(code)
}
