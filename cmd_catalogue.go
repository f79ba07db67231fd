package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/provider"
)

func (a *app) providersCommand() *cobra.Command {
	list := func(use string, c *cobra.Command) *cobra.Command {
		all := c.Flags().Bool("all", false, "also those whose service has ended")
		c.Use, c.Args = use, noArgs
		c.RunE = func(cmd *cobra.Command, _ []string) error { return a.listProviders(cmd, *all) }
		return c
	}
	providers := list("providers", &cobra.Command{
		Short: "The services Patchbay knows",
		Example: "  patchbay providers                    list them\n" +
			"  patchbay providers presets            services that need only a key\n" +
			"  patchbay providers default            which one serves requests that name none\n" +
			"  patchbay providers default openai     change that, also while Patchbay runs",
	})
	providers.AddCommand(
		list("list", &cobra.Command{Short: "List the providers"}),
		&cobra.Command{Use: "presets", Short: "List the services that `accounts add` knows by name", Args: noArgs, RunE: a.listPresets},
		a.defaultCommand(),
	)
	return providers
}

// listProviders leaves out services that have ended, unless somebody still has an account there.
func (a *app) listProviders(cmd *cobra.Command, all bool) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		list, err := svc.Providers(cmd.Context())
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(p api.ProviderView) bool {
			return !all && p.Status == provider.StatusDiscontinued && len(p.Accounts) == 0
		})
		return printList(a, list, "ID|NAME|KIND|ON|MODELS|ACCOUNTS|NOTE", func(p api.ProviderView) []string {
			models := ""
			if p.Models > 0 {
				models = strconv.Itoa(p.Models)
			}
			return []string{p.ID, p.Name, p.Kind, yesNo(p.Enabled), models, states(p.Accounts), clip(providerNote(p))}
		}, "No provider is known.")
	})
}

func (a *app) listPresets(cmd *cobra.Command, _ []string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		list, err := svc.Presets(cmd.Context())
		if err != nil {
			return err
		}
		return printList(a, list, "ID|NAME|KIND|BASE URL|MODELS|AS OF|NOTE", func(p api.PresetView) []string {
			return []string{p.ID, p.Name, p.Kind, orElse(p.BaseURL, p.Example), p.Models, p.AsOf, clip(presetNote(p))}
		}, "There are no presets.")
	})
}

func presetNote(p api.PresetView) string {
	var parts []string
	if p.Provider != "" {
		parts = append(parts, "in use as "+p.Provider)
	}
	if !p.Usable {
		parts = append(parts, "not served by this version")
	}
	if p.NoKey {
		parts = append(parts, "needs no key")
	}
	if p.Notes != "" {
		parts = append(parts, p.Notes)
	}
	return strings.Join(parts, "; ")
}

// states prints "2 ready, 1 cooling".
func states(accounts map[string]int) string {
	var parts []string
	for _, s := range slices.Sorted(maps.Keys(accounts)) {
		parts = append(parts, strconv.Itoa(accounts[s])+" "+s)
	}
	return strings.Join(parts, ", ")
}

func providerNote(p api.ProviderView) string {
	var parts []string
	if p.Default {
		parts = append(parts, "default")
	}
	if p.Status != "" && p.Status != "active" {
		parts = append(parts, p.Status)
	}
	if p.Instead != "" {
		parts = append(parts, "instead: "+p.Instead)
	}
	if p.Risk != nil {
		parts = append(parts, p.Risk.Text)
	}
	return strings.Join(parts, "; ")
}

func (a *app) defaultCommand() *cobra.Command {
	var none bool
	cmd := &cobra.Command{
		Use:   "default [PROVIDER]",
		Short: "Show or change the provider for requests that name none",
		Args:  nArgs(0, 1, "at most one provider"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if none && len(args) > 0 {
				return usagef("choose one: a provider or --none")
			}
			return a.with(cmd.Context(), func(svc api.Service) error {
				if none || len(args) > 0 {
					return a.setDefault(cmd, svc, strings.Join(args, ""))
				}
				return a.showDefault(cmd, svc)
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "have no default provider")
	return cmd
}

func (a *app) setDefault(cmd *cobra.Command, svc api.Service, id string) error {
	if id != "" {
		p, known, err := a.findProvider(cmd.Context(), svc, id)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("there is no provider %q; `patchbay providers` lists them", id)
		}
		id = p.ID
	}
	if err := svc.SetDefaultProvider(cmd.Context(), id); err != nil {
		return err
	}
	if id == "" {
		return a.done("There is no default provider any more.")
	}
	return a.done("The default provider is %s from now on.", id)
}

func (a *app) showDefault(cmd *cobra.Command, svc api.Service) error {
	id, err := svc.DefaultProvider(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]string{"provider": id})
	}
	if id == "" {
		id = "There is no default provider: a request goes to the provider that lists its model."
	}
	_, err = fmt.Fprintln(a.out, id)
	return err
}

func (a *app) modelsCommand() *cobra.Command {
	var refresh bool
	cmd := &cobra.Command{
		Use:   "models [PROVIDER]",
		Short: "The models that apps see",
		Long: "Lists the models that apps see. The services' lists are kept for six hours; --refresh asks for them now. Limits\n" +
			"with a ~ are what is usual for such a name, not what the service says.",
		Example: "  patchbay models\n" +
			"  patchbay models openai\n" +
			"  patchbay models --refresh",
		Args: nArgs(0, 1, "at most one provider"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error {
				if refresh {
					if err := svc.RefreshModels(cmd.Context(), strings.Join(args, "")); err != nil {
						return err
					}
				}
				return a.listModels(cmd, svc, strings.Join(args, ""))
			})
		},
	}
	cmd.Flags().BoolVar(&refresh, "refresh", false, "ask the services for their lists now")
	return cmd
}

func (a *app) listModels(cmd *cobra.Command, svc api.Service, provider string) error {
	models, err := svc.Models(cmd.Context(), provider)
	if err != nil {
		return err
	}
	return printList(a, models, "MODEL|PROVIDER|CONTEXT|MAX OUTPUT|NAME", func(m api.ModelView) []string {
		about, name := "", m.Name
		if m.Assumed {
			about = "~"
		}
		if m.Stale {
			name = strings.TrimSpace(name + " (old list: the service gave none)")
		}
		return []string{m.ID, m.Provider, limit(about, m.Context), limit(about, m.MaxOutput), name}
	}, "There are no models yet. Add an account: patchbay accounts add PROVIDER")
}

// limit prints a number of tokens; 0 is unknown.
func limit(about string, n int64) string {
	if n <= 0 {
		return ""
	}
	return about + strconv.FormatInt(n, 10)
}
