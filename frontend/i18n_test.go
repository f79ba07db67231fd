package frontend

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, language string) *Texts {
	t.Helper()
	x, err := LoadTexts(language, "tray")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestLanguagesHaveTheSameTextsWithTheSameValues(t *testing.T) {
	named := regexp.MustCompile(`\{[a-z]+\}`)
	values := func(x *Texts, key string) []string {
		var out []string
		for _, text := range x.forms[key] {
			out = append(out, named.FindAllString(text, -1)...)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	english := load(t, "en")
	for _, l := range Languages[1:] {
		other := load(t, l)
		want, got := english.Keys(), other.Keys()
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the keys of %s (-en +%[1]s):\n%s", l, d)
		}
		for _, key := range want {
			if d := cmp.Diff(values(english, key), values(other, key)); d != "" {
				t.Errorf("%s in %s (-en +%[2]s):\n%s", key, l, d)
			}
		}
	}
}

func TestSayFillsInValuesAndChoosesThePlural(t *testing.T) {
	for _, tc := range []struct{ language, key, n, want string }{
		{"en", "tray.running", "1", "here · 1 request running"},
		{"en", "tray.running", "2", "here · 2 requests running"},
		{"en", "tray.running", "0", "here · 0 requests running"},
		{"zh-CN", "tray.running", "1", "here · 1 个请求进行中"},
		{"ja", "tray.running", "3", "here · 実行中のリクエスト 3 件"},
		{"en", "tray.unknown", "1", "tray.unknown"},
	} {
		if got := load(t, tc.language).Say(tc.key, "address", "here", "n", tc.n); got != tc.want {
			t.Errorf("%s %s with %s: %q, want %q", tc.language, tc.key, tc.n, got, tc.want)
		}
	}
	if got, want := load(t, "en").Say("tray.signIn", "provider", "{account}", "account", "me"), "Sign in again: {account}, me"; got != want {
		t.Errorf("a value that looks like a name: %q, want %q", got, want)
	}
}

func TestLanguageFollowsThePerson(t *testing.T) {
	for _, tc := range []struct {
		prefer []string
		want   string
	}{
		{nil, "en"},
		{[]string{"ja_JP.UTF-8"}, "ja"},
		{[]string{"zh_CN.UTF-8"}, "zh-CN"},
		{[]string{"zh-Hans-CN"}, "zh-CN"},
		{[]string{"de_DE", "ja"}, "ja"},
		{[]string{"C", ""}, "en"},
		{[]string{"", "en_GB"}, "en"},
		{[]string{"jav"}, "en"},
	} {
		if got := Language(tc.prefer...); got != tc.want {
			t.Errorf("Language(%q) = %q, want %q", tc.prefer, got, tc.want)
		}
	}
}
