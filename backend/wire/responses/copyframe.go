package responses

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// copyFrame passes an upstream's own event on, with the model's name put back, and only watches what it means. The end is
// made up where the upstream's own did not come.
func (r *renderer) copyFrame(dst []byte, ev canon.Event) []byte {
	name := ""
	if len(ev.Raw) > 0 {
		if name = ev.RawName; !strings.HasPrefix(name, "response.") {
			name = oai.Text(oai.Member(ev.Raw, "type"))
		}
		if name != "" {
			dst = r.frame(dst, name, ev.Raw)
		}
	}
	if ev.Kind != canon.KindFinish || r.ended {
		return dst
	}
	dst = r.start(dst, canon.Event{})
	out := resultOf(ev.Finish)
	end := "response.completed"
	if out.status == statusIncomplete {
		end = "response.incomplete"
	}
	r.hasUsage = true
	return r.terminal(dst, end, ending{status: out.status, incomplete: out.incomplete})
}

func (r *renderer) frame(dst []byte, name string, raw []byte) []byte {
	if bytes.ContainsAny(raw, "\r\n") {
		raw = wire.Compact(raw)
	}
	if n := sequence(raw); n >= 0 {
		r.seq = n + 1
	}
	dst = append(append(append(dst, "event: "...), name...), "\ndata: "...)
	switch name {
	case "response.output_item.done":
		if item := oai.Member(raw, "item"); len(item) > 0 {
			r.output = joined(r.output, item)
		}
	case "response.created", "response.queued", "response.in_progress":
		r.begun(raw)
		return append(appendResponseBack(dst, raw, r.req.ModelAsked), "\n\n"...)
	case "response.completed", "response.incomplete", "response.failed":
		r.ended = true
		return append(appendResponseBack(dst, raw, r.req.ModelAsked), "\n\n"...)
	}
	return append(append(dst, raw...), "\n\n"...)
}

// begun notes which response it is, for an end that has to be made up.
func (r *renderer) begun(raw []byte) {
	if r.started {
		return
	}
	r.started = true
	resp := oai.Member(raw, "response")
	r.env = newEnvelope(r.req, oai.Text(oai.Member(resp, "id")), oai.Number(oai.Member(resp, "created_at")))
}

var sequenceName = []byte(`"sequence_number":`)

// sequence finds the number of an event without walking over it. Inside a string the quotes around the name are escaped.
func sequence(raw []byte) int64 {
	i := bytes.Index(raw, sequenceName)
	if i < 0 {
		return -1
	}
	rest := bytes.TrimLeft(raw[i+len(sequenceName):], " ")
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	return oai.Number(rest[:n])
}

// memberAt returns where the value of a member stands, -1 if there is none.
func memberAt(raw []byte, name string) (start, end int) {
	c := oai.WalkObject(raw)
	for c.Next() {
		if string(c.Name) == name {
			return c.At, c.At + len(c.Value)
		}
	}
	return -1, -1
}

// appendResponseBack appends an event with the client's name of the model in its response.
func appendResponseBack(dst, raw []byte, asked string) []byte {
	at, end := memberAt(raw, "response")
	if at < 0 {
		return append(dst, raw...)
	}
	dst = appendModelBack(append(dst, raw[:at]...), raw[at:end], asked)
	return append(dst, raw[end:]...)
}

// appendModelBack appends a response object with the name of the model that the client asked for.
func appendModelBack(dst []byte, raw jsontext.Value, asked string) []byte {
	at, end := memberAt(raw, "model")
	if at < 0 {
		return append(dst, raw...)
	}
	dst = wire.AppendString(append(dst, raw[:at]...), asked)
	return append(dst, raw[end:]...)
}
