package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got\n" + d)
	}
}

// says checks an error's kind and that its text tells each of the words.
func says(t *testing.T, err error, kind apierror.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", kind)
	}
	e := apierror.From(err)
	if e.Kind != kind {
		t.Errorf("kind %s, want %s: %v", e.Kind, kind, err)
	}
	tells(t, e.Msg, words...)
}

func tells(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

// direct is a transport that calls a handler in the caller's goroutine: no socket, so that virtual time works.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("connection reset")
		}
	}()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	r.RequestURI = r.URL.RequestURI()
	d.h.ServeHTTP(w, r)
	r.RequestURI = ""
	return w.Result(), nil
}

// driver is a provider whose logins a test chooses.
type driver struct{ info provider.Info }

func (d driver) Info() provider.Info                          { return d.info }
func (d driver) Open(provider.Env) (provider.Upstream, error) { return upstream{}, nil }

type upstream struct{}

func (upstream) Stream(context.Context, *canon.Request) canon.Stream { return nil }
func (upstream) Models(context.Context) ([]canon.Model, error)       { return nil, nil }

// plainInfo is a provider with the standard logins at base.
func plainInfo(base string) provider.Info {
	return provider.Info{ID: "sim", Name: "Sim", Logins: []provider.Login{
		{Kind: provider.LoginKey},
		{Kind: provider.LoginBrowser, AuthURL: base + "/authorize", TokenURL: base + "/token", Client: "sim-client", PKCE: true,
			Scopes: []string{"a", "b"}, Params: map[string]string{"prompt": "consent"}, CallbackHost: "127.0.0.1", CallbackPath: "/oauth/callback"},
		{Kind: provider.LoginDevice, DeviceURL: base + "/device/code", TokenURL: base + "/token", Client: "sim-client", PKCE: true},
	}}
}

// desk is a Logins with an authorisation server behind it.
type desk struct {
	*Logins
	sim   *simulator.OAuth
	d     *driverBox
	base  string
	http  *http.Client
	mu    sync.Mutex // guards saved
	saved []Finished
}

// driverBox lets a test put another driver in.
type driverBox struct{ provider.Driver }

// newDesk starts an authorisation server. With sockets it listens; without, everything happens in the caller's goroutine.
func newDesk(t *testing.T, o simulator.OAuthOptions, sockets bool) *desk {
	t.Helper()
	o.Client = "sim-client"
	k := &desk{sim: simulator.NewOAuth(o), base: "http://auth.example.test"}
	k.http = &http.Client{Transport: direct{k.sim.Handler()}}
	if sockets {
		srv := httptest.NewServer(k.sim.Handler())
		t.Cleanup(srv.Close)
		k.base, k.http = srv.URL, srv.Client()
	}
	k.d = &driverBox{driver{plainInfo(k.base)}}
	k.Logins = NewLogins(LoginNeeds{
		Driver: func(id string) (provider.Driver, map[string]string, error) {
			if id != "sim" {
				return nil, nil, errors.New("no such provider")
			}
			return k.d.Driver, map[string]string{"base_url": k.base}, nil
		},
		HTTP: func(_, proxy string) *http.Client {
			if proxy != "" {
				return &http.Client{Transport: broken{}}
			}
			return k.http
		},
		Account: func(_ context.Context, id string) (Known, error) {
			if id != "a1" {
				return Known{}, apierror.Invalid("account", "there is no account %q", id)
			}
			return Known{ID: "a1", Provider: "sim", Label: "Ann's", Login: "browser", Email: "ann@example.test", Notes: map[string]string{"project": "p1"}}, nil
		},
		HasAccounts: func(string) bool { return true },
		Save: func(_ context.Context, f Finished) (Saved, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.saved = append(k.saved, f)
			return Saved{Account: "new", Label: f.Credential.Extra[provider.ExtraEmail]}, nil
		},
		Holder: func(int) string { return "codex (process 123)" },
	})
	t.Cleanup(k.Close)
	return k
}

type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, apierror.New(apierror.Transport, "the proxy of this account cannot be used")
}

func (k *desk) login(fn func(*provider.Login)) {
	info := k.d.Info()
	for i := range info.Logins {
		if info.Logins[i].Kind == provider.LoginBrowser {
			fn(&info.Logins[i])
		}
	}
	k.d.Driver = driver{info}
}

func (k *desk) start(t *testing.T, st Start) Progress {
	t.Helper()
	if st.Provider == "" && st.Account == "" {
		st.Provider = "sim"
	}
	p, err := k.Start(t.Context(), st)
	check(t, err)
	return p
}

// end waits for the end of a sign-in.
func (k *desk) end(t *testing.T, id string) Progress {
	t.Helper()
	p := Progress{Seq: -1}
	for !p.State.Final() {
		var err error
		p, err = k.Watch(t.Context(), id, p.Seq)
		check(t, err)
		if t.Context().Err() != nil {
			t.Fatal("the sign-in does not end", p)
		}
	}
	return p
}

func (k *desk) finished() []Finished {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.saved
}

// secretsOf are the texts of a credential, for comparing.
func secretsOf(c provider.Credential) []string {
	return []string{c.Access.Reveal(), c.Refresh.Reveal()}
}

func cred(access, refresh string, life time.Duration) provider.Credential {
	now := time.Now()
	return provider.Credential{Access: secret.New(access), Refresh: secret.New(refresh), Issued: now, Expiry: now.Add(life)}
}
