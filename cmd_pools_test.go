package main

import (
	"strings"
	"testing"

	"patchbay/backend/api"
)

func TestPoolsCommand(t *testing.T) {
	b := newBench()
	b.svc.PoolList = []api.PoolView{{
		Provider: "openai", Name: "OpenAI", Enabled: true, Strategy: "least-loaded", Sticky: "on", StickyFor: 5400, Reserve: 10, Tags: []string{"paid"},
		States: map[string]int{"ready": 2, "needs_login": 1, "cooling": 1}, Bound: 1, Checks: api.ChecksView{Every: 60},
	}}
	for _, name := range []string{"one", "two", "three"} {
		b.svc.AccountList = append(b.svc.AccountList, api.AccountView{ID: "id-" + name, Provider: "openai", Name: name, Enabled: true})
	}
	b.run(t, "pools").check(t, exitOK, "2 ready, 1 cooling, 1 needs_login", "on 1h30m", "10 %", "every 1m", "only accounts tagged paid", "1 conversation bound")
	b.run(t, "pools", "set", "openai").check(t, exitUsage, "say what to change")
	b.run(t, "pools", "set", "openai", "--checks", "3s").check(t, exitUsage, "a minute or more")
	b.run(t, "pools", "set", "openai", "--strategy", "weighted", "--checks", "off", "--tag", "", "--sticky-for", "30m").check(t, exitOK, "Changed the pool openai.")
	if p := b.svc.PoolList[0]; p.Strategy != "weighted" || p.Checks.Every != 0 || len(p.Tags) != 0 || p.StickyFor != 1800 || p.Reserve != 10 {
		t.Errorf("%+v", p)
	}
	b.run(t, "pools", "disable", "openai").check(t, exitOK, "left out")
	if b.svc.AccountList[0].Enabled {
		t.Error("it is still used")
	}
	b.run(t, "pools", "order", "openai", "two", "one+three").check(t, exitOK, "openai/two")
	var tiers []string
	for _, tier := range b.svc.LastOrder.Tiers {
		tiers = append(tiers, strings.Join(tier, "+"))
	}
	if got := strings.Join(tiers, " "); got != "id-two id-one+id-three" {
		t.Error(got)
	}
}

func TestAccountsTakeTagsWeightAndReserve(t *testing.T) {
	b := newBench()
	b.svc.AccountList = []api.AccountView{{ID: "a", Provider: "openai", Name: "work", Cooling: []api.CoolDownView{{Model: "m"}, {Model: "n"}}}}
	b.run(t, "accounts", "set", "work", "--tag", "paid", "--tag", "eu", "--weight", "3", "--reserve", "10%", "--max-concurrent", "2").check(t, exitOK, "Changed")
	a := b.svc.AccountList[0]
	if strings.Join(a.Tags, " ") != "paid eu" || a.Weight != 3 || a.Reserve == nil || *a.Reserve != 10 || a.MaxConcurrent != 2 {
		t.Errorf("%+v", a)
	}
	b.run(t, "accounts", "set", "work", "--reserve", "much").check(t, exitUsage, "percentage")
	b.run(t, "accounts", "clear", "work", "--model", "m").check(t, exitOK, "over")
	if c := b.svc.AccountList[0].Cooling; len(c) != 1 || c[0].Model != "n" {
		t.Errorf("%+v", c)
	}
}
