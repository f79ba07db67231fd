package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// Carried is an account on its way to another computer or back from an export: what a person decided about it, what its
// driver learned, and its login.
type Carried struct {
	ID, Provider, Name string
	Priority           int
	Enabled            bool
	Settings, Notes    map[string]string // no secret ones
	Proxy              string            // without its password
	MaxConcurrent      int
	Tags               []string
	Weight             int
	Reserve            *int
	Created            time.Time
	Login              string       // id of the provider's login by which it signed in, "" = by a key
	Secret             secret.Value // all its secrets, in a form that only TakeIn reads; empty = none
	Renews             bool         // the login is renewed in use, so that a copy of it grows stale
}

// Left is an account that was not carried or not taken in, with the reason.
type Left struct{ Provider, Name, Why string }

// Carry returns the accounts with their logins. Those of other programs stay with these. A locked vault is an error, for
// nothing would be complete.
func (p *Pools) Carry(ctx context.Context) (out []Carried, left []Left, err error) {
	for _, a := range p.List() {
		if a.Owner == CLI {
			left = append(left, Left{a.Provider, a.Name, "it is borrowed from another program of this computer"})
			continue
		}
		text, err := p.needs.Secrets.Get(ctx, refOf(a.ID))
		switch {
		case errors.Is(err, secret.ErrLost):
			left = append(left, Left{a.Provider, a.Name, "its login cannot be opened any more"})
			continue
		case err != nil && !errors.Is(err, secret.ErrNotFound):
			return nil, nil, fmt.Errorf("reading the login of %s/%s: %w", a.Provider, a.Name, err)
		}
		c := Carried{
			ID: a.ID, Provider: a.Provider, Name: a.Name, Priority: a.Priority, Enabled: a.Enabled, Settings: a.Settings,
			Notes: p.notes(a.ID), Proxy: a.Proxy, MaxConcurrent: a.MaxConcurrent, Created: a.Created, Login: a.Login, Secret: text,
			Tags: a.Tags, Weight: a.Weight, Reserve: a.Reserve,
			Renews: a.Renews,
		}
		out = append(out, c)
	}
	return out, left, nil
}

func (p *Pools) notes(id string) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[id]; e != nil {
		return maps.Clone(e.row.Notes)
	}
	return nil
}

// ThereError says that an account is there already, under this name.
type ThereError struct{ Name string }

func (e *ThereError) Error() string { return "it is there already, as " + e.Name }

// errNewer keeps a login that was renewed from being replaced by an older copy: services end a login of which an old token
// is used.
var errNewer = apierror.New(apierror.InvalidRequest, "its login here is newer")

// TakeIn adds a carried account. One that is there already is a ThereError: the same account, which replace changes into
// what was carried, or another one with the same login.
func (p *Pools) TakeIn(ctx context.Context, c Carried, replace bool) (Status, error) {
	p.edit.Lock()
	defer p.edit.Unlock()
	d, _, err := p.needs.Driver(c.Provider)
	if err != nil {
		return Status{}, err
	}
	s, err := readSealed(c.Secret)
	if err != nil {
		return Status{}, err
	}
	row := store.Account{
		ID: cmp.Or(c.ID, rand.Text()[:12]), Provider: c.Provider, Name: cmp.Or(cleanName(c.Name), d.Info().Name), Priority: cleanPriority(c.Priority), Enabled: c.Enabled,
		Owner: string(Ours), State: string(Ready), Settings: maps.Clone(c.Settings), Notes: maps.Clone(c.Notes), Proxy: c.Proxy,
		MaxConcurrent: max(c.MaxConcurrent, 0), Created: c.Created, Tags: CleanTags(c.Tags), Weight: cleanWeight(c.Weight), Reserve: storedReserve(c.Reserve),
	}
	if row.Created.IsZero() {
		row.Created = time.Now()
	}
	cred := s.credential()
	row.Login, row.Identity = c.Login, cred.Identity()
	row.Issued, row.Expires, row.Renews = cred.Issued, cred.Expiry, s.Refresh != ""
	there, same := p.find(row.ID, row.Provider)
	switch {
	case there != "" && (!replace || !same):
		return Status{}, &ThereError{there}
	case there == "":
		twin, err := p.twin(ctx, c.Provider, s)
		if err != nil {
			return Status{}, err
		}
		if twin != "" {
			return Status{}, &ThereError{twin}
		}
	}
	if err := p.put(ctx, row, c.Secret, s.Issued); err != nil {
		return Status{}, err
	}
	if there != "" {
		if err := p.Clear(row.ID, ""); err != nil {
			return Status{}, err
		}
		p.mu.Lock()
		e := p.entries[row.ID]
		e.row.Notes = row.Notes
		p.mu.Unlock()
		return p.swap(e, row, names(s.Settings), true), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.insert(row)
	e.hidden = names(s.Settings)
	p.needs.Bus.Publish(events.Account, row.ID, nil)
	return statusOf(e, time.Now()), nil
}

// readSealed reads a login as it is sealed. The error does not quote it.
func readSealed(text secret.Value) (s sealed, err error) {
	if text.Empty() {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text.Reveal()), &s); err != nil {
		return sealed{}, errors.New("its login is damaged")
	}
	return s, nil
}

// find returns the name of the account with that id, and whether it is of that provider.
func (p *Pools) find(id, provider string) (name string, same bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	if e == nil {
		return "", false
	}
	return e.row.Name, e.row.Provider == provider
}

// twin returns the name of an account of the provider that has the same login, or is of the same person.
func (p *Pools) twin(ctx context.Context, provider string, s sealed) (string, error) {
	if s.Access == "" && s.Refresh == "" {
		return "", nil
	}
	cred := s.credential()
	who := cred.Identity()
	for _, a := range p.List() {
		if a.Provider != provider {
			continue
		}
		if who != "" && a.Identity == who {
			return a.Name, nil
		}
		other, err := p.unseal(ctx, a.ID)
		switch {
		case errors.Is(err, secret.ErrLocked):
			return "", err
		case err == nil && (s.Refresh != "" && other.Refresh == s.Refresh || s.Refresh == "" && other.Access == s.Access):
			return a.Name, nil
		}
	}
	return "", nil
}

// put writes a row with its login of that age, or without any.
func (p *Pools) put(ctx context.Context, row store.Account, login secret.Value, issued int64) error {
	err := p.needs.Store.Write(ctx, func(ctx context.Context) error {
		if old, err := p.unseal(ctx, row.ID); err == nil && old.Refresh != "" && old.Issued > issued {
			return errNewer
		}
		if err := p.needs.Store.PutAccount(ctx, row); err != nil {
			return err
		}
		if login.Empty() {
			return p.needs.Secrets.Delete(ctx, refOf(row.ID))
		}
		return p.needs.Secrets.Put(ctx, refOf(row.ID), login)
	})
	if err != nil {
		return fmt.Errorf("saving the account: %w", err)
	}
	return nil
}
