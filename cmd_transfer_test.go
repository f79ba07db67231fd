package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"patchbay/backend/api"
)

func TestExportAndImport(t *testing.T) {
	dir := t.TempDir()
	file, pass := filepath.Join(dir, "x.age"), filepath.Join(dir, "pass.txt")
	if err := os.WriteFile(pass, []byte("correct horse battery \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench()
	b.svc.CarryReport = api.CarryReport{
		Taken:   []api.CarryItem{{Kind: "account", Name: "kiro/a", Note: "one computer only"}, {Kind: "account", Name: "kiro/b"}, {Kind: "client key", Name: "k"}},
		Skipped: []api.CarryItem{{Kind: "setting", Name: "server.listen", Note: "about this computer"}},
	}
	b.run(t, "export", file, "--passphrase-file", pass).check(t, exitOK, "Saved 2 accounts, 1 client key into "+file, "one computer only", "left", "server.listen")
	got, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(string(got), "fake correct horse battery ") { // only the line's end is taken off
		t.Error(string(got), err)
	}
	if st, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Error(st.Mode(), err)
	}
	b.run(t, "export", file, "--passphrase-file", pass).check(t, exitFailed, "is there already")
	b.run(t, "export", file, "--passphrase-file", pass, "--force").check(t, exitOK)
	b.run(t, "import", file, "--passphrase-file", pass).check(t, exitOK, "Restored 2 accounts, 1 client key from "+file, "server.listen")
	b.run(t, "import", file, "--passphrase-file", pass, "--replace").check(t, exitOK)
	if !b.svc.LastRestore.Replace {
		t.Error("--replace was lost")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".patchbay-*")); len(left) > 0 {
		t.Error(left)
	}

	b.typed = "correct horse battery "
	b.run(t, "import", file, "--json").check(t, exitOK, `"name": "kiro/a"`)
	b.run(t, "export", filepath.Join(dir, "y.age"), "--json").check(t, exitOK, `"skipped"`)
	b.typed = "wrong horse"
	b.run(t, "import", file).check(t, exitFailed, "does not open this file")
}

func TestExportThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	b := newBench()
	target := filepath.Join(dir, "x.age")
	b.run(t, "export", target).check(t, exitUsage, "--passphrase-file FILE")
	b.run(t, "export").check(t, exitUsage, "the name of the file")
	b.run(t, "import").check(t, exitUsage, "what to import")
	b.run(t, "export", target, "--passphrase", "hunter2").check(t, exitUsage, "unknown flag")
	b.typed = "short"
	b.run(t, "export", target).check(t, exitFailed, "at least 10 characters")
	b.typed = "long enough a passphrase"
	b.run(t, "export", filepath.Join(dir, "none", "x.age")).check(t, exitFailed, "writing the export")
	b.run(t, "import", filepath.Join(dir, "none")).check(t, exitFailed, "reading "+filepath.Join(dir, "none"))
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.asked = ""
	b.run(t, "import", text, "--replace").check(t, exitUsage, "are for exports of Patchbay")
	b.run(t, "import", text, "--passphrase-file", "nowhere").check(t, exitUsage, "are for exports of Patchbay")
	if b.asked != "" {
		t.Error("a passphrase was asked for although the file is none")
	}
	b.run(t, "export", target, "--passphrase-file", filepath.Join(dir, "nowhere")).check(t, exitFailed, "reading the passphrase")
	if err := os.WriteFile(text, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(t, "export", target, "--passphrase-file", text).check(t, exitFailed, "too long for a passphrase")
	if _, err := os.Stat(target); err == nil {
		t.Error("a file was written")
	}
}

func TestMistypedPassphraseWritesNothing(t *testing.T) {
	n := 0
	a := newApp()
	a.prompt = func(string) (string, bool, error) {
		n++
		return strings.Repeat("passphrase", n), true, nil
	}
	if _, err := a.passphrase("", true); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Error(err)
	}
}
