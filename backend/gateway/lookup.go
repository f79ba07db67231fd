package gateway

import (
	"context"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/route"
	"patchbay/backend/trace"
)

// Lookup describes a request that is not sent.
type Lookup struct {
	Model, Format string
	Needs         route.Needs
	PromptTokens  int64 // 0 = unknown
}

// Found is where a request would go now.
type Found struct {
	Rule      trace.Rule
	Candidate *route.Candidate // that would answer, or else the first one; nil = it leads nowhere
	Account   string           // id of the account that would be asked, "" = none
	Label     string           // its name
	Trace     []trace.Step
	Err       error // what the app would be told, where nobody would be asked
}

// Lookup tells where a request would go now, by the same plan and the same choice as a real one. It sends nothing and
// reserves nothing; what a service would answer nobody knows before it is asked.
func (g *Gateway) Lookup(ctx context.Context, l Lookup, caller Caller) Found {
	c := g.Call(&canon.Request{Format: l.Format, Op: "lookup", ModelAsked: l.Model}, caller)
	q := c.query()
	q.Needs, q.PromptTokens = l.Needs, l.PromptTokens
	plan, err := c.planned(ctx, q)
	c.trace.Add(plan.Steps...)
	f := Found{Rule: plan.Rule, Err: err}
	if err != nil {
		f.Trace = c.steps(err)
		return f
	}
	f.Candidate = &plan.Candidates[0]
	for i := range plan.Candidates {
		cand := &plan.Candidates[i]
		if f.Account != "" {
			c.passed(cand.Passed)
			c.trace.Add(trace.Step{What: trace.Spare, Provider: cand.Provider, Model: cand.Model, Message: "would step in after that"})
			continue
		}
		c.arrive(cand)
		if a := c.lookAt(cand); a != nil {
			f.Candidate, f.Account, f.Label = cand, a.ID, a.Name
		}
	}
	c.passed(plan.After)
	if f.Account == "" {
		f.Err = c.verdict()
		f.Trace = c.steps(f.Err)
		return f
	}
	f.Trace = c.trace.Steps()
	return f
}

// lookAt returns the account of a candidate that would be asked, nil if there is none.
func (c *Call) lookAt(cand *route.Candidate) *account.Considered {
	list, _ := c.g.accounts.Considered(c.wanted(cand, nil, 0), 0)
	var skipped []trace.Step
	var chosen *account.Considered
	for i := range list {
		a := &list[i]
		if a.Chosen {
			chosen = a
			break // who comes after it is not considered
		}
		if a.Kind != "" {
			skipped = append(skipped, trace.Step{
				What: trace.Skipped, Provider: cand.Provider, Account: a.ID, Label: a.Name, Model: cand.Model, Kind: a.Kind, Message: a.Text, Until: a.Until,
			})
		}
	}
	c.trace.Add(trace.Fold(skipped)...)
	if chosen == nil {
		c.fail(cand, nil, apierror.From(c.g.accounts.Nobody(c.wanted(cand, nil, 0))))
		return nil
	}
	s := trace.Step{What: trace.Ready, Provider: cand.Provider, Account: chosen.ID, Label: chosen.Name, Model: cand.Model, Message: "is ready and would be asked"}
	c.trace.Add(s)
	return chosen
}

// Status is the HTTP status under which the log has an error.
func Status(err error) int { return statusOf(apierror.From(err)) }

// Until is when what an error tells of is over, zero if that is not known.
func Until(err error) time.Time {
	if d := apierror.From(err).RetryAfter; d > 0 {
		return time.Now().Add(d)
	}
	return time.Time{}
}
