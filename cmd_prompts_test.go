package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
)

func TestPromptsAreChangedByNameOfTheirParts(t *testing.T) {
	b := newBench()
	b.run(t, "prompts").check(t, exitOK, "no rules for system text")
	b.in = "from a pipe\n"
	b.run(t, "prompts", "set", "house", "--text", "-", "--provider", "kiro").check(t, exitOK, "The rule house holds")
	b.run(t, "prompts", "set", "house", "--mode", "prepend", "--replace", "a=b", "--order", "3").check(t, exitOK)
	want := api.PromptRule{Name: "house", Mode: "prepend", Text: "from a pipe", Providers: []string{"kiro"}, Replace: map[string]string{"a": "b"}, Order: 3}
	if d := cmp.Diff(want, b.svc.PromptList[0].PromptRule); d != "" {
		t.Error("-want +got\n" + d)
	}
	b.run(t, "prompts", "list").check(t, exitOK, "house", "prepend", "kiro", "from a pipe", "1 text")
	b.run(t, "prompts", "set", "house", "--file", "/rules.md", "--provider", "").check(t, exitOK)
	if r := b.svc.PromptList[0].PromptRule; r.Text != "" || r.File != "/rules.md" || r.Providers != nil {
		t.Errorf("%+v", r)
	}
	b.run(t, "prompts", "order", "b", "a").check(t, exitOK)
	if d := cmp.Diff([]string{"b", "a"}, b.svc.LastPrompts); d != "" {
		t.Error(d)
	}
	b.svc.PromptPreview = api.PromptPreview{
		Provider: "kiro", Before: "x", After: "x\n\nmore", Changed: true,
		Rules: []api.PromptApplied{{Name: "house", Does: []string{"appends"}, Problem: "it cannot be read"}},
	}
	b.run(t, "prompts", "preview", "x", "--provider", "kiro", "--key", "bot").check(t, exitOK, "x\n\nmore", "house: appends; it cannot be read")
	if d := cmp.Diff(api.PromptSample{System: "x", Provider: "kiro", Key: "bot"}, b.svc.LastSample); d != "" {
		t.Error(d)
	}
	b.run(t, "prompts", "preview", "--json").check(t, exitOK, `"after": "x\n\nmore"`)
	b.run(t, "prompts", "remove", "house").check(t, exitOK, "house is gone")
	b.run(t, "prompts", "remove", "house").check(t, exitFailed, "no prompt rule")
	b.run(t, "prompts", "set", "house").check(t, exitUsage, "say what the rule does")
}
