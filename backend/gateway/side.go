package gateway

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/route"
	"patchbay/backend/wire"
)

// CountTokens counts the tokens of a request: by the upstream if the first candidate can, else by an estimate. It fails
// only if the request itself cannot be read or routed by its own fault.
func (g *Gateway) CountTokens(ctx context.Context, req *canon.Request, caller Caller) (int64, error) {
	c := g.Call(req, caller)
	if n, err := c.countUpstream(ctx); n > 0 || err != nil && apierror.KindOf(err) == apierror.ClientForbidden {
		return n, err
	}
	if err := req.Expand(); err != nil {
		return 0, err
	}
	return wire.EstimateTokens(req), nil
}

const countLimit = 30 * time.Second

// countUpstream returns 0 where the upstream cannot tell.
func (c *Call) countUpstream(ctx context.Context) (int64, error) {
	plan, err := c.planned(ctx, c.query())
	if err != nil || len(plan.Candidates) == 0 {
		return 0, err
	}
	cand := &plan.Candidates[0]
	if cand.Wire != c.req.Format {
		return 0, nil // another family counts other tokens; an estimate is as good
	}
	req, err := c.prepare(cand)
	if err != nil {
		return 0, nil
	}
	lease, err := c.g.accounts.Acquire(ctx, c.wanted(cand, nil, 0))
	if err != nil {
		return 0, nil
	}
	defer lease.Release(apierror.New(apierror.Canceled, "a count says nothing about health"))
	counter, ok := lease.Upstream().(provider.TokenCounter)
	if !ok {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, countLimit)
	defer cancel()
	req.Model = lease.Model(cand.Model)
	n, err := counter.CountTokens(ctx, req)
	if err != nil || n <= 0 {
		return 0, nil
	}
	c.setRoute(func(r *Route) {
		r.Provider, r.AccountID, r.Account, r.Model, r.Attempts = cand.Provider, lease.AccountID(), lease.Label(), cand.Model, 1
	})
	return n, nil
}

// Embed makes embeddings.
func (g *Gateway) Embed(ctx context.Context, req *canon.Embed, caller Caller) (*canon.Embeddings, Route, error) {
	c := g.Call(&canon.Request{Format: req.Format, Op: "embeddings", ModelAsked: req.ModelAsked}, caller)
	c.begin()
	var out *canon.Embeddings
	err := c.admittedSide(ctx, func(ctx context.Context, cand *route.Candidate, lease *account.Lease) error {
		embedder, ok := lease.Upstream().(provider.Embedder)
		if !ok {
			return &apierror.Error{Kind: apierror.ModelNotFound, Msg: cand.Provider + " has no embeddings; ask for a model of a provider that has", Provider: cand.Provider}
		}
		own := *req
		own.Model = lease.Model(cand.Model)
		var err error
		if out, err = embedder.Embed(ctx, &own); err == nil && out.Usage != nil {
			c.usage.Merge(*out.Usage)
		}
		return err
	})
	c.finishRow(ctx, err)
	return out, c.Route(), err
}

// Compact has a conversation shortened by a service of the client's own format.
func (g *Gateway) Compact(ctx context.Context, req *canon.Request, caller Caller) (jsontext.Value, Route, error) {
	c := g.Call(req, caller)
	c.begin()
	var out jsontext.Value
	err := c.admittedSide(ctx, func(ctx context.Context, cand *route.Candidate, lease *account.Lease) error {
		compactor, ok := lease.Upstream().(provider.Compactor)
		if !ok || cand.Wire != req.Format {
			e := apierror.New(apierror.RouteNotFound, "%s cannot shorten a conversation; let the client do it", cand.Provider)
			e.Provider = cand.Provider
			return e
		}
		own, err := c.prepare(cand)
		if err != nil {
			return err
		}
		own.Model = lease.Model(cand.Model)
		out, err = compactor.Compact(ctx, own)
		return err
	})
	c.finishRow(ctx, err)
	return out, c.Route(), err
}

// sideCall asks an account for something that is no answer.
type sideCall = func(context.Context, *route.Candidate, *account.Lease) error

func (c *Call) admittedSide(ctx context.Context, do sideCall) error {
	return c.admitted(ctx, func(ctx context.Context) error { return c.side(ctx, do) })
}

// side does something that is no answer, by the same loop as answers: account after account, candidate after candidate.
func (c *Call) side(ctx context.Context, do sideCall) error {
	plan, err := c.planned(ctx, c.query())
	c.trace.Add(plan.Steps...)
	if err != nil {
		return err
	}
	for i := range plan.Candidates {
		c.arrive(&plan.Candidates[i])
		err := c.sideCandidate(ctx, &plan.Candidates[i], do)
		if err == nil {
			return nil
		}
		if apierror.PolicyOf(apierror.KindOf(err)).NextProvider == apierror.Never {
			return err
		}
	}
	c.passed(plan.After)
	return c.verdict()
}

func (c *Call) sideCandidate(ctx context.Context, cand *route.Candidate, do sideCall) error {
	skip := map[string]struct{}{}
	var last error
	for range c.g.limits(cand.Provider).Accounts {
		lease, err := c.acquire(ctx, cand, skip)
		if err != nil {
			if last == nil {
				c.fail(cand, nil, apierror.From(err))
				last = err
			}
			return last
		}
		skip[lease.AccountID()] = struct{}{}
		err = c.sideOnce(ctx, cand, lease, do)
		if err == nil {
			return nil
		}
		last = err
		if apierror.PolicyOf(apierror.KindOf(err)).NextAccount == apierror.Never {
			return err
		}
	}
	return last
}

func (c *Call) sideOnce(ctx context.Context, cand *route.Candidate, lease *account.Lease, do sideCall) (err error) {
	begun := time.Now()
	defer func() {
		if err != nil {
			err = c.explain(ctx, cand, lease, err)
		}
		c.note(cand, lease, begun, err)
		lease.Release(err)
	}()
	c.setRoute(func(r *Route) {
		r.Provider, r.AccountID, r.Account, r.Model, r.Attempts = cand.Provider, lease.AccountID(), lease.Label(), cand.Model, r.Attempts+1
	})
	err = c.sideAsk(ctx, cand, lease, do)
	if err != nil && apierror.PolicyOf(apierror.KindOf(err)).Same == apierror.RepeatFresh {
		if renewed, renewErr := lease.Renew(ctx); renewed {
			err = c.sideAsk(ctx, cand, lease, do)
		} else if renewErr != nil {
			err = renewErr
		}
	}
	if err != nil {
		return err
	}
	c.first = time.Now()
	c.noteUse()
	return nil
}

// sideAsk asks once, within the time limits of an answer that comes in one piece.
func (c *Call) sideAsk(ctx context.Context, cand *route.Candidate, lease *account.Lease, do sideCall) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limits := c.g.limits(cand.Provider)
	limit := limits.timeouts(false)
	first := limit.begin(cancel)
	defer first.stop()
	if err := do(lease.Track(ctx), cand, lease); err != nil {
		return limitHit(ctx, err, limit)
	}
	return nil
}
