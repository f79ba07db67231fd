// Package window is the window: a child process of the resident one, which shows the page of Patchbay's own server and ends
// with its parent. What it is told comes on standard input, so that nothing secret stands in its arguments. Only builds with
// the tag desktop contain it; the rest of the package, without a toolkit, is what all builds share.
package window

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// ErrNotBuilt reports that this build has no window.
var ErrNotBuilt = errors.New("this build of Patchbay has no window; the page opens in the browser")

// ExitNoWindow is the exit code of a child that cannot show a window, for its parent.
const ExitNoWindow = 4

// Loaded is the line that the child prints once the page is there.
const Loaded = "loaded"

// Options say how the window is opened.
type Options struct {
	In      io.Reader // commands of the parent, one a line
	Out     io.Writer // for Loaded
	Place   string    // file that remembers size and place; "" = none
	NoGPU   bool      // do without the graphics card: some drivers show an empty window
	Say     func(key string, values ...string) string
	Restart func() error // starts Patchbay again after it has stopped
	Running func() bool  // reports whether a Patchbay runs again after the parent was lost
}

// Command is what the parent says.
type Command struct {
	Do  string // CmdURL, CmdPage, CmdShow or CmdQuit
	Arg string
}

// The commands.
const (
	CmdURL  = "url"  // show this address, which carries a ticket
	CmdPage = "page" // go to this place of the page: "#/accounts"
	CmdShow = "show" // come to the front
	CmdQuit = "quit"
)

// Line is a command as it is written to the child.
func (c Command) Line() string { return strings.TrimSpace(c.Do+" "+c.Arg) + "\n" }

// How long the window stays after its parent was lost, how often it looks whether Patchbay runs again, and how many looks in
// a row must say so: the system gives a dead process's lock free a moment after its end of the pipe.
const (
	lostPatience = time.Minute
	lookAgain    = time.Second
	looksAgain   = 2
)

// awaitAgain waits until Patchbay runs again, or for lostPatience.
func awaitAgain(running func() bool) {
	patience := time.NewTimer(lostPatience)
	defer patience.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for seen := 0; seen < looksAgain; {
		select {
		case <-look.C:
		case <-patience.C:
			return
		}
		if running() {
			seen++
		} else {
			seen = 0
		}
	}
}

// errParentGone reports that the parent ended without a word.
var errParentGone = errors.New("the parent is gone")

// read reads the next command. Commands of a newer parent are passed over.
func read(in *bufio.Reader) (Command, error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return Command{}, errParentGone
		}
		do, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch c := (Command{do, arg}); do {
		case CmdShow, CmdQuit:
			return c, nil
		case CmdPage:
			if strings.HasPrefix(arg, "#/") {
				return c, nil
			}
		case CmdURL:
			if ours(arg) {
				return c, nil
			}
		}
	}
}

// ours reports whether an address is one of a Patchbay: the window shows nothing else.
func ours(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "http" && u.Host != "" && u.User == nil && strings.HasPrefix(u.Path, "/ui/")
}

// first reads the address that the window begins with.
func first(in *bufio.Reader) (string, error) {
	for {
		c, err := read(in)
		switch {
		case err != nil:
			return "", fmt.Errorf("the window is started by Patchbay itself: %w", err)
		case c.Do == CmdQuit:
			return "", errParentGone
		case c.Do == CmdURL:
			return c.Arg, nil
		}
	}
}
