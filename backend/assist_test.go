package backend

import (
	"strings"
	"testing"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// TestBorrowedGoogleLogin: the login of Google's own program that is over is renewed in memory, and nothing is written. Google's
// refresh tokens do not change with it, so that the program's login stays good.
func TestBorrowedGoogleLogin(t *testing.T) {
	for _, name := range []string{simulator.GeminiCLI, simulator.Antigravity} {
		t.Run(name, func(t *testing.T) {
			sim := simulator.New(simulator.Options{})
			if err := sim.Start(); err != nil {
				t.Fatal(err)
			}
			defer sim.Close()
			b := openTest(t, "providers:\n  "+name+":\n    enabled: true\n    base_url: "+sim.BaseURL(name)+"\n    login_url: "+sim.BaseURL(name)+"\n", nil)
			g, _ := sim.Assist(name).Issue("ann@example.test")
			sim.Assist(name).ExpireAccess()
			old := provider.Credential{Access: secret.New(g.Access), Refresh: secret.New(g.Refresh), Expiry: time.Now().Add(-time.Hour),
				Extra: map[string]string{provider.ExtraEmail: "ann@example.test"}}
			st, _, err := b.accounts.SignIn(t.Context(), account.SignIn{Provider: name, Owner: account.CLI, Credential: old})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				l, err := b.accounts.Acquire(t.Context(), account.Query{Provider: name, Model: "gemini-3-flash"})
				if err != nil {
					t.Fatal(err)
				}
				r, err := canon.Collect(l.Upstream().Stream(t.Context(), &canon.Request{Format: "test", Model: "gemini-3-flash", Stream: true,
					Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "hello"}}}}}))
				l.Release(err)
				if err != nil || len(r.Parts) == 0 || !strings.Contains(r.Parts[0].Text, "You said: hello") {
					t.Fatal(r, err)
				}
			}
			if n := sim.Assist(name).Counts(); n.Refreshes != 1 || n.Refused != 0 {
				t.Errorf("%+v", n)
			}
			if !sim.Assist(name).Works(g.Refresh) {
				t.Error("the program's own login is over")
			}
			if got, ok := b.accounts.Get(st.ID); !ok || got.Owner != account.CLI || got.State != account.Ready {
				t.Errorf("%+v", got)
			}
		})
	}
}
