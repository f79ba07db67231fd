package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// How SQLite commits. In WAL mode NORMAL loses nothing when the program dies, only when the power does; FULL waits for the
// disk.
const (
	durable = "PRAGMA synchronous=FULL"
	relaxed = "PRAGMA synchronous=NORMAL"
)

// Page caches in KiB per connection, far below SQLite's 2,000: the working set is a few hundred rows.
const (
	writeCache = 512
	readCache  = 256
	readers    = 3
)

// openWait is how long Open waits for other programs that open the same file.
const openWait = 15 * time.Second

// openSQLite opens path, which it makes readable for its owner only: SQLite gives its side files the same mode.
func openSQLite(ctx context.Context, path string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	w, err := sql.Open("sqlite", dsn(path, "immediate", writeCache))
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	w.SetMaxOpenConns(1)
	r, err := sql.Open("sqlite", dsn(path, "deferred", readCache)+"&_query_only=1")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database: %w", err), w.Close())
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(1)
	r.SetConnMaxIdleTime(time.Minute) // gives its memory back when no page is open
	d := &DB{write: w, read: r}
	if err := d.migratePatiently(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// migratePatiently migrates, again while other programs that open the same new file are in the way. SQLite's own waiting
// (busy_timeout) does not cover the change to WAL: of two connections that ask for it at once, one fails at once, because
// each would wait for the other (https://sqlite.org/c3ref/busy_handler.html).
func (d *DB) migratePatiently(ctx context.Context) error {
	for deadline := time.Now().Add(openWait); ; {
		err := d.migrate(ctx)
		if err == nil || !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		}
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn names the file as a URI, so that no character of a folder's name is taken for an option.
func dsn(path, lock string, cache int) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // C:/...
	}
	u := url.URL{Scheme: "file", Path: p}
	return u.String() + fmt.Sprintf("?_txlock=%s&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=cache_size(-%d)", lock, cache)
}

// isBusy reports that another connection holds a lock that this one needs.
func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// isBroken reports that the file is there and readable but no database.
func isBroken(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	code := e.Code() & 0xff // the primary code of an extended one
	return code == sqlite3.SQLITE_NOTADB || code == sqlite3.SQLITE_CORRUPT
}

// keepAside renames the file and its side files, which belong to it and to no other.
func keepAside(path string) (kept string, err error) {
	kept = path + ".broken-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, kept); err != nil {
		return "", err
	}
	for _, side := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+side, kept+side); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return kept, nil
}

// isMissingTable reports a query on a table that does not exist yet. SQLite has only its general code for it, so the
// text decides; it is fixed in SQLite's sources (sqlite3LocateTable).
func isMissingTable(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_ERROR && strings.Contains(e.Error(), "no such table")
}

// size returns how many bytes the rows take; pages that are free again do not count.
func (d *DB) size(ctx context.Context) (int64, error) {
	var pages, free, each int64
	for pragma, n := range map[string]*int64{"page_count": &pages, "freelist_count": &free, "page_size": &each} {
		if err := d.from(ctx).QueryRowContext(ctx, "PRAGMA "+pragma).Scan(n); err != nil {
			return 0, err
		}
	}
	return (pages - free) * each, nil
}
