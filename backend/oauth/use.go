package oauth

import (
	"context"
	"sync/atomic"
)

// Use notes which version of a credential a call was made with, so that a refusal of it does not renew one that was renewed
// meanwhile. A nil Use notes nothing.
type Use struct{ version atomic.Uint64 }

type useKey struct{}

// Track returns a context in which Tokens.Token notes what it gave into u.
func Track(ctx context.Context, u *Use) context.Context { return context.WithValue(ctx, useKey{}, u) }

// Version returns what was noted last, 0 if nothing was.
func (u *Use) Version() uint64 {
	if u == nil {
		return 0
	}
	return u.version.Load()
}

func used(ctx context.Context, version uint64) {
	if u, ok := ctx.Value(useKey{}).(*Use); ok {
		u.version.Store(version)
	}
}
