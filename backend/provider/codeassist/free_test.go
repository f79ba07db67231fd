package codeassist

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/simulator"
	"patchbay/backend/wire/gemini"
)

// geminiRequest reads a request as a client of the Gemini API sends it.
func (b *bench) geminiRequest(body string) *canon.Request {
	b.t.Helper()
	r, err := gemini.Codec{}.Decode(gemini.OpStream, httptest.NewRequest("POST", "/v1beta/models/"+b.model()+":streamGenerateContent?alt=sse", nil), []byte(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Model, r.Conversation = b.model(), "talk-1"
	return r
}

func ids(list []canon.Model) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.ID)
	}
	return out
}

func TestModels(t *testing.T) {
	cli := newBench(t, GeminiCLI(), "ann@example.test")
	list, err := cli.open().Models(t.Context())
	if err != nil || !slices.Contains(ids(list), "gemini-3-pro-preview") {
		t.Error(ids(list), err)
	}
	b := newBench(t, Antigravity(), "ann@example.test")
	u := b.open()
	list, err = u.Models(t.Context())
	got := ids(list)
	if err != nil || len(got) == 0 || got[0] != "claude-opus-4-6-thinking" || slices.Contains(got, "chat_20706") || slices.Contains(got, "tab_flash_lite_preview") {
		t.Error(got, err)
	}
	claude := list[slices.IndexFunc(list, func(m canon.Model) bool { return m.ID == "claude-sonnet-4-6" })]
	if claude.MaxOutput != 64000 || claude.Context != 200000 || claude.BudgetMax != 64000 || claude.Thinking != canon.Yes || claude.Tools != canon.Yes {
		t.Errorf("%+v", claude)
	}
	r := b.request("hello") // a model that the list says was replaced
	r.Model = "gemini-3-pro-high"
	if _, e := b.ask(u, r); e != nil {
		t.Error(e)
	}
	if sent := string(b.last(":streamGenerateContent").Body); !strings.Contains(sent, `"model":"gemini-pro-agent"`) {
		t.Error(sent)
	}
	b.calls()
	b.sim.Script("antigravity/fetchAvailableModels", "google:row=other_403") // with the project
	if list, err = u.Models(t.Context()); err != nil || len(list) == 0 {
		t.Error(err)
	}
	if sent := string(b.last(":fetchAvailableModels").Body); sent != "{}" {
		t.Error(sent)
	}
	b.sim.Script("antigravity/fetchAvailableModels", "google:row=verify")
	if _, err = u.Models(t.Context()); apierror.KindOf(err) != apierror.AccountBlocked {
		t.Error(err)
	}
	b.env.Settings[provider.SettingModels] = "mine, yours"
	if list, err = b.open().Models(t.Context()); err != nil || strings.Join(ids(list), " ") != "mine yours" {
		t.Error(list, err)
	}
	for _, read := range []func(*upstream, []byte) ([]canon.Model, error){quotaModels, availableModels} {
		if _, err := read(u, []byte(`[`)); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Error(err)
		}
	}
}

// TestFallbackModels: what stands in the description is known to the driver, with a dated list for each.
func TestFallbackModels(t *testing.T) {
	for _, d := range []Driver{{}, Antigravity()} {
		info := d.Info()
		if len(info.Models) < 10 || info.Risk == nil || !info.Off || !info.Policy.RefreshBorrowed {
			t.Errorf("%+v", info)
		}
		for _, m := range info.Models {
			if m.ID == "" || m.Context == 0 && !strings.Contains(m.ID, "image") {
				t.Errorf("%+v", m)
			}
		}
	}
	if (Driver{}).Info().Status != provider.StatusLicensed || !strings.Contains((Driver{}).Info().Instead, "antigravity") {
		t.Error("it is not told who can use it")
	}
	if _, err := Antigravity().Open(provider.Env{}); err == nil {
		t.Error("it opens without a connection")
	}
}

