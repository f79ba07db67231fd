package gateway

import (
	"time"

	"patchbay/backend/record"
)

// row is what is known of a call from its beginning.
func (c *Call) row() record.Row {
	return record.Row{
		ID: c.caller.RequestID, At: c.begun, Key: c.caller.KeyID, Client: c.req.Format, Op: c.req.Op, Stream: c.req.Stream,
		Asked: c.req.ModelAsked, ReplayOf: c.caller.ReplayOf,
	}
}

// begin shows the call as running.
//
//go:noinline
func (c *Call) begin() { c.end = c.g.record.Begin(c.row(), c.now) }

// now completes the row of a call that is under way. It is called from any goroutine.
func (c *Call) now(row *record.Row) {
	r := c.Route()
	row.Provider, row.Account, row.Model, row.Attempts = r.Provider, r.AccountID, r.Model, r.Attempts
	if at := c.begins.Load(); at != 0 {
		row.First = time.Unix(0, at).Sub(c.begun)
	}
	if n := c.outBytes.Load(); n > 0 {
		row.Tokens.Output, row.Estimated = (n+3)/4, true // the service tells its own count at the end
	}
}

// start notes that the first content came at that time, and that nothing is tried again from here on.
func (c *Call) start(at time.Time) {
	c.first = at
	c.begins.Store(c.first.UnixNano())
	c.g.record.Changed(c.caller.RequestID)
}
