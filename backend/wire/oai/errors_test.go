package oai

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
)

func TestEveryKindHasItsStatus(t *testing.T) {
	for _, row := range apierror.Rows {
		if s, ok := shapes[row]; !ok || s.status < 400 || s.typ == "" {
			t.Errorf("row %s has no shape", row)
		}
	}
	for _, k := range apierror.Kinds() {
		status, h, body := Error(&apierror.Error{Kind: k, Msg: "m"}, "r1")
		if status < 400 || h.Get("X-Request-Id") != "r1" || !Valid(body) || Text(Member(Member(body, "error"), "type")) == "" {
			t.Errorf("%s: %d %v %s", k, status, h, body)
		}
	}
	for _, k := range []apierror.Kind{apierror.AuthExpired, apierror.AccountBlocked} {
		if status, _, _ := Error(&apierror.Error{Kind: k}, ""); status != 503 {
			t.Errorf("Trap 37: the upstream's %s is told as %d", k, status)
		}
	}
}

func TestErrorBodies(t *testing.T) {
	for _, c := range []struct {
		e      *apierror.Error
		status int
		retry  string
		body   string
	}{
		{apierror.Invalid("messages[2].content", "bad"), 400, "", `{"error":{"message":"bad","type":"invalid_request_error","param":"messages[2].content","code":null}}`},
		{&apierror.Error{Kind: apierror.RateLimited, Msg: "slow", RetryAfter: 1200 * time.Millisecond}, 429, "", `{"error":{"message":"slow","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`},
		{&apierror.Error{Kind: apierror.QuotaExhausted, Msg: "q"}, 429, "false", `{"error":{"message":"q","type":"rate_limit_error","param":null,"code":"insufficient_quota"}}`},
		{&apierror.Error{Kind: apierror.NoCredit, Msg: "q"}, 429, "false", `{"error":{"message":"q","type":"rate_limit_error","param":null,"code":"insufficient_quota"}}`},
		{&apierror.Error{Kind: apierror.NoAccount, Msg: "kiro: no usable account (Ann's Kiro: the service answered 403; sign in again)", NoRetry: true}, 503, "false",
			`{"error":{"message":"kiro: no usable account (Ann's Kiro: the service answered 403; sign in again)","type":"server_error","param":null,"code":"overloaded"}}`},
		{&apierror.Error{Kind: apierror.ContentFiltered, Msg: "f"}, 400, "", `{"error":{"message":"f","type":"invalid_request_error","param":null,"code":"content_filter"}}`},
		{&apierror.Error{Kind: apierror.ContextTooLong, Msg: "long", PromptTokens: 9, MaxTokens: 8}, 400, "", `{"error":{"message":"This model's maximum context length is 8 tokens. However, your messages resulted in 9 tokens. long","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}`},
		{&apierror.Error{Kind: apierror.ContextTooLong, Msg: "long"}, 400, "", `{"error":{"message":"The prompt is longer than the model's maximum context length. long","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}`},
	} {
		status, h, body := Error(c.e, "")
		if status != c.status || h.Get("X-Should-Retry") != c.retry || c.body != "" && string(body) != c.body {
			t.Errorf("%v: %d %v\n%s\n%s", c.e, status, h, body, c.body)
		}
		if c.e.RetryAfter > 0 && (h.Get("Retry-After") != "2" || h.Get("Retry-After-Ms") != "1200") {
			t.Errorf("%v", h)
		}
	}
}

func TestUpstreamErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   apierror.Kind
		msg    string
	}{
		"wrong key":            {401, `{"error":{"message":"Incorrect API key provided: sk-proj-abcdefghijkl.","type":"invalid_request_error","code":"invalid_api_key"}}`, apierror.AuthExpired, "Incorrect API key provided: [redacted]"},
		"country":              {403, `{"error":{"message":"Country not supported","code":"unsupported_country_region_territory"}}`, apierror.AccountBlocked, ""},
		"moderated":            {403, `{"error":{"code":403,"message":"Flagged","metadata":{"reasons":["violence"]}}}`, apierror.ContentFiltered, ""},
		"no money by 403":      {403, `{"error":{"message":"insufficient balance"}}`, apierror.NoCredit, ""},
		"no model":             {404, `{"error":{"message":"no","code":"model_not_found"}}`, apierror.ModelNotFound, ""},
		"no model by 400":      {400, `{"error":{"message":"Model Not Exist: model x does not exist"}}`, apierror.ModelNotFound, ""},
		"rate limit":           {429, `{"error":{"message":"slow down","code":"rate_limit_exceeded"}}`, apierror.RateLimited, "slow down"},
		"insufficient quota":   {429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details","code":"insufficient_quota"}}`, apierror.NoCredit, ""},
		"Kimi's purse":         {429, `{"error":{"message":"x","type":"exceeded_current_quota_error"}}`, apierror.NoCredit, ""},
		"Kimi's engine":        {429, `{"error":{"message":"x","type":"engine_overloaded_error"}}`, apierror.Overloaded, ""},
		"GLM's purse":          {429, `{"error":{"code":"1113","message":"x"}}`, apierror.NoCredit, ""},
		"GLM's day":            {429, `{"error":{"code":"1304","message":"x"}}`, apierror.QuotaExhausted, ""},
		"GLM busy":             {429, `{"error":{"code":"1305","message":"x"}}`, apierror.Overloaded, ""},
		"GLM's concurrency":    {429, `{"error":{"code":"1302","message":"x"}}`, apierror.RateLimited, ""},
		"GLM's key":            {401, `{"error":{"code":"1002","message":"x"}}`, apierror.AuthExpired, ""},
		"GLM's parameter":      {400, `{"error":{"code":"1210","message":"x"}}`, apierror.InvalidRequest, ""},
		"GLM's filter":         {400, `{"error":{"code":"1301","message":"x"}}`, apierror.ContentFiltered, ""},
		"GLM's length":         {400, `{"error":{"code":"1261","message":"x"}}`, apierror.ContextTooLong, ""},
		"GLM's window":         {429, `{"error":{"code":"1308","message":"Usage limit reached, it will reset at 2026-11-22 23:10:00"}}`, apierror.QuotaExhausted, ""},
		"GLM frequency":        {400, `{"error":{"code":"1303","message":"x"}}`, apierror.RateLimited, ""},
		"per day":              {429, `{"error":{"message":"Limit reached for requests per day (RPD)"}}`, apierror.QuotaExhausted, ""},
		"DeepSeek's purse":     {402, `{"error":{"message":"Insufficient Balance"}}`, apierror.NoCredit, ""},
		"context":              {400, `{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.","code":"context_length_exceeded"}}`, apierror.ContextTooLong, ""},
		"context by words":     {413, `{"message":"prompt is too long: 9 tokens > 8 maximum"}`, apierror.ContextTooLong, ""},
		"parameter":            {400, `{"error":{"message":"Unsupported parameter","code":"unsupported_parameter","param":"temperature"}}`, apierror.InvalidRequest, ""},
		"Groq's minute":        {413, `{"error":{"message":"Request too large","type":"tokens","code":"rate_limit_exceeded"}}`, apierror.RateLimited, ""},
		"too large":            {413, `{}`, apierror.BodyTooLarge, "the service answered 413"},
		"filter":               {400, `{"error":{"message":"x","code":"content_filter"}}`, apierror.ContentFiltered, ""},
		"FastAPI":              {422, `{"detail":[{"msg":"Extra inputs are not permitted"}]}`, apierror.InvalidRequest, "Extra inputs are not permitted"},
		"detail as text":       {422, `{"detail":"nope"}`, apierror.InvalidRequest, "nope"},
		"error as text":        {500, `{"error":"boom"}`, apierror.Upstream5xx, "boom"},
		"vLLM":                 {400, `{"object":"error","message":"bad thing","code":400}`, apierror.InvalidRequest, "bad thing"},
		"nested":               {500, `{"error":{"message":"{\"error\":{\"message\":\"inner\",\"code\":\"c\"}}"}}`, apierror.Upstream5xx, "inner"},
		"nested after words":   {500, `{"error":{"message":"upstream: {\"error\":{\"message\":\"inner\"}}"}}`, apierror.Upstream5xx, "inner"},
		"array":                {503, `[{"error":{"message":"busy","code":503}}]`, apierror.Overloaded, "busy"},
		"HTML":                 {502, "<html>bad</html>", apierror.Upstream5xx, "upstream returned HTML (502)"},
		"HTML 401":             {401, "<html>", apierror.AuthExpired, ""},
		"HTML 403":             {403, "<html>", apierror.AccountBlocked, ""},
		"Cloudflare":           {403, "<!DOCTYPE html><title>Cloudflare</title>", apierror.RateLimited, ""},
		"HTML 404":             {404, "<html>", apierror.ModelNotFound, ""},
		"HTML 413":             {413, "<html>", apierror.BodyTooLarge, ""},
		"HTML 429":             {429, "<html>", apierror.RateLimited, ""},
		"HTML 503":             {503, "<html>", apierror.Overloaded, ""},
		"HTML 504":             {504, "<html>", apierror.Timeout, ""},
		"empty":                {500, "", apierror.Upstream5xx, "the service answered 500"},
		"plain":                {529, "busy, mail ann@example.com", apierror.Overloaded, "busy, mail [redacted]"},
		"overloaded with 500":  {500, `{"error":{"type":"overloaded_error","message":"x"}}`, apierror.Overloaded, ""},
		"timeout":              {524, ``, apierror.Timeout, ""},
		"only a code":          {400, `{"error":{"code":"odd"}}`, apierror.InvalidRequest, "the service answered 400 (odd)"},
		"OpenRouter's raw":     {429, `{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"retry shortly"}}}`, apierror.RateLimited, "Provider returned error: retry shortly"},
		"key invalid with 400": {400, `{"error":{"message":"API key not valid"}}`, apierror.AuthExpired, ""},
	} {
		e := ParseError(c.status, http.Header{}, []byte(c.body))
		if e.Kind != c.kind || c.msg != "" && e.Msg != c.msg {
			t.Errorf("%s: %v, want %s %q", name, e, c.kind, c.msg)
		}
	}
	if e := ParseError(422, nil, []byte(`{"detail":[{"type":"extra_forbidden","loc":["body","messages",1,"assistant","reasoning_content"],"msg":"Extra inputs are not permitted"}]}`)); e.Param != "messages.1.assistant.reasoning_content" {
		t.Errorf("the path of a field: %+v", e)
	}
	e := ParseError(400, nil, []byte(`{"error":{"message":"Unsupported value","code":"unsupported_value","param":"temperature"}}`))
	if e.Param != "temperature" || e.Code != "unsupported_value" {
		t.Errorf("%+v", e)
	}
	if e := ParseError(400, nil, []byte(`{"error":{"message":"Unknown parameter: 'stream_options'."}}`)); e.Param != "stream_options" {
		t.Errorf("%+v", e)
	}
	e = ParseError(400, nil, []byte(`{"error":{"message":"This model's maximum context length is 10 tokens. you requested about 12 tokens"}}`))
	if e.PromptTokens != 12 || e.MaxTokens != 10 {
		t.Errorf("%+v", e)
	}
	if e := ParseError(400, nil, []byte(`{"error":{"message":"Invalid reasoning signature"}}`)); !e.BadSignature {
		t.Error("the bad signature was not seen")
	}
	if e := ParseError(400, nil, []byte(strings.Repeat("x", 5000))); len(e.Msg) > 500 || len(e.Upstream.Body) > 4096 {
		t.Error("a whole body is shown")
	}
}

