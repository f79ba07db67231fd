package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
)

func (a *app) usageCommand() *cobra.Command {
	var days int
	cmd := &cobra.Command{
		Use:     "usage",
		Short:   "Requests and tokens by provider, account and model",
		Example: "  patchbay usage --days 7",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 0 {
				return usagef("--days cannot be negative")
			}
			return a.with(cmd.Context(), func(svc api.Service) error { return a.usage(cmd, svc, days) })
		},
	}
	cmd.Flags().IntVar(&days, "days", 30, "how many `days` back; 0 is all")
	return cmd
}

func (a *app) usage(cmd *cobra.Command, svc api.Service, days int) error {
	var q api.UsageQuery
	if days > 0 {
		q.Since = time.Now().AddDate(0, 0, -days)
	}
	u, err := svc.Usage(cmd.Context(), q)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(u)
	}
	rows := u.Rows
	if len(rows) > 1 {
		u.Total.Provider = "total"
		rows = append(rows, u.Total)
	}
	return printList(a, rows, "PROVIDER|ACCOUNT|MODEL|KEY|REQUESTS|ERRORS|INPUT|CACHED|OUTPUT|REASONING", func(r api.UsageRow) []string {
		return []string{
			r.Provider, orElse(r.Label, r.Account), r.Model, orElse(r.KeyName, r.Key), strconv.FormatInt(r.Requests, 10), strconv.FormatInt(r.Errors, 10),
			count(r.Tokens.Input), count(r.Tokens.Cached), count(r.Tokens.Output), count(r.Tokens.Reasoning),
		}
	}, "Nothing was used in this time.")
}

func (a *app) logsCommand() *cobra.Command {
	var q api.RequestQuery
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "The latest requests: who served them and how they ended",
		Example: "  patchbay logs -n 20\n" +
			"  patchbay logs --failed --provider openai",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Limit < 1 || q.Limit > api.MaxRequests {
				return usagef("-n is a number from 1 to %d", api.MaxRequests)
			}
			return a.with(cmd.Context(), func(svc api.Service) error { return a.logs(cmd, svc, q) })
		},
	}
	cmd.Flags().IntVarP(&q.Limit, "number", "n", 50, "how many `rows`")
	cmd.Flags().BoolVar(&q.Failed, "failed", false, "failed ones only")
	cmd.Flags().StringVar(&q.Provider, "provider", "", "of this provider `id`")
	cmd.Flags().StringVar(&q.Model, "model", "", "of this `model`")
	return cmd
}

func (a *app) logs(cmd *cobra.Command, svc api.Service, q api.RequestQuery) error {
	rows, err := svc.Requests(cmd.Context(), q)
	if err != nil {
		return err
	}
	return printList(a, rows, "TIME|STATUS|CLIENT|ASKED|PROVIDER|ACCOUNT|MODEL|TRIES|TIME MS|IN|OUT|ERROR", func(r api.RequestView) []string {
		failure := r.Kind
		if r.Message != "" {
			failure += ": " + r.Message
		}
		return []string{
			shown(r.At), strconv.Itoa(r.Status), r.Client, r.Asked, r.Provider, orElse(r.Label, r.Account), r.Model, strconv.Itoa(r.Attempts),
			fmt.Sprint(r.DurationMS), count(r.Tokens.Input), count(r.Tokens.Output), clip(failure),
		}
	}, "No request was made yet.")
}
