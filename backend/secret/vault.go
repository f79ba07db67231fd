package secret

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a vault's key in bytes.
const KeySize = chacha20poly1305.KeySize

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
	Source string // name of the key source, "" before one was chosen
	Note   string // how well the key is kept, or what is wrong
	// Waiting says that a locked keychain has been asked and has not answered: it may be showing its prompt.
	Waiting bool
}

// Vault seals each secret in a row of its own. A row says under which key it was sealed and is bound to its name, so that
// rows cannot be swapped. Beside the rows stands where their key is kept: a vault goes on with that place, and never takes
// another key by itself. Renew and Move are the deliberate acts.
type Vault struct {
	rows    Rows
	sources []KeySource
	moving  sync.Mutex // held by one Move or Renew at a time

	mu    sync.Mutex // guards what follows
	key   *vaultKey  // nil until it was read
	fresh *vaultKey  // made for a vault that is not begun on disk yet
	last  Status
}

// vaultKey is the key of a vault with the place it came from.
type vaultKey struct {
	aead   cipher.AEAD
	id     string
	source KeySource
}

// NewVault returns the vault over rows. It reads the key at its first use. A new vault keeps its key in the first source that
// is usable; one that was begun finds its own among them.
func NewVault(rows Rows, sources ...KeySource) *Vault { return &Vault{rows: rows, sources: sources} }

var _ Store = (*Vault)(nil)

// mark is the row that tells under which key this vault was begun. It is sealed like any other.
var mark = Ref{Scope: "vault", ID: "mark"}

// Status opens the vault if need be and says how it stands.
func (v *Vault) Status(ctx context.Context) Status {
	k, err := v.open(ctx)
	s := Status{State: OK}
	switch {
	case err == nil:
		s.Source, s.Note = k.source.Name(), k.source.Note()
		if note := v.unused(k); note != "" {
			s.Note = note
		}
	case errors.Is(err, ErrLost):
		s.State, s.Note = Lost, err.Error()
	default:
		s.State, s.Note, s.Waiting = Locked, err.Error(), errors.Is(err, errWaiting)
	}
	if err != nil {
		if rec, err := v.record(ctx); err == nil {
			s.Source = rec.Source
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = s
	return s
}

// Last returns what Status said last, without looking again; the zero Status before.
func (v *Vault) Last() Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}

// unused warns of a variable that somebody set and that does not count.
func (v *Vault) unused(k *vaultKey) string {
	env := v.source(SourceEnv)
	if k.source.Name() == SourceEnv || env == nil || errors.Is(env.Usable(context.Background()), ErrUnusable) {
		return ""
	}
	return "PATCHBAY_VAULT_KEY is set, but the secrets are sealed under the key from another place; `patchbay vault move --to env` changes that."
}

// Retry has a keychain that refused asked again with the next use, even if that brings up a prompt.
func (v *Vault) Retry() {
	for _, s := range v.sources {
		if r, ok := s.(interface{ Retry() }); ok {
			r.Retry()
		}
	}
}

func (v *Vault) source(name string) KeySource {
	for _, s := range v.sources {
		if s.Name() == name {
			return s
		}
	}
	return nil
}

// open returns the key. The first users may come together and do the same work, which gives the same key: no lock is held
// meanwhile, because one of them may own the only writer of the rows and another one wait for it.
func (v *Vault) open(ctx context.Context) (*vaultKey, error) {
	if k := v.opened(); k != nil {
		return k, nil
	}
	id, err := v.sealedUnder(ctx)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return v.begin(ctx)
	}
	k, err := v.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if _, err := v.unseal(ctx, k, mark); err != nil {
		return nil, err
	}
	v.use(k)
	return k, nil
}

func (v *Vault) opened() *vaultKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.key
}

func (v *Vault) use(k *vaultKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.key, v.fresh = k, nil
	v.last = Status{State: OK, Source: k.source.Name(), Note: k.source.Note()}
}

// sealedUnder returns the id of the key of this vault, "" if it was not begun.
func (v *Vault) sealedUnder(ctx context.Context) (string, error) {
	row, err := v.rows.ReadSecret(ctx, mark)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the vault: %w", err)
	}
	return row.KeyID, nil
}

// load finds the key with that id: where it was put, or in the environment, which wins if it has the same one.
func (v *Vault) load(ctx context.Context, id string) (*vaultKey, error) {
	rec, err := v.record(ctx)
	if err != nil {
		return nil, err
	}
	if env := v.source(SourceEnv); env != nil && rec.Source != SourceEnv {
		if key, err := env.Load(ctx, id); err == nil {
			return newKey(key, env)
		}
	}
	source := v.source(rec.Source)
	if source == nil {
		return nil, fmt.Errorf("%w: their key is kept in a place that is not known here: %q", ErrLocked, rec.Source)
	}
	key, err := source.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	k, err := newKey(key, source)
	if err == nil && k.id != id {
		return nil, fmt.Errorf("%w: the secrets were sealed under another key than the one from %s", ErrLost, source.Name())
	}
	return k, err
}

func newKey(key []byte, source KeySource) (*vaultKey, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("%w: the key from %s does not have %d bytes", ErrLocked, source.Name(), KeySize)
	}
	return &vaultKey{aead, keyID(key), source}, nil
}

