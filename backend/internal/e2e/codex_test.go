package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// signIn signs somebody in at a simulated service that is reached by a page in the browser, as from another machine: the address
// that the browser ends on is pasted.
func signIn(t *testing.T, b *testkit.Bay, provider, user string) api.LoginView {
	t.Helper()
	ctx := t.Context()
	v, err := b.Backend.StartLogin(ctx, api.NewLogin{Provider: provider, Mode: "paste", AcceptRisk: true})
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer browser.CloseIdleConnections()
	resp, err := browser.PostForm(v.URL, url.Values{"user": {user}})
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	at := resp.Header.Get("Location")
	if at == "" {
		t.Fatalf("%s: %d %s", v.URL, resp.StatusCode, page)
	}
	if _, err := b.Backend.PasteLogin(ctx, v.ID, secret.New(at)); err != nil {
		t.Fatal(err)
	}
	return finished(t, b, v)
}

// finished waits for the end of a sign-in.
func finished(t *testing.T, b *testkit.Bay, v api.LoginView) api.LoginView {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !v.Over() {
		next, err := b.Backend.Login(ctx, v.ID, v.Seq)
		if err != nil || ctx.Err() != nil {
			t.Fatalf("the sign-in does not end: %v %+v", err, v)
		}
		v = next
	}
	if v.State != "done" {
		t.Fatalf("%s: %s", v.State, v.Text)
	}
	return v
}

const codexChat = `{"model":"codex/gpt-5.5","messages":[{"role":"user","content":"hi"}]}`

func TestCodexRenewsOnceForManyRequests(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}})
	signIn(t, b, "codex", "ann@example.test")
	in := b.Sim.SignIn(simulator.Codex)
	if resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat); resp.StatusCode != 200 || !strings.Contains(body, "You said: hi") {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	for round := 1; round <= 3; round++ {
		in.ExpireAccess()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat); resp.StatusCode != 200 {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			})
		}
		wg.Wait()
		if c := in.Counts(); c.Refreshes != round || c.Reuses != 0 {
			t.Errorf("round %d: %+v", round, c)
		}
	}
	in.RevokeAll()
	resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat)
	if resp.StatusCode != 503 || !strings.Contains(body, "sign in") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if c := in.Counts(); c.Reuses != 0 {
		t.Errorf("%+v", c)
	}
}

func TestCodexSignsInByACode(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}})
	v, err := b.Backend.StartLogin(t.Context(), api.NewLogin{Provider: "codex", Mode: "device", AcceptRisk: true})
	if err != nil {
		t.Fatal(err)
	}
	if !b.Sim.SignIn(simulator.Codex).Approve(v.UserCode, "bob@example.test") {
		t.Fatalf("nobody waits with %q", v.UserCode)
	}
	if v = finished(t, b, v); v.Label != "bob@example.test" {
		t.Errorf("%+v", v)
	}
}

func TestAFullCodexWindowMakesRoomForTheNextAccount(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"codex": {"ann@example.test", "bob@example.test"}}})
	b.Sim.Script(simulator.Codex, "codex_refusal:which=usage_limit_reached,seconds=600")
	if resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	b.Sim.Script(simulator.Codex, "codex_refusal:which=usage_limit_reached,seconds=300")
	resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func TestEveryClientReachesServicesByLogin(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{
		"codex": {"ann@example.test"}, "qwen-code": {"ann@example.test"}, "iflow": {"ann@example.test"},
	}})
	for provider, model := range map[string]string{"codex": "gpt-5.5", "qwen-code": "coder-model", "iflow": "glm-4.7"} {
		for name, c := range map[string][2]string{
			"chat":      {"/v1/chat/completions", `{"model":"MODEL","temperature":0.5,"max_tokens":50,"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}]}`},
			"responses": {"/v1/responses", `{"model":"MODEL","input":"hi"}`},
			"anthropic": {"/v1/messages", `{"model":"MODEL","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`},
			"gemini":    {"/v1beta/models/MODEL:generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]}`},
			"ollama":    {"/api/chat", `{"model":"MODEL","stream":false,"messages":[{"role":"user","content":"hi"}]}`},
		} {
			path, body := "/"+provider+strings.Replace(c[0], "MODEL", model, 1), strings.Replace(c[1], "MODEL", model, 1)
			resp, text := b.Do(t, "POST", path, body)
			if resp.StatusCode != 200 || !strings.Contains(text, "You said: hi") || !json.Valid([]byte(text)) {
				t.Errorf("%s, %s: %d %s", provider, name, resp.StatusCode, text)
			}
			if resp, text = b.Do(t, "POST", path, strings.Replace(body, "hi\"", "[[context_too_long]]\"", 1)); resp.StatusCode != 400 {
				t.Errorf("%s, %s: %d %s", provider, name, resp.StatusCode, text)
			}
		}
	}
}

func TestClosedServicesSayWhatToUseInstead(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}})
	for provider, says := range map[string]string{"qwen-code": "qwen-coding-plan", "iflow": "Qoder"} {
		_, err := b.Backend.StartLogin(t.Context(), api.NewLogin{Provider: provider})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "2026-04-1") {
			t.Errorf("%s signs in without a word: %v", provider, err)
		}
	}
	v, err := b.Backend.StartLogin(t.Context(), api.NewLogin{Provider: "qwen-code", AcceptRisk: true})
	if err != nil {
		t.Fatal(err)
	}
	in := b.Sim.SignIn(simulator.Qwen)
	if !in.Approve(v.UserCode, "ann@example.test") {
		t.Fatalf("nobody waits with %q", v.UserCode)
	}
	v = finished(t, b, v)
	const chat = `{"model":"qwen-code/coder-model","messages":[{"role":"user","content":"hi"}]}`
	if resp, body := b.Do(t, "POST", "/v1/chat/completions", chat); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	b.Sim.Script(simulator.Qwen, "unauthorized", "unauthorized") // also after the login was renewed
	if resp, body := b.Do(t, "POST", "/v1/chat/completions", chat); resp.StatusCode != 503 || !strings.Contains(body, "qwen-coding-plan") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil || len(accounts) != 1 || accounts[0].State != "blocked" {
		t.Errorf("the person is not asked to sign in again: %+v %v", accounts, err)
	}
	if v = signIn(t, b, "iflow", "ann@example.test"); v.Label != "ann@example.test" {
		t.Errorf("%+v", v)
	}
}

func TestCodexTokensStayInTheVault(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}})
	signIn(t, b, "codex", "ann@example.test")
	b.Sim.SignIn(simulator.Codex).ExpireAccess()
	b.Do(t, "POST", "/v1/chat/completions", codexChat)
	b.Do(t, "POST", "/v1/chat/completions", `{"model":"codex/gpt-5.5","messages":[{"role":"user","content":"[[server_error]]"}]}`)
	accounts, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said, _ := json.Marshal(accounts)
	texts := map[string]string{"the log": b.Log.String(), "the API": string(said)}
	b.Stop()
	err = filepath.WalkDir(b.Home, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"rt_sim."}
	for _, r := range b.Sim.Requests() {
		if r.Key != "" {
			secrets = append(secrets, r.Key)
		}
	}
	if len(secrets) < 2 {
		t.Fatal("no token was used")
	}
	for where, text := range texts {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds a token", where)
			}
		}
	}
}
