package anthropic

import (
	"bytes"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// copyFrame copies the upstream's frame and only watches what it means. The end is made up where the upstream's own did
// not come.
func (r *renderer) copyFrame(dst []byte, ev canon.Event) []byte {
	if ev.Kind == canon.KindPartStart && ev.Part != nil && ev.Part.Type == canon.PartToolCall {
		r.calls = true
	}
	name := ""
	if len(bytes.TrimSpace(ev.Raw)) > 0 {
		if name = ev.RawName; name == "" {
			name = blockType(ev.Raw)
		}
		if name != "" {
			dst = r.frame(dst, name, ev.Raw)
		}
	}
	if ev.Kind != canon.KindFinish || name == "message_stop" {
		return dst
	}
	dst = r.closeBlock(r.start(dst, ""))
	if !r.delta {
		dst = r.messageDelta(dst, ev)
	}
	r.ended = true
	return append(dst, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"...)
}

func (r *renderer) frame(dst []byte, name string, raw []byte) []byte {
	switch name {
	case "message_start":
		if r.started {
			return dst
		}
		r.started = true
		raw = renamedStart(raw, r.req.ModelAsked)
	case "ping":
	default:
		dst = r.start(dst, "")
	}
	switch name {
	case "content_block_start":
		r.open = true
	case "content_block_stop":
		r.open = false
		r.next++
	case "message_delta":
		r.delta = true
	case "message_stop", "error":
		r.ended = true
	}
	if bytes.ContainsAny(raw, "\r\n") {
		raw = wire.Compact(raw)
	}
	return wire.AppendSSE(dst, name, raw)
}

// renamedStart puts the model's name that the client knows into message_start.
func renamedStart(raw []byte, model string) []byte {
	o, err := canon.ParseObject(raw)
	if err != nil {
		return raw
	}
	m, err := canon.ParseObject(o.Get("message"))
	if err != nil {
		return raw
	}
	if name := m.Get("model"); string(name) == string(wire.AppendString(nil, model)) {
		return raw
	}
	return o.AppendEdited(nil, canon.Edit{Name: "message", Value: renamedObject(m, model)})
}
