package kiro

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"patchbay/backend/apierror"
)

// refusal is one row of what the service was seen to answer, or is known to.
type refusal struct {
	name   string
	status int
	body   string
	header http.Header
	kind   apierror.Kind
	route  bool // another way is tried
}

var refusals = []refusal{
	{"suspended", 403, `{"message":"Your User ID (11112222-3333) temporarily is suspended. See https://support.example.test/x.","reason":"TEMPORARILY_SUSPENDED"}`, nil, apierror.AccountBlocked, false},
	{"suspended in words", 403, `{"message":"Your account is temporarily suspended","reason":null}`, nil, apierror.AccountBlocked, false},
	{"locked", 400, `{"message":"We have locked your account","reason":null}`, nil, apierror.AccountBlocked, false},
	{"423", 423, `{"__type":"com.amazon#AccountSuspendedException"}`, nil, apierror.AccountBlocked, false},
	{"401", 401, `{"message":"x"}`, nil, apierror.AuthExpired, false},
	{"bad bearer", 403, `{"message":"The bearer token included in the request is invalid.","reason":null}`, nil, apierror.AuthExpired, false},
	{"expired", 403, `{"message":"The provided token has expired"}`, nil, apierror.AuthExpired, false},
	{"security token", 403, `{"message":"The security token included in the request is invalid"}`, nil, apierror.AuthExpired, false},
	{"bad bearer at management", 400, `{"__type":"AccessDeniedException","message":"nope"}`, nil, apierror.AuthExpired, false},
	{"profile required", 400, `{"message":"profileArn is required for this request.","reason":null}`, nil, apierror.AccountBlocked, true},
	{"invalid profile", 400, `{"message":"Invalid profileArn","reason":null}`, nil, apierror.AccountBlocked, true},
	{"not authorised", 403, `{"message":"User is not authorized to make this call.","reason":null}`, nil, apierror.AccountBlocked, true},
	{"feature", 403, `{"message":"User is not authorized to access this feature","reason":null}`, nil, apierror.AccountBlocked, true},
	{"application", 403, `{"message":"Your subscription does not support this application","reason":null}`, nil, apierror.AccountBlocked, true},
	{"unknown operation", 400, `{"__type":"UnknownOperationException","message":"Unknown operation"}`, nil, apierror.AccountBlocked, true},
	{"402", 402, `{"message":"Monthly limit reached.","reason":"MONTHLY_REQUEST_COUNT"}`, nil, apierror.QuotaExhausted, false},
	{"402 without a reason", 402, `{}`, nil, apierror.QuotaExhausted, false},
	{"429 monthly", 429, `{"message":"x","reason":"MONTHLY_REQUEST_COUNT"}`, nil, apierror.QuotaExhausted, false},
	{"429 overage", 429, `{"message":"x","reason":"OVERAGE_REQUEST_LIMIT_EXCEEDED"}`, nil, apierror.QuotaExhausted, false},
	{"429 daily", 429, `{"message":"x","reason":"DAILY_REQUEST_COUNT"}`, nil, apierror.QuotaExhausted, false},
	{"no capacity", 429, `{"message":"I am experiencing high traffic","reason":"INSUFFICIENT_MODEL_CAPACITY"}`, nil, apierror.ModelBusy, false},
	{"model away", 500, `{"message":"x","reason":"MODEL_TEMPORARILY_UNAVAILABLE"}`, nil, apierror.ModelBusy, false},
	{"high load", 500, `{"message":"Encountered unexpectedly high load when processing the request, please try again.","reason":null}`, nil, apierror.ModelBusy, false},
	{"503", 503, `{"message":"x"}`, nil, apierror.Overloaded, false},
	{"429", 429, `{"message":"Too many requests.","reason":null}`, nil, apierror.RateLimited, false},
	{"429 by header", 429, ``, http.Header{"X-Amzn-Errortype": {"ThrottlingException:http://internal.amazon.com/coral/"}}, apierror.RateLimited, false},
	{"too long", 400, `{"message":"Input is too long.","reason":"CONTENT_LENGTH_EXCEEDS_THRESHOLD"}`, nil, apierror.ContextTooLong, false},
	{"prompt too long", 400, `{"message":"x","reason":"PROMPT_TOO_LONG"}`, nil, apierror.ContextTooLong, false},
	{"too long in words", 400, `{"message":"Input is too long for requested model","reason":null}`, nil, apierror.ContextTooLong, false},
	{"no such model", 400, `{"message":"Invalid model. Please select a different model.","reason":"INVALID_MODEL_ID"}`, nil, apierror.ModelNotFound, false},
	{"signature", 400, `{"message":"x","reason":"THINKING_SIGNATURE_INVALID"}`, nil, apierror.InvalidRequest, false},
	{"malformed", 400, `{"message":"Improperly formed request.","reason":null}`, nil, apierror.InvalidRequest, false},
	{"tool use", 400, `{"message":"Invalid tool use format.","reason":"REQUEST_BODY_INVALID"}`, nil, apierror.InvalidRequest, false},
	{"mismatch", 400, `{"message":"x","reason":"TOOL_USE_RESULT_MISMATCH"}`, nil, apierror.InvalidRequest, false},
	{"image", 400, `{"message":"x","reason":"IMAGE_SIZE_EXCEEDED"}`, nil, apierror.InvalidRequest, false},
	{"conflict", 409, `{"message":"x","reason":"CUSTOMER_KMS_KEY_DISABLED"}`, nil, apierror.InvalidRequest, false},
	{"404", 404, ``, nil, apierror.Upstream5xx, true},
	{"405", 405, `{"message":"Method not allowed"}`, nil, apierror.Upstream5xx, true},
	{"no resource", 404, `{"__type":"ResourceNotFoundException","message":"x"}`, nil, apierror.ModelNotFound, false},
	{"408", 408, ``, nil, apierror.Timeout, false},
	{"413", 413, ``, nil, apierror.BodyTooLarge, false},
	{"504", 504, ``, nil, apierror.Timeout, false},
	{"500", 500, `{"message":"boom","reason":null}`, nil, apierror.Upstream5xx, false},
	{"a page", 502, `<html>`, nil, apierror.Upstream5xx, false},
	{"a busy page", 503, ` <html>`, nil, apierror.Overloaded, false},
	{"403 of another sort", 403, `{"message":"no","reason":"FEATURE_NOT_SUPPORTED"}`, nil, apierror.AuthExpired, false},
	{"not JSON", 500, `oops`, nil, apierror.Upstream5xx, false},
	{"members of other types", 429, `{"message":5,"reason":{},"__type":[]}`, nil, apierror.RateLimited, false},
}

