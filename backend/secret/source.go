package secret

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Names of the key sources.
const (
	SourceEnv  = "env"
	SourceOS   = "os"
	SourceFile = "file"
)

// A KeySource is a place where the key of a vault may be kept. Its errors wrap ErrLocked (there is a key, but not now),
// ErrLost (there is none, or another one) or ErrUnusable, and never hold a key. It is safe for concurrent use and answers
// within seconds, whatever the place does.
type KeySource interface {
	// Name is SourceEnv, SourceOS or SourceFile.
	Name() string
	// Note says in a sentence how well the key is kept; "" = well.
	Note() string
	// Usable returns nil if a vault may keep its key here. ErrUnusable says why not; ErrLocked that the answer must be
	// waited for.
	Usable(ctx context.Context) error
	// Load returns the key with that id.
	Load(ctx context.Context, id string) ([]byte, error)
	// Keep keeps a key and returns it, or the one that is there already if the place holds only one. What it returned can
	// be loaded from then on, also after a power cut.
	Keep(ctx context.Context, key []byte) ([]byte, error)
	// Drop removes the key with that id. One that is not there is no error.
	Drop(ctx context.Context, id string) error
}

// ErrUnusable reports a place that cannot keep a key.
var ErrUnusable = errors.New("no key can be kept there")

// Places returns where the key of the vault beside a database may be kept, the first choice first: the environment, the
// keychain, the file vault.key in dir, the folder of the database. getenv is os.Getenv; ring is the keychain, nil = none.
//
// PATCHBAY_KEYRING forces: "os" wants the keychain and nothing weaker for a new vault, "file" and "off" leave it alone.
func Places(getenv func(string) string, dir string, ring Ring) ([]KeySource, error) {
	env, file := EnvKey{Text: New(getenv("PATCHBAY_VAULT_KEY"))}, FileKey{Path: filepath.Join(dir, "vault.key")}
	osKey := &OSKey{Ring: ring}
	switch mode := getenv("PATCHBAY_KEYRING"); mode {
	case "":
	case "os":
		osKey.Required = true
	case "file", "off":
		osKey.Ring, osKey.Barred = nil, "PATCHBAY_KEYRING="+mode
	default:
		return nil, fmt.Errorf("the variable PATCHBAY_KEYRING must be os, file or off, not %q", mode)
	}
	return []KeySource{env, osKey, file}, nil
}

// EnvKey is a key given by the environment variable PATCHBAY_VAULT_KEY: base64 or hex of 32 bytes. Without text it stands
// for the variable that is not set.
type EnvKey struct{ Text Value }

var _ KeySource = EnvKey{}

// Name returns SourceEnv.
func (EnvKey) Name() string { return SourceEnv }

// Note returns nothing: who gives the key keeps it.
func (EnvKey) Note() string { return "" }

// Usable reports whether the variable is set.
func (k EnvKey) Usable(context.Context) error {
	if k.Text.Empty() {
		return fmt.Errorf("%w: the variable PATCHBAY_VAULT_KEY is not set; give it for example the output of: openssl rand -base64 32", ErrUnusable)
	}
	_, err := k.decode()
	return err
}

func (k EnvKey) decode() ([]byte, error) {
	if k.Text.Empty() {
		return nil, fmt.Errorf("%w: the secrets are sealed under the key of the variable PATCHBAY_VAULT_KEY, which is not set", ErrLocked)
	}
	key, ok := decodeKey(k.Text.Reveal())
	if !ok {
		return nil, fmt.Errorf("%w: PATCHBAY_VAULT_KEY must be %d bytes in base64 or hex, for example from: openssl rand -base64 32", ErrLocked, KeySize)
	}
	return key, nil
}

// Load decodes the text.
func (k EnvKey) Load(_ context.Context, id string) ([]byte, error) {
	key, err := k.decode()
	if err == nil && keyID(key) != id {
		return nil, fmt.Errorf("%w: the secrets were sealed under another key than the one in PATCHBAY_VAULT_KEY", ErrLost)
	}
	return key, err
}

// Keep returns the key of the variable: no other can be put there.
func (k EnvKey) Keep(context.Context, []byte) ([]byte, error) { return k.decode() }

// Drop does nothing: who set the variable takes it away.
func (EnvKey) Drop(context.Context, string) error { return nil }

// keyID names a key without telling it: the first four bytes of its SHA-256.
func keyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}

func encodeKey(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

func decodeKey(text string) ([]byte, bool) {
	text = strings.TrimSpace(text)
	if b, err := hex.DecodeString(text); err == nil && len(b) == KeySize {
		return b, true
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawStdEncoding.DecodeString(text)
	return b, err == nil && len(b) == KeySize
}
