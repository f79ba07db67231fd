package kiro

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// errRoute marks a refusal that says nothing about the account or the request: this host does not serve it this way. The next
// way is tried then.
var errRoute = errors.New("another way to the service may be open")

// errToken marks a refusal that is about the token and nothing else.
var errToken = errors.New("the token is at fault")

// said is what a refusal says: an HTTP answer, or an exception inside an answer.
type said struct {
	status  int
	name    string // of the exception, without "Exception"
	message string
	reason  string
	header  http.Header
}

// parseError reads a refusal: {"message","reason"}, sometimes with __type or the header x-amzn-ErrorType.
func parseError(status int, header http.Header, body []byte) *apierror.Error {
	s := said{status: status, header: header, name: exceptionName(header.Get("X-Amzn-Errortype"))}
	if text := strings.TrimSpace(string(body[:min(len(body), 64)])); strings.HasPrefix(text, "<") {
		e := apierror.New(apierror.Upstream5xx, "the service answered with a web page (%d); a filter or login page of the network may stand in between", status)
		if status == http.StatusServiceUnavailable {
			e.Kind = apierror.Overloaded
		}
		e.Upstream.Status = status
		return e
	}
	s.read(body)
	return s.apiError(time.Now())
}

// read takes the members of a refusal that have the expected type.
func (s *said) read(body []byte) {
	o, err := canon.ParseObject(body)
	if err != nil {
		return
	}
	text := func(names ...string) string {
		for _, n := range names {
			var t string
			if v := o.Get(n); v.Kind() == '"' && wire.ReadValue(v, n, &t) == nil && t != "" {
				return t
			}
		}
		return ""
	}
	s.message, s.reason = text("message", "Message", "error_description"), text("reason")
	if n := exceptionName(text("__type", "_type")); s.name == "" {
		s.name = n
	}
}

// exceptionName turns "com.amazonaws#ThrottlingException:http://..." into "throttling".
func exceptionName(s string) string {
	if i := strings.LastIndexByte(s, '#'); i >= 0 {
		s = s[i+1:]
	}
	s, _, _ = strings.Cut(s, ":")
	return strings.TrimSuffix(strings.ToLower(s), "exception")
}

// exceptionStatus are the HTTP statuses that the exceptions of a stream would have had (the SDK's schemas).
var exceptionStatus = map[string]int{
	"throttling": 429, "validation": 400, "accessdenied": 403, "servicequotaexceeded": 402, "internalserver": 500, "internalservererror": 500,
	"serviceunavailable": 503, "resourcenotfound": 404, "conflict": 409, "accountsuspended": 423, "contentlengthexceeded": 400,
	"modelnotready": 503, "modeltimeout": 504, "internal": 500,
}

// exceptionError reads an exception inside an answer.
func exceptionError(name string, payload []byte) *apierror.Error {
	s := said{name: exceptionName(name)}
	s.read(payload)
	if s.status = exceptionStatus[s.name]; s.status == 0 {
		s.status = http.StatusInternalServerError
	}
	if s.name == "contentlengthexceeded" && s.reason == "" {
		s.reason = "CONTENT_LENGTH_EXCEEDS_THRESHOLD"
	}
	if s.message == "" {
		s.message = name
	}
	return s.apiError(time.Now())
}

// maxShown bounds the part of a service's message that people see.
const maxShown = 400

func (s *said) text() string {
	t := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s.message, "\ufffd"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(t); len(r) > maxShown {
		t = string(r[:maxShown]) + "..."
	}
	if t == "" {
		t = fmt.Sprintf("the service answered %d", s.status)
	}
	return t
}

// a row of the table of refusals: the first that fits decides.
type errorRow struct {
	name string
	fits func(s *said, low string) bool
	make func(s *said, now time.Time) *apierror.Error
}

func kindRow(k apierror.Kind) func(*said, time.Time) *apierror.Error {
	return func(s *said, _ time.Time) *apierror.Error { return apierror.New(k, "%s", s.text()) }
}

func contains(low string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(low, w) {
			return true
		}
	}
	return false
}

// signInAgain is added where a new login is what helps.
const signInAgain = "; sign in again"

// noProfile is what a person can do about an account that no way is open to.
const noProfile = "profile missing: sign in again, or choose another kind of login; in an organisation, ask the administrator whether a Kiro subscription is assigned to you"

