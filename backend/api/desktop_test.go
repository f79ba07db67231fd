package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
	"patchbay/backend/apierror"
)

func TestDesktopOverHTTP(t *testing.T) {
	f := full()
	f.DesktopView = api.DesktopView{Desktop: true, Tray: "registered", Window: "window", StartAtLogin: api.LoginItem{State: "stale", Path: "/opt/old", Note: "n"}}
	_, c := serve(t, f)
	ctx := t.Context()
	same(must(f.Desktop(ctx))(t))(c.Desktop(ctx))
	if v := must2(t)(c.SetStartAtLogin(ctx, true)); v.StartAtLogin.State != "on" {
		t.Errorf("switched on: %+v", v)
	}
	if st, err := c.Pause(ctx); err != nil || !st.Paused {
		t.Errorf("paused: %+v %v", st, err)
	}
	if st, err := c.Resume(ctx); err != nil || st.Paused {
		t.Errorf("resumed: %+v %v", st, err)
	}
	for _, err := range []error{c.ShowWindow(ctx, "#/accounts"), c.ShowWindow(ctx, ""), c.OpenLink(ctx, "https://example.com/a?b=c#d"), c.Quit(ctx)} {
		if err != nil {
			t.Error(err)
		}
	}
	if d := cmp.Diff([]string{"#/accounts", ""}, f.Shown); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"https://example.com/a?b=c#d"}, f.Opened); d != "" || f.Quits != 1 {
		t.Error(d, f.Quits)
	}
}

func must2(t *testing.T) func(v api.DesktopView, err error) api.DesktopView {
	return func(v api.DesktopView, err error) api.DesktopView {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestTheDesktopOpensNothingButThePageAndTheWeb(t *testing.T) {
	f := apitest.New()
	s, _ := serve(t, f)
	for _, c := range []struct{ path, body, param string }{
		{"/api/ui/show", `{"page":"https://example.com"}`, "page"},
		{"/api/ui/show", `{"page":"accounts"}`, "page"},
		{"/api/ui/show", `{"page":"#/a\nquit"}`, "page"},
		{"/api/ui/open", `{"url":"file:///etc/passwd"}`, "url"},
		{"/api/ui/open", `{"url":"javascript:alert(1)"}`, "url"},
		{"/api/ui/open", `{"url":"https:"}`, "url"},
		{"/api/ui/open", `{}`, "url"},
	} {
		resp, body := call(t, s, "POST", c.path, c.body, nil)
		if resp.StatusCode != 400 || !strings.Contains(body, `"param":"`+c.param+`"`) {
			t.Errorf("%s %s: %d %s", c.path, c.body, resp.StatusCode, body)
		}
	}
	if len(f.Shown)+len(f.Opened) > 0 {
		t.Errorf("shown %q, opened %q", f.Shown, f.Opened)
	}
}

func TestDesktopCallsReportFailure(t *testing.T) {
	f := apitest.New()
	_, c := serve(t, f)
	f.Err = apierror.New(apierror.Unsupported, "broken")
	ctx := t.Context()
	for name, err := range map[string]error{
		"pause": second(c.Pause(ctx)), "resume": second(c.Resume(ctx)), "quit": c.Quit(ctx), "desktop": second(c.Desktop(ctx)),
		"show": c.ShowWindow(ctx, ""), "open": c.OpenLink(ctx, "https://x"), "login": second(c.SetStartAtLogin(ctx, true)),
	} {
		if err == nil || apierror.From(err).Msg != "broken" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
