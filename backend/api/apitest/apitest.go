// Package apitest is a management service that works in memory, for tests of whatever talks to one. It keeps what it is
// told, secrets included, so that tests can see what arrived.
package apitest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// Moment is the time at which everything in a Service happens.
var Moment = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Service is the fake. Its fields may be set before it is used and read after.
type Service struct {
	mu sync.Mutex // guards what follows

	DesktopCalls
	ProgramCalls
	PromptCalls
	ProxyCalls

	StatusView     api.Status
	AccountList    []api.AccountView
	KeyList        []api.KeyView
	ProviderList   []api.ProviderView
	PresetList     []api.PresetView
	Tests          map[string]api.TestView // by account id
	TestCosts      map[string]api.TestCost // the same
	LastTest       api.AccountTest
	Quotas         map[string][]api.QuotaView
	Refreshed      []string // providers whose models were asked for anew
	ModelList      []api.ModelView
	LoginList      []api.LoginView      // what StartLogin makes stands here; tests move it on
	LoginSteps     []api.LoginView      // what Login returns, one after the other, the last one again and again
	Started        []api.NewLogin       // what StartLogin got
	Pasted         []secret.Value       // what PasteLogin got
	OnPaste        func(*api.LoginView) // what PasteLogin does to the sign-in, if not nil
	RequestList    []api.RequestView
	UsageRows      []api.UsageRow
	PriceList      []api.Price
	RecordView     api.RecordView
	Cleared        []api.ClearRequest // what ClearRecord got
	LastDatasetQ   api.DatasetQuery
	Findings       []api.Finding
	Default        string
	VaultView      api.VaultView
	PagePassword   secret.Value
	UpdateView     api.UpdateView
	Newest         *api.ReleaseView // that a check finds
	CarryReport    api.CarryReport
	LastRestore    api.RestoreRequest
	FileList       []api.FileView
	FileUses       []api.FileUse // what BorrowFile and AdoptFile got
	ImportReport   api.ImportReport
	LastImport     api.ImportRequest
	Secrets        map[string]secret.Value // by account id, and "proxy/" + id
	KeyTexts       map[string]secret.Value // by key id
	RoutingView    api.RoutingView
	RoutingChanges []any // what the calls that change it got
	RouteView      api.RouteView
	LastRouteQ     api.RouteQuery
	LastRequestsQ  api.RequestQuery
	LastUsageQ     api.UsageQuery
	PoolList       []api.PoolView
	LastOrder      api.AccountOrder
	Err            error // what every call returns, unless nil
	// Label is what StartLogin and AddAccount refuse with until the risk is accepted, "" = nothing.
	Label  string
	serial int
}

var _ api.Service = (*Service)(nil)

// New returns a service that knows the provider openai and nothing else.
func New() *Service {
	return &Service{
		StatusView:   api.Status{Version: "1.2.3", Health: "ok", Base: "http://127.0.0.1:8390", PID: 42, Started: Moment},
		ProviderList: []api.ProviderView{{ID: "openai", Name: "OpenAI", Kind: "openai", Status: "active", Enabled: true}},
		Secrets:      map[string]secret.Value{},
		KeyTexts:     map[string]secret.Value{},
		RecordView:   api.RecordView{Rows: 2, Bodies: api.BodiesView{Keys: []string{}, Providers: []string{}}, Prompt: api.PromptView{To: "off"}},
	}
}

func (s *Service) lock() func() {
	s.mu.Lock()
	return s.mu.Unlock
}

func (s *Service) next(prefix string) string {
	s.serial++
	return prefix + strconv.Itoa(s.serial)
}

// Status implements api.Service.
func (s *Service) Status(context.Context) (api.Status, error) {
	defer s.lock()()
	return s.StatusView, s.Err
}

// Accounts implements api.Service.
func (s *Service) Accounts(context.Context) ([]api.AccountView, error) {
	defer s.lock()()
	return slices.Clone(s.AccountList), s.Err
}

