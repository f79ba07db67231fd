package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

func collect(x *Exchange, in string) (*canon.Response, error) {
	if x.newID == nil {
		ids := counter()
		x.newID = func() string { return ids("call_", 24) }
	}
	return canon.Collect(x.Read("", strings.NewReader(in)))
}

func dumpParts(parts []canon.Part) string {
	var out []string
	for i := range parts {
		out = append(out, dumpPart(&parts[i]))
	}
	return strings.Join(out, "; ")
}

// sse makes an event stream of choices' deltas, ended by finish.
func sse(finish string, deltas ...string) string {
	var b strings.Builder
	for _, d := range deltas {
		fmt.Fprintf(&b, "data: {\"choices\":[{\"delta\":%s}]}\n\n", d)
	}
	if finish != "" {
		fmt.Fprintf(&b, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":%q}]}\n\ndata: [DONE]\n\n", finish)
	}
	return b.String()
}

func calls(entries ...string) string { return `{"tool_calls":[` + strings.Join(entries, ",") + `]}` }

func TestToolCallFragmentsInEveryShape(t *testing.T) {
	for name, c := range map[string]struct {
		deltas []string
		want   string
	}{
		"plain":                  {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":""}}`), calls(`{"index":0,"function":{"arguments":"{\"x\":1}"}}`)}, `tool_call id=a name=f args={"x":1}`},
		"no index, whole":        {[]string{calls(`{"id":"a","function":{"name":"f","arguments":"{}"}}`, `{"id":"b","function":{"name":"f","arguments":"{}"}}`)}, `tool_call id=a name=f args={}; tool_call id=b name=f args={}`},
		"no index, no id":        {[]string{calls(`{"function":{"name":"f","arguments":"{\"a\":"}}`), calls(`{"function":{"arguments":"1}"}}`), calls(`{"function":{"name":"f","arguments":"{}"}}`)}, `tool_call id=call_1 name=f args={"a":1}; tool_call id=call_2 name=f args={}`},
		"object arguments":       {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":{"b":1,"a":2.0}}}`)}, `tool_call id=a name=f args={"b":1,"a":2.0}`},
		"empty id later":         {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}`), calls(`{"index":0,"id":"","function":{"name":"","arguments":"}"}}`)}, `tool_call id=a name=f args={}`},
		"name in every fragment": {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}`), calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}`)}, `tool_call id=a name=f args={}`},
		"index used twice":       {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}`), calls(`{"index":0,"id":"b","function":{"name":"g","arguments":"{\"q\":"}}`), calls(`{"index":0,"function":{"arguments":"2}"}}`)}, `tool_call id=a name=f args={}; tool_call id=b name=g args={"q":2}`},
		"another id each time":   {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}`), calls(`{"index":0,"id":"b","function":{"arguments":"1}"}}`)}, `tool_call id=a name=f args={"x":1}`},
		"arguments repeated":     {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`), calls(`{"index":0,"function":{"arguments":":1}"}}`), calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`)}, `tool_call id=a name=f args={"x":1}`},
		"no arguments":           {[]string{calls(`{"index":0,"id":"a","function":{"name":"f"}}`)}, `tool_call id=a name=f args={}`},
		"null arguments":         {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":null}}`)}, `tool_call id=a name=f args={}`},
		"name later":             {[]string{calls(`{"index":0,"id":"a","function":{"arguments":"{"}}`), calls(`{"index":0,"function":{"name":"f","arguments":"}"}}`)}, `tool_call id=a name=f args={}`},
		"never named":            {[]string{calls(`{"index":0,"id":"a","function":{"arguments":"{}"}}`)}, `tool_call id=a name= args={}`},
		"not JSON":               {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"[1"}}`)}, `tool_call id=a name=f args="[1"`},
		"indexes from 1":         {[]string{calls(`{"index":1,"id":"a","function":{"name":"f","arguments":"{}"}}`), calls(`{"index":2,"id":"b","function":{"name":"g","arguments":"{}"}}`)}, `tool_call id=a name=f args={}; tool_call id=b name=g args={}`},
		"custom":                 {[]string{calls(`{"index":0,"id":"a","type":"custom","custom":{"name":"p","input":"x"}}`), calls(`{"index":0,"custom":{"input":"y"}}`)}, `tool_call "xy" id=a name=p args=null custom`},
		"function_call":          {[]string{`{"function_call":{"name":"f","arguments":""}}`, `{"function_call":{"arguments":"{}"}}`}, `tool_call id=call_1 name=f args={}`},
		"nothing":                {[]string{calls(`{}`, `null`), `{"tool_calls":null}`, `null`}, ``},
		"extra content":          {[]string{calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":1}}`)}, `tool_call id=a name=f args={} ext=,"extra_content":{"google":1}`},
		"text between":           {[]string{`{"content":"a"}`, calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}`), `{"content":"b"}`}, `text "a"; tool_call id=a name=f args={}; text "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := collect(&Exchange{}, sse("stop", c.deltas...))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, dumpParts(resp.Parts)); d != "" {
				t.Error(d)
			}
			want := canon.FinishStop
			if strings.Contains(c.want, "tool_call") {
				want = canon.FinishTools // Trap 9: derived from the parts
			}
			if resp.Finish.Reason != want {
				t.Errorf("finish %s", resp.Finish.Reason)
			}
		})
	}
}