func TestQuota(t *testing.T) {
	b := newBench(t, GeminiCLI(), "ann@example.test")
	u := b.open()
	b.ask(u, b.request("hello"))
	list, err := u.Quota(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q := list[slices.IndexFunc(list, func(q provider.Quota) bool { return q.Name == "gemini-2.5-pro" })]
	if q.Unit != "requests" || int(q.Used+0.5) != 1 || int(q.Limit+0.5) != 1000 || q.ResetsAt <= time.Now().UnixMilli() || q.Models[0] != "gemini-2.5-pro" {
		t.Errorf("%+v", q)
	}
	a := newBench(t, Antigravity(), "ann@example.test")
	au := a.open()
	for range 5 {
		r := a.request("hello")
		r.Model = "claude-sonnet-4-6"
		if _, e := a.ask(au, r); e != nil {
			t.Fatal(e)
		}
	}
	list, err = au.Quota(t.Context())
	if err != nil || len(list) != 4 {
		t.Fatal(list, err)
	}
	for _, q := range list {
		others := slices.Contains(q.Models, "claude*")
		if used := int(q.Used*10 + 0.5); others && used != 5 || !others && used != 0 || q.Limit != 100 || q.ResetsAt == 0 || !strings.Contains(q.Name, ": ") {
			t.Errorf("%+v", q)
		}
	}
	// A missing share beside a time is nothing left; a disabled bucket is none; the answer may be wrapped.
	list, err = readSummary([]byte(`{"response":{"groups":[{"buckets":[{"bucketId":"3p-5h","resetTime":"2026-11-22T23:10:00Z"},{"bucketId":"x","disabled":true,"remainingFraction":1},{}]}]}}`))
	if err != nil || len(list) != 1 || list[0].Used != 100 || list[0].Models[0] != "claude*" {
		t.Errorf("%+v %v", list, err)
	}
	if list, err = readQuota([]byte(`{"buckets":[{"modelId":"m","resetTime":"2026-11-22T23:10:00Z"},{"modelId":"n"}]}`)); err != nil || len(list) != 1 || list[0].Used != 100 {
		t.Errorf("%+v %v", list, err)
	}
	for _, read := range []func([]byte) ([]provider.Quota, error){readQuota, readSummary} {
		if _, err := read([]byte(`{"buckets":`)); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Error(err)
		}
	}
	b.sim.Script("gemini-cli/retrieveUserQuota", "google:row=subscription")
	if _, err := u.Quota(t.Context()); apierror.KindOf(err) != apierror.AccountBlocked {
		t.Error(err)
	}
}

func TestCountTokens(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		u := b.open()
		r := b.toolRequest()
		r.Messages = append(r.Messages, canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartReasoning, Text: "hm"}, {Type: canon.PartText, Text: "well"}}},
			canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "go on"}}})
		n, err := u.CountTokens(t.Context(), r)
		if err != nil || n <= 0 {
			t.Fatal(n, err)
		}
		want := `{"request":{"model":"models/gemini-2.5-pro","contents":[`
		if b.name == "antigravity" {
			want = `{"request":{"contents":[`
		}
		if sent := string(b.last(":countTokens").Body); !strings.HasPrefix(sent, want) || strings.Contains(sent, "project") || strings.Contains(sent, "hm") ||
			strings.Contains(sent, `"tools"`) != (b.name == "antigravity") {
			t.Error(sent)
		}
		b.sim.Script(b.name+"/countTokens", "google:row=not_found", "google:row=internal")
		if _, err := u.CountTokens(t.Context(), r); apierror.KindOf(err) != apierror.Unsupported {
			t.Error(err)
		}
		if _, err := u.CountTokens(t.Context(), r); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Error(err)
		}
		r.Model = "claude-sonnet-4-6"
		if _, err := u.CountTokens(t.Context(), r); b.name == "antigravity" && apierror.KindOf(err) != apierror.Unsupported {
			t.Error(err)
		}
	})
}

// TestAccountTest spends nothing and tells the plan.
func TestAccountTest(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		got, err := b.open().Test(t.Context())
		if err != nil || got.Models < 5 || !strings.Contains(got.Note, "project wide-river-4fk2p") {
			t.Error(got, err)
		}
		if all := strings.Join(b.calls(), " "); strings.Contains(all, "enerateContent") {
			t.Error(all)
		}
		b.sim.SetAssist(b.name, "ann@example.test", simulator.AssistEnded)
		if _, err := b.open().Test(t.Context()); apierror.KindOf(err) != apierror.AccountBlocked {
			t.Error(err)
		}
	})
}

// TestPictures: a model that draws is asked in its own form.
func TestPictures(t *testing.T) {
	b := newBench(t, Antigravity(), "ann@example.test")
	r := b.toolRequest()
	r.Model, r.Modalities, r.MaxTokens = "gemini-3.1-flash-image", []string{"text", "image"}, nil
	got, e := b.ask(b.open(), r)
	if e != nil || len(got.Parts) != 1 || got.Parts[0].Media == nil || len(got.Parts[0].Media.Data) == 0 {
		t.Fatal(got, e)
	}
	sent := string(b.last(":streamGenerateContent").Body)
	if !strings.Contains(sent, `"requestType":"image_gen"`) || strings.Contains(sent, "tools") || strings.Contains(sent, "sessionId") || strings.Contains(sent, "responseModalities") {
		t.Error(sent)
	}
}

// TestWhoSignedIn: without an ID token the person is looked up.
func TestWhoSignedIn(t *testing.T) {
	both(t, func(t *testing.T, b *bench) {
		b.cred.Extra = nil
		c, e := b.complete()
		if e != nil || c.Extra[provider.ExtraEmail] != "ann@example.test" || c.Extra[provider.ExtraIdentity] != issuer+"|1032-ann" {
			t.Error(c.Extra, e)
		}
		b.cred.Access = secretOf("ya29.nobody")
		if _, e := b.complete(); e == nil || e.Kind != apierror.AuthExpired {
			t.Error(e)
		}
		b.env.Token = nil
		u := b.open()
		if _, e := b.ask(u, b.request("x")); e == nil || e.Kind != apierror.AuthExpired {
			t.Error(e)
		}
	})
}
