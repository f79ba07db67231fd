package gateway

import (
	"context"
	"errors"
	"iter"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/route"
)

// ImageCall is one request for images on its way.
type ImageCall struct {
	call *Call
	req  *canon.ImageRequest
}

// Images prepares a request for images. Nothing is sent before its Steps are read.
func (g *Gateway) Images(req *canon.ImageRequest, caller Caller) *ImageCall {
	c := g.Call(&canon.Request{Format: req.Format, Op: "images/" + req.Op, ModelAsked: req.ModelAsked, Stream: req.Stream}, caller)
	return &ImageCall{call: c, req: req}
}

// Route returns the way taken so far. It may be called from any goroutine.
func (c *ImageCall) Route() Route { return c.call.Route() }

// Steps makes the images, account after account, candidate after candidate. What was yielded is final: an error after it is
// the end. It is read once.
func (c *ImageCall) Steps(ctx context.Context) iter.Seq2[canon.ImageEvent, error] {
	return func(yield func(canon.ImageEvent, error) bool) {
		c.call.begin()
		err := c.call.admitted(ctx, func(ctx context.Context) error { return c.run(ctx, yield) })
		c.call.finishRow(ctx, err)
		if err != nil && !errors.Is(err, errStopped) {
			yield(canon.ImageEvent{}, err)
		}
	}
}

func (c *ImageCall) run(ctx context.Context, yield func(canon.ImageEvent, error) bool) error {
	q := c.call.query()
	q.Pictures = true
	plan, err := c.call.planned(ctx, q)
	c.call.trace.Add(plan.Steps...)
	if err != nil {
		return err
	}
	for i := range plan.Candidates {
		c.call.arrive(&plan.Candidates[i])
		err := c.candidate(ctx, &plan.Candidates[i], yield)
		if err == nil || errors.Is(err, errStopped) || c.call.committed() {
			return err
		}
		if apierror.PolicyOf(apierror.KindOf(err)).NextProvider == apierror.Never {
			return err
		}
	}
	c.call.passed(plan.After)
	return c.call.verdict()
}

func (c *ImageCall) candidate(ctx context.Context, cand *route.Candidate, yield func(canon.ImageEvent, error) bool) error {
	skip := map[string]struct{}{}
	var last error
	for range c.call.g.limits(cand.Provider).Accounts {
		lease, err := c.call.acquire(ctx, cand, skip)
		if err != nil {
			if last == nil {
				c.call.fail(cand, nil, apierror.From(err))
				last = err
			}
			return last
		}
		skip[lease.AccountID()] = struct{}{}
		last = c.once(ctx, cand, lease, yield)
		if last == nil || errors.Is(last, errStopped) || c.call.committed() || apierror.PolicyOf(apierror.KindOf(last)).NextAccount == apierror.Never {
			return last
		}
	}
	return last
}

// once asks one account once. A picture costs money, so that nothing is repeated on the same account.
func (c *ImageCall) once(ctx context.Context, cand *route.Candidate, lease *account.Lease, yield func(canon.ImageEvent, error) bool) (err error) {
	call, begun := c.call, time.Now()
	call.setRoute(func(r *Route) {
		r.Provider, r.AccountID, r.Account, r.Model, r.Attempts = cand.Provider, lease.AccountID(), lease.Label(), cand.Model, r.Attempts+1
	})
	imager, able := lease.Upstream().(provider.Imager)
	defer func() {
		if err != nil && !errors.Is(err, errStopped) {
			err = call.explain(ctx, cand, lease, err)
		}
		call.note(cand, lease, begun, err)
		if !able {
			lease.Release(apierror.New(apierror.Canceled, "nothing was asked of it")) // that it makes no images says nothing about its models
			return
		}
		lease.Release(blame(err))
	}()
	if !able {
		return &apierror.Error{Kind: apierror.ModelNotFound, Msg: cand.Provider + " makes no images; ask for an image model of a provider that does", Param: "model"}
	}
	actx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limits := call.g.limits(cand.Provider)
	limit := limits.timeouts(false) // a picture takes long, and the first sketch of one as well
	first := limit.begin(cancel)
	defer first.stop()
	own := *c.req
	own.Model = lease.Model(cand.Model)
	done := false
	for ev, err := range imager.Images(actx, &own) {
		if err != nil {
			return limitHit(actx, err, limit)
		}
		first.answered()
		if call.first.IsZero() {
			call.start(time.Now())
		}
		if ev.Usage != nil {
			call.usage.Merge(*ev.Usage)
		}
		done = done || ev.Done
		if !yield(ev, nil) {
			return errStopped
		}
	}
	if !done {
		return limitHit(actx, apierror.New(apierror.Truncated, "%s ended its answer early", cand.Provider), limit)
	}
	return nil
}
