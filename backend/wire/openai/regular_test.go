package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sent is what a client of the chat protocol keeps of a stream: it counts calls by their index, as the SDKs do.
type sent struct {
	Text, Finish, Role string
	Calls              map[int]*sentCall
	Usage              int
}

type sentCall struct{ ID, Name, Args string }

// strict reads a stream as a client that trusts the protocol. faults are what such a client fails at.
func strict(t *testing.T, stream string) (out sent, faults []string) {
	t.Helper()
	out.Calls = map[int]*sentCall{}
	for block := range strings.SplitSeq(strings.TrimSpace(stream), "\n\n") {
		data := strings.TrimPrefix(block, "data: ")
		if data == "[DONE]" {
			continue
		}
		var c struct {
			ID, Object, Model *string
			Created           *int
			Usage             *struct{}
			Choices           []struct {
				Index *int
				Delta *struct {
					Role, Content string
					ToolCalls     []struct {
						Index    *int
						ID       string
						Function *struct {
							Name      string
							Arguments *string
						}
					} `json:"tool_calls"`
				}
				FinishReason string `json:"finish_reason"`
			}
		}
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			faults = append(faults, err.Error())
			continue
		}
		if c.ID == nil || c.Object == nil || c.Model == nil || c.Created == nil {
			faults = append(faults, "no envelope: "+data)
		}
		if c.Usage != nil {
			out.Usage++
		}
		for _, ch := range c.Choices {
			out.Finish += ch.FinishReason
			if ch.Delta == nil || ch.Index == nil {
				faults = append(faults, "no delta or no index: "+data)
				continue
			}
			out.Text, out.Role = out.Text+ch.Delta.Content, out.Role+ch.Delta.Role
			for _, call := range ch.Delta.ToolCalls {
				if call.Index == nil {
					faults = append(faults, "no tool_calls[].index: "+data)
					continue
				}
				have := out.Calls[*call.Index]
				if have == nil {
					have = &sentCall{}
					out.Calls[*call.Index] = have
					if call.ID == "" || call.Function == nil || call.Function.Name == "" {
						faults = append(faults, "a call begins without id or name: "+data)
					}
				}
				have.ID += call.ID
				if call.Function != nil {
					have.Name += call.Function.Name
					if call.Function.Arguments != nil {
						have.Args += *call.Function.Arguments
					}
				}
			}
		}
	}
	return out, faults
}

