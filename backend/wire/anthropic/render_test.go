package anthropic

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

func client() *canon.Request {
	req := &canon.Request{Format: Name, ModelAsked: "asked", Model: "m"}
	n := 0
	req.SetIDs(func(prefix string, digits int) string { n++; return fmt.Sprintf("%s%d", prefix, n) })
	return req
}

// renderAll renders events and returns the data lines; the framing is checked on the way.
func renderAll(t *testing.T, events ...canon.Event) []string {
	t.Helper()
	r := Codec{}.NewRenderer(client())
	var b []byte
	for _, ev := range events {
		b = r.AppendEvent(b, ev)
	}
	return dataLines(t, b)
}

func dataLines(t *testing.T, b []byte) []string {
	t.Helper()
	var out []string
	for e := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(e, "\n")
		name, data = strings.TrimPrefix(name, "event: "), strings.TrimPrefix(data, "data: ")
		if !ok || blockType(jsontext.Value(data)) != name || strings.Contains(data, "\n") {
			t.Fatalf("bad event %q", e)
		}
		out = append(out, data)
	}
	return out
}

func start(i int, p canon.Part) canon.Event {
	return canon.Event{Kind: canon.KindPartStart, Index: i, Part: &p}
}
func delta(i int, k canon.DeltaKind, s string) canon.Event {
	return canon.Event{Kind: canon.KindDelta, Index: i, Delta: k, Text: s}
}
func end(i int, p canon.Part) canon.Event {
	return canon.Event{Kind: canon.KindPartEnd, Index: i, Part: &p}
}

var (
	begin  = canon.Event{Kind: canon.KindStart, ID: "id1", Model: "m"}
	finish = canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishStop}}
)

const (
	headLine = `{"type":"message_start","message":{"id":"id1","type":"message","role":"assistant","model":"asked","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}`
	stopLine = `{"type":"message_stop"}`
	zero     = `"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}`
)

func deltaLine(reason string) string {
	return `{"type":"message_delta","delta":{"stop_reason":"` + reason + `","stop_sequence":null},` + zero
}

// The worked example of a Gemini answer: the call's signature rides on the thinking block before the call.
func TestGeminiAnswerToAClaudeClient(t *testing.T) {
	signed := canon.Part{Type: canon.PartToolCall, CallID: "g7", Name: "Bash", Opaque: &canon.Opaque{Family: "gemini", Kind: "call", Data: "CqX1"}}
	whole := signed
	whole.Args = jsontext.Value(`{"command":"ls"}`)
	think := canon.Part{Type: canon.PartReasoning}
	usage := canon.Event{Kind: canon.KindUsage, Usage: &canon.Usage{Input: 100, CacheRead: 60, Output: 15, CacheWrite: -1, CacheWrite1h: -1, Reasoning: 5, ToolPrompt: -1}}
	call := []canon.Event{start(1, signed), delta(1, canon.DeltaArgs, `{"command":"ls"}`), end(1, whole), usage, finish}
	tail := []string{
		`{"type":"content_block_stop","index":0}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"g7","name":"Bash","input":{}}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"command\":\"ls\"}"}}`,
		`{"type":"content_block_stop","index":1}`,
		`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":40,"cache_creation_input_tokens":0,"cache_read_input_tokens":60,"output_tokens":15,"output_tokens_details":{"thinking_tokens":5}}}`,
		stopLine,
	}
	got := renderAll(t, append([]canon.Event{begin, start(0, think), delta(0, canon.DeltaText, "I look"), end(0, canon.Part{Type: canon.PartReasoning, Text: "I look"})}, call...)...)
	want := append([]string{
		headLine,
		`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"I look"}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"pb1.gemini.call.Q3FYMQ"}}`,
	}, tail...)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("with thinking -want +got\n%s", d)
	}
	got = renderAll(t, append([]canon.Event{begin}, call...)...)
	want = append([]string{want[0], want[1], want[3]}, tail...)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("without thinking -want +got\n%s", d)
	}
}

