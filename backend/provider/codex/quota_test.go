package codex

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/simulator"
)

// named are the names of windows and what is used of each.
func named(list []provider.Quota) (out []string) {
	for _, q := range list {
		out = append(out, q.Name+" "+strconv.FormatFloat(q.Used, 'f', -1, 64)+"/"+strconv.FormatFloat(q.Limit, 'f', -1, 64)+" "+strings.Join(q.Models, ","))
	}
	return out
}

func TestQuotaByAsking(t *testing.T) {
	b := newBay(t)
	for email, want := range map[string][]string{
		"ann@example.test":      {"5-hour limit 42.5/100 ", "Weekly limit 13/100 "},
		"bob@example.test":      {"Monthly limit 70/100 "},
		"ann@work.example.test": {"5-hour limit 42.5/100 ", "Weekly limit 13/100 ", "GPT-5.3-Codex-Spark: 5-hour limit 0/100 gpt-5.3-codex-spark", "Credits left 0/12.5 "},
	} {
		b.as(email)
		u := b.open()
		list, err := u.Quota(t.Context())
		if diff := cmp.Diff(want, named(list)); diff != "" || err != nil || list[0].ResetsAt <= time.Now().UnixMilli() || list[0].Unit != "percent" {
			t.Errorf("%s: %v -want +got\n%s", email, err, diff)
		}
		n := len(b.sim.Requests())
		if _, err := u.Quota(t.Context()); err != nil || len(b.sim.Requests()) != n {
			t.Error("it is asked for again at once")
		}
	}
	b.as("ann@work.example.test")
	if _, err := b.open().Quota(t.Context()); err != nil || b.notes[notePlan] != "business" {
		t.Errorf("%v", b.notes)
	}
	b.sim.Script("codex/usage", "server_error", "html_200")
	for range 2 {
		if _, err := b.open().Quota(t.Context()); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Error(err)
		}
	}
}

func TestQuotaByTheHeadersOfAnswers(t *testing.T) {
	b := newBay(t)
	u := b.open()
	if _, e := ask(t, u, asking("gpt-5.5")); e != nil {
		t.Fatal(e)
	}
	n := len(b.sim.Requests())
	list, err := u.Quota(t.Context())
	if diff := cmp.Diff([]string{"5-hour limit 42.5/100 ", "Weekly limit 13/100 "}, named(list)); diff != "" || err != nil || len(b.sim.Requests()) != n {
		t.Errorf("%v, %d calls\n%s", err, len(b.sim.Requests())-n, diff)
	}
	b.sim.Script(simulator.Codex, "codex_refusal:which=usage_limit_reached")
	_, _ = ask(t, u, asking("gpt-5.5"))
	if list, _ := u.Quota(t.Context()); list[0].Used != 100 {
		t.Errorf("after a refusal: %+v", list)
	}
}

func TestHeadersOfMeters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := http.Header{}
		set := func(name, value string) { h.Set("X-"+name, value) }
		set("Codex-Primary-Used-Percent", "100")
		set("Codex-Primary-Window-Minutes", "43200")
		set("Codex-Primary-Reset-After-Seconds", "90")
		set("Codex-Secondary-Used-Percent", "x")
		set("Codex-Bengalfox-Primary-Used-Percent", "100")
		set("Codex-Bengalfox-Primary-Window-Minutes", "90")
		set("Codex-Bengalfox-Primary-Reset-At", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
		set("Codex-Bengalfox-Limit-Name", "GPT-5.3-Codex-Spark")
		set("Other-Secondary-Used-Percent", "1")
		u := &upstream{}
		u.saw(h)
		want := []string{"Monthly limit 100/100 ", "other: limit 1/100 other", "GPT-5.3-Codex-Spark: 1-hour limit 100/100 gpt-5.3-codex-spark"}
		if diff := cmp.Diff(want, named(u.seen)); diff != "" {
			t.Error(diff)
		}
		if d := untilFull(h); d != 90*time.Second {
			t.Error(d)
		}
		set("Codex-Active-Limit", "codex-bengalfox")
		if d := untilFull(h); d != time.Hour {
			t.Error(d)
		}
		if d := untilFull(http.Header{}); d != 0 {
			t.Error(d)
		}
		if s := windowName(86400 * 2); s != "2-day limit" {
			t.Error(s)
		}
	})
}

func TestModelsOfAPlan(t *testing.T) {
	b := newBay(t)
	for email, want := range map[string]string{"ann@example.test": "gpt-6.1-sol,gpt-6-luna,gpt-5.6-luna,gpt-5.5", "bob@example.test": "gpt-6-luna,gpt-5.6-luna,gpt-5.5"} {
		b.as(email)
		u := b.open()
		models, err := u.Models(t.Context())
		var got []string
		for _, m := range models {
			got = append(got, m.ID)
		}
		if strings.Join(got, ",") != want || err != nil || models[0].Context != 272000 || models[0].Images != canon.Yes || len(models[0].Efforts) != 4 || models[0].Tools != canon.Yes {
			t.Errorf("%s: %v %v", email, got, err)
		}
		if q := b.last().Query; q != "client_version=0.169.0" {
			t.Error(q)
		}
		if tested, err := u.Test(t.Context()); err != nil || tested.Models != len(got) {
			t.Errorf("%+v %v", tested, err)
		}
	}
	b.as("bob@example.test")
	if _, e := ask(t, b.open(), asking("gpt-6.1-sol")); e == nil || e.Kind != apierror.ModelNotFound {
		t.Errorf("a model that the plan does not have: %v", e)
	}
	b.env.Settings[provider.SettingModels], b.env.Settings[settingLevel] = "a, gpt-5.5", "1.2.3"
	u := b.open()
	if models, err := u.Models(t.Context()); err != nil || len(models) != 2 || models[0].ID != "a" {
		t.Errorf("%v %v", models, err)
	}
	b.notes[notePlan] = "plus"
	if tested, err := u.Test(t.Context()); err != nil || !strings.Contains(tested.Note, "plus") || b.last().Query != "client_version=1.2.3" {
		t.Errorf("%+v %v", tested, err)
	}
	b.sim.Script("codex/models", "not_found", "unauthorized")
	delete(b.env.Settings, provider.SettingModels)
	if models, err := b.open().Models(t.Context()); models != nil || err != nil {
		t.Errorf("no list: %v %v", models, err)
	}
	if _, err := u.Test(t.Context()); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
}

