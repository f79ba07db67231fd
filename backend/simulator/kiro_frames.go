package simulator

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"strings"
)

// binaryEvents is the content type of AWS's event stream.
const binaryEvents = "application/vnd.amazon.eventstream"

// awsHeader is one header of a frame; all of Kiro's are strings (type 7).
type awsHeader struct{ name, value string }

// awsFrame writes a frame: two lengths and their checksum, headers, payload,
// and a checksum of everything before it (CRC-32, IEEE).
func awsFrame(payload []byte, headers ...awsHeader) []byte {
	var head []byte
	for _, h := range headers {
		head = append(head, byte(len(h.name)))
		head = append(head, h.name...)
		head = append(head, 7, byte(len(h.value)>>8), byte(len(h.value)))
		head = append(head, h.value...)
	}
	total := 12 + len(head) + len(payload) + 4
	out := make([]byte, 12, total)
	binary.BigEndian.PutUint32(out[0:], uint32(total))
	binary.BigEndian.PutUint32(out[4:], uint32(len(head)))
	binary.BigEndian.PutUint32(out[8:], crc32.ChecksumIEEE(out[:8]))
	out = append(append(out, head...), payload...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out))
}

// kiroEvent is one event as the service sends it.
func kiroEvent(kind string, v any) frame {
	data := awsFrame(encode(v), awsHeader{":event-type", kind}, awsHeader{":content-type", "application/json"}, awsHeader{":message-type", "event"})
	return frame{event: kind, data: data}
}

// kiroException is an exception inside an answer.
func kiroException(name, message string, reason any) frame {
	data := awsFrame(encode(obj("message", message, "reason", reason)),
		awsHeader{":exception-type", name}, awsHeader{":content-type", "application/json"}, awsHeader{":message-type", "exception"})
	return frame{event: name, data: data, last: true}
}

// content marks a frame as a piece of the answer.
func (f frame) asContent() frame {
	f.content = true
	return f
}

// frames writes a reply as events: text, reasoning and calls in the model's
// order, then how full the window is, the credits, and the reason to stop.
func (d *kiro) frames(t *turn, r *reply) []frame {
	out := []frame{kiroEvent("messageMetadataEvent", obj("conversationId", t.conversation, "utteranceId", "utt-"+r.id))}
	for i := range r.parts {
		out = append(out, d.part(t, r, &r.parts[i])...)
	}
	if r.noUsage {
		return d.oddity(r, append(out, kiroEvent("metadataEvent", obj("stopReason", d.ending(r)))))
	}
	m, _ := d.find(t.model)
	percent := float64(r.usage.in+r.usage.out) / float64(m.window) * 100
	out = append(out, kiroEvent("contextUsageEvent", obj("contextUsagePercentage", percent)),
		kiroEvent("meteringEvent", obj("usage", 0.0431, "unit", "credit", "unitPlural", "credits")))
	meta := obj("stopReason", d.ending(r))
	if r.usage.told {
		meta = meta.with("tokenUsage", obj("uncachedInputTokens", r.usage.in-r.usage.cached-r.usage.written, "outputTokens", r.usage.out,
			"totalTokens", r.usage.in+r.usage.out, "cacheReadInputTokens", r.usage.cached, "cacheWriteInputTokens", r.usage.written))
	}
	return d.oddity(r, append(out, kiroEvent("metadataEvent", meta)))
}

// part writes one part. Thoughts come in tags where the request asked for them
// so, else as events of their own with a signature at the end.
func (d *kiro) part(t *turn, r *reply, p *part) []frame {
	var out []frame
	say := func(s string) {
		out = append(out, kiroEvent("assistantResponseEvent", obj("content", s, "modelId", r.model)).asContent())
	}
	switch p.kind {
	case textPart, refusalPart:
		for _, s := range p.cut() {
			say(s)
		}
	case reasoningPart:
		if t.tagged {
			for _, s := range cutArgs("<thinking>\n" + p.text + "\n</thinking>\n\n") {
				say(s)
			}
			return out
		}
		for _, s := range p.cut() {
			out = append(out, kiroEvent("reasoningContentEvent", obj("text", s)).asContent())
		}
		out = append(out, kiroEvent("reasoningContentEvent", obj("signature", mint(p.text, r.model, d.s.next()))).asContent())
	case redactedPart:
		out = append(out, kiroEvent("reasoningContentEvent", obj("redactedContent", mint("", r.model, d.s.next()))).asContent())
	case callPart:
		out = append(out, kiroEvent("toolUseEvent", obj("name", p.name, "toolUseId", p.id)).asContent())
		for _, s := range cutArgs(p.args) {
			out = append(out, kiroEvent("toolUseEvent", obj("input", s, "name", p.name, "toolUseId", p.id)).asContent())
		}
		if p.args == "" || json.Valid([]byte(p.args)) {
			out = append(out, kiroEvent("toolUseEvent", obj("name", p.name, "stop", true, "toolUseId", p.id)).asContent())
		}
	}
	return out
}

// oddity spoils the frames of the scenario "frames".
func (d *kiro) oddity(r *reply, out []frame) []frame {
	at := min(2, len(out)-1)
	switch r.oddity {
	case "":
		return out
	case "unknown":
		return append(out[:at:at], append([]frame{kiroEvent("brandNewEvent", obj("x", 1))}, out[at:]...)...)
	case "half":
		f := out[at]
		f.data = f.data[:len(f.data)/2]
		return append(out[:at:at], f)
	case "prelude", "crc", "giant":
		f := out[at]
		f.data = append([]byte(nil), f.data...)
		switch r.oddity {
		case "prelude":
			f.data[8] ^= 0xff
		case "crc":
			f.data[len(f.data)-1] ^= 0xff
		default:
			f.data = awsFrame(nil)
			binary.BigEndian.PutUint32(f.data, 0xffffffff)
			binary.BigEndian.PutUint32(f.data[8:], crc32.ChecksumIEEE(f.data[:8]))
		}
		return append(out[:at:at], f)
	case "error":
		data := awsFrame(nil, awsHeader{":message-type", "error"}, awsHeader{":error-code", "InternalError"}, awsHeader{":error-message", "stream aborted"})
		return append(out[:at:at], frame{data: data, last: true})
	}
	return out
}

// ending is the word that the answer ends with.
func (d *kiro) ending(r *reply) string {
	switch r.finish {
	case finLength:
		return "MAX_TOKENS"
	case finTools:
		return "TOOL_USE"
	case finFilter, finBlocked:
		return "CONTENT_FILTERED"
	case finMalformed:
		return "MALFORMED_TOOL_USE"
	case finNamed:
		return strings.ToUpper(r.native)
	}
	return "END_TURN"
}

// body: the service has no answer in one piece.
func (d *kiro) body(*turn, *reply) any { return obj("message", "this service answers in events only") }

func (d *kiro) errorFrames(f *failure, _ *turn, _ *reply, _ int) []frame {
	e := kiroErrors[f.kind]
	name := e.name
	if f.code != "" {
		name = f.code
	}
	text := f.message
	if text == "" {
		text = e.text
	}
	return []frame{kiroException(strings.ToLower(name[:1])+name[1:], text, e.reasonOf(f))}
}
