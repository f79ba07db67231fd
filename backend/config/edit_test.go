package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `# Head comment

schema_version: 1
server:
  # where
  listen: 127.0.0.1:8390   # keep me

  allowed_hosts:
  - a.example
  - b.example

  # after the list
  lan: false
providers:
  deepseek:
    kind: openai
    base_url: "https://api.deepseek.com/v1" # quoted # twice
    aliases: {chat: deepseek-chat, "r:1": deepseek-reasoner}
    models: [a,
      b]
    # hint for deepseek

  # about home
  home-ollama: {kind: ollama, base_url: http://127.0.0.1:11434/v1, limits: {concurrent: 1}}
routing:
log: {}
# the end
`

func TestSetChangesOneValueAndNothingElse(t *testing.T) {
	for _, c := range []struct{ name, key, value, old, new string }{
		{"a value keeps the comment behind it", "server.listen", "127.0.0.1:9000", "listen: 127.0.0.1:8390   # keep me", "listen: \"127.0.0.1:9000\"   # keep me"},
		{"a quoted value with a # in its comment", "providers.deepseek.base_url", "https://api.deepseek.com", `"https://api.deepseek.com/v1" # quoted # twice`, `https://api.deepseek.com # quoted # twice`},
		{"a block list", "server.allowed_hosts", "c.example", "allowed_hosts:\n  - a.example\n  - b.example\n", "allowed_hosts: [c.example]\n"},
		{"a list over two lines", "providers.deepseek.models", "[x, y]", "models: [a,\n      b]\n", "models: [x, y]\n"},
		{"a new value in a group", "server.limits.body_bytes", "1MiB", "  lan: false\n", "  lan: false\n  limits:\n    body_bytes: 1MiB\n"},
		{"a new value in a provider", "providers.deepseek.enabled", "false", "      b]\n", "      b]\n    enabled: false\n"},
		{"a new provider's name", "providers.deepseek.name", "Deep: Seek", "      b]\n", "      b]\n    name: \"Deep: Seek\"\n"},
		{"an entry of a flow map", "providers.deepseek.aliases.chat", "v4", `{chat: deepseek-chat, "r:1": deepseek-reasoner}`, `{chat: v4, "r:1": deepseek-reasoner}`},
		{"a new entry of a flow map", "providers.home-ollama.timeouts.idle", "10m", "limits: {concurrent: 1}}", "limits: {concurrent: 1}, timeouts: {idle: 10m}}"},
		{"a deep entry of a flow map", "providers.home-ollama.limits.concurrent", "4", "{concurrent: 1}", "{concurrent: 4}"},
		{"a group without a value", "routing.aliases.gpt-4.1", "codex/gpt-5", "routing:\n", "routing:\n  aliases:\n    gpt-4.1: codex/gpt-5\n"},
		{"an empty flow group", "log.packages.route", "debug", "log: {}\n", "log:\n  packages:\n    route: debug\n"},
		{"a new top-level value", "default_provider", "codex", "# the end\n", "# the end\ndefault_provider: codex\n"},
		{"what is the default already is written out", "timeouts.idle", "5m", "# the end\n", "# the end\ntimeouts:\n  idle: 5m\n"},
		{"switching a limit off", "timeouts.total", "off", "# the end\n", "# the end\ntimeouts:\n  total: off\n"},
		{"the value that it has", "server.lan", "false", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, path := load(t, sample, Options{})
			if err := s.Set(c.key, c.value); err != nil {
				t.Fatal(err)
			}
			want := strings.Replace(sample, c.old, c.new, 1)
			if diff := cmp.Diff(want, read(t, path)); diff != "" {
				t.Error(diff)
			}
			again, err := Load(Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s.Current(), again.Current()); diff != "" {
				t.Errorf("what is in force is not what the file says: %s", diff)
			}
		})
	}
}

