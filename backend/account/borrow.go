package account

import (
	"cmp"
	"context"
	"errors"

	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// noteFlagged holds the reason that Flag gave, so that Follow takes back what Flag did and nothing else, also after a restart.
const noteFlagged = "borrowed.flagged"

// Follow gives a borrowed account what its owner's file holds now, and reports whether that is another login than before. A
// new one makes an account ready that needed a sign-in; pauses stay, for they belong to the account at the service. An
// account that Flag took out of use comes back.
func (p *Pools) Follow(ctx context.Context, id string, c provider.Credential) (changed bool, err error) {
	st, ok := p.Get(id)
	if !ok {
		return false, gone(id)
	}
	if st.Owner != CLI {
		return false, nil
	}
	same, err := p.Holds(ctx, id, c)
	if err != nil {
		return false, err
	}
	if !same {
		_, err := p.change(ctx, id, func(a *Account, s *sealed) {
			s.setCredential(c.Under(s.Extra))
			a.Identity, a.Renews, a.Expires = cmp.Or(a.Identity, c.Identity()), !c.Refresh.Empty(), c.Expiry
		})
		if err != nil {
			return false, err
		}
		changed = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	if e == nil {
		return changed, gone(id)
	}
	if flagged := e.row.Notes[noteFlagged]; flagged != "" {
		delete(e.row.Notes, noteFlagged)
		if e.reason == flagged {
			e.setState(Ready, "", "")
		}
		p.changed(id)
	}
	if changed && e.state == NeedsLogin {
		e.refused = 0
		e.setState(Ready, "", "")
		p.changed(id)
	}
	return changed, nil
}

// Holds reports whether c is the login that is stored of an account. A lost one is no login.
func (p *Pools) Holds(ctx context.Context, id string, c provider.Credential) (bool, error) {
	stored, err := p.unseal(ctx, id)
	if errors.Is(err, secret.ErrNotFound) || errors.Is(err, secret.ErrLost) {
		return false, nil
	}
	return err == nil && !differs(stored.credential(), c), err
}

func differs(a, b provider.Credential) bool {
	return a.Access != b.Access || a.Refresh != b.Refresh || a.Secret != b.Secret || millis(a.Expiry) != millis(b.Expiry)
}

// Flag takes a borrowed account out of use until Follow brings it back, because of its owner's file. An account that its
// service shut stays as it is.
func (p *Pools) Flag(id string, s State, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	if e == nil || Owner(e.row.Owner) != CLI || e.state == Blocked || e.state == s && e.reason == reason {
		return
	}
	e.setState(s, KindBorrowed, reason)
	e.row.Notes[noteFlagged] = reason
	p.changed(id)
}
