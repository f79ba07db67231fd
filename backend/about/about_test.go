package about

import (
	"os/exec"
	"strings"
	"testing"
)

// TestEveryLibraryHasItsLicence holds the generated files to what this system's program is made of.
func TestEveryLibraryHasItsLicence(t *testing.T) {
	list, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "patchbay").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(strings.Fields(string(list)), goModule) {
		if Licences()[path] == "" {
			t.Errorf("%s has no licence: run go generate ./backend/about", path)
		}
	}
	for path, spdx := range Licences() {
		text, err := Text(path)
		if err != nil || len(text) < 500 || spdx == "" {
			t.Errorf("%s (%s): %d bytes of text, %v", path, spdx, len(text), err)
		}
	}
	if text, err := Text("example.test/nothing"); err != nil || text != "" {
		t.Error(text, err)
	}
}
