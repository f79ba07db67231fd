package main

import (
	"path/filepath"
)

// sbom writes the bill of materials: which modules, of which versions, the programs were made from.
func (p *packager) sbom() error {
	name := "patchbay-" + fileVersion(p.version) + "-sbom.cdx.json"
	if err := p.tool("cyclonedx-gomod", "app", "-json", "-licenses", "-noserial", "-std", "-main", ".", "-output", filepath.Join(p.out, name), p.root); err != nil {
		return err
	}
	p.done(name)
	return nil
}
