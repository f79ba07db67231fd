package record

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// asked is a request whose text in the prompt log is a little longer than its prompt.
func asked(id, prompt string) *Kept {
	return &Kept{ID: id, Format: "openai", Op: "chat", At: time.Unix(1_700_000_000, 0), keyName: "app", Calls: []Exchange{{Provider: "acme"}}, Chat: &Chat{Messages: []jsontext.Value{
		jsontext.Value(`{"role":"user","content":` + string(must(jsontext.AppendQuote(nil, prompt))) + `}`),
		jsontext.Value(`{"role":"assistant","content":"answer to ` + id + `"}`),
	}}}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// promptLogs are the files of prompts that are there, with what they hold.
func promptLogs(t *testing.T, b *Bodies) (names []string, text string) {
	t.Helper()
	files, err := filepath.Glob(b.prompts + "*")
	check(t, err)
	for _, f := range files {
		data, err := os.ReadFile(f)
		check(t, err)
		names = append(names, filepath.Base(f))
		text += string(data)
	}
	return names, text
}

func TestPromptLogTurnsByItsSizeAndKeepsAsManyFilesAsWanted(t *testing.T) {
	const size = 2000
	b := newBodies(t, BodyOptions{Prompts: PromptsFile, PromptSize: size, PromptFiles: 3, PromptAge: -1})
	for i := range 40 {
		check(t, b.writePrompt(asked(fmt.Sprintf("req_%02d", i), strings.Repeat("word ", 60))))
		names, _ := promptLogs(t, b)
		for _, n := range names {
			info, err := os.Stat(filepath.Join(filepath.Dir(b.prompts), n))
			check(t, err)
			if info.Size() > size || info.Mode().Perm() != 0o600 {
				t.Fatalf("%s has %d bytes and mode %s", n, info.Size(), info.Mode())
			}
		}
	}
	names, text := promptLogs(t, b)
	diff(t, []string{"prompts.log", "prompts.log.1", "prompts.log.2"}, names)
	if !strings.Contains(text, "answer to req_39") || strings.Contains(text, "req_00") {
		t.Errorf("the wrong ones were kept: %s", text)
	}
	newest, err := os.ReadFile(b.prompts)
	check(t, err)
	if !strings.Contains(string(newest), "req_39") {
		t.Error("the newest is not in prompts.log")
	}

	// Fewer files are wanted: what is too much goes with the next clean-up, and only that.
	note := filepath.Join(filepath.Dir(b.prompts), "prompts.log.mine")
	check(t, os.WriteFile(note, nil, 0o600))
	b.Set(BodyOptions{Prompts: PromptsFile, PromptSize: size, PromptFiles: 2, PromptAge: -1})
	b.Trim()
	names, _ = promptLogs(t, b)
	diff(t, []string{"prompts.log", "prompts.log.1", "prompts.log.mine"}, names)

	// A full file that is too old goes; the one that is written stays.
	b.Set(BodyOptions{Prompts: PromptsFile, PromptSize: size, PromptFiles: 2, PromptAge: time.Hour})
	old := time.Now().Add(-2 * time.Hour)
	check(t, os.Chtimes(b.prompts, old, old))
	check(t, os.Chtimes(b.prompts+".1", old, old))
	b.Trim()
	names, _ = promptLogs(t, b)
	diff(t, []string{"prompts.log", "prompts.log.mine"}, names)

	// With one file there is nothing to turn to: it begins anew.
	b.Set(BodyOptions{Prompts: PromptsFile, PromptSize: size, PromptFiles: 1, PromptAge: -1})
	for i := range 10 {
		check(t, b.writePrompt(asked(fmt.Sprintf("one_%02d", i), strings.Repeat("word ", 60))))
	}
	names, text = promptLogs(t, b)
	diff(t, []string{"prompts.log", "prompts.log.mine"}, names)
	if !strings.Contains(text, "one_09") || strings.Contains(text, "one_00") {
		t.Error(text)
	}
	check(t, b.ClearPrompts())
	names, _ = promptLogs(t, b)
	diff(t, []string{"prompts.log.mine"}, names)
}

func TestPromptLogOnTheConsoleGivesATerminalNothingToObey(t *testing.T) {
	b := newBodies(t, BodyOptions{Prompts: PromptsConsole})
	var out bytes.Buffer
	b.console = &out
	check(t, b.writePrompt(asked("req_1", "hello\x1b[2J\x07\u009b31m wide 日本\nsecond line")))
	want := "=== " + time.Unix(1_700_000_000, 0).Format("2006-01-02 15:04:05") + "  req_1  openai chat  app app  by acme\n" +
		"--- user\nhello[2J31m wide 日本\nsecond line\n--- assistant\nanswer to req_1\n\n"
	diff(t, want, out.String())
	if names, _ := promptLogs(t, b); len(names) > 0 {
		t.Errorf("%v were written too", names)
	}
	out.Reset()
	check(t, b.writePrompt(asked("req_2", strings.Repeat("x", 2*maxPrompt))))
	if n := out.Len(); n > maxPrompt+1000 || !strings.Contains(out.String(), "... (cut)") {
		t.Errorf("%d bytes of one prompt", n)
	}
	b.console = nil // in the background nobody reads along
	check(t, b.writePrompt(asked("req_3", "x")))
	if strings.Contains(out.String(), "req_3") {
		t.Error(out.String())
	}
}
