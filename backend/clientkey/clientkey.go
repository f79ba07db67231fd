// Package clientkey owns the keys that apps use towards Patchbay: making one, showing it once, revoking it, and checking
// what an app presents, and counting what is done with it. The store keeps a hash and the first characters, never a key.
// Counters live in memory and are written behind: no request waits for the database.
package clientkey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
	"patchbay/backend/store"
)

// Prefix stands before every key that is made here, so that people and secret scanners know what they look at.
const Prefix = "pb-"

// MinLength is the shortest key that a person may bring.
const MinLength = 16

// shownChars is how many characters of a key stay readable in lists: few, because one that a person brings may be short.
const (
	shownChars = 4
	shownOwn   = len(Prefix) + shownChars
)

// Key is a client key without the key itself.
type Key struct {
	ID, Name string
	Shown    string // its first characters
	Created  time.Time
	Revoked  time.Time // zero = it is not
	Limits   Limits
}

// Valid reports whether the key opens anything at a time.
func (k Key) Valid(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Limits.Expires.IsZero() || now.Before(k.Limits.Expires))
}

// Keys holds all client keys. It is safe for concurrent use.
type Keys struct {
	db    *store.DB
	hot   atomic.Pointer[table] // replaced on change, never changed
	edit  sync.Mutex            // held over a change and its database write
	dirty chan struct{}         // a counter of the day has changed

	mu   sync.Mutex // guards uses
	uses map[string]*use
}

// table finds a key by what an app presents and by its id.
type table struct {
	byHash map[hash]Key
	byID   map[string]Key
}

type hash [sha256.Size]byte

// Open reads the keys, and what they used today, from the store.
func Open(ctx context.Context, db *store.DB) (*Keys, error) {
	k := &Keys{db: db, dirty: make(chan struct{}, 1), uses: map[string]*use{}}
	if err := k.reload(ctx); err != nil {
		return nil, err
	}
	return k, k.readUses(ctx)
}

func (k *Keys) reload(ctx context.Context) error {
	rows, err := k.db.ClientKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading the client keys: %w", err)
	}
	t := table{make(map[hash]Key, len(rows)), make(map[string]Key, len(rows))}
	for _, row := range rows {
		h, key, err := fromRow(row)
		if err != nil {
			return fmt.Errorf("reading the client key %q: %w", row.Name, err)
		}
		t.byHash[h], t.byID[key.ID] = key, key
	}
	k.hot.Store(&t)
	return nil
}

func fromRow(row store.ClientKey) (h hash, k Key, err error) {
	if n, err := hex.Decode(h[:], []byte(row.Hash)); err != nil || n != len(h) || len(row.Hash) != 2*len(h) {
		return h, k, errors.New("its hash is damaged")
	}
	k = Key{ID: row.ID, Name: row.Name, Shown: row.Prefix, Created: row.Created, Revoked: row.Revoked}
	if err := json.Unmarshal([]byte(row.Limits), &k.Limits); err != nil {
		return h, k, errors.New("its limits are damaged")
	}
	k.Limits.Expires = row.Expires
	return h, k, nil
}

// Check returns the key that an app presented, if it is known, not revoked and not expired. It asks no database.
//
// The look-up compares hashes, never keys: how long it takes can tell something about a hash at most, and who knows a part
// of a hash is no nearer to a key that has it.
func (k *Keys) Check(presented string) (Key, bool) {
	sum := hash(sha256.Sum256([]byte(presented)))
	key, ok := k.hot.Load().byHash[sum]
	if !ok || !key.Valid(time.Now()) {
		return Key{}, false
	}
	return key, true
}

