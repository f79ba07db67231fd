package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

func (a *app) accountsCommand() *cobra.Command {
	accounts := &cobra.Command{
		Use:   "accounts",
		Short: "Your accounts at the providers",
		Example: "  patchbay accounts                              list them with their health\n" +
			"  patchbay accounts add openai                   the key is asked for\n" +
			"  patchbay accounts disable openai/work          leave it out for now\n" +
			"  patchbay accounts clear openai/work            end its pauses\n" +
			"  patchbay accounts found                        logins that other programs keep in files",
		Args: noArgs,
		RunE: a.listAccounts,
	}
	const which = "an account: its id, PROVIDER/NAME or name"
	one := nArgs(1, 1, which)
	accounts.AddCommand(
		&cobra.Command{Use: "show ACCOUNT", Short: "Everything about one account", Args: one, RunE: a.showAccount},
		a.accountsLoginCommand(one),
		&cobra.Command{Use: "refresh ACCOUNT", Short: "Renew the login of an account now", Args: one, RunE: a.onAccount(
			func(ctx context.Context, svc api.Service, v api.AccountView) error {
				_, err := svc.RenewAccount(ctx, v.ID)
				return err
			}, "The login of %s is renewed.")},
		a.accountsRenameCommand(),
		a.accountsPriorityCommand(),
		&cobra.Command{Use: "list", Short: "List the accounts with their health", Args: noArgs, RunE: a.listAccounts},
		a.accountsAddCommand(),
		a.accountsSetCommand(one),
		&cobra.Command{Use: "remove ACCOUNT", Short: "Forget an account and its key", Args: one, RunE: a.onAccount(
			func(ctx context.Context, svc api.Service, v api.AccountView) error {
				return svc.RemoveAccount(ctx, v.ID)
			},
			"Removed the account %s and its key.")},
		&cobra.Command{Use: "enable ACCOUNT", Short: "Use an account again", Args: one, RunE: a.onAccount(switchTo(true), "The account %s is used again.")},
		&cobra.Command{Use: "disable ACCOUNT", Short: "Leave an account out", Args: one, RunE: a.onAccount(switchTo(false), "The account %s is left out from now on.")},
		a.accountsClearCommand(one),
		a.accountsTestCommand(one),
		a.accountsQuotaCommand(one),
	)
	accounts.AddCommand(a.fileCommands()...)
	return accounts
}

func switchTo(on bool) func(context.Context, api.Service, api.AccountView) error {
	return func(ctx context.Context, svc api.Service, v api.AccountView) error {
		_, err := svc.ChangeAccount(ctx, v.ID, api.AccountChange{Enabled: &on})
		return err
	}
}

func (a *app) listAccounts(cmd *cobra.Command, _ []string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		list, err := svc.Accounts(cmd.Context())
		if err != nil {
			return err
		}
		return a.printAccounts(list)
	})
}

func (a *app) printAccounts(list []api.AccountView) error {
	return printList(a, list, "ID|ACCOUNT|STATE|PRIORITY|BUSY|DETAIL", func(v api.AccountView) []string {
		return []string{v.ID, label(v), v.State, fmt.Sprint(v.Priority), fmt.Sprint(v.InFlight), clip(accountDetail(v))}
	}, "There is no account yet. Add one: patchbay accounts add PROVIDER (`patchbay providers` lists the providers)")
}

func label(v api.AccountView) string { return v.Provider + "/" + v.Name }

// accountDetail says why an account rests, and until when.
func accountDetail(v api.AccountView) string {
	var parts []string
	for _, c := range v.Cooling {
		text := "rests until " + shown(c.Until)
		if c.Model != "" && c.Model != "*" {
			text = c.Model + " " + text
		}
		if c.Reason != "" && c.Reason != v.Reason {
			text += " (" + c.Reason + ")"
		}
		parts = append(parts, text)
	}
	if v.Reason != "" {
		parts = append(parts, v.Reason)
	}
	return strings.Join(parts, "; ")
}

