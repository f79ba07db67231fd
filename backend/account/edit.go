package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
	"patchbay/backend/transport"
)

// sealed is what stands in the one sealed row of an account.
type sealed struct {
	Access   string            `json:"access,omitzero"`
	Refresh  string            `json:"refresh,omitzero"`
	Secret   string            `json:"secret,omitzero"`
	Issued   int64             `json:"issued,omitzero"` // Unix milliseconds, as the next
	Expiry   int64             `json:"expiry,omitzero"`
	Extra    map[string]string `json:"extra,omitzero"`
	Settings map[string]string `json:"settings,omitzero"`
	Proxy    string            `json:"proxy,omitzero"` // the whole URL, if it holds a password
}

func (s *sealed) setCredential(c provider.Credential) {
	s.Access, s.Refresh, s.Secret, s.Extra = c.Access.Reveal(), c.Refresh.Reveal(), c.Secret.Reveal(), c.Extra
	s.Issued, s.Expiry = millis(c.Issued), millis(c.Expiry)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (s *sealed) credential() provider.Credential {
	c := provider.Credential{Access: secret.New(s.Access), Refresh: secret.New(s.Refresh), Secret: secret.New(s.Secret), Extra: maps.Clone(s.Extra)}
	if s.Issued != 0 {
		c.Issued = time.UnixMilli(s.Issued)
	}
	if s.Expiry != 0 {
		c.Expiry = time.UnixMilli(s.Expiry)
	}
	return c
}

func refOf(id string) secret.Ref { return secret.Ref{Scope: "account", ID: id} }

// unseal reads an account's sealed row.
func (p *Pools) unseal(ctx context.Context, id string) (sealed, error) {
	v, err := p.needs.Secrets.Get(ctx, refOf(id))
	if err != nil {
		return sealed{}, err
	}
	var s sealed
	if err := json.Unmarshal([]byte(v.Reveal()), &s); err != nil {
		return sealed{}, fmt.Errorf("%w: the sealed login is damaged", secret.ErrLost) // the cause would quote it
	}
	return s, nil
}

// Add makes an account. An empty name gets the provider's, an empty id a new one; one that is given must be free. It returns
// the account as it was stored.
func (p *Pools) Add(ctx context.Context, a Account, c provider.Credential) (Status, error) {
	p.edit.Lock()
	defer p.edit.Unlock()
	d, _, err := p.needs.Driver(a.Provider)
	if err != nil {
		return Status{}, err
	}
	info := d.Info()
	if c.Access.Empty() && c.Refresh.Empty() && !info.NoKey {
		return Status{}, apierror.Invalid("key", "%s needs a key", info.Name)
	}
	if a.ID == "" {
		a.ID = rand.Text()[:12]
	} else if taken, _ := p.find(a.ID, ""); taken != "" {
		return Status{}, &ThereError{taken}
	}
	a.Created, a.Owner = time.Now(), cmp.Or(a.Owner, Ours)
	a.Name = p.freeName(a.Provider, cleanName(a.Name), cmp.Or(info.Name, a.Provider))
	var s sealed
	s.setCredential(c)
	row, err := split(a, &s, info)
	if err != nil {
		return Status{}, err
	}
	row.State, row.Notes = string(Ready), planNote(c)
	row.Login, row.Identity = a.Login, c.Identity()
	row.Issued, row.Expires, row.Renews = c.Issued, c.Expiry, !c.Refresh.Empty()
	login := &s
	if reflect.DeepEqual(s, sealed{}) {
		login = nil // an account without any secret needs no vault
	}
	if err := p.save(ctx, row, login); err != nil {
		return Status{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.insert(row)
	e.hidden = names(s.Settings)
	p.needs.Bus.Publish(events.Account, a.ID, nil)
	return statusOf(e, time.Now()), nil
}

// save writes the row and its sealed part, if there is a change of it, in one transaction.
func (p *Pools) save(ctx context.Context, row store.Account, s *sealed) error {
	err := p.needs.Store.Write(ctx, func(ctx context.Context) error {
		if err := p.needs.Store.PutAccount(ctx, row); err != nil || s == nil {
			return err
		}
		return p.seal(ctx, row.ID, s)
	})
	if err != nil {
		return fmt.Errorf("saving the account: %w", err)
	}
	return nil
}

// Update changes an account through fn, which gets it as Get shows it. Settings that fn leaves out are removed, but for
// sealed ones: these stay until they are set, to "" to remove them. The id, the provider, the owner and the login stay.
func (p *Pools) Update(ctx context.Context, id string, fn func(*Account)) (Status, error) {
	return p.change(ctx, id, func(a *Account, _ *sealed) {
		was := *a
		fn(a)
		a.Owner, a.Login, a.Identity, a.Renews, a.Expires = was.Owner, was.Login, was.Identity, was.Renews, was.Expires
	})
}

// SetCredential gives an account another login, which also makes it ready again.
func (p *Pools) SetCredential(ctx context.Context, id string, c provider.Credential) error {
	_, err := p.change(ctx, id, func(a *Account, s *sealed) {
		s.setCredential(c)
		a.Identity, a.Renews, a.Expires = c.Identity(), !c.Refresh.Empty(), c.Expiry
	})
	if err != nil {
		return err
	}
	return p.Clear(id, "")
}

// SetEnabled switches an account on or off. Running calls go on.
func (p *Pools) SetEnabled(ctx context.Context, id string, on bool) error {
	_, err := p.change(ctx, id, func(a *Account, _ *sealed) { a.Enabled = on })
	return err
}

// change reads an account with its sealed part, has fn change both, and writes what differs. A vault that cannot be
// opened hinders nothing but changes of secrets, and what lies in it is not overwritten by the way.
func (p *Pools) change(ctx context.Context, id string, fn func(*Account, *sealed)) (Status, error) {
	p.edit.Lock()
	defer p.edit.Unlock()
	p.mu.Lock()
	e, ok := p.entries[id]
	if !ok {
		p.mu.Unlock()
		return Status{}, gone(id)
	}
	a, old := e.account(), e.row
	old.State, old.Kind, old.Reason, old.Since, old.Link, old.Notes = string(e.state), e.kind, e.reason, e.since, e.link, maps.Clone(e.row.Notes)
	p.mu.Unlock()

	var row store.Account
	var hidden []string
	relogin := false
	// Read and written in one transaction: a login that is renewed meanwhile, here or by another process, must not be
	// overwritten by what it was.
	err := p.needs.Store.Write(ctx, func(ctx context.Context) error {
		before, readErr := p.unseal(ctx, id)
		s := before
		s.Settings = maps.Clone(before.Settings)
		fn(&a, &s)
		relogin = s.Access != before.Access || s.Refresh != before.Refresh
		var err error
		if row, err = p.merge(old, a, &s); err != nil {
			return err
		}
		write := &s
		if reflect.DeepEqual(before, s) {
			write = nil
		}
		if readErr != nil && write != nil && !errors.Is(readErr, secret.ErrNotFound) && !errors.Is(readErr, secret.ErrLost) {
			return readErr
		}
		hidden = a.SecretSettings
		if readErr == nil || write != nil {
			hidden = names(s.Settings)
		}
		return p.save(ctx, row, write)
	})
	if err != nil {
		return Status{}, err
	}
	return p.swap(e, row, hidden, relogin), nil
}

// merge returns old with what a person changed in a.
func (p *Pools) merge(old store.Account, a Account, s *sealed) (store.Account, error) {
	a.ID, a.Provider, a.Created = old.ID, old.Provider, old.Created
	a.Name = cmp.Or(cleanName(a.Name), old.Name)
	row, err := split(a, s, p.info(a.Provider))
	row.State, row.Kind, row.Reason, row.Since, row.Link, row.Notes = old.State, old.Kind, old.Reason, old.Since, old.Link, old.Notes
	row.Login, row.Identity = a.Login, a.Identity
	row.Renews, row.Expires, row.Issued = a.Renews, a.Expires, old.Issued
	if s.Issued != 0 {
		row.Issued = time.UnixMilli(s.Issued)
	}
	return row, err
}

// swap puts a saved row into the hot copy; relogin says that the login is another one.
func (p *Pools) swap(e *entry, row store.Account, hidden []string, relogin bool) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	row.Notes = e.row.Notes // the driver may have learned something meanwhile
	moved := row.Priority != e.row.Priority
	e.row = row
	e.hidden, e.limit, e.words = hidden, row.MaxConcurrent, wordsOf(row.Settings)
	e.generation++
	p.listed.changed(row.ID)
	if relogin {
		p.tokens.Forget(row.ID)
	} else {
		p.tokens.Changed(row.ID)
	}
	if moved {
		pl := e.pool
		pl.remove(e)
		pl.add(e)
	}
	now := time.Now()
	e.keepBack(now)
	e.refresh(now)
	e.pool.wake()
	p.changed(row.ID)
	return statusOf(e, time.Now())
}

// Remove deletes an account and its login. Running calls go on.
func (p *Pools) Remove(ctx context.Context, id string) error {
	p.edit.Lock()
	defer p.edit.Unlock()
	err := p.needs.Store.Write(ctx, func(ctx context.Context) error {
		if err := p.needs.Store.DeleteAccount(ctx, id); err != nil {
			return err
		}
		return p.needs.Secrets.Delete(ctx, refOf(id))
	})
	if errors.Is(err, store.ErrNotFound) {
		return gone(id)
	}
	if err != nil {
		return fmt.Errorf("removing the account: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[id]; e != nil {
		p.bound.forget(func(b *bound) bool { return b.account == e })
		e.pool.remove(e)
		delete(p.entries, id)
		delete(p.dirty, id)
	}
	p.listed.forget(id)
	p.tokens.Forget(id)
	p.needs.Bus.Publish(events.Account, id, nil)
	return nil
}

func gone(id string) error {
	return apierror.Invalid("id", "there is no account %q; it may have been removed", id)
}

// split takes the secret part of a into s and returns the row without it.
func split(a Account, s *sealed, info provider.Info) (store.Account, error) {
	plain := map[string]string{}
	for k, v := range a.Settings {
		switch {
		case !isSecret(info, k):
			plain[k] = v
		case v == "":
			delete(s.Settings, k)
		default:
			if s.Settings == nil {
				s.Settings = map[string]string{}
			}
			s.Settings[k] = v
		}
	}
	proxy, err := splitProxy(a.Proxy, s)
	row := store.Account{
		ID: a.ID, Provider: a.Provider, Name: a.Name, Priority: cleanPriority(a.Priority), Enabled: a.Enabled, Owner: string(a.Owner),
		Settings: plain, Proxy: proxy, MaxConcurrent: max(a.MaxConcurrent, 0), Created: a.Created,
		Tags: CleanTags(a.Tags), Weight: cleanWeight(a.Weight), Reserve: storedReserve(a.Reserve),
	}
	return row, err
}

func cleanWeight(n int) int { return min(max(n, 1), MaxWeight) }

// storedReserve is a share to be kept back as it is stored: -1 = what the pool says.
func storedReserve(percent *int) int {
	if percent == nil {
		return -1
	}
	return min(max(*percent, 0), MaxReserve)
}

// planNote is the note of which plan a login has.
func planNote(c provider.Credential) map[string]string {
	notes := map[string]string{}
	if plan := c.Extra[provider.ExtraPlan]; plan != "" {
		notes[provider.ExtraPlan] = plan
	}
	return notes
}

// splitProxy returns a proxy's URL as it may be shown, and keeps the whole of it in s. The form with "***" means the
// password that is already there; where the vault is locked or lost it stays as it was.
func splitProxy(text string, s *sealed) (string, error) {
	shown, whole, err := transport.HideLogin(text, s.Proxy)
	if err != nil {
		return "", apierror.Invalid("proxy", "the proxy must be a URL such as socks5://127.0.0.1:1080 or http://host:3128, or direct or system")
	}
	if whole != "" || !transport.HidesLogin(text) {
		s.Proxy = whole
	}
	return shown, nil
}

// isSecret reports whether a setting must be sealed: the driver says so, or it is a header that looks like a login.
func isSecret(info provider.Info, key string) bool {
	for _, f := range info.Fields {
		if f.Key == key {
			return f.Secret
		}
	}
	for _, l := range info.Logins { // what a sign-in asked for becomes a setting too
		for _, f := range l.Fields {
			if f.Key == key {
				return f.Secret
			}
		}
	}
	name, ok := strings.CutPrefix(strings.ToLower(key), provider.SettingHeaderPrefix)
	if !ok {
		return false
	}
	for _, word := range []string{"auth", "key", "token", "secret", "cookie", "password"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// cleanName makes a name fit for one line and a header.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "")
	}
	return name
}

// freeName returns the wished name, or the fallback with a number if that is taken.
func (p *Pools) freeName(provider, wish, fallback string) string {
	if wish != "" {
		return wish
	}
	taken := map[string]bool{}
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl := p.pools[provider]; pl != nil {
		for _, e := range pl.all {
			taken[e.row.Name] = true
		}
	}
	name := fallback
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s %d", fallback, n)
	}
	return name
}

func names(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
