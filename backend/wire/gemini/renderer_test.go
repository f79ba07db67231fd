package gemini

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// asker is a client of this format that asked for the model "asked" and its thoughts.
func asker(array bool) *canon.Request {
	req := &canon.Request{Format: Name, ModelAsked: "asked", Stream: true, Reasoning: canon.Reasoning{Summary: "auto"}}
	if array {
		keep(&req.Ext, arrayMember, yes)
	}
	return req
}

func render(req *canon.Request, s canon.Stream) string {
	r := Codec{}.NewRenderer(req)
	var out []byte
	for ev, err := range s {
		if err != nil {
			out = r.AppendError(out, apierror.From(err))
			break
		}
		out = r.AppendEvent(out, ev)
	}
	return string(out)
}

// everything is an answer of another maker with a bit of all.
func everything() *canon.Response {
	return &canon.Response{
		ID: "id", Model: "up",
		Parts: []canon.Part{
			{Type: canon.PartReasoning, Text: "think <b>", Opaque: opaque("claude", "think", "Eq")},
			{Type: canon.PartReasoning, Redacted: true, Opaque: opaque("claude", "think", "Er")},
			text("hello"),
			{Type: canon.PartText, Text: "signed", Opaque: opaque("gemini", "text", "Ct")},
			{Type: canon.PartToolCall, CallID: "c1", Name: "a", Args: jsontext.Value(`{"z":"<","a":1.50}`), Opaque: opaque("gemini", "call", "Cp")},
			{Type: canon.PartToolCall, CallID: "c2", Name: "b", Custom: true, Text: "raw"},
			{Type: canon.PartImage, Media: &canon.Media{MIME: "image/png", Data: []byte("abc")}},
			{Type: canon.PartServer, Server: jsontext.Value(`{"executableCode":{"code":"1"}}`), Opaque: opaque("gemini", "call", "Cs")},
			{Type: canon.PartServer, Server: jsontext.Value(`{"type":"x"}`), Opaque: opaque("claude", "", "")},
			{Type: canon.PartRefusal, Text: "no"},
		},
		Finish: canon.Finish{Reason: canon.FinishTools},
		Usage:  &canon.Usage{Input: 10, CacheRead: -1, Output: 7, Reasoning: 2},
	}
}

var wrappedEq, wrappedEr = showSignature(opaque("claude", "think", "Eq"), false), showSignature(opaque("claude", "think", "Er"), true)

func TestStreamIsFramedExactly(t *testing.T) {
	const tail = `,"modelVersion":"asked","responseId":"id"}`
	part := func(p string) string {
		return `{"candidates":[{"content":{"role":"model","parts":[` + p + `]},"index":0}]` + tail
	}
	frames := []string{
		part(`{"text":"think <b>","thought":true}`),
		part(`{"text":"","thought":true,"thoughtSignature":"` + wrappedEq + `"}`),
		part(`{"text":"","thought":true,"thoughtSignature":"` + wrappedEr + `"}`),
		part(`{"text":"hello"}`),
		part(`{"text":"signed"}`),
		part(`{"text":"","thoughtSignature":"Ct"}`),
		part(`{"functionCall":{"id":"c1","name":"a","args":{"z":"<","a":1.50}},"thoughtSignature":"Cp"}`),
		part(`{"functionCall":{"id":"c2","name":"b","args":{"input":"raw"}}}`),
		part(`{"inlineData":{"mimeType":"image/png","data":"YWJj"}}`),
		part(`{"executableCode":{"code":"1"},"thoughtSignature":"Cs"}`),
		part(`{"text":"no"}`),
		`{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":2,"totalTokenCount":17}` + tail,
	}
	if d := cmp.Diff("data: "+strings.Join(frames, "\n\ndata: ")+"\n\n", render(asker(false), everything().Events())); d != "" {
		t.Errorf("events: -want +got:\n%s", d)
	}
	if d := cmp.Diff("["+strings.Join(frames, ",\r\n")+"]", render(asker(true), everything().Events())); d != "" {
		t.Errorf("array: -want +got:\n%s", d)
	}
}

