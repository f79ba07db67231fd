package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/record"
	"patchbay/backend/route"
)

// failure is one attempt, or one pool, that did not answer.
type failure struct {
	provider, account string
	err               *apierror.Error
}

func (c *Call) fail(cand *route.Candidate, lease *account.Lease, e *apierror.Error) {
	f := failure{provider: cand.Provider, err: e}
	if lease != nil {
		f.account = lease.Label()
	}
	c.failures = append(c.failures, f)
}

// verdict is what the client is told when every candidate has failed: a single failure as it was, of several the most
// hopeful one, with a line for each.
func (c *Call) verdict() error {
	if len(c.failures) == 0 {
		return apierror.New(apierror.NoAccount, "no provider could take this request")
	}
	best := slices.MinFunc(c.telling(), func(a, b failure) int { return hope(a.err) - hope(b.err) })
	e := *best.err
	if soonest := c.soonest(); soonest > 0 && hope(&e) == 0 {
		e.RetryAfter = soonest
	}
	if e.Kind == apierror.RateLimited && e.RetryAfter > apierror.QuotaPause {
		e.Kind = apierror.QuotaExhausted // for whoever asks it is one: clients sit short limits out, and should not sit this one out
	}
	e.NoRetry = e.NoRetry || personOnly(c.failures) || e.Row() == apierror.RowQuota
	switch {
	case distinct(c.failures) == 1 && !needsPerson(e.Kind):
		e.Msg = prefixed(best.provider, e.Msg)
	case e.Kind == apierror.NoAccount && distinct(c.failures) == 1:
	default:
		e.Msg = c.summary()
	}
	if e.Kind != apierror.ContextTooLong { // its words are read by clients
		e.Msg += c.leftOut()
	}
	return &e
}

// telling leaves out the failures of a provider that found the prompt too long: its other accounts would as well, and to wait
// for them is of no use.
func (c *Call) telling() []failure {
	long := map[string]bool{}
	for _, f := range c.failures {
		if f.err.Kind == apierror.ContextTooLong {
			long[f.provider] = true
		}
	}
	if len(long) == 0 {
		return c.failures
	}
	return slices.DeleteFunc(slices.Clone(c.failures), func(f failure) bool { return long[f.provider] && f.err.Kind != apierror.ContextTooLong })
}

// hope orders failures: a known time first, then a service's trouble, then what only a person can mend.
func hope(e *apierror.Error) int {
	switch {
	case e.RetryAfter > 0:
		return 0
	case needsPerson(e.Kind):
		return 4
	case e.Kind == apierror.Overloaded, e.Kind == apierror.ModelBusy, e.Kind == apierror.Upstream5xx, e.Kind == apierror.Transport,
		e.Kind == apierror.Truncated, e.Kind == apierror.Timeout, e.Kind == apierror.RateLimited:
		return 1
	case e.Kind == apierror.ContextTooLong:
		return 2 // the client can do something about it
	default:
		return 3
	}
}

func needsPerson(k apierror.Kind) bool {
	return k == apierror.AuthExpired || k == apierror.AccountBlocked || k == apierror.NoCredit
}

func personOnly(fs []failure) bool {
	for _, f := range fs {
		if !needsPerson(f.err.Kind) && (f.err.Kind != apierror.NoAccount || !f.err.NoRetry) {
			return false
		}
	}
	return true
}

func (c *Call) soonest() time.Duration {
	var d time.Duration
	for _, f := range c.failures {
		if r := f.err.RetryAfter; r > 0 && (d == 0 || r < d) {
			d = r
		}
	}
	return d
}

// distinct counts the accounts and pools among the failures: a repeat on the same account is the same failure.
func distinct(fs []failure) int {
	seen := map[[2]string]bool{}
	for _, f := range fs {
		seen[[2]string{f.provider, f.account}] = true
	}
	return len(seen)
}

// summary lists the latest failure of each account.
func (c *Call) summary() string {
	type key struct{ provider, account string }
	var order []key
	latest := map[key]string{}
	for _, f := range c.failures {
		k := key{f.provider, f.account}
		if _, ok := latest[k]; !ok {
			order = append(order, k)
		}
		latest[k] = f.err.Msg
	}
	var b strings.Builder
	for i, k := range order {
		if i > 0 {
			b.WriteString("; ")
		}
		if k.account == "" {
			b.WriteString(prefixed(k.provider, latest[k]))
			continue
		}
		b.WriteString(k.provider + ": no usable account (" + k.account + ": " + latest[k] + ")")
	}
	return b.String()
}

// leftOut names the steps of the chain that nobody was asked at, and why.
func (c *Call) leftOut() string {
	var b strings.Builder
	for i := range c.left {
		s := &c.left[i]
		b.WriteString("; " + s.Provider)
		if s.Model != "" {
			b.WriteString("/" + s.Model)
		}
		b.WriteString(": skipped, " + s.Message)
	}
	return b.String()
}

func prefixed(providerID, msg string) string {
	if providerID == "" || strings.HasPrefix(msg, providerID+":") {
		return msg
	}
	return providerID + ": " + msg
}

// finishRow writes the request's row.
func (c *Call) finishRow(ctx context.Context, err error) {
	r := c.Route()
	row := c.row()
	row.Provider, row.Account, row.Model, row.Attempts = r.Provider, r.AccountID, r.Model, r.Attempts
	row.Status, row.Tokens, row.Estimated = cmp.Or(c.status, http.StatusOK), c.tokens(), c.usage.Estimated
	row.First, row.Total, row.Trace = -1, time.Since(c.begun), c.steps(err)
	if !c.first.IsZero() {
		row.First = c.first.Sub(c.begun)
	}
	for _, w := range r.Dropped {
		row.Dropped = append(row.Dropped, w.Field)
	}
	switch e := apierror.From(err); {
	case err == nil:
	case errors.Is(err, errStopped) || e.Kind == apierror.Canceled || (ctx.Err() != nil && e.Kind != apierror.Shutdown):
		row.Status, row.Kind = statusClientClosed, record.HungUp
	default:
		row.Status, row.Kind, row.Message = statusOf(e), e.Kind.String(), e.Msg
	}
	c.end(row)
}

// statusClientClosed stands in the log for a client that went away before its answer was whole.
const statusClientClosed = 499

func (c *Call) tokens() record.Tokens {
	u := c.usage
	return record.Tokens{Input: u.Input, Cached: u.CacheRead, CacheWrite: u.CacheWrite, Output: u.Output, Reasoning: u.Reasoning}
}

// statusOf is the status that stands in the log; the client's protocol may use another one for the same row.
func statusOf(e *apierror.Error) int {
	switch e.Row() {
	case apierror.RowInvalid, apierror.RowUnsupported, apierror.RowContext:
		return http.StatusBadRequest
	case apierror.RowAuth:
		return http.StatusUnauthorized
	case apierror.RowBilling:
		return http.StatusPaymentRequired
	case apierror.RowPermission:
		return http.StatusForbidden
	case apierror.RowModelNotFound, apierror.RowRouteNotFound:
		return http.StatusNotFound
	case apierror.RowTooLarge:
		return http.StatusRequestEntityTooLarge
	case apierror.RowRateLimit, apierror.RowQuota:
		return http.StatusTooManyRequests
	case apierror.RowOverloaded:
		return http.StatusServiceUnavailable
	case apierror.RowTimeout:
		return http.StatusGatewayTimeout
	case apierror.RowUpstream:
		return http.StatusBadGateway
	default:
		return http.StatusInternalServerError
	}
}
