package store

import (
	"context"
	"database/sql"
	"errors"

	"patchbay/backend/secret"
)

// Meta returns a fact about this database, "" if it was never set.
func (d *DB) Meta(ctx context.Context, name string) (string, error) {
	var v string
	err := d.from(ctx).QueryRowContext(ctx, `SELECT value FROM meta WHERE name = $1`, name).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// SetMeta keeps a fact about this database.
func (d *DB) SetMeta(ctx context.Context, name, value string) error {
	_, err := d.exec(ctx, `INSERT INTO meta(name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

var _ secret.Rows = (*DB)(nil)

// ReadSecret returns the sealed row under ref, or secret.ErrNotFound.
func (d *DB) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Row, error) {
	var r secret.Row
	err := d.from(ctx).QueryRowContext(ctx, `SELECT kid, nonce, sealed FROM secrets WHERE scope = $1 AND id = $2`, ref.Scope, ref.ID).
		Scan(&r.KeyID, &r.Nonce, &r.Sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return r, secret.ErrNotFound
	}
	return r, err
}

// WriteSecret keeps a sealed row, or deletes it if row is nil. It takes part in the transaction of ctx.
func (d *DB) WriteSecret(ctx context.Context, ref secret.Ref, row *secret.Row) error {
	if row == nil {
		_, err := d.exec(ctx, `DELETE FROM secrets WHERE scope = $1 AND id = $2`, ref.Scope, ref.ID)
		return err
	}
	_, err := d.exec(ctx, `INSERT INTO secrets(scope, id, kid, nonce, sealed) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (scope, id) DO UPDATE SET kid = excluded.kid, nonce = excluded.nonce, sealed = excluded.sealed`,
		ref.Scope, ref.ID, row.KeyID, row.Nonce, row.Sealed)
	return err
}

// SecretRefs returns the names of all sealed rows.
func (d *DB) SecretRefs(ctx context.Context) ([]secret.Ref, error) {
	return all(ctx, d.from(ctx), func(row scanner) (ref secret.Ref, err error) {
		return ref, row.Scan(&ref.Scope, &ref.ID)
	}, `SELECT scope, id FROM secrets ORDER BY scope, id`)
}
