// Package session lets people into the page: tickets for the one who sits at this machine, a password for remote use, and
// the sessions that either opens. It owns them; what a session may do is the business of whoever asks Check.
//
// Nothing of it is kept in the clear: a session is known by the hash of its token, the password by its Argon2id hash.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// Limits of what is kept.
const (
	TicketLife  = time.Minute
	MaxTickets  = 16
	MaxSessions = 64
	// IdleLife is how long a session lasts without a call, WholeLife how long in all.
	IdleLife  = 24 * time.Hour
	WholeLife = 30 * 24 * time.Hour
	// saveEvery is how far a session's end moves on before that is written down.
	saveEvery = time.Hour
)

// Store keeps named facts over a restart; the database does.
type Store interface {
	Meta(ctx context.Context, name string) (string, error)
	SetMeta(ctx context.Context, name, value string) error
}

// The facts that are kept.
const (
	metaSessions = "ui_sessions"
	metaPassword = "ui_password"
)

// Session is a session that has begun.
type Session struct {
	Token   secret.Value
	Expires time.Time // unless it is used
}

type digest [sha256.Size]byte

func digestOf(text string) digest { return sha256.Sum256([]byte(text)) }

// MarshalText writes hex digits.
func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads them.
func (d *digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return errors.New("no digest")
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// entry is one session as it is kept.
type entry struct {
	Began    time.Time `json:"began"`
	Until    time.Time `json:"until"`
	Password bool      `json:"password,omitzero"` // it was opened by the password
}

// Sessions owns tickets, sessions and the password. It is safe for concurrent use.
type Sessions struct {
	store Store
	guard guard

	saving sync.Mutex // held over a write, so that an older list never replaces a newer one

	mu       sync.Mutex // guards what follows
	tickets  map[digest]time.Time
	sessions map[digest]entry
	password string // its hash, "" = there is none
	watchers map[int]func()
	serial   int
}

// Open reads what an earlier run kept.
func Open(ctx context.Context, store Store) (*Sessions, error) {
	s := &Sessions{store: store, tickets: map[digest]time.Time{}, sessions: map[digest]entry{}, watchers: map[int]func(){}}
	var err error
	if s.password, err = store.Meta(ctx, metaPassword); err != nil {
		return nil, fmt.Errorf("reading the page's password: %w", err)
	}
	text, err := store.Meta(ctx, metaSessions)
	if err != nil {
		return nil, fmt.Errorf("reading the page's sessions: %w", err)
	}
	if text != "" && json.Unmarshal([]byte(text), &s.sessions) != nil {
		s.sessions = map[digest]entry{} // of another version: people open the page anew
	}
	s.prune()
	return s, nil
}

// random returns n random bytes as hex digits.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // crypto/rand: never fails
	return hex.EncodeToString(b)
}

// Ticket makes a ticket: whoever shows it first, within a minute, gets a session.
func (s *Sessions) Ticket() (secret.Value, time.Time) {
	text, until := random(16), time.Now().Add(TicketLife)
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, end := range s.tickets {
		if !time.Now().Before(end) {
			delete(s.tickets, d)
		}
	}
	for len(s.tickets) >= MaxTickets {
		delete(s.tickets, earliest(s.tickets, func(t time.Time) time.Time { return t }))
	}
	s.tickets[digestOf(text)] = until
	return secret.New(text), until
}

// earliest returns the key whose value is the earliest.
func earliest[V any](m map[digest]V, at func(V) time.Time) (out digest) {
	var first time.Time
	for d, v := range m {
		if first.IsZero() || at(v).Before(first) {
			out, first = d, at(v)
		}
	}
	return out
}

// Redeem trades a ticket for a session. It works once.
func (s *Sessions) Redeem(ctx context.Context, ticket secret.Value) (Session, error) {
	d := digestOf(ticket.Reveal())
	s.mu.Lock()
	until, ok := s.tickets[d]
	delete(s.tickets, d)
	s.mu.Unlock()
	if !ok || !time.Now().Before(until) {
		return Session{}, apierror.New(apierror.ClientUnauthorized,
			"this link was used already or is older than a minute: open Patchbay again, or run `patchbay open`")
	}
	return s.begin(ctx, false)
}

func (s *Sessions) begin(ctx context.Context, password bool) (Session, error) {
	text, now := random(32), time.Now()
	e := entry{Began: now, Until: now.Add(IdleLife), Password: password}
	s.mu.Lock()
	s.prune()
	for len(s.sessions) >= MaxSessions {
		delete(s.sessions, earliest(s.sessions, func(e entry) time.Time { return e.Until }))
	}
	s.sessions[digestOf(text)] = e
	s.mu.Unlock()
	s.ended()
	return Session{Token: secret.New(text), Expires: e.Until}, s.save(ctx)
}

// prune drops what is over; s.mu is held.
func (s *Sessions) prune() {
	now := time.Now()
	for d, e := range s.sessions {
		if !now.Before(e.Until) {
			delete(s.sessions, d)
		}
	}
}

// Check reports whether token is that of a session, and until when. A session that is used lasts longer.
func (s *Sessions) Check(ctx context.Context, token string) (until time.Time, ok bool) {
	if token == "" {
		return time.Time{}, false
	}
	d, now := digestOf(token), time.Now()
	s.mu.Lock()
	e, ok := s.sessions[d]
	if !ok || !now.Before(e.Until) {
		s.mu.Unlock()
		return time.Time{}, false
	}
	end := now.Add(IdleLife)
	if last := e.Began.Add(WholeLife); end.After(last) {
		end = last
	}
	later := end.Sub(e.Until) >= saveEvery
	if later {
		e.Until = end
		s.sessions[d] = e
	}
	s.mu.Unlock()
	if later {
		_ = s.save(ctx) // at worst the session ends a little earlier after a restart
	}
	return e.Until, true
}

// End ends a session.
func (s *Sessions) End(ctx context.Context, token string) error {
	return s.endWhere(ctx, func(d digest, _ entry) bool { return d == digestOf(token) })
}

// EndAll ends all sessions and takes all tickets back.
func (s *Sessions) EndAll(ctx context.Context) error {
	s.mu.Lock()
	clear(s.tickets)
	s.mu.Unlock()
	return s.endWhere(ctx, func(digest, entry) bool { return true })
}

func (s *Sessions) endWhere(ctx context.Context, ends func(digest, entry) bool) error {
	s.mu.Lock()
	for d, e := range s.sessions {
		if ends(d, e) {
			delete(s.sessions, d)
		}
	}
	s.mu.Unlock()
	s.ended()
	return s.save(ctx)
}

// Watch calls f whenever sessions may have ended, until cancel is called. f must not block.
func (s *Sessions) Watch(f func()) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	id := s.serial
	s.watchers[id] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, id)
	}
}

func (s *Sessions) ended() {
	s.mu.Lock()
	list := make([]func(), 0, len(s.watchers))
	for _, f := range s.watchers {
		list = append(list, f)
	}
	s.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// save writes the sessions down.
func (s *Sessions) save(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	b, err := json.Marshal(s.sessions)
	s.mu.Unlock()
	if err == nil {
		// Whoever asked may be gone already; what was decided is kept all the same.
		err = s.store.SetMeta(context.WithoutCancel(ctx), metaSessions, string(b))
	}
	if err != nil {
		return fmt.Errorf("keeping the page's sessions: %w", err)
	}
	return nil
}