// AddAccount implements api.Service.
func (s *Service) AddAccount(_ context.Context, a api.NewAccount) (api.AccountView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.AccountView{}, s.Err
	}
	if !slices.ContainsFunc(s.ProviderList, func(p api.ProviderView) bool { return p.ID == a.Provider }) {
		return api.AccountView{}, apierror.Invalid("provider", "there is no provider %s", a.Provider)
	}
	if s.Label != "" && !a.AcceptRisk {
		return api.AccountView{}, apierror.Invalid("accept_risk", "%s", s.Label)
	}
	v := api.AccountView{
		ID: s.next("a"), Provider: a.Provider, Name: a.Name, State: "ready", Enabled: true, Priority: a.Priority,
		Settings: a.Settings, Created: Moment,
	}
	if v.Name == "" {
		v.Name = "account " + v.ID
	}
	s.AccountList = append(s.AccountList, v)
	s.Secrets[v.ID] = a.Key
	s.Secrets["proxy/"+v.ID] = a.Proxy
	return v, nil
}

func (s *Service) account(id string) (*api.AccountView, error) {
	if s.Err != nil {
		return nil, s.Err
	}
	for i := range s.AccountList {
		if s.AccountList[i].ID == id {
			return &s.AccountList[i], nil
		}
	}
	return nil, apierror.New(apierror.RouteNotFound, "there is no account %s", id)
}

// ChangeAccount implements api.Service.
func (s *Service) ChangeAccount(_ context.Context, id string, c api.AccountChange) (api.AccountView, error) {
	defer s.lock()()
	a, err := s.account(id)
	if err != nil {
		return api.AccountView{}, err
	}
	if c.Name != nil {
		a.Name = *c.Name
	}
	if c.Enabled != nil {
		a.Enabled = *c.Enabled
	}
	if c.Priority != nil {
		a.Priority = *c.Priority
	}
	if c.Proxy != nil {
		s.Secrets["proxy/"+id] = *c.Proxy
	}
	if c.Tags != nil {
		a.Tags = *c.Tags
	}
	if c.Weight != nil {
		a.Weight = *c.Weight
	}
	if c.Reserve != nil {
		a.Reserve = c.Reserve
	}
	if c.MaxConcurrent != nil {
		a.MaxConcurrent = *c.MaxConcurrent
	}
	if c.Key != nil {
		s.Secrets[id] = *c.Key
	}
	return *a, nil
}

// ClearAccount implements api.Service.
func (s *Service) ClearAccount(_ context.Context, id, model string) (api.AccountView, error) {
	defer s.lock()()
	a, err := s.account(id)
	if err != nil {
		return api.AccountView{}, err
	}
	if model != "" {
		a.Cooling = slices.DeleteFunc(a.Cooling, func(c api.CoolDownView) bool { return c.Model == model })
		return *a, nil
	}
	a.State, a.Cooling = "ready", nil
	return *a, nil
}

// RemoveAccount implements api.Service.
func (s *Service) RemoveAccount(_ context.Context, id string) error {
	defer s.lock()()
	if _, err := s.account(id); err != nil {
		return err
	}
	s.AccountList = slices.DeleteFunc(s.AccountList, func(a api.AccountView) bool { return a.ID == id })
	return nil
}

// RenewAccount implements api.Service.
func (s *Service) RenewAccount(_ context.Context, id string) (api.AccountView, error) {
	defer s.lock()()
	a, err := s.account(id)
	if err != nil {
		return api.AccountView{}, err
	}
	a.Expires = Moment.Add(time.Hour)
	return *a, nil
}

// Logins implements api.Service.
func (s *Service) Logins(context.Context) ([]api.LoginView, error) {
	defer s.lock()()
	return slices.Clone(s.LoginList), s.Err
}

