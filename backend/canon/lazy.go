package canon

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

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

// smallBody is a body that may be kept for the sake of what stays.
const smallBody = 16 << 10

// Release lets go of the conversation (Body, System and Messages) once the first content of a stream was rendered and
// nothing will be sent again: a stream may last for many minutes after a prompt of megabytes. What stays no longer lies in
// the body's bytes. So a Renderer must take what it needs of these when it is made, or at the start of the answer.
func (r *Request) Release() {
	large := len(r.Body.Raw) > smallBody
	r.Body, r.System, r.Messages, r.expand = Object{}, nil, nil, nil
	if !large {
		return
	}
	own := func(values ...*jsontext.Value) {
		for _, v := range values {
			*v = slices.Clone(*v)
		}
	}
	ownAll := func(m map[string]jsontext.Value) map[string]jsontext.Value {
		m = maps.Clone(m)
		for name, v := range m {
			m[name] = slices.Clone(v)
		}
		return m
	}
	own(&r.Metadata, &r.Audio, &r.Output.Schema, &r.Sampling.LogitBias)
	r.Ext = ownAll(r.Ext)
	r.Tools = slices.Clone(r.Tools)
	for i := range r.Tools {
		t := &r.Tools[i]
		own(&t.Schema, &t.Grammar, &t.Raw)
		t.Ext = ownAll(t.Ext)
	}
}
