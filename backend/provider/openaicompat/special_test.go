package openaicompat

import (
	"net/http"
	"strings"
	"testing"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/wire/openai"
)

// special opens an account at a service that does something special.
func (f *fake) special(s Special) *upstream {
	f.t.Helper()
	env := f.open(nil, "k").env
	up, err := New(provider.Info{ID: "mine"}).With(s).Open(env)
	if err != nil {
		f.t.Fatal(err)
	}
	return up.(*upstream)
}

func TestASpecialService(t *testing.T) {
	signed := 0
	s := Special{
		Quirks: []string{"force_stream"},
		Base:   func(provider.Credential) string { return "https://never.example.test" },
		Sign: func(h http.Header, c provider.Credential, req *canon.Request) {
			signed++
			h.Set("X-Signed", c.Access.Reveal()+req.Model)
		},
		Options: func(o *openai.Options, _ *canon.Request) {
			o.Extra = append(o.Extra, canon.Edit{Name: "extra", Value: []byte("1")})
		},
		Refine: func(e *apierror.Error, _ http.Header, c provider.Credential) {
			e.Msg = "mine: " + c.Access.Reveal()[:0] + e.Msg
		},
		Again: func(e *apierror.Error) bool { return e.Upstream.Status == 406 },
	}
	f := newFake(t, "406 {}", "200 data: {\"choices\":[{\"delta\":{\"content\":\"fine\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", `200 {"error":{"message":"inside"}}`, "500 {}")
	u := f.special(s)
	req := &canon.Request{Format: "test", Model: "m", Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "x"}}}}}
	if r, err := canon.Collect(u.Stream(t.Context(), req)); err != nil || len(r.Parts) != 1 || signed != 2 || f.bodies[1]["extra"] != 1.0 || f.bodies[1]["stream"] != true || f.headers[1].Get("X-Signed") != "km" {
		t.Errorf("%v %+v, signed %d times, %v", err, r, signed, f.bodies)
	}
	for range 2 { // inside an answer, and instead of one
		if _, err := canon.Collect(u.Stream(t.Context(), req)); err == nil || !strings.HasPrefix(apierror.From(err).Msg, "mine: ") {
			t.Error(err)
		}
	}
}

func TestTheAddressOfALogin(t *testing.T) {
	d := New(provider.Info{ID: "mine", BaseURL: "https://usual.example.test/v1"}).With(Special{
		Base: func(c provider.Credential) string { return c.Extra["at"] },
	})
	for at, want := range map[string]string{"": "https://usual.example.test/v1", "https://own.example.test/v1": "https://own.example.test/v1"} {
		up, err := d.Open(provider.Env{HTTP: http.DefaultClient})
		if err != nil {
			t.Fatal(err)
		}
		if got := up.(*upstream).baseOf(provider.Credential{Extra: map[string]string{"at": at}}); got != want {
			t.Errorf("%q: %s", at, got)
		}
	}
}

func TestAServiceWithoutAList(t *testing.T) {
	f := newFake(t, ok)
	u := f.special(Special{NoList: true})
	models, err := u.Models(t.Context())
	tested, err2 := u.Test(t.Context())
	if models != nil || err != nil || err2 != nil || tested.Note == "" || len(f.paths) != 0 {
		t.Errorf("%v %v %+v %v %v", models, err, tested, err2, f.paths)
	}
}
