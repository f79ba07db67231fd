package secret

import "context"

// Row is a sealed secret as it stands on disk.
type Row struct {
	KeyID  string // which key sealed it, so that a wrong key is told from a damaged row
	Nonce  []byte
	Sealed []byte
}

// Rows keeps sealed rows; package store fulfils it. Both methods take part in a transaction that ctx carries.
type Rows interface {
	// ReadSecret returns the row under ref, or ErrNotFound.
	ReadSecret(ctx context.Context, ref Ref) (Row, error)
	// WriteSecret keeps row under ref; nil deletes it.
	WriteSecret(ctx context.Context, ref Ref, row *Row) error
}
