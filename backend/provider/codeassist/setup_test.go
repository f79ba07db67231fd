package codeassist

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/simulator"
)

// TestSetUp walks what the service may have for somebody who signs in.
func TestSetUp(t *testing.T) {
	type want struct {
		project string
		kind    apierror.Kind // 0 = it works
		says    string
		action  string
		link    string
	}
	works := want{project: "wide-river-4fk2p"}
	blocked := apierror.AccountBlocked
	for _, c := range []struct {
		name        string
		state       simulator.AssistPerson
		settings    map[string]string
		cli, antigr want
	}{
		{"a licence, a plan", simulator.AssistReady, nil, works, works},
		{"odd forms", simulator.AssistOdd, nil, works, works},
		{"never set up", simulator.AssistNew, nil, works, works},
		{"no longer served", simulator.AssistEnded, nil,
			want{kind: blocked, says: "no longer serves this login for this account. Use the provider antigravity"},
			want{kind: blocked, says: "Use the provider gemini with an API key"}},
		{"to be verified", simulator.AssistVerify, nil,
			want{kind: blocked, says: "Verify your account", action: "verify it", link: "http://sim/gemini-cli/verify?who="},
			want{kind: blocked, says: "Verify your account", action: "verify it", link: "http://sim/antigravity/verify?who="}},
		{"not offered there", simulator.AssistRegion, nil,
			want{kind: blocked, says: "not currently available in your location"}, want{kind: blocked, says: "not currently available in your location"}},
		{"a project is wanted", simulator.AssistProject, nil,
			want{kind: blocked, says: "needs a Google Cloud project", action: "enter the ID of a project", link: "https://console.cloud.google.com/"}, works},
		{"a project is named", simulator.AssistProject, map[string]string{"project": "my-proj-123"}, want{project: "my-proj-123"}, works},
		{"a number is named", simulator.AssistReady, map[string]string{"project": "1234567"},
			want{kind: blocked, says: "is the number of a Google Cloud project", action: "enter the ID"}, works},
		{"a service perimeter", simulator.AssistPerimter, map[string]string{"project": "my-proj-123"}, want{project: "my-proj-123"}, want{project: "wide-river-4fk2p"}},
		{"set-up without a project", simulator.AssistNone, nil,
			want{kind: blocked, says: "made no project", action: "enter the ID"}, want{kind: blocked, says: "made no project", action: "enter the ID"}},
		{"set-up that never ends", simulator.AssistStuck, nil, want{kind: apierror.Timeout, says: "still setting this account up"},
			want{kind: apierror.Timeout, says: "still setting this account up"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for d, w := range map[string]want{"gemini-cli": c.cli, "antigravity": c.antigr} {
				synctest.Test(t, func(t *testing.T) {
					driver := GeminiCLI()
					if d == "antigravity" {
						driver = Antigravity()
					}
					b := newBench(t, driver, "ann@example.test")
					b.sim.SetAssist(d, "ann@example.test", c.state)
					for k, v := range c.settings {
						b.env.Settings[k] = v
					}
					start := time.Now()
					cred, e := b.complete()
					if w.kind == 0 {
						if e != nil {
							t.Fatalf("%s: %v", d, e)
						}
						if got := b.remembered(); got[noteProject] != w.project || got[noteLooked] == "" {
							t.Errorf("%s: notes %v", d, got)
						}
						if cred.Extra[provider.ExtraEmail] != "ann@example.test" || cred.Extra[provider.ExtraIdentity] != "https://accounts.google.com|1032-ann" {
							t.Errorf("%s: %v", d, cred.Extra)
						}
						return
					}
					if e == nil || e.Kind != w.kind || !strings.Contains(e.Msg, w.says) || !strings.Contains(e.Action, w.action) ||
						(w.action == "") != (e.Action == "") || !strings.HasPrefix(e.Link, w.link) {
						t.Errorf("%s: %v (%s; %s)", d, e, e.Action, e.Link)
					}
					if took := time.Since(start); took > 3*time.Minute {
						t.Errorf("%s: it took %s", d, took)
					}
				})
			}
		})
	}
}

