package frontend

import (
	"embed"
	"io/fs"
)

// dist is what `npm run build` writes. A placeholder from public/ stands in it always, so that the program builds before
// the page does.
//
//go:embed all:dist
var dist embed.FS

// Files returns the built page, with index.html at its root. It has no index.html when the page was not built.
func Files() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return sub
}
