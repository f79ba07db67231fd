package openai

import "patchbay/backend/canon"

// A service of this format may leave out what clients rely on, in any frame. Frames that keep to the protocol go to a
// client of it byte for byte; one that does not is given up, and what it says is rendered.

// giveUp has the frame at hand rendered instead of copied, unless it has gone out already: with several choices in one
// frame an event of the first may have taken it along.
func (s *reader) giveUp() {
	switch {
	case !s.copying:
		return
	case s.raw != nil:
		s.raw = nil
	case s.holding && s.held.Raw != nil:
		s.held.Raw, s.held.RawName, s.held.Anew = nil, "", true
	default:
		return
	}
	s.copying, s.anew = false, true
}

// aside yields an event that the frame at hand does not tell.
func (s *reader) aside(ev canon.Event) {
	raw, anew := s.raw, s.anew
	s.raw, s.anew = nil, true
	s.emit(ev)
	s.raw, s.anew = raw, anew
}

// inspect gives the frame up if what it says of calls is not as the protocol has it. A call that ends with this frame
// without arguments is told first that it has none.
func (c *choice) inspect(calls, old []byte) {
	s := c.s
	if !s.copying {
		return
	}
	called := !isNull(calls) || !isNull(old)
	if !isNull(calls) && !c.regularFragments(calls) || !isNull(old) && !stringOrAbsent(member(old, "arguments")) ||
		s.finish != "" && !properWord(s.finish, called || len(c.calls) > 0) {
		s.giveUp()
		return
	}
	if s.finish == "" || called {
		return
	}
	for _, o := range c.calls {
		if o.started && !o.ended && !o.custom && blank(&o.args) {
			c.emptyArgs(o)
		}
	}
}

// emptyArgs tells a call without arguments that it has none: some services send nothing for a tool without parameters,
// and clients fail to read an empty text as JSON.
func (c *choice) emptyArgs(o *openCall) {
	o.args.WriteString("{}")
	c.s.aside(canon.Event{Kind: canon.KindDelta, Choice: c.n, Index: o.index, Delta: canon.DeltaArgs, Text: "{}"})
}

// regularFragments reports whether every entry of tool_calls is as OpenAI writes it: the index counts the calls of the
// choice, the first entry of a call names it and gives its id, the later ones only bring arguments, which are text.
func (c *choice) regularFragments(calls []byte) bool {
	fresh := 0
	list := walkArray(calls)
	for list.Next() {
		var id, fn []byte
		slot, field := int64(-1), "arguments"
		d := walkObject(list.Value)
		for d.Next() {
			switch string(d.Name) {
			case "index":
				slot = number(d.Value)
			case "id":
				id = d.Value
			case "function":
				fn = d.Value
			case "custom":
				fn, field = d.Value, "input"
			}
		}
		name, args := member(fn, "name"), member(fn, field)
		next := len(c.order) + fresh
		switch {
		case !stringOrAbsent(args) || slot < 0 || slot > int64(next):
			return false
		case slot < int64(len(c.order)):
			o := c.order[slot]
			if o != c.last(func(o *openCall) bool { return o.slot == int(slot) }) || !o.goesOn(id, name, args) {
				return false
			}
		case slot < int64(next), len(c.order) < len(c.calls), !says(id), !says(name), c.s.finish != "" && !says(args), c.known(id):
			return false
		default:
			fresh++
		}
	}
	return !list.Bad
}

// goesOn reports whether an entry is one more piece of a call's arguments. A service that repeats all of them at the end
// would double them for its client.
func (o *openCall) goesOn(id, name, args []byte) bool {
	switch {
	case says(id) || says(name):
		return false
	case o.ended:
		return !says(args)
	default:
		return o.args.Len() == 0 || len(args)-2 < o.args.Len() || text(args) != o.args.String() || !o.complete()
	}
}

// known reports whether a call of the choice has this id already.
func (c *choice) known(id []byte) bool {
	for _, o := range c.calls {
		if o.id == text(id) {
			return true
		}
	}
	return false
}

// says reports whether v is a string that holds something.
func says(v []byte) bool { return len(v) > 2 && v[0] == '"' }

// stringOrAbsent reports whether a member is a string or not there.
func stringOrAbsent(v []byte) bool { return v == nil || v[0] == '"' }

// properWord reports whether a finish_reason is the protocol's own word for the way that the answer ends.
func properWord(raw string, calls bool) bool {
	return raw == reasons[finishOf(raw, calls)] || raw == "function_call"
}
