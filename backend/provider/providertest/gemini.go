package providertest

import (
	"fmt"
	"net/http"
	"strings"

	"patchbay/backend/wire/gemini"
)

// Gemini is a service that speaks Gemini's generateContent with a key.
func Gemini() Format {
	return Format{
		Endpoint: func(r *http.Request) Endpoint {
			path, ok := strings.CutPrefix(r.URL.Path, "/v1beta/models")
			if r.Method == "GET" && ok && path == "" {
				return EndpointModels
			}
			if r.Method != "POST" || !ok {
				return EndpointOther
			}
			switch path[strings.LastIndexByte(path, ':')+1:] {
			case "generateContent", "streamGenerateContent":
				return EndpointAnswer
			case "countTokens":
				return EndpointCount
			case "embedContent", "batchEmbedContents":
				return EndpointEmbeddings
			}
			return EndpointOther
		},
		Streams: func(r *http.Request, _ []byte) bool {
			return strings.HasSuffix(r.URL.Path, ":streamGenerateContent") && r.URL.RawQuery == "alt=sse"
		},
		Key: func(r *http.Request) string { return r.Header.Get("X-Goog-Api-Key") },
		Answer: func(a Answer, stream bool) Reply {
			if !stream {
				return jsonReply(200, generated(contentParts(a), a, true))
			}
			var pieces [][]byte
			frames := contentFrames(a)
			for i, parts := range frames {
				pieces = append(pieces, []byte(fmt.Sprintf("data: %s\r\n\r\n", marshal(generated(parts, a, i == len(frames)-1)))))
			}
			return eventStream(pieces...)
		},
		Refusal: generateRefusal,
		Models: func(ids []string) Reply {
			var list []any
			for _, id := range ids {
				list = append(list, object{"name": "models/" + id, "version": "001", "displayName": id, "inputTokenLimit": 1048576,
					"outputTokenLimit": 65536, "supportedGenerationMethods": []string{"generateContent", "countTokens"}, "thinking": true})
			}
			return jsonReply(200, object{"models": list})
		},
		Count: func(tokens int64) Reply {
			return jsonReply(200, object{"totalTokens": tokens, "promptTokensDetails": []any{object{"modality": "TEXT", "tokenCount": tokens}}})
		},
		Embeddings: func(vectors [][]float32) Reply {
			var list []any
			for _, v := range vectors {
				list = append(list, object{"values": v})
			}
			return jsonReply(200, object{"embeddings": list})
		},
		Verbatim: &Verbatim{
			Codec: gemini.Codec{}, Op: gemini.OpStream, Path: "/v1beta/models/asked:streamGenerateContent?alt=sse",
			Body: "{ \"generation_config\" : {\"temperature\":1.0,\t\"x\":[1e2]},\n \"xUnknown\":{\"b\":1,\"a\":[1e2]},\n \"contents\":[ {\"parts\":[{\"text\":\"h\\u00e9 <b>\"}]} ] }",
		},
	}
}

// contentFrames are the parts of an answer as a stream brings them: the last frame has none.
func contentFrames(a Answer) [][]any {
	var out [][]any
	if a.Reasoning != "" {
		out = append(out, []any{object{"text": a.Reasoning, "thought": true}})
	}
	if a.Text != "" {
		for _, s := range halves(a.Text) {
			out = append(out, []any{object{"text": s}})
		}
	}
	var calls []any
	for i, c := range a.Calls {
		part := object{"functionCall": object{"id": c.ID, "name": c.Name, "args": rawJSON(c.Args)}}
		if i == 0 {
			part["thoughtSignature"] = "EjQKMgER"
		}
		calls = append(calls, part)
	}
	if calls != nil {
		out = append(out, calls)
	}
	return append(out, []any{object{"text": ""}})
}

func contentParts(a Answer) []any {
	var out []any
	for _, parts := range contentFrames(a) {
		out = append(out, parts...)
	}
	return out
}

// generated is a GenerateContentResponse.
func generated(parts []any, a Answer, last bool) object {
	candidate := object{"content": object{"role": "model", "parts": parts}, "index": 0}
	if last {
		candidate["finishReason"] = "STOP"
	}
	out := object{"candidates": []any{candidate}, "modelVersion": "model-1", "responseId": "r1"}
	if u := a.Usage; u != nil {
		usage := object{"promptTokenCount": u.Input, "cachedContentTokenCount": u.CacheRead, "totalTokenCount": u.Input}
		if last {
			usage["candidatesTokenCount"], usage["totalTokenCount"] = u.Output, u.Input+u.Output
		}
		out["usageMetadata"] = usage
	}
	return out
}

func generateRefusal(f Fault) Reply {
	words := map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
		503: "UNAVAILABLE",
	}
	msg := f.Message
	if f.Param != "" {
		msg = fmt.Sprintf(`Invalid JSON payload received. Unknown name "%s" at 'generation_config': Cannot find field.`, f.Param)
	}
	if f.BadSignature {
		msg = "Corrupted thought signature."
	}
	e := object{"code": f.Status, "message": msg, "status": words[f.Status]}
	if f.RetryAfter > 0 {
		e["details"] = []any{object{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": fmt.Sprintf("%ds", int(f.RetryAfter.Seconds()))}}
	}
	return jsonReply(f.Status, object{"error": e})
}
