package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// migrations are applied in order, each once. A released one is never changed: what is wrong in it is mended by the next.
// BYTEA is PostgreSQL's word; SQLite takes any.
var migrations = []string{`
CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  provider TEXT NOT NULL,
  name TEXT NOT NULL,
  priority BIGINT NOT NULL,
  enabled BOOLEAN NOT NULL,
  owner TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  settings TEXT NOT NULL,
  notes TEXT NOT NULL,
  proxy TEXT NOT NULL,
  max_concurrent BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE cooldowns (
  account TEXT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
  model TEXT NOT NULL,
  absent BOOLEAN NOT NULL,
  until_at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  level BIGINT NOT NULL,
  PRIMARY KEY (account, model)
);
CREATE TABLE secrets (
  scope TEXT NOT NULL,
  id TEXT NOT NULL,
  kid TEXT NOT NULL,
  nonce BYTEA NOT NULL,
  sealed BYTEA NOT NULL,
  PRIMARY KEY (scope, id)
);
CREATE TABLE client_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  prefix TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL,
  limits TEXT NOT NULL
);
CREATE TABLE requests (
  id TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  client_key TEXT NOT NULL,
  client TEXT NOT NULL,
  op TEXT NOT NULL,
  stream BOOLEAN NOT NULL,
  asked TEXT NOT NULL,
  provider TEXT NOT NULL,
  account TEXT NOT NULL,
  model TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  status BIGINT NOT NULL,
  kind TEXT NOT NULL,
  message TEXT NOT NULL,
  input BIGINT NOT NULL,
  cached BIGINT NOT NULL,
  cache_write BIGINT NOT NULL,
  output BIGINT NOT NULL,
  reasoning BIGINT NOT NULL,
  first_ms BIGINT NOT NULL,
  total_ms BIGINT NOT NULL,
  dropped TEXT NOT NULL,
  trace TEXT NOT NULL
);
CREATE INDEX requests_at ON requests(at, id);
CREATE TABLE usage_hourly (
  hour BIGINT NOT NULL,
  client_key TEXT NOT NULL,
  provider TEXT NOT NULL,
  account TEXT NOT NULL,
  model TEXT NOT NULL,
  requests BIGINT NOT NULL,
  errors BIGINT NOT NULL,
  input BIGINT NOT NULL,
  cached BIGINT NOT NULL,
  cache_write BIGINT NOT NULL,
  output BIGINT NOT NULL,
  reasoning BIGINT NOT NULL,
  PRIMARY KEY (hour, client_key, provider, account, model)
);
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  fence BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
`, `
CREATE TABLE model_lists (
  account TEXT PRIMARY KEY REFERENCES accounts(id) ON DELETE CASCADE,
  source TEXT NOT NULL,
  at BIGINT NOT NULL,
  models TEXT NOT NULL
);
`, `
ALTER TABLE accounts ADD COLUMN login TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN identity TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN link TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN renews BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE accounts ADD COLUMN issued_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
`, `
CREATE TABLE client_key_use (
  client_key TEXT PRIMARY KEY REFERENCES client_keys(id) ON DELETE CASCADE,
  day BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  tokens BIGINT NOT NULL
);
`, `
ALTER TABLE requests ADD COLUMN estimated BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE requests ADD COLUMN metered BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE requests ADD COLUMN replay_of TEXT NOT NULL DEFAULT '';
ALTER TABLE usage_hourly RENAME TO usage_slots;
ALTER TABLE usage_slots RENAME COLUMN hour TO slot;
ALTER TABLE usage_slots ADD COLUMN hung_up BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_slots ADD COLUMN untold BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_slots ADD COLUMN metered BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_slots ADD COLUMN told_input BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_slots ADD COLUMN told_cached BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_slots ADD COLUMN told_cache_write BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_slots ADD COLUMN told_output BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_slots ADD COLUMN told_reasoning BIGINT NOT NULL DEFAULT 0;
UPDATE usage_slots SET told_input = requests, told_cached = requests, told_cache_write = requests, told_output = requests, told_reasoning = requests;
CREATE TABLE usage_first (
  slot BIGINT NOT NULL,
  client_key TEXT NOT NULL,
  provider TEXT NOT NULL,
  account TEXT NOT NULL,
  model TEXT NOT NULL,
  step BIGINT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (slot, client_key, provider, account, model, step)
);
`, `
ALTER TABLE accounts ADD COLUMN tags TEXT NOT NULL DEFAULT 'null';
ALTER TABLE accounts ADD COLUMN weight BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN reserve BIGINT NOT NULL DEFAULT -1;
ALTER TABLE accounts ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN since_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cooldowns ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE cooldowns ADD COLUMN since_at BIGINT NOT NULL DEFAULT 0;
UPDATE accounts SET priority = 100 WHERE priority < 1;
CREATE TABLE account_use (
  account TEXT PRIMARY KEY REFERENCES accounts(id) ON DELETE CASCADE,
  last_used BIGINT NOT NULL,
  served BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  recent TEXT NOT NULL,
  quota_at BIGINT NOT NULL,
  quota TEXT NOT NULL
);
`}

// migrate brings the schema up to date. A database that is up to date costs one query.
func (d *DB) migrate(ctx context.Context) error {
	version, err := d.version(ctx, d.write)
	if err != nil {
		return fmt.Errorf("reading the database's version: %w", err)
	}
	if version == len(migrations) {
		return nil
	}
	return d.Write(ctx, func(ctx context.Context) error {
		tx, _ := d.tx(ctx)
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY, at BIGINT NOT NULL)`); err != nil {
			return fmt.Errorf("preparing the database: %w", err)
		}
		version, err := d.version(ctx, tx) // another process may have been here since
		if err != nil {
			return fmt.Errorf("reading the database's version: %w", err)
		}
		if version > len(migrations) {
			return ErrNewer
		}
		for i := version; i < len(migrations); i++ {
			if err := apply(ctx, tx, i); err != nil {
				return fmt.Errorf("bringing the database to version %d: %w", i+1, err)
			}
		}
		return nil
	})
}

func apply(ctx context.Context, tx querier, i int) error {
	if _, err := tx.ExecContext(ctx, migrations[i]); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO migrations(version, at) VALUES ($1, $2)`, i+1, time.Now().UnixMilli())
	return err
}

// version returns the number of the last migration, 0 for an empty database.
func (d *DB) version(ctx context.Context, q querier) (int, error) {
	var v sql.NullInt64
	err := q.QueryRowContext(ctx, `SELECT max(version) FROM migrations`).Scan(&v)
	if err != nil && isMissingTable(err) {
		return 0, nil
	}
	return int(v.Int64), err
}
