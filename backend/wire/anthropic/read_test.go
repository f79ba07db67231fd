package anthropic

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

func TestDecodeRefusesByPath(t *testing.T) {
	msg := func(content string) string {
		return `{"model":"m","messages":[{"role":"user","content":` + content + `}]}`
	}
	for body, param := range map[string]string{
		`{}`: "model", `{"model":7}`: "model", `{"model":"m"}`: "messages", `{"model":"m","messages":{}}`: "messages", `{"model":"m","messages":[]}`: "messages",
		`{"model":"m","messages":[7]}`: "messages[0]", `{"model":"m","messages":[{"role":"tool","content":"x"}]}`: "messages[0].role",
		`{"model":"m","max_tokens":-1}`: "max_tokens", `{"model":"m","max_tokens":"a"}`: "max_tokens", `{"model":"m","temperature":"a"}`: "temperature",
		`{"model":"m","thinking":{"type":"x"}}`: "thinking.type", `{"model":"m","thinking":{"type":"enabled","budget_tokens":"x"}}`: "thinking.budget_tokens",
		`{"model":"m","output_config":{"format":{"type":"json_schema"}}}`: "output_config.format.schema", `{"model":"m","output_format":{"type":"json_schema","schema":1}}`: "output_format.schema",
		`{"model":"m","metadata":{"user_id":1}}`: "metadata.user_id", `{"model":"m","system":7}`: "system", `{"model":"m","system":[{"type":"image","source":{"type":"url","url":"u"}}]}`: "system[0]",
		`{"model":"m","tools":{}}`: "tools", `{"model":"m","tools":[{}]}`: "tools[0].name", `{"model":"m","tools":[{"name":"a","input_schema":1}]}`: "tools[0].input_schema",
		`{"model":"m","tools":[{"name":"a"},{"name":"a"}]}`: "tools[1].name", `{"model":"m","tool_choice":{"type":"tool","name":"x"}}`: "tool_choice.name", `{"model":"m","tool_choice":{"type":"x"}}`: "tool_choice.type",
		`{"model":"m","tools":[{"name":"a","cache_control":1}]}`: "tools[0].cache_control", `{"model":"m","cache_control":1}`: "cache_control",
		msg(`7`): "messages[0].content", msg(`[7]`): "messages[0].content[0]", msg(`[{}]`): "messages[0].content[0].type", msg(`[{"type":"text","text":7}]`): "messages[0].content[0].text",
		msg(`[{"type":"image"}]`): "messages[0].content[0].source", msg(`[{"type":"image","source":{"type":"z"}}]`): "messages[0].content[0].source.type",
		msg(`[{"type":"image","source":{"type":"url"}}]`): "messages[0].content[0].source.url", msg(`[{"type":"image","source":{"type":"base64","data":"%"}}]`): "messages[0].content[0].source.data",
		msg(`[{"type":"document","source":1}]`): "messages[0].content[0].source", msg(`[{"type":"search_result","content":1}]`): "messages[0].content[0].content",
		msg(`[{"type":"tool_use","id":"a"}]`): "messages[0].content[0].name", msg(`[{"type":"tool_use","name":"a"}]`): "messages[0].content[0].id", msg(`[{"type":"tool_use","id":"a","name":"a","input":"x"}]`): "messages[0].content[0].input",
		msg(`[{"type":"tool_result"}]`): "messages[0].content[0].tool_use_id", msg(`[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":"x"}]}]`): "messages[0].content[0].content[0].source",
		msg(`[{"type":"text","text":"x","cache_control":"y"}]`): "messages[0].content[0].cache_control",
	} {
		_, err := decode(body)
		if e := apierror.From(err); err == nil || e.Kind != apierror.InvalidRequest || e.Param != param {
			t.Errorf("%s: %v, at %q, want %q", body, err, apierror.From(err), param)
		}
	}
	for _, body := range []string{``, `[]`, `{"a"`} {
		if _, err := decode(body); apierror.KindOf(err) != apierror.InvalidRequest {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestAbsentNullAndEmptyAreThreeThings(t *testing.T) {
	body := `{"model":"m","messages":[{"role":"user","content":"x"}]`
	for rest, want := range map[string]*float64{``: nil, `,"temperature":null`: nil, `,"temperature":0`: ptr(0.0)} {
		req, err := decode(body + rest + `}`)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, req.Sampling.Temperature); d != "" {
			t.Errorf("%s: %s", rest, d)
		}
	}
	req, err := decode(`{"model":"m","max_tokens":0,"system":null,"tools":null,"metadata":null,"thinking":null,"stop_sequences":[],"messages":[{"role":"user","content":null},{"role":"user","content":""}]}`)
	if err != nil || *req.MaxTokens != 0 || len(req.Messages) != 2 || len(req.Messages[1].Parts) != 1 {
		t.Errorf("%+v %v", req, err)
	}
}

func TestThinkingForms(t *testing.T) {
	for in, want := range map[string]canon.Reasoning{
		`"thinking":{"type":"enabled","budget_tokens":5000}`:                     {Mode: "on", Budget: ptr(int64(5000)), Source: "budget"},
		`"thinking":{"type":"adaptive","display":"summarized"}`:                  {Mode: "auto", Source: "effort", Summary: "auto"},
		`"thinking":{"type":"adaptive","effort":"low"}`:                          {Mode: "auto", Effort: "low", Source: "effort"},
		`"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}`:        {Mode: "auto", Effort: "max", Source: "effort"},
		`"thinking":{"type":"disabled"}`:                                         {Mode: "off", Source: "bool"},
		`"thinking":{"type":"between_tools"}`:                                    {Mode: "auto", Source: "bool"},
		`"output_config":{"effort":"medium"}`:                                    {Effort: "medium", Source: "effort"},
		`"thinking":{"type":"enabled","budget_tokens":5000,"display":"omitted"}`: {Mode: "on", Budget: ptr(int64(5000)), Source: "budget", Summary: "none"},
	} {
		req, err := decode(`{"model":"claude-opus-4-8","max_tokens":9000,"messages":[{"role":"user","content":"x"}],` + in + `}`)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, req.Reasoning); d != "" {
			t.Errorf("%s: %s", in, d)
		}
		req.Body = canon.Object{}
		_, x := write(t, req, Options{OwnHost: true})
		if !strings.Contains(in, `"effort":"low"`) {
			for _, m := range strings.Split(in, `,"output_config`) {
				if !strings.Contains(string(x.Body), strings.TrimPrefix(m, `":`)) && strings.HasPrefix(m, `"thinking`) {
					t.Errorf("%s came back as %s", in, x.Body)
				}
			}
		}
	}
}

func TestConversationAndSeed(t *testing.T) {
	body := func(user string) string {
		return `{"model":"m","metadata":{"user_id":` + user + `},"system":[{"type":"text","text":"x-anthropic-billing-header: cc=1;"},{"type":"text","text":"Be"}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}`
	}
	for _, c := range []struct{ user, header, value, want string }{
		{`"{\"session_id\":\"s1\"}"`, "", "", "s1"},
		{`"user_abc_account__session_s2"`, "", "", "s2"},
		{`"plain"`, "", "", ""},
		{`"plain"`, "Session-Id", "s3", "s3"},
		{`"plain"`, "X-Session-Id", "s4", "s4"},
		{`"{\"session_id\":\"s1\"}"`, "X-Session-Id", "s4", "s1"},
		{`"{\"session_id\":\"s1\"}"`, "X-Claude-Code-Session-Id", "s5", "s5"},
	} {
		r, _ := http.NewRequest("POST", "/v1/messages", nil)
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		req, err := Codec{}.Decode(OpMessages, r, []byte(body(c.user)))
		if err != nil {
			t.Fatal(err)
		}
		if req.Conversation != c.want || req.Seed != "Be\nHi" {
			t.Errorf("%+v: %q, seed %q", c, req.Conversation, req.Seed)
		}
	}
	req, err := decode(`{"model":"m","system":"S","messages":[{"role":"assistant","content":"n"},{"role":"user","content":"` + strings.Repeat("x", 5000) + `"}]}`)
	if err != nil || len(req.Seed) != 2+seedLimit {
		t.Errorf("%d %v", len(req.Seed), err)
	}
}

func TestLongBodiesAreReadLate(t *testing.T) {
	big := `{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[{"role":"user","content":"` + strings.Repeat("x", wire.EagerLimit) + `"},{"role":"user","content":7}]}`
	req, err := decode(big)
	if err != nil || req.Expanded() {
		t.Fatalf("%v", err)
	}
	x, err := NewExchange(req, Options{OwnHost: true})
	if err != nil || string(x.Body) != big || req.Expanded() {
		t.Errorf("a same-format upstream judges it: %v", err)
	}
	if _, err := NewExchange(req, Options{ForceConvert: true}); apierror.From(err).Param != "messages[1].content" {
		t.Errorf("%v", err)
	}
}

// The worked example of an Anthropic client's second turn: the signature finds its call again.
func TestWrappedSignaturesGoBackToTheirParts(t *testing.T) {
	req, err := decode(`{"model":"m","messages":[{"role":"user","content":"List."},{"role":"assistant","content":[
	 {"type":"thinking","thinking":"plan","signature":"pb1.gemini.call.Q3B3Qg"},{"type":"text","text":"ok"},{"type":"thinking","thinking":"","signature":"pb1.gemini.text.dA"},
	 {"type":"tool_use","id":"fc_1","name":"Bash","input":{}},{"type":"thinking","thinking":"","signature":"pb1.gemini.call.dTI"},{"type":"tool_use","id":"fc_2","name":"Bash","input":{}},
	 {"type":"thinking","thinking":"end","signature":"pb1.gemini.call.eA"}]},
	 {"role":"user","content":[{"type":"tool_result","tool_use_id":"fc_2","content":"/p"}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range req.Messages[1].Parts {
		s := p.Type.String() + " " + p.Text
		if p.Opaque != nil {
			s += " " + p.Opaque.Kind + "=" + p.Opaque.Data
		}
		got = append(got, s)
	}
	want := []string{"reasoning plan", "text ok text=t", "tool_call  call=CpwB", "tool_call  call=u2", "reasoning end call=x"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if req.Messages[2].Parts[0].Name != "Bash" {
		t.Error("a result knows its tool's name")
	}
}

func TestRequestComesBackAsItWas(t *testing.T) {
	a := goldenRequests(t)
	for name, body := range a {
		body = strings.Replace(body, "[Claude] sonnet", "claude-sonnet-4-5", 1)
		req, err := decode(body)
		if err != nil {
			continue
		}
		x, err := NewExchange(req, Options{OwnHost: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !strings.Contains(body, "pb1.") && !strings.Contains(body, "32000,\"") && !strings.Contains(body, `"budget_tokens":32000`) && string(x.Body) != body {
			t.Errorf("%s: with its body it is not the same: %s", name, x.Body)
		}
		again, err := decode(string(x.Body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again.Body = canon.Object{}
		y, err := NewExchange(again, Options{OwnHost: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(normal(t, x.Body), normal(t, y.Body)); d != "" {
			t.Errorf("%s: written anew it differs -want +got\n%s", name, d)
		}
	}
}

// normal decodes a request and undoes what writing anew may change: strings of content become blocks, an old
// output_format moves, empty texts and refused sampling go, false and empty defaults are left out.
func normal(t *testing.T, body []byte) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m, json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
		if d.PeekKind() == '0' { // numbers keep their text
			raw, err := d.ReadValue()
			*v = "number " + string(raw)
			return err
		}
		return errors.ErrUnsupported
	}))); err != nil {
		t.Fatal(err)
	}
	if f, ok := m["output_format"]; ok {
		m["output_config"] = map[string]any{"format": f}
	}
	for _, k := range []string{"temperature", "output_format", "stop_sequences", "stream"} {
		delete(m, k)
	}
	blocks := func(v any) any {
		if s, ok := v.(string); ok {
			return []any{map[string]any{"type": "text", "text": s}}
		}
		var out []any
		list, _ := v.([]any)
		for _, b := range list {
			if bm, ok := b.(map[string]any); ok && bm["type"] == "text" && bm["text"] == "" {
				continue
			}
			out = append(out, b)
		}
		return out
	}
	if m["system"] != nil {
		m["system"] = blocks(m["system"])
	}
	var merged []any // neighbours of one role are one message
	for _, e := range m["messages"].([]any) {
		msg := e.(map[string]any)
		content := blocks(msg["content"]).([]any)
		for _, b := range content {
			if bm := b.(map[string]any); bm["type"] == "tool_result" && bm["content"] != nil {
				bm["content"] = blocks(bm["content"])
			}
		}
		if n := len(merged); n > 0 && merged[n-1].(map[string]any)["role"] == msg["role"] {
			last := merged[n-1].(map[string]any)
			last["content"] = append(last["content"].([]any), content...)
			continue
		}
		msg["content"] = content
		merged = append(merged, msg)
	}
	m["messages"] = merged
	return m
}

func TestAnswerComesBackAsItWas(t *testing.T) {
	body := `{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-8","content":[{"type":"text","text":"hi","new":1}],"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","explanation":"no"},"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":9000,"output_tokens":57,"service_tier":"standard"},"x":[1.50]}`
	req, err := decode(`{"model":"claude-opus-4-8","max_tokens":5,"messages":[{"role":"user","content":"x"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{"verbatim": {}, "converted": {ForceConvert: true}} {
		_, x := write(t, req, o)
		resp, err := canon.Collect(x.Read("application/json", strings.NewReader(" \n"+body)))
		if err != nil || resp.Finish.Detail != "no" {
			t.Fatal(err, resp.Finish)
		}
		got, err := Codec{}.AppendResponse(nil, req, resp)
		if err != nil {
			t.Fatal(err)
		}
		if o.ForceConvert {
			want, have := jsontext.Value(body), jsontext.Value(got)
			_ = want.Canonicalize()
			_ = have.Canonicalize()
			if d := cmp.Diff(string(want), string(have)); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		} else if strings.TrimSpace(string(got)) != body {
			t.Errorf("%s: %s", name, got)
		}
	}
	req.ModelAsked = "mine"
	_, x := write(t, req, Options{})
	resp, _ := canon.Collect(x.ReadWhole([]byte(body)))
	got, _ := Codec{}.AppendResponse(nil, req, resp)
	if string(got) != strings.Replace(body, "claude-opus-4-8", "mine", 1) {
		t.Errorf("%s", got)
	}
}

func exchange(t *testing.T) *Exchange {
	t.Helper()
	_, x := write(t, chat("claude-opus-4-8", user(say("a"))), Options{})
	return x
}

func TestStreamsThatGoWrong(t *testing.T) {
	start := `{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}`
	for name, c := range map[string]struct {
		in   io.Reader
		kind apierror.Kind
	}{
		"empty":                   {strings.NewReader(""), apierror.Truncated},
		"cut":                     {strings.NewReader(frames(start, `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`)), apierror.Truncated},
		"overloaded":              {strings.NewReader(frames(start, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)), apierror.Overloaded},
		"an error in other words": {strings.NewReader("data: {\"error\":{\"code\":429,\"message\":\"slow down\"}}\n\n"), apierror.RateLimited},
		"no JSON":                 {strings.NewReader("data: {\"type\n\n"), apierror.Upstream5xx},
		"connection":              {io.MultiReader(strings.NewReader(frames(start)), iotest.ErrReader(errors.New("reset"))), apierror.Transport},
		"time":                    {iotest.ErrReader(iotest.ErrTimeout), apierror.Transport},
		"own error":               {iotest.ErrReader(apierror.New(apierror.Canceled, "gone")), apierror.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for _, err := range exchange(t).ReadStream(c.in) {
				if err != nil {
					n++
					if apierror.KindOf(err) != c.kind {
						t.Errorf("%v", err)
					}
				}
			}
			if n != 1 {
				t.Errorf("%d errors", n)
			}
		})
	}
}

func TestStreamsOfServicesThatLeaveThingsOut(t *testing.T) {
	in := "data: {\"type\":\"content_block_delta\", \"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: \n\ndata: [DONE]\n\n" +
		frames(`{"type":"content_block_start","index":1}`, `{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"b\n\u00e9"}}`, `{"type":"content_block_delta","index":7,"delta":{"type":"input_json_delta","partial_json":"x"}}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"c","citations":[{"cited_text":"q"}]}}`, `{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"cited_text":"r"}}}`,
			`{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t","name":"f"}}`, `{"type":"content_block_start","index":4,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}`,
			`{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}}`, `{"type":"unheard_of"}`, `{"type":"message_stop"}`)
	resp, err := canon.Collect(exchange(t).ReadStream(strings.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range resp.Parts {
		got = append(got, fmt.Sprint(p.Type, " ", p.Text, string(p.Args), string(p.Citations), string(p.Server)))
	}
	want := []string{"text a", "text b\né", `text c[{"cited_text":"q"},{"cited_text":"r"}]`, "tool_call {}", `server {"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}}`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if resp.Finish.Reason != canon.FinishTools {
		t.Error(resp.Finish)
	}
}

func TestReadDecidesByWhatComes(t *testing.T) {
	whole := `{"type":"message","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}`
	stream := frames(`{"type":"message_start","message":{}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`, `{"type":"message_stop"}`)
	for name, c := range map[string]struct{ ct, body string }{
		"whole": {"application/json", whole}, "whole to a stream request": {"text/event-stream", whole}, "stream": {"text/event-stream; charset=utf-8", stream},
		"stream as JSON": {"application/json", stream}, "stream as text": {"text/plain", "\r\n" + stream}, "bom": {"text/plain", "\xef\xbb\xbf" + stream},
	} {
		resp, err := canon.Collect(exchange(t).Read(c.ct, strings.NewReader(c.body)))
		if err != nil || len(resp.Parts) != 1 || resp.Parts[0].Text != "a" {
			t.Errorf("%s: %+v %v", name, resp, err)
		}
	}
	for body, kind := range map[string]apierror.Kind{
		"": apierror.Upstream5xx, "<html>": apierror.Upstream5xx, "{": apierror.Upstream5xx, `{"id":"x"}`: apierror.Upstream5xx, `{"type":"error","error":{"type":"rate_limit_error","message":"m"}}`: apierror.RateLimited,
	} {
		if _, err := canon.Collect(exchange(t).Read("application/json", strings.NewReader(body))); apierror.KindOf(err) != kind {
			t.Errorf("%q: %v", body, err)
		}
	}
	if _, err := canon.Collect(exchange(t).Read("application/json", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)))); apierror.KindOf(err) != apierror.Transport {
		t.Error(err)
	}
}

