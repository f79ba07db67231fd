package openai

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// rendered plays events to a client and returns the data of each frame without the part that all have.
func rendered(req *canon.Request, events ...canon.Event) []string {
	r := Codec{}.NewRenderer(req)
	var out []byte
	for _, ev := range events {
		out = r.AppendEvent(out, ev)
	}
	var list []string
	for f := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n\n"), "\n\n") {
		_, rest, ok := strings.Cut(f, `"choices":[`)
		if !ok {
			rest = f
		}
		list = append(list, rest)
	}
	return list
}

func start() canon.Event { return canon.Event{Kind: canon.KindStart, ID: "i", Created: 1} }

func finish(r canon.FinishReason) canon.Event {
	return canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: r}}
}

const roleChunk = `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`

func TestPartsThatCameWithoutDeltas(t *testing.T) {
	req := &canon.Request{ModelAsked: "m"}
	part := func(i int, p canon.Part) canon.Event { return canon.Event{Kind: canon.KindPartEnd, Index: i, Part: &p} }
	got := rendered(req, start(),
		part(0, canon.Part{Type: canon.PartReasoning, Summary: []string{"a", "b"}}),
		part(1, canon.Part{Type: canon.PartReasoning, Redacted: true, Text: "x"}),
		part(2, canon.Part{Type: canon.PartRefusal, Text: "no"}),
		part(3, canon.Part{Type: canon.PartToolCall, CallID: "c", Name: "n", Space: "ns"}),
		part(4, canon.Part{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("x")}}),
		part(4, canon.Part{Type: canon.PartImage}),
		canon.Event{Kind: canon.KindDelta, Index: 9, Text: "lost"},
		canon.Event{Kind: canon.KindPing},
		finish(canon.FinishTools), finish(canon.FinishStop))
	want := []string{roleChunk,
		`{"index":0,"delta":{"reasoning_content":"a\n\nb"},"finish_reason":null}]}`,
		`{"index":0,"delta":{"refusal":"no"},"finish_reason":null}]}`,
		`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"ns__n","arguments":""}}]},"finish_reason":null}]}`,
		`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}]}`,
		`{"index":0,"delta":{"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,eA=="}}]},"finish_reason":null}]}`,
		`{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
		`data: [DONE]`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSummariesAreParagraphs(t *testing.T) {
	delta := func(n int, s string) canon.Event {
		return canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaSummary, Summary: n, Text: s}
	}
	got := rendered(&canon.Request{}, start(), canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartReasoning}},
		delta(0, "a"), delta(1, "b"), canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaSignature, Text: "sig"},
		canon.Event{Kind: canon.KindPartEnd, Part: &canon.Part{Type: canon.PartReasoning, Summary: []string{"a", "b"}}}, finish(canon.FinishStop))
	all := strings.Join(got, "")
	if strings.Count(all, "reasoning_content") != 3 || !strings.Contains(all, `"\n\n"`) || strings.Contains(all, "sig") {
		t.Error(all)
	}
}

// Trap 40: a usage chunk only for those who asked, and null in every chunk before it.
func TestUsageOnlyWhenAsked(t *testing.T) {
	u := canon.Event{Kind: canon.KindUsage, Usage: &canon.Usage{Input: 10, CacheRead: 4, Output: 5, Reasoning: 2}}
	got := rendered(&canon.Request{}, start(), u, finish(canon.FinishStop))
	if strings.Contains(strings.Join(got, ""), "usage") {
		t.Error(got)
	}
	got = rendered(&canon.Request{IncludeUsage: true}, start(), u, finish(canon.FinishStop))
	want := `],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}`
	if len(got) != 4 || got[2] != want || !strings.HasSuffix(got[0], `"usage":null}`) || !strings.HasSuffix(got[1], `"usage":null}`) {
		t.Errorf("%q", got)
	}
}

func TestErrorEndsWithoutDone(t *testing.T) {
	r := Codec{}.NewRenderer(&canon.Request{ModelAsked: "m"})
	out := r.AppendPing(r.AppendEvent(nil, start()))
	out = r.AppendError(out, apierror.New(apierror.Truncated, "cut"))
	out = r.AppendError(r.AppendPing(r.AppendEvent(out, finish(canon.FinishStop))), apierror.New(apierror.Timeout, "x"))
	want := "\n\n: ping\n\ndata: {\"error\":{\"message\":\"cut\",\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n"
	if !strings.HasSuffix(string(out), want) || r.ContentType() != "text/event-stream; charset=utf-8" {
		t.Errorf("%s", out)
	}
}

func TestVerbatimEndsOnceWhateverCame(t *testing.T) {
	frame := func(kind canon.Kind, raw string) canon.Event {
		return canon.Event{Kind: kind, Raw: []byte(raw), RawName: "x"}
	}
	first := start()
	first.Verbatim = true
	req := &canon.Request{ModelAsked: "asked", IncludeUsage: true}
	usage := frame(canon.KindUsage, `{"model":"up","choices":[],"usage":{}}`)
	usage.Usage = &canon.Usage{Input: 1}
	got := rendered(req, first, frame(canon.KindFrame, "{\n\"a\":{\"model\":\"in\"},\"model\":\"up\"}"), usage, finish(canon.FinishStop))
	want := []string{"event: x\ndata: {\"a\":{\"model\":\"in\"},\"model\":\"asked\"}", `],"usage":{}}`, `{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}`, `data: [DONE]`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	ended := finish(canon.FinishStop)
	ended.Finish.Raw, ended.Raw = "stop", []byte("[DONE]")
	got = rendered(req, first, ended)
	if len(got) != 2 || got[1] != "data: [DONE]" || !strings.HasPrefix(got[0], `],"usage":`) {
		t.Errorf("%q", got)
	}
}

func TestWholeAnswers(t *testing.T) {
	resp := &canon.Response{ID: "i", Created: 1, Finish: canon.Finish{Reason: canon.FinishFilter}, Ext: map[string]jsontext.Value{"service_tier": jsontext.Value(`"flex"`)}}
	b, _ := Codec{}.AppendResponse(nil, &canon.Request{ModelAsked: "m"}, resp)
	want := `{"id":"i","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":"content_filter"}],"usage":`
	if !bytes.HasPrefix(b, []byte(want)) || !bytes.HasSuffix(b, []byte(`,"system_fingerprint":"fp_patchbay","service_tier":"flex"}`)) {
		t.Errorf("%s", b)
	}
	x := &Exchange{}
	in := `{"choices":[{"message":{"content":"a","annotations":[{"x":1}],"audio":{"id":"u","transcript":"t"},"images":[{"image_url":{"url":"https://h/i"}}]},"finish_reason":"stop"}],"system_fingerprint":"fp"}`
	resp, err := collect(x, in)
	if err != nil {
		t.Fatal(err)
	}
	b, _ = Codec{}.AppendResponse(nil, &canon.Request{ModelAsked: "m"}, resp)
	for _, want := range []string{`"annotations":[{"x":1}]`, `"audio":{"id":"u","transcript":"t"}`, `"images":[{"type":"image_url","image_url":{"url":"https://h/i"}}]`, `"system_fingerprint":"fp"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s is missing in %s", want, b)
		}
	}
}

