package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// Paths says where Patchbay keeps its files.
type Paths struct {
	Config string // the file config.yaml
	Data   string // folder of the database
	State  string // folder of the log files
}

// Database returns the path of the embedded database.
func (p Paths) Database() string { return filepath.Join(p.Data, "patchbay.db") }

// Dir returns the folder of the settings, where the instance lock stands too.
func (p Paths) Dir() string { return filepath.Dir(p.Config) }

// Presets returns the path of the person's own presets.
func (p Paths) Presets() string { return filepath.Join(p.Dir(), "presets.yaml") }

// LastGood returns the path of the copy of the last settings that could be read.
func (p Paths) LastGood() string { return filepath.Join(p.State, "config.last-good.yaml") }

// FindPaths returns the paths of this user. PATCHBAY_HOME puts everything under one folder.
func FindPaths() (Paths, error) { return pathsOf(runtime.GOOS, os.Getenv) }

var errNoHome = errors.New("no home folder is known: set PATCHBAY_HOME to a folder that Patchbay may use")

func pathsOf(goos string, getenv func(string) string) (Paths, error) {
	if home := getenv("PATCHBAY_HOME"); home != "" {
		home, err := filepath.Abs(home)
		if err != nil {
			return Paths{}, err
		}
		return Paths{Config: filepath.Join(home, "config.yaml"), Data: home, State: filepath.Join(home, "logs")}, nil
	}
	config, data, state := baseDirs(goos, getenv)
	if config == "" || data == "" || state == "" {
		return Paths{}, errNoHome
	}
	return Paths{
		Config: filepath.Join(config, "patchbay", "config.yaml"),
		Data:   filepath.Join(data, "patchbay"),
		State:  filepath.Join(state, "patchbay"),
	}, nil
}

func baseDirs(goos string, getenv func(string) string) (config, data, state string) {
	home := getenv("HOME")
	under := func(elem ...string) string {
		if home == "" {
			return ""
		}
		return filepath.Join(append([]string{home}, elem...)...)
	}
	switch goos {
	case "windows":
		local := getenv("LOCALAPPDATA")
		return getenv("APPDATA"), local, local
	case "darwin":
		support := under("Library", "Application Support")
		return support, support, under("Library", "Logs")
	}
	// The XDG specification: relative paths are invalid and must be ignored.
	xdg := func(name string, elem ...string) string {
		if dir := getenv(name); filepath.IsAbs(dir) {
			return dir
		}
		return under(elem...)
	}
	return xdg("XDG_CONFIG_HOME", ".config"), xdg("XDG_DATA_HOME", ".local", "share"), xdg("XDG_STATE_HOME", ".local", "state")
}
