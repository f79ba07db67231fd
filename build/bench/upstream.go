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

// serveUpstream answers in every format. The model's name says how: "b-CHUNKS-PAUSEµs".
func serveUpstream() error {
	mux := http.NewServeMux()
	for i := range formats {
		f := &formats[i]
		pattern := "POST " + f.path("M")
		if f.kind == "gemini" {
			pattern = "POST /v1beta/models/{method}"
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serveBody(w, r, f) })
	}
	return listen(mux)
}

func serveBody(w http.ResponseWriter, r *http.Request, f *format) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	model, chunks, pause := plan(r.PathValue("method"), body)
	text := func(t string) []byte { return []byte(strings.ReplaceAll(t, "MODEL", model)) }
	w.Header().Set("Content-Type", f.contentType)
	flush := w.(http.Flusher).Flush
	if f.head != "" {
		_, _ = w.Write(text(f.head)) // a proxy that is gone is noticed below
		flush()
	}
	next := time.Now()
	for i := range chunks {
		if pause > 0 {
			next = next.Add(pause)
			time.Sleep(time.Until(next))
		}
		if _, err := w.Write(text(f.chunk(i))); err != nil {
			return
		}
		flush()
	}
	_, _ = w.Write(text(f.tail))
}

// plan reads the model's name out of the path or the body without parsing it: the upstream must cost little.
func plan(method string, body []byte) (model string, chunks int, pause time.Duration) {
	model, _, _ = strings.Cut(method, ":")
	if model == "" {
		_, rest, _ := strings.Cut(string(body[:min(len(body), 4096)]), `"model":"`)
		model, _, _ = strings.Cut(rest, `"`)
	}
	if model == "" { // long conversations may hold it at the end
		_, rest, _ := strings.Cut(string(body), `"model":"`)
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
