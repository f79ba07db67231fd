package gateway

import (
	"context"
	"errors"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/route"
	"patchbay/backend/trace"
)

// Forward passes a request on as it is, account after account of one provider, until one answers, and hands the answer to
// send. An error that came before send was called is the verdict for the client; one that send returned is only noted: the
// answer has begun.
func (g *Gateway) Forward(ctx context.Context, providerID string, r *provider.RawRequest, caller Caller, send func(*provider.RawAnswer, Route) error) error {
	c := g.Call(&canon.Request{Format: "forward", Op: r.Method, ModelAsked: r.Path}, caller)
	c.begin()
	err := c.admitted(ctx, func(ctx context.Context) error {
		if l := caller.Limits; !l.AllowsProtocol(c.req.Format) || !l.Allows(providerID, "") { // nobody knows which model it is for
			return l.Refuse(caller.KeyName, "the provider "+providerID)
		}
		return c.forward(ctx, &route.Candidate{Provider: providerID, Wire: "forward"}, r, send)
	})
	c.finishRow(ctx, err)
	return err
}

func (c *Call) forward(ctx context.Context, cand *route.Candidate, r *provider.RawRequest, send func(*provider.RawAnswer, Route) error) error {
	c.trace.Add(
		trace.Step{What: trace.Asked, Model: c.req.ModelAsked, Kind: c.req.Format},
		trace.Step{What: trace.Chosen, Rule: trace.ByPath, Provider: cand.Provider, Message: cand.Provider + " was named, and passes requests on as they are"},
	)
	skip := map[string]struct{}{}
	var spare *provider.RawAnswer // what the last account was refused with, where it may be shown
	limits := c.g.limits(cand.Provider)
	for range min(limits.Accounts, limits.Attempts) {
		lease, err := c.acquire(ctx, cand, skip)
		if err != nil {
			if len(skip) == 0 {
				c.fail(cand, nil, apierror.From(err))
			}
			break
		}
		skip[lease.AccountID()] = struct{}{}
		f := forwarding{call: c, cand: cand, lease: lease, request: r, send: send}
		err = f.once(ctx)
		if err == nil || f.sent {
			return err
		}
		spare = f.spare
		if apierror.PolicyOf(apierror.KindOf(err)).NextAccount == apierror.Never {
			break
		}
	}
	if spare != nil {
		c.status = spare.Status
		return send(spare, c.Route())
	}
	return c.verdict()
}

// forwarding is one attempt.
type forwarding struct {
	call    *Call
	cand    *route.Candidate
	lease   *account.Lease
	request *provider.RawRequest
	send    func(*provider.RawAnswer, Route) error
	sent    bool // the answer has begun
	spare   *provider.RawAnswer
}

func (f *forwarding) once(ctx context.Context) (err error) {
	c, begun := f.call, time.Now()
	c.setRoute(func(r *Route) {
		r.Provider, r.AccountID, r.Account, r.Attempts = f.cand.Provider, f.lease.AccountID(), f.lease.Label(), r.Attempts+1
	})
	defer func() {
		if err != nil {
			err = c.explain(ctx, f.cand, f.lease, err)
		}
		c.note(f.cand, f.lease, begun, err)
		f.lease.Release(err)
	}()
	forwarder, ok := f.lease.Upstream().(provider.Forwarder)
	if !ok {
		return apierror.New(apierror.Unsupported, "%s does not pass requests on as they are", f.cand.Provider)
	}
	actx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limits := c.g.limits(f.cand.Provider)
	limit := limits.timeouts(false) // nobody knows whether it is to be a stream
	first := limit.begin(cancel)
	defer first.stop()
	answer, err := forwarder.Forward(actx, f.request)
	if err != nil {
		f.spare = answer
		return limitHit(actx, err, limit)
	}
	defer answer.Body.Close()
	first.answered()
	f.sent, c.status = true, answer.Status
	c.start(time.Now())
	if err := f.send(answer, c.Route()); err != nil {
		if errors.Is(err, ErrClientGone) {
			return ErrClientGone
		}
		return limitHit(actx, err, limit)
	}
	return nil
}

// ErrClientGone is what send returns when nobody takes the answer any more.
var ErrClientGone = apierror.New(apierror.Canceled, "the client went away")
