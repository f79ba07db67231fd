package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Leases are short locks that work across processes and machines, taken in the name of one owner. Fence grows each time
// the owner changes; a writer that carries an old fence must not write.
type Leases struct {
	db    *DB
	owner string
}

// Leases returns the leases as owner sees them. The owner must be a name that no other process has.
func (d *DB) Leases(owner string) Leases { return Leases{db: d, owner: owner} }

// Acquire takes the lease if it is free, expired or already ours. ok is false when another owner holds it.
func (l Leases) Acquire(ctx context.Context, name string, ttl time.Duration) (fence int64, ok bool, err error) {
	now := time.Now()
	err = l.db.Batch(ctx, func(ctx context.Context) error {
		tx, _ := l.db.tx(ctx)
		return tx.QueryRowContext(ctx, `INSERT INTO leases(name, owner, fence, expires_at) VALUES ($1, $2, 1, $3)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at,
  fence = leases.fence + CASE WHEN leases.owner = excluded.owner THEN 0 ELSE 1 END
WHERE leases.expires_at < $4 OR leases.owner = excluded.owner
RETURNING fence`, name, l.owner, millis(now.Add(ttl)), millis(now)).Scan(&fence)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return fence, err == nil, err
}

// Release gives the lease back if it is ours. The row stays, so that the fence never falls.
func (l Leases) Release(ctx context.Context, name string) error {
	_, err := l.db.exec(ctx, `UPDATE leases SET expires_at = 0 WHERE name = $1 AND owner = $2`, name, l.owner)
	return err
}
