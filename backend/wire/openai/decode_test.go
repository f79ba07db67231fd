package openai

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

func decode(t *testing.T, body string) *canon.Request {
	t.Helper()
	req, err := Codec{}.Decode(OpChat, nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetIDs(counter())
	return req
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
	for body, param := range map[string]string{
		`{"messages":[]}`:                                          "model",
		`{"model":"m"}`:                                            "messages",
		`{"model":"m","messages":{}}`:                              "messages",
		`{"model":"m","messages":[]}`:                              "messages",
		`{"model":7,"messages":[]}`:                                "model",
		chat(`"temperature":"hot"`):                                "temperature",
		chat(`"max_tokens":0`):                                     "max_tokens",
		chat(`"max_tokens":-1`):                                    "max_tokens",
		chat(`"max_completion_tokens":1.5`):                        "max_completion_tokens",
		chat(`"n":0`):                                              "n",
		chat(`"stop":{}`):                                          "stop",
		chat(`"stream":"yes"`):                                     "stream",
		chat(`"logit_bias":[]`):                                    "logit_bias",
		chat(`"reasoning_effort":"heavy"`):                         "reasoning_effort",
		chat(`"reasoning":{"max_tokens":"x"}`):                     "reasoning.max_tokens",
		chat(`"thinking":{"type":"maybe"}`):                        "thinking.type",
		chat(`"thinking":{"budget_tokens":-7}`):                    "thinking.budget_tokens",
		chat(`"extra_body":[]`):                                    "extra_body",
		chat(`"extra_body":{"anthropic":{"thinking":{"type":5}}}`): "extra_body.anthropic.thinking.type",
		chat(`"response_format":{"type":"xml"}`):                   "response_format.type",
		chat(`"response_format":{"type":"json_schema"}`):           "response_format.json_schema",
		chat(`"response_format":{"type":"json_schema","json_schema":{"schema":[]}}`):                        "response_format.json_schema.schema",
		chat(`"tools":[{"type":"function","function":{"name":""}}]`):                                        "tools[0].function.name",
		chat(`"tools":[{"type":"function"}]`):                                                               "tools[0]",
		chat(`"tools":[{"type":"function","function":{"name":"a","parameters":7}}]`):                        "tools[0].function.parameters",
		chat(`"tools":[{"type":"function","function":{"name":"a"}},{"function":{"name":"a"}}]`):             "tools[1]",
		chat(`"tool_choice":"maybe"`):                                                                       "tool_choice",
		chat(`"tool_choice":{"type":"function","function":{"name":"x"}}`):                                   "tool_choice",
		chat(`"tool_choice":{"a":1}`):                                                                       "tool_choice",
		chat(`"functions":[{"name":"f"}],"function_call":{"name":"g"}`):                                     "function_call",
		chat(`"functions":[{"name":"f"}],"tools":[]`):                                                       "functions",
		chat(`"web_search_options":1`):                                                                      "web_search_options",
		messages(`{"content":"x"}`):                                                                         "messages[0].role",
		messages(`{"role":"robot","content":"x"}`):                                                          "messages[0].role",
		messages(`{"role":"user","content":7}`):                                                             "messages[0].content",
		messages(`{"role":"user","content":[{"type":"text"}]}`):                                             "messages[0].content[0].text",
		messages(`{"role":"user","content":"a"},{"role":"user","content":[{"type":"dance"}]}`):              "messages[1].content[0].type",
		messages(`{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}`):             "messages[0].content[1].image_url",
		messages(`{"role":"user","content":[{"type":"image_url","image_url":7}]}`):                          "messages[0].content[0].image_url",
		messages(`{"role":"user","content":[{"type":"image_url","image_url":{"url":""}}]}`):                 "messages[0].content[0].image_url.url",
		messages(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"cat.png"}}]}`):          "messages[0].content[0].image_url.url",
		messages(`{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,**"}]}`): "messages[0].content[0].image_url",
		messages(`{"role":"user","content":[{"type":"image_url","image_url":"data:;base64,AAAA"}]}`):        "messages[0].content[0].image_url",
		messages(`{"role":"user","content":[{"type":"input_audio"}]}`):                                      "messages[0].content[0].input_audio.data",
		messages(`{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"*"}}]}`):           "messages[0].content[0].input_audio.data",
		messages(`{"role":"user","content":[{"type":"file"}]}`):                                             "messages[0].content[0].file",
		messages(`{"role":"user","content":[{"type":"file","file":{}}]}`):                                   "messages[0].content[0].file",
		messages(`{"role":"user","content":[{"type":"file","file":{"file_data":"*"}}]}`):                    "messages[0].content[0].file.file_data",
		messages(`{"role":"system","content":[{"type":"image_url","image_url":"https://h/i"}]}`):            "messages[0].content",
		messages(`{"role":"assistant","tool_calls":[{"id":"a"}]}`):                                          "messages[0].tool_calls[0].function",
		messages(`{"role":"assistant","tool_calls":[{"id":"a","function":{}}]}`):                            "messages[0].tool_calls[0].function.name",
		messages(`{"role":"tool","content":"x"}`):                                                           "messages[0].tool_call_id",
		messages(`{"role":"assistant","reasoning_content":7}`):                                              "messages[0].reasoning_content",
		messages(`{"role":"user","content":[{"type":"text","text":"x","cache_control":7}]}`):                "messages[0].content[0].cache_control",
	} {
		_, err := Codec{}.Decode(OpChat, nil, []byte(body))
		e := apierror.From(err)
		if e == nil || e.Kind != apierror.InvalidRequest || e.Param != param {
			t.Errorf("%s:\n got %v at %q, want %q", body, err, apierror.From(err).Param, param)
		}
	}
}