func TestThinkingInEveryField(t *testing.T) {
	for delta, want := range map[string]string{
		`{"reasoning_content":"r","content":"c"}`:                                                                                `reasoning "r"; text "c"`,
		`{"reasoning":"r","content":"c"}`:                                                                                        `reasoning "r"; text "c"`,
		`{"thinking":"r","content":"c"}`:                                                                                         `reasoning "r"; text "c"`,
		`{"reasoning":"r","reasoning_content":"r"}`:                                                                              `reasoning "r"`,
		`{"reasoning":"r","reasoning_details":[{"type":"reasoning.text","text":"r"}]}`:                                           `reasoning "r" ext=,"reasoning_details":[{"type":"reasoning.text","text":"r"}]`,
		`{"reasoning_details":[{"type":"reasoning.text","text":"a"},{"summary":"b"}]}`:                                           `reasoning "ab" ext=,"reasoning_details":[{"type":"reasoning.text","text":"a"},{"summary":"b"}]`,
		`{"content":[{"type":"thinking","thinking":[{"type":"text","text":"r"}]},{"type":"text","text":"c"}]}`:                   `reasoning "r"; text "c"`,
		`{"content":[{"type":"thinking","thinking":"r"}]}`:                                                                       `reasoning "r"`,
		`{"content":null,"refusal":"no"}`:                                                                                        `refusal "no"`,
		`{"content":"see","images":[{"image_url":{"url":"data:image/png;base64,iVBO"}},{"image_url":{"url":"https://h/i"}},{}]}`: `text "see"; image mime=image/png bytes=3 url= file= name= detail= text=""; image mime= bytes=0 url=https://h/i file= name= detail= text=""`,
	} {
		for _, in := range []string{sse("stop", delta), `{"choices":[{"message":` + delta + `,"finish_reason":"stop"}]}`} {
			resp, err := collect(&Exchange{}, in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, dumpParts(resp.Parts)); d != "" {
				t.Errorf("%s\n%s", in, d)
			}
		}
	}
}

func TestWordsOfFinish(t *testing.T) {
	for raw, want := range map[string]canon.FinishReason{
		"stop": canon.FinishStop, "eos": canon.FinishStop, "end_turn": canon.FinishStop, "STOP": canon.FinishStop, "odd": canon.FinishStop,
		"length": canon.FinishLength, "max_tokens": canon.FinishLength, "tool_calls": canon.FinishStop, "function_call": canon.FinishStop,
		"content_filter": canon.FinishFilter, "sensitive": canon.FinishFilter, "model_length": canon.FinishContext, "pause_turn": canon.FinishPause,
	} {
		if got := finishOf(raw, false); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
		with := canon.FinishTools
		if want == canon.FinishLength || want == canon.FinishContext {
			with = want
		}
		if got := finishOf(raw, true); got != with {
			t.Errorf("%s with calls: %s, want %s", raw, got, with)
		}
	}
	for _, r := range canon.Reasons {
		if reasons[r] == "" {
			t.Errorf("%s has no word", r)
		}
	}
	for raw, kind := range map[string]apierror.Kind{"error": apierror.Upstream5xx, "network_error": apierror.Upstream5xx, "insufficient_system_resource": apierror.Overloaded} {
		for _, in := range []string{sse(raw), `{"choices":[{"message":{"content":"x"},"finish_reason":"` + raw + `"}]}`} {
			if _, err := collect(&Exchange{}, in); apierror.KindOf(err) != kind {
				t.Errorf("%s: %v", raw, err)
			}
		}
	}
}

