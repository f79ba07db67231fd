package credfile

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The pace of watching. A program writes its file in several steps, so what is heard of is read a moment later.
const (
	debounce   = 300 * time.Millisecond // after the last event of a file
	longest    = 2 * time.Second        // after the first
	retryPause = 200 * time.Millisecond // of a file that cannot be understood yet
	retries    = 5
	pollAll    = time.Minute     // network folders and links give no notice
	pollSome   = 5 * time.Second // where no notice can be had

	// longestWay bounds how often one way is walked at a time, should somebody make and remove folders without end.
	longestWay = 32
)

// watcher tells of changes to files that may not exist yet, in folders that may not exist yet. It watches folders, never
// files: a watch on a file dies with the first replacement. All but the channels belongs to the goroutine of run.
type watcher struct {
	sys  system
	log  *slog.Logger
	look func(ctx context.Context, path string) (settled bool)

	fs      *fsnotify.Watcher // nil = polling only
	events  <-chan fsnotify.Event
	faults  <-chan error
	targets map[string]*target
	folders map[string]fs.FileInfo // what is watched, as it was when the watch began
	refused map[string]bool        // folders whose watch failed, told once
}

// target is one file that is waited for.
type target struct {
	path   string
	bases  map[string]bool // base names of the file and its side files, and of a link's target
	chain  map[string]bool // base names of the folders that lead there, and of links on the way
	seen   [2]signature    // of the file and of its log
	polled bool            // no notice can be had
	bad    bool            // the last look did not settle
	first  time.Time       // the first event that waits for a look
	due    time.Time       // zero = nothing to do
	tries  int
}

// signature tells versions of a file apart without reading it.
type signature struct {
	info fs.FileInfo // nil = absent
}

func sign(path string) signature {
	info, err := os.Stat(path)
	if err != nil {
		return signature{}
	}
	return signature{info}
}

func (s signature) same(o signature) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime()) && s.info.Mode() == o.info.Mode()
}

// sides are names that a database has files under besides its own.
var sides = []string{"", "-wal"}

func newWatcher(sys system, log *slog.Logger, look func(context.Context, string) bool) *watcher {
	return &watcher{sys: sys, log: log, look: look, targets: map[string]*target{}, folders: map[string]fs.FileInfo{}, refused: map[string]bool{}}
}

// open begins to listen to the system. Without it the watcher polls.
func (w *watcher) open() (done func()) {
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("Files of other programs are polled because they cannot be watched", "err", err)
		return func() {}
	}
	w.fs, w.events, w.faults = fsw, fsw.Events, fsw.Errors
	return func() {
		if err := fsw.Close(); err != nil {
			w.log.Warn("Ending the watch failed", "err", err)
		}
	}
}