func TestNullIsAbsent(t *testing.T) {
	req := decode(t, chat(`"temperature":null,"max_tokens":null,"stop":null,"tools":null,"tool_choice":null,"stream":null,"response_format":null,"zzz":null,"reasoning":null`))
	if req.Sampling.Temperature != nil || req.MaxTokens != nil || req.Ext != nil || req.Reasoning.Mode != "" || req.Output.Kind != "" {
		t.Errorf("%+v", req)
	}
}

// A client's zero must not turn into a default.
func TestTrap25ZeroIsAValue(t *testing.T) {
	req := decode(t, chat(`"temperature":0,"top_p":0,"seed":0,"presence_penalty":0`))
	x, err := NewExchange(req, Options{ForceConvert: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"temperature":0`, `"top_p":0`, `"seed":0`, `"presence_penalty":0`} {
		if !strings.Contains(string(x.Body), want) {
			t.Errorf("%s is missing in %s", want, x.Body)
		}
	}
}

func TestReasoningSourcesInTheirOrder(t *testing.T) {
	for members, want := range map[string]string{
		`"reasoning_effort":"low"`:                                                    "on low <nil> effort",
		`"reasoning_effort":"none"`:                                                   "off  <nil> effort",
		`"reasoning":{"effort":"high"},"reasoning_effort":"low"`:                      "on high <nil> effort",
		`"reasoning":{"effort":"high","max_tokens":2000}`:                             "on  2000 budget",
		`"reasoning":{"enabled":false}`:                                               "off  <nil> bool",
		`"thinking":{"type":"enabled","budget_tokens":1024},"reasoning_effort":"low"`: "on  1024 budget",
		`"thinking":{"type":"adaptive","effort":"max"}`:                               "on max <nil> effort",
		`"thinking":{"type":"adaptive"}`:                                              "auto  <nil> bool",
		`"thinking":{"type":"enabled"}`:                                               "on  <nil> bool",
		`"thinking":false`:                                                            "off  <nil> bool",
		`"extra_body":{"anthropic":{"thinking":{"type":"disabled"}}},"thinking":{"type":"enabled"}`:           "off  <nil> bool",
		`"extra_body.anthropic.thinking":{"type":"enabled","budget_tokens":9},"thinking":{"type":"disabled"}`: "on  9 budget",
		`"extra_body.google.thinking_config":{"thinkingBudget":-1}`:                                           "auto  <nil> budget",
		`"extra_body":{"google":{"thinking_config":{"thinking_budget":5,"include_thoughts":true}}}`:           "on  5 budget",
		`"google":{"thinkingConfig":{"thinkingLevel":"LOW"}},"reasoning_effort":"high"`:                       "on low <nil> level",
		`"anthropic":{"thinking":{"type":"disabled"}}`:                                                        "off  <nil> bool",
		`"extra_body.anthropic":{"thinking":{"type":"disabled"}}`:                                             "off  <nil> bool",
		`"extra_body.google":{"thinking_config":{"thinking_budget":0}}`:                                       "off  0 budget",
		`"enable_thinking":true`:                        "on  <nil> bool",
		`"enable_thinking":false,"thinking_budget":100`: "off  <nil> bool",
		`"enable_thinking":true,"thinking_budget":100`:  "on  100 budget",
		`"extra_body":{"enable_thinking":false}`:        "off  <nil> bool",
		`"temperature":1`:                               "  <nil> ",
	} {
		r := decode(t, chat(members)).Reasoning
		budget := "<nil>"
		if r.Budget != nil {
			budget = fmt.Sprint(*r.Budget)
		}
		if got := fmt.Sprintf("%s %s %s %s", r.Mode, r.Effort, budget, r.Source); got != want {
			t.Errorf("%s: %q, want %q", members, got, want)
		}
	}
}

func TestExtraBodyIsMerged(t *testing.T) {
	req := decode(t, chat(`"top_p":1,"extra_body":{"top_k":5,"top_p":0.1,"custom":[1]}`))
	if *req.Sampling.TopK != 5 || *req.Sampling.TopP != 1 || string(req.Ext["custom"]) != "[1]" {
		t.Errorf("%+v %v", req.Sampling, req.Ext)
	}
	x, err := NewExchange(req, Options{})
	if err != nil || strings.Contains(string(x.Body), "extra_body") || !strings.Contains(string(x.Body), `"custom":[1]`) || !strings.Contains(string(x.Body), `"top_k":5`) {
		t.Errorf("%v %s", err, x.Body)
	}
}

func TestConversationKeyFollowsItsOrder(t *testing.T) {
	h := func(name, v string) *http.Request {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set(name, v)
		return r
	}
	for _, c := range []struct {
		r       *http.Request
		members string
		want    string
	}{
		{h("X-Claude-Code-Session-Id", "a"), `"prompt_cache_key":"b"`, "a"},
		{nil, `"metadata":{"user_id":"{\"session_id\":\"s\"}"},"prompt_cache_key":"b"`, "s"},
		{nil, `"metadata":{"sessionId":"q"}`, "q"},
		{h("X-Session-Id", "x"), `"prompt_cache_key":"b"`, "b"},
		{h("X-Session-Id", "x"), ``, "x"},
		{nil, ``, ""},
	} {
		req, err := Codec{}.Decode(OpChat, c.r, []byte(chat(c.members)))
		if err != nil || req.Conversation != c.want {
			t.Errorf("%s: %q, %v", c.members, req.Conversation, err)
		}
	}
	r := h("Idempotency-Key", "k")
	r.Header.Set("Authorization", "Bearer secret")
	req, err := Codec{}.Decode(OpChat, r, []byte(chat("")))
	if d := cmp.Diff(map[string][]string{"Idempotency-Key": {"k"}}, req.Headers); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestLongConversationsAreReadLater(t *testing.T) {
	long := strings.Repeat("x", wire.EagerLimit)
	body := messages(`{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"U"}]},{"role":"assistant","content":"` + long + `"},{"role":"user","content":9}`)
	req := decode(t, body)
	if req.Expanded() || req.Seed != "system\x00Suser\x00U" {
		t.Errorf("expanded %v, seed %q", req.Expanded(), req.Seed)
	}
	x, err := NewExchange(req, Options{})
	if err != nil || string(x.Body) != body {
		t.Errorf("the bytes changed, %v", err)
	}
	if _, err := NewExchange(req, Options{ForceConvert: true}); apierror.From(err).Param != "messages[3].content" {
		t.Errorf("%v", err)
	}
}

func TestSystemAloneBecomesAUserMessage(t *testing.T) {
	req := decode(t, messages(`{"role":"system","content":"a"},{"role":"developer","content":"b"}`))
	if len(req.System) != 1 || len(req.Messages) != 1 || req.Messages[0].Parts[0].Text != "b" {
		t.Errorf("%+v", req)
	}
}

func TestOddHistories(t *testing.T) {
	req := decode(t, messages(`{"role":"user","content":[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}],"cache_control":{"type":"ephemeral","ttl":"1h"}},
{"role":"assistant","content":[{"type":"text","text":"t"},{"type":"refusal","refusal":"no"}],"reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r"}],"audio":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"g","arguments":null}}]},
{"role":"tool","name":"g","content":"2"},{"role":"tool","content":null},{"role":"user","content":""},{"role":"assistant","content":null},
{"role":"assistant","reasoning_details":[{"type":"reasoning.summary","summary":"sum"}],"content":"x","refusal":"nope"},{"role":"tool","tool_call_id":"lost","content":"o"},{"role":"user","content":[{"type":"file","file":{"file_id":"f1"}},{"type":"file","file":{"file_data":"data:text/plain;base64,aGk=","filename":"n.txt"}},{"type":"video_url","video_url":{"url":"https://h/v"}}]}`))
	var got []string
	for _, m := range req.Messages {
		for i := range m.Parts {
			got = append(got, string(m.Role)+" "+dumpPart(&m.Parts[i]))
		}
	}
	f, g := req.Messages[1].Parts[3].CallID, req.Messages[1].Parts[4].CallID
	want := []string{
		`user text "a" cache="1h" ext=,"prompt_cache_breakpoint":{"mode":"explicit"}`,
		`assistant reasoning "r" ext=,"reasoning_details":[{"type":"reasoning.text","text":"r"}]`,
		`assistant text "t"`,
		`assistant refusal "no"`,
		`assistant tool_call id=` + f + ` name=f args={"a":1}`,
		`assistant tool_call id=` + g + ` name=g args={}`,
		`user tool_result id=` + g + ` name=g args=null [text "2"]`,
		`user tool_result id=` + f + ` name=f args=null`,
		`assistant reasoning "sum" ext=,"reasoning_details":[{"type":"reasoning.summary","summary":"sum"}]`,
		`assistant text "x"`,
		`assistant refusal "nope"`,
		`user tool_result id=lost name= args=null [text "o"]`,
		`user document mime= bytes=0 url= file=f1 name= detail= text=""`,
		`user document mime=text/plain bytes=0 url= file= name=n.txt detail= text="hi"`,
		`user video mime= bytes=0 url=https://h/v file= name= detail= text=""`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if f == g || len(f) != 29 {
		t.Errorf("ids %s %s", f, g)
	}
}

