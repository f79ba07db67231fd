package anthropic

import (
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"
)

// goldenFiles returns a file of every golden archive that has it.
func goldenFiles(t testing.TB, name string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range files {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if s := file(a, name); s != "" {
			out[filepath.Base(path)] = s
		}
	}
	return out
}

func goldenRequests(t testing.TB) map[string]string { return goldenFiles(t, "request.json") }
