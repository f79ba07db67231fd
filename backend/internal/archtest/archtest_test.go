// Package archtest holds the rules of the house that a compiler does not check: who may import whom, and what the backend
// never does.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// levels places every room. A room may import rooms of a lower level only; a pattern ending in /* stands for all folders
// below it, which may not import each other.
var levels = map[string]int{
	"backend/canon": 0, "backend/apierror": 0, "backend/events": 0, "backend/logging": 0, "backend/secret": 0, "backend/trace": 0,
	"backend/secret/*": 1, "backend/wire": 1, "backend/wire/oai": 1, "backend/transport": 1, "backend/config": 1, "backend/store": 1, "backend/provider": 1,
	"backend/session": 1, "backend/page": 1, "backend/about": 1,
	"backend/wire/*": 2, "backend/oauth": 2, "backend/clientkey": 2, "backend/record": 2, "backend/preset": 2, "backend/prompt": 2, "backend/update": 2,
	"backend/provider/*": 3, "backend/simulator": 3, "backend/account": 3,
	"backend/provider/qwen": 4, "backend/provider/iflow": 4, // they speak OpenAI Chat by backend/provider/openaicompat
	"backend/credfile": 4, "backend/route": 4,
	"backend/gateway": 5, "backend/transfer": 5, "backend/doctor": 5, "backend/connect": 5,
	"backend/server": 6, "backend/api": 6,
	"backend": 7, "backend/api/apitest": 7,
	"frontend": 0, // what is embedded: the page and the texts
	"app/*":    8,
	"app":      9,
	"":         10,
}

// forbidden are packages that backend code does not use, with the reason.
var forbidden = map[string]string{
	"log": "log/slog redacts and reaches the log page",
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestRoomsImportDownwardsOnly(t *testing.T) {
	for _, p := range listPackages(t) {
		room := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, "patchbay"), "/")
		if strings.HasPrefix(room, "backend/internal/") || strings.HasPrefix(room, "build/") {
			continue // tests and tools
		}
		level, ok := levelOf(room)
		if !ok {
			t.Errorf("%s has no level: give it one in this test and say what it holds in its package comment", room)
			continue
		}
		for _, imp := range p.Imports {
			if why := forbidden[imp]; why != "" && strings.HasPrefix(room, "backend") {
				t.Errorf("%s imports %s: %s", room, imp, why)
			}
			other, own := strings.CutPrefix(imp, "patchbay/")
			if !own {
				continue
			}
			if strings.HasPrefix(other, "backend/internal/") {
				t.Errorf("%s imports %s, which is for tests only", room, other)
				continue
			}
			otherLevel, _ := levelOf(other)
			if otherLevel >= level {
				t.Errorf("%s (level %d) imports %s (level %d): imports go downwards only", room, level, other, otherLevel)
			}
		}
	}
}

// TestTheProgramBringsTimeZones keeps `usage` by time zone working where the system has no zones: Windows, small containers.
func TestTheProgramBringsTimeZones(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath == "patchbay" {
			if !slices.Contains(p.Imports, "time/tzdata") {
				t.Error("the program does not import time/tzdata")
			}
			return
		}
	}
	t.Error("the program is not there")
}

func TestBackendNeverEndsTheProcessNorSleeps(t *testing.T) {
	cmd := exec.Command("git", "grep", "-nE", `\b(os\.Exit|time\.Sleep|log\.Fatal)\(`, "--", "backend/*.go", ":!*_test.go", ":!backend/internal", ":!backend/simulator")
	cmd.Dir = "../../.."
	out, err := cmd.Output()
	if ee, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || ee.ExitCode() != 1) {
		t.Skipf("git grep: %v", err) // an unpacked release has no git
	}
	if len(out) > 0 {
		t.Errorf("only main may end the process, and nothing waits by sleeping:\n%s", out)
	}
}

func levelOf(room string) (int, bool) {
	if l, ok := levels[room]; ok {
		return l, true
	}
	for parent := room; ; {
		i := strings.LastIndexByte(parent, '/')
		if i < 0 {
			return 0, false
		}
		parent = parent[:i]
		if l, ok := levels[parent+"/*"]; ok {
			return l, true
		}
	}
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
