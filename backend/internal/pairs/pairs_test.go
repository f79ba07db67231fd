// Package pairs tests what every client format and every upstream format make of each other: tables over all pairs.
package pairs

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/gemini"
	"patchbay/backend/wire/ollama"
	"patchbay/backend/wire/openai"
	"patchbay/backend/wire/responses"
)

// call is one call to an upstream.
type call struct {
	body    string
	dropped []canon.Warning
	read    func(string, io.Reader) canon.Stream
}

// format is one of the five, as a client and as an upstream.
type format struct {
	name   string
	codec  wire.Codec
	op     wire.Op
	path   string
	model  string // a plain model of an upstream of this format
	writes func(req *canon.Request) (call, error)
}

var formats = []format{
	{"openai", openai.Codec{}, openai.OpChat, "/v1/chat/completions", "gpt-4.1", func(r *canon.Request) (call, error) {
		x, err := openai.NewExchange(r, openai.Options{OwnHost: true})
		if err != nil {
			return call{}, err
		}
		return call{string(x.Body), x.Dropped, x.Read}, nil
	}},
	{"responses", responses.Codec{}, responses.OpCreate, "/v1/responses", "gpt-4.1", func(r *canon.Request) (call, error) {
		x, err := responses.NewExchange(r, responses.Options{})
		if err != nil {
			return call{}, err
		}
		return call{string(x.Body), x.Dropped, x.Read}, nil
	}},
	{"anthropic", anthropic.Codec{}, anthropic.OpMessages, "/v1/messages", "claude-sonnet-4-5", func(r *canon.Request) (call, error) {
		x, err := anthropic.NewExchange(r, anthropic.Options{OwnHost: true})
		if err != nil {
			return call{}, err
		}
		return call{string(x.Body), x.Dropped, x.Read}, nil
	}},
	{"gemini", gemini.Codec{}, gemini.OpGenerate, "/v1beta/models/asked:generateContent", "gemini-2.5-flash", func(r *canon.Request) (call, error) {
		x, err := gemini.NewExchange(r, gemini.Options{})
		if err != nil {
			return call{}, err
		}
		return call{string(x.Body), x.Dropped, x.Read}, nil
	}},
	{"ollama", ollama.Codec{}, ollama.OpChat, "/api/chat", "qwen3:8b", func(r *canon.Request) (call, error) {
		x, err := ollama.NewExchange(r, ollama.Options{})
		if err != nil {
			return call{}, err
		}
		return call{string(x.Body), x.Dropped, x.Read}, nil
	}},
}

// asks reads a client's body for a model.
func (f *format) asks(t *testing.T, model, body string) *canon.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, f.path, nil)
	r.Header.Set("Anthropic-Version", "2023-06-01")
	req, err := f.codec.Decode(f.op, r, []byte(body))
	if err != nil {
		t.Fatalf("%s: %v in %s", f.name, err, body)
	}
	if err := req.Expand(); err != nil {
		t.Fatalf("%s: %v in %s", f.name, err, body)
	}
	req.Model = model
	n := 0
	req.SetIDs(func(prefix string, width int) string { n++; return fmt.Sprintf("%s%0*d", prefix, width, n) })
	return req
}

// simple is the plainest request of each format, with members of its own.
func (f *format) simple(members string) string {
	return map[string]string{
		"openai":    `{"model":"asked","messages":[{"role":"user","content":"x"}]` + members + `}`,
		"responses": `{"model":"asked","input":[{"role":"user","content":"x"}]` + members + `}`,
		"anthropic": `{"model":"asked","max_tokens":30000,"messages":[{"role":"user","content":"x"}]` + members + `}`,
		"gemini":    `{"contents":[{"role":"user","parts":[{"text":"x"}]}]` + members + `}`,
		"ollama":    `{"model":"asked","stream":false,"messages":[{"role":"user","content":"x"}]` + members + `}`,
	}[f.name]
}

