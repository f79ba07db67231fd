package simulator

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var claudeBash = m{"name": "Bash", "description": "run", "input_schema": m{"type": "object",
	"properties": m{"command": m{"type": "string"}, "description": m{"type": "string"}}, "required": []any{"command", "description"}}}

func user(blocks ...any) m      { return m{"role": "user", "content": append([]any{}, blocks...)} }
func assistant(blocks ...any) m { return m{"role": "assistant", "content": blocks} }
func textB(s string) m          { return m{"type": "text", "text": s} }
func use(id string) m {
	return m{"type": "tool_use", "id": id, "name": "Bash", "input": m{"command": "ls"}}
}
func gave(id, s string) m      { return m{"type": "tool_result", "tool_use_id": id, "content": s} }
func claudeMsgs(list ...any) m { return claudeSays("", "messages", append([]any{}, list...)) }

func with(o m, pairs ...any) m {
	for i := 0; i+1 < len(pairs); i += 2 {
		o[pairs[i].(string)] = pairs[i+1]
	}
	return o
}

func marked(b m, ttl string) m {
	c := m{"type": "ephemeral"}
	if ttl != "" {
		c["ttl"] = ttl
	}
	return with(b, "cache_control", c)
}

func TestClaudeStreamOrder(t *testing.T) {
	s := start(t)
	body := claudeSays("[[reasoning_tool:thought=hm,in=120,out=34,cached=96,reasoning=20]]", "stream", true, "tools", []any{claudeBash})
	a := call{upstream: Anthropic, body: body}.do(t, s)
	seal := ""
	for _, e := range a.events(t) {
		if sig, ok := at(e.data, "delta", "signature").(string); ok {
			seal = sig
		}
	}
	if !verify("hm", seal) || verify("hm.", seal) {
		t.Errorf("signature %q", seal)
	}
	want := `event: message_start
data: {"type":"message_start","message":{"id":"msg_000000000000000000000001","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":24,"cache_creation_input_tokens":0,"cache_read_input_tokens":96,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1}}}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"SEAL"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Looking."}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_000000000000000000000003","name":"Bash","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"comman"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"d\":\"ls\","}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"descrip"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"tion\":\"L"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"ist the "}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"files\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":24,"cache_creation_input_tokens":0,"cache_read_input_tokens":96,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":34,"output_tokens_details":{"thinking_tokens":20}}}

event: message_stop
data: {"type":"message_stop"}

`
	if diff := cmp.Diff(strings.Replace(want, "SEAL", seal, 1), a.body); diff != "" {
		t.Error(diff)
	}
}

func TestClaudeWholeAnswer(t *testing.T) {
	s := start(t)
	v := call{upstream: Anthropic, body: claudeSays("[[reasoning:thought=hm,text=four]]")}.do(t, s).json(t)
	seal, _ := at(v, "content", 0, "signature").(string)
	want := []any{m{"type": "thinking", "thinking": "hm", "signature": seal}, m{"type": "text", "text": "four"}}
	if diff := cmp.Diff(want, v["content"]); diff != "" || !verify("hm", seal) {
		t.Error(diff, seal)
	}
	if v["stop_reason"] != "end_turn" || at(v, "usage", "service_tier") != "standard" || v["type"] != "message" {
		t.Errorf("%v", v)
	}
}

// TestSignatureLooksLikeClaudes takes the envelope apart as a reader of
// unknown signatures does.
func TestSignatureLooksLikeClaudes(t *testing.T) {
	seal := mint("thought", "claude-opus-4-8", 7)
	raw, err := base64.StdEncoding.DecodeString(seal)
	if err != nil || seal[0] != 'E' || len(seal) < 50 {
		t.Fatalf("%q %v", seal, err)
	}
	body, ok := take(raw, 2)
	inner, ok2 := take(body, 1)
	if !ok || !ok2 || inner[0] != 8 || inner[1] != 12 {
		t.Errorf("field 2 -> field 1 is %x", inner)
	}
	if name, ok := take(inner[2:], 6); !ok || string(name) != "claude-opus-4-8" {
		t.Errorf("field 6 is %q", name)
	}
	for _, bad := range []string{"", "*", "EqQB", seal[:40], base64.StdEncoding.EncodeToString([]byte(seal)), mint("other", "m", 7)} {
		if verify("thought", bad) {
			t.Errorf("%q verified", bad)
		}
	}
}

