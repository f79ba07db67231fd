package session

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// Bounds of a password.
const (
	MinPassword = 10   // characters
	maxPassword = 1024 // bytes
)

// Argon2id as RFC 9106 section 4 recommends where memory is scarce: 64 MiB, three passes, four lanes.
const (
	argonTime, argonMemory, argonLanes, argonKey = 3, 64 << 10, 4, 32
)

func hashPassword(text string) string {
	salt := make([]byte, 16)
	rand.Read(salt) // crypto/rand: never fails
	key := argon2.IDKey([]byte(text), salt, argonTime, argonMemory, argonLanes, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// samePassword compares a password with a hash. The hash carries its own cost, so that the constants may change.
func samePassword(text, hash string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	var memory, passes uint32
	var lanes uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); err != nil || passes < 1 || lanes < 1 || memory > 1<<20 {
		return false
	}
	b64 := base64.RawStdEncoding
	salt, err := b64.DecodeString(parts[4])
	if err != nil {
		return false
	}
	want, err := b64.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(text), salt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(want, got) == 1
}

// HasPassword reports whether a password opens the page.
func (s *Sessions) HasPassword() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.password != ""
}

// SetPassword sets the password; an empty one removes it. Sessions that the old one opened end.
func (s *Sessions) SetPassword(ctx context.Context, password secret.Value) error {
	text, hash := password.Reveal(), ""
	switch {
	case text == "":
	case utf8.RuneCountInString(text) < MinPassword:
		return apierror.Invalid("password", "the password needs at least %d characters", MinPassword)
	case len(text) > maxPassword:
		return apierror.Invalid("password", "the password is longer than %d bytes", maxPassword)
	default:
		hash = hashPassword(text)
	}
	if err := s.store.SetMeta(ctx, metaPassword, hash); err != nil {
		return fmt.Errorf("keeping the password: %w", err)
	}
	s.mu.Lock()
	s.password = hash
	s.mu.Unlock()
	return s.endWhere(ctx, func(_ digest, e entry) bool { return e.Password })
}

// Login opens a session by the password. from is where the caller is: after some wrong guesses that place has to wait.
func (s *Sessions) Login(ctx context.Context, password secret.Value, from string) (Session, error) {
	s.mu.Lock()
	hash := s.password
	s.mu.Unlock()
	if hash == "" {
		return Session{}, apierror.New(apierror.ClientUnauthorized,
			"no password is set: open the page with `patchbay open` on that machine, or set one there with `patchbay password set`")
	}
	if len(password.Reveal()) > maxPassword {
		return Session{}, apierror.Invalid("password", "the password is longer than %d bytes", maxPassword)
	}
	if wait := s.guard.enter(from); wait > 0 {
		e := apierror.New(apierror.ClientLimited, "too many wrong passwords: wait %s and try again", wait.Round(time.Second))
		e.RetryAfter = wait
		return Session{}, e
	}
	// One at a time: a check takes 64 MiB and much of a processor.
	s.guard.checking.Lock()
	ok := samePassword(password.Reveal(), hash)
	s.guard.checking.Unlock()
	if !ok {
		return Session{}, apierror.New(apierror.ClientUnauthorized, "the password is wrong")
	}
	s.guard.right(from)
	return s.begin(ctx, true)
}

// guard makes guessing slow: each place may be wrong five times, then waits a minute, and twice as long with each further
// guess, up to an hour. Everybody together may be wrong fifty times before all wait so.
type guard struct {
	checking sync.Mutex

	mu     sync.Mutex // guards what follows
	places map[string]*misses
	all    misses
}

// misses are the guesses of one place.
type misses struct {
	n     int
	until time.Time // none is taken before
	last  time.Time
}

const (
	freeGuesses    = 5
	freeGuessesAll = 50
	maxPlaces      = 4096
	forgetAfter    = 24 * time.Hour
	longestWait    = time.Hour
)

// enter counts a guess before it is known to be right, so that guesses at the same time count too. It returns how long to
// wait instead, if one has to.
func (g *guard) enter(from string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	p := g.places[from]
	if p == nil {
		g.room(now)
		p = &misses{}
		g.places[from] = p
	}
	if wait := max(p.until.Sub(now), g.all.until.Sub(now)); wait > 0 {
		return wait
	}
	p.miss(now, freeGuesses)
	g.all.miss(now, freeGuessesAll)
	return 0
}

func (m *misses) miss(now time.Time, free int) {
	if now.Sub(m.last) > forgetAfter {
		m.n = 0
	}
	m.n, m.last = m.n+1, now
	if over := m.n - free; over >= 0 {
		m.until = now.Add(min(time.Minute<<min(over, 10), longestWait))
	}
}

// room makes room for one more place.
func (g *guard) room(now time.Time) {
	if g.places == nil {
		g.places = map[string]*misses{}
	}
	if len(g.places) < maxPlaces {
		return
	}
	var oldest string
	for from, m := range g.places {
		if now.Sub(m.last) > forgetAfter {
			delete(g.places, from)
		} else if oldest == "" || m.last.Before(g.places[oldest].last) {
			oldest = from
		}
	}
	if len(g.places) >= maxPlaces {
		delete(g.places, oldest)
	}
}

// right forgives a place that knew the password.
func (g *guard) right(from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.places, from)
	g.all = misses{}
}
