package anthropic

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"patchbay/backend/canon"
)

func conversationOf(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"claude-sonnet-4-5","max_tokens":5000,"stream":true,"messages":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"role":"user","content":[{"type":"text","text":"%s"}]},{"role":"assistant","content":[{"type":"tool_use","id":"t%d","name":"f","input":{"a":%d}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t%d","content":"ok"}]}`,
			strings.Repeat("some words ", 100), i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	body := conversationOf(100 << 10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Codec{}).Decode(OpMessages, nil, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteConverted(b *testing.B) { benchWrite(b, 100<<10, Options{ForceConvert: true}) }
func BenchmarkWriteVerbatim(b *testing.B)  { benchWrite(b, 100<<10, Options{}) }

func benchWrite(b *testing.B, size int, o Options) {
	req, err := Codec{}.Decode(OpMessages, nil, conversationOf(size))
	if err != nil {
		b.Fatal(err)
	}
	req.Model = "claude-opus-4-8"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewExchange(req, o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLongVerbatim is a conversation of 2 MB on its whole way in.
func BenchmarkLongVerbatim(b *testing.B) {
	body := conversationOf(2 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		req, err := Codec{}.Decode(OpMessages, nil, body)
		if err != nil {
			b.Fatal(err)
		}
		req.Model = "claude-opus-4-8"
		if _, err := NewExchange(req, Options{OwnHost: true}); err != nil {
			b.Fatal(err)
		}
	}
}

const benchChunks = 1000

func benchStream() []byte {
	var b strings.Builder
	b.WriteString(frames(`{"type":"message_start","message":{"id":"m","model":"x","usage":{"input_tokens":1}}}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`))
	for i := range benchChunks {
		b.WriteString(frames(fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words of an answer %d"}}`, i)))
	}
	b.WriteString(frames(`{"type":"content_block_stop","index":0}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`, `{"type":"message_stop"}`))
	return []byte(b.String())
}

// BenchmarkReadStream reports per chunk.
func BenchmarkReadStream(b *testing.B) {
	in := benchStream()
	x := &Exchange{req: &canon.Request{}}
	b.ReportAllocs()
	for n := 0; n < b.N; n += benchChunks {
		for _, err := range x.ReadStream(bytes.NewReader(in)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRender reports per chunk.
func BenchmarkRender(b *testing.B) {
	r := Codec{}.NewRenderer(client())
	var buf []byte
	buf = r.AppendEvent(buf, begin)
	buf = r.AppendEvent(buf, start(0, canon.Part{Type: canon.PartText}))
	ev := delta(0, canon.DeltaText, "some words of an answer")
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendEvent(buf[:0], ev)
	}
}

// BenchmarkRenderVerbatim reports per chunk.
func BenchmarkRenderVerbatim(b *testing.B) {
	r := Codec{}.NewRenderer(client())
	var buf []byte
	buf = r.AppendEvent(buf, canon.Event{Kind: canon.KindStart, Verbatim: true})
	ev := delta(0, canon.DeltaText, "some words of an answer")
	ev.Raw, ev.RawName = []byte(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words"}}`), "content_block_delta"
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendEvent(buf[:0], ev)
	}
}
