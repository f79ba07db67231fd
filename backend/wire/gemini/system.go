package gemini

import (
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

const textBlock = `{"text":`

// EditSystem implements wire.SystemEditor.
func (Codec) EditSystem(req *canon.Request, e *wire.SystemEdit) (canon.Object, bool) {
	o := req.Body
	name := memberName(o, "systemInstruction")
	v := o.Get(name)
	if e.Drop || !present(v) {
		text := e.Text()
		if text == "" {
			return o.Edited(canon.Edit{Name: name}), true
		}
		v = append(append([]byte(`{"parts":[`+textBlock), wire.AppendString(nil, text)...), `}]}`...)
		return o.Edited(canon.Edit{Name: name, Value: v}), true
	}
	if v.Kind() != '{' {
		out, ok := e.Content(v, textBlock, true, true)
		return o.Edited(canon.Edit{Name: name, Value: out}), ok
	}
	content, err := canon.ParseObject(v)
	if parts := content.Get("parts"); err != nil || content.Has("text") || parts.Kind() != '[' {
		return canon.Object{}, false
	}
	parts, ok := e.Content(content.Get("parts"), textBlock, true, true)
	if !ok {
		return canon.Object{}, false
	}
	var out jsontext.Value
	if parts != nil {
		out = content.AppendEdited(nil, canon.Edit{Name: "parts", Value: parts})
	}
	return o.Edited(canon.Edit{Name: name, Value: out}), true
}

var _ wire.SystemEditor = Codec{}
