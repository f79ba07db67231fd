package secret

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a vault's key in bytes.
const KeySize = chacha20poly1305.KeySize

// A KeySource says where the key of a vault is kept. Its errors wrap ErrLocked (there is a key, but not now) or ErrLost.
type KeySource interface {
	// Name is "env", "file" or "os".
	Name() string
	// Note says in a sentence how well the key is kept; "" = well.
	Note() string
	// Key returns the 32 bytes. If there are none it makes them when create is set, and reports ErrLost otherwise. Two
	// callers that make a key at the same time get the same one.
	Key(ctx context.Context, create bool) ([]byte, error)
}

// State is how a vault stands.
type State string

// The states.
const (
	OK     State = "ok"
	Locked State = "locked" // the key is there but cannot be read now
	Lost   State = "lost"   // the key is gone, or is not the one that sealed the rows
)

// Status is a vault as people see it.
type Status struct {
	State  State
	Source string // name of the key source
	Note   string // how well the key is kept, or what is wrong
}

// Vault seals each secret in a row of its own. A row says under which key it was sealed and is bound to its name, so that
// rows cannot be swapped. A vault never takes a new key by itself: without the old one its rows stay as they are, and
// Renew is the deliberate act of starting over.
type Vault struct {
	rows   Rows
	source KeySource

	mu   sync.Mutex // guards aead and kid
	aead cipher.AEAD
	kid  string
}

// NewVault returns the vault over rows. It reads the key at its first use.
func NewVault(rows Rows, source KeySource) *Vault { return &Vault{rows: rows, source: source} }

var _ Store = (*Vault)(nil)

// mark is the row that tells under which key this vault was begun. It is sealed like any other.
var mark = Ref{Scope: "vault", ID: "mark"}

// Status opens the vault if need be and says how it stands.
func (v *Vault) Status(ctx context.Context) Status {
	s := Status{State: OK, Source: v.source.Name(), Note: v.source.Note()}
	_, _, err := v.open(ctx)
	switch {
	case errors.Is(err, ErrLost):
		s.State, s.Note = Lost, err.Error()
	case err != nil:
		s.State, s.Note = Locked, err.Error()
	}
	return s
}

// open returns the cipher and the key's id. The first users may come together and do the same work, which gives the same
// key: no lock is held meanwhile, because one of them may own the only writer of the rows and another one wait for it.
func (v *Vault) open(ctx context.Context) (cipher.AEAD, string, error) {
	if aead, kid := v.opened(); aead != nil {
		return aead, kid, nil
	}
	row, err := v.rows.ReadSecret(ctx, mark)
	first := errors.Is(err, ErrNotFound)
	if err != nil && !first {
		return nil, "", fmt.Errorf("reading the vault: %w", err)
	}
	aead, kid, err := v.key(ctx, first)
	if err != nil {
		return nil, "", err
	}
	if first {
		return v.begin(ctx, aead, kid)
	}
	if row.KeyID != kid {
		return nil, "", fmt.Errorf("%w: the secrets were sealed under another key than the one from %s", ErrLost, v.source.Name())
	}
	v.use(aead, kid)
	return aead, kid, nil
}

func (v *Vault) begin(ctx context.Context, aead cipher.AEAD, kid string) (cipher.AEAD, string, error) {
	if err := v.rows.WriteSecret(ctx, mark, seal(aead, kid, mark, "1")); err != nil {
		return nil, "", fmt.Errorf("beginning the vault: %w", err)
	}
	v.use(aead, kid)
	return aead, kid, nil
}

func (v *Vault) opened() (cipher.AEAD, string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.aead, v.kid
}

func (v *Vault) use(aead cipher.AEAD, kid string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.aead, v.kid = aead, kid
}

// Renew begins the vault anew under the key that the source has or makes now. Rows sealed under the old key stay, and
// open again should that key come back; until then they are lost.
func (v *Vault) Renew(ctx context.Context) error {
	aead, kid, err := v.key(ctx, true)
	if err != nil {
		return err
	}
	_, _, err = v.begin(ctx, aead, kid)
	return err
}

func (v *Vault) key(ctx context.Context, create bool) (cipher.AEAD, string, error) {
	key, err := v.source.Key(ctx, create)
	if err != nil {
		return nil, "", err
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, "", fmt.Errorf("%w: the key from %s does not have %d bytes", ErrLocked, v.source.Name(), KeySize)
	}
	sum := sha256.Sum256(key)
	return aead, hex.EncodeToString(sum[:4]), nil
}

// Get opens the row under ref.
func (v *Vault) Get(ctx context.Context, ref Ref) (Value, error) {
	aead, kid, err := v.open(ctx)
	if err != nil {
		return Value{}, err
	}
	row, err := v.rows.ReadSecret(ctx, ref)
	if err != nil {
		return Value{}, err
	}
	if row.KeyID != kid {
		return Value{}, fmt.Errorf("%w: this secret was sealed under another key", ErrLost)
	}
	if len(row.Nonce) != aead.NonceSize() {
		return Value{}, fmt.Errorf("%w: the sealed row is damaged", ErrLost)
	}
	plain, err := aead.Open(nil, row.Nonce, row.Sealed, binding(ref))
	if err != nil {
		return Value{}, fmt.Errorf("%w: the sealed row is damaged", ErrLost)
	}
	return New(string(plain)), nil
}

// Put seals s under ref. It takes part in a transaction that ctx carries.
func (v *Vault) Put(ctx context.Context, ref Ref, s Value) error {
	aead, kid, err := v.open(ctx)
	if err != nil {
		return err
	}
	return v.rows.WriteSecret(ctx, ref, seal(aead, kid, ref, s.Reveal()))
}

// Delete removes the row under ref. It needs no key.
func (v *Vault) Delete(ctx context.Context, ref Ref) error { return v.rows.WriteSecret(ctx, ref, nil) }

func seal(aead cipher.AEAD, kid string, ref Ref, plain string) *Row {
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce) // never fails since Go 1.24
	return &Row{KeyID: kid, Nonce: nonce, Sealed: aead.Seal(nil, nonce, []byte(plain), binding(ref))}
}

// binding is the additional data of a row: one that was copied to another name does not open there.
func binding(ref Ref) []byte { return []byte("patchbay/v1/" + ref.Scope + "/" + ref.ID) }
