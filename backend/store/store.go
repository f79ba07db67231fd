// Package store keeps Patchbay's rows: accounts, cool-downs, sealed secrets, client keys, the request log, usage counters,
// leases and a few facts about itself. It owns the schema, the SQL and the one writer. What the rows mean is the business
// of the rooms above; nothing above knows which engine runs, and every statement here is text that both SQLite and
// PostgreSQL understand: $1 parameters, ON CONFLICT, RETURNING, times as BIGINT milliseconds.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

var (
	// ErrNotFound reports that there is no such row.
	ErrNotFound = errors.New("no such row")
	// ErrExists reports that the row is already there.
	ErrExists = errors.New("the row is already there")
	// ErrNewer reports a database that a newer version of the program has changed. It is left as it is.
	ErrNewer = errors.New("the database was made by a newer version of Patchbay; install that version again")
)

// DB is the open database. It is safe for concurrent use.
type DB struct {
	write *sql.DB // one connection: SQLite has one writer, and waiting here is fairer than its busy handler
	read  *sql.DB // a few connections, opened when first asked for
}

// Open opens the database file at path and makes it, its folder and its tables where they are missing. A file that is not
// a database is kept beside the new one under another name, and the warning says so; it is empty otherwise.
func Open(ctx context.Context, path string) (db *DB, warning string, err error) {
	db, err = openSQLite(ctx, path)
	if err == nil || !isBroken(err) {
		return db, "", err
	}
	kept, moveErr := keepAside(path)
	if moveErr != nil {
		return nil, "", fmt.Errorf("the database %s cannot be read and cannot be moved aside: %w", path, moveErr)
	}
	db, err = openSQLite(ctx, path)
	return db, "The database could not be read and was kept as " + kept + ". Patchbay started with an empty one.", err
}

// Close waits for the running statements and closes the file.
func (d *DB) Close() error {
	return errors.Join(d.read.Close(), d.write.Close())
}

// querier is what a connection, a pool and a transaction have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// txKey carries the running transaction of one DB in a context, so that rows of several rooms (an account and its sealed
// login) are written whole or not at all without those rooms knowing of each other.
type txKey struct{ db *DB }

func (d *DB) tx(ctx context.Context) (querier, bool) {
	tx, ok := ctx.Value(txKey{d}).(*sql.Tx)
	return tx, ok
}

// Write runs fn in a transaction that survives a power cut once Write has returned nil. Every method called with fn's
// context takes part in it. A Write inside a Write joins the outer one.
func (d *DB) Write(ctx context.Context, fn func(ctx context.Context) error) error {
	return d.transact(ctx, durable, fn)
}

// Batch is Write for rows whose last few milliseconds may be lost in a power cut, not in a crash of the program: the
// request log, counters, cool-downs. It does not wait for the disk.
func (d *DB) Batch(ctx context.Context, fn func(ctx context.Context) error) error {
	return d.transact(ctx, relaxed, fn)
}

func (d *DB) transact(ctx context.Context, mode string, fn func(ctx context.Context) error) error {
	if _, ok := d.tx(ctx); ok {
		return fn(ctx)
	}
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, mode); err != nil {
		return fmt.Errorf("preparing a transaction: %w", err)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer tx.Rollback() // after Commit it does nothing
	if err := fn(context.WithValue(ctx, txKey{d}, tx)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if ended := ctx.Err(); ended != nil { // it was rolled back for that; Commit may say only that it is over
			err = ended
		}
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// exec runs one writing statement: in the transaction of ctx, or durably in one of its own.
func (d *DB) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = d.Write(ctx, func(ctx context.Context) error {
		tx, _ := d.tx(ctx)
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// one runs a statement that must change exactly one row.
func (d *DB) one(ctx context.Context, query string, args ...any) error {
	n, err := d.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// from returns where ctx reads: its transaction, so that it sees its own writes, else a reader.
func (d *DB) from(ctx context.Context) querier {
	if tx, ok := d.tx(ctx); ok {
		return tx
	}
	return d.read
}

// scanner is a row: *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// all runs a query and scans each row with scan.
func all[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// millis returns t as the database keeps it: Unix milliseconds, 0 for no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// pack writes a map or list as JSON text, always in the same order.
func pack(v any) string {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return "null" // maps and lists of strings always marshal: bad UTF-8 was cleaned at the border
	}
	return string(b)
}

func unpack[T any](text string) (v T, err error) {
	err = json.Unmarshal([]byte(text), &v)
	return v, err
}