// copied runs a stream of a service to a client of the same protocol.
func copied(t *testing.T, members, in string) string {
	t.Helper()
	req := decode(t, chat(`"stream":true`+members))
	x, err := NewExchange(req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	x.newID = func() string { n++; return "call_minted" + string(rune('0'+n)) }
	r := Codec{}.NewRenderer(req)
	var out []byte
	for ev, err := range x.ReadStream(strings.NewReader(in)) {
		if err != nil {
			t.Fatal(err)
		}
		out = r.AppendEvent(out, ev)
	}
	return string(out)
}

// frames writes chunks: each entry is the inside of a choice, or a whole chunk if it begins with data.
func frames(choices ...string) string {
	var b strings.Builder
	for _, c := range choices {
		if !strings.HasPrefix(c, "{") {
			c = `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","own":1.50,"choices":[{"index":0,` + c + `}]}`
		}
		b.WriteString("data: " + c + "\n\n")
	}
	return b.String() + "data: [DONE]\n\n"
}

const (
	roleDelta   = `"delta":{"role":"assistant","content":""},"finish_reason":null`
	finishCalls = `"delta":{},"finish_reason":"tool_calls"`
)

func delta(calls string) string { return `"delta":{"tool_calls":[` + calls + `]},"finish_reason":null` }

func TestFramesThatBreakTheProtocolAreWrittenAnew(t *testing.T) {
	one := map[int]*sentCall{0: {"a", "f", `{"x":1}`}}
	two := map[int]*sentCall{0: {"a", "f", `{"x":1}`}, 1: {"b", "g", `{"y":2}`}}
	for name, c := range map[string]struct {
		frames []string
		text   string
		calls  map[int]*sentCall
	}{
		"no index": {[]string{roleDelta, delta(`{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}`), delta(`{"function":{"arguments":":1}"}}`), finishCalls}, "", one},
		"no id":    {[]string{roleDelta, delta(`{"index":0,"type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}`), finishCalls}, "", map[int]*sentCall{0: {"call_minted1", "f", `{"x":1}`}}},
		"an empty id": {[]string{delta(`{"index":0,"id":"","function":{"name":"f","arguments":"{\"x\":"}}`), delta(`{"index":0,"function":{"arguments":"1}"}}`), finishCalls}, "",
			map[int]*sentCall{0: {"call_minted1", "f", `{"x":1}`}}},
		"arguments as an object": {[]string{roleDelta, delta(`{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}`), finishCalls}, "", one},
		"one index for two calls": {[]string{roleDelta, delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), delta(`{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\""}}`),
			delta(`{"index":0,"function":{"arguments":":2}"}}`), finishCalls}, "", two},
		"two calls of one frame under one index": {[]string{delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}`), finishCalls}, "", two},
		"indexes that begin with one": {[]string{delta(`{"index":1,"id":"a","function":{"name":"f","arguments":""}}`), delta(`{"index":1,"function":{"arguments":"{\"x\":1}"}}`),
			delta(`{"index":2,"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}`), finishCalls}, "", two},
		"id and name in every piece": {[]string{delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`), delta(`{"index":0,"id":"a","function":{"name":"f","arguments":":1}"}}`), finishCalls}, "", one},
		"the name after the id":      {[]string{delta(`{"index":0,"id":"a"}`), delta(`{"index":0,"function":{"name":"f"}}`), delta(`{"index":0,"function":{"arguments":"{\"x\":1}"}}`), finishCalls}, "", one},
		"all arguments again at the end": {[]string{delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`), delta(`{"index":0,"function":{"arguments":":1}"}}`),
			delta(`{"index":0,"function":{"arguments":"{\"x\":1}"}}`), finishCalls}, "", one},
		"no arguments, the end in the same frame": {[]string{`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]},"finish_reason":"tool_calls"`}, "", map[int]*sentCall{0: {"a", "f", "{}"}}},
		"a plain stop after a call":               {[]string{delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), `"delta":{},"finish_reason":"stop"`}, "", one},
		"a second and a third frame without an envelope": {[]string{roleDelta, `{"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}]}`, `"delta":{"content":"lo"},"finish_reason":null`,
			`{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`}, "hello", one},
		"delta null":                  {[]string{`"delta":null,"finish_reason":null`, `"delta":{"content":"hello"},"finish_reason":null`, delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), finishCalls}, "hello", one},
		"a choice without an index":   {[]string{`{"id":"c","object":"o","created":1,"model":"m","choices":[{"delta":{"content":"hello"}}]}`, delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), finishCalls}, "hello", one},
		"message for delta":           {[]string{roleDelta, `"message":{"content":"hello"}`, delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), finishCalls}, "hello", one},
		"never a reason, no argument": {[]string{delta(`{"index":0,"id":"a","function":{"name":"f","arguments":""}}`)}, "", map[int]*sentCall{0: {"a", "f", "{}"}}},
		"never a name":                {[]string{roleDelta, delta(`{"index":0,"id":"a","function":{"arguments":"{\"x\":1}"}}`), finishCalls}, "", map[int]*sentCall{0: {"a", "", `{"x":1}`}}},
	} {
		out := copied(t, "", frames(c.frames...))
		got, faults := strict(t, out)
		if name == "never a name" { // nobody can mend that; the call is told all the same
			faults = nil
		}
		if len(faults) > 0 {
			t.Errorf("%s: %q\n%s", name, faults, out)
		}
		if d := cmp.Diff(c.calls, got.Calls); d != "" || got.Text != c.text || got.Finish != "tool_calls" || got.Role != "assistant" && got.Role != "" {
			t.Errorf("%s: text %q, finish %q, role %q, %s\n%s", name, got.Text, got.Finish, got.Role, d, out)
		}
		if strings.Count(out, "[DONE]") != 1 || !strings.HasSuffix(out, "data: [DONE]\n\n") {
			t.Errorf("%s: not one end: %s", name, out)
		}
	}
}

