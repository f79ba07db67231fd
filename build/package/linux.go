package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// The window is a program of its own on Linux (the main one is static and needs no library), with these tags.
var windowTags = []string{"desktop", "production", "webkit2_41"}

// The part of an AppImage that mounts and starts it, from the project that defines the format. The hash is the release's
// own; it must be changed together with the version.
const (
	runtimeURL    = "https://github.com/AppImage/type2-runtime/releases/download/20251108/runtime-x86_64"
	runtimeSHA256 = "2fca8b443c92510f1483a883f60061ad09b46b978b2631c807cd873a47ec260d"
	runtimeLimit  = 8 << 20
)

func (p *packager) linux() error {
	if err := p.checkPage(); err != nil {
		return err
	}
	bin := filepath.Join(p.work, "patchbay")
	if err := p.goBuild(bin, "linux", p.arch, nil, "", false); err != nil {
		return err
	}
	files, err := p.linuxFiles(bin)
	if err != nil {
		return err
	}
	window := filepath.Join(p.work, "patchbay-window")
	switch built, err := p.linuxWindow(window); {
	case err != nil:
		return err
	case built:
		files = append(files, entry{name: "usr/bin/patchbay-window", path: window, exec: true})
	}
	if err := p.tarball(files); err != nil {
		return err
	}
	if err := p.deb(files); err != nil {
		return err
	}
	return p.appImage(files)
}

// linuxWindow builds the window if it can be built here.
func (p *packager) linuxWindow(out string) (bool, error) {
	const what = "the window (patchbay-window)"
	if !p.hasWindow() {
		return false, p.missing(what, "this program does not use app/window; Patchbay opens its page in the browser instead")
	}
	if p.run(nil, "pkg-config", "--exists", "webkit2gtk-4.1") != nil {
		return false, p.missing(what, "WebKitGTK's development files are missing: install libwebkit2gtk-4.1-dev and libgtk-3-dev")
	}
	return true, p.goBuild(out, "linux", p.arch, windowTags, "", true)
}

// linuxFiles is everything but the window, by its place in the system.
func (p *packager) linuxFiles(bin string) ([]entry, error) {
	files := []entry{
		{name: "usr/bin/patchbay", path: bin, exec: true},
		{name: "usr/share/applications/dev.patchbay.Patchbay.desktop", path: p.source("build/linux/dev.patchbay.Patchbay.desktop")},
		{name: "usr/share/metainfo/dev.patchbay.Patchbay.metainfo.xml", path: p.source("build/linux/dev.patchbay.Patchbay.metainfo.xml")},
		{name: "usr/share/icons/hicolor/scalable/apps/patchbay.svg", path: p.source("build/appicon/out/patchbay.svg")},
		{name: "usr/lib/systemd/user/patchbay.service", path: p.source("build/linux/patchbay.service")},
		{name: "usr/share/doc/patchbay/copyright", path: p.source("build/linux/copyright")},
	}
	for _, size := range []int{16, 24, 32, 48, 64, 128, 256, 512} {
		files = append(files, entry{
			name: fmt.Sprintf("usr/share/icons/hicolor/%dx%d/apps/patchbay.png", size, size),
			path: p.source(fmt.Sprintf("build/appicon/out/patchbay-%d.png", size)),
		})
	}
	generated, err := p.generated()
	return append(files, generated...), err
}

// generated is what the program itself tells: completions for shells, and its manual page. It is asked on this machine,
// whatever it is built for.
func (p *packager) generated() ([]entry, error) {
	bin := filepath.Join(p.work, "patchbay-here")
	if err := p.run([]string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version="+p.version, "-o", bin, "."); err != nil {
		return nil, err
	}
	home := []string{"PATCHBAY_HOME=" + filepath.Join(p.work, "home"), "PATCHBAY_KEYRING=file"}
	ask := func(args ...string) (string, error) { return p.output(home, bin, args...) }
	var files []entry
	for _, c := range []struct{ shell, name string }{
		{"bash", "usr/share/bash-completion/completions/patchbay"},
		{"zsh", "usr/share/zsh/vendor-completions/_patchbay"},
		{"fish", "usr/share/fish/vendor_completions.d/patchbay.fish"},
	} {
		text, err := ask("completion", c.shell)
		if err != nil {
			return nil, err
		}
		files = append(files, entry{name: c.name, content: []byte(text)})
	}
	page, err := manual(ask, p.version, p.time)
	if err != nil {
		return nil, err
	}
	packed, err := gzipped([]byte(page))
	return append(files, entry{name: "usr/share/man/man1/patchbay.1.gz", content: packed}), err
}

// tarball is the program for people without a package manager: unpack and start.
func (p *packager) tarball(files []entry) error {
	base := fmt.Sprintf("patchbay-%s-linux-%s", fileVersion(p.version), p.arch)
	list := []entry{
		{name: base + "/README.md", path: p.source("README.md")},
		{name: base + "/CHANGELOG.md", path: p.source("CHANGELOG.md")},
		{name: base + "/LICENSE", path: p.source("LICENSE")},
	}
	for _, f := range files {
		if f.exec {
			f.name = base + "/" + filepath.Base(f.name)
		} else {
			f.name = base + "/" + strings.TrimPrefix(f.name, "usr/")
		}
		list = append(list, f)
	}
	name := base + ".tar.gz"
	if err := writeTarGz(filepath.Join(p.out, name), list, p.time); err != nil {
		return err
	}
	p.done(name)
	return nil
}

