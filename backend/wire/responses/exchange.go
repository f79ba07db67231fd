package responses

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// Options say what is known of an upstream. The zero value is a service that keeps to OpenAI's public API reference.
type Options struct {
	OwnHost      bool // OpenAI's own service: runs a web search for clients of other formats
	ForceConvert bool // never pass the client's bytes on
	Rerender     bool // its answers are irregular: write them anew for clients of this format as well
	ForceStream  bool // it only streams

	// Store says that a client's wish to have the response stored is sent on. Without a wish store is false, and without
	// Store it always is.
	Store bool
	// Instructions says that the member must always be there, empty if need be; system text of every place goes into it.
	Instructions bool
	// Include lists what is always asked for.
	Include []string
	// Only lists the members that may be sent; empty = all but Drop.
	Only []string
	// Drop lists members it refuses, as learned from its answers; DropSummary and its like are among them.
	Drop []string
	// DropItemIDs takes the ids away from all items but reasoning: it refuses those that it did not make.
	DropItemIDs bool
	// ClientMetadata sends client_metadata on, which only Codex's own service knows.
	ClientMetadata bool
	// NoSystemRole writes developer for the role system.
	NoSystemRole bool
	// Efforts are the levels it takes; empty = what is known of the model.
	Efforts []string
	// Family is the maker of its encrypted reasoning; "" = OpenAI.
	Family string
	// StripReasoning removes all reasoning of the history, for the repetition after it was refused.
	StripReasoning bool
}

// Exchange is one call to an upstream of this format: the body to send, and how to read what comes back.
type Exchange struct {
	Body    []byte
	Dropped []canon.Warning // what could not be carried over; the reader puts it on the Start event
	Stream  bool            // whether the upstream was asked to stream

	req      *canon.Request
	o        Options
	verbatim bool // the client's own bytes went out, and the answer's bytes may go back
	same     bool // the client speaks this format
	names    *wire.Names
	stops    []string // to be watched for in the text: this format has no stop strings
}

// NewExchange writes req for an upstream. An error is an *apierror.Error that names what cannot be carried over.
func NewExchange(req *canon.Request, o Options) (*Exchange, error) {
	x := &Exchange{Stream: req.Stream || o.ForceStream, req: req, o: o, same: req.Format == Name}
	if x.same && len(req.Body.Raw) > 0 && !o.ForceConvert {
		x.verbatim = !o.Rerender
		x.Body = x.edited()
		return x, nil
	}
	if err := req.Expand(); err != nil {
		return nil, err
	}
	if req.State.Item != "" { // only the body has it
		return nil, unsupported("input", "the item %q is only named, and this service does not have it; send the item itself", req.State.Item)
	}
	x.stops = req.Stop
	x.names = wire.NewNames(&canon.Request{}, nil)
	w := writer{x: x, o: o, req: req, same: x.same, facts: oai.FactsOf(req), results: map[string]*canon.Part{}}
	if err := w.request(); err != nil {
		return nil, err
	}
	x.Body = w.body
	return x, nil
}

// WithoutReasoning writes the same request once more without any reasoning of earlier turns, for the repetition after the
// upstream refused one (apierror.Error.BadSignature).
func (x *Exchange) WithoutReasoning() (*Exchange, error) {
	o := x.o
	o.StripReasoning = true
	return NewExchange(x.req, o)
}

// Members that the endpoints besides the main one take (OpenAI's public API reference).
var (
	countMembers = []string{
		"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "truncation",
		"previous_response_id", "conversation",
	}
	compactMembers = []string{
		"model", "input", "instructions", "tools", "parallel_tool_calls", "reasoning", "text", "prompt_cache_key", "previous_response_id",
	}
)

// CountBody writes the body of a request that counts tokens.
func CountBody(req *canon.Request, o Options) ([]byte, error) {
	return restricted(req, o, countMembers)
}

// CompactBody writes the body of a request that has a conversation shortened.
func CompactBody(req *canon.Request, o Options) ([]byte, error) {
	return restricted(req, o, compactMembers)
}

