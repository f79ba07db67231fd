package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollEvery is how often the file is looked at in any case: network folders and symbolic links give no notice.
const pollEvery = 30 * time.Second

// Run watches the file and reloads it when it is changed from outside, until ctx ends. Folders are watched, not the
// file: editors replace files, and a watch on the file itself dies with the first replacement.
func (s *Settings) Run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.o.Log.Warn("Settings file is polled because it cannot be watched", "err", err)
		return s.loop(ctx, nil)
	}
	defer w.Close()
	s.watch(w)
	return s.loop(ctx, w)
}

// watch adds the folder of the file and that of the link's target. A folder that does not exist yet is tried again with
// each poll.
func (s *Settings) watch(w *fsnotify.Watcher) {
	dirs := map[string]struct{}{filepath.Dir(s.o.Path): {}}
	if target, err := filepath.EvalSymlinks(s.o.Path); err == nil {
		dirs[filepath.Dir(target)] = struct{}{}
	}
	for dir := range dirs {
		// A missing folder is normal before the first save; the poll finds the file.
		w.Add(dir)
	}
}

// concerns reports whether an event may mean that the settings changed.
func (s *Settings) concerns(ev fsnotify.Event) bool {
	if ev.Op == fsnotify.Chmod {
		return false
	}
	base := filepath.Base(ev.Name)
	if strings.EqualFold(base, filepath.Base(s.o.Path)) {
		return true
	}
	target, err := filepath.EvalSymlinks(s.o.Path)
	return err == nil && strings.EqualFold(base, filepath.Base(target))
}

func (s *Settings) loop(ctx context.Context, w *fsnotify.Watcher) error {
	var changes <-chan fsnotify.Event
	var faults <-chan error
	if w != nil {
		changes, faults = w.Events, w.Errors
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	// The first look sees what changed between Load and the watch.
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-changes:
			if !ok {
				changes = nil
			} else if s.concerns(ev) {
				pause.Reset(s.debounce)
			}
		case err, ok := <-faults:
			if !ok {
				faults = nil
				continue
			}
			s.o.Log.Warn("Watching the settings file failed", "err", err)
			pause.Reset(s.debounce)
		case <-poll.C:
			if w != nil {
				s.watch(w)
			}
			pause.Reset(0)
		case <-pause.C:
			if s.unsettled() {
				pause.Reset(s.debounce)
				continue
			}
			s.look()
		}
	}
}

// unsettled reports whether the file was written to a moment ago. Programs that write in place empty it first: read then,
// it would put the defaults in force, the listener's address among them.
func (s *Settings) unsettled() bool {
	info, err := os.Stat(s.o.Path)
	if err != nil {
		return false
	}
	age := time.Since(info.ModTime())
	return age >= 0 && age < s.debounce // a time in the future is another machine's clock
}

// look reloads; what went wrong is kept in Problem.
func (s *Settings) look() { _ = s.Reload() }
