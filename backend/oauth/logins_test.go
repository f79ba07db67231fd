package oauth

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

func TestBrowserSignIn(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{PKCE: "required", IDTokens: true}, true)
	p := k.start(t, Start{Name: "work", Fields: nil})
	if p.State != Waiting || !p.Paste || p.Note != "" {
		t.Error(p)
	}
	u, err := url.Parse(p.URL)
	check(t, err)
	q := u.Query()
	diff(t, []string{"a b", "consent", "S256", "code"}, []string{q.Get("scope"), q.Get("prompt"), q.Get("code_challenge_method"), q.Get("response_type")})
	at, text, err := simulator.Click(t.Context(), k.http, p.URL, "ann@example.test")
	check(t, err)
	tells(t, text, "You are signed in", "ann@example.test", "close this page")
	if strings.Contains(text, at.Query().Get("code")) {
		t.Error("the page shows the code")
	}
	if p = k.end(t, p.ID); p.State != Done || p.Account != "new" || p.URL != "" {
		t.Error(p)
	}
	f := k.finished()
	if len(f) != 1 || f[0].Name != "work" || f[0].Login != "browser" || f[0].Credential.Refresh.Empty() {
		t.Fatal(f)
	}
	diff(t, "https://sim.example.test|u-ann", f[0].Credential.Identity())
	if left := time.Until(f[0].Credential.Expiry); left < 59*time.Minute || left > time.Hour {
		t.Error(left)
	}
	if _, err := net.DialTimeout("tcp", at.Host, time.Second); err == nil {
		t.Error("the callback still listens")
	}
}

