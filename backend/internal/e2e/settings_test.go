package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/backend/internal/testkit"
)

// rewrite changes the settings file as an editor would and waits until the change is in force.
func rewrite(t *testing.T, b *testkit.Bay, old, new string, inForce func() bool) {
	t.Helper()
	file := filepath.Join(b.Home, "config.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !inForce(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the change is not in force:\n%s", b.Log)
		}
	}
}

func TestSettingsTakeEffectWithoutARestart(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\n"})
	body := `{"model":"sim-chat","messages":[{"role":"user","content":"x"}]}`
	served := func() string {
		resp, _ := b.Do(t, http.MethodPost, chatPath, body)
		return resp.Header.Get("X-Patchbay-Provider")
	}
	if p := served(); p != "openai" {
		t.Fatalf("served by %q", p)
	}
	rewrite(t, b, "default_provider: openai", "default_provider: compat", func() bool { return served() == "compat" })

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, before := l.Addr().String(), b.Backend.Base()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rewrite(t, b, "listen: 127.0.0.1:0", "listen: "+addr, func() bool { return b.Backend.Base() != before })
	if b.URL = b.Backend.Base(); b.URL != "http://"+addr {
		t.Errorf("Patchbay says it listens on %s", b.URL)
	}
	if p := served(); p != "compat" {
		t.Errorf("at the new address: %q", p)
	}

	// A taken port changes nothing.
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	rewrite(t, b, "listen: "+addr, "listen: "+busy.Addr().String(), func() bool { return strings.Contains(b.Log.String(), "stays where it was") })
	if p := served(); p != "compat" {
		t.Errorf("after a taken port: %q", p)
	}
}
