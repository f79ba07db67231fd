package credfile

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// patience is how long a test waits for what must come; nothing is proved by its passing.
const patience = 20 * time.Second

// watching is a watcher at work on real files.
type watching struct {
	t     *testing.T
	looks chan string // the content at each look; "-" = absent
	aim   chan []string
}

func startWatch(t *testing.T, paths ...string) *watching {
	t.Helper()
	w := &watching{t: t, looks: make(chan string, 1000), aim: make(chan []string, 1)}
	watcher := newWatcher(system{os: runtime.GOOS}, slog.New(slog.DiscardHandler), func(_ context.Context, path string) bool {
		w.looks <- textOf(path)
		return true
	})
	done := watcher.open()
	if watcher.fs == nil {
		t.Fatal("this system gives no notice of files")
	}
	watcher.aim(paths)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- watcher.run(ctx, w.aim) }() // ends with cancel
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		done()
	})
	return w
}

func textOf(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "-"
	}
	return string(b)
}

// await waits for a look that finds want.
func (w *watching) await(want string) {
	w.t.Helper()
	late := time.After(patience)
	var seen []string
	for {
		select {
		case got := <-w.looks:
			if got == want {
				return
			}
			seen = append(seen, got)
		case <-late:
			w.t.Fatalf("no look found %q, only %q", want, seen)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// replace writes as careful programs do: beside it, then over it.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".tmp", text)
	must(t, os.Rename(path+".tmp", path))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReplacedByRename(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.json")
	write(t, path, "one")
	w := startWatch(t, path)
	w.await("one")
	replace(t, path, "two")
	w.await("two")
	replace(t, path, "three") // a watch on the file itself would have died with the first
	w.await("three")
}

func TestTwoReplacesInARow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.json")
	write(t, path, "one")
	w := startWatch(t, path)
	w.await("one")
	replace(t, path, "two")
	replace(t, path, "three")
	w.await("three")
}

func TestPlainWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.json")
	w := startWatch(t, path)
	w.await("-")
	big := strings.Repeat("x", 1<<20)
	write(t, path, big)
	w.await(big)
}

func TestRemovedAndBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.json")
	write(t, path, "one")
	w := startWatch(t, path)
	w.await("one")
	must(t, os.Remove(path))
	w.await("-")
	write(t, path, "two")
	w.await("two")
}

// Folders that are made after the start are found however deep, even where one call makes several: the notices of the inner
// ones come before anybody can watch.
func TestFolderMadeAfterTheStart(t *testing.T) {
	t.Parallel()
	for depth := range 4 {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			names := []string{dir, "p", "q", "r", "auth.json"}
			path := filepath.Join(names...)
			must(t, os.MkdirAll(filepath.Join(names[:depth+1]...), 0o700))
			w := startWatch(t, path)
			w.await("-")
			write(t, path, "made")
			w.await("made")
			replace(t, path, "again")
			w.await("again")
		})
	}
}

func TestFoldersMadeOneByOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "p", "q", "auth.json")
	w := startWatch(t, path)
	w.await("-")
	must(t, os.Mkdir(filepath.Join(dir, "p"), 0o700))
	w.await("-")
	must(t, os.Mkdir(filepath.Join(dir, "p", "q"), 0o700))
	w.await("-")
	write(t, path, "made")
	w.await("made")
}

func TestFolderRemovedAndMadeAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "home", ".codex")
	path := filepath.Join(dir, "auth.json")
	write(t, path, "one")
	w := startWatch(t, path)
	w.await("one")
	must(t, os.RemoveAll(dir))
	w.await("-")
	write(t, path, "two")
	w.await("two")
	must(t, os.RemoveAll(filepath.Dir(dir)))
	write(t, path, "three") // at once: the old watch may still be there
	w.await("three")
	must(t, os.Rename(dir, dir+".bak"))
	w.await("-")
	write(t, path, "four")
	w.await("four")
}

func TestSymlinkedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link, real := filepath.Join(dir, "home", "auth.json"), filepath.Join(dir, "vault", "real.json")
	write(t, real, "one")
	must(t, os.MkdirAll(filepath.Dir(link), 0o700))
	must(t, os.Symlink(real, link))
	w := startWatch(t, link)
	w.await("one")
	replace(t, real, "two") // nothing happens in the folder of the link
	w.await("two")
	other := filepath.Join(dir, "elsewhere", "other.json")
	write(t, other, "three")
	must(t, os.Remove(link))
	must(t, os.Symlink(other, link))
	w.await("three")
	replace(t, other, "four")
	w.await("four")
}

func TestSymlinkedFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link, real, other := filepath.Join(dir, "home", ".codex"), filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, filepath.Join(real, "auth.json"), "one")
	write(t, filepath.Join(other, "auth.json"), "two")
	must(t, os.MkdirAll(filepath.Dir(link), 0o700))
	must(t, os.Symlink(real, link))
	w := startWatch(t, filepath.Join(link, "auth.json"))
	w.await("one")
	replace(t, filepath.Join(real, "auth.json"), "one more")
	w.await("one more")
	must(t, os.Remove(link))
	must(t, os.Symlink(other, link))
	w.await("two")
	replace(t, filepath.Join(other, "auth.json"), "three")
	w.await("three")
}