func get(t *testing.T, address string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	check(t, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(b), resp.Header
}

func redirectIn(t *testing.T, address string) (redirect, state string) {
	t.Helper()
	u, err := url.Parse(address)
	check(t, err)
	return u.Query().Get("redirect_uri"), u.Query().Get("state")
}

func TestCallbackIsChecked(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	p := k.start(t, Start{})
	redirect, state := redirectIn(t, p.URL)
	status, text, head := get(t, redirect+"?code=stolen&state=wrong")
	if status != http.StatusBadRequest || !strings.Contains(text, "not known") || strings.Contains(text, "stolen") {
		t.Error(status, text)
	}
	if head.Get("Cache-Control") != "no-store" || !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error(head)
	}
	u, _ := url.Parse(redirect)
	for _, path := range []string{"/favicon.ico", "/"} {
		if status, _, _ = get(t, "http://"+u.Host+path); status != http.StatusNotFound {
			t.Error(path, status)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, redirect+"?code=x&state="+state, nil)
	req.Host = "rebound.example.test"
	resp, err := http.DefaultTransport.RoundTrip(req)
	check(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Error(resp.StatusCode)
	}
	// An error without a state is told, but ends nothing: anybody can send it.
	_, text, _ = get(t, redirect+"?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E")
	if strings.Contains(text, "<script>") {
		t.Error(text)
	}
	now, err := k.Watch(t.Context(), p.ID, 0)
	check(t, err)
	tells(t, now.Note, "access_denied", "<script>") // a note is text; pages escape it
	if now.State != Waiting {
		t.Error(now)
	}
	_, text, err = simulator.Click(t.Context(), k.http, p.URL, "ann@example.test")
	check(t, err)
	tells(t, text, "You are signed in")
}

func TestRefusedOnThePage(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	p := k.start(t, Start{})
	_, text, err := simulator.Click(t.Context(), k.http, p.URL, "deny")
	check(t, err)
	tells(t, text, "did not work", "allow the access")
	if p = k.end(t, p.ID); p.State != Failed || p.Outcome != "denied" || len(k.finished()) != 0 {
		t.Error(p)
	}
	tells(t, p.Text, "refused on the service", "Start it again")
}

func TestAnswerCountsOnce(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	gate := make(chan struct{})
	k.needs.Save = func(context.Context, Finished) (Saved, error) { <-gate; return Saved{Account: "x", Label: "x"}, nil }
	p := k.start(t, Start{})
	redirect, state := redirectIn(t, p.URL)
	challenge, _ := url.Parse(p.URL)
	code, _ := k.sim.NewCode("ann@example.test", redirect, challenge.Query().Get("code_challenge"))
	first := make(chan string, 1)
	go func() { // ends with the sign-in
		resp, err := http.Get(redirect + "?code=" + code + "&state=" + state)
		if err != nil {
			first <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		first <- string(b)
	}()
	for p.State == Waiting {
		p, _ = k.Watch(t.Context(), p.ID, p.Seq)
	}
	status, text, _ := get(t, redirect+"?code="+code+"&state="+state)
	if status != http.StatusConflict || !strings.Contains(text, "used already") {
		t.Error(status, text)
	}
	_, err := k.Paste(p.ID, secret.New(code))
	says(t, err, apierror.InvalidRequest, "has its answer already")
	close(gate)
	tells(t, <-first, "You are signed in")
	if n := k.sim.Counts().Exchanges; n != 1 {
		t.Error(n)
	}
}

func TestReplayedCode(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	k.login(func(l *provider.Login) { l.PKCE = false })
	p := k.start(t, Start{})
	redirect, state := redirectIn(t, p.URL)
	code, _ := k.sim.NewCode("ann@example.test", redirect, "")
	_, refused := k.sim.RedeemCode(code, redirect, "")
	if refused != nil {
		t.Fatal(refused)
	}
	_, err := k.Paste(p.ID, secret.New(redirect+"?code="+code+"&state="+state))
	check(t, err)
	p = k.end(t, p.ID)
	if p.State != Failed {
		t.Error(p)
	}
	tells(t, p.Text, "used already or is too old", "start the sign-in again")
}

func TestPaste(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{PKCE: "required"}, true)
	for name, form := range map[string]func(redirect, code, state string) string{
		"address":    func(r, c, s string) string { return " \"" + r + "?code=" + c + "&state=" + s + "\"\n" },
		"wrapped":    func(r, c, s string) string { return r + "?code=" + c + "&st\nate=" + s },
		"query":      func(_, c, s string) string { return "?state=" + s + "&code=" + c },
		"code#state": func(_, c, s string) string { return c + "#" + s },
		"bare":       func(_, c, _ string) string { return "  " + c + " " },
		"own scheme": func(_, c, s string) string {
			return "kiro://kiro.kiroAgent/authenticate-success?code=" + c + "&state=" + s
		},
		"in fragment": func(r, c, s string) string { return r + "#code=" + c + "&state=" + s },
	} {
		t.Run(name, func(t *testing.T) {
			p := k.start(t, Start{Mode: ModePaste})
			if p.Kind != ModePaste {
				t.Error(p.Kind)
			}
			u, _ := url.Parse(p.URL)
			redirect, state := redirectIn(t, p.URL)
			code, _ := k.sim.NewCode("bob@example.test", redirect, u.Query().Get("code_challenge"))
			_, err := k.Paste(p.ID, secret.New(form(redirect, code, state)))
			check(t, err)
			if p = k.end(t, p.ID); p.State != Done {
				t.Error(p)
			}
		})
	}
}

func TestPasteTellsMistakes(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	p := k.start(t, Start{})
	redirect, state := redirectIn(t, p.URL)
	for text, word := range map[string]string{
		"":                          "nothing was pasted",
		p.URL:                       "sign-in page itself",
		redirect:                    "no code in this address",
		"http://[::bad":             "whole address",
		"two words":                 "does not look like a code",
		"x?code=1&state=other":      "another sign-in",
		strings.Repeat("x", 20_000): "too long",
	} {
		_, err := k.Paste(p.ID, secret.New(text))
		says(t, err, apierror.InvalidRequest, word)
	}
	now, err := k.Watch(t.Context(), p.ID, -1)
	check(t, err)
	if now.State != Waiting {
		t.Error("a mistake ended the sign-in", now)
	}
	_, err = k.Paste(p.ID, secret.New(redirect+"?error=server_error&error_description=Try+later&state="+state))
	check(t, err)
	p = k.end(t, p.ID)
	tells(t, p.Text, "Try later", "server_error")
	_, err = k.Paste("gone", secret.New("x"))
	says(t, err, apierror.RouteNotFound, "start it again")
}

func TestHostedPage(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{Redirects: []string{"http://auth.example.test/paste"}}, false)
	k.login(func(l *provider.Login) { l.PasteURL, l.PKCE = k.base+"/paste", false })
	p := k.start(t, Start{Mode: ModePaste})
	_, text, err := simulator.Click(t.Context(), k.http, p.URL, "ann@example.test")
	check(t, err)
	_, shown, ok := strings.Cut(text, "program: ")
	shown, _, _ = strings.Cut(shown, "<")
	if !ok || !strings.Contains(shown, "#") {
		t.Fatal(text)
	}
	code, _, _ := strings.Cut(shown, "#") // a bare code is bound by the verifier
	_, err = k.Paste(p.ID, secret.New(code))
	check(t, err)
	if p = k.end(t, p.ID); p.State != Done {
		t.Error(p)
	}
}

