package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/app/tray"
	"patchbay/app/window"
	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/frontend"
)

var quietLog = slog.New(slog.DiscardHandler)

func english(t *testing.T) tray.Say {
	t.Helper()
	x, err := frontend.LoadTexts("en", "tray")
	if err != nil {
		t.Fatal(err)
	}
	return x.Say
}

func TestNewsAreChangesThatAPersonShouldHearOf(t *testing.T) {
	now := time.Date(2026, 11, 28, 16, 40, 0, 0, time.UTC)
	base := func() tray.State {
		return tray.State{
			Base: "http://127.0.0.1:8390", Now: now, Providers: []tray.Provider{{ID: "codex", Name: "Codex", Default: true}},
			Accounts: []tray.Account{
				{ID: "a", Name: "mila", Provider: "codex", ProviderName: "Codex", Enabled: true, Ready: true},
				{ID: "b", Name: "own", Provider: "openai", ProviderName: "OpenAI", Enabled: true, Ready: true},
			},
		}
	}
	all := config.Notifications{SignIn: true, Exhausted: true, Port: true, Update: true}
	for _, tc := range []struct {
		name   string
		change func(*tray.State)
		want   []string
	}{
		{"nothing", func(*tray.State) {}, nil},
		{"a refused login", func(s *tray.State) { s.Accounts[1].Ready, s.Accounts[1].NeedsSignIn = false, true },
			[]string{"Sign in again|OpenAI refused the saved login of own.|#/accounts?signin=b"}},
		{"the default provider rests", func(s *tray.State) { s.Accounts[0].Ready, s.Accounts[0].Until = false, now.Add(time.Hour) },
			[]string{"No account of Codex can answer|They rest until 17:40.|#/accounts"}},
		{"nobody knows until when", func(s *tray.State) { s.Accounts[0].Ready = false },
			[]string{"No account of Codex can answer|Open Patchbay to see why.|#/accounts"}},
		{"another provider rests", func(s *tray.State) { s.Accounts[1].Ready, s.Accounts[1].Until = false, now.Add(time.Hour) }, nil},
		{"another port", func(s *tray.State) { s.Base = "http://127.0.0.1:8391" },
			[]string{"Patchbay has another address|Apps find it at http://127.0.0.1:8391 now.|#/apps"}},
		{"a newer version", func(s *tray.State) { s.Update.Version = "2.0" }, []string{"Patchbay 2.0 is available|Open Patchbay to see what is new.|#/settings/updates"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := base()
			tc.change(&next)
			var got []string
			for _, n := range news(base(), next, all, english(t)) {
				got = append(got, strings.Join([]string{n.title, n.body, n.page}, "|"))
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if n := news(base(), next, config.Notifications{}, english(t)); len(n) > 0 {
				t.Errorf("switched off, and still told: %v", n)
			}
			if n := news(next, next, all, english(t)); len(n) > 0 {
				t.Errorf("told again: %v", n)
			}
		})
	}
}

func TestACauseIsToldOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown, opened []string
		n := &notifier{log: quietLog, last: map[string]time.Time{}, open: func(page string) { opened = append(opened, page) },
			show: func(x note, clicked func()) error { shown = append(shown, x.title); clicked(); return nil }}
		for _, step := range []struct {
			wait         time.Duration
			cause, title string
		}{
			{0, "a", "1"}, {time.Minute, "a", "2"}, {0, "b", "3"}, {0, "", "4"}, {0, "", "5"}, {time.Hour, "a", "6"},
		} {
			time.Sleep(step.wait) // of the bubble
			n.send(note{cause: step.cause, title: step.title, page: "#/" + step.title})
		}
		if d := cmp.Diff("1 3 4 5 6", strings.Join(shown, " ")); d != "" {
			t.Error(d)
		}
		if len(opened) != 5 || opened[0] != "#/1" {
			t.Error(opened)
		}
		n.show = func(note, func()) error { return errors.New("no service") }
		n.send(note{title: "7"}) // nobody shows it, and nothing happens
	})
}