// StartLogin implements api.Service.
func (s *Service) StartLogin(_ context.Context, l api.NewLogin) (api.LoginView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.LoginView{}, s.Err
	}
	s.Started = append(s.Started, l)
	if s.Label != "" && !l.AcceptRisk {
		return api.LoginView{}, apierror.Invalid("accept_risk", "%s", s.Label)
	}
	v := api.LoginView{
		ID: s.next("l"), Provider: l.Provider, Login: l.Login, Kind: l.Mode, State: "waiting", Paste: l.Mode != "device",
		URL: "https://sign-in.example.test/authorize", PasteHint: "Copy the address and paste it.", Started: Moment, Expires: Moment.Add(10 * time.Minute),
	}
	if v.Kind == "" {
		v.Kind = "browser"
	}
	if v.Kind == "device" {
		v.UserCode, v.VerifyURL = "ABCD-1234", "https://sign-in.example.test/device"
	}
	s.LoginList = append(s.LoginList, v)
	return v, nil
}

// Login implements api.Service.
func (s *Service) Login(_ context.Context, id string, _ int) (api.LoginView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.LoginView{}, s.Err
	}
	if len(s.LoginSteps) > 0 {
		v := s.LoginSteps[0]
		if len(s.LoginSteps) > 1 {
			s.LoginSteps = s.LoginSteps[1:]
		}
		v.ID = id
		return v, nil
	}
	i := slices.IndexFunc(s.LoginList, func(l api.LoginView) bool { return l.ID == id })
	if i < 0 {
		return api.LoginView{}, apierror.New(apierror.RouteNotFound, "there is no sign-in %s", id)
	}
	return s.LoginList[i], nil
}

// PasteLogin implements api.Service.
func (s *Service) PasteLogin(ctx context.Context, id string, text secret.Value) (api.LoginView, error) {
	done := s.lock()
	s.Pasted = append(s.Pasted, text)
	for i := range s.LoginList {
		if s.LoginList[i].ID == id && s.OnPaste != nil {
			s.OnPaste(&s.LoginList[i])
		}
	}
	done()
	return s.Login(ctx, id, 0)
}

// CancelLogin implements api.Service.
func (s *Service) CancelLogin(_ context.Context, id string) error {
	defer s.lock()()
	for i := range s.LoginList {
		if s.LoginList[i].ID == id {
			s.LoginList[i].State = "canceled"
		}
	}
	return s.Err
}

// Keys implements api.Service.
func (s *Service) Keys(context.Context) ([]api.KeyView, error) {
	defer s.lock()()
	return slices.Clone(s.KeyList), s.Err
}

// AddKey implements api.Service.
func (s *Service) AddKey(_ context.Context, k api.NewKey) (api.CreatedKey, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.CreatedKey{}, s.Err
	}
	v := api.KeyView{ID: s.next("k"), Name: k.Name, Prefix: "pb-made", Created: Moment, Expires: k.Expires, Limits: k.Limits}
	if k.Key.Empty() {
		k.Key = secret.New("pb-made-by-the-fake-" + v.ID)
	} else {
		v.Prefix = "given"
	}
	s.KeyList = append(s.KeyList, v)
	s.KeyTexts[v.ID] = k.Key
	return api.CreatedKey{KeyView: v, Key: k.Key}, nil
}

// ChangeKey implements api.Service.
func (s *Service) ChangeKey(_ context.Context, id string, c api.KeyChange) (api.KeyView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.KeyView{}, s.Err
	}
	i := slices.IndexFunc(s.KeyList, func(k api.KeyView) bool { return k.ID == id })
	if i < 0 {
		return api.KeyView{}, apierror.New(apierror.RouteNotFound, "there is no key %s", id)
	}
	k := &s.KeyList[i]
	put(&k.Name, c.Name)
	put(&k.Expires, c.Expires)
	put(&k.Limits.Models, c.Models)
	put(&k.Limits.Providers, c.Providers)
	put(&k.Limits.Protocols, c.Protocols)
	put(&k.Limits.PerMinute, c.PerMinute)
	put(&k.Limits.TokensPerDay, c.TokensPerDay)
	put(&k.Limits.Concurrent, c.Concurrent)
	return *k, nil
}