func restricted(req *canon.Request, o Options, members []string) ([]byte, error) {
	o.Only, o.Instructions = members, false
	x, err := NewExchange(req, o)
	if err != nil {
		return nil, err
	}
	return x.Body, nil
}

func (x *Exchange) family() string {
	if x.o.Family != "" {
		return x.o.Family
	}
	return wire.FamilyOpenAI
}

func (x *Exchange) warn(field, detail string) {
	for _, d := range x.Dropped {
		if d.Field == field {
			return
		}
	}
	x.Dropped = append(x.Dropped, canon.Warning{Field: field, Detail: detail})
}

// sends reports whether the upstream takes a member.
func (o *Options) sends(name string) bool {
	return !slices.Contains(o.Drop, name) && (len(o.Only) == 0 || slices.Contains(o.Only, name))
}

// edited returns the client's body with the few members changed that must be: in one pass, so that every other byte
// stays. Prompt caches and signatures depend on it.
func (x *Exchange) edited() []byte {
	o := x.req.Body
	var list []canon.Edit
	set := func(name string, v jsontext.Value) {
		if x.o.sends(name) || v == nil {
			list = append(list, canon.Edit{Name: name, Value: v})
		}
	}
	if x.req.Model != x.req.ModelAsked {
		set("model", wire.AppendString(nil, x.req.Model))
	}
	if x.Stream != x.req.Stream {
		set("stream", jsontext.Value("true"))
	}
	if !x.o.Store || x.req.State.Store == nil {
		if v := o.Get("store"); string(v) != "false" {
			set("store", jsontext.Value("false"))
		}
	}
	if x.o.Instructions && oai.IsNull(o.Get("instructions")) {
		set("instructions", jsontext.Value(`""`))
	}
	if v, changed := x.include(o.Get("include")); changed {
		set("include", v)
	}
	if o.Has("client_metadata") && !x.o.ClientMetadata {
		set("client_metadata", nil) // Codex's bookkeeping; other services refuse it
	}
	for _, name := range []string{"reasoning", "text"} {
		if v, changed := x.withoutRefused(name, o.Get(name)); changed {
			set(name, v)
		}
	}
	if v, changed := x.editInput(o.Get("input")); changed {
		set("input", v)
	}
	for _, m := range o.Members {
		if !x.o.sends(m.Name) && !slices.ContainsFunc(list, func(e canon.Edit) bool { return e.Name == m.Name }) {
			list = append(list, canon.Edit{Name: m.Name})
			if x.req.Op == string(OpCreate) && o.Raw[m.ValueStart] != 'n' {
				x.warn(m.Name, notTaken)
			}
		}
	}
	if len(list) == 0 {
		return o.Raw
	}
	return o.AppendEdited(make([]byte, 0, len(o.Raw)+256), list...)
}

// include adds to what the client wants included what the upstream is always asked for.
func (x *Exchange) include(v jsontext.Value) (jsontext.Value, bool) {
	want := slices.Clone(x.req.Include)
	for _, s := range x.o.Include {
		if !slices.Contains(want, s) {
			want = append(want, s)
		}
	}
	if len(want) == len(x.req.Include) {
		return v, false
	}
	out, _ := wire.Marshal(want) // strings: cannot fail
	return out, true
}

// Names under which Options.Drop lists members of members.
const (
	DropSummary   = "reasoning.summary" // OpenAI gives it to verified organisations only
	DropEffort    = "reasoning.effort"
	DropVerbosity = "text.verbosity"
)

// withoutRefused takes away what the upstream refuses of a member that is an object.
func (x *Exchange) withoutRefused(name string, v jsontext.Value) (jsontext.Value, bool) {
	var edits []canon.Edit
	for _, d := range x.o.Drop {
		inner, ok := strings.CutPrefix(d, name+".")
		if ok && oai.Member(v, inner) != nil {
			edits = append(edits, canon.Edit{Name: inner})
			x.warn(d, notTaken)
		}
	}
	if len(edits) == 0 {
		return v, false
	}
	o, err := canon.ParseObject(v)
	if err != nil {
		return v, false
	}
	return o.AppendEdited(nil, edits...), true
}

