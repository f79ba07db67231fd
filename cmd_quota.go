package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
)

func (a *app) accountsQuotaCommand(one cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: "quota ACCOUNT", Short: "How much of an account's allowance is left", Args: one,
		Long: "Asks the service, where it tells for free: plans of Codex, Antigravity, Gemini CLI and Kiro.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error {
				v, err := findAccount(cmd.Context(), svc, args[0])
				if err != nil {
					return err
				}
				windows, err := svc.AccountQuota(cmd.Context(), v.ID)
				if err != nil {
					return err
				}
				return printList(a, windows, "ALLOWANCE|USED|RESETS|MODELS", func(q api.QuotaView) []string {
					resets := ""
					if q.ResetsAt > 0 {
						resets = shown(time.UnixMilli(q.ResetsAt))
					}
					return []string{q.Name, used(q), resets, clip(orElse(strings.Join(q.Models, ", "), "all"))}
				}, "The service counts nothing for this account.")
			})
		},
	}
}

// used prints "12.5 of 100 percent".
func used(q api.QuotaView) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	text := number(q.Used)
	if q.Limit > 0 {
		text += " of " + number(q.Limit)
	}
	return strings.TrimSpace(text + " " + q.Unit)
}
