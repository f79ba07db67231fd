package canon

import "slices"

// Defer sets the step that reads the conversation (System, Messages and what hangs on them) out of Body. A codec calls
// it when reading them is put off: a same-protocol upstream gets the client's bytes and never needs them.
func (r *Request) Defer(expand func(*Request) error) { r.expand = expand }

// Expand makes sure that every field is filled. Whoever reads System, Messages or Tools calls it first. The error is
// that of the codec: an *apierror.Error that names the offending field. A second call does nothing.
func (r *Request) Expand() error {
	if r.expand == nil {
		return nil
	}
	f := r.expand
	if err := f(r); err != nil {
		return err
	}
	r.expand = nil
	return nil
}

// Expanded reports whether Expand has nothing left to do.
func (r *Request) Expanded() bool { return r.expand == nil }

// Clone returns a copy whose fields and slices may be changed without changing r. What the parts point to (schemas,
// media, raw JSON) is shared and must not be written to.
func (r *Request) Clone() *Request {
	c := *r
	c.System = slices.Clone(r.System)
	c.Messages = slices.Clone(r.Messages)
	for i := range c.Messages {
		c.Messages[i].Parts = slices.Clone(c.Messages[i].Parts)
	}
	c.Tools = slices.Clone(r.Tools)
	c.Stop = slices.Clone(r.Stop)
	return &c
}
