package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
	"patchbay/backend/transport"
)

// SignIn is a login that a person just made, or that was found.
type SignIn struct {
	Provider string
	Login    string // id of the provider's login
	Account  string // the account that should get it, "" = whichever it belongs to
	Name     string // of a new account; "" = the e-mail
	Proxy    string // of a new account
	Owner    Owner  // "" = Ours
	Settings map[string]string
	Notes    map[string]string
	provider.Credential
}

// SignIn gives a login to the account that it belongs to, which becomes ready again, or makes a new one. Who signed in
// decides: a login of somebody else than the wanted account's goes to an account of its own, and the wanted one stays.
func (p *Pools) SignIn(ctx context.Context, in SignIn) (st Status, isNew bool, err error) {
	p.signing.Lock() // two sign-ins of the same person make one account
	defer p.signing.Unlock()
	id, err := p.belongsTo(in)
	if err != nil {
		return Status{}, false, err
	}
	if id == "" {
		st, err = p.addSignedIn(ctx, in)
		isNew = true
	} else {
		st, err = p.updateSignedIn(ctx, id, in)
	}
	if err != nil {
		return Status{}, false, err
	}
	p.learn(st.ID, in.Notes)
	return st, isNew, nil
}

// belongsTo returns the id of the account that a login is for, "" for a new one.
func (p *Pools) belongsTo(in SignIn) (string, error) {
	who := in.Identity()
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.Account != "" {
		e := p.entries[in.Account]
		if e == nil {
			return "", gone(in.Account)
		}
		if who == "" || e.row.Identity == "" || who == e.row.Identity {
			return in.Account, nil
		}
	}
	if pl := p.pools[in.Provider]; pl != nil && who != "" {
		for _, e := range pl.all {
			if e.row.Identity == who {
				return e.row.ID, nil
			}
		}
	}
	return "", nil
}

func (p *Pools) addSignedIn(ctx context.Context, in SignIn) (Status, error) {
	a := Account{
		Provider: in.Provider, Name: in.Name, Enabled: true, Owner: cmp.Or(in.Owner, Ours), Settings: in.Settings, Proxy: in.Proxy, Login: in.Login,
	}
	if email := cleanName(in.Extra[provider.ExtraEmail]); a.Name == "" && email != "" {
		a.Name = p.freeName(in.Provider, "", email)
	}
	return p.Add(ctx, a, in.Credential)
}

func (p *Pools) updateSignedIn(ctx context.Context, id string, in SignIn) (Status, error) {
	_, err := p.change(ctx, id, func(a *Account, s *sealed) {
		s.setCredential(in.Credential)
		a.Login, a.Identity, a.Owner = in.Login, cmp.Or(in.Identity(), a.Identity), cmp.Or(in.Owner, Ours)
		a.Renews, a.Expires = !in.Refresh.Empty(), in.Expiry
		if a.Settings == nil {
			a.Settings = map[string]string{}
		}
		maps.Copy(a.Settings, in.Settings)
		if a.Owner != CLI {
			delete(a.Settings, provider.SettingFile) // it follows no file any more
		}
	})
	if err != nil {
		return Status{}, err
	}
	if err := p.Clear(id, ""); err != nil {
		return Status{}, err
	}
	p.learn(id, planNote(in.Credential))
	st, ok := p.Get(id)
	if !ok {
		return st, gone(id)
	}
	return st, nil
}

func (p *Pools) learn(id string, notes map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	if e == nil {
		return
	}
	for k, v := range notes {
		if e.row.Notes[k] != v {
			e.row.Notes[k] = v
			p.changed(id)
		}
	}
}

// Secrets is what of an account must be known for a sign-in, besides its status.
type Secrets struct {
	Proxy    string            // whole
	Settings map[string]string // with the sealed ones
	Notes    map[string]string
	Email    string
}

