// Package secrettest is the suite that every secret.Store must pass.
package secrettest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"patchbay/backend/secret"
)

// Run runs the suite. open returns a new, empty store for each test.
func Run(t *testing.T, open func(t *testing.T) secret.Store) {
	t.Run("what was put comes back", func(t *testing.T) { roundTrip(t, open(t)) })
	t.Run("names are apart", func(t *testing.T) { namesApart(t, open(t)) })
	t.Run("what was deleted is gone", func(t *testing.T) { deleted(t, open(t)) })
	t.Run("many at once", func(t *testing.T) { manyAtOnce(t, open(t)) })
}

func roundTrip(t *testing.T, s secret.Store) {
	ctx := t.Context()
	ref := secret.Ref{Scope: "account", ID: "a"}
	for _, text := range []string{"short", "", "\x00\xff", strings.Repeat("long ", 4000)} {
		if err := s.Put(ctx, ref, secret.New(text)); err != nil {
			t.Fatal(err)
		}
		want(ctx, t, s, ref, text)
	}
}

func namesApart(t *testing.T, s secret.Store) {
	ctx := t.Context()
	refs := []secret.Ref{{Scope: "account", ID: "a"}, {Scope: "account", ID: "b"}, {Scope: "proxy", ID: "a"}}
	for _, ref := range refs {
		if err := s.Put(ctx, ref, secret.New(ref.Scope+ref.ID)); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range refs {
		want(ctx, t, s, ref, ref.Scope+ref.ID)
	}
}

func deleted(t *testing.T, s secret.Store) {
	ctx := t.Context()
	ref := secret.Ref{Scope: "account", ID: "a"}
	if err := s.Put(ctx, ref, secret.New("x")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice: what is not there is no error
		if err := s.Delete(ctx, ref); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(ctx, ref); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func manyAtOnce(t *testing.T, s secret.Store) {
	ctx := t.Context()
	var wg sync.WaitGroup
	for i := range 8 {
		ref := secret.Ref{Scope: "account", ID: string(rune('a' + i))}
		wg.Go(func() {
			if err := s.Put(ctx, ref, secret.New(ref.ID)); err != nil {
				t.Error(err)
				return
			}
			want(ctx, t, s, ref, ref.ID)
		})
	}
	wg.Wait()
}

func want(ctx context.Context, t *testing.T, s secret.Store, ref secret.Ref, text string) {
	t.Helper()
	got, err := s.Get(ctx, ref)
	if err != nil {
		t.Error(err)
		return
	}
	if got.Reveal() != text {
		t.Errorf("%v: %d bytes came back, not the %d that were put", ref, len(got.Reveal()), len(text))
	}
}
