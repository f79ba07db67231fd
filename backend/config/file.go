package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// maxFile bounds the settings file: a larger one is no settings file.
const maxFile = 4 << 20

// readFile returns the text of a file; found is false for a missing one.
func readFile(path string) (data []byte, found bool, err error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil && st.Size() > maxFile {
		return nil, true, fmt.Errorf("%s has %d bytes and is no settings file", path, st.Size())
	}
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, true, fmt.Errorf("reading the settings: %w", err)
	}
	return data, true, nil
}

// writeFile replaces a file so that at any instant either the old or the new content is there: temporary file, fsync,
// rename. A symbolic link stays, its target is replaced.
func writeFile(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving the settings: %w", err)
		}
	}()
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	if err := fill(tmp, data, mode); err != nil {
		os.Remove(tmp.Name())
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		os.Remove(tmp.Name())
		return err
	}
	syncDir(dir)
	return nil
}

func fill(f *os.File, data []byte, mode fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil && runtime.GOOS != "windows" {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename durable where folders can be synced; elsewhere the file system does it on its own.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

// keepCopy writes data to path if it is not there already. It is a convenience: a failure harms nothing.
func keepCopy(path string, data []byte) {
	if path == "" {
		return
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return
	}
	if os.MkdirAll(filepath.Dir(path), 0o700) == nil {
		tmp := path + ".tmp"
		if os.WriteFile(tmp, data, 0o600) == nil {
			os.Rename(tmp, path)
		}
	}
}
