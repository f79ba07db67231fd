package main

import (
	"path/filepath"
	"strings"
)

// sbom writes the bill of materials: which modules, of which versions, the program was made from. It is read from a built
// program, which tells what is really in it and needs no history of the repository.
func (p *packager) sbom() error {
	bin := filepath.Join(p.work, "patchbay-sbom")
	if err := p.goBuild(bin, "linux", "amd64", nil, "", false); err != nil {
		return err
	}
	name := "patchbay-" + fileVersion(p.version) + "-sbom.cdx.json"
	version := "v" + strings.TrimPrefix(fileVersion(p.version), "v")
	if err := p.tool("cyclonedx-gomod", "bin", "-json", "-licenses", "-noserial", "-std", "-version", version, "-output", filepath.Join(p.out, name), bin); err != nil {
		return err
	}
	p.done(name)
	return nil
}
