package session

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

type memory struct {
	mu    sync.Mutex // guards what follows
	facts map[string]string
	err   error
}

func (m *memory) Meta(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts[name], m.err
}

func (m *memory) SetMeta(_ context.Context, name, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.facts[name] = value
	}
	return m.err
}

func open(t *testing.T, m *memory) *Sessions {
	t.Helper()
	if m.facts == nil {
		m.facts = map[string]string{}
	}
	s, err := Open(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func begin(t *testing.T, s *Sessions) string {
	t.Helper()
	ticket, _ := s.Ticket()
	got, err := s.Redeem(t.Context(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	return got.Token.Reveal()
}

func valid(t *testing.T, s *Sessions, token string) bool {
	t.Helper()
	_, ok := s.Check(t.Context(), token)
	return ok
}

func TestTicketWorksOnceAndForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &memory{})
		first, until := s.Ticket()
		if len(first.Reveal()) != 32 || time.Until(until) != TicketLife {
			t.Error(len(first.Reveal()), until)
		}
		time.Sleep(TicketLife - time.Millisecond)
		if _, err := s.Redeem(t.Context(), first); err != nil {
			t.Error(err)
		}
		if _, err := s.Redeem(t.Context(), first); apierror.KindOf(err) != apierror.ClientUnauthorized {
			t.Error("a ticket works twice:", err)
		}
		late, _ := s.Ticket()
		time.Sleep(TicketLife)
		if _, err := s.Redeem(t.Context(), late); err == nil {
			t.Error("an old ticket works")
		}
		if _, err := s.Redeem(t.Context(), secret.Value{}); err == nil {
			t.Error("no ticket works")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, &memory{})
		oldest := begin(t, s)
		for range MaxSessions {
			time.Sleep(time.Second)
			begin(t, s)
		}
		if len(s.sessions) != MaxSessions || valid(t, s, oldest) {
			t.Error(len(s.sessions), "sessions; the oldest should have made room")
		}
		for range 3 * MaxTickets {
			s.Ticket()
		}
		if len(s.tickets) > MaxTickets {
			t.Error(len(s.tickets), "tickets")
		}
	})
}

func TestUsedSessionLastsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		s := open(t, m)
		token, idle := begin(t, s), begin(t, s)
		start := time.Now()
		for valid(t, s, token) {
			time.Sleep(IdleLife / 2)
		}
		if lived := time.Since(start); lived < WholeLife || lived > WholeLife+IdleLife {
			t.Errorf("lived %v", lived)
		}
		if valid(t, s, idle) {
			t.Error("an idle session lives")
		}
	})
}

func TestSessionsOutliveARestartButNotInTheClear(t *testing.T) {
	m := &memory{}
	s := open(t, m)
	token, ended := begin(t, s), begin(t, s)
	if err := s.End(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	for name, v := range m.facts {
		if strings.Contains(v, token) {
			t.Errorf("%s holds the token", name)
		}
	}
	s = open(t, m)
	if !valid(t, s, token) || valid(t, s, ended) {
		t.Error("sessions are not what they were")
	}
	m.facts[metaSessions] = "{"
	if s = open(t, m); valid(t, s, token) {
		t.Error("a broken list lets somebody in")
	}
}

func TestEndAllTakesTicketsBackAndTellsWatchers(t *testing.T) {
	s := open(t, &memory{})
	told := 0
	cancel := s.Watch(func() { told++ })
	token := begin(t, s)
	ticket, _ := s.Ticket()
	told = 0
	if err := s.EndAll(t.Context()); err != nil || valid(t, s, token) || told != 1 {
		t.Error(err, told)
	}
	if _, err := s.Redeem(t.Context(), ticket); err == nil {
		t.Error("a ticket outlives the end of all sessions")
	}
	cancel()
	begin(t, s)
	if told != 1 {
		t.Error("told after the end")
	}
}

func TestPasswordIsKeptAsArgon2id(t *testing.T) {
	m := &memory{}
	s := open(t, m)
	if err := s.SetPassword(t.Context(), secret.New("a password é")); err != nil {
		t.Fatal(err)
	}
	if h := m.facts[metaPassword]; !strings.HasPrefix(h, "$argon2id$v=19$m=65536,t=3,p=4$") || strings.Contains(h, "password") {
		t.Error(h)
	}
	s = open(t, m)
	if _, err := s.Login(t.Context(), secret.New("a password é"), "x"); err != nil || !s.HasPassword() {
		t.Error(err)
	}
	for _, bad := range []string{"", "plain", "$argon2id$v=19$m=x$a$b", "$argon2id$v=19$m=8,t=0,p=1$YQ$YQ", "$argon2id$v=19$m=8,t=1,p=1$YQ$"} {
		if samePassword("a password é", bad) {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, bad := range []string{"short", strings.Repeat("x", 1025)} {
		if err := s.SetPassword(t.Context(), secret.New(bad)); apierror.From(err).Param != "password" {
			t.Error(err)
		}
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guard
		for range freeGuesses {
			if g.enter("a") != 0 {
				t.Fatal("a first mistake has to wait")
			}
		}
		var waits []time.Duration
		for range 8 {
			wait := g.enter("a")
			waits = append(waits, wait)
			if g.enter("b") != 0 {
				t.Error("another place has to wait")
			}
			g.right("b")
			time.Sleep(wait)
			if g.enter("a") != 0 {
				t.Error("waiting did not help")
			}
		}
		if waits[0] != time.Minute || waits[1] != 2*time.Minute || waits[7] != longestWait {
			t.Error(waits)
		}
		time.Sleep(forgetAfter + time.Hour)
		g.enter("a")
		if g.enter("a") != 0 {
			t.Error("nothing is ever forgotten")
		}
	})
}

func TestGuessingFromManyPlacesIsSlowedDownToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guard
		n := 0
		for g.enter(string(rune('a'+n))) == 0 {
			if n++; n > 2*freeGuessesAll {
				t.Fatal("many places may guess for ever")
			}
		}
		if n != freeGuessesAll {
			t.Error(n)
		}
		for i := range 2 * maxPlaces {
			g.enter(string(rune(i)))
		}
		if len(g.places) > maxPlaces {
			t.Error(len(g.places))
		}
	})
}

func TestStoreFailureIsTold(t *testing.T) {
	m := &memory{}
	s := open(t, m)
	m.err = errors.New("disk full")
	if err := s.SetPassword(t.Context(), secret.New("long enough")); !errors.Is(err, m.err) || s.HasPassword() {
		t.Error(err)
	}
	ticket, _ := s.Ticket()
	if _, err := s.Redeem(t.Context(), ticket); !errors.Is(err, m.err) {
		t.Error(err)
	}
	if _, err := Open(t.Context(), m); !errors.Is(err, m.err) {
		t.Error(err)
	}
}
