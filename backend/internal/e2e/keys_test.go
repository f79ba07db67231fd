package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
)

// fronts is a small request in each client protocol. MODEL stands for the model.
var fronts = map[string]struct{ path, body string }{
	"openai":    {"/v1/chat/completions", `{"model":"MODEL","stream":true,"messages":[{"role":"user","content":"PROMPT"}]}`},
	"responses": {"/v1/responses", `{"model":"MODEL","stream":true,"input":"PROMPT"}`},
	"anthropic": {"/v1/messages", `{"model":"MODEL","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"PROMPT"}]}`},
	"gemini":    {"/v1beta/models/MODEL:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"PROMPT"}]}]}`},
	"ollama":    {"/ollama/api/chat", `{"model":"MODEL","messages":[{"role":"user","content":"PROMPT"}]}`},
}

// ask sends a front's request and returns the answer as it came.
func askFront(t *testing.T, b *testkit.Bay, format, model, prompt string) (*http.Response, string) {
	t.Helper()
	f := fronts[format]
	fill := strings.NewReplacer("MODEL", model, "PROMPT", prompt)
	return b.Do(t, http.MethodPost, fill.Replace(f.path), fill.Replace(f.body))
}

// limitedKey makes a key and has the bay use it.
func limitedKey(t *testing.T, b *testkit.Bay, l api.KeyLimits) string {
	t.Helper()
	made, err := b.Backend.AddKey(t.Context(), api.NewKey{Name: "limited", Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	b.Key = made.Key.Reveal()
	return made.ID
}

func viewOf(t *testing.T, b *testkit.Bay, id string) api.KeyView {
	t.Helper()
	keys, err := b.Backend.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.ID == id {
			return k
		}
	}
	t.Fatalf("there is no key %s", id)
	return api.KeyView{}
}

func TestLimitsOfAKeyAreToldInEachProtocol(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\n"})
	id := limitedKey(t, b, api.KeyLimits{Providers: []string{"openai"}, Models: []string{"gpt-*"}})
	for format := range fronts {
		if resp, text := askFront(t, b, format, "gpt-4.1", "hello"); resp.StatusCode != http.StatusOK || resp.Header.Get("X-Patchbay-Provider") != "openai" {
			t.Errorf("%s: what it may use: %s %s", format, resp.Status, text)
		}
		resp, text := askFront(t, b, format, "sim-chat", "hello")
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(text, "gpt-*") || !strings.Contains(text, "limited") || !strings.Contains(text, "error") {
			t.Errorf("%s: another model: %s %s", format, resp.Status, text)
		}
	}
	if resp, text := b.Do(t, http.MethodPost, "/anthropic/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another provider by its path: %s %s", resp.Status, text)
	}
	count := `{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"x"}]}`
	if resp, text := b.Do(t, http.MethodPost, "/anthropic/v1/messages/count_tokens", count); resp.StatusCode != http.StatusForbidden {
		t.Errorf("counting for another provider: %s %s", resp.Status, text)
	}

	protocols := []string{"anthropic"}
	if _, err := b.Backend.ChangeKey(t.Context(), id, api.KeyChange{Protocols: &protocols}); err != nil {
		t.Fatal(err)
	}
	for format := range fronts {
		want := http.StatusForbidden
		if format == "anthropic" {
			want = http.StatusOK
		}
		if resp, text := askFront(t, b, format, "gpt-4.1", "hello"); resp.StatusCode != want {
			t.Errorf("%s, limited to anthropic: %s %s", format, resp.Status, text)
		}
	}
}

func TestSharesOfAKeyAreToldInEachProtocol(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\n"})
	for format := range fronts {
		id := limitedKey(t, b, api.KeyLimits{PerMinute: 1})
		if resp, text := askFront(t, b, format, "gpt-4.1", "hello"); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", format, resp.Status, text)
		}
		resp, text := askFront(t, b, format, "gpt-4.1", "hello")
		wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if resp.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 61 || !strings.Contains(text, "a minute") {
			t.Errorf("%s: %s, Retry-After %q: %s", format, resp.Status, resp.Header.Get("Retry-After"), text)
		}
		none, tokens := 0, int64(1)
		if _, err := b.Backend.ChangeKey(t.Context(), id, api.KeyChange{PerMinute: &none, TokensPerDay: &tokens}); err != nil {
			t.Fatal(err)
		}
		resp, text = askFront(t, b, format, "gpt-4.1", "hello")
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || !strings.Contains(text, "tokens today") {
			t.Errorf("%s: %s: %s", format, resp.Status, text)
		}
		if u := viewOf(t, b, id).Used; u.RequestsToday != 1 || u.TokensToday < 2 {
			t.Errorf("%s: %+v", format, u)
		}
	}
}