func TestUnsetTakesTheLinesOut(t *testing.T) {
	for _, c := range []struct{ name, key, old string }{
		{"a value", "server.lan", "  lan: false\n"},
		{"a list", "server.allowed_hosts", "  allowed_hosts:\n  - a.example\n  - b.example\n"},
		{"a provider", "providers.home-ollama", "  home-ollama: {kind: ollama, base_url: http://127.0.0.1:11434/v1, limits: {concurrent: 1}}\n"},
		{"an entry of a flow map", "providers.home-ollama.limits", ", limits: {concurrent: 1}"},
		{"what is not there", "providers.nobody", ""},
		{"a value that is not there", "timeouts.idle", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, path := load(t, sample, Options{})
			if err := s.Unset(c.key); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Replace(sample, c.old, "", 1), read(t, path)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUpdateWritesWhatChanged(t *testing.T) {
	s, path := load(t, sample, Options{})
	on := true
	err := s.Update(func(c *Config) error {
		c.Server.LAN = true
		c.Providers["groq"] = Provider{Kind: "openai", BaseURL: "https://api.groq.com/openai/v1", Enabled: &on, Headers: map[string]string{"X-Title": "Patchbay"}}
		delete(c.Providers, "home-ollama")
		p := c.Providers["deepseek"]
		p.Models, p.Priority = nil, 3
		c.Providers["deepseek"] = p
		c.Routing.Chains = map[string][]string{"codex": {"groq", "deepseek/deepseek-chat"}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := sample
	for _, r := range [][2]string{
		{"lan: false", "lan: true"},
		{"    models: [a,\n      b]\n", "    priority: 3\n"},
		{"  home-ollama: {kind: ollama, base_url: http://127.0.0.1:11434/v1, limits: {concurrent: 1}}\n",
			"  groq:\n    base_url: https://api.groq.com/openai/v1\n    enabled: true\n    headers:\n      X-Title: Patchbay\n    kind: openai\n"},
		{"routing:\n", "routing:\n  chains:\n    codex: [groq, deepseek/deepseek-chat]\n"},
	} {
		want = strings.Replace(want, r[0], r[1], 1)
	}
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Error(diff)
	}
	refused := errors.New("no")
	if err := s.Update(func(*Config) error { return refused }); err != refused {
		t.Errorf("%v", err)
	}
	if err := s.Update(func(*Config) error { return nil }); err != nil {
		t.Errorf("%v", err)
	}
}

func TestLineEndsAndModeStay(t *testing.T) {
	s, path := load(t, "\xef\xbb\xbfserver:\r\n  lan: false # x\r\n", Options{})
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("server.lan", "true"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("server:\r\n  lan: true # x\r\n", read(t, path)); diff != "" {
		t.Error(diff)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", st.Mode(), err)
	}
}

func TestSymbolicLinkStays(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "dotfiles.yaml")
	os.WriteFile(target, []byte("server: {lan: false}\n"), 0o600)
	link := filepath.Join(dir, "config.yaml")
	if err := os.Symlink("dotfiles.yaml", link); err != nil {
		t.Skip(err)
	}
	s, err := Load(Options{Path: link})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set("server.lan", "true"); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Lstat(link); st.Mode()&os.ModeSymlink == 0 || !strings.Contains(read(t, target), "lan: true") {
		t.Errorf("%v\n%s", st.Mode(), read(t, target))
	}
}

func TestEditThatCannotBeExactIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a document in braces": "{server: {lan: false}}\n",
		"a document end":       "server:\n  lan: false\n...\n",
	} {
		s, path := load(t, text, Options{})
		if err := s.Set("default_provider", "codex"); err == nil {
			t.Errorf("%s: %s", name, read(t, path))
		}
		if got := read(t, path); got != text {
			t.Errorf("%s: the file changed to %q", name, got)
		}
	}
}

func TestFirstSetMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "config.yaml")
	s, err := Load(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set("default_provider", "codex"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("default_provider: codex\n", read(t, path)); diff != "" {
		t.Error(diff)
	}
	if made, err := WriteStarter(path); made || err != nil {
		t.Errorf("the starter replaced a file: %v %v", made, err)
	}
}

func TestStarterChangesNothingAndItsExamplesAreRight(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "config.yaml")
	if made, err := WriteStarter(path); !made || err != nil {
		t.Fatal(made, err)
	}
	s, err := Load(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), s.Current()); diff != "" {
		t.Error(diff)
	}
	if err := s.Set("providers.kiro.enabled", "true"); err != nil {
		t.Error(err)
	}
	var open []string
	for line := range strings.Lines(Starter[strings.Index(Starter, "schema_version"):]) {
		if rest, ok := strings.CutPrefix(line, "# "); ok && (strings.Contains(rest, ": ") || strings.HasSuffix(rest, ":\n")) && !strings.HasPrefix(rest, "The ") {
			line = rest
		}
		open = append(open, line)
	}
	_, path = load(t, strings.Join(open, ""), Options{Builtin: []string{"codex", "kiro", "anthropic"}})
	if !strings.Contains(read(t, path), "\nserver:\n  listen:") {
		t.Error("the examples were not opened")
	}
}

func FuzzSetIsExactOrRefused(f *testing.F) {
	f.Add(sample, "home page # x")
	f.Add("server:\n    lan: no\n", "")
	f.Add("{}", "a: b")
	f.Add("providers:\n  x: {name: \"a # b\"} # c\n", "two\nlines")
	f.Fuzz(func(t *testing.T, text, value string) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		write(t, path, text)
		s, err := Load(Options{Path: path})
		if err != nil {
			return
		}
		others := func() string {
			c := clone(s.Current())
			delete(c.Providers, "x")
			var b strings.Builder
			for _, l := range slices.Sorted(maps.Keys(flatten(c))) {
				b.WriteString(l + "=" + render(flatten(c)[l].value) + "\n")
			}
			return b.String()
		}
		before := others()
		if err := s.Set("providers.x.name", value); err != nil {
			if got := read(t, path); got != text {
				t.Errorf("refused, but the file changed: %q", got)
			}
			return
		}
		again, err := Load(Options{Path: path})
		if err != nil {
			t.Fatalf("the edited file cannot be read: %v", err)
		}
		if got := again.Current().Providers["x"].Name; got != value {
			t.Errorf("%q became %q", value, got)
		}
		if s = again; others() != before {
			t.Errorf("something else changed:\n%s", cmp.Diff(before, others()))
		}
	})
}
