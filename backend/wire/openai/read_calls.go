package openai

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire/oai"
)

// openCall is a tool call that is being written.
type openCall struct {
	index   int // of the part
	slot    int // index that the service gives it, -1 for none
	id      string
	name    string
	custom  bool // the client's tool is a custom one
	native  bool // and the service wrote it as one
	args    strings.Builder
	input   oai.InputStream
	sent    int // bytes of the input that went out, for a custom tool
	started bool
	ended   bool
	ext     jsontext.Value // extra_content
}

// complete reports whether the arguments are a whole JSON object.
func (o *openCall) complete() bool {
	s := strings.TrimSpace(o.args.String())
	return s != "" && s[0] == '{' && s[len(s)-1] == '}' && valid([]byte(s))
}

// fragment reads one entry of tool_calls. Services differ in what they leave out: the index, the id, or both; and in
// what they repeat.
func (c *choice) fragment(v []byte) {
	var fn, custom, id, extra []byte
	slot := int64(-1)
	d := walkObject(v)
	for d.Next() {
		switch string(d.Name) {
		case "index":
			slot = number(d.Value)
		case "id":
			id = d.Value
		case "function":
			fn = d.Value
		case "custom":
			custom = d.Value
		case "extra_content":
			extra = d.Value
		}
	}
	f := callPiece{slot: int(slot), id: text(id)}
	switch {
	case len(custom) > 0 && custom[0] == '{':
		f.name, f.args, f.native = text(member(custom, "name")), text(member(custom, "input")), true
	case len(fn) > 0 && fn[0] == '{':
		f.name = text(member(fn, "name"))
		f.args = argsText(member(fn, "arguments"))
	}
	o := c.callOf(f)
	if o == nil {
		return
	}
	if len(extra) > 0 && extra[0] == '{' && valid(extra) {
		o.ext = append(jsontext.Value(nil), extra...)
	}
	c.addCall(o, f)
}

// functionCall reads the old form, of which there is one at most.
func (c *choice) functionCall(v []byte) {
	f := callPiece{name: text(member(v, "name")), args: argsText(member(v, "arguments"))}
	o := c.callOf(f)
	if o != nil {
		c.addCall(o, f)
	}
}

// callPiece is what one fragment says.
type callPiece struct {
	slot   int
	id     string
	name   string
	args   string
	native bool
}

// callOf finds the call that a fragment belongs to, or opens a new one: by id, then by index, then the last one that is
// not complete. nil means that the fragment says nothing.
func (c *choice) callOf(f callPiece) *openCall {
	if f.id != "" {
		for _, o := range c.calls {
			if o.id == f.id && (f.slot < 0 || o.slot < 0 || o.slot == f.slot) {
				return o
			}
		}
	}
	last := c.last(func(o *openCall) bool { return f.slot < 0 || o.slot == f.slot })
	fresh := f.id != "" || f.name != ""
	switch {
	case last == nil && !fresh && f.args == "":
		return nil
	case last == nil && !fresh && f.slot < 0:
		return nil
	case last == nil:
	case f.slot < 0 && f.name != "" && (f.id != "" || last.name != "" && (f.name != last.name || last.args.Len() > 0)):
		// without an index each fragment with a name is a call
	case f.id != "" && f.id != last.id && last.id != "" && (last.complete() || f.name != "" && blank(&last.args)):
		// the index is used again for another call (Qwen)
	case f.id == "" && f.name != "" && last.complete() && f.args != last.args.String() && last.name != "":
	case !last.ended:
		return last
	default:
		return c.last(func(o *openCall) bool { return !o.ended && !o.complete() })
	}
	o := &openCall{slot: f.slot, index: -1}
	c.calls = append(c.calls, o)
	return o
}

func blank(b *strings.Builder) bool { return strings.TrimSpace(b.String()) == "" }

func (c *choice) last(match func(*openCall) bool) *openCall {
	for i := len(c.calls) - 1; i >= 0; i-- {
		if match(c.calls[i]) {
			return c.calls[i]
		}
	}
	return nil
}

// addCall adds a fragment to a call. The part starts once the name is known.
func (c *choice) addCall(o *openCall, f callPiece) {
	if o.ended || f.args != "" && o.args.Len() > 0 && f.args == o.args.String() && o.complete() {
		return // a service that repeats the whole arguments at the end
	}
	if o.id == "" {
		o.id = f.id
	}
	if !o.started && o.name == "" {
		o.name = f.name
		o.native = f.native
	}
	first := !o.started && o.name != ""
	if first {
		c.startCall(o)
	}
	o.args.WriteString(f.args)
	if !o.started {
		return
	}
	piece := f.args
	if first {
		piece = o.args.String()
	}
	c.sendArgs(o, piece)
}

func (c *choice) startCall(o *openCall) {
	c.endOpen()
	for _, before := range c.calls {
		if before != o && before.complete() {
			c.endCall(before)
		}
	}
	if o.id == "" {
		o.id = c.s.x.newID()
	}
	o.custom = o.native || c.s.x.custom[o.name]
	o.started, o.index = true, c.s.index
	c.s.index++
	c.order = append(c.order, o)
	p := c.skeleton(o)
	c.s.emit(canon.Event{Kind: canon.KindPartStart, Choice: c.n, Index: o.index, Part: &p})
}

func (c *choice) skeleton(o *openCall) canon.Part {
	return canon.Part{Type: canon.PartToolCall, CallID: o.id, Name: c.s.x.names.Back(o.name), Custom: o.custom}
}

func (c *choice) sendArgs(o *openCall, piece string) {
	kind := canon.DeltaArgs
	if o.custom {
		kind = canon.DeltaText
		if !o.native {
			piece = o.input.Feed(piece)
		}
		o.sent += len(piece)
	}
	if piece != "" {
		c.s.emit(canon.Event{Kind: canon.KindDelta, Choice: c.n, Index: o.index, Delta: kind, Text: piece})
	}
}

// endCall ends the part of a call. A call that was never named is told without a name: it is not dropped.
func (c *choice) endCall(o *openCall) {
	if o.ended {
		return
	}
	if !o.started { // none of its frames has gone out
		raw, anew := c.s.raw, c.s.anew
		c.s.raw, c.s.anew = nil, true
		c.startCall(o)
		c.sendArgs(o, o.args.String())
		c.s.raw, c.s.anew = raw, anew
	}
	o.ended = true
	p := c.skeleton(o)
	switch {
	case o.native:
		p.Text = o.args.String()
	case o.custom:
		p.Text = oai.CustomInput(o.args.String())
		if o.sent < len(p.Text) { // what could not be told while it came
			c.s.emit(canon.Event{Kind: canon.KindDelta, Choice: c.n, Index: o.index, Delta: canon.DeltaText, Text: p.Text[o.sent:]})
		}
	default:
		if blank(&o.args) {
			c.emptyArgs(o)
		}
		p.SetArgs(o.args.String())
	}
	if o.ext != nil {
		p.Ext = map[string]jsontext.Value{"extra_content": o.ext}
	}
	c.s.emit(canon.Event{Kind: canon.KindPartEnd, Choice: c.n, Index: o.index, Part: &p})
}
