package oai

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"patchbay/backend/apierror"
)

// refusal is what an error answer says, in whichever shape it came.
type refusal struct {
	status              int
	msg, typ, code      string
	param               string
	moderated           bool          // OpenRouter: metadata.reasons
	resets              time.Duration // Codex's service: until the window ends
	header              http.Header
	body                []byte
	lowMsg, lowCodeType string
}

// ParseError reads an error answer of an upstream. The message of the result is safe to show.
func ParseError(status int, header http.Header, body []byte) *apierror.Error {
	if LooksHTML(body) {
		e := HTMLError(status, body)
		if wait := retryAfter(header, ""); wait > 0 {
			e.RetryAfter = wait
		}
		return e
	}
	r := refusal{status: status, header: header, body: body}
	r.read(body, 0)
	return r.error()
}

// InsideError reads an error that came with status 200. Its own fields say which status it stands for.
func InsideError(body []byte) *apierror.Error {
	r := refusal{body: body}
	r.read(body, 0)
	if r.status == 0 {
		r.status = vendorStatus[r.code]
	}
	if n, err := strconv.Atoi(r.code); r.status == 0 && err == nil && n >= 400 && n < 600 {
		r.status = n
	}
	if r.status == 0 {
		r.status = typeStatus(r.typ + " " + r.code)
	}
	if low := strings.ToLower(r.msg); r.status >= 500 && (strings.Contains(low, "overloaded") || strings.Contains(low, "at capacity")) { // OpenAI says it in words alone
		r.status = 503
	}
	return r.error()
}

// IsErrorBody reports an object that has a code and a message and nothing of an answer. iFlow's has a status in text and msg.
func IsErrorBody(data []byte) bool {
	return Member(data, "message") != nil && Member(data, "code") != nil || Text(Member(data, "object")) == "error" ||
		Member(data, "msg") != nil && Text(Member(data, "status")) != ""
}

// LooksHTML reports a page of a web server where JSON should be.
func LooksHTML(body []byte) bool {
	b := bytes.TrimSpace(body)
	return len(b) > 0 && b[0] == '<'
}

// HTMLError tells of a page: of a gateway in between, or of a base address that is no API.
func HTMLError(status int, body []byte) *apierror.Error {
	e := apierror.New(apierror.Upstream5xx, "upstream returned HTML (%d)", status)
	e.Upstream = apierror.Upstream{Status: status, Body: "HTML"}
	low := bytes.ToLower(body[:min(len(body), 4<<10)])
	switch {
	case status == 401:
		e.Kind = apierror.AuthExpired
	case status == 403 && (bytes.Contains(low, []byte("cloudflare")) || bytes.Contains(low, []byte("cf-"))):
		e.Kind, e.Scope, e.RetryAfter = apierror.RateLimited, "*", 10*time.Minute
	case status == 403:
		e.Kind = apierror.AccountBlocked
	case status == 404:
		e.Kind = apierror.ModelNotFound
		e.Msg += "; check the base URL"
	case status == 413:
		e.Kind = apierror.BodyTooLarge
	case status == 429:
		e.Kind = apierror.RateLimited
	case status == 503 || status == 529:
		e.Kind = apierror.Overloaded
	case status == 408 || status == 504 || status == 524:
		e.Kind = apierror.Timeout
	}
	return e
}

// OneElement unwraps an array that holds the answer: Google sends errors of a stream so.
func OneElement(body []byte) []byte {
	c := WalkArray(body)
	if c.Next() {
		return c.Value
	}
	return body
}

// read takes the fields out of an error of any shape, also of JSON inside the message.
func (r *refusal) read(body []byte, depth int) {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		body = bytes.TrimSpace(OneElement(body))
	}
	if len(body) == 0 || body[0] != '{' {
		if r.msg == "" && depth == 0 {
			r.msg = string(body)
		}
		return
	}
	c := WalkObject(body)
	for c.Next() {
		switch string(c.Name) {
		case "error", "errors", "detail", "response":
			r.nested(c.Value, depth)
		case "message", "msg", "status_msg", "error_msg", "error_message":
			r.message(c.Value, depth)
		case "type", "object":
			if t := Text(c.Value); t != "error" {
				r.typ = t
			}
		case "code", "status_code", "status", "http_status":
			r.readCode(string(c.Name), c.Value)
		case "param":
			r.param = Text(c.Value)
		case "resets_in_seconds":
			r.resets = bounded(float64(max(Number(c.Value), 0)) * float64(time.Second))
		case "resets_at":
			if n := Number(c.Value); n > 0 && r.resets == 0 {
				r.resets = min(max(time.Until(time.Unix(n, 0)), 0), maxWait)
			}
		case "loc": // pydantic's path to the field: ["body","messages",1,"assistant","reasoning_content"]
			r.path(c.Value)
		case "base_resp":
			r.read(c.Value, depth+1)
		case "metadata":
			r.moderated = r.moderated || len(Member(c.Value, "reasons")) > 2
			if raw := Text(Member(c.Value, "raw")); raw != "" && len(raw) < 4<<10 {
				r.msg += ": " + raw
			}
		case "choices":
			if list := WalkArray(c.Value); list.Next() {
				r.nested(Member(list.Value, "error"), depth)
			}
		}
	}
}

