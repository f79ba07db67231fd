package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/doctor"
	"patchbay/backend/oauth"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// openLogins makes what signs accounts in.
func (b *Backend) openLogins() {
	b.logins = oauth.NewLogins(oauth.LoginNeeds{
		Driver: b.driver, HTTP: b.client, Account: b.knownAccount, HasAccounts: b.accounts.HasAccounts, Save: b.saveLogin,
		Holder: holderOf, Bus: b.bus, Log: b.log.For("oauth"),
	})
}

// holderOf names the program that holds a port.
func holderOf(port int) string {
	p, ok := doctor.Holder(uint16(port))
	if !ok {
		return ""
	}
	return p.String()
}

func (b *Backend) knownAccount(ctx context.Context, id string) (oauth.Known, error) {
	st, in, err := b.accounts.Inside(ctx, id)
	if err != nil {
		return oauth.Known{}, explain(err)
	}
	return oauth.Known{
		ID: st.ID, Provider: st.Provider, Label: st.Name, Login: st.Login, Email: in.Email, Proxy: in.Proxy, Settings: in.Settings, Notes: in.Notes,
	}, nil
}

// saveLogin makes an account of a sign-in that worked.
func (b *Backend) saveLogin(ctx context.Context, f oauth.Finished) (oauth.Saved, error) {
	st, isNew, err := b.accounts.SignIn(ctx, account.SignIn{
		Provider: f.Provider, Login: f.Login, Account: f.Account, Name: f.Name, Proxy: f.Proxy, Settings: f.Settings, Notes: f.Notes, Credential: f.Credential,
	})
	if err != nil {
		return oauth.Saved{}, explain(err)
	}
	if f.Problem != nil {
		b.accounts.Block(st.ID, f.Problem)
	}
	out := oauth.Saved{Account: st.ID, Label: st.Name, Outcome: "renewed"}
	switch wanted, there := b.accounts.Get(f.Account); {
	case f.Account != "" && st.ID != f.Account && there:
		out.Outcome = "another"
		out.Text = fmt.Sprintf("You signed in with another account than %s: it is there as %s, and %[1]s still needs its own sign-in.", wanted.Name, st.Name)
	case isNew:
		out.Outcome = "new"
		out.Text = "The account " + st.Name + " is ready."
	default:
		out.Text = "The account " + st.Name + " is signed in again."
	}
	if p := f.Problem; p != nil {
		out.Outcome = "unusable"
		out.Text = "The account " + st.Name + " is signed in, but cannot be used yet: " + strings.TrimSuffix(p.Msg, ".") + "; " + p.Action + "."
		if p.Link != "" {
			out.Text += " " + p.Link
		}
	}
	return out, nil
}

// admit lets a person use a provider that has a label to read: one that is off is turned on by the same act.
func (b *Backend) admit(k offered, accept bool) error {
	needsLook := !k.enabled || k.info.Risk != nil && !b.accounts.HasAccounts(k.info.ID)
	if needsLook && !accept && (k.info.Risk != nil || k.info.Off) {
		return apierror.Invalid("accept_risk", "%s", labelOf(k))
	}
	if k.enabled {
		return nil
	}
	if !k.info.Off {
		return apierror.Invalid("provider", "%s is turned off; set providers.%s.enabled to true in the settings to use it", k.info.Name, k.info.ID)
	}
	on := true
	return explain(b.settings.Update(func(c *config.Config) error {
		if c.Providers == nil {
			c.Providers = map[string]config.Provider{}
		}
		p := c.Providers[k.info.ID]
		p.Enabled = &on
		c.Providers[k.info.ID] = p
		return nil
	}))
}

// labelOf is what a person should read first.
func labelOf(k offered) string {
	text := k.info.Name + " is off until you turn it on"
	if r := k.info.Risk; r != nil {
		text = k.info.Name
		if r.Since != "" {
			text += " (" + r.Since + ")"
		}
		text += ": " + r.Text
	}
	if k.info.Instead != "" {
		text = strings.TrimSuffix(text, ".") + ". Instead of it: " + k.info.Instead
	}
	return strings.TrimSuffix(text, ".") + ". Confirm that you have read this (accept_risk) to go on."
}

// Logins implements api.Service.
func (b *Backend) Logins(context.Context) ([]api.LoginView, error) {
	list := b.logins.List()
	out := make([]api.LoginView, len(list))
	for i, p := range list {
		out[i] = loginView(p)
	}
	return out, nil
}

