package gemini

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"patchbay/backend/canon"
)

func conversationOf(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"generationConfig":{"temperature":1,"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}},"contents":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"role":"user","parts":[{"text":"%s"}]},{"role":"model","parts":[{"functionCall":{"id":"t%d","name":"f","args":{"a":%d}},"thoughtSignature":"CpwBAAAA"}]},{"role":"user","parts":[{"functionResponse":{"id":"t%d","name":"f","response":{"output":"ok"}}}]}`,
			strings.Repeat("some words ", 100), i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

const benchPath = "/v1beta/models/gemini-3-pro-preview:streamGenerateContent?alt=sse"

func BenchmarkDecode(b *testing.B) {
	body, r := conversationOf(100<<10), post(benchPath)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Codec{}).Decode(OpAction, r, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteConverted(b *testing.B) { benchWrite(b, Options{ForceConvert: true}) }
func BenchmarkWriteVerbatim(b *testing.B)  { benchWrite(b, Options{}) }

func benchWrite(b *testing.B, o Options) {
	req, err := Codec{}.Decode(OpAction, post(benchPath), conversationOf(100<<10))
	if err != nil {
		b.Fatal(err)
	}
	req.Model = "gemini-3-pro-preview"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewExchange(req, o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteForeign is a turn of Claude Code.
func BenchmarkWriteForeign(b *testing.B) {
	req := claudeTurn()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewExchange(req, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLongVerbatim is a conversation of 2 MB on its whole way in.
func BenchmarkLongVerbatim(b *testing.B) {
	body, r := conversationOf(2<<20), post(benchPath)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		req, err := Codec{}.Decode(OpAction, r, body)
		if err != nil {
			b.Fatal(err)
		}
		req.Model = "gemini-3-pro-preview"
		if _, err := NewExchange(req, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLongExpanded is the same for a service that speaks another format.
func BenchmarkLongExpanded(b *testing.B) {
	body, r := conversationOf(2<<20), post(benchPath)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		req, err := Codec{}.Decode(OpAction, r, body)
		if err == nil {
			err = req.Expand()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

const benchChunks = 1000

func benchFrame(i int) string {
	return fmt.Sprintf(`{"candidates":[{"content":{"parts":[{"text":"some words of an answer %d"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":%d,"totalTokenCount":%d,"promptTokensDetails":[{"modality":"TEXT","tokenCount":100}]},"modelVersion":"gemini-3-pro-preview","responseId":"r1"}`, i, i, 100+i)
}

// BenchmarkReadStream reports per chunk.
func BenchmarkReadStream(b *testing.B) {
	var in bytes.Buffer
	for i := range benchChunks {
		in.WriteString("data: " + benchFrame(i) + "\r\n\r\n")
	}
	in.WriteString("data: " + `{"candidates":[{"content":{"parts":[{"text":"."}]},"finishReason":"STOP","index":0}]}` + "\r\n\r\n")
	x := &Exchange{req: &canon.Request{}}
	b.ReportAllocs()
	for n := 0; n < b.N; n += benchChunks {
		for _, err := range x.ReadStream(bytes.NewReader(in.Bytes())) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRender reports per chunk.
func BenchmarkRender(b *testing.B) {
	r := Codec{}.NewRenderer(asker(false))
	buf := r.AppendEvent(nil, canon.Event{Kind: canon.KindStart, ID: "r"})
	buf = r.AppendEvent(buf, canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}})
	ev := canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "some words of an answer"}
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendEvent(buf[:0], ev)
	}
}

// BenchmarkRenderVerbatim reports per chunk.
func BenchmarkRenderVerbatim(b *testing.B) {
	for _, model := range []string{"asked", "gemini-3-pro-preview"} {
		b.Run(model, func(b *testing.B) {
			req := asker(false)
			req.ModelAsked = model
			r := Codec{}.NewRenderer(req)
			buf := r.AppendEvent(nil, canon.Event{Kind: canon.KindStart, Verbatim: true})
			ev := canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "some words", Raw: []byte(benchFrame(1))}
			b.ReportAllocs()
			for b.Loop() {
				buf = r.AppendEvent(buf[:0], ev)
			}
		})
	}
}
