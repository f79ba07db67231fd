package simulator

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asks is a Responses request.
func asks(input any, more ...any) m {
	o := m{"model": "gpt-5.5", "input": input}
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] == nil {
			delete(o, more[i].(string))
			continue
		}
		o[more[i].(string)] = more[i+1]
	}
	return o
}

func (c call) responses(t *testing.T, s *Server) answer {
	t.Helper()
	c.upstream = Responses
	if c.path == "" {
		c.path = "/v1/responses"
	}
	return c.do(t, s)
}

// responseOf is the response object of an answer, streamed or not.
func responseOf(t *testing.T, a answer) m {
	t.Helper()
	if !strings.HasPrefix(a.head.Get("Content-Type"), "text/event-stream") {
		return a.json(t)
	}
	list := a.events(t)
	r, _ := list[len(list)-1].data["response"].(m)
	return r
}

// outputText is all text of the messages.
func outputText(t *testing.T, a answer) string {
	t.Helper()
	out := ""
	list, _ := responseOf(t, a)["output"].([]any)
	for _, item := range list {
		if at(item, "type") == "message" {
			s, _ := at(item, "content", 0, "text").(string)
			out += s
		}
	}
	return out
}

func kinds(list any) string {
	out := []string{}
	items, _ := list.([]any)
	for _, item := range items {
		kind, _ := at(item, "type").(string)
		out = append(out, kind)
	}
	return strings.Join(out, " ")
}

var flatTool = m{"type": "function", "name": "Bash", "description": "run", "parameters": m{"type": "object",
	"properties": m{"command": m{"type": "string"}}, "required": []any{"command"}, "additionalProperties": false}}

var patchTool = m{"type": "custom", "name": "apply_patch", "description": "patch", "format": m{"type": "grammar", "syntax": "lark", "definition": "start: /x/"}}

// said is a message item.
func said(role, text string) m {
	kind := "input_text"
	if role == "assistant" {
		kind = "output_text"
	}
	return m{"type": "message", "role": role, "content": []any{m{"type": kind, "text": text}}}
}

