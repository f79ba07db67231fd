package anthropic

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

func say(s string) canon.Part            { return canon.Part{Type: canon.PartText, Text: s} }
func ptr[T any](v T) *T                  { return &v }
func user(p ...canon.Part) canon.Message { return canon.Message{Role: canon.RoleUser, Parts: p} }
func model(p ...canon.Part) canon.Message {
	return canon.Message{Role: canon.RoleAssistant, Parts: p}
}
func toolCall(id, name, args string) canon.Part {
	return canon.Part{Type: canon.PartToolCall, CallID: id, Name: name, Args: jsontext.Value(args)}
}
func result(id string, p ...canon.Part) canon.Part {
	return canon.Part{Type: canon.PartToolResult, CallID: id, Result: p}
}

// chat returns a request as a client of another format makes it.
func chat(m string, messages ...canon.Message) *canon.Request {
	return &canon.Request{Format: "openai", Op: "chat", ModelAsked: m, Model: m, Stream: true, MaxTokens: ptr(int64(1000)), Messages: messages}
}

// write returns the written body, decoded.
func write(t *testing.T, req *canon.Request, o Options) (map[string]any, *Exchange) {
	t.Helper()
	x, err := NewExchange(req, o)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(x.Body, &m); err != nil {
		t.Fatalf("%v\n%s", err, x.Body)
	}
	return m, x
}

// member returns a member of a written body as compact JSON without cache marks.
func member(t *testing.T, req *canon.Request, o Options, name string) string {
	t.Helper()
	_, x := write(t, req, o)
	b, err := canon.ParseObject(x.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b.Get(name)), `,"cache_control":{"type":"ephemeral"}`, "")
}

