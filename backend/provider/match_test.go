package provider

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/canon"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"whisper*", "whisper-large-v3", true}, {"whisper*", "openai/whisper", false}, {"*whisper*", "openai/Whisper-1", true},
		{"*-embedding*", "text-embedding-v4", true}, {"*-embedding", "text-embedding-v4", false}, {"a*b*c", "aXbYc", true},
		{"a*b*c", "aXcYb", false}, {"*", "", true}, {"", "", true}, {"", "x", false}, {"a*a", "a", false}, {"exact", "EXACT", true},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestListedFiltersAndFills(t *testing.T) {
	info := Info{
		Only: []string{"kimi-k*"}, Hide: []string{"*-tts"},
		Models: []canon.Model{{ID: "kimi-k3", Context: 5, MaxOutput: 7, Thinking: canon.Yes, Name: "K3"}, {ID: "kimi-k9", Context: 9}},
	}
	got := info.Listed([]canon.Model{{ID: "kimi-k3", Context: 6, Thinking: canon.No}, {ID: "moonshot-v1"}, {ID: "kimi-k3-tts"}, {ID: "kimi-k4"}})
	want := []canon.Model{{ID: "kimi-k3", Name: "K3", Context: 6, MaxOutput: 7, Thinking: canon.No}, {ID: "kimi-k4"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