// path reads where in the body the field stands.
func (r *refusal) path(v []byte) {
	var words []string
	for c := WalkArray(v); c.Next(); {
		if w := Word(c.Value); w != "" && (w != "body" || len(words) > 0) {
			words = append(words, w)
		}
	}
	if r.param == "" {
		r.param = strings.Join(words, ".")
	}
}

// maxNesting bounds how deep an error is looked for in another one.
const maxNesting = 4

func (r *refusal) nested(v []byte, depth int) {
	switch {
	case IsNull(v) || depth >= maxNesting:
	case v[0] == '"':
		r.message(v, depth)
	default:
		r.read(v, depth+1)
	}
}

func (r *refusal) message(v []byte, depth int) {
	s := strings.TrimSpace(Text(v))
	if s == "" {
		return
	}
	r.msg = s
	if i := strings.IndexByte(s, '{'); i >= 0 && depth < maxNesting && Valid([]byte(s[i:])) {
		before := r.msg
		r.read([]byte(s[i:]), depth+1)
		if r.msg == before && i > 0 {
			r.msg = strings.TrimSpace(s[:i])
		}
	}
}

func (r *refusal) readCode(name string, v []byte) {
	w := Word(v)
	if n, err := strconv.Atoi(w); err == nil && n >= 400 && n < 600 {
		if r.status == 0 {
			r.status = n
		}
		if name != "code" {
			return
		}
	}
	if w != "" && (name == "code" || r.code == "") && w != "error" {
		r.code = w
	}
}

// vendorStatus says which status the codes of vendors stand for that answer 200 or with a status of no use: MiniMax
// four digits from 1002, GLM the others.
var vendorStatus = map[string]int{
	"1002": 429, "1004": 401, "1008": 402, "1027": 400, "1039": 400, "2013": 400,
	"1001": 401, "1113": 402, "1210": 400, "1214": 400, "1301": 400, "1302": 429, "1303": 429, "1304": 429, "1305": 503, "1308": 429, "1261": 400,
}

// typeStatus reads a status out of a type where there is no other.
func typeStatus(s string) int {
	for _, t := range []struct {
		word   string
		status int
	}{
		{"insufficient_quota", 429}, {"usage_limit_reached", 429}, {"rate_limit", 429}, {"overloaded", 503}, {"slow_down", 503}, {"at_capacity", 503}, {"authentication", 401}, {"invalid_api_key", 401},
		{"permission", 403}, {"not_found", 404}, {"invalid_request", 400}, {"context_length", 400}, {"content_filter", 400},
		{"invalid_prompt", 400}, {"invalid_encrypted_content", 400}, {"previous_response_not_found", 400}, {"unsupported_", 400}, {"timeout", 504},
	} {
		if strings.Contains(s, t.word) {
			return t.status
		}
	}
	return 502
}

// error decides the kind. Codes count first, then the status, and words only where a service gives nothing else.
func (r *refusal) error() *apierror.Error {
	r.lowMsg, r.lowCodeType = strings.ToLower(r.msg), strings.ToLower(r.code+" "+r.typ)
	if s := vendorStatus[r.code]; s != 0 && r.status != 401 { // 1002 is a pace at MiniMax and a key at GLM, which answers 401
		r.status = s
	}
	e := apierror.New(r.kind(), "%s", r.shown())
	e.Upstream = apierror.Upstream{Status: r.status, Code: r.code, Body: safeText(string(r.body[:min(len(r.body), 4<<10)]))}
	if e.RetryAfter = retryAfter(r.header, r.msg); r.resets > 0 {
		e.RetryAfter = r.resets
	}
	switch e.Kind {
	case apierror.ContextTooLong:
		e.PromptTokens, e.MaxTokens = contextNumbers(r.msg)
		e.RetryAfter = 0
	case apierror.InvalidRequest:
		e.Param = r.param
		e.RetryAfter = 0
		if r.code == "unsupported_parameter" || r.code == "unsupported_value" {
			e.Code = r.code
		}
		if e.Param == "" {
			e.Param = namedParam(r.msg)
		}
		e.BadSignature = r.code == "invalid_encrypted_content" || badSignature.MatchString(r.msg)
		if r.code == "previous_response_not_found" {
			e.Code = r.code
		}
	case apierror.NoCredit:
		e.Scope, e.RetryAfter = "*", time.Hour
	case apierror.AuthExpired, apierror.AccountBlocked, apierror.ModelNotFound:
		e.RetryAfter = 0
	}
	return e
}