// run looks at every target once, and then whenever it may have changed, until ctx ends. Each value of targets is the whole
// list of files.
func (w *watcher) run(ctx context.Context, targets <-chan []string) error {
	all, some := time.NewTicker(pollAll), time.NewTicker(pollSome)
	defer all.Stop()
	defer some.Stop()
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	for {
		if due := w.next(); due.IsZero() {
			wait.Stop()
		} else {
			wait.Reset(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return nil
		case paths := <-targets:
			w.aim(paths)
		case ev, ok := <-w.events:
			if !ok {
				w.events = nil
				continue
			}
			w.heard(ev)
		case err, ok := <-w.faults:
			if !ok {
				w.faults = nil
				continue
			}
			w.log.Warn("Watching files of other programs failed", "err", err) // events may be lost
			w.poll(true)
		case <-all.C:
			w.poll(true)
		case <-some.C:
			w.poll(false)
		case <-wait.C:
			w.lookAtDue(ctx)
		}
	}
}

// next returns when the next look is due.
func (w *watcher) next() time.Time {
	var next time.Time
	for _, t := range w.targets {
		if !t.due.IsZero() && (next.IsZero() || t.due.Before(next)) {
			next = t.due
		}
	}
	return next
}

// aim sets the list of files. New ones are looked at at once.
func (w *watcher) aim(paths []string) {
	wanted := map[string]bool{}
	for _, p := range paths {
		wanted[p] = true
		if w.targets[p] == nil {
			w.targets[p] = &target{path: p, due: time.Now()}
		}
	}
	for p := range w.targets {
		if !wanted[p] {
			delete(w.targets, p)
		}
	}
	w.follow()
}

// heard takes note of an event. Names are compared without their folders: a folder may be known under several.
func (w *watcher) heard(ev fsnotify.Event) {
	if ev.Op == fsnotify.Chmod {
		return
	}
	base, again := w.sys.key(filepath.Base(ev.Name)), false
	for _, t := range w.targets {
		if t.bases[base] {
			t.mark()
		}
		if t.chain[base] {
			t.mark()
			again = true
		}
	}
	if again || ev.Op.Has(fsnotify.Create) && w.links(base) {
		w.follow()
	}
}

// links reports that a target's own name was made anew: it may be a link now.
func (w *watcher) links(base string) bool {
	for _, t := range w.targets {
		if t.bases[base] {
			return true
		}
	}
	return false
}

// mark plans a look: a moment after the last event, but not much later than the first.
func (t *target) mark() {
	now := time.Now()
	if t.first.IsZero() {
		t.first = now
	}
	t.tries, t.due = 0, now.Add(debounce)
	if last := t.first.Add(longest); t.due.After(last) {
		t.due = last
	}
}

func (w *watcher) lookAtDue(ctx context.Context) {
	now := time.Now()
	for _, t := range w.targets {
		if t.due.IsZero() || t.due.After(now) {
			continue
		}
		t.first, t.due = time.Time{}, time.Time{}
		for i, s := range sides {
			t.seen[i] = sign(t.path + s) // before the look: what changes during it is found by the next poll
		}
		t.bad = !w.look(ctx, t.path)
		if t.bad && t.tries < retries {
			t.tries++
			t.due = time.Now().Add(retryPause)
		}
	}
}

// poll looks for changes that nobody told of: of all files, or of those that have no watch.
func (w *watcher) poll(all bool) {
	if all {
		w.follow()
	}
	for _, t := range w.targets {
		if !all && !t.polled && w.fs != nil || !t.due.IsZero() {
			continue
		}
		changed := all && t.bad
		for i, s := range sides {
			changed = changed || !t.seen[i].same(sign(t.path+s))
		}
		if changed {
			t.mark()
			if t.polled || w.fs == nil {
				w.follow()
			}
		}
	}
}

// follow watches the folders that lead to the targets as they are now, and no others. Where a watch is new, the target is
// looked at as if it had changed, and the way there is walked again: both may have changed before the watch began.
func (w *watcher) follow() {
	if w.fs == nil {
		for _, t := range w.targets {
			t.walk(w.sys)
		}
		return
	}
	wanted := map[string]bool{}
	for _, t := range w.targets {
		for range longestWay {
			fresh := false
			t.polled = false
			for _, dir := range t.walk(w.sys) {
				wanted[dir] = true
				if w.sys.os == "darwin" && dir == w.sys.home {
					t.polled = true // kqueue would open every file of the home
					continue
				}
				added, err := w.watch(dir)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.polled = true
				}
				fresh = fresh || added
			}
			if !fresh {
				break
			}
			t.mark()
		}
	}
	for dir := range w.folders {
		if !wanted[dir] {
			_ = w.fs.Remove(dir) // it may be gone already
			delete(w.folders, dir)
		}
	}
}

// watch begins to watch a folder, unless it is watched as it stands: a folder that was removed and made again is another one.
func (w *watcher) watch(dir string) (added bool, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	if old := w.folders[dir]; old != nil && os.SameFile(old, info) && w.watches(dir) {
		return false, nil
	}
	_ = w.fs.Remove(dir) // the old watch, if the system still has it
	if err := w.fs.Add(dir); err != nil {
		if !w.refused[dir] && !errors.Is(err, fs.ErrNotExist) {
			w.refused[dir] = true
			w.log.Warn("A folder cannot be watched; its files are polled", "folder", dir, "err", err)
		}
		delete(w.folders, dir)
		return false, err
	}
	w.folders[dir] = info
	return true, nil
}

func (w *watcher) watches(dir string) bool {
	for _, have := range w.fs.WatchList() {
		if have == dir {
			return true
		}
	}
	return false
}

// walk goes the way to the target from the top and returns the folders to watch: the deepest one that exists, those that
// hold a link on the way, and that of a link's target.
func (t *target) walk(sys system) []string {
	t.bases, t.chain = map[string]bool{}, map[string]bool{}
	var steps []string
	for p := t.path; ; p = filepath.Dir(p) {
		steps = append(steps, p)
		if p == filepath.Dir(p) {
			break
		}
		if p != t.path {
			t.chain[sys.key(filepath.Base(p))] = true
		}
	}
	names := []string{t.path}
	if real, err := filepath.EvalSymlinks(t.path); err == nil && real != t.path {
		names = append(names, real)
		t.chain[sys.key(filepath.Base(filepath.Dir(real)))] = true
	}
	for _, name := range names {
		for _, side := range sides {
			t.bases[sys.key(filepath.Base(name)+side)] = true
		}
	}
	dirs := []string{}
	deepest := steps[len(steps)-1]
	for i := len(steps) - 2; i >= 0; i-- {
		link, err := os.Lstat(steps[i])
		if err != nil {
			break
		}
		if link.Mode()&fs.ModeSymlink != 0 {
			dirs = append(dirs, filepath.Dir(steps[i]))
		}
		if info, err := os.Stat(steps[i]); err != nil || !info.IsDir() {
			break
		}
		deepest = steps[i]
	}
	dirs = append(dirs, deepest)
	for _, real := range names[1:] {
		dirs = append(dirs, filepath.Dir(real))
	}
	return dirs
}