func TestACutCallIsLeftOut(t *testing.T) {
	resp, err := collect(&Exchange{}, `{"choices":[{"message":{"content":"x","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x"}}]},"finish_reason":"length"}]}`)
	if err != nil || dumpParts(resp.Parts) != `text "x"` || resp.Finish.Reason != canon.FinishLength {
		t.Errorf("%v %+v", err, resp)
	}
}

func TestUsageInEverySpelling(t *testing.T) {
	for in, want := range map[string]canon.Usage{
		`{"prompt_tokens":10,"completion_tokens":3}`:                                                            {Input: 10, Output: 3, CacheRead: -1, CacheWrite: -1, Reasoning: -1},
		`{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2}}`:               {Input: 10, Output: -1, CacheRead: 4, CacheWrite: 2, Reasoning: -1},
		`{"prompt_tokens":10,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":4}`:                         {Input: 10, Output: -1, CacheRead: 6, CacheWrite: -1, Reasoning: -1},
		`{"prompt_tokens":10,"cached_tokens":6}`:                                                                {Input: 10, Output: -1, CacheRead: 6, CacheWrite: -1, Reasoning: -1},
		`{"input_tokens":10,"output_tokens":2,"input_cached_tokens":6}`:                                         {Input: 10, Output: 2, CacheRead: 6, CacheWrite: -1, Reasoning: -1},
		`{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":90}}`:                                     {Input: 100, Output: -1, CacheRead: 90, CacheWrite: -1, Reasoning: -1},
		`{"completion_tokens":10,"completion_tokens_details":{"reasoning_tokens":4}}`:                           {Input: -1, Output: 10, CacheRead: -1, CacheWrite: -1, Reasoning: 4},
		`{"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":4}}`:                            {Input: -1, Output: 5, CacheRead: -1, CacheWrite: -1, Reasoning: 4},
		`{"cache_creation_input_tokens":1,"cache_read_input_tokens":2,"prompt_tokens":null,"input_tokens":5.0}`: {Input: 5, Output: -1, CacheRead: 2, CacheWrite: 1, Reasoning: -1},
	} {
		want.CacheWrite1h, want.ToolPrompt = -1, -1
		got, ok := oai.ParseUsage([]byte(in))
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Errorf("%s %s", in, d)
		}
	}
	if _, ok := oai.ParseUsage([]byte(`{}`)); ok {
		t.Error("nothing became a usage")
	}
	for _, in := range []string{
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"usage\":{\"prompt_tokens\":3}}]}\n\n" + sse("stop"),
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"x_groq\":{\"usage\":{\"prompt_tokens\":3}}}\n\n" + sse("stop"),
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n" + sse("stop") + "",
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n" + sse("stop"),
	} {
		resp, err := collect(&Exchange{}, in)
		if err != nil || resp.Usage == nil || resp.Usage.Input == 0 {
			t.Errorf("%s: %v %+v", in, err, resp.Usage)
		}
	}
}

