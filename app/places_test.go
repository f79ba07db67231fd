package app

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/app/tray"
	"patchbay/backend/config"
)

// frontendPages reads what the page can show out of its own source: the path of each page, and the text of its folder.
func frontendPages(t *testing.T) map[string]string {
	t.Helper()
	const src = "../frontend/src/pages"
	index, err := os.ReadFile(src + "/index.ts")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`id: "\w+",\s+path: "(/\w*)"[^}]*?import\("\./(\w+)/`).FindAllStringSubmatch(string(index), -1) {
		var text strings.Builder
		err := filepath.WalkDir(filepath.Join(src, m[2]), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			text.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		out[m[1]] = text.String()
	}
	if len(out) < 10 || len(out) != strings.Count(string(index), "import(") {
		t.Fatalf("%d pages were found in %s: has it changed its form?", len(out), src)
	}
	return out
}

// leads reports why the page cannot show a place; "" = it can.
func leads(pages map[string]string, place string) string {
	path, query, _ := strings.Cut(strings.TrimPrefix(place, "#"), "?")
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	text, ok := pages["/"+parts[0]]
	switch {
	case !strings.HasPrefix(place, "#/") || !ok:
		return "there is no such page"
	case len(parts) > 2:
		return "no page reads so many parts"
	case len(parts) == 2 && !strings.Contains(text, "router.parts[1]"):
		return "this page does not read what follows its path"
	case len(parts) == 2 && parts[0] == "settings" && !strings.Contains(regexp.MustCompile(`sections = \[[^]]*]`).FindString(text), `"`+parts[1]+`"`):
		return "the settings have no such section"
	}
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' }) {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || !strings.Contains(text, `query.get("`+name+`")`) {
			return "this page does not read " + name
		}
	}
	return ""
}

func TestWhereTheMenuAndTheNotificationsLeadThePageFollows(t *testing.T) {
	pages := frontendPages(t)
	now := time.Date(2026, 11, 28, 16, 40, 0, 0, time.UTC)
	// A state in which every entry of the menu is there, and one before it in which nothing had happened yet.
	s := tray.State{
		Base: "http://127.0.0.1:8391", Now: now, LAN: true, Locked: true, Port: &tray.Port{Number: 1, Free: 2}, Login: tray.LoginOn,
		Update: tray.Update{Can: true, Version: "2.0"}, Failure: &tray.Failure{ID: "r/1", At: now},
		Providers: []tray.Provider{{ID: "codex", Name: "Codex", Default: true}},
		Accounts: []tray.Account{
			{ID: "a b", Name: "mila", Provider: "codex", Enabled: true, NeedsSignIn: true},
			{ID: "c", Name: "own", Provider: "codex", Enabled: true, Until: now.Add(time.Hour)},
		},
	}
	old := s
	old.Base, old.Update, old.Accounts = "http://127.0.0.1:8390", tray.Update{}, []tray.Account{{ID: "a b", Provider: "codex", Enabled: true, Ready: true}}
	places := map[string]string{} // place to who leads there
	seen := map[tray.Verb]bool{}
	var look func(items []tray.Item)
	look = func(items []tray.Item) {
		for _, it := range items {
			seen[it.Click.Do] = true
			if page, ok := place(it.Click); ok && page != "" {
				places[page] = it.ID
			}
			look(it.Items)
		}
	}
	look(tray.Build(s, english(t)).Items)
	for _, verb := range []tray.Verb{tray.OpenActivity, tray.OpenRequest, tray.OpenConnect, tray.OpenAccounts, tray.OpenAddAccount, tray.OpenSignIn, tray.OpenNetwork, tray.ShowUpdate} {
		if !seen[verb] {
			t.Errorf("no entry of the menu does %s, so it is not looked at", verb)
		}
	}
	for verb := range seen {
		if _, ok := place(tray.Click{Do: verb}); !ok && strings.HasPrefix(string(verb), "open_") && verb != tray.OpenBrowser {
			t.Errorf("%s leads nowhere", verb)
		}
	}
	notes := news(old, s, config.Notifications{SignIn: true, Exhausted: true, Port: true, Update: true}, english(t))
	if len(notes) != 4 {
		t.Errorf("%d notifications, not all four", len(notes))
	}
	for _, n := range notes {
		places[n.page] = "the notification " + n.title
	}
	for _, page := range slices.Sorted(maps.Keys(places)) {
		if why := leads(pages, page); why != "" {
			t.Errorf("%s leads to %s: %s", places[page], page, why)
		}
	}
	for _, wrong := range []string{"", "#/nowhere", "#/accounts/a?signin", "#/accounts?add", "#/accounts?sign=a", "#/settings/nothing", "#/help/update"} {
		if leads(pages, wrong) == "" {
			t.Errorf("%q would be let pass", wrong)
		}
	}
}
