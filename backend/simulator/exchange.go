package simulator

import (
	"compress/gzip"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// maxBody is the vendors' limit on a request (Anthropic: 32 MB, OpenAI more);
// the larger is read and Anthropic refuses on its own.
const maxBody = 64 << 20

// exchange is one request on its way through an upstream.
type exchange struct {
	s     *Server
	d     dialect
	w     http.ResponseWriter
	r     *http.Request
	rec   *Request
	body  []byte
	key   string
	queue string // where scripted scenarios come from

	person string // Code Assist: who signed in
	zip    *gzip.Writer
}

// endpoint wraps a handler: the body is read whole (the client's leaving can
// be noticed only then), the request is recorded, and the end is noted even
// when the handler breaks the connection by a panic.
func (s *Server) endpoint(d dialect, queue string, serve func(*exchange)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{s: s, d: d, r: r, queue: queue}
		x.rec = &Request{Upstream: d.id(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
			Header: r.Header.Clone(), Time: s.opts.Now(), Key: keyOf(r.Header)}
		x.w, x.key = &statusWriter{ResponseWriter: w, x: x}, x.rec.Key
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		x.body, x.rec.Body = body, body
		s.record(x.rec)
		defer s.update(func() {
			x.rec.Finished = true
			x.rec.Disconnected = x.rec.Disconnected || r.Context().Err() != nil
		})
		if err != nil {
			s.update(func() { x.rec.Disconnected = true })
			return
		}
		serve(x)
	}
}

// keyOf returns the credential of a request, whatever header carries it.
func keyOf(h http.Header) string {
	if k := h.Get("X-Api-Key"); k != "" {
		return k
	}
	if k := h.Get("X-Goog-Api-Key"); k != "" {
		return k
	}
	scheme, key, _ := strings.Cut(h.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return ""
}

// statusWriter notes the status in the record.
type statusWriter struct {
	http.ResponseWriter
	x    *exchange
	done bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.done {
		w.done = true
		w.x.s.update(func() { w.x.rec.Status = status })
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// object reads the body as a JSON object or says what is wrong with it.
func (x *exchange) object() (map[string]any, *failure) {
	if kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &failure{kind: failInvalid, message: "Content-Type must be application/json."}
	}
	v, err := decode(x.body)
	o, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, &failure{kind: failInvalid, message: "We could not parse the JSON body of your request. " +
			"(HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"}
	}
	return o, nil
}

// refuse answers that the request itself is wrong.
func (x *exchange) refuse(f *failure) {
	text := f.message
	if text == "" {
		text = f.kind
	}
	x.s.update(func() { x.rec.Refused = text })
	x.fail(f)
}

// fail writes a failure in the dialect's words.
func (x *exchange) fail(f *failure) {
	status, head, body := x.d.refuse(f)
	x.d.head(x.w.Header(), &plan{fail: f})
	for name, values := range head {
		x.w.Header()[name] = values
	}
	if text, ok := body.(rawText); ok {
		x.w.WriteHeader(status)
		_, _ = x.w.Write([]byte(text)) // a client that left needs no answer
		return
	}
	writeJSON(x.w, status, body)
}

// blocked lets a scripted or a key's failure come true on endpoints that do
// not generate, and reports whether it did.
func (x *exchange) blocked(t *turn) bool {
	sc := x.s.choose(x.queue, x.key, &turn{})
	if sc == "" {
		return false
	}
	p := decide(sc, t)
	if p.fail == nil && p.d.raw == nil && !p.d.cutBefore && p.d.redirect == nil {
		return false
	}
	x.s.update(func() { x.rec.Scenario = sc })
	x.deliver(t, p)
	return true
}

// answer decides what to do with a good request and does it.
func (x *exchange) answer(t *turn, prepare func(*plan)) {
	sc := x.s.choose(x.queue, x.key, t)
	if sc != "" {
		x.s.update(func() { x.rec.Scenario = sc })
	}
	p := decide(sc, t)
	prepare(p)
	p.reply.model, p.reply.created = t.model, x.s.opts.Now()
	x.deliver(t, p)
}

// serial numbers ids; they are as long as the vendors'.
func (x *exchange) serial(prefix string) string {
	n := strconv.Itoa(x.s.next())
	return prefix + strings.Repeat("0", max(0, 24-len(n))) + n
}
