package openai

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// foreign makes a request of a client of another format.
func foreign(parts ...canon.Part) *canon.Request {
	return &canon.Request{Format: "anthropic", Op: "messages", Model: "m", ModelAsked: "asked", Messages: []canon.Message{{Role: canon.RoleUser, Parts: parts}}}
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
	`{"model":"m","messages":[{"role":"user","content":"hi"}]}`,
	`{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","name":"n","content":[{"type":"text","text":"a","own":1},{"type":"image_url","image_url":{"url":"https://h/i","detail":"high"}}],"later":true}],"unknown":{"a":[1.50]},"top_k":2,"min_p":0.1,"repetition_penalty":1.1}`,
	`{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"reasoning_content":"r","reasoning_details":[{"x":1}],"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"b\": 1.0}"},"extra_content":{"g":1}}]},{"role":"tool","tool_call_id":"a","content":"r","own":1},{"role":"user","content":"go"},{"role":"system","content":"mid"},{"role":"assistant","content":"done"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"$schema":"x","type":"object","properties":{"z":{},"a":{}}},"strict":true},"own":2},{"type":"builtin_function","function":{"name":"$web_search"}}],"tool_choice":"auto","parallel_tool_calls":true}`,
	`{"model":"m","messages":[{"role":"user","content":"hi"}],"web_search_options":{"x":1},"response_format":{"type":"json_object"},"reasoning_effort":"low","verbosity":"high","service_tier":"flex","prompt_cache_key":"k","user":"u","safety_identifier":"s","store":true,"metadata":{"a":"b"},"modalities":["text","audio"],"audio":{"voice":"v","format":"wav"},"prediction":{"type":"content"},"seed":5,"n":2,"stop":["a","b"],"logprobs":true,"top_logprobs":3,"presence_penalty":0,"frequency_penalty":-1.5,"max_tokens":9}`,
	`{"model":"m","messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"https://h/v"}},{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},{"type":"file","file":{"file_id":"f"}},{"type":"file","file":{"filename":"n.txt","file_data":"data:text/plain;base64,aGk="}},{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h"}}]}],"response_format":{"type":"text"},"cache_control":{"type":"ephemeral"}}`,
}

func TestIdentity(t *testing.T) {
	o := Options{Documents: true, CacheControl: true}
	for i, body := range identityBodies {
		req := decode(t, body)
		x, err := NewExchange(req, o)
		if err != nil || string(x.Body) != body {
			t.Errorf("%d: with the body: %v\n%s\n%s", i, err, x.Body, body)
		}
		req.Body = canon.Object{}
		x, err = NewExchange(req, o)
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		var want, got any
		_ = json.Unmarshal([]byte(body), &want)
		if err := json.Unmarshal(x.Body, &got); err != nil {
			t.Errorf("%d: %v %s", i, err, x.Body)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d: without the body: %s", i, d)
		}
	}
}

