package responses

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

func decoded(t testing.TB, body string) *canon.Request {
	t.Helper()
	req, err := Codec{}.Decode(OpCreate, nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetIDs(counter())
	return req
}

func TestEveryFaultNamesItsField(t *testing.T) {
	for body, want := range map[string]string{
		``:                         "",
		`[]`:                       "",
		`{"model":1,"input":"x"}`:  "model",
		`{"input":"x"}`:            "model",
		`{"model":"m"}`:            "input",
		`{"model":"m","input":{}}`: "input",
		`{"model":"m","input":[]}`: "input",
		`{"model":"m","input":""}`: "input",
		`{"model":"m","input":"x","instructions":{}}`:                                                                "instructions",
		`{"model":"m","input":"x","max_output_tokens":0}`:                                                            "max_output_tokens",
		`{"model":"m","input":"x","max_output_tokens":"many"}`:                                                       "max_output_tokens",
		`{"model":"m","input":"x","top_logprobs":21}`:                                                                "top_logprobs",
		`{"model":"m","input":"x","temperature":"hot"}`:                                                              "temperature",
		`{"model":"m","input":"x","stream":1}`:                                                                       "stream",
		`{"model":"m","input":"x","metadata":[]}`:                                                                    "metadata",
		`{"model":"m","input":"x","include":"a"}`:                                                                    "include",
		`{"model":"m","input":"x","conversation":[]}`:                                                                "conversation",
		`{"model":"m","input":"x","background":true}`:                                                                "background",
		`{"model":"m","input":"x","reasoning":{"effort":"huge"}}`:                                                    "reasoning.effort",
		`{"model":"m","input":"x","reasoning":{"effort":1}}`:                                                         "reasoning.effort",
		`{"model":"m","input":"x","text":{"format":{"type":"xml"}}}`:                                                 "text.format.type",
		`{"model":"m","input":"x","text":{"format":{"type":"json_schema","schema":[]}}}`:                             "text.format.schema",
		`{"model":"m","input":"x","text":[]}`:                                                                        "text",
		`{"model":"m","input":"x","tools":{}}`:                                                                       "tools",
		`{"model":"m","input":"x","tools":[{"name":"f"}]}`:                                                           "tools[0].type",
		`{"model":"m","input":"x","tools":[1]}`:                                                                      "tools[0]",
		`{"model":"m","input":"x","tools":[{"type":"function"}]}`:                                                    "tools[0].name",
		`{"model":"m","input":"x","tools":[{"type":"function","name":"f","parameters":[]}]}`:                         "tools[0].parameters",
		`{"model":"m","input":"x","tools":[{"type":"function","name":"f"},{"type":"custom","name":"f"}]}`:            "tools",
		`{"model":"m","input":"x","tools":[{"type":"namespace"}]}`:                                                   "tools[0].name",
		`{"model":"m","input":"x","tools":[{"type":"namespace","name":"n","tools":1}]}`:                              "tools[0].tools",
		`{"model":"m","input":"x","tools":[{"type":"namespace","name":"n","tools":[{"type":"web_search"}]}]}`:        "tools[0].tools",
		`{"model":"m","input":"x","tools":[{"type":"namespace","name":"n","tools":[{"type":"function"}]}]}`:          "tools[0].tools[0].name",
		`{"model":"m","input":"x","tool_choice":"maybe"}`:                                                            "tool_choice",
		`{"model":"m","input":"x","tool_choice":{}}`:                                                                 "tool_choice.type",
		`{"model":"m","input":"x","tool_choice":7}`:                                                                  "tool_choice",
		`{"model":"m","input":"x","tool_choice":{"type":"web_search"}}`:                                              "tool_choice",
		`{"model":"m","input":[7]}`:                                                                                  "input[0]",
		`{"model":"m","input":[{}]}`:                                                                                 "input[0].type",
		`{"model":"m","input":[{"role":"robot","content":"x"}]}`:                                                     "input[0].role",
		`{"model":"m","input":[{"role":"user","content":7}]}`:                                                        "input[0].content",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}`:                                  "input[0].content[0].text",
		`{"model":"m","input":[{"role":"user","content":[{"type":"hologram"}]}]}`:                                    "input[0].content[0].type",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}`:                                 "input[0].content[0].image_url",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:;base64,AAAA"}]}]}`: "input[0].content[0].image_url",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:x"}]}]}`:            "input[0].content[0].image_url",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"pic.png"}]}]}`:           "input[0].content[0].image_url",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_file"}]}]}`:                                  "input[0].content[0]",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_data":"*"}]}]}`:                  "input[0].content[0].file_data",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_url":"x"}]}]}`:                   "input[0].content[0].file_url",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_audio"}]}]}`:                                 "input[0].content[0].input_audio.data",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"*"}}]}]}`:      "input[0].content[0].input_audio.data",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_video"}]}]}`:                                 "input[0].content[0].video_url",
		`{"model":"m","input":[{"role":"system","content":[{"type":"input_image","file_id":"f"}]}]}`:                 "input[0].content",
		`{"model":"m","input":[{"type":"function_call","call_id":"c"}]}`:                                             "input[0].name",
		`{"model":"m","input":[{"type":"function_call","name":"f"}]}`:                                                "input[0].call_id",
		`{"model":"m","input":[{"type":"function_call_output","output":"x"}]}`:                                       "input[0].call_id",
		`{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":7}]}`:                           "input[0].output",
		`{"model":"m","input":[{"type":"reasoning","summary":7}]}`:                                                   "input[0].summary",
		`{"model":"m","input":[{"type":"reasoning","summary":[],"content":7}]}`:                                      "input[0].content",
		`{"model":"m","input":[{"type":"tool_search_output","call_id":"c","tools":7}]}`:                              "input[0].tools",
		`{"model":"m","input":[{"type":"additional_tools","tools":[{}]}]}`:                                           "input[0].tools[0].type",
	} {
		_, err := Codec{}.Decode(OpCreate, nil, []byte(body))
		e := apierror.From(err)
		if err == nil || e.Kind != apierror.InvalidRequest || e.Param != want || e.Msg == "" {
			t.Errorf("%s: %v, param %q, want %q", body, err, e, want)
		}
	}
}

