//go:build desktop && !windows

package window

import (
	"os/signal"
	"syscall"
)

// outlive keeps the window alive after its parent: without this, the first line that the web view complains about would end
// it, because nobody reads it any more.
func outlive() { signal.Ignore(syscall.SIGPIPE) }
