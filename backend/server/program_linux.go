package server

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// dropProgram unmaps the pages of the program's own file. The first touch of a page maps sixteen, and starting touches nearly
// all of them: settings, database, commands. What still runs is mapped again from the page cache within microseconds; the rest
// no longer counts as this process's and the system can have it.
func dropProgram() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return // without /proc nothing can be told, and nothing is lost
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range cleanMappings(f, exe) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.start, m.end-m.start, syscall.MADV_DONTNEED) // advice: it may be refused
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// cleanMappings finds in the text of an smaps file where a file is mapped to be read only and no page differs from the file.
// A page that does, as those do which the loader has relocated, would be lost.
func cleanMappings(smaps io.Reader, file string) (clean []mapping) {
	var at mapping
	wanted := false
	for s := bufio.NewScanner(smaps); s.Scan(); {
		line := s.Text()
		field, value, _ := strings.Cut(line, ":")
		switch {
		case strings.Contains(field, " "): // the head of a mapping: "start-end rights offset device inode file"
			rights := ""
			n, _ := fmt.Sscanf(line, "%x-%x %s", &at.start, &at.end, &rights)
			wanted = n == 3 && (rights == "r-xp" || rights == "r--p") && strings.HasSuffix(line, " "+file)
			if wanted {
				clean = append(clean, at)
			}
		case wanted && (field == "Anonymous" || field == "Swap" || field == "Locked") && strings.TrimSpace(value) != "0 kB":
			clean, wanted = clean[:len(clean)-1], false
		}
	}
	return clean
}
