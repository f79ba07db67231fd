package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
)

func TestKeysAreLimited(t *testing.T) {
	b := newBench()
	b.run(t, "keys", "add", "bot", "--model", "gpt-*", "--model", "o3", "--provider", "openai,kiro", "--protocol", "anthropic",
		"--per-minute", "20", "--tokens-per-day", "5000", "--concurrent", "2").check(t, exitOK, "shown only now")
	want := api.KeyLimits{Models: []string{"gpt-*", "o3"}, Providers: []string{"openai", "kiro"}, Protocols: []string{"anthropic"}, PerMinute: 20, TokensPerDay: 5000, Concurrent: 2}
	if d := cmp.Diff(want, b.svc.KeyList[0].Limits); d != "" {
		t.Error("-want +got\n" + d)
	}
	b.run(t, "keys").check(t, exitOK, "models gpt-*, o3 only", "20 requests a minute", "5000 tokens a day", "2 requests at a time")

	b.run(t, "keys", "set", "BOT", "--model", "all", "--per-minute", "0", "--lasts", "24h", "--name", "robot").
		check(t, exitOK, `The key "robot"`, "until", "providers openai, kiro only")
	k := b.svc.KeyList[0]
	want.Models, want.PerMinute = []string{}, 0
	if d := cmp.Diff(want, k.Limits); d != "" {
		t.Error("-want +got\n" + d)
	}
	if life := time.Until(k.Expires); life < 23*time.Hour || life > 24*time.Hour {
		t.Error(life)
	}
	b.run(t, "keys", "set", "robot", "--lasts", "forever", "--provider", "all", "--protocol", "all", "--tokens-per-day", "0", "--concurrent", "0", "--json").
		check(t, exitOK, `"name": "robot"`)
	b.run(t, "keys", "set", "robot", "--per-minute", "0").check(t, exitOK, "good, no limits")
	if k := b.svc.KeyList[0]; !k.Expires.IsZero() {
		t.Error(k)
	}
}

func TestKeySlipsAreExplained(t *testing.T) {
	b := newBench()
	b.run(t, "keys", "add", "app").check(t, exitOK)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"keys", "set", "app"}, "say what to change"},
		{[]string{"keys", "set", "app", "--per-minute", "-1"}, "negative"},
		{[]string{"keys", "set", "app", "--lasts", "soon"}, "24h, or forever"},
		{[]string{"keys", "set"}, "needs the name"},
	} {
		b.run(t, c.args...).check(t, exitUsage, c.says)
	}
	b.run(t, "keys", "set", "nobody", "--per-minute", "1").check(t, exitFailed, `no key "nobody"`)
	b.run(t, "keys", "show", "nobody").check(t, exitFailed, `no key "nobody"`)
	b.run(t, "keys", "remove", "nobody").check(t, exitFailed, `no key "nobody"`)
}

func TestKeyIsShownWithWhatItDid(t *testing.T) {
	b := newBench()
	b.svc.KeyList = []api.KeyView{{ID: "k1", Name: "app", Prefix: "pb-ab", Created: apitest.Moment,
		Limits: api.KeyLimits{PerMinute: 9}, Used: api.KeyUse{InFlight: 1, Minute: 4, RequestsToday: 12, TokensToday: 345}}}
	b.svc.UsageRows = []api.UsageRow{
		{Key: "k1", Provider: "openai", Model: "gpt-5", Requests: 7, Errors: 1, Tokens: api.Tokens{Input: 100, Output: 20}},
		{Key: "other", Provider: "kiro", Model: "secret-model", Requests: 70},
	}
	r := b.run(t, "keys", "show", "app")
	r.check(t, exitOK, "9 requests a minute", "1 running, 4 in the last minute", "12 requests, 345 tokens", "7 requests (1 failed), 100 tokens in, 20 out", "openai gpt-5")
	if strings.Contains(r.out, "secret-model") {
		t.Error("it shows what another key did")
	}
	b.run(t, "keys", "show", "app", "--json").check(t, exitOK, `"tokens_today": 345`, `"requests": 7`)
	b.run(t, "keys", "remove", "app").check(t, exitOK, `Removed the key "app"`)
	b.run(t, "keys").check(t, exitOK, "There is no key")
}
