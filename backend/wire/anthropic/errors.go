package anthropic

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
)

// errorRows is what a client is told for each row: the status and the error's type.
var errorRows = map[apierror.Row]struct {
	status int
	kind   string
}{
	apierror.RowInvalid:       {400, "invalid_request_error"},
	apierror.RowUnsupported:   {400, "invalid_request_error"},
	apierror.RowContext:       {400, "invalid_request_error"},
	apierror.RowAuth:          {401, "authentication_error"},
	apierror.RowBilling:       {402, "billing_error"},
	apierror.RowPermission:    {403, "permission_error"},
	apierror.RowModelNotFound: {404, "not_found_error"},
	apierror.RowRouteNotFound: {404, "not_found_error"},
	apierror.RowTooLarge:      {413, "request_too_large"},
	apierror.RowRateLimit:     {429, "rate_limit_error"},
	apierror.RowQuota:         {429, "rate_limit_error"},
	apierror.RowOverloaded:    {529, "overloaded_error"},
	apierror.RowTimeout:       {504, "timeout_error"},
	apierror.RowUpstream:      {500, "api_error"},
	apierror.RowInternal:      {500, "api_error"},
}

// Error renders e as an error body with its status and the headers that SDKs obey.
func (Codec) Error(e *apierror.Error, requestID string) (status int, header http.Header, body []byte) {
	row := e.Row()
	header = http.Header{}
	if e.RetryAfter > 0 {
		header.Set("Retry-After", retrySeconds(e.RetryAfter))
	}
	if e.NoRetry || row == apierror.RowQuota {
		header.Set("X-Should-Retry", "false")
	}
	return errorRows[row].status, header, appendError(nil, e, requestID)
}

func retrySeconds(d time.Duration) string {
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

func appendError(dst []byte, e *apierror.Error, requestID string) []byte {
	w := writer{b: append(dst, '{')}
	w.str("type", "error")
	w.begin("error", '{')
	w.str("type", errorRows[e.Row()].kind)
	w.str("message", errorText(e))
	w.close('}')
	w.opt("request_id", requestID)
	w.close('}')
	return w.b
}

// errorText is the message for the client. A prompt that is too long is told in the vendor's own words: claude-code
// 2.1.197 reads the numbers out of it and compacts the conversation.
func errorText(e *apierror.Error) string {
	if e.Row() == apierror.RowContext {
		limit := e.MaxTokens
		if limit <= 0 {
			limit = 200_000
		}
		text := fmt.Sprintf("prompt is too long: %d tokens > %d maximum", max(e.PromptTokens, limit+1), limit)
		if (e.PromptTokens <= 0 || e.MaxTokens <= 0) && e.Msg != "" {
			text += " (the service gave no exact numbers: " + e.Msg + ")"
		}
		return text
	}
	if e.Param != "" && !strings.Contains(e.Msg, e.Param) {
		return e.Param + ": " + e.Msg
	}
	return e.Msg
}
