package ollama

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

const benchLine = `{"model":"m","created_at":"2026-11-22T20:00:00.123456789Z","message":{"role":"assistant","content":"hello"},"done":false}` + "\n"

// BenchmarkReadChunk is the cost of one line of an upstream's stream.
func BenchmarkReadChunk(b *testing.B) {
	in := strings.Repeat(benchLine, 1000) + `{"done":true}`
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n > 0 {
			n--
			continue
		}
		n = 999
		for _, err := range (&Exchange{}).Read("", strings.NewReader(in)) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRenderDelta is the cost of one line to a client.
func BenchmarkRenderDelta(b *testing.B) {
	r := Codec{}.NewRenderer(&canon.Request{ModelAsked: "m"})
	buf := r.AppendEvent(nil, canon.Event{Kind: canon.KindPartStart, Part: &canon.Part{Type: canon.PartText}})
	ev := canon.Event{Kind: canon.KindDelta, Delta: canon.DeltaText, Text: "hello"}
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendEvent(buf[:0], ev)
	}
}