func TestFramesThatKeepToTheProtocolAreCopied(t *testing.T) {
	for name, in := range map[string]string{
		"text": frames(roleDelta, `"delta":{"content":"a","reasoning":"r"},"finish_reason":null`, `"delta":{},"finish_reason":"stop"`),
		"calls that take turns": frames(delta(`{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}`), delta(`{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}`),
			delta(`{"index":0,"function":{"arguments":"{\"x\""}}`), delta(`{"index":1,"function":{"arguments":"{}"},"id":""}`), delta(`{"index":0,"function":{"arguments":":1}"}}`), finishCalls),
		"two calls in one frame":   frames(delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"b","function":{"name":"f","arguments":"{}"}}`), finishCalls),
		"a call and its end":       frames(`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"`),
		"the same piece twice":     frames(delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":\""}}`), delta(`{"index":0,"function":{"arguments":"ab"}}`), delta(`{"index":0,"function":{"arguments":"ab"}}`), delta(`{"index":0,"function":{"arguments":"\"}"}}`), finishCalls),
		"a custom tool":            frames(delta(`{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"x"}}`), delta(`{"index":0,"custom":{"input":"y"}}`), finishCalls),
		"the old form":             frames(`"delta":{"function_call":{"name":"f","arguments":""}}`, `"delta":{"function_call":{"arguments":"{}"}}`, `"delta":{},"finish_reason":"function_call"`),
		"cut in a call":            frames(delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}`), `"delta":{},"finish_reason":"length"`),
		"several choices":          frames(roleDelta, `{"id":"c","object":"o","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}`, `{"id":"c","object":"o","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"length"}]}`),
		"Azure's first, no answer": frames(`{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[]}`, roleDelta, `"delta":{},"finish_reason":"stop"`),
	} {
		if out := copied(t, "", in); out != strings.Replace(in, `"model":""`, `"model":"m"`, 1) {
			t.Errorf("%s:\n%s\nbecame\n%s", name, in, out)
		}
	}
}

// A frame that is given up may be the one with the usage, which a client gets once and only if it asked.
func TestUsageOfFramesThatAreGivenUp(t *testing.T) {
	in := frames(roleDelta, `"delta":{"content":"a"},"finish_reason":null`, `"delta":{},"finish_reason":"stop"`, `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}`)
	for members, want := range map[string]int{`,"stream_options":{"include_usage":true}`: 1, "": 0} {
		out := copied(t, members, in)
		if got, faults := strict(t, out); len(faults) > 0 || got.Usage != want || want == 1 && !strings.Contains(out, `"prompt_tokens":3,`) {
			t.Errorf("%q: %v\n%s", members, faults, out)
		}
	}
}

func TestWholeAnswersThatBreakTheProtocolAreWrittenAnew(t *testing.T) {
	body := func(calls, finish string) string {
		return `{"id":"c","object":"chat.completion","created":1,"model":"m","own":1.50,"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[` + calls + `]},"finish_reason":"` + finish + `"}]}`
	}
	const a, b = `{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}`, `{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}`
	for in, whole := range map[string]bool{
		body(a, "tool_calls"): true, body(a+","+b, "tool_calls"): true, body(a, "length"): true, body(a, "function_call"): true,
		body(a+","+a, "tool_calls"): false, body(a, "stop"): false, body(a, "eos"): false,
		body(strings.Replace(a, `"name":"f",`, "", 1), "tool_calls"):                                               false,
		strings.Replace(body(a, "stop"), `"tool_calls":[`+a+`]`, `"own":1`, 1):                                     true,
		strings.Replace(body(a, "stop"), `"tool_calls":[`+a+`]`, `"function_call":{"name":"f","arguments":{}}`, 1): false,
	} {
		req := decode(t, chat(""))
		x, err := NewExchange(req, Options{})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := collect(x, in)
		if err != nil || (len(resp.Whole) > 0) != whole {
			t.Errorf("%s: copied is not %t, %v", in, whole, err)
		}
	}
}
