package oauth

import (
	"context"
	"time"

	"patchbay/backend/provider"
)

// Complete asks the service what a token alone does not say, for a login that did not come of a sign-in here, and returns
// what the driver wants remembered of the account. A token that has ended is renewed for the question alone, and only where
// that harms nobody (Policy.RefreshBorrowed); else there is nothing to ask with. The tokens in the answer are those of c.
func Complete(ctx context.Context, d provider.Driver, env provider.Env, c provider.Credential) (provider.Credential, map[string]string, error) {
	asker, ok := d.(provider.Completer)
	if !ok {
		return c, nil, nil
	}
	n := &notes{m: map[string]string{}}
	env.Note, env.Remember = n.get, n.set
	info, asking := d.Info(), c
	if !c.Expiry.IsZero() && !time.Now().Before(c.Expiry) {
		if !info.Policy.RefreshBorrowed || c.Refresh.Empty() {
			return c, nil, nil
		}
		login := LoginOf(info, env.Login).At(env.Settings[provider.SettingLoginURL])
		fresh, err := refresh(ctx, d, env, login, c)
		if err != nil {
			return c, nil, err
		}
		asking = merged(c, fresh)
	}
	env.Token = func(context.Context) (provider.Credential, error) { return asking, nil }
	done, err := asker.Complete(ctx, env, asking)
	if err != nil {
		return c, nil, err
	}
	c.Secret, c.Extra = done.Secret, done.Extra
	return c, n.all(), nil
}
