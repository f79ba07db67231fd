package providertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"patchbay/backend/wire/openai"
)

// OpenAI is a service that speaks OpenAI Chat with its base URL at /v1.
func OpenAI() Format {
	return Format{
		Endpoint: func(r *http.Request) Endpoint {
			switch {
			case r.Method == "POST" && r.URL.Path == "/v1/chat/completions":
				return EndpointAnswer
			case r.Method == "POST" && r.URL.Path == "/v1/embeddings":
				return EndpointEmbeddings
			case r.Method == "GET" && r.URL.Path == "/v1/models":
				return EndpointModels
			}
			return EndpointOther
		},
		Streams: streamMember,
		Key:     func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") },
		Answer: func(a Answer, stream bool) Reply {
			if stream {
				return chatStream(a)
			}
			return jsonReply(200, chatWhole(a))
		},
		Refusal: chatRefusal,
		Models: func(ids []string) Reply {
			var data []any
			for _, id := range ids {
				data = append(data, object{"id": id, "object": "model", "created": 1, "owned_by": "x"})
			}
			return jsonReply(200, object{"object": "list", "data": data})
		},
		Embeddings: func(vectors [][]float32) Reply {
			var data []any
			for i, v := range vectors {
				data = append(data, object{"object": "embedding", "index": i, "embedding": v})
			}
			return jsonReply(200, object{"object": "list", "model": "m", "data": data, "usage": object{"prompt_tokens": 3, "total_tokens": 3}})
		},
		Verbatim: &Verbatim{
			Codec: openai.Codec{}, Op: openai.OpChat, Path: "/v1/chat/completions",
			Body: "{ \"model\" : \"asked\",\n \"stream\":true, \"stream_options\":{\"include_usage\":true},\t\"temperature\":1.0, \"x_unknown\":{\"b\":1,\"a\":[1e2]},\n \"messages\":[ {\"role\":\"user\",\"content\":\"h\\u00e9 <b>\"} ] }",
		},
	}
}

type object = map[string]any

// jsonReply is an answer in one piece.
func jsonReply(status int, v any) Reply {
	return Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Pieces: [][]byte{marshal(v)}}
}

// marshal writes v without escapes that no service writes. What the formats here write is never wrong.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// streamMember reads the member stream of a body.
func streamMember(_ *http.Request, body []byte) bool {
	var v struct {
		Stream bool `json:"stream"`
	}
	return json.Unmarshal(body, &v) == nil && v.Stream
}

func eventStream(pieces ...[]byte) Reply {
	return Reply{Header: http.Header{"Content-Type": {"text/event-stream"}}, Pieces: pieces}
}

func chatUsage(a Answer) any {
	if a.Usage == nil {
		return nil
	}
	return object{
		"prompt_tokens": a.Usage.Input, "completion_tokens": a.Usage.Output, "total_tokens": a.Usage.Input + a.Usage.Output,
		"prompt_tokens_details": object{"cached_tokens": a.Usage.CacheRead},
	}
}

func chatFinish(a Answer) string {
	if len(a.Calls) > 0 {
		return "tool_calls"
	}
	return "stop"
}

func chatCalls(a Answer, index bool) []any {
	var out []any
	for i, c := range a.Calls {
		call := object{"id": c.ID, "type": "function", "function": object{"name": c.Name, "arguments": c.Args}}
		if index {
			call["index"] = i
		}
		out = append(out, call)
	}
	return out
}

func chatWhole(a Answer) any {
	message := object{"role": "assistant", "content": a.Text}
	if a.Reasoning != "" {
		message["reasoning_content"] = a.Reasoning
	}
	if len(a.Calls) > 0 {
		message["tool_calls"] = chatCalls(a, false)
	}
	return object{
		"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "model-1", "usage": chatUsage(a),
		"choices": []any{object{"index": 0, "message": message, "finish_reason": chatFinish(a)}},
	}
}

func chatStream(a Answer) Reply {
	chunk := func(delta any, finish any) []byte {
		return []byte(fmt.Sprintf("data: %s\n\n", marshal(object{
			"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "model-1",
			"choices": []any{object{"index": 0, "delta": delta, "finish_reason": finish}},
		})))
	}
	pieces := [][]byte{chunk(object{"role": "assistant", "content": ""}, nil)}
	if a.Reasoning != "" {
		pieces = append(pieces, chunk(object{"reasoning_content": a.Reasoning}, nil))
	}
	for _, s := range halves(a.Text) {
		pieces = append(pieces, chunk(object{"content": s}, nil))
	}
	for _, c := range chatCalls(a, true) {
		pieces = append(pieces, chunk(object{"tool_calls": []any{c}}, nil))
	}
	pieces = append(pieces, chunk(object{}, chatFinish(a)))
	if u := chatUsage(a); u != nil {
		pieces = append(pieces, []byte(fmt.Sprintf("data: %s\n\n", marshal(object{
			"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "model-1", "choices": []any{}, "usage": u,
		}))))
	}
	return eventStream(append(pieces, []byte("data: [DONE]\n\n"))...)
}

// halves cuts a text in two at a rune border.
func halves(s string) []string {
	at := 0
	for i := range s {
		if i <= len(s)/2 {
			at = i
		}
	}
	if at == 0 {
		return []string{s}
	}
	return []string{s[:at], s[at:]}
}

func chatRefusal(f Fault) Reply {
	e := object{"message": f.Message, "type": "invalid_request_error", "param": nil, "code": nil}
	switch {
	case f.Param != "":
		e["message"] = fmt.Sprintf("Unsupported parameter: '%s' is not supported with this model.", f.Param)
		e["param"], e["code"] = f.Param, "unsupported_parameter"
	case f.BadSignature:
		e["message"] = "Invalid `signature` in `thinking` block"
	case f.Status == 401:
		e["code"] = "invalid_api_key"
	case f.Status == 429:
		e["type"], e["code"] = "rate_limit_error", "rate_limit_exceeded"
	case f.Status == 404:
		e["code"] = "model_not_found"
	case f.Status >= 500:
		e["type"] = "server_error"
	}
	r := jsonReply(f.Status, object{"error": e})
	if f.RetryAfter > 0 {
		r.Header.Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	return r
}
