package account

import (
	"strings"

	"patchbay/backend/canon"
	"patchbay/backend/provider"
)

// Which models an account serves is its owner's word: patterns of those that it does, patterns of those that it does not, and
// names that it has for models. The patterns are scopes like those for which an account rests, only without an end, so that a
// choice passes such accounts over by the same comparison of bits.

// words are what an account's owner says of its models. Accounts of which nothing is said have none.
type words struct {
	only, not string // scopes, "" = none
	names     map[string]string
}

// Marks of scopes that are no pauses; no model's name begins with one of them.
const (
	markNot  = "~" // the models of the list
	markOnly = "!" // all models but those of the list
)

func wordsOf(settings map[string]string) words {
	var w words
	if list := provider.List(settings[provider.SettingServes]); len(list) > 0 {
		w.only = markOnly + strings.Join(list, ",")
	}
	if list := provider.List(settings[provider.SettingServesNot]); len(list) > 0 {
		w.not = markNot + strings.Join(list, ",")
	}
	for _, pair := range provider.List(settings[provider.SettingModelNames]) {
		if name, model, ok := strings.Cut(pair, "="); ok && strings.TrimSpace(name) != "" && strings.TrimSpace(model) != "" {
			if w.names == nil {
				w.names = map[string]string{}
			}
			w.names[strings.TrimSpace(name)] = strings.TrimSpace(model)
		}
	}
	return w
}

// hold returns the bits of the scopes.
func (w *words) hold(s *scopes) (set uint64) {
	for _, scope := range []string{w.only, w.not} {
		if scope != "" {
			set |= s.hold(scope)
		}
	}
	return set
}

// serve reports whether the owner lets the account serve a model; "" is none in particular.
func (w *words) serve(model string) bool {
	return (w.only == "" || !matches(w.only, model)) && (w.not == "" || !matches(w.not, model))
}

// listed are the models of the account's list that it serves, and its own names for them.
func (w *words) listed(list []canon.Model) []canon.Model {
	if w.only == "" && w.not == "" && len(w.names) == 0 {
		return list
	}
	out := make([]canon.Model, 0, len(list)+len(w.names))
	for _, m := range list {
		if w.serve(m.ID) {
			out = append(out, m)
		}
	}
	for name, model := range w.names {
		for _, m := range list {
			if m.ID == model && w.serve(name) {
				m.ID, m.Name = name, ""
				out = append(out, m)
			}
		}
	}
	return out
}

// Model returns the upstream's name of a model at this account: its own name for it, else the same.
func (l *Lease) Model(model string) string {
	if l.names == nil {
		return model
	}
	if own, ok := l.names[model]; ok {
		return own
	}
	return model
}
