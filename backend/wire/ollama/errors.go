package ollama

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/wire"
)

// statuses are the HTTP statuses of the rows. The body says the rest in words: Ollama has no types or codes.
var statuses = map[apierror.Row]int{
	apierror.RowInvalid:       400,
	apierror.RowUnsupported:   400,
	apierror.RowContext:       400,
	apierror.RowAuth:          401,
	apierror.RowBilling:       402,
	apierror.RowPermission:    403,
	apierror.RowModelNotFound: 404,
	apierror.RowRouteNotFound: 404,
	apierror.RowTooLarge:      413,
	apierror.RowRateLimit:     429,
	apierror.RowQuota:         429,
	apierror.RowOverloaded:    503,
	apierror.RowTimeout:       504,
	apierror.RowUpstream:      502,
	apierror.RowInternal:      500,
}

// Error renders e as {"error": text} with its status.
func (Codec) Error(e *apierror.Error, requestID string) (int, http.Header, []byte) {
	h := http.Header{}
	h.Set("Content-Type", jsonType)
	if requestID != "" {
		h.Set("X-Request-Id", requestID)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	return statuses[e.Row()], h, appendError(nil, e)
}

func appendError(dst []byte, e *apierror.Error) []byte {
	return append(wire.AppendString(append(dst, `{"error":`...), errorText(e)), '}')
}

// errorText is the message in the words that Ollama's clients look for: "not found" with a model that is not there.
func errorText(e *apierror.Error) string {
	switch {
	case e.Kind == apierror.ModelNotFound && !strings.Contains(e.Msg, "not found"):
		return "model not found: " + e.Msg
	case e.Kind == apierror.ClientUnauthorized:
		return "unauthorized: " + e.Msg
	default:
		return e.Msg
	}
}
