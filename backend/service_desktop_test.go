package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

// fakeDesktop notes what it is asked for.
type fakeDesktop struct {
	shown, opened []string
	login         bool
	err           error
}

func (f *fakeDesktop) Show(page string) error        { f.shown = append(f.shown, page); return f.err }
func (f *fakeDesktop) OpenLink(a string) error       { f.opened = append(f.opened, a); return f.err }
func (f *fakeDesktop) Tray() string                  { return "registered" }
func (f *fakeDesktop) SetStartAtLogin(on bool) error { f.login = on; return f.err }
func (f *fakeDesktop) View() api.DesktopView {
	return api.DesktopView{Desktop: true, Tray: "registered", StartAtLogin: api.LoginItem{State: map[bool]string{true: "on", false: "off"}[f.login]}}
}

func TestWithoutADesktopItsCallsSaySo(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	if v := ok(b.Desktop(ctx))(t); v != (api.DesktopView{}) {
		t.Errorf("%+v", v)
	}
	if st := ok(b.Status(ctx))(t); st.Tray != "" {
		t.Errorf("%+v", st)
	}
	_, err := b.SetStartAtLogin(ctx, true)
	for _, err := range []error{b.ShowWindow(ctx, ""), b.OpenLink(ctx, "https://x"), err} {
		refused(t, err, apierror.Unsupported, "", "without a desktop")
	}
	refused(t, b.Quit(ctx), apierror.Unsupported, "", "does not run")
}

func TestTheDesktopIsAsked(t *testing.T) {
	b := openTest(t, "", nil)
	d := &fakeDesktop{}
	b.SetDesktop(d)
	ctx := t.Context()
	if st := ok(b.Status(ctx))(t); st.Tray != "registered" {
		t.Errorf("%+v", st)
	}
	if v := ok(b.SetStartAtLogin(ctx, true))(t); v.StartAtLogin.State != "on" {
		t.Errorf("%+v", v)
	}
	if err := errors.Join(b.ShowWindow(ctx, "#/apps"), b.OpenLink(ctx, "https://x")); err != nil || fmt.Sprint(d.shown, d.opened) != "[#/apps] [https://x]" {
		t.Error(err, d.shown, d.opened)
	}
	d.err = errors.New("the disk is full")
	_, err := b.SetStartAtLogin(ctx, false)
	refused(t, err, apierror.Internal, "", "the disk is full")
}

// run runs b and returns a function that waits for its end.
func run(t *testing.T, b *Backend) (wait func() error) {
	t.Helper()
	ready, ended := make(chan struct{}), make(chan error, 1)
	b.o.Ready = func(string) { close(ready) }
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { ended <- b.Run(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return func() error { return <-ended }
}

func TestPausedRequestsAreRefusedAtOnce(t *testing.T) {
	b := openTest(t, "", nil)
	wait := run(t, b)
	ctx := t.Context()
	key := ok(b.AddKey(ctx, api.NewKey{Name: "x"}))(t).Key.Reveal()
	post := func(path, body string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.Base()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		return answer(t, req)
	}
	if st := ok(b.Pause(ctx))(t); !st.Paused {
		t.Errorf("%+v", st)
	}
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"model":"m","messages":[{"role":"user","content":"x"}]}`,
		"/v1/messages":         `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`,
	} {
		resp, text := post(path, body)
		if resp.StatusCode != 503 && resp.StatusCode != 529 || !strings.Contains(text, "paused") || resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %d %v %s", path, resp.StatusCode, resp.Header, text)
		}
	}
	if st := ok(b.Resume(ctx))(t); st.Paused {
		t.Errorf("%+v", st)
	}
	if _, text := post("/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}]}`); strings.Contains(text, "paused") {
		t.Error(text)
	}
	if err := b.Quit(ctx); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error("after Quit:", err)
	}
}

func answer(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return resp, b.String()
}

func TestRunAgainAfterThePortWasTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	b := openTest(t, "", func(o *Options) { o.Flags = map[string]string{"server.listen": l.Addr().String()} })
	err = b.Run(t.Context())
	taken, is := errors.AsType[*PortTaken](err)
	if !is || taken.Port != port || taken.Owner == "" || !strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Fatal(err)
	}
	l.Close()
	wait := run(t, b)
	if err := b.Quit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
}

func TestWhileItsPortIsTakenCommandsFindTheWaitingRoom(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	var quits atomic.Int32
	w, err := b.OpenWaitingRoom(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page "+r.URL.Path) }), func() { quits.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	client, err := Running(ctx, b.o.Paths)
	if err != nil {
		t.Fatal(err)
	}
	if st := ok(client.Status(ctx))(t); st.Base != "" || st.Version != "1.2.3" {
		t.Errorf("%+v", st)
	}
	if err := client.Quit(ctx); err != nil || quits.Load() != 1 {
		t.Error(err, quits.Load())
	}
	_, err = b.OpenPage(ctx)
	refused(t, err, apierror.Unsupported, "", "does not listen")
	get := func(path, host string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		return answer(t, req)
	}
	at := strings.TrimPrefix(w.Base, "http://")
	for _, tc := range []struct {
		path, host string
		code       int
		text       string
	}{
		{"/ui/x", at, 200, "page /ui/x"}, {"/ui/x", "evil.example", 403, "not an address"}, {"/v1/models", at, 404, ""},
		{"/api/status", at, 401, ""}, {"/api/ui/session", at, 404, ""},
	} {
		if resp, text := get(tc.path, tc.host); resp.StatusCode != tc.code || !strings.Contains(text, tc.text) {
			t.Errorf("%s for %s: %s", tc.path, tc.host, text)
		}
	}

	// Once it listens, commands find it there, and the room may go.
	wait := run(t, b)
	w.Close()
	if client, err = Running(ctx, b.o.Paths); err != nil {
		t.Fatal(err)
	}
	if st := ok(client.Status(ctx))(t); st.Base != b.Base() {
		t.Errorf("%+v", st)
	}
	if err := errors.Join(client.Quit(ctx), wait()); err != nil || quits.Load() != 1 {
		t.Error(err, quits.Load())
	}
}
