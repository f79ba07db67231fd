package app

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"patchbay/app/window"
)

// opener keeps at most one window: a child process that shows the page. Without a program for it, or when that fails, the
// page opens in the browser.
type opener struct {
	command func() []string // program of the child with its arguments; nil = there is none
	link    func(ctx context.Context, page string) (string, error)
	browse  func(address string) error
	opened  func() // the page is there
	memory  *memory
	log     *slog.Logger

	mu    sync.Mutex // guards what follows
	child *child
	ended bool
	jobs  sync.WaitGroup
}

// child is a window's process.
type child struct {
	in     io.WriteCloser
	cmd    *exec.Cmd
	loaded chan struct{} // closed when the page is there
	gone   chan struct{} // closed when the process has ended
	noGPU  bool
	wanted bool // it was told to go; guarded by opener.mu
	page   string
	base   string // where its page comes from; guarded by opener.mu
}

// loadPatience is how long a window may take to show the page before it is tried another way.
const loadPatience = 40 * time.Second

func newOpener(a *App) *opener {
	return &opener{
		command: func() []string {
			c := windowCommand(a.o.Exe)
			if c == nil {
				return nil
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			return append(c, "--language="+a.language)
		},
		link: func(ctx context.Context, page string) (string, error) {
			if address := a.waitingPage(); address != "" {
				return address, nil
			}
			t, err := a.b.OpenPage(ctx)
			return t.URL.Reveal() + page, err
		},
		browse: a.o.Browse,
		opened: func() {
			if a.waitingPage() == "" {
				a.memory.once(func(m *remembered) *bool { return &m.Seen })
			}
		},
		memory: a.memory, log: a.log,
	}
}

// windowCommand finds the program that shows windows: one beside ours, or ours if it was built with a window.
func windowCommand(exe string) []string {
	if exe == "" {
		return nil
	}
	name := "patchbay-window"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	beside := filepath.Join(filepath.Dir(exe), name)
	if _, err := os.Stat(beside); err == nil && canShow() {
		return []string{beside, "--window"}
	}
	if window.Built && canShow() {
		return []string{exe, "--window"}
	}
	return nil
}

// kind is where the page opens.
func (w *opener) kind() string {
	if w.command() != nil {
		return "window"
	}
	return "browser"
}

// show opens the window at a place of the page, or brings it to the front.
func (w *opener) show(page string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return errors.New("the program is about to end")
	}
	if c := w.child; c != nil {
		lines := window.Command{Do: window.CmdShow}.Line()
		if page != "" {
			lines = window.Command{Do: window.CmdPage, Arg: page}.Line() + lines
		}
		if _, err := io.WriteString(c.in, lines); err == nil {
			return nil
		}
		w.child = nil // it is ending just now
	}
	command := w.command()
	if command == nil {
		return w.inBrowser(page)
	}
	if err := w.start(command, page, w.memory.get().NoGPU); err != nil {
		w.log.Warn("The window does not start; the page opens in the browser", "err", err)
		return w.inBrowser(page)
	}
	return nil
}

// inBrowser opens the page where the person reads everything else.
func (w *opener) inBrowser(page string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	address, err := w.link(ctx, page)
	if err != nil {
		return err
	}
	if err := w.browse(address); err != nil {
		return err
	}
	w.opened()
	return nil
}

// start starts a child. The caller holds the lock.
func (w *opener) start(command []string, page string, noGPU bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	address, err := w.link(ctx, page)
	if err != nil {
		return err
	}
	if noGPU {
		command = append(command, "--no-gpu")
	}
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // it lives until it is closed
	cmd.Stderr = lines{w.log}
	cmd.WaitDelay = 2 * time.Second // the processes of the web view hold it too
	c := &child{cmd: cmd, loaded: make(chan struct{}), gone: make(chan struct{}), noGPU: noGPU, page: page, base: baseOf(address)}
	if c.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.child = c
	// Whatever keeps the child from reading this also ends it, which is seen below.
	_, _ = io.WriteString(c.in, window.Command{Do: window.CmdURL, Arg: address}.Line())
	w.jobs.Go(func() { w.wait(c, out) })
	w.jobs.Go(func() { w.look(c) })
	return nil
}

// wait waits for the end of a child.
func (w *opener) wait(c *child, out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		if s.Text() == window.Loaded {
			close(c.loaded)
			break
		}
	}
	_, _ = io.Copy(io.Discard, out) // it ends with the child
	err := c.cmd.Wait()
	close(c.gone)
	w.mu.Lock()
	if w.child == c {
		w.child = nil
	}
	w.mu.Unlock()
	w.log.Debug("The window has ended", "err", err)
}

// look watches a child until its page is there. One that fails is tried once more without the graphics card, whose drivers
// are what usually fails; then the page opens in the browser.
func (w *opener) look(c *child) {
	patience := time.NewTimer(loadPatience)
	defer patience.Stop()
	why := "it does not show the page"
	select {
	case <-c.loaded:
		w.log.Debug("The window shows the page")
		w.opened()
		return
	case <-c.gone:
		code := c.cmd.ProcessState.ExitCode()
		if code == 0 {
			return // the person closed it
		}
		why = c.cmd.ProcessState.String()
		if code == window.ExitNoWindow || code == exitNoLibrary {
			c.noGPU = true // another try would not help
		}
	case <-patience.C:
		_ = c.cmd.Process.Kill() // it may have gone meanwhile
		<-c.gone
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || c.wanted {
		return
	}
	if !c.noGPU {
		w.log.Warn("The window failed; it is tried without the graphics card", "why", why)
		if err := w.start(w.command(), c.page, true); err == nil {
			next := w.child
			w.jobs.Go(func() { // ends with the page, or with the child
				select {
				case <-next.loaded:
					w.memory.once(func(m *remembered) *bool { return &m.NoGPU })
				case <-next.gone:
				}
			})
			return
		}
	}
	w.log.Warn("The window failed; the page opens in the browser", "why", why)
	if err := w.inBrowser(c.page); err != nil {
		w.log.Error("The page cannot be opened", "err", err)
	}
}

// exitNoLibrary is how the loader of Linux ends a program whose libraries are missing.
const exitNoLibrary = 127

// moved sends an open window to where Patchbay listens now.
func (w *opener) moved(base string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if base == "" || w.child == nil || w.child.base == base {
		return
	}
	w.child.base = base
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if address, err := w.link(ctx, ""); err == nil {
		_, _ = io.WriteString(w.child.in, window.Command{Do: window.CmdURL, Arg: address}.Line()) // one that is ending needs no address
	}
}

// baseOf is the first part of an address: "http://127.0.0.1:8390".
func baseOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// isOpen reports whether there is a window.
func (w *opener) isOpen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.child != nil
}

// quit closes the window and lets none be opened any more.
func (w *opener) quit() {
	w.mu.Lock()
	w.ended = true
	c := w.child
	if c != nil {
		c.wanted = true
		_, _ = io.WriteString(c.in, window.Command{Do: window.CmdQuit}.Line()) // one that is ending needs not be told
	}
	w.mu.Unlock()
	if c != nil {
		select {
		case <-c.gone:
		case <-time.After(3 * time.Second):
			_ = c.cmd.Process.Kill() // it had its time
		}
	}
	w.jobs.Wait()
}

// lines puts what a child complains about into the log.
type lines struct{ log *slog.Logger }

func (l lines) Write(b []byte) (int, error) {
	l.log.Debug("The window says", "text", string(b))
	return len(b), nil
}
