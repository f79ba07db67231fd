// Package secret keeps what must not be written in the clear.
package secret

import (
	"context"
	"errors"
	"log/slog"
)

// Value is secret text. It prints, logs and marshals as "[secret]"; only Reveal gives the text, so every use can be
// found by that name.
type Value struct{ s string }

// New wraps s.
func New(s string) Value { return Value{s} }

// Reveal returns the text.
func (v Value) Reveal() string { return v.s }

// Empty reports whether there is no text.
func (v Value) Empty() bool { return v.s == "" }

const shown = "[secret]"

// String returns "[secret]".
func (Value) String() string { return shown }

// GoString returns "[secret]".
func (Value) GoString() string { return shown }

// LogValue returns "[secret]".
func (Value) LogValue() slog.Value { return slog.StringValue(shown) }

// MarshalText returns "[secret]".
func (Value) MarshalText() ([]byte, error) { return []byte(shown), nil }

// Ref names one secret, for example {"account", "7f3c"}.
type Ref struct{ Scope, ID string }

var (
	// ErrNotFound reports that no secret stands under a Ref.
	ErrNotFound = errors.New("secret not found")
	// ErrLocked reports that the store exists but cannot be opened now: the keychain waits for its password. What
	// needs no secret goes on working.
	ErrLocked = errors.New("secret store is locked")
	// ErrLost reports that the key which opens the store is gone or is another one: the secrets must be entered again.
	ErrLost = errors.New("the key that opens the secret store is missing or wrong")
)

// A Store keeps secrets. Implementations are safe for concurrent use and put no secret in an error text.
type Store interface {
	Get(ctx context.Context, ref Ref) (Value, error)
	Put(ctx context.Context, ref Ref, v Value) error
	Delete(ctx context.Context, ref Ref) error
}
