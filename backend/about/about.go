// Package about knows what this program is made of: its build and the libraries in it with their licences.
package about

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

//go:generate go run ../../build/licences licences.json licences.json.gz

// Licence is that of Patchbay itself.
const Licence = "GPL-3.0-only"

// licences are the SPDX names of the libraries' licences by module, made by `go generate ./backend/about`.
//
//go:embed licences.json
var licences []byte

// texts are the licences themselves by module, compressed, made with licences.
//
//go:embed licences.json.gz
var texts []byte

var known = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	if err := json.Unmarshal(licences, &out); err != nil {
		return nil // a test reads the file
	}
	return out
})

// goModule stands for the language's own library and run time.
const goModule = "std"

// Info is what a build is made of.
type Info struct {
	Go, System, Revision string
	Time                 time.Time // of the revision
	Modules              []Module
}

// Module is one library.
type Module struct {
	Path, Version string
	Licence       string // SPDX, "" if it is not known
}

// Read returns what this build is made of.
func Read() Info {
	i := Info{Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return i
	}
	for _, s := range bi.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Revision = s.Value
		case "vcs.time":
			i.Time, _ = time.Parse(time.RFC3339, s.Value) // the zero time means unknown
		}
	}
	i.Modules = append(i.Modules, Module{goModule, runtime.Version(), known()[goModule]})
	for _, m := range bi.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		i.Modules = append(i.Modules, Module{m.Path, m.Version, known()[m.Path]})
	}
	return i
}

// Text returns the licence of a library with all that must go along with it, "" if there is no such library. It is read from the
// compressed texts each time: few people look, and nobody twice a second.
func Text(path string) (string, error) {
	z, err := gzip.NewReader(bytes.NewReader(texts))
	if err != nil {
		return "", fmt.Errorf("reading licences: %w", err)
	}
	all := map[string]string{}
	if err := json.UnmarshalRead(z, &all); err != nil {
		return "", fmt.Errorf("reading licences: %w", err)
	}
	return all[path], nil
}

// Licences returns the licence of every library that may be part of a build, by module.
func Licences() map[string]string { return known() }
