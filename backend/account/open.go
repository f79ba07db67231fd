package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// opened is the Upstream of an account, made when it is first needed.
type opened struct {
	mu         sync.Mutex // guards the fields; held while the login is unsealed and the driver opens, never over the network
	upstream   provider.Upstream
	generation int
}

// failure is why an account could not be opened, and what state that means.
type failure struct {
	state      State
	kind, text string
}

func (f *failure) Error() string { return f.text }

// upstream returns the account's Upstream for its settings of generation gen.
func (p *Pools) upstream(ctx context.Context, e *entry, gen int) (provider.Upstream, error) {
	o := &e.open
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.upstream != nil && o.generation == gen {
		return o.upstream, nil
	}
	p.mu.Lock()
	a, gen := e.account(), e.generation
	p.mu.Unlock()

	driver, shared, err := p.needs.Driver(a.Provider)
	if err != nil {
		return nil, &failure{NeedsAction, KindNotOpened, "its provider is not available: " + apierror.From(err).Msg}
	}
	info := driver.Info()
	s, err := p.login(ctx, a.ID, info)
	if err != nil {
		return nil, err
	}
	up, err := driver.Open(p.env(a, e, s, shared))
	if err != nil {
		return nil, &failure{NeedsAction, KindNotOpened, "cannot be opened: " + apierror.From(err).Msg}
	}
	o.upstream, o.generation = up, gen
	p.mu.Lock()
	defer p.mu.Unlock()
	e.hidden = names(s.Settings)
	e.renews = s.Refresh != "" || a.Owner == CLI
	own, _ := strconv.Atoi(shared[provider.SettingConcurrent]) // 0 for none
	e.limit = cmp.Or(a.MaxConcurrent, own, info.Policy.MaxConcurrent)
	e.settle()
	return up, nil
}

// lostLogin is the reason of an account whose sealed login does not open with the vault's key.
const lostLogin = "its saved login cannot be opened any more: enter its key or sign in again"

// CheckLogins takes note of a vault whose key was lost or came back: accounts whose logins do not open need a person, and
// those that needed one for that reason alone are ready again. It changes nothing while the vault is locked.
func (p *Pools) CheckLogins(ctx context.Context) {
	p.mu.Lock()
	ids := slices.Collect(maps.Keys(p.entries))
	p.mu.Unlock()
	for _, id := range ids {
		_, err := p.unseal(ctx, id)
		p.mu.Lock()
		if e := p.entries[id]; e != nil {
			switch was := e.state == NeedsLogin && e.reason == lostLogin; {
			case errors.Is(err, secret.ErrLost) && e.state == Ready:
				e.setState(NeedsLogin, KindLostLogin, lostLogin)
				p.changed(id)
			case was && err == nil:
				e.setState(Ready, "", "")
				p.changed(id)
			}
		}
		p.mu.Unlock()
	}
}

// login unseals the account's login. One that is gone asks for a person; a locked vault is nobody's fault.
func (p *Pools) login(ctx context.Context, id string, info provider.Info) (sealed, error) {
	s, err := p.unseal(ctx, id)
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, secret.ErrNotFound) && info.NoKey:
		return sealed{}, nil
	case errors.Is(err, secret.ErrNotFound):
		return sealed{}, &failure{NeedsLogin, KindNoLogin, "has no saved login: enter its key or sign in"}
	case errors.Is(err, secret.ErrLost):
		return sealed{}, &failure{NeedsLogin, KindLostLogin, lostLogin}
	case errors.Is(err, secret.ErrLocked):
		e := apierror.New(apierror.NoAccount, "the vault with the logins is locked: unlock it and try again")
		e.Err = err
		return sealed{}, e
	default:
		return sealed{}, fmt.Errorf("reading the login: %w", err)
	}
}

// env is what the driver gets. The settings of the account go over those of its provider.
func (p *Pools) env(a Account, e *entry, s sealed, shared map[string]string) provider.Env {
	settings := map[string]string{}
	maps.Copy(settings, shared)
	maps.Copy(settings, a.Settings)
	maps.Copy(settings, s.Settings)
	proxy := a.Proxy
	if s.Proxy != "" {
		proxy = s.Proxy
	}
	return provider.Env{
		Provider: a.Provider, AccountID: a.ID, Login: a.Login, Label: a.Name, HTTP: p.needs.HTTP(a.Provider, proxy), Settings: settings,
		Log:   p.needs.Log.With("provider", a.Provider, "account", a.ID),
		Token: p.tokenOf(a, s),
		Note: func(key string) string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return e.row.Notes[key]
		},
		Remember: func(key, value string) { p.remember(e, key, value) },
	}
}

func (p *Pools) remember(e *entry, key, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.row.Notes[key] == value {
		return
	}
	e.row.Notes[key] = value
	p.changed(e.row.ID)
}

// giveUp takes back a call whose account could not be opened. It reports whether another account may do.
func (p *Pools) giveUp(e *entry, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.addCall(-1)
	e.pool.wake()
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return false
	}
	e.setState(f.state, f.kind, f.text)
	p.changed(e.row.ID)
	return true
}
