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

// SetClientKey changes the name, the end and the limits of a key that is not revoked.
func (d *DB) SetClientKey(ctx context.Context, k ClientKey) error {
	return d.one(ctx, `UPDATE client_keys SET name = $2, expires_at = $3, limits = $4 WHERE id = $1 AND revoked_at = 0`, k.ID, k.Name, millis(k.Expires), k.Limits)
}

// RemoveClientKey deletes a key with its counters.
func (d *DB) RemoveClientKey(ctx context.Context, id string) error {
	return d.one(ctx, `DELETE FROM client_keys WHERE id = $1`, id)
}

// ClientKeyUse is what a key was used for on one day.
type ClientKeyUse struct {
	Key              string
	Day              int // 20261128, in local time
	Requests, Tokens int64
}

// ClientKeyUses returns the counters of the latest day of each key.
func (d *DB) ClientKeyUses(ctx context.Context) ([]ClientKeyUse, error) {
	return all(ctx, d.from(ctx), func(row scanner) (u ClientKeyUse, err error) {
		err = row.Scan(&u.Key, &u.Day, &u.Requests, &u.Tokens)
		return u, err
	}, `SELECT client_key, day, requests, tokens FROM client_key_use ORDER BY client_key`)
}

// SetClientKeyUses keeps counters, all in one transaction. A key that is gone has none.
func (d *DB) SetClientKeyUses(ctx context.Context, rows []ClientKeyUse) error {
	return d.Batch(ctx, func(ctx context.Context) error {
		for _, u := range rows {
			_, err := d.exec(ctx, `INSERT INTO client_key_use(client_key, day, requests, tokens)
SELECT id, $2, $3, $4 FROM client_keys WHERE id = $1
ON CONFLICT (client_key) DO UPDATE SET day = excluded.day, requests = excluded.requests, tokens = excluded.tokens`, u.Key, u.Day, u.Requests, u.Tokens)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