// Inside returns what a sign-in for an existing account needs. A vault that cannot be opened only leaves things out: the
// sign-in is what may mend it. But a proxy whose password is not at hand is an error, for nothing goes around a proxy.
func (p *Pools) Inside(ctx context.Context, id string) (Status, Secrets, error) {
	p.mu.Lock()
	e := p.entries[id]
	if e == nil {
		p.mu.Unlock()
		return Status{}, Secrets{}, gone(id)
	}
	st := statusOf(e, time.Now())
	in := Secrets{Proxy: e.row.Proxy, Settings: maps.Clone(e.row.Settings), Notes: maps.Clone(e.row.Notes)}
	p.mu.Unlock()
	s, err := p.unseal(ctx, id)
	if s.Proxy != "" {
		in.Proxy = s.Proxy
	} else if err != nil && transport.HidesLogin(in.Proxy) {
		return st, in, fmt.Errorf("reading the proxy's password: %w", err)
	}
	if in.Settings == nil {
		in.Settings = map[string]string{}
	}
	maps.Copy(in.Settings, s.Settings)
	in.Email = s.Extra[provider.ExtraEmail]
	return st, in, nil
}

// Renew replaces the token of an account now, because a person wants it.
func (p *Pools) Renew(ctx context.Context, id string) error {
	st, ok := p.Get(id)
	switch {
	case !ok:
		return gone(id)
	case !st.Renews && st.Owner != CLI:
		return apierror.Invalid("id", "%s signs in by a key or a token that cannot be renewed", st.Name)
	}
	_, err := p.tokens.Renew(ctx, id, nil)
	return err
}

// RunRefresh renews logins before they end, until ctx ends.
func (p *Pools) RunRefresh(ctx context.Context) error { return p.tokens.Run(ctx) }

// Close waits for renewals under way, whose new tokens must be stored. No account is used after it.
func (p *Pools) Close() { p.tokens.Close() }

// tokenOf is Env.Token: what has no end and no owner elsewhere is given as it is.
func (p *Pools) tokenOf(a Account, s sealed) func(context.Context) (provider.Credential, error) {
	if s.Refresh == "" && s.Expiry == 0 && a.Owner != CLI {
		c := s.credential()
		return func(context.Context) (provider.Credential, error) { return c, nil }
	}
	return func(ctx context.Context) (provider.Credential, error) { return p.tokens.Token(ctx, a.ID) }
}

func (p *Pools) reread() func(context.Context, string) (provider.Credential, error) {
	if p.needs.Reread == nil {
		return nil
	}
	return func(ctx context.Context, id string) (provider.Credential, error) {
		st, ok := p.Get(id)
		if !ok {
			return provider.Credential{}, gone(id)
		}
		c, err := p.needs.Reread(ctx, st.Account)
		if err != nil {
			return c, err
		}
		stored, err := p.unseal(ctx, id)
		if err != nil {
			return c, err
		}
		return c.Under(stored.Extra), nil
	}
}

// Track returns the context for an attempt with the lease: it notes which token the attempt used, for Renew.
func (l *Lease) Track(ctx context.Context) context.Context { return oauth.Track(ctx, &l.use) }

// Renew replaces the login that the service refused, unless that was done since the attempt began. It reports false for a
// login that cannot be replaced. The error says why another one cannot be had.
func (l *Lease) Renew(ctx context.Context) (bool, error) {
	l.pools.mu.Lock()
	renews := l.entry.renews
	l.pools.mu.Unlock()
	if !renews {
		return false, nil
	}
	return l.pools.tokens.Renew(ctx, l.id, &l.use)
}

// book is what package oauth may do with the accounts.
type book struct{ p *Pools }

var _ oauth.Book = book{}

// Renewable implements oauth.Book.
func (b book) Renewable() []oauth.Entry {
	b.p.mu.Lock()
	var out []oauth.Entry
	for _, e := range b.p.entries {
		if e.usable() && e.row.Renews && Owner(e.row.Owner) != CLI {
			out = append(out, oauth.Entry{ID: e.row.ID, Provider: e.row.Provider, Issued: e.row.Issued, Expiry: e.row.Expires})
		}
	}
	b.p.mu.Unlock()
	if on := b.p.needs.On; on != nil {
		out = slices.DeleteFunc(out, func(e oauth.Entry) bool { return !on(e.Provider) })
	}
	for i := range out {
		out[i].Policy = b.p.info(out[i].Provider).Policy
	}
	return out
}