// List returns all keys, the oldest first, revoked ones too.
func (k *Keys) List() []Key {
	m := k.hot.Load().byHash
	out := make([]Key, 0, len(m))
	for _, key := range m {
		out = append(out, key)
	}
	slices.SortFunc(out, func(a, b Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// Add makes a key, or takes the one that a person brings, and returns it. This is the only time it can be seen.
func (k *Keys) Add(ctx context.Context, name string, given secret.Value, limits Limits) (Key, secret.Value, error) {
	k.edit.Lock()
	defer k.edit.Unlock()
	return k.add(ctx, name, given, limits)
}

func (k *Keys) add(ctx context.Context, name string, given secret.Value, limits Limits) (Key, secret.Value, error) {
	text, shown := given.Reveal(), shownChars
	if given.Empty() {
		text, shown = generate(), shownOwn
	} else if err := CheckGiven(given); err != nil {
		return Key{}, secret.Value{}, err
	}
	name, err := checkName(name)
	if err != nil {
		return Key{}, secret.Value{}, err
	}
	allowed, err := limits.encode()
	if err != nil {
		return Key{}, secret.Value{}, err
	}
	sum := sha256.Sum256([]byte(text))
	row := store.ClientKey{
		ID: rand.Text()[:12], Name: name, Hash: hex.EncodeToString(sum[:]), Prefix: text[:shown],
		Created: time.Now(), Expires: limits.Expires, Limits: allowed,
	}
	if err := k.db.AddClientKey(ctx, row); err != nil {
		if errors.Is(err, store.ErrExists) {
			return Key{}, secret.Value{}, apierror.Invalid("key", "this key is already there; a revoked one cannot be used again")
		}
		return Key{}, secret.Value{}, fmt.Errorf("saving the client key: %w", err)
	}
	if err := k.reload(ctx); err != nil {
		return Key{}, secret.Value{}, err
	}
	return k.hot.Load().byHash[sum], secret.New(text), nil
}

// First makes the key of a first run: if there is none at all it makes one and returns it, else ok is false.
func (k *Keys) First(ctx context.Context, name string) (text secret.Value, ok bool, err error) {
	k.edit.Lock()
	defer k.edit.Unlock()
	if len(k.hot.Load().byHash) > 0 {
		return secret.Value{}, false, nil
	}
	_, text, err = k.add(ctx, name, secret.Value{}, Limits{})
	return text, err == nil, err
}

// Change is what is to change of a key; nil leaves it alone.
type Change struct {
	Name   *string
	Limits func(*Limits) // changes a copy
}

// Set changes a key. What it says of limits holds from the next request on.
func (k *Keys) Set(ctx context.Context, id string, c Change) (Key, error) {
	k.edit.Lock()
	defer k.edit.Unlock()
	key, ok := k.hot.Load().byID[id]
	if !ok || !key.Revoked.IsZero() {
		return Key{}, noSuchKey(id)
	}
	if c.Name != nil {
		var err error
		if key.Name, err = checkName(*c.Name); err != nil {
			return Key{}, err
		}
	}
	if c.Limits != nil {
		c.Limits(&key.Limits)
	}
	limits, err := key.Limits.encode()
	if err != nil {
		return Key{}, err
	}
	err = k.db.SetClientKey(ctx, store.ClientKey{ID: id, Name: key.Name, Expires: key.Limits.Expires, Limits: limits})
	if err != nil {
		return Key{}, changeError("saving", id, err)
	}
	if err := k.reload(ctx); err != nil {
		return Key{}, err
	}
	return k.hot.Load().byID[id], nil
}

// Revoke ends a key at once, and what is being answered for it. It stays in the list, so that the log can name it.
func (k *Keys) Revoke(ctx context.Context, id string) error {
	k.edit.Lock()
	defer k.edit.Unlock()
	if err := k.db.RevokeClientKey(ctx, id, time.Now()); err != nil {
		return changeError("revoking", id, err)
	}
	return k.ended(ctx, id)
}

// Remove revokes a key and takes it out of the list: the log can no longer name it.
func (k *Keys) Remove(ctx context.Context, id string) error {
	k.edit.Lock()
	defer k.edit.Unlock()
	if err := k.db.RemoveClientKey(ctx, id); err != nil {
		return changeError("removing", id, err)
	}
	err := k.ended(ctx, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.uses, id)
	return err
}

// ended takes note that a key is no longer good, then ends its running requests: the other way round one could slip in.
func (k *Keys) ended(ctx context.Context, id string) error {
	err := k.reload(ctx)
	k.use(id).stop()
	return err
}

func changeError(doing, id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return noSuchKey(id)
	}
	return fmt.Errorf("%s the client key: %w", doing, err)
}

func noSuchKey(id string) error {
	return apierror.Invalid("id", "there is no usable key %q; look at the list of keys", id)
}

func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 100 {
		return "", apierror.Invalid("name", "give the key a name of at most 100 characters, for example that of the app")
	}
	return name, nil
}

// generate returns a key of 256 random bits.
func generate() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails since Go 1.24
	return Prefix + base64.RawURLEncoding.EncodeToString(b)
}

// CheckGiven refuses keys that are too easy to guess or that do not fit into a header.
func CheckGiven(given secret.Value) error {
	text := given.Reveal()
	if len(text) < MinLength {
		return apierror.Invalid("key", "the key must have at least %d characters", MinLength)
	}
	if len(text) > 512 {
		return apierror.Invalid("key", "the key must have at most 512 characters")
	}
	for _, r := range text {
		if r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' {
			return apierror.Invalid("key", "the key may hold letters, digits and signs of ASCII only, no spaces")
		}
	}
	return nil
}
