package backend

import (
	"context"
	"runtime"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/config"
	"patchbay/backend/credfile"
	"patchbay/backend/doctor"
	"patchbay/backend/secret"
)

// openFiles makes what finds and follows the credential files of other programs.
func (b *Backend) openFiles() {
	b.files = credfile.New(credfile.Needs{
		Home: b.home(), Getenv: b.getenv, Accounts: b.accounts, HTTP: b.client, Bus: b.bus, Log: b.log.For("credfile"),
		Settings: func() credfile.Settings {
			c := b.settings.Current().CredentialFiles
			s := credfile.Settings{Enabled: c.Enabled, Paths: map[string][]string{}}
			for id, paths := range c.Paths {
				if now, ok := config.OldNames[id]; ok {
					id = now
				}
				s.Paths[id] = append(s.Paths[id], paths...)
			}
			return s
		},
		Offers: func() []credfile.Offer {
			var out []credfile.Offer
			for _, k := range *b.offers.Load() {
				out = append(out, credfile.Offer{Driver: k.driver, Info: k.info, Settings: k.settings})
			}
			return out
		},
	})
}

// home is the person's, from the environment that Open was given: tests see no real one.
func (b *Backend) home() string {
	if runtime.GOOS == "windows" {
		return b.getenv("USERPROFILE")
	}
	return b.getenv("HOME")
}

// Files implements api.Service.
func (b *Backend) Files(ctx context.Context) ([]api.FileView, error) {
	list := b.files.List(ctx)
	out := make([]api.FileView, len(list))
	for i, f := range list {
		out[i] = b.fileView(f)
	}
	return out, nil
}

func (b *Backend) fileView(f credfile.Found) api.FileView {
	v := api.FileView{
		ID: f.ID, Provider: f.Provider, Path: f.Path, Program: f.Program, State: string(f.State), Note: f.Note, Identity: f.Identity, Email: f.Email,
		Plan: f.Plan, Expires: f.Expires, Over: f.Over, Modified: f.Modified, Account: f.Account, Label: f.Label,
	}
	if k, ok := b.offered(f.Provider); ok {
		v.Enabled, v.Status, v.Instead = k.enabled, k.info.Status, k.info.Instead
		if r := k.info.Risk; r != nil {
			v.Risk = &api.RiskView{Level: r.Level, Text: r.Text, Since: r.Since}
		}
		if f.Renewable && (f.State == credfile.Usable || f.State == credfile.Borrowed) {
			v.Adoptable, v.Adoption = true, credfile.AdoptText(k.info, f.Program)
		}
	}
	return v
}

// BorrowFile implements api.Service.
func (b *Backend) BorrowFile(ctx context.Context, id string, u api.FileUse) (api.AccountView, error) {
	return b.useFile(ctx, id, u, func() (account.Status, error) {
		return b.files.Borrow(ctx, id, credfile.Use{Name: u.Name, Proxy: u.Proxy})
	})
}

// AdoptFile implements api.Service.
func (b *Backend) AdoptFile(ctx context.Context, id string, u api.FileUse) (api.AccountView, error) {
	return b.useFile(ctx, id, u, func() (account.Status, error) {
		return b.files.Adopt(ctx, id, credfile.Use{Name: u.Name, Proxy: u.Proxy, Accept: u.Accept})
	})
}

// useFile does what a person wants with a found login, as with a sign-in: after the label, and with an open vault.
func (b *Backend) useFile(ctx context.Context, id string, u api.FileUse, do func() (account.Status, error)) (api.AccountView, error) {
	if p, ok := b.files.Provider(id); ok {
		k, _ := b.offered(p)
		if st := b.vault.Status(ctx); st.State != secret.OK {
			return api.AccountView{}, explain(stateError(st.State))
		}
		if err := b.admit(k, u.AcceptRisk); err != nil {
			return api.AccountView{}, err
		}
	}
	st, err := do()
	if err != nil {
		return api.AccountView{}, explain(err)
	}
	return b.accountView(st), nil
}

// ReleaseFile implements api.Service.
func (b *Backend) ReleaseFile(ctx context.Context, id string) (api.AccountView, error) {
	st, err := b.files.Release(ctx, id)
	if err != nil {
		return api.AccountView{}, explain(err)
	}
	return b.accountView(st), nil
}

// fileFacts are the credential files as the doctor sees them.
func (b *Backend) fileFacts(ctx context.Context) []doctor.File {
	var out []doctor.File
	for _, f := range b.files.List(ctx) {
		if f.State != credfile.Declined { // the doctor has its own word for that
			out = append(out, doctor.File{
				ID: f.ID, Provider: f.Provider, Path: f.Path, Program: f.Program, State: string(f.State), Note: f.Note, Account: f.Label,
			})
		}
	}
	return out
}
