package forward

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/transport"
)

func open(t *testing.T, settings map[string]string, key string) *upstream {
	t.Helper()
	client, err := transport.NewClients(transport.Options{}).Client("")
	if err != nil {
		t.Fatal(err)
	}
	up, err := New(provider.Info{ID: "mine"}).Open(provider.Env{
		AccountID: "a", HTTP: client, Settings: settings,
		Token: func(context.Context) (provider.Credential, error) {
			return provider.Credential{Access: secret.New(key)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return up.(*upstream)
}

func answering(t *testing.T, h http.HandlerFunc) map[string]string {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return map[string]string{provider.SettingBaseURL: srv.URL}
}

func TestAddressesAreJoined(t *testing.T) {
	for _, c := range [][3]string{
		{"https://h", "/v1/x", "https://h/v1/x"},
		{"https://h/v1", "/v1/x", "https://h/v1/x"},
		{"https://h/v1", "/v1", "https://h/v1"},
		{"https://h/v1", "/v10/x", "https://h/v1/v10/x"},
		{"https://h/v1", "/v1beta/x", "https://h/v1/v1beta/x"},
		{"https://h/api/v4", "/v4/x?", "https://h/api/v4/x?"},
		{"https://h/things", "/things/x", "https://h/things/things/x"},
		{"https://h", "/", "https://h/"},
	} {
		u := &upstream{base: c[0]}
		if got := u.address(&provider.RawRequest{Path: c[1]}); got != c[2] {
			t.Errorf("%s + %s: %s", c[0], c[1], got)
		}
	}
	if got := (&upstream{base: "https://h"}).address(&provider.RawRequest{Path: "/x", Query: "a=1"}); got != "https://h/x?a=1" {
		t.Error(got)
	}
}

func TestOpenAndInfo(t *testing.T) {
	info := Driver{}.Info()
	if info.ID != "forward" || !info.Raw || info.Wire != Name || info.Aliases[0] != "forward-api" || len(info.Fields) == 0 || len(info.Logins) != 1 {
		t.Errorf("%+v", info)
	}
	own := New(provider.Info{Fields: []provider.Field{}, Logins: []provider.Login{}, Status: provider.StatusExperimental}).Info()
	if len(own.Fields) != 0 || len(own.Logins) != 0 || own.Status != provider.StatusExperimental {
		t.Errorf("%+v", own)
	}
	for _, env := range []provider.Env{{HTTP: http.DefaultClient}, {Settings: map[string]string{provider.SettingBaseURL: "https://h"}}} {
		if _, err := (Driver{}).Open(env); err == nil {
			t.Errorf("%+v opens", env)
		}
	}
	if u := open(t, map[string]string{provider.SettingBaseURL: "127.0.0.1:1"}, ""); u.idle != 10*time.Minute {
		t.Error("a local server may load a model first")
	}
}

func TestModelsNeverLeadHere(t *testing.T) {
	u := open(t, map[string]string{provider.SettingBaseURL: "https://h"}, "k")
	_, err := canon.Collect(u.Stream(t.Context(), &canon.Request{}))
	if e := apierror.From(err); e.Kind != apierror.Unsupported || !strings.Contains(e.Msg, "/mine/") || e.Provider != "mine" {
		t.Error(err)
	}
	if models, err := u.Models(t.Context()); models != nil || err != nil {
		t.Error(models, err)
	}
}

func TestStatusesThatAnotherAccountMayNotGet(t *testing.T) {
	long := strings.Repeat("x", transport.MaxErrorBody+1)
	for name, c := range map[string]struct {
		status int
		body   string
		kind   apierror.Kind
		spare  bool
	}{
		"refused":        {401, `{"error":{"message":"no"}}`, apierror.AuthExpired, false},
		"no money":       {402, `{}`, apierror.NoCredit, false},
		"blocked":        {403, `{}`, apierror.AccountBlocked, false},
		"slow down":      {429, `{}`, apierror.RateLimited, true},
		"failing":        {500, `oops`, apierror.Upstream5xx, true},
		"overloaded":     {529, `{}`, apierror.Overloaded, true},
		"a page":         {502, `<html>`, apierror.Upstream5xx, true},
		"a giant answer": {500, long, apierror.Upstream5xx, false},
	} {
		u := open(t, answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}), "canary-key")
		a, err := u.Forward(t.Context(), &provider.RawRequest{Method: "GET", Path: "/x"})
		e := apierror.From(err)
		if err == nil || e.Kind != c.kind || e.Scope != "*" || e.Provider != "mine" || e.AccountID != "a" || e.Upstream.Status != c.status {
			t.Errorf("%s: %+v", name, e)
		}
		if (a != nil) != c.spare {
			t.Errorf("%s: beside it %+v", name, a)
		}
		if a != nil {
			if b, _ := io.ReadAll(a.Body); string(b) != c.body || a.Status != c.status {
				t.Errorf("%s: %d %s", name, a.Status, b)
			}
		}
	}
}

func TestOtherAnswersPass(t *testing.T) {
	for _, status := range []int{200, 201, 204, 400, 404, 409, 422} {
		u := open(t, answering(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer k" {
				t.Errorf("the key: %v", r.Header)
			}
			w.WriteHeader(status)
		}), "k")
		a, err := u.Forward(t.Context(), &provider.RawRequest{Method: "POST", Path: "/x", Body: []byte("b"), Header: http.Header{"Authorization": {"Bearer other"}}})
		if err != nil || a.Status != status {
			t.Errorf("%d: %+v %v", status, a, err)
			continue
		}
		_ = a.Body.Close()
	}
}

func TestTestTellsWhetherAnybodyIsThere(t *testing.T) {
	u := open(t, answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }), "")
	if got, err := u.Test(t.Context()); err != nil || got.Note == "" {
		t.Error(got, err)
	}
	u = open(t, map[string]string{provider.SettingBaseURL: "http://127.0.0.1:1"}, "")
	if _, err := u.Test(t.Context()); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
	if _, err := u.Forward(t.Context(), &provider.RawRequest{Method: "GET", Path: "/"}); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
	u.env.Token = func(context.Context) (provider.Credential, error) {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "sign in again")
	}
	if _, err := u.Test(t.Context()); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
	if _, err := u.Forward(t.Context(), &provider.RawRequest{Method: "GET", Path: "/"}); apierror.KindOf(err) != apierror.AuthExpired {
		t.Error(err)
	}
}
