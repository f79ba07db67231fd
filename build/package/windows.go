package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// windows builds an installer for one person, which needs no administrator, and an archive that runs where it lies.
//
// The program comes twice: patchbay.exe shows no console, which a program in the tray must not, and patchbay.com is the
// same for the command line. Typing "patchbay" finds the second, as .COM comes before .EXE in PATHEXT.
func (p *packager) windows() error {
	if err := p.checkPage(); err != nil {
		return err
	}
	drop, err := p.resources()
	if err != nil {
		return err
	}
	defer drop()
	var tags []string
	if p.hasWindow() {
		tags = []string{"desktop", "production", "wv2runtime.error"}
	} else if err := p.missing("the window", "this program does not use app/window; Patchbay opens its page in the browser instead"); err != nil {
		return err
	}
	stage := filepath.Join(p.work, "windows")
	if err := os.MkdirAll(stage, 0o755); err != nil {
		return err
	}
	gui, console := filepath.Join(stage, "patchbay.exe"), filepath.Join(stage, "patchbay.com")
	if err := p.goBuild(gui, "windows", p.arch, tags, "-H windowsgui", false); err != nil {
		return err
	}
	if err := p.goBuild(console, "windows", p.arch, nil, "", false); err != nil {
		return err
	}
	if err := p.signWindows(gui, console); err != nil {
		return err
	}
	files := []entry{
		{name: "patchbay.exe", path: gui, exec: true},
		{name: "patchbay.com", path: console, exec: true},
		{name: "LICENSE.txt", path: p.source("LICENSE")},
		{name: "README.md", path: p.source("README.md")},
		{name: "CHANGELOG.md", path: p.source("CHANGELOG.md")},
	}
	if err := p.portable(files); err != nil {
		return err
	}
	return p.installer(stage, files)
}

// resources makes icon, version and manifest, which go build links if they lie beside main.go. The function removes them.
func (p *packager) resources() (func(), error) {
	number := fourNumbers(p.version)
	prefix := p.source("rsrc")
	drop := func() { _ = os.Remove(prefix + "_windows_" + p.arch + ".syso") }
	err := p.tool("go-winres", "make", "--in", p.source("build/windows/winres.json"), "--arch", p.arch, "--out", prefix,
		"--product-version", number, "--file-version", number)
	if err != nil {
		drop()
		return nil, err
	}
	return drop, nil
}

func (p *packager) portable(files []entry) error {
	base := fmt.Sprintf("patchbay-%s-windows-%s-portable", fileVersion(p.version), p.arch)
	list := []entry{{name: base + "/patchbay-portable.cmd", path: p.source("build/windows/patchbay-portable.cmd")}}
	for _, f := range files {
		f.name = base + "/" + f.name
		list = append(list, f)
	}
	if err := writeZip(filepath.Join(p.out, base+".zip"), list, p.time); err != nil {
		return err
	}
	p.done(base + ".zip")
	return nil
}

func (p *packager) installer(stage string, files []entry) error {
	if _, err := exec.LookPath("makensis"); err != nil {
		return p.missing("the installer", "makensis is missing: install nsis")
	}
	if err := place(stage, files, p.time); err != nil {
		return err
	}
	name := fmt.Sprintf("patchbay-%s-windows-%s-setup.exe", fileVersion(p.version), p.arch)
	path := filepath.Join(p.out, name)
	// The path of the icon and of all files is relative to the script.
	err := p.run(nil, "makensis", "-V2", "-DVERSION="+fileVersion(p.version), "-DNUMBER="+fourNumbers(p.version), "-DSTAGE="+stage, "-DOUT="+path,
		"-DICON="+p.source("build/appicon/out/patchbay.ico"), p.source("build/windows/patchbay.nsi"))
	if err != nil {
		return err
	}
	if err := p.signWindows(path); err != nil {
		return err
	}
	p.done(name)
	return nil
}

// signWindows signs programs with the command in PATCHBAY_SIGN_WINDOWS, which gets their path as its argument. Without it
// nothing is signed, and Windows warns at the first start.
func (p *packager) signWindows(paths ...string) error {
	command := os.Getenv("PATCHBAY_SIGN_WINDOWS")
	if command == "" {
		return nil
	}
	for _, path := range paths {
		if err := p.run(nil, command, path); err != nil {
			return errors.Join(errors.New("signing "+filepath.Base(path)), err)
		}
	}
	return nil
}