// TestSetUpCalls checks what goes out when an account is set up for the first time.
func TestSetUpCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, GeminiCLI(), "new@example.test")
		if _, e := b.complete(); e != nil {
			t.Fatal(e)
		}
		first := b.last(":loadCodeAssist")
		if got, want := string(first.Body), `{"metadata":{"ideType":"IDE_UNSPECIFIED","platform":"PLATFORM_UNSPECIFIED","pluginType":"GEMINI"}}`; got != want {
			t.Errorf("got %s", got)
		}
		if got, want := string(b.last(":onboardUser").Body),
			`{"metadata":{"ideType":"IDE_UNSPECIFIED","platform":"PLATFORM_UNSPECIFIED","pluginType":"GEMINI"},"tierId":"free-tier"}`; got != want {
			t.Errorf("got %s", got)
		}
		if got := b.last("/operations/onboard-new"); got.Method != "GET" {
			t.Error(got.Method)
		}
		a := newBench(t, Antigravity(), "new@example.test")
		if _, e := a.complete(); e != nil {
			t.Fatal(e)
		}
		if got := string(a.last(":loadCodeAssist").Body); got != `{"metadata":{"ideType":"ANTIGRAVITY"}}` {
			t.Errorf("got %s", got)
		}
		on := a.last(":onboardUser")
		if got := string(on.Body); got != `{"metadata":{"ideType":"ANTIGRAVITY"},"tierId":"free-tier"}` {
			t.Errorf("got %s", got)
		}
		if ua := on.Header.Get("User-Agent"); ua != "antigravity/hub/2.9.1 darwin/arm64 google-api-nodejs-client/10.3.0" || on.Header.Get("X-Goog-Api-Client") != "gl-node/22.21.1" {
			t.Error(ua, on.Header)
		}
	})
}

// TestVerifiedMeanwhile: once the person opened the page, the account works.
func TestVerifiedMeanwhile(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.sim.SetAssist(b.name, "ann@example.test", simulator.AssistVerify)
		u := b.open()
		_, e := b.ask(u, b.request("hello"))
		if e == nil || e.Kind != apierror.AccountBlocked || e.Action == "" || e.Link == "" {
			t.Fatal(e)
		}
		resp, err := b.env.HTTP.Get(e.Link)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if r, e := b.ask(u, b.request("hello")); e != nil || !strings.Contains(b.texts(r), "You said: hello") {
			t.Error(r, e)
		}
	})
}

// TestProjectIsFoundOnceAndAgain: calls at the same time look once; a day later it is looked for again, and an outage then does
// no harm.
func TestProjectIsFoundOnceAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, GeminiCLI(), "ann@example.test")
		u := b.open()
		done := make(chan *apierror.Error)
		for range 20 {
			go func() {
				_, e := b.ask(u, b.request("hello"))
				done <- e
			}()
		}
		for range 20 {
			if e := <-done; e != nil {
				t.Error(e)
			}
		}
		if n := strings.Count(strings.Join(b.calls(), "\n"), ":loadCodeAssist"); n != 1 {
			t.Errorf("%d looks", n)
		}
		time.Sleep(30 * time.Minute)
		b.ask(u, b.request("hello"))
		if got := b.calls(); len(got) != 1 {
			t.Error(got)
		}
		g, _ := b.sim.Assist(b.name).Issue("ann@example.test")
		time.Sleep(30 * time.Hour)
		g, _ = b.sim.Assist(b.name).Issue(g.User.Email)
		b.cred.Access = secretOf(g.Access)
		b.sim.Script("gemini-cli/loadCodeAssist", "google:row=unavailable")
		if _, e := b.ask(u, b.request("hello")); e != nil {
			t.Error(e)
		}
		if got := strings.Join(b.calls(), " "); got != "gemini-cli :loadCodeAssist gemini-cli :streamGenerateContent" {
			t.Error(got)
		}
	})
}
