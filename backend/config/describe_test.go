package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEverySettingIsDescribed walks the schema with a provider and a rule in it.
func TestEverySettingIsDescribed(t *testing.T) {
	s := loadText(t, "providers:\n  mine: {preset: x}\nprompts:\n  one: {text: hello}\n")
	seen := map[string]bool{}
	for _, f := range s.Describe("") {
		if f.About == "" || f.Section == "" || strings.HasSuffix(f.About, ".") {
			t.Errorf("%s: say in notes.go what it is for, without a full stop", f.Key)
		}
		if seen[f.Key] {
			t.Errorf("%s comes twice", f.Key)
		}
		seen[f.Key] = true
	}
	for _, key := range []string{"server.lan", "providers.mine.base_url", "prompts.one.text", "routing.aliases", "timeouts.total"} {
		if !seen[key] {
			t.Errorf("%s is missing", key)
		}
	}
	if fields := s.Describe("openai"); len(fields) < 10 || fields[0].Key != "providers.openai.enabled" || fields[0].Value != nil {
		t.Errorf("%+v", fields)
	}
}

func loadText(t *testing.T, text string, env ...string) *Settings {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(Options{Path: path, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func field(t *testing.T, s *Settings, key string) Field {
	t.Helper()
	for _, f := range s.Describe("") {
		if f.Key == key {
			return f
		}
	}
	t.Fatalf("there is no %s", key)
	return Field{}
}

func fileText(t *testing.T, s *Settings) string {
	t.Helper()
	b, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDescribeShowsValueDefaultAndSource(t *testing.T) {
	s := loadText(t, "timeouts:\n  idle: 90s\nserver:\n  allowed_hosts: [a.example]\nrouting:\n  aliases: {fast: openai/gpt}\nlog: {level: debug}\n", "PATCHBAY_SERVER_LAN=true")
	for key, want := range map[string]Field{
		"timeouts.idle":            {Kind: "duration", Value: "1m30s", Default: "5m", Source: Source{Kind: FromFile, Line: 2}},
		"timeouts.total":           {Kind: "duration", Value: "off", Default: "off", Source: Source{Kind: FromDefault}},
		"server.lan":               {Kind: "switch", Value: true, Default: false, Source: Source{Kind: FromEnv, Name: "PATCHBAY_SERVER_LAN"}},
		"server.allowed_hosts":     {Kind: "list", Value: []any{"a.example"}, Default: []any{}, Source: Source{Kind: FromFile, Line: 4}},
		"server.limits.body_bytes": {Kind: "size", Value: "64MiB", Default: "64MiB", Source: Source{Kind: FromDefault}},
		"routing.aliases":          {Kind: "map", Value: map[string]any{"fast": "openai/gpt"}, Default: map[string]any{}, Source: Source{Kind: FromFile, Line: 6}},
		"routing.max_attempts":     {Kind: "number", Value: 8, Default: 8, Source: Source{Kind: FromDefault}},
		"log.level":                {Kind: "text", Value: "debug", Default: "info", Source: Source{Kind: FromFile, Line: 7}},
	} {
		f := field(t, s, key)
		if f.Source.Kind == FromFile {
			f.Source.Name = ""
		}
		got := Field{Kind: f.Kind, Value: f.Value, Default: f.Default, Source: f.Source}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s\n%s", key, d)
		}
	}
}

func TestChangeTakesWhatDescribeGives(t *testing.T) {
	s := loadText(t, "# mine\ntimeouts:\n  idle: 90s # patience\n")
	values := map[string]any{}
	for _, f := range s.Describe("") {
		if f.Value != nil {
			values[f.Key] = f.Value
		}
	}
	before := s.Current()
	if err := s.Change(values); err != nil {
		t.Fatal(err)
	}
	if !sameSettings(before, s.Current()) {
		t.Errorf("what was in force is not any more:\n%s", fileText(t, s))
	}
	if text := fileText(t, s); !strings.Contains(text, "idle: 1m30s # patience") && !strings.Contains(text, "idle: 90s # patience") || !strings.HasPrefix(text, "# mine") {
		t.Errorf("comments are lost:\n%s", text)
	}
}

func TestChangeSetsAndUnsetsAtOnce(t *testing.T) {
	const text = "# top\nserver:\n  lan: true # careful\ntimeouts:\n  idle: 90s\nproviders:\n  mine:\n    preset: x\nrouting:\n  aliases:\n    a: openai/b # why\n    c: openai/d\n"
	s := loadText(t, text)
	err := s.Change(map[string]any{
		"server.lan": nil, "timeouts.total": "10m", "routing.max_attempts": 3.0, "server.allowed_hosts": []any{"x.example", "y.example"},
		"routing.aliases": map[string]any{"a": "openai/b", "e": "openai/f"}, "providers.mine": nil, "log.level": "info",
		"prompts.polite": map[string]any{"text": "Be polite: always", "providers": []any{"openai"}},
		"routing.chains": map[string]any{"openai": []any{"gemini", "anthropic/m"}}, "timeouts.idle": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.Current()
	if cfg.Server.LAN || cfg.Timeouts.Total.Minutes() != 10 || cfg.Timeouts.Idle.Minutes() != 5 || cfg.Routing.MaxAttempts != 3 || len(cfg.Providers) != 0 ||
		cfg.Prompts["polite"].Text != "Be polite: always" || cfg.Routing.Chains["openai"][1] != "anthropic/m" {
		t.Errorf("%+v", cfg)
	}
	if d := cmp.Diff(map[string]string{"a": "openai/b", "e": "openai/f"}, cfg.Routing.Aliases); d != "" {
		t.Error(d)
	}
	got := fileText(t, s)
	for _, want := range []string{"# top\n", "a: openai/b # why", "level: info"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	for _, gone := range []string{"lan:", "mine", "idle", "c: openai/d"} {
		if strings.Contains(got, gone) {
			t.Errorf("%q is still in\n%s", gone, got)
		}
	}
}

func TestChangeNamesTheSettingThatIsWrong(t *testing.T) {
	s := loadText(t, "timeouts:\n  idle: 90s\n", "PATCHBAY_LOG_LEVEL=warn")
	before := fileText(t, s)
	for name, c := range map[string]struct {
		key   string
		value any
	}{
		"no such setting":           {"server.lam", true},
		"a group":                   {"server", "x"},
		"wrong kind":                {"server.lan", []any{"x"}},
		"no number":                 {"routing.max_attempts", "many"},
		"half a number":             {"routing.max_attempts", 1.5},
		"out of range":              {"routing.max_attempts", 1000.0},
		"no duration":               {"timeouts.total", "soon"},
		"text for a map":            {"routing.aliases", "x"},
		"list for a text":           {"log.level", []any{"info"}},
		"null in a list":            {"server.allowed_hosts", []any{nil}},
		"no choice":                 {"log.packages", map[string]any{"x": "loud"}},
		"locked by the environment": {"log.level", "info"},
		"version":                   {"schema_version", 3.0},
	} {
		err := s.Change(map[string]any{"timeouts.keep_alive": "20s", c.key: c.value})
		list := Errors(err)
		if len(list) == 0 || !strings.HasPrefix(list[0].Key, c.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if fileText(t, s) != before {
		t.Error("a refused change changed the file")
	}
}
