package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// FileKey is a key in a file that only its owner can read. Whoever can read the folder's backup has key and rows: it
// protects less than a keychain, and Note says so.
type FileKey struct{ Path string }

var _ KeySource = FileKey{}

// Name returns SourceFile.
func (FileKey) Name() string { return SourceFile }

// Note says that a file is less than a keychain.
func (k FileKey) Note() string {
	return "Logins and keys are protected by a file only (" + k.Path + "): who can read your files can read them."
}

// Usable returns nil: where a file cannot be written the database cannot either, and Keep says why.
func (FileKey) Usable(context.Context) error { return nil }

// Load reads the file.
func (k FileKey) Load(_ context.Context, id string) ([]byte, error) {
	key, err := k.read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: the key file %s is gone; put it back, or enter the secrets again", ErrLost, k.Path)
	case err != nil:
		return nil, err
	case keyID(key) != id:
		return nil, fmt.Errorf("%w: the secrets were sealed under another key than the one in the file %s", ErrLost, k.Path)
	}
	return key, nil
}

// Keep writes the file, or returns the key that one holds already.
func (k FileKey) Keep(_ context.Context, key []byte) ([]byte, error) {
	there, err := k.read()
	if !errors.Is(err, os.ErrNotExist) {
		return there, err
	}
	if err := k.write(key); err != nil {
		return nil, fmt.Errorf("%w: making the key file: %w", ErrLocked, err)
	}
	return k.read()
}

// Drop removes the file if it holds that key.
func (k FileKey) Drop(_ context.Context, id string) error {
	key, err := k.read()
	if errors.Is(err, os.ErrNotExist) || err == nil && keyID(key) != id {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Remove(k.Path); err != nil {
		return fmt.Errorf("%w: removing the key file: %w", ErrLocked, err)
	}
	return syncDir(filepath.Dir(k.Path))
}

func (k FileKey) read() ([]byte, error) {
	st, err := os.Stat(k.Path)
	if err != nil {
		return nil, k.wrap(err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: others can read the key file %s; run: chmod 600 %[2]s", ErrLocked, k.Path)
	}
	text, err := os.ReadFile(k.Path)
	if err != nil {
		return nil, k.wrap(err)
	}
	key, ok := decodeKey(string(text))
	if !ok {
		return nil, fmt.Errorf("%w: the key file %s holds no key; put the right one there, or move it away", ErrLost, k.Path)
	}
	return key, nil
}

// wrap leaves a missing file recognizable; anything else is a key that cannot be read now.
func (k FileKey) wrap(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: reading the key file: %w", ErrLocked, err)
}

// write puts a key there whole or not at all, and never over one that appeared meanwhile.
func (k FileKey) write(key []byte) error {
	dir := filepath.Dir(k.Path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".vault-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(encodeKey(key) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), k.Path); err == nil || errors.Is(err, os.ErrExist) {
		return syncDir(dir)
	}
	if err := os.Rename(tmp.Name(), k.Path); err != nil { // a file system without links
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name survive a power cut: rows sealed under a key that is gone would be lost.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot open folders for that
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
