package oauth

import (
	"context"
	"testing"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// asking is a driver that asks its service for a project, and can renew.
type asking struct {
	provider.Driver
	info provider.Info
	fail error
	with string // the token that it asked with
	ends bool   // a renewal is refused
}

func (d *asking) Info() provider.Info { return d.info }

func (d *asking) Exchange(context.Context, provider.Env, provider.Grant) (provider.Credential, error) {
	panic("not asked for")
}

func (d *asking) Refresh(context.Context, provider.Env, provider.Credential) (provider.Credential, error) {
	if d.ends {
		return provider.Credential{}, apierror.New(apierror.AuthExpired, "over")
	}
	return provider.Credential{Access: secret.New("fresh")}, nil
}

func (d *asking) Complete(ctx context.Context, env provider.Env, c provider.Credential) (provider.Credential, error) {
	if d.fail != nil {
		return c, d.fail
	}
	got, err := env.Token(ctx)
	if err != nil {
		return c, err
	}
	d.with = got.Access.Reveal()
	env.Remember("tier", "standard"+env.Note("none"))
	return c.Under(map[string]string{"project": "p"}), nil
}

func TestComplete(t *testing.T) {
	over := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		d     asking
		c     provider.Credential
		with  string
		fails bool
	}{
		"good":                    {asking{}, provider.Credential{Access: secret.New("a")}, "a", false},
		"over, nothing to do":     {asking{}, provider.Credential{Access: secret.New("a"), Refresh: secret.New("r"), Expiry: over}, "", false},
		"over, without a renewal": {asking{info: provider.Info{Policy: provider.Policy{RefreshBorrowed: true}}}, provider.Credential{Access: secret.New("a"), Expiry: over}, "", false},
		"over, renewed":           {asking{info: provider.Info{Policy: provider.Policy{RefreshBorrowed: true}}}, provider.Credential{Access: secret.New("a"), Refresh: secret.New("r"), Expiry: over}, "fresh", false},
		"over, refused":           {asking{ends: true, info: provider.Info{Policy: provider.Policy{RefreshBorrowed: true}}}, provider.Credential{Access: secret.New("a"), Refresh: secret.New("r"), Expiry: over}, "", true},
		"the service fails":       {asking{fail: apierror.New(apierror.Transport, "down")}, provider.Credential{Access: secret.New("a")}, "", true},
	} {
		got, notes, err := Complete(t.Context(), &c.d, provider.Env{}, c.c)
		if (err != nil) != c.fails || c.d.with != c.with || got.Access != c.c.Access || got.Refresh != c.c.Refresh || !got.Expiry.Equal(c.c.Expiry) {
			t.Errorf("%s: asked with %q, %v", name, c.d.with, err)
		}
		if c.with != "" && (got.Extra["project"] != "p" || notes["tier"] != "standard") {
			t.Errorf("%s: %v %v", name, got.Extra, notes)
		}
	}
	if c, _, err := Complete(t.Context(), silent{}, provider.Env{}, provider.Credential{Access: secret.New("a")}); err != nil || c.Access.Empty() {
		t.Error(err)
	}
}

// silent has nothing to ask.
type silent struct{ provider.Driver }
