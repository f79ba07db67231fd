package doctor

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func machine(t *testing.T) System {
	return System{
		Getenv: func(string) string { return "" },
		Home:   t.TempDir(),
		Now:    now,
		Free:   func(string) error { return nil },
		Holder: func(uint16) (Process, bool) { return Process{}, false },
		Local:  func(host string) bool { return host == "127.0.0.1" || host == "localhost" },
	}
}

func healthy() Facts {
	return Facts{
		ConfigPath: "/c/config.yaml", Listen: "127.0.0.1:8390", Listening: true,
		Database:   Database{Path: "/d/patchbay.db"},
		Vault:      Vault{State: VaultOpen, Source: VaultKeychain},
		Providers:  []Provider{{ID: "openai", BaseURL: "https://api.openai.com/v1", Enabled: true}},
		Accounts:   []Account{{Provider: "openai", Name: "mine", State: "ready", Enabled: true}},
		Default:    "openai",
		ClientKeys: 1,
	}
}

func TestHealthyMachineHasNothingToMend(t *testing.T) {
	got := Check(healthy(), machine(t))
	want := []string{"config", "port", "database", "vault", "client_keys", "accounts", "default_provider", "clock"}
	if d := cmp.Diff(want, ids(got)); d != "" {
		t.Error("-want +got\n" + d)
	}
	if w := Worst(got); w != OK {
		t.Errorf("worst is %s: %+v", w, got)
	}
	saidByThePage(t, got)
}

func ids(fs []Finding) (out []string) {
	for _, f := range fs {
		out = append(out, f.ID)
	}
	return out
}

