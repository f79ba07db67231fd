package gateway

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/clientkey"
	"patchbay/backend/route"
	"patchbay/backend/trace"
	"patchbay/backend/wire"
)

// ErrShutdown is the cause of a context that ends because Patchbay is stopping.
var ErrShutdown = apierror.New(apierror.Shutdown, "Patchbay is stopping; send the request again in a moment")

type yieldFunc = func(canon.Event, error) bool

// Stream answers the request. It yields nothing before the first content has come, so that an error in its place can
// still be told with its own HTTP status. It is read once.
func (c *Call) Stream(ctx context.Context) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		c.begin()
		err := c.admitted(ctx, func(ctx context.Context) error { return c.run(ctx, yield) })
		c.finishRow(ctx, err)
		if err != nil && !errors.Is(err, errStopped) {
			yieldError(yield, err)
		}
	}
}

// yieldError ends a stream. It is no part of its callers, for an empty event would lie on their stacks all the time that a
// stream waits; see decision 0005.
//
//go:noinline
func yieldError(yield yieldFunc, err error) { yield(canon.Event{}, err) }

// errStopped reports that the reader of the stream has gone.
var errStopped = errors.New("the reader went away")

// run walks the plan. A nil error means that the answer went out whole.
func (c *Call) run(ctx context.Context, yield yieldFunc) error {
	plan, attempts, err := c.plan(ctx)
	if err != nil {
		return err
	}
	var largest int64 // context of the largest candidate that found the prompt too long
	tooLong := false
	for i := 0; i < len(plan.Candidates); i++ {
		if i == 1 {
			c.sift(plan)
			if len(plan.Candidates) == 1 {
				break
			}
		}
		cand := &plan.Candidates[i]
		if tooLong && room(cand) <= largest {
			c.passedStep(cand, trace.KindNotLarger, "its context is not larger")
			continue
		}
		c.arrive(cand)
		err := c.candidate(ctx, cand, attempts, yield)
		if err == nil || errors.Is(err, errStopped) {
			return err
		}
		e := apierror.From(err)
		if c.tried() > 0 && c.committed() {
			return e
		}
		switch apierror.PolicyOf(e.Kind).NextProvider {
		case apierror.Never:
			return e
		case apierror.IfLarger:
			tooLong, largest = true, max(largest, room(cand))
		}
		if c.tried() >= attempts {
			c.outOfTries(plan, i+1)
			break
		}
	}
	c.passed(plan.After)
	return c.verdict()
}

// room is the context of a candidate, 0 if it is not known.
func room(cand *route.Candidate) int64 { return max(cand.Facts.Context, cand.Can.Context) }

// plan returns where the request may go, and how many attempts it has. Like other set-up in this file it is a function of its
// own, never inlined, so that its large values are off the stack while a stream waits; see decision 0005.
//
//go:noinline
func (c *Call) plan(ctx context.Context) (*route.Plan, int, error) {
	plan, err := c.planned(ctx, c.query())
	c.trace.Add(plan.Steps...)
	if err != nil {
		return nil, 0, err
	}
	return &plan, c.g.limits("").Attempts, nil
}

// tried returns how many attempts were made.
func (c *Call) tried() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.route.Attempts
}

func (c *Call) committed() bool { return !c.first.IsZero() }

func (c *Call) query() route.Query {
	return route.Query{
		PathProvider: c.caller.PathProvider, HeaderProvider: c.caller.HeaderProvider,
		Model: cmp.Or(c.req.Model, c.req.ModelAsked), Format: c.req.Format, Needs: needsOf(c.req),
	}
}

// candidate tries the accounts of one provider and model.
func (c *Call) candidate(ctx context.Context, cand *route.Candidate, attempts int, yield yieldFunc) error {
	var err error
	if c.sent, err = c.prepare(cand); err != nil {
		return err
	}
	skip := map[string]struct{}{}
	limit := c.g.limits(cand.Provider).Accounts
	var last error
	for tried := 0; tried < limit && c.tried() < attempts; tried++ {
		lease, err := c.acquire(ctx, cand, skip)
		if err != nil {
			if last == nil {
				c.fail(cand, nil, apierror.From(err))
				last = err
			} else if apierror.KindOf(err) != apierror.NoAccount {
				return err
			}
			return last
		}
		skip[lease.AccountID()] = struct{}{}
		if last = c.account(ctx, cand, lease, attempts, yield); last == nil || errors.Is(last, errStopped) || c.committed() {
			return last
		}
		switch apierror.PolicyOf(apierror.KindOf(last)).NextAccount {
		case apierror.Never:
			return last
		case apierror.OneMore:
			limit = min(limit, tried+2)
		}
	}
	return last
}

