package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
	"patchbay/backend/config"
)

func (a *app) poolsCommand() *cobra.Command {
	pools := &cobra.Command{
		Use:   "pools",
		Short: "How the accounts of a provider are used together",
		Example: "  patchbay pools                                     list them\n" +
			"  patchbay pools set codex --strategy soonest-reset\n" +
			"  patchbay pools set kiro --reserve 10               leave 10 % of each allowance alone\n" +
			"  patchbay pools order codex work home               use work first, then home",
		Args: noArgs,
		RunE: a.listPools,
	}
	const which = "a provider; `patchbay pools` lists those with accounts"
	pools.AddCommand(
		&cobra.Command{Use: "list", Short: "List the pools", Args: noArgs, RunE: a.listPools},
		a.poolsSetCommand(nArgs(1, 1, which)),
		a.poolsOrderCommand(),
		&cobra.Command{Use: "enable PROVIDER", Short: "Use all accounts of a pool", Args: nArgs(1, 1, which), RunE: a.switchPool(true)},
		&cobra.Command{Use: "disable PROVIDER", Short: "Leave all accounts of a pool out", Args: nArgs(1, 1, which), RunE: a.switchPool(false)},
	)
	return pools
}

func (a *app) listPools(cmd *cobra.Command, _ []string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		list, err := svc.Pools(cmd.Context())
		if err != nil {
			return err
		}
		return printList(a, list, "POOL|ACCOUNTS|STRATEGY|STICKY|RESERVE|CHECKS|DETAIL", func(v api.PoolView) []string {
			return []string{v.Provider, poolStates(v), v.Strategy, stickyText(v), percent(v.Reserve), every(v.Checks.Every), clip(poolDetail(v))}
		}, "There is no account yet. Add one: patchbay accounts add PROVIDER (`patchbay providers` lists the providers)")
	})
}

// poolStates prints "2 ready, 1 cooling".
func poolStates(v api.PoolView) string {
	var parts []string
	for _, s := range []string{"ready", "cooling"} {
		if n := v.States[s]; n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", s))
		}
	}
	for _, s := range slices.Sorted(maps.Keys(v.States)) {
		if s != "ready" && s != "cooling" {
			parts = append(parts, fmt.Sprint(v.States[s], " ", s))
		}
	}
	return orElse(strings.Join(parts, ", "), "none")
}

func stickyText(v api.PoolView) string {
	if v.Sticky == "off" {
		return v.Sticky
	}
	return v.Sticky + " " + short(v.StickyFor)
}

// short prints a length of time without its empty parts: "1h", "5m".
func short(s api.Seconds) string {
	text := s.Duration().String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return orElse(text, "0s")
}

func percent(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n, " %")
}

func every(s api.Seconds) string {
	if s == 0 {
		return "off"
	}
	return "every " + short(s)
}

func poolDetail(v api.PoolView) string {
	var parts []string
	if !v.Enabled {
		parts = append(parts, "the provider is turned off")
	}
	if !v.Soonest.IsZero() {
		parts = append(parts, "the first is ready again at "+shown(v.Soonest))
	}
	if len(v.Tags) > 0 {
		parts = append(parts, "only accounts tagged "+strings.Join(v.Tags, " or "))
	}
	if v.InFlight > 0 {
		parts = append(parts, plural(v.InFlight, "call")+" under way")
	}
	if v.Waiting > 0 {
		parts = append(parts, fmt.Sprint(v.Waiting, " waiting"))
	}
	if v.Bound > 0 {
		parts = append(parts, plural(v.Bound, "conversation")+" bound")
	}
	return strings.Join(parts, "; ")
}