// TestEachTroubleIsFound breaks one thing at a time.
func TestEachTroubleIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		harm   func(*Facts, *System)
		id     string
		level  Level
		detail string // part of title, detail or fix
	}{
		"settings with mistakes": {func(f *Facts, _ *System) { f.ConfigProblems = []string{"line 3: unknown key"} }, "config", Problem, "line 3"},
		"address without a port": {func(f *Facts, _ *System) { f.Listen, f.Listening = "8390", false }, "port", Problem, "127.0.0.1:8390"},
		"not running":            {func(f *Facts, _ *System) { f.Listening = false }, "port", OK, "patchbay serve"},
		"port taken by a known program": {func(f *Facts, s *System) {
			f.Listening = false
			s.Free = func(string) error { return errors.New("in use") }
			s.Holder = func(p uint16) (Process, bool) { return Process{7, "nginx"}, p == 8390 }
		}, "port", Problem, "nginx (process 7)"},
		"Ollama listener on": {func(f *Facts, _ *System) {
			f.Second = Second{Listen: "127.0.0.1:11434", Running: true, NoKey: true}
		}, "ollama_listener", OK, "without a client key"},
		"Ollama listener without its address": {func(f *Facts, _ *System) {
			f.Second = Second{Listen: "127.0.0.1:11434", Running: true, Err: errors.New("port 11434 is in use by ollama (process 7)")}
		}, "ollama_listener", Warn, "ollama (process 7)"},
		"Ollama listener's address free": {func(f *Facts, _ *System) {
			f.Second = Second{Listen: "127.0.0.1:11434"}
		}, "ollama_listener", OK, "is free"},
		"Ollama listener's address taken": {func(f *Facts, s *System) {
			f.Second = Second{Listen: "127.0.0.1:11434"}
			s.Free = func(addr string) error { return errors.New(addr + " in use") }
		}, "ollama_listener", Warn, "127.0.0.1:11434 in use"},
		"a provider at the Ollama listener": {func(f *Facts, _ *System) {
			f.Second = Second{Listen: "127.0.0.1:11434", Running: true}
			f.Providers[0].BaseURL = "http://localhost:11434"
		}, "loop", Problem, "openai"},
		"port taken by somebody": {func(f *Facts, s *System) {
			f.Listening = false
			s.Free = func(string) error { return errors.New("in use") }
		}, "port", Problem, "could not be found out"},
		"open to the network":           {func(f *Facts, _ *System) { f.LAN = true }, "lan", Warn, "server.lan"},
		"database not openable":         {func(f *Facts, _ *System) { f.Database.Err = errors.New("disk full") }, "database", Problem, "disk full"},
		"database set aside":            {func(f *Facts, _ *System) { f.Database.SetAside = "kept as x.bad" }, "database", Warn, "x.bad"},
		"keychain locked":               {func(f *Facts, _ *System) { f.Vault.State = VaultLocked }, "vault", Problem, "Unlock"},
		"vault key lost":                {func(f *Facts, _ *System) { f.Vault.State, f.Vault.Err = VaultLost, errors.New("no item") }, "vault", Problem, "no item"},
		"vault key in a file":           {func(f *Facts, _ *System) { f.Vault.Source, f.Vault.Path = VaultFile, "/d/vault.key" }, "vault", Warn, "weaker"},
		"vault key in a lost file":      {func(f *Facts, _ *System) { f.Vault = Vault{State: VaultLost, Source: VaultFile, Path: "/d/vault.key"} }, "vault", Problem, "/d/vault.key"},
		"vault key in environment":      {func(f *Facts, _ *System) { f.Vault.Source = VaultEnv }, "vault", OK, "PATCHBAY_VAULT_KEY"},
		"key of the environment locked": {func(f *Facts, _ *System) { f.Vault = Vault{State: VaultLocked, Source: VaultEnv} }, "vault", Problem, "PATCHBAY_VAULT_KEY set"},
		"key file locked": {func(f *Facts, _ *System) {
			f.Vault = Vault{State: VaultLocked, Source: VaultFile, Path: "/d/vault.key", Err: errors.New("it is a folder")}
		}, "vault", Problem, "it is a folder"},
		"key of the environment lost": {func(f *Facts, _ *System) { f.Vault = Vault{State: VaultLost, Source: VaultEnv} }, "vault", Problem, "PATCHBAY_VAULT_KEY"},
		"prompt file gone":            {func(f *Facts, _ *System) { f.Prompts = []Prompt{{Name: "mine", File: "/p", Problem: "gone"}} }, "prompt.file", Problem, "without its text"},
		"prompt file gone, text held": {func(f *Facts, _ *System) {
			f.Prompts = []Prompt{{Name: "mine", File: "/p", Problem: "gone", Held: true}}
		}, "prompt.file", Problem, "still used"},
		"login of another program": {func(f *Facts, _ *System) {
			f.Files = []File{{ID: "f1", Provider: "codex", Path: "/h", Program: "Codex CLI", State: "found"}}
		}, "credential_file.found", OK, "accounts borrow f1"},
		"credential file unreadable": {func(f *Facts, _ *System) {
			f.Files = []File{{ID: "f1", Provider: "codex", Path: "/h", Program: "Codex CLI", State: "unreadable"}}
		}, "credential_file.unreadable", Warn, "Codex CLI"},
		"credential file gone": {func(f *Facts, _ *System) {
			f.Files = []File{{ID: "f1", Provider: "codex", Path: "/h", State: "gone", Account: "ann"}}
		}, "credential_file.gone", Problem, "codex/ann"},
		"credential file of somebody else": {func(f *Facts, _ *System) {
			f.Files = []File{{ID: "f1", Provider: "codex", Path: "/h", State: "changed", Account: "ann"}}
		}, "credential_file.changed", Problem, "accounts borrow f1"},
		"vault in memory":           {func(f *Facts, _ *System) { f.Vault.Source = VaultMemory }, "vault", Warn, "memory"},
		"no client key":             {func(f *Facts, _ *System) { f.ClientKeys = 0 }, "client_keys", Problem, "keys add"},
		"no account":                {func(f *Facts, _ *System) { f.Accounts, f.Default = nil, "" }, "accounts", Problem, "accounts add"},
		"no account enabled":        {func(f *Facts, _ *System) { f.Accounts[0].Enabled = false }, "accounts", Problem, "enable"},
		"account refused":           {func(f *Facts, _ *System) { f.Accounts[0].NeedsPerson, f.Accounts[0].Reason = true, "key refused" }, "account.needs_person", Problem, "key refused"},
		"account name with a blank": {func(f *Facts, _ *System) { f.Accounts[0].NeedsPerson, f.Accounts[0].Name = true, "my own" }, "account.needs_person", Problem, `"openai/my own"`},
		"no default":                {func(f *Facts, _ *System) { f.Default = "" }, "default_provider", OK, "providers default"},
		"unknown default":           {func(f *Facts, _ *System) { f.Default = "gone" }, "default_provider", Problem, "not known"},
		"default without account": {func(f *Facts, _ *System) {
			f.Default = "kiro"
			f.Providers = append(f.Providers, Provider{ID: "kiro"})
		}, "default_provider", Problem, "accounts add kiro"},
		"loop": {func(f *Facts, _ *System) { f.Providers[0].BaseURL = "http://localhost:8390/v1" }, "loop", Problem, "openai"},
		"proxy variables": {func(_ *Facts, s *System) {
			s.Getenv = func(n string) string { return map[string]string{"https_proxy": "http://u:secret@h"}[n] }
		}, "proxy_env", Warn, "https_proxy"},
		"clock before the program": {func(_ *Facts, s *System) { s.Now = time.Unix(0, 0) }, "clock", Problem, "1970"},
		"clock went back":          {func(f *Facts, _ *System) { f.LatestRequest = now.Add(time.Hour) }, "clock", Warn, "went back"},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := healthy(), machine(t)
			c.harm(&f, &s)
			saidByThePage(t, Check(f, s))
			for _, got := range Check(f, s) {
				if got.ID != c.id {
					continue
				}
				text := got.Title + "\n" + got.Detail + "\n" + got.Fix
				if got.Level != c.level || !strings.Contains(text, c.detail) || strings.Contains(text, "u:secret") {
					t.Errorf("%+v", got)
				}
				return
			}
			t.Errorf("nothing found: %v", ids(Check(f, s)))
		})
	}
}

