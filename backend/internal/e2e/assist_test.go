package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/internal/testkit"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// signInAt clicks through a sign-in as a person and returns how it ended.
func signInAt(t *testing.T, bay *testkit.Bay, n api.NewLogin, who string) api.LoginView {
	t.Helper()
	n.AcceptRisk = true
	v, err := bay.Backend.StartLogin(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	_, page, err := simulator.Click(t.Context(), http.DefaultClient, v.URL, who+"@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, code, found := strings.Cut(page, "paste it into the program: "); found { // the page that shows the code
		code, _, _ = strings.Cut(code, "<")
		if v, err = bay.Backend.PasteLogin(t.Context(), v.ID, secret.New(code)); err != nil {
			t.Fatal(err)
		}
	}
	for !v.Over() {
		if v, err = bay.Backend.Login(t.Context(), v.ID, v.Seq); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

const chatHello = `{"model":"%","messages":[{"role":"user","content":"hello there"}]}`

// TestGoogleLogins goes the whole way for both clients of Code Assist: label, page, set-up, answers, and an account that another
// person must not use.
func TestGoogleLogins(t *testing.T) {
	for name, model := range map[string]string{"gemini-cli": "gemini-2.5-pro", "antigravity": "claude-sonnet-4-6"} {
		t.Run(name, func(t *testing.T) {
			bay := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}})
			_, err := bay.Backend.StartLogin(t.Context(), api.NewLogin{Provider: name})
			if e := apierror.From(err); e == nil || e.Param != "accept_risk" || !strings.Contains(e.Msg, "(2026-") {
				t.Fatal("no label:", err)
			}
			v := signInAt(t, bay, api.NewLogin{Provider: name}, "ann")
			if v.State != "done" || v.Label != "ann@example.test" {
				t.Fatalf("%+v", v)
			}
			resp, body := bay.Do(t, "POST", "/v1/chat/completions", strings.Replace(chatHello, "%", name+"/"+model, 1))
			if resp.StatusCode != 200 || !strings.Contains(body, "You said: hello there") || resp.Header.Get("X-Patchbay-Provider") != name {
				t.Fatal(resp.StatusCode, body)
			}
			if v := signInAt(t, bay, api.NewLogin{Provider: name, Mode: "paste"}, "bob"); v.State != "done" {
				t.Errorf("pasted: %+v", v)
			}
			v = signInAt(t, bay, api.NewLogin{Provider: name}, "ended")
			if v.State != "failed" || !strings.Contains(v.Text, "no longer serves this login for this account. Use the provider") {
				t.Errorf("%+v", v)
			}
			v = signInAt(t, bay, api.NewLogin{Provider: name}, "verify")
			if v.State != "done" || !strings.Contains(v.Text, "cannot be used yet: Verify your account") || !strings.Contains(v.Text, "/verify?who=") {
				t.Errorf("%+v", v)
			}
			list, err := bay.Backend.Accounts(t.Context())
			if err != nil || len(list) != 3 {
				t.Fatal(list, err)
			}
			for _, a := range list {
				if a.ID == v.Account && (a.State != "needs_action" || a.Next == nil || !strings.Contains(a.Next.Link, "/verify?who=")) {
					t.Errorf("%+v", a)
				}
			}
			if name == "gemini-cli" {
				v = signInAt(t, bay, api.NewLogin{Provider: name}, "project")
				if !strings.Contains(v.Text, "needs a Google Cloud project") {
					t.Errorf("%+v", v)
				}
				v = signInAt(t, bay, api.NewLogin{Account: v.Account, Fields: map[string]string{"project": "my-proj-123"}}, "project")
				if v.State != "done" || !strings.Contains(v.Text, "signed in again") {
					t.Errorf("%+v", v)
				}
			}
			noTokens(t, bay, list)
		})
	}
}

// noTokens looks for what nobody may see.
func noTokens(t *testing.T, bay *testkit.Bay, more any) {
	t.Helper()
	logins, err := bay.Backend.Logins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]any{logins, more})
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{"ya29.sim-", "1//sim-", "sim-code-"} {
		if strings.Contains(string(text), canary) || strings.Contains(bay.Log.String(), canary) {
			t.Errorf("%s is shown", canary)
		}
	}
}

// TestGoogleLoginThatIsOver: fifty requests that find the token refused renew it once, and all are answered.
func TestGoogleLoginThatIsOver(t *testing.T) {
	for name, model := range map[string]string{"gemini-cli": "gemini-3-pro-preview", "antigravity": "gemini-3-flash-agent"} {
		t.Run(name, func(t *testing.T) {
			bay := testkit.Start(t, testkit.Options{Accounts: map[string][]string{}})
			if v := signInAt(t, bay, api.NewLogin{Provider: name}, "ann"); v.State != "done" {
				t.Fatalf("%+v", v)
			}
			bay.Sim.Assist(name).ExpireAccess()
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					resp, body := bay.Do(t, "POST", "/v1/chat/completions", strings.Replace(chatHello, "%", name+"/"+model, 1))
					if resp.StatusCode != 200 {
						t.Error(resp.StatusCode, body)
					}
				})
			}
			all.Wait()
			if n := bay.Sim.Assist(name).Counts(); n.Refreshes != 1 || n.Reuses != 0 {
				t.Errorf("%+v", n)
			}
			noTokens(t, bay, nil)
			bay.Sim.Assist(name).RevokeAll()
			resp, body := bay.Do(t, "POST", "/v1/chat/completions", strings.Replace(chatHello, "%", name+"/"+model, 1))
			if resp.StatusCode != 503 {
				t.Error(resp.StatusCode, body)
			}
			if list, err := bay.Backend.Accounts(t.Context()); err != nil || list[0].State != "needs_login" {
				t.Error(list, err)
			}
		})
	}
}
