package gateway

import (
	"patchbay/backend/canon"
	"patchbay/backend/route"
)

// system makes the person's rules for system text on req, a copy of the client's request for one candidate. Only the leading
// system text changes. A body that goes on as it came is edited in place of being written anew: prompt caches depend on the
// rest of its bytes.
func (c *Call) system(req *canon.Request, cand *route.Candidate) error {
	if c.g.prompts == nil {
		return nil
	}
	e, notes := c.g.prompts.Edit(cand.Provider, c.caller.KeyID, c.caller.KeyName)
	for _, n := range notes {
		c.trace.Note("prompt", n)
	}
	if e == nil {
		return nil
	}
	if cand.Wire == req.Format && len(req.Body.Raw) > 0 && req.Op != "completions" {
		if editor := c.g.editors[req.Format]; editor != nil {
			if body, ok := editor.EditSystem(req, e); ok {
				req.Body = body
				if req.Expanded() { // else it is read from the new body
					req.System = e.Parts(req.System)
				}
				return nil
			}
		}
	}
	if err := req.Expand(); err != nil {
		return err
	}
	req.System = e.Parts(req.System)
	req.Body = canon.Object{} // what the client wrote no longer holds
	return nil
}
