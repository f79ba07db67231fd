package providertest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"patchbay/backend/wire/ollama"
)

// Ollama is a service that speaks Ollama's own API.
func Ollama() Format {
	return Format{
		Endpoint: func(r *http.Request) Endpoint {
			switch r.Method + " " + r.URL.Path {
			case "POST /api/chat", "POST /api/generate":
				return EndpointAnswer
			case "GET /api/tags", "POST /api/show": // the list and what belongs to it
				return EndpointModels
			case "POST /api/embed":
				return EndpointEmbeddings
			}
			return EndpointOther
		},
		Streams: func(_ *http.Request, body []byte) bool { // true unless it is false
			var v struct {
				Stream *bool `json:"stream"`
			}
			return json.Unmarshal(body, &v) == nil && (v.Stream == nil || *v.Stream)
		},
		Key: func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") },
		Answer: func(a Answer, stream bool) Reply {
			if !stream {
				return jsonReply(200, chatLine(turn(a), &a))
			}
			var pieces [][]byte
			for _, m := range turns(a) {
				pieces = append(pieces, append(marshal(chatLine(m, nil)), '\n'))
			}
			pieces = append(pieces, append(marshal(chatLine(object{"role": "assistant", "content": ""}, &a)), '\n'))
			return Reply{Header: http.Header{"Content-Type": {"application/x-ndjson"}}, Pieces: pieces}
		},
		Refusal: func(f Fault) Reply {
			msg := f.Message
			if f.Param != "" {
				msg = "invalid option provided: " + f.Param
			}
			r := jsonReply(f.Status, object{"error": msg})
			if f.RetryAfter > 0 {
				r.Header.Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
			}
			return r
		},
		Models: func(ids []string) Reply {
			var list []any
			for _, id := range ids {
				list = append(list, object{"name": id, "model": id, "modified_at": "2026-01-02T03:04:05.678901234+01:00", "size": 5225388164,
					"digest": "500a1f067a9f", "details": object{"format": "gguf", "family": "qwen3", "families": []string{"qwen3"}, "parameter_size": "8.2B", "quantization_level": "Q4_K_M"}})
			}
			return jsonReply(200, object{"models": list})
		},
		Embeddings: func(vectors [][]float32) Reply {
			return jsonReply(200, object{"model": "model-1", "embeddings": vectors, "total_duration": 5, "load_duration": 1, "prompt_eval_count": 4})
		},
		NoCacheCounts: true,
		NoSignatures:  true,
		Verbatim: &Verbatim{
			Codec: ollama.Codec{}, Op: ollama.OpChat, Path: "/api/chat",
			Body: "{ \"options\" : {\"temperature\":1.0,\t\"x\":[1e2]},\n \"model\":\"asked\", \"unknown\":{\"b\":1,\"a\":[1e2]},\n \"messages\":[ {\"role\":\"user\",\"content\":\"h\\u00e9 <b>\"} ] }",
		},
	}
}

// turns are the messages of a stream's lines.
func turns(a Answer) []object {
	var out []object
	if a.Reasoning != "" {
		for _, s := range halves(a.Reasoning) {
			out = append(out, object{"role": "assistant", "content": "", "thinking": s})
		}
	}
	if a.Text != "" {
		for _, s := range halves(a.Text) {
			out = append(out, object{"role": "assistant", "content": s})
		}
	}
	if len(a.Calls) > 0 {
		out = append(out, object{"role": "assistant", "content": "", "tool_calls": toolCalls(a)})
	}
	return out
}

// turn is the message of a whole answer.
func turn(a Answer) object {
	m := object{"role": "assistant", "content": a.Text}
	if a.Reasoning != "" {
		m["thinking"] = a.Reasoning
	}
	if len(a.Calls) > 0 {
		m["tool_calls"] = toolCalls(a)
	}
	return m
}

func toolCalls(a Answer) []any {
	var out []any
	for i, c := range a.Calls {
		out = append(out, object{"id": c.ID, "function": object{"index": i, "name": c.Name, "arguments": rawJSON(c.Args)}})
	}
	return out
}

// chatLine is one line; the last one carries the end of the answer.
func chatLine(message object, end *Answer) object {
	out := object{"model": "model-1", "created_at": "2026-11-22T20:00:00.123456789Z", "message": message, "done": end != nil}
	if end == nil {
		return out
	}
	out["done_reason"], out["total_duration"], out["eval_duration"] = "stop", 512000000, 300000000
	if u := end.Usage; u != nil {
		out["prompt_eval_count"], out["eval_count"] = u.Input, u.Output
	}
	return out
}
