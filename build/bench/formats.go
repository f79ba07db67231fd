package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// format is one wire format as a client and as an upstream: what a request looks like, and how an answer is written.
// Every format in front of every format is a pair; a new one needs an entry in formats and nothing else.
type format struct {
	name, kind string // kind is what the settings call a provider that speaks it
	base       string // of its base URL, below the upstream's address
	// path is the endpoint for a streamed answer, below an upstream's address or a provider's path of Patchbay.
	path func(model string) string
	// body is a request with turns of a user and an assistant, as text of JSON strings, ended by a user's.
	body func(model string, turns []string) []byte
	// how an answer is written; MODEL stands for the model's name
	contentType, head, tail string
	chunk                   func(i int) string
}

func at(path string) func(string) string { return func(string) string { return path } }

// messages is the request of the formats that have a list of roles and texts.
func messages(form string) func(string, []string) []byte {
	return func(model string, turns []string) []byte {
		var out bytes.Buffer
		for i, t := range turns {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, `{"role":"%s","content":"%s"}`, [2]string{"user", "assistant"}[i%2], t)
		}
		return fmt.Appendf(nil, form, model, out.Bytes())
	}
}

func geminiBody(_ string, turns []string) []byte {
	var out bytes.Buffer
	for i, t := range turns {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, `{"role":"%s","parts":[{"text":"%s"}]}`, [2]string{"user", "model"}[i%2], t)
	}
	return fmt.Appendf(nil, `{"contents":[%s],"generationConfig":{"maxOutputTokens":1000}}`, out.Bytes())
}

// event is a server-sent event with its type in the name and in the data.
func event(name, rest string) string {
	return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + rest + "}\n\n"
}

// around is a chunk whose word stands between two constant texts.
func around(before, after string) func(int) string {
	return func(i int) string { return before + " word" + strconv.Itoa(i) + after }
}

const (
	chatChunk      = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"MODEL","choices":[`
	geminiUsage    = `],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"totalTokenCount":13},"modelVersion":"MODEL","responseId":"r1"}` + "\n\n"
	ollamaLine     = `{"model":"MODEL","created_at":"2026-09-21T14:13:20.000000Z","message":{"role":"assistant","content":"`
	responseObject = `"id":"resp_1","object":"response","created_at":1790000000,"model":"MODEL"`
	textItem       = `"id":"msg_1","type":"message","role":"assistant"`
)

var formats = []format{
	{
		name: "openai", kind: "openai", base: "/v1", path: at("/v1/chat/completions"), contentType: "text/event-stream",
		body:  messages(`{"model":"%s","stream":true,"max_tokens":1000,"messages":[%s]}`),
		head:  chatChunk + `{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n",
		chunk: around(chatChunk+`{"index":0,"delta":{"content":"`, `"},"finish_reason":null}]}`+"\n\n"),
		tail: chatChunk + `{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
			chatChunk + `],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}` + "\n\ndata: [DONE]\n\n",
	},
	{
		name: "anthropic", kind: "anthropic", path: at("/v1/messages"), contentType: "text/event-stream",
		body: messages(`{"model":"%s","stream":true,"max_tokens":1000,"messages":[%s]}`),
		head: event("message_start", `,"message":{"id":"msg_1","type":"message","role":"assistant","model":"MODEL","content":[],"stop_reason":null,`+
			`"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}`) +
			event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`),
		chunk: around("event: content_block_delta\n"+`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"`, `"}}`+"\n\n"),
		tail: event("content_block_stop", `,"index":0`) +
			event("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":4}`) + event("message_stop", ""),
	},
	{
		name: "responses", kind: "openai-responses", base: "/v1", path: at("/v1/responses"), contentType: "text/event-stream",
		body: messages(`{"model":"%s","stream":true,"max_output_tokens":1000,"input":[%s]}`),
		head: event("response.created", `,"sequence_number":0,"response":{`+responseObject+`,"status":"in_progress","output":[]}`) +
			event("response.output_item.added", `,"sequence_number":1,"output_index":0,"item":{`+textItem+`,"status":"in_progress","content":[]}`) +
			event("response.content_part.added", `,"sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}`),
		chunk: func(i int) string {
			n := strconv.Itoa(i)
			return "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":` + strconv.Itoa(i+3) +
				`,"item_id":"msg_1","output_index":0,"content_index":0,"delta":" word` + n + `","logprobs":[]}` + "\n\n"
		},
		tail: event("response.output_text.done", `,"sequence_number":9001,"item_id":"msg_1","output_index":0,"content_index":0,"text":"Many words."`) +
			event("response.output_item.done", `,"sequence_number":9002,"output_index":0,"item":{`+textItem+`,"status":"completed","content":[{"type":"output_text","text":"Many words.","annotations":[]}]}`) +
			event("response.completed", `,"sequence_number":9003,"response":{`+responseObject+`,"status":"completed","output":[{`+textItem+
				`,"status":"completed","content":[{"type":"output_text","text":"Many words.","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":4,"total_tokens":13}}`),
	},
	{
		name: "gemini", kind: "gemini", path: func(model string) string { return "/v1beta/models/" + model + ":streamGenerateContent?alt=sse" },
		body: geminiBody, contentType: "text/event-stream",
		chunk: around(`data: {"candidates":[{"content":{"parts":[{"text":"`, `"}],"role":"model"},"index":0}`+geminiUsage),
		tail:  `data: {"candidates":[{"content":{"parts":[{"text":"."}],"role":"model"},"finishReason":"STOP","index":0}` + geminiUsage,
	},
	{
		name: "ollama", kind: "ollama", path: at("/api/chat"), contentType: "application/x-ndjson",
		body:  messages(`{"model":"%s","stream":true,"messages":[%s]}`),
		chunk: around(ollamaLine, `"},"done":false}`+"\n"),
		tail: ollamaLine + `"},"done":true,"done_reason":"stop","total_duration":9000,"load_duration":1000,"prompt_eval_count":9,` +
			`"prompt_eval_duration":1000,"eval_count":4,"eval_duration":5000}` + "\n",
	},
}

// pair is a client's format in front of an upstream's.
type pair struct{ client, upstream *format }

func (p pair) String() string { return p.client.name + " -> " + p.upstream.name }

// through is the path of the pair on Patchbay.
func (p pair) through(model string) string { return "/" + p.upstream.provider() + p.client.path(model) }

// provider is the id of a provider that speaks the format.
func (f *format) provider() string { return "bench-" + f.name }

// pairs are those whose names hold a word.
func pairs(only string) []pair {
	var out []pair
	for c := range formats {
		for u := range formats {
			if p := (pair{&formats[c], &formats[u]}); strings.Contains(p.String(), only) {
				out = append(out, p)
			}
		}
	}
	return out
}

// short is a small prompt.
var short = []string{"Write many words."}

// conversation makes a long history of code and prose.
func conversation(size int) []string {
	code := strings.Repeat(`func main() {\n\tfmt.Println(\"hello, 世界\")\n\treturn nil\n}\n`, 20)
	prose := strings.Repeat("These are plain words of an answer. ", 40)
	var turns []string
	for n := 0; n < size; n += len(code) + len(prose) {
		turns = append(turns, code, prose)
	}
	return append(turns, "Go on.")
}
