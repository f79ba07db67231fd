package providertest

import (
	"fmt"
	"net/http"
	"strings"
)

// CodeAssist is Google's Code Assist service: generateContent in an envelope. available says that models are listed by
// fetchAvailableModels, as for Antigravity, and not by their quotas.
func CodeAssist(available bool) Format {
	list := "retrieveUserQuota"
	if available {
		list = "fetchAvailableModels"
	}
	inner := Gemini()
	wrap := func(v any) object { return object{"response": v, "traceId": "t1"} }
	return Format{
		Endpoint: func(r *http.Request) Endpoint {
			method, ok := strings.CutPrefix(r.URL.Path, "/v1internal:")
			switch {
			case r.Method != "POST" || !ok:
				return EndpointOther
			case method == "generateContent" || method == "streamGenerateContent":
				return EndpointAnswer
			case method == "countTokens":
				return EndpointCount
			case method == list:
				return EndpointModels
			}
			return EndpointOther
		},
		Streams: func(r *http.Request, _ []byte) bool {
			return strings.HasSuffix(r.URL.Path, ":streamGenerateContent") && r.URL.RawQuery == "alt=sse"
		},
		Key: func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") },
		Answer: func(a Answer, stream bool) Reply {
			if !stream {
				return jsonReply(200, wrap(generated(contentParts(a), a, true)))
			}
			var pieces [][]byte
			frames := contentFrames(a)
			for i, parts := range frames {
				pieces = append(pieces, fmt.Appendf(nil, "data: %s\n\n", marshal(wrap(generated(parts, a, i == len(frames)-1)))))
			}
			return eventStream(pieces...)
		},
		Refusal: generateRefusal,
		Models: func(ids []string) Reply {
			buckets, models := []any{}, object{}
			for _, id := range ids {
				buckets = append(buckets, object{"modelId": id, "tokenType": "REQUESTS", "remainingFraction": 1, "resetTime": "2026-11-23T07:00:00Z"})
				models[id] = object{"displayName": id, "maxTokens": 1048576, "maxOutputTokens": 65535}
			}
			if available {
				sorts := []any{object{"displayName": "Recommended", "groups": []any{object{"modelIds": ids}}}}
				return jsonReply(200, object{"models": models, "agentModelSorts": sorts})
			}
			return jsonReply(200, object{"buckets": buckets})
		},
		Count: inner.Count,
	}
}
