package ollama

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

func asked(format, op string) *canon.Request {
	return fix(&canon.Request{Format: format, Op: op, ModelAsked: "asked", Model: "m"})
}

func render(req *canon.Request, events ...canon.Event) string {
	r := Codec{}.NewRenderer(req)
	var out []byte
	for _, ev := range events {
		out = r.AppendEvent(out, ev)
	}
	return string(out)
}

func ended(i int, p canon.Part) canon.Event {
	return canon.Event{Kind: canon.KindPartEnd, Index: i, Part: &p}
}

func TestEveryFinishReasonHasItsWord(t *testing.T) {
	want := map[canon.FinishReason]string{
		canon.FinishStop: "stop", canon.FinishStopSequence: "stop", canon.FinishTools: "stop", canon.FinishLength: "length",
		canon.FinishContext: "length", canon.FinishFilter: "stop", canon.FinishPause: "stop", "": "stop",
	}
	for _, r := range append([]canon.FinishReason{""}, canon.Reasons...) {
		got := render(asked("x", "chat"), canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: r}})
		if !strings.Contains(got, `"done":true,"done_reason":"`+want[r]+`"`) {
			t.Errorf("%q: %s", r, got)
		}
	}
	for raw, want := range map[string]canon.FinishReason{"stop": canon.FinishStop, "length": canon.FinishLength, "load": canon.FinishStop, "unload": canon.FinishStop, "": canon.FinishStop, "new": canon.FinishStop} {
		if got := finishOf(raw, 0); got != want {
			t.Errorf("%q: %s", raw, got)
		}
		if got := finishOf(raw, 1); got != canon.FinishTools && raw != "length" {
			t.Errorf("%q with a call: %s", raw, got)
		}
	}
}

func TestEveryErrorHasItsStatus(t *testing.T) {
	want := map[apierror.Row]int{
		apierror.RowInvalid: 400, apierror.RowUnsupported: 400, apierror.RowContext: 400, apierror.RowAuth: 401, apierror.RowBilling: 402,
		apierror.RowPermission: 403, apierror.RowModelNotFound: 404, apierror.RowRouteNotFound: 404, apierror.RowTooLarge: 413,
		apierror.RowRateLimit: 429, apierror.RowQuota: 429, apierror.RowOverloaded: 503, apierror.RowTimeout: 504,
		apierror.RowUpstream: 502, apierror.RowInternal: 500,
	}
	if len(want) != len(apierror.Rows) {
		t.Fatal("a row is not in the table")
	}
	for _, k := range apierror.Kinds() {
		e := apierror.New(k, "why <it> failed")
		status, h, body := Codec{}.Error(e, "r1")
		if status != want[e.Row()] || h.Get("X-Request-Id") != "r1" {
			t.Errorf("%s: %d %v", k, status, h)
		}
		if !strings.HasPrefix(string(body), `{"error":"`) || !strings.HasSuffix(string(body), `why <it> failed"}`) {
			t.Errorf("%s: %s", k, body)
		}
	}
	_, h, _ := Codec{}.Error(&apierror.Error{Kind: apierror.RateLimited, RetryAfter: 1500 * time.Millisecond}, "")
	if h.Get("Retry-After") != "2" {
		t.Errorf("%v", h)
	}
}

