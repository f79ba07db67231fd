package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
)

// TestSDKMatrixKeepAlives has the official libraries read streams of a service that is silent for long: before its first
// word and in the middle. Signs of life go out all the while, and must not disturb any of them.
func TestSDKMatrixKeepAlives(t *testing.T) {
	for _, lib := range libraries(t) {
		for _, up := range byKey {
			if up.id != "compat" && up.format != lib.format() {
				continue // converted, and copied: what is in between is the same for all
			}
			t.Run(lib.name()+" -> "+up.id, func(t *testing.T) {
				c := &cell{T: t, bay: testkit.Start(t, testkit.Options{Accounts: testkit.Every(), Config: "timeouts:\n  keep_alive: 20ms\n"}), lib: lib, up: up}
				for _, scenario := range []string{"first_byte:delay=300ms", "silence:after=1,for=300ms", "slow:delay=60ms"} {
					a, _ := c.ask(ask{Messages: said("[[" + scenario + "]] Say the word plover."), Stream: true})
					if !strings.Contains(c.good(a).Text, "plover") {
						t.Errorf("%s: %q", scenario, a.Text)
					}
					c.finished(a, finishes.stop)
				}
			})
		}
	}
}

// TestKeepAliveBytes looks at the bytes themselves: what stands for a sign of life in each protocol is there, and what
// clients of that protocol stumble over is not.
func TestKeepAliveBytes(t *testing.T) {
	bay := testkit.Start(t, testkit.Options{Accounts: testkit.Every(), Config: "timeouts:\n  keep_alive: 20ms\n"})
	for format, want := range map[string]struct{ path, sign, never string }{
		"openai":    {"/v1/chat/completions", ": ping\n\n", ""},
		"responses": {"/v1/responses", ": ping\n\n", "event: ping"},
		"anthropic": {"/v1/messages", "event: ping\n", "\n: "},
		"gemini":    {"/v1beta/models/sim-chat:streamGenerateContent?alt=sse", "\n\n\n\n", "\n:"},
		"ollama":    {"/api/chat", "\n", "\n\n"},
	} {
		t.Run(format, func(t *testing.T) {
			body := native(format, ask{Model: "sim-chat", Messages: said("[[silence:after=1,for=300ms]] hello"), Max: 100, Stream: true})
			switch format {
			case "gemini":
				body = obj{"contents": body["contents"]}
			case "openai", "responses", "anthropic":
				body["stream"] = true
			}
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			resp, out := bay.Do(t, "POST", "/compat"+want.path, string(text), "Content-Type", "application/json", "anthropic-version", "2023-06-01")
			if resp.StatusCode != 200 || !strings.Contains(out, want.sign) {
				t.Errorf("%s: no %q in\n%s", resp.Status, want.sign, out)
			}
			if want.never != "" && strings.Contains(out, want.never) {
				t.Errorf("%q in\n%s", want.never, out)
			}
		})
	}
}
