package gemini

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

func text(s string) canon.Part { return canon.Part{Type: canon.PartText, Text: s} }

func say(role canon.Role, parts ...canon.Part) canon.Message {
	return canon.Message{Role: role, Parts: parts}
}

func call(id, name string) canon.Part {
	return canon.Part{Type: canon.PartToolCall, CallID: id, Name: name, Args: jsontext.Value(`{}`)}
}

func result(id, s string) canon.Part {
	return canon.Part{Type: canon.PartToolResult, CallID: id, Result: []canon.Part{text(s)}}
}

// chat is a request of another format.
func chat(model string, messages ...canon.Message) *canon.Request {
	return &canon.Request{Format: "openai", Op: "chat", ModelAsked: model, Model: model, Messages: messages}
}

func write(t *testing.T, req *canon.Request, o Options) *Exchange {
	t.Helper()
	x, err := NewExchange(req, o)
	if err != nil {
		t.Fatal(err)
	}
	if !jsontext.Value(x.Body).IsValid() {
		t.Fatalf("no JSON: %s", x.Body)
	}
	return x
}

func contentsOf(t *testing.T, x *Exchange) string {
	t.Helper()
	o, err := canon.ParseObject(x.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(o.Get("contents"))
}

func TestTurnsArePairedAndAlternate(t *testing.T) {
	const user, model = canon.RoleUser, canon.RoleAssistant
	for name, c := range map[string]struct {
		messages []canon.Message
		want     string
	}{
		"neighbours of one role are joined": {[]canon.Message{say(user, text("a")), say(user, text("b"))},
			`[{"role":"user","parts":[{"text":"a"},{"text":"b"}]}]`},
		"empty texts and messages are dropped": {[]canon.Message{say(user, text("")), say(model, text("")), say(user, text("b"))},
			`[{"role":"user","parts":[{"text":"b"}]}]`},
		"the first turn is the user's": {[]canon.Message{say(model, text("hi")), say(user, text("b"))},
			`[{"role":"user","parts":[{"text":"(continue)"}]},{"role":"model","parts":[{"text":"hi"}]},{"role":"user","parts":[{"text":"b"}]}]`},
		"a prefill becomes a wish": {[]canon.Message{say(user, text("a")), say(model, text("Once "))},
			`[{"role":"user","parts":[{"text":"a"},{"text":"Continue exactly from: Once"}]}]`},
		"results in the order of the calls": {[]canon.Message{say(user, text("a")), say(model, call("1", "x"), call("2", "y")), say(user, result("2", "two")), say(user, result("1", `{"n":1.50}`), text("go"))},
			`[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"id":"2","name":"y","args":{}}}]},
			{"role":"user","parts":[{"functionResponse":{"id":"1","name":"x","response":{"n":1.50}}},{"functionResponse":{"id":"2","name":"y","response":{"output":"two"}}},{"text":"go"}]}]`},
		"a lost result is made up": {[]canon.Message{say(user, text("a")), say(model, call("1", "x")), say(user, text("stop"))},
			`[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]},
			{"role":"user","parts":[{"functionResponse":{"id":"1","name":"x","response":{"error":"no result"}}},{"text":"stop"}]}]`},
		"a history that ends in a call gets its result": {[]canon.Message{say(user, text("a")), say(model, call("1", "x"))},
			`[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]},
			{"role":"user","parts":[{"functionResponse":{"id":"1","name":"x","response":{"error":"no result"}}}]}]`},
		"a result of no call is told as text": {[]canon.Message{say(user, result("9", "r"), text("b"))},
			`[{"role":"user","parts":[{"text":"[result of unknown tool call 9]: r"},{"text":"b"}]}]`},
		"results without ids go by name and order": {[]canon.Message{say(user, text("a")), say(model, call("1", "x"), call("2", "x")),
			say(user, canon.Part{Type: canon.PartToolResult, Name: "x", Result: []canon.Part{text("p")}}, canon.Part{Type: canon.PartToolResult, IsError: true, Result: []canon.Part{text("q")}})},
			`[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"id":"2","name":"x","args":{}}}]},
			{"role":"user","parts":[{"functionResponse":{"id":"1","name":"x","response":{"output":"p"}}},{"functionResponse":{"id":"2","name":"x","response":{"error":"q"}}}]}]`},
		"system text in the middle stays there": {[]canon.Message{say(user, text("a")), say(model, text("b")), say(canon.RoleSystem, text("s")), say(user, text("c"))},
			`[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"}]},{"role":"user","parts":[{"text":"<system-reminder>\ns\n</system-reminder>"},{"text":"c"}]}]`},
		"system text alone is a turn": {[]canon.Message{say(canon.RoleSystem, text("s"))},
			`[{"role":"user","parts":[{"text":"<system-reminder>\ns\n</system-reminder>"}]}]`},
		"arguments that are no object": {[]canon.Message{say(user, text("a")), say(model, canon.Part{Type: canon.PartToolCall, CallID: "1", Name: "x", Args: jsontext.Value(`"{bad"`), BadArgs: true}), say(user, result("1", ""))},
			`[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{"_raw_arguments":"{bad"}},"thoughtSignature":"skip_thought_signature_validator"}]},
			{"role":"user","parts":[{"functionResponse":{"id":"1","name":"x","response":{"output":""}}}]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			sameJSON(t, c.want, contentsOf(t, write(t, chat("gemini-3-pro-preview", c.messages...), Options{})))
		})
	}
	for name, c := range map[string]*canon.Request{"nothing": chat("m"), "only a thought": chat("m", say(model, canon.Part{Type: canon.PartReasoning, Text: "x"}))} {
		if _, err := NewExchange(c, Options{}); apierror.From(err).Param != "messages" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func opaque(family, kind, data string) *canon.Opaque {
	return &canon.Opaque{Family: family, Kind: kind, Data: data}
}

func TestSignaturesGoToTheirMakerOnly(t *testing.T) {
	const user, model = canon.RoleUser, canon.RoleAssistant
	thought := func(o *canon.Opaque) canon.Part { return canon.Part{Type: canon.PartReasoning, Text: "why", Opaque: o} }
	signed := func(o *canon.Opaque) canon.Part { p := call("1", "x"); p.Opaque = o; return p }
	for name, c := range map[string]struct {
		model string
		parts []canon.Part
		o     Options
		want  string
	}{
		"a call's own":                {"gemini-3-pro", []canon.Part{signed(opaque("gemini", "call", "Cp"))}, Options{}, `[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"Cp"}]`},
		"another maker's":             {"gemini-3-pro", []canon.Part{thought(opaque("claude", "think", "Eq")), signed(nil)}, Options{}, `[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]`},
		"a text's, after it":          {"gemini-3-pro", []canon.Part{text("a"), thought(opaque("gemini", "text", "Ct"))}, Options{}, `[{"text":"a","thoughtSignature":"Ct"}]`},
		"a text's, before it":         {"gemini-3-pro", []canon.Part{thought(opaque("gemini", "text", "Ct")), text("a")}, Options{}, `[{"text":"a","thoughtSignature":"Ct"}]`},
		"a text's, alone":             {"gemini-3-pro", []canon.Part{thought(opaque("gemini", "text", "Ct"))}, Options{}, `[{"text":"","thoughtSignature":"Ct"}]`},
		"a thought's":                 {"gemini-3-pro", []canon.Part{thought(opaque("gemini", "think", "Ck")), text("a")}, Options{}, `[{"text":"why","thought":true,"thoughtSignature":"Ck"},{"text":"a"}]`},
		"stripped":                    {"gemini-3-pro", []canon.Part{thought(opaque("gemini", "think", "Ck")), signed(opaque("gemini", "call", "Cp"))}, Options{StripReasoning: true}, `[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]`},
		"Claude's in a second layer":  {"claude-sonnet-4-6", []canon.Part{thought(opaque("claude", "think", "Eq")), signed(opaque("gemini", "call", "Cp"))}, Options{}, `[{"text":"why","thought":true,"thoughtSignature":"RXE="},{"functionCall":{"id":"1","name":"x","args":{}}}]`},
		"the bypass is not Claude's":  {"claude-sonnet-4-6", []canon.Part{signed(nil)}, Options{}, `[{"functionCall":{"id":"1","name":"x","args":{}}}]`},
		"server parts to their maker": {"gemini-3-pro", []canon.Part{{Type: canon.PartServer, Server: jsontext.Value(`{"toolCall":{"a":1}}`), Opaque: opaque("gemini", "call", "Cs")}, {Type: canon.PartServer, Server: jsontext.Value(`{"x":1}`), Opaque: opaque("claude", "", "")}}, Options{}, `[{"toolCall":{"a":1},"thoughtSignature":"Cs"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			req := chat(c.model, say(user, text("q")), say(model, c.parts...), say(user, result("1", "r"), text("n")))
			x := write(t, req, c.o)
			var turns []struct {
				Parts jsontext.Value `json:"parts"`
			}
			if err := readValue(jsontext.Value(contentsOf(t, x)), "", &turns); err != nil {
				t.Fatal(err)
			}
			sameJSON(t, c.want, string(turns[1].Parts))
		})
	}
}

func TestWithoutReasoningStripsTheHistory(t *testing.T) {
	body := `{"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{"name":"x","args":{}},"thoughtSignature":"bad"}]},{"role":"user","parts":[{"functionResponse":{"name":"x","response":{}}}]}],"k":1.0}`
	req := decode(t, body)
	x := write(t, req, Options{})
	if string(x.Body) != body {
		t.Errorf("changed without need: %s", x.Body)
	}
	again, err := x.WithoutReasoning()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(body, `{"text":"t","thought":true},{"functionCall":{"name":"x","args":{}},"thoughtSignature":"bad"}`, `{"functionCall":{"name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"}`, 1)
	if string(again.Body) != want {
		t.Errorf("\n got %s\nwant %s", again.Body, want)
	}
}

func TestOwnBodyGoesOutWithTheSmallestEdits(t *testing.T) {
	for name, c := range map[string]struct{ model, in, want string }{
		"byte for byte":    {"gemini-3-pro-preview", `{ "contents" : [ {"parts":[{"text":"a<b"}]} ], "zz":1.50 }`, ``},
		"the model's name": {"gemini-2.5-flash", `{"model":"models/x","contents":"a"}`, `{"model":"models/gemini-2.5-flash","contents":"a"}`},
		"a budget for a model with levels": {"gemini-3-pro-preview", `{"contents":"a","generationConfig":{"temperature":1.0,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192}}}`,
			`{"contents":"a","generationConfig":{"temperature":1.0,"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"LOW"}}}`},
		"a level for a model with a budget": {"gemini-2.5-pro", `{"contents":"a","generation_config":{"thinking_config":{"thinking_level":"HIGH"}}}`,
			`{"contents":"a","generation_config":{"thinking_config":{"thinkingBudget":24576}}}`},
		"a budget out of range": {"gemini-2.5-pro", `{"contents":"a","generationConfig":{"thinkingConfig":{"thinkingBudget":0}}}`,
			`{"contents":"a","generationConfig":{"thinkingConfig":{"thinkingBudget":128}}}`},
		"an unspecified level stays": {"gemini-2.5-pro", `{"contents":"a","generationConfig":{"thinkingConfig":{"thinkingLevel":"THINKING_LEVEL_UNSPECIFIED"}}}`, ``},
		"another maker's signature": {"gemini-2.5-pro", `{"contents":[ {"parts":[{"text":"a"}]}, {"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":"` + showSignature(opaque("claude", "think", "Eq"), false) + `"},{"text":"b"},{"functionCall":{"name":"x","args":{"n":1.0}}}],"q":1}, {"parts":[{"text":"c"}]} ]}`,
			`{"contents":[ {"parts":[{"text":"a"}]}, {"role":"model","parts":[{"text":"b"},{"functionCall":{"name":"x","args":{"n":1.0}},"thoughtSignature":"skip_thought_signature_validator"}],"q":1}, {"parts":[{"text":"c"}]} ]}`},
		"nothing is left of a turn": {"gemini-2.5-pro", `{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"t","thought":true,"thought_signature":"pb1.claude.think.RXE"}]}]}`,
			`{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[{"text":""}]}]}`},
		"unsigned calls for a model that wants them": {"gemini-3-pro-preview", `{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{}}},{"functionCall":{"id":"2","name":"x","args":{}}}]}]}`,
			`{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"id":"2","name":"x","args":{}}}]}]}`},
		"and for one that does not": {"gemini-2.5-pro", `{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"x","args":{}}}]}]}`, ``},
		"one content":               {"gemini-3-pro-preview", `{"contents":{"role":"model","parts":[{"functionCall":{"name":"x","args":{}}}]}}`, `{"contents":[{"role":"model","parts":[{"functionCall":{"name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			req := decode(t, c.in)
			req.Model = c.model
			if c.want == "" {
				c.want = c.in
			}
			if got := string(write(t, req, Options{}).Body); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestThinkingPerModel(t *testing.T) {
	on := func(effort string) canon.Reasoning { return canon.Reasoning{Mode: canon.ReasonOn, Effort: effort} }
	budget := func(n int64) canon.Reasoning { return canon.Reasoning{Mode: canon.ReasonOn, Budget: &n} }
	off, auto := canon.Reasoning{Mode: canon.ReasonOff}, canon.Reasoning{Mode: canon.ReasonAuto}
	for _, c := range []struct {
		model string
		r     canon.Reasoning
		want  string
	}{
		{"gemini-2.5-pro", canon.Reasoning{}, ``},
		{"gemini-2.5-pro", off, `{"thinkingBudget":128}`},
		{"gemini-2.5-pro", auto, `{"includeThoughts":true,"thinkingBudget":-1}`},
		{"gemini-2.5-pro", on("low"), `{"includeThoughts":true,"thinkingBudget":1024}`},
		{"gemini-2.5-pro", on("max"), `{"includeThoughts":true,"thinkingBudget":32768}`},
		{"gemini-2.5-pro", on(""), `{"includeThoughts":true}`},
		{"gemini-2.5-pro", on("weird"), `{"includeThoughts":true}`},
		{"gemini-2.5-pro", canon.Reasoning{Mode: canon.ReasonOn, Effort: "low", Summary: "none"}, `{"includeThoughts":false,"thinkingBudget":1024}`},
		{"gemini-2.5-flash", off, `{"thinkingBudget":0}`},
		{"gemini-2.5-flash", budget(99999), `{"includeThoughts":true,"thinkingBudget":24576}`},
		{"gemini-2.5-flash-lite", budget(9), `{"includeThoughts":true,"thinkingBudget":512}`},
		{"gemini-2.5-flash-lite", off, `{"thinkingBudget":0}`},
		{"gemini-3-pro-preview", on("minimal"), `{"includeThoughts":true,"thinkingLevel":"LOW"}`},
		{"gemini-3.1-pro-preview", on("medium"), `{"includeThoughts":true,"thinkingLevel":"MEDIUM"}`},
		{"gemini-3.1-pro-preview", on("xhigh"), `{"includeThoughts":true,"thinkingLevel":"HIGH"}`},
		{"gemini-3-flash-preview", off, `{"thinkingLevel":"MINIMAL"}`},
		{"gemini-3.1-pro-preview", off, `{"thinkingLevel":"LOW"}`},
		{"gemini-3.8-flash", on("minimal"), `{"includeThoughts":true,"thinkingLevel":"MINIMAL"}`},
		{"gemini-flash-latest", budget(1024), `{"includeThoughts":true,"thinkingLevel":"LOW"}`},
		{"gemini-3-pro-preview", auto, `{"includeThoughts":true}`},
		{"gemini-2.0-flash", on("high"), ``},
		{"gemma-3-27b-it", on("high"), ``},
		{"claude-sonnet-4-6", on("high"), `{"includeThoughts":true,"thinkingBudget":24576}`},
		{"claude-sonnet-4-6", budget(5), `{"includeThoughts":true,"thinkingBudget":1024}`},
	} {
		req := chat(c.model, say(canon.RoleUser, text("a")))
		req.Reasoning = c.r
		o, err := canon.ParseObject(write(t, req, Options{}).Body)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if g := o.Get("generationConfig"); g != nil {
			inner, err := canon.ParseObject(g)
			if err != nil {
				t.Fatal(err)
			}
			got = string(inner.Get("thinkingConfig"))
		}
		if got != c.want {
			t.Errorf("%s %+v:\n got %s\nwant %s", c.model, c.r, got, c.want)
		}
	}
	req := chat("gemini-2.0-flash", say(canon.RoleUser, text("a")))
	req.Reasoning = on("high")
	if d := cmp.Diff([]string{"reasoning"}, fields(write(t, req, Options{}).Dropped)); d != "" {
		t.Error(d)
	}
	req = chat("gemini-pro-agent", say(canon.RoleUser, text("a")))
	req.Reasoning = on("high")
	if got := string(write(t, req, Options{Thinking: ThinkBudget}).Body); !strings.Contains(got, `"thinkingBudget":24576`) {
		t.Error(got)
	}
}

func TestToolsPerTarget(t *testing.T) {
	long := "mcp__" + strings.Repeat("a", 65)
	req := chat("gemini-2.5-pro", say(canon.RoleUser, text("a")))
	req.Tools = []canon.Tool{
		{Kind: canon.ToolFunction, Name: "1 a/b", Description: "d", Schema: jsontext.Value(`{"type":"object","properties":{"q":{"const":1}}}`)},
		{Kind: canon.ToolFunction, Name: long, Schema: jsontext.Value(`{"type":"object","properties":{}}`)},
		{Kind: canon.ToolCustom, Name: "patch", Space: "ns", Grammar: jsontext.Value(`{"type":"grammar","definition":"start: x"}`)},
		{Kind: canon.ToolServer, ServerType: "web_search"},
	}
	req.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{long}}
	short := "mcp__" + strings.Repeat("a", 50) + "_61a97588"
	x := write(t, req, Options{Strict: true})
	sameJSON(t, `{"contents":[{"role":"user","parts":[{"text":"a"}]}],
	 "tools":[{"functionDeclarations":[{"name":"_1_a_b","description":"d","parameters":{"type":"OBJECT","properties":{"q":{"type":"STRING","enum":["1"]}}}},{"name":"`+short+`"},
	  {"name":"ns__patch","parameters":{"type":"OBJECT","properties":{"input":{"type":"STRING","description":"start: x"}},"required":["input"]}}]}],
	 "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["`+short+`"]}}}`, string(x.Body))
	if d := cmp.Diff([]string{"tools.web_search"}, fields(x.Dropped)); d != "" {
		t.Error(d)
	}
	if got := string(write(t, req, Options{Strict: true, StrictInJSONSchema: true}).Body); !strings.Contains(got, `"parametersJsonSchema":{"type":"OBJECT"`) {
		t.Error(got)
	}
	if got := string(write(t, req, Options{}).Body); !strings.Contains(got, `"parametersJsonSchema":{"type":"object","properties":{"q":{"const":1}}}`) {
		t.Error(got)
	}
	clean := Options{CleanSchema: func(jsontext.Value) jsontext.Value { return jsontext.Value(`{"mine":1}`) }}
	if got := string(write(t, req, clean).Body); !strings.Contains(got, `"parametersJsonSchema":{"mine":1}`) {
		t.Error(got)
	}
	// what comes back has the client's names
	got := dump(x.ReadWhole([]byte(`{"candidates":[{"content":{"parts":[{"functionCall":{"id":"i","name":"ns__patch","args":{"input":"*** Begin"}}},{"functionCall":{"id":"j","name":"` + short + `"}},{"functionCall":{"id":"k","name":"other","args":null}}]},"finishReason":"STOP"}]}`)))
	for _, want := range []string{`part_end 0 tool_call i patch custom "*** Begin"`, `delta 0 text "*** Begin"`, "part_end 1 tool_call j " + long + " {}", "part_end 2 tool_call k other {}", "finish tools STOP"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

func TestValidatedModeHasAPlaceholder(t *testing.T) {
	req := chat("claude-sonnet-4-6", say(canon.RoleUser, text("a")))
	req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "now"}}
	x := write(t, req, Options{Strict: true, Validated: true})
	sameJSON(t, `{"contents":[{"role":"user","parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"now","parameters":{"type":"OBJECT","properties":{"reason":{"type":"STRING","description":"why this function is called"}},"required":["reason"]}}]}],
	 "toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}}`, string(x.Body))
	got := dump(x.ReadWhole([]byte(`{"candidates":[{"content":{"parts":[{"text":"w","thought":true,"thoughtSignature":"RXE="},{"functionCall":{"id":"i","name":"now","args":{"reason":"r"}}}]},"finishReason":"OTHER"}]}`)))
	for _, want := range []string{"part_end 1 tool_call i now {}", `part_end 0 reasoning "w" [claude think Eq]`, "finish tools OTHER"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

func TestToolChoiceWrites(t *testing.T) {
	for mode, want := range map[string]string{
		"":                   ``,
		canon.ChoiceAuto:     `{"functionCallingConfig":{"mode":"AUTO"}}`,
		canon.ChoiceNone:     `{"functionCallingConfig":{"mode":"NONE"}}`,
		canon.ChoiceRequired: `{"functionCallingConfig":{"mode":"ANY"}}`,
		canon.ChoiceNamed:    `{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["b"]}}`,
		canon.ChoiceAllowReq: `{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["b"]}}`,
		canon.ChoiceAllowed:  `{"functionCallingConfig":{"mode":"AUTO"}}`,
	} {
		req := chat("gemini-2.5-pro", say(canon.RoleUser, text("a")))
		req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "a"}, {Kind: canon.ToolFunction, Name: "b"}}
		req.ToolChoice = canon.ToolChoice{Mode: mode, Names: []string{"b"}}
		body := write(t, req, Options{}).Body
		o, err := canon.ParseObject(body)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(o.Get("toolConfig")); got != want {
			t.Errorf("%q: %s", mode, got)
		}
		if offered := strings.Contains(string(body), `"name":"a"`); offered == (mode == canon.ChoiceAllowed) {
			t.Errorf("%q: the tool left out of the choice is offered: %v", mode, offered)
		}
	}
}

func TestServerTools(t *testing.T) {
	search := func(kind string) *canon.Request {
		req := chat("gemini-2.5-pro", say(canon.RoleUser, text("a")))
		req.Tools = []canon.Tool{{Kind: canon.ToolServer, ServerType: kind}}
		return req
	}
	if got := string(write(t, search("web_search_20250305"), Options{}).Body); !strings.Contains(got, `"tools":[{"googleSearch":{}}]`) {
		t.Error(got)
	}
	if got := string(write(t, search("web_fetch_20250910"), Options{}).Body); !strings.Contains(got, `"tools":[{"urlContext":{}}]`) {
		t.Error(got)
	}
	for name, o := range map[string]Options{"mcp_toolset": {}, "computer_1": {}, "web_search": {NoServerTools: true}} {
		if _, err := NewExchange(search(name), o); apierror.KindOf(err) != apierror.Unsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatCannotBeSentIsRefusedByName(t *testing.T) {
	user := say(canon.RoleUser, text("a"))
	media := func(m canon.Media) *canon.Request {
		return chat("gemini-2.5-pro", say(canon.RoleUser, canon.Part{Type: canon.PartImage, Media: &m}))
	}
	state := func(f func(*canon.Request)) *canon.Request { r := chat("gemini-2.5-pro", user); f(r); return r }
	for name, c := range map[string]struct {
		req   *canon.Request
		kind  apierror.Kind
		param string
	}{
		"an address":        {media(canon.Media{URL: "https://x.test/a?sig=1"}), apierror.Unsupported, "messages"},
		"another's file":    {media(canon.Media{FileID: "file-1"}), apierror.InvalidRequest, "messages"},
		"previous response": {state(func(r *canon.Request) { r.State.PreviousResponse = "r" }), apierror.InvalidRequest, "previous_response_id"},
		"background":        {state(func(r *canon.Request) { r.State.Background = true }), apierror.Unsupported, "background"},
		"conversation":      {state(func(r *canon.Request) { r.State.Conversation = "c" }), apierror.Unsupported, "conversation"},
		"prompt":            {state(func(r *canon.Request) { r.State.Prompt = "c" }), apierror.Unsupported, "prompt"},
		"cached content":    {state(func(r *canon.Request) { r.State.CachedContent = "c" }), apierror.Unsupported, "cachedContent"},
		"an unknown choice": {state(func(r *canon.Request) { r.ToolChoice = canon.ToolChoice{Mode: canon.ChoiceNamed, Names: []string{"z"}} }), apierror.InvalidRequest, "tool_choice"},
		"a name twice": {state(func(r *canon.Request) {
			r.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "a"}, {Kind: canon.ToolFunction, Name: "a"}}
		}), apierror.InvalidRequest, "tools"},
	} {
		_, err := NewExchange(c.req, Options{})
		if e := apierror.From(err); e == nil || e.Kind != c.kind || e.Param != c.param {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(e.Msg, "sig=1") || name == "an address" && !strings.Contains(e.Msg, "x.test") {
			t.Errorf("%s: %s", name, e.Msg)
		}
	}
}

func TestFetchedMediaIsSentInline(t *testing.T) {
	image := canon.Part{Type: canon.PartImage, Media: &canon.Media{URL: "https://x.test/a.png"}}
	req := chat("gemini-2.5-pro", say(canon.RoleUser, image, image, canon.Part{Type: canon.PartVideo, Media: &canon.Media{URL: "https://youtu.be/v"}}),
		say(canon.RoleAssistant, call("1", "x")), say(canon.RoleUser, canon.Part{Type: canon.PartToolResult, CallID: "1", Result: []canon.Part{{Type: canon.PartImage, Media: &canon.Media{URL: "https://y.test/b"}}}}))
	urls, err := FetchURLs(req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]canon.MediaURL{{URL: "https://x.test/a.png", Type: canon.PartImage}, {URL: "https://y.test/b", Type: canon.PartImage}}, urls); d != "" {
		t.Error(d)
	}
	o := Options{ImagesInResults: true, Media: map[string]canon.Media{urls[0].URL: {MIME: "image/png", Data: []byte("abc")}, urls[1].URL: {MIME: "image/jpeg", Data: []byte("def")}}}
	sameJSON(t, `[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"YWJj"}},{"inlineData":{"mimeType":"image/png","data":"YWJj"}},{"fileData":{"fileUri":"https://youtu.be/v"}}]},
	 {"role":"model","parts":[{"functionCall":{"id":"1","name":"x","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]},
	 {"role":"user","parts":[{"functionResponse":{"id":"1","name":"x","response":{"output":"(image attached)"},"parts":[{"inlineData":{"mimeType":"image/jpeg","data":"ZGVm"}}]}}]}]`, contentsOf(t, write(t, req, o)))
	own := decode(t, `{"contents":[{"parts":[{"fileData":{"mimeType":"image/png","fileUri":"https://x.test/a.png"}}]}]}`)
	if urls, err := FetchURLs(own, Options{}); err != nil || len(urls) > 0 {
		t.Errorf("%v %v", urls, err)
	}
	if _, err := NewExchange(without(own), Options{}); err != nil {
		t.Errorf("Google may fetch for its own clients: %v", err)
	}
}

func TestMediaAndDocuments(t *testing.T) {
	req := chat("gemini-2.5-pro", say(canon.RoleUser,
		canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "application/pdf", Data: []byte("%PDF-"), FileName: "a.pdf"}},
		canon.Part{Type: canon.PartDocument, Media: &canon.Media{MIME: "text/plain", Text: "body", Title: "T", Context: "c"}},
		canon.Part{Type: canon.PartAudio, Media: &canon.Media{MIME: "audio/mpeg", Data: []byte("a")}},
		canon.Part{Type: canon.PartImage, Media: &canon.Media{Data: []byte("\x89PNG")}},
		canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/jpg", Data: []byte("j")}}))
	sameJSON(t, `[{"role":"user","parts":[{"inlineData":{"mimeType":"application/pdf","data":"JVBERi0="}},{"text":"Document: T\nc\nbody"},{"inlineData":{"mimeType":"audio/mp3","data":"YQ=="}},
	 {"inlineData":{"mimeType":"image/png","data":"iVBORw=="}},{"inlineData":{"mimeType":"image/jpeg","data":"ag=="}}]}]`, contentsOf(t, write(t, req, Options{})))
}

func TestSettingsAreCarriedOver(t *testing.T) {
	yes, no := true, false
	req := chat("gemini-2.5-pro", say(canon.RoleUser, text("a")))
	req.MaxTokens = i64(100000)
	req.Sampling = canon.Sampling{Temperature: f64(0), TopP: f64(1), MinP: f64(.1), Presence: f64(0), Frequency: f64(-.5), Repeat: f64(1), TopK: i64(0), Seed: i64(7), N: i64(2), TopLogprobs: i64(3), Logprobs: &yes, LogitBias: jsontext.Value(`{"1":2}`)}
	req.Stop = []string{"1", "", "2", "3", "4", "5", "6"}
	req.Parallel, req.Verbosity, req.ServiceTier, req.PromptCacheKey, req.UserID, req.Metadata = &no, "low", "flex", "k", "u", jsontext.Value(`{}`)
	req.State.Container = "c"
	req.Modalities = []string{"text", "audio"}
	x := write(t, req, Options{})
	sameJSON(t, `{"contents":[{"role":"user","parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":65536,"temperature":0,"topP":1,"topK":0,"candidateCount":2,"seed":7,"presencePenalty":0,"frequencyPenalty":-0.5,
	 "responseLogprobs":true,"logprobs":3,"stopSequences":["1","2","3","4","5"],"responseModalities":["TEXT","AUDIO"]}}`, string(x.Body))
	want := []string{"min_p", "repeat_penalty", "logit_bias", "parallel_tool_calls", "verbosity", "service_tier", "prompt_cache_key", "user", "metadata", "container", "stop"}
	if d := cmp.Diff(want, fields(x.Dropped)); d != "" {
		t.Error(d)
	}
	req = chat("claude-sonnet-4-6", say(canon.RoleUser, text("a")))
	req.Format, req.Parallel, req.MaxTokens, req.Reasoning = "anthropic", &no, i64(100), canon.Reasoning{Mode: canon.ReasonOn, Budget: i64(2000)}
	x = write(t, req, Options{})
	if got := string(x.Body); !strings.Contains(got, `"maxOutputTokens":2100`) || x.Dropped[0].Field != "tool_choice.disable_parallel_tool_use" {
		t.Errorf("%s %v", got, x.Dropped)
	}
}

func TestStructuredOutputPerModel(t *testing.T) {
	schema := jsontext.Value(`{"type":"object","properties":{"a":{"type":"string"}}}`)
	ask := func(model string, tools bool, out canon.Output) *canon.Request {
		req := chat(model, say(canon.RoleUser, text("a")))
		req.Output = out
		if tools {
			req.Tools = []canon.Tool{{Kind: canon.ToolFunction, Name: "t"}}
		}
		return req
	}
	native := `"responseMimeType":"application/json","responseJsonSchema":` + string(schema)
	for name, c := range map[string]struct {
		req      *canon.Request
		o        Options
		want     string
		fallback bool
	}{
		"a schema":                       {ask("gemini-2.5-pro", false, canon.Output{Kind: canon.OutputSchema, Schema: schema}), Options{}, native, false},
		"a schema, strict":               {ask("gemini-2.5-pro", false, canon.Output{Kind: canon.OutputSchema, Schema: schema}), Options{Strict: true}, `"responseSchema":{"type":"OBJECT"`, false},
		"JSON":                           {ask("gemini-2.5-pro", false, canon.Output{Kind: canon.OutputJSON}), Options{}, `"responseMimeType":"application/json"}`, false},
		"a schema beside functions":      {ask("gemini-2.5-pro", true, canon.Output{Kind: canon.OutputSchema, Schema: schema}), Options{}, `It must match this JSON schema:`, true},
		"JSON beside functions":          {ask("gemini-2.5-pro", true, canon.Output{Kind: canon.OutputJSON}), Options{}, `Answer with one JSON object only.`, true},
		"a schema beside functions of 3": {ask("gemini-3-pro-preview", true, canon.Output{Kind: canon.OutputSchema, Schema: schema}), Options{}, native, false},
		"plain text":                     {ask("gemini-3-pro-preview", false, canon.Output{Kind: canon.OutputText}), Options{}, `"contents"`, false},
	} {
		x := write(t, c.req, c.o)
		if got := string(x.Body); !strings.Contains(got, c.want) || c.fallback && strings.Contains(got, "responseMimeType") {
			t.Errorf("%s: %s", name, got)
		}
		got := dump(x.ReadStream(strings.NewReader("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"```json\\n{\\\"a\\\":\"}]}}]}\n\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"1}\\n```\"}]},\"finishReason\":\"STOP\"}]}\n\n")))
		if unfenced := strings.Contains(got, `part_end 0 text "{\"a\":1}"`); unfenced != c.fallback {
			t.Errorf("%s: unfenced %v\n%s", name, unfenced, got)
		}
	}
}

func TestSameRequestGivesTheSameBytes(t *testing.T) {
	first := write(t, claudeTurn(), Options{Strict: true}).Body
	for range 20 {
		if d := cmp.Diff(string(first), string(write(t, claudeTurn(), Options{Strict: true}).Body)); d != "" {
			t.Fatal(d)
		}
	}
	req := claudeTurn()
	before := req.Clone()
	write(t, req, Options{})
	if d := cmp.Diff(before.Messages, req.Messages); d != "" {
		t.Errorf("the request is shared and must not change: %s", d)
	}
}
