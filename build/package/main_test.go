package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVersions(t *testing.T) {
	for _, c := range []struct{ in, deb, four, file string }{
		{"v1.2.3", "1.2.3", "1.2.3.0", "1.2.3"},
		{"1.2.3", "1.2.3", "1.2.3.0", "1.2.3"},
		{"v1.2.3-rc.1", "1.2.3~rc.1", "1.2.3.0", "1.2.3-rc.1"},
		{"v1.2.3-5-gabc1234", "1.2.3+5.abc1234", "1.2.3.0", "1.2.3-5-gabc1234"},
		{"v1.2.3-rc.1-5-gabc1234-dirty", "1.2.3~rc.1+5.abc1234.dirty", "1.2.3.0", "1.2.3-rc.1-5-gabc1234-dirty"},
		{"99ca0e7", "0.0.0~dev+99ca0e7", "0.0.0.0", "99ca0e7"},
		{"99ca0e7-dirty", "0.0.0~dev+99ca0e7.dirty", "0.0.0.0", "99ca0e7-dirty"},
		{"feature/x", "0.0.0~dev+feature.x", "0.0.0.0", "feature-x"},
	} {
		if got := debVersion(c.in); got != c.deb {
			t.Errorf("debVersion(%q) = %q, want %q", c.in, got, c.deb)
		}
		if got := fourNumbers(c.in); got != c.four {
			t.Errorf("fourNumbers(%q) = %q, want %q", c.in, got, c.four)
		}
		if got := fileVersion(c.in); got != c.file {
			t.Errorf("fileVersion(%q) = %q, want %q", c.in, got, c.file)
		}
	}
}