func TestEndsOfAStream(t *testing.T) {
	text := `{"content":"a"}`
	for name, c := range map[string]struct {
		in   io.Reader
		kind apierror.Kind
		ok   bool
	}{
		"no end at all":                  {strings.NewReader(sse("", text)), apierror.Truncated, false},
		"no [DONE]":                      {strings.NewReader(strings.TrimSuffix(sse("stop", text), "data: [DONE]\n\n")), 0, true},
		"[DONE] without a reason":        {strings.NewReader(sse("", text) + "data: [DONE]\n\n"), 0, true},
		"only [DONE]":                    {strings.NewReader("data: [DONE]\n\n"), 0, true},
		"CRLF and event lines":           {strings.NewReader("event: message\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\r\n\r\n"), 0, true},
		"junk frames":                    {strings.NewReader("data: hello\n\ndata: queued\n\n" + sse("stop", text)), 0, true},
		"a damaged chunk":                {strings.NewReader(strings.TrimSuffix(sse("", text), "data: [DONE]\n\n") + "data: {\"choices\":[{\"delta\"\n\n" + sse("stop", text)), apierror.Upstream5xx, false},
		"empty body":                     {strings.NewReader(""), apierror.Upstream5xx, false},
		"blank body":                     {strings.NewReader(" \n\n"), apierror.Upstream5xx, false},
		"HTML":                           {strings.NewReader("<html>"), apierror.Upstream5xx, false},
		"broken before the first byte":   {iotest.ErrReader(errors.New("x")), apierror.Transport, false},
		"broken in the middle":           {io.MultiReader(strings.NewReader(sse("", text)), iotest.ErrReader(errors.New("x"))), apierror.Transport, false},
		"broken after the finish reason": {io.MultiReader(strings.NewReader(strings.TrimSuffix(sse("stop", text), "data: [DONE]\n\n")), iotest.ErrReader(errors.New("x"))), 0, true},
		"canceled":                       {iotest.ErrReader(context.Canceled), apierror.Canceled, false},
		"timed out":                      {iotest.ErrReader(context.DeadlineExceeded), apierror.Timeout, false},
		"own error":                      {iotest.ErrReader(apierror.New(apierror.Shutdown, "x")), apierror.Shutdown, false},
		"too large":                      {iotest.ErrReader(wire.ErrFrameTooLarge), apierror.Upstream5xx, false},
		"broken JSON":                    {strings.NewReader(`{"choices":[`), apierror.Upstream5xx, false},
		"broken in one piece":            {io.MultiReader(strings.NewReader(`{"choices":[`), iotest.ErrReader(errors.New("x"))), apierror.Transport, false},
		"no choices":                     {strings.NewReader(`{"id":"x"}`), apierror.Upstream5xx, false},
		"empty choices":                  {strings.NewReader(`{"choices":[]}`), 0, true},
		"array of one":                   {strings.NewReader(`[{"choices":[{"message":{"content":"a"}}]}]`), 0, true},
		"legacy text":                    {strings.NewReader(`{"choices":[{"text":"a","finish_reason":"stop"}]}`), 0, true},
		"legacy stream":                  {strings.NewReader("data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n\n"), 0, true},
		"byte order mark":                {strings.NewReader("\xef\xbb\xbf{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}"), 0, true},
	} {
		x := &Exchange{newID: func() string { return "id" }}
		ends := 0
		var last error
		for ev, err := range x.Read("text/plain", c.in) {
			last = err
			if err != nil || ev.Kind == canon.KindFinish {
				ends++
			}
		}
		if ends != 1 || c.ok != (last == nil) || last != nil && apierror.KindOf(last) != c.kind {
			t.Errorf("%s: %d ends, %v", name, ends, last)
		}
	}
	for _, in := range []string{"data: [DONE]\n\n", sse("stop"), `{"choices":[{"message":{"content":""}}]}`} {
		if _, err := collect(&Exchange{o: Options{ErrorOnEmptyReply: true}}, in); apierror.KindOf(err) != apierror.Upstream5xx {
			t.Errorf("%s: %v", in, err)
		}
	}
	if e := (&Exchange{}).ReadWhole(nil); e == nil {
		t.Error("nil stream")
	}
	for _, err := range (&Exchange{}).ReadWhole(nil) {
		if apierror.KindOf(err) != apierror.Upstream5xx {
			t.Error(err)
		}
	}
}

