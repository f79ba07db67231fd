package codeassist

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

func secretOf(s string) secret.Value { return secret.New(s) }

// refused is what an error must mean.
type refused struct {
	kind   apierror.Kind
	after  time.Duration
	scope  string
	action string
	link   string
}

// TestRefusals has a line for each row of what the service is known to refuse with.
func TestRefusals(t *testing.T) {
	const (
		rate, quota, blocked = apierror.RateLimited, apierror.QuotaExhausted, apierror.AccountBlocked
	)
	day := 24 * time.Hour
	same := func(r refused) [2]refused { return [2]refused{r, r} }
	for row, want := range map[string][2]refused{ // gemini-cli, antigravity
		"rate_short":    same(refused{kind: rate, after: 479417207}),
		"rate_minutes":  same(refused{kind: rate, after: 90 * time.Second}),
		"rate_long":     {{kind: rate, after: 20 * time.Minute}, {kind: quota, after: 20 * time.Minute, scope: groupGemini}},
		"rate_no_delay": same(refused{kind: rate, after: time.Minute}),
		"rate_comma":    same(refused{kind: rate, after: 20 * time.Second}),
		"per_minute":    same(refused{kind: rate, after: time.Minute}),
		"per_day":       {{kind: quota, after: 8 * time.Hour}, {kind: quota, after: 8 * time.Hour, scope: groupGemini}}, // midnight in California
		"limit_zero":    {{kind: quota, after: 8 * time.Hour}, {kind: quota, after: 8 * time.Hour, scope: groupGemini}},
		"quota":         {{kind: quota, after: day}, {kind: quota, after: day, scope: groupGemini}},
		"quota_hours":   {{kind: quota, after: 2 * time.Hour}, {kind: quota, after: 2 * time.Hour, scope: groupGemini}},
		"quota_no_time": {{kind: quota, after: time.Hour}, {kind: quota, after: time.Minute, scope: groupGemini}},
		"quota_text":    {{kind: quota, after: day}, {kind: quota, after: day, scope: groupGemini}},
		"soft":          {{kind: rate, after: 30 * time.Second}, {kind: rate, after: time.Minute}},
		"credits":       {{kind: quota, after: time.Hour}, {kind: quota, after: time.Minute, scope: groupGemini}},
		"capacity":      same(refused{kind: apierror.ModelBusy}),
		"capacity_429":  same(refused{kind: apierror.ModelBusy}),
		"verify":        same(refused{kind: blocked, action: "verify it", link: "https://accounts.google.com/signin/continue?sarp=1&continue=x"}),
		"verify_help":   same(refused{kind: blocked, action: "verify it", link: "https://accounts.google.com/verify"}),
		"subscription":  same(refused{kind: blocked, action: "licence", link: "https://example.test/licence"}),
		"named_user":    same(refused{kind: blocked, action: "licence", link: licensePage}),
		"disabled":      same(refused{kind: blocked, action: "enable the API", link: "https://console.developers.google.com/apis/api/x"}),
		"iam":           same(refused{kind: blocked, after: time.Hour}),
		"consumer":      same(refused{kind: blocked, action: "ID of a project that exists"}),
		"tos":           same(refused{kind: blocked}),
		"user_off":      same(refused{kind: blocked}),
		"other_403":     same(refused{kind: blocked, after: 10 * time.Minute}),
		"location":      same(refused{kind: apierror.PolicyRefused}),
		"precondition":  same(refused{kind: apierror.InvalidRequest}),
		"argument":      same(refused{kind: apierror.InvalidRequest}),
		"not_found":     same(refused{kind: apierror.ModelNotFound}),
		"old_version":   same(refused{kind: apierror.ModelNotFound}),
		"token":         same(refused{kind: apierror.AuthExpired}),
		"internal":      same(refused{kind: apierror.Upstream5xx}),
		"gateway":       same(refused{kind: apierror.Upstream5xx}),
		"cancelled":     same(refused{kind: apierror.Upstream5xx}),
		"unavailable":   same(refused{kind: apierror.Overloaded}),
		"deadline":      same(refused{kind: apierror.Timeout}),
	} {
		t.Run(row, func(t *testing.T) {
			for _, form := range []string{"object", "array", "nested"} {
				synctest.Test(t, func(t *testing.T) {
					for i, d := range []Driver{GeminiCLI(), Antigravity()} {
						b := newBench(t, d, "ann@example.test")
						sc := simulator.Scenario("google:row=" + row + ",form=" + form)
						b.sim.Script(simulator.GeminiCLI, sc, sc)
						b.sim.Script(simulator.Antigravity, sc, sc)
						b.sim.Script(simulator.AntigravityProd, sc, sc)
						_, e := b.ask(b.open(), b.request("hello"))
						if e == nil {
							t.Fatal("it worked")
						}
						w := want[i]
						got := refused{e.Kind, e.RetryAfter, e.Scope, w.action, e.Link}
						if got != w || !strings.Contains(e.Action, w.action) || (w.action == "") != (e.Action == "") {
							t.Errorf("%s, %s: %+v, want %+v (%v)", b.name, form, got, w, e)
						}
						if e.Provider != b.name || e.AccountID != "account-1" {
							t.Errorf("whose it is: %q %q", e.Provider, e.AccountID)
						}
					}
				})
			}
		})
	}
}

