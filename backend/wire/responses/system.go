package responses

import (
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

const inputBlock = `{"type":"input_text","text":`

// EditSystem implements wire.SystemEditor. The system text is the member instructions and the messages for the model that the
// input begins with.
func (Codec) EditSystem(req *canon.Request, e *wire.SystemEdit) (canon.Object, bool) {
	o := req.Body
	instructions, input := o.Get("instructions"), o.Get("input")
	var heads []canon.Object
	var rest jsontext.Value
	if input.Kind() == '[' {
		var ok bool
		if heads, rest, ok = wire.Leading(input); !ok {
			return canon.Object{}, false
		}
	}
	if e.Drop {
		instructions = nil
	} else if !oai.IsNull(instructions) && instructions.Kind() != '"' {
		return canon.Object{}, false
	}
	text, ok := e.Content(instructions, inputBlock, true, e.Drop || len(heads) == 0)
	if !ok {
		return canon.Object{}, false
	}
	edits := []canon.Edit{{Name: "instructions", Value: text}}
	if len(heads) == 0 {
		return o.Edited(edits...), true
	}
	out := append(make([]byte, 0, len(input)+len(e.After)+64), '[')
	for i, h := range heads {
		if e.Drop {
			break
		}
		content, ok := e.Content(h.Get("content"), inputBlock, false, i == len(heads)-1)
		switch {
		case !ok:
			return canon.Object{}, false
		case content != nil:
			out = append(h.AppendEdited(out, canon.Edit{Name: "content", Value: content}), ',')
		}
	}
	return o.Edited(append(edits, canon.Edit{Name: "input", Value: append(out, rest...)})...), true
}

var _ wire.SystemEditor = Codec{}
