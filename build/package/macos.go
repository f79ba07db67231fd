package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// macOS builds Patchbay.app for both processors and a disk image around it. Only a Mac can: the window and the tray need
// its frameworks.
func (p *packager) macOS() error {
	if runtime.GOOS != "darwin" {
		return errors.New("the disk image can be built on a Mac only; the release workflow does it")
	}
	if err := p.checkPage(); err != nil {
		return err
	}
	var tags []string
	if p.hasWindow() {
		tags = []string{"desktop", "production"}
	} else if err := p.missing("the window", "this program does not use app/window; Patchbay opens its page in the browser instead"); err != nil {
		return err
	}
	var slices []string
	for _, arch := range []string{"amd64", "arm64"} {
		out := filepath.Join(p.work, "patchbay-"+arch)
		if err := p.goBuild(out, "darwin", arch, tags, "", true); err != nil {
			return err
		}
		slices = append(slices, out)
	}
	bin := filepath.Join(p.work, "patchbay-universal")
	if err := p.run(nil, "lipo", append([]string{"-create", "-output", bin}, slices...)...); err != nil {
		return err
	}
	volume := filepath.Join(p.work, "volume")
	app := filepath.Join(volume, "Patchbay.app")
	files, err := p.bundle(bin)
	if err != nil {
		return err
	}
	if err := place(app, files, p.time); err != nil {
		return err
	}
	if err := p.signMac(app); err != nil {
		return err
	}
	if err := os.Symlink("/Applications", filepath.Join(volume, "Applications")); err != nil {
		return err
	}
	name := fmt.Sprintf("patchbay-%s-macos-universal.dmg", fileVersion(p.version))
	image := filepath.Join(p.out, name)
	if err := p.run(nil, "hdiutil", "create", "-quiet", "-ov", "-volname", "Patchbay", "-fs", "HFS+", "-format", "UDZO", "-srcfolder", volume, image); err != nil {
		return err
	}
	if err := p.notarise(image); err != nil {
		return err
	}
	p.done(name)
	return nil
}

// bundle is everything in Patchbay.app.
func (p *packager) bundle(bin string) ([]entry, error) {
	info, err := os.ReadFile(p.source("build/darwin/Info.plist"))
	if err != nil {
		return nil, err
	}
	number := strings.TrimSuffix(fourNumbers(p.version), ".0")
	return []entry{
		{name: "Contents/Info.plist", content: bytes.ReplaceAll(info, []byte("@VERSION@"), []byte(number))},
		{name: "Contents/PkgInfo", content: []byte("APPL????")},
		{name: "Contents/MacOS/patchbay", path: bin, exec: true},
		{name: "Contents/Resources/patchbay.icns", path: p.source("build/appicon/out/patchbay.icns")},
		{name: "Contents/Resources/LICENSE.txt", path: p.source("LICENSE")},
	}, nil
}

// signMac signs the app for the identity in PATCHBAY_SIGN_MACOS. Without one it gets the signature of nobody, which
// processors of Apple demand before they run anything; the system then warns at the first start.
func (p *packager) signMac(app string) error {
	identity := os.Getenv("PATCHBAY_SIGN_MACOS")
	if identity == "" {
		return p.run(nil, "codesign", "--force", "--sign", "-", app)
	}
	return p.run(nil, "codesign", "--force", "--timestamp", "--options", "runtime", "--sign", identity, app)
}

// notarise has Apple look at the image, if the name of a keychain profile for it is in PATCHBAY_NOTARY_PROFILE.
func (p *packager) notarise(image string) error {
	profile := os.Getenv("PATCHBAY_NOTARY_PROFILE")
	if profile == "" {
		return nil
	}
	if err := p.run(nil, "xcrun", "notarytool", "submit", image, "--keychain-profile", profile, "--wait"); err != nil {
		return err
	}
	return p.run(nil, "xcrun", "stapler", "staple", image)
}