func TestOwnHostKeepsItsOwnForms(t *testing.T) {
	body := `{"model":"gpt-5.1","messages":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"text","text":"x","prompt_cache_breakpoint":{"mode":"explicit"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"custom","custom":{"name":"p","input":"in"}}]},{"role":"tool","tool_call_id":"c","content":"r"},{"role":"assistant","content":"a"}],"tools":[{"type":"custom","custom":{"name":"p","description":"d","format":{"type":"text"}}},{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"custom","custom":{"name":"p"}},{"type":"function","function":{"name":"f"}}]}},"max_completion_tokens":5,"reasoning_effort":"none"}`
	req := decode(t, body)
	req.Body = canon.Object{}
	x, err := NewExchange(req, Options{OwnHost: true})
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	_ = json.Unmarshal([]byte(body), &want)
	_ = json.Unmarshal(x.Body, &got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReasoningForEachStyle(t *testing.T) {
	on := func(effort string) canon.Reasoning {
		return canon.Reasoning{Mode: canon.ReasonOn, Effort: effort, Source: "effort"}
	}
	budget := func(n int64) canon.Reasoning {
		return canon.Reasoning{Mode: canon.ReasonOn, Budget: &n, Source: "budget"}
	}
	off := canon.Reasoning{Mode: canon.ReasonOff}
	bare := canon.Reasoning{Mode: canon.ReasonOn}
	for i, c := range []struct {
		r     canon.Reasoning
		model string
		o     Options
		want  string
	}{
		{on("high"), "x", Options{}, ``},
		{on("high"), "x", Options{ThinkingStyle: ThinkEffort}, `,"reasoning_effort":"high"`},
		{on("max"), "x", Options{ThinkingStyle: ThinkEffort}, `,"reasoning_effort":"high"`},
		{budget(9000), "x", Options{ThinkingStyle: ThinkEffort}, `,"reasoning_effort":"high"`},
		{off, "x", Options{ThinkingStyle: ThinkEffort}, ``},
		{off, "gpt-5", Options{OwnHost: true}, `,"reasoning_effort":"minimal"`},
		{off, "gpt-5.1", Options{OwnHost: true}, `,"reasoning_effort":"none"`},
		{off, "new", Options{OwnHost: true}, `,"reasoning_effort":"minimal"`},
		{bare, "o3", Options{OwnHost: true}, `,"reasoning_effort":"medium"`},
		{on("high"), "gpt-4o", Options{OwnHost: true}, ``},
		{canon.Reasoning{Mode: canon.ReasonAuto}, "o3", Options{}, ``},
		{on("medium"), "q", Options{ThinkingStyle: ThinkEnable}, `,"enable_thinking":true,"thinking_budget":8192`},
		{budget(77), "q", Options{ThinkingStyle: ThinkEnable}, `,"enable_thinking":true,"thinking_budget":77`},
		{bare, "q", Options{ThinkingStyle: ThinkEnable}, `,"enable_thinking":true`},
		{off, "q", Options{ThinkingStyle: ThinkEnable}, `,"enable_thinking":false`},
		{on("low"), "k", Options{ThinkingStyle: ThinkType}, `,"thinking":{"type":"enabled"}`},
		{off, "k", Options{ThinkingStyle: ThinkType}, `,"thinking":{"type":"disabled"}`},
		{on("low"), "d", Options{ThinkingStyle: ThinkType, Efforts: []string{"high", "max"}}, `,"reasoning_effort":"high","thinking":{"type":"enabled"}`},
		{on("low"), "r", Options{ThinkingStyle: ThinkReasoning}, `,"reasoning":{"effort":"low"}`},
		{budget(77), "r", Options{ThinkingStyle: ThinkReasoning}, `,"reasoning":{"max_tokens":77}`},
		{off, "r", Options{ThinkingStyle: ThinkReasoning}, `,"reasoning":{"enabled":false}`},
		{canon.Reasoning{Mode: canon.ReasonOn, Summary: "none"}, "r", Options{ThinkingStyle: ThinkReasoning}, `,"reasoning":{"enabled":true,"exclude":true}`},
		{on("low"), "n", Options{ThinkingStyle: ThinkNone}, ``},
	} {
		req := foreign(said("x"))
		req.Model, req.Reasoning = c.model, c.r
		m, x := written(t, req, c.o)
		got := map[string]jsontext.Value{}
		for _, name := range reasoningFields {
			if v := m[name]; v != nil {
				got[name] = v
			}
		}
		if s := string(appendExt(nil, got)); s != c.want {
			t.Errorf("%d: %s, want %s", i, s, c.want)
		}
		if c.want == "" && c.r.Mode == canon.ReasonOn && len(x.Dropped) == 0 {
			t.Errorf("%d: nothing was reported", i)
		}
	}
}

func TestEditsOfAPassThrough(t *testing.T) {
	for i, c := range []struct {
		members string
		model   string
		o       Options
		want    string // members after the messages
		dropped string
	}{
		{`"stream":true,"stream_options":{"include_obfuscation":false}`, "m", Options{}, `"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}`, ""},
		{`"stream":true,"stream_options":{"include_usage":true}`, "m", Options{NoStreamOptions: true}, `"stream":true`, ""},
		{`"stream_options":{"include_usage":true}`, "m", Options{}, ``, ""},
		{`"stream":false`, "m", Options{ForceStream: true}, `"stream":true,"stream_options":{"include_usage":true}`, ""},
		{`"max_tokens":5`, "m", Options{OwnHost: true}, `"max_completion_tokens":5`, ""},
		{`"max_completion_tokens":5,"max_tokens":7`, "m", Options{}, `"max_tokens":5`, ""},
		{`"max_tokens":7`, "m", Options{MaxTokensField: "max_new"}, `"max_new":7`, ""},
		{``, "m", Options{DefaultMaxTokens: 100}, `"max_tokens":100`, ""},
		{`"temperature":1,"top_p":1,"logprobs":true`, "gpt-5", Options{OwnHost: true}, ``, "temperature top_p logprobs"},
		{`"temperature":1,"reasoning_effort":"none"`, "gpt-5.1", Options{OwnHost: true}, `"temperature":1,"reasoning_effort":"none"`, ""},
		{`"top_k":1`, "m", Options{NoExtensions: true}, ``, "top_k"},
		{`"reasoning_effort":"max"`, "o3", Options{OwnHost: true}, `"reasoning_effort":"high"`, ""},
		{`"reasoning_effort":"xhigh"`, "m", Options{EffortMap: map[string]string{"xhigh": "max"}, Efforts: []string{"max"}}, `"reasoning_effort":"max"`, ""},
		{`"thinking":{"type":"enabled"}`, "m", Options{ThinkingStyle: ThinkType}, `"thinking":{"type":"enabled"}`, ""},
		{`"reasoning_effort":"low"`, "m", Options{ThinkingStyle: ThinkEnable}, `"enable_thinking":true,"thinking_budget":1024`, ""},
		{`"reasoning_effort":"low"`, "m", Options{ThinkingStyle: ThinkNone}, ``, "reasoning"},
		{`"reasoning":{"effort":"low"}`, "m", Options{ThinkingStyle: ThinkReasoning}, `"reasoning":{"effort":"low"}`, ""},
		{`"extra_body":{"anthropic":{"thinking":{"type":"disabled"}},"x":1}`, "m", Options{ThinkingStyle: ThinkType}, `"thinking":{"type":"disabled"},"x":1`, ""},
		{`"extra_body.top_q":1,"extra_body.anthropic.thinking":{"type":"enabled"}`, "m", Options{ThinkingStyle: ThinkType, Efforts: []string{"high"}}, `"thinking":{"type":"enabled"},"top_q":1`, ""},
		{`"parallel_tool_calls":true,"tool_choice":"required"`, "m", Options{NoParallelCalls: true, NoToolChoice: true}, `"tool_choice":"auto"`, "tool_choice parallel_tool_calls"},
		{`"seed":1,"store":true`, "m", Options{Rename: map[string]string{"seed": "random_seed"}, Drop: []string{"store"}}, `"random_seed":1`, "store"},
		{`"stream":true,"stream_options":{"include_usage":true}`, "m", Options{DummyTool: true}, `"stream":true,"stream_options":{"include_usage":true},"tools":` + dummyTool, ""},
		{`"stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"f"}}]`, "m", Options{ToolStream: true, Extra: []canon.Edit{{Name: "do_sample", Value: jsontext.Value("true")}}}, `"stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"f"}}],"do_sample":true,"tool_stream":true`, ""},
	} {
		req := decode(t, chat(c.members))
		req.Model = c.model
		x, err := NewExchange(req, c.o)
		if err != nil {
			t.Fatal(err)
		}
		head := `{"model":"` + c.model + `","messages":[{"role":"user","content":"hi"}]`
		got := strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(string(x.Body), head), "}"), ",")
		if !strings.HasPrefix(string(x.Body), head) || got != c.want {
			t.Errorf("%d: %s\nwant %s", i, x.Body, c.want)
		}
		var lost []string
		for _, d := range x.Dropped {
			lost = append(lost, d.Field)
		}
		for _, f := range strings.Fields(c.dropped) {
			if !strings.Contains(strings.Join(lost, " "), f) {
				t.Errorf("%d: %s was not reported: %v", i, f, lost)
			}
		}
	}
	req := decode(t, chat(`"reasoning_effort":"low"`))
	req.Reasoning = canon.Reasoning{Mode: canon.ReasonOn, Effort: "high", Source: "suffix"}
	if x, _ := NewExchange(req, Options{}); !strings.Contains(string(x.Body), `"reasoning_effort":"high"`) {
		t.Errorf("the suffix did not win: %s", x.Body)
	}
}

