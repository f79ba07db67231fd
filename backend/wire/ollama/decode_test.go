package ollama

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func decode(t *testing.T, op wire.Op, body string) *canon.Request {
	t.Helper()
	req, err := Codec{}.Decode(op, nil, []byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return fix(req)
}

// chat makes a request body of members around one user message.
func chat(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + members + `}`
}

func messages(list string) string { return `{"model":"m","messages":[` + list + `]}` }

func TestWrongRequestsNameTheField(t *testing.T) {
	for _, c := range []struct {
		op          wire.Op
		body, param string
	}{
		{OpChat, ``, ""},
		{OpChat, `[]`, ""},
		{OpChat, `{"model":"m"`, ""},
		{OpChat, `{"messages":[]}`, "model"},
		{OpChat, `{"model":7}`, "model"},
		{OpChat, `{"model":"m","messages":{}}`, "messages"},
		{OpChat, messages(`7`), "messages[0]"},
		{OpChat, messages(`{"content":"x"}`), "messages[0].role"},
		{OpChat, messages(`{"role":"robot","content":"x"}`), "messages[0].role"},
		{OpChat, messages(`{"role":"user","content":[]}`), "messages[0].content"},
		{OpChat, messages(`{"role":"user","content":""}`), "messages"},
		{OpChat, messages(`{"role":"user","content":"x","images":["!"]}`), "messages[0].images[0]"},
		{OpChat, messages(`{"role":"user","content":"x","images":["aGVsbG8="]}`), "messages[0].images[0]"},
		{OpChat, messages(`{"role":"user","content":"x","images":["data:image/png,"]}`), "messages[0].images[0]"},
		{OpChat, messages(`{"role":"system","content":"x","images":["` + png + `"]}`), "messages[0].images"},
		{OpChat, messages(`{"role":"tool","content":"x","images":["eA=="]}`), "messages[0].images[0]"},
		{OpChat, messages(`{"role":"assistant","content":"x","images":["eA=="]}`), "messages[0].images[0]"},
		{OpChat, messages(`{"role":"assistant","tool_calls":[{"function":{"arguments":{}}}]}`), "messages[0].tool_calls[0].function.name"},
		{OpChat, messages(`{"role":"assistant","tool_calls":[{}]}`), "messages[0].tool_calls[0].function.name"},
		{OpChat, chat(`"stream":"yes"`), "stream"},
		{OpChat, chat(`"format":"xml"`), "format"},
		{OpChat, chat(`"format":7`), "format"},
		{OpChat, chat(`"think":"heavy"`), "think"},
		{OpChat, chat(`"think":7`), "think"},
		{OpChat, chat(`"keep_alive":{}`), "keep_alive"},
		{OpChat, chat(`"truncate":"x"`), "truncate"},
		{OpChat, chat(`"shift":1`), "shift"},
		{OpChat, chat(`"logprobs":1`), "logprobs"},
		{OpChat, chat(`"top_logprobs":21`), "top_logprobs"},
		{OpChat, chat(`"top_logprobs":-1`), "top_logprobs"},
		{OpChat, chat(`"top_logprobs":"x"`), "top_logprobs"},
		{OpChat, chat(`"options":[]`), "options"},
		{OpChat, chat(`"options":{"temperature":"hot"}`), "options.temperature"},
		{OpChat, chat(`"options":{"top_k":1.5}`), "options.top_k"},
		{OpChat, chat(`"options":{"num_predict":"x"}`), "options.num_predict"},
		{OpChat, chat(`"options":{"stop":7}`), "options.stop"},
		{OpChat, chat(`"tools":{}`), "tools"},
		{OpChat, chat(`"tools":[7]`), "tools[0]"},
		{OpChat, chat(`"tools":[{"type":"x"}]`), "tools[0].type"},
		{OpChat, chat(`"tools":[{"type":"function"}]`), "tools[0].function"},
		{OpChat, chat(`"tools":[{"type":"function","function":{}}]`), "tools[0].function.name"},
		{OpChat, chat(`"tools":[{"function":{"name":"a","parameters":[]}}]`), "tools[0].function.parameters"},
		{OpChat, chat(`"tools":[{"function":{"name":"a"}},{"function":{"name":"a"}}]`), "tools[1]"},
		{OpGenerate, `{"model":"m","prompt":7}`, "prompt"},
		{OpGenerate, `{"model":"m","prompt":"x","system":7}`, "system"},
		{OpGenerate, `{"model":"m","prompt":"x","suffix":"y"}`, "suffix"},
		{OpGenerate, `{"model":"m","prompt":"x","images":["eA=="]}`, "images[0]"},
		{OpGenerate, `{"model":"m","prompt":"x","images":"eA=="}`, "images"},
		{OpGenerate, `{"model":"m","prompt":"x","raw":"x"}`, "raw"},
		{OpGenerate, `{"model":"m","prompt":"x","context":1}`, "context"},
	} {
		_, err := Codec{}.Decode(c.op, nil, []byte(c.body))
		e := apierror.From(err)
		if err == nil || e.Kind != apierror.InvalidRequest || e.Param != c.param {
			t.Errorf("%s: %v, param %q, want %q", c.body, err, e.Param, c.param)
		}
	}
	if _, err := (Codec{}).Decode(OpTags, nil, []byte(chat(""))); apierror.KindOf(err) != apierror.RouteNotFound {
		t.Errorf("an operation without a request: %v", err)
	}
}

// Trap: clients of Ollama that do not say stream wait for one.
func TestStreamIsTrueUnlessSaidOtherwise(t *testing.T) {
	for body, want := range map[string]bool{chat(""): true, chat(`"stream":null`): true, chat(`"stream":true`): true, chat(`"stream":false`): false} {
		if got := decode(t, OpChat, body).Stream; got != want {
			t.Errorf("%s: stream is %v", body, got)
		}
	}
	if !decode(t, OpGenerate, `{"model":"m","prompt":"x"}`).Stream {
		t.Error("generate does not stream")
	}
}

// Trap: images, tools, thinking and results of a conversation must all arrive.
func TestNothingOfAConversationIsLost(t *testing.T) {
	req := decode(t, OpChat, messages(`{"role":"developer","content":"s"},{"role":"user","content":"look","images":["`+png+`"]},`+
		`{"role":"assistant","content":"","thinking":"hm","tool_calls":[{"function":{"name":"a","arguments":{"x":1}}},{"id":"c2","function":{"name":"b","arguments":"{\"y\":2}"}}]},`+
		`{"role":"tool","content":"one","name":"a"},{"role":"tool","tool_call_id":"c2","content":"two"},{"role":"tool","content":"three","tool_name":"z"}`))
	var got []string
	for _, m := range req.Messages {
		for i := range m.Parts {
			p := m.Parts[i]
			p.Ext = nil
			got = append(got, string(m.Role)+" "+dumpPart(&p))
		}
	}
	id := oai.PositionID("a", 2, 0)
	want := []string{
		`user text "look"`, `user image mime=image/png bytes=70`, `assistant reasoning "hm"`,
		`assistant tool_call id=` + id + ` name=a args={"x":1}`, `assistant tool_call id=c2 name=b args={"y":2}`,
		`user tool_result id=` + id + ` name=a args=null [text "one"]`, `user tool_result id=c2 name=b args=null [text "two"]`,
		`user tool_result id=` + oai.PositionID("z", 5, 0) + ` name=z args=null [text "three"]`,
	}
	for i := range got {
		got[i] = strings.Replace(got[i], "args= ", "args=null ", 1)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if len(req.System) != 1 || req.System[0].Text != "s" {
		t.Errorf("system: %+v", req.System)
	}
}

func TestSystemTextAloneIsThePrompt(t *testing.T) {
	req := decode(t, OpChat, messages(`{"role":"system","content":"a"},{"role":"system","content":"b"},{"role":"system","content":""}`))
	if len(req.System) != 1 || len(req.Messages) != 1 || req.Messages[0].Parts[0].Text != "b" {
		t.Errorf("%+v", req)
	}
}

func TestThinkAndOptions(t *testing.T) {
	for v, want := range map[string]canon.Reasoning{
		`true`:   {Mode: canon.ReasonOn, Source: "bool"},
		`false`:  {Mode: canon.ReasonOff, Source: "bool"},
		`"true"`: {Mode: canon.ReasonOn, Source: "bool"},
		`"none"`: {Mode: canon.ReasonOff, Source: "bool"},
		`"low"`:  {Mode: canon.ReasonOn, Effort: "low", Source: "level"},
		`""`:     {}, `null`: {},
	} {
		if d := cmp.Diff(want, decode(t, OpChat, chat(`"think":`+v)).Reasoning); d != "" {
			t.Errorf("%s: -want +got\n%s", v, d)
		}
	}
	req := decode(t, OpChat, chat(`"options":{"temperature":0,"top_p":1,"min_p":0.1,"repeat_penalty":1.1,"presence_penalty":1,"frequency_penalty":2,"top_k":40.0,"seed":0,"num_predict":8,"stop":"x","mirostat":null}`))
	s := req.Sampling
	if *s.Temperature != 0 || *s.TopK != 40 || *s.Seed != 0 || *s.Repeat != 1.1 || *req.MaxTokens != 8 || req.Stop[0] != "x" {
		t.Errorf("%+v", req)
	}
	if req := decode(t, OpChat, chat(`"options":{}`)); req.Ext != nil {
		t.Errorf("empty options: %v", req.Ext)
	}
}

func TestSessionHeaderNamesTheConversation(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/api/chat", nil)
	r.Header.Set("X-Session-Id", "s1")
	req, err := Codec{}.Decode(OpChat, r, []byte(chat("")))
	if err != nil || req.Conversation != "s1" {
		t.Errorf("%v %+v", err, req)
	}
}

func TestLongConversationIsReadLater(t *testing.T) {
	long := strings.Repeat("x", wire.EagerLimit)
	req := decode(t, OpChat, messages(`{"role":"user","content":"`+long+`"}`))
	if req.Expanded() || len(req.Messages) != 0 {
		t.Fatal("read at once")
	}
	if err := req.Expand(); err != nil || len(req.Messages) != 1 {
		t.Fatal(err)
	}
	req, err := Codec{}.Decode(OpChat, nil, []byte(messages(`{"role":"user","content":"`+long+`"},{"role":"robot"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if e := apierror.From(req.Expand()); e == nil || e.Param != "messages[1].role" {
		t.Errorf("%v", e)
	}
}

func TestRequestsWithoutAPromptAreAnsweredAtOnce(t *testing.T) {
	const head = `{"model":"m","created_at":"2026-11-22T20:00:00.100000Z",`
	for _, c := range []struct {
		op         wire.Op
		body, want string
	}{
		{OpChat, `{"model":"m"}`, head + `"message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}`},
		{OpChat, `{"model":"m","messages":[ ]}`, head + `"message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}`},
		{OpChat, `{"model":"m","messages":[],"keep_alive":0}`, head + `"message":{"role":"assistant","content":""},"done":true,"done_reason":"unload"}`},
		{OpChat, `{"model":"m","messages":null,"keep_alive":"0s"}`, head + `"message":{"role":"assistant","content":""},"done":true,"done_reason":"unload"}`},
		{OpChat, `{"model":"m","keep_alive":"5m"}`, head + `"message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}`},
		{OpGenerate, `{"model":"m","prompt":"","keep_alive":-1}`, head + `"response":"","done":true,"done_reason":"load"}`},
		{OpChat, chat(""), ""},
		{OpGenerate, `{"model":"m","prompt":"x"}`, ""},
	} {
		got, ok := Codec{}.AppendImmediate(nil, decode(t, c.op, c.body))
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("%s:\n%s\n%s", c.body, got, c.want)
		}
	}
}
