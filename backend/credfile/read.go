package credfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"patchbay/backend/provider"
)

// sizeLimit bounds a credential file: real ones have some kilobytes. Databases hold more than logins and are not read whole.
const sizeLimit = 1 << 20

// found says what a look at a place brought.
type found int

const (
	absent  found = iota // there is nothing
	holds                // a login
	empty                // a whole file without a login of the provider
	garbled              // it cannot be understood, perhaps because it is being written
	closed               // it is there and cannot be opened
)

// reading is what was read.
type reading struct {
	found
	login    provider.FileLogin
	modified time.Time
	err      error // why there is no login; it quotes nothing of the file
}

var (
	errBusy = errors.New("it changed while it was read")
	// sqliteMark begins every SQLite database (SQLite's documentation of its file format).
	sqliteMark = []byte("SQLite format 3\x00")
)

// read looks at one place, once.
func read(ctx context.Context, r provider.FileReader, p place) reading {
	data, before, err := content(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return reading{found: absent, err: errors.New("the file is not there")}
	case errors.Is(err, errBusy):
		return reading{found: garbled, err: err}
	case err != nil:
		return reading{found: closed, err: plain(err)}
	}
	f := provider.File{Path: p.path, Format: p.format, Data: data, Modified: before.ModTime(), Beside: besides(p.path)}
	if data == nil {
		db, err := openDatabase(ctx, p.path)
		if err != nil {
			return reading{found: garbled, modified: f.Modified, err: err}
		}
		defer db.Close()
		f.Rows = db.rows
	}
	out := reading{modified: f.Modified}
	out.login, out.err = r.ReadFile(f)
	switch c := out.login.Credential; {
	case errors.Is(out.err, provider.ErrNoLogin):
		out.found = empty
	case out.err != nil:
		out.found = garbled
	case c.Access.Empty() && c.Refresh.Empty():
		out.found, out.err = empty, provider.ErrNoLogin
	default:
		out.found = holds
		if c.Access.Empty() { // nothing to send before it is renewed
			out.login.Expiry = time.Unix(1, 0)
		}
	}
	return out
}

// content reads a file whole; a database gives nil. A file that changed meanwhile gives errBusy.
func content(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would wait for ever
		return nil, nil, errors.New("it is no file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	head := make([]byte, len(sqliteMark))
	n, err := io.ReadFull(f, head)
	if err == nil && bytes.Equal(head, sqliteMark) {
		return nil, before, nil
	}
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, nil, err
	}
	rest, err := io.ReadAll(io.LimitReader(f, sizeLimit))
	if err != nil {
		return nil, nil, err
	}
	data := append(head[:n], rest...)
	if len(data) >= sizeLimit {
		return nil, nil, fmt.Errorf("it is larger than %d KiB: that is no file of a login", sizeLimit>>10)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || after.Size() != int64(len(data)) || !after.ModTime().Equal(before.ModTime()) {
		return nil, nil, errBusy
	}
	return data, before, nil
}

// besides reads files of the same folder, by plain names only.
func besides(path string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if name != filepath.Base(name) || name == "." || name == ".." || filepath.VolumeName(name) != "" {
			return nil, errors.New("a file beside another one has a plain name")
		}
		data, _, err := content(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return nil, plain(err)
		}
		return data, nil
	}
}

// plain leaves the path out of an error: it stands beside it.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
