package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/backend"
	"patchbay/backend/api"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

func TestDemoKeepsThePersonsOwnPatchbayOut(t *testing.T) {
	t.Setenv("PATCHBAY_HOME", "/nowhere")
	t.Setenv("PATCHBAY_KEYRING", "os")
	t.Setenv("PATCHBAY_SERVER_LISTEN", "127.0.0.1:8390")
	b := newBench()
	b.svc.ProviderList = append(b.svc.ProviderList, api.ProviderView{ID: "anthropic"}, api.ProviderView{ID: "openai-responses"}, api.ProviderView{ID: "gemini"}, api.ProviderView{ID: "home-ollama"})
	r := b.run(t, "demo", "--listen", "127.0.0.1:7")
	r.check(t, exitOK, "ALL ANSWERS ARE SIMULATED", "/v1/chat/completions", "/v1/messages", "pb-first", "[[rate_limit]]", "overload_in_200")
	home := filepath.Dir(b.started.paths.Config)
	if !strings.Contains(r.out, "PATCHBAY_HOME="+home) || strings.HasPrefix(home, "/nowhere") {
		t.Error(home)
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Error("the temporary folder is still there", err)
	}
	if b.started.flags["server.listen"] != "127.0.0.1:7" || os.Getenv("PATCHBAY_SERVER_LISTEN") != "" || os.Getenv("PATCHBAY_KEYRING") != "file" {
		t.Error(b.started.flags, os.Environ())
	}
	if len(b.svc.AccountList) != len(demoAccounts) || b.svc.AccountList[0].Name != "resting" {
		t.Error(b.svc.AccountList)
	}
	b.svc.Err = errors.New("no room")
	b.run(t, "demo").check(t, exitFailed, "no room")
	b.startErr = errors.New("cannot start")
	b.run(t, "demo").check(t, exitFailed, "cannot start")
	b.run(t, "demo", "--scenarios").check(t, exitOK, "rate_limit", "SCENARIO")
}

// TestDemoPromptsExist checks that what the demo prints means something to the simulator.
func TestDemoPromptsExist(t *testing.T) {
	text := demoText("/tmp/a b", "http://127.0.0.1:1", secret.New("pb-x"))
	known := map[string]bool{}
	for _, d := range simulator.Describe() {
		known[d.Name] = true
	}
	rest := text
	for {
		_, after, found := strings.Cut(rest, `"content":"[[`)
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "]]")
		if !known[name] {
			t.Errorf("no scenario %q", name)
		}
		rest = tail
	}
	if !strings.Contains(text, "PATCHBAY_HOME='/tmp/a b'") {
		t.Error("the folder's blank is not quoted")
	}
}

func TestDemoLogIsQuietUntilSomethingIsWrong(t *testing.T) {
	var out bytes.Buffer
	l := warnings{&out}
	for _, line := range []string{"INFO Listening\n", "WARN odd\n", "ERROR bad\n"} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Error(n, err)
		}
	}
	if out.String() != "WARN odd\nERROR bad\n" {
		t.Error(out.String())
	}
}

// TestCommandsFindTheInstanceOrOpenTheStore uses the real openService on a folder of its own.
func TestCommandsFindTheInstanceOrOpenTheStore(t *testing.T) {
	t.Setenv("PATCHBAY_HOME", t.TempDir())
	t.Setenv("PATCHBAY_KEYRING", "file")
	line := func(args ...string) result {
		t.Helper()
		var out, errs bytes.Buffer
		a := newApp()
		a.in, a.out, a.err = strings.NewReader(""), &out, &errs
		code := run(t.Context(), a, args)
		return result{code, out.String(), errs.String()}
	}
	line("keys", "add", "offline").check(t, exitOK, "not running", "pb-")

	ctx, cancel := context.WithCancel(t.Context())
	up := make(chan string, 1)
	a := newApp()
	paths, err := a.paths()
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProgram(ctx, startOptions{paths: paths, flags: map[string]string{"server.listen": "127.0.0.1:0"}, ready: func(base string) { up <- base }})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }() // ends with cancel
	base := <-up
	r := line("keys", "add", "online", "--json")
	r.check(t, exitOK, `"name": "online"`)
	_, key, _ := strings.Cut(r.out, `"key": "`)
	key, _, _ = strings.Cut(key, `"`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error("a key made by the command does not count in the instance:", resp.Status)
	}
	line("keys").check(t, exitOK, "offline", "online")
	line("serve").check(t, exitFailed, backend.ErrRunning.Error(), base)
	cancel()
	if err := errors.Join(<-done, p.Close()); err != nil {
		t.Error(err)
	}
	line("keys").check(t, exitOK, "offline", "online")
}
