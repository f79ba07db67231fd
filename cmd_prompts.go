package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
)

// maxPrompt bounds a text that is read from a pipe.
const maxPrompt = 1 << 20

// promptsCommand shows and changes the rules for system text.
func (a *app) promptsCommand() *cobra.Command {
	prompts := &cobra.Command{
		Use:   "prompts",
		Short: "Rules for the system text that apps send",
		Long: "A rule puts a text before, behind or in place of the system text of requests, or replaces words in it: for all requests,\n" +
			"for providers or for client keys. Rules for all come first, then those for providers, then those for client keys, which\n" +
			"have the last word.",
		Example: "  patchbay prompts                                            list them, in the order in which they are applied\n" +
			"  patchbay prompts set house --text \"Answer in English.\"\n" +
			"  patchbay prompts set bot --mode override --file /home/me/bot.md --key bot\n" +
			"  patchbay prompts set names --replace \"Claude Code=the assistant\"\n" +
			"  patchbay prompts preview \"You are a bot.\" --provider kiro\n" +
			"  patchbay prompts remove house",
		Args: noArgs,
		RunE: a.listPrompts,
	}
	prompts.AddCommand(
		&cobra.Command{Use: "list", Short: "List the rules", Args: noArgs, RunE: a.listPrompts},
		a.promptsSetCommand(),
		&cobra.Command{
			Use: "remove NAME", Aliases: []string{"rm"}, Short: "Take a rule away", Args: nArgs(1, 1, "the name of a rule; `patchbay prompts` lists them"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.with(cmd.Context(), func(svc api.Service) error {
					if err := svc.RemovePrompt(cmd.Context(), args[0]); err != nil {
						return err
					}
					return a.done("The rule %s is gone.", args[0])
				})
			},
		},
		&cobra.Command{
			Use: "order NAME...", Short: "Put rules in order", Args: nArgs(1, 1000, "the names of rules"),
			Long: "The last rule has the last word. Rules for providers stay behind those for all, and those for client keys behind both.",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.with(cmd.Context(), func(svc api.Service) error {
					list, err := svc.OrderPrompts(cmd.Context(), args)
					if err != nil {
						return err
					}
					return a.printPrompts(list)
				})
			},
		},
		a.promptsPreviewCommand(),
	)
	return prompts
}

func (a *app) listPrompts(cmd *cobra.Command, _ []string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		list, err := svc.Prompts(cmd.Context())
		if err != nil {
			return err
		}
		return a.printPrompts(list)
	})
}

func (a *app) printPrompts(list []api.PromptRuleView) error {
	return printList(a, list, "RULE|MODE|FOR|TEXT|REPLACES|NOTE", func(v api.PromptRuleView) []string {
		mode, text := v.Mode, v.Text
		if v.File != "" {
			text = v.File
		}
		if text == "" {
			mode = ""
		}
		replaces := ""
		if n := len(v.Replace) + len(v.ReplaceRegexp); n > 0 {
			replaces = plural(n, "text")
		}
		return []string{v.Name, mode, promptReach(v), clip(strings.Join(strings.Fields(text), " ")), replaces, locked(clip(v.Problem), v.LockedBy)}
	}, "There are no rules for system text: what apps send goes on as it is. Make one: patchbay prompts set NAME --text TEXT")
}

func promptReach(v api.PromptRuleView) string {
	var parts []string
	if len(v.Providers) > 0 {
		parts = append(parts, strings.Join(v.Providers, ", "))
	}
	if len(v.Keys) > 0 {
		parts = append(parts, "key "+strings.Join(v.Keys, ", "))
	}
	return orElse(strings.Join(parts, ", "), "all")
}

// promptFlags are what a command line says of a rule.
type promptFlags struct {
	mode, text, file   string
	providers, keys    []string
	replace, replaceRE map[string]string
	order              int
	changed            func(name string) bool
}