func TestWhatForcesAConversion(t *testing.T) {
	for i, c := range []struct {
		body string
		o    Options
		want bool
	}{
		{chat(``), Options{}, false},
		{chat(``), Options{ForceConvert: true}, true},
		{chat(``), Options{StringContent: true}, true},
		{messages(`{"role":"user","content":"x"},{"role":"assistant","content":"a","reasoning_content":"r"}`), Options{ReasoningContent: ReasoningNever}, true},
		{messages(`{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]}`), Options{ReasoningFiller: " "}, true},
		{messages(`{"role":"developer","content":"x"},{"role":"user","content":"x"}`), Options{}, true},
		{messages(`{"role":"developer","content":"x"},{"role":"user","content":"x"}`), Options{OwnHost: true}, false},
		{messages(`{"role":"developer","content":"x"},{"role":"user","content":"x"}`), Options{OwnHost: true, NoDeveloperRole: true}, true},
		{chat(`"tools":[{"type":"function","function":{"name":"f","strict":true}}]`), Options{NoStrict: true}, true},
		{chat(`"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}`), Options{NoJSONSchema: true}, true},
		{chat(`"functions":[{"name":"f"}]`), Options{}, true},
		{chat(`"tools":[{"type":"custom","custom":{"name":"c"}}]`), Options{}, true},
		{chat(`"tools":[{"type":"function","function":{"name":"c"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"name":"c"}]}}`), Options{}, true},
		{chat(`"functions":[{"name":"f"}]`), Options{OwnHost: true}, false},
		{messages(`{"role":"user","content":[{"type":"text","text":"x","prompt_cache_breakpoint":{"mode":"explicit"}}]}`), Options{}, true},
		{messages(`{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}`), Options{OwnHost: true}, true},
	} {
		req := decode(t, c.body)
		x, err := NewExchange(req, c.o)
		if err != nil || x.verbatim == c.want {
			t.Errorf("%d: verbatim %v, %v", i, x.verbatim, err)
		}
		if c.want && strings.Contains(string(x.Body), "developer") {
			t.Errorf("%d: %s", i, x.Body)
		}
	}
}

