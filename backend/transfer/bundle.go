// Package transfer takes accounts, client keys and settings to another computer or into a safe place, and brings them back:
// one file, encrypted under a passphrase. It owns no state; it asks the owners and hands to them.
package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// MinPassphrase is the shortest passphrase of an export, in characters.
const MinPassphrase = 10

// MaxExport bounds an export, encrypted or not.
const MaxExport = 32 << 20

// Work factors of scrypt (2^n, r = 8, p = 1). 17 is the least that OWASP's Password Storage Cheat Sheet recommends and takes
// 128 MiB for a moment; more than 18, age's own default, is not tried: a file could ask for any amount of memory.
const maxWorkFactor = 18

var workFactor = 17 // changed by tests only

// Name and version of the document inside.
const (
	format  = "patchbay-export"
	version = 1
)

// bundle is the document inside the encrypted file. A version that reads it refuses higher ones and ignores members that
// it does not know.
type bundle struct {
	Format   string            `json:"format"`
	Version  int               `json:"version"`
	Made     time.Time         `json:"made"`
	Program  string            `json:"program"` // version of the program that made it
	Accounts []accountDoc      `json:"accounts"`
	Keys     []keyDoc          `json:"client_keys"`
	Settings map[string]string `json:"settings"`
}

type accountDoc struct {
	ID            string            `json:"id"`
	Provider      string            `json:"provider"`
	Name          string            `json:"name"`
	Priority      int               `json:"priority,omitzero"`
	Enabled       bool              `json:"enabled"`
	Settings      map[string]string `json:"settings,omitzero"`
	Notes         map[string]string `json:"notes,omitzero"`
	Proxy         string            `json:"proxy,omitzero"`
	MaxConcurrent int               `json:"max_concurrent,omitzero"`
	Tags          []string          `json:"tags,omitzero"`
	Weight        int               `json:"weight,omitzero"`
	Reserve       *int              `json:"reserve,omitzero"`
	Created       time.Time         `json:"created,omitzero"`
	Login         string            `json:"login,omitzero"`
	Secret        jsontext.Value    `json:"secret,omitzero"`
}

// keyDoc is a client key: its hash, never the key.
type keyDoc struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	SHA256  string         `json:"sha256"`
	Prefix  string         `json:"prefix"`
	Created time.Time      `json:"created,omitzero"`
	Expires time.Time      `json:"expires,omitzero"`
	Limits  jsontext.Value `json:"limits,omitzero"`
}

// intro is how every file of the age format begins (age-encryption.org/v1).
const intro = "age-encryption.org/v1\n"

// IsExport reports whether data looks like a file that Export made: encrypted in the age format.
func IsExport(data []byte) bool { return bytes.HasPrefix(data, []byte(intro)) }

// CheckPassphrase refuses one that would be guessed.
func CheckPassphrase(p secret.Value) error {
	if n := len([]rune(p.Reveal())); n < MinPassphrase {
		return apierror.Invalid("passphrase", "the passphrase must have at least %d characters: whoever has the file can try as often as they like", MinPassphrase)
	}
	return nil
}

// encrypt writes the bundle as JSON under the passphrase.
func encrypt(b bundle, passphrase secret.Value) ([]byte, error) {
	to, err := age.NewScryptRecipient(passphrase.Reveal())
	if err != nil {
		return nil, errors.New("the passphrase cannot be used")
	}
	to.SetWorkFactor(workFactor)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	if err := json.MarshalWrite(w, b, json.Deterministic(true)); err != nil {
		return nil, errors.New("the export holds text that is not UTF-8") // the cause would quote it
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	if out.Len() > MaxExport {
		return nil, fmt.Errorf("the export would be larger than %d MiB", MaxExport>>20)
	}
	return out.Bytes(), nil
}

// decrypt reads a bundle. Its errors say what a person can do and quote nothing.
func decrypt(data []byte, passphrase secret.Value) (b bundle, err error) {
	if !IsExport(data) {
		return b, apierror.Invalid("data", "this is no export of Patchbay: it does not begin as an encrypted file does")
	}
	id, err := age.NewScryptIdentity(passphrase.Reveal())
	if err != nil {
		return b, apierror.Invalid("passphrase", "the export is encrypted: its passphrase is needed")
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(data), id)
	switch {
	case errors.Is(err, age.ErrIncorrectIdentity):
		return b, apierror.Invalid("passphrase", "the passphrase does not open this file: it is a wrong one, or the file was encrypted for a key instead of a passphrase")
	case err != nil:
		return b, damaged(err)
	}
	text, err := io.ReadAll(io.LimitReader(r, MaxExport+1))
	if err != nil {
		return b, damaged(err)
	}
	if len(text) > MaxExport {
		return b, apierror.Invalid("data", "the export holds more than %d MiB", MaxExport>>20)
	}
	if err := json.Unmarshal(text, &b); err != nil || b.Format != format {
		return b, apierror.Invalid("data", "the file opens, but what is in it is no export of Patchbay")
	}
	if b.Version > version {
		return b, apierror.Invalid("data", "the export was made by a newer version of Patchbay (%s); update this one first", b.Program)
	}
	return b, nil
}

// damaged hides the cause from people; it is about bytes that nobody can mend.
func damaged(cause error) error {
	e := apierror.Invalid("data", "the export is cut off or damaged; use another copy of it")
	e.Err = cause
	return e
}
