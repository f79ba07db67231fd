package openai

import (
	"strings"
	"testing"

	"patchbay/backend/canon"
)

func longBody(n int) []byte {
	turn := `{"role":"user","content":"` + strings.Repeat("some words ", 90) + `"},{"role":"assistant","content":"` + strings.Repeat("an answer ", 90) + `"},`
	return []byte(`{"model":"m","stream":true,"messages":[` + strings.Repeat(turn, n/len(turn)+1) + `{"role":"user","content":"go"}]}`)
}

func BenchmarkDecode(b *testing.B) {
	body := longBody(100 << 10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Codec{}).Decode(OpChat, nil, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerbatim2MB(b *testing.B) {
	body := longBody(2 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		req, err := Codec{}.Decode(OpChat, nil, body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := NewExchange(req, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	req, err := Codec{}.Decode(OpChat, nil, longBody(100<<10))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewExchange(req, Options{ForceConvert: true}); err != nil {
			b.Fatal(err)
		}
	}
}

const chunkText = `data: {"id":"chatcmpl-7f3a","object":"chat.completion.chunk","created":1790000000,"model":"up","choices":[{"index":0,"delta":{"content":"some words"},"logprobs":null,"finish_reason":null}]}` + "\n\n"

// One operation is a stream of 1000 chunks of text.
func BenchmarkReadStream(b *testing.B) {
	in := strings.Repeat(chunkText, 1000) + "data: [DONE]\n\n"
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range (&Exchange{verbatim: true}).ReadStream(strings.NewReader(in)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// One operation is a stream of 1000 chunks, copied to a client of the same protocol.
func BenchmarkCopyStream(b *testing.B) {
	call := strings.Replace(chunkText, `"content":"some words"`, `"tool_calls":[{"index":0,"function":{"arguments":"some words"}}]`, 1)
	first := strings.Replace(chunkText, `"content":"some words"`, `"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]`, 1)
	for name, in := range map[string]string{"text": strings.Repeat(chunkText, 1000), "call": first + strings.Repeat(call, 1000)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				r := Codec{}.NewRenderer(&canon.Request{ModelAsked: "m"})
				for ev, err := range (&Exchange{verbatim: true}).ReadStream(strings.NewReader(in + "data: [DONE]\n\n")) {
					if err != nil {
						b.Fatal(err)
					}
					buf = r.AppendEvent(buf[:0], ev)
				}
			}
		})
	}
}

// One operation is one chunk of text.
func BenchmarkRender(b *testing.B) {
	r := Codec{}.NewRenderer(&canon.Request{ModelAsked: "m"})
	buf := r.AppendEvent(nil, canon.Event{Kind: canon.KindStart, ID: "chatcmpl-7f3a", Created: 1790000000})
	buf = r.AppendEvent(buf, canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}})
	ev := canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "some words"}
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendEvent(buf[:0], ev)
	}
}
