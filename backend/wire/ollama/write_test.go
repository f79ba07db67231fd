package ollama

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// foreign makes a request of a client of another format.
func foreign(parts ...canon.Part) *canon.Request {
	return fix(&canon.Request{Format: "anthropic", Op: "messages", Model: "m", ModelAsked: "asked", Messages: []canon.Message{{Role: canon.RoleUser, Parts: parts}}})
}

func said(s string) canon.Part { return canon.Part{Type: canon.PartText, Text: s} }

func written(t *testing.T, req *canon.Request, o Options) (map[string]jsontext.Value, *Exchange) {
	t.Helper()
	x, err := NewExchange(req, o)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]jsontext.Value
	if err := json.Unmarshal(x.Body, &m); err != nil {
		t.Fatalf("%v: %s", err, x.Body)
	}
	return m, x
}

// identityBodies are requests that write(read(x)) gives back as they are.
var identityBodies = []string{
	`{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}`,
	`{"model":"m","messages":[{"role":"system","content":"a"},{"role":"system","content":"b"},{"role":"user","content":"x","images":["` + png + `"],"own":{"z":1,"a":[1.50]}},{"role":"assistant","content":"","thinking":"t","tool_calls":[{"function":{"name":"f","arguments":{"b":1.0,"a":"<"}}},{"id":"c","function":{"name":"g","arguments":{}}}]},{"role":"tool","tool_name":"f","content":"1"},{"role":"tool","tool_name":"g","tool_call_id":"c","content":"2"},{"role":"user","content":"go"},{"role":"system","content":"mid"},{"role":"assistant","content":"done"},{"role":"user","content":"more"}],"stream":false,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"z":{"type":["string","null"]},"a":{}},"required":["z"]}}}]}`,
	`{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"format":"json","options":{"num_ctx":32768,"temperature":0,"mirostat":1,"num_predict":-1},"think":true,"keep_alive":-1,"truncate":false,"shift":true,"logprobs":true,"top_logprobs":3,"unknown":[1.0]}`,
	`{"model":"gpt-oss:20b","messages":[{"role":"user","content":"hi"}],"stream":true,"format":{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"integer"}}},"think":"low","keep_alive":"5m"}`,
	`{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"think":false}`,
}

func TestIdentity(t *testing.T) {
	for i, body := range identityBodies {
		req := decode(t, OpChat, body)
		x, err := NewExchange(req, Options{})
		if err != nil || string(x.Body) != body {
			t.Errorf("%d: with the body: %v\n%s\n%s", i, err, x.Body, body)
		}
		req.Body = canon.Object{}
		x, err = NewExchange(req, Options{})
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		if d := cmp.Diff(canonical(t, body), canonical(t, string(x.Body))); d != "" {
			t.Errorf("%d: without the body: -want +got\n%s", i, d)
		}
		if len(x.Dropped) > 0 {
			t.Errorf("%d: dropped %v", i, x.Dropped)
		}
	}
}

