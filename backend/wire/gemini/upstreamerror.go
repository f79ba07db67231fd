package gemini

import (
	"bytes"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/logging"
	"patchbay/backend/wire"
)

// Status is google.rpc.Status as it stands in an answer.
type Status struct {
	Code    jsontext.Value `json:"code"`
	Message string         `json:"message"`
	Status  string         `json:"status"`
	Details []Detail       `json:"details"`
	// Errors is the older form of the details.
	Errors []struct {
		Reason string `json:"reason"`
	} `json:"errors"`
}

// Detail is one of google.rpc's details of an error, whichever it is.
type Detail struct {
	Type       string `json:"@type"`
	Reason     string `json:"reason"`
	Domain     string `json:"domain"`
	RetryDelay string `json:"retryDelay"`
	Violations []struct {
		QuotaID string `json:"quotaId"`
	} `json:"violations"`
	Links []struct {
		Description string `json:"description"`
		URL         string `json:"url"`
	} `json:"links"`
	Metadata map[string]jsontext.Value `json:"metadata"`
}

// Text returns a member of the metadata, "" if there is none.
func (d *Detail) Text(name string) string { return plainText(d.Metadata[name]) }

// ReadStatus finds the error in the shapes that Google sends: an object, an array with one element, and JSON inside the
// message.
func ReadStatus(body []byte) Status { return readStatus(body, 0) }

// ParseError reads an error answer of an upstream. status is 200 for an error inside a stream.
func ParseError(status int, header http.Header, body []byte) *apierror.Error {
	u, html := readStatus(body, 0), looksHTML(header, body)
	if status < 400 {
		status = codeOf(&u)
	}
	e := &apierror.Error{Kind: apierror.InvalidRequest, Msg: logging.Redact(oneLineText(u.Message))}
	switch {
	case html:
		e.Msg = "the upstream returned HTML (" + strconv.Itoa(status) + ")"
		u = Status{}
	case e.Msg == "":
		e.Msg = "the service answered " + strconv.Itoa(status) + " without a reason"
	}
	e.Upstream = apierror.Upstream{Status: status, Code: u.Status, Body: logging.Redact(string(body[:min(len(body), 4<<10)]))}
	classify(e, status, header, &u)
	return e
}

