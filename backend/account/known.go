package account

import (
	"context"
	"crypto/sha256"
	"errors"

	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// Known tells which accounts have a login that comes along again. It is a picture of one moment, for many questions: it holds
// hashes of the secrets and nothing else of them.
type Known struct {
	byWho, bySecret map[knownKey]string // to ids
}

type knownKey struct {
	provider string
	what     [sha256.Size]byte
}

func keyOf(provider, what string) knownKey { return knownKey{provider, sha256.Sum256([]byte(what))} }

// Known reads the logins of all accounts. Those that cannot be opened any more are left out; locked ones are an error.
func (p *Pools) Known(ctx context.Context) (*Known, error) {
	k := &Known{byWho: map[knownKey]string{}, bySecret: map[knownKey]string{}}
	for _, a := range p.List() {
		s, err := p.unseal(ctx, a.ID)
		switch {
		case err == nil, errors.Is(err, secret.ErrNotFound), errors.Is(err, secret.ErrLost):
		default:
			return nil, err
		}
		if a.Identity != "" {
			k.byWho[keyOf(a.Provider, a.Identity)] = a.ID
		}
		k.addSecret(a.Provider, s.credential(), a.ID)
	}
	return k, nil
}

// Add notes that an account has a login.
func (k *Known) Add(provider string, c provider.Credential, id string) {
	if who := c.Identity(); who != "" {
		k.byWho[keyOf(provider, who)] = id
	}
	k.addSecret(provider, c, id)
}

func (k *Known) addSecret(provider string, c provider.Credential, id string) {
	if text := lasting(c); text != "" {
		k.bySecret[keyOf(provider, text)] = id
	}
}

// lasting is what of a login stays the longest.
func lasting(c provider.Credential) string {
	if !c.Refresh.Empty() {
		return c.Refresh.Reveal()
	}
	return c.Access.Reveal()
}

// Find returns the account that has this very login (same) or another one of the same person, "" if none has.
func (k *Known) Find(provider string, c provider.Credential) (id string, same bool) {
	if text := lasting(c); text != "" {
		if id := k.bySecret[keyOf(provider, text)]; id != "" {
			return id, true
		}
	}
	if who := c.Identity(); who != "" {
		return k.byWho[keyOf(provider, who)], false
	}
	return "", false
}
