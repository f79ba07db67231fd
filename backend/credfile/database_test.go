package credfile

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// program is another program that keeps its login in a database.
func program(t *testing.T, path, mode string) *sql.DB {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode("+mode+")")
	must(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() }) // a test may have closed it
	exec(t, db, "CREATE TABLE auth (key TEXT PRIMARY KEY, value BLOB)")
	exec(t, db, "INSERT INTO auth VALUES ('token', ?)", []byte(login("1", "ann@example.test")))
	return db
}

func exec(t *testing.T, db *sql.DB, q string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), q, args...)
	must(t, err)
}

const ownerEnv = "PATCHBAY_TEST_DATABASE"

// TestOwner is the other process of a test: it writes into the database and keeps it open until it is told to end.
func TestOwner(t *testing.T) {
	path := os.Getenv(ownerEnv)
	if path == "" {
		t.Skip("it is started by other tests")
	}
	db, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	defer db.Close()
	exec(t, db, "INSERT INTO auth VALUES ('more', 'x')")
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	must(t, err)
}

// inUse has another process keep a database open, with a log beside it.
func inUse(t *testing.T, path string) {
	t.Helper()
	cmd := osexec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestOwner$")
	cmd.Env = append(os.Environ(), ownerEnv+"="+path)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	t.Cleanup(func() {
		must(t, in.Close())
		for lines.Scan() {
		}
		must(t, cmd.Wait())
	})
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Fatal("the other process keeps no log", err)
	}
}

// A database is read in every state in which its owner may have left it, and nothing is made or changed beside it.
func TestDatabaseIsReadAndLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name, mode string
		closed     bool
		prepare    func(path string)
	}{
		{"at rest", "DELETE", true, nil},
		{"in use", "DELETE", false, nil},
		{"at rest after a log", "WAL", true, nil},
		{"in use by another process, with a log", "WAL", true, func(path string) { inUse(t, path) }},
		{"left by a crash with its log", "WAL", false, func(path string) {
			for _, side := range []string{"", "-wal"} { // the index is lost
				b, err := os.ReadFile(path + side)
				must(t, err)
				write(t, filepath.Join(filepath.Dir(filepath.Dir(path)), "crashed", "data.sqlite3"+side), string(b))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			path := filepath.Join(l.home, "db", "data.sqlite3")
			db := program(t, path, c.mode)
			if c.closed {
				must(t, db.Close())
			}
			if c.prepare != nil {
				c.prepare(path)
			}
			if crashed := filepath.Join(l.home, "crashed", "data.sqlite3"); textOf(crashed) != "-" {
				path = crashed
			}
			l.settings.Paths = map[string][]string{"fake": {path}}
			before := snapshot(t, filepath.Dir(path))
			f := l.one()
			if f.State != Usable || f.Email != "ann@example.test" {
				t.Errorf("%+v", f)
			}
			if d := cmp.Diff(before, snapshot(t, filepath.Dir(path))); d != "" {
				t.Errorf("the database or what is beside it was touched: %s", d)
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "patchbay-read-*")); len(left) > 0 {
		t.Errorf("copies were left behind: %v", left)
	}
}

func TestDatabaseOfAnAccountIsFollowed(t *testing.T) {
	l := newLab(t)
	path := filepath.Join(l.home, "db", "data.sqlite3")
	db := program(t, path, "WAL")
	l.settings.Paths = map[string][]string{"fake": {path}}
	st := l.borrow()
	exec(t, db, "UPDATE auth SET value = ?", login("2", "ann@example.test"))
	if !l.sync(t.Context(), path) || !strings.Contains(l.stored(st.ID), "at-2") {
		t.Error("what stands in the log was not read")
	}
}

func TestDatabaseCannotBeWrittenNorFlood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.sqlite3")
	db := program(t, path, "WAL")
	exec(t, db, "CREATE TABLE many (n TEXT)")
	exec(t, db, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 300) INSERT INTO many SELECT n FROM c")
	exec(t, db, "CREATE TABLE big (v BLOB)")
	exec(t, db, "INSERT INTO big VALUES (zeroblob(2000000))")
	exec(t, db, "INSERT INTO auth VALUES ('null', NULL)")
	d, err := openDatabase(t.Context(), path)
	must(t, err)
	defer d.Close()
	for q, want := range map[string]string{
		"DELETE FROM auth RETURNING key": "readonly", "SELECT n FROM many": "more than 200 rows", "SELECT v FROM big": "too large", "SELECT x FROM absent": "no such table",
	} {
		if _, err := d.rows(q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", q, err)
		}
	}
	rows, err := d.rows("SELECT key, value FROM auth WHERE key = 'null'")
	if d := cmp.Diff([][]string{{"null", ""}}, rows); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestBrokenDatabase(t *testing.T) {
	l := newLab(t)
	write(t, l.path, string(sqliteMark)+strings.Repeat("x", 5000))
	if f := l.one(); f.State != Unreadable || !strings.Contains(f.Note, "database") {
		t.Errorf("%+v", f)
	}
	write(t, l.path+"-wal", strings.Repeat("y", 5000))
	if f := l.one(); f.State != Unreadable {
		t.Errorf("%+v", f)
	}
	if _, err := openCopy(context.WithoutCancel(t.Context()), filepath.Join(l.home, "none")); err == nil {
		t.Error("a copy of nothing")
	}
}
