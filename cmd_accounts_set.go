package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/provider"
)

func (a *app) accountsClearCommand(one cobra.PositionalArgs) *cobra.Command {
	var model string
	cmd := &cobra.Command{
		Use: "clear ACCOUNT", Short: "End the pauses of an account", Args: one,
		Long: "Ends all pauses of an account, and whatever else keeps it from being used; with --model only its pauses for that model.",
		RunE: a.onAccount(func(ctx context.Context, svc api.Service, v api.AccountView) error {
			_, err := svc.ClearAccount(ctx, v.ID, model)
			return err
		}, "The pauses of %s are over."),
	}
	cmd.Flags().StringVar(&model, "model", "", "only the pauses for this model")
	return cmd
}

func (a *app) accountsSetCommand(one cobra.PositionalArgs) *cobra.Command {
	var f accountFlags
	var newKey, noProxy bool
	cmd := &cobra.Command{
		Use:   "set ACCOUNT",
		Short: "Change an account: name, priority, tags, weight, reserve, proxy, key",
		Example: "  patchbay accounts set openai/work --priority 2\n" +
			"  patchbay accounts set work --tag paid --weight 3 --reserve 10\n" +
			"  patchbay accounts set work --new-key           the new key is asked for",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.accountChange(cmd, f, newKey, noProxy)
			if err != nil {
				return err
			}
			return a.onAccount(func(ctx context.Context, svc api.Service, v api.AccountView) error {
				_, err := svc.ChangeAccount(ctx, v.ID, c)
				return err
			}, "Changed the account %s.")(cmd, args)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&newKey, "new-key", false, "ask for a new key")
	cmd.Flags().BoolVar(&noProxy, "no-proxy", false, "use no proxy any more")
	cmd.Flags().IntVar(&f.concurrent, "max-concurrent", 0, "calls at a time; 0 = what the provider says")
	return cmd
}

// cleanTags leaves empty ones out: an empty one means none.
func (f *accountFlags) cleanTags() []string {
	return slices.DeleteFunc(f.tags, func(t string) bool { return strings.TrimSpace(t) == "" })
}

// keep reads the reserve: nil where none is given, -1 for what the pool says.
func (f *accountFlags) keep() (*int, error) {
	if f.reserve == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(f.reserve, "%")))
	switch {
	case f.reserve == "pool":
		n = -1
	case err != nil || n < 0:
		return nil, usagef("--reserve takes a percentage, or pool for what the pool says")
	}
	return &n, nil
}

// accountChange reads what the flags want changed.
func (a *app) accountChange(cmd *cobra.Command, f accountFlags, newKey, noProxy bool) (api.AccountChange, error) {
	var c api.AccountChange
	if cmd.Flags().Changed("name") {
		c.Name = &f.name
	}
	if cmd.Flags().Changed("priority") {
		c.Priority = &f.priority
	}
	if cmd.Flags().Changed("tag") {
		tags := f.cleanTags()
		c.Tags = &tags
	}
	if cmd.Flags().Changed("weight") {
		c.Weight = &f.weight
	}
	if cmd.Flags().Changed("max-concurrent") {
		c.MaxConcurrent = &f.concurrent
	}
	f.words(cmd, &c)
	var err error
	if c.Reserve, err = f.keep(); err != nil {
		return c, err
	}
	if f.proxyFile != "" || noProxy {
		v, err := a.proxy(f)
		if err != nil {
			return c, err
		}
		c.Proxy = &v
	}
	if newKey || f.keyFile != "" || f.keyStdin {
		v, err := a.readSecret(f.keyFile, f.keyStdin, "New API key (not shown): ", false)
		if err != nil {
			return c, err
		}
		c.Key = &v
	}
	if c == (api.AccountChange{}) {
		return c, usagef("say what to change: --name, --priority, --tag, --weight, --reserve, --max-concurrent, --serves, --serves-not, --model-name, --proxy-file, --no-proxy, --new-key, --key-file or --key-stdin")
	}
	return c, nil
}

// accountsLoginCommand signs an account in again.
func (a *app) accountsLoginCommand(one cobra.PositionalArgs) *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use: "login ACCOUNT", Short: "Sign in again", Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error {
				v, err := findAccount(cmd.Context(), svc, args[0])
				if err != nil {
					return err
				}
				p, _, err := a.findProvider(cmd.Context(), svc, v.Provider)
				if err != nil {
					return err
				}
				return a.signIn(cmd.Context(), svc, p, api.NewLogin{Provider: v.Provider, Account: v.ID}, f)
			})
		},
	}
	f.register(cmd)
	return cmd
}

func (a *app) accountsRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename ACCOUNT NAME", Short: "Call an account something else", Args: nArgs(2, 2, "an account and its new name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onAccount(func(ctx context.Context, svc api.Service, v api.AccountView) error {
				_, err := svc.ChangeAccount(ctx, v.ID, api.AccountChange{Name: &args[1]})
				return err
			}, "The account %s has its new name.")(cmd, args)
		},
	}
}

func (a *app) accountsPriorityCommand() *cobra.Command {
	return &cobra.Command{
		Use: "priority ACCOUNT NUMBER", Short: "Accounts with lower numbers are used first", Args: nArgs(2, 2, "an account and a number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return usagef("the priority is a whole number; lower ones are used first")
			}
			return a.onAccount(func(ctx context.Context, svc api.Service, v api.AccountView) error {
				_, err := svc.ChangeAccount(ctx, v.ID, api.AccountChange{Priority: &n})
				return err
			}, "The account %s has its new priority.")(cmd, args)
		},
	}
}

// words puts what the flags say of an account's models into a change of it.
func (f *accountFlags) words(cmd *cobra.Command, c *api.AccountChange) {
	filled := func(list []string) *[]string {
		list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
		return &list
	}
	if cmd.Flags().Changed("serves") {
		c.SupportedModels = filled(f.serves)
	}
	if cmd.Flags().Changed("serves-not") {
		c.NotSupportedModels = filled(f.servesNot)
	}
	if cmd.Flags().Changed("model-name") {
		names := maps.Clone(f.names)
		maps.DeleteFunc(names, func(_, model string) bool { return model == "" })
		c.ModelNames = &names
	}
}

// modelSettings are the same as settings of a new account.
func (f *accountFlags) modelSettings() map[string]string {
	out := map[string]string{}
	set := func(key string, list []string) {
		if text := strings.Join(list, ","); text != "" {
			out[key] = text
		}
	}
	set(provider.SettingServes, f.serves)
	set(provider.SettingServesNot, f.servesNot)
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(f.names)) {
		pairs = append(pairs, name+"="+f.names[name])
	}
	set(provider.SettingModelNames, pairs)
	return out
}