// Load implements oauth.Book.
func (b book) Load(ctx context.Context, id string) (oauth.Holding, error) {
	p := b.p
	p.mu.Lock()
	e := p.entries[id]
	if e == nil {
		p.mu.Unlock()
		return oauth.Holding{}, gone(id)
	}
	a := e.account()
	p.mu.Unlock()
	d, shared, err := p.needs.Driver(a.Provider)
	if err != nil {
		return oauth.Holding{}, err
	}
	info := d.Info()
	s, err := p.login(ctx, id, info)
	if f, ok := errors.AsType[*failure](err); ok {
		return oauth.Holding{}, apierror.New(apierror.AuthExpired, "%s", f.text)
	}
	if err != nil {
		return oauth.Holding{}, err
	}
	h := oauth.Holding{
		Driver: d, Env: p.env(a, e, s, shared), Login: oauth.LoginOf(info, a.Login).At(shared[provider.SettingLoginURL]), Credential: s.credential(),
		Borrowed: a.Owner == CLI, Policy: info.Policy,
	}
	c := h.Credential
	if !c.Expiry.Equal(a.Expires) { // another process renewed it
		b.Adopt(id, c)
	}
	h.Env.Token = func(context.Context) (provider.Credential, error) { return c, nil } // what is renewed does not wait for itself
	return h, nil
}

// Replace implements oauth.Book.
func (b book) Replace(ctx context.Context, id string, old, fresh provider.Credential) error {
	p := b.p
	p.edit.Lock()
	defer p.edit.Unlock()
	err := p.needs.Store.Write(ctx, func(ctx context.Context) error {
		err := p.needs.Store.SetLoginTimes(ctx, id, fresh.Issued, fresh.Expiry, !fresh.Refresh.Empty())
		if errors.Is(err, store.ErrNotFound) {
			return oauth.ErrGone
		}
		if err != nil {
			return err
		}
		s, err := p.unseal(ctx, id)
		if err != nil {
			return err
		}
		if now := s.credential(); now.Access != old.Access || now.Refresh != old.Refresh {
			return oauth.ErrChanged
		}
		s.setCredential(fresh)
		return p.seal(ctx, id, &s)
	})
	if err == nil {
		b.Adopt(id, fresh)
	}
	return err
}

// seal writes the sealed part of an account.
func (p *Pools) seal(ctx context.Context, id string, s *sealed) error {
	text, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return errors.New("the login holds text that is not UTF-8") // the cause would quote it
	}
	return p.needs.Secrets.Put(ctx, refOf(id), secret.New(string(text)))
}

// Adopt implements oauth.Book.
func (b book) Adopt(id string, c provider.Credential) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	if e := b.p.entries[id]; e != nil {
		e.row.Issued, e.row.Expires, e.row.Renews = c.Issued, c.Expiry, !c.Refresh.Empty()
		b.p.needs.Bus.Publish(events.Account, id, nil)
	}
}

// Block notes what a person must do before an account can be used, as its service said.
func (p *Pools) Block(id string, err *apierror.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[id]; e != nil {
		e.setBlocked(err, reasonOf(e, err))
		p.changed(id)
		p.needs.Bus.Publish(events.Notice, id, e.row.Name+": "+e.reason)
	}
}

// Refused implements oauth.Book.
func (b book) Refused(ctx context.Context, id string, old provider.Credential, err *apierror.Error) {
	p := b.p
	s, unsealErr := p.unseal(ctx, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	if e == nil {
		return
	}
	if Owner(e.row.Owner) != CLI && unsealErr == nil && (s.Access != old.Access.Reveal() || s.Refresh != old.Refresh.Reveal()) {
		return // it was another login
	}
	usable := e.usable()
	if why := reasonOf(e, err); err.Kind == apierror.AccountBlocked {
		e.setBlocked(err, why)
	} else {
		e.setState(NeedsLogin, err.Kind.String(), withHint(why, "sign in"))
	}
	p.changed(id)
	if usable && !e.usable() {
		p.needs.Bus.Publish(events.Notice, id, e.row.Name+": "+e.reason)
	}
}
