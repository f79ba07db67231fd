package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"patchbay/backend/api"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and change the settings",
		Long: "Shows and changes the settings. They stand in config.yaml, whose comments and order stay as they are; a change takes\n" +
			"effect at once, and one that makes no sense is refused.",
		Example: "  patchbay config list                          all settings, and where each value comes from\n" +
			"  patchbay config get timeouts.idle\n" +
			"  patchbay config set timeouts.idle 10m\n" +
			"  patchbay config set routing.aliases '{\"fast\": \"openai/gpt-5-mini\"}'\n" +
			"  patchbay config unset timeouts.idle           its default counts again",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listConfig(cmd.Context(), "") },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list [BEGINNING]", Short: "List settings, all or those whose key begins so", Args: nArgs(0, 1, "at most one beginning of a key"),
			Example: "  patchbay config list timeouts",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.listConfig(cmd.Context(), strings.Join(args, ""))
			},
		},
		&cobra.Command{
			Use: "get KEY", Short: "Print the value of a setting", Args: nArgs(1, 1, "the key of a setting"), Example: "  patchbay config get server.listen",
			RunE: func(cmd *cobra.Command, args []string) error { return a.getConfig(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use: "set KEY VALUE", Short: "Change a setting", Args: nArgs(2, 2, "a key and a value"),
			Example: "  patchbay config set server.lan true\n  patchbay config set server.allowed_hosts '[patchbay.example.com]'",
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.changeConfig(cmd.Context(), args[0], valueOf(args[1]))
			},
		},
		&cobra.Command{
			Use: "unset KEY", Short: "Take a setting out of the file: its default counts again", Args: nArgs(1, 1, "the key of a setting"),
			Example: "  patchbay config unset server.lan",
			RunE:    func(cmd *cobra.Command, args []string) error { return a.changeConfig(cmd.Context(), args[0], nil) },
		},
		&cobra.Command{
			Use: "path", Short: "Print where the settings file is", Args: noArgs, Example: "  $EDITOR \"$(patchbay config path)\"",
			RunE: func(*cobra.Command, []string) error {
				p, err := a.paths()
				if err == nil {
					fmt.Fprintln(a.out, p.Config)
				}
				return err
			},
		},
	)
	return cmd
}

// valueOf reads an object or a list as JSON; any other text means itself.
func valueOf(text string) any {
	if t := strings.TrimSpace(text); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
		var v any
		if json.Unmarshal([]byte(t), &v) == nil {
			return v
		}
	}
	return text
}

// showValue writes a value so that set takes it.
func showValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func (a *app) listConfig(ctx context.Context, beginning string) error {
	return a.with(ctx, func(svc api.Service) error {
		v, err := svc.Settings(ctx, "")
		if err != nil {
			return err
		}
		if p := v.Problem; p != nil {
			fmt.Fprintf(a.err, "%s cannot be read; the last good settings are in force.\n%s\n%s\n", v.Path, p.Message, p.Excerpt)
		}
		items := v.Items[:0]
		for _, s := range v.Items {
			if strings.HasPrefix(s.Key, beginning) {
				items = append(items, s)
			}
		}
		return printList(a, items, "KEY|VALUE|FROM", func(s api.SettingView) []string {
			return []string{s.Key, showValue(s.Value), cmp.Or(s.From, s.Source)}
		}, "no setting begins so")
	})
}

func (a *app) getConfig(ctx context.Context, key string) error {
	return a.with(ctx, func(svc api.Service) error {
		provider := ""
		if rest, ok := strings.CutPrefix(key, "providers."); ok {
			provider, _, _ = strings.Cut(rest, ".")
		}
		v, err := svc.Settings(ctx, provider)
		if err != nil {
			return err
		}
		for _, s := range v.Items {
			if s.Key != key {
				continue
			}
			if a.json {
				return a.printJSON(s)
			}
			fmt.Fprintln(a.out, showValue(s.Value))
			return nil
		}
		return errors.New("there is no setting " + key + "; `patchbay config list` lists them")
	})
}

func (a *app) changeConfig(ctx context.Context, key string, value any) error {
	return a.with(ctx, func(svc api.Service) error {
		v, err := svc.ChangeSettings(ctx, map[string]any{key: value})
		if err != nil {
			return err
		}
		for _, s := range v.Items {
			if s.Key == key && value != nil {
				value = s.Value // as it is shown: the password of a proxy is not
			}
		}
		if value == nil {
			fmt.Fprintf(a.out, "%s has its default again.\n", key)
		} else {
			fmt.Fprintf(a.out, "%s is %s now.\n", key, showValue(value))
		}
		return nil
	})
}

func (a *app) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pause", Short: "Let apps get an error until `patchbay resume`", Args: noArgs, Example: "  patchbay pause",
		RunE: a.pausing(api.Service.Pause, "Paused. Apps get an error until `patchbay resume`."),
	}
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resume", Short: "Go on after `patchbay pause`", Args: noArgs, Example: "  patchbay resume",
		RunE: a.pausing(api.Service.Resume, "Patchbay answers again."),
	}
}

func (a *app) pausing(do func(api.Service, context.Context) (api.Status, error), done string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd.Context(), func(svc api.Service) error {
			if a.base(cmd.Context(), svc) == "" {
				return errors.New("patchbay is not running; start it with `patchbay serve`")
			}
			if _, err := do(svc, cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintln(a.out, done)
			return nil
		})
	}
}