func TestWholeAnswer(t *testing.T) {
	got, err := Codec{}.AppendResponse([]byte("x"), asker(false), everything())
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, `{"candidates":[{"content":{"role":"model","parts":[{"text":"think <b>","thought":true,"thoughtSignature":"`+wrappedEq+`"},{"text":"","thought":true,"thoughtSignature":"`+wrappedEr+`"},
	 {"text":"hello"},{"text":"signed","thoughtSignature":"Ct"},{"functionCall":{"id":"c1","name":"a","args":{"z":"<","a":1.50}},"thoughtSignature":"Cp"},{"functionCall":{"id":"c2","name":"b","args":{"input":"raw"}}},
	 {"inlineData":{"mimeType":"image/png","data":"YWJj"}},{"executableCode":{"code":"1"},"thoughtSignature":"Cs"},{"text":"no"}]},"finishReason":"STOP","index":0}],
	 "usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":2,"totalTokenCount":17},"modelVersion":"asked","responseId":"id"}`, string(got[1:]))
	resp := &canon.Response{Whole: []byte("{\"candidates\":[],\n\"modelVersion\":\"up\",\"x\":1.0}")}
	if got, _ = (Codec{}).AppendResponse(nil, asker(false), resp); string(got) != `{"candidates":[],"modelVersion":"asked","x":1.0}` {
		t.Error(string(got))
	}
}

func TestWrappedSignaturesComeBack(t *testing.T) {
	for _, o := range []*canon.Opaque{opaque("claude", "think", "Eq"), opaque("openai", "think", "gAAA"), opaque("gemini", "call", "Cp=="), opaque("gemini", "call", "not base64!")} {
		back := readSignature(showSignature(o, false), o.Kind)
		if d := cmp.Diff(o, back); d != "" {
			t.Error(d)
		}
	}
	req := decode(t, `{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"","thought":true,"thoughtSignature":"`+wrappedEr+`"},{"functionCall":{"name":"x"},"thoughtSignature":"skip_thought_signature_validator"}]}]}`)
	got := dumpPart(&req.Messages[1].Parts[0])
	if got != "reasoning redacted [claude think Er]" || req.Messages[1].Parts[1].Opaque != nil {
		t.Errorf("%s %+v", got, req.Messages[1].Parts[1].Opaque)
	}
}

func TestThoughtsAreShownOnlyIfAskedFor(t *testing.T) {
	for _, summary := range []string{"", "none"} {
		req := asker(false)
		req.Reasoning.Summary = summary
		resp := everything()
		got := render(req, resp.Events())
		whole, err := Codec{}.AppendResponse(nil, req, resp)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{got, string(whole)} {
			if strings.Contains(s, "think <b>") || strings.Contains(s, wrappedEq) || !strings.Contains(s, wrappedEr) {
				t.Errorf("%q: %s", summary, s)
			}
		}
	}
}

func TestFunctionCallIsWrittenOnceItIsWhole(t *testing.T) {
	r := Codec{}.NewRenderer(asker(false))
	var out []byte
	for _, ev := range []canon.Event{
		{Kind: canon.KindStart, ID: "id"},
		{Kind: canon.KindPartStart, Index: 0, Part: &canon.Part{Type: canon.PartToolCall, CallID: "1", Name: "a"}},
		{Kind: canon.KindPartStart, Index: 1, Part: &canon.Part{Type: canon.PartToolCall, CallID: "2", Name: "b"}},
		{Kind: canon.KindDelta, Index: 0, Delta: canon.DeltaArgs, Text: `{"x"`},
		{Kind: canon.KindDelta, Index: 1, Delta: canon.DeltaArgs, Text: `{bad`},
		{Kind: canon.KindDelta, Index: 0, Delta: canon.DeltaArgs, Text: `:1}`},
		{Kind: canon.KindDelta, Index: 0, Delta: canon.DeltaSignature, Text: `Cp`},
	} {
		out = r.AppendEvent(out, ev)
	}
	if len(out) > 0 {
		t.Errorf("too early: %s", out)
	}
	out = r.AppendEvent(out, canon.Event{Kind: canon.KindPartEnd, Index: 0})
	if !strings.Contains(string(out), `{"functionCall":{"id":"1","name":"a","args":{"x":1}},"thoughtSignature":"Cp"}`) {
		t.Errorf("%s", out)
	}
	out = r.AppendEvent(out[:0], canon.Event{Kind: canon.KindPartEnd, Index: 1})
	if !strings.Contains(string(out), `"args":{"_raw_arguments":"{bad"}`) {
		t.Errorf("%s", out)
	}
}