func TestRevokedKeyEndsItsStreamsWithAnError(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\n"})
	for format, end := range map[string]string{
		"openai": `"error"`, "responses": "response.failed", "anthropic": "event: error", "gemini": `"error"`, "ollama": `"error"`,
	} {
		id := limitedKey(t, b, api.KeyLimits{})
		fill := strings.NewReplacer("MODEL", "gpt-4.1", "PROMPT", "[[slow:delay=20ms,chunks=2000]]")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+fill.Replace(fronts[format].path), strings.NewReader(fill.Replace(fronts[format].body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.Key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		if _, err := in.ReadString('\n'); err != nil { // the answer has begun
			t.Fatal(err)
		}
		if n := viewOf(t, b, id).Used.InFlight; n != 1 {
			t.Errorf("%s: %d in flight", format, n)
		}
		if err := b.Backend.RevokeKey(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		var rest strings.Builder
		if _, err := in.WriteTo(&rest); err != nil {
			t.Errorf("%s: the stream was cut: %v", format, err)
		}
		_ = resp.Body.Close()
		if out := rest.String(); strings.Count(out, "the client key was revoked") == 0 || !strings.Contains(out, end) {
			t.Errorf("%s: %s", format, out[max(0, len(out)-600):])
		}
		if resp, _ := askFront(t, b, format, "gpt-4.1", "hello"); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: afterwards: %s", format, resp.Status)
		}
		for deadline := time.Now().Add(5 * time.Second); viewOf(t, b, id).Used.InFlight != 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the request goes on", format)
			}
		}
	}
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.State != "ready" {
			t.Errorf("%s was blamed: %s, %s", a.Name, a.State, a.Reason)
		}
	}
}

func TestListsHoldWhatAKeyMayUse(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\nrouting:\n  aliases:\n    fast: anthropic/claude-haiku-4-5\n    quick: openai/gpt-4.1\n"})
	limitedKey(t, b, api.KeyLimits{Providers: []string{"anthropic", "compat"}, Models: []string{"claude-*", "fast"}})
	ids := map[string][]string{}
	for _, c := range []struct{ name, path, list, id string }{
		{"openai", "/v1/models", "data", "id"}, {"gemini", "/v1beta/models", "models", "name"}, {"ollama", "/ollama/api/tags", "models", "name"},
	} {
		resp, text := b.Do(t, http.MethodGet, c.path, "")
		var body map[string]json.RawMessage
		var list []map[string]any
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatalf("%s: %s %s", c.name, resp.Status, text)
		}
		if err := json.Unmarshal(body[c.list], &list); err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			id := strings.TrimPrefix(m[c.id].(string), "models/")
			ids[c.name] = append(ids[c.name], id)
			if !strings.Contains(id, "claude") && id != "fast" {
				t.Errorf("%s lists %s", c.name, id)
			}
		}
		if len(list) < 2 {
			t.Errorf("%s lists %v", c.name, list)
		}
	}
	for _, id := range ids["openai"] {
		if resp, text := askFront(t, b, "openai", id, "hello"); resp.StatusCode != http.StatusOK {
			t.Errorf("%s is listed and refused: %s %s", id, resp.Status, text)
		}
	}
	if resp, _ := b.Do(t, http.MethodGet, "/v1/models/gpt-4.1", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a model that the key may not use: %s", resp.Status)
	}
	if resp, _ := b.Do(t, http.MethodPost, "/ollama/api/show", `{"model":"gpt-4.1"}`); resp.StatusCode != http.StatusNotFound {
		t.Errorf("showing it: %s", resp.Status)
	}
	if resp, text := askFront(t, b, "openai", "quick", "hello"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an alias of it: %s %s", resp.Status, text)
	}
	if resp, text := askFront(t, b, "openai", "gpt-4.1x", "hello"); strings.Contains(text, "mean gpt") {
		t.Errorf("a hint names it: %s %s", resp.Status, text)
	}
}

// TestAKeyOfOneProviderIsServedByIt asks for what several providers list.
func TestAKeyOfOneProviderIsServedByIt(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Config: "default_provider: openai\nrouting:\n  chains:\n    compat: [openai]\n"})
	limitedKey(t, b, api.KeyLimits{Providers: []string{"compat"}})
	resp, text := askFront(t, b, "openai", "sim-chat", "hello")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Patchbay-Provider") != "compat" {
		t.Errorf("%s by %q: %s", resp.Status, resp.Header.Get("X-Patchbay-Provider"), text)
	}
	before := len(b.Sim.Requests())
	resp, text = askFront(t, b, "openai", "sim-chat", "[[rate_limit:retry_after=7]]")
	if resp.StatusCode == http.StatusOK || resp.Header.Get("X-Patchbay-Provider") != "compat" {
		t.Errorf("a fallback that the key may not use: %s by %q: %s", resp.Status, resp.Header.Get("X-Patchbay-Provider"), text)
	}
	for _, r := range b.Sim.Requests()[before:] {
		if r.Upstream == "openai" {
			t.Error("the fallback was asked")
		}
	}
}

func TestLimitsAreCheckedWhenTheyAreMade(t *testing.T) {
	b := testkit.Start(t, testkit.Options{})
	for says, l := range map[string]api.KeyLimits{
		"no provider": {Providers: []string{"opneai"}}, "no protocol": {Protocols: []string{"smtp"}}, "negative": {PerMinute: -1}, "no pattern": {Models: []string{""}},
	} {
		if _, err := b.Backend.AddKey(t.Context(), api.NewKey{Name: "x", Limits: l}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		id := limitedKey(t, b, api.KeyLimits{Providers: []string{"claude-custom", "open*"}})
		c := api.KeyChange{Models: &l.Models, Providers: &l.Providers, Protocols: &l.Protocols, PerMinute: &l.PerMinute}
		if _, err := b.Backend.ChangeKey(t.Context(), id, c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
		if got := viewOf(t, b, id).Limits.Providers; len(got) != 2 || got[0] != "anthropic" {
			t.Errorf("%v", got)
		}
		if err := b.Backend.RemoveKey(t.Context(), id); err != nil {
			t.Error(err)
		}
		if err := b.Backend.RemoveKey(t.Context(), id); err == nil {
			t.Error("removed twice")
		}
	}
}
