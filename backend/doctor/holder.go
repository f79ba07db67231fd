package doctor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is a running program.
type Process struct {
	PID  int
	Name string
}

// String returns "name (process 123)".
func (p Process) String() string {
	if p.PID == 0 {
		return "a program of another user"
	}
	return fmt.Sprintf("%s (process %d)", p.Name, p.PID)
}

// Holder names the process that listens on a TCP port of this machine. It knows how on Linux only. A process that belongs
// to somebody else comes without a name.
func Holder(port uint16) (Process, bool) { return holder("/proc", port) }

func holder(proc string, port uint16) (Process, bool) {
	inodes := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		listeners(filepath.Join(proc, "net", table), port, inodes)
	}
	if len(inodes) == 0 {
		return Process{}, false
	}
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // the pattern is sound
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(dir, "comm")) // the process may have ended meanwhile
		return Process{PID: pid, Name: strings.TrimSpace(string(name))}, true
	}
	return Process{}, true
}

// stateListen is the state of a listening socket in /proc/net/tcp (Linux, include/net/tcp_states.h).
const stateListen = "0A"

// listeners adds the sockets that listen on port, in the form of their links in /proc/PID/fd. The columns of the table
// are: number, local address, remote address, state, queues, timer, retransmits, user, timeout, inode.
func listeners(path string, port uint16, inodes map[string]bool) {
	f, err := os.Open(path)
	if err != nil {
		return // no Linux, or no IPv6
	}
	defer f.Close()
	want := fmt.Sprintf(":%04X", port)
	for sc := bufio.NewScanner(f); sc.Scan(); {
		col := strings.Fields(sc.Text())
		if len(col) > 9 && col[3] == stateListen && strings.HasSuffix(col[1], want) {
			inodes["socket:["+col[9]+"]"] = true
		}
	}
}
