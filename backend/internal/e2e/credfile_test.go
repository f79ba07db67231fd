package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// codexFile writes a login as Codex CLI does.
func codexFile(t *testing.T, path string, g simulator.OAuthGrant) {
	t.Helper()
	text, err := json.MarshalIndent(map[string]any{
		"auth_mode": "chatgpt", "OPENAI_API_KEY": nil, "last_refresh": time.Now().UTC().Format(time.RFC3339Nano),
		"tokens": map[string]string{"id_token": g.ID, "access_token": g.Access, "refresh_token": g.Refresh},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".tmp", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// A login of Codex CLI is borrowed, used, and followed when the program renews it. Its refresh token is left alone until the
// person adopts the login; from then on Patchbay renews it.
func TestBorrowedLoginOfCodexCLI(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.json")
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}, Config: "credential_files:\n  paths:\n    codex: ['" + path + "']\n"})
	in, ctx := b.Sim.SignIn(simulator.Codex), t.Context()
	g, ok := in.Issue("ann@example.test")
	if !ok {
		t.Fatal("the simulated service does not know her")
	}
	codexFile(t, path, g)
	list, err := b.Backend.Files(ctx)
	if err != nil || len(list) != 1 || list[0].State != "found" || list[0].Email != "ann@example.test" || !list[0].Adoptable {
		t.Fatalf("%+v %v", list, err)
	}
	if resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat); resp.StatusCode != 400 {
		t.Errorf("a found login was used unasked: %d %s", resp.StatusCode, body)
	}
	if _, err := b.Backend.BorrowFile(ctx, list[0].ID, api.FileUse{}); apierror.From(err) == nil || apierror.From(err).Param != "accept_risk" {
		t.Fatalf("the label was not shown: %v", err)
	}
	st, err := b.Backend.BorrowFile(ctx, list[0].ID, api.FileUse{AcceptRisk: true})
	if err != nil || st.Owner != "cli" || st.Name != "ann@example.test" {
		t.Fatalf("%+v %v", st, err)
	}
	works := func() {
		t.Helper()
		if resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat); resp.StatusCode != 200 || !strings.Contains(body, "You said: hi") {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
	}
	works()

	in.ExpireAccess() // and Codex CLI renews when it is used: the file changes, and the next request finds that out
	fresh, refused := in.RedeemRefresh(g.Refresh)
	if refused != nil {
		t.Fatalf("Patchbay spent the refresh token of Codex CLI: %+v", refused)
	}
	codexFile(t, path, fresh)
	works()

	in.ExpireAccess() // and nobody renews
	resp, body := b.Do(t, "POST", "/v1/chat/completions", codexChat)
	if resp.StatusCode != 503 || !strings.Contains(body, "use that program once") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if !in.Works(fresh.Refresh) {
		t.Error("the refresh token of Codex CLI was used")
	}

	_, err = b.Backend.AdoptFile(ctx, list[0].ID, api.FileUse{})
	if e, ok := errors.AsType[*apierror.Error](err); !ok || e.Param != "accept" || !strings.Contains(e.Msg, "may be signed out") {
		t.Errorf("the adoption was not explained: %v", err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err = b.Backend.AdoptFile(ctx, list[0].ID, api.FileUse{Accept: true}); err != nil || st.Owner != "ours" || st.State != "ready" {
		t.Fatalf("%+v %v", st, err)
	}
	works()
	if c := in.Counts(); c.Reuses != 0 || in.Works(fresh.Refresh) {
		t.Errorf("an adopted login is not renewed here: %+v", c)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Error("the file was changed", err)
	}
}

// Google's refresh tokens stay good when they are used, so a borrowed login is renewed in memory; the file stays as it is.
func TestBorrowedLoginOfAntigravity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "antigravity-oauth-token")
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}, Config: "credential_files:\n  paths:\n    antigravity: ['" + path + "']\n"})
	in := b.Sim.Assist(simulator.Antigravity)
	g, ok := in.Issue("ann@example.test")
	if !ok {
		t.Fatal("the simulated service does not know her")
	}
	text := `{"token":{"access_token":"` + g.Access + `","token_type":"Bearer","refresh_token":"` + g.Refresh + `","expiry":"` +
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano) + `"},"auth_method":"consumer"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := b.Backend.Files(t.Context())
	if err != nil || len(list) != 1 || list[0].State != "found" {
		t.Fatalf("%+v %v", list, err)
	}
	st, err := b.Backend.BorrowFile(t.Context(), list[0].ID, api.FileUse{AcceptRisk: true})
	if err != nil || st.Owner != "cli" || st.Name != "ann@example.test" {
		t.Fatalf("%+v %v", st, err)
	}
	ask := func() {
		t.Helper()
		resp, body := b.Do(t, "POST", "/v1/chat/completions", strings.Replace(chatHello, "%", "antigravity/claude-sonnet-4-6", 1))
		if resp.StatusCode != 200 || !strings.Contains(body, "You said: hello there") {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
	}
	ask()
	in.ExpireAccess()
	ask()
	if c := in.Counts(); c.Refreshes != 1 || c.Reuses != 0 || !in.Works(g.Refresh) {
		t.Errorf("%+v", c)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != text {
		t.Error("the file was changed", err)
	}
	for _, secret := range []string{g.Access, g.Refresh} {
		if strings.Contains(b.Log.String(), secret) {
			t.Error("the log tells a token")
		}
	}
}