func TestRenderer(t *testing.T) {
	txt := canon.Part{Type: canon.PartText}
	for name, c := range map[string]struct {
		events []canon.Event
		want   []string
	}{
		"nothing but the end":     {[]canon.Event{finish, finish}, []string{strings.Replace(headLine, "id1", "msg_1", 1), deltaLine("end_turn"), stopLine}},
		"empty text has no block": {[]canon.Event{begin, start(0, txt), end(0, txt), finish}, []string{headLine, deltaLine("end_turn"), stopLine}},
		"text that only its end brings": {[]canon.Event{begin, start(0, txt), end(0, canon.Part{Type: canon.PartText, Text: "<&>"}), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"<&>"}}`, `{"type":"content_block_stop","index":0}`, deltaLine("end_turn"), stopLine}},
		"interleaved calls come one after the other": {[]canon.Event{begin, start(0, toolCall("a", "f", "")), start(1, toolCall("a", "g", "")), delta(1, canon.DeltaArgs, `{"g":`), delta(0, canon.DeltaArgs, `{}`), delta(1, canon.DeltaArgs, `1}`), end(1, toolCall("a", "g", `{"g":1}`)), end(0, toolCall("a", "f", `{}`)), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}`, `{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"a_2","name":"g","input":{}}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"g\":"}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"1}"}}`, `{"type":"content_block_stop","index":1}`,
			deltaLine("tool_use"), stopLine}},
		"parts left open are closed in order": {[]canon.Event{begin, start(0, txt), delta(0, canon.DeltaText, "a"), start(2, canon.Part{Type: canon.PartRefusal}), start(1, toolCall("", "f", "")), delta(2, canon.DeltaText, "c"), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`, `{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}`, `{"type":"content_block_stop","index":1}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"c"}}`, `{"type":"content_block_stop","index":2}`, deltaLine("tool_use"), stopLine}},
		"arguments that only the end brings": {[]canon.Event{begin, start(0, toolCall("a", "f", "")), end(0, toolCall("a", "f", `{"x": 1.50}`)), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1.50}"}}`, `{"type":"content_block_stop","index":0}`, deltaLine("tool_use"), stopLine}},
		"reasoning of OpenAI": {[]canon.Event{begin, start(0, canon.Part{Type: canon.PartReasoning, Opaque: &canon.Opaque{Family: "openai", Kind: "think"}}), delta(0, canon.DeltaSummary, "a"), {Kind: canon.KindDelta, Delta: canon.DeltaSummary, Summary: 1, Text: "b"}, delta(0, canon.DeltaSignature, "g"), delta(0, canon.DeltaSignature, "A"),
			end(0, canon.Part{}), finish}, []string{headLine, `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a"}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"\n\n"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"b"}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"pb1.openai.think.Z0E"}}`, `{"type":"content_block_stop","index":0}`, deltaLine("end_turn"), stopLine}},
		"redacted thinking comes whole": {[]canon.Event{begin, start(0, canon.Part{Type: canon.PartReasoning, Redacted: true}), end(0, canon.Part{Type: canon.PartReasoning, Redacted: true, Opaque: &canon.Opaque{Family: "claude", Data: "zz"}}),
			start(1, canon.Part{Type: canon.PartReasoning, Redacted: true}), end(1, canon.Part{Type: canon.PartReasoning, Redacted: true, Opaque: &canon.Opaque{Family: "openai", Kind: "think", Data: "g"}}), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"zz"}}`, `{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":"","signature":""}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"pb1.openai.think.Zw"}}`, `{"type":"content_block_stop","index":1}`, deltaLine("end_turn"), stopLine}},
		"a text's signature is left out: nothing may follow the text": {[]canon.Event{begin, start(0, txt), delta(0, canon.DeltaText, "a"), end(0, canon.Part{Type: canon.PartText, Text: "a", Opaque: &canon.Opaque{Family: "gemini", Data: "t"}}), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`, `{"type":"content_block_stop","index":0}`,
			deltaLine("end_turn"), stopLine}},
		"a free-form call": {[]canon.Event{begin, start(0, canon.Part{Type: canon.PartToolCall, CallID: "a", Name: "p", Custom: true}), delta(0, canon.DeltaText, "x\n"), delta(0, canon.DeltaText, "\"y"), end(0, canon.Part{Type: canon.PartToolCall, Custom: true, Text: "x\n\"y"}), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"p","input":{}}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"input\":\"x\\n"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\\\"y"}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"\"}"}}`, `{"type":"content_block_stop","index":0}`, deltaLine("tool_use"), stopLine}},
		"a free-form call in one piece": {[]canon.Event{begin, start(0, canon.Part{Type: canon.PartToolCall, CallID: "a", Name: "p", Custom: true}), end(0, canon.Part{Type: canon.PartToolCall, Custom: true, Text: "x"}), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"p","input":{}}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"input\":\"x\"}"}}`, `{"type":"content_block_stop","index":0}`, deltaLine("tool_use"), stopLine}},
		"tools of the service": {[]canon.Event{begin, start(0, canon.Part{Type: canon.PartServer}), end(0, canon.Part{Type: canon.PartServer, Opaque: &canon.Opaque{Family: "claude"}, Server: jsontext.Value("{\"type\":\"server_tool_use\",\n\"id\":\"s\",\"input\":{\"q\": 1}}")}),
			start(1, canon.Part{Type: canon.PartServer}), end(1, canon.Part{Type: canon.PartServer, Opaque: &canon.Opaque{Family: "claude"}, Server: jsontext.Value(`{"type":"web_search_tool_result","content":[]}`)}),
			start(2, canon.Part{Type: canon.PartServer}), end(2, canon.Part{Type: canon.PartServer, Opaque: &canon.Opaque{Family: "gemini"}, Server: jsontext.Value(`{}`)}), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","input":{}}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}}`, `{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","content":[]}}`, `{"type":"content_block_stop","index":1}`, deltaLine("end_turn"), stopLine}},
		"pictures are named": {[]canon.Event{begin, start(0, canon.Part{Type: canon.PartImage}), end(0, canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("abc")}}), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"[image omitted: image/png, 3 bytes]"}}`, `{"type":"content_block_stop","index":0}`, deltaLine("end_turn"), stopLine}},
		"citations of its own shape only": {[]canon.Event{begin, start(0, txt), delta(0, canon.DeltaCitation, `{"cited_text":"x"}`), delta(0, canon.DeltaCitation, `{"uri":"x"}`), end(0, txt), finish}, []string{headLine,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"cited_text":"x"}}}`, `{"type":"content_block_stop","index":0}`, deltaLine("end_turn"), stopLine}},
		"only the first of several answers": {[]canon.Event{begin, {Kind: canon.KindPartStart, Choice: 1, Index: 5, Part: &txt}, {Kind: canon.KindPing}, finish}, []string{headLine, `{"type":"ping"}`, deltaLine("end_turn"), stopLine}},
		"a stop sequence":                   {[]canon.Event{begin, {Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishStopSequence, StopSequence: "END"}, Ext: map[string]jsontext.Value{"container": jsontext.Value("{\n}")}}}, []string{headLine, `{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END","container":{}},` + zero, stopLine}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, renderAll(t, c.events...)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestWholeAnswerHasTheBlocksOfTheStream(t *testing.T) {
	resp := &canon.Response{ID: "", Finish: canon.Finish{Reason: canon.FinishStop}, Usage: &canon.Usage{Input: 100, CacheRead: 60, Output: 15}, Parts: []canon.Part{
		{Type: canon.PartReasoning, Text: "look"}, {Type: canon.PartToolCall, CallID: "g.7", Name: "Bash", Args: jsontext.Value(`{"a":1.0}`), Opaque: &canon.Opaque{Family: "gemini", Kind: "call", Data: "CqX1"}},
		{Type: canon.PartToolCall, CallID: "g.7", Name: "do", Space: "ns", Custom: true, Text: "in", Opaque: &canon.Opaque{Family: "gemini", Kind: "call", Data: "x"}},
		{Type: canon.PartText, Text: "t", Opaque: &canon.Opaque{Family: "gemini", Data: "t"}}, {Type: canon.PartText}, {Type: canon.PartReasoning}, {Type: canon.PartReasoning, Summary: []string{"s"}},
		{Type: canon.PartReasoning, Redacted: true, Opaque: &canon.Opaque{Family: "claude", Data: "zz"}}, {Type: canon.PartImage, Media: &canon.Media{MIME: "image/png"}},
	}}
	got, err := Codec{}.AppendResponse([]byte("x"), client(), resp)
	if err != nil {
		t.Fatal(err)
	}
	want := `x{"id":"msg_1","type":"message","role":"assistant","model":"asked","content":[{"type":"thinking","thinking":"look","signature":"pb1.gemini.call.Q3FYMQ"},{"type":"tool_use","id":"g_7","name":"Bash","input":{"a":1.0}},` +
		`{"type":"thinking","thinking":"","signature":"pb1.gemini.call.eA"},{"type":"tool_use","id":"g_7_2","name":"ns__do","input":{"input":"in"}},{"type":"text","text":"t"},` +
		`{"type":"thinking","thinking":"s","signature":""},{"type":"redacted_thinking","data":"zz"},{"type":"text","text":"[image omitted: image/png, 0 bytes]"}],"stop_reason":"tool_use","stop_sequence":null,` +
		`"usage":{"input_tokens":40,"cache_creation_input_tokens":0,"cache_read_input_tokens":60,"output_tokens":15}}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	cut := &canon.Response{ID: "i", Finish: canon.Finish{Reason: canon.FinishLength}, Parts: []canon.Part{{Type: canon.PartReasoning, Text: "r"}, {Type: canon.PartToolCall, CallID: "c", Name: "f", Args: jsontext.Value(`"{\"a"`), BadArgs: true}}}
	got, _ = Codec{}.AppendResponse(nil, client(), cut)
	if s := string(got); strings.Contains(s, "tool_use") || !strings.Contains(s, `"stop_reason":"max_tokens"`) || !jsontext.Value(got).IsValid() {
		t.Error(s)
	}
}

func TestErrorsInAStreamComeAfterAMessageStart(t *testing.T) {
	e := apierror.New(apierror.Overloaded, "busy")
	for name, before := range map[string][]canon.Event{"at once": nil, "later": {begin, start(0, canon.Part{Type: canon.PartReasoning})}} {
		r := Codec{}.NewRenderer(client())
		var b []byte
		b = r.AppendPing(b)
		for _, ev := range before {
			b = r.AppendEvent(b, ev)
		}
		b = r.AppendError(b, e)
		n := len(b)
		b = r.AppendPing(r.AppendEvent(r.AppendError(b, e), finish))
		lines := dataLines(t, b)
		if len(b) != n || blockType(jsontext.Value(lines[1])) != "message_start" || lines[len(lines)-1] != `{"type":"error","error":{"type":"overloaded_error","message":"busy"}}` {
			t.Errorf("%s: %q", name, lines)
		}
	}
	if (Codec{}).NewRenderer(client()).ContentType() != "text/event-stream" {
		t.Error("content type")
	}
}

func TestCopiedStreamAlwaysEnds(t *testing.T) {
	raw := func(ev canon.Event, s string) canon.Event { ev.Raw = []byte(s); return ev }
	verb := canon.Event{Kind: canon.KindStart, Verbatim: true}
	got := renderAll(t, raw(verb, "{\"type\":\"message_start\",\n\"message\":{\"model\":\"up\"}}"), raw(start(0, toolCall("a", "f", "")), `{"type":"content_block_start","index":0}`), canon.Event{Kind: canon.KindFrame, Raw: []byte(" ")}, finish, finish)
	want := []string{`{"type":"message_start","message":{"model":"asked"}}`, `{"type":"content_block_start","index":0}`, `{"type":"content_block_stop","index":0}`, deltaLine("tool_use"), stopLine}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = renderAll(t, verb, raw(canon.Event{Kind: canon.KindPing}, `{"type":"ping"}`), raw(canon.Event{Kind: canon.KindUsage}, `{"type":"message_delta","delta":{}}`), finish)
	want = []string{`{"type":"ping"}`, strings.Replace(headLine, "id1", "msg_1", 1), `{"type":"message_delta","delta":{}}`, stopLine}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestErrorRowsAreTotal(t *testing.T) {
	for _, row := range apierror.Rows {
		if errorRows[row].status == 0 || errorRows[row].kind == "" {
			t.Errorf("%s has no status", row)
		}
	}
	for _, k := range apierror.Kinds() {
		status, _, body := Codec{}.Error(&apierror.Error{Kind: k, Msg: "m"}, "req_1")
		if status < 400 || !jsontext.Value(body).IsValid() || !strings.HasSuffix(string(body), `,"request_id":"req_1"}`) {
			t.Errorf("%s: %d %s", k, status, body)
		}
		if (status == 401) != (k == apierror.ClientUnauthorized) || (status == 404) != (k == apierror.ModelNotFound || k == apierror.RouteNotFound) {
			t.Errorf("%s is told as %d", k, status)
		}
	}
	for _, c := range []struct {
		e      *apierror.Error
		status int
		text   string
		after  string
		retry  string
	}{
		{&apierror.Error{Kind: apierror.NoAccount, Msg: "kiro: no usable account", NoRetry: true}, 529, `"overloaded_error","message":"kiro: no usable account"`, "", "false"},
		{&apierror.Error{Kind: apierror.NoAccount, RetryAfter: 1500 * time.Millisecond}, 429, "rate_limit_error", "2", ""},
		{&apierror.Error{Kind: apierror.QuotaExhausted, RetryAfter: time.Hour}, 429, "rate_limit_error", "3600", "false"},
		{&apierror.Error{Kind: apierror.ContextTooLong, PromptTokens: 210000, MaxTokens: 200000}, 400, `"prompt is too long: 210000 tokens > 200000 maximum"`, "", ""},
		{&apierror.Error{Kind: apierror.ContextTooLong, Msg: "too big"}, 400, `prompt is too long: 200001 tokens > 200000 maximum (`, "", ""},
		{apierror.Invalid("a.b", "no"), 400, `"a.b: no"`, "", ""},
		{apierror.Invalid("a.b", "a.b is bad"), 400, `"a.b is bad"`, "", ""},
	} {
		status, h, body := Codec{}.Error(c.e, "")
		if status != c.status || !strings.Contains(string(body), c.text) || h.Get("Retry-After") != c.after || h.Get("X-Should-Retry") != c.retry {
			t.Errorf("%+v: %d %v %s", c.e, status, h, body)
		}
	}
}

func TestParseError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix()) }
		body := func(kind, msg string) string {
			return `{"type":"error","error":{"type":"` + kind + `","message":"` + msg + `"},"request_id":"req_1"}`
		}
		for name, c := range map[string]struct {
			status int
			header map[string]string
			body   string
			want   apierror.Error // Kind, Scope, BadSignature, tokens, NoRetry, Param
			after  time.Duration
		}{
			"key":                 {401, nil, body("authentication_error", "invalid x-api-key"), apierror.Error{Kind: apierror.AuthExpired}, 0},
			"policy 1":            {400, nil, body("invalid_request_error", "This credential is only authorized for use with Claude Code and cannot be used for other API requests."), apierror.Error{Kind: apierror.PolicyRefused, NoRetry: true}, 0},
			"policy 2":            {400, nil, body("invalid_request_error", "Third-party apps now draw from your extra usage, not your plan limits"), apierror.Error{Kind: apierror.PolicyRefused, NoRetry: true}, 0},
			"policy 3":            {400, nil, body("invalid_request_error", "You're out of extra usage"), apierror.Error{Kind: apierror.PolicyRefused, NoRetry: true}, 0},
			"forbidden":           {403, nil, body("permission_error", "org"), apierror.Error{Kind: apierror.AccountBlocked}, 30 * time.Minute},
			"firewall":            {403, map[string]string{"Content-Type": "text/html"}, "<html>", apierror.Error{Kind: apierror.RateLimited, Scope: "*"}, 10 * time.Minute},
			"model":               {404, nil, body("not_found_error", "model: x"), apierror.Error{Kind: apierror.ModelNotFound}, 0},
			"model by text":       {400, nil, body("invalid_request_error", "Model x does not exist, or unknown model"), apierror.Error{Kind: apierror.ModelNotFound}, 0},
			"size":                {413, nil, body("request_too_large", "x"), apierror.Error{Kind: apierror.BodyTooLarge}, 0},
			"credit":              {400, nil, body("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), apierror.Error{Kind: apierror.NoCredit, Scope: "*"}, 0},
			"billing":             {402, nil, `{"error":"Insufficient Balance"}`, apierror.Error{Kind: apierror.NoCredit, Scope: "*"}, 0},
			"too long":            {400, nil, body("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), apierror.Error{Kind: apierror.ContextTooLong, PromptTokens: 210000, MaxTokens: 200000}, 0},
			"too long, summed":    {400, nil, body("invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000"), apierror.Error{Kind: apierror.ContextTooLong, PromptTokens: 222000, MaxTokens: 200000}, 0},
			"too long, words":     {400, nil, body("invalid_request_error", "This exceeds the model's maximum context length"), apierror.Error{Kind: apierror.ContextTooLong}, 0},
			"signature":           {400, nil, body("invalid_request_error", "messages.1.content.0: Invalid `signature` in `thinking` block"), apierror.Error{Kind: apierror.InvalidRequest, BadSignature: true}, 0},
			"thinking missing":    {400, nil, body("invalid_request_error", "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`"), apierror.Error{Kind: apierror.InvalidRequest, BadSignature: true}, 0},
			"filter":              {400, nil, body("invalid_request_error", "Output blocked by content filtering policy"), apierror.Error{Kind: apierror.ContentFiltered}, 0},
			"plain 400":           {400, nil, body("invalid_request_error", "max_tokens: required"), apierror.Error{Kind: apierror.InvalidRequest}, 0},
			"5h":                  {429, map[string]string{"Anthropic-Ratelimit-Unified-5h-Status": "rejected", "Anthropic-Ratelimit-Unified-5h-Reset": at(time.Minute), "Anthropic-Ratelimit-Unified-7d-Status": "allowed", "Anthropic-Ratelimit-Unified-7d-Reset": at(time.Hour)}, body("rate_limit_error", "x"), apierror.Error{Kind: apierror.RateLimited, Scope: "*"}, time.Minute},
			"5h and 7d":           {429, map[string]string{"Anthropic-Ratelimit-Unified-5h-Status": "rejected", "Anthropic-Ratelimit-Unified-5h-Reset": at(time.Minute), "Anthropic-Ratelimit-Unified-7d-Status": "rejected", "Anthropic-Ratelimit-Unified-7d-Reset": at(time.Hour)}, body("rate_limit_error", "x"), apierror.Error{Kind: apierror.QuotaExhausted, Scope: "*"}, time.Hour},
			"one family":          {429, map[string]string{"Anthropic-Ratelimit-Unified-7d_oi-Status": "rejected", "Anthropic-Ratelimit-Unified-7d_oi-Reset": at(time.Hour)}, body("rate_limit_error", "x"), apierror.Error{Kind: apierror.QuotaExhausted}, time.Hour},
			"unified, no windows": {429, map[string]string{"Anthropic-Ratelimit-Unified-Status": "rejected", "Anthropic-Ratelimit-Unified-Reset": at(time.Hour)}, body("rate_limit_error", "x"), apierror.Error{Kind: apierror.QuotaExhausted, Scope: "*"}, time.Hour},
			"retry-after":         {429, map[string]string{"Retry-After": "7"}, body("rate_limit_error", "x"), apierror.Error{Kind: apierror.RateLimited}, 7 * time.Second},
			"retry-after-ms":      {429, map[string]string{"Retry-After-Ms": "250"}, body("rate_limit_error", "x"), apierror.Error{Kind: apierror.RateLimited}, 250 * time.Millisecond},
			"retry at":            {503, map[string]string{"Retry-After": time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat)}, body("api_error", "x"), apierror.Error{Kind: apierror.Overloaded}, 9 * time.Second},
			"empty bucket":        {429, map[string]string{"Anthropic-Ratelimit-Tokens-Remaining": "0", "Anthropic-Ratelimit-Tokens-Reset": time.Now().Add(30 * time.Second).Format(time.RFC3339), "Anthropic-Ratelimit-Requests-Remaining": "5", "Anthropic-Ratelimit-Requests-Reset": time.Now().Add(time.Hour).Format(time.RFC3339)}, body("rate_limit_error", "x"), apierror.Error{Kind: apierror.RateLimited}, 30 * time.Second},
			"hint in words":       {429, nil, body("rate_limit_error", "please try again in 2 minutes"), apierror.Error{Kind: apierror.RateLimited}, 2 * time.Minute},
			"hint in ms":          {429, nil, body("rate_limit_error", "try again in 500ms"), apierror.Error{Kind: apierror.RateLimited}, 500 * time.Millisecond},
			"hint in hours":       {429, nil, body("rate_limit_error", "retry after 2h"), apierror.Error{Kind: apierror.QuotaExhausted}, 2 * time.Hour},
			"fast mode":           {429, nil, body("rate_limit_error", "usage credits are required for fast mode"), apierror.Error{Kind: apierror.Unsupported, Param: "speed"}, 0},
			"quota words":         {429, nil, `{"error":{"code":"insufficient_quota","message":"no"}}`, apierror.Error{Kind: apierror.NoCredit, Scope: "*"}, 0},
			"overloaded":          {529, nil, body("overloaded_error", "Overloaded"), apierror.Error{Kind: apierror.Overloaded}, 0},
			"broken":              {500, nil, body("api_error", "x"), apierror.Error{Kind: apierror.Upstream5xx}, 0},
			"slow":                {504, nil, "", apierror.Error{Kind: apierror.Timeout}, 0},
			"web page":            {502, nil, "<!doctype html>", apierror.Error{Kind: apierror.Upstream5xx}, 0},
			"Google's array":      {400, nil, `[{"error":{"code":400,"message":"prompt is too long: 5 tokens > 4 maximum","status":"INVALID_ARGUMENT"}}]`, apierror.Error{Kind: apierror.ContextTooLong, PromptTokens: 5, MaxTokens: 4}, 0},
			"JSON in JSON":        {400, nil, `{"error":{"message":"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Invalid signature in thinking block\"}}"}}`, apierror.Error{Kind: apierror.InvalidRequest, BadSignature: true}, 0},
			"in a 200":            {200, nil, body("overloaded_error", "x"), apierror.Error{Kind: apierror.Overloaded}, 0},
			"in a 200, other":     {200, nil, `{"message":"what","type":"odd"}`, apierror.Error{Kind: apierror.Upstream5xx}, 0},
		} {
			h := http.Header{}
			for k, v := range c.header {
				h.Set(k, v)
			}
			e := ParseError(c.status, h, []byte(c.body))
			got := apierror.Error{Kind: e.Kind, Scope: e.Scope, BadSignature: e.BadSignature, PromptTokens: e.PromptTokens, MaxTokens: e.MaxTokens, NoRetry: e.NoRetry, Param: e.Param}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			if e.RetryAfter < c.after || e.RetryAfter > c.after+31*time.Second || c.after == 0 && e.RetryAfter != 0 {
				t.Errorf("%s: wait %v, want %v", name, e.RetryAfter, c.after)
			}
			if e.Msg == "" || strings.Contains(e.Msg, "<") || strings.Contains(e.Msg, "{") {
				t.Errorf("%s: %q", name, e.Msg)
			}
		}
	})
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	for _, s := range []string{"sk-ant-api03-abcdef", "ya29.abcdefgh", "eyJhbGciOi.abc", "AIzaSyABCDEF", "Bearer abc.def", "ann@example.test"} {
		e := ParseError(400, nil, []byte(`{"error":{"message":"bad `+s+` here"}}`))
		if strings.Contains(e.Msg+e.Upstream.Body, s) || !strings.Contains(e.Msg, "[removed]") {
			t.Errorf("%s: %q", s, e.Msg)
		}
	}
	e := ParseError(500, nil, []byte(strings.Repeat("ä ", 9000)))
	if len(e.Msg) > 700 || len(e.Upstream.Body) > 5000 {
		t.Errorf("%d %d", len(e.Msg), len(e.Upstream.Body))
	}
	for _, kind := range []string{"invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error", "request_too_large", "rate_limit_error", "timeout_error", "overloaded_error", "api_error", "503", "x"} {
		if s := statusOf(kind); s < 400 {
			t.Errorf("%s: %d", kind, s)
		}
	}
}

