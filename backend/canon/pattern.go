package canon

import "strings"

// Matches reports whether a name fits a pattern in which * stands for any text, also none and slashes, which names of models
// have. Case counts, and nothing else is special.
func Matches(pattern, name string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	for {
		var piece string
		piece, rest, wild = strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(name, piece)
		}
		i := strings.Index(name, piece)
		if i < 0 {
			return false
		}
		name = name[i+len(piece):]
	}
}
