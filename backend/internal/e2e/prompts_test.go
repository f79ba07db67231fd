package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
)

// systems is a request with a system text in each client protocol.
var systems = map[string]struct{ path, body, bare string }{
	"openai": {"/v1/chat/completions", `{"model":"MODEL","messages":[{"role":"system","content":"You are Crow."},{"role":"user","content":"USER"}]}`,
		`{"model":"MODEL","messages":[{"role":"user","content":"USER"}]}`},
	"responses": {"/v1/responses", `{"model":"MODEL","instructions":"You are Crow.","input":"USER"}`, `{"model":"MODEL","input":"USER"}`},
	"anthropic": {"/v1/messages", `{"model":"MODEL","max_tokens":99,"system":"You are Crow.","messages":[{"role":"user","content":"USER"}]}`,
		`{"model":"MODEL","max_tokens":99,"messages":[{"role":"user","content":"USER"}]}`},
	"gemini": {"/v1beta/models/MODEL:generateContent", `{"systemInstruction":{"parts":[{"text":"You are Crow."}]},"contents":[{"role":"user","parts":[{"text":"USER"}]}]}`,
		`{"contents":[{"role":"user","parts":[{"text":"USER"}]}]}`},
	"ollama": {"/api/chat", `{"model":"MODEL","stream":false,"messages":[{"role":"system","content":"You are Crow."},{"role":"user","content":"USER"}]}`,
		`{"model":"MODEL","stream":false,"messages":[{"role":"user","content":"USER"}]}`},
}

// textsOf collects the texts of a message's content, in any protocol.
func textsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, textsOf(e)...)
		}
		return out
	case map[string]any:
		for _, name := range []string{"text", "parts", "content"} {
			if v[name] != nil {
				return textsOf(v[name])
			}
		}
	}
	return nil
}

// sentSystem is the system text that stands in a body for an upstream, and what comes after it.
func sentSystem(t *testing.T, format string, body []byte) (system, rest string) {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	var texts []string
	list, _ := o["messages"].([]any)
	switch format {
	case "anthropic":
		texts = textsOf(o["system"])
	case "gemini":
		texts = textsOf(o["systemInstruction"])
		list, _ = o["contents"].([]any)
	case "responses":
		texts = textsOf(o["instructions"])
		var ok bool
		if list, ok = o["input"].([]any); !ok {
			list = []any{o["input"]}
		}
	}
	leading := true
	var after []string
	for _, m := range list {
		role := ""
		if m, ok := m.(map[string]any); ok {
			role, _ = m["role"].(string)
		}
		if leading = leading && (role == "system" || role == "developer"); leading {
			texts = append(texts, textsOf(m)...)
		} else {
			after = append(after, textsOf(m)...)
		}
	}
	var kept []string
	for _, s := range texts {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, "\n\n"), strings.Join(after, "|")
}