// canonical sorts the members of objects and leaves numbers as they are.
func canonical(t *testing.T, s string) string {
	t.Helper()
	v := jsontext.Value(s)
	if err := v.Format(jsontext.ReorderRawObjects(true), jsontext.Multiline(true)); err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func TestVerbatimChangesOnlyWhatItMust(t *testing.T) {
	body := `{ "messages":[{"role":"user","content":"hi"}] , "model":"[Home] m","think":"high"}`
	req := decode(t, OpChat, body)
	req.Model = "m"
	for _, c := range []struct {
		o    Options
		want string
		ctx  int64
	}{
		{Options{}, strings.Replace(body, "[Home] m", "m", 1), 0},
		{Options{NumCtx: 8192}, `{ "messages":[{"role":"user","content":"hi"}] , "model":"m","think":"high","options":{"num_ctx":8192}}`, 8192},
		{Options{NoThink: true}, `{ "messages":[{"role":"user","content":"hi"}] , "model":"m"}`, 0},
	} {
		x, err := NewExchange(req, c.o)
		if err != nil || string(x.Body) != c.want || x.NumCtx != c.ctx || x.Path != "/api/chat" {
			t.Errorf("%+v: %v %d\n%s\n%s", c.o, err, x.NumCtx, x.Body, c.want)
		}
	}
	own := decode(t, OpChat, chat(`"options":{"num_ctx":5}`))
	if x, _ := NewExchange(own, Options{NumCtx: 8192}); strings.Contains(string(x.Body), "8192") || x.NumCtx != 0 {
		t.Errorf("the client's own context was lost: %s", x.Body)
	}
}

func TestForeignRequestIsWrittenWhole(t *testing.T) {
	temperature, topK, n, limit, strict := 0.0, int64(5), int64(1), int64(9), true
	req := foreign(said("a"), said("b"), canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("\x89PNG")}},
		canon.Part{Type: canon.PartDocument, Media: &canon.Media{Title: "T", Text: "doc"}})
	req.System = []canon.Part{said("x-anthropic-billing-header: v=1"), said("one"), {Type: canon.PartText, Text: "two", Cache: &canon.Cache{}}}
	req.Stream, req.MaxTokens, req.Stop = true, &limit, []string{"s"}
	req.Sampling = canon.Sampling{Temperature: &temperature, TopK: &topK, N: &n, LogitBias: jsontext.Value(`{"1":2}`), Logprobs: &strict, TopLogprobs: &limit}
	parallel := false
	req.Parallel, req.Verbosity, req.ServiceTier = &parallel, "low", "flex"
	req.Output = canon.Output{Kind: canon.OutputSchema, Schema: jsontext.Value(`{"type":"object","properties":{}}`)}
	req.Reasoning = canon.Reasoning{Mode: canon.ReasonOn, Effort: "xhigh"}
	req.Tools = []canon.Tool{
		{Kind: canon.ToolFunction, Space: "ns", Name: "f", Description: "d"},
		{Kind: canon.ToolCustom, Name: "patch", Grammar: jsontext.Value(`{"type":"grammar","grammar":{"definition":"start: x"}}`)},
		{Kind: canon.ToolServer, ServerType: "web_search", Name: "web_search"},
	}
	req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceRequired}
	req.Messages = append(req.Messages,
		canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{
			{Type: canon.PartReasoning, Text: "mine"}, {Type: canon.PartReasoning, Text: "theirs", Opaque: &canon.Opaque{Family: "claude", Data: "x"}}, said("ok"),
			{Type: canon.PartToolCall, CallID: "1", Space: "ns", Name: "f", Args: jsontext.Value(`{"a":"<"}`)},
			{Type: canon.PartToolCall, CallID: "2", Name: "patch", Custom: true, Text: "diff"},
			{Type: canon.PartServer},
		}},
		canon.Message{Role: canon.RoleUser, Parts: []canon.Part{
			{Type: canon.PartToolResult, CallID: "2", Result: []canon.Part{said("bad")}, IsError: true},
			{Type: canon.PartToolResult, CallID: "1", Result: []canon.Part{said("r"), {Type: canon.PartImage, Media: &canon.Media{Data: []byte("\x89PNG")}}}},
			said("go"),
		}},
		canon.Message{Role: canon.RoleSystem, Parts: []canon.Part{said("mid")}},
		canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{said("Once")}})
	got, x := written(t, req, Options{})
	want := `{"model":"m","messages":[` +
		`{"role":"system","content":"one\n\ntwo\n\nAnswer by calling at least one of the tools."},` +
		`{"role":"user","content":"a\n\nb\n\nT\n\ndoc","images":["iVBORw=="]},` +
		`{"role":"assistant","content":"ok","thinking":"mine","tool_calls":[{"id":"1","function":{"name":"ns__f","arguments":{"a":"<"}}},{"id":"2","function":{"name":"patch","arguments":{"input":"diff"}}}]},` +
		`{"role":"tool","content":"r\n\n(image attached below)","tool_name":"ns__f","tool_call_id":"1"},` +
		`{"role":"tool","content":"Error: bad","tool_name":"patch","tool_call_id":"2"},` +
		`{"role":"user","content":"go","images":["iVBORw=="]},` +
		`{"role":"system","content":"mid"},{"role":"user","content":"Continue exactly from: Once"}],` +
		`"stream":true,"tools":[{"type":"function","function":{"name":"ns__f","description":"d","parameters":{"type":"object","properties":{}}}},` +
		`{"type":"function","function":{"name":"patch","description":"","parameters":{"type":"object","properties":{"input":{"type":"string","description":"start: x"}},"required":["input"]}}}],` +
		`"format":{"type":"object","properties":{}},"options":{"temperature":0,"top_k":5,"num_predict":9,"stop":["s"]},"think":true,"logprobs":true,"top_logprobs":9,"truncate":false}`
	if d := cmp.Diff(want, string(x.Body)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	var dropped []string
	for _, w := range x.Dropped {
		dropped = append(dropped, w.Field)
	}
	if d := cmp.Diff([]string{"tools.web_search", "messages.server_tools", "logit_bias", "parallel_tool_calls", "verbosity", "service_tier", "cache_control"}, dropped); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if len(got) == 0 || !x.custom["patch"] {
		t.Error("the custom tool is not known")
	}
}