// workspaces answers the question for workspaces.
func workspacesOf(t *testing.T, body string) (*upstream, *[]*http.Request) {
	u, seen := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/wham/accounts/check") {
			_, _ = io.WriteString(w, body)
			return
		}
		_, _ = io.WriteString(w, `{"models":[{"slug":"m"}]}`)
	})
	return u, seen
}

func TestWhereAWorkspaceBelongs(t *testing.T) {
	entry := func(more string) string {
		return `{"accounts":[{"id":"other"},{"id":"w1","plan_type":"pro","account_routing_override":"NO_CONSTRAINT"` + more + `}]}`
	}
	for name, c := range map[string]struct{ body, origin, routing string }{
		"usual":             {entry(`,"workspace_backend_origin":"https://chatgpt.com"`), "https://chatgpt.com", ""},
		"in the US":         {entry(`,"workspace_backend_origin":"https://us.chatgpt.com/","account_routing_override":"us_cr"`), "https://us.chatgpt.com", "us"},
		"somebody else's":   {entry(`,"workspace_backend_origin":"https://chatgpt.com.evil.test","account_routing_override":"eu"`), "", ""},
		"without TLS":       {entry(`,"workspace_backend_origin":"http://chatgpt.com"`), "", ""},
		"with a name in it": {entry(`,"workspace_backend_origin":"https://a@chatgpt.com"`), "", ""},
		"none":              {entry(`,"workspace_backend_origin":null`), "", ""},
	} {
		u, _ := workspacesOf(t, c.body)
		w, err := u.lookAt(t.Context())
		if err != nil || w.Plan != "pro" || u.note(noteOrigin) != c.origin || u.note(noteRouting) != c.routing {
			t.Errorf("%s: %v, %q %q", name, err, u.note(noteOrigin), u.note(noteRouting))
		}
		before := u.address()
		if u.own = true; c.origin != "" && u.address() != c.origin+"/backend-api/codex" || c.origin == "" && u.address() != before {
			t.Errorf("%s: calls go to %s", name, u.address())
		}
		call, err := u.call(t.Context(), "/responses")
		if err != nil || call.Header.Get(headRouting) != c.routing {
			t.Errorf("%s: %v %v", name, call.Header, err)
		}
	}
	u, _ := workspacesOf(t, entry(`,"is_deactivated":true`))
	if _, err := u.lookAt(t.Context()); apierror.KindOf(err) != apierror.AccountBlocked {
		t.Error(err)
	}
	u, _ = workspacesOf(t, `{"accounts":[]}`)
	if _, err := u.lookAt(t.Context()); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Error(err)
	}
}

func TestAWorkspaceIsLookedAtOnceADay(t *testing.T) {
	u, seen := workspacesOf(t, `{"accounts":[]}`)
	asked := func() (n int) {
		for _, r := range *seen {
			if strings.HasSuffix(r.URL.Path, "/check") {
				n++
			}
		}
		return n
	}
	if _, err := u.Models(t.Context()); err != nil || asked() != 0 {
		t.Errorf("%v: where a person has named the address, %d", err, asked())
	}
	u.own = true
	for range 2 {
		u.lookAgain(t.Context())
	}
	if asked() != 1 {
		t.Errorf("%d times", asked())
	}
	u.remember(noteChecked, strconv.FormatInt(time.Now().Add(-25*time.Hour).Unix(), 10))
	if u.lookAgain(t.Context()); asked() != 2 {
		t.Errorf("%d times", asked())
	}
}

func TestDeactivatedAccountsDoNotSignIn(t *testing.T) {
	u, _ := workspacesOf(t, `{"accounts":[{"id":"w1","is_deactivated":true}]}`)
	cred, _ := u.env.Token(t.Context())
	if _, err := (Driver{}).Complete(t.Context(), u.env, cred); apierror.KindOf(err) != apierror.AccountBlocked {
		t.Error(err)
	}
}

func TestOpenAndInfo(t *testing.T) {
	info := Driver{}.Info()
	if info.ID != "codex" || info.Off || info.Risk == nil || info.Risk.Since == "" || len(info.Logins) != 3 || len(info.Models) < 9 {
		t.Errorf("%+v", info)
	}
	for _, env := range []provider.Env{{}, {HTTP: http.DefaultClient, Settings: map[string]string{provider.SettingBaseURL: "ftp://x"}}} {
		if _, err := (Driver{}).Open(env); err == nil {
			t.Errorf("%+v opens", env)
		}
	}
	up, err := Driver{}.Open(provider.Env{HTTP: http.DefaultClient})
	if err != nil || up.(*upstream).address() != baseURL || !up.(*upstream).own {
		t.Errorf("%+v %v", up, err)
	}
	up.(*upstream).remember("a", "b") // there is nothing to keep it
}