func TestContentThatTheUpstreamCannotTake(t *testing.T) {
	image := canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("12345")}}
	pdf := canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "application/pdf", Data: []byte("%PDF")}}
	for name, c := range map[string]struct {
		p canon.Part
		o Options
	}{
		"document":        {pdf, Options{}},
		"document by URL": {canon.Part{Type: canon.PartDocument, Media: &canon.Media{URL: "https://h/d"}}, Options{OwnHost: true}},
		"foreign file":    {canon.Part{Type: canon.PartDocument, Media: &canon.Media{FileID: "f"}}, Options{OwnHost: true}},
		"image file":      {canon.Part{Type: canon.PartImage, Media: &canon.Media{FileID: "f"}}, Options{OwnHost: true}},
		"image as text":   {image, Options{StringContent: true}},
		"audio as text":   {canon.Part{Type: canon.PartAudio, Media: &canon.Media{Data: []byte("x")}}, Options{StringContent: true}},
		"video":           {canon.Part{Type: canon.PartVideo, Media: &canon.Media{URL: "https://h/v"}}, Options{}},
		"server part":     {canon.Part{Type: canon.PartServer}, Options{}},
	} {
		_, err := NewExchange(foreign(said("a"), c.p), c.o)
		if e := apierror.From(err); e == nil || e.Kind != apierror.Unsupported || e.Param != "messages" {
			t.Errorf("%s: %v", name, err)
		}
	}
	req := foreign(image)
	req.Facts.Images = canon.No
	m, x := written(t, req, Options{})
	if !strings.Contains(string(m["messages"]), "[image omitted: image/png, 5 bytes]") || len(x.Dropped) != 1 {
		t.Errorf("%s %v", x.Body, x.Dropped)
	}
	_, x = written(t, foreign(canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "text/plain", Text: "body", Title: "T"}}), Options{})
	if !strings.Contains(string(x.Body), `"T\n\nbody"`) {
		t.Errorf("%s", x.Body)
	}
	_, x = written(t, foreign(pdf), Options{OwnHost: true})
	if !strings.Contains(string(x.Body), `{"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,JVBERg=="}}`) {
		t.Errorf("%s", x.Body)
	}
}