func (a *app) promptsSetCommand() *cobra.Command {
	var f promptFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Make a rule, or change what is named of one",
		Example: "  patchbay prompts set house --text \"Answer in English.\"\n" +
			"  patchbay prompts set house --mode prepend --provider kiro --provider codex\n" +
			"  cat rules.md | patchbay prompts set house --text -\n" +
			"  patchbay prompts set dates --replace-regexp '(?i)today is [^.]*\\.='",
		Args: nArgs(1, 1, "the name of a rule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.changed = cmd.Flags().Changed
			return a.setPrompt(cmd, args[0], f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.mode, "mode", "", "append (behind the app's own text), prepend (before it) or override (in its place)")
	fl.StringVar(&f.text, "text", "", "the `text`; - reads it from standard input")
	fl.StringVar(&f.file, "file", "", "a `path` that begins at the root of the disk; the file is read again when it changes")
	fl.StringSliceVar(&f.providers, "provider", nil, "only for this `provider`; again for more, \"\" for all")
	fl.StringSliceVar(&f.keys, "key", nil, "only for the client key of this `name`; again for more, \"\" for all")
	fl.StringToStringVar(&f.replace, "replace", nil, "replace a text by another: `from=to`; again for more, \"\" for none")
	fl.StringToStringVar(&f.replaceRE, "replace-regexp", nil, "replace what a regular expression finds: `pattern=to`, $1 is a group; again for more")
	fl.IntVar(&f.order, "order", 0, "place among the rules that reach as far: the `highest` has the last word")
	return cmd
}

func (a *app) setPrompt(cmd *cobra.Command, name string, f promptFlags) error {
	if cmd.Flags().NFlag() == 0 {
		return usagef("say what the rule does: --text, --file, --replace or --replace-regexp")
	}
	if f.text == "-" {
		b, err := io.ReadAll(io.LimitReader(a.in, maxPrompt+1))
		if err != nil {
			return fmt.Errorf("reading the text: %w", err)
		}
		if len(b) > maxPrompt {
			return usagef("the text is larger than %d bytes", maxPrompt)
		}
		f.text = strings.TrimSpace(string(b))
	}
	return a.with(cmd.Context(), func(svc api.Service) error {
		list, err := svc.Prompts(cmd.Context())
		if err != nil {
			return err
		}
		var rule api.PromptRule
		for _, v := range list {
			if v.Name == name {
				rule = v.PromptRule
			}
		}
		rule.Name = name
		f.apply(&rule)
		v, err := svc.SetPrompt(cmd.Context(), name, rule)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(v)
		}
		if v.Problem != "" {
			fmt.Fprintln(a.err, clean("Note: "+v.Problem))
		}
		return a.done("The rule %s holds from the next request on.", v.Name)
	})
}

// apply puts what the command line names into a rule. A text takes the place of a file, and the other way round.
func (f promptFlags) apply(r *api.PromptRule) {
	named := func(list []string) []string {
		var out []string
		for _, s := range list {
			if s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	if f.changed("mode") {
		r.Mode = f.mode
	}
	if f.changed("text") {
		r.Text, r.File = f.text, ""
	}
	if f.changed("file") {
		r.File = f.file
		if !f.changed("text") {
			r.Text = ""
		}
	}
	if f.changed("provider") {
		r.Providers = named(f.providers)
	}
	if f.changed("key") {
		r.Keys = named(f.keys)
	}
	if f.changed("replace") {
		r.Replace = f.replace
	}
	if f.changed("replace-regexp") {
		r.ReplaceRegexp = f.replaceRE
	}
	if f.changed("order") {
		r.Order = f.order
	}
}

func (a *app) promptsPreviewCommand() *cobra.Command {
	var q api.PromptSample
	cmd := &cobra.Command{
		Use:   "preview [TEXT]",
		Short: "What becomes of a system text",
		Long:  "Tells what would be sent in place of a system text, and which rules have a say in it. Nothing is sent.",
		Example: "  patchbay prompts preview \"You are a coding assistant.\"\n" +
			"  patchbay prompts preview --provider kiro --key bot",
		Args: nArgs(0, 1, "a system text"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.System = ""; len(args) > 0 {
				q.System = args[0]
			}
			return a.with(cmd.Context(), func(svc api.Service) error {
				v, err := svc.PreviewPrompts(cmd.Context(), q)
				if err != nil {
					return err
				}
				return a.printPreview(v)
			})
		},
	}
	cmd.Flags().StringVar(&q.Provider, "provider", "", "the `provider` that answers (default: the default provider)")
	cmd.Flags().StringVar(&q.Key, "key", "", "name or id of the client `key` that the app uses")
	return cmd
}

func (a *app) printPreview(v api.PromptPreview) error {
	if a.json {
		return a.printJSON(v)
	}
	for _, r := range v.Rules {
		what := strings.Join(r.Does, " and ")
		if r.Problem != "" {
			what = strings.Trim(what+"; "+r.Problem, "; ")
		}
		fmt.Fprintln(a.err, clean(r.Name+": "+orElse(what, "does nothing")))
	}
	switch {
	case !v.Changed:
		fmt.Fprintln(a.err, "The text stays as it is.")
	case v.After == "":
		fmt.Fprintln(a.err, "No system text is sent.")
	}
	_, err := fmt.Fprintln(a.out, cleanLines(v.After))
	return err
}

// cleanLines takes control characters out of a text for the terminal and keeps its lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}
