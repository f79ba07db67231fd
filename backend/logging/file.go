package logging

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// file is a log file that starts anew at a size and keeps a few older ones. All of them together never take more than
// limit × keep bytes.
type file struct {
	path  string
	limit int64
	keep  int

	mu   sync.Mutex // guards all below
	f    *os.File
	size int64
	done bool
}

func openFile(dir string, limit int64, keep int) (*file, error) {
	if limit <= 0 {
		limit = DefaultMaxBytes
	}
	if keep <= 0 {
		keep = DefaultMaxFiles
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the log folder: %w", err)
	}
	l := &file{path: filepath.Join(dir, FileName), limit: limit, keep: keep}
	return l, l.open()
}

func (l *file) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log file: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("opening the log file: %w", err)
	}
	l.f, l.size = f, st.Size()
	return nil
}

var errClosed = errors.New("the log file is closed")

// write appends one line. After a failure the file is opened again with the next line, so a full disk that got room is
// used again.
func (l *file) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return errClosed
	}
	if int64(len(line)) > l.limit {
		line = append(line[:l.limit-1:l.limit-1], '\n')
	}
	if l.f != nil && l.size > 0 && l.size+int64(len(line)) > l.limit {
		l.rotate()
	}
	if l.f == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	n, err := l.f.Write(line)
	l.size += int64(n)
	if err != nil {
		l.f.Close()
		l.f = nil
	}
	return err
}

// rotate moves every file one number up; the oldest one goes. When the newest cannot be moved it is emptied instead:
// the cap holds in any case.
func (l *file) rotate() {
	l.f.Close()
	l.f = nil
	name := func(i int) string {
		if i == 0 {
			return l.path
		}
		return l.path + "." + strconv.Itoa(i)
	}
	for i := l.keep - 2; i >= 0; i-- {
		// A missing older file is normal.
		os.Rename(name(i), name(i+1))
	}
	if st, err := os.Stat(l.path); err == nil && st.Size() > 0 {
		os.Truncate(l.path, 0)
	}
}

func (l *file) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
