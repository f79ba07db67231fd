package api

// Patterns returns the patterns of all calls.
func Patterns() []string {
	var out []string
	for _, e := range endpoints {
		out = append(out, e.pattern)
	}
	return out
}
