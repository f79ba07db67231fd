package backend

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"patchbay/backend/account"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/config"
	"patchbay/backend/doctor"
	"patchbay/backend/provider"
	"patchbay/backend/record"
	"patchbay/backend/secret"
	"patchbay/backend/server"
)

// Backend is the management service over the owners of the state: it asks them and puts what they say into its words.
var _ api.Service = (*Backend)(nil)

// explain gives errors that are none of the API's a message that a person can act on.
func explain(err error) error {
	if _, ok := errors.AsType[*apierror.Error](err); ok || err == nil {
		return err
	}
	var msg string
	switch {
	case errors.Is(err, secret.ErrLocked):
		msg = "the secrets are locked: unlock the keychain, or mend its key; `patchbay doctor` says more"
	case errors.Is(err, secret.ErrLost):
		msg = "the key that opens the secrets is missing or wrong: bring it back; `patchbay doctor` says more"
	case len(config.Errors(err)) > 0:
		first := config.Errors(err)[0]
		return &apierror.Error{Kind: apierror.InvalidRequest, Msg: first.Key + ": " + first.Msg, Param: first.Key, Err: err}
	default:
		return err
	}
	return &apierror.Error{Kind: apierror.Internal, Msg: msg, Err: err}
}

// Status implements api.Service.
func (b *Backend) Status(context.Context) (api.Status, error) {
	st := api.Status{
		Version: b.o.Version, Health: server.HealthDown, Base: b.Base(), PID: os.Getpid(), Started: b.started,
		InFlight: b.inFlight(), Paused: b.paused.Load(), Tray: b.trayState(), DefaultProvider: b.router.Default(),
		ConfigPath: b.settings.Path(), DatabasePath: b.o.Paths.Database(), LogDir: b.o.Paths.State,
	}
	if st.Base != "" {
		h := b.health()
		st.Health, st.Reasons = h.Status, h.Reasons
	}
	return st, nil
}

// Providers implements api.Service.
func (b *Backend) Providers(ctx context.Context) ([]api.ProviderView, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // for lists that are being read; it is only a number
	defer cancel()
	states := map[string]map[string]int{}
	for _, a := range b.accounts.List() {
		if states[a.Provider] == nil {
			states[a.Provider] = map[string]int{}
		}
		states[a.Provider][string(a.State)]++
	}
	def := b.router.Default()
	var out []api.ProviderView
	for _, k := range *b.offers.Load() {
		v := providerView(k)
		v.Default, v.Accounts = v.ID == def, states[v.ID]
		if listed, err := b.router.Models(ctx, v.ID); err == nil && len(listed) > 0 {
			v.Models = len(listed) // else the built-in list has to do
		}
		out = append(out, v)
	}
	return out, nil
}

func providerView(k offered) api.ProviderView {
	v := api.ProviderView{
		ID: k.info.ID, Name: k.info.Name, Kind: k.info.Wire, Status: k.info.Status, Enabled: k.enabled, UserDefined: k.own, Preset: k.preset,
		BaseURL: k.baseURL(), KeyURL: k.info.KeyURL, KeyEnv: k.info.KeyEnv, NoKey: k.info.NoKey, Instead: k.info.Instead, Models: len(k.info.Models),
		Logins: loginOptions(k.info),
	}
	if r := k.info.Risk; r != nil {
		v.Risk = &api.RiskView{Level: r.Level, Text: r.Text, Since: r.Since}
	}
	return v
}

// baseURL is where a provider's service is.
func (o offered) baseURL() string {
	return cmp.Or(o.settings[provider.SettingBaseURL], o.info.BaseURL)
}

func (b *Backend) offered(id string) (offered, bool) {
	all := *b.offers.Load()
	i := slices.IndexFunc(all, func(k offered) bool { return k.info.ID == id })
	if i < 0 {
		return offered{}, false
	}
	return all[i], true
}

// DefaultProvider implements api.Service.
func (b *Backend) DefaultProvider(context.Context) (string, error) { return b.router.Default(), nil }

// SetDefaultProvider implements api.Service. The choice is kept in the settings, unless a flag or a variable holds them:
// then it counts until the program ends.
func (b *Backend) SetDefaultProvider(_ context.Context, id string) error {
	const key = "default_provider"
	if id != "" {
		k, ok := b.offered(id)
		if !ok || !k.enabled {
			return apierror.Invalid("provider", "there is no provider %q that is turned on", id)
		}
		if k.info.Raw {
			return apierror.Invalid("provider", "%s passes requests on as they are: its path leads there, it cannot be the default", id)
		}
	}
	from := b.settings.Source(key)
	held := from.Kind == config.FromFlag || from.Kind == config.FromEnv
	switch {
	case id == "" && held:
		return apierror.Invalid("provider", "the default provider is set by %s; take it away there", from.Name)
	case held:
		return explain(b.router.SetDefault(id))
	case id == "":
		return explain(b.settings.Unset(key))
	}
	return explain(b.settings.Set(key, id))
}

// Doctor implements api.Service.
func (b *Backend) Doctor(ctx context.Context) ([]api.Finding, error) {
	cfg, base := b.settings.Current(), b.Base()
	f := doctor.Facts{
		ConfigPath: b.settings.Path(), Listen: cfg.Server.Listen, Listening: base != "", LAN: cfg.Server.LAN,
		Database: doctor.Database{Path: b.o.Paths.Database(), SetAside: b.dbNote}, Default: b.router.Default(),
	}
	if base != "" {
		f.Listen = hostPort(base)
	}
	f.Second = b.secondFacts(base != "")
	if p := b.settings.Problem(); p != nil {
		f.ConfigProblems = append(f.ConfigProblems, p.Err.Error())
	}
	f.Vault = b.vaultFacts(ctx)
	for _, k := range *b.offers.Load() {
		f.Providers = append(f.Providers, doctor.Provider{ID: k.info.ID, BaseURL: k.baseURL(), Enabled: k.enabled})
	}
	for _, a := range b.accounts.List() {
		needs := a.State == account.NeedsLogin || a.State == account.NeedsAction || a.State == account.Blocked
		f.Accounts = append(f.Accounts, doctor.Account{ID: a.ID, Provider: a.Provider, Name: a.Name, State: string(a.State), Reason: a.Reason, NeedsPerson: needs, Enabled: a.Enabled})
	}
	f.Files = b.fileFacts(ctx)
	f.Prompts = b.promptFacts()
	now := time.Now()
	for _, k := range b.keys.List() {
		if k.Valid(now) {
			f.ClientKeys++
		}
	}
	rows, err := b.record.Latest(ctx, record.Filter{Limit: 1})
	if err != nil {
		f.Database.Err = err
	} else if len(rows) > 0 {
		f.LatestRequest = rows[0].At
	}
	return doctor.Check(f, doctor.ThisMachine()), nil
}