func TestMessagesMeetTheAPIsRules(t *testing.T) {
	image := canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("x")}}
	for name, c := range map[string]struct {
		in   []canon.Message
		want string
	}{
		"roles alternate": {
			[]canon.Message{user(say("a")), user(say("b")), model(say("c")), model(say("d")), user(say("e"))},
			`[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]},{"role":"user","content":[{"type":"text","text":"e"}]}]`,
		},
		"the first message is the user's": {
			[]canon.Message{model(say("c")), user(say("e"))},
			`[{"role":"user","content":[{"type":"text","text":"(continue)"}]},{"role":"assistant","content":[{"type":"text","text":"c"}]},{"role":"user","content":[{"type":"text","text":"e"}]}]`,
		},
		"a call without a result gets a stand-in": {
			[]canon.Message{user(say("a")), model(toolCall("c1", "ls", `{}`), toolCall("c2", "ls", `{"a":1}`)), user(say("stop"), result("c2", say("r")))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"ls","input":{}},{"type":"tool_use","id":"c2","name":"ls","input":{"a":1}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c2","content":"r"},{"type":"tool_result","tool_use_id":"c1","content":"No result was recorded for this call.","is_error":true},{"type":"text","text":"stop"}]}]`,
		},
		"a last call gets one too": {
			[]canon.Message{user(say("a")), model(toolCall("c1", "ls", ``))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"ls","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"No result was recorded for this call.","is_error":true}]}]`,
		},
		"a result without a call becomes text": {
			[]canon.Message{user(result("x", say("lost"), image)), model(say("c")), user(result("y", say("r")), say("e"))},
			`[{"role":"user","content":[{"type":"text","text":"[result of unknown tool call x]: lost"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"eA=="}}]},{"role":"assistant","content":[{"type":"text","text":"c"}]},{"role":"user","content":[{"type":"text","text":"[result of unknown tool call y]: r"},{"type":"text","text":"e"}]}]`,
		},
		"ids are cleaned and made unique": {
			[]canon.Message{user(say("a")), model(toolCall("c:1", "ls", `{}`), toolCall("c.1", "ls", `{}`)), user(result("c.1", say("2")), result("c:1", say("1"))),
				model(toolCall("c:1", "ls", `{}`)), user(result("c:1", say("3")))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c_1","name":"ls","input":{}},{"type":"tool_use","id":"c_1_2","name":"ls","input":{}}]},` +
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c_1_2","content":"2"},{"type":"tool_result","tool_use_id":"c_1","content":"1"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c_1_3","name":"ls","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c_1_3","content":"3"}]}]`,
		},
		"empty texts and messages go": {
			[]canon.Message{user(say("a"), say("")), model(say("")), user(say("b"))},
			`[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`,
		},
		"an image stays in its result": {
			[]canon.Message{user(say("a")), model(toolCall("c1", "shot", `{}`)), user(result("c1", say("see"), image))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"shot","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"see"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"eA=="}}]}]}]`,
		},
		"arguments that are no object are wrapped": {
			[]canon.Message{user(say("a")), model(canon.Part{Type: canon.PartToolCall, CallID: "c", Name: "f", Args: jsontext.Value(`"[1"`), BadArgs: true}), user(result("c"))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{"_raw_arguments":"[1"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c"}]}]`,
		},
		"a prefill loses its last white space": {
			[]canon.Message{user(say("a")), model(say("{ \n"))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"text","text":"{"}]}]`,
		},
		"a prefill of white space goes": {
			[]canon.Message{user(say("a")), model(say(" \n"))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]}]`,
		},
		"system text in the middle becomes a reminder": {
			[]canon.Message{user(say("a")), {Role: canon.RoleSystem, Parts: []canon.Part{say("s"), say("t")}}, model(say("c")), user(say("b"))},
			`[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"<system-reminder>\ns\nt\n</system-reminder>"}]},{"role":"assistant","content":[{"type":"text","text":"c"}]},{"role":"user","content":[{"type":"text","text":"b"}]}]`,
		},
		"media of the model is named": {
			[]canon.Message{user(say("a")), model(image), user(say("b"))},
			`[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"text","text":"[image omitted: image/png, 1 bytes]"}]},{"role":"user","content":[{"type":"text","text":"b"}]}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, member(t, chat("claude-sonnet-4-5", c.in...), Options{OwnHost: true}, "messages")); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestCallWithoutIDGetsTheSameOneEachTurn(t *testing.T) {
	req := func() *canon.Request {
		return chat("claude-sonnet-4-5", user(say("a")), model(toolCall("", "ls", `{}`)), user(result("", say("r"))))
	}
	a, b := member(t, req(), Options{}, "messages"), member(t, req(), Options{}, "messages")
	if a != b || !strings.Contains(a, `"id":"toolu_`) || strings.Contains(a, "No result") {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestSystemInTheMiddleOnlyWhereTheModelTakesIt(t *testing.T) {
	sys := canon.Message{Role: canon.RoleSystem, Parts: []canon.Part{say("s")}}
	for name, c := range map[string]struct {
		model  string
		o      Options
		msgs   []canon.Message
		native bool
	}{
		"listed model on the own host":   {"claude-opus-4-8", Options{OwnHost: true}, []canon.Message{user(say("a")), sys, model(say("b")), user(say("c"))}, true},
		"at the end":                     {"claude-sonnet-5", Options{OwnHost: true}, []canon.Message{user(say("a")), sys, sys}, true},
		"older model":                    {"claude-sonnet-4-6", Options{OwnHost: true}, []canon.Message{user(say("a")), sys}, false},
		"another host":                   {"claude-opus-4-8", Options{}, []canon.Message{user(say("a")), sys}, false},
		"stripped":                       {"claude-opus-4-8", Options{OwnHost: true, NoSystemRole: true}, []canon.Message{user(say("a")), sys}, false},
		"before the user":                {"claude-opus-4-8", Options{OwnHost: true}, []canon.Message{user(say("a")), sys, user(say("b"))}, false},
		"after the model's plain answer": {"claude-opus-4-8", Options{OwnHost: true}, []canon.Message{user(say("a")), model(say("b")), sys}, false},
		"as messages[0]":                 {"claude-opus-4-8", Options{OwnHost: true}, []canon.Message{sys, model(say("b")), user(say("c"))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := member(t, chat(c.model, c.msgs...), c.o, "messages")
			if strings.Contains(got, `"role":"system"`) != c.native || strings.Contains(got, "<system-reminder>") == c.native {
				t.Error(got)
			}
			if strings.HasPrefix(got, `[{"role":"system"`) || strings.Count(got, `"role":"system"`) > 1 {
				t.Errorf("a system message first, or two: %s", got)
			}
		})
	}
}