func loginView(p oauth.Progress) api.LoginView {
	return api.LoginView{
		ID: p.ID, Provider: p.Provider, Login: p.Login, Kind: p.Kind, State: string(p.State), Seq: p.Seq, URL: p.URL, UserCode: p.UserCode,
		VerifyURL: p.VerifyURL, Paste: p.Paste, PasteHint: p.PasteHint, Note: p.Note, NoReturn: p.NoReturn,
		Text: p.Text, Outcome: p.Outcome, Account: p.Account, Label: p.Label, Started: p.Started, Expires: p.Expires,
	}
}

// StartLogin implements api.Service.
func (b *Backend) StartLogin(ctx context.Context, n api.NewLogin) (api.LoginView, error) {
	id := n.Provider
	if n.Account != "" {
		st, ok := b.accounts.Get(n.Account)
		if !ok {
			return api.LoginView{}, apierror.Invalid("account", "there is no account %q; it may have been removed", n.Account)
		}
		id = st.Provider
	}
	k, ok := b.offered(id)
	if !ok {
		return api.LoginView{}, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", id)
	}
	if st := b.vault.Status(ctx); st.State != secret.OK { // said before the person signs in, and not when the code is spent
		return api.LoginView{}, explain(stateError(st.State))
	}
	if err := b.admit(k, n.AcceptRisk); err != nil {
		return api.LoginView{}, err
	}
	p, err := b.logins.Start(ctx, oauth.Start{
		Provider: n.Provider, Login: n.Login, Mode: n.Mode, Account: n.Account, Name: n.Name, Proxy: n.Proxy, Fields: n.Fields,
	})
	if err != nil {
		return api.LoginView{}, explain(err)
	}
	return loginView(p), nil
}

// stateError is the error of a vault that is not open.
func stateError(s secret.State) error {
	if s == secret.Lost {
		return secret.ErrLost
	}
	return secret.ErrLocked
}

// watchLimit is how long a caller waits for news of a sign-in: less than a call of the management API may take.
const watchLimit = 20 * time.Second

// Login implements api.Service.
func (b *Backend) Login(ctx context.Context, id string, seq int) (api.LoginView, error) {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	p, err := b.logins.Watch(ctx, id, seq)
	return loginView(p), err
}

// PasteLogin implements api.Service.
func (b *Backend) PasteLogin(_ context.Context, id string, text secret.Value) (api.LoginView, error) {
	p, err := b.logins.Paste(id, text)
	return loginView(p), err
}

// CancelLogin implements api.Service.
func (b *Backend) CancelLogin(_ context.Context, id string) error { return b.logins.Cancel(id) }

// RenewAccount implements api.Service.
func (b *Backend) RenewAccount(ctx context.Context, id string) (api.AccountView, error) {
	if err := b.accounts.Renew(ctx, id); err != nil {
		return api.AccountView{}, explain(err)
	}
	return b.accountByID(id)
}

// nextStep says what a person can do about an account.
func nextStep(a account.Status) *api.NextStep {
	command := "patchbay login " + a.Provider + " --account " + a.ID
	if a.Login == "" && a.Owner != account.CLI {
		command = "patchbay accounts set " + a.ID + " --new-key"
	}
	switch a.State {
	case account.NeedsLogin:
		return &api.NextStep{Text: "Sign in again, or enter another key.", Link: a.Link, Command: command}
	case account.NeedsAction:
		return &api.NextStep{Text: a.Reason, Link: a.Link, Command: "patchbay accounts clear " + a.ID}
	case account.Discontinued:
		return &api.NextStep{Text: a.Reason, Command: "patchbay accounts remove " + a.ID}
	case account.Blocked:
		return &api.NextStep{Text: "The service shut this account. Ask there; then try it again.", Link: a.Link, Command: "patchbay accounts clear " + a.ID}
	}
	return nil
}

// loginOptions are the ways to get an account, as the API shows them.
func loginOptions(info provider.Info) []api.LoginOption {
	var out []api.LoginOption
	for _, l := range info.Logins {
		o := api.LoginOption{ID: l.Key(), Kind: l.Kind, Label: l.Label, Text: l.Text}
		for _, f := range l.Fields {
			o.Fields = append(o.Fields, api.FieldView{
				Key: f.Key, Label: f.Label, Kind: f.Kind, Default: f.Default, Options: f.Options, Required: f.Required, Secret: f.Secret,
			})
		}
		out = append(out, o)
	}
	return out
}
