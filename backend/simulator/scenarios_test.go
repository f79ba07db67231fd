package simulator

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// both asks the two upstreams the same question.
func both(t *testing.T, s *Server, scenario string, stream bool, check func(upstream string, a answer, text string)) {
	t.Helper()
	body := chat("[["+scenario+"]] go", "stream", stream)
	a := call{body: body}.do(t, s)
	check(OpenAI, a, chatText(t, a))
	a = call{upstream: Anthropic, body: claudeSays("[["+scenario+"]] go", "stream", stream)}.do(t, s)
	check(Anthropic, a, claudeText(t, a))
}

func TestRefusalScenarios(t *testing.T) {
	s := start(t)
	type want struct {
		status      int
		kind, words string
	}
	for scenario, c := range map[string]struct{ openai, anthropic want }{
		"rate_limit:retry_after=7": {want{429, "requests", "Please try again in 7s."}, want{429, "rate_limit_error", "rate limit"}},
		"rate_limit_no_time":       {want{429, "requests", "Rate limit reached"}, want{429, "rate_limit_error", "rate limit"}},
		"insufficient_quota":       {want{429, "insufficient_quota", "exceeded your current quota"}, want{400, "invalid_request_error", "credit balance is too low"}},
		"billing":                  {want{402, "invalid_request_error", "Insufficient Balance"}, want{402, "billing_error", "payment"}},
		"unauthorized":             {want{401, "invalid_request_error", "Incorrect API key"}, want{401, "authentication_error", "invalid x-api-key"}},
		"forbidden":                {want{403, "request_forbidden", "not supported"}, want{403, "permission_error", "permission"}},
		"not_found":                {want{404, "invalid_request_error", "The model `gpt-4.1` does not exist"}, want{404, "not_found_error", "model: claude-sonnet-4-5"}},
		"context_too_long:tokens=9,limit=8": {want{400, "invalid_request_error", "maximum context length is 8 tokens. However, your messages resulted in 9 tokens"},
			want{400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"}},
		"too_large":                           {want{413, "invalid_request_error", "too large"}, want{413, "request_too_large", "maximum size"}},
		"unsupported_parameter:param=seed":    {want{400, "invalid_request_error", "Unsupported parameter: 'seed'"}, want{400, "invalid_request_error", "'seed'"}},
		"invalid_signature:at=messages.3":     {want{400, "invalid_request_error", "Invalid `signature`"}, want{400, "invalid_request_error", "messages.3: Invalid `signature` in `thinking` block"}},
		"policy:which=2":                      {want{400, "invalid_request_error", "Third-party apps"}, want{400, "invalid_request_error", "Third-party apps now draw"}},
		"policy":                              {want{400, "invalid_request_error", "only authorized"}, want{400, "invalid_request_error", "only authorized for use with Claude Code"}},
		"server_error":                        {want{500, "server_error", "had an error"}, want{500, "api_error", "Internal server error"}},
		"server_error:status=502":             {want{502, "server_error", "had an error"}, want{502, "api_error", "Internal"}},
		"overload:retry_after=2":              {want{503, "server_error", "overloaded"}, want{529, "overloaded_error", "Overloaded"}},
		"timeout":                             {want{504, "server_error", "too long"}, want{504, "timeout_error", "too long"}},
		"overload_in_200":                     {want{200, "server_error", "overloaded"}, want{200, "overloaded_error", "Overloaded"}},
		"rate_limit:window=5h,retry_after=60": {want{429, "requests", "Please try again in 60s."}, want{429, "rate_limit_error", "rate limit"}},
	} {
		both(t, s, scenario, false, func(upstream string, a answer, _ string) {
			w := c.openai
			if upstream == Anthropic {
				w = c.anthropic
			}
			e := at(a.json(t), "error")
			words, _ := at(e, "message").(string)
			if a.status != w.status || at(e, "type") != w.kind || !strings.Contains(words, w.words) {
				t.Errorf("%s on %s: %d %s", scenario, upstream, a.status, a.body)
			}
		})
	}
}

func TestRateLimitHeaders(t *testing.T) {
	s := start(t)
	both(t, s, "rate_limit:retry_after=7", false, func(upstream string, a answer, _ string) {
		if a.head.Get("Retry-After") != "7" {
			t.Errorf("%s: %v", upstream, a.head)
		}
		if upstream == OpenAI && (a.head.Get("Retry-After-Ms") != "7000" || a.head.Get("X-Ratelimit-Reset-Requests") != "7s" || a.head.Get("X-Ratelimit-Remaining-Requests") != "0") {
			t.Errorf("%v", a.head)
		}
		if upstream == Anthropic && (a.head.Get("Anthropic-Ratelimit-Requests-Reset") != "2026-09-21T14:13:27Z" || a.head.Get("Anthropic-Ratelimit-Requests-Remaining") != "0") {
			t.Errorf("%v", a.head)
		}
	})
	both(t, s, "rate_limit_no_time", false, func(upstream string, a answer, _ string) {
		if a.head.Get("Retry-After") != "" || a.head.Get("Anthropic-Ratelimit-Requests-Reset") != "" {
			t.Errorf("%s tells a time: %v", upstream, a.head)
		}
	})
	const unified = "Anthropic-Ratelimit-Unified-"
	a := call{upstream: Anthropic, body: claudeSays("[[rate_limit:window=7d_oi,retry_after=60]]")}.do(t, s)
	if a.head.Get(unified+"Status") != "rejected" || a.head.Get(unified+"7d_oi-Status") != "rejected" || a.head.Get(unified+"5h-Status") != "allowed" ||
		a.head.Get(unified+"7d_oi-Reset") != "1790000060" || a.head.Get(unified+"Representative-Claim") != "seven_day_opus" {
		t.Errorf("%v", a.head)
	}
	a = call{upstream: Anthropic, body: claudeSays("[[unified]]")}.do(t, s)
	if a.status != 200 || a.head.Get(unified+"Status") != "allowed" || a.head.Get("Anthropic-Ratelimit-Requests-Limit") != "" {
		t.Errorf("%d %v", a.status, a.head)
	}
	a = call{upstream: Anthropic, body: claudeSays("hi")}.do(t, s)
	if a.head.Get("Anthropic-Ratelimit-Input-Tokens-Remaining") == "" {
		t.Errorf("%v", a.head)
	}
}

func TestEndsOfAnswers(t *testing.T) {
	s := start(t)
	for scenario, want := range map[string][2]string{
		"text": {"stop", "end_turn"}, "plain": {"stop", "end_turn"}, "echo": {"stop", "end_turn"}, "refusal": {"stop", "refusal"}, "content_filter": {"content_filter", "refusal"},
		"length": {"length", "max_tokens"}, "cut_call": {"length", "max_tokens"}, "stop_sequence:sequence=X": {"stop", "stop_sequence"},
		"pause": {"stop", "pause_turn"}, "no_args_tool": {"tool_calls", "tool_use"}, "empty": {"stop", "end_turn"},
		"tool_call:name=Bash,text=Hm": {"tool_calls", "tool_use"},
	} {
		for _, stream := range []bool{false, true} {
			both(t, s, scenario, stream, func(upstream string, a answer, _ string) {
				word := `"finish_reason":"` + want[0] + `"`
				if upstream == Anthropic {
					word = `"stop_reason":"` + want[1] + `"`
				}
				if a.status != 200 || !strings.Contains(a.body, word) {
					t.Errorf("%s on %s, stream=%v: %s", scenario, upstream, stream, a.body)
				}
			})
		}
	}
	a := call{body: chat("[[refusal]]")}.do(t, s)
	if at(a.json(t), "choices", 0, "message", "refusal") == nil || at(a.json(t), "choices", 0, "message", "content") != nil {
		t.Errorf("%s", a.body)
	}
	a = call{upstream: Anthropic, body: claudeSays("[[refusal]]", "stream", true)}.do(t, s)
	if !strings.Contains(a.body, `"stop_details":{"type":"refusal"`) {
		t.Errorf("%s", a.body)
	}
	a = call{upstream: Anthropic, body: claudeSays("[[stop_sequence]]", "stop_sequences", []any{"HALT"})}.do(t, s)
	if !strings.Contains(a.body, `"stop_sequence":"HALT"`) {
		t.Errorf("%s", a.body)
	}
	a = call{body: chat("[[text:text=one STOP two]]", "stop", "STOP")}.do(t, s)
	if got := chatText(t, a); got != "one " {
		t.Errorf("a stop of the request: %q", got)
	}
}

func TestToolWithoutArguments(t *testing.T) {
	s := start(t)
	a := call{body: chat("[[no_args_tool]]", "tools", []any{bashTool})}.do(t, s)
	if got := at(a.json(t), "choices", 0, "message", "tool_calls", 0, "function", "arguments"); got != "{}" {
		t.Errorf("%s", a.body)
	}
	a = call{upstream: Anthropic, body: claudeSays("[[no_args_tool]]", "tools", []any{claudeBash})}.do(t, s)
	if !strings.Contains(a.body, `"input":{}`) {
		t.Errorf("%s", a.body)
	}
	a = call{body: chat(`[[tool_call:name=x,args={"a":[1,"<&>"]}]]`, "tools", []any{bashTool})}.do(t, s)
	if got := at(a.json(t), "choices", 0, "message", "tool_calls", 0, "function", "arguments"); got != `{"a":[1,"<&>"]}` {
		t.Errorf("%s", a.body)
	}
}

func TestToolRoundsEnd(t *testing.T) {
	s := start(t)
	body := chat("", "tools", []any{bashTool})
	for scenario, more := range map[string]bool{"tool_call": false, "tool_call:times=2": true, "parallel_tools": false, "reasoning_tool": false} {
		h := toolHistory(m{"role": "tool", "tool_call_id": "call_1", "content": "x"})
		h[0] = m{"role": "user", "content": "[[" + scenario + "]]"}
		body["messages"] = h
		a := call{body: body}.do(t, s)
		if got := at(a.json(t), "choices", 0, "finish_reason") == "tool_calls"; got != more {
			t.Errorf("%s: %s", scenario, a.body)
		}
	}
}

func TestForcedToolIsCalled(t *testing.T) {
	s := start(t)
	other := with(m{}, "name", "other", "input_schema", m{"type": "object"})
	for name, choice := range map[string]m{"other": {"type": "tool", "name": "other"}, "Bash": {"type": "any"}} {
		a := call{upstream: Anthropic, body: claudeSays("hi", "tools", []any{other, claudeBash}, "tool_choice", choice)}.do(t, s)
		if got := at(a.json(t), "content", 0, "name"); got != name {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	a := call{upstream: Anthropic, body: claudeSays("list the files", "tools", []any{claudeBash}, "tool_choice", m{"type": "none"})}.do(t, s)
	if !strings.Contains(claudeText(t, a), "You said") {
		t.Errorf("none: %s", a.body)
	}
	prefixed := with(m{}, "name", "mcp__x__list_files", "input_schema", m{"type": "object"})
	a = call{upstream: Anthropic, body: claudeSays("list the files", "tools", []any{other, prefixed})}.do(t, s)
	if got := at(a.json(t), "content", 0, "name"); got != "mcp__x__list_files" {
		t.Errorf("%s", a.body)
	}
}

func TestShapesOfTheStream(t *testing.T) {
	s := start(t)
	for scenario, ok := range map[string]func(a answer) bool{
		"crlf":       func(a answer) bool { return strings.Contains(a.body, "}\r\n\r\n") && !strings.Contains(a.body, "}\n") },
		"no_space":   func(a answer) bool { return strings.Contains(a.body, "data:{") && !strings.Contains(a.body, ": {") },
		"comments":   func(a answer) bool { return strings.Contains(a.body, ": keep-alive\n\n") },
		"text_plain": func(a answer) bool { return strings.HasPrefix(a.head.Get("Content-Type"), "text/plain") },
		"missing_done": func(a answer) bool {
			return !strings.Contains(a.body, "[DONE]") && !strings.Contains(a.body, "message_stop") && a.err == nil
		},
		"no_usage": func(a answer) bool { return !strings.Contains(a.body, `"usage"`) },
		"usage_every_chunk": func(a answer) bool {
			return strings.Count(a.body, "output_tokens")+strings.Count(a.body, `"total_tokens"`) > 1
		},
		"json_to_stream": func(a answer) bool { return a.head.Get("Content-Type") == "application/json" && a.body[0] == '{' },
		"cached": func(a answer) bool {
			return strings.Contains(a.body, `"cached_tokens":1500`) || strings.Contains(a.body, `"cache_read_input_tokens":1500`) || !strings.Contains(a.body, "usage")
		},
		"slow:delay=1ms":        func(a answer) bool { return a.status == 200 },
		"first_byte:delay=1ms":  func(a answer) bool { return a.status == 200 },
		"text:first_byte=1ms":   func(a answer) bool { return a.status == 200 },
		"text+crlf:text=joined": func(a answer) bool { return strings.Contains(a.body, "joined") && strings.Contains(a.body, "\r\n") },
		"usage:in=5,out=6":      func(a answer) bool { return a.status == 200 },
		"multi_byte":            func(a answer) bool { return utf8.ValidString(a.body) },
		"long:chunks=40":        func(a answer) bool { return strings.Count(a.body, "word") == 40 },
		"garbage": func(a answer) bool {
			bad := 0
			for _, e := range a.events(t) {
				if e.raw != "[DONE]" && !json.Valid([]byte(e.raw)) {
					bad++
				}
			}
			return bad == 1
		},
		"big_line:mb=1": func(a answer) bool { return strings.Contains(a.body, strings.Repeat("0123456789abcdef", 1<<16)) },
	} {
		both(t, s, scenario, true, func(upstream string, a answer, text string) {
			if a.err != nil || a.status != 200 || !ok(a) {
				t.Errorf("%s on %s: %v %.2000s", scenario, upstream, a.err, a.body)
			}
		})
	}
	both(t, s, "sse_to_json", false, func(upstream string, a answer, text string) {
		if !strings.HasPrefix(a.head.Get("Content-Type"), "text/event-stream") || !strings.Contains(text, "go") {
			t.Errorf("%s: %s", upstream, a.body)
		}
	})
	want := "Grüße 👩‍👩‍👧‍👦 你好，世界 🇩🇪 e\u0301 \u2028 <b>&amp;</b> ok"
	for _, stream := range []bool{true, false} {
		both(t, s, "multi_byte", stream, func(upstream string, a answer, text string) {
			if text != want {
				t.Errorf("%s: %q", upstream, text)
			}
		})
	}
}

func TestTroubles(t *testing.T) {
	s := start(t)
	for scenario, ok := range map[string]func(a answer, stream bool) bool{
		"cut":        func(a answer, _ bool) bool { return a.status == 200 && a.err != nil && a.body != "" },
		"cut_before": func(a answer, _ bool) bool { return a.status == 0 && a.err != nil },
		"html":       func(a answer, _ bool) bool { return a.status == 502 && strings.Contains(a.body, "<html>") },
		"html_200":   func(a answer, _ bool) bool { return a.status == 200 && strings.Contains(a.body, "<html>") },
		"empty_200":  func(a answer, _ bool) bool { return a.status == 200 && a.body == "" && a.err == nil },
		"base_resp":  func(a answer, _ bool) bool { return a.status == 200 && strings.Contains(a.body, `"status_code":1008`) },
		"garbage":    func(a answer, stream bool) bool { return stream || !json.Valid([]byte(a.body)) },
		"error_chunk": func(a answer, _ bool) bool {
			return a.status == 200 && strings.Contains(a.body, `"error":{`) && !strings.Contains(a.body, "DONE") && a.err == nil
		},
	} {
		for _, stream := range []bool{true, false} {
			for upstream, c := range map[string]call{OpenAI: {body: chat("[["+scenario+"]] go on and on", "stream", stream)},
				Anthropic: {upstream: Anthropic, body: claudeSays("[["+scenario+"]] go on and on", "stream", stream)}} {
				if a := c.do(t, s); !ok(a, stream) {
					t.Errorf("%s on %s, stream=%v: %d %v %s", scenario, upstream, stream, a.status, a.err, a.body)
				}
			}
		}
	}
}

func TestErrorInsideTheStreamEndsIt(t *testing.T) {
	s := start(t)
	for after, want := range map[string]string{
		"-1": "error", "0": "message_start ping content_block_start error", "1": "message_start ping content_block_start content_block_delta error",
		"99": "message_start ping content_block_start content_block_delta error",
	} {
		a := call{upstream: Anthropic, body: claudeSays("[[overload_in_200:after="+after+"]] go", "stream", true)}.do(t, s)
		if got := strings.Join(names(a.events(t)), " "); got != want {
			t.Errorf("after %s: %s", after, got)
		}
	}
	a := call{body: chat("[[empty+error_chunk]]", "stream", true)}.do(t, s)
	if e := a.events(t); len(e) != 3 || at(e[2].data, "error", "type") != "server_error" {
		t.Errorf("an answer without content: %s", a.body)
	}
}

func TestChoicesAndLogprobs(t *testing.T) {
	s := start(t)
	v := call{body: chat("[[text:text=a b]]", "n", 3, "logprobs", true, "top_logprobs", 1)}.do(t, s).json(t)
	if len(v["choices"].([]any)) != 3 || at(v, "choices", 2, "logprobs", "content", 1, "token") != " b" {
		t.Errorf("%v", v)
	}
	a := call{body: chat("[[n_choices+logprobs:text=a b]]", "stream", true)}.do(t, s)
	seen := map[any]string{}
	for _, e := range a.events(t) {
		s, _ := at(e.data, "choices", 0, "delta", "content").(string)
		seen[at(e.data, "choices", 0, "index")] += s
	}
	if seen[0.0] != "a b" || seen[1.0] != "a b" || !strings.Contains(a.body, `"logprob":-0.01`) {
		t.Errorf("%v %s", seen, a.body)
	}
}