// errorRows is the table. low is the message in lower case. The texts were seen in issues and captures up to 2026-10.
var errorRows = []errorRow{
	{"blocked", func(s *said, low string) bool {
		return s.reason == "TEMPORARILY_SUSPENDED" || s.status == 423 || s.name == "accountsuspended" ||
			contains(low, "temporarily_suspended", "temporarily suspended", "temporarily is suspended", "accountsuspended", "locked your account")
	}, func(s *said, _ time.Time) *apierror.Error {
		e := apierror.New(apierror.AccountBlocked, "Kiro has shut this account: %s", s.text())
		e.NoRetry, e.Link = true, linkIn(s.message)
		return e
	}},
	{"token", func(s *said, low string) bool {
		return s.status == 401 || (s.status == 403 || s.status == 400) &&
			(contains(low, "bearer token") && contains(low, "invalid") || contains(low, "expired token", "token expired", "token has expired") ||
				contains(low, "security token") && contains(low, "invalid") || s.status == 400 && (s.name == "accessdenied" || contains(low, "accessdeniedexception")))
	}, func(s *said, _ time.Time) *apierror.Error {
		e := apierror.New(apierror.AuthExpired, "the service no longer takes this login (%s)%s", s.text(), signInAgain)
		e.Err = errToken
		return e
	}},
	{"route", func(s *said, low string) bool {
		return (s.status == 400 || s.status == 403) && contains(low, "profilearn is required", "invalid profilearn", "not authorized to make this call",
			"access this feature", "subscription does not support this application", "unknownoperation", "unknown operation", "invalidsignature",
			"invalid signature", "endpoint not found", "unsupported endpoint") || s.reason == "" && (s.status == 404 || s.status == 405) && s.name != "resourcenotfound"
	}, routeError},
	{"quota", func(s *said, _ string) bool {
		return s.status == 402 || s.status == 429 && (s.reason == "MONTHLY_REQUEST_COUNT" || s.reason == "OVERAGE_REQUEST_LIMIT_EXCEEDED")
	}, func(s *said, now time.Time) *apierror.Error {
		e := apierror.New(apierror.QuotaExhausted, "this account's allowance is used up: %s", s.text())
		e.Scope, e.RetryAfter = "*", nextMonth(now).Sub(now)
		return e
	}},
	{"daily", func(s *said, _ string) bool { return s.reason == "DAILY_REQUEST_COUNT" }, func(s *said, now time.Time) *apierror.Error {
		e := apierror.New(apierror.QuotaExhausted, "this account's requests of the day are used up: %s", s.text())
		midnight := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		e.Scope, e.RetryAfter = "*", min(midnight.Sub(now), time.Hour)
		return e
	}},
	{"capacity", func(s *said, low string) bool {
		return s.reason == "INSUFFICIENT_MODEL_CAPACITY" || s.reason == "MODEL_TEMPORARILY_UNAVAILABLE" || contains(low, "unexpectedly high load")
	}, kindRow(apierror.ModelBusy)},
	{"busy", func(s *said, _ string) bool { return s.status == 503 }, kindRow(apierror.Overloaded)},
	{"rate", func(s *said, _ string) bool { return s.status == 429 }, func(s *said, now time.Time) *apierror.Error {
		e := apierror.New(apierror.RateLimited, "%s", s.text())
		e.Scope, e.RetryAfter = "*", retryAfter(s.header, now)
		return e
	}},
	{"length", func(s *said, low string) bool {
		return s.reason == "CONTENT_LENGTH_EXCEEDS_THRESHOLD" || s.reason == "PROMPT_TOO_LONG" || contains(low, "input is too long")
	}, kindRow(apierror.ContextTooLong)},
	{"model", func(s *said, _ string) bool { return s.reason == "INVALID_MODEL_ID" || s.name == "resourcenotfound" }, func(s *said, _ time.Time) *apierror.Error {
		e := apierror.New(apierror.ModelNotFound, "this account does not have the model: %s", s.text())
		e.Param = "model"
		return e
	}},
	{"signature", func(s *said, _ string) bool { return s.reason == "THINKING_SIGNATURE_INVALID" }, func(s *said, _ time.Time) *apierror.Error {
		e := apierror.New(apierror.InvalidRequest, "%s", s.text())
		e.BadSignature = true
		return e
	}},
	{"size", func(s *said, _ string) bool { return s.status == 413 }, kindRow(apierror.BodyTooLarge)},
	{"timeout", func(s *said, _ string) bool { return s.status == 408 || s.status == 504 }, kindRow(apierror.Timeout)},
	{"forbidden", func(s *said, _ string) bool { return s.status == 403 }, func(s *said, _ time.Time) *apierror.Error {
		return apierror.New(apierror.AuthExpired, "the service refuses this login (%s)%s", s.text(), signInAgain)
	}},
	{"invalid", func(s *said, _ string) bool { return s.status >= 400 && s.status < 500 }, kindRow(apierror.InvalidRequest)},
	{"failure", func(*said, string) bool { return true }, kindRow(apierror.Upstream5xx)},
}

func routeError(s *said, _ time.Time) *apierror.Error {
	e := apierror.New(apierror.Upstream5xx, "the service does not serve this here: %s", s.text())
	if s.status == 400 || s.status == 403 {
		e = apierror.New(apierror.AccountBlocked, "the service does not let this account in (%s)", s.text())
		e.Action, e.NoRetry = noProfile, true
	}
	e.Err = errRoute
	return e
}

func (s *said) apiError(now time.Time) *apierror.Error {
	low := strings.ToLower(s.message)
	for _, r := range errorRows {
		if r.fits(s, low) {
			e := r.make(s, now)
			e.Upstream.Status, e.Upstream.Code = s.status, s.reason
			if e.Upstream.Code == "" {
				e.Upstream.Code = s.name
			}
			return e
		}
	}
	return apierror.New(apierror.Upstream5xx, "%s", s.text()) // the last row fits all
}

var linkShape = regexp.MustCompile(`https://[^\s"'<>()]+`)

// linkIn returns the address that a text names, "" if it names none.
func linkIn(s string) string { return strings.TrimRight(linkShape.FindString(s), ".,;:") }

func nextMonth(now time.Time) time.Time {
	y, m, _ := now.UTC().Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
}

// maxWait bounds what a service may ask for.
const maxWait = 31 * 24 * time.Hour

func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseFloat(v, 64); err == nil && n > 0 {
		return time.Duration(min(n*float64(time.Second), float64(maxWait)))
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), maxWait)
	}
	return 0
}