func TestThinkingByModel(t *testing.T) {
	on := func(effort string) canon.Reasoning { return canon.Reasoning{Mode: canon.ReasonOn, Effort: effort} }
	budget := func(n int64) canon.Reasoning {
		return canon.Reasoning{Mode: canon.ReasonOn, Budget: &n, Source: "budget"}
	}
	for _, c := range []struct {
		model    string
		r        canon.Reasoning
		max      int64
		own      bool
		thinking string
		config   string
		maxOut   int64
	}{
		{"claude-opus-4-8", canon.Reasoning{}, 1000, false, ``, ``, 1000},
		{"claude-opus-4-8", canon.Reasoning{Effort: "minimal"}, 1000, false, `{"type":"adaptive"}`, `{"effort":"low"}`, 1000},
		{"claude-opus-4-8", on("xhigh"), 1000, false, `{"type":"adaptive"}`, `{"effort":"xhigh"}`, 1000},
		{"claude-opus-4-6", on("xhigh"), 1000, false, `{"type":"adaptive"}`, `{"effort":"max"}`, 1000},
		{"claude-opus-4-6", on("max"), 1000, false, `{"type":"adaptive"}`, `{"effort":"max"}`, 1000},
		{"claude-opus-4-8", on(""), 1000, false, `{"type":"adaptive"}`, ``, 1000},
		{"claude-opus-4-8", budget(8192), 1000, false, `{"type":"adaptive"}`, `{"effort":"medium"}`, 1000},
		{"claude-opus-4-8", budget(-1), 1000, false, `{"type":"adaptive"}`, ``, 1000},
		{"claude-opus-4-8", budget(2048), 4000, true, `{"type":"enabled","budget_tokens":2048}`, ``, 4000},
		{"claude-opus-5", budget(2048), 4000, true, `{"type":"adaptive"}`, `{"effort":"medium"}`, 4000},
		{"claude-opus-4-8", canon.Reasoning{Effort: "none"}, 1000, false, `{"type":"disabled"}`, ``, 1000},
		{"claude-opus-4-8", canon.Reasoning{Effort: "high"}, 1000, true, ``, `{"effort":"high"}`, 1000},
		{"claude-sonnet-4-5", on("low"), 20000, false, `{"type":"enabled","budget_tokens":1024}`, ``, 20000},
		{"claude-sonnet-4-5", on("minimal"), 20000, false, `{"type":"enabled","budget_tokens":1024}`, ``, 20000},
		{"claude-sonnet-4-5", on("high"), 8000, false, `{"type":"enabled","budget_tokens":24576}`, ``, 32576},
		{"claude-sonnet-4-5", budget(32000), 8000, false, `{"type":"enabled","budget_tokens":32000}`, ``, 40000},
		{"claude-sonnet-4-5", budget(100000), 8000, false, `{"type":"enabled","budget_tokens":62976}`, ``, 64000},
		{"claude-sonnet-4-5", budget(0), 8000, false, `{"type":"disabled"}`, ``, 8000},
		{"claude-sonnet-4-5", canon.Reasoning{Mode: canon.ReasonAuto}, 30000, false, `{"type":"enabled","budget_tokens":24576}`, ``, 30000},
		{"claude-sonnet-4-5", on(""), 30000, false, `{"type":"enabled","budget_tokens":8192}`, ``, 30000},
		{"claude-3-5-haiku-20241022", on("high"), 1000, false, ``, ``, 1000},
		{"claude-nova-9", on("high"), 1000, false, `{"type":"adaptive"}`, `{"effort":"high"}`, 1000},
		{"glm-5", on("high"), 1000, false, `{"type":"enabled","budget_tokens":24576}`, ``, 25576},
	} {
		t.Run(fmt.Sprint(c.model, c.r, c.own), func(t *testing.T) {
			req := chat(c.model, user(say("a")))
			req.Reasoning, req.MaxTokens = c.r, &c.max
			if c.own {
				req.Format = Name
			}
			if got := member(t, req, Options{}, "thinking"); got != c.thinking {
				t.Errorf("thinking %s, want %s", got, c.thinking)
			}
			if got := member(t, req, Options{}, "output_config"); got != c.config {
				t.Errorf("output_config %s, want %s", got, c.config)
			}
			if got := member(t, req, Options{}, "max_tokens"); got != fmt.Sprint(c.maxOut) {
				t.Errorf("max_tokens %s, want %d", got, c.maxOut)
			}
		})
	}
}

