package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/secret"
)

// proxyCommand tries ways out.
func (a *app) proxyCommand() *cobra.Command {
	proxy := &cobra.Command{
		Use:   "proxy",
		Short: "The ways out: outbound proxies",
		Long: "An account's own proxy comes first (`patchbay accounts set --proxy-file`), then its provider's (`patchbay config set\n" +
			"providers.ID.proxy URL`), then the one of all (`network.proxy`), then the system's. It counts for sign-in, renewal,\n" +
			"allowances and traffic, and nothing goes around it.",
		Example: "  patchbay proxy test\n" +
			"  patchbay proxy test socks5://127.0.0.1:1080 --provider kiro",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	proxy.AddCommand(a.proxyTestCommand())
	return proxy
}

func (a *app) proxyTestCommand() *cobra.Command {
	var account, provider string
	cmd := &cobra.Command{
		Use:   "test [URL]",
		Short: "Try a way out: how long it takes, and which services it reaches",
		Long:  "Without an address, the one in force is tried. No account is used and nothing is spent.",
		Example: "  patchbay proxy test                             the one of all\n" +
			"  patchbay proxy test socks5://127.0.0.1:1080\n" +
			"  patchbay proxy test - < proxy.txt               an address with a password, not in the shell's history\n" +
			"  patchbay proxy test --account work\n" +
			"  patchbay proxy test direct --provider kiro",
		Args: nArgs(0, 1, "an address, direct or system"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := api.ProxyTest{Provider: provider}
			if len(args) > 0 {
				text := args[0]
				if text == "-" {
					b, err := io.ReadAll(io.LimitReader(a.in, 4096))
					if err != nil {
						return fmt.Errorf("reading the address: %w", err)
					}
					text = strings.TrimSpace(string(b))
				}
				q.Proxy = secret.New(text)
			}
			return a.with(cmd.Context(), func(svc api.Service) error { return a.testProxy(cmd, svc, q, account) })
		},
	}
	cmd.Flags().StringVar(&account, "account", "", "for this `account`: PROVIDER/NAME, its name or its id")
	cmd.Flags().StringVar(&provider, "provider", "", "for this `provider`")
	return cmd
}

func (a *app) testProxy(cmd *cobra.Command, svc api.Service, q api.ProxyTest, account string) error {
	if account != "" {
		v, err := findAccount(cmd.Context(), svc, account)
		if err != nil {
			return err
		}
		q.Account = v.ID
	}
	v, err := svc.TestProxy(cmd.Context(), q)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(v); err != nil || v.OK {
			return err
		}
		return errTold
	}
	t := newTable(a.out, []string{"PROVIDER", "HOST", "REACHED", "WHY NOT"})
	for _, e := range v.Exit {
		reached := "no"
		if e.OK {
			reached = fmt.Sprint("in ", e.LatencyMS, " ms")
		}
		t.row(e.Provider, e.Host, reached, clip(e.Message))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !v.OK {
		fmt.Fprintln(a.err, clean("The way out does not work ("+v.Proxy+"): "+v.Message))
		return errTold
	}
	return a.done("The way out works (%s), in %d ms.", v.Proxy, v.LatencyMS)
}
