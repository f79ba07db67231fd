package tray

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/frontend"
)

func say(t *testing.T, language string) Say {
	t.Helper()
	texts, err := frontend.LoadTexts(language, "tray")
	if err != nil {
		t.Fatal(err)
	}
	return texts.Say
}

// show writes a menu as a person sees it on a system, with what a click does behind it.
func show(goos string, m Menu) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s\n", []string{"ready", "needs", "down", "paused"}[m.Icon], tooltip(m.Tooltip))
	showItems(&b, goos, "", m.Items)
	return b.String()
}

func showItems(b *strings.Builder, goos, indent string, items []Item) {
	for _, it := range items {
		if it.Hidden {
			continue
		}
		if it.Kind == Separator {
			b.WriteString(indent + "---\n")
			continue
		}
		b.WriteString(indent)
		if it.Kind == Check {
			b.WriteString(map[bool]string{true: "(x) ", false: "( ) "}[it.Checked])
		}
		b.WriteString(label(goos, it.Label))
		if it.Disabled {
			b.WriteString(" [off]")
		}
		if it.Click.Do != Nothing {
			b.WriteString(" -> " + strings.TrimSpace(string(it.Click.Do)+" "+it.Click.ID))
		}
		b.WriteString("\n")
		showItems(b, goos, indent+"    ", it.Items)
	}
}

var now = time.Date(2026, 11, 28, 16, 40, 0, 0, time.UTC)

func at(clock string) time.Time {
	t, err := time.Parse("15:04", clock)
	if err != nil {
		panic(err)
	}
	return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
}

func working() State {
	return State{
		Base: "http://127.0.0.1:8390", Now: now, Login: LoginOff, Update: Update{Can: true},
		Providers: []Provider{{ID: "codex", Name: "Codex", Default: true}, {ID: "anthropic", Name: "Anthropic"}},
		Accounts: []Account{
			{ID: "a1", Name: "mila@example.com", Provider: "codex", ProviderName: "Codex", Enabled: true, Until: at("17:52")},
			{ID: "a2", Name: "studio@example.com", Provider: "codex", ProviderName: "Codex", Enabled: true, NeedsSignIn: true},
			{ID: "a3", Name: "own", Provider: "codex", ProviderName: "Codex", Enabled: true, Ready: true},
			{ID: "a4", Name: "my_key & more", Provider: "anthropic", ProviderName: "Anthropic", Enabled: true, Ready: true},
			{ID: "a5", Name: "unused", Provider: "anthropic", ProviderName: "Anthropic", Ready: true},
		},
	}
}

const tail = `---
Open Patchbay -> open
Open in browser -> open_browser
Activity -> open_activity
Connect an app … -> open_connect
Pause -> pause
---
Check for updates -> check_updates
( ) Start at login -> start_at_login on
Quit Patchbay -> quit
`

const addresses = `Copy address
    OpenAI · http://127.0.0.1:8390/v1 -> copy http://127.0.0.1:8390/v1
    OpenAI Responses · http://127.0.0.1:8390/v1 -> copy http://127.0.0.1:8390/v1
    Anthropic · http://127.0.0.1:8390 -> copy http://127.0.0.1:8390
    Gemini · http://127.0.0.1:8390 -> copy http://127.0.0.1:8390
    Ollama · http://127.0.0.1:8390/ollama -> copy http://127.0.0.1:8390/ollama
Make an app key and copy it -> new_key
`

func TestMenuOfAWorkingDay(t *testing.T) {
	want := `[needs] Patchbay: ready, 2 of 4 accounts
Ready: 2 of 4 accounts [off]
Sign in again: Codex, studio@example.com -> open_sign_in a2
---
Default provider
    (x) Codex · 1 of 3 ready -> set_default codex
    ( ) Anthropic · ready -> set_default anthropic
    ---
    Add account … -> open_add_account
Resting
    mila@example.com, until 17:52 -> use_now a1
` + addresses + tail
	if d := cmp.Diff(want, show("darwin", Build(working(), say(t, "en")))); d != "" {
		t.Error(d)
	}
}

