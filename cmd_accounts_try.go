package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"patchbay/backend/api"
)

func (a *app) accountsTestCommand(one cobra.PositionalArgs) *cobra.Command {
	var t api.AccountTest
	var yes bool
	cmd := &cobra.Command{
		Use: "test ACCOUNT", Short: "Check an account, without spending anything unless you ask for it", Args: one,
		Long: "Asks the service for its model list with the account's key: that costs nothing. An address without a version is\n" +
			"tried with /v1 as well, and the one that works is kept.\n\n" +
			"With --generate a model of the account writes a few words. That is one request of about 20 tokens, answered with 200 at\n" +
			"most: a key that is paid per token pays for them, a plan has so much less left. What it costs is said before, and asked\n" +
			"for unless --yes is there, and after. The request stands in the log, and what it meets counts for the account's health.",
		Example: "  patchbay accounts test openai/work\n" +
			"  patchbay accounts test work --generate\n" +
			"  patchbay accounts test work --generate --model gpt-5-mini --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !t.Generate && t.Model != "" {
				return usagef("--model is for --generate: the free check asks no model")
			}
			return a.with(cmd.Context(), func(svc api.Service) error {
				v, err := findAccount(cmd.Context(), svc, args[0])
				if err != nil {
					return err
				}
				if t.Generate {
					return a.generateTest(cmd.Context(), svc, v, t, yes)
				}
				found, err := svc.TestAccount(cmd.Context(), v.ID, t)
				if err != nil {
					return err
				}
				return a.printTest(label(v), found)
			})
		},
	}
	cmd.Flags().BoolVar(&t.Generate, "generate", false, "have a model answer, which costs tokens")
	cmd.Flags().StringVar(&t.Model, "model", "", "the `model` that is to answer (default: the cheapest of which a price is known)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before tokens are spent")
	return cmd
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

// generateTest has a model of the account answer, once the person knows what that costs.
func (a *app) generateTest(ctx context.Context, svc api.Service, v api.AccountView, t api.AccountTest, yes bool) error {
	c, err := svc.TestCost(ctx, v.ID, t.Model)
	if err != nil {
		return err
	}
	t.Model = c.Model
	if !a.json || !yes {
		fmt.Fprintf(a.err, "One request to %s of %s: %s.\n", c.Model, label(v), testCost(c))
	}
	if !yes {
		fmt.Fprint(a.err, "Send it? Type yes: ")
		line, err := bufio.NewReader(a.in).ReadString('\n')
		if answer := strings.TrimSpace(line); !strings.EqualFold(answer, "yes") {
			fmt.Fprintln(a.err)
			if answer == "" && errors.Is(err, io.EOF) {
				return usagef("nobody is there to answer; who agrees to the cost adds --yes")
			}
			return errors.New("nothing was sent")
		}
	}
	found, err := svc.TestAccount(ctx, v.ID, t)
	if err != nil {
		return err
	}
	return a.printGenerated(label(v), found)
}

// testCost says what a test costs at most: "about 20 tokens in, at most 200 out, at most 0.0004 USD by the prices of ...".
func testCost(c api.TestCost) string {
	text := fmt.Sprintf("about %d tokens in, at most %d out", c.Input, c.Output)
	switch {
	case c.Cost != nil:
		text += fmt.Sprintf(", at most %s by the price of %s", money(*c.Cost, c.Currency), c.Prices)
	case c.Paid == "tokens":
		text += "; the key is paid per token, and no price of this model is known"
	case c.Paid == "plan":
		text += ", from the allowance of your plan"
	default:
		text += "; the service wants no key, so it costs nothing"
	}
	return text
}

// money prints a small amount: "0.00042 USD".
func money(amount float64, currency string) string {
	return strconv.FormatFloat(amount, 'f', 6, 64) + " " + currency
}

// printGenerated says how a model answered, and what that cost.
func (a *app) printGenerated(name string, t api.TestView) error {
	if a.json {
		if err := a.printJSON(t); err != nil || t.OK {
			return err
		}
		return errTold
	}
	var cost []string
	if t.Tokens != nil {
		about := ""
		if t.Estimated {
			about = "about "
		}
		cost = append(cost, fmt.Sprintf("%s%d tokens in, %d out", about, max(t.Tokens.Input, 0), max(t.Tokens.Output, 0)))
	}
	if t.Cost != nil {
		cost = append(cost, money(*t.Cost, t.Currency))
	}
	if !t.OK {
		text := fmt.Sprintf("%s did not answer with %s: %s", name, t.Model, t.Message)
		if len(cost) > 0 {
			text += " (" + strings.Join(cost, ", ") + ")"
		}
		if n := t.Next; n != nil {
			for _, more := range []string{n.Text, n.Link, n.Command} {
				if more != "" {
					text += "\n  " + more
				}
			}
		}
		return errors.New(text)
	}
	answer := fmt.Sprintf("answered %q", t.Answer)
	if t.Answer == "" {
		answer = t.Message
	}
	if len(cost) == 0 {
		cost = []string{"the service told no tokens"}
	}
	return a.done("%s works: %s %s after %d ms; %s. In the log: %s", name, t.Model, answer, t.DurationMS, strings.Join(cost, ", "), t.Request)
}
