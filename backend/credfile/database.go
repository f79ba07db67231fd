package credfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Bounds of what is taken from a database.
const (
	rowLimit  = 200
	copyLimit = 256 << 20 // of a database that must be copied to be read
)

// database is another program's database, open for reading. Nothing is written beside it either: no lock, no index.
type database struct {
	ctx   context.Context
	db    *sql.DB
	clean func() error
}

// openDatabase opens a database. Without a log beside it, it is read as it stands. With one it is read through that, by the
// index that its owner keeps, or, where there is none to share, from a copy.
func openDatabase(ctx context.Context, path string) (*database, error) {
	log, err := os.Stat(path + "-wal")
	if err != nil || log.Size() == 0 {
		return connect(ctx, path, "mode=ro&immutable=1")
	}
	if d, err := connect(ctx, path, "mode=ro&readonly_shm=1&_pragma=busy_timeout(5000)"); err == nil {
		return d, nil
	}
	return openCopy(ctx, path)
}

func connect(ctx context.Context, path, options string) (*database, error) {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // C:/...
	}
	u := url.URL{Scheme: "file", Path: p}
	db, err := sql.Open("sqlite", u.String()+"?"+options+"&_pragma=query_only(1)")
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	var n int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database: %w", err), db.Close())
	}
	return &database{ctx: ctx, db: db, clean: func() error { return nil }}, nil
}

// openCopy reads a copy of the database and of its log, in a folder that nobody else may read and that is removed again.
func openCopy(ctx context.Context, path string) (_ *database, err error) {
	dir, err := os.MkdirTemp("", "patchbay-read-")
	if err != nil {
		return nil, fmt.Errorf("copying the database: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	to := filepath.Join(dir, "copy")
	for _, side := range []string{"", "-wal"} {
		if err := copyFile(path+side, to+side); err != nil {
			return nil, fmt.Errorf("copying the database: %w", err)
		}
	}
	d, err := connect(ctx, to, "_pragma=busy_timeout(1000)")
	if err != nil {
		return nil, err
	}
	d.clean = func() error { return os.RemoveAll(dir) }
	return d, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, copyLimit))
	if err == nil && n == copyLimit {
		err = errors.New("it is too large")
	}
	return errors.Join(err, out.Close())
}

// rows implements provider.File.Rows.
func (d *database) rows(query string) ([][]string, error) {
	rows, err := d.db.QueryContext(d.ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for rows.Next() {
		if len(out) == rowLimit {
			return nil, fmt.Errorf("more than %d rows", rowLimit)
		}
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(names))
		for i, c := range cells {
			if len(c.String) > sizeLimit {
				return nil, errors.New("a value is too large")
			}
			row[i] = c.String
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// Close gives the database back.
func (d *database) Close() error { return errors.Join(d.db.Close(), d.clean()) }