func TestNullIsAbsent(t *testing.T) {
	req := decoded(t, `{"model":"m","input":"x","instructions":null,"max_output_tokens":null,"temperature":null,"tools":null,"tool_choice":null,"text":null,"reasoning":null,"metadata":null,"previous_response_id":null,"stream":null,"store":null,"include":null,"weird":null}`)
	if req.MaxTokens != nil || req.Sampling.Temperature != nil || req.Tools != nil || req.Ext != nil || req.State != (canon.State{}) || req.Stream || req.Output.Kind != "" {
		t.Errorf("%+v", req)
	}
}

func TestZeroStaysZero(t *testing.T) { // trap 25
	req := decoded(t, `{"model":"m","input":"x","temperature":0,"top_p":0,"top_logprobs":0}`)
	if *req.Sampling.Temperature != 0 || *req.Sampling.TopP != 0 || *req.Sampling.TopLogprobs != 0 {
		t.Errorf("%+v", req.Sampling)
	}
}

func TestSystemTextAloneIsAPrompt(t *testing.T) {
	req := decoded(t, `{"model":"m","instructions":"a","input":[{"role":"system","content":"b"}]}`)
	if len(req.System) != 1 || len(req.Messages) != 1 || req.Messages[0].Role != canon.RoleUser || req.Messages[0].Parts[0].Text != "b" {
		t.Errorf("%+v", req)
	}
}

func TestStoredStateNeedsNoInput(t *testing.T) {
	for _, body := range []string{`{"model":"m","previous_response_id":"r"}`, `{"model":"m","conversation":"c"}`, `{"model":"m","prompt":{"id":"p"},"input":[]}`, `{"model":"m","input":[{"type":"item_reference","id":"i"}]}`} {
		req := decoded(t, body)
		if req.State == (canon.State{}) {
			t.Errorf("%s: nothing is kept of it", body)
		}
	}
}

