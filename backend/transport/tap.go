package transport

import (
	"context"
	"net/http"
)

// A Tap looks on at calls to services: what goes out and what comes back, before anything is read from it. It is safe for
// concurrent use, keeps nothing of what it is shown without copying it, and changes nothing.
type Tap interface {
	// Call is told of a call that is about to be made. Secrets are what must not be kept of it.
	Call(c *Call, header http.Header) TappedCall
}

// A TappedCall is told how one call went. End comes at least once; what follows the first one does not count.
type TappedCall interface {
	Answer(status int, header http.Header)
	Data(p []byte)
	End(err error) // nil = to its end, or as far as anybody wanted to read
}

type tapKey struct{}

// WithTap returns a context whose calls t looks on at.
func WithTap(ctx context.Context, t Tap) context.Context { return context.WithValue(ctx, tapKey{}, t) }

// Untapped returns a context at whose calls nobody looks on: those for a login are nobody's business.
func Untapped(ctx context.Context) context.Context {
	if ctx.Value(tapKey{}) == nil {
		return ctx
	}
	return context.WithValue(ctx, tapKey{}, nil)
}

// tapped tells who looks on, if anybody does.
func (c *Call) tapped(ctx context.Context, req *http.Request) TappedCall {
	if t, ok := ctx.Value(tapKey{}).(Tap); ok {
		return t.Call(c, req.Header)
	}
	return nil
}
