package main

import (
	"strings"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
	"patchbay/backend/apierror"
)

// signInBench has a provider that people sign in to, and a sign-in that ends well.
func signInBench() *bench {
	b := newBench()
	b.svc.ProviderList = append(b.svc.ProviderList, api.ProviderView{ID: "sim", Name: "Sim", Enabled: true, Logins: []api.LoginOption{
		{ID: "browser", Kind: "browser"}, {ID: "device", Kind: "device"},
		{ID: "idc", Kind: "device", Fields: []api.FieldView{{Key: "start", Label: "Start URL", Required: true, Options: []string{"u1", "u2"}}}},
	}})
	b.svc.AccountList = []api.AccountView{{ID: "a1", Provider: "sim", Name: "work", State: "needs_login", Reason: "over", Login: "browser",
		Renews: true, Expires: apitest.Moment, Next: &api.NextStep{Text: "Sign in again.", Link: "https://x.test", Command: "patchbay login sim --account a1"}}}
	b.svc.LoginSteps = []api.LoginView{{State: "waiting", Seq: 1, Note: "The browser came back with an error."}, {State: "finishing", Seq: 2},
		{State: "done", Seq: 3, Text: "The account ann@example.test is ready.", Account: "a2", Label: "ann@example.test"}}
	return b
}

func TestLoginWithTheBrowser(t *testing.T) {
	b := signInBench()
	r := b.run(t, "login", "sim", "--name", "home")
	r.check(t, exitOK, "opens Sim's sign-in page", "https://sign-in.example.test/authorize", "Copy the address", "Ctrl+C", "came back with an error",
		"ann@example.test is ready", "It is used from now on")
	if b.browsed != "https://sign-in.example.test/authorize" || strings.Contains(r.out, "authorize") {
		t.Error(b.browsed, r.out)
	}
	if n := b.svc.Started; len(n) != 1 || n[0].Provider != "sim" || n[0].Name != "home" || n[0].Mode != "" || n[0].AcceptRisk {
		t.Error(n)
	}
}

func TestLoginElsewhere(t *testing.T) {
	b := signInBench()
	b.in = "\n https://127.0.0.1/?code=1&state=2 \n"
	b.svc.LoginSteps = nil
	b.svc.OnPaste = func(l *api.LoginView) { l.State, l.Text = "done", "The account x is ready." }
	b.run(t, "login", "sim", "--paste").check(t, exitOK, "Open this address and sign in", "x is ready")
	if b.browsed != "" || b.svc.Started[0].Mode != "paste" || b.svc.Pasted[0].Reveal() != "https://127.0.0.1/?code=1&state=2" {
		t.Error(b.browsed, b.svc.Started, len(b.svc.Pasted))
	}
	b = signInBench()
	b.run(t, "login", "sim", "--device", "--no-browser").check(t, exitOK, "ABCD-1234", "https://sign-in.example.test/device")
	if b.browsed != "" || b.svc.Started[0].Mode != "device" {
		t.Error(b.browsed, b.svc.Started)
	}
}

func TestLoginThatFails(t *testing.T) {
	b := signInBench()
	b.svc.LoginSteps = []api.LoginView{{State: "failed", Text: "the code was used already: start the sign-in again"}}
	b.run(t, "login", "sim").check(t, exitFailed, "used already")
	r := b.run(t, "login", "sim", "--json")
	r.check(t, exitFailed, `"state": "failed"`)
	b.run(t, "login", "nope").check(t, exitFailed, "no provider")
	b.run(t, "login", "sim", "--account", "zz").check(t, exitFailed, "no account")
	b.run(t, "login", "sim", "--device", "--paste").check(t, exitUsage, "device", "paste")
	b.svc.AccountList[0].Provider = "openai"
	b.run(t, "login", "sim", "--account", "a1").check(t, exitUsage, "belongs to openai")
	b.svc.Err = apierror.New(apierror.Transport, "the line is down")
	b.run(t, "login", "sim").check(t, exitFailed, "line is down")
}

func TestLabelIsReadFirst(t *testing.T) {
	b := signInBench()
	b.svc.Label = "Sim (2026-11): its terms forbid it."
	b.run(t, "login", "sim").check(t, exitUsage, "its terms forbid it", "--yes")
	b.in = "no\n"
	b.run(t, "login", "sim").check(t, exitFailed, "nothing was changed")
	b.in = "yes\n"
	b.run(t, "login", "sim").check(t, exitOK, "its terms forbid it", "is ready")
	b.run(t, "login", "sim", "--yes").check(t, exitOK, "is ready")
	n := len(b.svc.Started)
	if b.svc.Started[n-1].AcceptRisk != true || n != 5 {
		t.Error(b.svc.Started)
	}
	b.typed, b.in = "sk-1234567890", "no\n"
	b.run(t, "accounts", "add", "sim").check(t, exitFailed, "nothing was changed")
	b.in = "yes\n"
	b.run(t, "accounts", "add", "sim").check(t, exitOK, "Added")
	b.run(t, "accounts", "add", "sim", "--key-stdin").check(t, exitUsage, "adds --yes")
	b.run(t, "accounts", "add", "sim", "--key-stdin", "--yes").check(t, exitOK, "Added")
}

func TestLoginAsksWhatItNeeds(t *testing.T) {
	b := signInBench()
	b.in = "u1\n"
	b.run(t, "login", "sim", "--login", "idc").check(t, exitOK, "Start URL (u1, u2): ")
	if b.svc.Started[0].Fields["start"] != "u1" {
		t.Error(b.svc.Started)
	}
	b.in = ""
	b.run(t, "login", "sim", "--login", "idc").check(t, exitUsage, "--set start=")
	b.run(t, "login", "sim", "--login", "idc", "--set", "start=u2").check(t, exitOK)
}

func TestAccountVerbs(t *testing.T) {
	b := signInBench()
	b.run(t, "accounts", "show", "work").check(t, exitOK, "needs_login", "signs in by  browser", "renewed by itself", "patchbay login sim --account a1", "https://x.test")
	b.run(t, "accounts", "show", "work", "--json").check(t, exitOK, `"command": "patchbay login sim --account a1"`)
	b.run(t, "accounts", "login", "work").check(t, exitOK, "is ready")
	if b.svc.Started[0].Account != "a1" {
		t.Error(b.svc.Started)
	}
	b.run(t, "accounts", "refresh", "work").check(t, exitOK, "is renewed")
	b.run(t, "accounts", "priority", "work", "7").check(t, exitOK, "new priority")
	b.run(t, "accounts", "priority", "work", "x").check(t, exitUsage, "whole number")
	b.run(t, "accounts", "rename", "work", "play").check(t, exitOK, "new name")
	if v := b.svc.AccountList[0]; v.Name != "play" || v.Priority != 7 || v.Expires == apitest.Moment {
		t.Error(v)
	}
	for _, v := range []api.AccountView{{Owner: "cli"}, {}, {Expires: apitest.Moment}} {
		if text := renewal(v); strings.Contains(text, "renewed by itself") {
			t.Error(text)
		}
	}
}

func TestOnlyPagesAreOpened(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	for _, address := range []string{"", "file:///etc/passwd", "javascript:alert(1)", "https://", "-x"} {
		if openBrowser(address) == nil {
			t.Error(address)
		}
	}
}
