package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/trace"
)

// routeCommand tells where a request would go.
func (a *app) routeCommand() *cobra.Command {
	var q api.RouteQuery
	var key string
	cmd := &cobra.Command{
		Use:   "route MODEL",
		Short: "Where a request for a model would go now, and why",
		Long: "Follows the rules and looks at the accounts as a request would, and sends nothing. A line is what was decided or which\n" +
			"account was considered, in that order.",
		Example: "  patchbay route gpt-5\n" +
			"  patchbay route claude-sonnet-4-5 --protocol anthropic --tools --tokens 150000\n" +
			"  patchbay route fast --key cline",
		Args: nArgs(1, 1, "the model as an app would name it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Model = args[0]
			return a.with(cmd.Context(), func(svc api.Service) error { return a.explainRoute(cmd, svc, q, key) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&q.Protocol, "protocol", "", "what the app speaks: openai, responses, anthropic, gemini or ollama")
	fl.StringVar(&q.PathProvider, "path", "", "the `provider` that the address names, as in /kiro/v1")
	fl.StringVar(&q.HeaderProvider, "header", "", "the `provider` that the header names")
	fl.StringVar(&key, "key", "", "name or id of the client `key` that the app uses")
	fl.BoolVar(&q.Needs.Tools, "tools", false, "the request has tools")
	fl.BoolVar(&q.Needs.Images, "images", false, "the request has images")
	fl.BoolVar(&q.Needs.Documents, "documents", false, "the request has documents")
	fl.BoolVar(&q.Needs.Thinking, "thinking", false, "the request asks for thinking")
	fl.Int64Var(&q.Tokens, "tokens", 0, "about how many `tokens` the prompt has")
	fl.Int64Var(&q.MaxOutput, "max-output", 0, "how many `tokens` the answer may have")
	return cmd
}

func (a *app) explainRoute(cmd *cobra.Command, svc api.Service, q api.RouteQuery, key string) error {
	if key != "" {
		keys, err := svc.Keys(cmd.Context())
		if err != nil {
			return err
		}
		k, err := findKey(keys, key)
		if err != nil {
			return err
		}
		q.Key = k.ID
	}
	v, err := svc.Explain(cmd.Context(), q)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(v)
	}
	fmt.Fprintln(a.out, answerLine(&v.Answer))
	if err := a.printTrace(v.Trace); err != nil {
		return err
	}
	if v.Answer.Outcome != "account" {
		return errTold
	}
	return nil
}

func answerLine(r *api.RouteAnswer) string {
	switch r.Outcome {
	case "account":
		return clean(fmt.Sprintf("%s, %s would answer with %s.", orElse(r.Name, r.Provider), r.Label, r.Model))
	case "nobody":
		line := fmt.Sprintf("Nobody could answer now: the app would get %d", r.Status)
		if !r.Until.IsZero() {
			line += ", and should ask again at " + shown(r.Until)
		}
		return clean(line + ". " + r.Message)
	default:
		return clean(fmt.Sprintf("It leads nowhere: the app would get %d. %s", r.Status, r.Message))
	}
}

// printTrace prints the way of a request, one step a line.
func (a *app) printTrace(steps []api.TraceStep) error {
	t := newTable(a.out, []string{"", "WHO", "MODEL", "WHY"})
	for _, s := range steps {
		t.row(verb(s.What), whoOf(s), s.Model, clip(because(s)))
	}
	return t.Flush()
}

func verb(w trace.What) string {
	if w == trace.Chosen {
		return "chosen"
	}
	return string(w)
}

func whoOf(s api.TraceStep) string {
	switch {
	case s.Count > 0:
		return s.Provider + ", " + plural(s.Count, "account")
	case s.Label != "":
		return s.Provider + ", " + s.Label
	default:
		return s.Provider
	}
}

func because(s api.TraceStep) string {
	text := s.Message
	if s.What == trace.Asked {
		text = "asked for in the protocol " + s.Kind
	}
	if !s.Until.IsZero() {
		text += " (until " + shown(s.Until) + ")"
	}
	if s.MS > 0 {
		text += " after " + strconv.FormatInt(s.MS, 10) + " ms"
	}
	return text
}

// routingCommand shows and changes what decides where requests go.
func (a *app) routingCommand() *cobra.Command {
	show := func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd.Context(), func(svc api.Service) error {
			v, err := svc.Routing(cmd.Context())
			if err != nil {
				return err
			}
			return a.showRouting(v)
		})
	}
	routing := &cobra.Command{
		Use:   "routing",
		Short: "Who answers what, and who steps in",
		Example: "  patchbay routing\n" +
			"  patchbay routing chain codex kiro/claude-sonnet-4-5 anthropic\n" +
			"  patchbay routing alias fast openai/gpt-5-mini\n" +
			"  patchbay routing fallback gpt-5 anthropic/claude-sonnet-4-5",
		Args: noArgs, RunE: show,
	}
	routing.AddCommand(&cobra.Command{Use: "list", Short: "Show what decides where requests go", Args: noArgs, RunE: show},
		a.chainCommand(), a.aliasCommand(), a.fallbackCommand(), a.hideCommand(), a.thinkingCommand())
	return routing
}

