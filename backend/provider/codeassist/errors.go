package codeassist

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/wire/gemini"
)

// Reasons that the service names in google.rpc.ErrorInfo (gemini-cli 0.61.0, utils/googleQuotaErrors.ts and its tests; the
// others as captured by CLIProxyAPI and Antigravity-Manager, 2026-08).
const (
	reasonValidation   = "VALIDATION_REQUIRED"
	reasonSubscription = "SUBSCRIPTION_REQUIRED"
	reasonDisabled     = "SERVICE_DISABLED"
	reasonPermission   = "IAM_PERMISSION_DENIED"
	reasonConsumer     = "CONSUMER_INVALID"
	reasonPolicy       = "SECURITY_POLICY_VIOLATED"
	reasonRate         = "RATE_LIMIT_EXCEEDED"
	reasonQuota        = "QUOTA_EXHAUSTED"
	reasonCapacity     = "MODEL_CAPACITY_EXHAUSTED"
	reasonCapacityOld  = "MODEL_CAPACITY_EXCEEDED"
	reasonCredits      = "INSUFFICIENT_G1_CREDITS_BALANCE"

	softLimit = "soft_limit" // ours: a rate limit without any detail
)

// Pauses where the service names none.
const (
	ratePause     = time.Minute
	quotaDefault  = time.Hour
	quotaLongest  = 24 * time.Hour // then it is worth another look
	deniedPause   = time.Hour
	refusedPause  = 10 * time.Minute
	shortQuota    = 5 * time.Minute
	licensePage   = "https://developers.google.com/gemini-code-assist/docs/overview"
	supportDomain = "support.google.com"
)

// refusal is an error answer of the service while it is looked at.
type refusal struct {
	*apierror.Error
	u      *upstream
	status gemini.Status
	http   int
	model  string
	wait   time.Duration // what the service wants, 0 = nothing
}

// parse returns how the error answers of a call are read; model is the one that was asked, "" for calls that name none.
func (u *upstream) parse(model string) func(int, http.Header, []byte) *apierror.Error {
	return func(status int, header http.Header, body []byte) *apierror.Error {
		e := &refusal{Error: gemini.ParseError(status, header, body), u: u, status: gemini.ReadStatus(body), model: model}
		e.http = e.Upstream.Status
		e.wait = e.delay(header)
		if r := e.reason(); r != "" {
			e.Upstream.Code = r
		}
		e.classify()
		return e.Error
	}
}

var cleanDomain = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// reason returns the reason that counts: one of Google's cloud domains, whose names were seen with stray characters.
func (e *refusal) reason() string {
	for i := range e.status.Details {
		d := &e.status.Details[i]
		domain := cleanDomain.ReplaceAllString(d.Domain, "")
		if d.Reason != "" && (domain == "" || domain == "googleapis.com" || strings.HasSuffix(domain, ".googleapis.com")) {
			return d.Reason
		}
	}
	if len(e.status.Details) == 0 && len(e.status.Errors) > 0 && e.status.Errors[0].Reason == "rateLimitExceeded" {
		return "" // it says no more than the status
	}
	return ""
}

// names reports whether a detail of any domain names a reason.
func (e *refusal) names(reasons ...string) bool {
	return slices.ContainsFunc(e.status.Details, func(d gemini.Detail) bool { return slices.Contains(reasons, d.Reason) })
}

// meta returns a member of the details' metadata.
func (e *refusal) meta(names ...string) string {
	for _, name := range names {
		for i := range e.status.Details {
			if s := e.status.Details[i].Text(name); s != "" {
				return s
			}
		}
	}
	return ""
}

// link returns the page that the service names for a person, not the one to learn more.
func (e *refusal) link() string {
	for i := range e.status.Details {
		for _, l := range e.status.Details[i].Links {
			if l.URL != "" && !strings.Contains(strings.ToLower(l.Description), "learn more") && !strings.Contains(l.URL, supportDomain) {
				return l.URL
			}
		}
	}
	return e.meta("validation_link", "validation_url", "activationUrl")
}

var resetsIn = regexp.MustCompile(`(?i)(?:reset after|resets in|retry in) ((?:[\d.]+(?:h|ms|m|s))+)`)

// delay returns how long the service wants to be left alone.
func (e *refusal) delay(header http.Header) time.Duration {
	for i := range e.status.Details {
		if d, err := time.ParseDuration(e.status.Details[i].RetryDelay); err == nil && d > 0 {
			return d
		}
	}
	if d, err := time.ParseDuration(e.meta("quotaResetDelay")); err == nil && d > 0 {
		return d
	}
	if at, err := time.Parse(time.RFC3339, e.meta("quotaResetTimeStamp")); err == nil {
		now := time.Now()
		if t, err := http.ParseTime(header.Get("Date")); err == nil {
			now = t
		}
		if d := at.Sub(now); d > 0 {
			return d
		}
	}
	if m := resetsIn.FindStringSubmatch(e.status.Message); m != nil {
		if d, err := time.ParseDuration(m[1]); err == nil && d > 0 {
			return d
		}
	}
	return e.RetryAfter
}

// quotaID reports whether a violated quota is named so.
func (e *refusal) quotaID(words ...string) bool {
	for i := range e.status.Details {
		for _, v := range e.status.Details[i].Violations {
			for _, w := range words {
				if strings.Contains(v.QuotaID, w) {
					return true
				}
			}
		}
	}
	return false
}