func (p *packager) deb(files []entry) error {
	name := fmt.Sprintf("patchbay_%s_%s.deb", debVersion(p.version), p.arch)
	stage := filepath.Join(p.work, "deb")
	if err := place(stage, files, p.time); err != nil {
		return err
	}
	text, err := os.ReadFile(p.source("build/linux/nfpm.yaml.tmpl"))
	if err != nil {
		return err
	}
	t, err := template.New("nfpm.yaml.tmpl").Parse(string(text))
	if err != nil {
		return err
	}
	var config bytes.Buffer
	if err := t.Execute(&config, map[string]any{
		"Arch": p.arch, "Version": debVersion(p.version), "Time": p.time.Format(time.RFC3339), "Stage": stage, "Files": debFiles(files), "Scripts": p.source("build/linux"),
	}); err != nil {
		return err
	}
	path := filepath.Join(p.work, "nfpm.yaml")
	if err := os.WriteFile(path, config.Bytes(), 0o644); err != nil {
		return err
	}
	if err := p.tool("nfpm", "package", "--packager", "deb", "--config", path, "--target", filepath.Join(p.out, name)); err != nil {
		return err
	}
	p.done(name)
	return nil
}

// debFile is a line of the list of a deb.
type debFile struct {
	Name, Mode string
}

func debFiles(files []entry) []debFile {
	out := make([]debFile, 0, len(files))
	for _, f := range sorted(files) {
		out = append(out, debFile{Name: f.name, Mode: fmt.Sprintf("%04o", f.mode())})
	}
	return out
}

// appImage packs everything into one file that runs where it lies. WebKit stays the system's own: its helper programs are
// looked for at places that were fixed when it was built.
func (p *packager) appImage(files []entry) error {
	const what = "the AppImage"
	switch {
	case p.noAppImage:
		return p.missing(what, "-without-appimage was given")
	case p.arch != "amd64":
		return p.missing(what, "only amd64 is packed so")
	}
	if _, err := exec.LookPath("mksquashfs"); err != nil {
		return p.missing(what, "mksquashfs is missing: install squashfs-tools")
	}
	launcher, err := p.fetchRuntime()
	if err != nil {
		return p.missing(what, err.Error())
	}
	squash := filepath.Join(p.work, "appimage.squashfs")
	if err := p.appDir(squash, files); err != nil {
		return err
	}
	payload, err := os.ReadFile(squash)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("Patchbay-%s-x86_64.AppImage", fileVersion(p.version))
	path := filepath.Join(p.out, name)
	if err := os.WriteFile(path, append(launcher, payload...), 0o755); err != nil {
		return err
	}
	p.done(name)
	return os.Chmod(path, 0o755) //nolint:gosec // a program that people start
}

// appDir makes the file system of an AppImage.
func (p *packager) appDir(out string, files []entry) error {
	dir := filepath.Join(p.work, "AppDir")
	list := append([]entry{
		{name: "AppRun", path: p.source("build/linux/AppRun"), exec: true},
		{name: "dev.patchbay.Patchbay.desktop", path: p.source("build/linux/dev.patchbay.Patchbay.desktop")},
		{name: "patchbay.png", path: p.source("build/appicon/out/patchbay-256.png")},
		{name: ".DirIcon", path: p.source("build/appicon/out/patchbay-256.png")},
	}, files...)
	if err := place(dir, list, p.time); err != nil {
		return err
	}
	_ = os.Remove(out) // mksquashfs would add to it
	// SOURCE_DATE_EPOCH gives the time of the image and of folders; options for times besides would be refused.
	return p.run(nil, "mksquashfs", dir, out, "-all-root", "-no-xattrs", "-no-progress", "-quiet", "-comp", "zstd", "-processors", "1")
}

// fetchRuntime returns the pinned runtime, from the cache or the net.
func (p *packager) fetchRuntime() ([]byte, error) {
	cache := p.source(".cache/appimage-runtime-" + runtimeSHA256[:16])
	if b, err := os.ReadFile(cache); err == nil {
		return b, checkRuntime(b)
	}
	ctx := p.ctx
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, runtimeURL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("its runtime cannot be fetched: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its runtime cannot be fetched: %s answers %s", runtimeURL, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, runtimeLimit))
	if err != nil {
		return nil, fmt.Errorf("its runtime cannot be fetched: %w", err)
	}
	if err := checkRuntime(b); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(cache), 0o755); err != nil {
		return nil, err
	}
	return b, os.WriteFile(cache, b, 0o644)
}

// checkRuntime refuses a runtime that is not the pinned one.
func checkRuntime(b []byte) error {
	if got := sha256Hex(b); got != runtimeSHA256 {
		return errors.New("its runtime has the hash " + got + " instead of " + runtimeSHA256)
	}
	return nil
}
