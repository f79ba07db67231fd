package codex

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/simulator"
)

// refusals are the rows of what the service is known to say, and what comes of each.
var refusals = []struct {
	which string
	kind  apierror.Kind
	scope string
	pause time.Duration // 0 = none; compared to the minute
	says  string
}{
	{"token_expired", apierror.AuthExpired, "", 0, "expired"},
	{"header_only", apierror.AuthExpired, "", 0, "The token was revoked"},
	{"deactivated_workspace", apierror.AccountBlocked, "", 0, "no access to Codex"},
	{"payment", apierror.NoCredit, "*", 30 * time.Minute, "Payment required"},
	{"workspace_forbidden", apierror.NoCredit, "*", 30 * time.Minute, "This workspace does not allow it"},
	{"challenge", apierror.RateLimited, "*", 10 * time.Minute, "another network"},
	{"blocked_page", apierror.RateLimited, "*", 10 * time.Minute, "the account is fine"},
	{"model_not_found", apierror.ModelNotFound, "", 0, "gpt-9"},
	{"model_not_in_plan", apierror.ModelNotFound, "", 0, "plan"},
	{"usage_limit_reached:seconds=7200", apierror.QuotaExhausted, "*", 2 * time.Hour, "used up until"},
	{"usage_limit_model:seconds=7200", apierror.QuotaExhausted, "", 2 * time.Hour, "used up until"},
	{"usage_limit_no_time", apierror.QuotaExhausted, "*", time.Hour, "used up until"}, // by the header of the full window
	{"usage_not_included", apierror.AccountBlocked, "", 0, "no Codex"},
	{"rate_limit_exceeded:seconds=1.898", apierror.RateLimited, "", 1898 * time.Millisecond, ""},
	{"insufficient_quota", apierror.NoCredit, "*", time.Hour, ""},
	{"workspace_owner_credits_depleted", apierror.NoCredit, "*", time.Hour, "no credits"},
	{"at_capacity", apierror.RateLimited, "", time.Minute, "capacity"},
	{"server_is_overloaded", apierror.Overloaded, "", 0, ""},
	{"slow_down", apierror.Overloaded, "", 0, ""},
	{"bad_gateway", apierror.Upstream5xx, "", 0, ""},
	{"gateway_timeout", apierror.Upstream5xx, "", 0, ""},
	{"context_length_exceeded", apierror.ContextTooLong, "", 0, ""},
	{"invalid_prompt", apierror.ContentFiltered, "", 0, ""},
	{"cyber_policy", apierror.ContentFiltered, "", 0, ""},
	{"previous_response_not_found", apierror.InvalidRequest, "", 0, ""},
}

func TestEveryRefusalHasItsMeaning(t *testing.T) {
	b := newBay(t)
	for _, c := range refusals {
		t.Run(c.which, func(t *testing.T) {
			u := b.open()
			which, more, _ := strings.Cut(c.which, ":")
			b.sim.Script(simulator.Codex, simulator.Scenario("codex_refusal:which="+which+","+strings.TrimPrefix(more+",x=1", ",")))
			_, e := ask(t, u, asking("gpt-5.5"))
			if e == nil || e.Kind != c.kind || e.Scope != c.scope || !strings.Contains(e.Msg, c.says) {
				t.Fatalf("%+v", e)
			}
			if (e.RetryAfter - c.pause).Abs() > 2*time.Second {
				t.Errorf("pause %s, want %s", e.RetryAfter, c.pause)
			}
		})
	}
}

func TestRefusalsInsideAnAnswer(t *testing.T) {
	b := newBay(t)
	for which, kind := range map[string]apierror.Kind{
		"server_is_overloaded": apierror.Overloaded, "rate_limit_exceeded": apierror.RateLimited, "at_capacity": apierror.RateLimited,
		"usage_limit_reached": apierror.QuotaExhausted, "context_length_exceeded": apierror.ContextTooLong, "cyber_policy": apierror.ContentFiltered,
		"invalid_prompt": apierror.ContentFiltered, "usage_not_included": apierror.AccountBlocked, "insufficient_quota": apierror.NoCredit, "slow_down": apierror.Overloaded,
	} {
		for _, after := range []string{"0", "1"} {
			b.sim.Script(simulator.Codex, simulator.Scenario("codex_failed:which="+which+",after="+after+",seconds=3"))
			if _, e := ask(t, b.open(), asking("gpt-5.5")); e == nil || e.Kind != kind {
				t.Errorf("%s after %s: %v, want %s", which, after, e, kind)
			} else if which == "rate_limit_exceeded" && e.RetryAfter != 3*time.Second {
				t.Errorf("%s: %s", which, e.RetryAfter)
			}
		}
	}
}

func TestOtherTroublesOfTheService(t *testing.T) {
	b := newBay(t)
	for sc, kind := range map[simulator.Scenario]apierror.Kind{
		"too_large": apierror.BodyTooLarge, "server_error": apierror.Upstream5xx, "missing_done": apierror.Truncated, "cut": apierror.Truncated,
		"html": apierror.Upstream5xx, "error_event": apierror.Upstream5xx,
	} {
		b.sim.Script(simulator.Codex, sc)
		if _, e := ask(t, b.open(), asking("gpt-5.5")); e == nil || e.Kind != kind && (sc != "cut" || e.Kind != apierror.Transport) {
			t.Errorf("%s: %v, want %s", sc, e, kind)
		}
	}
}

func TestTheEdgeIsWaitedForLongerEachTime(t *testing.T) {
	b := newBay(t)
	u := b.open()
	for _, want := range []time.Duration{10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 2 * time.Hour, 2 * time.Hour} {
		b.sim.Script(simulator.Codex, "codex_refusal:which=challenge")
		if _, e := ask(t, u, asking("gpt-5.5")); e == nil || e.RetryAfter != want {
			t.Fatalf("%v, want %s", e, want)
		}
	}
	if _, e := ask(t, u, asking("gpt-5.5")); e != nil {
		t.Fatal(e)
	}
	b.sim.Script(simulator.Codex, "codex_refusal:which=challenge")
	if _, e := ask(t, u, asking("gpt-5.5")); e.RetryAfter != 10*time.Minute {
		t.Errorf("after a good answer: %s", e.RetryAfter)
	}
}

func TestWhatIsNoChallenge(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		want   bool
	}{
		"a page of another kind": {403, nil, "<html>no</html>", false},
		"an error of the API":    {403, nil, `{"detail":"cloudflare"}`, false},
		"a bad gateway's page":   {502, nil, "<html>cloudflare</html>", false},
		"a bare code":            {403, nil, "error code: 1010", true},
		"by header":              {503, http.Header{"Cf-Mitigated": {"challenge"}}, "", true},
	} {
		if challenged(c.status, c.header, []byte(c.body)) != c.want {
			t.Error(name)
		}
	}
}

func TestAnAddressThatIsNotThere(t *testing.T) {
	u, _ := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"detail":"Not Found"}`))
	})
	if _, e := ask(t, u, asking("gpt-5.5")); e.Kind != apierror.Upstream5xx || !strings.Contains(e.Msg, "base URL") {
		t.Error(e)
	}
	if _, err := u.Compact(t.Context(), decode(t, "compact", `{"model":"m","input":[{"role":"user","content":"x"}]}`)); apierror.KindOf(err) != apierror.RouteNotFound {
		t.Error(err)
	}
}
