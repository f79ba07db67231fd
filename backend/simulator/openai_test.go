package simulator

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	"image/png"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pngImage(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngURL(t *testing.T) string {
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(pngImage(t, 3, 2))
}

var bashTool = m{"type": "function", "function": m{"name": "Bash", "description": "run", "parameters": m{"type": "object",
	"properties": m{"command": m{"type": "string"}, "timeout": m{"type": "integer", "minimum": 5}}, "required": []any{"command", "timeout"}}}}

func toolHistory(last ...any) []any {
	return append([]any{
		m{"role": "user", "content": "list the files with one tool call"},
		m{"role": "assistant", "content": nil, "tool_calls": []any{m{"id": "call_1", "type": "function", "function": m{"name": "Bash", "arguments": "{}"}}}},
	}, last...)
}

func TestChatStreamOrder(t *testing.T) {
	s := start(t)
	a := call{body: chat("[[text:text=One two,in=120,out=34,cached=96,reasoning=20]]", "stream", true, "stream_options", m{"include_usage": true})}.do(t, s)
	want := `data: {"id":"chatcmpl-sim000000000000000000000001","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1","service_tier":"default","system_fingerprint":"fp_simulator","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-sim000000000000000000000001","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1","service_tier":"default","system_fingerprint":"fp_simulator","choices":[{"index":0,"delta":{"content":"One"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-sim000000000000000000000001","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1","service_tier":"default","system_fingerprint":"fp_simulator","choices":[{"index":0,"delta":{"content":" two"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-sim000000000000000000000001","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1","service_tier":"default","system_fingerprint":"fp_simulator","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-sim000000000000000000000001","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1","service_tier":"default","system_fingerprint":"fp_simulator","choices":[],"usage":{"prompt_tokens":120,"completion_tokens":34,"total_tokens":154,"prompt_tokens_details":{"cached_tokens":96,"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}

data: [DONE]

`
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Error(diff)
	}
	if got := a.head.Get("Content-Type"); got != eventStream {
		t.Errorf("content type %q", got)
	}
	if a.head.Get("X-Ratelimit-Remaining-Requests") == "" || a.head.Get("X-Request-Id") == "" {
		t.Errorf("headers %v", a.head)
	}
}

func TestChatWithoutUsageAskedHasNone(t *testing.T) {
	s := start(t)
	a := call{body: chat("hi", "stream", true)}.do(t, s)
	if strings.Contains(a.body, "usage") {
		t.Errorf("usage was not asked for: %s", a.body)
	}
}

