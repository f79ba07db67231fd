package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/secret"
)

func (a *app) openCommand() *cobra.Command {
	var print bool
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open the page of the running Patchbay",
		Long: "Opens the page of the running Patchbay in your browser. The link lets in whoever opens it first, within a minute;\n" +
			"after that the page stays signed in for as long as its tab is open.",
		Example: "  patchbay open\n  patchbay open --print        only print the link, for a browser elsewhere",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.openPage(cmd.Context(), print) },
	}
	cmd.Flags().BoolVar(&print, "print", false, "print the link and open nothing")
	return cmd
}

// openLink is the link as --json prints it.
type openLink struct {
	URL     string `json:"url"`
	Expires string `json:"expires"`
}

func (a *app) openPage(ctx context.Context, print bool) error {
	return a.with(ctx, func(svc api.Service) error {
		pages, ok := svc.(api.PageService)
		if !ok || a.base(ctx, svc) == "" {
			return errors.New("patchbay is not running; start it with `patchbay serve`")
		}
		t, err := pages.OpenPage(ctx)
		if err != nil {
			return err
		}
		link := t.URL.Reveal()
		if a.json {
			return a.printJSON(openLink{link, t.Expires.Format("2006-01-02T15:04:05Z07:00")})
		}
		if !print && a.browse != nil && a.browse(link) == nil {
			fmt.Fprintln(a.out, "The page opens in your browser.")
			return nil
		}
		if !print {
			fmt.Fprintln(a.err, "There is no browser here. This link opens the page once, within a minute:")
		}
		fmt.Fprintln(a.out, link)
		return nil
	})
}

func (a *app) passwordCommand() *cobra.Command {
	var file string
	var stdin bool
	password := &cobra.Command{
		Use:   "password",
		Short: "The password that opens the page from elsewhere",
		Long: "On this machine `patchbay open` opens the page, without a password. To open it from another one, set a password.\n" +
			"It is kept as a hash, and guessing it is slowed down.",
		Example: "  patchbay password set        asks for it\n  patchbay password remove",
		Args:    noArgs,
	}
	set := &cobra.Command{
		Use: "set", Short: "Set or change the password; it is asked for", Args: noArgs,
		Example: "  patchbay password set\n  patchbay password set --password-file FILE",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := a.readSecret(file, stdin, "Password (10 characters or more): ", false)
			if err != nil {
				return err
			}
			return a.changePassword(cmd.Context(), text, "The password is set. Pages that were opened with an earlier one are signed out.")
		},
	}
	set.Flags().StringVar(&file, "password-file", "", "read the password from a `file`")
	set.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	password.AddCommand(set, &cobra.Command{
		Use: "remove", Short: "Remove it: only `patchbay open` opens the page", Args: noArgs,
		Example: "  patchbay password remove",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.changePassword(cmd.Context(), secret.Value{}, "There is no password any more. Pages that were opened with it are signed out.")
		},
	})
	return password
}

func (a *app) changePassword(ctx context.Context, text secret.Value, done string) error {
	return a.with(ctx, func(svc api.Service) error {
		if err := svc.SetPagePassword(ctx, text); err != nil {
			return err
		}
		fmt.Fprintln(a.out, done)
		return nil
	})
}