func TestToolChoiceForms(t *testing.T) {
	tools := `"tools":[{"type":"function","function":{"name":"f","cache_control":{"type":"ephemeral"}},"cache_control":{"type":"ephemeral","ttl":"5m"}},{"type":"custom","custom":{"name":"c"}},{"type":"builtin_function","function":{"name":"$web_search"}}],"tool_choice":`
	for in, want := range map[string]canon.ToolChoice{
		`"auto"`:          {Mode: canon.ChoiceAuto},
		`"none"`:          {Mode: canon.ChoiceNone},
		`"required"`:      {Mode: canon.ChoiceRequired},
		`{"type":"auto"}`: {Mode: canon.ChoiceAuto},
		`{"type":"function","function":{"name":"f"}}`: {Mode: canon.ChoiceNamed, Names: []string{"f"}},
		`{"type":"custom","custom":{"name":"c"}}`:     {Mode: canon.ChoiceNamed, Names: []string{"c"}},
		`{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"c"}}]}}`: {Mode: canon.ChoiceAllowed, Names: []string{"f", "c"}},
		`{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"name":"f"}]}}`:                                                                    {Mode: canon.ChoiceAllowReq, Names: []string{"f"}},
	} {
		req := decode(t, chat(tools+in))
		if d := cmp.Diff(want, req.ToolChoice); d != "" {
			t.Error(in, d)
		}
		if req.Tools[0].Cache.TTL != "5m" || req.Tools[2].Kind != canon.ToolServer {
			t.Errorf("%+v", req.Tools)
		}
	}
	if req := decode(t, chat(`"functions":[{"name":"f"}],"function_call":"auto"`)); req.ToolChoice.Mode != canon.ChoiceAuto {
		t.Errorf("%+v", req.ToolChoice)
	}
}

