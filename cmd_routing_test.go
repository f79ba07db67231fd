package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/trace"
)

func TestRouteSaysWhereAndWhy(t *testing.T) {
	b := newBench()
	b.svc.KeyList = []api.KeyView{{ID: "k1", Name: "cline"}}
	b.svc.RouteView = api.RouteView{
		Answer: api.RouteAnswer{Outcome: "account", Provider: "codex", Name: "Codex", Label: "work", Model: "gpt-5"},
		Trace: []api.TraceStep{
			{What: trace.Asked, Model: "gpt-5", Kind: "openai"},
			{What: trace.Chosen, Rule: trace.ByList, Provider: "codex", Model: "gpt-5", Message: "codex lists the model"},
			{What: trace.Skipped, Provider: "codex", Count: 9, Kind: trace.KindResting, Message: "9 accounts skipped: resting"},
			{What: trace.Ready, Provider: "codex", Label: "work", Model: "gpt-5", Message: "is ready and would be asked"},
		},
	}
	b.run(t, "route", "gpt-5", "--key", "cline", "--tools", "--tokens", "900", "--path", "codex").
		check(t, exitOK, "Codex, work would answer with gpt-5.", "codex lists the model", "codex, 9 accounts")
	want := api.RouteQuery{Model: "gpt-5", Key: "k1", PathProvider: "codex", Tokens: 900, Needs: api.RouteNeeds{Tools: true}}
	if d := cmp.Diff(want, b.svc.LastRouteQ); d != "" {
		t.Error("-want +got\n" + d)
	}
	b.svc.RouteView.Answer = api.RouteAnswer{Outcome: "nobody", Status: 429, Until: time.Now().Add(time.Minute), Message: "all rest"}
	b.run(t, "route", "gpt-5").check(t, exitFailed, "the app would get 429", "should ask again at", "all rest")
	b.run(t, "route", "gpt-5", "--json").check(t, exitOK, `"outcome": "nobody"`)
	b.run(t, "route", "gpt-5", "--key", "nobody").check(t, exitFailed, `no key "nobody"`)
	b.run(t, "route").check(t, exitUsage, "needs the model")
}

func TestRoutingIsChanged(t *testing.T) {
	b := newBench()
	def := "off"
	for _, c := range []struct {
		args []string
		want any
	}{
		{[]string{"chain", "codex", "kiro/x", "anthropic"}, api.ChainChange{Of: "codex", Steps: []string{"kiro/x", "anthropic"}}},
		{[]string{"chain", "codex", "--none"}, api.ChainChange{Of: "codex", Steps: []string{}}},
		{[]string{"alias", "fast", "openai/m"}, api.AliasChange{Name: "fast", Target: "openai/m"}},
		{[]string{"alias", "fast", "--remove", "--provider", "kiro"}, api.AliasChange{Name: "fast", Provider: "kiro"}},
		{[]string{"fallback", "gpt-5", "kiro/x"}, api.ModelFallbackChange{Model: "gpt-5", Targets: []string{"kiro/x"}}},
		{[]string{"hide", "*-preview"}, []string{"*-preview"}},
		{[]string{"thinking", "kiro", "--default", "off"}, api.ThinkingChange{Provider: "kiro", Default: &def}},
	} {
		b.run(t, append([]string{"routing"}, c.args...)...).check(t, exitOK)
		if d := cmp.Diff(c.want, b.svc.RoutingChanges[len(b.svc.RoutingChanges)-1]); d != "" {
			t.Errorf("%v: -want +got\n%s", c.args, d)
		}
	}
	for _, args := range [][]string{{"chain", "codex"}, {"chain", "codex", "kiro", "--none"}, {"alias", "fast"}, {"fallback", "gpt-5"}, {"hide"}, {"thinking", "kiro"}} {
		b.run(t, append([]string{"routing"}, args...)...).check(t, exitUsage)
	}
	b.svc.RoutingView = api.RoutingView{
		Default: api.RoutingDefault{Provider: "codex", Chosen: true, LockedBy: "PATCHBAY_DEFAULT_PROVIDER"},
		Chains: []api.ChainView{{Of: "codex", Default: true, Steps: []api.ChainStepView{
			{Target: "codex", Provider: "codex"}, {Target: "kiro/x", Provider: "kiro", State: "ready", Ready: 1, Accounts: 2}, {Target: "anthropic", State: "no_account", From: "kiro"},
		}}},
		Aliases: []api.AliasView{{Name: "fast", Target: "openai/m", Scope: "global"}}, Hidden: api.HiddenView{Patterns: []string{"*-old"}},
		Thinking: []api.ThinkingView{{Provider: "kiro", Default: "low", Max: "high"}},
	}
	b.run(t, "routing").check(t, exitOK, "held by PATCHBAY_DEFAULT_PROVIDER", "1 of 2 ready", "no account, by the chain of kiro", "fast", "*-old", "by default low, at most high")
}

func TestAccountsServeByFlags(t *testing.T) {
	b := newBench()
	b.svc.AccountList = []api.AccountView{{ID: "a9", Provider: "openai", Name: "work"}}
	b.run(t, "accounts", "set", "work", "--serves-not", "gpt-4*", "--serves-not", "o1", "--model-name", "nick=gpt-5").check(t, exitOK)
	b.run(t, "accounts", "set", "--help").check(t, exitOK, "--serves")
}