// onAccount makes a command that does something to the account it names.
func (a *app) onAccount(do func(context.Context, api.Service, api.AccountView) error, text string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(svc api.Service) error {
			v, err := findAccount(cmd.Context(), svc, args[0])
			if err != nil {
				return err
			}
			if err := do(cmd.Context(), svc, v); err != nil {
				return err
			}
			return a.done(text, label(v))
		})
	}
}

// findAccount finds an account by id, by provider/name, by a name that only one has, or by a provider that has only one.
func findAccount(ctx context.Context, svc api.Service, ref string) (api.AccountView, error) {
	list, err := svc.Accounts(ctx)
	if err != nil {
		return api.AccountView{}, err
	}
	var found []api.AccountView
	for _, v := range list {
		if v.ID == ref {
			return v, nil
		}
		if strings.EqualFold(label(v), ref) || strings.EqualFold(v.Name, ref) {
			found = append(found, v)
		}
	}
	if len(found) == 0 {
		found = slices.DeleteFunc(slices.Clone(list), func(v api.AccountView) bool { return v.Provider != ref })
	}
	switch len(found) {
	case 0:
		return api.AccountView{}, fmt.Errorf("there is no account %q; `patchbay accounts` lists them", ref)
	case 1:
		return found[0], nil
	}
	names := make([]string, len(found))
	for i, v := range found {
		names[i] = v.ID + " (" + label(v) + ")"
	}
	return api.AccountView{}, fmt.Errorf("%q may be any of these; say which one by its id: %s", ref, strings.Join(names, ", "))
}

// accountFlags are the flags that describe an account.
type accountFlags struct {
	name, keyFile, baseURL, kind, preset, proxyFile string
	keyStdin, fromEnv, yes                          bool
	priority, weight, concurrent                    int
	tags, serves, servesNot                         []string
	names                                           map[string]string
	reserve                                         string
}

func (f *accountFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", "", "what to call the account")
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "read the key from this `file`")
	cmd.Flags().BoolVar(&f.keyStdin, "key-stdin", false, "read the key from standard input")
	cmd.Flags().IntVar(&f.priority, "priority", 0, "lower numbers are used first")
	cmd.Flags().StringSliceVar(&f.tags, "tag", nil, "a word by which pools, client keys and requests ask for the account; again for more, \"\" for none")
	cmd.Flags().IntVar(&f.weight, "weight", 0, "its share of the calls where the pool goes by weights (1 to 1000)")
	cmd.Flags().StringVar(&f.reserve, "reserve", "", "`percent` of each allowance that is left alone, or pool: what the pool says")
	cmd.Flags().StringSliceVar(&f.serves, "serves", nil, "a `pattern` of models that the account serves, and no others; again for more, \"\" for all")
	cmd.Flags().StringSliceVar(&f.servesNot, "serves-not", nil, "a `pattern` of models that the account does not serve; again for more, \"\" for none")
	cmd.Flags().StringToStringVar(&f.names, "model-name", nil, "`NAME=MODEL`: the account's own name for a model; again for more, NAME= to take all away")
	cmd.Flags().StringVar(&f.proxyFile, "proxy-file", "", "read the URL of a proxy for this account from this `file`; it may hold a password")
}

// proxy reads the proxy's URL. Like a key it does not come from the command line.
func (a *app) proxy(f accountFlags) (secret.Value, error) {
	if f.proxyFile == "" {
		return secret.Value{}, nil
	}
	v, err := a.readSecret(f.proxyFile, false, "", true)
	if err != nil {
		return v, fmt.Errorf("the proxy: %w", err)
	}
	return v, nil
}