// sends writes a client's request for an upstream.
func (f *format) sends(t *testing.T, up *format, body string) call {
	t.Helper()
	return f.sendsFor(t, up, up.model, body)
}

func (f *format) sendsFor(t *testing.T, up *format, model, body string) call {
	t.Helper()
	c, err := up.writes(f.asks(t, model, body))
	if err != nil {
		t.Fatalf("%s to %s: %v", f.name, up.name, err)
	}
	return c
}

// says renders an answer as a service of this format gives it.
func (f *format) says(t *testing.T, resp *canon.Response) string {
	t.Helper()
	out, err := f.codec.AppendResponse(nil, f.asks(t, f.model, f.simple("")), resp)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// hears passes a service's whole answer on to a client that asked for one.
func (f *format) hears(t *testing.T, up *format, answer string) string {
	t.Helper()
	req := f.asks(t, up.model, f.simple(""))
	c, err := up.writes(req)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := canon.Collect(c.read("application/json", strings.NewReader(answer)))
	if err != nil {
		t.Fatalf("%s to %s: %v in %s", up.name, f.name, err, answer)
	}
	out, err := f.codec.AppendResponse(nil, req, resp)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// at reads a value by its path, nothing if it is not there.
func at(t *testing.T, text string, path ...any) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			a, _ := v.([]any)
			if p >= len(a) {
				return ""
			}
			v = a[p]
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// finish is the word that a client of the format reads.
func (f *format) finish(t *testing.T, answer string) string {
	t.Helper()
	switch f.name {
	case "openai":
		return at(t, answer, "choices", 0, "finish_reason")
	case "responses":
		return strings.TrimSpace(at(t, answer, "status") + " " + at(t, answer, "incomplete_details", "reason"))
	case "anthropic":
		return strings.TrimSpace(at(t, answer, "stop_reason") + " " + at(t, answer, "stop_sequence"))
	case "gemini":
		return at(t, answer, "candidates", 0, "finishReason")
	default:
		return at(t, answer, "done_reason")
	}
}

// finishWords are the words of each format for why an answer ended.
var finishWords = map[canon.FinishReason]map[string]string{
	canon.FinishStop:         {"openai": "stop", "responses": "completed", "anthropic": "end_turn", "gemini": "STOP", "ollama": "stop"},
	canon.FinishStopSequence: {"openai": "stop", "responses": "completed", "anthropic": "stop_sequence END", "gemini": "STOP", "ollama": "stop"},
	canon.FinishTools:        {"openai": "tool_calls", "responses": "completed", "anthropic": "tool_use", "gemini": "STOP", "ollama": "stop"},
	canon.FinishLength:       {"openai": "length", "responses": "incomplete max_output_tokens", "anthropic": "max_tokens", "gemini": "MAX_TOKENS", "ollama": "length"},
	canon.FinishContext:      {"openai": "length", "responses": "incomplete max_output_tokens", "anthropic": "model_context_window_exceeded", "gemini": "MAX_TOKENS", "ollama": "length"},
	canon.FinishFilter:       {"openai": "content_filter", "responses": "incomplete content_filter", "anthropic": "refusal", "gemini": "SAFETY", "ollama": "stop"},
	canon.FinishPause:        {"openai": "stop", "responses": "completed", "anthropic": "pause_turn", "gemini": "STOP", "ollama": "stop"},
}

// told is what is left of a reason when a service of a format has put it into its words.
func told(up string, r canon.FinishReason) canon.FinishReason {
	switch {
	case up == "anthropic":
		return r
	case r == canon.FinishStopSequence || r == canon.FinishPause, r == canon.FinishFilter && up == "ollama":
		return canon.FinishStop
	case r == canon.FinishContext:
		return canon.FinishLength
	default:
		return r
	}
}

func TestFinishOfEveryPair(t *testing.T) {
	for _, r := range canon.Reasons {
		resp := &canon.Response{ID: "id1", Created: 1790000000, Parts: []canon.Part{{Type: canon.PartText, Text: "words"}}, Finish: canon.Finish{Reason: r}}
		if r == canon.FinishStopSequence {
			resp.Finish.StopSequence = "END"
		}
		if r == canon.FinishTools {
			resp.Parts = append(resp.Parts, canon.Part{Type: canon.PartToolCall, CallID: "call_1", Name: "f", Args: jsontext.Value(`{"a":1}`)})
		}
		if len(finishWords[r]) != len(formats) {
			t.Errorf("%s has no word in some format", r)
		}
		for i := range formats {
			up := &formats[i]
			for j := range formats {
				client := &formats[j]
				answer := client.hears(t, up, up.says(t, resp))
				if got, want := client.finish(t, answer), finishWords[told(up.name, r)][client.name]; got != want {
					t.Errorf("%s, %s to %s: %q, want %q: %s", r, up.name, client.name, got, want, answer)
				}
			}
		}
	}
}

// usage is what a client of each format reads: prompt without cache, read from the cache, answer, thinking.
func (f *format) usage(t *testing.T, answer string) (in, cached, out, thought string) {
	t.Helper()
	switch f.name {
	case "openai":
		return at(t, answer, "usage", "prompt_tokens"), at(t, answer, "usage", "prompt_tokens_details", "cached_tokens"), at(t, answer, "usage", "completion_tokens"), at(t, answer, "usage", "completion_tokens_details", "reasoning_tokens")
	case "responses":
		return at(t, answer, "usage", "input_tokens"), at(t, answer, "usage", "input_tokens_details", "cached_tokens"), at(t, answer, "usage", "output_tokens"), at(t, answer, "usage", "output_tokens_details", "reasoning_tokens")
	case "anthropic":
		return at(t, answer, "usage", "input_tokens"), at(t, answer, "usage", "cache_read_input_tokens"), at(t, answer, "usage", "output_tokens"), ""
	case "gemini":
		return at(t, answer, "usageMetadata", "promptTokenCount"), at(t, answer, "usageMetadata", "cachedContentTokenCount"), at(t, answer, "usageMetadata", "candidatesTokenCount"), at(t, answer, "usageMetadata", "thoughtsTokenCount")
	default:
		return at(t, answer, "prompt_eval_count"), "", at(t, answer, "eval_count"), ""
	}
}

func TestUsageOfEveryPair(t *testing.T) {
	resp := &canon.Response{ID: "id1", Created: 1790000000, Parts: []canon.Part{{Type: canon.PartText, Text: "words"}}, Finish: canon.Finish{Reason: canon.FinishStop},
		Usage: &canon.Usage{Input: 100, CacheRead: 60, CacheWrite: 15, Output: 30, Reasoning: 12, CacheWrite1h: -1, ToolPrompt: -1}}
	num := func(n int) string { return fmt.Sprint(n) }
	for i := range formats {
		up := &formats[i]
		read, written, thought := 60, 15, 12
		switch up.name {
		case "gemini":
			written = 0
		case "ollama":
			read, written, thought = 0, 0, 0
		}
		for j := range formats {
			client := &formats[j]
			answer := client.hears(t, up, up.says(t, resp))
			in, cached, out, thinking := client.usage(t, answer)
			want := [4]string{"100", num(read), "30", num(thought)}
			switch client.name {
			case "anthropic":
				want = [4]string{num(100 - read - written), num(read), "30", ""}
			case "gemini":
				want[2] = num(30 - thought)
			case "ollama":
				want[1], want[3] = "", ""
			}
			got := [4]string{in, cached, out, thinking}
			for k := range got { // a number that is not known may be left out
				if got[k] == "" && want[k] == "0" {
					got[k] = "0"
				}
			}
			if got != want {
				t.Errorf("%s to %s: %v, want %v: %s", up.name, client.name, got, want, answer)
			}
		}
	}
}

// errorRows are status and type of every row of errors per format; Responses words errors as Chat does.
var errorRows = map[apierror.Row]map[string]string{
	apierror.RowInvalid:       {"openai": "400 invalid_request_error", "anthropic": "400 invalid_request_error", "gemini": "400 INVALID_ARGUMENT", "ollama": "400"},
	apierror.RowUnsupported:   {"openai": "400 invalid_request_error", "anthropic": "400 invalid_request_error", "gemini": "400 INVALID_ARGUMENT", "ollama": "400"},
	apierror.RowContext:       {"openai": "400 invalid_request_error", "anthropic": "400 invalid_request_error", "gemini": "400 INVALID_ARGUMENT", "ollama": "400"},
	apierror.RowAuth:          {"openai": "401 authentication_error", "anthropic": "401 authentication_error", "gemini": "401 UNAUTHENTICATED", "ollama": "401"},
	apierror.RowBilling:       {"openai": "429 rate_limit_error", "anthropic": "402 billing_error", "gemini": "429 RESOURCE_EXHAUSTED", "ollama": "402"},
	apierror.RowPermission:    {"openai": "403 permission_error", "anthropic": "403 permission_error", "gemini": "403 PERMISSION_DENIED", "ollama": "403"},
	apierror.RowModelNotFound: {"openai": "404 invalid_request_error", "anthropic": "404 not_found_error", "gemini": "404 NOT_FOUND", "ollama": "404"},
	apierror.RowRouteNotFound: {"openai": "404 invalid_request_error", "anthropic": "404 not_found_error", "gemini": "404 NOT_FOUND", "ollama": "404"},
	apierror.RowTooLarge:      {"openai": "413 invalid_request_error", "anthropic": "413 request_too_large", "gemini": "400 INVALID_ARGUMENT", "ollama": "413"},
	apierror.RowRateLimit:     {"openai": "429 rate_limit_error", "anthropic": "429 rate_limit_error", "gemini": "429 RESOURCE_EXHAUSTED", "ollama": "429"},
	apierror.RowQuota:         {"openai": "429 rate_limit_error", "anthropic": "429 rate_limit_error", "gemini": "429 RESOURCE_EXHAUSTED", "ollama": "429"},
	apierror.RowOverloaded:    {"openai": "503 server_error", "anthropic": "529 overloaded_error", "gemini": "503 UNAVAILABLE", "ollama": "503"},
	apierror.RowTimeout:       {"openai": "504 server_error", "anthropic": "504 timeout_error", "gemini": "504 DEADLINE_EXCEEDED", "ollama": "504"},
	apierror.RowUpstream:      {"openai": "502 server_error", "anthropic": "500 api_error", "gemini": "500 INTERNAL", "ollama": "502"},
	apierror.RowInternal:      {"openai": "500 server_error", "anthropic": "500 api_error", "gemini": "500 INTERNAL", "ollama": "500"},
}

func TestEveryKindOfErrorInEveryFormat(t *testing.T) {
	seen := map[apierror.Row]bool{}
	for _, kind := range apierror.Kinds() {
		e := &apierror.Error{Kind: kind, Msg: "it says " + kind.String(), Param: "p"}
		row := e.Row()
		if row == "" { // the client is gone
			continue
		}
		seen[row] = true
		for i := range formats {
			f := &formats[i]
			status, _, body := f.codec.Error(e, "req_1")
			name := f.name
			if name == "responses" {
				name = "openai"
			}
			got := fmt.Sprint(status)
			switch name {
			case "gemini":
				got += " " + at(t, string(body), "error", "status")
			case "openai", "anthropic":
				got += " " + at(t, string(body), "error", "type")
			}
			if want := errorRows[row][name]; got != want {
				t.Errorf("%s (%s), %s: %q, want %q", kind, row, f.name, got, want)
			}
			if !strings.Contains(string(body), "it says "+kind.String()) && row != apierror.RowContext {
				t.Errorf("%s, %s: the message is gone: %s", kind, f.name, body)
			}
		}
	}
	for _, row := range apierror.Rows {
		if !seen[row] {
			t.Errorf("no kind leads to %s", row)
		}
	}
}