func TestCompletionsRefuseWhatChatCannotDo(t *testing.T) {
	for body, param := range map[string]string{
		`{"model":"m"}`:                             "prompt",
		`{"model":"m","prompt":""}`:                 "prompt",
		`{"model":"m","prompt":[1,2]}`:              "prompt",
		`{"model":"m","prompt":[[1],[2]]}`:          "prompt",
		`{"model":"m","prompt":"a","suffix":"b"}`:   "suffix",
		`{"model":"m","prompt":"a","best_of":3}`:    "best_of",
		`{"model":"m","prompt":"a","logprobs":"x"}`: "logprobs",
		`{"model":"m","prompt":"a","n":3000000000}`: "n",
	} {
		_, err := Codec{}.Decode(OpCompletions, nil, []byte(body))
		if e := apierror.From(err); e == nil || e.Param != param {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := (Codec{}).Decode("nope", nil, nil); apierror.KindOf(err) != apierror.RouteNotFound {
		t.Error(err)
	}
	for _, body := range []string{``, `[]`, `{"a"`} {
		if _, err := (Codec{}).Decode(OpChat, nil, []byte(body)); apierror.KindOf(err) != apierror.InvalidRequest {
			t.Error(err)
		}
	}
}

func TestSeveralPromptsBecomeSeveralCalls(t *testing.T) {
	req, err := Codec{}.Decode(OpCompletions, nil, []byte(`{"model":"m","prompt":["a","b"],"n":2,"suffix":"","echo":true,"best_of":2}`))
	if err != nil {
		t.Fatal(err)
	}
	split := Codec{}.Split(req)
	if len(split) != 2 || split[1].Messages[0].Parts[0].Text != "b" || req.Messages[0].Parts[0].Text != "a" {
		t.Fatalf("%+v", split)
	}
	answer := func(s string) canon.Stream {
		return (&canon.Response{ID: "i", Created: 1, Parts: []canon.Part{{Type: canon.PartText, Text: s + "0"}}, Finish: canon.Finish{Reason: canon.FinishTools},
			More: []canon.Choice{{Parts: []canon.Part{{Type: canon.PartText, Text: s + "1"}}, Finish: canon.Finish{Reason: canon.FinishStop}}}}).Events()
	}
	resp, err := canon.Collect(canon.Concat(2, answer("A"), answer("B")))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Codec{}.AppendResponse(nil, req, resp)
	for _, want := range []string{`"text":"aA0","logprobs":null,"finish_reason":"stop"`, `"index":3,"text":"bB1"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is missing in %s", want, b)
		}
	}
	if one := (Codec{}).Split(split[0]); len(one) != 1 || one[0] != split[0] {
		t.Error("one prompt was split")
	}
}
