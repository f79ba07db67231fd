package store

import (
	"context"
	"time"
)

// ClientKey is one row of the table client_keys: a hash, never the key.
type ClientKey struct {
	ID, Name, Hash, Prefix    string
	Created, Expires, Revoked time.Time // zero = never
	Limits                    string    // JSON
}

// ClientKeys returns all keys, the oldest first.
func (d *DB) ClientKeys(ctx context.Context) ([]ClientKey, error) {
	return all(ctx, d.from(ctx), scanClientKey,
		`SELECT id, name, hash, prefix, created_at, expires_at, revoked_at, limits FROM client_keys ORDER BY created_at, id`)
}

func scanClientKey(row scanner) (ClientKey, error) {
	var k ClientKey
	var created, expires, revoked int64
	err := row.Scan(&k.ID, &k.Name, &k.Hash, &k.Prefix, &created, &expires, &revoked, &k.Limits)
	k.Created, k.Expires, k.Revoked = fromMillis(created), fromMillis(expires), fromMillis(revoked)
	return k, err
}

// AddClientKey writes a new key. It reports ErrExists if the same key is already there.
func (d *DB) AddClientKey(ctx context.Context, k ClientKey) error {
	n, err := d.exec(ctx, `INSERT INTO client_keys(id, name, hash, prefix, created_at, expires_at, revoked_at, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (hash) DO NOTHING`,
		k.ID, k.Name, k.Hash, k.Prefix, millis(k.Created), millis(k.Expires), millis(k.Revoked), k.Limits)
	if err == nil && n == 0 {
		return ErrExists
	}
	return err
}

// RevokeClientKey marks a key as revoked. The row stays, so that the log can still name it.
func (d *DB) RevokeClientKey(ctx context.Context, id string, at time.Time) error {
	return d.one(ctx, `UPDATE client_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0`, id, millis(at))
}