func TestClocksAreJudged(t *testing.T) {
	wall := time.Date(2026, 11, 28, 16, 40, 0, 0, time.UTC)
	for _, tc := range []struct {
		name          string
		wall, running time.Duration
		why           string
		back          time.Duration
	}{
		{"as it should be", 15 * time.Second, 15 * time.Second, "", 0},
		{"a busy machine", 30 * time.Second, 30 * time.Second, "", 0},
		{"slept, with a clock that stands still meanwhile", time.Hour, 15 * time.Second, "the machine slept, or the clock was set forward", 0},
		{"slept, with a clock that goes on", time.Hour, time.Hour, "the machine slept", 0},
		{"set back", -time.Hour, 15 * time.Second, "the clock was set back", time.Hour + 15*time.Second},
		{"mended by a second", 14 * time.Second, 15 * time.Second, "", 0},
	} {
		why, back := judge(reading{wall, 0}, reading{wall.Add(tc.wall), tc.running}, 15*time.Second)
		if why != tc.why || back != tc.back {
			t.Errorf("%s: %q, %v", tc.name, why, back)
		}
	}
}

func TestSleepClocksAndNetworksAreSeenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		net, woken := "home", []string{}
		var wall, running time.Duration // by how far the clocks are off those of the bubble
		real := clocks()
		read := func() reading {
			mu.Lock()
			defer mu.Unlock()
			r := real()
			return reading{r.wall.Add(wall), r.running + running}
		}
		go watchClock(ctx, 15*time.Second, read, func() string { mu.Lock(); defer mu.Unlock(); return net },
			func(back time.Duration, why string) {
				mu.Lock()
				woken = append(woken, why+", back "+back.String())
				mu.Unlock()
			})
		for _, happens := range []func(){
			func() { net = "train" },
			func() { wall += 8 * time.Hour },                             // the lid was closed, and the running clock stood still
			func() { wall, running = wall+time.Hour, running+time.Hour }, // the same where it goes on
			func() { wall -= 3 * time.Hour },                             // somebody set the clock
			func() { net, wall = "office", wall+time.Hour },              // both: it is looked at once
		} {
			time.Sleep(40 * time.Second) // of the bubble
			mu.Lock()
			happens()
			mu.Unlock()
		}
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		want := []string{
			"the network changed, back 0s", "the machine slept, or the clock was set forward, back 0s", "the machine slept, back 0s",
			"the clock was set back, back 3h0m0s", "the machine slept, or the clock was set forward, back 0s",
		}
		if d := cmp.Diff(want, woken); d != "" {
			t.Error(d)
		}
	})
}

