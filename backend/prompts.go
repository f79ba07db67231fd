package backend

import (
	"patchbay/backend/config"
	"patchbay/backend/prompt"
	"patchbay/backend/wire"
)

// setPrompts takes up the rules for system text.
func (b *Backend) setPrompts(cfg *config.Config) {
	rules := make([]prompt.Rule, 0, len(cfg.Prompts))
	for name, p := range cfg.Prompts {
		rules = append(rules, promptRule(name, p))
	}
	if err := b.prompts.Set(rules); err != nil { // the settings were checked: only a bug leads here
		b.log.Logger().Error("The rules for system text cannot be taken up; those before them are in force", "err", err)
	}
}

func promptRule(name string, p config.Prompt) prompt.Rule {
	return prompt.Rule{
		Name: name, Mode: p.Mode, Text: p.Text, File: p.File, Providers: p.Providers, Keys: p.Keys, Replace: p.Replace, ReplaceRegexp: p.ReplaceRegexp,
		Order: p.Order,
	}
}

// editors are the wire formats that can change the system text of a body as it came.
func editors() map[string]wire.SystemEditor {
	out := map[string]wire.SystemEditor{}
	for _, c := range protocols {
		if e, ok := c.(wire.SystemEditor); ok {
			out[c.Name()] = e
		}
	}
	return out
}
