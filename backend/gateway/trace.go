package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/route"
	"patchbay/backend/trace"
	"patchbay/backend/wire"
)

// needsOf tells what a model must be able to do. A conversation that was not read yet tells little; the plan then goes by
// the model's name alone, and reads it before a fallback.
func needsOf(req *canon.Request) route.Needs {
	n := route.Needs{Tools: len(req.Tools) > 0, Thinking: req.Reasoning.Mode == canon.ReasonOn}
	if req.MaxTokens != nil {
		n.Output = *req.MaxTokens
	}
	for i := range req.Messages {
		mediaNeeds(&n, req.Messages[i].Parts)
	}
	return n
}

func mediaNeeds(n *route.Needs, parts []canon.Part) {
	for i := range parts {
		p := &parts[i]
		n.Images = n.Images || p.Type == canon.PartImage
		n.Documents = n.Documents || p.Type == canon.PartDocument
		mediaNeeds(n, p.Result)
	}
}

// sift reads the request, where that was not done, and leaves of the fallbacks those that can do what it needs. It is done
// before the first of them is asked, for most requests never need one.
//
//go:noinline
func (c *Call) sift(plan *route.Plan) {
	q := route.Query{}
	if c.req.Expand() == nil { // else the first to read it says what is wrong
		q.Needs, q.PromptTokens = needsOf(c.req), wire.EstimateTokens(c.req)
	}
	plan.Sift(q)
}

// arrive notes what was passed over before a candidate, and that it steps in.
//
//go:noinline
func (c *Call) arrive(cand *route.Candidate) {
	c.passed(cand.Passed)
	if !cand.Fallback {
		return
	}
	s := trace.Step{What: trace.Hop, Provider: cand.Provider, Model: cand.Model, Message: cand.Provider + " steps in with " + cand.Model}
	if cand.Late != "" {
		s.Message += ", after all others: " + cand.Late
	}
	c.trace.Add(s)
}

// passed notes steps of a chain that were passed over. The verdict names them.
func (c *Call) passed(steps []trace.Step) {
	c.trace.Add(steps...)
	c.left = append(c.left, steps...)
}

func (c *Call) passedStep(cand *route.Candidate, kind, why string) {
	c.passed(append(cand.Passed, trace.Step{What: trace.Skipped, Provider: cand.Provider, Model: cand.Model, Kind: kind, Message: why}))
}

// outOfTries notes the candidates from number i on, for which no attempt is left.
func (c *Call) outOfTries(plan *route.Plan, i int) {
	for ; i < len(plan.Candidates); i++ {
		c.passedStep(&plan.Candidates[i], trace.KindNoMoreTries, "the limit of attempts was reached (routing.max_attempts)")
	}
}

// acquire takes an account for an attempt and notes those that were passed over for it. told holds the accounts that the
// candidate has been through.
//
//go:noinline
func (c *Call) acquire(ctx context.Context, cand *route.Candidate, told map[string]struct{}) (*account.Lease, error) {
	q := c.wanted(cand, told, queueWait)
	lease, err := c.g.accounts.Acquire(ctx, q)
	if len(told) > 0 && err == nil {
		return lease, nil // what was passed over was told with the first
	}
	last := int(^uint(0) >> 1)
	list, more := c.g.accounts.Considered(q, considered)
	for i := range list {
		if lease != nil && list[i].ID == lease.AccountID() {
			last = list[i].Priority // whose order is behind it was not considered
		}
	}
	var skipped []trace.Step
	for i := range list {
		a := &list[i]
		if a.Kind == "" || a.Kind == trace.KindWasTried || a.Priority > last || lease != nil && a.ID == lease.AccountID() {
			continue
		}
		skipped = append(skipped, trace.Step{
			What: trace.Skipped, Provider: cand.Provider, Account: a.ID, Label: a.Name, Model: cand.Model, Kind: a.Kind, Message: a.Text, Until: a.Until,
		})
	}
	if len(told) > 0 {
		skipped = c.news(skipped)
	}
	c.trace.Add(trace.Fold(skipped)...)
	if err != nil && more > 0 && len(told) == 0 {
		c.trace.Add(trace.Step{What: trace.Skipped, Provider: cand.Provider, Model: cand.Model, Count: more, Message: fmt.Sprintf("%d further accounts skipped", more)})
	}
	return lease, err
}

// considered is how many accounts are looked at for the trace of a request: many requests may find at once that nobody can
// serve, and none of them is to wait while thousands of accounts are described for another.
const considered = 64

// news leaves out accounts that the trace has already.
func (c *Call) news(skipped []trace.Step) []trace.Step {
	had := map[string]bool{}
	for _, s := range c.trace.Steps() {
		had[s.Account] = true
	}
	out := skipped[:0]
	for _, s := range skipped {
		if !had[s.Account] {
			out = append(out, s)
		}
	}
	return out
}

// note notes how an attempt went.
//
//go:noinline
func (c *Call) note(cand *route.Candidate, lease *account.Lease, begun time.Time, err error) {
	s := trace.Step{
		What: trace.Answered, Provider: cand.Provider, Account: lease.AccountID(), Label: lease.Label(), Model: cand.Model,
		Wire: cand.Wire, MS: time.Since(begun).Milliseconds(),
	}
	switch {
	case err == nil:
	case errors.Is(err, errStopped):
		s.What, s.Kind, s.Message = trace.Tried, apierror.Canceled.String(), "the client went away"
	default:
		e := apierror.From(err)
		s.What, s.Kind, s.Message = trace.Tried, e.Kind.String(), e.Msg
		if e.RetryAfter > 0 {
			s.Until = time.Now().Add(e.RetryAfter)
		}
	}
	c.trace.Add(s)
	if err != nil {
		c.g.record.Changed(c.caller.RequestID)
	}
}

// steps is the whole trace of a call that ended.
func (c *Call) steps(err error) []trace.Step {
	if c.usage.Estimated {
		c.trace.Note("usage", "the upstream told no token counts; these are an estimate")
	}
	if err != nil && !errors.Is(err, errStopped) {
		e := apierror.From(err)
		s := trace.Step{What: trace.Ended, Kind: e.Kind.String(), Message: e.Msg}
		if e.RetryAfter > 0 {
			s.Until = time.Now().Add(e.RetryAfter)
		}
		c.trace.Add(s)
	}
	return c.trace.Steps()
}