// TestMenuOfEachState looks at the icon, the tooltip and the first lines, which say how things stand.
func TestMenuOfEachState(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*State)
		want   string
	}{
		{"all accounts are ready", func(s *State) { s.Accounts = s.Accounts[2:4] }, "[ready] Patchbay: ready, 2 of 2 accounts\nReady: 2 of 2 accounts [off]\n"},
		{"one account is ready", func(s *State) { s.Accounts = s.Accounts[2:3] }, "[ready] Patchbay: ready, 1 of 1 accounts\nReady: one account [off]\n"},
		{"no account is there", func(s *State) { s.Accounts, s.Providers = nil, nil }, "[needs] Patchbay: no account yet\nNo account yet [off]\n"},
		{"accounts are switched off", func(s *State) { s.Accounts = s.Accounts[4:] }, "[needs] Patchbay: no account yet\nNo account yet [off]\n"},
		{"all rest", func(s *State) { s.Accounts = s.Accounts[:1] },
			"[down] Patchbay: no account can answer until 17:52\nNo account can answer until 17:52 [off]\n"},
		{"all rest until tomorrow", func(s *State) { s.Accounts = s.Accounts[:1]; s.Accounts[0].Until = now.Add(20 * time.Hour) },
			"[down] Patchbay: no account can answer until 11-29 12:40\nNo account can answer until 11-29 12:40 [off]\n"},
		{"nobody knows until when", func(s *State) { s.Accounts = s.Accounts[:1]; s.Accounts[0].Until = time.Time{} },
			"[down] Patchbay: no account can answer\nNo account can answer [off]\n"},
		{"all need a sign-in", func(s *State) { s.Accounts = s.Accounts[1:2] },
			"[down] Patchbay: no account can answer\nNo account can answer [off]\nSign in again: Codex, studio@example.com -> open_sign_in a2\n"},
		{"paused", func(s *State) { s.Paused = true },
			"[paused] Patchbay: paused\nPaused: apps get an error until you go on [off]\nSign in again: Codex, studio@example.com -> open_sign_in a2\n"},
		{"the keychain is locked and nobody can answer", func(s *State) { s.Locked, s.Accounts = true, s.Accounts[1:2] },
			"[needs] Patchbay: the keychain is locked\nLocked: unlock the system keychain [off]\nUnlock the keychain … -> unlock\n" +
				"Sign in again: Codex, studio@example.com -> open_sign_in a2\n"},
		{"the keychain is locked and a local server answers", func(s *State) { s.Locked, s.Accounts = true, s.Accounts[2:3] },
			"[needs] Patchbay: ready, 1 of 1 accounts\nReady: one account [off]\nUnlock the keychain … -> unlock\n"},
		{"the port is taken", func(s *State) { s.Base, s.Port = "", &Port{8390, "ollama (process 12)", 8391} },
			"[down] Patchbay: not answering\nPort 8390 is used by ollama (process 12) [off]\nUse port 8391 instead -> use_port 8391\n" +
				"Sign in again: Codex, studio@example.com -> open_sign_in a2\n"},
		{"something else is wrong", func(s *State) { s.Base, s.Problem = "", "the disk is full" },
			"[down] Patchbay: not answering\nNot answering: the disk is full [off]\nSign in again: Codex, studio@example.com -> open_sign_in a2\n"},
		{"requests are running", func(s *State) { s.InFlight, s.Accounts = 2, s.Accounts[2:4] },
			"[ready] Patchbay: ready, 2 of 2 accounts\nReady: 2 of 2 accounts [off]\n127.0.0.1:8390 · 2 requests running [off]\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := working()
			tc.change(&s)
			got, _, _ := strings.Cut(show("darwin", Build(s, say(t, "en"))), "---\n")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestEntriesThatComeAndGo looks at the entries that are there in some states only.
func TestEntriesThatComeAndGo(t *testing.T) {
	for _, tc := range []struct {
		name       string
		change     func(*State)
		there, not []string
	}{
		{"a failure of the last hour", func(s *State) { s.Failure = &Failure{"r1", "NextChat", "model_not_found", at("16:32")} },
			[]string{"Last failure: NextChat, no such model 16:32 -> open_request r1\n"}, nil},
		{"a failure of nobody in particular", func(s *State) { s.Failure = &Failure{"r1", "", "something new", at("16:32")} },
			[]string{"Last failure: an app, an error 16:32 -> open_request r1\n"}, nil},
		{"an old failure", func(s *State) { s.Failure = &Failure{"r1", "NextChat", "timeout", at("15:32")} }, nil, []string{"Last failure"}},
		{"paused", func(s *State) { s.Paused = true }, []string{"\nGo on -> go_on\n"}, []string{"-> pause\n"}},
		{"open to the network", func(s *State) { s.LAN = true }, []string{"\nOpen to the network: on -> open_network\n"}, nil},
		{"not open to the network", func(*State) {}, nil, []string{"network"}},
		{"an update to look at", func(s *State) { s.Update.Version = "0.9.3" }, []string{"\nVersion 0.9.3 is available … -> show_update\n"}, []string{"Check for", "Restart"}},
		{"no way to look for updates", func(s *State) { s.Update = Update{} }, nil, []string{"pdate"}},
		{"starts at login", func(s *State) { s.Login = LoginOn }, []string{"\n(x) Start at login -> start_at_login off\n"}, nil},
		{"the system switched that off", func(s *State) { s.Login = LoginBlocked }, []string{"\n( ) Start at login (switched off by the system) -> start_at_login on\n"}, nil},
		{"the system has no such thing", func(s *State) { s.Login = LoginUnknown }, nil, []string{"login"}},
		{"nothing listens", func(s *State) { s.Base = "" },
			[]string{"\nCopy address [off]\n    OpenAI [off]\n", "\nOpen in browser [off]", "\nConnect an app … [off]", "\nPause [off]", "\nOpen Patchbay -> open\n"}, []string{"copy http"}},
		{"nobody rests", func(s *State) { s.Accounts = s.Accounts[2:] }, nil, []string{"Resting"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := working()
			tc.change(&s)
			got := show("darwin", Build(s, say(t, "en")))
			for _, want := range tc.there {
				if !strings.Contains(got, want) {
					t.Errorf("not there: %q\n%s", want, got)
				}
			}
			for _, not := range tc.not {
				if strings.Contains(got, not) {
					t.Errorf("there: %q\n%s", not, got)
				}
			}
		})
	}
}

func TestLabelsFollowTheRulesOfEachSystem(t *testing.T) {
	s := working()
	s.Accounts = []Account{{ID: "a4", Name: "my_key & more\n\u202emore", Provider: "anthropic", Enabled: true, NeedsSignIn: true}}
	s.Providers = nil
	for goos, want := range map[string]string{
		"linux":   "\nSign in again: anthropic, my__key & more more -> ",
		"windows": "\nSign in again: anthropic, my_key && more more -> ",
		"darwin":  "\nSign in again: anthropic, my_key & more more -> ",
	} {
		if got := show(goos, Build(s, say(t, "en"))); !strings.Contains(got, want) {
			t.Errorf("on %s there is no %q:\n%s", goos, want, got)
		}
	}
	long := label("linux", strings.Repeat("字", 500))
	if n := len([]rune(long)); n != maxLabel || !strings.HasSuffix(long, "…") {
		t.Errorf("a long label has %d characters: %q", n, long)
	}
}

func TestMenusAreNoLongerThanTheyMayBe(t *testing.T) {
	s := working()
	s.Accounts, s.Providers = nil, nil
	for i := range 40 {
		n := strconv.Itoa(i)
		s.Providers = append(s.Providers, Provider{ID: "p" + n})
		s.Accounts = append(s.Accounts,
			Account{ID: "r" + n, Name: "rests " + n, Provider: "p" + n, Enabled: true, Until: now.Add(time.Duration(i+1) * time.Minute)},
			Account{ID: "s" + n, Name: "signs in " + n, Provider: "p" + n, Enabled: true, NeedsSignIn: true})
	}
	got := show("darwin", Build(s, say(t, "en")))
	if n := strings.Count(got, "set_default"); n != maxEntries {
		t.Errorf("%d providers are listed, not %d", n, maxEntries)
	}
	if n := strings.Count(got, "use_now"); n != maxEntries {
		t.Errorf("%d resting accounts are listed, not %d", n, maxEntries)
	}
	if n := strings.Count(got, "open_sign_in"); n != maxSignIn {
		t.Errorf("%d sign-ins are listed, not %d", n, maxSignIn)
	}
	if n := strings.Count(got, "All accounts … -> open_accounts"); n != 2 {
		t.Errorf("%d entries lead to all accounts, not 2", n)
	}
}

// TestEntriesAreTheSameInEveryState holds what the menu on screen relies on: nothing is ever inserted.
func TestEntriesAreTheSameInEveryState(t *testing.T) {
	var ids func(items []Item) []string
	ids = func(items []Item) []string {
		var out []string
		for _, it := range items {
			out = append(out, fmt.Sprint(it.ID, it.Kind))
			out = append(out, ids(it.Items)...)
		}
		return out
	}
	want := ids(Build(working(), say(t, "en")).Items)
	seen := map[string]bool{}
	for _, id := range want {
		if seen[id] {
			t.Errorf("two entries are called %s", id)
		}
		seen[id] = true
	}
	busy := working()
	busy.Paused, busy.LAN, busy.Locked, busy.Failure, busy.InFlight = true, true, true, &Failure{At: now}, 3
	for _, s := range []State{{}, {Port: &Port{}}, busy} {
		if d := cmp.Diff(want, ids(Build(s, say(t, "en")).Items)); d != "" {
			t.Error(d)
		}
	}
}

func TestEveryLanguageHasEveryTextOfTheMenu(t *testing.T) {
	s := working()
	s.Paused, s.LAN, s.Locked, s.Failure, s.InFlight, s.Port = true, true, true, &Failure{App: "x", At: now}, 3, &Port{1, "x", 2}
	for _, l := range frontend.Languages {
		if got := show("linux", Build(s, say(t, l))); strings.Contains(got, "tray.") || strings.Contains(got, "why.") || strings.ContainsAny(got, "{}") {
			t.Errorf("%s lacks a text or a value:\n%s", l, got)
		}
	}
}