func TestLongBodiesAreReadWhenNeeded(t *testing.T) {
	long := strings.Repeat("long text ", wire.EagerLimit/8)
	req := decoded(t, `{"model":"m","input":[{"role":"user","content":"`+long+`"},{"type":"additional_tools","tools":[{"type":"function","name":"late"}]}]}`)
	if req.Expanded() || len(req.Tools) != 0 {
		t.Fatal("it was read at once")
	}
	if err := req.Expand(); err != nil || len(req.Messages) != 1 || len(req.Tools) != 1 {
		t.Errorf("%v, %d messages, %d tools", err, len(req.Messages), len(req.Tools))
	}
	bad, err := Codec{}.Decode(OpCreate, nil, []byte(`{"model":"m","input":[{"role":"user","content":"`+long+`"},{"role":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if e := apierror.From(bad.Expand()); e == nil || e.Param != "input[1].role" {
		t.Errorf("%v", e)
	}
}

func TestConversationKeyAndHeaders(t *testing.T) {
	r := httptest.NewRequest("POST", "/v1/responses", nil)
	body := []byte(`{"model":"m","input":"x","prompt_cache_key":"key"}`)
	req, _ := Codec{}.Decode(OpCreate, r, body)
	if req.Conversation != "key" || req.Headers != nil {
		t.Errorf("%q %v", req.Conversation, req.Headers)
	}
	for name, v := range map[string]string{"session-id": "s", "openai-beta": "b", "Idempotency-Key": "i", "Cookie": "c", "Authorization": "a", "x-codex-turn-metadata": "{}"} {
		r.Header.Set(name, v)
	}
	req, _ = Codec{}.Decode(OpCreate, r, body)
	want := map[string][]string{"Openai-Beta": {"b"}, "Idempotency-Key": {"i"}, "Session-Id": {"s"}}
	if d := cmp.Diff(want, req.Headers); d != "" || req.Conversation != "s" {
		t.Errorf("%q %s", req.Conversation, d)
	}
}

// Without a key of the client's the conversation is known by its beginning.
func TestSeedIsTheBeginning(t *testing.T) {
	seed := func(body string) string { return decoded(t, body).Seed }
	a := seed(`{"model":"m","input":[{"role":"developer","content":"sys"},{"role":"user","content":[{"type":"input_text","text":"first"}]}]}`)
	if a != seed(`{"model":"m","input":[{"role":"developer","content":"sys"},{"role":"user","content":[{"type":"input_text","text":"first"}]},{"role":"assistant","content":"x"},{"role":"user","content":"second"}]}`) {
		t.Error("a later turn has another seed")
	}
	if a == seed(`{"model":"m","input":[{"role":"developer","content":"sys"},{"role":"user","content":"other"}]}`) || a == "" {
		t.Error("another conversation has the same seed")
	}
	if s := seed(`{"model":"m","instructions":"i","input":"x"}`); !strings.Contains(s, "i") || !strings.Contains(s, "x") {
		t.Errorf("%q", s)
	}
}

func TestOtherOperations(t *testing.T) {
	if _, err := (Codec{}).Decode(OpUnsupported, nil, nil); apierror.KindOf(err) != apierror.RouteNotFound {
		t.Errorf("%v", err)
	}
	if s := string(Codec{}.AppendCount(nil, 7)); s != `{"object":"response.input_tokens","input_tokens":7}` {
		t.Error(s)
	}
	if s := string(Codec{}.AppendCompact(nil, nil, []byte(`{"object":"response.compaction"}`))); s != `{"object":"response.compaction"}` {
		t.Error(s)
	}
	classes := map[wire.Class]bool{}
	for _, r := range (Codec{}).Routes() {
		classes[r.Class] = true
	}
	for _, c := range []wire.Class{wire.ClassAnswer, wire.ClassCount, wire.ClassCompact, wire.ClassUpgrade, wire.ClassUnsupported} {
		if !classes[c] {
			t.Errorf("no route of class %d", c)
		}
	}
	list, _ := Codec{}.AppendModels(nil, nil, []canon.Model{{ID: "a"}})
	if !strings.Contains(string(list), `"object":"list"`) || (Codec{}).Name() != "responses" {
		t.Errorf("%s", list)
	}
	if status, _, body := (Codec{}).Error(apierror.Invalid("input", "bad"), "r"); status != http.StatusBadRequest || !strings.Contains(string(body), `"param":"input"`) {
		t.Errorf("%d %s", status, body)
	}
}
