package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

const textBlock = `{"type":"text","text":`

// EditSystem implements wire.SystemEditor. Text that takes the place of marked blocks keeps the mark of the last one, so that
// what is cached up to there stays so.
func (Codec) EditSystem(req *canon.Request, e *wire.SystemEdit) (canon.Object, bool) {
	if heads, _, ok := wire.Leading(req.Body.Get("messages")); !ok || len(heads) > 0 {
		return canon.Object{}, false
	}
	v := req.Body.Get("system")
	if !e.Drop {
		out, ok := e.Content(v, textBlock, true, true)
		return req.Body.Edited(canon.Edit{Name: "system", Value: out}), ok
	}
	var mark []byte
	if v.Kind() == '[' {
		_ = elements(v, func(_ int, b jsontext.Value) error { // the function below never fails
			if o, err := canon.ParseObject(b); err == nil && notNull(o.Get(cacheMember)) != nil {
				mark = o.Get(cacheMember)
			}
			return nil
		})
	}
	out, _ := e.Content(nil, textBlock, true, true) // there is nothing that it could not change
	if mark != nil && out != nil {
		out = jsontext.Value("[" + textBlock + string(out) + `,"` + cacheMember + `":` + string(mark) + "}]")
	}
	return req.Body.Edited(canon.Edit{Name: "system", Value: out}), true
}

var _ wire.SystemEditor = Codec{}