// heldPort takes a port of this machine.
func heldPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestPortsThatAreTaken(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	a, b := heldPort(t), heldPort(t)
	k.login(func(l *provider.Login) { l.CallbackPorts, l.CallbackHost = []int{a, b}, "localhost" })
	p := k.start(t, Start{})
	tells(t, p.Note, "Port "+strconv.Itoa(a)+" is taken by codex (process 123)", "port "+strconv.Itoa(b), "paste the address")
	redirect, state := redirectIn(t, p.URL)
	diff(t, "http://localhost:"+strconv.Itoa(a)+"/oauth/callback", redirect)
	u, _ := url.Parse(p.URL)
	code, _ := k.sim.NewCode("ann@example.test", redirect, u.Query().Get("code_challenge"))
	_, err := k.Paste(p.ID, secret.New(redirect+"?code="+code+"&state="+state))
	check(t, err)
	if p = k.end(t, p.ID); p.State != Done {
		t.Error(p)
	}
	free := heldPort(t)
	l, _ := net.Listen("tcp4", "127.0.0.1:0")
	free = l.Addr().(*net.TCPAddr).Port
	l.Close()
	k.login(func(l *provider.Login) { l.CallbackPorts = []int{a, free} })
	p = k.start(t, Start{})
	tells(t, p.Note, "comes back by port "+strconv.Itoa(free))
}

func TestSeveralAtOnceOnOnePort(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	k.login(func(l *provider.Login) {
		l.CallbackPorts, l.CallbackHost, l.BareRedirect = []int{port}, "localhost", true
	})
	one, two := k.start(t, Start{}), k.start(t, Start{})
	if one.Note != "" || two.Note != "" {
		t.Error(one.Note, two.Note)
	}
	redirect, state := redirectIn(t, two.URL)
	diff(t, "http://localhost:"+strconv.Itoa(port), redirect)
	u, _ := url.Parse(two.URL)
	code, _ := k.sim.NewCode("bob@example.test", redirect, u.Query().Get("code_challenge"))
	_, text, _ := get(t, redirect+"/oauth/callback?code="+code+"&state="+state)
	tells(t, text, "You are signed in")
	check(t, k.Cancel(one.ID))
	if one = k.end(t, one.ID); one.State != Canceled {
		t.Error(one)
	}
	if len(k.List()) != 2 {
		t.Error(k.List())
	}
	check(t, k.Cancel(one.ID)) // over is over
}

func TestTimeLimitAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newDesk(t, simulator.OAuthOptions{}, false)
		k.login(func(l *provider.Login) { l.PasteURL = k.base + "/paste" })
		p := k.start(t, Start{Mode: ModePaste})
		diff(t, 10*time.Minute, p.Expires.Sub(p.Started))
		p = k.end(t, p.ID)
		if p.State != Expired || p.Outcome != "timeout" || time.Since(p.Started) != 10*time.Minute {
			t.Error(p)
		}
		tells(t, p.Text, "too long", "again")
		p = k.start(t, Start{Mode: ModePaste})
		k.Close()
		if p = k.end(t, p.ID); p.State != Canceled {
			t.Error(p)
		}
		_, err := k.Start(t.Context(), Start{Provider: "sim", Mode: ModePaste})
		says(t, err, apierror.Shutdown, "stopping")
	})
}

// doored answers once its door is open; who gives up before gets nothing.
type doored struct {
	http.RoundTripper
	open chan struct{}
}

