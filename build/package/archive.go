package main

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive: content from a path, or given.
type entry struct {
	name    string // with slashes
	path    string
	content []byte
	exec    bool
}

func (e entry) read() ([]byte, error) {
	if e.path == "" {
		return e.content, nil
	}
	return os.ReadFile(e.path)
}

func (e entry) mode() os.FileMode {
	if e.exec {
		return 0o755
	}
	return 0o644
}

func sorted(entries []entry) []entry {
	return slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
}

// writeTarGz writes a .tar.gz that depends on nothing but names, contents and the time.
func writeTarGz(path string, entries []entry, at time.Time) error {
	return writeFile(path, func(f io.Writer) error {
		zw, err := gzip.NewWriterLevel(f, gzip.BestCompression)
		if err != nil {
			return err
		}
		tw := tar.NewWriter(zw)
		for _, e := range sorted(entries) {
			content, err := e.read()
			if err != nil {
				return err
			}
			head := tar.Header{Name: e.name, Mode: int64(e.mode()), Size: int64(len(content)), ModTime: at, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
			if err := tw.WriteHeader(&head); err != nil {
				return err
			}
			if _, err := tw.Write(content); err != nil {
				return err
			}
		}
		if err := tw.Close(); err != nil {
			return err
		}
		return zw.Close()
	})
}

// writeZip does the same as a .zip.
func writeZip(path string, entries []entry, at time.Time) error {
	return writeFile(path, func(f io.Writer) error {
		zw := zip.NewWriter(f)
		for _, e := range sorted(entries) {
			content, err := e.read()
			if err != nil {
				return err
			}
			head := zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
			head.SetMode(e.mode())
			w, err := zw.CreateHeader(&head)
			if err != nil {
				return err
			}
			if _, err := w.Write(content); err != nil {
				return err
			}
		}
		return zw.Close()
	})
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error tells more
		return err
	}
	return f.Close()
}

// place writes entries as a folder.
func place(dir string, entries []entry, at time.Time) error {
	for _, e := range entries {
		content, err := e.read()
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(e.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, e.mode()); err != nil {
			return err
		}
		if err := os.Chtimes(path, at, at); err != nil {
			return err
		}
	}
	return nil
}

// sums writes SHA256SUMS over everything in the folder of packages, as `sha256sum -c` reads it.
func (p *packager) sums() error {
	entries, err := os.ReadDir(p.out)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries { // sorted by name
		if e.IsDir() || e.Name() == "SHA256SUMS" {
			continue
		}
		sum, err := sha256File(filepath.Join(p.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, e.Name())
	}
	if b.Len() == 0 {
		return fmt.Errorf("there is no package in %s", p.out)
	}
	if err := os.WriteFile(filepath.Join(p.out, "SHA256SUMS"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	p.done("SHA256SUMS")
	return nil
}

func sha256File(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
