package secret

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/zalando/go-keyring"
)

// A Ring is the keychain of the operating system. Its calls may block for as long as a person takes to type a password.
// ErrNoItem says that there is no such item; ErrNoRing that there is no keychain.
type Ring interface {
	Get(service, account string) (string, error)
	Set(service, account, text string) error
	Delete(service, account string) error
	// Locked reports whether the keychain is locked, without asking anybody for its password; known is false where that
	// cannot be found out.
	Locked() (locked, known bool)
}

var (
	// ErrNoItem reports that the keychain has no such item.
	ErrNoItem = errors.New("the keychain has no such item")
	// ErrNoRing reports that there is no keychain that could be asked.
	ErrNoRing = errors.New("no keychain was found")
)

// Names in the keychain. The account ends in the key's id: vaults of several folders do not get in each other's way, and a
// new key never overwrites one that may still be needed.
const (
	ringService = "dev.patchbay.Patchbay"
	ringAccount = "vault-key-v1-"
)

// How long a keychain is waited for. A prompt for its password may stand on the screen for any time.
const (
	ringPatience = 5 * time.Second  // by a caller
	ringPrompt   = 2 * time.Minute  // by the one call that may be waiting for a person
	ringPause    = 30 * time.Second // before a keychain that refused is tried again, where it cannot be looked at
)

// OSKey is a key in the keychain of the operating system. At most one call to the keychain is under way at a time. One that
// waits for a person goes on in the background, and callers are told ErrLocked meanwhile.
type OSKey struct {
	Ring     Ring   // nil = there is none
	Required bool   // a new vault waits for the keychain instead of keeping its key elsewhere
	Barred   string // what keeps Patchbay away from the keychain, "" = nothing

	mu      sync.Mutex // guards what follows
	busy    *ringCall
	refused time.Time // when it last could not be opened; zero = it could
}

type ringCall struct {
	done  chan struct{}
	err   error // set before done is closed
	since time.Time
	late  bool // guarded by OSKey.mu: somebody has stopped waiting
}

var _ KeySource = (*OSKey)(nil)

// Name returns SourceOS.
func (*OSKey) Name() string { return SourceOS }

// Note returns nothing: it is the best place there is.
func (*OSKey) Note() string { return "" }

// Usable tries with a value of its own whether the keychain keeps what it is given.
func (k *OSKey) Usable(ctx context.Context) error {
	err := k.probe(ctx)
	if err != nil && k.Required {
		return fmt.Errorf("%w: PATCHBAY_KEYRING=os wants the keychain: %w", ErrLocked, err)
	}
	return err
}

// Look is Usable without a prompt for the keychain's password, where the system allows that.
func (k *OSKey) Look(ctx context.Context) error {
	if k.Ring != nil && k.Barred == "" {
		if locked, known := k.Ring.Locked(); known && locked {
			return fmt.Errorf("%w now: %w", ErrUnusable, errRingLocked)
		}
	}
	return k.Usable(ctx)
}

func (k *OSKey) probe(ctx context.Context) error {
	account, text := "probe-"+rand.Text(), rand.Text()
	var back string
	err := k.call(ctx, func() (err error) {
		if err = k.Ring.Set(ringService, account, text); err != nil {
			return err
		}
		back, err = k.Ring.Get(ringService, account)
		return errors.Join(err, k.Ring.Delete(ringService, account))
	})
	switch {
	case err == nil && back != text:
		return fmt.Errorf("%w: the keychain gave back something else than it was given", ErrUnusable)
	case err == nil, errors.Is(err, errWaiting), ctx.Err() != nil:
		return err
	}
	if r, ok := errors.AsType[refusal](err); ok {
		err = r.cause // there is nothing locked yet
	}
	return fmt.Errorf("%w: %w", ErrUnusable, err)
}

// Load asks the keychain for a key.
func (k *OSKey) Load(ctx context.Context, id string) (key []byte, err error) {
	text := ""
	err = k.call(ctx, func() (err error) {
		text, err = k.Ring.Get(ringService, ringAccount+id)
		return err
	})
	if errors.Is(err, ErrNoItem) {
		return nil, fmt.Errorf("%w: the keychain does not hold it any more (service %s, account %s)", ErrLost, ringService, ringAccount+id)
	}
	if err != nil {
		return nil, err
	}
	key, ok := decodeKey(text)
	if !ok || keyID(key) != id {
		return nil, fmt.Errorf("%w: the keychain holds something else in its place (service %s, account %s)", ErrLost, ringService, ringAccount+id)
	}
	return key, nil
}

// Keep puts a key into the keychain and reads it back.
func (k *OSKey) Keep(ctx context.Context, key []byte) ([]byte, error) {
	text, back := encodeKey(key), ""
	err := k.call(ctx, func() (err error) {
		account := ringAccount + keyID(key)
		if err = k.Ring.Set(ringService, account, text); err != nil {
			return err
		}
		back, err = k.Ring.Get(ringService, account)
		return err
	})
	if err != nil {
		return nil, err
	}
	if back != text {
		return nil, fmt.Errorf("%w: the keychain gave back something else than it was given", ErrUnusable)
	}
	return key, nil
}

