package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"patchbay/backend/api"
	"patchbay/backend/api/apitest"
	"patchbay/backend/apierror"
	"patchbay/backend/doctor"
	"patchbay/backend/secret"
)

const token = "0123456789abcdef0123456789abcdef"

var asText = cmp.Options{cmp.Comparer(func(a, b secret.Value) bool { return a.Reveal() == b.Reveal() }), cmpopts.EquateEmpty()}

func serve(t *testing.T, svc api.Service) (*httptest.Server, *api.Client) {
	t.Helper()
	s := httptest.NewServer(api.Handler(svc, api.Options{Token: func() string { return token }}))
	t.Cleanup(s.Close)
	return s, api.NewClient(s.URL+"/", secret.New(token))
}

// same fails unless both calls succeed and agree.
func same[T any](t *testing.T, want T, wantErr error) func(got T, gotErr error) {
	return func(got T, gotErr error) {
		t.Helper()
		if wantErr != nil || gotErr != nil {
			t.Fatal(wantErr, gotErr)
		}
		if d := cmp.Diff(want, got, asText); d != "" {
			t.Error("-direct +over HTTP\n" + d)
		}
	}
}

func full() *apitest.Service {
	f := apitest.New()
	at := apitest.Moment
	f.StatusView.Reasons = []string{"one account needs you"}
	f.AccountList = []api.AccountView{{
		ID: "a/1", Provider: "openai", Name: "mine", State: "cooling", Reason: "rate limit", Enabled: true, Priority: 2, Owner: "ours",
		Settings: map[string]string{"base_url": "https://x"}, Proxy: "socks5://h", MaxConcurrent: 3, InFlight: 1,
		Cooling: []api.CoolDownView{{Model: "m", Reason: "asked", Until: at}}, Created: at,
	}}
	f.PresetList = []api.PresetView{{ID: "deepseek", Name: "DeepSeek", Kind: "openai", Usable: true, KeyEnv: []string{"K"}, Models: "live", Known: []string{"m"}, AsOf: "2026-11-22", Provider: "ds"}}
	price := 0.25
	f.Tests = map[string]api.TestView{"a/1": {OK: true, Models: 3, BaseURL: "https://x/v1"}, "a/2": {
		Kind: "no_account", Message: "m", Next: &api.NextStep{Text: "t", Link: "l", Command: "c"}, Model: "m", Answer: "ready", DurationMS: 9,
		Tokens: &api.Tokens{1, 2, 3, 4, 5}, Estimated: true, Cost: &price, Currency: "USD", Request: "req_1",
	}}
	f.TestCosts = map[string]api.TestCost{"a/2": {Model: "m", Input: 20, Output: 200, Paid: "tokens", Cost: &price, Currency: "USD", Prices: "2026-11-22"}}
	f.KeyList = []api.KeyView{{ID: "k", Name: "app", Prefix: "pb-ab", Created: at, Expires: at, Revoked: at}}
	f.ProviderList = append(f.ProviderList, api.ProviderView{
		ID: "kiro", Name: "Kiro", Kind: "kiro", Status: "active", Risk: &api.RiskView{Level: "high", Text: "told", Since: "2026-01-01"},
		Models: 3, Accounts: map[string]int{"ready": 1}, Default: true,
	})
	f.ModelList = []api.ModelView{{ID: "m", Provider: "openai", Context: 1000, MaxOutput: 10}, {ID: "n", Provider: "kiro"}}
	f.RequestList = []api.RequestView{{ID: "r", At: at, State: "ok", Client: "openai", Asked: "m", Status: 200, Attempts: 1, Tokens: api.Tokens{Input: 1, Cached: -1}, FirstMS: -1, Dropped: []string{"seed"}}}
	f.UsageRows = []api.UsageRow{{Provider: "openai", Requests: 2, Errors: 1, Tokens: api.Tokens{1, 2, 3, 4, 5}}, {Provider: "kiro", Requests: 3}}
	f.Findings = []api.Finding{{ID: "x", Level: doctor.Warn, Title: "t", Detail: "d", Fix: "f"}}
	f.Default = "kiro"
	f.VaultView = api.VaultView{State: "locked", Source: "os", Where: "w", Note: "n", Fix: "f", Secrets: 3, OtherKey: 1, Places: []api.VaultPlace{{Name: "os", Usable: true}, {Name: "file", Note: "n"}}}
	return f
}

