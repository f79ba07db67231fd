package account

import (
	"slices"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/trace"
)

func TestWordsOnModels(t *testing.T) {
	for name, c := range map[string]struct {
		only, not, model string
		want             bool
	}{
		"nothing is said":              {"", "", "gpt-5", true},
		"left out by name":             {"", "gpt-5", "gpt-5", false},
		"another name":                 {"", "gpt-5", "gpt-5-mini", true},
		"left out by a pattern":        {"", "x, gpt-*", "gpt-5", false},
		"the only one":                 {"gpt-5", "", "gpt-5", true},
		"not among the only ones":      {"gpt-5, o3*", "", "claude-x", false},
		"among the only ones, and out": {"gpt-*", "gpt-5-pro", "gpt-5-pro", false},
		"no model in particular":       {"gpt-*", "", "", true},
	} {
		w := wordsOf(map[string]string{provider.SettingServes: c.only, provider.SettingServesNot: c.not})
		if got := w.serve(c.model); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAccountsServeWhatTheirOwnersSay(t *testing.T) {
	f := newHouse(t)
	add := func(name string, priority int, settings map[string]string) string {
		st, err := f.Add(t.Context(), Account{Provider: "kiro", Name: name, Priority: priority, Enabled: true, Settings: settings}, key("k-"+name))
		check(t, err)
		return st.ID
	}
	first := add("first", 1, map[string]string{provider.SettingServesNot: "big-*", provider.SettingModelNames: "nick=real"})
	add("second", 2, map[string]string{provider.SettingServes: "big-1,big-2"})
	who := func(model string) string {
		l, err := f.Acquire(t.Context(), Query{Provider: "kiro", Model: model})
		if err != nil {
			return apierror.KindOf(err).String()
		}
		defer l.Release(nil)
		return l.Label() + " " + l.Model(model)
	}
	for model, want := range map[string]string{"small": "first small", "big-1": "second big-1", "big-3": "model_not_found", "nick": "first real"} {
		if got := who(model); got != want {
			t.Errorf("%s: %s, want %s", model, got, want)
		}
	}
	list, _ := f.Considered(Query{Provider: "kiro", Model: "big-1"}, 0)
	if len(list) != 2 || list[0].Kind != trace.KindNotServed || !list[1].Chosen {
		t.Errorf("%+v", list)
	}
	// A change holds at once, and leaves no mark behind.
	if _, err := f.Update(t.Context(), first, func(a *Account) { delete(a.Settings, provider.SettingServesNot) }); err != nil {
		t.Fatal(err)
	}
	if got := who("big-3"); got != "first big-3" {
		t.Error(got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.pools["kiro"].scopes.bits); n != 1 {
		t.Errorf("%d scopes are held", n)
	}
}

func TestAListHoldsWhatAnAccountServes(t *testing.T) {
	w := wordsOf(map[string]string{provider.SettingServesNot: "b*", provider.SettingModelNames: "nick = a, other=gone"})
	got := w.listed([]canon.Model{{ID: "a", Context: 9}, {ID: "b1"}})
	if len(got) != 2 || got[0].ID != "a" || got[1].ID != "nick" || got[1].Context != 9 {
		t.Errorf("%+v", got)
	}
	if w := wordsOf(nil); !slices.Equal([]string{"x"}, []string{w.listed([]canon.Model{{ID: "x"}})[0].ID}) {
		t.Error("without words the list is another one")
	}
}
