package providertest

import (
	"fmt"
	"net/http"

	"patchbay/backend/wire/responses"
)

// Responses is a service that speaks OpenAI Responses with its base URL at /v1.
func Responses() Format {
	chat := OpenAI()
	return Format{
		Endpoint: func(r *http.Request) Endpoint {
			switch {
			case r.Method == "POST" && r.URL.Path == "/v1/responses":
				return EndpointAnswer
			case r.Method == "POST" && r.URL.Path == "/v1/responses/input_tokens":
				return EndpointCount
			}
			return chat.Endpoint(r)
		},
		Streams: streamMember,
		Key:     chat.Key,
		Answer: func(a Answer, stream bool) Reply {
			if stream {
				return responsesStream(a)
			}
			return jsonReply(200, responsesObject(a, "completed"))
		},
		Refusal:    chat.Refusal,
		Models:     chat.Models,
		Embeddings: chat.Embeddings,
		Count: func(tokens int64) Reply {
			return jsonReply(200, object{"object": "response.input_tokens", "input_tokens": tokens})
		},
		Verbatim: &Verbatim{
			Codec: responses.Codec{}, Op: responses.OpCreate, Path: "/v1/responses",
			Body: "{ \"model\" : \"asked\",\n \"stream\":true, \"store\":false,\t\"temperature\":1.0, \"x_unknown\":{\"b\":1,\"a\":[1e2]},\n \"input\":[ {\"role\":\"user\",\"content\":\"h\\u00e9 <b>\"} ] }",
		},
	}
}

func responsesItems(a Answer) []object {
	var out []object
	if a.Reasoning != "" {
		out = append(out, object{"id": "rs_1", "type": "reasoning", "summary": []any{object{"type": "summary_text", "text": a.Reasoning}}})
	}
	if a.Text != "" {
		out = append(out, object{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
			"content": []any{object{"type": "output_text", "text": a.Text, "annotations": []any{}}}})
	}
	for i, c := range a.Calls {
		out = append(out, object{"id": fmt.Sprintf("fc_%d", i), "type": "function_call", "status": "completed", "call_id": c.ID, "name": c.Name, "arguments": c.Args})
	}
	return out
}

func responsesObject(a Answer, status string) object {
	o := object{"id": "resp_1", "object": "response", "created_at": 1700000000, "model": "model-1", "status": status, "error": nil, "output": []any{}, "usage": nil}
	if status != "completed" {
		return o
	}
	o["output"] = responsesItems(a)
	if u := a.Usage; u != nil {
		o["usage"] = object{"input_tokens": u.Input, "input_tokens_details": object{"cached_tokens": u.CacheRead}, "output_tokens": u.Output, "total_tokens": u.Input + u.Output}
	}
	return o
}

func responsesStream(a Answer) Reply {
	var pieces [][]byte
	event := func(kind string, members object) {
		members["type"], members["sequence_number"] = kind, len(pieces)
		pieces = append(pieces, fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, marshal(members)))
	}
	event("response.created", object{"response": responsesObject(a, "in_progress")})
	for i, item := range responsesItems(a) {
		at := func(m object) object {
			m["output_index"], m["item_id"] = i, item["id"]
			return m
		}
		switch item["type"] {
		case "reasoning":
			event("response.output_item.added", at(object{"item": object{"id": item["id"], "type": "reasoning", "summary": []any{}}}))
			event("response.reasoning_summary_text.delta", at(object{"summary_index": 0, "delta": a.Reasoning}))
		case "message":
			event("response.output_item.added", at(object{"item": object{"id": item["id"], "type": "message", "role": "assistant", "content": []any{}}}))
			event("response.content_part.added", at(object{"content_index": 0, "part": object{"type": "output_text", "text": ""}}))
			for _, s := range halves(a.Text) {
				event("response.output_text.delta", at(object{"content_index": 0, "delta": s}))
			}
			event("response.output_text.done", at(object{"content_index": 0, "text": a.Text}))
		default:
			args, _ := item["arguments"].(string)
			added := object{"arguments": ""}
			for k, v := range item {
				if k != "arguments" {
					added[k] = v
				}
			}
			event("response.output_item.added", at(object{"item": added}))
			event("response.function_call_arguments.delta", at(object{"delta": args}))
			event("response.function_call_arguments.done", at(object{"arguments": args, "name": item["name"]}))
		}
		event("response.output_item.done", at(object{"item": item}))
	}
	event("response.completed", object{"response": responsesObject(a, "completed")})
	return eventStream(pieces...)
}
