package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/canon"
)

func idsOf(list []canon.Model) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.ID)
	}
	return out
}

func TestLabelledListNamesTheProvider(t *testing.T) {
	h := newHouse()
	h.providers[2].Name = "OpenAI"  // a name that another one has
	h.providers[5].Name = "My] box" // and one that cannot stand in brackets
	h.lists["local"] = models("llama3:8b")
	r := h.router(t)
	list, err := r.Labelled(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"[Anthropic] claude-haiku-4-5", "[Anthropic] claude-opus-4-5-20251101", "[Anthropic] claude-sonnet-4-5",
		"[OpenAI] gpt-5", "[OpenAI] gpt-5-mini", "[OpenAI] shared",
		"[router] mine", "[router] openai/gpt-5", "[router] shared", "[router] x:8b", "[local] llama3:8b", "fast", "plain",
	}
	if d := cmp.Diff(want, idsOf(list)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for _, m := range list {
		found, ok := r.Find(t.Context(), Query{Model: m.ID, Format: "ollama"})
		if !ok || m.Provider != "" && found.Provider != m.Provider {
			t.Errorf("%s leads to %+v", m.ID, found)
		}
	}
	own, err := r.Labelled(t.Context(), "router")
	if d := cmp.Diff(want[6:10], idsOf(own)); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if _, err := r.Labelled(t.Context(), "empty"); err == nil {
		t.Error("a provider without an account has a list")
	}
	if m := r.Label("router", "shared"); m.ID != "[router] shared" || m.Provider != "router" {
		t.Errorf("%+v", m)
	}
	if m := r.Label("gone", "x"); m.ID != "x" {
		t.Errorf("%+v", m)
	}
}

func TestNamesOfLooseClientsAreFound(t *testing.T) {
	h := newHouse()
	h.lists["local"] = models("Qwen3:8b", "phi4:latest", "tagged:latest", "tagged")
	r := h.router(t)
	for name, want := range map[string]string{
		"QWEN3:8B":                    "local/Qwen3:8b",
		"phi4":                        "local/phi4:latest",
		"Phi4:LATEST":                 "local/phi4:latest",
		"tagged":                      "local/tagged",
		"tagged:latest":               "local/tagged:latest",
		"GPT-5:latest":                "openai/gpt-5",
		"[openai] GPT-5-mini":         "openai/gpt-5-mini",
		"OpenAI/Shared":               "openai/shared",
		"[Claude] claude-SONNET-4-5":  "anthropic/claude-sonnet-4-5",
		"[router] OPENAI/gpt-5":       "router/openai/gpt-5",
		"FAST":                        "openai/gpt-5-mini",
		"fast:latest":                 "openai/gpt-5-mini",
		"MINE":                        "router/openai/gpt-5",
		"[Anthropic] claude-opus-4-5": "anthropic/claude-opus-4-5",
		"[Anthropic] nothing":         "",
		"nothing:latest":              "",
		"[Empty] x":                   "",
	} {
		m, ok := r.Find(t.Context(), Query{Model: name, Format: "ollama"})
		got := ""
		if ok {
			got = m.Provider + "/" + m.ID
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	below := func(model string) string {
		p, err := r.Plan(t.Context(), Query{PathProvider: "local", Model: model, Format: "ollama"})
		if err != nil {
			return err.Error()
		}
		return p.Candidates[0].Model
	}
	for model, want := range map[string]string{"qwen3:8B": "Qwen3:8b", "[Local] PHI4": "phi4:latest", "openai/Own": "openai/Own", "shared": "shared"} {
		if got := below(model); got != want {
			t.Errorf("below a path: %s: %q, want %q", model, got, want)
		}
	}
	// Clients of other formats say what they mean.
	if m, ok := r.Find(t.Context(), Query{Model: "[Local] QWEN3:8B", Format: "openai"}); ok {
		t.Errorf("%+v", m)
	}
}

func TestUsualContextIsOnlyFilledIn(t *testing.T) {
	h := newHouse()
	h.lists["openai"] = []canon.Model{{ID: "a"}, {ID: "b", Context: 5}}
	r := h.router(t)
	r.o.Assumed = func(string) (int64, int64) { return 100, 10 }
	for name, want := range map[string]int64{"[OpenAI] a": 100, "[OpenAI] b": 5} {
		if m, ok := r.Find(t.Context(), Query{Model: name, Format: "ollama"}); !ok || m.Context != want {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if p, err := r.Plan(t.Context(), Query{Model: "[OpenAI] a", Format: "ollama"}); err != nil || p.Candidates[0].Facts.Context != 0 {
		t.Errorf("the plan goes by an assumption: %v %+v", err, p)
	}
}
