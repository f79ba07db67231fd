package simulator

import (
	"encoding/json"
	"slices"
)

// Forms that vendors of the chat protocol write and that OpenAI does not.
const (
	oddNoChoices  = "choices"  // choices is empty
	oddNullDelta  = "null"     // delta is null
	oddNoEnvelope = "envelope" // no id, object, created and model
	oddObjectArgs = "object"   // arguments are an object
	oddNoIndex    = "index"    // fragments of calls without an index
	oddNoID       = "id"       // calls without an id
	oddSameIndex  = "same"     // two calls under one index
)

// oddCall is a call of a whole answer in the form of the scenario.
func oddCall(r *reply, call ordered) ordered {
	switch r.odd {
	case oddNoID:
		return slices.DeleteFunc(call, func(m member) bool { return m.name == "id" })
	case oddObjectArgs:
		objectArgs(call)
	}
	return call
}

// objectArgs turns the text of the arguments into the object that it is.
func objectArgs(call ordered) {
	for _, m := range call {
		f, ok := m.value.(ordered)
		if !ok {
			continue
		}
		for i := range f {
			if text, ok := f[i].value.(string); ok && f[i].name == "arguments" && json.Valid([]byte(text)) {
				f[i].value = json.RawMessage(text)
			}
		}
	}
}

// opening writes what comes before everything else.
func (w *chunks) opening() {
	switch w.r.odd {
	case oddNoChoices:
		w.out = append(w.out, jsonFrame("", append(w.chunk([]ordered{}, nil), obj("prompt_filter_results", []any{})...)))
	case oddNullDelta:
		w.out = append(w.out, jsonFrame("", w.chunk([]ordered{obj("index", 0, "delta", nil, "finish_reason", nil)}, nil)))
	}
}

// oddCalls writes every call in the form of the scenario: in two fragments
// where index or id are what is odd, else in one.
func (w *chunks) oddCalls(choice int, list []part) {
	for i, p := range list {
		at := obj("index", i)
		switch w.r.odd {
		case oddNoIndex:
			at = ordered{}
		case oddSameIndex:
			at = obj("index", 0)
		}
		args := p.arguments()
		if w.r.odd != oddNoIndex && w.r.odd != oddSameIndex {
			w.add(choice, obj("tool_calls", []ordered{append(at, oddCall(w.r, callObject(p, args))...)}), nil, nil, true)
			continue
		}
		half := len(args) / 2
		w.add(choice, obj("tool_calls", []ordered{append(slices.Clone(at), callObject(p, args[:half])...)}), nil, nil, true)
		w.add(choice, obj("tool_calls", []ordered{append(slices.Clone(at), obj("function", obj("arguments", args[half:]))...)}), nil, nil, true)
	}
}
