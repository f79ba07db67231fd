package clientkey

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/provider"
)

// Limits is what a key may do. The zero value limits nothing. In a pattern, * stands for any text; case does not count.
type Limits struct {
	Providers    []string  `json:"providers,omitzero"` // patterns of provider ids
	Models       []string  `json:"models,omitzero"`    // patterns of models, or of provider/model
	Protocols    []string  `json:"protocols,omitzero"` // patterns of client wire formats
	PerMinute    int       `json:"per_minute,omitzero"`
	TokensPerDay int64     `json:"tokens_per_day,omitzero"` // input and output, by the local day
	Concurrent   int       `json:"concurrent,omitzero"`     // requests at a time
	Account      string    `json:"account,omitzero"`        // id of the only account that serves it
	Tags         []string  `json:"tags,omitzero"`           // all of which an account must have to serve it
	Expires      time.Time `json:"-"`                       // zero = never
}

// Protocols are the protocols that a key can be limited to: the wire formats of clients, and forward for what is passed on
// as it is.
var Protocols = []string{"openai", "responses", "anthropic", "gemini", "ollama", "forward"}

const (
	maxPatterns = 100
	maxPattern  = 200 // characters
)

// Check reports what cannot be meant, with the field's name.
func (l *Limits) Check() error {
	for field, list := range map[string][]string{"providers": l.Providers, "models": l.Models, "protocols": l.Protocols} {
		if len(list) > maxPatterns {
			return apierror.Invalid(field, "give at most %d %s", maxPatterns, field)
		}
		for _, p := range list {
			if strings.TrimSpace(p) != p || p == "" || len(p) > maxPattern {
				return apierror.Invalid(field, "%q is no pattern: give a name of at most %d characters, in which * stands for any text", p, maxPattern)
			}
		}
	}
	for _, p := range l.Protocols {
		if !slices.ContainsFunc(Protocols, func(name string) bool { return provider.Match(p, name) }) {
			return apierror.Invalid("protocols", "there is no protocol %q; the protocols are %s", p, strings.Join(Protocols, ", "))
		}
	}
	for field, n := range map[string]int64{"per_minute": int64(l.PerMinute), "tokens_per_day": l.TokensPerDay, "concurrent": int64(l.Concurrent)} {
		if n < 0 {
			return apierror.Invalid(field, "%s cannot be negative; 0 is no limit", field)
		}
	}
	return nil
}

func (l *Limits) encode() (string, error) {
	if err := l.Check(); err != nil {
		return "", err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return "", apierror.Invalid("limits", "the limits hold text that is not UTF-8")
	}
	return string(text), nil
}

// Narrow reports whether the limits rule out any provider, model or protocol. A nil Limits rules out nothing.
func (l *Limits) Narrow() bool {
	return l != nil && len(l.Providers)+len(l.Models)+len(l.Protocols) > 0
}

// Allows reports whether a provider may be used, for a model that goes by any of the names. Without names it answers for
// the provider alone; an empty name stands for a model that nobody knows.
func (l *Limits) Allows(providerID string, names ...string) bool {
	switch {
	case l == nil:
		return true
	case len(l.Providers) > 0 && !matches(l.Providers, providerID):
		return false
	case len(l.Models) == 0 || len(names) == 0:
		return true
	}
	for _, name := range names {
		if matches(l.Models, name) || name != "" && matches(l.Models, providerID+"/"+name) {
			return true
		}
	}
	return false
}

// AllowsProtocol reports whether a client's wire format may be used.
func (l *Limits) AllowsProtocol(format string) bool {
	return l == nil || len(l.Protocols) == 0 || matches(l.Protocols, format)
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return provider.Match(p, name) })
}

// Refuse returns the error for something that the limits rule out. It names what the key may use.
func (l *Limits) Refuse(keyName, what string) error {
	var may []string
	for _, list := range []struct {
		word     string
		patterns []string
	}{{"models", l.Models}, {"providers", l.Providers}, {"protocols", l.Protocols}} {
		if len(list.patterns) > 0 {
			may = append(may, list.word+" "+strings.Join(list.patterns, ", "))
		}
	}
	return apierror.New(apierror.ClientForbidden, "the client key %q may not use %s; it may use: %s", keyName, what, strings.Join(may, "; "))
}

// limited is the error for a key that has had its share.
func limited(name string, after time.Duration, format string, args ...any) error {
	e := apierror.New(apierror.ClientLimited, "the client key %q %s", name, fmt.Sprintf(format, args...))
	e.RetryAfter = after
	return e
}