// prepare makes the request of one candidate. The conversation is read only if the candidate speaks another format.
func (c *Call) prepare(cand *route.Candidate) (*canon.Request, error) {
	if cand.Wire != c.req.Format {
		if err := c.req.Expand(); err != nil {
			return nil, err
		}
		if err := storedElsewhere(c.req); err != nil {
			return nil, err
		}
		if n := c.req.MaxTokens; n != nil && *n == 0 {
			field := wire.Field(c.req.Format, "max_tokens")
			return nil, apierror.Invalid(field, "%s is 0, which only a service of the client's own protocol can be asked for; ask for at least one token", field)
		}
	}
	force := cand.Reasoning != nil
	if force || c.req.Op == "completions" {
		if err := c.req.Expand(); err != nil {
			return nil, err
		}
	}
	req := *c.req
	req.Model, req.Facts = cand.Model, cand.Facts
	c.held = nil
	if force {
		c.suffixed(&req, cand)
		req.Body = canon.Object{} // what the client wrote about reasoning no longer holds
	}
	if err := c.think(&req, cand); err != nil {
		return nil, err
	}
	if err := c.system(&req, cand); err != nil {
		return nil, err
	}
	if cand.Wire != c.req.Format {
		c.g.opaque.restore(&req)
	}
	return &req, nil
}

// storedElsewhere refuses a request that builds on what only a service of the client's own format may have kept.
func storedElsewhere(req *canon.Request) error {
	s := &req.State
	switch {
	case s.PreviousResponse != "":
		e := apierror.Invalid("previous_response_id", "the response %q is not stored here; send the whole conversation", s.PreviousResponse)
		e.Code = "previous_response_not_found"
		return e
	case s.Item != "":
		return apierror.Invalid("input", "the item %q is only named, and nothing is stored here; send the item itself", s.Item)
	case s.Conversation != "":
		return apierror.Invalid("conversation", "the conversation %q is kept by another service; send its items", s.Conversation)
	case s.Prompt != "":
		return apierror.Invalid("prompt", "the prompt %q is kept by another service; send its text", s.Prompt)
	}
	return nil
}

// account tries one account, and once more where the table says so. The lease goes back in every case.
func (c *Call) account(ctx context.Context, cand *route.Candidate, lease *account.Lease, attempts int, yield yieldFunc) (err error) {
	defer func() { lease.Release(blame(err)) }()
	limit, repeats := c.patience(cand.Provider)
	renewed := false
	for n := 0; ; n++ {
		err = c.attempt(ctx, cand, lease, limit, yield)
		if err == nil || errors.Is(err, errStopped) || c.committed() {
			return err
		}
		e := apierror.From(err)
		if apierror.PolicyOf(e.Kind).Same == apierror.RepeatFresh && !renewed {
			if renewed, err = c.renew(ctx, cand, lease, e); !renewed {
				return err
			}
			if !lease.Good() { // it was put aside for another reason, which says nothing about the login
				return c.explain(ctx, cand, lease, apierror.New(apierror.Overloaded, "the account was put aside while its login was renewed"))
			}
			n-- // it is no repeat of the same thing, and no limit of attempts may make a good login look like a bad one
			continue
		}
		if n >= repeats || c.tried() >= attempts {
			return err
		}
		pause, again := c.again(e, cand.Provider)
		if !again {
			return err
		}
		if apierror.PolicyOf(e.Kind).Same == apierror.RepeatIfShort {
			lease.Hold(e) // or other calls would run into the same refusal
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		if ok := lease.Resume(); !ok || ctx.Err() != nil { // other calls have learned meanwhile that it must rest, or a person switched it off
			return err
		}
	}
}

// patience returns the time limits of an attempt at a provider, and how often it is repeated.
//
//go:noinline
func (c *Call) patience(providerID string) (timeouts, int) {
	policy, repeats := c.g.policy(providerID), 1
	if policy.Repeats != 0 {
		repeats = min(max(policy.Repeats, 0), 3)
	}
	limits := c.g.limits(providerID)
	return limits.timeouts(c.req.Stream), repeats
}

// blame is what an account hears of an attempt's end: nothing when the reader went away, for that is nobody's fault.
func blame(err error) error {
	if errors.Is(err, errStopped) {
		return apierror.New(apierror.Canceled, "the client went away")
	}
	return err
}

// again says whether the same account is tried once more, and after which pause.
//
//go:noinline
func (c *Call) again(e *apierror.Error, providerID string) (time.Duration, bool) {
	switch apierror.PolicyOf(e.Kind).Same {
	case apierror.RepeatOnce:
		return 200*time.Millisecond + time.Duration(rand.Int64N(int64(600*time.Millisecond))), true
	case apierror.RepeatIfShort:
		return e.RetryAfter, e.RetryAfter > 0 && e.RetryAfter <= c.g.policy(providerID).ShortWait
	default:
		return 0, false
	}
}

// renew replaces the login that the service refused, once. What stays in the way is the outcome of the attempt then: a line
// that failed does not make the login a bad one.
func (c *Call) renew(ctx context.Context, cand *route.Candidate, lease *account.Lease, refused *apierror.Error) (bool, error) {
	ok, err := lease.Renew(ctx)
	switch {
	case ok:
		return true, nil
	case err != nil:
		return false, c.explain(ctx, cand, lease, err)
	default:
		return false, refused
	}
}

// attempt sends the request once and notes how it went.
func (c *Call) attempt(ctx context.Context, cand *route.Candidate, lease *account.Lease, limit timeouts, yield yieldFunc) error {
	begun := time.Now()
	c.setRoute(func(r *Route) {
		r.Provider, r.AccountID, r.Account, r.Model, r.Attempts, r.Dropped = cand.Provider, lease.AccountID(), lease.Label(), cand.Model, r.Attempts+1, c.held
	})
	c.usage = canon.UnknownUsage() // not that of an attempt that broke off
	c.outBytes.Store(0)
	c.sent.Model = lease.Model(cand.Model)
	a := &answer{call: c, provider: cand.Provider, yield: yield, keep: c.req.Format != cand.Wire && !carries(c.req.Format)}
	err := a.relay(ctx, lease, limit)
	if err != nil && !errors.Is(err, errStopped) {
		err = c.explain(ctx, cand, lease, err)
	}
	c.note(cand, lease, begun, err)
	return err
}

// relay passes the upstream's answer on. Events are held back until content comes; then it is committed and everything
// passes.
func (a *answer) relay(ctx context.Context, lease *account.Lease, limit timeouts) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	first := limit.begin(cancel)
	defer first.stop()
	for ev, err := range lease.Upstream().Stream(lease.Track(ctx), a.call.sent) {
		if err != nil {
			return limitHit(ctx, err, limit)
		}
		if ev.Kind != canon.KindPing && ev.Kind != canon.KindFrame {
			first.answered()
		}
		if err := a.event(&ev); err != nil {
			return err
		}
	}
	if !a.done {
		return limitHit(ctx, apierror.New(apierror.Truncated, "%s closed the stream early", a.provider), limit)
	}
	a.remember(a.call.g.opaque)
	return nil
}

