package providertest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"patchbay/backend/wire/anthropic"
)

// Anthropic is a service that speaks Anthropic Messages. The key may come in either of its headers.
func Anthropic() Format {
	return Format{
		Endpoint: func(r *http.Request) Endpoint {
			switch {
			case r.Method == "POST" && r.URL.Path == "/v1/messages":
				return EndpointAnswer
			case r.Method == "POST" && r.URL.Path == "/v1/messages/count_tokens":
				return EndpointCount
			case r.Method == "GET" && r.URL.Path == "/v1/models":
				return EndpointModels
			}
			return EndpointOther
		},
		Streams: streamMember,
		Key: func(r *http.Request) string {
			return r.Header.Get("X-Api-Key") + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		},
		Answer: func(a Answer, stream bool) Reply {
			if stream {
				return messagesStream(a)
			}
			return jsonReply(200, messagesWhole(a))
		},
		Refusal: messagesRefusal,
		Models: func(ids []string) Reply {
			var data []any
			for _, id := range ids {
				data = append(data, object{"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"})
			}
			return jsonReply(200, object{"data": data, "has_more": false, "first_id": ids[0], "last_id": ids[len(ids)-1]})
		},
		Count: func(tokens int64) Reply { return jsonReply(200, object{"input_tokens": tokens}) },
		Verbatim: &Verbatim{
			Codec: anthropic.Codec{}, Op: anthropic.OpMessages, Path: "/v1/messages", Header: http.Header{"Anthropic-Version": {"2023-06-01"}},
			Body: "{ \"model\" : \"asked\",\n \"max_tokens\":64, \"stream\":true,\t\"temperature\":1.0, \"x_unknown\":{\"b\":1,\"a\":[1e2]},\n \"messages\":[ {\"role\":\"user\",\"content\":\"h\\u00e9 <b>\"} ] }",
		},
	}
}

func messagesStop(a Answer) string {
	if len(a.Calls) > 0 {
		return "tool_use"
	}
	return "end_turn"
}

// messagesUsage is the usage at the head and at the end of an answer.
func messagesUsage(a Answer, output bool) object {
	u := object{"input_tokens": 1, "output_tokens": 1}
	if a.Usage == nil {
		return u
	}
	u["input_tokens"], u["cache_read_input_tokens"] = a.Usage.Input-a.Usage.CacheRead, a.Usage.CacheRead
	if output {
		u["output_tokens"] = a.Usage.Output
	}
	return u
}

// messagesBlocks are the blocks of an answer, each with the deltas that a stream sends for it.
func messagesBlocks(a Answer) (blocks, starts []object, deltas [][]object) {
	add := func(block, start object, d ...object) {
		blocks, starts, deltas = append(blocks, block), append(starts, start), append(deltas, d)
	}
	if a.Reasoning != "" {
		add(object{"type": "thinking", "thinking": a.Reasoning, "signature": "EqQBCkYIARgC"}, object{"type": "thinking", "thinking": "", "signature": ""},
			object{"type": "thinking_delta", "thinking": a.Reasoning}, object{"type": "signature_delta", "signature": "EqQBCkYIARgC"})
	}
	if a.Text != "" {
		var d []object
		for _, s := range halves(a.Text) {
			d = append(d, object{"type": "text_delta", "text": s})
		}
		add(object{"type": "text", "text": a.Text}, object{"type": "text", "text": ""}, d...)
	}
	for _, c := range a.Calls {
		add(object{"type": "tool_use", "id": c.ID, "name": c.Name, "input": rawJSON(c.Args)}, object{"type": "tool_use", "id": c.ID, "name": c.Name, "input": object{}},
			object{"type": "input_json_delta", "partial_json": c.Args})
	}
	return blocks, starts, deltas
}

// rawJSON is JSON that is written as it is.
type rawJSON string

// MarshalJSON returns the text itself.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func messagesWhole(a Answer) any {
	blocks, _, _ := messagesBlocks(a)
	return object{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "model-1", "content": blocks,
		"stop_reason": messagesStop(a), "stop_sequence": nil, "usage": messagesUsage(a, true),
	}
}

func messagesStream(a Answer) Reply {
	event := func(name string, v object) []byte {
		v["type"] = name
		return []byte(fmt.Sprintf("event: %s\ndata: %s\n\n", name, marshal(v)))
	}
	pieces := [][]byte{event("message_start", object{"message": object{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "model-1", "content": []any{}, "stop_reason": nil, "stop_sequence": nil,
		"usage": messagesUsage(a, false),
	}})}
	_, starts, deltas := messagesBlocks(a)
	for i, start := range starts {
		pieces = append(pieces, event("content_block_start", object{"index": i, "content_block": start}))
		for _, d := range deltas[i] {
			pieces = append(pieces, event("content_block_delta", object{"index": i, "delta": d}))
		}
		pieces = append(pieces, event("content_block_stop", object{"index": i}))
	}
	pieces = append(pieces,
		event("message_delta", object{"delta": object{"stop_reason": messagesStop(a), "stop_sequence": nil}, "usage": messagesUsage(a, true)}),
		event("message_stop", object{}))
	return eventStream(pieces...)
}

func messagesRefusal(f Fault) Reply {
	kinds := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error", 503: "overloaded_error",
	}
	kind, msg := kinds[f.Status], f.Message
	if kind == "" {
		kind = "api_error"
	}
	if f.BadSignature {
		msg = "messages.1.content.0: Invalid `signature` in `thinking` block"
	}
	if f.Param != "" {
		msg = f.Param + ": Extra inputs are not permitted"
	}
	r := jsonReply(f.Status, object{"type": "error", "error": object{"type": kind, "message": msg}})
	if f.RetryAfter > 0 {
		r.Header.Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	return r
}