func looksHTML(header http.Header, body []byte) bool {
	return strings.Contains(strings.ToLower(header.Get("Content-Type")), "html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

func readStatus(body []byte, depth int) Status {
	v := jsontext.Value(bytes.TrimSpace(body))
	if v.Kind() == '[' {
		var all []jsontext.Value
		if json.Unmarshal(v, &all, wire.Lenient) == nil && len(all) > 0 {
			v = all[0]
		}
	}
	var outer struct {
		Error jsontext.Value `json:"error"`
	}
	if v.Kind() != '{' || json.Unmarshal(v, &outer, wire.Lenient) != nil {
		return Status{Message: string(v[:min(len(v), 500)])}
	}
	var s Status
	switch outer.Error.Kind() {
	case '"':
		s.Message = plainText(outer.Error)
	case '{':
		_ = json.Unmarshal(outer.Error, &s, wire.Lenient) // what could be read is good enough
	}
	if strings.HasPrefix(strings.TrimSpace(s.Message), "{") && depth < 2 {
		if in := readStatus([]byte(s.Message), depth+1); in.Message != "" && in.Message != s.Message {
			if len(in.Details) == 0 {
				in.Details = s.Details
			}
			if in.Status == "" {
				in.Status = s.Status
			}
			if len(in.Code) == 0 {
				in.Code = s.Code
			}
			return in
		}
	}
	return s
}

func oneLineText(s string) string { return strings.Join(strings.Fields(s), " ") }

// codeOf returns the status of an error that came inside a 200.
func codeOf(u *Status) int {
	if n, err := strconv.Atoi(strings.Trim(string(u.Code), `"`)); err == nil && n >= 400 && n < 600 {
		return n
	}
	if n, ok := codes[u.Status]; ok {
		return n
	}
	return http.StatusInternalServerError
}

var codes = map[string]int{
	"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403,
	"NOT_FOUND": 404, "ABORTED": 409, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "INTERNAL": 500,
	"UNKNOWN": 500, "DATA_LOSS": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504, "UNIMPLEMENTED": 501,
}

// reason reports whether a detail names a reason.
func (u *Status) reason(words ...string) bool {
	for i := range u.Details {
		for _, w := range words {
			if u.Details[i].Reason == w {
				return true
			}
		}
	}
	return false
}

var (
	tooManyTokens = regexp.MustCompile(`(?i)input token count \(?(\d+)\)? exceeds the maximum number of tokens allowed \(?(\d+)\)?`)
	tooLong       = regexp.MustCompile(`(?i)(token count|context length|prompt) .*(exceed|too long)`)
	badSignature  = regexp.MustCompile(`(?i)invalid .*signature|corrupted thought signature|thought_signature|thought signature`)
	badKey        = regexp.MustCompile(`(?i)api key (not valid|expired|not found)|api_key_invalid`)
	badPlace      = regexp.MustCompile(`(?i)user location is not supported|not available in your (country|location|region)`)
	noCredit      = regexp.MustCompile(`(?i)prepay|credits? (are|is) (depleted|exhausted)|enable billing|billing (account|is disabled)`)
	retryIn       = regexp.MustCompile(`(?i)(?:retry|try again) (?:in|after) ([\d.]+) ?(ms|s|m|h)`)
	limitZero     = regexp.MustCompile(`limit: 0\b`)
)

// classify fills in the kind and what belongs to it.
func classify(e *apierror.Error, status int, header http.Header, u *Status) {
	msg := u.Message
	switch {
	case status == http.StatusUnauthorized, u.reason("API_KEY_INVALID"), status == http.StatusBadRequest && badKey.MatchString(msg):
		e.Kind = apierror.AuthExpired
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge:
		classifyBadRequest(e, status, msg)
	case status == http.StatusPaymentRequired:
		e.Kind = apierror.NoCredit
	case status == http.StatusForbidden && badPlace.MatchString(msg):
		e.Kind = apierror.PolicyRefused
	case status == http.StatusForbidden:
		e.Kind = apierror.AccountBlocked
	case status == http.StatusNotFound:
		e.Kind = apierror.ModelNotFound
		e.Param = "model"
	case status == http.StatusTooManyRequests:
		classifyLimit(e, header, u)
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		e.Kind = apierror.Timeout
	case status == http.StatusServiceUnavailable || status == 529:
		e.Kind = apierror.Overloaded
		if u.reason("MODEL_CAPACITY_EXHAUSTED") {
			e.Kind = apierror.ModelBusy
		}
		e.RetryAfter = wait(header, u)
	case status == http.StatusNotImplemented:
		e.Kind = apierror.Unsupported
	case status >= 500 || status == 499 || status == http.StatusConflict:
		e.Kind = apierror.Upstream5xx
	}
}

func classifyBadRequest(e *apierror.Error, status int, msg string) {
	switch m := tooManyTokens.FindStringSubmatch(msg); {
	case m != nil:
		e.Kind = apierror.ContextTooLong
		e.PromptTokens, _ = strconv.ParseInt(m[1], 10, 64)
		e.MaxTokens, _ = strconv.ParseInt(m[2], 10, 64)
	case tooLong.MatchString(msg):
		e.Kind = apierror.ContextTooLong
	case status == http.StatusRequestEntityTooLarge:
		e.Kind = apierror.BodyTooLarge
	case badSignature.MatchString(msg):
		e.Kind, e.BadSignature = apierror.InvalidRequest, true
	case badPlace.MatchString(msg):
		e.Kind = apierror.PolicyRefused
	case noCredit.MatchString(msg):
		e.Kind = apierror.NoCredit
	}
}

// classifyLimit tells a pause of seconds from a quota of a day. What rests is the model, unless the quota is the
// project's.
func classifyLimit(e *apierror.Error, header http.Header, u *Status) {
	e.Kind, e.RetryAfter = apierror.RateLimited, wait(header, u)
	daily, project := false, false
	for i := range u.Details {
		for _, v := range u.Details[i].Violations {
			daily = daily || strings.Contains(v.QuotaID, "PerDay") || strings.Contains(v.QuotaID, "Daily")
			project = project || strings.Contains(v.QuotaID, "PerProject") && !strings.Contains(v.QuotaID, "PerModel")
		}
	}
	if project {
		e.Scope = "*"
	}
	switch {
	case noCredit.MatchString(u.Message):
		e.Kind = apierror.NoCredit
	case u.reason("MODEL_CAPACITY_EXHAUSTED"):
		e.Kind = apierror.ModelBusy
	case daily || limitZero.MatchString(u.Message):
		e.Kind = apierror.QuotaExhausted
		e.RetryAfter = untilPacificMidnight(answered(header))
	case u.reason("QUOTA_EXHAUSTED"):
		e.Kind = apierror.QuotaExhausted
	case e.RetryAfter > apierror.QuotaPause:
		e.Kind = apierror.QuotaExhausted
	}
}

// wait returns how long the upstream wants to be left alone: RetryInfo, a reset delay in the metadata, a header, or the
// sentence in its message.
func wait(header http.Header, u *Status) time.Duration {
	for i := range u.Details {
		if d, err := time.ParseDuration(u.Details[i].RetryDelay); err == nil && d > 0 {
			return d
		}
		if v := u.Details[i].Metadata["quotaResetDelay"]; len(v) > 0 {
			if d, err := time.ParseDuration(plainText(v)); err == nil && d > 0 {
				return d
			}
		}
	}
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	if s, err := strconv.ParseFloat(header.Get("Retry-After"), 64); err == nil && s > 0 {
		return time.Duration(s * float64(time.Second))
	}
	if m := retryIn.FindStringSubmatch(u.Message); m != nil {
		if d, err := time.ParseDuration(m[1] + strings.ToLower(m[2])); err == nil {
			return d
		}
	}
	return 0
}

// answered is the time of the answer by its own clock.
func answered(header http.Header) time.Time {
	if t, err := http.ParseTime(header.Get("Date")); err == nil {
		return t
	}
	return time.Now()
}

// untilPacificMidnight is the pause until Google's daily quotas start anew. Without time zone data winter time is taken:
// that is at most an hour late.
func untilPacificMidnight(now time.Time) time.Duration {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		zone = time.FixedZone("PST", -8*3600)
	}
	now = now.In(zone)
	return time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, zone).Sub(now)
}