// Drop removes a key from the keychain.
func (k *OSKey) Drop(ctx context.Context, id string) error {
	err := k.call(ctx, func() error { return k.Ring.Delete(ringService, ringAccount+id) })
	if errors.Is(err, ErrNoItem) {
		return nil
	}
	return err
}

// Retry has the next call ask the keychain even if that brings up a prompt: a person wants it.
func (k *OSKey) Retry() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refused = time.Time{}
	if k.busy != nil && time.Since(k.busy.since) > ringPrompt {
		k.busy = nil // its prompt is gone, whatever became of it
	}
}

// refusal is an answer of the keychain that leaves everything as it is.
type refusal struct{ cause error }

func (r refusal) Error() string { return ErrLocked.Error() + ": " + r.cause.Error() }

func (r refusal) Unwrap() []error { return []error{ErrLocked, r.cause} }

var errRingLocked = errors.New("the keychain is locked")

var errWaiting = fmt.Errorf("%w: the keychain has not answered yet; it may be waiting for its password", ErrLocked)

// call runs fn beside the caller and waits for it, but not for ever.
func (k *OSKey) call(ctx context.Context, fn func() error) error {
	switch {
	case k.Barred != "":
		return refusal{errors.New("the keychain is left alone because of " + k.Barred)}
	case k.Ring == nil:
		return refusal{ErrNoRing}
	case k.resting():
		return refusal{errRingLocked}
	}
	patience := time.NewTimer(ringPatience)
	defer patience.Stop()
	for {
		c, mine, late := k.begin(fn)
		if late {
			return errWaiting
		}
		select {
		case <-c.done:
			if mine {
				return c.err
			}
		case <-patience.C:
			k.giveUp(c)
			return errWaiting
		case <-ctx.Done():
			return refusal{fmt.Errorf("asking the keychain: %w", ctx.Err())}
		}
	}
}

// begin starts fn, or returns the call that is under way; late says that this one has kept others waiting in vain.
func (k *OSKey) begin(fn func() error) (c *ringCall, mine, late bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy != nil {
		return k.busy, false, k.busy.late
	}
	k.busy = &ringCall{done: make(chan struct{}), since: time.Now()}
	go k.run(k.busy, fn) // ends when the keychain answers; nothing else can end it
	return k.busy, true, false
}

func (k *OSKey) giveUp(c *ringCall) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.late = true
}

func (k *OSKey) run(c *ringCall, fn func() error) {
	err := settled(fn)
	k.mu.Lock()
	defer k.mu.Unlock()
	c.err = err
	k.refused = time.Time{}
	if errors.Is(err, ErrLocked) && !errors.Is(err, ErrNoRing) { // where there is none, asking bothers nobody
		k.refused = time.Now()
	}
	if k.busy == c {
		k.busy = nil
	}
	close(c.done)
}

// resting reports whether the keychain refused and would only refuse, or ask the person, again.
func (k *OSKey) resting() bool {
	k.mu.Lock()
	refused, stuck := k.refused, k.busy != nil && time.Since(k.busy.since) > ringPrompt
	k.mu.Unlock()
	if refused.IsZero() && !stuck {
		return false
	}
	locked, known := k.Ring.Locked()
	if known && !locked && stuck {
		k.Retry() // it was opened from elsewhere, and the prompt has been forgotten
	}
	if known {
		return locked
	}
	return !refused.IsZero() && time.Since(refused) < ringPause
}

// settled calls fn and sorts its error. A stray signal on the bus can be taken for the answer to a prompt, so a refusal is
// tried once more.
func settled(fn func() error) error {
	err := sorted(fn)
	if errors.Is(err, ErrLocked) && !errors.Is(err, ErrNoRing) {
		err = sorted(fn)
	}
	return err
}

func sorted(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil { // go-keyring 0.2.8 reads a nil signal when the bus goes away during a prompt
			err = refusal{errors.New("asking the keychain failed")}
		}
	}()
	err = fn()
	if err == nil || errors.Is(err, ErrNoItem) {
		return err
	}
	return refusal{err}
}

// systemRing is the keychain that go-keyring finds: the Secret Service on Linux, Keychain on macOS, Credential Manager on
// Windows.
type systemRing struct{}

// SystemRing returns the keychain of the operating system, nil if none can be there.
func SystemRing() Ring {
	if !ringMayExist() {
		return nil
	}
	return systemRing{}
}

func (systemRing) Get(service, account string) (string, error) {
	text, err := keyring.Get(service, account)
	return text, ringError(err, "")
}

func (systemRing) Set(service, account, text string) error {
	return ringError(keyring.Set(service, account, text), text)
}

func (systemRing) Delete(service, account string) error {
	return ringError(keyring.Delete(service, account), "")
}

func (systemRing) Locked() (locked, known bool) { return ringLocked() }

// ringError says what an error of go-keyring means. hidden is what must not stand in it.
func ringError(err error, hidden string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNoItem
	case errors.Is(err, keyring.ErrUnsupportedPlatform), ringMissing(err):
		return ErrNoRing
	case strings.Contains(err.Error(), "failed to unlock correct collection"): // go-keyring 0.2.8, secret_service.go: it has no type for it
		return errRingLocked
	case hidden != "" && strings.Contains(err.Error(), hidden):
		return errors.New("the keychain refused")
	}
	return fmt.Errorf("the keychain refused: %w", err)
}
