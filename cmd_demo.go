package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

func (a *app) demoCommand() *cobra.Command {
	var listen string
	var list bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try Patchbay with simulated services, no account needed",
		Long: "Starts Patchbay with services that run inside it and are made up: every answer is simulated. Your own accounts,\n" +
			"settings and records are not touched; everything stands in a temporary folder that is removed at the end.",
		Example: "  patchbay demo\n  patchbay demo --scenarios      what the simulated services can do",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return a.listScenarios()
			}
			return a.demo(cmd.Context(), listen)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`address:port` to listen on (port 0: a free one)")
	cmd.Flags().BoolVar(&list, "scenarios", false, "list the scenarios and end")
	return cmd
}

func (a *app) listScenarios() error {
	return printList(a, simulator.Describe(), "SCENARIO|WHAT IT DOES|ARGUMENTS", func(d simulator.Description) []string {
		return []string{d.Name, d.Text, d.Args}
	}, "")
}

// demoAccounts are the accounts of the demo: two for OpenAI, the first of which is always told to pause, so that the log
// shows how the second one takes over.
var demoAccounts = []struct{ provider, name, key string }{
	{"openai", "resting", "sk-sim-rate-limit"},
	{"openai", "working", "sk-sim-demo"},
	{"anthropic", "demo", "sk-ant-sim-demo"},
	{"openai-responses", "demo", "sk-sim-demo"},
	{"gemini", "demo", "sk-sim-demo"},
	{"home-ollama", "demo", ""}, // a local server wants no key
}

