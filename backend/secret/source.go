package secret

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// PickSource returns where the key of the vault beside a database is kept: the environment if PATCHBAY_VAULT_KEY is set,
// else the file vault.key in dir, the folder of the database. getenv is os.Getenv.
func PickSource(getenv func(string) string, dir string) KeySource {
	if text := getenv("PATCHBAY_VAULT_KEY"); text != "" {
		return EnvKey{Text: New(text)}
	}
	return FileKey{Path: filepath.Join(dir, "vault.key")}
}

// EnvKey is a key given by the environment variable PATCHBAY_VAULT_KEY: base64 or hex of 32 bytes.
type EnvKey struct{ Text Value }

var _ KeySource = EnvKey{}

// Name returns "env".
func (EnvKey) Name() string { return "env" }

// Note returns nothing: who gives the key keeps it.
func (EnvKey) Note() string { return "" }

// Key decodes the text.
func (k EnvKey) Key(context.Context, bool) ([]byte, error) {
	key, ok := decodeKey(k.Text.Reveal())
	if !ok {
		return nil, fmt.Errorf("%w: PATCHBAY_VAULT_KEY must be %d bytes in base64 or hex, for example from: openssl rand -base64 32", ErrLocked, KeySize)
	}
	return key, nil
}

// FileKey is a key in a file that only its owner can read. Whoever can read the folder's backup has key and rows: it
// protects less than a keychain, and Note says so.
type FileKey struct{ Path string }

var _ KeySource = FileKey{}

// Name returns "file".
func (FileKey) Name() string { return "file" }

// Note says that a file is less than a keychain.
func (k FileKey) Note() string {
	return "Logins and keys are protected by a file only (" + k.Path + "): who can read your files can read them."
}

// Key reads the file, or makes it.
func (k FileKey) Key(_ context.Context, create bool) ([]byte, error) {
	key, err := k.read()
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	if !create {
		return nil, fmt.Errorf("%w: the key file %s is gone; put it back, or enter the secrets again", ErrLost, k.Path)
	}
	if err := k.make(); err != nil {
		return nil, fmt.Errorf("%w: making the key file: %w", ErrLocked, err)
	}
	return k.read()
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
		return nil, fmt.Errorf("%w: the key file %s holds no key", ErrLost, k.Path)
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

// make writes a new key whole or not at all, and never over one that appeared meanwhile.
func (k FileKey) make() error {
	dir := filepath.Dir(k.Path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key := make([]byte, KeySize)
	rand.Read(key) // never fails since Go 1.24
	tmp, err := os.CreateTemp(dir, ".vault-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
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

func decodeKey(text string) ([]byte, bool) {
	text = strings.TrimSpace(text)
	if b, err := hex.DecodeString(text); err == nil && len(b) == KeySize {
		return b, true
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawStdEncoding.DecodeString(text)
	return b, err == nil && len(b) == KeySize
}