func TestServerToolsOfOthers(t *testing.T) {
	search := canon.Tool{Kind: canon.ToolServer, ServerType: "web_search_20250305", Name: "web_search"}
	fn := canon.Tool{Kind: canon.ToolFunction, Name: "f", Schema: jsontext.Value(`{"type":"object","properties":{}}`)}
	req := foreign(said("x"))
	req.Tools = []canon.Tool{search, fn}
	if m, x := written(t, req, Options{}); len(x.Dropped) != 1 || strings.Contains(string(m["tools"]), "web_search") {
		t.Errorf("%s %v", x.Body, x.Dropped)
	}
	req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{"web_search"}}
	if _, err := NewExchange(req, Options{}); apierror.KindOf(err) != apierror.Unsupported {
		t.Error(err)
	}
	req.ToolChoice, req.Tools = canon.ToolChoice{}, []canon.Tool{search}
	if _, err := NewExchange(req, Options{}); apierror.KindOf(err) != apierror.Unsupported {
		t.Error(err)
	}
	req.Model = "gpt-4o-search-preview"
	if m, _ := written(t, req, Options{OwnHost: true}); string(m["web_search_options"]) != "{}" {
		t.Errorf("%v", m)
	}
	req.Tools = []canon.Tool{fn, {Kind: canon.ToolServer, ServerType: "mcp", Name: "srv"}}
	if _, err := NewExchange(req, Options{}); apierror.KindOf(err) != apierror.Unsupported {
		t.Error(err)
	}
	req.Tools, req.ToolChoice = []canon.Tool{fn}, canon.ToolChoice{Mode: canon.ChoiceNone}
	if m, _ := written(t, req, Options{NoToolChoice: true}); m["tools"] != nil {
		t.Errorf("%v", m)
	}
	req.ToolChoice.Mode = canon.ChoiceRequired
	if m, x := written(t, req, Options{NoToolChoice: true}); string(m["tool_choice"]) != `"auto"` || len(x.Dropped) != 1 {
		t.Errorf("%v", m)
	}
	other := fn
	other.Name = "g"
	req.Tools, req.ToolChoice = []canon.Tool{fn, other}, canon.ToolChoice{Mode: canon.ChoiceAllowed, Names: []string{"g"}}
	if m, _ := written(t, req, Options{}); string(m["tool_choice"]) != `"auto"` || strings.Contains(string(m["tools"]), `"f"`) {
		t.Errorf("%v", m)
	}
}

