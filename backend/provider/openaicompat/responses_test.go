package openaicompat

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/provider/providertest"
	"patchbay/backend/wire/responses"
)

func TestResponsesConformance(t *testing.T) {
	providertest.Run(t, providertest.Subject{
		Driver: func(idle time.Duration) provider.Driver {
			return NewResponses(provider.Info{ID: "mine", Name: "Mine", Policy: provider.Policy{Idle: idle}})
		},
		Format: providertest.Responses(),
		Settings: func(base string) map[string]string {
			return map[string]string{provider.SettingBaseURL: base + "/v1/responses"}
		},
	})
}

const okResponse = `200 {"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"fine","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1}}`

func (f *fake) responder(settings map[string]string) *responder {
	f.t.Helper()
	u := f.open(settings, "k")
	f.log.Reset() // of the driver for Chat, which has other quirks
	up, err := NewResponses(provider.Info{ID: "mine"}).Open(u.env)
	if err != nil {
		f.t.Fatal(err)
	}
	return up.(*responder)
}

func asked(t *testing.T, op, body string) *canon.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "/v1/responses", nil)
	r.Header.Set("OpenAI-Beta", "x=1")
	r.Header.Set("Session-Id", "s")
	r.Header.Set("Authorization", "Bearer client")
	opName := responses.OpCreate
	switch op {
	case "compact":
		opName = responses.OpCompact
	case "count":
		opName = responses.OpCount
	}
	req, err := responses.Codec{}.Decode(opName, r, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "m"
	return req
}

func TestRefusedMemberIsLeftOutOnceAndRemembered(t *testing.T) {
	for _, body := range []string{"", `{"model":"x","temperature":0.5,"input":"hi"}`} {
		f := newFake(t, unsupported("temperature"), okResponse)
		req := plain()
		if body != "" {
			req = asked(t, "", body)
		}
		u := f.responder(nil)
		r, e := providertest.Follow(t, u.Stream(t.Context(), req))
		if e != nil {
			t.Fatal(e)
		}
		if _, sent := f.bodies[1]["temperature"]; sent || f.bodies[0]["temperature"] != 0.5 || f.bodies[1]["store"] != false {
			t.Errorf("%v", f.bodies)
		}
		if !slices.ContainsFunc(r.Dropped, func(w canon.Warning) bool { return w.Field == "temperature" }) {
			t.Errorf("not reported: %v", r.Dropped)
		}
		providertest.Follow(t, u.Stream(t.Context(), req))
		if _, sent := f.bodies[2]["temperature"]; sent || len(f.bodies) != 3 {
			t.Errorf("the next request asked again: %v", f.bodies[2:])
		}
	}
}

func TestWhichMembersAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		kind             apierror.Kind
		param, code, msg string
		want             string
	}{
		{apierror.InvalidRequest, "reasoning.summary", "unsupported_value", "", "reasoning.summary"},
		{apierror.InvalidRequest, "include[0]", "", "Encrypted content is not supported with this model.", "include"},
		{apierror.InvalidRequest, "text.verbosity", "unsupported_value", "", "text.verbosity"},
		{apierror.InvalidRequest, "store", "unsupported_value", "", ""},
		{apierror.InvalidRequest, "input", "unsupported_value", "", ""},
		{apierror.InvalidRequest, "temperature", "invalid_type", "expected a number", ""},
		{apierror.RateLimited, "temperature", "unsupported_parameter", "", ""},
	} {
		got, ok := refusedMember(&apierror.Error{Kind: c.kind, Param: c.param, Msg: c.msg, Upstream: apierror.Upstream{Code: c.code}})
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%+v: %q, %v", c, got, ok)
		}
	}
}

func TestOneLevelThatIsNotKnownIsNotRemembered(t *testing.T) {
	f := newFake(t, `400 {"error":{"message":"Unsupported value","param":"reasoning.effort","code":"unsupported_value"}}`, okResponse)
	u := f.responder(nil)
	if _, e := providertest.Follow(t, u.Stream(t.Context(), asked(t, "", `{"model":"x","reasoning":{"effort":"xhigh","summary":"auto"},"input":"hi"}`))); e != nil {
		t.Fatal(e)
	}
	second, _ := f.bodies[1]["reasoning"].(map[string]any)
	if len(f.notes) != 0 || second["effort"] != nil || second["summary"] != "auto" {
		t.Errorf("%v %v", f.notes, f.bodies[1])
	}
}

