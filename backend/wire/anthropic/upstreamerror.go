package anthropic

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
	"patchbay/backend/wire"
)

// upstreamError is what could be read out of an error answer.
type upstreamError struct{ kind, message string }

// ParseError reads an error answer of an upstream.
func ParseError(status int, header http.Header, body []byte) *apierror.Error {
	html := looksHTML(header, body)
	u := upstreamError{}
	if !html {
		u = readError(body, 0)
	}
	if status < 400 {
		status = statusOf(u.kind)
	}
	msg := redact(u.message)
	switch {
	case html:
		msg = "the service answered with a web page (" + strconv.Itoa(status) + ")"
	case msg == "":
		msg = "the service answered " + strconv.Itoa(status) + " without a reason"
	}
	e := &apierror.Error{Kind: apierror.InvalidRequest, Msg: msg}
	e.Upstream = apierror.Upstream{Status: status, Code: u.kind, Body: redact(string(body[:min(len(body), 4<<10)]))}
	classify(e, status, header, u, html)
	return e
}

func looksHTML(header http.Header, body []byte) bool {
	if strings.Contains(strings.ToLower(header.Get("Content-Type")), "html") {
		return true
	}
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// readError finds type and message in the shapes that services send: Anthropic's, OpenAI's, Google's (also as an array
// with one element), an error whose message is JSON itself, and plain text.
func readError(body []byte, depth int) upstreamError {
	v := jsontext.Value(bytes.TrimSpace(body))
	if v.Kind() == '[' && v.IsValid(wire.Lenient) {
		var all []jsontext.Value
		if json.Unmarshal(v, &all, wire.Lenient) == nil && len(all) > 0 {
			v = all[0]
		}
	}
	var outer struct {
		Error   jsontext.Value `json:"error"`
		Message jsontext.Value `json:"message"`
		Type    jsontext.Value `json:"type"`
		Code    jsontext.Value `json:"code"`
	}
	if v.Kind() != '{' || json.Unmarshal(v, &outer, wire.Lenient) != nil {
		return upstreamError{message: oneLine(string(v))}
	}
	u := upstreamError{kind: firstOf(text(outer.Type), text(outer.Code)), message: text(outer.Message)}
	switch outer.Error.Kind() {
	case '"':
		u.message = firstOf(u.message, text(outer.Error))
		if u.message != text(outer.Error) {
			u.kind = text(outer.Error)
		}
	case '{':
		var inner struct {
			Type    jsontext.Value `json:"type"`
			Code    jsontext.Value `json:"code"`
			Status  jsontext.Value `json:"status"`
			Message jsontext.Value `json:"message"`
		}
		if json.Unmarshal(outer.Error, &inner, wire.Lenient) == nil {
			u = upstreamError{kind: firstOf(text(inner.Type), text(inner.Status), text(inner.Code)), message: text(inner.Message)}
		}
	}
	if depth == 0 && strings.HasPrefix(strings.TrimSpace(u.message), "{") {
		if in := readError([]byte(u.message), 1); in.message != "" {
			return upstreamError{kind: firstOf(in.kind, u.kind), message: in.message}
		}
	}
	u.message = oneLine(u.message)
	return u
}

// text returns a JSON string's text, or a number as it stands.
func text(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s, wire.Lenient) == nil {
			return s
		}
	case '0':
		return string(v)
	}
	return ""
}

// maxMessage bounds what of an upstream's message is shown.
const maxMessage = 600

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

var secrets = regexp.MustCompile(`(?i)bearer\s+\S+|\b(?:sk-|ya29\.|eyJ|AIza)[\w.-]{6,}|[\w.+-]+@[\w-]+\.[\w.-]+`)

// redact removes what looks like a key, a token or a mail address.
func redact(s string) string { return secrets.ReplaceAllString(s, "[removed]") }

// statusOf returns the status that belongs to an error's type, for errors that come inside a 200.
func statusOf(kind string) int {
	if n, err := strconv.Atoi(kind); err == nil && n >= 400 && n < 600 {
		return n
	}
	switch kind {
	case "invalid_request_error":
		return 400
	case "authentication_error":
		return 401
	case "billing_error":
		return 402
	case "permission_error":
		return 403
	case "not_found_error":
		return 404
	case "request_too_large":
		return 413
	case "rate_limit_error":
		return 429
	case "timeout_error":
		return 504
	case "overloaded_error":
		return 529
	case "api_error":
		return 500
	default:
		return 502
	}
}

var (
	policyText    = regexp.MustCompile(`(?i)only authorized for use with claude code|third-party apps now draw from|out of extra usage`)
	creditText    = regexp.MustCompile(`(?i)credit balance is too low|insufficient[_ ](?:balance|quota|credit|fund)|\bbilling\b|\barrear|exceeded_current_quota|\bbalance\b`)
	fastText      = regexp.MustCompile(`(?i)usage credits are required`)
	signatureText = regexp.MustCompile("(?i)invalid .*signature|corrupted thought signature|thought_signature|encrypted content .* could not be|could not decrypt|expected .?thinking.? or .?redacted_thinking|thinking.{0,40} blocks .*cannot be modified")
	longText      = regexp.MustCompile(`(?i)prompt is too long|exceeds? (?:the )?(?:model'?s? )?(?:maximum )?context|context (?:length|window|limit)|input is too long|too many (?:input )?tokens`)
	longNumbers   = regexp.MustCompile(`(?i)prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)`)
	sumNumbers    = regexp.MustCompile(`(?i)exceed context limit[^0-9]*(\d+)\s*\+\s*(\d+)\s*>\s*(\d+)`)
	filterText    = regexp.MustCompile(`(?i)blocked by content filtering|content policy|usage policy`)
	modelText     = regexp.MustCompile(`(?i)model\b.{0,80}\b(?:not found|not exist|unknown|not supported|unsupported|invalid)|(?:unknown|unsupported|invalid|no such) model`)
	waitText      = regexp.MustCompile(`(?i)(?:try again|retry|reset)[^0-9]{0,20}(\d+(?:\.\d+)?)\s*(ms|s|sec|second|m|min|minute|h|hour)`)
)

