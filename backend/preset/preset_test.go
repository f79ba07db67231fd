package preset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/canon"
	"patchbay/backend/config"
)

func TestEveryBuiltInPresetIsDatedAndSourced(t *testing.T) {
	all := BuiltIn().All()
	if len(all) < 40 {
		t.Errorf("only %d presets", len(all))
	}
	for _, p := range all {
		if p.AsOf == "" || p.Source == "" {
			t.Errorf("%s: as_of %q, source %q", p.ID, p.AsOf, p.Source)
		}
		if !p.NoKey && p.KeyURL == "" {
			t.Errorf("%s: nobody is told where to get a key", p.ID)
		}
		if strings.HasSuffix(p.BaseURL, "/") {
			t.Errorf("%s: the base URL ends in a slash", p.ID)
		}
		if p.Kind == "openai" && p.BaseURL != "" && strings.Contains(p.BaseURL, "/chat/") {
			t.Errorf("%s: %s is an endpoint, no base", p.ID, p.BaseURL)
		}
		if _, isOld := config.OldNames[p.ID]; isOld {
			t.Errorf("%s is an old name of another provider", p.ID)
		}
	}
}

func TestBothFacesOfAVendorArePresets(t *testing.T) {
	for _, id := range []string{"deepseek", "kimi-code", "minimax", "zai"} {
		face, ok := BuiltIn().Get(id + "-anthropic")
		if !ok || face.Kind != "anthropic" {
			t.Errorf("%s has no face of Anthropic's protocol: %v", id, face)
		}
	}
}

func TestRegionsOfOneServiceKnowEachOther(t *testing.T) {
	got := BuiltIn().Elsewhere("dashscope-us")
	want := []string{"qwen-coding-plan", "qwen-coding-plan-cn", "qwen-token-plan", "dashscope", "dashscope-intl", "dashscope-hk"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := BuiltIn().Elsewhere("openrouter"); got != nil {
		t.Errorf("openrouter is nowhere else: %v", got)
	}
	if got := BuiltIn().Elsewhere("unheard-of"); got != nil {
		t.Error(got)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), FileName)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAPersonsFileChangesAddsAndTakesAway(t *testing.T) {
	s, err := Load(write(t, `
as_of: "2027-01-01"
presets:
  - id: deepseek
    base_url: https://deepseek.example/v2
  - id: house
    name: The house model
    kind: openai
    base_url: http://10.0.0.5:9000/v1
    models:
      list: static
      known: [{id: big, context: 1000, thinking: true, images: false}]
  - {id: together, remove: true}
  - {id: not-there, remove: true}
limits:
  - {match: ["gpt-5*"], context: 1, max_output: 2}
`))
	if err != nil {
		t.Fatal(err)
	}
	d, _ := s.Get("deepseek")
	before, _ := BuiltIn().Get("deepseek")
	if d.BaseURL != "https://deepseek.example/v2" || len(d.Quirks) != len(before.Quirks) || d.KeyURL != before.KeyURL {
		t.Errorf("what the entry did not name has changed: %+v", d)
	}
	if _, there := s.Get("together"); there {
		t.Error("together is still there")
	}
	if m, there := s.Get("mistral"); !there || m.ID != "mistral" {
		t.Errorf("the index is wrong after something was taken away: %v", m)
	}
	h, _ := s.Get("house")
	if h.AsOf != "2027-01-01" {
		t.Errorf("as of %q", h.AsOf)
	}
	want := []canon.Model{{ID: "big", Context: 1000, Thinking: canon.Yes, Images: canon.No}}
	if d := cmp.Diff(want, h.List()); d != "" {
		t.Error(d)
	}
	if c, o := s.Assumed("gpt-5-mini"); c != 1 || o != 2 {
		t.Errorf("own limits do not count: %d %d", c, o)
	}
	if c, _ := BuiltIn().Assumed("gpt-5-mini"); c == 1 {
		t.Error("the built-in set was changed")
	}
}

func TestAFileWithAMistakeIsNamedAndTheBuiltInOnesStay(t *testing.T) {
	for text, want := range map[string]string{
		"presets:\n  - id: deepseek\n    base_urll: x\n": "base_urll",
		"preset: []\n": "preset",
		"presets:\n  - id: ollama\n    name: O\n    kind: ollama\n    base_url: http://h\n    models: {list: live}\n": "local-ollama",
		"presets:\n  - id: A b\n": "small letters",
		"presets:\n  - id: x\n    name: X\n    kind: telepathy\n    base_url: https://h\n    models: {list: live}\n":             "telepathy",
		"presets:\n  - id: x\n    name: X\n    kind: openai\n    models: {list: live}\n":                                         "base_url is missing",
		"presets:\n  - id: x\n    name: X\n    kind: openai\n    base_url: h:1\n    models: {list: live}\n":                      "https://",
		"presets:\n  - id: x\n    name: X\n    kind: openai\n    base_url: https://h\n":                                          "live or static",
		"presets:\n  - id: x\n    kind: openai\n    base_url: https://h\n    models: {list: live}\n":                             "name is missing",
		"presets:\n  - id: x\n    name: X\n    kind: openai\n    base_url: https://h\n    models: {list: live, url: m}\n":        "models.url",
		"presets:\n  - id: x\n    name: X\n    kind: openai\n    base_url: https://h\n    models: {list: live, only: [\"\"]}\n":  "pattern",
		"presets:\n  - id: x\n    name: X\n    kind: openai\n    base_url: https://h\n    models: {list: static, known: [{}]}\n": "known[0].id",
		"presets:\n  - {id: deepseek, name: A}\n  - {id: deepseek, name: B}\n":                                                   "twice",
		"limits:\n  - {match: [\"\"], context: 1}\n":                                                                             "limits",
		"presets: [": FileName,
	} {
		s, err := Load(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), FileName) {
			t.Errorf("%q: %v does not name %q and the file", text, err, want)
		}
		if _, ok := s.Get("deepseek"); !ok {
			t.Errorf("%q: the built-in presets are gone", text)
		}
	}
	if s, err := Load(filepath.Join(t.TempDir(), FileName)); err != nil || len(s.All()) == 0 {
		t.Errorf("no file at all: %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder was read as a file")
	}
}