func TestStopReasonsAreTotal(t *testing.T) {
	for in, want := range map[string]canon.FinishReason{
		"end_turn": canon.FinishStop, "max_tokens": canon.FinishLength, "stop_sequence": canon.FinishStopSequence, "tool_use": canon.FinishTools, "pause_turn": canon.FinishPause,
		"refusal": canon.FinishFilter, "model_context_window_exceeded": canon.FinishContext, "compaction": canon.FinishPause, "brand_new": canon.FinishStop, "": canon.FinishStop,
	} {
		if got := readReason(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	for _, r := range canon.Reasons {
		out := stopReason(r, r == canon.FinishTools)
		if out == "" || readReason(out) != r {
			t.Errorf("%s is told as %q", r, out)
		}
	}
	for r, want := range map[canon.FinishReason]string{"": "tool_use", canon.FinishStop: "tool_use", canon.FinishLength: "max_tokens", canon.FinishFilter: "refusal"} {
		if got := stopReason(r, true); got != want {
			t.Errorf("%s with a call: %s", r, got)
		}
	}
	if got := stopReason(canon.FinishTools, false); got != "end_turn" {
		t.Error(got)
	}
}

func TestUsageBothWays(t *testing.T) {
	c := newCounter()
	c.add(jsontext.Value(`{"input_tokens":40,"cache_read_input_tokens":60,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":2},"output_tokens":1,"output_tokens_details":{"thinking_tokens":3}}`))
	c.add(jsontext.Value(`{"input_tokens":0,"output_tokens":15}`))
	want := canon.Usage{Input: 105, CacheRead: 60, CacheWrite: 5, CacheWrite1h: 2, Output: 15, Reasoning: 3, ToolPrompt: -1}
	if d := cmp.Diff(&want, c.usage()); d != "" {
		t.Error(d)
	}
	w := writer{b: []byte("{")}
	w.usage(&want, nil)
	if got := string(w.b); got != `{"usage":{"input_tokens":40,"cache_creation_input_tokens":5,"cache_read_input_tokens":60,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":2},"output_tokens":15,"output_tokens_details":{"thinking_tokens":3}}` {
		t.Error(got)
	}
	w = writer{b: []byte("{")}
	w.usage(&canon.Usage{Input: 5, CacheRead: 9, CacheWrite: -1, Output: -1}, nil)
	if got := string(w.b); !strings.Contains(got, `"input_tokens":0,`) || strings.Contains(got, "-") {
		t.Error(got)
	}
	if c := newCounter(); c.add(jsontext.Value(`7`)) || c.usage().Input != -1 {
		t.Error("nothing known")
	}
}
