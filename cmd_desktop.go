package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	shell "patchbay/app"
	"patchbay/app/autostart"
	"patchbay/app/window"
	"patchbay/backend"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/frontend"
)

// desktopFlags are those of patchbay without a command.
type desktopFlags struct {
	hidden, quit  bool
	window, noGPU bool // given by Patchbay itself to the process of its window
	language      string
}

func (f *desktopFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.hidden, "hidden", false, "start without a window, as at login")
	cmd.Flags().BoolVar(&f.quit, "quit-running", false, "end the Patchbay that runs, and wait for its end")
	cmd.Flags().BoolVar(&f.window, "window", false, "")
	cmd.Flags().BoolVar(&f.noGPU, "no-gpu", false, "")
	cmd.Flags().StringVar(&f.language, "language", "", "")
	for _, own := range []string{"window", "no-gpu", "language"} {
		_ = cmd.Flags().MarkHidden(own) // the flag is there
	}
}

// desktop is Patchbay as a program of the desktop: a tray, a window, and the same server as patchbay serve.
func (a *app) desktop(ctx context.Context, f desktopFlags) error {
	switch {
	case f.window:
		return a.showWindow(ctx, f)
	case f.quit:
		return a.quitRunning(ctx)
	}
	if !a.screen() {
		return a.withoutDesktop(ctx, f)
	}
	paths, err := a.paths()
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		exe = "" // then the page opens in the browser
	}
	err = a.desk(ctx, shell.Options{
		Backend: backend.Options{Paths: paths, Version: versionText(), Stderr: a.err, Ring: secret.SystemRing(), Page: frontend.Files()},
		Hidden:  f.hidden, Browse: a.browse, Exe: exe,
		Ready: func(base string) { fmt.Fprintf(a.out, "Patchbay %s listens on %s\n", versionText(), base) },
	})
	if errors.Is(err, backend.ErrRunning) {
		return a.raise(ctx, f.hidden)
	}
	return err
}

// withoutDesktop is Patchbay on a server, or in a session over the network: nobody would find its window.
func (a *app) withoutDesktop(ctx context.Context, f desktopFlags) error {
	fmt.Fprint(a.out, "There is no desktop here: Patchbay starts without tray and window, as `patchbay serve` does.\n\n")
	err := a.serve(ctx, serveFlags{})
	if errors.Is(err, backend.ErrRunning) {
		return a.raise(ctx, f.hidden)
	}
	return err
}

// raise has the Patchbay that runs show its window. At login it is left alone.
func (a *app) raise(ctx context.Context, hidden bool) error {
	if hidden {
		return nil
	}
	paths, err := a.paths()
	if err != nil {
		return err
	}
	client, err := backend.Running(ctx, paths)
	if err != nil {
		return notAnswering{err}
	}
	err = client.ShowWindow(ctx, "")
	if e, ok := errors.AsType[*apierror.Error](err); !ok || e.Kind != apierror.Unsupported {
		return err
	}
	t, err := client.OpenPage(ctx) // it runs without a desktop: then the browser shows its page
	if err != nil {
		return err
	}
	if err := a.browse(t.URL.Reveal()); err != nil {
		fmt.Fprintf(a.out, "Patchbay runs without a desktop. Its page opens once within a minute by this link:\n  %s\n", t.URL.Reveal())
	}
	return nil
}

// notAnswering is how a second start ends when the first one holds the lock and says nothing.
type notAnswering struct{ err error }

func (e notAnswering) Error() string {
	return fmt.Sprintf("%v but does not answer (%s); end it, then try again", backend.ErrRunning, message(e.err))
}

// quitPatience is how long --quit-running waits: streams get a moment, then everything is written.
const quitPatience = 20 * time.Second

// quitRunning ends the Patchbay that runs; none is fine too. Installers use it.
func (a *app) quitRunning(ctx context.Context) error {
	paths, err := a.paths()
	if err != nil {
		return err
	}
	client, err := backend.Running(ctx, paths)
	if errors.Is(err, backend.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return notAnswering{err}
	}
	if err := client.Quit(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, quitPatience)
	defer cancel()
	return backend.AwaitEnd(ctx, paths)
}

// showWindow is the process of the window. Its parent tells it what to do.
func (a *app) showWindow(ctx context.Context, f desktopFlags) error {
	paths, err := a.paths()
	if err != nil {
		return err
	}
	texts, err := frontend.LoadTexts(frontend.Language(f.language), "tray")
	if err != nil {
		return err
	}
	return window.Run(ctx, window.Options{
		In: a.in, Out: a.out, Place: filepath.Join(paths.Data, "window.json"), NoGPU: f.noGPU, Say: texts.Say,
		Restart: startAgain,
		Running: func() bool { return backend.IsRunning(paths) },
	})
}

// startAgain starts the resident program after it has stopped, for the window that was left alone.
func startAgain() error {
	exe, err := autostart.Program()
	if err != nil {
		return err
	}
	dir, name := filepath.Split(exe)
	if resident, is := strings.CutSuffix(strings.TrimSuffix(name, ".exe"), "-window"); is {
		exe = filepath.Join(dir, resident+filepath.Ext(name))
	}
	cmd := exec.Command(exe) //nolint:noctx // it outlives this process
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