func (a *app) accountsAddCommand() *cobra.Command {
	var f accountFlags
	cmd := &cobra.Command{
		Use:   "add PROVIDER",
		Short: "Add an account by its API key",
		Long: "Adds an account. The key is asked for at the terminal, or read from a file or from standard input; it is\n" +
			"sealed before it is stored and never shown again. A service that `patchbay providers presets` lists is written\n" +
			"into the settings first, and with --base-url one that Patchbay does not know at all.",
		Example: "  patchbay accounts add openai\n" +
			"  patchbay accounts add anthropic --name work --key-file key.txt\n" +
			"  patchbay accounts add deepseek                 a preset\n" +
			"  patchbay accounts add team --preset openrouter\n" +
			"  patchbay accounts add home --base-url http://192.168.1.5:1234/v1",
		Args: nArgs(1, 1, "a provider; `patchbay providers` lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error { return a.addAccount(cmd.Context(), svc, args[0], f) })
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "you have read the provider's label and want to add the account all the same")
	cmd.Flags().BoolVar(&f.fromEnv, "from-env", false, "take the key from the service's usual environment variable")
	cmd.Flags().StringVar(&f.baseURL, "base-url", "", "where the service is")
	cmd.Flags().StringVar(&f.preset, "preset", "", "the service that a new provider is; `patchbay providers presets` lists them")
	cmd.Flags().StringVar(&f.kind, "kind", "", "what a new provider speaks: "+strings.Join(config.Kinds, ", ")+" (default openai)")
	return cmd
}

func (a *app) addAccount(ctx context.Context, svc api.Service, id string, f accountFlags) error {
	p, known, err := a.findProvider(ctx, svc, id)
	if err != nil {
		return err
	}
	if known && f.kind != "" && f.kind != p.Kind {
		return usagef("%s is there already and speaks %s; choose another id for a service of kind %s", p.ID, p.Kind, f.kind)
	}
	if known && f.preset != "" && f.preset != p.Preset {
		return usagef("%s is there already and is no %s; choose another id for it", p.ID, f.preset)
	}
	var added api.NewProvider
	if !known {
		if p, added, err = newProvider(ctx, svc, id, f); err != nil {
			return err
		}
	}
	if p.Risk != nil {
		fmt.Fprintf(a.err, "Note on %s (%s): %s\n", p.Name, p.Risk.Since, p.Risk.Text)
	}
	n := api.NewAccount{Provider: id, Name: f.name, Priority: f.priority, Tags: f.cleanTags(), Weight: f.weight}
	n.Settings = f.modelSettings()
	if n.Reserve, err = f.keep(); err != nil {
		return err
	}
	if n.Proxy, err = a.proxy(f); err != nil {
		return err
	}
	if n.Key, err = a.accountKey(p, known || added.Preset != "", f); err != nil {
		return err
	}
	if known {
		n.Provider = p.ID
		if f.baseURL != "" && f.baseURL != p.BaseURL {
			n.Settings[provider.SettingBaseURL] = f.baseURL
		}
	} else if _, err := svc.AddProvider(ctx, added); err != nil {
		return err
	}
	n.AcceptRisk = f.yes
	v, err := svc.AddAccount(ctx, n)
	if e, ok := errors.AsType[*apierror.Error](err); ok && e.Param == "accept_risk" {
		if f.keyStdin {
			return usagef("%s Whoever has read this adds --yes.", e.Msg)
		}
		if err := a.confirmRisk(e.Msg, bufio.NewReader(a.in)); err != nil {
			return err
		}
		n.AcceptRisk = true
		v, err = svc.AddAccount(ctx, n)
	}
	if err != nil {
		return err
	}
	return a.printAdded(ctx, svc, v)
}

// newProvider says what is to be written into the settings for an id that no provider has: a preset, by its flag or of that
// name, or a service of the person's own. The view tells what is known of it already.
func newProvider(ctx context.Context, svc api.Service, id string, f accountFlags) (api.ProviderView, api.NewProvider, error) {
	n := api.NewProvider{ID: id, BaseURL: f.baseURL}
	if f.preset == "" && f.kind != "" {
		if f.baseURL == "" {
			return api.ProviderView{}, n, usagef("say where the service is: --base-url URL")
		}
		n.Kind = f.kind
		return api.ProviderView{ID: id, Kind: f.kind}, n, nil
	}
	presets, err := svc.Presets(ctx)
	if err != nil {
		return api.ProviderView{}, n, err
	}
	want := orElse(f.preset, id)
	i := slices.IndexFunc(presets, func(p api.PresetView) bool { return strings.EqualFold(p.ID, want) })
	switch {
	case i < 0 && f.preset != "":
		return api.ProviderView{}, n, fmt.Errorf("there is no preset %q; `patchbay providers presets` lists them", f.preset)
	case i < 0 && f.baseURL == "":
		return api.ProviderView{}, n, fmt.Errorf("there is no provider %q; `patchbay providers` and `patchbay providers presets` list them.\nFor a service of your own say where it is: patchbay accounts add %[1]s --base-url URL --kind openai", id)
	case i < 0:
		n.Kind = "openai"
		return api.ProviderView{ID: id, Kind: n.Kind}, n, nil
	case f.kind != "":
		return api.ProviderView{}, n, usagef("the preset says what the service speaks: leave out --kind")
	}
	p := presets[i]
	switch {
	case !p.Usable:
		return api.ProviderView{}, n, fmt.Errorf("the preset %s is of kind %q, which this version of Patchbay does not serve", p.ID, p.Kind)
	case p.BaseURL == "" && f.baseURL == "":
		return api.ProviderView{}, n, usagef("%s needs your own address: --base-url %s", p.Name, p.Example)
	}
	n.Preset = p.ID
	return api.ProviderView{ID: id, Name: p.Name, Kind: p.Kind, KeyURL: p.KeyURL, KeyEnv: p.KeyEnv, NoKey: p.NoKey, Preset: p.ID}, n, nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// keyFromEnv takes the key from the first variable of those in which people keep keys of this service. It is done only when
// asked for: a variable may be there for another program.
func keyFromEnv(p api.ProviderView, f accountFlags) (secret.Value, error) {
	if f.keyFile != "" || f.keyStdin {
		return secret.Value{}, usagef("choose one: --from-env, --key-file or --key-stdin")
	}
	if len(p.KeyEnv) == 0 {
		return secret.Value{}, usagef("no variable is known that holds keys of %s; use --key-file or --key-stdin", orElse(p.Name, p.ID))
	}
	for _, name := range p.KeyEnv {
		if v := strings.TrimSpace(os.Getenv(name)); v != "" {
			return secret.New(v), nil
		}
	}
	return secret.Value{}, fmt.Errorf("none of these variables is set: %s", strings.Join(p.KeyEnv, ", "))
}

// accountKey reads the key. Local servers need none, so it is not asked for there, but taken where it is given.
func (a *app) accountKey(p api.ProviderView, known bool, f accountFlags) (secret.Value, error) {
	if f.fromEnv {
		return keyFromEnv(p, f)
	}
	given := f.keyFile != "" || f.keyStdin
	noKey := p.NoKey || f.kind == "ollama"
	if noKey && !given {
		return secret.Value{}, nil
	}
	question := "API key of " + orElse(p.Name, p.ID) + " (not shown): "
	if !known {
		question = "API key (not shown; empty if the service needs none): "
	} else if p.KeyURL != "" {
		question = "Keys are made at " + p.KeyURL + "\n" + question
	}
	return a.readSecret(f.keyFile, f.keyStdin, question, !known && !given)
}

// findProvider finds a provider by id or by the name it has in AIClient-2-API.
func (a *app) findProvider(ctx context.Context, svc api.Service, id string) (api.ProviderView, bool, error) {
	list, err := svc.Providers(ctx)
	if err != nil {
		return api.ProviderView{}, false, err
	}
	for _, want := range []string{id, strings.ToLower(id), config.OldNames[id]} {
		for _, p := range list {
			if p.ID == want {
				return p, true, nil
			}
		}
	}
	return api.ProviderView{}, false, nil
}

func (a *app) printAdded(ctx context.Context, svc api.Service, v api.AccountView) error {
	if a.json {
		return a.printJSON(v)
	}
	base := a.base(ctx, svc)
	next := "Start Patchbay with `patchbay serve`."
	if base != "" {
		next = "It is used from now on.\n\n" + baseURLs(base)
	}
	_, err := fmt.Fprintf(a.out, "Added the account %s (%s). %s\n", label(v), v.ID, strings.TrimRight(next, "\n"))
	return err
}

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

func (a *app) accountsTestCommand(one cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: "test ACCOUNT", Short: "Check an account without spending anything", Args: one,
		Long: "Asks the service for its model list with the account's key: that costs nothing. An address without a version is\n" +
			"tried with /v1 as well, and the one that works is kept.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error {
				v, err := findAccount(cmd.Context(), svc, args[0])
				if err != nil {
					return err
				}
				found, err := svc.TestAccount(cmd.Context(), v.ID)
				if err != nil {
					return err
				}
				return a.printTest(label(v), found)
			})
		},
	}
}