func TestModels(t *testing.T) {
	models, page, err := ParseModels([]byte(`{"data":[{"type":"model","id":"claude-opus-4-6","display_name":"Opus","created_at":"2026-01-01T00:00:00Z","max_input_tokens":500000},{"id":""},{"id":"other","max_tokens":7,"created":9}],"has_more":true,"last_id":"other"}`))
	if err != nil || !page.More || page.LastID != "other" || len(models) != 2 {
		t.Fatal(models, page, err)
	}
	if m := models[0]; m.Context != 500000 || m.MaxOutput != 128000 || m.Name != "Opus" || m.Created != 1767225600 || m.Schema != canon.Yes {
		t.Errorf("%+v", m)
	}
	for _, in := range []string{`[{"name":"models/a"}]`, `{"models":[{"model":"a"}]}`} {
		if m, _, err := ParseModels([]byte(in)); err != nil || len(m) != 1 || m[0].ID != "a" {
			t.Errorf("%s: %v %v", in, m, err)
		}
	}
	if _, _, err := ParseModels([]byte(`<`)); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Error(err)
	}
	list := make([]canon.Model, 25)
	for i := range list {
		list[i].ID = fmt.Sprintf("m%02d", i)
	}
	for query, want := range map[string]string{
		"": "m00 m19 20 true", "?limit=1000": "m00 m24 25 false", "?limit=0": "m00 m00 1 true", "?limit=5&after_id=m19": "m20 m24 5 false", "?before_id=m10&limit=3": "m07 m09 3 true", "?after_id=m24": "  0 false",
	} {
		r, _ := http.NewRequest("GET", "/v1/models"+query, nil)
		b, err := Codec{}.AppendModels(nil, r, list)
		if err != nil || !jsontext.Value(b).IsValid() {
			t.Fatalf("%s %v", b, err)
		}
		o, _ := canon.ParseObject(b)
		str := func(n string) string { return text(o.Get(n)) }
		if got := fmt.Sprintf("%s %s %d %s", str("first_id"), str("last_id"), strings.Count(string(b), `"type":"model"`), o.Get("has_more")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	b, _ := Codec{}.AppendModel(nil, nil, canon.Model{ID: "a", Created: 1767225600, Context: 5, MaxOutput: 6})
	if got := string(b); got != `{"type":"model","id":"a","display_name":"a","created_at":"2026-01-01T00:00:00Z","max_input_tokens":5,"max_tokens":6}` {
		t.Error(got)
	}
}

func TestKnownModels(t *testing.T) {
	for id, want := range map[string]canon.Model{
		"claude-opus-5":                        {Context: 1_000_000, MaxOutput: 128_000, Efforts: effortsFull, Schema: canon.Yes, Sampling: canon.No, Thinking: canon.Yes},
		"anthropic/claude-sonnet-4.6":          {Context: 200_000, MaxOutput: 64_000, Efforts: efforts46, BudgetMin: 1024, BudgetMax: 128_000, Schema: canon.Yes, Sampling: canon.Yes, Thinking: canon.Yes},
		"claude-haiku-4-5-20251001":            {Context: 200_000, MaxOutput: 64_000, BudgetMin: 1024, BudgetMax: 128_000, Schema: canon.Yes, Sampling: canon.Yes, Thinking: canon.Yes},
		"claude-opus-4-20250514":               {Context: 200_000, MaxOutput: 32_000, BudgetMin: 1024, BudgetMax: 32_000, Schema: canon.No, Sampling: canon.Yes, Thinking: canon.Yes},
		"us.anthropic.claude-3-5-haiku-latest": {Context: 128_000, MaxOutput: 8_192, Schema: canon.No, Sampling: canon.Yes, Thinking: canon.No},
		"claude-next-7":                        {Efforts: effortsFull, Schema: canon.Yes, Sampling: canon.No, Thinking: canon.Yes},
	} {
		got := KnownModel(id)
		want.ID, want.Tools, want.Images, want.Documents, want.Audio, want.Embeddings = id, canon.Yes, canon.Yes, canon.Yes, canon.No, canon.No
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
	if d := cmp.Diff(canon.Model{ID: "glm-5"}, KnownModel("glm-5")); d != "" {
		t.Error(d)
	}
	req := chat("claude-opus-4-6")
	req.Facts = canon.Model{Context: 1, MaxOutput: 2, Efforts: []string{"high"}, BudgetMin: 3, BudgetMax: 4, Schema: canon.No}
	if m := facts(req); m.Context != 1 || m.MaxOutput != 2 || len(m.Efforts) != 1 || m.BudgetMax != 4 || m.Schema != canon.No || m.Thinking != canon.Yes {
		t.Errorf("%+v", m)
	}
}

func TestRoutes(t *testing.T) {
	mux := http.NewServeMux()
	for _, r := range (Codec{}).Routes() {
		mux.HandleFunc(r.Pattern, func(http.ResponseWriter, *http.Request) {})
	}
	if (Codec{}).Name() != "anthropic" {
		t.Error("name")
	}
}
