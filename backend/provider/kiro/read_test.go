package kiro

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider/providertest"
)

// ask is a request that declares get_weather and more.
func ask(mutate ...func(*canon.Request)) *canon.Request {
	r := &canon.Request{Format: "anthropic", Op: "messages", ModelAsked: "asked", Model: "claude-sonnet-4.5", Stream: true,
		Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{said0("hello")}}},
		Tools: []canon.Tool{{Kind: canon.ToolFunction, Name: "get_weather", Schema: []byte(`{"type":"object","properties":{"city":{"type":"string"}}}`)},
			{Kind: canon.ToolCustom, Name: "patch"}}}
	n := 0
	r.SetIDs(func(prefix string, digits int) string { n++; return fmt.Sprintf("%s%0*d", prefix, digits, n) })
	for _, m := range mutate {
		m(r)
	}
	return r
}

func said0(s string) canon.Part { return canon.Part{Type: canon.PartText, Text: s} }

func noTools(r *canon.Request) { r.Tools = nil }

// show writes an answer in a line.
func show(t *testing.T, req *canon.Request, r io.Reader) string {
	t.Helper()
	x, err := newExchange(req, options{leaks: true, origin: originIDE})
	if err != nil {
		t.Fatal(err)
	}
	got, e := providertest.Follow(t, x.read(typeEvents, r))
	var b strings.Builder
	for _, p := range got.Parts {
		switch p.Type {
		case canon.PartToolCall:
			fmt.Fprintf(&b, "call %s %s %s%s | ", p.CallID, p.Name, string(p.Args), p.Text)
		case canon.PartReasoning:
			fmt.Fprintf(&b, "thought %q", p.Text)
			if p.Opaque != nil {
				fmt.Fprintf(&b, " %s/%s", p.Opaque.Family, p.Opaque.Data)
			}
			if p.Redacted {
				b.WriteString(" redacted")
			}
			b.WriteString(" | ")
		default:
			fmt.Fprintf(&b, "%s %q | ", p.Type, p.Text)
		}
	}
	if e != nil {
		return b.String() + "error " + e.Kind.String()
	}
	f := got.Finish
	fmt.Fprintf(&b, "%s", f.Reason)
	if f.StopSequence != "" {
		fmt.Fprintf(&b, " %q", f.StopSequence)
	}
	return b.String()
}

func stream(frames ...[]byte) io.Reader { return bytes.NewReader(bytes.Join(frames, nil)) }

func text(s string) []byte  { return eventFrame("assistantResponseEvent", jsonOf(object{"content": s})) }
func think(s string) []byte { return eventFrame("reasoningContentEvent", jsonOf(object{"text": s})) }
func ends(s string) []byte  { return eventFrame("metadataEvent", jsonOf(object{"stopReason": s})) }
func use3(id, name string, input any, stop bool) []byte {
	v := object{"toolUseId": id}
	if name != "" {
		v["name"] = name
	}
	if input != nil {
		v["input"] = input
	}
	if stop {
		v["stop"] = true
	}
	return eventFrame("toolUseEvent", jsonOf(v))
}