// timeouts bound one attempt; 0 = no limit.
type timeouts struct {
	first time.Duration // until the first event
	whole bool          // the first event is the whole answer
	total time.Duration
}

// timeouts returns what bounds an attempt whose answer is a stream, or comes in one piece.
func (l *Limits) timeouts(stream bool) timeouts {
	if stream {
		return timeouts{first: l.FirstEvent, total: l.Total}
	}
	return timeouts{first: l.Whole, whole: true, total: l.Total}
}

// clocks are the running time limits of an attempt.
type clocks struct{ first, total *time.Timer }

// begin starts the limits; the one that is reached cancels the attempt.
func (t timeouts) begin(cancel context.CancelCauseFunc) clocks {
	var c clocks
	if t.first > 0 {
		c.first = time.AfterFunc(t.first, func() { cancel(errFirst) })
	}
	if t.total > 0 {
		c.total = time.AfterFunc(t.total, func() { cancel(errTotal) })
	}
	return c
}

// answered ends the limit on the first event.
func (c clocks) answered() {
	if c.first != nil {
		c.first.Stop()
	}
}

func (c clocks) stop() {
	c.answered()
	if c.total != nil {
		c.total.Stop()
	}
}

var (
	errFirst = errors.New("no first event in time")
	errTotal = errors.New("the answer took too long")
)

// limitHit names the time limit that ended an attempt, where one did.
func limitHit(ctx context.Context, err error, limit timeouts) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errFirst) && limit.whole:
		return &apierror.Error{Kind: apierror.Timeout, Msg: "no answer came within " + limit.first.String() + " (time limit one_piece)", Err: err}
	case errors.Is(cause, errFirst):
		return &apierror.Error{Kind: apierror.Timeout, Msg: "no answer began within " + limit.first.String() + " (time limit first_event)", Err: err}
	case errors.Is(cause, errTotal):
		return &apierror.Error{Kind: apierror.Timeout, Msg: "the answer took longer than " + limit.total.String() + " (time limit total)", Err: err}
	case errors.Is(cause, ErrShutdown):
		return ErrShutdown
	case errors.Is(cause, clientkey.ErrRevoked):
		return clientkey.ErrRevoked
	case ctx.Err() != nil:
		return &apierror.Error{Kind: apierror.Canceled, Msg: "the client went away", Err: err}
	default:
		return err
	}
}

// explain completes an error with where it happened and notes it for the verdict.
func (c *Call) explain(ctx context.Context, cand *route.Candidate, lease *account.Lease, err error) error {
	e := *apierror.From(err)
	if e.Provider == "" {
		e.Provider = cand.Provider
	}
	e.AccountID = lease.AccountID()
	if ctx.Err() != nil && e.Kind != apierror.Shutdown && e.Kind != apierror.ClientUnauthorized {
		e.Kind = apierror.Canceled
	}
	c.fail(cand, lease, &e)
	return &e
}