// TestReadsAreTheSameOverHTTP asks for everything twice: the service itself and through handler and client.
func TestReadsAreTheSameOverHTTP(t *testing.T) {
	f := full()
	_, c := serve(t, f)
	ctx := t.Context()
	same(must(f.Status(ctx))(t))(c.Status(ctx))
	same(must(f.Accounts(ctx))(t))(c.Accounts(ctx))
	same(must(f.Keys(ctx))(t))(c.Keys(ctx))
	same(must(f.Providers(ctx))(t))(c.Providers(ctx))
	same(must(f.DefaultProvider(ctx))(t))(c.DefaultProvider(ctx))
	same(must(f.Models(ctx, ""))(t))(c.Models(ctx, ""))
	same(must(f.Models(ctx, "kiro"))(t))(c.Models(ctx, "kiro"))
	same(must(f.Presets(ctx))(t))(c.Presets(ctx))
	free, generated := api.AccountTest{}, api.AccountTest{Generate: true, Model: "m"}
	same(must(f.TestAccount(ctx, "a/1", free))(t))(c.TestAccount(ctx, "a/1", free))
	same(must(f.TestAccount(ctx, "a/2", generated))(t))(c.TestAccount(ctx, "a/2", generated))
	if f.LastTest != generated {
		t.Errorf("%+v", f.LastTest)
	}
	same(must(f.TestCost(ctx, "a/2", ""))(t))(c.TestCost(ctx, "a/2", ""))
	same(must(f.TestCost(ctx, "a/2", "org/m"))(t))(c.TestCost(ctx, "a/2", "org/m"))
	f.Quotas = map[string][]api.QuotaView{"a/1": {{Name: "Weekly limit", Unit: "percent", Models: []string{"m"}, Used: 12.5, Limit: 100, ResetsAt: 1795897676000}}}
	same(must(f.AccountQuota(ctx, "a/1"))(t))(c.AccountQuota(ctx, "a/1"))
	same(must(f.Doctor(ctx))(t))(c.Doctor(ctx))
	same(must(f.Vault(ctx))(t))(c.Vault(ctx))
	f.SettingList = []api.SettingView{{Key: "server.lan", Section: "address", Kind: "switch", Value: true, Default: false, Source: "env", Locked: true}}
	same(must(f.Settings(ctx, "x"))(t))(c.Settings(ctx, "x"))
	same(must(f.Logs(ctx, api.LogQuery{Level: "warn"}))(t))(c.Logs(ctx, api.LogQuery{Level: "warn"}))
	same(must(f.LogText(ctx))(t))(c.LogText(ctx))
	same(must(f.Addresses(ctx))(t))(c.Addresses(ctx))
	same(must(f.About(ctx))(t))(c.About(ctx))
	same(must(f.Support(ctx))(t))(c.Support(ctx))
	same(must(f.Pause(ctx))(t))(c.Pause(ctx))
	same(must(f.Resume(ctx))(t))(c.Resume(ctx))

	rq := api.RequestQuery{Provider: "p", Account: "a", Model: "m", Key: "k", Kind: "timeout", State: api.RequestFailed, Retried: true, Status: 504, Search: "x y", Since: apitest.Moment, Until: apitest.Moment.Add(time.Nanosecond), Before: "r9", Limit: 7}
	same(must(f.Requests(ctx, rq))(t))(c.Requests(ctx, rq))
	if d := cmp.Diff(rq, f.LastRequestsQ); d != "" {
		t.Error("-want +got\n" + d)
	}
	uq := api.UsageQuery{Since: apitest.Moment, By: []string{"provider", "key"}, Bucket: "day", Zone: "Asia/Kathmandu", Provider: "p", Account: "a", Model: "m", Key: "k"}
	same(must(f.Usage(ctx, uq))(t))(c.Usage(ctx, uq))
	if d := cmp.Diff(uq, f.LastUsageQ); d != "" {
		t.Error("-want +got\n" + d)
	}
}

// must turns a call's results into the arguments of same.
func must[T any](v T, err error) func(t *testing.T) (*testing.T, T, error) {
	return func(t *testing.T) (*testing.T, T, error) { return t, v, err }
}

func TestSignInsOverHTTP(t *testing.T) {
	f := full()
	_, c := serve(t, f)
	ctx := t.Context()
	v, err := c.StartLogin(ctx, api.NewLogin{
		Provider: "kiro", Mode: "device", Name: "n", Fields: map[string]string{"region": "eu"}, Proxy: secret.New("http://u:p@h"), AcceptRisk: true,
	})
	if err != nil || v.UserCode == "" || v.Over() {
		t.Fatal(v, err)
	}
	got := f.Started[0]
	if got.Proxy.Reveal() != "http://u:p@h" || got.Fields["region"] != "eu" || !got.AcceptRisk || got.Mode != "device" {
		t.Errorf("%+v", got)
	}
	same(must(f.Logins(ctx))(t))(c.Logins(ctx))
	same(must(f.Login(ctx, v.ID, 0))(t))(c.Login(ctx, v.ID, 0))
	if _, err = c.PasteLogin(ctx, v.ID, secret.New("code#state")); err != nil || f.Pasted[0].Reveal() != "code#state" {
		t.Error(err, len(f.Pasted))
	}
	if err = c.CancelLogin(ctx, v.ID); err != nil || f.LoginList[0].State != "canceled" || !f.LoginList[0].Over() {
		t.Error(err, f.LoginList)
	}
	if a, err := c.RenewAccount(ctx, f.AccountList[0].ID); err != nil || a.Expires.IsZero() {
		t.Error(a, err)
	}
}

