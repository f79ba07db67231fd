package ollama

import (
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// Options say what is known of an upstream. The zero value is an Ollama as it is installed.
type Options struct {
	ForceConvert bool  // never pass the client's bytes on
	NumCtx       int64 // context asked for unless the client asked for one; 0 = as much as the prompt needs
	MinCtx       int64 // at least this context: the one of the call before was too small
	NoThink      bool  // the model refuses think

	// Media holds what the driver has fetched, by the addresses that FetchURLs named.
	Media map[string]canon.Media
}

// FetchURLs returns the addresses of pictures in a request that must be fetched before it can be written for this format.
// The driver puts what it fetched into Options.Media.
func FetchURLs(req *canon.Request, o Options) ([]canon.MediaURL, error) {
	if req.Format == Name { // its clients send data
		return nil, nil
	}
	if err := req.Expand(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(wire.MediaURLs(req, func(*canon.Media) bool { return req.Facts.Images == canon.No }), func(m canon.MediaURL) bool {
		return m.Type != canon.PartImage // documents are refused, from wherever they come
	}), nil
}

// Exchange is one call to an upstream of this format: the body to send, and how to read what comes back.
type Exchange struct {
	Path    string // where the body goes: /api/chat or /api/generate
	Body    []byte
	Dropped []canon.Warning // what could not be carried over; the reader puts it on the Start event
	Stream  bool            // whether the upstream was asked to stream

	// NumCtx is the context that was asked for, 0 if it was left to the service or to the client.
	NumCtx int64

	verbatim bool            // the client's own bytes went out, and the answer's bytes may go back
	foreign  bool            // the client speaks another format
	custom   map[string]bool // custom tools that went out as functions
	newID    func() string
}

// Paths of the two kinds of answer.
const (
	chatPath     = "/api/chat"
	generatePath = "/api/generate"
)

// NewExchange writes req for an upstream. An error is an *apierror.Error that names what cannot be carried over.
func NewExchange(req *canon.Request, o Options) (*Exchange, error) {
	x := &Exchange{Path: chatPath, Stream: req.Stream, foreign: req.Format != Name, newID: func() string { return req.NewID("call_", 24) }}
	if !x.foreign && len(req.Body.Raw) > 0 && !o.ForceConvert {
		if req.Op == string(OpGenerate) {
			x.Path = generatePath
		}
		x.verbatim = true
		x.edit(req, o)
		return x, nil
	}
	if err := req.Expand(); err != nil {
		return nil, err
	}
	w := writer{x: x, o: o, req: req}
	if err := w.request(); err != nil {
		return nil, err
	}
	return x, nil
}

// edit makes the body of the client's own bytes with the few members changed that must be.
func (x *Exchange) edit(req *canon.Request, o Options) {
	edits := []canon.Edit{{Name: "model", Value: wire.AppendString(nil, req.Model)}}
	if o.NoThink && req.Body.Has("think") {
		edits = append(edits, canon.Edit{Name: "think"})
		if req.Reasoning.Mode == canon.ReasonOn {
			x.warn("think", "the model does not take it")
		}
	}
	ctx := max(o.NumCtx, o.MinCtx)
	if ctx > 0 {
		if v, set := withNumCtx(req.Ext[optionsMember], ctx); set {
			x.NumCtx = ctx
			edits = append(edits, canon.Edit{Name: "options", Value: v})
		}
	}
	x.Body = req.Body.AppendEdited(make([]byte, 0, len(req.Body.Raw)+128), edits...)
}

// withNumCtx adds num_ctx to options that do not have it.
func withNumCtx(options jsontext.Value, n int64) (jsontext.Value, bool) {
	value := jsontext.Value(strconv.AppendInt(nil, n, 10))
	if len(options) == 0 {
		return jsontext.Value(`{"num_ctx":` + string(value) + `}`), true
	}
	o, err := canon.ParseObject(options)
	if err != nil || o.Has("num_ctx") {
		return options, false
	}
	return o.AppendEdited(nil, canon.Edit{Name: "num_ctx", Value: value}), true
}

func (x *Exchange) warn(field, detail string) {
	for _, d := range x.Dropped {
		if d.Field == field {
			return
		}
	}
	x.Dropped = append(x.Dropped, canon.Warning{Field: field, Detail: detail})
}

// unsupported is the error for what a model or this format cannot take.
func unsupported(param, format string, args ...any) *apierror.Error {
	e := apierror.New(apierror.Unsupported, format, args...)
	e.Param = param
	return e
}

// appendExt adds members behind the others of an object, in the order of their names, without the private ones.
func appendExt(b jsontext.Value, ext map[string]jsontext.Value) jsontext.Value {
	for _, name := range slices.Sorted(maps.Keys(ext)) {
		if name[:min(len(name), 1)] != "$" {
			b = append(append(wire.AppendString(append(b, ','), name), ':'), ext[name]...)
		}
	}
	return b
}
