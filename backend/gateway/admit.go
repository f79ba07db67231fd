package gateway

import (
	"context"
	"errors"

	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/route"
	"patchbay/backend/trace"
)

// What a client key may do is enforced here and nowhere else: admitted counts a call in and out, planned leaves of a plan
// what the key may use.

// admitted does the work of a call, counted for its client key. If the key is revoked meanwhile, that is what the client is
// told.
func (c *Call) admitted(ctx context.Context, work func(ctx context.Context) error) error {
	if c.g.paused != nil && c.g.paused() {
		return errPaused()
	}
	if c.g.keys == nil || c.caller.KeyID == "" || c.caller.Own {
		return work(ctx)
	}
	ctx, done, err := c.g.keys.Enter(ctx, c.caller.KeyID)
	if err != nil {
		return err
	}
	defer func() {
		t := c.tokens()
		done(max(t.Input, 0) + max(t.Output, 0))
	}()
	if err = work(ctx); err != nil && !errors.Is(err, errStopped) && revoked(ctx) {
		return clientkey.ErrRevoked
	}
	return err
}

// errPaused tells a client that the person has paused Patchbay: trying again does not help.
func errPaused() error {
	e := apierror.New(apierror.NoAccount, "Patchbay is paused; choose \"Go on\" in its menu or on its page")
	e.Code, e.NoRetry = "paused", true
	return e
}

func revoked(ctx context.Context) bool { return errors.Is(context.Cause(ctx), clientkey.ErrRevoked) }

// planned plans a call with what its client key may use.
func (c *Call) planned(ctx context.Context, q route.Query) (route.Plan, error) {
	if err := c.pin(&q); err != nil {
		return route.Plan{}, err
	}
	plan, err := c.allowed(ctx, q)
	if err != nil {
		return plan, err
	}
	return plan, c.keepPinned(&plan)
}

// allowed is the plan as far as the client key lets it.
func (c *Call) allowed(ctx context.Context, q route.Query) (route.Plan, error) {
	l := c.caller.Limits
	if !l.Narrow() {
		return c.g.plan.Plan(ctx, q)
	}
	if !l.AllowsProtocol(c.req.Format) {
		return route.Plan{}, l.Refuse(c.caller.KeyName, "the protocol "+c.req.Format)
	}
	q.Allowed = l.Allows
	plan, err := c.g.plan.Plan(ctx, q)
	if err != nil {
		return plan, err
	}
	var refused *route.Candidate
	plan.Keep(func(cand *route.Candidate) (string, string) {
		if l.Allows(cand.Provider, cand.Model, cand.Named) {
			return "", ""
		}
		if refused == nil {
			first := *cand
			refused = &first
		}
		return trace.KindForbidden, "the client key may not use it"
	})
	if len(plan.Candidates) == 0 && refused != nil {
		return plan, l.Refuse(c.caller.KeyName, "the model "+refused.Model+" of "+refused.Provider)
	}
	return plan, nil
}
