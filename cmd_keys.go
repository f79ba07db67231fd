package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/secret"
)

func (a *app) keysCommand() *cobra.Command {
	keys := &cobra.Command{
		Use:   "keys",
		Short: "The keys that apps use towards Patchbay",
		Example: "  patchbay keys                        list them\n" +
			"  patchbay keys add cline              make one and show it, once\n" +
			"  patchbay keys set cline --per-minute 20 --model 'gpt-*'\n" +
			"  patchbay keys show cline             what it may do and what it did\n" +
			"  patchbay keys revoke cline           make it worthless",
		Args: noArgs,
		RunE: a.listKeys,
	}
	keys.AddCommand(
		&cobra.Command{Use: "list", Short: "List the keys", Args: noArgs, RunE: a.listKeys},
		a.keysAddCommand(),
		&cobra.Command{
			Use: "revoke KEY", Short: "Make a key worthless; KEY is its name or id", Args: nArgs(1, 1, "the name or the id of a key"),
			Example: "  patchbay keys revoke cline",
			RunE:    a.revokeKey,
		},
		&cobra.Command{
			Use: "remove KEY", Short: "Revoke a key and take it out of the list", Args: nArgs(1, 1, "the name or the id of a key"),
			Long:    "Revokes a key and forgets it: the log can no longer name it, and what it used is counted under its id.",
			Example: "  patchbay keys remove cline",
			RunE:    a.removeKey,
		},
		&cobra.Command{
			Use: "show KEY", Short: "Show what a key may do, and what it did", Args: nArgs(1, 1, "the name or the id of a key"),
			Example: "  patchbay keys show cline",
			RunE:    a.showKey,
		},
		a.keysSetCommand(),
	)
	return keys
}

func (a *app) listKeys(cmd *cobra.Command, _ []string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		keys, err := svc.Keys(cmd.Context())
		if err != nil {
			return err
		}
		return printList(a, keys, "ID|NAME|BEGINS WITH|CREATED|STATE|LIMITS|TODAY", func(k api.KeyView) []string {
			return []string{k.ID, k.Name, k.Prefix, shown(k.Created), keyState(k), limitsShort(k.Limits), useToday(k.Used)}
		}, "There is no key. Make one: patchbay keys add NAME")
	})
}

func keyState(k api.KeyView) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked " + shown(k.Revoked)
	case !k.Expires.IsZero() && k.Expires.Before(time.Now()):
		return "expired " + shown(k.Expires)
	case !k.Expires.IsZero():
		return "until " + shown(k.Expires)
	}
	return "good"
}

func (a *app) keysAddCommand() *cobra.Command {
	var stdin bool
	var f keyFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a key for an app, or bring your own",
		Long:  "Makes a key and shows it once: only its hash is kept. NAME says whose key it is.",
		Example: "  patchbay keys add cline\n" +
			"  patchbay keys add visitor --lasts 24h --tokens-per-day 200000\n" +
			"  patchbay keys add bot --model 'gpt-*' --model claude-haiku-4-5 --provider openai --provider anthropic --concurrent 2\n" +
			"  patchbay keys add server --stdin < key.txt      a key of your own, 16 characters or more",
		Args: nArgs(1, 1, "a name, for example that of the app"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.addKey(cmd, args[0], stdin, &f) },
	}
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read the key from standard input instead of making one")
	f.define(cmd)
	return cmd
}

func (a *app) addKey(cmd *cobra.Command, name string, stdin bool, f *keyFlags) error {
	c, err := f.change(cmd)
	if err != nil {
		return err
	}
	k := api.NewKey{Name: name}
	take(&k.Expires, c.Expires)
	take(&k.Limits.Models, c.Models)
	take(&k.Limits.Providers, c.Providers)
	take(&k.Limits.Protocols, c.Protocols)
	take(&k.Limits.PerMinute, c.PerMinute)
	take(&k.Limits.TokensPerDay, c.TokensPerDay)
	take(&k.Limits.Concurrent, c.Concurrent)
	take(&k.Limits.Account, c.Account)
	take(&k.Limits.Tags, c.Tags)
	if stdin {
		if k.Key, err = readKey(a.in, 1024, false); err != nil {
			return err
		}
	}
	return a.with(cmd.Context(), func(svc api.Service) error {
		made, err := svc.AddKey(cmd.Context(), k)
		if err != nil {
			return err
		}
		base := a.base(cmd.Context(), svc)
		if stdin {
			made.Key = secret.Value{} // the person has it; a script's log need not
		}
		return a.printKey(made, base)
	})
}

func (a *app) printKey(k api.CreatedKey, base string) error {
	if a.json {
		return a.printJSON(struct {
			api.KeyView
			Key string `json:"key,omitzero"`
		}{k.KeyView, k.Key.Reveal()})
	}
	var b strings.Builder
	if k.Key.Empty() {
		fmt.Fprintf(&b, "Added the key %q (%s).\n", k.Name, k.ID)
	} else {
		fmt.Fprintf(&b, "The key %q is shown only now; keep it in the app that will use it:\n\n  %s\n", k.Name, k.Key.Reveal())
	}
	b.WriteString("\n" + baseURLs(base))
	_, err := fmt.Fprint(a.out, b.String())
	return err
}

// withKey does something with the key that is called ref.
func (a *app) withKey(cmd *cobra.Command, ref string, do func(svc api.Service, k api.KeyView) error) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		keys, err := svc.Keys(cmd.Context())
		if err != nil {
			return err
		}
		k, err := findKey(keys, ref)
		if err != nil {
			return err
		}
		return do(svc, k)
	})
}

func (a *app) removeKey(cmd *cobra.Command, args []string) error {
	return a.withKey(cmd, args[0], func(svc api.Service, k api.KeyView) error {
		if err := svc.RemoveKey(cmd.Context(), k.ID); err != nil {
			return err
		}
		return a.done("Removed the key %q. Apps that use it are refused from now on.", k.Name)
	})
}

func (a *app) revokeKey(cmd *cobra.Command, args []string) error {
	return a.withKey(cmd, args[0], func(svc api.Service, k api.KeyView) error {
		if err := svc.RevokeKey(cmd.Context(), k.ID); err != nil {
			return err
		}
		return a.done("Revoked the key %q. Apps that use it are refused from now on.", k.Name)
	})
}

// findKey finds a key that is not revoked by id or name.
func findKey(keys []api.KeyView, ref string) (api.KeyView, error) {
	var found []api.KeyView
	for _, k := range keys {
		if k.ID == ref {
			return k, nil
		}
		if strings.EqualFold(k.Name, ref) && k.Revoked.IsZero() {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return api.KeyView{}, fmt.Errorf("there is no key %q; `patchbay keys` lists them", ref)
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, k := range found {
		ids[i] = k.ID
	}
	return api.KeyView{}, fmt.Errorf("several keys are called %q; say which one by its id: %s", ref, strings.Join(ids, ", "))
}

// done says that something is done; with --json it says so to programs.
func (a *app) done(format string, args ...any) error {
	if a.json {
		return a.printJSON(map[string]bool{"ok": true})
	}
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}