func TestClaudeToolLoopWithThinking(t *testing.T) {
	s := start(t)
	thinking := m{"type": "enabled", "budget_tokens": 2000}
	body := claudeSays("[[tool_call]]", "max_tokens", 4000, "thinking", thinking, "tools", []any{claudeBash})
	v := call{upstream: Anthropic, body: body}.do(t, s).json(t)
	if at(v, "content", 0, "type") != "thinking" || at(v, "content", 1, "type") != "tool_use" || v["stop_reason"] != "tool_use" {
		t.Fatalf("%v", v)
	}
	id := at(v, "content", 1, "id").(string)
	result := m{"type": "tool_result", "tool_use_id": id, "is_error": true, "content": []any{textB("no marker-9"),
		m{"type": "image", "source": m{"type": "base64", "media_type": "image/png", "data": base64.StdEncoding.EncodeToString(pngImage(t, 3, 2))}}}}
	first := user(textB("[[tool_call]]"), textB("<system-reminder>x</system-reminder>"))
	body["messages"] = []any{first, m{"role": "assistant", "content": v["content"]}, user(result)}
	a := call{upstream: Anthropic, body: body}.do(t, s)
	if got := claudeText(t, a); got != "The Bash failed with: no marker-9 (with 1 images)" {
		t.Errorf("%d %q %s", a.status, got, a.body)
	}
	// Changed thoughts, lost thoughts and foreign thoughts are refused.
	for name, c := range map[string]struct {
		blocks []any
		words  string
	}{
		"changed": {[]any{m{"type": "thinking", "thinking": "x", "signature": at(v, "content", 0, "signature")}, use("a")}, "messages.1.content.0: Invalid `signature` in `thinking` block"},
		"foreign": {[]any{m{"type": "thinking", "thinking": "x", "signature": "pb1.gemini.call.Q3B3Qg"}, use("a")}, "messages.1.content.0: Invalid `signature` in `thinking` block"},
		"lost":    {[]any{use("a")}, "Expected `thinking` or `redacted_thinking`, but found `tool_use`"},
		"unsaid":  {[]any{m{"type": "redacted_thinking", "data": "x"}, use("a")}, "Invalid `data` in `redacted_thinking` block"},
	} {
		body["messages"] = []any{first, assistant(c.blocks...), user(gave("a", "x"))}
		if a := (call{upstream: Anthropic, body: body}).do(t, s); a.status != 400 || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestHiddenAndRedactedThoughtsComeBack(t *testing.T) {
	s := start(t)
	body := claudeSays("hi", "model", "claude-opus-4-8", "thinking", m{"type": "adaptive", "display": "omitted"}, "output_config", m{"effort": "high"})
	v := call{upstream: Anthropic, body: body}.do(t, s).json(t)
	if at(v, "content", 0, "thinking") != "" {
		t.Fatalf("%v", v)
	}
	s.Script(Anthropic, "redacted_thinking")
	r := call{upstream: Anthropic, body: body}.do(t, s).json(t)
	if at(r, "content", 0, "type") != "redacted_thinking" {
		t.Fatalf("%v", r)
	}
	body["messages"] = []any{user(textB("a")), m{"role": "assistant", "content": v["content"]}, user(textB("b")), m{"role": "assistant", "content": r["content"]}, user(textB("c"))}
	if a := (call{upstream: Anthropic, body: body}).do(t, s); a.status != 200 || !strings.Contains(claudeText(t, a), "thoughts returned: 2") {
		t.Errorf("%d %s", a.status, a.body)
	}
	a := call{upstream: Anthropic, body: claudeSays("[[redacted_thinking]]", "stream", true)}.do(t, s)
	if !strings.Contains(a.body, `"content_block":{"type":"redacted_thinking","data":"E`) {
		t.Errorf("%s", a.body)
	}
}

func TestClaudeEchoListsWhatArrived(t *testing.T) {
	s := start(t)
	png := base64.StdEncoding.EncodeToString(pngImage(t, 3, 2))
	body := claudeMsgs(user(textB("first")), assistant(textB("ok")), user(textB("look"),
		m{"type": "image", "source": m{"type": "base64", "media_type": "image/png", "data": png}},
		m{"type": "image", "source": m{"type": "url", "url": "https://example.test/a.png"}},
		m{"type": "image", "source": m{"type": "file", "file_id": "f1"}},
		m{"type": "document", "title": "T", "source": m{"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
		m{"type": "document", "source": m{"type": "text", "media_type": "text/plain", "data": "abc"}},
		m{"type": "document", "source": m{"type": "url", "url": "https://example.test/a.pdf"}}),
		m{"role": "system", "content": "Date: today."})
	with(body, "model", "claude-opus-4-8", "system", []any{textB("Be brief."), marked(textB("Very."), "")})
	want := "You said: look\nimages: 3 (image/png 3x2 " + itoa(len(pngImage(t, 3, 2))) + " bytes; https://example.test/a.png; f1)\n" +
		"documents: 3 (application/pdf T 5 bytes; text/plain 3 bytes; url)\nsystem prompt: Be brief.\nVery.\nsystem word in between: Date: today.\nmessages: 4"
	if diff := cmp.Diff(want, claudeText(t, call{upstream: Anthropic, body: body}.do(t, s))); diff != "" {
		t.Error(diff)
	}
}

func TestClaudeRefusals(t *testing.T) {
	s := start(t)
	hi := user(textB("hi"))
	tool := func(pairs ...any) m {
		return claudeSays("hi", "tools", []any{with(m{"name": "a", "input_schema": m{"type": "object"}}, pairs...)})
	}
	part := func(b m) m { return claudeMsgs(user(b)) }
	img := func(kind, data string) m {
		return part(m{"type": "image", "source": m{"type": "base64", "media_type": kind, "data": data}})
	}
	doc := func(kind, mime, data string) m {
		return part(m{"type": "document", "source": m{"type": kind, "media_type": mime, "data": data}})
	}
	png := base64.StdEncoding.EncodeToString(pngImage(t, 1, 1))
	think := func(pairs ...any) m {
		return claudeSays("hi", append([]any{"max_tokens", 4000, "thinking", m{"type": "enabled", "budget_tokens": 2000}}, pairs...)...)
	}
	modern := func(list ...any) m { return with(claudeMsgs(list...), "model", "claude-opus-4-8") }
	sys := m{"role": "system", "content": "x"}
	for name, c := range map[string]struct {
		body  any
		words string
	}{
		"not JSON":            {"{", "not valid JSON"},
		"no object":           {"[]", "valid dictionary"},
		"unknown field":       {claudeSays("hi", "n", 2), "n: Extra inputs are not permitted"},
		"beta field":          {claudeSays("hi", "context_management", m{}), "context_management: Extra inputs are not permitted"},
		"no max_tokens":       {m{"model": "claude-opus-5", "messages": []any{hi}}, "max_tokens: Field required"},
		"no messages":         {m{"model": "claude-opus-5", "max_tokens": 1}, "messages: Field required"},
		"empty messages":      {claudeMsgs(), "messages: at least one message is required"},
		"wrong kind":          {claudeSays("hi", "max_tokens", "many"), "max_tokens: Input should be a valid integer"},
		"too many tokens":     {claudeSays("hi", "max_tokens", 64001), "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens"},
		"negative":            {claudeSays("hi", "max_tokens", -1), "max_tokens: Input should be greater than or equal to 0"},
		"too warm":            {claudeSays("hi", "temperature", 1.5), "temperature: Input should be between 0 and 1"},
		"temperature, top_p":  {claudeSays("hi", "temperature", 1, "top_p", 0.9), "cannot both be specified"},
		"modern temperature":  {claudeSays("hi", "model", "claude-sonnet-5", "temperature", 0.5), "`temperature` is deprecated for this model."},
		"blank stop":          {claudeSays("hi", "stop_sequences", []any{" "}), "stop_sequences: each stop sequence must contain non-whitespace"},
		"metadata":            {claudeSays("hi", "metadata", m{"x": "y"}), "metadata.x: Extra inputs are not permitted"},
		"user id":             {claudeSays("hi", "metadata", m{"user_id": 5}), "metadata.user_id: Input should be a valid string"},
		"empty model":         {claudeSays("hi", "model", ""), "model: String should have at least 1 character"},
		"role":                {claudeMsgs(m{"role": "tool", "content": "x"}), "messages: Unexpected role \\\"tool\\\""},
		"old system role":     {claudeMsgs(hi, sys), "messages: Unexpected role \\\"system\\\""},
		"system first":        {modern(sys, hi), "first message must use the \\\"user\\\" role"},
		"system after answer": {modern(hi, assistant(textB("x")), sys), "`system` messages must follow a `user` message"},
		"system before user":  {modern(hi, sys, hi), "`system` messages must be last or be followed by an `assistant` message"},
		"two system":          {modern(hi, sys, sys), "`system` messages must"},
		"assistant first":     {claudeMsgs(assistant(textB("x")), hi), "first message must use the \\\"user\\\" role"},
		"no dictionary":       {claudeMsgs("hi"), "messages.0: Input should be a valid dictionary"},
		"extra in message":    {claudeMsgs(with(user(textB("x")), "name", "a")), "messages.0.name: Extra inputs are not permitted"},
		"no content":          {claudeMsgs(m{"role": "user"}), "messages.0.content: Field required"},
		"number content":      {claudeMsgs(m{"role": "user", "content": 4}), "messages.0.content: Input should be a valid string or list"},
		"empty string":        {claudeMsgs(m{"role": "user", "content": ""}), "must have non-empty content"},
		"empty list":          {claudeMsgs(user()), "must have non-empty content"},
		"string block":        {claudeMsgs(user("x")), "messages.0.content.0: Input should be a valid dictionary"},
		"empty text":          {part(textB("")), "messages: text content blocks must be non-empty"},
		"blank text":          {part(textB(" \n")), "messages: text content blocks must contain non-whitespace text"},
		"no text":             {part(m{"type": "text"}), "messages.0.content.0.text.text: Field required"},
		"text a number":       {part(m{"type": "text", "text": 1}), "Input should be a valid string"},
		"extra in block":      {part(with(textB("x"), "id", "a")), "messages.0.content.0.text.id: Extra inputs are not permitted"},
		"unknown block":       {part(m{"type": "video"}), "Input tag 'video' found using 'type'"},
		"wrong side":          {part(use("a")), "`tool_use` blocks are not permitted in `user` messages"},
		"empty system":        {claudeSays("hi", "system", []any{textB("")}), "system: text content blocks must be non-empty"},
		"system image":        {claudeSays("hi", "system", []any{m{"type": "image"}}), "system.0: Input should be a valid text block"},
		"system number":       {claudeSays("hi", "system", 5), "system: Input should be a valid string or list"},
		"white space at end":  {claudeMsgs(hi, assistant(textB("x "))), "final assistant content cannot end with trailing whitespace"},
		"prefill":             {modern(hi, assistant(textB("x"))), "does not support assistant message prefill"},
		"unanswered":          {claudeMsgs(hi, assistant(use("a"), use("b")), user(gave("a", "x"))), "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b."},
		"unanswered at end":   {claudeMsgs(hi, assistant(use("a"))), "messages.1: `tool_use` ids were found without"},
		"text before result":  {claudeMsgs(hi, assistant(use("a")), user(textB("x"), gave("a", "x"))), "ids were found without `tool_result` blocks immediately after: a"},
		"orphan result":       {claudeMsgs(user(gave("a", "x"))), "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a."},
		"two results":         {claudeMsgs(hi, assistant(use("a")), user(gave("a", "x"), gave("a", "y"))), "each tool_use must have a single result"},
		"same id twice":       {claudeMsgs(hi, assistant(use("a"), use("a")), user(gave("a", "x"))), "messages.1: `tool_use` ids must be unique"},
		"id pattern":          {claudeMsgs(hi, assistant(use("a.b")), user(gave("a.b", "x"))), "messages.1.content.0.tool_use.id: String should match pattern"},
		"result id pattern":   {claudeMsgs(hi, assistant(use("a")), user(gave("a.b", "x"))), "tool_result.tool_use_id: String should match pattern"},
		"result without id":   {claudeMsgs(hi, assistant(use("a")), user(m{"type": "tool_result", "content": "x"})), "tool_use_id: Field required"},
		"result number":       {claudeMsgs(hi, assistant(use("a")), user(m{"type": "tool_result", "tool_use_id": "a", "content": 5})), "tool_result.content: Input should be a valid string or list"},
		"result of a video":   {claudeMsgs(hi, assistant(use("a")), user(m{"type": "tool_result", "tool_use_id": "a", "content": []any{m{"type": "video"}}})), "tool_result.content.0: Input tag 'video'"},
		"input a string":      {claudeMsgs(hi, assistant(with(use("a"), "input", "{}")), user(gave("a", "x"))), "tool_use.input: Input should be a valid dictionary"},
		"no input":            {claudeMsgs(hi, assistant(with(use("a"), "input", nil)), user(gave("a", "x"))), "tool_use.input: Field required"},
		"call name":           {claudeMsgs(hi, assistant(with(use("a"), "name", "a b")), user(gave("a", "x"))), "tool_use.name: String should match"},
		"unsigned":            {claudeMsgs(hi, assistant(m{"type": "thinking", "thinking": "x"}, textB("y")), hi), "thinking.signature: Field required"},
		"tool name":           {tool("name", "a b"), "tools.0.custom.name: String should match pattern"},
		"no tool name":        {tool("name", nil), "tools.0.custom.name"},
		"no schema":           {tool("input_schema", nil), "tools.0.custom.input_schema: Field required"},
		"schema a list":       {tool("input_schema", []any{}), "tools.0.custom.input_schema: Input should be a valid dictionary"},
		"schema untyped":      {tool("input_schema", m{}), "tools.0.custom.input_schema.type: Field required"},
		"schema no object":    {tool("input_schema", m{"type": "array"}), "tools.0.custom.input_schema.type: Input should be 'object'"},
		"schema anyOf":        {tool("input_schema", m{"type": "object", "anyOf": []any{}}), "does not support oneOf, allOf, or anyOf at the top level"},
		"extra in tool":       {tool("parameters", m{}), "tools.0.custom.parameters: Extra inputs are not permitted"},
		"tool twice":          {claudeSays("hi", "tools", []any{claudeBash, claudeBash}), "tools: Tool names must be unique."},
		"tool a string":       {claudeSays("hi", "tools", []any{"x"}), "tools.0: Input should be a valid dictionary"},
		"choice no tools":     {claudeSays("hi", "tool_choice", m{"type": "any"}), "Tools must be provided"},
		"choice of no tool":   {with(tool(), "tool_choice", m{"type": "tool", "name": "b"}), "Tool 'b' not found in provided tools"},
		"choice unnamed":      {with(tool(), "tool_choice", m{"type": "tool"}), "tool_choice.tool.name: Field required"},
		"choice kind":         {with(tool(), "tool_choice", m{"type": "required"}), "tool_choice: Input tag 'required'"},
		"image kind":          {img("image/bmp", png), "image.source.base64.media_type: Input should be 'image/jpeg'"},
		"image data":          {img("image/png", "AAAA"), "Could not process image"},
		"image base64":        {img("image/png", "*"), "Invalid base64 data"},
		"image mismatch":      {img("image/jpeg", png), "specified using the image/jpeg media type, but the image appears to be a image/png image"},
		"image url":           {part(m{"type": "image", "source": m{"type": "url", "url": "file:///a"}}), "Only HTTPS URLs are supported."},
		"image source":        {part(m{"type": "image", "source": m{"type": "x"}}), "image.source: Input tag 'x'"},
		"document kind":       {doc("base64", "text/html", "AA=="), "Input should be 'application/pdf'"},
		"document data":       {doc("base64", "application/pdf", "AA=="), "The PDF specified was not valid."},
		"document text":       {doc("text", "text/html", "AA"), "Input should be 'text/plain'"},
		"document source":     {doc("x", "", ""), "document.source: Input tag 'x'"},
		"five marks": {claudeMsgs(user(marked(textB("1"), ""), marked(textB("2"), ""), marked(textB("3"), ""), marked(textB("4"), ""), marked(textB("5"), ""))),
			"A maximum of 4 blocks with cache_control may be provided. Found 5."},
		"top mark counts": {with(claudeMsgs(user(marked(textB("1"), ""), marked(textB("2"), ""), marked(textB("3"), ""), marked(textB("4"), ""))), "cache_control", m{"type": "ephemeral"}),
			"Found 5."},
		"hour after minutes": {claudeMsgs(user(marked(textB("1"), "5m"), marked(textB("2"), "1h"))),
			"messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m'"},
		"mark kind":         {part(with(textB("x"), "cache_control", m{"type": "x"})), "cache_control.type: Input should be 'ephemeral'"},
		"mark ttl":          {part(marked(textB("x"), "2h")), "cache_control.ttl: Input should be '5m' or '1h'"},
		"mark a string":     {part(with(textB("x"), "cache_control", "x")), "cache_control: Input should be a valid dictionary"},
		"small budget":      {claudeSays("hi", "thinking", m{"type": "enabled", "budget_tokens": 1000}), "budget_tokens: Input should be greater than or equal to 1024"},
		"no budget":         {claudeSays("hi", "thinking", m{"type": "enabled"}), "thinking.enabled.budget_tokens: Field required"},
		"budget over limit": {claudeSays("hi", "thinking", m{"type": "enabled", "budget_tokens": 1024}), "`max_tokens` must be greater than `thinking.budget_tokens`."},
		"thinking kind":     {claudeSays("hi", "thinking", m{"type": "on"}), "thinking: Input tag 'on'"},
		"thinking display":  {think("thinking", m{"type": "enabled", "budget_tokens": 1024, "display": "x"}), "display: Input should be 'summarized' or 'omitted'"},
		"thinking warm":     {think("temperature", 0.5), "`temperature` may only be set to 1 when thinking is enabled."},
		"thinking top_p":    {think("top_p", 0.5), "`top_p` must be greater than or equal to 0.95"},
		"thinking top_k":    {think("top_k", 5), "`top_k` must be unset when thinking is enabled."},
		"thinking forced":   {think("tools", []any{claudeBash}, "tool_choice", m{"type": "any"}), "Thinking may not be enabled when tool_choice forces tool use."},
		"thinking prefill":  {think("messages", []any{hi, assistant(textB("x"))}), "prefill"},
		"adaptive on old":   {claudeSays("hi", "thinking", m{"type": "adaptive"}), "adaptive thinking is not supported on this model"},
		"adaptive effort":   {claudeSays("hi", "model", "claude-opus-5", "thinking", m{"type": "adaptive", "effort": "high", "budget_tokens": 1}), "thinking.adaptive.effort: Extra inputs"},
		"budget on new":     {claudeSays("hi", "model", "claude-opus-5", "thinking", m{"type": "enabled", "budget_tokens": 1024}), "is not supported for this model. Use "},
		"budget on oldest":  {claudeSays("hi", "model", "claude-3-5-haiku", "thinking", m{"type": "enabled", "budget_tokens": 1024}), "thinking is not supported on this model"},
		"effort on old":     {claudeSays("hi", "output_config", m{"effort": "low"}), "does not support the effort parameter"},
		"effort word":       {claudeSays("hi", "output_config", m{"effort": "huge"}), "output_config.effort: Input should be"},
		"output field":      {claudeSays("hi", "output_config", m{"x": 1}), "output_config.x: Extra inputs"},
		"format kind":       {claudeSays("hi", "output_config", m{"format": m{"type": "x"}}), "Input should be 'json_schema'"},
		"format schema":     {claudeSays("hi", "output_config", m{"format": m{"type": "json_schema"}}), "schema: Field required"},
		"format open": {claudeSays("hi", "output_config", m{"format": m{"type": "json_schema", "schema": m{"type": "object", "additionalProperties": false, "properties": m{"a": m{"type": "object"}}}}}),
			"'additionalProperties' must be explicitly set to false"},
	} {
		a := call{upstream: Anthropic, body: c.body}.do(t, s)
		var got struct{ kind, words any }
		if a.status == 400 {
			v := a.json(t)
			got.kind, got.words = at(v, "error", "type"), at(v, "request_id")
		}
		if a.status != 400 || !strings.Contains(a.body, c.words) || got.kind != "invalid_request_error" || got.words == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestGoodClaudeRequestsPass(t *testing.T) {
	s := start(t)
	hi := user(textB("hi"))
	server := m{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": m{}}
	for name, body := range map[string]m{
		"same role twice":     claudeMsgs(hi, hi, assistant(textB("a")), assistant(use("a")), user(gave("a", "x")), user(textB("y"))),
		"prefill":             claudeMsgs(hi, assistant(textB("x"))),
		"system after result": with(claudeMsgs(hi, assistant(use("a")), user(gave("a", "x")), m{"role": "system", "content": "y"}), "model", "claude-opus-4-8"),
		"paused turn":         with(claudeMsgs(hi, assistant(textB("a"), server)), "model", "claude-opus-4-8"),
		"disabled":            claudeSays("hi", "thinking", m{"type": "disabled"}, "temperature", 0.3, "top_k", 3),
		"warm one":            claudeSays("hi", "model", "claude-opus-5", "temperature", 1),
		"server tools":        claudeSays("hi", "tools", []any{m{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}, m{"type": "mcp_toolset"}}, "tool_choice", m{"type": "tool", "name": "web_search"}),
		"hours first":         claudeMsgs(user(marked(textB("1"), "1h"), marked(textB("2"), "5m"))),
		"no tools, auto":      claudeSays("hi", "tool_choice", m{"type": "auto"}),
		"empty result":        claudeMsgs(hi, assistant(use("a")), user(m{"type": "tool_result", "tool_use_id": "a"})),
		"dated model":         claudeSays("hi", "model", "claude-haiku-4-5-20251001"),
		"made-up model":       claudeSays("hi", "model", "sim-text"),
	} {
		if a := (call{upstream: Anthropic, body: body}).do(t, s); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	body := claudeSays("hi", "context_management", m{"edits": []any{}}, "speed", "fast")
	head := map[string]string{"Anthropic-Beta": "context-management-2025-06-27, fast-mode-2026-02-01"}
	if a := (call{upstream: Anthropic, body: body, head: head}).do(t, s); a.status != 200 {
		t.Errorf("with the beta flags: %d %s", a.status, a.body)
	}
	a := call{upstream: Anthropic, body: claudeSays("hi", "max_tokens", 0)}.do(t, s)
	if v := a.json(t); a.status != 200 || len(v["content"].([]any)) != 0 || v["stop_reason"] != "max_tokens" {
		t.Errorf("max_tokens 0: %s", a.body)
	}
}

func TestClaudeKeyAndVersion(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		head   map[string]string
		status int
		words  string
	}{
		"bearer":        {map[string]string{"X-Api-Key": "", "Authorization": "Bearer sk-ant-sim-a"}, 200, ""},
		"both":          {map[string]string{"Authorization": "Bearer sk-sim-a"}, 401, "must not both be set"},
		"none":          {map[string]string{"X-Api-Key": ""}, 401, "x-api-key header is required"},
		"wrong key":     {map[string]string{"X-Api-Key": "x"}, 401, "invalid x-api-key"},
		"wrong bearer":  {map[string]string{"X-Api-Key": "", "Authorization": "Bearer x"}, 401, "Invalid bearer token"},
		"no version":    {map[string]string{"Anthropic-Version": ""}, 400, "anthropic-version: header is required"},
		"wrong version": {map[string]string{"Anthropic-Version": "1"}, 400, "is not a valid version"},
	} {
		a := call{upstream: Anthropic, body: claudeSays("hi"), head: c.head}.do(t, s)
		if a.status != c.status || !strings.Contains(a.body, c.words) || a.head.Get("Request-Id") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := (call{upstream: Anthropic, body: claudeSays("hi", "model", "claude-0")}).do(t, s); a.status != 404 || !strings.Contains(a.body, `"type":"not_found_error","message":"model: claude-0"`) {
		t.Errorf("model: %d %s", a.status, a.body)
	}
	if a := (call{upstream: Anthropic, body: strings.Repeat(" ", 33<<20)}).do(t, s); a.status != 413 {
		t.Errorf("33 MB: %d", a.status)
	}
	if a := (call{upstream: Anthropic, path: "/", method: "HEAD"}).do(t, s); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
	if resp, err := http.Head(s.BaseURL(Anthropic)); err != nil || resp.StatusCode != 200 || resp.Request.URL.Path != "/anthropic" {
		t.Errorf("HEAD of the base URL: %v %v", resp, err)
	}
	if a := (call{upstream: Anthropic, path: "/v1/files"}).do(t, s); a.status != 404 {
		t.Errorf("files: %d", a.status)
	}
}

func TestClaudeCounts(t *testing.T) {
	s := start(t)
	do := func(text string) answer {
		return call{upstream: Anthropic, path: "/v1/messages/count_tokens?beta=true",
			body: m{"model": "claude-opus-5", "messages": []any{user(textB(text))}, "tools": []any{}}}.do(t, s)
	}
	short, long := at(do("foo").json(t), "input_tokens"), at(do(strings.Repeat("foo ", 100)).json(t), "input_tokens")
	if short.(float64) < 1 || long.(float64) < short.(float64)+90 {
		t.Errorf("%v %v", short, long)
	}
	if a := do(""); a.status != 400 {
		t.Errorf("empty text: %d", a.status)
	}
	s.Script("anthropic/count_tokens", "server_error")
	if a := do("foo"); a.status != 500 {
		t.Errorf("scripted: %d", a.status)
	}
}

func TestClaudePromptCache(t *testing.T) {
	s := start(t)
	big := strings.Repeat("word ", 400)
	do := func(last, ttl string) any {
		body := claudeMsgs(user(marked(textB(big), ttl), textB(last)))
		return at(call{upstream: Anthropic, body: body}.do(t, s).json(t), "usage")
	}
	first, second := do("one", "1h"), do("two", "1h")
	if at(first, "cache_read_input_tokens") != 0.0 || at(first, "cache_creation", "ephemeral_1h_input_tokens").(float64) < 400 {
		t.Errorf("first %v", first)
	}
	if at(second, "cache_read_input_tokens") != at(first, "cache_creation_input_tokens") || at(second, "cache_creation_input_tokens") != 0.0 {
		t.Errorf("second %v", second)
	}
}

func TestClaudeModelPages(t *testing.T) {
	s := start(t)
	page := func(query string) m {
		return call{upstream: Anthropic, path: "/v1/models" + query, method: "GET"}.do(t, s).json(t)
	}
	all := page("?limit=1000")
	if all["has_more"] != false || len(all["data"].([]any)) != len(claudes) || at(all, "data", 7, "id") != "claude-opus-4-5-20251101" || at(all, "data", 0, "display_name") != "Claude opus 5" {
		t.Errorf("%v", all)
	}
	one := page("?limit=5")
	two := page("?limit=5&after_id=" + one["last_id"].(string))
	if one["has_more"] != true || at(two, "data", 0, "id") != at(all, "data", 5, "id") {
		t.Errorf("%v %v", one, two)
	}
	back := page("?limit=3&before_id=" + two["first_id"].(string))
	if at(back, "data", 0, "id") != at(all, "data", 2, "id") || back["has_more"] != true {
		t.Errorf("%v", back)
	}
	if a := (call{upstream: Anthropic, path: "/v1/models?limit=0", method: "GET"}).do(t, s); a.status != 400 {
		t.Errorf("limit: %d", a.status)
	}
	if a := (call{upstream: Anthropic, path: "/v1/models/claude-opus-5", method: "GET"}).do(t, s); a.status != 200 {
		t.Errorf("one: %d %s", a.status, a.body)
	}
	if a := (call{upstream: Anthropic, path: "/v1/models/gpt", method: "GET"}).do(t, s); a.status != 404 {
		t.Errorf("none: %d", a.status)
	}
}

func TestClaudeStructuredTitle(t *testing.T) {
	s := start(t)
	schema := m{"type": "object", "additionalProperties": false, "required": []any{"title"}, "properties": m{"title": m{"type": "string"}}}
	body := claudeSays("list the files with one tool call", "tools", []any{}, "thinking", m{"type": "disabled"}, "output_config", m{"format": m{"type": "json_schema", "schema": schema}})
	if got := claudeText(t, call{upstream: Anthropic, body: body}.do(t, s)); got != `{"title":"list the files with one"}` {
		t.Errorf("%q", got)
	}
	body = claudeSays("hi", "output_format", m{"type": "json_schema", "schema": schema})
	if a := (call{upstream: Anthropic, body: body, head: map[string]string{"Anthropic-Beta": "structured-outputs-2025-12-15"}}).do(t, s); claudeText(t, a) != `{"title":"hi"}` {
		t.Errorf("%s", a.body)
	}
}
