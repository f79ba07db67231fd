package api

import "reflect"

// Patterns returns the patterns of all calls.
func Patterns() []string {
	var out []string
	for _, e := range endpoints {
		out = append(out, e.pattern)
	}
	return out
}

// Open reports whether a call needs no token.
func Open(pattern string) bool { return openPatterns[pattern] }

// Described is what a call says of itself.
type Described struct {
	Pattern, About string
	Takes, Gives   reflect.Type
	Status         int
	Raw            bool
	Media          string
}

// Descriptions returns what all calls say of themselves.
func Descriptions() []Described {
	var out []Described
	for _, e := range endpoints {
		out = append(out, Described{e.pattern, e.about, e.takes, e.gives, e.status, e.raw != nil, e.media})
	}
	return out
}

// Settle is settle.
var Settle = settle

// FeedHints is feedHints.
const FeedHints = feedHints