func (a *app) poolsSetCommand(one cobra.PositionalArgs) *cobra.Command {
	var strategy, sticky, checks string
	var stickyFor time.Duration
	var reserve int
	var tags []string
	cmd := &cobra.Command{
		Use:   "set PROVIDER",
		Short: "Change how the accounts of a provider are used",
		Long: "Changes a pool. It is written into the settings and holds from the next request on.\n\n" +
			"Strategies: least-loaded (the fewest calls under way, then the longest idle), round-robin, fill-first (the oldest\n" +
			"account that can serve), weighted (`patchbay accounts set --weight`), soonest-reset (the account whose allowance is\n" +
			"filled up soonest and is not used up).",
		Args: one,
		RunE: func(cmd *cobra.Command, args []string) error {
			var c api.PoolChange
			flags := cmd.Flags()
			if flags.Changed("strategy") {
				c.Strategy = &strategy
			}
			if flags.Changed("sticky") {
				c.Sticky = &sticky
			}
			if flags.Changed("sticky-for") {
				n := api.SecondsOf(stickyFor)
				c.StickyFor = &n
			}
			if flags.Changed("reserve") {
				c.Reserve = &reserve
			}
			if flags.Changed("tag") {
				tags = slices.DeleteFunc(tags, func(t string) bool { return t == "" })
				c.Tags = &tags
			}
			if flags.Changed("checks") {
				n, err := checkEvery(checks)
				if err != nil {
					return err
				}
				c.CheckEvery = &n
			}
			if c == (api.PoolChange{}) {
				return usagef("say what to change: --strategy, --sticky, --sticky-for, --reserve, --tag or --checks")
			}
			return a.changePool(cmd, args[0], c, "Changed the pool %s.")
		},
	}
	f := cmd.Flags()
	f.StringVar(&strategy, "strategy", "", strings.Join(config.Strategies, ", "))
	f.StringVar(&sticky, "sticky", "", "conversations that stay on an account: on (all), session (those that the app names) or off")
	f.DurationVar(&stickyFor, "sticky-for", 0, "how long after their last request (1h, 30m)")
	f.IntVar(&reserve, "reserve", 0, "`percent` of each allowance that is left alone")
	f.StringSliceVar(&tags, "tag", nil, "use only accounts with this `tag`; again for more, \"\" for all accounts")
	f.StringVar(&checks, "checks", "", "how often to look after the accounts by what is free: 30m, or off")
	return cmd
}

func checkEvery(text string) (api.Seconds, error) {
	if text == "off" || text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < config.LeastCheck {
		return 0, usagef("--checks takes a length of time of a minute or more, such as 30m, or off")
	}
	return api.SecondsOf(d), nil
}

func (a *app) changePool(cmd *cobra.Command, id string, c api.PoolChange, text string) error {
	return a.with(cmd.Context(), func(svc api.Service) error {
		v, err := svc.ChangePool(cmd.Context(), id, c)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(v)
		}
		return a.done(text, v.Provider)
	})
}

func (a *app) switchPool(on bool) func(*cobra.Command, []string) error {
	text := "All accounts of %s are left out from now on."
	if on {
		text = "All accounts of %s are used again."
	}
	return func(cmd *cobra.Command, args []string) error {
		return a.changePool(cmd, args[0], api.PoolChange{Enabled: &on}, text)
	}
}

func (a *app) poolsOrderCommand() *cobra.Command {
	return &cobra.Command{
		Use: "order PROVIDER ACCOUNT...", Short: "Say which accounts are used first",
		Long: "Puts the accounts of a provider in order: the next one is used when those before it cannot serve. Names joined by a\n" +
			"plus (work+home) stand side by side; accounts that are not named come last.",
		Args: nArgs(2, 1000, "a provider and its accounts in order"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(svc api.Service) error {
				o := api.AccountOrder{Provider: args[0]}
				for _, place := range args[1:] {
					var tier []string
					for name := range strings.SplitSeq(place, "+") {
						v, err := findAccount(cmd.Context(), svc, name)
						if err != nil {
							return err
						}
						tier = append(tier, v.ID)
					}
					o.Tiers = append(o.Tiers, tier)
				}
				list, err := svc.OrderAccounts(cmd.Context(), o)
				if err != nil {
					return err
				}
				return a.printAccounts(list)
			})
		},
	}
}
