package openai

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire/oai"
)

// ReadWhole reads an answer in one piece and yields the events that a stream would have given.
func (x *Exchange) ReadWhole(body []byte) canon.Stream {
	resp, err := x.whole(body)
	if err != nil {
		return func(yield func(canon.Event, error) bool) { yield(canon.Event{}, err) }
	}
	return resp.Events()
}

func (x *Exchange) whole(body []byte) (*canon.Response, *apierror.Error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	switch {
	case len(body) == 0:
		return nil, apierror.New(apierror.Upstream5xx, "the service sent an empty answer")
	case body[0] == '[':
		body = oai.OneElement(body)
	}
	if oai.LooksHTML(body) {
		return nil, oai.HTMLError(200, body)
	}
	o, err := canon.ParseObject(body)
	if err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service sent an answer that is no JSON")
		e.Err = err
		return nil, e
	}
	choices := o.Get("choices")
	if bodyFailed(o) || choices == nil && oai.IsErrorBody(body) {
		return nil, oai.InsideError(body)
	}
	if isNull(choices) || choices[0] != '[' {
		return nil, apierror.New(apierror.Upstream5xx, "the service sent an answer without choices")
	}
	resp := &canon.Response{ID: text(o.Get("id")), Model: text(o.Get("model")), Created: max(number(o.Get("created")), 0), Dropped: x.Dropped}
	if !x.foreign {
		resp.Ext = answerExt(o.Get("system_fingerprint"), o.Get("service_tier"))
	}
	list := walkArray(choices)
	for n := 0; list.Next(); n++ {
		c, err := x.wholeChoice(list.Value)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			resp.Parts, resp.Finish = c.Parts, c.Finish
		} else {
			resp.More = append(resp.More, c)
		}
	}
	if len(resp.Parts) == 0 && x.o.ErrorOnEmptyReply {
		return nil, apierror.New(apierror.Upstream5xx, "the service sent an empty answer")
	}
	if resp.Finish.Reason == "" {
		resp.Finish.Reason = canon.FinishStop
	}
	if u, ok := oai.ParseUsage(o.Get("usage")); ok {
		resp.Usage = &u
	}
	if x.verbatim && regular(o) {
		resp.Whole = body
	}
	return resp, nil
}

// regular reports whether an answer has everything that clients rely on, so that its bytes may go to them as they are.
func regular(o canon.Object) bool {
	for _, name := range []string{"id", "object", "created", "model"} {
		if isNull(o.Get(name)) {
			return false
		}
	}
	list := walkArray(o.Get("choices"))
	for list.Next() {
		m := member(list.Value, "message")
		if member(m, "content") == nil || text(member(list.Value, "finish_reason")) == "" || member(list.Value, "index") == nil {
			return false
		}
		calls, old := member(m, "tool_calls"), member(m, "function_call")
		if calls != nil && !regularCalls(calls) || !isNull(old) && !says(member(old, "arguments")) ||
			!properWord(text(member(list.Value, "finish_reason")), calls != nil || !isNull(old)) {
			return false
		}
	}
	return true
}

// regularCalls reports whether there are calls and each has an id of its own and a string of arguments.
func regularCalls(calls []byte) bool {
	var ids []string
	c := walkArray(calls)
	for c.Next() {
		fn, id := member(c.Value, "function"), text(member(c.Value, "id"))
		if id == "" || slices.Contains(ids, id) || fn != nil && (!says(member(fn, "arguments")) || !says(member(fn, "name"))) {
			return false
		}
		ids = append(ids, id)
	}
	return len(ids) > 0
}

// bodyFailed reports an error inside an answer of status 200.
func bodyFailed(o canon.Object) bool {
	e := o.Get("error")
	switch {
	case !isNull(e) && string(e) != "false" && string(e) != `""`:
		return true
	case string(o.Get("type")) == `"error"`:
		return true
	default:
		return number(member(o.Get("base_resp"), "status_code")) > 0
	}
}

func (x *Exchange) wholeChoice(v []byte) (canon.Choice, *apierror.Error) {
	var out canon.Choice
	raw := text(member(v, "finish_reason"))
	if err := failedFinish(raw); err != nil {
		return out, err
	}
	logprobs := tokenEntries(member(v, "logprobs"))
	m := member(v, "message")
	if isNull(m) {
		m = member(v, "delta")
	}
	if said := text(member(v, "text")); isNull(m) && said != "" {
		out.Parts = append(out.Parts, canon.Part{Type: canon.PartText, Text: said, Logprobs: logprobs})
	}
	calls := false
	if !isNull(m) {
		out.Parts = append(out.Parts, x.wholeParts(m, logprobs)...)
	}
	kept := out.Parts[:0]
	for _, p := range out.Parts {
		if p.Type == canon.PartToolCall {
			calls = true
			if p.BadArgs && finishOf(raw, true) == canon.FinishLength {
				continue // cut at the token limit: nobody can run it
			}
		}
		kept = append(kept, p)
	}
	out.Parts = kept
	out.Finish = canon.Finish{Reason: finishOf(raw, calls), Raw: raw}
	return out, nil
}

// wholeParts runs the message through the stream's own reader, so that both forms are read alike, and takes the parts.
func (x *Exchange) wholeParts(message []byte, logprobs jsontext.Value) []canon.Part {
	var fold canon.Fold
	s := reader{x: x, yield: func(ev canon.Event, _ error) bool { fold.Add(ev); return true }}
	c := s.choice(0)
	c.delta(message, logprobs)
	c.close()
	s.release(false)
	parts := fold.Response().Parts
	if a := member(message, "annotations"); len(a) > 2 && a[0] == '[' && valid(a) {
		for i := range parts {
			if parts[i].Type == canon.PartText {
				parts[i].Ext = map[string]jsontext.Value{"annotations": a}
				break
			}
		}
	}
	if a := member(message, "audio"); len(a) > 2 && a[0] == '{' && valid(a) {
		parts = append(parts, canon.Part{Type: canon.PartAudio, Text: text(member(a, "transcript")), Ext: map[string]jsontext.Value{"audio": a}})
	}
	return parts
}
