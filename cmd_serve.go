package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend"
	"patchbay/backend/api"
	"patchbay/backend/secret"
)

type serveFlags struct{ listen, defaultProvider string }

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start Patchbay without a window",
		Long:  "Starts Patchbay and serves until it is stopped with Ctrl+C. The settings file is watched: changes take effect at once.",
		Example: "  patchbay serve\n" +
			"  patchbay serve --listen 127.0.0.1:9000 --default-provider openai\n" +
			"  PATCHBAY_HOME=/srv/patchbay patchbay serve       everything in one folder",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.listen, "listen", "", "`address:port` to listen on (default 127.0.0.1:8390)")
	cmd.Flags().StringVar(&f.defaultProvider, "default-provider", "", "`id` of the provider for requests that name none")
	return cmd
}

// settings are the flags as settings, which win over the file and the environment.
func (f serveFlags) settings() map[string]string {
	out := map[string]string{}
	if f.listen != "" {
		out["server.listen"] = f.listen
	}
	if f.defaultProvider != "" {
		out["default_provider"] = f.defaultProvider
	}
	return out
}

func (a *app) serve(ctx context.Context, f serveFlags) error {
	paths, err := a.paths()
	if err != nil {
		return err
	}
	var p program
	ready := func(base string) { fmt.Fprintln(a.out, a.welcome(ctx, p, base)) }
	p, err = a.start(ctx, startOptions{paths: paths, flags: f.settings(), log: a.err, ready: ready})
	if errors.Is(err, backend.ErrRunning) {
		return a.alreadyRunning(ctx)
	}
	if err != nil {
		return err
	}
	err = p.Run(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil // it was asked to stop
	}
	return errors.Join(err, p.Close())
}

// alreadyRunning says where the other instance is.
func (a *app) alreadyRunning(ctx context.Context) error {
	svc, end, err := a.open(ctx, a)
	if err != nil {
		return fmt.Errorf("%w: %w", backend.ErrRunning, err)
	}
	defer end()
	st, err := svc.Status(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", backend.ErrRunning, err)
	}
	return fmt.Errorf("%w, as process %d at %s. Use that one, or stop it first", backend.ErrRunning, st.PID, st.Base)
}

// welcome is what stands on the terminal once Patchbay listens.
func (a *app) welcome(ctx context.Context, p program, base string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Patchbay %s listens on %s\n\n", versionText(), base)
	if key, ok := p.FirstKey(); ok {
		b.WriteString(firstKey(key) + "\n")
	}
	accounts, err := p.Accounts(ctx)
	if err == nil && len(accounts) == 0 {
		b.WriteString("There is no account yet. In another terminal:\n" +
			"  patchbay accounts add openai     add one by its API key; `patchbay providers` lists the providers\n\n")
	}
	b.WriteString(baseURLs(base))
	if t, err := p.OpenPage(ctx); err == nil {
		b.WriteString("\nThe page, once and within a minute (`patchbay open` gives another link):\n  " + t.URL.Reveal() + "\n")
	}
	b.WriteString("\nStop with Ctrl+C.")
	return b.String()
}

// firstKey shows the key that was made at first start.
func firstKey(key secret.Value) string {
	return "A key for your apps was made. It is shown only now; `patchbay keys add NAME` makes more:\n\n  " + key.Reveal() + "\n"
}

// baseURLs says what to type into apps. Without a base nothing listens yet.
func baseURLs(base string) string {
	if base == "" {
		return "Patchbay is not running; start it with `patchbay serve`.\n"
	}
	return "Base URLs for apps:\n" +
		"  OpenAI     " + base + "/v1\n" +
		"  Anthropic  " + base + "\n" +
		"  Gemini     " + base + "\n" +
		"  Ollama     " + base + "/ollama\n"
}

// base is the address of the running instance, "" if none runs.
func (a *app) base(ctx context.Context, svc api.Service) string {
	st, err := svc.Status(ctx)
	if err != nil {
		return "" // what the command did is done; only the hint is shorter
	}
	return st.Base
}
