package e2e

import (
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/internal/testkit"
)

// What is left of a plan is asked at the simulated services that tell, and said plainly where a service does not.
func TestQuotaIsAskedAtTheService(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{
		"codex": {"ann@example.test"}, "antigravity": {"sk-sim-one"}, "gemini-cli": {"sk-sim-one"}, "openai": {"sk-sim-one"},
	}})
	list, err := b.Backend.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		windows, err := b.Backend.AccountQuota(t.Context(), a.ID)
		if a.Provider == "openai" {
			if apierror.KindOf(err) != apierror.Unsupported {
				t.Errorf("%s: %v", a.Provider, err)
			}
			continue
		}
		if err != nil || len(windows) == 0 {
			t.Errorf("%s: %v, %v", a.Provider, windows, err)
		}
		for _, w := range windows {
			if w.Name == "" || w.Unit == "" || w.Used < 0 || w.ResetsAt != 0 && w.ResetsAt < time.Now().Add(-time.Hour).UnixMilli() {
				t.Errorf("%s: %+v", a.Provider, w)
			}
		}
		t.Logf("%s: %+v", a.Provider, windows)
	}
	if _, err := b.Backend.AccountQuota(t.Context(), "nobody"); err == nil {
		t.Error("quota of an account that does not exist")
	}
}
