// Package logging owns the program's log: the slog handler with its redaction, the text for people on stderr, the
// rotating file in the state directory, the ring of recent lines for the log page, and the levels per package, which can
// be changed while the program runs. It does not own the record of requests, and it never sees bodies.
//
// Three nets keep secrets out of every line, before anything reaches a disk or a page: values that print themselves as
// "[secret]", attributes whose name is on a list, and text that has the shape of a credential.
package logging

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// Defaults of Options.
const (
	DefaultRing     = 2000
	DefaultMaxBytes = 10 << 20
	DefaultMaxFiles = 3
)

// FileName is the name of the newest log file in the state directory; older ones are FileName + ".1" and so on.
const FileName = "patchbay.log"

// PackageKey is the attribute that names the package a line comes from. Its level may be set on its own.
const PackageKey = "pkg"

// Options says where lines go. The zero value keeps them in the ring alone.
type Options struct {
	Text     io.Writer         // text for people, usually stderr; nil = none
	Dir      string            // of the log file; "" = no file
	MaxBytes int64             // size at which the file is rotated; 0 = DefaultMaxBytes
	MaxFiles int               // files kept, the newest included; 0 = DefaultMaxFiles
	Ring     int               // lines kept in memory; 0 = DefaultRing
	Level    string            // debug, info, warn or error; "" = info
	Packages map[string]string // levels of single packages
}

// Log is the program's log. It is safe for concurrent use.
type Log struct {
	levels  atomic.Pointer[levels]
	ring    *ring
	file    *file
	textMu  sync.Mutex // guards text
	text    io.Writer
	dropped atomic.Int64
}

// New opens the log. A file that cannot be opened is an error; the program may go on with Dir empty.
func New(o Options) (*Log, error) {
	l := &Log{ring: newRing(o.Ring), text: o.Text}
	if err := l.SetLevels(o.Level, o.Packages); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return l, nil
	}
	f, err := openFile(o.Dir, o.MaxBytes, o.MaxFiles)
	if err != nil {
		return nil, err
	}
	l.file = f
	return l, nil
}

// Logger returns the root logger.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{log: l}) }

// For returns the logger of a package, named as its folder is: "route", "provider/kiro".
func (l *Log) For(pkg string) *slog.Logger { return slog.New(&handler{log: l, pkg: pkg}) }

// Lines returns the newest lines after the number seq, oldest first: at most max, all for max <= 0.
func (l *Log) Lines(seq uint64, max int) []Line { return l.ring.after(seq, max) }

// Follow yields every line from now on until ctx ends or the caller breaks. A slow reader misses lines, which it sees
// by a jump of Seq.
func (l *Log) Follow(ctx context.Context) iter.Seq[Line] { return l.ring.follow(ctx) }

// Dropped returns how many lines could not be written to the file (disk full, no permission).
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// Close closes the file. Lines that come later reach the ring and the text only.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.close()
}

func (l *Log) emit(line Line) {
	line = l.ring.add(line)
	if l.text == nil && l.file == nil {
		return
	}
	text := line.appendText(nil)
	if l.text != nil {
		l.textMu.Lock()
		l.text.Write(text) // a closed stderr must not stop the program
		l.textMu.Unlock()
	}
	if l.file != nil && l.file.write(text) != nil {
		l.dropped.Add(1)
	}
}

type levels struct {
	root     slog.Level
	packages map[string]slog.Level
	lowest   slog.Level
}

// of returns the level of a package: its own, else that of the nearest folder above it, else the root's.
func (s *levels) of(pkg string) slog.Level {
	for pkg != "" && len(s.packages) > 0 {
		if lv, ok := s.packages[pkg]; ok {
			return lv
		}
		i := strings.LastIndexByte(pkg, '/')
		if i < 0 {
			break
		}
		pkg = pkg[:i]
	}
	return s.root
}

// SetLevels changes what is logged, from the next line on. Nothing changes on an error.
func (l *Log) SetLevels(level string, packages map[string]string) error {
	root, err := ParseLevel(level)
	if err != nil {
		return err
	}
	next := &levels{root: root, packages: map[string]slog.Level{}, lowest: root}
	for pkg, name := range packages {
		lv, err := ParseLevel(name)
		if err != nil {
			return fmt.Errorf("level of package %s: %w", pkg, err)
		}
		next.packages[pkg] = lv
		next.lowest = min(next.lowest, lv)
	}
	l.levels.Store(next)
	return nil
}

// Levels returns the root level and the levels of single packages, in the words of ParseLevel.
func (l *Log) Levels() (root string, packages map[string]string) {
	s := l.levels.Load()
	packages = map[string]string{}
	for pkg, lv := range maps.All(s.packages) {
		packages[pkg] = levelName(lv)
	}
	return levelName(s.root), packages
}

// ParseLevel reads debug, info, warn or error; "" is info.
func ParseLevel(name string) (slog.Level, error) {
	switch strings.ToLower(name) {
	case "", "info":
		return slog.LevelInfo, nil
	case "debug":
		return slog.LevelDebug, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is no log level: use debug, info, warn or error", name)
}

func levelName(lv slog.Level) string {
	switch {
	case lv < slog.LevelInfo:
		return "debug"
	case lv < slog.LevelWarn:
		return "info"
	case lv < slog.LevelError:
		return "warn"
	default:
		return "error"
	}
}