func TestStreamFixtures(t *testing.T) {
	s1 := fixture(t, "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8")
	const want = `text "Hi" | call tooluse_Ab1 get_weather {"city":"Oslo"} | tools`
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(s1), "byte by byte": iotest.OneByteReader(bytes.NewReader(s1))} {
		if got := show(t, ask(), r); got != want {
			t.Errorf("S1, %s: %s", name, got)
		}
	}
	const notice = `text "Hi[The model's call to get_weather was cut off by the Kiro service and was not executed. Write large content in several smaller calls.]" | length`
	bad := fixture(t, "F1")
	bad[len(bad)-1]++
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"S2": {fixture(t, "F1", "F2", "F3"), notice},
		"S3": {fixture(t, "F10"), "error rate_limited"},
		"S4": {fixture(t, "F1", "F10"), `text "Hi" | error rate_limited`},
		"S5": {bad, "error upstream_error"},
		"S6": {fixture(t, "F1")[:120], "error truncated"},
		"S7": {fixture(t, "F1", "F11"), `text "Hi" | error upstream_error`},
		"S8": {fixture(t, "F9", "F8"), "text \"n\u00e9 \U0001f327\" | stop"},
	} {
		if got := show(t, ask(), bytes.NewReader(c.in)); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestUsageOfTheFixture(t *testing.T) {
	x, err := newExchange(ask(), options{})
	if err != nil {
		t.Fatal(err)
	}
	got, e := providertest.Follow(t, x.read(typeEvents, stream(fixture(t, "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8"))))
	if e != nil || got.Usage == nil || got.Usage.Input+got.Usage.Output != 3000 || !got.Usage.Estimated || got.Usage.CacheRead != -1 {
		t.Errorf("%v %+v", e, got.Usage)
	}
	if n := contextInput(200_000, 1.5, 12); n != 2988 {
		t.Errorf("%d", n)
	}
	x, _ = newExchange(ask(noTools), options{})
	got, _ = providertest.Follow(t, x.read(typeEvents, stream(text("abcdefgh"))))
	if got.Usage.Output != 2 || got.Usage.Input <= 0 || !got.Usage.Estimated {
		t.Errorf("%+v", got.Usage)
	}
}

// answers are what the service may send and what becomes of it.
var answers = map[string]struct {
	req  *canon.Request
	in   [][]byte
	want string
}{
	"native thinking": {ask(), [][]byte{think("Let "), think("me"), eventFrame("reasoningContentEvent", `{"signature":"EqoB"}`), text("Hi")},
		`thought "Let me" claude/EqoB | text "Hi" | stop`},
	"a signature alone":       {ask(), [][]byte{eventFrame("reasoningContentEvent", `{"signature":"EqoB"}`), text("Hi")}, `thought "" claude/EqoB | text "Hi" | stop`},
	"redacted":                {ask(), [][]byte{eventFrame("reasoningContentEvent", `{"redactedContent":"aGk="}`), text("Hi")}, `thought "" claude/aGk= redacted | text "Hi" | stop`},
	"thoughts alone":          {ask(), [][]byte{think("hm"), ends("END_TURN")}, `thought "hm" | text " " | length`},
	"equal pieces":            {ask(), [][]byte{text("0"), text("0"), text("\n"), text("\n")}, `text "00\n\n" | stop`},
	"unknown events":          {ask(), [][]byte{eventFrame("somethingNew", `not json`), text("Hi"), eventFrame("followupPromptEvent", `{"followupPrompt":{"content":"x"}}`)}, `text "Hi" | stop`},
	"a wrapped payload":       {ask(), [][]byte{eventFrame("assistantResponseEvent", `{"assistantResponseEvent":{"content":"Hi"}}`)}, `text "Hi" | stop`},
	"code":                    {ask(), [][]byte{eventFrame("codeEvent", `{"content":"x=1"}`)}, `text "x=1" | stop`},
	"two calls with text":     {ask(), [][]byte{use3("a", "get_weather", `{}`, true), text("and"), use3("b", "get_weather", `{"city":"x"}`, true)}, `call a get_weather {} | text "and" | call b get_weather {"city":"x"} | tools`},
	"no input":                {ask(), [][]byte{use3("a", "get_weather", nil, true)}, `call a get_weather {} | tools`},
	"growing objects":         {ask(), [][]byte{use3("a", "get_weather", object{}, false), use3("a", "", object{"city": "O"}, false), use3("a", "", object{"city": "Oslo"}, true)}, `call a get_weather {"city":"Oslo"} | tools`},
	"fragments without names": {ask(), [][]byte{use3("a", "get_weather", nil, false), eventFrame("toolUseEvent", `{"input":"{\"city\":"}`), eventFrame("toolUseEvent", `{"input":"1}","stop":true}`)}, `call a get_weather {"city":1} | tools`},
	"a repeated call":         {ask(), [][]byte{use3("a", "get_weather", `{}`, true), use3("a", "get_weather", `{}`, true)}, `call a get_weather {} | tools`},
	"a new call ends the old": {ask(), [][]byte{use3("a", "get_weather", `{}`, false), use3("b", "get_weather", `{"city":"x"}`, true)}, `call a get_weather {} | call b get_weather {"city":"x"} | tools`},
	"a custom tool":           {ask(), [][]byte{use3("a", "patch", `{"input":"*** Begin"}`, true)}, `call a patch *** Begin | tools`},
	"no id":                   {ask(), [][]byte{eventFrame("toolUseEvent", `{"name":"get_weather","stop":true}`)}, `call call_000000000000000000000001 get_weather {} | tools`},
	"a call cut before all":   {ask(), [][]byte{use3("a", "get_weather", `{"ci`, false)}, "error truncated"},
	"a broken call":           {ask(), [][]byte{text("x"), use3("a", "get_weather", `{"ci`, true), ends("TOOL_USE")}, `text "x[The model's call to get_weather was cut off by the Kiro service and was not executed. Write large content in several smaller calls.]" | length`},
	"max tokens":              {ask(), [][]byte{text("x"), ends("MAX_TOKENS")}, `text "x" | length`},
	"max tokens in a call":    {ask(), [][]byte{use3("a", "get_weather", `{}`, true), ends("MAX_TOKENS")}, `call a get_weather {} | length`},
	"a full window":           {ask(), [][]byte{text("x"), ends("MODEL_CONTEXT_WINDOW_EXCEEDED")}, `text "x" | context`},
	"a hundred percent":       {ask(), [][]byte{text("x"), eventFrame("contextUsageEvent", `{"contextUsagePercentage":100}`)}, `text "x" | context`},
	"tools whatever is said":  {ask(), [][]byte{use3("a", "get_weather", nil, true), ends("END_TURN")}, `call a get_weather {} | tools`},
	"filtered":                {ask(), [][]byte{text("x"), ends("CONTENT_FILTERED")}, `text "x" | filter`},
	"a guardrail":             {ask(), [][]byte{text("x"), ends("GUARDRAIL_INTERVENED")}, `text "x" | filter`},
	"malformed, nothing sent": {ask(), [][]byte{ends("MALFORMED_TOOL_USE")}, "error upstream_error"},
	"malformed, text sent":    {ask(), [][]byte{text("x"), ends("MALFORMED_MODEL_OUTPUT")}, `text "x" | stop`},
	"tools without a call":    {ask(), [][]byte{ends("TOOL_USE")}, "error upstream_error"},
	"nothing":                 {ask(), nil, "error upstream_error"},
	"nothing but numbers":     {ask(), [][]byte{eventFrame("meteringEvent", `{"usage":1}`)}, "error upstream_error"},
	"white space":             {ask(), [][]byte{text(" ")}, `text " " | stop`},
	"a state":                 {ask(), [][]byte{eventFrame("invalidStateEvent", `{"reason":"INVALID_TASK_ASSIST_PLAN","message":"m"}`)}, "error upstream_error"},
	"an error as an event":    {ask(), [][]byte{eventFrame("assistantResponseEvent", `{"_type":"ThrottlingException","message":"slow"}`)}, "error rate_limited"},
	"too long before all":     {ask(), [][]byte{frameOf(`{"message":"long"}`, ":exception-type", "ContentLengthExceededException", ":message-type", "exception")}, "error context_too_long"},
	"too long in the middle":  {ask(), [][]byte{text("x"), frameOf(`{"message":"long"}`, ":exception-type", "contentLengthExceededException", ":message-type", "exception")}, `text "x" | length`},
	"an unknown message type": {ask(), [][]byte{frameOf(`{}`, ":message-type", "novel")}, "error upstream_error"},
	"an event of no JSON":     {ask(), [][]byte{text("x"), eventFrame("assistantResponseEvent", `{"content":`)}, `text "x" | error upstream_error`},
	"a stop sequence":         {ask(noTools, func(r *canon.Request) { r.Stop = []string{"END", "", "STOP"} }), [][]byte{text("one E"), text("N"), text("D two"), text("three")}, `text "one " | stop_sequence "END"`},
	"half a stop sequence":    {ask(noTools, func(r *canon.Request) { r.Stop = []string{"END"} }), [][]byte{text("one EN"), text("ough E")}, `text "one ENough E" | stop`},
	"a stop at the beginning": {ask(noTools, func(r *canon.Request) { r.Stop = []string{"END"} }), [][]byte{text("END of it")}, `stop_sequence "END"`},
	"a bracket call":          {ask(), [][]byte{text("Look: [Call"), text(`ed get_weather with args: {"city":"[x]",}`), text("] done")}, `text "Look: " | call call_00000001 get_weather {"city":"[x]"} | text " done" | tools`},
	"a bracket call, bare":    {ask(), [][]byte{text(`[called get_weather with args: {city: "Oslo", n: 1}]`)}, `call call_00000001 get_weather {"city": "Oslo", "n": 1} | tools`},
	"a bracket that is none":  {ask(), [][]byte{text("[Called off] and [Called other with args: {}] and [x"), text("y] [Called ")}, `text "[Called off] and [Called other with args: {}] and [xy] [Called " | stop`},
	"a bracket call twice":    {ask(), [][]byte{use3("a", "get_weather", `{"city":"x"}`, true), text(`[Called get_weather with args: { "city": "x" }]`)}, `call a get_weather {"city":"x"} | tools`},
	"brackets without tools":  {ask(noTools), [][]byte{text(`[Called get_weather with args: {}]`)}, `text "[Called get_weather with args: {}]" | stop`},
	"XML": {ask(), [][]byte{text(`a <function_calls><invoke name="get_weather"><parameter name="city">Oslo</parameter>`), text(`<parameter name="n">2</parameter></invoke></function_calls> b`)},
		`text "a " | call call_00000001 get_weather {"city":"Oslo","n":2} | text " b" | tools`},
	"XML of others": {ask(), [][]byte{text(`<invoke name="other"></invoke> <invoke name="`)}, `text "<invoke name=\"other\"></invoke> <invoke name=\"" | stop`},
	"tags that were asked for": {ask(noTools, func(r *canon.Request) { r.Reasoning.Mode = canon.ReasonOn }), [][]byte{text("<think"), text("ing>plan</thin"), text("king>\n\nHi")},
		`thought "plan" | text "Hi" | stop`},
	"tags that were not asked for": {ask(noTools), [][]byte{text("<thinking>plan</thinking>\n\nHi")}, `text "<thinking>plan</thinking>\n\nHi" | stop`},
	"tags and native thinking": {ask(noTools, func(r *canon.Request) { r.Reasoning.Mode = canon.ReasonOn }), [][]byte{think("a"), text("<thinking>b</thinking>"), use3("a", "get_weather", nil, true)},
		`thought "ab" | call a get_weather {} | tools`},
	"JSON in a fence": {ask(noTools, func(r *canon.Request) { r.Output.Kind = canon.OutputJSON }), [][]byte{text("```json\n{\"a\""), text(":1}\n```")}, `text "{\"a\":1}" | stop`},
}

func TestAnswers(t *testing.T) {
	for name, c := range answers {
		t.Run(name, func(t *testing.T) {
			if got := show(t, c.req, stream(c.in...)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAnswersThatAreNoFrames(t *testing.T) {
	x, err := newExchange(ask(), options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, e := providertest.Follow(t, x.read("text/html; charset=utf-8", strings.NewReader("<html>"))); e == nil || e.Kind != apierror.Upstream5xx {
		t.Errorf("%v", e)
	}
	if _, e := providertest.Follow(t, x.read(typeEvents, stream(use3("a", "get_weather", strings.Repeat("x", maxCall+1), false)))); e == nil || e.Kind != apierror.Upstream5xx {
		t.Errorf("a call of megabytes: %v", e)
	}
}
