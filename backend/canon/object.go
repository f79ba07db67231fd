package canon

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Object is a JSON object as it came, with where its members stand. It makes it possible to change a few members of a
// long body in one pass, so that the bytes of the rest stay what they were: prompt caches and signatures depend on it.
type Object struct {
	Raw     jsontext.Value
	Members []Member
}

// Member is one member of an Object: Raw[NameStart:ValueEnd] is `"name":value`.
type Member struct {
	Name                            string
	NameStart, ValueStart, ValueEnd int
}

// ErrNotObject reports JSON that is not an object.
var ErrNotObject = errors.New("the body must be a JSON object")

// ParseObject checks that raw is one valid JSON object and finds its members. Invalid UTF-8 and repeated names are let
// through, as the vendors do; the last of a repeated name counts. raw is kept, not copied.
func ParseObject(raw []byte) (Object, error) {
	o := Object{Raw: raw}
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		if _, err := d.ReadValue(); err != nil {
			return o, fmt.Errorf("invalid JSON: %w", err)
		}
		return o, ErrNotObject
	}
	if _, err := d.ReadToken(); err != nil {
		return o, fmt.Errorf("invalid JSON: %w", err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return o, fmt.Errorf("invalid JSON: %w", err)
		}
		m := Member{NameStart: int(d.InputOffset()) - len(name), Name: memberName(name)}
		v, err := d.ReadValue()
		if err != nil {
			return o, fmt.Errorf("invalid JSON: %w", err)
		}
		m.ValueEnd = int(d.InputOffset())
		m.ValueStart = m.ValueEnd - len(v)
		o.Members = append(o.Members, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return o, fmt.Errorf("invalid JSON: %w", err)
	}
	rest := bytes.TrimLeft(raw[d.InputOffset():], " \t\r\n")
	if len(rest) > 0 {
		return o, errors.New("invalid JSON: text after the end of the object")
	}
	return o, nil
}

func memberName(quoted jsontext.Value) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	b, _ := jsontext.AppendUnquote(nil, quoted) // valid: the decoder has just read it
	return string(b)
}

// Has reports whether o has the member, null included.
func (o Object) Has(name string) bool { return o.find(name) >= 0 }

// Get returns the member's value, nil if there is none. The value points into Raw.
func (o Object) Get(name string) jsontext.Value {
	i := o.find(name)
	if i < 0 {
		return nil
	}
	return o.Raw[o.Members[i].ValueStart:o.Members[i].ValueEnd]
}

func (o Object) find(name string) int {
	for i := len(o.Members) - 1; i >= 0; i-- {
		if o.Members[i].Name == name {
			return i
		}
	}
	return -1
}

// Edit is a change of one member. A nil Value removes it; a name that is not there is added at the end.
type Edit struct {
	Name  string
	Value jsontext.Value
}

// AppendEdited appends the object with the edits made and everything else byte for byte as it came.
func (o Object) AppendEdited(dst []byte, edits ...Edit) []byte { return o.edit(dst, edits, nil) }

// Edited returns the object with the edits made, in a body of its own.
func (o Object) Edited(edits ...Edit) Object {
	var out Object
	out.Raw = o.edit(make([]byte, 0, len(o.Raw)+256), edits, func(m Member) { out.Members = append(out.Members, m) })
	return out
}

// edit appends the edited object to dst and tells note, which may be nil, where each member stands in the result.
func (o Object) edit(dst []byte, edits []Edit, note func(Member)) []byte {
	used := make([]bool, len(edits))
	head, tail := bytes.IndexByte(o.Raw, '{')+1, bytes.LastIndexByte(o.Raw, '}')
	if n := len(o.Members); n > 0 {
		head, tail = o.Members[0].NameStart, o.Members[n-1].ValueEnd
	}
	dst = append(dst, o.Raw[:head]...)
	empty := true
	for i, m := range o.Members {
		value := o.Raw[m.ValueStart:m.ValueEnd]
		if j := slices.IndexFunc(edits, func(e Edit) bool { return e.Name == m.Name }); j >= 0 {
			used[j] = true
			if value = edits[j].Value; value == nil {
				continue
			}
		}
		if !empty { // the comma and white space that stood before this member
			dst = append(dst, o.Raw[o.Members[i-1].ValueEnd:m.NameStart]...)
		}
		empty = false
		at := len(dst)
		dst = append(dst, o.Raw[m.NameStart:m.ValueStart]...)
		dst = append(dst, value...)
		if note != nil {
			note(Member{m.Name, at, at + m.ValueStart - m.NameStart, len(dst)})
		}
	}
	for i, e := range edits {
		if used[i] || e.Value == nil {
			continue
		}
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		at := len(dst)
		dst, _ = jsontext.AppendQuote(dst, e.Name) // our own names: always valid
		dst = append(dst, ':')
		value := len(dst)
		dst = append(dst, e.Value...)
		if note != nil {
			note(Member{e.Name, at, value, len(dst)})
		}
	}
	return append(dst, o.Raw[tail:]...)
}
