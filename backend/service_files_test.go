package backend

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/doctor"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
)

// fileDriver is a provider whose program keeps {"access","email"} in a file.
type fileDriver struct{ signInDriver }

func (fileDriver) ReadFile(f provider.File) (provider.FileLogin, error) {
	var v struct{ Access, Refresh, Email string }
	if err := json.Unmarshal(f.Data, &v); err != nil {
		return provider.FileLogin{}, err
	}
	return provider.FileLogin{Login: provider.LoginBrowser, Credential: provider.Credential{
		Access: secret.New(v.Access), Refresh: secret.New(v.Refresh), Extra: map[string]string{provider.ExtraEmail: v.Email},
	}}, nil
}

// filesTest opens a Backend with a provider "cli" that is off and has a label, and returns the path of its file.
func filesTest(t *testing.T, settings string) (*Backend, string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the home of this test is Unix's")
	}
	before := providers
	t.Cleanup(func() { providers = before })
	providers = append(slices.Clone(providers), fileDriver{signInDriver{provider.Info{
		ID: "cli", Name: "Cli", Off: true, Status: provider.StatusActive, Risk: &provider.Risk{Level: "high", Text: "Its terms forbid it.", Since: "2026-11-01"},
		Logins: []provider.Login{{Kind: provider.LoginBrowser}}, Files: []provider.CredentialFile{{Path: "~/.cli/auth.json", Program: "Cli"}},
	}}})
	home := t.TempDir()
	return openTest(t, settings, func(o *Options) { o.Env = []string{"HOME=" + home} }), filepath.Join(home, ".cli", "auth.json")
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFoundFileOfAProviderThatIsOff(t *testing.T) {
	b, path := filesTest(t, "")
	ctx := t.Context()
	put(t, path, `{"Access":"CANARY-at","Refresh":"CANARY-rt","Email":"ann@example.test"}`)
	list := ok(b.Files(ctx))(t)
	if len(list) != 1 || list[0].Enabled || list[0].State != "found" || list[0].Risk.Text != "Its terms forbid it." || list[0].Email != "ann@example.test" ||
		!strings.Contains(list[0].Adoption, "may be signed out") {
		t.Fatalf("%+v", list)
	}
	if text := fmt.Sprintf("%+v", list); strings.Contains(text, "CANARY") {
		t.Error(text)
	}
	if f := find(t, b, "credential_file.found"); f.Level != doctor.OK || !strings.Contains(f.Fix, "patchbay accounts borrow "+list[0].ID) {
		t.Errorf("%+v", f)
	}
	_, err := b.BorrowFile(ctx, list[0].ID, api.FileUse{})
	refused(t, err, apierror.InvalidRequest, "accept_risk", "Its terms forbid it.")
	if n := len(ok(b.Accounts(ctx))(t)); n != 0 {
		t.Errorf("%d accounts", n)
	}
	v := ok(b.BorrowFile(ctx, list[0].ID, api.FileUse{AcceptRisk: true}))(t)
	if v.Owner != "cli" || v.Name != "ann@example.test" || v.Settings[provider.SettingFile] != path {
		t.Errorf("%+v", v)
	}
	if p, _ := b.offered("cli"); !p.enabled {
		t.Error("the provider was not turned on by it")
	}
	if v := ok(b.Files(ctx))(t)[0]; v.State != "borrowed" || v.Account == "" || !v.Adoptable {
		t.Errorf("%+v", v)
	}
	put(t, path, "{")
	if f := find(t, b, "credential_file.unreadable"); f.Level != doctor.Warn || strings.Contains(f.Detail, "CANARY") {
		t.Errorf("%+v", f)
	}
	put(t, path, `{"Access":"CANARY-2","Email":"bob@example.test"}`)
	if f := find(t, b, "credential_file.changed"); f.Level != doctor.Problem || !strings.Contains(f.Detail, "bob@example.test") {
		t.Errorf("%+v", f)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if f := find(t, b, "credential_file.gone"); f.Level != doctor.Problem || !strings.Contains(f.Fix, "release "+list[0].ID) {
		t.Errorf("%+v", f)
	}
	if got := ok(b.ReleaseFile(ctx, list[0].ID))(t); got.ID != v.ID || len(ok(b.Accounts(ctx))(t)) != 0 {
		t.Errorf("%+v", got)
	}
	_, err = b.ReleaseFile(ctx, "nope")
	refused(t, err, apierror.RouteNotFound, "", "accounts found")
	_, err = b.AdoptFile(ctx, "nope", api.FileUse{})
	refused(t, err, apierror.RouteNotFound, "", "accounts found")
}

func TestPathsBySettingAndOldName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.json")
	b, _ := filesTest(t, "credential_files:\n  paths:\n    cli: ['"+path+"']\n    openai-codex-oauth: ['~/old.json']\n")
	list := ok(b.Files(t.Context()))(t)
	if len(list) != 2 || list[0].Provider != "codex" || list[0].State != "gone" || list[1].Path != path {
		t.Errorf("%+v", list)
	}
	if err := b.settings.Set("credential_files.enabled", "false"); err != nil {
		t.Fatal(err)
	}
	if list := ok(b.Files(t.Context()))(t); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