func TestChatWholeAnswer(t *testing.T) {
	s := start(t)
	v := call{body: chat("[[parallel_tools]]", "tools", []any{bashTool}, "logprobs", true)}.do(t, s).json(t)
	got := at(v, "choices", 0)
	want := m{"index": 0.0, "logprobs": nil, "finish_reason": "tool_calls", "message": m{"role": "assistant", "content": nil, "refusal": nil, "annotations": []any{},
		"tool_calls": []any{
			m{"id": "call_000000000000000000000002", "type": "function", "function": m{"name": "Bash", "arguments": `{"command":"ls","timeout":5}`}},
			m{"id": "call_000000000000000000000003", "type": "function", "function": m{"name": "Bash", "arguments": `{"command":"ls","timeout":5}`}},
		}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v["object"] != "chat.completion" || at(v, "usage", "total_tokens") == nil {
		t.Errorf("envelope %v", v)
	}
}

func TestParallelArgumentsComeMixed(t *testing.T) {
	s := start(t)
	a := call{body: chat("[[parallel_tools:count=2]]", "tools", []any{bashTool}, "stream", true)}.do(t, s)
	var order []float64
	args := map[float64]string{}
	for _, e := range a.events(t) {
		if c, ok := at(e.data, "choices", 0, "delta", "tool_calls", 0).(m); ok {
			i := c["index"].(float64)
			order = append(order, i)
			piece, _ := at(c, "function", "arguments").(string)
			args[i] += piece
			if (c["id"] != nil) != (args[i] == "" && piece == "") {
				t.Errorf("id and name belong to the first entry alone: %v", c)
			}
		}
	}
	if args[0] != `{"command":"ls","timeout":5}` || args[0] != args[1] {
		t.Errorf("arguments %v", args)
	}
	if len(order) < 6 || order[0] != 0 || order[1] != 1 || order[2] != 0 || order[3] != 1 {
		t.Errorf("order %v", order)
	}
}

func TestChatAgentLoop(t *testing.T) {
	s := start(t)
	a := call{body: chat("list the files with one tool call", "tools", []any{m{"type": "function", "function": m{"name": "other"}}, bashTool})}.do(t, s)
	if got := at(a.json(t), "choices", 0, "message", "tool_calls", 0, "function", "name"); got != "Bash" {
		t.Fatalf("called %v: %s", got, a.body)
	}
	body := chat("", "tools", []any{bashTool}, "messages", toolHistory(m{"role": "tool", "tool_call_id": "call_1", "content": "marker-7.txt\n"}))
	if got := chatText(t, call{body: body}.do(t, s)); got != "The Bash said: marker-7.txt" {
		t.Errorf("final sentence %q", got)
	}
	// Pictures of a result travel in a message of their own; the loop must not begin again.
	body["messages"] = toolHistory(m{"role": "tool", "tool_call_id": "call_1", "content": "(image attached below)"},
		m{"role": "user", "content": []any{m{"type": "image_url", "image_url": m{"url": pngURL(t)}}}})
	if got := chatText(t, call{body: body}.do(t, s)); !strings.Contains(got, "image attached") {
		t.Errorf("with a picture behind: %q", got)
	}
}

func TestChatOldFunctions(t *testing.T) {
	s := start(t)
	body := chat("please call other", "functions", []any{m{"name": "other", "parameters": m{"type": "object", "properties": m{}}}}, "function_call", m{"name": "other"})
	v := call{body: body}.do(t, s).json(t)
	if at(v, "choices", 0, "message", "function_call", "name") != "other" || at(v, "choices", 0, "finish_reason") != "function_call" {
		t.Errorf("%v", v)
	}
	body["stream"] = true
	if a := (call{body: body}).do(t, s); !strings.Contains(a.body, `"function_call":{"arguments":"{}"}`) {
		t.Errorf("%s", a.body)
	}
	body["messages"] = []any{m{"role": "user", "content": "x"}, m{"role": "assistant", "content": nil, "function_call": m{"name": "other", "arguments": "{}"}},
		m{"role": "function", "name": "other", "content": "done"}}
	delete(body, "function_call")
	if got := chatText(t, call{body: body}.do(t, s)); got != "The other said: done" {
		t.Errorf("%q", got)
	}
}

func TestCustomToolGetsFreeText(t *testing.T) {
	s := start(t)
	body := chat("use the patch tool", "stream", true, "tools", []any{m{"type": "custom", "custom": m{"name": "patch", "format": m{"type": "text"}}}})
	a := call{body: body}.do(t, s)
	if !strings.Contains(a.body, `"type":"custom","custom":{"name":"patch","input":""}`) || !strings.Contains(a.body, `"custom":{"input":"ls"}`) {
		t.Errorf("%s", a.body)
	}
}

func TestChatEchoListsWhatArrived(t *testing.T) {
	s := start(t)
	body := chat("", "messages", []any{
		m{"role": "system", "content": "Be brief."},
		m{"role": "user", "content": "first"}, m{"role": "assistant", "content": "ok"},
		m{"role": "developer", "content": "in between"},
		m{"role": "user", "content": []any{
			m{"type": "text", "text": "look"}, m{"type": "image_url", "image_url": m{"url": pngURL(t), "detail": "low"}},
			m{"type": "image_url", "image_url": m{"url": "https://example.test/a.png"}},
			m{"type": "input_audio", "input_audio": m{"data": "AAAA", "format": "wav"}},
			m{"type": "file", "file": m{"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
			m{"type": "file", "file": m{"file_id": "file-1"}},
		}},
	}, "tools", []any{bashTool})
	want := "You said: look\nimages: 2 (image/png 3x2 " + "N bytes; https://example.test/a.png)\ndocuments: 2 (application/pdf a.pdf 5 bytes; file-1)\n" +
		"audio: 1 (audio/wav 3 bytes)\nsystem prompt: Be brief.\nsystem word in between: in between\ntools offered: 1\nmessages: 5"
	want = strings.Replace(want, "N", itoa(len(pngImage(t, 3, 2))), 1)
	if diff := cmp.Diff(want, chatText(t, call{body: body}.do(t, s))); diff != "" {
		t.Error(diff)
	}
}

func TestStructuredAnswersAreValid(t *testing.T) {
	s := start(t)
	schema := m{"type": "object", "additionalProperties": false, "required": []any{"title", "kind", "n", "list", "at", "deep", "maybe"}, "properties": m{
		"title": m{"type": "string"}, "kind": m{"enum": []any{"a", "b"}}, "n": m{"type": "integer", "exclusiveMinimum": 3, "multipleOf": 2},
		"list": m{"type": "array", "minItems": 2, "items": m{"$ref": "#/$defs/x"}}, "at": m{"type": "string", "format": "date"},
		"deep":  m{"type": "object", "additionalProperties": false, "properties": m{"ok": m{"type": "boolean"}}, "required": []any{"ok"}},
		"maybe": m{"type": []any{"null", "number"}, "maximum": 0.5},
	}, "$defs": m{"x": m{"const": "c"}}}
	body := chat("Make me a nice sandwich with ham", "response_format", m{"type": "json_schema", "json_schema": m{"name": "s", "schema": schema, "strict": true}})
	a := call{body: body}.do(t, s)
	want := `{"title":"Make me a nice sandwich","kind":"a","n":4,"list":["c","c"],"at":"2026-01-02","deep":{"ok":true},"maybe":0.5}`
	if diff := cmp.Diff(want, chatText(t, a)); diff != "" {
		t.Error(diff, a.body)
	}
	body = chat("answer as json", "response_format", m{"type": "json_object"})
	if got := chatText(t, call{body: body}.do(t, s)); got != `{"echo":"answer as json"}` {
		t.Errorf("json mode: %q", got)
	}
	body = chat("", "messages", []any{m{"role": "system", "content": "You write a title for the talk."}, m{"role": "user", "content": "why is the sky so very blue today?"}})
	if got := chatText(t, call{body: body}.do(t, s)); got != "why is the sky so" {
		t.Errorf("title: %q", got)
	}
}

func TestInstances(t *testing.T) {
	for name, c := range map[string]struct{ schema, want string }{
		"all of":       {`{"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"$ref":"#/$defs/b"}],"$defs":{"b":{"properties":{"b":{"type":"null"}},"required":["b"]}}}`, `{"a":1,"b":null}`},
		"any of":       {`{"properties":{"a":{"anyOf":[{"type":"number"},{"type":"null"}]}}}`, `{"a":1}`},
		"lengths":      {`{"properties":{"a":{"type":"string","minLength":20},"b":{"type":"string","maxLength":3}}}`, `{"a":"simulated axxxxxxxxx","b":"sim"}`},
		"default":      {`{"properties":{"a":{"default":7}}}`, `{"a":7}`},
		"at most":      {`{"properties":{"a":{"type":"array","maxItems":0},"b":{"type":"integer","exclusiveMaximum":-2}}}`, `{"a":[],"b":-3}`},
		"recursion":    {`{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}}}}}`, `{"next":{"next":{}}}`},
		"no object":    {`[]`, `{}`},
		"upper case":   {`{"type":"OBJECT","properties":{"a":{"type":"BOOLEAN"}}}`, `{"a":true}`},
		"enum title":   {`{"properties":{"title":{"type":"string","enum":["x"]}}}`, `{"title":"x"}`},
		"inferred":     {`{"properties":{"a":{"items":{"type":"string"}}}}`, `{"a":["simulated a"]}`},
		"missing refs": {`{"properties":{"a":{"$ref":"#/nowhere"}}}`, `{"a":"a"}`},
	} {
		v, err := decode([]byte(c.schema))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(encode(instance(v, "hi")))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestListingToolIsFilled(t *testing.T) {
	for name, c := range map[string]struct{ schema, want string }{
		"shell":       {`{"properties":{"command":{"type":"array","items":{"type":"string"}}},"required":["command"]}`, `{"command":["ls"]}`},
		"optional":    {`{"properties":{"path":{"type":"string"}}}`, `{"path":"."}`},
		"unknown":     {`{"properties":{"x":{"type":"string"}},"required":["x"]}`, `{"x":"simulated x"}`},
		"enum":        {`{"properties":{"path":{"enum":["/a"]}},"required":["path"]}`, `{"path":"/a"}`},
		"object":      {`{"properties":{"query":{"type":"object","properties":{"q":{"type":"integer"}}}},"required":["query"]}`, `{"query":{"q":1}}`},
		"object list": {`{"properties":{"commands":{"type":"array","items":{"type":"object","properties":{"c":{"type":"boolean"}}}}},"required":["commands"]}`, `{"commands":[{"c":true}]}`},
		"nothing":     {`{"properties":{}}`, `{}`},
	} {
		v, _ := decode([]byte(c.schema))
		if got := fill(&tool{schema: v.(map[string]any)}, 0); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestChatRefusals(t *testing.T) {
	s := start(t)
	user := m{"role": "user", "content": "hi"}
	msgs := func(list ...any) m { return chat("", "messages", append([]any{}, list...)) }
	long := strings.Repeat("a", 65)
	fn := func(f m) m { return chat("hi", "tools", []any{m{"type": "function", "function": f}}) }
	called := m{"role": "assistant", "tool_calls": []any{m{"id": "c1", "type": "function", "function": m{"name": "f", "arguments": "{}"}}}}
	part := func(p m) m { return msgs(m{"role": "user", "content": []any{p}}) }
	open := m{"type": "object", "properties": m{"a": m{"type": "string"}}}
	for name, c := range map[string]struct {
		body               any
		param, code, words string
	}{
		"not JSON":               {"{", "", "", "could not parse the JSON body"},
		"trailing data":          {`{} {}`, "", "", "could not parse"},
		"unknown field":          {chat("hi", "top_k", 3), "top_k", "unknown_parameter", "Unknown parameter: 'top_k'."},
		"no model":               {m{"messages": []any{user}}, "model", "missing_required_parameter", "Missing required parameter: 'model'."},
		"wrong type":             {chat("hi", "temperature", "warm"), "temperature", "invalid_type", "expected a decimal, but got a string instead"},
		"not whole":              {chat("hi", "n", 1.5), "n", "invalid_type", "expected an integer, but got a decimal"},
		"too warm":               {chat("hi", "temperature", 3), "temperature", "decimal_above_max_value", "<= 2"},
		"n zero":                 {chat("hi", "n", 0), "n", "integer_below_min_value", ">= 1"},
		"enum":                   {chat("hi", "verbosity", "loud"), "verbosity", "invalid_value", "Supported values are: 'low', 'medium', 'high'"},
		"stream options":         {chat("hi", "stream_options", m{}), "stream_options", "", "only allowed when 'stream' is enabled"},
		"five stops":             {chat("hi", "stop", []any{"a", "b", "c", "d", "e"}), "stop", "array_above_max_length", "length 5"},
		"stop of numbers":        {chat("hi", "stop", []any{1}), "stop[0]", "invalid_type", "a string"},
		"top_logprobs":           {chat("hi", "top_logprobs", 2), "top_logprobs", "", "'logprobs'"},
		"both limits":            {chat("hi", "max_tokens", 1, "max_completion_tokens", 1), "max_tokens", "invalid_parameter_combination", "same time"},
		"empty tools":            {chat("hi", "tools", []any{}), "tools", "empty_array", "empty array"},
		"choice without tools":   {chat("hi", "tool_choice", "auto"), "tool_choice", "", "only allowed when 'tools'"},
		"effort on plain model":  {chat("hi", "reasoning_effort", "low"), "reasoning_effort", "unsupported_parameter", "not supported with this model"},
		"max_tokens on o4":       {chat("hi", "model", "o4-mini", "max_tokens", 9), "max_tokens", "unsupported_parameter", "Use 'max_completion_tokens' instead."},
		"temperature on gpt-5":   {chat("hi", "model", "gpt-5.5", "temperature", 0.2), "temperature", "unsupported_value", "does not support 0.2"},
		"top_p on gpt-5":         {chat("hi", "model", "gpt-5.5", "top_p", 0.2), "top_p", "unsupported_parameter", "top_p"},
		"unknown model":          {chat("hi", "model", "gpt-0"), "", "model_not_found", "The model `gpt-0` does not exist"},
		"embedding model":        {chat("hi", "model", "text-embedding-3-small"), "", "model_not_found", "does not exist"},
		"no messages":            {msgs(), "messages", "empty_array", "empty array"},
		"message is a string":    {msgs("hi"), "messages[0]", "invalid_type", "an object"},
		"role":                   {msgs(m{"role": "robot", "content": "x"}), "messages[0].role", "invalid_value", "'robot'"},
		"no content":             {msgs(m{"role": "user"}), "messages[0].content", "missing_required_parameter", "content"},
		"number as content":      {msgs(m{"role": "user", "content": 5}), "messages[0].content", "invalid_type", "one of a string or array of objects, but got an integer"},
		"empty parts":            {msgs(m{"role": "user", "content": []any{}}), "messages[0].content", "empty_array", "empty"},
		"silent assistant":       {msgs(user, m{"role": "assistant", "content": nil}), "messages[1].content", "invalid_type", "null"},
		"empty calls":            {msgs(user, m{"role": "assistant", "content": "x", "tool_calls": []any{}}), "messages[1].tool_calls", "empty_array", "tool_calls"},
		"reasoning comes back":   {msgs(user, m{"role": "assistant", "content": "x", "reasoning_content": "y"}, user), "messages[1].reasoning_content", "unknown_parameter", "reasoning_content"},
		"unanswered call":        {msgs(user, called, user), "messages.[2].role", "", "did not have response messages: c1"},
		"unanswered at the end":  {msgs(user, called), "messages.[2].role", "", "c1"},
		"orphan result":          {msgs(user, m{"role": "tool", "tool_call_id": "c9", "content": "x"}), "messages.[1].role", "", "must be a response to a preceeding message"},
		"wrong result":           {msgs(user, called, m{"role": "tool", "tool_call_id": "c9", "content": "x"}), "messages.[2].role", "", "preceeding"},
		"result without content": {msgs(user, called, m{"role": "tool", "tool_call_id": "c1"}), "messages[2].content", "missing_required_parameter", "content"},
		"image in a result": {msgs(user, called, m{"role": "tool", "tool_call_id": "c1", "content": []any{m{"type": "image_url", "image_url": m{"url": pngURL(t)}}}}),
			"messages[2].content[0].type", "invalid_value", "'image_url'"},
		"long call id": {msgs(user, m{"role": "assistant", "tool_calls": []any{m{"id": long, "type": "function", "function": m{"name": "f", "arguments": ""}}}}),
			"messages[1].tool_calls[0].id", "string_above_max_length", "length 65"},
		"doubled call id": {msgs(user, m{"role": "assistant", "tool_calls": []any{at(called, "tool_calls", 0), at(called, "tool_calls", 0)}}),
			"messages[1].tool_calls[1].id", "invalid_value", "more than once"},
		"arguments as object": {msgs(user, m{"role": "assistant", "tool_calls": []any{m{"id": "a", "type": "function", "function": m{"name": "f", "arguments": m{}}}}}),
			"messages[1].tool_calls[0].function.arguments", "invalid_type", "an object"},
		"tool name":        {fn(m{"name": "a b"}), "tools[0].function.name", "invalid_value", "pattern"},
		"long tool name":   {fn(m{"name": long}), "tools[0].function.name", "string_above_max_length", "maximum length 64"},
		"tool kind":        {chat("hi", "tools", []any{m{"type": "web"}}), "tools[0].type", "invalid_value", "'web'"},
		"doubled tool":     {chat("hi", "tools", []any{bashTool, bashTool}), "tools[1].function.name", "invalid_value", "more than once"},
		"schema no object": {fn(m{"name": "a", "parameters": m{"type": "string"}}), "tools[0].function.parameters", "invalid_function_parameters", "'type: \"object\"'"},
		"strict schema": {fn(m{"name": "a", "strict": true, "parameters": open}), "tools[0].function.parameters", "invalid_function_parameters",
			"In context=(), 'additionalProperties' is required"},
		"strict required": {fn(m{"name": "a", "strict": true, "parameters": m{"type": "object", "additionalProperties": false, "properties": m{"a": m{"type": "array", "items": open}}, "required": []any{"a"}}}),
			"tools[0].function.parameters", "invalid_function_parameters", "In context=('properties', 'a', 'items')"},
		"choice of no tool": {chat("hi", "tools", []any{bashTool}, "tool_choice", m{"type": "function", "function": m{"name": "x"}}), "tool_choice", "", "does not match any"},
		"choice word":       {chat("hi", "tools", []any{bashTool}, "tool_choice", "any"), "tool_choice", "invalid_value", "'required'"},
		"choice kind":       {chat("hi", "tools", []any{bashTool}, "tool_choice", m{"type": "x"}), "tool_choice.type", "invalid_value", "'x'"},
		"format kind":       {chat("hi", "response_format", m{"type": "xml"}), "response_format.type", "invalid_value", "'xml'"},
		"format schema": {chat("hi", "response_format", m{"type": "json_schema", "json_schema": m{"name": "s"}}), "response_format.json_schema.schema",
			"missing_required_parameter", "schema"},
		"format strict": {chat("hi", "response_format", m{"type": "json_schema", "json_schema": m{"name": "s", "strict": true, "schema": m{"type": "object", "additionalProperties": false, "properties": m{"a": m{}}}}}),
			"response_format", "", "Missing 'a'"},
		"json unnamed":  {chat("hi", "response_format", m{"type": "json_object"}), "messages", "", "must contain the word 'json'"},
		"no image":      {part(m{"type": "image_url", "image_url": m{"url": "data:image/png;base64,AAAA"}}), "messages", "invalid_image_format", "unsupported image"},
		"no image url":  {part(m{"type": "image_url", "image_url": m{"url": "a.png"}}), "messages[0].content[0].image_url.url", "invalid_value", "Expected a valid URL"},
		"bare image":    {part(m{"type": "image_url", "image_url": pngURL(t)}), "messages[0].content[0].image_url", "invalid_type", "an object"},
		"image detail":  {part(m{"type": "image_url", "image_url": m{"url": pngURL(t), "detail": "huge"}}), "messages[0].content[0].image_url.detail", "invalid_value", "'huge'"},
		"audio format":  {part(m{"type": "input_audio", "input_audio": m{"data": "AA==", "format": "ogg"}}), "messages[0].content[0].input_audio.format", "invalid_value", "'ogg'"},
		"audio data":    {part(m{"type": "input_audio", "input_audio": m{"data": "*", "format": "wav"}}), "messages[0].content[0].input_audio.data", "invalid_value", "base64"},
		"file data":     {part(m{"type": "file", "file": m{"file_data": "x"}}), "messages[0].content[0].file.file_data", "invalid_value", "data URL"},
		"file unnamed":  {part(m{"type": "file", "file": m{"file_data": "data:application/pdf;base64,AA=="}}), "messages[0].content[0].file.filename", "missing_required_parameter", "filename"},
		"part kind":     {part(m{"type": "video"}), "messages[0].content[0].type", "invalid_value", "'video'"},
		"part no text":  {part(m{"type": "text"}), "messages[0].content[0].text", "missing_required_parameter", "text"},
		"part a string": {msgs(m{"role": "user", "content": []any{"x"}}), "messages[0].content[0]", "invalid_type", "an object"},
	} {
		a := call{body: c.body}.do(t, s)
		wantStatus := 400
		if c.code == "model_not_found" {
			wantStatus = 404
		}
		e := at(a.json(t), "error")
		param, _ := at(e, "param").(string)
		code, _ := at(e, "code").(string)
		words, _ := at(e, "message").(string)
		if a.status != wantStatus || param != c.param || code != c.code || !strings.Contains(words, c.words) || at(e, "type") != "invalid_request_error" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := (call{body: chat("hi"), head: map[string]string{"Content-Type": "text/plain"}}).do(t, s); a.status != 400 {
		t.Errorf("content type: %d", a.status)
	}
}

func TestGoodChatRequestsPass(t *testing.T) {
	s := start(t)
	for name, body := range map[string]m{
		"no effort":     chat("hi", "model", "gpt-5.5", "reasoning_effort", "none", "temperature", 0.2),
		"effort":        chat("hi", "model", "gpt-5.5", "reasoning_effort", "high", "temperature", 1),
		"nulls":         chat("hi", "temperature", nil, "tools", nil, "stop", nil),
		"two results":   chat("", "messages", toolHistory(m{"role": "tool", "tool_call_id": "call_1", "content": []any{m{"type": "text", "text": "x"}}}, m{"role": "user", "content": "go on"})),
		"allowed tools": chat("hi", "tools", []any{bashTool}, "tool_choice", m{"type": "allowed_tools", "allowed_tools": m{"mode": "auto", "tools": []any{}}}),
		"refusal back":  chat("", "messages", []any{m{"role": "user", "content": "x"}, m{"role": "assistant", "content": []any{m{"type": "refusal", "refusal": "no"}}}, m{"role": "user", "content": "y"}}),
	} {
		if a := (call{body: body}).do(t, s); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	lenient := New(Options{Lenient: true})
	if err := lenient.Start(); err != nil {
		t.Fatal(err)
	}
	defer lenient.Close()
	if a := (call{body: chat("hi", "top_k", 3)}).do(t, lenient); a.status != 200 {
		t.Errorf("lenient: %s", a.body)
	}
}

func TestCompatibleVendorIsLenientAndShowsReasoning(t *testing.T) {
	s := start(t)
	body := chat("[[reasoning:thought=deep thought]]", "model", "deepseek-chat", "top_k", 3, "stream", true, "messages", []any{
		m{"role": "user", "content": []any{m{"type": "image_url", "image_url": pngURL(t)}}},
		m{"role": "assistant", "content": "x", "reasoning_content": "y"}, m{"role": "user", "content": "[[reasoning:thought=deep thought]]"}})
	a := call{upstream: Compatible, path: "/v1/chat/completions", body: body}.do(t, s)
	first, second := strings.Index(a.body, `"delta":{"reasoning_content":"deep"}`), strings.Index(a.body, `"delta":{"content":"It"}`)
	if a.status != 200 || first < 0 || second < first {
		t.Errorf("%d %s", a.status, a.body)
	}
	body["stream"] = false
	a = call{upstream: Compatible, path: "/v1/chat/completions", body: body}.do(t, s)
	if got := at(a.json(t), "choices", 0, "message", "reasoning_content"); got != "deep thought" {
		t.Errorf("%s", a.body)
	}
	a = call{body: chat("[[reasoning]]", "model", "o4-mini")}.do(t, s)
	if strings.Contains(a.body, "reasoning_content") || at(a.json(t), "usage", "completion_tokens_details", "reasoning_tokens") == 0.0 {
		t.Errorf("OpenAI itself hides the text and counts it: %s", a.body)
	}
	a = call{upstream: Compatible, path: "/v1/chat/completions", body: chat("[[think_tags:thought=hm,text=done]]", "model", "glm-5.1", "stream", true)}.do(t, s)
	if got := chatText(t, a); got != "<think>hm</think>done" || !strings.Contains(a.body, `"<th"`) {
		t.Errorf("%q", got)
	}
}

func TestModelLists(t *testing.T) {
	s := New(Options{Models: []string{"mine/x:free"}})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v := call{path: "/v1/models", method: "GET"}.do(t, s).json(t)
	if v["object"] != "list" || at(v, "data", 0, "id") != "gpt-5.5" || at(v, "data", 0, "created") != 1767225600.0 || at(v, "data", len(openAIModels)+len(imageModels), "id") != "mine/x:free" {
		t.Errorf("%v", v)
	}
	if a := (call{path: "/v1/models/mine%2Fx:free", method: "GET"}).do(t, s); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{path: "/v1/models/none", method: "GET"}).do(t, s); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{path: "/v1/audio/speech"}).do(t, s); a.status != 404 || !strings.Contains(a.body, "Invalid URL (POST /v1/audio/speech)") {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.Script("openai/models", "overload")
	if a := (call{path: "/v1/models", method: "GET"}).do(t, s); a.status != 503 {
		t.Errorf("scripted list: %d", a.status)
	}
}

func TestChatKeyIsChecked(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		head  string
		words string
		code  any
	}{
		"none":  {"", "You didn't provide an API key.", nil},
		"basic": {"Basic x", "You didn't provide", nil},
		"wrong": {"Bearer sk-abcdefghijkl-1234", "Incorrect API key provided: sk-abcde********1234.", "invalid_api_key"},
		"short": {"Bearer abc", "provided: ***.", "invalid_api_key"},
	} {
		a := call{body: chat("hi"), head: map[string]string{"Authorization": c.head}}.do(t, s)
		e := at(a.json(t), "error")
		if a.status != 401 || !strings.Contains(at(e, "message").(string), c.words) || at(e, "code") != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestEmbeddings(t *testing.T) {
	s := start(t)
	do := func(body m) answer {
		return call{path: "/v1/embeddings", body: body}.do(t, s)
	}
	a := do(m{"model": "text-embedding-3-small", "input": []any{"a", "b", "a"}, "dimensions": 4})
	v := a.json(t)
	one, three := at(v, "data", 0, "embedding"), at(v, "data", 2, "embedding")
	if diff := cmp.Diff(one, three); diff != "" || cmp.Equal(one, at(v, "data", 1, "embedding")) || len(one.([]any)) != 4 {
		t.Errorf("%s %s", diff, a.body)
	}
	b := do(m{"model": "text-embedding-3-small", "input": "a", "dimensions": 4, "encoding_format": "base64"}).json(t)
	raw, err := base64.StdEncoding.DecodeString(at(b, "data", 0, "embedding").(string))
	if err != nil || len(raw) != 16 {
		t.Fatalf("%v %v", err, b)
	}
	if got := math.Float32frombits(binary.LittleEndian.Uint32(raw)); got != float32(one.([]any)[0].(float64)) {
		t.Errorf("base64 says %v, floats say %v", got, one)
	}
	for name, body := range map[string]m{
		"no input": {"model": "text-embedding-3-small"}, "empty": {"model": "text-embedding-3-small", "input": ""},
		"objects": {"model": "text-embedding-3-small", "input": []any{m{}}}, "format": {"model": "text-embedding-3-small", "input": "a", "encoding_format": "hex"},
		"size": {"model": "text-embedding-3-small", "input": "a", "dimensions": 0}, "unknown": {"model": "text-embedding-3-small", "input": "a", "x": 1},
	} {
		if a := do(body); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := do(m{"model": "gpt-0", "input": []any{1, 2}}); a.status != 404 {
		t.Errorf("model: %d", a.status)
	}
	if a := do(m{"model": "text-embedding-3-small", "input": []any{1, 2}}); a.status != 200 || at(a.json(t), "data", 1) != nil {
		t.Errorf("token ids: %s", a.body)
	}
	s.Script("openai/embeddings", "rate_limit:retry_after=2")
	if a := do(m{"model": "text-embedding-3-small", "input": "a"}); a.status != http.StatusTooManyRequests || a.head.Get("Retry-After") != "2" {
		t.Errorf("scripted: %d %v", a.status, a.head)
	}
}

func itoa(n int) string { return string(encode(n)) }