// saidByThePage holds the page's English sentences to those of the doctor: where there is one under the finding's code, it
// says the same once its values are in it. Titles and advice have one always; a detail may be what somebody else said.
func saidByThePage(t *testing.T, findings []Finding) {
	t.Helper()
	data, err := os.ReadFile("../../frontend/src/i18n/en/doctor.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		for part, want := range map[string]string{"": f.Title, ".detail": f.Detail, ".fix": f.Fix} {
			got, ok := texts["doctor."+f.Code+part]
			for name, value := range f.Params {
				got = strings.ReplaceAll(got, "{"+name+"}", value)
			}
			switch {
			case ok && got != want:
				t.Errorf("%s%s: the page says\n%s\nand the doctor\n%s", f.Code, part, got, want)
			case !ok && (part == "" || part == ".fix" && want != ""):
				t.Errorf("%s%s is not among the page's texts", f.Code, part)
			}
		}
	}
}

func TestWorstLevelWins(t *testing.T) {
	for _, c := range []struct {
		in   []Level
		want Level
	}{{nil, OK}, {[]Level{OK, Warn, OK}, Warn}, {[]Level{Warn, Problem, OK}, Problem}} {
		var fs []Finding
		for _, l := range c.in {
			fs = append(fs, Finding{Level: l})
		}
		if got := Worst(fs); got != c.want {
			t.Errorf("%v: %s", c.in, got)
		}
	}
}

// TestClaudeLoginIsNotRead puts a folder where the file would be: reading it would fail, noticing it does not.
func TestClaudeLoginIsNotRead(t *testing.T) {
	s := machine(t)
	if got := claudeLogin(Facts{}, s); got != nil {
		t.Fatal(got)
	}
	if err := os.MkdirAll(claudeFile(s.Home), 0o700); err != nil {
		t.Fatal(err)
	}
	got := claudeLogin(Facts{}, s)
	if len(got) != 1 || !strings.Contains(got[0].Fix, "inside Claude Code only") {
		t.Error(got)
	}
	saidByThePage(t, got)
	if got := claudeLogin(Facts{}, System{}); got != nil {
		t.Error("without a home there is nothing to notice", got)
	}
}

func TestLoops(t *testing.T) {
	for _, c := range []struct {
		base, listen string
		want         bool
	}{
		{"http://127.0.0.1:8390/v1", "127.0.0.1:8390", true},
		{"http://LOCALHOST:8390", "127.0.0.1:8390", true},
		{"http://[::1]:8390", "127.0.0.1:8390", true},
		{"http://0.0.0.0:8390", ":8390", true},
		{"http://localhost/v1", "127.0.0.1:80", true},
		{"https://patchbay.localhost", "127.0.0.1:443", true},
		{"http://127.0.0.1:11434", "127.0.0.1:8390", false},
		{"https://api.openai.com/v1", "127.0.0.1:443", false},
		{"http://203.0.113.9:8390", "127.0.0.1:8390", false},
		{"", "127.0.0.1:8390", false},
		{"http://127.0.0.1:8390", "nonsense", false},
	} {
		if got := Loops(c.base, c.listen, nil); got != c.want {
			t.Errorf("%s on %s: %v", c.base, c.listen, got)
		}
	}
	if name, err := os.Hostname(); err == nil && !local(strings.ToUpper(name)) {
		t.Error("this machine's own name is not local")
	}
}

func TestOwnInterfaceAddressesAreLocal(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !local(n.IP.String()) {
			t.Errorf("%s is not local", n.IP)
		}
	}
}

func TestRealPortHasAHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := ThisMachine()
	if s.Free(l.Addr().String()) == nil {
		t.Error("a port in use counts as free")
	}
	if runtime.GOOS != "linux" {
		t.Skip("holders are known on Linux only")
	}
	p, ok := s.Holder(uint16(l.Addr().(*net.TCPAddr).Port))
	if !ok || p.PID != os.Getpid() || p.Name == "" {
		t.Errorf("%+v %v", p, ok)
	}
	if err := s.Free("127.0.0.1:0"); err != nil {
		t.Error(err)
	}
}

// TestHolderReadsTheTables uses a made-up /proc in which one listener belongs to a process that can be seen and one to a
// process that cannot.
func TestHolderReadsTheTables(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("net/tcp", "  sl  local_address rem_address   st\n"+
		"   0: 0100007F:20C6 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 555 1\n"+
		"   1: 0100007F:20C7 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 777 1\n")
	write("net/tcp6", "   0: 00000000000000000000000001000000:20C8 0:0 0A 0:0 00:0 0 1000 0 666 1\n")
	write("42/comm", "nginx\n")
	if err := os.MkdirAll(filepath.Join(proc, "42", "fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("socket:[555]", filepath.Join(proc, "42", "fd", "3")); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		port uint16
		want string
		ok   bool
	}{{0x20C6, "nginx (process 42)", true}, {0x20C8, "a program of another user", true}, {0x20C7, "", false}} {
		p, ok := holder(proc, c.port)
		if ok != c.ok || ok && p.String() != c.want {
			t.Errorf("%x: %v %v", c.port, p, ok)
		}
	}
}