func TestCredentialFilesOverHTTP(t *testing.T) {
	f := full()
	f.FileList = []api.FileView{{
		ID: "f/1", Provider: "kiro", Status: "active", Path: "/h/a b.json", Program: "Kiro", State: "found", Email: "ann@example.test", Expires: apitest.Moment,
		Risk: &api.RiskView{Level: "high", Text: "told"}, Adoptable: true, Adoption: "the program may be signed out", Modified: apitest.Moment,
	}}
	_, c := serve(t, f)
	ctx := t.Context()
	same(must(f.Files(ctx))(t))(c.Files(ctx))
	a, err := c.BorrowFile(ctx, "f/1", api.FileUse{Name: "n", Proxy: secret.New("http://u:p@h"), AcceptRisk: true})
	if err != nil || a.Name != "n" || a.Owner != "cli" || f.FileUses[0].Proxy.Reveal() != "http://u:p@h" || !f.FileUses[0].AcceptRisk {
		t.Error(a, err)
	}
	if a, err = c.ReleaseFile(ctx, "f/1"); err != nil || a.Name != "n" || f.FileList[0].State != "found" {
		t.Error(a, err)
	}
	if _, err = c.ReleaseFile(ctx, "f/1"); apierror.From(err).Param != "id" {
		t.Error(err)
	}
	if _, err = c.AdoptFile(ctx, "f/1", api.FileUse{}); apierror.From(err).Param != "accept" {
		t.Error(err)
	}
	if a, err = c.AdoptFile(ctx, "f/1", api.FileUse{Accept: true}); err != nil || a.Owner != "ours" {
		t.Error(a, err)
	}
	if _, err = c.BorrowFile(ctx, "nope", api.FileUse{}); apierror.KindOf(err) != apierror.RouteNotFound {
		t.Error(err)
	}
}

