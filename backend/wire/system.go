package wire

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
)

// SystemEdit is what becomes of a request's leading system text.
type SystemEdit struct {
	Drop          bool                // the client's own text goes
	Before, After string              // what is put around it; "" = nothing
	Replace       func(string) string // changes each of the client's own texts; nil = nothing
}

// SystemEditor is a Codec that can change the system text of a body as it came, so that every other byte stays.
type SystemEditor interface {
	// EditSystem returns the body with the edit made. It reports false where the body is of a shape that it does not
	// change: the request must be written anew then.
	EditSystem(req *canon.Request, e *SystemEdit) (canon.Object, bool)
}

// Text is the text that stands alone: where the client's own goes, or where there is none.
func (e *SystemEdit) Text() string { return paragraphs(e.Before, e.After) }

func paragraphs(texts ...string) string {
	var kept []string
	for _, t := range texts {
		if t != "" {
			kept = append(kept, t)
		}
	}
	return strings.Join(kept, "\n\n")
}

func (e *SystemEdit) replaced(text string) string {
	if e.Replace == nil {
		return text
	}
	return e.Replace(text)
}

// Parts makes the edit on a canonical system text. The parts that come in are not changed.
func (e *SystemEdit) Parts(in []canon.Part) []canon.Part {
	out := make([]canon.Part, 0, len(in)+2)
	add := func(text string) {
		if text != "" {
			out = append(out, canon.Part{Type: canon.PartText, Text: text})
		}
	}
	if e.Drop {
		add(e.Text())
		for _, p := range in {
			if p.Cache != nil && len(out) > 0 { // what is cached up to here stays cached up to here
				out[0].Cache = p.Cache
			}
		}
		return out
	}
	add(e.Before)
	for _, p := range in {
		if p.Type == canon.PartText {
			if p.Text = e.replaced(p.Text); p.Text == "" {
				continue
			}
		}
		out = append(out, p)
	}
	add(e.After)
	return out
}

// Content makes the edit on system text as it stands in a body: a string, or an array of blocks with a text. first and last
// say whether Before and After belong to it. block begins a new block, up to its text: `{"type":"text","text":`. An empty
// result is nil. It reports false for what is neither.
func (e *SystemEdit) Content(v jsontext.Value, block string, first, last bool) (out jsontext.Value, ok bool) {
	before, after := "", ""
	if first {
		before = e.Before
	}
	if last {
		after = e.After
	}
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return quoted(paragraphs(before, after)), true
	case v.Kind() == '"':
		own, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, false
		}
		text := e.replaced(string(own))
		if before == "" && after == "" && text == string(own) {
			return v, true
		}
		return quoted(paragraphs(before, text, after)), true
	case v.Kind() != '[':
		return nil, false
	}
	var blocks [][]byte
	add := func(text string) {
		if text != "" {
			blocks = append(blocks, append(AppendString([]byte(block), text), '}'))
		}
	}
	add(before)
	d := jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	for d.PeekKind() != ']' {
		raw, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		kept, ok := e.block(bytes.Clone(raw))
		if !ok {
			return nil, false
		}
		if kept != nil {
			blocks = append(blocks, kept)
		}
	}
	add(after)
	if len(blocks) == 0 {
		return nil, true
	}
	return append(append([]byte{'['}, bytes.Join(blocks, []byte{','})...), ']'), true
}

// block returns a block with its text replaced, nil if nothing is left of it.
func (e *SystemEdit) block(raw jsontext.Value) (kept jsontext.Value, ok bool) {
	o, err := canon.ParseObject(raw)
	if err != nil {
		return nil, false
	}
	v := o.Get("text")
	if v.Kind() != '"' {
		return raw, true // no text: it is not ours to change
	}
	own, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return nil, false
	}
	switch text := e.replaced(string(own)); text {
	case string(own):
		return raw, true
	case "":
		return nil, true
	default:
		return o.AppendEdited(nil, canon.Edit{Name: "text", Value: quoted(text)}), true
	}
}

// quoted is a text in JSON, nil for none.
func quoted(text string) jsontext.Value {
	if text == "" {
		return nil
	}
	return AppendString(nil, text)
}

// Leading splits an array of messages into the system messages that it begins with and the rest, which ends with the
// array's bracket. It reports false where nothing but system messages is in it, or what is no message.
func Leading(messages jsontext.Value) (heads []canon.Object, rest jsontext.Value, ok bool) {
	d := jsontext.NewDecoder(bytes.NewBuffer(messages), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if len(messages) == 0 || d.PeekKind() != '[' {
		return nil, nil, false
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, nil, false
	}
	for d.PeekKind() == '{' {
		v, err := d.ReadValue()
		if err != nil {
			return nil, nil, false
		}
		end := int(d.InputOffset())
		raw := messages[end-len(v) : end]
		o, err := canon.ParseObject(raw)
		if err != nil {
			return nil, nil, false
		}
		switch string(o.Get("role")) {
		case `"system"`, `"developer"`:
			heads = append(heads, o)
		default:
			return heads, messages[end-len(v):], true
		}
	}
	return nil, nil, false
}

// Messages makes the edit on an array of messages that begins with system messages, or has none. What it adds goes into those
// that are there: many servers take one at most.
func (e *SystemEdit) Messages(messages jsontext.Value, block string) (jsontext.Value, bool) {
	heads, rest, ok := Leading(messages)
	if !ok {
		return nil, false
	}
	out := make([]byte, 0, len(messages)+len(e.Before)+len(e.After)+64)
	out = append(out, '[')
	put := func(v jsontext.Value) { out = append(append(out, v...), ',') }
	if e.Drop || len(heads) == 0 {
		role := jsontext.Value(`"system"`)
		if len(heads) > 0 {
			role = heads[0].Get("role")
		}
		if text := quoted(e.Text()); text != nil {
			put(jsontext.Value(`{"role":` + string(role) + `,"content":` + string(text) + `}`))
		}
		return append(out, rest...), true
	}
	for i, h := range heads {
		content, ok := e.Content(h.Get("content"), block, i == 0, i == len(heads)-1)
		switch {
		case !ok:
			return nil, false
		case content != nil:
			put(h.AppendEdited(nil, canon.Edit{Name: "content", Value: content}))
		}
	}
	return append(out, rest...), true
}