// editInput changes the items that the upstream would refuse: reasoning of another maker, ids that are too long or that it
// did not make, the role system where it has none. It reports whether there were any.
func (x *Exchange) editInput(v jsontext.Value) (jsontext.Value, bool) {
	if len(v) == 0 || v[0] != '[' {
		return v, false
	}
	var out []byte // of the items so far, once one of them is changed
	changed, first := false, true
	done := 0
	c := oai.WalkArray(v)
	for c.Next() {
		item, keep := x.editItem(c.Value)
		if keep && len(item) == len(c.Value) && &item[0] == &c.Value[0] {
			if changed {
				if !first {
					out = append(out, ',')
				}
				out = append(out, item...)
			}
			first, done = false, c.At+len(c.Value)
			continue
		}
		if !changed {
			changed = true
			out = append(make([]byte, 0, len(v)+64), v[:max(done, 1)]...)
		}
		if keep {
			if !first {
				out = append(out, ',')
			}
			out = append(out, item...)
			first = false
		}
	}
	if !changed {
		return v, false
	}
	return append(out, ']'), true
}

// editItem returns an item as the upstream takes it, the same bytes if nothing is wrong with it.
func (x *Exchange) editItem(v jsontext.Value) (item jsontext.Value, keep bool) {
	var kind, id, callID, role, encrypted []byte
	c := oai.WalkObject(v)
	for c.Next() {
		switch string(c.Name) {
		case "type":
			kind = c.Value
		case "id":
			id = c.Value
		case "call_id":
			callID = c.Value
		case "role":
			role = c.Value
		case "encrypted_content":
			encrypted = c.Value
		}
	}
	var edits []canon.Edit
	switch {
	case string(kind) == `"reasoning"`:
		plain, keep := x.ownReasoning(encrypted)
		if !keep {
			return nil, false
		}
		if plain != "" {
			edits = append(edits, canon.Edit{Name: "encrypted_content", Value: wire.AppendString(nil, plain)})
		}
	case x.o.DropItemIDs && id != nil && string(kind) != `"item_reference"`:
		edits = append(edits, canon.Edit{Name: "id"})
	}
	if len(callID) > oai.MaxCallID {
		if s := oai.Text(callID); len(s) > oai.MaxCallID {
			edits = append(edits, canon.Edit{Name: "call_id", Value: wire.AppendString(nil, oai.FitCallID(s))})
		}
	}
	if x.o.NoSystemRole && string(role) == `"system"` {
		edits = append(edits, canon.Edit{Name: "role", Value: jsontext.Value(`"developer"`)})
	}
	if len(edits) == 0 {
		return v, true
	}
	o, err := canon.ParseObject(v)
	if err != nil { // the whole body was parsed before
		return v, true
	}
	return o.AppendEdited(nil, edits...), true
}

// ownReasoning reports whether a reasoning item goes back to this upstream; plain is its encrypted content where that was
// wrapped. One without any is only an id, and means nothing to a service that stored nothing.
func (x *Exchange) ownReasoning(encrypted []byte) (plain string, keep bool) {
	switch {
	case x.o.StripReasoning:
		return "", false
	case oai.IsNull(encrypted), string(encrypted) == `""`:
		return "", x.o.Store && x.req.State.Store != nil && *x.req.State.Store
	}
	if !bytes.HasPrefix(encrypted, []byte(`"pb1.`)) {
		family := wire.Classify(string(encrypted[1:min(len(encrypted)-1, 4096)]))
		return "", family == "" || family == x.family()
	}
	o, ok := wire.Unwrap(oai.Text(encrypted))
	if !ok || o.Family != x.family() {
		return "", false
	}
	return o.Data, true
}

// unsupported is the error for something that an upstream cannot take.
func unsupported(param, format string, args ...any) *apierror.Error {
	e := apierror.New(apierror.Unsupported, format, args...)
	e.Param = param
	return e
}

// searches reports whether a tool that a service runs is a search of the web.
func searches(t *canon.Tool) bool { return strings.Contains(strings.ToLower(t.ServerType), "search") }