// printTest says what a test found. An account that cannot be used is a failure of the command.
func (a *app) printTest(name string, t api.TestView) error {
	if a.json {
		if err := a.printJSON(t); err != nil || t.OK {
			return err
		}
		return errTold
	}
	if t.BaseURL != "" {
		fmt.Fprintf(a.out, "The address %s works and is used from now on.\n", t.BaseURL)
	}
	switch {
	case !t.OK:
		return fmt.Errorf("%s: %s", name, t.Message)
	case t.Models > 0:
		return a.done("%s works: the service takes the key and lists %d models.", name, t.Models)
	default:
		return a.done("%s: %s.", name, orElse(t.Message, "the service answers"))
	}
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

// showAccount prints one account.
func (a *app) showAccount(cmd *cobra.Command, args []string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		v, err := findAccount(cmd.Context(), svc, args[0])
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(v)
		}
		t := table{tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)}
		for _, l := range accountLines(v) {
			if l[1] != "" {
				t.row(l[0], l[1])
			}
		}
		return t.Flush()
	})
}

func accountLines(v api.AccountView) [][2]string {
	lines := [][2]string{
		{"account", label(v)}, {"id", v.ID}, {"state", v.State}, {"detail", accountDetail(v)}, {"enabled", yesNo(v.Enabled)},
		{"priority", fmt.Sprint(v.Priority)}, {"tags", strings.Join(v.Tags, ", ")}, {"weight", fmt.Sprint(v.Weight)}, {"reserve", reserveText(v)},
		{"origin", originText(v.Origin)}, {"plan", v.Origin.Plan}, {"last used", shown(v.LastUsed)}, {"calls", callsText(v)}, {"signs in by", orElse(v.Login, "key")}, {"owner", v.Owner}, {"login", renewal(v)},
		{"proxy", v.Proxy}, {"added", shown(v.Created)},
	}
	for _, k := range slices.Sorted(maps.Keys(v.Settings)) {
		lines = append(lines, [2]string{k, v.Settings[k]})
	}
	if v.Next != nil {
		lines = append(lines, [2]string{"next", v.Next.Text}, [2]string{"page", v.Next.Link}, [2]string{"command", v.Next.Command})
	}
	return lines
}

func reserveText(v api.AccountView) string {
	if v.Reserve == nil {
		return ""
	}
	return fmt.Sprint(*v.Reserve, " % of each allowance is left alone")
}

func originText(o api.OriginView) string {
	if o.Kind == provider.LoginFile {
		return "read from " + orElse(o.Program, "another program") + ", " + o.Path
	}
	return o.Login
}

// callsText says how the calls of an account went: "12 went well, 1 failed; lately +++x+".
func callsText(v api.AccountView) string {
	if v.Served+v.Failed == 0 {
		return ""
	}
	text := fmt.Sprintf("%d went well, %d failed", v.Served, v.Failed)
	if len(v.Recent) > 0 {
		text += "; lately "
		for _, o := range v.Recent {
			if o.Kind == "" {
				text += "+"
			} else {
				text += "x"
			}
		}
	}
	return text
}

// renewal says how long a login is good.
func renewal(v api.AccountView) string {
	switch {
	case v.Owner == "cli":
		return "is read from the program that owns it, never changed"
	case v.Expires.IsZero():
		return ""
	case v.Renews:
		return "is renewed by itself; the present token ends " + shown(v.Expires)
	default:
		return "ends " + shown(v.Expires) + ", and needs a new sign-in then"
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