func TestDatabaseLogCounts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data.sqlite3")
	write(t, path, "one")
	w := startWatch(t, path)
	w.await("one")
	write(t, path+"-wal", "x")
	w.await("one")
}

func TestTargetsComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a", "a.json"), filepath.Join(dir, "b", "b.json")
	write(t, a, "a1")
	write(t, b, "b1")
	w := startWatch(t, a)
	w.await("a1")
	w.aim <- []string{b}
	w.await("b1")
	write(t, a, "a2")
	write(t, b, "b2")
	late := time.After(patience)
	for {
		select {
		case got := <-w.looks:
			if got == "a2" {
				t.Fatal("it still looks at what is no target")
			}
			if got == "b2" {
				return
			}
		case <-late:
			t.Fatal("the new target is not watched")
		}
	}
}

// bubble runs a watcher with notices from a channel, or without any, in virtual time.
func bubble(t *testing.T, path string, look func() bool, polled bool, during func(events chan<- fsnotify.Event)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		events := make(chan fsnotify.Event)
		w := newWatcher(system{os: runtime.GOOS}, slog.New(slog.DiscardHandler), func(context.Context, string) bool { return look() })
		if !polled {
			w.events = events
		}
		w.aim([]string{path})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.run(ctx, nil) }() // ends with cancel
		synctest.Wait()
		during(events)
		synctest.Wait()
		cancel()
		must(t, <-ended)
	})
}

// sleep lets time go by until the watcher did what it has to.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestHundredWritesAreFewReloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.json")
	var looks atomic.Int64
	bubble(t, path, func() bool { looks.Add(1); return true }, false, func(events chan<- fsnotify.Event) {
		looks.Store(0)
		for range 100 {
			events <- fsnotify.Event{Name: path, Op: fsnotify.Write}
			sleep(10 * time.Millisecond)
		}
		sleep(longest)
		if n := looks.Load(); n < 1 || n > 4 {
			t.Errorf("%d looks after 100 writes in a second", looks.Load())
		}
		looks.Store(0)
		for range 1000 { // who never stops writing is looked at all the same
			events <- fsnotify.Event{Name: path, Op: fsnotify.Write}
			sleep(10 * time.Millisecond)
		}
		if n := looks.Load(); n < 4 || n > 6 {
			t.Errorf("%d looks in ten seconds of writing", looks.Load())
		}
	})
}

func TestChangesOfModeAreNoChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.json")
	var looks atomic.Int64
	bubble(t, path, func() bool { looks.Add(1); return true }, false, func(events chan<- fsnotify.Event) {
		events <- fsnotify.Event{Name: path, Op: fsnotify.Chmod}
		events <- fsnotify.Event{Name: path + ".other", Op: fsnotify.Write}
		sleep(longest)
		if looks.Load() != 1 {
			t.Errorf("%d looks", looks.Load())
		}
	})
}

func TestUnsettledFilesAreLookedAtAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.json")
	var looks atomic.Int64
	bubble(t, path, func() bool { looks.Add(1); return false }, false, func(chan<- fsnotify.Event) {
		sleep(retries*retryPause + retryPause/2)
		if looks.Load() != 1+retries {
			t.Errorf("%d looks, want one and %d more", looks.Load(), retries)
		}
		sleep(pollAll + longest + retries*retryPause) // and with every poll, in case it was mended without a notice
		if looks.Load() != 2*(1+retries) {
			t.Errorf("%d looks after the poll", looks.Load())
		}
	})
}

func TestPollingAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p", "auth.json")
	var saw atomic.Value
	var looks atomic.Int64
	bubble(t, path, func() bool { looks.Add(1); saw.Store(textOf(path)); return true }, true, func(chan<- fsnotify.Event) {
		for n, text := range []string{"one", "three", "two two"} {
			write(t, path, text)
			sleep(pollSome + longest)
			if saw.Load() != text || looks.Load() != int64(n+2) {
				t.Errorf("saw %q after %d looks, want %q", saw.Load(), looks.Load(), text)
			}
		}
		must(t, os.RemoveAll(filepath.Dir(path)))
		sleep(pollSome + longest)
		if saw.Load() != "-" {
			t.Errorf("saw %q of a file that is gone", saw.Load())
		}
	})
}

// A home on macOS is polled: its watch would open every file in it.
func TestHomeOnMacIsPolled(t *testing.T) {
	home := t.TempDir()
	w := newWatcher(system{os: "darwin", home: home}, slog.New(slog.DiscardHandler), func(context.Context, string) bool { return true })
	defer w.open()()
	w.aim([]string{filepath.Join(home, ".codex", "auth.json")})
	for _, tg := range w.targets {
		if !tg.polled || w.watches(home) {
			t.Error("the home is watched")
		}
	}
	w.lookAtDue(t.Context())
	write(t, filepath.Join(home, ".codex", "auth.json"), "{}")
	w.poll(false)
	for _, tg := range w.targets {
		if tg.polled || !w.watches(filepath.Join(home, ".codex")) || tg.due.IsZero() {
			t.Error("the folder that came is not watched")
		}
	}
}