func (a *app) demo(ctx context.Context, listen string) (err error) {
	home, err := os.MkdirTemp("", "patchbay-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	isolate(home)

	sim := simulator.New(simulator.Options{})
	if err := sim.Start(); err != nil {
		return err
	}
	defer sim.Close()
	paths, err := config.FindPaths()
	if err != nil {
		return err
	}
	if err := os.WriteFile(paths.Config, []byte(demoSettings(sim)), 0o600); err != nil {
		return fmt.Errorf("writing the settings of the demo: %w", err)
	}

	var p program
	ready := func(base string) {
		key, _ := p.FirstKey()
		text := demoText(home, base, key)
		if t, err := p.OpenPage(ctx); err == nil {
			text += "\nThe page, once and within a minute (PATCHBAY_HOME=" + quotePath(home) + " patchbay open gives another link):\n  " + t.URL.Reveal() + "\n"
		}
		fmt.Fprint(a.out, text)
	}
	p, err = a.start(ctx, startOptions{paths: paths, flags: map[string]string{"server.listen": listen}, log: warnings{a.err}, ready: ready})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for i, d := range demoAccounts {
		if _, err := p.AddAccount(ctx, api.NewAccount{Provider: d.provider, Name: d.name, Key: secret.New(d.key), Priority: i + 1}); err != nil {
			return fmt.Errorf("adding the account %s: %w", d.name, err)
		}
	}
	if err := p.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// isolate keeps the person's own Patchbay out: its environment, its folders and its keychain.
func isolate(home string) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "PATCHBAY_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("PATCHBAY_HOME", home)
	os.Setenv("PATCHBAY_KEYRING", "file")
}

// demoLogins are the providers that the demo's services let people sign in to.
var demoLogins = []string{simulator.Antigravity, simulator.GeminiCLI}

func demoSettings(sim *simulator.Server) string {
	logins := ""
	for _, name := range demoLogins { // off until somebody signs in, as they come
		logins += "  " + name + ":\n    base_url: " + sim.BaseURL(name) + "\n    login_url: " + sim.BaseURL(name) + "\n"
	}
	return "credential_files:\n  enabled: false\n" + // the person's own logins have no business here
		"providers:\n" + logins +
		"  openai:\n    base_url: " + sim.BaseURL(simulator.OpenAI) + "\n" +
		"  anthropic:\n    base_url: " + sim.BaseURL(simulator.Anthropic) + "\n" +
		"  openai-responses:\n    base_url: " + sim.BaseURL(simulator.Responses) + "\n" +
		"  gemini:\n    base_url: " + sim.BaseURL(simulator.Gemini) + "\n" +
		"  home-ollama:\n    kind: ollama\n    base_url: " + sim.BaseURL(simulator.Ollama) + "\n" +
		"  codex:\n    base_url: " + sim.BaseURL(simulator.Codex) + "\n    login_url: " + sim.LoginURL(simulator.Codex) + "\n" +
		"  kiro:\n    base_url: " + sim.BaseURL(simulator.Kiro) + "\n    login_url: " + sim.LoginURL(simulator.Kiro) + "\n" +
		"  qwen-code:\n    base_url: " + sim.BaseURL(simulator.Qwen) + "\n    login_url: " + sim.LoginURL(simulator.Qwen) + "\n" +
		"  iflow:\n    base_url: " + sim.BaseURL(simulator.IFlow) + "\n    login_url: " + sim.LoginURL(simulator.IFlow) + "\n"
}

// warnings is the demo's log: what goes wrong, without the routine.
type warnings struct{ w io.Writer }

func (l warnings) Write(b []byte) (int, error) {
	if s := string(b); strings.Contains(s, "WARN") || strings.Contains(s, "ERROR") {
		if _, err := l.w.Write(b); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// demoText is made to be copied line by line.
func demoText(home, base string, key secret.Value) string {
	var b strings.Builder
	k := key.Reveal()
	fmt.Fprintf(&b, "Patchbay demo on %s, key %s\n", base, k)
	b.WriteString("ALL ANSWERS ARE SIMULATED: no service is called, nothing is charged, your own accounts are not touched.\n\n")
	openAI := func(title, body, flags string) {
		fmt.Fprintf(&b, "# %s\ncurl -s%s %s/v1/chat/completions -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \\\n  -d '%s'\n\n", title, flags, base, k, body)
	}
	anthropic := func(title, body, flags string) {
		fmt.Fprintf(&b, "# %s\ncurl -s%s %s/v1/messages -H 'x-api-key: %s' -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' \\\n  -d '%s'\n\n", title, flags, base, k, body)
	}
	openAI("OpenAI chat, whole answer", `{"model":"gpt-4.1","messages":[{"role":"user","content":"Hello"}]}`, "")
	openAI("OpenAI chat, streamed", `{"model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"Hello"}]}`, "N")
	anthropic("Anthropic messages, whole answer", `{"model":"claude-sonnet-4-5","max_tokens":256,"messages":[{"role":"user","content":"Hello"}]}`, "")
	anthropic("Anthropic messages, streamed, thinking first", `{"model":"claude-sonnet-4-5","max_tokens":256,"stream":true,"messages":[{"role":"user","content":"[[reasoning]] What is 2+2?"}]}`, "N")
	anthropic("An Anthropic client on an OpenAI model: converted both ways", `{"model":"gpt-4.1","max_tokens":256,"messages":[{"role":"user","content":"Hello"}]}`, "i")
	fmt.Fprintf(&b, "# OpenAI Responses, streamed\ncurl -sN %s/v1/responses -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \\\n  -d '%s'\n\n",
		base, k, `{"model":"openai-responses/gpt-5.5","stream":true,"input":"Hello"}`)
	fmt.Fprintf(&b, "# Gemini, streamed\ncurl -sN '%s/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse' -H 'x-goog-api-key: %s' -H 'Content-Type: application/json' \\\n  -d '%s'\n\n",
		base, k, `{"contents":[{"parts":[{"text":"Hello"}]}]}`)
	openAI("A model of the local server, Ollama", `{"model":"qwen3:8b","messages":[{"role":"user","content":"Hello"}]}`, "")
	openAI("A failing service: every try is told to pause, and the answer says so", `{"model":"gpt-4.1","messages":[{"role":"user","content":"[[rate_limit]] Hello"}]}`, "i")
	b.WriteString("# Sign in, in the browser, to a service that is made up too (in another terminal; ann and bob work, the others show what may stand in the way)\n")
	for _, name := range demoLogins {
		fmt.Fprintf(&b, "PATCHBAY_HOME=%s patchbay login %s\n", quotePath(home), name)
	}
	b.WriteString("\nScenarios: put [[NAME]] into the prompt, or ask for the model MODEL@NAME.\n")
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, d := range simulator.Describe() {
		fmt.Fprintf(t, "  %s\t%s\n", d.Name, d.Text)
	}
	t.Flush() // into memory: it cannot fail
	fmt.Fprintf(&b, "\nCommands in another terminal: PATCHBAY_HOME=%s patchbay accounts|keys|models|logs|doctor\n", quotePath(home))
	fmt.Fprintf(&b, "Sign in at a simulated page there: PATCHBAY_HOME=%s patchbay login codex\n", quotePath(home))
	fmt.Fprintf(&b, "Or at Kiro's, which is off until you have read its label: PATCHBAY_HOME=%s patchbay login kiro\n", quotePath(home))
	b.WriteString("Stop with Ctrl+C; the temporary folder is removed then.\n")
	return b.String()
}

func quotePath(path string) string {
	if strings.ContainsAny(path, " '\"$&;()") {
		return "'" + strings.ReplaceAll(filepath.Clean(path), "'", `'\''`) + "'"
	}
	return path
}
