package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/secret"
)

func (a *app) vaultCommand() *cobra.Command {
	vault := &cobra.Command{
		Use:   "vault",
		Short: "Where the key is that seals your secrets",
		Long: "Logins and keys are sealed in the database. The key that opens them is kept in one of three places:\n" +
			"  os     the keychain of the operating system\n" +
			"  env    the environment variable PATCHBAY_VAULT_KEY, for containers and servers\n" +
			"  file   a file beside the database that only you can read: weaker than the others",
		Example: "  patchbay vault status                is it open, and where is its key\n" +
			"  patchbay vault move --to os          keep the key in the keychain from now on\n" +
			"  patchbay vault unlock                ask a locked keychain again",
		Args: noArgs,
		RunE: a.vaultStatus,
	}
	vault.AddCommand(
		&cobra.Command{Use: "status", Short: "Say how the vault stands", Args: noArgs, RunE: a.vaultStatus},
		a.vaultMoveCommand(),
		&cobra.Command{
			Use: "unlock", Short: "Ask a locked keychain again; it may show its prompt", Args: noArgs,
			RunE: a.onVault(func(ctx context.Context, svc api.Service) (api.VaultView, error) { return svc.UnlockVault(ctx) }),
		},
		&cobra.Command{
			Use: "renew", Short: "Begin with a new key after the old one was lost", Args: noArgs,
			Long: "Begins with a new key. Secrets that were sealed under the lost one stay in the database but cannot be opened: enter\n" +
				"the keys of your accounts again, or restore an export with `patchbay import`.",
			RunE: a.onVault(func(ctx context.Context, svc api.Service) (api.VaultView, error) { return svc.RenewVault(ctx) }),
		},
	)
	return vault
}

func (a *app) vaultStatus(cmd *cobra.Command, args []string) error {
	return a.onVault(func(ctx context.Context, svc api.Service) (api.VaultView, error) { return svc.Vault(ctx) })(cmd, args)
}

// onVault makes a command that shows the vault after doing something. A vault that is not open ends it with 1.
func (a *app) onVault(do func(context.Context, api.Service) (api.VaultView, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd.Context(), func(svc api.Service) error {
			v, err := do(cmd.Context(), svc)
			if err != nil {
				return err
			}
			if err := a.printVault(v); err != nil {
				return err
			}
			if v.State != string(secret.OK) {
				return errTold
			}
			return nil
		})
	}
}

// vaultStates are the states in words.
var vaultStates = map[string]string{"ok": "open", "locked": "LOCKED", "lost": "LOST"}

func (a *app) printVault(v api.VaultView) error {
	if a.json {
		return a.printJSON(v)
	}
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name, clean(text))
		}
	}
	line("vault", orElse(vaultStates[v.State], v.State))
	line("key in", v.Where)
	secrets := plural(v.Secrets, "secret")
	if v.OtherKey > 0 {
		secrets += fmt.Sprintf(", %d of them under a key that was lost", v.OtherKey)
	}
	line("sealed", secrets)
	line("note", v.Note)
	line("to do", v.Fix)
	if len(v.Places) > 0 {
		b.WriteString("\n")
	}
	if _, err := fmt.Fprint(a.out, b.String()); err != nil || len(v.Places) == 0 {
		return err
	}
	t := newTable(a.out, []string{"PLACE", "IN USE", "USABLE", "NOTE"})
	for _, p := range v.Places {
		t.row(p.Name, yesNo(p.Name == v.Source), yesNo(p.Usable), p.Note)
	}
	return t.Flush()
}

func (a *app) vaultMoveCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "move --to PLACE",
		Short: "Keep the key in another place",
		Long: "Seals all secrets under a new key that is kept in PLACE (os, env or file), then removes the old key. It may be\n" +
			"interrupted at any point: the secrets stay readable, under the one key or the other.\n\n" +
			"For env the program that holds the database needs the variable: if Patchbay is running, stop it first, or start\n" +
			"it with PATCHBAY_VAULT_KEY set.",
		Example: "  patchbay vault move --to os\n" +
			"  PATCHBAY_VAULT_KEY=$(cat key.txt) patchbay vault move --to env",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.vaultMove(cmd.Context(), to) },
	}
	cmd.Flags().StringVar(&to, "to", "", "`place` for the key: os, env or file")
	return cmd
}

func (a *app) vaultMove(ctx context.Context, to string) error {
	if !slices.Contains([]string{secret.SourceOS, secret.SourceEnv, secret.SourceFile}, to) {
		return usagef("say where the key shall be kept: --to os, --to env or --to file")
	}
	return a.with(ctx, func(svc api.Service) error {
		m, err := svc.MoveVault(ctx, to)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(m)
		}
		text := fmt.Sprintf("The key is kept in %q from now on, and %s sealed under it.\n", m.To, were(m.Sealed))
		if m.Left > 0 {
			text += fmt.Sprintf("%s sealed under a key that was lost before; they stay as they are.\n", were(m.Left))
		}
		if m.Note != "" {
			text += clean(m.Note) + "\n"
		}
		_, err = fmt.Fprint(a.out, text)
		return err
	})
}

func were(n int) string {
	if n == 1 {
		return "1 secret was"
	}
	return fmt.Sprintf("%d secrets were", n)
}