// reroute makes a change and says so.
func (a *app) reroute(cmd *cobra.Command, done string, change func(api.Service) (api.RoutingView, error)) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		if _, err := change(svc); err != nil {
			return err
		}
		return a.done("%s", done)
	})
}

func (a *app) chainCommand() *cobra.Command {
	none := false
	cmd := &cobra.Command{
		Use:   "chain PROVIDER [STEP...]",
		Short: "Who steps in when a provider has no usable account",
		Long: "A step is a provider, which answers with the model that was asked for where it has it, or provider/model. PROVIDER may be\n" +
			"provider/model too: then the chain is for that model only. The chain is replaced as a whole.",
		Example: "  patchbay routing chain codex kiro/claude-sonnet-4-5 anthropic\n" +
			"  patchbay routing chain codex --none",
		Args: nArgs(1, 20, "a provider and the steps after it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if none != (len(args) == 1) {
				return usagef("give the steps, or --none to have no chain")
			}
			text := args[0] + " falls back to " + strings.Join(args[1:], ", then ") + " from now on."
			if none {
				text = "Nobody steps in for " + args[0] + " from now on."
			}
			return a.reroute(cmd, text, func(svc api.Service) (api.RoutingView, error) {
				return svc.SetChain(cmd.Context(), api.ChainChange{Of: args[0], Steps: args[1:]})
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "have no chain")
	return cmd
}

func (a *app) aliasCommand() *cobra.Command {
	remove := false
	provider := ""
	cmd := &cobra.Command{
		Use:   "alias NAME [TARGET]",
		Short: "Another name for a model",
		Long: "NAME may end in * and then stands for all names that begin so. TARGET is provider/model, or a model that a provider lists;\n" +
			"with --provider it is a model of that one.",
		Example: "  patchbay routing alias fast openai/gpt-5-mini\n" +
			"  patchbay routing alias 'claude-3-5-haiku*' anthropic/claude-haiku-4-5\n" +
			"  patchbay routing alias fast --remove",
		Args: nArgs(1, 2, "a name and what it stands for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove != (len(args) == 1) {
				return usagef("give what %s stands for, or --remove", args[0])
			}
			c := api.AliasChange{Name: args[0], Provider: provider}
			text := args[0] + " stands for nothing any more."
			if !remove {
				c.Target = args[1]
				text = args[0] + " stands for " + args[1] + " from now on."
			}
			return a.with(cmd.Context(), func(svc api.Service) error {
				v, err := svc.SetAlias(cmd.Context(), c)
				if err != nil {
					return err
				}
				if err := a.done("%s", text); err != nil || remove || a.json {
					return err
				}
				return a.warnOfAlias(cmd.Context(), svc, v, c)
			})
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the name away")
	cmd.Flags().StringVar(&provider, "provider", "", "for requests to this `provider` only")
	return cmd
}

// warnOfAlias says when nothing is known by the name that an alias leads to. That is no error: a service may list it later, and
// names of models may hold a slash.
func (a *app) warnOfAlias(ctx context.Context, svc api.Service, v api.RoutingView, c api.AliasChange) error {
	i := slices.IndexFunc(v.Aliases, func(have api.AliasView) bool { return have.Name == c.Name && have.Scope == "global" })
	if c.Provider != "" || i < 0 || v.Aliases[i].Provider != "" {
		return nil
	}
	models, err := svc.Models(ctx, "")
	if err != nil || slices.ContainsFunc(models, func(m api.ModelView) bool { return m.ID == c.Target }) {
		return err
	}
	fmt.Fprintf(a.err, "Nothing is called %s now, so apps that ask for %s get 404: write PROVIDER/MODEL, or a model that `patchbay models` lists.\n",
		clean(c.Target), clean(c.Name))
	return nil
}

func (a *app) fallbackCommand() *cobra.Command {
	none := false
	cmd := &cobra.Command{
		Use:   "fallback MODEL [PROVIDER/MODEL...]",
		Short: "Where a model goes when nobody else can serve it",
		Long:  "Comes after the chains, and may lead to a provider of any kind. In MODEL a * stands for any text.",
		Example: "  patchbay routing fallback gpt-5 anthropic/claude-sonnet-4-5\n" +
			"  patchbay routing fallback gpt-5 --none",
		Args: nArgs(1, 20, "a model and where it goes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if none != (len(args) == 1) {
				return usagef("give where %s goes, or --none", args[0])
			}
			text := args[0] + " falls back to " + strings.Join(args[1:], ", then ") + " from now on."
			if none {
				text = args[0] + " falls back to nothing of its own from now on."
			}
			return a.reroute(cmd, text, func(svc api.Service) (api.RoutingView, error) {
				return svc.SetModelFallback(cmd.Context(), api.ModelFallbackChange{Model: args[0], Targets: args[1:]})
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "have no fallback for it")
	return cmd
}

func (a *app) hideCommand() *cobra.Command {
	none := false
	cmd := &cobra.Command{
		Use:   "hide [PATTERN...]",
		Short: "Models that no list shows",
		Long:  "Replaces the patterns of models, or of provider/model, that apps do not see. Who asks for such a model by name gets it.",
		Example: "  patchbay routing hide '*-preview' 'openai/gpt-3.5*'\n" +
			"  patchbay routing hide --none",
		Args: nArgs(0, 100, "patterns of models"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if none != (len(args) == 0) {
				return usagef("give patterns, or --none to show all models")
			}
			return a.reroute(cmd, "Changed what the model lists show.", func(svc api.Service) (api.RoutingView, error) {
				return svc.SetHidden(cmd.Context(), args)
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "hide nothing")
	return cmd
}

func (a *app) thinkingCommand() *cobra.Command {
	var def, most string
	cmd := &cobra.Command{
		Use:   "thinking PROVIDER",
		Short: "How much the models of a provider think",
		Long:  "A level (minimal, low, medium, high, xhigh, max) or a number of tokens; \"\" takes a word away.",
		Example: "  patchbay routing thinking anthropic --default medium --max 16000\n" +
			"  patchbay routing thinking anthropic --default off",
		Args: nArgs(1, 1, "a provider"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := api.ThinkingChange{Provider: args[0]}
			if cmd.Flags().Changed("default") {
				c.Default = &def
			}
			if cmd.Flags().Changed("max") {
				c.Max = &most
			}
			if c.Default == nil && c.Max == nil {
				return usagef("say what is to change: --default or --max")
			}
			return a.reroute(cmd, "Changed how much the models of "+args[0]+" think.", func(svc api.Service) (api.RoutingView, error) {
				return svc.SetThinking(cmd.Context(), c)
			})
		},
	}
	cmd.Flags().StringVar(&def, "default", "", "a `level`, a number of tokens, auto or off, where a request says nothing")
	cmd.Flags().StringVar(&most, "max", "", "a `level` or a number of tokens, at most")
	return cmd
}

func (a *app) showRouting(v api.RoutingView) error {
	if a.json {
		return a.printJSON(v)
	}
	t := newTable(a.out, []string{"WHAT", "FOR", "GOES TO", "NOTE"})
	def := orElse(v.Default.Provider, "none")
	note := "the first by priority that has an account"
	if v.Default.Chosen {
		note = "chosen"
	}
	t.row("default provider", "", def, locked(note, v.Default.LockedBy))
	for _, c := range v.Chains {
		if len(c.Steps) < 2 {
			continue
		}
		for i, s := range c.Steps[1:] {
			note := stepNote(s)
			if i == 0 {
				note = locked(note, c.LockedBy)
			}
			t.row("chain", c.Of, s.Target, note)
		}
	}
	for _, f := range v.ModelFallbacks {
		for _, s := range f.Steps {
			t.row("fallback", f.Model, s.Target, locked(stepNote(s), f.LockedBy))
		}
	}
	for _, n := range v.Aliases {
		what := "alias"
		if n.Scope != "global" {
			what += " of " + orElse(n.Label, n.Provider)
		}
		t.row(what, n.Name, n.Target, locked(n.Problem, n.LockedBy))
	}
	for _, p := range v.Hidden.Patterns {
		t.row("hidden", p, "", locked("", v.Hidden.LockedBy))
	}
	for _, th := range v.Thinking {
		t.row("thinking", th.Provider, "", locked(thinkingNote(th), th.LockedBy))
	}
	return t.Flush()
}

func locked(note, by string) string {
	if by == "" {
		return note
	}
	if note != "" {
		note += "; "
	}
	return note + "held by " + by
}

func stepNote(s api.ChainStepView) string {
	var parts []string
	switch {
	case s.Problem != "":
		parts = append(parts, s.Problem)
	case s.State == "resting" && !s.Until.IsZero():
		parts = append(parts, "resting until "+shown(s.Until))
	case s.State != "ready":
		parts = append(parts, strings.ReplaceAll(s.State, "_", " "))
	default:
		parts = append(parts, fmt.Sprintf("%d of %d ready", s.Ready, s.Accounts))
	}
	if s.From != "" {
		parts = append(parts, "by the chain of "+s.From)
	}
	return strings.Join(parts, ", ")
}

func thinkingNote(t api.ThinkingView) string {
	var parts []string
	if t.Default != "" {
		parts = append(parts, "by default "+t.Default)
	}
	if t.Max != "" {
		parts = append(parts, "at most "+t.Max)
	}
	return strings.Join(parts, ", ")
}