func (h doored) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-h.open:
		return h.RoundTripper.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestCancelKeepsALoginThatCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newDesk(t, simulator.OAuthOptions{}, false)
		k.login(func(l *provider.Login) { l.PasteURL = k.base + "/paste" })
		p := k.start(t, Start{Mode: ModePaste})
		u, _ := url.Parse(p.URL)
		redirect, state := redirectIn(t, p.URL)
		code, _ := k.sim.NewCode("bob@example.test", redirect, u.Query().Get("code_challenge"))
		token := doored{k.http.Transport, make(chan struct{})}
		k.http.Transport = token
		p, err := k.Paste(p.ID, secret.New(redirect+"?code="+code+"&state="+state))
		check(t, err)
		diff(t, Finishing, p.State)
		synctest.Wait() // it asks for the token
		check(t, k.Cancel(p.ID))
		synctest.Wait()
		close(token.open)
		if p = k.end(t, p.ID); p.State != Done || len(k.finished()) != 1 {
			t.Error(p)
		}
	})
}

func TestDeviceSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newDesk(t, simulator.OAuthOptions{PKCE: "required"}, false)
		p := k.start(t, Start{Mode: ModeDevice})
		if p.UserCode == "" || !strings.Contains(p.URL, p.UserCode) || p.VerifyURL == p.URL || p.Paste {
			t.Error(p)
		}
		time.Sleep(21 * time.Second)
		_, text, err := simulator.Click(t.Context(), k.http, p.URL, "ann@example.test")
		check(t, err)
		tells(t, text, "You are signed in")
		if p = k.end(t, p.ID); p.State != Done || time.Since(p.Started) != 25*time.Second {
			t.Error(p, time.Since(p.Started))
		}
		diff(t, 5, k.sim.Counts().Polls)
		_, err = k.Paste(p.ID, secret.New("x"))
		says(t, err, apierror.InvalidRequest, "takes nothing to paste")
	})
}

func TestDeviceCodeThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		act   func(k *desk, p Progress)
		state State
		how   string
		text  string
	}{
		"expired": {func(*desk, Progress) {}, Expired, "timeout", "Start it again"},
		"denied":  {func(k *desk, p Progress) { k.sim.Deny(p.UserCode) }, Failed, "denied", "refused on the service"},
		"ended":   {func(k *desk, p Progress) { k.sim.Advance(time.Hour) }, Expired, "timeout", "Start it again"},
		"foreign": {func(k *desk, p Progress) { k.sim.Trouble(simulator.TroubleForeign) }, Failed, "not_allowed", "browser instead"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newDesk(t, simulator.OAuthOptions{}, false)
				p := k.start(t, Start{Mode: ModeDevice})
				c.act(k, p)
				p = k.end(t, p.ID)
				if p.State != c.state || p.Outcome != c.how {
					t.Error(p)
				}
				tells(t, p.Text, c.text)
			})
		})
	}
}

func TestDevicePollingBearsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newDesk(t, simulator.OAuthOptions{DeviceInterval: 2 * time.Second}, false)
		p := k.start(t, Start{Mode: ModeDevice})
		k.sim.Trouble(simulator.TroubleServer, simulator.TroublePage, simulator.TroubleBusy, simulator.TroubleNoToken, simulator.TroubleError)
		time.Sleep(30 * time.Second)
		k.sim.Approve(p.UserCode, "bob@example.test")
		if p = k.end(t, p.ID); p.State != Done {
			t.Error(p)
		}
		p = k.start(t, Start{Mode: ModeDevice})
		for range 20 {
			k.sim.Trouble(simulator.TroubleServer)
		}
		p = k.end(t, p.ID)
		tells(t, p.Text, "status 500", "later")
	})
}

// ownDevice has a device login of its own making.
type ownDevice struct {
	driver
	polls []error
}

func (o *ownDevice) BeginDevice(_ context.Context, _ provider.Env, _ provider.Login, f map[string]string) (*provider.Device, error) {
	return &provider.Device{UserCode: "AB-12", URL: "https://x.test", Interval: time.Second, Expires: time.Now().Add(time.Hour),
		State: map[string]secret.Value{"n": secret.New(f["region"])}}, nil
}

