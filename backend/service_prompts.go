package backend

import (
	"cmp"
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/config"
	"patchbay/backend/doctor"
	"patchbay/backend/prompt"
)

// promptName is what a rule may be called: the name is a part of a setting's key, and of a variable's.
var promptName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$`)

// promptMembers are the settings of a rule.
var promptMembers = []string{"mode", "text", "file", "providers", "keys", "replace", "replace_regexp", "order"}

// Prompts implements api.Service.
func (b *Backend) Prompts(context.Context) ([]api.PromptRuleView, error) {
	b.prompts.Look() // what is shown is what the files hold now
	out := []api.PromptRuleView{}
	for _, s := range b.prompts.List() {
		out = append(out, b.promptView(s))
	}
	return out, nil
}

func (b *Backend) promptView(s prompt.Status) api.PromptRuleView {
	v := api.PromptRuleView{
		PromptRule: api.PromptRule{
			Name: s.Name, Mode: cmp.Or(s.Mode, prompt.Append), Text: s.Text, File: s.File, Providers: s.Providers, Keys: s.Keys,
			Replace: s.Replace, ReplaceRegexp: s.ReplaceRegexp, Order: s.Order,
		},
		Reach: "all", Problem: s.Problem, LockedBy: b.promptLock(s.Name),
	}
	if s.File != "" {
		v.Held = s.Held
	}
	switch {
	case len(s.Keys) > 0:
		v.Reach = "key"
	case len(s.Providers) > 0:
		v.Reach = "provider"
	}
	return v
}

// promptLock names the variable or flag that holds a part of a rule.
func (b *Backend) promptLock(name string) string {
	for _, m := range promptMembers {
		if by := b.lockedBy("prompts." + name + "." + m); by != "" {
			return by
		}
	}
	return ""
}

// SetPrompt implements api.Service.
func (b *Backend) SetPrompt(ctx context.Context, name string, p api.PromptRule) (api.PromptRuleView, error) {
	to := cmp.Or(p.Name, name)
	_, there := b.settings.Current().Prompts[name]
	_, taken := b.settings.Current().Prompts[to]
	switch {
	case to != name && taken:
		return api.PromptRuleView{}, apierror.Invalid("name", "there is a rule %q already", to)
	case to != name && !there:
		return api.PromptRuleView{}, apierror.New(apierror.RouteNotFound, "there is no prompt rule %q", name)
	case !taken && !promptName.MatchString(to):
		return api.PromptRuleView{}, apierror.Invalid("name", "a rule is named by up to 60 letters, digits, - and _, beginning with a letter or digit")
	}
	if err := doesSomething("", p); err != nil {
		return api.PromptRuleView{}, err
	}
	if err := b.promptUnlocked(name); err != nil {
		return api.PromptRuleView{}, err
	}
	if err := b.promptKeys(p.Keys); err != nil {
		return api.PromptRuleView{}, err
	}
	if err := b.settings.Update(func(cfg *config.Config) error {
		if cfg.Prompts == nil {
			cfg.Prompts = map[string]config.Prompt{}
		}
		delete(cfg.Prompts, name)
		cfg.Prompts[to] = settingsRule(p)
		return nil
	}); err != nil {
		return api.PromptRuleView{}, promptError(to, err)
	}
	for _, s := range b.prompts.List() {
		if s.Name == to {
			return b.promptView(s), nil
		}
	}
	return api.PromptRuleView{}, apierror.New(apierror.Internal, "the rule %q was written and is not in force", to)
}

func doesSomething(in string, p api.PromptRule) error {
	if p.Text == "" && p.File == "" && len(p.Replace)+len(p.ReplaceRegexp) == 0 {
		return apierror.Invalid(in+"text", "the rule does nothing: give a text, a file or replacements")
	}
	return nil
}

func settingsRule(p api.PromptRule) config.Prompt {
	out := config.Prompt{
		Mode: p.Mode, Text: p.Text, File: p.File, Providers: p.Providers, Keys: p.Keys, Replace: p.Replace, ReplaceRegexp: p.ReplaceRegexp, Order: p.Order,
	}
	if p.Text == "" && p.File == "" && len(p.Replace)+len(p.ReplaceRegexp) > 0 {
		out.Mode = "" // a rule that only replaces has no text to put anywhere
	}
	return out
}

// promptError names the member of the rule that the settings refuse.
func promptError(name string, err error) error { return memberError("prompts."+name, err) }

// memberError names a refused setting as the member of a call whose members stand below key in the settings.
func memberError(key string, err error) error {
	e := *apierror.From(explain(err))
	e.Param = strings.TrimPrefix(strings.TrimPrefix(e.Param, key), ".")
	return &e
}

func (b *Backend) promptUnlocked(name string) error {
	if by := b.promptLock(name); by != "" {
		return apierror.Invalid("name", "the rule %s is held by %s: change it there", name, by)
	}
	return nil
}

// promptKeys refuses client keys that are not there: such a rule would never apply.
func (b *Backend) promptKeys(names []string) error {
	for _, n := range names {
		if _, _, ok := b.findKey(n); !ok {
			return apierror.Invalid("keys", "there is no client key %q; `patchbay keys` lists them", n)
		}
	}
	return nil
}

// findKey looks a client key up by its id or name.
func (b *Backend) findKey(which string) (id, name string, ok bool) {
	for _, k := range b.keys.List() {
		if k.ID == which || strings.EqualFold(k.Name, which) {
			return k.ID, k.Name, true
		}
	}
	return "", "", false
}

// RemovePrompt implements api.Service.
func (b *Backend) RemovePrompt(_ context.Context, name string) error {
	if _, ok := b.settings.Current().Prompts[name]; !ok {
		return apierror.New(apierror.RouteNotFound, "there is no prompt rule %q; `patchbay prompts` lists them", name)
	}
	if err := b.promptUnlocked(name); err != nil {
		return err
	}
	return explainOrNil(b.settings.Update(func(cfg *config.Config) error {
		delete(cfg.Prompts, name)
		return nil
	}))
}

func explainOrNil(err error) error {
	if err == nil {
		return nil
	}
	return explain(err)
}

// OrderPrompts implements api.Service.
func (b *Backend) OrderPrompts(ctx context.Context, names []string) ([]api.PromptRuleView, error) {
	var order []string
	for _, n := range names {
		if _, ok := b.settings.Current().Prompts[n]; !ok || slices.Contains(order, n) {
			return nil, apierror.Invalid("names", "there is no rule %q, or it is named twice; `patchbay prompts` lists them", n)
		}
		order = append(order, n)
	}
	for _, s := range b.prompts.List() {
		if !slices.Contains(order, s.Name) {
			order = append(order, s.Name)
		}
	}
	for i, n := range order {
		if by := b.lockedBy("prompts." + n + ".order"); by != "" && b.settings.Current().Prompts[n].Order != i+1 {
			return nil, apierror.Invalid("names", "the place of the rule %s is held by %s: change it there", n, by)
		}
	}
	if err := b.settings.Update(func(cfg *config.Config) error {
		for i, n := range order {
			if p, ok := cfg.Prompts[n]; ok {
				p.Order = i + 1
				cfg.Prompts[n] = p
			}
		}
		return nil
	}); err != nil {
		return nil, explain(err)
	}
	return b.Prompts(ctx)
}

// PreviewPrompts implements api.Service.
func (b *Backend) PreviewPrompts(_ context.Context, q api.PromptSample) (api.PromptPreview, error) {
	v := api.PromptPreview{Provider: cmp.Or(newID(q.Provider), b.router.Default()), Before: q.System, After: q.System, Rules: []api.PromptApplied{}}
	if v.Provider != "" {
		if _, ok := b.offered(v.Provider); !ok {
			return v, apierror.Invalid("provider", "there is no provider %q; `patchbay providers` lists them", q.Provider)
		}
	}
	keyID, keyName := "", ""
	if q.Key != "" {
		var ok bool
		if keyID, keyName, ok = b.findKey(q.Key); !ok {
			return v, apierror.Invalid("key", "there is no client key %q; `patchbay keys` lists them", q.Key)
		}
	}
	b.prompts.Look()
	rules := b.prompts
	if q.Rule != nil {
		var err error
		if rules, err = b.withDraft(*q.Rule); err != nil {
			return v, err
		}
	}
	edit, applied := rules.Explain(v.Provider, keyID, keyName)
	for _, a := range applied {
		v.Rules = append(v.Rules, api.PromptApplied(a))
	}
	if edit != nil {
		var own []canon.Part
		if q.System != "" {
			own = append(own, canon.Part{Type: canon.PartText, Text: q.System})
		}
		var texts []string
		for _, p := range edit.Parts(own) {
			texts = append(texts, p.Text)
		}
		v.After = strings.Join(texts, "\n\n")
	}
	v.Changed = v.After != v.Before
	return v, nil
}

// withDraft returns the rules as they would be with one that is not kept. The settings check it as they would if it were.
func (b *Backend) withDraft(p api.PromptRule) (*prompt.Rules, error) {
	if err := doesSomething("rule.", p); err != nil {
		return nil, err
	}
	name := cmp.Or(p.Name, "new")
	if err := b.settings.Try(func(cfg *config.Config) error {
		if cfg.Prompts == nil {
			cfg.Prompts = map[string]config.Prompt{}
		}
		cfg.Prompts[name] = settingsRule(p)
		return nil
	}); err != nil {
		e := *apierror.From(promptError(name, err))
		e.Param = strings.TrimSuffix("rule."+e.Param, ".")
		return nil, &e
	}
	rules := []prompt.Rule{promptRule(name, settingsRule(p))}
	for n, have := range b.settings.Current().Prompts {
		if n != name {
			rules = append(rules, promptRule(n, have))
		}
	}
	out := prompt.New(slog.New(slog.DiscardHandler))
	return out, out.Set(rules)
}

// promptFacts are the rules whose files cannot be read, for the doctor.
func (b *Backend) promptFacts() []doctor.Prompt {
	b.prompts.Look()
	var out []doctor.Prompt
	for _, s := range b.prompts.List() {
		if s.Problem != "" {
			out = append(out, doctor.Prompt{Name: s.Name, File: s.File, Problem: s.Problem, Held: s.Held != ""})
		}
	}
	return out
}
