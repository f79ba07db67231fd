package oai

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
)

// shape is how a row of errors looks to a chat client.
type shape struct {
	status    int
	typ, code string
}

var shapes = map[apierror.Row]shape{
	apierror.RowInvalid:       {400, "invalid_request_error", ""},
	apierror.RowUnsupported:   {400, "invalid_request_error", "unsupported_parameter"},
	apierror.RowContext:       {400, "invalid_request_error", "context_length_exceeded"},
	apierror.RowAuth:          {401, "authentication_error", "invalid_api_key"},
	apierror.RowBilling:       {429, "rate_limit_error", "insufficient_quota"},
	apierror.RowPermission:    {403, "permission_error", ""},
	apierror.RowModelNotFound: {404, "invalid_request_error", "model_not_found"},
	apierror.RowRouteNotFound: {404, "invalid_request_error", "unsupported_endpoint"},
	apierror.RowTooLarge:      {413, "invalid_request_error", "request_too_large"},
	apierror.RowRateLimit:     {429, "rate_limit_error", "rate_limit_exceeded"},
	apierror.RowQuota:         {429, "rate_limit_error", "insufficient_quota"},
	apierror.RowOverloaded:    {503, "server_error", "overloaded"},
	apierror.RowTimeout:       {504, "server_error", "upstream_timeout"},
	apierror.RowUpstream:      {502, "server_error", "upstream_error"},
	apierror.RowInternal:      {500, "server_error", "internal_error"},
}

// Shape returns the status, type and code of e in these formats.
func Shape(e *apierror.Error) (status int, typ, code string) {
	s := shapeOf(e)
	return s.status, s.typ, s.code
}

func shapeOf(e *apierror.Error) shape {
	row := e.Row()
	s := shapes[row]
	if e.Kind == apierror.ContentFiltered {
		s.code = "content_filter"
	}
	if e.Code != "" {
		s.code = e.Code
	}
	return s
}

// Error renders e as an error body with its status. The SDKs obey x-should-retry before any rule of their own.
func Error(e *apierror.Error, requestID string) (int, http.Header, []byte) {
	s, h := shapeOf(e), http.Header{}
	h.Set("Content-Type", "application/json")
	if requestID != "" {
		h.Set("X-Request-Id", requestID)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(max(e.RetryAfter.Milliseconds(), 1), 10))
	}
	if row := e.Row(); e.NoRetry || row == apierror.RowQuota || row == apierror.RowBilling {
		h.Set("X-Should-Retry", "false")
	}
	return s.status, h, AppendError(nil, e)
}

// AppendError appends the error object. param and code are a string or null, never absent.
func AppendError(dst []byte, e *apierror.Error) []byte {
	s := shapeOf(e)
	msg := e.Msg
	if e.Kind == apierror.ContextTooLong && !strings.Contains(msg, "maximum context length") {
		msg = contextMessage(e)
	}
	dst = AppendString(append(dst, `{"error":{"message":`...), msg)
	dst = AppendString(append(dst, `,"type":`...), s.typ)
	dst = AppendOrNull(append(dst, `,"param":`...), e.Param)
	dst = AppendOrNull(append(dst, `,"code":`...), s.code)
	return append(dst, "}}"...)
}

// contextMessage tells of a prompt that is too long in the words that chat apps look for.
func contextMessage(e *apierror.Error) string {
	if e.PromptTokens > 0 && e.MaxTokens > 0 {
		return "This model's maximum context length is " + strconv.FormatInt(e.MaxTokens, 10) + " tokens. However, your messages resulted in " +
			strconv.FormatInt(e.PromptTokens, 10) + " tokens. " + e.Msg
	}
	return "The prompt is longer than the model's maximum context length. " + e.Msg
}

// AppendOrNull appends a string, or null for an empty one.
func AppendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return AppendString(dst, s)
}

// AppendString appends s as a JSON string without escaping HTML. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that invalid UTF-8 was replaced
	return dst
}