func TestRefusals(t *testing.T) {
	for _, r := range refusals {
		if r.header == nil {
			r.header = http.Header{}
		}
		e := parseError(r.status, r.header, []byte(r.body))
		if e.Kind != r.kind || errors.Is(e, errRoute) != r.route || e.Msg == "" || e.Upstream.Status != r.status {
			t.Errorf("%s: %v (route %v, status %d)", r.name, e, errors.Is(e, errRoute), e.Upstream.Status)
		}
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	e := parseError(403, http.Header{}, []byte(refusals[0].body))
	if !e.NoRetry || e.Link != "https://support.example.test/x" || !strings.Contains(e.Msg, "temporarily is suspended") || e.Action != "" {
		t.Errorf("suspended: %+v", e)
	}
	if e = parseError(400, http.Header{}, []byte(`{"message":"profileArn is required for this request."}`)); !strings.HasPrefix(e.Action, "profile") || !e.NoRetry {
		t.Errorf("profile: %+v", e)
	}
	if e = parseError(400, http.Header{}, []byte(`{"message":"x","reason":"THINKING_SIGNATURE_INVALID"}`)); !e.BadSignature {
		t.Errorf("signature: %+v", e)
	}
	if e = parseError(429, http.Header{"Retry-After": {"7"}}, []byte(`{}`)); e.RetryAfter != 7*time.Second || e.Scope != "*" {
		t.Errorf("rate: %+v", e)
	}
	if e = parseError(429, http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}, nil); e.RetryAfter < 58*time.Minute || e.RetryAfter > time.Hour {
		t.Errorf("a date: %s", e.RetryAfter)
	}
	now := time.Date(2026, 12, 30, 23, 50, 0, 0, time.UTC)
	s := said{status: 402}
	if e = s.apiError(now); e.RetryAfter != 24*time.Hour+10*time.Minute || e.Scope != "*" {
		t.Errorf("month: %s", e.RetryAfter)
	}
	s = said{status: 429, reason: "DAILY_REQUEST_COUNT"}
	if e = s.apiError(now); e.RetryAfter != 10*time.Minute {
		t.Errorf("day: %s", e.RetryAfter)
	}
	if e = s.apiError(now.Add(-5 * time.Hour)); e.RetryAfter != time.Hour {
		t.Errorf("long day: %s", e.RetryAfter)
	}
	s = said{status: 400, message: strings.Repeat("long ", 200) + "\x00\n"}
	if e = s.apiError(now); len(e.Msg) > maxShown+3 || strings.ContainsAny(e.Msg, "\x00\n") {
		t.Errorf("%q", e.Msg)
	}
}

func TestExceptionsOfAStream(t *testing.T) {
	for name, want := range map[string]apierror.Kind{
		"throttlingException": apierror.RateLimited, "ThrottlingException": apierror.RateLimited, "validationException": apierror.InvalidRequest,
		"accessDeniedException": apierror.AuthExpired, "serviceQuotaExceededException": apierror.QuotaExhausted, "internalServerException": apierror.Upstream5xx,
		"serviceUnavailableException": apierror.Overloaded, "ContentLengthExceededException": apierror.ContextTooLong, "error": apierror.Upstream5xx,
		"somethingNewException": apierror.Upstream5xx, "resourceNotFoundException": apierror.ModelNotFound,
	} {
		if e := exceptionError(name, []byte(`{"message":"m","reason":null}`)); e.Kind != want {
			t.Errorf("%s: %v", name, e)
		}
	}
	if e := exceptionError("validationException", []byte(`{"message":"m","reason":"INVALID_MODEL_ID"}`)); e.Kind != apierror.ModelNotFound {
		t.Errorf("%v", e)
	}
	if e := exceptionError("internalServerException", nil); e.Msg == "" {
		t.Errorf("%v", e)
	}
}