// TestSystemTextReachesEveryUpstream has each client protocol ask each upstream under rules of all modes, with a short and with
// a long conversation: long ones are not read unless somebody must.
func TestSystemTextReachesEveryUpstream(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: testkit.Every(), Config: `prompts:
  a-front:
    mode: prepend
    text: Begin well.
  b-back:
    text: End well, Crow.
  c-names:
    replace: {Crow: Magpie}
    replace_regexp: {'W(e)ll': 'x', '(?i)you (ARE)': 'we $1'}
  only-gemini:
    providers: [gemini]
    mode: override
    text: Gemini alone.
  only-one:
    keys: [special]
    mode: append
    text: For one key.
`})
	for key, want := range map[string]struct{ all, bare, gemini string }{
		"test":    {"Begin well.\n\nwe are Magpie.\n\nEnd well, Magpie.", "Begin well.\n\nEnd well, Magpie.", "Gemini alone."},
		"special": {"Begin well.\n\nwe are Magpie.\n\nEnd well, Magpie.\n\nFor one key.", "Begin well.\n\nEnd well, Magpie.\n\nFor one key.", "Gemini alone.\n\nFor one key."},
	} {
		if key == "special" {
			made, err := b.Backend.AddKey(t.Context(), api.NewKey{Name: key})
			if err != nil {
				t.Fatal(err)
			}
			b.Key = made.Key.Reveal()
		}
		for format, s := range systems {
			for _, up := range upstreams {
				if testkit.Every()[up.id] == nil { // a login whose service speaks one of the others' formats in an envelope
					continue
				}
				for _, body := range []string{s.body, s.bare} {
					for _, user := range []string{"You are Crow, end well.", "Crow " + strings.Repeat("caws and ", 40_000)} {
						if len(user) > 100 && (key == "special" || format != up.format) {
							continue
						}
						wanted := want.all
						if body == s.bare {
							wanted = want.bare
						}
						if up.id == "gemini" {
							wanted = want.gemini
						}
						fill := strings.NewReplacer("MODEL", up.plain, "USER", user)
						if resp, text := b.Do(t, http.MethodPost, "/"+up.id+fill.Replace(s.path), fill.Replace(body)); resp.StatusCode != http.StatusOK {
							t.Errorf("%s -> %s: %s %.300s", format, up.id, resp.Status, text)
							continue
						}
						if up.id == "kiro" { // a format of its own, in which all text is a user's
							for part := range strings.SplitSeq(wanted, "\n\n") {
								if n := strings.Count(string(b.Last(t, up.sim()).Body), part); n != 1 {
									t.Errorf("%s -> kiro: %q stands there %d times", format, part, n)
								}
							}
							continue
						}
						system, rest := sentSystem(t, up.format, b.Last(t, up.sim()).Body)
						if system != wanted || rest != user {
							t.Errorf("%s -> %s, %d bytes, %s: system text %q, wanted %q; then %.60q", format, up.id, len(user), key, system, wanted, rest)
						}
					}
				}
			}
		}
	}
}

// TestEditedBodyKeepsItsBytes looks at bodies that go to an upstream of the client's own protocol.
func TestEditedBodyKeepsItsBytes(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: testkit.Every(), Config: "prompts:\n  back:\n    text: Zebra.\n"})
	body := `{ "temperature": 0.50, "model":"claude-sonnet-4-5" , "max_tokens":99,
 "system":[{"type":"text","text":"One.","cache_control":{"type":"ephemeral"}}],"metadata":{"user_id" : "u\u0031"},"messages":[{"content":"x","role":"user"}]}`
	want := strings.Replace(body, `"ephemeral"}}]`, `"ephemeral"}},{"type":"text","text":"Zebra."}]`, 1)
	for range 2 {
		if resp, text := b.Do(t, http.MethodPost, "/anthropic/v1/messages", body); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", resp.Status, text)
		}
		if got := string(b.Last(t, "anthropic").Body); got != want {
			t.Errorf("sent\n%s\nwanted\n%s", got, want)
		}
	}
}

func TestPromptFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.md")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("First.\n")
	b := testkit.Start(t, testkit.Options{Config: "prompts:\n  house:\n    mode: override\n    file: " + file + "\n"})
	sent := func() string {
		resp, text := b.Do(t, http.MethodPost, "/openai/v1/chat/completions", strings.NewReplacer("MODEL", "gpt-4.1", "USER", "x").Replace(systems["openai"].body))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", resp.Status, text)
		}
		system, _ := sentSystem(t, "openai", b.Last(t, "openai").Body)
		return system
	}
	await := func(want func() bool) {
		for deadline := time.Now().Add(15 * time.Second); !want(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nothing happened; the log says\n%s", b.Log)
			}
		}
	}
	if got := sent(); got != "First." {
		t.Errorf("%q", got)
	}
	write("The second one.")
	await(func() bool { return sent() == "The second one." })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	await(func() bool { return strings.Contains(b.Log.String(), "what it last held is in force") })
	if got := sent(); got != "The second one." {
		t.Errorf("without its file: %q", got)
	}
	rewrite(t, b, "    mode: override\n    file: "+file, "    text: Third.", func() bool { return sent() == "You are Crow.\n\nThird." })
}
