package credfile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// completeLimit bounds what a service is asked when its login is taken up.
const completeLimit = 20 * time.Second

// Use says how the login of a file is to be used.
type Use struct {
	Name   string       // of a new account, "" = its e-mail
	Proxy  secret.Value // of a new account; what the service is asked goes through it too
	Accept bool         // the person knows what an adoption means
}

// held is a place with the login that was read there just now.
type held struct {
	place
	offer    Offer
	login    provider.FileLogin
	account  account.Status // that follows it
	borrowed bool
}

// read finds a place by its id and reads it.
func (f *Files) read(ctx context.Context, id string) (held, error) {
	for _, p := range f.places() {
		if idOf(p) != id {
			continue
		}
		o, reader, ok := f.offer(p.provider)
		if !ok {
			break
		}
		h := held{place: p, offer: o}
		a, linked := f.follower(p)
		h.account, h.borrowed = a.Status, linked
		r := read(ctx, reader, p)
		if r.found != holds {
			return h, apierror.Invalid("id", "%s cannot be used: %s", p.path, r.err)
		}
		h.login = r.login
		return h, nil
	}
	if v, ok := f.claude(); ok && v.ID == id {
		return held{}, apierror.Invalid("id", "%s", claudeText)
	}
	return held{}, apierror.New(apierror.RouteNotFound, "there is no such file; `patchbay accounts found` lists what was found")
}

// Provider returns the provider of a found file.
func (f *Files) Provider(id string) (string, bool) {
	for _, p := range f.places() {
		if idOf(p) == id {
			return p.provider, true
		}
	}
	return "", false
}

// Borrow makes an account that follows the file, or has an existing one that needs a sign-in follow it. The file stays its
// owner's.
func (f *Files) Borrow(ctx context.Context, id string, u Use) (account.Status, error) {
	f.using.Lock()
	defer f.using.Unlock()
	h, err := f.read(ctx, id)
	if err != nil {
		return account.Status{}, err
	}
	c := h.login.Credential
	if h.borrowed {
		if samePerson(h.account.Identity, c.Identity()) {
			return account.Status{}, apierror.Invalid("id", "the account %s follows this file already", h.account.Name)
		}
		return account.Status{}, apierror.Invalid("id",
			"the account %s follows this file and waits for its own login to come back: release it first", h.account.Name)
	}
	if c.Access.Empty() && !h.offer.Info.Policy.RefreshBorrowed {
		return account.Status{}, apierror.Invalid("id", "the file holds no token that can be lent now: use %s once, or adopt the login",
			cmp.Or(h.program, "its program"))
	}
	own, there := f.sameperson(h.provider, c.Identity())
	if there && own.State != account.NeedsLogin {
		return account.Status{}, apierror.Invalid("id", "the account %s is signed in as the same person already: there is nothing to borrow", own.Name)
	}
	in := account.SignIn{
		Provider: h.provider, Login: h.login.Login, Name: f.nameFor(h, u.Name), Proxy: u.Proxy.Reveal(), Owner: account.CLI,
		Settings: map[string]string{provider.SettingFile: h.path}, Credential: lent(h.offer.Info, c),
	}
	maps.Copy(in.Settings, h.login.Settings)
	return f.signIn(ctx, h, in)
}

// Adopt makes the login of the file an account of Patchbay's own, which is renewed here from now on: the account that follows
// the file, or a new one. Without u.Accept it is refused with what that means for the program that owns the file.
func (f *Files) Adopt(ctx context.Context, id string, u Use) (account.Status, error) {
	f.using.Lock()
	defer f.using.Unlock()
	h, err := f.read(ctx, id)
	if err != nil {
		return account.Status{}, err
	}
	c := h.login.Credential
	own, there := f.sameperson(h.provider, c.Identity())
	switch {
	case c.Refresh.Empty() || h.login.Login == "":
		return account.Status{}, apierror.Invalid("id",
			"this login cannot be renewed by Patchbay: borrow it, or sign in with `patchbay login %s`", h.provider)
	case h.borrowed && !samePerson(h.account.Identity, c.Identity()):
		return account.Status{}, apierror.Invalid("id", "%s", changedText(h.place, h.account, c))
	case there && own.Owner == account.Ours && own.State != account.NeedsLogin:
		return account.Status{}, apierror.Invalid("id", "the account %s is signed in as the same person already: there is nothing to adopt", own.Name)
	case !u.Accept:
		return account.Status{}, apierror.Invalid("accept", "%s Confirm that you have read this (accept) to go on.", AdoptText(h.offer.Info, h.program))
	}
	in := account.SignIn{
		Provider: h.provider, Login: h.login.Login, Name: f.nameFor(h, u.Name), Proxy: u.Proxy.Reveal(), Owner: account.Ours,
		Settings: maps.Clone(h.login.Settings), Credential: c,
	}
	if h.borrowed {
		in.Account = h.account.ID
	}
	return f.signIn(ctx, h, in)
}