// What another maker signed was not this upstream's thinking, and data that only its maker reads never goes out.
func TestForeignReasoningStaysHere(t *testing.T) {
	req := foreign(said("x"))
	req.Messages = append(req.Messages, canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{
		{Type: canon.PartReasoning, Text: "claude's", Opaque: &canon.Opaque{Family: "claude", Data: "sig"}},
		{Type: canon.PartReasoning, Text: "own"},
		{Type: canon.PartToolCall, CallID: "a", Name: "f", Args: jsontext.Value("{}")},
	}}, canon.Message{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartToolResult, CallID: "a", IsError: true, Result: []canon.Part{said("boom")}}}})
	_, x := written(t, req, Options{})
	for _, want := range []string{`"reasoning_content":"own"`, `"content":"Error: boom"`} {
		if !strings.Contains(string(x.Body), want) {
			t.Errorf("%s is missing in %s", want, x.Body)
		}
	}
	if strings.Contains(string(x.Body), "claude's") || strings.Contains(string(x.Body), "sig") {
		t.Errorf("%s", x.Body)
	}
	for _, o := range []Options{{OwnHost: true}, {ReasoningContent: ReasoningNever}} {
		if _, x := written(t, req, o); strings.Contains(string(x.Body), "reasoning_content") {
			t.Errorf("%s", x.Body)
		}
	}
	req.Messages[1].Parts = req.Messages[1].Parts[2:]
	if _, x := written(t, req, Options{ReasoningFiller: " "}); !strings.Contains(string(x.Body), `"reasoning_content":" "`) {
		t.Errorf("%s", x.Body)
	}
}

func TestBrokenTurnsAreMended(t *testing.T) {
	long := strings.Repeat("i", 400)
	call := func(id string) canon.Part {
		return canon.Part{Type: canon.PartToolCall, CallID: id, Name: "f", Args: jsontext.Value("{}")}
	}
	result := func(id, s string) canon.Part {
		return canon.Part{Type: canon.PartToolResult, CallID: id, Result: []canon.Part{said(s)}}
	}
	req := foreign(said("x"))
	req.Messages = append(req.Messages,
		canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{call("a"), call("a"), call(long), call("")}},
		canon.Message{Role: canon.RoleUser, Parts: []canon.Part{result("lost", "L"), result(long, "3"), result("a", "1"), result("a", "2")}},
		canon.Message{Role: canon.RoleSystem, Parts: []canon.Part{said("mid")}},
		canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{{Type: canon.PartReasoning, Text: "only"}}},
		canon.Message{Role: canon.RoleAssistant, Parts: []canon.Part{said("begin")}})
	m, _ := written(t, req, Options{OneSystem: true})
	var list []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
		ID      string `json:"tool_call_id"`
	}
	if err := json.Unmarshal(m["messages"], &list); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s %s %d", e.Role, e.Content, len(e.ID)))
	}
	want := []string{"user x 0", "assistant  0", "tool 1 1", "tool 2 3", "tool 3 29", "tool " + noResult + " 29",
		"user [result of unknown tool call lost]: L\n\n<system-reminder>\nmid\n</system-reminder> 0", "user Continue exactly from: begin 0"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, x := written(t, req, Options{ShortCallIDs: true}); strings.Contains(string(x.Body), `"id":"a"`) {
		t.Errorf("%s", x.Body)
	}
	req.Messages = []canon.Message{{Role: canon.RoleSystem, Parts: []canon.Part{said("a")}}, {Role: canon.RoleSystem, Parts: []canon.Part{said("b")}}}
	if m, _ := written(t, req, Options{OneSystem: true}); !strings.Contains(string(m["messages"]), "a\\n</system-reminder>\\n<system-reminder>\\nb") {
		t.Errorf("%s", m["messages"])
	}
}

