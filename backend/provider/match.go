package provider

import (
	"strings"

	"patchbay/backend/canon"
)

// Match reports whether a name fits a pattern in which * stands for any text, also none. Case does not count.
func Match(pattern, name string) bool {
	return canon.Matches(strings.ToLower(pattern), strings.ToLower(name))
}

// Listed returns what is shown of a service's list: the models that Only and Hide let through, with the facts that Models
// has and the list has not.
func (i Info) Listed(list []canon.Model) []canon.Model {
	matches := func(patterns []string, id string) bool {
		for _, p := range patterns {
			if Match(p, id) {
				return true
			}
		}
		return false
	}
	facts := make(map[string]canon.Model, len(i.Models))
	for _, m := range i.Models {
		facts[m.ID] = m
	}
	out := make([]canon.Model, 0, len(list))
	for _, m := range list {
		if len(i.Only) > 0 && !matches(i.Only, m.ID) || matches(i.Hide, m.ID) {
			continue
		}
		if f, ok := facts[m.ID]; ok {
			m.Fill(f)
		}
		out = append(out, m)
	}
	return out
}