func TestKeepAliveIsAnEmptyEvent(t *testing.T) {
	r := Codec{}.NewRenderer(asker(false))
	if got := string(r.AppendPing(nil)); got != "\n\n" {
		t.Errorf("%q", got)
	}
	if got := (Codec{}).NewRenderer(asker(true)).AppendPing(nil); len(got) > 0 {
		t.Errorf("%q", got)
	}
	r.AppendError(nil, apierror.New(apierror.Internal, "x"))
	if got := r.AppendPing(nil); len(got) > 0 {
		t.Errorf("after the end: %q", got)
	}
}

func TestErrorEndsTheStream(t *testing.T) {
	e := &apierror.Error{Kind: apierror.Overloaded, Msg: "busy"}
	want := `{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}`
	for array, framed := range map[bool]string{false: "data: " + want + "\n\n", true: "[" + want + "]"} {
		r := Codec{}.NewRenderer(asker(array))
		out := r.AppendError(nil, e)
		out = r.AppendError(out, e)
		out = r.AppendEvent(out, canon.Event{Kind: canon.KindFinish})
		if string(out) != framed {
			t.Errorf("%s", out)
		}
	}
	r := Codec{}.NewRenderer(asker(true))
	out := r.AppendEvent(nil, canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}})
	out = r.AppendEvent(out, canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "a"})
	if out = r.AppendError(out, e); !jsontext.Value(out).IsValid() || !strings.HasSuffix(string(out), want+"]") {
		t.Errorf("%s", out)
	}
}

func TestSeveralCandidates(t *testing.T) {
	resp := &canon.Response{ID: "id", Parts: []canon.Part{text("a")}, Finish: canon.Finish{Reason: canon.FinishStop},
		More: []canon.Choice{{Parts: []canon.Part{text("b")}, Finish: canon.Finish{Reason: canon.FinishLength}}}}
	got := render(asker(false), resp.Events())
	if strings.Count(got, "finishReason") != 2 || !strings.Contains(got, `{"text":"b"}]},"index":1`) || !strings.Contains(got, `"finishReason":"MAX_TOKENS","index":1}],"modelVersion"`) {
		t.Error(got)
	}
	whole, err := Codec{}.AppendResponse(nil, asker(false), resp)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, `{"candidates":[{"content":{"role":"model","parts":[{"text":"a"}]},"finishReason":"STOP","index":0},{"content":{"role":"model","parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS","index":1}],"modelVersion":"asked","responseId":"id"}`, string(whole))
}

func TestLogprobsBothWays(t *testing.T) {
	const chatForm = `[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-2}]}]`
	resp := &canon.Response{ID: "id", Parts: []canon.Part{{Type: canon.PartText, Text: "a", Logprobs: jsontext.Value(chatForm)}, {Type: canon.PartText, Text: "a", Logprobs: jsontext.Value(chatForm)}}, Finish: canon.Finish{Reason: canon.FinishStop}}
	whole, err := Codec{}.AppendResponse(nil, asker(false), resp)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(whole), `"logprobsResult":{"topCandidates":[{"candidates":[{"token":"b","logProbability":-2}]},{"candidates":[{"token":"b","logProbability":-2}]}],"chosenCandidates":[{"token":"a","logProbability":-0.5},{"token":"a","logProbability":-0.5}]}`) {
		t.Errorf("%s", whole)
	}
	r := Codec{}.NewRenderer(asker(false))
	out := r.AppendEvent(nil, canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}})
	out = r.AppendEvent(out, canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "a", Logprobs: jsontext.Value(chatForm)})
	if !strings.Contains(string(out), `"index":0,"logprobsResult":{"topCandidates"`) {
		t.Errorf("%s", out)
	}
	if got := geminiLogprobs(jsontext.Value(`5`)); string(got) != "{}" {
		t.Errorf("%s", got)
	}
}

