package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	shell "patchbay/app"
	"patchbay/app/window"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitSilent = 3 // another Patchbay runs and does not answer
)

// app is what commands get to work with. Tests put their own functions into it.
type app struct {
	in       io.Reader
	out, err io.Writer
	// prompt asks for a secret at the terminal without showing it; ok is false when there is no terminal.
	prompt func(question string) (text string, ok bool, err error)
	// open returns the service of the running instance, or opens the store itself. The function ends it.
	open func(ctx context.Context, a *app) (svc api.Service, end func() error, err error)
	// browse opens a page in the person's browser; nil = there is none.
	browse func(address string) error
	// desk runs the program on a desktop; it is called on the main goroutine.
	desk func(ctx context.Context, o shell.Options) error
	// screen reports whether there is a desktop at all.
	screen func() bool
	// start opens the whole program, to be run.
	start func(ctx context.Context, o startOptions) (program, error)

	configPath string // --config
	json       bool   // --json
}

func newApp() *app {
	return &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, prompt: promptTerminal, open: openService, browse: openBrowser, desk: shell.Run, screen: hasScreen, start: startProgram}
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, a *app, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errTold) {
		return exitFailed
	}
	fmt.Fprintln(a.err, "patchbay: "+message(err))
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(a.err, "`%s --help` shows how it goes.\n", cmd.CommandPath())
		return exitUsage
	}
	if _, ok := errors.AsType[notAnswering](err); ok {
		return exitSilent
	}
	if errors.Is(err, window.ErrNotBuilt) {
		return window.ExitNoWindow
	}
	return exitFailed
}

// errTold ends a command that has said everything.
var errTold = errors.New("already told")

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// message is what a person gets to read of an error.
func message(err error) string {
	if e, ok := errors.AsType[*apierror.Error](err); ok {
		return e.Msg
	}
	return err.Error()
}

func newRoot(a *app) *cobra.Command {
	desktop := desktopFlags{}
	root := &cobra.Command{
		Use:   "patchbay",
		Short: "One local address for every AI app",
		Long: "Patchbay gives every AI app on this computer one local address. Behind it stand your own accounts;\n" +
			"apps may speak the protocol of OpenAI, Anthropic, Gemini or Ollama, whatever the account speaks.",
		Example: "  patchbay                             start it on a desktop: a tray, a window\n" +
			"  patchbay serve                       start it without a window\n" +
			"  patchbay login PROVIDER              sign in with an account of yours\n" +
			"  patchbay accounts add openai         add an account; the key is asked for\n" +
			"  patchbay keys add cline              make a key for an app\n" +
			"  patchbay open                        the page, in your browser\n" +
			"  patchbay doctor                      what is wrong and how to mend it\n" +
			"  patchbay demo                        try it with simulated services",
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.desktop(cmd.Context(), desktop)
		},
	}
	desktop.register(root)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&a.configPath, "config", "", "settings `file` (default: config.yaml in the user's config folder)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(a.serveCommand(), a.openCommand(), a.demoCommand(), a.loginCommand(), a.accountsCommand(), a.poolsCommand(), a.keysCommand(), a.providersCommand(),
		a.modelsCommand(), a.routeCommand(), a.routingCommand(), a.promptsCommand(), a.proxyCommand(), a.usageCommand(), a.logsCommand(), a.doctorCommand(), a.vaultCommand(), a.passwordCommand(),
		a.configCommand(), a.exportCommand(), a.importCommand(), a.pauseCommand(), a.resumeCommand(), a.updateCommand(), a.healthCommand(), a.versionCommand())
	return root
}

// flagError explains the one flag that people expect and that is not there on purpose.
func flagError(_ *cobra.Command, err error) error {
	text := err.Error()
	if strings.HasPrefix(text, "unknown flag: --key") || strings.HasPrefix(text, "unknown flag: --api-key") || strings.HasPrefix(text, "unknown flag: --token") {
		return usageError{noKeyHere}
	}
	if _, given, ok := strings.Cut(text, "unknown shorthand flag: '"); ok && given != "" && given[0] >= '0' && given[0] <= '9' {
		return usageError{text + "; a value that begins with a minus stands behind --, as in: patchbay config set KEY -- -1"}
	}
	return usageError{text}
}

