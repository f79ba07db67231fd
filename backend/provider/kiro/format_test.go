package kiro

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"patchbay/backend/provider/providertest"
)

// frameOf writes a frame with headers of strings, as name and value in turn.
func frameOf(payload string, headers ...string) []byte {
	var h []byte
	for i := 0; i < len(headers); i += 2 {
		h = append(append(h, byte(len(headers[i]))), headers[i]...)
		h = binary.BigEndian.AppendUint16(append(h, 7), uint16(len(headers[i+1])))
		h = append(h, headers[i+1]...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(h)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, h...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func eventFrame(kind, payload string) []byte {
	return frameOf(payload, ":event-type", kind, ":content-type", "application/json", ":message-type", "event")
}

func jsonOf(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// kiroFormat is how the service talks, for the conformance suite.
func kiroFormat() providertest.Format {
	return providertest.Format{
		Endpoint: func(r *http.Request) providertest.Endpoint {
			switch {
			case strings.HasSuffix(r.URL.Path, "/generateAssistantResponse"), r.Header.Get("X-Amz-Target") == targetGenerate:
				return providertest.EndpointAnswer
			case strings.HasSuffix(r.URL.Path, "/List-Available-Models"), strings.HasSuffix(r.URL.Path, "/ListAvailableModels"):
				return providertest.EndpointModels
			}
			return providertest.EndpointOther
		},
		Streams:       func(*http.Request, []byte) bool { return true },
		Key:           func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") },
		Answer:        func(a providertest.Answer, _ bool) providertest.Reply { return kiroAnswer(a) },
		Refusal:       kiroRefusal,
		NoCacheCounts: false,
		NoBills:       true,
		Models: func(ids []string) providertest.Reply {
			var list []any
			for _, id := range ids {
				list = append(list, object{"modelId": id, "modelName": id, "supportedInputTypes": []string{"TEXT", "IMAGE"},
					"tokenLimits": object{"maxInputTokens": 200000, "maxOutputTokens": nil}, "additionalModelRequestFieldsSchema": nil})
			}
			return jsonReply(200, object{"defaultModel": object{"modelId": "auto"}, "models": list, "nextToken": nil})
		},
	}
}

func jsonReply(status int, v any) providertest.Reply {
	return providertest.Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Pieces: [][]byte{[]byte(jsonOf(v))}}
}

// kiroAnswer writes an answer. Its pieces do not end where frames end: half an answer is never a whole one.
func kiroAnswer(a providertest.Answer) providertest.Reply {
	var all [][]byte
	add := func(kind string, v any) { all = append(all, eventFrame(kind, jsonOf(v))) }
	add("messageMetadataEvent", object{"conversationId": "c", "utteranceId": "u"})
	for _, s := range halves(a.Reasoning) {
		add("reasoningContentEvent", object{"text": s})
	}
	if a.Reasoning != "" {
		add("reasoningContentEvent", object{"signature": "EqoBsig"})
	}
	for _, s := range halves(a.Text) {
		add("assistantResponseEvent", object{"content": s, "modelId": "model-1"})
	}
	for _, c := range a.Calls {
		add("toolUseEvent", object{"toolUseId": c.ID, "name": c.Name})
		for _, s := range halves(c.Args) {
			add("toolUseEvent", object{"toolUseId": c.ID, "name": c.Name, "input": s})
		}
		add("toolUseEvent", object{"toolUseId": c.ID, "name": c.Name, "stop": true})
	}
	add("contextUsageEvent", object{"contextUsagePercentage": 0.06})
	if u := a.Usage; u != nil {
		add("metadataEvent", object{"stopReason": "END_TURN", "tokenUsage": object{"uncachedInputTokens": u.Input - u.CacheRead,
			"cacheReadInputTokens": u.CacheRead, "cacheWriteInputTokens": 0, "outputTokens": u.Output, "totalTokens": u.Input + u.Output}})
	}
	r := providertest.Reply{Header: http.Header{"Content-Type": {typeEvents}}}
	for i, f := range all {
		cut := len(f)
		if i > 0 {
			cut /= 2
		}
		r.Pieces = append(r.Pieces, f[:cut])
		if cut < len(f) {
			r.Pieces = append(r.Pieces, f[cut:])
		}
	}
	return r
}

func halves(s string) []string {
	r := []rune(s)
	if len(r) < 2 {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	return []string{string(r[:len(r)/2]), string(r[len(r)/2:])}
}

func kiroRefusal(f providertest.Fault) providertest.Reply {
	v := object{"message": f.Message, "reason": nil}
	switch {
	case f.BadSignature:
		v["reason"], v["message"] = "THINKING_SIGNATURE_INVALID", "The signature is not valid."
	case f.Param != "":
		v["reason"], v["message"] = "REQUEST_BODY_INVALID", "Unknown field "+f.Param
	case f.Status == 404:
		v["reason"] = "INVALID_MODEL_ID"
	}
	r := jsonReply(f.Status, v)
	if f.RetryAfter > 0 {
		r.Header.Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	return r
}

// sealed adds the checksum of a frame's head.
func sealed(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }

// rawFrame writes a frame with whatever headers.
func rawFrame(headers, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
	b = sealed(binary.BigEndian.AppendUint32(b, uint32(len(headers))))
	return sealed(append(append(b, headers...), payload...))
}