func TestChoiceOfTools(t *testing.T) {
	for _, c := range []struct {
		choice      canon.ToolChoice
		tools, note string
	}{
		{canon.ToolChoice{}, "a b", ""},
		{canon.ToolChoice{Mode: canon.ChoiceAuto}, "a b", ""},
		{canon.ToolChoice{Mode: canon.ChoiceNone}, "", ""},
		{canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{"b"}}, "a b", "calling the tool b"},
		{canon.ToolChoice{Mode: canon.ChoiceAllowed, Names: []string{"b"}}, "b", ""},
		{canon.ToolChoice{Mode: canon.ChoiceAllowReq, Names: []string{"a"}}, "a", "at least one"},
	} {
		req := foreign(said("x"))
		req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "a"}, {Kind: canon.ToolFunction, Name: "b"}}
		req.ToolChoice = c.choice
		_, x := written(t, req, Options{})
		var names []string
		for _, n := range []string{"a", "b"} {
			if strings.Contains(string(x.Body), `"name":"`+n+`"`) {
				names = append(names, n)
			}
		}
		if got := strings.Join(names, " "); got != c.tools || c.note != "" && !strings.Contains(string(x.Body), c.note) {
			t.Errorf("%+v: %s", c.choice, x.Body)
		}
	}
}

func TestThinkTakesTheFormThatTheModelKnows(t *testing.T) {
	budget := int64(900)
	for _, c := range []struct {
		model  string
		facts  canon.Model
		r      canon.Reasoning
		want   string
		warned bool
		o      Options
	}{
		{model: "m", want: ""},
		{model: "m", r: canon.Reasoning{Mode: canon.ReasonOff}, want: "false"},
		{model: "m", r: canon.Reasoning{Mode: canon.ReasonAuto}, want: "true"},
		{model: "m", r: canon.Reasoning{Mode: canon.ReasonOn, Effort: "high"}, want: "true"},
		{model: "gpt-oss:20b", r: canon.Reasoning{Mode: canon.ReasonOn, Effort: "max"}, want: `"high"`},
		{model: "gpt-oss:20b", r: canon.Reasoning{Mode: canon.ReasonOn, Budget: &budget}, want: `"low"`},
		{model: "gpt-oss:20b", r: canon.Reasoning{Mode: canon.ReasonOn, Effort: "medium"}, want: `"medium"`},
		{model: "gpt-oss:20b", r: canon.Reasoning{Mode: canon.ReasonOn}, want: "true"},
		{model: "m", facts: canon.Model{Thinking: canon.No}, r: canon.Reasoning{Mode: canon.ReasonOn}, warned: true},
		{model: "m", facts: canon.Model{Thinking: canon.No}, r: canon.Reasoning{Mode: canon.ReasonOff}},
		{model: "m", o: Options{NoThink: true}, r: canon.Reasoning{Mode: canon.ReasonOn}, warned: true},
	} {
		req := foreign(said("x"))
		req.Model, req.Facts, req.Reasoning = c.model, c.facts, c.r
		got, x := written(t, req, c.o)
		if string(got["think"]) != c.want || (len(x.Dropped) > 0) != c.warned {
			t.Errorf("%+v: %s %v", c, got["think"], x.Dropped)
		}
	}
}

