package gateway

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/ollama"
	"patchbay/backend/wire/openai"
	"patchbay/backend/wire/responses"
)

// bodies are requests whose system text has every form that its protocol knows. A leading "!" marks those that are written anew
// instead of edited.
var bodies = []struct {
	codec    wire.Codec
	op       wire.Op
	contents []string
}{
	{openai.Codec{}, openai.OpChat, []string{
		`{"messages":[{"role":"user","content":"hi"}],"n":1}`,
		`{"n":1.0,"messages":[{"role":"system","content":"one"},{"role":"user","content":"hi"},{"role":"system","content":"mid one"}]}`,
		` { "messages" : [ {"role":"developer","name":"x","content":"one"} , {"role":"system","content":[{"type":"text","text":"two"},{"text":"one","type":"text"}]}, {"role":"user","content":"hi"} ] }`,
		`{"messages":[{"role":"system","content":""},{"role":"user","content":"one \u00e9"}]}`,
		`!{"messages":[{"role":"system","content":"one"}]}`,
	}},
	{ollama.Codec{}, ollama.OpChat, []string{
		`{"messages":[{"role":"user","content":"hi"}]}`,
		`{"messages":[{"role":"system","content":"one"},{"role":"system","content":"two"},{"role":"user","content":"hi"}],"options":{"num_ctx":5}}`,
	}},
	{ollama.Codec{}, ollama.OpGenerate, []string{`{"prompt":"hi"}`, `{"system":"one","prompt":"hi"}`}},
	{anthropic.Codec{}, anthropic.OpMessages, []string{
		`{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`,
		`{"max_tokens":9,"system":"one","messages":[{"role":"user","content":"hi"}]}`,
		`{"max_tokens":9,"system":[{"type":"text","text":"one"},{"type":"text","text":"two","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"one"}]}`,
		`!{"max_tokens":9,"system":"one","messages":[{"role":"system","content":"two"},{"role":"user","content":"hi"}]}`,
	}},
	{responses.Codec{}, responses.OpCreate, []string{
		`{"input":"hi"}`,
		`{"instructions":"one","input":"hi"}`,
		`{"instructions":null,"input":[{"role":"developer","content":"one"},{"role":"user","content":"hi"}]}`,
		`{"instructions":"one","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"two"}]},{"role":"user","content":"one"}],"store":false}`,
		`!{"instructions":"one","input":[{"role":"developer","content":"two"}]}`,
	}},
	{gemini.Codec{}, gemini.OpGenerate, []string{
		`{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
		`{"systemInstruction":{"role":"user","parts":[{"text":"one"},{"text":"two"}]},"contents":[{"role":"user","parts":[{"text":"one"}]}]}`,
		`{"system_instruction":"one","contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
		`!{"systemInstruction":{"parts":{"text":"one"}},"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`,
	}},
}

// edits are what rules can ask for.
var edits = map[string]*wire.SystemEdit{
	"before":  {Before: "B"},
	"after":   {After: "A\n\"quoted\""},
	"both":    {Before: "B", After: "A"},
	"instead": {Drop: true, Before: "B", After: "I"},
	"replace": {Replace: func(s string) string { return strings.ReplaceAll(s, "one", "1") }},
	"erase":   {Replace: func(s string) string { return strings.ReplaceAll(s, "one", "") }},
	"all":     {Before: "B", After: "A", Replace: func(s string) string { return strings.ReplaceAll(s, "one", "") }},
}

func read(t *testing.T, c wire.Codec, op wire.Op, body string) *canon.Request {
	t.Helper()
	body = strings.Replace(body, "{", `{"model":"m",`, 1)
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.SetPathValue("action", "m:generateContent")
	req, err := c.Decode(op, r, []byte(body))
	if err == nil {
		err = req.Expand()
	}
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return req
}

func systemText(parts []canon.Part) string {
	var texts []string
	for _, p := range parts {
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, "\n\n")
}

// TestEditedBodySaysWhatTheEditMeans compares the body that EditSystem makes with the edit of the conversation that was read
// from it.
func TestEditedBodySaysWhatTheEditMeans(t *testing.T) {
	for _, f := range bodies {
		for _, content := range f.contents {
			content, anew := strings.CutPrefix(content, "!")
			for name, e := range edits {
				req := read(t, f.codec, f.op, content)
				was := string(req.Body.Raw)
				got, ok := f.codec.(wire.SystemEditor).EditSystem(req, e)
				if ok == anew && !(ok && e.Drop) {
					t.Errorf("%s, %s: %s: edited: %v", f.codec.Name(), name, content, ok)
				}
				if string(req.Body.Raw) != was {
					t.Errorf("%s, %s: the client's body was changed", f.codec.Name(), name)
				}
				if !ok {
					continue
				}
				parsed, err := canon.ParseObject(got.Raw)
				if err != nil {
					t.Errorf("%s, %s: %v: %s", f.codec.Name(), name, err, got.Raw)
					continue
				}
				if d := cmp.Diff(parsed, got); d != "" {
					t.Errorf("%s, %s: the members are not where they should be:\n%s", f.codec.Name(), name, d)
				}
				after := read(t, f.codec, f.op, strings.Replace(string(got.Raw), `"model":"m",`, "", 1))
				if want, have := systemText(e.Parts(req.System)), systemText(after.System); want != have {
					t.Errorf("%s, %s: %s\nbecame %s\nsystem text %q, wanted %q", f.codec.Name(), name, content, got.Raw, have, want)
				}
				if d := cmp.Diff(req.Messages, after.Messages); d != "" {
					t.Errorf("%s, %s: the conversation changed:\n%s", f.codec.Name(), name, d)
				}
			}
		}
	}
}

func TestMarksOfTheCacheStay(t *testing.T) {
	body := `{"max_tokens":9,"system":[{"type":"text","text":"one","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":"hi"}]}`
	req := read(t, anthropic.Codec{}, anthropic.OpMessages, body)
	e := &wire.SystemEdit{Drop: true, After: "I"}
	got, _ := anthropic.Codec{}.EditSystem(req, e)
	if s := string(got.Get("system")); s != `[{"type":"text","text":"I","cache_control":{"type":"ephemeral","ttl":"1h"}}]` {
		t.Error(s)
	}
	if p := e.Parts(req.System); len(p) != 1 || p[0].Cache == nil || p[0].Cache.TTL != "1h" {
		t.Errorf("%+v", p)
	}
	if req.System[0].Text != "one" {
		t.Error("the client's own request was changed")
	}
}

// rule is a Prompts that always asks for the same.
type rule struct{ e *wire.SystemEdit }

func (r rule) Edit(provider, keyID, _ string) (*wire.SystemEdit, []string) {
	return r.e, []string{"system text for " + provider + " of " + keyID}
}

func TestSystemTextIsChangedOncePerCandidateAndTold(t *testing.T) {
	broken := fails(apierror.Upstream5xx)
	s := &script{id: "a", wire: "openai", steps: map[string][]step{"1": {broken, broken, ok("x")}}}
	candidates := append(one("a"), one("a")...)
	candidates[1].Wire = "anthropic"
	r := newRig(t, candidates, s)
	r.gw.prompts = rule{&wire.SystemEdit{After: "A"}}
	r.gw.editors = map[string]wire.SystemEditor{"openai": openai.Codec{}}
	req := read(t, openai.Codec{}, openai.OpChat, `{"messages":[{"role":"system","content":"one"},{"role":"user","content":"hi"}]}`)
	was := string(req.Body.Raw)
	if _, _, err := r.call(req); err != nil || len(s.seen) != 3 {
		t.Fatalf("%d attempts: %v", len(s.seen), err)
	}
	for i, sent := range s.seen {
		if got := systemText(sent.System); got != "one\n\nA" {
			t.Errorf("attempt %d: %q", i, got)
		}
	}
	if !strings.Contains(string(s.seen[0].Body.Raw), `one\n\nA`) || string(req.Body.Raw) != was || systemText(req.System) != "one" {
		t.Errorf("%s; the client's request: %s", s.seen[0].Body.Raw, req.Body.Raw)
	}
	told := 0
	for _, a := range r.row().Trace {
		if a.Message == "system text for a of k" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times: %+v", told, r.row().Trace)
	}
}
