package backend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
)

func names(list []api.PromptRuleView) string {
	var out []string
	for _, v := range list {
		out = append(out, v.Name)
	}
	return strings.Join(out, " ")
}

func TestPromptRulesAreChangedAndKept(t *testing.T) {
	b := openTest(t, "prompts:\n  house: # mine\n    text: Answer in English.\n", func(o *Options) { o.Flags["prompts.fixed.text"] = "held" })
	ctx := t.Context()
	if _, err := b.AddKey(ctx, api.NewKey{Name: "Bot"}); err != nil {
		t.Fatal(err)
	}
	set := func(name string, p api.PromptRule) api.PromptRuleView {
		t.Helper()
		return ok(b.SetPrompt(ctx, name, p))(t)
	}
	got := set("bot", api.PromptRule{Mode: "override", Text: "line one\n\"line\" two: # 3\n", Keys: []string{"bot"}, Replace: map[string]string{"a: b": "c"}})
	if got.Reach != "key" || got.Text != "line one\n\"line\" two: # 3\n" || got.Mode != "override" {
		t.Errorf("%+v", got)
	}
	set("kiro", api.PromptRule{Text: "for kiro", Providers: []string{"kiro"}})
	set("only-replaces", api.PromptRule{Mode: "append", Replace: map[string]string{"x": "y"}})
	if list := names(ok(b.Prompts(ctx))(t)); list != "fixed house only-replaces kiro bot" {
		t.Error(list)
	}
	// what stands in no file has no place that could be kept: it stays in front
	if list := names(ok(b.OrderPrompts(ctx, []string{"only-replaces", "house"}))(t)); list != "fixed only-replaces house kiro bot" {
		t.Error(list)
	}
	if got = set("house", api.PromptRule{Name: "home", Text: "Answer in English.", Order: 9}); got.Name != "home" {
		t.Errorf("%+v", got)
	}
	if list := names(ok(b.Prompts(ctx))(t)); list != "fixed only-replaces home kiro bot" {
		t.Error(list)
	}
	again := b.settings.Current().Prompts["bot"]
	if again.Text != "line one\n\"line\" two: # 3\n" || again.Replace["a: b"] != "c" {
		t.Errorf("%+v", again)
	}
	for _, c := range []struct {
		name  string
		rule  api.PromptRule
		param string
	}{
		{"new", api.PromptRule{}, "text"},
		{"home", api.PromptRule{Keys: []string{"bot"}}, "text"},
		{"new", api.PromptRule{Mode: "loud", Text: "x"}, "mode"},
		{"new", api.PromptRule{Text: "x", File: "/y"}, "file"},
		{"new", api.PromptRule{File: "y"}, "file"},
		{"new", api.PromptRule{Text: "x", Providers: []string{"nowhere"}}, "providers"},
		{"new", api.PromptRule{Text: "x", Keys: []string{"nobody"}}, "keys"},
		{"new", api.PromptRule{ReplaceRegexp: map[string]string{"(": ""}}, "replace_regexp"},
		{"a.b", api.PromptRule{Text: "x"}, "name"},
		{"kiro", api.PromptRule{Name: "bot", Text: "x"}, "name"},
		{"fixed", api.PromptRule{Text: "x"}, "name"},
	} {
		_, err := b.SetPrompt(ctx, c.name, c.rule)
		refused(t, err, apierror.InvalidRequest, c.param, "")
	}
	if err := b.RemovePrompt(ctx, "kiro"); err != nil {
		t.Error(err)
	}
	if err := b.RemovePrompt(ctx, "kiro"); apierror.From(err).Kind != apierror.RouteNotFound {
		t.Error(err)
	}
	if err := b.RemovePrompt(ctx, "fixed"); err == nil || !strings.Contains(err.Error(), "prompts.fixed.text") {
		t.Error(err)
	}
	if list := names(ok(b.Prompts(ctx))(t)); list != "fixed only-replaces home bot" {
		t.Error(list)
	}
}

func TestPromptRulesAreTriedOnASample(t *testing.T) {
	b := openTest(t, "prompts:\n  house:\n    text: Answer in English.\n", nil)
	ctx := t.Context()
	before := b.settings.Current()
	got := ok(b.PreviewPrompts(ctx, api.PromptSample{
		Provider: "claude-kiro-oauth", System: "You are Cline.",
		Rule: &api.PromptRule{Name: "draft", Providers: []string{"kiro"}, Mode: "prepend", Text: "First.", Replace: map[string]string{"Cline": "a bot"}},
	}))(t)
	want := api.PromptPreview{
		Provider: "kiro", Before: "You are Cline.", After: "First.\n\nYou are a bot.\n\nAnswer in English.", Changed: true,
		Rules: []api.PromptApplied{{Name: "house", Does: []string{"appends"}}, {Name: "draft", Does: []string{"prepends", "replaces"}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got\n" + d)
	}
	got = ok(b.PreviewPrompts(ctx, api.PromptSample{Provider: "kiro", Rule: &api.PromptRule{Name: "house", Text: "Other."}}))(t)
	if got.After != "Other." || len(got.Rules) != 1 {
		t.Errorf("%+v", got)
	}
	if b.settings.Current() != before {
		t.Error("to look has changed the settings")
	}
	_, err := b.PreviewPrompts(ctx, api.PromptSample{Rule: &api.PromptRule{File: "x"}})
	refused(t, err, apierror.InvalidRequest, "rule.file", "whole path")
	_, err = b.PreviewPrompts(ctx, api.PromptSample{Provider: "nowhere"})
	refused(t, err, apierror.InvalidRequest, "provider", "nowhere")
	_, err = b.PreviewPrompts(ctx, api.PromptSample{Key: "nobody"})
	refused(t, err, apierror.InvalidRequest, "key", "nobody")
}

func TestDoctorNamesAPromptFileThatCannotBeRead(t *testing.T) {
	b := openTest(t, "", nil)
	ctx := t.Context()
	file := filepath.Join(t.TempDir(), "rules.md")
	v := ok(b.SetPrompt(ctx, "house", api.PromptRule{File: file}))(t)
	if v.Problem == "" || v.Held != "" {
		t.Errorf("%+v", v)
	}
	found := func() (detail string) {
		t.Helper()
		for _, f := range ok(b.Doctor(ctx))(t) {
			if f.ID == "prompt.file" {
				detail += f.Title + "; " + f.Detail
			}
		}
		return detail
	}
	if d := found(); !strings.Contains(d, "rule house") || !strings.Contains(d, "go without its text") || !strings.Contains(d, file) {
		t.Error(d)
	}
	if err := os.WriteFile(file, []byte("Be kind."), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := found(); d != "" {
		t.Error(d)
	}
	if list := ok(b.Prompts(ctx))(t); list[0].Held != "Be kind." || list[0].Problem != "" {
		t.Errorf("%+v", list)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if d := found(); !strings.Contains(d, "last held is still used") {
		t.Error(d)
	}
}
