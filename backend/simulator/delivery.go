package simulator

import (
	"bytes"
	"compress/gzip"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode"
)

const eventStream = "text/event-stream; charset=utf-8"

// frame is one server-sent event.
type frame struct {
	event   string // "" = no event line
	data    []byte
	content bool   // carries a piece of the answer; places in a stream count these
	last    bool   // the protocol's own end
	bare    []byte // what a frame that ends the stream says without the end
}

func jsonFrame(event string, v any) frame { return frame{event: event, data: encode(v)} }

// deliver sends the planned answer, or does the planned damage.
func (x *exchange) deliver(t *turn, p *plan) {
	if !wait(x.r.Context(), p.d.firstByte) {
		return
	}
	switch {
	case p.d.cutBefore:
		panic(http.ErrAbortHandler)
	case p.d.redirect != nil:
		x.redirect(p.d.redirect)
		return
	case p.d.raw != nil:
		x.w.Header().Set("Content-Type", p.d.raw.mime)
		x.w.WriteHeader(p.d.raw.status)
		_, _ = x.w.Write([]byte(p.d.raw.body)) // a client that left needs no answer
		return
	case p.fail != nil:
		if n, err := strconv.Atoi(p.fail.retryAfter); err == nil {
			p.fail.reset = x.s.opts.Now().Add(time.Duration(n) * time.Second)
		}
		x.fail(p.fail)
		return
	}
	x.d.head(x.w.Header(), p)
	if t.stream != p.d.flip {
		x.stream(t, p)
		return
	}
	x.whole(t, p)
}

// whole sends the answer as one JSON value. Damage that belongs to streams
// strikes in the middle of the body.
func (x *exchange) whole(t *turn, p *plan) {
	ctx := x.r.Context()
	var body []byte
	if p.d.errorAt != nowhere {
		body = encode(x.broken(t, p))
	} else {
		body = encode(x.d.body(t, &p.reply))
	}
	if !wait(ctx, p.d.delay) {
		return
	}
	x.w.Header().Set("Content-Type", "application/json")
	if p.d.gzip {
		defer x.pack()()
	}
	x.w.WriteHeader(http.StatusOK)
	half := len(body) / 2
	switch {
	case p.d.cutAt != nowhere:
		x.write(body[:half])
		panic(http.ErrAbortHandler)
	case p.d.garbageAt != nowhere:
		x.write(body[:half])
	case p.d.stallAt != nowhere:
		x.write(nil)
		if wait(ctx, p.d.stallFor) {
			x.write(body)
		}
	case p.d.bytewise:
		x.byByte(body)
	default:
		x.write(body)
	}
}

// broken is an answer of status 200 that tells of a failure.
func (x *exchange) broken(t *turn, p *plan) any {
	if d, ok := x.d.(interface {
		failed(f *failure, t *turn, r *reply) any
	}); ok {
		return d.failed(p.d.errorWith, t, &p.reply)
	}
	_, _, v := x.d.refuse(p.d.errorWith)
	return v
}

// stream sends the answer as events.
func (x *exchange) stream(t *turn, p *plan) {
	ctx := x.r.Context()
	frames := p.d.damage(x.d, t, &p.reply)
	stall, cut := place(frames, p.d.stallAt), place(frames, p.d.cutAt)
	kind := map[string]string{"": eventStream, styleArray: "application/json; charset=UTF-8", styleLines: "application/x-ndjson", styleBinary: binaryEvents}[p.d.style]
	if p.d.plainType {
		kind = "text/plain; charset=utf-8"
	}
	h := x.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	if p.d.gzip {
		defer x.pack()()
	}
	x.w.WriteHeader(http.StatusOK)
	x.write(nil)
	for i, f := range frames {
		if i == cut {
			panic(http.ErrAbortHandler)
		}
		if i == stall && !wait(ctx, p.d.stallFor) {
			return
		}
		if i > 0 && !wait(ctx, p.d.delay) {
			return
		}
		text := p.d.encode(f, i)
		if p.d.bytewise {
			x.byByte(text)
		} else {
			x.write(text)
		}
		if ctx.Err() != nil {
			return
		}
	}
	if p.d.style == styleArray && !p.d.noEnd {
		x.write([]byte("\n]\n"))
	}
}

