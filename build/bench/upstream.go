package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// listen prints the address it listens on, for the parent to read.
func listen(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, h)
}

// servePlain is the yardstick: what any proxy must spend.
func servePlain(target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	p := httputil.NewSingleHostReverseProxy(u)
	p.FlushInterval = -1
	p.Transport = &http.Transport{MaxIdleConnsPerHost: 2000}
	return listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An upstream that answers before the last read of the body has returned makes net/http close it under the proxy.
		_ = http.NewResponseController(w).EnableFullDuplex()
		p.ServeHTTP(w, r)
	}))
}

// serveUpstream answers both protocols. The model's name says how: "b-CHUNKS-PAUSEµs".
func serveUpstream() error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { serveBody(w, r, openaiShape) })
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) { serveBody(w, r, anthropicShape) })
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"b-1-0","object":"model","created":1,"owned_by":"bench"}],"has_more":false}`)
	})
	return listen(mux)
}

// shape is how one protocol writes an answer.
type shape struct {
	head, tail, whole string
	chunk             func(i int) string
}

var openaiShape = shape{
	head:  `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"MODEL","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n",
	whole: `{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"MODEL","choices":[{"index":0,"message":{"role":"assistant","content":"Four words of text."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}`,
	tail: `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"MODEL","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"MODEL","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}` + "\n\ndata: [DONE]\n\n",
	chunk: func(i int) string {
		return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"MODEL","choices":[{"index":0,"delta":{"content":" word` + strconv.Itoa(i) + `"},"finish_reason":null}]}` + "\n\n"
	},
}

var anthropicShape = shape{
	head: "event: message_start\n" + `data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"MODEL","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}` + "\n\n" +
		"event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n",
	whole: `{"id":"msg_1","type":"message","role":"assistant","model":"MODEL","content":[{"type":"text","text":"Four words of text."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":4}}`,
	tail: "event: content_block_stop\n" + `data: {"type":"content_block_stop","index":0}` + "\n\n" +
		"event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":4}}` + "\n\n" +
		"event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n",
	chunk: func(i int) string {
		return "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word` + strconv.Itoa(i) + `"}}` + "\n\n"
	},
}

func serveBody(w http.ResponseWriter, r *http.Request, s shape) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	model, chunks, pause := plan(body)
	text := func(t string) string { return strings.ReplaceAll(t, "MODEL", model) }
	if !strings.Contains(string(body), `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text(s.whole))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush := w.(http.Flusher).Flush
	_, _ = io.WriteString(w, text(s.head))
	flush()
	next := time.Now()
	for i := range chunks {
		if pause > 0 {
			next = next.Add(pause)
			time.Sleep(time.Until(next))
		}
		if _, err := io.WriteString(w, text(s.chunk(i))); err != nil {
			return
		}
		flush()
	}
	_, _ = io.WriteString(w, text(s.tail))
}

// plan reads the model's name out of the body without parsing it: the upstream must cost little.
func plan(body []byte) (model string, chunks int, pause time.Duration) {
	_, rest, _ := strings.Cut(string(body[:min(len(body), 4096)]), `"model":"`)
	model, _, _ = strings.Cut(rest, `"`)
	if model == "" { // long conversations may hold it at the end
		_, rest, _ = strings.Cut(string(body), `"model":"`)
		model, _, _ = strings.Cut(rest, `"`)
	}
	f := strings.Split(model, "-")
	if len(f) != 3 {
		return model, 1, 0
	}
	chunks, _ = strconv.Atoi(f[1])
	us, _ := strconv.Atoi(f[2])
	return model, chunks, time.Duration(us) * time.Microsecond
}