func TestBudgetThatFitsNowhereLeavesThinkingOut(t *testing.T) {
	req := chat("claude-opus-4-1", user(say("a")))
	req.Facts.MaxOutput = 1500
	req.Reasoning = canon.Reasoning{Budget: ptr(int64(5000))}
	m, x := write(t, req, Options{})
	if m["thinking"] != nil || m["max_tokens"] != 1000.0 || len(x.Dropped) != 1 {
		t.Errorf("%v %v", m, x.Dropped)
	}
}

func TestForcedToolLeavesThinkingOut(t *testing.T) {
	req := chat("claude-opus-4-8", user(say("a")))
	req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "f"}}
	req.Reasoning.Effort = "high"
	for mode, want := range map[string]string{
		canon.ChoiceRequired: `{"type":"any"}`, canon.ChoiceNamed: `{"type":"tool","name":"f"}`, canon.ChoiceAllowReq: `{"type":"any"}`,
		canon.ChoiceAllowed: `{"type":"auto"}`, canon.ChoiceNone: `{"type":"none"}`, canon.ChoiceAuto: `{"type":"auto"}`, "": ``,
	} {
		req.ToolChoice = canon.ToolChoice{Mode: mode, Names: []string{"f"}}
		if got := member(t, req, Options{}, "tool_choice"); got != want {
			t.Errorf("%s: %s, want %s", mode, got, want)
		}
		forced := strings.Contains(want, "any") || strings.Contains(want, "tool")
		if got := member(t, req, Options{}, "thinking"); (got == "") != forced {
			t.Errorf("%s: thinking %s", mode, got)
		}
	}
}

func TestToolLoopWithoutItsThinkingGoesWithoutThinking(t *testing.T) {
	req := chat("claude-sonnet-4-5", user(say("a")), model(toolCall("c", "ls", `{}`)), user(result("c", say("r"))))
	req.Reasoning = canon.Reasoning{Budget: ptr(int64(2000))}
	req.MaxTokens = ptr(int64(4000))
	if got := member(t, req, Options{}, "thinking"); got != `{"type":"disabled"}` {
		t.Error(got)
	}
	req.Messages[1].Parts = append([]canon.Part{{Type: canon.PartReasoning, Text: "t", Opaque: &canon.Opaque{Family: "claude", Kind: "think", Data: "EqQ"}}}, req.Messages[1].Parts...)
	if got := member(t, req, Options{}, "thinking"); got != `{"type":"enabled","budget_tokens":2000}` {
		t.Error(got)
	}
	x, err := NewExchange(req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	y, err := x.WithoutReasoning()
	if err != nil || bytes.Contains(y.Body, []byte("EqQ")) || !bytes.Contains(y.Body, []byte(`"thinking":{"type":"disabled"}`)) {
		t.Errorf("%s %v", y.Body, err)
	}
}

func TestOnlyTheFamilysOwnThinkingIsSent(t *testing.T) {
	think := func(family, data string) canon.Part {
		return canon.Part{Type: canon.PartReasoning, Text: "t-" + family, Opaque: &canon.Opaque{Family: family, Kind: "think", Data: data}}
	}
	req := chat("claude-opus-4-8", user(say("a")),
		model(think("gemini", "skip_thought_signature_validator"), think("claude", "C1"), think("openai", "gAAA"), think("", "?"), canon.Part{Type: canon.PartReasoning, Text: "unsigned"}, say("b")), user(say("c")))
	got := member(t, req, Options{}, "messages")
	if strings.Count(got, `"type":"thinking"`) != 1 || !strings.Contains(got, `{"type":"thinking","thinking":"t-claude","signature":"C1"}`) || strings.Contains(got, "skip_thought") {
		t.Error(got)
	}
	kimi := chat("kimi-k3", req.Messages...)
	if got := member(t, kimi, Options{NoSignatureCheck: true}, "messages"); strings.Count(got, `"signature":""`) != 5 {
		t.Error(got)
	}
}

func TestSamplingNextToThinkingAndByModel(t *testing.T) {
	for _, c := range []struct {
		model  string
		temp   float64
		effort string
		want   string
	}{
		{"claude-sonnet-4-5", 0, "", "0"},
		{"claude-sonnet-4-5", 1.7, "", "1"},
		{"claude-sonnet-4-5", 0.3, "high", ""},
		{"claude-sonnet-4-5", 1, "high", "1"},
		{"claude-opus-4-8", 0.3, "", ""},
		{"deepseek-v4", 0.3, "high", "0.3"},
	} {
		req := chat(c.model, user(say("a")))
		req.Sampling = canon.Sampling{Temperature: &c.temp, TopP: ptr(0.9), TopK: ptr(int64(5))}
		req.Reasoning.Effort = c.effort
		if got := member(t, req, Options{}, "temperature"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		if got := member(t, req, Options{}, "top_p"); strings.HasPrefix(c.model, "claude") != (got == "") {
			t.Errorf("%+v: top_p %q", c, got)
		}
	}
}

func TestCacheMarks(t *testing.T) {
	mark := func(p canon.Part, ttl string) canon.Part { p.Cache = &canon.Cache{TTL: ttl}; return p }
	req := chat("claude-sonnet-4-5", user(say("a")), model(say("b")), user(say("c"), say("d")), model(say("e")), user(say("f")))
	req.System = []canon.Part{say("s1"), say("s2")}
	req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "f"}, {Kind: canon.ToolFunction, Name: "g"}}
	_, x := write(t, req, Options{})
	for _, want := range []string{
		`{"type":"text","text":"s2","cache_control":{"type":"ephemeral"}}`, `{"type":"text","text":"d","cache_control":{"type":"ephemeral"}}`,
		`{"type":"text","text":"f","cache_control":{"type":"ephemeral"}}`, `"input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}]`,
	} {
		if !bytes.Contains(x.Body, []byte(want)) {
			t.Errorf("no %s in %s", want, x.Body)
		}
	}
	if n := bytes.Count(x.Body, []byte("cache_control")); n != 4 {
		t.Errorf("%d marks", n)
	}
	req.System = []canon.Part{mark(say("s1"), "1h"), mark(say("s2"), "")}
	req.Messages = []canon.Message{user(mark(say("a"), "5m"), mark(say("b"), "1h"), mark(say("c"), "1h"))}
	_, x = write(t, req, Options{})
	if n := bytes.Count(x.Body, []byte("cache_control")); n != 4 || bytes.Contains(x.Body, []byte("1h")) {
		t.Errorf("the last four, and no hour after five minutes: %s", x.Body)
	}
	if _, x = write(t, req, Options{NoCacheControl: true}); bytes.Contains(x.Body, []byte("cache_control")) {
		t.Errorf("marks for a service without: %s", x.Body)
	}
}