// damage puts errors and garbage into the frames and takes the end away.
func (d *delivery) damage(dl dialect, t *turn, r *reply) []frame {
	frames := dl.frames(t, r)
	if d.noEnd {
		frames = slices.DeleteFunc(frames, func(f frame) bool { return f.last && f.bare == nil })
		for i := range frames {
			if frames[i].last {
				frames[i].data, frames[i].last = frames[i].bare, false
			}
		}
	}
	if at := place(frames, d.garbageAt); at >= 0 {
		event := frames[max(at-1, 0)].event
		frames = slices.Insert(frames, at, frame{event: event, data: []byte(d.garbage)})
	}
	if at := place(frames, d.errorAt); at >= 0 {
		frames = append(frames[:at:at], dl.errorFrames(d.errorWith, t, r, at)...)
	}
	return frames
}

// place turns a count of content frames into an index; -1 means never.
func place(frames []frame, after int) int {
	switch {
	case after == nowhere:
		return -1
	case after < 0:
		return 0
	}
	seen, behind := 0, max(len(frames)-1, 0)
	for i, f := range frames {
		if !f.content {
			continue
		}
		if after == 0 {
			return i
		}
		if behind, seen = i+1, seen+1; seen == after {
			break
		}
	}
	return behind // of a short answer: behind its last piece
}

// encode writes one frame as text.
func (d *delivery) encode(f frame, i int) []byte {
	switch {
	case d.style == styleArray && i == 0:
		return append([]byte("["), f.data...)
	case d.style == styleArray:
		return append([]byte(",\r\n"), f.data...)
	case d.style == styleBinary:
		return f.data
	case d.style == styleLines:
		return append(f.data, '\n')
	}
	end, sep := "\n", ": "
	if d.crlf {
		end = "\r\n"
	}
	if d.noSpace {
		sep = ":"
	}
	var b bytes.Buffer
	if d.noise != "" && i%4 == 0 {
		b.WriteString(": " + d.noise + end + end)
	}
	if d.comments {
		b.WriteString(": keep-alive" + end + end)
		if i%2 == 1 {
			b.WriteString(end + ":" + end)
		}
	}
	if f.event != "" {
		b.WriteString("event" + sep + f.event + end)
	}
	b.WriteString("data" + sep)
	b.Write(f.data)
	b.WriteString(end + end)
	return b.Bytes()
}

// write sends bytes at once. Errors are not looked at: the context tells when
// the client left.
func (x *exchange) write(data []byte) {
	if x.zip != nil {
		_, _ = x.zip.Write(data)
		_ = x.zip.Flush()
	} else {
		_, _ = x.w.Write(data)
	}
	_ = http.NewResponseController(x.w).Flush()
}

// pack compresses what is written from now on, whether or not the client said
// that it can read it; the function it returns writes the end.
func (x *exchange) pack() (end func()) {
	x.w.Header().Set("Content-Encoding", "gzip")
	x.zip = gzip.NewWriter(x.w)
	return func() { _ = x.zip.Close() }
}

// redirect sends the client away. Without a place of its own it names this
// listener by another host name, under which no key is asked for.
func (x *exchange) redirect(to *redirect) {
	place := to.to
	if place == "" {
		_, port, _ := net.SplitHostPort(x.r.Host)
		place = "http://localhost:" + port + "/" + Elsewhere + x.r.URL.Path
	}
	x.w.Header().Set("Location", place)
	x.w.WriteHeader(to.status)
}

// byByte sends every byte in a packet of its own.
func (x *exchange) byByte(data []byte) {
	for i := range data {
		if x.r.Context().Err() != nil {
			return
		}
		x.write(data[i : i+1])
	}
}

// cut splits a text for a stream: word by word with the space before it.
func (p *part) cut() []string {
	if p.pieces != nil || p.text == "" {
		return p.pieces
	}
	var out []string
	start, inWord := 0, false
	for i, r := range p.text {
		space := unicode.IsSpace(r)
		if space && inWord {
			out, start = append(out, p.text[start:i]), i
		}
		inWord = !space
	}
	return append(out, p.text[start:])
}

// cutArgs splits arguments into pieces of at most 8 bytes at rune borders.
func cutArgs(s string) []string {
	var out []string
	start := 0
	for i := range s {
		if i-start >= 8 {
			out, start = append(out, s[start:i]), i
		}
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// seconds writes a wait as OpenAI does: 1s, 6m0s.
func seconds(d time.Duration) string { return d.Round(time.Second).String() }
