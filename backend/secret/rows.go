package secret

import "context"

// Row is a sealed secret as it stands on disk.
type Row struct {
	KeyID  string // which key sealed it, so that a wrong key is told from a damaged row
	Nonce  []byte
	Sealed []byte
}

// Rows keeps sealed rows and one fact about them; package store fulfils it. Every method takes part in a transaction that
// ctx carries.
type Rows interface {
	// ReadSecret returns the row under ref, or ErrNotFound.
	ReadSecret(ctx context.Context, ref Ref) (Row, error)
	// WriteSecret keeps row under ref; nil deletes it.
	WriteSecret(ctx context.Context, ref Ref, row *Row) error
	// SecretRefs returns the names of all rows.
	SecretRefs(ctx context.Context) ([]Ref, error)
	// Meta returns a fact, "" if it was never set.
	Meta(ctx context.Context, name string) (string, error)
	// SetMeta keeps a fact.
	SetMeta(ctx context.Context, name, value string) error
	// Write runs fn in a transaction that is on disk once Write returns nil, and joins one that ctx carries. What fn does
	// with its own ctx happens whole or not at all.
	Write(ctx context.Context, fn func(ctx context.Context) error) error
}
