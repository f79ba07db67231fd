// Package clientkey owns the keys that apps use towards Patchbay: making one, showing it once, revoking it, and checking
// what an app presents. The store keeps a hash and the first characters, never a key. Spending a limit per request (calls
// per minute, calls at a time) is not done here yet; the limits are kept so that it can be.
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

// Limits is what a key may do. The zero value limits nothing.
type Limits struct {
	Providers  []string  `json:"providers,omitzero"`
	Models     []string  `json:"models,omitzero"`    // patterns
	Protocols  []string  `json:"protocols,omitzero"` // client wire formats
	PerMinute  int       `json:"per_minute,omitzero"`
	Concurrent int       `json:"concurrent,omitzero"`
	Expires    time.Time `json:"-"` // zero = never
}

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
	db   *store.DB
	hot  atomic.Pointer[map[hash]Key] // replaced on change, never changed
	edit sync.Mutex                   // held over a change and its database write
}

type hash [sha256.Size]byte

// Open reads the keys from the store.
func Open(ctx context.Context, db *store.DB) (*Keys, error) {
	k := &Keys{db: db}
	return k, k.reload(ctx)
}

func (k *Keys) reload(ctx context.Context) error {
	rows, err := k.db.ClientKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading the client keys: %w", err)
	}
	m := make(map[hash]Key, len(rows))
	for _, row := range rows {
		h, key, err := fromRow(row)
		if err != nil {
			return fmt.Errorf("reading the client key %q: %w", row.Name, err)
		}
		m[h] = key
	}
	k.hot.Store(&m)
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
	key, ok := (*k.hot.Load())[sum]
	if !ok || !key.Valid(time.Now()) {
		return Key{}, false
	}
	return key, true
}

// List returns all keys, the oldest first, revoked ones too.
func (k *Keys) List() []Key {
	m := *k.hot.Load()
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
	} else if err := checkGiven(text); err != nil {
		return Key{}, secret.Value{}, err
	}
	name = strings.TrimSpace(name)
	if name == "" || len(name) > 100 {
		return Key{}, secret.Value{}, apierror.Invalid("name", "give the key a name of at most 100 characters, for example that of the app")
	}
	allowed, err := json.Marshal(limits)
	if err != nil {
		return Key{}, secret.Value{}, apierror.Invalid("limits", "the limits hold text that is not UTF-8")
	}
	sum := sha256.Sum256([]byte(text))
	row := store.ClientKey{
		ID: rand.Text()[:12], Name: name, Hash: hex.EncodeToString(sum[:]), Prefix: text[:shown],
		Created: time.Now(), Expires: limits.Expires, Limits: string(allowed),
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
	return (*k.hot.Load())[sum], secret.New(text), nil
}

// First makes the key of a first run: if there is none at all it makes one and returns it, else ok is false.
func (k *Keys) First(ctx context.Context, name string) (text secret.Value, ok bool, err error) {
	k.edit.Lock()
	defer k.edit.Unlock()
	if len(*k.hot.Load()) > 0 {
		return secret.Value{}, false, nil
	}
	_, text, err = k.add(ctx, name, secret.Value{}, Limits{})
	return text, err == nil, err
}

// Revoke ends a key at once. It stays in the list, so that the log can name it.
func (k *Keys) Revoke(ctx context.Context, id string) error {
	k.edit.Lock()
	defer k.edit.Unlock()
	err := k.db.RevokeClientKey(ctx, id, time.Now())
	if errors.Is(err, store.ErrNotFound) {
		return apierror.Invalid("id", "there is no usable key %q; look at the list of keys", id)
	}
	if err != nil {
		return fmt.Errorf("revoking the client key: %w", err)
	}
	return k.reload(ctx)
}

// generate returns a key of 256 random bits.
func generate() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails since Go 1.24
	return Prefix + base64.RawURLEncoding.EncodeToString(b)
}

// checkGiven refuses keys that are too easy to guess or that do not fit into a header.
func checkGiven(text string) error {
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
