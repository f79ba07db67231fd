package credfile

import (
	"path/filepath"
	"strings"

	"patchbay/backend/provider"
)

// place is a path where a login of a provider may be.
type place struct {
	provider, path  string
	format, program string
	named           bool // a person named it: it is shown even if nothing is there
}

// system is what paths depend on.
type system struct {
	home   string // "" = there is none
	os     string // as Go names it
	getenv func(string) string
}

// at returns the path of a file as the program that owns it would find it; "" if there is none on this system.
func (s system) at(f provider.CredentialFile) string {
	if f.OS != "" && f.OS != s.os {
		return ""
	}
	path := f.Path
	if f.Env != "" {
		if v := s.getenv(f.Env); v != "" {
			rest, ok := strings.CutPrefix(path, f.Base)
			if f.Base == "" {
				rest, ok = "", true
			}
			if !ok {
				return "" // the driver's table is wrong: Base does not begin Path
			}
			path = v + rest
		}
	}
	return s.expand(path)
}

// expand puts a home and variables into a path. A path that is not absolute afterwards is none.
func (s system) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/' || rest[0] == '\\' && s.os == "windows") {
		if s.home == "" {
			return ""
		}
		path = s.home + rest
	}
	if before, after, ok := strings.Cut(path, "%"); ok && s.os == "windows" {
		name, rest, ok := strings.Cut(after, "%")
		value := s.getenv(name)
		if !ok || value == "" {
			return ""
		}
		path = before + value + rest
	}
	path = filepath.FromSlash(path)
	if !filepath.IsAbs(path) {
		return ""
	}
	return filepath.Clean(path)
}

// key compares paths as the system does.
func (s system) key(path string) string {
	if s.os == "windows" || s.os == "darwin" {
		return strings.ToLower(path)
	}
	return path
}