// begin begins a vault that has no rows yet.
func (v *Vault) begin(ctx context.Context) (*vaultKey, error) {
	k, err := v.choose(ctx)
	if err != nil {
		return nil, err
	}
	other := ""
	err = v.rows.Write(ctx, func(ctx context.Context) (err error) {
		if other, err = v.sealedUnder(ctx); err != nil || other != "" {
			return err
		}
		return v.note(ctx, k, nil)
	})
	if err != nil {
		return nil, fmt.Errorf("beginning the vault: %w", err)
	}
	if other != "" && other != k.id {
		if k, err = v.load(ctx, other); err != nil { // another process was faster
			return nil, err
		}
	}
	v.use(k)
	return k, nil
}

// choose makes a key in the first place that is usable. Until it is on disk under which key the vault was begun, every call
// returns the same one.
func (v *Vault) choose(ctx context.Context) (*vaultKey, error) {
	v.mu.Lock()
	fresh := v.fresh
	v.mu.Unlock()
	if fresh != nil {
		return fresh, nil
	}
	err := fmt.Errorf("%w: there is no place for the key", ErrLocked)
	for _, source := range v.sources {
		usable := source.Usable(ctx)
		if errors.Is(usable, ErrUnusable) && !errors.Is(usable, ErrLocked) {
			continue
		}
		if usable != nil {
			return nil, usable
		}
		var key []byte
		if key, err = source.Keep(ctx, randomKey()); err != nil {
			return nil, err
		}
		k, err := newKey(key, source)
		if err != nil {
			return nil, err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.fresh == nil { // else another one was faster, and its key counts
			v.fresh = k
		}
		return v.fresh, nil
	}
	return nil, err
}

func randomKey() []byte {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails since Go 1.24
	return key
}

// Renew begins the vault anew under a key in the first place that is usable. Rows sealed under the old key stay as they are.
func (v *Vault) Renew(ctx context.Context) error {
	v.moving.Lock()
	defer v.moving.Unlock()
	k, err := v.choose(ctx)
	if err != nil {
		return err
	}
	if err := v.rows.Write(ctx, func(ctx context.Context) error { return v.note(ctx, k, nil) }); err != nil {
		return fmt.Errorf("beginning the vault: %w", err)
	}
	v.use(k)
	return nil
}

// Get opens the row under ref. A secret that does not exist is told so without a key.
func (v *Vault) Get(ctx context.Context, ref Ref) (Value, error) {
	if _, err := v.rows.ReadSecret(ctx, ref); err != nil {
		return Value{}, err
	}
	k, err := v.open(ctx)
	if err != nil {
		return Value{}, err
	}
	text, err := v.unseal(ctx, k, ref)
	if errors.Is(err, errOtherKey) {
		if k, err = v.reopen(ctx, k); err != nil {
			return Value{}, err
		}
		text, err = v.unseal(ctx, k, ref)
	}
	return New(text), err
}

// reopen returns the key that counts now, if it is another one than k: somebody may have moved the vault.
func (v *Vault) reopen(ctx context.Context, k *vaultKey) (*vaultKey, error) {
	id, err := v.sealedUnder(ctx)
	if err != nil || id == k.id {
		return k, err
	}
	v.mu.Lock()
	if v.key == k {
		v.key = nil
	}
	v.mu.Unlock()
	return v.open(ctx)
}

var errOtherKey = fmt.Errorf("%w: this secret was sealed under another key", ErrLost)

// unseal opens the row under ref with k.
func (v *Vault) unseal(ctx context.Context, k *vaultKey, ref Ref) (string, error) {
	row, err := v.rows.ReadSecret(ctx, ref)
	if err != nil {
		return "", err
	}
	if row.KeyID != k.id {
		return "", errOtherKey
	}
	if len(row.Nonce) != k.aead.NonceSize() {
		return "", fmt.Errorf("%w: the sealed row is damaged", ErrLost)
	}
	plain, err := k.aead.Open(nil, row.Nonce, row.Sealed, binding(ref))
	if err != nil {
		return "", fmt.Errorf("%w: the sealed row is damaged", ErrLost)
	}
	return string(plain), nil
}

// Put seals s under ref. It takes part in a transaction that ctx carries.
func (v *Vault) Put(ctx context.Context, ref Ref, s Value) error {
	if _, err := v.open(ctx); err != nil { // outside of the transaction, where that is possible: it may take a while
		return err
	}
	return v.rows.Write(ctx, func(ctx context.Context) error {
		k, err := v.settled(ctx)
		if err != nil {
			return err
		}
		return v.rows.WriteSecret(ctx, ref, k.seal(ref, s.Reveal()))
	})
}

// settled returns the key that the transaction of ctx must seal with. The one in memory may be out of date in two ways: the
// transaction that began the vault was taken back, or somebody has moved the vault.
func (v *Vault) settled(ctx context.Context) (*vaultKey, error) {
	k, err := v.open(ctx)
	if err != nil {
		return nil, err
	}
	id, err := v.sealedUnder(ctx)
	switch {
	case err != nil:
		return nil, err
	case id == "":
		return k, v.note(ctx, k, nil)
	case id != k.id:
		return v.reopen(ctx, k)
	}
	return k, nil
}

// Delete removes the row under ref. It needs no key.
func (v *Vault) Delete(ctx context.Context, ref Ref) error { return v.rows.WriteSecret(ctx, ref, nil) }

func (k *vaultKey) seal(ref Ref, plain string) *Row {
	nonce := make([]byte, k.aead.NonceSize())
	rand.Read(nonce) // never fails since Go 1.24
	return &Row{KeyID: k.id, Nonce: nonce, Sealed: k.aead.Seal(nil, nonce, []byte(plain), binding(ref))}
}

// binding is the additional data of a row: one that was copied to another name does not open there.
func binding(ref Ref) []byte { return []byte("patchbay/v1/" + ref.Scope + "/" + ref.ID) }