func TestPrefillByModel(t *testing.T) {
	req := chat("claude-sonnet-4-5", user(say("a")), model(say("Once ")))
	if got := member(t, req, Options{}, "messages"); !strings.HasSuffix(got, `{"role":"assistant","content":[{"type":"text","text":"Once"}]}]`) {
		t.Error(got)
	}
	req.Model = "claude-opus-4-6"
	if got := member(t, req, Options{}, "messages"); !strings.HasSuffix(got, `{"type":"text","text":"Continue exactly from: Once"}]}]`) || strings.Contains(got, "assistant") {
		t.Error(got)
	}
}

func TestMaxTokensDefault(t *testing.T) {
	for _, c := range []struct {
		model  string
		stream bool
		o      Options
		want   string
	}{
		{"claude-opus-4-8", true, Options{}, "128000"},
		{"claude-opus-4-8", false, Options{}, "32000"},
		{"claude-opus-4-8", false, Options{AlwaysStream: true}, "128000"},
		{"claude-3-5-haiku-latest", true, Options{}, "8192"},
		{"glm-5", true, Options{}, "32000"},
		{"glm-5", true, Options{DefaultMaxTokens: 5}, "5"},
	} {
		req := chat(c.model, user(say("a")))
		req.MaxTokens, req.Stream = nil, c.stream
		if got := member(t, req, c.o, "max_tokens"); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	req := chat("claude-sonnet-4-5", user(say("a")))
	req.MaxTokens = ptr(int64(200000))
	if m, x := write(t, req, Options{}); m["max_tokens"] != 64000.0 || len(x.Dropped) != 1 {
		t.Errorf("%v", m["max_tokens"])
	}
}

func TestWhatAnthropicCannotDoIsRefusedByName(t *testing.T) {
	audio := canon.Part{Type: canon.PartAudio, Media: &canon.Media{MIME: "audio/wav", Data: []byte("x")}}
	fileID := canon.Part{Type: canon.PartImage, Media: &canon.Media{FileID: "file-1"}}
	word := canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "application/msword", Data: []byte("x")}}
	for name, c := range map[string]struct {
		edit func(*canon.Request)
		kind apierror.Kind
	}{
		"n":                    {func(r *canon.Request) { r.Sampling.N = ptr(int64(2)) }, apierror.Unsupported},
		"modalities":           {func(r *canon.Request) { r.Modalities = []string{"text", "audio"} }, apierror.Unsupported},
		"max_tokens":           {func(r *canon.Request) { r.MaxTokens = ptr(int64(0)) }, apierror.InvalidRequest},
		"previous_response_id": {func(r *canon.Request) { r.State.PreviousResponse = "resp_1" }, apierror.InvalidRequest},
		"background":           {func(r *canon.Request) { r.State.Background = true }, apierror.Unsupported},
		"cachedContent":        {func(r *canon.Request) { r.State.CachedContent = "c" }, apierror.Unsupported},
		"messages":             {func(r *canon.Request) { r.Messages = []canon.Message{user(audio)} }, apierror.Unsupported},
		"messages ":            {func(r *canon.Request) { r.Messages = []canon.Message{user(fileID)} }, apierror.Unsupported},
		"messages  ": {func(r *canon.Request) {
			r.Messages = []canon.Message{user(say("a")), model(toolCall("c", "f", "")), user(result("c", word))}
		}, apierror.Unsupported},
		"tools": {func(r *canon.Request) { r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "file_search"}} }, apierror.Unsupported},
		"tools ": {func(r *canon.Request) {
			r.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: "mcp"}, {Kind: canon.ToolFunction, Name: "f"}}
		}, apierror.Unsupported},
		"tool_choice": {func(r *canon.Request) {
			r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{"zz"}}
		}, apierror.Unsupported},
	} {
		req := chat("claude-sonnet-4-5", user(say("a")))
		c.edit(req)
		_, err := NewExchange(req, Options{OwnHost: true})
		e := &apierror.Error{}
		if !errors.As(err, &e) || e.Kind != c.kind || e.Param != strings.TrimSpace(name) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestFieldsWithoutAPlaceAreReported(t *testing.T) {
	req := chat("claude-sonnet-4-5", user(say("a")))
	req.Sampling = canon.Sampling{MinP: ptr(0.1), Seed: ptr(int64(1)), Presence: ptr(0.0), Logprobs: ptr(true)}
	req.Verbosity, req.Stop = "low", []string{" ", "x"}
	m, x := write(t, req, Options{})
	want := []string{"logprobs", "min_p", "presence_penalty", "seed", "verbosity"}
	var got []string
	for _, w := range x.Dropped {
		got = append(got, w.Field)
	}
	if d := cmp.Diff(want, got); d != "" || cmp.Diff([]any{"x"}, m["stop_sequences"]) != "" {
		t.Errorf("%s %v", d, m)
	}
}

func TestWebSearchOfOtherFormats(t *testing.T) {
	search := canon.Tool{Kind: canon.ToolServer, Name: "web_search", ServerType: "web_search"}
	fn := canon.Tool{Kind: canon.ToolFunction, Name: "f"}
	req := chat("claude-sonnet-4-5", user(say("a")))
	req.Tools = []canon.Tool{search, fn}
	if got := member(t, req, Options{OwnHost: true}, "tools"); !strings.HasPrefix(got, `[{"type":"web_search_20250305","name":"web_search"},`) {
		t.Error(got)
	}
	req.Format = "responses" // codex names it on every call
	if m, x := write(t, req, Options{OwnHost: true}); len(m["tools"].([]any)) != 1 || len(x.Dropped) != 1 {
		t.Error(m["tools"], x.Dropped)
	}
	req.Tools = []canon.Tool{search}
	if got := member(t, req, Options{OwnHost: true}, "tools"); !strings.Contains(got, "web_search_20250305") {
		t.Error(got)
	}
}

// The worked example of a Responses client: developer texts, reasoning with a signature, a free-form tool.
func TestResponsesClientOnClaude(t *testing.T) {
	req := chat("claude-opus-4-8", user(say("C")), user(say("D")),
		model(canon.Part{Type: canon.PartReasoning, Summary: []string{"think"}, Opaque: wire.ReadOpaque("pb1.claude.think.RXFR", "think")}, toolCall("c1", "exec_command", `{"cmd":"x"}`)),
		user(result("c1", say("x"))))
	req.Format, req.System = "responses", []canon.Part{say("A"), say("B")}
	req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "exec_command"}, {Kind: canon.ToolCustom, Name: "apply_patch", Grammar: jsontext.Value(`{"type":"grammar","syntax":"lark","definition":"start: x"}`)},
		{Kind: canon.ToolFunction, Space: "ns", Name: "do"}, {Kind: canon.ToolServer, ServerType: "web_search"}}
	req.Conversation = "s"
	m, x := write(t, req, Options{OwnHost: true})
	got := member(t, req, Options{OwnHost: true}, "messages")
	want := `[{"role":"user","content":[{"type":"text","text":"C"},{"type":"text","text":"D"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"think","signature":"EqQ"},{"type":"tool_use","id":"c1","name":"exec_command","input":{"cmd":"x"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"x"}]}]`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	tools := member(t, req, Options{OwnHost: true}, "tools")
	if !strings.Contains(tools, `{"name":"apply_patch","input_schema":{"type":"object","properties":{"input":{"type":"string","description":"start: x"}},"required":["input"]}}`) || !strings.Contains(tools, `"name":"ns__do"`) {
		t.Error(tools)
	}
	if id := m["metadata"].(map[string]any)["user_id"].(string); !strings.HasPrefix(id, "user_") || strings.Contains(id, "s-") {
		t.Error(id)
	}
	stream := frames(`{"type":"message_start","message":{"id":"m","model":"x","usage":{"input_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"apply_patch","input":{}}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"inp"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"ut\":\"a\\n\\"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"u00e9\\ud83d"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\\ude00\"}"}}`,
		`{"type":"content_block_stop","index":0}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t2","name":"ns__do","input":{"a":1}}}`,
		`{"type":"content_block_stop","index":1}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`, `{"type":"message_stop"}`)
	var streamed string
	var fold canon.Fold
	for ev, err := range x.ReadStream(strings.NewReader(stream)) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == canon.KindDelta && ev.Index == 0 {
			streamed += ev.Text
		}
		fold.Add(ev)
	}
	resp := fold.Response()
	if p := resp.Parts[0]; !p.Custom || p.Text != "a\né😀" || streamed != p.Text || p.Args != nil {
		t.Errorf("%+v, streamed %q", p, streamed)
	}
	if p := resp.Parts[1]; p.Name != "do" || p.Space != "ns" || string(p.Args) != `{"a":1}` {
		t.Errorf("%+v", p)
	}
	if resp.Finish.Reason != canon.FinishTools {
		t.Errorf("the parts decide: %+v", resp.Finish)
	}
}

