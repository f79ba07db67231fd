package codeassist

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
)

// direct brings calls to a handler without a network, so that time may be a test's own.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, errors.New("connection reset by peer")
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody
	} else {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	rec := httptest.NewRecorder()
	d.h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// bench is a driver with an account at the simulated service.
type bench struct {
	t      *testing.T
	sim    *simulator.Server
	name   string
	driver Driver
	env    provider.Env
	cred   provider.Credential
	log    bytes.Buffer

	mu    sync.Mutex // guards notes
	notes map[string]string
}

func newBench(t *testing.T, driver Driver, email string) *bench {
	t.Helper()
	b := &bench{t: t, sim: simulator.New(simulator.Options{}), driver: driver, name: driver.Info().ID, notes: map[string]string{}}
	g, ok := b.sim.Assist(b.name).Issue(email)
	if !ok {
		t.Fatal("no such person:", email)
	}
	b.cred = provider.Credential{Access: secret.New(g.Access), Refresh: secret.New(g.Refresh), Extra: map[string]string{}}
	if driver.p.agent != nil {
		b.driver.hosts = []string{"http://sim/" + simulator.Antigravity, "http://sim/" + simulator.AntigravityProd}
	}
	b.env = provider.Env{
		Provider: b.name, AccountID: "account-1", HTTP: &http.Client{Transport: direct{b.sim.Handler()}},
		Settings: map[string]string{provider.SettingLoginURL: "http://sim/" + b.name}, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
		Token: func(context.Context) (provider.Credential, error) { return b.cred, nil },
		Note: func(k string) string {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.notes[k]
		},
		Remember: func(k, v string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notes[k] = v
		},
	}
	if driver.p.agent == nil {
		b.env.Settings[provider.SettingBaseURL] = "http://sim/" + b.name
	}
	t.Cleanup(func() {
		if strings.Contains(b.log.String(), g.Access) || strings.Contains(b.log.String(), g.Refresh) {
			t.Error("a token stands in the log")
		}
	})
	return b
}

// both runs a test for each service.
func both(t *testing.T, f func(t *testing.T, b *bench)) {
	for _, d := range []Driver{GeminiCLI(), Antigravity()} {
		t.Run(d.Info().ID, func(t *testing.T) { f(t, newBench(t, d, "ann@example.test")) })
	}
}

func (b *bench) open() *upstream {
	b.t.Helper()
	u, err := b.driver.open(b.env)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// complete signs the account in.
func (b *bench) complete() (provider.Credential, *apierror.Error) {
	c, err := b.driver.Complete(b.t.Context(), b.env, b.cred)
	return c, apierror.From(err)
}

// ask sends one request and collects the answer.
func (b *bench) ask(u provider.Upstream, req *canon.Request) (*canon.Response, *apierror.Error) {
	b.t.Helper()
	r, err := canon.Collect(u.Stream(b.t.Context(), req))
	e := apierror.From(err)
	if e != nil {
		text := e.Error() + e.Upstream.Body + e.Link + e.Action
		if strings.Contains(text, b.cred.Access.Reveal()) {
			b.t.Error("a token stands in an error:", text)
		}
	}
	return r, e
}

// model is one that both kinds of tests use.
func (b *bench) model() string {
	if b.name == "antigravity" {
		return "gemini-3-flash-agent"
	}
	return "gemini-2.5-pro"
}

func (b *bench) request(text string) *canon.Request {
	r := &canon.Request{
		Format: "test", Op: "test", ModelAsked: b.model(), Model: b.model(), Stream: true, Conversation: "talk-1",
		Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: text}}}},
	}
	n := 0
	r.SetIDs(func(prefix string, digits int) string {
		n++
		return prefix + strings.Repeat("0", digits-1) + string(rune('0'+n%10))
	})
	return r
}

// calls are the methods that were called since the last time, with their hosts.
func (b *bench) calls() []string {
	var out []string
	for _, r := range b.sim.Requests() {
		out = append(out, r.Upstream+" "+strings.TrimPrefix(r.Path, "/v1internal"))
	}
	b.sim.Reset()
	return out
}

// last is the latest request of a method.
func (b *bench) last(method string) simulator.Request {
	b.t.Helper()
	all := b.sim.Requests()
	for i := len(all) - 1; i >= 0; i-- {
		if strings.HasSuffix(all[i].Path, method) {
			return all[i]
		}
	}
	b.t.Fatal("no call of", method)
	return simulator.Request{}
}

func (b *bench) texts(r *canon.Response) string {
	var s strings.Builder
	for _, p := range r.Parts {
		if p.Type == canon.PartText {
			s.WriteString(p.Text)
		}
	}
	return s.String()
}

func (b *bench) remembered() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.notes)
}
