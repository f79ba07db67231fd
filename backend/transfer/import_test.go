package transfer

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"patchbay/backend/account"
	"patchbay/backend/apierror"
	"patchbay/backend/clientkey"
	"patchbay/backend/config"
	"patchbay/backend/events"
	"patchbay/backend/preset"
	"patchbay/backend/provider"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// inputsOf are the files of a golden file that are imported.
func inputsOf(data []byte) []ImportFile {
	var out []ImportFile
	for _, f := range txtar.Parse(data).Files {
		if !strings.HasPrefix(f.Name, "want ") {
			out = append(out, ImportFile{Name: f.Name, Data: f.Data})
		}
	}
	return out
}

var update = flag.Bool("update", false, "write the golden files anew")

// reader is a driver that reads login files in a form like its vendor's.
type reader struct {
	driver
	access, refresh, expiry string
	inside                  string // member in which they are
}

func (r reader) ReadFile(f provider.File) (in provider.FileLogin, err error) {
	var doc map[string]any
	if err := json.Unmarshal(f.Data, &doc); err != nil {
		return in, err
	}
	if r.inside != "" {
		doc, _ = doc[r.inside].(map[string]any)
	}
	text := func(name string) string { s, _ := doc[name].(string); return s }
	if text(r.access)+text(r.refresh) == "" {
		return in, fmt.Errorf("%w: it holds no %s", provider.ErrNoLogin, r.access)
	}
	in.Credential = provider.Credential{Access: secret.New(text(r.access)), Refresh: secret.New(text(r.refresh))}
	if ms, ok := doc[r.expiry].(float64); ok {
		in.Expiry = time.UnixMilli(int64(ms))
	}
	in.Login = "browser"
	if id := text("account_id"); id != "" {
		in.Extra = map[string]string{provider.ExtraIdentity: id}
	}
	if hash := text("clientIdHash"); hash != "" {
		if _, err := f.Beside(hash + ".json"); err != nil {
			in.Note = "its registration is not there, so it cannot be renewed"
		} else {
			in.Settings = map[string]string{"region": "us-east-1"}
		}
		if _, err := f.Beside("../x"); err == nil {
			panic("a name with a separator was read")
		}
	}
	return in, nil
}

// newHost is a computer with the providers that imports are about. qwen-code and iflow are not among them.
func newHost(t testing.TB, settings string) (Host, *store.DB) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	check(t, os.WriteFile(file, []byte(settings), 0o600))
	db, _, err := store.Open(t.Context(), filepath.Join(dir, "patchbay.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	key := func(id, wire, base string) provider.Driver {
		return driver{provider.Info{ID: id, Name: id, Wire: wire, BaseURL: base, NoKey: wire == "forward"}}
	}
	fields := []provider.Field{{Key: "project"}, {Key: provider.SettingBaseURL}}
	drivers := []provider.Driver{
		key("openai", "openai", "https://api.openai.com/v1"), key("openai-responses", "openai-responses", "https://api.openai.com/v1"),
		key("anthropic", "anthropic", "https://api.anthropic.com"), key("gemini", "gemini", "https://generativelanguage.googleapis.com"), key("forward", "forward", ""),
		reader{driver: driver{provider.Info{ID: "gemini-cli", Name: "Gemini CLI", Fields: fields, Policy: provider.Policy{RefreshBorrowed: true}}}, access: "access_token", refresh: "refresh_token", expiry: "expiry_date"},
		reader{driver: driver{provider.Info{ID: "antigravity", Name: "Antigravity", Off: true, Fields: fields, Policy: provider.Policy{RefreshBorrowed: true}}}, access: "access_token", refresh: "refresh_token", expiry: "expiry_date"},
		reader{driver: driver{provider.Info{ID: "codex", Name: "Codex"}}, access: "access_token", refresh: "refresh_token", inside: "tokens"},
		reader{driver: driver{provider.Info{ID: "kiro", Name: "Kiro"}}, access: "accessToken", refresh: "refreshToken"},
		driver{provider.Info{ID: "qwen-code", Name: "Qwen Code"}}, // a driver that reads no files
	}
	var builtin []string
	for _, d := range drivers {
		builtin = append(builtin, d.Info().ID)
	}
	presets := preset.BuiltIn()
	h := Host{Presets: func() *preset.Set { return presets }}
	h.open(t, db, file, builtin)
	on := map[string]bool{}
	h.Offers = func() []Offer {
		var out []Offer
		for _, d := range drivers {
			out = append(out, Offer{d.Info(), d})
		}
		for id, p := range h.Settings.Current().Providers {
			if slices.Contains(builtin, id) {
				continue
			}
			if pre, ok := h.Presets().Get(p.Preset); ok {
				p = pre.Under(p)
			}
			info := provider.Info{ID: id, Name: id, Wire: p.Kind, BaseURL: p.BaseURL, NoKey: true}
			out = append(out, Offer{info, driver{info}})
		}
		return out
	}
	h.Admit = func(id string, accept, try bool) error {
		if id != "antigravity" || on[id] {
			return nil
		}
		if !accept {
			return apierror.Invalid("accept_risk", "Antigravity is off until you turn it on")
		}
		on[id] = !try
		return nil
	}
	h.AddProvider = func(_ context.Context, id, preset, kind, base, name string) error {
		return h.Settings.Update(func(c *config.Config) error {
			if c.Providers == nil {
				c.Providers = map[string]config.Provider{}
			}
			p := config.Provider{Preset: preset}
			if preset == "" {
				p = config.Provider{Kind: kind, BaseURL: base, Name: name}
			}
			c.Providers[id] = p
			return nil
		})
	}
	h.CleanBase = func(base string) (string, error) {
		if !strings.HasPrefix(base, "http") || strings.Contains(base, "@") {
			return "", apierror.Invalid("base_url", "the base URL of this service cannot be used")
		}
		return strings.TrimRight(base, "/"), nil
	}
	vault := secret.NewVault(db, secret.EnvKey{Text: secret.New(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))})
	h.Accounts, err = account.New(t.Context(), account.Needs{
		Store: db, Secrets: vault, Bus: &events.Bus{}, HTTP: func(string, string) *http.Client { return nil },
		Driver: func(id string) (provider.Driver, map[string]string, error) {
			for _, o := range h.Offers() {
				if o.Info.ID == id {
					return o.Driver, nil, nil
				}
			}
			return nil, nil, fmt.Errorf("there is no provider %q", id)
		},
	})
	check(t, err)
	t.Cleanup(h.Accounts.Close)
	return h, db
}