func TestTrap21LongToolNamesComeBack(t *testing.T) {
	name := "mcp__server__" + strings.Repeat("n", 80)
	req := foreign(said("x"))
	req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: name}}
	req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{name}}
	m, x := written(t, req, Options{})
	short := wire.ShortName(name)
	if !strings.Contains(string(m["tool_choice"]), short) || strings.Contains(string(x.Body), name) {
		t.Errorf("%s", x.Body)
	}
	resp, err := collect(x, sse("stop", calls(`{"index":0,"id":"a","function":{"name":"`+short+`","arguments":""}}`)))
	if err != nil || resp.Parts[0].Name != name || string(resp.Parts[0].Args) != "{}" {
		t.Errorf("%v %+v", err, resp)
	}
}

func TestStructuredOutput(t *testing.T) {
	strict := true
	req := foreign(said("x"))
	req.Output = canon.Output{Kind: canon.OutputJSON}
	m, _ := written(t, req, Options{})
	if string(m["response_format"]) != `{"type":"json_object"}` || !strings.Contains(string(m["messages"]), "Answer with one JSON object only.") {
		t.Errorf("%v", m)
	}
	req.System = []canon.Part{said("write json"), said("x-anthropic-billing-header: 1")}
	if m, _ := written(t, req, Options{}); !strings.HasPrefix(string(m["messages"]), `[{"role":"system","content":"write json"},{"role":"user"`) {
		t.Errorf("%s", m["messages"])
	}
	req.Output = canon.Output{Kind: canon.OutputSchema, Description: "d", Schema: jsontext.Value(`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}`), Strict: &strict}
	if m, _ := written(t, req, Options{}); !strings.Contains(string(m["response_format"]), `{"name":"answer","description":"d","schema":`) || !strings.Contains(string(m["response_format"]), `"strict":true`) {
		t.Errorf("%s", m["response_format"])
	}
	if m, _ := written(t, req, Options{NoJSONSchema: true}); string(m["response_format"]) != `{"type":"json_object"}` || !strings.Contains(string(m["messages"]), "It must match this JSON schema") {
		t.Errorf("%v", m)
	}
}

func TestRestOfAForeignRequest(t *testing.T) {
	p, n := 0.5, int64(2)
	req := foreign(canon.Part{Type: canon.PartText, Text: "x", Cache: &canon.Cache{TTL: "1h"}})
	req.UserID, req.Conversation, req.Verbosity, req.ServiceTier = strings.Repeat("u", 100), "conv", "low", "flex"
	req.Stop, req.Sampling.TopK, req.Sampling.MinP = []string{"1", "2", "3", "4", "5"}, &n, &p
	req.Cache, req.Modalities = &canon.Cache{}, []string{"text"}
	m, x := written(t, req, Options{OwnHost: true})
	if len(text(m["user"])) != 64 || text(m["prompt_cache_key"]) != "conv" || string(m["stop"]) != `["1","2","3","4"]` || m["top_k"] != nil {
		t.Errorf("%s", x.Body)
	}
	var got []string
	for _, d := range x.Dropped {
		got = append(got, d.Field)
	}
	if d := cmp.Diff([]string{"cache_control", "top_k", "min_p", "stop", "service_tier"}, got); d != "" {
		t.Error(d)
	}
	m, _ = written(t, req, Options{CacheControl: true, Drop: []string{"stop"}})
	if !strings.Contains(string(m["messages"]), `"cache_control":{"type":"ephemeral","ttl":"1h"}`) || m["stop"] != nil || m["user"] != nil {
		t.Errorf("%v", m)
	}
}

func TestExpandedRequestIsNotChanged(t *testing.T) {
	req := decode(t, identityBodies[2])
	before := req.Clone()
	if _, err := NewExchange(req, Options{ForceConvert: true, StringContent: true}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before.Messages, req.Messages) || !reflect.DeepEqual(before.System, req.System) {
		t.Error("the request was changed")
	}
}