func (o *ownDevice) PollDevice(_ context.Context, _ provider.Env, _ provider.Login, d *provider.Device) (provider.Credential, error) {
	err := o.polls[0]
	o.polls = o.polls[1:]
	return cred("a-"+d.State["n"].Reveal(), "r", time.Hour), err
}

// Complete fails for a moment first.
func (o *ownDevice) Complete(_ context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
	if env.Note("tried") == "" {
		env.Remember("tried", "yes")
		return c, apierror.New(apierror.Transport, "the line is down")
	}
	c.Extra = map[string]string{provider.ExtraEmail: "own@example.test"}
	return c, nil
}

func TestOwnDeviceLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newDesk(t, simulator.OAuthOptions{}, false)
		info := provider.Info{ID: "sim", Name: "Own", Logins: []provider.Login{{ID: "idc", Kind: provider.LoginDevice, Fields: []provider.Field{
			{Key: "region", Label: "Region", Default: "us-east-1", Options: []string{"us-east-1", "eu-west-1"}}, {Key: "start", Label: "Start URL", Required: true},
		}}}}
		k.d.Driver = &ownDevice{driver{info}, []error{provider.ErrPending, provider.ErrSlowDown, provider.ErrPending, nil}}
		_, err := k.Start(t.Context(), Start{Provider: "sim"})
		says(t, err, apierror.InvalidRequest, "Start URL")
		_, err = k.Start(t.Context(), Start{Provider: "sim", Fields: map[string]string{"region": "mars", "start": "s"}})
		says(t, err, apierror.InvalidRequest, "Region must be one of")
		_, err = k.Start(t.Context(), Start{Provider: "sim", Fields: map[string]string{"nope": "x"}})
		says(t, err, apierror.InvalidRequest, "does not ask")
		p := k.start(t, Start{Fields: map[string]string{"start": "s"}})
		p = k.end(t, p.ID)
		if p.State != Done || p.Label != "own@example.test" {
			t.Error(p)
		}
		if d := time.Since(p.Started); d != 1*time.Second+time.Second+6*time.Second+6*time.Second+time.Second {
			t.Error(d) // the last one is the pause before the second look-up
		}
		f := k.finished()[0]
		diff(t, map[string]string{"region": "us-east-1", "start": "s"}, f.Settings)
		diff(t, "a-us-east-1", f.Credential.Access.Reveal())
		diff(t, "yes", f.Notes["tried"])
	})
}

func TestSignInAgain(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	p := k.start(t, Start{Account: "a1"})
	u, _ := url.Parse(p.URL)
	diff(t, "ann@example.test", u.Query().Get("login_hint"))
	_, _, err := simulator.Click(t.Context(), k.http, p.URL, "ann@example.test")
	check(t, err)
	k.end(t, p.ID)
	f := k.finished()[0]
	diff(t, []string{"a1", "p1"}, []string{f.Account, f.Notes["project"]})
	_, err = k.Start(t.Context(), Start{Account: "a1", Provider: "other"})
	says(t, err, apierror.InvalidRequest, "belongs to sim")
	_, err = k.Start(t.Context(), Start{Account: "zz"})
	says(t, err, apierror.InvalidRequest, "no account")
}

func TestWhatCannotBegin(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	_, err := k.Start(t.Context(), Start{Provider: "nope"})
	says(t, err, apierror.InvalidRequest, "no provider")
	_, err = k.Start(t.Context(), Start{Provider: "sim", Login: "zz"})
	says(t, err, apierror.InvalidRequest, "it has: browser, device")
	_, err = k.Start(t.Context(), Start{Provider: "sim", Mode: ModeDevice, Proxy: secret.New("http://gone:1")})
	says(t, err, apierror.Transport, "proxy")
	k.d.Driver = driver{provider.Info{ID: "sim", Name: "Keys", Logins: []provider.Login{{Kind: provider.LoginKey}}}}
	_, err = k.Start(t.Context(), Start{Provider: "sim"})
	says(t, err, apierror.InvalidRequest, "Keys has no sign-in", "accounts add sim")
	info := plainInfo(k.base)
	k.d.Driver = driver{provider.Info{ID: "sim", Name: "X", Logins: info.Logins[1:2]}}
	_, err = k.Start(t.Context(), Start{Provider: "sim", Mode: ModeDevice})
	says(t, err, apierror.InvalidRequest, "no sign-in by a device code")
	k.d.Driver = driver{provider.Info{ID: "sim", Name: "X", Logins: info.Logins[2:]}}
	_, err = k.Start(t.Context(), Start{Provider: "sim", Mode: ModePaste})
	says(t, err, apierror.InvalidRequest, "device code only")
	k.d.Driver = driver{provider.Info{ID: "sim", Name: "X", Logins: []provider.Login{{Kind: provider.LoginDevice}}}}
	_, err = k.Start(t.Context(), Start{Provider: "sim"})
	says(t, err, apierror.Unsupported, "cannot sign in")
	k.d.Driver = driver{info}
	for range mostLive {
		k.start(t, Start{Mode: ModePaste})
	}
	_, err = k.Start(t.Context(), Start{Provider: "sim"})
	says(t, err, apierror.InvalidRequest, "20 sign-ins")
}