// noArgs refuses positional arguments; a mistyped subcommand is one.
func noArgs(cmd *cobra.Command, args []string) error { return nArgs(0, 0, "")(cmd, args) }

// nArgs wants between low and high positional arguments, described by what.
func nArgs(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if slices.ContainsFunc(args, looksLikeKey) {
			return usageError{noKeyHere}
		}
		if len(args) >= low && len(args) <= high {
			return nil
		}
		if high == 0 && cmd.HasAvailableSubCommands() {
			return usagef("there is no command %q here", cmd.CommandPath()+" "+args[0])
		}
		if high == 0 {
			return usagef("%s takes no arguments", cmd.CommandPath())
		}
		return usagef("%s needs %s", cmd.CommandPath(), what)
	}
}

// with opens the service for one command and ends it.
func (a *app) with(ctx context.Context, do func(svc api.Service) error) error {
	svc, end, err := a.open(ctx, a)
	if err != nil {
		return err
	}
	return errors.Join(do(svc), end())
}

// promptTerminal asks at the terminal that the program was started from.
func promptTerminal(question string) (string, bool, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", false, nil
	}
	fmt.Fprint(os.Stderr, question)
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	return string(b), true, err
}

// noKeyHere explains why a key on the command line is refused.
const noKeyHere = "a key does not belong on the command line: other programs can see it, and it stays in the shell's history.\n" +
	"Leave it out and type it when asked, or use --key-file FILE or --key-stdin.\n" +
	"If it was a real key, replace it at the vendor's."

// keyShapes are the beginnings of vendors' keys and tokens.
var keyShapes = []string{"sk-", "sk_", "pk-", "AIza", "gsk_", "xai-", "ya29.", "eyJ", "pplx-", "hf_", "ghp_", "github_pat_", "nvapi-", "csk-", "AKIA", "Bearer ", "pb-"}

// looksLikeKey reports whether an argument has the shape of a credential: a known beginning, or much text with both letters
// and digits and nothing that names have.
func looksLikeKey(arg string) bool {
	for _, p := range keyShapes {
		if strings.HasPrefix(arg, p) && len(arg) >= len(p)+8 {
			return true
		}
	}
	return len(arg) >= 32 && strings.ContainsAny(arg, "0123456789") && strings.ContainsAny(strings.ToLower(arg), "abcdefghijklmnopqrstuvwxyz") &&
		!strings.ContainsAny(arg, " /\\")
}

// readSecret reads a key from a file, from standard input or from the terminal, in this order of preference. Empty is an
// error unless optional.
func (a *app) readSecret(file string, stdin bool, question string, optional bool) (secret.Value, error) {
	const limit = 64 << 10
	var text string
	switch {
	case file != "" && stdin:
		return secret.Value{}, usagef("choose one: --key-file or --key-stdin")
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return secret.Value{}, fmt.Errorf("reading the key: %w", err)
		}
		defer f.Close()
		return readKey(f, limit, optional)
	case stdin:
		return readKey(a.in, limit, optional)
	}
	text, ok, err := a.prompt(question)
	if err != nil {
		return secret.Value{}, fmt.Errorf("reading the key: %w", err)
	}
	if !ok && optional {
		return secret.Value{}, nil
	}
	if !ok {
		return secret.Value{}, usagef("there is no terminal to ask at: give the key with --key-file FILE or --key-stdin")
	}
	return readKey(strings.NewReader(text), limit, optional)
}

// readKey reads a key of at most limit bytes.
func readKey(r io.Reader, limit int, optional bool) (secret.Value, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return secret.Value{}, fmt.Errorf("reading the key: %w", err)
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(b), "\ufeff")) // Windows editors begin files with a mark
	if len(text) > limit {
		return secret.Value{}, errors.New("this is too long for a key; is it the right file?")
	}
	if text == "" && !optional {
		return secret.Value{}, errors.New("the key is empty")
	}
	return secret.New(text), nil
}

// versionText is the version of this build.
func versionText() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" && bi.Main.Version != "(devel)" {
		return bi.Main.Version
	}
	return "dev"
}