// classify sets the kind and what hangs on it. Sentences are matched only where the type of the error is not enough.
func classify(e *apierror.Error, status int, header http.Header, u upstreamError, html bool) {
	msg := u.message
	switch {
	case policyText.MatchString(msg):
		e.Kind, e.NoRetry = apierror.PolicyRefused, true
		e.Msg = "the service refuses this use of the login; use an API key instead: " + e.Msg
	case status == 401:
		e.Kind, e.Msg = apierror.AuthExpired, "the service refuses the key: "+e.Msg
	case status == 429 && fastText.MatchString(msg):
		e.Kind, e.Param = apierror.Unsupported, "speed"
	case status == 402, u.kind == "billing_error", (status == 400 || status == 403 || status == 429) && creditText.MatchString(msg+" "+u.kind):
		e.Kind, e.Scope = apierror.NoCredit, "*"
		e.RetryAfter = retryAfter(header, msg)
	case status == 403 && html:
		e.Kind, e.Scope, e.RetryAfter = apierror.RateLimited, "*", 10*time.Minute
	case status == 403:
		e.Kind, e.RetryAfter = apierror.AccountBlocked, 30*time.Minute
	case status == 404:
		e.Kind = apierror.ModelNotFound
	case status == 413:
		e.Kind = apierror.BodyTooLarge
	case status == 429:
		limited(e, header, msg)
	case status == 408, status == 504, status == 524:
		e.Kind = apierror.Timeout
	case status == 529, status == 503:
		e.Kind, e.RetryAfter = apierror.Overloaded, retryAfter(header, msg)
	case status >= 500:
		e.Kind = apierror.Upstream5xx
	default:
		invalid(e, msg)
	}
}

// invalid tells apart what a 400 may mean.
func invalid(e *apierror.Error, msg string) {
	switch {
	case longText.MatchString(msg):
		e.Kind = apierror.ContextTooLong
		if m := longNumbers.FindStringSubmatch(msg); m != nil {
			e.PromptTokens, e.MaxTokens = number(m[1]), number(m[2])
		} else if m := sumNumbers.FindStringSubmatch(msg); m != nil {
			e.PromptTokens, e.MaxTokens = number(m[1])+number(m[2]), number(m[3])
		}
	case signatureText.MatchString(msg):
		e.BadSignature = true
	case filterText.MatchString(msg):
		e.Kind = apierror.ContentFiltered
	case modelText.MatchString(msg):
		e.Kind = apierror.ModelNotFound
	}
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // digits only; past the range it is the largest number
	return n
}

// windows are the unified rate limits of a subscription, each with its own status and reset. The last is that of one
// family of models only (CLIProxyAPI, 2026-08).
var windows = []string{"5h", "7d", "7d_oi"}

const unified = "Anthropic-Ratelimit-Unified-"

// limited sets how long a rate limit lasts and what rests: the latest reset among the rejected windows, else the
// service's own wish, else nothing known.
func limited(e *apierror.Error, header http.Header, msg string) {
	e.Kind = apierror.RateLimited
	var latest int64
	whole := false
	for _, w := range windows {
		if !strings.EqualFold(header.Get(unified+w+"-Status"), "rejected") {
			continue
		}
		latest = max(latest, number(header.Get(unified+w+"-Reset")))
		whole = whole || w != "7d_oi"
	}
	if latest == 0 && strings.EqualFold(header.Get(unified+"Status"), "rejected") {
		latest, whole = number(header.Get(unified+"Reset")), true
	}
	if whole {
		e.Scope = "*"
	}
	if latest > 0 {
		spread := 1 + latest%30 // so that accounts with one reset do not all come back in the same second
		e.RetryAfter = max(time.Until(time.Unix(latest+spread, 0)), time.Second).Round(time.Second)
	} else {
		e.RetryAfter = retryAfter(header, msg)
	}
	if e.RetryAfter > apierror.QuotaPause {
		e.Kind = apierror.QuotaExhausted
	}
}

// retryAfter reads how long to wait: headers first, then the message.
func retryAfter(header http.Header, msg string) time.Duration {
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	v := header.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil && s > 0 {
		return time.Duration(s * float64(time.Second))
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0).Round(time.Second)
	}
	if d := emptyBucket(header); d > 0 {
		return d
	}
	if m := waitText.FindStringSubmatch(msg); m != nil {
		n, _ := strconv.ParseFloat(m[1], 64) // matched as a number
		return time.Duration(n * float64(unit(m[2])))
	}
	return 0
}

// emptyBucket returns the latest reset among the limits of an API key of which nothing remains.
func emptyBucket(header http.Header) (d time.Duration) {
	for _, name := range []string{"Requests", "Tokens", "Input-Tokens", "Output-Tokens"} {
		if header.Get("Anthropic-Ratelimit-"+name+"-Remaining") != "0" {
			continue
		}
		if t, err := time.Parse(time.RFC3339, header.Get("Anthropic-Ratelimit-"+name+"-Reset")); err == nil {
			d = max(d, time.Until(t).Round(time.Second))
		}
	}
	return d
}

func unit(s string) time.Duration {
	switch {
	case s == "ms":
		return time.Millisecond
	case s[0] == 'm' || s[0] == 'M':
		return time.Minute
	case s[0] == 'h' || s[0] == 'H':
		return time.Hour
	default:
		return time.Second
	}
}