func TestResponsesStreamOrder(t *testing.T) {
	s := start(t)
	a := call{body: asks("[[reasoning_tool:name=Bash]] go", "stream", true, "tools", []any{flatTool}, "include", []any{"reasoning.encrypted_content"},
		"reasoning", m{"effort": "high", "summary": "auto"})}.responses(t, s)
	var got []string
	for i, e := range a.events(t) {
		if e.data["type"] != e.name || e.data["sequence_number"] != float64(i) {
			t.Fatalf("event %d: %s %v", i, e.name, e.data)
		}
		name := strings.TrimPrefix(e.name, "response.")
		if len(got) == 0 || got[len(got)-1] != name {
			got = append(got, name)
		}
	}
	want := []string{"created", "in_progress",
		"output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
		"output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
		"output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done", "completed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r := responseOf(t, a)
	if kinds(r["output"]) != "reasoning message function_call" || r["status"] != "completed" || at(r, "usage", "total_tokens") == nil {
		t.Errorf("%v", r)
	}
	if sealed, _ := at(r, "output", 0, "encrypted_content").(string); !strings.HasPrefix(sealed, "gAAAAA") || at(r, "output", 0, "summary", 0, "text") != "I should look first." {
		t.Errorf("%v", at(r, "output", 0))
	}
	if at(r, "output", 2, "arguments") != `{"command":"ls"}` || !strings.HasPrefix(at(r, "output", 2, "id").(string), "fc_") || !strings.HasPrefix(at(r, "output", 2, "call_id").(string), "call_") {
		t.Errorf("%v", at(r, "output", 2))
	}
	if !strings.Contains(a.body, `"obfuscation"`) || strings.Contains(a.body, "[DONE]") {
		t.Errorf("%s", a.body)
	}
}

func TestResponsesDeltasAddUp(t *testing.T) {
	s := start(t)
	for _, scenario := range []string{"text:text=One two three", "multi_byte", "refusal", "reasoning", "parallel_tools", "length", "no_args_tool", "big_line:mb=1"} {
		a := call{body: asks("[["+scenario+"]]", "stream", true, "stream_options", m{"include_obfuscation": false}, "tools", []any{flatTool, patchTool})}.responses(t, s)
		built := map[string]string{}
		for _, e := range a.events(t) {
			id, _ := e.data["item_id"].(string)
			switch {
			case strings.HasSuffix(e.name, ".delta"):
				piece, _ := e.data["delta"].(string)
				built[id] += piece
				if e.data["obfuscation"] != nil {
					t.Fatalf("obfuscation was not wanted: %s", e.raw)
				}
			case e.name == "response.output_item.done":
				item := e.data["item"]
				id, _ := at(item, "id").(string)
				for _, whole := range []any{at(item, "arguments"), at(item, "input"), at(item, "content", 0, "text"), at(item, "content", 0, "refusal")} {
					if whole != nil && whole != built[id] {
						t.Errorf("%s: %q was built from pieces, %q is said at the end", scenario, built[id], whole)
					}
				}
			}
		}
	}
}

func TestResponsesCustomCallStreams(t *testing.T) {
	s := start(t)
	a := call{body: asks("[[tool_call:name=apply_patch]] go", "stream", true, "tools", []any{patchTool, m{"type": "namespace", "name": "box",
		"tools": []any{m{"type": "function", "name": "open", "parameters": m{"type": "object", "properties": m{}}}}}})}.responses(t, s)
	if !strings.Contains(a.body, "event: response.custom_tool_call_input.delta") || !strings.Contains(a.body, `"input":"ls"`) {
		t.Errorf("%s", a.body)
	}
	r := responseOf(t, a)
	if at(r, "output", 1, "type") != "custom_tool_call" || !strings.HasPrefix(at(r, "output", 1, "id").(string), "ctc_") {
		t.Errorf("%v", r["output"])
	}
	a = call{body: asks("please call open", "tools", []any{m{"type": "namespace", "name": "box", "tools": []any{m{"type": "function", "name": "open"}}}})}.responses(t, s)
	if got := at(responseOf(t, a), "output", 1); at(got, "name") != "open" || at(got, "namespace") != "box" {
		t.Errorf("%v", got)
	}
}

func TestResponsesEnds(t *testing.T) {
	s := start(t)
	for scenario, want := range map[string]string{"length": "incomplete max_output_tokens", "content_filter": "incomplete content_filter", "cut_call": "incomplete max_output_tokens",
		"text": "completed <nil>", "refusal": "completed <nil>", "empty": "completed <nil>", "stop_sequence": "completed <nil>", "redacted_thinking": "completed <nil>"} {
		for _, stream := range []bool{false, true} {
			a := call{body: asks("[["+scenario+"]]", "stream", stream)}.responses(t, s)
			r := responseOf(t, a)
			reason, _ := at(r, "incomplete_details", "reason").(string)
			if reason == "" {
				reason = "<nil>"
			}
			if got := r["status"].(string) + " " + reason; got != want {
				t.Errorf("%s: %s", scenario, got)
			}
		}
	}
	a := call{body: asks("[[refusal]]", "model", "gpt-4.1")}.responses(t, s)
	if at(a.json(t), "output", 0, "content", 0, "refusal") == nil {
		t.Errorf("%s", a.body)
	}
	a = call{body: asks("[[empty_output:text=hidden]]", "stream", true)}.responses(t, s)
	if r := responseOf(t, a); len(r["output"].([]any)) != 0 || at(r, "usage", "output_tokens").(float64) < 1 || !strings.Contains(a.body, `"text":"hidden"`) {
		t.Errorf("%s", a.body)
	}
	a = call{body: asks("[[missing_done]]", "stream", true)}.responses(t, s)
	if strings.Contains(a.body, "event: response.completed") {
		t.Errorf("%s", a.body)
	}
	a = call{body: asks("[[no_usage]]")}.responses(t, s)
	if v, there := a.json(t)["usage"]; !there || v != nil {
		t.Errorf("%s", a.body)
	}
}

func TestResponsesFailuresInTheStream(t *testing.T) {
	s := start(t)
	for scenario, want := range map[string]string{"overload_in_200": "server_is_overloaded", "error_chunk": "server_error"} {
		a := call{body: asks("[["+scenario+"]] go on and on", "stream", true)}.responses(t, s)
		list := a.events(t)
		last := list[len(list)-1]
		if last.name != "response.failed" || at(last.data, "response", "error", "code") != want || at(last.data, "response", "status") != "failed" || last.data["sequence_number"] != float64(len(list)-1) {
			t.Errorf("%s: %s", scenario, last.raw)
		}
	}
	a := call{body: asks("[[overload_in_200]]")}.responses(t, s)
	if v := a.json(t); a.status != 200 || v["status"] != "failed" || at(v, "error", "code") != "server_is_overloaded" {
		t.Errorf("%s", a.body)
	}
	a = call{body: asks("[[error_event:after=1]] go", "stream", true)}.responses(t, s)
	list := a.events(t)
	if last := list[len(list)-1]; last.name != "error" || at(last.data, "error", "code") != "server_error" || last.data["sequence_number"] != float64(len(list)-1) {
		t.Errorf("%s", a.body)
	}
}

func TestResponsesRepeatsTheSettings(t *testing.T) {
	s := start(t)
	schema := m{"type": "object", "properties": m{"title": m{"type": "string"}}, "required": []any{"title"}, "additionalProperties": false}
	r := call{body: asks("name this talk", "model", "gpt-4.1", "instructions", "Be brief.", "temperature", 0.5, "top_p", 0.9, "max_output_tokens", 100, "store", false,
		"tool_choice", m{"type": "function", "name": "Bash"}, "tools", []any{flatTool, patchTool}, "metadata", m{"a": "b"}, "prompt_cache_key", "k",
		"text", m{"verbosity": "low", "format": m{"type": "json_schema", "name": "t", "schema": schema, "strict": true}})}.responses(t, s).json(t)
	for name, want := range map[string]any{"instructions": "Be brief.", "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 100.0, "store": false, "prompt_cache_key": "k",
		"parallel_tool_calls": true, "truncation": "disabled", "object": "response", "model": "gpt-4.1"} {
		if r[name] != want {
			t.Errorf("%s is %v", name, r[name])
		}
	}
	if at(r, "text", "format", "strict") != true || at(r, "tools", 0, "strict") != true || at(r, "tools", 1, "type") != "custom" || at(r, "tool_choice", "name") != "Bash" {
		t.Errorf("%v", r)
	}
	if at(r, "output", 0, "name") != "Bash" {
		t.Errorf("%v", r["output"])
	}
	a := call{body: asks("name this talk", "text", m{"format": m{"type": "json_schema", "name": "t", "schema": schema, "strict": true}})}.responses(t, s)
	if got := outputText(t, a); got != `{"title":"name this talk"}` {
		t.Errorf("%s", got)
	}
	a = call{body: asks("[[text:text=a b]]", "model", "sim-chat", "include", []any{"message.output_text.logprobs"}, "top_logprobs", 1)}.responses(t, s)
	if at(a.json(t), "output", 0, "content", 0, "logprobs", 1, "token") != " b" {
		t.Errorf("%s", a.body)
	}
}

func TestResponsesAgentLoopWithoutStore(t *testing.T) {
	s := start(t)
	body := asks([]any{said("developer", "You are Codex."), said("user", "<environment_context>x</environment_context>"), said("user", "list the files")},
		"store", false, "include", []any{"reasoning.encrypted_content"}, "tools", []any{flatTool}, "client_metadata", m{"a": "b"})
	out := responseOf(t, call{body: body}.responses(t, s))["output"].([]any)
	if kinds(out) != "reasoning function_call" {
		t.Fatalf("%v", out)
	}
	id := at(out[1], "call_id")
	history := append(body["input"].([]any), out...)
	body["input"] = append(history, m{"type": "function_call_output", "call_id": id, "output": []any{m{"type": "input_text", "text": "marker-9.txt"},
		m{"type": "input_image", "image_url": pngURL(t), "detail": "original"}}})
	if got := outputText(t, call{body: body}.responses(t, s)); got != "The Bash said: marker-9.txt (with 1 images)" {
		t.Errorf("%q", got)
	}
	// Codex sends content:null, other programs no id at all.
	thought := m{"type": "reasoning", "summary": []any{}, "content": nil, "encrypted_content": at(out[0], "encrypted_content")}
	for name, c := range map[string]struct {
		item  any
		words string
	}{
		"without an id":    {thought, ""},
		"foreign":          {m{"type": "reasoning", "summary": []any{}, "encrypted_content": "gAAAAABpsTuAforeign"}, "could not be verified. Reason: Encrypted content could not be decrypted or parsed."},
		"of another item":  {m{"type": "reasoning", "id": "rs_1", "summary": []any{}, "encrypted_content": at(out[0], "encrypted_content")}, "item_id did not match"},
		"neither":          {m{"type": "reasoning", "id": "rs_1", "summary": []any{}}, "Item with id 'rs_1' not found. Items are not persisted"},
		"no summary":       {m{"type": "reasoning", "encrypted_content": at(out[0], "encrypted_content")}, "Missing required parameter: 'input[3].summary'."},
		"of another maker": {m{"type": "reasoning", "summary": []any{}, "encrypted_content": mint("x", "claude-opus-5", 1)}, "could not be verified"},
	} {
		body["input"] = []any{history[0], history[1], history[2], c.item, out[1], m{"type": "function_call_output", "call_id": id, "output": "x"}}
		a := call{body: body}.responses(t, s)
		if (c.words == "") != (a.status == 200) || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestResponsesKeepsState(t *testing.T) {
	s := start(t)
	first := call{body: asks("list the files", "tools", []any{flatTool})}.responses(t, s).json(t)
	id := first["id"].(string)
	a := call{body: asks([]any{m{"type": "function_call_output", "call_id": at(first, "output", 1, "call_id"), "output": "marker-2.txt"}}, "previous_response_id", id, "tools", []any{flatTool})}.responses(t, s)
	if got := outputText(t, a); got != "The Bash said: marker-2.txt" || a.json(t)["previous_response_id"] != id {
		t.Errorf("%s", a.body)
	}
	a = call{body: asks("and now?", "previous_response_id", id)}.responses(t, s)
	if a.status != 400 || !strings.Contains(a.body, "No tool output found for function call call_") {
		t.Errorf("%s", a.body)
	}
	item := at(first, "output", 1).(m)
	output := m{"type": "function_call_output", "call_id": item["call_id"], "output": "x"}
	ref := func(v any) m { return m{"type": "item_reference", "id": at(v, "id")} }
	for name, c := range map[string]struct {
		input []any
		words string
	}{
		"references":           {[]any{said("user", "hi"), ref(at(first, "output", 0)), ref(item), output}, ""},
		"call without thought": {[]any{said("user", "hi"), item, output}, "of type 'function_call' was provided without its required 'reasoning' item: 'rs_"},
		"thought alone":        {[]any{said("user", "hi"), at(first, "output", 0), said("user", "go on")}, "of type 'reasoning' was provided without its required following item."},
		"thought at the end":   {[]any{said("user", "hi"), at(first, "output", 0)}, "without its required following item."},
		"twice":                {[]any{said("user", "hi"), at(first, "output", 0), item, output, at(first, "output", 0), item, output}, "Duplicate item found with id rs_"},
		"unknown reference":    {[]any{m{"type": "item_reference", "id": "msg_0"}}, "Item with id 'msg_0' not found."},
	} {
		a := call{body: asks(c.input, "tools", []any{flatTool})}.responses(t, s)
		if (c.words == "") != (a.status == 200) || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	get := call{method: "GET", path: "/v1/responses/" + id}.responses(t, s)
	if get.status != 200 || get.json(t)["id"] != id || kinds(get.json(t)["output"]) != "reasoning function_call" {
		t.Errorf("%s", get.body)
	}
	if a := (call{method: "GET", path: "/v1/responses/" + id + "/input_items"}).responses(t, s); kinds(a.json(t)["data"]) != "message" {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/v1/responses/" + id + "/cancel"}).responses(t, s); a.status != 400 {
		t.Errorf("%s", a.body)
	}
	if a := (call{method: "DELETE", path: "/v1/responses/" + id}).responses(t, s); a.json(t)["deleted"] != true {
		t.Errorf("%s", a.body)
	}
	for _, path := range []string{"", "/input_items"} {
		if a := (call{method: "GET", path: "/v1/responses/" + id + path}).responses(t, s); a.status != 404 {
			t.Errorf("%s", a.body)
		}
	}
	later := call{body: asks("hi", "background", true)}.responses(t, s).json(t)
	if later["status"] != "queued" {
		t.Errorf("%v", later)
	}
	if a := (call{method: "GET", path: "/v1/responses/" + later["id"].(string)}).responses(t, s); a.json(t)["status"] != "completed" {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/v1/responses/" + later["id"].(string) + "/cancel"}).responses(t, s); a.status != 200 {
		t.Errorf("%s", a.body)
	}
	gone := call{body: asks("hi", "store", false)}.responses(t, s).json(t)["id"]
	a = call{body: asks("hi", "previous_response_id", gone)}.responses(t, s)
	if a.status != 400 || at(a.json(t), "error", "code") != "previous_response_not_found" {
		t.Errorf("%s", a.body)
	}
	for range mostKept + 1 {
		call{body: asks("hi")}.responses(t, s)
	}
	if a := (call{method: "GET", path: "/v1/responses/" + later["id"].(string)}).responses(t, s); a.status != 404 {
		t.Errorf("the store grows without end: %s", a.body)
	}
}

func TestResponsesRefusesWhatTheServiceRefuses(t *testing.T) {
	s := start(t)
	callItem := m{"type": "function_call", "call_id": "c1", "name": "Bash", "arguments": "{}"}
	outItem := m{"type": "function_call_output", "call_id": "c1", "output": "x"}
	with := func(o m, more ...any) m {
		out := m{}
		for k, v := range o {
			out[k] = v
		}
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	user := said("user", "hi")
	loose := m{"type": "object", "properties": m{"a": m{"type": "string"}}}
	for name, c := range map[string]struct {
		body  any
		param any
		words string
	}{
		"no model":             {asks("hi", "model", nil), "model", "Missing required parameter: 'model'."},
		"no such model":        {asks("hi", "model", "gpt-0"), nil, "does not exist"},
		"an embedding model":   {asks("hi", "model", "text-embedding-3-small"), nil, "does not exist"},
		"nothing":              {asks(nil, "input", nil), "input", "must be provided"},
		"chat's messages":      {asks("hi", "messages", []any{}), "messages", "has moved to 'input'"},
		"chat's format":        {asks("hi", "response_format", m{}), "response_format", "has moved to 'text.format'"},
		"chat's limit":         {asks("hi", "max_tokens", 5), "max_tokens", "has moved to 'max_output_tokens'"},
		"chat's effort":        {asks("hi", "reasoning_effort", "low"), "reasoning_effort", "has moved to 'reasoning.effort'"},
		"stop":                 {asks("hi", "stop", "x"), "stop", "Unknown parameter: 'stop'."},
		"small limit":          {asks("hi", "max_output_tokens", 5), "max_output_tokens", "Expected a value >= 16, but got 5 instead."},
		"input of a kind":      {asks(5), "input", "Invalid type for 'input'"},
		"item of a kind":       {asks([]any{5}), "input[0]", "expected an object"},
		"unknown item":         {asks([]any{m{"type": "thing"}}), "input[0].type", "Invalid value: 'thing'"},
		"item without type":    {asks([]any{m{"id": "x"}}), "input[0].type", "Missing required parameter: 'input[0].type'."},
		"tool role":            {asks([]any{m{"role": "tool", "content": "x"}}), "input[0].role", "Supported values are: 'assistant', 'system', 'developer', 'user'."},
		"no content":           {asks([]any{m{"role": "user"}}), "input[0].content", "Missing required parameter: 'input[0].content'."},
		"content of a kind":    {asks([]any{m{"role": "user", "content": 5}}), "input[0].content", "array of objects or string"},
		"unknown member":       {asks([]any{with(user, "name", "x")}), "input[0].name", "Unknown parameter: 'input[0].name'."},
		"a phase":              {asks([]any{with(user, "phase", "x")}), "input[0].phase", "Invalid value: 'x'"},
		"user's output_text":   {asks([]any{m{"role": "user", "content": []any{m{"type": "output_text", "text": "x"}}}}), "input[0].content[0]", "Invalid value: 'output_text'"},
		"assistant's input":    {asks([]any{m{"role": "assistant", "content": []any{m{"type": "input_text", "text": "x"}}}}), "input[0].content[0]", "Supported values are: 'output_text', 'refusal'."},
		"chat's text part":     {asks([]any{m{"role": "user", "content": []any{m{"type": "text", "text": "x"}}}}), "input[0].content[0]", "Invalid value: 'text'"},
		"chat's image part":    {asks([]any{m{"role": "user", "content": []any{m{"type": "input_image", "image_url": m{"url": pngURL(t)}}}}}), "input[0].content[0].image_url", "expected an image URL, but got an object"},
		"no image":             {asks([]any{m{"role": "user", "content": []any{m{"type": "input_image"}}}}), "input[0].content[0].image_url", "Missing required parameter"},
		"not an image":         {asks([]any{m{"role": "user", "content": []any{m{"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8="}}}}), "input[0].content[0].image_url", "valid image"},
		"not an address":       {asks([]any{m{"role": "user", "content": []any{m{"type": "input_image", "image_url": "x.png"}}}}), "input[0].content[0].image_url", "Expected a valid URL"},
		"file without a name":  {asks([]any{m{"role": "user", "content": []any{m{"type": "input_file", "file_data": "data:application/pdf;base64,aGk="}}}}), "input[0].content[0].filename", "Missing"},
		"file that is none":    {asks([]any{m{"role": "user", "content": []any{m{"type": "input_file", "file_data": "hello", "filename": "a"}}}}), "input[0].content[0].file_data", "base64-encoded data URL"},
		"call's id":            {asks([]any{user, with(callItem, "id", "call_1"), outItem}), "input[1].id", "Invalid 'input[1].id': 'call_1'. Expected an ID that begins with 'fc'."},
		"thought's id":         {asks([]any{user, m{"type": "reasoning", "id": "think_1", "summary": []any{}}}), "input[1].id", "begins with 'rs'"},
		"message's id":         {asks([]any{with(user, "id", "x1")}), "input[0].id", "begins with 'msg'"},
		"long call id":         {asks([]any{user, with(callItem, "call_id", strings.Repeat("c", 65))}), "input[1].call_id", "maximum length 64, but got a string with length 65"},
		"empty call id":        {asks([]any{user, with(callItem, "call_id", "")}), "input[1].call_id", "empty string"},
		"arguments as object":  {asks([]any{user, with(callItem, "arguments", m{}), outItem}), "input[1].arguments", "expected a string, but got an object"},
		"name of a call":       {asks([]any{user, with(callItem, "name", "a b"), outItem}), "input[1].name", "does not match pattern"},
		"call alone":           {asks([]any{user, callItem}), "input", "No tool output found for function call c1."},
		"output alone":         {asks([]any{user, outItem}), "input", "No tool call found for function call output with call_id c1."},
		"output missing":       {asks([]any{user, callItem, m{"type": "function_call_output", "call_id": "c1"}}), "input[2].output", "Missing required parameter"},
		"nested function":      {asks("hi", "tools", []any{bashTool}), "tools[0].name", "Missing required parameter: 'tools[0].name'."},
		"unknown tool":         {asks("hi", "tools", []any{m{"type": "thing"}}), "tools[0].type", "Invalid value: 'thing'"},
		"tool of a kind":       {asks("hi", "tools", []any{5}), "tools[0]", "expected an object"},
		"tool member":          {asks("hi", "tools", []any{with(flatTool, "input_schema", m{})}), "tools[0].input_schema", "Unknown parameter"},
		"strict schema":        {asks("hi", "tools", []any{m{"type": "function", "name": "a", "strict": true, "parameters": loose}}), "tools[0].parameters", "'additionalProperties' is required to be supplied and to be false."},
		"schema of a kind":     {asks("hi", "tools", []any{m{"type": "function", "name": "a", "parameters": m{"type": "string"}}}), "tools[0].parameters", "type: \\\"object\\\""},
		"tool choice":          {asks("hi", "tool_choice", m{"type": "function", "name": "x"}), "tool_choice", "Tool choice 'x' not found in 'tools' parameter."},
		"chat's tool choice":   {asks("hi", "tools", []any{flatTool}, "tool_choice", m{"type": "function", "function": m{"name": "Bash"}}), "tool_choice.name", "Missing required parameter"},
		"choice of the server": {asks("hi", "tool_choice", m{"type": "web_search"}), "tool_choice", "Tool choice 'web_search' not found"},
		"required alone":       {asks("hi", "tool_choice", "required"), "tool_choice", "must be specified with 'tools'"},
		"nested schema":        {asks("hi", "text", m{"format": m{"type": "json_schema", "json_schema": m{}}}), "text.format.name", "Missing required parameter: 'text.format.name'."},
		"loose schema":         {asks("hi", "text", m{"format": m{"type": "json_schema", "name": "x", "strict": true, "schema": loose}}), "text.format.schema", "Invalid schema for response_format 'x'"},
		"json without json":    {asks("hi", "text", m{"format": m{"type": "json_object"}}), "input", "must contain the word 'json'"},
		"format":               {asks("hi", "text", m{"format": m{"type": "xml"}}), "text.format.type", "Invalid value: 'xml'"},
		"format of a kind":     {asks("hi", "text", m{"format": "text"}), "text.format", "expected an object"},
		"verbosity":            {asks("hi", "text", m{"verbosity": "big"}), "text.verbosity", "Invalid value: 'big'"},
		"include":              {asks("hi", "include", []any{"all"}), "include", "Invalid value: 'all'"},
		"temperature":          {asks("hi", "temperature", 0.2), "temperature", "Unsupported parameter: 'temperature' is not supported with this model."},
		"top_p":                {asks("hi", "top_p", 0.2), "top_p", "not supported with this model"},
		"effort":               {asks("hi", "model", "gpt-4.1", "reasoning", m{"effort": "low"}), "reasoning.effort", "Unsupported parameter: 'reasoning.effort'"},
		"effort's value":       {asks("hi", "reasoning", m{"effort": "big"}), "reasoning.effort", "Invalid value: 'big'"},
		"summary's value":      {asks("hi", "reasoning", m{"summary": "long"}), "reasoning.summary", "Invalid value: 'long'"},
		"sealed thoughts":      {asks("hi", "model", "gpt-4.1", "include", []any{"reasoning.encrypted_content"}), "include", "Encrypted content is not supported with this model."},
		"stream options":       {asks("hi", "stream_options", m{}), "stream_options", "only allowed when 'stream' is enabled"},
		"chat's usage":         {asks("hi", "stream", true, "stream_options", m{"include_usage": true}), "stream_options.include_usage", "Unknown parameter"},
		"two histories":        {asks("hi", "previous_response_id", "r", "conversation", "c"), "previous_response_id", "Mutually exclusive"},
		"conversation":         {asks("hi", "conversation", "conv_1"), "conversation", "not found"},
		"background":           {asks("hi", "background", true, "store", false), "background", "store"},
		"metadata":             {asks("hi", "metadata", m{"a": 1}), "metadata.a", "expected a string"},
		"not JSON":             {"{", nil, "could not parse the JSON body"},
		"compaction":           {asks([]any{m{"type": "compaction", "encrypted_content": "x"}}), nil, "could not be verified"},
	} {
		a := call{body: c.body}.responses(t, s)
		if (a.status != 400 && a.status != 404) || !strings.Contains(a.body, c.words) || at(a.json(t), "error", "param") != c.param {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for name, body := range map[string]m{
		"codex's foreign ids":  asks([]any{user, with(callItem, "id", "fc_0", "status", "completed"), with(outItem, "id", "fco_0")}),
		"late system message":  asks([]any{user, said("assistant", "a"), said("developer", "b"), user}),
		"items of other tools": asks([]any{user, m{"type": "tool_search_call", "call_id": "t1", "execution": "client", "arguments": m{}}, m{"type": "tool_search_output", "call_id": "t1", "tools": []any{flatTool}}, m{"type": "web_search_call", "id": "ws_1", "status": "completed"}}),
		"shell":                asks([]any{user, m{"type": "shell_call", "call_id": "s1"}, m{"type": "shell_call_output", "call_id": "s1", "output": []any{}}}),
		"no effort":            asks("hi", "reasoning", m{"effort": "none"}, "temperature", 0.2),
		"everything for sim":   asks("hi", "model", "sim-chat", "reasoning", m{"effort": "low", "summary": "auto"}, "temperature", 0.2, "include", []any{"reasoning.encrypted_content"}),
		"documents":            asks([]any{m{"role": "user", "content": []any{m{"type": "input_file", "file_url": "https://example.test/a.pdf"}, m{"type": "input_image", "file_id": "file-1"}, m{"type": "input_audio", "input_audio": m{"data": "aGk=", "format": "wav"}}}}}),
		"allowed tools":        asks("hi", "tools", []any{flatTool}, "tool_choice", m{"type": "allowed_tools", "mode": "auto", "tools": []any{m{"type": "function", "name": "Bash"}}}),
	} {
		if a := (call{body: body}).responses(t, s); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestResponsesRefusals(t *testing.T) {
	s := start(t)
	for scenario, want := range map[string]string{
		"rate_limit:retry_after=7": "429 requests rate_limit_exceeded", "insufficient_quota": "429 insufficient_quota insufficient_quota", "unauthorized": "401 invalid_request_error invalid_api_key",
		"context_too_long": "400 invalid_request_error context_length_exceeded", "server_error": "500 server_error <nil>", "overload": "503 server_error <nil>", "not_found": "404 invalid_request_error model_not_found",
	} {
		a := call{body: asks("[["+scenario+"]]", "stream", true)}.responses(t, s)
		code, _ := at(a.json(t), "error", "code").(string)
		if code == "" {
			code = "<nil>"
		}
		if got := strconv.Itoa(a.status) + " " + at(a.json(t), "error", "type").(string) + " " + code; got != want {
			t.Errorf("%s: %s", scenario, got)
		}
	}
	if a := (call{body: asks("hi"), head: map[string]string{"Authorization": ""}}).responses(t, s); a.status != 401 {
		t.Errorf("%s", a.body)
	}
	if a := (call{method: "PUT"}).responses(t, s); a.status != 404 {
		t.Errorf("%s", a.body)
	}
}

func TestResponsesCountsAndCompacts(t *testing.T) {
	s := start(t)
	a := call{path: "/v1/responses/input_tokens", body: asks("how long is this?")}.responses(t, s)
	if v := a.json(t); v["object"] != "response.input_tokens" || v["input_tokens"].(float64) < 5 {
		t.Errorf("%s", a.body)
	}
	history := []any{said("user", "one"), said("assistant", "two"), m{"role": "user", "content": "three"}}
	a = call{path: "/v1/responses/compact", body: asks(history)}.responses(t, s)
	v := a.json(t)
	if v["object"] != "response.compaction" || kinds(v["output"]) != "message message compaction" || at(v, "output", 1, "content", 0, "text") != "three" {
		t.Fatalf("%s", a.body)
	}
	a = call{body: asks(append(v["output"].([]any), said("user", "and on?")))}.responses(t, s)
	if a.status != 200 || outputText(t, a) == "" {
		t.Errorf("%s", a.body)
	}
	if a := (call{path: "/v1/responses/compact", body: asks("x", "stream", true)}).responses(t, s); a.status != 400 || at(a.json(t), "error", "param") != "stream" {
		t.Errorf("%s", a.body)
	}
	if a := (call{method: "GET", path: "/v1/models"}).responses(t, s); a.status != 200 || !strings.Contains(a.body, "gpt-5.5") {
		t.Errorf("%s", a.body)
	}
	s.Script(Responses+"/compact", "rate_limit")
	if a := (call{path: "/v1/responses/compact", body: asks("x")}).responses(t, s); a.status != 429 {
		t.Errorf("%s", a.body)
	}
}

func TestEncryptedContentIsOurs(t *testing.T) {
	sealed := encrypt("rs_1", 7)
	if item, ok := decrypt(sealed); !ok || item != "rs_1" || sealed != encrypt("rs_1", 7) || sealed == encrypt("rs_1", 8) {
		t.Errorf("%s %s", sealed, item)
	}
	raw, err := base64.URLEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if _, ok := decrypt(base64.URLEncoding.EncodeToString(raw)); ok {
			t.Errorf("changed at %d and accepted", i)
		}
		raw[i] ^= 1
	}
	if _, ok := decrypt(sealed[:40]); ok {
		t.Error("half of it is accepted")
	}
}
