package kiro

import (
	"context"
	"errors"
	"sync"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
	"patchbay/backend/transport"
	"patchbay/backend/wire"
)

// upstream answers with one account.
type upstream struct {
	env   provider.Env
	hosts hosts
	idle  time.Duration

	mu     sync.Mutex        // guards models
	models map[string]fields // what the live list said, nil before it was read
}

var (
	_ provider.Upstream      = (*upstream)(nil)
	_ provider.QuotaReporter = (*upstream)(nil)
	_ provider.Tester        = (*upstream)(nil)
)

// token returns the account's credential and what it says.
func (u *upstream) token(ctx context.Context) (provider.Credential, login, error) {
	if u.env.Token == nil {
		return provider.Credential{}, login{}, u.fill(apierror.New(apierror.AuthExpired, "this account is not signed in"))
	}
	c, err := u.env.Token(ctx)
	if err != nil {
		return c, login{}, u.fill(err)
	}
	return c, loginOf(c, u.env.Settings), nil
}

func (u *upstream) fill(err error) *apierror.Error {
	return transport.Call{Provider: u.env.Provider, Account: u.env.AccountID}.Fill(err)
}

// Stream sends req and yields the answer. A host that does not serve the account is no failure as long as another one may: the
// ways are tried in turn, and the one that worked is kept.
func (u *upstream) Stream(ctx context.Context, req *canon.Request) canon.Stream {
	return func(yield func(canon.Event, error) bool) {
		c, l, err := u.token(ctx)
		if err == nil {
			if e := l.needsProfile(); e != nil {
				err = u.fill(e)
			}
		}
		var o options
		if err == nil {
			o, err = u.withMedia(ctx, req)
		}
		if err != nil {
			yield(canon.Event{}, u.fill(err))
			return
		}
		id := uuid()
		var refused *apierror.Error
		for _, r := range u.ladder(l) {
			refused = u.ask(ctx, u.inference(c, l, r, id), r, req, o, yield)
			if refused == nil {
				return
			}
			if !otherWay(ctx, refused) {
				break
			}
		}
		yield(canon.Event{}, u.explained(ctx, c, refused))
	}
}

// otherWay reports whether another host may answer where this one did not.
func otherWay(ctx context.Context, e *apierror.Error) bool {
	if ctx.Err() != nil {
		return false
	}
	return errors.Is(e, errRoute) || e.Kind == apierror.Transport && e.Upstream.Status == 0
}

// ask sends req one way. It returns the error of a call that brought nothing; everything else went to yield.
func (u *upstream) ask(ctx context.Context, call transport.Call, r route, req *canon.Request, o options, yield func(canon.Event, error) bool) *apierror.Error {
	o.arn, o.formB, o.origin = r.arn, r.formB, originIDE
	if r.cli {
		o.origin = originCLI
	}
	o.fields = u.fieldsOf(modelID(req.Model).id)
	x, err := newExchange(req, o)
	if err != nil {
		return call.Fill(err)
	}
	if n := len(x.body); n > maxBody {
		u.env.Log.Debug("A request is larger than Kiro is known to take", "bytes", n, "turns", len(req.Messages))
	}
	try := func(x *exchange) transport.Try {
		call.Body = x.body
		return transport.Try{Call: call, Read: x.read, Refused: parseError}
	}
	repair := func(e *apierror.Error) (transport.Try, bool) {
		if !e.BadSignature {
			return transport.Try{}, false
		}
		o.strip = true
		second, err := newExchange(req, o)
		if err != nil {
			return transport.Try{}, false
		}
		return try(second), true
	}
	var refused *apierror.Error
	begun := false
	for ev, err := range transport.Ask(ctx, u.env.HTTP, try(x), repair) {
		if err != nil && !begun {
			refused = apierror.From(err)
			continue
		}
		if !begun {
			begun = true
			u.remember(noteRoute, r.name)
		}
		if !yield(ev, err) {
			return nil
		}
	}
	if refused != nil && refused.Kind == apierror.InvalidRequest {
		u.env.Log.Warn("Kiro refused the form of a request", "code", refused.Upstream.Code, "way", r.name, "shape", x.shape)
	}
	return refused
}

// justIssued is how long a token is certainly good: a refusal of one so young is not about the token.
const justIssued = time.Minute

// explained completes a refusal with what can be learned about it.
func (u *upstream) explained(ctx context.Context, c provider.Credential, e *apierror.Error) *apierror.Error {
	switch {
	case e.Kind == apierror.QuotaExhausted && e.Scope == "*" && e.Upstream.Code != "DAILY_REQUEST_COUNT":
		u.confirmQuota(ctx, e)
	case e.Kind == apierror.AuthExpired && e.Upstream.Status == 403 && !errors.Is(e, errToken) && !c.Issued.IsZero() && time.Since(c.Issued) < justIssued:
		e.Kind, e.Action, e.NoRetry = apierror.AccountBlocked, noProfile, true
	}
	return e
}

// confirmQuota asks how much is left: a plan that has room is only resting, and one that has none says until when.
func (u *upstream) confirmQuota(ctx context.Context, e *apierror.Error) {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), transport.ListLimit, transport.LimitError("usage", transport.ListLimit))
	defer cancel()
	a, err := u.allowance(ctx)
	if err != nil || a == nil {
		return // until the first of next month, as the plans are counted
	}
	if !a.exhausted() {
		e.Kind, e.RetryAfter = apierror.RateLimited, 5*time.Minute
		return
	}
	if d := time.Until(a.reset); d > 0 {
		e.RetryAfter = min(d, maxWait)
	}
}

// fieldsOf returns what a model takes besides the conversation.
func (u *upstream) fieldsOf(id string) fields {
	u.mu.Lock()
	defer u.mu.Unlock()
	if f, ok := u.models[id]; ok {
		return f
	}
	return fieldsOf(id)
}

// withMedia fetches what the request names by address: the service takes data only.
func (u *upstream) withMedia(ctx context.Context, req *canon.Request) (options, error) {
	o := options{account: u.env.AccountID, leaks: u.env.Settings[settingLeaks] != "off"}
	list := wire.MediaURLs(req, func(m *canon.Media) bool { return m.FileID != "" })
	for _, m := range list {
		if m.Type == canon.PartDocument {
			return o, unsupported(wire.Field(req.Format, "messages"), "document input is not supported by %s", req.ModelAsked)
		}
	}
	var err error
	o.media, err = transport.FetchMedia(ctx, u.env.HTTP, list, provider.List(u.env.Settings[provider.SettingMediaHosts]))
	if e := apierror.From(err); e != nil && e.Kind == apierror.InvalidRequest {
		e.Param = wire.Field(req.Format, "messages")
	}
	return o, err
}