func TestSettingsLieOverThePreset(t *testing.T) {
	p := Preset{
		ID: "x", Name: "X", Kind: "openai", BaseURL: "https://h/v1", AuthHeader: "api-key",
		Headers: map[string]string{"A": "1", "B": "2"}, Quirks: []string{"one_system", "tool_stream"},
	}
	got := p.Under(config.Provider{Preset: "x", Headers: map[string]string{"B": "3"}, Quirks: []string{"-one_system", "max_tokens=5"}, Priority: 4})
	want := config.Provider{
		Preset: "x", Kind: "openai", Name: "X", BaseURL: "https://h/v1", AuthHeader: "api-key", Priority: 4,
		Headers: map[string]string{"A": "1", "B": "3"}, Quirks: []string{"tool_stream", "max_tokens=5"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = p.Under(config.Provider{Name: "Mine", BaseURL: "https://other", AuthHeader: "X-Key", Headers: map[string]string{"C": "4"}})
	if got.Name != "Mine" || got.BaseURL != "https://other" || got.AuthHeader != "X-Key" || got.Headers["C"] != "4" || p.Headers["C"] != "" {
		t.Errorf("%+v", got)
	}
	if got := (Preset{Kind: "openai"}).Under(config.Provider{Headers: map[string]string{"C": "4"}}); got.Headers["C"] != "4" {
		t.Errorf("%+v", got)
	}
}

func TestLimitsForShow(t *testing.T) {
	s := BuiltIn()
	for model, want := range map[string][2]int64{
		"gpt-5.2": {272000, 128000}, "claude-opus-4-8": {1000000, 64000}, "claude-sonnet-4-5": {200000, 64000},
		"google/gemini-3-pro": {1000000, 64000}, "DeepSeek-V4-pro": {1000000, 384000}, "deepseek-chat": {128000, 64000},
		"zai-org/GLM-5": {202752, 16384}, "MiniMax-M2.5": {196608, 64000}, "kimi-k2-0905": {256000, 32000}, "qwen3-coder-plus": {1000000, 64000},
		"never heard of": {128000, 32000},
	} {
		if c, o := s.Assumed(model); c != want[0] || o != want[1] {
			t.Errorf("%s: %d, %d instead of %v", model, c, o, want)
		}
	}
}