func TestRetryAfterInAllItsSpellings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, c := range []struct {
			name, value, msg string
			want             time.Duration
		}{
			{"Retry-After", "7", "", 7 * time.Second},
			{"Retry-After-Ms", "1500", "", 1500 * time.Millisecond},
			{"Retry-After", now.Add(time.Minute).UTC().Format(http.TimeFormat), "", time.Minute},
			{"X-Ratelimit-Reset-Requests", "6m0s", "", 6 * time.Minute},
			{"X-Ratelimit-Reset-Tokens", "120ms", "", 120 * time.Millisecond},
			{"X-Ratelimit-Reset", "946684860000", "", time.Minute},
			{"X", "", "Please try again in 1.2s.", 1200 * time.Millisecond},
			{"X", "", "try again in 6m30s", 390 * time.Second},
			{"X", "", "Please retry after 20 seconds", 20 * time.Second},
			{"X", "", `"retryDelay": "37s"`, 37 * time.Second},
			{"X", "", "it will reset at 2000-01-01 08:01:00", time.Minute},
			{"X", "", "nothing", 0},
		} {
			h := http.Header{}
			h.Set(c.name, c.value)
			if got := retryAfter(h, c.msg); got.Round(time.Millisecond) != c.want {
				t.Errorf("%s %s %s: %v, want %v", c.name, c.value, c.msg, got, c.want)
			}
		}
		h := http.Header{}
		h.Set("X-Ratelimit-Reset-Requests", "1s")
		h.Set("X-Ratelimit-Reset-Tokens", "9s")
		if got := headerReset(h); got != time.Second {
			t.Error(got)
		}
		h.Set("X-Ratelimit-Remaining-Tokens", "0")
		if got := headerReset(h); got != 9*time.Second {
			t.Error(got)
		}
		h.Set("Retry-After", "5")
		if e := ParseError(429, h, []byte("<html>")); e.RetryAfter != 5*time.Second {
			t.Error(e.RetryAfter)
		}
	})
}

func TestErrorsInsideAnAnswer(t *testing.T) {
	for body, kind := range map[string]apierror.Kind{
		`{"error":{"message":"x","code":429}}`:                               apierror.RateLimited,
		`{"error":{"message":"x","type":"rate_limit_error"}}`:                apierror.RateLimited,
		`{"type":"error","error":{"type":"overloaded_error","message":"x"}}`: apierror.Overloaded,
		`{"code":"x","message":"failed"}`:                                    apierror.Upstream5xx,
		`{"status_code":401,"code":"k","message":"failed"}`:                  apierror.AuthExpired,
		`{"base_resp":{"status_code":1002,"status_msg":"x"}}`:                apierror.RateLimited,
		`{"base_resp":{"status_code":1004,"status_msg":"x"}}`:                apierror.AuthExpired,
		`{"base_resp":{"status_code":1027,"status_msg":"x"}}`:                apierror.ContentFiltered,
		`{"base_resp":{"status_code":1039,"status_msg":"x"}}`:                apierror.ContextTooLong,
		`{"base_resp":{"status_code":2013,"status_msg":"x"}}`:                apierror.InvalidRequest,
		`{"object":"error","message":"x","code":404}`:                        apierror.ModelNotFound,
	} {
		if e := InsideError([]byte(body)); e.Kind != kind {
			t.Errorf("%s: %v, want %s", body, e, kind)
		}
	}
}