func TestContextGrowsWithThePrompt(t *testing.T) {
	long := int64(100000)
	for _, c := range []struct {
		bytes int
		limit *int64
		facts int64
		o     Options
		want  int64
	}{
		{bytes: 100, want: 0},
		{bytes: 8000, want: 8192},                    // 2000 tokens and a quarter, and the answer
		{bytes: 100000, want: 65536},                 // 25000
		{bytes: 100000, facts: 40000, want: 40000},   // no more than the model takes
		{bytes: 100, limit: &long, want: 0},          // nobody means to fill it
		{bytes: 100, o: Options{NumCtx: 5}, want: 5}, // the person's own word
		{bytes: 100, o: Options{MinCtx: 9000}, want: 16384},
	} {
		req := foreign(said(strings.Repeat("x", c.bytes)))
		req.MaxTokens, req.Facts.Context = c.limit, c.facts
		if _, x := written(t, req, c.o); x.NumCtx != c.want {
			t.Errorf("%+v: %d", c, x.NumCtx)
		}
	}
}

func TestWhatCannotBeCarriedOverIsRefused(t *testing.T) {
	two := int64(2)
	for name, change := range map[string]func(*canon.Request){
		"n": func(r *canon.Request) { r.Sampling.N = &two },
		"pdf": func(r *canon.Request) {
			r.Messages[0].Parts = []canon.Part{{Type: canon.PartDocument, Media: &canon.Media{Data: []byte("%PDF-")}}}
		},
		"audio": func(r *canon.Request) {
			r.Messages[0].Parts = []canon.Part{{Type: canon.PartAudio, Media: &canon.Media{}}}
		},
		"url": func(r *canon.Request) {
			r.Messages[0].Parts = []canon.Part{{Type: canon.PartImage, Media: &canon.Media{URL: "https://h/i"}}}
		},
		"mcp": func(r *canon.Request) { r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "mcp", Name: "x"}} },
		"only server tool": func(r *canon.Request) {
			r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "web_search", Name: "x"}}
		},
		"assistant picture": func(r *canon.Request) {
			r.Messages = append(r.Messages, canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartImage, Media: &canon.Media{URL: "https://h/i"}}}})
		},
	} {
		req := foreign(said("x"))
		change(req)
		if _, err := NewExchange(req, Options{}); apierror.KindOf(err) != apierror.Unsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
	req := foreign(canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("12")}})
	req.Facts.Images = canon.No
	if _, x := written(t, req, Options{}); !strings.Contains(string(x.Body), "[image omitted: image/png, 2 bytes]") || len(x.Dropped) != 1 {
		t.Errorf("%s %v", x.Body, x.Dropped)
	}
	broken, err := Codec{}.Decode(OpChat, nil, []byte(`{"model":"m","messages":[{"role":"user","content":"`+strings.Repeat("x", 300<<10)+`"},{"role":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewExchange(broken, Options{ForceConvert: true}); apierror.KindOf(err) != apierror.InvalidRequest {
		t.Errorf("a conversation that cannot be read: %v", err)
	}
}