// frames makes a stream of events, with their names.
func frames(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", blockType(jsontext.Value(d)), d)
	}
	return b.String()
}

func TestLongToolNamesAreShortenedAndComeBack(t *testing.T) {
	long := "mcp__" + strings.Repeat("a", 65)
	req := chat("claude-sonnet-4-5", user(say("a")))
	req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: long}}
	req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{long}}
	short := "mcp__" + strings.Repeat("a", 50) + "_61a97588"
	if got := member(t, req, Options{}, "tool_choice"); got != `{"type":"tool","name":"`+short+`"}` {
		t.Error(got)
	}
	_, x := write(t, req, Options{})
	resp, err := canon.Collect(x.ReadWhole([]byte(`{"content":[{"type":"tool_use","id":"t","name":"` + short + `","input":{}}],"stop_reason":"tool_use"}`)))
	if err != nil || resp.Parts[0].Name != long {
		t.Errorf("%v %v", resp, err)
	}
}

func TestStructuredOutput(t *testing.T) {
	closedSchema := `{"type":"object","properties":{"type":{"type":"string"}},"additionalProperties":false}`
	out := func(schema string) canon.Output {
		return canon.Output{Kind: canon.OutputSchema, Schema: jsontext.Value(schema)}
	}
	fn := canon.Tool{Kind: canon.ToolFunction, Name: "structured_output"}
	for name, c := range map[string]struct {
		model  string
		out    canon.Output
		tools  []canon.Tool
		effort string
		config string
		choice string
	}{
		"native":             {"claude-sonnet-4-5", out(closedSchema), nil, "", `{"format":{"type":"json_schema","schema":` + closedSchema + `}}`, ``},
		"open objects":       {"claude-sonnet-4-5", out(`{"type":"object","properties":{}}`), nil, "", ``, `{"type":"tool","name":"structured_output","disable_parallel_tool_use":true}`},
		"older model":        {"claude-opus-4-1", out(closedSchema), nil, "", ``, `{"type":"tool","name":"structured_output","disable_parallel_tool_use":true}`},
		"with thinking":      {"claude-sonnet-4-20250514", out(closedSchema), nil, "low", ``, `{"type":"auto"}`},
		"beside other tools": {"claude-opus-4-1", out(closedSchema), []canon.Tool{fn}, "", ``, `{"type":"any","disable_parallel_tool_use":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			req := chat(c.model, user(say("a")))
			req.Output, req.Tools, req.Reasoning.Effort = c.out, c.tools, c.effort
			req.MaxTokens = ptr(int64(5000))
			if got := member(t, req, Options{}, "output_config"); got != c.config {
				t.Errorf("output_config %s", got)
			}
			if got := member(t, req, Options{}, "tool_choice"); got != c.choice {
				t.Errorf("tool_choice %s", got)
			}
		})
	}
	req := chat("claude-opus-4-1", user(say("a")))
	req.Output, req.Tools = out(closedSchema), []canon.Tool{fn}
	if _, x := write(t, req, Options{}); x.standIn != "structured_output_2" {
		t.Errorf("a client's own tool of that name stays: %s", x.standIn)
	}
}

func TestJSONModeStripsTheFence(t *testing.T) {
	req := chat("claude-sonnet-4-5", user(say("a")))
	req.Output.Kind = canon.OutputJSON
	m, x := write(t, req, Options{})
	if !strings.Contains(fmt.Sprint(m["system"]), "Answer with one JSON object only.") {
		t.Error(m["system"])
	}
	for in, want := range map[string]string{
		"```json\n{\"a\":\"`\"}\n```\n": "{\"a\":\"`\"}", "{\"a\":1}": "{\"a\":1}", " \n```\n{}\n```": "{}", "``": "``", "see ```x```": "see ```x```", "```": "```",
	} {
		for size := 1; size < 5; size++ {
			var data []string
			data = append(data, `{"type":"message_start","message":{}}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`)
			for i := 0; i < len(in); i += size {
				data = append(data, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":`+string(wire.AppendString(nil, in[i:min(i+size, len(in))]))+`}}`)
			}
			data = append(data, `{"type":"content_block_stop","index":0}`, `{"type":"message_stop"}`)
			var streamed string
			var last canon.Part
			for ev, err := range x.ReadStream(strings.NewReader(frames(data...))) {
				if err != nil {
					t.Fatal(err)
				}
				streamed += ev.Text
				if ev.Kind == canon.KindPartEnd {
					last = *ev.Part
				}
			}
			if streamed != want || last.Text != want {
				t.Errorf("%q in pieces of %d: %q, whole %q", in, size, streamed, last.Text)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	req := chat("claude-opus-4-8", user(say("a")))
	req.Headers = map[string][]string{"Anthropic-Beta": {"context-1m-2025-08-07, a", "b,a"}, "Anthropic-Version": {"2099-01-01"}, "Idempotency-Key": {"k"}}
	req.Reasoning.Effort = "high"
	_, x := write(t, req, Options{OwnHost: true, DenyBetas: []string{"context-1m-*"}})
	if got := x.Header.Get("Anthropic-Beta"); got != "a,b,effort-2025-11-24" || x.Header.Get("Anthropic-Version") != "2099-01-01" || x.Header.Get("Idempotency-Key") != "k" {
		t.Errorf("%v", x.Header)
	}
}

func TestCount(t *testing.T) {
	req := chat("claude-opus-4-8", user(say("a")))
	req.Sampling.TopK = ptr(int64(1))
	x, err := NewCount(req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(x.Body); got != `{"model":"claude-opus-4-8","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}` {
		t.Error(got)
	}
	if n, err := ParseCount([]byte(`{"input_tokens":7}`)); n != 7 || err != nil {
		t.Error(n, err)
	}
	if _, err := ParseCount([]byte(`{}`)); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Error(err)
	}
	if got := string(Codec{}.AppendCount(nil, 9)); got != `{"input_tokens":9}` {
		t.Error(got)
	}
}
