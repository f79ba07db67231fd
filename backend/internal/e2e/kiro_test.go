package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// kiroSignIn goes through a sign-in at the simulated Kiro by its device code, as a person would.
func kiroSignIn(t *testing.T, b *testkit.Bay, login, who string, fields map[string]string) api.LoginView {
	t.Helper()
	v, err := b.Backend.StartLogin(t.Context(), api.NewLogin{Provider: "kiro", Login: login, Fields: fields, AcceptRisk: true})
	if err != nil {
		t.Fatal(err)
	}
	if v.UserCode == "" || v.URL == "" {
		t.Fatalf("%+v", v)
	}
	if _, page, err := simulator.Click(t.Context(), http.DefaultClient, v.URL, who); err != nil || !strings.Contains(page, "SIMULATED") {
		t.Fatalf("%v %s", err, page)
	}
	for v.State == "waiting" || v.State == "finishing" {
		if v, err = b.Backend.Login(t.Context(), v.ID, v.Seq); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

const kiroTeam = "https://d-1234567890.awsapps.com/start"

func kiroBay(t *testing.T) *testkit.Bay {
	return testkit.Start(t, testkit.Options{Accounts: map[string][]string{}})
}

func askKiro(t *testing.T, b *testkit.Bay, text string) (int, string) {
	t.Helper()
	resp, body := b.Do(t, "POST", "/kiro/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"`+text+`"}]}`)
	return resp.StatusCode, body
}

func TestKiroSignInAndAnswer(t *testing.T) {
	for _, c := range []struct {
		login  string
		fields map[string]string
		kind   string
	}{
		{"google", nil, "social"}, {"github", nil, "social"}, {"builder-id", nil, "builder-id"},
		{"idc", map[string]string{"start_url": kiroTeam + "/"}, "idc"},
		{"idc", map[string]string{"start_url": kiroTeam, "sso_region": "eu-west-1"}, "idc"},
	} {
		t.Run(c.login, func(t *testing.T) {
			b := kiroBay(t)
			v := kiroSignIn(t, b, c.login, "ann@example.test", c.fields)
			if v.State != "done" || v.Label != "ann@example.test" {
				t.Fatalf("%+v", v)
			}
			if status, body := askKiro(t, b, "Hello"); status != 200 || !strings.Contains(body, "You said: Hello") {
				t.Errorf("%d %s", status, body)
			}
			if last := b.Last(t, simulator.Kiro); last.Refused != "" {
				t.Errorf("%s", last.Refused)
			}
			again := kiroSignIn(t, b, c.login, "ann@example.test", c.fields)
			if again.Account != v.Account {
				t.Errorf("a second sign-in of the same person made another account: %+v", again)
			}
			if _, err := b.Backend.RenewAccount(t.Context(), v.Account); err != nil {
				t.Error(err)
			}
			if n := b.Sim.KiroLogins(c.kind).Counts(); n.Refreshes != 1 || n.Reuses != 0 {
				t.Errorf("%+v", n)
			}
			if status, body := askKiro(t, b, "Again"); status != 200 {
				t.Errorf("%d %s", status, body)
			}
			for _, word := range []string{"aoa-sim", "aor-sim", "sim-client-secret", "sim-device"} {
				if log := b.Log.String(); strings.Contains(log, word) {
					t.Errorf("the log holds %q:\n%s", word, log)
				}
			}
		})
	}
}

func TestKiroSignInsThatDoNotWork(t *testing.T) {
	b := kiroBay(t)
	if v := kiroSignIn(t, b, "google", "deny", nil); v.State != "failed" {
		t.Errorf("refused: %+v", v)
	}
	if v := kiroSignIn(t, b, "idc", "none@example.test", map[string]string{"start_url": kiroTeam}); v.State != "failed" || !strings.Contains(v.Text, "administrator") {
		t.Errorf("no profile: %+v", v)
	}
	for _, start := range []string{"http://d-1.awsapps.com/start", "x", "https://user@h/start"} {
		if _, err := b.Backend.StartLogin(t.Context(), api.NewLogin{Provider: "kiro", Login: "idc", AcceptRisk: true, Fields: map[string]string{"start_url": start}}); err == nil {
			t.Errorf("%s is taken", start)
		}
	}
	for _, f := range []map[string]string{
		{"start_url": "https://d-0000000000.awsapps.com/start"}, {"start_url": kiroTeam, "sso_region": "../x"}, {"start_url": kiroTeam, "profile_arn": "nonsense"}, nil,
	} {
		if _, err := b.Backend.StartLogin(t.Context(), api.NewLogin{Provider: "kiro", Login: "idc", AcceptRisk: true, Fields: f}); err == nil {
			t.Errorf("%v is taken", f)
		}
	}
}

func TestKiroAsksWhichProfile(t *testing.T) {
	b := kiroBay(t)
	v := kiroSignIn(t, b, "idc", "bob@example.test", map[string]string{"start_url": kiroTeam})
	if v.State != "done" {
		t.Fatalf("%+v", v)
	}
	status, body := askKiro(t, b, "Hello")
	if status != 529 || !strings.Contains(body, "several Kiro profiles") {
		t.Errorf("%d %s", status, body)
	}
	list, err := b.Backend.Accounts(t.Context())
	if err != nil || len(list) != 1 || list[0].State != "needs_action" || list[0].Next == nil || !strings.Contains(list[0].Next.Text, "SIMTEAM00002") {
		t.Fatalf("%v %+v", err, list)
	}
	arn := regexp.MustCompile(`arn:\S+SIMTEAM00002`).FindString(list[0].Next.Text)
	v = kiroSignIn(t, b, "idc", "bob@example.test", map[string]string{"start_url": kiroTeam, "profile_arn": arn})
	if v.State != "done" {
		t.Fatalf("%+v", v)
	}
	if status, body = askKiro(t, b, "Hello"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

func TestKiroRenewsAnExpiredLoginOnce(t *testing.T) {
	b := kiroBay(t)
	if v := kiroSignIn(t, b, "google", "ann@example.test", nil); v.State != "done" {
		t.Fatalf("%+v", v)
	}
	b.Sim.KiroLogins("social").ExpireAccess()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if status, body := askKiro(t, b, "Hello"); status != 200 {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	wg.Wait()
	if n := b.Sim.KiroLogins("social").Counts(); n.Refreshes != 1 || n.Reuses != 0 || n.Refused != 0 {
		t.Errorf("%+v", n)
	}
}

func TestKiroLoginThatIsOver(t *testing.T) {
	b := kiroBay(t)
	kiroSignIn(t, b, "builder-id", "ann@example.test", nil)
	b.Sim.KiroLogins("builder-id").RevokeAll()
	resp, body := b.Do(t, "POST", "/kiro/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"x"}]}`)
	if resp.StatusCode != 529 || resp.Header.Get("X-Should-Retry") != "false" || !strings.Contains(body, "sign in again") {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	if list, err := b.Backend.Accounts(t.Context()); err != nil || list[0].State != "needs_login" {
		t.Errorf("%v %+v", err, list)
	}
}
