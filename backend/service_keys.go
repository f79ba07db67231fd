package backend

import (
	"context"
	"slices"
	"strings"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
)

// Keys implements api.Service.
func (b *Backend) Keys(context.Context) ([]api.KeyView, error) {
	list := b.keys.List()
	out := make([]api.KeyView, len(list))
	for i, k := range list {
		out[i] = b.keyView(k)
	}
	return out, nil
}

func (b *Backend) keyView(k clientkey.Key) api.KeyView {
	l, u := k.Limits, b.keys.Used(k.ID)
	return api.KeyView{
		ID: k.ID, Name: k.Name, Prefix: k.Shown, Created: k.Created, Expires: l.Expires, Revoked: k.Revoked,
		Limits: api.KeyLimits{
			Models: l.Models, Providers: l.Providers, Protocols: l.Protocols,
			PerMinute: l.PerMinute, TokensPerDay: l.TokensPerDay, Concurrent: l.Concurrent, Account: l.Account, Tags: l.Tags,
		},
		Used: api.KeyUse{InFlight: u.InFlight, Minute: u.Minute, RequestsToday: u.Requests, TokensToday: u.Tokens},
	}
}

// AddKey implements api.Service.
func (b *Backend) AddKey(ctx context.Context, n api.NewKey) (api.CreatedKey, error) {
	providers, err := b.limitedTo(n.Limits.Providers)
	if err != nil {
		return api.CreatedKey{}, err
	}
	l := n.Limits
	if l.Account, err = b.pinnable(l.Account); err != nil {
		return api.CreatedKey{}, err
	}
	k, text, err := b.keys.Add(ctx, n.Name, n.Key, clientkey.Limits{
		Models: l.Models, Providers: providers, Protocols: l.Protocols,
		PerMinute: l.PerMinute, TokensPerDay: l.TokensPerDay, Concurrent: l.Concurrent, Expires: n.Expires, Account: l.Account, Tags: account.CleanTags(l.Tags),
	})
	if err != nil {
		return api.CreatedKey{}, explain(err)
	}
	return api.CreatedKey{KeyView: b.keyView(k), Key: text}, nil
}

// ChangeKey implements api.Service.
func (b *Backend) ChangeKey(ctx context.Context, id string, c api.KeyChange) (api.KeyView, error) {
	if c.Providers != nil {
		providers, err := b.limitedTo(*c.Providers)
		if err != nil {
			return api.KeyView{}, err
		}
		c.Providers = &providers
	}
	if c.Account != nil {
		id, err := b.pinnable(*c.Account)
		if err != nil {
			return api.KeyView{}, err
		}
		c.Account = &id
	}
	if c.Tags != nil {
		tags := account.CleanTags(*c.Tags)
		c.Tags = &tags
	}
	k, err := b.keys.Set(ctx, id, clientkey.Change{Name: c.Name, Limits: func(l *clientkey.Limits) {
		assign(&l.Models, c.Models)
		assign(&l.Providers, c.Providers)
		assign(&l.Protocols, c.Protocols)
		assign(&l.PerMinute, c.PerMinute)
		assign(&l.TokensPerDay, c.TokensPerDay)
		assign(&l.Concurrent, c.Concurrent)
		assign(&l.Expires, c.Expires)
		assign(&l.Account, c.Account)
		assign(&l.Tags, c.Tags)
	}})
	if err != nil {
		return api.KeyView{}, explain(err)
	}
	return b.keyView(k), nil
}

// pinnable returns the id of the account that a key is to be limited to, "" for none.
func (b *Backend) pinnable(ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	id, _, err := b.accounts.Find(ref)
	return id, err
}

func assign[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// limitedTo checks the providers that a key is to be limited to. A name without * must be one that exists: a slip of the
// pen would make the key worthless.
func (b *Backend) limitedTo(names []string) ([]string, error) {
	out := slices.Clone(names)
	for i, name := range names {
		if id, ok := config.OldNames[name]; ok {
			out[i] = id
			continue
		}
		if _, ok := b.offered(strings.ToLower(name)); !ok && !strings.Contains(name, "*") {
			return nil, apierror.Invalid("providers", "there is no provider %q; `patchbay providers` lists them", name)
		}
	}
	return out, nil
}

// RevokeKey implements api.Service.
func (b *Backend) RevokeKey(ctx context.Context, id string) error {
	return explain(b.keys.Revoke(ctx, id))
}

// RemoveKey implements api.Service.
func (b *Backend) RemoveKey(ctx context.Context, id string) error {
	return explain(b.keys.Remove(ctx, id))
}