// TestErrorInsideStream: an error may come as an event of a stream that began well.
func TestErrorInsideStream(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		for sc, kind := range map[simulator.Scenario]apierror.Kind{
			"overload_in_200": apierror.Overloaded, "error_chunk": apierror.Upstream5xx, "cut": apierror.Transport, "empty_200": apierror.Truncated,
			"html": apierror.Upstream5xx, "html_200": apierror.Upstream5xx,
		} {
			b.sim.Reset()
			for _, host := range []string{simulator.GeminiCLI, simulator.Antigravity, simulator.AntigravityProd} {
				b.sim.Script(host, sc, sc)
			}
			_, e := b.ask(b.open(), b.request("hello, tell me a little more than nothing"))
			if e == nil || e.Kind != kind && !(sc == "cut" && e.Kind == apierror.Truncated) {
				t.Errorf("%s: %v", sc, e)
			}
		}
	})
}

// TestQuotaWithoutTimeGrows: each refusal in a row rests the group longer, and an answer forgets them.
func TestQuotaWithoutTimeGrows(t *testing.T) {
	b := newBench(t, Antigravity(), "ann@example.test")
	u := b.open()
	ask := func(model string) time.Duration {
		b.sim.Script(simulator.Antigravity, "google:row=quota_no_time")
		r := b.request("hello")
		r.Model = model
		_, e := b.ask(u, r)
		if e == nil {
			t.Fatal("it worked")
		}
		if want := antigravityGroup(model); e.Scope != want {
			t.Error(e.Scope)
		}
		return e.RetryAfter
	}
	for _, want := range []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 2 * time.Hour} {
		if got := ask("gemini-3-flash-agent"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := ask("claude-sonnet-4-6"); got != time.Minute {
		t.Errorf("another group: %s", got)
	}
	if _, e := b.ask(u, b.request("hello")); e != nil {
		t.Fatal(e)
	}
	if got := ask("gemini-3-flash-agent"); got != time.Minute {
		t.Errorf("after an answer: %s", got)
	}
}

// TestQuotaStampAlone: the time of reset may be the only one.
func TestQuotaStampAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newBench(t, GeminiCLI(), "ann@example.test").open()
		at := time.Now().Add(3 * time.Hour).UTC().Format(time.RFC3339)
		e := u.parse("m")(429, nil, []byte(`[{"error":{"code":429,"message":"gone","details":[{"@type":"x","reason":"QUOTA_EXHAUSTED","domain":"cloudcode-pa.googleapis.com,",
			"metadata":{"quotaResetTimeStamp":"`+at+`"}}]}}]`))
		if e.Kind != apierror.QuotaExhausted || e.RetryAfter != 3*time.Hour {
			t.Errorf("%v %s", e, e.RetryAfter)
		}
		for _, body := range []string{``, `[]`, `{"error":{"details":[{"metadata":{"quotaResetDelay":7,"x":null}}]}}`, `{"error":{"details":{}}}`, `{"error":[]}`} {
			if e := u.parse("m")(429, nil, []byte(body)); e.Kind != apierror.RateLimited || e.RetryAfter <= 0 {
				t.Errorf("%s: %v %s", body, e, e.RetryAfter)
			}
		}
	})
}