// open opens the settings and client keys.
func (h *Host) open(t testing.TB, db *store.DB, file string, builtin []string) {
	t.Helper()
	var err error
	h.Settings, err = config.Load(config.Options{Path: file, Env: []string{}, Builtin: builtin})
	check(t, err)
	h.Keys, err = clientkey.Open(t.Context(), db)
	check(t, err)
}

func (h Host) take(t testing.TB, files []ImportFile, o ImportOptions) ImportReport {
	t.Helper()
	r, err := Import(t.Context(), h, files, nil, o)
	check(t, err)
	return r
}

// lines are a report as the golden files hold it.
func lines(r ImportReport) string {
	var b strings.Builder
	for _, it := range r.Items {
		fmt.Fprintf(&b, "%s | %s | %s | %s | %s\n", it.Outcome, it.Kind, it.Name, it.From, it.Note)
	}
	if !r.NewKey.Empty() {
		b.WriteString("a new client key\n")
	}
	if r.Unmoved+r.Unread > 0 {
		fmt.Fprintf(&b, "unmoved %d, unread %d\n", r.Unmoved, r.Unread)
	}
	return b.String()
}

// state is what an import made.
func (h Host) state() string {
	var b strings.Builder
	for _, a := range h.Accounts.List() {
		fmt.Fprintf(&b, "%s/%s %s", a.Provider, a.Name, a.State)
		if a.Priority != account.DefaultPriority {
			fmt.Fprintf(&b, " priority %d", a.Priority)
		}
		if a.MaxConcurrent != 0 {
			fmt.Fprintf(&b, " concurrent %d", a.MaxConcurrent)
		}
		if a.Proxy != "" {
			fmt.Fprintf(&b, " proxy %s", a.Proxy)
		}
		if a.Login != "" {
			fmt.Fprintf(&b, " login %s", a.Login)
		}
		for _, k := range sortedKeys(a.Settings) {
			fmt.Fprintf(&b, " %s=%s", k, a.Settings[k])
		}
		for _, k := range a.SecretSettings {
			fmt.Fprintf(&b, " %s=sealed", k)
		}
		b.WriteByte('\n')
	}
	var keys []string // two of one millisecond come in any order
	for _, k := range h.Keys.List() {
		keys = append(keys, "key "+k.Name+"\n")
	}
	slices.Sort(keys)
	b.WriteString(strings.Join(keys, ""))
	chosen := h.Settings.Chosen()
	for _, k := range sortedKeys(chosen) {
		fmt.Fprintf(&b, "%s: %s\n", k, chosen[k])
	}
	return b.String()
}

func sortedKeys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// TestImportReports runs every file of testdata/import: the files in it are imported with the options of its first line.
// Before, a dry run must say the same and change nothing; after, a second import must make nothing new.
func TestImportReports(t *testing.T) {
	names, err := filepath.Glob("testdata/import/*.txtar")
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	a, err := txtar.ParseFile(name)
	check(t, err)
	first, _, _ := strings.Cut(string(a.Comment), "\n")
	o := ImportOptions{Moved: strings.Contains(first, "moved"), Accept: strings.Contains(first, "accept")}
	var files []ImportFile
	want := map[string]string{}
	var inputs []txtar.File
	for _, f := range a.Files {
		if rest, ok := strings.CutPrefix(f.Name, "want "); ok {
			want[rest] = string(f.Data)
			continue
		}
		inputs = append(inputs, f)
		files = append(files, ImportFile{Name: f.Name, Data: f.Data})
	}
	h, _ := newHost(t, "")
	before := h.state()
	dry := h.take(t, files, ImportOptions{DryRun: true, Moved: o.Moved, Accept: o.Accept})
	if d := cmp.Diff(before, h.state()); d != "" {
		t.Error("a dry run changed something\n" + d)
	}
	r := h.take(t, files, o)
	got := map[string]string{"report": lines(r), "state": h.state(), "again": lines(h.take(t, files, o))}
	if d := cmp.Diff(got["state"], h.state()); d != "" {
		t.Error("a second import changed something\n" + d)
	}
	if dl, rl := strings.Count(lines(dry), "\n"), strings.Count(got["report"], "\n"); dl > rl || len(dry.Items) != len(r.Items) {
		t.Errorf("the dry run said something else:\n%s", cmp.Diff(lines(dry), got["report"]))
	}
	if *update {
		a.Files = inputs
		for _, k := range []string{"report", "state", "again"} {
			a.Files = append(a.Files, txtar.File{Name: "want " + k, Data: []byte(got[k])})
		}
		check(t, os.WriteFile(name, txtar.Format(a), 0o644))
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got\n" + d)
	}
	if all := got["report"] + got["again"] + got["state"]; strings.Contains(all, "canary") {
		t.Error("a secret is shown:\n" + all)
	}
}