// classify says what the error means, in the order of Google's own client.
func (e *refusal) classify() {
	switch {
	case e.http == http.StatusForbidden:
		e.forbidden()
	case e.http == http.StatusTooManyRequests, e.http == http.StatusServiceUnavailable && e.reason() != "", e.http == 499 && e.reason() != "":
		e.limited()
	case e.http == http.StatusNotFound:
		e.Kind, e.Param = apierror.ModelNotFound, "model"
	}
	if e.u.p.refine != nil {
		e.u.p.refine(e)
	}
}

var (
	banned   = regexp.MustCompile(`(?i)violation of (the )?terms of service|account (has been|is) (disabled|suspended)`)
	noSeat   = regexp.MustCompile(`(?i)named user|lack a gemini code assist license|\(#3501\)`)
	shutWord = map[string]bool{"ACCOUNT_DISABLED": true, "USER_DISABLED": true}
	capacity = regexp.MustCompile(`(?i)no capacity available|capacity exceeded`)
	unusable = regexp.MustCompile(`limit: 0\b`)
)

// forbidden tells who has to act.
func (e *refusal) forbidden() {
	if e.Kind == apierror.PolicyRefused { // the place, not the account
		return
	}
	e.Kind = apierror.AccountBlocked
	switch r := e.reason(); {
	case banned.MatchString(e.Msg), shutWord[r]: // for good
	case r == reasonValidation:
		e.Error.Action, e.Error.Link = "open the page in a browser that is signed in to this account and verify it", e.link()
	case r == reasonSubscription, noSeat.MatchString(e.Msg):
		e.Action = "ask your administrator for a Gemini Code Assist licence, or name another project"
		e.Link = cmp.Or(e.link(), licensePage)
	case r == reasonDisabled:
		e.Action, e.Link = "enable the API cloudaicompanion.googleapis.com in the project", e.link()
	case r == reasonConsumer:
		e.Action = "sign in again and enter the ID of a project that exists"
	case r == reasonPermission, strings.Contains(e.Msg, "does not have permission"):
		e.RetryAfter = deniedPause
		e.Msg += " (the account needs the permission cloudaicompanion.companions.generateChat in the project)"
	default:
		e.RetryAfter = refusedPause
	}
}

// limited tells a pause of seconds from a quota, and both from a model that has no room.
func (e *refusal) limited() {
	e.RetryAfter, e.Scope = e.wait, ""
	switch r := e.reason(); {
	case unusable.MatchString(e.Msg):
		e.exhausted()
	case e.names(reasonCapacity, reasonCapacityOld), len(e.status.Details) == 0 && capacity.MatchString(e.Msg):
		e.Kind, e.RetryAfter = apierror.ModelBusy, 0
	case e.quotaID("PerDay", "Daily"), r == reasonCredits, r == reasonQuota:
		e.exhausted()
	case r == reasonRate:
		e.Kind = apierror.RateLimited
		e.RetryAfter = cmp.Or(e.wait, ratePause)
	case e.http != http.StatusTooManyRequests:
	case e.quotaID("PerMinute") || strings.Contains(e.meta("quota_limit"), "PerMinute"):
		e.Kind = apierror.RateLimited
		e.RetryAfter = cmp.Or(e.wait, ratePause)
	case e.wait > shortQuota:
		e.exhausted()
	case e.wait == 0 && strings.Contains(e.Msg, "exhausted your capacity"):
		e.exhausted()
	default:
		e.Kind = apierror.RateLimited
		if e.wait == 0 {
			e.Upstream.Code, e.RetryAfter = softLimit, softLimitPause
		}
	}
}

// softLimitPause is after a rate limit that says nothing.
const softLimitPause = 30 * time.Second

// exhausted is a quota that is used up. It always ends: a mark without a time would lock an account for ever.
func (e *refusal) exhausted() {
	e.Kind = apierror.QuotaExhausted
	e.RetryAfter = min(cmp.Or(e.wait, quotaDefault), quotaLongest)
}

// quotaSteps are the pauses of a group whose quota is used up, where the service names no time.
var quotaSteps = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}

// step returns the next pause of a group.
func (u *upstream) step(group string) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := min(u.steps[group], len(quotaSteps)-1)
	u.steps[group]++
	return quotaSteps[n]
}

// served forgets the pauses of a model's group.
func (u *upstream) served(model string) {
	if u.p.group == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.steps, u.p.group(model))
}

// refineAntigravity knows that models share a quota: all of Gemini one, Claude and GPT another.
func refineAntigravity(e *refusal) {
	group := antigravityGroup(e.model)
	switch {
	case e.Kind == apierror.QuotaExhausted:
		e.Scope = group
		if e.wait == 0 {
			e.RetryAfter = e.u.step(group)
		}
	case e.Kind == apierror.RateLimited && e.wait >= shortQuota:
		e.Kind, e.Scope, e.RetryAfter = apierror.QuotaExhausted, group, min(e.wait, quotaLongest)
	case e.Upstream.Code == softLimit:
		e.RetryAfter = ratePause
	case e.Kind == apierror.ModelNotFound && strings.Contains(e.Msg, "no longer supported"):
		e.Msg += " (set client_version of the account to the newest version of Antigravity)"
	}
}

const (
	groupGemini = "gemini*,chat_*,tab_*"
	groupOthers = "claude*,gpt*"
)

func antigravityGroup(model string) string {
	switch {
	case model == "":
		return "*"
	case strings.HasPrefix(model, "claude"), strings.HasPrefix(model, "gpt"):
		return groupOthers
	}
	return groupGemini
}