var badSignature = regexp.MustCompile(`(?i)invalid .*signature|corrupted thought signature|thought_signature|encrypted content .* could not be|could not decrypt`)

func (r *refusal) has(words ...string) bool {
	for _, w := range words {
		if strings.Contains(r.lowMsg, w) {
			return true
		}
	}
	return false
}

func (r *refusal) coded(words ...string) bool {
	for _, w := range words {
		if strings.Contains(r.lowCodeType, w) {
			return true
		}
	}
	return false
}

func (r *refusal) kind() apierror.Kind {
	if r.tooLong() {
		return apierror.ContextTooLong
	}
	switch {
	case r.status == 402, r.coded("insufficient_quota", "exceeded_current_quota"):
		return apierror.NoCredit
	case r.status == 429:
		return r.limited()
	case r.filtered():
		return apierror.ContentFiltered
	case r.status == 401, r.coded("invalid_api_key"), r.status == 400 && r.has("api key not valid", "api_key_invalid"):
		return apierror.AuthExpired
	case r.status == 403 && r.has("insufficient balance", "insufficient credit"):
		return apierror.NoCredit
	case r.status == 403:
		return apierror.AccountBlocked
	case r.coded("previous_response_not_found"):
		return apierror.InvalidRequest
	case r.status == 404, r.coded("model_not_found"), r.status == 400 && r.unknownModel():
		return apierror.ModelNotFound
	case r.status == 413 && r.coded("rate_limit", "tokens"): // Groq: more tokens than a minute allows
		return apierror.RateLimited
	case r.status == 413:
		return apierror.BodyTooLarge
	case r.status == 408, r.status == 504, r.status == 524:
		return apierror.Timeout
	case r.status == 503, r.status == 529, r.status >= 500 && r.coded("overloaded"):
		return apierror.Overloaded
	case r.status >= 400 && r.status < 500:
		return apierror.InvalidRequest
	default:
		return apierror.Upstream5xx
	}
}

func (r *refusal) tooLong() bool {
	if r.status >= 500 || r.status == 401 || r.status == 429 {
		return false
	}
	return r.coded("context_length", "context_window") || r.code == "1261" || r.code == "1039" ||
		r.has("maximum context length", "context length exceeded", "prompt is too long", "context window", "maximum prompt length", "exceeds the context")
}

func (r *refusal) filtered() bool {
	return r.moderated || r.coded("content_filter", "content_policy", "invalid_prompt", "data_inspection_failed") || r.code == "1301" || r.code == "1027"
}

func (r *refusal) unknownModel() bool {
	return r.has("model") && r.has("does not exist", "not found", "unknown model", "not supported model", "model not exist", "invalid model", "no such model")
}

// limited tells a pause from an empty purse and from a window that ends at a time.
func (r *refusal) limited() apierror.Kind {
	switch {
	case r.has("insufficient balance", "insufficient_quota", "insufficient credit", "no credit", "billing", "arrear", "exceeded your current quota", "recharge"):
		return apierror.NoCredit
	case r.code == "1113":
		return apierror.NoCredit
	case r.coded("engine_overloaded"), r.code == "1305":
		return apierror.Overloaded
	case r.coded("usage_limit_reached"), r.code == "1304", r.code == "1308", r.has("per day", "daily", "(rpd)", "(tpd)", "weekly", "monthly"):
		return apierror.QuotaExhausted
	default:
		return apierror.RateLimited
	}
}

// maxShown bounds the part of a service's message that people see.
const maxShown = 400

func (r *refusal) shown() string {
	s := safeText(strings.Join(strings.Fields(r.msg), " "))
	if runes := []rune(s); len(runes) > maxShown {
		s = string(runes[:maxShown]) + "…"
	}
	switch {
	case s != "":
		return s
	case r.code != "":
		return fmt.Sprintf("the service answered %d (%s)", r.status, safeText(r.code))
	default:
		return fmt.Sprintf("the service answered %d", r.status)
	}
}

// secrets matches what must never be shown: keys and tokens by their shape, and mail addresses.
var secrets = regexp.MustCompile(`(?i)bearer\s+[^\s"',]+|\b(?:sk|pk|gsk|xai|nvapi|ghp|gho|github_pat|hf|r8|fw|pplx)[-_][A-Za-z0-9_*.\-]{6,}|\bya29\.[A-Za-z0-9_\-.]+|\beyJ[A-Za-z0-9_\-.]{10,}|\bAIza[A-Za-z0-9_\-]{10,}|\b[0-9a-f]{32,}\b|[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}`)

func safeText(s string) string {
	return secrets.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "[redacted]")
}

