package openaicompat

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// lists serves model lists by path.
func lists(t *testing.T, byPath map[string]string) (*httptest.Server, *[]string) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		switch body := byPath[r.URL.Path]; body {
		case "":
			http.NotFound(w, r)
		case "401":
			w.WriteHeader(http.StatusUnauthorized)
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(srv.Close)
	return srv, &asked
}

const two = `{"data":[{"id":"a"},{"id":"b"}]}`

func TestTestFindsTheAddressOfTheAPI(t *testing.T) {
	for name, c := range map[string]struct {
		base  string
		lists map[string]string
		want  provider.Tested
		kind  apierror.Kind // 0 = none
		asked []string
	}{
		"as it is":             {"/api", map[string]string{"/api/models": two}, provider.Tested{Models: 2}, 0, []string{"/api/models"}},
		"with a version":       {"", map[string]string{"/v1/models": two}, provider.Tested{BaseURL: "/v1", Models: 2}, 0, []string{"/models", "/v1/models"}},
		"a page in its place":  {"", map[string]string{"/models": "<html>", "/v1/models": two}, provider.Tested{BaseURL: "/v1", Models: 2}, 0, []string{"/models", "/v1/models"}},
		"another version":      {"/api/paas/v4", map[string]string{"/api/paas/v4/v1/models": two}, provider.Tested{Note: "x"}, 0, []string{"/api/paas/v4/models"}},
		"no list anywhere":     {"", nil, provider.Tested{Note: "x"}, 0, []string{"/models", "/v1/models"}},
		"an empty list":        {"/v1", map[string]string{"/v1/models": `{"data":[]}`}, provider.Tested{Note: "x"}, 0, []string{"/v1/models"}},
		"a refused key":        {"/v1", map[string]string{"/v1/models": "401"}, provider.Tested{}, apierror.AuthExpired, []string{"/v1/models"}},
		"a refused key deeper": {"", map[string]string{"/v1/models": "401"}, provider.Tested{BaseURL: "/v1"}, apierror.AuthExpired, []string{"/models", "/v1/models"}},
		"a failing service":    {"/v1", map[string]string{"/v1/models": "500"}, provider.Tested{}, apierror.Upstream5xx, []string{"/v1/models"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv, asked := lists(t, c.lists)
			f := newFake(t, ok)
			u := f.open(map[string]string{provider.SettingBaseURL: srv.URL + c.base}, "k")
			got, err := u.Test(t.Context())
			if c.want.BaseURL != "" {
				c.want.BaseURL = srv.URL + c.want.BaseURL
			}
			if c.want.Note != "" && got.Note != "" {
				c.want.Note = got.Note
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if (err != nil) != (c.kind != 0) || err != nil && apierror.KindOf(err) != c.kind {
				t.Error(err)
			}
			if !slices.Equal(*asked, c.asked) {
				t.Errorf("asked %v", *asked)
			}
		})
	}
}

func TestTestOfADeadAddressAsksOnce(t *testing.T) {
	f := newFake(t, ok)
	u := f.open(map[string]string{provider.SettingBaseURL: "http://127.0.0.1:1"}, "k")
	if _, err := u.Test(t.Context()); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
}

func TestRicherListIsAskedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		lists map[string]string
		want  int64
	}{
		"there":     {map[string]string{"/api/v0/models": `{"data":[{"id":"a","max_context_length":4096,"type":"llm"},{"id":"e","type":"embeddings"}]}`, "/v1/models": two}, 4096},
		"not there": {map[string]string{"/v1/models": two}, 0},
		"empty":     {map[string]string{"/api/v0/models": "[]", "/v1/models": two}, 0},
	} {
		srv, _ := lists(t, c.lists)
		up, err := New(provider.Info{ID: "lm", ModelsURL: "/api/v0/models"}).Open(provider.Env{HTTP: http.DefaultClient, Settings: map[string]string{provider.SettingBaseURL: srv.URL + "/v1"}})
		if err != nil {
			t.Fatal(err)
		}
		models, err := up.Models(t.Context())
		if err != nil || len(models) != 2 || models[0].ID != "a" || models[0].Context != c.want {
			t.Errorf("%s: %+v %v", name, models, err)
		}
	}
}
