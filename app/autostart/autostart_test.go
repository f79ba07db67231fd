package autostart

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain makes this program a Patchbay that switches starting at login on and off: the module looks at the environment only
// when a program starts, and the person's own folder is none of a test's business.
func TestMain(m *testing.M) {
	if what := os.Getenv("PATCHBAY_TEST_AUTOSTART"); what != "" {
		if err := story(what); err != nil {
			println(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// story switches it on twice and off twice for a path, and reads each time what the system would do.
func story(exe string) error {
	want := func(state State, exe string) error {
		st, err := Read(exe, "--hidden")
		if err == nil && st.State != state {
			return errState(st.State + " instead of " + state + " for " + State(st.Path))
		}
		return err
	}
	steps := []func() error{
		func() error { return want(Off, exe) },
		Disable,
		func() error { return Enable(exe, "--hidden") },
		func() error { return want(On, exe) },
		func() error { return Enable(exe, "--hidden") },
		func() error { return want(On, exe) },
		func() error { return want(Stale, exe+"-moved") },
		func() error { return Enable(exe+"-moved", "--hidden") },
		func() error { return want(On, exe+"-moved") },
	}
	if os.Getenv("PATCHBAY_TEST_KEEP") == "" {
		steps = append(steps, Disable, func() error { return want(Off, exe) }, Disable)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type errState State

func (e errState) Error() string { return string(e) }

var paths = []string{
	"/opt/patchbay/patchbay", "/opt/My Apps/patchbay", `/opt/a"b/patchbay`, "/opt/$HOME/patchbay", "/opt/back`tick`/patchbay",
	`/opt/back\slash/patchbay`, "/opt/100%/patchbay", "/opt/été/日本語/patchbay", "/opt/it's; <here> & there/patchbay", "/opt/tab\there/patchbay",
}

func TestWhatIsSwitchedOnIsWhatTheSystemReads(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it would change this person's registry")
	}
	for _, exe := range paths {
		t.Run(exe, func(t *testing.T) {
			home := t.TempDir()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "PATCHBAY_TEST_AUTOSTART="+exe, "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestDesktopFilesAreValid asks freedesktop.org's own checker.
func TestDesktopFilesAreValid(t *testing.T) {
	check, err := exec.LookPath("desktop-file-validate")
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("needs desktop-file-validate")
	}
	for _, exe := range paths {
		if strings.Contains(exe, "\t") {
			continue
		}
		home := t.TempDir()
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "PATCHBAY_TEST_AUTOSTART="+exe, "PATCHBAY_TEST_KEEP=1", "HOME="+home, "XDG_CONFIG_HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", exe, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), check, filepath.Join(home, "autostart", id+".desktop")).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", exe, err, out)
		}
	}
}

func TestDesktopFilesOfOthersAreRead(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
		blocked    bool
	}{
		{"plain", "[Desktop Entry]\nExec=/usr/bin/patchbay --hidden\n", []string{"/usr/bin/patchbay", "--hidden"}, false},
		{"quoted", "[Desktop Entry]\nExec = \"/opt/a b/p\"  --hidden \n", []string{"/opt/a b/p", "--hidden"}, false},
		{"empty argument", "[Desktop Entry]\nExec=p \"\" x\n", []string{"p", "", "x"}, false},
		{"switched off by GNOME", "[Desktop Entry]\nExec=p\nX-GNOME-Autostart-enabled=false\n", []string{"p"}, true},
		{"switched off by KDE", "[Desktop Entry]\nExec=p\nHidden=true\n", []string{"p"}, true},
		{"another group", "[Desktop Entry]\nExec=p\n[Desktop Action x]\nExec=other\nHidden=true\n", []string{"p"}, false},
		{"nothing in it", "", nil, false},
	} {
		got, blocked, err := parseDesktop(tc.text)
		if d := cmp.Diff(tc.want, got); err != nil || d != "" || blocked != tc.blocked {
			t.Errorf("%s: blocked %v, %v\n%s", tc.name, blocked, err, d)
		}
	}
	if _, _, err := parseDesktop("[Desktop Entry]\nExec=\"p\n"); err == nil {
		t.Error("a quote without an end is accepted")
	}
}

func TestDesktopFileOfOurOwnRoundTrips(t *testing.T) {
	for _, exe := range paths {
		got, blocked, err := parseDesktop(desktopFile([]string{exe, "--hidden"}))
		if d := cmp.Diff([]string{exe, "--hidden"}, got); err != nil || blocked || d != "" {
			t.Errorf("%s: blocked %v, %v\n%s", exe, blocked, err, d)
		}
	}
}

func TestLaunchAgentsAreRead(t *testing.T) {
	const top = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>Label</key><string>dev.patchbay.Patchbay</string>`
	for _, exe := range paths {
		text := top + `<key>ProgramArguments</key><array><string>` + xmlText(exe) + `</string><string>--hidden</string></array><key>RunAtLoad</key><true/></dict></plist>`
		got, blocked, err := parsePlist(text)
		if d := cmp.Diff([]string{exe, "--hidden"}, got); err != nil || blocked || d != "" {
			t.Errorf("%s: blocked %v, %v\n%s", exe, blocked, err, d)
		}
	}
	if _, blocked, err := parsePlist(top + `<key>Disabled</key><true/></dict></plist>`); err != nil || !blocked {
		t.Errorf("a disabled agent: %v, %v", blocked, err)
	}
	if _, _, err := parsePlist(top); err == nil {
		t.Error("half a file is accepted")
	}
}

func TestProgramOfAnAppImageIsTheImage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("AppImages are for Linux")
	}
	image := filepath.Join(t.TempDir(), "Patchbay.AppImage")
	t.Setenv("APPIMAGE", image)
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Program(); err != nil || got != own {
		t.Errorf("an image that is gone: %q, %v", got, err)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Program(); err != nil || got != image {
		t.Errorf("an image: %q, %v", got, err)
	}
}