var (
	maxContext  = regexp.MustCompile(`(?i)maximum (?:context|prompt) length (?:is|of) (\d+)`)
	askedTokens = regexp.MustCompile(`(?i)(?:resulted in|requested|contains?)(?: about)? (\d+)(?: input)? tokens`)
	claudeForm  = regexp.MustCompile(`(?i)prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)`)
)

func contextNumbers(msg string) (prompt, limit int64) {
	if m := claudeForm.FindStringSubmatch(msg); m != nil {
		return Number([]byte(m[1])), Number([]byte(m[2]))
	}
	if m := maxContext.FindStringSubmatch(msg); m != nil {
		limit = max(Number([]byte(m[1])), 0)
	}
	if m := askedTokens.FindStringSubmatch(msg); m != nil {
		prompt = max(Number([]byte(m[1])), 0)
	}
	return prompt, limit
}

var quotedParam = regexp.MustCompile(`(?i)(?:unsupported|unknown|unrecognized|unexpected|invalid|extra)[a-z _]*(?:parameter|argument|field|value|param)[a-z ]*s?:? ['"\x60]([a-z_][a-z0-9_.\[\]]*)['"\x60]`)

// namedParam finds the parameter that a message names, for services that do not fill param.
func namedParam(msg string) string {
	if m := quotedParam.FindStringSubmatch(msg); m != nil {
		return m[1]
	}
	return ""
}

var (
	tryAgain = regexp.MustCompile(`(?i)(?:try again|retry|wait)[a-z ]*? (?:in|after|for) (?:about )?((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|h|hours?|m|min|minutes?|s|sec|seconds?)[ ,]*)+|\d+(?:\.\d+)?)`)
	delayIn  = regexp.MustCompile(`(?i)"?(?:retryDelay|retry_after|resets_in_seconds)"?\s*[:=]\s*"?(\d+(?:\.\d+)?)s?`)
	resetsAt = regexp.MustCompile(`(?i)reset at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)`)
	spans    = regexp.MustCompile(`(?i)(\d+(?:\.\d+)?)\s*(ms|milli|h|m|s)?[a-z]*`)
)

// retryAfter returns how long the service asks to wait: by its headers, else by the words of its message.
func retryAfter(h http.Header, msg string) time.Duration {
	if n, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && n > 0 {
		return bounded(n * float64(time.Millisecond))
	}
	if v := h.Get("Retry-After"); v != "" {
		if n, err := strconv.ParseFloat(v, 64); err == nil && n > 0 {
			return bounded(n * float64(time.Second))
		}
		if t, err := http.ParseTime(v); err == nil {
			return max(time.Until(t), 0)
		}
	}
	if m := tryAgain.FindStringSubmatch(msg); m != nil {
		return span(m[1])
	}
	if m := delayIn.FindStringSubmatch(msg); m != nil {
		return span(m[1] + "s")
	}
	if m := resetsAt.FindStringSubmatch(msg); m != nil { // GLM tells the time of Beijing
		if t, err := time.ParseInLocation(time.DateTime, m[1], time.FixedZone("UTC+8", 8*3600)); err == nil {
			return max(time.Until(t), 0)
		}
	}
	return headerReset(h)
}

// maxWait bounds what a service can make an account wait.
const maxWait = 31 * 24 * time.Hour

func bounded(ns float64) time.Duration { return time.Duration(min(ns, float64(maxWait))) }

// span reads "1.2s", "6m0s", "120ms", "2 minutes" or a plain number of seconds.
func span(s string) time.Duration {
	var total float64
	for _, m := range spans.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			continue
		}
		switch strings.ToLower(m[2]) {
		case "ms", "milli":
			n *= float64(time.Millisecond)
		case "h":
			n *= float64(time.Hour)
		case "m":
			n *= float64(time.Minute)
		default:
			n *= float64(time.Second)
		}
		total += n
	}
	return bounded(total)
}

// headerReset reads the rate limit headers: the limit that is used up counts, else the one that resets first.
// OpenRouter's tells milliseconds since 1970.
func headerReset(h http.Header) time.Duration {
	if n, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil && n > 0 {
		t := time.UnixMilli(n)
		if n < 1e11 {
			t = time.Unix(n, 0)
		}
		return min(max(time.Until(t), 0), maxWait)
	}
	var usedUp, soonest time.Duration
	for _, what := range []string{"Requests", "Tokens"} {
		d := span(h.Get("X-Ratelimit-Reset-" + what))
		if d <= 0 {
			continue
		}
		if h.Get("X-Ratelimit-Remaining-"+what) == "0" {
			usedUp = max(usedUp, d)
		}
		if soonest == 0 || d < soonest {
			soonest = d
		}
	}
	if usedUp > 0 {
		return usedUp
	}
	return soonest
}
