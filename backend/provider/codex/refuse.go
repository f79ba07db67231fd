package codex

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/wire/oai"
)

// How long what rests. Where the service says when something is over, that counts.
const (
	workspacePause = 30 * time.Minute // a workspace or a payment in the way: a person may be at it
	edgePause      = 10 * time.Minute // the network's edge takes this machine for a robot; doubled each time
	longestEdge    = 2 * time.Hour
	creditPause    = time.Hour
	capacityPause  = time.Minute
)

// refused says what a refusal of the service means.
func (u *upstream) refused(status int, h http.Header, body []byte) *apierror.Error {
	u.saw(h)
	if challenged(status, h, body) {
		return u.challenge(status)
	}
	u.calm()
	if len(bytes.TrimSpace(body)) == 0 {
		body = detailed(h)
	}
	e := oai.ParseError(status, h, body)
	refine(e, h, body)
	return e
}

// calm takes note that the edge let a call through.
func (u *upstream) calm() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.challenges = 0
}

// challenged reports a page of the edge in front of the service instead of an answer.
func challenged(status int, h http.Header, body []byte) bool {
	if status != http.StatusForbidden && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
		return false
	}
	if strings.EqualFold(h.Get("Cf-Mitigated"), "challenge") {
		return true
	}
	if !oai.LooksHTML(body) {
		return bytes.HasPrefix(bytes.TrimSpace(body), []byte("error code: 10"))
	}
	low := bytes.ToLower(body[:min(len(body), 16<<10)])
	return slices.ContainsFunc([]string{"just a moment", "cloudflare", "error 1010", "error 1020", "cf-chl", "cf-error"}, func(s string) bool {
		return bytes.Contains(low, []byte(s))
	})
}

// challenge is no fault of the account: all of it rests, longer each time, and nothing is switched off.
func (u *upstream) challenge(status int) *apierror.Error {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := apierror.New(apierror.RateLimited, "the network's edge in front of ChatGPT turned this machine away (status %d); the account is fine: "+
		"try another network or another proxy for this account", status)
	e.Scope, e.RetryAfter = "*", min(edgePause<<min(u.challenges, 8), longestEdge)
	e.Upstream = apierror.Upstream{Status: status, Body: "HTML"}
	u.challenges++
	return e
}

// words are the machine-readable words of an error body, wherever they stand: error.type and error.code, detail.code, and those
// of a response that failed.
func words(body []byte) []string {
	var out []string
	add := func(v []byte) {
		if s := strings.ToLower(oai.Text(v)); s != "" {
			out = append(out, s)
		}
	}
	for depth, v := 0, body; depth < 4 && len(v) > 0; depth++ {
		var inner []byte
		for c := oai.WalkObject(v); c.Next(); {
			switch string(c.Name) {
			case "type", "code":
				add(c.Value)
			case "error", "detail", "response":
				if inner = c.Value; inner[0] == '"' {
					add(inner)
				}
			}
		}
		v = inner
	}
	return out
}

// refine says what an error means with this service, where the words that all services of this format have in common do not.
func refine(e *apierror.Error, h http.Header, body []byte) {
	said := words(body)
	has := func(list ...string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return slices.Contains(said, w) || e.Upstream.Code == w })
	}
	low := strings.ToLower(e.Msg)
	status := e.Upstream.Status
	switch {
	case has("usage_limit_reached"):
		windowFull(e, h)
	case has("usage_not_included"):
		e.Kind, e.RetryAfter = apierror.AccountBlocked, 0
		e.Msg, e.Action, e.Link = "this ChatGPT plan has no Codex", "choose a plan with Codex, then switch the account on again", "https://chatgpt.com/#pricing"
	case has("insufficient_quota", "workspace_owner_credits_depleted", "workspace_member_credits_depleted"):
		e.Kind, e.Scope, e.RetryAfter = apierror.NoCredit, "*", creditPause
	case strings.Contains(low, "model is at capacity"):
		e.Kind, e.Scope, e.RetryAfter = apierror.RateLimited, "", max(e.RetryAfter, capacityPause)
	case strings.Contains(low, "not supported when using codex"):
		e.Kind, e.RetryAfter = apierror.ModelNotFound, 0
		e.Msg += "; this account's plan does not have the model"
	case has("server_is_overloaded", "slow_down"):
		e.Kind = apierror.Overloaded
	case has("cyber_policy", "invalid_prompt"):
		e.Kind = apierror.ContentFiltered
	case status == http.StatusForbidden && gone(low, said):
		e.Kind = apierror.AccountBlocked
		e.Msg += "; this account or workspace has no access to Codex"
	case status == http.StatusForbidden && e.Kind == apierror.AccountBlocked, status == http.StatusPaymentRequired:
		e.Kind, e.Scope, e.RetryAfter = apierror.NoCredit, "*", workspacePause
	case status == http.StatusNotFound && low == "not found":
		e.Kind = apierror.Upstream5xx
		e.Msg = "the service has no such address; check the base URL"
	case status == http.StatusGatewayTimeout && e.Kind == apierror.Timeout: // tried again like every failure of the service
		e.Kind = apierror.Upstream5xx
	}
}

// gone reports an account that nobody but its owner can bring back.
func gone(low string, said []string) bool {
	return strings.Contains(low, "deactivated") || strings.Contains(low, "entitlement") || slices.ContainsFunc(said, func(s string) bool {
		return strings.Contains(s, "deactivated") || strings.Contains(s, "entitlement")
	})
}

// windowFull says until when what rests: the whole account, unless the service names a meter of this model alone.
func windowFull(e *apierror.Error, h http.Header) {
	e.Kind, e.Scope = apierror.QuotaExhausted, "*"
	active := strings.ToLower(h.Get("X-Codex-Active-Limit"))
	if active != "" && active != mainMeter {
		e.Scope = ""
	}
	if e.RetryAfter <= 0 {
		e.RetryAfter = untilFull(h)
	}
	if e.RetryAfter > 0 {
		e.Msg = fmt.Sprintf("the plan's allowance is used up until %s", time.Now().Add(e.RetryAfter).UTC().Format("2006-01-02 15:04 UTC"))
	}
}