func TestBreakingOutStopsTheReader(t *testing.T) {
	for stop := range 12 {
		n := 0
		x := &Exchange{newID: func() string { return "id" }}
		for range x.Read("", strings.NewReader(sse("tool_calls", `{"reasoning":"r"}`, `{"content":"a"}`, calls(`{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}`)))) {
			if n++; n > stop {
				break
			}
		}
		if n == 0 {
			t.Error("no event")
		}
	}
}

func TestThinkTagsAtAnyCut(t *testing.T) {
	for in, want := range map[string]string{
		"<think>a</think>b":             `reasoning "a"; text "b"`,
		" \n<think>\na</think>\n\n b":   `reasoning "a"; text "b"`,
		"<think></think>b":              `text "b"`,
		"<think>never closed </thin":    `reasoning "never closed </thin"`,
		"<thin air":                     `text "<thin air"`,
		"<thi":                          `text "<thi"`,
		"plain <think>x</think>":        `text "plain <think>x</think>"`,
		"<think>日本</think>語":            `reasoning "日本"; text "語"`,
		"<think>a</think>":              `reasoning "a"`,
		"<think>a < b</think>c</think>": `reasoning "a < b"; text "c</think>"`,
	} {
		for size := 1; size <= len([]rune(in)); size++ {
			var deltas []string
			for rest := []rune(in); len(rest) > 0; {
				n := min(size, len(rest))
				deltas = append(deltas, `{"content":`+string(wire.AppendString(nil, string(rest[:n])))+`}`)
				rest = rest[n:]
			}
			resp, err := collect(&Exchange{o: Options{SplitThinkTags: true}}, sse("stop", deltas...))
			if err != nil || dumpParts(resp.Parts) != want {
				t.Errorf("%q by %d: %s, want %s, %v", in, size, dumpParts(resp.Parts), want, err)
			}
		}
	}
}

func TestCustomInputAtAnyCut(t *testing.T) {
	args := `{ "input" : "a\n\"b\\ \u00e9 \ud83c\udf89 \ud83c x 日" }`
	for size := 1; size < len(args); size++ {
		var deltas []string
		for i, rest := 0, args; len(rest) > 0; i++ {
			n := min(size, len(rest))
			for n < len(rest) && rest[n]&0xC0 == 0x80 {
				n++
			}
			name := ""
			if i == 0 {
				name = `"name":"p",`
			}
			deltas = append(deltas, calls(`{"index":0,"function":{`+name+`"arguments":`+string(wire.AppendString(nil, rest[:n]))+`}}`))
			rest = rest[n:]
		}
		var out strings.Builder
		var whole string
		x := &Exchange{custom: map[string]bool{"p": true}, newID: func() string { return "id" }}
		for ev, err := range x.Read("", strings.NewReader(sse("stop", deltas...))) {
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == canon.KindDelta {
				out.WriteString(ev.Text)
			}
			if ev.Kind == canon.KindPartEnd {
				whole = ev.Part.Text
			}
		}
		want := "a\n\"b\\ é 🎉 \uFFFD x 日"
		if out.String() != want || whole != want {
			t.Errorf("by %d: %q, %q", size, out.String(), whole)
		}
	}
	if got := oai.CustomInput("raw text"); got != "raw text" {
		t.Error(got)
	}
}

func TestMembersThatOnlyChatKnowsStayWithChatClients(t *testing.T) {
	whole := `{"id":"c","object":"chat.completion","created":1,"model":"m","system_fingerprint":"fp","service_tier":"default","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}`
	for format, want := range map[string]int{Name: 2, "anthropic": 0} {
		req := &canon.Request{Format: format, Op: "messages", ModelAsked: "m", Model: "m", Messages: []canon.Message{{Role: canon.RoleUser, Parts: []canon.Part{{Type: canon.PartText, Text: "x"}}}}}
		x, err := NewExchange(req, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []string{whole, "data: " + strings.Replace(strings.Replace(whole, "chat.completion", "chat.completion.chunk", 1), "message", "delta", 1) + "\n\ndata: [DONE]\n\n"} {
			resp, err := canon.Collect(x.Read("", strings.NewReader(in)))
			if err != nil || len(resp.Ext) != want {
				t.Errorf("%s: %v, %v", format, resp.Ext, err)
			}
		}
	}
}