// TestArchivesDependOnContentsOnly packs the same files twice, in another order and from files of another age.
func TestArchivesDependOnContentsOnly(t *testing.T) {
	at := time.Unix(1_800_000_000, 0).UTC()
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	if err := os.WriteFile(path, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := []entry{{name: "x/b", path: path, exec: true}, {name: "x/a", content: []byte("first")}}
	for name, write := range map[string]func(string, []entry, time.Time) error{"tar": writeTarGz, "zip": writeZip} {
		one, two := filepath.Join(dir, name+"1"), filepath.Join(dir, name+"2")
		if err := write(one, entries, at); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(entries)
		if err := write(two, entries, at); err != nil {
			t.Fatal(err)
		}
		a, b := read(t, one), read(t, two)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: the two differ", name)
		}
	}
	zr, err := gzip.NewReader(bytes.NewReader(read(t, filepath.Join(dir, "tar1"))))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name+" "+h.FileInfo().Mode().String())
		if !h.ModTime.Equal(at) || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s has a time or an owner of its own", h.Name)
		}
	}
	if want := []string{"x/a -rw-r--r--", "x/b -rwxr-xr-x"}; !slices.Equal(names, want) {
		t.Errorf("the archive holds %q, want %q", names, want)
	}
	if z, err := zip.OpenReader(filepath.Join(dir, "zip1")); err != nil {
		t.Error(err)
	} else if z.Close(); len(z.File) != 2 {
		t.Errorf("the zip holds %d files", len(z.File))
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSumsCoverEveryPackage(t *testing.T) {
	p := &packager{out: t.TempDir()}
	if err := p.sums(); err == nil {
		t.Error("sums over nothing succeeded")
	}
	for name, text := range map[string]string{"a.deb": "a", "b.zip": "b", "SHA256SUMS": "old"} {
		if err := os.WriteFile(filepath.Join(p.out, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.sums(); err != nil {
		t.Fatal(err)
	}
	want := "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.deb\n" +
		"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b.zip\n"
	if got := string(read(t, filepath.Join(p.out, "SHA256SUMS"))); got != want {
		t.Errorf("SHA256SUMS:\n%swant:\n%s", got, want)
	}
}

func TestARuntimeOfAnotherHashIsRefused(t *testing.T) {
	p := &packager{ctx: t.Context(), root: t.TempDir()}
	cache := filepath.Join(p.root, ".cache", "appimage-runtime-"+runtimeSHA256[:16])
	if err := os.MkdirAll(filepath.Dir(cache), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cache, []byte("not the runtime"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.fetchRuntime(); err == nil || !strings.Contains(err.Error(), runtimeSHA256) {
		t.Errorf("it was taken: %v", err)
	}
}

func TestManualHoldsEveryCommand(t *testing.T) {
	help := "Patchbay\n\nAvailable Commands:\n  accounts    Your accounts\n  help        Help about any command\n  serve       Start\n\nFlags:\n  -h, --help   help\n"
	text, err := manual(func(args ...string) (string, error) {
		if args[0] == "--help" {
			return help, nil
		}
		return ".dotted line of " + args[0] + "\n", nil
	}, "v1", time.Unix(0, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".SS patchbay accounts\n", ".SS patchbay serve\n", `\&.dotted line of serve`, `\-\-help`, `.TH PATCHBAY 1 "1970-01-01"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if strings.Contains(text, ".SS patchbay help") {
		t.Error("help is no command of its own")
	}
}

// TestBundle checks the app for macOS without a Mac: its parts, and what the window and the tray need of Info.plist.
func TestBundle(t *testing.T) {
	p := &packager{root: "../..", version: "v1.2.3"}
	bin := filepath.Join(t.TempDir(), "patchbay")
	if err := os.WriteFile(bin, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := p.bundle(bin)
	if err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(t.TempDir(), "Patchbay.app")
	if err := place(app, files, time.Unix(1_800_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	info := read(t, filepath.Join(app, "Contents/Info.plist"))
	if err := xml.Unmarshal(info, new(struct{})); err != nil {
		t.Errorf("Info.plist: %v", err)
	}
	compact := strings.Join(strings.Fields(string(info)), "")
	for _, want := range []string{
		"<key>LSUIElement</key><true/>", "<key>NSAllowsLocalNetworking</key><true/>", "<key>CFBundleShortVersionString</key><string>1.2.3</string>",
		"<key>CFBundleExecutable</key><string>patchbay</string>", "<key>CFBundleIconFile</key><string>patchbay.icns</string>",
	} {
		if !strings.Contains(compact, want) {
			t.Errorf("Info.plist lacks %s", want)
		}
	}
	if st, err := os.Stat(filepath.Join(app, "Contents/MacOS/patchbay")); err != nil || runtime.GOOS != "windows" && st.Mode().Perm()&0o111 == 0 {
		t.Errorf("the program cannot be started: %v %v", st, err)
	}
	if icon := read(t, filepath.Join(app, "Contents/Resources/patchbay.icns")); !bytes.HasPrefix(icon, []byte("icns")) {
		t.Error("the icon is none")
	}
}

func TestMissingPartsFailOnlyWhenAllAreWanted(t *testing.T) {
	p := &packager{root: t.TempDir()}
	if err := p.checkPage(); err != nil {
		t.Errorf("without -strict: %v", err)
	}
	p.strict = true
	if err := p.checkPage(); err == nil {
		t.Error("with -strict the missing page was accepted")
	}
}

func TestUnknownTargetsAreRefused(t *testing.T) {
	if err := run(t.Context(), []string{"-root", t.TempDir(), "beos"}); err == nil {
		t.Error("it was accepted")
	}
}

var uses = regexp.MustCompile(`(?m)^\s*(?:- )?uses: *(\S+)(.*)$`)

// TestActionsArePinned holds for every workflow: a tag can be moved to other code, a commit cannot.
func TestActionsArePinned(t *testing.T) {
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Skip("an unpacked release has no workflows")
	}
	pinned := regexp.MustCompile(`@[0-9a-f]{40}$`)
	for _, f := range files {
		for _, m := range uses.FindAllStringSubmatch(string(read(t, f)), -1) {
			if !pinned.MatchString(m[1]) || !strings.HasPrefix(m[2], " # v") {
				t.Errorf("%s: %s: name a commit, and its version in a comment", filepath.Base(f), m[1])
			}
		}
	}
}
