package gemini

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// foreign is an exchange for a client of another format; ids are counted.
func foreign(t testing.TB) *Exchange {
	req := chat("gemini-2.5-pro", say(canon.RoleUser, text("a")))
	n := 0
	req.SetIDs(func(prefix string, _ int) string { n++; return prefix + string(rune('0'+n)) })
	x, err := NewExchange(req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func frame(parts, rest string) string {
	return `data: {"candidates":[{"content":{"role":"model","parts":[` + parts + `]}` + rest + "\n\n"
}

const (
	goOn = `,"index":0}]}`
	stop = `,"finishReason":"STOP"}]}`
)

func TestStreamsBecomeEvents(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"text and thoughts in turns": {
			frame(`{"text":"t1","thought":true},{"text":"t2","thought":true}`, goOn) + frame(`{"text":"a"}`, goOn) + frame(`{"text":"b"},{"text":"t3","thought":true}`, stop),
			`start
part_start 0 reasoning
delta 0 text "t1"
delta 0 text "t2"
part_end 0 reasoning "t1t2"
part_start 1 text
delta 1 text "a"
delta 1 text "b"
part_end 1 text "ab"
part_start 2 reasoning
delta 2 text "t3"
part_end 2 reasoning "t3"
finish stop STOP
`},
		"parallel calls without ids": {
			frame(`{"functionCall":{"name":"a","args":{"z":1,"a":1.50}},"thoughtSignature":"Cp"},{"functionCall":{"name":"a"}}`, stop),
			`start
part_start 0 tool_call fc_1 a [gemini call Cp]
delta 0 args "{\"z\":1,\"a\":1.50}"
part_end 0 tool_call fc_1 a {"z":1,"a":1.50} [gemini call Cp]
part_start 1 tool_call fc_2 a
delta 1 args "{}"
part_end 1 tool_call fc_2 a {}
finish tools STOP
`},
		"a signature on the last, empty text": {
			frame(`{"text":"a"}`, goOn) + frame(`{"text":"","thoughtSignature":"Ct"}`, stop),
			`start
part_start 0 text
delta 0 text "a"
part_end 0 text "a" [gemini text Ct]
finish stop STOP
`},
		"a signature alone": {
			frame(`{"text":"t","thought":true}`, goOn) + frame(`{"text":"","thoughtSignature":"Ct"}`, stop),
			`start
part_start 0 reasoning
delta 0 text "t"
part_end 0 reasoning "t"
part_start 1 reasoning [gemini text]
delta 1 signature "Ct"
part_end 1 reasoning [gemini text Ct]
finish stop STOP
`},
		"token counts after the end": {
			frame(`{"text":"a"}`, stop) + `data: {"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"totalTokenCount":7}}` + "\n\n",
			`start
part_start 0 text
delta 0 text "a"
part_end 0 text "a"
usage in=5 cached=0 out=2 reason=0
usage in=5 cached=0 out=2 reason=0
finish stop STOP
`},
		"pictures, code and files": {
			frame(`{"inlineData":{"mimeType":"image/png","data":"iVBO"}},{"executableCode":{"code":"1"},"thoughtSignature":"Cs"},{"fileData":{"mimeType":"video/mp4","fileUri":"https://x.test/v"}},{"inlineData":{"mimeType":"x","data":"*"}}`, stop),
			`start
part_start 0 image image/png 3 bytes
part_end 0 image image/png 3 bytes
part_start 1 server {"executableCode":{"code":"1"}} [gemini call Cs]
part_end 1 server {"executableCode":{"code":"1"}} [gemini call Cs]
part_start 2 video video/mp4 0 bytes https://x.test/v
part_end 2 video video/mp4 0 bytes https://x.test/v
finish stop STOP
`},
		"a blocked prompt": {
			`data: {"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"no"}}` + "\n\n",
			`start
part_start 0 refusal
delta 0 text "The upstream blocked this prompt (SAFETY): no"
part_end 0 refusal "The upstream blocked this prompt (SAFETY): no"
finish filter SAFETY
`},
		"two candidates": {
			`data: {"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0},{"content":{"parts":[{"text":"b"}]},"index":1}]}` + "\n\n" +
				`data: {"candidates":[{"finishReason":"STOP","index":0},{"finishReason":"MAX_TOKENS","index":1}]}` + "\n\n",
			`start
part_start 0 text
delta 0 text "a"
part_start choice=1 1 text
delta choice=1 1 text "b"
part_end 0 text "a"
part_end choice=1 1 text "b"
choice_finish stop STOP
choice_finish choice=1 length MAX_TOKENS
finish stop STOP
`},
		"logprobs": {
			`data: {"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP","logprobsResult":{"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.5}]}],"chosenCandidates":[{"token":"a","logProbability":-0.5}]}}]}` + "\n\n",
			`start
part_start 0 text
delta 0 text "a" logprobs [{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"a","logprob":-0.5,"bytes":[97]}]}]
part_end 0 text "a"
finish stop STOP
`},
		"Code Assist's envelope": {
			`data: {"response":{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"modelVersion":"m","responseId":"r"},"traceId":"t"}` + "\n\n",
			`start
part_start 0 text
delta 0 text "a"
part_end 0 text "a"
finish stop STOP
`},
		"a call cut by the limit": {
			frame(`{"functionCall":{"id":"1","name":"a","args":{}}}`, `,"finishReason":"MAX_TOKENS"}]}`),
			`start
part_start 0 tool_call 1 a
delta 0 args "{}"
part_end 0 tool_call 1 a {}
finish length MAX_TOKENS
`},
		"an unspecified reason keeps it open": {
			frame(`{"text":"a"}`, `,"finishReason":"FINISH_REASON_UNSPECIFIED"}]}`) + frame(`{"text":"b"}`, stop),
			`start
part_start 0 text
delta 0 text "a"
delta 0 text "b"
part_end 0 text "ab"
finish stop STOP
`},
		"no end": {frame(`{"text":"a"}`, goOn),
			`start
part_start 0 text
delta 0 text "a"
error truncated: the upstream closed the stream early
`},
		"nothing at all": {"", "error truncated: the upstream closed the stream early\n"},
		"an error in the middle": {frame(`{"text":"a"}`, goOn) + `data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}` + "\n\n",
			`start
part_start 0 text
delta 0 text "a"
error overloaded: overloaded
`},
		"an error in an array": {`data: [{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]` + "\n\n", "error rate_limited: slow\n"},
		"no usable call":       {frame(``, `,"finishReason":"MALFORMED_FUNCTION_CALL"}]}`), "start\nerror"},
		"no usable call after text": {frame(`{"text":"a"}`, `,"finishReason":"MALFORMED_FUNCTION_CALL"}]}`), `start
part_start 0 text
delta 0 text "a"
part_end 0 text "a"
finish stop MALFORMED_FUNCTION_CALL
`},
		"broken JSON":           {"data: {\"candidates\":[\n\n", "error upstream_error: the service sent an answer that cannot be read\n"},
		"a web page":            {"data: <html>\n\n", "error upstream_error: the service answered with a web page\n"},
		"an index from nowhere": {`data: {"candidates":[{"index":-1}]}` + "\n\n", "error upstream_error: the service sent an answer that cannot be read\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := dump(foreign(t).ReadStream(strings.NewReader(c.in)))
			if name == "no usable call" {
				if !strings.Contains(got, "error upstream_error") {
					t.Error(got)
				}
				return
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestReadTellsTheShapesApart(t *testing.T) {
	object := `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}`
	want := dump(foreign(t).ReadWhole([]byte(object)))
	for name, c := range map[string]struct{ contentType, in string }{
		"events":                   {"text/event-stream", "data: " + object + "\n\n"},
		"events of no type":        {"", "data:" + object},
		"an object":                {"application/json", "\n" + object},
		"an object as events":      {"text/event-stream", object},
		"an array":                 {"application/json", "[" + object + "\r\n]"},
		"an array in two elements": {"application/json", `[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]},` + "\r\n" + `{"candidates":[{"finishReason":"STOP"}]}]`},
	} {
		if d := cmp.Diff(want, dump(foreign(t).Read(c.contentType, iotest.OneByteReader(strings.NewReader(c.in))))); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
	}
	if d := cmp.Diff(want, dump(foreign(t).ReadWhole([]byte("["+object+"]")))); d != "" {
		t.Error(d)
	}
	for name, c := range map[string]struct {
		r    io.Reader
		kind apierror.Kind
	}{
		"an empty body":        {strings.NewReader(""), apierror.Truncated},
		"a web page":           {strings.NewReader("<html>"), apierror.Upstream5xx},
		"half an array":        {strings.NewReader(`[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`), apierror.Truncated},
		"a broken line":        {iotest.ErrReader(errors.New("reset")), apierror.Transport},
		"broken in the middle": {io.MultiReader(strings.NewReader("data: {}\n\n"), iotest.ErrReader(errors.New("reset"))), apierror.Transport},
		"broken in an object":  {io.MultiReader(strings.NewReader("{"), iotest.ErrReader(errors.New("reset"))), apierror.Transport},
		"our own error":        {io.MultiReader(strings.NewReader("data: {}\n\n"), iotest.ErrReader(apierror.New(apierror.Timeout, "slow"))), apierror.Timeout},
		"too large":            {io.MultiReader(strings.NewReader("data: {}\n\n"), iotest.ErrReader(wire.ErrFrameTooLarge)), apierror.Upstream5xx},
	} {
		_, err := canon.Collect(foreign(t).Read("", c.r))
		if apierror.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	late := io.MultiReader(strings.NewReader("data: "+object+"\n\n"), iotest.ErrReader(errors.New("reset")))
	if d := cmp.Diff(want, dump(foreign(t).Read("", late))); d != "" {
		t.Errorf("a break behind the end does not matter: %s", d)
	}
}

func TestEveryFinishReasonIsMapped(t *testing.T) {
	want := map[string]canon.FinishReason{
		"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter", "RECITATION": "filter", "LANGUAGE": "stop", "OTHER": "stop", "BLOCKLIST": "filter",
		"PROHIBITED_CONTENT": "filter", "SPII": "filter", "MALFORMED_FUNCTION_CALL": "stop", "UNEXPECTED_TOOL_CALL": "stop", "TOO_MANY_TOOL_CALLS": "stop",
		"IMAGE_SAFETY": "filter", "IMAGE_PROHIBITED_CONTENT": "filter", "IMAGE_RECITATION": "filter", "IMAGE_OTHER": "filter", "IMAGE_NEW": "filter",
		"NO_IMAGE": "stop", "CONTINUATION": "stop", "MISSING_THOUGHT_SIGNATURE": "stop", "NEW_REASON": "stop",
	}
	for word, reason := range want {
		if got := finishOf(word); got != reason {
			t.Errorf("%s: %s", word, got)
		}
		resp, err := canon.Collect(foreign(t).ReadStream(strings.NewReader(frame(`{"text":"a"}`, `,"finishReason":"`+word+`"}]}`))))
		if err != nil || resp.Finish.Reason != reason || resp.Finish.Raw != word {
			t.Errorf("%s: %+v %v", word, resp.Finish, err)
		}
		_, err = canon.Collect(foreign(t).ReadStream(strings.NewReader(frame(``, `,"finishReason":"`+word+`"}]}`))))
		if (err != nil) != failures[word] || err != nil && apierror.From(err).BadSignature != (word == missingSignature) {
			t.Errorf("%s without an answer: %v", word, err)
		}
	}
	for word := range finishReasons {
		if _, ok := want[word]; !ok {
			t.Errorf("%s is not tested", word)
		}
	}
	for _, reason := range canon.Reasons {
		want := map[canon.FinishReason]string{"length": "MAX_TOKENS", "context": "MAX_TOKENS", "filter": "SAFETY"}[reason]
		if want == "" {
			want = "STOP"
		}
		if got := finishWord(canon.Finish{Reason: reason}); got != want {
			t.Errorf("%s: %s", reason, got)
		}
	}
	if got := finishWord(canon.Finish{Reason: canon.FinishFilter, Raw: "RECITATION"}); got != "RECITATION" {
		t.Error(got)
	}
	if got := finishWord(canon.Finish{}); got != "STOP" {
		t.Error(got)
	}
}

func TestUsageBothWays(t *testing.T) {
	for in, want := range map[usageJSON]canon.Usage{
		{}: canon.UnknownUsage(),
		{Prompt: 100, Cached: 60, Candidates: 10, Thoughts: 5, Total: 115}: {Input: 100, CacheRead: 60, CacheWrite: -1, CacheWrite1h: -1, Output: 15, Reasoning: 5},
		{Prompt: 10, Thoughts: 5, ToolPrompt: 3, Total: 25}:                {Input: 10, CacheWrite: -1, CacheWrite1h: -1, Output: 12, Reasoning: 5, ToolPrompt: 3},
		{Prompt: 10, Cached: 20, Total: 10}:                                {Input: 20, CacheRead: 20, CacheWrite: -1, CacheWrite1h: -1},
	} {
		if d := cmp.Diff(want, in.canon()); d != "" {
			t.Errorf("%+v: %s", in, d)
		}
	}
	for want, u := range map[string]*canon.Usage{
		``: nil,
		`"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":10,"thoughtsTokenCount":5,"toolUsePromptTokenCount":2,"totalTokenCount":117}`: {Input: 100, CacheRead: 60, CacheWrite: 9, Output: 15, Reasoning: 5, ToolPrompt: 2},
		`"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":0,"totalTokenCount":1}`:                                                                                      {Input: 1, CacheRead: -1, Output: -1, Reasoning: -1, ToolPrompt: -1},
	} {
		w := writer{b: []byte{'{'}}
		w.usage(u)
		if got := string(w.b[1:]); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

func TestStartTellsWhatIsKnown(t *testing.T) {
	x := foreign(t)
	x.Dropped = []canon.Warning{{Field: "f"}}
	for ev, err := range x.ReadWhole([]byte(`{"responseId":"r","modelVersion":"m","createTime":"2026-11-22T10:00:00.5Z","candidates":[{"finishReason":"STOP"}]}`)) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == canon.KindStart && (ev.ID != "r" || ev.Model != "m" || ev.Created != 1795341600 || len(ev.Dropped) != 1 || ev.Verbatim) {
			t.Errorf("%+v", ev)
		}
	}
}
