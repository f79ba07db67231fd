package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
)

// keyFlags are what the command line can say of a client key's limits.
type keyFlags struct {
	name                         string
	lasts                        string
	models, providers, protocols []string
	perMinute, concurrent        int
	perDay                       int64
	account                      string
	tags                         []string
}

func (f *keyFlags) define(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.lasts, "lasts", "", "how `long` the key is good from now, for example 24h; forever takes an end away")
	fl.StringSliceVar(&f.models, "model", nil, "a `pattern` of models that the key may use (gpt-*, openai/*); may be repeated; all takes the limit away")
	fl.StringSliceVar(&f.providers, "provider", nil, "a `provider` that the key may use; may be repeated; all takes the limit away")
	fl.StringSliceVar(&f.protocols, "protocol", nil, "a `protocol` that the key may speak (openai, responses, anthropic, gemini, ollama, forward); may be repeated; all takes the limit away")
	fl.IntVar(&f.perMinute, "per-minute", 0, "at most `n` requests a minute; 0 takes the limit away")
	fl.Int64Var(&f.perDay, "tokens-per-day", 0, "at most `n` tokens a day, input and output; 0 takes the limit away")
	fl.StringVar(&f.account, "account", "", "the only `account` that serves the key; all takes the limit away")
	fl.StringSliceVar(&f.tags, "tag", nil, "a `tag` that an account must have to serve the key; may be repeated; all takes the limit away")
	fl.IntVar(&f.concurrent, "concurrent", 0, "at most `n` requests at a time; 0 takes the limit away")
}

// change is what the flags that were given say.
func (f *keyFlags) change(cmd *cobra.Command) (c api.KeyChange, err error) {
	given := cmd.Flags().Changed
	if given("lasts") {
		var end time.Time
		if f.lasts != "forever" && f.lasts != "0" {
			d, err := time.ParseDuration(f.lasts)
			if err == nil && d < 0 {
				return c, usagef("--lasts cannot be negative")
			}
			if err != nil || d == 0 {
				return c, usagef("--lasts takes a length of time such as 24h, or forever")
			}
			end = time.Now().Add(d)
		}
		c.Expires = &end
	}
	for _, l := range []struct {
		flag string
		from []string
		to   **[]string
	}{{"model", f.models, &c.Models}, {"provider", f.providers, &c.Providers}, {"protocol", f.protocols, &c.Protocols}, {"tag", f.tags, &c.Tags}} {
		if !given(l.flag) {
			continue
		}
		list := []string{}
		if len(l.from) != 1 || l.from[0] != "all" {
			list = l.from
		}
		*l.to = &list
	}
	for flag, n := range map[string]int64{"per-minute": int64(f.perMinute), "tokens-per-day": f.perDay, "concurrent": int64(f.concurrent)} {
		if n < 0 {
			return c, usagef("--%s cannot be negative; 0 is no limit", flag)
		}
	}
	if given("per-minute") {
		c.PerMinute = &f.perMinute
	}
	if given("tokens-per-day") {
		c.TokensPerDay = &f.perDay
	}
	if given("concurrent") {
		c.Concurrent = &f.concurrent
	}
	if given("account") {
		one := f.account
		if one == "all" {
			one = ""
		}
		c.Account = &one
	}
	if f.name != "" {
		c.Name = &f.name
	}
	return c, nil
}

func take[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

func (a *app) keysSetCommand() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:   "set KEY",
		Short: "Change what a key may do; KEY is its name or id",
		Long:  "Changes what the flags name and leaves the rest. It holds from the next request on; the key itself stays as it is.",
		Example: "  patchbay keys set cline --per-minute 20 --tokens-per-day 500000\n" +
			"  patchbay keys set cline --model 'claude-*' --provider kiro\n" +
			"  patchbay keys set cline --model all --per-minute 0      no limit of these",
		Args: nArgs(1, 1, "the name or the id of a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.change(cmd)
			if err != nil {
				return err
			}
			if c == (api.KeyChange{}) {
				return usagef("say what to change, for example --per-minute 20; `patchbay keys set --help` lists it")
			}
			return a.withKey(cmd, args[0], func(svc api.Service, k api.KeyView) error {
				k, err := svc.ChangeKey(cmd.Context(), k.ID, c)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(k)
				}
				_, err = fmt.Fprintf(a.out, "The key %q: %s, %s.\n", k.Name, keyState(k), strings.Join(limitLines(k.Limits), "; "))
				return err
			})
		},
	}
	f.define(cmd)
	cmd.Flags().StringVar(&f.name, "name", "", "another `name`")
	return cmd
}

// showKey prints one key with its limits and what it was used for.
func (a *app) showKey(cmd *cobra.Command, args []string) error {
	return a.withKey(cmd, args[0], func(svc api.Service, k api.KeyView) error {
		u, err := svc.Usage(cmd.Context(), api.UsageQuery{})
		if err != nil {
			return err
		}
		used := api.UsageView{Rows: []api.UsageRow{}}
		for _, r := range u.Rows {
			if r.Key == k.ID {
				used.Rows = append(used.Rows, r)
				used.Total.Add(r)
			}
		}
		if a.json {
			return a.printJSON(struct {
				api.KeyView
				Usage api.UsageView `json:"usage"`
			}{k, used})
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s (%s), begins with %s, made %s, %s\n", k.Name, k.ID, k.Prefix, shown(k.Created), keyState(k))
		for _, l := range limitLines(k.Limits) {
			b.WriteString("  " + l + "\n")
		}
		fmt.Fprintf(&b, "now: %d running, %d in the last minute\ntoday: %s\n", k.Used.InFlight, k.Used.Minute, useToday(k.Used))
		t := &used.Total
		fmt.Fprintf(&b, "in all: %d requests (%d failed), %d tokens in, %d out\n", t.Requests, t.Errors, t.Tokens.Input, t.Tokens.Output)
		for _, r := range used.Rows {
			fmt.Fprintf(&b, "  %s %s: %d requests, %d tokens in, %d out\n", r.Provider, r.Model, r.Requests, r.Tokens.Input, r.Tokens.Output)
		}
		_, err = fmt.Fprint(a.out, b.String())
		return err
	})
}

// limitLines says what a key may do, a line for each limit.
func limitLines(l api.KeyLimits) []string {
	var out []string
	for _, p := range []struct {
		word string
		list []string
	}{{"models", l.Models}, {"providers", l.Providers}, {"protocols", l.Protocols}} {
		if len(p.list) > 0 {
			out = append(out, p.word+" "+strings.Join(p.list, ", ")+" only")
		}
	}
	if l.Account != "" {
		out = append(out, "the account "+l.Account+" only")
	}
	if len(l.Tags) > 0 {
		out = append(out, "accounts tagged "+strings.Join(l.Tags, " and ")+" only")
	}
	if l.PerMinute > 0 {
		out = append(out, strconv.Itoa(l.PerMinute)+" requests a minute")
	}
	if l.TokensPerDay > 0 {
		out = append(out, strconv.FormatInt(l.TokensPerDay, 10)+" tokens a day")
	}
	if l.Concurrent > 0 {
		out = append(out, strconv.Itoa(l.Concurrent)+" requests at a time")
	}
	if out == nil {
		return []string{"no limits"}
	}
	return out
}

func limitsShort(l api.KeyLimits) string {
	lines := limitLines(l)
	if len(lines) == 1 && lines[0] == "no limits" {
		return "-"
	}
	return strings.Join(lines, "; ")
}

func useToday(u api.KeyUse) string {
	return fmt.Sprintf("%d requests, %d tokens", u.RequestsToday, u.TokensToday)
}
