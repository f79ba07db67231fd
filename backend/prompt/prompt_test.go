package prompt

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/canon"
)

func rules(t *testing.T, list ...Rule) (*Rules, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	r := New(slog.New(slog.NewTextHandler(log, nil)))
	if err := r.Set(list); err != nil {
		t.Fatal(err)
	}
	return r, log
}

// result is what a system text of "own" becomes.
func result(r *Rules, provider, keyID, keyName string) (string, string) {
	e, notes := r.Edit(provider, keyID, keyName)
	said := strings.Join(notes, "; ")
	if e == nil {
		return "own", said
	}
	var texts []string
	for _, p := range e.Parts([]canon.Part{{Type: canon.PartText, Text: "own"}}) {
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, "|"), said
}

func TestNarrowRulesHaveTheLastWord(t *testing.T) {
	r, _ := rules(t,
		Rule{Name: "a", Keys: []string{"Bot"}, Mode: Override, Text: "key"},
		Rule{Name: "b", Providers: []string{"kiro"}, Mode: Override, Text: "kiro"},
		Rule{Name: "c", Mode: Append, Text: "all"},
		Rule{Name: "d", Mode: Prepend, Text: "first"},
		Rule{Name: "e", Mode: Prepend, Text: "before it"},
		Rule{Name: "f", Text: "and all"},
	)
	for _, c := range []struct{ provider, id, name, want string }{
		{"openai", "", "", "before it\n\nfirst|own|all\n\nand all"},
		{"kiro", "1", "other", "kiro"},
		{"kiro", "1", "bot", "key"},
		{"openai", "Bot", "x", "key"},
		{"openai", "", "bot", "before it\n\nfirst|own|all\n\nand all"}, // no key was shown
	} {
		if got, _ := result(r, c.provider, c.id, c.name); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if _, said := result(r, "kiro", "1", "bot"); !strings.Contains(said, "a overrides") || !strings.Contains(said, "c appends") || !strings.Contains(said, "kiro") {
		t.Error(said)
	}
}

func TestReplacementsComeInAFixedOrder(t *testing.T) {
	r, _ := rules(t,
		Rule{Name: "a", Replace: map[string]string{"own": "b", "b": "c", "a": "own"}, ReplaceRegexp: map[string]string{"^(.)$": "<$1>"}},
		Rule{Name: "b", Text: "own too"},
	)
	for range 20 {
		if got, said := result(r, "x", "", ""); got != "<b>|b too" || !strings.Contains(said, "a replaces, b appends") {
			t.Fatalf("%q, %q", got, said)
		}
	}
	if err := r.Set([]Rule{{Name: "bad", ReplaceRegexp: map[string]string{"(": ""}}}); err == nil || !strings.Contains(err.Error(), "bad") {
		t.Error(err)
	}
	if got, _ := result(r, "x", "", ""); got != "<b>|b too" {
		t.Errorf("after a rule that cannot be: %q", got)
	}
	if e, notes := New(slog.Default()).Edit("x", "", ""); e != nil || notes != nil {
		t.Error("no rules")
	}
}

func TestFileThatCannotBeReadStopsNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.md")
	r, log := rules(t, Rule{Name: "f", File: file})
	if got, said := result(r, "x", "", ""); got != "own" || !strings.Contains(said, "goes without") {
		t.Errorf("%q, %q", got, said)
	}
	write := func(b string, at time.Duration) {
		if err := os.WriteFile(file, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(1_700_000_000, 0).Add(at) // a coarse clock of a file system must not hide a change
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
		r.Look()
	}
	write("\ufeffgood\r\n", 1)
	if got, said := result(r, "x", "", ""); got != "own|good" || strings.Contains(said, "cannot") {
		t.Errorf("%q, %q", got, said)
	}
	for at, bad := range []string{"not \xff text", strings.Repeat("x", MaxFile+1)} {
		write(bad, time.Duration(at+2)*time.Second)
		if got, said := result(r, "x", "", ""); got != "own|good" || !strings.Contains(said, "last held") {
			t.Errorf("%q, %q", got, said)
		}
		n := log.Len()
		r.Look()
		if log.Len() != n {
			t.Error("the same fault is told twice")
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	r.Look()
	if got, said := result(r, "x", "", ""); got != "own|good" || !strings.Contains(said, "no file") {
		t.Errorf("%q, %q", got, said)
	}
	if err := r.Set([]Rule{{Name: "f", File: file, Mode: Override}}); err != nil { // settings that change in the meantime
		t.Fatal(err)
	}
	if got, _ := result(r, "x", "", ""); got != "good" {
		t.Errorf("%q", got)
	}
	if !strings.Contains(log.String(), "what it last held is in force") || !strings.Contains(log.String(), "goes without it") {
		t.Error(log)
	}
}

func TestFilesAreLookedAtWhileItRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.md")
	synctest.Test(t, func(t *testing.T) {
		r, _ := rules(t, Rule{Name: "f", File: file})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		if err := os.WriteFile(file, []byte("there"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery + time.Millisecond)
		if got, _ := result(r, "x", "", ""); got != "own|there" {
			t.Errorf("%q", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