// ownPage builds its own address and exchanges in its own way.
type ownPage struct{ driver }

func (ownPage) AuthURL(_ provider.Env, _ provider.Login, a provider.AuthRequest) (string, error) {
	return "https://portal.example.test/signin?" + url.Values{"state": {a.State}, "to": {a.Redirect}, "again": {strconv.FormatBool(a.Again)}}.Encode(), nil
}

func (ownPage) Exchange(_ context.Context, _ provider.Env, g provider.Grant) (provider.Credential, error) {
	if g.Query.Get("code") != "" || g.Query.Get("state") != "" {
		return provider.Credential{}, apierror.New(apierror.Internal, "the code stands in Query")
	}
	return cred(g.Code.Reveal()+g.RedirectPath+g.Query.Get("login_option"), "r", time.Hour), nil
}

func (ownPage) Refresh(context.Context, provider.Env, provider.Credential) (provider.Credential, error) {
	return provider.Credential{}, nil
}

func TestOwnPage(t *testing.T) {
	k := newDesk(t, simulator.OAuthOptions{}, true)
	info := plainInfo(k.base)
	info.Logins[1].CallbackPaths = []string{"/signin/callback"}
	info.Logins[1].BareRedirect = true
	k.d.Driver = ownPage{driver{info}}
	p := k.start(t, Start{Login: "browser"})
	u, _ := url.Parse(p.URL)
	diff(t, []string{"portal.example.test", "true"}, []string{u.Host, u.Query().Get("again")})
	_, text, _ := get(t, u.Query().Get("to")+"/signin/callback?login_option=google&code=c1&state="+u.Query().Get("state"))
	tells(t, text, "You are signed in")
	diff(t, "c1/signin/callbackgoogle", k.finished()[0].Credential.Access.Reveal())
}

func TestTokenAnswersThatAreNone(t *testing.T) {
	for trouble, want := range map[simulator.OAuthTrouble]string{
		simulator.TroubleServer: "status 500", simulator.TroublePage: "a login page of the network", simulator.TroubleError: "too many users",
		simulator.TroubleNoToken: "without a token", simulator.TroubleRevoked: "start the sign-in again", simulator.TroubleForeign: "does not know this program",
		simulator.TroubleBusy: "wait a minute",
	} {
		t.Run(string(trouble), func(t *testing.T) {
			k := newDesk(t, simulator.OAuthOptions{}, true)
			p := k.start(t, Start{})
			k.sim.Trouble(trouble)
			_, text, err := simulator.Click(t.Context(), k.http, p.URL, "ann@example.test")
			check(t, err)
			tells(t, text, "did not work")
			p = k.end(t, p.ID)
			tells(t, p.Text, want)
			if p.State != Failed || len(k.finished()) != 0 {
				t.Error(p)
			}
		})
	}
}

func TestTheRestOfATokenAnswerIsKept(t *testing.T) {
	a := &Answer{Status: 200, Body: []byte(`{"access_token":"at","resource_url":"portal.example.test","expires_in":60}`)}
	tok, err := a.Token(StepExchange)
	if err != nil || tok.Access != "at" || string(tok.Rest["resource_url"]) != `"portal.example.test"` || len(tok.Rest) != 1 {
		t.Errorf("%+v %v", tok, err)
	}
}
