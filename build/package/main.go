// Command package builds what people install: for Linux a deb, an archive and an AppImage, for Windows an installer and a
// portable archive, for macOS a disk image. Beside them it writes SHA256SUMS and a bill of materials.
//
// The same commit gives the same bytes: times come from the commit, owners and orders are fixed. Signatures are the
// exception, and are made only where a certificate is given.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// packager holds what all packages have in common.
type packager struct {
	ctx     context.Context
	root    string // the repository
	out     string // where the packages go
	work    string // a folder for what lies between
	version string // as `patchbay version` prints it
	arch    string // as Go names it
	time    time.Time

	strict     bool // a package must have all its parts
	noAppImage bool
	made       []string // names in out
}

// target is one system to package for.
type target struct {
	name string
	make func(*packager) error
}

// targets are the systems, in the order they are built.
var targets = []target{{"linux", (*packager).linux}, {"windows", (*packager).windows}, {"macos", (*packager).macOS}, {"sbom", (*packager).sbom}, {"sums", (*packager).sums}}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("package", flag.ContinueOnError)
	p := &packager{ctx: ctx}
	flags.StringVar(&p.root, "root", ".", "the repository")
	flags.StringVar(&p.out, "out", "dist", "folder for the packages")
	flags.StringVar(&p.version, "version", "", "version to build (default: what git describes)")
	flags.StringVar(&p.arch, "arch", "amd64", "processor")
	flags.BoolVar(&p.strict, "strict", false, "fail when a part is missing (the window, the page, the AppImage) instead of saying so")
	flags.BoolVar(&p.noAppImage, "without-appimage", false, "build no AppImage, whose runtime comes from the net")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: package [flags] [linux] [windows] [macos] [sbom] [sums]\nWithout names: what this system can build, sbom and sums.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		names = defaultTargets(runtime.GOOS)
	}
	for _, n := range names {
		if !slices.ContainsFunc(targets, func(t target) bool { return t.name == n }) {
			return fmt.Errorf("there is no target %q", n)
		}
	}
	if err := p.prepare(); err != nil {
		return err
	}
	defer os.RemoveAll(p.work)
	for _, t := range targets {
		if !slices.Contains(names, t.name) {
			continue
		}
		if err := t.make(p); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// defaultTargets is what a system can build: a Mac its own only, since nobody else has its linker and its tools.
func defaultTargets(goos string) []string {
	if goos == "darwin" {
		return []string{"macos", "sbom", "sums"}
	}
	return []string{"linux", "windows", "sbom", "sums"}
}

func (p *packager) prepare() (err error) {
	if p.root, err = filepath.Abs(p.root); err != nil {
		return err
	}
	if p.out, err = filepath.Abs(p.out); err != nil {
		return err
	}
	if p.time, err = p.buildTime(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	if p.version == "" {
		out, err := p.output(nil, "git", "describe", "--tags", "--always", "--dirty")
		if err != nil {
			return fmt.Errorf("no version: give one with -version: %w", err)
		}
		p.version = strings.TrimSpace(out)
	}
	if err = os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	p.work, err = os.MkdirTemp("", "patchbay-package-")
	return err
}

// buildTime is the time that stands in all packages: what SOURCE_DATE_EPOCH says, or the commit's.
func (p *packager) buildTime(epoch string) (time.Time, error) {
	if epoch == "" {
		out, err := p.output(nil, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("no time of a commit: set SOURCE_DATE_EPOCH: %w", err)
		}
		epoch = strings.TrimSpace(out)
	}
	sec, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is no number of seconds: %q", epoch)
	}
	return time.Unix(sec, 0).UTC(), nil
}

// goBuild builds the program.
func (p *packager) goBuild(out, goos, arch string, tags []string, ldflags string, cgo bool) error {
	enabled := "0"
	if cgo {
		enabled = "1"
	}
	env := []string{"GOOS=" + goos, "GOARCH=" + arch, "CGO_ENABLED=" + enabled}
	if goos == "darwin" && cgo {
		env = append(env, "CGO_CFLAGS=-mmacosx-version-min=10.13", "CGO_LDFLAGS=-framework UniformTypeIdentifiers -mmacosx-version-min=10.13")
	}
	// Neither paths nor the state of the working tree may get into the program: the version says what it is.
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", strings.TrimSpace("-s -w -buildid= -X main.version=" + p.version + " " + ldflags)}
	if len(tags) > 0 {
		args = append(args, "-tags", strings.Join(tags, ","))
	}
	return p.run(env, "go", append(args, "-o", out, ".")...)
}

// missing reports a part that cannot be built: an error if all parts are wanted, else a line.
func (p *packager) missing(what, why string) error {
	if p.strict {
		return fmt.Errorf("%s cannot be built: %s", what, why)
	}
	fmt.Fprintf(os.Stderr, "package: WITHOUT %s: %s\n", what, why)
	return nil
}

// checkPage says when the page is not built: the program then shows a line of text in its place.
func (p *packager) checkPage() error {
	if _, err := os.Stat(filepath.Join(p.root, "frontend/dist/index.html")); err != nil {
		return p.missing("the page", "frontend/dist/index.html is missing; `make package` builds it first")
	}
	return nil
}

// hasWindow reports whether the program that is built here holds the window.
func (p *packager) hasWindow() bool {
	deps, err := p.output(nil, "go", "list", "-deps", "-tags", "desktop,production", ".")
	return err == nil && slices.Contains(strings.Fields(deps), "patchbay/app/window")
}

func (p *packager) run(env []string, name string, args ...string) error {
	_, err := p.output(env, name, args...)
	return err
}

// output runs a command in the repository and returns what it prints.
func (p *packager) output(env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(p.ctx, name, args...)
	cmd.Dir = p.root
	cmd.Env = append(os.Environ(), env...)
	if !p.time.IsZero() {
		cmd.Env = append(cmd.Env, "TZ=UTC", "SOURCE_DATE_EPOCH="+strconv.FormatInt(p.time.Unix(), 10))
	}
	out, err := cmd.Output()
	if ee, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(append([]string{name}, args...), " "), err, out, ee.Stderr)
	}
	return string(out), err
}

// tool runs one of the tools that build/tools/package pins.
func (p *packager) tool(args ...string) error {
	return p.run([]string{"GOOS=", "GOARCH="}, "go", append([]string{"tool", "-modfile=build/tools/package/go.mod"}, args...)...)
}

// source is the path of a file of the repository.
func (p *packager) source(name string) string { return filepath.Join(p.root, filepath.FromSlash(name)) }

// done notes a package.
func (p *packager) done(name string) {
	p.made = append(p.made, name)
	fmt.Println(name)
}
