// Package apierror is the one error type of Patchbay, its kinds, and the table that says what each kind does next. Who
// gets an error decides by its Kind, never by its text.
package apierror

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what went wrong, and through PolicyOf what happens next.
type Kind uint8

// The kinds.
const (
	Internal           Kind = iota // our own fault
	InvalidRequest                 // the request cannot be right; Param names the field
	ContentFiltered                // refused for what the prompt says
	BodyTooLarge                   // more bytes than allowed
	ContextTooLong                 // more tokens than the model takes
	Unsupported                    // this upstream cannot do what was asked
	NotConfigured                  // a known provider without any account
	ClientUnauthorized             // no client key, or a wrong one
	ClientForbidden                // the client key's own limits
	ClientLimited                  // the client key's own rate limit
	PolicyRefused                  // the vendor refuses this use of the login
	ModelNotFound
	RouteNotFound  // no such path
	RateLimited    // a pause of seconds to minutes
	QuotaExhausted // a pause until a window ends
	NoCredit       // no balance
	AuthExpired    // the service refuses the token or key
	AccountBlocked // a person must act at the vendor's
	Overloaded     // the service is too busy
	ModelBusy      // no capacity for this model, whoever asks
	Upstream5xx    // the service failed
	Transport      // the connection failed
	Truncated      // the stream ended without its end
	Timeout        // nothing came in time
	NoAccount      // no usable account is left
	Canceled       // the client went away
	Shutdown       // Patchbay is stopping
	lastKind
)

// Kinds returns all kinds, for tests that must cover them.
func Kinds() []Kind {
	out := make([]Kind, 0, lastKind)
	for k := range lastKind {
		out = append(out, k)
	}
	return out
}

var kindNames = [lastKind]string{
	Internal: "internal", InvalidRequest: "invalid_request", ContentFiltered: "content_filtered", BodyTooLarge: "body_too_large",
	ContextTooLong: "context_too_long", Unsupported: "unsupported", NotConfigured: "not_configured",
	ClientUnauthorized: "client_unauthorized", ClientForbidden: "client_forbidden", ClientLimited: "client_limited",
	PolicyRefused: "policy_refused", ModelNotFound: "model_not_found", RouteNotFound: "route_not_found",
	RateLimited: "rate_limited", QuotaExhausted: "quota_exhausted", NoCredit: "no_credit", AuthExpired: "auth_expired",
	AccountBlocked: "account_blocked", Overloaded: "overloaded", ModelBusy: "model_busy", Upstream5xx: "upstream_error",
	Transport: "transport", Truncated: "truncated", Timeout: "timeout", NoAccount: "no_account", Canceled: "canceled",
	Shutdown: "shutdown",
}

// String returns the kind's name as it stands in logs and in the API.
func (k Kind) String() string {
	if k < lastKind {
		return kindNames[k]
	}
	return "unknown"
}

// Error is what every room returns at its border.
type Error struct {
	Kind Kind
	// Msg is safe to show: it says what happened and what to do next, and holds no secret.
	Msg string
	// Param is the field of the client's request that is at fault, as a path: "messages[2].content".
	Param string
	// Code is a machine-readable word that goes to the client where its protocol has one; "" = the row's own.
	Code       string
	Provider   string
	AccountID  string
	RetryAfter time.Duration // 0 = not known
	// Scope says what cools: "" the model asked, "*" the whole account, else a pattern of models that share a quota.
	Scope string
	// NoRetry tells the client not to repeat the request (x-should-retry: false).
	NoRetry bool
	// PromptTokens and MaxTokens, of ContextTooLong, are 0 when the upstream did not say.
	PromptTokens, MaxTokens int64
	// Action, of AccountBlocked, is what a person can do so that the account works again ("confirm your identity", "name a
	// project in the account's settings"), and Link the page for it. Without Action the account is simply blocked; with
	// RetryAfter instead it only rests for so long, because the service may think better of it.
	Action, Link string
	// BadSignature says that the upstream refused a signature in the history: the driver may strip them and try again.
	BadSignature bool
	Upstream     Upstream
	Err          error // the cause, for the log
}

// Upstream is what the service answered, for the log.
type Upstream struct {
	Status int
	Code   string
	Body   string // the first 4 KiB, redacted
}

// Error returns the message with its cause, for logs. What a client gets is Msg alone.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	b.WriteString(": ")
	b.WriteString(e.Msg)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of a kind. The text is made as by fmt.Sprintf and must be safe to show.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Invalid returns an InvalidRequest that names the field at fault.
func Invalid(param, format string, args ...any) *Error {
	return &Error{Kind: InvalidRequest, Param: param, Msg: fmt.Sprintf(format, args...)}
}

// From returns err as an *Error. What is none becomes Internal with a message that gives nothing away.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Msg: "Patchbay failed; its log says more", Err: err}
}

// KindOf returns the kind of err, Internal if it has none.
func KindOf(err error) Kind { return From(err).Kind }

// Row is the class of an error towards clients: the row of the table that fixes status and type per protocol.
type Row string

// The rows.
const (
	RowInvalid       Row = "invalid_request"
	RowUnsupported   Row = "unsupported"
	RowContext       Row = "context_length"
	RowAuth          Row = "auth"
	RowBilling       Row = "billing"
	RowPermission    Row = "permission"
	RowModelNotFound Row = "not_found"
	RowRouteNotFound Row = "route_not_found"
	RowTooLarge      Row = "too_large"
	RowRateLimit     Row = "rate_limit"
	RowQuota         Row = "quota"
	RowOverloaded    Row = "overloaded"
	RowTimeout       Row = "timeout"
	RowUpstream      Row = "upstream"
	RowInternal      Row = "internal"
)

// Rows lists every row, for tests that must cover them.
var Rows = []Row{RowInvalid, RowUnsupported, RowContext, RowAuth, RowBilling, RowPermission, RowModelNotFound, RowRouteNotFound,
	RowTooLarge, RowRateLimit, RowQuota, RowOverloaded, RowTimeout, RowUpstream, RowInternal}

// QuotaPause is the pause from which on a rate limit is told as a quota: clients should not wait it out.
const QuotaPause = 300 * time.Second

// Row returns the row of e. An upstream's refusal of a login is never the client's own 401 or 403: it would make
// clients sign the person out or loop.
func (e *Error) Row() Row {
	if e.Kind == ClientLimited && e.RetryAfter > QuotaPause {
		return RowQuota
	}
	if e.Kind == NoAccount {
		switch {
		case e.RetryAfter > QuotaPause:
			return RowQuota
		case e.RetryAfter > 0:
			return RowRateLimit
		default:
			return RowOverloaded
		}
	}
	return policies[e.Kind].Row
}
