package openai

import (
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

const textBlock = `{"type":"text","text":`

// EditSystem implements wire.SystemEditor.
func (Codec) EditSystem(req *canon.Request, e *wire.SystemEdit) (canon.Object, bool) {
	messages, ok := e.Messages(req.Body.Get("messages"), textBlock)
	if !ok {
		return canon.Object{}, false
	}
	return req.Body.Edited(canon.Edit{Name: "messages", Value: messages}), true
}

var _ wire.SystemEditor = Codec{}
