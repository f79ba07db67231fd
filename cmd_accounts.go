package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
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