func verbatimExchange(t testing.TB) *Exchange {
	req, err := Codec{}.Decode(OpAction, post("/v1beta/models/asked:streamGenerateContent?alt=sse"), []byte(`{"contents":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = "gemini-2.5-pro"
	x, err := NewExchange(req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestOwnFramesGoThroughAsTheyCame(t *testing.T) {
	in := []string{
		`{"candidates": [{"content":{"role":"model","parts":[{"text":"a","zz":1.50}]}}],"modelVersion":"up","new":true}`,
		`{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"x","args":{}},"thoughtSignature":"Cp"}]},"finishReason":"STOP","groundingMetadata":{"q":1}}],"modelVersion":"up"}`,
		`{"usageMetadata":{"promptTokenCount":5}}`,
	}
	x := verbatimExchange(t)
	stream := "data: " + strings.Join(in, "\r\n\r\ndata: ") + "\r\n\r\n"
	want := strings.ReplaceAll("data: "+strings.Join(in, "\n\ndata: ")+"\n\n", `"up"`, `"asked"`)
	if d := cmp.Diff(want, render(x.req, x.ReadStream(strings.NewReader(stream)))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	resp, err := canon.Collect(x.ReadStream(strings.NewReader(stream)))
	if err != nil || len(resp.Parts) != 2 || resp.Finish.Reason != canon.FinishTools || resp.Usage.Input != 5 || string(resp.Ext["groundingMetadata"]) != `{"q":1}` {
		t.Errorf("observed: %+v %v", resp, err)
	}
	// the frames as an array, lines broken
	array := "[{\n\"candidates\": [{\"content\":{\"parts\":[{\"text\":\"a\"}]},\n\"finishReason\":\"STOP\"}]}\n]"
	if got := render(x.req, x.Read("", strings.NewReader(array))); got != "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}\n\n" {
		t.Errorf("%q", got)
	}
	// cut: our own error frame follows theirs
	got := render(x.req, x.ReadStream(strings.NewReader("data: "+in[0]+"\n\n")))
	if !strings.HasSuffix(got, `"status":"INTERNAL"}}`+"\n\n") || strings.Count(got, "data: ") != 2 {
		t.Errorf("%s", got)
	}
	// blocked: their frame is the end
	blocked := `{"promptFeedback":{"blockReason":"SAFETY"}}`
	if got := render(x.req, x.ReadStream(strings.NewReader("data: "+blocked+"\n\n"))); got != "data: "+blocked+"\n\n" {
		t.Errorf("%s", got)
	}
	whole := strings.Replace(in[1], "up", "asked", 1)
	resp, err = canon.Collect(x.ReadWhole([]byte(in[1])))
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := (Codec{}).AppendResponse(nil, x.req, resp); string(out) != whole {
		t.Errorf("%s", out)
	}
	// a stream for the client from an answer in one piece
	if got := render(x.req, x.ReadWhole([]byte(in[0][:len(in[0])-1]+`,"promptFeedback":{"blockReason":"X"}}`))); !strings.HasPrefix(got, "data: ") {
		t.Errorf("%s", got)
	}
}

func TestVerbatimEndWithoutTheirsIsOurs(t *testing.T) {
	r := Codec{}.NewRenderer(asker(false))
	out := r.AppendEvent(nil, canon.Event{Kind: canon.KindStart, Verbatim: true, Raw: []byte(`{"a":1}`)})
	out = r.AppendEvent(out, canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishLength}})
	if strings.Count(string(out), "finishReason") != 1 || !strings.HasPrefix(string(out), "data: {\"a\":1}\n\n") {
		t.Errorf("%s", out)
	}
}

func TestErrorsPerRowAndKind(t *testing.T) {
	want := map[apierror.Row]string{
		"invalid_request": "400 INVALID_ARGUMENT", "unsupported": "400 INVALID_ARGUMENT", "context_length": "400 INVALID_ARGUMENT", "too_large": "400 INVALID_ARGUMENT",
		"auth": "401 UNAUTHENTICATED", "permission": "403 PERMISSION_DENIED", "not_found": "404 NOT_FOUND", "route_not_found": "404 NOT_FOUND",
		"billing": "429 RESOURCE_EXHAUSTED", "rate_limit": "429 RESOURCE_EXHAUSTED", "quota": "429 RESOURCE_EXHAUSTED", "overloaded": "503 UNAVAILABLE",
		"timeout": "504 DEADLINE_EXCEEDED", "upstream": "500 INTERNAL", "internal": "500 INTERNAL",
	}
	for _, row := range apierror.Rows {
		if _, ok := want[row]; !ok {
			t.Errorf("%s is not tested", row)
		}
	}
	for _, kind := range apierror.Kinds() {
		e := &apierror.Error{Kind: kind, Msg: "m <x>", Param: "p"}
		status, _, body := Codec{}.Error(e, "req_1")
		var got struct {
			Error struct {
				Code            int
				Message, Status string
				Details         []map[string]jsontext.Value
			}
		}
		if err := readValue(body, "", &got); err != nil {
			t.Fatal(err)
		}
		code, word, _ := strings.Cut(want[e.Row()], " ")
		if got.Error.Status != word || string(rune('0'+status/100)) != code[:1] || got.Error.Code != status || got.Error.Message != "m <x>" || len(got.Error.Details) == 0 {
			t.Errorf("%s: %d %s", kind, status, body)
		}
	}
}

func TestLimitsTellWhenToComeBack(t *testing.T) {
	for _, c := range []struct {
		e    apierror.Error
		want string
	}{
		{apierror.Error{Kind: apierror.RateLimited, RetryAfter: 33500 * time.Millisecond}, `[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]`},
		{apierror.Error{Kind: apierror.NoAccount, RetryAfter: time.Hour}, `[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"RequestsPerDayPerAccount"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3600s"}]`},
		{apierror.Error{Kind: apierror.NoCredit}, `[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"QUOTA_EXHAUSTED","domain":"patchbay"}]`},
		{apierror.Error{Kind: apierror.InvalidRequest, Param: "contents", Msg: "m"}, `[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents","description":"m"}]}]`},
		{apierror.Error{Kind: apierror.Overloaded}, ``},
	} {
		_, _, body := Codec{}.Error(&c.e, "")
		var got struct {
			Error struct{ Details jsontext.Value }
		}
		if err := readValue(body, "", &got); err != nil {
			t.Fatal(err)
		}
		if string(got.Error.Details) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.e.Kind, got.Error.Details, c.want)
		}
	}
	_, _, body := Codec{}.Error(&apierror.Error{Kind: apierror.ContextTooLong, Msg: "m", PromptTokens: 20, MaxTokens: 10}, "")
	if !strings.Contains(string(body), "The input token count (20) exceeds the maximum number of tokens allowed (10).") {
		t.Errorf("%s", body)
	}
}

func TestOnlyTheFramesOwnModelNameIsReplaced(t *testing.T) {
	for in, want := range map[string]string{
		`{"modelVersion":"up"}`: `{"modelVersion":"as\"ked"}`,
		`{"a":{"modelVersion":"in"}, "modelVersion" : "u\"p" ,"b":[1]}`: `{"a":{"modelVersion":"in"}, "modelVersion" : "as\"ked" ,"b":[1]}`,
		`{"responseId":"modelVersion","x":"modelVersion"}`:              `{"responseId":"modelVersion","x":"modelVersion"}`,
		`{"t":"\"modelVersion\":\"no\"","modelVersion":5}`:              `{"t":"\"modelVersion\":\"no\"","modelVersion":5}`,
		`{"t":"\\","modelVersion":""}`:                                  `{"t":"\\","modelVersion":"as\"ked"}`,
		`[{"modelVersion":"up"}]`:                                       `[{"modelVersion":"up"}]`,
		`{"modelVersion`:                                                `{"modelVersion`,
		`{"modelVersion":"`:                                             `{"modelVersion":"as\"ked"`,
		``:                                                              ``,
	} {
		if got := string(appendModelVersion(nil, []byte(in), `as"ked`)); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
