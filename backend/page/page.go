// Package page serves the files of the page under /ui/. The page is public: everything that it shows comes from the
// management API, which asks for a session.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// policy lets the page run its own scripts and talk to its own address, and nothing else. Styles may stand in attributes:
// the positions of virtual lists and bars are such.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Missing is what is shown when the page is not part of the program.
const Missing = "Patchbay is running. This build has no page: build it with `make frontend` and build Patchbay again.\n"

// file is one file, ready to be sent.
type file struct {
	plain, gzip []byte // gzip is nil where it saves nothing
	kind, tag   string
}

// pages serves an embedded folder. Files are read and packed when they are first asked for.
type pages struct {
	files fs.FS

	mu    sync.Mutex // guards ready
	ready map[string]*file
}

// Handler serves files, whose root holds index.html, under /ui/. The hash decides which view is shown, so there is one page.
func Handler(files fs.FS) http.Handler {
	return &pages{files: files, ready: map[string]*file{}}
}

// Headers sets what every answer of the page carries.
func Headers(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	Headers(h)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "the page is read with GET", http.StatusMethodNotAllowed)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/ui/")
	if !ok {
		http.Redirect(w, r, "/ui/", http.StatusFound)
		return
	}
	if name == "" {
		name = "index.html"
	}
	f, err := p.file(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && name == "index.html":
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, Missing) // the browser may be gone
		return
	case err != nil:
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Add("Vary", "Accept-Encoding")
	h.Set("Cache-Control", cacheControl(name))
	if match := r.Header.Get("If-None-Match"); match != "" && strings.Contains(match, f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if f.gzip != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the browser may be gone
}

// cacheControl lets browsers keep what has its hash in its name; anything else is asked for each time, which costs a 304.
func cacheControl(name string) string {
	if strings.HasPrefix(name, "assets/") {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(weight, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// file returns a file by its name below the root.
func (p *pages) file(name string) (*file, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.ready[name]; f != nil {
		return f, nil
	}
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	plain, err := fs.ReadFile(p.files, name)
	if err != nil {
		return nil, fs.ErrNotExist // a folder is no file either
	}
	sum := sha256.Sum256(plain)
	f := &file{plain: plain, kind: kindOf(name), tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	if packed := pack(plain); len(packed) < len(plain)*9/10 {
		f.gzip = packed
	}
	p.ready[name] = f
	return f, nil
}

// kinds are the content types of the page's files. Those of the operating system are not asked: a Windows registry may say
// that .js is text/plain, and then no browser runs it.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
	".woff2": "font/woff2", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
}

func kindOf(name string) string {
	ext := path.Ext(name)
	if k := kinds[ext]; k != "" {
		return k
	}
	if k := mime.TypeByExtension(ext); k != "" {
		return k
	}
	return "application/octet-stream"
}

func pack(plain []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(plain)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return plain // it is sent as it is
	}
	return b.Bytes()
}