func TestStreamOfEveryKindOfPart(t *testing.T) {
	logs := jsontext.Value(`[{"token":"x"}]`)
	got := render(asked("x", "chat"),
		canon.Event{Kind: canon.KindStart},
		canon.Event{Kind: canon.KindPartStart, Index: 0, Part: &canon.Part{Type: canon.PartReasoning}},
		canon.Event{Kind: canon.KindDelta, Index: 0, Delta: canon.DeltaSummary, Text: "s1"},
		canon.Event{Kind: canon.KindDelta, Index: 0, Delta: canon.DeltaSummary, Summary: 1, Text: "s2"},
		canon.Event{Kind: canon.KindDelta, Index: 0, Delta: canon.DeltaSignature, Text: "sig"},
		ended(0, canon.Part{Type: canon.PartReasoning, Summary: []string{"s1", "s2"}}),
		canon.Event{Kind: canon.KindPartStart, Index: 1, Part: &canon.Part{Type: canon.PartText}},
		canon.Event{Kind: canon.KindDelta, Index: 1, Delta: canon.DeltaText, Text: "a<", Logprobs: logs},
		canon.Event{Kind: canon.KindDelta, Index: 1, Delta: canon.DeltaText},
		canon.Event{Kind: canon.KindPing},
		canon.Event{Kind: canon.KindPartStart, Index: 2, Part: &canon.Part{Type: canon.PartToolCall, CallID: "1", Name: "f"}},
		canon.Event{Kind: canon.KindDelta, Index: 2, Delta: canon.DeltaArgs, Text: `{"a":`},
		ended(1, canon.Part{Type: canon.PartText, Text: "a<"}),
		ended(2, canon.Part{Type: canon.PartToolCall, CallID: "1", Name: "f", Args: jsontext.Value("{\n\"a\": 1.0}")}),
		ended(3, canon.Part{Type: canon.PartToolCall, CallID: "2", Space: "ns", Name: "g", Args: jsontext.Value(`"oops"`), BadArgs: true}),
		ended(4, canon.Part{Type: canon.PartToolCall, CallID: "3", Name: "p", Custom: true, Text: "diff"}),
		ended(5, canon.Part{Type: canon.PartImage, Media: &canon.Media{Data: []byte("x")}}),
		ended(6, canon.Part{Type: canon.PartRefusal, Text: "no"}),
		ended(7, canon.Part{Type: canon.PartReasoning, Redacted: true, Text: "x"}),
		ended(8, canon.Part{Type: canon.PartServer}),
		ended(6, canon.Part{Type: canon.PartRefusal, Text: "again"}),
		canon.Event{Kind: canon.KindUsage, Usage: &canon.Usage{Input: 7, Output: 3}},
		canon.Event{Kind: canon.KindFinish, Finish: canon.Finish{Reason: canon.FinishTools}},
		canon.Event{Kind: canon.KindFinish},
	)
	want := []string{
		`"message":{"role":"assistant","content":"","thinking":"s1"},"done":false}`,
		`"message":{"role":"assistant","content":"","thinking":"\n\n"},"done":false}`,
		`"message":{"role":"assistant","content":"","thinking":"s2"},"done":false}`,
		`"message":{"role":"assistant","content":"a<"},"logprobs":[{"token":"x"}],"done":false}`,
		`"message":{"role":"assistant","content":"","tool_calls":[{"id":"1","function":{"index":0,"name":"f","arguments":{"a":1.0}}}]},"done":false}`,
		`"message":{"role":"assistant","content":"","tool_calls":[{"id":"2","function":{"index":1,"name":"ns__g","arguments":{"_raw_arguments":"oops"}}}]},"done":false}`,
		`"message":{"role":"assistant","content":"","tool_calls":[{"id":"3","function":{"index":2,"name":"p","arguments":{"input":"diff"}}}]},"done":false}`,
		`"message":{"role":"assistant","content":"","images":["eA=="]},"done":false}`,
		`"message":{"role":"assistant","content":"no"},"done":false}`,
		`"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":1200000000,"load_duration":0,"prompt_eval_count":7,"prompt_eval_duration":100000000,"eval_count":3,"eval_duration":1100000000}`,
	}
	var lines []string
	for line := range strings.Lines(got) {
		_, rest, _ := strings.Cut(line, `Z",`)
		lines = append(lines, strings.TrimSuffix(rest, "\n"))
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if first, _, _ := strings.Cut(got, ",\"message\""); first != `{"model":"asked","created_at":"2026-11-22T20:00:00.200000Z"` {
		t.Errorf("head: %s", first)
	}
}

func TestWholeAnswerOfEveryKindOfPart(t *testing.T) {
	resp := &canon.Response{Parts: []canon.Part{
		{Type: canon.PartReasoning, Text: "r1"}, {Type: canon.PartReasoning, Summary: []string{"r2", "r3"}},
		{Type: canon.PartText, Text: "a", Logprobs: jsontext.Value(`[1]`)}, {Type: canon.PartRefusal, Text: "b"},
		{Type: canon.PartToolCall, CallID: "1", Name: "f"}, {Type: canon.PartToolCall, CallID: "2", Name: "g"},
		{Type: canon.PartImage, Media: &canon.Media{Data: []byte("x")}}, {Type: canon.PartImage, Media: &canon.Media{Data: []byte("y")}},
	}, Usage: &canon.Usage{Input: 1, Output: 2}, Finish: canon.Finish{Reason: canon.FinishLength}, First: began.Add(60 * time.Millisecond)}
	got, err := Codec{}.AppendResponse(nil, asked("x", "chat"), resp)
	want := `{"model":"asked","created_at":"2026-11-22T20:00:00.100000Z","message":{"role":"assistant","content":"ab","thinking":"r1\n\nr2\n\nr3","images":["eA==","eQ=="],` +
		`"tool_calls":[{"id":"1","function":{"index":0,"name":"f","arguments":{}}},{"id":"2","function":{"index":1,"name":"g","arguments":{}}}]},"logprobs":[1],` +
		`"done":true,"done_reason":"length","total_duration":200000000,"load_duration":0,"prompt_eval_count":1,"prompt_eval_duration":60000000,"eval_count":2,"eval_duration":140000000}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, string(got)))
	}
	got, _ = Codec{}.AppendResponse(nil, asked("x", "generate"), resp)
	if !strings.Contains(string(got), `"response":"ab","thinking":"r1\n\nr2\n\nr3","logprobs":[1],"done":true,"done_reason":"length","context":[],`) || strings.Contains(string(got), "tool_calls") {
		t.Errorf("%s", got)
	}
}

func TestNoDurationIsZeroOrEndless(t *testing.T) {
	frozen := asked("x", "chat")
	frozen.SetClock(func() time.Time { return began })
	late := asked("x", "chat")
	late.Began = began.Add(time.Hour) // a clock that was set back
	for name, c := range map[string]struct {
		req   *canon.Request
		first time.Time
		want  times
	}{
		"a clock that stands":        {frozen, began, times{total: 1, prompt: 1, eval: 1}},
		"a clock that was set back":  {late, began, times{total: 1, prompt: 1, eval: 1}},
		"no content":                 {asked("x", "chat"), time.Time{}, times{total: 1e8, prompt: 1e8, eval: 1e8}},
		"all in one piece":           {asked("x", "chat"), began.Add(99900 * time.Microsecond), times{total: 1e8, prompt: 1e8, eval: 1e8}},
		"content before the request": {asked("x", "chat"), began.Add(-time.Hour), times{total: 1e8, prompt: 1e8, eval: 1e8}},
		"a stream":                   {asked("x", "chat"), began.Add(30 * time.Millisecond), times{total: 1e8, prompt: 3e7, eval: 7e7}},
	} {
		a := newAnswer(c.req)
		a.first = c.first
		if got := a.times(nil); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestErrorAndPing(t *testing.T) {
	r := Codec{}.NewRenderer(asked("x", "chat"))
	if got := r.AppendPing(nil); len(got) != 0 || r.ContentType() != "application/x-ndjson" {
		t.Errorf("%q", got)
	}
	got := r.AppendError(nil, apierror.New(apierror.ModelNotFound, "x"))
	got = r.AppendEvent(r.AppendError(got, apierror.New(apierror.Timeout, "y")), canon.Event{Kind: canon.KindFinish})
	if string(got) != `{"error":"model not found: x"}`+"\n" {
		t.Errorf("%s", got)
	}
}

func TestModelIsPutBack(t *testing.T) {
	for in, want := range map[string]string{
		`{"model":"u","x":1}`:   `{"model":"A","x":1}`,
		`{"model":"u\"","x":1}`: `{"model":"A","x":1}`,
		`{"x":1,"model":"u"}`:   `{"x":1,"model":"A"}`,
		`{"x":1}`:               `{"x":1}`,
		`no json`:               `no json`,
	} {
		if got := string(appendModelBack(nil, []byte(in), "A")); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// collect reads an answer and tells its events.
func collect(x *Exchange, in io.Reader) (events []string, err error) {
	for ev, e := range x.Read("", in) {
		if e != nil {
			return events, e
		}
		events = append(events, dumpEvent(ev))
	}
	return events, nil
}

func TestAnswersThatGoWrong(t *testing.T) {
	const hel = `{"model":"m","message":{"content":"Hel"},"done":false}` + "\n"
	for name, c := range map[string]struct {
		in   string
		kind apierror.Kind
	}{
		"empty":        {"", apierror.Upstream5xx},
		"blank lines":  {"\n\n", apierror.Upstream5xx},
		"html":         {"<html>", apierror.Upstream5xx},
		"no JSON":      {"hello\n", apierror.Upstream5xx},
		"damaged":      {hel + `{"message":`, apierror.Upstream5xx},
		"no end":       {hel, apierror.Truncated},
		"error":        {`{"error":"model 'x' not found"}`, apierror.ModelNotFound},
		"error object": {hel + `{"error":{"message":"server busy, please try again"}}`, apierror.Overloaded},
		"picture":      {`{"message":{"images":["!"]},"done":true}`, apierror.Upstream5xx},
		"wrong type":   {`{"message":{"content":7}}`, apierror.Upstream5xx},
	} {
		_, err := collect(&Exchange{}, strings.NewReader(c.in))
		if e := apierror.From(err); err == nil || e.Kind != c.kind || e.Msg == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	own := apierror.New(apierror.Timeout, "limit")
	for err, kind := range map[error]apierror.Kind{
		own: apierror.Timeout, errors.New("reset"): apierror.Transport, context.Canceled: apierror.Canceled,
		context.DeadlineExceeded: apierror.Timeout, wire.ErrFrameTooLarge: apierror.Upstream5xx,
	} {
		_, got := collect(&Exchange{}, io.MultiReader(strings.NewReader(hel), iotest.ErrReader(fmt.Errorf("reading: %w", err))))
		if apierror.KindOf(got) != kind {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestOddLinesAreRead(t *testing.T) {
	x := &Exchange{custom: map[string]bool{"patch": true}, newID: func() string { return "minted" }}
	got, err := collect(x, strings.NewReader("\xef\xbb\xbf"+`{"model":"m","created_at":"soon","message":{"content":"a","thinking":"t","images":["`+png+`"]},"logprobs":{},"done":false}`+"\r\n\r\n"+
		`{"message":{"tool_calls":[{"function":{"name":""}},{},{"function":{"name":"patch","arguments":{"input":"d"}}},{"function":{"name":"patch","arguments":"[]"}},{"function":{"name":"f"}}]},"done":false}`+"\n"+
		`{"error":null,"done":true,"eval_count":-5}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"start model=m created=0 verbatim=false more", "part_start 0 reasoning more", `delta 0 text "t"  more`, `part_end 0 reasoning "t" more`,
		"part_start 1 text more", `delta 1 text "a"  more`, `part_end 1 text "a" more`,
		"part_start 2 image mime=image/png bytes=70 more", "part_end 2 image mime=image/png bytes=70",
		"part_start 3 tool_call id=minted name=patch args= custom more", `delta 3 text "d"  more`, `part_end 3 tool_call "d" id=minted name=patch args= custom more`,
		"part_start 4 tool_call id=minted name=patch args= more", `delta 4 args "[]"  more`, `part_end 4 tool_call id=minted name=patch args="[]" more`,
		"part_start 5 tool_call id=minted name=f args= more", `delta 5 args "{}"  more`, "part_end 5 tool_call id=minted name=f args={}",
		"usage in=-1 out=0 more", "finish tools () whole=0 in=-1 out=0",
	}
	for i := range got {
		got[i] = strings.NewReplacer("args=null", "args=", " null", " ").Replace(got[i])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestThinkTagsAreSplitOffForOtherClients(t *testing.T) {
	text := func(pieces ...string) string {
		var b strings.Builder
		for _, p := range pieces {
			b.WriteString(`{"message":{"content":` + string(wire.AppendString(nil, p)) + `},"done":false}` + "\n")
		}
		return b.String() + `{"done":true}`
	}
	const call = `{"message":{"content":"<th","tool_calls":[{"id":"1","function":{"name":"f"}}]},"done":false}` + "\n"
	for _, c := range []struct {
		in        string
		foreign   bool
		want, why string
	}{
		{text("<thi", "nk>\nplan</th", "ink>\n\nthe ", "<think> answer"), true, "[reasoning plan][text the <think> answer]", "cut anywhere"},
		{text("<think>only"), true, "[reasoning only]", "no end"},
		{text("<thi"), true, "[text <thi]", "no tag after all"},
		{text("a <think>"), true, "[text a <think>]", "not at the start"},
		{text("<think>x</think>y"), false, "[text <think>x</think>y]", "a client of this format"},
		{call + `{"done":true}`, true, "[text <th][tool_call ]", "before a call"},
	} {
		resp, err := canon.Collect((&Exchange{foreign: c.foreign}).Read("", strings.NewReader(c.in)))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range resp.Parts {
			got += "[" + p.Type.String() + " " + p.Text + "]"
		}
		if got != c.want {
			t.Errorf("%s: %s", c.why, got)
		}
	}
}

func TestReadingStopsWithTheLoop(t *testing.T) {
	n := 0
	for range (&Exchange{}).Read("", strings.NewReader(strings.Repeat(`{"message":{"content":"a","thinking":"t"},"done":false}`+"\n", 3))) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   apierror.Kind
		text   string
	}{
		{404, `{"error":"model \"x\" not found, try pulling it first"}`, apierror.ModelNotFound, "try pulling it first"},
		{404, `{"error":"model 'x' not found"}`, apierror.ModelNotFound, "ollama pull"},
		{404, `404 page not found`, apierror.ModelNotFound, ""},
		{400, `{"error":"registry.ollama.ai/library/x does not support tools"}`, apierror.Unsupported, "tools"},
		{400, `{"error":"\"x\" does not support thinking"}`, apierror.Unsupported, ""},
		{400, `{"error":"the input length exceeds the context length"}`, apierror.ContextTooLong, ""},
		{400, `{"error":"invalid options: x"}`, apierror.InvalidRequest, ""},
		{500, `{"error":"model requires more system memory (8 GiB) than is available (4 GiB)"}`, apierror.ModelBusy, ""},
		{500, `{"error":"llama runner process has terminated"}`, apierror.Upstream5xx, ""},
		{500, ``, apierror.Upstream5xx, "500"},
		{503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`, apierror.Overloaded, ""},
		{503, `{"error":"x"}`, apierror.Overloaded, ""},
		{401, `{"error":"unauthorized","signin_url":"https://x"}`, apierror.AuthExpired, ""},
		{402, `{}`, apierror.NoCredit, ""},
		{403, `{"error":"x"}`, apierror.AccountBlocked, ""},
		{429, `{"error":"too many concurrent requests"}`, apierror.RateLimited, ""},
		{429, `{"error":"you've reached your hourly usage limit, please upgrade to continue"}`, apierror.QuotaExhausted, ""},
		{413, `x`, apierror.BodyTooLarge, ""},
		{504, `{"error":{"message":"late"}}`, apierror.Timeout, "late"},
		{502, `<html>`, apierror.Upstream5xx, "web page"},
		{404, `<html>`, apierror.InvalidRequest, "web page"},
		{400, `{"error":"` + strings.Repeat("x", 900) + `"}`, apierror.InvalidRequest, "…"},
	} {
		e := ParseError(c.status, map[string][]string{"Retry-After": {"7"}}, []byte(c.body))
		if e.Kind != c.kind || !strings.Contains(e.Msg, c.text) || e.Upstream.Status != c.status {
			t.Errorf("%d %s: %v", c.status, c.body, e)
		}
		if wants := e.Kind == apierror.RateLimited || e.Kind == apierror.QuotaExhausted || e.Kind == apierror.Overloaded; wants != (e.RetryAfter == 7*time.Second) {
			t.Errorf("%d %s: wait %s", c.status, c.body, e.RetryAfter)
		}
	}
	if !RefusesThink(ParseError(400, nil, []byte(`{"error":"\"x\" does not support thinking"}`))) || RefusesThink(ParseError(400, nil, []byte(`{"error":"x does not support tools"}`))) {
		t.Error("a refusal of think is not known")
	}
	if d := retryAfter(map[string][]string{"Retry-After": {time.Now().Add(-time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}}); d != 0 {
		t.Errorf("%s", d)
	}
}

func TestListAndDescriptionOfAnUpstream(t *testing.T) {
	models, err := ParseTags([]byte(`{"models":[{"name":"qwen3:8b","model":"qwen3:8b","modified_at":"2026-01-02T03:04:05Z"},{"name":"nomic-embed-text"},{}]}`))
	if err != nil || len(models) != 2 || models[0].ID != "qwen3:8b" || models[0].Created != 1767323045 || models[1].Embeddings != canon.Yes {
		t.Errorf("%v %+v", err, models)
	}
	for _, body := range []string{``, `[]`, `{}`, `{"models":7}`, `<html>`} {
		if _, err := ParseTags([]byte(body)); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Errorf("%s: %v", body, err)
		}
	}
	m := canon.Model{ID: "x"}
	err = ParseShow([]byte(`{"capabilities":["completion","tools","thinking"],"model_info":{"general.architecture":"qwen3","qwen3.context_length":40960}}`), &m)
	if err != nil || m.Context != 40960 || m.Tools != canon.Yes || m.Images != canon.No || m.Thinking != canon.Yes || m.Embeddings != canon.No {
		t.Errorf("%v %+v", err, m)
	}
	old := canon.Model{ID: "x"}
	if err := ParseShow([]byte(`{}`), &old); err != nil || old.Tools != canon.Unknown || old.Context != 0 {
		t.Errorf("%v %+v", err, old)
	}
	embed := canon.Model{ID: "x"}
	if err := ParseShow([]byte(`{"capabilities":["embedding"]}`), &embed); err != nil || embed.Embeddings != canon.Yes {
		t.Errorf("%v %+v", err, embed)
	}
	if err := ParseShow([]byte(`[]`), &old); apierror.KindOf(err) != apierror.Upstream5xx {
		t.Errorf("%v", err)
	}
}

func TestEmbeddings(t *testing.T) {
	for _, c := range []struct {
		op          wire.Op
		body, param string
	}{
		{OpEmbed, `[]`, ""}, {OpEmbed, `{"input":"x"}`, "model"}, {OpEmbed, `{"model":7}`, "model"}, {OpEmbed, `{"model":"m"}`, "input"},
		{OpEmbed, `{"model":"m","input":[]}`, "input"}, {OpEmbed, `{"model":"m","input":7}`, "input"}, {OpEmbed, `{"model":"m","input":[7]}`, "input[0]"},
		{OpEmbed, `{"model":"m","input":"x","dimensions":0}`, "dimensions"}, {OpEmbed, `{"model":"m","input":"x","dimensions":"x"}`, "dimensions"},
		{OpEmbeddings, `{"model":"m","input":"x"}`, "prompt"}, {OpEmbeddings, `{"model":"m","prompt":["x"]}`, "prompt"},
	} {
		_, err := Codec{}.DecodeEmbed(c.op, nil, []byte(c.body))
		if e := apierror.From(err); err == nil || e.Param != c.param {
			t.Errorf("%s: %v", c.body, err)
		}
	}
	e, err := Codec{}.DecodeEmbed(OpEmbed, nil, []byte(`{"model":"m","input":["a","b"],"dimensions":2,"truncate":true,"keep_alive":null}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := EmbedRequest(e)
	if want := `{"model":"m","input":["a","b"],"dimensions":2,"truncate":true}`; err != nil || string(body) != want {
		t.Errorf("%v %s", err, body)
	}
	vectors, err := ParseEmbeddings([]byte(`{"model":"m","embeddings":[[1,0.5],[0,-1]],"prompt_eval_count":4}`))
	if err != nil || vectors.Usage.Input != 4 {
		t.Fatal(err, vectors)
	}
	e.Began = time.Time{}
	got, _ := Codec{}.AppendEmbed(nil, e, vectors)
	if want := `{"model":"m","embeddings":[[1,0.5],[0,-1]],"total_duration":1,"load_duration":0,"prompt_eval_count":4}`; string(got) != want {
		t.Errorf("%s", got)
	}
	old, err := Codec{}.DecodeEmbed(OpEmbeddings, nil, []byte(`{"model":"m","prompt":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := EmbedRequest(old); string(body) != `{"model":"m","input":["a"]}` {
		t.Errorf("%s", body)
	}
	got, _ = Codec{}.AppendEmbed(nil, old, vectors)
	if string(got) != `{"embedding":[1,0.5]}` {
		t.Errorf("%s", got)
	}
	if _, err := EmbedRequest(&canon.Embed{Tokens: [][]int64{{1}}}); apierror.KindOf(err) != apierror.Unsupported {
		t.Error(err)
	}
	for _, body := range []string{``, `{}`, `{"embeddings":[]}`, `{"embeddings":"x"}`} {
		if _, err := ParseEmbeddings([]byte(body)); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestLists(t *testing.T) {
	list := []canon.Model{{ID: "[B] claude-sonnet-4-5"}, {ID: "[A] openai/gpt-5", Created: 1790000000}, {ID: "[A] 模型"}}
	got, err := Codec{}.AppendModels(nil, nil, list)
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	if i, j, k := strings.Index(text, "gpt-5"), strings.Index(text, "模型"), strings.Index(text, "sonnet"); i < 0 || i > j || j > k {
		t.Errorf("order: %s", text)
	}
	const entry = `{"name":"[B] claude-sonnet-4-5","model":"[B] claude-sonnet-4-5","size":0,"digest":"`
	const rest = `","details":{"parent_model":"","format":"gguf","family":"claude","families":["claude"],"parameter_size":"","quantization_level":""},"modified_at":"2026-01-01T00:00:00Z"}`
	if !strings.Contains(text, entry) || !strings.Contains(text, rest) || !strings.Contains(text, `"family":"gpt"`) || !strings.Contains(text, `"family":"model"`) {
		t.Errorf("%s", text)
	}
	again, _ := Codec{}.AppendModels(nil, nil, list)
	if !bytes.Equal(got, again) || list[0].ID != "[B] claude-sonnet-4-5" {
		t.Error("not the same twice, or the list was changed")
	}
	if got, _ := (Codec{}).AppendModels(nil, nil, nil); string(got) != `{"models":[]}` {
		t.Errorf("%s", got)
	}
	run := Codec{}.AppendRunning(nil, []wire.Running{{Model: list[0], Until: began}, {Model: list[1], Until: began}})
	if !strings.Contains(string(run), `"expires_at":"2026-11-22T20:00:00Z","size_vram":0,"context_length":131072},{"name":"[A] openai/gpt-5"`) {
		t.Errorf("%s", run)
	}
	if got := string(Codec{}.AppendFixed(nil, OpVersion)); got != `{"version":"`+Version+`"}` {
		t.Errorf("%s", got)
	}
}

func TestDescription(t *testing.T) {
	for _, c := range []struct {
		m    canon.Model
		want []string
	}{
		{canon.Model{ID: "[K] claude-x", Context: 5, Thinking: canon.Yes}, []string{`"general.architecture":"claude"`, `"claude.context_length":5`, `"capabilities":["completion","tools","vision","thinking"]`}},
		{canon.Model{ID: "deepseek-v4-pro", Tools: canon.No}, []string{`"deepseek.context_length":131072`, `"capabilities":["completion"]`}},
		{canon.Model{ID: "own", Images: canon.Yes}, []string{`"own.context_length":131072`, `"capabilities":["completion","tools","vision"]`}},
		{canon.Model{ID: "e", Embeddings: canon.Yes}, []string{`"capabilities":["embedding"]`}},
	} {
		status, typ, got := Codec{}.AppendLookup(nil, OpShow, nil, c.m.ID, &c.m)
		for _, w := range c.want {
			if status != 200 || typ != jsonType || !strings.Contains(string(got), w) {
				t.Errorf("%+v: %s\nlacks %s", c.m, got, w)
			}
		}
		if !jsontext.Value(got).IsValid() {
			t.Errorf("no JSON: %s", got)
		}
	}
}

func TestLookups(t *testing.T) {
	for body, want := range map[string]string{`{"model":"a"}`: "a", `{"name":"b"}`: "b", `{"name":"b","model":"a"}`: "a", `{}`: "", `{"model":7}`: "", `{"name":7}`: "", ``: ""} {
		got, err := Codec{}.LookupName(OpShow, []byte(body))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q %v", body, got, err)
		}
	}
	for _, c := range []struct {
		op     wire.Op
		body   string
		m      *canon.Model
		status int
		want   string
	}{
		{OpShow, ``, nil, 404, `{"error":"model 'x' not found"}`},
		{OpPull, `{}`, nil, 500, `{"error":"pull model manifest: file does not exist"}`},
		{OpPull, `{}`, &canon.Model{}, 200, "{\"status\":\"pulling manifest\"}\n{\"status\":\"success\"}\n"},
		{OpPull, `{"stream":false}`, &canon.Model{}, 200, `{"status":"success"}`},
	} {
		if status, _, got := (Codec{}).AppendLookup(nil, c.op, []byte(c.body), "x", c.m); status != c.status || string(got) != c.want {
			t.Errorf("%s %s: %d %s", c.op, c.body, status, got)
		}
	}
}

func TestRoutesAreOpenOnlyWhereARealOllamaIsLookedAt(t *testing.T) {
	want := map[string]wire.Access{"GET /api/version": wire.AccessAll, "GET /api/tags": wire.AccessLocal, "POST /api/show": wire.AccessLocal, "GET /api/ps": wire.AccessLocal}
	for _, r := range (Codec{}).Routes() {
		if r.Access != want[r.Pattern] {
			t.Errorf("%s: %d", r.Pattern, r.Access)
		}
	}
	if seg, text := (Codec{}).Host(); seg != "ollama" || text != "Ollama is running" || (Codec{}).Name() != "ollama" {
		t.Error(seg, text)
	}
	if base64.StdEncoding.EncodeToString([]byte("\x89PNG")) != "iVBORw==" {
		t.Error("the test's own picture")
	}
}
