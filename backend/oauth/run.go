package oauth

import (
	"cmp"
	"context"
	"errors"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// Tries of what may fail for a moment.
const (
	completeTries = 4
	pollTrouble   = 6 // failures of the line in a row while a device code is polled
	slowDown      = 5 * time.Second
	finishLimit   = time.Minute
	completeLimit = 3 * time.Minute // some services set an account up first
)

// run carries one sign-in through and leaves its outcome in the session.
func (l *Logins) run(ctx context.Context, a *attempt) {
	c, err := l.credential(ctx, a)
	if err == nil {
		err = l.finish(ctx, a, c)
	}
	if err == nil {
		return
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errCanceled):
		a.end(Canceled, "The sign-in was canceled.", outcome(string(Canceled)))
	case errors.Is(cause, errClosing):
		a.end(Canceled, "Patchbay was stopped; start the sign-in again.", outcome(string(Canceled)))
	case errors.Is(cause, context.DeadlineExceeded) || errors.Is(err, errOver):
		a.end(Expired, "The sign-in took too long and is over. Start it again.", outcome("timeout"))
	default:
		e := apierror.From(err)
		how := e.Kind.String()
		switch e.Upstream.Code {
		case "access_denied":
			how = "denied"
		case "unauthorized_client": // this way in is not open to the service's registration
			how = "not_allowed"
		}
		a.end(Failed, e.Msg, outcome(how))
		l.needs.Log.Warn("A sign-in failed", "provider", a.start.Provider, "login", a.login.Key(), "kind", e.Kind.String(), "err", e.Msg)
	}
}

func outcome(how string) func(*Progress) { return func(p *Progress) { p.Outcome = how } }

// errOver reports that a device code came to its end.
var errOver = errors.New("the device code is over")

// credential waits for the person and fetches the token.
func (l *Logins) credential(ctx context.Context, a *attempt) (provider.Credential, error) {
	if a.device != nil {
		return l.poll(ctx, a)
	}
	var got offered
	select {
	case got = <-a.came:
	case <-ctx.Done():
		return provider.Credential{}, ctx.Err()
	}
	g, err := a.grant(got, a.redirect, a.verifier, a.start.Fields)
	if err != nil {
		return provider.Credential{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, finishLimit)
	defer cancel()
	c, err := exchange(ctx, a.driver, a.env, g)
	if err != nil {
		return provider.Credential{}, err
	}
	return whole(c)
}

// whole refuses a credential without a token: a driver that returns one took something else for success.
func whole(c provider.Credential) (provider.Credential, error) {
	if c.Access.Empty() && c.Refresh.Empty() {
		return c, apierror.New(apierror.Upstream5xx, "the service answered without a token; start the sign-in again")
	}
	if c.Issued.IsZero() {
		c.Issued = time.Now()
	}
	return c, nil
}

// poll asks for the outcome of a device login until there is one.
func (l *Logins) poll(ctx context.Context, a *attempt) (provider.Credential, error) {
	d, trouble := a.device, 0
	d.Interval = max(cmp.Or(d.Interval, deviceInterval), time.Second)
	for {
		if !pause(ctx, d.Interval) {
			return provider.Credential{}, ctx.Err()
		}
		c, err := pollDevice(ctx, a.driver, a.env, a.login, d)
		switch {
		case err == nil:
			a.set(func(p *Progress) { p.State = Finishing })
			return whole(c)
		case errors.Is(err, provider.ErrPending):
			trouble = 0
		case errors.Is(err, provider.ErrSlowDown):
			trouble = 0
			d.Interval += slowDown
		case passing(err) && trouble < pollTrouble:
			trouble++
			d.Interval = max(d.Interval, apierror.From(err).RetryAfter)
		case apierror.From(err).Upstream.Code == "expired_token":
			return c, errOver
		default:
			return c, err
		}
		if !d.Expires.IsZero() && !time.Now().Before(d.Expires) {
			return provider.Credential{}, errOver
		}
	}
}

// passing reports that an error is the line's or the service's trouble of the moment.
func passing(err error) bool {
	switch apierror.KindOf(err) {
	case apierror.Transport, apierror.Timeout, apierror.Upstream5xx, apierror.Truncated, apierror.RateLimited, apierror.Overloaded:
		return true
	}
	return false
}

func pollDevice(ctx context.Context, d provider.Driver, env provider.Env, login provider.Login, dev *provider.Device) (provider.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, beginLimit)
	defer cancel()
	if login.DeviceURL != "" {
		return PollDevice(ctx, env, login, dev)
	}
	return d.(provider.DeviceAuthenticator).PollDevice(ctx, env, login, dev) // BeginDevice was asked of the same driver
}

// finish completes the credential and stores the account. From here on a cancel comes too late to matter: the code is spent.
func (l *Logins) finish(ctx context.Context, a *attempt, c provider.Credential) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), completeLimit)
	defer cancel()
	c, err := l.complete(ctx, a, c)
	problem := apierror.From(err)
	if problem != nil && (problem.Kind != apierror.AccountBlocked || problem.Action == "") {
		return err
	}
	saved, err := l.needs.Save(ctx, Finished{
		Provider: a.start.Provider, Login: a.login.Key(), Account: a.known.ID, Name: a.start.Name, Proxy: a.start.Proxy.Reveal(),
		Settings: a.start.Fields, Notes: a.notes.all(), Credential: c, Problem: problem,
	})
	if err != nil {
		return err
	}
	text := cmp.Or(saved.Text, "The account "+saved.Label+" is ready.")
	a.end(Done, text, func(p *Progress) { p.Account, p.Label, p.Outcome = saved.Account, saved.Label, saved.Outcome })
	l.needs.Log.Info("Signed in", "provider", a.start.Provider, "login", a.login.Key(), "account", saved.Account)
	return nil
}

// complete asks the driver for what the token alone does not say, again after trouble of the line: the code is spent, so that
// giving up would mean a sign-in from the beginning.
func (l *Logins) complete(ctx context.Context, a *attempt, c provider.Credential) (provider.Credential, error) {
	d, ok := a.driver.(provider.Completer)
	if !ok {
		return c, nil
	}
	for n := 0; ; n++ {
		done, err := d.Complete(ctx, a.env, c)
		if err == nil {
			return done, nil
		}
		if !passing(err) || n+1 >= completeTries || !pause(ctx, time.Second<<n) {
			return c, err
		}
	}
}
