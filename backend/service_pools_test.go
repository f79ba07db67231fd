package backend

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

func TestPoolsAreChangedAndKept(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	var ids []string
	for _, name := range []string{"one", "two", "three"} {
		a := ok(b.AddAccount(ctx, api.NewAccount{Provider: "openai", Name: name, Key: secret.New("sk-" + name), Tags: []string{"Paid"}}))(t)
		ids = append(ids, a.ID)
	}
	strategy, sticky, reserve, every := "fill-first", "session", 10, api.SecondsOf(30*time.Minute)
	got := ok(b.ChangePool(ctx, "openai-custom", api.PoolChange{Strategy: &strategy, Sticky: &sticky, Reserve: &reserve, CheckEvery: &every}))(t)
	want := api.PoolView{
		Provider: "openai", Name: "OpenAI", Enabled: true, Default: true, Strategy: strategy, Sticky: sticky, StickyFor: 3600, Reserve: 10,
		Checks: api.ChecksView{Every: every}, Accounts: 3, States: map[string]int{"ready": 3}, Order: ids,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got\n" + d)
	}
	if p := b.settings.Current().Providers["openai"].Pool; p.Strategy != strategy || p.Checks.Every != 30*time.Minute {
		t.Errorf("%+v", p)
	}
	bad := "random"
	if _, err := b.ChangePool(ctx, "openai", api.PoolChange{Strategy: &bad}); apierror.From(err).Param != "strategy" {
		t.Error(err)
	}
	if _, err := b.ChangePool(ctx, "nowhere", api.PoolChange{}); apierror.From(err).Param != "provider" {
		t.Error(err)
	}

	list := ok(b.OrderAccounts(ctx, api.AccountOrder{Provider: "openai", IDs: []string{ids[2]}}))(t)
	if list[0].ID != ids[2] || list[0].Priority != 1 || list[1].Priority != 100 {
		t.Errorf("%+v", list)
	}
	list = ok(b.OrderAccounts(ctx, api.AccountOrder{Provider: "openai", Tiers: [][]string{{ids[1]}, {ids[0], ids[2]}}}))(t)
	if list[0].ID != ids[1] || list[1].Priority != 2 || list[2].Priority != 2 {
		t.Errorf("%+v", list)
	}
	for _, o := range []api.AccountOrder{{Provider: "openai"}, {Provider: "kiro", IDs: ids}, {Provider: "openai", IDs: []string{ids[0], ids[0]}}} {
		if _, err := b.OrderAccounts(ctx, o); apierror.From(err).Param != "ids" {
			t.Errorf("%+v: %v", o, err)
		}
	}

	off := false
	if got = ok(b.ChangePool(ctx, "openai", api.PoolChange{Enabled: &off}))(t); got.States["disabled"] != 3 {
		t.Errorf("%+v", got)
	}
	if pools := ok(b.Pools(ctx))(t); len(pools) != 1 || pools[0].Strategy != strategy {
		t.Errorf("%+v", pools)
	}
}

func TestAccountsHaveTagsWeightAndReserve(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	a := ok(b.AddAccount(ctx, api.NewAccount{Provider: "openai", Name: "one", Key: secret.New("sk-1"), Tags: []string{"b", "A", "b"}}))(t)
	if strings.Join(a.Tags, " ") != "a b" || a.Weight != 1 || a.Reserve != nil || a.Priority != 100 || a.Origin.Kind != "key" {
		t.Errorf("%+v", a)
	}
	weight, keep, calls, tags := 7, 20, 3, []string{}
	a = ok(b.ChangeAccount(ctx, a.ID, api.AccountChange{Weight: &weight, Reserve: &keep, MaxConcurrent: &calls, Tags: &tags}))(t)
	if a.Weight != 7 || *a.Reserve != 20 || a.MaxConcurrent != 3 || len(a.Tags) != 0 {
		t.Errorf("%+v", a)
	}
	keep = -1
	if a = ok(b.ChangeAccount(ctx, a.ID, api.AccountChange{Reserve: &keep}))(t); a.Reserve != nil {
		t.Errorf("%+v", a)
	}
	for param, c := range map[string]api.AccountChange{
		"weight": {Weight: new(int)}, "reserve": {Reserve: ptr(91)}, "max_concurrent": {MaxConcurrent: ptr(-1)}, "tags": {Tags: &[]string{"a,b"}},
	} {
		if _, err := b.ChangeAccount(ctx, a.ID, c); err == nil || apierror.From(err).Param != param {
			t.Errorf("%s: %v", param, err)
		}
	}
	for param, n := range map[string]api.NewAccount{"weight": {Weight: 5000}, "reserve": {Reserve: ptr(91)}, "tags": {Tags: []string{"a,b"}}} {
		n.Provider, n.Key = "openai", secret.New("sk-2")
		if _, err := b.AddAccount(ctx, n); err == nil || apierror.From(err).Param != param {
			t.Errorf("a new one, %s: %v", param, err)
		}
	}
	key := ok(b.AddKey(ctx, api.NewKey{Name: "app", Limits: api.KeyLimits{Account: "openai/one", Tags: []string{"X"}}}))(t)
	if key.Limits.Account != a.ID || key.Limits.Tags[0] != "x" {
		t.Errorf("%+v", key.Limits)
	}
	if _, err := b.AddKey(ctx, api.NewKey{Name: "other", Limits: api.KeyLimits{Account: "nobody"}}); apierror.From(err).Param != "account" {
		t.Error(err)
	}
}

func ptr[T any](v T) *T { return &v }