func TestRegularAnswersGoBackAsTheyCame(t *testing.T) {
	body := `{"id":"c","object":"chat.completion","created":1,"model":"up","own":1.50,"choices":[{"index":0,"message":{"role":"assistant","content":null,"own":2,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
	for in, whole := range map[string]bool{
		body: true,
		strings.Replace(body, `"arguments":"{}"`, `"arguments":{}`, 1): false,
		strings.Replace(body, `"index":0,`, ``, 1):                     false,
		strings.Replace(body, `"object":"chat.completion",`, ``, 1):    false,
		strings.Replace(body, `"content":null,`, ``, 1):                false,
		strings.Replace(body, `[{"id":"a"`, `[{"id":""`, 1):            false,
	} {
		req := decode(t, chat(""))
		x, err := NewExchange(req, Options{})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := collect(x, in)
		if err != nil || (len(resp.Whole) > 0) != whole {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if out, _ := (Codec{}).AppendResponse(nil, req, resp); whole && string(out) != strings.Replace(body, `"up"`, `"m"`, 1) {
			t.Errorf("%s", out)
		}
	}
}

func TestCopiedCallsWithoutArgumentsGetAnEmptyObject(t *testing.T) {
	stream := `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"now","arguments":""}}]},"finish_reason":null}]}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"now","arguments":""}}]},"finish_reason":null}]}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

`
	req, err := Codec{}.Decode(OpChat, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil), []byte(`{"model":"m","stream":true,"messages":[{"role":"user","content":"go"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	x, err := NewExchange(req, Options{OwnHost: true})
	if err != nil {
		t.Fatal(err)
	}
	r := Codec{}.NewRenderer(req)
	var out []byte
	for ev, err := range x.ReadStream(strings.NewReader(stream)) {
		if err != nil {
			t.Fatal(err)
		}
		out = r.AppendEvent(out, ev)
	}
	text := string(out)
	for _, slot := range []string{"0", "1"} {
		if n := strings.Count(text, `{"index":`+slot+`,"function":{"arguments":"{}"}}`); n != 1 {
			t.Errorf("slot %s got its arguments %d times:\n%s", slot, n, text)
		}
	}
	if strings.LastIndex(text, `"{}"`) > strings.Index(text, `"finish_reason":"tool_calls"`) {
		t.Errorf("arguments after the end:\n%s", text)
	}
}