func TestRefusedReasoningIsStrippedOnce(t *testing.T) {
	bad := `400 {"error":{"message":"The encrypted content gAAA could not be verified.","code":"invalid_encrypted_content","param":"input"}}`
	f := newFake(t, bad, bad)
	req := asked(t, "", `{"model":"x","input":[{"role":"user","content":"hi"},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAAAAB1"},{"role":"assistant","content":"yes"},{"role":"user","content":"go on"}]}`)
	_, e := providertest.Follow(t, f.responder(nil).Stream(t.Context(), req))
	if e == nil || !e.BadSignature || len(f.bodies) != 2 {
		t.Fatalf("%v after %d requests", e, len(f.bodies))
	}
	if n := len(f.bodies[1]["input"].([]any)); n != 3 {
		t.Errorf("%v", f.bodies[1])
	}
}

// Nothing of what only another service may know leaves, and storing is the client's own choice.
func TestWhatLeaves(t *testing.T) {
	f := newFake(t, okResponse)
	u := f.responder(nil)
	providertest.Follow(t, u.Stream(t.Context(), asked(t, "", `{"model":"x","input":"hi","store":true,"previous_response_id":"resp_0","client_metadata":{"a":"b"}}`)))
	if b := f.bodies[0]; b["store"] != true || b["previous_response_id"] != "resp_0" || b["client_metadata"] != nil {
		t.Errorf("%v", b)
	}
	if h := f.headers[0]; h.Get("Openai-Beta") != "x=1" || h.Get("Session-Id") != "" || h.Get("Authorization") != "Bearer k" {
		t.Errorf("%v", h)
	}
	f.responder(map[string]string{provider.SettingQuirks: "no_store, drop=top_p, efforts=low, own_host, convert, rerender, force_stream, no_system_role, no_item_ids, drop=, what"}).
		Stream(t.Context(), asked(t, "", `{"model":"x","input":"hi","store":true,"top_p":1,"reasoning":{"effort":"high"}}`))(func(canon.Event, error) bool { return true })
	if b := f.bodies[1]; b["store"] != false || b["top_p"] != nil || b["stream"] != true {
		t.Errorf("%v", b)
	}
	if n := strings.Count(f.log.String(), "Unknown quirk"); n != 2 || !strings.Contains(f.log.String(), "quirk=what") {
		t.Errorf("%s", f.log.String())
	}
}

func TestCompactionIsPassedOn(t *testing.T) {
	answer := `{"id":"resp_2","object":"response.compaction","output":[{"type":"compaction","encrypted_content":"gAAA"}]}`
	f := newFake(t, "200 "+answer, `404 {"error":{"message":"no"}}`, "200 []", "500 {}")
	u := f.responder(nil)
	req := asked(t, "compact", `{"model":"x","input":"hi","stream":true,"store":false,"include":["reasoning.encrypted_content"],"instructions":"i"}`)
	got, err := u.Compact(t.Context(), req)
	if err != nil || string(got) != answer {
		t.Errorf("%s %v", got, err)
	}
	if b := f.bodies[0]; f.paths[0] != "/v1/responses/compact" || len(b) != 3 || b["model"] != "m" || b["instructions"] != "i" {
		t.Errorf("%s %v", f.paths[0], b)
	}
	for _, want := range []apierror.Kind{apierror.RouteNotFound, apierror.Upstream5xx, apierror.Upstream5xx} {
		if _, err := u.Compact(t.Context(), req); apierror.KindOf(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestTokensAreCountedByTheService(t *testing.T) {
	f := newFake(t, `200 {"object":"response.input_tokens","input_tokens":7}`, "200 {}")
	u := f.responder(nil)
	req := asked(t, "count", `{"model":"x","input":"hi","stream":true,"tools":[]}`)
	if n, err := u.CountTokens(t.Context(), req); n != 7 || err != nil || f.bodies[0]["stream"] != nil || f.bodies[0]["store"] != nil {
		t.Errorf("%d %v %v", n, err, f.bodies[0])
	}
	if _, err := u.CountTokens(t.Context(), req); apierror.KindOf(err) != apierror.Unsupported {
		t.Errorf("%v", err)
	}
}

func TestBuiltInResponses(t *testing.T) {
	i := Responses{}.Info()
	if i.ID != "openai-responses" || i.Wire != responses.Name || i.BaseURL != "https://api.openai.com/v1" || len(i.Models) == 0 {
		t.Errorf("%+v", i)
	}
	for _, f := range i.Fields {
		if f.Key == provider.SettingMaxTokens {
			t.Error("a setting that means nothing here")
		}
	}
	if _, err := (Responses{}).Open(provider.Env{}); err == nil {
		t.Error("opened without a connection")
	}
}
