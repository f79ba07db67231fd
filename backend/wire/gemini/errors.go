package gemini

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"patchbay/backend/apierror"
)

// Error renders e in Google's shape.
func (Codec) Error(e *apierror.Error, requestID string) (int, http.Header, []byte) {
	return statusOf(e), nil, appendError(nil, e, requestID)
}

// rows fix the HTTP status and Google's status word per class of error. Google has no 402, 413 and 502.
var rows = map[apierror.Row]struct {
	code int
	word string
}{
	apierror.RowInvalid:       {400, "INVALID_ARGUMENT"},
	apierror.RowUnsupported:   {400, "INVALID_ARGUMENT"},
	apierror.RowContext:       {400, "INVALID_ARGUMENT"},
	apierror.RowTooLarge:      {400, "INVALID_ARGUMENT"},
	apierror.RowAuth:          {401, "UNAUTHENTICATED"},
	apierror.RowPermission:    {403, "PERMISSION_DENIED"},
	apierror.RowModelNotFound: {404, "NOT_FOUND"},
	apierror.RowRouteNotFound: {404, "NOT_FOUND"},
	apierror.RowBilling:       {429, "RESOURCE_EXHAUSTED"},
	apierror.RowRateLimit:     {429, "RESOURCE_EXHAUSTED"},
	apierror.RowQuota:         {429, "RESOURCE_EXHAUSTED"},
	apierror.RowOverloaded:    {503, "UNAVAILABLE"},
	apierror.RowTimeout:       {504, "DEADLINE_EXCEEDED"},
	apierror.RowUpstream:      {500, "INTERNAL"},
	apierror.RowInternal:      {500, "INTERNAL"},
}

func statusOf(e *apierror.Error) int { return rows[e.Row()].code }

const typePrefix = "type.googleapis.com/google.rpc."

// appendError appends the body of an error, which is also an element of a stream.
func appendError(dst []byte, e *apierror.Error, requestID string) []byte {
	row := rows[e.Row()]
	w := writer{b: append(dst, '{')}
	w.begin("error", '{')
	w.int("code", int64(row.code))
	w.str("message", message(e))
	w.str("status", row.word)
	w.begin("details", '[')
	mark := len(w.b)
	w.details(e)
	if requestID != "" {
		w.detail("RequestInfo")
		w.str("requestId", requestID)
		w.close('}')
	}
	if len(w.b) == mark { // no details: leave the member out
		w.b = w.b[:mark-len(`,"details":[`)]
	} else {
		w.close(']')
	}
	w.close('}')
	w.close('}')
	return w.b
}

// message is Google's own sentence where programs look for it.
func message(e *apierror.Error) string {
	if e.Row() == apierror.RowContext && e.PromptTokens > 0 && e.MaxTokens > 0 {
		return fmt.Sprintf("The input token count (%d) exceeds the maximum number of tokens allowed (%d).", e.PromptTokens, e.MaxTokens)
	}
	return e.Msg
}

// details tell a program what a 429 means: gemini-cli 0.61.0 waits for RetryInfo and gives up on a QuotaFailure whose
// quotaId holds PerDay.
func (w *writer) details(e *apierror.Error) {
	switch e.Row() {
	case apierror.RowQuota:
		w.detail("QuotaFailure")
		w.begin("violations", '[')
		w.open('{')
		w.str("quotaId", "RequestsPerDayPerAccount")
		w.close('}')
		w.close(']')
		w.close('}')
		w.retryInfo(e.RetryAfter)
	case apierror.RowBilling:
		w.detail("ErrorInfo")
		w.str("reason", "QUOTA_EXHAUSTED")
		w.str("domain", "patchbay")
		w.close('}')
	case apierror.RowRateLimit, apierror.RowOverloaded:
		w.retryInfo(e.RetryAfter)
	case apierror.RowInvalid, apierror.RowUnsupported:
		if e.Param != "" {
			w.detail("BadRequest")
			w.begin("fieldViolations", '[')
			w.open('{')
			w.str("field", e.Param)
			w.str("description", e.Msg)
			w.close('}')
			w.close(']')
			w.close('}')
		}
	}
}

func (w *writer) detail(name string) {
	w.open('{')
	w.str("@type", typePrefix+name)
}

// retryInfo tells the wait in whole seconds, rounded up.
func (w *writer) retryInfo(d time.Duration) {
	if d <= 0 {
		return
	}
	w.detail("RetryInfo")
	w.str("retryDelay", strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)+"s")
	w.close('}')
}