func TestChangesArriveWhole(t *testing.T) {
	f := apitest.New()
	_, c := serve(t, f)
	ctx := t.Context()
	a, err := c.AddAccount(ctx, api.NewAccount{
		Provider: "openai", Name: "mine", Key: secret.New("sk-<&>é"), Settings: map[string]string{"base_url": "https://x"}, Priority: 3, Proxy: secret.New("http://u:p@h"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.AccountList[0], a); d != "" {
		t.Error("-want +got\n" + d)
	}
	if f.Secrets[a.ID].Reveal() != "sk-<&>é" || f.Secrets["proxy/"+a.ID].Reveal() != "http://u:p@h" {
		t.Error("the secrets did not arrive")
	}

	off, none, key, two, name := false, secret.Value{}, secret.New("sk-2"), 2, "renamed"
	a, err = c.ChangeAccount(ctx, a.ID, api.AccountChange{Name: &name, Enabled: &off, Priority: &two, Proxy: &none, Key: &key})
	if err != nil || a.Enabled || a.Priority != 2 || a.Name != "renamed" || f.Secrets[a.ID].Reveal() != "sk-2" || !f.Secrets["proxy/"+a.ID].Empty() {
		t.Error(a, err)
	}
	if _, err := c.ChangeAccount(ctx, a.ID, api.AccountChange{}); err != nil || f.Secrets[a.ID].Reveal() != "sk-2" || f.AccountList[0].Enabled {
		t.Error("an empty change changed something", err)
	}
	f.AccountList[0].State = "cooling"
	if a, err = c.ClearAccount(ctx, a.ID, ""); err != nil || a.State != "ready" {
		t.Error(a, err)
	}
	if err := c.RemoveAccount(ctx, a.ID); err != nil || len(f.AccountList) != 0 {
		t.Error(err)
	}

	p, err := c.AddProvider(ctx, api.NewProvider{ID: "home", Kind: "ollama", BaseURL: "http://h:11434"})
	if err != nil || p.ID != "home" || !p.UserDefined {
		t.Error(p, err)
	}
	if p, err = c.AddProvider(ctx, api.NewProvider{ID: "ds", Preset: "deepseek"}); err != nil || p.Preset != "deepseek" {
		t.Error(p, err)
	}
	for _, bad := range []api.NewProvider{{Preset: "deepseek"}, {ID: "x", Preset: "deepseek", Kind: "openai"}, {ID: "x"}} {
		if _, err := c.AddProvider(ctx, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for _, id := range []string{"", "a b"} {
		if err := c.RefreshModels(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if d := cmp.Diff([]string{"", "a b"}, f.Refreshed); d != "" {
		t.Error("-want +got\n" + d)
	}
	if err := c.SetDefaultProvider(ctx, "home"); err != nil || f.Default != "home" {
		t.Error(err)
	}
	if err := c.SetDefaultProvider(ctx, ""); err != nil || f.Default != "" {
		t.Error(err)
	}

	f.VaultView = api.VaultView{State: "locked", Source: "os", Secrets: 2}
	if v, err := c.UnlockVault(ctx); err != nil || v.State != "ok" {
		t.Error(v, err)
	}
	if m, err := c.MoveVault(ctx, "file"); err != nil || m != (api.VaultMoved{From: "os", To: "file", Sealed: 2}) {
		t.Error(m, err)
	}
	f.VaultView.State = "lost"
	if v, err := c.RenewVault(ctx); err != nil || v.State != "ok" {
		t.Error(v, err)
	}
	if _, err := c.MoveVault(ctx, ""); apierror.From(err).Param != "to" {
		t.Error(err)
	}

	f.CarryReport = api.CarryReport{Made: apitest.Moment, Program: "1", Taken: []api.CarryItem{{Kind: "account", Name: "n"}}, Skipped: []api.CarryItem{{Kind: "setting", Name: "s", Note: "w"}}}
	out, err := c.Export(ctx, secret.New("pass-é"))
	if err != nil || !strings.HasSuffix(string(out.Data), "pass-é") {
		t.Error(string(out.Data), err)
	}
	r, err := c.Restore(ctx, api.RestoreRequest{Passphrase: secret.New("pass-é"), Data: out.Data, Replace: true})
	if d := cmp.Diff(f.CarryReport, r); d != "" || err != nil || !f.LastRestore.Replace {
		t.Error(err, "-want +got\n"+d)
	}
	if _, err := c.Restore(ctx, api.RestoreRequest{Passphrase: secret.New("pass-é"), Data: make([]byte, 3<<20)}); apierror.From(err).Param != "passphrase" {
		t.Error("a large export did not arrive:", err)
	}
	if _, err := c.Restore(ctx, api.RestoreRequest{}); apierror.From(err).Param != "data" {
		t.Error(err)
	}
}

func TestImport(t *testing.T) {
	f := apitest.New()
	_, c := serve(t, f)
	f.ImportReport = api.ImportReport{
		DryRun: true, Unmoved: 1, Unread: 2, NewKey: secret.New("pb-new"),
		Items: []api.ImportItem{{Outcome: "taken", Kind: "account", Name: "kiro/a", From: "a.json", Note: "n"}},
	}
	q := api.ImportRequest{
		Files:  []api.ImportFile{{Name: "a.json", Data: []byte{0, 255}, Modified: apitest.Moment}, {Name: "b.json", Problem: "p"}},
		Keys:   []api.ImportKey{{Provider: "openai", From: "OPENAI_API_KEY", Key: secret.New("sk-x")}},
		DryRun: true, Moved: true, AcceptRisk: true,
	}
	r, err := c.Import(t.Context(), q)
	if d := cmp.Diff(f.ImportReport, r, cmp.Comparer(sameSecret)); d != "" || err != nil {
		t.Error(err, "-want +got\n"+d)
	}
	if d := cmp.Diff(q, f.LastImport, cmp.Comparer(sameSecret)); d != "" {
		t.Error("-sent +arrived\n" + d)
	}
	if _, err := c.Import(t.Context(), api.ImportRequest{Files: []api.ImportFile{{Name: "x", Data: make([]byte, 20<<20)}}}); err != nil {
		t.Error("a large import did not arrive:", err)
	}
	if _, err := c.Import(t.Context(), api.ImportRequest{}); apierror.From(err).Param != "files" {
		t.Error(err)
	}
}

func sameSecret(a, b secret.Value) bool { return a.Reveal() == b.Reveal() }

func TestKeyIsShownOnce(t *testing.T) {
	f := apitest.New()
	s, c := serve(t, f)
	ctx := t.Context()
	made, err := c.AddKey(ctx, api.NewKey{Name: "app", Expires: apitest.Moment})
	if err != nil || made.Key.Reveal() != f.KeyTexts[made.ID].Reveal() || made.Name != "app" || !made.Expires.Equal(apitest.Moment) {
		t.Fatal(made, err)
	}
	given, err := c.AddKey(ctx, api.NewKey{Name: "brought", Key: secret.New("my own key, long enough")})
	if err != nil || given.Key.Reveal() != "my own key, long enough" {
		t.Fatal(given, err)
	}
	_, body := call(t, s, "GET", "/api/keys", "", nil)
	if strings.Contains(body, made.Key.Reveal()) || !strings.Contains(body, "app") {
		t.Error(body)
	}
	if err := c.RevokeKey(ctx, made.ID); err != nil || f.KeyList[0].Revoked.IsZero() {
		t.Error(err)
	}
}

func TestKeyIsLimitedAndRemoved(t *testing.T) {
	f := apitest.New()
	s, c := serve(t, f)
	ctx := t.Context()
	limits := api.KeyLimits{Models: []string{"gpt-*"}, Providers: []string{"openai"}, Protocols: []string{"anthropic"}, PerMinute: 3, TokensPerDay: 4, Concurrent: 5}
	made, err := c.AddKey(ctx, api.NewKey{Name: "app", Expires: apitest.Moment, Limits: limits})
	if err != nil || !cmp.Equal(made.Limits, limits) {
		t.Fatal(made, err)
	}
	name, none, zero, never := "other", []string{}, 0, time.Time{}
	got, err := c.ChangeKey(ctx, made.ID, api.KeyChange{Name: &name, Models: &none, PerMinute: &zero, Expires: &never})
	limits.Models, limits.PerMinute = nil, 0
	if err != nil || got.Name != "other" || !got.Expires.IsZero() || !cmp.Equal(got.Limits, limits) {
		t.Error(got, err)
	}
	if resp, body := call(t, s, "PATCH", "/api/keys/"+made.ID, `{"per_minut":1}`, nil); resp.StatusCode != 400 || !strings.Contains(body, "per_minut") {
		t.Error(resp.Status, body)
	}
	if resp, body := call(t, s, "DELETE", "/api/keys/"+made.ID+"?remove=perhaps", "", nil); resp.StatusCode != 400 || !strings.Contains(body, "remove") {
		t.Error(resp.Status, body)
	}
	if err := c.RemoveKey(ctx, made.ID); err != nil || len(f.KeyList) != 0 {
		t.Error(err, f.KeyList)
	}
}

// call makes a request with the token and returns status and body.
func call(t *testing.T, s *httptest.Server, method, path, body string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// panics is a service that must not be reached.
type panics struct{ api.Service }

func TestEveryRouteIsGuarded(t *testing.T) {
	s, _ := serve(t, panics{})
	drop := func(r *http.Request) { r.Header.Del("Authorization") }
	bearer := func(v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", v) }
	}
	origin := func(v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Origin", v) } }
	for _, pattern := range append(api.Patterns(), "GET /api/nothing", "OPTIONS /api/accounts") {
		method, path, _ := strings.Cut(strings.ReplaceAll(pattern, "{id}", "x"), " ")
		for name, c := range map[string]struct {
			change func(*http.Request)
			status int
			kind   string
		}{
			"no token":        {drop, 401, "client_unauthorized"},
			"wrong token":     {bearer("Bearer " + strings.Repeat("0", 32)), 401, "client_unauthorized"},
			"longer token":    {bearer("Bearer " + token + "0"), 401, "client_unauthorized"},
			"empty token":     {bearer("Bearer "), 401, "client_unauthorized"},
			"other scheme":    {bearer("Basic " + token), 401, "client_unauthorized"},
			"token in query":  {func(r *http.Request) { drop(r); r.URL.RawQuery = "key=" + token + "&token=" + token }, 401, "client_unauthorized"},
			"foreign page":    {origin("https://evil.example"), 403, "client_forbidden"},
			"page in a file":  {origin("null"), 403, "client_forbidden"},
			"other port":      {origin("http://127.0.0.1:1"), 403, "client_forbidden"},
			"look-alike host": {origin(s.URL + ".evil.example"), 403, "client_forbidden"},
		} {
			if api.Open(pattern) && c.status == 401 {
				continue
			}
			resp, body := call(t, s, method, path, "", c.change)
			if resp.StatusCode != c.status || !strings.Contains(body, `{"error":{"kind":"`+c.kind+`","message":"`) {
				t.Errorf("%s, %s: %d %s", pattern, name, resp.StatusCode, body)
			}
			for h := range resp.Header {
				if strings.HasPrefix(h, "Access-Control") {
					t.Errorf("%s, %s: %s", pattern, name, h)
				}
			}
		}
	}
}

func TestWithoutATokenNobodyIsLetIn(t *testing.T) {
	s := httptest.NewServer(api.Handler(panics{}, api.Options{}))
	defer s.Close()
	for _, v := range []string{"Bearer ", "Bearer", ""} {
		if resp, _ := call(t, s, "GET", "/api/status", "", func(r *http.Request) { r.Header.Set("Authorization", v) }); resp.StatusCode != 401 {
			t.Errorf("%q: %d", v, resp.StatusCode)
		}
	}
}

func TestOwnPageMayCall(t *testing.T) {
	s, _ := serve(t, apitest.New())
	resp, body := call(t, s, "GET", "/api/status", "", func(r *http.Request) { r.Header.Set("Origin", s.URL) })
	if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error(resp, body)
	}
}

func TestBadRequestsNameTheField(t *testing.T) {
	s, _ := serve(t, apitest.New())
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/api/accounts", `{"provider":"openai","nam":"x"}`, 400, `"param":"nam"`},
		{"POST", "/api/accounts", `{"provider":"openai","priority":"high"}`, 400, `"param":"priority"`},
		{"POST", "/api/accounts", `{"provider":"openai","settings":{"base_url":1}}`, 400, `"param":"settings.base_url"`},
		{"POST", "/api/accounts", `{"provider":"openai","key":7}`, 400, `"param":"key"`},
		{"POST", "/api/accounts", `{}`, 400, `"param":"provider"`},
		{"POST", "/api/accounts", `{"provider":"nobody"}`, 400, `"param":"provider"`},
		{"POST", "/api/accounts", `[`, 400, `"kind":"invalid_request"`},
		{"POST", "/api/accounts", ``, 400, `"kind":"invalid_request"`},
		{"PATCH", "/api/accounts/x", `{"enabled":1}`, 400, `"param":"enabled"`},
		{"PATCH", "/api/accounts/x", `{}`, 404, `there is no account x`},
		{"POST", "/api/accounts/x/clear", ``, 404, `there is no account x`},
		{"DELETE", "/api/accounts/x", ``, 404, `"kind":"route_not_found"`},
		{"POST", "/api/accounts/x/refresh", ``, 404, `there is no account x`},
		{"POST", "/api/logins", `{}`, 400, `"param":"provider"`},
		{"POST", "/api/logins", `{"provider":"openai","mode":"magic"}`, 400, `"param":"mode"`},
		{"POST", "/api/logins", `{"provider":"openai","password":"x"}`, 400, `"param":"password"`},
		{"GET", "/api/logins/x?seq=y", ``, 400, `"param":"seq"`},
		{"GET", "/api/logins/x", ``, 404, `there is no sign-in x`},
		{"POST", "/api/logins/x/paste", `{"code":"y"}`, 400, `"param":"code"`},
		{"POST", "/api/keys", `{}`, 400, `"param":"name"`},
		{"POST", "/api/keys", `{"name":"x","expires":"soon"}`, 400, `"param":"expires"`},
		{"DELETE", "/api/keys/x", ``, 404, `there is no key x`},
		{"POST", "/api/providers", `{"id":"x","kind":"openai"}`, 400, `"param":"base_url"`},
		{"POST", "/api/providers", `{"x":1}`, 400, `"param":"x"`},
		{"PUT", "/api/default-provider", `{"provider":null,"x":1}`, 400, `"param":"x"`},
		{"GET", "/api/requests?limit=0", ``, 400, `"param":"limit"`},
		{"GET", "/api/requests?limit=9999", ``, 400, `"param":"limit"`},
		{"GET", "/api/requests?failed=maybe", ``, 400, `"param":"failed"`},
		{"GET", "/api/requests?since=yesterday", ``, 400, `"param":"since"`},
		{"GET", "/api/usage?until=tomorrow", ``, 400, `"param":"until"`},
		{"GET", "/api/nothing", ``, 404, `"kind":"route_not_found"`},
		{"PUT", "/api/keys", `{}`, 405, `GET or POST`},
		{"POST", "/api/keys", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, `"kind":"body_too_large"`},
	} {
		resp, body := call(t, s, c.method, c.path, c.body, nil)
		if resp.StatusCode != c.status || !strings.Contains(body, c.want) || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %.80s: %d %s", c.method, c.path, c.body, resp.StatusCode, body)
		}
	}
	resp, body := call(t, s, "POST", "/api/keys", `{"name":"x"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	if resp.StatusCode != 400 || !strings.Contains(body, "application/json") {
		t.Error("a form of a foreign page could send this", body)
	}
}

// TestErrorsTravel checks that kind, message and field survive, and that causes stay at home.
func TestErrorsTravel(t *testing.T) {
	f := apitest.New()
	s, c := serve(t, f)
	for err, status := range map[*apierror.Error]int{
		{Kind: apierror.InvalidRequest, Msg: "no", Param: "p"}: 400,
		{Kind: apierror.PolicyRefused, Msg: "no"}:              403,
		{Kind: apierror.Shutdown, Msg: "bye"}:                  503,
		{Kind: apierror.AuthExpired, Msg: "old"}:               409,
	} {
		f.Err = fmt.Errorf("wrapped: %w", err)
		_, got := c.Accounts(t.Context())
		e, ok := errors.AsType[*apierror.Error](got)
		if !ok || e.Kind != err.Kind || e.Msg != err.Msg || e.Param != err.Param {
			t.Errorf("%v became %v", err, got)
		}
		if resp, _ := call(t, s, "GET", "/api/accounts", "", nil); resp.StatusCode != status {
			t.Errorf("%v: %d", err, resp.StatusCode)
		}
	}
	f.Err = errors.New("the password is 1234")
	if resp, body := call(t, s, "GET", "/api/status", "", nil); resp.StatusCode != 500 || strings.Contains(body, "1234") {
		t.Error(body)
	}
	f.Err = context.DeadlineExceeded
	if resp, body := call(t, s, "GET", "/api/status", "", nil); resp.StatusCode != 504 {
		t.Error(body)
	}
}

// TestEveryCallReportsFailure makes each method of the client fail.
func TestEveryCallReportsFailure(t *testing.T) {
	f := apitest.New()
	_, c := serve(t, f)
	f.Err = apierror.New(apierror.Internal, "broken")
	ctx := t.Context()
	for name, err := range map[string]error{
		"logins": second(c.Logins(ctx)), "login": second(c.StartLogin(ctx, api.NewLogin{Provider: "x"})), "paste": second(c.PasteLogin(ctx, "x", secret.New("y"))),
		"watch": second(c.Login(ctx, "x", 0)), "cancel": c.CancelLogin(ctx, "x"), "renew login": second(c.RenewAccount(ctx, "x")), "status": second(c.Status(ctx)), "accounts": second(c.Accounts(ctx)), "add": second(c.AddAccount(ctx, api.NewAccount{Provider: "x"})),
		"change": second(c.ChangeAccount(ctx, "x", api.AccountChange{})), "clear": second(c.ClearAccount(ctx, "x", "")), "remove": c.RemoveAccount(ctx, "x"),
		"keys": second(c.Keys(ctx)), "add key": second(c.AddKey(ctx, api.NewKey{Name: "x"})), "revoke": c.RevokeKey(ctx, "x"),
		"change key": second(c.ChangeKey(ctx, "x", api.KeyChange{})), "remove key": c.RemoveKey(ctx, "x"),
		"providers": second(c.Providers(ctx)), "add provider": second(c.AddProvider(ctx, api.NewProvider{ID: "x", Kind: "x", BaseURL: "x"})),
		"default": second(c.DefaultProvider(ctx)), "set default": c.SetDefaultProvider(ctx, "x"), "models": second(c.Models(ctx, "")),
		"requests": second(c.Requests(ctx, api.RequestQuery{})), "usage": second(c.Usage(ctx, api.UsageQuery{})), "request": second(c.Request(ctx, "x")),
		"prices": second(c.Prices(ctx)), "set prices": second(c.SetPrices(ctx, nil)), "bodies": second(c.RequestBodies(ctx, "x")), "replay": second(c.ReplayRequest(ctx, "x")),
		"preview": second(c.PreviewDataset(ctx, api.DatasetQuery{Format: "chat"})), "data set": c.ExportDataset(ctx, api.DatasetQuery{Format: "raw"}, io.Discard), "record": second(c.Record(ctx)), "clear record": second(c.ClearRecord(ctx, api.ClearRequest{What: []string{"rows"}})),
		"doctor": second(c.Doctor(ctx)),
		"vault":  second(c.Vault(ctx)), "unlock": second(c.UnlockVault(ctx)), "move": second(c.MoveVault(ctx, "os")), "renew": second(c.RenewVault(ctx)),
		"export": second(c.Export(ctx, secret.New("x"))), "restore": second(c.Restore(ctx, api.RestoreRequest{Data: []byte("x")})),
		"import": second(c.Import(ctx, api.ImportRequest{Files: []api.ImportFile{{Name: "x"}}})),
	} {
		if err == nil || apierror.From(err).Msg != "broken" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestStrangeAnswersAreExplained(t *testing.T) {
	answer := ""
	status := 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	c := api.NewClient(s.URL, secret.New(token))
	for _, x := range []struct {
		status int
		body   string
	}{{200, "<html>"}, {502, "<html>"}, {307, ""}, {500, "{}"}} {
		status, answer = x.status, x.body
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "another version") {
			t.Errorf("%v: %v", x, err)
		}
	}
	s.Close()
	_, err := c.Status(t.Context())
	if apierror.KindOf(err) != apierror.Transport || !strings.Contains(err.Error(), "does not answer") || strings.Contains(err.Error(), token) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); apierror.KindOf(err) != apierror.Canceled {
		t.Error(err)
	}
	if _, err := api.NewClient("http://bad host", secret.New(token)).Status(t.Context()); err == nil {
		t.Error("a bad address was called")
	}
	if c.Base() != s.URL {
		t.Error(c.Base())
	}
}

func TestRecordOverHTTP(t *testing.T) {
	f := full()
	_, c := serve(t, f)
	ctx := t.Context()
	same(must(f.Request(ctx, "r"))(t))(c.Request(ctx, "r"))
	same(must(f.Record(ctx))(t))(c.Record(ctx))
	same(must(f.RequestBodies(ctx, "a/b"))(t))(c.RequestBodies(ctx, "a/b"))
	one, half := 1.0, 0.5
	own := []api.Price{{Models: []string{"m*"}, Input: &one, Cached: &half, Output: &one, AsOf: "2026-11-22"}}
	if got, err := c.SetPrices(ctx, own); err != nil || *got.Prices[0].Cached != half {
		t.Error(got, err)
	}
	same(must(f.Prices(ctx))(t))(c.Prices(ctx))
	clear := api.ClearRequest{What: []string{"rows", "bodies"}, Before: apitest.Moment}
	if _, err := c.ClearRecord(ctx, clear); err != nil || cmp.Diff([]api.ClearRequest{clear}, f.Cleared) != "" {
		t.Error(f.Cleared, err)
	}
	if r, err := c.ReplayRequest(ctx, "redacted"); err != nil || r.ID == "" || !r.Redacted {
		t.Error(r, err)
	}
	q := api.DatasetQuery{Format: "chat", Since: apitest.Moment, Provider: "p", SuccessOnly: true, MinTurns: 2, Emails: true, Limit: 3}
	same(must(f.PreviewDataset(ctx, q))(t))(c.PreviewDataset(ctx, q))
	var out strings.Builder
	if err := c.ExportDataset(ctx, q, &out); err != nil || out.String() != "{}\n{}\n" || cmp.Diff(q, f.LastDatasetQ) != "" {
		t.Error(out.String(), err, f.LastDatasetQ)
	}
}

func TestUsageAsATable(t *testing.T) {
	cost := 1.25
	u := api.UsageView{Currency: "USD", Rows: []api.UsageRow{
		{Start: apitest.Moment, Provider: "p", Label: "=cmd|calc", Requests: 2, Tokens: api.Tokens{Input: 5, Cached: -1}, FirstMedianMS: -1, Cost: &cost, Priced: 2}, {Provider: "q", FirstMedianMS: 7},
	}}
	var out strings.Builder
	if err := u.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	want := apitest.Moment.Format(time.RFC3339) + ",p,,'=cmd|calc,,,,2,0,0,5,,0,0,0,0,,0,1.250000,USD,2,0"
	if len(lines) != 4 || lines[1] != want || strings.Count(lines[0], ",") != strings.Count(lines[1], ",") {
		t.Errorf("%s\nwant %s", out.String(), want)
	}
}

func TestCurlQuotesWhatItIsGiven(t *testing.T) {
	m := api.BodyMessage{URL: "/v1/x?y=1", Header: map[string]string{"Content-Type": "application/json", "Anthropic-Version": "2023-06-01", "Authorization": "[secret]", "User-Agent": "x"}, Body: `{"a":"it's"}`}
	want := "curl -N 'http://h/v1/x?y=1' \\\n  -H 'Authorization: Bearer YOUR_PATCHBAY_KEY' \\\n  -H 'Anthropic-Version: 2023-06-01' \\\n  -H 'Content-Type: application/json' \\\n  --data-binary '{\"a\":\"it'\\''s\"}'"
	if got := api.CurlOf("http://h", m); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestWhatTheRecordIsNotAskedFor(t *testing.T) {
	s, _ := serve(t, full())
	for _, c := range []struct{ method, path, body, field string }{
		{"GET", "/api/requests?state=odd", "", "state"}, {"GET", "/api/requests?status=9", "", "status"}, {"GET", "/api/requests?retried=maybe", "", "retried"},
		{"GET", "/api/usage?by=moon", "", "by"}, {"GET", "/api/usage?bucket=week", "", "bucket"}, {"GET", "/api/usage.csv?zone=Moon/Base", "", "zone"},
		{"POST", "/api/record/clear", `{"what":["all"]}`, "what"}, {"POST", "/api/record/clear", `{"what":[]}`, "what"},
		{"POST", "/api/dataset/preview", `{"format":"xml"}`, "format"}, {"POST", "/api/dataset/export", `{"format":"chat","min_turns":-1}`, "min_turns"},
	} {
		resp, body := call(t, s, c.method, c.path, c.body, nil)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"param":"`+c.field+`"`) {
			t.Errorf("%s %s: %d %s", c.method, c.path, resp.StatusCode, body)
		}
	}
}
