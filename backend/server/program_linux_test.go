package server

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyCleanMappingsAreDropped(t *testing.T) {
	const rest = "Size: 8 kB\nRss: 8 kB\nAnonymous:             0 kB\nSwap:                  0 kB\nLocked:                0 kB\nVmFlags: rd mr mw me\n"
	smaps := "00400000-00f73000 r-xp 00000000 fe:00 10004846                           /opt/patch bay\n" + rest +
		"00f73000-019c1000 r--p 00b73000 fe:00 10004846                           /opt/patch bay\n" + rest +
		"019c1000-01a51000 rw-p 015c1000 fe:00 10004846                           /opt/patch bay\n" + rest +
		"01a51000-03aa1000 r--p 00b73000 fe:00 10004846                           /opt/patch bay\n" + strings.Replace(rest, "Anonymous:             0", "Anonymous:             4", 1) +
		"03aa1000-03ab1000 r--p 00b73000 fe:00 10004846                           /opt/patch bay\n" + strings.Replace(rest, "Swap:                  0", "Swap:                  4", 1) +
		"03ab1000-03ac1000 r-xp 00b73000 fe:00 10004846                           /opt/patch bay\n" + strings.Replace(rest, "Locked:                0", "Locked:                4", 1) +
		"29e7be800000-29e7bf000000 r--p 00000000 00:00 0 \n" + rest +
		"7effcbf50000-7effcc190000 r--p 00000000 fe:00 77                         /opt/other\n" + rest
	want := []mapping{{0x400000, 0xf73000}, {0xf73000, 0x19c1000}}
	if d := cmp.Diff(want, cleanMappings(strings.NewReader(smaps), "/opt/patch bay"), cmp.AllowUnexported(mapping{})); d != "" {
		t.Error(d)
	}
}

// TestTheProgramRunsOnWithoutItsPages drops the test's own program, which has to go on.
func TestTheProgramRunsOnWithoutItsPages(t *testing.T) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("no smaps: ", err)
	}
	defer f.Close()
	if len(cleanMappings(f, exe)) == 0 {
		t.Fatal("the program's file is not found")
	}
	dropProgram()
	TestOnlyCleanMappingsAreDropped(t)
}