// AdoptText says what adopting a login means.
func AdoptText(info provider.Info, program string) string {
	program = cmp.Or(program, "the program that owns the file")
	if info.Policy.RefreshBorrowed {
		return fmt.Sprintf("Patchbay keeps a copy of this login and renews it by itself. %s stays signed in, and the file is not changed.", capital(program))
	}
	return fmt.Sprintf("Patchbay renews this login by itself from now on, and each renewal makes the one in the file worthless: "+
		"%s may be signed out and then needs a sign-in of its own. "+
		"The file is not changed. To keep both signed in, sign in here separately (`patchbay login %s`).", program, info.ID)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Release ends the following: the account is forgotten, the file stays as it is.
func (f *Files) Release(ctx context.Context, id string) (account.Status, error) {
	f.using.Lock()
	defer f.using.Unlock()
	for _, p := range f.places() {
		if idOf(p) != id {
			continue
		}
		a, ok := f.follower(p)
		if !ok {
			return account.Status{}, apierror.Invalid("id", "no account follows %s", p.path)
		}
		err := f.needs.Accounts.Remove(ctx, a.ID)
		f.Refresh()
		return a.Status, err
	}
	return account.Status{}, apierror.New(apierror.RouteNotFound, "there is no such file; `patchbay accounts found` lists what was found")
}

func (f *Files) nameFor(h held, name string) string {
	if name != "" || h.login.Extra[provider.ExtraEmail] != "" {
		return name // without one it is called by the e-mail
	}
	return h.program
}

// signIn completes the login as after any sign-in and stores it.
func (f *Files) signIn(ctx context.Context, h held, in account.SignIn) (account.Status, error) {
	proxy := in.Proxy
	if id := cmp.Or(in.Account, f.personID(h.provider, in.Identity())); id != "" {
		_, inside, err := f.needs.Accounts.Inside(ctx, id)
		if err != nil {
			return account.Status{}, err
		}
		proxy = inside.Proxy
	}
	done, notes, err := f.ask(ctx, h.offer, h.place, in, proxy)
	kind := apierror.Kind(0)
	if err != nil {
		kind = apierror.From(err).Kind
	}
	switch {
	case err == nil:
		in.Credential, in.Notes = done, notes
	case kind == apierror.AuthExpired && (in.Owner == account.CLI || !h.login.Refresh.Empty()):
		// The token has ended; the next one tells the rest.
	case kind == apierror.AuthExpired || kind == apierror.AccountBlocked:
		return account.Status{}, err
	default:
		f.needs.Log.Warn("The service did not say more of a login; it is asked again when it is used",
			"provider", h.provider, "err", apierror.From(err).Msg)
	}
	if own, ok := f.sameperson(h.provider, in.Identity()); ok && own.ID != in.Account && own.Owner == account.Ours && own.State != account.NeedsLogin {
		return account.Status{}, apierror.Invalid("id", "the account %s is signed in as the same person already", own.Name) // only the service knew
	}
	st, _, err := f.needs.Accounts.SignIn(ctx, in)
	if err != nil {
		return st, err
	}
	f.needs.Log.Info("A login of another program was taken up", "provider", h.provider, "account", st.ID, "owner", string(st.Owner), "file", h.path)
	f.Refresh()
	return st, nil
}

func (f *Files) personID(id, identity string) string {
	st, _ := f.sameperson(id, identity)
	return st.ID
}

// ask asks the service what the file does not say.
func (f *Files) ask(ctx context.Context, o Offer, p place, in account.SignIn, proxy string) (provider.Credential, map[string]string, error) {
	env := provider.Env{
		Provider: p.provider, Login: in.Login, Label: cmp.Or(in.Name, p.program, p.provider), HTTP: f.needs.HTTP(p.provider, proxy),
		Settings: maps.Clone(o.Settings), Log: f.needs.Log.With("provider", p.provider),
	}
	if env.Settings == nil {
		env.Settings = map[string]string{}
	}
	maps.Copy(env.Settings, in.Settings)
	in.Extra = maps.Clone(in.Extra) // the driver may write into it
	ctx, cancel := context.WithTimeout(ctx, completeLimit)
	defer cancel()
	return oauth.Complete(ctx, o.Driver, env, in.Credential)
}

// unmasked asks the service whose a new login is, where the file itself does not say and the account's owner is known. It
// returns the login as it was if there is nothing to ask, or no answer to be had of it.
func (f *Files) unmasked(ctx context.Context, o Offer, p place, a account.Account, l provider.FileLogin) (provider.Credential, error) {
	c := lent(o.Info, l.Credential)
	if c.Identity() != "" || a.Identity == "" {
		return c, nil
	}
	if same, err := f.needs.Accounts.Holds(ctx, a.ID, c); same || err != nil {
		return c, err
	}
	_, inside, err := f.needs.Accounts.Inside(ctx, a.ID)
	if err != nil {
		return c, err
	}
	done, _, err := f.ask(ctx, o, p, account.SignIn{Login: a.Login, Name: a.Name, Settings: inside.Settings, Credential: c}, inside.Proxy)
	if kind := apierror.From(err); kind != nil && kind.Kind != apierror.AuthExpired && kind.Kind != apierror.AccountBlocked {
		return c, err
	}
	return done, nil
}
