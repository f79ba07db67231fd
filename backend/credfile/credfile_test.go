package credfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/provider"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	unix := system{home: "/home/ann", os: "linux", getenv: func(n string) string { return map[string]string{"X": "/x", "REL": "x"}[n] }}
	for _, c := range []struct {
		f    provider.CredentialFile
		want string
	}{
		{provider.CredentialFile{Path: "~/.a/b.json"}, "/home/ann/.a/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", OS: "darwin"}, ""},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X", Base: "~/.a"}, "/x/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X", Base: "~"}, "/x/.a/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X"}, "/x"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "UNSET", Base: "~/.a"}, "/home/ann/.a/b.json"},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "X", Base: "~/.c"}, ""},
		{provider.CredentialFile{Path: "~/.a/b.json", Env: "REL", Base: "~/.a"}, ""},
		{provider.CredentialFile{Path: `%LOCALAPPDATA%\Kiro-Cli\data.sqlite3`}, ""},
		{provider.CredentialFile{Path: "~bob/.a"}, ""},
		{provider.CredentialFile{Path: "/etc/../b.json"}, "/b.json"},
	} {
		if runtime.GOOS == "windows" {
			t.Skip("paths of Unix")
		}
		if got := unix.at(c.f); got != c.want {
			t.Errorf("%+v is at %q, want %q", c.f, got, c.want)
		}
	}
	homeless := unix
	homeless.home = ""
	if got := homeless.at(provider.CredentialFile{Path: "~/.a"}); got != "" {
		t.Errorf("without a home: %q", got)
	}
	win := system{home: "/home/ann", os: "windows", getenv: func(n string) string { return map[string]string{"LOCALAPPDATA": "/local"}[n] }}
	if got := win.at(provider.CredentialFile{Path: "%LOCALAPPDATA%/Kiro"}); got != filepath.FromSlash("/local/Kiro") {
		t.Errorf("a variable of Windows: %q", got)
	}
	for _, bad := range []string{"%APPDATA%/Kiro", "%LOCALAPPDATA/Kiro"} {
		if got := win.at(provider.CredentialFile{Path: bad}); got != "" {
			t.Errorf("%s: %q", bad, got)
		}
	}
	if win.key("/A") != win.key("/a") || unix.key("/A") == unix.key("/a") {
		t.Error("case counts where it must not, or the other way round")
	}
}

func TestFoundFileIsOffered(t *testing.T) {
	l := newLab(t)
	if list := l.List(t.Context()); len(list) != 0 {
		t.Errorf("found in an empty home: %+v", list)
	}
	write(t, l.path, login("1", "ann@example.test", "Expires", "2020-01-02T03:04:05Z"))
	got := l.one()
	want := Found{
		ID: got.ID, Provider: "fake", Path: l.path, Program: "Fake CLI", State: Usable, Identity: "id/ann@example.test", Email: "ann@example.test",
		Plan: "plus", Expires: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), Over: true, Renewable: true, Modified: got.Modified,
	}
	if d := cmp.Diff(want, got); d != "" || got.ID == "" || got.Modified.IsZero() {
		t.Errorf("%s %+v", d, got)
	}
	if n := len(l.accounts.List()); n != 0 {
		t.Errorf("%d accounts were made unasked", n)
	}
	if p, ok := l.Provider(got.ID); p != "fake" || !ok {
		t.Error("its provider is not known")
	}
	l.settings.Enabled = false
	if list := l.List(t.Context()); len(list) != 0 {
		t.Errorf("looked although it is switched off: %+v", list)
	}
}

func TestNamedAndMovedPaths(t *testing.T) {
	l := newLab(t)
	l.settings.Paths = map[string][]string{"fake": {"~/mine.json", l.path, "relative.json"}, "nobody": {"/x"}}
	got := l.List(t.Context())
	if len(got) != 1 || got[0].State != Gone || got[0].Path != filepath.Join(l.home, "mine.json") || got[0].Note != "the file is not there" {
		t.Errorf("a named file that is missing: %+v", got)
	}
	l.env["FAKE_HOME"] = t.TempDir()
	write(t, filepath.Join(l.env["FAKE_HOME"], "auth.json"), login("1", "ann@example.test"))
	got = l.List(t.Context())
	if len(got) != 3 || got[0].State != Usable || got[0].Path != filepath.Join(l.env["FAKE_HOME"], "auth.json") {
		t.Errorf("the program's own variable: %+v", got)
	}
}

func TestWhatIsNoLoginSaysWhatItIs(t *testing.T) {
	l := newLab(t)
	loop := filepath.Join(l.home, "loop")
	must(t, os.Symlink(loop, loop))
	for _, c := range []struct {
		name, text string
		make       func() error
		state      State
		note       string
	}{
		{"empty object", "{}", nil, "", ""},
		{"an API key", `{"Kind":"apikey"}`, nil, Empty, "it holds an API key"},
		{"half of it", login("1", "a@example.test")[:40], nil, Unreadable, "it is no JSON"},
		{"nothing in it", "", nil, Unreadable, "it is no JSON"},
		{"a huge file", strings.Repeat(" ", 2<<20), nil, Unreadable, "larger than"},
		{"a folder", "", func() error { return os.Mkdir(l.path, 0o700) }, Unreadable, "it is no file"},
		{"a link to itself", "", func() error { return os.Symlink(loop, l.path) }, Unreadable, ""},
		{"a folder in the way that is a file", "", func() error {
			if err := os.RemoveAll(filepath.Dir(l.path)); err != nil {
				return err
			}
			return os.WriteFile(filepath.Dir(l.path), nil, 0o600)
		}, "", ""},
	} {
		must(t, os.RemoveAll(l.path))
		must(t, os.MkdirAll(filepath.Dir(l.path), 0o700))
		if c.make != nil {
			must(t, c.make())
		} else {
			write(t, l.path, c.text)
		}
		list := l.List(t.Context())
		if c.state == "" {
			if len(list) != 0 {
				t.Errorf("%s: %+v", c.name, list)
			}
			continue
		}
		if len(list) != 1 || list[0].State != c.state || !strings.Contains(list[0].Note, c.note) {
			t.Errorf("%s: %+v", c.name, list)
			continue
		}
		_, err := l.Borrow(t.Context(), list[0].ID, Use{})
		wantError(t, err, "cannot be used")
	}
}

// The mode 000 needs somebody whom modes hinder; the folder and the link above are unreadable for everybody.
func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("modes do not hinder this user")
	}
	l := newLab(t)
	write(t, l.path, login("1", "ann@example.test"))
	must(t, os.Chmod(l.path, 0))
	if f := l.one(); f.State != Unreadable || f.Note != fs.ErrPermission.Error() {
		t.Errorf("%+v", f)
	}
}
