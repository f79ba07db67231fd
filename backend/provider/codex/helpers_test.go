package codex

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
	"patchbay/backend/secret"
	"patchbay/backend/simulator"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/openai"
	"patchbay/backend/wire/responses"
)

// asking is a request of one text.
func asking(model string) *canon.Request {
	return &canon.Request{Format: "test", Op: "test", ModelAsked: "asked", Model: model, Stream: true,
		Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "hello"}}}}}
}

// bay is an account at the simulated service.
type bay struct {
	t   *testing.T
	sim *simulator.Server
	env provider.Env
	log bytes.Buffer

	mu    sync.Mutex // guards what follows
	notes map[string]string
	cred  provider.Credential
}

func plainClient(t *testing.T) *http.Client {
	t.Helper()
	clients := transport.NewClients(transport.Options{Version: "test"})
	t.Cleanup(clients.CloseIdle)
	c, err := clients.Client("")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newBay(t *testing.T) *bay {
	t.Helper()
	b := &bay{t: t, sim: simulator.New(simulator.Options{}), notes: map[string]string{}}
	if err := b.sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.sim.Close(); err != nil {
			t.Error(err)
		}
	})
	b.env = provider.Env{
		Provider: "codex", AccountID: "a", HTTP: plainClient(t), Log: slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Settings: map[string]string{provider.SettingBaseURL: b.sim.BaseURL(simulator.Codex), provider.SettingLoginURL: b.sim.LoginURL(simulator.Codex)},
		Token: func(context.Context) (provider.Credential, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.cred, nil
		},
		Note: func(key string) string {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.notes[key]
		},
		Remember: func(key, value string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notes[key] = value
		},
	}
	b.as("ann@example.test")
	return b
}

// as signs somebody in.
func (b *bay) as(email string) {
	b.t.Helper()
	g, ok := b.sim.SignIn(simulator.Codex).Issue(email)
	if !ok {
		b.t.Fatal("nobody is called " + email)
	}
	b.cred = credential(oauth.Token{Access: g.Access, Refresh: g.Refresh, ID: g.ID})
}

func (b *bay) open() *upstream {
	b.t.Helper()
	up, err := Driver{}.Open(b.env)
	if err != nil {
		b.t.Fatal(err)
	}
	return up.(*upstream)
}

func (b *bay) last() simulator.Request {
	b.t.Helper()
	all := b.sim.Requests()
	if len(all) == 0 {
		b.t.Fatal("the service got nothing")
	}
	return all[len(all)-1]
}

func ask(t *testing.T, u *upstream, req *canon.Request) (*canon.Response, *apierror.Error) {
	t.Helper()
	return providertest.Follow(t, u.Stream(t.Context(), req))
}

func text(r *canon.Response) string {
	var b strings.Builder
	for _, p := range r.Parts {
		if p.Type == canon.PartText {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// decode reads a client's request.
func decode(t *testing.T, format, body string, headers ...string) *canon.Request {
	t.Helper()
	var c wire.Codec
	var op wire.Op
	switch format {
	case "chat":
		c, op = openai.Codec{}, openai.OpChat
	case "anthropic":
		c, op = anthropic.Codec{}, anthropic.OpMessages
	case "compact":
		c, op = responses.Codec{}, responses.OpCompact
	default:
		c, op = responses.Codec{}, responses.OpCreate
	}
	r := httptest.NewRequest("POST", "/", nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	req, err := c.Decode(op, r, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "gpt-5.5"
	return req
}

// fake is a service that answers what a test says.
func fake(t *testing.T, h http.HandlerFunc) (*upstream, *[]*http.Request) {
	t.Helper()
	var seen []*http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		seen = append(seen, r)
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	notes := map[string]string{}
	up, err := Driver{}.Open(provider.Env{AccountID: "a", HTTP: plainClient(t), Settings: map[string]string{provider.SettingBaseURL: srv.URL + "/backend-api/codex"},
		Note: func(k string) string { return notes[k] }, Remember: func(k, v string) { notes[k] = v },
		Token: func(context.Context) (provider.Credential, error) {
			return provider.Credential{Access: secret.New("CANARY-token"), Extra: map[string]string{extraAccount: "w1"}}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return up.(*upstream), &seen
}