func put[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// RemoveKey implements api.Service.
func (s *Service) RemoveKey(_ context.Context, id string) error {
	defer s.lock()()
	if s.Err != nil {
		return s.Err
	}
	n := len(s.KeyList)
	if s.KeyList = slices.DeleteFunc(s.KeyList, func(k api.KeyView) bool { return k.ID == id }); len(s.KeyList) == n {
		return apierror.New(apierror.RouteNotFound, "there is no key %s", id)
	}
	return nil
}

// RevokeKey implements api.Service.
func (s *Service) RevokeKey(_ context.Context, id string) error {
	defer s.lock()()
	for i := range s.KeyList {
		if s.KeyList[i].ID == id && s.Err == nil {
			s.KeyList[i].Revoked = Moment
			return nil
		}
	}
	if s.Err != nil {
		return s.Err
	}
	return apierror.New(apierror.RouteNotFound, "there is no key %s", id)
}

// Providers implements api.Service.
func (s *Service) Providers(context.Context) ([]api.ProviderView, error) {
	defer s.lock()()
	return slices.Clone(s.ProviderList), s.Err
}

// Presets implements api.Service.
func (s *Service) Presets(context.Context) ([]api.PresetView, error) {
	defer s.lock()()
	return slices.Clone(s.PresetList), s.Err
}

// TestAccount implements api.Service.
func (s *Service) TestAccount(_ context.Context, id string, t api.AccountTest) (api.TestView, error) {
	defer s.lock()()
	s.LastTest = t
	return s.Tests[id], s.Err
}

// TestCost implements api.Service.
func (s *Service) TestCost(_ context.Context, id, model string) (api.TestCost, error) {
	defer s.lock()()
	c := s.TestCosts[id]
	if model != "" {
		c.Model = model
	}
	return c, s.Err
}

// AccountQuota implements api.Service.
func (s *Service) AccountQuota(_ context.Context, id string) ([]api.QuotaView, error) {
	defer s.lock()()
	return s.Quotas[id], s.Err
}

// RefreshModels implements api.Service.
func (s *Service) RefreshModels(_ context.Context, provider string) error {
	defer s.lock()()
	s.Refreshed = append(s.Refreshed, provider)
	return s.Err
}

// AddProvider implements api.Service.
func (s *Service) AddProvider(_ context.Context, p api.NewProvider) (api.ProviderView, error) {
	defer s.lock()()
	if s.Err != nil {
		return api.ProviderView{}, s.Err
	}
	v := api.ProviderView{ID: p.ID, Name: p.Name, Kind: p.Kind, BaseURL: p.BaseURL, Preset: p.Preset, Status: "active", Enabled: true, UserDefined: true}
	s.ProviderList = append(s.ProviderList, v)
	return v, nil
}

// DefaultProvider implements api.Service.
func (s *Service) DefaultProvider(context.Context) (string, error) {
	defer s.lock()()
	return s.Default, s.Err
}

// SetDefaultProvider implements api.Service.
func (s *Service) SetDefaultProvider(_ context.Context, id string) error {
	defer s.lock()()
	if s.Err == nil {
		s.Default = id
	}
	return s.Err
}

// Models implements api.Service.
func (s *Service) Models(_ context.Context, provider string) ([]api.ModelView, error) {
	defer s.lock()()
	out := slices.Clone(s.ModelList)
	if provider != "" {
		out = slices.DeleteFunc(out, func(m api.ModelView) bool { return m.Provider != provider })
	}
	return out, s.Err
}

// Doctor implements api.Service.
func (s *Service) Doctor(context.Context) ([]api.Finding, error) {
	defer s.lock()()
	return slices.Clone(s.Findings), s.Err
}
