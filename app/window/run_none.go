//go:build !desktop

package window

import "context"

// Built reports whether this build has a window.
const Built = false

// Run reports ErrNotBuilt.
func Run(context.Context, Options) error { return ErrNotBuilt }
