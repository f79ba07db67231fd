package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"patchbay/backend/canon"
)

// Used is a model that answered.
type Used struct {
	Provider, Model string
	At              time.Time // of its latest answer
}

// maxRecent bounds what is remembered: nobody uses more models at a time.
const maxRecent = 256

// recent remembers which models answered, the latest last.
type recent struct {
	mu   sync.Mutex // guards list
	list []Used
}

func (r *recent) note(provider, model string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(u Used) bool { return u.Provider == provider && u.Model == model })
	r.list = append(r.list, Used{provider, model, time.Now()})
	if len(r.list) > maxRecent {
		r.list = slices.Delete(r.list, 0, 1)
	}
}

// noteUse remembers the model that answers a call.
func (c *Call) noteUse() {
	rt := c.Route()
	c.g.recent.note(rt.Provider, rt.Model)
}

// Recent returns the models that began an answer in the time up to now, the latest first.
func (g *Gateway) Recent(within time.Duration) []Used {
	g.recent.mu.Lock()
	defer g.recent.mu.Unlock()
	var out []Used
	for _, u := range slices.Backward(g.recent.list) {
		if time.Since(u.At) < within {
			out = append(out, u)
		}
	}
	return out
}

// Check reports whether a request would lead somewhere, without sending anything: the error is that of its plan.
func (g *Gateway) Check(ctx context.Context, req *canon.Request, caller Caller) error {
	c := g.Call(req, caller)
	_, err := c.planned(ctx, c.query())
	return err
}
