package ollama

import (
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// EditSystem implements wire.SystemEditor. Ollama's content is a string, never blocks.
func (Codec) EditSystem(req *canon.Request, e *wire.SystemEdit) (canon.Object, bool) {
	name, edit := "messages", func() (v []byte, ok bool) { return e.Messages(req.Body.Get("messages"), "{") }
	if req.Op == string(OpGenerate) {
		name, edit = "system", func() ([]byte, bool) {
			v := req.Body.Get("system")
			if e.Drop {
				v = nil
			}
			return e.Content(v, "{", true, true)
		}
	}
	v, ok := edit()
	if !ok {
		return canon.Object{}, false
	}
	return req.Body.Edited(canon.Edit{Name: name, Value: v}), true
}

var _ wire.SystemEditor = Codec{}