func TestWhoCanAnswer(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for _, tc := range []struct {
		name string
		v    api.AccountView
		want tray.Account
	}{
		{"ready", api.AccountView{State: "ready", Enabled: true}, tray.Account{Enabled: true, Ready: true}},
		{"ready, with a model that rests", api.AccountView{State: "ready", Enabled: true, Cooling: []api.CoolDownView{{Model: "m", Until: until}}},
			tray.Account{Enabled: true, Ready: true}},
		{"rests", api.AccountView{State: "cooling", Reason: "asked", Enabled: true, Cooling: []api.CoolDownView{{Until: until}}},
			tray.Account{Enabled: true, Until: until}},
		{"signs in", api.AccountView{State: "needs_login", Enabled: true}, tray.Account{Enabled: true, NeedsSignIn: true}},
		{"locked", api.AccountView{State: "ready", Enabled: true, Locked: true}, tray.Account{Enabled: true}},
		{"ended", api.AccountView{State: "discontinued", Enabled: true}, tray.Account{}},
	} {
		if d := cmp.Diff(tc.want, accountOf(tc.v, api.ProviderView{})); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}

func TestMemoryLastsAndForgivesABrokenFile(t *testing.T) {
	dir := t.TempDir()
	m := openMemory(dir)
	seen := func(r *remembered) *bool { return &r.Seen }
	if !m.once(seen) || m.once(seen) || !openMemory(dir).get().Seen || openMemory(dir).get().NoGPU {
		t.Error("a mark is not kept, or set twice")
	}
	if err := os.WriteFile(filepath.Join(dir, "desktop.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if openMemory(dir).get() != (remembered{}) {
		t.Error("half a file says something")
	}
}

// TestMain makes this program a window: what it does stands in the environment.
func TestMain(m *testing.M) {
	switch os.Getenv("PATCHBAY_TEST_WINDOW") {
	case "":
		os.Exit(m.Run())
	case "works", "works without gpu":
		if os.Getenv("PATCHBAY_TEST_WINDOW") == "works without gpu" && os.Args[len(os.Args)-1] != "--no-gpu" {
			os.Exit(1)
		}
		f, err := os.OpenFile(os.Getenv("PATCHBAY_TEST_SAID"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			os.Exit(1)
		}
		println("a word")
		os.Stdout.WriteString(window.Loaded + "\n")
		b := make([]byte, 1024)
		for {
			n, err := os.Stdin.Read(b)
			f.Write(b[:n])
			if err != nil || strings.Contains(string(b[:n]), "quit\n") {
				os.Exit(0)
			}
		}
	case "cannot":
		os.Exit(window.ExitNoWindow)
	}
	os.Exit(1) // fails
}

// keeper is an opener whose child is this program.
func keeper(t *testing.T, what string) (w *opener, said func() string, browsed chan string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "said")
	t.Setenv("PATCHBAY_TEST_WINDOW", what)
	t.Setenv("PATCHBAY_TEST_SAID", file)
	browsed = make(chan string, 4)
	w = &opener{
		command: func() []string { return []string{os.Args[0]} },
		link:    func(_ context.Context, page string) (string, error) { return "http://127.0.0.1:1/ui/#t=x" + page, nil },
		browse:  func(address string) error { browsed <- address; return nil },
		opened:  func() {}, memory: openMemory(t.TempDir()), log: quietLog,
	}
	t.Cleanup(w.quit)
	return w, func() string { b, _ := os.ReadFile(file); return string(b) }, browsed
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

func TestThereIsOneWindow(t *testing.T) {
	w, said, browsed := keeper(t, "works")
	for _, page := range []string{"", "#/accounts", ""} {
		if err := w.show(page); err != nil {
			t.Fatal(err)
		}
	}
	w.moved("http://127.0.0.1:1")
	w.moved("http://127.0.0.1:2")
	want := "url http://127.0.0.1:1/ui/#t=x\npage #/accounts\nshow\nshow\nurl http://127.0.0.1:1/ui/#t=x\n"
	soon(t, "the window is told everything", func() bool { return said() == want })
	w.quit()
	if got := said(); got != want+"quit\n" {
		t.Error(got)
	}
	if err := w.show(""); err == nil {
		t.Error("a window is opened after the end")
	}
	if len(browsed) > 0 {
		t.Error(<-browsed)
	}
}

func TestAWindowThatFailsIsTriedWithoutTheGraphicsCard(t *testing.T) {
	w, said, _ := keeper(t, "works without gpu")
	if err := w.show("#/apps"); err != nil {
		t.Fatal(err)
	}
	soon(t, "the second try works and is remembered", func() bool { return w.memory.get().NoGPU && said() != "" })
}

func TestWithoutAWindowTheBrowserOpens(t *testing.T) {
	for _, what := range []string{"cannot", "fails"} {
		w, _, browsed := keeper(t, what)
		if err := w.show("#/apps"); err != nil {
			t.Fatal(err)
		}
		if got := <-browsed; got != "http://127.0.0.1:1/ui/#t=x#/apps" {
			t.Errorf("%s: %s", what, got)
		}
	}
	w, _, browsed := keeper(t, "works")
	w.command = func() []string { return nil }
	if err := w.show(""); err != nil || <-browsed != "http://127.0.0.1:1/ui/#t=x" {
		t.Error(err)
	}
}
